//! The attacks, each with the end that it has to come to.

use std::iter::{once, repeat_n};

use contrail_sync_engine::{ErrorKind, TransportKind};

use crate::feeds::{self, Feed};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Where the attack lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the open stream or socket, after the list.
    Live,
    /// In the place of the stream's head, once the first one was dropped.
    Stream,
    /// In the place of a handshake, or of a quiet snapshot beside a stream.
    Snapshot,
    /// In the place of a page of older records.
    Page,
    /// In the place of the switch of protocols.
    Upgrade,
}

/// How an attack has to end.
#[derive(Debug)]
pub(crate) enum End {
    /// The watch is live as if nothing had been, and without an error ever.
    Live,
    /// Who asked for the page gets an error with this in its words; the watch is live.
    NoPage(&'static str),
    /// Followers are told such an error, with this in its words.
    Error(ErrorKind, &'static str),
}

pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) by: TransportKind,
    pub(crate) at: Place,
    pub(crate) feed: fn() -> Feed,
    /// Two pieces a second.
    pub(crate) slow: bool,
    pub(crate) end: End,
}

const fn over_sse(name: &'static str, feed: fn() -> Feed, end: End) -> Attack {
    Attack {
        name,
        by: TransportKind::Sse,
        at: Place::Live,
        feed,
        slow: false,
        end,
    }
}

const fn over_ws(name: &'static str, feed: fn() -> Feed, end: End) -> Attack {
    let by = TransportKind::Ws;
    Attack {
        by,
        ..over_sse(name, feed, end)
    }
}

const fn instead_of(at: Place, attack: Attack) -> Attack {
    Attack { at, ..attack }
}

pub(crate) fn all() -> impl Iterator<Item = &'static Attack> {
    [CHILDREN, ANSWERS, RECORDS, FLOODS, ENDLESS, WORDS]
        .into_iter()
        .flatten()
}

/// Children of all the records of an author: one event that changes them all.
pub(crate) const CHILDREN: &[Attack] = &[
    over_sse(
        "one child of 3.9 MB for each of 1,000 records",
        || {
            let child = || feeds::child(feeds::WHOLE_AUTHOR, 1, 3_900_000);
            Box::new(feeds::records(1000).chain((0..1).map(move |_| child())))
        },
        End::Live,
    ),
    over_sse(
        "100 children of 200 B for each of 10,000 records",
        || {
            let children = (0..100).map(|n| feeds::child(feeds::WHOLE_AUTHOR, n, 200));
            Box::new(feeds::records(10_000).chain(children))
        },
        End::Live,
    ),
];

