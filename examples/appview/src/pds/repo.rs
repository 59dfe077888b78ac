//! The repos, and what a write does to them and to the appview's index.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::answer::Refusal;
use crate::pds::id::{cid_of, is_nsid, tid_of};
use crate::pds::log::Log;
use crate::record::{Delete, Put, check_did, check_rkey};
use crate::schema::COLLECTIONS;
use crate::world::{World, now_ms};

/// (did, NSID, rkey).
type Key = (String, String, String);

/// The repos of every account, and what goes with them. Locked before the rest of the [`World`], never after it, and for as
/// long as a public write takes: so the index hears of the writes in the order of the repo.
#[derive(Debug, Default)]
pub(crate) struct Pds {
    records: BTreeMap<Key, Kept>,
    /// The last commit of each repo.
    heads: HashMap<String, Commit>,
    last_tid_us: i64,
    /// The current DPoP nonce, if proofs are asked for.
    pub(crate) nonce: Option<String>,
    pub(crate) log: Log,
}

#[derive(Debug)]
struct Kept {
    cid: String,
    value: Value,
}

#[derive(Debug, Clone, Serialize)]
struct Commit {
    cid: String,
    rev: String,
}

/// What is done to a repo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Put,
    Delete,
}

/// The body of all three.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RepoWrite {
    repo: String,
    collection: String,
    #[serde(default)]
    rkey: Option<String>,
    #[serde(default)]
    record: Option<Map<String, Value>>,
    #[serde(default)]
    validate: Option<bool>,
    /// Absent: whatever the record is; `null`: there must be none.
    #[serde(default, deserialize_with = "present")]
    swap_record: Option<Option<String>>,
    #[serde(default)]
    swap_commit: Option<String>,
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// A write that was answered with a 200.
#[derive(Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) rkey: String,
    pub(crate) cid: Option<String>,
    /// Did it change anything?
    pub(crate) applied: bool,
    pub(crate) answer: Value,
}

impl Pds {
    /// A key that is later than every one before.
    pub(crate) fn next_tid(&mut self) -> String {
        self.last_tid_us = now_ms().saturating_mul(1000).max(self.last_tid_us + 1);
        tid_of(self.last_tid_us)
    }

    /// A record is in the repo; without a content id it gets the one of its content.
    pub(crate) fn keep(
        &mut self,
        did: &str,
        nsid: &str,
        rkey: &str,
        cid: Option<String>,
        value: Value,
    ) {
        let cid = cid.unwrap_or_else(|| cid_of(&value));
        let key = (did.into(), nsid.into(), rkey.into());
        self.records.insert(key, Kept { cid, value });
        self.commit(did);
    }

    /// A record is in the repo no more.
    pub(crate) fn forget(&mut self, did: &str, nsid: &str, rkey: &str) {
        self.records.remove(&(did.into(), nsid.into(), rkey.into()));
        self.commit(did);
    }

    fn commit(&mut self, did: &str) -> Commit {
        let rev = self.next_tid();
        let cid = cid_of(&json!([did, rev]));
        let commit = Commit { cid, rev };
        self.heads.insert(did.into(), commit.clone());
        commit
    }

    fn check_swaps(&self, write: &RepoWrite, current: Option<&str>) -> Result<(), Refusal> {
        let head = self.heads.get(&write.repo).map(|head| &*head.cid);
        if write.swap_commit.is_some() && write.swap_commit.as_deref() != head {
            let head = head.unwrap_or("null");
            return Err(Refusal::invalid_swap(format!("Commit was at {head}")));
        }
        let expected = write.swap_record.as_ref().map(Option::as_deref);
        if expected.is_some_and(|expected| expected != current) {
            let current = current.unwrap_or("null");
            return Err(Refusal::invalid_swap(format!("Record was at {current}")));
        }
        Ok(())
    }
}

impl RepoWrite {
    fn check(&self, owner: &str) -> Result<(), Refusal> {
        if check_did(&self.repo).is_err() {
            let message = format!("Could not find repo: {}", self.repo);
            return Err(Refusal::invalid(message));
        }
        if self.repo != owner {
            return Err(Refusal::NOT_YOUR_REPO);
        }
        if !is_nsid(&self.collection) {
            return Err(Refusal::invalid("collection must be a valid nsid"));
        }
        Ok(self.rkey.as_deref().map_or(Ok(()), check_rkey)?)
    }

    fn rkey(&self) -> Result<String, Refusal> {
        let missing = || Refusal::invalid("Input must have the property \"rkey\"");
        self.rkey.clone().ok_or_else(missing)
    }

