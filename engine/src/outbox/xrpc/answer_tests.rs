use http::{HeaderMap, HeaderValue};

use super::*;
use crate::pure::protocol::record::AtUri;

/// Three hours before the `ratelimit-reset` of these tests.
const NOW_MS: i64 = 1_800_000_000_000;

fn reply_with(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| {
        let value = HeaderValue::from_str(value).unwrap();
        (HeaderName::from_static(name), value)
    });
    let headers = HeaderMap::from_iter(headers);
    Reply::new(status, headers, Some(body), &["mellon-mellon-mellon"])
}

fn reply(status: u16, body: &str) -> Reply {
    reply_with(status, &[], body)
}

fn put(record: &str) -> Action {
    Action::Put(std::sync::Arc::from(
        RawValue::from_string(record.to_owned()).unwrap(),
    ))
}

fn write(action: Action) -> Write {
    let uri = AtUri::parse("at://did:plc:alice/com.example.message/1").unwrap();
    Write::new("key", uri, action)
}

fn became(reply: &Reply) -> Outcome {
    outcome(reply, &put("{}"), NOW_MS)
}

/// `sent`, or `refused` or `later` with the kind.
fn short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Sent { .. } => "sent".to_owned(),
        Outcome::Refused(why) => format!("refused {}", why.kind),
        Outcome::Later { why, .. } => format!("later {}", why.kind),
    }
}

