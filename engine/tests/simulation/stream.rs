//! The server's side of a connection, with the slips of the real one.

use std::collections::{BTreeMap, BTreeSet};

use contrail_sync_engine::{
    ErrorKind,
    internals::{Failure, Refusal},
};

use crate::{
    lists::Lists,
    schedule::{Kind, Listing},
    server::{self, ACCOUNTS, COLLECTION, ChildRow, Row, Server, space_uri},
    world::{Answer, Event, MS, SECOND, Ticket, World},
};

/// How long a ticket lives, in milliseconds.
pub(crate) const TICKET_LIFE: u64 = 120_000;
/// What a Durable Object remembers.
const REPLAYED: (u64, usize) = (15 * SECOND, 500);

/// What the server publishes.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    Put(Row),
    Deleted(Row),
    Child(ChildRow),
    ChildGone(ChildRow),
    /// The account is out of a space.
    Kicked(u8),
}

/// What comes over a connection, in the order in which it was sent.
#[derive(Debug)]
pub(crate) enum Message {
    /// The socket is open.
    Open,
    Event(&'static str, String),
    Failed(Failure),
}

/// A connection, or an attempt at one.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: u64,
    // What the server knows of it.
    spaces: BTreeSet<u8>,
    subscribed: bool,
    /// A snapshot is being read: what happens meanwhile is told after it.
    reading: Option<Vec<Told>>,
    /// Records whose children are told, and by rkey alone the parent and relation of each child.
    parents: BTreeSet<String>,
    known: BTreeMap<String, (String, &'static str)>,
    since: u64,
    // What the network does to it.
    last_arrival: u64,
    pub(crate) is_silent: bool,
    ended: bool,
    pub(crate) ends_after: Option<(u64, bool)>,
    pub(crate) received: u64,
    // What the device knows of it.
    pub(crate) lists: Option<Lists>,
    pub(crate) handshake: Option<(server::Page, u64, Ticket)>,
    pub(crate) snapshots: u64,
    pub(crate) live_since: Option<u64>,
}

impl Connection {
    pub(crate) fn new(id: u64, ends_after: Option<(u64, bool)>) -> Self {
        Self {
            id,
            spaces: BTreeSet::new(),
            subscribed: false,
            reading: None,
            parents: BTreeSet::new(),
            known: BTreeMap::new(),
            since: 0,
            last_arrival: 0,
            is_silent: false,
            ended: false,
            ends_after,
            received: 0,
            lists: None,
            handshake: None,
            snapshots: 0,
            live_since: None,
        }
    }

    /// Whether children of this record are told.
    pub(crate) fn follows(&self, parent: &str) -> bool {
        self.parents.contains(parent)
    }

    /// Whether it is told that this child goes, and where from.
    pub(crate) fn knows(&self, child: &ChildRow) -> bool {
        let known = self.known.get(&child.rkey);
        known.is_some_and(|(parent, relation)| {
            *parent == child.parent && *relation == child.relation()
        })
    }

    /// Children of a page's records are told from now on.
    fn learn(&mut self, page: &server::Page) {
        self.parents
            .extend(page.records.iter().map(|(uri, _)| uri.clone()));
        for (rkey, parent, relation) in &page.children {
            let relation = ["reactions", "rsvps"][*relation];
            self.known.insert(rkey.clone(), (parent.clone(), relation));
        }
    }
}

pub(crate) fn cut(words: &str) -> Failure {
    Failure::new(ErrorKind::Disconnected, words)
}

impl World {
    /// The connection of this number, if it is still the watch's.
    fn open(&mut self, id: u64) -> Option<&mut Connection> {
        self.connection.as_mut().filter(|it| it.id == id)
    }

    /// Sends something to the device, which gets it after what was sent before.
    pub(crate) fn send(&mut self, message: Message) {
        let (at, latency) = (self.at, self.latency());
        let Some(connection) = &mut self.connection else {
            return;
        };
        if connection.is_silent || connection.ended {
            return;
        }
        connection.ended = matches!(message, Message::Failed(_));
        connection.last_arrival = connection.last_arrival.max(at + latency);
        let (delay, id) = (connection.last_arrival - at, connection.id);
        self.after(delay, Event::Arrive(id, message));
    }

    fn fail(&mut self, failure: Failure) {
        self.send(Message::Failed(failure));
    }

    /// What is wrong with a request, if anything.
    fn refusal(&self, ticket: Ticket) -> Option<Failure> {
        let now = Server::time_of_day(self.at);
        let is_valid = ticket.expires > now
            && ticket.issued >= self.server.tickets_from
            && ticket.account == self.account;
        if !is_valid {
            return Some(Failure {
                refusal: Some(Refusal::Ticket),
                ..Failure::new(ErrorKind::AuthRequired, "ticket")
            });
        }
        // A space's ticket is taken whether its holder is a member or not; a community's spaces are looked up anew.
        let is_out = self.setup.community && self.server.member_of.is_empty();
        is_out.then(|| Failure::losing_access(ErrorKind::Forbidden, "no-reachable-spaces"))
    }

