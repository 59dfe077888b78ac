//! What is known of one relation: who holds its children, how they are grouped and counted, and what becomes of a record
//! when one of them comes or goes.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Parents, counters::Counters, grouping::Grouping, holders::Holders};
use crate::{
    maps::FastMap,
    pure::{
        protocol::{
            bound::{Bound, MAX_CHILDREN, MAX_RECORD_BYTES},
            children::{Apart, Child, Children, Head, each_child},
            extra::Extra,
            record::Record,
        },
        store::{change::Unknowable, entries::Entries, entry::Entry},
    },
};

/// What is known of a relation.
#[derive(Debug)]
pub(super) struct Relation {
    name: Box<str>,
    /// How many children of a group the query hydrates, where that is known.
    limit: Option<usize>,
    pub(super) holders: Holders,
    grouping: Grouping,
    counters: Counters,
    /// NSID of the children.
    pub(super) collection: Option<Box<str>>,
    /// How children name their parents, if that has shown.
    pub(super) matching: Option<Matching>,
}

/// How children name their parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matching {
    /// By URI.
    Uri,
    /// By DID: every record of that author is a parent.
    Did,
}

/// A record with other children.
#[derive(Debug)]
pub(super) struct Edited {
    pub(super) record: Record,
    /// Whether the server certainly has the same.
    pub(super) is_certain: bool,
}

/// What an event makes of a list, whoever holds it.
#[derive(Debug, Clone)]
struct Step {
    before: Arc<Children>,
    after: Arc<Children>,
    /// The one that came, changed or went.
    child: Arc<Child>,
    /// Where URIs begin in its text.
    uris: Vec<usize>,
    /// Nobody can tell in which group the server has it: it stays where it was.
    is_guessed: bool,
    /// It stands in the group where it stood.
    stays: bool,
}

/// Lists that several records share stay shared, and what becomes of one is found once: the same before, the same after.
#[derive(Debug, Default)]
pub(super) struct Shared(FastMap<Option<usize>, (Option<Arc<Children>>, Outcome)>);

/// `None` where nothing changes.
type Outcome = Result<Option<Step>, Unknowable>;

impl Relation {
    pub(super) fn new(name: &str, limit: Option<usize>) -> Self {
        Self {
            name: name.into(),
            limit,
            holders: Holders::default(),
            grouping: Grouping::default(),
            counters: Counters::new(name),
            collection: None,
            matching: None,
        }
    }

    /// Whether this is its name.
    pub(super) fn is(&self, name: &str) -> bool {
        *self.name == *name
    }

    /// The server named the parents of a child: `_`, or one URI, as children name them.
    pub(super) fn named_for(&mut self, parents: Parents<'_>) {
        match parents {
            Parents::AllOf(_) => self.matching = Some(Matching::Did),
            Parents::One(_) => _ = self.matching.get_or_insert(Matching::Uri),
        }
    }

    /// How children name their parents, as this record and others of its author tell: under all of them hangs the same,
    /// or what names one by URI.
    pub(super) fn matching_of(&mut self, entry: &Entry, entries: &Entries) -> Option<Matching> {
        if self.matching.is_none() {
            let record = &entry.record;
            let child = first_child(record.extras.get(&self.name)?)?;
            let (did, rkey) = child.key()?;
            let holders = self.holders.of(did, rkey).into_iter();
            let mut others = holders.filter_map(|id| entries.get(id));
            self.matching = match names(child.raw(), record) {
                true => Some(Matching::Uri),
                false => others
                    .any(|it| it.record.did() == record.did() && it.record.uri != record.uri)
                    .then_some(Matching::Did),
            };
        }
        self.matching
    }

    /// Whether a record has a child of this rkey, by whomever.
    pub(super) fn has_rkey(&self, record: &Record, rkey: &str) -> bool {
        let is_it = |it: &Arc<Child>| it.key().is_some_and(|(_, it)| it == rkey);
        match self.children(record) {
            Ok(children) => children.is_some_and(|it| it.iter().any(is_it)),
            Err(_) => true,
        }
    }

