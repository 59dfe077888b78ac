//! Records page by page, from the endpoint beside the watch's: `listRecords`.

use serde::Deserialize;
use tracing::warn;
use url::Url;

use super::{ConnectRequest, TransportError, http::Http};
use crate::{
    id::WatchId,
    pure::protocol::{
        listed::{Listed, Records},
        profile::Profiles,
        wire,
    },
};

/// A page holds up to 200 records: it may be this many times larger than one event.
const PAGE_EVENTS: usize = 4;

#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) records: Records,
    pub(super) cursor: Option<String>,
    #[serde(default)]
    pub(super) profiles: Profiles,
}

impl Answer {
    /// The page that it is.
    pub(super) fn into_page(self, watch: WatchId) -> Listed {
        Listed {
            profiles: self.profiles.0,
            ..read_page(watch, self.records, self.cursor)
        }
    }
}

/// Fetches the page that begins at `cursor`, or the first one.
pub(crate) async fn list(
    http: &Http,
    request: &ConnectRequest,
    cursor: Option<&str>,
) -> Result<Listed, TransportError> {
    let answer = fetch(http, request, cursor).await?;
    Ok(answer.into_page(request.watch))
}

/// The same, with what could not be read.
pub(super) async fn fetch(
    http: &Http,
    request: &ConnectRequest,
    cursor: Option<&str>,
) -> Result<Answer, TransportError> {
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
    serde_json::from_slice(&body).map_err(|error| bad(wire::describe(&error)))
}

/// A page of what could be read. One line tells of all that could not.
pub(super) fn read_page(watch: WatchId, records: Records, cursor: Option<String>) -> Listed {
    if let Some(error) = records.unreadable.first() {
        let count = records.unreadable.len();
        warn!(%watch, count, %error, "skipped unreadable records");
    }
    records.into_page(cursor)
}

/// The same query at the endpoint of another name beside a watch's, which names either of the two that there are.
pub(super) fn sibling(watch: &Url, endpoint: &str) -> Result<Url, TransportError> {
    let path = watch.path();
    let stem = path
        .strip_suffix(".watchRecords")
        .or_else(|| path.strip_suffix(".listRecords"));
    let Some(stem) = stem else {
        return Err(TransportError::NoPages);
    };
    let mut url = watch.clone();
    url.set_path(&format!("{stem}.{endpoint}"));
    Ok(url)
}

/// Whether a URL names one of the two endpoints that have one another beside them.
pub(crate) fn is_endpoint(watch: &Url) -> bool {
    sibling(watch, "listRecords").is_ok()
}

/// Where a watch's stream is, whichever of the two endpoints its URL names. Another URL is taken at its word.
pub(super) fn stream_url(watch: &Url) -> Url {
    sibling(watch, "watchRecords").unwrap_or_else(|_| watch.clone())
}

/// The watch's own query, from the cursor on.
fn list_url(watch: &Url, cursor: Option<&str>) -> Result<Url, TransportError> {
    Ok(super::page::page_url(
        &sibling(watch, "listRecords")?,
        cursor,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_query_goes_to_the_endpoint_beside() {
        let watch =
            "https://a.example/xrpc/com.example.message.watchRecords?actor=did:plc:a&cursor=x";
        let url = list_url(&watch.parse().unwrap(), Some("y z")).unwrap();
        assert_eq!(
            url.as_str(),
            "https://a.example/xrpc/com.example.message.listRecords?actor=did%3Aplc%3Aa&cursor=y+z"
        );
        let other = "https://a.example/watch".parse().unwrap();
        assert!(matches!(
            list_url(&other, Some("y")),
            Err(TransportError::NoPages)
        ));
    }
}
