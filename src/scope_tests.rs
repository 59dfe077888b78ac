use super::*;

fn scope(allow: &[&str], deny: &[&str]) -> Scope {
    let list = |texts: &[&str]| texts.iter().map(|t| Arc::new(t.parse().unwrap())).collect();
    Scope::new(list(allow), list(deny))
}

fn allows(scope: &Scope, url: &str) -> bool {
    scope.allows(&url.parse().unwrap())
}

#[test]
fn nothing_is_allowed_by_default() {
    assert!(!allows(&Scope::default(), "https://appview.example/xrpc/x"));
}

#[test]
fn denials_win_over_allowances() {
    let scope = scope(&["https://*.example"], &["https://secret.example/*"]);
    assert!(allows(&scope, "https://appview.example/xrpc/x?y=z"));
    assert!(!allows(&scope, "https://secret.example/xrpc/x"));
}

#[test]
fn patterns_bind_scheme_host_port_and_path() {
    let scope = scope(
        &["https://appview.example/xrpc/*", "http://127.0.0.1:*"],
        &[],
    );
    for url in [
        "https://appview.example/xrpc/a?b=c",
        "http://127.0.0.1:8788/x",
    ] {
        assert!(allows(&scope, url), "{url}");
    }
    for url in [
        "http://appview.example/xrpc/a",
        "https://appview.example:444/xrpc/a",
        "https://appview.example/other",
        "https://appview.example.evil/xrpc/a",
        "https://appview.example@evil.example/xrpc/a",
        "http://127.0.0.2:8788/x",
    ] {
        assert!(!allows(&scope, url), "{url}");
    }
}

#[test]
fn an_unescaped_did_is_refused_in_words_that_say_how_to_write_it() {
    let bad = [
        "https://a.example/xrpc/x?spaceUri=ats://did:plc:alice/*",
        "https://a.example/xrpc/x?actor=did:plc:alice&other=did:plc:bob",
        "https://a.example/did:plc:alice",
        "https://a.example/x#:y",
        "https://:tenant.example/x",
    ];
    for text in bad {
        let error = text.parse::<Entry>().unwrap_err();
        assert!(
            matches!(error, PatternError::NamedGroup(_)),
            "{text}: {error}"
        );
    }
    let json = r#""https://a.example/did:plc:alice""#;
    let told = serde_json::from_str::<Entry>(json).unwrap_err().to_string();
    assert!(
        told.contains(r"write `\:plc` for a colon, `\\:plc` in JSON"),
        "{told}"
    );
    for good in [
        r"https://a.example/did\:plc\:alice",
        "https://a.example/did%3Aplc%3Aalice",
        "https://a.example/(did:plc:[a-z]+)/x",
        "https://a.example:8443/x",
        "http://[fe80::a]:8788/x",
    ] {
        assert!(
            good.parse::<Entry>().is_ok(),
            "{good}: {:?}",
            good.parse::<Entry>()
        );
    }
}

#[test]
fn a_did_is_matched_however_page_and_pattern_spell_it() {
    let of_alice = [
        r"https://a.example/*\?spaceUri=ats\://did\:plc\:alice/*",
        "https://a.example/*\\?spaceUri=ats%3a%2F%2Fdid%3Aplc%3Aalice%2F*",
    ];
    for pattern in of_alice {
        let scope = scope(&[pattern], &[]);
        for url in [
            "https://a.example/x?spaceUri=ats://did:plc:alice/t/k",
            "https://a.example/x?spaceUri=ats%3A%2F%2Fdid%3Aplc%3Aalice%2Ft%2Fk",
            "https://a.example/x?spaceUri=ats%3a//did:plc:%61lice/t/k",
        ] {
            assert!(allows(&scope, url), "{pattern} {url}");
        }
        for url in [
            "https://a.example/x?spaceUri=ats://did:plc:bob/t/k",
            "https://a.example/x?spaceUri=ats://did:plc:bob/t/k%26spaceUri=ats://did:plc:alice/",
        ] {
            assert!(!allows(&scope, url), "{pattern} {url}");
        }
    }
}

#[test]
fn a_group_that_is_none_is_refused_and_brackets_in_it_harm_nobody() {
    for bad in [
        "https://(.emh=]d",
        "https://()]",
        "https://(?]",
        "https://(é])",
        r"https://(\é])",
        r"https://(]\",
        "https://(a(b)])",
        "https://(a(",
        "https://a.example/(",
    ] {
        let error = bad.parse::<Entry>().unwrap_err();
        assert!(matches!(error, PatternError::Group), "{bad}: {error}");
    }
    for good in [
        "https://a.example/([a-z]+)",
        r"https://a.example/\(x",
        "https://a.example/(a(?:b)c)",
        r"https://a.example/(\)x)",
    ] {
        good.parse::<Entry>().unwrap();
    }
}

