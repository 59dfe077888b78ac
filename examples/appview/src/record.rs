//! Records, what happens to them, and the calls that make it happen.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::Error;
use crate::schema::{Collection, Counted, by_short_name};
#[cfg(doc)]
use crate::world::World;

/// A stored record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// The space it lives in; `None` for a public record.
    pub space: Option<Arc<str>>,
    /// Its collection.
    pub collection: &'static Collection,
    /// Its author.
    pub did: String,
    /// Its key.
    pub rkey: String,
    /// Its content id, if the writer gave one.
    pub cid: Option<String>,
    /// Its body.
    pub value: Arc<Value>,
    /// The time that each put replaces: in a space when it was stored, in Unix milliseconds; of a public record when its
    /// event happened on the network, in Unix microseconds.
    pub time: i64,
    /// Counts up in the order in which records were first written: what has the same time comes in this order.
    pub row: u64,
    /// How many children it has, as last counted: when one of them was written or deleted.
    pub counts: BTreeMap<Counted, usize>,
}

impl Record {
    /// `at://<did>/<collection>/<rkey>`.
    pub(crate) fn uri(&self) -> String {
        record_uri(&self.did, self.collection, &self.rkey)
    }
}

/// `at://<did>/<collection>/<rkey>`.
pub(crate) fn record_uri(did: &str, collection: &Collection, rkey: &str) -> String {
    format!("at://{did}/{}/{rkey}", collection.nsid)
}

/// Something that happened.
#[derive(Debug)]
pub(crate) struct Change {
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// The space it happened in; `None` for a public record.
    pub space: Option<Arc<str>>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum What {
    /// A record was written, for the first time or again.
    Put(Arc<Record>),
    /// A record was deleted, whether it existed or not.
    Deleted {
        /// Its collection.
        collection: &'static Collection,
        /// Its author.
        did: String,
        /// Its key.
        rkey: String,
    },
    /// A member lost access.
    Kicked {
        /// The member.
        did: String,
    },
}

/// A record to write; see [`World::put`].
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Put {
    /// The space; absent for a public record.
    #[serde(default)]
    pub space_uri: Option<String>,
    /// Short name of the collection.
    pub collection: String,
    /// The author.
    pub did: String,
    /// The record key.
    pub rkey: String,
    /// The body.
    pub record: Value,
    /// The content id, `null` on the wire when absent.
    #[serde(default)]
    pub cid: Option<String>,
    /// Of a public record: when its event happened on the network, in Unix microseconds; default: now.
    #[serde(default)]
    pub event_at: Option<i64>,
    /// The stored time, in Unix milliseconds. The real server does not let anybody set it: needs the leniency
    /// [`crate::Lenient::created_at`].
    #[serde(default)]
    pub created_at: Option<i64>,
    /// Written at the same time as others: may get the same stored time as the one before. Otherwise a put takes a
    /// millisecond at least, as on the real server, so that no two have the same time.
    #[serde(default)]
    pub concurrent: bool,
    /// Changes the data without telling live watchers, as if they had missed the event.
    #[serde(default)]
    pub silent: bool,
}

/// A record to delete; see [`World::delete`].
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delete {
    /// The space; absent for a public record.
    #[serde(default)]
    pub space_uri: Option<String>,
    /// Short name of the collection.
    pub collection: String,
    /// The author.
    pub did: String,
    /// The record key.
    pub rkey: String,
    /// Changes the data without telling live watchers.
    #[serde(default)]
    pub silent: bool,
}

/// Many messages at once; see [`World::bulk`].
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bulk {
    /// The space.
    pub space_uri: String,
    /// How many messages.
    pub n: usize,
    /// Filler characters per message.
    pub size: usize,
    /// Changes the data without telling live watchers.
    #[serde(default)]
    pub silent: bool,
}

/// A community to make; see [`World::community`].
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Community {
    /// The community itself, an author like any other.
    pub did: String,
    /// Keys of its spaces.
    #[serde(default)]
    pub spaces: Vec<String>,
    /// Who reaches them.
    #[serde(default)]
    pub members: Vec<String>,
    /// Who also reaches the two spaces that every community has, `$admin` and `$publishers`.
    #[serde(default)]
    pub admins: Vec<String>,
}

pub(crate) fn collection(short: &str) -> Result<&'static Collection, Error> {
    by_short_name(short).ok_or_else(|| Error::UnknownCollection(short.to_owned()))
}

pub(crate) fn check_did(did: &str) -> Result<(), Error> {
    let mut parts = did.splitn(3, ':');
    let whole = parts.next() == Some("did")
        && parts.next().is_some_and(|method| !method.is_empty())
        && parts.next().is_some_and(|id| !id.is_empty());
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:%-".contains(c);
    if whole && did.chars().all(plain) {
        Ok(())
    } else {
        Err(Error::BadDid(did.to_owned()))
    }
}

pub(crate) fn check_rkey(rkey: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:~-".contains(c);
    if (1..=512).contains(&rkey.len()) && rkey.chars().all(plain) && rkey != "." && rkey != ".." {
        Ok(())
    } else {
        Err(Error::BadKey(rkey.to_owned()))
    }
}
