//! What the tests share: the recorded exchanges, and clients on real sockets to replay them with.

mod json;
mod recorded;

use std::time::Duration;

use appview::{Delete, Options, Put, Server, WsMode};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;

pub(crate) use json::{Json, claims, cursor_time};
pub(crate) use recorded::{Exchange, exchanges, frames, parts, remarks};

pub(crate) const ALICE: &str = "did:plc:alice";
pub(crate) const BOB: &str = "did:plc:bob";
pub(crate) const CAROL: &str = "did:plc:carol";

/// Nothing on loopback takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that must happen.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("happens soon")
}

/// Waits for something that must not happen.
pub(crate) async fn never<T>(future: impl Future<Output = T>) {
    let waited = tokio::time::timeout(Duration::from_millis(300), future).await;
    assert!(waited.is_err(), "happened though it must not");
}

pub(crate) async fn start(ws: WsMode) -> Server {
    Server::start(Options {
        ws,
        ..Options::default()
    })
    .await
    .expect("starts")
}

/// A put of a `message`; change what differs.
pub(crate) fn message(space: &str, did: &str, rkey: &str, record: Value) -> Put {
    Put {
        space_uri: Some(space.into()),
        collection: "message".into(),
        did: did.into(),
        rkey: rkey.into(),
        record,
        ..Put::default()
    }
}

/// A put of a child that names its parent by URI.
pub(crate) fn child(
    space: &str,
    collection: &str,
    did: &str,
    rkey: &str,
    mut body: Value,
    parent: &str,
) -> Put {
    body["subject"] = serde_json::json!({ "uri": parent });
    Put {
        collection: collection.into(),
        ..message(space, did, rkey, body)
    }
}

/// A deletion that everybody hears of.
pub(crate) fn gone(space: &str, collection: &str, did: &str, rkey: &str) -> Delete {
    Delete {
        space_uri: Some(space.into()),
        collection: collection.into(),
        did: did.into(),
        rkey: rkey.into(),
        silent: false,
    }
}

/// Starts a server with these options, over plain HTTP.
pub(crate) async fn start_with(options: Options) -> Server {
    Server::start(options).await.expect("starts")
}

/// The rkeys of a list or of a handshake's snapshot, in order.
pub(crate) fn rkeys(list: &Value) -> Vec<&str> {
    let list = list.get("snapshot").unwrap_or(list);
    let records = list["records"].as_array().expect("records").iter();
    records
        .map(|record| record["rkey"].as_str().expect("an rkey"))
        .collect()
}

/// Path and query of a community's watch.
pub(crate) fn actor_path(did: &str, more: &str) -> String {
    format!("/xrpc/com.example.message.watchRecords?actor={did}{more}")
}

pub(crate) fn watch_path(collection: &str, space: &str, more: &str) -> String {
    let space = url::form_urlencoded::byte_serialize(space.as_bytes()).collect::<String>();
    format!("/xrpc/com.example.{collection}.watchRecords?spaceUri={space}{more}")
}

