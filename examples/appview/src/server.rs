//! The server: a real socket on loopback, and the handle that tests and the control plane share.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::Error;
use crate::fault::{Fault, Faults};
use crate::query::{Params, Query};
use crate::schema::by_short_name;
use crate::world::{Bulk, Delete, Put, World};

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

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// How WebSockets are ended.
    pub ws: WsMode,
    /// The data to serve, perhaps handed on from an earlier server; absent: a new, empty world.
    pub world: Option<Arc<World>>,
    /// Interval of the SSE keepalive comment.
    pub keepalive: Duration,
    /// Life of the tickets that handshakes and `/api/ticket` mint.
    pub ticket_ttl: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            ws: WsMode::default(),
            world: None,
            keepalive: Duration::from_secs(15),
            ticket_ttl: Duration::from_secs(120),
        }
    }
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
    ws: AtomicU8,
    next_id: AtomicU64,
    connections: Mutex<HashMap<u64, CancellationToken>>,
    stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl App {
    pub(crate) fn ws(&self) -> WsMode {
        match self.ws.load(Ordering::Relaxed) {
            0 => WsMode::Worker,
            1 => WsMode::Do,
            _ => WsMode::Off,
        }
    }

    pub(crate) fn set_ws(&self, mode: WsMode) {
        let code = match mode {
            WsMode::Worker => 0,
            WsMode::Do => 1,
            WsMode::Off => 2,
        };
        self.ws.store(code, Ordering::Relaxed);
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
        }
    }

    /// Cuts every connection but one, and answers how many.
    pub(crate) fn drop_connections(&self, but: Option<u64>) -> usize {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let others = connections.iter().filter(|(id, _)| Some(**id) != but);
        others.inspect(|(_, token)| token.cancel()).count()
    }

    /// A ticket for a query, minted without asking whether `did` may read.
    pub(crate) fn ticket(&self, ask: &TicketFor) -> Result<String, Error> {
        let unknown = || Error::UnknownCollection(ask.collection.clone());
        let collection = by_short_name(&ask.collection).ok_or_else(unknown)?;
        let query = Query::parse(collection, &ask.params(collection)?).ok_or(Error::NoScope)?;
        let ttl_ms = ask.ttl_ms.unwrap_or(self.ticket_ttl_ms);
        let topic = query.scope.topic();
        crate::auth::mint(&self.world, query.spec(), topic, &ask.did, ttl_ms)
            .ok_or(Error::NoTicket)
    }
}

/// A ticket to mint; see [`Server::ticket`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TicketFor {
    /// The space, or
    #[serde(default)]
    pub space_uri: Option<String>,
    /// the author whose records are watched.
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
        crate::world::check_did(&self.did)?;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let scope = [("spaceUri", &self.space_uri), ("actor", &self.actor)];
        for (name, value) in scope {
            query.extend_pairs(value.as_ref().map(|value| (name, value)));
        }
        for name in &self.hydrate {
            if !collection.relations.iter().any(|relation| relation.name == name) {
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
    fn new(app: &Arc<App>) -> Self {
        let id = app.next_id.fetch_add(1, Ordering::Relaxed);
        let cut = app.stop.child_token();
        let mut connections = app.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.insert(id, cut.clone());
        let app = app.clone();
        Self(Arc::new(ConnectionInner { app, id, cut, counted: AtomicBool::new(false) }))
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
        connections.unwrap_or_else(PoisonError::into_inner).remove(&self.id);
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

/// A running appview. Dropping it closes every connection.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    address: SocketAddr,
}

impl Server {
    /// Listens on loopback and serves until shut down or dropped.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let world = match options.world {
            Some(world) => world,
            None => World::new()?,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = listener.local_addr()?;
        let app = Arc::new(App {
            world,
            faults: Faults::default(),
            counters: Counters::default(),
            keepalive: options.keepalive,
            ticket_ttl_ms: i64::try_from(options.ticket_ttl.as_millis()).unwrap_or(i64::MAX),
            ws: AtomicU8::new(0),
            next_id: AtomicU64::new(0),
            connections: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        app.set_ws(options.ws);
        app.tasks.spawn(accept(listener, app.clone()));
        Ok(Self { app, address })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The data, to hand to a later server through [`Options::world`].
    pub fn world(&self) -> Arc<World> {
        self.app.world.clone()
    }

    /// Creates or finds a space; answers its URI.
    pub fn space(&self, key: &str, owner: &str) -> Result<String, Error> {
        self.app.world.space(key, owner)
    }

    /// Lets `did` read the space.
    pub fn add_member(&self, space_uri: &str, did: &str) -> Result<(), Error> {
        self.app.world.add_member(space_uri, did)
    }

    /// Takes access away; open watches of `did` on the space end.
    pub fn kick(&self, space_uri: &str, did: &str) -> Result<(), Error> {
        self.app.world.kick(space_uri, did)
    }

    /// A new invite token that reads the space.
    pub fn invite(&self, space_uri: &str) -> Result<String, Error> {
        self.app.world.invite(space_uri)
    }

    /// Writes a record; answers its URI.
    pub fn put(&self, put: Put) -> Result<String, Error> {
        self.app.world.put(put)
    }

    /// Deletes a record; answers whether it existed.
    pub fn delete(&self, delete: Delete) -> Result<bool, Error> {
        self.app.world.delete(delete)
    }

    /// Writes many messages.
    pub fn bulk(&self, bulk: Bulk) -> Result<(), Error> {
        self.app.world.bulk(bulk)
    }

    /// Mints a ticket, without asking whether `did` is a member.
    pub fn ticket(&self, ask: TicketFor) -> Result<String, Error> {
        self.app.ticket(&ask)
    }

    /// Makes requests go wrong from now on; `Fault::default()` clears all faults.
    pub fn fault(&self, fault: Fault) -> Result<(), Error> {
        self.app.faults.set(fault)
    }

    /// Changes how later WebSockets are ended.
    pub fn set_ws(&self, mode: WsMode) {
        self.app.set_ws(mode);
    }

    /// What the server has seen.
    pub fn stats(&self) -> Stats {
        self.app.stats()
    }

    /// Cuts every open connection; answers how many there were.
    pub fn drop_connections(&self) -> usize {
        self.app.drop_connections(None)
    }

    /// Closes the port and every connection, and waits until they are closed.
    pub async fn shutdown(self) {
        self.app.stop.cancel();
        self.app.tasks.close();
        self.app.tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

async fn accept(listener: TcpListener, app: Arc<App>) {
    let router = crate::routes::router(app.clone());
    loop {
        let accepted = tokio::select! {
            () = app.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                let connection = Connection::new(&app);
                app.tasks.spawn(serve(socket, connection, router.clone()));
            }
            Err(error) => {
                // Out of descriptors, most likely: give others the time to close some.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(socket: TcpStream, connection: Connection, router: axum::Router) {
    // Small events must not wait for each other.
    let _ = socket.set_nodelay(true);
    let handle = connection.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(handle.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    tokio::select! {
        () = connection.is_cut() => {}
        served = serving => if let Err(error) = served {
            tracing::debug!(%error, "connection ended");
        }
    }
}
