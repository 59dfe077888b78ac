//! Writes sent by a function in a webview, at the outbox's request.

use std::{sync::Arc, time::Duration};

use contrail_sync_engine::{Action, ActionKind, Outcome, SendReason, SendRequest, Sender, Write};
use futures_util::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::questions::{Questions, failure, plain};

/// What a page is asked to send.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export))]
pub(super) struct SendAsk<'a> {
    /// The handle that this is for.
    pub handle: u32,
    /// To be repeated in the answer.
    pub request: u32,
    /// Why it is sent now.
    pub reason: SendReason,
    /// The write.
    pub write: SentWrite<'a>,
}

/// A write, as a page's function gets it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export, optional_fields))]
pub(super) struct SentWrite<'a> {
    /// Its number.
    #[cfg_attr(test, ts(type = "number"))]
    id: u64,
    /// The same at every attempt, and another one for every other write: an idempotency key.
    key: &'a str,
    /// Whether it puts the record or deletes it.
    action: ActionKind,
    /// `at://<did>/<collection>/<rkey>`.
    uri: &'a str,
    /// DID of the author, in whose repository the record lives.
    did: &'a str,
    /// NSID of the collection.
    collection: &'a str,
    /// Record key.
    rkey: &'a str,
    /// The space that holds the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<&'a str>,
    /// The record's body; none for a deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, type = "unknown"))]
    value: Option<&'a RawValue>,
    /// Content hash of the version that was changed, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    swap: Option<&'a str>,
    /// Which attempt this is, from 1 on.
    attempt: u32,
}

impl<'a> From<&'a Write> for SentWrite<'a> {
    fn from(write: &'a Write) -> Self {
        Self {
            id: write.id,
            key: &write.key,
            action: (&write.action).into(),
            uri: write.uri.as_str(),
            did: write.uri.did(),
            collection: write.uri.collection(),
            rkey: write.uri.rkey(),
            space: write.space.as_deref(),
            value: match &write.action {
                Action::Put(value) => Some(value),
                Action::Delete => None,
            },
            swap: write.swap.as_deref(),
            attempt: write.attempt,
        }
    }
}

/// What a page answers: its function's result, whatever that is, or what it threw.
pub(crate) type SendAnswer = Result<serde_json::Value, String>;

/// Gives a question to the page, by its number. Says whether that went well.
type Ask = Box<dyn Fn(u32, &SendRequest) -> bool + Send + Sync>;

/// The sender of one handle. Closing the handle ends what is pending.
pub(super) struct PageSender {
    ask: Ask,
    questions: Questions<SendAnswer>,
}

impl PageSender {
    /// A sender that asks through `ask`.
    pub(super) fn new(ask: impl Fn(u32, &SendRequest) -> bool + Send + Sync + 'static) -> Self {
        Self {
            ask: Box::new(ask),
            questions: Questions::default(),
        }
    }

    /// The page's answer. One that nobody waits for any more is dropped.
    pub(super) fn answer(&self, request: u32, answer: SendAnswer) {
        self.questions.answer(request, answer);
    }

    async fn ask(&self, request: SendRequest) -> Outcome {
        let Some((number, answer)) = self.questions.ask() else {
            return gone();
        };
        if !(self.ask)(number, &request) {
            return gone();
        }
        match answer.await {
            Ok(Ok(answer)) => outcome(answer),
            Ok(Err(thrown)) => Outcome::later("sender-failed", failure("sender", &thrown)),
            Err(_) => gone(),
        }
    }
}

impl Sender for PageSender {
    fn send(&self, request: SendRequest) -> BoxFuture<'_, Outcome> {
        self.ask(request).boxed()
    }
}

fn gone() -> Outcome {
    Outcome::later("no-sender", "the page that was to send it is gone")
}

/// What the page's function answered.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
struct Answer {
    sent: Option<bool>,
    cid: Option<String>,
    refused: Option<Refused>,
    later: Option<bool>,
    after: Option<f64>,
}