    /// Whether the server has shown children of it.
    pub(super) fn is_shown(&self) -> bool {
        self.grouping.is_grouped.is_some()
    }

    /// Whether the server may count children.
    pub(super) fn may_count(&self) -> bool {
        self.counters.may_count()
    }

    /// Whether counting the children of this record anew would certainly change nothing.
    pub(super) fn is_recounted(&self, record: &Record) -> bool {
        let Ok(children) = self.children(record) else {
            return false;
        };
        let none = Arc::new(Children::none(false));
        let children = children.unwrap_or(none);
        !self.hides(record, &children) && self.counters.are_true(&self.name, record, &children)
    }

    /// What contradicts itself is learned anew.
    pub(super) fn forget_contradictions(&mut self) {
        self.grouping.forget_contradictions();
        self.counters.forget_contradictions();
    }

    /// A record has other children now, or none. What is still as it was sent is the server's word: it shows what there is
    /// to know.
    pub(super) fn note(
        &mut self,
        id: u64,
        record: &Record,
        before: Option<&Extra>,
        after: Option<&Extra>,
    ) {
        if let (Some(Extra::Children(before)), Some(Extra::Children(after))) = (before, after) {
            let [gone, come] = difference(before, after);
            for key in gone.filter_map(|it| it.key()) {
                self.holders.remove(key, id);
            }
            for key in come.filter_map(|it| it.key()) {
                self.holders.add(key, id);
            }
            return;
        }
        each_key(before, |key| self.holders.remove(key, id));
        each_key(after, |key| self.holders.add(key, id));
        if let Some(Extra::Raw(raw)) = after {
            let was_counted = match before {
                Some(Extra::Children(before)) => self.was_counted(record, before),
                _ => false,
            };
            self.learn(record, raw, was_counted);
        }
    }

    /// Whether the server counted these children, if it does: they were only taken apart because one of them changed. In
    /// a space it takes the author of a DID-matched child for whom it names.
    fn was_counted(&self, record: &Record, children: &Children) -> bool {
        let is_own = |it: &Child| it.key().is_some_and(|(did, _)| did == record.did());
        match self.matching {
            Some(Matching::Uri) => true,
            Some(Matching::Did) => children.iter().any(|it| is_own(it) && it.is_live()),
            None => false,
        }
    }

    fn learn(&mut self, record: &Record, raw: &RawValue, was_counted: bool) {
        let mut groups: Vec<&str> = Vec::new();
        let (collection, matching) = (&mut self.collection, &mut self.matching);
        let grouping = &mut self.grouping;
        let shown = each_child(raw, |group, child| {
            let head = Head::read(child);
            if head.key().is_some() && collection.is_none() {
                *collection = head.collection.map(Into::into);
            }
            if matching.is_none() && head.key().is_some() && names(child, record) {
                *matching = Some(Matching::Uri);
            }
            if groups.last() != Some(&group) {
                groups.push(group);
            }
            if !group.is_empty() {
                grouping.learn(group, head.value);
            }
            true
        });
        if let Some(is_grouped) = shown.filter(|_| !groups.is_empty()) {
            self.grouping.is_grouped = Some(is_grouped);
            let groups = groups.into_iter().filter(|_| is_grouped);
            let is_by_uri = self.matching == Some(Matching::Uri);
            self.counters
                .learn(&self.name, record, groups, is_by_uri, was_counted);
        }
    }

    /// The record with the child added or changed.
    pub(super) fn with(
        &self,
        record: &Record,
        child: &Arc<Child>,
        shared: &mut Shared,
    ) -> Result<Option<Edited>, Unknowable> {
        let known = self.children(record)?;
        let step = shared.of(known, |known| self.step_with(known, child).map(Some))?;
        step.map(|it| self.edited(record, it)).transpose()
    }

