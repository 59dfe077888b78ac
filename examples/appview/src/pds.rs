//! The PDS that the appview plays as well: repos that apps write to, and contrail's own writes to spaces. What is written is
//! indexed as anything public is.

mod id;
mod log;
mod repo;
mod session;
mod space;

use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Extension, RawQuery, Request, State};
use axum::http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::{Refusal, faulty, json as answer, no_such_route};
use crate::fault::{AcceptThen, On};
use crate::ingest::Contrail;
use crate::query::Params;
use crate::routes::hold;
use crate::state::{App, Connection};
use crate::watch::wait;
use crate::world::{World, now_ms};

pub use log::PdsWrite;
pub(crate) use repo::Pds;
use repo::{Action, Written};
pub(crate) use session::USUAL_LIFE_MS;

/// Bound on the body of a write.
const MAX_BODY: usize = 1 << 20;
/// Bound on what is read of it, so that whoever sends a little too much hears why.
const MAX_READ: usize = 16 << 20;

/// (method, what it does, whether in a space).
const WRITES: [(&str, Action, bool); 5] = [
    ("com.atproto.repo.createRecord", Action::Create, false),
    ("com.atproto.repo.putRecord", Action::Put, false),
    ("com.atproto.repo.deleteRecord", Action::Delete, false),
    ("com.example.space.putRecord", Action::Put, true),
    ("com.example.space.deleteRecord", Action::Delete, true),
];

/// Its routes.
pub(crate) fn router() -> Router<Arc<App>> {
    let reads = Router::new().route("/xrpc/com.atproto.repo.getRecord", get(get_record));
    WRITES.iter().fold(reads, |router, (method, ..)| {
        router.route(&format!("/xrpc/{method}"), post(write))
    })
}

/// `com.atproto.repo.getRecord`, which anybody may ask.
async fn get_record(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.as_deref().unwrap_or_default());
    let given = |name| {
        let missing = || Refusal::invalid(format!("Params must have the property \"{name}\""));
        params.given(name).ok_or_else(missing)
    };
    let found = || {
        let (repo, collection, rkey) = (given("repo")?, given("collection")?, given("rkey")?);
        let uri = format!("at://{repo}/{collection}/{rkey}");
        let found = app.world.repo_record(repo, collection, rkey);
        let wanted = params.given("cid");
        let found = found.filter(|(cid, _)| wanted.is_none_or(|wanted| wanted == cid));
        let (cid, value) = found.ok_or_else(|| Refusal::no_record(&uri))?;
        Ok::<_, Refusal>(json!({ "uri": uri, "cid": cid, "value": value }))
    };
    match found() {
        Ok(found) => answer(StatusCode::OK, &found),
        Err(refusal) => refusal.into_response(),
    }
}

/// Every write: logged, then perhaps held up by a fault, then carried out and answered, unless a fault has it otherwise.
async fn write(
    State(app): State<Arc<App>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Response {
    let method = request.uri().path().strip_prefix("/xrpc/");
    let known = WRITES.iter().find(|(name, ..)| method == Some(name));
    let Some((method, action, in_space)) = known.copied() else {
        return no_such_route();
    };
    if in_space && app.world.contrail() != Contrail::V0_12 {
        return no_such_route();
    }
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_READ).await else {
        return Refusal::TOO_LARGE.into_response();
    };
    let fault = app.faults.strike(On::Write);
    let got = Got {
        number: app.world.log_arrival(method, &head.headers, &body),
        action,
        in_space,
        headers: head.headers,
        body,
        twice: fault.apply_twice,
    };
    hold(&fault, &connection).await;
    if fault.accept_then.is_none() && fault.answers() {
        wait(fault.delay_ms).await;
        return faulty(&fault).unwrap_or_else(no_such_route);
    }
    // In a task of its own: a server that is slow carries the write out though the client has given up meanwhile.
    let (world, stop, delay_ms) = (app.world.clone(), app.stop.clone(), fault.delay_ms);
    let carried_out = app.tasks.spawn(async move {
        stop.run_until_cancelled(wait(delay_ms)).await?;
        Some(got.carry_out(&world))
    });
    let Ok(Some(answer)) = carried_out.await else {
        return std::future::pending().await;
    };
    match fault.accept_then {
        None => answer,
        Some(AcceptThen::Status) => faulty(&fault).unwrap_or(answer),
        Some(AcceptThen::Stall) => std::future::pending().await,
        Some(AcceptThen::Close) => {
            connection.cut();
            std::future::pending().await
        }
    }
}

