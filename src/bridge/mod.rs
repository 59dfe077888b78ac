//! What webviews see: sessions with handles on watches, states as answers, deltas as events.
//!
//! A page names itself by a random session id, and its events carry that id in their name: any listener in
//! any webview could hear an event of a known name.

mod flow;
mod inspecting;
mod minting;
pub(crate) mod payload;
mod pulse;
mod questions;
mod sending;
mod sessions;
mod warnings;
mod webviews;
mod writing;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use contrail_sync_engine::{
    Edit, Engine, Minter, SendRequest, Sender, SenderSource, Subscription, TicketSource, WatchSpec,
    Writer,
};
use tokio::sync::{Mutex as AsyncMutex, Notify, OnceCell};

use crate::error::{Error, Result};
use flow::Flow;
use minting::{Closing, PageMinter};
use sending::{PageSender, SendAsk};
use sessions::Sessions;

pub(crate) use inspecting::{Deed, Inspection};
pub(crate) use minting::MintAnswer;
pub(crate) use pulse::pulse;
pub(crate) use sending::SendAnswer;
pub(crate) use warnings::Warnings;
pub(crate) use webviews::open;
pub(crate) use writing::Wanted;

/// About how many bytes of JSON a delta may have, half of it for records alike; the first one with records has a quarter
/// of that. Larger ones come in parts, so that a page has none to read for longer than a frame.
const PART_BYTES: usize = 512 * 1024;

/// Longest time that the end of the app, or a sleep of it, waits for the cache.
pub(crate) const LAST_WRITE: Duration = Duration::from_millis(500);

/// Longest time that a page's question for changes waits: shorter than what lies between may think it dead.
const LONGEST_POLL: Duration = Duration::from_secs(25);

/// Every page's open handles.
pub(crate) struct Bridge {
    engine: Engine,
    sessions: Mutex<Sessions<Slot>>,
    /// The network may be back.
    woken: Arc<Notify>,
}

/// A handle from the moment a page asks for it. Repeated requests meet in the cell.
#[derive(Default)]
struct Slot {
    open: OnceCell<Open>,
}

struct Open {
    subscription: Arc<Subscription>,
    flow: Flow,
    /// Number of the last edit that was made. A reload repeats commands that were in flight.
    edited: AsyncMutex<u64>,
    minter: Option<Closing>,
    writer: Writer,
    sender: Option<Lent>,
    account: Option<String>,
}

/// A page's function that sends, lent to the outbox for as long as the handle is open.
struct Lent {
    page: sending::Closing,
    /// Keeps it known there.
    _lent: Arc<dyn Sender>,
}

impl Slot {
    fn open(&self) -> Result<&Open> {
        self.open.get().ok_or(Error::UnknownWatch)
    }

    fn has_ended(&self) -> bool {
        self.open.get().is_some_and(|it| it.flow.has_ended())
    }
}

/// Gives a page an event by its name, with a JSON text. Says whether that went well.
type Send = Arc<dyn Fn(&str, String) -> bool + std::marker::Send + Sync>;

