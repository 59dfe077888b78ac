//! What the integration tests share: a real appview, a real engine, and waits that end.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part

use std::{path::Path, sync::Arc, time::Duration};

use appview::{Options, Put, Server, TicketFor};
use contrail_sync_engine::{
    Cache, CacheConfig, Engine, EngineConfig, ErrorKind, State, Status, Subscription, Ticket,
    TicketSource, WatchSpec,
    rustls::{self, ClientConfig, RootCertStore, pki_types::CertificateDer},
};
use url::Url;

pub const ALICE: &str = "did:plc:alice";
pub const BOB: &str = "did:plc:bob";

/// An engine that retries quickly, so that tests need not wait for a person's patience.
pub fn engine() -> Engine {
    engine_with(|_| {})
}

pub fn engine_with(change: impl FnOnce(&mut EngineConfig)) -> Engine {
    let mut config = EngineConfig::default();
    config.backoff.base = Duration::from_millis(20);
    config.backoff.cap = Duration::from_millis(100);
    config.seed = Some(7);
    change(&mut config);
    Engine::new(tokio::runtime::Handle::current(), config).unwrap()
}

/// A new process, as far as the engine can tell: a cache opened on the file.
pub fn session(file: &Path) -> Engine {
    let config = CacheConfig::new(Some(file.to_owned()));
    let cache = Cache::open(config, &tokio::runtime::Handle::current());
    engine_with(|engine| engine.cache = Some(cache))
}

/// The same, with seconds between two attempts to connect.
pub fn patient_session(file: &Path) -> Engine {
    let config = CacheConfig::new(Some(file.to_owned()));
    let cache = Cache::open(config, &tokio::runtime::Handle::current());
    engine_with(|engine| {
        engine.cache = Some(cache);
        engine.backoff.base = Duration::from_secs(2);
        engine.backoff.cap = Duration::from_secs(4);
    })
}

/// Ends it as an app does.
pub async fn end(engine: Engine) {
    engine.flush(Duration::from_secs(5)).await;
    engine.cache().unwrap().close().await.unwrap();
}

/// An appview with one space of alice's.
pub struct Lounge {
    pub server: Server,
    pub space: String,
}

impl Lounge {
    pub async fn open() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let server = Server::start(options).await.unwrap();
        let space = server.space("lounge", ALICE).unwrap();
        Self { server, space }
    }

    /// The watch URL of a collection, with more of a query.
    pub fn url(&self, collection: &str, query: &str) -> Url {
        let path = format!(
            "{}/xrpc/com.example.{collection}.watchRecords",
            self.server.url()
        );
        let mut url = Url::parse(&path).unwrap();
        url.query_pairs_mut().append_pair("spaceUri", &self.space);
        let joined = format!("{}{query}", url.query().unwrap_or_default());
        url.set_query(Some(&joined));
        url
    }

    pub fn ticket(&self, did: &str, hydrate: &[&str]) -> String {
        let ask = TicketFor {
            space_uri: Some(self.space.clone()),
            actor: None,
            collection: "message".into(),
            did: did.into(),
            ttl_ms: Some(3_600_000),
            hydrate: hydrate.iter().map(ToString::to_string).collect(),
        };
        self.server.ticket(ask).unwrap()
    }

    /// A watch of the messages as alice.
    pub fn spec(&self) -> WatchSpec {
        let mut spec = anywhere(self.url("message", ""));
        spec.tickets = TicketSource::Static(Ticket::parse(&self.ticket(ALICE, &[])).unwrap());
        spec
    }

    pub fn say(&self, rkey: &str, text: &str) {
        self.put(ALICE, "message", rkey, serde_json::json!({ "text": text }));
    }

    pub fn put(&self, did: &str, collection: &str, rkey: &str, record: serde_json::Value) {
        let put = Put {
            space_uri: Some(self.space.clone()),
            collection: collection.into(),
            did: did.into(),
            rkey: rkey.into(),
            record,
            ..Put::default()
        };
        self.server.put(put).unwrap();
    }

    pub fn delete(&self, did: &str, collection: &str, rkey: &str, silent: bool) {
        let delete = appview::Delete {
            space_uri: Some(self.space.clone()),
            collection: collection.into(),
            did: did.into(),
            rkey: rkey.into(),
            silent,
        };
        self.server.delete(delete).unwrap();
    }
}

/// The same URL on the server's TLS port.
pub fn over_tls(server: &Server, url: Url) -> Url {
    let mut tls = Url::parse(&server.tls_url().expect("it serves TLS")).unwrap();
    tls.set_path(url.path());
    tls.set_query(url.query());
    tls
}

/// Trusts these certificates and no others.
pub fn trusting(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A watch without a ticket that may request anything.
pub fn anywhere(url: Url) -> WatchSpec {
    WatchSpec::new(url, Arc::new(|_| true))
}

/// Waits until the state is as wanted, and gives it.
pub async fn until(watch: &Subscription, wanted: impl Fn(&State) -> bool) -> State {
    let mut last = None;
    let found = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let state = watch.state().await.expect("the engine lives");
            if wanted(&state) {
                return state;
            }
            last = Some(state);
            watch.next().await.expect("the engine lives");
        }
    });
    let found = found.await;
    found.unwrap_or_else(|_| panic!("never as wanted; last: {last:?}"))
}

pub async fn until_live(watch: &Subscription) -> State {
    until(watch, |state| state.status == Status::Live).await
}

pub async fn until_error(watch: &Subscription, kind: ErrorKind) -> State {
    until(watch, |state| {
        state.error.as_ref().is_some_and(|error| error.kind == kind)
    })
    .await
}

/// The rkeys in order.
pub fn rkeys(state: &State) -> Vec<&str> {
    state
        .entries
        .iter()
        .map(|entry| entry.record.rkey())
        .collect()
}

/// The texts in order.
pub fn texts(state: &State) -> Vec<String> {
    let text = |raw: &str| {
        let value: serde_json::Value = serde_json::from_str(raw).unwrap();
        value["text"].as_str().unwrap_or_default().to_owned()
    };
    state
        .entries
        .iter()
        .map(|entry| text(entry.record.value.get()))
        .collect()
}