#[derive(Deserialize)]
struct Refused {
    kind: String,
    message: String,
}

/// Reads what the page's function answered: nothing at all means that the write is sent.
fn outcome(answer: serde_json::Value) -> Outcome {
    if answer.is_null() {
        return Outcome::SENT;
    }
    let bad = || {
        let message = "the function given as `sender` answered something that is no outcome";
        Outcome::refused("bad-answer", message)
    };
    let Ok(answer) = serde_json::from_value::<Answer>(answer) else {
        return bad();
    };
    match answer {
        Answer {
            sent: Some(true),
            cid,
            refused: None,
            later: None,
            after: None,
        } => Outcome::Sent { cid },
        Answer {
            sent: None,
            cid: None,
            refused: Some(Refused { kind, message }),
            later: None,
            after: None,
        } => {
            // It is kept on disk, and shown in other windows.
            let message = plain(&message).unwrap_or_default();
            Outcome::refused(kind, message)
        }
        Answer {
            sent: None,
            cid: None,
            refused: None,
            later: Some(true),
            after,
        } => {
            let after = after.filter(|it| it.is_finite() && *it >= 0.0);
            later_after(after.map(|it| Duration::try_from_secs_f64(it).unwrap_or(Duration::MAX)))
        }
        _ => bad(),
    }
}

fn later_after(after: Option<Duration>) -> Outcome {
    Outcome::later(
        "later",
        "the function given as `sender` wants it sent later",
    )
    .not_before(after)
}

/// Closes a page's sender with its handle.
pub(super) struct Closing(pub Arc<PageSender>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.questions.close();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_function_answers_is_an_outcome_or_a_refusal_that_says_so() {
        assert_eq!(outcome(json!(null)), Outcome::SENT);
        let sent = outcome(json!({ "sent": true, "cid": "b" }));
        assert_eq!(
            sent,
            Outcome::Sent {
                cid: Some("b".into())
            }
        );
        let refused = json!({ "refused": { "kind": "conflict", "message": "theirs" } });
        assert_eq!(outcome(refused), Outcome::refused("conflict", "theirs"));
        let later = outcome(json!({ "later": true, "after": 2.5 }));
        let Outcome::Later { after, .. } = later else {
            panic!("{later:?}");
        };
        assert_eq!(after, Some(Duration::from_millis(2500)));
        for nonsense in [
            json!(true),
            json!("sent"),
            json!({}),
            json!([]),
            json!({ "sent": false }),
            json!({ "sent": true, "later": true }),
            json!({ "later": true, "after": "soon" }),
            json!({ "refused": "no" }),
            json!({ "sent": true, "secret": 1 }),
        ] {
            let read = outcome(nonsense.clone());
            assert!(
                matches!(&read, Outcome::Refused(it) if it.kind == "bad-answer"),
                "{nonsense}: {read:?}"
            );
        }
        for endless in [json!(1e300), json!(-1)] {
            let later = outcome(json!({ "later": true, "after": endless }));
            assert!(matches!(later, Outcome::Later { .. }));
        }
    }

    #[test]
    fn what_it_threw_or_refused_is_told_cut_and_without_what_may_be_a_token() {
        assert_eq!(failure("sender", ""), "sender failed");
        assert_eq!(failure("sender", "offline"), "sender failed: offline");
        let told = failure("sender", "POST /x?token=hush refused");
        assert_eq!(told, "sender failed: POST /x?… refused");
        let refused = json!({ "refused": { "kind": "no", "message": "token=hush is bad" } });
        assert_eq!(outcome(refused), Outcome::refused("no", "… is bad"));
        let flood = failure("sender", &"y".repeat(crate::bounds::THROWN + 1));
        assert_eq!(
            flood,
            "what sender threw has 65537 bytes, it may have 65536"
        );
    }
}
