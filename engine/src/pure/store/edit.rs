//! Optimistic edits: what a follower shows before the server says it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::pure::protocol::{
    record::to_micros,
    wire::{MAX_NESTING, nests_deeper},
};

/// Longest record key of the AT Protocol.
const MAX_RKEY_BYTES: usize = 512;
/// Longest DID of the AT Protocol.
const MAX_DID_BYTES: usize = 2048;
/// Longest NSID of the AT Protocol.
const MAX_NSID_BYTES: usize = 317;
/// Longest URI of the AT Protocol.
const MAX_URI_BYTES: usize = 8192;
/// Longest name of a failure.
const MAX_ERROR_NAME_CHARS: usize = 100;
/// Longest message of a failure.
const MAX_ERROR_MESSAGE_CHARS: usize = 1000;

/// A change that a watch shows before the server confirms it.
#[derive(Debug, Clone)]
#[cfg_attr(
    feature = "ts",
    derive(ts_rs::TS),
    ts(export, tag = "op", rename_all = "lowercase", optional_fields)
)]
#[non_exhaustive]
pub enum Edit {
    /// Shows a record at once, as pending; in the place of a record that is there already. The real one replaces it.
    Add {
        /// The record.
        record: EditRecord,
    },
    /// Marks a pending record as failed; nothing happens if there is none.
    Fail {
        /// Its record key.
        rkey: String,
        /// Its author; without one, the newest pending record of that key is meant.
        did: Option<String>,
        /// Why it failed.
        error: EditError,
    },
    /// Takes a pending or failed record back; nothing happens if there is none.
    Remove {
        /// Its record key.
        rkey: String,
        /// Its author; without one, the newest such record of that key is meant.
        did: Option<String>,
    },
}

/// A record that the server does not have yet. A page may give a whole record of its list, to try again: what is not
/// named here is ignored.
#[derive(Clone, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
#[non_exhaustive]
pub struct EditRecord {
    /// Record key, at most 512 bytes.
    pub rkey: String,
    /// DID of the author.
    pub did: String,
    /// NSID of the collection; by default the watch's.
    pub collection: Option<String>,
    /// The record's body, raw JSON.
    #[cfg_attr(feature = "ts", ts(type = "unknown"))]
    pub value: Box<RawValue>,
    /// Creation time in microseconds since the Unix epoch; now by default.
    #[serde(default, deserialize_with = "micros")]
    #[cfg_attr(feature = "ts", ts(optional, type = "number"))]
    pub time_us: Option<i64>,
    /// `at://<did>/<collection>/<rkey>` by default.
    pub uri: Option<String>,
    /// The space that will hold the record, `ats://<owner did>/<type>/<key>`; by default the watch's.
    pub space: Option<String>,
}

impl EditRecord {
    /// A record of this author under this key, with this body; the rest by default.
    pub fn new(did: impl Into<String>, rkey: impl Into<String>, value: Box<RawValue>) -> Self {
        Self {
            rkey: rkey.into(),
            did: did.into(),
            collection: None,
            value,
            time_us: None,
            uri: None,
            space: None,
        }
    }
}

impl fmt::Debug for EditRecord {
    // Bodies are the users' own words: they do not belong in debug output.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EditRecord")
            .field("rkey", &self.rkey)
            .field("did", &self.did)
            .finish_non_exhaustive()
    }
}

/// Why a mutation failed, in the app's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct EditError {
    /// The error's name, at most 100 characters.
    pub name: String,
    /// What happened, at most 1,000 characters.
    pub message: String,
}

impl EditError {
    /// A failure of this name, in these words.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            message: message.into(),
        }
    }
}

/// An edit that cannot be what was meant. Says which member of it is wrong, without a word of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidEdit(String);

/// An edit as a page sends it. Flat, because raw JSON does not pass through serde's tagged enums.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    op: Op,
    record: Option<EditRecord>,
    rkey: Option<String>,
    did: Option<String>,
    error: Option<EditError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Op {
    Add,
    Fail,
    Remove,
}

impl Edit {
    /// Checks that everything is within bounds. `max_value_bytes`: for the body, as for an event of the server.
    pub fn check(&self, max_value_bytes: usize) -> Result<(), InvalidEdit> {
        match self {
            Self::Add { record } => record.check(max_value_bytes),
            Self::Fail { rkey, did, error } => {
                target(rkey, did.as_deref())?;
                chars("error.name", &error.name, MAX_ERROR_NAME_CHARS)?;
                chars("error.message", &error.message, MAX_ERROR_MESSAGE_CHARS)
            }
            Self::Remove { rkey, did } => target(rkey, did.as_deref()),
        }
    }
}

