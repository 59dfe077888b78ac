//! What a page tries that it may not: each attempt is denied or bounded, with the app's own capabilities.

use std::{net::TcpListener, sync::mpsc};

use appview::Put;
use fastrand::Rng;
use serde_json::{Map, Value, json};
use tauri::test::{INVOKE_KEY, MockRuntime, get_ipc_response};
use tauri::webview::InvokeRequest;
use tauri::{Listener, Manager, WebviewWindow, WebviewWindowBuilder};

use super::{ALICE, Chat, SESSION, invoke_in, kind};

const COMMANDS: [&str; 16] = [
    "open_watch",
    "close_watch",
    "watch_state",
    "ack_watch",
    "edit_watch",
    "load_more",
    "refresh_watch",
    "renew_session",
    "wake_watches",
    "answer_mint",
    "set_secret",
    "delete_secret",
    "clear_tickets",
    "clear_cache",
    "cache_info",
    "cache_warnings",
];
const OTHER_SESSION: &str = "7d1b2c3e-0f6d-4b1a-8c2d-0123456789ab";

/// Another window of the app, with these permissions.
fn window(chat: &Chat, label: &str, permissions: Value) -> WebviewWindow<MockRuntime> {
    let capability = json!({ "identifier": label, "windows": [label], "permissions": permissions });
    chat.app.add_capability(capability.to_string()).unwrap();
    WebviewWindowBuilder::new(&chat.app, label, Default::default())
        .build()
        .unwrap()
}

/// Every argument that a command takes, as an honest page would give them.
fn arguments(chat: &Chat) -> Value {
    json!({
        "session": SESSION,
        "handle": 1,
        "options": { "url": chat.messages(), "minter": "appview", "account": ALICE },
        "rev": 1,
        "nonce": 1,
        "edit": { "op": "remove", "rkey": "m1" },
        "request": 1,
        "ticket": "x",
        "name": "x",
        "value": "x",
    })
}

fn call(window: &WebviewWindow<MockRuntime>, command: &str, args: &Value) -> Result<Value, Value> {
    invoke_in(
        window,
        &format!("plugin:contrail-sync|{command}"),
        args.clone(),
    )
}

fn is_denied(answer: &Result<Value, Value>, command: &str) -> bool {
    let text = answer.as_ref().err().and_then(Value::as_str);
    text.is_some_and(|it| it.contains(command) && it.contains("not allowed"))
}

#[test]
fn a_window_without_the_permission_can_call_nothing() {
    let chat = Chat::start("main");
    let bare = window(&chat, "bare", json!(["core:default"]));
    for command in COMMANDS {
        let answer = call(&bare, command, &arguments(&chat));
        assert!(is_denied(&answer, command), "{command}: {answer:?}");
    }
    assert_eq!(chat.server.stats().connects, 0);
}

#[test]
fn the_default_permission_stores_no_secrets() {
    let chat = Chat::start("main");
    for command in ["set_secret", "delete_secret"] {
        let answer = call(&chat.window, command, &arguments(&chat));
        assert!(is_denied(&answer, command), "{command}: {answer:?}");
    }
}

#[test]
fn a_page_of_another_origin_can_call_nothing() {
    let chat = Chat::start("main");
    for origin in [
        "https://evil.example",
        "http://127.0.0.1:1",
        "data:text/html,x",
    ] {
        for command in COMMANDS {
            let request = InvokeRequest {
                cmd: format!("plugin:contrail-sync|{command}"),
                callback: tauri::ipc::CallbackFn(0),
                error: tauri::ipc::CallbackFn(1),
                url: origin.parse().unwrap(),
                body: arguments(&chat).into(),
                headers: Default::default(),
                invoke_key: INVOKE_KEY.into(),
            };
            let answer = get_ipc_response(&chat.window, request);
            assert!(answer.is_err(), "{command} from {origin}");
        }
    }
    assert_eq!(chat.server.stats().connects, 0);
}

