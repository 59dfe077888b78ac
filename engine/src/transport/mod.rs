//! Connections to an appview. The engine sees a stream of server events, whatever carries them.

mod appview;
pub(crate) mod auto;
mod cause;
mod client;
pub(crate) mod exchange;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod handshake;
pub(crate) mod http;
pub(crate) mod list;
mod own;
pub(crate) mod page;
pub(crate) mod poll;
pub(crate) mod polling;
mod pool;
mod position;
mod redirects;
mod refusal;
pub(crate) mod sse;
mod sse_parser;
#[cfg_attr(not(feature = "ws"), path = "ws_off.rs")]
pub(crate) mod ws;

use std::{sync::Arc, time::Duration};

use futures_util::{future::BoxFuture, stream::BoxStream};
use reqwest::header::HeaderValue;
use url::Url;

use polling::Polling;

use crate::{
    failure::{ErrorKind, Failure, Refusal},
    gauge::Gauge,
    id::WatchId,
    pure::protocol::{
        profile::Profile,
        ticket::Ticket,
        wire::{ServerEvent, WireError},
    },
    redact::Secrets,
};

/// A bound on what one event may hold in memory, in bytes.
pub const DEFAULT_MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;
/// Nothing heard for this long means that the connection is dead: three missed keepalives.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Decides whether a URL may be requested: asked for the watch's own, and for every redirect without what was added to
/// the watch's (ticket, mode, cursor).
pub type UrlGuard = Arc<dyn Fn(&Url) -> bool + Send + Sync>;

/// Where a request carries its ticket.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum TicketIn {
    /// `?ticket=`, as tickets of an appview go.
    #[default]
    Query,
    /// `Authorization: Bearer`, as AT Protocol's service tokens go. It goes to the watch's origin alone: no redirect to another
    /// one takes it along.
    Header,
}

/// What to connect to, and within which bounds.
#[derive(Clone)]
pub struct ConnectRequest {
    /// Whose request it is, for the log.
    pub watch: WatchId,
    /// The `watchRecords` URL, without a ticket.
    pub url: Url,
    /// What opens it, if anything has to.
    pub ticket: Option<Ticket>,
    /// Where the ticket goes.
    pub ticket_in: TicketIn,
    /// What may be requested.
    pub guard: UrlGuard,
    /// Longest silence before the connection counts as dead.
    pub idle_timeout: Duration,
    /// Most bytes that one event may have.
    pub max_event_bytes: usize,
    /// How often its list is asked for, where the server has no stream.
    pub polling: Arc<Polling>,
    /// Where it is noted what comes, and over what.
    pub gauge: Arc<Gauge>,
}

/// What a list would not heed: it would be everybody's.
pub(crate) const UNHEEDED: [&str; 3] = ["spaceUri", "inviteToken", "ticket"];

impl ConnectRequest {
    /// Whether a list of public records can answer it.
    pub(crate) fn may_list(&self) -> bool {
        let mut names = self.url.query_pairs();
        let is_heeded = self.ticket.is_none() || self.ticket_in == TicketIn::Header;
        is_heeded && names.all(|(name, _)| !UNHEEDED.contains(&&*name))
    }

