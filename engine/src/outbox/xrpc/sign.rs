//! Who a write is sent as: a secret of the vault, or what the app signs.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::AUTHORIZATION};
use url::Url;

use super::answer::DPOP_NONCE;
use crate::{
    outbox::SendRequest,
    pure::outbox::write::SendError,
    transport::{
        exchange::Reply,
        http::{bare, origin},
    },
    vault::Secret,
};

/// Longer nonces are none.
const MAX_NONCE_BYTES: usize = 1024;
/// Origins whose nonce is remembered at once: more than a sender has.
const MAX_ORIGINS: usize = 8;

/// What is to be signed, for [`XrpcSender::authorize`].
///
/// [`XrpcSender::authorize`]: crate::XrpcSender::authorize
#[derive(Clone)]
#[non_exhaustive]
pub struct SignRequest {
    /// The request's method: `htm` of a DPoP proof.
    pub method: Method,
    /// Its URL, without user info, query and fragment: `htu` of a DPoP proof.
    pub url: Url,
    /// DID of the account to sign for: the one that the write names, or else its author.
    pub account: String,
    /// The last nonce that this origin sent, if it sent one.
    pub dpop_nonce: Option<String>,
    /// 1, or 2 where the server did not take what it got: a token should be refreshed first.
    pub attempt: u32,
}

impl fmt::Debug for SignRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignRequest")
            .field("method", &self.method)
            .field("url", &bare(&self.url))
            .field("account", &self.account)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// Headers whose values are secrets.
pub(super) type SecretHeaders = Vec<(HeaderName, Secret)>;
/// Names the secret of an account.
pub(super) type SecretName = Arc<dyn Fn(&str) -> String + Send + Sync>;
/// Signs a request.
pub(super) type Signer =
    Arc<dyn Fn(SignRequest) -> BoxFuture<'static, Result<SecretHeaders, SendError>> + Send + Sync>;

/// How a request gets its credentials.
#[derive(Clone)]
pub(super) enum Authorization {
    None,
    Bearer(SecretName),
    Signed(Signer),
}

impl Authorization {
    /// Whether it can do better when a server refuses what it got.
    pub(super) fn can_renew(&self) -> bool {
        matches!(self, Self::Signed(_))
    }

    /// The headers that authorise one request.
    pub(super) async fn headers(
        &self,
        request: &SendRequest,
        sign: SignRequest,
    ) -> Result<SecretHeaders, SendError> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Bearer(name) => {
                let secret = secret(request, &name(&sign.account)).await?;
                let bearer = Secret::new(format!("Bearer {}", secret.expose()));
                Ok(vec![(AUTHORIZATION, bearer)])
            }
            Self::Signed(signer) => signer(sign).await,
        }
    }
}

async fn secret(request: &SendRequest, name: &str) -> Result<Secret, SendError> {
    let secret = request.secret(name).await;
    let secret = secret.map_err(|error| SendError::new("vault", error.to_string()))?;
    secret.ok_or_else(|| {
        SendError::new(
            "auth-required",
            format!("there is no secret named {name:?}"),
        )
    })
}

/// Adds headers to others, and says what must not be quoted of them.
pub(super) fn add<'a>(
    headers: &mut HeaderMap,
    secrets: &'a SecretHeaders,
) -> Result<Vec<&'a str>, SendError> {
    let mut quotable = Vec::new();
    for (name, secret) in secrets {
        let value = HeaderValue::from_str(secret.expose());
        let mut value = value.map_err(|_| {
            let message = format!("the secret for {name} cannot stand in a header");
            SendError::new("auth-required", message)
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
        quotable.push(secret.expose());
        // The words behind the scheme, which others may quote without it.
        quotable.extend(secret.expose().split_whitespace().skip(1));
    }
    Ok(quotable)
}

/// The nonces that servers want in the next proof, by origin.
#[derive(Clone, Default)]
pub(super) struct Nonces(Arc<Mutex<HashMap<String, String>>>);

impl Nonces {
    pub(super) fn of(&self, url: &Url) -> Option<String> {
        self.lock().get(&origin(url)).cloned()
    }

    /// Remembers the nonce of an answer, if it has one.
    pub(super) fn learn(&self, url: &Url, reply: &Reply) {
        let Some(nonce) = reply.header(&DPOP_NONCE).map(str::trim) else {
            return;
        };
        let (origin, mut known) = (origin(url), self.lock());
        let has_room = known.len() < MAX_ORIGINS || known.contains_key(&origin);
        if has_room && (1..=MAX_NONCE_BYTES).contains(&nonce.len()) {
            known.insert(origin, nonce.to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_nonce(nonce: &str) -> Reply {
        let nonce = (DPOP_NONCE, nonce.parse().unwrap());
        Reply::new(200, HeaderMap::from_iter([nonce]), Some("{}"), &[])
    }

    #[test]
    fn the_last_nonce_of_an_origin_is_remembered_and_no_more_than_that() {
        let nonces = Nonces::default();
        let url = |text: &str| Url::parse(text).unwrap();
        let pds = url("https://pds.example/xrpc/a");
        nonces.learn(&pds, &with_nonce("one"));
        nonces.learn(&pds, &with_nonce("two"));
        nonces.learn(&pds, &with_nonce(""));
        nonces.learn(&pds, &with_nonce(&"x".repeat(MAX_NONCE_BYTES + 1)));
        nonces.learn(&pds, &Reply::new(200, HeaderMap::new(), None, &[]));
        let same = url("https://pds.example/xrpc/b");
        assert_eq!(nonces.of(&same).as_deref(), Some("two"));
        assert_eq!(nonces.of(&url("https://other.example/xrpc/a")), None);
        for n in 0..100 {
            nonces.learn(&url(&format!("https://{n}.example")), &with_nonce("n"));
        }
        assert_eq!(nonces.lock().len(), MAX_ORIGINS);
        nonces.learn(&pds, &with_nonce("three"));
        assert_eq!(nonces.of(&pds).as_deref(), Some("three"));
    }

    #[test]
    fn a_header_is_sensitive_and_no_part_of_it_is_quoted() {
        let secrets = vec![(AUTHORIZATION, Secret::new("DPoP hush"))];
        let mut headers = HeaderMap::new();
        assert_eq!(add(&mut headers, &secrets).unwrap(), ["DPoP hush", "hush"]);
        assert!(!format!("{headers:?}").contains("hush"));
        let bad = vec![(AUTHORIZATION, Secret::new("hush\nhush"))];
        let error = add(&mut headers, &bad).unwrap_err();
        assert!(!error.message.contains("hush"), "{error:?}");
    }
}
