//! One task per watch: it alone owns the machine and the store, and drives them with the world.

pub(crate) mod command;
mod connection;
pub(crate) mod error;
mod first_frame;
mod follower;
pub(crate) mod keys;
#[cfg(test)]
pub(crate) mod logged;
mod noting;
mod older;
mod pager;
pub(crate) mod persist;
pub(crate) mod presence;
pub(crate) mod report;
pub(crate) mod settings;
pub(crate) mod spec;
pub(crate) mod statistics;
pub(crate) mod subscription;
pub(crate) mod writes;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::{Instrument, debug, debug_span, warn};

use crate::{
    clock::now_us,
    gauge::{Gauge, MomentKind},
    id::WatchId,
    pure::{
        lifecycle::{
            backoff::Backoff,
            machine::{Input, Machine, MachineOptions, Status},
        },
        protocol::{bound::Bound, listed::Listed, wire::ServerEvent},
        replica::{Action, Replica},
        store::{
            Store,
            change::Change,
            edit::Edit,
            home::Home,
            optimistic::{EditRefused, MAX_OPTIMISTIC},
            window::{Outdated, Page, Wanted},
        },
    },
    tickets::{Desk, DeskConfig, Minter},
    timer::Timer,
    transport::{
        ConnectRequest, Events, TicketIn, Transport, TransportError, http, http::Http,
        polling::Polling,
    },
};
use command::{Admission, Command};
use connection::{Connection, Happening};
use error::WatchError;
use first_frame::FirstFrame;
use follower::Follower;
use pager::Pager;
use persist::{News, Persist};
use presence::Presence;
use report::Counted;
use settings::Settings;
use spec::WatchSpec;

/// While nobody follows a watch that lingers, this passes between two thoughts of comparing it.
const UNSEEN_PAUSE: Duration = Duration::from_secs(30);

/// Events taken in one go before followers hear of them: a burst becomes one delta.
const BATCH: usize = 512;

pub(crate) struct Watch {
    id: WatchId,
    spec: WatchSpec,
    settings: Settings,
    transport: Arc<dyn Transport>,
    http: Http,
    desk: Arc<Desk>,
    /// The desk's when the connection began: a ticket that it brings after a logout is not kept.
    generation: u64,
    /// How often its list is asked for, where the server has no stream.
    polling: Arc<Polling>,
    /// What it notes of itself, and its connection.
    gauge: Arc<Gauge>,
    counted: Counted,
    persist: Option<Persist>,
    replica: Replica,
    pager: Pager,
    /// Of the step under way; kept for its memory.
    actions: Vec<Action>,
    connection: Connection,
    wait: Timer,
    compare: Timer,
    first_frame: FirstFrame,
    /// Questions for a state that is told later.
    held: Vec<Command>,
    /// The bounds that something would have passed.
    left_out: Vec<Bound>,
    epoch: Instant,
    commands: mpsc::Receiver<Command>,
    presence: Arc<Presence>,
    followers: HashMap<u64, Follower>,
    next_follower: u64,
    lingering: Timer,
    /// Nobody follows, and nobody is waited for.
    ended: bool,
}

