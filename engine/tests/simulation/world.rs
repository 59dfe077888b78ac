//! The simulated world of one watch: its clocks, its network, its server, and who follows it. Everything happens at a moment
//! of one timeline, in microseconds, and nothing waits for real.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use contrail_sync_engine::internals::Failure;
use fastrand::Rng;

use crate::{
    follower::Follower,
    rows::Rows,
    schedule::Setup,
    server::{self, Server},
    stream::{Connection, Message, Told},
    tickets::Desk,
    watch::Watch,
};

pub(crate) const MS: u64 = 1000;
pub(crate) const SECOND: u64 = 1000 * MS;

/// A ticket, as far as it matters. Times are the server's time of day in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) issued: u64,
    pub(crate) expires: u64,
    pub(crate) account: usize,
}

/// What a request for a page is answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// With a fresh ticket, where there are any.
    Page(server::Page, Option<Ticket>),
    Refused(Failure),
}

/// What happens at some moment. Those of the device know whether they are still meant by a number.
#[derive(Debug)]
pub(crate) enum Event {
    // On the device.
    Waited(u64),
    CompareDue(u64),
    PageDue(u64),
    Lingered(u64),
    WriteDue(u64),
    CacheRead(u64),
    Idle(u64),
    Minted(u64, Result<Ticket, Failure>),
    MintedForPage(u64, Result<Ticket, Failure>),
    /// The clocks tell that the machine slept.
    Slept,
    LookDue(u64),
    FirstLook(u64),
    ListChanged(u64, u64),
    ListHeard(u64),
    // From the network to the device.
    Handshake(u64, server::Page, Ticket),
    Arrive(u64, Message),
    Answered(u64, Answer),
    /// The server has no stream.
    NoStream(u64),
    /// Where the server stands, if it says so.
    Positioned(u64, Result<Option<u64>, ()>),
    Listed(u64, Result<server::Page, Failure>),
    // At the server.
    Request(u64, Ticket),
    Read(u64),
    Subscribe(u64),
    Upgrade(u64),
    PageRequest(u64, Ticket, Option<String>),
    PositionAsked(u64),
    ListAsked(u64),
    /// A page of a list.
    ListPageAsked(u64, Option<String>),
    Publish(Told),
}

impl Event {
    fn is_timer(&self) -> bool {
        matches!(
            self,
            Self::Waited(_)
                | Self::CompareDue(_)
                | Self::PageDue(_)
                | Self::Lingered(_)
                | Self::WriteDue(_)
                | Self::CacheRead(_)
                | Self::Idle(_)
                | Self::LookDue(_)
                | Self::FirstLook(_)
                | Self::ListChanged(..)
                | Self::ListHeard(_)
        )
    }

    fn is_at_server(&self) -> bool {
        matches!(
            self,
            Self::Request(..)
                | Self::Read(_)
                | Self::Subscribe(_)
                | Self::Upgrade(_)
                | Self::PageRequest(..)
                | Self::PositionAsked(_)
                | Self::ListAsked(_)
                | Self::ListPageAsked(..)
                | Self::Publish(_)
        )
    }
}

/// What is to go wrong next, so many times.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) refused: u64,
    pub(crate) retry_after: Option<u64>,
    pub(crate) no_page: u64,
    pub(crate) mint_fails: u64,
    pub(crate) mint_hangs: u64,
    pub(crate) late_upgrade: Option<u64>,
    /// Of the next connection: after so many messages it is cut, or silent.
    pub(crate) ends_after: Option<(u64, bool)>,
    /// Longest time of a message on its way.
    pub(crate) slow: Option<u64>,
}

