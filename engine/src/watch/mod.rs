//! One task per watch: it alone owns the machine and the store, and drives them with the world.

mod acts;
mod asked;
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

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use tracing::{Instrument, debug, debug_span, warn};

use crate::{
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
            home::Home,
            window::{Outdated, Page},
        },
    },
    tickets::{Desk, DeskConfig},
    timer::Timer,
    transport::{TicketIn, Transport, http, http::Http, polling::Polling},
};
use command::Command;
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

    fn status(&self) -> Status {
        self.replica.machine().status()
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