/// A client that needs no TLS. Elsewhere in the workspace reqwest is built without a default provider for it,
/// and would refuse to start.
pub(crate) fn client() -> reqwest::Client {
    // It fails only where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A GET, with `Authorization: Bearer <did>` if given.
pub(crate) async fn get(server: &Server, path: &str, did: Option<&str>) -> reqwest::Response {
    let request = client().get(format!("{}{path}", server.url()));
    let request = match did {
        Some(did) => request.header("authorization", format!("Bearer {did}")),
        None => request,
    };
    soon(request.send()).await.expect("an answer")
}

pub(crate) async fn get_json(server: &Server, path: &str, did: Option<&str>) -> Value {
    soon(get(server, path, did).await.json())
        .await
        .expect("JSON")
}

/// Asks as recorded.
pub(crate) async fn replay(server: &Server, exchange: &Exchange) -> reqwest::Response {
    get(server, &exchange.path, exchange.did.as_deref()).await
}

/// Opens the recorded watch; compares status, headers and nothing else yet.
pub(crate) async fn open(server: &Server, exchange: &Exchange) -> Sse {
    let response = replay(server, exchange).await;
    assert_headers(&response, exchange);
    Sse::of(response)
}

pub(crate) fn assert_headers(response: &reqwest::Response, exchange: &Exchange) {
    assert_eq!(response.status(), exchange.status);
    for line in &exchange.headers {
        let (name, value) = line.split_once(": ").expect("as recorded");
        assert_eq!(response.headers()[name], value, "{name}");
    }
}

/// Compares all of an answer that is no stream.
pub(crate) async fn assert_answer(response: reqwest::Response, exchange: &Exchange) {
    assert_headers(&response, exchange);
    assert_eq!(
        response.text().await.expect("as recorded"),
        exchange.body,
        "{}",
        exchange.path
    );
}

/// One event or frame: its name and its data.
pub(crate) type Event = (String, Json);

/// An event stream being read.
pub(crate) struct Sse {
    response: reqwest::Response,
    buffer: String,
}

impl Sse {
    pub(crate) fn of(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        Self {
            response,
            buffer: String::new(),
        }
    }

    pub(crate) async fn open(server: &Server, path: &str, did: &str) -> Self {
        Self::of(get(server, path, Some(did)).await)
    }

    /// The next block of the stream; `None` at a clean end.
    pub(crate) async fn block(&mut self) -> Result<Option<String>, reqwest::Error> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let block = block.to_owned();
                self.buffer = rest.to_owned();
                return Ok(Some(block));
            }
            match soon(self.response.chunk()).await? {
                Some(chunk) => self
                    .buffer
                    .push_str(std::str::from_utf8(&chunk).expect("UTF-8")),
                None => {
                    assert_eq!(self.buffer, "", "no event is cut by a clean end");
                    return Ok(None);
                }
            }
        }
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Event {
        let block = self.block().await.expect("no cut").expect("no end");
        let (name, data) = block.split_once('\n').expect("two lines");
        let name = name.strip_prefix("event: ").expect("an event");
        (
            name.to_owned(),
            Json::parse(data.strip_prefix("data: ").expect("data")),
        )
    }

    pub(crate) async fn take(&mut self, n: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < n {
            events.push(self.next().await);
        }
        events
    }

    /// Reads on until the snapshot ends.
    pub(crate) async fn snapshot(&mut self) -> Vec<Event> {
        let mut events = vec![self.next().await];
        while events
            .last()
            .is_some_and(|(name, _)| name != "snapshot.end")
        {
            events.push(self.next().await);
        }
        events
    }

    /// The server ends the stream cleanly.
    pub(crate) async fn ends(&mut self) {
        assert_eq!(self.block().await.expect("no cut"), None);
    }

    /// The connection is cut in the middle; answers what came before.
    pub(crate) async fn is_cut(&mut self) -> String {
        while let Ok(block) = self.block().await {
            assert!(block.is_some(), "cut, not ended");
        }
        std::mem::take(&mut self.buffer)
    }

    /// Nothing more comes.
    pub(crate) async fn is_silent(&mut self) {
        never(self.response.chunk()).await;
    }
}

/// A WebSocket being read.
pub(crate) struct Ws(pub WebSocketStream<TcpStream>);

/// How a connection attempt went wrong.
pub(crate) struct Refused {
    pub status: u16,
    pub body: String,
}

impl Ws {
    pub(crate) async fn connect(
        server: &Server,
        path: &str,
        did: Option<&str>,
    ) -> Result<Self, Refused> {
        let url = format!("{}{path}", server.url().replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("a request");
        if let Some(did) = did {
            let bearer = format!("Bearer {did}").parse().expect("a header");
            request.headers_mut().insert("authorization", bearer);
        }
        let socket = TcpStream::connect(("127.0.0.1", server.port()))
            .await
            .expect("connects");
        match soon(tokio_tungstenite::client_async(request, socket)).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                let body = String::from_utf8(body).expect("UTF-8");
                Err(Refused {
                    status: response.status().as_u16(),
                    body,
                })
            }
            Err(error) => Err(Refused {
                status: 0,
                body: error.to_string(),
            }),
        }
    }

    pub(crate) async fn open(server: &Server, path: &str, did: Option<&str>) -> Self {
        match Self::connect(server, path, did).await {
            Ok(socket) => socket,
            Err(refused) => panic!("refused: {} {}", refused.status, refused.body),
        }
    }

    /// The next frame, raw.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        soon(self.0.next()).await.and_then(Result::ok)
    }

    pub(crate) async fn next(&mut self) -> Event {
        let message = self.message().await.expect("no end");
        let frame = message.into_text().expect("text");
        let (kind, data) = Json::parse(&frame).kind_and_data();
        (kind, data)
    }

    pub(crate) async fn take(&mut self, n: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < n {
            events.push(self.next().await);
        }
        events
    }

    /// The close frame that comes next: its code (1005 without one) and reason.
    pub(crate) async fn close(&mut self) -> (u16, String) {
        match self.message().await {
            Some(Message::Close(Some(frame))) => (frame.code.into(), frame.reason.to_string()),
            Some(Message::Close(None)) => (1005, String::new()),
            other => panic!("expected a close frame, got {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.0.send(message).await.expect("sends");
    }

    pub(crate) async fn is_silent(&mut self) {
        never(self.0.next()).await;
    }
}