    pub(crate) fn roll(&self) -> Ticket {
        let now = Server::time_of_day(self.at);
        Ticket {
            issued: now,
            expires: now + TICKET_LIFE,
            account: self.account,
        }
    }

    /// The request arrives: of the stream, or of a socket's handshake.
    pub(crate) fn request(&mut self, id: u64, ticket: Ticket) {
        if self.open(id).is_none() {
            return;
        }
        if self.faults.refused > 0 {
            self.faults.refused -= 1;
            return self.fail(Failure::new(ErrorKind::Connect, "refused"));
        }
        if let Some(seconds) = self.faults.retry_after.take() {
            let retry_after = Some(std::time::Duration::from_secs(seconds));
            let busy = Failure::new(ErrorKind::HttpStatus, "503");
            return self.fail(Failure {
                retry_after,
                ..busy
            });
        }
        if self.server.lists.only {
            let latency = self.latency();
            return self.after(latency, Event::NoStream(id));
        }
        if let Some(refusal) = self.refusal(ticket) {
            return self.fail(refusal);
        }
        let spaces = match self.setup.community {
            true => self.server.member_of.clone(),
            false => [0].into(),
        };
        let (at, is_late, latency) = (self.at, self.setup.subscribes_late, self.latency());
        let (page, rolled) = (self.server.page(None), self.roll());
        let is_sse = self.setup.kind == Kind::Sse;
        let Some(connection) = self.open(id) else {
            return;
        };
        connection.spaces = spaces;
        connection.since = at;
        if is_sse {
            self.begin_stream(id, is_late);
        } else if !connection.is_silent {
            self.after(latency, Event::Handshake(id, page, rolled));
        }
    }

    /// A stream begins: with the snapshot, which takes its time to read.
    fn begin_stream(&mut self, id: u64, is_late: bool) {
        let reading = self.network.u64(..150 * MS);
        if let Some(connection) = self.open(id) {
            connection.subscribed = !is_late;
            connection.reading = Some(Vec::new());
        }
        self.send(Message::Event("snapshot.start", "{}".to_owned()));
        self.after(reading, Event::Read(id));
    }

