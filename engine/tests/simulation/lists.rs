//! The device's side of lists: what `transport/auto.rs`, `poll.rs` and `appview.rs` of the engine do, on the simulated clock.

use std::collections::VecDeque;

use contrail_sync_engine::{
    internals::Failure,
    pure::{
        lifecycle::machine::Input,
        protocol::wire::{self, ServerEvent},
    },
};

use crate::{
    schedule::Listing,
    server::{Page, Row},
    stream::Connection,
    world::{Event, MS, SECOND, World},
};

/// Between two looks at the position.
const INTERVAL: u64 = 10 * SECOND;
/// A list shows a change so long after the position has moved, at most.
const SETTLE: u64 = 250 * MS;
const RELIST: u64 = 90 * SECOND;
const HURRY: u64 = SECOND;
const FIRST_LOOK: u64 = 5 * SECOND;
/// How long a host without a stream is not asked for one again.
const REMEMBERED: u64 = 3600 * SECOND;
/// A list is heard in pieces: between them the watch may be told something else.
const PIECE: usize = 3;

/// What is known of a server that has lists only.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// The list with which the connection begins is asked for, and when.
    asked: Option<u64>,
    /// What of it was not heard yet; `None` before it arrived.
    arriving: Option<VecDeque<Input>>,
    /// Where the server stood at the last look.
    position: Option<Option<u64>>,
    failures: u32,
    /// The position moved since the list was asked for.
    moved: bool,
    /// When the list was asked for last.
    last: u64,
    /// The timers that say when it is asked for again.
    changed: Option<u64>,
    relist: Option<u64>,
}

impl World {
    /// Whether the watch follows lists.
    pub(crate) fn is_listing(&self) -> bool {
        self.lists().is_some()
    }

    fn lists(&self) -> Option<&Lists> {
        self.connection.as_ref()?.lists.as_ref()
    }

    fn lists_of(&mut self, id: u64) -> Option<&mut Lists> {
        let connection = self.connection.as_mut().filter(|it| it.id == id)?;
        connection.lists.as_mut()
    }

    /// The server's records as the watch is told them.
    pub(crate) fn told_list(&self) -> Vec<&Row> {
        match self.is_listing() {
            true => self.server.public(),
            false => self.server.list(),
        }
    }

    /// Whether a stream is not even asked for.
    pub(crate) fn knows_no_stream(&self) -> bool {
        let since = self.without_stream;
        since.is_some_and(|since| self.steady() < since + REMEMBERED)
    }

    /// There is no stream: where the server stands is asked first, then the list, so that a change between the two is
    /// seen twice, never missed.
    pub(crate) fn begin_lists(&mut self, id: u64) {
        if let Some(connection) = self.connection.as_mut().filter(|it| it.id == id) {
            connection.lists = Some(Lists::default());
            self.look(id);
            self.after(FIRST_LOOK, Event::FirstLook(id));
        }
    }

    pub(crate) fn look(&mut self, id: u64) {
        if self.lists_of(id).is_some() {
            let latency = self.latency();
            self.after(latency, Event::PositionAsked(id));
        }
    }

    pub(crate) fn positioned(&mut self, id: u64, answer: Result<Option<u64>, ()>) {
        let Some(lists) = self.lists_of(id) else {
            return;
        };
        let rest = match answer {
            Ok(position) => {
                lists.failures = 0;
                lists.moved |= position.is_none() || lists.position != Some(position);
                lists.position = Some(position);
                INTERVAL
            }
            Err(()) => {
                lists.moved |= lists.failures == 0;
                lists.failures += 1;
                (INTERVAL << lists.failures.min(5)).min(RELIST)
            }
        };
        self.after(rest, Event::LookDue(id));
        self.first_look(id);
        self.heed_position(id);
    }

    /// The first look was taken, or takes too long: now for the list.
    pub(crate) fn first_look(&mut self, id: u64) {
        let (at, latency) = (self.steady(), self.latency());
        if let Some(lists) = self.lists_of(id).filter(|it| it.asked.is_none()) {
            (lists.asked, lists.last) = (Some(at), at);
            lists.moved = false;
            self.after(latency, Event::ListAsked(id));
        }
    }

