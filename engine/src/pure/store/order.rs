//! The order of a watch: insert, remove, and the rank of an entry, each in O(√n) with a tiny constant.

use std::{cmp::Ordering, sync::Arc};

use super::{entry::Entry, records::Records, sort::Sort};

/// A chunk splits beyond this. Moving half of it is one small `memmove`.
const CHUNK: usize = 512;

/// All entries of a watch, sorted, in chunks. It knows them by their slots.
#[derive(Debug, Default)]
pub struct Order {
    sort: Sort,
    /// None is empty.
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Debug)]
struct Chunk {
    /// Prefix of the last entry: a search looks into one chunk only, and others that end with the very same prefix.
    last: u64,
    ranked: Vec<Ranked>,
}

/// An entry beside the part of its place that nearly always decides: a search follows no pointer for it.
#[derive(Debug)]
struct Ranked {
    prefix: u64,
    slot: usize,
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
    pub fn iter<'a>(
        &'a self,
        records: &'a Records,
    ) -> impl DoubleEndedIterator<Item = &'a Arc<Entry>> {
        self.slots().filter_map(|slot| records.at(slot))
    }

    /// The slots of the entries in order.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = usize> {
        let ranked = self.chunks.iter().flat_map(|chunk| &chunk.ranked);
        ranked.map(|it| it.slot)
    }

    /// The entry at an index.
    pub fn nth<'a>(&self, mut index: usize, records: &'a Records) -> Option<&'a Arc<Entry>> {
        for chunk in &self.chunks {
            match chunk.ranked.get(index) {
                Some(ranked) => return records.at(ranked.slot),
                None => index -= chunk.ranked.len(),
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
    pub fn insert(&mut self, entry: &Entry, records: &Records) {
        let prefix = self.sort.prefix(entry);
        let (at, Ok(place) | Err(place)) = self.place(prefix, entry, records);
        self.len += 1;
        let slot = entry.slot;
        let ranked = Ranked { prefix, slot };
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.extend(Chunk::of(vec![ranked]));
            return;
        };
        chunk.ranked.insert(place, ranked);
        chunk.refresh();
        if chunk.ranked.len() > CHUNK {
            let half = Chunk::of(chunk.ranked.split_off(CHUNK / 2));
            chunk.refresh();
            self.chunks.splice(at + 1..at + 1, half);
        }
    }

    /// Takes an entry out, while its slot still has it. Says whether it was there.
    pub fn remove(&mut self, entry: &Entry, records: &Records) -> bool {
        let (at, Ok(place)) = self.place(self.sort.prefix(entry), entry, records) else {
            return false;
        };
        let Some(chunk) = self.chunks.get_mut(at) else {
            return false;
        };
        chunk.ranked.remove(place);
        chunk.refresh();
        if chunk.ranked.is_empty() {
            self.chunks.remove(at);
        }
        self.len -= 1;
        true
    }

    /// The entry's index in the whole order.
    pub fn rank(&self, entry: &Entry, records: &Records) -> Option<usize> {
        let (at, place) = self.place(self.sort.prefix(entry), entry, records);
        let before = self.chunks.get(..at)?.iter().map(|it| it.ranked.len());
        Some(before.sum::<usize>() + place.ok()?)
    }

    /// The chunk that holds the entry, or would (the last one for entries beyond all others), and the place in it.
    fn place(&self, prefix: u64, entry: &Entry, records: &Records) -> Place {
        let then = |it: &Ranked| match records.at(it.slot) {
            Some(other) if other.id != entry.id => self.sort.compare(other, entry),
            _ => Ordering::Equal,
        };
        let compare = |it: &Ranked| it.prefix.cmp(&prefix).then_with(|| then(it));
        let before = self.chunks.partition_point(|chunk| {
            let last = chunk.last.cmp(&prefix);
            last.then_with(|| chunk.ranked.last().map_or(Ordering::Equal, then))
                .is_lt()
        });
        let at = before.min(self.chunks.len().saturating_sub(1));
        let ranked = self.chunks.get(at).map(|it| it.ranked.as_slice());
        (at, ranked.unwrap_or_default().binary_search_by(compare))
    }
}

impl Chunk {
    fn of(ranked: Vec<Ranked>) -> Option<Self> {
        let last = ranked.last()?.prefix;
        Some(Self { last, ranked })
    }

    /// After the last entry may have changed.
    fn refresh(&mut self) {
        if let Some(ranked) = self.ranked.last() {
            self.last = ranked.prefix;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, slot: usize, time_us: i64) -> Arc<Entry> {
        let json = format!(r#"{{"uri":"at://d/c/{id}","time_us":{time_us},"value":0}}"#);
        let record = serde_json::from_str(&json).unwrap();
        let entry = Entry::confirmed_with(id, record, false, &Sort::default());
        Arc::new(Entry { slot, ..entry })
    }

    #[test]
    fn it_agrees_with_a_sorted_list_over_random_insertions_and_removals() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut order, mut records) = (Order::default(), Records::default());
        let mut naive = Vec::<Arc<Entry>>::new();
        for id in 0..6000 {
            if !naive.is_empty() && rng.u8(..) < 80 {
                let gone = naive.swap_remove(rng.usize(..naive.len()));
                assert!(order.remove(&gone, &records));
                assert!(!order.remove(&gone, &records));
                records.remove(&gone);
            } else {
                let time_us = 200_000_000_000_000 + rng.i64(0..500);
                let new = entry(id, records.free_slot(), time_us);
                records.insert(new.clone());
                order.insert(&new, &records);
                naive.push(new);
            }
            if id % 500 == 0 {
                naive.sort_by(|a, b| order.sort.compare(a, b));
                let ids = naive.iter().map(|it| it.id);
                assert!(order.iter(&records).map(|it| it.id).eq(ids));
                for (rank, entry) in naive.iter().enumerate() {
                    assert_eq!(order.rank(entry, &records), Some(rank));
                    assert_eq!(order.nth(rank, &records).map(|it| it.id), Some(entry.id));
                }
                assert!(order.nth(naive.len(), &records).is_none());
                assert_eq!(order.len(), naive.len());
            }
        }
    }
}
