//! A server that serves a small live list until it is told to attack.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    attacks::{Attack, Place},
    feeds,
};
use contrail_sync_engine::TransportKind;

pub(crate) struct Server {
    port: u16,
    go: watch::Sender<bool>,
}

impl Server {
    pub(crate) async fn start(attack: &'static Attack) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (go, told) = watch::channel(false);
        let (struck, _) = watch::channel(false);
        let is_last_listed = Arc::new(AtomicBool::new(false));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let peer = Peer {
                    socket: BufReader::new(socket),
                    attack,
                    go: told.clone(),
                    struck: struck.clone(),
                    is_last_listed: is_last_listed.clone(),
                };
                // One that leaves is no fault of the server's.
                tokio::spawn(peer.serve());
            }
        });
        Self { port, go }
    }

    pub(crate) fn url(&self) -> String {
        let space = "ats://did:plc:alice/com.example.space/lounge";
        format!(
            "http://127.0.0.1:{}/xrpc/com.example.message.watchRecords?spaceUri={space}",
            self.port
        )
    }

    /// From now on.
    pub(crate) fn attack(&self) {
        self.go.send_replace(true);
    }
}

struct Peer {
    socket: BufReader<TcpStream>,
    attack: &'static Attack,
    go: watch::Receiver<bool>,
    /// An answer that is an attack has been read, or refused.
    struck: watch::Sender<bool>,
    /// The last record was told: a quiet snapshot without it would take it away again.
    is_last_listed: Arc<AtomicBool>,
}

impl Peer {
    async fn serve(mut self) -> io::Result<()> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.socket.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let asked = asked(&head);
        if asked == Place::Page {
            // Asked for once, perhaps before word of the attack is here.
            let _ = self.go.wait_for(|go| *go).await;
        }
        if *self.go.borrow() && self.attack.at == asked {
            return self.strike().await;
        }
        match asked {
            Place::Stream | Place::Live => {
                self.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
                    .await?;
                self.write(&feeds::snapshot(self.has_pages())).await?;
                self.live().await
            }
            Place::Snapshot => {
                let mut records = feeds::list();
                if self.is_last_listed.load(Ordering::Relaxed) {
                    records.push(feeds::last());
                }
                let body = feeds::handshake(&records.join(","), self.has_pages());
                self.write(&feeds::json(&body)).await
            }
            Place::Page => self.write(&feeds::json(&feeds::handshake("", false))).await,
            Place::Upgrade => {
                let key = header(&head, "sec-websocket-key").unwrap_or_default();
                let accept = derive_accept_key(key.as_bytes());
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-accept: {accept}\r\n\r\n"
                );
                self.write(answer.as_bytes()).await?;
                self.live().await
            }
        }
    }

    /// An open stream or socket after its list.
    async fn live(mut self) -> io::Result<()> {
        tokio::select! {
            _ = self.go.wait_for(|go| *go) => {}
            gone = drain(&mut self.socket) => return gone,
        }
        let is_ws = self.attack.by == TransportKind::Ws;
        let is_struck = *self.struck.borrow();
        match self.attack.at {
            Place::Live => self.pour().await?,
            _ if is_struck => {}
            // Struck is who connects again.
            Place::Stream | Place::Upgrade => return Ok(()),
            Place::Snapshot if is_ws => return Ok(()),
            Place::Snapshot | Place::Page => {
                let mut struck = self.struck.subscribe();
                tokio::select! {
                    _ = struck.wait_for(|struck| *struck) => {}
                    gone = drain(&mut self.socket) => return gone,
                }
            }
        }
        self.is_last_listed.store(true, Ordering::Relaxed);
        let last = format!(r#"{{"record":{}}}"#, feeds::last());
        self.write(&feeds::event(self.attack.by, "record.created", &last))
            .await?;
        drain(&mut self.socket).await
    }

    /// The attack in the place of an answer.
    async fn strike(mut self) -> io::Result<()> {
        let poured = self.pour().await;
        if poured.is_ok() {
            self.socket.get_mut().shutdown().await?;
            let _ = drain(&mut self.socket).await;
        }
        self.struck.send_replace(true);
        poured
    }

    async fn pour(&mut self) -> io::Result<()> {
        for bytes in (self.attack.feed)() {
            self.write(&bytes).await?;
            if self.attack.slow {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
        }
        Ok(())
    }

    fn has_pages(&self) -> bool {
        self.attack.at == Place::Page
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.get_mut().write_all(bytes).await
    }
}

/// Reads until the other side leaves.
async fn drain(socket: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while socket.read(&mut buffer).await? > 0 {}
    Ok(())
}

fn asked(head: &str) -> Place {
    let path = head.split(' ').nth(1).unwrap_or_default();
    match path {
        _ if path.starts_with("/socket") => Place::Upgrade,
        _ if path.contains("mode=ws") && path.contains("cursor=") => Place::Page,
        // Where older servers have it.
        _ if path.contains("listRecords") => Place::Page,
        _ if path.contains("mode=ws") => Place::Snapshot,
        _ => Place::Stream,
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find_map(|(it, value)| it.eq_ignore_ascii_case(name).then_some(value))
}
