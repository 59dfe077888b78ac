//! The counters of a relation: `<relation>Count`, and `<relation><Group>Count` of some of its groups.
//!
//! No event says that they changed. The server counts a record's children anew whenever one of them comes, changes or goes;
//! by child, or by author. Zero counts are absent.

use std::{collections::HashSet, sync::Arc};

use serde_json::value::{RawValue, to_raw_value};

use crate::{
    maps::{FastMap, FastSet},
    pure::protocol::{
        children::{Child, Children},
        extra::Extra,
        json::plain,
        record::Record,
    },
};

/// Groups whose counters are remembered.
const MAX_GROUPS: usize = 256;
/// Longest name of a group that has a counter, in bytes.
const MAX_NAME: usize = 1024;

/// Which counters a relation has, as far as the server has shown them.
#[derive(Debug)]
pub(super) struct Counters {
    /// The counter of all children.
    total: Box<str>,
    /// Whether its children are counted at all; `None` while that has not shown.
    is_counted: Option<bool>,
    /// The counters of groups; `None` for a group that has none.
    groups: FastMap<Box<str>, Option<Box<str>>>,
    /// All counters of groups that were seen.
    names: FastSet<Box<str>>,
    /// There are some of which nobody knows what they count.
    has_odd: bool,
}

impl Counters {
    /// Of a relation of which nothing is known.
    pub(super) fn new(relation: &str) -> Self {
        Self {
            total: format!("{relation}Count").into(),
            is_counted: None,
            groups: FastMap::default(),
            names: FastSet::default(),
            has_odd: false,
        }
    }

    /// How many children the server says a record has.
    pub(super) fn count_all(&self, record: &Record) -> Option<i64> {
        count(record, &self.total)
    }

    /// The server showed a record with children in these groups. `is_by_uri`: whenever one of them comes, changes or goes,
    /// they are counted; `was_counted`: that happened since the record is there, if they are counted at all.
    pub(super) fn learn<'a>(
        &mut self,
        relation: &str,
        record: &Record,
        groups: impl Iterator<Item = &'a str>,
        is_by_uri: bool,
        was_counted: bool,
    ) {
        if self.count_all(record).is_none() {
            if was_counted {
                self.is_counted.get_or_insert(false);
            }
            return;
        }
        self.is_counted = Some(true);
        for group in groups.filter(|it| it.len() <= MAX_NAME) {
            let counter = counters(relation, group).find(|it| count(record, it).is_some());
            if let Some(counter) = &counter {
                self.names.insert(counter.as_str().into());
            }
            // A count that is out of date tells of no group that it has no counter.
            let has_room = self.groups.len() < MAX_GROUPS && (is_by_uri || counter.is_some());
            match (self.groups.get_mut(group), counter) {
                (Some(known), Some(counter)) => *known = Some(counter.into()),
                (None, counter) if has_room => {
                    self.groups.insert(group.into(), counter.map(Into::into));
                }
                _ => {}
            }
        }
        let mut all = counters_on(record, relation).into_iter();
        self.has_odd |= all.any(|it| !self.names.contains(&*it));
    }

    /// What contradicts itself is learned anew.
    pub(super) fn forget_contradictions(&mut self) {
        self.has_odd = false;
    }

    /// Whether the server may count children.
    pub(super) fn may_count(&self) -> bool {
        self.is_counted != Some(false)
    }

    /// Whether the server counts the children of this record.
    fn counts(&self, record: &Record) -> bool {
        self.is_counted == Some(true) || self.count_all(record).is_some()
    }

    /// Sets the counters of a record among whose children one of this author came, moved or went. Says whether the server
    /// certainly has the same.
    pub(super) fn follow(
        &self,
        relation: &str,
        record: &mut Record,
        before: &Children,
        after: &Children,
        author: &str,
    ) -> bool {
        if !self.counts(record) {
            return self.is_counted.is_some();
        }
        let known = self.count_all(record);
        if known.is_none() && !before.is_empty() {
            return false;
        }
        let (counted, mut certain) = step(known, before.iter(), after.iter(), author);
        set(record, &self.total, counted);
        for group in groups(before, after) {
            let (before, after) = (before.group(group), after.group(group));
            if before.len() == after.len() {
                continue;
            }
            match self.counter_of(relation, record, group) {
                Counter::Known(counter) => {
                    let known = count(record, &counter);
                    let (counted, is_certain) = step(known, before.iter(), after.iter(), author);
                    set(record, &counter, counted);
                    certain &= is_certain;
                }
                Counter::None => {}
                Counter::Unknown => certain = false,
            }
        }
        certain
    }

    /// Sets the counters of a record whose children were counted anew. Says whether the server certainly has the same.
    pub(super) fn recount(
        &self,
        relation: &str,
        record: &mut Record,
        before: &Children,
        after: &Children,
    ) -> bool {
        if !self.counts(record) {
            return self.is_counted.is_some();
        }
        let (counted, mut certain) = number(after.iter());
        // What is left of groups that are empty now was out of date.
        for name in counters_on(record, relation) {
            certain &= self.names.contains(&*name);
            set(record, &name, 0);
        }
        set(record, &self.total, counted);
        for group in groups(before, after) {
            match self.counter_of(relation, record, group) {
                Counter::Known(counter) => {
                    let (counted, is_certain) = number(after.group(group).iter());
                    set(record, &counter, counted);
                    certain &= is_certain;
                }
                Counter::None => {}
                Counter::Unknown => certain = false,
            }
        }
        certain
    }

    /// Whether the counters of a record certainly are what they would be if its children were counted anew.
    pub(super) fn are_true(&self, relation: &str, record: &Record, children: &Children) -> bool {
        let is_true = |counter: &str, children: &[Arc<Child>]| {
            number(children.iter()) == (count(record, counter).unwrap_or(0), true)
        };
        let all: Vec<_> = children.iter().cloned().collect();
        let mut known = Vec::new();
        let groups_are_true = groups(children, children).into_iter().all(|group| {
            match self.counter_of(relation, record, group) {
                Counter::Known(counter) => {
                    let is_true = is_true(&counter, children.group(group));
                    known.push(counter);
                    is_true
                }
                Counter::None => true,
                Counter::Unknown => false,
            }
        });
        let mut on_it = counters_on(record, relation).into_iter();
        groups_are_true
            && is_true(&self.total, &all)
            && on_it.all(|name| known.iter().any(|it| **it == *name))
    }

    fn counter_of(&self, relation: &str, record: &Record, group: &str) -> Counter {
        if self.has_odd {
            return Counter::Unknown;
        }
        match self.groups.get(group) {
            Some(Some(known)) => Counter::Known(known.to_string()),
            Some(None) => Counter::None,
            None => {
                let is_known =
                    |it: &String| self.names.contains(&**it) || count(record, it).is_some();
                let known = counters(relation, group).find(is_known);
                known.map_or(Counter::Unknown, Counter::Known)
            }
        }
    }
}

