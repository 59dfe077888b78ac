use super::*;
use crate::{
    failure::ErrorKind,
    pure::{lifecycle::backoff::BackoffPolicy, protocol::record::AtUri},
};

const SECOND: Duration = Duration::from_secs(1);

struct Driver {
    machine: Machine,
    now: Duration,
    /// Connects so far, by time.
    connects: Vec<Duration>,
    /// When the wait under way ends.
    wait: Option<Duration>,
    effects: Vec<Effect>,
}

impl Driver {
    fn new(change: impl FnOnce(&mut MachineOptions)) -> Self {
        let mut options = MachineOptions {
            reconnect: true,
            can_mint: false,
            account: None,
            spans_spaces: false,
            compare_every: COMPARE_EVERY,
        };
        change(&mut options);
        let backoff = Backoff::new(BackoffPolicy::default(), fastrand::Rng::with_seed(42));
        Self {
            machine: Machine::new(options, backoff),
            now: Duration::ZERO,
            connects: Vec::new(),
            wait: None,
            effects: Vec::new(),
        }
    }

    fn input(&mut self, input: Input) -> &[Effect] {
        self.effects.clear();
        self.machine.step(self.now, input, &mut self.effects);
        for effect in &self.effects {
            match effect {
                Effect::Connect => {
                    self.connects.push(self.now);
                    self.wait = None;
                }
                Effect::Disconnect => self.wait = None,
                Effect::Wait(delay) => self.wait = Some(self.now + *delay),
                _ => {}
            }
        }
        &self.effects
    }

    fn wait(&mut self) {
        self.now = self.wait.take().expect("the machine waits");
        self.input(Input::Waited);
    }

    fn go_live(&mut self) {
        self.input(Input::Event(ServerEvent::SnapshotStart));
        self.input(Input::Event(ServerEvent::SnapshotEnd { cursor: None }));
    }

    fn fail(&mut self, failure: Failure) {
        self.input(Input::Failed(failure));
    }

    fn has(&self, wanted: impl Fn(&Effect) -> bool) -> bool {
        self.effects.iter().any(wanted)
    }
}

fn cut() -> Failure {
    Failure::new(ErrorKind::Disconnected, "reset")
}

fn refused_ticket() -> Failure {
    Failure {
        refusal: Some(Refusal::Ticket),
        ..Failure::new(ErrorKind::AuthRequired, "expired")
    }
}

#[test]
fn the_life_of_a_watch_follows_the_manual() {
    let mut it = Driver::new(|_| {});
    assert_eq!(it.machine.status(), Status::Idle);
    it.input(Input::Start);
    assert_eq!(it.machine.status(), Status::Connecting);
    it.input(Input::Event(ServerEvent::SnapshotStart));
    assert_eq!(it.machine.status(), Status::Snapshot);
    it.input(Input::Event(ServerEvent::SnapshotEnd { cursor: None }));
    assert_eq!(it.machine.status(), Status::Live);
    it.fail(cut());
    assert_eq!(it.machine.status(), Status::Reconnecting);
    assert_eq!(it.machine.error().unwrap().kind, ErrorKind::Disconnected);
    it.wait();
    assert_eq!(it.machine.status(), Status::Reconnecting);
    it.go_live();
    assert_eq!(it.machine.status(), Status::Live);
    assert_eq!(it.machine.error(), None);
    it.input(Input::Stop);
    assert_eq!(it.machine.status(), Status::Closed);
    it.input(Input::Start);
    assert_eq!(it.machine.status(), Status::Connecting);
    assert_eq!(it.connects.len(), 3);
}

#[test]
fn a_refused_first_connect_is_reconnecting() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Start);
    it.fail(cut());
    assert_eq!(it.machine.status(), Status::Reconnecting);
    assert!(it.wait.is_some());
}

#[test]
fn nothing_opens_after_a_stop() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Start);
    it.fail(cut());
    it.input(Input::Stop);
    for late in [
        Input::Waited,
        Input::Wake,
        Input::NeedSnapshot(SNAPSHOT_SPACING),
        Input::Failed(cut()),
        Input::Event(ServerEvent::SnapshotStart),
    ] {
        assert!(it.input(late).is_empty());
        assert_eq!(it.machine.status(), Status::Closed);
    }
    assert_eq!(it.connects.len(), 1);
}

