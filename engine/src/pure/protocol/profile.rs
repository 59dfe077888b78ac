//! Profiles: what an appview tells of the accounts that its answers name, where a query asks for it (`profiles=true`).

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::wire::{MAX_NESTING, nests_deeper};

/// Longest DID, as the AT Protocol bounds them.
const MAX_DID_BYTES: usize = 2048;
/// Largest profile that is kept. They have a few hundred bytes.
const MAX_PROFILE_BYTES: usize = 64 * 1024;
/// Most profiles of one answer: a list names its authors, and those of its children and references.
const MAX_PROFILES: usize = 10_000;

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
        read(json).map(|(profile, _)| profile)
    }

    /// The account.
    pub fn did(&self) -> &str {
        &self.did
    }

    /// Its handle, where the appview knows one.
    pub fn handle(&self) -> Option<&str> {
        self.handle.as_deref()
    }

    /// All that the appview told, `did` and `handle` included: a JSON object. Where it told of several collections of
    /// profiles, the object is of the first one by name, and has the others as an array `others`.
    pub fn json(&self) -> &str {
        &self.json
    }

    pub(crate) fn shared_did(&self) -> &Arc<str> {
        &self.did
    }

    /// The same with further profiles of the account, as far as they fit.
    fn with_others(self, others: impl IntoIterator<Item = Self>) -> Self {
        let mut texts = String::new();
        for other in others {
            if self.json.len() + texts.len() + other.json.len() + 16 <= MAX_PROFILE_BYTES {
                let comma = if texts.is_empty() { "" } else { "," };
                texts.extend([comma, other.json()]);
            }
        }
        let object = self.json.trim_ascii_end().strip_suffix('}');
        match object {
            Some(object) if !texts.is_empty() => Self {
                json: format!(r#"{object},"others":[{texts}]}}"#).into(),
                ..self
            },
            _ => self,
        }
    }
}

/// A profile, and what tells it from others of the same account: the collection that it is from, as JSON.
fn read(json: &str) -> Option<(Profile, String)> {
    #[derive(Deserialize)]
    struct Named<'a> {
        did: String,
        handle: Option<String>,
        #[serde(borrow)]
        collection: Option<&'a RawValue>,
    }
    if json.len() > MAX_PROFILE_BYTES || nests_deeper(json, MAX_NESTING) {
        return None;
    }
    // As a sequence it would be read, too.
    let is_object = json.trim_ascii_start().starts_with('{');
    let named: Named<'_> = serde_json::from_str(json).ok().filter(|_| is_object)?;
    let fits = named.did.starts_with("did:") && named.did.len() <= MAX_DID_BYTES;
    let collection = named.collection.map(|it| it.get().to_owned());
    fits.then(|| {
        let profile = Profile {
            did: named.did.into(),
            handle: named.handle.map(Into::into),
            json: json.into(),
        };
        (profile, collection.unwrap_or_default())
    })
}

/// The `profiles` of an answer, one for each account, as far as the bounds allow. What is none costs only itself: the
/// records of the answer are as good without it.
#[derive(Debug, Default)]
pub(crate) struct Profiles(pub(crate) Vec<Profile>);

impl<'de> Deserialize<'de> for Profiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?;
        let mut each = Vec::new();
        let mut json = serde_json::Deserializer::from_str(text.get());
        // What was read before the bound, or before it turned out to be none, counts.
        let _ = json.deserialize_seq(Each(&mut each));
        Ok(Self(by_account(each)))
    }
}

/// An appview that knows several collections of profiles tells of an account once for each, in no order.
fn by_account(each: Vec<(Profile, String)>) -> Vec<Profile> {
    let mut accounts: BTreeMap<Arc<str>, Vec<(String, Profile)>> = BTreeMap::new();
    for (profile, collection) in each {
        let of_account = accounts.entry(profile.did.clone()).or_default();
        of_account.push((collection, profile));
    }
    let gathered = accounts.into_values().filter_map(|mut of_account| {
        of_account.sort_by(|(a, x), (b, y)| (a, &x.json).cmp(&(b, &y.json)));
        let mut profiles = of_account.into_iter().map(|(_, profile)| profile);
        let first = profiles.next()?;
        Some(first.with_others(profiles))
    });
    gathered.collect()
}

