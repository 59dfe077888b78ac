use super::*;
use crate::pure::protocol::{
    record::{AtUri, Record},
    wire::{ChildAdded, ChildRemoved},
};
use crate::pure::{
    store::{home::Home, window::Window},
    view::{View, filter::Filter, path::Path as FieldPath},
};

const OLDER: Wanted = Wanted {
    first: false,
    older: true,
};
const FIRST: Wanted = Wanted {
    first: true,
    older: false,
};
const T: i64 = 1_795_432_906_000_000;

fn record(n: i64, text: &str) -> Record {
    let json = format!(
        r#"{{"uri":"at://d/c/{n:03}","time_us":{},"value":"{text}"}}"#,
        T + n * 1000
    );
    serde_json::from_str(&json).unwrap()
}

fn records(numbers: impl IntoIterator<Item = i64>) -> Vec<Record> {
    numbers.into_iter().map(|n| record(n, "x")).collect()
}

fn snapshot(store: &mut Store, numbers: impl IntoIterator<Item = i64>, cursor: Option<&str>) {
    store.begin_snapshot();
    for record in records(numbers) {
        store.confirm(record);
    }
    store.end_snapshot(cursor.map(str::to_owned));
}

fn listed(records: Vec<Record>, cursor: Option<String>) -> Listed {
    Listed {
        is_empty: records.is_empty(),
        unreadable: Vec::new(),
        records,
        cursor,
        ..Listed::default()
    }
}

fn shown(store: &Store) -> Vec<i64> {
    let numbers = store.entries().map(|it| (it.record.time_us - T) / 1000);
    numbers.collect()
}

fn older(text: &str) -> Page {
    Page::Older(text.into())
}

fn stale(text: &str) -> Page {
    Page::Stale(text.into())
}

/// 10..20 from the snapshot, 5..10 from a page.
fn paged() -> Store {
    let mut store = Store::default();
    snapshot(&mut store, 10..20, Some("10"));
    let page = store.begin_page(OLDER).unwrap();
    assert_eq!(page, older("10"));
    store
        .end_page(&page, listed(records(5..10), Some("5".into())))
        .unwrap();
    store
}

#[test]
fn an_older_page_joins_below_the_snapshot_until_there_is_no_more() {
    let mut store = paged();
    assert_eq!(shown(&store), (5..20).rev().collect::<Vec<_>>());
    let page = store.begin_page(OLDER).unwrap();
    assert_eq!(page, older("5"));
    store.end_page(&page, listed(records(0..5), None)).unwrap();
    assert_eq!(shown(&store), (0..20).rev().collect::<Vec<_>>());
    assert!(store.begin_page(OLDER).is_none() && store.cursor().is_none());
}

#[test]
fn a_reconnect_evicts_within_its_window_and_refreshes_the_pages_below() {
    let mut store = paged();
    // 20..22 are new, 15 was deleted; 10 and 11 slid below the window.
    let window = (12..22).filter(|n| *n != 15);
    snapshot(&mut store, window, Some("12"));
    assert!(!shown(&store).contains(&15));
    assert!(shown(&store).contains(&10) && shown(&store).contains(&5));
    assert_eq!(store.cursor().map(|it| &**it), Some("5"));

    // 8 was deleted meanwhile, and 7 edited.
    let page = store.begin_page(Wanted::default()).unwrap();
    assert_eq!(page, stale("12"));
    let mut first = records([11, 10, 9]);
    first.push(record(7, "edited"));
    store
        .end_page(&page, listed(first, Some("7".into())))
        .unwrap();
    assert!(!shown(&store).contains(&8) && shown(&store).contains(&6));
    assert!(store.has_stale_pages());
    let page = store.begin_page(Wanted::default()).unwrap();
    store
        .end_page(&page, listed(records([6, 5, 4]), Some("4".into())))
        .unwrap();
    assert!(!store.has_stale_pages());
    let edited = store
        .entries()
        .find(|it| it.record.rkey() == "007")
        .unwrap();
    assert_eq!(edited.record.value.get(), "\"edited\"");
    // As far down as before, and a record further.
    assert_eq!(store.cursor().map(|it| &**it), Some("4"));
}

