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
    ErrorKind, Minter, NamedMinter, Status, Ticket, TicketSource, WatchSpec,
};
use tokio::sync::Semaphore;

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