impl Watch {
    pub(crate) fn new(
        spec: WatchSpec,
        settings: Settings,
        desk: DeskConfig,
        transport: Arc<dyn Transport>,
        commands: mpsc::Receiver<Command>,
        presence: Arc<Presence>,
    ) -> Self {
        let rng = settings
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let home = Home::of(&spec.url);
        let options = MachineOptions {
            spans_spaces: home.any_space,
            compare_every: settings.compare_every,
            reconnect: spec.reconnect,
            can_mint: spec.tickets.can_mint(),
            account: spec.account.clone(),
        };
        let http = desk.http.clone();
        let id = WatchId::next();
        let desk = Desk::new(
            id,
            desk,
            spec.tickets.clone(),
            spec.url.clone(),
            spec.account.clone(),
            &spec.tickets_id(),
        );
        if spec.is_sorted_elsewhere() {
            warn!(watch = %id, url = %http::bare(&spec.url), "the URL asks for an order of its own, but the watch shows the newest first: give it as `sort`, too");
        }
        Self {
            id,
            desk: Arc::new(desk),
            generation: 0,
            polling: Polling::every(spec.poll_interval),
            gauge: Gauge::new(id, settings.shared.live.clone()),
            counted: Counted::default(),
            persist: Persist::of(id, &spec, settings.cache.as_ref()),
            replica: Replica::new(
                Machine::new(options, Backoff::new(settings.backoff, rng)),
                Store::new(spec.view.clone(), home).with_max_bytes(settings.max_watch_bytes),
            ),
            settings,
            transport,
            http,
            pager: Pager::default(),
            actions: Vec::new(),
            connection: Connection::None,
            wait: Timer::default(),
            compare: Timer::default(),
            first_frame: FirstFrame::default(),
            held: Vec::new(),
            left_out: Vec::new(),
            epoch: Instant::now(),
            commands,
            presence,
            followers: HashMap::new(),
            next_follower: 0,
            lingering: Timer::default(),
            ended: false,
            spec,
        }
    }

    /// What the log calls it.
    pub(crate) fn id(&self) -> WatchId {
        self.id
    }

    /// Runs until nobody has followed the watch for the linger time, or the engine is gone.
    pub(crate) async fn run(self) {
        let span = debug_span!("watch", id = %self.id, url = %http::bare(&self.spec.url));
        self.go_on().instrument(span).await;
    }