#[test]
fn starting_what_runs_and_stopping_what_is_stopped_change_nothing() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Stop);
    assert!(it.effects.is_empty());
    it.input(Input::Start);
    assert!(it.input(Input::Start).is_empty());
}

#[test]
fn a_server_error_is_told_and_followed_by_a_reconnect() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Start);
    it.input(Input::Event(ServerEvent::Error {
        message: "boom".into(),
    }));
    let error = it.machine.error().unwrap();
    assert_eq!(error.kind, ErrorKind::Server);
    assert!(error.message.contains("boom"));
    assert_eq!(it.machine.status(), Status::Reconnecting);
    it.wait();
    assert_eq!(it.connects.len(), 2);
}

#[test]
fn an_unreadable_record_of_a_snapshot_is_spared_and_nothing_else() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Start);
    it.input(Input::Event(ServerEvent::SnapshotStart));
    it.input(Input::Skipped(AtUri::parse("at://d/c/r")));
    assert!(it.has(|e| matches!(e, Effect::Spare(_))));
    assert!(it.input(Input::Skipped(None)).is_empty());
    it.go_live();
    assert!(
        it.input(Input::Skipped(AtUri::parse("at://d/c/r")))
            .is_empty()
    );
}

#[test]
fn a_second_snapshot_on_a_live_connection_stays_live() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Start);
    it.go_live();
    it.input(Input::Event(ServerEvent::SnapshotStart));
    assert_eq!(it.machine.status(), Status::Live);
}

#[test]
fn losing_access_purges_closes_and_never_reconnects() {
    let inputs: [(fn() -> Input, ErrorKind); 3] = [
        (
            || {
                Input::Event(ServerEvent::MemberRemoved {
                    space: "ats://a/t/k".into(),
                    did: "did:plc:bob".into(),
                })
            },
            ErrorKind::AccessLost,
        ),
        (
            || Input::Failed(Failure::losing_access(ErrorKind::Forbidden, "not-member")),
            ErrorKind::Forbidden,
        ),
        (
            || Input::Failed(Failure::losing_access(ErrorKind::NotFound, "no space")),
            ErrorKind::NotFound,
        ),
    ];
    for (input, kind) in inputs {
        let mut it = Driver::new(|options| options.account = Some("did:plc:bob".into()));
        it.input(Input::Start);
        it.go_live();
        it.input(input());
        assert!(it.has(|e| matches!(e, Effect::Purge { .. })));
        assert!(it.has(|e| matches!(e, Effect::Disconnect)));
        assert_eq!(it.machine.status(), Status::Closed);
        assert_eq!(it.machine.error().unwrap().kind, kind);
        assert!(it.wait.is_none());
        assert!(it.input(Input::Wake).is_empty());
    }
}

#[test]
fn somebody_elses_kick_is_not_ours() {
    let mut it = Driver::new(|options| options.account = Some("did:plc:bob".into()));
    it.input(Input::Start);
    it.go_live();
    it.input(Input::Event(ServerEvent::MemberRemoved {
        space: "ats://a/t/k".into(),
        did: "did:plc:carol".into(),
    }));
    assert_eq!(it.machine.status(), Status::Live);
}

#[test]
fn a_refusal_that_takes_nothing_away_only_backs_off() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Start);
    it.fail(Failure::new(ErrorKind::HttpStatus, "403: no JSON"));
    assert_eq!(it.machine.status(), Status::Reconnecting);
    assert!(!it.has(|e| matches!(e, Effect::Purge { .. })));
}

#[test]
fn a_refused_ticket_is_replaced_once_at_once_and_then_backs_off() {
    let mut it = Driver::new(|options| options.can_mint = true);
    it.input(Input::Start);
    it.fail(refused_ticket());
    assert!(it.has(|e| matches!(e, Effect::DropTicket)));
    assert_eq!(it.connects.len(), 2);
    it.fail(refused_ticket());
    assert!(it.wait.is_some());
    it.wait();
    it.fail(refused_ticket());
    assert_eq!(it.connects.len(), 3);
    it.wait();
    it.go_live();
    it.fail(refused_ticket());
    assert_eq!(it.connects.len(), 5, "live in between: once at once again");
}

