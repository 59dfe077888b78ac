//! WebSocket, in the protocol's two steps: a handshake that carries the snapshot, then an upgrade of a
//! connection of the same HTTP client.

mod heard;

use std::{collections::VecDeque, time::Duration};

use futures_util::{FutureExt, SinkExt, StreamExt, future::BoxFuture, stream};
use reqwest::{
    Response, Upgraded,
    header::{
        AUTHORIZATION, CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
        SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until, timeout_at};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as SocketError, Message,
        error::CapacityError,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};
use url::Url;

use heard::Heard;

use super::{
    ConnectRequest, Events, Incoming, Transport, TransportError,
    cause::cause,
    handshake::{Handshake, Snapshot, ask, no_websocket},
    http::{Http, bare, check},
    list::stream_url,
    own::endpoint,
};
use crate::{
    gauge::Carrier,
    pure::protocol::{
        listed::Records,
        ticket::Ticket,
        wire::{self, ServerEvent, WireError},
    },
    redact::Secrets,
};

/// Whether this program can open one.
pub(crate) const IS_BUILT_IN: bool = true;

/// Between two pings of ours: a server in a Durable Object never says anything by itself.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Longest URL of a socket. It is the watch's with a ticket more.
const MAX_SOCKET_URL_BYTES: usize = 64 * 1024;
/// Bytes read at once. The library's default would cost each idle connection 128 KiB.
const READ_BUFFER: usize = 16 * 1024;
/// A server in a Durable Object forgets what it would replay: after an upgrade that comes so late there may be a gap.
const LATE: Duration = Duration::from_secs(5);
/// A close without a code, as the standard names it.
const NO_STATUS: u16 = 1005;

/// Follows a watch over a WebSocket.
#[derive(Debug, Clone)]
pub(crate) struct Ws {
    http: Http,
}

impl Ws {
    /// Uses the given client.
    pub(crate) fn new(http: Http) -> Self {
        Self { http }
    }

    /// The second step: opens the socket that the handshake names.
    pub(super) async fn open(
        &self,
        handshake: Handshake,
        request: &ConnectRequest,
    ) -> Result<Events, TransportError> {
        let mut secrets = request.secrets();
        secrets.add(handshake.ticket.as_deref().unwrap_or_default());
        let url = socket_url(&request.url, &handshake.ws_url, &secrets)?;
        let of_socket = url.query_pairs().filter(|(name, _)| name == "ticket");
        of_socket.for_each(|(_, ticket)| secrets.add(&ticket));
        let socket = self.upgrade(url, request, &secrets).await?;
        Ok(events(socket, handshake, request, secrets))
    }

    async fn upgrade(
        &self,
        url: Url,
        request: &ConnectRequest,
        secrets: &Secrets,
    ) -> Result<WebSocketStream<Heard<Upgraded>>, TransportError> {
        let key = generate_key();
        let mut headers = upgrade_headers(&key)?;
        // The same origin as the watch's: nothing else is accepted as a socket's URL.
        headers.extend(request.bearer()?.map(|it| (AUTHORIZATION, it)));
        // The query is what the server made of the watch's own.
        let mut own = url.clone();
        if own.path() == stream_url(&request.url).path() {
            own.set_path(request.url.path());
        }
        own.set_query(request.url.query());
        own.set_fragment(request.url.fragment());
        check(&own, &request.guard, secrets)?;
        let response = self.http.upgrade(url, headers, secrets);
        let response = response.await;
        let response = response.map_err(of_upgrade)?;
        check_accept(&response, &key)?;
        let upgraded = response
            .upgrade()
            .await
            .map_err(|error| TransportError::Cut {
                message: cause(&error.without_url(), secrets),
            })?;
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = READ_BUFFER;
        config.write_buffer_size = 0;
        config.max_write_buffer_size = 64 * 1024;
        config.max_message_size = Some(request.max_event_bytes);
        config.max_frame_size = Some(request.max_event_bytes);
        let heard = Heard::new(upgraded, request.gauge.clone());
        Ok(WebSocketStream::from_raw_socket(heard, Role::Client, Some(config)).await)
    }
}

impl Transport for Ws {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Events, TransportError>> {
        async move {
            request.gauge.over(Carrier::Ws);
            let handshake = ask(&self.http, stream_url(&request.url), &request).await?;
            self.open(handshake, &request).await
        }
        .boxed()
    }
}

/// The handshake has answered this query: what is wrong now is the socket.
fn of_upgrade(error: TransportError) -> TransportError {
    match error {
        TransportError::BadRequest { at, message } => TransportError::Status {
            at,
            status: 400,
            message,
            retry_after: None,
        },
        other => no_websocket(other),
    }
}

