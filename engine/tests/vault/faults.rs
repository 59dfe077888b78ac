//! Keyrings that are absent, locked, stopped and restarted.

use std::time::Instant;

use contrail_sync_engine::{NamedMinter, TicketSource};

use super::common::*;
use super::session::{Machine, Outside, SERVICE, Session, TIMEOUT, on};
use super::*;

/// Longer than a call to a stopped keyring takes to fail, and the pause after it.
const LATE: Duration = Duration::from_secs(40);

fn impatient(millis: u64) -> Vault {
    let mut options = VaultOptions::default();
    options.layout = Layout::PerName;
    options.timeout = Duration::from_millis(millis);
    Vault::keyring_with(SERVICE, options)
}

/// Without a keyring that answers, the vault is one in memory, at once and after one warning.
async fn works_in_memory(vault: &Vault, session: &Session) {
    let VaultState::Memory { .. } = vault.state() else {
        panic!("still in the keyring");
    };
    let start = Instant::now();
    vault.set("later", secret(3, 20)).await.unwrap();
    assert_eq!(vault.get("later").await, Ok(Some(secret(3, 20))));
    assert_eq!(vault.get("unknown").await, Ok(None));
    for erased in [vault.delete("later").await, vault.clear("").await] {
        assert!(matches!(erased, Ok(()) | Err(VaultError::NotErased(_))));
    }
    assert_eq!(vault.get("later").await, Ok(None));
    assert!(start.elapsed() < Duration::from_millis(100), "it waited");
    assert_eq!(session.warnings(), 1, "{}", session.log());
}

#[test]
fn without_a_session_bus_secrets_stay_in_memory_after_one_warning() {
    on(Machine::Bare, async |session| {
        without_keyring(session).await
    });
}

#[test]
fn without_a_keyring_on_the_bus_secrets_stay_in_memory_after_one_warning() {
    on(Machine::Bus, async |session| without_keyring(session).await);
}

async fn without_keyring(session: &Session) {
    let vault = Vault::keyring(SERVICE);
    assert_eq!(vault.state(), VaultState::Keyring);
    let mut states = vault.watch_state();
    vault.set("a", secret(1, 20)).await.unwrap();
    let reason = Reason::Absent;
    let memory = VaultState::Memory { reason };
    assert_eq!(
        *states
            .wait_for(|s| *s != VaultState::Keyring)
            .await
            .unwrap(),
        memory
    );
    assert_eq!(vault.get("a").await, Ok(Some(secret(1, 20))));
    vault.delete("a").await.unwrap();
    vault.clear("").await.unwrap();
    assert_eq!(vault.get("a").await, Ok(None));
    works_in_memory(&vault, session).await;
}

#[test]
fn a_restarted_keyring_is_opened_anew_without_a_word() {
    on(Machine::Keyring, async |session| {
        let vault = Vault::keyring(SERVICE);
        vault.set("a", secret(1, 20)).await.unwrap();
        for n in 2..5 {
            session.signal("KILL");
            session.start();
            assert_eq!(vault.get("a").await, Ok(Some(secret(n - 1, 20))));
            session.signal("KILL");
            session.start();
            vault.set("a", secret(n, 20)).await.unwrap();
        }
        assert_eq!(vault.state(), VaultState::Keyring);
        let other = Vault::keyring(SERVICE);
        assert_eq!(other.get("a").await, Ok(Some(secret(4, 20))));
        assert_eq!(session.warnings(), 0);
    });
}

#[test]
fn a_keyring_that_ends_leaves_what_was_read_and_written_in_memory() {
    on(Machine::Keyring, async |session| {
        let earlier = Vault::keyring(SERVICE);
        earlier.set("read", secret(1, 20)).await.unwrap();
        let vault = Vault::keyring(SERVICE);
        vault.get("read").await.unwrap();
        vault.set("written", secret(2, 20)).await.unwrap();
        session.signal("KILL");
        assert_eq!(vault.get("read").await, Ok(Some(secret(1, 20))));
        assert_eq!(vault.get("written").await, Ok(Some(secret(2, 20))));
        let reason = Reason::Failed;
        assert_eq!(vault.state(), VaultState::Memory { reason });
        let erased = vault.delete("written").await;
        assert_eq!(erased, Err(VaultError::NotErased(reason)));
        assert_eq!(vault.get("written").await, Ok(None));
        works_in_memory(&vault, session).await;
    });
}

