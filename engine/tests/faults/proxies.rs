//! Proxies that refuse, break or answer themselves, each met by a process of its own: no other test may see the
//! variables that name them.

use std::{net::SocketAddr, process::Command};

use contrail_sync_engine::Status;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    common::*,
    lists,
    server::{Asked, Reply, Server, Then, answer},
};

/// A host that no name server knows: only by the proxy is there a way to it.
const HOST: &str = "appview.invalid";

/// What the processes are that the tests start: a watch that says each error it meets, until it is live.
#[tokio::test]
#[ignore = "started by the other tests"]
async fn proxied() {
    let Ok(url) = std::env::var("FAULTS_PROXIED") else {
        return;
    };
    let last = std::env::var("FAULTS_UNTIL_ERROR").is_ok();
    let watch = engine().watch(anywhere(url.parse().unwrap())).await;
    let mut told = None;
    loop {
        let state = watch.state().await.unwrap();
        if state.error != told {
            told = state.error.clone();
            if let Some(error) = &told {
                println!("> {:?}: {}", error.kind, error.message);
            }
        }
        if state.status == Status::Live || last && told.is_some() {
            println!("> {:?} {}", state.status, texts(&state).join(", "));
            return;
        }
        watch.next().await.unwrap();
    }
}

/// What such a process says where this variable names its proxy, and no other one does.
async fn watch_by(name: &str, proxy: &str, url: &str, until_error: bool) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["proxies::proxied", "--exact", "--ignored", "--nocapture"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        child.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    child.env(name, proxy).env("FAULTS_PROXIED", url);
    if until_error {
        child.env("FAULTS_UNTIL_ERROR", "1");
    }
    let output = tokio::task::spawn_blocking(move || child.output()).await;
    let text = String::from_utf8(output.unwrap().unwrap().stdout).unwrap();
    let lines = text
        .lines()
        .filter_map(|it| Some(it.split_once("> ")?.1.to_owned()));
    lines.collect()
}

/// What an HTTP proxy does with the first request, and what comes of it.
fn http_faults() -> Vec<(Reply, &'static str, &'static str)> {
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
    let portal = answer("200 OK", "text/html", "<h1>Welcome to the hotel</h1>");
    vec![
        (
            Reply::new(refusal, Then::Next),
            "HttpStatus",
            "407: it gave no reason, but an untyped body; a proxy on the way wants a password",
        ),
        (
            Reply::new(portal, Then::Next),
            "NotEventStream",
            "text/html",
        ),
        (
            Reply::new(answer("502 X", "text/html", ""), Then::Next),
            "HttpStatus",
            "502",
        ),
        (Reply::new("", Then::Close), "Connect", "by the proxy"),
        (Reply::new("", Then::Reset), "Connect", "by the proxy"),
        (
            Reply::new("HTTP/1.1 200 O", Then::Close),
            "Connect",
            "by the proxy",
        ),
        (
            Reply::new(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nev",
                Then::Reset,
            ),
            "Disconnected",
            "",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_proxy_that_refuses_or_breaks_is_a_typed_error_until_it_lets_pass() {
    for (fault, kind, words) in http_faults() {
        let name = String::from_utf8_lossy(&fault.bytes).into_owned();
        // A request to a proxy names the whole URL, and is answered like any other.
        let server = Server::start(move |asked: &Asked| match asked.nth {
            1 => fault.clone(),
            _ => lists::reply(asked),
        });
        let server = server.await;
        let url = format!("http://{HOST}{}", lists::PATH);
        let proxy = format!("http://user:hush@{}", server.address());
        let told = watch_by("HTTP_PROXY", &proxy, &url, false).await;
        assert_eq!(told.len(), 2, "{name}: {told:?}");
        assert!(
            told[0].starts_with(kind) && told[0].contains(words),
            "{name}: {told:?}"
        );
        assert_eq!(told[1], "Live two, one", "{name}");
        assert!(!told.concat().contains("hush"), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_opens_no_way_to_a_secure_server_is_named() {
    for (fault, words) in [
        (
            "HTTP/1.1 407 X\r\nproxy-authenticate: Basic\r\n\r\n",
            "proxy",
        ),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "proxy"),
        (
            "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n<h1>",
            "proxy",
        ),
        ("HTTP/1.1 200", "proxy"),
        ("", "proxy"),
    ] {
        let server = Server::start(move |_| Reply::new(fault, Then::Close)).await;
        let url = format!("https://{HOST}{}", lists::PATH);
        let proxy = format!("http://user:hush@{}", server.address());
        let told = watch_by("HTTPS_PROXY", &proxy, &url, true).await;
        assert!(
            told[0].starts_with("Connect") && told[0].contains(words),
            "{fault}: {told:?}"
        );
        assert!(!told.concat().contains("hush"), "{told:?}");
    }
}

/// What a SOCKS proxy does with its first client.
#[derive(Debug, Clone, Copy)]
enum Socks {
    WantsPassword,
    AcceptsNothing,
    HangsUp,
    /// After the greeting, in the middle of its answer.
    Cut,
    /// It knows no way to the host.
    Unreachable,
}

/// A SOCKS5 proxy that is at fault once, and then takes everyone to the server.
async fn socks(fault: Socks, server: SocketAddr) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let (mut fault, mut connections) = (Some(fault), JoinSet::new());
        while let Ok((client, _)) = listener.accept().await {
            connections.spawn(carry(client, fault.take(), server));
        }
    });
    (address, task)
}

async fn carry(mut client: TcpStream, fault: Option<Socks>, server: SocketAddr) {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).await.unwrap();
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods).await.unwrap();
    let method: &[u8] = match fault {
        Some(Socks::WantsPassword) => &[5, 2],
        Some(Socks::AcceptsNothing) => &[5, 255],
        Some(Socks::HangsUp) => return,
        _ => &[5, 0],
    };
    client.write_all(method).await.unwrap();
    let mut head = [0; 5];
    if client.read_exact(&mut head).await.is_err() {
        return;
    }
    let mut host = vec![0; usize::from(head[4]) + 2];
    client.read_exact(&mut host).await.unwrap();
    let answer: &[u8] = match fault {
        Some(Socks::Cut) => &[5, 0, 0, 1],
        Some(Socks::Unreachable) => &[5, 4, 0, 1, 0, 0, 0, 0, 0, 0],
        _ => &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    };
    client.write_all(answer).await.unwrap();
    if fault.is_none() {
        let mut server = TcpStream::connect(server).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socks_proxy_that_refuses_or_breaks_is_a_connect_error_until_it_lets_pass() {
    for fault in [
        Socks::WantsPassword,
        Socks::AcceptsNothing,
        Socks::HangsUp,
        Socks::Cut,
        Socks::Unreachable,
    ] {
        let server = Server::start(lists::reply).await;
        let (address, _task) = socks(fault, server.address()).await;
        let url = format!("http://{HOST}{}", lists::PATH);
        let told = watch_by("ALL_PROXY", &format!("socks5h://{address}"), &url, false).await;
        assert_eq!(told.len(), 2, "{fault:?}: {told:?}");
        assert!(
            told[0].starts_with("Connect") && told[0].contains("by the proxy"),
            "{told:?}"
        );
        assert_eq!(told[1], "Live two, one", "{fault:?}");
    }
}
