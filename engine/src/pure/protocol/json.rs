//! Reading JSON no further than is needed. What is not read stays as the server sent it, whether a stricter reader would
//! take it or not: half an emoji and `1e400` are JSON to a page.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The name of a field, in bytes: half an emoji in it is no UTF-8.
pub(crate) struct Name<'a>(pub(crate) Cow<'a, [u8]>);

impl Name<'_> {
    /// It as text, with a replacement character for what is none.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(NameVisitor).map(Self)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(bytes.into())
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(bytes.to_owned().into())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(text.as_bytes().into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.as_bytes().to_owned().into())
    }
}

/// A JSON string as text, with replacement characters for what is none.
pub(crate) fn text(string: &str) -> String {
    let name: Option<Name<'_>> = serde_json::from_str(string).ok();
    name.map(|it| it.text().into_owned()).unwrap_or_default()
}

/// A JSON string without escapes, as nearly all are. Others are not read.
pub(crate) fn plain(string: &str) -> Option<&str> {
    let text = string.strip_prefix('"')?.strip_suffix('"')?;
    memchr::memchr(b'\\', text.as_bytes())
        .is_none()
        .then_some(text)
}

/// Calls `each` with every field of an object, the name as JSON, until it says no. Says whether that never happened.
pub(crate) fn each_field<'a>(
    object: &'a RawValue,
    each: impl FnMut(&'a str, &'a RawValue) -> bool,
) -> bool {
    let mut json = serde_json::Deserializer::from_str(object.get());
    json.deserialize_map(Fields(each)).is_ok()
}

struct Fields<F>(F);

impl<'de, F: FnMut(&'de str, &'de RawValue) -> bool> Visitor<'de> for Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            if !(self.0)(name.get(), value) {
                return Err(A::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

/// Calls `each` with every item of an array, until it says no. Says whether that never happened.
pub(crate) fn each_item<'a>(array: &'a RawValue, each: impl FnMut(&'a RawValue) -> bool) -> bool {
    let mut json = serde_json::Deserializer::from_str(array.get());
    json.deserialize_seq(Items(each)).is_ok()
}

struct Items<F>(F);

impl<'de, F: FnMut(&'de RawValue) -> bool> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            if !(self.0)(item) {
                return Err(A::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_seen_whatever_a_stricter_reader_would_say() {
        let text = r#"{"a":1e400,"\ud83d":"\ud83d", "b" : [{}] }"#;
        let object: &RawValue = serde_json::from_str(text).unwrap();
        let mut seen = Vec::new();
        let all = each_field(object, |name, value| {
            seen.push((name, value.get()));
            true
        });
        assert!(all);
        let expected = [
            (r#""a""#, "1e400"),
            (r#""\ud83d""#, r#""\ud83d""#),
            (r#""b""#, "[{}]"),
        ];
        assert_eq!(seen, expected);
        assert!(!each_field(object, |name, _| name != r#""b""#));
        assert!(!each_field(serde_json::from_str("[]").unwrap(), |_, _| {
            true
        }));
    }

    #[test]
    fn strings_are_read_as_far_as_they_are_text() {
        assert_eq!(plain(r#""did:plc:a""#), Some("did:plc:a"));
        for other in ["7", "null", r#""a\"b""#, "\""] {
            assert_eq!(plain(other), None, "{other}");
        }
        assert_eq!(text(r#""a\u0062""#), "ab");
        assert!(text(r#""x\ud83d""#).starts_with("x\u{fffd}"));
    }
}
