//! One HTTP client for everything: TLS, proxies, redirects under the scope, time-outs, refusals.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap,
        HeaderValue, LOCATION,
    },
};
use tokio::time::Instant;
use url::Url;

use super::{
    ConnectRequest, TransportError, UrlGuard,
    cause::{cause, why_unreachable},
    client::{default_tls, upgrading},
    own::own,
    pool::{Lease, Pool},
    redirects::DeadEnds,
    refusal::accepted,
};
use crate::{gauge::Gauge, redact::Secrets};

/// Longest time from a request to the head of its answer, redirects included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time from an upgrade's request to its answer.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(15);

/// A body that brings fewer bytes than this a second is given up once that time is over.
const SLOWEST: usize = 8 * 1024;

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The TLS configuration is not usable.
    #[error("TLS: {0}")]
    Tls(String),
    /// The client refused its configuration.
    #[error("HTTP client: {0}")]
    Client(String),
}

/// Shared HTTP clients that ask a guard about every URL they request.
#[derive(Debug, Clone)]
pub struct Http {
    pool: Pool,
    /// What a WebSocket upgrade needs.
    http1: Client,
    dead_ends: DeadEnds,
}

/// An answer, of 2xx where nothing else is said. It holds its place among the streams of its connection until it, or its body, is dropped.
pub struct Answer {
    response: Response,
    lease: Lease,
    /// What may stand in messages of where it comes from.
    origin: String,
    /// The same with method and path.
    at: String,
    secrets: Secrets,
    /// Where it is noted that its body comes.
    gauge: Option<Arc<Gauge>>,
}

impl Http {
    /// Sets up the clients; `tls` replaces the platform's trust roots.
    pub fn new(tls: Option<rustls::ClientConfig>) -> Result<Self, HttpError> {
        let tls = match tls {
            Some(tls) => tls,
            None => default_tls().map_err(|error| HttpError::Tls(error.to_string()))?,
        };
        Ok(Self {
            http1: upgrading(tls.clone()).map_err(|error| HttpError::Client(error.to_string()))?,
            pool: Pool::new(tls),
            dead_ends: DeadEnds::default(),
        })
    }

    /// Requests `url`, which is the watch's or made of it, with the watch's ticket, follows redirects as far as the guard allows, and turns
    /// every answer but 2xx into the error it means.
    pub async fn get(
        &self,
        mut url: Url,
        request: &ConnectRequest,
        accept: &str,
    ) -> Result<Answer, TransportError> {
        let secrets = request.secrets();
        let asked = origin(&url);
        let answer = async {
            check(&request.url, &request.guard, &secrets)?;
            let mut way = self.dead_ends.set_out(&url)?;
            let bearer = request.bearer()?;
            if let Some(ticket) = request.ticket.as_ref().filter(|_| bearer.is_none()) {
                url.query_pairs_mut().append_pair("ticket", ticket.expose());
            }
            let (sent, mut origin) = (url.clone(), asked.clone());
            loop {
                let bearer = bearer.as_ref().filter(|_| url.origin() == sent.origin());
                let answer = self.answer(&url, origin, &secrets, |client| {
                    let asked = client.get(url.clone()).header(ACCEPT, accept);
                    match bearer {
                        Some(bearer) => asked.header(AUTHORIZATION, bearer),
                        None => asked,
                    }
                });
                let answer = answer.await?;
                if !answer.response.status().is_redirection() {
                    way.arrives();
                    let mut accepted = answer.accepted().await?;
                    accepted.gauge = Some(request.gauge.clone());
                    return Ok(accepted);
                }
                url = redirect_target(&url, &answer)?;
                if !(request.guard)(&own(&url, &sent, &request.url)) {
                    let to = secrets.quoted(&bare(&url));
                    return Err(TransportError::RedirectNotAllowed { to });
                }
                way.goes_on(&url)?;
                origin = secrets.quoted(&self::origin(&url));
            }
        };
        within(ANSWER_TIMEOUT, &asked, answer).await
    }

