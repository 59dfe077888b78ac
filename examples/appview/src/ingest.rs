//! How public records come in, as today's contrail has it: late, by the batch, and with a position that tells of most of it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::Error;
use crate::record::{Delete, Put, record_uri};
use crate::schema::{COLLECTIONS, NAMESPACE};
use crate::world::{State, World, now_ms};

/// Most records of one `notifyOfUpdate`.
const MAX_NOTIFIED: usize = 25;

/// Which contrail the appview is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Contrail {
    /// With `watchRecords`, tickets and spaces; `getCursor` in its oldest shape.
    #[default]
    #[serde(rename = "0.12")]
    V0_12,
    /// With lists and `getCursor` only. Public records are listed by their `createdAt`, ties by their URIs.
    #[serde(rename = "0.19")]
    V0_19,
}

/// How `getCursor` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionShape {
    /// `{position: {source, epoch, cursor}, updatedAt, …}`.
    Ordered,
    /// `{time_us, date, seconds_ago}`.
    Legacy,
    /// `{cursor}`.
    Bare,
    /// 404: there is no such endpoint.
    Absent,
}

/// What comes in, and how far it has come.
#[derive(Debug, Default)]
pub(crate) struct Ingest {
    pub(crate) contrail: Contrail,
    shape: Option<PositionShape>,
    /// In Unix microseconds; `None` before anything came.
    position: Option<i64>,
    /// Whether public writes wait for the next flush.
    waits: bool,
    pending: Vec<Pending>,
}

/// A public write that is not ingested yet.
#[derive(Debug)]
enum Pending {
    Put(Put),
    Delete(Delete),
}

impl Pending {
    fn uri(&self) -> Option<String> {
        let (collection, did, rkey) = match self {
            Self::Put(put) => (&put.collection, &put.did, &put.rkey),
            Self::Delete(delete) => (&delete.collection, &delete.did, &delete.rkey),
        };
        let collection = COLLECTIONS.iter().find(|it| it.short == *collection)?;
        Some(record_uri(did, collection, rkey))
    }
}

impl Ingest {
    /// Something public changed.
    pub(crate) fn moves(&mut self) {
        let now = now_ms().saturating_mul(1000);
        let later = self.position.map_or(now, |before| now.max(before + 1));
        self.position = Some(later);
    }

    /// `getCursor`'s answer; `None` where there is no such endpoint.
    pub(crate) fn answer(&self) -> Option<Value> {
        let shape = self.shape.unwrap_or(match self.contrail {
            Contrail::V0_12 => PositionShape::Legacy,
            Contrail::V0_19 => PositionShape::Ordered,
        });
        let date = |us: i64| {
            let date = OffsetDateTime::from_unix_timestamp(us / 1_000_000).ok();
            date.and_then(|it| it.format(&Rfc3339).ok())
        };
        Some(match (shape, self.position) {
            (PositionShape::Absent, _) => return None,
            (PositionShape::Ordered, None) => json!({}),
            (PositionShape::Ordered, Some(us)) => json!({
                "position": { "source": "jetstream", "epoch": "dev-1", "cursor": us.to_string() },
                "updatedAt": now_ms(),
                "updatedAtDate": date(now_ms().saturating_mul(1000)),
            }),
            (PositionShape::Legacy, None) => json!({ "cursor": null }),
            (PositionShape::Legacy, Some(us)) => json!({
                "time_us": us, "date": date(us), "seconds_ago": (now_ms() - us / 1000) / 1000,
            }),
            (PositionShape::Bare, position) => {
                json!({ "cursor": position.map(|it| it.to_string()) })
            }
        })
    }
}

/// When a public record says that it was created, in Unix microseconds.
pub(crate) fn created_at(record: &Value) -> Option<i64> {
    let text = record.get("createdAt")?.as_str()?;
    let date = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(date.unix_timestamp_nanos() / 1000).ok()
}

impl World {
    /// Is like this contrail from now on.
    pub fn set_contrail(&self, contrail: Contrail) {
        self.lock().ingest.contrail = contrail;
    }

