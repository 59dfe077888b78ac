//! Exchanges recorded from a real contrail server over WebSocket, ended in the worker and in a Durable Object,
//! replayed over real sockets.

mod common;

use common::*;
use contrail_sync_engine::{ErrorKind, State, Status, TransportKind};
use futures_util::SinkExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// What a server did on one connection, from the handshake's answer on.
#[derive(Debug, Clone, Default)]
struct Exchange {
    handshake: String,
    /// The answer to the upgrade, where it was refused: status and body.
    refused: Option<(u16, String)>,
    frames: Vec<String>,
    close: Option<u16>,
}

/// Reads `tests/fixtures/transcripts/<name>`: `> GET` and `> WS` are the client's, `<` and `=` what it saw.
fn exchanges(name: &str) -> Vec<Exchange> {
    let path = format!(
        "{}/../tests/fixtures/transcripts/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .filter_map(|line| Some(line.split_once("] ")?.1));
    let (mut all, mut handshake, mut ours) = (Vec::<Exchange>::new(), String::new(), false);
    for line in lines {
        if let Some(answer) = line.strip_prefix("< 200 ") {
            handshake = answer.to_owned();
        } else if line.starts_with("> WS ") {
            ours = false;
            all.push(Exchange {
                handshake: handshake.clone(),
                ..Exchange::default()
            });
        } else if line.starts_with("> client close") {
            ours = true;
        } else if let Some(last) = all.last_mut() {
            if let Some(refused) = line.strip_prefix("= upgrade refused: HTTP ") {
                let (status, body) = refused.split_once(' ').unwrap();
                last.refused = Some((status.parse().unwrap(), body.to_owned()));
            } else if let Some(frame) = line.strip_prefix("< {") {
                last.frames.push(format!("{{{frame}"));
            } else if let Some(code) = line.strip_prefix("= close code=")
                && !ours
            {
                last.close = code.split(' ').next().unwrap().parse().ok();
            }
        }
    }
    all
}

/// Answers handshakes and upgrades as recorded, on a socket of its own.
async fn serve(exchange: Exchange) -> url::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, exchange.clone()));
        }
    });
    format!("http://{address}/xrpc/com.example.message.watchRecords?spaceUri=s")
        .parse()
        .unwrap()
}

