//! The bridge between a real engine, on a real appview, and pages that are made of channels.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use appview::{OpenSpace, Options, Put, Server};
use contrail_sync_engine::{EngineConfig, State, Status, Subscription};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;

const ALICE: &str = "did:plc:alice";
pub(super) const PAGE: &str = "0c8f5a3e-9f6d-4b1a-8c2d-0123456789ab";
/// Longer than anything here takes.
const LATE: Duration = Duration::from_secs(20);

/// An appview with a space that is watched by an invite token.
pub(super) struct Lounge {
    pub(super) server: Server,
    space: OpenSpace,
}

impl Lounge {
    pub(super) async fn open() -> Self {
        let server = Server::start(Options::default()).await.unwrap();
        let space = server.open_space("lounge", ALICE).unwrap();
        Self { server, space }
    }

    pub(super) fn spec(&self) -> WatchSpec {
        let (server, query) = (self.server.url(), &self.space.query);
        let url = format!("{server}/xrpc/com.example.message.watchRecords?{query}");
        WatchSpec::new(url.parse().unwrap(), Arc::new(|_| true))
    }

    pub(super) fn put(&self, rkey: &str, text: &str) {
        let message = Put {
            space_uri: Some(self.space.uri.clone()),
            collection: "message".into(),
            did: ALICE.into(),
            rkey: rkey.into(),
            record: json!({ "text": text }),
            ..Default::default()
        };
        self.server.put(message).unwrap();
    }
}

/// Another follower, by whose deltas one knows what the watch knows.
pub(super) async fn until(other: &Subscription, wanted: impl Fn(&State) -> bool) {
    let known = async {
        while !wanted(&other.state().await.unwrap()) {
            other.next().await.unwrap();
        }
    };
    tokio::time::timeout(LATE, known).await.unwrap();
}

/// A page with one handle.
struct Page {
    bridge: Arc<Bridge>,
    events: mpsc::UnboundedReceiver<Value>,
    rev: u64,
}

impl Page {
    async fn open(bridge: &Arc<Bridge>, spec: WatchSpec, reachable: Arc<AtomicBool>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let send: Send = Arc::new(move |event, json| {
            assert_eq!(event, format!("contrail-sync://{PAGE}"));
            sender.send(serde_json::from_str(&json).unwrap()).is_ok()
                && reachable.load(Ordering::Relaxed)
        });
        let state = bridge.open("main", PAGE.into(), 1, spec, send).await;
        let state: Value = serde_json::from_str(&state.unwrap()).unwrap();
        Self {
            bridge: bridge.clone(),
            events,
            rev: state["rev"].as_u64().unwrap(),
        }
    }

    /// A page on an appview with these messages, once it is live; and another follower of the same watch.
    async fn live(lounge: &Lounge, rkeys: &[&str]) -> (Self, Subscription) {
        for rkey in rkeys {
            lounge.put(rkey, "first");
        }
        let engine = Engine::new(tokio::runtime::Handle::current(), EngineConfig::default());
        let engine = engine.unwrap();
        let other = engine.watch(lounge.spec()).await;
        until(&other, |state| state.status == Status::Live).await;
        let bridge = Arc::new(Bridge::new(engine));
        let page = Self::open(&bridge, lounge.spec(), Arc::new(true.into())).await;
        (page, other)
    }

    async fn event(&mut self) -> Value {
        let event = tokio::time::timeout(LATE, self.events.recv()).await;
        let delta = event.unwrap().unwrap();
        self.take(&delta);
        delta
    }

    fn take(&mut self, delta: &Value) {
        assert_eq!(delta["handle"], 1);
        assert_eq!(delta["rev"], self.rev + 1, "{delta}");
        self.rev += 1;
    }

    /// Acknowledges what was taken; the answer.
    async fn ack(&mut self) -> Option<Value> {
        let answer = self.bridge.ack("main", PAGE, 1, self.rev);
        let answer = tokio::time::timeout(LATE, answer).await.unwrap().unwrap()?;
        let delta = serde_json::from_str(&answer).unwrap();
        self.take(&delta);
        Some(delta)
    }
}

#[tokio::test]
async fn an_ack_answers_what_is_new_and_if_nothing_is_the_next_delta_is_an_event() {
    let lounge = Lounge::open().await;
    let (mut page, other) = Page::live(&lounge, &[]).await;
    lounge.put("a", "one");
    assert_eq!(page.event().await["length"], 1);

    // One is under way: these wait, and come together.
    lounge.put("b", "two");
    lounge.put("c", "three");
    until(&other, |state| state.entries.len() == 3).await;
    let both = page.ack().await.unwrap();
    assert_eq!(both["length"], 3);
    assert_eq!(both["records"].as_array().unwrap().len(), 2);

    assert_eq!(page.ack().await, None);
    assert!(page.events.try_recv().is_err());
    lounge.put("d", "four");
    assert_eq!(page.event().await["length"], 4);
}

