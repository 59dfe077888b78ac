//! Live queries for Tauri apps: follows the `watchRecords` streams of a contrail appview (AT Protocol) and keeps
//! their records in order and up to date.
//!
//! Rust holds the connections, reconciles what arrives, and keeps tickets in the OS keyring. Each window mirrors
//! the lists it asked for through `createWatchStore` of the npm package `tauri-plugin-contrail-sync-api`.
//!
//! # In a Tauri app
//!
//! Register the plugin; the README says what the window's capability needs.
//!
//! ```
//! # fn with_the_plugin<R: tauri::Runtime>(builder: tauri::Builder<R>) -> tauri::Builder<R> {
//! builder.plugin(tauri_plugin_contrail_sync::init())
//! # }
//! ```
//!
//! [`Builder`] does the same with settings: a base URL for relative watch URLs, [`tickets::Minter`]s, limits.
//! [`ContrailSyncExt`] gives the running plugin to Rust code of the app.
//!
//! # Without Tauri
//!
//! The engine is a crate of its own, `contrail-sync-engine`, for any Tokio program; [`engine`] is that crate.
//!
//! # What goes wrong
//!
//! Nothing that a server sends, or fails to send, panics. A watch that has trouble says so in
//! [`engine::State::error`], as an [`ErrorPayload`] with an [`ErrorKind`] for code and a message for people. No
//! message, log line or `Debug` output holds a ticket or a secret.
#![warn(missing_docs)]

mod app;
mod bounds;
mod bridge;
mod builder;
mod commands;
mod config;
mod error;
#[cfg_attr(not(feature = "cache"), path = "files_off.rs")]
mod files;
mod handle;
mod scope;
mod shapes;

pub use app::{ContrailSync, ContrailSyncExt};
pub use builder::{Builder, init};
pub use config::{Config, PageSends, SenderOption, SortDirection, SortOptions, WatchOptions};
pub use contrail_sync_engine as engine;
/// For [`Builder::tls`], in the version that the plugin uses.
pub use contrail_sync_engine::rustls;
pub use contrail_sync_engine::{Edit, EditError, EditRecord, ErrorKind, ErrorPayload, TypedRecord};
pub use error::{Error, Result};
pub use handle::WatchHandle;

/// Writing: what sends records to their server, and what became of them.
pub mod writing {
    pub use contrail_sync_engine::{
        Action, ActionKind, Limits, NewRecord, Outcome, QueuedWrite, SendError, SendReason,
        SendRequest, Sender, SignRequest, Write, WriteError, WriteInfo, WriteState, XrpcSender,
    };
}

/// Tickets: what opens a watch without an invite token, and where they come from.
pub mod tickets {
    pub use contrail_sync_engine::{
        HeaderName, HttpMinter, MintReason, MintRequest, Minter, Ticket, TicketError,
    };
}