/// Where the socket is. It carries the ticket: nothing but the watch's own origin may get it.
fn socket_url(watch: &Url, ws_url: &str, secrets: &Secrets) -> Result<Url, TransportError> {
    let refuse = |message: String| Err(TransportError::BadHandshake { message });
    let shown = |words: &str| secrets.quoted(words);
    if ws_url.len() > MAX_SOCKET_URL_BYTES {
        let length = ws_url.len();
        return refuse(format!(
            "wsUrl has {length} bytes, it may have {MAX_SOCKET_URL_BYTES}"
        ));
    }
    let Ok(mut url) = watch.join(ws_url) else {
        return refuse("wsUrl is not a URL".to_owned());
    };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse(format!("wsUrl has the scheme {}", shown(url.scheme())));
    }
    if url.origin() != watch.origin() {
        let to = shown(&bare(&url));
        return refuse(format!("wsUrl leads to another origin, {to}"));
    }
    // Behind a gateway that rewrites paths a server does not know its own.
    let stream = stream_url(watch);
    if endpoint(&url) == endpoint(&stream) {
        url.set_path(stream.path());
    }
    Ok(url)
}

fn upgrade_headers(key: &str) -> Result<HeaderMap, TransportError> {
    let key = HeaderValue::from_str(key).map_err(|_| TransportError::BadHandshake {
        message: "the key is not a header value".to_owned(),
    })?;
    let fixed = |name: HeaderName, value| (name, HeaderValue::from_static(value));
    Ok(HeaderMap::from_iter([
        fixed(CONNECTION, "Upgrade"),
        fixed(UPGRADE, "websocket"),
        fixed(SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_KEY, key),
    ]))
}

fn check_accept(response: &Response, key: &str) -> Result<(), TransportError> {
    let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    if accept
        .is_some_and(|accept| accept.as_bytes() == derive_accept_key(key.as_bytes()).as_bytes())
    {
        return Ok(());
    }
    Err(TransportError::BadHandshake {
        message: "the upgrade's Sec-WebSocket-Accept does not fit".to_owned(),
    })
}

struct Reader {
    socket: WebSocketStream<Heard<Upgraded>>,
    ping: Interval,
    idle_timeout: Duration,
    max_event_bytes: usize,
    /// The handshake's snapshot, to be told first.
    ready: VecDeque<Incoming>,
    secrets: Secrets,
    ended: bool,
}

/// The handshake's snapshot as events, complete now that the socket is open, then the socket's frames.
fn events(
    socket: WebSocketStream<Heard<Upgraded>>,
    handshake: Handshake,
    request: &ConnectRequest,
    secrets: Secrets,
) -> Events {
    let Snapshot { records, cursor } = handshake.snapshot;
    let cursor = wire::bounded_cursor(cursor);
    let Records { read, unreadable } = records;
    let mut ready = VecDeque::with_capacity(read.len() + unreadable.len() + 3);
    // One that is no ticket changes nothing: the one at hand goes on.
    let ticket = handshake.ticket.and_then(|text| Ticket::parse(&text).ok());
    ready.extend(ticket.map(Incoming::Ticket));
    ready.push_back(Incoming::Event(ServerEvent::SnapshotStart));
    ready.extend(unreadable.into_iter().map(Incoming::Skipped));
    let record = |record| Incoming::Event(ServerEvent::SnapshotRecord(record));
    ready.extend(read.into_iter().map(record));
    ready.push_back(Incoming::Event(ServerEvent::SnapshotEnd { cursor }));
    ready.extend((handshake.at.elapsed() > LATE).then_some(Incoming::Gap));
    // A ping and its answer must fit into the silence that is allowed.
    let mut ping = tokio::time::interval(PING_INTERVAL.min(request.idle_timeout / 2));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let reader = Reader {
        socket,
        ping,
        idle_timeout: request.idle_timeout,
        max_event_bytes: request.max_event_bytes,
        ready,
        secrets,
        ended: false,
    };
    stream::unfold(reader, |mut reader| async move {
        let item = reader.next().await?;
        Some((item, reader))
    })
    .boxed()
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Incoming, TransportError>> {
        if let Some(item) = self.ready.pop_front() {
            return Some(Ok(item));
        }
        if self.ended {
            return None;
        }
        loop {
            let deadline = self.deadline();
            let item = tokio::select! {
                message = self.socket.next() => self.message(message),
                _ = self.ping.tick() => {
                    // A peer that reads nothing must not hold us beyond the deadline.
                    let ping = self.socket.send(Message::Ping(Default::default()));
                    match timeout_at(deadline, ping).await {
                        Ok(Ok(())) => None,
                        Ok(Err(error)) => Some(Err(self.broken(error))),
                        Err(_) => Some(Err(self.silent())),
                    }
                }
                // A part of a message is a sign of life, too.
                () = sleep_until(deadline) => match self.deadline() > deadline {
                    true => None,
                    false => Some(Err(self.silent())),
                },
            };
            match item {
                Some(Ok(item)) => return Some(Ok(item)),
                // The socket is dropped without a closing handshake: some servers never answer one.
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                None if self.ended => return None,
                None => {}
            }
        }
    }

    fn message(
        &mut self,
        message: Option<Result<Message, SocketError>>,
    ) -> Option<Result<Incoming, TransportError>> {
        match message {
            Some(Ok(Message::Text(text))) => match wire::decode_frame(&text, &self.secrets) {
                Ok(Some(event)) => Some(Ok(Incoming::Event(event))),
                Ok(None) => None,
                Err(error) => Some(Ok(Incoming::Skipped(error))),
            },
            Some(Ok(Message::Binary(_))) => Some(Ok(Incoming::Skipped(WireError::Binary))),
            Some(Ok(Message::Close(frame))) => Some(Err(closed(frame, &self.secrets))),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
            Some(Err(error)) => Some(Err(self.broken(error))),
            None => {
                self.ended = true;
                None
            }
        }
    }

    fn deadline(&self) -> Instant {
        self.socket.get_ref().at() + self.idle_timeout
    }

    fn silent(&self) -> TransportError {
        TransportError::IdleTimeout {
            after: self.idle_timeout,
        }
    }

    fn broken(&self, error: SocketError) -> TransportError {
        match error {
            SocketError::Capacity(CapacityError::MessageTooLong { .. }) => {
                TransportError::EventTooLarge {
                    limit: self.max_event_bytes,
                }
            }
            other => TransportError::Cut {
                message: self.secrets.quoted(&other.to_string()),
            },
        }
    }
}

