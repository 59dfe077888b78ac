//! How secrets lie in a keyring that works.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::session::{Machine, Outside, SERVICE, on};
use super::*;

const SPLIT: Layout = Layout::Split { max: 2560 };

#[test]
fn every_layout_keeps_replaces_and_erases_secrets_of_every_size() {
    on(Machine::Keyring, async |session| {
        for layout in LAYOUTS {
            let vault = vault(layout);
            assert_eq!(vault.get("a").await, Ok(None));
            for len in [1, 2559, 2560, 2561, 5120, SECRET_MAX, 3000, 8] {
                vault.set("a", secret(len, len)).await.unwrap();
                assert_eq!(vault.get("a").await, Ok(Some(secret(len, len))));
            }
            let text = Secret::new(format!("{MARK}ü€𝄞\"\\\u{7f}"));
            vault
                .set("name with ü€ = # / \"", text.clone())
                .await
                .unwrap();
            assert_eq!(vault.get("name with ü€ = # / \"").await, Ok(Some(text)));
            vault.set("empty", Secret::new("")).await.unwrap();
            assert_eq!(vault.get("empty").await, Ok(Some(Secret::new(""))));
            vault.delete("a").await.unwrap();
            vault.delete("a").await.unwrap();
            assert_eq!(vault.get("a").await, Ok(None));
            assert_eq!(vault.state(), VaultState::Keyring);
            vault.clear("").await.unwrap();
            assert_eq!(Outside::open().names(), [""; 0]);
        }
        assert_eq!(session.warnings(), 0);
    });
}

#[test]
fn two_vaults_of_one_service_see_each_other_and_another_service_does_not() {
    on(Machine::Keyring, async |_| {
        for layout in LAYOUTS {
            let (a, b) = (vault(layout), vault(layout));
            let mut options = VaultOptions::default();
            options.layout = layout;
            let other = Vault::keyring_with("org.example.other", options);
            a.set("n", secret(1, 4000)).await.unwrap();
            assert_eq!(b.get("n").await, Ok(Some(secret(1, 4000))));
            assert_eq!(other.get("n").await, Ok(None));
            b.set("n", secret(2, 3000)).await.unwrap();
            assert_eq!(a.get("n").await, Ok(Some(secret(2, 3000))));
            other.clear("").await.unwrap();
            b.delete("n").await.unwrap();
            assert_eq!(a.get("n").await, Ok(None));
        }
    });
}

#[test]
fn clear_erases_the_prefix_that_another_process_wrote_and_nothing_else() {
    on(Machine::Keyring, async |_| {
        let outside = Outside::open();
        outside.write("the app's own", "not ours");
        for layout in LAYOUTS {
            let writer = vault(layout);
            for n in 0..20 {
                let account = if n % 2 == 0 { "alice" } else { "bob" };
                let name = format!("{account}/{n}");
                writer.set(&name, secret(n, 200 * n)).await.unwrap();
            }
            let vault = vault(layout);
            vault.clear("alice/").await.unwrap();
            for n in 0..20 {
                assert_eq!(vault.get(&format!("alice/{n}")).await, Ok(None));
                let kept = (n % 2 == 1).then(|| secret(n, 200 * n));
                assert_eq!(vault.get(&format!("bob/{n}")).await, Ok(kept));
            }
            vault.clear("").await.unwrap();
            assert_eq!(outside.names(), ["the app's own"]);
        }
    });
}

#[test]
fn many_calls_at_once_wait_for_their_turn() {
    on(Machine::Keyring, async |_| {
        let vault = vault(Layout::PerName);
        let mut calls = tokio::task::JoinSet::new();
        for n in 0..200 {
            let vault = vault.clone();
            calls.spawn(async move {
                let name = (n % 10).to_string();
                if n < 10 {
                    vault.set(&name, secret(n, 50)).await.unwrap();
                } else {
                    vault.get(&name).await.unwrap();
                }
            });
        }
        calls.join_all().await;
        assert_eq!(vault.state(), VaultState::Keyring);
        for n in 0..10 {
            assert_eq!(vault.get(&n.to_string()).await, Ok(Some(secret(n, 50))));
        }
    });
}