    fn step_with(
        &self,
        known: Option<&Arc<Children>>,
        child: &Arc<Child>,
    ) -> Result<Step, Unknowable> {
        let is_grouped = known.map(|it| it.is_grouped());
        let is_grouped = is_grouped.or(self.grouping.is_grouped);
        let is_grouped = is_grouped.ok_or(Unknowable::Ambiguous)?;
        let none = || Arc::new(Children::none(is_grouped));
        let before = known.cloned().unwrap_or_else(none);
        let old = before.group_with(child);
        let told = match is_grouped {
            true => self.grouping.group_of(Head::read(child.raw()).value),
            false => Some(String::new()),
        };
        let is_guessed = told.is_none();
        let group = told
            .or_else(|| Some(old?.name.to_string()))
            .ok_or(Unknowable::Ambiguous)?;
        let stays = old.is_some_and(|it| *it.name == *group);
        let after = before.with(&group, child);
        if after.len() > MAX_CHILDREN.max(before.len()) {
            return Err(Unknowable::TooMuch(Bound::Children));
        }
        Ok(Step {
            before,
            after: after.into(),
            uris: uris_in(child.raw()),
            child: child.clone(),
            is_guessed,
            stays,
        })
    }

    /// The record without those versions of a child that `is_gone` names; `None` if it has none.
    pub(super) fn without(
        &self,
        record: &Record,
        is_gone: &impl Fn(&Child) -> bool,
        shared: &mut Shared,
    ) -> Result<Option<Edited>, Unknowable> {
        let known = self.children(record)?;
        let step = |before: &Arc<Children>| {
            let gone = before.iter().find(|it| is_gone(it))?;
            Some(Step {
                before: before.clone(),
                after: before.without(is_gone).into(),
                uris: uris_in(gone.raw()),
                child: gone.clone(),
                is_guessed: false,
                stays: false,
            })
        };
        let step = shared.of(known, |known| Ok(known.and_then(step)))?;
        step.map(|it| self.edited(record, it)).transpose()
    }

    fn edited(&self, record: &Record, step: &Step) -> Result<Edited, Unknowable> {
        let Step { before, after, .. } = step;
        let hides = self.hides(record, before);
        // Of what is not in sight nobody knows whether this is one, or what takes the place of one that leaves.
        let mut is_certain = !step.is_guessed && (step.stays || !hides);
        let (mut record, size) = (record.clone(), record.bytes());
        let children = Some(Extra::Children(after.clone())).filter(|_| !after.is_empty());
        record.extras.set(&self.name, children);
        let child = &step.child;
        let author = child.key().map_or("", |(did, _)| did);
        let (name, counters) = (&*self.name, &self.counters);
        is_certain &= match (self.matching, &record.space) {
            // In a space the server takes the author of the child for whom it names: only then these are counted.
            (Some(Matching::Did), Some(_)) if author == record.did() => {
                !hides && counters.recount(name, &mut record, before, after)
            }
            (Some(Matching::Did), Some(_)) => true,
            // Of these nobody knows which are counted.
            (Some(Matching::Did), None) | (None, _) if self.may_count() && !step.names(&record) => {
                counters.follow(name, &mut record, before, after, author);
                false
            }
            _ => counters.follow(name, &mut record, before, after, author),
        };
        if record.bytes() > MAX_RECORD_BYTES.max(size) {
            return Err(Unknowable::TooMuch(Bound::RecordBytes));
        }
        Ok(Edited { record, is_certain })
    }

    fn children(&self, record: &Record) -> Result<Option<Arc<Children>>, Unknowable> {
        let children = record.extras.get(&self.name).map(Extra::children);
        children.transpose().map_err(|apart| match apart {
            Apart::NoChildren => Unknowable::Ambiguous,
            Apart::Bound(bound) => Unknowable::TooMuch(bound),
        })
    }

