//! Lifecycle and store, stepped together: what a watch knows, and what its driver is to do about it.

use std::time::Duration;

use crate::pure::{
    lifecycle::machine::{DOUBT_SPACING, Effect, Input, Machine, SNAPSHOT_SPACING},
    protocol::{bound::Bound, listed::Listed},
    store::{
        Store,
        change::Unknowable,
        window::{Outdated, Page, Wanted},
    },
};

/// What the driver is to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Get a ticket where one is needed, and connect.
    Connect,
    /// Drop the connection, or the attempt at one, and any wait. Nothing of them may arrive afterwards.
    Disconnect,
    /// Send [`Input::Waited`] after this time.
    Wait(Duration),
    /// Send [`Input::CompareDue`] after this time, in the place of an earlier one.
    CompareAfter(Duration),
    /// Fetch a quiet snapshot: [`Page::First`], beside the open stream.
    Compare,
    /// Forget the ticket: the server does not take it.
    DropTicket,
    /// Nothing but to say so: something that the server sent was left out.
    LeftOut(Bound),
    /// The records are the server's now: the cache may have them.
    Synced,
    /// Access to one of several spaces is gone, and its records with it: forget cached rows of it.
    PurgeSpace {
        /// The space, `ats://<owner did>/<type>/<key>`.
        space: String,
    },
    /// Access is gone, and the records with it: forget cached rows and ticket.
    Purge {
        /// The account was removed: its ticket may still be valid to the server, and must not be used.
        kicked: bool,
    },
}

/// One watch without its surroundings. Times are readings of one monotonic clock.
#[derive(Debug)]
pub struct Replica {
    machine: Machine,
    store: Store,
    /// Of the step under way; kept for its memory.
    effects: Vec<Effect>,
    /// The last quiet snapshot was not believed.
    doubted: bool,
}

impl Replica {
    /// A watch that has not started.
    pub fn new(machine: Machine, store: Store) -> Self {
        Self {
            machine,
            store,
            effects: Vec::new(),
            doubted: false,
        }
    }

    /// Where the watch stands.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Its records.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its records, for what is no input of the lifecycle: edits, rows of the cache, older pages.
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Takes one input at time `now` and appends what is to be done to `out`.
    pub fn step(&mut self, now: Duration, input: Input, out: &mut Vec<Action>) {
        let mut effects = std::mem::take(&mut self.effects);
        self.machine.step(now, input, &mut effects);
        let mut knowable = Ok(());
        for effect in effects.drain(..) {
            knowable = knowable.and(self.perform(effect, out));
        }
        self.effects = effects;
        let spacing = match knowable {
            Ok(()) => return,
            Err(Unknowable::Ambiguous) => SNAPSHOT_SPACING,
            Err(Unknowable::Doubtful) => DOUBT_SPACING,
            Err(Unknowable::TooMuch(bound)) => {
                out.push(Action::LeftOut(bound));
                DOUBT_SPACING
            }
        };
        self.step(now, Input::NeedSnapshot(spacing), out);
    }

    /// The page to fetch next, if any. [`Self::end_page`] takes the answer.
    pub fn begin_page(&mut self, wanted: Wanted) -> Option<Page> {
        self.store.begin_page(wanted)
    }

    /// A page arrived. Says whether it told anything new.
    pub fn end_page(
        &mut self,
        now: Duration,
        page: &Page,
        listed: Listed,
        out: &mut Vec<Action>,
    ) -> Result<bool, Outdated> {
        if *page != Page::First {
            return self.store.end_page(page, listed);
        }
        // Where there are but lists, each is the truth.
        if !self.machine.is_listing() && self.store.is_implausible(&listed) {
            self.disbelieve(now, out);
            return Ok(false);
        }
        let told = self.store.end_page(page, listed)?;
        let still_in_doubt = self.machine.serves_need() && self.store.was_overtaken();
        self.doubted = false;
        self.step(now, Input::Compared, out);
        if still_in_doubt {
            self.step(now, Input::NeedSnapshot(DOUBT_SPACING), out);
        }
        Ok(told)
    }

    /// Most of the list would go. Some servers answer the request for a quiet snapshot with less than they stream: a new
    /// connection tells, and if it says so again, such answers count no more.
    fn disbelieve(&mut self, now: Duration, out: &mut Vec<Action>) {
        self.store.drop_page();
        if std::mem::replace(&mut self.doubted, true) {
            self.machine.distrust_quiet_snapshots();
        }
        self.step(now, Input::NotBelieved, out);
    }

