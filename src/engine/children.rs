//! Which parents hold a child: a child that moves is only announced at its new parent.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{entry::Entry, store::FastMap, wire::ChildRemoved};

/// Relations that are followed. A query hydrates a handful.
const MAX_RELATIONS: usize = 16;

/// Parents by relation and child, of the relations that had a child added live.
#[derive(Debug, Default)]
pub struct ChildIndex(HashMap<Box<str>, Parents>);

/// Ids of parents by child.
type Parents = FastMap<Box<str>, SmallVec<[u64; 1]>>;

impl ChildIndex {
    /// Follows a relation from now on.
    pub fn build(&mut self, relation: &str, entries: &FastMap<u64, Arc<Entry>>) {
        if self.0.contains_key(relation) || self.0.len() >= MAX_RELATIONS {
            return;
        }
        let mut parents = Parents::default();
        for entry in entries.values() {
            for child in children(entry.record.extra(relation)) {
                parents.entry(child).or_default().push(entry.id);
            }
        }
        self.0.insert(relation.into(), parents);
    }

    /// The parents that hold the child.
    pub fn parents(&self, child: &ChildRemoved) -> SmallVec<[u64; 1]> {
        let did = child.child_did.as_deref().unwrap_or_default();
        let known = self.0.get(&*child.relation);
        let parents = known.and_then(|it| it.get(&*key(did, &child.child_rkey)));
        parents.cloned().unwrap_or_default()
    }

    /// An entry took another's place, came or went.
    pub fn moved(&mut self, old: Option<&Entry>, new: Option<&Entry>) {
        for (relation, parents) in &mut self.0 {
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

    /// Follows nothing any more.
    pub fn clear(&mut self) {
        self.0.clear();
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
