//! A watch as one would write it by hand for a handful of records: the yardstick of the agreement test.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use contrail_sync_engine::{Record, SortBy, View};

/// A record of the server.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub did: String,
    pub rkey: String,
    pub space: Option<String>,
    pub time_us: i64,
    pub value: Value,
    pub children: Vec<Value>,
}

impl Row {
    pub(super) fn new(
        did: &str,
        rkey: &str,
        space: Option<&str>,
        time_us: i64,
        value: Value,
    ) -> Self {
        Self {
            did: did.into(),
            rkey: rkey.into(),
            space: space.map(Into::into),
            time_us,
            value,
            children: Vec::new(),
        }
    }

    pub(super) fn is(&self, did: &str, rkey: &str, space: Option<&str>) -> bool {
        self.did == did && self.rkey == rkey && self.space.as_deref() == space
    }

    fn same(&self, other: &Self) -> bool {
        self.is(&other.did, &other.rkey, other.space.as_deref())
    }

    pub(super) fn uri(&self) -> String {
        format!("at://{}/c/{}", self.did, self.rkey)
    }

    /// As a live event has it.
    pub(super) fn bare(&self) -> Record {
        self.record(false)
    }

    /// As a snapshot has it.
    pub(super) fn whole(&self) -> Record {
        self.record(true)
    }

    fn record(&self, hydrated: bool) -> Record {
        let mut json = json!({
            "uri": self.uri(), "time_us": self.time_us, "value": self.value, "space": self.space,
        });
        if hydrated {
            json["likesCount"] = self.children.len().into();
            if !self.children.is_empty() {
                json["likes"] = self.children.clone().into();
            }
        }
        serde_json::from_value(json).unwrap()
    }
}

/// What the watch has of the server.
#[derive(Debug, Clone)]
struct Known {
    row: Row,
    confirmed: bool,
}

/// An optimistic entry.
#[derive(Debug, Clone)]
struct Expected {
    row: Row,
    failed: bool,
    /// Bodies that it replaced.
    earlier: Vec<Value>,
    /// When it was added as a new record; 0 for an edit of a known one.
    since: i64,
}

/// The watch: what the server said, and what is expected of it, the oldest edit first.
pub(super) struct Model {
    view: View,
    known: Vec<Known>,
    expected: Vec<Expected>,
    synced: bool,
}

impl Model {
    pub(super) fn new(view: View) -> Self {
        Self {
            view,
            known: Vec::new(),
            expected: Vec::new(),
            synced: false,
        }
    }

    /// A live event is bare: what a snapshot hydrated stays.
    pub(super) fn upsert(&mut self, live: &Row) {
        let known = self.known.iter().find(|it| it.row.same(live));
        let children = known.map(|it| it.row.children.clone());
        let row = Row {
            children: children.unwrap_or_default(),
            ..live.clone()
        };
        self.arrive(row, false);
    }

    /// The server's stored version, and the time that it has there.
    pub(super) fn confirm(&mut self, stored: &Row) {
        self.arrive(stored.clone(), true);
    }

    /// A snapshot beside the stream; what happened meanwhile wins over it.
    pub(super) fn quiet_snapshot(&mut self, listed: &[Row], meanwhile: &BTreeSet<String>) {
        let news = listed.iter().filter(|it| !meanwhile.contains(&it.uri()));
        for row in news {
            self.confirm(row);
        }
        let known = self.known.iter().map(|it| it.row.clone());
        let gone = known
            .filter(|it| !meanwhile.contains(&it.uri()) && !listed.iter().any(|row| row.same(it)));
        for row in gone.collect::<Vec<_>>() {
            self.lose(&row);
        }
    }

    pub(super) fn begin_snapshot(&mut self) {
        for known in &mut self.known {
            known.confirmed = false;
        }
    }

