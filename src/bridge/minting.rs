//! Tickets minted by a function in a webview, at the engine's request.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use contrail_sync_engine::{
    MintReason, MintRequest, Minter, Ticket, TicketError, internals::Secrets,
};
use futures_util::{FutureExt, future::BoxFuture};
use regex::Regex;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::bounds;

/// What may be a ticket or token in the words of an app, which knows more kinds of them than ours.
static TOKENS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let parts = r"[[:word:]-]{12,}(?:\.[[:word:]-]{12,})+";
    let named = r"(?i:ticket|token|secret)=[^&\s]+";
    Regex::new(&format!("{parts}|{named}")).ok()
});

/// What a page is asked for.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export))]
pub(super) struct MintAsk {
    /// The handle that this is for.
    pub handle: u32,
    /// To be repeated in the answer.
    pub request: u32,
    /// Why a ticket is wanted.
    pub reason: MintReason,
}

/// What a page answers: its function's result, whatever that is.
pub(crate) type MintAnswer = Result<serde_json::Value, String>;

/// Sends a question to the page. Says whether that went well.
type Ask = Box<dyn Fn(MintAsk) -> bool + Send + Sync>;

/// The minter of one handle. Closing the handle ends what is pending.
pub(super) struct PageMinter {
    handle: u32,
    ask: Ask,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    closed: bool,
    last: u32,
    answers: HashMap<u32, oneshot::Sender<MintAnswer>>,
}

impl PageMinter {
    /// A minter that asks through `ask`.
    pub(super) fn new(handle: u32, ask: impl Fn(MintAsk) -> bool + Send + Sync + 'static) -> Self {
        Self {
            handle,
            ask: Box::new(ask),
            pending: Mutex::default(),
        }
    }

    /// The page's answer. One that nobody waits for any more is dropped.
    pub(super) fn answer(&self, request: u32, answer: MintAnswer) {
        let waiting = self.pending().answers.remove(&request);
        if let Some(waiting) = waiting {
            let _ = waiting.send(answer);
        }
    }

    /// The page is gone: whoever waits for it should ask another one.
    pub(super) fn close(&self) {
        let mut pending = self.pending();
        pending.closed = true;
        pending.answers.clear();
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, reason: MintReason) -> Result<Ticket, TicketError> {
        let (answered, answer) = oneshot::channel();
        let request = {
            let mut pending = self.pending();
            if pending.closed {
                return Err(TicketError::NobodyMints);
            }
            pending.last = pending.last.wrapping_add(1);
            // An earlier question that timed out is not waited for: only one is ever open.
            pending.answers.clear();
            let request = pending.last;
            pending.answers.insert(request, answered);
            request
        };
        let asked = (self.ask)(MintAsk {
            handle: self.handle,
            request,
            reason,
        });
        if !asked {
            return Err(TicketError::NobodyMints);
        }
        match answer.await {
            Ok(Ok(serde_json::Value::String(text))) => Ok(Ticket::parse(&text)?),
            Ok(Ok(_)) => Err(TicketError::NotATicket("something that is no string")),
            Ok(Err(message)) => Err(TicketError::Failed(failure(&message))),
            Err(_) => Err(TicketError::NobodyMints),
        }
    }
}

impl Minter for PageMinter {
    fn mint(&self, request: MintRequest) -> BoxFuture<'_, Result<Ticket, TicketError>> {
        self.ask(request.reason).boxed()
    }
}

/// What the page's function threw, as it may stand in an error.
fn failure(thrown: &str) -> String {
    if thrown.len() > bounds::THROWN {
        return bounds::too_long("what mintTicket threw", thrown.len(), bounds::THROWN);
    }
    let thrown = match &*TOKENS {
        Some(tokens) if !thrown.is_empty() => tokens.replace_all(thrown, "…"),
        _ => return "mintTicket failed".into(),
    };
    format!("mintTicket failed: {}", Secrets::default().quoted(&thrown))
}

