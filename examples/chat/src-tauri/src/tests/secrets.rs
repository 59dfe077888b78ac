//! From sign-in to kick, everything that this app logs, says and stores is searched for what must not be there.

#[path = "../../../../../engine/tests/vault/session.rs"]
#[allow(dead_code)] // it has more than this test needs
mod session;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use keyring_core::CredentialStore;
use serde_json::json;
use tauri::{Listener, Manager, async_runtime};
use tauri_plugin_contrail_sync::{Builder, ContrailSync, tickets::HttpMinter};

use super::{ALICE, BOB, Chat, SESSION};
use session::{Machine, Session, on};

/// What every ticket for a space begins with: `{"topics":["space:` in base64.
const TICKET: &str = "eyJ0b3BpY3MiOlsic3BhY2U6";
const SECRET: &str = "hush-this-is-the-session-secret";

#[test]
fn tickets_and_sessions_are_found_in_the_keyring_and_nowhere_else() {
    on(Machine::Keyring, async |session| {
        // Tauri has a runtime of its own, which cannot be entered from within this one.
        std::thread::scope(|threads| {
            let signed_in = threads.spawn(|| from_sign_in_to_kick(session));
            signed_in.join().unwrap();
        });
    });
}

fn from_sign_in_to_kick(session: &Session) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.sqlite");
    let unreachable = HttpMinter::post("http://127.0.0.1:1/api/ticket".parse().unwrap());
    let plugin = Builder::new()
        .cache_file(&file)
        .minter("api", unreachable.bearer("session"));
    let chat = Chat::with("main", plugin);
    chat.server.add_member(&chat.space, BOB).unwrap();
    let (said, events) = (Arc::new(Mutex::new(Vec::new())), chat.events());
    for name in ["", "/mint"] {
        let said = said.clone();
        let event = format!("contrail-sync://{SESSION}{name}");
        chat.window.listen(event, move |event| {
            said.lock().unwrap().push(event.payload().to_owned());
        });
    }
    let sync = chat.window.state::<ContrailSync>();
    async_runtime::block_on(sync.set_secret("session", SECRET)).unwrap();

    // A secret that is sent, to a minter that fails: its error must not tell.
    let failing = json!({ "url": chat.messages(), "minter": "api", "cacheKey": "api" });
    chat.open(failing).unwrap();
    let failed = chat.until(&events, |state| !state["error"].is_null());
    chat.invoke(
        "plugin:contrail-sync|close_watch",
        json!({ "session": SESSION, "handle": 1 }),
    )
    .unwrap();

    // What every session with the PDS begins with.
    let session_of_bob = chat.server.pds_session(BOB).unwrap();
    let (pds, _) = session_of_bob.split_once('.').unwrap();
    let signed_in = chat.invoke("sign_in", json!({ "did": BOB })).unwrap();
    let options = json!({ "url": chat.messages(), "minter": "appview", "account": BOB, "transport": "ws",
        "sender": { "sender": "pds" } });
    let opened = chat.invoke(
        "plugin:contrail-sync|open_watch",
        json!({ "session": SESSION, "handle": 2, "options": options }),
    );
    opened.unwrap();
    until(&chat, &events, |state| state["status"] == "live");
    let write = json!({ "did": BOB, "rkey": "m2", "value": { "text": "hi" } });
    let args = json!({ "session": SESSION, "handle": 2, "nonce": "n", "write": write });
    let written = chat
        .invoke("plugin:contrail-sync|put_record", args)
        .unwrap();
    let live = until(&chat, &events, |state| {
        let mut records = state["records"].as_array().into_iter().flatten();
        records.any(|it| it["rkey"] == "m2" && it["optimistic"].is_null())
    });
    async_runtime::block_on(sync.engine().flush(super::LATE));
    let kept = keyring();
    assert!(
        kept.iter().any(|it| it.contains(TICKET)),
        "the ticket is in the keyring"
    );
    assert!(kept.iter().any(|it| it == SECRET), "so is the secret");
    assert!(
        kept.iter().any(|it| it.starts_with(pds)),
        "and the session with the PDS"
    );
    let files = found_in(dir.path(), TICKET);

    chat.server.kick(&chat.space, BOB).unwrap();
    let closed = until(&chat, &events, |state| state["status"] == "closed");
    let deadline = std::time::Instant::now() + super::LATE;
    while keyring().iter().any(|it| it.contains(TICKET)) {
        assert!(
            std::time::Instant::now() < deadline,
            "access lost: the ticket is forgotten"
        );
        std::thread::yield_now();
    }

    let said = said.lock().unwrap().join("\n");
    assert!(
        said.contains(ALICE) || live["records"][0]["did"] == ALICE,
        "events were heard"
    );
    let log = session.log();
    assert!(log.contains("contrail_sync_engine"), "the engine logged");
    for secret in [TICKET, SECRET, pds] {
        for (what, text) in [
            ("the log", &log),
            ("an event", &said),
            ("an error", &failed.to_string()),
            ("a sign-in", &signed_in.to_string()),
            ("a write", &written.to_string()),
            ("a state", &live.to_string()),
            ("the last state", &closed.to_string()),
        ] {
            let place = text
                .find(secret)
                .map(|at| &text[at.saturating_sub(300)..at]);
            assert_eq!(place, None, "{what} holds a secret");
        }
        assert_eq!(found_in(dir.path(), secret), Vec::<String>::new());
        assert_eq!(found_in(chat.files.path(), secret), Vec::<String>::new());
        assert_eq!(
            found_in(Path::new(&std::env::var("HOME").unwrap()), secret),
            Vec::<String>::new()
        );
    }
    assert!(files.is_empty(), "{files:?}");
}

fn until(
    chat: &Chat,
    events: &std::sync::mpsc::Receiver<serde_json::Value>,
    wanted: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    chat.until_of(2, events, wanted)
}

/// Every secret that the session's keyring holds.
fn keyring() -> Vec<String> {
    let store: Arc<CredentialStore> = dbus_secret_service_keyring_store::Store::new().unwrap();
    let all = store.search(&Default::default()).unwrap();
    let read = |entry: &keyring_core::Entry| entry.get_secret().ok();
    all.iter()
        .filter_map(read)
        .map(|it| String::from_utf8_lossy(&it).into_owned())
        .collect()
}

/// Files below `dir` that hold the text, the keyring's own excepted.
fn found_in(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "keyrings") {
                found.extend(found_in(&path, text));
            }
        } else if fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
        {
            found.push(path.display().to_string());
        }
    }
    found
}