    /// Sends one request without a body, to a URL of the app's own: no guard judges it. Redirects are refusals here.
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        mut headers: HeaderMap,
        secrets: &[&str],
    ) -> Result<Answer, TransportError> {
        let secrets = secrets.iter().copied().collect();
        let origin = origin(&url);
        // Servers want to be told that a POST has no body, and nobody else does it.
        if method != Method::GET {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let answer = async {
            let answer = self.answer(&url, origin.clone(), &secrets, |client| {
                client.request(method, url.clone()).headers(headers)
            });
            answer.await?.accepted().await
        };
        within(ANSWER_TIMEOUT, &origin, answer).await
    }

    /// A connection for this URL has been silent since then: older ones to its origin are not trusted any more.
    pub(crate) fn doubt(&self, url: &Url, silent_since: Instant) {
        self.pool.doubt(url, silent_since);
    }

    /// No connection that there is now is trusted any more.
    pub(crate) fn doubt_all(&self) {
        self.pool.doubt_all();
    }

    /// The answer to one request, whatever its status.
    pub(super) async fn answer(
        &self,
        url: &Url,
        origin: String,
        secrets: &Secrets,
        request: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<Answer, TransportError> {
        let failed = |error| unreachable(&origin, error, secrets);
        let mut lease = self.pool.lease(url).await.map_err(failed)?;
        let request = request(lease.client()).build().map_err(failed)?;
        let at = secrets.quoted(&format!("{} {}", request.method(), bare(request.url())));
        let response = lease.client().execute(request).await.map_err(failed)?;
        lease.answered(response.version());
        Ok(Answer {
            response,
            lease,
            origin,
            at,
            secrets: secrets.clone(),
            gauge: None,
        })
    }

    /// Asks for a connection to be switched to another protocol. Redirects are refusals here.
    pub(super) async fn upgrade(
        &self,
        url: Url,
        headers: HeaderMap,
        secrets: &Secrets,
    ) -> Result<Response, TransportError> {
        let origin = origin(&url);
        let answer = async {
            let sent = self.http1.get(url.clone()).headers(headers).send();
            let response = sent.await;
            let response = response.map_err(|error| unreachable(&origin, error, secrets))?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(response);
            }
            let status = response.status().as_u16();
            let at = secrets.quoted(&format!("GET {}", bare(&url)));
            // Anything but a switch is a refusal, 200 included.
            Err(match accepted(response, &at, secrets).await {
                Err(error) => error,
                Ok(_) => TransportError::Status {
                    at,
                    status,
                    message: "it did not switch protocols".to_owned(),
                    retry_after: None,
                },
            })
        };
        within(UPGRADE_TIMEOUT, &origin, answer).await
    }
}

impl Answer {
    async fn accepted(self) -> Result<Self, TransportError> {
        let response = accepted(self.response, &self.at, &self.secrets).await?;
        Ok(Self { response, ..self })
    }

    /// Its status and headers.
    pub(super) fn head(&self) -> (StatusCode, &HeaderMap) {
        (self.response.status(), self.response.headers())
    }