    /// Answers `getCursor` like this from now on, whatever its version does.
    pub fn set_position_shape(&self, shape: PositionShape) {
        self.lock().ingest.shape = Some(shape);
    }

    /// Which contrail it is like.
    pub(crate) fn contrail(&self) -> Contrail {
        self.lock().ingest.contrail
    }

    /// Whether public writes wait for [`flush`](Self::flush).
    pub(crate) fn set_waiting(&self, waits: bool) {
        self.lock().ingest.waits = waits;
    }

    /// Moves the position though no record changed, as a stranger's identity event does.
    pub fn move_position(&self) {
        self.lock().ingest.moves();
    }

    pub(crate) fn delays_put(state: &mut State, put: &Put) -> bool {
        let waits = state.ingest.waits && put.space_uri.is_none();
        if waits {
            state.ingest.pending.push(Pending::Put(put.clone()));
        }
        waits
    }

    pub(crate) fn delays_delete(state: &mut State, delete: &Delete) -> bool {
        let waits = state.ingest.waits && delete.space_uri.is_none();
        if waits {
            state.ingest.pending.push(Pending::Delete(delete.clone()));
        }
        waits
    }

    /// Takes in what waits.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn flush(&self) -> Result<(), Error> {
        let pending = std::mem::take(&mut self.lock().ingest.pending);
        self.take_in(pending, false)
    }

    /// Takes in one of what waits, without moving the position. Answers how many records it wrote or deleted.
    pub(crate) fn notify(&self, uris: &[String]) -> Result<Value, Error> {
        if uris.len() > MAX_NOTIFIED {
            return Err(Error::TooMany(MAX_NOTIFIED));
        }
        let named = |it: &mut Pending| it.uri().is_some_and(|uri| uris.contains(&uri));
        let pending: Vec<_> = self.lock().ingest.pending.extract_if(.., named).collect();
        let deleted = pending.iter().filter(|it| matches!(it, Pending::Delete(_)));
        let deleted = deleted.count();
        let indexed = pending.len() - deleted;
        self.take_in(pending, true)?;
        Ok(json!({ "indexed": indexed, "deleted": deleted }))
    }

    fn take_in(&self, pending: Vec<Pending>, silent: bool) -> Result<(), Error> {
        for write in pending {
            match write {
                Pending::Put(put) => {
                    let silent = put.silent || silent;
                    self.put_now(Put { silent, ..put })?;
                }
                Pending::Delete(delete) => {
                    let silent = delete.silent || silent;
                    self.delete_now(delete_with(delete, silent))?;
                }
            }
        }
        Ok(())
    }
}

fn delete_with(delete: Delete, silent: bool) -> Delete {
    Delete { silent, ..delete }
}

/// Takes in what waits at this interval, for ever.
pub(crate) async fn keep_ingesting(world: Arc<World>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        if let Err(error) = world.flush() {
            tracing::warn!(%error, "a public record was not taken in");
        }
    }
}

/// The profiles of these authors, as `profiles=true` has them: one for each collection that has any, in no order.
pub(crate) fn profiles<'a>(dids: impl Iterator<Item = &'a str>) -> Vec<Value> {
    let mut dids: Vec<&str> = dids.collect();
    dids.sort_unstable();
    dids.dedup();
    let handle = |did: &str| format!("{}.test", did.rsplit(':').next().unwrap_or("nobody"));
    let profile = |did: &str, collection: &str| {
        json!({ "did": did, "handle": handle(did), "collection": collection, "rkey": "self",
            "uri": format!("at://{did}/{collection}/self"), "value": { "displayName": handle(did) } })
    };
    let collections = ["com.example.actor.profile", "com.example.shop.profile"];
    let of_all = dids
        .iter()
        .flat_map(|did| collections.map(|it| profile(did, it)));
    let mut profiles: Vec<Value> = of_all.collect();
    fastrand::shuffle(&mut profiles);
    profiles
}

/// The name of the endpoint that tells the position.
pub(crate) fn is_get_cursor(method: &str) -> bool {
    let name = method.strip_prefix(NAMESPACE);
    name == Some(".getCursor")
}
