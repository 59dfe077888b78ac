//! Writes through a watch: shown at once, kept on disk, sent in order, once, across restarts; and told when they are refused.

mod common;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use common::*;
use contrail_sync_engine::{
    Action, Engine, NamedSender, NewRecord, OutboxConfig, Outcome, QueuedWrite, SendReason,
    SendRequest, SenderSource, State, Status, Subscription, WatchSpec, WriteError, WriteState,
    Writer,
};
use serde_json::{json, value::to_raw_value};

const MESSAGE: &str = "com.example.chat.message";

/// A server that a sender writes to, with faults in turn.
#[derive(Clone, Default)]
struct Pds {
    faults: Arc<Mutex<VecDeque<Outcome>>>,
    /// Whether nothing arrives.
    offline: Arc<Mutex<bool>>,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

/// What arrived: rkey, text or nothing for a deletion, why.
type Arrived = (String, Option<String>, SendReason);

impl Pds {
    fn offline(&self, is_offline: bool) {
        *self.offline.lock().unwrap() = is_offline;
    }

    fn next(&self, outcome: Outcome) {
        self.faults.lock().unwrap().push_back(outcome);
    }

    fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    fn rkeys(&self) -> Vec<String> {
        self.arrived().into_iter().map(|it| it.0).collect()
    }

    /// A sender that writes into the appview, as an app's own server would.
    fn sender(&self, lounge: &Lounge) -> NamedSender {
        let (pds, world, space) = (self.clone(), lounge.server.world(), lounge.space.clone());
        NamedSender::new("pds", move |request: SendRequest| {
            let (pds, world, space) = (pds.clone(), world.clone(), space.clone());
            async move {
                if *pds.offline.lock().unwrap() {
                    return Outcome::later("connect", "no network");
                }
                if let Some(fault) = pds.faults.lock().unwrap().pop_front() {
                    return fault;
                }
                let write = request.write;
                let (did, rkey) = (write.uri.did().to_owned(), write.uri.rkey().to_owned());
                assert_eq!(write.space.as_deref(), Some(&*space));
                let text = match &write.action {
                    Action::Put(value) => {
                        let record: serde_json::Value = serde_json::from_str(value.get()).unwrap();
                        let text = record["text"].as_str().map(str::to_owned);
                        let put = appview::Put {
                            space_uri: Some(space),
                            collection: "message".into(),
                            did,
                            rkey: rkey.clone(),
                            record,
                            ..Default::default()
                        };
                        world.put(put).unwrap();
                        text
                    }
                    Action::Delete => {
                        let delete = appview::Delete {
                            space_uri: Some(space),
                            collection: "message".into(),
                            did,
                            rkey: rkey.clone(),
                            silent: false,
                        };
                        world.delete(delete).unwrap();
                        None
                    }
                };
                let arrived = (rkey, text, request.reason);
                pds.arrived.lock().unwrap().push(arrived);
                Outcome::SENT
            }
        })
    }
}

/// An app that writes to the lounge as alice.
struct App {
    engine: Engine,
    watch: Subscription,
    writer: Writer,
}

fn spec(lounge: &Lounge) -> WatchSpec {
    let mut spec = lounge.spec();
    spec.account = Some(ALICE.into());
    spec.sender = Some(SenderSource::Named("pds".into()));
    spec
}

fn outbox(path: Option<PathBuf>, sender: NamedSender) -> OutboxConfig {
    let mut config = OutboxConfig::new(path).sender(sender);
    config.limits.parallel = 1;
    config
}

impl App {
    async fn start(lounge: &Lounge, pds: &Pds, file: Option<&Path>) -> Self {
        let outbox = outbox(file.map(Path::to_owned), pds.sender(lounge));
        Self::with(spec(lounge), outbox).await
    }

    async fn with(spec: WatchSpec, outbox: OutboxConfig) -> Self {
        let engine = engine_with(|config| config.outbox = Some(outbox));
        let watch = engine.watch(spec.clone()).await;
        let writer = engine.writer(&watch, &spec);
        Self {
            engine,
            watch,
            writer,
        }
    }

