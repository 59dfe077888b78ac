//! Senders: code of the app that brings a write to its server.

use std::{fmt, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};

use crate::{
    pure::outbox::write::{Outcome, SendReason, Write},
    tickets::SECRET_PREFIX,
    transport::http::Http,
    vault::{Secret, Vault, VaultError},
};

/// A write that wants to be sent.
#[derive(Clone)]
#[non_exhaustive]
pub struct SendRequest {
    /// What is to be written.
    pub write: Write,
    /// Why it is sent now.
    pub reason: SendReason,
    pub(crate) http: Http,
    pub(crate) vault: Vault,
}

impl SendRequest {
    /// For the tests of senders.
    #[doc(hidden)]
    pub fn new(write: Write, reason: SendReason, http: Http, vault: Vault) -> Self {
        Self {
            write,
            reason,
            http,
            vault,
        }
    }

    /// A secret that was stored under this name, by [`store_secret`] or the plugin's `set_secret`.
    ///
    /// # Errors
    /// As [`Vault::get`].
    ///
    /// [`store_secret`]: crate::Engine::store_secret
    pub async fn secret(&self, name: &str) -> Result<Option<Secret>, VaultError> {
        self.vault.get(&format!("{SECRET_PREFIX}{name}")).await
    }
}

impl fmt::Debug for SendRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendRequest")
            .field("write", &self.write)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// Sends writes, in Rust: no credential ever enters a webview.
///
/// A write may be sent more than once: nobody knows whether an attempt whose answer was lost has arrived. So it must be one
/// that may be repeated, as `com.atproto.repo.putRecord` with its record key is; [`Write::key`] is the same each time.
///
/// Any async closure will do:
///
/// ```
/// use contrail_sync_engine::{NamedSender, Outcome, SendRequest};
///
/// let sender = NamedSender::new("api", |request: SendRequest| async move {
///     // Ask your own server, as the account of the write.
///     match request.write.account {
///         Some(_) => Outcome::SENT,
///         None => Outcome::refused("signed-out", "sign in to write"),
///     }
/// });
/// ```
pub trait Sender: Send + Sync {
    /// Brings a write to its server, and says what became of it. One that takes too long is asked again later.
    fn send(&self, request: SendRequest) -> BoxFuture<'_, Outcome>;
}

impl<F, Answer> Sender for F
where
    F: Fn(SendRequest) -> Answer + Send + Sync,
    Answer: Future<Output = Outcome> + Send + 'static,
{
    fn send(&self, request: SendRequest) -> BoxFuture<'_, Outcome> {
        self(request).boxed()
    }
}

/// A sender with the name it is registered under; the name is its identity, also of writes that outlive the process.
#[derive(Clone)]
pub struct NamedSender {
    name: String,
    pub(super) sender: Arc<dyn Sender>,
}

impl NamedSender {
    /// Names a sender.
    pub fn new(name: impl Into<String>, sender: impl Sender + 'static) -> Self {
        Self {
            name: name.into(),
            sender: Arc::new(sender),
        }
    }

    /// The name it is registered under.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for NamedSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamedSender").field(&self.name).finish()
    }
}

impl PartialEq for NamedSender {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for NamedSender {}
