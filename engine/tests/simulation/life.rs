//! What the steps of a schedule do.

use std::collections::BTreeSet;

use contrail_sync_engine::{
    Edit, EditError, EditRecord,
    internals::Failure,
    pure::{lifecycle::machine::Input, store::entry::Entry},
};
use fastrand::Rng;
use serde_json::value::RawValue;

use crate::{
    follower::Follower,
    rows::Trouble,
    schedule::{Device, Fault, Follow, Kind, Listing, Optimistic, Step, Write},
    server::{self, ACCOUNTS, COLLECTION, COMMUNITY, ChildRow, GROUPS, PEOPLE, Row, Server},
    stream::{Message, Told, cut},
    watch::Watch,
    world::{MS, SECOND, World},
};

/// An edit that the app made and waits for.
#[derive(Debug, Clone)]
pub(crate) struct PendingEdit {
    /// What the server will have.
    pub(crate) row: Row,
}

impl World {
    /// The records that are there from the beginning, and one who follows.
    pub(crate) fn fill(&mut self) {
        let now = self.at;
        for n in 0..self.setup.initial {
            self.at = now / 2 + n as u64 * SECOND;
            let dice = self.network.u64(..);
            self.write(Write::New, dice, true);
            if n % 2 == 0 {
                let dice = self.network.u64(..);
                self.write(Write::Child, dice, true);
            }
        }
        self.at = now;
        self.come();
    }

    /// A new life of the watch, as after a start of the app.
    pub(crate) fn begin(&mut self) {
        let life = self.number();
        let account = ACCOUNTS[self.account].to_owned();
        self.watch = Watch::of(&self.setup, life, account);
        self.connection = None;
        self.followers.clear();
        self.edits.clear();
        self.rows.begin(self.setup.keep);
    }

    /// One more follows.
    pub(crate) fn come(&mut self) {
        let id = self.number();
        let budget = [usize::MAX / 4, 4000, 900][self.network.usize(..3)];
        self.watch.lingering = None;
        self.read_rows();
        self.note_changes();
        self.followers.push(Follower::new(id, budget));
        self.input(Input::Start);
        self.note_changes();
        if let Some(follower) = self.followers.last_mut() {
            follower.state(&self.watch.replica, false);
        }
    }

    /// Followers hear what is new, a part of it at a time.
    pub(crate) fn deliver(&mut self) {
        self.note_changes();
        if !self.is_closing() {
            for follower in &mut self.followers {
                follower.pull(&self.watch.replica, 1);
            }
        }
    }

    pub(crate) fn apply(&mut self, step: Step) {
        match step {
            Step::Wait(time) => self.advance(self.at + time * MS),
            Step::Write(write, dice) => self.write(write, dice, false),
            Step::Silent(write, dice) => self.write(write, dice, true),
            Step::Fault(fault, dice) => self.fault(fault, dice),
            Step::Lists(fault, dice) => self.list_fault(fault, dice),
            Step::Device(device, dice) => self.device(device, &mut Rng::with_seed(dice)),
            Step::Kick(dice) => self.kick(dice),
            Step::Admit => self.admit(),
            Step::Follow(follow, dice) => self.follow(follow, &mut Rng::with_seed(dice)),
            Step::Optimistic(what, dice) => self.optimistic(what, &mut Rng::with_seed(dice)),
            Step::Talk(dice) => self.talk(&mut Rng::with_seed(dice)),
            Step::Quiet => self.quiet(),
        }
        self.is_calm &= matches!(step, Step::Quiet | Step::Talk(_));
        self.deliver();
    }

