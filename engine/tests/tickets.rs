//! The life of a ticket, from the first mint to its end, on real sockets.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use appview::Fault;
use common::*;
use contrail_sync_engine::{
    ErrorKind, HttpMinter, Minter, NamedMinter, Status, Ticket, TicketError, TicketSource,
    WatchSpec,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Semaphore, mpsc},
};
use url::Url;

/// A watch whose tickets are minted one for each permit, and how many were asked for.
fn minted(lounge: &Lounge, permits: &Arc<Semaphore>) -> (WatchSpec, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, permits, ticket) = (asked.clone(), permits.clone(), lounge.ticket(ALICE, &[]));
    let mint = move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let (permits, ticket) = (permits.clone(), ticket.clone());
        async move {
            permits
                .acquire()
                .await
                .map_err(|error| error.to_string())?
                .forget();
            Ok::<_, String>(ticket)
        }
    };
    let mut spec = lounge.spec();
    spec.tickets = TicketSource::Minter(NamedMinter::new("gated", mint));
    (spec, asked)
}

async fn eventually(what: &str, wanted: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !wanted().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_ticket_that_is_minted_after_a_stop_opens_nothing() {
    let lounge = Lounge::open().await;
    let permits = Arc::new(Semaphore::new(0));
    let (spec, asked) = minted(&lounge, &permits);
    let engine = engine_with(|config| config.linger = Duration::from_millis(300));
    let watch = engine.watch(spec).await;
    eventually("a ticket is asked for", async || {
        asked.load(Ordering::SeqCst) == 1
    })
    .await;
    drop(watch);
    // The answer comes while the watch lingers.
    tokio::task::yield_now().await;
    permits.add_permits(1);
    eventually("the watch ends", async || engine.watch_count() == 0).await;
    assert_eq!(lounge.server.stats().requests, 0);
}

#[tokio::test]
async fn a_hanging_minter_neither_wedges_nor_storms() {
    let lounge = Lounge::open().await;
    let permits = Arc::new(Semaphore::new(0));
    let (spec, asked) = minted(&lounge, &permits);
    let engine = engine_with(|config| config.mint_timeout = Duration::from_millis(50));
    let watch = engine.watch(spec).await;
    let state = until_error(&watch, ErrorKind::MintTimeout).await;
    assert_eq!(state.status, Status::Reconnecting);
    permits.add_permits(1);
    until_live(&watch).await;
    assert!(asked.load(Ordering::SeqCst) <= 10);
}

#[tokio::test]
async fn a_ticket_of_a_page_serves_no_minter_of_the_app_and_no_window_of_another_scope() {
    let lounge = Lounge::open().await;
    let (of_rust, asked) = minted(&lounge, &Arc::new(Semaphore::new(1)));
    let page_asked = Arc::new(AtomicUsize::new(0));
    let (count, ticket) = (page_asked.clone(), lounge.ticket(ALICE, &[]));
    let page: Arc<dyn Minter> = Arc::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let ticket = ticket.clone();
        async move { Ok::<_, String>(ticket) }
    });
    let mut of_page = lounge.spec();
    of_page.tickets = TicketSource::Followers;
    of_page.guard_id = "a scope".into();
    let mut elsewhere = of_page.clone();
    elsewhere.guard_id = "another scope".into();
    let engine = engine();
    for (spec, page_minted, minted) in [(of_page, 1, 0), (of_rust, 1, 1), (elsewhere, 2, 1)] {
        let watch = engine.watch_minting(spec, Some(page.clone())).await;
        until_live(&watch).await;
        let counts = [&page_asked, &asked].map(|it| it.load(Ordering::SeqCst));
        assert_eq!(counts, [page_minted, minted]);
    }
}

#[tokio::test]
async fn after_a_logout_the_next_start_connects_anew_with_a_ticket_of_its_own() {
    let lounge = Lounge::open().await;
    let permits = Arc::new(Semaphore::new(2));
    let (spec, asked) = minted(&lounge, &permits);
    let engine = engine();
    let watch = engine.watch(spec.clone()).await;
    until_live(&watch).await;
    drop(watch);
    engine.clear_tickets().await.unwrap();
    let again = engine.watch(spec).await;
    until_live(&again).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(
        lounge.server.stats().sse,
        2,
        "the connection of before is not taken over"
    );
}

