//! The first step of a WebSocket: an answer that carries the snapshot and says where the socket is. It is how pages are
//! asked for as well, by programs without WebSocket, too.

use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::{ConnectRequest, TransportError, http::Http, list, page::Page};
use crate::{
    id::WatchId,
    pure::protocol::{listed::Records, ticket::Ticket, wire},
};

/// It carries up to 200 records: it may be this many times larger than one event.
const EVENTS: usize = 4;

/// Asks for the snapshot and the socket's URL. `url` is the watch's, or that of a page of it.
pub(super) async fn ask(
    http: &Http,
    mut url: Url,
    request: &ConnectRequest,
) -> Result<Handshake, TransportError> {
    url.query_pairs_mut().append_pair("mode", "ws");
    let answer = http.get(url, request, "application/json").await;
    let answer = answer.map_err(no_websocket)?;
    let content_type = answer.content_type();
    if content_type != "application/json" {
        let message = format!("the answer is {content_type}");
        return Err(TransportError::BadHandshake { message });
    }
    let limit = request.max_event_bytes.saturating_mul(EVENTS);
    let Some(body) = answer.body(limit).await? else {
        let message = format!("the answer is larger than {limit} bytes");
        return Err(TransportError::BadHandshake { message });
    };
    serde_json::from_slice(&body).map_err(|error| TransportError::BadHandshake {
        message: wire::describe(&error),
    })
}

/// The handshake's answer, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Handshake {
    pub snapshot: Snapshot,
    pub ticket: Option<String>,
    pub ws_url: String,
    /// When it was answered.
    #[serde(skip, default = "Instant::now")]
    pub at: Instant,
}

impl Handshake {
    /// Its snapshot alone, for one who opens no socket.
    pub(super) fn into_page(self, watch: WatchId) -> Page {
        let Snapshot { records, cursor } = self.snapshot;
        let listed = list::read_page(watch, records, cursor);
        let ticket = self.ticket.and_then(|text| Ticket::parse(&text).ok());
        (listed, ticket)
    }
}

/// The watch's first page.
#[derive(Deserialize)]
pub(super) struct Snapshot {
    pub records: Records,
    pub cursor: Option<String>,
}

/// 426 is how a host says that it ends no WebSockets.
pub(super) fn no_websocket(error: TransportError) -> TransportError {
    match error {
        TransportError::Status { status: 426, .. } => TransportError::NoWebSocket,
        other => other,
    }
}