    /// The ticket as the value of `Authorization`, where it goes there.
    fn bearer(&self) -> Result<Option<HeaderValue>, TransportError> {
        let ticket = self.ticket.as_ref();
        let Some(ticket) = ticket.filter(|_| self.ticket_in == TicketIn::Header) else {
            return Ok(None);
        };
        let value = HeaderValue::try_from(format!("Bearer {}", ticket.expose()));
        let mut value = value.map_err(|_| TransportError::NotAHeader)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// What must not be quoted: the ticket, and what the URL holds of that sort.
    pub fn secrets(&self) -> Secrets {
        let mut secrets: Secrets = self.ticket.iter().map(Ticket::expose).collect();
        for (name, value) in self.url.query_pairs() {
            if matches!(&*name, "ticket" | "inviteToken") {
                secrets.add(&value);
            }
        }
        if let Some(password) = self.url.password() {
            secrets.add(password);
        }
        secrets
    }
}

/// One item of a connection.
#[derive(Debug)]
pub enum Incoming {
    /// An event of the protocol.
    Event(ServerEvent),
    /// An event that could not be read. The connection goes on.
    Skipped(WireError),
    /// Events may be missing, which only a snapshot can tell.
    Gap,
    /// A fresh ticket for the same watch, in exchange for the one that was used.
    Ticket(Ticket),
    /// The server has no stream: this connection tells its list, and when that may have changed.
    Lists,
    /// What the list tells of the accounts that it names.
    Profiles(Vec<Profile>),
    /// The list may have changed.
    Changed,
}

/// What arrives on an open connection. Ends with an error, or with `None` at a clean end.
pub type Events = BoxStream<'static, Result<Incoming, TransportError>>;

/// A way to follow a watch.
pub trait Transport: Send + Sync {
    /// Connects. Dropping the future, or the stream it gives, leaves nothing behind.
    fn connect(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Events, TransportError>>;
}

/// Why there is no connection, or no longer one. Words of others in it are cut short, and without query string or ticket.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No connection came about.
    #[error("cannot connect to {origin}: {message}")]
    Connect {
        /// Scheme, host and port.
        origin: String,
        /// The cause, as the network stack tells it.
        message: String,
    },
    /// No answer in time.
    #[error("no answer from {origin} within {} s", after.as_secs_f32())]
    ConnectTimeout {
        /// Scheme, host and port.
        origin: String,
        /// The bound.
        after: Duration,
    },
    /// The scope does not allow the URL itself.
    #[error("the scope does not allow {to}")]
    NotAllowed {
        /// The URL, without its query.
        to: String,
    },
    /// A redirect leads where the scope does not allow.
    #[error("redirected to {to}, which the scope does not allow")]
    RedirectNotAllowed {
        /// The target, without its query.
        to: String,
    },
    /// Redirects in a circle, or more of them than anyone needs. Some attempts after it make no request at all.
    #[error("redirected {hops} times without arriving")]
    Redirects {
        /// How many there were.
        hops: usize,
    },
    /// 401: ticket, invite token or secret is missing, malformed, expired, forged, or for something else.
    #[error("{at} did not accept the ticket or token that it got, or wants one (401): {message}")]
    AuthRequired {
        /// Method, origin and path of the request.
        at: String,
        /// The server's words.
        message: String,
    },
    /// A structured refusal: the caller may not read this.
    #[error("the server refuses access: {reason}")]
    Forbidden {
        /// The server's reason, such as `not-member`.
        reason: String,
    },
    /// A structured refusal: there is no such space.
    #[error("the server knows no such space or record: {reason}")]
    NotFound {
        /// The server's words.
        reason: String,
    },
    /// 400 in the server's own words: it cannot answer this query.
    #[error("{at} cannot answer this query (400): {message}")]
    BadRequest {
        /// Method, origin and path of the request.
        at: String,
        /// The server's words.
        message: String,
    },
    /// Any other answer that is not 2xx.
    #[error("{at} answered {status}: {message}{}", what_to_check(*status))]
    Status {
        /// Method, origin and path of the request.
        at: String,
        /// HTTP status code.
        status: u16,
        /// The server's words, or the kind of body it sent instead.
        message: String,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// A 2xx answer of another type.
    #[error(
        "expected an event stream, got {content_type} from {at}: check the URL's host and path"
    )]
    NotEventStream {
        /// Method, origin and path of the request.
        at: String,
        /// The answer's `Content-Type`.
        content_type: String,
    },
    /// An event passed the bound before it ended.
    #[error("an event is larger than {limit} bytes")]
    EventTooLarge {
        /// The bound.
        limit: usize,
    },
    /// Silence for too long.
    #[error("nothing heard for {} s", after.as_secs_f32())]
    IdleTimeout {
        /// The bound.
        after: Duration,
    },
    /// Signs of life, but no snapshot, or no end of one.
    #[error("no snapshot for {} s", after.as_secs_f32())]
    NoSnapshot {
        /// The bound.
        after: Duration,
    },
    /// The answer to a WebSocket handshake is not one.
    #[error("not a WebSocket handshake: {message}")]
    BadHandshake {
        /// What was wrong, without the body itself.
        message: String,
    },
    /// The answer to a request for older records is not one.
    #[error("not a page of records: {message}")]
    BadPage {
        /// What was wrong, without the body itself.
        message: String,
    },
    /// The ticket has characters that no header may have.
    #[error("the ticket cannot be sent as a header: it may have visible ASCII characters only")]
    NotAHeader,
    /// Only the two endpoints of the protocol have one another beside them.
    #[error("the URL names neither watchRecords nor listRecords, so there is no list beside it")]
    NoPages,
    /// There is no stream at this URL: appviews of contrail 0.13 and later have lists only.
    #[error(
        "this appview has no watchRecords ({at}): transport \"auto\" or \"poll\" follows its lists, if host and path are right"
    )]
    NoStream {
        /// Method, origin and path of the request.
        at: String,
    },
    /// 400: streams of records without a space are for communities only.
    #[error(
        "there is no stream of public records, only of a community's spaces ({at}): transport \"auto\" or \"poll\" follows their list"
    )]
    PublicList {
        /// Method, origin and path of the request.
        at: String,
    },
    /// 426: this host ends no WebSockets.
    #[error("this host offers no WebSocket: use \"sse\" or \"auto\"")]
    NoWebSocket,
    /// The program was built without the feature `ws`.
    #[error(
        "this app was built without WebSocket, the feature \"ws\" of its crate: use \"sse\" or \"auto\""
    )]
    NotBuiltIn,
    /// The server closed the WebSocket with a code.
    #[error("the server closed the connection: {}", closed(*code, reason))]
    Closed {
        /// The close code.
        code: u16,
        /// The server's words.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection broke: {message}")]
    Cut {
        /// The cause, as the network stack tells it.
        message: String,
    },
}

