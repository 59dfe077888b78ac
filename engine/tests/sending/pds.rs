//! The exchange with a server that plays a PDS and an appview of spaces.

use std::time::Duration;

use appview::{AcceptThen, Fault, On, Options, PdsWrite};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use contrail_sync_engine::{
    Action, AtUri, CONFLICT, HeaderName, Outcome, Secret, SignRequest, Write, XrpcSender,
};
use serde_json::{json, value::RawValue};

use crate::{App, With, kind};

const ALICE: &str = "did:plc:alice";
const BOB: &str = "did:plc:bob";

struct Pds {
    server: appview::Server,
    app: App,
    sender: XrpcSender,
}

impl Pds {
    /// One that alice has signed in to.
    async fn open() -> Self {
        let server = appview::Server::start(Options::default()).await.unwrap();
        let token = server.pds_session(ALICE).unwrap();
        let app = App::new().keeps("session", &token).await;
        let sender = XrpcSender::new(server.url().parse().unwrap()).bearer("session");
        Self {
            server,
            app,
            sender,
        }
    }

    async fn send(&self, write: Write) -> Outcome {
        self.app.sends(&self.sender, write).await
    }

    /// Puts a record, and gives its hash.
    async fn put(&self, text: &str) -> String {
        match self.send(put(text)).await {
            Outcome::Sent { cid: Some(cid) } => cid,
            other => panic!("{other:?}"),
        }
    }

    fn log(&self) -> Vec<PdsWrite> {
        self.server.pds_log()
    }

    /// Which of the writes that it got changed something.
    fn applied(&self) -> Vec<bool> {
        self.log().iter().map(|it| it.applied).collect()
    }

    /// The next write is carried out, and its answer is lost.
    fn lose_an_answer(&self, how: AcceptThen) {
        let fault = Fault {
            on: Some(On::Write),
            times: Some(1),
            accept_then: Some(how),
            status: (how == AcceptThen::Status).then_some(502),
            ..Fault::default()
        };
        self.server.fault(fault).unwrap();
    }
}

fn write(action: Action) -> Write {
    let uri = format!("at://{ALICE}/com.example.chat.message/1");
    Write::new("key-1", AtUri::parse(uri).unwrap(), action)
}

fn put(text: &str) -> Write {
    let record = json!({ "text": text }).to_string();
    write(Action::Put(std::sync::Arc::from(
        RawValue::from_string(record).unwrap(),
    )))
}

fn swap(cid: &str) -> impl FnOnce(&mut Write) {
    let cid = Some(cid.to_owned());
    move |write| write.swap = cid
}

