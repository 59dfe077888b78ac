//! Writes to spaces, as contrail's own routes take them.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::Refusal;
use crate::pds::repo::{Action, Written};
use crate::record::{Delete, Put};
use crate::schema::COLLECTIONS;
use crate::world::{World, now_ms};

/// The body of both.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpaceWrite {
    space_uri: String,
    collection: String,
    #[serde(default)]
    rkey: Option<String>,
    #[serde(default)]
    record: Option<Map<String, Value>>,
}

impl World {
    /// Does what is asked for, twice if that is wanted. Every member may write; there are no swaps.
    pub(crate) fn write_space(
        &self,
        action: Action,
        write: &SpaceWrite,
        author: &str,
        twice: bool,
    ) -> Result<Written, Refusal> {
        self.may_read(&write.space_uri, author)
            .map_err(crate::auth::refuse)?;
        let known = COLLECTIONS.iter().find(|it| it.nsid == write.collection);
        let unknown = || Refusal::invalid(format!("unknown collection {:?}", write.collection));
        let collection = known.ok_or_else(unknown)?.short;
        if action == Action::Delete {
            return self.delete_from_space(collection, write, author, twice);
        }
        let missing = || Refusal::invalid("spaceUri, collection, record required");
        let record = write.record.clone().ok_or_else(missing)?;
        let new_key = || write.rkey.clone().unwrap_or_else(|| self.pds().next_tid());
        let put = |rkey: String| {
            self.put(Put {
                space_uri: Some(write.space_uri.clone()),
                collection: collection.into(),
                did: author.into(),
                rkey,
                record: record.clone().into(),
                ..Put::default()
            })
        };
        let rkey = new_key();
        put(rkey.clone())?;
        if twice {
            put(new_key())?;
        }
        let answer = json!({ "rkey": rkey, "authorDid": author, "createdAt": now_ms() });
        Ok(Written {
            rkey,
            cid: None,
            applied: true,
            answer,
        })
    }

    fn delete_from_space(
        &self,
        collection: &str,
        write: &SpaceWrite,
        author: &str,
        twice: bool,
    ) -> Result<Written, Refusal> {
        let missing = || Refusal::invalid("spaceUri, collection, rkey required");
        let rkey = write.rkey.clone().ok_or_else(missing)?;
        let delete = || {
            self.delete(Delete {
                space_uri: Some(write.space_uri.clone()),
                collection: collection.into(),
                did: author.into(),
                rkey: rkey.clone(),
                silent: false,
            })
        };
        let applied = delete()?;
        if twice {
            delete()?;
        }
        Ok(Written {
            rkey,
            cid: None,
            applied,
            answer: json!({ "ok": true }),
        })
    }
}
