//! What a watch shows of what the server sends: which records, in which order, how many.

pub mod filter;
pub mod path;
pub mod sort;

use filter::Filter;
use sort::Sort;

/// What a watch shows of what the server sends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct View {
    /// What the records are sorted by.
    pub sort: Sort,
    /// Which records belong to it.
    pub filter: Filter,
    /// Most records to show, the first ones of the order; [`MAX_RECORDS`] at most, and by default.
    pub max_records: Option<usize>,
}

/// Most records that a watch holds: beyond it, the last ones of the order go.
pub const MAX_RECORDS: usize = 200_000;