    pub(super) fn end_snapshot(&mut self) {
        let gone: Vec<Row> = self
            .known
            .iter()
            .filter(|it| !it.confirmed)
            .map(|it| it.row.clone())
            .collect();
        gone.iter().for_each(|row| self.lose(row));
        self.synced = true;
    }

    /// Says whether nobody knows which one is meant.
    pub(super) fn delete(&mut self, uri: &str) -> bool {
        let meant: Vec<Row> = self
            .known
            .iter()
            .filter(|it| it.row.uri() == uri)
            .map(|it| it.row.clone())
            .collect();
        match &meant[..] {
            [only] => self.lose(only),
            [] => {}
            _ => return true,
        }
        false
    }

    pub(super) fn edit(
        &mut self,
        did: &str,
        rkey: &str,
        space: Option<&str>,
        time_us: i64,
        value: &Value,
    ) {
        let space = space
            .map(str::to_owned)
            .or_else(|| self.only_space(did, rkey));
        let mut new = Expected {
            row: Row::new(did, rkey, space.as_deref(), time_us, value.clone()),
            failed: false,
            earlier: Vec::new(),
            since: time_us,
        };
        let known = self.known.iter().find(|it| it.row.same(&new.row));
        let is_edited = self.expected.iter().any(|it| it.row.same(&new.row));
        if known.is_some_and(|it| it.row.value == *value) && !is_edited {
            return;
        }
        if known.is_some() {
            new.since = 0;
        }
        if let Some(at) = self.expected.iter().position(|it| it.row.same(&new.row)) {
            let before = self.expected.remove(at);
            new.since = before.since;
            new.earlier = before.earlier;
            new.earlier.push(before.row.value);
            if new.earlier.len() > 8 {
                new.earlier.remove(0);
            }
            new.row.time_us = before.row.time_us;
            new.row.children = before.row.children;
        }
        self.expected.push(new);
    }

    /// The space of a record that an edit names without one: where there is just one such record, that is meant.
    fn only_space(&self, did: &str, rkey: &str) -> Option<String> {
        let known = self.known.iter().map(|it| &it.row);
        let rows = known.chain(self.expected.iter().map(|it| &it.row));
        let spaces = rows
            .filter(|it| it.did == did && it.rkey == rkey)
            .map(|it| it.space.clone());
        let spaces: BTreeSet<_> = spaces.collect();
        match spaces.len() {
            1 => spaces.into_iter().next()?,
            _ => None,
        }
    }

    pub(super) fn fail(&mut self, rkey: &str, did: Option<&str>) {
        let is_meant =
            |it: &&mut Expected| it.row.rkey == rkey && did.is_none_or(|did| it.row.did == did);
        if let Some(meant) = self.expected.iter_mut().rev().find(is_meant) {
            meant.failed = true;
        }
    }

    pub(super) fn roll_back(&mut self, rkey: &str, did: Option<&str>) {
        let is_meant =
            |it: &Expected| it.row.rkey == rkey && did.is_none_or(|did| it.row.did == did);
        if let Some(at) = self.expected.iter().rposition(is_meant) {
            self.expected.remove(at);
        }
    }

    pub(super) fn add_child(&mut self, uri: &str, child: &Value) {
        let is_it = |it: &Value| it["did"] == child["did"] && it["rkey"] == child["rkey"];
        if !self.known.iter().any(|it| it.row.uri() == uri) {
            // Not in sight: still it is nobody else's any more.
            self.known
                .iter_mut()
                .for_each(|it| it.row.children.retain(|it| !is_it(it)));
            return;
        }
        for known in &mut self.known {
            let is_new_parent = known.row.uri() == uri;
            let children = &mut known.row.children;
            let place = children.iter().position(is_it);
            match (is_new_parent, place) {
                (true, Some(place)) => children[place] = child.clone(),
                (true, None) => children.insert(0, child.clone()),
                (false, Some(place)) => drop(children.remove(place)),
                (false, None) => {}
            }
        }
    }