/// Reads what a page sent. The error names no value: it may be a user's words.
impl TryFrom<serde_json::Value> for Edit {
    type Error = InvalidEdit;

    fn try_from(sent: serde_json::Value) -> Result<Self, InvalidEdit> {
        check_types(&sent)?;
        let misfit = || invalid("an edit lacks a member, or has one that does not fit its op");
        let sent: Sent = serde_json::from_value(sent).map_err(|_| misfit())?;
        match sent {
            Sent {
                op: Op::Add,
                record: Some(record),
                rkey: None,
                did: None,
                error: None,
            } => Ok(Self::Add { record }),
            Sent {
                op: Op::Fail,
                record: None,
                rkey: Some(rkey),
                did,
                error: Some(error),
            } => Ok(Self::Fail { rkey, did, error }),
            Sent {
                op: Op::Remove,
                record: None,
                rkey: Some(rkey),
                did,
                error: None,
            } => Ok(Self::Remove { rkey, did }),
            _ => Err(misfit()),
        }
    }
}

impl EditRecord {
    fn check(&self, max_value_bytes: usize) -> Result<(), InvalidEdit> {
        target(&self.rkey, Some(&self.did))?;
        for (name, text, most) in [
            ("collection", &self.collection, MAX_NSID_BYTES),
            ("uri", &self.uri, MAX_URI_BYTES),
            ("space", &self.space, MAX_URI_BYTES),
        ] {
            if let Some(text) = text {
                bytes(name, text, most)?;
            }
        }
        bytes("value", self.value.get(), max_value_bytes)?;
        match nests_deeper(self.value.get(), MAX_NESTING) {
            true => Err(invalid(&format!(
                "value nests deeper than {MAX_NESTING} levels"
            ))),
            false => Ok(()),
        }
    }
}

/// The members that are texts, of an edit and of what it holds.
const TEXTS: [(&str, &[&str]); 3] = [
    ("", &["op", "rkey", "did"]),
    ("record.", &["rkey", "did", "collection", "uri", "space"]),
    ("error.", &["name", "message"]),
];

/// Checks the types of the members that are there, as serde would not say which one is wrong.
fn check_types(sent: &serde_json::Value) -> Result<(), InvalidEdit> {
    for (path, names) in TEXTS {
        let holder = match path.strip_suffix('.') {
            Some(name) => sent.get(name),
            None => Some(sent),
        };
        for name in names {
            if let Some(value) = holder.and_then(|it| it.get(name))
                && !value.is_string()
                && !value.is_null()
            {
                return Err(invalid(&format!("{path}{name} must be a string")));
            }
        }
    }
    match sent.pointer("/record/time_us") {
        Some(time) if !time.is_number() && !time.is_null() => {
            Err(invalid("record.time_us must be a number"))
        }
        _ => Ok(()),
    }
}

fn target(rkey: &str, did: Option<&str>) -> Result<(), InvalidEdit> {
    bytes("rkey", rkey, MAX_RKEY_BYTES)?;
    did.map_or(Ok(()), |did| bytes("did", did, MAX_DID_BYTES))
}

fn bytes(name: &str, text: &str, most: usize) -> Result<(), InvalidEdit> {
    if (1..=most).contains(&text.len()) {
        return Ok(());
    }
    let length = text.len();
    Err(invalid(&format!(
        "{name} has {length} bytes, it may have 1 to {most}"
    )))
}

fn chars(name: &str, text: &str, most: usize) -> Result<(), InvalidEdit> {
    if text.len() <= most || text.chars().count() <= most {
        return Ok(());
    }
    Err(invalid(&format!("{name} has more than {most} characters")))
}

fn invalid(what: &str) -> InvalidEdit {
    InvalidEdit(what.to_owned())
}

