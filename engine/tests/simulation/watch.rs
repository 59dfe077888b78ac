//! The driver of the replica: what `watch/` of the engine does with tasks and timers, by hand and on the simulated clock. The
//! rules of its pager, its ticket desk and its task stand here in their shortest form.

use std::{collections::BTreeMap, time::Duration};

use contrail_sync_engine::{
    BackoffPolicy, ErrorKind, Status,
    internals::{Failure, Refusal},
    pure::{
        lifecycle::{
            backoff::Backoff,
            machine::{COMPARE_EVERY, Input, Machine, MachineOptions, SNAPSHOT_SPACING},
        },
        protocol::{
            listed::Listed,
            wire::{self, ServerEvent},
        },
        replica::{Action, Replica},
        store::{
            Store,
            home::Home,
            window::{Outdated, Page, Wanted},
        },
    },
};

use crate::{
    budget::Budget,
    schedule::Setup,
    server::{self, ACCOUNTS, space_uri},
    stream::{Connection, Message, cut},
    world::{Answer, Event, MS, SECOND, Ticket, World},
};

/// A ticket with less life than this is not worth a connect, in milliseconds.
const LEAST_LIFE: u64 = 10_000;
const LINGER: u64 = 5 * SECOND;
const UNSEEN_PAUSE: u64 = 30 * SECOND;
/// After an upgrade that comes so late there may be a gap.
const LATE: u64 = 5 * SECOND;
/// Longest silence.
const IDLE: u64 = 45 * SECOND;
const MINT_TIMEOUT: u64 = 10 * SECOND;

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
    not_believed: u32,
    pub(crate) distrusts: bool,
}

/// One fetch at a time, and those who wait for it.
#[derive(Debug, Default)]
pub(crate) struct Pager {
    pub(crate) fetching: Option<Fetch>,
    /// Followers, by number.
    pub(crate) waiting: Vec<u64>,
    pub(crate) compare: bool,
    due: Option<u64>,
    attempts: u32,
}

#[derive(Debug)]
pub(crate) struct Fetch {
    id: u64,
    page: Page,
    ticket: Option<Ticket>,
    is_second: bool,
}

/// Where tickets come from.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) held: Option<Ticket>,
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
            spans_spaces: setup.community,
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

impl Pager {
    fn wanted(&self) -> Wanted {
        Wanted {
            first: self.compare,
            older: !self.waiting.is_empty(),
        }
    }
}

impl World {
    fn now(&self) -> Duration {
        Duration::from_micros(self.steady())
    }

    fn timer(&mut self, delay: Duration, event: impl FnOnce(u64) -> Event) -> Option<u64> {
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
        if failed && self.watch.replica.store().is_arriving() {
            self.watch.pager.waiting.clear();
        }
        let (at, is_live) = (self.steady(), self.watch.status() == Status::Live);
        if let Some(connection) = self.connection.as_mut().filter(|_| is_live) {
            connection.live_since.get_or_insert(at);
        }
        self.check_machine();
    }

