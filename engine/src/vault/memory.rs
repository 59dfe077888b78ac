//! What a vault holds in memory, beside or instead of the keyring.

use std::collections::BTreeMap;

use super::{NAMES_MAX, Secret, VaultError, arrears::Arrears, owner::Op};

/// What this process wrote and read, so that nothing of it is lost when the keyring is.
#[derive(Default)]
pub(super) struct Memory {
    secrets: BTreeMap<String, Secret>,
    /// Counts writes: an answer read before a write must not hide it.
    writes: u64,
    arrears: Arrears,
}

impl Memory {
    /// How often something was written: pass it to [`Memory::learn`].
    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    pub(super) fn get(&self, name: &str) -> Option<Secret> {
        self.secrets.get(name).cloned()
    }

    /// Keeps a secret, which the keyring owes from then on. Gives the write's number, for [`Memory::settle`].
    pub(super) fn keep(&mut self, name: &str, secret: Secret) -> Result<u64, VaultError> {
        if self.secrets.len() >= NAMES_MAX && !self.secrets.contains_key(name) {
            return Err(VaultError::Full);
        }
        self.writes += 1;
        self.secrets.insert(name.into(), secret);
        self.arrears.set(name, self.writes);
        Ok(self.writes)
    }

    /// Drops a secret, which the keyring has to do as well. Gives the write's number.
    pub(super) fn delete(&mut self, name: &str) -> u64 {
        self.forget(|kept| kept == name);
        self.arrears.delete(name, self.writes);
        self.writes
    }

    /// The same for all whose name begins with `prefix`. Gives their names as well, with those that are `known` already.
    pub(super) fn clear(&mut self, prefix: &str, mut known: Vec<String>) -> (u64, Vec<String>) {
        known.extend(self.forget(|kept| kept.starts_with(prefix)));
        self.arrears.clear(prefix, &known, self.writes);
        (self.writes, known)
    }

    /// The keyring did what this write asks, or never will.
    pub(super) fn settle(&mut self, write: u64) {
        self.arrears.settle(write);
    }

    /// What the keyring has not done yet, in the order in which it should, with the numbers of the writes.
    pub(super) fn owed(&self) -> Vec<(u64, Op)> {
        self.arrears.ops(|name| self.get(name))
    }

    /// Takes over what the keyring answered, unless something was written since.
    pub(super) fn learn(&mut self, before: u64, name: &str, found: Option<Secret>) {
        if self.writes != before {
            return;
        }
        match found {
            Some(secret) if self.secrets.len() < NAMES_MAX => {
                self.secrets.insert(name.into(), secret);
            }
            _ => {
                self.secrets.remove(name);
            }
        }
    }

    /// Drops what matches, here alone, and returns its names.
    pub(super) fn forget(&mut self, matches: impl Fn(&str) -> bool) -> Vec<String> {
        self.writes += 1;
        self.secrets
            .extract_if(.., |name, _| matches(name))
            .map(|(name, _)| name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_remembered_unless_something_was_written_since_the_question() {
        let mut memory = Memory::default();
        let before = memory.writes();
        memory.learn(before, "a", Some(Secret::new("found")));
        assert_eq!(memory.get("a"), Some(Secret::new("found")));
        memory.learn(before, "a", None);
        assert_eq!(memory.get("a"), None);

        memory.keep("a", Secret::new("new")).expect("room");
        memory.learn(before, "a", Some(Secret::new("old")));
        assert_eq!(memory.get("a"), Some(Secret::new("new")));
        let before = memory.writes();
        memory.forget(|name| name == "a");
        memory.learn(before, "a", Some(Secret::new("new")));
        assert_eq!(memory.get("a"), None);
    }
}
