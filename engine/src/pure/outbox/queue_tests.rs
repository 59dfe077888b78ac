use std::sync::Arc;

use serde_json::value::RawValue;

use super::*;
use crate::pure::{
    outbox::{
        row::SentBy,
        write::{Action, CONFLICT, Outcome},
    },
    protocol::record::AtUri,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY_MS: i64 = 24 * 3600 * 1000;

fn new(key: &str, account: &str, rkey: &str, text: &str) -> NewWrite {
    let body = RawValue::from_string(format!("{{\"text\":\"{text}\"}}")).unwrap();
    NewWrite {
        key: key.into(),
        account: Some(account.into()),
        uri: AtUri::parse(format!("at://did:plc:{account}/c/{rkey}")).unwrap(),
        space: None,
        action: Action::Put(Arc::from(body)),
        swap: None,
        time_us: 0,
        view: "view".into(),
        sent_by: SentBy::Name("pds".into()),
        queued_at: 0,
    }
}

fn queue(limits: Limits) -> Queue {
    Queue::new(limits, fastrand::Rng::with_seed(1))
}

fn put(queue: &mut Queue, id: WriteId, new: NewWrite) {
    let Place::Own { over_last, swap } = queue.place(Duration::ZERO, &new).unwrap() else {
        panic!("a row of its own");
    };
    queue.insert(
        Duration::ZERO,
        Row::new(id, NewWrite { swap, ..new }, over_last),
    );
}

fn next(queue: &mut Queue, now: Duration) -> Option<WriteId> {
    queue.next(now, |_| true).map(|(write, _)| write.id)
}

fn sent(queue: &mut Queue, id: WriteId, cid: &str) {
    let cid = Some(cid.to_owned());
    queue.ended(Duration::ZERO, 0, id, Outcome::Sent { cid });
}

#[test]
fn independent_records_go_side_by_side_and_those_of_one_record_one_after_the_other() {
    let mut all = queue(Limits::default());
    for (id, rkey) in [(1, "a"), (2, "b"), (3, "c")] {
        put(&mut all, id, new(rkey, "alice", rkey, "one"));
    }
    assert_eq!(next(&mut all, SECOND), Some(1));
    put(&mut all, 4, new("a2", "alice", "a", "two"));
    assert_eq!(next(&mut all, SECOND), Some(2));
    assert_eq!(next(&mut all, SECOND), Some(3));
    assert_eq!(
        next(&mut all, SECOND),
        None,
        "the second of a waits for the first"
    );
    sent(&mut all, 1, "cid of one");
    let (write, reason) = all.next(SECOND, |_| true).unwrap();
    assert_eq!((write.id, write.swap.as_deref()), (4, Some("cid of one")));
    assert_eq!((write.attempt, reason), (1, SendReason::First));
    assert!(all.get(1).is_none(), "the second stands for it");
}

#[test]
fn one_that_waits_is_changed_in_its_place_and_the_same_key_is_the_same_write() {
    let mut all = queue(Limits::default());
    put(&mut all, 1, new("a", "alice", "a", "one"));
    let changed = new("a2", "alice", "a", "two");
    assert_eq!(all.place(Duration::ZERO, &changed), Ok(Place::InPlaceOf(1)));
    all.replace(1, &changed);
    assert_eq!(all.place(Duration::ZERO, &changed), Ok(Place::Known(1)));
    assert!(matches!(
        all.place(Duration::ZERO, &new("b", "bob", "a", "x")),
        Ok(Place::Own { .. })
    ));
    next(&mut all, SECOND);
    let tried = all.place(Duration::ZERO, &new("a3", "alice", "a", "three"));
    assert_eq!(
        tried,
        Ok(Place::Own {
            over_last: true,
            swap: None
        }),
        "a server may have seen it"
    );
}

#[test]
fn what_does_not_arrive_pauses_its_account_alone_and_longer_each_time() {
    let mut all = queue(Limits::default());
    for (id, account) in [(1, "alice"), (2, "alice"), (3, "bob")] {
        let rkey = id.to_string();
        put(&mut all, id, new(&rkey, account, &rkey, "text"));
    }
    let mut now = SECOND;
    let mut waits = Vec::new();
    for _ in 0..4 {
        assert_eq!(next(&mut all, now), Some(1));
        all.ended(now, 0, 1, Outcome::later("connect", "no network"));
        if let Some(bobs) = next(&mut all, now) {
            assert_eq!(bobs, 3);
        }
        let due = all.due(now).unwrap();
        waits.push(due - now);
        now = due;
    }
    assert!(waits[3] > waits[0] && waits[3] <= 8 * SECOND, "{waits:?}");
    assert_eq!(next(&mut all, now), Some(1));
    all.ended(now, 0, 1, Outcome::later("connect", "no network"));
    assert_eq!(
        next(&mut all, now),
        Some(2),
        "by now the fault may be its own: others pass"
    );
    all.wake();
    assert_eq!(next(&mut all, now), Some(1), "the network is back");
}

#[test]
fn a_server_that_asks_for_time_gets_it_but_not_for_ever() {
    for (asked, least, most) in [(90, 90, 90), (1_000_000, 3600, 3600), (0, 0, 1)] {
        let mut all = queue(Limits::default());
        put(&mut all, 1, new("a", "alice", "a", "text"));
        next(&mut all, SECOND);
        let later = Outcome::later("rate-limit", "not now");
        let later = later.not_before(Some(Duration::from_secs(asked)));
        all.ended(SECOND, 0, 1, later);
        let until = all.pace.until(&Some("alice".into())) - SECOND;
        assert!(until >= Duration::from_secs(least) && until <= Duration::from_secs(most));
    }
}

#[test]
fn a_conflict_waits_for_the_user_whose_second_try_takes_the_place_of_what_is_there() {
    let mut all = queue(Limits::default());
    let mut edit = new("a", "alice", "a", "mine");
    edit.swap = Some("before".into());
    put(&mut all, 1, edit);
    next(&mut all, SECOND);
    all.ended(SECOND, 0, 1, Outcome::refused(CONFLICT, "theirs"));
    assert_eq!(next(&mut all, SECOND), None);
    all.retry(0, 1);
    let (write, reason) = all.next(SECOND, |_| true).unwrap();
    assert_eq!((write.swap, reason), (None, SendReason::Asked));
}

#[test]
fn what_was_to_change_a_write_that_is_taken_back_changes_what_that_one_would_have() {
    let mut all = queue(Limits::default());
    let mut edit = new("a", "alice", "a", "one");
    edit.swap = Some("before".into());
    put(&mut all, 1, edit);
    next(&mut all, SECOND);
    put(&mut all, 2, new("a2", "alice", "a", "two"));
    all.ended(SECOND, 0, 1, Outcome::refused("no", "never"));
    all.discard(1);
    let (write, _) = all.next(SECOND, |_| true).unwrap();
    assert_eq!((write.id, write.swap.as_deref()), (2, Some("before")));
}

#[test]
fn one_that_is_under_way_is_taken_back_only_if_the_attempt_fails() {
    for (outcome, is_over) in [
        (Outcome::SENT, false),
        (Outcome::later("connect", "lost"), true),
        (Outcome::refused("no", "never"), true),
    ] {
        let mut all = queue(Limits::default());
        put(&mut all, 1, new("a", "alice", "a", "text"));
        next(&mut all, SECOND);
        all.discard(1);
        assert_eq!(all.get(1).unwrap().state, WriteState::Sending);
        all.ended(SECOND, 0, 1, outcome);
        assert_eq!(all.get(1).is_none(), is_over);
    }
}

#[test]
fn what_is_never_confirmed_is_told_and_ends_after_a_day_and_what_waits_a_month_has_failed() {
    let mut all = queue(Limits::default());
    for (id, rkey) in [(1, "a"), (2, "b")] {
        put(&mut all, id, new(rkey, "alice", rkey, "text"));
    }
    let mut deletion = new("c", "alice", "c", "");
    deletion.action = Action::Delete;
    put(&mut all, 3, deletion);
    for id in [1, 2, 3] {
        assert_eq!(next(&mut all, SECOND), Some(id));
    }
    sent(&mut all, 1, "cid");
    sent(&mut all, 3, "cid");
    all.ended(SECOND, 0, 2, Outcome::later("connect", "lost"));
    all.tick(59 * SECOND, 59_000);
    assert_eq!(all.get(1).unwrap().state, WriteState::Sent);
    all.tick(60 * SECOND, 60_000);
    assert_eq!(all.get(1).unwrap().state, WriteState::Unconfirmed);
    assert!(
        all.get(3).is_none(),
        "a record that is still there must not stay hidden"
    );
    all.tick(61 * SECOND, DAY_MS);
    assert!(all.get(1).is_none());
    all.tick(62 * SECOND, 30 * DAY_MS);
    let old = all.get(2).unwrap();
    assert_eq!(old.state, WriteState::Failed);
    assert_eq!(old.error.as_ref().unwrap().kind, EXPIRED);
    all.retry(30 * DAY_MS, 2);
    all.tick(63 * SECOND, 30 * DAY_MS + 1);
    assert_eq!(
        all.get(2).unwrap().state,
        WriteState::Queued,
        "it has time again"
    );
}

#[test]
fn more_than_may_wait_is_refused_by_number_and_by_size() {
    let mut limits = Limits::default();
    (limits.writes, limits.bytes) = (2, 100);
    let mut all = queue(limits);
    put(&mut all, 1, new("a", "alice", "a", "text"));
    let large = new("b", "alice", "b", &"x".repeat(90));
    assert_eq!(
        all.place(Duration::ZERO, &large),
        Err(QueueFull::Bytes { limit: 100 })
    );
    assert!(
        all.place(Duration::ZERO, &new("b", "bob", "b", "x"))
            .is_ok(),
        "bounds are of one account"
    );
    put(&mut all, 2, new("c", "alice", "c", "text"));
    let third = new("d", "alice", "d", "text");
    assert_eq!(
        all.place(Duration::ZERO, &third),
        Err(QueueFull::Writes { limit: 2 })
    );
    let again = all.place(Duration::ZERO, &new("a2", "alice", "a", "changed"));
    assert_eq!(
        again,
        Ok(Place::InPlaceOf(1)),
        "it needs no room of its own"
    );
}
