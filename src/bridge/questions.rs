//! Questions that a page is asked by events, and answers by a command.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use contrail_sync_engine::internals::Secrets;
use regex_lite::Regex;
use tokio::sync::oneshot;

use crate::bounds;

/// What may be a ticket or token in the words of an app, which knows more kinds of them than ours.
static TOKENS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let parts = r"[[:word:]-]{12,}(?:\.[[:word:]-]{12,})+";
    let named = r"(?i:ticket|token|secret)=[^&\s]+";
    Regex::new(&format!("{parts}|{named}")).ok()
});

/// The questions of one handle that wait for the page's answer.
pub(super) struct Questions<A>(Mutex<Open<A>>);

struct Open<A> {
    closed: bool,
    last: u32,
    answers: HashMap<u32, oneshot::Sender<A>>,
}

impl<A> Default for Questions<A> {
    fn default() -> Self {
        Self(Mutex::new(Open {
            closed: false,
            last: 0,
            answers: HashMap::new(),
        }))
    }
}

impl<A> Questions<A> {
    /// One more question: its number, and where its answer comes. `None` once the page is gone.
    pub(super) fn ask(&self) -> Option<(u32, oneshot::Receiver<A>)> {
        let (answered, answer) = oneshot::channel();
        let mut open = self.lock();
        if open.closed {
            return None;
        }
        open.last = open.last.wrapping_add(1);
        // What timed out is not waited for.
        open.answers.retain(|_, it| !it.is_closed());
        let number = open.last;
        open.answers.insert(number, answered);
        Some((number, answer))
    }

    /// The page's answer. One that nobody waits for any more is dropped.
    pub(super) fn answer(&self, number: u32, answer: A) {
        let waiting = self.lock().answers.remove(&number);
        if let Some(waiting) = waiting {
            let _ = waiting.send(answer);
        }
    }

    /// The page is gone: whoever waits for it should ask another one.
    pub(super) fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        open.answers.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Open<A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the page's function of this name threw, as it may stand in an error.
pub(super) fn failure(function: &str, thrown: &str) -> String {
    if thrown.len() > bounds::THROWN {
        let what = format!("what {function} threw");
        return bounds::too_long(&what, thrown.len(), bounds::THROWN);
    }
    match plain(thrown) {
        Some(thrown) if !thrown.is_empty() => format!("{function} failed: {thrown}"),
        _ => format!("{function} failed"),
    }
}

/// Words of a page without what may be a ticket or token, cut.
pub(super) fn plain(words: &str) -> Option<String> {
    let words = TOKENS.as_ref()?.replace_all(words, "…");
    Some(Secrets::default().quoted(&words))
}
