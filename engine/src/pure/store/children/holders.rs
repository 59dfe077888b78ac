//! Which records hold a child, by id.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use crate::maps::FastMap;

/// The records that hold a child, for every child of a relation.
#[derive(Debug, Default)]
pub(super) struct Holders(FastMap<Box<str>, Ids>);

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
        match self.0.get(&*key(did, rkey)) {
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
        let ids = self
            .0
            .entry(key(did, rkey))
            .or_insert_with(|| Ids::Few(SmallVec::new()));
        match ids {
            Ids::Few(few) if few.contains(&id) => {}
            Ids::Few(few) if few.len() < MANY => few.push(id),
            Ids::Few(few) => {
                let mut many: BTreeSet<u64> = few.iter().copied().collect();
                many.insert(id);
                *ids = Ids::Many(many);
            }
            Ids::Many(many) => drop(many.insert(id)),
        }
    }

    /// A record does not hold a child any more.
    pub(super) fn remove(&mut self, (did, rkey): (&str, &str), id: u64) {
        let key = key(did, rkey);
        let is_empty = match self.0.get_mut(&key) {
            None => false,
            Some(Ids::Few(few)) => {
                few.retain(|it| *it != id);
                few.is_empty()
            }
            Some(Ids::Many(many)) => {
                many.remove(&id);
                many.is_empty()
            }
        };
        if is_empty {
            self.0.remove(&key);
        }
    }
}

/// DIDs have no spaces.
fn key(did: &str, rkey: &str) -> Box<str> {
    format!("{did} {rkey}").into()
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
        assert_eq!(holders.0.len(), 1);
    }
}
