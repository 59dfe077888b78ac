//! The order of a watch: insert, remove, and the rank of an entry, each in O(√n) with a tiny constant.

use std::{cmp::Ordering, sync::Arc};

use super::{entries::Entries, entry::Entry};
use crate::pure::view::sort::{Sort, SortBy, SortValue};

/// A chunk splits beyond this. Moving half of it is one small `memmove`.
const CHUNK: usize = 512;

/// All entries of a watch, sorted, in chunks. It knows them by their slots.
#[derive(Debug, Default)]
pub(super) struct Order {
    sort: Sort,
    /// Whether URIs alone decide between equal times, as in lists of servers without a stream.
    ties_by_uri: bool,
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
    pub(super) fn new(sort: Sort) -> Self {
        Self {
            sort,
            ..Self::default()
        }
    }

    /// What it sorts by.
    pub(super) fn sort(&self) -> &Sort {
        &self.sort
    }

    /// Lets URIs alone decide between equal times, or not any more. Says whether anything may stand elsewhere now.
    pub(super) fn set_ties_by_uri(&mut self, yes: bool, entries: &Entries) -> bool {
        if std::mem::replace(&mut self.ties_by_uri, yes) == yes || self.is_empty() {
            return false;
        }
        let slots: Vec<usize> = self.slots().collect();
        self.clear();
        for entry in slots.into_iter().filter_map(|slot| entries.at(slot)) {
            self.insert(entry, entries);
        }
        true
    }

    fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        match self.ties_by_uri {
            true => self.sort.compare_by_uri(a, b),
            false => self.sort.compare(a, b),
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries in order.
    pub(super) fn iter<'a>(
        &'a self,
        entries: &'a Entries,
    ) -> impl DoubleEndedIterator<Item = &'a Arc<Entry>> {
        self.slots().filter_map(|slot| entries.at(slot))
    }

    /// The slots of the entries in order.
    pub(super) fn slots(&self) -> impl DoubleEndedIterator<Item = usize> {
        let ranked = self.chunks.iter().flat_map(|chunk| &chunk.ranked);
        ranked.map(|it| it.slot)
    }

    /// The entry at an index.
    pub(super) fn nth<'a>(&self, mut index: usize, entries: &'a Entries) -> Option<&'a Arc<Entry>> {
        for chunk in &self.chunks {
            match chunk.ranked.get(index) {
                Some(ranked) => return entries.at(ranked.slot),
                None => index -= chunk.ranked.len(),
            }
        }
        None
    }

    /// Forgets all entries.
    pub(super) fn clear(&mut self) {
        self.chunks.clear();
        self.len = 0;
    }

    /// Puts an entry in its place.
    pub(super) fn insert(&mut self, entry: &Entry, entries: &Entries) {
        let prefix = self.sort.prefix(entry);
        let (at, Ok(place) | Err(place)) = self.place(prefix, entry, entries);
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
    pub(super) fn remove(&mut self, entry: &Entry, entries: &Entries) -> bool {
        let (at, Ok(place)) = self.place(self.sort.prefix(entry), entry, entries) else {
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
    pub(super) fn rank(&self, entry: &Entry, entries: &Entries) -> Option<usize> {
        let (at, place) = self.place(self.sort.prefix(entry), entry, entries);
        let before = self.chunks.get(..at)?.iter().map(|it| it.ranked.len());
        Some(before.sum::<usize>() + place.ok()?)
    }

    /// The chunk that holds the entry, or would (the last one for entries beyond all others), and the place in it.
    fn place(&self, prefix: u64, entry: &Entry, entries: &Entries) -> Place {
        let then = |it: &Ranked| match entries.at(it.slot) {
            Some(other) if other.id != entry.id => self.compare(other, entry),
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

impl Sort {
    /// The first 64 bits of the comparison: where they differ, they decide.
    pub(super) fn prefix(&self, entry: &Entry) -> u64 {
        let bits = match &self.by {
            SortBy::TimeUs => ordered_int(entry.record.time_us),
            SortBy::Rkey => first_bytes(entry.record.rkey()),
            SortBy::Value(_) => match &entry.sort_value {
                // After all others, whatever the direction.
                SortValue::None => return u64::MAX,
                SortValue::Number(number) => ordered_float(*number) >> 2,
                SortValue::Text(text) => (1 << 62) | (first_bytes(text) >> 2),
                SortValue::Bool(it) => (2 << 62) | u64::from(*it),
            },
        };
        if self.ascending { bits } else { !bits }
    }

    /// Whether two versions of one record stand at one place.
    pub(super) fn is_same_place(&self, a: &Entry, b: &Entry) -> bool {
        self.prefix(a) == self.prefix(b) && self.compare(a, b).is_eq()
    }

    /// The order of two entries where URIs decide between equal times, ascending in every direction.
    fn compare_by_uri(&self, a: &Entry, b: &Entry) -> Ordering {
        let (one, other) = (&a.record, &b.record);
        let newest_first = || other.time_us.cmp(&one.time_us);
        let first = match (&self.by, self.ascending) {
            (SortBy::TimeUs, false) => newest_first(),
            (SortBy::TimeUs, true) => newest_first().reverse(),
            (SortBy::Rkey, false) => other.rkey().cmp(one.rkey()),
            (SortBy::Rkey, true) => one.rkey().cmp(other.rkey()),
            (SortBy::Value(_), _) => self.by_value(a, b),
        };
        let uris = || one.uri.as_str().cmp(other.uri.as_str());
        first
            .then_with(newest_first)
            .then_with(uris)
            .then_with(|| one.space.cmp(&other.space))
    }

    /// The order of two entries by a field of their bodies.
    fn by_value(&self, a: &Entry, b: &Entry) -> Ordering {
        let missing = |entry: &Entry| entry.sort_value == SortValue::None;
        let ascending = || a.sort_value.compare(&b.sort_value);
        missing(a)
            .cmp(&missing(b))
            .then_with(|| match self.ascending {
                true => ascending(),
                false => ascending().reverse(),
            })
    }

    /// The order of two entries.
    pub(super) fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        let directed = |order: Ordering| {
            if self.ascending {
                order
            } else {
                order.reverse()
            }
        };
        let oldest_first = || {
            let (a, b) = (&a.record, &b.record);
            let time = || a.time_us.cmp(&b.time_us);
            let rkey = || a.rkey().cmp(b.rkey());
            let first = match self.by {
                SortBy::Rkey => rkey().then_with(time),
                _ => time().then_with(rkey),
            };
            let rest = || {
                a.uri
                    .as_str()
                    .cmp(b.uri.as_str())
                    .then_with(|| a.space.cmp(&b.space))
            };
            first.then_with(rest)
        };
        match &self.by {
            SortBy::TimeUs | SortBy::Rkey => directed(oldest_first()),
            SortBy::Value(_) => self.by_value(a, b).then_with(|| oldest_first().reverse()),
        }
    }
}

/// Bits that order as the numbers do.
fn ordered_int(number: i64) -> u64 {
    number.cast_unsigned() ^ (1 << 63)
}

fn ordered_float(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | (1 << 63)
    }
}

fn first_bytes(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let n = text.len().min(8);
    bytes[..n].copy_from_slice(&text.as_bytes()[..n]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::view::path::Path;

    fn entry(id: u64, slot: usize, time_us: i64) -> Arc<Entry> {
        let json = format!(r#"{{"uri":"at://d/c/{id}","time_us":{time_us},"value":0}}"#);
        let record = serde_json::from_str(&json).unwrap();
        let entry = Entry::confirmed_with(id, record, false, &Sort::default());
        Arc::new(Entry { slot, ..entry })
    }

    #[test]
    fn it_agrees_with_a_sorted_list_over_random_insertions_and_removals() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut order, mut entries) = (Order::default(), Entries::default());
        let mut naive = Vec::<Arc<Entry>>::new();
        for id in 0..6000 {
            if !naive.is_empty() && rng.u8(..) < 80 {
                let gone = naive.swap_remove(rng.usize(..naive.len()));
                assert!(order.remove(&gone, &entries));
                assert!(!order.remove(&gone, &entries));
                entries.remove(&gone);
            } else {
                let time_us = 200_000_000_000_000 + rng.i64(0..500);
                let new = entry(id, entries.free_slot(), time_us);
                entries.insert(new.clone(), 0);
                order.insert(&new, &entries);
                naive.push(new);
            }
            if id % 500 == 0 {
                naive.sort_by(|a, b| order.sort.compare(a, b));
                let ids = naive.iter().map(|it| it.id);
                assert!(order.iter(&entries).map(|it| it.id).eq(ids));
                for (rank, entry) in naive.iter().enumerate() {
                    assert_eq!(order.rank(entry, &entries), Some(rank));
                    assert_eq!(order.nth(rank, &entries).map(|it| it.id), Some(entry.id));
                }
                assert!(order.nth(naive.len(), &entries).is_none());
                assert_eq!(order.len(), naive.len());
            }
        }
    }

    fn sortable(sort: &Sort, rkey: &str, time_us: i64, value: &str) -> Entry {
        let json = format!(r#"{{"uri":"at://d/c/{rkey}","time_us":{time_us},"value":{value}}}"#);
        Entry::confirmed_with(0, serde_json::from_str(&json).unwrap(), false, sort)
    }

    fn sorted(sort: &Sort, rows: &[(&str, i64, &str)]) -> Vec<String> {
        let mut entries: Vec<Entry> = rows
            .iter()
            .map(|it| sortable(sort, it.0, it.1, it.2))
            .collect();
        entries.sort_by(|a, b| sort.compare(a, b));
        // The shortcut never says otherwise.
        assert!(entries.is_sorted_by_key(|it| sort.prefix(it)));
        entries
            .iter()
            .map(|it| it.record.rkey().to_string())
            .collect()
    }

    const T: i64 = 1_795_432_906_000_000;

    #[test]
    fn records_are_sorted_by_time_or_rkey_in_both_directions() {
        let rows = [
            ("b", T, "0"),
            ("a", T, "0"),
            ("c", T + 1, "0"),
            ("d", -5, "0"),
        ];
        let sort = |by, ascending| Sort { by, ascending };
        assert_eq!(sorted(&Sort::default(), &rows), ["c", "b", "a", "d"]);
        assert_eq!(
            sorted(&sort(SortBy::TimeUs, true), &rows),
            ["d", "a", "b", "c"]
        );
        assert_eq!(
            sorted(&sort(SortBy::Rkey, true), &rows),
            ["a", "b", "c", "d"]
        );
        assert_eq!(
            sorted(&sort(SortBy::Rkey, false), &rows),
            ["d", "c", "b", "a"]
        );
    }

    #[test]
    fn a_field_of_the_body_sorts_numbers_texts_booleans_and_nothing_last() {
        let rows = [
            ("none", T, "{}"),
            ("ten", T, r#"{"x":10}"#),
            ("minus", T, r#"{"x":-1.5}"#),
            ("nine", T, r#"{"x":9}"#),
            ("text", T, r#"{"x":"a long text, alike"}"#),
            ("text2", T, r#"{"x":"a long text, alike!"}"#),
            ("yes", T, r#"{"x":true}"#),
            ("newer", T + 1, r#"{"x":9}"#),
        ];
        let by = || SortBy::Value(Path::parse("value.x").unwrap());
        let up = Sort {
            by: by(),
            ascending: true,
        };
        let down = Sort {
            by: by(),
            ascending: false,
        };
        assert_eq!(
            sorted(&up, &rows),
            [
                "minus", "newer", "nine", "ten", "text", "text2", "yes", "none"
            ]
        );
        assert_eq!(
            sorted(&down, &rows),
            [
                "yes", "text2", "text", "ten", "newer", "nine", "minus", "none"
            ]
        );
    }

    #[test]
    fn numbers_of_every_sign_and_size_stand_in_order() {
        let numbers = [
            "-1e300", "-2", "-1", "-0.5", "-1e-300", "0", "1e-300", "0.5", "1", "2", "1e300",
        ];
        let bodies = numbers.map(|it| format!(r#"{{"x":{it}}}"#));
        let rows: Vec<_> = std::iter::zip(numbers, &bodies)
            .map(|(number, body)| (number, T, body.as_str()))
            .rev()
            .collect();
        let by = || SortBy::Value(Path::parse("value.x").unwrap());
        assert_eq!(sorted(&Sort::ascending(by()), &rows), numbers);
        let mut largest_first = numbers;
        largest_first.reverse();
        assert_eq!(sorted(&Sort::descending(by()), &rows), largest_first);
    }
}
