//! The vault in the credential store of Windows, and what other processes find there.
#![cfg(windows)]

use std::{env, process::Command};

use contrail_sync_engine::{SECRET_MAX, Secret, Vault, VaultState};

/// What a process started by the test does, and in which service.
const ROLE: &str = "CONTRAIL_CREDENTIALS_ROLE";
const SERVICE: &str = "CONTRAIL_CREDENTIALS_SERVICE";

/// Secrets by name: one, and one that takes several items of the store.
fn secrets() -> [(&'static str, Secret); 2] {
    [
        ("short", Secret::new("ticket")),
        (
            "long",
            Secret::new("0123456789abcde\n".repeat(SECRET_MAX / 16)),
        ),
    ]
}

#[tokio::test]
async fn a_secret_of_any_length_outlives_its_process_until_it_is_deleted() {
    let service =
        env::var(SERVICE).unwrap_or_else(|_| format!("org.example.chat-{}", std::process::id()));
    let vault = Vault::keyring(&*service);
    match env::var(ROLE).as_deref() {
        Ok("writes") => {
            for (name, secret) in secrets() {
                vault.set(name, secret).await.unwrap();
            }
        }
        Ok(_) => {
            for (name, _) in secrets() {
                assert_eq!(vault.get(name).await, Ok(None), "{name}");
            }
        }
        Err(_) => {
            run("writes", &service);
            for (name, secret) in secrets() {
                assert_eq!(vault.get(name).await, Ok(Some(secret)), "{name}");
                vault.delete(name).await.unwrap();
            }
            run("finds nothing", &service);
        }
    }
    // In memory, all of this would hold within one process, too.
    assert_eq!(vault.state(), VaultState::Keyring);
}

/// This test once more, in a process of its own.
fn run(role: &str, service: &str) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("a_secret_of_any_length_outlives_its_process_until_it_is_deleted")
        .env(ROLE, role)
        .env(SERVICE, service)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{role}: {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
