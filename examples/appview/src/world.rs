//! The data: spaces, members, records, and the feed of changes to them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::sync::broadcast;

use crate::Error;
use crate::record::{Bulk, Change, Delete, Put, Record, What, check_did, check_rkey, collection};

/// How far back a Durable Object's replay buffer reaches, in milliseconds.
const REPLAY_MS: i64 = 15_000;
/// How many events it holds.
const REPLAY_EVENTS: usize = 500;
/// Changes a watch may lag behind before its connection is cut.
const FEED_CAPACITY: usize = 8192;
/// Bound on one `bulk` call.
const BULK_MAX: usize = 100_000;

/// Now, in Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}

#[derive(Debug, Default)]
struct Space {
    owner: String,
    members: BTreeSet<String>,
    invites: BTreeSet<String>,
    recent: VecDeque<Arc<Change>>,
    bulk_written: usize,
}

/// (space, collection, did, rkey): identity, and the order that makes one collection of one space a range.
type Key = (Option<Arc<str>>, &'static str, String, String);

#[derive(Debug, Default)]
struct State {
    /// Time of the last change, and of the last handshake: a change lies after every earlier handshake, and
    /// not after a later one, even within one millisecond.
    last_change_ms: i64,
    last_handshake_ms: i64,
    spaces: HashMap<Arc<str>, Space>,
    records: BTreeMap<Key, Arc<Record>>,
}

/// Why a caller may not read a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    NoSpace,
    NotMember,
    BadInvite,
}

/// Everything the appview stores. Shared between servers, it outlives each of them.
#[derive(Debug)]
pub struct World {
    state: Mutex<State>,
    feed: broadcast::Sender<Arc<Change>>,
    secret: [u8; 32],
}

impl World {
    /// An empty world with a random ticket secret.
    pub fn new() -> Result<Arc<Self>, Error> {
        Ok(Self::with_secret(random_bytes()?))
    }

