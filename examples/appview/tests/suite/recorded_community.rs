//! The watch of a community, as recorded.

use appview::{Community, Losses, Options};
use serde_json::json;

use crate::common::*;

const COMMUNITY: &str = "did:plc:community";

#[tokio::test]
async fn a_communitys_watch_and_its_refusals_are_as_recorded() {
    let recorded = exchanges("sse-15-actor-scoped.txt");
    // The recorded server was set up to publish what the documented one does not.
    let losses = Losses {
        community_events: false,
        ..Losses::default()
    };
    let options = Options {
        losses,
        ..Options::default()
    };
    let server = start_with(options).await;
    let community = Community {
        did: COMMUNITY.into(),
        spaces: vec!["genmwt6cus4".into(), "genmwt6ekth".into()],
        members: vec![BOB.into()],
        admins: vec![ALICE.into()],
    };
    let spaces = server.community(&community).unwrap();
    let say = |space: &str, did: &str, rkey: &str, text: &str| {
        let put = message(space, did, rkey, json!({ "text": text }));
        server.put(put).unwrap();
    };
    say(&spaces[0], COMMUNITY, "c1", "from community");
    say(&spaces[0], COMMUNITY, "c3", "c3");
    say(&spaces[0], ALICE, "a", "not the community's");
    say(&spaces[1], COMMUNITY, "c1", "from community");
    let mut watch = open(&server, &recorded[0]).await;
    let mut seen = watch.snapshot().await;
    say(&spaces[1], COMMUNITY, "c3", "c3");
    say(&spaces[1], BOB, "b", "not the actor");
    server.kick(&spaces[1], BOB).unwrap();
    seen.extend(watch.take(2).await);
    assert_eq!(seen, recorded[0].events);
    watch.ends().await;
    for refused in &recorded[1..4] {
        assert_answer(replay(&server, refused).await, refused).await;
    }
    let response = replay(&server, &recorded[4]).await;
    assert_headers(&response, &recorded[4]);
    let body = response.text().await.unwrap();
    assert_eq!(Json::parse(&body), Json::parse(&recorded[4].body));
    let topics = |body: &str| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        claims(body["ticket"].as_str().unwrap())["topics"].clone()
    };
    assert_eq!(topics(&body), topics(&recorded[4].body));
}