    async fn say(&self, rkey: &str, text: &str) -> QueuedWrite {
        self.try_say(rkey, text).await.unwrap()
    }

    async fn try_say(&self, rkey: &str, text: &str) -> Result<QueuedWrite, WriteError> {
        let body = to_raw_value(&json!({ "text": text })).unwrap();
        let record = NewRecord::new(ALICE, body);
        let record = record.with_rkey(rkey).in_collection(MESSAGE);
        self.writer.put(record).await
    }

    async fn waiting(&self) -> Vec<(String, WriteState)> {
        let outbox = self.engine.outbox().unwrap();
        let writes = outbox.writes(Some(ALICE.into())).await;
        writes.into_iter().map(|it| (it.rkey, it.state)).collect()
    }

    /// Waits until nothing waits.
    async fn until_empty(&self) {
        let outbox = self.engine.outbox().unwrap();
        let mut rev = 0;
        let done = tokio::time::timeout(Duration::from_secs(20), async {
            while !outbox.writes(Some(ALICE.into())).await.is_empty() {
                let changes = outbox.changes(Some(ALICE.into()), rev).await.unwrap();
                rev = changes.rev;
            }
        });
        done.await.expect("the queue becomes empty");
    }

    /// As an app that is ended.
    async fn end(self) {
        self.engine.outbox().unwrap().close().await;
    }
}

fn pending(state: &State) -> usize {
    let entries = state.entries.iter();
    entries.filter(|it| it.optimistic.is_some()).count()
}

#[tokio::test]
async fn a_write_is_shown_at_once_and_confirmed_by_the_servers_own_record() {
    let (lounge, pds) = (Lounge::open().await, Pds::default());
    let app = App::start(&lounge, &pds, None).await;
    until_live(&app.watch).await;
    pds.offline(true);
    let write = app.say("1", "hello").await;
    let state = app.watch.state().await.unwrap();
    assert_eq!((texts(&state), pending(&state)), (vec!["hello".into()], 1));
    assert_eq!(state.entries[0].written().unwrap().id, write.id());

    pds.offline(false);
    write.retry().await.unwrap();
    write.done().await.unwrap();
    let state = until(&app.watch, |it| pending(it) == 0).await;
    assert_eq!(texts(&state), ["hello"]);
    app.until_empty().await;
    assert_eq!(pds.rkeys(), ["1"]);
}

#[tokio::test]
async fn what_was_written_offline_is_shown_after_a_restart_and_sent_in_order_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("outbox.sqlite");
    let (lounge, pds) = (Lounge::open().await, Pds::default());
    lounge.say("old", "before");
    lounge.say("gone", "goodbye");
    pds.offline(true);
    let app = App::start(&lounge, &pds, Some(&file)).await;
    until_live(&app.watch).await;
    for n in 0..5 {
        app.say(&n.to_string(), &format!("message {n}")).await;
    }
    app.say("old", "after").await;
    app.say("2", "changed").await;
    app.writer.delete("3", Some(ALICE)).await.unwrap();
    app.writer.delete("gone", None).await.unwrap();
    app.end().await;

    let app = App::start(&lounge, &pds, Some(&file)).await;
    let state = until(&app.watch, |it| {
        it.status == Status::Live && pending(it) == 6
    })
    .await;
    let going: Vec<&str> = state
        .entries
        .iter()
        .filter(|it| it.is_going())
        .map(|it| it.record.rkey())
        .collect();
    assert_eq!(going, ["gone"], "what was never sent is not even there");
    pds.offline(false);
    app.engine.wake().await;
    app.until_empty().await;
    let state = until(&app.watch, |it| pending(it) == 0).await;
    let mut shown = texts(&state);
    shown.sort();
    assert_eq!(
        shown,
        ["after", "changed", "message 0", "message 1", "message 4"]
    );
    // One that waited was changed in its place, and a deletion is sent whatever came of the record.
    assert_eq!(pds.rkeys(), ["0", "1", "2", "3", "4", "old", "gone"]);
    app.end().await;

