//! What a watch's records are sorted by.

use std::cmp::Ordering;

use serde_json::Value;

use super::path::Path;
use crate::pure::protocol::record::Record;

/// The order of a watch's records. It is total: (space, URI) decides where all else agrees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Sort {
    /// What is compared first.
    pub by: SortBy,
    /// Whether the smallest comes first. By creation time or record key, ties are turned around too; by a field of the
    /// body they stay newest first.
    pub ascending: bool,
}

/// What is compared first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SortBy {
    /// Creation time, then record key.
    #[default]
    TimeUs,
    /// Record key, then creation time.
    Rkey,
    /// A field of the body: numbers before texts (by code points) before booleans. Records without one come last in either
    /// direction. Ties are newest first.
    Value(Path),
}

/// What of a record's body the order needs, read once.
#[derive(Debug, Clone, PartialEq)]
pub enum SortValue {
    /// The order does not look into bodies, or there is nothing to compare.
    None,
    /// A number.
    Number(f64),
    /// A text.
    Text(Box<str>),
    /// A truth value.
    Bool(bool),
}

impl Sort {
    /// The smallest first.
    pub fn ascending(by: SortBy) -> Self {
        Self {
            by,
            ascending: true,
        }
    }

    /// The largest first.
    pub fn descending(by: SortBy) -> Self {
        Self {
            by,
            ascending: false,
        }
    }

    /// What `record` is compared by.
    #[doc(hidden)]
    pub fn value(&self, record: &Record) -> SortValue {
        let SortBy::Value(path) = &self.by else {
            return SortValue::None;
        };
        match path.scalar(&record.value) {
            Some(Value::String(text)) => SortValue::Text(text.into()),
            Some(Value::Bool(it)) => SortValue::Bool(it),
            Some(Value::Number(number)) => {
                number.as_f64().map_or(SortValue::None, SortValue::Number)
            }
            _ => SortValue::None,
        }
    }
}

impl SortValue {
    /// The order of two of them.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            _ => self.class().cmp(&other.class()),
        }
    }

    fn class(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Text(_) => 1,
            Self::Bool(_) => 2,
            Self::None => 3,
        }
    }
}
