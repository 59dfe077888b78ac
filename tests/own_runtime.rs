//! An app that runs inside a Tokio runtime of its own, as `#[tokio::main]` makes one. The runtime is set once in a process.

use appview::{Options, Put, Server};
use contrail_sync_engine::rustls::crypto::CryptoProvider;
use tauri::{
    RunEvent,
    test::{mock_builder, mock_context, noop_assets},
};
use tauri_plugin_contrail_sync::{Builder, ContrailSyncExt, WatchOptions};
use tokio::runtime::Handle;

const ALICE: &str = "did:plc:alice";

#[tokio::test(flavor = "multi_thread")]
async fn an_app_inside_a_runtime_of_its_own_ends_with_all_records_in_the_cache() {
    tauri::async_runtime::set(Handle::current());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cache.sqlite");
    let server = Server::start(Options::default()).await.unwrap();
    let space = server.open_space("lounge", ALICE).unwrap();
    let say = |rkey: &str| {
        let put = Put {
            space_uri: Some(space.uri.clone()),
            collection: "message".into(),
            did: ALICE.into(),
            rkey: rkey.into(),
            record: serde_json::json!({ "text": rkey }),
            ..Default::default()
        };
        server.put(put).unwrap();
    };
    say("1");
    let url = format!(
        "{}/xrpc/com.example.message.watchRecords?{}",
        server.url(),
        space.query
    );
    let app = |plugin: Builder| {
        let plugin = plugin.without_keyring().build();
        let app = mock_builder().plugin(plugin);
        app.build(mock_context(noop_assets())).unwrap()
    };

    let first = app(Builder::new().cache_file(&file));
    assert!(
        CryptoProvider::get_default().is_some(),
        "for other TLS in the app"
    );
    let watch = first
        .contrail_sync()
        .watch(WatchOptions::new(&url))
        .await
        .unwrap();
    watch.live().await.unwrap();
    say("2");
    let mut states = std::pin::pin!(watch.states());
    while futures_util::StreamExt::next(&mut states)
        .await
        .unwrap()
        .entries
        .len()
        < 2
    {}
    let window = tauri::WebviewWindowBuilder::new(&first, "main", Default::default());
    let window = window.build().unwrap();
    first.run(move |_, event| {
        if let RunEvent::Ready = event {
            // A window that is closed on the event loop's own thread would be gone without an end of the app.
            let window = window.clone();
            std::thread::spawn(move || window.close().unwrap());
        }
    });

    let again = app(Builder::new().cache_file(&file));
    let info = again.contrail_sync().cache_info().await.unwrap().unwrap();
    assert_eq!(info.rows, 2);
}
