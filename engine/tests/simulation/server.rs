//! What the server has: rows of records and children, who may see them, and what a query answers now. Plain lists and
//! functions, which share nothing with the store.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    listing::Lists,
    schedule::{Listing, Setup},
};

pub(crate) const COLLECTION: &str = "com.example.message";
pub(crate) const COMMUNITY: &str = "did:plc:circle";
/// Whose watch it is, one after the other.
pub(crate) const ACCOUNTS: [&str; 2] = ["did:plc:me", "did:plc:other"];
pub(crate) const PEOPLE: [&str; 3] = ["did:plc:alice", "did:plc:bob", ACCOUNTS[0]];
/// The time of day at the beginning, in milliseconds since the Unix epoch.
const BEGIN: u64 = 1_795_000_000_000;
/// Relations, and the groups of the second one.
const RELATIONS: [&str; 2] = ["reactions", "rsvps"];
pub(crate) const GROUPS: [&str; 2] = ["x#going", "x#late"];

/// The name of a space.
pub(crate) fn space_uri(space: u8) -> String {
    format!("ats://did:plc:owner/com.example.space/{space}")
}

/// One record.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// `None` for a public one.
    pub(crate) space: Option<u8>,
    pub(crate) did: &'static str,
    pub(crate) rkey: String,
    pub(crate) body: String,
    pub(crate) in_room: bool,
    pub(crate) number: u64,
    /// As it is stored: milliseconds in a space, microseconds in public.
    pub(crate) time: u64,
    pub(crate) version: u64,
    /// Its time is told as a text: nobody can read it.
    pub(crate) odd: bool,
}

/// One child of a record.
#[derive(Debug, Clone)]
pub(crate) struct ChildRow {
    pub(crate) relation: usize,
    pub(crate) did: &'static str,
    pub(crate) rkey: String,
    pub(crate) parent: String,
    pub(crate) group: Option<&'static str>,
    pub(crate) text: u64,
    pub(crate) time: u64,
}

/// What the server has, and who may see it.
#[derive(Debug)]
pub(crate) struct Server {
    setup: Setup,
    pub(crate) rows: Vec<Row>,
    pub(crate) children: Vec<ChildRow>,
    /// The spaces that the account is in.
    pub(crate) member_of: BTreeSet<u8>,
    /// Tickets from before this time, in milliseconds, are not taken.
    pub(crate) tickets_from: u64,
    last_time: u64,
    pub(crate) lists: Lists,
    pub(crate) written: u64,
}

/// What a page answers: (URI, JSON) of its records, and where the next one begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub(crate) records: Vec<(String, String)>,
    pub(crate) children: Vec<(String, String, usize)>,
    pub(crate) cursor: Option<String>,
    /// It is a list that has all that was written by then, in order.
    pub(crate) is_true: bool,
}

impl Row {
    pub(crate) fn uri(&self) -> String {
        format!("at://{}/{COLLECTION}/{}", self.did, self.rkey)
    }

    /// Its stored time in microseconds.
    pub(crate) fn micros(&self) -> u64 {
        match self.space {
            Some(_) => self.time * 1000,
            None => self.time,
        }
    }

    pub(crate) fn value(&self) -> String {
        value(&self.body, self.in_room, self.number)
    }

