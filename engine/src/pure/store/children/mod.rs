//! Children of hydrated relations: who their parents are, and what becomes of those.

use std::sync::Arc;

mod allowance;
mod counters;
mod grouping;
mod holders;
pub(super) mod index;
mod relation;

use super::{Store, change::Unknowable, entries::Entries, entry::Entry, window::ChildChange};
use crate::pure::protocol::{
    children::{Child, Head},
    record::{Record, split_at_uri},
    wire::{ChildAdded, ChildRemoved},
};
use allowance::Allowance;
use relation::{Edited, Matching, Relation, Shared};

/// Of an author with more records than this nobody looks whether all have a count that is true.
const MAX_RECOUNTED: usize = 64;

/// Of so many records of an author at least one has what hangs under all of them.
const MAX_SIBLINGS: usize = 8;

/// The records that a parent URI means.
#[derive(Clone, Copy)]
enum Parents<'a> {
    /// The one of this URI, in every space.
    One(&'a str),
    /// Every record of a DID: what a URI with the rkey `_` stands for.
    AllOf(&'a str),
}

impl<'a> Parents<'a> {
    fn read(uri: &'a str) -> Self {
        match split_at_uri(uri) {
            Some((did, _, "_")) => Self::AllOf(did),
            _ => Self::One(uri),
        }
    }

    fn did(self) -> &'a str {
        match self {
            Self::One(uri) => split_at_uri(uri).map_or("", |(did, _, _)| did),
            Self::AllOf(did) => did,
        }
    }

    fn include(self, entry: &Entry) -> bool {
        match self {
            Self::One(uri) => entry.record.uri.as_str() == uri,
            Self::AllOf(did) => entry.record.did() == did,
        }
    }
}

impl Store {
    /// A child of a hydrated relation was added, changed, or moved here from another parent.
    pub fn add_child(&mut self, added: &ChildAdded) -> Result<(), Unknowable> {
        self.window
            .touched_child(|| ChildChange::Added(added.clone()));
        self.children.earn(added.child.get().len());
        let child = Arc::new(Child::new(&added.child));
        let (did, rkey) = child.key().ok_or(Unknowable::Ambiguous)?;
        let named = Parents::read(&added.parent_uri);
        let bytes = child.raw().get().len();
        let in_its_space = |it: &Entry| match child.space() {
            Some(space) => it.record.space.as_deref() == Some(space),
            None => true,
        };

        let (followed, allowance) = self.children.follow(self.entries.iter(), &self.home);
        let relation = followed.named(&added.relation, &self.home);
        let relation = relation.map_err(Unknowable::TooMuch)?;
        relation.named_for(named);
        let is_shown = relation.is_shown();
        let holders = relation.holders.of(did, rkey).into_iter();
        let mut fund = Fund::new(&self.entries, allowance, bytes);
        let parents = match named {
            Parents::One(uri) => fund.afford(self.entries.of(uri), |_| true)?,
            Parents::AllOf(did) => fund.afford_ids(followed.of_did(did), in_its_space)?,
        };
        let left = fund.afford_ids(holders, |it| !named.include(it) && in_its_space(it))?;
        if !parents.is_empty() && !is_shown {
            return Err(Unknowable::Ambiguous);
        }

        let mut shared = Shared::default();
        let mut known = self.certain_other_counts(&added.relation, did, named.did());
        if !(parents.is_empty() && left.is_empty()) {
            known = Unknowable::and(known, self.certain_elsewhere(&added.relation, &child));
        }
        for parent in parents {
            let put = |relation: &Relation, record: &Record, shared: &mut Shared| {
                relation.with(record, &child, shared)
            };
            let done = self.edit_children(parent, &added.relation, &mut shared, put);
            known = Unknowable::and(known, done);
        }
        // No removal is sent for a child that moved.
        for parent in left {
            let take = |relation: &Relation, record: &Record, shared: &mut Shared| {
                relation.without(record, &|it: &Child| it.is(&child), shared)
            };
            let done = self.edit_children(parent, &added.relation, &mut shared, take);
            known = Unknowable::and(known, done);
        }
        known
    }

