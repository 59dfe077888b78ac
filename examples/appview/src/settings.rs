//! What the appview does that the real server does not, and what it loses as the real server does.

use serde::{Deserialize, Serialize};

use crate::Error;

/// What **the real server does not do**, each for tests that cannot do without. All off by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lenient {
    /// `actor=` takes any did and asks for no ticket: a watch, or a list, of all that author's records, in every space
    /// and outside, all in microseconds. (The real one: a community's did only, and for those whom it lets in.)
    pub public_actor_watch: bool,
    /// A put may set the stored time with `createdAt`. (The real one: the time of the put; of a public record that of
    /// its event on the network, which `eventAt` sets.)
    pub created_at: bool,
    /// An edit keeps the stored time, so that the record stays in its place. (The real one: each put moves it.)
    pub edits_stay: bool,
    /// `listRecords` takes tickets. (The real one: 401.)
    pub tickets_list: bool,
}

impl Lenient {
    /// Allows what is called so: `public-actor-watch`, `created-at`, `edits-stay`, `tickets-list`.
    pub fn allow(&mut self, name: &str) -> Result<(), Error> {
        let allowed = match name {
            "public-actor-watch" => &mut self.public_actor_watch,
            "created-at" => &mut self.created_at,
            "edits-stay" => &mut self.edits_stay,
            "tickets-list" => &mut self.tickets_list,
            _ => return Err(Error::UnknownLeniency(name.to_owned())),
        };
        *allowed = true;
        Ok(())
    }
}

/// What the server loses by itself. By default: what the documented set-up of the real one always loses, and nothing of
/// what it loses only by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Losses {
    /// What a community writes or deletes in its spaces, and whom it kicks from them, is not published: only snapshots
    /// tell. On.
    pub community_events: bool,
    /// Deleting a space publishes nothing; otherwise everybody is kicked from it. On.
    pub space_deletion: bool,
    /// A Durable Object does not replay kicks: one between handshake and upgrade never closes the socket. On.
    pub replayed_kicks: bool,
    /// A Durable Object that nothing has been asked of for so long, in milliseconds, falls asleep and forgets what it
    /// would replay, so that an upgrade that comes late gets nothing. 10,000; absent: it never sleeps.
    pub object_sleeps_after_ms: Option<i64>,
    /// Over SSE and a worker's WebSocket, live events begin only so many milliseconds after the query has run: what
    /// happens in between is in no snapshot and in no event. By chance, so absent.
    pub subscribes_after_ms: Option<u64>,
    /// A watch that falls behind by more than this loses the oldest events in silence; the real one's bound is 1,024.
    /// By chance, so absent: then a watch that falls far behind is cut.
    pub queue_bound: Option<usize>,
}

impl Default for Losses {
    fn default() -> Self {
        Self {
            community_events: true,
            space_deletion: true,
            replayed_kicks: true,
            object_sleeps_after_ms: Some(10_000),
            subscribes_after_ms: None,
            queue_bound: None,
        }
    }
}
