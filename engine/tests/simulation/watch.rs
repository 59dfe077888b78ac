//! The driver of the replica: what `watch/` of the engine does with tasks and timers, by hand and on the simulated clock. The
//! rules of its task stand here in their shortest form; those of its pager in `pages.rs`, of its ticket desk in `tickets.rs`.

use std::time::Duration;

use contrail_sync_engine::{
    BackoffPolicy, ErrorKind, Status,
    internals::{Failure, Refusal},
    pure::{
        lifecycle::{
            backoff::Backoff,
            machine::{COMPARE_EVERY, Input, Machine, MachineOptions, SNAPSHOT_SPACING},
        },
        protocol::wire::{self, ServerEvent},
        replica::{Action, Replica},
        store::{Store, home::Home, window::Wanted},
    },
};

use crate::{
    budget::Budget,
    pages::Pager,
    schedule::{Listing, Setup},
    server::{self, ACCOUNTS, space_uri},
    stream::{Connection, Message, cut},
    world::{Event, SECOND, Ticket, World},
};

const LINGER: u64 = 5 * SECOND;
const UNSEEN_PAUSE: u64 = 30 * SECOND;
/// After an upgrade that comes so late there may be a gap.
const LATE: u64 = 5 * SECOND;
/// Longest silence.
const IDLE: u64 = 45 * SECOND;

/// One life of a watch on the device.
pub(crate) struct Watch {
    pub(crate) replica: Replica,
    pub(crate) is_suspended: bool,
    pub(crate) pager: Pager,
    pub(crate) wait: Option<u64>,
    compare: Option<u64>,
    pub(crate) lingering: Option<u64>,
    pub(crate) connects: Budget,
    pub(crate) comparisons: Budget,
    /// Quiet snapshots in a row that were not believed, and whether two were ever.
    pub(crate) not_believed: u32,
    pub(crate) distrusts: bool,
    /// When lists were asked for, and when somebody asked for one out of turn.
    lists: Vec<u64>,
    pub(crate) list_asks: Vec<u64>,
}

impl Watch {
    pub(crate) fn new(setup: &Setup, life: u64) -> Self {
        let account = ACCOUNTS[0].to_owned();
        Self::of(setup, life, account)
    }

    pub(crate) fn of(setup: &Setup, life: u64, account: String) -> Self {
        let url = url::Url::parse(&World::url(setup)).expect("a URL");
        let options = MachineOptions {
            reconnect: true,
            can_mint: true,
            account: Some(account),
            spans_spaces: setup.community || setup.listing == Listing::Always,
            compare_every: COMPARE_EVERY,
        };
        let rng = fastrand::Rng::with_seed(setup.seed ^ (life << 32));
        let backoff = Backoff::new(BackoffPolicy::default(), rng);
        let store = Store::new(setup.view(), Home::of(&url));
        Self {
            replica: Replica::new(Machine::new(options, backoff), store),
            is_suspended: false,
            pager: Pager::default(),
            wait: None,
            compare: None,
            lingering: None,
            connects: Budget::default(),
            comparisons: Budget::default(),
            not_believed: 0,
            distrusts: false,
            lists: Vec::new(),
            list_asks: Vec::new(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.replica.machine().status()
    }

    /// Whether it says that it cannot know its truth without a snapshot.
    pub(crate) fn is_in_doubt(&self) -> bool {
        let is_asking = self.pager.compare || self.pager.fetching.is_some();
        is_asking || format!("{:?}", self.replica.machine()).contains("needed: true")
    }

    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.status(), Status::Idle | Status::Closed)
    }
}

impl World {
    pub(crate) fn now(&self) -> Duration {
        Duration::from_micros(self.steady())
    }

