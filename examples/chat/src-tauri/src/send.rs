use std::time::Duration;

use reqwest::{Client, Response};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tauri::State;

use crate::config::ChatConfig;

/// How long the appview may take to store a message.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The HTTP client for messages.
pub struct Sender(Client);

impl Sender {
    /// A client that goes straight to the appview, which is on loopback.
    pub fn new() -> reqwest::Result<Self> {
        // Fails if there is a provider already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::builder().no_proxy().build().map(Self)
    }
}

/// Why a message was not sent. Reaches the front end as its text.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("no space to write to: set CHAT_SPACE")]
    NoSpace,
    #[error("the appview cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the appview refused the message: {0}")]
    Refused(String),
}

impl Serialize for SendError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Stores a message in the space. The front end chooses `rkey`, so that a command that the webview
/// delivers twice writes one message.
#[tauri::command]
pub async fn send_message(
    config: State<'_, ChatConfig>,
    sender: State<'_, Sender>,
    rkey: String,
    record: Value,
) -> Result<(), SendError> {
    let space_uri = config.space_uri.as_deref().ok_or(SendError::NoSpace)?;
    let put = json!({
        "spaceUri": space_uri,
        "collection": "message",
        "did": config.did,
        "rkey": rkey,
        "record": record,
    });
    let url = format!(
        "{}/control/put",
        config.appview.as_str().trim_end_matches('/')
    );
    let request = sender.0.post(url).timeout(TIMEOUT).json(&put);
    let response = request.send().await.map_err(SendError::Unreachable)?;
    if response.status().is_success() {
        return Ok(());
    }
    Err(SendError::Refused(reason(response).await))
}

/// The appview's own words if there are any, else the status.
async fn reason(response: Response) -> String {
    let status = response.status();
    let body: Value = response.json().await.unwrap_or_default();
    match body.get("message").or_else(|| body.get("error")) {
        Some(Value::String(message)) => message.clone(),
        _ => status.to_string(),
    }
}