#[test]
fn a_stopped_keyring_is_given_up_within_the_time_out() {
    on(Machine::Keyring, async |session| {
        let vault = impatient(500);
        vault.set("a", secret(1, 20)).await.unwrap();
        session.signal("STOP");
        let start = Instant::now();
        let (got, set, deleted) = tokio::join!(
            vault.get("a"),
            vault.set("b", secret(2, 20)),
            vault.delete("c")
        );
        assert_eq!((got, set), (Ok(Some(secret(1, 20))), Ok(())));
        let reason = Reason::Timeout;
        assert_eq!(deleted, Err(VaultError::NotErased(reason)));
        assert!(start.elapsed() < Duration::from_secs(1), "it waited");
        assert_eq!(vault.state(), VaultState::Memory { reason });
        assert_eq!(vault.get("b").await, Ok(Some(secret(2, 20))));
        works_in_memory(&vault, session).await;
        // All was cleared since: what waited in the thread's queue does not come back.
        session.signal("CONT");
        back_in_use(&vault).await;
        let other = Vault::keyring(SERVICE);
        for name in ["a", "b", "later"] {
            assert_eq!(other.get(name).await, Ok(None));
        }
    });
}

/// Waits until the keyring is in use again.
async fn back_in_use(vault: &Vault) {
    let mut states = vault.watch_state();
    let back = states.wait_for(|state| *state == VaultState::Keyring);
    tokio::time::timeout(LATE, back)
        .await
        .expect("back in use")
        .unwrap();
}

#[test]
fn a_keyring_that_answers_after_the_time_out_is_in_use_again() {
    on(Machine::Keyring, async |session| {
        missed_and_made_up(&impatient(500), session, "STOP", |session| {
            session.signal("CONT");
        })
        .await;
    });
}

#[test]
fn a_keyring_that_is_unlocked_after_it_was_given_up_is_in_use_again() {
    on(Machine::Keyring, async |session| {
        missed_and_made_up(&impatient(1000), session, "lock", Session::unlock).await;
    });
}

#[test]
fn a_keyring_that_is_unlocked_after_a_prompt_took_too_long_is_in_use_again() {
    on(Machine::Keyring, async |session| {
        let prompter = session.prompter_that_waits_for_ever();
        missed_and_made_up(&impatient(1000), session, "lock", |session| {
            session.unlock();
            drop(prompter);
        })
        .await;
    });
}

#[test]
fn a_keyring_that_starts_after_the_app_is_in_use() {
    on(Machine::Bus, async |session| {
        let vault = impatient(1000);
        vault.set("a", secret(1, 20)).await.unwrap();
        let reason = Reason::Absent;
        assert_eq!(vault.state(), VaultState::Memory { reason });
        session.start();
        back_in_use(&vault).await;
        let other = Vault::keyring(SERVICE);
        assert_eq!(other.get("a").await, Ok(Some(secret(1, 20))));
    });
}