#[tokio::test]
async fn a_kicked_members_static_ticket_opens_nothing_again() {
    let lounge = Lounge::open().await;
    lounge.server.add_member(&lounge.space, BOB).unwrap();
    lounge.say("a", "for members");
    let mut spec = lounge.spec();
    spec.tickets = TicketSource::Static(Ticket::parse(&lounge.ticket(BOB, &[])).unwrap());
    let engine = engine_with(|config| config.linger = Duration::ZERO);
    let watch = engine.watch(spec.clone()).await;
    until_live(&watch).await;
    lounge.server.kick(&lounge.space, BOB).unwrap();
    until(&watch, |it| it.status == Status::Closed).await;
    // A second window while the first still shows the reason, and a start after everything was let go.
    let second = engine.watch(spec.clone()).await;
    let closed = until(&second, |it| it.status == Status::Closed).await;
    assert_eq!(closed.error.unwrap().kind, ErrorKind::AccessLost);
    drop((watch, second));
    eventually("the watch ends", async || engine.watch_count() == 0).await;
    let third = engine.watch(spec).await;
    let closed = until(&third, |it| it.status == Status::Closed).await;
    assert!(closed.entries.is_empty());
    assert_eq!(
        lounge.server.stats().sse,
        1,
        "though the server would still take it"
    );
}

#[tokio::test]
async fn a_server_that_quotes_the_ticket_in_its_error_is_not_repeated() {
    let lounge = Lounge::open().await;
    let ticket = lounge.ticket(ALICE, &[]);
    let fault = Fault {
        snapshot_error: Some(format!("no rows for {ticket} ({})", "long ".repeat(1000))),
        ..Fault::default()
    };
    lounge.server.fault(fault).unwrap();
    let mut spec = lounge.spec();
    spec.tickets = TicketSource::Static(Ticket::parse(&ticket).unwrap());
    let watch = engine().watch(spec).await;
    let error = until_error(&watch, ErrorKind::Server).await.error.unwrap();
    assert!(!error.message.contains(&ticket[..20]), "{}", error.message);
    assert!(error.message.len() < 1000);
}

