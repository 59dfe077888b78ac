//! Watches of the app's own Rust code, for which no window has to be open.

use appview::OpenSpace;
use futures_util::StreamExt;
use serde::Deserialize;
use tauri::test::mock_builder;
use tauri_plugin_contrail_sync::{
    ContrailSyncExt, EditError, EditRecord, ErrorKind, WatchHandle, WatchOptions, engine::State,
};

use super::*;

#[derive(Debug, Deserialize)]
struct Message {
    text: String,
}

fn texts(state: &State) -> Vec<String> {
    let messages = state.records_as::<Message>();
    messages.map(|it| it.unwrap().value.text).collect()
}

fn put(server: &Server, space: &OpenSpace, rkey: &str) {
    let message = Put {
        space_uri: Some(space.uri.clone()),
        collection: "message".into(),
        did: ALICE.into(),
        rkey: rkey.into(),
        record: json!({ "text": rkey }),
        ..Default::default()
    };
    server.put(message).unwrap();
}

async fn until(watch: &WatchHandle, wanted: impl Fn(&State) -> bool) -> State {
    let mut states = std::pin::pin!(watch.states());
    let found = async {
        while let Some(state) = states.next().await {
            if wanted(&state) {
                return state;
            }
        }
        panic!("the app ended");
    };
    tokio::time::timeout(LATE, found).await.unwrap()
}

/// An app without a window, on an appview where alice wrote a, b and c in a space that anybody may watch.
fn windowless() -> (App<MockRuntime>, Server, OpenSpace) {
    let server = async_runtime::block_on(Server::start(Options::default())).unwrap();
    let space = server.open_space("lounge", ALICE).unwrap();
    for rkey in ["a", "b", "c"] {
        put(&server, &space, rkey);
    }
    let config = ChatConfig {
        appview: server.url().parse().unwrap(),
        rooms: Vec::new(),
        poll_ms: None,
        windows: 1,
        people: vec![ALICE.into()],
        did: None,
    };
    let plugin = Builder::new().without_keyring().without_cache();
    let app = crate::set_up(mock_builder(), plugin, config).unwrap();
    (app.build(crate::context()).unwrap(), server, space)
}

/// A watch of the last two messages.
fn messages(space: &OpenSpace) -> WatchOptions {
    let query = &space.query;
    WatchOptions::new(format!(
        "/xrpc/com.example.message.watchRecords?{query}&limit=2"
    ))
}

async fn live(app: &App<MockRuntime>, space: &OpenSpace) -> WatchHandle {
    let watch = app.contrail_sync().watch(messages(space)).await;
    let watch = watch.unwrap();
    watch.live().await.unwrap();
    watch
}

#[test]
fn rust_code_follows_a_watch_without_a_window() {
    let (app, server, space) = windowless();
    async_runtime::block_on(async {
        let watch = live(&app, &space).await;
        assert_eq!(texts(&watch.state().await.unwrap()), ["c", "b"]);
        let (state, changes) = watch.changes().await.unwrap();
        let mut changes = std::pin::pin!(changes);
        put(&server, &space, "d");
        let delta = tokio::time::timeout(LATE, changes.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((delta.rev, delta.changed[0].index), (state.rev + 1, 0));

        watch.load_more().await.unwrap();
        let all = watch.state().await.unwrap();
        assert_eq!(texts(&all), ["d", "c", "b", "a"]);
        assert_eq!(server.stats().watches, 1, "one connection for all of it");
        watch.stop();
    });
}

#[test]
fn rust_code_edits_before_the_server_does() {
    let (app, _server, space) = windowless();
    async_runtime::block_on(async {
        let watch = live(&app, &space).await;
        let value = serde_json::value::to_raw_value(&json!({ "text": "edited" })).unwrap();
        let edit = EditRecord::new(ALICE, "b", value);
        watch.add_optimistic(edit.clone()).await.unwrap();
        until(&watch, |it| texts(it) == ["c", "edited"]).await;
        let error = EditError::new("Error", "offline");
        watch
            .mark_failed("b", Some(ALICE), error.clone())
            .await
            .unwrap();
        let failed = until(&watch, |it| {
            let optimistic = it.entries[1].optimistic.as_ref();
            optimistic.is_some_and(|it| it.failed.is_some())
        });
        let failed = failed.await.entries[1].clone();
        assert_eq!(failed.optimistic.as_ref().unwrap().failed, Some(error));
        watch.remove_optimistic("b", None).await.unwrap();
        until(&watch, |it| texts(it) == ["c", "b"]).await;

        let mut nobody = edit;
        nobody.did.clear();
        let refused = watch.add_optimistic(nobody).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidOptions);
    });
}

#[test]
fn what_cannot_be_watched_or_read_is_a_typed_error() {
    let (app, _server, space) = windowless();
    async_runtime::block_on(async {
        let open = async |options| app.contrail_sync().watch(options).await;
        let refused = open(WatchOptions::new("ftp://a.example/x"))
            .await
            .err()
            .unwrap();
        assert_eq!(refused.kind(), ErrorKind::InvalidUrl);
        let mut minting = messages(&space);
        minting.mint = Some(true);
        let refused = open(minting).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::InvalidOptions);
        let mut once = WatchOptions::new("/nothing/here.watchRecords");
        once.reconnect = Some(false);
        let closed = open(once).await.unwrap().live().await.unwrap_err();
        assert_eq!(closed.kind(), ErrorKind::Unsupported);
        let message = closed.to_string();
        assert!(message.contains("has no watchRecords"), "{message}");

        let watch = open(messages(&space)).await.unwrap();
        watch.live().await.unwrap();
        let state = watch.state().await.unwrap();
        let numbers: Result<Vec<_>, _> = state.records_as::<u8>().collect();
        let error = numbers.unwrap_err().to_string();
        assert!(
            error.contains("at://did:plc:alice/") && !error.contains("text"),
            "{error}"
        );
    });
}