    fn write(&mut self, write: Write, dice: u64, is_silent: bool) {
        let mut rng = Rng::with_seed(dice);
        self.about_to_write(is_silent);
        match write {
            Write::New | Write::Odd => self.put(&mut rng, None, write == Write::Odd, is_silent),
            Write::Burst => {
                for _ in 0..rng.usize(3..12) {
                    self.put(&mut rng, None, false, is_silent);
                }
            }
            Write::Edit => {
                let row = rng.choice(&self.server.rows).cloned();
                self.put(&mut rng, row, false, is_silent);
            }
            Write::Delete => {
                let some = (0..self.server.rows.len()).nth(dice as usize % 24);
                let Some(at) = self.edited_row(dice).or(some) else {
                    return;
                };
                let row = self.server.rows.remove(at);
                if !is_silent {
                    self.publish_record(row.space, Told::Deleted(row));
                }
            }
            Write::Child | Write::ChildEdit | Write::ChildDelete
                if self.setup.hydrate.is_some() =>
            {
                self.write_child(write, &mut rng, is_silent);
            }
            Write::Child | Write::ChildEdit | Write::ChildDelete => {}
        }
    }

    /// One clean change, which shows before the server is asked.
    fn talk(&mut self, rng: &mut Rng) {
        if !self.is_calm || self.setup.community {
            return;
        }
        if self.is_listing() {
            return self.talk_in_lists(rng);
        }
        // A record that is out of sight, or cannot be read, comes without its children when it changes: the next comparison
        // has them.
        self.is_blind |= !self.server.rows.iter().all(|it| self.is_in_sight(it));
        let parents = self.server.children.iter().map(|it| it.parent.clone());
        let absent: BTreeSet<String> = parents.filter(|it| !self.shows(it)).collect();
        let dice = rng.u64(..);
        let follows_children = self.setup.kind != Kind::DurableObject;
        match rng.u8(..6) {
            0 => {
                let number = self.number();
                let row = self.edited(format!("n{number}"), PEOPLE[0], Some(0), rng);
                self.store_row(row, false);
            }
            1 => self.write(Write::Edit, dice, false),
            2 => self.write(Write::Delete, dice, false),
            _ if self.setup.hydrate.is_some() && follows_children => self.talk_of_children(rng),
            _ => {}
        }
        // So does one that was deleted and is written again.
        let mut rows = self.server.rows.iter();
        self.is_blind |= rows.any(|it| absent.contains(&it.uri()));
        self.advance(self.at + 4 * SECOND);
        let fits = self.server.rows.len() < self.setup.limit;
        let shows_all = !self.is_blind && fits && !self.setup.only_room;
        self.says_the_same(shows_all && follows_children && !self.watch.is_in_doubt());
    }

    fn is_in_sight(&self, row: &Row) -> bool {
        !row.odd && self.shows(&row.uri())
    }

    fn shows(&self, uri: &str) -> bool {
        let mut shown = self.watch.replica.store().entries();
        shown.any(|it| it.record.uri.as_str() == uri)
    }

    /// The same where there are but lists: it shows when the position has moved, or when the list is asked for anyway.
    fn talk_in_lists(&mut self, rng: &mut Rng) {
        let is_silent = rng.u8(..3) == 0;
        let writes = [Write::New, Write::Edit, Write::Delete, Write::Child];
        let write = writes[rng.usize(..writes.len())];
        self.write(write, rng.u64(..), is_silent);
        let time = if is_silent { 95 } else { 16 };
        self.advance(self.at + time * SECOND);
        if self.server.public().len() < self.setup.limit {
            self.says_the_same(true);
        }
    }

    /// Where the record is that somebody is editing: at times it is deleted meanwhile.
    fn edited_row(&self, dice: u64) -> Option<usize> {
        let is_wanted = self.setup.listing != Listing::Never && dice.is_multiple_of(2);
        let PendingEdit { row } = self.edits.first().filter(|_| is_wanted)?;
        self.server.rows.iter().position(|it| it.is(row))
    }

    /// Where records live of which nobody says it.
    fn home(&self) -> Option<u8> {
        (self.setup.listing == Listing::Never).then_some(0)
    }

