//! What is known of the hydrated relations of a watch, and of whose records it holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{allowance::Allowance, relation::Relation};
use crate::{
    maps::FastMap,
    pure::{
        protocol::{
            bound::{Bound, MAX_RELATIONS},
            children::{Head, each_child},
            extra::{Extra, Extras},
        },
        store::{entry::Entry, home::Home},
    },
};

/// Longest name of a relation, in bytes.
const MAX_NAME: usize = 256;
/// Of so many children at least one can be told from the others, if they are any.
const MAX_LOOKED_AT: usize = 8;

/// What is known of hydrated relations: nothing until it is first needed, as most watches hydrate none.
#[derive(Debug, Default)]
pub(crate) struct ChildIndex {
    /// Whether any record had something that may be a relation.
    pub(super) is_shown: bool,
    followed: Option<Followed>,
    pub(super) allowance: Allowance,
}

/// Relations by name, and ids of records by DID, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Followed {
    pub(super) relations: BTreeMap<Box<str>, Relation>,
    by_did: FastMap<Box<str>, BTreeSet<u64>>,
}

impl ChildIndex {
    /// The server sent a record of so many bytes.
    pub(crate) fn earn(&mut self, bytes: usize) {
        self.allowance.earn(bytes);
    }

    /// A snapshot begins, which shows everything anew.
    pub(crate) fn begin_snapshot(&mut self) {
        let followed = self.followed.iter_mut();
        let relations = followed.flat_map(|it| it.relations.values_mut());
        relations.for_each(Relation::forget_contradictions);
    }

    /// An entry took another's place, came or went.
    pub(crate) fn moved(&mut self, old: Option<&Entry>, new: Option<&Entry>, home: &Home) {
        if let Some(new) = new.filter(|_| !self.is_shown) {
            self.is_shown = new.record.extras.iter().any(|(_, it)| it.may_be_relation());
        }
        if let Some(followed) = &mut self.followed {
            followed.note(old, new, home);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Follows all relations from now on.
    pub(super) fn follow<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Arc<Entry>>,
        home: &Home,
    ) -> (&mut Followed, &mut Allowance) {
        let followed = self.followed.get_or_insert_with(|| {
            let mut followed = Followed::default();
            for entry in entries {
                followed.note(None, Some(entry), home);
            }
            followed
        });
        (followed, &mut self.allowance)
    }

    /// Ids of the records of an author, the oldest first.
    pub(super) fn of_did(&self, did: &str) -> impl DoubleEndedIterator<Item = u64> {
        let followed = self.followed.as_ref();
        followed.into_iter().flat_map(move |it| it.of_did(did))
    }

    /// All relations that are followed.
    pub(super) fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.followed.iter().flat_map(|it| it.relations.values())
    }

    /// A relation that is followed.
    pub(super) fn relation(&self, name: &str) -> Option<&Relation> {
        self.followed.as_ref()?.relations.get(name)
    }
}

impl Followed {
    /// The relation of this name, whether the server has shown it or not.
    pub(super) fn named(&mut self, name: &str, home: &Home) -> Result<&mut Relation, Bound> {
        let has_room = self.relations.len() < MAX_RELATIONS && name.len() <= MAX_NAME;
        if has_room && !self.relations.contains_key(name) {
            let new = Relation::new(name, home.limit(name));
            self.relations.insert(name.into(), new);
        }
        self.relations.get_mut(name).ok_or(Bound::Relations)
    }

    /// Ids of the records of an author, the oldest first.
    pub(super) fn of_did(&self, did: &str) -> impl DoubleEndedIterator<Item = u64> {
        self.by_did.get(did).into_iter().flatten().copied()
    }

    fn note(&mut self, old: Option<&Entry>, new: Option<&Entry>, home: &Home) {
        self.note_did(old, new);
        let none = Extras::default();
        let had = old.map_or(&none, |it| &it.record.extras);
        let has = new.map_or(&none, |it| &it.record.extras);
        if let Some(entry) = new {
            for (name, after) in has.iter() {
                let before = had.get(name);
                let is_same = before.is_some_and(|it| it.is_shared_with(after));
                if !is_same && let Some(relation) = self.shown(name, after, home) {
                    relation.note(entry.id, &entry.record, before, Some(after));
                }
            }
        }
        if let Some(entry) = old {
            for (name, before) in had.iter().filter(|(name, _)| has.get(name).is_none()) {
                if let Some(relation) = self.relations.get_mut(&**name) {
                    relation.note(entry.id, &entry.record, Some(before), None);
                }
            }
        }
    }

    fn note_did(&mut self, old: Option<&Entry>, new: Option<&Entry>) {
        let did = |it: Option<&Entry>| it.map(|it| (it.record.did().to_owned(), it.id));
        if let (Some(old), Some(new)) = (old, new)
            && old.record.did() == new.record.did()
        {
            return;
        }
        if let Some((did, id)) = did(old)
            && let Some(ids) = self.by_did.get_mut(&*did)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_did.remove(&*did);
            }
        }
        if let Some((did, id)) = did(new) {
            self.by_did.entry(did.into()).or_default().insert(id);
        }
    }

    /// The relation that a record shows in this field, if it is one.
    fn shown(&mut self, name: &str, extra: &Extra, home: &Home) -> Option<&mut Relation> {
        let is_known = self.relations.contains_key(name);
        (is_known || is_relation(extra)).then(|| self.named(name, home).ok())?
    }
}

/// Whether a field holds children: labels are an array too, and a reference is an object.
fn is_relation(extra: &Extra) -> bool {
    let Extra::Raw(raw) = extra else {
        return extra.may_be_relation();
    };
    let (mut seen, mut found) = (0, false);
    each_child(raw, |_, child| {
        seen += 1;
        found = Head::read(child).key().is_some();
        !found && seen < MAX_LOOKED_AT
    });
    found
}
