//! How far an appview has come with the network: `getCursor`. It moves with most changes, whatever they are about.

use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::{ConnectRequest, TransportError, http::Http, list::sibling};

/// Most bytes of an answer that is read.
const MAX_BYTES: usize = 16 * 1024;

/// Where an appview stands. Opaque: nothing but whether two are the same means anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Position {
    /// It has one, in its own words; `None` before it has seen anything.
    At(Option<String>),
    /// It tells none, or none that can be read.
    Untold,
}

/// The shapes of all versions. What else an answer has only says when it was given.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    position: Option<&'a RawValue>,
    #[serde(borrow)]
    cursor: Option<&'a RawValue>,
    #[serde(borrow)]
    time_us: Option<&'a RawValue>,
}

/// The URL of the position that goes with a watch's list: `com.example.message.listRecords` has
/// `com.example.getCursor` beside it.
pub(super) fn position_url(watch: &Url) -> Result<Url, TransportError> {
    let mut url = sibling(watch, "getCursor")?;
    let path = url.path().to_owned();
    // Without the collection's short name.
    let kept = path
        .strip_suffix(".getCursor")
        .and_then(|it| it.rsplit_once('.'));
    let Some((namespace, _)) = kept.filter(|(it, _)| !it.ends_with('/')) else {
        return Err(TransportError::NoPages);
    };
    url.set_path(&format!("{namespace}.getCursor"));
    url.set_query(None);
    Ok(url)
}

/// Asks where the appview stands.
pub(super) async fn read(
    http: &Http,
    url: &Url,
    request: &ConnectRequest,
) -> Result<Position, TransportError> {
    let answer = match http.get(url.clone(), request, "application/json").await {
        Ok(answer) => answer,
        Err(error) if is_untold(&error) => return Ok(Position::Untold),
        Err(error) => return Err(error),
    };
    let body = answer.body(MAX_BYTES).await?;
    Ok(body.map_or(Position::Untold, |body| parse(&body)))
}

/// Whether the server has no such endpoint, or none for everybody.
fn is_untold(error: &TransportError) -> bool {
    match error {
        TransportError::Status { status, .. } => matches!(status, 400 | 403 | 404 | 405 | 501),
        TransportError::AuthRequired { .. }
        | TransportError::Forbidden { .. }
        | TransportError::NotFound { .. }
        | TransportError::NoStream { .. }
        | TransportError::BadRequest { .. } => true,
        _ => false,
    }
}

/// Reads an answer.
pub(super) fn parse(body: &[u8]) -> Position {
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
        return Position::Untold;
    };
    let told = answer.position.or(answer.cursor).or(answer.time_us);
    Position::At(told.map(|it| it.get().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_position_itself_counts_in_every_version_of_the_answer() {
        for (one, same, other) in [
            (
                r#"{"position":{"source":"jetstream","epoch":"rig-1","cursor":"1"},"updatedAt":1,"updatedAtDate":"x"}"#,
                r#"{"position":{"source":"jetstream","epoch":"rig-1","cursor":"1"},"updatedAt":2,"updatedAtDate":"y"}"#,
                r#"{"position":{"source":"jetstream","epoch":"rig-2","cursor":"1"},"updatedAt":1,"updatedAtDate":"x"}"#,
            ),
            (
                r#"{"time_us":1795811885203000,"date":"x","seconds_ago":1}"#,
                r#"{"time_us":1795811885203000,"date":"x","seconds_ago":7}"#,
                r#"{"time_us":1795811885203001,"date":"x","seconds_ago":1}"#,
            ),
            (
                r#"{"cursor":"a"}"#,
                r#"{"cursor":"a"}"#,
                r#"{"cursor":"b"}"#,
            ),
            ("{}", r#"{"cursor":null}"#, r#"{"cursor":1}"#),
        ] {
            let [one, same, other] = [one, same, other].map(|it| parse(it.as_bytes()));
            assert_eq!(one, same);
            assert_ne!(one, other);
            assert_ne!(one, Position::Untold);
        }
        for nonsense in ["", "[]", "<h1>", "7", "\"x\""] {
            assert_eq!(parse(nonsense.as_bytes()), Position::Untold, "{nonsense}");
        }
    }

    #[test]
    fn a_position_is_told_beside_the_list_without_the_collection() {
        let of = |url: &str| position_url(&url.parse().unwrap()).map(|it| it.to_string());
        for endpoint in ["watchRecords", "listRecords"] {
            let watch = format!("https://a.example/x/xrpc/com.example.message.{endpoint}?limit=2");
            assert_eq!(
                of(&watch).unwrap(),
                "https://a.example/x/xrpc/com.example.getCursor"
            );
        }
        assert!(of("https://a.example/xrpc/message.listRecords").is_err());
        assert!(of("https://a.example/watch").is_err());
    }
}
