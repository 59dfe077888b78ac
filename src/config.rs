//! The plugin's configuration and the options of one watch.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use contrail_sync_engine::{
    CacheOptions, Filter, MAX_POLL_INTERVAL, MAX_RECORDS, MAX_TICKET_BYTES, MIN_POLL_INTERVAL,
    NamedMinter, Path, SenderSource, Sort, SortBy, Ticket, TicketIn, TicketSource, TransportKind,
    View, WatchSpec,
    internals::{Secrets, bare},
};
use serde::Deserialize;
use url::Url;

use crate::{
    bounds,
    error::{Error, Result},
    scope::Scope,
    shapes,
};

/// `plugins.contrail-sync` in `tauri.conf.json`.
///
/// ```json
/// { "plugins": { "contrail-sync": { "baseUrl": "https://appview.example" } } }
/// ```
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// What relative watch URLs are relative to.
    pub base_url: Option<Url>,
}

impl fmt::Debug for Config {
    // A URL may hold a password or a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("base_url", &self.base_url.as_ref().map(bare))
            .finish()
    }
}

/// The shortest idle time-out that makes sense: below it, keepalives come too late.
const MIN_IDLE_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest one: an hour of not noticing is not noticing.
const MAX_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Most records of one watch in the cache.
const MAX_CACHED_RECORDS: u32 = 50_000;

/// Most conditions of `where`.
const MAX_CONDITIONS: usize = 16;

/// Options of one watch, as a webview gives them. Unknown ones are an error.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(
    test,
    derive(ts_rs::TS),
    ts(export, rename_all = "camelCase", optional_fields)
)]
#[non_exhaustive]
pub struct WatchOptions {
    /// The `watchRecords` or `listRecords` URL with its query; relative to the configured base URL, or absolute. Either may
    /// be written: the other one lies beside it.
    pub url: String,
    /// How to reach the server; `sse` by default.
    pub transport: Option<TransportKind>,
    /// A ticket, sent as it is at every connect.
    pub ticket: Option<String>,
    /// The page mints: it is asked whenever a ticket is needed.
    pub mint: Option<bool>,
    /// Name of a minter that the app registered on the plugin's Builder.
    pub minter: Option<String>,
    /// Where requests carry the ticket: `query` by default, or `header` (`Authorization: Bearer`), as AT Protocol's service
    /// tokens go.
    pub ticket_in: Option<TicketIn>,
    /// Whether to connect again after a failure; yes by default.
    pub reconnect: Option<bool>,
    /// DID of the account whose watch it is.
    pub account: Option<String>,
    /// Longest silence before a connection counts as dead, in milliseconds; 45,000 by default.
    pub idle_timeout: Option<u32>,
    /// Between two looks at whether anything changed, where the server has no stream, in milliseconds: 2,000 to 3,600,000;
    /// by default what the app set on the plugin's Builder, or 10,000.
    pub poll_interval: Option<u32>,
    /// Whether the records outlive the process in the app's cache; yes by default, where there is one.
    pub cache: Option<bool>,
    /// Names the watch in the cache; its URL by default. Another query of the same name erases what is there.
    pub cache_key: Option<String>,
    /// Most records to keep in the cache, the first ones of the order; 200 by default.
    pub cache_max_records: Option<u32>,
    /// What the records are sorted by; newest first by default.
    pub sort: Option<SortOptions>,
    /// Shows only records whose bodies have these texts, numbers, booleans or `null`s at these paths (`value.<field>`,
    /// deeper with more dots), live ones included.
    #[serde(rename = "where")]
    #[cfg_attr(
        test,
        ts(
            rename = "where",
            optional,
            type = "Record<string, string | number | boolean | null>"
        )
    )]
    pub conditions: Option<BTreeMap<String, serde_json::Value>>,
    /// Most records to show, the first ones of the order, live ones included; 200,000 at most and by default.
    pub max_records: Option<u32>,
    /// Who sends what is written through it: a sender that the app registered on the plugin's Builder, or the page.
    pub sender: Option<SenderOption>,
}

/// Who sends what is written through a watch.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub enum SenderOption {
    /// The sender of this name, registered on the plugin's Builder.
    Named {
        /// The name.
        sender: String,
    },
    /// The page that follows the watch, by a function of its own.
    Page(PageSends),
}