    fn perform(&mut self, effect: Effect, out: &mut Vec<Action>) -> Result<(), Unknowable> {
        match effect {
            Effect::Connect => out.push(Action::Connect),
            Effect::Disconnect => out.push(Action::Disconnect),
            Effect::Wait(delay) => out.push(Action::Wait(delay)),
            Effect::CompareAfter(delay) => out.push(Action::CompareAfter(delay)),
            Effect::Compare => out.push(Action::Compare),
            Effect::DropTicket => out.push(Action::DropTicket),
            Effect::BeginSnapshot => {
                // Only what a server says changes what is known of it: an attempt to connect says nothing.
                self.store.has_lists_only(self.machine.is_listing());
                self.store.begin_snapshot();
            }
            Effect::SnapshotRecord(record) => self.store.confirm(record),
            Effect::Spare(uri) => self.store.spare(uri.as_str()),
            Effect::EndSnapshot { cursor } => {
                self.store.end_snapshot(cursor);
                out.push(Action::Synced);
            }
            Effect::Upsert(record) => return self.store.upsert(record).map_or(Ok(()), Err),
            Effect::Delete { uri } => return self.store.delete(&uri),
            Effect::AddChild(added) => return self.store.add_child(&added),
            Effect::RemoveChild(removed) => return self.store.remove_child(&removed),
            Effect::PurgeSpace { space } => {
                self.store.purge_space(&space);
                out.push(Action::PurgeSpace { space });
            }
            Effect::Purge { kicked } => {
                self.store.clear();
                out.push(Action::Purge { kicked });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::{
        lifecycle::{
            backoff::{Backoff, BackoffPolicy},
            machine::{COMPARE_EVERY, MachineOptions, Status},
        },
        protocol::wire::{ServerEvent, decode},
    };

    const FIRST: Wanted = Wanted {
        first: true,
        older: false,
    };

    fn replica() -> Replica {
        let options = MachineOptions {
            reconnect: true,
            can_mint: false,
            account: None,
            spans_spaces: false,
            compare_every: COMPARE_EVERY,
        };
        let backoff = Backoff::new(BackoffPolicy::default(), fastrand::Rng::with_seed(1));
        Replica::new(Machine::new(options, backoff), Store::default())
    }

    fn step(replica: &mut Replica, second: u64, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        replica.step(Duration::from_secs(second), input, &mut actions);
        actions
    }

    fn event(kind: &str, data: &str) -> Input {
        Input::Event(decode(kind, data).unwrap().unwrap())
    }

    #[test]
    fn a_snapshot_fills_the_store_and_lets_the_cache_have_it() {
        let mut replica = replica();
        assert_eq!(step(&mut replica, 0, Input::Start), [Action::Connect]);
        step(&mut replica, 0, Input::Event(ServerEvent::SnapshotStart));
        let record = r#"{"record":{"uri":"at://d/c/r","time_us":1,"value":1}}"#;
        step(&mut replica, 0, event("snapshot.record", record));
        let done = step(&mut replica, 0, event("snapshot.end", "{}"));
        assert!(matches!(
            done[..],
            [Action::Synced, Action::CompareAfter(_)]
        ));
        assert_eq!(replica.machine().status(), Status::Live);
        assert_eq!(replica.store().len(), 1);
    }

    #[test]
    fn what_the_store_cannot_know_makes_the_lifecycle_ask_for_a_snapshot() {
        let mut replica = replica();
        step(&mut replica, 0, Input::Start);
        for space in ["a", "b"] {
            let record = format!(
                r#"{{"record":{{"uri":"at://d/c/r","time_us":1,"value":1,"space":"{space}"}}}}"#
            );
            step(&mut replica, 0, event("snapshot.record", &record));
        }
        step(&mut replica, 0, event("snapshot.end", "{}"));
        let deleted = r#"{"uri":"at://d/c/r","did":"d","rkey":"r"}"#;
        let actions = step(&mut replica, 1, event("record.deleted", deleted));
        assert_eq!(actions, [Action::CompareAfter(Duration::ZERO)]);
        assert_eq!(step(&mut replica, 1, Input::CompareDue), [Action::Compare]);
        assert_eq!(replica.machine().status(), Status::Live);
        assert_eq!(replica.store().len(), 2);

        let page = replica.begin_page(FIRST).unwrap();
        let record = r#"{"uri":"at://d/c/r","time_us":1,"value":1,"space":"b"}"#;
        let listed = Listed {
            records: vec![serde_json::from_str(record).unwrap()],
            is_empty: false,
            unreadable: Vec::new(),
            cursor: None,
            ..Listed::default()
        };
        let (now, mut actions) = (Duration::from_secs(2), Vec::new());
        let told = replica.end_page(now, &page, listed, &mut actions);
        assert_eq!(told, Ok(true));
        assert!(matches!(actions[..], [Action::CompareAfter(_)]));
        assert_eq!(replica.store().len(), 1);
    }

    #[test]
    fn a_doubt_about_a_record_that_changed_before_the_answer_came_is_asked_about_once_more() {
        let mut replica = replica();
        step(&mut replica, 0, Input::Start);
        let record = r#"{"record":{"uri":"at://d/c/r","time_us":1,"value":1}}"#;
        step(&mut replica, 0, event("snapshot.record", record));
        step(&mut replica, 0, event("snapshot.end", "{}"));
        // Whose first child is it? The server knows.
        let added =
            r#"{"parentUri":"at://d/c/r","relation":"likes","child":{"did":"e","rkey":"1"}}"#;
        let actions = step(&mut replica, 1, event("hydration.added", added));
        assert_eq!(actions, [Action::CompareAfter(Duration::ZERO)]);
        step(&mut replica, 1, Input::CompareDue);
        let page = replica.begin_page(FIRST).unwrap();
        let edited = r#"{"record":{"uri":"at://d/c/r","time_us":2,"value":2}}"#;
        step(&mut replica, 2, event("record.created", edited));
        let record = r#"{"uri":"at://d/c/r","time_us":1,"value":1,"likesCount":1,"likes":[{"did":"e","rkey":"1"}]}"#;
        let answer = |replica: &mut Replica, second: u64, page: &Page, record: &str| {
            let listed = Listed {
                records: vec![serde_json::from_str(record).unwrap()],
                ..Listed::default()
            };
            let (now, mut actions) = (Duration::from_secs(second), Vec::new());
            replica.end_page(now, page, listed, &mut actions).unwrap();
            actions
                .retain(|it| matches!(it, Action::CompareAfter(after) if *after <= DOUBT_SPACING));
            (
                actions.len(),
                replica.store().entries().next().unwrap().record.clone(),
            )
        };
        let (asks, _) = answer(&mut replica, 3, &page, record);
        assert_eq!(asks, 1, "it is asked for again");
        step(&mut replica, 100, Input::CompareDue);
        let page = replica.begin_page(FIRST).unwrap();
        let (asks, record) = answer(
            &mut replica,
            101,
            &page,
            &record.replace(":1,\"value\":1", ":2,\"value\":2"),
        );
        assert_eq!(asks, 0);
        assert!(
            serde_json::to_string(&record)
                .unwrap()
                .contains(r#""likesCount":1"#)
        );
    }

    #[test]
    fn an_empty_quiet_snapshot_is_not_believed_against_what_came_live_since() {
        let mut replica = replica();
        step(&mut replica, 0, Input::Start);
        step(&mut replica, 0, Input::Event(ServerEvent::SnapshotStart));
        step(&mut replica, 0, event("snapshot.end", "{}"));
        let mut compare = |second: u64, created: bool| {
            step(&mut replica, second, Input::CompareDue);
            let page = replica.begin_page(FIRST).unwrap();
            if created {
                let record = r#"{"record":{"uri":"at://d/c/r","time_us":1,"value":1}}"#;
                step(&mut replica, second, event("record.created", record));
            }
            let (now, mut actions) = (Duration::from_secs(second), Vec::new());
            let empty = Listed {
                is_empty: true,
                ..Listed::default()
            };
            let told = replica.end_page(now, &page, empty, &mut actions);
            assert_eq!(told, Ok(false));
            (replica.store().len(), actions.contains(&Action::Disconnect))
        };
        // It came while the page was on its way.
        assert_eq!(compare(100, true), (1, false));
        assert_eq!(compare(300, false), (1, true), "a new connection tells");
    }

    #[test]
    fn access_that_is_lost_takes_the_records_before_the_driver_hears_of_it() {
        let mut replica = replica();
        step(&mut replica, 0, Input::Start);
        let record = r#"{"record":{"uri":"at://d/c/r","time_us":1,"value":1}}"#;
        step(&mut replica, 0, event("record.created", record));
        let kick = r#"{"space":"ats://d/t/k","did":"d"}"#;
        let actions = step(&mut replica, 1, event("member.removed", kick));
        assert_eq!(
            actions,
            [Action::Disconnect, Action::Purge { kicked: true }]
        );
        assert!(replica.store().is_empty());
        assert_eq!(replica.machine().status(), Status::Closed);
    }

    #[test]
    fn what_would_pass_a_bound_is_left_out_by_its_name() {
        let mut replica = replica();
        step(&mut replica, 0, Input::Start);
        let record = |fields: std::ops::Range<u32>| {
            let fields: String = fields.map(|it| format!(r#","f{it}":1"#)).collect();
            format!(r#"{{"record":{{"uri":"at://d/c/r","time_us":1,"value":1{fields}}}}}"#)
        };
        step(&mut replica, 0, event("snapshot.record", &record(0..1000)));
        step(&mut replica, 0, event("snapshot.end", "{}"));
        let actions = step(
            &mut replica,
            1,
            event("record.created", &record(1000..1001)),
        );
        assert!(
            actions.contains(&Action::LeftOut(Bound::Fields)),
            "{actions:?}"
        );
    }

    #[test]
    fn quiet_snapshots_that_are_not_believed_twice_are_asked_for_no_more() {
        let mut replica = replica();
        step(&mut replica, 0, Input::Start);
        let record = r#"{"record":{"uri":"at://d/c/r","time_us":1,"value":1}}"#;
        let go_live = |replica: &mut Replica, second| {
            step(replica, second, event("snapshot.record", record));
            step(replica, second, event("snapshot.end", "{}"))
        };
        for second in [0, 100] {
            let actions = go_live(&mut replica, second);
            assert!(matches!(actions[..], [_, Action::CompareAfter(_)]));
            step(&mut replica, second + 50, Input::CompareDue);
            let page = replica.begin_page(FIRST).unwrap();
            let empty = Listed {
                is_empty: true,
                ..Listed::default()
            };
            let (now, mut actions) = (Duration::from_secs(second + 50), Vec::new());
            let told = replica.end_page(now, &page, empty, &mut actions);
            assert_eq!(told, Ok(false));
            assert_eq!(actions, [Action::Disconnect, Action::Connect]);
        }
        assert_eq!(go_live(&mut replica, 200), [Action::Synced]);
        // Whoever wants the list fresh gets it by a new connection.
        let actions = step(&mut replica, 300, Input::Refresh);
        assert_eq!(actions, [Action::CompareAfter(Duration::ZERO)]);
        let actions = step(&mut replica, 300, Input::CompareDue);
        assert_eq!(actions, [Action::Disconnect, Action::Connect]);
    }

    #[test]
    fn a_comparison_that_nobody_needed_is_not_repeated_for_a_record_that_changed_meanwhile() {
        let mut replica = replica();
        step(&mut replica, 0, Input::Start);
        let record = r#"{"record":{"uri":"at://d/c/r","time_us":1,"value":1}}"#;
        step(&mut replica, 0, event("snapshot.record", record));
        step(&mut replica, 0, event("snapshot.end", "{}"));
        step(&mut replica, 10, Input::CompareDue);
        let page = replica.begin_page(FIRST).unwrap();
        let edited = record.replace(r#""value":1"#, r#""value":2"#);
        step(&mut replica, 11, event("record.created", &edited));
        let counted = r#"{"uri":"at://d/c/r","time_us":1,"value":1,"likesCount":1}"#;
        let listed = Listed {
            records: vec![serde_json::from_str(counted).unwrap()],
            ..Listed::default()
        };
        let (now, mut actions) = (Duration::from_secs(12), Vec::new());
        let told = replica.end_page(now, &page, listed, &mut actions);
        assert_eq!(told, Ok(false));
        assert!(replica.store().was_overtaken());
        assert!(matches!(actions[..], [Action::CompareAfter(_)]));
    }
}
