//! Where a watch's records live.

use std::{borrow::Cow, sync::Arc};

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
    /// Whether it is asked for no other order.
    pub(super) in_default_order: bool,
    /// Relations, and how many children of each group the server hydrates.
    pub(super) hydrated: Vec<(Box<str>, usize)>,
}

impl Default for Home {
    fn default() -> Self {
        Self {
            collection: None,
            space: None,
            any_space: true,
            newest_first: true,
            in_default_order: true,
            hydrated: Vec::new(),
        }
    }
}

impl Home {
    /// Reads it off a `watchRecords` or `listRecords` URL.
    pub fn of(url: &Url) -> Self {
        let param = |name: &str| {
            let mut pairs = url.query_pairs();
            let value = pairs.find(|(key, _)| key == name)?.1;
            (!value.is_empty()).then(|| value.into_owned())
        };
        let method = url.path().rsplit('/').next().unwrap_or_default();
        let collection = method
            .strip_suffix(".watchRecords")
            .or_else(|| method.strip_suffix(".listRecords"));
        let space: Option<Arc<str>> = param("spaceUri").map(Into::into);
        let in_default_order = param("order").is_none_or(|it| it == "desc")
            && param("sort").is_none_or(|it| it == "time_us");
        Self {
            collection: collection.map(Into::into),
            any_space: space.is_none(),
            // Over several spaces the server sorts milliseconds among microseconds.
            newest_first: space.is_some() && in_default_order,
            in_default_order,
            space,
            hydrated: url.query_pairs().filter_map(hydrated).collect(),
        }
    }

    /// How many children of each group of a relation a snapshot has at most, where the watch's URL says it.
    pub(super) fn limit(&self, relation: &str) -> Option<usize> {
        let known = self.hydrated.iter().find(|(name, _)| **name == *relation);
        known.map(|(_, limit)| *limit)
    }
}

/// Most children of a group that a server hydrates.
const MOST_HYDRATED: usize = 50;

/// `hydrateReactions=5` hydrates five children of `reactions`. Of a reference, `true`, there is but one.
fn hydrated((name, value): (Cow<'_, str>, Cow<'_, str>)) -> Option<(Box<str>, usize)> {
    let mut name = name.strip_prefix("hydrate")?.chars();
    let first = name.next()?.to_lowercase();
    let limit: usize = value.parse().ok()?;
    let name: String = first.chain(name).collect();
    Some((name.into(), limit.min(MOST_HYDRATED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_how_many_children_are_hydrated() {
        let url = "https://x.test/xrpc/a.b.watchRecords?hydrateRsvps=5&hydrateParent=true&hydrateBadges=99";
        let home = Home::of(&url.parse().unwrap());
        assert_eq!(home.limit("rsvps"), Some(5));
        assert_eq!(home.limit("badges"), Some(50));
        assert_eq!(home.limit("parent"), None);
    }

    #[test]
    fn the_url_says_where_records_live_and_in_which_order_they_are_listed() {
        let home = |method: &str, query: &str| {
            let url = format!("https://x.test/xrpc/{method}?{query}");
            Home::of(&url.parse().unwrap())
        };
        for method in ["a.b.watchRecords", "a.b.listRecords"] {
            assert_eq!(home(method, "").collection.as_deref(), Some("a.b"));
        }
        assert!(home("a.b.getRecord", "").collection.is_none());
        let space = "ats://did:plc:a/t/k";
        for (query, lives_in, in_default_order) in [
            ("", None, true),
            ("spaceUri=", None, true),
            ("actor=did:plc:a&order=asc", None, false),
            ("spaceUri=ats://did:plc:a/t/k", Some(space), true),
            ("spaceUri=ats://did:plc:a/t/k&order=desc", Some(space), true),
            (
                "spaceUri=ats://did:plc:a/t/k&sort=time_us",
                Some(space),
                true,
            ),
            ("spaceUri=ats://did:plc:a/t/k&order=asc", Some(space), false),
            ("spaceUri=ats://did:plc:a/t/k&sort=rkey", Some(space), false),
        ] {
            let home = home("a.b.watchRecords", query);
            assert_eq!(home.space.as_deref(), lives_in, "{query}");
            assert_eq!(home.any_space, lives_in.is_none(), "{query}");
            assert_eq!(home.in_default_order, in_default_order, "{query}");
            let newest_first = lives_in.is_some() && in_default_order;
            assert_eq!(home.newest_first, newest_first, "{query}");
        }
    }
}
