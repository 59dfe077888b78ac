//! The development appview beside its records: where tickets and sessions come from.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tauri::Url;
use tauri_plugin_contrail_sync::tickets::{MintRequest, TicketError};

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
    /// It refuses access to the space, in its own words.
    #[error("the appview refuses access: {0}")]
    Forbidden(String),
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

/// Who is no member (any more) loses what was seen as one.
impl From<AppviewError> for TicketError {
    fn from(error: AppviewError) -> Self {
        match error {
            AppviewError::Forbidden(reason) => Self::Forbidden { reason },
            error => Self::Failed(error.to_string()),
        }
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
        let mut url = self.base.clone();
        url.set_path(&format!("{}/control/{call}", self.path()));
        let response = answered(self.client.post(url).json(body)).await?;
        response.json().await.map_err(|_| AppviewError::NoSense)
    }

    /// Where the appview is on its host.
    fn path(&self) -> &str {
        self.base.path().trim_end_matches('/')
    }

    /// A ticket for the watch that `request` describes, from where an app would ask its server for one: only members
    /// of the space get it.
    pub(crate) async fn mint(&self, request: &MintRequest) -> Result<String, TicketError> {
        let mut query = request.url.query_pairs();
        let of_space = query.any(|(name, _)| name == "spaceUri");
        let did = request.account.as_ref().filter(|_| of_space);
        let did = did.ok_or(AppviewError::NoAccount)?;
        let mut url = self.base.clone();
        url.set_path(&format!("{}/api/ticket", self.path()));
        url.set_query(request.url.query());
        url.query_pairs_mut().append_pair("collection", "message");
        let response = answered(self.client.get(url).bearer_auth(did)).await?;
        let text = response.text().await;
        Ok(text.map_err(|_| AppviewError::NoSense)?)
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

/// The answer, if the appview does as it is asked.
async fn answered(request: RequestBuilder) -> Result<Response, AppviewError> {
    let response = request.send().await.map_err(AppviewError::Unreachable)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body: Value = response.json().await.unwrap_or_default();
    let said = |name: &str| body.get(name)?.as_str().map(str::to_owned);
    match said("reason") {
        Some(reason) if status == StatusCode::FORBIDDEN => Err(AppviewError::Forbidden(reason)),
        reason => {
            let words = reason.or_else(|| said("message")).or_else(|| said("error"));
            Err(AppviewError::Refused(
                words.unwrap_or_else(|| status.to_string()),
            ))
        }
    }
}
