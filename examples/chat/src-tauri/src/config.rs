use std::env;

use serde::Serialize;
use tauri::{State, Url};

/// Whose chat this is, where it lives and which space it shows.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChatConfig {
    /// `CHAT_APPVIEW`: the appview's base URL.
    pub appview: Url,
    /// `CHAT_SPACE`: the space's `ats://` URI.
    pub space_uri: Option<String>,
    /// `CHAT_DID`: who is signed in.
    pub did: String,
    /// `CHAT_TICKET`: a ticket for the watch.
    ticket: Option<String>,
}

impl ChatConfig {
    /// Reads the environment; an empty variable counts as absent. Fails with a text if `CHAT_APPVIEW` is no URL.
    pub fn from_env() -> Result<Self, String> {
        let var = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let appview = var("CHAT_APPVIEW").unwrap_or_else(|| "http://127.0.0.1:8788".into());
        Ok(Self {
            appview: Url::parse(&appview).map_err(|error| format!("CHAT_APPVIEW: {error}"))?,
            space_uri: var("CHAT_SPACE"),
            did: var("CHAT_DID").unwrap_or_else(|| "did:plc:alice".into()),
            ticket: var("CHAT_TICKET"),
        })
    }
}

/// What the front end needs to know.
#[tauri::command]
pub fn chat_config(config: State<'_, ChatConfig>) -> ChatConfig {
    config.inner().clone()
}
