//! People who write, and a network and a server that fail.

use std::{sync::Arc, time::Duration};

use appview::{Community, Delete, Fault, On, Options, Put, Server, Stats, TicketFor, WsMode};
use serde_json::{Value, json};

pub(crate) const ALICE: &str = "did:plc:alice";
pub(crate) const BOB: &str = "did:plc:bob";
const CAROL: &str = "did:plc:carol";
pub(crate) const CIRCLE: &str = "did:plc:circle";
const PEOPLE: [&str; 3] = [ALICE, BOB, CAROL];

/// An appview with a space of alice's and a community's two, in all of which bob is.
pub(crate) struct Traffic {
    pub(crate) server: Arc<Server>,
    pub(crate) space: String,
    /// The community's, one of which bob is thrown out of and let in again.
    circles: Vec<String>,
    is_in: bool,
    rng: fastrand::Rng,
    written: u64,
}

impl Traffic {
    pub(crate) async fn start(seed: u64, ws: WsMode) -> Self {
        let options = Options {
            ws,
            ..Options::default()
        };
        let server = Server::start(options).await.unwrap();
        let space = server.space("lounge", ALICE).unwrap();
        for member in [BOB, CAROL] {
            server.add_member(&space, member).unwrap();
        }
        let community = Community {
            did: CIRCLE.into(),
            spaces: vec!["one".into(), "two".into()],
            members: vec![BOB.into()],
            ..Community::default()
        };
        let circles = server.community(&community).unwrap();
        let mut traffic = Self {
            server: Arc::new(server),
            space,
            circles,
            is_in: true,
            rng: fastrand::Rng::with_seed(seed),
            written: 0,
        };
        for _ in 0..80 {
            traffic.operation();
        }
        traffic
    }

    pub(crate) fn stats(&self) -> Stats {
        self.server.stats()
    }

    pub(crate) fn ticket(&self, collection: &str, scope: Scope, hydrate: &[&str]) -> String {
        let ask = TicketFor {
            space_uri: (scope == Scope::Space).then(|| self.space.clone()),
            actor: (scope == Scope::Community).then(|| CIRCLE.into()),
            collection: collection.into(),
            did: BOB.into(),
            // Barely long enough for one connect.
            ttl_ms: Some(12_000),
            hydrate: hydrate.iter().map(ToString::to_string).collect(),
        };
        self.server.ticket(ask).unwrap()
    }

    /// How long people write until they pause.
    pub(crate) fn busy_rounds(&mut self) -> u32 {
        self.rng.u32(2..6)
    }

    /// Some operations, then a moment for the network.
    pub(crate) async fn round(&mut self) -> u64 {
        let count = self.rng.u64(1..30);
        for _ in 0..count {
            self.operation();
        }
        tokio::time::sleep(Duration::from_millis(self.rng.u64(1..120))).await;
        count
    }

    /// Perhaps something breaks. Says whether it does.
    pub(crate) fn fault(&mut self) -> bool {
        let once = |fault: Fault| Fault {
            times: Some(1),
            ..fault
        };
        let (dice, n) = (self.rng.u8(..10), self.rng.usize(..6_000));
        match dice {
            0 | 1 => _ = self.server.drop_connections(),
            2 => {
                // The next connection falls silent after some events …
                self.server.drop_connections();
                self.strike(once(Fault {
                    cut_after_events: Some(1 + n / 100),
                    stall: true,
                    ..Fault::default()
                }));
            }
            3 => {
                // … or is cut in the middle of one.
                self.server.drop_connections();
                self.strike(once(Fault {
                    cut_after_bytes: Some(1 + 3 * n),
                    ..Fault::default()
                }));
            }
            4 => self.strike(once(Fault {
                on: Some(On::Handshake),
                status: Some(502),
                body: Some("<html>bad gateway</html>".into()),
                content_type: Some("text/html".into()),
                ..Fault::default()
            })),
            5 => self.strike(once(Fault {
                on: Some(On::Upgrade),
                delay_ms: Some(n as u64),
                ..Fault::default()
            })),
            _ => return false,
        }
        true
    }

    fn strike(&self, fault: Fault) {
        self.server.fault(fault).unwrap();
    }

    /// Whether the app is closed and started again.
    pub(crate) fn restarts(&mut self) -> bool {
        self.rng.u8(..4) == 0
    }

