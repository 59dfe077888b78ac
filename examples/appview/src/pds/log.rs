//! What the PDS got, for tests that count.

use std::collections::VecDeque;

use serde::Serialize;

/// The log forgets the oldest beyond so many.
const MAX_ENTRIES: usize = 10_000;
/// What is longer than this is nobody's key, and is not told.
const MAX_TEXT: usize = 2048;

/// A write request that arrived, whatever became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PdsWrite {
    /// `com.atproto.repo.putRecord` or another.
    pub method: String,
    /// Whose repo the body names; in a space: whose token it is.
    pub did: Option<String>,
    /// NSID of the collection.
    pub collection: Option<String>,
    /// The record key: the one asked for, else the one that the server chose.
    pub rkey: Option<String>,
    /// The space, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space_uri: Option<String>,
    /// The content id that the record got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
    /// Did it change anything? A refused write did not, nor one that was answered but had nothing to do.
    pub applied: bool,
    /// The header `Idempotency-Key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it arrived, in Unix milliseconds.
    pub at: i64,
}

/// Text that may be told.
pub(crate) fn short(text: &str) -> Option<String> {
    (text.len() <= MAX_TEXT).then(|| text.to_owned())
}

/// The entries, in the order in which they arrived.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<PdsWrite>,
    forgotten: usize,
}

impl Log {
    /// Adds one, and answers its number.
    pub(crate) fn add(&mut self, entry: PdsWrite) -> usize {
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
            self.forgotten += 1;
        }
        self.entries.push_back(entry);
        self.forgotten + self.entries.len() - 1
    }

    /// The one with this number, unless it is forgotten.
    pub(crate) fn entry(&mut self, number: usize) -> Option<&mut PdsWrite> {
        self.entries.get_mut(number.checked_sub(self.forgotten)?)
    }

    pub(crate) fn entries(&self) -> Vec<PdsWrite> {
        self.entries.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_latest_entries_under_their_numbers() {
        let mut log = Log::default();
        for at in 0..i64::try_from(MAX_ENTRIES).unwrap() + 2 {
            let entry = PdsWrite {
                at,
                ..PdsWrite::default()
            };
            let number = log.add(entry);
            assert_eq!(log.entry(number).unwrap().at, at);
        }
        let entries = log.entries();
        assert_eq!((entries.len(), entries[0].at), (MAX_ENTRIES, 2));
        assert_eq!(log.entry(1), None);
        assert_eq!(log.entry(2).unwrap().at, 2);
    }
}
