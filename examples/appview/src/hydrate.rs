//! Children and references, added to the records of a snapshot within the limits of the real server's.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::page::Page;
use crate::query::Query;
use crate::record::Record;
use crate::schema::{Match, Reference, Relation, at_path, text_at};
use crate::wire::{Field, Snapshot};
use crate::world::World;

/// Parents that the real server asks for in one go.
const PARENTS_AT_ONCE: usize = 50;
/// Groups that it reckons with.
const GROUPS: usize = 10;

/// Records of one space, or of none.
type Source = (Option<Arc<str>>, Vec<Arc<Record>>);
/// Children by group, in the order in which the first of each came.
type Groups = Vec<(String, Vec<Arc<Record>>)>;

/// The page's records, hydrated as the query asks; `time` is the one that a child is told with. What belongs to a record
/// is known by its URI alone: one URI in two spaces gets the children of both.
pub(crate) fn hydrate(
    world: &World,
    query: &Query,
    page: &Page,
    time: impl Fn(&Record) -> i64,
) -> Vec<Snapshot> {
    let counters = query.collection.counters();
    let mut snapshots: Vec<_> = page
        .records
        .iter()
        .map(|(record, time)| Snapshot::of(record.clone(), *time))
        .collect();
    for snapshot in &mut snapshots {
        for counter in &counters {
            match snapshot.record.counts.get(&counter.counted) {
                None | Some(0) => {}
                Some(n) => snapshot.add(&counter.name, Field::Count(*n)),
            }
        }
    }
    let nested = |record: &Arc<Record>| Snapshot::nested(record.clone(), time(record));
    let sources = by_source(page);
    for (relation, limit) in &query.relations {
        let children = children(world, relation, *limit, &sources);
        for snapshot in &mut snapshots {
            if let Some(groups) = children.get(&snapshot.record.uri()) {
                let list = |children: &Vec<_>| children.iter().map(nested).collect();
                let groups = groups.iter();
                let groups = groups.map(|(name, children)| (name.clone(), list(children)));
                let field = match relation.groups {
                    Some(_) => Field::Groups(groups.collect()),
                    None => Field::Children(groups.flat_map(|(_, children)| children).collect()),
                };
                snapshot.add(relation.name, field);
            }
        }
    }
    for reference in &query.references {
        let targets = targets(world, reference, &sources);
        for snapshot in &mut snapshots {
            if let Some(target) = targets.get(&snapshot.record.uri()) {
                snapshot.add(reference.name, Field::Target(Box::new(nested(target))));
            }
        }
    }
    snapshots
}

fn by_source(page: &Page) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for (record, _) in &page.records {
        match sources.iter_mut().find(|(space, _)| *space == record.space) {
            Some((_, records)) => records.push(record.clone()),
            None => sources.push((record.space.clone(), vec![record.clone()])),
        }
    }
    sources
}

/// The newest children of each parent. There is one limit to the rows of up to 50 parents together, so that one with many
/// children leaves nothing to the others.
fn children(
    world: &World,
    relation: &'static Relation,
    limit: usize,
    sources: &[Source],
) -> HashMap<String, Groups> {
    let mut found: HashMap<String, Groups> = HashMap::new();
    for (space, parents) in sources {
        let subjects = subjects(relation, parents);
        let groups = if relation.groups.is_some() { GROUPS } else { 1 };
        let most_rows = subjects.len() * limit * groups;
        let mut all = world.records(space.as_ref(), relation.child);
        all.sort_by_key(|child| (std::cmp::Reverse(child.time), child.row));
        for asked in subjects.chunks(PARENTS_AT_ONCE) {
            let asked: HashSet<&str> = asked.iter().map(String::as_str).collect();
            let named = |child: &&Arc<Record>| {
                let subject = text_at(&child.value, relation.field);
                subject.is_some_and(|subject| asked.contains(subject))
            };
            for child in all.iter().filter(named).take(most_rows) {
                for parent in parents_of(child, relation, parents) {
                    let groups = found.entry(parent).or_default();
                    add_child(groups, group_of(relation, child), child, limit);
                }
            }
        }
    }
    found
}

/// What children may name.
fn subjects(relation: &Relation, parents: &[Arc<Record>]) -> Vec<String> {
    let mut seen = HashSet::new();
    match relation.matches {
        Match::Uri => parents.iter().map(|parent| parent.uri()).collect(),
        Match::Did => parents
            .iter()
            .filter(|parent| seen.insert(&parent.did))
            .map(|parent| parent.did.clone())
            .collect(),
    }
}

fn parents_of(child: &Record, relation: &Relation, parents: &[Arc<Record>]) -> Vec<String> {
    let Some(subject) = text_at(&child.value, relation.field) else {
        return Vec::new();
    };
    match relation.matches {
        Match::Uri => vec![subject.to_owned()],
        Match::Did => parents
            .iter()
            .filter(|parent| parent.did == subject)
            .map(|parent| parent.uri())
            .collect(),
    }
}

/// A child without a group is in `other`.
fn group_of(relation: &Relation, child: &Record) -> String {
    let Some(groups) = &relation.groups else {
        return String::new();
    };
    match at_path(&child.value, groups.by) {
        None | Some(Value::Null) => "other".to_owned(),
        Some(Value::String(group)) => group.clone(),
        Some(other) => other.to_string(),
    }
}

fn add_child(groups: &mut Groups, name: String, child: &Arc<Record>, limit: usize) {
    let known = groups.iter().position(|(known, _)| *known == name);
    let at = known.unwrap_or_else(|| {
        groups.push((name, Vec::new()));
        groups.len() - 1
    });
    if groups[at].1.len() < limit {
        groups[at].1.push(child.clone());
    }
}

/// The target of each record that has one.
fn targets(
    world: &World,
    reference: &'static Reference,
    sources: &[Source],
) -> HashMap<String, Arc<Record>> {
    let mut found = HashMap::new();
    for (space, records) in sources {
        for record in records {
            let target = text_at(&record.value, reference.field)
                .and_then(|uri| world.find(space.as_ref(), reference.target, uri));
            if let Some(target) = target {
                found.insert(record.uri(), target);
            }
        }
    }
    found
}
