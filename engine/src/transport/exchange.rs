//! Requests of the app's own, and their whole answers whatever the status: who asked knows what it means.

use std::{fmt, time::Duration};

use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName},
};
use url::Url;

use super::{
    TransportError,
    http::{Http, origin},
    refusal::retry_after,
};
use crate::redact::Secrets;

/// A request to a URL of the app's own, which no guard judges.
pub(crate) struct Ask<'a> {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    /// `None`: it has no body, as a `GET`.
    pub body: Option<Vec<u8>>,
    /// What must not be quoted.
    pub secrets: &'a [&'a str],
    /// Most bytes of the answer's body that are read.
    pub max_bytes: usize,
}

/// A whole answer.
pub(crate) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// `None` where it is too large, or where that of a refusal did not arrive.
    pub body: Option<Vec<u8>>,
    /// Method, origin and path of the request, for messages.
    pub at: String,
    secrets: Secrets,
}

impl Http {
    /// Sends one request and reads its answer. Redirects are answers like others. Who asks bounds the time.
    pub(crate) async fn exchange(&self, ask: Ask<'_>) -> Result<Reply, TransportError> {
        let mut secrets: Secrets = ask.secrets.iter().copied().collect();
        if let Some(password) = ask.url.password() {
            secrets.add(password);
        }
        let Ask {
            method,
            url,
            headers,
            body,
            max_bytes,
            ..
        } = ask;
        let answer = self.answer(&url, origin(&url), &secrets, |client| {
            let request = client.request(method, url.clone()).headers(headers);
            match body {
                Some(body) => request.body(body),
                None => request,
            }
        });
        let answer = answer.await?;
        let (status, headers) = answer.head();
        let (headers, at) = (headers.clone(), answer.at().to_owned());
        let body = match answer.body(max_bytes).await {
            Ok(body) => body,
            Err(error) if status.is_success() => return Err(error),
            // What is missing of a refusal costs only its words.
            Err(_) => None,
        };
        Ok(Reply {
            status,
            headers,
            body,
            at,
            secrets,
        })
    }
}

impl Reply {
    /// For the tests of those who ask.
    #[cfg(test)]
    pub(crate) fn new(
        status: u16,
        headers: HeaderMap,
        body: Option<&str>,
        secrets: &[&str],
    ) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.map(|it| it.as_bytes().to_owned()),
            at: "POST https://a.example/x".to_owned(),
            secrets: secrets.iter().copied().collect(),
        }
    }

    /// Somebody's words as they may stand in an error or a log.
    pub(crate) fn quoted(&self, text: &str) -> String {
        self.secrets.quoted(text)
    }

    /// A header, if it is text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the server asked to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }
}

impl fmt::Debug for Reply {
    // Bodies are the users' own words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("at", &self.at)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
