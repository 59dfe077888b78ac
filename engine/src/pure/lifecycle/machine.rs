//! The life of a watch as a state machine. `docs/src/lifecycle.md` has all of it as one table of phase and input, which a test
//! compares with this code, and a picture.

use std::time::Duration;

use super::{
    backoff::Backoff,
    compare::{Compare, Verdict},
};
use crate::{
    failure::{ErrorKind, ErrorPayload, Failure, Refusal},
    pure::protocol::wire::{self, ServerEvent},
};

pub use super::{
    compare::{COMPARE_EVERY, DOUBT_SPACING, FIRST_COMPARE, REFRESH_SPACING, SNAPSHOT_SPACING},
    signals::{Effect, Input, MachineOptions, Status},
};

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

impl Machine {
    /// A watch that has not started.
    pub fn new(options: MachineOptions, mut backoff: Backoff) -> Self {
        Self {
            compare: Compare::new(&options, backoff.fork()),
            options,
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

    /// Whether the server has no stream: all that it says is lists.
    pub fn is_listing(&self) -> bool {
        self.compare.is_listing()
    }

    /// Whether the quiet snapshot under way was asked for because the store could not know something.
    pub fn serves_need(&self) -> bool {
        self.compare.serves_need()
    }

    /// Quiet snapshots of this server are not what its stream says: from now on a new connection tells instead.
    pub fn distrust_quiet_snapshots(&mut self) {
        self.compare.distrust();
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
            | Input::NotBelieved
            | Input::Lists
            | Input::Refresh => {}
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
                self.reconnecting("the app was suspended");
                self.phase = Phase::Suspended;
            }
            Input::NeedSnapshot(spacing) => {
                out.extend(self.compare.need(now, spacing, live_since.is_some()));
            }
            Input::CompareDue => {
                let verdict = self.compare.due(now);
                self.compared(now, verdict, out);
            }
            Input::Compared => out.extend(self.compare.done(now)),
            Input::NotCompared => {
                let verdict = self.compare.not_to_be_had(now);
                self.compared(now, verdict, out);
            }
            Input::NotBelieved => {
                let verdict = self.compare.not_believed(now);
                self.compared(now, verdict, out);
            }
            Input::Lists => self.compare.lists(),
            Input::Refresh => {
                // Until it is live a snapshot arrives anyway.
                if live_since.is_some() {
                    out.extend(self.compare.refresh(now));
                }
            }
            // It runs, and knows by itself when its connection is dead; nothing of these is under way.
            Input::Start | Input::Wake | Input::Waited => {}
        }
    }

    fn waiting(&mut self, now: Duration, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Stop => self.close(out),
            Input::Waited => self.connect(now, out),
            Input::Wake | Input::Refresh => self.connect_after(now, Duration::ZERO, out),
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
            | Input::NotBelieved
            | Input::Lists => {}
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
            | Input::NotBelieved
            | Input::Lists
            | Input::Refresh => {}
        }
    }

    fn compared(&mut self, now: Duration, verdict: Verdict, out: &mut Vec<Effect>) {
        match verdict {
            Verdict::Do(effect) => out.extend(effect),
            // What the store cannot do without comes with a new connection, as soon as the bounds allow. Until then the
            // one there is is worth more than none.
            Verdict::Reconnect => match self.backoff.limit(now, Duration::ZERO) {
                Duration::ZERO => {
                    self.disconnect(now, self.live_since(), out);
                    self.reconnecting("connecting anew, to see what the connection did not tell");
                    self.connect(now, out);
                }
                delay => out.extend(self.compare.again(now, delay)),
            },
        }
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
        out.extend(self.compare.live(now));
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
        if refusal == Some(Refusal::Final) || !self.options.reconnect {
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

    /// A connection was ended on purpose, which followers are told as well.
    fn reconnecting(&mut self, why: &str) {
        self.status = Status::Reconnecting;
        self.error = Some(ErrorPayload::new(ErrorKind::Disconnected, why));
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
        self.compare.off();
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
