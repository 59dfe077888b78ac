//! What can go wrong at the plugin's surface.

use contrail_sync_engine::{
    CacheError, ClearError, ErrorKind, ErrorPayload, InvalidEdit, VaultError, WatchError,
    WriteError,
};
use serde::{Serialize, Serializer};

/// Result of the plugin's fallible functions.
pub type Result<T> = std::result::Result<T, Error>;

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
    /// An edit cannot be what was meant.
    #[error(transparent)]
    InvalidEdit(#[from] InvalidEdit),
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
    /// A record was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
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
            Self::InvalidOptions(_) | Self::InvalidEdit(_) => ErrorKind::InvalidOptions,
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::UnknownWatch => ErrorKind::UnknownWatch,
            Self::TooManyWatches { .. } => ErrorKind::TooManyWatches,
            Self::Watch(error) => error.kind(),
            Self::Closed(payload) => payload.kind,
            Self::Cache(_) => ErrorKind::Cache,
            Self::Write(error) => error.kind(),
            Self::Vault(_) => ErrorKind::Vault,
            Self::Tauri(_) | Self::Json(_) => ErrorKind::Internal,
        }
    }
}

impl From<ClearError> for Error {
    fn from(error: ClearError) -> Self {
        match error {
            ClearError::Watch(error) => Self::Watch(error),
            ClearError::Cache(error) => Self::Cache(error),
            other => Self::InvalidOptions(other.to_string()),
        }
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        ErrorPayload::new(self.kind(), self.to_string()).serialize(serializer)
    }
}
