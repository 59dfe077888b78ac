//! The development appview's control calls: where tickets and sessions come from.

use std::time::Duration;

use reqwest::{Client, Response};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tauri::Url;
use tauri_plugin_contrail_sync::tickets::MintRequest;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The appview, as the chat's Rust side talks to it.
#[derive(Clone)]
pub(crate) struct Appview {
    client: Client,
    base: Url,
}

/// Why a call failed. Reaches the front end as its text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppviewError {
    #[error("the appview cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the appview refused it: {0}")]
    Refused(String),
    #[error("the appview's answer makes no sense")]
    NoSense,
    #[error("a ticket is for an account and a space")]
    NoAccount,
}

impl Serialize for AppviewError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Appview {
    /// A client that goes straight to the appview, which is on loopback, and keeps no idle connection.
    pub(crate) fn new(base: Url) -> reqwest::Result<Self> {
        // Fails if there is a provider already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0);
        let client = builder.build()?;
        Ok(Self { client, base })
    }

    /// `POST <base>/control/<call>`; the answer's JSON.
    async fn control(&self, call: &str, body: &Value) -> Result<Value, AppviewError> {
        let base = self.base.as_str().trim_end_matches('/');
        let request = self
            .client
            .post(format!("{base}/control/{call}"))
            .json(body);
        let response = request.send().await.map_err(AppviewError::Unreachable)?;
        if !response.status().is_success() {
            return Err(AppviewError::Refused(reason(response).await));
        }
        response.json().await.map_err(|_| AppviewError::NoSense)
    }

    /// A ticket for the watch that `request` describes. `ttl_ms`: its life, else what the appview gives.
    pub(crate) async fn mint(
        &self,
        request: &MintRequest,
        ttl_ms: Option<i64>,
    ) -> Result<String, AppviewError> {
        let mut query = request.url.query_pairs();
        let space_uri = query.find(|(name, _)| name == "spaceUri");
        let (Some((_, space_uri)), Some(did)) = (space_uri, &request.account) else {
            return Err(AppviewError::NoAccount);
        };
        let ask = json!({
            "spaceUri": space_uri,
            "collection": "message",
            "did": did,
            "hydrate": ["reactions"],
            "ttlMs": ttl_ms,
        });
        self.text("ticket", "ticket", &ask).await
    }

    /// A session of `did` with the PDS that the appview plays.
    pub(crate) async fn session(&self, did: &str) -> Result<String, AppviewError> {
        let ask = json!({ "did": did });
        self.text("pdsSession", "accessJwt", &ask).await
    }

    /// A text in a call's answer.
    async fn text(&self, call: &str, field: &str, body: &Value) -> Result<String, AppviewError> {
        match self.control(call, body).await?.get(field) {
            Some(Value::String(text)) => Ok(text.clone()),
            _ => Err(AppviewError::NoSense),
        }
    }
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
