use serde_json::{Value, json};

use crate::pure::{
    protocol::{
        record::Record,
        wire::{ChildAdded, ChildRemoved, ServerEvent, decode},
    },
    store::{Store, change::Unknowable},
};

const SPACE: &str = "ats://did:o/t/s";
pub(super) const ALICE: &str = "did:plc:alice";
pub(super) const BOB: &str = "did:plc:bob";
pub(super) const CAROL: &str = "did:plc:carol";

/// A record of a space with further fields, as raw JSON: `"rsvpsCount":1`.
pub(super) fn record(did: &str, rkey: &str, fields: &str) -> Record {
    let comma = if fields.is_empty() { "" } else { "," };
    let json = format!(
        r#"{{"uri":"at://{did}/c/{rkey}","space":"{SPACE}","time_us":1,"value":{{"n":1}}{comma}{fields}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

/// A child that names its parent in its body.
pub(super) fn child(did: &str, rkey: &str, subject: &str, rest: &str) -> String {
    format!(
        r#"{{"did":"{did}","rkey":"{rkey}","collection":"x.child","space":"{SPACE}","value":{{"subject":"{subject}"{rest}}}}}"#
    )
}

pub(super) fn rsvp(did: &str, event: &str, status: &str) -> String {
    let uri = format!("at://{ALICE}/c/{event}");
    child(did, "r", &uri, &format!(r#","status":"x.rsvp#{status}""#))
}

pub(super) fn badge(did: &str, subject: &str) -> String {
    let badge = child(did, "g", subject, "");
    badge.replace("x.child", "x.badge")
}

pub(super) fn added(parent: &str, relation: &str, child: &str) -> ChildAdded {
    let json = format!(r#"{{"parentUri":"{parent}","relation":"{relation}","child":{child}}}"#);
    serde_json::from_str(&json).unwrap()
}

pub(super) fn removed(parent: &str, relation: &str, rkey: &str, did: Option<&str>) -> ChildRemoved {
    ChildRemoved {
        parent_uri: parent.into(),
        relation: relation.into(),
        child_rkey: rkey.into(),
        child_did: did.map(Into::into),
    }
}

pub(super) fn uri(event: &str) -> String {
    format!("at://{ALICE}/c/{event}")
}

pub(super) fn store(records: impl IntoIterator<Item = Record>) -> Store {
    let mut store = Store::default();
    snapshot(&mut store, records);
    store
}

fn snapshot(store: &mut Store, records: impl IntoIterator<Item = Record>) {
    store.begin_snapshot();
    for record in records {
        store.confirm(record);
    }
    store.end_snapshot(None);
}

/// A field of alice's record.
pub(super) fn field(store: &Store, rkey: &str, name: &str) -> Value {
    let uri = uri(rkey);
    let mut entries = store.entries();
    let entry = entries.find(|it| it.record.uri.as_str() == uri).unwrap();
    let record: Value = serde_json::to_value(&entry.record).unwrap();
    record[name].clone()
}

/// The authors of the children of alice's record, by group where there are groups.
pub(super) fn authors(store: &Store, rkey: &str, relation: &str) -> Value {
    let names = |list: &Value| -> Value {
        let dids = list.as_array().unwrap().iter().map(|it| &it["did"]);
        let names = dids.map(|it| it.as_str().and_then(|it| it.strip_prefix("did:plc:")));
        names.collect::<Vec<_>>().into()
    };
    match field(store, rkey, relation) {
        Value::Object(groups) => groups
            .iter()
            .map(|(name, list)| (name.trim_start_matches("x.rsvp#").to_owned(), names(list)))
            .collect(),
        Value::Null => Value::Null,
        list => names(&list),
    }
}

/// Two rsvps of two groups, as a snapshot has them.
pub(super) fn grouped(event: &str) -> String {
    let (going, late) = (rsvp(BOB, event, "going"), rsvp(CAROL, event, "late"));
    format!(
        r#""rsvps":{{"x.rsvp#late":[{late}],"x.rsvp#going":[{going}]}},"rsvpsCount":2,"rsvpsGoingCount":1"#
    )
}

#[test]
fn what_a_stricter_reader_refuses_in_one_child_costs_no_other() {
    let odd = [
        child(BOB, "1", &uri("e"), r#","text":"\ud83d""#),
        child(BOB, "2", &uri("e"), r#","n":1e400"#),
        child(BOB, "3", &uri("e"), r#","\ud83d":"\ud83d""#),
        r#"{"rkey":"\ud83d","did":7}"#.to_owned(),
        "null".to_owned(),
    ];
    for odd in odd {
        let known = child(CAROL, "k", &uri("e"), "");
        let fields = format!(r#""likes":[{odd},{known}],"likesCount":2"#);
        let mut store = store([record(ALICE, "e", &fields)]);
        let new = child(ALICE, "new", &uri("e"), r#","text":"\ud83d""#);
        assert_eq!(
            store.add_child(&added(&uri("e"), "likes", &new)),
            Ok(()),
            "{odd}"
        );
        let entry = store.entries().next().unwrap().clone();
        let likes = entry.record.extra("likes").unwrap();
        assert_eq!(likes.get(), format!("[{new},{odd},{known}]"));
        let gone = removed(&uri("e"), "likes", "k", Some(CAROL));
        assert_eq!(store.remove_child(&gone), Ok(()), "{odd}");
    }
}

#[test]
fn half_an_emoji_in_what_groups_a_child_costs_no_other_group() {
    let odd = child(BOB, "1", &uri("e"), r#","status":"\ud83d""#);
    let going = rsvp(CAROL, "e", "going");
    let fields = format!(
        r#""rsvps":{{"\ud83d":[{odd}],"x.rsvp#going":[{going}]}},"rsvpsCount":2,"rsvpsGoingCount":1"#
    );
    let mut store = store([record(ALICE, "e", &fields)]);
    let new = added(&uri("e"), "rsvps", &rsvp(ALICE, "e", "going"));
    assert_eq!(store.add_child(&new), Ok(()));
    let entry = store.entries().next().unwrap();
    let rsvps = entry.record.extra("rsvps").unwrap();
    let groups: Value =
        serde_json::from_str(rsvps.get().replace("ud83d", "u00e4").as_str()).unwrap();
    assert_eq!(groups["x.rsvp#going"][0]["did"], ALICE);
    assert_eq!(groups.as_object().unwrap().len(), 2);
}

#[test]
fn a_child_that_cannot_be_told_from_others_is_left_to_a_snapshot() {
    let likes = child(BOB, "l", &uri("e"), "");
    let fields = format!(r#""likes":[{likes}],"likesCount":1"#);
    let mut store = store([record(ALICE, "e", &fields)]);
    for unnamed in [r#"{"rkey":"r"}"#, r#"{"did":"\ud83d","rkey":"r"}"#, "7"] {
        let known = store.add_child(&added(&uri("e"), "likes", unnamed));
        assert_eq!(known, Err(Unknowable::Ambiguous));
    }
    assert_eq!(field(&store, "e", "likesCount"), 1);
}

#[test]
fn a_relation_whose_shape_nobody_has_shown_is_left_to_a_snapshot() {
    let mut store = store([record(ALICE, "e1", "")]);
    let first = added(&uri("e1"), "rsvps", &rsvp(BOB, "e1", "going"));
    assert_eq!(store.add_child(&first), Err(Unknowable::Ambiguous));
    assert_eq!(authors(&store, "e1", "rsvps"), Value::Null);
    assert_eq!(field(&store, "e1", "rsvpsCount"), Value::Null);
    // The snapshot shows it, and by what children are grouped.
    snapshot(
        &mut store,
        [record(ALICE, "e1", &grouped("e1")), record(ALICE, "e2", "")],
    );
    let first = added(&uri("e2"), "rsvps", &rsvp(BOB, "e2", "late"));
    assert_eq!(store.add_child(&first), Ok(()));
    assert_eq!(authors(&store, "e2", "rsvps"), json!({ "late": ["bob"] }));
}

#[test]
fn the_first_child_of_a_parent_goes_to_the_group_that_its_body_names() {
    let mut store = store([record(ALICE, "e1", &grouped("e1")), record(ALICE, "e2", "")]);
    let add = |store: &mut Store, did, status| {
        store.add_child(&added(&uri("e2"), "rsvps", &rsvp(did, "e2", status)))
    };
    assert_eq!(add(&mut store, BOB, "going"), Ok(()));
    // A group that no other parent has; whether it has a counter, nobody knows.
    assert_eq!(add(&mut store, CAROL, "maybe"), Err(Unknowable::Doubtful));
    assert_eq!(
        authors(&store, "e2", "rsvps"),
        json!({ "maybe": ["carol"], "going": ["bob"] })
    );
    let none = child(ALICE, "r", &uri("e2"), "");
    let known = store.add_child(&added(&uri("e2"), "rsvps", &none));
    assert_eq!(known, Err(Unknowable::Doubtful));
    assert_eq!(authors(&store, "e2", "rsvps")["other"], json!(["alice"]));
    let bodiless = format!(r#"{{"did":"{ALICE}","rkey":"x"}}"#);
    let known = store.add_child(&added(&uri("e2"), "rsvps", &bodiless));
    assert_eq!(known, Err(Unknowable::Ambiguous));
}

#[test]
fn counters_of_groups_follow_additions_moves_and_removals() {
    let interested = rsvp(ALICE, "e1", "interested");
    let fields = grouped("e1").replace(
        r#""rsvps":{"#,
        &format!(r#""rsvpsInterestedCount":1,"rsvps":{{"x.rsvp#interested":[{interested}],"#),
    );
    let fields = fields.replace("Count\":2", "Count\":3");
    let mut store = store([record(ALICE, "e1", &fields), record(ALICE, "e2", "")]);
    let counters = |store: &Store, event: &str| {
        let count = |name: &str| field(store, event, &format!("rsvps{name}Count"));
        [
            count(""),
            count("Going"),
            count("Interested"),
            count("Late"),
        ]
    };
    assert_eq!(
        counters(&store, "e1"),
        [json!(3), json!(1), json!(1), Value::Null]
    );
    let add = |store: &mut Store, event: &str, did: &str, status: &str| {
        let known = store.add_child(&added(&uri(event), "rsvps", &rsvp(did, event, status)));
        assert_eq!(known, Ok(()), "{event} {did} {status}");
    };
    add(&mut store, "e2", "did:plc:dan", "going");
    add(&mut store, "e2", "did:plc:eve", "going");
    assert_eq!(
        counters(&store, "e2"),
        [json!(2), json!(2), Value::Null, Value::Null]
    );
    // To another group, and from there to one without a counter.
    add(&mut store, "e2", "did:plc:dan", "interested");
    assert_eq!(
        counters(&store, "e2"),
        [json!(2), json!(1), json!(1), Value::Null]
    );
    add(&mut store, "e2", "did:plc:dan", "late");
    assert_eq!(
        counters(&store, "e2"),
        [json!(2), json!(1), Value::Null, Value::Null]
    );
    // From another parent: no removal is sent.
    add(&mut store, "e2", BOB, "going");
    assert_eq!(
        counters(&store, "e1"),
        [json!(2), Value::Null, json!(1), Value::Null]
    );
    assert_eq!(
        counters(&store, "e2"),
        [json!(3), json!(2), Value::Null, Value::Null]
    );
    for did in ["did:plc:dan", "did:plc:eve", BOB] {
        let gone = removed(&uri("e2"), "rsvps", "r", Some(did));
        assert_eq!(store.remove_child(&gone), Ok(()));
    }
    assert_eq!(counters(&store, "e2"), [(); 4].map(|()| Value::Null));
    assert_eq!(authors(&store, "e2", "rsvps"), Value::Null);
}

#[test]
fn a_counter_that_was_never_seen_is_not_invented() {
    let likes = child(BOB, "l", &uri("e1"), "");
    let fields = format!(r#""likes":[{likes}]"#);
    let mut store = store([record(ALICE, "e1", &fields), record(ALICE, "e2", "")]);
    let new = |event: &str, did: &str| {
        let uri = uri(event);
        added(&uri, "likes", &child(did, "l", &uri, ""))
    };
    // The record may have come after its children: nothing is counted until the next one.
    assert_eq!(
        store.add_child(&new("e2", CAROL)),
        Err(Unknowable::Doubtful)
    );
    assert_eq!(field(&store, "e2", "likesCount"), Value::Null);
    // That it has none now tells that there is none.
    let likes = child(CAROL, "l", &uri("e2"), r#","time_us":1"#);
    let fields = format!(r#""likes":[{likes}]"#);
    snapshot(&mut store, [record(ALICE, "e2", &fields)]);
    assert_eq!(store.add_child(&new("e2", BOB)), Ok(()));
    assert_eq!(field(&store, "e2", "likesCount"), Value::Null);
}

#[test]
fn authors_may_be_counted_instead_of_children() {
    let two = [
        child(BOB, "1", &uri("e"), ""),
        child(BOB, "2", &uri("e"), ""),
    ];
    let counted = |count: usize| {
        let fields = format!(r#""likes":[{}],"likesCount":{count}"#, two.join(","));
        store([record(ALICE, "e", &fields)])
    };
    let third = added(&uri("e"), "likes", &child(BOB, "3", &uri("e"), ""));
    for (count, then) in [(1, 1), (2, 3)] {
        let mut store = counted(count);
        assert_eq!(store.add_child(&third), Ok(()));
        assert_eq!(field(&store, "e", "likesCount"), then);
    }
}

pub(super) fn badges(given: &str) -> String {
    format!(r#""badges":[{given}]"#)
}

#[test]
fn a_removal_takes_a_did_matched_child_from_every_record_that_holds_it() {
    let both = format!("{},{}", badge(BOB, ALICE), badge(CAROL, ALICE));
    let mut store = store(["e1", "e2", "e3"].map(|it| record(ALICE, it, &badges(&both))));
    // It names one parent, though the child hung under all of them.
    let gone = removed(&uri("e2"), "badges", "g", Some(BOB));
    assert_eq!(store.remove_child(&gone), Ok(()));
    for event in ["e1", "e2", "e3"] {
        assert_eq!(authors(&store, event, "badges"), json!(["carol"]));
    }
    let gone = removed(&uri("_"), "badges", "g", Some(CAROL));
    assert_eq!(store.remove_child(&gone), Ok(()));
    for event in ["e1", "e2", "e3"] {
        assert_eq!(authors(&store, event, "badges"), Value::Null);
    }
}

#[test]
fn a_removal_that_names_another_childs_parent_takes_the_child_that_it_is_of() {
    let likes = |did: &str, event: &str| {
        let like = child(did, "self", &uri(event), "");
        record(ALICE, event, &format!(r#""likes":[{like}],"likesCount":1"#))
    };
    let mut store = store([likes(BOB, "e1"), likes(CAROL, "e2")]);
    let gone = removed(&uri("e2"), "likes", "self", Some(BOB));
    assert_eq!(store.remove_child(&gone), Ok(()));
    assert_eq!(authors(&store, "e1", "likes"), Value::Null);
    assert_eq!(authors(&store, "e2", "likes"), json!(["carol"]));
    // Of somebody who is not seen to have one there: it may hang out of sight.
    let gone = removed(&uri("e2"), "likes", "self", Some(ALICE));
    assert_eq!(store.remove_child(&gone), Err(Unknowable::Doubtful));
    assert_eq!(authors(&store, "e2", "likes"), json!(["carol"]));
}

#[test]
fn a_removal_without_an_author_takes_nothing_that_may_be_anothers() {
    let likes = child(BOB, "self", &uri("e"), "");
    let fields = format!(r#""likes":[{likes}],"likesCount":1"#);
    let mut store = store([record(ALICE, "e", &fields)]);
    let gone = removed(&uri("e"), "likes", "self", None);
    assert_eq!(store.remove_child(&gone), Err(Unknowable::Ambiguous));
    assert_eq!(authors(&store, "e", "likes"), json!(["bob"]));
    let gone = removed(&uri("e"), "likes", "other", None);
    assert_eq!(store.remove_child(&gone), Ok(()));
}

#[test]
fn a_removal_that_names_another_relation_takes_nothing() {
    let badge = child(BOB, "r", ALICE, "").replace("x.child", "x.badge");
    let fields = format!(r#"{},"badges":[{badge}]"#, grouped("e"));
    let mut store = store([record(ALICE, "e", &fields)]);
    // Bob has both an rsvp and a badge of this rkey: which of them is gone?
    let gone = removed(&uri("e"), "rsvps", "r", Some(BOB));
    assert_eq!(store.remove_child(&gone), Err(Unknowable::Ambiguous));
    // Carol has no badge.
    let gone = removed(&uri("e"), "badges", "r", Some(CAROL));
    assert_eq!(store.remove_child(&gone), Err(Unknowable::Ambiguous));
    assert_eq!(
        authors(&store, "e", "rsvps"),
        json!({ "late": ["carol"], "going": ["bob"] })
    );
    assert_eq!(authors(&store, "e", "badges"), json!(["bob"]));
}

#[test]
fn of_two_relations_of_one_collection_both_lose_a_child_and_the_untold_one_is_doubted() {
    let vote = |did: &str| child(did, "v", &uri("e"), r#","choice":"yes""#);
    let fields = format!(
        r#""votes":{{"yes":[{0}]}},"ballots":[{0}],"ballotsCount":1,"ballotsYesCount":1"#,
        vote(BOB)
    );
    let mut store = store([record(ALICE, "e", &fields)]);
    let known = store.add_child(&added(&uri("e"), "ballots", &vote(CAROL)));
    assert_eq!(known, Err(Unknowable::Doubtful));
    let gone = removed(&uri("e"), "ballots", "v", Some(BOB));
    let _ = store.remove_child(&gone);
    assert_eq!(authors(&store, "e", "ballots"), json!(["carol"]));
    assert_eq!(authors(&store, "e", "votes"), Value::Null);
}

#[test]
fn a_did_matched_child_that_moves_leaves_the_records_of_its_old_subject() {
    let given = badges(&badge(CAROL, ALICE));
    let mut store = store([
        record(ALICE, "e1", &given),
        record(ALICE, "e2", &given),
        record(BOB, "e", ""),
    ]);
    let moved = added(&format!("at://{BOB}/c/_"), "badges", &badge(CAROL, BOB));
    assert_eq!(store.add_child(&moved), Ok(()));
    for event in ["e1", "e2"] {
        assert_eq!(authors(&store, event, "badges"), Value::Null);
    }
    let of_bob = store.entries().find(|it| it.record.did() == BOB).unwrap();
    assert!(of_bob.record.extra("badges").is_some());
}

#[test]
fn a_new_record_has_what_hangs_under_every_record_of_its_author() {
    let likes = child(BOB, "l", &uri("e1"), "");
    let first = format!(r#"{},"likes":[{likes}]"#, badges(&badge(BOB, ALICE)));
    let second = badges(&badge(BOB, ALICE));
    let mut store = store([record(ALICE, "e1", &first), record(ALICE, "e2", &second)]);
    let doubt = store.upsert(record(ALICE, "e3", ""));
    assert_eq!(doubt, None);
    assert_eq!(authors(&store, "e3", "badges"), json!(["bob"]));
    assert_eq!(authors(&store, "e3", "likes"), Value::Null);
    // Of another author it has nothing, and an edit changes nothing.
    assert_eq!(store.upsert(record(BOB, "e", "")), None);
    assert_eq!(store.upsert(record(ALICE, "e3", "")), None);
    assert_eq!(authors(&store, "e3", "badges"), json!(["bob"]));
}

#[test]
fn one_record_does_not_tell_what_hangs_under_all_of_its_author() {
    let given = badges(&badge(BOB, ALICE));
    let mut store = store([record(ALICE, "e1", &given)]);
    let doubt = store.upsert(record(ALICE, "e2", ""));
    assert_eq!(doubt, Some(Unknowable::Doubtful));
    assert_eq!(authors(&store, "e2", "badges"), Value::Null);
    // A snapshot does.
    snapshot(&mut store, ["e1", "e2"].map(|it| record(ALICE, it, &given)));
    assert_eq!(store.upsert(record(ALICE, "e3", "")), None);
    assert_eq!(authors(&store, "e3", "badges"), json!(["bob"]));
}

#[test]
fn a_child_that_is_edited_is_the_newest() {
    let mut store = store([record(ALICE, "e", &grouped("e"))]);
    let add = |store: &mut Store, did: &str, status: &str| {
        store.add_child(&added(&uri("e"), "rsvps", &rsvp(did, "e", status)))
    };
    assert_eq!(add(&mut store, ALICE, "going"), Ok(()));
    assert_eq!(add(&mut store, BOB, "going"), Ok(()));
    assert_eq!(
        authors(&store, "e", "rsvps")["going"],
        json!(["bob", "alice"])
    );
}

/// The events of a recorded exchange, one list for each snapshot.
fn recorded(name: &str) -> Vec<Vec<ServerEvent>> {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/transcripts");
    let text = std::fs::read_to_string(format!("{fixtures}/{name}")).unwrap();
    let mut snapshots: Vec<Vec<ServerEvent>> = Vec::new();
    let mut kind = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("event: ") {
            kind = name;
        }
        if let Some(data) = line.strip_prefix("data: ") {
            let event = decode(kind, data).unwrap().unwrap();
            if matches!(event, ServerEvent::SnapshotStart) {
                snapshots.push(Vec::new());
            }
            snapshots.last_mut().unwrap().push(event);
        }
    }
    snapshots
}

fn hear(store: &mut Store, event: ServerEvent) -> Result<(), Unknowable> {
    match event {
        ServerEvent::SnapshotStart => store.begin_snapshot(),
        ServerEvent::SnapshotRecord(record) => store.confirm(record),
        ServerEvent::SnapshotEnd { cursor } => store.end_snapshot(cursor),
        ServerEvent::Created(record) => return store.upsert(record).map_or(Ok(()), Err),
        ServerEvent::HydrationAdded(added) => return store.add_child(&added),
        ServerEvent::HydrationRemoved(removed) => return store.remove_child(&removed),
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn what_a_real_server_told_of_groups_and_matched_children_leads_to_what_it_shows() {
    let mut snapshots = recorded("sse-20-groups-and-matched-children.txt").into_iter();
    let mut store = Store::default();
    // Nothing is known of either relation yet: three rsvps and a badge are left to a snapshot.
    let first = snapshots.next().unwrap();
    let known: Vec<_> = first.into_iter().map(|it| hear(&mut store, it)).collect();
    let unknown = known.iter().filter(|it| **it == Err(Unknowable::Ambiguous));
    assert_eq!((unknown.count(), known.len()), (4, 8));
    for events in snapshots.by_ref().take(2) {
        for event in events {
            assert_eq!(hear(&mut store, event), Ok(()));
        }
    }
    // The removal of the badge named one record; then the server shows it on none, and counts none.
    let held: Vec<Value> = store
        .entries()
        .map(|it| serde_json::to_value(&it.record).unwrap())
        .collect();
    let mut fresh = Store::default();
    for event in snapshots.next().unwrap() {
        hear(&mut fresh, event).unwrap();
    }
    let shown = fresh
        .entries()
        .map(|it| serde_json::to_value(&it.record).unwrap());
    assert_eq!(held, shown.collect::<Vec<_>>());
}

#[test]
fn a_child_that_is_told_again_as_it_was_changes_nothing() {
    let mut store = store([record(ALICE, "e", &grouped("e"))]);
    let told = added(&uri("e"), "rsvps", &rsvp(BOB, "e", "going"));
    store.add_child(&told).unwrap();
    store.take_changes();
    store.add_child(&told).unwrap();
    assert_eq!(store.take_changes().count(), 0);
}

#[test]
fn a_count_of_did_matched_children_is_doubted_where_there_is_no_space() {
    let public = |text: &str| text.replace(&format!(r#","space":"{SPACE}""#), "");
    let counted = format!(
        r#"{{"uri":"{}","time_us":1,"value":1,{},"badgesCount":1}}"#,
        uri("e"),
        badges(&public(&badge(BOB, ALICE)))
    );
    let told = |subject: &str| {
        let mut store = store([serde_json::from_str(&counted).unwrap()]);
        let child = public(&badge(CAROL, subject));
        let known = store.add_child(&added(&uri("_"), "badges", &child));
        (known, field(&store, "e", "badgesCount"))
    };
    assert_eq!(told(ALICE), (Err(Unknowable::Doubtful), json!(2)));
    // One that names the record is counted like any other.
    assert_eq!(told(&uri("e")), (Ok(()), json!(2)));
}

#[test]
fn the_records_of_a_childs_author_are_doubted_unless_all_are_seen_to_be_counted_right() {
    let known = |count: usize, fields: &str| {
        let of_bob = (0..count).map(|n| record(BOB, &n.to_string(), ""));
        let last = record(BOB, "last", fields);
        let given = format!(r#"{},"badgesCount":1"#, badges(&badge(CAROL, ALICE)));
        let records = [record(ALICE, "e", &given), last];
        let mut store = store(records.into_iter().chain(of_bob));
        store.add_child(&added(&uri("_"), "badges", &badge(BOB, ALICE)))
    };
    assert_eq!(known(0, ""), Ok(()));
    for wrong in [r#""badgesCount":1"#, r#""badgesGoldCount":1"#] {
        assert_eq!(known(0, wrong), Err(Unknowable::Doubtful));
    }
    // Of an author with more nobody looks.
    assert_eq!(known(63, ""), Ok(()));
    assert_eq!(known(64, ""), Err(Unknowable::Doubtful));
}

#[test]
fn a_child_of_a_record_that_is_not_there_asks_for_nothing() {
    let mut store = store([record(ALICE, "e", "")]);
    let like = |event: &str| added(&uri(event), "likes", &child(BOB, "l", &uri(event), ""));
    assert_eq!(store.add_child(&like("elsewhere")), Ok(()));
    assert_eq!(store.add_child(&like("e")), Err(Unknowable::Ambiguous));
}

#[test]
fn children_that_name_their_parent_by_uri_leave_their_authors_own_records_alone() {
    let like = |did: &str| child(did, "l", &uri("e"), "");
    let liked = format!(r#""likes":[{}],"likesCount":1"#, like(CAROL));
    // The query leaves out what bob's own likes are.
    let of_bob = record(BOB, "b", r#""likesCount":7"#);
    let mut store = store([record(ALICE, "e", &liked), of_bob]);
    assert_eq!(
        store.add_child(&added(&uri("e"), "likes", &like(BOB))),
        Ok(())
    );
    assert_eq!(field(&store, "e", "likesCount"), 2);
}
