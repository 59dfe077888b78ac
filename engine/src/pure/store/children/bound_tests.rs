//! What a server sends costs no more than a small multiple of its own size.

use super::tests::*;
use crate::pure::{
    protocol::{
        bound::{Bound, MAX_CHILDREN, MAX_COST, MAX_FIELDS, MAX_RECORD_BYTES, MAX_RELATIONS},
        extra::Extra,
    },
    store::{
        Store,
        change::{Change, Unknowable},
    },
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn large(bytes: usize) -> String {
    format!(r#","text":"{}""#, "x".repeat(bytes))
}

/// What the last changes cost to tell, in bytes.
fn told(store: &mut Store) -> usize {
    let size = |it: Change| match it {
        Change::Set(entry, _) | Change::Gone(entry) => entry.size(),
    };
    store.take_changes().map(size).sum()
}

#[test]
fn records_that_share_a_child_share_its_bytes() {
    let numbers = 0..100;
    let records = numbers.map(|it| record(ALICE, &it.to_string(), ""));
    let mut store = store(records.chain([record(BOB, "b", &badges(&badge(CAROL, BOB)))]));
    for did in [CAROL, "did:plc:dan"] {
        let new = added(&uri("_"), "badges", &badge(did, ALICE));
        assert_eq!(store.add_child(&new), Ok(()));
    }
    let lists = store
        .entries()
        .filter_map(|it| match it.record.extras.get("badges")? {
            Extra::Children(children) => Some(children.clone()),
            Extra::Scalar(_) | Extra::Raw(_) => None,
        });
    let lists: Vec<_> = lists.collect();
    assert_eq!((lists.len(), lists[0].len()), (100, 2));
    assert!(lists.iter().all(|it| std::ptr::eq(&**it, &*lists[0])));
}

#[test]
fn what_one_event_changes_is_a_small_multiple_of_what_the_server_has_sent() {
    for (records, events, bytes) in [(1000, 1, 4 * MIB), (5000, 100, 200), (50, 2, KIB)] {
        let numbers = 0..records;
        let rows = numbers.map(|it| record(ALICE, &it.to_string(), ""));
        let mut store = store(rows.chain([record(BOB, "b", &badges(&badge(CAROL, BOB)))]));
        let mut sent = told(&mut store);
        let mut refused = 0;
        for n in 0..events {
            let child = badge(CAROL, ALICE).replace("\"g\"", &format!("\"g{n}\""));
            let child = child.replace("}}", &format!("{}}}}}", large(bytes)));
            sent += child.len();
            match store.add_child(&added(&uri("_"), "badges", &child)) {
                Ok(()) => {}
                Err(bound) => {
                    assert_eq!(bound, Unknowable::TooMuch(Bound::Cost));
                    refused += 1;
                }
            }
            let told = told(&mut store);
            sent += told.saturating_sub(sent * MAX_COST);
            assert!(told <= sent * MAX_COST, "{told} of {sent}");
        }
        // What is usual is not refused.
        assert_eq!(refused == 0, records == 50, "{refused} of {events}");
    }
}

#[test]
fn badges_for_an_author_of_200_records_appear_live() {
    let records = (0..200).map(|it| record(ALICE, &it.to_string(), ""));
    let mut store = store(records.chain([record(BOB, "b", &badges(&badge(CAROL, BOB)))]));
    for did in ["did:plc:1", "did:plc:2", "did:plc:3", "did:plc:4"] {
        let new = added(&uri("_"), "badges", &badge(did, ALICE));
        assert_eq!(store.add_child(&new), Ok(()));
    }
}

#[test]
fn a_new_record_inherits_no_more_than_was_paid_for() {
    let large = badge(BOB, ALICE).replace("}}", &format!("{}}}}}", large(MIB)));
    let mut store = store(["e1", "e2"].map(|it| record(ALICE, it, &badges(&large))));
    let mut doubts = Vec::new();
    for n in 0..40 {
        doubts.extend(store.upsert(record(ALICE, &format!("new{n}"), "")));
    }
    assert!(doubts.len() >= 8);
    assert_eq!(doubts[0], Unknowable::TooMuch(Bound::Cost));
}

#[test]
fn a_record_grows_by_children_up_to_a_bound() {
    let likes = child(BOB, "l", &uri("e"), "");
    let fields = format!(r#""likes":[{likes}],"likesCount":1"#);
    let mut store = store([record(ALICE, "e", &fields)]);
    let add = |store: &mut Store, n: usize, bytes: usize| {
        let did = format!("did:plc:{n}");
        let new = child(&did, "l", &uri("e"), &large(bytes));
        store.add_child(&added(&uri("e"), "likes", &new))
    };
    let bound = Unknowable::TooMuch(Bound::RecordBytes);
    let grown = (0..100)
        .take_while(|n| add(&mut store, *n, MIB) == Ok(()))
        .count();
    assert_eq!(grown, MAX_RECORD_BYTES / MIB - 1);
    assert_eq!(add(&mut store, 99, MIB), Err(bound));
    assert_eq!(field(&store, "e", "likesCount"), grown + 1);
    // What makes it smaller is taken, where the server has sent enough to pay for telling it.
    let other = format!(r#""x":"{}""#, "x".repeat(MIB));
    assert_eq!(store.upsert(record(BOB, "other", &other)), None);
    assert_eq!(add(&mut store, 0, KIB), Ok(()));
    let gone = removed(&uri("e"), "likes", "l", Some("did:plc:1"));
    assert_eq!(store.remove_child(&gone), Ok(()));
}

#[test]
fn a_record_has_children_up_to_a_bound() {
    let likes: Vec<String> = (1..MAX_CHILDREN)
        .map(|it| child(&format!("did:plc:{it}"), "l", &uri("e"), ""))
        .collect();
    let fields = format!(
        r#""likes":[{}],"likesCount":{}"#,
        likes.join(","),
        likes.len()
    );
    let mut store = store([record(ALICE, "e", &fields)]);
    let add = |store: &mut Store, did: &str| {
        store.add_child(&added(&uri("e"), "likes", &child(did, "l", &uri("e"), "")))
    };
    assert_eq!(add(&mut store, "did:plc:new"), Ok(()));
    let bound = Unknowable::TooMuch(Bound::Children);
    assert_eq!(add(&mut store, "did:plc:newer"), Err(bound));
    // An edit is none more.
    assert_eq!(add(&mut store, "did:plc:7"), Ok(()));
}

#[test]
fn relations_are_followed_up_to_a_bound() {
    let mut store = store([record(ALICE, "e", &grouped("e"))]);
    let bound = Err(Unknowable::TooMuch(Bound::Relations));
    let known = (0..100).map(|n| {
        let name = format!("relation{n}");
        store.add_child(&added(&uri("e"), &name, &rsvp(BOB, "e", "going")))
    });
    let known: Vec<_> = known.collect();
    assert_eq!(
        known.iter().filter(|it| **it != bound).count(),
        MAX_RELATIONS - 1
    );
    let long = "x".repeat(KIB);
    let new = added(&uri("e"), &long, &rsvp(BOB, "e", "going"));
    assert_eq!(store.add_child(&new), bound);
}

#[test]
fn an_update_adds_fields_up_to_a_bound_and_says_what_it_leaves_out() {
    let fields = |prefix: &str, count: usize| -> String {
        let fields = (0..count).map(|it| format!(r#""{prefix}{it}":1"#));
        fields.collect::<Vec<_>>().join(",")
    };
    let mut store = store([record(ALICE, "e", &fields("a", MAX_FIELDS))]);
    assert_eq!(store.upsert(record(ALICE, "e", &fields("a", 7))), None);
    let doubt = store.upsert(record(ALICE, "e", &fields("b", 1)));
    assert_eq!(doubt, Some(Unknowable::TooMuch(Bound::Fields)));
    // So many bytes are too many, too.
    let parts: Vec<_> = (0..4)
        .map(|it| format!(r#""c{it}":"{}""#, "x".repeat(4 * MIB - KIB)))
        .collect();
    assert_eq!(store.upsert(record(ALICE, "large", &parts.join(","))), None);
    let more = format!(r#""d":"{}""#, "x".repeat(4 * MIB));
    let doubt = store.upsert(record(ALICE, "large", &more));
    assert_eq!(doubt, Some(Unknowable::TooMuch(Bound::RecordBytes)));
}

#[test]
fn what_is_out_of_all_proportion_is_paid_for_too() {
    let likes = child(BOB, "l", &uri("e"), &large(4 * MIB - KIB));
    let fields = format!(r#""likes":[{likes}],"likesCount":1"#);
    let mut store = store([record(ALICE, "e", &fields)]);
    let small = child(CAROL, "l", &uri("e"), "");
    let known: Vec<_> = (0..100)
        .map(|_| store.add_child(&added(&uri("e"), "likes", &small)))
        .collect();
    assert_eq!(known[..5], [Ok(()); 5]);
    assert_eq!(known[99], Err(Unknowable::TooMuch(Bound::Cost)));
}
