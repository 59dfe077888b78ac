//! What a watch notes of itself on its timeline, in the log, and for those who follow what happens; and what they can do to it.

use std::time::Duration;

use tracing::debug;

use super::{Watch, connection::Happening, error::WatchError};
use crate::{
    failure::Failure,
    gauge::MomentKind,
    pure::{
        lifecycle::machine::{Input, Status},
        protocol::wire::ServerEvent,
        replica::Action,
    },
    transport::http,
};

impl Watch {
    /// An attempt to connect begins.
    pub(super) fn connecting(&mut self) {
        self.counted.connects += 1;
        let attempt = self.counted.connects;
        debug!(watch = %self.id, url = %http::bare(&self.spec.url), attempt, "connecting");
        self.gauge.connecting();
        let words = format!("attempt {attempt}");
        self.gauge.note(MomentKind::Connecting, words);
    }

    /// The next attempt waits for so long.
    pub(super) fn note_wait(&self, delay: Duration) {
        debug!(watch = %self.id, ?delay, "waiting to connect");
        let words = format!("{:.1} s until the next attempt", delay.as_secs_f64());
        self.gauge.note(MomentKind::Waiting, words);
    }

    /// It stands elsewhere now.
    pub(super) fn note_status(&self, status: Status) {
        match status {
            Status::Live => {
                let words = format!("{} records", self.replica.store().len());
                self.gauge.note(MomentKind::Live, words);
            }
            Status::Closed => self.gauge.note(MomentKind::Closed, ""),
            Status::Idle | Status::Connecting | Status::Snapshot | Status::Reconnecting => {}
        }
    }

    /// Ends the connection as a network would that failed.
    pub(super) fn drop_connection(&mut self) -> Result<(), WatchError> {
        let dropped = Failure::from(&WatchError::Dropped);
        match self.status() {
            Status::Idle | Status::Closed => return Err(WatchError::Ended),
            _ => self.input(Input::Failed(dropped)),
        }
        Ok(())
    }

    /// Asks for the list anew, for nobody in particular.
    pub(super) fn look_again(&mut self) -> Result<(), WatchError> {
        if matches!(self.status(), Status::Idle | Status::Closed) {
            return Err(WatchError::Ended);
        }
        self.polling.hurry();
        self.input(Input::Refresh);
        Ok(())
    }

    /// Notes why a connection ends, or is not made. `by` is what brought it about.
    pub(super) fn note_end(&self, by: MomentKind, actions: &[Action]) {
        if !actions.contains(&Action::Disconnect) {
            return;
        }
        let error = self.replica.machine().error();
        let why = error.map_or("nobody follows it", |it| &it.message);
        self.gauge.note(by, why);
    }

    /// Tells those who follow what happens what came from the server.
    pub(super) fn tell_live(&self, happening: &Happening) {
        let (kind, words) = match happening {
            Happening::Input(Input::Event(event)) => told(event),
            Happening::Input(Input::Skipped(uri)) => {
                ("skipped", uri.as_ref().map_or("", |it| it.as_str()))
            }
            Happening::Input(Input::Refresh) => ("changed", ""),
            Happening::Ticket(_) => ("ticket", "a fresh one"),
            // The timeline tells of these, or nothing is to be told.
            Happening::Input(_) | Happening::Profiles(_) | Happening::Silence(_) => return,
        };
        self.gauge.came(kind, words);
    }
}

/// An event's name, and what it is about.
fn told(event: &ServerEvent) -> (&'static str, &str) {
    match event {
        ServerEvent::SnapshotStart => ("snapshot-start", ""),
        ServerEvent::SnapshotRecord(record) => ("snapshot-record", record.uri.as_str()),
        ServerEvent::SnapshotEnd { .. } => ("snapshot-end", ""),
        ServerEvent::Created(record) => ("created", record.uri.as_str()),
        ServerEvent::Deleted { uri } => ("deleted", uri),
        ServerEvent::HydrationAdded(child) => ("child-added", &child.parent_uri),
        ServerEvent::HydrationRemoved(child) => ("child-removed", &child.parent_uri),
        ServerEvent::MemberRemoved { space, .. } => ("member-removed", space),
        ServerEvent::Error { message } => ("error", message),
        ServerEvent::Keepalive => ("keepalive", ""),
    }
}
