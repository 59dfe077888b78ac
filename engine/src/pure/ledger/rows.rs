//! What the cache has not heard yet.

use std::sync::Arc;

use super::touches::Touches;
use crate::{
    maps::{FastMap, FastSet},
    pure::{
        protocol::record::Identity,
        store::{
            Store,
            change::{Change, Touch},
            entry::Entry,
        },
    },
};

/// Merges what happens until the cache is ready for it.
#[derive(Debug)]
pub struct RowLedger {
    /// Most records that are kept, the first ones of the order.
    keep: usize,
    set: Touches,
    gone: FastMap<u64, Identity>,
    /// The next rows must be all there are: the cache may have gaps.
    replace: bool,
    /// The records were the server's at least once; before that there is nothing to keep.
    synced: bool,
}

/// What to write.
#[derive(Debug)]
pub struct RowChanges {
    /// New and changed records, as the server has them.
    pub set: Vec<Arc<Entry>>,
    /// Records that are gone.
    pub gone: Vec<Identity>,
    /// Whether `set` is all there is.
    pub replace: bool,
}

impl RowLedger {
    /// Of a cache that keeps so many records, and may hold anything yet.
    pub fn new(keep: usize) -> Self {
        Self {
            keep,
            set: Touches::default(),
            gone: FastMap::default(),
            replace: true,
            synced: false,
        }
    }

    /// Most records that are kept.
    pub fn keep(&self) -> usize {
        self.keep
    }

    /// Whether the records were the server's at least once.
    pub fn is_synced(&self) -> bool {
        self.synced
    }

    /// The records are the server's from now on.
    pub fn synced(&mut self) {
        self.synced = true;
    }

