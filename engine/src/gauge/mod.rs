//! What a watch and its connection note of themselves for those who look: counted without locks where events pass, and
//! remembered in a few lines where something happens to the connection.

mod live;
mod moments;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

pub(crate) use live::Live;
pub use live::{LivePart, LogEntry};
pub use moments::{Carrier, Fallback, Moment, MomentKind};
use moments::{MAX_FALLBACKS, Moments};

use crate::{clock::now_ms, id::WatchId, redact::Secrets};

/// Most characters that are kept of where an appview stands.
const MAX_POSITION: usize = 64;

/// One watch's. Shared between its task, its connection and its pages.
#[derive(Debug)]
pub struct Gauge {
    watch: WatchId,
    /// Times are kept as microseconds since then, zero for never.
    epoch: Instant,
    /// Bytes that servers sent for it.
    bytes: AtomicU64,
    /// When the last of them came.
    heard: AtomicU64,
    /// How long the last connection took to stand, in microseconds.
    latency: AtomicU64,
    /// A [`Carrier`], zero for none.
    carrier: AtomicU8,
    /// What happens seldom.
    seldom: Mutex<Seldom>,
    live: Live,
}

#[derive(Debug, Default)]
struct Seldom {
    moments: Moments,
    /// Of the last attempt to connect.
    fallbacks: Vec<Fallback>,
    position: Option<String>,
}

impl Gauge {
    /// Of a new watch.
    pub(crate) fn new(watch: WatchId, live: Live) -> Arc<Self> {
        Arc::new(Self {
            watch,
            epoch: Instant::now(),
            bytes: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            latency: AtomicU64::new(0),
            carrier: AtomicU8::new(0),
            seldom: Mutex::default(),
            live,
        })
    }

    /// One that nobody looks at, for connections without a watch.
    #[doc(hidden)]
    pub fn detached(watch: WatchId) -> Arc<Self> {
        Self::new(watch, Live::default())
    }

    /// So many bytes came at this time.
    pub(crate) fn heard(&self, bytes: usize, at: Instant) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.heard.store(self.since_epoch(at), Ordering::Relaxed);
    }

    /// An attempt to connect begins.
    pub(crate) fn connecting(&self) {
        self.carrier.store(0, Ordering::Relaxed);
        self.seldom().fallbacks.clear();
    }

    /// It asks over this now.
    pub(crate) fn over(&self, carrier: Carrier) {
        self.carrier.store(carrier as u8, Ordering::Relaxed);
    }

    /// It left one way for another, for this reason.
    pub(crate) fn fell_back(&self, from: Carrier, to: Carrier, why: impl Into<String>) {
        let fallback = Fallback {
            from,
            to,
            why: why.into(),
        };
        let words = format!("{from} → {to}: {}", fallback.why);
        {
            let fallbacks = &mut self.seldom().fallbacks;
            if fallbacks.len() < MAX_FALLBACKS {
                fallbacks.push(fallback);
            }
        }
        self.note(MomentKind::Fallback, words);
    }

    /// The connection stands, so long after it was asked for.
    pub(crate) fn connected(&self, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.latency.store(micros.max(1), Ordering::Relaxed);
        let millis = after.as_secs_f64() * 1000.0;
        let words = match self.carrier() {
            Some(carrier) => format!("over {carrier}, after {millis:.1} ms"),
            None => format!("after {millis:.1} ms"),
        };
        self.note(MomentKind::Connected, words);
    }

    /// The appview says that it stands here.
    pub(crate) fn stands_at(&self, position: &str) {
        let shown = Secrets::default().quoted(position);
        self.seldom().position = Some(shown.chars().take(MAX_POSITION).collect());
    }

    /// Something happened to the connection.
    pub(crate) fn note(&self, kind: MomentKind, words: impl Into<String>) {
        let moment = Moment {
            at: now_ms(),
            kind,
            words: words.into(),
        };
        if self.live.is_on() {
            let words = moment.words.clone();
            self.live.push(self.watch, kind.name(), words);
        }
        self.seldom().moments.push(moment);
    }

    /// Whether somebody follows what happens: only then is it worth words.
    pub(crate) fn is_followed(&self) -> bool {
        self.live.is_on()
    }

    /// Something came from the server, for those who follow what happens.
    pub(crate) fn came(&self, kind: &'static str, words: &str) {
        let words = Secrets::default().quoted(words);
        self.live.push(self.watch, kind, words);
    }

    /// Bytes that servers sent for it.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// When the last of them came, in milliseconds since the Unix epoch.
    pub(crate) fn heard_at(&self) -> Option<i64> {
        let heard = self.heard.load(Ordering::Relaxed);
        let ago = self.since_epoch(Instant::now()).saturating_sub(heard) / 1000;
        (heard > 0).then(|| now_ms().saturating_sub_unsigned(ago))
    }

    /// How long the last connection took to stand, in milliseconds.
    pub(crate) fn latency(&self) -> Option<f64> {
        let micros = self.latency.load(Ordering::Relaxed);
        (micros > 0).then_some(micros as f64 / 1000.0)
    }

    /// What it is asked over.
    pub(crate) fn carrier(&self) -> Option<Carrier> {
        Carrier::of(self.carrier.load(Ordering::Relaxed))
    }

    /// The last moments, the oldest first.
    pub(crate) fn moments(&self) -> Vec<Moment> {
        self.seldom().moments.all()
    }

    /// What the last attempt to connect tried, and why it left it.
    pub(crate) fn fallbacks(&self) -> Vec<Fallback> {
        self.seldom().fallbacks.clone()
    }

    /// Where the appview stands, in its own words.
    pub(crate) fn position(&self) -> Option<String> {
        self.seldom().position.clone()
    }

    fn since_epoch(&self, at: Instant) -> u64 {
        let micros = at.saturating_duration_since(self.epoch).as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX).max(1)
    }

    fn seldom(&self) -> MutexGuard<'_, Seldom> {
        self.seldom.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_came_is_counted_and_its_age_told() {
        let gauge = Gauge::detached(WatchId::next());
        assert_eq!((gauge.bytes(), gauge.heard_at()), (0, None));
        gauge.heard(10, Instant::now());
        gauge.heard(5, Instant::now());
        advance(Duration::from_secs(60)).await;
        assert_eq!(gauge.bytes(), 15);
        let ago = now_ms() - gauge.heard_at().unwrap();
        assert!((59_999..70_000).contains(&ago), "{ago}");
    }

    #[test]
    fn a_server_that_moves_the_app_from_one_way_to_another_for_ever_is_remembered_in_bounds() {
        let gauge = Gauge::detached(WatchId::next());
        for _ in 0..1000 {
            gauge.fell_back(Carrier::Ws, Carrier::Sse, "no socket");
        }
        assert_eq!(gauge.fallbacks().len(), MAX_FALLBACKS);
        assert_eq!(gauge.moments().len(), moments::MAX_MOMENTS);
        gauge.stands_at(&"9".repeat(10_000));
        assert_eq!(gauge.position().unwrap().len(), MAX_POSITION);
        gauge.connecting();
        assert_eq!(gauge.fallbacks(), []);
    }
}