    let app = App::start(&lounge, &pds, Some(&file)).await;
    until_live(&app.watch).await;
    assert_eq!(app.waiting().await, []);
    assert_eq!(pds.arrived().len(), 7, "nothing is sent twice");
}

#[tokio::test]
async fn a_refusal_holds_up_its_own_record_until_the_user_decides() {
    let (lounge, pds) = (Lounge::open().await, Pds::default());
    let app = App::start(&lounge, &pds, None).await;
    until_live(&app.watch).await;
    pds.next(Outcome::refused("too-long", "300 graphemes at most"));
    let refused = app.say("1", "far too long").await;
    let error = refused.done().await.unwrap_err();
    assert!(
        matches!(&error, WriteError::Failed(it) if it.kind == "too-long"),
        "{error:?}"
    );
    let state = app.watch.state().await.unwrap();
    let failed = state.entries[0].optimistic.as_ref().unwrap();
    assert_eq!(failed.failed.as_ref().unwrap().name, "too-long");

    app.say("1", "shorter").await;
    app.say("2", "another").await.done().await.unwrap();
    assert_eq!(pds.rkeys(), ["2"], "others go on");
    refused.discard().await.unwrap();
    app.until_empty().await;
    let arrived: Vec<_> = pds.arrived().into_iter().filter_map(|it| it.1).collect();
    assert_eq!(arrived, ["another", "shorter"]);

    pds.next(Outcome::refused("rate", "not now"));
    let refused = app.say("3", "third").await;
    refused.done().await.unwrap_err();
    refused.retry().await.unwrap();
    refused.done().await.unwrap();
    assert_eq!(pds.arrived().last().unwrap().2, SendReason::Asked);
}

#[tokio::test]
async fn a_deletion_hides_the_record_until_the_server_has_done_it_and_shows_it_again_if_refused() {
    let (lounge, pds) = (Lounge::open().await, Pds::default());
    lounge.say("1", "one");
    let app = App::start(&lounge, &pds, None).await;
    until_live(&app.watch).await;
    pds.next(Outcome::refused("no", "not yours"));
    let write = app.writer.delete("1", None).await.unwrap();
    write.done().await.unwrap_err();
    let state = app.watch.state().await.unwrap();
    assert!(state.entries[0].optimistic.is_some() && !state.entries[0].is_going());
    write.retry().await.unwrap();
    write.done().await.unwrap();
    until(&app.watch, |it| it.entries.is_empty()).await;
    app.until_empty().await;

    // One that nobody ever saw.
    let write = app.writer.delete("never", Some(ALICE)).await;
    assert!(
        matches!(write, Err(WriteError::Watch(_))),
        "no collection to tell it by"
    );
    lounge.say("2", "two");
    until(&app.watch, |it| it.entries.len() == 1).await;
    let write = app.writer.delete("never", Some(ALICE)).await.unwrap();
    write.done().await.unwrap();
    app.until_empty().await;
}

#[tokio::test]
async fn what_cannot_be_kept_is_neither_shown_nor_sent() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    std::fs::write(&blocked, "no folder").unwrap();
    let (lounge, pds) = (Lounge::open().await, Pds::default());
    let app = App::start(&lounge, &pds, Some(&blocked.join("outbox.sqlite"))).await;
    until_live(&app.watch).await;
    let error = app.try_say("1", "hello").await.unwrap_err();
    assert!(matches!(error, WriteError::Disk(_)), "{error:?}");
    let long = app
        .try_say("2", &"x".repeat(1024 * 1024))
        .await
        .unwrap_err();
    assert!(matches!(long, WriteError::Invalid(_)), "{long:?}");
    let state = app.watch.state().await.unwrap();
    assert!(state.entries.is_empty() && pds.arrived().is_empty());

    // Once the disk is mended, it goes.
    std::fs::remove_file(&blocked).unwrap();
    app.say("1", "hello").await.done().await.unwrap();
}

