//! Tickets: `base64url(JSON claims) "." base64url(HMAC-SHA256)`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What a ticket says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The feeds it opens: `space:<uri>` or `actor:<did>`.
    pub topics: Vec<String>,
    /// The caller.
    pub did: String,
    /// End of life, Unix milliseconds.
    pub exp: i64,
    /// Time of minting, Unix milliseconds.
    pub iat: i64,
    /// The query it is good for; a topic ticket has none and opens no watch.
    #[serde(rename = "querySpec", default, skip_serializing_if = "Option::is_none")]
    pub query_spec: Option<QuerySpec>,
}

/// The part of a query that a ticket is bound to and that live events follow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuerySpec {
    /// NSID of the collection.
    pub collection: String,
    /// The space, for a space watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space_uri: Option<String>,
    /// The author, for an actor watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Relations whose children are reported live.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hydrate: BTreeMap<String, HydrateSpec>,
}

/// How a relation's children find their parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HydrateSpec {
    /// NSID of the children.
    pub child_collection: String,
    /// Path in the child's body that names the parent.
    pub match_field: String,
}

/// base64url without padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn mac(secret: &[u8; 32], payload: &str) -> Hmac<Sha256> {
    // HMAC pads a short key with zeros to the block size; done here, it cannot fail.
    let mut key = [0; 64];
    key[..32].copy_from_slice(secret);
    let mut mac = <Hmac<Sha256>>::new(&key.into());
    mac.update(payload.as_bytes());
    mac
}

/// Signs the claims.
pub(crate) fn sign(secret: &[u8; 32], claims: &Claims) -> Result<String, serde_json::Error> {
    let payload = base64(&serde_json::to_vec(claims)?);
    let signature = base64(&mac(secret, &payload).finalize().into_bytes());
    Ok(format!("{payload}.{signature}"))
}

/// The claims of a ticket that we signed and that has not expired; malformed, forged and expired look alike.
pub(crate) fn verify(secret: &[u8; 32], ticket: &str, now_ms: i64) -> Option<Claims> {
    let (payload, signature) = ticket.split_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    mac(secret, payload).verify_slice(&signature).ok()?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    (claims.exp > now_ms).then_some(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            topics: vec!["space:ats://did:plc:alice/com.example.space/s".into()],
            did: "did:plc:alice".into(),
            exp: 2_000,
            iat: 1_000,
            query_spec: Some(QuerySpec {
                collection: "com.example.chat.message".into(),
                space_uri: Some("ats://did:plc:alice/com.example.space/s".into()),
                actor: None,
                hydrate: BTreeMap::new(),
            }),
        }
    }

    #[test]
    fn a_ticket_is_good_until_it_expires() {
        let ticket = sign(&[7; 32], &claims()).unwrap();
        assert_eq!(verify(&[7; 32], &ticket, 1_999), Some(claims()));
        assert_eq!(verify(&[7; 32], &ticket, 2_000), None);
    }

    #[test]
    fn a_forged_or_mangled_ticket_is_refused() {
        let ticket = sign(&[7; 32], &claims()).unwrap();
        let (payload, signature) = ticket.split_once('.').unwrap();
        let mut forged = claims();
        forged.did = "did:plc:mallory".into();
        let forged = base64(&serde_json::to_vec(&forged).unwrap());
        for bad in [
            "",
            "bad",
            "a.b",
            payload,
            &format!("{forged}.{signature}"),
            &format!("{payload}."),
        ] {
            assert_eq!(verify(&[7; 32], bad, 0), None, "{bad}");
        }
        assert_eq!(verify(&[8; 32], &ticket, 0), None);
    }

    #[test]
    fn the_payload_has_the_recorded_keys_in_the_recorded_order() {
        let recorded = "eyJ0b3BpY3MiOlsic3BhY2U6YXRzOi8vZGlkOnBsYzphbGljZS9jb20uZXhhbXBsZS5zcGFjZS9oc213dDZlbzViIl0sImRpZCI6ImRpZDpwbGM6YWxpY2UiLCJleHAiOjE3OTU0MzMwNDYxNjMsImlhdCI6MTc5NTQzMjkyNjE2MywicXVlcnlTcGVjIjp7ImNvbGxlY3Rpb24iOiJjb20uZXhhbXBsZS5jaGF0Lm1lc3NhZ2UiLCJzcGFjZVVyaSI6ImF0czovL2RpZDpwbGM6YWxpY2UvY29tLmV4YW1wbGUuc3BhY2UvaHNtd3Q2ZW81YiIsImh5ZHJhdGUiOnsicmVhY3Rpb25zIjp7ImNoaWxkQ29sbGVjdGlvbiI6ImNvbS5leGFtcGxlLmNoYXQucmVhY3Rpb24iLCJtYXRjaEZpZWxkIjoic3ViamVjdC51cmkifX19fQ";
        let claims: Claims =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(recorded).unwrap()).unwrap();
        let again = base64(&serde_json::to_vec(&claims).unwrap());
        assert_eq!(again, recorded);
    }
}
