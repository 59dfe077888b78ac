//! The sync engine of `tauri-plugin-contrail-sync`, for any Tokio program: follows the `watchRecords` streams of a
//! contrail appview (AT Protocol) and keeps their records in order and up to date.
//!
//! An [`Engine`] holds one task per distinct watch, however many follow it. A [`Subscription`] tells the whole
//! [`State`], then what changed, at the follower's own pace; meanwhile changes merge, so a slow one costs bounded memory
//! and gets the latest state.
//!
//! ```
//! use std::sync::Arc;
//! use contrail_sync_engine::{Engine, EngineConfig, Status, Ticket, TicketSource, WatchSpec};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let appview = appview::Server::start(appview::Options::default()).await?;
//! # let space = appview.space("lounge", "did:plc:alice")?;
//! # appview.put(appview::Put {
//! #     space_uri: Some(space.clone()),
//! #     collection: "message".into(),
//! #     did: "did:plc:alice".into(),
//! #     rkey: "1".into(),
//! #     record: serde_json::json!({ "text": "hello" }),
//! #     ..Default::default()
//! # })?;
//! # let ticket = appview.ticket(appview::TicketFor {
//! #     space_uri: Some(space.clone()),
//! #     actor: None,
//! #     collection: "message".into(),
//! #     did: "did:plc:alice".into(),
//! #     ttl_ms: None,
//! #     hydrate: Vec::new(),
//! # })?;
//! # let origin = appview.url();
//! let url = format!("{origin}/xrpc/com.example.message.watchRecords?spaceUri={space}");
//! let engine = Engine::new(tokio::runtime::Handle::current(), EngineConfig::default())?;
//! // The guard decides which URLs may be requested, redirects included.
//! let mut spec = WatchSpec::new(url.parse()?, Arc::new(|_| true));
//! spec.tickets = TicketSource::Static(Ticket::parse(&ticket)?);
//! let watch = engine.watch(spec).await;
//!
//! let mut state = watch.state().await.ok_or("the engine ended")?;
//! while state.status != Status::Live {
//!     watch.next().await.ok_or("the engine ended")?;
//!     state = watch.state().await.ok_or("the engine ended")?;
//! }
//! assert_eq!(state.entries[0].record.value.get(), r#"{"text":"hello"}"#);
//! # Ok(())
//! # }
//! ```
//!
//! # What goes wrong
//!
//! A watch that fails goes on by itself, with bounded retries: its [`State::error`] says why it is not live.
//! [`ErrorKind`] names every kind. `ARCHITECTURE.md` of the repository tells how the parts work together.

#![cfg_attr(
    not(all(feature = "cache", feature = "keyring", feature = "ws")),
    allow(dead_code, reason = "some of it serves one feature alone")
)]

// What a feature has on top of the rest is one file, in whose place another one stands without it.
#[cfg_attr(not(feature = "cache"), path = "cache/off.rs")]
mod cache;
mod clock;
mod engine;
mod failure;
mod gauge;
mod id;
mod maps;
mod outbox;
#[doc(hidden)]
pub mod pure;
mod redact;
mod tickets;
mod timer;
mod transport;
mod vault;
mod watch;

pub use cache::{Cache, CacheConfig, CacheError, CacheInfo, CacheWarning, WarningKind};
pub use engine::{
    Engine,
    config::EngineConfig,
    inspector::{ClearError, Inspector, Overview},
    writes::{QueuedWrite, Writer},
};
pub use failure::{ErrorKind, ErrorPayload};
pub use gauge::{Carrier, Fallback, LivePart, LogEntry, Moment, MomentKind};
/// Names a header of [`HttpMinter::header`] and [`XrpcSender::authorize`], and the method of a [`SignRequest`].
pub use http::{HeaderName, Method};
pub use id::WatchId;
pub use outbox::{
    ActionKind, MAX_RECORD_BYTES, NamedSender, NewRecord, Outbox, OutboxConfig, SendRequest,
    Sender, SignRequest, WriteChanges, WriteError, WriteInfo, XrpcSender,
};
pub use pure::{
    ledger::{
        delta::{Changed, Delta, State},
        typed::{NotOfType, TypedRecord},
    },
    lifecycle::{backoff::BackoffPolicy, machine::Status},
    outbox::{
        limits::{Limits, QueueFull},
        write::{Action, CONFLICT, Outcome, SendError, SendReason, Write, WriteId, WriteState},
    },
    protocol::{
        profile::Profile,
        record::{AtUri, Record},
        ticket::{MAX_TICKET_BYTES, NotATicket, Ticket},
    },
    store::{
        edit::{Edit, EditError, EditRecord, InvalidEdit},
        entry::{Entry, Optimistic},
        optimistic::MAX_OPTIMISTIC,
        profiles::Profiles,
    },
    view::{
        MAX_RECORDS, View,
        filter::Filter,
        path::Path,
        sort::{Sort, SortBy},
    },
};
/// For [`EngineConfig::tls`], in the version that the engine uses.
pub use rustls;
pub use tickets::{
    HttpMinter, MintReason, MintRequest, Minter, NamedMinter, TicketError, TicketSource,
    TicketStanding, TicketState,
};
pub use transport::{
    DEFAULT_IDLE_TIMEOUT, DEFAULT_MAX_EVENT_BYTES, TicketIn, TransportError, UrlGuard,
    http::HttpError,
    polling::{DEFAULT_POLL_INTERVAL, MAX_POLL_INTERVAL, MIN_POLL_INTERVAL},
};
pub use vault::{
    Layout, NAME_MAX, NAMES_MAX, Reason, SECRET_MAX, Secret, Vault, VaultError, VaultOptions,
    VaultState,
};
pub use watch::{
    error::WatchError,
    report::{CacheReport, PollReport, WatchReport},
    spec::{CacheOptions, SenderSource, TransportKind, WatchSpec},
    statistics::Statistics,
    subscription::Subscription,
};

/// Lets the example of the README be tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// What the fuzzer calls.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::{
        cache::fuzzing::rows,
        transport::fuzzing::{frame, handshake, list, page, position, stream},
    };
}

/// What the plugin and the benches share with the engine; no promise to anybody else.
#[doc(hidden)]
pub mod internals {
    pub use crate::{
        cache::{CacheKey, Cacheable, Changes, Lease, Loaded, Rest, Row, Standing},
        engine::sleep::SleepWatch,
        failure::{Failure, Refusal},
        gauge::Gauge,
        pure::protocol::record::Identity,
        redact::Secrets,
        transport::{
            ConnectRequest, Events, Incoming, Transport,
            http::{Answer, Http, bare},
            polling::Polling,
            sse::Sse,
        },
    };
}