#[test]
fn any_port_of_an_ipv6_address_can_be_allowed() {
    let scope = scope(&["http://[::1]:*"], &[]);
    assert!(allows(&scope, "http://[::1]:8788/xrpc/x?y=z"));
    assert!(allows(&scope, "http://[::1]/xrpc/x"));
    for url in [
        "http://[::2]:8788/x",
        "https://[::1]/x",
        "http://127.0.0.1/x",
    ] {
        assert!(!allows(&scope, url), "{url}");
    }
}

#[test]
fn a_denial_holds_however_a_url_is_spelled() {
    let scope = scope(
        &["https://*"],
        &[
            "https://secret.example",
            "https://a.example/private/*",
            "https://a.example/did%3Aplc%3Aeve",
        ],
    );
    for url in [
        "https://secret.example./x",
        "https://SECRET.example:443/x",
        "https://a.example/private/x",
        "https://a.example/%70riv%61te/x",
        "https://a.example//private/x",
        "https://a.example/private//x",
        "https://a.example/private%2Fx",
        "https://a.example/y/..%2fprivate/x",
        "https://a.example/y/%2e%2e/private/x",
        "https://a.example/private%5Cx",
        "https://a.example./private/x",
        "https://a.example/did:plc:eve",
        "https://a.example/did%3Aplc:%65ve",
    ] {
        assert!(!allows(&scope, url), "{url}");
    }
    assert!(allows(&scope, "https://a.example/public/x"));
}

#[test]
fn entries_read_both_spellings_and_refuse_nonsense() {
    for json in [r#""https://a.example""#, r#"{"url":"https://a.example"}"#] {
        assert!(serde_json::from_str::<Entry>(json).is_ok());
    }
    let error = serde_json::from_str::<Entry>(r#""https://[""#).unwrap_err();
    assert!(error.to_string().contains("not a valid URL pattern"));
    for text in [
        "https://a]b",
        r"https://a\]b",
        "h[://a]",
        "https://[@a]",
        "https://([)a]",
        "]",
    ] {
        assert!(text.parse::<Entry>().is_err(), "{text}");
    }
    for json in ["5", r#"{"urls":"https://a.example"}"#] {
        let error = serde_json::from_str::<Entry>(json).unwrap_err();
        let told = r#"must be "https://…" or { "url": "https://…" }"#;
        assert!(error.to_string().contains(told), "{error}");
    }
}

/// Random patterns of what patterns are made of, and URLs that they may match.
#[test]
fn a_pattern_means_the_same_to_the_engine_that_tauri_uses() {
    const HOSTS: [&str; 5] = [
        "a.example",
        "*.example",
        "b.a.example",
        "(a|b).example",
        "*",
    ];
    const PARTS: [&str; 12] = [
        "/*",
        "/xrpc",
        "/(\\d+)",
        "/([a-z0-9-]+)",
        "{/x}?",
        "{/ab}*",
        "/a.b+c",
        "(.*)",
        "/([^/]{2,5})",
        "/(\\w+\\.\\w+)",
        "/did\\:plc\\:alice",
        "/%C3%A9",
    ];
    const PATHS: [&str; 11] = [
        "/xrpc",
        "/42",
        "/ab-1",
        "/x",
        "/ab",
        "/a.b+c",
        "/",
        "/abcdef",
        "/é",
        "/did:plc:alice",
        "/a%0Ab",
    ];
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut matched, mut of) = (0, 0);
    for _ in 0..3_000 {
        let mut pattern = format!("https://{}", rng.choice(HOSTS).unwrap());
        for _ in 0..rng.usize(..4) {
            pattern.push_str(rng.choice(PARTS).unwrap());
        }
        let init =
            |text: &str| UrlPatternInit::parse_constructor_string::<regex::Regex>(text, None);
        let theirs = init(&pattern)
            .and_then(|init| UrlPattern::<regex::Regex>::parse(init, Default::default()));
        let ours = UrlPatternInit::parse_constructor_string::<Expression>(&pattern, None)
            .and_then(|init| UrlPattern::<Expression>::parse(init, Default::default()));
        assert_eq!(ours.is_ok(), theirs.is_ok(), "{pattern}");
        let (Ok(ours), Ok(theirs)) = (ours, theirs) else {
            continue;
        };
        for _ in 0..8 {
            let host = rng
                .choice(["a.example", "b.example", "c.b.example", "a.example.evil"])
                .unwrap();
            let mut url = format!("https://{host}");
            for _ in 0..rng.usize(..4) {
                url.push_str(rng.choice(PATHS).unwrap());
            }
            let url: Url = url.parse().unwrap();
            let told = |is_match: Result<bool, _>| is_match.unwrap();
            let (one, other) = (
                told(ours.test(UrlPatternMatchInput::Url(url.clone()))),
                told(theirs.test(UrlPatternMatchInput::Url(url.clone()))),
            );
            assert_eq!(one, other, "{pattern} {url}");
            matched += usize::from(one);
            of += 1;
        }
    }
    assert!(matched > of / 50 && matched < of, "{matched} of {of}");
}