fn closed(frame: Option<CloseFrame>, secrets: &Secrets) -> TransportError {
    let (code, reason) = match frame {
        Some(frame) => (frame.code.into(), secrets.quoted(&frame.reason)),
        None => (NO_STATUS, String::new()),
    };
    TransportError::Closed { code, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_url_stays_on_the_watchs_origin() {
        let watch: Url = "https://appview.example/xrpc/x.watchRecords?a=b"
            .parse()
            .unwrap();
        let secrets: Secrets = ["mellon-mellon"].into_iter().collect();
        let url = socket_url(&watch, "/xrpc/x.watchRecords?a=b&ticket=t", &secrets).unwrap();
        assert_eq!(
            url.as_str(),
            "https://appview.example/xrpc/x.watchRecords?a=b&ticket=t"
        );
        // Behind a gateway that rewrites paths.
        let prefixed = "https://appview.example/contrail/v1/x.watchRecords"
            .parse()
            .unwrap();
        let url = |ws_url| socket_url(&prefixed, ws_url, &secrets).unwrap().to_string();
        assert_eq!(
            url("/xrpc/x.watchRecords?ticket=t"),
            format!("{prefixed}?ticket=t")
        );
        assert_eq!(
            url("/socket?ticket=t"),
            "https://appview.example/socket?ticket=t"
        );
        for bad in [
            "https://evil.example/x?ticket=t",
            "//evil.example/x",
            "http://appview.example/x",
            "https://appview.example:444/x",
            "ftp://appview.example/x",
            "wss://appview.example/x",
            "https://[",
        ] {
            let error = socket_url(&watch, bad, &secrets).unwrap_err();
            assert!(
                matches!(error, TransportError::BadHandshake { .. }),
                "{bad}"
            );
            assert!(!error.to_string().contains("ticket"), "{error}");
        }
        let long = format!("/xrpc/{}", "x".repeat(MAX_SOCKET_URL_BYTES));
        let error = socket_url(&watch, &long, &secrets).unwrap_err();
        assert!(error.to_string().ends_with("bytes, it may have 65536"));
        // Neither the host nor the path of others is told at any length, or with a secret.
        let long = format!("https://evil.example/{}/mellon-mellon", "x/".repeat(500));
        let error = socket_url(&watch, &long, &secrets).unwrap_err().to_string();
        assert!(error.len() < 400 && !error.contains("mellon"), "{error}");
        let told = socket_url(&watch, "https://evil.example/mellon%2Dmellon", &secrets);
        let told = told.unwrap_err().to_string();
        assert!(told.ends_with("https://evil.example/…"), "{told}");
    }

    #[test]
    fn a_close_reason_is_told_without_the_connections_secrets() {
        let frame = |reason: &str| {
            let (code, reason) = (4000.into(), reason.to_owned().into());
            Some(CloseFrame { code, reason })
        };
        let secrets: Secrets = ["mellon-mellon-mellon"].into_iter().collect();
        // A reason has 123 bytes at most, so the server cuts what it quotes.
        let told = closed(frame("no:\u{7} mellon-mellon-mell"), &secrets);
        assert_eq!(
            told.to_string(),
            "the server closed the connection: code 4000, no:  …"
        );
    }
}
