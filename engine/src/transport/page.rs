//! One page of a watch's list, beside its stream: what a WebSocket's handshake answers, which every server gives, with
//! the watch's own ticket. Without a cursor it is a whole snapshot.

use url::Url;

use super::{ConnectRequest, TransportError, handshake, http::Http, list};
use crate::pure::protocol::{listed::Listed, ticket::Ticket};

/// A page, and a fresh ticket in exchange for the one that was used.
pub(crate) type Page = (Listed, Option<Ticket>);

/// Fetches the page that begins at `cursor`, or the first one.
pub(crate) async fn page(
    http: &Http,
    request: &ConnectRequest,
    cursor: Option<&str>,
) -> Result<Page, TransportError> {
    let url = page_url(&list::stream_url(&request.url), cursor);
    let answer = handshake::ask(http, url, request).await;
    match (answer, cursor) {
        (Ok(handshake), _) => Ok(handshake.into_page(request.watch)),
        // A host that knows no handshake may know the older endpoint, which takes no tickets.
        (Err(error), Some(cursor)) if request.ticket.is_none() && is_unknown(&error) => {
            Ok((list::list(http, request, Some(cursor)).await?, None))
        }
        // Who asked for a page knows of no handshake.
        (Err(TransportError::BadHandshake { message }), _) => {
            Err(TransportError::BadPage { message })
        }
        (Err(error), _) => Err(error),
    }
}

fn is_unknown(error: &TransportError) -> bool {
    match error {
        TransportError::NoWebSocket
        | TransportError::BadHandshake { .. }
        | TransportError::NoStream { .. }
        | TransportError::PublicList { .. }
        | TransportError::BadRequest { .. } => true,
        TransportError::Status { status, .. } => matches!(status, 400 | 404 | 405 | 501),
        _ => false,
    }
}

/// The watch's own query, from the cursor on.
pub(super) fn page_url(watch: &Url, cursor: Option<&str>) -> Url {
    let mut url = watch.clone();
    let query = watch.query_pairs().filter(|(name, _)| name != "cursor");
    url.query_pairs_mut()
        .clear()
        .extend_pairs(query)
        .extend_pairs(cursor.map(|it| ("cursor", it)));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_the_watchs_own_query_from_the_cursor_on() {
        let watch: Url =
            "https://a.example/xrpc/com.example.message.watchRecords?spaceUri=ats://a&cursor=x"
                .parse()
                .unwrap();
        let url = |cursor| page_url(&watch, cursor).query().unwrap().to_owned();
        assert_eq!(url(Some("y z")), "spaceUri=ats%3A%2F%2Fa&cursor=y+z");
        assert_eq!(url(None), "spaceUri=ats%3A%2F%2Fa");
    }
}
