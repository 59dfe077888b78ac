//! What of a requested URL is the watch's own. The guard judges that, and not what is added on the way: ticket, mode,
//! cursor, the endpoint of older records.

use url::Url;

/// The URL as the guard judges it, where `sent` was requested first, for `watch`.
pub(super) fn own(url: &Url, sent: &Url, watch: &Url) -> Url {
    let mut own = url.clone();
    if endpoint(url) == endpoint(sent) {
        let above = url.path().strip_suffix(endpoint(url)).unwrap_or_default();
        own.set_path(&format!("{above}{}", endpoint(watch)));
    }
    let (of_watch, of_sent) = (pairs(watch.query()), pairs(sent.query()));
    let is_own = |pair: &(String, String)| of_watch.contains(pair) || !of_sent.contains(pair);
    let rest = |query| pairs(query).into_iter().filter(is_own).collect::<Vec<_>>();
    if rest(url.query()) == rest(sent.query()) {
        own.set_query(watch.query());
    } else {
        let parts = url.query().unwrap_or_default().split('&');
        let parts: Vec<&str> = parts
            .filter(|it| pairs(Some(it)).iter().all(is_own))
            .collect();
        own.set_query(Some(&parts.join("&")));
    }
    if url.fragment().is_none() {
        own.set_fragment(watch.fragment());
    }
    own
}

/// The last segment of a path, which names the method.
pub(super) fn endpoint(url: &Url) -> &str {
    url.path().rsplit('/').next().unwrap_or_default()
}

fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    let query = query.unwrap_or_default().as_bytes();
    url::form_urlencoded::parse(query).into_owned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_to_a_watch_is_not_judged_and_what_a_redirect_adds_is() {
        let url = |text: &str| Url::parse(&format!("https://a.example{text}")).unwrap();
        let watch = url("/xrpc/x.watchRecords?spaceUri=ats://a&cursor=1#f");
        let sent = url("/xrpc/x.listRecords?spaceUri=ats%3A%2F%2Fa&cursor=2&mode=ws&ticket=t");
        for (asked, judged) in [
            // Itself, in another spelling, and without the ticket.
            (sent.clone(), watch.clone()),
            (
                url("/xrpc/x.listRecords?spaceUri=ats:%2F%2Fa&cursor=2&mode=ws&ticket=t"),
                watch.clone(),
            ),
            (
                url("/xrpc/x.listRecords?spaceUri=ats://a&cursor=2&mode=ws"),
                watch.clone(),
            ),
            (
                url("/v2/x.listRecords?spaceUri=ats://a&cursor=2&mode=ws&ticket=t"),
                url("/v2/x.watchRecords?spaceUri=ats://a&cursor=1#f"),
            ),
            (
                url("/xrpc/x.listRecords?spaceUri=ats://b&ticket=t&mode=ws"),
                url("/xrpc/x.watchRecords?spaceUri=ats://b#f"),
            ),
            (
                url("/xrpc/y.other?ticket=else"),
                url("/xrpc/y.other?ticket=else#f"),
            ),
        ] {
            assert_eq!(own(&asked, &sent, &watch), judged, "{asked}");
        }
    }
}
