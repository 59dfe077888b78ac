//! What an XRPC server's answer means for a write.

use std::{collections::BTreeMap, time::Duration};

use http::{
    HeaderName, StatusCode,
    header::{LOCATION, WWW_AUTHENTICATE},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    pure::outbox::write::{Action, CONFLICT, Outcome, SendError, Write},
    transport::exchange::Reply,
};

/// The kind of an answer that no XRPC server gives.
const BAD_ANSWER: &str = "bad-answer";
/// When the next request may be made.
const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
/// The nonce for the next proof.
pub(super) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// However long a server asks to be left alone: its clock, or this one, may be wrong.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// A `ratelimit-reset` beyond this is a time, and no wait: AT Protocol's servers send seconds since the Unix epoch.
const FIRST_EPOCH_SECOND: u64 = 1_000_000_000;
/// Longer names of errors are none.
const MAX_NAME_BYTES: usize = 64;
/// Longer hashes are none.
const MAX_CID_BYTES: usize = 256;

/// What a server asks of whoever sent a request, before anything comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    /// A proof with the nonce that it sent.
    Nonce,
    /// Other credentials.
    Credentials,
}

/// An error in XRPC's words.
struct XrpcError {
    name: String,
    /// What it says to people, if it says anything.
    message: Option<String>,
}

/// A record as it was found.
enum Found {
    Record {
        cid: Option<String>,
        value: Box<RawValue>,
    },
    Gone,
    /// The answer does not tell.
    Untold,
}

/// Whether the server wants the request made in another way.
pub(super) fn wants(reply: &Reply) -> Wants {
    let is_400 = reply.status == StatusCode::BAD_REQUEST;
    let is_401 = reply.status == StatusCode::UNAUTHORIZED;
    let error = xrpc_error(reply);
    let name = error.as_ref().map(|it| &*it.name).unwrap_or_default();
    let challenge = reply.header(&WWW_AUTHENTICATE).unwrap_or_default();
    let asks_for_nonce = name == "use_dpop_nonce" || challenge.contains("use_dpop_nonce");
    if (is_400 || is_401) && asks_for_nonce && reply.headers.contains_key(DPOP_NONCE) {
        return Wants::Nonce;
    }
    if is_401 || asks_for_nonce || matches!(name, "ExpiredToken" | "InvalidToken") {
        return Wants::Credentials;
    }
    Wants::Nothing
}

/// Whether the record is another one than the write was made from.
pub(super) fn is_invalid_swap(reply: &Reply) -> bool {
    let may_be = matches!(reply.status.as_u16(), 400 | 409);
    may_be && xrpc_error(reply).is_some_and(|it| it.name == "InvalidSwap")
}

/// What became of the write. `now_ms`: the time of day.
pub(super) fn outcome(reply: &Reply, action: &Action, now_ms: i64) -> Outcome {
    if reply.status.is_success() {
        return sent(reply, action);
    }
    if wants(reply) != Wants::Nothing {
        return Outcome::later("auth-required", told(reply));
    }
    let error = xrpc_error(reply);
    match (reply.status.as_u16(), error) {
        (413, error) => {
            let message = error.and_then(|it| it.message);
            let message = message.unwrap_or_else(|| "the server takes no record so large".into());
            Outcome::refused("payload-too-large", message)
        }
        // What was to be taken away is gone.
        (400 | 404, Some(XrpcError { name, .. }))
            if name == "RecordNotFound" && matches!(action, Action::Delete) =>
        {
            Outcome::SENT
        }
        (400 | 403 | 404 | 409 | 422, Some(error)) => refused(error),
        _ => Outcome::Later {
            after: wait(reply, now_ms),
            why: SendError::new(trouble(reply), told(reply)),
        },
    }
}

fn sent(reply: &Reply, action: &Action) -> Outcome {
    let deletes = matches!(action, Action::Delete);
    match reply.body.as_deref() {
        // Older servers delete without a word.
        Some([]) if deletes => Outcome::SENT,
        Some(body) if is_object(body) => Outcome::Sent {
            cid: cid(body).filter(|_| !deletes),
        },
        _ => Outcome::later(
            BAD_ANSWER,
            format!("{} answered something that is no XRPC", reply.at),
        ),
    }
}

fn refused(error: XrpcError) -> Outcome {
    let message = error
        .message
        .unwrap_or_else(|| format!("the server refused it: {}", error.name));
    match &*error.name {
        "InvalidSwap" => Outcome::refused(CONFLICT, message),
        name => Outcome::refused(kebab(name), message),
    }
}

/// What kind of trouble it is that may pass.
fn trouble(reply: &Reply) -> &'static str {
    match reply.status.as_u16() {
        429 => "rate-limited",
        300..400 if reply.headers.contains_key(LOCATION) => "redirect",
        _ => "http-status",
    }
}

/// What the server said, for people.
fn told(reply: &Reply) -> String {
    let (at, status) = (&reply.at, reply.status.as_u16());
    match xrpc_error(reply) {
        Some(error) => format!(
            "{at} answered {status}: {}",
            error.message.unwrap_or(error.name)
        ),
        None if trouble(reply) == "redirect" => {
            format!("{at} answered {status}: a write follows no redirect")
        }
        None => format!("{at} answered {status}, with no reason in XRPC's words"),
    }
}

