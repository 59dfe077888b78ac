//! The app as it is shipped, capabilities and all, but for the window system.

mod attacks;
mod handle;
mod pages;
#[cfg(target_os = "linux")]
mod secrets;
mod writes;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use appview::{Options, Put, Server};
use serde_json::{Value, json};
use tauri::test::{INVOKE_KEY, MockRuntime, get_ipc_response, mock_builder};
use tauri::webview::InvokeRequest;
use tauri::{App, Listener, WebviewWindow, WebviewWindowBuilder, async_runtime};
use tauri_plugin_contrail_sync::Builder;
use tempfile::TempDir;

use crate::config::{ChatConfig, Room};

const ALICE: &str = "did:plc:alice";
const BOB: &str = "did:plc:bob";
const SESSION: &str = "0c8f5a3e-9f6d-4b1a-8c2d-0123456789ab";
/// Longer than anything here takes.
const LATE: Duration = Duration::from_secs(20);

/// The chat's window, on an appview where alice has a space with one message.
struct Chat {
    window: WebviewWindow<MockRuntime>,
    server: Server,
    space: String,
    app: App<MockRuntime>,
    /// Where its writes wait.
    files: TempDir,
}

impl Chat {
    fn start(label: &str) -> Self {
        Self::with(label, Builder::new().without_keyring().without_cache())
    }

    fn with(label: &str, plugin: Builder) -> Self {
        let server = async_runtime::block_on(Server::start(Options::default())).unwrap();
        let space = server.space("river-house", ALICE).unwrap();
        let message = Put {
            space_uri: Some(space.clone()),
            collection: "message".into(),
            did: ALICE.into(),
            rkey: "m1".into(),
            record: json!({ "text": "hello" }),
            ..Default::default()
        };
        server.put(message).unwrap();
        let config = ChatConfig {
            appview: server.url().parse().unwrap(),
            rooms: vec![Room::Space {
                space_uri: space.clone(),
            }],
            people: vec![ALICE.into(), BOB.into()],
            did: None,
            poll_ms: None,
            windows: 1,
        };
        let files = tempfile::tempdir().unwrap();
        let plugin = plugin.outbox_file(files.path().join("outbox.sqlite"));
        let app = crate::set_up(mock_builder(), plugin, config)
            .unwrap()
            .build(crate::context())
            .unwrap();
        let window = WebviewWindowBuilder::new(&app, label, Default::default())
            .build()
            .unwrap();
        Self {
            window,
            server,
            space,
            app,
            files,
        }
    }

    fn invoke(&self, command: &str, args: Value) -> Result<Value, Value> {
        invoke_in(&self.window, command, args)
    }

    fn open(&self, options: Value) -> Result<Value, Value> {
        self.invoke(
            "plugin:contrail-sync|open_watch",
            json!({ "session": SESSION, "handle": 1, "options": options }),
        )
    }

    /// The space's messages, as the front end watches them.
    fn messages(&self) -> String {
        let mut url = tauri::Url::parse("http://base").unwrap();
        url.set_path("/xrpc/com.example.message.watchRecords");
        url.query_pairs_mut()
            .append_pair("spaceUri", &self.space)
            .append_pair("hydrateReactions", "20");
        url.as_str()["http://base".len()..].to_owned()
    }

    /// The watch's state once `wanted` is true of it, told of changes as a page is.
    fn until(&self, events: &mpsc::Receiver<Value>, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until_of(1, events, wanted)
    }

    fn until_of(
        &self,
        handle: u32,
        events: &mpsc::Receiver<Value>,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let handle = json!({ "session": SESSION, "handle": handle });
        let end = Instant::now() + LATE;
        loop {
            let state = self
                .invoke("plugin:contrail-sync|watch_state", handle.clone())
                .unwrap();
            if wanted(&state) {
                return state;
            }
            let rest = end.saturating_duration_since(Instant::now());
            if events.recv_timeout(rest).is_err() {
                panic!("waited in vain, the state is {state}");
            }
        }
    }

    fn events(&self) -> mpsc::Receiver<Value> {
        let (sender, events) = mpsc::channel();
        let name = format!("contrail-sync://{SESSION}");
        self.window.listen(name, move |event| {
            let json: String = serde_json::from_str(event.payload()).unwrap();
            let _ = sender.send(serde_json::from_str(&json).unwrap());
        });
        events
    }
}

/// Calls a command as a page of the window does.
fn invoke_in(
    window: &WebviewWindow<MockRuntime>,
    command: &str,
    args: Value,
) -> Result<Value, Value> {
    let page = if cfg!(windows) {
        "http://tauri.localhost"
    } else {
        "tauri://localhost"
    };
    let request = InvokeRequest {
        cmd: command.into(),
        callback: tauri::ipc::CallbackFn(0),
        error: tauri::ipc::CallbackFn(1),
        url: page.parse().unwrap(),
        body: args.into(),
        headers: Default::default(),
        invoke_key: INVOKE_KEY.into(),
    };
    let answer = get_ipc_response(window, request)?;
    Ok(answer.deserialize().unwrap())
}

