//! Two accounts with a space each, in which things are said without end. Every record tells whose it is, and when it was said.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use appview::{Delete, Options, Put, Server, TicketFor};
use contrail_sync_engine::{State, Ticket, TicketSource, WatchSpec};
use serde_json::Value;
use tokio::task::JoinSet;

use super::common::*;

pub(crate) const ACCOUNTS: [&str; 2] = [ALICE, BOB];
/// Records of each account that come and go.
const RECORDS: u64 = 80;

pub(crate) struct Home {
    pub server: Arc<Server>,
    spaces: [String; 2],
    /// How often anything was said.
    said: Arc<AtomicU64>,
    talk: JoinSet<()>,
}

/// The watch of an account, with the ticket that opens it.
pub(crate) struct Watched {
    pub spec: WatchSpec,
    pub ticket: String,
}

/// The text of what was said so many times ago: long, and no part of it fits any other.
fn text(did: &str, rkey: &str, said: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(said);
    let rest: String = (0..60).map(|_| format!("{:08x}", rng.u32(..))).collect();
    format!("{did} {rkey} {said} {rest}")
}

fn say(server: &Server, space: &str, did: &str, rkey: u64, said: u64) {
    let rkey = rkey.to_string();
    let put = Put {
        space_uri: Some(space.to_owned()),
        collection: "message".into(),
        did: did.into(),
        record: serde_json::json!({ "text": text(did, &rkey, said) }),
        rkey,
        ..Put::default()
    };
    server.put(put).unwrap();
}

impl Home {
    /// With something said in each space.
    pub(crate) async fn new() -> Self {
        let server = Arc::new(Server::start(Options::default()).await.unwrap());
        let spaces = ACCOUNTS.map(|did| server.space("home", did).unwrap());
        let said = Arc::new(AtomicU64::new(0));
        for (did, space) in ACCOUNTS.into_iter().zip(&spaces) {
            for rkey in 0..RECORDS / 2 {
                say(&server, space, did, rkey, said.fetch_add(1, Relaxed));
            }
        }
        let talk = JoinSet::new();
        Self {
            server,
            spaces,
            said,
            talk,
        }
    }

    /// From now on they talk without end.
    pub(crate) fn talk(&mut self) {
        let (server, spaces, said) = (self.server.clone(), self.spaces.clone(), self.said.clone());
        self.talk.spawn(async move {
            let mut rng = fastrand::Rng::with_seed(3);
            loop {
                for (did, space) in ACCOUNTS.into_iter().zip(&spaces) {
                    let rkey = rng.u64(..RECORDS);
                    if rng.u8(..5) == 0 {
                        let delete = Delete {
                            space_uri: Some(space.clone()),
                            collection: "message".into(),
                            did: did.into(),
                            rkey: rkey.to_string(),
                            silent: false,
                        };
                        server.delete(delete).unwrap();
                    } else {
                        // Counted first: nothing is told that was not said.
                        say(&server, space, did, rkey, said.fetch_add(1, Relaxed));
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(4)).await;
            }
        });
    }

    pub(crate) async fn hush(&mut self) {
        self.talk.shutdown().await;
    }

    /// The cached watch of each account.
    pub(crate) fn watched(&self) -> [Watched; 2] {
        [self.watch(0), self.watch(1)]
    }

    fn watch(&self, account: usize) -> Watched {
        let (did, space) = (ACCOUNTS[account], &self.spaces[account]);
        let path = format!(
            "{}/xrpc/com.example.message.watchRecords",
            self.server.url()
        );
        let mut url = url::Url::parse(&path).unwrap();
        // All of it: what is not listed is not there.
        url.query_pairs_mut()
            .append_pair("spaceUri", space)
            .append_pair("limit", "200");
        let ask = TicketFor {
            space_uri: Some(space.clone()),
            actor: None,
            collection: "message".into(),
            did: did.into(),
            ttl_ms: Some(3_600_000),
            hydrate: Vec::new(),
        };
        let ticket = self.server.ticket(ask).unwrap();
        let spec = watch_of(url, did, &ticket);
        Watched { spec, ticket }
    }

    /// How often anything was said so far.
    pub(crate) fn said(&self) -> u64 {
        self.said.load(Relaxed)
    }
}

/// A cached watch.
pub(crate) fn watch_of(url: url::Url, did: &str, ticket: &str) -> WatchSpec {
    let mut spec = anywhere(url);
    spec.tickets = TicketSource::Static(Ticket::parse(ticket).unwrap());
    spec.account = Some(did.to_owned());
    spec.cache = Some(Default::default());
    spec
}

/// What is wrong with what is shown to an account, if anything.
pub(crate) fn wrong(state: &State, did: &str, most: u64) -> Option<String> {
    state.entries.iter().find_map(|entry| {
        let value: Value = serde_json::from_str(entry.record.value.get()).ok()?;
        let told = value["text"].as_str().unwrap_or_default();
        let said = told.split(' ').nth(2).and_then(|it| it.parse().ok());
        let said = said.unwrap_or(u64::MAX);
        let is_said = said < most
            && entry.record.did() == did
            && told == text(did, entry.record.rkey(), said);
        (!is_said).then(|| format!("{did} is shown {entry:?}: {told}"))
    })
}