/// Closes a page's minter with its handle.
pub(super) struct Closing(pub Arc<PageMinter>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minter(asked: bool) -> (Arc<PageMinter>, std::sync::mpsc::Receiver<MintAsk>) {
        let (sender, asks) = std::sync::mpsc::channel();
        let minter = PageMinter::new(1, move |ask| {
            sender.send(ask).unwrap();
            asked
        });
        (Arc::new(minter), asks)
    }

    #[tokio::test]
    async fn an_answer_is_a_ticket_or_a_typed_error() {
        let cases: [(MintAnswer, bool); 5] = [
            (Ok("a.b".into()), true),
            (Ok("".into()), false),
            (Ok(7.into()), false),
            (Ok("x".repeat(1_000_000).into()), false),
            (Err("thrown".into()), false),
        ];
        for (answer, good) in cases {
            let (minter, asks) = minter(true);
            let (asking, answering) = (minter.clone(), minter.clone());
            let minted = tokio::spawn(async move { asking.ask(MintReason::First).await });
            tokio::task::yield_now().await;
            answering.answer(asks.try_recv().unwrap().request, answer);
            assert_eq!(minted.await.unwrap().is_ok(), good);
        }
    }

    #[tokio::test]
    async fn what_the_function_threw_is_told_cut_and_without_what_may_be_a_ticket() {
        const TICKET: &str = "eyJkaWQiOiJkaWQ6cGxjOmFsaWNlIn0.c2lnbmF0dXJl";
        let novel = "x ".repeat(1000);
        let cases = [
            ("signed out", "signed out"),
            (
                &format!("GET /x?ticket=abc&y=1 refused {TICKET}"),
                "GET /x?…&y=1 refused …",
            ),
            (
                "Token=t, SECRET=s and abcdefghijkl.mnopqrstuvwx.yz",
                "… … and ….yz",
            ),
            (
                "https://app.example.com/xrpc/com.example.mint: 503",
                "https://app.example.com/xrpc/com.example.mint: 503",
            ),
            (&novel, &novel[..300]),
            (
                &format!("{}{TICKET}", &novel[..290]),
                &format!("{}…", &novel[..290]),
            ),
        ];
        for (thrown, told) in cases {
            let (minter, asks) = minter(true);
            let (asking, answering) = (minter.clone(), minter.clone());
            let minted = tokio::spawn(async move { asking.ask(MintReason::First).await });
            tokio::task::yield_now().await;
            answering.answer(asks.try_recv().unwrap().request, Err(thrown.into()));
            let error = minted.await.unwrap().unwrap_err().to_string();
            assert_eq!(error, format!("no ticket: mintTicket failed: {told}"));
        }
        assert_eq!(failure(""), "mintTicket failed");
        let flood = "y".repeat(bounds::THROWN + 1);
        assert_eq!(
            failure(&flood),
            "what mintTicket threw has 65537 bytes, it may have 65536"
        );
    }

    #[tokio::test]
    async fn a_closed_window_resolves_what_is_pending_and_takes_no_more() {
        let (minter, _asks) = minter(true);
        let (asking, closing) = (minter.clone(), Closing(minter.clone()));
        let minted = tokio::spawn(async move { asking.ask(MintReason::First).await });
        tokio::task::yield_now().await;
        drop(closing);
        assert!(matches!(
            minted.await.unwrap(),
            Err(TicketError::NobodyMints)
        ));
        assert!(matches!(
            minter.ask(MintReason::First).await,
            Err(TicketError::NobodyMints)
        ));
    }

    #[tokio::test]
    async fn a_page_that_cannot_be_reached_is_not_waited_for() {
        let (minter, _asks) = minter(false);
        assert!(minter.ask(MintReason::First).await.is_err());
    }

    #[tokio::test]
    async fn an_answer_to_an_older_question_is_dropped() {
        let (minter, asks) = minter(true);
        drop(tokio::time::timeout(std::time::Duration::ZERO, minter.ask(MintReason::First)).await);
        let old = asks.try_recv().unwrap().request;
        let asking = minter.clone();
        let minted = tokio::spawn(async move { asking.ask(MintReason::First).await });
        tokio::task::yield_now().await;
        minter.answer(old, Ok("old".into()));
        minter.answer(asks.try_recv().unwrap().request, Ok("new".into()));
        assert_eq!(
            minted.await.unwrap().unwrap(),
            Ticket::parse("new").unwrap()
        );
    }
}
