//! What a vault holds in memory, beside or instead of the keyring.

use std::collections::BTreeMap;

use super::{NAMES_MAX, Secret, VaultError};

/// What this process wrote and read, so that nothing of it is lost when the keyring is.
#[derive(Default)]
pub(super) struct Memory {
    secrets: BTreeMap<String, Secret>,
    /// Counts writes: an answer read before a write must not hide it.
    writes: u64,
}

impl Memory {
    /// How often something was written: pass it to [`Memory::learn`].
    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    pub(super) fn get(&self, name: &str) -> Option<Secret> {
        self.secrets.get(name).cloned()
    }

    pub(super) fn keep(&mut self, name: &str, secret: Secret) -> Result<(), VaultError> {
        if self.secrets.len() >= NAMES_MAX && !self.secrets.contains_key(name) {
            return Err(VaultError::Full);
        }
        self.writes += 1;
        self.secrets.insert(name.into(), secret);
        Ok(())
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

    /// Drops what matches and returns its names.
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
