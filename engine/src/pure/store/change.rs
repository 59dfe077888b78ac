//! What a step did to the store, for those who follow it.

use std::sync::Arc;

use super::entry::Entry;
use crate::pure::protocol::bound::Bound;

/// What one change did to the records, for those who follow them.
#[derive(Debug, Clone)]
pub enum Change {
    /// This record is new or changed.
    Set(Arc<Entry>, Touch),
    /// This record is gone.
    Gone(Arc<Entry>),
}

/// How a record changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// It was not there before.
    New,
    /// It stands where it stood.
    Content,
    /// It may stand elsewhere.
    Moved,
}

/// The store cannot know what is true: only a fresh snapshot can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknowable {
    /// It does not know what to do, and did nothing.
    Ambiguous,
    /// It did what is likely; a count may be wrong.
    Doubtful,
    /// It did nothing: that would have passed a bound.
    TooMuch(Bound),
}

impl Unknowable {
    /// Of two answers the one that asks for more.
    pub(super) fn and(a: Result<(), Self>, b: Result<(), Self>) -> Result<(), Self> {
        match (a, b) {
            (Ok(()), other) | (other, Ok(())) | (Err(Self::Doubtful), other) => other,
            (a, _) => a,
        }
    }
}
