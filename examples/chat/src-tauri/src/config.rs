use std::{collections::HashSet, env, hash::Hash, num::ParseIntError, str::FromStr};

use serde::Serialize;
use tauri::{State, Url};

/// Who may be signed in where nothing else is said.
const PEOPLE: &str = "did:plc:alice,did:plc:bob,did:plc:carol,did:plc:dave";

/// More windows than this nobody needs.
const MAX_WINDOWS: u8 = 4;

/// Who can use this chat, where it lives and which rooms it has.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChatConfig {
    /// `CHAT_APPVIEW`: the appview's base URL.
    pub appview: Url,
    /// `CHAT_SPACE`, separated by commas: the `ats://` URIs of spaces, or `public`, which is what everybody on the appview
    /// writes for all to see. The first one is shown at first.
    pub rooms: Vec<Room>,
    /// `CHAT_PEOPLE`, separated by commas: who can sign in.
    pub people: Vec<String>,
    /// `CHAT_DID`: who is signed in at once.
    pub did: Option<String>,
    /// `CHAT_POLL_MS`: how often to look for news where there are lists only, in milliseconds.
    #[serde(skip)]
    pub poll_ms: Option<u64>,
    /// `CHAT_WINDOWS`: how many windows there are; one by default, four at most.
    #[serde(skip)]
    pub windows: u8,
}

/// Where the messages are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(crate) enum Room {
    /// Records for all to see, which today's appviews list.
    Public,
    /// A space with members, which earlier ones stream.
    #[serde(rename_all = "camelCase")]
    Space {
        /// Its `ats://` URI.
        space_uri: String,
    },
}

impl Room {
    fn of(text: &str) -> Self {
        match text.trim() {
            "public" => Self::Public,
            uri => Self::Space {
                space_uri: uri.to_owned(),
            },
        }
    }
}

impl ChatConfig {
    /// Reads the environment; an empty variable counts as absent. Fails with a text that names the variable.
    pub(crate) fn from_env() -> Result<Self, String> {
        Self::read(|name| env::var(name).ok())
    }

    fn read(var: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let var = |name: &str| var(name).filter(|value| !value.trim().is_empty());
        let appview = var("CHAT_APPVIEW").unwrap_or_else(|| "http://127.0.0.1:8788".into());
        let listed = var("CHAT_PEOPLE").unwrap_or_else(|| PEOPLE.into());
        let spaces = var("CHAT_SPACE").unwrap_or_default();
        let signed_in = var("CHAT_DID").map(|it| did("CHAT_DID", &it)).transpose()?;
        let mut people: Vec<String> = Vec::new();
        for person in parts(&listed) {
            people.push(did("CHAT_PEOPLE", person)?);
        }
        people.extend(signed_in.clone());
        Ok(Self {
            appview: Url::parse(&appview).map_err(|error| format!("CHAT_APPVIEW: {error}"))?,
            rooms: distinct(parts(&spaces).map(Room::of)),
            people: distinct(people),
            did: signed_in,
            poll_ms: number("CHAT_POLL_MS", var)?,
            windows: number("CHAT_WINDOWS", var)?
                .unwrap_or(1)
                .clamp(1, MAX_WINDOWS),
        })
    }
}

/// What stands between commas.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|it| !it.trim().is_empty())
}

/// Each of them once, in their order.
fn distinct<T: Clone + Eq + Hash>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    let all = all.into_iter();
    all.filter(|it| seen.insert(it.clone())).collect()
}

fn number<T: FromStr<Err = ParseIntError>>(
    variable: &str,
    var: impl Fn(&str) -> Option<String>,
) -> Result<Option<T>, String> {
    let number = var(variable).map(|it| it.trim().parse()).transpose();
    number.map_err(|error| format!("{variable}: {error}"))
}

fn did(variable: &str, text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.starts_with("did:") && !text.contains(char::is_whitespace) {
        return Ok(text.to_owned());
    }
    Err(format!("{variable}: {text:?} is not a did"))
}

/// What the front end needs to know.
#[tauri::command]
pub(crate) fn chat_config(config: State<'_, ChatConfig>) -> ChatConfig {
    config.inner().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<ChatConfig, String> {
        ChatConfig::read(|name| {
            let found = vars.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_an_environment_four_people_can_sign_in_and_nobody_is() {
        let config = read(&[("CHAT_DID", "")]).unwrap();
        assert_eq!(config.people.join(","), PEOPLE);
        assert_eq!(config.did, None);
        assert_eq!(config.appview.as_str(), "http://127.0.0.1:8788/");
        assert_eq!(config.windows, 1);
    }

    #[test]
    fn the_windows_have_a_bound() {
        let windows = |number| read(&[("CHAT_WINDOWS", number)]).unwrap().windows;
        assert_eq!(["0", "2", "200"].map(windows), [1, 2, MAX_WINDOWS]);
    }

    #[test]
    fn who_is_signed_in_at_once_is_one_of_the_people_and_each_is_named_once() {
        let config = read(&[
            (
                "CHAT_PEOPLE",
                " did:plc:bob, did:plc:carol,did:plc:bob,, did:plc:dave ,",
            ),
            ("CHAT_DID", "did:plc:alice"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.did.as_deref(), Some("did:plc:alice"));
        assert_eq!(
            config.people,
            [
                "did:plc:bob",
                "did:plc:carol",
                "did:plc:dave",
                "did:plc:alice"
            ]
        );
    }

    #[test]
    fn a_room_is_a_space_or_public_and_there_may_be_several_each_of_them_once() {
        let rooms = |value: &str| read(&[("CHAT_SPACE", value)]).unwrap().rooms;
        let space = |key: &str| {
            let space_uri = format!("ats://did:plc:alice/com.example.space/{key}");
            Room::Space { space_uri }
        };
        let uri = "ats://did:plc:alice/com.example.space";
        assert_eq!(rooms(""), []);
        assert_eq!(rooms("public"), [Room::Public]);
        assert_eq!(rooms(&format!("{uri}/hike")), [space("hike")]);
        let several = format!("{uri}/hike, public,,{uri}/hut,{uri}/hike");
        assert_eq!(rooms(&several), [space("hike"), Room::Public, space("hut")]);
    }

    #[test]
    fn a_variable_that_makes_no_sense_is_named() {
        for (name, value) in [
            ("CHAT_APPVIEW", "nowhere"),
            ("CHAT_DID", "alice"),
            ("CHAT_PEOPLE", "did:plc:bob,carol"),
            ("CHAT_POLL_MS", "-1"),
            ("CHAT_WINDOWS", "many"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
        }
    }
}
