//! What a program hears that asks for what it was built without. `cargo xtask features` runs them.

#[cfg(not(feature = "ws"))]
mod ws {
    use std::sync::Arc;

    use appview::Server;
    use tokio::runtime::Handle;

    use crate::{
        engine::{Engine, config::EngineConfig},
        failure::ErrorKind,
        pure::lifecycle::machine::Status,
        watch::{
            error::WatchError,
            spec::{TransportKind, WatchSpec},
            subscription::Subscription,
        },
    };

    async fn watch(url: &str, transport: TransportKind) -> (Engine, Subscription) {
        let engine = Engine::new(Handle::current(), EngineConfig::default()).unwrap();
        let mut spec = WatchSpec::new(url.parse().unwrap(), Arc::new(|_| true));
        spec.transport = transport;
        let watch = engine.watch(spec).await;
        (engine, watch)
    }

    #[tokio::test]
    async fn a_watch_over_websocket_is_refused_before_anything_is_asked() {
        // Nobody listens on this port.
        let url = "http://127.0.0.1:1/xrpc/x.watchRecords?spaceUri=s";
        let (_engine, watch) = watch(url, TransportKind::Ws).await;
        let state = watch.state().await.unwrap();
        assert_eq!(state.status, Status::Closed);
        let error = state.error.unwrap();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains("feature \"ws\""), "{error:?}");
        let mut spec = WatchSpec::new(url.parse().unwrap(), Arc::new(|_| true));
        spec.transport = TransportKind::Ws;
        assert!(matches!(spec.check(), Err(WatchError::Transport(_))));
    }

    #[tokio::test]
    async fn auto_asks_for_no_socket() {
        let appview = Server::start(appview::Options::default()).await.unwrap();
        let space = appview.open_space("lounge", "did:plc:alice").unwrap();
        let url = appview.url();
        let url = format!(
            "{url}/xrpc/com.example.message.watchRecords?{}",
            space.query
        );
        let (_engine, watch) = watch(&url, TransportKind::Auto).await;
        while watch.state().await.unwrap().status != Status::Live {
            watch.next().await.unwrap();
        }
        let stats = appview.stats();
        assert_eq!((stats.sse, stats.handshakes, stats.upgrades), (1, 0, 0));
    }
}

#[cfg(not(feature = "keyring"))]
#[tokio::test]
async fn a_vault_says_that_there_is_no_keyring_and_keeps_secrets_in_memory() {
    use crate::vault::{Reason, Secret, Vault, VaultState};

    let vault = Vault::keyring("org.example.app");
    let reason = Reason::NotBuiltIn;
    assert_eq!(vault.state(), VaultState::Memory { reason });
    vault.set("api", Secret::new("hush")).await.unwrap();
    assert_eq!(vault.get("api").await.unwrap(), Some(Secret::new("hush")));
    vault.delete("api").await.unwrap();
    vault.clear("").await.unwrap();
    assert_eq!(vault.get("api").await.unwrap(), None);
    assert_eq!(vault.state(), VaultState::Memory { reason });
}

#[cfg(not(feature = "cache"))]
mod files {
    use std::{path::PathBuf, sync::Arc};

    use serde_json::value::RawValue;
    use tokio::runtime::Handle;

    use crate::{
        engine::{Engine, config::EngineConfig},
        failure::ErrorKind,
        outbox::{NamedSender, OutboxConfig, WriteError, XrpcSender},
        pure::{
            outbox::{
                row::{NewWrite, SentBy},
                write::{Action, WriteState},
            },
            protocol::record::AtUri,
        },
    };

    fn engine(path: Option<PathBuf>) -> Engine {
        let mut config = EngineConfig::default();
        let sender = NamedSender::new(
            "pds",
            XrpcSender::new("http://127.0.0.1:1".parse().unwrap()),
        );
        config.outbox = Some(OutboxConfig::new(path).sender(sender));
        Engine::new(Handle::current(), config).unwrap()
    }

    fn write(key: &str) -> NewWrite {
        let body = RawValue::from_string("{}".to_owned()).unwrap();
        NewWrite {
            key: key.into(),
            account: None,
            uri: AtUri::parse(format!("at://did:plc:alice/com.example.message/{key}")).unwrap(),
            space: None,
            action: Action::Put(Arc::from(body)),
            swap: None,
            time_us: 7,
            view: String::new(),
            sent_by: SentBy::Name("pds".into()),
            queued_at: 9,
        }
    }

    #[tokio::test]
    async fn a_write_that_is_to_be_kept_in_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outbox.sqlite");
        // One that an earlier build of the app has left.
        std::fs::write(&path, "rows").unwrap();
        let engine = engine(Some(path.clone()));
        let refused = engine.outbox().unwrap().put(write("a")).await.unwrap_err();
        assert!(matches!(refused, WriteError::NoFiles), "{refused}");
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        assert_eq!(std::fs::read(&path).unwrap(), b"rows");
    }

    #[tokio::test]
    async fn a_write_waits_in_memory_and_is_queued_once() {
        let engine = engine(None);
        let outbox = engine.outbox().unwrap();
        let id = outbox.put(write("a")).await.unwrap();
        assert_eq!(outbox.put(write("a")).await.unwrap(), id);
        let other = outbox.put(write("b")).await.unwrap();
        assert_ne!(other, id);
        let waiting = outbox.writes(None).await;
        assert_eq!(waiting.len(), 2);
        assert!(waiting.iter().all(|it| it.state == WriteState::Queued));
        outbox.discard(id).await.unwrap();
        assert_eq!(outbox.writes(None).await.len(), 1);
        let last = outbox.put(write("c")).await.unwrap();
        assert!(last > other, "a number is given once");
    }
}