    async fn go_on(mut self) {
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => break,
                },
                () = self.presence.changed() => self.sweep(),
                happening = self.connection.next() => self.burst(happening),
                news = persist::next(&mut self.persist) => self.cached(news),
                paged = self.pager.next() => self.paged(paged),
                () = self.wait.elapsed() => self.input(Input::Waited),
                () = self.compare.elapsed() => self.compare_due(),
                () = self.lingering.elapsed() => break,
                () = self.first_frame.over() => {}
            }
            if self.ended {
                break;
            }
            self.deliver();
        }
        // From here on nobody can join: commands that still wait are dropped, their senders start anew.
        self.commands.close();
        self.input(Input::Stop);
        self.pager.stop();
        if let Some(persist) = self.persist.take() {
            persist.finish(self.replica.store()).await;
        }
        debug!(watch = %self.id, url = %http::bare(&self.spec.url), "watch ended");
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Subscribe {
                alive,
                minter,
                reply,
            } => {
                let id = self.next_follower;
                self.next_follower += 1;
                let alive = Arc::new(alive);
                self.followers
                    .insert(id, Follower::new(Arc::downgrade(&alive), minter));
                self.lingering.stop();
                self.polling.seen(true);
                if let Some(persist) = &mut self.persist {
                    persist.read();
                }
                self.input(Input::Start);
                if self.is_offline() {
                    self.input(Input::Suspend);
                }
                // A caller that is gone drops the admission, which ends the subscription.
                let _ = reply.send(Admission {
                    id,
                    watch: self.id,
                    alive,
                });
            }
            Command::State { .. } if self.is_closing() => self.held.push(command),
            Command::State {
                id,
                seen,
                budget,
                reply,
            } => {
                // Changes of this moment are part of the state, so they must not follow as a delta too.
                self.note_changes();
                if let Some(follower) = self.followers.get_mut(&id) {
                    let _ = reply.send(follower.state(seen, &self.replica, budget));
                }
            }
            Command::Pull {
                id,
                seen,
                now,
                budget,
                reply,
            } => {
                if let Some(follower) = self.followers.get_mut(&id) {
                    follower.wait(seen, budget, reply);
                    if now {
                        if !self.first_frame.is_on() {
                            follower.deliver(&self.replica);
                        }
                        follower.stop_waiting();
                    }
                }
            }
            Command::Edit { edit, reply } => {
                let _ = reply.send(self.edit(edit));
            }
            Command::Target { wanted, reply } => {
                let _ = reply.send(self.target(&wanted));
            }
            Command::Written(news) => self.written(news),
            Command::LoadMore { id, reply } => self.load_more((id, reply)),
            Command::Refresh { id, reply } => self.refresh((id, reply)),
            Command::Seen { id, seen } => self.look(id, seen),
            Command::Report { reply } => {
                let _ = reply.send(self.report());
            }
            Command::Drop { reply } => {
                let _ = reply.send(self.drop_connection());
            }
            Command::LookAgain { reply } => {
                let _ = reply.send(self.look_again());
            }
            Command::Wake if self.is_offline() => {}
            Command::Wake => {
                self.polling.hurry();
                self.input(Input::Wake);
            }
            Command::Suspend { done } => {
                // Nobody would miss it when it wakes.
                let alone = self.followers.is_empty();
                self.input(if alone { Input::Stop } else { Input::Suspend });
                self.write_now(done);
            }
            Command::Flush { done } => self.write_now(done),
        }
    }

    fn is_offline(&self) -> bool {
        self.settings.shared.offline.load(Ordering::Relaxed)
    }

    fn write_now(&mut self, done: oneshot::Sender<()>) {
        self.note_changes();
        if let Some(persist) = &mut self.persist {
            persist.flush(self.replica.store(), done);
        }
    }

    fn edit(&mut self, edit: Edit) -> Result<(), WatchError> {
        let edited = self.replica.store_mut().edit(edit, now_us());
        edited.map_err(|refused| match refused {
            EditRefused::TooMany => WatchError::TooMany {
                what: "optimistic records",
                limit: MAX_OPTIMISTIC,
            },
            EditRefused::Nameless => WatchError::Nameless,
        })
    }

    fn sweep(&mut self) {
        self.followers.retain(|_, it| it.alive.strong_count() > 0);
        self.polling.seen(self.followers.values().any(|it| it.seen));
        self.note_changes();
        if let Some(persist) = &mut self.persist {
            persist.heed_clears();
        }
        if self.presence.is_over() {
            self.ended = true;
        } else if self.followers.is_empty() {
            // A connection lingers; an attempt at one ends with those who wanted it.
            if !matches!(self.status(), Status::Snapshot | Status::Live) {
                self.input(Input::Stop);
            }
            self.note_changes();
            if let Some(persist) = &mut self.persist {
                persist.write(self.replica.store());
            }
            self.lingering.after(self.settings.linger);
        }
    }

    fn cached(&mut self, news: News) {
        match news {
            News::Page(Some(page)) => {
                self.note_changes();
                self.replica.store_mut().restore_profiles(page.profiles);
                for row in page.rows {
                    self.replica.store_mut().restore(row.record, row.live_time);
                }
                // They came from the cache: only the followers have to hear of them.
                for change in self.replica.store_mut().take_changes() {
                    tell(&mut self.followers, &change);
                }
            }
            News::Due => {
                if let Some(persist) = &mut self.persist {
                    persist.write(self.replica.store());
                }
            }
            News::Page(None) | News::Written(_) => {}
        }
    }

    /// Takes what happened and what else has arrived with it.
    fn burst(&mut self, first: Happening) {
        let now = self.epoch.elapsed();
        self.happened(now, first);
        for _ in 1..BATCH {
            match self.connection.ready() {
                Some(happening) => self.happened(now, happening),
                None => break,
            }
        }
    }

    fn happened(&mut self, now: Duration, happening: Happening) {
        if self.gauge.is_followed() {
            self.tell_live(&happening);
        }
        match happening {
            Happening::Input(input) => {
                let counts =
                    matches!(&input, Input::Event(it) if !matches!(it, ServerEvent::Keepalive));
                self.counted.events += u64::from(counts);
                self.input_at(now, input);
            }
            Happening::Silence(failure) => {
                self.fell_silent();
                self.input_at(now, Input::Failed(failure));
            }
            // What an appview gives in exchange is a ticket of its own kind, for the query.
            Happening::Ticket(_) if self.spec.ticket_in == TicketIn::Header => {}
            Happening::Ticket(ticket) => self.desk.roll(ticket, self.generation),
            Happening::Profiles(profiles) => {
                self.replica.store_mut().learn(profiles);
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.input_at(self.epoch.elapsed(), input);
    }

    fn input_at(&mut self, now: Duration, input: Input) {
        let mut actions = std::mem::take(&mut self.actions);
        let before = self.status();
        if let Input::Failed(failure) = &input {
            let error = &failure.payload.message;
            debug!(watch = %self.id, url = %http::bare(&self.spec.url), %error, "connection failed");
        }
        let failed = match &input {
            Input::Failed(failure) => Some(WatchError::Failed(failure.payload.clone())),
            _ => None,
        };
        let by = match &input {
            Input::Failed(_) | Input::Event(_) => MomentKind::Failed,
            _ => MomentKind::Disconnected,
        };
        self.replica.step(now, input, &mut actions);
        self.note_end(by, &actions);
        self.perform_all(actions);
        if let Some(error) = failed {
            self.no_connection(&error);
        }
        let status = self.status();
        if status != before {
            debug!(watch = %self.id, url = %http::bare(&self.spec.url), ?status, "watch");
            self.note_status(status);
        }
    }

    /// Other connections that are as old may be as dead.
    fn fell_silent(&self) {
        if let Some(since) = Instant::now().checked_sub(self.spec.idle_timeout) {
            self.http.doubt(&self.spec.url, since);
        }
    }

    fn perform_all(&mut self, mut actions: Vec<Action>) {
        for action in actions.drain(..) {
            self.perform(action);
        }
        self.actions = actions;
    }

    /// Compares the watch with a quiet snapshot, if somebody would see the difference.
    fn compare_due(&mut self) {
        match self.followers.is_empty() {
            true => self.compare.after(UNSEEN_PAUSE),
            false => self.input(Input::CompareDue),
        }
    }

    /// A page arrived.
    fn end_page(&mut self, page: &Page, listed: Listed) -> Result<bool, Outdated> {
        let mut actions = std::mem::take(&mut self.actions);
        let now = self.epoch.elapsed();
        let told = self.replica.end_page(now, page, listed, &mut actions);
        self.perform_all(actions);
        told
    }

    /// One line of log for each bound is enough.
    fn left_out(&mut self, bound: Bound) {
        self.settings.shared.statistics.left_out();
        self.counted.left_out += 1;
        if !self.left_out.contains(&bound) {
            self.left_out.push(bound);
            self.gauge.note(MomentKind::LeftOut, bound.to_string());
            warn!(watch = %self.id, url = %http::bare(&self.spec.url), %bound, "left out what the server sent");
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Connect => {
                self.settings.shared.statistics.connecting();
                self.connecting();
                self.wait.stop();
                self.connection = Connection::Opening(self.id, self.connect());
            }
            Action::Disconnect => {
                self.wait.stop();
                self.compare.stop();
                self.pager.compare(false);
                self.connection = Connection::None;
            }
            Action::Wait(delay) => {
                self.note_wait(delay);
                self.wait.after(delay);
            }
            Action::CompareAfter(delay) => self.compare.after(delay),
            Action::Compare => self.compare(),
            Action::DropTicket => self.desk.refused(),
            Action::LeftOut(bound) => self.left_out(bound),
            Action::Synced => {
                self.tell_reached();
                if self.replica.store().has_stale_pages() {
                    self.pager.refresh_soon();
                }
                if let Some(persist) = &mut self.persist {
                    persist.synced();
                }
                if self.pager.wants_fresh() {
                    self.input(Input::Refresh);
                }
                if self.pager.wanted() != Wanted::default() {
                    self.page();
                }
            }
            Action::PurgeSpace { space } => {
                self.gauge
                    .note(MomentKind::Purged, "access to one space was lost");
                self.tell_lost(Some(&space));
                self.note_changes();
                if let Some(persist) = &mut self.persist {
                    persist.purge_space(space);
                }
            }
            Action::Purge { kicked } => {
                self.gauge.note(MomentKind::Purged, "access was lost");
                self.tell_lost(None);
                self.pager.stop();
                self.desk.clear();
                if kicked {
                    self.desk.revoke();
                }
                self.note_changes();
                if let Some(persist) = &mut self.persist {
                    persist.purge();
                }
            }
        }
    }

    fn status(&self) -> Status {
        self.replica.machine().status()
    }

    fn connect(&mut self) -> BoxFuture<'static, Result<Events, WatchError>> {
        self.generation = self.desk.generation();
        let mut request = self.request();
        let (transport, desk) = (self.transport.clone(), self.desk.clone());
        let followers = self.minters();
        let is_anonymous = self.spec.is_anonymous();
        let gauge = self.gauge.clone();
        let span = debug_span!("connect", attempt = self.counted.connects);
        let connecting = async move {
            request.ticket = desk.ticket(followers).await?;
            let asked = Instant::now();
            let connected = transport.connect(request).await;
            if connected.is_ok() {
                gauge.connected(asked.elapsed());
            }
            connected.map_err(|error| match error {
                TransportError::AuthRequired { .. } if is_anonymous => WatchError::NoTicket(error),
                error => error.into(),
            })
        };
        connecting.instrument(span).boxed()
    }

    /// A request for this watch, still without a ticket.
    fn request(&self) -> ConnectRequest {
        ConnectRequest {
            watch: self.id,
            url: self.spec.url.clone(),
            ticket: None,
            ticket_in: self.spec.ticket_in,
            guard: self.spec.guard.clone(),
            idle_timeout: self.spec.idle_timeout,
            max_event_bytes: self.settings.max_event_bytes,
            polling: self.polling.clone(),
            gauge: self.gauge.clone(),
        }
    }

    /// Those who can mint, the newest first: its window is the likeliest to be awake.
    fn minters(&self) -> Vec<Arc<dyn Minter>> {
        let mut followers: Vec<_> = self.followers.iter().collect();
        followers.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(**id));
        followers
            .into_iter()
            .filter_map(|(_, it)| it.minter.clone())
            .collect()
    }

    fn note_changes(&mut self) {
        for change in self.replica.store_mut().take_changes() {
            tell(&mut self.followers, &change);
            if let Some(persist) = &mut self.persist {
                persist.note(&change);
            }
        }
        self.tell_outbox();
        if let Some(persist) = &mut self.persist {
            persist.heed_profiles(self.replica.store().profiles());
        }
    }

    /// It is closed, but records of last time are still to come. Nobody looks at a watch that has told that it is closed.
    fn is_closing(&self) -> bool {
        self.status() == Status::Closed && self.persist.as_ref().is_some_and(Persist::is_reading)
    }

    /// Tells the followers what is new.
    fn deliver(&mut self) {
        self.note_changes();
        if self.is_closing() {
            return;
        }
        for command in std::mem::take(&mut self.held) {
            self.command(command);
        }
        let arriving = self.status() == Status::Snapshot;
        if self.first_frame.look(arriving, self.replica.store().len()) {
            return;
        }
        for follower in self.followers.values_mut() {
            follower.deliver(&self.replica);
        }
    }
}

fn tell(followers: &mut HashMap<u64, Follower>, change: &Change) {
    for follower in followers.values_mut() {
        follower.note(change);
    }
}