/// `"page"`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(export, rename_all = "lowercase"))]
pub enum PageSends {
    /// The page.
    Page,
}

/// What a watch's records are sorted by.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(ts_rs::TS), ts(export, optional_fields))]
#[non_exhaustive]
pub struct SortOptions {
    /// `time_us` (creation time, then record key), `rkey` (record key, then creation time), or `value.<field>`: a field of
    /// the body, deeper with more dots. There numbers come before texts before booleans, ties are newest first, and
    /// records without it come last in either direction.
    #[cfg_attr(test, ts(type = "\"time_us\" | \"rkey\" | `value.${string}`"))]
    pub by: String,
    /// `desc` by default.
    pub order: Option<SortDirection>,
}

/// Which end comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(export, rename_all = "lowercase"))]
pub enum SortDirection {
    /// The smallest, the oldest.
    Asc,
    /// The largest, the newest.
    #[default]
    Desc,
}

impl SortOptions {
    /// By this, the largest first.
    pub fn new(by: impl Into<String>) -> Self {
        Self {
            by: by.into(),
            order: None,
        }
    }

    fn read(&self) -> Result<Sort> {
        let by = match &*self.by {
            "time_us" => SortBy::TimeUs,
            "rkey" => SortBy::Rkey,
            other => SortBy::Value(Path::parse(other).ok_or_else(|| {
                Error::InvalidOptions(
                    "sort.by is none of time_us, rkey and value.<field>".to_owned(),
                )
            })?),
        };
        Ok(match self.order.unwrap_or_default() {
            SortDirection::Asc => Sort::ascending(by),
            SortDirection::Desc => Sort::descending(by),
        })
    }
}

impl WatchOptions {
    /// Reads what a webview gave. The error names what is wrong, never a value: it may be a ticket.
    pub(crate) fn read(options: serde_json::Value) -> Result<Self> {
        shapes::check(&options)?;
        serde_json::from_value(options)
            .map_err(|_| Error::InvalidOptions("an option has the wrong type".to_owned()))
    }

    /// A watch of this URL, with defaults for everything else.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// Checks a page's options and turns them into what the engine needs.
    pub(crate) fn into_spec(self, surroundings: &Surroundings, scope: Scope) -> Result<WatchSpec> {
        self.check_texts()?;
        let url = resolve(&self.url, surroundings.base_url.as_ref())?;
        if !scope.allows(&url) {
            let origin = bare(&url);
            return Err(Error::NotAllowed { origin });
        }
        let guard_id = scope.id();
        let mut spec = WatchSpec::new(url, Arc::new(move |url| scope.allows(url)));
        spec.guard_id = guard_id;
        self.complete(spec, surroundings)
    }

    /// The same for the app's own code, which no capability binds: any URL, and redirects within its origin.
    pub(crate) fn into_trusted_spec(self, surroundings: &Surroundings) -> Result<WatchSpec> {
        self.check_texts()?;
        let url = resolve(&self.url, surroundings.base_url.as_ref())?;
        if self.mint == Some(true) {
            let message = "no page mints for a watch of Rust: name a minter";
            return Err(Error::InvalidOptions(message.to_owned()));
        }
        if matches!(self.sender, Some(SenderOption::Page(_))) {
            let message = "no page sends for a watch of Rust: name a sender";
            return Err(Error::InvalidOptions(message.to_owned()));
        }
        let origin = url.origin();
        let spec = WatchSpec::new(url, Arc::new(move |url| url.origin() == origin));
        self.complete(spec, surroundings)
    }

    /// Checks how long each text is, before anything is done with one.
    fn check_texts(&self) -> Result<()> {
        let sort = self.sort.as_ref().map(|sort| &*sort.by);
        bounds::check("url", &*self.url, bounds::URL)?;
        bounds::check("account", self.account.as_deref(), bounds::ACCOUNT)?;
        bounds::check("mintTicket", self.ticket.as_deref(), MAX_TICKET_BYTES)?;
        bounds::check("mintTicket.minter", self.minter.as_deref(), bounds::MINTER)?;
        if let Some(SenderOption::Named { sender }) = &self.sender {
            bounds::check("sender.sender", &**sender, bounds::MINTER)?;
        }
        bounds::check("cacheKey", self.cache_key.as_deref(), bounds::CACHE_KEY)?;
        bounds::check("sort.by", sort, bounds::PATH)?;
        for (path, wanted) in self.conditions.iter().flatten() {
            let name = condition(path);
            bounds::check(&format!("the key {name}"), &**path, bounds::PATH)?;
            bounds::check(&name, wanted.as_str(), bounds::CONDITION)?;
        }
        Ok(())
    }