    /// If the position has moved, the list is asked for again in a moment.
    fn heed_position(&mut self, id: u64) {
        let (at, number) = (self.steady(), self.number());
        let is_heard = |it: &&mut Lists| it.arriving.as_ref().is_some_and(VecDeque::is_empty);
        if let Some(lists) = self.lists_of(id).filter(is_heard)
            && lists.moved
            && lists.changed.is_none()
        {
            lists.changed = Some(number);
            let due = (at + SETTLE).max(lists.last + INTERVAL);
            self.after(due - at, Event::ListChanged(id, number));
        }
    }

    /// Somebody looks again.
    pub(crate) fn hurry(&mut self) {
        let (at, number) = (self.steady(), self.number());
        let Some(connection) = &mut self.connection else {
            return;
        };
        if let Some(lists) = connection.lists.as_mut().filter(|it| it.relist.is_some()) {
            lists.changed = Some(number);
            let (id, due) = (connection.id, at.max(lists.last + HURRY));
            self.watch.list_asks.push(due);
            self.after(due - at, Event::ListChanged(id, number));
        }
    }

    /// The list with which the connection begins has arrived, or has not.
    pub(crate) fn listed(&mut self, id: u64, answer: Result<Page, Failure>) {
        let at = self.steady();
        let Some(lists) = self.lists_of(id) else {
            return;
        };
        match answer {
            Ok(page) => {
                lists.arriving = Some(snapshot(page));
                if self.setup.listing == Listing::Turns && !self.knows_no_stream() {
                    self.without_stream = Some(at);
                }
                self.hear(id);
            }
            Err(failure) => self.input(Input::Failed(failure)),
        }
    }

    /// One more piece of it.
    pub(crate) fn hear(&mut self, id: u64) {
        for _ in 0..PIECE {
            let arriving = self.lists_of(id).and_then(|it| it.arriving.as_mut());
            let Some(input) = arriving.and_then(VecDeque::pop_front) else {
                break;
            };
            self.input(input);
        }
        let Some(lists) = self.lists_of(id) else {
            return;
        };
        match &lists.arriving {
            Some(arriving) if arriving.is_empty() => self.relist_later(id),
            _ => {
                let pause = match self.network.u8(..3) {
                    0 => self.network.u64(..500 * MS),
                    _ => self.network.u64(..2 * MS),
                };
                self.after(pause, Event::ListHeard(id));
            }
        }
    }

    fn relist_later(&mut self, id: u64) {
        let (at, number) = (self.steady(), self.number());
        if let Some(lists) = self.lists_of(id) {
            lists.relist = Some(number);
            let due = (lists.last + RELIST).saturating_sub(at);
            self.after(due, Event::ListChanged(id, number));
            self.heed_position(id);
        }
    }

    /// It is time for another list.
    pub(crate) fn list_changed(&mut self, id: u64, number: u64) {
        let at = self.steady();
        let is_due = |it: &&mut Lists| [it.changed, it.relist].contains(&Some(number));
        if let Some(lists) = self.lists_of(id).filter(is_due) {
            (lists.changed, lists.moved, lists.last) = (None, false, at);
            self.relist_later(id);
            self.input(Input::Refresh);
        }
    }
}

/// A list as the events of a snapshot.
fn snapshot(page: Page) -> VecDeque<Input> {
    let start = Input::Event(ServerEvent::SnapshotStart);
    let mut inputs = VecDeque::from([Input::Lists, start]);
    let records = page
        .records
        .iter()
        .map(|(_, record)| match wire::decode_record(record) {
            Ok(record) => Input::Event(ServerEvent::SnapshotRecord(record)),
            Err(error) => Input::Skipped(error.uri().cloned()),
        });
    inputs.extend(records);
    let cursor = page.cursor;
    inputs.push_back(Input::Event(ServerEvent::SnapshotEnd { cursor }));
    inputs
}

impl Connection {
    /// Whether there is anything that could fall silent.
    pub(crate) fn is_stream(&self) -> bool {
        self.lists.is_none()
    }
}