    /// Whether a record may have more children than are in sight.
    pub(super) fn hides_any(&self, record: &Record) -> bool {
        match self.children(record) {
            Ok(None) => self.hides(record, &Children::none(false)),
            Ok(Some(children)) => self.hides(record, &children),
            Err(_) => true,
        }
    }

    /// Whether a record may have more children than are in sight. Where authors are counted, a full group may hide more of
    /// theirs.
    fn hides(&self, record: &Record, children: &Children) -> bool {
        let counted = self.counters.count_all(record).unwrap_or(0);
        let most = self.limit.unwrap_or(usize::MAX);
        let mut groups = children.groups().iter();
        counted > children.len() as i64 || groups.any(|it| it.children.len() >= most)
    }
}

impl Step {
    /// Whether the child names this record by URI.
    fn names(&self, parent: &Record) -> bool {
        let (text, uri) = (self.child.raw().get(), parent.uri.as_str());
        let starts = |at: &usize| text.get(*at..).is_some_and(|it| it.starts_with(uri));
        self.uris.iter().any(starts)
    }
}

impl Shared {
    /// What becomes of the list that a record holds, if it holds one.
    fn of(
        &mut self,
        known: Option<Arc<Children>>,
        step: impl FnOnce(Option<&Arc<Children>>) -> Outcome,
    ) -> Result<Option<&Step>, Unknowable> {
        // While it is kept here, no other list has its address.
        let key = known.as_ref().map(|it| Arc::as_ptr(it).addr());
        let (_, outcome) = self.0.entry(key).or_insert_with(|| {
            let outcome = step(known.as_ref());
            (known, outcome)
        });
        outcome.as_ref().map(Option::as_ref).map_err(|it| *it)
    }
}

/// Whether a child names this record by URI: then it stands in its body.
fn names(child: &RawValue, parent: &Record) -> bool {
    child.get().contains(parent.uri.as_str())
}

/// Where URIs begin in a child: found once, not anew for each of its parents.
fn uris_in(child: &RawValue) -> Vec<usize> {
    let starts = child.get().match_indices("at://");
    starts.map(|(at, _)| at).collect()
}

/// The first child that can be told from others.
fn first_child(extra: &Extra) -> Option<Child> {
    match extra {
        Extra::Scalar(_) => None,
        Extra::Children(children) => {
            let first = children.iter().find(|it| it.key().is_some())?;
            Some(Child::new(first.raw()))
        }
        Extra::Raw(raw) => {
            let mut first = None;
            each_child(raw, |_, child| {
                first = Head::read(child).key().map(|_| Child::new(child));
                first.is_none()
            });
            first
        }
    }
}

/// Of two lists that share most of their children those that are only in one.
fn difference<'a>(
    before: &'a Children,
    after: &'a Children,
) -> [impl Iterator<Item = &'a Arc<Child>>; 2] {
    let is_same = |(a, b): &(&Arc<Child>, &Arc<Child>)| Arc::ptr_eq(a, b);
    let tail = std::iter::zip(before.iter().rev(), after.iter().rev());
    let tail = tail.take_while(is_same).count();
    let (gone, come) = (before.len() - tail, after.len() - tail);
    let head = std::iter::zip(before.iter(), after.iter());
    let head = head.take(gone.min(come)).take_while(is_same).count();
    [(before, gone), (after, come)].map(|(list, end)| list.iter().skip(head).take(end - head))
}

fn each_key(relation: Option<&Extra>, mut each: impl FnMut((&str, &str))) {
    match relation {
        None | Some(Extra::Scalar(_)) => {}
        Some(Extra::Children(children)) => {
            children.iter().filter_map(|it| it.key()).for_each(each);
        }
        Some(Extra::Raw(raw)) => {
            each_child(raw, |_, child| {
                if let Some(key) = Head::read(child).key() {
                    each(key);
                }
                true
            });
        }
    }
}