#[test]
fn without_reconnect_a_failure_closes() {
    let mut it = Driver::new(|options| options.reconnect = false);
    it.input(Input::Start);
    it.fail(cut());
    assert_eq!(it.machine.status(), Status::Closed);
    assert_eq!(it.machine.error().unwrap().kind, ErrorKind::Disconnected);
    assert!(it.wait.is_none());
}

#[test]
fn every_way_to_fail_for_ever_stays_within_the_bounds() {
    type Way = (&'static str, fn(&mut Driver));
    let ways: [Way; 8] = [
        ("refused", |it| it.fail(cut())),
        ("401", |it| it.fail(refused_ticket())),
        ("accepted then closed", |it| {
            it.input(Input::Failed(cut())).iter().for_each(drop)
        }),
        ("live then dropped", |it| {
            it.go_live();
            it.fail(cut());
        }),
        ("a fresh snapshot wanted each time", |it| {
            it.go_live();
            it.input(Input::NeedSnapshot(SNAPSHOT_SPACING));
        }),
        ("woken each time", |it| {
            it.fail(cut());
            it.input(Input::Wake);
        }),
        ("started anew each time", |it| {
            it.fail(cut());
            it.input(Input::Stop);
            it.input(Input::Start);
        }),
        ("put to sleep each time", |it| {
            it.input(Input::Suspend);
            it.input(Input::Wake);
        }),
    ];
    for (way, fail) in ways {
        let mut it = Driver::new(|options| options.can_mint = true);
        it.input(Input::Start);
        while it.now < 660 * SECOND {
            fail(&mut it);
            if it.wait.is_some() {
                it.wait();
            }
            assert!(it.connects.len() < 1000, "{way} storms");
        }
        let within = |from: u32, to: u32| {
            it.connects
                .iter()
                .filter(|at| **at >= from * SECOND && **at < to * SECOND)
                .count()
        };
        assert!(within(0, 60) <= 10, "{way}: {}", within(0, 60));
        for minute in 1..11 {
            let count = within(60 * minute, 60 * (minute + 1));
            assert!(count <= 3, "{way}: {count} in minute {minute}");
        }
    }
}

#[test]
fn a_network_that_is_back_ends_the_wait() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Start);
    it.fail(cut());
    it.input(Input::Wake);
    assert_eq!(it.connects.len(), 2);
}

#[test]
fn a_store_that_doubts_for_ever_asks_no_more_often_than_a_peer_may_be_connected_to() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Start);
    it.go_live();
    let (mut asked, mut due) = (Vec::new(), None);
    for tick in 0..6000 {
        it.now = Duration::from_millis(100 * tick);
        it.input(Input::NeedSnapshot(SNAPSHOT_SPACING));
        if due.is_some_and(|due| due <= it.now) {
            it.input(Input::CompareDue);
        }
        for effect in std::mem::take(&mut it.effects) {
            match effect {
                Effect::CompareAfter(delay) => due = Some(it.now + delay),
                Effect::Compare => {
                    asked.push(it.now);
                    due = None;
                }
                other => panic!("{other:?}"),
            }
        }
        if asked.last() == Some(&it.now) {
            it.input(Input::Compared);
            for effect in std::mem::take(&mut it.effects) {
                if let Effect::CompareAfter(delay) = effect {
                    due = Some(it.now + delay);
                }
            }
        }
    }
    let minute = 60 * SECOND;
    let first = asked.iter().filter(|at| **at < minute).count();
    assert!((5..=10).contains(&first), "{first}");
    for start in asked.iter().filter(|at| **at >= minute) {
        let window = asked
            .iter()
            .filter(|at| **at >= *start && **at < *start + minute);
        assert!(window.count() <= 3);
    }
    assert!(asked.len() > 20);
    assert_eq!(it.connects.len(), 1, "the connection stays");
}