fn kind(answer: Result<Value, Value>) -> String {
    let error = answer.unwrap_err();
    error["kind"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_allowed_url_is_watched_absolute_or_relative() {
    let chat = Chat::start("main");
    let events = chat.events();
    let url = format!("{}{}", chat.server.url(), chat.messages());
    let ticket = json!({ "minter": "appview", "account": ALICE });
    let with = |url: String| {
        let mut options = ticket.clone();
        options["url"] = url.into();
        options
    };
    let state = chat.open(with(url)).unwrap();
    assert!(state["rev"].is_u64(), "{state}");
    let live = chat.until(&events, |state| state["status"] == "live");
    assert_eq!(live["records"][0]["value"]["text"], "hello");

    // The same watch by its relative URL: no second connection.
    let connects = chat.server.stats().connects;
    let again = chat
        .invoke(
            "plugin:contrail-sync|open_watch",
            json!({ "session": SESSION, "handle": 2, "options": with(chat.messages()) }),
        )
        .unwrap();
    assert_eq!(again["status"], "live");
    assert_eq!(chat.server.stats().connects, connects);
}

#[test]
fn a_url_outside_the_scope_is_not_allowed() {
    let chat = Chat::start("main");
    for url in [
        "https://appview.example/xrpc/x.watchRecords",
        "http://localhost:1/x",
        "http://127.0.0.1.appview.example/x",
    ] {
        assert_eq!(
            kind(chat.open(json!({ "url": url }))),
            "not-allowed",
            "{url}"
        );
    }
}

#[test]
fn an_unknown_option_and_an_unknown_minter_are_refused_by_name() {
    let chat = Chat::start("main");
    for (name, options) in [
        ("urls", json!({ "url": "/x", "urls": 1 })),
        ("teapot", json!({ "url": "/x", "minter": "teapot" })),
    ] {
        let error = chat.open(options).unwrap_err();
        assert_eq!(error["kind"], "invalid-options");
        assert!(error["message"].as_str().unwrap().contains(name), "{error}");
    }
}

#[test]
fn the_chat_may_clear_tickets_but_neither_store_nor_delete_secrets() {
    let chat = Chat::start("main");
    let secret = json!({ "name": "api-key", "value": "s3cret-value" });
    for command in ["set_secret", "delete_secret"] {
        let command = format!("plugin:contrail-sync|{command}");
        let error = chat.invoke(&command, secret.clone()).unwrap_err();
        let text = error.as_str().unwrap();
        assert!(text.contains("not allowed"), "{text}");
        assert!(!text.contains("s3cret-value"), "{text}");
    }
    let cleared = chat.invoke("plugin:contrail-sync|clear_tickets", json!({}));
    assert_eq!(cleared, Ok(Value::Null));
}

#[test]
fn another_window_than_the_main_one_may_nothing() {
    let chat = Chat::start("other");
    let error = chat.open(json!({ "url": chat.messages() })).unwrap_err();
    assert!(error.as_str().unwrap().contains("not allowed"), "{error}");
}

#[test]
fn a_kick_ends_the_watch_and_takes_the_records() {
    let chat = Chat::start("main");
    chat.server.add_member(&chat.space, BOB).unwrap();
    let events = chat.events();
    let options = json!({ "url": chat.messages(), "minter": "appview", "account": BOB });
    chat.open(options).unwrap();
    chat.until(&events, |state| state["status"] == "live");
    chat.server.kick(&chat.space, BOB).unwrap();
    let state = chat.until(&events, |state| state["status"] == "closed");
    assert_eq!(state["error"]["kind"], "access-lost");
    assert_eq!(state["records"], json!([]));

    // Nor by another watch, or in another run: the appview gives tickets to members alone.
    let options = json!({ "url": chat.messages(), "minter": "appview", "account": BOB });
    let again = json!({ "session": SESSION, "handle": 2, "options": options });
    chat.invoke("plugin:contrail-sync|open_watch", again)
        .unwrap();
    let state = chat.until_of(2, &events, |state| state["status"] == "closed");
    assert_eq!(state["error"]["kind"], "forbidden");
    assert_eq!(state["records"], json!([]));
}

#[test]
fn a_watch_without_an_account_gets_no_ticket_and_says_why() {
    let chat = Chat::start("main");
    let events = chat.events();
    chat.open(json!({ "url": chat.messages(), "minter": "appview" }))
        .unwrap();
    let state = chat.until(&events, |state| !state["error"].is_null());
    assert_eq!(state["error"]["kind"], "mint-failed");
    let message = state["error"]["message"].as_str().unwrap();
    assert!(message.contains("for an account and a space"), "{message}");
}
