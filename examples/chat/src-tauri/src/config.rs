use std::env;

use serde::Serialize;
use tauri::{State, Url};

/// Who may be signed in where nothing else is said.
const PEOPLE: &str = "did:plc:alice,did:plc:bob,did:plc:carol,did:plc:dave";

/// Who can use this chat, where it lives and which space it shows.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChatConfig {
    /// `CHAT_APPVIEW`: the appview's base URL.
    pub appview: Url,
    /// `CHAT_SPACE`: the space's `ats://` URI.
    pub space_uri: Option<String>,
    /// `CHAT_PEOPLE`, separated by commas: who can sign in.
    pub people: Vec<String>,
    /// `CHAT_DID`: who is signed in at once.
    pub did: Option<String>,
    /// `CHAT_TICKET_TTL_MS`: the life of tickets in milliseconds, else what the appview gives.
    #[serde(skip)]
    pub ticket_ttl_ms: Option<i64>,
}

impl ChatConfig {
    /// Reads the environment; an empty variable counts as absent. Fails with a text that names the variable.
    pub(crate) fn from_env() -> Result<Self, String> {
        Self::read(|name| env::var(name).ok())
    }

    fn read(var: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let var = |name| var(name).filter(|value| !value.trim().is_empty());
        let appview = var("CHAT_APPVIEW").unwrap_or_else(|| "http://127.0.0.1:8788".into());
        let listed = var("CHAT_PEOPLE").unwrap_or_else(|| PEOPLE.into());
        let signed_in = var("CHAT_DID").map(|it| did("CHAT_DID", &it)).transpose()?;
        let mut people: Vec<String> = Vec::new();
        for person in listed.split(',').filter(|it| !it.trim().is_empty()) {
            people.push(did("CHAT_PEOPLE", person)?);
        }
        people.extend(signed_in.clone());
        let mut seen = std::collections::HashSet::new();
        people.retain(|person| seen.insert(person.clone()));
        let ttl = var("CHAT_TICKET_TTL_MS").map(|it| it.trim().parse());
        Ok(Self {
            appview: Url::parse(&appview).map_err(|error| format!("CHAT_APPVIEW: {error}"))?,
            space_uri: var("CHAT_SPACE"),
            people,
            did: signed_in,
            ticket_ttl_ms: ttl
                .transpose()
                .map_err(|error| format!("CHAT_TICKET_TTL_MS: {error}"))?,
        })
    }
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
    fn a_variable_that_makes_no_sense_is_named() {
        for (name, value) in [
            ("CHAT_APPVIEW", "nowhere"),
            ("CHAT_DID", "alice"),
            ("CHAT_PEOPLE", "did:plc:bob,carol"),
            ("CHAT_TICKET_TTL_MS", "soon"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
        }
    }
}