    pub(crate) fn timer(
        &mut self,
        delay: Duration,
        event: impl FnOnce(u64) -> Event,
    ) -> Option<u64> {
        let number = self.number();
        let delay = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX / 4);
        self.after(delay, event(number));
        Some(number)
    }

    /// One input of the lifecycle.
    pub(crate) fn input(&mut self, input: Input) {
        let was_stopped = self.watch.is_stopped();
        let before = keeps_all(&input).then(|| self.watch.replica.store().len());
        let may_act = matches!(input, Input::Start | Input::Stop);
        let failed = matches!(input, Input::Failed(_));
        if matches!(input, Input::Event(ServerEvent::SnapshotEnd { .. })) {
            let connection = self.connection.as_mut();
            connection.into_iter().for_each(|it| it.snapshots += 1);
        }
        let mut actions = Vec::new();
        let now = self.now();
        self.watch.replica.step(now, input, &mut actions);
        assert!(
            !was_stopped || may_act || actions.is_empty(),
            "6: a watch that ended does {actions:?}"
        );
        let store = self.watch.replica.store();
        assert!(
            before.is_none_or(|it| it == store.len()),
            "8: records went, and no server said so"
        );
        self.perform_all(actions);
        if failed {
            self.watch.pager.not_refreshed();
            if self.watch.replica.store().is_arriving() {
                self.watch.pager.waiting.clear();
            }
        }
        let (at, is_live) = (self.steady(), self.watch.status() == Status::Live);
        if let Some(connection) = self.connection.as_mut().filter(|_| is_live) {
            connection.live_since.get_or_insert(at);
        }
        self.check_machine();
    }

    pub(crate) fn perform_all(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Connect => self.connect(),
            Action::Disconnect => self.disconnect(),
            Action::Wait(delay) => self.watch.wait = self.timer(delay, Event::Waited),
            Action::CompareAfter(delay) => {
                self.watch.compare = self.timer(delay, Event::CompareDue);
            }
            Action::Compare => {
                self.compares();
                self.watch.pager.compare = true;
                self.page();
            }
            Action::DropTicket => self.desk.held = None,
            Action::LeftOut(_) => {}
            Action::Synced => {
                if self.watch.replica.store().has_stale_pages() {
                    self.page_soon(SECOND);
                }
                self.rows_synced();
                if !self.watch.pager.refreshing.is_empty() {
                    self.input(Input::Refresh);
                }
                if self.watch.pager.wanted() != Wanted::default() {
                    self.page();
                }
            }
            Action::PurgeSpace { space } => {
                self.note_changes();
                self.purge_rows(Some(&space));
            }
            Action::Purge { .. } => {
                self.watch.pager = Pager::default();
                self.desk.held = None;
                self.note_changes();
                self.purge_rows(None);
            }
        }
    }

    /// A list or a quiet snapshot is asked for: not too often, but for those that somebody asked for.
    fn compares(&mut self) {
        let (at, is_listing) = (self.steady(), self.is_listing());
        let watch = &mut self.watch;
        if !is_listing {
            if watch.list_asks.is_empty() {
                watch.comparisons.spend(at, "comparisons");
            }
            return;
        }
        watch.lists.push(at);
        let minute = |times: &[u64], more: u64| {
            let since = at.saturating_sub(60 * SECOND + more);
            times.iter().filter(|it| **it > since).count()
        };
        let (lists, asked) = (
            minute(&watch.lists, 0),
            minute(&watch.list_asks, 5 * SECOND),
        );
        assert!(lists <= 8 + asked, "7: {lists} lists in a minute");
    }

    fn connect(&mut self) {
        assert!(self.connection.is_none(), "5: two connections");
        let at = self.steady();
        self.watch.connects.spend(at, "connects");
        self.watch.wait = None;
        let id = self.number();
        let ends_after = self.faults.ends_after.take();
        self.connection = Some(Connection::new(id, ends_after));
        // A watch does not wait longer than this for a connection.
        self.after(IDLE + IDLE / 3, Event::Idle(id));
        match self.ticket() {
            Some(ticket) => self.minted(id, Ok(ticket)),
            None => {
                let (delay, minted) = self.mint();
                self.after(delay, Event::Minted(id, minted));
            }
        }
    }

    fn disconnect(&mut self) {
        let at = self.steady();
        if let Some(live_since) = self.connection.take().and_then(|it| it.live_since) {
            self.watch.connects.was_live(at - live_since);
        }
        (self.watch.wait, self.watch.compare) = (None, None);
        self.watch.pager.compare = false;
    }

    /// The handshake of a socket is answered: the socket follows.
    pub(crate) fn handshake(&mut self, id: u64, page: server::Page, ticket: Ticket) {
        let late = self.faults.late_upgrade.take().unwrap_or(0);
        let (at, latency) = (self.steady(), self.latency());
        if let Some(connection) = self.connection.as_mut().filter(|it| it.id == id) {
            connection.handshake = Some((page, at, ticket));
            self.after(late + latency, Event::Upgrade(id));
        }
    }

    /// Something comes over a connection.
    pub(crate) fn arrive(&mut self, id: u64, message: Message) {
        let Some(connection) = self.connection.as_mut().filter(|it| it.id == id) else {
            return;
        };
        connection.received += 1;
        if let Some((count, silently)) = connection.ends_after
            && connection.received > count
        {
            connection.is_silent = true;
            return match silently {
                true => self.fall_silent(),
                false => self.input(Input::Failed(cut("cut off"))),
            };
        }
        match message {
            Message::Open => self.opened(),
            Message::Failed(failure) => self.input(Input::Failed(failure)),
            Message::Event(kind, data) => self.event(kind, &data),
        }
    }

    /// The handshake's snapshot, complete now that the socket is open.
    fn opened(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let Some((page, answered, ticket)) = connection.handshake.take() else {
            return;
        };
        if self.setup.listing == Listing::Never {
            self.desk.held = Some(ticket);
        }
        let is_late = self.steady() - answered > LATE;
        self.event("snapshot.start", "{}");
        for (_, record) in &page.records {
            self.event("snapshot.record", &format!(r#"{{"record":{record}}}"#));
        }
        let cursor = page.cursor;
        self.input(Input::Event(ServerEvent::SnapshotEnd { cursor }));
        if is_late {
            self.input(Input::NeedSnapshot(SNAPSHOT_SPACING));
        }
    }

    fn event(&mut self, kind: &str, data: &str) {
        match wire::decode(kind, data) {
            Ok(Some(event)) => {
                if let ServerEvent::MemberRemoved { space, .. } = &event {
                    let mut spaces = server::Server::spaces(&self.setup);
                    let out = spaces.find(|it| space_uri(*it) == *space);
                    // Unless the account is in again by now.
                    let out = out.filter(|it| !self.server.member_of.contains(it));
                    self.forbidden.extend(out);
                }
                self.input(Input::Event(event));
            }
            Ok(None) => panic!("the server says {kind}"),
            Err(error) => self.input(Input::Skipped(error.uri().cloned())),
        }
    }

    /// The connection brings nothing more, and does not say so.
    pub(crate) fn fall_silent(&mut self) {
        let stream = self.connection.as_mut().filter(|it| it.is_stream());
        if let Some(connection) = stream {
            connection.is_silent = true;
            let id = connection.id;
            self.after(IDLE, Event::Idle(id));
        }
    }

    /// Nothing was heard for too long.
    pub(crate) fn idle(&mut self, id: u64) {
        let connection = self.connection.as_ref().filter(|it| it.id == id);
        if connection.is_some_and(|it| it.is_silent || it.snapshots == 0) {
            let silent = Failure::new(ErrorKind::IdleTimeout, "silent");
            self.input(Input::Failed(silent));
        }
    }

    pub(crate) fn waited(&mut self, number: u64) {
        if self.watch.wait == Some(number) {
            self.watch.wait = None;
            self.input(Input::Waited);
        }
    }

    pub(crate) fn compare_due(&mut self, number: u64) {
        if self.watch.compare != Some(number) {
            return;
        }
        self.watch.compare = None;
        if self.followers.is_empty() {
            let pause = Duration::from_micros(UNSEEN_PAUSE);
            self.watch.compare = self.timer(pause, Event::CompareDue);
        } else {
            self.input(Input::CompareDue);
        }
    }

    /// The device goes to sleep as a phone does.
    pub(crate) fn suspend(&mut self) {
        let alone = self.followers.is_empty();
        self.watch.is_suspended = !alone && !self.watch.is_stopped();
        self.input(if alone { Input::Stop } else { Input::Suspend });
        self.note_changes();
        self.write_rows();
    }

    pub(crate) fn wake(&mut self) {
        self.watch.is_suspended = false;
        self.hurry();
        self.input(Input::Wake);
    }

    pub(crate) fn slept(&mut self) {
        self.suspend();
        self.wake();
    }

    /// Nobody follows any more: an attempt to connect ends, a connection lingers.
    pub(crate) fn left_alone(&mut self) {
        if !matches!(self.watch.status(), Status::Snapshot | Status::Live) {
            self.watch.is_suspended = false;
            self.input(Input::Stop);
        }
        self.note_changes();
        self.write_rows();
        let linger = Duration::from_micros(LINGER);
        self.watch.lingering = self.timer(linger, Event::Lingered);
    }

    pub(crate) fn lingered(&mut self, number: u64) {
        if self.watch.lingering == Some(number) {
            self.end();
            self.begin();
        }
    }

    /// The watch ends, and writes what is left.
    pub(crate) fn end(&mut self) {
        self.watch.is_suspended = false;
        self.input(Input::Stop);
        self.watch.pager = Pager::default();
        self.note_changes();
        self.write_rows();
    }
}

/// Whether nothing may go because of an input: a snapshot that begins, or a connection that ends, takes nothing away.
fn keeps_all(input: &Input) -> bool {
    match input {
        Input::Event(ServerEvent::SnapshotStart) => true,
        Input::Failed(failure) => failure.refusal != Some(Refusal::AccessLost),
        _ => false,
    }
}

/// What the lifecycle promises, whatever happens.
impl World {
    pub(crate) fn check_machine(&self) {
        let machine = self.watch.replica.machine();
        let (status, connection) = (machine.status(), self.connection.as_ref());
        let under_way =
            connection.is_some() || self.watch.wait.is_some() || self.watch.is_suspended;
        assert_eq!(self.watch.is_stopped(), !under_way, "1: {status:?}");
        if status == Status::Live {
            assert!(
                connection.is_some_and(|it| it.snapshots > 0),
                "2: live without a whole snapshot"
            );
            assert!(machine.error().is_none(), "4: live with an error");
        }
        assert!(
            status != Status::Snapshot || connection.is_some(),
            "3: a snapshot without a connection"
        );
        assert!(
            status != Status::Reconnecting || machine.error().is_some(),
            "4: reconnecting, and no word why"
        );
    }
}
