//! The data: spaces, members, communities, and who may read what. Records are in [`crate::writes`], the feed of changes
//! to all of it in [`crate::feed`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::Error;
use crate::feed::{Clock, FEED_CAPACITY, Object};
use crate::ingest::Ingest;
use crate::pds::Pds;
use crate::record::{Change, Community, Record, What, check_did, check_rkey};
use crate::settings::{Lenient, Losses};

/// Spaces that every community has.
const RESERVED: [&str; 2] = ["$admin", "$publishers"];

/// Now, in Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}

#[derive(Debug, Default)]
pub(crate) struct Space {
    pub(crate) owner: String,
    pub(crate) members: BTreeSet<String>,
    invites: BTreeSet<String>,
    /// Its records stay, as on the real server, for whoever still holds a ticket.
    is_deleted: bool,
    pub(crate) object: Object,
    pub(crate) bulk_written: usize,
}

/// (space, collection, did, rkey): identity, and the order that makes one collection of one space a range.
pub(crate) type Key = (Option<Arc<str>>, &'static str, String, String);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) lenient: Lenient,
    pub(crate) losses: Losses,
    pub(crate) ingest: Ingest,
    pub(crate) clock: Clock,
    pub(crate) spaces: HashMap<Arc<str>, Space>,
    pub(crate) communities: BTreeSet<String>,
    pub(crate) records: BTreeMap<Key, Arc<Record>>,
    /// Records first written so far.
    pub(crate) rows: u64,
}

/// Why a caller may not read a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    NoSpace,
    NotMember,
    BadInvite,
}

/// A space that an invite token opens; see [`World::open_space`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenSpace {
    /// Its URI.
    pub uri: String,
    /// `spaceUri=…&inviteToken=…`: the query of a watch, or of a list, that needs no ticket.
    pub query: String,
}