    /// A child of a hydrated relation was removed. The server may name another child's parent, or another relation: it knows
    /// them by rkey alone. The author that it names is the true one.
    pub fn remove_child(&mut self, removed: &ChildRemoved) -> Result<(), Unknowable> {
        self.window
            .touched_child(|| ChildChange::Removed(removed.clone()));
        let named = Parents::read(&removed.parent_uri);
        let rkey = &*removed.child_rkey;
        let Some(did) = removed.child_did.as_deref() else {
            return self.remove_unnamed(removed);
        };
        let (followed, allowance) = self.children.follow(self.entries.iter(), &self.home);
        let relation = followed.named(&removed.relation, &self.home);
        let relation = relation.map_err(Unknowable::TooMuch)?;
        if let Parents::AllOf(_) = named {
            relation.named_for(named);
        }
        let collection = relation.collection.clone();
        let mut fund = Fund::new(&self.entries, allowance, 0);
        let mut holders = Vec::new();
        for (name, relation) in &mut followed.relations {
            let ids = relation.holders.of(did, rkey);
            if ids.is_empty() {
                continue;
            }
            let is_alike = collection.is_some() && relation.collection == collection;
            if !relation.is(&removed.relation) && !is_alike {
                return Err(Unknowable::Ambiguous);
            }
            let held = fund.afford_ids(ids.into_iter(), |_| true)?;
            if let Some(first) = held.first().and_then(|id| self.entries.get(*id)) {
                relation.matching_of(first, &self.entries);
            }
            holders.push((name.clone(), held));
        }
        let all = holders.iter().flat_map(|(_, held)| held);
        let mut all = all.filter_map(|id| self.entries.get(*id));
        let Some(first) = all.next() else {
            let counts = self.children.relations();
            let counts = counts.map(|it| self.certain_counts(it, did));
            let counts = counts.fold(Ok(()), Unknowable::and);
            return Unknowable::and(counts, self.certain_without(removed, named));
        };
        // The event names no space: there may be one such child in each.
        if all.any(|it| it.record.space != first.record.space) {
            return Err(Unknowable::Ambiguous);
        }
        let parents = first.record.did();
        let mut known = self.certain_other_counts(&removed.relation, did, parents);
        let is_gone = |it: &Child| it.key() == Some((did, rkey));
        for (name, held) in holders {
            let mut shared = Shared::default();
            for parent in held {
                let take = |relation: &Relation, record: &Record, shared: &mut Shared| {
                    relation.without(record, &is_gone, shared)
                };
                let done = self.edit_children(parent, &name, &mut shared, take);
                known = Unknowable::and(known, done);
            }
        }
        known
    }

    /// A new record of an author lacks what hangs under every record of theirs, though the server's own has it. Gives it
    /// that; says what it cannot know.
    pub(super) fn inherit(&mut self, record: &mut Record) -> Option<Unknowable> {
        if !self.children.is_shown {
            return None;
        }
        let (followed, allowance) = self.children.follow(self.entries.iter(), &self.home);
        let is_sibling =
            |it: &&Arc<Entry>| it.record.space == record.space && it.record.uri != record.uri;
        let known = |id| self.entries.get(id)?.confirmed().filter(is_sibling);
        let siblings = followed.of_did(record.did()).rev().filter_map(known);
        let siblings: Vec<_> = siblings.take(MAX_SIBLINGS).cloned().collect();
        let mut doubt = None;
        for (at, sibling) in siblings.iter().enumerate() {
            for (name, extra) in sibling.record.extras.iter() {
                let Some(relation) = followed.relations.get_mut(&**name) else {
                    continue;
                };
                if record.extras.get(name).is_some() {
                    continue;
                }
                match relation.matching_of(sibling, &self.entries) {
                    Some(Matching::Uri) => continue,
                    Some(Matching::Did) => match allowance.pay(extra.bytes()) {
                        Ok(()) => record.extras.set(name, Some(extra.clone())),
                        Err(bound) => doubt = Some(Unknowable::TooMuch(bound)),
                    },
                    None => doubt = doubt.or(Some(Unknowable::Doubtful)),
                }
                // The ones before lack it: something is not as it should be.
                if at > 0 {
                    doubt = doubt.or(Some(Unknowable::Doubtful));
                }
            }
        }
        doubt
    }

    /// Changes the children of what the server has said of a record.
    fn edit_children(
        &mut self,
        parent: u64,
        relation: &str,
        shared: &mut Shared,
        edit: impl FnOnce(&Relation, &Record, &mut Shared) -> Result<Option<Edited>, Unknowable>,
    ) -> Result<(), Unknowable> {
        let Some(parent) = self.entries.get(parent).cloned() else {
            return Ok(());
        };
        let (Some(known), Some(relation)) = (parent.confirmed(), self.children.relation(relation))
        else {
            return Ok(());
        };
        let Some(Edited { record, is_certain }) = edit(relation, &known.record, shared)? else {
            return Ok(());
        };
        self.rebase(&parent, record);
        is_certain.then_some(()).ok_or(Unknowable::Doubtful)
    }

