//! `POST /control/<call>`: everything a test or a demo does to the appview from outside.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Error;
use crate::answer::{Refusal, json as answer};
use crate::ingest::Contrail;
use crate::pds::USUAL_LIFE_MS;
use crate::state::{App, Connection, WsMode};

/// Bound on a control call's body.
const MAX_BODY: usize = 16 << 20;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(
            "/stats",
            get(async |State(app): State<Arc<App>>| answer(StatusCode::OK, &app.stats())),
        )
        .route(
            "/pdsLog",
            any(async |State(app): State<Arc<App>>| answer(StatusCode::OK, &app.world.pds_log())),
        )
        .route("/flood", post(crate::flood::flood))
        .route("/{call}", post(call))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SpaceCall {
    key: String,
    owner: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MemberCall {
    space_uri: String,
    did: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OnlySpace {
    space_uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SessionCall {
    did: String,
    #[serde(default)]
    expires_in_ms: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DpopCall {
    #[serde(default)]
    nonce: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WsCall {
    mode: WsMode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArguments {}

async fn call(
    State(app): State<Arc<App>>,
    Extension(connection): Extension<Connection>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    match run(&app, &connection, &name, &body) {
        Ok(value) => answer(StatusCode::OK, &value),
        Err(refusal) => refusal.into_response(),
    }
}

pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Refusal::invalid(error.to_string()))
}

fn run(app: &App, connection: &Connection, name: &str, body: &[u8]) -> Result<Value, Refusal> {
    let world = &app.world;
    match name {
        "space" => {
            let SpaceCall { key, owner } = parse(body)?;
            Ok(json!({ "uri": world.space(&key, &owner)? }))
        }
        "openSpace" => {
            let SpaceCall { key, owner } = parse(body)?;
            Ok(json!(world.open_space(&key, &owner)?))
        }
        "deleteSpace" => {
            let OnlySpace { space_uri } = parse(body)?;
            world.delete_space(&space_uri)?;
            Ok(json!({}))
        }
        "community" => Ok(json!({ "spaces": world.community(&parse(body)?)? })),
        "lenient" => {
            world.set_lenient(parse(body)?);
            Ok(json!(world.lenient()))
        }
        "losses" => {
            world.set_losses(parse(body)?);
            Ok(json!(world.losses()))
        }
        "addMember" => {
            let MemberCall { space_uri, did } = parse(body)?;
            world.add_member(&space_uri, &did)?;
            Ok(json!({}))
        }
        "kick" => {
            let MemberCall { space_uri, did } = parse(body)?;
            world.kick(&space_uri, &did)?;
            Ok(json!({}))
        }
        "invite" => {
            let OnlySpace { space_uri } = parse(body)?;
            Ok(json!({ "token": world.invite(&space_uri)? }))
        }
        "put" => Ok(json!({ "uri": world.put(parse(body)?)? })),
        "delete" => Ok(json!({ "existed": world.delete(parse(body)?)? })),
        "bulk" => {
            world.bulk(parse(body)?)?;
            Ok(json!({}))
        }
        "ticket" => Ok(json!({ "ticket": app.ticket(&parse(body)?)? })),
        "pdsSession" => {
            let SessionCall { did, expires_in_ms } = parse(body)?;
            let life_ms = expires_in_ms.unwrap_or(USUAL_LIFE_MS);
            Ok(json!({ "accessJwt": world.pds_session_for(&did, life_ms)?, "did": did }))
        }
        "pdsDpop" => {
            let DpopCall { nonce } = parse(body)?;
            world.set_dpop_nonce(nonce.as_deref())?;
            Ok(json!({ "nonce": nonce }))
        }
        "fault" => {
            app.faults.set(parse(body)?)?;
            Ok(json!({}))
        }
        "ws" => {
            let WsCall { mode } = parse(body)?;
            app.set_ws(mode);
            Ok(json!({ "mode": mode }))
        }
        "dropConnections" => {
            let NoArguments {} = parse(body)?;
            Ok(json!({ "dropped": app.drop_connections(Some(connection.id())) }))
        }
        "contrail" => {
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Call {
                version: Contrail,
            }
            let Call { version } = parse(body)?;
            world.set_contrail(version);
            Ok(json!({ "version": version }))
        }
        "flush" => {
            world.flush()?;
            Ok(json!({}))
        }
        _ => Err(Refusal::unknown(format!("no control call {name:?}"))),
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::UnknownSpace(_) => Self::unknown(error.to_string()),
            _ => Self::invalid(error.to_string()),
        }
    }
}
