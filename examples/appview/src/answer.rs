//! HTTP answers, with the headers and bodies of the real server.

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::fault::Fault;

/// `{error, reason?, message?}` with its status.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub(crate) struct Refusal {
    #[serde(skip)]
    status: u16,
    error: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<std::borrow::Cow<'static, str>>,
}

impl Refusal {
    pub(crate) const NO_SCOPE: Self =
        Self::message(400, "InvalidRequest", "spaceUri or actor required");
    pub(crate) const AUTH_REQUIRED: Self = Self::message(
        401,
        "AuthRequired",
        "spaceUri requires a valid service-auth JWT or read-grant invite token",
    );
    pub(crate) const JWT_REQUIRED: Self = Self::message(
        401,
        "AuthRequired",
        "service-auth JWT or in-process principal required",
    );
    pub(crate) const BAD_JWT: Self = Self::message(401, "AuthRequired", "invalid service-auth JWT");
    pub(crate) const NO_COMMUNITIES: Self =
        Self::reason(400, "NotSupported", "community-module-disabled");
    pub(crate) const NOT_A_COMMUNITY: Self = Self {
        status: 400,
        error: "InvalidRequest",
        reason: Some("actor-must-be-community-did"),
        message: Some(std::borrow::Cow::Borrowed(
            "cross-space watch currently only supports community DIDs as actor",
        )),
    };
    pub(crate) const NO_REACHABLE_SPACES: Self =
        Self::reason(403, "Forbidden", "no-reachable-spaces-in-community");
    pub(crate) const UNKNOWN_TOPIC: Self = Self::reason(400, "InvalidRequest", "unknown-topic");
    pub(crate) const UNKNOWN_ACTOR: Self = Self {
        status: 400,
        error: "Could not resolve actor",
        reason: None,
        message: None,
    };
    pub(crate) const NOT_MEMBER: Self = Self::reason(403, "Forbidden", "not-member");
    pub(crate) const BAD_INVITE: Self = Self::reason(403, "Forbidden", "invalid-invite-token");
    pub(crate) const NOT_FOUND: Self = Self {
        status: 404,
        error: "NotFound",
        message: None,
        reason: None,
    };
    pub(crate) const NO_WEBSOCKET: Self =
        Self::reason(426, "NotSupported", "websockets-require-workers-runtime");

    pub(crate) const AUTH_MISSING: Self =
        Self::message(401, "AuthMissing", "Authentication Required");
    pub(crate) const INVALID_TOKEN: Self =
        Self::message(401, "InvalidToken", "Token could not be verified");
    /// A 400 on the real PDS, not a 401.
    pub(crate) const EXPIRED_TOKEN: Self = Self::message(400, "ExpiredToken", "Token has expired");
    pub(crate) const NOT_YOUR_REPO: Self =
        Self::message(401, "AuthenticationRequired", "Authentication Required");
    pub(crate) const USE_DPOP_NONCE: Self = Self::message(
        401,
        "use_dpop_nonce",
        "Resource server requires nonce in DPoP proof",
    );
    pub(crate) const TOO_LARGE: Self =
        Self::message(413, "PayloadTooLarge", "request entity too large");

    const fn message(status: u16, error: &'static str, message: &'static str) -> Self {
        let message = Some(std::borrow::Cow::Borrowed(message));
        Self {
            status,
            error,
            message,
            reason: None,
        }
    }

    const fn reason(status: u16, error: &'static str, reason: &'static str) -> Self {
        Self {
            status,
            error,
            message: None,
            reason: Some(reason),
        }
    }

    /// The request makes no sense.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into().into()),
            ..Self::message(400, "InvalidRequest", "")
        }
    }

    /// The thing named does not exist.
    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self {
            status: 404,
            error: "NotFound",
            ..Self::invalid(message)
        }
    }

    /// The repo has gone on since.
    pub(crate) fn invalid_swap(message: String) -> Self {
        Self {
            error: "InvalidSwap",
            ..Self::invalid(message)
        }
    }

    /// The repo has no such record.
    pub(crate) fn no_record(uri: &str) -> Self {
        Self {
            error: "RecordNotFound",
            ..Self::invalid(format!("Could not locate record: {uri}"))
        }
    }

    /// The query failed.
    pub(crate) fn snapshot_failed(message: &str) -> Self {
        Self {
            status: 500,
            error: "SnapshotFailed",
            ..Self::invalid(message)
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        json(status, &self)
    }
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_string(body).unwrap_or_default();
    plain(status, "application/json", body.into())
}

/// An answer of any type.
pub(crate) fn plain(status: StatusCode, content_type: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_type = HeaderValue::try_from(content_type);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        CONTENT_TYPE,
        content_type.unwrap_or(HeaderValue::from_static("text/plain")),
    );
    response
}

/// What an unknown path gets.
pub(crate) fn no_such_route() -> Response {
    plain(
        StatusCode::NOT_FOUND,
        "text/plain; charset=UTF-8",
        "404 Not Found".into(),
    )
}

/// An event stream.
pub(crate) fn event_stream(body: Body) -> Response {
    let mut response = plain(StatusCode::OK, "text/event-stream", body);
    let headers = response.headers_mut();
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The status, body and headers that a fault wants, if it wants any.
pub(crate) fn faulty(fault: &Fault) -> Option<Response> {
    if !fault.answers() {
        return None;
    }
    let status = StatusCode::from_u16(fault.status.unwrap_or(200)).unwrap_or(StatusCode::OK);
    let content_type = fault.content_type.as_deref().unwrap_or("application/json");
    let body = fault.body.clone().unwrap_or_default();
    let len = body.len();
    let body = crate::sse::cut_body(body.into(), fault);
    let mut response = plain(status, content_type, body);
    response.headers_mut().insert(CONTENT_LENGTH, len.into());
    for (name, value) in &fault.headers {
        let name = axum::http::HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Some(response)
}