    /// Of several relations of one collection only one is told of its children.
    fn certain_elsewhere(&self, relation: &str, child: &Child) -> Result<(), Unknowable> {
        let others = self.children.relations().filter(|it| !it.is(relation));
        let collection = Head::read(child.raw()).collection;
        let mut alike =
            others.filter(|it| collection.is_some() && it.collection.as_deref() == collection);
        alike.next().map_or(Ok(()), |_| Err(Unknowable::Doubtful))
    }

    /// A DID-matched child in a space has the records of its own author counted anew, whomever it names.
    fn certain_counts(&self, relation: &Relation, author: &str) -> Result<(), Unknowable> {
        if relation.matching == Some(Matching::Uri) || !relation.may_count() {
            return Ok(());
        }
        let records = self.children.of_did(author).take(MAX_RECOUNTED + 1);
        let is_true = |(n, id)| {
            let record = self.entries.get(id).and_then(Entry::confirmed);
            let record = record.filter(|it| it.record.space.is_some());
            n < MAX_RECOUNTED && record.is_none_or(|it| relation.is_recounted(&it.record))
        };
        match records.enumerate().all(is_true) {
            true => Ok(()),
            false => Err(Unknowable::Doubtful),
        }
    }

    /// The same of one relation, unless its parents are the author's own records: those are counted anyway.
    fn certain_other_counts(
        &self,
        relation: &str,
        author: &str,
        parents: &str,
    ) -> Result<(), Unknowable> {
        let relation = self.children.relation(relation);
        let relation = relation.filter(|_| parents != author);
        relation.map_or(Ok(()), |it| self.certain_counts(it, author))
    }

    /// A child was removed that nobody is seen to hold: one out of sight, if there may be any.
    fn certain_without(
        &self,
        removed: &ChildRemoved,
        named: Parents<'_>,
    ) -> Result<(), Unknowable> {
        let Some(relation) = self.children.relation(&removed.relation) else {
            return Ok(());
        };
        let may_hide = |it: &Arc<Entry>| {
            relation.hides_any(&it.record) || relation.has_rkey(&it.record, &removed.child_rkey)
        };
        let hides = match named {
            Parents::One(uri) => self.entries.of(uri).any(may_hide),
            Parents::AllOf(did) => {
                let one = self.children.of_did(did).next_back();
                one.and_then(|id| self.entries.get(id))
                    .is_some_and(may_hide)
            }
        };
        match hides {
            true => Err(Unknowable::Doubtful),
            false => Ok(()),
        }
    }

    /// Without an author nobody knows which child it is, as soon as there may be one.
    fn remove_unnamed(&mut self, removed: &ChildRemoved) -> Result<(), Unknowable> {
        let named = Parents::read(&removed.parent_uri);
        let (followed, _) = self.children.follow(self.entries.iter(), &self.home);
        let relation = followed.named(&removed.relation, &self.home);
        relation.map_err(Unknowable::TooMuch)?;
        match self.certain_without(removed, named) {
            Ok(()) => Ok(()),
            Err(_) => Err(Unknowable::Ambiguous),
        }
    }
}

/// The record that an event changes costs nothing up to this size, in bytes.
const FREE: usize = 256 * 1024;

/// Looks up the records that an event changes, and pays for them: to change one and to tell it costs what it is. The first
/// one is paid for by the event itself, if it is not out of all proportion.
struct Fund<'a> {
    entries: &'a Entries,
    allowance: &'a mut Allowance,
    /// What each of them gets.
    more: usize,
    is_first: bool,
}

impl<'a> Fund<'a> {
    fn new(entries: &'a Entries, allowance: &'a mut Allowance, more: usize) -> Self {
        Self {
            entries,
            allowance,
            more,
            is_first: true,
        }
    }

    /// Those that the server has said, and that are wanted.
    fn afford<'e>(
        &mut self,
        entries: impl Iterator<Item = &'e Arc<Entry>>,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<u64>, Unknowable> {
        let mut afforded = Vec::new();
        for entry in entries.filter(|it| it.confirmed().is_some() && wanted(it)) {
            let free = if self.is_first { FREE } else { 0 };
            self.is_first = false;
            let cost = (entry.size() + self.more).saturating_sub(free);
            self.allowance.pay(cost).map_err(Unknowable::TooMuch)?;
            afforded.push(entry.id);
        }
        Ok(afforded)
    }

    fn afford_ids(
        &mut self,
        ids: impl Iterator<Item = u64>,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<u64>, Unknowable> {
        let entries = self.entries;
        self.afford(ids.filter_map(|id| entries.get(id)), wanted)
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod bound_tests;
#[cfg(test)]
mod model_tests;
