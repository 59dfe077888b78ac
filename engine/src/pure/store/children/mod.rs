//! Children of hydrated relations: who their parents are, and what becomes of those.

use std::sync::Arc;

pub(super) mod index;
mod lists;

use super::{Store, change::Unknowable, entry::Entry, window::ChildChange};
use crate::pure::protocol::{
    record::split_at_uri,
    wire::{ChildAdded, ChildRemoved},
};

impl Store {
    /// A child of a hydrated relation was added, changed, or moved here from another parent.
    pub fn add_child(&mut self, added: &ChildAdded) -> Result<(), Unknowable> {
        self.window
            .touched_child(|| ChildChange::Added(added.clone()));
        let parents = self.parents(&added.parent_uri);
        // A parent without children does not tell whether its relation is grouped; others may.
        let first = |it: &Arc<Entry>| it.record.extra(&added.relation).is_none();
        let grouped = |store: &mut Self| {
            let (children, entries) = (&mut store.children, store.entries.iter());
            children.is_grouped(&added.relation, entries)
        };
        if parents.iter().any(first) && grouped(self) {
            return Err(Unknowable::Ambiguous);
        }
        let child = lists::Child::read(added)?;
        let mut certain = true;
        for parent in &parents {
            let known = parent.confirmed().unwrap_or(parent);
            let added = lists::add(&known.record, &child)?;
            certain &= added.certain;
            self.rebase(parent, added.parent);
        }
        if !lists::stands_for_all(&added.parent_uri) {
            self.leave_other_parents(&child, &parents)?;
        }
        match certain {
            true => Ok(()),
            false => Err(Unknowable::Doubtful),
        }
    }

    /// No removal is sent for a child that moved.
    fn leave_other_parents(
        &mut self,
        child: &lists::Child,
        parents: &[Arc<Entry>],
    ) -> Result<(), Unknowable> {
        let Some(removed) = child.removal() else {
            return Ok(());
        };
        self.children.build(&removed.relation, self.entries.iter());
        for id in self.children.parents(&removed) {
            let is_new_one = parents.iter().any(|parent| parent.id == id);
            if let Some(parent) = self.entries.get(id).filter(|_| !is_new_one).cloned()
                && let Some(known) = parent.confirmed()
                && child
                    .space()
                    .is_none_or(|it| known.record.space.as_deref() == Some(it))
                && let Some(record) = lists::remove(&known.record, &removed)?
            {
                self.rebase(&parent, record);
            }
        }
        Ok(())
    }

    /// A child of a hydrated relation was removed.
    pub fn remove_child(&mut self, removed: &ChildRemoved) -> Result<(), Unknowable> {
        self.window
            .touched_child(|| ChildChange::Removed(removed.clone()));
        for parent in self.parents(&removed.parent_uri) {
            let known = parent.confirmed().unwrap_or(&parent);
            if let Some(record) = lists::remove(&known.record, removed)? {
                self.rebase(&parent, record);
            }
        }
        Ok(())
    }

    /// The records that a parent URI means: rkey `_` stands for every record of its DID.
    fn parents(&mut self, uri: &str) -> Vec<Arc<Entry>> {
        match split_at_uri(uri) {
            Some((did, _, "_")) => {
                let ids = self.children.of_did(did, self.entries.iter());
                ids.iter()
                    .filter_map(|id| self.entries.get(*id).cloned())
                    .collect()
            }
            _ => self.entries.of(uri).cloned().collect(),
        }
    }
}