#[test]
fn a_call_that_nobody_waits_for_does_not_disturb_the_next() {
    on(Machine::Keyring, async |_| {
        let vault = vault(Layout::PerName);
        vault.set("a", secret(1, 8)).await.unwrap();
        for _ in 0..20 {
            tokio::select! {
                biased;
                _ = vault.get("a") => unreachable!("a keyring answers later"),
                () = std::future::ready(()) => {}
            }
        }
        assert_eq!(vault.get("a").await, Ok(Some(secret(1, 8))));
    });
}

#[test]
fn a_damaged_item_of_all_secrets_is_an_error_and_the_next_set_heals_it() {
    on(Machine::Keyring, async |_| {
        let (vault, outside) = (vault(Layout::OneItem), Outside::open());
        for damage in ["", "{", "[1]", r#"{"a":7}"#, "\u{0}"] {
            vault.set("a", secret(1, 8)).await.unwrap();
            outside.write("contrail-sync secrets", damage);
            assert_eq!(vault.get("a").await, Err(VaultError::Damaged));
            vault.delete("a").await.unwrap();
            vault.set("b", secret(2, 8)).await.unwrap();
            assert_eq!(vault.get("b").await, Ok(Some(secret(2, 8))));
            assert_eq!(vault.get("a").await, Ok(None));
        }
        outside.write("contrail-sync secrets", [0xff, 0xfe]);
        assert_eq!(vault.get("a").await, Err(VaultError::Damaged));
        vault.clear("").await.unwrap();
        assert_eq!(outside.names(), [""; 0]);
        assert_eq!(vault.state(), VaultState::Keyring);
    });
}

#[test]
fn a_secret_that_is_not_text_or_too_long_is_an_error_and_can_be_replaced() {
    on(Machine::Keyring, async |_| {
        let (vault, outside) = (vault(Layout::PerName), Outside::open());
        for damage in [vec![0xff, 0xfe], vec![b'a'; SECRET_MAX + 1]] {
            outside.write("contrail-sync/a", damage);
            assert_eq!(vault.get("a").await, Err(VaultError::Damaged));
            vault.set("a", secret(1, 8)).await.unwrap();
            assert_eq!(vault.get("a").await, Ok(Some(secret(1, 8))));
        }
    });
}

#[test]
fn a_split_secret_with_a_wrong_or_missing_part_is_an_error_and_can_be_replaced() {
    on(Machine::Keyring, async |_| {
        let (vault, outside) = (vault(SPLIT), Outside::open());
        let damages: [fn(&Outside); 7] = [
            |o| {
                o.item("part 0.1 of contrail-sync/a")
                    .delete_credential()
                    .unwrap()
            },
            |o| {
                o.item("part 0.0 of contrail-sync/a")
                    .delete_credential()
                    .unwrap()
            },
            |o| o.write("part 0.1 of contrail-sync/a", "other"),
            |o| o.write("part 0.2 of contrail-sync/a", vec![b'x'; 2560]),
            |o| o.write("contrail-sync/a", "#{"),
            |o| {
                o.write(
                    "contrail-sync/a",
                    r##"#{"generation":9,"bytes":8000,"sum":1}"##,
                )
            },
            |o| {
                o.write(
                    "contrail-sync/a",
                    r##"#{"generation":0,"bytes":99999999999,"sum":1}"##,
                )
            },
        ];
        for damage in damages {
            vault.set("a", secret(1, 8000)).await.unwrap();
            damage(&outside);
            assert_eq!(vault.get("a").await, Err(VaultError::Damaged));
            vault.set("a", secret(2, 9000)).await.unwrap();
            assert_eq!(vault.get("a").await, Ok(Some(secret(2, 9000))));
            vault.clear("").await.unwrap();
            assert_eq!(outside.names(), [""; 0]);
        }
    });
}

