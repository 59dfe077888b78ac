//! The life of a watch as a state machine. `docs/lifecycle.md` has all of it as one table of phase and input, which a test
//! compares with this code, and a picture.

use std::time::Duration;

use super::backoff::Backoff;
use crate::{
    failure::{ErrorKind, ErrorPayload, Failure, Refusal},
    pure::protocol::{
        record::{AtUri, Record},
        wire::{ChildAdded, ChildRemoved, ServerEvent},
    },
};

/// Where a watch stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum Status {
    /// Not started.
    #[default]
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
    /// The server said something unreadable, which was skipped; the record that it was about, where that can be told.
    Skipped(Option<AtUri>),
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
    /// The wait that [`Effect::CompareAfter`] asked for is over.
    CompareDue,
    /// The quiet snapshot that [`Effect::Compare`] asked for is in the store.
    Compared,
    /// It could not be had.
    NotCompared,
    /// It was had, and is not believed: only a new connection can tell.
    NotBelieved,
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
    /// Send [`Input::CompareDue`] after this time, in the place of an earlier one.
    CompareAfter(Duration),
    /// Fetch a quiet snapshot beside the open stream.
    Compare,
    /// Forget the ticket: the server does not take it.
    DropTicket,
    /// Mark every record as unconfirmed.
    BeginSnapshot,
    /// Confirm one record with the snapshot's content.
    SnapshotRecord(Record),
    /// The server has this record, but what it says of it cannot be read.
    Spare(AtUri),
    /// The snapshot is complete.
    EndSnapshot {
        /// Where older records begin.
        cursor: Option<String>,
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
    /// Access to one of several spaces is gone: forget its records.
    PurgeSpace {
        /// The space, `ats://<owner did>/<type>/<key>`.
        space: String,
    },
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
    /// Whether its records live in several spaces: then a kick from one takes only that one's.
    pub spans_spaces: bool,
    /// Longest time between two comparisons with the server; see [`COMPARE_EVERY`].
    pub compare_every: Duration,
}

/// Between two fresh snapshots that the store needs.
pub const SNAPSHOT_SPACING: Duration = Duration::from_secs(2);
/// Between two of which it could do without, but for a count that may be wrong.
pub const DOUBT_SPACING: Duration = Duration::from_secs(300);
/// Servers lose events by themselves, most of them while a connection opens: so long after it went live, at most, a
/// watch compares itself with a quiet snapshot …
pub const FIRST_COMPARE: Duration = Duration::from_secs(10);
/// … and then again and again, by default; where changes may never be published, five times as often.
pub const COMPARE_EVERY: Duration = Duration::from_secs(600);
/// Whole snapshots that one connection may bring: a socket that ends in a worker brings two.
const MAX_SNAPSHOTS: u32 = 16;

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
    /// A snapshot is arriving.
    snapshot: bool,
    /// Whole snapshots that this connection brought.
    snapshots: u32,
    /// A refused ticket was replaced once already since the watch was last live.
    reminted: bool,
    compare: Compare,
}

/// When the watch compares itself with a quiet snapshot.
#[derive(Debug)]
struct Compare {
    /// Bounds how often.
    backoff: Backoff,
    /// A quiet snapshot is wanted at this time, or is on its way.
    stage: Stage,
    /// The store cannot know its truth without one …
    needed: bool,
    /// … which is why one is on its way.
    serves_need: bool,
    /// When the last one was asked for.
    last: Option<Duration>,
    /// Quiet snapshots of this server are not what its stream says.
    distrusted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not while there is no live connection.
    Off,
    Due(Duration),
    UnderWay,
}