/// How long the server asks to wait.
fn wait(reply: &Reply, now_ms: i64) -> Option<Duration> {
    let is_limited = reply.status == StatusCode::TOO_MANY_REQUESTS;
    let reset = || reset(reply.header(&RATELIMIT_RESET)?, now_ms);
    let asked = reply.retry_after();
    let asked = asked.or_else(|| reset().filter(|_| is_limited));
    asked.map(|it| it.min(LONGEST_WAIT))
}

fn reset(value: &str, now_ms: i64) -> Option<Duration> {
    let seconds: u64 = value.trim().parse().ok()?;
    if seconds < FIRST_EPOCH_SECOND {
        return Some(Duration::from_secs(seconds));
    }
    let now = Duration::from_millis(now_ms.try_into().ok()?);
    Duration::from_secs(seconds).checked_sub(now)
}

/// The error that an answer names. Gateways and frameworks have errors in JSON, too: names are words of code, and nothing
/// else stands beside them where others like to answer.
fn xrpc_error(reply: &Reply) -> Option<XrpcError> {
    #[derive(Deserialize)]
    struct Said {
        error: String,
        message: Option<String>,
        reason: Option<String>,
    }
    let body = reply.body.as_deref().filter(|it| is_object(it))?;
    let Said {
        error: name,
        message,
        reason,
    } = serde_json::from_slice(body).ok()?;
    let is_exact = !matches!(reply.status.as_u16(), 403 | 404) || is_exact(body);
    let is_name = is_name(&name) && reply.quoted(&name) == name;
    (is_exact && is_name).then(|| XrpcError {
        name,
        message: message.or(reason).map(|it| reply.quoted(&it)),
    })
}

fn is_exact(body: &[u8]) -> bool {
    let said = serde_json::from_slice::<BTreeMap<String, Option<String>>>(body);
    let known = |name: &String| matches!(&**name, "error" | "message" | "reason");
    said.is_ok_and(|said| said.keys().all(known))
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

/// `InvalidSwap` as `invalid-swap`, `XRPCNotSupported` as `xrpc-not-supported`.
fn kebab(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len() + 8);
    let chars: Vec<char> = name.chars().collect();
    for (n, &c) in chars.iter().enumerate() {
        let before = n.checked_sub(1).and_then(|n| chars.get(n));
        let after = chars.get(n + 1);
        let ends_word = before.is_some_and(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
        let ends_acronym = before.is_some_and(char::is_ascii_uppercase)
            && after.is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_uppercase() && (ends_word || ends_acronym) {
            kebab.push('-');
        }
        kebab.push(match c {
            '_' | '.' => '-',
            c => c.to_ascii_lowercase(),
        });
    }
    kebab
}

fn is_object(body: &[u8]) -> bool {
    let starts = body.trim_ascii_start().first() == Some(&b'{');
    starts && serde_json::from_slice::<&RawValue>(body).is_ok()
}

/// The content hash in an answer.
fn cid(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        cid: String,
    }
    let Said { cid } = serde_json::from_slice(body).ok()?;
    let is_one = (1..=MAX_CID_BYTES).contains(&cid.len());
    (is_one && cid.bytes().all(|it| it.is_ascii_alphanumeric())).then_some(cid)
}

/// What became of a write that was refused for the version it was made from, now that its record was looked at.
/// `refused`: what it comes to if it has not arrived.
pub(super) fn after_a_look(reply: &Reply, write: &Write, refused: Outcome, now_ms: i64) -> Outcome {
    match (found(reply), &write.action) {
        (Found::Gone, Action::Delete) => Outcome::SENT,
        (Found::Record { cid, value }, Action::Put(record))
            if is_same(record, &value, write.uri.collection()) =>
        {
            Outcome::Sent { cid }
        }
        (Found::Untold, action) => match outcome(reply, action, now_ms) {
            later @ Outcome::Later { .. } => later,
            _ => Outcome::later(
                BAD_ANSWER,
                format!("{} answered something that is no record", reply.at),
            ),
        },
        _ => refused,
    }
}

/// What `com.atproto.repo.getRecord` found.
fn found(reply: &Reply) -> Found {
    #[derive(Deserialize)]
    struct Said {
        value: Box<RawValue>,
    }
    let body = reply.body.as_deref().unwrap_or_default();
    match reply.status.as_u16() {
        200 if is_object(body) => match serde_json::from_slice(body) {
            Ok(Said { value }) => Found::Record {
                cid: cid(body),
                value,
            },
            Err(_) => Found::Untold,
        },
        400 | 404 => match xrpc_error(reply) {
            Some(error) if matches!(&*error.name, "RecordNotFound" | "NotFound") => Found::Gone,
            _ => Found::Untold,
        },
        _ => Found::Untold,
    }
}

/// Whether the server has this body. It writes the collection into one that names no type.
fn is_same(written: &RawValue, found: &RawValue, collection: &str) -> bool {
    let read = |it: &RawValue| serde_json::from_str::<Value>(it.get()).ok();
    let (Some(mut here), Some(mut there)) = (read(written), read(found)) else {
        return written.get() == found.get();
    };
    for fields in [&mut here, &mut there]
        .into_iter()
        .filter_map(Value::as_object_mut)
    {
        fields.entry("$type").or_insert_with(|| collection.into());
    }
    here == there
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