    fn complete(self, mut spec: WatchSpec, surroundings: &Surroundings) -> Result<WatchSpec> {
        spec.transport = self.transport.unwrap_or_default();
        spec.tickets = self.tickets(surroundings)?;
        spec.ticket_in = self.ticket_in.unwrap_or_default();
        spec.cache = self.cache(surroundings)?;
        spec.view = self.view()?;
        spec.sender = self.sender(surroundings)?;
        spec.account = self.account;
        spec.reconnect = self.reconnect.unwrap_or(true);
        if let Some(millis) = self.idle_timeout {
            spec.idle_timeout = Duration::from_millis(millis.into());
            if !(MIN_IDLE_TIMEOUT..=MAX_IDLE_TIMEOUT).contains(&spec.idle_timeout) {
                return Err(Error::InvalidOptions(format!(
                    "idleTimeout is {millis} ms, it may be {} to {}",
                    MIN_IDLE_TIMEOUT.as_millis(),
                    MAX_IDLE_TIMEOUT.as_millis()
                )));
            }
        }
        if let Some(millis) = self.poll_interval {
            spec.poll_interval = Duration::from_millis(millis.into());
            if !(MIN_POLL_INTERVAL..=MAX_POLL_INTERVAL).contains(&spec.poll_interval) {
                return Err(Error::InvalidOptions(format!(
                    "pollInterval is {millis} ms, it may be {} to {}",
                    MIN_POLL_INTERVAL.as_millis(),
                    MAX_POLL_INTERVAL.as_millis()
                )));
            }
        } else if let Some(interval) = surroundings.poll_interval {
            spec.poll_interval = interval;
        }
        spec.check()?;
        Ok(spec)
    }

    fn view(&self) -> Result<View> {
        let mut view = View::default();
        if let Some(sort) = &self.sort {
            view.sort = sort.read()?;
        }
        if let Some(conditions) = &self.conditions {
            view.filter = filter(conditions)?;
        }
        if let Some(records) = self.max_records {
            let most = MAX_RECORDS;
            if !(1..=most).contains(&(records as usize)) {
                return Err(Error::InvalidOptions(format!(
                    "maxRecords is {records}, it may be 1 to {most}"
                )));
            }
            view.max_records = Some(records as usize);
        }
        Ok(view)
    }

    fn cache(&self, surroundings: &Surroundings) -> Result<Option<CacheOptions>> {
        if self.cache == Some(true) && !surroundings.cached {
            let message = "this app has no cache: its Builder turns it off, or it was built without the feature \"cache\"";
            return Err(Error::Unsupported(message.to_owned()));
        }
        if !self.cache.unwrap_or(surroundings.cached) {
            return Ok(None);
        }
        let mut options = CacheOptions::default();
        if let Some(key) = &self.cache_key {
            if key.is_empty() {
                return Err(Error::InvalidOptions("cacheKey is empty".to_owned()));
            }
            options.key = Some(key.clone());
        }
        if let Some(records) = self.cache_max_records {
            if !(1..=MAX_CACHED_RECORDS).contains(&records) {
                return Err(Error::InvalidOptions(format!(
                    "cacheMaxRecords is {records}, it may be 1 to {MAX_CACHED_RECORDS}"
                )));
            }
            options.max_records = records as usize;
        }
        Ok(Some(options))
    }

    fn sender(&self, surroundings: &Surroundings) -> Result<Option<SenderSource>> {
        match &self.sender {
            None => Ok(None),
            Some(SenderOption::Page(_)) => Ok(Some(SenderSource::Followers)),
            Some(SenderOption::Named { sender }) => match surroundings.senders.contains(sender) {
                true => Ok(Some(SenderSource::Named(sender.clone()))),
                false => Err(Error::InvalidOptions(format!(
                    "sender: no sender named {sender:?} is registered on the plugin's Builder"
                ))),
            },
        }
    }