    /// From now on nothing breaks, and nobody writes.
    pub(crate) fn calm(&mut self) {
        self.strike(Fault::default());
        if !self.is_in {
            self.let_in();
        }
    }

    fn operation(&mut self) {
        self.written += 1;
        // One in twenty changes is one that the server tells nobody of.
        let silent = self.rng.u8(..20) == 0;
        match self.rng.u8(..100) {
            0..30 => self.message(silent),
            30..38 => self.delete("message", silent),
            38..60 => self.child("reaction", "message", silent),
            60..66 => self.delete("reaction", silent),
            66..72 => self.event(silent),
            72..80 => self.child("rsvp", "event", silent),
            80..83 => self.delete("rsvp", silent),
            83..86 => self.badge(silent),
            86..97 => self.of_the_community(),
            _ => self.kick_or_let_in(),
        }
    }

    fn someone(&mut self) -> &'static str {
        PEOPLE[self.rng.usize(..PEOPLE.len())]
    }

    fn key(&mut self, most: u32) -> String {
        format!("k{}", self.rng.u32(..most))
    }

    fn put(&mut self, space: &str, collection: &str, rkey: String, record: Value, silent: bool) {
        let did = self.someone();
        self.put_by(
            did,
            Some(space.to_owned()),
            collection,
            rkey,
            record,
            silent,
        );
    }

    fn put_by(
        &self,
        did: &str,
        space_uri: Option<String>,
        collection: &str,
        rkey: String,
        record: Value,
        silent: bool,
    ) {
        let put = Put {
            space_uri,
            collection: collection.into(),
            did: did.into(),
            rkey,
            record,
            silent,
            ..Put::default()
        };
        self.server.put(put).unwrap();
    }

    fn message(&mut self, silent: bool) {
        let (space, rkey) = (self.space.clone(), self.key(40));
        let body = json!({ "text": format!("message {}", self.written) });
        self.put(&space, "message", rkey, body, silent);
    }

    fn event(&mut self, silent: bool) {
        let (space, rkey) = (self.space.clone(), self.key(4));
        let body = json!({ "name": format!("event {}", self.written) });
        self.put(&space, "event", rkey, body, silent);
    }

    /// A child of a record that may be there, new or another version, perhaps under another parent than before.
    fn child(&mut self, collection: &str, parent: &str, silent: bool) {
        let nsid = match parent {
            "message" => "com.example.chat.message",
            _ => "com.example.event",
        };
        let most = if parent == "message" { 40 } else { 4 };
        let (author, rkey) = (self.someone(), self.key(most));
        let uri = format!("at://{author}/{nsid}/{rkey}");
        let status = ["going", "interested"][self.rng.usize(..2)];
        let body = json!({
            "subject": { "uri": uri },
            "status": format!("com.example.rsvp#{status}"),
            "emoji": self.written.to_string(),
        });
        let (space, rkey) = (self.space.clone(), self.key(12));
        self.put(&space, collection, rkey, body, silent);
    }

    fn badge(&mut self, silent: bool) {
        let (space, rkey, subject) = (self.space.clone(), self.key(2), self.someone());
        let body = json!({ "subject": subject, "label": self.written.to_string() });
        self.put(&space, "badge", rkey, body, silent);
    }

    fn delete(&mut self, collection: &str, silent: bool) {
        let most = match collection {
            "message" => 40,
            "event" => 4,
            _ => 12,
        };
        let (did, rkey) = (self.someone(), self.key(most));
        let delete = Delete {
            space_uri: Some(self.space.clone()),
            collection: collection.into(),
            did: did.into(),
            rkey,
            silent,
        };
        self.server.delete(delete).unwrap();
    }

    /// In one of its spaces, in the other, or for all the world. None of it is published, as in the documented set-up.
    fn of_the_community(&mut self) {
        let at = self.rng.usize(..3);
        let (space, rkey) = (self.circles.get(at).cloned(), self.key(6));
        let body = json!({ "text": format!("news {}", self.written) });
        self.put_by(CIRCLE, space, "message", rkey, body, false);
    }

    fn kick_or_let_in(&mut self) {
        if self.is_in {
            self.is_in = false;
            self.server.kick(&self.circles[0], BOB).unwrap();
        } else {
            self.let_in();
        }
    }

    fn let_in(&mut self) {
        self.is_in = true;
        self.server.add_member(&self.circles[0], BOB).unwrap();
    }
}

/// What a watch is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Space,
    Community,
}
