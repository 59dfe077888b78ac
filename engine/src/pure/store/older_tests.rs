use super::*;
use crate::pure::protocol::record::Record;

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
    store.end_snapshot(cursor.map(str::to_owned), true);
}

fn listed(records: Vec<Record>, cursor: Option<String>) -> Listed {
    Listed {
        is_empty: records.is_empty(),
        is_whole: true,
        records,
        cursor,
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
    let page = store.begin_page(true).unwrap();
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
    let page = store.begin_page(true).unwrap();
    assert_eq!(page, older("5"));
    store.end_page(&page, listed(records(0..5), None)).unwrap();
    assert_eq!(shown(&store), (0..20).rev().collect::<Vec<_>>());
    assert!(store.begin_page(true).is_none() && store.cursor().is_none());
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
    let page = store.begin_page(false).unwrap();
    assert_eq!(page, stale("12"));
    let mut first = records([11, 10, 9]);
    first.push(record(7, "edited"));
    store
        .end_page(&page, listed(first, Some("7".into())))
        .unwrap();
    assert!(!shown(&store).contains(&8) && shown(&store).contains(&6));
    assert!(store.has_stale_pages());
    let page = store.begin_page(false).unwrap();
    store
        .end_page(&page, listed(records([6, 5, 4]), Some("4".into())))
        .unwrap();
    assert!(!store.has_stale_pages());
    let edited = store
        .entries()
        .find(|it| it.record.rkey() == "007")
        .unwrap();
    assert_eq!(edited.record.value.get(), "\"edited\"");
    assert_eq!(store.cursor().map(|it| &**it), Some("5"));
}

#[test]
fn without_older_pages_a_snapshot_is_all_there_is() {
    let mut store = Store::default();
    snapshot(&mut store, 10..20, Some("10"));
    store.upsert(record(21, "x"));
    snapshot(&mut store, 15..25, Some("15"));
    assert_eq!(shown(&store), (15..25).rev().collect::<Vec<_>>());
    assert_eq!(store.cursor().map(|it| &**it), Some("15"));
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
    let page = store.begin_page(true).unwrap();
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
    let page = store.begin_page(true).unwrap();
    snapshot(&mut store, 10..20, Some("10"));
    assert_eq!(
        store.end_page(&page, listed(records(5..10), None)),
        Err(Outdated)
    );
}

#[test]
fn an_empty_page_is_the_last_one_whatever_it_says() {
    let mut store = paged();
    let page = store.begin_page(true).unwrap();
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
        while let Some(page) = store.begin_page(false) {
            store.end_page(&page, pages(asked)).unwrap();
            asked += 1;
            assert!(asked < 5);
        }
        assert!(shown(&store).contains(&7), "what nobody told about stays");
    };
    refresh(&mut |n| listed(records([30, 31]), Some(format!("cursor {n}"))));
    let mut store = paged();
    let page = store.begin_page(true).unwrap();
    store
        .end_page(&page, listed(records([4]), Some("5".into())))
        .unwrap();
    assert!(
        store.cursor().is_none(),
        "a page that leads to itself is the last one"
    );
}

#[test]
fn a_page_that_cannot_be_read_whole_takes_nothing_away() {
    let mut store = paged();
    snapshot(&mut store, 12..22, Some("12"));
    let page = store.begin_page(false).unwrap();
    let part = Listed {
        is_whole: false,
        ..listed(records([11, 9]), Some("9".into()))
    };
    store.end_page(&page, part).unwrap();
    assert!(shown(&store).contains(&10) && shown(&store).contains(&5));
    assert!(!store.has_stale_pages());
    assert_eq!(store.cursor().map(|it| &**it), Some("5"));
}

#[test]
fn what_happens_to_children_while_a_page_is_on_its_way_is_not_lost() {
    let mut store = Store::default();
    store.begin_snapshot();
    let likes = r#"{"uri":"at://d/c/020","time_us":1,"value":1,"likes":[{"did":"b","rkey":"1"}]}"#;
    store.confirm(serde_json::from_str(likes).unwrap());
    store.end_snapshot(Some("10".into()), true);
    let page = store.begin_page(true).unwrap();
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
