use std::sync::atomic::{AtomicUsize, Ordering};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::*;
use crate::tickets::{NamedMinter, TICKET_PREFIX, store};

fn config() -> DeskConfig {
    DeskConfig {
        vault: Vault::memory(),
        http: Http::new(None).unwrap(),
        mint_timeout: Duration::from_secs(10),
        revoked: Arc::default(),
        logouts: Logouts::default(),
    }
}

fn desk(config: DeskConfig, source: TicketSource) -> Arc<Desk> {
    scoped(config, source, "scope")
}

fn scoped(config: DeskConfig, source: TicketSource, guard_id: &str) -> Arc<Desk> {
    let url = "https://appview.example/x?spaceUri=s".parse().unwrap();
    Arc::new(Desk::new(
        WatchId::next(),
        config,
        source,
        url,
        None,
        guard_id,
    ))
}

/// Mints `ticket-<n>` with the given life, and counts.
fn counting(life: Duration) -> (TicketSource, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let minted = count.clone();
    let minter = move |_| {
        let n = minted.fetch_add(1, Ordering::SeqCst);
        async move { Ok::<_, std::io::Error>(ticket(n, life).expose().to_owned()) }
    };
    (
        TicketSource::Minter(NamedMinter::new("counting", minter)),
        count,
    )
}

