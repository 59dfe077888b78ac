//! Which records hold a child, by id.

use std::{collections::BTreeSet, hash::BuildHasher};

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::maps::FastHasher;

/// The records that hold a child, for every child of a relation.
#[derive(Debug, Default)]
pub(super) struct Holders {
    children: HashTable<Held>,
    hasher: FastHasher,
}

/// Who holds one child.
#[derive(Debug)]
struct Held {
    /// Of its key: the table grows without reading keys.
    hash: u64,
    /// DID and rkey in one, and where the rkey begins.
    key: Box<str>,
    rkey_at: usize,
    ids: Ids,
}

/// Ids of records. A child mostly has one parent, but a DID-matched one has as many as its subject has records.
#[derive(Debug)]
enum Ids {
    Few(SmallVec<[u64; 2]>),
    Many(BTreeSet<u64>),
}

/// From here on, looking through them one by one takes longer.
const MANY: usize = 8;

impl Holders {
    /// Those that hold a child, in the order of their ids.
    pub(super) fn of(&self, did: &str, rkey: &str) -> Vec<u64> {
        let hash = self.hasher.hash_one((did, rkey));
        let held = self.children.find(hash, |it| it.is(did, rkey));
        match held.map(|it| &it.ids) {
            None => Vec::new(),
            Some(Ids::Few(ids)) => {
                let mut ids = ids.to_vec();
                ids.sort_unstable();
                ids
            }
            Some(Ids::Many(ids)) => ids.iter().copied().collect(),
        }
    }

    /// A record holds a child.
    pub(super) fn add(&mut self, (did, rkey): (&str, &str), id: u64) {
        let hash = self.hasher.hash_one((did, rkey));
        let is_it = |it: &Held| it.is(did, rkey);
        let held = self.children.entry(hash, is_it, |it| it.hash);
        let mut held = held.or_insert_with(|| Held {
            hash,
            key: [did, rkey].concat().into(),
            rkey_at: did.len(),
            ids: Ids::Few(SmallVec::new()),
        });
        held.get_mut().ids.add(id);
    }

    /// A record does not hold a child any more.
    pub(super) fn remove(&mut self, (did, rkey): (&str, &str), id: u64) {
        let hash = self.hasher.hash_one((did, rkey));
        let held = self.children.find_entry(hash, |it| it.is(did, rkey));
        let Ok(mut held) = held else { return };
        if held.get_mut().ids.remove(id) {
            held.remove();
        }
    }
}

impl Held {
    fn is(&self, did: &str, rkey: &str) -> bool {
        self.key.split_at_checked(self.rkey_at) == Some((did, rkey))
    }
}

impl Ids {
    fn add(&mut self, id: u64) {
        match self {
            Self::Few(few) if few.contains(&id) => {}
            Self::Few(few) if few.len() < MANY => few.push(id),
            Self::Few(few) => {
                let mut many: BTreeSet<u64> = few.iter().copied().collect();
                many.insert(id);
                *self = Self::Many(many);
            }
            Self::Many(many) => drop(many.insert(id)),
        }
    }

    /// Says whether none is left.
    fn remove(&mut self, id: u64) -> bool {
        match self {
            Self::Few(few) => {
                few.retain(|it| *it != id);
                few.is_empty()
            }
            Self::Many(many) => {
                many.remove(&id);
                many.is_empty()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_found_until_they_are_taken_away_however_many_there_are() {
        let mut holders = Holders::default();
        for id in (0..100).rev() {
            holders.add(("did:a", "self"), id);
            holders.add(("did:a", "self"), id);
        }
        holders.add(("did:b", "self"), 7);
        assert_eq!(holders.of("did:a", "self"), (0..100).collect::<Vec<u64>>());
        assert_eq!(holders.of("did:b", "self"), [7]);
        for id in 0..100 {
            holders.remove(("did:a", "self"), id);
        }
        holders.remove(("did:c", "self"), 7);
        assert!(holders.of("did:a", "self").is_empty());
        assert_eq!(holders.children.len(), 1);
    }

    #[test]
    fn children_are_told_apart_by_author_and_key_however_many_there_are() {
        let keys: Vec<_> = (0..1000).map(|n| (n.to_string(), "self")).collect();
        // The same letters, of which others are the author's.
        let keys = [("did:a".to_owned(), "bself"), ("did:ab".to_owned(), "self")]
            .into_iter()
            .chain(keys);
        let mut holders = Holders::default();
        for (id, (did, rkey)) in (0..).zip(keys.clone()) {
            holders.add((&did, rkey), id);
        }
        for (id, (did, rkey)) in (0..).zip(keys) {
            assert_eq!(holders.of(&did, rkey), [id]);
            holders.remove((&did, rkey), id);
            assert!(holders.of(&did, rkey).is_empty());
        }
    }
}