impl TransportError {
    /// The kind that webviews see.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect { .. } | Self::ConnectTimeout { .. } => ErrorKind::Connect,
            Self::NotAllowed { .. } | Self::RedirectNotAllowed { .. } => ErrorKind::NotAllowed,
            Self::Redirects { .. } | Self::Status { .. } => ErrorKind::HttpStatus,
            Self::AuthRequired { .. } | Self::NotAHeader => ErrorKind::AuthRequired,
            Self::BadRequest { .. } => ErrorKind::BadRequest,
            Self::Forbidden { .. } => ErrorKind::Forbidden,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::NotEventStream { .. } => ErrorKind::NotEventStream,
            Self::EventTooLarge { .. } => ErrorKind::EventTooLarge,
            Self::IdleTimeout { .. } | Self::NoSnapshot { .. } => ErrorKind::IdleTimeout,
            Self::BadHandshake { .. } => ErrorKind::BadHandshake,
            Self::BadPage { .. } => ErrorKind::BadPage,
            Self::NoWebSocket
            | Self::NotBuiltIn
            | Self::NoPages
            | Self::NoStream { .. }
            | Self::PublicList { .. } => ErrorKind::Unsupported,
            Self::Closed {
                code: close::SERVER_FAILED,
                ..
            } => ErrorKind::Server,
            Self::Closed {
                code: close::ACCESS_REVOKED,
                ..
            } => ErrorKind::AccessLost,
            Self::Closed {
                code: close::TICKET_INVALID,
                ..
            } => ErrorKind::AuthRequired,
            Self::Closed { .. } | Self::Cut { .. } => ErrorKind::Disconnected,
        }
    }

    /// What it means for ticket and access, if anything.
    #[doc(hidden)]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::AuthRequired { .. }
            | Self::NotAHeader
            | Self::Closed {
                code: close::TICKET_INVALID,
                ..
            } => Some(Refusal::Ticket),
            Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Closed {
                code: close::ACCESS_REVOKED,
                ..
            } => Some(Refusal::AccessLost),
            Self::BadRequest { .. }
            | Self::NotBuiltIn
            | Self::NoPages
            | Self::PublicList { .. } => Some(Refusal::Final),
            _ => None,
        }
    }

    /// How long the server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<&TransportError> for Failure {
    fn from(error: &TransportError) -> Self {
        Self {
            refusal: error.refusal(),
            retry_after: error.retry_after(),
            ..Self::new(error.kind(), error.to_string())
        }
    }
}

/// Close codes of the protocol.
pub(crate) mod close {
    /// The server failed while sending.
    pub(crate) const SERVER_FAILED: u16 = 4001;
    /// Access to the space was taken away.
    pub(crate) const ACCESS_REVOKED: u16 = 4003;
    /// The ticket is not valid.
    pub(crate) const TICKET_INVALID: u16 = 4008;
}

/// What a status says about the URL, as the end of a sentence.
fn what_to_check(status: u16) -> &'static str {
    match status {
        404 | 405 | 410 => "; nothing of the kind is there: check the URL's host and path",
        407 => "; a proxy on the way wants a password",
        _ => "",
    }
}

fn closed(code: u16, reason: &str) -> String {
    match (code, reason) {
        (1005, _) => "without a code".to_owned(),
        (code, "") => format!("code {code}"),
        (code, reason) => format!("code {code}, {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(error: TransportError) -> Option<Refusal> {
        Failure::from(&error).refusal
    }

    fn closed(code: u16) -> TransportError {
        let reason = String::new();
        TransportError::Closed { code, reason }
    }

    #[test]
    fn a_structured_refusal_takes_access_away_and_an_unstructured_one_does_not() {
        let reason = || "not-member".to_owned();
        for error in [
            TransportError::Forbidden { reason: reason() },
            TransportError::NotFound { reason: reason() },
            closed(close::ACCESS_REVOKED),
        ] {
            assert_eq!(refusal(error), Some(Refusal::AccessLost));
        }
        for status in [403, 404, 500] {
            let message = "no JSON".to_owned();
            let error = TransportError::Status {
                at: String::new(),
                status,
                message,
                retry_after: None,
            };
            assert_eq!(refusal(error), None);
        }
    }

    #[test]
    fn a_ticket_that_the_server_does_not_take_is_worth_another_one() {
        let message = "expired".to_owned();
        for error in [
            TransportError::AuthRequired {
                at: String::new(),
                message,
            },
            closed(close::TICKET_INVALID),
        ] {
            assert_eq!(refusal(error), Some(Refusal::Ticket));
        }
    }
}
