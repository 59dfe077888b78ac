//! Rows: how a record is written, read and proved.

use std::str::FromStr;

use serde::Serialize;
use twox_hash::XxHash3_64;

use super::CacheKey;
use crate::pure::protocol::{
    profile::{Profile, Profiles},
    record::Record,
};

/// Something that the cache can write as a row.
pub trait Cacheable: Send + Sync {
    /// The record.
    fn record(&self) -> &Record;

    /// Whether `time_us` is when the record was published live, not the server's stored creation time.
    fn live_time(&self) -> bool {
        false
    }
}

impl Cacheable for Record {
    fn record(&self) -> &Record {
        self
    }
}

/// One record as the cache had it.
#[derive(Debug, Clone)]
pub struct Row {
    /// The record.
    pub record: Record,
    /// As [`Cacheable::live_time`] said when it was written.
    pub live_time: bool,
}

impl Cacheable for Row {
    fn record(&self) -> &Record {
        &self.record
    }

    fn live_time(&self) -> bool {
        self.live_time
    }
}

/// What every hash of a watch starts from: a row that strayed to another watch or account proves nothing there.
pub(super) fn seed(key: &CacheKey) -> u64 {
    let account = key.account.as_deref();
    let seed = XxHash3_64::oneshot_with_seed(account.is_some().into(), key.source.as_bytes());
    let seed = XxHash3_64::oneshot_with_seed(seed, key.key.as_bytes());
    XxHash3_64::oneshot_with_seed(seed, account.unwrap_or_default().as_bytes())
}

/// The hash of the watch's own row.
pub(super) fn watch_hash(seed: u64, cursor: Option<&str>, synced_at: i64) -> i64 {
    let mut head = [0; 9];
    head[..8].copy_from_slice(&synced_at.to_le_bytes());
    head[8] = cursor.is_some().into();
    let seed = XxHash3_64::oneshot_with_seed(seed, &head);
    XxHash3_64::oneshot_with_seed(seed, cursor.unwrap_or_default().as_bytes()).cast_signed()
}

/// Profiles as a column has them, with their hash; nothing where there are none.
pub(super) fn encode_profiles(seed: u64, profiles: &[Profile]) -> (Option<String>, Option<i64>) {
    if profiles.is_empty() {
        return (None, None);
    }
    let each: Vec<&str> = profiles.iter().map(Profile::json).collect();
    let text = format!("[{}]", each.join(","));
    let hash = profiles_hash(seed, &text);
    (Some(text), Some(hash))
}

/// The profiles of a column; `None` if they are not what was written for the watch of this seed.
pub(super) fn decode_profiles(
    seed: u64,
    text: Option<&str>,
    hash: Option<i64>,
) -> Option<Vec<Profile>> {
    let Some(text) = text else {
        return hash.is_none().then(Vec::new);
    };
    let is_ours = hash == Some(profiles_hash(seed, text));
    let Profiles(profiles) = is_ours.then(|| serde_json::from_str(text).ok())??;
    Some(profiles)
}

fn profiles_hash(seed: u64, text: &str) -> i64 {
    XxHash3_64::oneshot_with_seed(seed, text.as_bytes()).cast_signed()
}

/// The columns of a record besides its id and watch.
pub(super) struct Columns<'a> {
    pub uri: &'a str,
    pub space: &'a str,
    pub time_us: i64,
    pub rkey: &'a str,
    pub live_time: bool,
    pub body: &'a str,
}

impl Columns<'_> {
    fn hash(&self, seed: u64) -> i64 {
        let mut head = Vec::with_capacity(256);
        for text in [self.uri, self.space, self.rkey] {
            head.extend((text.len() as u64).to_le_bytes());
            head.extend(text.as_bytes());
        }
        head.extend(self.time_us.to_le_bytes());
        head.push(self.live_time.into());
        let seed = XxHash3_64::oneshot_with_seed(seed, &head);
        XxHash3_64::oneshot_with_seed(seed, self.body.as_bytes()).cast_signed()
    }
}

/// One row on its way from SQLite's thread: `id time_us live_time hash`, then the bytes of `uri`, `space` and
/// `rkey`, each number followed by a space; then `uri`, `space`, `rkey` and `body` without anything between.
pub(super) struct Packed<'a> {
    pub id: i64,
    fields: &'a [u8],
}

impl<'a> Packed<'a> {
    /// The rows of a value in which each follows its length and a space.
    pub(super) fn split(mut rows: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let length = number(&mut rows)?;
            let mut fields = take(&mut rows, length)?;
            let id = number(&mut fields)?;
            Some(Self { id, fields })
        })
    }

    /// The row and the bytes of its body; `None` if it is not what was written for the watch of this seed.
    pub(super) fn decode(&self, seed: u64) -> Option<(Row, usize)> {
        let rest = &mut &*self.fields;
        let (time_us, live_time, hash): (i64, i64, i64) =
            (number(rest)?, number(rest)?, number(rest)?);
        let (uri, space, rkey) = (number(rest)?, number(rest)?, number(rest)?);
        let columns = Columns {
            uri: text(take(rest, uri)?)?,
            space: text(take(rest, space)?)?,
            time_us,
            rkey: text(take(rest, rkey)?)?,
            live_time: live_time != 0,
            body: text(rest)?,
        };
        if hash != columns.hash(seed) {
            return None;
        }
        let mut record: Record = serde_json::from_str(columns.body).ok()?;
        // Decoding guesses the unit, which is settled here.
        record.time_us = time_us;
        let live_time = columns.live_time;
        Some((Row { record, live_time }, columns.body.len()))
    }
}

fn number<T: FromStr>(from: &mut &[u8]) -> Option<T> {
    let end = memchr::memchr(b' ', from)?;
    let digits = text(take(from, end)?)?;
    take(from, 1)?;
    digits.parse().ok()
}

fn take<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}

/// Adds the row to a JSON array that is being written: `uri, space, time_us, rkey, live_time, hash, body`.
///
/// A record that SQLite's JSON cannot carry (a NUL in its identity) is left out.
pub(super) fn encode(batch: &mut Batch, row: &dyn Cacheable, seed: u64) {
    let record = row.record();
    let Ok(body) = serde_json::to_string(record) else {
        return;
    };
    let columns = Columns {
        uri: record.uri.as_str(),
        space: record.space.as_deref().unwrap_or_default(),
        time_us: record.time_us,
        rkey: record.rkey(),
        live_time: row.live_time(),
        body: &body,
    };
    if [columns.uri, columns.space, columns.rkey]
        .iter()
        .any(|text| text.contains('\0'))
    {
        return;
    }
    batch.push(&(
        columns.uri,
        columns.space,
        columns.time_us,
        columns.rkey,
        u8::from(columns.live_time),
        columns.hash(seed),
        columns.body,
    ));
}

/// A JSON array in the making, for `json_each`.
#[derive(Default)]
pub(super) struct Batch(Vec<u8>);

impl Batch {
    /// Adds an element.
    pub(super) fn push(&mut self, element: &impl Serialize) {
        let before = self.0.len();
        self.0.push(if before == 0 { b'[' } else { b',' });
        if serde_json::to_writer(&mut self.0, element).is_err() {
            self.0.truncate(before);
        }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The array as text, if it has elements; the batch is empty afterwards.
    pub(super) fn take(&mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push(b']');
        String::from_utf8(std::mem::take(&mut self.0)).ok()
    }
}