/// Answers of a great many parts.
pub(crate) const ANSWERS: &[Attack] = &[
    instead_of(
        Place::Snapshot,
        over_ws("a handshake of [1,1,1,…", ones, TOO_MANY),
    ),
    instead_of(
        Place::Snapshot,
        over_sse("a quiet snapshot of [1,1,1,…", ones, End::Live),
    ),
    instead_of(
        Place::Page,
        over_sse(
            "a page of [1,1,1,…",
            || {
                let ones = "1,".repeat(4 * MIB - 64) + "1";
                // In the form of a handshake and in that of the older endpoint.
                let body = format!(r#"{{"snapshot":{{"records":[{ones}]}},"records":[{ones}]}}"#);
                Box::new(once(feeds::json(&body)))
            },
            End::NoPage("more than 1000 records"),
        ),
    ),
    instead_of(
        Place::Snapshot,
        over_ws(
            "a handshake of one record of a million fields",
            || {
                let record =
                    feeds::record_with("did:plc:mallory", "1", "{}", &feeds::fields(1_000_000, 1));
                let record = &record[r#"{"record":"#.len()..record.len() - 1];
                Box::new(once(feeds::json(&feeds::handshake(
                    &(feeds::list().join(",") + "," + record),
                    false,
                ))))
            },
            End::Live,
        ),
    ),
    instead_of(
        Place::Snapshot,
        over_ws(
            "a handshake beyond 16 MiB",
            || Box::new(once(feeds::json(&" ".repeat(40 * MIB)))),
            End::Error(ErrorKind::BadHandshake, "larger than 16777216 bytes"),
        ),
    ),
];

const TOO_MANY: End = End::Error(ErrorKind::BadHandshake, "more than 1000 records");

fn ones() -> Feed {
    let ones = "1,".repeat(8 * MIB - 64);
    Box::new(once(feeds::json(&feeds::handshake(&(ones + "1"), false))))
}

/// Records, large, many, or of many parts.
pub(crate) const RECORDS: &[Attack] = &[
    over_sse(
        "100,000 further fields, twice",
        || {
            Box::new((0..2).map(|version| {
                let extra = feeds::fields(100_000, version);
                let record = feeds::record_with("did:plc:mallory", "1", "{}", &extra);
                feeds::sse("record.created", &record)
            }))
        },
        End::Live,
    ),
    over_sse(
        "records of 1 MiB without end",
        || Box::new((0..112).map(|n| feeds::large(n, MIB))),
        End::Live,
    ),
    over_sse(
        "records of 3.9 MB without end",
        || Box::new((0..32).map(|n| feeds::large(n, 3_900_000))),
        End::Live,
    ),
    over_sse(
        "records of 4 KiB without end",
        || Box::new((0..28_000).map(|n| feeds::large(n, 4 * KIB))),
        End::Live,
    ),
    over_sse(
        "children of 1 MiB without end for one record",
        || {
            let parent = "at://did:plc:alice/com.example.chat.message/a";
            Box::new((0..112).map(move |n| feeds::child(parent, n, MIB)))
        },
        End::Live,
    ),
    over_sse(
        "records nested too deep",
        || {
            let deep = |open: &str, close: &str| {
                let n = 3 * MIB / (open.len() + close.len());
                let value = open.repeat(n) + "1" + &close.repeat(n);
                feeds::sse(
                    "record.created",
                    &feeds::record("did:plc:mallory", "deep", &value),
                )
            };
            Box::new([deep("[", "]"), deep(r#"{"a":"#, "}")].into_iter())
        },
        End::Live,
    ),
];

/// Small events, each of which could cost a look at everything, or a line of the log.
pub(crate) const FLOODS: &[Attack] = &[
    over_sse(
        "100,000 starts of snapshots on 20,000 records",
        || {
            let start = feeds::sse("snapshot.start", "{}").repeat(1000);
            Box::new(feeds::records(20_000).chain(repeat_n(start, 100)))
        },
        End::Live,
    ),
    over_sse(
        "50,000 snapshots on 20,000 records",
        || {
            let record = format!(r#"{{"record":{}}}"#, feeds::list()[0]);
            let snapshot = [
                feeds::sse("snapshot.start", "{}"),
                feeds::sse("snapshot.record", &record),
                feeds::sse("snapshot.end", r#"{"cursor":"1"}"#),
            ];
            let snapshots = snapshot.concat().repeat(100);
            Box::new(feeds::records(20_000).chain(repeat_n(snapshots, 500)))
        },
        End::Error(ErrorKind::Server, "more than 16 snapshots"),
    ),
    over_sse(
        "300,000 unreadable events",
        || {
            let bad = feeds::sse("record.created", "[1]").repeat(1000);
            Box::new(repeat_n(bad, 300))
        },
        End::Live,
    ),
    over_ws(
        "600,000 unreadable frames",
        || {
            let bad = [0x81, 3, b'[', b'1', b']'].repeat(2000);
            Box::new(repeat_n(bad, 300))
        },
        End::Live,
    ),
    over_sse(
        "16 MB of comments",
        || Box::new(repeat_n(b":\n\n: keepalive\n\n".repeat(1000), 1000)),
        End::Live,
    ),
    over_ws(
        "16 MB of pings whose answers nobody reads",
        || {
            Box::new(repeat_n(
                [&[0x89, 125][..], &[b'x'; 125]].concat().repeat(100),
                1300,
            ))
        },
        End::Live,
    ),
];

/// What never comes to its end. Those that take half a minute begin.
pub(crate) const ENDLESS: &[Attack] = &[
    instead_of(
        Place::Stream,
        over_sse(
            "early hints without end",
            || {
                let hint = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(1000);
                Box::new(repeat_n(hint, 1000))
            },
            End::Error(ErrorKind::Connect, ""),
        ),
    ),
    Attack {
        slow: true,
        ..instead_of(
            Place::Snapshot,
            over_ws(
                "a handshake of two bytes a second",
                || {
                    Box::new("HTTP/1.1 200 OK\r\nx-long-header: and so on and so forth and more and more of it".bytes().map(|it| vec![it]))
                },
                End::Error(ErrorKind::Connect, "within 30 s"),
            ),
        )
    },
    over_sse(
        "a line without end",
        || Box::new(once(b"data: ".to_vec()).chain(repeat_n(vec![b'x'; MIB], 100))),
        TOO_LARGE,
    ),
    over_sse(
        "an event of lines without end",
        || Box::new(repeat_n(b"data: x\n".repeat(100_000), 200)),
        TOO_LARGE,
    ),
    over_ws(
        "a frame that says it has 1 GB",
        || {
            let head = [&[0x81, 127][..], &(1u64 << 30).to_be_bytes()].concat();
            Box::new(once(head).chain(repeat_n(vec![b'x'; MIB], 100)))
        },
        TOO_LARGE,
    ),
    over_ws(
        "a message of frames without end",
        || {
            let rest = [&[0x00, 126, 0xff, 0xff][..], &[b'x'; 0xffff]].concat();
            Box::new(once(vec![0x01, 1, b'x']).chain(repeat_n(rest, 1600)))
        },
        TOO_LARGE,
    ),
    instead_of(
        Place::Stream,
        over_sse(
            "headers without end",
            || {
                let header = |n| format!("x-{n}: {}\r\n", "y".repeat(1000)).into_bytes();
                Box::new(once(b"HTTP/1.1 200 OK\r\n".to_vec()).chain((0..100_000).map(header)))
            },
            End::Error(ErrorKind::Connect, ""),
        ),
    ),
    instead_of(
        Place::Stream,
        over_sse(
            "a compressed stream",
            || {
                let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b";
                Box::new(once(head.to_vec()).chain(repeat_n(vec![0; MIB], 100)))
            },
            End::Error(ErrorKind::NotEventStream, "coded as gzip"),
        ),
    ),
    instead_of(
        Place::Stream,
        over_sse(
            "redirects without end",
            || {
                Box::new(once(b"HTTP/1.1 302 Found\r\nconnection: close\r\ncontent-length: 0\r\nlocation: x/again\r\n\r\n".to_vec()))
            },
            End::Error(ErrorKind::HttpStatus, "redirected"),
        ),
    ),
];

const TOO_LARGE: End = End::Error(ErrorKind::EventTooLarge, "larger than 4194304 bytes");

/// Words of the server for people.
pub(crate) const WORDS: &[Attack] = &[
    over_sse(
        "an error of 4 MB",
        || {
            Box::new(once(feeds::sse(
                "error",
                &format!(r#"{{"message":"{}"}}"#, feeds::long()),
            )))
        },
        End::Error(ErrorKind::Server, "the server failed: x"),
    ),
    over_sse(
        "a kick from a space of 4 MB",
        || {
            let space = format!(
                r#"{{"space":"ats://{}","did":"did:plc:me"}}"#,
                feeds::long()
            );
            Box::new(once(feeds::sse("member.removed", &space)))
        },
        End::Error(ErrorKind::AccessLost, "no longer a member of"),
    ),
    over_ws(
        "a close with a reason of 4 MB",
        || {
            let head = [
                &[0x88, 127][..],
                &(4_000_000u64).to_be_bytes(),
                &[0x03, 0xe8],
            ]
            .concat();
            Box::new([head, feeds::long().into_bytes()].into_iter())
        },
        End::Error(ErrorKind::Disconnected, ""),
    ),
    instead_of(
        Place::Stream,
        over_sse(
            "a refusal of 100 MB",
            || {
                let head = b"HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n{\"error\":\"";
                Box::new(once(head.to_vec()).chain(repeat_n(vec![b'x'; MIB], 100)))
            },
            End::Error(ErrorKind::HttpStatus, "500"),
        ),
    ),
];
