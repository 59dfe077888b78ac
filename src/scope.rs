//! Which URLs a webview may watch: the allow and deny lists of its capabilities.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use url::Url;
use urlpattern::{UrlPattern, UrlPatternInit, UrlPatternMatchInput};

/// An entry as it stands in a capability: `"https://…"` or `{ "url": "https://…" }`.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an entry of a contrail-sync permission's scope must be \"https://…\" or { \"url\": \"https://…\" }"
)]
pub(crate) enum EntryRaw {
    /// The pattern itself.
    Value(String),
    /// The pattern under a name.
    Object {
        /// The pattern.
        url: String,
    },
}

/// One URL pattern of a scope.
#[derive(Debug)]
pub(crate) struct Entry {
    text: String,
    pattern: UrlPattern,
}

impl Entry {
    fn matches(&self, url: &Url) -> bool {
        let input = UrlPatternMatchInput::Url(url.clone());
        self.pattern.test(input).unwrap_or(false)
    }
}

impl std::str::FromStr for Entry {
    type Err = urlpattern::Error;

    /// Parses a pattern of the URL Pattern standard. A pattern without a path allows every path, one
    /// without a query every query, as in Tauri's HTTP plugin.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut init = UrlPatternInit::parse_constructor_string::<regex::Regex>(text, None)?;
        let anything = || Some("*".to_owned());
        if init
            .pathname
            .as_deref()
            .is_none_or(|path| matches!(path, "" | "/"))
        {
            init.pathname = anything();
        }
        if init.search.as_deref().is_none_or(str::is_empty) {
            init.search = anything();
        }
        if init.hash.as_deref().is_none_or(str::is_empty) {
            init.hash = anything();
        }
        Ok(Self {
            text: text.to_owned(),
            pattern: UrlPattern::parse(init, Default::default())?,
        })
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (EntryRaw::Value(url) | EntryRaw::Object { url }) =
            EntryRaw::deserialize(deserializer)?;
        url.parse().map_err(|error| {
            serde::de::Error::custom(format!("`{url}` is not a valid URL pattern: {error}"))
        })
    }
}

/// The lists that apply to one webview. Denials win; what neither list names is not allowed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    allow: Vec<Arc<Entry>>,
    deny: Vec<Arc<Entry>>,
}

impl Scope {
    /// A scope of these lists.
    pub(crate) fn new(allow: Vec<Arc<Entry>>, deny: Vec<Arc<Entry>>) -> Self {
        Self { allow, deny }
    }

    /// Whether the URL may be requested.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        let matches = |list: &[Arc<Entry>]| list.iter().any(|entry| entry.matches(url));
        !matches(&self.deny) && matches(&self.allow)
    }

    /// A name that two scopes share only if they allow the same.
    pub(crate) fn id(&self) -> String {
        let list = |entries: &[Arc<Entry>]| {
            let mut texts: Vec<&str> = entries.iter().map(|entry| &*entry.text).collect();
            texts.sort_unstable();
            texts.dedup();
            texts.join("\n")
        };
        format!("{}\n\n{}", list(&self.allow), list(&self.deny))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(allow: &[&str], deny: &[&str]) -> Scope {
        let list = |texts: &[&str]| texts.iter().map(|t| Arc::new(t.parse().unwrap())).collect();
        Scope::new(list(allow), list(deny))
    }

    fn allows(scope: &Scope, url: &str) -> bool {
        scope.allows(&url.parse().unwrap())
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        assert!(!allows(&Scope::default(), "https://appview.example/xrpc/x"));
    }

    #[test]
    fn denials_win_over_allowances() {
        let scope = scope(&["https://*.example"], &["https://secret.example/*"]);
        assert!(allows(&scope, "https://appview.example/xrpc/x?y=z"));
        assert!(!allows(&scope, "https://secret.example/xrpc/x"));
    }

    #[test]
    fn patterns_bind_scheme_host_port_and_path() {
        let scope = scope(
            &["https://appview.example/xrpc/*", "http://127.0.0.1:*"],
            &[],
        );
        for url in [
            "https://appview.example/xrpc/a?b=c",
            "http://127.0.0.1:8788/x",
        ] {
            assert!(allows(&scope, url), "{url}");
        }
        for url in [
            "http://appview.example/xrpc/a",
            "https://appview.example:444/xrpc/a",
            "https://appview.example/other",
            "https://appview.example.evil/xrpc/a",
            "https://appview.example@evil.example/xrpc/a",
            "http://127.0.0.2:8788/x",
        ] {
            assert!(!allows(&scope, url), "{url}");
        }
    }

    #[test]
    fn entries_read_both_spellings_and_refuse_nonsense() {
        for json in [r#""https://a.example""#, r#"{"url":"https://a.example"}"#] {
            assert!(serde_json::from_str::<Entry>(json).is_ok());
        }
        let error = serde_json::from_str::<Entry>(r#""https://[""#).unwrap_err();
        assert!(error.to_string().contains("not a valid URL pattern"));
        for json in ["5", r#"{"urls":"https://a.example"}"#] {
            let error = serde_json::from_str::<Entry>(json).unwrap_err();
            let told = r#"must be "https://…" or { "url": "https://…" }"#;
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