    /// Merges a change into what is still to be written.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::Set(entry, _) if entry.confirmed().is_some() => {
                if !self.gone.is_empty() {
                    self.gone.remove(&entry.id);
                }
                self.set.merge(entry.slot, Touch::Content);
            }
            // What nobody confirmed is not kept.
            Change::Set(entry, _) | Change::Gone(entry) => {
                self.set.take(entry.slot);
                self.gone.insert(entry.id, entry.record.identity());
            }
        }
    }

    /// The cache may have gaps: the next rows are all there are.
    pub fn start_over(&mut self) {
        self.replace = true;
    }

    /// The rows are being cleared: what is not written yet is not written any more.
    pub fn discard(&mut self) {
        self.set.clear();
        self.gone.clear();
        self.replace = false;
    }

    /// Access is gone: nothing may be written until the records are the server's again, and then all of them.
    pub fn purge(&mut self) {
        self.discard();
        self.replace = true;
        self.synced = false;
    }

    /// Whether there is something to write.
    pub fn is_dirty(&self) -> bool {
        self.synced && (self.replace || !self.set.is_empty() || !self.gone.is_empty())
    }

    /// Takes what there is to write.
    pub fn take(&mut self, store: &Store) -> RowChanges {
        let replace = std::mem::take(&mut self.replace);
        let set = if replace {
            self.set.clear();
            let first = store.entries().filter_map(Entry::confirmed);
            first.take(self.keep).cloned().collect()
        } else {
            self.changed(store)
        };
        RowChanges {
            set,
            gone: self.gone.drain().map(|(_, identity)| identity).collect(),
            replace,
        }
    }

    fn changed(&mut self, store: &Store) -> Vec<Arc<Entry>> {
        let (mut kept, mut left) = (FastSet::default(), 0);
        let changed = self.set.len();
        let set = std::mem::take(&mut self.set);
        for slot in set.slots() {
            match store.at(slot) {
                Some((index, entry)) if index < self.keep => {
                    kept.insert(entry.id);
                }
                // It moved out of what is kept.
                Some((_, entry)) => {
                    left += 1;
                    self.gone.insert(entry.id, entry.record.identity());
                }
                None => {}
            }
        }
        // Where records went, others moved up into what is kept.
        let risen = (self.gone.len() + left).min(self.keep);
        // Where some came in, as many may have been pushed out: the file itself trims by time alone.
        let pushed_out = store.entries().skip(self.keep).take(changed);
        let pushed_out = pushed_out.map(|it| (it.id, it.record.identity()));
        self.gone.extend(pushed_out);
        let moved_up = store.entries().take(self.keep).skip(self.keep - risen);
        kept.extend(moved_up.map(|it| it.id));
        let kept = kept.into_iter();
        kept.filter_map(|id| store.confirmed(id).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::protocol::record::Record;

    fn record(n: i64, text: &str) -> Record {
        let json = format!(r#"{{"uri":"at://d/c/{n}","time_us":{n},"value":"{text}"}}"#);
        serde_json::from_str(&json).unwrap()
    }

    /// A store, and what the cache of its first three records has not heard.
    struct Kept {
        store: Store,
        ledger: RowLedger,
    }

    impl Kept {
        fn new() -> Self {
            Self {
                store: Store::default(),
                ledger: RowLedger::new(3),
            }
        }

        fn snapshot(&mut self, numbers: impl IntoIterator<Item = i64>) {
            self.store.begin_snapshot();
            for n in numbers {
                self.store.confirm(record(n, "x"));
            }
            self.store.end_snapshot(None);
            self.ledger.synced();
        }

        /// What is to be written: rkeys of rows, of those that are gone, and whether these are all.
        fn take(&mut self) -> (Vec<String>, Vec<String>, bool) {
            for change in self.store.take_changes() {
                self.ledger.note(&change);
            }
            let changes = self.ledger.take(&self.store);
            let mut set: Vec<_> = changes
                .set
                .iter()
                .map(|it| it.record.rkey().to_owned())
                .collect();
            let rkey = |uri: &str| uri.rsplit('/').next().unwrap_or_default().to_owned();
            let mut gone: Vec<_> = changes.gone.iter().map(|(_, uri)| rkey(uri)).collect();
            set.sort_unstable();
            gone.sort_unstable();
            (set, gone, changes.replace)
        }
    }

    fn texts(numbers: &[&str]) -> Vec<String> {
        numbers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_first_rows_are_all_there_are_and_then_only_what_changed() {
        let mut kept = Kept::new();
        assert!(!kept.ledger.is_dirty(), "nothing is the server's yet");
        kept.snapshot(1..=5);
        assert!(kept.ledger.is_dirty());
        assert_eq!(kept.take().0, texts(&["3", "4", "5"]));
        assert!(!kept.ledger.is_dirty());
        kept.store.upsert(record(4, "edited"));
        let (set, gone, all) = kept.take();
        assert_eq!((set, all), (texts(&["4"]), false));
        // What stands behind what is kept may be named as gone.
        assert!(gone.iter().all(|it| ["1", "2"].contains(&&**it)));
    }

    #[test]
    fn a_record_that_moves_up_into_what_is_kept_is_written_and_one_that_leaves_is_gone() {
        let mut kept = Kept::new();
        kept.snapshot(1..=5);
        kept.take();
        kept.store.delete("at://d/c/5").unwrap();
        assert_eq!(kept.take(), (texts(&["2"]), texts(&["5"]), false));
        kept.store.upsert(record(6, "new"));
        let (set, gone, _) = kept.take();
        assert!(set.contains(&"6".to_owned()) && gone.contains(&"2".to_owned()));
    }

    #[test]
    fn a_purge_forgets_what_was_to_be_written_and_begins_with_all_there_is() {
        let mut kept = Kept::new();
        kept.snapshot(1..=2);
        kept.take();
        kept.store.upsert(record(3, "new"));
        kept.store
            .take_changes()
            .for_each(|it| kept.ledger.note(&it));
        kept.ledger.purge();
        assert!(!kept.ledger.is_dirty());
        kept.snapshot(1..=1);
        let (set, gone, all) = kept.take();
        assert_eq!(set, texts(&["1"]));
        assert!(gone.len() <= 2 && all);
    }
}
