//! Older records, page by page, from the endpoint beside the watch's: `listRecords`.

use serde::Deserialize;
use tracing::warn;
use url::Url;

use super::{ConnectRequest, TransportError, http::Http};
use crate::{
    id::WatchId,
    pure::protocol::{
        listed::{Listed, Records},
        wire,
    },
};

/// A page holds up to 200 records: it may be this many times larger than one event.
const PAGE_EVENTS: usize = 4;

#[derive(Deserialize)]
struct Answer {
    records: Records,
    cursor: Option<String>,
}

/// Fetches the page that begins at `cursor`.
pub(crate) async fn list(
    http: &Http,
    request: &ConnectRequest,
    cursor: &str,
) -> Result<Listed, TransportError> {
    let url = list_url(&request.url, cursor)?;
    let answer = http.get(url, request, "application/json").await?;
    let bad = |message: String| TransportError::BadPage { message };
    let content_type = answer.content_type();
    if content_type != "application/json" {
        return Err(bad(format!("it is {content_type}")));
    }
    let limit = request.max_event_bytes.saturating_mul(PAGE_EVENTS);
    let body = answer.body(limit).await?;
    let body = body.ok_or_else(|| bad(format!("it is larger than {limit} bytes")))?;
    let Answer { records, cursor } =
        serde_json::from_slice(&body).map_err(|error| bad(wire::describe(&error)))?;
    Ok(read_page(request.watch, records, cursor))
}

/// A page of what could be read. One line tells of all that could not.
pub(super) fn read_page(watch: WatchId, records: Records, cursor: Option<String>) -> Listed {
    if let Some(error) = records.unreadable.first() {
        let count = records.unreadable.len();
        warn!(%watch, count, %error, "skipped unreadable records");
    }
    records.into_page(cursor)
}

/// The same query at the sibling endpoint.
fn list_url(watch: &Url, cursor: &str) -> Result<Url, TransportError> {
    let Some(path) = watch.path().strip_suffix(".watchRecords") else {
        return Err(TransportError::NoPages);
    };
    let mut url = watch.clone();
    url.set_path(&format!("{path}.listRecords"));
    let query = watch.query_pairs().filter(|(name, _)| name != "cursor");
    url.query_pairs_mut()
        .clear()
        .extend_pairs(query)
        .append_pair("cursor", cursor);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_query_goes_to_the_endpoint_beside() {
        let watch =
            "https://a.example/xrpc/com.example.message.watchRecords?actor=did:plc:a&cursor=x";
        let url = list_url(&watch.parse().unwrap(), "y z").unwrap();
        assert_eq!(
            url.as_str(),
            "https://a.example/xrpc/com.example.message.listRecords?actor=did%3Aplc%3Aa&cursor=y+z"
        );
        let other = "https://a.example/watch".parse().unwrap();
        assert!(matches!(
            list_url(&other, "y"),
            Err(TransportError::NoPages)
        ));
    }
}
