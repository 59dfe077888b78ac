//! What pages share, acknowledge, edit and lose.

use std::sync::mpsc;

use appview::Put;
use serde_json::{Value, json};
use tauri::test::MockRuntime;
use tauri::{Listener, Manager, WebviewWindow, WebviewWindowBuilder};

use super::{ALICE, Chat, LATE, SESSION, invoke_in, kind};

/// The capability of the main window, for another one.
const SIDE: &str = r#"{
    "identifier": "side",
    "windows": ["side"],
    "permissions": [
        "core:default",
        { "identifier": "contrail-sync:default", "allow": [{ "url": "http://127.0.0.1:*/*" }] }
    ]
}"#;

/// A page in the main window, with handle 1 on the messages as alice, once it is live.
struct Page {
    chat: Chat,
    events: mpsc::Receiver<Value>,
    rev: u64,
}

impl Page {
    fn open() -> Self {
        let chat = Chat::start("main");
        let events = chat.events();
        chat.open(options(&chat)).unwrap();
        let live = chat.until(&events, |state| state["status"] == "live");
        // What was under way meanwhile is older than this state.
        while events.try_recv().is_ok() {}
        let rev = live["rev"].as_u64().unwrap();
        Self { chat, events, rev }
    }

    fn say(&self, rkey: &str) {
        let message = Put {
            space_uri: Some(self.chat.space.clone()),
            collection: "message".into(),
            did: ALICE.into(),
            rkey: rkey.into(),
            record: json!({ "text": rkey }),
            ..Default::default()
        };
        self.chat.server.put(message).unwrap();
    }

    fn call(&self, command: &str, more: Value) -> Result<Value, Value> {
        let mut args = json!({ "session": SESSION, "handle": 1 });
        for (name, value) in more.as_object().unwrap() {
            args[name] = value.clone();
        }
        self.chat
            .invoke(&format!("plugin:contrail-sync|{command}"), args)
    }

    fn event(&mut self) -> Value {
        let delta = self.events.recv_timeout(LATE).unwrap();
        self.take(&delta);
        delta
    }

    fn take(&mut self, delta: &Value) {
        assert_eq!(delta["rev"], self.rev + 1, "{delta}");
        self.rev += 1;
    }

    fn ack(&mut self) -> Value {
        let answer = self.call("ack_watch", json!({ "rev": self.rev })).unwrap();
        if !answer.is_null() {
            self.take(&answer);
        }
        answer
    }
}

fn options(chat: &Chat) -> Value {
    json!({ "url": chat.messages(), "minter": "appview", "account": ALICE })
}

const SIDE_SESSION: &str = "7d1b2c3e-0f6d-4b1a-8c2d-0123456789ab";

fn side(chat: &Chat) -> WebviewWindow<MockRuntime> {
    chat.app.add_capability(SIDE).unwrap();
    WebviewWindowBuilder::new(&chat.app, "side", Default::default())
        .build()
        .unwrap()
}

#[test]
fn two_windows_on_one_query_share_a_connection_and_other_options_have_their_own() {
    let page = Page::open();
    let (chat, side) = (&page.chat, side(&page.chat));
    let open = |handle: u32, options: Value| {
        let args = json!({ "session": SIDE_SESSION, "handle": handle, "options": options });
        invoke_in(&side, "plugin:contrail-sync|open_watch", args).unwrap()
    };
    let shared = open(1, options(chat));
    assert_eq!(shared["status"], "live");
    assert_eq!(shared["records"][0]["value"]["text"], "hello");
    assert_eq!(chat.server.stats().sse, 1);

    let (sender, events) = mpsc::channel();
    side.listen(format!("contrail-sync://{SIDE_SESSION}"), move |_| {
        let _ = sender.send(());
    });
    let mut other = options(chat);
    other["reconnect"] = false.into();
    let mut state = open(2, other);
    while state["status"] != "live" {
        events.recv_timeout(LATE).unwrap();
        let args = json!({ "session": SIDE_SESSION, "handle": 2 });
        state = invoke_in(&side, "plugin:contrail-sync|watch_state", args).unwrap();
    }
    assert_eq!(chat.server.stats().sse, 2);
}

#[test]
fn a_delta_is_the_answer_to_an_ack_or_an_event_but_never_both() {
    let mut page = Page::open();
    let (mut length, mut events) = (1, 0);
    for n in 0..20 {
        page.say(&format!("m{n}-a"));
        page.say(&format!("m{n}-b"));
        while length < 3 + 2 * n {
            let mut delta = page.ack();
            if delta.is_null() {
                delta = page.event();
                events += 1;
            }
            length = delta["length"].as_u64().unwrap();
        }
        // Repeated, as by a reload: nothing, although the revision was right.
        let repeated = page.call("ack_watch", json!({ "rev": page.rev - 1 }));
        assert_eq!(repeated, Ok(Value::Null));
    }
    assert_eq!(page.ack(), Value::Null);
    assert!(page.events.try_recv().is_err());
    assert!(events >= 1);
}

#[test]
fn an_edit_shows_at_once_and_gives_way_to_the_real_record() {
    let mut page = Page::open();
    let add = json!({ "op": "add", "record": {
        "rkey": "m2", "did": ALICE, "value": { "text": "m2" },
    } });
    let edit = |nonce: u32, edit: &Value| json!({ "nonce": nonce, "edit": edit });
    assert_eq!(page.call("edit_watch", edit(1, &add)), Ok(Value::Null));
    let pending = page.event();
    assert_eq!(pending["records"][0]["optimistic"], "pending");
    assert_eq!(page.call("edit_watch", edit(1, &add)), Ok(Value::Null));
    assert_eq!(page.ack(), Value::Null);

    page.say("m2");
    let real = page.event();
    assert_eq!(real["length"], 2);
    assert_eq!(real["records"][0]["rkey"], "m2");
    assert!(real["records"][0].get("optimistic").is_none());

    for bad in [
        json!({}),
        json!({ "op": "remove" }),
        json!({ "op": "add", "record": {} }),
    ] {
        let refused = page.call("edit_watch", edit(2, &bad));
        assert_eq!(kind(refused), "invalid-options", "{bad}");
    }
}

#[test]
fn a_page_renews_its_lease_and_learns_what_it_holds() {
    let page = Page::open();
    let renew = || page.call("renew_session", json!({})).unwrap();
    assert_eq!(renew(), json!([1]));
    assert_eq!(page.call("wake_watches", json!({})), Ok(Value::Null));
    assert_eq!(page.call("close_watch", json!({})), Ok(Value::Null));
    assert_eq!(renew(), json!([]));
    for (command, more) in [
        ("ack_watch", json!({ "rev": 1 })),
        ("watch_state", json!({})),
        ("load_more", json!({})),
        (
            "edit_watch",
            json!({ "nonce": 1, "edit": { "op": "remove", "rkey": "m1" } }),
        ),
        ("open_watch", json!({ "options": options(&page.chat) })),
    ] {
        assert_eq!(kind(page.call(command, more)), "unknown-watch", "{command}");
    }
    let strangers = json!({ "session": "nobody" });
    assert_eq!(page.call("renew_session", strangers), Ok(json!([])));
}
