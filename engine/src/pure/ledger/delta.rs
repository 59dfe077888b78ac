//! What a follower is told: a state to begin with, then deltas.

use std::sync::Arc;

use crate::{
    failure::ErrorPayload,
    pure::{
        lifecycle::machine::Status,
        store::{entry::Entry, profiles::Profiles},
    },
};

/// Everything about a watch at one moment; by default, of one that has not started.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct State {
    /// Revision for this subscriber; the next delta has the next one.
    pub rev: u64,
    /// Where the watch stands.
    pub status: Status,
    /// The last failure, until live again.
    pub error: Option<ErrorPayload>,
    /// Where older records begin, if there are any.
    pub cursor: Option<Arc<str>>,
    /// The records in order; only the first ones if there is `more`.
    pub entries: Vec<Arc<Entry>>,
    /// What the appview told of the accounts that the list names, if the query asks for it.
    pub profiles: Profiles,
    /// Whether more is waiting right now, which the next deltas tell.
    pub more: bool,
}

/// What changed since the revision before.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delta {
    /// One more than the revision this applies to.
    pub rev: u64,
    /// Where the watch stands.
    pub status: Status,
    /// The last failure, until live again.
    pub error: Option<ErrorPayload>,
    /// Where older records begin, if there are any.
    pub cursor: Option<Arc<str>>,
    /// How many records there are now.
    pub len: usize,
    /// Ids that are gone.
    pub removed: Vec<u64>,
    /// New, changed and moved records, by ascending index.
    pub changed: Vec<Changed>,
    /// All profiles there are now, if they are others than before.
    pub profiles: Option<Profiles>,
    /// Whether more is waiting already, or about to arrive with a snapshot: worth asking for at once.
    pub more: bool,
}

/// A record with the index it has once the delta is applied.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Changed {
    /// Final index.
    pub index: usize,
    /// The record.
    pub entry: Arc<Entry>,
}
