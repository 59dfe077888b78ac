//! The order of a watch: insert, remove, and the rank of an entry, each in O(√n) with a tiny constant.

use std::{cmp::Ordering, sync::Arc};

use super::{entry::Entry, sort::Sort};

/// A chunk splits beyond this. Moving half of it is one small `memmove`.
const CHUNK: usize = 512;

/// All entries of a watch, sorted, in chunks.
#[derive(Debug, Default)]
pub struct Order {
    sort: Sort,
    /// None is empty.
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Debug)]
struct Chunk {
    /// Prefix of the last slot: a search looks into one chunk only, and others that end with the very same prefix.
    last: u64,
    slots: Vec<Slot>,
}

/// An entry beside the part of its place that nearly always decides: a search follows no pointer for it.
#[derive(Debug)]
struct Slot {
    prefix: u64,
    entry: Arc<Entry>,
}

/// Where an entry is, or would be.
type Place = (usize, Result<usize, usize>);

impl Order {
    /// An empty order.
    pub fn new(sort: Sort) -> Self {
        Self {
            sort,
            ..Self::default()
        }
    }

    /// What it sorts by.
    pub fn sort(&self) -> &Sort {
        &self.sort
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        let slots = self.chunks.iter().flat_map(|chunk| &chunk.slots);
        slots.map(|slot| &slot.entry)
    }

    /// The entry at an index.
    pub fn nth(&self, mut index: usize) -> Option<&Arc<Entry>> {
        for chunk in &self.chunks {
            match chunk.slots.get(index) {
                Some(slot) => return Some(&slot.entry),
                None => index -= chunk.slots.len(),
            }
        }
        None
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.len = 0;
    }

    /// Puts an entry in its place.
    pub fn insert(&mut self, entry: Arc<Entry>) {
        let prefix = self.sort.prefix(&entry);
        let (at, Ok(place) | Err(place)) = self.place(prefix, &entry);
        self.len += 1;
        let slot = Slot { prefix, entry };
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.extend(Chunk::of(vec![slot]));
            return;
        };
        chunk.slots.insert(place, slot);
        chunk.refresh();
        if chunk.slots.len() > CHUNK {
            let half = Chunk::of(chunk.slots.split_off(CHUNK / 2));
            chunk.refresh();
            self.chunks.splice(at + 1..at + 1, half);
        }
    }

    /// Puts an entry where `old` was, or in its own place if that is another one. Says whether it moved.
    pub fn replace(&mut self, old: &Entry, entry: Arc<Entry>) -> bool {
        let prefix = self.sort.prefix(&entry);
        let stays = prefix == self.sort.prefix(old) && self.sort.compare(old, &entry).is_eq();
        if stays
            && let (at, Ok(place)) = self.place(prefix, old)
            && let Some(slot) = self
                .chunks
                .get_mut(at)
                .and_then(|it| it.slots.get_mut(place))
        {
            slot.entry = entry;
            return false;
        }
        self.remove(old);
        self.insert(entry);
        true
    }

    /// Takes an entry out. Says whether it was there.
    pub fn remove(&mut self, entry: &Entry) -> bool {
        let (at, Ok(place)) = self.place(self.sort.prefix(entry), entry) else {
            return false;
        };
        let Some(chunk) = self.chunks.get_mut(at) else {
            return false;
        };
        chunk.slots.remove(place);
        chunk.refresh();
        if chunk.slots.is_empty() {
            self.chunks.remove(at);
        }
        self.len -= 1;
        true
    }

    /// The entry's index in the whole order.
    pub fn rank(&self, entry: &Entry) -> Option<usize> {
        let (at, place) = self.place(self.sort.prefix(entry), entry);
        let before: usize = self.chunks.get(..at)?.iter().map(|it| it.slots.len()).sum();
        Some(before + place.ok()?)
    }

    /// The chunk that holds the entry, or would (the last one for entries beyond all others), and the place in it.
    fn place(&self, prefix: u64, entry: &Entry) -> Place {
        let then = |slot: &Slot| self.sort.compare(&slot.entry, entry);
        let compare = |slot: &Slot| slot.prefix.cmp(&prefix).then_with(|| then(slot));
        let before = self.chunks.partition_point(|chunk| {
            let last = chunk.last.cmp(&prefix);
            last.then_with(|| chunk.slots.last().map_or(Ordering::Equal, then))
                .is_lt()
        });
        let at = before.min(self.chunks.len().saturating_sub(1));
        let slots = self.chunks.get(at).map(|it| it.slots.as_slice());
        (at, slots.unwrap_or_default().binary_search_by(compare))
    }
}

impl Chunk {
    fn of(slots: Vec<Slot>) -> Option<Self> {
        let last = slots.last()?.prefix;
        Some(Self { last, slots })
    }

    /// After the last slot may have changed.
    fn refresh(&mut self) {
        if let Some(slot) = self.slots.last() {
            self.last = slot.prefix;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, time_us: i64) -> Arc<Entry> {
        let json = format!(r#"{{"uri":"at://d/c/{id}","time_us":{time_us},"value":0}}"#);
        let record = serde_json::from_str(&json).unwrap();
        Arc::new(Entry::confirmed_with(id, record, false, &Sort::default()))
    }

    #[test]
    fn it_agrees_with_a_sorted_list_over_random_insertions_replacements_and_removals() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut order, mut naive) = (Order::default(), Vec::<Arc<Entry>>::new());
        let mut time = || 200_000_000_000_000 + rng.i64(0..500);
        let mut pick = fastrand::Rng::with_seed(4);
        for id in 0..6000 {
            if !naive.is_empty() && pick.u8(..) < 80 {
                let gone = naive.swap_remove(pick.usize(..naive.len()));
                assert!(order.remove(&gone));
                assert!(!order.remove(&gone));
            } else if !naive.is_empty() && pick.u8(..) < 80 {
                let at = pick.usize(..naive.len());
                let old = naive[at].clone();
                let time_us = if pick.bool() {
                    old.record.time_us
                } else {
                    time()
                };
                naive[at] = entry(old.id, time_us);
                let moved = order.replace(&old, naive[at].clone());
                assert_eq!(moved, time_us != old.record.time_us);
            } else {
                let new = entry(id, time());
                order.insert(new.clone());
                naive.push(new);
            }
            if id % 500 == 0 {
                naive.sort_by(|a, b| order.sort.compare(a, b));
                assert!(order.iter().map(|e| e.id).eq(naive.iter().map(|e| e.id)));
                for (rank, entry) in naive.iter().enumerate() {
                    assert_eq!(order.rank(entry), Some(rank));
                    assert_eq!(order.nth(rank).map(|it| it.id), Some(entry.id));
                }
                assert!(order.nth(naive.len()).is_none());
                assert_eq!(order.len(), naive.len());
            }
        }
    }
}