/// While the keyring is away memory serves; once it is back it has what was written meanwhile, and what it had is known.
async fn missed_and_made_up(
    vault: &Vault,
    session: &mut Session,
    away: &str,
    back: impl FnOnce(&mut Session),
) {
    let earlier = Vault::keyring(SERVICE);
    for name in ["earlier", "deleted", "cleared/1", "cleared/2"] {
        earlier.set(name, secret(1, 20)).await.unwrap();
    }
    match away {
        "lock" => session.lock(),
        signal => session.signal(signal),
    }
    assert_eq!(vault.get("earlier").await, Ok(None));
    assert!(matches!(vault.state(), VaultState::Memory { .. }));
    vault.set("written", secret(1, 20)).await.unwrap();
    vault.set("written", secret(2, 20)).await.unwrap();
    for erased in [vault.delete("deleted").await, vault.clear("cleared").await] {
        assert!(matches!(erased, Err(VaultError::NotErased(_))));
    }
    vault.set("cleared/2", secret(2, 20)).await.unwrap();
    assert_eq!(vault.get("written").await, Ok(Some(secret(2, 20))));
    back(session);
    back_in_use(vault).await;
    for other in [vault.clone(), Vault::keyring(SERVICE)] {
        assert_eq!(other.get("earlier").await, Ok(Some(secret(1, 20))));
        assert_eq!(other.get("written").await, Ok(Some(secret(2, 20))));
        assert_eq!(other.get("deleted").await, Ok(None));
        assert_eq!(other.get("cleared/1").await, Ok(None));
        assert_eq!(other.get("cleared/2").await, Ok(Some(secret(2, 20))));
    }
    assert_eq!(session.warnings(), 1, "{}", session.log());
}

#[test]
fn a_keyring_stopped_from_the_start_is_given_up_within_the_usual_time_out() {
    on(Machine::Keyring, async |session| {
        session.signal("STOP");
        let vault = Vault::keyring(SERVICE);
        let start = Instant::now();
        vault.set("a", secret(1, 20)).await.unwrap();
        assert!(start.elapsed() < Duration::from_millis(5500), "it waited");
        assert_eq!(vault.get("a").await, Ok(Some(secret(1, 20))));
        works_in_memory(&vault, session).await;
    });
}

#[test]
fn a_locked_keyring_without_a_prompt_is_given_up() {
    on(Machine::Keyring, async |session| {
        given_up_when_locked(session, Reason::Locked).await;
    });
}

#[test]
fn a_locked_keyring_with_nobody_at_the_prompt_is_given_up_within_the_time_out() {
    on(Machine::Keyring, async |session| {
        let _prompter = session.prompter_that_waits_for_ever();
        given_up_when_locked(session, Reason::Timeout).await;
    });
}

#[test]
fn a_keyring_that_hangs_does_not_keep_a_watch_from_going_live() {
    on(Machine::Keyring, async |session| {
        let lounge = Lounge::open().await;
        let ticket = lounge.ticket(ALICE, &[]);
        let minter = NamedMinter::new("fixed", move |_| {
            let ticket = ticket.clone();
            async { Ok::<_, String>(ticket) }
        });
        let mut spec = lounge.spec();
        spec.tickets = TicketSource::Minter(minter);
        let earlier = engine_with(|config| config.vault = vault(Layout::PerName));
        until_live(&earlier.watch(spec.clone()).await).await;
        // The ticket is stored beside the connection.
        let stored = async {
            let keyring = Outside::open();
            while !keyring.names().iter().any(|it| it.contains("/ticket:")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(TIMEOUT, stored).await.expect("stored");
        session.lock();
        let _prompter = session.prompter_that_waits_for_ever();
        // It would be waited for longer than this test.
        let vault = impatient(3_600_000);
        let engine = engine_with(|config| config.vault = vault.clone());
        let watch = engine.watch(spec).await;
        until_live(&watch).await;
        assert_eq!(vault.state(), VaultState::Keyring, "it hangs all the time");
    });
}

async fn given_up_when_locked(session: &Session, reason: Reason) {
    let vault = impatient(1000);
    vault.set("a", secret(1, 20)).await.unwrap();
    session.lock();
    let start = Instant::now();
    assert_eq!(vault.get("a").await, Ok(Some(secret(1, 20))));
    assert!(start.elapsed() < Duration::from_millis(1500), "it waited");
    assert_eq!(vault.state(), VaultState::Memory { reason });
    let erased = vault.clear("").await;
    assert_eq!(erased, Err(VaultError::NotErased(reason)));
    works_in_memory(&vault, session).await;
}