    /// A child with a key of its own comes, or goes.
    fn talk_of_children(&mut self, rng: &mut Rng) {
        let number = self.number();
        let Some(connection) = &self.connection else {
            return;
        };
        let known = self
            .server
            .children
            .iter()
            .filter(|it| connection.knows(it));
        let known = rng.choice(known.collect::<Vec<_>>()).cloned();
        let parents = self
            .server
            .rows
            .iter()
            .filter(|it| connection.follows(&it.uri()));
        let told = match (known, rng.choice(parents.collect::<Vec<_>>())) {
            (Some(row), _) if rng.u8(..3) == 0 => {
                self.server.children.retain(|it| !it.is(&row));
                Told::ChildGone(row)
            }
            (_, Some(parent)) => {
                let row = ChildRow {
                    relation: rng.usize(..2),
                    did: PEOPLE[rng.usize(..3)],
                    rkey: format!("u{number}"),
                    parent: parent.uri(),
                    group: Some(GROUPS[rng.usize(..2)]),
                    text: 0,
                    time: 0,
                };
                Told::Child(self.server.put_child(self.at, row))
            }
            (_, None) => return,
        };
        self.publish(told);
    }

    fn put(&mut self, rng: &mut Rng, known: Option<Row>, odd: bool, is_silent: bool) {
        let (did, space) = match self.setup.community {
            true => (COMMUNITY, [None, Some(0), Some(1)][rng.usize(..3)]),
            false => (PEOPLE[rng.usize(..3)], self.home()),
        };
        let rkey = match rng.u8(..8) {
            0 => "self".to_owned(),
            _ => format!("k{}", rng.u8(..12)),
        };
        let number = self.number();
        let row = Row {
            space,
            did,
            rkey,
            body: format!("t{number}"),
            in_room: rng.bool(),
            number: rng.u64(..5),
            time: 0,
            version: 0,
            odd,
        };
        let row = match known {
            Some(known) => Row {
                rkey: known.rkey,
                did: known.did,
                space: known.space,
                ..row
            },
            None => row,
        };
        self.store_row(row, is_silent);
    }

    fn store_row(&mut self, row: Row, is_silent: bool) {
        let row = self.server.put(self.at, row);
        if !is_silent {
            self.publish_record(row.space, Told::Put(row));
        }
    }

    /// Public records are not published to such watches, those of a community only in some set-ups.
    fn publish_record(&mut self, space: Option<u8>, told: Told) {
        if space.is_some() && (self.setup.published || !self.setup.community) {
            self.publish(told);
        }
    }

    fn write_child(&mut self, write: Write, rng: &mut Rng, is_silent: bool) {
        let known = rng.choice(&self.server.children).cloned();
        let told = match (write, known) {
            (Write::ChildDelete, Some(row)) => {
                self.server.children.retain(|it| !it.is(&row));
                Told::ChildGone(row)
            }
            (Write::ChildDelete, None) => return,
            (_, known) => {
                let Some(parent) = rng.choice(&self.server.rows).map(Row::uri) else {
                    return;
                };
                let relation = rng.usize(..2);
                let new = ChildRow {
                    relation,
                    did: PEOPLE[rng.usize(..3)],
                    rkey: format!("c{}", rng.u8(..9)),
                    parent,
                    group: None,
                    text: 0,
                    time: 0,
                };
                let mut row = match (write, known) {
                    (Write::ChildEdit, Some(known)) if rng.bool() => known,
                    (Write::ChildEdit, Some(known)) => ChildRow {
                        parent: new.parent,
                        ..known
                    },
                    _ => new,
                };
                if row.relation == 1 {
                    row.group = [Some(GROUPS[0]), Some(GROUPS[1]), None][rng.usize(..3)];
                }
                Told::Child(self.server.put_child(self.at, row))
            }
        };
        if !is_silent {
            self.publish(told);
        }
    }

