//! What can go wrong at the plugin's surface, and the shape in which webviews see any error.

use serde::{Serialize, Serializer};

use crate::{cache::CacheError, engine::WatchError, tickets::vault::VaultError};

/// Result of the plugin's fallible functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Names the kinds of errors for code that reacts to them; the message beside it is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(ts_rs::TS), ts(export))]
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
    /// The webview has as many watches open as it may.
    TooManyWatches,
    /// The watch holds as many optimistic records, or waiting requests, as it may.
    TooMany,
    /// No connection: name resolution, refused, unreachable, TLS, time-out.
    Connect,
    /// The server answered with a status that is not 2xx and no known reason.
    HttpStatus,
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
    /// Nothing was heard for longer than the idle time-out.
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
    /// An error inside Tauri.
    Internal,
}

/// An error as a webview sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export))]
pub struct ErrorPayload {
    /// The kind, for code.
    pub kind: ErrorKind,
    /// What happened, for people. Never contains a ticket.
    pub message: String,
}

/// Errors of the plugin's surface: opening watches, configuration, the bridge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be used.
    #[error("invalid URL: {0}")]
    InvalidUrl(String),
    /// The scope of the webview's capabilities does not allow the URL.
    #[error(
        "{origin} is not allowed: add it to the scope of a contrail-sync permission in this window's capability"
    )]
    NotAllowed {
        /// Scheme, host and path of the URL, without its query.
        origin: String,
    },
    /// An option is unknown or makes no sense.
    #[error("invalid options: {0}")]
    InvalidOptions(String),
    /// The option is known but not available.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The handle is not open.
    #[error("no such watch: it was closed, or belongs to a page that is gone")]
    UnknownWatch,
    /// Too many watches are open.
    #[error("too many watches: a webview may have {limit} open at once")]
    TooManyWatches {
        /// The bound.
        limit: usize,
    },
    /// The watch itself failed.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The watch is over.
    #[error("the watch is closed: {}", .0.message)]
    Closed(ErrorPayload),
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A secret was not stored or erased.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Tauri failed.
    #[error(transparent)]
    Tauri(#[from] tauri::Error),
    /// A payload could not be written as JSON.
    #[error("payload: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// The kind that webviews see.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidUrl(_) => ErrorKind::InvalidUrl,
            Self::NotAllowed { .. } => ErrorKind::NotAllowed,
            Self::InvalidOptions(_) => ErrorKind::InvalidOptions,
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::UnknownWatch => ErrorKind::UnknownWatch,
            Self::TooManyWatches { .. } => ErrorKind::TooManyWatches,
            Self::Watch(error) => error.kind(),
            Self::Closed(payload) => payload.kind,
            Self::Cache(_) => ErrorKind::Cache,
            Self::Vault(_) => ErrorKind::Vault,
            Self::Tauri(_) | Self::Json(_) => ErrorKind::Internal,
        }
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        ErrorPayload {
            kind: self.kind(),
            message: self.to_string(),
        }
        .serialize(serializer)
    }
}