impl Machine {
    /// A watch that has not started.
    pub fn new(options: MachineOptions, mut backoff: Backoff) -> Self {
        Self {
            options,
            compare: Compare {
                backoff: backoff.fork(),
                stage: Stage::Off,
                needed: false,
                serves_need: false,
                distrusted: false,
                last: None,
            },
            backoff,
            phase: Phase::Stopped,
            status: Status::Idle,
            error: None,
            snapshot: false,
            snapshots: 0,
            reminted: false,
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

    /// Quiet snapshots of this server are not what its stream says: from now on a new connection tells instead.
    pub fn distrust_quiet_snapshots(&mut self) {
        self.compare.distrusted = true;
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
            | Input::Skipped(_)
            | Input::Failed(_)
            | Input::Waited
            | Input::Wake
            | Input::Suspend
            | Input::NeedSnapshot(_)
            | Input::CompareDue
            | Input::Compared
            | Input::NotCompared
            | Input::NotBelieved => {}
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
            Input::Skipped(uri) => {
                let spared = uri.filter(|_| self.snapshot);
                out.extend(spared.map(Effect::Spare));
            }
            Input::Failed(failure) => self.failed(now, failure, out),
            Input::Suspend => {
                self.disconnect(now, live_since, out);
                self.status = Status::Reconnecting;
                self.phase = Phase::Suspended;
            }
            Input::NeedSnapshot(spacing) => self.need_snapshot(now, spacing, out),
            Input::CompareDue => self.compare_now(now, out),
            Input::Compared if self.compare.stage == Stage::UnderWay => {
                let wait = match self.compare.needed {
                    true => SNAPSHOT_SPACING,
                    false => self.compare_every(),
                };
                self.compare_after(now, wait, out);
            }
            Input::NotCompared => self.not_compared(now, out),
            Input::NotBelieved => {
                self.compare.serves_need = true;
                self.not_compared(now, out);
            }
            // It runs, and knows by itself when its connection is dead; nothing of these is under way.
            Input::Start | Input::Wake | Input::Waited | Input::Compared => {}
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
            | Input::Skipped(_)
            | Input::Failed(_)
            | Input::NeedSnapshot(_)
            | Input::CompareDue
            | Input::Compared
            | Input::NotCompared
            | Input::NotBelieved => {}
        }
    }

    fn suspended(&mut self, now: Duration, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Stop => self.close(out),
            Input::Wake => self.connect_after(now, Duration::ZERO, out),
            // Whoever comes meanwhile waits for the app to wake, too.
            Input::Start
            | Input::Event(_)
            | Input::Skipped(_)
            | Input::Failed(_)
            | Input::Waited
            | Input::Suspend
            | Input::NeedSnapshot(_)
            | Input::CompareDue
            | Input::Compared
            | Input::NotCompared
            | Input::NotBelieved => {}
        }
    }

    /// The store wants to be sure. While a snapshot arrives, that is waited for.
    fn need_snapshot(&mut self, now: Duration, spacing: Duration, out: &mut Vec<Effect>) {
        self.compare.needed = true;
        let last = self.compare.last;
        let wanted = last.map_or(Duration::ZERO, |last| (last + spacing).saturating_sub(now));
        match self.compare.stage {
            Stage::Due(due) if now + wanted < due => self.compare_after(now, wanted, out),
            Stage::Due(_) | Stage::UnderWay | Stage::Off => {}
        }
    }

    fn compare_after(&mut self, now: Duration, wanted: Duration, out: &mut Vec<Effect>) {
        if self.compare.distrusted && !self.compare.needed {
            return;
        }
        let delay = self.compare.backoff.limit(now, wanted);
        self.compare.stage = Stage::Due(now + delay);
        out.push(Effect::CompareAfter(delay));
    }

    fn compare_now(&mut self, now: Duration, out: &mut Vec<Effect>) {
        if matches!(self.compare.stage, Stage::Due(_)) {
            self.compare.backoff.connecting(now);
            self.compare.stage = Stage::UnderWay;
            self.compare.serves_need = std::mem::take(&mut self.compare.needed);
            self.compare.last = Some(now);
            match self.compare.distrusted {
                true => self.not_compared(now, out),
                false => out.push(Effect::Compare),
            }
        }
    }

