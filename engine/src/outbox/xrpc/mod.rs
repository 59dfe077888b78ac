//! A ready-made sender: to a PDS and to an appview, in XRPC.

mod answer;
mod routes;
mod sign;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, CONTENT_TYPE},
};
use tokio::time::{Instant, timeout_at};
use tracing::debug;
use url::Url;

use self::{
    answer::Wants,
    routes::{Appview, Call},
    sign::{Authorization, Nonces},
};
use super::{SendRequest, Sender};
use crate::{
    clock::now_ms,
    pure::outbox::write::{Outcome, SendError, Write},
    transport::{
        TransportError,
        exchange::{Ask, Reply},
        http::{bare, origin},
    },
    vault::Secret,
};

pub use self::sign::SignRequest;

/// How long a write may take by default.
const TIMEOUT: Duration = Duration::from_secs(30);
/// However long it is given.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);
/// How long an appview may take to be told of a write.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(5);
/// Larger answers are not read.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Sends writes to a PDS by `com.atproto.repo.putRecord` and `deleteRecord`, and those of spaces to an appview by contrail's
/// own routes.
///
/// ```
/// use contrail_sync_engine::{NamedSender, XrpcSender};
///
/// let sender = XrpcSender::new("https://pds.example".parse()?)
///     .bearer("session")
///     .notify("https://appview.example".parse()?, "com.example");
/// let sender = NamedSender::new("pds", sender);
/// # Ok::<(), url::ParseError>(())
/// ```
///
/// Or with what the app signs, as OAuth with DPoP wants it:
///
/// ```
/// use contrail_sync_engine::{HeaderName, Secret, SendError, SignRequest, XrpcSender};
/// # async fn proof(_: &SignRequest) -> Result<String, SendError> { Ok(String::new()) }
/// # async fn token(_: &str, _: bool) -> Result<String, SendError> { Ok(String::new()) }
///
/// let sender = XrpcSender::new("https://pds.example".parse()?).authorize(|request: SignRequest| async move {
///     // At the second attempt the server did not take the token.
///     let token = token(&request.account, request.attempt > 1).await?;
///     let proof = proof(&request).await?;
///     Ok(vec![
///         (HeaderName::from_static("authorization"), Secret::new(format!("DPoP {token}"))),
///         (HeaderName::from_static("dpop"), Secret::new(proof)),
///     ])
/// });
/// # Ok::<(), url::ParseError>(())
/// ```
///
/// # What becomes of a write
///
/// | answer | outcome |
/// |---|---|
/// | 2xx, a JSON object | sent |
/// | `RecordNotFound`, for a delete | sent |
/// | `InvalidSwap` | sent, if the record is found to be as it should by now; else refused as [`CONFLICT`] |
/// | 400, 403, 404, 409, 422 in XRPC's words | refused; the kind is the error's name, such as `invalid-request` |
/// | 413 | refused as `payload-too-large` |
/// | 401, `ExpiredToken`, `InvalidToken` | later, as `auth-required`, once [`XrpcSender::authorize`] was asked twice |
/// | 429, 5xx, a redirect, no answer, anything else | later |
///
/// Redirects are not followed: nobody knows what they would make of the write. The record is sent as it is, with the write's
/// [`key`](Write::key) as `Idempotency-Key`.
///
/// The URLs are the app's own: no scope binds them.
///
/// [`CONFLICT`]: crate::CONFLICT
#[derive(Clone)]
pub struct XrpcSender {
    pds: Url,
    spaces: Option<Appview>,
    notified: Option<Appview>,
    authorization: Authorization,
    /// What goes to the appview of the spaces in place of the PDS's secret.
    spaces_secret: Option<String>,
    validate: Option<bool>,
    timeout: Duration,
    nonces: Nonces,
}

