//! The order of a watch: insert, remove, and the rank of an entry, each in O(√n) with a tiny constant.

use std::{cmp::Ordering, sync::Arc};

use super::record::Record;

/// A chunk splits beyond this. Moving half of it is one small `memmove`.
const CHUNK: usize = 512;

/// One record in its place. Immutable: a changed record is a new entry under the same id.
#[derive(Debug)]
pub struct Entry {
    /// Identifies (space, uri) for the life of the watch.
    pub id: u64,
    /// The record.
    pub record: Record,
    /// Whether `time_us` is when the record was published live, not the server's stored creation time.
    pub(crate) live_time: bool,
}

impl Entry {
    /// Newest first, then rkey descending; URI and space make it total.
    fn compare(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.record, &other.record);
        b.time_us
            .cmp(&a.time_us)
            .then_with(|| b.rkey.cmp(&a.rkey))
            .then_with(|| b.uri.cmp(&a.uri))
            .then_with(|| b.space.cmp(&a.space))
    }
}

/// All entries of a watch, sorted, in chunks.
#[derive(Debug, Default)]
pub struct Order {
    chunks: Vec<Vec<Arc<Entry>>>,
    len: usize,
}

impl Order {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.chunks.iter().flatten()
    }

    /// The last entry of the order.
    pub fn last(&self) -> Option<&Arc<Entry>> {
        self.chunks.last()?.last()
    }

    /// Puts an entry in its place.
    pub fn insert(&mut self, entry: Arc<Entry>) {
        self.len += 1;
        let at = self.chunk_of(&entry);
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push(vec![entry]);
            return;
        };
        let place = chunk.partition_point(|other| other.compare(&entry).is_lt());
        chunk.insert(place, entry);
        if chunk.len() > CHUNK {
            let half = chunk.split_off(CHUNK / 2);
            self.chunks.insert(at + 1, half);
        }
    }

    /// Takes an entry out. Says whether it was there.
    pub fn remove(&mut self, entry: &Entry) -> bool {
        let at = self.chunk_of(entry);
        let Some(chunk) = self.chunks.get_mut(at) else {
            return false;
        };
        let Ok(place) = chunk.binary_search_by(|other| other.compare(entry)) else {
            return false;
        };
        chunk.remove(place);
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
        self.len -= 1;
        true
    }

    /// The entry's index in the whole order.
    pub fn rank(&self, entry: &Entry) -> Option<usize> {
        let at = self.chunk_of(entry);
        let place = self
            .chunks
            .get(at)?
            .binary_search_by(|other| other.compare(entry))
            .ok()?;
        Some(self.chunks[..at].iter().map(Vec::len).sum::<usize>() + place)
    }

    /// The chunk that holds the entry, or would: the last one for entries beyond all others.
    fn chunk_of(&self, entry: &Entry) -> usize {
        let before = self
            .chunks
            .partition_point(|chunk| chunk.last().is_some_and(|last| last.compare(entry).is_lt()));
        before.min(self.chunks.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, time_us: i64) -> Arc<Entry> {
        let json = format!(r#"{{"uri":"at://d/c/{id}","time_us":{time_us},"value":0}}"#);
        Arc::new(Entry {
            id,
            record: serde_json::from_str(&json).unwrap(),
            live_time: false,
        })
    }

    #[test]
    fn it_agrees_with_a_sorted_list_over_random_insertions_and_removals() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut order, mut naive) = (Order::default(), Vec::<Arc<Entry>>::new());
        for id in 0..6000 {
            if !naive.is_empty() && rng.u8(..) < 80 {
                let gone = naive.swap_remove(rng.usize(..naive.len()));
                assert!(order.remove(&gone));
                assert!(!order.remove(&gone));
            } else {
                let new = entry(id, 200_000_000_000_000 + rng.i64(0..500));
                order.insert(new.clone());
                naive.push(new);
            }
            if id % 500 == 0 {
                naive.sort_by(|a, b| a.compare(b));
                assert!(order.iter().map(|e| e.id).eq(naive.iter().map(|e| e.id)));
                for (rank, entry) in naive.iter().enumerate() {
                    assert_eq!(order.rank(entry), Some(rank));
                }
                assert_eq!(order.len(), naive.len());
            }
        }
    }
}
