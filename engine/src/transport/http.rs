//! One HTTP client for everything: TLS, proxies, redirects under the scope, time-outs, refusals.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
};
use serde::Deserialize;
use url::Url;

use super::{
    ConnectRequest, TransportError, UrlGuard,
    cause::{cause, why_unreachable},
    client::{default_tls, upgrading},
    pool::{Lease, Pool},
};
use crate::redact::quoted;

/// Longest time from a request to the head of its answer, redirects included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time from an upgrade's request to its answer.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(15);
/// Redirects followed before giving up.
const MAX_REDIRECTS: usize = 10;
/// A refusal's body is read up to here: enough for any JSON error.
const MAX_REFUSAL_BYTES: usize = 16 * 1024;

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
}

/// A 2xx answer. It holds its place among the streams of its connection until it, or its body, is dropped.
#[derive(Debug)]
pub struct Answer {
    response: Response,
    lease: Lease,
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
        })
    }

    /// Requests `url` with the watch's ticket, follows redirects as far as the guard allows, and turns
    /// every answer but 2xx into the error it means.
    pub async fn get(
        &self,
        mut url: Url,
        request: &ConnectRequest,
        accept: &str,
    ) -> Result<Answer, TransportError> {
        if let Some(ticket) = &request.ticket {
            url.query_pairs_mut().append_pair("ticket", ticket.expose());
        }
        let origin = origin(&url);
        let answer = async {
            check(&url, &request.guard)?;
            for _ in 0..=MAX_REDIRECTS {
                let answer = self.answer(&url, |client| {
                    client.get(url.clone()).header(ACCEPT, accept)
                });
                let answer = answer.await?;
                if !answer.response.status().is_redirection() {
                    return answer.accepted(&request.secrets()).await;
                }
                url = redirect_target(&url, &answer.response)?;
                if !(request.guard)(&url) {
                    return Err(TransportError::RedirectNotAllowed { to: bare(&url) });
                }
            }
            Err(TransportError::Redirects {
                hops: MAX_REDIRECTS,
            })
        };
        within(ANSWER_TIMEOUT, origin, answer).await
    }

    /// Sends one request without a body. Redirects are refusals here.
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        guard: &UrlGuard,
        secrets: &[&str],
    ) -> Result<Answer, TransportError> {
        let origin = origin(&url);
        let answer = async {
            check(&url, guard)?;
            let answer = self.answer(&url, |client| {
                client.request(method, url.clone()).headers(headers)
            });
            answer.await?.accepted(secrets).await
        };
        within(ANSWER_TIMEOUT, origin, answer).await
    }

    /// The answer to one request, whatever its status.
    async fn answer(
        &self,
        url: &Url,
        request: impl FnOnce(&Client) -> RequestBuilder,
    ) -> Result<Answer, TransportError> {
        let lease = self.pool.lease(url).await;
        let mut lease = lease.map_err(|error| unreachable(url, error))?;
        let response = request(lease.client()).send().await;
        let response = response.map_err(|error| unreachable(url, error))?;
        lease.answered(response.version());
        Ok(Answer { response, lease })
    }

    /// Asks for a connection to be switched to another protocol. Redirects are refusals here.
    pub async fn upgrade(
        &self,
        url: Url,
        headers: HeaderMap,
        request: &ConnectRequest,
    ) -> Result<Response, TransportError> {
        let origin = origin(&url);
        let answer = async {
            check(&url, &request.guard)?;
            let sent = self.http1.get(url.clone()).headers(headers).send();
            let response = sent.await.map_err(|error| unreachable(&url, error))?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(response);
            }
            let status = response.status().as_u16();
            // Anything but a switch is a refusal, 200 included.
            // The URL holds a fresh ticket, beside the one that was used.
            let fresh = url.query_pairs().find(|(name, _)| name == "ticket");
            let mut secrets = request.secrets();
            secrets.extend(fresh.as_ref().map(|(_, ticket)| &**ticket));
            Err(match accepted(response, &secrets).await {
                Err(error) => error,
                Ok(_) => TransportError::Status {
                    status,
                    message: "it did not switch protocols".to_owned(),
                    retry_after: None,
                },
            })
        };
        within(UPGRADE_TIMEOUT, origin, answer).await
    }
}