    /// Its JSON, without what is hydrated. `body` names the field that has its body.
    pub(crate) fn json(&self, time: u64, body: &str, more: &str) -> String {
        let Self {
            did, rkey, version, ..
        } = self;
        let space = self.space.map_or(String::new(), |it| {
            format!(r#""space":"{}","#, space_uri(it))
        });
        let time = match self.odd {
            true => format!(r#""{time}""#),
            false => time.to_string(),
        };
        format!(
            r#"{{"uri":"{}","cid":"v{version}","did":"{did}","collection":"{COLLECTION}","rkey":"{rkey}",{space}"time_us":{time},"{body}":{}{more}}}"#,
            self.uri(),
            self.value()
        )
    }
}

/// A record's body.
pub(crate) fn value(body: &str, in_room: bool, number: u64) -> String {
    let room = if in_room { "a" } else { "b" };
    format!(r#"{{"text":"{body}","room":"{room}","n":{number}}}"#)
}

impl ChildRow {
    pub(crate) fn relation(&self) -> &'static str {
        RELATIONS[self.relation]
    }

    /// Children in snapshots have a time and no content hash, live ones the other way round.
    pub(crate) fn json(&self, is_live: bool, body: &str) -> String {
        let Self {
            did,
            rkey,
            parent,
            text,
            time,
            ..
        } = self;
        let name = self.relation();
        let group = self
            .group
            .map_or(String::new(), |it| format!(r#","status":"{it}""#));
        let more = match is_live {
            true => format!(r#""cid":"v{text}""#),
            false => format!(r#""time_us":{time}"#),
        };
        format!(
            r#"{{"uri":"at://{did}/com.example.{name}/{rkey}","did":"{did}","rkey":"{rkey}","collection":"com.example.{name}",{more},"{body}":{{"subject":{{"uri":"{parent}"}},"text":{text}{group}}}}}"#
        )
    }
}

impl Server {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            setup: setup.clone(),
            rows: Vec::new(),
            children: Vec::new(),
            member_of: Self::spaces(setup).collect(),
            tickets_from: 0,
            last_time: 0,
            lists: Lists::new(setup),
            written: 0,
        }
    }

    /// The spaces that the watch is of.
    pub(crate) fn spaces(setup: &Setup) -> std::ops::Range<u8> {
        0..if setup.community { 2 } else { 1 }
    }

    /// The time that something has which is stored at `at`, in microseconds since the beginning.
    fn stored_at(&mut self, at: u64, space: Option<u8>) -> u64 {
        let now = BEGIN + at / 1000;
        let now = match self.setup.ties {
            true => now - now % 50,
            false => now.max(self.last_time + 1),
        };
        self.last_time = self.last_time.max(now);
        match space {
            Some(_) => now,
            None => now * 1000,
        }
    }

    /// The time that a record has which is stored at `at`.
    fn time_of(&mut self, at: u64, row: &Row) -> u64 {
        let stored = self.stored_at(at, row.space);
        if !self.setup.authored || self.setup.listing == Listing::Never || row.space.is_some() {
            return stored;
        }
        let known = self.rows.iter().find(|it| it.is(row));
        let earlier = match self.written % 3 {
            0 => self.written * 7919 % 1_000_000_000,
            _ => 0,
        };
        known.map_or(stored - earlier, |it| it.time)
    }

    /// Stores a record in the place of what has its identity.
    pub(crate) fn put(&mut self, at: u64, row: Row) -> Row {
        self.written += 1;
        let time = self.time_of(at, &row);
        let row = Row {
            time,
            version: self.written,
            ..row
        };
        self.rows.retain(|it| !it.is(&row));
        self.rows.push(row.clone());
        row
    }

    pub(crate) fn put_child(&mut self, at: u64, child: ChildRow) -> ChildRow {
        self.written += 1;
        let time = self.stored_at(at, Some(0));
        let child = ChildRow {
            time,
            text: self.written,
            ..child
        };
        self.children.retain(|it| !it.is(&child));
        self.children.push(child.clone());
        child
    }

    /// Whether the account sees a record in this watch.
    fn sees(&self, row: &Row) -> bool {
        match row.space {
            // The server looks at the membership of a space when it gives a ticket, and not again.
            Some(space) => !self.setup.community || self.member_of.contains(&space),
            None => true,
        }
    }

    /// What the watch has, in the server's order. Over several spaces it sorts milliseconds among microseconds, and of
    /// records of one time there is no order.
    pub(crate) fn list(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|it| self.sees(it)).collect();
        rows.sort_by_key(|it| std::cmp::Reverse(it.time));
        rows
    }

    /// The page strictly below `cursor`.
    pub(crate) fn page(&self, cursor: Option<&str>) -> Page {
        let below = cursor.and_then(|it| it.strip_prefix('c')?.parse::<u64>().ok());
        let rows = self.list().into_iter();
        let rows = rows.filter(|it| below.is_none_or(|below| it.time < below));
        self.page_of(rows.collect(), |it| format!("c{}", it.time))
    }

    /// The first of these records, and where the next page begins.
    pub(crate) fn page_of(&self, mut rows: Vec<&Row>, cursor_of: impl Fn(&Row) -> String) -> Page {
        rows.truncate(self.setup.limit);
        let cursor = rows.last().filter(|_| rows.len() == self.setup.limit);
        let mut children = Vec::new();
        for row in &rows {
            let hydrated = self.hydrated(&row.uri()).into_iter();
            children.extend(hydrated.map(|it| (it.rkey.clone(), it.parent.clone(), it.relation)));
        }
        Page {
            cursor: cursor.map(|it| cursor_of(it)),
            children,
            records: rows.iter().map(|it| (it.uri(), self.json(it))).collect(),
            is_true: true,
        }
    }

    /// A record as snapshots have it.
    pub(crate) fn json(&self, row: &Row) -> String {
        let extras = self.extras(row);
        let extras = extras.iter().map(|(name, it)| format!(r#","{name}":{it}"#));
        row.json(row.time, "value", &extras.collect::<String>())
    }

    /// The children of a record that a snapshot has.
    fn hydrated(&self, parent: &str) -> Vec<&ChildRow> {
        let most = self.setup.hydrate.unwrap_or(0);
        let mut rows: Vec<&ChildRow> = self.children_of(parent).collect();
        rows.sort_by_key(|it| std::cmp::Reverse(it.time));
        let mut seen: BTreeMap<(usize, Option<&str>), usize> = BTreeMap::new();
        rows.retain(|it| {
            let count = seen.entry((it.relation, it.group)).or_default();
            *count += 1;
            *count <= most
        });
        rows
    }

    fn children_of(&self, parent: &str) -> impl Iterator<Item = &ChildRow> {
        self.children.iter().filter(move |it| it.parent == parent)
    }

    /// What is hydrated into a record, by name.
    pub(crate) fn extras(&self, row: &Row) -> BTreeMap<String, String> {
        let mut extras = BTreeMap::from([("labels".to_owned(), format!("[{}]", row.version % 3))]);
        if self.setup.hydrate.is_none() {
            return extras;
        }
        let uri = row.uri();
        let count = |relation, group: Option<&str>| {
            let all = self
                .children_of(&uri)
                .filter(|it| it.relation == relation && (group.is_none() || it.group == group));
            all.count()
        };
        let counts = [
            ("reactionsCount", count(0, None)),
            ("rsvpsCount", count(1, None)),
            ("rsvpsGoingCount", count(1, Some(GROUPS[0]))),
        ];
        let counts = counts.into_iter().filter(|(_, count)| *count > 0);
        extras.extend(counts.map(|(name, count)| (name.to_owned(), count.to_string())));
        let (mut list, mut groups) = (Vec::new(), Vec::<(&str, Vec<String>)>::new());
        for child in self.hydrated(&uri) {
            let json = child.json(false, "value");
            if child.relation == 0 {
                list.push(json);
                continue;
            }
            let name = child.group.unwrap_or("other");
            match groups.iter_mut().find(|(it, _)| *it == name) {
                Some((_, group)) => group.push(json),
                None => groups.push((name, vec![json])),
            }
        }
        if !list.is_empty() {
            extras.insert("reactions".to_owned(), format!("[{}]", list.join(",")));
        }
        if !groups.is_empty() {
            let groups = groups
                .iter()
                .map(|(name, it)| format!(r#""{name}":[{}]"#, it.join(",")));
            let groups: Vec<String> = groups.collect();
            extras.insert("rsvps".to_owned(), format!("{{{}}}", groups.join(",")));
        }
        extras
    }

    /// The time of day at a moment of the simulation, in milliseconds.
    pub(crate) fn time_of_day(at: u64) -> u64 {
        BEGIN + at / 1000
    }
}

impl Row {
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.space, self.did, &self.rkey) == (other.space, other.did, &other.rkey)
    }
}

impl ChildRow {
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.relation, self.did, &self.rkey) == (other.relation, other.did, &other.rkey)
    }
}
