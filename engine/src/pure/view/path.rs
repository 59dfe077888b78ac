//! Paths into a record's body, such as `value.author.name`.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Value, value::RawValue};

use crate::pure::protocol::json::Name;

/// Deepest path.
const MAX_STEPS: usize = 16;
/// Longest path, in bytes.
const MAX_BYTES: usize = 512;

/// A path to one field of a record's body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path(Vec<Box<str>>);

impl Path {
    /// Reads `value.<field>`, with more fields after further dots. `None` if it is anything else, or unreasonably long.
    pub fn parse(text: &str) -> Option<Self> {
        let fields = text.strip_prefix("value.")?;
        let steps: Vec<Box<str>> = fields.split('.').map(Into::into).collect();
        let fits = text.len() <= MAX_BYTES && steps.len() <= MAX_STEPS;
        (fits && steps.iter().all(|step| !step.is_empty())).then_some(Self(steps))
    }

    /// The text, number, boolean or `null` that a body has there; `None` if there is nothing, an object or an array.
    pub fn scalar(&self, body: &RawValue) -> Option<Value> {
        let mut raw = body;
        for step in &self.0 {
            raw = field(raw, step)?;
        }
        match raw.get().as_bytes().first()? {
            b'{' | b'[' => None,
            _ => serde_json::from_str(raw.get()).ok(),
        }
    }
}

/// One field of an object, without reading the others.
fn field<'a>(object: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    let mut json = serde_json::Deserializer::from_str(object.get());
    json.deserialize_map(Seek(name)).ok().flatten()
}

struct Seek<'k>(&'k str);

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Name(key)) = map.next_key()? {
            if *key == *self.0.as_bytes() {
                // Of a field that stands there twice the last one counts, as in JSON.parse.
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, body: &str) -> Option<Value> {
        let body: Box<RawValue> = serde_json::from_str(body).unwrap();
        Path::parse(path).unwrap().scalar(&body)
    }

    #[test]
    fn a_path_finds_scalars_at_any_depth() {
        let body = r#"{"a":{"b":{"c":"x"}},"n":1.5,"t":true,"z":null,"l":[1]}"#;
        assert_eq!(at("value.a.b.c", body), Some("x".into()));
        assert_eq!(at("value.n", body), Some(1.5.into()));
        assert_eq!(at("value.t", body), Some(true.into()));
        assert_eq!(at("value.z", body), Some(Value::Null));
        for nothing in ["value.a", "value.l", "value.q", "value.n.x"] {
            assert_eq!(at(nothing, body), None, "{nothing}");
        }
        assert_eq!(at("value.a", "[1]"), None);
        assert_eq!(at("value.a", r#"{"a":1,"a":2}"#), Some(2.into()));
        // Half an emoji in a name hides no other field.
        assert_eq!(at("value.a", r#"{"\ud83d":1,"a":2}"#), Some(2.into()));
    }

    #[test]
    fn what_is_no_path_into_the_body_is_refused() {
        let deep = format!("value{}", ".a".repeat(17));
        let long = format!("value.{}", "a".repeat(600));
        for text in [
            "",
            "value",
            "value.",
            "value.a..b",
            "did",
            "a.b",
            &deep,
            &long,
        ] {
            assert!(Path::parse(text).is_none(), "{text}");
        }
    }
}