    pub(super) fn remove_child(&mut self, uri: &str, did: &str, rkey: &str) {
        for known in self.known.iter_mut().filter(|it| it.row.uri() == uri) {
            known
                .row
                .children
                .retain(|it| it["did"] != did || it["rkey"] != rkey);
        }
    }

    /// Everything in order, as a reader sees it.
    pub(super) fn shown(&self) -> Vec<String> {
        let lines = self.merged().into_iter().map(|(row, mark)| {
            let likes = &row.children;
            let (uri, space) = (json!(row.uri()), json!(row.space));
            format!(
                "{uri} {space} {} {} {mark} {} {}",
                row.time_us,
                row.value,
                likes.len(),
                json!(likes)
            )
        });
        lines.collect()
    }

    fn arrive(&mut self, row: Row, is_stored: bool) {
        let matches = self.matches(&row);
        let waiting = self.expected.iter().position(|it| it.row.same(&row));
        if let Some(at) = waiting {
            let it = &self.expected[at];
            let base = self.known.iter().find(|it| it.row.same(&row));
            let old =
                base.is_some_and(|it| it.row.value == row.value) || it.earlier.contains(&row.value);
            // Before the first snapshot an edit does not know what it changes.
            let is_base = is_stored && !self.synced && base.is_none() && row.time_us < it.since;
            if it.row.value == row.value || !(old || is_base) {
                self.expected.remove(at);
            }
        }
        if !matches {
            return self.lose(&row);
        }
        let known = Known {
            row,
            confirmed: true,
        };
        match self.known.iter_mut().find(|it| it.row.same(&known.row)) {
            Some(old) => *old = known,
            None => self.known.push(known),
        }
    }

    /// An edit stands where the record stood that is gone.
    fn lose(&mut self, row: &Row) {
        if let Some(at) = self.known.iter().position(|it| it.row.same(row)) {
            let known = self.known.remove(at);
            if let Some(it) = self.expected.iter_mut().find(|it| it.row.same(row)) {
                it.row.time_us = known.row.time_us;
                it.row.children = known.row.children;
            }
        }
    }

    fn matches(&self, row: &Row) -> bool {
        self.view.filter.matches(&row.bare())
    }

    /// Optimistic entries stand in for what the server has of them.
    fn merged(&self) -> Vec<(Row, &'static str)> {
        let standing = |row: &Row| self.expected.iter().any(|it| it.row.same(row));
        let known = self.known.iter().filter(|it| !standing(&it.row));
        let mut all: Vec<(Row, &str)> = known.map(|it| (it.row.clone(), "")).collect();
        for it in &self.expected {
            let base = self.known.iter().find(|known| known.row.same(&it.row));
            let mut row = it.row.clone();
            if let Some(base) = base {
                row.time_us = base.row.time_us;
                row.children.clone_from(&base.row.children);
            }
            all.push((row, if it.failed { "failed" } else { "pending" }));
        }
        all.sort_by(|(a, _), (b, _)| self.compare(a, b));
        all.truncate(self.view.max_records.unwrap_or(usize::MAX));
        all
    }

    fn compare(&self, a: &Row, b: &Row) -> std::cmp::Ordering {
        let rest = |it: &Row| (it.uri(), it.space.clone());
        let time = || (a.time_us, &a.rkey, rest(a)).cmp(&(b.time_us, &b.rkey, rest(b)));
        let directed = |order: std::cmp::Ordering| match self.view.sort.ascending {
            true => order,
            false => order.reverse(),
        };
        match &self.view.sort.by {
            SortBy::TimeUs => directed(time()),
            SortBy::Rkey => {
                directed((&a.rkey, a.time_us, rest(a)).cmp(&(&b.rkey, b.time_us, rest(b))))
            }
            SortBy::Value(_) => {
                let n = |it: &Row| it.value["n"].as_i64();
                directed(n(a).cmp(&n(b))).then(time().reverse())
            }
            other => panic!("no order that a watch is given here: {other:?}"),
        }
    }
}