#[test]
fn a_damaged_list_of_names_is_an_error_of_clear_which_erases_what_it_knows() {
    on(Machine::Keyring, async |_| {
        let (vault, outside) = (vault(Layout::PerName), Outside::open());
        vault.set("a", secret(1, 8)).await.unwrap();
        outside.write("contrail-sync names", "damaged");
        assert_eq!(vault.get("a").await, Ok(Some(secret(1, 8))));
        assert_eq!(vault.clear("").await, Err(VaultError::Damaged));
        assert_eq!(outside.names(), [""; 0]);
        vault.clear("").await.unwrap();
    });
}

/// A writer that dies after `k` steps leaves what these items are: the parts of the next content, and not
/// yet its head.
#[test]
fn parts_of_a_content_that_was_never_finished_change_nothing_and_are_removed_later() {
    on(Machine::Keyring, async |_| {
        let (vault, outside) = (vault(SPLIT), Outside::open());
        for k in 1..=6 {
            vault.set("a", secret(1, 12_000)).await.unwrap();
            for part in 0..k {
                outside.write(&format!("part 1.{part} of contrail-sync/a"), "unfinished");
            }
            assert_eq!(vault.get("a").await, Ok(Some(secret(1, 12_000))));
            vault.set("a", secret(2, 6000)).await.unwrap();
            assert_eq!(vault.get("a").await, Ok(Some(secret(2, 6000))));
            let items = ["contrail-sync names", "contrail-sync/a"].map(str::to_owned);
            let parts = (0..3).map(|part| format!("part 1.{part} of contrail-sync/a"));
            assert_eq!(
                outside.names(),
                items.into_iter().chain(parts).collect::<Vec<_>>()
            );
            vault.delete("a").await.unwrap();
            assert_eq!(outside.names(), [""; 0]);
        }
    });
}

/// Set in the process that writes until it is killed.
const WRITER: &str = "CONTRAIL_VAULT_WRITER";

#[test]
fn a_writer_killed_at_any_moment_leaves_a_whole_secret() {
    if env::var_os(WRITER).is_some() {
        return write_until_killed();
    }
    on(Machine::Keyring, async |session| {
        for round in 0..12 {
            let mut writer = Command::new(env::current_exe().unwrap())
                .args(["--exact", session.test, "--nocapture", "--test-threads=1"])
                .env(WRITER, "1")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
            let written = lines.map(Result::unwrap).filter(|line| line == "written");
            assert_eq!(written.take(1 + round % 3).count(), 1 + round % 3);
            for _ in 0..round * 400_000 {
                std::hint::spin_loop();
            }
            writer.kill().unwrap();
            writer.wait().unwrap();
            let found = vault(SPLIT).get("a").await.unwrap().expect("a secret");
            assert!(found == secret(1, 5000) || found == secret(2, 10_000));
        }
        vault(SPLIT).clear("").await.unwrap();
        assert_eq!(Outside::open().names(), [""; 0]);
    });
}

#[tokio::main(flavor = "current_thread")]
async fn write_until_killed() {
    let vault = vault(SPLIT);
    for seed in (1..=2).cycle() {
        vault.set("a", secret(seed, 5000 * seed)).await.unwrap();
        println!("\nwritten");
    }
}

#[test]
fn the_default_vault_works_on_this_platform() {
    on(Machine::Keyring, async |_| {
        let vault = Vault::keyring(SERVICE);
        vault.set("a", secret(1, 8)).await.unwrap();
        assert_eq!(vault.state(), VaultState::Keyring);
        let item = Outside::open().read("contrail-sync/a");
        assert_eq!(item.as_deref(), Some(secret(1, 8).expose().as_bytes()));
        assert!(keyring_core::get_default_store().is_none());
    });
}