/// JavaScript writes large numbers as it likes.
fn micros<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let time = Option::<f64>::deserialize(deserializer)?;
    Ok(time.map(|time| to_micros(time as i64)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const MANY: usize = 1000;

    fn add() -> Value {
        json!({ "op": "add", "record": { "rkey": "a", "did": "did:plc:alice", "value": { "text": "hi" } } })
    }

    /// `add()` with one member of the record set.
    fn with(name: &str, value: Value) -> Value {
        let mut edit = add();
        edit["record"][name] = value;
        edit
    }

    fn refused(sent: Value) -> String {
        let checked = Edit::try_from(sent).and_then(|edit| edit.check(MANY));
        checked.unwrap_err().to_string()
    }

    #[test]
    fn every_kind_of_edit_is_read() {
        let Edit::Add { record } = Edit::try_from(with("time_us", json!(1.7954329064e15))).unwrap()
        else {
            panic!("an add");
        };
        assert_eq!(record.value.get(), r#"{"text":"hi"}"#);
        assert_eq!(record.time_us, Some(1_795_432_906_400_000));
        assert_eq!(record.collection, None);

        let error = json!({ "name": "TypeError", "message": "no network" });
        let fail = json!({ "op": "fail", "rkey": "a", "error": error });
        assert!(matches!(
            Edit::try_from(fail).unwrap(),
            Edit::Fail { did: None, error, .. } if error.name == "TypeError"
        ));
        let remove = json!({ "op": "remove", "rkey": "a", "did": "did:plc:bob" });
        assert!(matches!(
            Edit::try_from(remove).unwrap(),
            Edit::Remove { did: Some(did), .. } if did == "did:plc:bob"
        ));
    }

    #[test]
    fn a_record_of_a_list_can_be_given_as_it_is() {
        let mut whole = add();
        whole["record"]["cid"] = "b".into();
        whole["record"]["optimistic"] = "failed".into();
        whole["record"]["reactionsCount"] = 2.into();
        assert!(matches!(Edit::try_from(whole).unwrap(), Edit::Add { .. }));
    }

    #[test]
    fn what_does_not_fit_is_refused_without_a_word_of_it() {
        let error = json!({ "name": "secret", "message": "secret" });
        for sent in [
            json!(null),
            json!({}),
            json!({ "op": "secret" }),
            json!({ "op": "add" }),
            json!({ "op": "fail", "rkey": "secret" }),
            json!({ "op": "remove", "rkey": "secret", "error": error }),
            json!({ "op": "remove", "rkey": 7 }),
            with("did", json!(["secret"])),
            with("time_us", json!("secret")),
        ] {
            let message = refused(sent.clone());
            assert!(!message.contains("secret"), "{sent}: {message}");
        }
    }

    #[test]
    fn a_member_of_another_type_is_named() {
        let error = json!({ "name": 5, "message": "" });
        for (sent, told) in [
            (json!({ "op": 5 }), "op must be a string"),
            (
                json!({ "op": "remove", "rkey": 7 }),
                "rkey must be a string",
            ),
            (
                json!({ "op": "fail", "rkey": "a", "did": {}, "error": error }),
                "did must be a string",
            ),
            (
                json!({ "op": "fail", "rkey": "a", "error": error }),
                "error.name must be a string",
            ),
            (with("rkey", json!(5)), "record.rkey must be a string"),
            (
                with("collection", json!([])),
                "record.collection must be a string",
            ),
            (
                with("time_us", json!("now")),
                "record.time_us must be a number",
            ),
        ] {
            assert_eq!(refused(sent), told);
        }
    }

    #[test]
    fn what_is_too_long_or_empty_is_refused_by_name() {
        let long = |chars: usize| json!("x".repeat(chars));
        for (name, value) in [
            ("rkey", long(MAX_RKEY_BYTES + 1)),
            ("rkey", long(0)),
            ("did", long(MAX_DID_BYTES + 1)),
            ("collection", long(MAX_NSID_BYTES + 1)),
            ("uri", long(MAX_URI_BYTES + 1)),
            ("space", long(MAX_URI_BYTES + 1)),
            ("value", long(MANY)),
        ] {
            let message = refused(with(name, value));
            assert!(message.starts_with(&format!("{name} has ")), "{message}");
        }
        for (name, most) in [
            ("name", MAX_ERROR_NAME_CHARS),
            ("message", MAX_ERROR_MESSAGE_CHARS),
        ] {
            let mut error = json!({ "name": "", "message": "" });
            let fail = |error| json!({ "op": "fail", "rkey": "a", "error": error });
            // Characters, not bytes: a language needs as many as it needs.
            error[name] = "ü".repeat(most).into();
            let edit = Edit::try_from(fail(error.clone())).unwrap();
            edit.check(MANY).unwrap();
            error[name] = "ü".repeat(most + 1).into();
            assert!(refused(fail(error)).contains(name));
        }
    }

    #[test]
    fn a_body_that_a_page_might_not_read_for_its_depth_is_refused() {
        let nested = |levels: usize| {
            let json = "[".repeat(levels) + &"]".repeat(levels);
            let value = RawValue::from_string(json).unwrap();
            let record = EditRecord::new("did:plc:alice", "a", value);
            Edit::Add { record }.check(usize::MAX)
        };
        nested(MAX_NESTING).unwrap();
        for levels in [MAX_NESTING + 1, 1_000_000] {
            let refused = nested(levels).unwrap_err().to_string();
            assert!(
                refused.ends_with("value nests deeper than 128 levels"),
                "{refused}"
            );
        }
    }

    #[test]
    fn debug_output_shows_no_body() {
        let edit = Edit::try_from(add()).unwrap();
        assert!(!format!("{edit:?}").contains("text"));
    }
}
