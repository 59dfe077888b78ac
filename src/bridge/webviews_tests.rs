//! Windows with several webviews, which come and go by themselves.

use std::time::Duration;

use contrail_sync_engine::{Engine, EngineConfig, State, TicketSource};
use serde_json::Value;
use tauri::{
    App, LogicalPosition, LogicalSize, Manager, WebviewWindowBuilder, Window,
    test::{MockRuntime, mock_app},
    webview::WebviewBuilder,
};
use tokio::sync::mpsc;

use super::{
    super::tests::{Lounge, PAGE},
    *,
};

/// Longer than anything here takes.
const LATE: Duration = Duration::from_secs(20);
/// How long a mint may take, and does where nobody ends it.
const MINT: Duration = Duration::from_secs(300);

/// `{"exp":0}`: each request asks for another one. The watch's invite token opens it anyway.
const EXPIRED: &str = "eyJleHAiOjB9.x";

/// A window with its own webview `main` and a second one, `side`.
struct Scene {
    app: App<MockRuntime>,
    window: Window<MockRuntime>,
    main: Webview<MockRuntime>,
    side: Webview<MockRuntime>,
    bridge: Arc<Bridge>,
    lounge: Lounge,
}

impl Scene {
    async fn open() -> Self {
        let lounge = Lounge::open().await;
        let mut config = EngineConfig::default();
        config.mint_timeout = MINT;
        let engine = Engine::new(tokio::runtime::Handle::current(), config).unwrap();
        let app = mock_app();
        let main = WebviewWindowBuilder::new(&app, "main", Default::default());
        let main: Webview<_> = main.build().unwrap().as_ref().clone();
        let window = main.window();
        Self {
            side: child(&window),
            bridge: Arc::new(Bridge::new(engine)),
            app,
            window,
            main,
            lounge,
        }
    }

    async fn watch(&self, webview: &Webview<MockRuntime>, spec: WatchSpec) -> Value {
        let state = open(&self.bridge, webview.clone(), PAGE.into(), 1, spec).await;
        serde_json::from_str(&state.unwrap()).unwrap()
    }

    /// The watch whose tickets are minted by its pages.
    fn minted(&self) -> WatchSpec {
        let mut spec = self.lounge.spec();
        spec.url.query_pairs_mut().append_pair("limit", "1");
        spec.tickets = TicketSource::Followers;
        spec
    }

    fn answer(
        &self,
        webview: &Webview<MockRuntime>,
        ask: &Value,
        answer: super::super::MintAnswer,
    ) {
        let request = ask["request"].as_u64().unwrap() as u32;
        self.bridge
            .answer(webview.label(), PAGE, 1, request, answer);
    }
}

fn child(window: &Window<MockRuntime>) -> Webview<MockRuntime> {
    let side = WebviewBuilder::new("side", Default::default());
    let (position, size) = (LogicalPosition::new(0, 0), LogicalSize::new(100, 100));
    window.add_child(side, position, size).unwrap()
}

/// What the webview's page is asked for.
fn asks(webview: &Webview<MockRuntime>) -> mpsc::UnboundedReceiver<Value> {
    let (sender, asks) = mpsc::unbounded_channel();
    webview.listen(format!("contrail-sync://{PAGE}/mint"), move |event| {
        let json: String = serde_json::from_str(event.payload()).unwrap();
        let _ = sender.send(serde_json::from_str(&json).unwrap());
    });
    asks
}

async fn next(asks: &mut mpsc::UnboundedReceiver<Value>) -> Value {
    let ask = tokio::time::timeout(LATE, asks.recv()).await;
    ask.expect("the page is asked").unwrap()
}

#[tokio::test]
async fn a_webview_that_is_closed_takes_its_handles_with_it_and_leaves_those_of_its_window() {
    let scene = Scene::open().await;
    let mut side = scene.side.clone();
    scene.watch(&scene.main, scene.lounge.spec()).await;
    for _ in 0..3 {
        scene.watch(&side, scene.lounge.spec()).await;
        assert_eq!(scene.bridge.handle_count(), 2);
        side.close().unwrap();
        assert_eq!(scene.bridge.handle_count(), 1);
        side = child(&scene.window);
    }
    assert_eq!(scene.bridge.renew("main", PAGE, true), [1]);
}

