//! What the inspector is told of the whole app, and what it may do to watches.

use std::collections::{BTreeSet, HashMap};

use contrail_sync_engine::{LivePart, Statistics, WatchId, WatchReport};
use serde::Serialize;

use super::Bridge;
use crate::error::{Error, Result};

/// What [`Bridge::inspect`] answers.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export))]
pub(crate) struct Inspection {
    /// When it was asked, in milliseconds since the Unix epoch: other times are compared with it.
    #[cfg_attr(test, ts(type = "number"))]
    now: i64,
    /// Whether all watches are kept offline.
    offline: bool,
    /// What all watches together have done since the app started.
    counters: Statistics,
    /// Each watch of the app, the oldest first.
    watches: Vec<InspectedWatch>,
    /// Watches that were too busy to answer.
    unanswered: usize,
    /// What happened since the last time. It is kept for some seconds after each question only.
    log: LivePart,
}

/// A watch, and where it is shown.
#[derive(Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export))]
pub(crate) struct InspectedWatch {
    #[serde(flatten)]
    report: WatchReport,
    /// Labels of the webviews whose pages follow it. Rust code of the app may, too.
    windows: BTreeSet<String>,
}

/// What may be done to see what happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// The connection of a watch ends as if the network had failed.
    Drop(WatchId),
    /// A watch fetches its list anew.
    Refresh(WatchId),
    /// The cached rows of a watch go.
    ClearCache(WatchId),
    /// No watch has a connection …
    Offline,
    /// … until this.
    Online,
}

impl Deed {
    /// Reads it off what a page gave. Errors quote nothing of it.
    pub(crate) fn read(deed: &str, watch: Option<u64>) -> Result<Self> {
        let invalid = |message: &str| Err(Error::InvalidOptions(message.to_owned()));
        let of = watch.map(WatchId::of_number);
        match (deed, of) {
            ("drop", Some(watch)) => Ok(Self::Drop(watch)),
            ("refresh", Some(watch)) => Ok(Self::Refresh(watch)),
            ("clear-cache", Some(watch)) => Ok(Self::ClearCache(watch)),
            ("drop" | "refresh" | "clear-cache", None) => invalid("watch is missing"),
            ("offline", None) => Ok(Self::Offline),
            ("online", None) => Ok(Self::Online),
            ("offline" | "online", Some(_)) => invalid("offline and online are of all watches"),
            _ => invalid("deed must be one of drop, refresh, clear-cache, offline, online"),
        }
    }
}

impl Bridge {
    /// All watches of the app, and what happened since the line `since` of the log.
    pub(crate) async fn inspect(&self, since: u64) -> Inspection {
        let inspector = self.engine.inspector();
        // Before the overview: what happens meanwhile is told next time.
        let log = inspector.log(since);
        let overview = inspector.overview().await;
        let mut windows = self.windows();
        let watches = overview.watches.into_iter().map(|report| InspectedWatch {
            windows: windows.remove(&report.id).unwrap_or_default(),
            report,
        });
        Inspection {
            now: overview.now,
            offline: overview.offline,
            counters: overview.counters,
            watches: watches.collect(),
            unanswered: overview.unanswered,
            log,
        }
    }

    /// Does something to a watch, or to all.
    pub(crate) async fn act(&self, deed: Deed) -> Result<()> {
        let inspector = self.engine.inspector();
        match deed {
            Deed::Drop(watch) => inspector.drop_connection(watch).await?,
            Deed::Refresh(watch) => inspector.refresh(watch).await?,
            Deed::ClearCache(watch) => inspector.clear_cache(watch).await?,
            Deed::Offline => inspector.go_offline().await,
            Deed::Online => inspector.go_online().await,
        }
        Ok(())
    }

    /// The webviews that show each watch.
    fn windows(&self) -> HashMap<WatchId, BTreeSet<String>> {
        let mut windows: HashMap<_, BTreeSet<_>> = HashMap::new();
        for (label, slot) in self.lock().each() {
            if let Some(watch) = slot.open.get().and_then(|it| it.subscription.watch_id()) {
                windows.entry(watch).or_default().insert(label.to_owned());
            }
        }
        windows
    }
}

#[cfg(test)]
#[path = "inspecting_tests.rs"]
mod tests;