#[test]
fn no_url_outside_the_scope_is_requested_however_it_is_written() {
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let port = trap.local_addr().unwrap().port();
    let chat = Chat::start("main");
    let fenced = window(
        &chat,
        "fenced",
        json!(["core:default", {
            "identifier": "contrail-sync:default",
            "allow": [{ "url": "http://127.0.0.1:*/xrpc/*" }],
            "deny": [
                { "url": "http://127.0.0.1:*/xrpc/com.example.secret.*" },
                { "url": format!("http://127.0.0.1:{port}/*") },
            ],
        }]),
    );
    let path = "xrpc/com.example.message.watchRecords";
    let own = chat.server.url();
    let urls = [
        format!("http://localhost:{port}/{path}"),
        format!("http://127.0.0.1:{port}/{path}"),
        format!("http://127.1:{port}/{path}"),
        format!("http://2130706433:{port}/{path}"),
        format!("http://0x7f000001:{port}/{path}"),
        format!("http://[::ffff:127.0.0.1]:{port}/{path}"),
        format!("http://user:pass@127.0.0.1:{port}/{path}"),
        format!("http://127.0.0.1:{port}\\{path}"),
        format!("http:127.0.0.1:{port}/{path}"),
        format!("  http://127.0.0.1:{port}/{path}"),
        format!("http://１２７.0.0.1:{port}/{path}"),
        format!("https://127.0.0.1:{port}/{path}"),
        format!("ws://127.0.0.1:{port}/{path}"),
        format!("file:///{path}"),
        format!("javascript:fetch('http://127.0.0.1:{port}')"),
        format!("//127.0.0.1:{port}/{path}"),
        format!("{own}/elsewhere/com.example.message.watchRecords"),
        format!("{own}/xrpc/../elsewhere/com.example.message.watchRecords"),
        format!("{own}/xrpc/com.example.secret.watchRecords"),
        format!("{own}/xrpc/com.example.%73ecret.watchRecords"),
        format!("{own}/xrpc/%63om.example.secret%2EwatchRecords"),
        format!("{own}/xrpc//com.example.secret.watchRecords"),
        format!("{own}/xrpc/./com.example.secret.watchRecords"),
        format!("{own}/xrpc/x/..%2fcom.example.secret.watchRecords"),
        "/xrpc/com.example.secret.watchRecords".to_owned(),
        "/xrpc/com.example.secre\u{74}.listRecords".to_owned(),
    ];
    for (handle, url) in urls.iter().enumerate() {
        for transport in ["sse", "ws", "auto", "poll"] {
            let options = json!({ "url": url, "transport": transport });
            let args = json!({ "session": SESSION, "handle": handle, "options": options });
            let refused = kind(call(&fenced, "open_watch", &args));
            assert!(
                ["not-allowed", "invalid-url", "invalid-options"].contains(&&*refused),
                "{url} over {transport}: {refused}"
            );
        }
    }
    assert!(trap.accept().is_err(), "somebody called");
    assert_eq!(chat.server.stats().connects, 0);
    assert_eq!(chat.server.stats().lists, 0);
}

#[test]
fn another_windows_session_and_handle_are_of_no_use() {
    let chat = Chat::start("main");
    let events = chat.events();
    chat.open(arguments(&chat)["options"].clone()).unwrap();
    let live = chat.until(&events, |state| state["status"] == "live");
    let side = window(
        &chat,
        "side",
        json!(["core:default", {
            "identifier": "contrail-sync:default",
            "allow": [{ "url": "http://127.0.0.1:*/*" }],
        }]),
    );
    // All that the app's events bring to this window, whoever they are for.
    let (sender, overheard) = mpsc::channel();
    for name in [
        format!("contrail-sync://{SESSION}"),
        format!("contrail-sync://{OTHER_SESSION}"),
        "contrail-sync://".to_owned(),
    ] {
        let sender = sender.clone();
        side.listen(name, move |event| {
            let _ = sender.send(event.payload().to_owned());
        });
    }
    let args = arguments(&chat);
    for command in [
        "watch_state",
        "ack_watch",
        "edit_watch",
        "load_more",
        "refresh_watch",
    ] {
        let refused = kind(call(&side, command, &args));
        assert_eq!(refused, "unknown-watch", "{command}");
    }
    assert_eq!(call(&side, "renew_session", &args), Ok(json!([])));
    assert_eq!(call(&side, "close_watch", &args), Ok(Value::Null));
    assert_eq!(call(&side, "answer_mint", &args), Ok(Value::Null));
    // The main window's watch is as it was, and tells it alone.
    let rev = live["rev"].clone();
    let message = Put {
        space_uri: Some(chat.space.clone()),
        collection: "message".into(),
        did: ALICE.into(),
        rkey: "m2".into(),
        record: json!({ "text": "for the main window" }),
        ..Default::default()
    };
    chat.server.put(message).unwrap();
    let delta = events.recv_timeout(super::LATE).unwrap();
    assert_eq!(delta["rev"].as_u64(), rev.as_u64().map(|it| it + 1));
    assert!(overheard.try_recv().is_err(), "another window heard it");
}

#[test]
fn a_flood_of_opens_is_bounded_and_given_back() {
    let chat = Chat::start("main");
    let open = |handle: u32| {
        let url = format!(
            "{}/xrpc/com.example.m{handle}.watchRecords",
            chat.server.url()
        );
        let args = json!({ "session": SESSION, "handle": handle,
            "options": { "url": url, "account": ALICE, "minter": "appview" } });
        call(&chat.window, "open_watch", &args)
    };
    let refused = (0..1_100).find_map(|handle| open(handle).err());
    assert_eq!(refused.unwrap()["kind"], "too-many-watches");
    for handle in 0..1_100 {
        let args = json!({ "session": SESSION, "handle": handle });
        assert_eq!(call(&chat.window, "close_watch", &args), Ok(Value::Null));
    }
    assert!(open(2_000).is_ok());
}

