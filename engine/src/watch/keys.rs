//! What a watch's rows are called in the cache. All of it is hashed: URLs can carry invite tokens, which do not belong in
//! a file.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::Url;

use super::spec::WatchSpec;
use crate::{cache::CacheKey, pure::view::View};

/// What a watch of this key, or URL, is called in the file.
pub(crate) fn cache_key(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// What the rows of a watch go by; `None` for one that is not cached.
pub(crate) fn rows_of(spec: &WatchSpec) -> Option<CacheKey> {
    let options = spec.cache.as_ref()?;
    let name = options.key.as_deref().unwrap_or(spec.url.as_str());
    Some(CacheKey {
        key: rows_key(name, &spec.view),
        // One who names the key of another query gets nothing from it.
        source: cache_key(spec.url.as_str()),
        realm: realm(&spec.url),
        account: spec.account.clone(),
    })
}

/// Another view keeps other rows. `clear` of a key finds them all by their beginning.
fn rows_key(name: &str, view: &View) -> String {
    let key = cache_key(name);
    match *view == View::default() {
        true => key,
        false => format!("{key}.{}", cache_key(&format!("{view:?}"))),
    }
}

/// What is lost together with access: all that the server has of one space, or of one actor. An invite token gives access
/// to its own query alone.
fn realm(url: &Url) -> String {
    let param = |name: &str| url.query_pairs().find(|(key, _)| key == name);
    let home = match param("inviteToken") {
        Some(_) => None,
        None => param("spaceUri").or_else(|| param("actor")),
    };
    let origin = url.origin().ascii_serialization();
    match home {
        Some((name, value)) => cache_key(&format!("{origin} {name} {value}")),
        None => cache_key(url.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_is_a_space_or_an_actor_of_one_server_whatever_else_the_query_asks() {
        let realm = |url: &str| realm(&url.parse().unwrap());
        let messages = realm("https://a.example/xrpc/m.watchRecords?spaceUri=s");
        for same in [
            "https://a.example/xrpc/m.watchRecords?limit=9&spaceUri=s",
            "https://a.example/xrpc/reactions.watchRecords?spaceUri=s&spaceUri=t",
        ] {
            assert_eq!(realm(same), messages, "{same}");
        }
        for other in [
            "https://a.example/xrpc/m.watchRecords?spaceUri=t",
            "https://a.example/xrpc/m.watchRecords?actor=s",
            "https://b.example/xrpc/m.watchRecords?spaceUri=s",
            "https://a.example/xrpc/m.watchRecords?spaceUri=s&inviteToken=i",
        ] {
            assert_ne!(realm(other), messages, "{other}");
        }
    }
}