    /// Method, origin and path that it answers, for messages.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// Reads a whole body of at most `limit` bytes; `None` if it is larger.
    pub async fn body(self, limit: usize) -> Result<Option<Vec<u8>>, TransportError> {
        let (origin, began) = (self.origin.clone(), Instant::now());
        let mut heard = began;
        let mut body = Vec::new();
        let mut chunks = std::pin::pin!(self.chunks());
        loop {
            let end = (began + longest(body.len())).min(heard + ANSWER_TIMEOUT);
            let chunk = tokio::time::timeout_at(end, chunks.next()).await;
            let Ok(chunk) = chunk else {
                let after = end - began;
                return Err(TransportError::ConnectTimeout { origin, after });
            };
            heard = Instant::now();
            let Some(chunk) = chunk.transpose()? else {
                return Ok(Some(body));
            };
            if body.len() + chunk.len() > limit {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// The body as it arrives. After an error it may repeat it for ever.
    pub fn chunks(self) -> impl Stream<Item = Result<Bytes, TransportError>> + Send + 'static {
        let Self {
            response,
            lease,
            secrets,
            gauge,
            ..
        } = self;
        response.bytes_stream().map(move |chunk| {
            let _held = &lease;
            if let (Ok(chunk), Some(gauge)) = (&chunk, &gauge) {
                gauge.heard(chunk.len(), Instant::now());
            }
            chunk.map_err(|error| TransportError::Cut {
                message: cause(&error.without_url(), &secrets),
            })
        })
    }

    /// The content type without parameters, for messages and comparison.
    pub fn content_type(&self) -> String {
        content_type(&self.response, &self.secrets)
    }
}

impl fmt::Debug for Answer {
    // The response knows its URL, which may hold a ticket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("origin", &self.origin)
            .field("status", &self.response.status())
            .finish_non_exhaustive()
    }
}

/// Asks the guard.
pub(super) fn check(url: &Url, guard: &UrlGuard, secrets: &Secrets) -> Result<(), TransportError> {
    if guard(url) {
        return Ok(());
    }
    Err(TransportError::NotAllowed {
        to: secrets.quoted(&bare(url)),
    })
}

fn unreachable(origin: &str, error: reqwest::Error, secrets: &Secrets) -> TransportError {
    let why = why_unreachable(&error.without_url(), secrets);
    let message = match proxy_to(origin) {
        Some(proxy) => format!("by the proxy {}: {why}", secrets.quoted(&proxy)),
        None => why,
    };
    TransportError::Connect {
        origin: origin.to_owned(),
        message,
    }
}

/// The proxy on the way to an origin, as the HTTP client finds it, without its credentials.
fn proxy_to(origin: &str) -> Option<String> {
    let matcher = hyper_util::client::proxy::matcher::Matcher::from_system();
    let proxy = matcher.intercept(&origin.parse().ok()?)?;
    let (scheme, uri) = (proxy.uri().scheme_str()?, proxy.uri());
    let port = uri.port().map_or(String::new(), |it| format!(":{it}"));
    Some(format!("{scheme}://{}{port}", uri.host()?))
}

/// How long a body may take of which so many bytes are there.
fn longest(bytes: usize) -> Duration {
    ANSWER_TIMEOUT + Duration::from_secs_f64(bytes as f64 / SLOWEST as f64)
}

async fn within<T>(
    after: Duration,
    origin: &str,
    answer: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    let answer = tokio::time::timeout(after, answer).await;
    answer.unwrap_or_else(|_| {
        let origin = origin.to_owned();
        Err(TransportError::ConnectTimeout { origin, after })
    })
}

/// Scheme, host and port: what may stand in messages.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// A URL without what may hold secrets: user info, query and fragment.
pub fn bare(url: &Url) -> String {
    format!("{}{}", origin(url), url.path())
}

fn redirect_target(from: &Url, answer: &Answer) -> Result<Url, TransportError> {
    let location = answer.response.headers().get(LOCATION);
    let target = location
        .and_then(|value| value.to_str().ok())
        .and_then(|value| from.join(value).ok());
    target.ok_or_else(|| TransportError::Status {
        at: answer.at.clone(),
        status: answer.response.status().as_u16(),
        message: "a redirect without a target".to_owned(),
        retry_after: None,
    })
}

/// The content type without parameters, for messages and comparison. An answer that is compressed all the same is of no
/// type that anybody expects.
pub(super) fn content_type(response: &Response, secrets: &Secrets) -> String {
    let header = |name| {
        let value = response.headers().get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    };
    let essence = header(CONTENT_TYPE).split(';').next().unwrap_or_default();
    let essence = match essence.trim() {
        "" => "an untyped body".to_owned(),
        essence => secrets.quoted(essence).to_ascii_lowercase(),
    };
    match header(CONTENT_ENCODING).trim() {
        "" | "identity" => essence,
        coding => secrets.quoted(&format!("{essence} coded as {coding}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &str)]) -> String {
        let mut response = http::Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = Response::from(response.body("").unwrap());
        content_type(&response, &["mellon-mellon"].into_iter().collect())
    }

    #[test]
    fn a_content_type_is_told_plainly_and_a_coded_body_is_of_another_one() {
        let sse = ("content-type", "text/Event-Stream; charset=utf-8");
        assert_eq!(of(&[]), "an untyped body");
        assert_eq!(of(&[sse]), "text/event-stream");
        assert_eq!(
            of(&[sse, ("content-encoding", "identity")]),
            "text/event-stream"
        );
        let coded = of(&[sse, ("content-encoding", "gzip")]);
        assert_eq!(coded, "text/event-stream coded as gzip");
        assert_eq!(of(&[("content-type", "text/mellon-mellon")]), "text/…");
        assert!(of(&[("content-type", &"x".repeat(9000))]).len() <= 300);
    }
}
