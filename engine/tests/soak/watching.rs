//! The engine under test: its watches, and its restarts with the cache kept.

use std::{path::PathBuf, sync::Arc, time::Duration};

use appview::TicketFor;
use contrail_sync_engine::{
    Cache, CacheConfig, CacheOptions, Engine, EngineConfig, MintRequest, NamedMinter, Statistics,
    Subscription, TicketSource, TransportKind, WatchSpec,
};
use tokio::runtime::Handle;
use url::Url;

use crate::traffic::{BOB, CIRCLE, Scope, Traffic};

/// An engine on a cache's file.
pub(crate) struct Watching {
    file: PathBuf,
    engine: Engine,
    specs: Vec<(WatchSpec, Target)>,
}

/// What a watch shows, and whom to ask for the truth.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) collection: &'static str,
    pub(crate) scope: Scope,
    pub(crate) hydrate: &'static [&'static str],
}

/// One watch that is followed.
pub(crate) struct Followed {
    pub(crate) subscription: Subscription,
    pub(crate) target: Target,
}

pub(crate) type Watches = Vec<Followed>;

fn engine(file: &std::path::Path) -> Engine {
    let mut config = EngineConfig::default();
    config.backoff.base = Duration::from_millis(50);
    config.backoff.cap = Duration::from_millis(400);
    config.compare_every = Duration::from_secs(20);
    config.linger = Duration::from_millis(100);
    let cache = CacheConfig::new(Some(file.join("cache.sqlite")));
    config.cache = Some(Cache::open(cache, &Handle::current()));
    Engine::new(Handle::current(), config).unwrap()
}

impl Watching {
    pub(crate) async fn start(
        traffic: &Traffic,
        transport: TransportKind,
        file: &std::path::Path,
    ) -> Self {
        let space = format!("spaceUri={}", traffic.space);
        let community = format!("actor={CIRCLE}");
        let of = |collection, scope, query: &str, more: &str, hydrate| {
            let server = traffic.server.url();
            let url = format!("{server}/xrpc/com.example.{collection}.watchRecords?{query}{more}");
            Target {
                url: url.parse().unwrap(),
                collection,
                scope,
                hydrate,
            }
        };
        let targets = [
            of(
                "message",
                Scope::Space,
                &space,
                "&limit=30&hydrateReactions=50",
                &["reactions"][..],
            ),
            of("message", Scope::Space, &space, "", &[]),
            of(
                "event",
                Scope::Space,
                &space,
                "&hydrateRsvps=50&hydrateBadges=50",
                &["rsvps", "badges"],
            ),
            of("message", Scope::Community, &community, "", &[]),
        ];
        let server = &traffic.server;
        let specs = targets.map(|target| {
            let (server, asked) = (server.clone(), target.clone());
            let space = traffic.space.clone();
            let minter = move |_: MintRequest| {
                let ask = TicketFor {
                    space_uri: (asked.scope == Scope::Space).then(|| space.clone()),
                    actor: (asked.scope == Scope::Community).then(|| CIRCLE.into()),
                    collection: asked.collection.into(),
                    did: BOB.into(),
                    ttl_ms: Some(12_000),
                    hydrate: asked.hydrate.iter().map(ToString::to_string).collect(),
                };
                let ticket = server.ticket(ask);
                async move { ticket }
            };
            let mut spec = WatchSpec::new(target.url.clone(), Arc::new(|_| true));
            // Events have a field `mode`, by which a handshake filters them: sockets show none, and a query that hydrates
            // goes by server-sent events anyway.
            spec.transport = match target.collection {
                "event" => TransportKind::Auto,
                _ => transport,
            };
            spec.account = Some(BOB.into());
            spec.idle_timeout = Duration::from_secs(4);
            spec.cache = Some(CacheOptions::default());
            spec.tickets = TicketSource::Minter(NamedMinter::new("world", minter));
            (spec, target)
        });
        Self {
            file: file.to_owned(),
            engine: engine(file),
            specs: specs.into(),
        }
    }

    pub(crate) async fn watches(&self) -> Watches {
        let mut watches = Vec::new();
        for (spec, target) in &self.specs {
            watches.push(Followed {
                subscription: self.engine.watch(spec.clone()).await,
                target: target.clone(),
            });
        }
        watches
    }

    /// Ends the engine as an app does, and begins with what its cache has.
    pub(crate) async fn restart(&mut self) {
        self.engine.flush(Duration::from_secs(5)).await;
        if let Some(cache) = self.engine.cache() {
            cache.close().await.unwrap();
        }
        self.engine = engine(&self.file);
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.engine.statistics()
    }
}
