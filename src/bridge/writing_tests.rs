//! Pages that write, and send what they write by a function of their own.

use contrail_sync_engine::{EngineConfig, OutboxConfig, SenderSource, Status, WriteState};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{
    tests::{Lounge, PAGE, until},
    *,
};

const ALICE: &str = "did:plc:alice";

/// A page whose function is asked to send.
struct Page {
    bridge: Arc<Bridge>,
    asks: mpsc::UnboundedReceiver<Value>,
}

impl Page {
    async fn open(lounge: &Lounge) -> Self {
        let mut config = EngineConfig::default();
        config.outbox = Some(OutboxConfig::new(None));
        let engine = Engine::new(tokio::runtime::Handle::current(), config).unwrap();
        let other = engine.watch(spec(lounge, ALICE)).await;
        until(&other, |state| state.status == Status::Live).await;
        let bridge = Arc::new(Bridge::new(engine));
        let mut page = Self {
            bridge,
            asks: mpsc::unbounded_channel().1,
        };
        page.asks = page.handle(1, spec(lounge, ALICE)).await;
        page
    }

    /// Opens one more handle; gives the questions that come to it.
    async fn handle(&self, handle: u32, spec: WatchSpec) -> mpsc::UnboundedReceiver<Value> {
        let (sender, asks) = mpsc::unbounded_channel();
        let send: Send = Arc::new(move |event, json| {
            if event == format!("contrail-sync://{PAGE}/send") {
                sender.send(serde_json::from_str(&json).unwrap()).unwrap();
            }
            true
        });
        let opened = self.bridge.open("main", PAGE.into(), handle, spec, send);
        opened.await.unwrap();
        asks
    }

    async fn put(&self, nonce: &str, text: &str) -> contrail_sync_engine::WriteInfo {
        let record = json!({
            "did": ALICE,
            "rkey": "k",
            "collection": "com.example.chat.message",
            "value": { "text": text },
        });
        let wanted = Wanted::Put(serde_json::from_value(record).unwrap());
        let put = self.bridge.write("main", PAGE, 1, nonce.into(), wanted);
        put.await.unwrap()
    }

    /// The next question, and its number.
    async fn ask(&mut self) -> (Value, u32) {
        let ask = self.asks.recv().await.unwrap();
        let number = ask["request"].as_u64().unwrap();
        (ask, u32::try_from(number).unwrap())
    }

    fn answer(&self, request: u32, answer: Value) {
        self.bridge
            .answer_send("main", PAGE, 1, request, Ok(answer));
    }

    async fn state(&self) -> Vec<WriteState> {
        let writes = self.bridge.writes(Some(ALICE.into())).await.unwrap();
        writes.into_iter().map(|it| it.state).collect()
    }
}

fn spec(lounge: &Lounge, account: &str) -> WatchSpec {
    let mut spec = lounge.spec();
    spec.account = Some(account.into());
    spec.sender = Some(SenderSource::Followers);
    spec
}

#[tokio::test]
async fn a_page_is_asked_to_send_what_it_wrote_and_its_answer_counts() {
    let lounge = Lounge::open().await;
    let mut page = Page::open(&lounge).await;
    let write = page.put("n1", "hello").await;
    let (ask, number) = page.ask().await;
    assert_eq!(ask["handle"], 1);
    assert_eq!(ask["reason"], "first");
    assert_eq!(ask["write"]["id"], write.id);
    assert_eq!(ask["write"]["value"], json!({ "text": "hello" }));
    assert_eq!(ask["write"]["key"], "n1");
    // A reload repeats commands that were in flight.
    assert_eq!(page.put("n1", "hello").await.id, write.id);

    page.answer(
        number,
        json!({ "refused": { "kind": "too-long", "message": "shorter" } }),
    );
    let outbox = page.bridge.engine.outbox().unwrap().clone();
    let refused = outbox.settled(write.id).await.unwrap();
    assert_eq!(refused.error.unwrap().kind, "too-long");
    page.bridge.retry("main", PAGE, 1, write.id).await.unwrap();
    let (ask, number) = page.ask().await;
    assert_eq!(ask["reason"], "asked");
    page.answer(number, Value::Null);
    assert!(outbox.settled(write.id).await.unwrap().state.is_sent());
}

#[tokio::test]
async fn a_page_that_goes_while_it_sends_leaves_that_to_the_next_one() {
    let lounge = Lounge::open().await;
    let mut page = Page::open(&lounge).await;
    let write = page.put("n1", "hello").await;
    page.ask().await;
    page.bridge.close("main", PAGE, 1);
    let mut asks = page.handle(2, spec(&lounge, ALICE)).await;
    let ask = asks.recv().await.unwrap();
    assert_eq!(
        (&ask["handle"], &ask["reason"]),
        (&json!(2), &json!("again"))
    );
    assert_eq!(ask["write"]["id"], write.id);
    assert_eq!(page.state().await, [WriteState::Sending]);
}

#[tokio::test]
async fn a_handle_of_another_account_neither_retries_nor_discards() {
    let lounge = Lounge::open().await;
    let mut page = Page::open(&lounge).await;
    let write = page.put("n1", "hello").await;
    page.ask().await;
    page.handle(2, spec(&lounge, "did:plc:bob")).await;
    let discarded = page.bridge.discard("main", PAGE, 2, write.id).await;
    for done in [
        page.bridge.retry("main", PAGE, 2, write.id).await,
        discarded.map(drop),
    ] {
        let kind = done.unwrap_err().kind();
        assert_eq!(kind, contrail_sync_engine::ErrorKind::NotWritten);
    }
    let bobs = page
        .bridge
        .writes(Some("did:plc:bob".into()))
        .await
        .unwrap();
    assert!(bobs.is_empty());
}

#[tokio::test]
async fn who_takes_a_write_back_is_told_what_has_become_of_it() {
    let lounge = Lounge::open().await;
    let mut page = Page::open(&lounge).await;
    let discard = async |page: &Page, id| {
        let left = page.bridge.discard("main", PAGE, 1, id).await.unwrap();
        left.unwrap().state
    };
    let write = page.put("n1", "hello").await;
    let (_, number) = page.ask().await;
    assert_eq!(discard(&page, write.id).await, WriteState::Sending);
    page.answer(number, Value::Null);
    let outbox = page.bridge.engine.outbox().unwrap().clone();
    assert!(outbox.settled(write.id).await.unwrap().state.is_sent());
    assert_eq!(discard(&page, write.id).await, WriteState::Confirmed);

    page.put("n2", "and").await;
    page.ask().await;
    let waiting = page.put("n3", "on").await;
    assert_eq!(discard(&page, waiting.id).await, WriteState::Discarded);
    // Whoever was slower hears the same.
    assert_eq!(discard(&page, waiting.id).await, WriteState::Discarded);
    page.handle(2, spec(&lounge, "did:plc:bob")).await;
    let bobs = page.bridge.discard("main", PAGE, 2, waiting.id).await;
    let kind = bobs.unwrap_err().kind();
    assert_eq!(kind, contrail_sync_engine::ErrorKind::NotWritten);
}