#[test]
fn a_list_that_grew_while_live_does_not_shrink_at_a_reconnect() {
    let mut store = Store::default();
    snapshot(&mut store, [1, 2], Some("1"));
    for n in [3, 4, 5] {
        store.upsert(record(n, "live"));
    }
    // The window is the first two again; 4 was deleted meanwhile, in its range or not.
    snapshot(&mut store, [3, 5], Some("3"));
    assert!(shown(&store).contains(&1) && shown(&store).contains(&2));
    let page = store.begin_page(Wanted::default()).unwrap();
    assert_eq!(page, stale("3"));
    store
        .end_page(&page, listed(records([2, 1]), Some("1".into())))
        .unwrap();
    let page = store.begin_page(Wanted::default());
    if let Some(page) = page {
        store.end_page(&page, listed(vec![], None)).unwrap();
    }
    assert_eq!(shown(&store), [5, 3, 2, 1]);
}

#[test]
fn a_quiet_snapshot_mends_what_was_lost_and_says_whether_it_did() {
    let mut store = Store::default();
    snapshot(&mut store, 0..5, None);
    let page = store.begin_page(FIRST).unwrap();
    assert_eq!(page, Page::First);
    let same = store.end_page(&page, listed(records(0..5), None));
    assert_eq!(same, Ok(false));

    // 1 was deleted, 3 edited and 7 created in silence; 8 came live while it was on its way, and 2 went.
    let page = store.begin_page(FIRST).unwrap();
    store.upsert(record(8, "live"));
    store.delete("at://d/c/002").unwrap();
    let mut now = records([0, 2, 4, 7]);
    now.push(record(3, "edited"));
    assert_eq!(store.end_page(&page, listed(now, None)), Ok(true));
    assert_eq!(shown(&store), [8, 7, 4, 3, 0]);
}

#[test]
fn a_quiet_snapshot_speaks_for_its_own_range_and_pages_below_it_are_looked_through() {
    let mut store = paged();
    let page = store.begin_page(FIRST).unwrap();
    // 15 went; 9 did, too, below the range.
    let window = records((10..20).filter(|n| *n != 15));
    store
        .end_page(&page, listed(window, Some("10".into())))
        .unwrap();
    assert!(!shown(&store).contains(&15) && shown(&store).contains(&9));
    let page = store.begin_page(Wanted::default()).unwrap();
    assert_eq!(page, stale("10"));
    let below = records((5..9).rev());
    store
        .end_page(&page, listed(below, Some("5".into())))
        .unwrap();
    assert_eq!(
        shown(&store),
        [19, 18, 17, 16, 14, 13, 12, 11, 10, 8, 7, 6, 5]
    );
    assert!(!store.has_stale_pages());
}

#[test]
fn no_page_begins_while_a_snapshot_arrives() {
    let mut store = Store::default();
    snapshot(&mut store, 10..20, Some("10"));
    store.begin_snapshot();
    assert!(store.begin_page(OLDER).is_none() && store.begin_page(FIRST).is_none());
    for record in records(10..20) {
        store.confirm(record);
    }
    store.end_snapshot(Some("10".into()));
    assert!(store.begin_page(OLDER).is_some());
}

#[test]
fn an_old_record_that_was_edited_stands_on_top_and_outlives_its_page() {
    let mut store = Store::default();
    snapshot(&mut store, 10..20, Some("10"));
    // 5 is below the window; an edit moves it to the top, here and in the server's list.
    let edited = |n: i64| Record {
        time_us: T + n * 1000,
        ..record(5, "edited")
    };
    store.upsert(edited(31));
    let page = store.begin_page(OLDER).unwrap();
    store.end_page(&page, listed(records(6..10), None)).unwrap();
    store.begin_snapshot();
    store.confirm(edited(30));
    for record in records(11..20) {
        store.confirm(record);
    }
    store.end_snapshot(Some("11".into()));
    assert_eq!(shown(&store)[0], 30);
    assert!(shown(&store).contains(&10) && shown(&store).contains(&6));
}