    fn fault(&mut self, fault: Fault, dice: u64) {
        let connection = self.connection.as_mut();
        match fault {
            Fault::Cut if connection.is_some() => {
                self.input(Input::Failed(cut("cut off")));
            }
            Fault::Cut => {}
            Fault::CutAfter | Fault::StallAfter => {
                let ends = Some((dice % 12, fault == Fault::StallAfter));
                match connection {
                    Some(it) if dice.is_multiple_of(3) => {
                        it.received = 0;
                        it.ends_after = ends;
                    }
                    _ => self.faults.ends_after = ends,
                }
            }
            Fault::Stall => self.fall_silent(),
            Fault::Slow => {
                self.faults.slow = [None, Some(900 * MS), Some(7 * SECOND)][dice as usize % 3];
            }
            Fault::Refuse => self.faults.refused = dice % 12,
            Fault::RetryAfter => self.faults.retry_after = Some(dice % 700),
            Fault::ServerError => {
                let data = r#"{"message":"boom"}"#.to_owned();
                self.send(Message::Event("error", data));
                self.send(Message::Failed(cut("the stream ended")));
            }
            Fault::LateUpgrade => self.faults.late_upgrade = Some(dice % (20 * SECOND)),
            Fault::NoPage => self.faults.no_page = 1 + dice % 3,
            Fault::MintFails => {
                self.faults.mint_fails = dice % 12;
                self.desk.held = None;
            }
            Fault::MintHangs => {
                self.faults.mint_hangs = dice % 3;
                self.desk.held = None;
            }
            Fault::ExpireTickets => {
                self.server.tickets_from = Server::time_of_day(self.at) + 1;
            }
        }
    }

    fn device(&mut self, device: Device, rng: &mut Rng) {
        match device {
            Device::Suspend => self.suspend(),
            Device::Resume => self.wake(),
            Device::Sleep => {
                if rng.bool() {
                    self.fall_silent();
                }
                let most = if rng.bool() { 60 } else { 7200 };
                let time = rng.u64(1..most);
                self.sleep(time * SECOND, rng.bool());
            }
            Device::WallJump => self.wall_ahead += rng.i64(-700_000..700_000),
            Device::Restart => {
                if rng.bool() {
                    self.end();
                }
                match rng.u8(..6) {
                    0 => self.rows.kept.clear(),
                    1 => self.rows.kept.retain(|_, _| rng.bool()),
                    _ => {}
                }
                self.without_stream = None;
                self.begin();
                self.come();
            }
            Device::SwitchAccount => {
                self.end();
                self.account = 1 - self.account;
                // The rows belong to the account.
                self.rows.kept.clear();
                self.desk.held = None;
                self.admit();
                self.begin();
                self.come();
            }
            Device::ClearCache => self.clear_rows(),
            Device::CacheFails => {
                let troubles = [Trouble::Incomplete, Trouble::TooLarge];
                self.rows.next_write = rng.choice(troubles);
            }
        }
    }

    fn kick(&mut self, dice: u64) {
        let spaces: Vec<u8> = self.server.member_of.iter().copied().collect();
        let Some(space) = spaces.get(dice as usize % spaces.len().max(1)) else {
            return;
        };
        self.server.member_of.remove(space);
        self.publish_record(Some(*space), Told::Kicked(*space));
    }

    pub(crate) fn admit(&mut self) {
        self.server.member_of = Server::spaces(&self.setup).collect();
        self.forbidden.clear();
    }

    fn follow(&mut self, follow: Follow, rng: &mut Rng) {
        if follow == Follow::Come {
            if self.followers.len() < 4 {
                self.come();
            }
            return;
        }
        if self.followers.is_empty() {
            return;
        }
        let closing = self.is_closing();
        let at = rng.usize(..self.followers.len());
        self.note_changes();
        let follower = &mut self.followers[at];
        match follow {
            Follow::Come => {}
            Follow::Go => {
                self.followers.remove(at);
                if self.followers.is_empty() {
                    self.left_alone();
                }
            }
            Follow::Stall => follower.is_awake = false,
            Follow::Resume => follower.is_awake = true,
            Follow::LoseDelta => follower.loses_next = true,
            // While rows of a closed watch are read, the answer waits.
            Follow::State | Follow::LoseState if closing => {}
            Follow::State => follower.state(&self.watch.replica, false),
            Follow::LoseState => follower.state(&self.watch.replica, true),
            Follow::Refresh => {
                let id = follower.id;
                self.refresh(id);
            }
            Follow::LoadMore => {
                let id = follower.id;
                self.load_more(id);
            }
        }
    }