/// The counter of a group.
enum Counter {
    /// Its field.
    Known(String),
    /// There is none.
    None,
    /// Nobody knows whether there is one.
    Unknown,
}

/// The groups of two versions of a relation, if it is grouped.
fn groups<'a>(before: &'a Children, after: &'a Children) -> Vec<&'a str> {
    let both = after.groups().iter().chain(before.groups());
    let mut groups: Vec<&str> = both.map(|it| &*it.name).collect();
    groups.sort_unstable();
    groups.dedup();
    groups.retain(|_| after.is_grouped());
    groups
}

/// The fields of a record that look like counters of the relation's groups; one beside children of its own is another
/// relation's.
fn counters_on(record: &Record, relation: &str) -> Vec<Arc<str>> {
    let fields = record.extras.starting_with(relation).map(|(name, _)| name);
    let counters = fields.filter(|name| {
        let field = name.strip_suffix("Count").unwrap_or(relation);
        field != relation && record.extras.get(field).is_none()
    });
    counters.cloned().collect()
}

/// What the counter of a group may be called. Its value in the body is often longer than its name: `x.y.rsvp#going` is
/// `Going`.
fn counters(relation: &str, group: &str) -> impl Iterator<Item = String> {
    let group = plain(group).unwrap_or_default();
    let ends = ['#', '.', '/', ':'].map(|it| group.rsplit_once(it).map(|(_, end)| end));
    let names = ends.into_iter().flatten().chain([group]);
    let names = names.filter_map(move |name| {
        let first = name.chars().next()?;
        let rest = name.strip_prefix(first)?;
        Some(format!("{relation}{}{rest}Count", first.to_uppercase()))
    });
    names.collect::<Vec<_>>().into_iter()
}

/// How many children the server says there are, those included that the query left out.
pub(super) fn count(record: &Record, counter: &str) -> Option<i64> {
    match record.extras.get(counter)? {
        Extra::Scalar(raw) => raw.get().parse().ok(),
        Extra::Raw(_) | Extra::Children(_) => None,
    }
}

/// Zero counts are absent.
fn set(record: &mut Record, counter: &str, count: i64) {
    let raw: Option<Box<RawValue>> = (count > 0).then(|| to_raw_value(&count).ok()).flatten();
    record.extras.set(counter, raw.map(Extra::new));
}

/// What a counter becomes when a child of this author comes or goes, and whether that is certain: the server counts
/// children or authors, and may count some that are not in sight.
fn step<'a>(
    counted: Option<i64>,
    before: impl Iterator<Item = &'a Arc<Child>> + Clone,
    after: impl Iterator<Item = &'a Arc<Child>> + Clone,
    author: &str,
) -> (i64, bool) {
    let counted = counted.unwrap_or(0);
    let (had, has) = (before.clone().count() as i64, after.clone().count() as i64);
    if had == has {
        return (counted, true);
    }
    let by_child = counted.saturating_add(has - had);
    let is_author = |it: &Arc<Child>| did(it) == Some(author);
    let was_there = before.clone().any(is_author);
    let is_there = after.clone().any(is_author);
    let by_author = counted.saturating_add(i64::from(is_there) - i64::from(was_there));
    if counted == had && by_child == by_author {
        return (by_child, true);
    }
    let authors: HashSet<_> = before.map(|it| did(it)).collect();
    match (counted == had, counted == authors.len() as i64) {
        (true, false) => (by_child, true),
        (false, true) => (by_author, true),
        _ => (by_child, false),
    }
}

/// What the server counts: children or authors. Whether that is the same.
fn number<'a>(children: impl Iterator<Item = &'a Arc<Child>> + Clone) -> (i64, bool) {
    let authors: HashSet<_> = children.clone().map(|it| did(it)).collect();
    let number = children.count();
    (number as i64, number == authors.len())
}

fn did(child: &Child) -> Option<&str> {
    child.key().map(|(did, _)| did)
}
