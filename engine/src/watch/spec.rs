//! What a watch is, and which watches are the same.

use std::time::Duration;

use url::Url;

use super::error::WatchError;

use crate::{
    pure::view::{View, sort::Sort},
    tickets::TicketSource,
    transport::{
        DEFAULT_IDLE_TIMEOUT, TicketIn, TransportError, UNHEEDED, UrlGuard, list,
        polling::{DEFAULT_POLL_INTERVAL, MAX_POLL_INTERVAL, MIN_POLL_INTERVAL},
        ws,
    },
};

/// Below it no server can show a sign of life in time.
const MIN_IDLE_TIMEOUT: Duration = Duration::from_millis(100);
/// An hour of not noticing is not noticing.
const MAX_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// How a watch reaches the server.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, rename = "Transport"))]
#[non_exhaustive]
pub enum TransportKind {
    /// Server-sent events.
    #[default]
    Sse,
    /// WebSocket.
    Ws,
    /// WebSocket where the host offers it and the query does not hydrate, else server-sent events; where there is no
    /// stream at all, as [`Poll`](Self::Poll).
    Auto,
    /// Lists, asked for again whenever the appview's position has moved. For public records, which have no stream, and
    /// for appviews without streams (contrail 0.13 and later).
    Poll,
}

/// Who sends what is written through a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SenderSource {
    /// The sender of this name, among those of the outbox.
    Named(String),
    /// Whoever follows the watch, as a webview does by a function of its own: see
    /// [`lend_sender`](crate::Engine::lend_sender).
    Followers,
}

/// One watch, as the engine needs it.
///
/// ```
/// use std::sync::Arc;
/// use contrail_sync_engine::{
///     CacheOptions, HttpMinter, NamedMinter, Path, Sort, SortBy, TicketSource, TransportKind, WatchSpec,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let space = "ats://did:plc:alice/com.example.space/lounge";
/// let url = format!("https://appview.example/xrpc/com.example.message.watchRecords?spaceUri={space}");
/// let url: url::Url = url.parse()?;
/// // Redirects stay where the watch is.
/// let origin = url.origin();
/// let mut spec = WatchSpec::new(url, Arc::new(move |it| it.origin() == origin));
///
/// spec.transport = TransportKind::Auto;
/// spec.account = Some("did:plc:alice".into());
/// let minter = HttpMinter::post("https://appview.example/api/ticket".parse()?).bearer("session");
/// spec.tickets = TicketSource::Minter(NamedMinter::new("api", minter));
/// // Where the engine has a cache.
/// spec.cache = Some(CacheOptions::default());
///
/// let score = Path::parse("value.score").ok_or("that is no path")?;
/// spec.view.sort = Sort::descending(SortBy::Value(score));
/// spec.view.max_records = Some(100);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct WatchSpec {
    /// The absolute `watchRecords` or `listRecords` URL with its query, without a ticket. Either may be written: the
    /// other one lies beside it.
    pub url: Url,
    /// How to reach the server.
    pub transport: TransportKind,
    /// DID of the account whose watch it is.
    pub account: Option<String>,
    /// Where tickets come from.
    pub tickets: TicketSource,
    /// Where requests carry them.
    pub ticket_in: TicketIn,
    /// Whether to connect again after a failure.
    pub reconnect: bool,
    /// Longest silence before a connection counts as dead: from 100 ms to an hour, beyond which the nearest is taken.
    pub idle_timeout: Duration,
    /// Between two looks at whether anything changed, where the server has no stream: from 2 s to an hour, beyond which
    /// the nearest is taken; 10 s by default.
    pub poll_interval: Duration,
    /// What may be requested: asked for the URL and every redirect.
    pub guard: UrlGuard,
    /// How the records are cached, where the engine has a cache; `None` for not at all.
    pub cache: Option<CacheOptions>,
    /// What of the records is shown, and in which order.
    pub view: View,
    /// Who sends what is written through it, where the engine has an outbox. Watches that differ in nothing else share a
    /// connection.
    pub sender: Option<SenderSource>,
    /// Names the guard: watches share a connection only under the same one.
    pub guard_id: String,
}

