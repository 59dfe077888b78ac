//! One task per watch: it alone owns the machine and the store, and drives them with the world.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, Sleep},
};
use tracing::debug;

use super::{
    EngineConfig, WatchError, WatchSpec,
    backoff::Backoff,
    command::Command,
    connection::{Connection, Happening},
    edit::Edit,
    gathering::Gathering,
    keeper::{self, Keeper, News},
    machine::{DOUBT_SPACING, Effect, Input, Machine, MachineOptions, SNAPSHOT_SPACING, Status},
    optimistic::{EditRefused, MAX_OPTIMISTIC},
    pager::Pager,
    spec::Home,
    store::{Change, Store, Unknowable},
    subscriber::Subscriber,
    subscription::{Admission, Alive},
    wire::ServerEvent,
};
use crate::{
    tickets::{Desk, DeskConfig, Minter},
    transport::{ConnectRequest, Events, Transport, http, http::Http},
};

/// Events taken in one go before subscribers hear of them: a burst becomes one delta.
const BATCH: usize = 512;

pub(super) struct Watch {
    pub(super) spec: WatchSpec,
    max_event_bytes: usize,
    linger: Duration,
    transport: Arc<dyn Transport>,
    pub(super) http: Http,
    pub(super) desk: Arc<Desk>,
    /// The desk's when the connection began: a ticket that it brings after a logout is not kept.
    generation: u64,
    keeper: Option<Keeper>,
    pub(super) machine: Machine,
    pub(super) store: Store,
    pub(super) pager: Pager,
    effects: Vec<Effect>,
    connection: Connection,
    wait: Option<Pin<Box<Sleep>>>,
    gathering: Gathering,
    epoch: Instant,
    commands: mpsc::Receiver<Command>,
    gone: Arc<Notify>,
    pub(super) subscribers: HashMap<u64, Subscriber>,
    next_subscriber: u64,
    lingering: Option<Pin<Box<Sleep>>>,
    /// Nobody follows, and nobody is waited for.
    ended: bool,
}

impl Watch {
    pub fn new(
        spec: WatchSpec,
        config: &EngineConfig,
        desk: DeskConfig,
        transport: Arc<dyn Transport>,
        commands: mpsc::Receiver<Command>,
        gone: Arc<Notify>,
    ) -> Self {
        let rng = config
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let options = MachineOptions {
            reconnect: spec.reconnect,
            can_mint: spec.tickets.can_mint(),
            account: spec.account.clone(),
        };
        let http = desk.http.clone();
        let desk = Desk::new(
            desk,
            spec.tickets.clone(),
            spec.url.clone(),
            spec.account.clone(),
            spec.guard.clone(),
        );
        Self {
            desk: Arc::new(desk),
            generation: 0,
            keeper: Keeper::of(&spec, config.cache.as_ref()),
            machine: Machine::new(options, Backoff::new(config.backoff, rng)),
            max_event_bytes: config.max_event_bytes,
            linger: config.linger,
            transport,
            http,
            store: Store::new(spec.view.clone(), Home::of(&spec.url)),
            pager: Pager::default(),
            effects: Vec::new(),
            connection: Connection::None,
            wait: None,
            gathering: Gathering::default(),
            epoch: Instant::now(),
            commands,
            gone,
            subscribers: HashMap::new(),
            next_subscriber: 0,
            lingering: None,
            ended: false,
            spec,
        }
    }

