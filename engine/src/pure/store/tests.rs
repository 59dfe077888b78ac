use super::*;
use crate::pure::{
    protocol::wire::{ChildAdded, ServerEvent, decode},
    store::change::Touch,
};

fn record(space: Option<&str>, did: &str, rkey: &str, time_us: i64, rest: &str) -> Record {
    let space = space.map_or(String::new(), |space| format!(r#","space":"{space}""#));
    let json = format!(
        r#"{{"uri":"at://{did}/c/{rkey}","did":"{did}","rkey":"{rkey}","time_us":{time_us}{space}{rest}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn text(did: &str, rkey: &str, time_us: i64, text: &str) -> Record {
    record(None, did, rkey, time_us, &format!(r#","value":"{text}""#))
}

fn shown(store: &Store) -> Vec<String> {
    store
        .entries()
        .map(|it| {
            format!(
                "{}/{}={}",
                it.record.did(),
                it.record.rkey(),
                it.record.value.get()
            )
        })
        .collect()
}

fn snapshot(store: &mut Store, records: impl IntoIterator<Item = Record>) {
    store.begin_snapshot();
    for record in records {
        store.confirm(record);
    }
    store.end_snapshot(None);
}

const MS: i64 = 1_795_432_906_000;
const US: i64 = MS * 1000;

#[test]
fn live_records_do_not_sort_above_a_snapshot_because_of_their_unit() {
    let mut store = Store::default();
    snapshot(
        &mut store,
        [text("a", "late", MS + 20, "x"), text("a", "early", MS, "x")],
    );
    store.upsert(text("a", "middle", US + 10_000, "x"));
    assert_eq!(
        shown(&store),
        ["a/late=\"x\"", "a/middle=\"x\"", "a/early=\"x\""]
    );
}

#[test]
fn what_a_complete_snapshot_lacks_is_gone_and_was_visible_until_then() {
    let mut store = Store::default();
    snapshot(
        &mut store,
        [text("a", "1", MS + 1, "x"), text("a", "2", MS, "x")],
    );
    store.begin_snapshot();
    store.confirm(text("a", "2", MS, "x"));
    assert_eq!(store.len(), 2);
    store.end_snapshot(Some("older".into()));
    assert_eq!(shown(&store), ["a/2=\"x\""]);
    // The list was known to its end: what is below now is looked through until it is again.
    assert!(store.cursor().is_none() && store.has_stale_pages());
}

#[test]
fn a_snapshot_that_is_cut_off_evicts_nothing() {
    let mut store = Store::default();
    snapshot(
        &mut store,
        [text("a", "1", US, "x"), text("a", "2", US, "x")],
    );
    store.begin_snapshot();
    store.confirm(text("a", "2", US, "x"));
    // The connection ends here; the next one begins anew, and only its end takes away what it lacks.
    store.begin_snapshot();
    store.confirm(text("a", "1", US, "x"));
    assert_eq!(store.len(), 2);
    store.end_snapshot(None);
    assert_eq!(shown(&store), ["a/1=\"x\""]);
}

#[test]
fn a_record_that_arrives_while_the_snapshot_is_read_survives_it() {
    let mut store = Store::default();
    store.begin_snapshot();
    store.confirm(text("a", "1", US, "x"));
    store.upsert(text("a", "2", US, "x"));
    store.end_snapshot(None);
    assert_eq!(store.len(), 2);
}

#[test]
fn identity_is_space_and_uri() {
    let mut store = Store::default();
    store.upsert(record(Some("ats://x"), "a", "self", US, r#","value":1"#));
    store.upsert(record(Some("ats://y"), "a", "self", US, r#","value":2"#));
    store.upsert(record(None, "b", "self", US, r#","value":3"#));
    assert_eq!(store.len(), 3);
    assert_eq!(store.delete("at://a/c/self"), Err(Unknowable::Ambiguous));
    assert_eq!(store.len(), 3);
    assert_eq!(store.delete("at://b/c/self"), Ok(()));
    assert_eq!(store.delete("at://nobody/c/self"), Ok(()));
    assert_eq!(store.len(), 2);
}

#[test]
fn an_update_rises_to_its_time_and_keeps_what_it_does_not_mention() {
    let mut store = Store::default();
    let first = record(
        None,
        "a",
        "1",
        MS,
        r#","value":"old","reactionsCount":2,"parent":{"x":1}"#,
    );
    snapshot(&mut store, [first, text("a", "2", MS + 5, "x")]);
    store.upsert(record(
        None,
        "a",
        "1",
        US + 999_000,
        r#","value":"new","indexed_at":5"#,
    ));
    assert_eq!(shown(&store), ["a/1=\"new\"", "a/2=\"x\""]);
    let (_, entry) = store.find(0).unwrap();
    assert_eq!(entry.record.time_us, US + 999_000);
    assert_eq!(entry.record.extra("reactionsCount").unwrap().get(), "2");
    assert_eq!(entry.record.extra("parent").unwrap().get(), r#"{"x":1}"#);
}

#[test]
fn a_snapshot_takes_away_what_it_does_not_mention() {
    let mut store = Store::default();
    snapshot(
        &mut store,
        [record(
            None,
            "a",
            "1",
            MS,
            r#","value":1,"reactionsCount":2"#,
        )],
    );
    snapshot(&mut store, [record(None, "a", "1", MS, r#","value":1"#)]);
    assert!(
        store
            .find(0)
            .unwrap()
            .1
            .record
            .extra("reactionsCount")
            .is_none()
    );
}

#[test]
fn after_each_snapshot_the_order_is_the_servers() {
    let at = |rkey: &str, ms: i64| text("a", rkey, ms, "x");
    let live = |rkey: &str, ms: i64| text("a", rkey, 1000 * ms, "x");
    let rkeys = |store: &Store| -> Vec<String> {
        let entries = store.entries();
        entries.map(|it| it.record.rkey().to_owned()).collect()
    };
    let mut store = Store::default();
    snapshot(&mut store, [at("b", MS + 1), at("a", MS)]);
    // m and n come, then a and n are edited: each event carries the time of its publication.
    for (rkey, ms) in [("n", 12), ("m", 13), ("a", 14), ("n", 15)] {
        store.upsert(live(rkey, MS + ms));
    }
    assert_eq!(rkeys(&store), ["n", "a", "m", "b"]);
    // The server stored them a little earlier, and two of them in another order than it published.
    let stored = [("n", 14), ("m", 13), ("a", 12), ("b", 1)];
    snapshot(&mut store, stored.map(|(rkey, ms)| at(rkey, MS + ms)));
    assert_eq!(rkeys(&store), ["n", "m", "a", "b"]);
    snapshot(&mut store, stored.map(|(rkey, ms)| at(rkey, MS + ms)));
    assert_eq!(rkeys(&store), ["n", "m", "a", "b"]);
}

#[test]
fn what_did_not_change_makes_no_change() {
    let mut store = Store::default();
    snapshot(&mut store, [text("a", "1", MS, "x")]);
    assert!(matches!(store.take_changes().as_slice(), [Change::Set(it, Touch::New)] if it.id == 0));
    snapshot(&mut store, [text("a", "1", MS, "x")]);
    assert_eq!(store.take_changes().count(), 0);
    store.clear();
    assert!(matches!(store.take_changes().as_slice(), [Change::Gone(entry)] if entry.id == 0));
    assert_eq!(store.len(), 0);
}

#[test]
fn did_matched_children_reach_every_record_of_the_did() {
    let mut store = Store::default();
    snapshot(
        &mut store,
        [
            text("did:a", "1", MS, "x"),
            text("did:a", "2", MS, "x"),
            record(None, "did:b", "1", MS, BADGE),
        ],
    );
    let data = r#"{"parentUri":"at://did:a/c/_","relation":"badges","child":{"did":"did:a","rkey":"k","value":{}}}"#;
    let Ok(Some(ServerEvent::HydrationAdded(added))) = decode("hydration.added", data) else {
        panic!("it decodes");
    };
    // Whether they are counted has not shown.
    assert_eq!(store.add_child(&added), Err(Unknowable::Doubtful));
    let with = store
        .entries()
        .filter(|it| it.record.extra("badges").is_some())
        .count();
    assert_eq!(with, 3);
}

/// What shows that badges are a list.
const BADGE: &str = r#","value":"x","badges":[{"did":"did:c","rkey":"k"}]"#;

#[test]
fn a_cached_record_fills_a_gap_and_a_snapshot_has_the_last_word() {
    let mut store = Store::default();
    store.restore(text("a", "cached", US, "old"), false);
    assert_eq!(shown(&store), ["a/cached=\"old\""]);
    store.begin_snapshot();
    store.confirm(text("a", "fresh", US, "new"));
    // The cache answers late, in the middle of the snapshot.
    store.restore(text("a", "fresh", US, "old"), false);
    store.restore(text("a", "late", US, "old"), false);
    assert_eq!(store.len(), 3);
    store.end_snapshot(None);
    assert_eq!(shown(&store), ["a/fresh=\"new\""]);
}

#[test]
fn a_store_never_holds_more_than_its_limit_and_keeps_the_first_ones() {
    let mut store = Store::with_limit(3);
    for n in 0..10 {
        store.upsert(text("a", &n.to_string(), US + n * 1000, "x"));
        assert!(store.len() <= 3);
    }
    assert_eq!(shown(&store), ["a/9=\"x\"", "a/8=\"x\"", "a/7=\"x\""]);
}

#[test]
fn a_snapshot_without_end_is_bounded_and_takes_nothing_from_what_will_be_shown() {
    let mut store = Store::with_limit(3);
    let known = |n: i64| text("a", &format!("old{n}"), US + n * 1000, "x");
    snapshot(&mut store, (0..3).map(known));
    store.begin_snapshot();
    for n in 0..100 {
        store.confirm(text("a", &n.to_string(), US - n * 1000, "x"));
        assert!(store.len() <= 6);
    }
    // Beyond what fits so far, but it is the first one of all.
    store.confirm(known(2));
    store.end_snapshot(None);
    assert_eq!(shown(&store), ["a/old2=\"x\"", "a/0=\"x\"", "a/1=\"x\""]);
}

#[test]
fn a_record_of_last_time_pushes_out_nothing_that_a_snapshot_has_confirmed() {
    let mut store = Store::with_limit(2);
    store.begin_snapshot();
    for rkey in ["1", "2"] {
        store.confirm(text("a", rkey, US, "x"));
    }
    store.restore(text("a", "old", US + 1000, "x"), false);
    store.end_snapshot(None);
    assert_eq!(shown(&store), ["a/2=\"x\"", "a/1=\"x\""]);
}

fn child(parent: &str, did: &str, rkey: &str, text: &str) -> ChildAdded {
    let json = format!(
        r#"{{"parentUri":"{parent}","relation":"reactions","child":{{"did":"{did}","rkey":"{rkey}","value":"{text}"}}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

/// The children of a record, `did/rkey=text`, and how many the server counts.
fn children(store: &Store, rkey: &str) -> (Vec<String>, Option<i64>) {
    let entry = store.entries().find(|it| it.record.rkey() == rkey).unwrap();
    let parse = |name| {
        entry
            .record
            .extra(name)
            .map(|raw| serde_json::from_str(raw.get()).unwrap())
    };
    let list: Option<serde_json::Value> = parse("reactions");
    let list = list.iter().flat_map(|it| it.as_array().unwrap());
    let name = |it: &serde_json::Value, name: &str| it[name].as_str().unwrap().to_owned();
    let shown = list.map(|it| {
        format!(
            "{}/{}={}",
            name(it, "did"),
            name(it, "rkey"),
            name(it, "value")
        )
    });
    let count: Option<serde_json::Value> = parse("reactionsCount");
    (shown.collect(), count.and_then(|it| it.as_i64()))
}

const ONE_CHILD: &str =
    r#","value":"x","reactionsCount":1,"reactions":[{"did":"bob","rkey":"self","value":"+"}]"#;

#[test]
fn a_child_that_moves_leaves_its_old_parent_and_the_counts_follow() {
    let mut store = Store::default();
    snapshot(
        &mut store,
        [
            record(None, "a", "1", US, ONE_CHILD),
            text("a", "2", US + 1, "y"),
        ],
    );
    store
        .add_child(&child("at://a/c/2", "carol", "self", "!"))
        .unwrap();
    store
        .add_child(&child("at://a/c/2", "bob", "self", "moved"))
        .unwrap();
    assert_eq!(children(&store, "1"), (vec![], None));
    let both = vec!["bob/self=moved".to_owned(), "carol/self=!".into()];
    assert_eq!(children(&store, "2"), (both, Some(2)));
    store
        .add_child(&child("at://a/c/1", "bob", "self", "back"))
        .unwrap();
    assert_eq!(
        children(&store, "1"),
        (vec!["bob/self=back".into()], Some(1))
    );
    assert_eq!(children(&store, "2").1, Some(1));
}

#[test]
fn a_child_that_moves_to_a_grouped_parent_leaves_its_old_group() {
    let mut store = Store::default();
    let of = |did: &str, rkey: &str| {
        format!(
            r#","value":"x","reactionsCount":1,"reactions":{{"+":[{{"did":"{did}","rkey":"k","value":{{"e":"+","of":"at://a/c/{rkey}"}}}}]}}"#
        )
    };
    let rows = [("1", of("bob", "1")), ("2", of("carol", "2"))];
    snapshot(
        &mut store,
        rows.map(|(rkey, rest)| record(None, "a", rkey, US, &rest)),
    );
    let moved = r#"{"parentUri":"at://a/c/2","relation":"reactions","child":{"did":"bob","rkey":"k","value":{"e":"+"}}}"#;
    store
        .add_child(&serde_json::from_str(moved).unwrap())
        .unwrap();
    let field = |rkey: &str, name: &str| {
        let entry = store.entries().find(|it| it.record.rkey() == rkey).unwrap();
        let raw = entry.record.extra(name)?;
        Some(serde_json::from_str::<serde_json::Value>(raw.get()).unwrap())
    };
    assert_eq!(field("1", "reactions"), None);
    assert_eq!(field("1", "reactionsCount"), None);
    let both = field("2", "reactions").unwrap();
    assert_eq!(both["+"][0]["did"], "bob");
    assert_eq!(both["+"][1]["did"], "carol");
    assert_eq!(field("2", "reactionsCount"), Some(2.into()));
}

#[test]
fn a_parent_that_arrived_live_gets_children_and_counts_too() {
    let mut store = Store::default();
    snapshot(&mut store, [record(None, "z", "shown", US, ONE_CHILD)]);
    store.upsert(text("a", "1", US, "live"));
    store
        .add_child(&child("at://a/c/1", "bob", "k", "+"))
        .unwrap();
    store.upsert(text("a", "1", US, "edited"));
    assert_eq!(children(&store, "1"), (vec!["bob/k=+".into()], Some(1)));
    let gone =
        r#"{"parentUri":"at://a/c/1","relation":"reactions","childRkey":"k","childDid":"bob"}"#;
    store
        .remove_child(&serde_json::from_str(gone).unwrap())
        .unwrap();
    assert_eq!(children(&store, "1"), (vec![], None));
}

#[test]
fn a_did_matched_child_belongs_to_every_record_of_its_did() {
    let mut store = Store::default();
    let rows = [
        text("a", "1", US, "x"),
        text("a", "2", US, "x"),
        record(
            None,
            "b",
            "3",
            US,
            &ONE_CHILD.replace(r#""reactionsCount":1,"#, ""),
        ),
    ];
    snapshot(&mut store, rows);
    for text in ["p", "q"] {
        let _ = store.add_child(&child("at://a/c/_", "a", "profile", text));
    }
    for rkey in ["1", "2"] {
        assert_eq!(children(&store, rkey), (vec!["a/profile=q".into()], None));
    }
    assert_eq!(children(&store, "3"), (vec!["bob/self=+".into()], None));
}

#[test]
fn a_child_that_the_query_may_have_left_out_shows_and_asks_for_a_snapshot() {
    let mut store = Store::default();
    let seven = ONE_CHILD.replace("Count\":1", "Count\":7");
    snapshot(&mut store, [record(None, "a", "1", US, &seven)]);
    let added = store.add_child(&child("at://a/c/1", "carol", "k", "+"));
    assert_eq!(added, Err(Unknowable::Doubtful));
    assert_eq!(children(&store, "1").0.len(), 2);
}

fn first(max_records: usize) -> Store {
    let view = View {
        max_records: Some(max_records),
        ..View::default()
    };
    Store::new(view, Home::default())
}

fn rkeys(store: &Store) -> Vec<&str> {
    store.entries().map(|it| it.record.rkey()).collect()
}

#[test]
fn max_records_shows_the_first_ones_and_loses_none_of_the_others() {
    let mut store = first(3);
    let rows = |from: i64, to: i64| (from..to).map(|n| text("a", &n.to_string(), US + n, "x"));
    snapshot(&mut store, rows(4, 9));
    assert_eq!(rkeys(&store), ["8", "7", "6"]);
    // Of what a reconnect brings, what is still to be evicted takes no place away.
    snapshot(&mut store, rows(4, 10).filter(|it| it.rkey() != "6"));
    assert_eq!(rkeys(&store), ["9", "8", "7"]);
    store.take_changes();
    store.delete("at://a/c/8").unwrap();
    assert_eq!(rkeys(&store), ["9", "7", "5"]);
    let changes: Vec<Change> = store.take_changes().collect();
    assert!(matches!(&changes[..], [
        Change::Gone(gone),
        Change::Set(come, Touch::New),
    ] if gone.record.rkey() == "8" && come.record.rkey() == "5"));
    store.upsert(text("a", "99", US + 99, "x"));
    assert_eq!(rkeys(&store), ["99", "9", "7"]);
    let changes: Vec<Change> = store.take_changes().collect();
    assert!(
        matches!(&changes[..], [Change::Set(..), Change::Gone(gone)] if gone.record.rkey() == "5")
    );
    // What nobody sees changes for nobody.
    store.upsert(text("a", "4", US, "edited"));
    assert_eq!(store.take_changes().count(), 0);
}

#[test]
fn a_child_leaves_no_parent_in_another_space() {
    let mut store = Store::default();
    let space = |name: &str, rkey: &str| {
        record(Some(&format!("ats://a/t/{name}")), "a", rkey, US, ONE_CHILD)
    };
    snapshot(&mut store, [space("1", "p"), space("2", "q")]);
    let mut there = child("at://a/c/q", "bob", "self", "!");
    let json = there.child.get().replace('{', r#"{"space":"ats://a/t/2","#);
    there.child = serde_json::value::RawValue::from_string(json).unwrap();
    store.add_child(&there).unwrap();
    assert_eq!(children(&store, "p").0, ["bob/self=+"]);
    assert_eq!(children(&store, "q").0, ["bob/self=!"]);
}

#[test]
fn a_count_that_the_server_cannot_mean_overflows_nothing() {
    let mut store = Store::default();
    let most = ONE_CHILD.replace("Count\":1", &format!("Count\":{}", i64::MAX));
    snapshot(&mut store, [record(None, "a", "1", US, &most)]);
    let _ = store.add_child(&child("at://a/c/1", "carol", "k", "+"));
    assert_eq!(children(&store, "1").1, Some(i64::MAX));
}

#[test]
fn a_store_holds_no_more_bytes_than_its_bound_and_keeps_the_first_records() {
    let body = "x".repeat(1000);
    let mut store = Store::default().with_max_bytes(20_000);
    for n in 0..100 {
        store.upsert(text("a", &format!("{n:03}"), US + n, &body));
    }
    assert!((10..20).contains(&store.len()), "{}", store.len());
    assert!(shown(&store)[0].starts_with("a/099"));
    assert!(store.bytes <= 20_000);
    // One that grows counts, too, as does one that is larger than all the room there is.
    store.upsert(text("a", "099", US + 99, &"x".repeat(12_000)));
    assert!(store.bytes <= 20_000 && store.len() < 10);
    store.upsert(text("a", "100", US + 100, &"x".repeat(50_000)));
    assert!(store.bytes <= 20_000);
    for entry in store.entries().cloned().collect::<Vec<_>>() {
        store.delete(entry.record.uri.as_str()).unwrap();
    }
    assert_eq!((store.bytes, store.confirmed), (0, 0));
}

#[test]
fn a_snapshot_that_begins_again_and_again_costs_nothing_and_loses_nothing() {
    let mut store = Store::default();
    snapshot(
        &mut store,
        (0..10).map(|n| text("a", &n.to_string(), MS + n, "x")),
    );
    for _ in 0..100_000 {
        store.begin_snapshot();
    }
    store.restore(text("a", "cached", MS, "x"), false);
    for n in 0..10 {
        store.confirm(text("a", &n.to_string(), MS + n, "x"));
    }
    assert_eq!(store.unnamed, Some(1));
    store.end_snapshot(None);
    assert_eq!(store.len(), 10);
}

#[test]
fn a_record_that_moves_out_of_sight_lets_the_next_one_in() {
    let mut store = first(3);
    let rows = (4..9).map(|n| text("a", &n.to_string(), US + n, "x"));
    snapshot(&mut store, rows);
    store.take_changes();
    store.upsert(text("a", "7", US, "x"));
    assert_eq!(rkeys(&store), ["8", "6", "5"]);
    let changes: Vec<Change> = store.take_changes().collect();
    assert!(matches!(&changes[..], [
        Change::Gone(gone),
        Change::Set(come, Touch::New),
    ] if gone.record.rkey() == "7" && come.record.rkey() == "5"));
}
