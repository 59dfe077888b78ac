//! What webviews see: sessions with handles on watches, states as answers, deltas as events.
//!
//! A page names itself by a random session id, and its events carry that id in their name: any listener in
//! any webview could hear an event of a known name.

mod minting;
pub mod payload;
mod warnings;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tauri::{Emitter, Runtime, Webview};
use tokio::sync::{OnceCell, watch};

use crate::{
    engine::{Engine, Subscription, WatchSpec},
    error::{Error, Result},
    tickets::{Minter, TicketSource},
};
use minting::{Closing, PageMinter};

pub use minting::MintAnswer;
pub use warnings::Warnings;

/// Watches that the pages of one webview may have open.
pub const MAX_WATCHES: usize = 1024;
/// Pages of one webview, frames included, that are known at once.
const MAX_SESSIONS: usize = 64;
/// Pages of one webview that are gone and remembered.
const MAX_GONE: usize = 16;
/// Closed handles of a page that are remembered.
const REMEMBERED: u32 = 1024;
/// Longest session id that a page may give itself.
const MAX_SESSION_CHARS: usize = 64;

/// Every page's open handles.
pub struct Bridge {
    engine: Engine,
    sessions: Mutex<HashMap<SessionKey, Session>>,
}

/// Label of the webview, and the page's own id.
type SessionKey = (String, String);

#[derive(Default)]
struct Session {
    handles: HashMap<u32, Arc<Slot>>,
    /// A reload repeats commands that were in flight: what was closed must not open again.
    closed: HashSet<u32>,
    /// When its page went, counted in releases; a page that still holds handles is newer than any.
    released: u64,
}

/// A handle from the moment a page asks for it. Repeated requests meet in the cell.
#[derive(Default)]
struct Slot {
    open: OnceCell<Open>,
}