/// All there is.
pub(crate) struct World {
    pub(crate) setup: Setup,
    /// The moment.
    pub(crate) at: u64,
    queue: BTreeMap<(u64, u64), Event>,
    numbers: u64,
    pub(crate) network: Rng,
    pub(crate) faults: Faults,
    pub(crate) server: Server,
    pub(crate) connection: Option<Connection>,
    /// What a Durable Object may replay, with the moment when it was published.
    pub(crate) published: VecDeque<(u64, Told)>,
    pub(crate) last_published: u64,
    /// How long the device's steady clock stood still.
    pub(crate) stood_still: u64,
    /// How far the device's time of day is ahead, in milliseconds.
    pub(crate) wall_ahead: i64,
    asleep_until: u64,
    pub(crate) account: usize,
    pub(crate) desk: Desk,
    /// Since when the device knows that the server has no stream.
    pub(crate) without_stream: Option<u64>,
    pub(crate) watch: Watch,
    pub(crate) followers: Vec<Follower>,
    pub(crate) rows: Rows,
    /// Edits that the app waits for.
    pub(crate) edits: Vec<crate::life::PendingEdit>,
    /// Nothing went wrong since the last quiet time.
    pub(crate) is_calm: bool,
    /// Something was said since the last quiet time while records were out of sight.
    pub(crate) is_blind: bool,
    /// What outlived its deletion at a page's edge at the last quiet time: it goes with the next comparison that can tell.
    pub(crate) ghosts: BTreeSet<String>,
    /// What was edited since the last quiet time.
    pub(crate) made: Vec<crate::server::Row>,
    /// Spaces of which the device was told that the account is out.
    pub(crate) forbidden: BTreeSet<u8>,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let mut world = Self {
            server: Server::new(&setup),
            network: Rng::with_seed(setup.seed ^ 0xae7),
            // Some time has passed since the server began.
            at: 3600 * SECOND,
            queue: BTreeMap::new(),
            numbers: 0,
            faults: Faults::default(),
            connection: None,
            published: VecDeque::new(),
            last_published: 0,
            stood_still: 0,
            wall_ahead: 0,
            asleep_until: 0,
            account: 0,
            desk: Desk::default(),
            without_stream: None,
            watch: Watch::new(&setup, 0),
            followers: Vec::new(),
            rows: Rows::new(setup.keep),
            edits: Vec::new(),
            made: Vec::new(),
            is_calm: false,
            is_blind: false,
            ghosts: BTreeSet::new(),
            forbidden: BTreeSet::new(),
            setup,
        };
        world.begin();
        world
    }

    /// A number that nothing else has.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// The device's steady clock.
    pub(crate) fn steady(&self) -> u64 {
        self.at - self.stood_still
    }

    /// The device's time of day in milliseconds since the Unix epoch.
    pub(crate) fn wall(&self) -> u64 {
        Server::time_of_day(self.at).saturating_add_signed(self.wall_ahead)
    }

    /// Lets something happen after a delay.
    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        let number = self.number();
        self.queue.insert((self.at + delay, number), event);
    }

    /// How long a message is on its way.
    pub(crate) fn latency(&mut self) -> u64 {
        match self.faults.slow {
            Some(slow) => self.network.u64(MS..slow.max(2 * MS)),
            None => self.network.u64(MS..40 * MS),
        }
    }

    /// Lets everything happen that is due until `end`.
    pub(crate) fn advance(&mut self, end: u64) {
        while let Some(next) = self.queue.first_entry().filter(|it| it.key().0 <= end) {
            let ((at, _), event) = next.remove_entry();
            self.at = self.at.max(at);
            if self.at < self.asleep_until && !event.is_at_server() {
                self.after(self.asleep_until - self.at, event);
                continue;
            }
            self.happen(event);
            let at = self.at;
            let is_burst = self.queue.first_key_value().is_some_and(|it| it.0.0 <= at);
            if !is_burst {
                self.deliver();
            }
        }
        self.at = self.at.max(end);
    }

    /// The device sleeps. If its steady clock stands still meanwhile, so do its timers.
    pub(crate) fn sleep(&mut self, time: u64, stands_still: bool) {
        self.asleep_until = self.at + time;
        if stands_still {
            let timers = |it: &(&(u64, u64), &Event)| it.1.is_timer();
            let keys: Vec<_> = self.queue.iter().filter(timers).map(|it| *it.0).collect();
            for key in keys {
                if let Some(event) = self.queue.remove(&key) {
                    self.queue.insert((key.0 + time, key.1), event);
                }
            }
            self.stood_still += time;
        }
        let tick = self.network.u64(..10 * SECOND);
        self.after(time + tick, Event::Slept);
        // While the clock stands still it must not be read: nothing happens on the device.
        let end = self.asleep_until;
        self.advance(end.saturating_sub(1));
        self.at = end;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Waited(number) => self.waited(number),
            Event::CompareDue(number) => self.compare_due(number),
            Event::PageDue(number) => self.page_due(number),
            Event::Lingered(number) => self.lingered(number),
            Event::WriteDue(number) => self.write_due(number),
            Event::CacheRead(number) => self.cache_read(number),
            Event::Idle(id) => self.idle(id),
            Event::Minted(id, minted) => self.minted(id, minted),
            Event::MintedForPage(id, minted) => self.minted_for_page(id, minted),
            Event::Slept => self.slept(),
            Event::Handshake(id, page, ticket) => self.handshake(id, page, ticket),
            Event::Arrive(id, message) => self.arrive(id, message),
            Event::Answered(id, answer) => self.answered(id, answer),
            Event::Request(id, ticket) => self.request(id, ticket),
            Event::Read(id) => self.read(id),
            Event::Subscribe(id) => self.subscribe(id),
            Event::Upgrade(id) => self.upgrade(id),
            Event::PageRequest(id, ticket, cursor) => self.page_request(id, ticket, cursor),
            Event::Publish(told) => self.go_out(told),
            Event::LookDue(id) => self.look(id),
            Event::FirstLook(id) => self.first_look(id),
            Event::ListChanged(id, number) => self.list_changed(id, number),
            Event::ListHeard(id) => self.hear(id),
            Event::NoStream(id) => self.begin_lists(id),
            Event::Positioned(id, answer) => self.positioned(id, answer),
            Event::Listed(id, answer) => self.listed(id, answer),
            Event::PositionAsked(id) => self.position_asked(id),
            Event::ListAsked(id) => self.list_asked(id),
            Event::ListPageAsked(id, cursor) => self.list_page_asked(id, cursor.as_deref()),
        }
    }
}
