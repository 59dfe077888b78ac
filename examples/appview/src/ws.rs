//! A watch over a WebSocket, ended in the worker or in a Durable Object, each with its own manners.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use crate::answer::{Refusal, plain};
use crate::auth::Caller;
use crate::fault::{Budget, Fault};
use crate::query::Query;
use crate::reach::Reach;
use crate::sse::SEND_TIMEOUT;
use crate::state::{App, Connection, WatchGuard, WsMode};
use crate::watch::{Next, Watch};
use crate::wire::Event;

/// Clients send pings and close frames, nothing large.
const MAX_INCOMING: usize = 64 << 10;
/// How long the worker waits for the other half of a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a kicked member's socket is closed with in a Durable Object.
const MEMBERSHIP_REVOKED: (u16, &str) = (4003, "membership-revoked");

/// Where a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    Worker,
    Object,
}

/// Why the watch stopped.
enum Stop {
    /// Drop the socket.
    Gone,
    /// Say nothing more, pongs included, for as long as the client stays.
    Silence,
    /// Close, with a code or without (which the client sees as 1005).
    Close(Option<(u16, String)>),
    /// The client closed.
    Closed,
}

/// Answers the upgrade and starts the watch. It follows changes from here on.
pub(crate) fn accept(
    app: &Arc<App>,
    connection: Connection,
    mut request: Request,
    query: Query,
    caller: Caller,
    since_ms: Option<i64>,
    fault: Fault,
) -> Result<Response, Refusal> {
    if app.ws() == WsMode::Off || fault.refuse_upgrade {
        return Err(Refusal::NO_WEBSOCKET);
    }
    let response = switch(&request)?;
    let world = app.world.clone();
    let (host, watch) = match (app.ws(), caller.reach.clone()) {
        (WsMode::Do, Reach::Space(space)) => (
            Host::Object,
            Watch::open_object(world, query, caller, &space, since_ms),
        ),
        _ => (Host::Worker, Watch::open(world, query, caller)),
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let open = WatchGuard::new(app);
    app.tasks.spawn(async move {
        let _open = open;
        tokio::select! {
            () = connection.is_cut() => {}
            () = serve(upgrade, host, watch, fault) => {}
        }
    });
    Ok(response)
}

/// The 101, or why not.
fn switch(request: &Request) -> Result<Response, Refusal> {
    let headers = request.headers();
    let version = headers.get(SEC_WEBSOCKET_VERSION);
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|_| version.is_some_and(|v| v == "13"));
    let key = key.ok_or_else(|| Refusal::invalid("not a WebSocket upgrade"))?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .map_err(|_| Refusal::invalid("not a WebSocket key"))?;
    let mut response = plain(StatusCode::SWITCHING_PROTOCOLS, "", Body::empty());
    let headers = response.headers_mut();
    headers.clear();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

async fn serve(upgrade: OnUpgrade, host: Host, watch: Watch, fault: Fault) {
    let Ok(upgraded) = upgrade.await else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .max_message_size(Some(MAX_INCOMING))
        .max_frame_size(Some(MAX_INCOMING));
    let io = TokioIo::new(upgraded);
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    let mut outlet = Outlet {
        socket,
        budget: fault.budget(),
        fault,
    };
    let Err(stop) = outlet.run(host, watch).await;
    outlet.finish(host, stop).await;
}

struct Outlet {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    budget: Budget,
    fault: Fault,
}

impl Outlet {
    /// Runs until something stops it.
    async fn run(
        &mut self,
        host: Host,
        mut watch: Watch,
    ) -> Result<std::convert::Infallible, Stop> {
        if let Some(raw) = self.fault.raw_bytes() {
            return Err(self.send_raw(raw.into()).await);
        }
        if self.budget.is_spent() || (self.fault.close_code.is_some() && !self.fault.cuts()) {
            return Err(self.spent());
        }
        if host == Host::Worker {
            self.send(watch.start()).await?;
            match watch.snapshot(&self.fault).await {
                Ok(events) => {
                    for event in events {
                        self.send(event).await?;
                    }
                }
                Err(error) => {
                    self.send(error).await?;
                    return Err(Stop::Close(None));
                }
            }
        }
        if self.fault.stall && !self.fault.cuts() {
            return Err(Stop::Silence);
        }
        self.live(host, watch).await
    }

    async fn live(
        &mut self,
        host: Host,
        mut watch: Watch,
    ) -> Result<std::convert::Infallible, Stop> {
        loop {
            tokio::select! {
                next = watch.next() => match (next, host) {
                    (Next::Event(event), _) => self.send(event).await?,
                    (Next::Revoked(event), Host::Worker) => {
                        self.send(event).await?;
                        return Err(Stop::Close(None));
                    }
                    (Next::Revoked(_), Host::Object) => {
                        let (code, reason) = MEMBERSHIP_REVOKED;
                        return Err(Stop::Close(Some((code, reason.to_owned()))));
                    }
                    (Next::Lost, _) => return Err(Stop::Gone),
                },
                // Pings are answered by the next read; what else a client says is of no interest.
                message = self.socket.next() => match message {
                    Some(Ok(Message::Close(_))) => return Err(Stop::Closed),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Err(Stop::Gone),
                },
            }
        }
    }

    async fn push(&mut self, message: Message) -> Result<(), Stop> {
        let sent = timeout(SEND_TIMEOUT, self.socket.send(message)).await;
        sent.map_err(|_| Stop::Gone)?.map_err(|_| Stop::Gone)
    }

    /// Sends one event; the last one that a fault allows stops the watch.
    async fn send(&mut self, event: Event) -> Result<(), Stop> {
        let frame = event.frame();
        self.budget.pay(frame.len());
        self.push(Message::text(frame)).await?;
        if self.budget.is_spent() {
            Err(self.spent())
        } else {
            Ok(())
        }
    }

    async fn send_raw(&mut self, raw: Vec<u8>) -> Stop {
        let message = match String::from_utf8(raw) {
            Ok(text) if self.fault.raw_base64.is_none() => Message::text(text),
            Ok(text) => Message::binary(text.into_bytes()),
            Err(not_text) => Message::binary(not_text.into_bytes()),
        };
        match self.push(message).await {
            Ok(()) if self.fault.raw_then_end => Stop::Close(None),
            Ok(()) => Stop::Silence,
            Err(stop) => stop,
        }
    }

    fn spent(&self) -> Stop {
        match self.fault.close_code {
            Some(code) => Stop::Close(Some((
                code,
                self.fault.close_reason.clone().unwrap_or_default(),
            ))),
            None if self.fault.stall => Stop::Silence,
            None => Stop::Gone,
        }
    }

    async fn finish(mut self, host: Host, stop: Stop) {
        match (stop, host) {
            (Stop::Gone, _) => {}
            // The reply to a close frame waits for the next read or write, which never comes.
            (Stop::Silence, _) | (Stop::Closed, Host::Object) => self.linger().await,
            (Stop::Closed, Host::Worker) => self.settle().await,
            (Stop::Close(code), _) => {
                let frame = code.map(|(code, reason)| CloseFrame {
                    code: code.into(),
                    reason: reason.into(),
                });
                if self.push(Message::Close(frame)).await.is_err() {
                    return;
                }
                match host {
                    Host::Worker => self.settle().await,
                    Host::Object => self.linger().await,
                }
            }
        }
    }

    /// Completes the close handshake.
    async fn settle(&mut self) {
        let settled = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = timeout(CLOSE_TIMEOUT, settled).await;
    }

    /// Keeps the socket open and answers nothing, until the client drops it.
    async fn linger(self) {
        let mut io = self.socket.into_inner();
        let mut unread = [0; 1024];
        while let Ok(1..) = io.read(&mut unread).await {}
    }
}
