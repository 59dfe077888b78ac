use std::collections::BTreeMap;

use super::*;
use crate::pure::{
    protocol::record::Record,
    store::{
        edit::{Edit, EditError, EditRecord},
        home::Home,
    },
    view::{
        View,
        filter::Filter,
        path::Path,
        sort::{Sort, SortBy},
    },
};

fn record(n: i64, text: &str) -> Record {
    let json = format!(r#"{{"uri":"at://d/c/{n}","time_us":{n},"value":"{text}"}}"#);
    serde_json::from_str(&json).unwrap()
}

/// A store, and what the cache of its first three records has not heard.
struct Kept {
    store: Store,
    ledger: RowLedger,
}

impl Kept {
    fn new() -> Self {
        Self {
            store: Store::default(),
            ledger: RowLedger::new(3),
        }
    }

    fn snapshot(&mut self, numbers: impl IntoIterator<Item = i64>) {
        self.store.begin_snapshot();
        for n in numbers {
            self.store.confirm(record(n, "x"));
        }
        self.store.end_snapshot(None);
        self.ledger.synced();
    }

    /// What is to be written: rkeys of rows, of those that are gone, and whether these are all.
    fn take(&mut self) -> (Vec<String>, Vec<String>, bool) {
        for change in self.store.take_changes() {
            self.ledger.note(&change);
        }
        let changes = self.ledger.take(&self.store);
        let mut set: Vec<_> = changes
            .set
            .iter()
            .map(|it| it.record.rkey().to_owned())
            .collect();
        let rkey = |uri: &str| uri.rsplit('/').next().unwrap_or_default().to_owned();
        let mut gone: Vec<_> = changes.gone.iter().map(|(_, uri)| rkey(uri)).collect();
        set.sort_unstable();
        gone.sort_unstable();
        (set, gone, changes.replace)
    }
}

fn texts(numbers: &[&str]) -> Vec<String> {
    numbers.iter().map(ToString::to_string).collect()
}

#[test]
fn the_first_rows_are_all_there_are_and_then_only_what_changed() {
    let mut kept = Kept::new();
    assert!(!kept.ledger.is_dirty(), "nothing is the server's yet");
    kept.snapshot(1..=5);
    assert!(kept.ledger.is_dirty());
    assert_eq!(kept.take().0, texts(&["3", "4", "5"]));
    assert!(!kept.ledger.is_dirty());
    kept.store.upsert(record(4, "edited"));
    let (set, gone, all) = kept.take();
    assert_eq!((set, gone, all), (texts(&["4"]), texts(&[]), false));
}

#[test]
fn a_record_that_moves_up_into_what_is_kept_is_written_and_one_that_leaves_is_gone() {
    let mut kept = Kept::new();
    kept.snapshot(1..=5);
    kept.take();
    kept.store.delete("at://d/c/5").unwrap();
    assert_eq!(kept.take(), (texts(&["2"]), texts(&["5"]), false));
    kept.store.upsert(record(6, "new"));
    assert_eq!(kept.take(), (texts(&["6"]), texts(&["2"]), false));
}

#[test]
fn a_purge_forgets_what_was_to_be_written_and_begins_with_all_there_is() {
    let mut kept = Kept::new();
    kept.snapshot(1..=2);
    kept.take();
    kept.store.upsert(record(3, "new"));
    kept.store
        .take_changes()
        .for_each(|it| kept.ledger.note(&it));
    kept.ledger.purge();
    assert!(!kept.ledger.is_dirty());
    kept.snapshot(1..=1);
    assert_eq!(kept.take(), (texts(&["1"]), texts(&[]), true));
}

#[test]
fn cleared_rows_are_written_again_once_something_changes_and_then_all_of_them() {
    let mut kept = Kept::new();
    kept.snapshot(1..=2);
    kept.take();
    kept.ledger.discard();
    assert!(!kept.ledger.is_dirty());
    kept.store.upsert(record(3, "new"));
    assert_eq!(kept.take(), (texts(&["1", "2", "3"]), texts(&[]), true));
}

#[test]
fn a_cache_without_room_is_given_half_of_what_it_had() {
    let mut kept = Kept::new();
    kept.ledger = RowLedger::new(100);
    kept.snapshot(1..=9);
    kept.take();
    kept.ledger.keep_fewer();
    assert!(kept.ledger.is_dirty());
    let half = texts(&["6", "7", "8", "9"]);
    assert_eq!(kept.take(), (half, texts(&[]), true));
}

/// The rows of a watch as a file has them: each as (body, time).
#[derive(Debug, Default, PartialEq)]
struct CacheFile(BTreeMap<Identity, (String, i64)>);

impl CacheFile {
    /// As the cache writes: what is set takes the place of what was.
    fn write(&mut self, changes: RowChanges) {
        if changes.replace {
            self.0.clear();
        }
        for gone in changes.gone {
            self.0.remove(&gone);
        }
        self.0.extend(changes.set.iter().map(|it| row(it)));
    }
}

fn row(entry: &Entry) -> (Identity, (String, i64)) {
    let record = &entry.record;
    let content = (record.value.get().to_owned(), record.time_us);
    (record.identity(), content)
}

/// Some record of a few, with a body that sorts anywhere.
fn any(rng: &mut fastrand::Rng) -> Record {
    let (did, rkey, time) = (rng.u8(..2), rng.u8(..12), rng.u8(..6));
    let (space, n, text) = (rng.u8(..2), rng.u8(..5), rng.u8(..3));
    let time = 1_795_432_906_000_000 + i64::from(time) * 1_000_000;
    let json = format!(
        r#"{{"uri":"at://d{did}/c/{rkey}","space":"s{space}","time_us":{time},"value":{{"n":{n},"text":{text}}}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn any_edit(rng: &mut fastrand::Rng, like: &Record) -> Edit {
    let (rkey, did) = (like.rkey().to_owned(), like.did().to_owned());
    match rng.u8(..4) {
        0 => Edit::Remove {
            rkey,
            did: Some(did),
        },
        1 => Edit::Fail {
            rkey,
            did: Some(did),
            error: EditError {
                name: "Error".into(),
                message: "no".into(),
            },
        },
        _ => Edit::Add {
            record: EditRecord {
                rkey,
                did,
                collection: Some("c".into()),
                value: serde_json::value::RawValue::from_string(like.value.get().to_owned())
                    .unwrap(),
                time_us: rng.bool().then_some(like.time_us),
                uri: None,
                space: rng.bool().then(|| like.space.as_deref().unwrap().into()),
            },
        },
    }
}

fn any_view(rng: &mut fastrand::Rng) -> View {
    let by_value = || SortBy::Value(Path::parse("value.n").unwrap());
    let by = match rng.u8(..3) {
        0 => SortBy::TimeUs,
        1 => SortBy::Rkey,
        _ => by_value(),
    };
    View {
        sort: Sort {
            by,
            ascending: rng.bool(),
        },
        filter: Filter::default(),
        max_records: rng.bool().then(|| rng.usize(1..10)),
    }
}

/// One thing that happens to a store.
fn happen(store: &mut Store, rng: &mut fastrand::Rng) {
    let record = any(rng);
    match rng.u8(..20) {
        0..9 => drop(store.upsert(record)),
        // Whether it is in two spaces does not matter here.
        9..12 => drop(store.delete(record.uri.as_str())),
        12..18 => drop(store.edit(any_edit(rng, &record), record.time_us)),
        _ => {
            store.begin_snapshot();
            for _ in 0..rng.usize(..12) {
                store.confirm(any(rng));
            }
            store.end_snapshot(None);
        }
    }
}

#[test]
fn after_each_write_the_cache_has_the_first_confirmed_records_of_the_order_and_no_others() {
    for seed in 0..1_000 {
        let rng = &mut fastrand::Rng::with_seed(seed);
        let (view, keep) = (any_view(rng), rng.usize(..8));
        let mut store = Store::new(view.clone(), Home::default());
        let (mut ledger, mut file) = (RowLedger::new(keep), CacheFile::default());
        ledger.synced();
        for _ in 0..12 {
            for _ in 0..rng.usize(1..6) {
                happen(&mut store, rng);
            }
            store.take_changes().for_each(|it| ledger.note(&it));
            if rng.u8(..8) == 0 {
                // Another hand was at the file.
                file.0.clear();
                ledger.start_over();
            }
            file.write(ledger.take(&store));
            let first = store.entries().filter_map(Entry::confirmed).take(keep);
            let first = CacheFile(first.map(|it| row(it)).collect());
            assert_eq!(file, first, "seed {seed}, the first {keep} of {view:?}");
            assert!(!ledger.is_dirty());
        }
    }
}
