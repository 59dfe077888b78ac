//! A ready-made minter: a request to a route of the app's own server.

use std::{collections::HashSet, fmt};

use futures_util::{FutureExt, future::BoxFuture};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION},
};
use serde::Deserialize;
use url::Url;

use super::{MintRequest, Minter, TicketError};
use crate::{
    pure::protocol::ticket::{MAX_TICKET_BYTES, TOO_LONG, Ticket},
    transport::{TransportError, http::bare},
    vault::Secret,
};

/// What the names of secrets in the vault begin with.
pub(crate) const SECRET_PREFIX: &str = "secret:";

/// Mints by an HTTP request. The answer is the ticket as text, or JSON with a `ticket` field.
///
/// The URL is the app's own, on whichever origin: the guard of the watch does not bind it. Its redirects are not followed.
/// Credentials come from the vault, where [`store_secret`] or the plugin's `set_secret` put them.
///
/// ```
/// use contrail_sync_engine::{HttpMinter, NamedMinter, TicketSource};
///
/// let minter = HttpMinter::post("https://app.example/api/ticket".parse()?).bearer("session");
/// let source = TicketSource::Minter(NamedMinter::new("api", minter));
/// # Ok::<(), url::ParseError>(())
/// ```
///
/// [`store_secret`]: crate::Engine::store_secret
#[derive(Clone)]
pub struct HttpMinter {
    method: Method,
    url: Url,
    watch_query: bool,
    /// Header, what stands before the secret, and the secret's name.
    secrets: Vec<(HeaderName, &'static str, String)>,
}

impl fmt::Debug for HttpMinter {
    // Its URL may hold a password or a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpMinter")
            .field("method", &self.method)
            .field("url", &bare(&self.url))
            .field("watch_query", &self.watch_query)
            .field("secrets", &self.secrets)
            .finish()
    }
}

impl HttpMinter {
    /// Mints by `GET`.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Mints by `POST`, without a body.
    pub fn post(url: Url) -> Self {
        Self::new(Method::POST, url)
    }

    fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            watch_query: false,
            secrets: Vec::new(),
        }
    }

    /// Adds the watch's query to the URL, so that one route can mint for every watch: `spaceUri`, `actor`, `limit`,
    /// `cursor`, `sort`, `order`, `inviteToken` and `hydrate…`, each name once. A name that the URL has by itself keeps
    /// its value, and filters are left out, since a page may call them anything.
    pub fn with_watch_query(mut self) -> Self {
        self.watch_query = true;
        self
    }

    /// Sends `Authorization: Bearer <secret>`.
    pub fn bearer(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push((AUTHORIZATION, "Bearer ", secret.into()));
        self
    }

    /// Sends a header whose value is a secret.
    pub fn header(mut self, name: HeaderName, secret: impl Into<String>) -> Self {
        self.secrets.push((name, "", secret.into()));
        self
    }

    /// The headers to send, and the secrets in them.
    async fn headers(
        &self,
        request: &MintRequest,
    ) -> Result<(HeaderMap, Vec<Secret>), TicketError> {
        let (mut headers, mut secrets) = (HeaderMap::new(), Vec::new());
        headers.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, text/plain"),
        );
        for (header, before, name) in &self.secrets {
            let stored = request.vault.get(&format!("{SECRET_PREFIX}{name}")).await;
            let stored = stored.map_err(|error| TicketError::Failed(error.to_string()))?;
            let Some(secret) = stored else {
                return Err(TicketError::Failed(format!(
                    "there is no secret named {name:?}"
                )));
            };
            let value = HeaderValue::from_str(&format!("{before}{}", secret.expose()));
            let mut value = value.map_err(|_| {
                TicketError::Failed(format!("the secret {name:?} cannot stand in a header"))
            })?;
            value.set_sensitive(true);
            headers.insert(header.clone(), value);
            secrets.push(secret);
        }
        Ok((headers, secrets))
    }

    async fn request(&self, request: MintRequest) -> Result<Ticket, TicketError> {
        let mut url = self.url.clone();
        if self.watch_query {
            add_watch_query(&mut url, &request.url);
        }
        let (headers, secrets) = self.headers(&request).await?;
        let failed = |error: TransportError| match error {
            TransportError::Forbidden { reason } => TicketError::Forbidden { reason },
            error => TicketError::Failed(error.to_string()),
        };
        let quotable: Vec<&str> = secrets.iter().map(Secret::expose).collect();
        let sent = request
            .http
            .send(self.method.clone(), url, headers, &quotable);
        let answer = sent.await.map_err(&failed)?;
        let is_json = answer.content_type() == "application/json";
        let Some(bytes) = answer.body(2 * MAX_TICKET_BYTES).await.map_err(&failed)? else {
            return Err(TOO_LONG.into());
        };
        read_answer(&bytes, is_json)
    }
}

