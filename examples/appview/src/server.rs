//! The server: a real socket on loopback, and the handle that tests and the control plane share.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tower::ServiceExt as _;

use crate::Error;
use crate::fault::Fault;
use crate::ingest::{Contrail, PositionShape, keep_ingesting};
use crate::pds::PdsWrite;
use crate::query::MAX_LIMIT;
use crate::record::{Bulk, Community, Delete, Put};
use crate::settings::{Lenient, Losses};
use crate::state::{App, Connection, Stats, TicketFor, WsMode};
use crate::tls::{Tls, TlsPort, bind};
use crate::world::{OpenSpace, World};

/// Longest time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Serves TLS too, on a port of its own.
    pub tls: Option<Tls>,
    /// How WebSockets are ended.
    pub ws: WsMode,
    /// The data to serve, perhaps handed on from an earlier server; absent: a new, empty world.
    pub world: Option<Arc<World>>,
    /// Interval of the SSE keepalive comment.
    pub keepalive: Duration,
    /// Life of the tickets that handshakes and `/api/ticket` mint.
    pub ticket_ttl: Duration,
    /// Most records of one page, whatever `limit` asks for. The real server's 200 by default.
    pub max_limit: usize,
    /// Has the community module; without it a watch of an actor is refused for ever.
    pub has_communities: bool,
    /// What is allowed though the real server does not allow it. Set on the world that is served.
    pub lenient: Lenient,
    /// What is lost as the real server loses it. Set on the world that is served.
    pub losses: Losses,
    /// Which contrail it is like. Set on the world that is served.
    pub contrail: Contrail,
    /// Takes public records in at this interval, as the real one does, instead of at once.
    pub ingest_every: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            tls: None,
            ws: WsMode::default(),
            world: None,
            keepalive: Duration::from_secs(15),
            ticket_ttl: Duration::from_secs(120),
            max_limit: MAX_LIMIT,
            has_communities: true,
            lenient: Lenient::default(),
            losses: Losses::default(),
            contrail: Contrail::default(),
            ingest_every: None,
        }
    }
}

/// A running appview. Dropping it closes every connection.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    address: SocketAddr,
    tls: Option<TlsPort>,
}

impl Server {
    /// Listens on loopback and serves until shut down or dropped.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let world = match &options.world {
            Some(world) => world.clone(),
            None => World::new()?,
        };
        world.set_lenient(options.lenient);
        world.set_losses(options.losses);
        world.set_contrail(options.contrail);
        world.set_waiting(options.ingest_every.is_some());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = listener.local_addr()?;
        let ttl_ms = i64::try_from(options.ticket_ttl.as_millis()).unwrap_or(i64::MAX);
        let app = App::new(world.clone(), &options, ttl_ms);
        if let Some(every) = options.ingest_every {
            let (stop, ingest) = (app.stop.clone(), keep_ingesting(world, every));
            app.tasks.spawn(async move {
                stop.run_until_cancelled(ingest).await;
            });
        }
        let tls = match options.tls {
            Some(tls) => {
                let (port, listener, acceptor) = bind().await?;
                app.tasks
                    .spawn(accept(listener, app.clone(), Some((acceptor, tls))));
                Some(port)
            }
            None => None,
        };
        app.tasks.spawn(accept(listener, app.clone(), None));
        Ok(Self { app, address, tls })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `https://127.0.0.1:<port>`, if it serves TLS.
    pub fn tls_url(&self) -> Option<String> {
        let tls = self.tls.as_ref()?;
        Some(format!("https://{}", tls.address))
    }

    /// The certificate to trust for that.
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        Some(self.tls.as_ref()?.certificate.clone())
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

    /// Creates or finds a space, and lets in whoever has the query that it answers, `spaceUri=…&inviteToken=…`: a watch
    /// that needs no ticket.
    pub fn open_space(&self, key: &str, owner: &str) -> Result<OpenSpace, Error> {
        self.app.world.open_space(key, owner)
    }

    /// Makes a community; answers the URIs of its spaces that are named.
    pub fn community(&self, community: &Community) -> Result<Vec<String>, Error> {
        self.app.world.community(community)
    }

    /// Deletes a space. Nobody is told, unless [`Losses::space_deletion`] is off.
    pub fn delete_space(&self, space_uri: &str) -> Result<(), Error> {
        self.app.world.delete_space(space_uri)
    }

    /// Allows this from now on, and nothing else that the real server does not do.
    pub fn set_lenient(&self, lenient: Lenient) {
        self.app.world.set_lenient(lenient);
    }

    /// Loses this from now on, and nothing else. Watches that are open go on as they were.
    pub fn set_losses(&self, losses: Losses) {
        self.app.world.set_losses(losses);
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

    /// An access token of this account for the PDS.
    pub fn pds_session(&self, did: &str) -> Result<String, Error> {
        self.app.world.pds_session(did)
    }

    /// An access token with a life of so many milliseconds; zero or less makes an expired one.
    pub fn pds_session_for(&self, did: &str, life_ms: i64) -> Result<String, Error> {
        self.app.world.pds_session_for(did, life_ms)
    }

    /// The PDS asks for a DPoP proof with this nonce from now on; `None`: for none.
    pub fn set_dpop_nonce(&self, nonce: Option<&str>) -> Result<(), Error> {
        self.app.world.set_dpop_nonce(nonce)
    }

    /// The write requests that the PDS got, in the order in which they arrived.
    pub fn pds_log(&self) -> Vec<PdsWrite> {
        self.app.world.pds_log()
    }

    /// Is like this contrail from now on.
    pub fn set_contrail(&self, contrail: Contrail) {
        self.app.world.set_contrail(contrail);
    }

    /// Answers `getCursor` like this from now on.
    pub fn set_position_shape(&self, shape: PositionShape) {
        self.app.world.set_position_shape(shape);
    }

    /// Moves the position though no record changed.
    pub fn move_position(&self) {
        self.app.world.move_position();
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

async fn accept(listener: TcpListener, app: Arc<App>, tls: Option<(TlsAcceptor, Tls)>) {
    let router = crate::routes::router(app.clone());
    loop {
        let accepted = tokio::select! {
            () = app.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                let connection = Connection::new(&app);
                let serving = serve(socket, tls.clone(), connection.clone(), router.clone());
                app.tasks.spawn(async move {
                    tokio::select! {
                        () = connection.is_cut() => {}
                        served = serving => if let Err(error) = served {
                            tracing::debug!(%error, "connection ended");
                        }
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: give others the time to close some.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(
    socket: TcpStream,
    tls: Option<(TlsAcceptor, Tls)>,
    connection: Connection,
    router: axum::Router,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Small events must not wait for each other.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let Some((acceptor, options)) = tls else {
        return Ok(hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades()
            .await?);
    };
    let socket = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket)).await??;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    let streams = options.max_concurrent_streams;
    builder
        .http2()
        .max_concurrent_streams(streams)
        .timer(TokioTimer::new());
    let socket = TokioIo::new(socket);
    builder
        .serve_connection_with_upgrades(socket, service)
        .await
}