    /// A quiet snapshot could not be had. What the store cannot do without comes with a new connection then.
    fn not_compared(&mut self, now: Duration, out: &mut Vec<Effect>) {
        if self.compare.stage != Stage::UnderWay {
            return;
        }
        self.compare.stage = Stage::Off;
        if !self.compare.serves_need {
            let wait = self.compare_every();
            return self.compare_after(now, wait, out);
        }
        match self.backoff.limit(now, Duration::ZERO) {
            Duration::ZERO => {
                self.disconnect(now, self.live_since(), out);
                self.status = Status::Reconnecting;
                self.connect(now, out);
            }
            // Until then the connection is worth more than none.
            delay => {
                self.compare.needed = true;
                self.compare_after(now, delay, out);
            }
        }
    }

    /// How long until the next comparison, with jitter: watches that began together shall not ask together.
    fn compare_every(&mut self) -> Duration {
        let every = self.options.compare_every;
        let often = self.options.spans_spaces;
        let every = if often { every / 5 } else { every };
        self.compare.backoff.jitter(every)
    }

    fn event(&mut self, now: Duration, event: ServerEvent, out: &mut Vec<Effect>) {
        match event {
            ServerEvent::SnapshotStart => self.begin_snapshot(out),
            ServerEvent::SnapshotRecord(record) => {
                if !self.snapshot {
                    self.begin_snapshot(out);
                }
                out.push(Effect::SnapshotRecord(record));
            }
            ServerEvent::SnapshotEnd { cursor } => self.end_snapshot(now, cursor, out),
            ServerEvent::Created(record) => out.push(Effect::Upsert(record)),
            ServerEvent::Deleted { uri } => out.push(Effect::Delete { uri }),
            ServerEvent::HydrationAdded(child) => out.push(Effect::AddChild(child)),
            ServerEvent::HydrationRemoved(child) => out.push(Effect::RemoveChild(child)),
            ServerEvent::MemberRemoved { space, did } => {
                let ours = self.options.account.as_ref().is_none_or(|me| *me == did);
                if ours && self.options.spans_spaces {
                    out.push(Effect::PurgeSpace { space });
                } else if ours {
                    let message = format!("no longer a member of {space}");
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

    fn end_snapshot(&mut self, now: Duration, cursor: Option<String>, out: &mut Vec<Effect>) {
        self.snapshots += 1;
        if self.snapshots > MAX_SNAPSHOTS {
            let message = format!("more than {MAX_SNAPSHOTS} snapshots on one connection");
            return self.failed(now, Failure::new(ErrorKind::Server, message), out);
        }
        if !self.snapshot {
            self.begin_snapshot(out);
        }
        self.snapshot = false;
        out.push(Effect::EndSnapshot { cursor });
        self.status = Status::Live;
        self.error = None;
        self.reminted = false;
        let Phase::Connected { live_since } = &mut self.phase else {
            return;
        };
        live_since.get_or_insert(now);
        if self.compare.stage == Stage::Off {
            let first = match self.compare.needed {
                true => SNAPSHOT_SPACING,
                false => self.compare.backoff.jitter(FIRST_COMPARE),
            };
            self.compare_after(now, first, out);
        }
    }

    fn begin_snapshot(&mut self, out: &mut Vec<Effect>) {
        // One that begins anew before anything came is the same.
        self.snapshot = true;
        // A second snapshot on a live connection takes nothing away from being live.
        if self.status != Status::Live {
            self.status = Status::Snapshot;
        }
        out.push(Effect::BeginSnapshot);
    }

    fn failed(&mut self, now: Duration, failure: Failure, out: &mut Vec<Effect>) {
        self.disconnect(now, self.live_since(), out);
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
        self.leave_connection();
        self.status = Status::Closed;
    }

    fn disconnect(&mut self, now: Duration, live_since: Option<Duration>, out: &mut Vec<Effect>) {
        self.leave_connection();
        self.backoff
            .ended(live_since.map_or(Duration::ZERO, |since| now.saturating_sub(since)));
        out.push(Effect::Disconnect);
    }

    fn live_since(&self) -> Option<Duration> {
        match self.phase {
            Phase::Connected { live_since } => live_since,
            Phase::Stopped | Phase::Waiting | Phase::Suspended => None,
        }
    }

    fn leave_connection(&mut self) {
        self.snapshot = false;
        self.snapshots = 0;
        self.compare.stage = Stage::Off;
        // The next connection brings a snapshot anyway.
        self.compare.needed = false;
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