impl Minter for HttpMinter {
    fn mint(&self, request: MintRequest) -> BoxFuture<'_, Result<Ticket, TicketError>> {
        self.request(request).boxed()
    }
}

/// Adds what the watch's server defines, and nothing twice: a page writes the watch's query, and the app's route may
/// believe what it finds there.
fn add_watch_query(url: &mut Url, watch: &Url) {
    let mut names: HashSet<String> = url
        .query_pairs()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    for (name, value) in watch.query_pairs().filter(|(name, _)| is_of_a_watch(name)) {
        if names.insert(name.to_ascii_lowercase()) {
            url.query_pairs_mut().append_pair(&name, &value);
        }
    }
}

/// Whether this is the name of a parameter of every `watchRecords`.
fn is_of_a_watch(name: &str) -> bool {
    match name.strip_prefix("hydrate") {
        Some(relation) => relation.bytes().all(|it| it.is_ascii_alphanumeric()),
        None => matches!(
            name,
            "spaceUri" | "actor" | "limit" | "cursor" | "sort" | "order" | "inviteToken"
        ),
    }
}

#[derive(Deserialize)]
struct Answer {
    ticket: String,
}

fn read_answer(bytes: &[u8], is_json: bool) -> Result<Ticket, TicketError> {
    if is_json {
        return match serde_json::from_slice::<Answer>(bytes) {
            Ok(answer) => Ok(Ticket::parse(&answer.ticket)?),
            Err(_) => Err(TicketError::NotATicket("JSON without a ticket field")),
        };
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Ticket::parse(text)?),
        Err(_) => Err(TicketError::NotATicket("bytes that are no text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_where_it_asks_and_nothing_that_opens() {
        let url = "https://user:hush@app.example/api/ticket?key=psst#sst";
        let minter = HttpMinter::post(url.parse().unwrap()).bearer("session");
        let shown = format!("{minter:?}");
        assert!(shown.contains("https://app.example/api/ticket\"") && shown.contains("session"));
        for secret in ["user", "hush", "psst", "sst#"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn an_answer_is_text_or_json_with_a_ticket() {
        for (body, is_json) in [
            ("a.b\n", false),
            (r#"{"ticket":"a.b","expiresAt":1}"#, true),
        ] {
            assert_eq!(
                read_answer(body.as_bytes(), is_json).unwrap(),
                Ticket::parse("a.b").unwrap()
            );
        }
        let long = "x".repeat(MAX_TICKET_BYTES + 1);
        for (body, is_json) in [
            ("", false),
            (" \n", false),
            ("<html> </html>", false),
            (&long, false),
            ("{}", true),
            ("[]", true),
            (r#"{"ticket":""}"#, true),
        ] {
            let error = read_answer(body.as_bytes(), is_json).unwrap_err();
            assert!(matches!(error, TicketError::NotATicket(_)), "{body:.20}");
        }
        assert!(read_answer(b"\xff", false).is_err());
    }
}
