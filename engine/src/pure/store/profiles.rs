//! The profiles that a watch has been told, by DID.

use std::{collections::BTreeMap, sync::Arc};

use crate::pure::protocol::profile::Profile;

/// Most bytes of JSON that the profiles of one watch have. Beyond it, those go that were told longest ago.
pub const MAX_PROFILES_BYTES: usize = 2 * 1024 * 1024;

/// What an appview told of the accounts that a list names: nothing unless the watch's query asks for it
/// (`profiles=true`), and nothing on a stream, which never has any. Cheap to clone.
///
/// Two are equal if they are the same ones, untouched since.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    known: Arc<Known>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    by_did: BTreeMap<Arc<str>, Told>,
    bytes: usize,
    /// Counts the answers that had profiles.
    answers: u64,
}

#[derive(Debug, Clone)]
struct Told {
    profile: Profile,
    /// The answer that told it last.
    answer: u64,
}

impl PartialEq for Profiles {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.known, &other.known) || self.is_empty() && other.is_empty()
    }
}

impl Profiles {
    /// The profile of an account, if it was told.
    pub fn get(&self, did: &str) -> Option<&Profile> {
        self.known.by_did.get(did).map(|it| &it.profile)
    }

    /// All of them, by DID.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.known.by_did.values().map(|it| &it.profile)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.by_did.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.by_did.is_empty()
    }

    /// An answer of the appview has these. What it does not mention stays. Says whether that is news.
    pub(super) fn learn(&mut self, told: Vec<Profile>) -> bool {
        if told.iter().all(|it| self.get(it.did()) == Some(it)) {
            return false;
        }
        let known = Arc::make_mut(&mut self.known);
        known.answers += 1;
        for profile in told {
            known.put(profile, known.answers);
        }
        known.keep_to(MAX_PROFILES_BYTES);
        true
    }

    /// Profiles of an earlier session, which only fill gaps.
    pub(super) fn restore(&mut self, mut told: Vec<Profile>) {
        told.retain(|it| self.get(it.did()).is_none());
        if told.is_empty() {
            return;
        }
        let known = Arc::make_mut(&mut self.known);
        for profile in told {
            known.put(profile, 0);
        }
        known.keep_to(MAX_PROFILES_BYTES);
    }
}

impl Known {
    fn put(&mut self, profile: Profile, answer: u64) {
        self.bytes += profile.json().len();
        let did = profile.shared_did().clone();
        let before = self.by_did.insert(did, Told { profile, answer });
        self.bytes -= before.map_or(0, |it| it.profile.json().len());
    }

    fn keep_to(&mut self, bytes: usize) {
        if self.bytes <= bytes {
            return;
        }
        let told = self.by_did.iter();
        let mut oldest: Vec<_> = told.map(|(did, it)| (it.answer, did.clone())).collect();
        oldest.sort_unstable();
        for (_, did) in oldest {
            if self.bytes <= bytes {
                break;
            }
            let gone = self.by_did.remove(&did);
            self.bytes -= gone.map_or(0, |it| it.profile.json().len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(n: usize, handle: &str) -> Profile {
        Profile::parse(&format!(
            r#"{{"did":"did:plc:{n:06}","handle":"{handle}"}}"#
        ))
        .unwrap()
    }

    #[test]
    fn the_last_word_counts_and_one_that_says_nothing_new_is_no_news() {
        let mut profiles = Profiles::default();
        assert!(!profiles.learn(Vec::new()));
        assert!(profiles.learn(vec![profile(1, "a.test"), profile(2, "b.test")]));
        let before = profiles.clone();
        assert!(!profiles.learn(vec![profile(2, "b.test")]));
        assert_eq!(profiles, before);
        assert!(profiles.learn(vec![profile(2, "c.test")]));
        assert_ne!(profiles, before);
        let handle = |n| {
            profiles
                .get(&format!("did:plc:{n:06}"))
                .and_then(Profile::handle)
        };
        assert_eq!(
            (handle(1), handle(2), handle(3)),
            (Some("a.test"), Some("c.test"), None)
        );
    }

    #[test]
    fn what_was_kept_since_last_time_fills_gaps_only() {
        let mut profiles = Profiles::default();
        profiles.learn(vec![profile(1, "new.test")]);
        profiles.restore(vec![profile(1, "old.test"), profile(2, "b.test")]);
        let handles: Vec<_> = profiles.iter().filter_map(Profile::handle).collect();
        assert_eq!(handles, ["new.test", "b.test"]);
    }

    #[test]
    fn beyond_the_bound_those_go_that_were_told_longest_ago() {
        let (mut profiles, handle) = (Profiles::default(), "x".repeat(60_000));
        let fit = MAX_PROFILES_BYTES / profile(0, &handle).json().len();
        for n in 0..=fit {
            profiles.learn(vec![profile(n, &handle)]);
            // Of this one the appview has something new to say each time.
            profiles.learn(vec![profile(0, &format!("{n:06}"))]);
        }
        assert!(profiles.known.bytes <= MAX_PROFILES_BYTES);
        assert!(profiles.get("did:plc:000000").is_some());
        assert!(
            profiles.get("did:plc:000001").is_some(),
            "there is room for it"
        );
        for n in fit + 1..fit + 3 {
            profiles.learn(vec![profile(n, &handle)]);
        }
        assert!(profiles.get("did:plc:000001").is_none());
        let bytes: usize = profiles.iter().map(|it| it.json().len()).sum();
        assert_eq!(profiles.known.bytes, bytes);
    }
}
