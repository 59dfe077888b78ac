//! JSON that remembers the order of keys, with times and tickets masked so that two recordings compare.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value, for comparison.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    Leaf(String),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        let Self::Object(fields) = self else {
            return None;
        };
        fields
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// The text or masked number at a dotted path; array elements by index.
    pub(crate) fn at(&self, path: &str) -> &str {
        let found = path.split('.').try_fold(self, |json, key| match json {
            Self::Array(items) => items.get(key.parse::<usize>().ok()?),
            json => json.get(key),
        });
        match found {
            Some(Self::Leaf(leaf)) => leaf,
            other => panic!("no leaf at {path}: {other:?} in {self:?}"),
        }
    }

    pub(crate) fn keys(&self) -> Vec<&str> {
        let Self::Object(fields) = self else {
            return Vec::new();
        };
        fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Of `{"kind", "data"}`, in that order.
    pub(crate) fn kind_and_data(self) -> (String, Json) {
        assert_eq!(self.keys(), ["kind", "data"]);
        let data = self.get("data").expect("data").clone();
        (self.at("kind").to_owned(), data)
    }
}

/// Unix times differ between recordings; their unit must not.
fn number(number: u64) -> String {
    match number.to_string().len() {
        13 => "<milliseconds>".into(),
        16 => "<microseconds>".into(),
        _ => number.to_string(),
    }
}

fn text(text: &str) -> String {
    if let Some((path, query)) = text.split_once('?') {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name @ ("ticket" | "cursor"), value)) => format!("{name}={}", self::text(value)),
            Some(("sinceTs", time)) => format!("sinceTs={}", number(time.parse().expect("a time"))),
            _ => pair.to_owned(),
        });
        return format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"));
    }
    let is_ticket = text.starts_with("eyJ0b3BpY3MiOls") && text.contains('.');
    if is_ticket {
        "<ticket>".into()
    } else if text.starts_with("eyJ0Ijo") {
        format!("{:?}", Json::parse(&decoded(text)))
    } else {
        text.into()
    }
}

fn decoded(base64: &str) -> String {
    let json = URL_SAFE_NO_PAD.decode(base64).expect("base64url");
    String::from_utf8(json).expect("UTF-8")
}

/// The time that a cursor says.
pub(crate) fn cursor_time(cursor: &str) -> i64 {
    let cursor: serde_json::Value = serde_json::from_str(&decoded(cursor)).expect("JSON");
    cursor["t"].as_i64().expect("a time")
}

/// What a ticket says.
pub(crate) fn claims(ticket: &str) -> serde_json::Value {
    let (payload, _) = ticket.split_once('.').expect("a signature");
    serde_json::from_str(&decoded(payload)).expect("JSON")
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Json;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("JSON")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut fields: Vec<(String, Json)> = Vec::new();
                while let Some((key, mut value)) = map.next_entry::<String, Json>()? {
                    // The order of keys inside a body is the writer's, not the server's.
                    if let ("value", Json::Object(body)) = (key.as_str(), &mut value) {
                        body.sort_by(|a, b| a.0.cmp(&b.0));
                    }
                    fields.push((key, value));
                }
                Ok(Json::Object(fields))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Json::Array(items))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Leaf(number(value)))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Json::Leaf(value.to_string()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Leaf(text(value)))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Leaf(value.to_string()))
            }
            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Leaf("null".into()))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
