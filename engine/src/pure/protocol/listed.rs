//! The records of one answer, as handshakes, `listRecords` and snapshots beside the stream have them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    profile::Profile,
    record::{AtUri, Record},
    wire::{self, WireError},
};

/// Most records of one answer. The protocol's have 200 at most.
pub const MAX_LISTED: usize = 1000;
/// How an answer with more is refused.
pub(super) const TOO_MANY: &str = "more than 1000 records";

/// One page of records.
#[derive(Debug, Default)]
pub struct Listed {
    /// The records that could be read, in the server's order.
    pub records: Vec<Record>,
    /// Those that could not, as far as their URIs could.
    pub unreadable: Vec<AtUri>,
    /// Whether the server had none.
    pub is_empty: bool,
    /// Where the next page begins, if there is one.
    pub cursor: Option<String>,
    /// What it tells of the accounts that it names.
    pub profiles: Vec<Profile>,
}

/// A JSON array of records. Each is read from where it stands in the text, so that an array costs no more than a small
/// multiple of its size; one that cannot be read costs only itself.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Those that could be read, in the server's order.
    pub(crate) read: Vec<Record>,
    /// Why the others could not.
    pub(crate) unreadable: Vec<WireError>,
}

impl Records {
    /// One page of them.
    pub(crate) fn into_page(self, cursor: Option<String>) -> Listed {
        let uris = self.unreadable.iter().filter_map(WireError::uri);
        Listed {
            is_empty: self.read.is_empty() && self.unreadable.is_empty(),
            unreadable: uris.cloned().collect(),
            records: self.read,
            cursor: wire::bounded_cursor(cursor),
            profiles: Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RecordsVisitor)
    }
}

struct RecordsVisitor;

impl<'de> Visitor<'de> for RecordsVisitor {
    type Value = Records;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Records, A::Error> {
        let mut records = Records::default();
        while let Some(text) = array.next_element::<&'de RawValue>()? {
            if records.read.len() + records.unreadable.len() == MAX_LISTED {
                return Err(A::Error::custom(TOO_MANY));
            }
            match wire::decode_record(text.get()) {
                Ok(record) => records.read.push(record),
                Err(error) => records.unreadable.push(error),
            }
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"uri":"at://did:plc:alice/c/r","time_us":1,"value":{}}"#;

    fn read(elements: &[&str]) -> Result<Records, serde_json::Error> {
        serde_json::from_str(&format!("[{}]", elements.join(",")))
    }

    #[test]
    fn a_record_that_cannot_be_read_costs_only_itself_and_keeps_its_uri() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        let deep = format!(r#"{{"uri":"at://did:plc:alice/c/deep","value":{deep}}}"#);
        let odd = r#"{"uri":"at://did:plc:alice/c/odd","time_us":"noon","value":{}}"#;
        let records = read(&[GOOD, &deep, "1", odd, GOOD]).unwrap();
        assert_eq!(records.read.len(), 2);
        let uris = records.unreadable.iter().map(|error| error.uri());
        let rkeys: Vec<_> = uris.map(|uri| uri.map(AtUri::rkey)).collect();
        assert_eq!(rkeys, [Some("deep"), None, Some("odd")]);
    }

    #[test]
    fn an_answer_of_more_records_than_the_bound_is_refused_by_its_name() {
        assert_eq!(read(&[GOOD; MAX_LISTED]).unwrap().read.len(), MAX_LISTED);
        let refused = read(&[GOOD; MAX_LISTED + 1]).unwrap_err();
        assert!(TOO_MANY.contains(&MAX_LISTED.to_string()));
        assert!(wire::describe(&refused).starts_with(TOO_MANY));
    }

    #[test]
    fn elements_that_are_no_records_stop_being_read_at_the_bound() {
        // Sixteen megabytes of them: what counts is that the rest is not even looked at.
        let ones = format!("[{}", "1,".repeat(8 << 20));
        let refused = serde_json::from_str::<Records>(&ones).unwrap_err();
        assert!(refused.column() < 3 * MAX_LISTED, "{refused}");
    }
}