struct Open {
    subscription: Arc<Subscription>,
    minter: Option<Closing>,
    acked: watch::Sender<u64>,
    forwarder: tokio::task::JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

impl Bridge {
    /// A bridge without pages.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            sessions: Mutex::default(),
        }
    }

    /// Opens a handle, or finds it open, and gives its state as JSON.
    pub async fn open<R: Runtime>(
        &self,
        webview: Webview<R>,
        session: String,
        handle: u32,
        spec: WatchSpec,
    ) -> Result<String> {
        let event = event_name(&session)?;
        let key = (webview.label().to_owned(), session);
        let slot = self.reserve(&key, handle)?;
        slot.open
            .get_or_init(|| async {
                let minter = matches!(spec.tickets, TicketSource::Followers)
                    .then(|| Arc::new(page_minter(&webview, &event, handle)));
                let follower = minter.clone().map(|it| it as Arc<dyn Minter>);
                let subscription = Arc::new(self.engine.watch_minting(spec, follower).await);
                let (acked, acks) = watch::channel(0);
                // Started only once the state is told: `rev` tells the page what is new anyway.
                let forward = forward(webview, event, handle, subscription.clone(), acks);
                Open {
                    subscription,
                    minter: minter.map(Closing),
                    acked,
                    forwarder: tokio::spawn(forward),
                }
            })
            .await;
        // Closed while it was opening: the page does not want it any more.
        if !self.holds(&key, handle, &slot) {
            return Err(Error::UnknownWatch);
        }
        state(&slot).await
    }

    /// Gives a handle back. Handles that are not open are fine.
    pub fn close(&self, label: &str, session: &str, handle: u32) {
        let mut sessions = self.lock();
        let key = (label.to_owned(), session.to_owned());
        if let Some(session) = sessions.get_mut(&key) {
            session.handles.remove(&handle);
            session.closed.insert(handle);
            // Page ids grow: only recent commands can still be repeated.
            session
                .closed
                .retain(|it| it.saturating_add(REMEMBERED) >= handle);
        }
    }

    /// The whole state of a handle as JSON, for a page that lost track. Counts as an acknowledgement.
    pub async fn state(&self, label: &str, session: &str, handle: u32) -> Result<String> {
        state(&*self.slot(label, session, handle)?).await
    }

    /// The page has applied everything up to `rev`.
    pub fn ack(&self, label: &str, session: &str, handle: u32, rev: u64) -> Result<()> {
        let slot = self.slot(label, session, handle)?;
        let open = slot.open.get().ok_or(Error::UnknownWatch)?;
        acknowledge(open, rev);
        Ok(())
    }

    /// The page's answer to a [`minting::MintAsk`]. One that comes too late is dropped.
    pub fn answer(
        &self,
        label: &str,
        session: &str,
        handle: u32,
        request: u32,
        answer: MintAnswer,
    ) {
        let slot = self.slot(label, session, handle);
        let minter = slot
            .ok()
            .and_then(|slot| slot.open.get()?.minter.as_ref().map(|it| it.0.clone()));
        if let Some(minter) = minter {
            minter.answer(request, answer);
        }
    }

    /// The webview shows another page now, or is gone: its handles come back.
    pub fn release(&self, label: &str) {
        let mut sessions = self.lock();
        let mut pages: Vec<_> = sessions
            .iter_mut()
            .filter(|((owner, _), _)| owner == label)
            .collect();
        let now = pages
            .iter()
            .map(|(_, page)| page.released)
            .max()
            .unwrap_or(0)
            + 1;
        for (_, page) in &mut pages {
            page.closed.extend(page.handles.keys().copied());
            if !page.handles.is_empty() {
                page.released = now;
            }
            page.handles.clear();
        }
        // What a page left in flight comes soon or never: the oldest ones can go.
        pages.sort_unstable_by_key(|(_, page)| std::cmp::Reverse(page.released));
        let old: Vec<SessionKey> = pages
            .iter()
            .skip(MAX_GONE)
            .map(|(key, _)| (*key).clone())
            .collect();
        for key in old {
            sessions.remove(&key);
        }
    }

    /// How many handles are open over all pages.
    pub fn handle_count(&self) -> usize {
        self.lock().values().map(|it| it.handles.len()).sum()
    }

    fn reserve(&self, key: &SessionKey, handle: u32) -> Result<Arc<Slot>> {
        let mut sessions = self.lock();
        let known = sessions.get(key);
        if known.is_some_and(|it| it.closed.contains(&handle)) {
            return Err(Error::UnknownWatch);
        }
        if let Some(slot) = known.and_then(|it| it.handles.get(&handle)) {
            return Ok(slot.clone());
        }
        let open = |page: &Session| !page.handles.is_empty();
        let pages = sessions
            .iter()
            .filter(|((label, _), page)| *label == key.0 && open(page));
        let (pages, watches) = pages.fold((0, 0), |(pages, watches), (_, page)| {
            (pages + 1, watches + page.handles.len())
        });
        if watches >= MAX_WATCHES || (pages >= MAX_SESSIONS && known.is_none()) {
            return Err(Error::TooManyWatches { limit: MAX_WATCHES });
        }
        let session = sessions.entry(key.clone()).or_default();
        Ok(session.handles.entry(handle).or_default().clone())
    }

    fn holds(&self, key: &SessionKey, handle: u32, slot: &Arc<Slot>) -> bool {
        let sessions = self.lock();
        let held = sessions.get(key).and_then(|it| it.handles.get(&handle));
        held.is_some_and(|held| Arc::ptr_eq(held, slot))
    }

    fn slot(&self, label: &str, session: &str, handle: u32) -> Result<Arc<Slot>> {
        let sessions = self.lock();
        let key = (label.to_owned(), session.to_owned());
        let slot = sessions.get(&key).and_then(|it| it.handles.get(&handle));
        slot.cloned().ok_or(Error::UnknownWatch)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A minter that asks the page, by an event whose name only that page knows.
fn page_minter<R: Runtime>(webview: &Webview<R>, event: &str, handle: u32) -> PageMinter {
    let (webview, event) = (webview.clone(), format!("{event}/mint"));
    PageMinter::new(handle, move |ask| {
        let json = serde_json::to_string(&ask).map_err(Error::from);
        let sent = json.and_then(|json| Ok(webview.emit_to(webview.label(), &event, json)?));
        sent.inspect_err(|error| tracing::error!(%error, "a page was not asked"))
            .is_ok()
    })
}

/// The name of a session's events.
fn event_name(session: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if session.is_empty() || session.len() > MAX_SESSION_CHARS || !session.chars().all(plain) {
        let message =
            format!("a session id has 1 to {MAX_SESSION_CHARS} letters, digits and dashes");
        return Err(Error::InvalidOptions(message));
    }
    Ok(format!("contrail-sync://{session}"))
}

async fn state(slot: &Slot) -> Result<String> {
    let open = slot.open.get().ok_or(Error::UnknownWatch)?;
    let state = open.subscription.state().await.ok_or(Error::UnknownWatch)?;
    acknowledge(open, state.rev);
    Ok(payload::state(&state)?)
}

fn acknowledge(open: &Open, rev: u64) {
    open.acked.send_if_modified(|acked| {
        let newer = rev > *acked;
        *acked = rev.max(*acked);
        newer
    });
}

/// Sends deltas to the page, one at a time: the next one only after the page acknowledged the last.
async fn forward<R: Runtime>(
    webview: Webview<R>,
    event: String,
    handle: u32,
    subscription: Arc<Subscription>,
    mut acks: watch::Receiver<u64>,
) {
    while let Some(delta) = subscription.next().await {
        let sent = payload::delta(handle, &delta)
            .map_err(Error::from)
            .and_then(|json| Ok(webview.emit_to(webview.label(), &event, json)?));
        if let Err(error) = sent {
            tracing::error!(%error, "a delta was not sent");
            return;
        }
        if acks.wait_for(|acked| *acked >= delta.rev).await.is_err() {
            return;
        }
    }
}