/// Reads an array of profiles.
struct Each<'a>(&'a mut Vec<(Profile, String)>);

impl<'de> Visitor<'de> for Each<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of profiles")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        for _ in 0..MAX_PROFILES {
            let Some(text) = array.next_element::<&'de RawValue>()? else {
                break;
            };
            self.0.extend(read(text.get()));
        }
        Ok(())
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
    fn several_profiles_of_an_account_are_one_whatever_their_order() {
        let of = |collection: &str, rest: &str| {
            format!(r#"{{"did":"did:plc:bob","handle":null,"collection":"{collection}"{rest}}}"#)
        };
        let (a, b) = (
            of("a.profile", r#","value":1"#),
            of("b.profile", r#","value":2"#),
        );
        let read = |texts: [&str; 3]| {
            let Profiles(read) = serde_json::from_str(&format!("[{}]", texts.join(","))).unwrap();
            read
        };
        let ann = r#"{"did":"did:plc:ann"}"#;
        let told = read([&b, ann, &a]);
        assert_eq!(told, read([&a, &b, ann]));
        assert_eq!(told.len(), 2);
        let bob: serde_json::Value = serde_json::from_str(told[1].json()).unwrap();
        assert_eq!(
            (&bob["value"], &bob["others"][0]["value"]),
            (&1.into(), &2.into())
        );
        // As the cache gives it back.
        assert_eq!(Profile::parse(told[1].json()).unwrap(), told[1]);
    }

    #[test]
    fn no_more_of_an_answer_is_read_than_the_bound() {
        let ones = format!("[{}1]", "1,".repeat(1 << 20));
        let Profiles(read) = serde_json::from_str(&ones).unwrap();
        assert!(read.is_empty());
        let many = (0..MAX_PROFILES + 5).map(|n| format!(r#"{{"did":"did:plc:{n}"}}"#));
        let many = format!("[{}]", many.collect::<Vec<_>>().join(","));
        let Profiles(read) = serde_json::from_str(&many).unwrap();
        assert_eq!(read.len(), MAX_PROFILES);
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

    #[test]
    fn of_an_account_s_profiles_as_many_are_kept_as_fit() {
        let of = |n: usize, bytes: usize| {
            let text = format!(r#"{{"did":"did:plc:a","collection":"c.{n:02}","x":""}}"#);
            let room = bytes - text.len();
            text.replace(r#""x":"""#, &format!(r#""x":"{}""#, "x".repeat(room)))
        };
        let told = |sizes: &[usize]| {
            let each = sizes.iter().enumerate().map(|(n, bytes)| of(n, *bytes));
            let text = format!("[{}]", each.collect::<Vec<_>>().join(","));
            let Profiles(read) = serde_json::from_str(&text).unwrap();
            assert_eq!(read.len(), 1);
            assert!(read[0].json().len() <= MAX_PROFILE_BYTES);
            // As the cache gives it back.
            assert_eq!(Profile::parse(read[0].json()).as_ref(), Some(&read[0]));
            let json: serde_json::Value = serde_json::from_str(read[0].json()).unwrap();
            let others = json["others"].as_array().map(|it| it.iter());
            let names = others
                .into_iter()
                .flatten()
                .map(|it| it["collection"].clone());
            names.collect::<Vec<_>>()
        };
        let quarter = MAX_PROFILE_BYTES / 4;
        assert_eq!(told(&[quarter; 5]), ["c.01", "c.02"]);
        // One that does not fit leaves its room to the next.
        let sizes = [quarter, 2 * quarter, quarter, 100];
        assert_eq!(told(&sizes), ["c.01", "c.03"]);
        assert_eq!(told(&[100; 9]).len(), 8);
        assert!(told(&[MAX_PROFILE_BYTES, 100]).is_empty());
        assert!(Profile::parse(&of(0, MAX_PROFILE_BYTES)).is_some());
    }
}
