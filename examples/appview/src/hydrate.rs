//! Children and references: added to the records of a snapshot, and followed live.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::query::{Query, Scope};
use crate::record::{Change, Record, What, record_uri};
use crate::schema::{Match, Reference, Relation, text_at};
use crate::ticket::QuerySpec;
use crate::wire::{Body, Event, Field, Snapshot};
use crate::world::World;

/// A snapshot's records, hydrated, and what a live watch must remember of them.
pub(crate) struct Hydrated {
    pub(crate) records: Vec<Snapshot>,
    pub(crate) tracker: Tracker,
}

/// Hydrates the records as the query asks.
pub(crate) fn hydrate(world: &World, query: &Query, records: &[Arc<Record>]) -> Hydrated {
    let mut tracker = Tracker::default();
    let mut sources = Sources {
        world,
        known: HashMap::new(),
    };
    let mut hydrate_one = |record: &Arc<Record>| {
        let mut snapshot = Snapshot::of(record.clone(), &query.scope);
        if !query.relations.is_empty() {
            tracker.parents.insert(record.uri());
        }
        for (relation, limit) in &query.relations {
            let children = sources.children(relation, record);
            add_children(
                &mut snapshot,
                &mut tracker,
                relation,
                *limit,
                &children,
                &query.scope,
                record,
            );
        }
        for reference in &query.references {
            if let Some(target) = sources.target(reference, record) {
                let target = Snapshot::nested(target, &query.scope);
                let field = Field::Target(Box::new(target));
                snapshot.hydrated.0.push((reference.name.into(), field));
            }
        }
        snapshot
    };
    let records = records.iter().map(&mut hydrate_one).collect();
    Hydrated { records, tracker }
}

/// Adds the count and the newest children; a parent without children gets neither.
fn add_children(
    snapshot: &mut Snapshot,
    tracker: &mut Tracker,
    relation: &'static Relation,
    limit: usize,
    children: &[Arc<Record>],
    scope: &Scope,
    parent: &Record,
) {
    if children.is_empty() {
        return;
    }
    let mut groups: BTreeMap<String, Vec<Snapshot>> = BTreeMap::new();
    for child in children {
        let named = relation
            .group_by
            .map(|path| text_at(&child.value, path).unwrap_or("other"));
        let group = groups
            .entry(named.unwrap_or_default().to_owned())
            .or_default();
        if group.len() < limit {
            tracker.remember(&child.rkey, &parent.uri(), relation.name);
            group.push(Snapshot::nested(child.clone(), scope));
        }
    }
    let field = match relation.group_by {
        Some(_) => Field::Groups(groups),
        None => Field::Children(groups.into_values().flatten().collect()),
    };
    let fields = &mut snapshot.hydrated.0;
    fields.push((
        format!("{}Count", relation.name),
        Field::Count(children.len()),
    ));
    fields.push((relation.name.into(), field));
}

type BySubject = HashMap<String, Vec<Arc<Record>>>;

/// Children by subject, read once per space and relation.
struct Sources<'a> {
    world: &'a World,
    known: HashMap<(Option<Arc<str>>, &'static str), BySubject>,
}

impl Sources<'_> {
    /// The children of `parent` in its own space, newest first.
    fn children(&mut self, relation: &'static Relation, parent: &Record) -> Vec<Arc<Record>> {
        let key = (parent.space.clone(), relation.name);
        let by_subject = self.known.entry(key).or_insert_with(|| {
            let mut children = match parent.space.as_deref() {
                Some(space) => self.world.in_space(space, relation.child),
                None => self
                    .world
                    .everywhere(relation.child, |child| child.space.is_none()),
            };
            children.sort_by(|a, b| (b.created_ms, &b.rkey).cmp(&(a.created_ms, &a.rkey)));
            let mut by_subject = BySubject::new();
            for child in children {
                if let Some(subject) = text_at(&child.value, relation.field) {
                    by_subject
                        .entry(subject.to_owned())
                        .or_default()
                        .push(child);
                }
            }
            by_subject
        });
        let found = match relation.matches {
            Match::Uri => by_subject.get(&parent.uri()),
            Match::Did => by_subject.get(&parent.did),
        };
        found.cloned().unwrap_or_default()
    }

    fn target(&self, reference: &'static Reference, record: &Record) -> Option<Arc<Record>> {
        let uri = text_at(&record.value, reference.field)?;
        self.world
            .find(record.space.as_ref(), reference.target, uri)
    }
}

/// What the server remembers of one watch, to route the changes of children.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    parents: HashSet<String>,
    /// By rkey alone, as in the real server: of two children with one rkey only one is known.
    children: HashMap<String, (String, String)>,
}

impl Tracker {
    fn remember(&mut self, rkey: &str, parent: &str, relation: &str) {
        self.children
            .insert(rkey.into(), (parent.into(), relation.into()));
    }

    /// The event that this change is to a watch of `spec`, if it is one.
    pub(crate) fn translate(
        &mut self,
        change: &Change,
        spec: &QuerySpec,
        body: Body,
    ) -> Option<Event> {
        match &change.what {
            What::Put(record) if record.collection.nsid == spec.collection => {
                if !spec.hydrate.is_empty() {
                    self.parents.insert(record.uri());
                }
                Some(Event::record_created(record, change.at_ms, body))
            }
            What::Put(child) => self.child_put(child, spec, body),
            What::Deleted {
                collection,
                did,
                rkey,
            } if collection.nsid == spec.collection => {
                let uri = record_uri(did, collection, rkey);
                self.parents.remove(&uri);
                Some(Event::record_deleted(&uri, did, rkey))
            }
            What::Deleted {
                collection,
                did,
                rkey,
            } => {
                let (_, relation) = self.children.get(rkey)?;
                if spec.hydrate.get(relation)?.child_collection != collection.nsid {
                    return None;
                }
                let (parent, relation) = self.children.remove(rkey)?;
                Some(Event::hydration_removed(&parent, &relation, rkey, did))
            }
            What::Kicked { .. } => None,
        }
    }

    fn child_put(&mut self, child: &Record, spec: &QuerySpec, body: Body) -> Option<Event> {
        let nsid = child.collection.nsid;
        let mut hydrated = spec.hydrate.iter();
        let (relation, found) = hydrated.find(|(_, found)| found.child_collection == nsid)?;
        let subject = text_at(&child.value, &found.match_field)?;
        let parent = if found.match_mode.as_deref() == Some("did") {
            let prefix = format!("at://{subject}/{}/", spec.collection);
            self.parents.iter().find(|uri| uri.starts_with(&prefix))?;
            format!("{prefix}_")
        } else {
            self.parents.get(subject)?.clone()
        };
        self.remember(&child.rkey, &parent, relation);
        Some(Event::hydration_added(&parent, relation, child, body))
    }
}
