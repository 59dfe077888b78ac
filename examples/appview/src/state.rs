//! What every request shares, and what is counted about them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Error;
use crate::fault::Faults;
use crate::query::{Params, Query};
use crate::schema::by_short_name;
use crate::server::Options;
use crate::world::World;

/// How WebSockets are ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WsMode {
    /// In the worker: the snapshot is sent again, kicks say `member.removed`.
    #[default]
    Worker,
    /// In a Durable Object: replay instead of a snapshot, bodies under `record`, close frames never answered.
    Do,
    /// Not at all: upgrades get a 426.
    Off,
}

/// What a server has seen. Connections that only carried control calls do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Connections open now.
    pub open: u64,
    /// Watches open now, over SSE and WebSocket.
    pub watches: u64,
    /// Connections so far.
    pub connects: u64,
    /// Requests so far, of every kind but control.
    pub requests: u64,
    /// SSE watch requests so far, refused ones included.
    pub sse: u64,
    /// Handshake requests so far, refused ones included.
    pub handshakes: u64,
    /// Upgrade requests so far, refused ones included.
    pub upgrades: u64,
    /// Ticket requests so far, refused ones included.
    pub tickets: u64,
    /// `listRecords` requests so far, refused ones included.
    pub lists: u64,
    /// `getCursor` requests so far, refused ones included.
    pub positions: u64,
}

/// Counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) open: AtomicU64,
    pub(crate) watches: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) sse: AtomicU64,
    pub(crate) handshakes: AtomicU64,
    pub(crate) upgrades: AtomicU64,
    pub(crate) tickets: AtomicU64,
    pub(crate) lists: AtomicU64,
    pub(crate) positions: AtomicU64,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What every request handler shares.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) world: Arc<World>,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
    pub(crate) keepalive: Duration,
    pub(crate) ticket_ttl_ms: i64,
    pub(crate) max_limit: usize,
    pub(crate) has_communities: bool,
    ws: Mutex<WsMode>,
    next_id: AtomicU64,
    connections: Mutex<HashMap<u64, CancellationToken>>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl App {
    pub(crate) fn new(world: Arc<World>, options: &Options, ticket_ttl_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            world,
            faults: Faults::default(),
            counters: Counters::default(),
            keepalive: options.keepalive,
            ticket_ttl_ms,
            max_limit: options.max_limit,
            has_communities: options.has_communities,
            ws: Mutex::new(options.ws),
            next_id: AtomicU64::new(0),
            connections: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    pub(crate) fn ws(&self) -> WsMode {
        *self.ws.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_ws(&self, mode: WsMode) {
        *self.ws.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    pub(crate) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        Stats {
            open: read(&counters.open),
            watches: read(&counters.watches),
            connects: read(&counters.connects),
            requests: read(&counters.requests),
            sse: read(&counters.sse),
            handshakes: read(&counters.handshakes),
            upgrades: read(&counters.upgrades),
            tickets: read(&counters.tickets),
            lists: read(&counters.lists),
            positions: read(&counters.positions),
        }
    }

    /// Cuts every connection but one, and answers how many.
    pub(crate) fn drop_connections(&self, but: Option<u64>) -> usize {
        let connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let others = connections.iter().filter(|(id, _)| Some(**id) != but);
        others.inspect(|(_, token)| token.cancel()).count()
    }

    /// A ticket for a query, minted without asking whether `did` may read.
    pub(crate) fn ticket(&self, ask: &TicketFor) -> Result<String, Error> {
        let unknown = || Error::UnknownCollection(ask.collection.clone());
        let collection = by_short_name(&ask.collection).ok_or_else(unknown)?;
        let query = Query::parse(collection, &ask.params(collection)?, self.max_limit);
        if query.scope.is_none() {
            return Err(Error::NoScope);
        }
        let ttl_ms = ask.ttl_ms.unwrap_or(self.ticket_ttl_ms);
        let topics = crate::auth::unchecked_topics(self, &query, &ask.did);
        crate::auth::mint(&self.world, query.spec(), topics, &ask.did, ttl_ms)
            .ok_or(Error::NoTicket)
    }
}

/// A ticket to mint; see [`crate::Server::ticket`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TicketFor {
    /// The space, or
    #[serde(default)]
    pub space_uri: Option<String>,
    /// the community whose records are watched.
    #[serde(default)]
    pub actor: Option<String>,
    /// Short name of the collection.
    pub collection: String,
    /// The caller.
    pub did: String,
    /// Life in milliseconds; zero or less mints an expired ticket. Default 120,000.
    #[serde(default)]
    pub ttl_ms: Option<i64>,
    /// Names of the relations whose children are followed live.
    #[serde(default)]
    pub hydrate: Vec<String>,
}

impl TicketFor {
    fn params(&self, collection: &crate::schema::Collection) -> Result<Params, Error> {
        crate::record::check_did(&self.did)?;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let scope = [("spaceUri", &self.space_uri), ("actor", &self.actor)];
        for (name, value) in scope {
            query.extend_pairs(value.as_ref().map(|value| (name, value)));
        }
        for name in &self.hydrate {
            if !collection
                .relations
                .iter()
                .any(|relation| relation.name == name)
            {
                return Err(Error::UnknownRelation(name.clone()));
            }
            query.append_pair(&crate::schema::hydrate_param(name), "1");
        }
        Ok(Params::parse(&query.finish()))
    }
}

/// One TCP connection, upgraded or not. The last clone gone, it counts as closed.
#[derive(Debug, Clone)]
pub(crate) struct Connection(Arc<ConnectionInner>);

#[derive(Debug)]
struct ConnectionInner {
    app: Arc<App>,
    id: u64,
    cut: CancellationToken,
    counted: AtomicBool,
}

impl Connection {
    pub(crate) fn new(app: &Arc<App>) -> Self {
        let id = app.next_id.fetch_add(1, Ordering::Relaxed);
        let cut = app.stop.child_token();
        let mut connections = app
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connections.insert(id, cut.clone());
        let app = app.clone();
        Self(Arc::new(ConnectionInner {
            app,
            id,
            cut,
            counted: AtomicBool::new(false),
        }))
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// Closes the socket without another byte.
    pub(crate) fn cut(&self) {
        self.0.cut.cancel();
    }

    /// Resolves once the connection must go.
    pub(crate) async fn is_cut(&self) {
        self.0.cut.cancelled().await;
    }

    /// Counts the request, and the connection at its first.
    pub(crate) fn count_request(&self) {
        let counters = &self.0.app.counters;
        count(&counters.requests);
        if !self.0.counted.swap(true, Ordering::Relaxed) {
            count(&counters.connects);
            count(&counters.open);
        }
    }
}

impl Drop for ConnectionInner {
    fn drop(&mut self) {
        let connections = self.app.connections.lock();
        connections
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
        if *self.counted.get_mut() {
            self.app.counters.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Counts one open watch while it lives.
#[derive(Debug)]
pub(crate) struct WatchGuard(Arc<App>);

impl WatchGuard {
    pub(crate) fn new(app: &Arc<App>) -> Self {
        count(&app.counters.watches);
        Self(app.clone())
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.0.counters.watches.fetch_sub(1, Ordering::Relaxed);
    }
}
