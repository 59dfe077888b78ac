//! WebSocket where it works, else server-sent events.

use futures_util::{FutureExt, future::BoxFuture};
use tracing::debug;

use super::{ConnectRequest, Events, Transport, TransportError, http::origin, sse::Sse, ws::Ws};

/// Chooses at every connect.
#[derive(Debug, Clone)]
pub struct Auto {
    ws: Ws,
    sse: Sse,
}

impl Auto {
    /// Chooses between these two.
    pub fn new(ws: Ws, sse: Sse) -> Self {
        Self { ws, sse }
    }
}

impl Transport for Auto {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Events, TransportError>> {
        async move {
            // A socket ended in a Durable Object never reports the children of a snapshot's parents.
            if hydrates(&request) {
                return self.sse.connect(request).await;
            }
            match self.ws.connect(request.clone()).await {
                Err(error) if offers_no_socket(&error) => {
                    debug!(origin = %origin(&request.url), %error, "no WebSocket, using SSE");
                    self.sse.connect(request).await
                }
                other => other,
            }
        }
        .boxed()
    }
}

fn hydrates(request: &ConnectRequest) -> bool {
    request
        .url
        .query_pairs()
        .any(|(name, _)| name.starts_with("hydrate"))
}

/// Whether the failure is about WebSockets: what is about tickets, access or the network, SSE meets too.
fn offers_no_socket(error: &TransportError) -> bool {
    matches!(
        error,
        TransportError::NoWebSocket
            | TransportError::BadHandshake { .. }
            | TransportError::Status { .. }
            | TransportError::ConnectTimeout { .. }
            | TransportError::Cut { .. }
    )
}