#[tokio::test]
async fn an_account_neither_sends_nor_sees_what_another_one_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("outbox.sqlite");
    let (lounge, pds) = (Lounge::open().await, Pds::default());
    lounge.server.add_member(&lounge.space, BOB).unwrap();
    pds.offline(true);
    let app = App::start(&lounge, &pds, Some(&file)).await;
    until_live(&app.watch).await;
    app.say("1", "alice's").await;
    app.engine.clear_tickets().await.unwrap();
    app.end().await;

    pds.offline(false);
    let mut bobs = spec(&lounge);
    bobs.account = Some(BOB.into());
    let app = App::with(bobs, outbox(Some(file), pds.sender(&lounge))).await;
    let state = until_live(&app.watch).await;
    assert_eq!(pending(&state), 0);
    let body = to_raw_value(&json!({ "text": "bob's" })).unwrap();
    let record = NewRecord::new(BOB, body)
        .with_rkey("2")
        .in_collection(MESSAGE);
    app.writer.put(record).await.unwrap().done().await.unwrap();
    assert_eq!(pds.rkeys(), ["2"]);
    assert_eq!(app.waiting().await, [("1".into(), WriteState::Queued)]);
    assert_eq!(
        app.engine
            .outbox()
            .unwrap()
            .discard_all(Some(ALICE.into()))
            .await
            .unwrap(),
        1
    );
    assert_eq!(app.waiting().await, []);
}

#[tokio::test]
async fn access_lost_drops_what_can_be_sent_no_more_and_says_so() {
    let (lounge, pds) = (Lounge::open().await, Pds::default());
    lounge.server.add_member(&lounge.space, BOB).unwrap();
    pds.offline(true);
    let mut bobs = spec(&lounge);
    bobs.account = Some(BOB.into());
    let ticket = contrail_sync_engine::Ticket::parse(&lounge.ticket(BOB, &[])).unwrap();
    bobs.tickets = contrail_sync_engine::TicketSource::Static(ticket);
    let app = App::with(bobs, outbox(None, pds.sender(&lounge))).await;
    until_live(&app.watch).await;
    let body = to_raw_value(&json!({ "text": "bob's" })).unwrap();
    let record = NewRecord::new(BOB, body).in_collection(MESSAGE);
    let write = app.writer.put(record).await.unwrap();
    lounge.server.kick(&lounge.space, BOB).unwrap();
    let error = write.done().await.unwrap_err();
    assert!(
        matches!(&error, WriteError::Failed(it) if it.kind == "access-lost"),
        "{error:?}"
    );
    assert!(
        app.engine
            .outbox()
            .unwrap()
            .writes(Some(BOB.into()))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn of_two_processes_one_sends_and_the_other_takes_over_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("outbox.sqlite");
    let (lounge, pds) = (Lounge::open().await, Pds::default());
    let first = App::start(&lounge, &pds, Some(&file)).await;
    until_live(&first.watch).await;
    first.say("a", "first").await.done().await.unwrap();
    first.until_empty().await;

    let second = App::start(&lounge, &pds, Some(&file)).await;
    until_live(&second.watch).await;
    second.say("b", "second").await;
    second.until_empty().await;
    pds.offline(true);
    second.say("c", "third").await;
    first.say("d", "fourth").await;
    first.end().await;
    pds.offline(false);
    second.until_empty().await;
    let mut rkeys = pds.rkeys();
    rkeys.sort();
    assert_eq!(rkeys, ["a", "b", "c", "d"], "each once");
}

#[tokio::test]
async fn a_sender_that_panics_hangs_or_is_unknown_harms_nothing_else() {
    let lounge = Lounge::open().await;
    let calls = Arc::new(Mutex::new(0));
    let counted = calls.clone();
    let sender = NamedSender::new("pds", move |_: SendRequest| {
        let call = {
            let mut calls = counted.lock().unwrap();
            *calls += 1;
            *calls
        };
        async move {
            match call {
                1 => panic!("an app's own fault"),
                2 => std::future::pending().await,
                _ => Outcome::SENT,
            }
        }
    });
    let mut config = outbox(None, sender);
    config.send_timeout = Duration::from_millis(50);
    let app = App::with(spec(&lounge), config).await;
    until_live(&app.watch).await;
    let write = app.say("1", "hello").await;
    write.done().await.unwrap();
    assert_eq!(*calls.lock().unwrap(), 3);

    let mut nobody = spec(&lounge);
    nobody.sender = Some(SenderSource::Named("nobody".into()));
    let writer = app.engine.writer(&app.watch, &nobody);
    let body = to_raw_value(&json!({})).unwrap();
    let record = NewRecord::new(ALICE, body).in_collection(MESSAGE);
    let error = writer.put(record).await.unwrap_err();
    assert!(matches!(error, WriteError::NoSender(_)));
}

#[tokio::test]
async fn more_than_may_wait_is_refused_and_nothing_is_dropped() {
    let (lounge, pds) = (Lounge::open().await, Pds::default());
    pds.offline(true);
    let mut config = outbox(None, pds.sender(&lounge));
    config.limits.writes = 3;
    let app = App::with(spec(&lounge), config).await;
    until_live(&app.watch).await;
    for n in 0..3 {
        app.say(&n.to_string(), "fits").await;
    }
    let error = app.try_say("3", "too much").await.unwrap_err();
    assert!(matches!(error, WriteError::Full(_)), "{error:?}");
    app.say("2", "the same record again").await;
    assert_eq!(app.waiting().await.len(), 3);
}

#[tokio::test]
async fn what_one_process_changes_or_takes_back_the_other_does_not_send() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("outbox.sqlite");
    let (lounge, pds) = (Lounge::open().await, Pds::default());
    pds.offline(true);
    let first = App::start(&lounge, &pds, Some(&file)).await;
    until_live(&first.watch).await;
    // The first one is tried, and its account waits then.
    for rkey in ["tried", "changed", "gone"] {
        first.say(rkey, "as it was").await;
    }
    let second = App::start(&lounge, &pds, Some(&file)).await;
    until_live(&second.watch).await;
    while second.waiting().await.len() < 3 {
        tokio::task::yield_now().await;
    }
    let changed = second.say("changed", "as it is").await;
    let writes = second.engine.outbox().unwrap().writes(None).await;
    let gone = writes.iter().find(|it| it.rkey == "gone").unwrap().id;
    second.engine.outbox().unwrap().discard(gone).await.unwrap();
    pds.offline(false);
    first.engine.wake().await;
    changed.done().await.unwrap();
    first.until_empty().await;
    let arrived: Vec<_> = pds
        .arrived()
        .into_iter()
        .map(|it| (it.0, it.1.unwrap()))
        .collect();
    let expected = [("tried", "as it was"), ("changed", "as it is")];
    assert_eq!(
        arrived,
        expected.map(|(rkey, text)| (rkey.to_owned(), text.to_owned()))
    );
}