    fn perform_all(&mut self, actions: Vec<Action>) {
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
                let at = self.steady();
                self.watch.comparisons.spend(at, "comparisons");
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

    /// The ticket at hand, if it lives long enough by the device's clock.
    fn ticket(&self) -> Option<Ticket> {
        let wall = self.wall();
        self.desk
            .held
            .filter(|it| it.expires >= wall + LEAST_LIFE && it.account == self.account)
    }

    /// What the app's minter will answer, and when.
    fn mint(&mut self) -> (u64, Result<Ticket, Failure>) {
        if self.faults.mint_hangs > 0 {
            self.faults.mint_hangs -= 1;
            let failure = Failure::new(ErrorKind::MintTimeout, "no answer");
            return (MINT_TIMEOUT, Err(failure));
        }
        let is_out = self.server.member_of.is_empty() && !self.setup.community;
        if self.faults.mint_fails > 0 || is_out {
            self.faults.mint_fails = self.faults.mint_fails.saturating_sub(1);
            return (50 * MS, Err(Failure::new(ErrorKind::MintFailed, "no")));
        }
        (self.network.u64(MS..300 * MS), Ok(self.roll()))
    }

    /// A ticket for the connection is there, or will not be.
    pub(crate) fn minted(&mut self, id: u64, minted: Result<Ticket, Failure>) {
        if self.connection.as_ref().is_none_or(|it| it.id != id) {
            return;
        }
        match minted {
            Ok(ticket) => {
                self.desk.held = Some(ticket);
                let latency = self.latency();
                self.after(latency, Event::Request(id, ticket));
            }
            Err(failure) => self.input(Input::Failed(failure)),
        }
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
        self.desk.held = Some(ticket);
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
        if let Some(connection) = &mut self.connection {
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

/// Pages.
impl World {
    pub(crate) fn load_more(&mut self, follower: u64) {
        self.watch.pager.waiting.push(follower);
        self.page();
    }

    /// Fetches a page if one is wanted, or answers that there is none.
    pub(crate) fn page(&mut self) {
        let pager = &self.watch.pager;
        if pager.fetching.is_some() || self.watch.replica.store().is_arriving() {
            return;
        }
        let wanted = pager.wanted();
        match self.watch.replica.begin_page(wanted) {
            Some(page) => {
                let id = self.number();
                self.watch.pager.due = None;
                self.watch.pager.fetching = Some(Fetch {
                    id,
                    page,
                    ticket: None,
                    is_second: false,
                });
                self.ask_for_page(id);
            }
            None => self.answer_pages(),
        }
    }

    fn ask_for_page(&mut self, id: u64) {
        match self.ticket() {
            Some(ticket) => self.minted_for_page(id, Ok(ticket)),
            None => {
                let (delay, minted) = self.mint();
                self.after(delay, Event::MintedForPage(id, minted));
            }
        }
    }

    pub(crate) fn minted_for_page(&mut self, id: u64, minted: Result<Ticket, Failure>) {
        let fetch = self.watch.pager.fetching.as_mut();
        let Some(fetch) = fetch.filter(|it| it.id == id) else {
            return;
        };
        match minted {
            Ok(ticket) => {
                fetch.ticket = Some(ticket);
                let cursor = fetch.page.cursor().map(ToString::to_string);
                self.desk.held = Some(ticket);
                let latency = self.latency();
                self.after(latency, Event::PageRequest(id, ticket, cursor));
            }
            Err(failure) => {
                let page = fetch.page.clone();
                self.watch.pager.fetching = None;
                self.no_page(&page, failure);
            }
        }
    }

    pub(crate) fn answered(&mut self, id: u64, answer: Answer) {
        let fetch = self.watch.pager.fetching.as_mut();
        let Some(fetch) = fetch.filter(|it| it.id == id) else {
            return;
        };
        let page = fetch.page.clone();
        match answer {
            Answer::Refused(failure)
                if failure.refusal == Some(Refusal::Ticket) && !fetch.is_second =>
            {
                fetch.is_second = true;
                if self.desk.held == fetch.ticket {
                    self.desk.held = None;
                }
                self.ask_for_page(id);
            }
            Answer::Refused(failure) => {
                self.watch.pager.fetching = None;
                self.no_page(&page, failure);
            }
            Answer::Page(told, ticket) => {
                self.watch.pager.fetching = None;
                self.desk.held = Some(ticket);
                self.paged(&page, told);
            }
        }
    }

    fn paged(&mut self, page: &Page, told: server::Page) {
        let mut actions = Vec::new();
        let now = self.now();
        let listed = listed(told);
        let implausible =
            *page == Page::First && self.watch.replica.store().is_implausible(&listed);
        let before = self.versions();
        let done = self.watch.replica.end_page(now, page, listed, &mut actions);
        let after = self.versions();
        let older = after.iter().find(|(id, it)| before.get(id) > Some(it));
        assert!(older.is_none(), "a page that was overtaken wins: {older:?}");
        if *page == Page::First && done.is_ok() {
            self.watch.not_believed = if implausible {
                self.watch.not_believed + 1
            } else {
                0
            };
            self.watch.distrusts |= self.watch.not_believed > 1;
        }
        self.perform_all(actions);
        self.check_machine();
        match done {
            Ok(_) => {
                self.watch.pager.attempts = 0;
                if *page == Page::First {
                    self.watch.pager.compare = false;
                }
            }
            Err(Outdated) => {
                self.watch.pager.attempts += 1;
                if self.watch.pager.attempts >= 3 {
                    return self.no_page(page, cut("overtaken"));
                }
            }
        }
        if done.is_ok() && matches!(page, Page::Older(_)) {
            self.answer_pages();
        }
        if self.watch.pager.wanted() != Wanted::default() {
            self.page();
        } else if self.watch.replica.store().has_stale_pages() {
            self.page_soon(SECOND);
        }
    }

    fn no_page(&mut self, page: &Page, failure: Failure) {
        if failure.refusal == Some(Refusal::AccessLost) {
            return self.input(Input::Failed(failure));
        }
        if *page == Page::First {
            self.watch.pager.compare = false;
            self.input(Input::NotCompared);
            return self.page();
        }
        self.watch.pager.waiting.clear();
        self.watch.pager.attempts = 0;
        if self.watch.replica.store().has_stale_pages() {
            self.page_soon(30 * SECOND);
        }
        if self.watch.pager.compare {
            self.page();
        }
    }

    fn page_soon(&mut self, delay: u64) {
        let delay = Duration::from_micros(delay);
        self.watch.pager.due = self.timer(delay, Event::PageDue);
    }

    pub(crate) fn page_due(&mut self, number: u64) {
        if self.watch.pager.due == Some(number) {
            self.watch.pager.due = None;
            self.page();
        }
    }

    /// What there is, is there: those who waited are promised the revision that has it.
    fn answer_pages(&mut self) {
        if self.watch.pager.waiting.is_empty() {
            return;
        }
        self.note_changes();
        self.watch.pager.attempts = 0;
        for id in std::mem::take(&mut self.watch.pager.waiting) {
            let follower = self.followers.iter_mut().find(|it| it.id == id);
            if let Some(follower) = follower {
                follower.promise(&self.watch.replica);
            }
        }
    }
}

fn listed(page: server::Page) -> Listed {
    let mut listed = Listed {
        is_empty: page.records.is_empty(),
        cursor: page.cursor,
        ..Listed::default()
    };
    for (_, record) in page.records {
        match wire::decode_record(&record) {
            Ok(record) => listed.records.push(record),
            Err(error) => listed.unreadable.extend(error.uri().cloned()),
        }
    }
    listed
}

/// Whether nothing may go because of an input: a snapshot that begins, or a connection that ends, takes nothing away.
fn keeps_all(input: &Input) -> bool {
    match input {
        Input::Event(ServerEvent::SnapshotStart) => true,
        Input::Failed(failure) => failure.refusal != Some(Refusal::AccessLost),
        _ => false,
    }
}

impl World {
    /// The versions that the server has given to the records that are shown, by id.
    fn versions(&self) -> BTreeMap<u64, u64> {
        let entries = self.watch.replica.store().entries();
        let confirmed = entries.filter(|it| it.optimistic.is_none());
        let version = |cid: Option<&str>| cid?.strip_prefix('v')?.parse().ok();
        confirmed
            .filter_map(|it| Some((it.id, version(it.record.cid.as_deref())?)))
            .collect()
    }
}

/// What the lifecycle promises, whatever happens.
impl World {
    fn check_machine(&self) {
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