#[test]
fn a_live_watch_compares_itself_soon_and_then_now_and_then() {
    for (spans_spaces, every) in [(false, COMPARE_EVERY), (true, COMPARE_EVERY / 5)] {
        let mut it = Driver::new(|options| options.spans_spaces = spans_spaces);
        it.input(Input::Start);
        it.go_live();
        for most in [FIRST_COMPARE, every, every] {
            let Some(Effect::CompareAfter(delay)) = it.effects.pop() else {
                panic!("it will compare itself");
            };
            assert!(delay >= most / 2 && delay <= most, "{delay:?}");
            it.now += delay;
            it.input(Input::CompareDue);
            assert!(it.has(|e| matches!(e, Effect::Compare)));
            it.input(Input::Compared);
        }
        it.input(Input::Failed(cut()));
        assert!(
            it.input(Input::CompareDue).is_empty(),
            "the next connection tells"
        );
    }
}

#[test]
fn a_kick_from_one_of_several_spaces_takes_only_its_records() {
    let mut it = Driver::new(|options| options.spans_spaces = true);
    it.input(Input::Start);
    it.go_live();
    let space = "ats://did:plc:a/t/one".to_owned();
    it.input(Input::Event(ServerEvent::MemberRemoved {
        space: space.clone(),
        did: "did:plc:bob".into(),
    }));
    assert!(it.has(|e| matches!(e, Effect::PurgeSpace { space: gone } if *gone == space)));
    assert_eq!(it.machine.status(), Status::Live);
}

#[test]
fn a_connection_that_brings_one_snapshot_after_the_other_has_failed() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Start);
    for _ in 0..MAX_SNAPSHOTS {
        it.go_live();
    }
    assert_eq!(it.machine.status(), Status::Live);
    it.go_live();
    assert_eq!(
        it.machine.error().map(|it| it.kind),
        Some(ErrorKind::Server)
    );
    assert_eq!(it.machine.status(), Status::Reconnecting);
}

#[test]
fn a_list_that_is_asked_for_while_one_is_on_its_way_is_fetched_after_it() {
    for listing in [false, true] {
        let mut driver = Driver::new(|_| {});
        driver.input(Input::Start);
        if listing {
            driver.input(Input::Lists);
        }
        driver.go_live();
        driver.now = 100 * SECOND;
        let soon = |it: &Effect| matches!(it, Effect::CompareAfter(_) | Effect::Compare);
        driver.input(Input::Refresh);
        assert!(driver.has(soon), "{listing}");
        if !driver.has(|it| matches!(it, Effect::Compare)) {
            driver.input(Input::CompareDue);
        }
        assert!(driver.has(|it| matches!(it, Effect::Compare)), "{listing}");
        // It began before this call, which wants what there is now.
        assert!(driver.input(Input::Refresh).is_empty());
        driver.now += SECOND / 2;
        driver.input(Input::Compared);
        let again = |it: &Effect| matches!(it, Effect::CompareAfter(after) if *after <= SECOND);
        assert!(
            driver.has(again) || driver.has(|it| matches!(it, Effect::Compare)),
            "{listing}: {:?}",
            driver.effects
        );
    }
}

#[test]
fn a_connection_that_was_live_for_a_minute_is_followed_by_a_short_wait() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Start);
    for _ in 0..8 {
        it.fail(cut());
        it.wait();
    }
    it.go_live();
    it.now += 60 * SECOND;
    it.fail(cut());
    let wait = it.wait.expect("it waits") - it.now;
    assert!(wait <= BackoffPolicy::default().base, "{wait:?}");
}

#[test]
fn a_list_that_is_wanted_fresh_is_fetched_at_once_and_then_no_more_often_than_each_second() {
    let mut it = Driver::new(|_| {});
    it.input(Input::Start);
    it.go_live();
    // That one would be due in some seconds anyway makes nobody wait.
    assert!(matches!(it.input(Input::Refresh), [Effect::Compare]));
    it.input(Input::Compared);
    it.now += SECOND / 4;
    let effects = it.input(Input::Refresh);
    assert!(matches!(effects, [Effect::CompareAfter(wait)] if *wait == SECOND * 3 / 4));
    // The next one shares it.
    it.now += SECOND / 4;
    assert!(it.input(Input::Refresh).is_empty());
    it.now += SECOND / 2;
    assert!(matches!(it.input(Input::CompareDue), [Effect::Compare]));
}