fn ticket(n: usize, life: Duration) -> Ticket {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let payload = format!(r#"{{"n":{n},"exp":{}}}"#, (now + life).as_millis());
    Ticket::parse(&format!("{}.sig", URL_SAFE_NO_PAD.encode(payload))).unwrap()
}

async fn written(desk: &Desk) {
    tokio::task::yield_now().await;
    drop(desk.writing.lock().await);
}

const LONG: Duration = Duration::from_secs(120);
const SHORT: Duration = Duration::from_secs(5);

#[test]
fn expiry_is_read_where_it_can_be() {
    assert!(expiry(ticket(0, LONG).expose()).is_some());
    for unknown in ["", "opaque", "a.b", "e30.sig", ".", "eyJleHAiOiJ4In0.s"] {
        assert_eq!(expiry(unknown), None, "{unknown}");
    }
    assert!(!lives_long_enough(&ticket(0, SHORT)));
}

#[tokio::test]
async fn a_ticket_with_life_left_is_used_again_and_one_without_is_replaced() {
    let (source, count) = counting(LONG);
    let long = desk(config(), source);
    let first = long.ticket(vec![]).await.unwrap();
    assert_eq!(long.ticket(vec![]).await.unwrap(), first);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let (source, count) = counting(SHORT);
    let short = desk(config(), source);
    short.ticket(vec![]).await.unwrap();
    short.ticket(vec![]).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stored_ticket_is_used_before_minting_and_a_refused_one_never_again() {
    let config = config();
    let (source, count) = counting(LONG);
    let first = desk(config.clone(), source.clone());
    let minted = first.ticket(vec![]).await.unwrap();
    written(&first).await;
    let restarted = desk(config.clone(), source.clone());
    assert_eq!(restarted.ticket(vec![]).await.unwrap(), minted);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    restarted.refused();
    written(&restarted).await;
    assert_ne!(restarted.ticket(vec![]).await.unwrap(), minted);
    assert_eq!(count.load(Ordering::SeqCst), 2);
    restarted.clear();
    written(&restarted).await;
    let later = desk(config, source);
    later.ticket(vec![]).await.unwrap();
    assert_eq!(
        count.load(Ordering::SeqCst),
        3,
        "cleared means gone from the vault too"
    );
}

#[tokio::test]
async fn a_rolled_ticket_takes_the_place_of_the_old_one_but_not_of_a_static_one() {
    let (source, _) = counting(SHORT);
    let minted = desk(config(), source);
    minted.ticket(vec![]).await.unwrap();
    let rolled = ticket(99, LONG);
    minted.roll(rolled.clone(), minted.generation());
    assert_eq!(minted.ticket(vec![]).await.unwrap(), Some(rolled.clone()));
    let given = Ticket::parse("given").unwrap();
    let fixed = desk(config(), TicketSource::Static(given.clone()));
    fixed.roll(rolled, fixed.generation());
    assert_eq!(fixed.ticket(vec![]).await.unwrap(), Some(given));
}

#[tokio::test(start_paused = true)]
async fn a_minter_that_hangs_fails_in_time_and_the_next_one_is_asked() {
    let hang: Arc<dyn Minter> = Arc::new(|_| std::future::pending::<Result<String, String>>());
    let good: Arc<dyn Minter> = Arc::new(|_| async { Ok::<_, String>("fresh".to_owned()) });
    let desk = desk(config(), TicketSource::Followers);
    let start = tokio::time::Instant::now();
    let error = desk.ticket(vec![hang.clone()]).await.unwrap_err();
    assert!(
        start.elapsed() < Duration::from_secs(11),
        "10 s, as configured"
    );
    assert!(matches!(error, TicketError::Timeout { .. }));
    let minted = desk.ticket(vec![hang, good]).await.unwrap();
    assert_eq!(minted, Some(Ticket::parse("fresh").unwrap()));
}

#[tokio::test]
async fn answers_that_are_no_tickets_are_typed_errors() {
    for text in [
        String::new(),
        " ".into(),
        "two words".into(),
        "x".repeat(1_000_000),
    ] {
        let minter: Arc<dyn Minter> = Arc::new(move |_| {
            let text = text.clone();
            async { Ok::<_, String>(text) }
        });
        let error = desk(config(), TicketSource::Followers)
            .ticket(vec![minter])
            .await
            .unwrap_err();
        assert!(matches!(error, TicketError::NotATicket(_)));
    }
    let throws: Arc<dyn Minter> = Arc::new(|_| async { Err::<String, _>("no session") });
    let error = desk(config(), TicketSource::Followers)
        .ticket(vec![throws])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no session"));
    let nobody = desk(config(), TicketSource::Followers)
        .ticket(vec![])
        .await
        .unwrap_err();
    assert!(matches!(nobody, TicketError::NobodyMints));
}

#[tokio::test]
async fn the_reason_for_a_ticket_is_told() {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let told = reasons.clone();
    let minter: Arc<dyn Minter> = Arc::new(move |request: MintRequest| {
        told.lock().unwrap().push(request.reason);
        async { Ok::<_, String>(ticket(0, SHORT).expose().to_owned()) }
    });
    let desk = desk(config(), TicketSource::Followers);
    desk.ticket(vec![minter.clone()]).await.unwrap();
    desk.ticket(vec![minter.clone()]).await.unwrap();
    desk.refused();
    desk.ticket(vec![minter]).await.unwrap();
    let told = reasons.lock().unwrap().clone();
    assert_eq!(
        told,
        [MintReason::First, MintReason::Expired, MintReason::Refused]
    );
}

#[tokio::test]
async fn a_stored_ticket_serves_no_other_source_and_no_other_scope() {
    let config = config();
    let minted = desk(config.clone(), TicketSource::Followers);
    let page: Arc<dyn Minter> = Arc::new(|_| async { Ok::<_, String>("of-a-page".to_owned()) });
    minted.ticket(vec![page]).await.unwrap();
    written(&minted).await;
    let (source, asked) = counting(LONG);
    let rust = desk(config.clone(), source);
    rust.ticket(vec![]).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let elsewhere = scoped(config.clone(), TicketSource::Followers, "another scope");
    let error = elsewhere.ticket(vec![]).await.unwrap_err();
    assert!(matches!(error, TicketError::NobodyMints));
    let same = desk(config, TicketSource::Followers);
    let stored = same.ticket(vec![]).await.unwrap();
    assert_eq!(stored, Some(Ticket::parse("of-a-page").unwrap()));
}

#[tokio::test]
async fn a_logout_reaches_every_desk_at_once() {
    let config = config();
    let (source, asked) = counting(LONG);
    let desks = ["a", "b"].map(|scope| scoped(config.clone(), source.clone(), scope));
    for desk in &desks {
        desk.ticket(vec![]).await.unwrap();
        written(desk).await;
    }
    let old = desks[0].generation();
    config.logouts.log_out();
    config.vault.clear(TICKET_PREFIX).await.unwrap();
    // A handshake of before comes to its end, and so does a write.
    desks[0].roll(ticket(9, LONG), old);
    desks[1].write();
    for desk in &desks {
        written(desk).await;
        assert_eq!(config.vault.get(&desk.name).await.unwrap(), None);
        desk.ticket(vec![]).await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 4, "both mint anew");
}

#[tokio::test]
async fn a_ticket_that_arrives_after_a_logout_is_not_kept() {
    let (asked, release) = (
        Arc::new(tokio::sync::Notify::new()),
        Arc::new(tokio::sync::Notify::new()),
    );
    let (began, gate) = (asked.clone(), release.clone());
    let minter: Arc<dyn Minter> = Arc::new(move |_: MintRequest| {
        let (began, gate) = (began.clone(), gate.clone());
        async move {
            began.notify_one();
            gate.notified().await;
            Ok::<_, String>(ticket(0, LONG).expose().to_owned())
        }
    });
    let config = config();
    let desk = desk(config.clone(), TicketSource::Followers);
    let minting = desk.clone();
    let minted = tokio::spawn(async move { minting.ticket(vec![minter]).await });
    asked.notified().await;
    config.logouts.log_out();
    desk.roll(ticket(1, LONG), desk.generation() - 1);
    release.notify_one();
    assert!(matches!(minted.await.unwrap(), Err(TicketError::Cleared)));
    written(&desk).await;
    assert_eq!(config.vault.get(&desk.name).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_is_being_stored_at_a_logout_does_not_come_back() {
    let config = config();
    for round in 0..5_000 {
        let desk = desk(config.clone(), TicketSource::Followers);
        // Another thread stores it.
        assert!(desk.keep(ticket(0, LONG), desk.generation()));
        for _ in 0..round % 50 {
            std::hint::spin_loop();
        }
        config.logouts.log_out();
        config.vault.clear(TICKET_PREFIX).await.unwrap();
        while Arc::strong_count(&desk) > 1 {
            tokio::task::yield_now().await;
        }
        let stored = config.vault.get(&desk.name).await.unwrap();
        assert_eq!(stored, None, "round {round}");
    }
}

#[tokio::test]
async fn a_full_vault_gives_its_room_to_what_is_new() {
    let config = config();
    for n in 0..crate::vault::NAMES_MAX {
        let name = format!("{TICKET_PREFIX}{n}");
        config.vault.set(&name, Secret::new("old")).await.unwrap();
    }
    store(&config.vault, "secret:session", Secret::new("new"))
        .await
        .unwrap();
    assert!(config.vault.get("secret:session").await.unwrap().is_some());
}

#[tokio::test]
async fn two_who_need_a_ticket_at_once_get_the_same_one_and_a_late_refusal_spares_its_successor() {
    let (source, count) = counting(LONG);
    let desk = desk(config(), source);
    let (one, other) = tokio::join!(desk.ticket(vec![]), desk.ticket(vec![]));
    assert_eq!(one.as_ref().unwrap(), other.as_ref().unwrap());
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let first = one.unwrap();
    desk.refused();
    let second = desk.ticket(vec![]).await.unwrap();
    assert_ne!(second, first);
    desk.refused_this(first.as_ref());
    assert_eq!(desk.ticket(vec![]).await.unwrap(), second);
}