async fn answer(mut stream: TcpStream, exchange: Exchange) {
    let mut head = vec![0; 8192];
    let mut len = 0;
    while !String::from_utf8_lossy(&head[..len]).contains("\r\n\r\n") {
        stream.readable().await.unwrap();
        len = stream.peek(&mut head).await.unwrap();
    }
    let upgrade = String::from_utf8_lossy(&head[..len])
        .to_lowercase()
        .contains("upgrade: websocket");
    if upgrade && exchange.refused.is_none() {
        return socket(stream, exchange).await;
    }
    stream.read_exact(&mut head[..len]).await.unwrap();
    let (status, body) = match exchange.refused.filter(|_| upgrade) {
        Some(refused) => refused,
        None => (200, exchange.handshake),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
}

async fn socket(stream: TcpStream, exchange: Exchange) {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    for frame in exchange.frames {
        socket.send(Message::text(frame)).await.unwrap();
    }
    match exchange.close {
        Some(1005 | 1006) => drop(socket),
        Some(code) => {
            let frame = CloseFrame {
                code: CloseCode::from(code),
                reason: "".into(),
            };
            socket.send(Message::Close(Some(frame))).await.unwrap();
        }
        None => std::future::pending().await,
    }
}

async fn replay(exchange: &Exchange, wanted: impl Fn(&State) -> bool) -> State {
    let mut spec = anywhere(serve(exchange.clone()).await);
    spec.transport = TransportKind::Ws;
    let engine = engine();
    let watch = engine.watch(spec).await;
    until(&watch, wanted).await
}

fn live(state: &State) -> bool {
    state.status == Status::Live
}

#[tokio::test]
async fn snapshots_of_none_one_and_three_records() {
    for name in [
        "ws-worker-01-snapshot-0-1-3.txt",
        "ws-do-01-snapshot-0-1-3.txt",
    ] {
        let recorded = exchanges(name);
        let expected: [&[&str]; 3] = [&[], &["b000000"], &["b000002", "b000001", "b000000"]];
        assert_eq!(recorded.len(), expected.len());
        for (exchange, expected) in recorded.iter().zip(expected) {
            let state = replay(exchange, live).await;
            assert_eq!(rkeys(&state), expected, "{name}");
            assert!(
                state
                    .entries
                    .iter()
                    .all(|it| it.record.time_us > 1_000_000_000_000_000)
            );
        }
    }
}

#[tokio::test]
async fn live_creations_updates_and_deletions() {
    for name in ["ws-worker-02-live.txt", "ws-do-02-live.txt"] {
        let recorded = exchanges(name).remove(0);
        // Up to the edit: the record is there, its body whole, wherever the server put it.
        let mut edited = recorded.clone();
        let last = edited
            .frames
            .iter()
            .rposition(|it| it.contains("record.created"))
            .unwrap();
        edited.frames.truncate(last + 1);
        let state = replay(&edited, |it| live(it) && texts(it).contains(&"v2".into())).await;
        assert_eq!(rkeys(&state), ["a", "b000000"], "{name}");
        assert_eq!(state.entries[0].record.cid.as_deref(), Some("bafy2"));
        // And to the end: it is gone, and so is what never was.
        let whole = replay(&recorded, |it| live(it) && it.entries.len() == 1).await;
        assert_eq!(rkeys(&whole), ["b000000"]);
    }
}

#[tokio::test]
async fn a_record_after_a_long_silence() {
    let recorded = exchanges("ws-do-12-idle-keepalive.txt").remove(0);
    let state = replay(&recorded, |it| !it.entries.is_empty()).await;
    assert_eq!(texts(&state), ["after-idle"]);
}

#[tokio::test]
async fn a_kick_is_an_event_from_the_worker_and_a_close_code_from_a_durable_object() {
    for name in ["ws-worker-04-kick.txt", "ws-do-04-kick.txt"] {
        let mut kicked = exchanges(name).remove(0);
        if name.contains("-do-") {
            // The recording client had closed before it saw the code that was on its way.
            assert!(
                std::fs::read_to_string(format!(
                    "{}/../tests/fixtures/transcripts/{name}",
                    env!("CARGO_MANIFEST_DIR")
                ))
                .unwrap()
                .contains("close code=4003")
            );
            kicked.close = Some(4003);
        }
        let state = replay(&kicked, |it| it.status == Status::Closed).await;
        assert_eq!(
            state.error.as_ref().unwrap().kind,
            ErrorKind::AccessLost,
            "{name}"
        );
        assert!(state.entries.is_empty());
    }
}

#[tokio::test]
async fn an_error_frame_is_told() {
    let recorded = exchanges("ws-worker-08-error.txt").remove(0);
    let state = replay(&recorded, |it| it.error.is_some()).await;
    let error = state.error.unwrap();
    assert_eq!(error.kind, ErrorKind::Server);
    assert!(error.message.contains("injected db failure"));
}

#[tokio::test]
async fn every_recorded_refusal_of_an_upgrade_has_its_kind() {
    let all = exchanges("ws-do-06-auth.txt");
    let good = exchanges("ws-do-02-live.txt").remove(0).handshake;
    let refused: Vec<_> = all.into_iter().filter(|it| it.refused.is_some()).collect();
    assert!(refused.len() >= 5, "{}", refused.len());
    for mut exchange in refused {
        exchange.handshake = good.clone();
        let status = exchange.refused.as_ref().unwrap().0;
        let state = replay(&exchange, |it| it.error.is_some()).await;
        let expected = match status {
            401 => ErrorKind::AuthRequired,
            403 => ErrorKind::Forbidden,
            _ => ErrorKind::HttpStatus,
        };
        assert_eq!(state.error.unwrap().kind, expected, "{status}");
    }
}
