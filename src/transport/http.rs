//! One HTTP client for everything: TLS, proxies, redirects under the scope, time-outs, refusals.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{
    Client, ClientBuilder, Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use serde::Deserialize;
use url::Url;

use super::{ConnectRequest, TransportError, UrlGuard};
use crate::redact::quoted;

/// Longest time until a TCP and TLS connection stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
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
pub enum HttpError {
    /// The TLS configuration is not usable.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The client refused its configuration.
    #[error("HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// A shared HTTP client that asks a guard about every URL it requests.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    /// HTTP/1.1 only: what a WebSocket upgrade needs.
    http1: Client,
}

impl Http {
    /// Sets up the client; `tls` replaces the platform's trust roots.
    pub fn new(tls: Option<rustls::ClientConfig>) -> Result<Self, HttpError> {
        let mut tls = match tls {
            Some(tls) => tls,
            None => default_tls()?,
        };
        // A configuration that is handed over is used as it is: without these it is HTTP/1.1 only.
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = client(tls.clone())
            // Many streams share one HTTP/2 connection: a few that nobody reads must not freeze the others.
            .http2_initial_connection_window_size(64 * 1024 * 1024)
            .http2_initial_stream_window_size(256 * 1024)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(20))
            .http2_keep_alive_while_idle(true)
            .build()?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1 = self::client(tls).http1_only().build()?;
        Ok(Self { client, http1 })
    }

    /// Requests `url` with the watch's ticket, follows redirects as far as the guard allows, and turns
    /// every answer but 2xx into the error it means.
    pub async fn get(
        &self,
        mut url: Url,
        request: &ConnectRequest,
        accept: &str,
    ) -> Result<Response, TransportError> {
        if let Some(ticket) = &request.ticket {
            url.query_pairs_mut().append_pair("ticket", ticket.expose());
        }
        let origin = origin(&url);
        let answer = async {
            check(&url, &request.guard)?;
            for _ in 0..=MAX_REDIRECTS {
                let sent = self.client.get(url.clone()).header(ACCEPT, accept).send();
                let response = sent.await.map_err(|error| unreachable(&url, error))?;
                if !response.status().is_redirection() {
                    return accepted(response, &request.secrets()).await;
                }
                url = redirect_target(&url, &response)?;
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
    ) -> Result<Response, TransportError> {
        let origin = origin(&url);
        let answer = async {
            check(&url, guard)?;
            let sent = self
                .client
                .request(method, url.clone())
                .headers(headers)
                .send();
            accepted(
                sent.await.map_err(|error| unreachable(&url, error))?,
                secrets,
            )
            .await
        };
        within(ANSWER_TIMEOUT, origin, answer).await
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

fn client(tls: rustls::ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(Duration::from_secs(30))
        .user_agent(concat!("contrail-sync/", env!("CARGO_PKG_VERSION")))
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
        message: cause(error),
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

/// Reads a whole body of at most `limit` bytes; `None` if it is larger.
pub async fn body(response: Response, limit: usize) -> Result<Option<Vec<u8>>, TransportError> {
    let origin = origin(response.url());
    let read = async {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| TransportError::Cut {
                message: cause(error),
            })?;
            if body.len() + chunk.len() > limit {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    };
    within(ANSWER_TIMEOUT, origin, read).await
}

/// Scheme, host and port: what may stand in messages.
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// A URL without what may hold secrets: user info, query and fragment.
pub fn bare(url: &Url) -> String {
    format!("{}{}", origin(url), url.path())
}

/// The innermost cause of an error: the layers around it only say that a request failed. Without the URL.
pub fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(deeper) = innermost.source() {
        innermost = deeper;
    }
    quoted(&innermost.to_string(), &[])
}

/// ring, named explicitly: rustls without a chosen provider panics.
fn default_tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    // The platform's verifier needs a Java context on Android, which nobody gives it there.
    #[cfg(target_os = "android")]
    let config = builder
        .with_root_certificates(rustls::RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        })
        .with_no_client_auth();
    #[cfg(not(target_os = "android"))]
    let config = {
        use rustls_platform_verifier::BuilderVerifierExt;
        match builder.clone().with_platform_verifier() {
            Ok(builder) => builder.with_no_client_auth(),
            // A machine without trust roots can still use plain HTTP; TLS then fails where it is tried.
            Err(error) => {
                tracing::warn!(%error, "no trust roots: TLS will not work");
                let none = rustls::RootCertStore::empty();
                builder.with_root_certificates(none).with_no_client_auth()
            }
        }
    };
    Ok(config)
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

/// The answer's content type without parameters, for messages and comparison.
pub fn content_type(response: &Response) -> String {
    let header = response.headers().get(CONTENT_TYPE);
    let value = header.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or_default().trim();
    match essence {
        "" => "an untyped body".to_owned(),
        essence => quoted(&essence.to_ascii_lowercase(), &[]),
    }
}