/// Everything the appview stores. Shared between servers, it outlives each of them.
#[derive(Debug)]
pub struct World {
    state: Mutex<State>,
    pds: Mutex<Pds>,
    pub(crate) feed: broadcast::Sender<Arc<Change>>,
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
            pds: Mutex::default(),
            feed: broadcast::channel(FEED_CAPACITY).0,
            secret,
        })
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The repos. Never asked for while the rest is locked.
    pub(crate) fn pds(&self) -> MutexGuard<'_, Pds> {
        self.pds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is allowed though the real server does not allow it.
    pub fn lenient(&self) -> Lenient {
        self.lock().lenient
    }

    /// Allows this from now on, and nothing else.
    pub fn set_lenient(&self, lenient: Lenient) {
        self.lock().lenient = lenient;
    }

    /// What is lost.
    pub fn losses(&self) -> Losses {
        self.lock().losses
    }

    /// Loses this from now on, and nothing else. Watches that are open go on as they were.
    pub fn set_losses(&self, losses: Losses) {
        self.lock().losses = losses;
    }

    /// Creates the space `ats://<owner>/com.example.space/<key>`, or finds it; the owner is a member.
    pub fn space(&self, key: &str, owner: &str) -> Result<String, Error> {
        check_did(owner)?;
        check_rkey(key)?;
        Ok(self.lock().make_space(key, owner))
    }

    /// Creates or finds the space, with a new invite token to it.
    pub fn open_space(&self, key: &str, owner: &str) -> Result<OpenSpace, Error> {
        let uri = self.space(key, owner)?;
        let token = self.invite(&uri)?;
        let pairs = [("spaceUri", &uri), ("inviteToken", &token)];
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        Ok(OpenSpace { uri, query })
    }

    /// Deletes the space. Its records stay, for whoever has a ticket for it: that is not asked for more.
    pub fn delete_space(&self, space_uri: &str) -> Result<(), Error> {
        let mut state = self.lock();
        let space = state.space(space_uri)?;
        space.is_deleted = true;
        let members = std::mem::take(&mut space.members);
        if !state.losses.space_deletion {
            for did in members {
                self.publish(&mut state, Some(space_uri.into()), What::Kicked { did });
            }
        }
        Ok(())
    }

    /// Makes `did` a community, with spaces; or gives the one that there is more spaces and members. Answers the URIs of
    /// the spaces named.
    pub fn community(&self, community: &Community) -> Result<Vec<String>, Error> {
        let Community {
            did,
            spaces,
            members,
            admins,
        } = community;
        let people = members.iter().chain(admins);
        people.chain([did]).try_for_each(|did| check_did(did))?;
        spaces.iter().try_for_each(|key| check_rkey(key))?;
        let mut state = self.lock();
        state.communities.insert(did.clone());
        for key in RESERVED {
            let uri = state.make_space(key, did);
            state.space(&uri)?.members.extend(admins.iter().cloned());
        }
        let make = |key: &String| {
            let uri = state.make_space(key, did);
            let members = members.iter().chain(admins).cloned();
            state.space(&uri)?.members.extend(members);
            Ok(uri)
        };
        spaces.iter().map(make).collect()
    }

    /// Lets `did` read the space.
    pub fn add_member(&self, space_uri: &str, did: &str) -> Result<(), Error> {
        check_did(did)?;
        let mut state = self.lock();
        state.space(space_uri)?.members.insert(did.to_owned());
        Ok(())
    }

    /// Takes access away: open watches of `did` on the space end. Not those on a community's space, unless
    /// [`Losses::community_events`] is off: nobody tells them.
    pub fn kick(&self, space_uri: &str, did: &str) -> Result<(), Error> {
        let mut state = self.lock();
        state.space(space_uri)?.members.remove(did);
        let did = did.to_owned();
        if state.is_published(Some(space_uri), None) {
            self.publish(&mut state, Some(space_uri.into()), What::Kicked { did });
        }
        Ok(())
    }

    /// A new invite token that reads the space.
    pub fn invite(&self, space_uri: &str) -> Result<String, Error> {
        let token = crate::ticket::base64(&random_bytes::<32>()?);
        let mut state = self.lock();
        state.space(space_uri)?.invites.insert(token.clone());
        Ok(token)
    }

    /// May `did` read the space?
    pub(crate) fn may_read(&self, space_uri: &str, did: &str) -> Result<(), Denied> {
        let state = self.lock();
        let space = state.alive(space_uri).ok_or(Denied::NoSpace)?;
        if space.members.contains(did) {
            Ok(())
        } else {
            Err(Denied::NotMember)
        }
    }

    /// Does this invite token read the space?
    pub(crate) fn may_read_by_invite(&self, space_uri: &str, token: &str) -> Result<(), Denied> {
        let state = self.lock();
        let space = state.spaces.get(space_uri).ok_or(Denied::BadInvite)?;
        if !space.invites.contains(token) {
            Err(Denied::BadInvite)
        } else if space.is_deleted {
            Err(Denied::NoSpace)
        } else {
            Ok(())
        }
    }

    /// Is it the did of a community?
    pub(crate) fn is_community(&self, did: &str) -> bool {
        self.lock().communities.contains(did)
    }

    /// The spaces that `did` is a member of, of one owner or of all, in order.
    pub(crate) fn reach(&self, did: &str, owner: Option<&str>) -> Vec<Arc<str>> {
        let state = self.lock();
        let spaces = state.spaces.iter().filter(|(_, space)| {
            let theirs = owner.is_none_or(|owner| space.owner == owner);
            theirs && !space.is_deleted && space.members.contains(did)
        });
        let mut uris: Vec<_> = spaces.map(|(uri, _)| uri.clone()).collect();
        uris.sort();
        uris
    }
}

impl State {
    fn make_space(&mut self, key: &str, owner: &str) -> String {
        let uri = format!("ats://{owner}/com.example.space/{key}");
        let new = || Space {
            owner: owner.into(),
            members: [owner.to_owned()].into(),
            ..Space::default()
        };
        let space = self.spaces.entry(uri.as_str().into());
        space.or_insert_with(new).is_deleted = false;
        uri
    }

    fn alive(&self, uri: &str) -> Option<&Space> {
        self.spaces.get(uri).filter(|space| !space.is_deleted)
    }

    pub(crate) fn space(&mut self, uri: &str) -> Result<&mut Space, Error> {
        let unknown = || Error::UnknownSpace(uri.to_owned());
        self.spaces.get_mut(uri).ok_or_else(unknown)
    }

    /// Its URI as everybody shares it.
    pub(crate) fn known(&self, uri: Option<&str>) -> Result<Option<Arc<str>>, Error> {
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
