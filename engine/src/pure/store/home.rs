//! Where a watch's records live.

use std::sync::Arc;

use url::Url;

/// What a watch's URL says of where its records live.
#[derive(Debug, Clone)]
pub struct Home {
    pub(super) collection: Option<Box<str>>,
    pub(super) space: Option<Arc<str>>,
    /// The records may live in any space.
    pub(crate) any_space: bool,
    /// Whether the server lists the newest first.
    pub(super) newest_first: bool,
}

impl Default for Home {
    fn default() -> Self {
        Self {
            collection: None,
            space: None,
            any_space: true,
            newest_first: true,
        }
    }
}

impl Home {
    /// Reads it off a `watchRecords` URL.
    pub fn of(url: &Url) -> Self {
        let param = |name: &str| {
            let mut pairs = url.query_pairs();
            let value = pairs.find(|(key, _)| key == name)?.1;
            (!value.is_empty()).then(|| value.into_owned())
        };
        let method = url.path().rsplit('/').next().unwrap_or_default();
        let space: Option<Arc<str>> = param("spaceUri").map(Into::into);
        Self {
            collection: method.strip_suffix(".watchRecords").map(Into::into),
            any_space: space.is_none(),
            // Over several spaces the server sorts milliseconds among microseconds.
            newest_first: space.is_some()
                && param("order").is_none_or(|it| it == "desc")
                && param("sort").is_none_or(|it| it == "time_us"),
            space,
        }
    }
}