    /// An empty world whose tickets are signed with `secret`.
    pub fn with_secret(secret: [u8; 32]) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            feed: broadcast::channel(FEED_CAPACITY).0,
            secret,
        })
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the space `ats://<owner>/com.example.space/<key>`, or finds it; the owner is a member.
    pub fn space(&self, key: &str, owner: &str) -> Result<String, Error> {
        check_did(owner)?;
        check_rkey(key)?;
        let uri = format!("ats://{owner}/com.example.space/{key}");
        self.lock()
            .spaces
            .entry(uri.as_str().into())
            .or_insert_with(|| Space {
                owner: owner.into(),
                members: [owner.to_owned()].into(),
                ..Space::default()
            });
        Ok(uri)
    }

    /// Lets `did` read the space.
    pub fn add_member(&self, space_uri: &str, did: &str) -> Result<(), Error> {
        check_did(did)?;
        let mut state = self.lock();
        state.space(space_uri)?.members.insert(did.to_owned());
        Ok(())
    }

    /// Takes access away: open watches of `did` on the space end.
    pub fn kick(&self, space_uri: &str, did: &str) -> Result<(), Error> {
        let mut state = self.lock();
        state.space(space_uri)?.members.remove(did);
        let did = did.to_owned();
        self.publish(&mut state, Some(space_uri.into()), What::Kicked { did });
        Ok(())
    }

    /// A new invite token that reads the space.
    pub fn invite(&self, space_uri: &str) -> Result<String, Error> {
        let token = crate::ticket::base64(&random_bytes::<32>()?);
        let mut state = self.lock();
        state.space(space_uri)?.invites.insert(token.clone());
        Ok(token)
    }

    /// Writes a record and answers its URI.
    pub fn put(&self, put: Put) -> Result<String, Error> {
        let collection = collection(&put.collection)?;
        check_did(&put.did)?;
        check_rkey(&put.rkey)?;
        let mut state = self.lock();
        let space = state.known(put.space_uri.as_deref())?;
        let key = (
            space.clone(),
            collection.nsid,
            put.did.clone(),
            put.rkey.clone(),
        );
        let known = state.records.get(&key).map(|known| known.created_ms);
        let record = Arc::new(Record {
            space: space.clone(),
            collection,
            did: put.did,
            rkey: put.rkey,
            cid: put.cid,
            value: put.record,
            created_ms: put.created_at.or(known).unwrap_or_else(now_ms),
        });
        let uri = record.uri();
        state.records.insert(key, record.clone());
        if !put.silent {
            self.publish(&mut state, space, What::Put(record));
        }
        Ok(uri)
    }

    /// Deletes a record and answers whether it existed. Watchers are told in both cases.
    pub fn delete(&self, delete: Delete) -> Result<bool, Error> {
        let collection = collection(&delete.collection)?;
        check_did(&delete.did)?;
        check_rkey(&delete.rkey)?;
        let mut state = self.lock();
        let space = state.known(delete.space_uri.as_deref())?;
        let (did, rkey) = (delete.did, delete.rkey);
        let key = (space.clone(), collection.nsid, did.clone(), rkey.clone());
        let existed = state.records.remove(&key).is_some();
        if !delete.silent {
            let what = What::Deleted {
                collection,
                did,
                rkey,
            };
            self.publish(&mut state, space, what);
        }
        Ok(existed)
    }

    /// Writes `n` messages of the space's owner, one millisecond apart, the last one now, with keys that go
    /// on where the last call ended: `b000000`, `b000001`, …
    pub fn bulk(&self, bulk: Bulk) -> Result<(), Error> {
        if bulk.n > BULK_MAX {
            return Err(Error::TooMany(BULK_MAX));
        }
        let (owner, first) = {
            let mut state = self.lock();
            let space = state.space(&bulk.space_uri)?;
            let first = space.bulk_written;
            space.bulk_written += bulk.n;
            (space.owner.clone(), first)
        };
        let filler = "x".repeat(bulk.size);
        let oldest = now_ms() - i64::try_from(bulk.n).unwrap_or(0) + 1;
        for (at, number) in (oldest..).zip(first..first + bulk.n) {
            self.put(Put {
                space_uri: Some(bulk.space_uri.clone()),
                collection: "message".into(),
                did: owner.clone(),
                rkey: format!("b{number:06}"),
                record: json!({ "text": format!("m{number} {filler}") }),
                created_at: Some(at),
                silent: bulk.silent,
                cid: None,
            })?;
        }
        Ok(())
    }

    /// May `did` read the space?
    pub(crate) fn may_read(&self, space_uri: &str, did: &str) -> Result<(), Denied> {
        let state = self.lock();
        let space = state.spaces.get(space_uri).ok_or(Denied::NoSpace)?;
        if space.members.contains(did) {
            Ok(())
        } else {
            Err(Denied::NotMember)
        }
    }

    /// Does this invite token read the space?
    pub(crate) fn may_read_by_invite(&self, space_uri: &str, token: &str) -> Result<(), Denied> {
        let state = self.lock();
        let space = state.spaces.get(space_uri).ok_or(Denied::NoSpace)?;
        if space.invites.contains(token) {
            Ok(())
        } else {
            Err(Denied::BadInvite)
        }
    }

    /// Every change from now on.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Arc<Change>> {
        self.feed.subscribe()
    }

    /// Changes that the slowest of those who follow has not taken yet.
    pub(crate) fn behind(&self) -> usize {
        self.feed.len()
    }

    /// A time that lies between the changes so far and the ones to come.
    pub(crate) fn mark(&self) -> i64 {
        let mut state = self.lock();
        state.last_handshake_ms = now_ms().max(state.last_change_ms);
        state.last_handshake_ms
    }

    /// Every change from now on, and what the space's replay buffer holds that is newer than `since_ms`.
    pub(crate) fn follow_since(
        &self,
        space_uri: &str,
        since_ms: i64,
    ) -> (Vec<Arc<Change>>, broadcast::Receiver<Arc<Change>>) {
        let state = self.lock();
        let newer = since_ms.max(now_ms() - REPLAY_MS);
        let replay = state.spaces.get(space_uri).map(|space| {
            let recent = space.recent.iter();
            recent
                .filter(|change| change.at_ms > newer)
                .cloned()
                .collect()
        });
        (replay.unwrap_or_default(), self.feed.subscribe())
    }

    /// The records of one collection in one space.
    pub(crate) fn in_space(&self, space_uri: &str, nsid: &'static str) -> Vec<Arc<Record>> {
        let space: Option<Arc<str>> = Some(space_uri.into());
        let from = (space.clone(), nsid, String::new(), String::new());
        let state = self.lock();
        let from_here = state.records.range(from..);
        from_here
            .take_while(|(key, _)| key.0 == space && key.1 == nsid)
            .map(|(_, record)| record.clone())
            .collect()
    }

    /// The records of one collection, everywhere, that `wanted` picks.
    pub(crate) fn everywhere(
        &self,
        nsid: &'static str,
        wanted: impl Fn(&Record) -> bool,
    ) -> Vec<Arc<Record>> {
        let state = self.lock();
        let all = state.records.values();
        all.filter(|record| record.collection.nsid == nsid && wanted(record))
            .cloned()
            .collect()
    }

    /// The record with this URI in one space, or outside.
    pub(crate) fn find(
        &self,
        space: Option<&Arc<str>>,
        nsid: &'static str,
        uri: &str,
    ) -> Option<Arc<Record>> {
        let (did, path) = uri.strip_prefix("at://")?.split_once('/')?;
        let rkey = path.strip_prefix(nsid)?.strip_prefix('/')?;
        let key = (space.cloned(), nsid, did.to_owned(), rkey.to_owned());
        self.lock().records.get(&key).cloned()
    }

    /// Called under the lock, so that everyone sees changes in the order in which they were made.
    fn publish(&self, state: &mut State, space: Option<Arc<str>>, what: What) {
        let at_ms = now_ms()
            .max(state.last_change_ms)
            .max(state.last_handshake_ms + 1);
        state.last_change_ms = at_ms;
        let change = Arc::new(Change { at_ms, space, what });
        // A kick is not replayed: who reconnects with a valid ticket stays.
        let kept = !matches!(change.what, What::Kicked { .. });
        let space = change.space.as_ref().filter(|_| kept);
        if let Some(space) = space.and_then(|uri| state.spaces.get_mut(uri)) {
            while space.recent.len() >= REPLAY_EVENTS
                || space
                    .recent
                    .front()
                    .is_some_and(|old| old.at_ms < at_ms - REPLAY_MS)
            {
                space.recent.pop_front();
            }
            space.recent.push_back(change.clone());
        }
        // Nobody listening is no error.
        let _ = self.feed.send(change);
    }
}

impl State {
    fn space(&mut self, uri: &str) -> Result<&mut Space, Error> {
        let unknown = || Error::UnknownSpace(uri.to_owned());
        self.spaces.get_mut(uri).ok_or_else(unknown)
    }

    fn known(&self, uri: Option<&str>) -> Result<Option<Arc<str>>, Error> {
        let Some(uri) = uri else { return Ok(None) };
        let known = self.spaces.get_key_value(uri);
        let unknown = || Error::UnknownSpace(uri.to_owned());
        known.map(|(uri, _)| Some(uri.clone())).ok_or_else(unknown)
    }
}

pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
    Ok(bytes)
}
