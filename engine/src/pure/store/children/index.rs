//! Where children of hydrated relations belong: which parents hold one, as a child that moves is only announced at its
//! new parent; which records are of one DID, as a DID can stand for all of them; which relations are grouped.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::{
    maps::{FastMap, FastSet},
    pure::{protocol::wire::ChildRemoved, store::entry::Entry},
};

/// Relations that are followed. A query hydrates a handful.
const MAX_RELATIONS: usize = 16;

/// Indices that are built when they are first needed: most watches never do.
#[derive(Debug, Default)]
pub(crate) struct ChildIndex {
    /// Of the relations that had a child added live.
    relations: HashMap<Box<str>, Parents>,
    by_did: Option<FastMap<Box<str>, FastSet<u64>>>,
    /// Whether a relation is grouped, as far as the last snapshot tells.
    grouped: HashMap<Box<str>, bool>,
}

/// Ids of parents by child.
type Parents = FastMap<Box<str>, SmallVec<[u64; 1]>>;

impl ChildIndex {
    /// Follows a relation from now on.
    pub(crate) fn build<'a>(
        &mut self,
        relation: &str,
        entries: impl Iterator<Item = &'a Arc<Entry>>,
    ) {
        if self.relations.contains_key(relation) || self.relations.len() >= MAX_RELATIONS {
            return;
        }
        let mut parents = Parents::default();
        for entry in entries {
            for child in children(entry.record.extra(relation)) {
                parents.entry(child).or_default().push(entry.id);
            }
        }
        self.relations.insert(relation.into(), parents);
    }

    /// Ids of the records of a DID.
    pub(crate) fn of_did<'a>(
        &mut self,
        did: &str,
        entries: impl Iterator<Item = &'a Arc<Entry>>,
    ) -> Vec<u64> {
        let by_did = self.by_did.get_or_insert_with(|| {
            let mut by_did = FastMap::<Box<str>, FastSet<u64>>::default();
            for entry in entries {
                let ids = by_did.entry(entry.record.did().into()).or_default();
                ids.insert(entry.id);
            }
            by_did
        });
        by_did.get(did).into_iter().flatten().copied().collect()
    }

    /// Whether a relation is grouped in any record. One that nobody knows is taken for a list.
    pub(crate) fn is_grouped<'a>(
        &mut self,
        relation: &str,
        entries: impl Iterator<Item = &'a Arc<Entry>>,
    ) -> bool {
        if let Some(known) = self.grouped.get(relation) {
            return *known;
        }
        let mut shown = entries.filter_map(|it| it.record.extra(relation));
        let grouped = shown.any(|raw| raw.get().starts_with('{'));
        if self.grouped.len() < MAX_RELATIONS {
            self.grouped.insert(relation.into(), grouped);
        }
        grouped
    }

    /// A snapshot begins, which shows the relations anew.
    pub(crate) fn begin_snapshot(&mut self) {
        self.grouped.clear();
    }

    /// The parents that hold the child.
    pub(crate) fn parents(&self, child: &ChildRemoved) -> SmallVec<[u64; 1]> {
        let did = child.child_did.as_deref().unwrap_or_default();
        let known = self.relations.get(&*child.relation);
        let parents = known.and_then(|it| it.get(&*key(did, &child.child_rkey)));
        parents.cloned().unwrap_or_default()
    }

    /// An entry took another's place, came or went.
    pub(crate) fn moved(&mut self, old: Option<&Entry>, new: Option<&Entry>) {
        if let Some(by_did) = &mut self.by_did {
            follow_dids(by_did, old, new);
        }
        for (relation, parents) in &mut self.relations {
            let before = old.and_then(|it| it.record.extra(relation));
            let after = new.and_then(|it| it.record.extra(relation));
            if before.map(RawValue::get) == after.map(RawValue::get) {
                continue;
            }
            for child in children(before) {
                if let Some(ids) = parents.get_mut(&child) {
                    ids.retain(|id| old.is_none_or(|it| it.id != *id));
                    if ids.is_empty() {
                        parents.remove(&child);
                    }
                }
            }
            for child in children(after) {
                let ids = parents.entry(child).or_default();
                ids.extend(new.map(|it| it.id));
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn follow_dids(
    by_did: &mut FastMap<Box<str>, FastSet<u64>>,
    old: Option<&Entry>,
    new: Option<&Entry>,
) {
    if let Some(gone) = old
        && let Some(ids) = by_did.get_mut(gone.record.did())
    {
        ids.remove(&gone.id);
        if ids.is_empty() {
            by_did.remove(gone.record.did());
        }
    }
    if let Some(come) = new {
        let ids = by_did.entry(come.record.did().into()).or_default();
        ids.insert(come.id);
    }
}

/// Only what tells children apart.
#[derive(Deserialize)]
struct Child<'a> {
    #[serde(borrow, default)]
    did: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    rkey: Option<Cow<'a, str>>,
}

/// The children of a relation, an array or an object of arrays; of anything else, none.
fn children(raw: Option<&RawValue>) -> Vec<Box<str>> {
    let text = raw.map_or("[]", RawValue::get);
    let list: Vec<Child> = if text.starts_with('{') {
        let groups: HashMap<Cow<str>, Vec<Child>> = serde_json::from_str(text).unwrap_or_default();
        groups.into_values().flatten().collect()
    } else {
        serde_json::from_str(text).unwrap_or_default()
    };
    let keys = list
        .into_iter()
        .filter_map(|child| Some(key(&child.did?, &child.rkey?)));
    keys.collect()
}

/// DIDs have no spaces.
fn key(did: &str, rkey: &str) -> Box<str> {
    format!("{did} {rkey}").into()
}
