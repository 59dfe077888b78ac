//! What the keyring has not said to have done.

use std::collections::BTreeMap;

use super::{NAMES_MAX, Secret, owner::Op};

/// Changes that are in memory and may be missing in the keyring, each with the number of its write. They can be made up for
/// however often: what is cleared first, then single names, then secrets.
#[derive(Default)]
pub(super) struct Arrears {
    cleared: BTreeMap<String, u64>,
    deleted: BTreeMap<String, u64>,
    set: BTreeMap<String, u64>,
}

impl Arrears {
    pub(super) fn set(&mut self, name: &str, write: u64) {
        self.deleted.remove(name);
        note(&mut self.set, name, write);
    }

    pub(super) fn delete(&mut self, name: &str, write: u64) {
        self.set.remove(name);
        note(&mut self.deleted, name, write);
    }

    /// `known`: names with this prefix that may be missing in the keyring's index.
    pub(super) fn clear(&mut self, prefix: &str, known: &[String], write: u64) {
        self.set.retain(|name, _| !name.starts_with(prefix));
        self.cleared.retain(|other, _| !other.starts_with(prefix));
        note(&mut self.cleared, prefix, write);
        for name in known {
            note(&mut self.deleted, name, write);
        }
    }

    pub(super) fn settle(&mut self, write: u64) {
        for owed in [&mut self.cleared, &mut self.deleted, &mut self.set] {
            owed.retain(|_, of| *of != write);
        }
    }

    /// All of it, as the keyring's thread does it.
    pub(super) fn ops(&self, secret: impl Fn(&str) -> Option<Secret>) -> Vec<(u64, Op)> {
        let cleared = self.cleared.iter().map(|(prefix, write)| {
            let (prefix, known) = (prefix.clone(), Vec::new());
            (*write, Op::Clear { prefix, known })
        });
        let deleted = self.deleted.iter();
        let deleted = deleted.map(|(name, write)| (*write, Op::Delete(name.clone())));
        let set = self.set.iter().filter_map(|(name, write)| {
            let secret = secret(name)?;
            Some((*write, Op::Set(name.clone(), secret)))
        });
        cleared.chain(deleted).chain(set).collect()
    }
}

/// Bounded, as a keyring may be away for as long as the app runs: what is beyond was answered with an error.
fn note(owed: &mut BTreeMap<String, u64>, what: &str, write: u64) {
    if owed.len() < NAMES_MAX || owed.contains_key(what) {
        owed.insert(what.into(), write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arrears: &Arrears) -> Vec<String> {
        let ops = arrears.ops(|name| Some(Secret::new(name)));
        let tell = |(write, op)| match op {
            Op::Clear { prefix, .. } => format!("{write} clear {prefix}"),
            Op::Delete(name) => format!("{write} delete {name}"),
            Op::Set(name, _) => format!("{write} set {name}"),
            Op::Get(_) | Op::Look => unreachable!("nothing to make up for"),
        };
        ops.into_iter().map(tell).collect()
    }

    #[test]
    fn what_is_made_up_for_ends_as_what_was_done() {
        let mut arrears = Arrears::default();
        arrears.set("a/1", 1);
        arrears.set("b/1", 2);
        arrears.delete("b/2", 3);
        arrears.clear("a/x", &[], 4);
        arrears.clear("a/", &["a/1".into()], 5);
        arrears.set("a/2", 6);
        arrears.set("b/2", 7);
        arrears.delete("b/1", 8);
        let all = [
            "5 clear a/",
            "5 delete a/1",
            "8 delete b/1",
            "6 set a/2",
            "7 set b/2",
        ];
        assert_eq!(told(&arrears), all);
        // Only the last word on a name settles it.
        for old in [1, 2, 3, 4] {
            arrears.settle(old);
        }
        assert_eq!(told(&arrears), all);
        for last in [5, 7] {
            arrears.settle(last);
        }
        assert_eq!(told(&arrears), ["8 delete b/1", "6 set a/2"]);
    }

    #[test]
    fn a_keyring_that_is_away_for_long_does_not_cost_more_and_more() {
        let mut arrears = Arrears::default();
        for n in 0..3 * NAMES_MAX as u64 {
            arrears.delete(&format!("a/{n}"), n);
            arrears.clear(&format!("{n}"), &[], n);
        }
        assert_eq!(told(&arrears).len(), 2 * NAMES_MAX);
    }
}