#[tokio::test]
async fn a_delta_that_nobody_took_is_told_again() {
    let lounge = Lounge::open().await;
    let watch = engine().watch(lounge.spec()).await;
    until_live(&watch).await;
    let rev = watch.state().await.unwrap().rev;
    {
        // Asked for, then given up with the answer already there.
        let mut next = std::pin::pin!(watch.next());
        let pending = tokio::time::timeout(Duration::from_millis(50), &mut next).await;
        assert!(pending.is_err());
        lounge.say("a", "x");
        let other = engine().watch(lounge.spec()).await;
        until(&other, |it| it.entries.len() == 1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    lounge.say("b", "x");
    let delta = watch.next().await.unwrap();
    assert_eq!(delta.rev, rev + 1);
    let told: Vec<_> = delta
        .changed
        .iter()
        .map(|it| it.entry.record.rkey())
        .collect();
    assert!(told.contains(&"a"), "{told:?}");
}

/// A route of the app's own server, which gives every request this answer, and the requests as they arrive.
async fn route(answer: String) -> (Url, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n")
                && socket.read_buf(&mut request).await.unwrap() > 0
            {}
            let _ = heard.send(String::from_utf8(request).unwrap());
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (
        format!("http://{address}/ticket").parse().unwrap(),
        requests,
    )
}

async fn heard(requests: &mut mpsc::UnboundedReceiver<String>) -> String {
    let heard = tokio::time::timeout(Duration::from_secs(10), requests.recv());
    heard.await.expect("a request comes").unwrap()
}

fn answers(ticket: &str) -> String {
    let length = ticket.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{ticket}"
    )
}

/// A watch that may leave its own origin nowhere.
fn at_home(lounge: &Lounge, url: Url, minter: HttpMinter) -> WatchSpec {
    let home = url.origin();
    let mut spec = WatchSpec::new(url, Arc::new(move |it| it.origin() == home));
    spec.tickets = TicketSource::Minter(NamedMinter::new("api", minter));
    assert!((spec.guard)(&lounge.url("message", "")));
    spec
}

#[tokio::test]
async fn a_minter_on_another_origin_serves_a_watch_that_may_not_leave_its_own() {
    let lounge = Lounge::open().await;
    let (url, mut requests) = route(answers(&lounge.ticket(ALICE, &[]))).await;
    let spec = at_home(&lounge, lounge.url("message", ""), HttpMinter::post(url));
    let watch = engine().watch(spec).await;
    until_live(&watch).await;
    let request = heard(&mut requests).await;
    assert!(
        request.starts_with("POST /ticket HTTP/1.1\r\n"),
        "{request}"
    );
    // Servers answer 411 to a POST that does not say how long it is.
    assert!(request.contains("\r\ncontent-length: 0\r\n"), "{request}");
}

#[tokio::test]
async fn a_minters_redirect_is_not_followed_and_its_secret_goes_nowhere_else() {
    let lounge = Lounge::open().await;
    let (elsewhere, mut never) = route(answers("stolen")).await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let (url, _requests) = route(redirect).await;
    let spec = at_home(&lounge, lounge.url("message", ""), HttpMinter::post(url));
    let watch = engine().watch(spec).await;
    let error = until_error(&watch, ErrorKind::MintFailed).await.error;
    let message = error.unwrap().message;
    assert!(message.contains("307"), "{message}");
    assert!(never.try_recv().is_err());
}

fn refuses(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_minter_takes_access_away_in_the_appviews_own_words_only() {
    let lounge = Lounge::open().await;
    let minted = async |answer: String| {
        let (url, _requests) = route(answer).await;
        let spec = at_home(&lounge, lounge.url("message", ""), HttpMinter::post(url));
        let watch = engine().watch(spec).await;
        let state = until(&watch, |state| state.error.is_some()).await;
        (state.status, state.error.unwrap().kind)
    };
    let not_member = r#"{"error":"Forbidden","reason":"not-member"}"#;
    let lost = minted(refuses("403 Forbidden", not_member)).await;
    assert_eq!(lost, (Status::Closed, ErrorKind::Forbidden));
    for (status, body) in [
        ("403 Forbidden", r#"{"error":"Forbidden"}"#),
        ("403 Forbidden", "<h1>Forbidden</h1>"),
        // A route that is not there, or not yet there again.
        ("404 Not Found", r#"{"error":"NotFound"}"#),
        ("500 Internal Server Error", not_member),
    ] {
        let failed = minted(refuses(status, body)).await;
        let again = (Status::Reconnecting, ErrorKind::MintFailed);
        assert_eq!(failed, again, "{status} {body}");
    }
}

#[tokio::test]
async fn a_closure_takes_access_away_by_the_error_that_says_so() {
    let lounge = Lounge::open().await;
    let members = |_| async {
        let reason = "not-member".to_owned();
        Err::<String, _>(TicketError::Forbidden { reason })
    };
    let mut spec = lounge.spec();
    spec.tickets = TicketSource::Minter(NamedMinter::new("members", members));
    let watch = engine().watch(spec).await;
    let state = until(&watch, |state| state.status == Status::Closed).await;
    let error = state.error.unwrap();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    assert!(error.message.contains("not-member"), "{error:?}");
}

#[tokio::test]
async fn a_minter_hears_of_the_watchs_query_what_its_server_defines_and_nothing_twice() {
    let lounge = Lounge::open().await;
    let (mut url, mut requests) = route(answers(&lounge.ticket(ALICE, &[]))).await;
    url.set_query(Some("audience=app&limit=9"));
    let query = "&limit=5&audience=evil&Audience=evil&role=admin&hydrateReplies=3&hydrate.x=1&order=asc&order=desc&spaceUri=other";
    let minter = HttpMinter::get(url).with_watch_query();
    let watch = engine()
        .watch(at_home(&lounge, lounge.url("message", query), minter))
        .await;
    let request = heard(&mut requests).await;
    let asked = request.split(' ').nth(1).unwrap();
    let asked = Url::parse("http://app.example/")
        .unwrap()
        .join(asked)
        .unwrap();
    let pairs: Vec<(String, String)> = asked.query_pairs().into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        pairs,
        [
            pair("audience", "app"),
            pair("limit", "9"),
            pair("spaceUri", &lounge.space),
            pair("hydrateReplies", "3"),
            pair("order", "asc"),
        ]
    );
    drop(watch);
}
