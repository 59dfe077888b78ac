//! Names that a PDS gives: content ids, and keys that sort by time.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// CIDv1, DAG-CBOR, SHA-256 of 32 bytes: what every record of the network has in front.
const CID_PREFIX: [u8; 4] = [0x01, 0x71, 0x12, 0x20];
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// The same digits in the order in which they sort.
const BASE32_SORTABLE: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";

/// The content id of a record. It looks like a real one, but is the hash of canonical JSON, not of DAG-CBOR.
pub(crate) fn cid_of(value: &Value) -> String {
    let mut canonical = String::new();
    write_canonical(value, &mut canonical);
    let hash = Sha256::digest(canonical);
    let bytes = CID_PREFIX.into_iter().chain(hash);
    let mut cid = String::from("b");
    let (mut bits, mut held) = (0_u32, 0);
    for byte in bytes {
        bits = (bits << 8) | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            cid.push(digit(BASE32, bits >> held));
        }
    }
    if held > 0 {
        cid.push(digit(BASE32, bits << (5 - held)));
    }
    cid
}

fn digit(digits: &[u8; 32], bits: u32) -> char {
    digits[(bits & 31) as usize].into()
}

/// Without spaces, and the keys of every object in order.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in fields {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for value in values {
                write_canonical(value, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// A timestamp identifier of this time, in Unix microseconds: 13 digits that sort by it.
pub(crate) fn tid_of(us: i64) -> String {
    let bits = us.cast_unsigned() << 10;
    let digits = (0..13).rev().map(|at| bits >> (at * 5));
    digits
        .map(|bits| digit(BASE32_SORTABLE, (bits & 31) as u32))
        .collect()
}

/// Is it a namespaced identifier, `com.example.chat.message`?
pub(crate) fn is_nsid(name: &str) -> bool {
    let segments: Vec<&str> = name.split('.').collect();
    let Some((name_itself, authority)) = segments.split_last() else {
        return false;
    };
    let starts_with_letter = |segment: &str| segment.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_label = |segment: &&str| {
        (1..=63).contains(&segment.len())
            && segment
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !segment.starts_with('-')
            && !segment.ends_with('-')
    };
    name.len() <= 317
        && segments.len() >= 3
        && authority.iter().all(is_label)
        && starts_with_letter(segments[0])
        && starts_with_letter(name_itself)
        && is_label(name_itself)
        && !name_itself.contains('-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cid_looks_real_and_depends_on_the_content_alone() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":[{"d":2,"c":3}]}"#).unwrap();
        let same: Value = serde_json::from_str(r#"{"b":[{"c":3,"d":2}],"a":1}"#).unwrap();
        let cid = cid_of(&one);
        assert_eq!(cid.len(), 59);
        assert!(cid.starts_with("bafyrei"), "{cid}");
        assert!(cid.bytes().all(|byte| BASE32.contains(&byte)));
        assert_eq!(cid, cid_of(&same));
        assert_ne!(cid, cid_of(&json!({ "a": 1, "b": [{ "c": 3, "d": 4 }] })));
    }

    #[test]
    fn tids_sort_by_time() {
        let (early, late) = (tid_of(1_700_000_000_000_000), tid_of(1_700_000_000_000_001));
        assert_eq!((early.len(), late.len()), (13, 13));
        assert!(early < late && early.starts_with('3'), "{early} {late}");
    }

    #[test]
    fn only_well_formed_nsids_are_nsids() {
        for good in ["com.example.chat.message", "a.b.c", "com.ex-ample.thing2"] {
            assert!(is_nsid(good), "{good}");
        }
        let bad = [
            "",
            "com",
            "com.example",
            "com..x",
            "com.example.a-b",
            "com.example.2",
            "1com.example.x",
            "com.-x.y",
            "com.exa mple.x",
            "com.example.",
        ];
        for bad in bad {
            assert!(!is_nsid(bad), "{bad}");
        }
    }
}