impl Bridge {
    /// A bridge without pages.
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            sessions: Mutex::default(),
            woken: Arc::default(),
        }
    }

    /// Opens a handle, or finds it open, and gives its state as JSON.
    async fn open(
        &self,
        label: &str,
        session: String,
        handle: u32,
        spec: WatchSpec,
        send: Send,
    ) -> Result<String> {
        let event = event_name(&session)?;
        let key = (label.to_owned(), session);
        let slot = self.lock().reserve(&key, handle)?;
        let open = slot
            .open
            .get_or_init(|| self.follow(event, handle, spec, send))
            .await;
        // Closed while it was opening: the page does not want it any more.
        if !self.lock().holds(&key, handle, &slot) {
            return Err(Error::UnknownWatch);
        }
        open.flow.state().await
    }

    async fn follow(&self, event: String, handle: u32, spec: WatchSpec, send: Send) -> Open {
        let minter = matches!(spec.tickets, TicketSource::Followers)
            .then(|| Arc::new(page_minter(send.clone(), &event, handle)));
        let follower = minter.clone().map(|it| it as Arc<dyn Minter>);
        let sender = self.lend(send.clone(), &event, handle, &spec).await;
        let account = spec.account.clone();
        let subscription = self.engine.watch_minting(spec.clone(), follower).await;
        let subscription = Arc::new(subscription.in_parts(PART_BYTES));
        Open {
            flow: Flow::start(handle, subscription.clone(), move |json| send(&event, json)),
            writer: self.engine.writer(&subscription, &spec),
            subscription,
            edited: AsyncMutex::default(),
            minter: minter.map(Closing),
            sender,
            account,
        }
    }

    /// Lends the page's function that sends to the outbox, if the page has one.
    async fn lend(&self, send: Send, event: &str, handle: u32, spec: &WatchSpec) -> Option<Lent> {
        if spec.sender != Some(SenderSource::Followers) {
            return None;
        }
        let page = Arc::new(page_sender(send, event, handle));
        let lent: Arc<dyn Sender> = page.clone();
        self.engine.lend_sender(spec, &lent).await;
        Some(Lent {
            page: sending::Closing(page),
            _lent: lent,
        })
    }

    /// Gives a handle back. Handles that are not open are fine.
    pub(crate) fn close(&self, label: &str, session: &str, handle: u32) {
        self.lock().close(&key(label, session), handle);
    }

    /// The whole state of a handle as JSON, for a page that lost track. Counts as an acknowledgement.
    pub(crate) async fn state(&self, label: &str, session: &str, handle: u32) -> Result<String> {
        self.slot(label, session, handle)?
            .open()?
            .flow
            .state()
            .await
    }

    /// The page has applied everything up to `rev`. Gives the next delta as JSON if there is one right now; else
    /// it goes as an event.
    pub(crate) async fn ack(
        &self,
        label: &str,
        session: &str,
        handle: u32,
        rev: u64,
    ) -> Result<Option<String>> {
        let slot = self.slot(label, session, handle)?;
        slot.open()?.flow.ack(rev).await
    }

    /// Shows an edit before the server confirms it. The page numbers its edits of a handle from 1: one with a number that
    /// was made already does nothing.
    pub(crate) async fn edit(
        &self,
        label: &str,
        session: &str,
        handle: u32,
        nonce: u64,
        edit: Edit,
    ) -> Result<()> {
        edit.check(self.engine.max_event_bytes())?;
        let slot = self.slot(label, session, handle)?;
        let open = slot.open()?;
        let mut edited = open.edited.lock().await;
        if nonce > *edited {
            open.subscription.edit(edit).await?;
            *edited = nonce;
        }
        Ok(())
    }

    /// The watch of a handle was told all edits of the one of this number, which ended.
    pub(crate) fn inherit(
        &self,
        label: &str,
        session: &str,
        handle: u32,
        watch: u64,
    ) -> Result<()> {
        let slot = self.slot(label, session, handle)?;
        slot.open()?.subscription.inherit(watch);
        Ok(())
    }

    /// Fetches the next page of older records. Gives the revision from which on the page has them.
    pub(crate) async fn load_more(&self, label: &str, session: &str, handle: u32) -> Result<u64> {
        let subscription = self.subscription(label, session, handle)?;
        Ok(subscription.load_more().await?)
    }

    /// Fetches the list as it is now. Gives the revision from which on the page has it.
    pub(crate) async fn refresh(&self, label: &str, session: &str, handle: u32) -> Result<u64> {
        let subscription = self.subscription(label, session, handle)?;
        Ok(subscription.refresh().await?)
    }

    /// A handle's subscription, without the handle: closing that must end what is asked of its page, a ticket for this very
    /// request among it.
    fn subscription(&self, label: &str, session: &str, handle: u32) -> Result<Arc<Subscription>> {
        let slot = self.slot(label, session, handle)?;
        Ok(slot.open()?.subscription.clone())
    }

    /// The page lives, and can be seen or not. Gives the handles that it holds.
    pub(crate) fn renew(&self, label: &str, session: &str, visible: bool) -> Vec<u32> {
        self.lock().renew(&key(label, session), |slot| {
            if let Some(open) = slot.open.get() {
                open.subscription.set_seen(visible);
            }
            slot.has_ended()
        })
    }

    /// The network may be back: watches that wait connect at once.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// The page's answer to a [`minting::MintAsk`]. One that comes too late is dropped.
    pub(crate) fn answer(
        &self,
        label: &str,
        session: &str,
        handle: u32,
        request: u32,
        answer: MintAnswer,
    ) {
        if let Ok(slot) = self.slot(label, session, handle)
            && let Some(Open {
                minter: Some(minter),
                ..
            }) = slot.open.get()
        {
            minter.0.answer(request, answer);
        }
    }

    /// The webview shows another page now: the handles of those before come back.
    pub(crate) fn release(&self, label: &str) {
        self.lock().release(label);
    }

    /// The webview is gone, and its handles come back.
    fn forget(&self, label: &str) {
        self.lock().forget(label);
    }

    /// How many handles are open over all pages.
    pub(crate) fn handle_count(&self) -> usize {
        self.lock().handle_count()
    }

    fn slot(&self, label: &str, session: &str, handle: u32) -> Result<Arc<Slot>> {
        self.lock().get(&key(label, session), handle)
    }

    fn lock(&self) -> MutexGuard<'_, Sessions<Slot>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(label: &str, session: &str) -> sessions::PageKey {
    (label.to_owned(), session.to_owned())
}

/// A minter that asks the page, by an event whose name only that page knows.
fn page_minter(send: Send, event: &str, handle: u32) -> PageMinter {
    let event = format!("{event}/mint");
    PageMinter::new(handle, move |ask| match serde_json::to_string(&ask) {
        Ok(json) => send(&event, json),
        Err(error) => {
            tracing::error!(%error, "a question cannot be written");
            false
        }
    })
}

/// A sender that asks the page, in the same way.
fn page_sender(send: Send, event: &str, handle: u32) -> PageSender {
    let event = format!("{event}/send");
    PageSender::new(move |request, asked: &SendRequest| {
        let ask = SendAsk {
            handle,
            request,
            reason: asked.reason,
            write: (&asked.write).into(),
        };
        match serde_json::to_string(&ask) {
            Ok(json) => send(&event, json),
            Err(error) => {
                tracing::error!(%error, "a question cannot be written");
                false
            }
        }
    })
}

/// The name of a session's events.
fn event_name(session: &str) -> Result<String> {
    if !sessions::is_session(session) {
        let message = "a session id is a UUID";
        return Err(Error::InvalidOptions(message.to_owned()));
    }
    Ok(format!("contrail-sync://{session}"))
}

#[cfg(test)]
mod agreement_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod writing_tests;
