//! Tickets minted by a function in a webview, at the engine's request.

use std::sync::Arc;

use contrail_sync_engine::{MintReason, MintRequest, Minter, Ticket, TicketError};
use futures_util::{FutureExt, future::BoxFuture};
use serde::Serialize;

use super::questions::{Questions, failure};

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
    questions: Questions<MintAnswer>,
}

impl PageMinter {
    /// A minter that asks through `ask`.
    pub(super) fn new(handle: u32, ask: impl Fn(MintAsk) -> bool + Send + Sync + 'static) -> Self {
        Self {
            handle,
            ask: Box::new(ask),
            questions: Questions::default(),
        }
    }

    /// The page's answer. One that nobody waits for any more is dropped.
    pub(super) fn answer(&self, request: u32, answer: MintAnswer) {
        self.questions.answer(request, answer);
    }

    async fn ask(&self, reason: MintReason) -> Result<Ticket, TicketError> {
        let asked = self.questions.ask();
        let (request, answer) = asked.ok_or(TicketError::NobodyMints)?;
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
            Ok(Err(message)) => Err(TicketError::Failed(failure("mintTicket", &message))),
            Err(_) => Err(TicketError::NobodyMints),
        }
    }
}

impl Minter for PageMinter {
    fn mint(&self, request: MintRequest) -> BoxFuture<'_, Result<Ticket, TicketError>> {
        self.ask(request.reason).boxed()
    }
}

/// Closes a page's minter with its handle.
pub(super) struct Closing(pub Arc<PageMinter>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.questions.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds;

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
        assert_eq!(failure("mintTicket", ""), "mintTicket failed");
        let flood = "y".repeat(bounds::THROWN + 1);
        assert_eq!(
            failure("mintTicket", &flood),
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