impl Answer {
    async fn accepted(self, secrets: &[&str]) -> Result<Self, TransportError> {
        let Self { response, lease } = self;
        let response = accepted(response, secrets).await?;
        Ok(Self { response, lease })
    }

    /// Reads a whole body of at most `limit` bytes; `None` if it is larger.
    pub async fn body(self, limit: usize) -> Result<Option<Vec<u8>>, TransportError> {
        let origin = origin(self.response.url());
        let read = async {
            let mut body = Vec::new();
            let mut chunks = std::pin::pin!(self.chunks());
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk?;
                if body.len() + chunk.len() > limit {
                    return Ok(None);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Some(body))
        };
        within(ANSWER_TIMEOUT, origin, read).await
    }

    /// The body as it arrives. After an error it may repeat it for ever.
    pub fn chunks(self) -> impl Stream<Item = Result<Bytes, TransportError>> + Send + 'static {
        let Self { response, lease } = self;
        response.bytes_stream().map(move |chunk| {
            let _held = &lease;
            chunk.map_err(|error| TransportError::Cut {
                message: cause(&error.without_url()),
            })
        })
    }

    /// The content type without parameters, for messages and comparison.
    pub fn content_type(&self) -> String {
        content_type(&self.response)
    }
}

fn check(url: &Url, guard: &UrlGuard) -> Result<(), TransportError> {
    if guard(url) {
        return Ok(());
    }
    Err(TransportError::NotAllowed { to: bare(url) })
}

fn unreachable(url: &Url, error: reqwest::Error) -> TransportError {
    TransportError::Connect {
        origin: origin(url),
        message: why_unreachable(&error.without_url()),
    }
}

async fn within<T>(
    after: Duration,
    origin: String,
    answer: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    let answer = tokio::time::timeout(after, answer).await;
    answer.unwrap_or(Err(TransportError::ConnectTimeout { origin, after }))
}

/// Scheme, host and port: what may stand in messages.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// A URL without what may hold secrets: user info, query and fragment.
pub fn bare(url: &Url) -> String {
    format!("{}{}", origin(url), url.path())
}

fn redirect_target(from: &Url, response: &Response) -> Result<Url, TransportError> {
    let location = response.headers().get(LOCATION);
    let target = location
        .and_then(|value| value.to_str().ok())
        .and_then(|value| from.join(value).ok());
    target.ok_or_else(|| TransportError::Status {
        status: response.status().as_u16(),
        message: "a redirect without a target".to_owned(),
        retry_after: None,
    })
}

#[derive(Deserialize)]
struct ServerRefusal {
    error: String,
    message: Option<String>,
    reason: Option<String>,
}

async fn accepted(response: Response, secrets: &[&str]) -> Result<Response, TransportError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = retry_after(&response);
    let content_type = content_type(&response);
    let body = refusal_body(response).await;
    let refusal: Option<ServerRefusal> = serde_json::from_slice(&body).ok();
    let words = refusal.as_ref().map(|refusal| {
        let detail = refusal.reason.as_ref().or(refusal.message.as_ref());
        quoted(detail.unwrap_or(&refusal.error), secrets)
    });
    let message = words.unwrap_or_else(|| format!("no reason, {content_type}"));
    let error = refusal.map(|refusal| refusal.error).unwrap_or_default();
    // Only a refusal in the server's own words ends access: a proxy's 403 or a deploy's 404 does not.
    Err(match (status, error.as_str()) {
        (StatusCode::UNAUTHORIZED, _) => TransportError::AuthRequired { message },
        (StatusCode::FORBIDDEN, "Forbidden") => TransportError::Forbidden { reason: message },
        (StatusCode::NOT_FOUND, "NotFound") => TransportError::NotFound { reason: message },
        _ => TransportError::Status {
            status: status.as_u16(),
            message,
            retry_after,
        },
    })
}

/// The body of a refusal, as much as arrives: what is missing only costs the message.
async fn refusal_body(response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        let room = MAX_REFUSAL_BYTES.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() >= MAX_REFUSAL_BYTES {
            break;
        }
    }
    body
}

/// `Retry-After` in seconds; its date form is not worth a calendar.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

fn content_type(response: &Response) -> String {
    let header = response.headers().get(CONTENT_TYPE);
    let value = header.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or_default().trim();
    match essence {
        "" => "an untyped body".to_owned(),
        essence => quoted(&essence.to_ascii_lowercase(), &[]),
    }
}
