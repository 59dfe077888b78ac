//! Profiles: what an appview tells of the accounts that its answers name, where a query asks for it (`profiles=true`).

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::wire::{MAX_NESTING, nests_deeper};

/// Longest DID, as the AT Protocol bounds them.
const MAX_DID_BYTES: usize = 2048;
/// Largest profile that is kept. They have a few hundred bytes.
const MAX_PROFILE_BYTES: usize = 64 * 1024;

/// What an appview told of an account. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    did: Arc<str>,
    handle: Option<Arc<str>>,
    json: Arc<str>,
}

impl Profile {
    /// `None` if the text is not an object with a DID, or is larger or deeper than any profile.
    pub fn parse(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Named {
            did: String,
            handle: Option<String>,
        }
        if json.len() > MAX_PROFILE_BYTES || nests_deeper(json, MAX_NESTING) {
            return None;
        }
        // As a sequence it would be read, too.
        let is_object = json.trim_ascii_start().starts_with('{');
        let Named { did, handle } = serde_json::from_str(json).ok().filter(|_| is_object)?;
        let fits = did.starts_with("did:") && did.len() <= MAX_DID_BYTES;
        fits.then(|| Self {
            did: did.into(),
            handle: handle.map(Into::into),
            json: json.into(),
        })
    }

    /// The account.
    pub fn did(&self) -> &str {
        &self.did
    }

    /// Its handle, where the appview knows one.
    pub fn handle(&self) -> Option<&str> {
        self.handle.as_deref()
    }

    /// All that the appview told, `did` and `handle` included: a JSON object.
    pub fn json(&self) -> &str {
        &self.json
    }

    pub(crate) fn shared_did(&self) -> &Arc<str> {
        &self.did
    }
}

/// The `profiles` of an answer. What is none costs only itself: the records of the answer are as good without it.
#[derive(Debug, Default)]
pub(crate) struct Profiles(pub(crate) Vec<Profile>);

impl<'de> Deserialize<'de> for Profiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?;
        let each: Vec<&RawValue> = serde_json::from_str(text.get()).unwrap_or_default();
        let profiles = each.into_iter().map(RawValue::get);
        Ok(Self(profiles.filter_map(Profile::parse).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_what_the_appview_told_and_its_handle_is_not_guessed() {
        let text = r#"{"did":"did:plc:bob","handle":"bob.test","value":{"displayName":"\ud83d"}}"#;
        let profile = Profile::parse(text).unwrap();
        assert_eq!(
            (profile.did(), profile.handle()),
            ("did:plc:bob", Some("bob.test"))
        );
        assert_eq!(profile.json(), text);
        for nameless in [
            r#"{"did":"did:plc:a"}"#,
            r#"{"did":"did:plc:a","handle":null}"#,
        ] {
            assert_eq!(Profile::parse(nameless).unwrap().handle(), None);
        }
    }

    #[test]
    fn what_is_no_profile_costs_only_itself() {
        let deep = format!(
            r#"{{"did":"did:plc:a","x":{}1{}}}"#,
            "[".repeat(200),
            "]".repeat(200)
        );
        let large = format!(
            r#"{{"did":"did:plc:a","x":"{}"}}"#,
            "x".repeat(MAX_PROFILE_BYTES)
        );
        let long = format!(r#"{{"did":"did:{}"}}"#, "x".repeat(MAX_DID_BYTES));
        let odd = [
            "1",
            "null",
            "{}",
            r#"["did:plc:a","a.test"]"#,
            r#"{"did":"__proto__"}"#,
            r#"{"did":"did:plc:a","handle":7}"#,
            &deep,
            &large,
            &long,
        ];
        let good = r#"{"did":"did:plc:bob"}"#;
        let text = format!("[{},{good}]", odd.join(","));
        let Profiles(read) = serde_json::from_str(&text).unwrap();
        assert_eq!(read, [Profile::parse(good).unwrap()]);
        for none in ["7", "null", r#"{"did":"did:plc:a"}"#] {
            let Profiles(read) = serde_json::from_str(none).unwrap();
            assert!(read.is_empty(), "{none}");
        }
    }
}