    /// Runs until nobody has followed the watch for the linger time, or the engine is gone.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => break,
                },
                () = self.gone.notified() => self.sweep(),
                happening = self.connection.next() => self.burst(happening),
                news = keeper::next(&mut self.keeper) => self.cached(news),
                paged = self.pager.next() => self.paged(paged),
                () = elapsed(&mut self.wait) => {
                    self.wait = None;
                    self.input(Input::Waited);
                }
                () = elapsed(&mut self.lingering) => break,
                () = self.gathering.over() => {}
            }
            if self.ended {
                break;
            }
            self.flush();
        }
        // From here on nobody can join: commands that still wait are dropped, their senders start anew.
        self.commands.close();
        self.input(Input::Stop);
        self.pager.stop();
        if let Some(keeper) = self.keeper.take() {
            keeper.finish(&self.store).await;
        }
        debug!(url = %http::bare(&self.spec.url), "watch ended");
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Subscribe { minter, reply } => {
                let id = self.next_subscriber;
                self.next_subscriber += 1;
                let alive = Arc::new(Alive(self.gone.clone()));
                self.subscribers
                    .insert(id, Subscriber::new(Arc::downgrade(&alive), minter));
                self.lingering = None;
                if let Some(keeper) = &mut self.keeper {
                    keeper.read();
                }
                self.input(Input::Start);
                // A caller that is gone drops the admission, which ends the subscription.
                let _ = reply.send(Admission { id, alive });
            }
            Command::State { id, budget, reply } => {
                // Changes of this moment are part of the state, so they must not follow as a delta too.
                self.note_changes();
                if let Some(subscriber) = self.subscribers.get_mut(&id) {
                    let _ = reply.send(subscriber.state(&self.machine, &self.store, budget));
                }
            }
            Command::Pull {
                id,
                seen,
                now,
                budget,
                reply,
            } => {
                if let Some(subscriber) = self.subscribers.get_mut(&id) {
                    subscriber.wait(seen, budget, reply);
                    if now {
                        if !self.gathering.is_on() {
                            subscriber.flush(&self.machine, &self.store);
                        }
                        subscriber.stop_waiting();
                    }
                }
            }
            Command::Edit { edit, reply } => {
                let _ = reply.send(self.edit(edit));
            }
            Command::LoadMore { id, reply } => self.load_more((id, reply)),
            Command::Wake => self.input(Input::Wake),
            Command::Suspend { done } => {
                // Nobody would miss it when it wakes.
                let alone = self.subscribers.is_empty();
                self.input(if alone { Input::Stop } else { Input::Suspend });
                self.write_now(done);
            }
            Command::ForgetTicket { done } => {
                self.desk.clear();
                self.end_if_alone();
                let _ = done.send(());
            }
            Command::ForgetRows { key, account, done } => {
                self.note_changes();
                if let Some(keeper) = &mut self.keeper
                    && keeper.is_meant(key.as_deref(), account.as_deref())
                {
                    keeper.discard();
                    self.end_if_alone();
                }
                let _ = done.send(());
            }
            Command::Flush { done } => self.write_now(done),
        }
    }

    fn write_now(&mut self, done: oneshot::Sender<()>) {
        self.note_changes();
        if let Some(keeper) = &mut self.keeper {
            keeper.flush(&self.store, done);
        }
    }

    fn edit(&mut self, edit: Edit) -> Result<(), WatchError> {
        let edited = self.store.edit(edit, keeper::now_ms().saturating_mul(1000));
        edited.map_err(|refused| match refused {
            EditRefused::TooMany => WatchError::TooMany {
                what: "optimistic records",
                limit: MAX_OPTIMISTIC,
            },
            EditRefused::Nameless => WatchError::Nameless,
        })
    }

    /// Ends instead of lingering: whoever comes next starts anew.
    fn end_if_alone(&mut self) {
        self.sweep();
        self.ended = self.subscribers.is_empty();
    }

    fn sweep(&mut self) {
        self.subscribers.retain(|_, it| it.alive.strong_count() > 0);
        if self.subscribers.is_empty() {
            // A connection lingers; an attempt at one ends with those who wanted it.
            if !matches!(self.machine.status(), Status::Snapshot | Status::Live) {
                self.input(Input::Stop);
            }
            self.note_changes();
            if let Some(keeper) = &mut self.keeper {
                keeper.write(&self.store);
            }
            self.lingering = Some(Box::pin(tokio::time::sleep(self.linger)));
        }
    }

    fn cached(&mut self, news: News) {
        match news {
            News::Page(Some(rows)) => {
                self.note_changes();
                for row in rows {
                    self.store.restore(row.record, row.live_time);
                }
                // They came from the cache: only the subscribers have to hear of them.
                for change in self.store.take_changes() {
                    tell(&mut self.subscribers, &change);
                }
            }
            News::Due => {
                if let Some(keeper) = &mut self.keeper {
                    keeper.write(&self.store);
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
        match happening {
            Happening::Input(Input::Event(ServerEvent::Error { message })) => {
                let message = self.desk.redact(message);
                self.input_at(now, Input::Event(ServerEvent::Error { message }));
            }
            Happening::Input(input) => self.input_at(now, input),
            Happening::Ticket(ticket) => self.desk.roll(ticket, self.generation),
        }
    }

    fn input(&mut self, input: Input) {
        self.input_at(self.epoch.elapsed(), input);
    }

    fn input_at(&mut self, now: Duration, input: Input) {
        let mut effects = std::mem::take(&mut self.effects);
        let before = self.machine.status();
        if let Input::Failed(error) = &input {
            debug!(url = %http::bare(&self.spec.url), %error, "connection failed");
        }
        self.machine.step(now, input, &mut effects);
        let mut knowable = Ok(());
        for effect in effects.drain(..) {
            knowable = knowable.and(self.perform(effect));
        }
        self.effects = effects;
        let status = self.machine.status();
        if status != before {
            debug!(url = %http::bare(&self.spec.url), ?status, "watch");
        }
        match knowable {
            Ok(()) => {}
            Err(Unknowable::Ambiguous) => self.input(Input::NeedSnapshot(SNAPSHOT_SPACING)),
            Err(Unknowable::Doubtful) => self.input(Input::NeedSnapshot(DOUBT_SPACING)),
        }
    }

    fn perform(&mut self, effect: Effect) -> Result<(), Unknowable> {
        match effect {
            Effect::Connect => {
                self.wait = None;
                self.connection = Connection::Opening(self.connect());
            }
            Effect::Disconnect => {
                self.wait = None;
                self.connection = Connection::None;
            }
            Effect::Wait(delay) => self.wait = Some(Box::pin(tokio::time::sleep(delay))),
            Effect::DropTicket => self.desk.refused(),
            Effect::BeginSnapshot => self.store.begin_snapshot(),
            Effect::SnapshotRecord(record) => self.store.confirm(record),
            Effect::EndSnapshot { cursor, evict } => {
                self.store.end_snapshot(cursor, evict);
                if self.store.has_stale_pages() {
                    self.pager.refresh_soon();
                }
                if let Some(keeper) = &mut self.keeper {
                    keeper.synced();
                }
            }
            Effect::Upsert(record) => self.store.upsert(record),
            Effect::Delete { uri } => return self.store.delete(&uri),
            Effect::AddChild(added) => return self.store.add_child(&added),
            Effect::RemoveChild(removed) => return self.store.remove_child(&removed),
            Effect::Purge { kicked } => {
                self.pager.stop();
                self.store.clear();
                self.desk.clear();
                if kicked {
                    self.desk.revoke();
                }
                self.note_changes();
                if let Some(keeper) = &mut self.keeper {
                    keeper.purge();
                }
            }
        }
        Ok(())
    }

    fn connect(&mut self) -> BoxFuture<'static, Result<Events, WatchError>> {
        self.generation = self.desk.generation();
        let mut request = self.request();
        let (transport, desk) = (self.transport.clone(), self.desk.clone());
        let followers = self.minters();
        async move {
            request.ticket = desk.ticket(followers).await?;
            Ok(transport.connect(request).await?)
        }
        .boxed()
    }

    /// A request for this watch, still without a ticket.
    pub(super) fn request(&self) -> ConnectRequest {
        ConnectRequest {
            url: self.spec.url.clone(),
            ticket: None,
            guard: self.spec.guard.clone(),
            idle_timeout: self.spec.idle_timeout,
            max_event_bytes: self.max_event_bytes,
        }
    }

    /// Those who can mint, the newest first: its window is the likeliest to be awake.
    pub(super) fn minters(&self) -> Vec<Arc<dyn Minter>> {
        let mut followers: Vec<_> = self.subscribers.iter().collect();
        followers.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(**id));
        followers
            .into_iter()
            .filter_map(|(_, it)| it.minter.clone())
            .collect()
    }

    pub(super) fn note_changes(&mut self) {
        for change in self.store.take_changes() {
            tell(&mut self.subscribers, &change);
            if let Some(keeper) = &mut self.keeper {
                keeper.note(&change);
            }
        }
    }

    fn flush(&mut self) {
        self.note_changes();
        let arriving = self.machine.status() == Status::Snapshot;
        if self.gathering.look(arriving, self.store.len()) {
            return;
        }
        for subscriber in self.subscribers.values_mut() {
            subscriber.flush(&self.machine, &self.store);
        }
    }
}

fn tell(subscribers: &mut HashMap<u64, Subscriber>, change: &Change) {
    for subscriber in subscribers.values_mut() {
        subscriber.note(change);
    }
}

pub(super) async fn elapsed(sleep: &mut Option<Pin<Box<Sleep>>>) {
    match sleep {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}
