use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tauri::State;

use crate::config::ChatConfig;
use crate::control::{Appview, AppviewError};

/// Why a message was not sent. Reaches the front end as its text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("no room to write to: set CHAT_SPACE")]
    NoRoom,
    #[error("{0} is not one of the people: see CHAT_PEOPLE")]
    Stranger(String),
    #[error(transparent)]
    Appview(#[from] AppviewError),
}

impl Serialize for SendError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Stores a message of `did` in the room. The front end chooses `rkey`, so that a command that the webview
/// delivers twice writes one message.
#[tauri::command]
pub(crate) async fn send_message(
    config: State<'_, ChatConfig>,
    appview: State<'_, Appview>,
    did: String,
    rkey: String,
    record: Value,
) -> Result<(), SendError> {
    let room = config.room.as_ref().ok_or(SendError::NoRoom)?;
    if !config.people.contains(&did) {
        return Err(SendError::Stranger(did));
    }
    let put = json!({
        "spaceUri": room.space_uri(),
        "collection": "message",
        "did": did,
        "rkey": rkey,
        "record": record,
    });
    appview.control("put", &put).await?;
    Ok(())
}