impl WatchSpec {
    /// A watch without a ticket, over server-sent events, that may request what `guard` allows.
    pub fn new(url: Url, guard: UrlGuard) -> Self {
        Self {
            url,
            transport: TransportKind::default(),
            account: None,
            tickets: TicketSource::default(),
            ticket_in: TicketIn::default(),
            reconnect: true,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            poll_interval: DEFAULT_POLL_INTERVAL,
            guard,
            cache: None,
            view: View::default(),
            sender: None,
            guard_id: String::new(),
        }
    }

    /// Whether it has neither a ticket, nor where to get one, nor an invite token.
    pub(crate) fn is_anonymous(&self) -> bool {
        let invited = self
            .url
            .query_pairs()
            .any(|(name, _)| name == "inviteToken");
        self.tickets == TicketSource::Public && !invited
    }

    /// What tells its tickets in the vault from those of other watches, beside account, query and source.
    pub(crate) fn tickets_id(&self) -> String {
        match self.ticket_in {
            TicketIn::Query => self.guard_id.clone(),
            TicketIn::Header => format!("{} in the header", self.guard_id),
        }
    }

    /// Whether the server is asked for an order in which the watch does not show the records.
    pub(crate) fn is_sorted_elsewhere(&self) -> bool {
        let asked = |name| {
            self.url
                .query_pairs()
                .find(|it| it.0 == name)
                .map(|it| it.1)
        };
        let differs = asked("sort").is_some_and(|it| it != "time_us")
            || asked("order").is_some_and(|it| it != "desc");
        differs && self.view.sort == Sort::default()
    }

    /// What of it makes no sense, if anything: a list would not heed it, and show everybody's records. Or this program was
    /// built without its transport.
    ///
    /// # Errors
    /// [`WatchError::NotForLists`], [`TransportError::NotBuiltIn`].
    pub fn check(&self) -> Result<(), WatchError> {
        if self.transport == TransportKind::Ws && !ws::IS_BUILT_IN {
            return Err(TransportError::NotBuiltIn.into());
        }
        if self.transport != TransportKind::Poll {
            return Ok(());
        }
        let what = |what: &str| {
            Err(WatchError::NotForLists {
                what: what.to_owned(),
            })
        };
        if !list::is_endpoint(&self.url) {
            return what("this URL, which names neither watchRecords nor listRecords");
        }
        if self.tickets != TicketSource::Public && self.ticket_in == TicketIn::Query {
            return what("a ticket");
        }
        let mut names = self.url.query_pairs();
        let unheeded = names.find(|(name, _)| UNHEEDED.contains(&&**name));
        unheeded.map_or(Ok(()), |(name, _)| what(&name))
    }

    /// Brings what callers may have set to any value to one that makes sense.
    pub(crate) fn within_bounds(mut self) -> Self {
        let clamped = self.idle_timeout.clamp(MIN_IDLE_TIMEOUT, MAX_IDLE_TIMEOUT);
        self.idle_timeout = clamped;
        let clamped = self
            .poll_interval
            .clamp(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL);
        self.poll_interval = clamped;
        self
    }

    pub(crate) fn key(&self) -> WatchKey {
        WatchKey {
            url: self.url.clone(),
            transport: self.transport,
            account: self.account.clone(),
            tickets: self.tickets.clone(),
            ticket_in: self.ticket_in,
            reconnect: self.reconnect,
            idle_timeout: self.idle_timeout,
            poll_interval: self.poll_interval,
            cache: self.cache.clone(),
            view: self.view.clone(),
            guard_id: self.guard_id.clone(),
        }
    }
}

/// How a watch is cached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CacheOptions {
    /// Names the watch in the cache; its URL by default.
    pub key: Option<String>,
    /// Most records to keep.
    pub max_records: usize,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            key: None,
            max_records: 200,
        }
    }
}

/// What must agree for two followers to share a watch. A static ticket is part of it: its holder shares with
/// those who hold the same one. A minter is known by its name, and followers that mint count as one another's
/// equals: `account` is what tells their users apart.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct WatchKey {
    url: Url,
    transport: TransportKind,
    account: Option<String>,
    tickets: TicketSource,
    ticket_in: TicketIn,
    reconnect: bool,
    idle_timeout: Duration,
    poll_interval: Duration,
    cache: Option<CacheOptions>,
    view: View,
    guard_id: String,
}