#[test]
fn with_a_filter_pages_are_looked_through_down_to_where_the_list_was_known() {
    let wanted = Filter::new(vec![(FieldPath::parse("value.room").unwrap(), "A".into())]);
    let view = View {
        filter: wanted,
        ..View::default()
    };
    let in_room = |n: i64, room: &str| -> Record {
        let value = format!(r#"{{"room":"{room}"}}"#);
        Record {
            value: serde_json::value::RawValue::from_string(value).unwrap(),
            ..record(n, "")
        }
    };
    let mut store = Store::new(view, Home::default());
    store.begin_snapshot();
    for n in 0..4 {
        store.confirm(in_room(n, "B"));
    }
    store.end_snapshot(Some("0".into()));
    assert!(store.is_empty());
    // While offline, twelve came; those in the room are just below the new window, where nothing of ours is.
    store.begin_snapshot();
    for n in 12..16 {
        store.confirm(in_room(n, "B"));
    }
    store.end_snapshot(Some("12".into()));
    let page = store.begin_page(Wanted::default()).unwrap();
    let below = (4..12).rev().map(|n| in_room(n, "A")).collect();
    store
        .end_page(&page, listed(below, Some("4".into())))
        .unwrap();
    let page = store.begin_page(Wanted::default()).unwrap();
    let known = (0..4).rev().map(|n| in_room(n, "B")).collect();
    store
        .end_page(&page, listed(known, Some("0".into())))
        .unwrap();
    assert_eq!(store.len(), 8);
    assert!(!store.has_stale_pages());
}

#[test]
fn records_of_one_time_at_the_edge_of_a_page_are_not_taken_for_gone() {
    let at = |n: i64, did: &str| -> Record {
        let json = format!(
            r#"{{"uri":"at://{did}/c/self","time_us":{},"value":1}}"#,
            T + n * 1000
        );
        serde_json::from_str(&json).unwrap()
    };
    let mut store = Store::default();
    store.begin_snapshot();
    for (n, did) in [(9, "a"), (5, "b"), (5, "c"), (5, "d"), (1, "e")] {
        store.confirm(at(n, did));
    }
    store.end_snapshot(None);
    // The window ends amid those of one time; the next page begins strictly below all of them.
    store.begin_snapshot();
    for (n, did) in [(9, "a"), (5, "c")] {
        store.confirm(at(n, did));
    }
    store.end_snapshot(Some("5".into()));
    assert_eq!(store.len(), 5);
    let page = store.begin_page(Wanted::default()).unwrap();
    store
        .end_page(&page, listed(vec![at(1, "e")], Some("1".into())))
        .unwrap();
    let page = store.begin_page(Wanted::default()).unwrap();
    store.end_page(&page, listed(vec![], None)).unwrap();
    assert_eq!(store.len(), 5);
}

/// A store of a server without a stream, which has listed these.
fn of_lists(first: Vec<Record>, cursor: &str) -> Store {
    let mut store = Store::default();
    store.has_lists_only(true);
    store.begin_snapshot();
    first.into_iter().for_each(|it| store.confirm(it));
    store.end_snapshot(Some(cursor.to_owned()));
    store
}

fn at(n: i64, name: &str) -> Record {
    let json = format!(
        r#"{{"uri":"at://d/c/{name}","time_us":{},"value":"x"}}"#,
        T + n * 1000
    );
    serde_json::from_str(&json).unwrap()
}

fn names(store: &Store) -> String {
    let names = store.entries().map(|it| it.record.rkey().to_owned());
    names.collect()
}

#[test]
fn in_lists_a_record_that_went_at_the_edge_of_a_page_is_gone_though_others_have_its_time() {
    let mut store = of_lists(vec![at(2, "a"), at(1, "b"), at(1, "c")], "c");
    let page = store.begin_page(OLDER).unwrap();
    let below = vec![at(1, "d"), at(1, "e"), at(1, "f")];
    store
        .end_page(&page, listed(below, Some("f".into())))
        .unwrap();
    assert_eq!(names(&store), "abcdef");

    // Without b on the first page and e on the one below.
    let page = store.begin_page(FIRST).unwrap();
    let first = vec![at(2, "a"), at(1, "c"), at(1, "d")];
    store
        .end_page(&page, listed(first, Some("d".into())))
        .unwrap();
    assert_eq!(names(&store), "acdef");
    let page = store.begin_page(Wanted::default()).unwrap();
    assert_eq!(page, stale("d"));
    let below = vec![at(1, "f"), at(0, "g"), at(0, "h")];
    store
        .end_page(&page, listed(below, Some("h".into())))
        .unwrap();
    assert_eq!(names(&store), "acdfgh");
    assert_eq!(store.cursor().unwrap().as_ref(), "h");
    assert_eq!(store.begin_page(Wanted::default()), None);
}

#[test]
fn in_lists_pages_of_records_of_one_time_lead_on() {
    let mut store = of_lists(vec![at(1, "b"), at(1, "c"), at(1, "d")], "d");
    // One came on top: d is below the first page from now on.
    let page = store.begin_page(FIRST).unwrap();
    let first = vec![at(2, "a"), at(1, "b"), at(1, "c")];
    store
        .end_page(&page, listed(first, Some("c".into())))
        .unwrap();
    let page = store.begin_page(Wanted::default()).unwrap();
    assert_eq!(page, stale("c"));
    store
        .end_page(&page, listed(vec![at(1, "d")], None))
        .unwrap();
    assert_eq!((names(&store).as_str(), store.cursor()), ("abcd", None));
}

#[test]
fn in_lists_a_first_page_of_new_records_joins_no_older_ones() {
    let mut store = of_lists(vec![at(6, "a"), at(5, "b"), at(4, "c")], "c");
    let page = store.begin_page(OLDER).unwrap();
    // The server took the cursor for none, and others have written meanwhile.
    let first = vec![at(9, "x"), at(8, "y"), at(7, "z")];
    let joined = store.end_page(&page, listed(first, Some("z".into())));
    assert!(matches!(joined, Err(Outdated)));
    assert_eq!(store.cursor().unwrap().as_ref(), "c");
}

#[test]
fn a_snapshot_without_a_cursor_covers_everything() {
    let mut store = paged();
    snapshot(&mut store, 12..20, None);
    assert_eq!(shown(&store), (12..20).rev().collect::<Vec<_>>());
    assert!(store.cursor().is_none() && !store.has_stale_pages());
}

#[test]
fn a_page_does_not_undo_what_happened_while_it_was_on_its_way() {
    let mut store = Store::default();
    snapshot(&mut store, 10..20, Some("10"));
    let page = store.begin_page(OLDER).unwrap();
    store.delete("at://d/c/007").unwrap();
    store.upsert(record(8, "newer"));
    store.end_page(&page, listed(records(5..10), None)).unwrap();
    assert!(!shown(&store).contains(&7));
    let known = store
        .entries()
        .find(|it| it.record.rkey() == "008")
        .unwrap();
    assert_eq!(known.record.value.get(), "\"newer\"");

    let mut store = Store::default();
    snapshot(&mut store, 10..20, Some("10"));
    let page = store.begin_page(OLDER).unwrap();
    snapshot(&mut store, 10..20, Some("10"));
    assert_eq!(
        store.end_page(&page, listed(records(5..10), None)),
        Err(Outdated)
    );
}

#[test]
fn a_record_that_is_told_between_two_pages_of_a_refresh_does_not_go_with_the_second() {
    let mut store = paged();
    let page = store.begin_page(FIRST).unwrap();
    let first = records((10..20).rev());
    store
        .end_page(&page, listed(first, Some("10".into())))
        .unwrap();
    // It rises from below.
    let edited = r#"{"uri":"at://d/c/007","time_us":1795432906030000,"value":"edited"}"#;
    assert_eq!(store.upsert(serde_json::from_str(edited).unwrap()), None);
    let page = store.begin_page(Wanted::default()).unwrap();
    let below = records([9, 8, 6, 5]);
    store.end_page(&page, listed(below, None)).unwrap();
    assert_eq!(shown(&store)[..2], [30, 19]);
    assert_eq!(store.len(), 15);
}

#[test]
fn a_page_that_was_answered_before_a_kick_does_not_bring_its_space_back() {
    let mut store = paged();
    let page = store.begin_page(FIRST).unwrap();
    let mut secret = record(30, "secret");
    secret.space = Some("ats://d/t/k".into());
    store.purge_space("ats://d/t/k");
    let outcome = store.end_page(&page, listed(vec![secret], None));
    assert_eq!(outcome, Err(Outdated));
    assert_eq!(shown(&store), (5..20).rev().collect::<Vec<_>>());
}

#[test]
fn an_empty_page_is_the_last_one_whatever_it_says() {
    let mut store = paged();
    let page = store.begin_page(OLDER).unwrap();
    store
        .end_page(&page, listed(vec![], Some("more".into())))
        .unwrap();
    assert!(store.cursor().is_none());
}

#[test]
fn a_server_that_makes_no_progress_is_not_asked_for_ever() {
    let refresh = |pages: &mut dyn FnMut(usize) -> Listed| {
        let mut store = paged();
        snapshot(&mut store, 12..22, Some("12"));
        let mut asked = 0;
        while let Some(page) = store.begin_page(Wanted::default()) {
            store.end_page(&page, pages(asked)).unwrap();
            asked += 1;
            assert!(asked < 5);
        }
        assert!(shown(&store).contains(&7), "what nobody told about stays");
    };
    refresh(&mut |n| listed(records([30, 31]), Some(format!("cursor {n}"))));
    let mut store = paged();
    let page = store.begin_page(OLDER).unwrap();
    store
        .end_page(&page, listed(records([4]), Some("5".into())))
        .unwrap();
    assert!(
        store.cursor().is_none(),
        "a page that leads to itself is the last one"
    );
}

#[test]
fn an_unreadable_record_is_all_that_a_snapshot_or_a_page_spares() {
    let mut store = paged();
    store.begin_snapshot();
    for record in records((12..22).filter(|n| ![15, 16].contains(n))) {
        store.confirm(record);
    }
    store.spare("at://d/c/016");
    store.end_snapshot(Some("12".into()));
    assert!(!shown(&store).contains(&15) && shown(&store).contains(&16));
    let page = store.begin_page(Wanted::default()).unwrap();
    let part = Listed {
        unreadable: vec![record(10, "").uri],
        ..listed(records([11, 8]), Some("8".into()))
    };
    store.end_page(&page, part).unwrap();
    assert!(shown(&store).contains(&10) && !shown(&store).contains(&9));
}

#[test]
fn a_first_page_of_unreadable_records_alone_takes_nothing_of_what_follows_it() {
    let odd = AtUri::parse("at://d/c/odd").unwrap();
    let mut store = paged();
    let page = store.begin_page(FIRST).unwrap();
    let first = Listed {
        unreadable: vec![odd],
        cursor: Some("x".into()),
        ..Listed::default()
    };
    store.end_page(&page, first).unwrap();
    assert_eq!(store.len(), 15);
    let page = store.begin_page(Wanted::default()).unwrap();
    assert_eq!(page, stale("x"));
    let below = records((5..20).rev());
    store
        .end_page(&page, listed(below, Some("5".into())))
        .unwrap();
    assert_eq!((store.len(), store.has_stale_pages()), (15, false));

    store.begin_snapshot();
    store.spare("at://d/c/odd");
    store.end_snapshot(Some("x".into()));
    assert_eq!(store.len(), 15);
}

#[test]
fn what_happens_to_children_while_a_page_is_on_its_way_is_not_lost() {
    let mut store = Store::default();
    store.begin_snapshot();
    let likes = r#"{"uri":"at://d/c/020","time_us":1,"value":1,"likes":[{"did":"b","rkey":"1"}]}"#;
    store.confirm(serde_json::from_str(likes).unwrap());
    store.end_snapshot(Some("10".into()));
    let page = store.begin_page(OLDER).unwrap();
    let added = r#"{"parentUri":"at://d/c/007","relation":"likes","child":{"did":"a","rkey":"1"}}"#;
    store
        .add_child(&serde_json::from_str(added).unwrap())
        .unwrap();
    store.end_page(&page, listed(records(5..10), None)).unwrap();
    let parent = store
        .entries()
        .find(|it| it.record.rkey() == "007")
        .unwrap();
    assert!(parent.record.extra("likes").is_some());
}

#[test]
fn what_is_remembered_while_a_page_is_on_its_way_has_a_bound_in_bytes() {
    let mut store = Store::default();
    snapshot(&mut store, 10..20, Some("10"));
    let text = "x".repeat(1024 * 1024);
    let added = format!(
        r#"{{"parentUri":"at://d/c/007","relation":"likes","child":{{"did":"a","rkey":"1","value":"{text}"}}}}"#
    );
    let added = serde_json::from_str(&added).unwrap();
    for (children, outcome) in [(15, Ok(true)), (17, Err(Outdated))] {
        let page = store.begin_page(OLDER).unwrap();
        for _ in 0..children {
            let _ = store.add_child(&added);
        }
        let listed = listed(records(5..10), Some("5".into()));
        assert_eq!(store.end_page(&page, listed), outcome);
    }
}

#[test]
fn every_part_of_what_is_remembered_counts_and_no_more_than_it_is_long() {
    let (long, short) = (&*"x".repeat(1024 * 1024), &*"x".repeat(100));
    let added = |parent: &str, relation: &str, child: &str| {
        ChildChange::Added(ChildAdded {
            parent_uri: parent.into(),
            relation: relation.into(),
            child: serde_json::from_str(&format!("\"{child}\"")).unwrap(),
        })
    };
    let removed = |parent: &str, relation: &str, rkey: &str, did: &str| {
        ChildChange::Removed(ChildRemoved {
            parent_uri: parent.into(),
            relation: relation.into(),
            child_rkey: rkey.into(),
            child_did: Some(did.into()),
        })
    };
    let is_kept = |change: &ChildChange, times: usize| {
        let mut window = Window {
            meanwhile: Some(Meanwhile::default()),
            ..Window::default()
        };
        for _ in 0..times {
            window.touched_child(|| change.clone());
        }
        window.meanwhile.is_some()
    };
    for change in [
        added(long, short, short),
        added(short, long, short),
        added(short, short, long),
        removed(long, short, short, short),
        removed(short, long, short, short),
        removed(short, short, long, short),
        removed(short, short, short, long),
    ] {
        assert!(is_kept(&change, 15) && !is_kept(&change, 16));
    }
    // Many small ones are no more than they are, either.
    for change in [
        added(short, short, short),
        removed(short, short, short, short),
    ] {
        assert!(is_kept(&change, 10_000) && !is_kept(&change, 10_001));
    }
}

#[test]
fn a_store_that_is_full_by_records_or_by_bytes_asks_for_no_older_page() {
    let bytes = record(10, "x").bytes();
    for (store, is_full) in [
        (Store::with_limit(10), true),
        (Store::with_limit(11), false),
        // An eighth of the bytes is left to what comes live.
        (Store::default().with_max_bytes(11 * bytes), true),
        (Store::default().with_max_bytes(12 * bytes), false),
    ] {
        let mut store = store;
        snapshot(&mut store, 10..20, Some("10"));
        assert_eq!(store.len(), 10);
        assert_eq!(store.begin_page(OLDER).is_none(), is_full);
    }
}

#[test]
fn records_that_stand_elsewhere_among_those_of_their_time_are_told_and_no_others() {
    let mut store = Store::default();
    for (n, name) in [(3, "z"), (2, "c"), (2, "b"), (2, "a"), (1, "y")] {
        store.upsert(at(n, name));
    }
    assert_eq!(names(&store), "zcbay");
    store.take_changes();
    let told = |store: &mut Store| {
        let changes = store.take_changes().map(|it| match it {
            Change::Set(entry, Touch::Moved) => entry.record.rkey().to_owned(),
            other => panic!("{other:?}"),
        });
        changes.collect::<String>()
    };
    store.has_lists_only(true);
    assert_eq!((&*names(&store), &*told(&mut store)), ("zabcy", "ac"));
    store.has_lists_only(false);
    assert_eq!((&*names(&store), &*told(&mut store)), ("zcbay", "ca"));
}

#[test]
fn a_quiet_snapshot_of_less_than_half_of_the_last_one_is_implausible() {
    let mut store = Store::default();
    snapshot(&mut store, 0..9, None);
    store.begin_page(FIRST).unwrap();
    let is_implausible = |store: &Store, count| {
        let mut page = listed(records(0..count), None);
        // One that cannot be read is there, too.
        page.unreadable.extend(AtUri::parse("at://d/c/odd"));
        store.is_implausible(&page)
    };
    assert!(is_implausible(&store, 3));
    assert!(!is_implausible(&store, 4) && !is_implausible(&store, 20));
    // What was deleted since is not missed.
    store.delete("at://d/c/008").unwrap();
    assert!(!is_implausible(&store, 3));
}