impl fmt::Debug for XrpcSender {
    // Its URLs may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spaces = self.spaces.as_ref().map(|it| bare(&it.url));
        f.debug_struct("XrpcSender")
            .field("pds", &bare(&self.pds))
            .field("spaces", &spaces)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl XrpcSender {
    /// Sends to this PDS.
    pub fn new(pds: Url) -> Self {
        Self {
            pds,
            spaces: None,
            notified: None,
            authorization: Authorization::None,
            spaces_secret: None,
            validate: None,
            timeout: TIMEOUT,
            nonces: Nonces::default(),
        }
    }

    /// Sends writes of spaces to this appview, by routes such as `<namespace>.space.putRecord`. Without it they are refused.
    /// It gets what [`XrpcSender::authorize`] signs, or else the secret of [`XrpcSender::spaces_bearer`]; that of
    /// [`XrpcSender::bearer`] only where PDS and appview have the same origin.
    pub fn spaces(mut self, appview: Url, namespace: impl Into<String>) -> Self {
        self.spaces = Some(Appview {
            url: appview,
            namespace: namespace.into(),
        });
        self
    }

    /// Tells this appview of every public write that was sent, by `<namespace>.notifyOfUpdate`: it shows it sooner. Whether
    /// that arrives makes no difference to the write.
    pub fn notify(mut self, appview: Url, namespace: impl Into<String>) -> Self {
        self.notified = Some(Appview {
            url: appview,
            namespace: namespace.into(),
        });
        self
    }

    /// Sends `Authorization: Bearer <secret>` to the PDS, with a secret of the vault, which is read at each attempt.
    pub fn bearer(self, secret: impl Into<String>) -> Self {
        let secret = secret.into();
        self.bearer_of(move |_| secret.clone())
    }

    /// The same with a secret for each account: `name` gets the DID of the account that the write names, or else of its
    /// author.
    pub fn bearer_of(mut self, name: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.authorization = Authorization::Bearer(Arc::new(name));
        self
    }

    /// Sends `Authorization: Bearer <secret>` to the appview of the spaces, with a secret of the vault.
    pub fn spaces_bearer(mut self, secret: impl Into<String>) -> Self {
        self.spaces_secret = Some(secret.into());
        self
    }

    /// Has the app sign every request that writes, in place of [`XrpcSender::bearer`]. Where it fails the write is tried again later. It is
    /// asked a second time at once where the server wants another nonce in the proof, or does not take the token.
    pub fn authorize<F, Answer>(mut self, sign: F) -> Self
    where
        F: Fn(SignRequest) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Vec<(HeaderName, Secret)>, SendError>> + Send + 'static,
    {
        self.authorization = Authorization::Signed(Arc::new(move |it| sign(it).boxed()));
        self
    }

    /// Whether the PDS checks records against their lexicon; it decides by itself if this is not called.
    pub fn validate(mut self, validate: bool) -> Self {
        self.validate = Some(validate);
        self
    }

    /// How long one write may take in all; 30 s by default, an hour at most.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    async fn deliver(&self, request: SendRequest) -> Outcome {
        let began = Instant::now();
        let end = began + self.timeout;
        let call = match self.call(&request.write) {
            Ok(call) => call,
            Err(why) => return Outcome::Refused(why),
        };
        let outcome = match timeout_at(end, self.attempt(&request, &call)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(why)) => Outcome::Later { after: None, why },
            Err(_) => {
                // Perhaps the connection is dead, and nobody was told.
                request.http.doubt(&call.url, began);
                let after = self.timeout.as_secs_f32();
                let message = format!("no answer from {} within {after} s", origin(&call.url));
                Outcome::later("timeout", message)
            }
        };
        if let (Outcome::Sent { .. }, None) = (&outcome, &request.write.space) {
            let end = end.min(Instant::now() + NOTICE_TIMEOUT);
            let _ = timeout_at(end, self.tell(&request)).await;
        }
        outcome
    }

    /// The request that a write makes. An error is a refusal.
    fn call(&self, write: &Write) -> Result<Call, SendError> {
        let call = match &write.space {
            None => Call::public(&self.pds, write, self.validate),
            Some(space) => {
                let Some(spaces) = &self.spaces else {
                    let message = "this sender was told of no appview for spaces";
                    return Err(SendError::new("no-spaces", message));
                };
                let author = write.uri.did();
                if write.account.as_ref().is_some_and(|it| it != author) {
                    // Its request names no author: the record would be the account's.
                    let message = "in a space an account writes records of its own only";
                    return Err(SendError::new("not-the-author", message));
                }
                Call::in_space(spaces, write, space)
            }
        }?;
        match call.url.scheme() {
            "http" | "https" => Ok(call),
            _ => Err(SendError::new(
                "invalid-url",
                "the server's URL is not http(s)",
            )),
        }
    }

    async fn attempt(&self, request: &SendRequest, call: &Call) -> Result<Outcome, SendError> {
        let write = &request.write;
        let reply = self.authorized(request, call).await?;
        let outcome = answer::outcome(&reply, &write.action, now_ms());
        if write.space.is_some() || !answer::is_invalid_swap(&reply) {
            return Ok(outcome);
        }
        // An earlier attempt, whose answer was lost, may have made the version that is there now.
        let look = Call::look(&self.pds, write);
        let reply = self.exchange(request, &look, HeaderMap::new(), &[]).await?;
        Ok(answer::after_a_look(&reply, write, outcome, now_ms()))
    }

    /// Sends a request with credentials, and once more each with the nonce and with the token that the server wants.
    async fn authorized(&self, request: &SendRequest, call: &Call) -> Result<Reply, SendError> {
        let authorization = self.authorization_for(call, request.write.space.is_some());
        let (mut attempt, mut has_nonce) = (1, false);
        loop {
            let sign = self.sign_request(&request.write, call, attempt);
            let secrets = authorization.headers(request, sign).await?;
            let mut headers = HeaderMap::new();
            if let Ok(key) = HeaderValue::from_str(&request.write.key) {
                headers.insert(IDEMPOTENCY_KEY, key);
            }
            let hidden = sign::add(&mut headers, &secrets)?;
            let reply = self.exchange(request, call, headers, &hidden).await?;
            self.nonces.learn(&call.url, &reply);
            match answer::wants(&reply) {
                _ if !authorization.can_renew() => return Ok(reply),
                Wants::Nonce if !has_nonce => has_nonce = true,
                Wants::Credentials if attempt == 1 => attempt = 2,
                _ => return Ok(reply),
            }
        }
    }

    /// Who a request is made as. The PDS's secret is for nobody else.
    fn authorization_for(&self, call: &Call, is_of_space: bool) -> Authorization {
        match (&self.authorization, &self.spaces_secret) {
            (Authorization::Signed(_), _) => self.authorization.clone(),
            (_, Some(name)) if is_of_space => {
                let name = name.clone();
                Authorization::Bearer(Arc::new(move |_| name.clone()))
            }
            _ if call.url.origin() == self.pds.origin() => self.authorization.clone(),
            _ => Authorization::None,
        }
    }

    fn sign_request(&self, write: &Write, call: &Call, attempt: u32) -> SignRequest {
        let account = write.account.as_deref();
        let plain = bare(&call.url).parse();
        SignRequest {
            method: call.method.clone(),
            url: plain.unwrap_or_else(|_| call.url.clone()),
            account: account.unwrap_or(write.uri.did()).to_owned(),
            dpop_nonce: self.nonces.of(&call.url),
            attempt,
        }
    }

    async fn exchange(
        &self,
        request: &SendRequest,
        call: &Call,
        mut headers: HeaderMap,
        secrets: &[&str],
    ) -> Result<Reply, SendError> {
        headers.insert(ACCEPT, JSON);
        if call.body.is_some() {
            headers.insert(CONTENT_TYPE, JSON);
        }
        let ask = Ask {
            method: call.method.clone(),
            url: call.url.clone(),
            headers,
            body: call.body.clone(),
            secrets,
            max_bytes: MAX_ANSWER_BYTES,
        };
        let reply = request.http.exchange(ask).await;
        reply.map_err(|error| SendError::new(kind(&error), error.to_string()))
    }

    /// Tells the appview of a write that was sent.
    async fn tell(&self, request: &SendRequest) {
        let Some(appview) = &self.notified else {
            return;
        };
        let told = async {
            let notice = Call::notice(appview, &request.write)?;
            self.exchange(request, &notice, HeaderMap::new(), &[]).await
        };
        match told.await {
            Ok(reply) => debug!(at = %reply.at, status = %reply.status, "told of a write"),
            Err(error) => debug!(%error.message, "the appview was not told of a write"),
        }
    }
}

impl Sender for XrpcSender {
    fn send(&self, request: SendRequest) -> BoxFuture<'_, Outcome> {
        self.deliver(request).boxed()
    }
}

/// The kind of a request's end without an answer.
fn kind(error: &TransportError) -> &'static str {
    match error {
        TransportError::ConnectTimeout { .. } => "timeout",
        TransportError::Cut { .. } => "disconnected",
        _ => "connect",
    }
}