#[tokio::test]
async fn acks_that_repeat_or_invent_revisions_get_nothing_and_lose_nothing() {
    let lounge = Lounge::open().await;
    let (mut page, other) = Page::live(&lounge, &[]).await;
    lounge.put("a", "one");
    page.event().await;
    lounge.put("b", "two");
    until(&other, |state| state.entries.len() == 2).await;
    for rev in [0, page.rev - 1, page.rev + 1, u64::MAX] {
        let answer = page.bridge.ack("main", PAGE, 1, rev).await;
        assert_eq!(answer.unwrap(), None, "{rev}");
    }
    let acks = (0..8).map(|_| page.bridge.ack("main", PAGE, 1, page.rev));
    let answers = futures_util::future::join_all(acks).await;
    let mut told: Vec<_> = answers.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(told.len(), 1);
    page.take(&serde_json::from_str(&told.remove(0)).unwrap());

    assert_eq!(page.ack().await, None);
    lounge.put("c", "three");
    assert_eq!(page.event().await["length"], 3);
}

#[tokio::test]
async fn a_page_that_is_stuck_costs_one_delta_and_catches_up_with_another() {
    let lounge = Lounge::open().await;
    let rkeys: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
    let rkeys: Vec<&str> = rkeys.iter().map(String::as_str).collect();
    let (mut page, other) = Page::live(&lounge, &rkeys).await;
    for n in 0..2_000 {
        lounge.put(rkeys[n % rkeys.len()], &format!("text {n}"));
    }
    let last = |state: &State| {
        let mut all = state.entries.iter();
        all.any(|entry| entry.record.value.get() == r#"{"text":"text 1999"}"#)
    };
    until(&other, last).await;
    page.event().await;
    assert!(page.events.try_recv().is_err());
    let catch_up = page.ack().await.unwrap();
    assert!(catch_up["records"].as_array().unwrap().len() <= rkeys.len());
    assert!(catch_up.to_string().len() < 10_000);
    assert!(catch_up.to_string().contains("text 1999"));
    assert_eq!(page.ack().await, None);
}

#[tokio::test]
async fn a_state_counts_as_an_ack_and_makes_what_was_under_way_old() {
    let lounge = Lounge::open().await;
    let (mut page, other) = Page::live(&lounge, &[]).await;
    lounge.put("a", "one");
    page.event().await;
    lounge.put("b", "two");
    until(&other, |state| state.entries.len() == 2).await;
    let state = page.bridge.state("main", PAGE, 1).await.unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["records"].as_array().unwrap().len(), 2);
    page.rev = state["rev"].as_u64().unwrap();
    lounge.put("c", "three");
    assert_eq!(page.event().await["length"], 3);
}

#[tokio::test]
async fn handles_come_back_when_the_page_or_its_webview_goes() {
    let lounge = Lounge::open().await;
    let (page, other) = Page::live(&lounge, &["a"]).await;
    let bridge = page.bridge.clone();
    bridge.release("other");
    assert_eq!(bridge.handle_count(), 1);
    bridge.release("main");
    assert_eq!(bridge.handle_count(), 0);
    assert!(bridge.ack("main", PAGE, 1, 0).await.is_err());
    // A command that the reload repeats.
    let nobody: Send = Arc::new(|_, _| panic!("nobody is there"));
    let open = |session: &str, handle| {
        let (spec, nobody) = (lounge.spec(), nobody.clone());
        bridge.open("main", session.to_owned(), handle, spec, nobody)
    };
    assert!(matches!(open(PAGE, 1).await, Err(Error::UnknownWatch)));

    open("7d1b2c3e-0f6d-4b1a-8c2d-0123456789ab", 1)
        .await
        .unwrap();
    bridge.forget("main");
    assert_eq!(bridge.handle_count(), 0);
    // The pumps of both are gone: what happens now is for nobody.
    lounge.put("b", "two");
    until(&other, |state| state.entries.len() == 2).await;
    let mut events = page.events;
    assert!(events.recv().await.is_none());
}

