//! Sends what people write, each as who wrote it. Sessions with the PDS are in the vault: no page ever sees one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Serialize, Serializer};
use tauri::{AppHandle, Runtime, State};
use tauri_plugin_contrail_sync::{
    ContrailSyncExt,
    engine::{Engine, Secret, VaultError},
    writing::{Outcome, SendRequest, Sender, XrpcSender},
};
use tracing::warn;

use crate::config::ChatConfig;
use crate::control::{Appview, AppviewError};

/// The names of the appview's own routes begin with it.
const NAMESPACE: &str = "com.example";

/// Why somebody is not signed in. Reaches the front end as its text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("{0} is not one of the people: see CHAT_PEOPLE")]
    Stranger(String),
    #[error(transparent)]
    Appview(#[from] AppviewError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Serialize for SessionError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The PDS, as the chat's Rust side writes to it. The development appview is one, too.
#[derive(Clone)]
pub(crate) struct Pds {
    appview: Appview,
    xrpc: XrpcSender,
    people: Vec<String>,
    /// Who is signed in, with the engine whose vault has the session.
    signed_in: Arc<Mutex<HashMap<String, Engine>>>,
}

impl Pds {
    pub(crate) fn new(appview: Appview, config: &ChatConfig) -> Self {
        let url = config.appview.clone();
        // What is public goes to the PDS, of which the appview is told; what is in a space goes to the appview.
        let xrpc = XrpcSender::new(url.clone())
            .bearer_of(session_of)
            .notify(url.clone(), NAMESPACE)
            .spaces(url, NAMESPACE);
        Self {
            appview,
            xrpc,
            people: config.people.clone(),
            signed_in: Arc::default(),
        }
    }

    /// Sends a write with its author's session, and once more with a new one where there was none that is good.
    pub(crate) async fn send(self, request: SendRequest) -> Outcome {
        let did = request.write.uri.did();
        if !self.people.iter().any(|it| it == did) {
            let stranger = SessionError::Stranger(did.to_owned());
            return Outcome::refused("stranger", stranger.to_string());
        }
        let outcome = self.xrpc.send(request.clone()).await;
        if !wants_session(&outcome) {
            return outcome;
        }
        match self.renew(did).await {
            Ok(true) => self.xrpc.send(request).await,
            Ok(false) => outcome,
            Err(error) => Outcome::later("auth-required", error.to_string()),
        }
    }

    /// Gets a new session for who is signed in; whether this is somebody who is.
    async fn renew(&self, did: &str) -> Result<bool, SessionError> {
        let Some(engine) = self.signed_in().get(did).cloned() else {
            return Ok(false);
        };
        let session = self.appview.session(did).await?;
        // Signed out meanwhile.
        if !self.signed_in().contains_key(did) {
            return Ok(false);
        }
        let session = Secret::new(session);
        engine.store_secret(&session_of(did), session).await?;
        Ok(true)
    }

    fn signed_in(&self) -> MutexGuard<'_, HashMap<String, Engine>> {
        self.signed_in
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the session of an account is called in the vault.
fn session_of(did: &str) -> String {
    format!("session:{did}")
}

fn wants_session(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Later { why, .. } if why.kind == "auth-required")
}

/// Signs somebody in, also without a network: what is written then gets its session when it is sent.
#[tauri::command]
pub(crate) async fn sign_in<R: Runtime>(
    app: AppHandle<R>,
    pds: State<'_, Pds>,
    did: String,
) -> Result<(), SessionError> {
    if !pds.people.contains(&did) {
        return Err(SessionError::Stranger(did));
    }
    let engine = app.contrail_sync().engine().clone();
    pds.signed_in().insert(did.clone(), engine);
    if let Err(error) = pds.renew(&did).await {
        warn!(%error, "no session with the PDS yet");
    }
    Ok(())
}

/// Signs somebody out. What they wrote and nobody has sent yet waits until they are back.
#[tauri::command]
pub(crate) async fn sign_out<R: Runtime>(
    app: AppHandle<R>,
    pds: State<'_, Pds>,
    did: String,
) -> Result<(), SessionError> {
    pds.signed_in().remove(&did);
    let engine = app.contrail_sync().engine();
    Ok(engine.delete_secret(&session_of(&did)).await?)
}
