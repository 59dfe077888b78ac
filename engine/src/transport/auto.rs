//! WebSocket where it works, else server-sent events, else lists.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::Instant;
use tracing::debug;

use super::{
    ConnectRequest, Events, Transport, TransportError, handshake,
    http::{Http, origin},
    list::stream_url,
    poll::Poll,
    sse::Sse,
    ws::{self, Ws},
};
use crate::gauge::Carrier;

/// How long a host that offered no socket is not asked again.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Hosts remembered at once.
const MAX_REMEMBERED: usize = 256;

/// Chooses at every connect.
#[derive(Debug, Clone)]
pub(crate) struct Auto {
    http: Http,
    ws: Ws,
    sse: Sse,
    poll: Poll,
    /// Origins without WebSocket.
    without_socket: Known,
    /// Origins without streams.
    without_stream: Known,
}

/// What came of asking for a socket.
enum Socket {
    Open(Events),
    /// The host has none.
    None(TransportError),
    /// It may have one another time.
    NotNow(TransportError),
}

/// Origins of which something is known, and since when.
#[derive(Debug, Clone, Default)]
struct Known(Arc<Mutex<HashMap<String, Instant>>>);

impl Known {
    fn has(&self, origin: &str) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, since| since.elapsed() < REMEMBERED);
        known.contains_key(origin)
    }

    fn remember(&self, origin: String) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_REMEMBERED {
            known.insert(origin, Instant::now());
        }
    }

    fn forget(&self, origin: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(origin);
    }
}

impl Auto {
    /// Chooses between these, which use the given client.
    pub(crate) fn new(http: Http, ws: Ws, sse: Sse, poll: Poll) -> Self {
        Self {
            http,
            ws,
            sse,
            poll,
            without_socket: Known::default(),
            without_stream: Known::default(),
        }
    }

    async fn over_stream(&self, request: &ConnectRequest) -> Result<Events, TransportError> {
        let (origin, fell_back) = (origin(&request.url), |why: &str| {
            request.gauge.fell_back(Carrier::Ws, Carrier::Sse, why);
        });
        // A socket ended in a Durable Object never reports the children of a snapshot's parents.
        if !ws::IS_BUILT_IN {
            fell_back("this program was built without WebSocket");
        } else if hydrates(request) {
            fell_back("the query hydrates children, which not every socket reports");
        } else if self.without_socket.has(&origin) {
            fell_back("this host offered no WebSocket in the last hour");
        } else {
            request.gauge.over(Carrier::Ws);
            match self.over_ws(request).await? {
                Socket::Open(events) => return Ok(events),
                Socket::None(why) => {
                    fell_back(&why.to_string());
                    self.without_socket.remember(origin.clone());
                }
                Socket::NotNow(why) => fell_back(&why.to_string()),
            }
            debug!(watch = %request.watch, %origin, "no WebSocket, using SSE");
        }
        self.sse.connect(request.clone()).await
    }

    async fn over_ws(&self, request: &ConnectRequest) -> Result<Socket, TransportError> {
        let asked = handshake::ask(&self.http, stream_url(&request.url), request).await;
        let handshake = match asked {
            Ok(handshake) => handshake,
            // A host that knows no handshake; every other failure SSE would meet too.
            Err(error @ (TransportError::NoWebSocket | TransportError::BadHandshake { .. })) => {
                return Ok(Socket::None(error));
            }
            Err(error) => return Err(error),
        };
        match self.ws.open(handshake, request).await {
            Ok(events) => Ok(Socket::Open(events)),
            // Refusals of the ticket or of access are about the watch, not about sockets.
            Err(error) if error.refusal().is_some() => Err(error),
            Err(error) => {
                debug!(watch = %request.watch, origin = %origin(&request.url), %error, "the upgrade failed");
                Ok(match is_of_the_moment(&error) {
                    true => Socket::NotNow(error),
                    false => Socket::None(error),
                })
            }
        }
    }
}

impl Transport for Auto {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Events, TransportError>> {
        async move {
            let origin = origin(&request.url);
            let may_list = request.may_list();
            let fell_back = |request: &ConnectRequest, why: &str| {
                request.gauge.fell_back(Carrier::Sse, Carrier::Poll, why);
            };
            if may_list && self.without_stream.has(&origin) {
                fell_back(&request, "this appview had no streams in the last hour");
                let listed = self.poll.connect(request).await;
                // A server that changed may have streams now: the next attempt asks for one.
                if listed.as_ref().err().is_some_and(is_no_list) {
                    self.without_stream.forget(&origin);
                }
                return listed;
            }
            let no_stream = match self.over_stream(&request).await {
                Err(error @ TransportError::NoStream { .. }) if may_list => error,
                // Of one watch, whatever others of this origin may have.
                Err(error) if may_list && is_of_a_public_list(&error) => {
                    fell_back(&request, &error.to_string());
                    return self.poll.connect(request).await;
                }
                connected => return connected,
            };
            debug!(watch = %request.watch, %origin, %no_stream, "using lists");
            fell_back(&request, &no_stream.to_string());
            let listed = self.poll.connect(request).await?;
            self.without_stream.remember(origin);
            Ok(listed)
        }
        .boxed()
    }
}

/// Whether an upgrade failed as any request may, as while a server starts anew: that says nothing about sockets.
fn is_of_the_moment(error: &TransportError) -> bool {
    match error {
        TransportError::Connect { .. } | TransportError::Cut { .. } => true,
        TransportError::Status { status, .. } => matches!(status, 429 | 500 | 502..=504),
        _ => false,
    }
}

/// Whether a version with streams says that it has none of public records.
fn is_of_a_public_list(error: &TransportError) -> bool {
    match error {
        TransportError::PublicList { .. } => true,
        TransportError::BadRequest { message, .. } => {
            matches!(
                &**message,
                "spaceUri or actor required" | "community-module-disabled"
            )
        }
        _ => false,
    }
}

/// Whether the server has something else where its list was, or nothing.
fn is_no_list(error: &TransportError) -> bool {
    match error {
        TransportError::Status { status, .. } => matches!(status, 404 | 405 | 410 | 501),
        TransportError::BadPage { .. } => true,
        _ => false,
    }
}

fn hydrates(request: &ConnectRequest) -> bool {
    let mut names = request.url.query_pairs();
    names.any(|(name, _)| name.starts_with("hydrate"))
}
