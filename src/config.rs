//! The plugin's configuration and the options of one watch.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::{
    engine::{TransportKind, WatchSpec},
    error::{Error, Result},
    scope::Scope,
    tickets::{Ticket, TicketSource},
};

/// `plugins.contrail-sync` in `tauri.conf.json`.
///
/// ```json
/// { "plugins": { "contrail-sync": { "baseUrl": "https://appview.example" } } }
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// What relative watch URLs are relative to.
    pub base_url: Option<Url>,
}

/// The shortest idle time-out that makes sense: below it, keepalives come too late.
const MIN_IDLE_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest one: an hour of not noticing is not noticing.
const MAX_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Options of one watch, as a webview gives them. Unknown ones are an error.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(
    test,
    derive(ts_rs::TS),
    ts(export, rename_all = "camelCase", optional_fields)
)]
pub struct WatchOptions {
    /// The `watchRecords` URL with its query; relative to the configured base URL, or absolute.
    pub url: String,
    /// How to reach the server; `sse` by default.
    pub transport: Option<TransportKind>,
    /// A ticket, sent at every connect.
    pub ticket: Option<String>,
    /// Whether to connect again after a failure; yes by default.
    pub reconnect: Option<bool>,
    /// DID of the account whose watch it is.
    pub account: Option<String>,
    /// Longest silence before a connection counts as dead, in milliseconds; 45,000 by default.
    pub idle_timeout: Option<u32>,
}

impl WatchOptions {
    /// Checks the options and turns them into what the engine needs.
    pub(crate) fn into_spec(self, base_url: Option<&Url>, scope: Scope) -> Result<WatchSpec> {
        let url = resolve(&self.url, base_url)?;
        if !scope.allows(&url) {
            let origin = crate::transport::http::bare(&url);
            return Err(Error::NotAllowed { origin });
        }
        let guard_id = scope.id();
        let mut spec = WatchSpec::new(url, std::sync::Arc::new(move |url| scope.allows(url)));
        spec.guard_id = guard_id;
        spec.transport = match self.transport.unwrap_or_default() {
            TransportKind::Sse => TransportKind::Sse,
            other => {
                let name = format!("{other:?}").to_lowercase();
                return Err(Error::Unsupported(format!(
                    "transport \"{name}\" is not available yet, use \"sse\""
                )));
            }
        };
        spec.account = self.account;
        spec.reconnect = self.reconnect.unwrap_or(true);
        spec.tickets = match self.ticket {
            None => TicketSource::Public,
            Some(text) if text.trim().is_empty() => {
                return Err(Error::InvalidOptions("the ticket is empty".into()));
            }
            Some(text) => TicketSource::Static(Ticket::new(text)),
        };
        if let Some(millis) = self.idle_timeout {
            spec.idle_timeout = Duration::from_millis(millis.into());
            if !(MIN_IDLE_TIMEOUT..=MAX_IDLE_TIMEOUT).contains(&spec.idle_timeout) {
                return Err(Error::InvalidOptions(format!(
                    "idleTimeout is {millis} ms, it may be {} to {}",
                    MIN_IDLE_TIMEOUT.as_millis(),
                    MAX_IDLE_TIMEOUT.as_millis()
                )));
            }
        }
        Ok(spec)
    }
}

/// Makes a watch's URL absolute and checks that it is one that can be watched.
fn resolve(text: &str, base_url: Option<&Url>) -> Result<Url> {
    let url = match (Url::parse(text), base_url) {
        (Ok(url), _) => url,
        (Err(url::ParseError::RelativeUrlWithoutBase), Some(base)) => base
            .join(text)
            .map_err(|error| Error::InvalidUrl(error.to_string()))?,
        (Err(url::ParseError::RelativeUrlWithoutBase), None) => {
            let hint = "it is relative, and no baseUrl is configured for the plugin";
            return Err(Error::InvalidUrl(hint.to_owned()));
        }
        (Err(error), _) => return Err(Error::InvalidUrl(error.to_string())),
    };
    if !matches!(url.scheme(), "http" | "https") {
        let message = format!("its scheme is {}, it must be http or https", url.scheme());
        return Err(Error::InvalidUrl(message));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::InvalidUrl(
            "it holds a user name or password".to_owned(),
        ));
    }
    if url.query_pairs().any(|(name, _)| name == "ticket") {
        let message = "it holds a ticket: give it as mintTicket, where it stays out of logs";
        return Err(Error::InvalidUrl(message.to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::ErrorKind;

    fn spec(json: &str) -> Result<WatchSpec> {
        let options: WatchOptions = serde_json::from_str(json).unwrap();
        let scope = Scope::new(
            vec![Arc::new("https://appview.example".parse().unwrap())],
            vec![],
        );
        options.into_spec(
            Some(&"https://appview.example/base".parse().unwrap()),
            scope,
        )
    }

    fn kind(json: &str) -> ErrorKind {
        spec(json).err().unwrap().kind()
    }

    #[test]
    fn relative_urls_resolve_against_the_base() {
        let spec = spec(r#"{"url":"/xrpc/x.watchRecords?actor=did:plc:a"}"#).unwrap();
        assert_eq!(
            spec.url.as_str(),
            "https://appview.example/xrpc/x.watchRecords?actor=did:plc:a"
        );
    }

    #[test]
    fn wrong_urls_and_options_are_typed_errors() {
        for url in [
            "https://[",
            "ftp://appview.example/x",
            "https://u:p@appview.example/x",
            "https://appview.example/x?ticket=t",
        ] {
            assert_eq!(
                kind(&format!(r#"{{"url":"{url}"}}"#)),
                ErrorKind::InvalidUrl,
                "{url}"
            );
        }
        assert_eq!(
            kind(r#"{"url":"https://evil.example/x"}"#),
            ErrorKind::NotAllowed
        );
        assert_eq!(
            kind(r#"{"url":"/x","ticket":" "}"#),
            ErrorKind::InvalidOptions
        );
        assert_eq!(
            kind(r#"{"url":"/x","idleTimeout":5}"#),
            ErrorKind::InvalidOptions
        );
        let options: WatchOptions = serde_json::from_str(r#"{"url":"/x"}"#).unwrap();
        let error = options.into_spec(None, Scope::default()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidUrl);
    }

    #[test]
    fn unknown_options_and_settings_are_named() {
        let error = serde_json::from_str::<WatchOptions>(r#"{"url":"/x","urls":1}"#)
            .err()
            .unwrap();
        assert!(error.to_string().contains("urls"));
        let error = serde_json::from_str::<Config>(r#"{"baseURL":"https://a"}"#).unwrap_err();
        assert!(error.to_string().contains("baseURL"));
    }
}