#[test]
fn every_answer_has_one_meaning() {
    for (status, body, expected) in [
        (200, r#"{"uri":"at://a/b/c","cid":"bafy"}"#, "sent"),
        (201, " {}\n", "sent"),
        (200, r#"{"cid":7}"#, "sent"),
        (200, "", "later bad-answer"),
        (204, "", "later bad-answer"),
        (200, "[]", "later bad-answer"),
        (200, r#""ok""#, "later bad-answer"),
        (200, r#"{"cid":"bafy""#, "later bad-answer"),
        (200, "<html>Welcome to our Wi-Fi</html>", "later bad-answer"),
        (
            400,
            r#"{"error":"InvalidRequest","message":"no"}"#,
            "refused invalid-request",
        ),
        (
            400,
            r#"{"error":"InvalidSwap","message":"no"}"#,
            "refused conflict",
        ),
        (409, r#"{"error":"InvalidSwap"}"#, "refused conflict"),
        (
            400,
            r#"{"error":"InvalidRecord","details":[1]}"#,
            "refused invalid-record",
        ),
        (
            403,
            r#"{"error":"AccountTakedown"}"#,
            "refused account-takedown",
        ),
        (
            403,
            r#"{"error":"Forbidden","reason":"not-member"}"#,
            "refused forbidden",
        ),
        (
            404,
            r#"{"error":"RepoNotFound","message":null}"#,
            "refused repo-not-found",
        ),
        (
            404,
            r#"{"error":"XRPCNotSupported"}"#,
            "refused xrpc-not-supported",
        ),
        (422, r#"{"error":"Unprocessable"}"#, "refused unprocessable"),
        (
            413,
            r#"{"error":"PayloadTooLargeError"}"#,
            "refused payload-too-large",
        ),
        (
            413,
            "<h1>Request Entity Too Large</h1>",
            "refused payload-too-large",
        ),
        // In the words of gateways and frameworks.
        (400, "<h1>Bad Request</h1>", "later http-status"),
        (
            400,
            r#"{"error":"Bad Request","message":"no"}"#,
            "later http-status",
        ),
        (400, r#"{"error":""}"#, "later http-status"),
        (400, r#"{"error":7}"#, "later http-status"),
        (400, r#"["InvalidRequest",null,null]"#, "later http-status"),
        (403, "<h1>Forbidden</h1>", "later http-status"),
        (
            403,
            r#"{"statusCode":403,"error":"Forbidden","message":"no"}"#,
            "later http-status",
        ),
        (
            404,
            r#"{"error":"NotFound","path":"/xrpc/x"}"#,
            "later http-status",
        ),
        (404, "", "later http-status"),
        (409, "conflict", "later http-status"),
        (405, r#"{"error":"InvalidRequest"}"#, "later http-status"),
        (401, "", "later auth-required"),
        (
            401,
            r#"{"error":"AuthenticationRequired"}"#,
            "later auth-required",
        ),
        (401, "<h1>Unauthorized</h1>", "later auth-required"),
        (400, r#"{"error":"ExpiredToken"}"#, "later auth-required"),
        (400, r#"{"error":"InvalidToken"}"#, "later auth-required"),
        (401, r#"{"error":"use_dpop_nonce"}"#, "later auth-required"),
        (408, "", "later http-status"),
        (425, "", "later http-status"),
        (
            429,
            r#"{"error":"RateLimitExceeded"}"#,
            "later rate-limited",
        ),
        (
            500,
            r#"{"error":"InternalServerError"}"#,
            "later http-status",
        ),
        (
            501,
            r#"{"error":"MethodNotImplemented"}"#,
            "later http-status",
        ),
        (503, "<h1>Service Unavailable</h1>", "later http-status"),
        (304, "", "later http-status"),
    ] {
        assert_eq!(
            short(&became(&reply(status, body))),
            expected,
            "{status} {body}"
        );
    }
    let away = reply_with(307, &[("location", "https://b.example")], "");
    assert_eq!(short(&became(&away)), "later redirect");
    let too_large = Reply::new(200, HeaderMap::new(), None, &[]);
    assert_eq!(short(&became(&too_large)), "later bad-answer");
}

#[test]
fn only_a_put_has_a_hash_and_only_a_delete_may_be_answered_by_nothing() {
    let said = reply(200, r#"{"cid":"bafy","commit":{"cid":"other"}}"#);
    let sent = |cid: Option<&str>| Outcome::Sent {
        cid: cid.map(str::to_owned),
    };
    assert_eq!(became(&said), sent(Some("bafy")));
    assert_eq!(outcome(&said, &Action::Delete, NOW_MS), Outcome::SENT);
    for nothing in [
        reply(200, ""),
        reply(400, r#"{"error":"RecordNotFound"}"#),
        reply(404, r#"{"error":"RecordNotFound","message":"no"}"#),
    ] {
        assert_eq!(outcome(&nothing, &Action::Delete, NOW_MS), Outcome::SENT);
        assert!(!matches!(became(&nothing), Outcome::Sent { .. }));
    }
    let no_space = reply(404, r#"{"error":"NotFound","reason":"no-such-space"}"#);
    let refused = outcome(&no_space, &Action::Delete, NOW_MS);
    assert_eq!(short(&refused), "refused not-found");
    let long = format!(r#"{{"cid":"{}"}}"#, "b".repeat(MAX_CID_BYTES + 1));
    for no_hash in [
        r#"{"cid":""}"#,
        r#"{"cid":"a b"}"#,
        r#"{"cid":null}"#,
        &long,
    ] {
        assert_eq!(became(&reply(200, no_hash)), sent(None), "{no_hash}");
    }
}

#[test]
fn a_refusal_tells_the_servers_words_without_secrets() {
    let message = |body: &str| match became(&reply(400, body)) {
        Outcome::Refused(why) => why.message,
        other => panic!("{other:?}"),
    };
    assert_eq!(message(r#"{"error":"A","message":"b","reason":"c"}"#), "b");
    assert_eq!(message(r#"{"error":"A","reason":"c"}"#), "c");
    assert_eq!(message(r#"{"error":"A"}"#), "the server refused it: A");
    let echo = r#"{"error":"A","message":"bad mellon-mellon-mellon"}"#;
    assert_eq!(message(echo), "bad …");
    // Nor does a name have one.
    let told = became(&reply(400, r#"{"error":"mellon-mellon-mellon"}"#));
    assert_eq!(short(&told), "later http-status");
    assert!(!format!("{told:?}").contains("mellon"), "{told:?}");
    let told = became(&reply(
        500,
        r#"{"error":"A","message":"mellon-mellon-mellon"}"#,
    ));
    let at = "POST https://a.example/x answered 500: …";
    assert_eq!(told, Outcome::later("http-status", at));
}

#[test]
fn the_wait_is_the_servers_in_any_of_its_words_and_bounded() {
    let after = |status, headers: &[_]| match became(&reply_with(status, headers, "")) {
        Outcome::Later { after, .. } => after.map(|it| it.as_secs()),
        other => panic!("{other:?}"),
    };
    assert_eq!(after(429, &[]), None);
    assert_eq!(after(429, &[("retry-after", "7")]), Some(7));
    assert_eq!(after(503, &[("retry-after", "7")]), Some(7));
    assert_eq!(after(429, &[("retry-after", "99999999999")]), Some(3600));
    // A date is not read: neither clock need be right.
    let date = "Fri, 15 Jan 2027 09:00:00 GMT";
    assert_eq!(after(429, &[("retry-after", date)]), None);
    assert_eq!(after(429, &[("ratelimit-reset", "7")]), Some(7));
    assert_eq!(after(429, &[("ratelimit-reset", "1800000007")]), Some(7));
    assert_eq!(after(429, &[("ratelimit-reset", "1800010800")]), Some(3600));
    assert_eq!(after(429, &[("ratelimit-reset", "1799999999")]), None);
    assert_eq!(after(429, &[("ratelimit-reset", "soon")]), None);
    // Servers send it with every answer.
    assert_eq!(after(500, &[("ratelimit-reset", "7")]), None);
    let both = [("ratelimit-reset", "9"), ("retry-after", "7")];
    assert_eq!(after(429, &both), Some(7));
}

#[test]
fn a_nonce_is_wanted_where_the_server_sends_one_with_those_words() {
    let nonce = ("dpop-nonce", "n");
    let challenge = ("www-authenticate", r#"DPoP error="use_dpop_nonce""#);
    let body = r#"{"error":"use_dpop_nonce"}"#;
    for (status, headers, body, expected) in [
        (401, &[nonce][..], body, Wants::Nonce),
        (400, &[nonce], body, Wants::Nonce),
        (401, &[nonce, challenge], "", Wants::Nonce),
        (401, &[], body, Wants::Credentials),
        (
            401,
            &[nonce],
            r#"{"error":"invalid_token"}"#,
            Wants::Credentials,
        ),
        (
            400,
            &[nonce],
            r#"{"error":"ExpiredToken"}"#,
            Wants::Credentials,
        ),
        (
            400,
            &[nonce],
            r#"{"error":"InvalidRequest"}"#,
            Wants::Nothing,
        ),
        (500, &[nonce], "", Wants::Nothing),
        (200, &[nonce], "{}", Wants::Nothing),
    ] {
        let reply = reply_with(status, headers, body);
        assert_eq!(wants(&reply), expected, "{status} {headers:?} {body}");
    }
}

#[test]
fn a_conflict_is_none_if_the_record_is_as_it_should_be() {
    let looked = |action: Action, status, body: &str| {
        let refused = Outcome::refused(CONFLICT, "no");
        short(&after_a_look(
            &reply(status, body),
            &write(action),
            refused,
            NOW_MS,
        ))
    };
    let record = |value: &str| format!(r#"{{"uri":"at://a","cid":"bafy","value":{value}}}"#);
    let gone = r#"{"error":"RecordNotFound","message":"no"}"#;
    for (found, expected) in [
        (r#"{"b":{"c":2,"d":3},"a":1}"#, "sent"),
        // As servers complete it.
        (
            r#"{"$type":"com.example.message","a":1,"b":{"d":3,"c":2}}"#,
            "sent",
        ),
        (
            r#"{"$type":"com.example.other","a":1,"b":{"d":3,"c":2}}"#,
            "refused conflict",
        ),
        (r#"{"a":2,"b":{"c":2,"d":3}}"#, "refused conflict"),
        (r#"{"a":1}"#, "refused conflict"),
        ("null", "refused conflict"),
    ] {
        let ours = put(r#"{"a":1,"b":{"c":2,"d":3}}"#);
        assert_eq!(looked(ours, 200, &record(found)), expected, "{found}");
    }
    // Half an emoji, which a stricter reader takes for no JSON.
    let odd = r#"{"a":"\ud83d"}"#;
    assert_eq!(looked(put(odd), 200, &record(odd)), "sent");
    assert_eq!(looked(put("{}"), 400, gone), "refused conflict");
    assert_eq!(looked(Action::Delete, 400, gone), "sent");
    assert_eq!(
        looked(Action::Delete, 200, &record("{}")),
        "refused conflict"
    );
    for (status, body, expected) in [
        (200, "<html>Welcome</html>", "later bad-answer"),
        (200, r#"{"cid":"bafy"}"#, "later bad-answer"),
        (400, r#"{"error":"RepoDeactivated"}"#, "later bad-answer"),
        (404, "<h1>Not Found</h1>", "later http-status"),
        (429, "", "later rate-limited"),
        (502, "", "later http-status"),
    ] {
        assert_eq!(looked(put("{}"), status, body), expected, "{status} {body}");
        assert_eq!(
            looked(Action::Delete, status, body),
            expected,
            "{status} {body}"
        );
    }
}

#[test]
fn names_become_words_of_code() {
    for (name, expected) in [
        ("InvalidSwap", "invalid-swap"),
        ("XRPCNotSupported", "xrpc-not-supported"),
        ("invalid_dpop_proof", "invalid-dpop-proof"),
        ("Sha256Mismatch", "sha256-mismatch"),
        ("A", "a"),
        ("", ""),
    ] {
        assert_eq!(kebab(name), expected);
    }
}
