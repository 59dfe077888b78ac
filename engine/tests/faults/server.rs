//! A loopback server that answers byte for byte as it is told, and breaks where it is told.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Stream,
    Handshake,
    Socket,
    List,
    Position,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub place: Place,
    /// Its first line and headers.
    pub head: String,
    /// How many there were for this place, this one included.
    pub nth: usize,
}

/// What becomes of the connection once all bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It takes the next request.
    Next,
    /// It stays open, and nothing more comes.
    Hold,
    Close,
    /// It breaks, and with it what is still on its way.
    Reset,
}

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub bytes: Vec<u8>,
    pub then: Then,
    /// So many bytes at once, and how long to wait after them; all go at once without.
    pub pace: Option<(usize, Duration)>,
    /// What comes after it byte by byte, with this pause.
    pub more: Option<(Vec<u8>, Duration)>,
}

impl Reply {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        Self {
            bytes: bytes.into(),
            then,
            pace: None,
            more: None,
        }
    }

    /// Only so many of its bytes, and then the end of the connection.
    pub(crate) fn cut(mut self, at: usize, then: Then) -> Self {
        self.bytes.truncate(at);
        Self { then, ..self }
    }

    pub(crate) fn paced(mut self, bytes: usize, pause: Duration) -> Self {
        self.pace = Some((bytes, pause));
        self
    }

    /// These bytes come after it, one by one.
    pub(crate) fn followed(mut self, more: Vec<u8>, pause: Duration) -> Self {
        self.more = Some((more, pause));
        self
    }
}

type Answer = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// Ends with all its connections when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    counts: Arc<Mutex<HashMap<Place, usize>>>,
    task: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), answer).await
    }

    pub(crate) async fn start_at(
        host: IpAddr,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, counts): (Answer, Arc<Mutex<HashMap<_, _>>>) =
            (Arc::new(answer), Arc::default());
        let (counted, mut task) = (counts.clone(), JoinSet::new());
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (socket, _) = accepted.unwrap();
                        connections.spawn(serve(socket, answer.clone(), counted.clone()));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self {
            address,
            counts,
            task,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of this path and query.
    pub(crate) fn url(&self, path: &str) -> url::Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// Ends it, and waits until nobody listens there.
    pub(crate) async fn end(mut self) {
        self.task.shutdown().await;
    }

    /// How often this place was asked for.
    pub(crate) fn count(&self, place: Place) -> usize {
        let counts = self.counts.lock().unwrap();
        counts.get(&place).copied().unwrap_or(0)
    }
}

/// Serves one connection, request after request.
async fn serve(socket: TcpStream, answer: Answer, counts: Arc<Mutex<HashMap<Place, usize>>>) {
    let mut socket = BufReader::new(socket);
    while let Ok(Some(head)) = read_head(&mut socket).await {
        let place = place(&head);
        let nth = {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(place).or_insert(0);
            *count += 1;
            *count
        };
        let reply = answer(&Asked { place, head, nth });
        // The client may hang up as it likes.
        if write(socket.get_mut(), &reply).await.is_err() {
            return;
        }
        match reply.then {
            Then::Next => {}
            Then::Close => return,
            Then::Hold => {
                let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
                return;
            }
            Then::Reset => {
                let socket = socket.into_inner();
                let _ = socket.set_zero_linger();
                return;
            }
        }
    }
}

async fn read_head(socket: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

async fn write(socket: &mut TcpStream, reply: &Reply) -> io::Result<()> {
    match reply.pace {
        Some((bytes, pause)) => write_slowly(socket, &reply.bytes, bytes, pause).await?,
        None => socket.write_all(&reply.bytes).await?,
    }
    match &reply.more {
        Some((more, pause)) => write_slowly(socket, more, 1, *pause).await,
        None => Ok(()),
    }
}

/// So many bytes at once, and a pause after them.
async fn write_slowly(
    socket: &mut TcpStream,
    all: &[u8],
    bytes: usize,
    pause: Duration,
) -> io::Result<()> {
    let mut heard = [0; 64];
    for piece in all.chunks(bytes) {
        socket.write_all(piece).await?;
        let next = tokio::time::Instant::now() + pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => break,
                // Only to notice the client's end.
                read = socket.read(&mut heard) => if read? == 0 {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
            }
        }
    }
    Ok(())
}

fn place(head: &str) -> Place {
    let line = head.lines().next().unwrap_or_default();
    if header(head, "upgrade").is_some() {
        Place::Socket
    } else if line.contains("mode=ws") {
        Place::Handshake
    } else if line.contains(".getCursor") {
        Place::Position
    } else if line.contains(".listRecords") {
        Place::List
    } else {
        Place::Stream
    }
}

/// The value of a header of a request.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// An answer with its length.
pub(crate) fn answer(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

pub(crate) fn json(body: &str) -> Reply {
    Reply::new(answer("200 OK", "application/json", body), Then::Next)
}

/// A stream of these events, which stays open.
pub(crate) fn stream(events: &str) -> Reply {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    Reply::new(format!("{head}{events}"), Then::Hold)
}

/// What agrees to an upgrade.
pub(crate) fn switching(head: &str) -> Vec<u8> {
    let key = header(head, "sec-websocket-key").unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// A text as a frame of a server's.
pub(crate) fn frame(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut bytes = vec![0x81];
    match length {
        0..126 => bytes.push(length as u8),
        126..65536 => {
            bytes.push(126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(text.as_bytes());
    bytes
}
