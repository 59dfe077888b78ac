//! Bounds that keep what a server sends from costing much more than its own size.

use thiserror::Error;

/// Most fields of a record besides the named ones. Servers send some for each relation that a query hydrates.
pub const MAX_FIELDS: usize = 1000;
/// Most bytes of JSON that a record may reach by what is added to it: four of the largest events.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;
/// Most children that a record may reach in one relation. Servers hydrate 50 of each group.
pub const MAX_CHILDREN: usize = 4096;
/// Most relations that a watch follows. A query hydrates a handful.
pub const MAX_RELATIONS: usize = 32;
/// What the server sends pays for so many times its size, where one event changes many records.
pub const MAX_COST: usize = 16;

/// A bound that something the server sent would have passed. It was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Bound {
    /// [`MAX_FIELDS`].
    #[error("a record may have {MAX_FIELDS} fields besides the named ones")]
    Fields,
    /// [`MAX_RECORD_BYTES`].
    #[error("a record may grow to {MAX_RECORD_BYTES} bytes")]
    RecordBytes,
    /// [`MAX_CHILDREN`].
    #[error("a record may have {MAX_CHILDREN} children in one relation")]
    Children,
    /// [`MAX_RELATIONS`].
    #[error("a watch may have {MAX_RELATIONS} hydrated relations with names of up to 256 bytes")]
    Relations,
    /// [`MAX_COST`].
    #[error("an event may change {MAX_COST} times as many bytes of records as the server has sent")]
    Cost,
}