    fn optimistic(&mut self, what: Optimistic, rng: &mut Rng) {
        if !self.forbidden.is_empty() || self.watch.is_stopped() {
            return;
        }
        match what {
            Optimistic::Add => {
                let number = self.number();
                let (did, space) = match self.setup.community {
                    true => (COMMUNITY, rng.bool().then_some(rng.u8(..2))),
                    false => (ACCOUNTS[self.account], None),
                };
                // Where the app does not say it, the server decides.
                let row = self.edited(format!("o{number}"), did, space.or(self.home()), rng);
                let space = space.map(server::space_uri);
                self.add(row, space);
            }
            Optimistic::Edit => {
                let shown: Vec<_> = self.watch.replica.store().entries().cloned().collect();
                let row = rng.choice(shown).and_then(|it| self.row_of(&it).cloned());
                if let Some(row) = row {
                    let edited = self.edited(row.rkey, row.did, row.space, rng);
                    let space = row.space.map(server::space_uri);
                    self.add(edited, space);
                }
            }
            Optimistic::Fail => {
                if let Some(PendingEdit { row }) = rng.choice(&self.edits).cloned() {
                    let error = EditError::new("Refused", "no");
                    self.edit(Edit::Fail {
                        rkey: row.rkey,
                        did: Some(row.did.to_owned()),
                        error,
                    });
                }
            }
            Optimistic::Remove | Optimistic::Confirm => {
                if !self.edits.is_empty() {
                    let at = rng.usize(..self.edits.len());
                    self.settle(at, what == Optimistic::Confirm);
                }
            }
        }
    }

    fn edited(&mut self, rkey: String, did: &'static str, space: Option<u8>, rng: &mut Rng) -> Row {
        let number = self.number();
        Row {
            space,
            did,
            rkey,
            body: format!("e{number}"),
            in_room: rng.bool(),
            number: rng.u64(..5),
            time: 0,
            version: 0,
            odd: false,
        }
    }

    fn add(&mut self, row: Row, space: Option<String>) {
        let value = RawValue::from_string(row.value()).expect("JSON");
        let mut record = EditRecord::new(row.did, row.rkey.clone(), value);
        record.collection = Some(COLLECTION.to_owned());
        record.space = space;
        self.edit(Edit::Add { record });
        self.made.push(row.clone());
        self.edits.push(PendingEdit { row });
    }

    pub(crate) fn edit(&mut self, edit: Edit) {
        let now_us = i64::try_from(self.wall() * 1000).unwrap_or(i64::MAX);
        let done = self.watch.replica.store_mut().edit(edit, now_us);
        assert_eq!(done, Ok(()), "an edit is taken");
    }

    /// The server takes an edit, or the app takes it back.
    pub(crate) fn settle(&mut self, at: usize, is_confirmed: bool) {
        let PendingEdit { row } = self.edits.remove(at);
        if is_confirmed {
            self.about_to_write(false);
            return self.store_row(row, false);
        }
        self.edit(Edit::Remove {
            rkey: row.rkey,
            did: Some(row.did.to_owned()),
        });
    }

    /// What the server has of a record that is shown.
    pub(crate) fn row_of(&self, entry: &Entry) -> Option<&Row> {
        let record = &entry.record;
        let mut rows = self.server.rows.iter();
        rows.find(|it| {
            let space = it.space.map(server::space_uri);
            it.uri() == record.uri.as_str() && space.as_deref() == record.space.as_deref()
        })
    }

    /// The connection is dropped by the network.
    pub(crate) fn cut_now(&mut self) {
        if self.connection.is_some() {
            let cut: Failure = cut("cut off");
            self.input(Input::Failed(cut));
        }
    }
}
