//! Networks that swallow what goes over the connections that there are, without a word, as after a change of address: new
//! ones work. The client's clock is stepped by hand.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use appview::{Contrail, Options, Put, Tls};
use contrail_sync_engine::{Engine, Status, Subscription, TransportKind, WatchSpec};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{clocks::*, common::*};

/// Watches that share what connections there are.
const WATCHES: usize = 6;

/// Carries connections to a server, and swallows all on those that there are when it is told to.
struct Network {
    address: SocketAddr,
    swallowed: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Network {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (swallowed, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (swallows, makes, mut task) = (swallowed.clone(), made.clone(), JoinSet::new());
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let born = makes.fetch_add(1, Relaxed);
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                connections.spawn(carry(from_client, to_server, born, swallows.clone()));
                connections.spawn(carry(from_server, to_client, born, swallows.clone()));
            }
        });
        Self {
            address,
            swallowed,
            made,
            _task: task,
        }
    }

    fn swallow(&self) {
        self.swallowed.store(self.made.load(Relaxed), Relaxed);
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    born: usize,
    swallowed: Arc<AtomicUsize>,
) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if born >= swallowed.load(Relaxed) && to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
    // The end is swallowed, too.
    if born < swallowed.load(Relaxed) {
        std::future::pending::<()>().await;
    }
}

struct Case {
    name: &'static str,
    transport: TransportKind,
    over_tls: bool,
    /// Most seconds until all are as the server is again.
    most: u64,
}

const CASES: [Case; 5] = [
    case("server-sent events", TransportKind::Sse, false, 45),
    case("WebSocket", TransportKind::Ws, false, 60),
    // A list that hangs is given up after half a minute.
    case("lists", TransportKind::Poll, false, 50),
    case(
        "server-sent events over HTTP/2",
        TransportKind::Sse,
        true,
        60,
    ),
    case("lists over HTTP/2", TransportKind::Poll, true, 60),
];

const fn case(name: &'static str, transport: TransportKind, over_tls: bool, most: u64) -> Case {
    Case {
        name,
        transport,
        over_tls,
        most,
    }
}

/// A case at work: its server, the network before it, and what watches it.
struct Followed {
    lounge: Lounge,
    network: Network,
    listed: bool,
}

impl Followed {
    async fn new(case: &Case) -> Self {
        let listed = case.transport == TransportKind::Poll;
        let options = Options {
            contrail: match listed {
                true => Contrail::V0_19,
                false => Options::default().contrail,
            },
            tls: Some(Tls::default()),
            ..Options::default()
        };
        let lounge = Lounge::with(options).await;
        let port = match case.over_tls {
            true => url::Url::parse(&lounge.server.tls_url().unwrap())
                .unwrap()
                .port()
                .unwrap(),
            false => lounge.server.port(),
        };
        let network = Network::to(port).await;
        Self {
            lounge,
            network,
            listed,
        }
    }

    fn say(&self, rkey: &str) {
        let put = Put {
            space_uri: (!self.listed).then(|| self.lounge.space.clone()),
            collection: "message".into(),
            did: ALICE.into(),
            rkey: rkey.into(),
            record: serde_json::json!({ "text": rkey }),
            ..Put::default()
        };
        self.lounge.server.put(put).unwrap();
    }

    /// The n-th watch of it.
    fn spec(&self, case: &Case, n: usize) -> WatchSpec {
        let scheme = if case.over_tls { "https" } else { "http" };
        let limit = 20 + n;
        let mut spec = self.lounge.spec();
        let query = match self.listed {
            true => format!("limit={limit}"),
            false => format!("{}&limit={limit}", spec.url.query().unwrap()),
        };
        let url = format!(
            "{scheme}://{}/xrpc/com.example.message.watchRecords?{query}",
            self.network.address
        );
        if self.listed {
            spec = anywhere(url.parse().unwrap());
        }
        spec.url = url.parse().unwrap();
        spec.transport = case.transport;
        spec.poll_interval = Duration::from_secs(2);
        spec
    }
}

async fn all_show(watches: &[Subscription], rkey: &str) -> bool {
    for watch in watches {
        let state = watch.state().await.unwrap();
        if state.status != Status::Live || !rkeys(&state).contains(&rkey) {
            return false;
        }
    }
    true
}

/// How long each case takes after `event` until all of its watches show what was said when the network began to swallow.
fn seconds_after(event: impl AsyncFn(&Engine)) -> [Option<u64>; CASES.len()] {
    let (servers_clock, client_clock) = (of_servers(), of_client());
    let followed = servers_clock.block_on(async {
        let mut all = Vec::new();
        for case in &CASES {
            let followed = Followed::new(case).await;
            followed.say("before");
            all.push(followed);
        }
        all
    });
    let took = client_clock.block_on(async {
        let _stopped = stop();
        let mut all: Vec<(Engine, Vec<Subscription>)> = Vec::new();
        for (case, followed) in CASES.iter().zip(&followed) {
            let certificate = followed.lounge.server.certificate();
            let engine = engine_with(|config| config.tls = Some(trusting(certificate)));
            let mut watches = Vec::new();
            for n in 0..WATCHES {
                watches.push(engine.watch(followed.spec(case, n)).await);
            }
            all.push((engine, watches));
        }
        // They come to rest, with what idle connections that leaves.
        for _ in 0..20 {
            step().await;
        }
        for ((case, followed), (engine, watches)) in CASES.iter().zip(&followed).zip(&all) {
            assert!(all_show(watches, "before").await, "{}", case.name);
            followed.network.swallow();
            followed.say("after");
            event(engine).await;
        }
        let mut took = [None; CASES.len()];
        for second in 0..120 {
            for ((_, watches), took) in all.iter().zip(&mut took) {
                if took.is_none() && all_show(watches, "after").await {
                    *took = Some(second);
                }
            }
            if took.iter().all(Option::is_some) {
                break;
            }
            step().await;
        }
        took
    });
    let _of_servers = servers_clock.enter();
    drop(followed);
    took
}

#[test]
fn what_a_network_swallows_is_made_up_for_by_new_connections_within_a_minute() {
    for (case, took) in CASES.iter().zip(seconds_after(async |_| {})) {
        println!("{}: {took:?} s", case.name);
        let in_time = took.is_some_and(|it| it <= case.most);
        assert!(in_time, "{}: {took:?} s", case.name);
    }
}

#[test]
fn after_a_sleep_no_connection_from_before_it_is_trusted() {
    let slept = async |engine: &Engine| {
        engine.suspend(Duration::ZERO).await;
        engine.wake().await;
    };
    for (case, took) in CASES.iter().zip(seconds_after(slept)) {
        println!("{}: {took:?} s", case.name);
        let in_time = took.is_some_and(|it| it <= 15);
        assert!(in_time, "{}: {took:?} s", case.name);
    }
}
