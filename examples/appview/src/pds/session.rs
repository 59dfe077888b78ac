//! Whose request it is: access tokens that look like JWTs, and DPoP nonces if they are asked for.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Error;
use crate::answer::Refusal;
use crate::auth::{authorization, bearer};
use crate::record::check_did;
use crate::ticket::{base64, mac};
use crate::world::{World, now_ms};

/// Life of an access token, as on the real server.
pub(crate) const USUAL_LIFE_MS: i64 = 2 * 60 * 60 * 1000;

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    scope: String,
    sub: String,
    /// In seconds, as in every JWT.
    iat: i64,
    exp: i64,
    /// The same in milliseconds, which is what counts.
    exp_ms: i64,
    /// No two tokens are the same.
    jti: u64,
}

impl World {
    /// An access token of this account for the PDS, with its usual life of two hours.
    pub fn pds_session(&self, did: &str) -> Result<String, Error> {
        self.pds_session_for(did, USUAL_LIFE_MS)
    }

    /// An access token with a life of so many milliseconds; zero or less makes an expired one.
    pub fn pds_session_for(&self, did: &str, life_ms: i64) -> Result<String, Error> {
        check_did(did)?;
        let now = now_ms();
        let exp_ms = now.saturating_add(life_ms);
        let session = Session {
            scope: "com.atproto.access".into(),
            sub: did.into(),
            iat: now / 1000,
            exp: exp_ms / 1000,
            exp_ms,
            jti: fastrand::u64(..),
        };
        let header = json!({ "typ": "at+jwt", "alg": "HS256" });
        let signed = format!(
            "{}.{}",
            base64(header.to_string().as_bytes()),
            base64(json!(session).to_string().as_bytes())
        );
        let signature = mac(self.secret(), &signed).finalize().into_bytes();
        Ok(format!("{signed}.{}", base64(&signature)))
    }

    /// From now on requests need a DPoP proof with this nonce; `None`: none.
    pub fn set_dpop_nonce(&self, nonce: Option<&str>) -> Result<(), Error> {
        if nonce.is_some_and(|nonce| axum::http::HeaderValue::try_from(nonce).is_err()) {
            return Err(Error::BadNonce);
        }
        self.pds().nonce = nonce.map(str::to_owned);
        Ok(())
    }

    fn session(&self, token: &str) -> Option<Session> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        mac(self.secret(), signed).verify_slice(&signature).ok()?;
        let (_, payload) = signed.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    fn account_of(&self, token: &str) -> Result<String, Refusal> {
        let session = self.session(token).ok_or(Refusal::INVALID_TOKEN)?;
        if session.exp_ms <= now_ms() {
            return Err(Refusal::EXPIRED_TOKEN);
        }
        Ok(session.sub)
    }

    /// Whose repo the request may write to.
    pub(crate) fn repo_owner(&self, headers: &HeaderMap) -> Result<String, Refusal> {
        let credentials = authorization(headers).ok_or(Refusal::AUTH_MISSING)?;
        let nonce = self.pds().nonce.clone();
        let token = match (credentials.split_once(' '), &nonce) {
            (Some(("Bearer", token)), _) | (Some(("DPoP", token)), Some(_)) => token.trim(),
            _ => return Err(Refusal::INVALID_TOKEN),
        };
        if nonce.is_some() && proven_nonce(headers) != nonce {
            return Err(Refusal::USE_DPOP_NONCE);
        }
        self.account_of(token)
    }

    /// Who writes to a space: like everywhere in the appview a bare did stands in for a service JWT, and a token of the
    /// PDS does too.
    pub(crate) fn space_author(&self, headers: &HeaderMap) -> Result<String, Refusal> {
        if let Some(did) = bearer(headers) {
            return Ok(did.to_owned());
        }
        let credentials = authorization(headers).ok_or(Refusal::JWT_REQUIRED)?;
        let token = credentials.split_once(' ').map_or("", |(_, token)| token);
        self.account_of(token.trim()).map_err(|_| Refusal::BAD_JWT)
    }

    /// Whose token it is, be it good for anything or not: for the log.
    pub(crate) fn named_by_token(&self, headers: &HeaderMap) -> Option<String> {
        if let Some(did) = bearer(headers) {
            return Some(did.to_owned());
        }
        let (_, token) = authorization(headers)?.split_once(' ')?;
        Some(self.session(token.trim())?.sub)
    }
}

/// The nonce in the proof. Nobody checks whether the proof is signed.
fn proven_nonce(headers: &HeaderMap) -> Option<String> {
    let proof = headers.get("dpop")?.to_str().ok()?;
    let payload = URL_SAFE_NO_PAD.decode(proof.split('.').nth(1)?).ok()?;
    let payload: Value = serde_json::from_slice(&payload).ok()?;
    Some(payload.get("nonce")?.as_str()?.to_owned())
}