#[tokio::test]
async fn a_put_and_a_delete_may_be_repeated() {
    let pds = Pds::open().await;
    assert_eq!(pds.put("hello").await, pds.put("hello").await);
    for _ in 0..2 {
        assert_eq!(pds.send(write(Action::Delete)).await, Outcome::SENT);
    }
    assert_eq!(pds.applied(), [true, false, true, false]);
    let log = pds.log();
    assert!(log.iter().all(|it| it.key.as_deref() == Some("key-1")));
    assert!(log.iter().all(|it| it.did.as_deref() == Some(ALICE)));
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_a_conflict_and_what_arrived_is_none() {
    let pds = Pds::open().await;
    let old = pds.put("one").await;
    let other = pds.put("somebody else's").await;
    let refused =
        |outcome: &Outcome| matches!(outcome, Outcome::Refused(why) if why.kind == CONFLICT);
    let outcome = pds.send(put("mine").with(swap(&old))).await;
    assert!(refused(&outcome), "{outcome:?}");
    let outcome = pds.send(write(Action::Delete).with(swap(&old))).await;
    assert!(refused(&outcome), "{outcome:?}");
    // The answer is lost on the way, however that shows.
    let mut before = other;
    for how in [AcceptThen::Close, AcceptThen::Status] {
        let mine = put(&format!("mine {how:?}")).with(swap(&before));
        pds.lose_an_answer(how);
        let outcome = pds.send(mine.clone()).await;
        assert!(matches!(outcome, Outcome::Later { .. }), "{outcome:?}");
        match pds.send(mine).await {
            Outcome::Sent { cid: Some(cid) } => before = cid,
            other => panic!("{other:?}"),
        }
    }
    let delete = write(Action::Delete).with(swap(&before));
    pds.lose_an_answer(AcceptThen::Close);
    let outcome = pds.send(delete.clone()).await;
    assert_eq!(kind(&outcome), "later connect");
    assert_eq!(pds.send(delete).await, Outcome::SENT);
    let applied = pds.applied();
    let [puts, refusals] = [&applied[..2], &applied[2..4]];
    assert_eq!((puts, refusals), (&[true; 2][..], &[false; 2][..]));
    assert_eq!(applied[4..], [true, false, true, false, true, false]);
}

#[tokio::test]
async fn an_answer_that_never_comes_is_no_reason_to_wait_for_ever() {
    let pds = Pds::open().await;
    pds.lose_an_answer(AcceptThen::Stall);
    let impatient = pds.sender.clone().timeout(Duration::from_millis(300));
    let outcome = pds.app.sends(&impatient, put("hello")).await;
    assert_eq!(kind(&outcome), "later timeout");
    pds.put("hello").await;
    assert_eq!(pds.applied(), [true, false]);
}

#[tokio::test]
async fn an_expired_token_is_refreshed_by_the_app_and_waits_for_it_in_the_vault() {
    let pds = Pds::open().await;
    let expired = pds.server.pds_session_for(ALICE, 0).unwrap();
    let app = App::new().keeps("session", &expired).await;
    let outcome = app.sends(&pds.sender, put("hello")).await;
    assert_eq!(kind(&outcome), "later auth-required");
    assert!(!format!("{outcome:?}").contains(&expired[..20]));
    let tokens = [expired, pds.server.pds_session(ALICE).unwrap()];
    let signing = pds.sender.clone().authorize(move |request: SignRequest| {
        let token = &tokens[request.attempt as usize - 1];
        let bearer = Secret::new(format!("Bearer {token}"));
        async move { Ok(vec![(HeaderName::from_static("authorization"), bearer)]) }
    });
    let outcome = app.sends(&signing, put("hello")).await;
    assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
    assert_eq!(pds.applied(), [false, false, true]);
}

#[tokio::test]
async fn a_proof_has_the_nonce_that_the_server_gave_last() {
    let pds = Pds::open().await;
    let token = pds.server.pds_session(ALICE).unwrap();
    let sender = pds.sender.clone().authorize(move |request: SignRequest| {
        let says = json!({
            "htm": request.method.as_str(),
            "htu": request.url.as_str(),
            "nonce": request.dpop_nonce,
        });
        // Nobody here looks at its head and its signature.
        let proof = format!("e30.{}.e30", URL_SAFE_NO_PAD.encode(says.to_string()));
        let token = Secret::new(format!("DPoP {token}"));
        async move {
            Ok(vec![
                (HeaderName::from_static("authorization"), token),
                (HeaderName::from_static("dpop"), Secret::new(proof)),
            ])
        }
    });
    for (nonce, attempts) in [("one", 2), ("one", 1), ("two", 2), ("two", 1)] {
        pds.server.set_dpop_nonce(Some(nonce)).unwrap();
        let before = pds.log().len();
        let outcome = pds.app.sends(&sender, put("hello")).await;
        assert!(matches!(outcome, Outcome::Sent { .. }), "{outcome:?}");
        assert_eq!(pds.log().len() - before, attempts, "{nonce}");
    }
}

#[tokio::test]
async fn nobody_writes_to_the_repo_of_another() {
    let pds = Pds::open().await;
    let token = pds.server.pds_session(BOB).unwrap();
    let app = App::new().keeps("session", &token).await;
    let as_bob = put("hello").with(|it| it.account = Some(BOB.to_owned()));
    let outcome = app.sends(&pds.sender, as_bob).await;
    assert_eq!(kind(&outcome), "later auth-required");
    assert_eq!(pds.log()[0].did.as_deref(), Some(ALICE));
    assert_eq!(pds.applied(), [false]);
}

#[tokio::test]
async fn members_of_a_space_write_there_and_others_are_refused() {
    let pds = Pds::open().await;
    let space = pds.server.space("lounge", ALICE).unwrap();
    let url = pds.server.url();
    let sender = pds
        .sender
        .clone()
        .spaces(url.parse().unwrap(), "com.example");
    let in_space = |write: Write| write.with(|it| it.space = Some(space.clone()));
    for action in [
        put("hello"),
        put("hello"),
        write(Action::Delete),
        write(Action::Delete),
    ] {
        let outcome = pds.app.sends(&sender, in_space(action)).await;
        assert_eq!(outcome, Outcome::SENT);
    }
    let log = pds.log();
    assert!(log.iter().all(|it| it.space_uri.as_ref() == Some(&space)));
    let token = pds.server.pds_session(BOB).unwrap();
    let app = App::new().keeps("session", &token).await;
    let outcome = app.sends(&sender, in_space(put("hello"))).await;
    assert_eq!(outcome, Outcome::refused("forbidden", "not-member"));
}
