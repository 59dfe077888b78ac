//! The life of a watch as a state machine. `docs/lifecycle.md` has all of it as one table of phase and input, which a test
//! compares with this code, and a picture.

use std::time::Duration;

use super::backoff::Backoff;
use crate::{
    failure::{ErrorKind, ErrorPayload, Failure, Refusal},
    pure::protocol::{
        record::Record,
        wire::{self, ChildAdded, ChildRemoved, ServerEvent},
    },
};

/// Where a watch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub enum Status {
    /// Not started.
    Idle,
    /// The first connection is being made.
    Connecting,
    /// A snapshot is arriving.
    Snapshot,
    /// The records are the server's, and follow it.
    Live,
    /// The connection failed; another attempt follows.
    Reconnecting,
    /// Stopped, or ended for good: `error` says why.
    Closed,
}

/// What happens to a watch.
#[derive(Debug)]
pub enum Input {
    /// Someone wants the records.
    Start,
    /// Nobody does any more.
    Stop,
    /// The server said something.
    Event(ServerEvent),
    /// The server said something unreadable, which was skipped.
    Skipped,
    /// The attempt to connect, or the connection, ended.
    Failed(Failure),
    /// The wait that [`Effect::Wait`] asked for is over.
    Waited,
    /// The network may be back.
    Wake,
    /// The app goes to sleep: no connection until [`Input::Wake`].
    Suspend,
    /// The store cannot know its truth without a fresh snapshot; at most one in this time.
    NeedSnapshot(Duration),
}

/// What the driver is to do, in order.
#[derive(Debug)]
pub enum Effect {
    /// Get a ticket where one is needed, and connect.
    Connect,
    /// Drop the connection, or the attempt at one. Nothing of it may arrive afterwards.
    Disconnect,
    /// Send [`Input::Waited`] after this time.
    Wait(Duration),
    /// Forget the ticket: the server does not take it.
    DropTicket,
    /// Mark every record as unconfirmed.
    BeginSnapshot,
    /// Confirm one record with the snapshot's content.
    SnapshotRecord(Record),
    /// The snapshot is complete.
    EndSnapshot {
        /// Where older records begin.
        cursor: Option<String>,
        /// Whether records it lacked are gone; not when a part of it was unreadable.
        evict: bool,
    },
    /// Insert or update a record.
    Upsert(Record),
    /// Delete a record.
    Delete {
        /// Its `at://` URI.
        uri: String,
    },
    /// Add or change a hydrated child.
    AddChild(Box<ChildAdded>),
    /// Remove a hydrated child.
    RemoveChild(ChildRemoved),
    /// Access is gone: forget records, cached rows and ticket.
    Purge {
        /// The account was removed: its ticket may still be valid to the server, and must not be used.
        kicked: bool,
    },
}

/// What the machine has to know of the watch's options.
#[derive(Debug, Clone)]
pub struct MachineOptions {
    /// Whether to connect again after a failure.
    pub reconnect: bool,
    /// Whether a fresh ticket can be had after a refusal.
    pub can_mint: bool,
    /// Whose watch it is, where known.
    pub account: Option<String>,
}

/// Between two fresh snapshots that the store needs.
pub const SNAPSHOT_SPACING: Duration = Duration::from_secs(5);
/// Between two of which it could do without, but for a count that may be wrong.
pub const DOUBT_SPACING: Duration = Duration::from_secs(300);

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing: the watch has not started, or has ended.
    Stopped,
    /// A connection is being made or is open; live since the given time.
    Connected { live_since: Option<Duration> },
    /// Nothing until the wait is over.
    Waiting,
    /// Nothing until the app wakes.
    Suspended,
}

/// The state of one watch. Times are readings of one monotonic clock.
#[derive(Debug)]
pub struct Machine {
    options: MachineOptions,
    backoff: Backoff,
    phase: Phase,
    status: Status,
    error: Option<ErrorPayload>,
    /// A snapshot is arriving, and whether all of it was readable so far.
    snapshot: Option<bool>,
    /// A refused ticket was replaced once already since the watch was last live.
    reminted: bool,
    /// A fresh snapshot is due as soon as the bounds allow.
    needs_snapshot: Option<Duration>,
    last_need: Option<Duration>,
}

