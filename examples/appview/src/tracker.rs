//! What the server remembers of one watch, to tell it of children that come and go, with all the real one's slips.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::query::Query;
use crate::record::{Change, Record, What, record_uri};
use crate::schema::{Collection, Match, Relation, text_at};
use crate::ticket::HydrateSpec;
use crate::wire::{Body, Event, Field, Snapshot};

/// Which children are followed live.
#[derive(Debug)]
enum Followed {
    /// In the worker: those that the URL hydrates. Of relations with one child collection the last one configured counts.
    Relations(Vec<&'static Relation>),
    /// In a Durable Object: those that the ticket names, by URI only.
    Specs(BTreeMap<String, HydrateSpec>),
}

/// What the server remembers of one watch.
#[derive(Debug)]
pub(crate) struct Tracker {
    collection: &'static Collection,
    followed: Followed,
    parents: HashSet<String>,
    authors: HashSet<String>,
    /// By rkey alone: of two children with one rkey only one is known. (Parent, relation).
    children: HashMap<String, (String, String)>,
}

impl Tracker {
    /// Of a watch that the worker carries.
    pub(crate) fn in_worker(query: &Query) -> Self {
        let hydrated = query.relations.iter().map(|(relation, _)| *relation);
        let relations = hydrated.filter(|relation| {
            let mut of_child = query.collection.relations.iter();
            let last = of_child.rfind(|other| other.child == relation.child);
            last.is_some_and(|last| last.name == relation.name)
        });
        Self::new(query.collection, Followed::Relations(relations.collect()))
    }

    /// Of a socket that ends in a Durable Object.
    pub(crate) fn in_object(query: &Query, specs: BTreeMap<String, HydrateSpec>) -> Self {
        Self::new(query.collection, Followed::Specs(specs))
    }

    fn new(collection: &'static Collection, followed: Followed) -> Self {
        Self {
            collection,
            followed,
            parents: HashSet::new(),
            authors: HashSet::new(),
            children: HashMap::new(),
        }
    }

    /// Remembers what a snapshot told; nothing where no children are asked for.
    pub(crate) fn see(&mut self, query: &Query, snapshot: &[Snapshot]) {
        if query.relations.is_empty() {
            return;
        }
        for told in snapshot {
            let uri = told.record.uri();
            for (relation, field) in &told.hydrated.0 {
                let children: Vec<_> = match field {
                    Field::Children(children) => children.iter().collect(),
                    Field::Groups(groups) => groups.iter().flat_map(|(_, group)| group).collect(),
                    Field::Count(_) | Field::Target(_) => continue,
                };
                for child in children {
                    self.remember(&child.record.rkey, &uri, relation);
                }
            }
            self.authors.insert(told.record.did.clone());
            self.parents.insert(uri);
        }
    }

    fn remember(&mut self, rkey: &str, parent: &str, relation: &str) {
        let known = (parent.to_owned(), relation.to_owned());
        self.children.insert(rkey.to_owned(), known);
    }

    fn follows_nothing(&self) -> bool {
        match &self.followed {
            Followed::Relations(relations) => relations.is_empty(),
            Followed::Specs(specs) => specs.is_empty(),
        }
    }

    /// The event that this change is to the watch, if it is one.
    pub(crate) fn translate(&mut self, change: &Change) -> Option<Event> {
        match &change.what {
            What::Put(record) if record.collection.nsid == self.collection.nsid => {
                if !self.follows_nothing() {
                    self.parents.insert(record.uri());
                    self.authors.insert(record.did.clone());
                }
                Some(Event::record_created(record, change.at_ms, self.body()))
            }
            What::Put(child) => self.child_put(child),
            What::Deleted {
                collection,
                did,
                rkey,
            } if collection.nsid == self.collection.nsid => {
                let uri = record_uri(did, collection, rkey);
                self.parents.remove(&uri);
                Some(Event::record_deleted(&uri, did, rkey))
            }
            What::Deleted {
                collection,
                did,
                rkey,
            } => self.child_deleted(collection, did, rkey),
            What::Kicked { .. } => None,
        }
    }

    fn body(&self) -> Body {
        match self.followed {
            Followed::Relations(_) => Body::Value,
            Followed::Specs(_) => Body::Record,
        }
    }

    fn child_put(&mut self, child: &Record) -> Option<Event> {
        let (parent, relation) = self.parent_of(child)?;
        self.remember(&child.rkey, &parent, &relation);
        let body = self.body();
        Some(Event::hydration_added(&parent, &relation, child, body))
    }

    fn parent_of(&self, child: &Record) -> Option<(String, String)> {
        let nsid = child.collection.nsid;
        match &self.followed {
            Followed::Relations(relations) => {
                let relation = relations.iter().find(|it| it.child == nsid)?;
                let subject = text_at(&child.value, relation.field)?;
                let parent = match relation.matches {
                    Match::Uri => self.parents.get(subject)?.clone(),
                    // It stands for every record of theirs.
                    Match::Did => {
                        let author = self.authors.get(subject)?;
                        format!("at://{author}/{}/_", self.collection.nsid)
                    }
                };
                Some((parent, relation.name.to_owned()))
            }
            Followed::Specs(specs) => specs.iter().find_map(|(relation, spec)| {
                let is_child = spec.child_collection == nsid;
                let subject = text_at(&child.value, &spec.match_field).filter(|_| is_child)?;
                let parent = self.parents.get(subject)?;
                Some((parent.clone(), relation.clone()))
            }),
        }
    }

    fn child_deleted(&mut self, collection: &Collection, did: &str, rkey: &str) -> Option<Event> {
        let (_, known) = self.children.get(rkey)?;
        let is_told = match &self.followed {
            // Whichever relation the rkey was last seen in, it is the one that is named.
            Followed::Relations(relations) => {
                relations.iter().any(|it| it.child == collection.nsid)
            }
            Followed::Specs(specs) => specs
                .get(known)
                .is_some_and(|spec| spec.child_collection == collection.nsid),
        };
        if !is_told {
            return None;
        }
        let (parent, relation) = self.children.remove(rkey)?;
        Some(Event::hydration_removed(&parent, &relation, rkey, did))
    }
}
