//! What a watch tells of itself to those who look into an engine.

use serde::Serialize;
use url::Url;

use super::{Watch, spec::TransportKind};
use crate::{
    failure::ErrorPayload,
    gauge::{Carrier, Fallback, Moment},
    id::WatchId,
    pure::lifecycle::machine::Status,
    tickets::TicketStanding,
    transport::http,
};

/// Names of bounds that a report lists.
const MAX_BOUNDS: usize = 16;

/// What a watch tells of itself. Nothing in it opens anything: no ticket, no invite token, no query string.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct WatchReport {
    /// Its number, as the log has it.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub id: WatchId,
    /// Its URL without the query.
    pub url: String,
    /// The NSID without the collection's short name, where the URL names an endpoint of the protocol.
    pub namespace: Option<String>,
    /// The short name of the collection.
    pub collection: Option<String>,
    /// The space that the query names.
    pub space: Option<String>,
    /// The actor that the query names.
    pub actor: Option<String>,
    /// DID of the account whose watch it is.
    pub account: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// The last failure, until it is live again.
    pub error: Option<ErrorPayload>,
    /// The transport that it was asked to use.
    pub transport: TransportKind,
    /// What it is connected over, or tries.
    pub carrier: Option<Carrier>,
    /// What the last attempt to connect left for something else, and why.
    pub fallbacks: Vec<Fallback>,
    /// How many follow it: handles of pages, and subscriptions.
    pub followers: usize,
    /// Whether somebody looks at what it shows.
    pub seen: bool,
    /// Records that it shows.
    pub records: usize,
    /// Bytes of JSON that it holds.
    pub bytes: usize,
    /// Events since it began: records of snapshots, changes; no signs of life.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub events: u64,
    /// Bytes that servers sent for it, as they are after decompression and within TLS.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub bytes_received: u64,
    /// From asking to a connection that stands, the last time, in milliseconds. A ticket is at hand by then.
    pub latency_ms: Option<f64>,
    /// When the server said anything last, a sign of life included, in milliseconds since the Unix epoch.
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub heard_at: Option<i64>,
    /// Attempts to connect.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub connects: u64,
    /// Those after the first one.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub reconnects: u64,
    /// What happened to the connection lately, the oldest first.
    pub timeline: Vec<Moment>,
    /// Quiet snapshots that it compared itself with.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub compared: u64,
    /// Those of them that told something new.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub mended: u64,
    /// What the server sent and was left out.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub left_out: u64,
    /// The bounds that it would have passed.
    pub bounds: Vec<String>,
    /// How its list is asked for, where the server has no stream.
    pub poll: Option<PollReport>,
    /// How it stands with its ticket.
    pub ticket: TicketStanding,
    /// What the cache has of it, where it is cached.
    pub cache: Option<CacheReport>,
    /// Writes of its account that wait, where the engine has an outbox.
    pub waiting_writes: Option<usize>,
}

/// How the list of a watch is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct PollReport {
    /// Between two lists at least, as things stand, in milliseconds.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub interval_ms: u64,
    /// Where the appview says that it stands, cut short.
    pub position: Option<String>,
    /// Lists that were asked for because they may have changed.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub lists: u64,
}

/// What the cache has of a watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
#[non_exhaustive]
pub struct CacheReport {
    /// What its rows go by: a hash.
    pub key: String,
    /// Records in the cache; `None` before the first save, and while it cannot be told.
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub rows: Option<u64>,
    /// When they were saved last, in milliseconds since the Unix epoch.
    #[cfg_attr(feature = "ts", ts(type = "number | null"))]
    pub saved_at: Option<i64>,
}

/// What a watch has counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Without signs of life.
    pub events: u64,
    pub connects: u64,
    pub compared: u64,
    pub mended: u64,
    pub polled: u64,
    pub left_out: u64,
}

impl Watch {
    /// All that it tells. What the cache and the outbox know is still to be filled in.
    pub(super) fn report(&self) -> WatchReport {
        let (url, machine, store) = (&self.spec.url, self.replica.machine(), self.replica.store());
        let (namespace, collection) = names(url);
        let counted = &self.counted;
        WatchReport {
            id: self.id,
            url: http::bare(url),
            namespace,
            collection,
            space: param(url, "spaceUri"),
            actor: param(url, "actor"),
            account: self.spec.account.clone(),
            status: machine.status(),
            error: machine.error().cloned(),
            transport: self.spec.transport,
            carrier: self.gauge.carrier(),
            fallbacks: self.gauge.fallbacks(),
            followers: self.followers.len(),
            seen: self.followers.values().any(|it| it.seen),
            records: store.len(),
            bytes: store.bytes(),
            events: counted.events,
            bytes_received: self.gauge.bytes(),
            latency_ms: self.gauge.latency(),
            heard_at: self.gauge.heard_at(),
            connects: counted.connects,
            reconnects: counted.connects.saturating_sub(1),
            timeline: self.gauge.moments(),
            compared: counted.compared,
            mended: counted.mended,
            left_out: counted.left_out,
            bounds: self.bounds(),
            poll: machine.is_listing().then(|| PollReport {
                interval_ms: self.polling.interval().as_millis() as u64,
                position: self.gauge.position(),
                lists: counted.polled,
            }),
            ticket: self.desk.standing(),
            cache: self.persist.as_ref().map(|it| CacheReport {
                key: it.key().key.clone(),
                rows: None,
                saved_at: None,
            }),
            waiting_writes: None,
        }
    }

    fn bounds(&self) -> Vec<String> {
        let named = self.left_out.iter().take(MAX_BOUNDS);
        named.map(ToString::to_string).collect()
    }
}

/// Namespace and short name of the collection, as the endpoint of a URL has them.
fn names(url: &Url) -> (Option<String>, Option<String>) {
    let method = url.path().rsplit('/').next().unwrap_or_default();
    let stem = method
        .strip_suffix(".watchRecords")
        .or_else(|| method.strip_suffix(".listRecords"));
    let parts = stem.and_then(|it| it.rsplit_once('.'));
    let (namespace, collection) = parts.unzip();
    (
        namespace.map(ToOwned::to_owned),
        collection.or(stem).map(ToOwned::to_owned),
    )
}

fn param(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    let (_, value) = pairs.find(|(it, _)| it == name)?;
    Some(value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_names_its_collection_and_other_urls_none() {
        let names = |path: &str| names(&format!("https://a.example{path}").parse().unwrap());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            names("/xrpc/com.example.message.watchRecords?x=y"),
            (some("com.example"), some("message"))
        );
        assert_eq!(names("/message.listRecords"), (None, some("message")));
        assert_eq!(names("/watch"), (None, None));
    }
}
