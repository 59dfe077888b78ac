use super::*;
use crate::pure::store::change::Change;

const BODY: &str = r#"{"text":"mine"}"#;

fn record(rkey: &str, text: &str, cid: Option<&str>, time_us: i64) -> Record {
    let cid = cid.map_or(String::new(), |cid| format!(r#","cid":"{cid}""#));
    let json = format!(
        r#"{{"uri":"at://did:plc:a/c/{rkey}","time_us":{time_us}{cid},"value":{{"text":"{text}"}}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn overlay(id: u64, rkey: &str, body: Option<&str>) -> Overlay {
    let value = body.map(|body| Arc::from(RawValue::from_string(body.to_owned()).unwrap()));
    Overlay {
        written: Written {
            id,
            deletes: body.is_none(),
            sent: false,
            cid: None,
            over: None,
            past: Vec::new(),
        },
        uri: AtUri::parse(format!("at://did:plc:a/c/{rkey}")).unwrap(),
        space: None,
        value,
        time_us: 50,
        failed: None,
        adds: true,
    }
}

/// The same, once the server has taken it as this version.
fn sent(mut overlay: Overlay, cid: Option<&str>) -> Overlay {
    overlay.written.sent = true;
    overlay.written.cid = cid.map(str::to_owned);
    overlay
}

fn with(records: &[Record]) -> Store {
    let mut store = Store::default();
    store.begin_snapshot();
    for record in records {
        store.confirm(record.clone());
    }
    store.end_snapshot(None);
    store.take_changes();
    store
}

fn shown(store: &Store) -> Vec<(String, bool)> {
    let entries = store.entries();
    entries
        .map(|it| (it.record.value.get().to_owned(), it.optimistic.is_some()))
        .collect()
}

#[test]
fn a_write_is_shown_until_the_servers_own_record_is_here() {
    let mut store = with(&[]);
    store.show_write(overlay(1, "k", Some(BODY)), 0);
    assert_eq!(shown(&store), [(BODY.to_owned(), true)]);
    // The same record, told before the answer: it is still going to be sent.
    store.upsert(record("k", "mine", Some("c1"), 60));
    assert_eq!(shown(&store), [(BODY.to_owned(), true)]);
    store.show_write(sent(overlay(1, "k", Some(BODY)), Some("c1")), 0);
    assert_eq!(shown(&store), [(BODY.to_owned(), false)]);
    assert_eq!(store.take_confirmed(), [1]);
}

#[test]
fn somebody_elses_version_goes_under_a_write_that_waits_and_over_one_that_was_sent() {
    let mut store = with(&[record("k", "old", Some("c0"), 10)]);
    let mut mine = overlay(1, "k", Some(BODY));
    mine.written.over = Some("c0".into());
    store.show_write(mine.clone(), 0);
    store.upsert(record("k", "theirs", Some("c9"), 60));
    assert_eq!(shown(&store), [(BODY.to_owned(), true)]);

    mine.written.over = Some("c9".into());
    store.show_write(sent(mine, Some("c1")), 0);
    assert!(
        store.take_confirmed().is_empty(),
        "its own version has not come yet"
    );
    store.upsert(record("k", "newer", Some("c2"), 70));
    assert_eq!(shown(&store), [(r#"{"text":"newer"}"#.to_owned(), false)]);
    assert_eq!(store.take_confirmed(), [1]);
}

#[test]
fn a_list_that_is_older_than_the_write_confirms_nothing() {
    let mut store = with(&[record("k", "old", Some("c1"), 10)]);
    let mut mine = sent(overlay(1, "k", Some(BODY)), Some("c3"));
    mine.written.over = Some("c2".into());
    mine.written.past = vec!["c1".into(), "c2".into()];
    store.show_write(mine, 0);
    for old in ["c1", "c2"] {
        store.begin_snapshot();
        store.confirm(record("k", "old", Some(old), 10));
        store.end_snapshot(None);
        assert_eq!(shown(&store), [(BODY.to_owned(), true)], "{old}");
    }
    store.upsert(record("k", "as the server keeps it", Some("c3"), 60));
    assert_eq!(store.take_confirmed(), [1]);
}

#[test]
fn a_deletion_marks_the_record_waits_for_one_that_is_not_here_and_ends_when_it_is_gone() {
    let mut store = with(&[record("k", "old", None, 10)]);
    store.show_write(overlay(1, "k", None), 0);
    store.show_write(overlay(2, "later", None), 0);
    assert!(store.entries().all(|it| it.is_going()));
    store.upsert(record("later", "arrives", None, 20));
    assert_eq!(store.entries().filter(|it| it.is_going()).count(), 2);
    for (id, rkey) in [(1, "k"), (2, "later")] {
        store.show_write(sent(overlay(id, rkey, None), None), 0);
        store.delete(&format!("at://did:plc:a/c/{rkey}")).unwrap();
    }
    assert!(store.is_empty());
    assert_eq!(store.take_confirmed(), [1, 2]);
}

#[test]
fn a_refused_deletion_is_shown_again_and_what_is_withdrawn_is_as_the_server_has_it() {
    let mut store = with(&[record("k", "old", None, 10)]);
    let mut refused = overlay(1, "k", None);
    refused.failed = Some(EditError::new("no", "not yours"));
    store.show_write(refused, 0);
    let entry = store.entries().next().unwrap();
    assert!(!entry.is_going() && entry.optimistic.is_some());
    store.show_write(overlay(2, "new", Some(BODY)), 0);
    for rkey in ["k", "new"] {
        store.withdraw_write(&format!("at://did:plc:a/c/{rkey}"), None, false);
    }
    assert_eq!(shown(&store), [(r#"{"text":"old"}"#.to_owned(), false)]);
    let told: Vec<Change> = store.take_changes().collect();
    assert!(!told.is_empty());
}

#[test]
fn a_page_takes_no_write_back_and_a_watch_that_lacks_the_record_shows_none() {
    let mut store = with(&[]);
    let mut elsewhere = overlay(1, "k", Some(BODY));
    elsewhere.adds = false;
    store.show_write(elsewhere.clone(), 0);
    assert!(store.is_empty());
    // Nor has it a say in whether it is confirmed.
    store.show_write(sent(elsewhere, None), 0);
    let mut deletion = overlay(2, "k", None);
    deletion.adds = false;
    store.show_write(sent(deletion, None), 0);
    assert!(store.take_confirmed().is_empty());
    store.show_write(overlay(1, "k", Some(BODY)), 0);
    let edit = crate::pure::store::edit::Edit::Remove {
        rkey: "k".into(),
        did: None,
    };
    store.edit(edit, 0).unwrap();
    assert_eq!(shown(&store).len(), 1);
}

#[test]
fn a_conflict_is_told_with_the_servers_version() {
    let mut store = with(&[record("k", "theirs", Some("c1"), 10)]);
    let mut refused = overlay(7, "k", Some(BODY));
    refused.failed = Some(EditError::new("conflict", "theirs"));
    store.show_write(refused, 0);
    let entry = store.entries().next().unwrap();
    let told = serde_json::to_value(&**entry).unwrap();
    assert_eq!(told["write"], 7);
    assert_eq!(told["serverValue"]["text"], "theirs");
    assert_eq!(told["value"]["text"], "mine");
}

#[test]
fn what_another_list_has_confirmed_is_shown_until_this_one_has_it_or_comes_whole_without_it() {
    let mut store = with(&[record("k", "old", None, 10)]);
    store.show_write(sent(overlay(1, "k", Some(BODY)), None), 0);
    store.withdraw_write("at://did:plc:a/c/k", None, true);
    assert_eq!(shown(&store), [(BODY.to_owned(), true)]);
    store.begin_snapshot();
    store.confirm(record("k", "old", None, 10));
    store.end_snapshot(None);
    assert_eq!(shown(&store), [(r#"{"text":"old"}"#.to_owned(), false)]);
}