#[test]
fn a_flood_of_edits_is_bounded_and_typed() {
    let chat = Chat::start("main");
    let events = chat.events();
    chat.open(arguments(&chat)["options"].clone()).unwrap();
    chat.until(&events, |state| state["status"] == "live");
    let refused = (1..20_000).find_map(|nonce| {
        let record = json!({ "rkey": format!("r{nonce}"), "did": ALICE, "value": {} });
        let args = json!({ "session": SESSION, "handle": 1, "nonce": nonce,
            "edit": { "op": "add", "record": record } });
        call(&chat.window, "edit_watch", &args).err()
    });
    assert_eq!(refused.unwrap()["kind"], "too-many");
}

#[test]
fn what_is_oversized_or_deep_is_a_typed_error() {
    let chat = Chat::start("main");
    let deep = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "a": [inner] }));
    let long = "x".repeat(8 << 20);
    let mut options = arguments(&chat)["options"].clone();
    for (name, value) in [
        (
            "url",
            json!(format!("/xrpc/com.example.message.watchRecords?a={long}")),
        ),
        ("account", json!(long)),
        ("where", json!({ "text": long })),
        ("where", json!({ "text": deep(70) })),
        ("where", json!({ long.clone(): 1 })),
        ("sort", json!({ "by": long, "order": "asc" })),
        (
            "sort",
            json!({ "by": format!("value{}", ".a".repeat(100_000)), "order": "asc" }),
        ),
        ("minter", json!(long)),
        ("cacheKey", json!(long)),
        ("maxRecords", json!(1e300)),
        ("idleTimeout", json!(-1)),
        (&long, json!(1)),
    ] {
        let before = options.clone();
        options[name] = value;
        let refused = kind(chat.open(options));
        assert!(
            ["invalid-options", "invalid-url", "unsupported"].contains(&&*refused),
            "{name:.20}: {refused}"
        );
        options = before;
    }
    chat.open(options).unwrap();
    for value in [json!(long), deep(70)] {
        let record = json!({ "rkey": "r", "did": ALICE, "value": value });
        let args = json!({ "session": SESSION, "handle": 1, "nonce": 1,
            "edit": { "op": "add", "record": record } });
        assert_eq!(
            kind(call(&chat.window, "edit_watch", &args)),
            "invalid-options"
        );
    }
}

/// Any JSON, small.
fn anything(rng: &mut Rng, depth: u32) -> Value {
    match rng.u32(..if depth == 0 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => rng.bool().into(),
        2 => rng.i64(..).into(),
        3 => rng.u32(..4).into(),
        4 => json!(rng.f64() * 1e18 - 5e17),
        5 => [
            "", "m1", ALICE, "at://x", "\u{0}", "ü", SESSION, "desc", "add", "value.a",
        ][rng.usize(..10)]
        .into(),
        6 => std::iter::repeat_with(|| rng.char(..))
            .take(12)
            .collect::<String>()
            .into(),
        7 => (0..rng.u32(..4))
            .map(|_| anything(rng, depth - 1))
            .collect(),
        _ => {
            let names = [
                "op", "rkey", "did", "record", "value", "url", "by", "order", "uri", "a",
            ];
            let fields = (0..rng.u32(..5)).map(|_| {
                (
                    names[rng.usize(..names.len())].to_owned(),
                    anything(rng, depth - 1),
                )
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

/// Changes some of what is there into anything.
fn spoil(rng: &mut Rng, value: &mut Value) {
    match value {
        Value::Object(fields) if rng.u32(..4) > 0 => {
            for (_, field) in fields {
                if rng.u32(..3) == 0 {
                    spoil(rng, field);
                }
            }
        }
        _ => *value = anything(rng, 3),
    }
}

#[test]
fn whatever_a_page_sends_the_app_lives_and_answers() {
    let chat = Chat::start("main");
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|it| it.parse::<u64>().ok())
    };
    let seed = number("ATTACK_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("ATTACK_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let honest = arguments(&chat);
    for _ in 0..number("ATTACK_CASES").unwrap_or(4_000) {
        let mut args = honest.clone();
        args["options"]["url"] = "http://127.0.0.1:9/xrpc/com.example.message.watchRecords".into();
        spoil(&mut rng, &mut args);
        if !args.is_object() {
            continue;
        }
        let command = COMMANDS[rng.usize(..COMMANDS.len())];
        // A watch that is there makes one a second.
        if command == "refresh_watch" && rng.u32(..32) > 0 {
            continue;
        }
        if let Err(error) = call(&chat.window, command, &args) {
            // Tauri's own words, or ours.
            let is_typed = error["kind"].is_string() && error["message"].is_string();
            assert!(error.is_string() || is_typed, "{command} {args}: {error}");
            assert_ne!(error["kind"], "internal", "{command} {args}: {error}");
        }
    }
    let state = chat.open(honest["options"].clone());
    assert!(state.is_ok() || kind(state) == "unknown-watch");
}
