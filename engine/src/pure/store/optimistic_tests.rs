use serde_json::value::RawValue;

use super::*;
use crate::pure::store::{
    change::{Change, Touch},
    home::Home,
};

const ALICE: &str = "did:plc:alice";
const BOB: &str = "did:plc:bob";
const T: i64 = 1_795_432_906_000_000;
const URL: &str =
    "https://a.example/xrpc/com.example.message.watchRecords?spaceUri=ats://did:plc:alice/t/s";

fn store() -> Store {
    Store::new(Default::default(), Home::of(&URL.parse().unwrap()))
}

fn record(did: &str, rkey: &str, time_us: i64, text: &str) -> Record {
    with(did, rkey, time_us, text, "")
}

fn with(did: &str, rkey: &str, time_us: i64, text: &str, extra: &str) -> Record {
    let json = format!(
        r#"{{"uri":"at://{did}/c/{rkey}","time_us":{time_us},"value":"{text}","space":"ats://did:plc:alice/t/s"{extra}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn snapshot(store: &mut Store, records: impl IntoIterator<Item = Record>) {
    store.begin_snapshot();
    for record in records {
        store.confirm(record);
    }
    store.end_snapshot(None);
}

fn add(store: &mut Store, did: &str, rkey: &str, text: &str) {
    let record = EditRecord {
        rkey: rkey.into(),
        did: did.into(),
        collection: None,
        value: RawValue::from_string(format!("{text:?}")).unwrap(),
        time_us: None,
        uri: None,
        space: None,
    };
    store.edit(Edit::Add { record }, T).unwrap();
}

fn fail(store: &mut Store, rkey: &str, did: Option<&str>) {
    let error = EditError {
        name: "Error".into(),
        message: "no".into(),
    };
    let (rkey, did) = (rkey.into(), did.map(Into::into));
    store.edit(Edit::Fail { rkey, did, error }, T).unwrap();
}

fn roll_back(store: &mut Store, rkey: &str, did: Option<&str>) {
    let (rkey, did) = (rkey.into(), did.map(Into::into));
    store.edit(Edit::Remove { rkey, did }, T).unwrap();
}

/// `did/rkey=text`, with `?` for pending and `!` for failed, in order.
fn shown(store: &Store) -> Vec<String> {
    let entries = store.entries().map(|it| {
        let mark = match &it.optimistic {
            None => "",
            Some(optimistic) if optimistic.failed.is_some() => "!",
            Some(_) => "?",
        };
        let did = it.record.did().rsplit(':').next().unwrap();
        let text = it.record.value.get().trim_matches('"');
        format!("{did}/{}={text}{mark}", it.record.rkey())
    });
    entries.collect()
}

#[test]
fn a_new_record_shows_on_top_as_pending_and_swaps_with_the_real_one_in_one_change() {
    let mut store = store();
    snapshot(&mut store, [record(ALICE, "a", T + 5, "old")]);
    // The clock here is late by 5 µs.
    add(&mut store, ALICE, "b", "new");
    assert_eq!(shown(&store), ["alice/b=new?", "alice/a=old"]);
    store.take_changes();
    store.upsert(record(ALICE, "b", T + 9, "new"));
    let changes: Vec<Change> = store.take_changes().collect();
    assert!(matches!(&changes[..], [Change::Set(it, _)] if it.optimistic.is_none()));
    assert_eq!(shown(&store), ["alice/b=new", "alice/a=old"]);
}

#[test]
fn an_edit_stands_in_place_and_a_rollback_restores_what_was_there() {
    let mut store = store();
    let reactions = r#","reactions":[{"did":"x","rkey":"1"}],"reactionsCount":1"#;
    let rows = || {
        [
            with(ALICE, "a", T, "one", reactions),
            record(ALICE, "b", T + 1, "two"),
        ]
    };
    snapshot(&mut store, rows());
    store.take_changes();
    add(&mut store, ALICE, "a", "edited");
    assert_eq!(shown(&store), ["alice/b=two", "alice/a=edited?"]);
    let entry = store.entries().last().unwrap();
    assert!(
        entry.record.extra("reactions").is_some(),
        "an edit keeps the children"
    );
    assert!(matches!(
        store.take_changes().as_slice(),
        [Change::Set(_, Touch::Content)]
    ));
    roll_back(&mut store, "a", None);
    assert_eq!(shown(&store), ["alice/b=two", "alice/a=one"]);
    let entry = store.entries().last().unwrap();
    assert!(entry.record.same_content(&rows()[0]));
}

#[test]
fn people_with_the_same_rkey_do_not_touch_each_other() {
    let mut store = store();
    add(&mut store, ALICE, "self", "hers");
    add(&mut store, BOB, "self", "his");
    store.upsert(record(BOB, "self", T, "his"));
    assert_eq!(
        shown(&store),
        ["bob/self=his", "alice/self=hers?"].map(str::to_owned)
    );
    fail(&mut store, "self", Some(BOB));
    assert!(
        !shown(&store).iter().any(|it| it.ends_with('!')),
        "his is real"
    );
    fail(&mut store, "self", Some(ALICE));
    assert!(shown(&store).contains(&"alice/self=hers!".into()));
    store.delete("at://did:plc:bob/c/self").unwrap();
    assert_eq!(shown(&store), ["alice/self=hers!"]);
}

#[test]
fn without_a_did_the_newest_optimistic_entry_of_the_rkey_is_meant() {
    let mut store = store();
    for did in [ALICE, BOB] {
        add(&mut store, did, "self", "x");
    }
    add(&mut store, ALICE, "self", "x again");
    fail(&mut store, "self", None);
    assert!(shown(&store).contains(&"alice/self=x again!".into()));
    assert!(shown(&store).contains(&"bob/self=x?".into()));
    roll_back(&mut store, "self", None);
    roll_back(&mut store, "self", None);
    assert!(shown(&store).is_empty());
    for did in [None, Some(ALICE)] {
        fail(&mut store, "self", did);
        roll_back(&mut store, "self", did);
    }
    assert!(
        shown(&store).is_empty(),
        "nothing happens where there is none"
    );
}

#[test]
fn an_edit_outlives_reconnects_that_still_show_the_old_body() {
    let mut store = store();
    snapshot(&mut store, [record(ALICE, "a", T, "one")]);
    add(&mut store, ALICE, "a", "two");
    add(&mut store, ALICE, "n", "new");
    snapshot(&mut store, [record(ALICE, "a", T, "one")]);
    assert_eq!(shown(&store), ["alice/n=new?", "alice/a=two?"]);
    // A replay of the old event confirms nothing either.
    store.upsert(record(ALICE, "a", T + 5, "one"));
    assert!(shown(&store).contains(&"alice/a=two?".into()));
    snapshot(
        &mut store,
        [record(ALICE, "a", T, "two"), record(ALICE, "n", T, "new")],
    );
    assert_eq!(shown(&store), ["alice/n=new", "alice/a=two"]);
}

#[test]
fn the_confirmation_of_an_earlier_edit_does_not_undo_a_later_one() {
    let mut store = store();
    snapshot(&mut store, [record(ALICE, "a", T, "one")]);
    add(&mut store, ALICE, "a", "two");
    add(&mut store, ALICE, "a", "three");
    store.upsert(record(ALICE, "a", T + 5, "two"));
    assert_eq!(shown(&store), ["alice/a=three?"]);
    roll_back(&mut store, "a", None);
    assert_eq!(
        shown(&store),
        ["alice/a=two"],
        "a rollback restores what the server has now"
    );
    add(&mut store, ALICE, "a", "three");
    store.upsert(record(ALICE, "a", T + 6, "three"));
    assert_eq!(shown(&store), ["alice/a=three"]);
}

#[test]
fn an_edit_stands_while_the_record_under_it_changes_or_goes() {
    let mut store = store();
    let reactions = r#","reactions":[{"did":"y","rkey":"1"}],"reactionsCount":1"#;
    snapshot(&mut store, [with(ALICE, "a", T, "one", reactions)]);
    add(&mut store, ALICE, "a", "two");
    let child = r#"{"parentUri":"at://did:plc:alice/c/a","relation":"reactions","child":{"did":"x","rkey":"1"}}"#;
    store
        .add_child(&serde_json::from_str(child).unwrap())
        .unwrap();
    let entry = store.entries().next().unwrap();
    let reactions = entry.record.extra("reactions").unwrap();
    assert_eq!(
        reactions.get(),
        r#"[{"did":"x","rkey":"1"},{"did":"y","rkey":"1"}]"#
    );
    store.delete("at://did:plc:alice/c/a").unwrap();
    assert_eq!(shown(&store), ["alice/a=two?"]);
    roll_back(&mut store, "a", None);
    assert!(store.is_empty());
}

#[test]
fn a_guessed_collection_or_space_is_replaced_by_the_real_one() {
    let anywhere = "https://a.example/xrpc/com.example.message.watchRecords?actor=did:plc:alice";
    let mut store = Store::new(Default::default(), Home::of(&anywhere.parse().unwrap()));
    add(&mut store, ALICE, "a", "hi");
    let guess = store.entries().next().unwrap();
    assert_eq!(
        guess.record.uri.as_str(),
        "at://did:plc:alice/com.example.message/a"
    );
    let id = guess.id;
    store.upsert(record(ALICE, "a", T, "hi"));
    let real = store.entries().next().unwrap();
    assert_eq!((store.len(), real.id), (1, id));
    assert!(real.optimistic.is_none() && real.record.space.is_some());
    assert_eq!(real.record.uri.as_str(), "at://did:plc:alice/c/a");
    // It goes by its real name from now on.
    store.delete("at://did:plc:alice/c/a").unwrap();
    assert!(store.is_empty());
}

#[test]
fn optimistic_entries_are_bounded_and_end_with_access() {
    let mut store = store();
    for n in 0..MAX_OPTIMISTIC {
        add(&mut store, ALICE, &n.to_string(), "x");
    }
    let record = EditRecord {
        rkey: "one-more".into(),
        did: ALICE.into(),
        collection: None,
        value: RawValue::from_string("1".into()).unwrap(),
        time_us: None,
        uri: None,
        space: None,
    };
    assert_eq!(
        store.edit(Edit::Add { record }, T),
        Err(EditRefused::TooMany)
    );
    add(&mut store, ALICE, "7", "again");
    store.clear();
    assert!(store.is_empty() && store.optimistic.is_empty());
    add(&mut store, ALICE, "7", "still works");
}

#[test]
fn an_edit_that_comes_after_its_record_is_not_pending() {
    let mut store = store();
    store.upsert(record(ALICE, "a", T, "fast"));
    store.take_changes();
    add(&mut store, ALICE, "a", "fast");
    assert_eq!(shown(&store), ["alice/a=fast"]);
    assert_eq!(store.take_changes().count(), 0);
}

#[test]
fn an_edit_made_before_the_first_snapshot_outlives_the_old_version_in_it() {
    for cached in [false, true] {
        let mut store = store();
        add(&mut store, ALICE, "a", "two");
        if cached {
            store.restore(record(ALICE, "a", T - 9, "one"), false);
        }
        assert_eq!(shown(&store), ["alice/a=two?"]);
        snapshot(&mut store, [record(ALICE, "a", T - 9, "one")]);
        assert_eq!(shown(&store), ["alice/a=two?"], "cached: {cached}");
        roll_back(&mut store, "a", None);
        assert_eq!(shown(&store), ["alice/a=one"]);
    }
}

#[test]
fn debug_output_shows_no_body_of_an_edit() {
    let mut store = store();
    for text in ["first words", "second words"] {
        add(&mut store, ALICE, "a", text);
    }
    assert!(!format!("{:?}", store.entries().next().unwrap()).contains("words"));
}

#[test]
fn a_record_that_an_edit_names_is_not_taken_for_another_of_its_key() {
    let elsewhere = "https://a.example/xrpc/com.example.message.watchRecords?actor=did:plc:alice";
    let space = "ats://did:plc:alice/t/s";
    for (collection, space, uri) in [
        (Some("x.y"), Some(space), None),
        (None, None, Some("at://did:plc:alice/x.y/a")),
    ] {
        let mut store = Store::new(Default::default(), Home::of(&elsewhere.parse().unwrap()));
        let record = EditRecord {
            rkey: "a".into(),
            did: ALICE.into(),
            collection: collection.map(Into::into),
            value: RawValue::from_string(r#""mine""#.into()).unwrap(),
            time_us: Some(T),
            uri: uri.map(Into::into),
            space: space.map(Into::into),
        };
        store.edit(Edit::Add { record }, T).unwrap();
        // One of collection `c`, of the same author and key.
        store.upsert(self::record(ALICE, "a", T - 1, "other"));
        assert_eq!(shown(&store), ["alice/a=mine?", "alice/a=other"]);
    }
}

#[test]
fn an_edit_that_was_confirmed_leaves_its_room_to_another() {
    let mut store = store();
    for n in 0..MAX_OPTIMISTIC {
        let rkey = n.to_string();
        add(&mut store, ALICE, &rkey, "x");
        store.upsert(record(ALICE, &rkey, T, "x"));
    }
    add(&mut store, ALICE, "one-more", "x");
    let pending = store.entries().filter(|it| it.optimistic.is_some());
    assert_eq!(pending.count(), 1);
}
