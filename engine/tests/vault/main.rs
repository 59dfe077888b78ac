//! The vault on a real keyring, and without one.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod layouts;
mod session;

use std::time::Duration;

use contrail_sync_engine::{Layout, NAME_MAX, NAMES_MAX, Reason, SECRET_MAX};
use contrail_sync_engine::{Secret, Vault, VaultError, VaultOptions, VaultState};

use session::{MARK, SERVICE};

const LAYOUTS: [Layout; 3] = [
    Layout::PerName,
    Layout::OneItem,
    Layout::Split { max: 2560 },
];

fn vault(layout: Layout) -> Vault {
    let mut options = VaultOptions::default();
    options.layout = layout;
    Vault::keyring_with(SERVICE, options)
}

/// A secret of `len` bytes that no other `seed` gives.
fn secret(seed: usize, len: usize) -> Secret {
    let text = format!("{MARK}{seed}-");
    Secret::new(text.chars().cycle().take(len).collect::<String>())
}

#[tokio::test]
async fn a_secret_over_the_limit_is_refused_and_one_at_the_limit_is_kept() {
    let vault = Vault::memory();
    let len = SECRET_MAX + 1;
    let refused = vault.set("a", secret(1, len)).await;
    assert_eq!(refused, Err(VaultError::TooLarge { len }));
    assert_eq!(vault.get("a").await, Ok(None));
    vault.set("a", secret(1, SECRET_MAX)).await.unwrap();
    assert_eq!(vault.get("a").await, Ok(Some(secret(1, SECRET_MAX))));
}

#[tokio::test]
async fn names_that_are_empty_long_or_not_text_are_refused() {
    let vault = Vault::memory();
    for name in ["", "a\nb", "a\0", &"a".repeat(NAME_MAX + 1)] {
        assert_eq!(vault.get(name).await, Err(VaultError::InvalidName));
        let set = vault.set(name, secret(1, 8)).await;
        assert_eq!(set, Err(VaultError::InvalidName));
        assert_eq!(vault.delete(name).await, Err(VaultError::InvalidName));
    }
    let longest = "a".repeat(NAME_MAX);
    vault.set(&longest, secret(1, 8)).await.unwrap();
}

#[tokio::test]
async fn a_full_vault_refuses_new_names_and_replaces_known_ones() {
    let vault = Vault::memory();
    for n in 0..NAMES_MAX {
        vault.set(&n.to_string(), secret(n, 8)).await.unwrap();
    }
    let one_more = vault.set("one more", secret(1, 8)).await;
    assert_eq!(one_more, Err(VaultError::Full));
    vault.set("0", secret(7, 8)).await.unwrap();
    vault.delete("1").await.unwrap();
    vault.set("one more", secret(1, 8)).await.unwrap();
}

#[tokio::test]
async fn a_vault_in_memory_by_choice_says_so_and_erases_without_complaint() {
    let vault = Vault::memory();
    let reason = Reason::Chosen;
    assert_eq!(vault.state(), VaultState::Memory { reason });
    vault.set("a/1", secret(1, 8)).await.unwrap();
    vault.set("b/1", secret(2, 8)).await.unwrap();
    vault.clear("a/").await.unwrap();
    assert_eq!(vault.get("a/1").await, Ok(None));
    assert_eq!(vault.get("b/1").await, Ok(Some(secret(2, 8))));
}

#[tokio::test]
async fn nothing_secret_is_in_debug_output() {
    let vault = Vault::memory();
    vault.set("account", secret(1, 40)).await.unwrap();
    let shown = format!(
        "{vault:?} {:?} {:#?}",
        secret(1, 40),
        vault.get("account").await
    );
    assert!(
        !shown.contains(MARK) && !shown.contains("account"),
        "{shown}"
    );
}

#[test]
fn the_futures_of_a_vault_can_run_on_any_thread() {
    fn send<T: Send>(_: T) {}
    let vault = Vault::memory();
    send(vault.get("a"));
    send(vault.set("a", secret(1, 8)));
    send(vault.delete("a"));
    send(vault.clear("a"));
}
