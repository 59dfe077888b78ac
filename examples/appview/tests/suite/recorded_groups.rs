//! Grouped relations and relations by did, as recorded.

use appview::{Put, Server, WsMode};
use serde_json::{Value, json};

use crate::common::*;

const E1: &str = "at://did:plc:alice/com.example.event/e1";
const GOING: &str = "com.example.rsvp#going";
const INTERESTED: &str = "com.example.rsvp#interested";

struct Party {
    server: Server,
    space: String,
}

impl Party {
    async fn begin(key: &str) -> Self {
        let server = start(WsMode::Off).await;
        let space = server.space(key, ALICE).unwrap();
        Self { server, space }
    }

    fn put(&self, collection: &str, did: &str, rkey: &str, record: Value) {
        let put = message(&self.space, did, rkey, record);
        let collection = collection.into();
        self.server.put(Put { collection, ..put }).unwrap();
    }

    fn rsvp(&self, did: &str, rkey: &str, status: &str) {
        let body = json!({ "status": status });
        let put = child(&self.space, "rsvp", did, rkey, body, E1);
        self.server.put(put).unwrap();
    }

    fn gone(&self, collection: &str, did: &str, rkey: &str) {
        let gone = gone(&self.space, collection, did, rkey);
        assert!(self.server.delete(gone).unwrap());
    }
}

#[tokio::test]
async fn groups_and_badges_come_and_go_as_recorded() {
    let recorded = &exchanges("sse-07-hydration-grouped-and-didmatch.txt")[0];
    let party = Party::begin("grpmwt6ec0r").await;
    let event = json!({ "name": "party", "mode": "online", "startsAt": "2026-01-01" });
    party.put("event", ALICE, "e1", event);
    party.rsvp(ALICE, "r1", GOING);
    party.rsvp(BOB, "r2", INTERESTED);
    let badge = |rkey, label| {
        let badge = json!({ "label": label, "subject": ALICE });
        party.put("badge", BOB, rkey, badge);
    };
    badge("g1", "vip");
    let mut watch = open(&party.server, recorded).await;
    let mut seen = watch.snapshot().await;
    party.rsvp(CAROL, "r3", GOING);
    party.gone("rsvp", ALICE, "r1");
    badge("g2", "mod");
    party.gone("badge", BOB, "g1");
    party.gone("badge", BOB, "g2");
    seen.extend(watch.take(recorded.events.len() - seen.len()).await);
    assert_eq!(seen, recorded.events);
}

#[tokio::test]
async fn a_badge_is_on_every_event_and_its_removal_names_one_as_recorded() {
    let recorded = parts("sse-20-groups-and-matched-children.txt");
    let party = Party::begin("grouped").await;
    party.put("event", ALICE, "e1", json!({ "name": "one" }));
    let path = watch_path("event", &party.space, "&hydrateRsvps=10&hydrateBadges=10");
    let open = async || Sse::open(&party.server, &path, ALICE).await;
    let mut watch = open().await;
    let mut seen = watch.snapshot().await;
    party.rsvp(ALICE, "r1", GOING);
    party.rsvp(BOB, "r2", GOING);
    party.rsvp(CAROL, "r3", INTERESTED);
    party.put("badge", ALICE, "g1", json!({ "subject": ALICE }));
    party.put("event", ALICE, "e2", json!({ "name": "two" }));
    seen.extend(watch.take(5).await);
    assert_eq!(seen, recorded[0].events);
    assert_eq!(open().await.snapshot().await, recorded[1].events);
    let mut watch = open().await;
    let mut seen = watch.snapshot().await;
    party.gone("badge", ALICE, "g1");
    seen.push(watch.next().await);
    assert_eq!(seen, recorded[2].events);
    watch.is_silent().await;
    assert_eq!(open().await.snapshot().await, recorded[3].events);
}