/// A write request, read and logged.
struct Got {
    number: usize,
    action: Action,
    in_space: bool,
    headers: HeaderMap,
    body: Bytes,
    twice: bool,
}

impl Got {
    fn carry_out(&self, world: &World) -> Response {
        let written = if self.in_space {
            self.write_space(world)
        } else {
            self.write_repo(world)
        };
        let needs_nonce = written == Err(Refusal::USE_DPOP_NONCE);
        let mut response = match written {
            Ok(written) => {
                let response = answer(StatusCode::OK, &written.answer);
                world.log_outcome(self.number, written);
                response
            }
            Err(refusal) => refusal.into_response(),
        };
        if !self.in_space {
            world.add_nonce(response.headers_mut(), needs_nonce);
        }
        response
    }

    fn write_repo(&self, world: &World) -> Result<Written, Refusal> {
        let owner = world.repo_owner(&self.headers)?;
        world.write_repo(self.action, &self.parse()?, &owner, self.twice)
    }

    fn write_space(&self, world: &World) -> Result<Written, Refusal> {
        let author = world.space_author(&self.headers)?;
        world.write_space(self.action, &self.parse()?, &author, self.twice)
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        if self.body.len() > MAX_BODY {
            return Err(Refusal::TOO_LARGE);
        }
        let content_type = self.headers.get(CONTENT_TYPE);
        let content_type = content_type.map(HeaderValue::as_bytes).unwrap_or_default();
        if !content_type.starts_with(b"application/json") {
            let message = "Wrong request encoding (Content-Type): application/json expected";
            return Err(Refusal::invalid(message));
        }
        serde_json::from_slice(&self.body).map_err(|error| Refusal::invalid(error.to_string()))
    }
}

impl World {
    /// What the PDS got, in the order in which it arrived: the latest 10,000 write requests.
    pub fn pds_log(&self) -> Vec<PdsWrite> {
        self.pds().log.entries()
    }

    /// What can be told of a request before anything is done about it.
    fn log_arrival(&self, method: &str, headers: &HeaderMap, body: &[u8]) -> usize {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Named {
            repo: Value,
            collection: Value,
            rkey: Value,
            space_uri: Value,
        }
        let body = if body.len() > MAX_BODY { &[] } else { body };
        let named: Named = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().and_then(log::short);
        let key = headers.get("idempotency-key");
        let entry = PdsWrite {
            method: method.into(),
            did: text(&named.repo).or_else(|| self.named_by_token(headers)),
            collection: text(&named.collection),
            rkey: text(&named.rkey),
            space_uri: text(&named.space_uri),
            cid: None,
            applied: false,
            key: key.and_then(|key| key.to_str().ok()).and_then(log::short),
            at: now_ms(),
        };
        self.pds().log.add(entry)
    }

    fn log_outcome(&self, number: usize, written: Written) {
        if let Some(entry) = self.pds().log.entry(number) {
            entry.rkey = Some(written.rkey);
            entry.cid = written.cid;
            entry.applied = written.applied;
        }
    }

    /// Tells the current nonce, if there is one, so that browsers may read it too.
    fn add_nonce(&self, headers: &mut HeaderMap, is_needed: bool) {
        let nonce = self.pds().nonce.as_ref().map(HeaderValue::try_from);
        let Some(Ok(nonce)) = nonce else { return };
        headers.insert("dpop-nonce", nonce);
        let exposed = HeaderValue::from_static("DPoP-Nonce, WWW-Authenticate");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        if is_needed {
            let challenge = HeaderValue::from_static("DPoP error=\"use_dpop_nonce\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
    }
}
