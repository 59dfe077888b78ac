//! A loopback server that gives one answer after the other, byte for byte as it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use url::Url;

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Method and target.
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|it| it.0 == name);
        found.map(|it| &*it.1)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What a server does with a request once it has read it.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Bytes(String),
    /// These bytes, and nothing more though more was promised.
    Held(String),
    /// It hangs up, after these bytes.
    Close(String),
}

/// An answer with its length, and these headers, each with its end of line.
pub(crate) fn answer_with(status: u16, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Bytes(format!(
        "HTTP/1.1 {status} Said\r\n{headers}content-length: {length}\r\n\r\n{body}"
    ))
}

pub(crate) fn answer(status: u16, body: &str) -> Reply {
    answer_with(status, "", body)
}

/// A server that gives these answers one after the other. It ends with all its connections when dropped.
pub(crate) struct Server {
    pub url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
    left: Arc<Mutex<VecDeque<Reply>>>,
    _task: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let left = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let (asked, mut task) = (Arc::<Mutex<Vec<_>>>::default(), JoinSet::new());
        let (noted, next) = (asked.clone(), left.clone());
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                connections.spawn(serve(socket, noted.clone(), next.clone()));
            }
        });
        Self {
            url: url.parse().unwrap(),
            asked,
            left,
            _task: task,
        }
    }

    /// What arrived, by method and target. Every answer was given.
    pub(crate) fn lines(&self) -> Vec<String> {
        assert_eq!(self.left.lock().unwrap().len(), 0, "answers are left");
        self.asked().into_iter().map(|it| it.line).collect()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn nth(&self, n: usize) -> Asked {
        self.asked()[n].clone()
    }
}

async fn serve(
    socket: TcpStream,
    asked: Arc<Mutex<Vec<Asked>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
) {
    let mut socket = BufReader::new(socket);
    while let Some(request) = read(&mut socket).await {
        asked.lock().unwrap().push(request);
        // One request too many is never answered well, and shows in `lines`.
        let reply = replies.lock().unwrap().pop_front();
        let reply = reply.unwrap_or_else(|| answer(599, "no answer is left"));
        let (Reply::Bytes(bytes) | Reply::Held(bytes) | Reply::Close(bytes)) = &reply;
        if socket.write_all(bytes.as_bytes()).await.is_err() {
            return;
        }
        match reply {
            Reply::Bytes(_) => {}
            Reply::Close(_) => return,
            Reply::Held(_) => {
                let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
                return;
            }
        }
    }
}

async fn read(socket: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let (line, rest) = head.split_once("\r\n")?;
    let headers: Vec<(String, String)> = rest
        .lines()
        .filter_map(|it| it.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|it| it.0 == "content-length");
    let mut body = vec![0; length.map_or(0, |it| it.1.parse().unwrap())];
    socket.read_exact(&mut body).await.ok()?;
    Some(Asked {
        line: line.trim_end_matches(" HTTP/1.1").to_owned(),
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