#[tokio::test]
async fn another_watch_of_the_account_has_no_say_in_what_it_does_not_list() {
    let (lounge, pds) = (Lounge::open().await, Pds::default());
    let app = App::start(&lounge, &pds, None).await;
    until_live(&app.watch).await;
    let mut reactions = spec(&lounge);
    reactions.url = lounge.url("reaction", "");
    let ticket = appview::TicketFor {
        space_uri: Some(lounge.space.clone()),
        actor: None,
        collection: "reaction".into(),
        did: ALICE.into(),
        ttl_ms: Some(3_600_000),
        hydrate: Vec::new(),
    };
    let ticket = lounge.server.ticket(ticket).unwrap();
    let ticket = contrail_sync_engine::Ticket::parse(&ticket).unwrap();
    reactions.tickets = contrail_sync_engine::TicketSource::Static(ticket);
    let other = app.engine.watch(reactions).await;
    until_live(&other).await;
    // It is taken, and nothing of it comes.
    pds.next(Outcome::SENT);
    let write = app.say("1", "hello").await;
    write.done().await.unwrap();
    app.engine.flush(Duration::from_secs(1)).await;
    let state = write.info().await.unwrap().state;
    assert_eq!(state, WriteState::Sent);
    assert_eq!(pending(&app.watch.state().await.unwrap()), 1);
}
