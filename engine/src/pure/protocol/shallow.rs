//! The URI of a record that cannot be read as a whole: whatever else is wrong with it, that much may be found.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};

use super::record::{AtUri, Text};

/// Longest URI of a record, as the AT Protocol bounds them.
const MAX_URI_BYTES: usize = 8 * 1024;

/// Of the data of an event that carries one record, `{"record": …}`.
pub(super) fn uri_of_event(data: &str) -> Option<AtUri> {
    find(data, &["record", "uri"])
}

/// Of a record that stands alone.
pub(super) fn uri_of_record(text: &str) -> Option<AtUri> {
    find(text, &["uri"])
}

/// Looks at this path only, and steps over everything else, however deep it is, without descending into it. What was found
/// before the text stops being JSON counts.
fn find(text: &str, path: &'static [&'static str]) -> Option<AtUri> {
    // Only an object has fields. The parser would say so too, in words that nobody reads.
    if !text.trim_ascii_start().starts_with('{') {
        return None;
    }
    let mut found = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let _ = json.deserialize_map(Find {
        path,
        found: &mut found,
    });
    found
}

struct Find<'a> {
    path: &'static [&'static str],
    found: &'a mut Option<AtUri>,
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((name, path)) = self.path.split_first() else {
            return Ok(());
        };
        while let Some(Text(key)) = map.next_key()? {
            if key != *name {
                map.next_value::<IgnoredAny>()?;
            } else if path.is_empty() {
                let Text(uri) = map.next_value()?;
                let fits = uri.len() <= MAX_URI_BYTES;
                *self.found = fits.then(|| AtUri::parse(uri)).flatten();
            } else {
                let found = &mut *self.found;
                map.next_value_seed(Find { path, found })?;
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "at://did:plc:alice/c/r";

    fn deep() -> String {
        // Far deeper than any stack.
        "[".repeat(1_000_000) + &"]".repeat(1_000_000)
    }

    #[test]
    fn a_uri_is_found_beside_anything_and_before_the_text_breaks_off() {
        let deep = deep();
        for rest in [&*deep, "{", "\"\\uZ", "nul", "1}"] {
            for record in [
                format!(r#"{{"uri":"{URI}","value":{rest}}}"#),
                format!(r#"{{"time_us":"x","uri":"at:\/\/did:plc:alice\/c\/r","value":{rest}"#),
            ] {
                let of_record = uri_of_record(&record);
                let of_event = uri_of_event(&format!(r#"{{"record":{record}}}"#));
                for found in [of_record, of_event] {
                    assert_eq!(found.unwrap().as_str(), URI, "{rest:.9}");
                }
            }
        }
        let behind = format!(r#"{{"value":{deep},"uri":"{URI}"}}"#);
        assert_eq!(uri_of_record(&behind).unwrap().as_str(), URI);
    }

    #[test]
    fn what_is_no_uri_of_a_record_is_not_found() {
        let long = format!("{URI}{}", "r".repeat(MAX_URI_BYTES));
        for text in [
            String::new(),
            "[]".into(),
            "{}".into(),
            r#"{"uri":7}"#.into(),
            r#"{"uri":"https://a/b/c"}"#.into(),
            format!(r#"{{"uri":"{long}"}}"#),
            format!(r#"{{"value":{{"uri":"{URI}"}}}}"#),
            // A body by another name.
            format!(r#"{{"record":{{"uri":"{URI}"}}}}"#),
        ] {
            assert!(uri_of_record(&text).is_none(), "{text:.40}");
        }
        assert!(uri_of_event(&format!(r#"{{"uri":"{URI}"}}"#)).is_none());
    }
}
