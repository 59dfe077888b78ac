//! The profiles that a watch has been told, by DID.

use std::{collections::BTreeMap, sync::Arc};

use crate::{maps::FastMap, pure::protocol::profile::Profile};

/// Most bytes that the profiles of one watch have. Beyond it, those go that were told longest ago: whatever changes of them,
/// all are told and written.
pub const MAX_PROFILES_BYTES: usize = 512 * 1024;
/// What a profile costs beside its JSON.
const OVERHEAD: usize = 64;

/// What an appview told of the accounts that a list names: nothing unless the watch's query asks for it
/// (`profiles=true`), and nothing on a stream, which never has any. Cheap to clone.
///
/// Two are equal if they are the same ones, untouched since.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    by_did: Arc<BTreeMap<Arc<str>, Profile>>,
}

impl PartialEq for Profiles {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.by_did, &other.by_did) || self.is_empty() && other.is_empty()
    }
}

impl Profiles {
    /// The profile of an account, if it was told.
    pub fn get(&self, did: &str) -> Option<&Profile> {
        self.by_did.get(did)
    }

    /// All of them, by DID.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.by_did.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_did.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_did.is_empty()
    }
}

/// The profiles of a watch, and when each was told last.
#[derive(Debug, Default)]
pub(super) struct Known {
    profiles: Profiles,
    bytes: usize,
    /// Counts the answers.
    answers: u64,
    /// The answer that told of an account last; zero for what is of an earlier session.
    told: FastMap<Arc<str>, u64>,
}

impl Known {
    pub(super) fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    /// An answer of the appview has these. What it does not mention stays. Says whether that is news.
    pub(super) fn learn(&mut self, mut told: Vec<Profile>) -> bool {
        self.answers += 1;
        truncate(&mut told);
        for profile in &told {
            self.told.insert(profile.shared_did().clone(), self.answers);
        }
        told.retain(|it| self.profiles.get(it.did()) != Some(it));
        self.put(told)
    }

    /// Profiles of an earlier session, which only fill gaps.
    pub(super) fn restore(&mut self, mut told: Vec<Profile>) {
        told.retain(|it| self.profiles.get(it.did()).is_none());
        truncate(&mut told);
        for profile in &told {
            self.told.insert(profile.shared_did().clone(), 0);
        }
        self.put(told);
    }

    fn put(&mut self, told: Vec<Profile>) -> bool {
        if told.is_empty() {
            return false;
        }
        let by_did = Arc::make_mut(&mut self.profiles.by_did);
        for profile in told {
            self.bytes += size(&profile);
            let before = by_did.insert(profile.shared_did().clone(), profile);
            self.bytes -= before.as_ref().map_or(0, size);
        }
        if self.bytes > MAX_PROFILES_BYTES {
            let mut oldest: Vec<_> = self
                .told
                .iter()
                .map(|(did, at)| (*at, did.clone()))
                .collect();
            oldest.sort_unstable();
            for (_, did) in oldest {
                if self.bytes <= MAX_PROFILES_BYTES {
                    break;
                }
                self.told.remove(&did);
                let gone = by_did.remove(&did);
                self.bytes -= gone.as_ref().map_or(0, size);
            }
        }
        true
    }
}

fn size(profile: &Profile) -> usize {
    profile.json().len() + OVERHEAD
}

/// No more than there is room for: what would have to go again at once is no news each time.
fn truncate(told: &mut Vec<Profile>) {
    let mut room = MAX_PROFILES_BYTES;
    let fits = |it: &Profile| {
        let left = room.checked_sub(size(it));
        room = left.unwrap_or(0);
        left.is_some()
    };
    let count = told.iter().map(fits).take_while(|fits| *fits).count();
    told.truncate(count);
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
        let mut known = Known::default();
        assert!(!known.learn(Vec::new()));
        assert!(known.learn(vec![profile(1, "a.test"), profile(2, "b.test")]));
        let before = known.profiles().clone();
        assert!(!known.learn(vec![profile(2, "b.test")]));
        assert_eq!(*known.profiles(), before);
        assert!(known.learn(vec![profile(2, "c.test")]));
        assert_ne!(*known.profiles(), before);
        let profiles = known.profiles();
        let handle = |n| {
            let found = profiles.get(&format!("did:plc:{n:06}"));
            found.and_then(Profile::handle)
        };
        assert_eq!(
            (handle(1), handle(2), handle(3)),
            (Some("a.test"), Some("c.test"), None)
        );
    }

    #[test]
    fn what_was_kept_since_last_time_fills_gaps_only() {
        let mut known = Known::default();
        known.learn(vec![profile(1, "new.test")]);
        known.restore(vec![profile(1, "old.test"), profile(2, "b.test")]);
        let handles: Vec<_> = known
            .profiles()
            .iter()
            .filter_map(Profile::handle)
            .collect();
        assert_eq!(handles, ["new.test", "b.test"]);
    }

    #[test]
    fn beyond_the_bound_those_go_that_were_told_longest_ago() {
        let (mut known, handle) = (Known::default(), "x".repeat(60_000));
        let fit = MAX_PROFILES_BYTES / size(&profile(0, &handle));
        for n in 0..=fit {
            known.learn(vec![profile(n, &handle)]);
            // Of this one the appview says the same each time.
            known.learn(vec![profile(0, &handle)]);
        }
        let has = |known: &Known, n: usize| {
            let did = format!("did:plc:{n:06}");
            known.profiles().get(&did).is_some()
        };
        assert!(has(&known, 0) && !has(&known, 1) && has(&known, 2));
        let bytes: usize = known.profiles().iter().map(size).sum();
        assert_eq!(known.bytes, bytes);
        assert_eq!(known.told.len(), known.profiles().len());
    }

    #[test]
    fn an_answer_with_more_than_there_is_room_for_is_news_once() {
        let (mut known, handle) = (Known::default(), "x".repeat(60_000));
        let answer: Vec<_> = (0..20).map(|n| profile(n, &handle)).collect();
        assert!(known.learn(answer.clone()));
        assert!(known.bytes <= MAX_PROFILES_BYTES);
        assert!(!known.learn(answer));
    }
}