#[tokio::test]
async fn a_webview_that_moves_to_another_window_keeps_its_handles_until_it_is_closed() {
    let scene = Scene::open().await;
    let other = WebviewWindowBuilder::new(&scene.app, "other", Default::default());
    let other = other.build().unwrap().as_ref().window();
    scene.watch(&scene.side, scene.lounge.spec()).await;
    scene.side.reparent(&other).unwrap();
    assert_eq!(scene.bridge.renew("side", PAGE, true), [1]);
    assert!(sender(&scene.bridge, scene.side.clone())(
        "an-event",
        String::new()
    ));
    scene.side.close().unwrap();
    assert_eq!(scene.bridge.handle_count(), 0);
}

#[tokio::test]
async fn a_command_that_a_webview_left_under_way_opens_nothing_and_no_event_is_for_it() {
    let scene = Scene::open().await;
    scene.side.close().unwrap();
    assert!(scene.app.get_webview("side").is_none());
    scene.watch(&scene.side, scene.lounge.spec()).await;
    assert_eq!(scene.bridge.handle_count(), 0);
    assert!(!sender(&scene.bridge, scene.side.clone())(
        "an-event",
        String::new()
    ));
    assert!(sender(&scene.bridge, scene.main.clone())(
        "an-event",
        String::new()
    ));
}

#[tokio::test]
async fn a_webview_whose_end_was_not_told_loses_its_handles_at_the_next_event_for_it() {
    let scene = Scene::open().await;
    let send = sender(&scene.bridge, scene.side.clone());
    let opened = scene
        .bridge
        .open("side", PAGE.into(), 1, scene.lounge.spec(), send.clone());
    opened.await.unwrap();
    scene.side.close().unwrap();
    assert_eq!(scene.bridge.handle_count(), 1);
    assert!(!send("an-event", String::new()));
    assert_eq!(scene.bridge.handle_count(), 0);
}

#[tokio::test]
async fn a_ticket_that_a_closed_webview_was_asked_for_is_asked_of_the_next_page_at_once() {
    let scene = Scene::open().await;
    let (mut at_main, mut at_side) = (asks(&scene.main), asks(&scene.side));
    scene.watch(&scene.main, scene.minted()).await;
    let first = next(&mut at_main).await;
    scene.watch(&scene.side, scene.minted()).await;
    // The next time both can be asked, and the newest is.
    scene.answer(&scene.main, &first, Err("not now".into()));
    next(&mut at_side).await;
    assert!(at_main.try_recv().is_err());
    scene.side.close().unwrap();
    next(&mut at_main).await;
}

#[tokio::test]
async fn older_records_that_a_closed_webview_asked_for_do_not_wait_for_its_own_ticket() {
    ends_with_its_webview(async |bridge, label| bridge.load_more(label, PAGE, 1).await).await;
}

#[tokio::test]
async fn a_refresh_that_a_closed_webview_asked_for_does_not_wait_for_its_own_ticket() {
    ends_with_its_webview(async |bridge, label| bridge.refresh(label, PAGE, 1).await).await;
}

/// What a webview asks for needs a ticket that this very webview is to mint, and it is closed.
async fn ends_with_its_webview(ask_for: impl AsyncFn(&Bridge, &str) -> Result<u64>) {
    let scene = Scene::open().await;
    for rkey in ["a", "b"] {
        scene.lounge.put(rkey, "text");
    }
    let mut asks = asks(&scene.side);
    scene.watch(&scene.side, scene.minted()).await;
    let ask = next(&mut asks).await;
    scene.answer(&scene.side, &ask, Ok(EXPIRED.into()));
    let other = scene.bridge.engine.watch(scene.minted()).await;
    super::super::tests::until(&other, |state: &State| !state.entries.is_empty()).await;

    let closed = async {
        next(&mut asks).await;
        scene.side.close().unwrap();
    };
    let asked = ask_for(&scene.bridge, scene.side.label());
    let both = async { tokio::join!(asked, closed).0 };
    let failed = tokio::time::timeout(LATE, both).await.unwrap();
    assert_eq!(failed.unwrap_err().kind(), crate::ErrorKind::MintFailed);
}
