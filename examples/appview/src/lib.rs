//! A development appview: `watchRecords` as a contrail appview serves it, over SSE and WebSocket, with the
//! records in memory. It binds loopback only and believes `Authorization: Bearer <did>`: never expose it.
//!
//! It plays a PDS as well, whose public records it indexes: see [`Server::pds_session`].
//!
//! It does what the real server does, slips and [`Losses`] included. What the real one does not do has to be asked for
//! by name: [`Lenient`]. A watch that needs no ticket is one of a [`Server::open_space`].
//!
//! ```no_run
//! # async fn run() -> Result<(), appview::Error> {
//! let server = appview::Server::start(appview::Options::default()).await?;
//! let space = server.space("lounge", "did:plc:alice")?;
//! server.put(appview::Put {
//!     space_uri: Some(space),
//!     collection: "message".into(),
//!     did: "did:plc:alice".into(),
//!     rkey: "1".into(),
//!     record: serde_json::json!({ "text": "hello" }),
//!     ..Default::default()
//! })?;
//! println!("{}", server.url());
//! # Ok(())
//! # }
//! ```

mod answer;
mod auth;
mod control;
mod fault;
mod feed;
mod flood;
mod hydrate;
mod ingest;
mod page;
mod pds;
mod query;
mod reach;
mod record;
mod routes;
mod schema;
mod server;
mod settings;
mod sql;
mod sse;
mod state;
mod ticket;
mod tls;
mod tracker;
mod watch;
mod wire;
mod world;
mod writes;
mod ws;

pub use fault::{AcceptThen, Fault, On};
pub use ingest::{Contrail, PositionShape};
pub use pds::PdsWrite;
pub use record::{Bulk, Community, Delete, Put};
pub use server::{Options, Server};
pub use settings::{Lenient, Losses};
pub use state::{Stats, TicketFor, WsMode};
pub use tls::Tls;
pub use world::{OpenSpace, World};

/// What a call can refuse.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket failed.
    #[error("socket: {0}")]
    Io(#[from] std::io::Error),
    /// The certificate could not be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS could not be set up.
    #[error("TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// The system gave no random bytes.
    #[error("no random bytes from the system")]
    NoRandomness,
    /// No such space.
    #[error("unknown space {0:?}")]
    UnknownSpace(String),
    /// No such collection.
    #[error("unknown collection {0:?}: one of message, event, reaction, rsvp, badge, poll, vote")]
    UnknownCollection(String),
    /// No such relation.
    #[error("unknown relation {0:?}")]
    UnknownRelation(String),
    /// Not a did.
    #[error("not a did: {0:?}")]
    BadDid(String),
    /// Not a record key.
    #[error("not a record key: {0:?}")]
    BadKey(String),
    /// A ticket needs a query.
    #[error("spaceUri or actor required")]
    NoScope,
    /// The ticket could not be written.
    #[error("the ticket could not be written")]
    NoTicket,
    /// Too many records at once.
    #[error("at most {0} records at once")]
    TooMany(usize),
    /// The real server stores a time of its own.
    #[error(
        "createdAt needs the leniency created-at: the real server does not let anybody set the stored time"
    )]
    NoCreatedAt,
    /// What is written to a space does not come from the network.
    #[error("eventAt is for public records")]
    NoEvent,
    /// No such leniency.
    #[error(
        "unknown leniency {0:?}: one of public-actor-watch, created-at, edits-stay, tickets-list"
    )]
    UnknownLeniency(String),
    /// A nonce goes into a header.
    #[error("not a nonce: it must be a valid HTTP header value")]
    BadNonce,
    /// A fault that cannot be produced.
    #[error("fault: {0}")]
    BadFault(String),
}