#[tokio::test]
async fn a_watch_that_ended_is_not_held_and_answers_nothing_any_more() {
    let lounge = Lounge::open().await;
    let elsewhere = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let engine = Engine::new(elsewhere.handle().clone(), EngineConfig::default());
    let bridge = Arc::new(Bridge::new(engine.unwrap()));
    let mut page = Page::open(&bridge, lounge.spec(), Arc::new(true.into())).await;
    assert_eq!(bridge.renew("main", PAGE, true), [1]);
    elsewhere.shutdown_background();
    // The pump's end is the end of what it could send. What came before that is acknowledged, as by any page.
    while let Some(delta) = page.events.recv().await {
        let mut told = Some(delta);
        while let Some(delta) = told {
            let rev = delta["rev"].as_u64().unwrap();
            let news = bridge.ack("main", PAGE, 1, rev).await.ok().flatten();
            told = news.map(|json| serde_json::from_str(&json).unwrap());
        }
    }
    assert_eq!(bridge.renew("main", PAGE, true), [0; 0]);
    assert_eq!(bridge.handle_count(), 0);
    let state = bridge.state("main", PAGE, 1).await;
    assert!(matches!(state, Err(Error::UnknownWatch)));
}

#[tokio::test]
async fn a_page_that_events_do_not_reach_learns_it_when_it_renews() {
    let lounge = Lounge::open().await;
    let (page, _other) = Page::live(&lounge, &[]).await;
    let (bridge, reachable) = (page.bridge.clone(), Arc::new(AtomicBool::new(true)));
    bridge.forget("main");
    let mut page = Page::open(&bridge, lounge.spec(), reachable.clone()).await;
    assert_eq!(bridge.renew("main", PAGE, true), [1]);
    reachable.store(false, Ordering::Relaxed);
    lounge.put("a", "one");
    page.event().await;
    assert!(page.events.recv().await.is_none());
    assert_eq!(bridge.renew("main", PAGE, true), [0; 0]);
    assert!(bridge.ack("main", PAGE, 1, page.rev).await.is_err());
}

#[tokio::test]
async fn a_page_cannot_take_the_name_of_an_event_that_others_hear() {
    let lounge = Lounge::open().await;
    let (page, _other) = Page::live(&lounge, &[]).await;
    for taken in [
        "cache-warning",
        "",
        "0c8f5a3e-9f6d-4b1a-8c2d-0123456789ab/mint",
    ] {
        let nobody: Send = Arc::new(|_, _| panic!("nobody is there"));
        let opened = page
            .bridge
            .open("main", taken.to_owned(), 2, lounge.spec(), nobody);
        let error = opened.await.unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::InvalidOptions);
    }
    assert_eq!(page.bridge.handle_count(), 1);
}

#[tokio::test]
async fn an_edit_is_made_once_however_often_a_reload_repeats_it() {
    let lounge = Lounge::open().await;
    let (mut page, other) = Page::live(&lounge, &["a"]).await;
    let bridge = page.bridge.clone();
    let edit = |nonce, edit: Value| {
        let edit = Edit::try_from(edit).unwrap();
        bridge.edit("main", PAGE, 1, nonce, edit)
    };
    let add = json!({ "op": "add", "record": {
        "rkey": "b", "did": ALICE, "collection": "com.example.message", "value": { "text": "soon" },
    } });
    edit(1, add.clone()).await.unwrap();
    let delta = page.event().await;
    assert_eq!(delta["records"][0]["optimistic"], "pending");
    edit(2, json!({ "op": "remove", "rkey": "b" }))
        .await
        .unwrap();
    for repeated in [1, 0, 2] {
        edit(repeated, add.clone()).await.unwrap();
    }
    assert_eq!(other.state().await.unwrap().entries.len(), 1);

    // One that fails was not made.
    let mut large = add.clone();
    large["record"]["value"]["text"] = "x".repeat(5 << 20).into();
    let error = edit(3, large).await.unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::InvalidOptions);
    let repeats = (0..4).map(|_| edit(3, add.clone()));
    for made in futures_util::future::join_all(repeats).await {
        made.unwrap();
    }
    let entries = other.state().await.unwrap().entries;
    assert_eq!(entries.len(), 2);
}

#[tokio::test]
async fn a_large_state_comes_in_parts_each_after_the_ack_of_the_last() {
    let lounge = Lounge::open().await;
    for n in 0..50 {
        lounge.put(&format!("m{n}"), &"x".repeat(40_000));
    }
    let (mut page, _other) = Page::live(&lounge, &[]).await;
    let mut length = 0;
    let mut parts = 0;
    while let Some(part) = page.ack().await {
        assert!(part.to_string().len() < PART_BYTES * 5 / 4);
        length = part["length"].as_u64().unwrap();
        parts += 1;
        if part["more"] == false {
            break;
        }
    }
    assert_eq!(length, 50);
    assert!(parts >= 3, "{parts}");
    assert!(page.events.try_recv().is_err(), "all of it as answers");
}