impl Machine {
    /// A watch that has not started.
    pub fn new(options: MachineOptions, backoff: Backoff) -> Self {
        Self {
            options,
            backoff,
            phase: Phase::Stopped,
            status: Status::Idle,
            error: None,
            snapshot: None,
            reminted: false,
            needs_snapshot: None,
            last_need: None,
        }
    }

    /// Where the watch stands.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The last failure, until the watch is live again.
    pub fn error(&self) -> Option<&ErrorPayload> {
        self.error.as_ref()
    }

    /// Takes one input at time `now` and appends what is to be done to `out`.
    pub fn step(&mut self, now: Duration, input: Input, out: &mut Vec<Effect>) {
        match self.phase {
            Phase::Stopped => self.stopped(now, input, out),
            Phase::Connected { live_since } => self.connected(now, live_since, input, out),
            Phase::Waiting => self.waiting(now, input, out),
            Phase::Suspended => self.suspended(now, input, out),
        }
    }

    fn stopped(&mut self, now: Duration, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Start => {
                self.status = Status::Connecting;
                self.error = None;
                self.reminted = false;
                self.connect_after(now, Duration::ZERO, out);
            }
            Input::Stop => self.close(out),
            // Late news of a connection that is over, and calls that mean only what runs.
            Input::Event(_)
            | Input::Skipped
            | Input::Failed(_)
            | Input::Waited
            | Input::Wake
            | Input::Suspend
            | Input::NeedSnapshot(_) => {}
        }
    }

    fn connected(
        &mut self,
        now: Duration,
        live_since: Option<Duration>,
        input: Input,
        out: &mut Vec<Effect>,
    ) {
        match input {
            Input::Stop => self.close(out),
            Input::Event(event) => self.event(now, event, out),
            Input::Skipped => self.snapshot = self.snapshot.map(|_| false),
            Input::Failed(failure) => self.failed(now, failure, out),
            Input::Suspend => {
                self.disconnect(now, live_since, out);
                self.status = Status::Reconnecting;
                self.phase = Phase::Suspended;
            }
            Input::NeedSnapshot(spacing) => self.need_snapshot(now, live_since, spacing, out),
            Input::Waited => {
                if self.needs_snapshot.is_some() {
                    self.refresh(now, live_since, out);
                }
            }
            // It runs, and knows by itself when its connection is dead.
            Input::Start | Input::Wake => {}
        }
    }

    fn waiting(&mut self, now: Duration, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Stop => self.close(out),
            Input::Waited => self.connect(now, out),
            Input::Wake => self.connect_after(now, Duration::ZERO, out),
            Input::Suspend => {
                // Ends the wait.
                out.push(Effect::Disconnect);
                self.phase = Phase::Suspended;
            }
            // It runs; late news of the connection before; the next connection brings a snapshot anyway.
            Input::Start
            | Input::Event(_)
            | Input::Skipped
            | Input::Failed(_)
            | Input::NeedSnapshot(_) => {}
        }
    }

    fn suspended(&mut self, now: Duration, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Stop => self.close(out),
            Input::Wake => self.connect_after(now, Duration::ZERO, out),
            // Whoever comes meanwhile waits for the app to wake, too.
            Input::Start
            | Input::Event(_)
            | Input::Skipped
            | Input::Failed(_)
            | Input::Waited
            | Input::Suspend
            | Input::NeedSnapshot(_) => {}
        }
    }

    fn need_snapshot(
        &mut self,
        now: Duration,
        live_since: Option<Duration>,
        spacing: Duration,
        out: &mut Vec<Effect>,
    ) {
        if self.needs_snapshot.is_some_and(|due| due <= now + spacing) {
            return;
        }
        let wanted = self
            .last_need
            .map_or(Duration::ZERO, |last| (last + spacing).saturating_sub(now));
        match self.backoff.limit(now, wanted) {
            Duration::ZERO => self.refresh(now, live_since, out),
            // Until then the connection is worth more than none.
            delay => {
                self.needs_snapshot = Some(now + delay);
                out.push(Effect::Wait(delay));
            }
        }
    }

    /// Connects anew for a fresh snapshot.
    fn refresh(&mut self, now: Duration, live_since: Option<Duration>, out: &mut Vec<Effect>) {
        self.last_need = Some(now);
        self.disconnect(now, live_since, out);
        self.status = Status::Reconnecting;
        self.connect(now, out);
    }

    fn event(&mut self, now: Duration, event: ServerEvent, out: &mut Vec<Effect>) {
        match event {
            ServerEvent::SnapshotStart => self.begin_snapshot(out),
            ServerEvent::SnapshotRecord(record) => {
                if self.snapshot.is_none() {
                    self.begin_snapshot(out);
                }
                out.push(Effect::SnapshotRecord(record));
            }
            ServerEvent::SnapshotEnd { cursor } => {
                if self.snapshot.is_none() {
                    self.begin_snapshot(out);
                }
                let evict = self.snapshot.take().unwrap_or(true);
                out.push(Effect::EndSnapshot { cursor, evict });
                self.status = Status::Live;
                self.error = None;
                self.reminted = false;
                if let Phase::Connected { live_since } = &mut self.phase {
                    live_since.get_or_insert(now);
                }
            }
            ServerEvent::Created(record) => out.push(Effect::Upsert(record)),
            ServerEvent::Deleted { uri } => out.push(Effect::Delete { uri }),
            ServerEvent::HydrationAdded(child) => out.push(Effect::AddChild(child)),
            ServerEvent::HydrationRemoved(child) => out.push(Effect::RemoveChild(child)),
            ServerEvent::MemberRemoved { space, did } => {
                let ours = self.options.account.as_ref().is_none_or(|me| *me == did);
                if ours {
                    let message = format!("no longer a member of {}", wire::shown(&space));
                    let lost = Failure::losing_access(ErrorKind::AccessLost, message);
                    self.failed(now, lost, out);
                }
            }
            ServerEvent::Error { message } => {
                let message = format!("the server failed: {message}");
                self.failed(now, Failure::new(ErrorKind::Server, message), out);
            }
            ServerEvent::Keepalive => {}
        }
    }

    fn begin_snapshot(&mut self, out: &mut Vec<Effect>) {
        self.snapshot = Some(true);
        // A second snapshot on a live connection takes nothing away from being live.
        if self.status != Status::Live {
            self.status = Status::Snapshot;
        }
        out.push(Effect::BeginSnapshot);
    }

    fn failed(&mut self, now: Duration, failure: Failure, out: &mut Vec<Effect>) {
        let live_since = match self.phase {
            Phase::Connected { live_since } => live_since,
            _ => None,
        };
        self.disconnect(now, live_since, out);
        let Failure {
            payload,
            refusal,
            retry_after,
        } = failure;
        let kicked = payload.kind == ErrorKind::AccessLost;
        self.error = Some(payload);
        if refusal == Some(Refusal::AccessLost) {
            out.push(Effect::Purge { kicked });
            self.phase = Phase::Stopped;
            self.status = Status::Closed;
            return;
        }
        if refusal == Some(Refusal::Ticket) {
            out.push(Effect::DropTicket);
        }
        if !self.options.reconnect {
            self.phase = Phase::Stopped;
            self.status = Status::Closed;
            return;
        }
        self.status = Status::Reconnecting;
        let remint = refusal == Some(Refusal::Ticket) && self.options.can_mint && !self.reminted;
        if remint {
            self.reminted = true;
            self.connect_after(now, Duration::ZERO, out);
        } else {
            let delay = self.backoff.next_delay(now, retry_after);
            self.phase = Phase::Waiting;
            out.push(Effect::Wait(delay));
        }
    }

    fn close(&mut self, out: &mut Vec<Effect>) {
        if self.phase != Phase::Stopped {
            out.push(Effect::Disconnect);
        }
        self.phase = Phase::Stopped;
        self.snapshot = None;
        self.needs_snapshot = None;
        self.status = Status::Closed;
    }

    fn disconnect(&mut self, now: Duration, live_since: Option<Duration>, out: &mut Vec<Effect>) {
        self.snapshot = None;
        self.needs_snapshot = None;
        self.backoff
            .ended(live_since.map_or(Duration::ZERO, |since| now.saturating_sub(since)));
        out.push(Effect::Disconnect);
    }

    fn connect_after(&mut self, now: Duration, wanted: Duration, out: &mut Vec<Effect>) {
        let delay = self.backoff.limit(now, wanted);
        if delay.is_zero() {
            self.connect(now, out);
        } else {
            self.phase = Phase::Waiting;
            out.push(Effect::Wait(delay));
        }
    }

    fn connect(&mut self, now: Duration, out: &mut Vec<Effect>) {
        self.backoff.connecting(now);
        self.phase = Phase::Connected { live_since: None };
        out.push(Effect::Connect);
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod table_tests;
#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
