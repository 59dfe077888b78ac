//! What an answer that is not 2xx means.

use std::{collections::BTreeMap, time::Duration};

use futures_util::StreamExt;
use reqwest::{
    Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use serde::Deserialize;

use super::{TransportError, http::content_type};
use crate::redact::Secrets;

/// A refusal's body is read up to here: enough for any JSON error.
const MAX_REFUSAL_BYTES: usize = 16 * 1024;

/// Lets a 2xx answer pass, and turns every other one into the error it means.
pub(super) async fn accepted(
    response: Response,
    at: &str,
    secrets: &Secrets,
) -> Result<Response, TransportError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = retry_after(response.headers());
    let content_type = content_type(&response, secrets);
    let body = body(response).await;
    if let Some(refused) = access_refused(status, &body) {
        return Err(refused);
    }
    let message = words(&body).map_or_else(
        || format!("it gave no reason, but {content_type}"),
        |words| secrets.quoted(&words),
    );
    let at = at.to_owned();
    if at.ends_with(".watchRecords") {
        let is_absent = status == StatusCode::NOT_FOUND && content_type == "text/plain";
        if is_absent || status == StatusCode::NOT_IMPLEMENTED {
            return Err(TransportError::NoStream { at });
        }
        if status == StatusCode::BAD_REQUEST && message == "actor-must-be-community-did" {
            return Err(TransportError::PublicList { at });
        }
    }
    Err(match status {
        StatusCode::UNAUTHORIZED => TransportError::AuthRequired { at, message },
        StatusCode::BAD_REQUEST if is_final(&body) => TransportError::BadRequest { at, message },
        _ => TransportError::Status {
            at,
            status: status.as_u16(),
            message,
            retry_after,
        },
    })
}

/// The two refusals that end access, in exactly the server's shape: gateways, frameworks and deploys answer 403 and 404 in
/// JSON too, with an `error` of the same name, and say nothing about the records.
fn access_refused(status: StatusCode, body: &[u8]) -> Option<TransportError> {
    let (error, others): (_, &[&str]) = match status {
        StatusCode::FORBIDDEN => ("Forbidden", &["reason", "message"]),
        StatusCode::NOT_FOUND => ("NotFound", &["reason"]),
        _ => return None,
    };
    let mut said: BTreeMap<String, String> = serde_json::from_slice(body).ok()?;
    let is_exact = said.remove("error")? == error
        && said.keys().all(|name| others.contains(&name.as_str()))
        && said.get("reason").is_none_or(|reason| is_reason(reason));
    let reason = said.remove("reason").filter(|_| is_exact);
    match status {
        StatusCode::FORBIDDEN => Some(TransportError::Forbidden { reason: reason? }),
        _ => is_exact.then(|| TransportError::NotFound {
            reason: reason.unwrap_or_else(|| error.to_owned()),
        }),
    }
}

/// Whether the server itself says that the query is none that it answers.
fn is_final(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
    }
    let refused = serde_json::from_slice(body);
    refused.is_ok_and(|Refused { error }| matches!(&*error, "InvalidRequest" | "NotSupported"))
}

/// Reasons are short, and written like `not-member`.
fn is_reason(text: &str) -> bool {
    let word = |word: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !word.is_empty() && word.bytes().all(plain)
    };
    text.len() <= 64 && text.split('-').all(word)
}

/// What any JSON error says to people.
fn words(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Words {
        error: String,
        message: Option<String>,
        reason: Option<String>,
    }
    let Words {
        error,
        message,
        reason,
    } = serde_json::from_slice(body).ok()?;
    Some(reason.or(message).unwrap_or(error))
}

/// The body of a refusal, as much as arrives: what is missing only costs the message.
async fn body(response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        let room = MAX_REFUSAL_BYTES.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() >= MAX_REFUSAL_BYTES {
            break;
        }
    }
    body
}

