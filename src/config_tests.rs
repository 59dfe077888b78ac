use super::*;
use contrail_sync_engine::ErrorKind;

fn spec(json: &str) -> Result<WatchSpec> {
    read(serde_json::from_str(json).unwrap())
}

fn read(options: serde_json::Value) -> Result<WatchSpec> {
    let options = WatchOptions::read(options)?;
    let scope = Scope::new(
        vec![Arc::new("https://appview.example".parse().unwrap())],
        vec![],
    );
    let surroundings = Surroundings {
        base_url: Some("https://appview.example/base".parse().unwrap()),
        minters: vec![NamedMinter::new("session", |_| async {
            Ok::<_, String>(String::new())
        })],
        senders: vec!["pds".to_owned()],
        cached: true,
        poll_interval: Some(Duration::from_secs(7)),
    };
    options.into_spec(&surroundings, scope)
}

fn kind(json: &str) -> ErrorKind {
    spec(json).err().unwrap().kind()
}

#[test]
fn relative_urls_resolve_against_the_base() {
    let spec = spec(r#"{"url":"/xrpc/x.watchRecords?actor=did:plc:a"}"#).unwrap();
    assert_eq!(
        spec.url.as_str(),
        "https://appview.example/xrpc/x.watchRecords?actor=did:plc:a"
    );
}

#[test]
fn wrong_urls_and_options_are_typed_errors() {
    for url in [
        "",
        " ",
        "https://[",
        "ftp://appview.example/x",
        "https://u:p@appview.example/x",
        "https://appview.example/x?ticket=t",
    ] {
        assert_eq!(
            kind(&format!(r#"{{"url":"{url}"}}"#)),
            ErrorKind::InvalidUrl,
            "{url}"
        );
    }
    assert_eq!(
        kind(r#"{"url":"https://evil.example/x"}"#),
        ErrorKind::NotAllowed
    );
    assert_eq!(
        kind(r#"{"url":"/x","ticket":" "}"#),
        ErrorKind::InvalidOptions
    );
    assert_eq!(
        kind(r#"{"url":"/x","idleTimeout":5}"#),
        ErrorKind::InvalidOptions
    );
    let options: WatchOptions = serde_json::from_str(r#"{"url":"/x"}"#).unwrap();
    let error = options
        .into_spec(&Surroundings::default(), Scope::default())
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidUrl);
}

#[test]
fn tickets_come_from_one_source() {
    let source = |rest: &str| spec(&format!(r#"{{"url":"/x"{rest}}}"#)).map(|it| it.tickets);
    assert_eq!(source("").unwrap(), TicketSource::Public);
    assert!(matches!(
        source(r#","ticket":"t""#).unwrap(),
        TicketSource::Static(_)
    ));
    assert_eq!(source(r#","mint":true"#).unwrap(), TicketSource::Followers);
    assert!(matches!(
        source(r#","minter":"session""#).unwrap(),
        TicketSource::Minter(_)
    ));
    for bad in [
        r#","minter":"other""#,
        r#","ticket":"t","mint":true"#,
        r#","ticket":"t","minter":"session""#,
    ] {
        assert_eq!(
            source(bad).unwrap_err().kind(),
            ErrorKind::InvalidOptions,
            "{bad}"
        );
    }
}

#[test]
fn the_cache_is_on_unless_the_app_or_the_watch_turns_it_off() {
    let cache = |rest: &str| spec(&format!(r#"{{"url":"/x"{rest}}}"#)).map(|it| it.cache);
    assert_eq!(cache("").unwrap(), Some(CacheOptions::default()));
    assert_eq!(cache(r#","cache":false"#).unwrap(), None);
    let named = cache(r#","cacheKey":"k","cacheMaxRecords":9"#)
        .unwrap()
        .unwrap();
    assert_eq!((named.key.as_deref(), named.max_records), (Some("k"), 9));
    for bad in [r#","cacheKey":"""#, r#","cacheMaxRecords":0"#] {
        assert_eq!(cache(bad).unwrap_err().kind(), ErrorKind::InvalidOptions);
    }
    let off: WatchOptions = serde_json::from_str(r#"{"url":"/x","cache":true}"#).unwrap();
    let error = off.cache(&Surroundings::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn sort_where_and_max_records_make_the_view() {
    let view = |rest: &str| spec(&format!(r#"{{"url":"/x"{rest}}}"#)).map(|it| it.view);
    assert_eq!(view("").unwrap(), View::default());
    let all = r#","sort":{"by":"value.n","order":"asc"},"where":{"value.room":"A"},"maxRecords":9"#;
    let all = view(all).unwrap();
    assert!(all.sort.ascending && matches!(all.sort.by, SortBy::Value(_)));
    assert_eq!(all.max_records, Some(9));
    assert_ne!(all.filter, Filter::default());
    for bad in [
        r#","sort":{"by":"did"}"#,
        r#","sort":{"by":"value."}"#,
        r#","where":{"did":"x"}"#,
        r#","where":{"value.x":[1]}"#,
        r#","maxRecords":0"#,
        r#","maxRecords":200001"#,
    ] {
        assert_eq!(
            view(bad).unwrap_err().kind(),
            ErrorKind::InvalidOptions,
            "{bad}"
        );
    }
}

/// What a page gave, and who refuses it in which words: the package's tests read the same table.
#[derive(serde::Deserialize)]
struct Wrong {
    given: serde_json::Value,
    wire: Option<serde_json::Value>,
    rust: Option<String>,
}

#[test]
fn every_wrong_option_is_refused_by_the_name_that_the_page_knows_it_by() {
    let table = include_str!("../tests/fixtures/wrong-options.json");
    let table: Vec<Wrong> = serde_json::from_str(table).unwrap();
    for Wrong { given, wire, rust } in table {
        // The others do not get here.
        let Some(rust) = rust else { continue };
        let error = read(wire.unwrap_or(given)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidOptions);
        assert_eq!(error.to_string(), format!("invalid options: {rust}"));
    }
}

#[test]
fn every_option_is_refused_by_its_name_if_it_is_of_another_type() {
    // serde names all of them where it meets one that it does not know.
    let unknown = serde_json::json!({ "url": "/x", "no such option": 1 });
    let message = serde_json::from_value::<WatchOptions>(unknown)
        .err()
        .unwrap();
    let message = message.to_string();
    let names: Vec<_> = message.split('`').skip(3).step_by(2).collect();
    assert!(
        names.contains(&"url") && names.contains(&"where"),
        "{names:?}"
    );
    for name in names {
        // Neither a text, a number, a boolean nor an object.
        let mut options = serde_json::json!({ "url": "/x" });
        options[name] = serde_json::json!(["hush"]);
        let message = read(options).err().unwrap().to_string();
        let told = format!("invalid options: {name} is an array, it must be ");
        assert!(message.starts_with(&told), "{message}");
        assert!(!message.contains("hush"), "{message}");
    }
}

#[test]
fn the_interval_of_polling_is_the_watchs_or_the_apps_and_one_that_a_server_can_bear() {
    let interval = |options: &str| spec(options).map(|it| it.poll_interval.as_millis());
    assert_eq!(interval(r#"{"url":"/x"}"#).unwrap(), 7000);
    assert_eq!(
        interval(r#"{"url":"/x","pollInterval":2000}"#).unwrap(),
        2000
    );
    for millis in ["1999", "3600001"] {
        let error = interval(&format!(r#"{{"url":"/x","pollInterval":{millis}}}"#)).unwrap_err();
        let told =
            format!("invalid options: pollInterval is {millis} ms, it may be 2000 to 3600000");
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn what_a_list_would_not_heed_is_refused_where_a_page_wants_lists() {
    let poll =
        |url: &str, rest: &str| spec(&format!(r#"{{"transport":"poll","url":"{url}"{rest}}}"#));
    assert!(poll("/xrpc/a.b.watchRecords?actor=did:plc:a", "").is_ok());
    for (url, rest, what) in [
        ("/xrpc/a.b.listRecords?spaceUri=ats://x", "", "spaceUri"),
        ("/xrpc/a.b.listRecords?inviteToken=x", "", "inviteToken"),
        ("/xrpc/a.b.listRecords", r#","mint":true"#, "a ticket"),
        ("/xrpc/a.b.listRecords", r#","ticket":"mellon""#, "a ticket"),
        ("/x", "", "this URL"),
    ] {
        let error = poll(url, rest).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidOptions, "{what}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(!error.to_string().contains("mellon"), "{error}");
    }
}

#[test]
fn null_is_as_good_as_left_out() {
    let options = serde_json::json!({ "url": "/x", "account": null, "sort": { "by": "rkey", "order": null } });
    assert!(read(options).is_ok());
}

#[test]
fn unknown_settings_are_named() {
    let error = serde_json::from_str::<Config>(r#"{"baseURL":"https://a"}"#).unwrap_err();
    assert!(error.to_string().contains("baseURL"));
}

#[test]
fn every_text_of_a_page_has_a_bound_that_its_error_names() {
    let told = |rest: serde_json::Value| {
        let mut options = serde_json::json!({ "url": "/x" });
        options
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        let error = spec(&options.to_string()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidOptions);
        error.to_string()
    };
    let long = |most: usize| "x".repeat(most + 1);
    for (rest, what, most) in [
        (serde_json::json!({ "url": long(8192) }), "url", 8192),
        (
            serde_json::json!({ "account": long(2048) }),
            "account",
            2048,
        ),
        (
            serde_json::json!({ "ticket": long(8192) }),
            "mintTicket",
            8192,
        ),
        (
            serde_json::json!({ "minter": long(256) }),
            "mintTicket.minter",
            256,
        ),
        (
            serde_json::json!({ "cacheKey": long(4096) }),
            "cacheKey",
            4096,
        ),
        (
            serde_json::json!({ "cacheKey": long(4096), "cache": false }),
            "cacheKey",
            4096,
        ),
        (
            serde_json::json!({ "sort": { "by": long(512) } }),
            "sort.by",
            512,
        ),
        (
            serde_json::json!({ "where": { (long(512)): 1 } }),
            &*format!("the key where[\"{}\"]", "x".repeat(300)),
            512,
        ),
        (
            serde_json::json!({ "where": { "value.x": long(1024) } }),
            "where[\"value.x\"]",
            1024,
        ),
    ] {
        let wanted = format!(
            "invalid options: {what} has {} bytes, it may have {most}",
            most + 1
        );
        assert_eq!(told(rest), wanted);
    }
    // The longest ones pass.
    let path = format!("value.{}", "x".repeat(512 - "value.".len()));
    let all = serde_json::json!({
        "url": format!("/{}", "x".repeat(8191)), "account": "x".repeat(2048), "ticket": "x".repeat(8192),
        "cacheKey": "x".repeat(4096), "sort": { "by": path }, "where": { (path): "x".repeat(1024) },
    });
    assert!(spec(&all.to_string()).is_ok());

    let unknown = serde_json::json!({ "url": "/x", ("y".repeat(1 << 20)): 1 });
    let error = WatchOptions::read(unknown).err().unwrap().to_string();
    assert!(
        error.contains("there is no option yyy") && error.len() < 400,
        "{error:.500}"
    );
}

#[test]
fn debug_output_shows_of_a_url_neither_password_nor_query() {
    let url = "https://user:hush@appview.example/base?key=psst#sst";
    let config: Config = serde_json::from_value(serde_json::json!({ "baseUrl": url })).unwrap();
    let builder = crate::Builder::new().base_url(url.parse().unwrap());
    for shown in [format!("{config:?}"), format!("{builder:?}")] {
        assert!(shown.contains("https://appview.example/base\""), "{shown}");
        for secret in ["user", "hush", "psst"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn a_sender_is_one_that_is_registered_or_the_page() {
    let sender =
        |json: &str| spec(&format!(r#"{{"url":"/x","sender":{json}}}"#)).map(|it| it.sender);
    let named = Some(SenderSource::Named("pds".into()));
    assert_eq!(sender(r#"{"sender":"pds"}"#).unwrap(), named);
    assert_eq!(sender(r#""page""#).unwrap(), Some(SenderSource::Followers));
    assert_eq!(sender("null").unwrap(), None);
    for (json, told) in [
        (
            r#"{"sender":"other"}"#,
            "sender: no sender named \"other\" is registered on the plugin's Builder",
        ),
        (r#"{"sender":5}"#, "sender.sender is 5, it must be a string"),
        ("{}", "sender.sender is missing"),
        (
            r#""window""#,
            "sender is a string, it must be an object { sender } or \"page\"",
        ),
    ] {
        let error = sender(json).unwrap_err().to_string();
        assert_eq!(error, format!("invalid options: {told}"));
    }
}