    /// The record as it is stored: with its `$type`.
    fn value(&self) -> Result<Value, Refusal> {
        let missing = || Refusal::invalid("Input must have the property \"record\"");
        let mut record = self.record.clone().ok_or_else(missing)?;
        let expected = &self.collection;
        let of_type = record
            .entry("$type")
            .or_insert_with(|| expected.as_str().into());
        if self.validate != Some(false) && of_type != expected {
            return Err(Refusal::invalid(format!(
                "Invalid $type: expected {expected}, got {of_type}"
            )));
        }
        if self.validate == Some(true) {
            // It knows no lexicons, as a PDS that has never heard of the app.
            return Err(Refusal::invalid(format!(
                "Lexicon not found: lex:{expected}"
            )));
        }
        Ok(record.into())
    }

    fn uri(&self, rkey: &str) -> String {
        format!("at://{}/{}/{rkey}", self.repo, self.collection)
    }
}

impl World {
    /// Does to the repo, and to the index, what is asked for; twice, if that is wanted and it changes anything.
    pub(crate) fn write_repo(
        &self,
        action: Action,
        write: &RepoWrite,
        owner: &str,
        twice: bool,
    ) -> Result<Written, Refusal> {
        write.check(owner)?;
        let mut pds = self.pds();
        if action == Action::Delete {
            return self.delete_from_repo(&mut pds, write, twice);
        }
        let value = write.value()?;
        let rkey = match (action, &write.rkey) {
            (Action::Create, None) => pds.next_tid(),
            _ => write.rkey()?,
        };
        let cid = cid_of(&value);
        let key = (write.repo.clone(), write.collection.clone(), rkey.clone());
        let current = pds.records.get(&key).map(|kept| &*kept.cid);
        let mut answer = json!({ "uri": write.uri(&rkey), "cid": cid });
        if write.validate != Some(false) {
            answer["validationStatus"] = "unknown".into();
        }
        let has_nothing_to_do = action == Action::Put && current == Some(&*cid);
        if !has_nothing_to_do {
            pds.check_swaps(write, current)?;
            if action == Action::Create && current.is_some() {
                let message = format!("There is already a value at key: {}/{rkey}", key.1);
                return Err(Refusal::invalid(message));
            }
            answer["commit"] = json!(self.store_in_repo(&mut pds, write, &rkey, &value)?);
        }
        if twice && !has_nothing_to_do {
            // The same once more; a record whose key the server chooses gets another.
            let again = write.rkey.clone().unwrap_or_else(|| pds.next_tid());
            self.store_in_repo(&mut pds, write, &again, &value)?;
        }
        Ok(Written {
            rkey,
            cid: Some(cid),
            applied: !has_nothing_to_do,
            answer,
        })
    }

    fn store_in_repo(
        &self,
        pds: &mut Pds,
        write: &RepoWrite,
        rkey: &str,
        value: &Value,
    ) -> Result<Option<Commit>, Refusal> {
        let (did, nsid) = (&write.repo, &write.collection);
        let cid = cid_of(value);
        if let Some(collection) = COLLECTIONS.iter().find(|it| it.nsid == nsid) {
            self.take_put(Put {
                collection: collection.short.into(),
                did: did.clone(),
                rkey: rkey.into(),
                record: value.clone(),
                cid: Some(cid.clone()),
                ..Put::default()
            })?;
        }
        pds.keep(did, nsid, rkey, Some(cid), value.clone());
        Ok(pds.heads.get(did).cloned())
    }

    fn delete_from_repo(
        &self,
        pds: &mut Pds,
        write: &RepoWrite,
        twice: bool,
    ) -> Result<Written, Refusal> {
        let (did, nsid, rkey) = (&write.repo, &write.collection, write.rkey()?);
        let key = (did.clone(), nsid.clone(), rkey.clone());
        let Some(current) = pds.records.get(&key) else {
            return Ok(Written {
                rkey,
                cid: None,
                applied: false,
                answer: json!({}),
            });
        };
        pds.check_swaps(write, Some(&current.cid))?;
        pds.forget(did, nsid, &rkey);
        let collection = COLLECTIONS.iter().find(|it| it.nsid == nsid);
        for _ in 0..1 + usize::from(twice) {
            let Some(collection) = collection else { break };
            self.take_delete(Delete {
                collection: collection.short.into(),
                did: did.clone(),
                rkey: rkey.clone(),
                ..Delete::default()
            })?;
        }
        let answer = json!({ "commit": pds.heads.get(did) });
        Ok(Written {
            rkey,
            cid: None,
            applied: true,
            answer,
        })
    }

    /// A record of a repo, as `getRecord` tells it.
    pub(crate) fn repo_record(&self, did: &str, nsid: &str, rkey: &str) -> Option<(String, Value)> {
        let pds = self.pds();
        let kept = pds.records.get(&(did.into(), nsid.into(), rkey.into()))?;
        Some((kept.cid.clone(), kept.value.clone()))
    }
}