    fn tickets(&self, surroundings: &Surroundings) -> Result<TicketSource> {
        let invalid = |message: &str| Err(Error::InvalidOptions(message.to_owned()));
        match (&self.ticket, self.mint, &self.minter) {
            (None, None | Some(false), None) => Ok(TicketSource::Public),
            (Some(text), None | Some(false), None) => match Ticket::parse(text) {
                Ok(ticket) => Ok(TicketSource::Static(ticket)),
                Err(_) => invalid("mintTicket is empty or more than one word"),
            },
            (None, Some(true), None) => Ok(TicketSource::Followers),
            (None, None | Some(false), Some(name)) => {
                let minter = surroundings.minters.iter().find(|it| it.name() == name);
                match minter {
                    Some(minter) => Ok(TicketSource::Minter(minter.clone())),
                    None => invalid(&format!(
                        "mintTicket: no minter named {name:?} is registered on the plugin's Builder"
                    )),
                }
            }
            _ => invalid("mintTicket: tickets come from one of ticket, mint and minter"),
        }
    }
}

fn filter(conditions: &BTreeMap<String, serde_json::Value>) -> Result<Filter> {
    let invalid = |message: String| Error::InvalidOptions(message);
    if conditions.len() > MAX_CONDITIONS {
        return Err(invalid(format!(
            "where has {} conditions, it may have {MAX_CONDITIONS}",
            conditions.len()
        )));
    }
    let conditions = conditions.iter().map(|(path, wanted)| {
        let name = condition(path);
        let path = Path::parse(path)
            .ok_or_else(|| invalid(format!("{name} is not named value.<field>")))?;
        if wanted.is_object() || wanted.is_array() {
            return Err(invalid(format!(
                "{name} is {}, it must be a string, a number, true, false or null",
                shapes::kind(wanted)
            )));
        }
        Ok((path, wanted.clone()))
    });
    Ok(Filter::new(conditions.collect::<Result<_>>()?))
}

/// What a page calls a condition.
fn condition(path: &str) -> String {
    format!("where[\"{}\"]", Secrets::default().quoted(path))
}

/// What the app configured, as far as it matters to a watch.
#[derive(Default)]
pub(crate) struct Surroundings {
    /// What relative URLs are relative to.
    pub base_url: Option<Url>,
    /// The registered minters.
    pub minters: Vec<NamedMinter>,
    /// The names of the registered senders.
    pub senders: Vec<String>,
    /// Whether there is a cache.
    pub cached: bool,
    /// How often lists are asked for, if the app says so.
    pub poll_interval: Option<Duration>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("base_url", &self.base_url.as_ref().map(bare))
            .field("minters", &self.minters)
            .field("senders", &self.senders)
            .field("cached", &self.cached)
            .field("poll_interval", &self.poll_interval)
            .finish()
    }
}

/// Makes a watch's URL absolute and checks that it is one that can be watched.
pub(crate) fn resolve(text: &str, base_url: Option<&Url>) -> Result<Url> {
    if text.trim().is_empty() {
        let message = "it is empty: give the watchRecords or listRecords URL of a collection";
        return Err(Error::InvalidUrl(message.to_owned()));
    }
    let url = match (Url::parse(text), base_url) {
        (Ok(url), _) => url,
        (Err(url::ParseError::RelativeUrlWithoutBase), Some(base)) => base
            .join(text)
            .map_err(|error| Error::InvalidUrl(error.to_string()))?,
        (Err(url::ParseError::RelativeUrlWithoutBase), None) => {
            let hint = "it is relative, and no baseUrl is configured for the plugin";
            return Err(Error::InvalidUrl(hint.to_owned()));
        }
        (Err(error), _) => return Err(Error::InvalidUrl(error.to_string())),
    };
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("its scheme is {}, it must be http or https", url.scheme());
        return Err(Error::InvalidUrl(message));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::InvalidUrl(
            "it holds a user name or password".to_owned(),
        ));
    }
    if url.query_pairs().any(|(name, _)| name == "ticket") {
        let message = "it holds a ticket: give it as mintTicket, where it stays out of logs";
        return Err(Error::InvalidUrl(message.to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
