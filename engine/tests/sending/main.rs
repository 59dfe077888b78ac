//! The ready-made sender of writes, on real sockets: here against a server that answers byte for byte as it is told, and in
//! `pds` against one that plays a PDS.

mod pds;
mod server;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use contrail_sync_engine::{
    Action, AtUri, CONFLICT, HeaderName, Outcome, Secret, SendError, SendReason, SendRequest,
    Sender, SignRequest, Vault, Write, XrpcSender, internals::Http,
};
use serde_json::value::RawValue;
use server::{Asked, Reply, Server, answer, answer_with};
use tokio::net::TcpListener;

const URI: &str = "at://did:plc:alice/com.example.message/1";
const SPACE: &str = "ats://did:plc:alice/com.example.space/lounge";
const TOKEN: &str = "mellon-mellon-mellon-mellon-mellon";
const PUT: &str = "POST /xrpc/com.atproto.repo.putRecord";
const DELETE: &str = "POST /xrpc/com.atproto.repo.deleteRecord";
const LOOK: &str = "GET /xrpc/com.atproto.repo.getRecord?repo=did%3Aplc%3Aalice\
                    &collection=com.example.message&rkey=1";
const NOTICE: &str = "POST /xrpc/com.example.notifyOfUpdate";

fn done() -> Reply {
    answer(200, r#"{"uri":"at://x/y/z","cid":"bafynew"}"#)
}

fn write(action: Action) -> Write {
    Write::new("key-1", AtUri::parse(URI).unwrap(), action)
}

fn put() -> Write {
    let record = RawValue::from_string(r#"{"text":"hello"}"#.to_owned()).unwrap();
    write(Action::Put(std::sync::Arc::from(record)))
}

fn swapping(write: Write) -> Write {
    let swap = Some("bafyold".to_owned());
    Write::new(write.key, write.uri, write.action).with(|it| it.swap = swap)
}

fn in_space() -> Write {
    put().with(|it| it.space = Some(SPACE.to_owned()))
}

trait With: Sized {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl With for Write {}

/// What stands around a sender in an engine.
struct App {
    http: Http,
    vault: Vault,
}

impl App {
    fn new() -> Self {
        Self {
            http: Http::new(None).unwrap(),
            vault: Vault::memory(),
        }
    }

    async fn keeps(self, name: &str, secret: &str) -> Self {
        let name = format!("secret:{name}");
        self.vault.set(&name, Secret::new(secret)).await.unwrap();
        self
    }

    async fn sends(&self, sender: &XrpcSender, write: Write) -> Outcome {
        let (http, vault) = (self.http.clone(), self.vault.clone());
        let request = SendRequest::new(write, SendReason::First, http, vault);
        let sent = tokio::time::timeout(Duration::from_secs(20), sender.send(request));
        sent.await.expect("every attempt ends")
    }
}

async fn send(server: &Server, write: Write) -> Outcome {
    App::new()
        .sends(&XrpcSender::new(server.url.clone()), write)
        .await
}

fn sent(cid: &str) -> Outcome {
    let cid = Some(cid.to_owned());
    Outcome::Sent { cid }
}

/// Refused or to be tried again, and of what kind.
fn kind(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(why) => format!("refused {}", why.kind),
        Outcome::Later { why, .. } => format!("later {}", why.kind),
        sent => format!("{sent:?}"),
    }
}

#[tokio::test]
async fn a_put_and_a_delete_arrive_with_their_key_and_without_anybodys_credentials() {
    let server = Server::start([done(), answer(200, "")]).await;
    assert_eq!(send(&server, put()).await, sent("bafynew"));
    let deleting = swapping(write(Action::Delete));
    assert_eq!(send(&server, deleting).await, Outcome::SENT);
    assert_eq!(server.lines(), [PUT, DELETE]);
    let first = server.nth(0);
    let expected = serde_json::json!({
        "repo": "did:plc:alice",
        "collection": "com.example.message",
        "rkey": "1",
        "record": { "text": "hello" },
    });
    assert_eq!(first.json(), expected);
    assert_eq!(first.header("idempotency-key"), Some("key-1"));
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.header("authorization"), None);
    assert_eq!(server.nth(1).json()["swapRecord"], "bafyold");
}

#[tokio::test]
async fn a_write_is_its_authors_whoever_sends_it() {
    let server = Server::start([done()]).await;
    let of_bob = put().with(|it| it.account = Some("did:plc:bob".to_owned()));
    let sender = XrpcSender::new(server.url.clone()).bearer_of(|did| format!("of {did}"));
    let app = App::new().keeps("of did:plc:bob", "bobs").await;
    assert_eq!(app.sends(&sender, of_bob).await, sent("bafynew"));
    let asked = server.nth(0);
    assert_eq!(asked.json()["repo"], "did:plc:alice");
    assert_eq!(asked.header("authorization"), Some("Bearer bobs"));
}

#[tokio::test]
async fn a_write_of_a_space_goes_to_its_appview_or_nowhere() {
    let (pds, appview) = (Server::start([]).await, Server::start([done()]).await);
    let plain = XrpcSender::new(pds.url.clone()).bearer("session");
    let app = App::new().keeps("session", TOKEN).await;
    let outcome = app.sends(&plain, in_space()).await;
    assert_eq!(kind(&outcome), "refused no-spaces");
    let sender = plain.spaces(appview.url.clone(), "com.example");
    assert_eq!(app.sends(&sender, in_space()).await, sent("bafynew"));
    assert_eq!(appview.lines(), ["POST /xrpc/com.example.space.putRecord"]);
    let asked = appview.nth(0);
    let expected = serde_json::json!({
        "spaceUri": SPACE,
        "collection": "com.example.message",
        "rkey": "1",
        "record": { "text": "hello" },
    });
    assert_eq!(asked.json(), expected);
    // The PDS's token opens the account: it is for nobody else.
    assert_eq!(asked.header("authorization"), None);
    // Its request could not say whose the record is.
    let of_bob = in_space().with(|it| it.account = Some("did:plc:bob".to_owned()));
    let outcome = app.sends(&sender, of_bob).await;
    assert_eq!(kind(&outcome), "refused not-the-author");
    assert_eq!((pds.asked().len(), appview.asked().len()), (0, 1));
}

#[tokio::test]
async fn an_appview_of_spaces_gets_a_secret_of_its_own_and_a_shared_origin_the_same() {
    let appview = Server::start([done(), done()]).await;
    let app = App::new().keeps("session", "first").await;
    let app = app.keeps("appview", "second").await;
    let spaces = (appview.url.clone(), "com.example");
    let shared = XrpcSender::new(appview.url.clone()).bearer("session");
    let shared = shared.spaces(spaces.0.clone(), spaces.1);
    app.sends(&shared, in_space()).await;
    app.sends(&shared.spaces_bearer("appview"), in_space())
        .await;
    let headers = appview.asked().into_iter();
    let headers: Vec<_> = headers
        .map(|it| it.header("authorization").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(headers, ["Bearer first", "Bearer second"]);
}

#[tokio::test]
async fn a_secret_is_read_at_each_attempt() {
    let server = Server::start([done(), done()]).await;
    let sender = XrpcSender::new(server.url.clone()).bearer("session");
    let outcome = App::new().sends(&sender, put()).await;
    assert_eq!(kind(&outcome), "later auth-required");
    assert_eq!(server.asked().len(), 0);
    let mut app = App::new();
    for secret in ["one", "two"] {
        app = app.keeps("session", secret).await;
        assert_eq!(app.sends(&sender, put()).await, sent("bafynew"));
        let last = server.asked().pop().unwrap();
        assert_eq!(
            last.header("authorization"),
            Some(&*format!("Bearer {secret}"))
        );
    }
}

#[tokio::test]
async fn no_answer_gets_a_secret_into_an_error() {
    let app = App::new().keeps("session", TOKEN).await;
    let echo = format!(
        r#"{{"error":"InvalidRequest","message":"no {TOKEN} {}"}}"#,
        &TOKEN[3..30]
    );
    let name = format!(r#"{{"error":"{TOKEN}"}}"#);
    let typed = format!("content-type: {TOKEN}\r\nlocation: /{TOKEN}\r\n");
    for (reply, expected) in [
        (answer(400, &echo), "refused invalid-request"),
        (answer(500, &echo), "later http-status"),
        (answer(401, &echo), "later auth-required"),
        (answer(400, &name), "later http-status"),
        (answer_with(302, &typed, &echo), "later redirect"),
        (answer_with(200, &typed, TOKEN), "later bad-answer"),
        (
            Reply::Close(format!("HTTP/1.1 {TOKEN}\r\n\r\n")),
            "later connect",
        ),
    ] {
        let server = Server::start([reply]).await;
        let sender = XrpcSender::new(server.url.clone()).bearer("session");
        let outcome = app.sends(&sender, put()).await;
        assert_eq!(kind(&outcome), expected);
        let told = format!("{outcome:?} {sender:?}");
        assert!(!told.contains("mellon"), "{told}");
        assert_eq!(server.lines().len(), 1);
    }
    // Nor does a password of the URL.
    let server = Server::start([answer(400, &echo)]).await;
    let mut url = server.url.clone();
    url.set_password(Some(TOKEN)).unwrap();
    let sender = XrpcSender::new(url);
    let told = format!("{:?} {sender:?}", app.sends(&sender, put()).await);
    assert!(told.contains("invalid-request"), "{told}");
    assert!(!told.contains("mellon"), "{told}");
}

#[tokio::test]
async fn a_refusal_is_final_in_xrpcs_words_and_passes_in_a_gateways() {
    let refused = r#"{"error":"InvalidRecord","message":"text is too long"}"#;
    let framework = r#"{"statusCode":404,"error":"NotFound","message":"no"}"#;
    for (reply, expected) in [
        (answer(400, refused), "refused invalid-record"),
        (
            answer(413, "<h1>Too large</h1>"),
            "refused payload-too-large",
        ),
        (answer(404, framework), "later http-status"),
        (answer(403, "<h1>Forbidden</h1>"), "later http-status"),
        (answer(502, "<h1>Bad Gateway</h1>"), "later http-status"),
        (answer(408, ""), "later http-status"),
        (
            answer(200, "<h1>Welcome to our Wi-Fi</h1>"),
            "later bad-answer",
        ),
    ] {
        let server = Server::start([reply]).await;
        assert_eq!(kind(&send(&server, put()).await), expected);
        assert_eq!(server.lines(), [PUT]);
    }
    let server = Server::start([answer(400, refused)]).await;
    let expected = Outcome::refused("invalid-record", "text is too long");
    assert_eq!(send(&server, put()).await, expected);
}

#[tokio::test]
async fn who_asks_too_often_waits_as_long_as_the_server_asks() {
    let limited = r#"{"error":"RateLimitExceeded","message":"Rate Limit Exceeded"}"#;
    let after = async |headers: &str| {
        let server = Server::start([answer_with(429, headers, limited)]).await;
        match send(&server, put()).await {
            Outcome::Later { after, why } => (why.kind, after),
            other => panic!("{other:?}"),
        }
    };
    let limited_for = |seconds| {
        let after = Some(Duration::from_secs(seconds));
        ("rate-limited".to_owned(), after)
    };
    assert_eq!(after("retry-after: 17\r\n").await, limited_for(17));
    assert_eq!(after("ratelimit-reset: 18\r\n").await, limited_for(18));
    // As AT Protocol's servers say it. It is far in the future, by any clock.
    let far = "ratelimit-reset: 99999999999\r\n";
    assert_eq!(after(far).await, limited_for(3600));
    assert_eq!(after("").await, ("rate-limited".to_owned(), None));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start([]).await;
    let location = format!("location: {}\r\n", elsewhere.url);
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start([answer_with(status, &location, "")]).await;
        assert_eq!(kind(&send(&server, put()).await), "later redirect");
        assert_eq!(server.lines(), [PUT]);
    }
    assert_eq!(elsewhere.asked().len(), 0);
}

#[tokio::test]
async fn what_breaks_off_is_tried_again_later() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"cid\":";
    for (reply, expected) in [
        (Reply::Close(String::new()), "later connect"),
        (Reply::Close("HTTP/1.1 20".to_owned()), "later connect"),
        (Reply::Close(half.to_owned()), "later disconnected"),
        // The status of a refusal says enough.
        (
            Reply::Close(half.replace("200 OK", "503 No")),
            "later http-status",
        ),
    ] {
        let server = Server::start([reply]).await;
        assert_eq!(kind(&send(&server, put()).await), expected);
        assert_eq!(server.lines(), [PUT]);
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let sender = XrpcSender::new(url.parse().unwrap());
    let outcome = App::new().sends(&sender, put()).await;
    assert_eq!(kind(&outcome), "later connect");
    let sender = XrpcSender::new("ftp://pds.example".parse().unwrap());
    let outcome = App::new().sends(&sender, put()).await;
    assert_eq!(kind(&outcome), "refused invalid-url");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_in_time() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"cid\":";
    for held in ["", half] {
        let server = Server::start([Reply::Held(held.to_owned())]).await;
        let sender = XrpcSender::new(server.url.clone()).timeout(Duration::from_millis(300));
        let began = Instant::now();
        let outcome = App::new().sends(&sender, put()).await;
        assert_eq!(kind(&outcome), "later timeout");
        assert!((300..5000).contains(&began.elapsed().as_millis()));
        assert_eq!(server.lines(), [PUT]);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let large = |bytes: usize| {
        let empty = r#"{"cid":"bafynew","x":""}"#;
        let filled = format!(r#""x":"{}"}}"#, "x".repeat(bytes - empty.len()));
        answer(200, &empty.replace(r#""x":""}"#, &filled))
    };
    let most = 1024 * 1024;
    let server = Server::start([large(most), large(most + 1)]).await;
    assert_eq!(send(&server, put()).await, sent("bafynew"));
    assert_eq!(kind(&send(&server, put()).await), "later bad-answer");
}

#[tokio::test]
async fn a_conflict_is_looked_at_before_it_is_one() {
    let conflict = || {
        answer(
            400,
            r#"{"error":"InvalidSwap","message":"Record was at bafyother"}"#,
        )
    };
    let record = |text: &str| {
        let value = format!(r#"{{"$type":"com.example.message","text":"{text}"}}"#);
        answer(
            200,
            &format!(r#"{{"uri":"{URI}","cid":"bafythere","value":{value}}}"#),
        )
    };
    let gone = || answer(400, r#"{"error":"RecordNotFound","message":"no"}"#);
    let delete = || write(Action::Delete);
    let refused = Outcome::refused(CONFLICT, "Record was at bafyother");
    for (asked, found, expected) in [
        // The answer to an earlier attempt was lost.
        (put(), record("hello"), Some(sent("bafythere"))),
        (delete(), gone(), Some(Outcome::SENT)),
        (put(), record("somebody else's"), Some(refused.clone())),
        (put(), gone(), Some(refused.clone())),
        (delete(), record("hello"), Some(refused)),
        // Nobody knows yet.
        (put(), answer(503, ""), None),
        (put(), Reply::Close(String::new()), None),
        (delete(), answer(404, "<h1>Not Found</h1>"), None),
    ] {
        let method = if matches!(asked.action, Action::Put(_)) {
            PUT
        } else {
            DELETE
        };
        let server = Server::start([conflict(), found]).await;
        let sender = XrpcSender::new(server.url.clone()).bearer("session");
        let app = App::new().keeps("session", TOKEN).await;
        let outcome = app.sends(&sender, swapping(asked)).await;
        match expected {
            Some(expected) => assert_eq!(outcome, expected),
            None => assert!(kind(&outcome).starts_with("later"), "{outcome:?}"),
        }
        assert_eq!(server.lines(), [method, LOOK]);
        // Anybody may look.
        assert_eq!(server.nth(1).header("authorization"), None);
    }
    let server = Server::start([conflict()]).await;
    let sender = XrpcSender::new(server.url.clone()).spaces(server.url.clone(), "com.example");
    let outcome = App::new().sends(&sender, in_space()).await;
    assert_eq!(kind(&outcome), "refused conflict");
    assert_eq!(server.lines().len(), 1);
}

/// A sender whose app signs, and what it was asked to sign.
fn signing(server: &Server) -> (XrpcSender, Arc<Mutex<Vec<SignRequest>>>) {
    let asked = Arc::<Mutex<Vec<SignRequest>>>::default();
    let noted = asked.clone();
    let sender = XrpcSender::new(server.url.clone()).authorize(move |request: SignRequest| {
        let attempt = request.attempt;
        let proof = request
            .dpop_nonce
            .clone()
            .unwrap_or_else(|| "none".to_owned());
        noted.lock().unwrap().push(request);
        async move {
            Ok(vec![
                (
                    HeaderName::from_static("authorization"),
                    Secret::new(format!("DPoP {TOKEN}{attempt}")),
                ),
                (HeaderName::from_static("dpop"), Secret::new(proof)),
            ])
        }
    });
    (sender, asked)
}

fn wants_nonce(status: u16, nonce: &str) -> Reply {
    let headers = format!("dpop-nonce: {nonce}\r\n");
    answer_with(status, &headers, r#"{"error":"use_dpop_nonce"}"#)
}

/// What was sent: proof, and attempt at the end of the token.
fn proofs(server: &Server) -> Vec<String> {
    let asked = server.asked().into_iter();
    let proof = |it: Asked| {
        let token = it.header("authorization").unwrap();
        format!(
            "{} {}",
            it.header("dpop").unwrap(),
            &token[token.len() - 1..]
        )
    };
    asked.map(proof).collect()
}

#[tokio::test]
async fn a_request_is_signed_again_with_the_nonce_that_the_server_wants() {
    let next = answer_with(200, "DPoP-Nonce: three\r\n", r#"{"cid":"bafynew"}"#);
    for status in [400, 401] {
        let replies = [wants_nonce(status, "one"), done(), next.clone(), done()];
        let server = Server::start(replies).await;
        let (sender, asked) = signing(&server);
        let app = App::new();
        for _ in 0..3 {
            assert_eq!(app.sends(&sender, put()).await, sent("bafynew"));
        }
        // It is remembered, and so is the one of a successful answer.
        assert_eq!(proofs(&server), ["none 1", "one 1", "one 1", "three 1"]);
        let first = asked.lock().unwrap()[0].clone();
        let url = server.url.join("xrpc/com.atproto.repo.putRecord").unwrap();
        assert_eq!((first.method.as_str(), first.url), ("POST", url));
        assert_eq!(first.account, "did:plc:alice");
    }
    let server = Server::start([wants_nonce(401, "one"), wants_nonce(401, "two")]).await;
    let (sender, _) = signing(&server);
    let outcome = App::new().sends(&sender, put()).await;
    assert_eq!(kind(&outcome), "later auth-required");
    assert_eq!(proofs(&server), ["none 1", "one 1"]);
}

#[tokio::test]
async fn the_app_may_refresh_a_token_once() {
    let expired = || {
        answer(
            400,
            r#"{"error":"ExpiredToken","message":"Token has expired"}"#,
        )
    };
    let unknown = || answer(401, r#"{"error":"AuthenticationRequired"}"#);
    for refusal in [expired, unknown] {
        let server = Server::start([refusal(), done()]).await;
        let (sender, _) = signing(&server);
        assert_eq!(App::new().sends(&sender, put()).await, sent("bafynew"));
        assert_eq!(proofs(&server), ["none 1", "none 2"]);
        let server = Server::start([refusal(), refusal()]).await;
        let (sender, _) = signing(&server);
        let outcome = App::new().sends(&sender, put()).await;
        assert_eq!(kind(&outcome), "later auth-required");
        assert!(!format!("{outcome:?}").contains("mellon"));
        assert_eq!(server.lines().len(), 2);
        // A secret of the vault would be the same.
        let server = Server::start([refusal()]).await;
        let sender = XrpcSender::new(server.url.clone()).bearer("session");
        let app = App::new().keeps("session", TOKEN).await;
        let outcome = app.sends(&sender, put()).await;
        assert_eq!(kind(&outcome), "later auth-required");
        assert_eq!(server.lines(), [PUT]);
    }
    let server = Server::start([wants_nonce(401, "one"), expired(), done()]).await;
    let (sender, _) = signing(&server);
    assert_eq!(App::new().sends(&sender, put()).await, sent("bafynew"));
    assert_eq!(proofs(&server), ["none 1", "one 1", "one 2"]);
}

#[tokio::test]
async fn an_app_that_cannot_sign_has_the_write_wait() {
    let server = Server::start([]).await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let sender = XrpcSender::new(server.url.clone()).authorize(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err(SendError::new("signed-out", "sign in to write")) }
    });
    let outcome = App::new().sends(&sender, put()).await;
    assert_eq!(outcome, Outcome::later("signed-out", "sign in to write"));
    let sender = sender.timeout(Duration::from_millis(100));
    let sender = sender.authorize(|_| std::future::pending());
    let outcome = App::new().sends(&sender, put()).await;
    assert_eq!(kind(&outcome), "later timeout");
    assert_eq!((server.asked().len(), count.load(Ordering::SeqCst)), (0, 1));
}

#[tokio::test]
async fn an_appview_is_told_of_what_was_sent_and_holds_up_nothing() {
    let app = App::new().keeps("session", TOKEN).await;
    let notices = [
        answer(200, "{}"),
        answer(500, "no"),
        Reply::Close(String::new()),
    ];
    for notice in notices {
        let appview = Server::start([notice]).await;
        let pds = Server::start([done(), answer(400, r#"{"error":"InvalidRecord"}"#)]).await;
        let sender = XrpcSender::new(pds.url.clone()).bearer("session");
        let sender = sender.notify(appview.url.clone(), "com.example");
        assert_eq!(app.sends(&sender, put()).await, sent("bafynew"));
        let outcome = app.sends(&sender, put()).await;
        assert_eq!(kind(&outcome), "refused invalid-record");
        assert_eq!(appview.lines(), [NOTICE]);
        let asked = appview.nth(0);
        assert_eq!(asked.json(), serde_json::json!({ "uri": URI }));
        assert_eq!(asked.header("authorization"), None);
    }
    // Nor are writes of spaces for everybody's ears.
    let appview = Server::start([done()]).await;
    let sender = XrpcSender::new("http://127.0.0.1:1".parse().unwrap())
        .spaces(appview.url.clone(), "com.example")
        .notify(appview.url.clone(), "com.example");
    assert_eq!(app.sends(&sender, in_space()).await, sent("bafynew"));
    assert_eq!(appview.lines(), ["POST /xrpc/com.example.space.putRecord"]);
    // The time of a write is that of its notice, too.
    let (pds, silent) = (
        Server::start([done()]).await,
        Server::start([Reply::Held(String::new())]).await,
    );
    let sender = XrpcSender::new(pds.url.clone()).timeout(Duration::from_millis(500));
    let sender = sender.notify(silent.url.clone(), "com.example");
    let began = Instant::now();
    assert_eq!(app.sends(&sender, put()).await, sent("bafynew"));
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(silent.lines(), [NOTICE]);
}
