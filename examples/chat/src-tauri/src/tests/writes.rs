//! What a page writes goes out as who wrote it, with a session that is in the vault.

use std::time::Instant;

use serde_json::{Value, json};
use tauri::{Manager, async_runtime};
use tauri_plugin_contrail_sync::{ContrailSync, engine::Secret};

use super::{ALICE, Chat, LATE, SESSION};

/// A page in the main window that follows the messages as alice, and has the sender for what she writes.
struct Page {
    chat: Chat,
    /// How much it has heard of the writes.
    rev: u64,
}

impl Page {
    fn open() -> Self {
        let chat = Chat::start("main");
        let events = chat.events();
        let options = json!({ "url": chat.messages(), "minter": "appview", "account": ALICE,
            "sender": { "sender": "pds" } });
        chat.open(options).unwrap();
        chat.until(&events, |state| state["status"] == "live");
        Self { chat, rev: 0 }
    }

    fn put(&self, did: &str, rkey: &str) -> u64 {
        let write = json!({ "did": did, "rkey": rkey, "value": { "text": "hi" } });
        let args = json!({ "session": SESSION, "handle": 1, "nonce": rkey, "write": write });
        let put = self.chat.invoke("plugin:contrail-sync|put_record", args);
        put.unwrap()["id"].as_u64().unwrap()
    }

    /// The write once `wanted` is true of it.
    fn until(&mut self, id: u64, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + LATE;
        while Instant::now() < end {
            let args = json!({ "account": ALICE, "after": self.rev });
            let changes = self.chat.invoke("plugin:contrail-sync|watch_writes", args);
            let changes = changes.unwrap();
            self.rev = changes["rev"].as_u64().unwrap();
            let mut writes = changes["writes"].as_array().unwrap().iter();
            if let Some(found) = writes.find(|it| it["id"] == id && wanted(it)) {
                return found.clone();
            }
        }
        panic!("waited in vain for write {id}");
    }

    fn arrives(&mut self, id: u64) {
        self.until(id, |it| {
            ["sent", "confirmed"]
                .iter()
                .any(|state| it["state"] == *state)
        });
    }

    fn sign(&self, way: &str, did: &str) -> Result<Value, Value> {
        self.chat
            .invoke(&format!("sign_{way}"), json!({ "did": did }))
    }

    /// The rkeys that arrived, each with whose they are.
    fn arrived(&self) -> Vec<(String, String)> {
        let log = self.chat.server.pds_log().into_iter();
        log.filter(|it| it.applied)
            .map(|it| (it.did.unwrap(), it.rkey.unwrap()))
            .collect()
    }
}

fn waits_for_a_session(write: &Value) -> bool {
    write["state"] == "queued" && write["error"]["kind"] == "auth-required"
}

#[test]
fn what_is_written_arrives_as_its_authors_once_that_one_is_signed_in() {
    let mut page = Page::open();
    let id = page.put(ALICE, "m2");
    page.until(id, waits_for_a_session);
    assert_eq!(page.arrived(), []);
    assert_eq!(page.sign("in", ALICE), Ok(Value::Null));
    page.arrives(id);
    assert_eq!(page.arrived(), [(ALICE.to_owned(), "m2".to_owned())]);
}

#[test]
fn a_session_that_has_ended_is_replaced_and_one_that_was_given_up_is_not() {
    let mut page = Page::open();
    page.sign("in", ALICE).unwrap();
    let expired = page.chat.server.pds_session_for(ALICE, 0).unwrap();
    let sync = page.chat.app.state::<ContrailSync>();
    let store = sync
        .engine()
        .store_secret("session:did:plc:alice", Secret::new(expired));
    async_runtime::block_on(store).unwrap();
    let id = page.put(ALICE, "m2");
    page.arrives(id);

    page.sign("out", ALICE).unwrap();
    let id = page.put(ALICE, "m3");
    page.until(id, waits_for_a_session);
    assert_eq!(page.arrived(), [(ALICE.to_owned(), "m2".to_owned())]);
}

#[test]
fn only_one_of_the_people_can_sign_in_and_write() {
    const MALLORY: &str = "did:plc:mallory";
    let mut page = Page::open();
    page.sign("in", ALICE).unwrap();
    let error = page.sign("in", MALLORY).unwrap_err();
    assert!(error.as_str().unwrap().contains("not one of the people"));
    let id = page.put(MALLORY, "m2");
    let failed = page.until(id, |it| it["state"] == "failed");
    assert_eq!(failed["error"]["kind"], "stranger");
    assert!(page.chat.server.pds_log().is_empty());
}
