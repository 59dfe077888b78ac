//! Proxies that the environment names, each met by a process of its own: no other test may see its variables.

mod common;

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use appview::{Options, Server};
use common::*;
use contrail_sync_engine::{Status, TransportKind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// A host that no name server knows.
const HOST: &str = "appview.invalid";

/// What the processes are that the other tests start.
#[tokio::test]
#[ignore = "started by the other tests"]
async fn role() {
    let Ok(url) = std::env::var("PROXIED_URL") else {
        return;
    };
    let mut spec = anywhere(url.parse().unwrap());
    if std::env::var("PROXIED_BY").is_ok_and(|it| it == "ws") {
        spec.transport = TransportKind::Ws;
    }
    let watch = engine().watch(spec).await;
    let state = until(&watch, |it| it.status == Status::Live || it.error.is_some()).await;
    match state.error {
        Some(error) => println!("> {error:?}"),
        None => println!("> live with {}", texts(&state).join(", ")),
    }
}

/// What a watch comes to where the environment has this variable, and no other one of a proxy.
async fn watch_with(variable: (&str, &str), url: &Url, transport: &str) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["role", "--exact", "--ignored", "--nocapture"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        child.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    child
        .env(variable.0, variable.1)
        .env("PROXIED_URL", url.as_str())
        .env("PROXIED_BY", transport);
    child.stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || child.output()).await;
    let output = output.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told = text.lines().find_map(|it| it.split_once("> "));
    told.map_or(text.clone(), |it| it.1.to_owned())
}

/// A SOCKS5 proxy that knows one name, and takes it to `target`.
async fn socks(target: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, target));
        }
    });
    address
}

async fn carry(mut client: TcpStream, target: SocketAddr) {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).await.unwrap();
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods).await.unwrap();
    client.write_all(&[5, 0]).await.unwrap();
    let mut head = [0; 5];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(head[..4], [5, 1, 0, 3], "to connect to a host by its name");
    let mut host = vec![0; usize::from(head[4]) + 2];
    client.read_exact(&mut host).await.unwrap();
    assert_eq!(host[..host.len() - 2], *HOST.as_bytes());
    let mut server = TcpStream::connect(target).await.unwrap();
    client
        .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    // Either may hang up as it likes.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_socks_proxy_is_the_way_of_both_transports() {
    let server = Server::start(Options::default()).await.unwrap();
    let space = server.open_space("lounge", ALICE).unwrap();
    let put = appview::Put {
        space_uri: Some(space.uri),
        collection: "message".into(),
        did: ALICE.into(),
        rkey: "1".into(),
        record: serde_json::json!({ "text": "hello" }),
        ..Default::default()
    };
    server.put(put).unwrap();
    let own: Url = server.url().parse().unwrap();
    let target = own.socket_addrs(|| None).unwrap()[0];
    let proxy = format!("socks5h://{}", socks(target).await);
    let path = format!("xrpc/com.example.message.watchRecords?{}", space.query);
    let url = format!("http://{HOST}:{}/{path}", target.port())
        .parse()
        .unwrap();
    for transport in ["sse", "ws"] {
        let told = watch_with(("ALL_PROXY", &proxy), &url, transport).await;
        assert_eq!(told, "live with hello", "{transport}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_down_is_named_without_its_password() {
    // Of a port that was just free nobody else makes a server here.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let url = format!("http://{HOST}/xrpc/x.watchRecords?inviteToken=i")
        .parse()
        .unwrap();
    for variable in ["HTTP_PROXY", "ALL_PROXY"] {
        let proxy = format!("http://user:hush@127.0.0.1:{port}");
        let told = watch_with((variable, &proxy), &url, "sse").await;
        let named = format!("by the proxy http://127.0.0.1:{port}: nobody listens there");
        assert!(told.contains(&named) && told.contains("Connect"), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }
}
