use std::collections::BTreeMap;

use super::*;

/// A vault on a keyring that does what it is asked at once, and what that keyring holds in the end.
fn on_a_map() -> (Vault, std::thread::JoinHandle<BTreeMap<String, Secret>>) {
    let vault = Vault::new("test".into(), VaultOptions::default(), VaultState::Keyring);
    let (commands, mut queue) = mpsc::channel::<Command>(QUEUE);
    vault.inner.owner.set(commands).unwrap();
    let keyring = std::thread::spawn(move || {
        let mut items = BTreeMap::new();
        while let Some(Command { op, reply, .. }) = queue.blocking_recv() {
            match op {
                Op::Set(name, secret) => drop(items.insert(name, secret)),
                Op::Delete(name) => drop(items.remove(&name)),
                Op::Clear { prefix, .. } => items.retain(|name, _| !name.starts_with(&prefix)),
                Op::Get(_) | Op::Look => {}
            }
            let _ = reply.send(Ok(None));
        }
        items
    });
    (vault, keyring)
}

#[tokio::test]
async fn a_secret_that_is_not_wanted_when_its_turn_comes_is_nowhere() {
    for unwanted in [Vault::memory(), on_a_map().0] {
        let set = unwanted.set_while("a/1", Secret::new("x"), || false);
        set.await.unwrap();
        assert_eq!(unwanted.remembered().get("a/1"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_calls_at_once_the_same_one_is_the_last_in_memory_and_in_the_keyring() {
    for round in 0..200 {
        let (vault, keyring) = on_a_map();
        let calls = (0..64).map(|n| {
            let vault = vault.clone();
            tokio::spawn(async move {
                match n % 4 {
                    0 => vault.clear("a").await,
                    1 => vault.delete("a/1").await,
                    _ => vault.set("a/1", Secret::new(n.to_string())).await,
                }
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap().unwrap();
        }
        let remembered = vault.remembered().get("a/1");
        drop(vault);
        let kept = keyring.join().unwrap();
        assert_eq!(kept.get("a/1").cloned(), remembered, "round {round}");
    }
}