/// `Retry-After` in seconds; its date form is not worth a calendar.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{ErrorKind, Refusal};

    async fn refused(status: u16, body: &str) -> TransportError {
        let response = http::Response::builder().status(status);
        let response = Response::from(response.body(body.to_owned()).unwrap());
        accepted(response, "GET https://a.example/x", &Secrets::default())
            .await
            .unwrap_err()
    }

    #[tokio::test]
    async fn access_is_lost_by_the_servers_own_words_only() {
        for (status, body) in [
            (403, r#"{"error":"Forbidden","reason":"not-member"}"#),
            (
                403,
                r#"{"error":"Forbidden","reason":"invalid-invite-token"}"#,
            ),
            (
                403,
                r#"{"error":"Forbidden","reason":"no-reachable-spaces-in-community"}"#,
            ),
            (
                403,
                r#"{"message":"Ask the owner.","reason":"app-not-allowed","error":"Forbidden"}"#,
            ),
            (404, r#"{"error":"NotFound"}"#),
            (404, r#"{"error":"NotFound","reason":"no-such-space"}"#),
        ] {
            assert!(refused(status, body).await.refusal().is_some(), "{body}");
        }
        for (status, body) in [
            (
                403,
                r#"{"statusCode":403,"error":"Forbidden","message":"Forbidden resource"}"#,
            ),
            (
                403,
                r#"{"timestamp":"2026-11-23T11:21:55Z","status":403,"error":"Forbidden","path":"/xrpc/x"}"#,
            ),
            (403, r#"{"error":"Forbidden"}"#),
            (403, r#"{"error":"Forbidden","message":"not-member"}"#),
            (403, r#"{"error":"Forbidden","reason":"Not a member"}"#),
            (403, r#"{"error":"Forbidden","reason":""}"#),
            (403, r#"{"error":"Forbidden","reason":"-"}"#),
            (403, r#"{"error":"Forbidden","reason":7}"#),
            (
                403,
                r#"{"error":"Forbidden","reason":"not-member","requestId":"1"}"#,
            ),
            (403, r#"{"error":"forbidden","reason":"not-member"}"#),
            (403, r#"{"error":"NotFound"}"#),
            (403, r#"["Forbidden","not-member"]"#),
            (
                403,
                r#"{"error":"Forbidden","reason":"not-member"} "#.repeat(2).as_str(),
            ),
            (403, "<h1>Forbidden</h1>"),
            (404, r#"{"error":"Not Found"}"#),
            (
                404,
                r#"{"error":"NotFound","message":"Cannot GET /xrpc/x"}"#,
            ),
            (404, r#"{"error":"NotFound","reason":"Cannot GET /xrpc/x"}"#),
            (404, r#"{"statusCode":404,"error":"NotFound"}"#),
            (404, r#"{"error":"Forbidden","reason":"not-member"}"#),
            (404, ""),
            (410, r#"{"error":"NotFound"}"#),
            (500, r#"{"error":"Forbidden","reason":"not-member"}"#),
        ] {
            let error = refused(status, body).await;
            assert!(error.refusal().is_none(), "{status} {body}");
            assert!(matches!(error, TransportError::Status { .. }), "{body}");
        }
    }

    #[tokio::test]
    async fn any_refusal_tells_its_own_words() {
        for (body, told) in [
            (r#"{"error":"A","message":"b"}"#, "b"),
            (r#"{"error":"A","message":"b","reason":"c"}"#, "c"),
            (r#"{"error":"A","status":403}"#, "A"),
            (
                "<h1>Forbidden</h1>",
                "it gave no reason, but an untyped body",
            ),
        ] {
            let error = refused(403, body).await.to_string();
            assert_eq!(
                error,
                format!("GET https://a.example/x answered 403: {told}")
            );
        }
    }

    #[tokio::test]
    async fn a_wrong_url_is_named_with_what_to_check() {
        let told = refused(404, "Not found").await.to_string();
        assert_eq!(
            told,
            "GET https://a.example/x answered 404: it gave no reason, but an untyped body; nothing of the kind is there: check \
             the URL's host and path"
        );
    }

    #[tokio::test]
    async fn a_query_that_the_server_cannot_answer_is_refused_for_good_in_its_words() {
        for (body, told) in [
            (
                r#"{"error":"InvalidRequest","reason":"actor-must-be-community-did"}"#,
                "actor-must-be-community-did",
            ),
            (
                r#"{"error":"InvalidRequest","message":"spaceUri or actor required"}"#,
                "spaceUri or actor required",
            ),
            (r#"{"error":"NotSupported"}"#, "NotSupported"),
        ] {
            let error = refused(400, body).await;
            assert_eq!(
                (error.kind(), error.refusal()),
                (ErrorKind::BadRequest, Some(Refusal::Final))
            );
            assert_eq!(
                error.to_string(),
                format!("GET https://a.example/x cannot answer this query (400): {told}")
            );
        }
        for (status, body) in [
            (400, r#"{"error":"Bad Request"}"#),
            (400, "<h1>Bad Request</h1>"),
            (500, r#"{"error":"InvalidRequest"}"#),
            (422, r#"{"error":"NotSupported"}"#),
        ] {
            let error = refused(status, body).await;
            assert_eq!(
                (error.kind(), error.refusal()),
                (ErrorKind::HttpStatus, None),
                "{status} {body}"
            );
        }
    }
}