    /// The snapshot is read.
    pub(crate) fn read(&mut self, id: u64) {
        let page = self.server.page(None);
        let Some(connection) = self.open(id) else {
            return;
        };
        connection.learn(&page);
        let held = connection.reading.take().unwrap_or_default();
        let is_late = !connection.subscribed;
        for (_, record) in page.records {
            let data = format!(r#"{{"record":{record}}}"#);
            self.send(Message::Event("snapshot.record", data));
        }
        let cursor = page
            .cursor
            .map_or("{}".to_owned(), |it| format!(r#"{{"cursor":"{it}"}}"#));
        self.send(Message::Event("snapshot.end", cursor));
        for told in held {
            self.tell(&told);
        }
        if is_late {
            let late = self.network.u64(..100 * MS);
            self.after(late, Event::Subscribe(id));
        }
    }

    pub(crate) fn subscribe(&mut self, id: u64) {
        if let Some(connection) = self.open(id) {
            connection.subscribed = true;
        }
    }

    /// The socket opens, after the handshake.
    pub(crate) fn upgrade(&mut self, id: u64) {
        if self.open(id).is_none() {
            return;
        }
        if self.faults.refused > 0 {
            self.faults.refused -= 1;
            return self.fail(Failure::new(ErrorKind::Connect, "refused"));
        }
        self.send(Message::Open);
        if self.setup.kind == Kind::Worker {
            let is_late = self.setup.subscribes_late;
            return self.begin_stream(id, is_late);
        }
        let at = self.at;
        let Some(connection) = self.open(id) else {
            return;
        };
        connection.subscribed = true;
        let since = connection.since;
        let recent = self.published.iter();
        let recent = recent.filter(|(when, _)| *when > since && when + REPLAYED.0 >= at);
        let mut recent: Vec<Told> = recent.map(|(_, told)| told.clone()).collect();
        // A kick is not replayed.
        recent.retain(|it| !matches!(it, Told::Kicked(_)));
        for told in recent {
            self.tell(&told);
        }
    }

    /// A page beside the stream.
    pub(crate) fn page_request(&mut self, id: u64, ticket: Ticket, cursor: Option<String>) {
        let fails = self.faults.no_page > 0;
        self.faults.no_page = self.faults.no_page.saturating_sub(1);
        let answer = match self.refusal(ticket) {
            Some(refusal) => Answer::Refused(refusal),
            // Nothing there knows of such pages.
            None if fails || self.server.lists.only => {
                Answer::Refused(Failure::new(ErrorKind::HttpStatus, "502"))
            }
            None => {
                let rolled = (self.setup.listing == Listing::Never).then(|| self.roll());
                Answer::Page(self.server.page(cursor.as_deref()), rolled)
            }
        };
        // Some answers take long, which is when they are overtaken.
        let delay = match self.network.u8(..4) {
            0 => self.network.u64(..4 * SECOND),
            _ => self.latency(),
        };
        self.after(delay, Event::Answered(id, answer));
    }

    /// Publishes what happened, a little later.
    pub(crate) fn publish(&mut self, told: Told) {
        let lag = match self.network.u8(..4) {
            0 => self.network.u64(..1_500 * MS),
            _ => self.network.u64(..5 * MS),
        };
        self.last_published = self.last_published.max(self.at + lag);
        self.after(self.last_published - self.at, Event::Publish(told));
    }

    /// What was published goes out, and is remembered for a while.
    pub(crate) fn go_out(&mut self, told: Told) {
        self.tell(&told);
        self.published.push_back((self.at, told));
        if self.published.len() > REPLAYED.1 {
            self.published.pop_front();
        }
    }

    /// Tells a connection what was published.
    fn tell(&mut self, told: &Told) {
        let at = self.at;
        let is_do = self.setup.kind == Kind::DurableObject;
        let hydrates = self.setup.hydrate.is_some();
        let Some(connection) = self.connection.as_mut().filter(|it| it.subscribed) else {
            return;
        };
        if let Some(held) = &mut connection.reading {
            return held.push(told.clone());
        }
        let body = if is_do { "record" } else { "value" };
        let sees = |space: Option<u8>| space.is_some_and(|it| connection.spaces.contains(&it));
        match told {
            Told::Put(row) if sees(row.space) => {
                connection.parents.insert(row.uri());
                // It carries the time of its publication, in microseconds.
                let time = Server::time_of_day(at) * 1000;
                let data = format!(r#"{{"record":{}}}"#, row.json(time, body, ""));
                self.send(Message::Event("record.created", data));
            }
            Told::Deleted(row) if sees(row.space) => {
                let (uri, did, rkey) = (row.uri(), row.did, &row.rkey);
                let data = format!(r#"{{"uri":"{uri}","did":"{did}","rkey":"{rkey}"}}"#);
                self.send(Message::Event("record.deleted", data));
            }
            Told::Child(row) if hydrates && connection.parents.contains(&row.parent) => {
                let known = (row.parent.clone(), row.relation());
                connection.known.insert(row.rkey.clone(), known);
                let (parent, relation, child) = (&row.parent, row.relation(), row.json(true, body));
                let data = format!(
                    r#"{{"parentUri":"{parent}","relation":"{relation}","child":{child}}}"#
                );
                self.send(Message::Event("hydration.added", data));
            }
            Told::ChildGone(row) if hydrates => {
                let Some((parent, relation)) = connection.known.remove(&row.rkey) else {
                    return;
                };
                let (rkey, did) = (&row.rkey, row.did);
                let data = format!(
                    r#"{{"parentUri":"{parent}","relation":"{relation}","childRkey":"{rkey}","childDid":"{did}"}}"#
                );
                self.send(Message::Event("hydration.removed", data));
            }
            Told::Kicked(space) if connection.spaces.remove(space) => self.throw_out(*space),
            Told::Put(_)
            | Told::Deleted(_)
            | Told::Child(_)
            | Told::ChildGone(_)
            | Told::Kicked(_) => {}
        }
    }

    fn throw_out(&mut self, space: u8) {
        if self.setup.kind == Kind::DurableObject {
            let lost = Failure::losing_access(ErrorKind::AccessLost, "membership-revoked");
            return self.fail(lost);
        }
        let (space, did) = (space_uri(space), ACCOUNTS[self.account]);
        let data = format!(r#"{{"space":"{space}","did":"{did}"}}"#);
        self.send(Message::Event("member.removed", data));
        let goes_on = self.setup.community && self.network.bool();
        if !goes_on {
            self.fail(cut("the stream ended"));
        }
    }

    /// The watch's URL.
    pub(crate) fn url(setup: &crate::schedule::Setup) -> String {
        let scope = match setup.community {
            true => format!("actor={}", server::COMMUNITY),
            false if setup.listing == Listing::Always => String::new(),
            false => format!("spaceUri={}", space_uri(0)),
        };
        let hydrate = setup.hydrate.map_or(String::new(), |it| {
            format!("&hydrateReactions={it}&hydrateRsvps={it}")
        });
        let limit = setup.limit;
        format!(
            "https://appview.example/xrpc/{COLLECTION}.watchRecords?{scope}&limit={limit}{hydrate}"
        )
    }
}
