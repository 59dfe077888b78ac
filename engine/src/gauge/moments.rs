//! What happened to a watch's connection, the last few times.

use std::{collections::VecDeque, fmt};

use serde::Serialize;

/// Moments that a watch remembers.
pub(super) const MAX_MOMENTS: usize = 64;
/// Fallbacks of one attempt to connect; there are three ways at most.
pub(super) const MAX_FALLBACKS: usize = 4;

/// A way to be told by a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum Carrier {
    /// Server-sent events.
    Sse = 1,
    /// WebSocket.
    Ws = 2,
    /// Lists, asked for again.
    Poll = 3,
}

impl Carrier {
    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::Sse, Self::Ws, Self::Poll]
            .into_iter()
            .find(|it| *it as u8 == number)
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sse => "SSE",
            Self::Ws => "WebSocket",
            Self::Poll => "lists",
        })
    }
}

/// A way that `auto` left for another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct Fallback {
    /// What it left.
    pub from: Carrier,
    /// What it took instead.
    pub to: Carrier,
    /// Why, for people. Never contains a ticket.
    pub why: String,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum MomentKind {
    /// An attempt to connect began.
    Connecting,
    /// One way to connect was left for another.
    Fallback,
    /// The connection stands.
    Connected,
    /// The snapshot is whole: the records are the server's.
    Live,
    /// The connection failed, or did not come about.
    Failed,
    /// The connection was ended on purpose.
    Disconnected,
    /// The next attempt waits.
    Waiting,
    /// A quiet snapshot told something new.
    Mended,
    /// Something that the server sent would have passed a bound.
    LeftOut,
    /// Access was lost, and the records with it.
    Purged,
    /// The watch ended.
    Closed,
}

impl MomentKind {
    /// As it is written for pages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Fallback => "fallback",
            Self::Connected => "connected",
            Self::Live => "live",
            Self::Failed => "failed",
            Self::Disconnected => "disconnected",
            Self::Waiting => "waiting",
            Self::Mended => "mended",
            Self::LeftOut => "left-out",
            Self::Purged => "purged",
            Self::Closed => "closed",
        }
    }
}

/// Something that happened to a watch's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct Moment {
    /// When, in milliseconds since the Unix epoch.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub at: i64,
    /// What kind of thing.
    pub kind: MomentKind,
    /// More of it, for people. Never contains a ticket.
    pub words: String,
}

/// The last ones.
#[derive(Debug, Default)]
pub(super) struct Moments(VecDeque<Moment>);

impl Moments {
    pub(super) fn push(&mut self, moment: Moment) {
        if self.0.len() == MAX_MOMENTS {
            self.0.pop_front();
        }
        self.0.push_back(moment);
    }

    pub(super) fn all(&self) -> Vec<Moment> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name_in_the_log_and_on_the_timeline() {
        use MomentKind::*;
        for kind in [
            Connecting,
            Fallback,
            Connected,
            Live,
            Failed,
            Disconnected,
            Waiting,
            Mended,
            LeftOut,
            Purged,
            Closed,
        ] {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.name()));
        }
    }
}
