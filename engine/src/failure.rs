//! What a failure is to those who only pass it on: a kind for code, words for people, and what it means for a watch.

use std::time::Duration;

use serde::Serialize;

/// Names the kinds of errors for code that reacts to them; the message beside it is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URL cannot be parsed, is relative without a base URL, or is not http(s).
    InvalidUrl,
    /// The capability's scope does not allow the URL, or a redirect of it.
    NotAllowed,
    /// An option is unknown or has a value that makes no sense.
    InvalidOptions,
    /// The option is valid but this build or platform does not offer it.
    Unsupported,
    /// The handle is not open: it was closed, or the page that opened it is gone.
    UnknownWatch,
    /// The webview has as many watches open as it may, or the app has.
    TooManyWatches,
    /// The watch holds as many optimistic records, or waiting requests, as it may.
    TooMany,
    /// No connection: name resolution, refused, unreachable, TLS, time-out.
    Connect,
    /// The server answered with a status that is not 2xx and no known reason.
    HttpStatus,
    /// 400: the server says that it cannot answer this query. Asking again would change nothing, so the watch is closed.
    BadRequest,
    /// 401: ticket missing, malformed, expired or forged.
    AuthRequired,
    /// The server says that the caller may not read this.
    Forbidden,
    /// The server says that there is no such space or record.
    NotFound,
    /// The answer is not an event stream.
    NotEventStream,
    /// The answer is not a WebSocket handshake, or its socket lies elsewhere.
    BadHandshake,
    /// The answer to a request for older records is not a page of records.
    BadPage,
    /// An event is larger than the limit.
    EventTooLarge,
    /// Nothing was heard for longer than the idle time-out, or no snapshot for a third longer than that.
    IdleTimeout,
    /// The connection ended.
    Disconnected,
    /// The server said that it failed.
    Server,
    /// Access to the space was taken away while watching.
    AccessLost,
    /// The minter failed, or answered something that is no ticket.
    MintFailed,
    /// The minter did not answer in time.
    MintTimeout,
    /// The vault for secrets refused or failed.
    Vault,
    /// The cache refused or failed.
    Cache,
    /// A write could not be kept: the disk is full, or the engine has ended.
    Outbox,
    /// A write was refused or taken back, or there is no such write.
    NotWritten,
    /// An error inside Tauri.
    Internal,
}

/// An error as a webview sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct ErrorPayload {
    /// The kind, for code.
    pub kind: ErrorKind,
    /// What happened, for people. Never contains a ticket.
    pub message: String,
}

impl ErrorPayload {
    /// An error of this kind, in these words.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// What a refusal means for the watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The ticket is not valid: another one may be.
    Ticket,
    /// The records are not the caller's to see (any more).
    AccessLost,
    /// Asking again would be answered the same.
    Final,
}

/// Why a connection ended or did not come about, as far as the lifecycle cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What followers are told.
    pub payload: ErrorPayload,
    /// What it means for ticket and access, if anything.
    pub refusal: Option<Refusal>,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that is nothing but that.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            payload: ErrorPayload::new(kind, message),
            refusal: None,
            retry_after: None,
        }
    }

    /// The same, after which nobody need ask again.
    pub fn for_good(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            refusal: Some(Refusal::Final),
            ..Self::new(kind, message)
        }
    }

    /// The same, which takes access away.
    pub fn losing_access(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            refusal: Some(Refusal::AccessLost),
            ..Self::new(kind, message)
        }
    }
}
