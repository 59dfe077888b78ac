//! WebSocket where it works, else server-sent events.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::Instant;
use tracing::debug;

use super::{ConnectRequest, Events, Transport, TransportError, http::origin, sse::Sse, ws::Ws};

/// How long a host that offered no socket is not asked again.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Hosts remembered at once.
const MAX_REMEMBERED: usize = 256;

/// Chooses at every connect.
#[derive(Debug, Clone)]
pub(crate) struct Auto {
    ws: Ws,
    sse: Sse,
    /// Origins without WebSocket, and since when that is known.
    without: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Auto {
    /// Chooses between these two.
    pub(crate) fn new(ws: Ws, sse: Sse) -> Self {
        Self {
            ws,
            sse,
            without: Arc::default(),
        }
    }

    async fn over_ws(&self, request: &ConnectRequest) -> Result<Option<Events>, TransportError> {
        let handshake = match self.ws.handshake(request.url.clone(), request).await {
            Ok(handshake) => handshake,
            // A host that knows no handshake; every other failure SSE would meet too.
            Err(TransportError::NoWebSocket | TransportError::BadHandshake { .. }) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match self.ws.open(handshake, request).await {
            Ok(events) => Ok(Some(events)),
            // Refusals of the ticket or of access are about the watch, not about sockets.
            Err(error) if error.refusal().is_some() => Err(error),
            Err(error) => {
                debug!(watch = %request.watch, origin = %origin(&request.url), %error, "the upgrade failed");
                Ok(None)
            }
        }
    }

    fn is_without(&self, origin: &str) -> bool {
        let mut without = self.without.lock().unwrap_or_else(PoisonError::into_inner);
        without.retain(|_, since| since.elapsed() < REMEMBERED);
        without.contains_key(origin)
    }

    fn remember(&self, origin: String) {
        let mut without = self.without.lock().unwrap_or_else(PoisonError::into_inner);
        if without.len() < MAX_REMEMBERED {
            without.insert(origin, Instant::now());
        }
    }
}

impl Transport for Auto {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Events, TransportError>> {
        async move {
            let origin = origin(&request.url);
            // A socket ended in a Durable Object never reports the children of a snapshot's parents.
            if !hydrates(&request) && !self.is_without(&origin) {
                if let Some(events) = self.over_ws(&request).await? {
                    return Ok(events);
                }
                debug!(watch = %request.watch, %origin, "no WebSocket, using SSE");
                self.remember(origin);
            }
            self.sse.connect(request).await
        }
        .boxed()
    }
}

fn hydrates(request: &ConnectRequest) -> bool {
    let mut names = request.url.query_pairs();
    names.any(|(name, _)| name.starts_with("hydrate"))
}
