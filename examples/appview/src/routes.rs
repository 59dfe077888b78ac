//! The HTTP routes: XRPC methods, the app's own ticket route, the control plane.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, Path, RawQuery, Request, State};
use axum::http::header::{ACCEPT, UPGRADE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde::{Deserialize, Serialize};

use crate::answer::{Refusal, event_stream, faulty, json, no_such_route, plain};
use crate::auth::{Caller, actor_reach, bearer, lister, mint, topics, watcher};
use crate::fault::{Fault, On};
use crate::ingest::{Contrail, is_get_cursor, profiles};
use crate::query::{Params, Query, Scope};
use crate::reach::Reach;
use crate::record::check_did;
use crate::schema::{Collection, NAMESPACE, by_short_name};
use crate::state::{App, Connection, WatchGuard, count};
use crate::ticket::{Claims, QuerySpec, sign};
use crate::watch::{Watch, read_snapshot, wait};
use crate::wire::Snapshot;
use crate::world::now_ms;

type Shared = State<Arc<App>>;

/// Every route.
pub(crate) fn router(app: Arc<App>) -> Router {
    let counted = Router::new()
        .route("/xrpc/{method}", get(xrpc))
        .route("/xrpc/com.example.realtime.ticket", post(topic_ticket))
        .route("/xrpc/com.example.notifyOfUpdate", post(notify))
        .route("/api/ticket", any(app_ticket))
        .merge(crate::pds::router())
        .fallback(async || no_such_route())
        .method_not_allowed_fallback(async || no_such_route())
        .layer(from_fn(count_request));
    Router::new()
        .nest("/control", crate::control::router())
        .merge(counted)
        .layer(from_fn(preflight))
        .with_state(app)
}

async fn count_request(
    connection: Extension<Connection>,
    request: Request,
    next: Next,
) -> Response {
    connection.count_request();
    next.run(request).await
}

/// Browsers ask before they send a bearer or JSON across origins.
async fn preflight(request: Request, next: Next) -> Response {
    if request.method() != Method::OPTIONS {
        return next.run(request).await;
    }
    let mut response = plain(StatusCode::NO_CONTENT, "text/plain", Bytes::new().into());
    let headers = response.headers_mut();
    let allow = |value| axum::http::HeaderValue::from_static(value);
    headers.insert("access-control-allow-methods", allow("GET, POST"));
    headers.insert(
        "access-control-allow-headers",
        allow("authorization, content-type, accept, dpop, idempotency-key"),
    );
    response
}

/// A fault's way of answering before anything else happens.
async fn misbehave(fault: &Fault, connection: &Connection) -> Option<Response> {
    hold(fault, connection).await;
    wait(fault.delay_ms).await;
    faulty(fault)
}

/// Never comes back if the fault closes the connection, or stalls it.
pub(crate) async fn hold(fault: &Fault, connection: &Connection) {
    if fault.close_on_accept {
        connection.cut();
        std::future::pending::<()>().await;
    }
    if fault.stall_before_headers {
        std::future::pending::<()>().await;
    }
}

async fn xrpc(
    State(app): Shared,
    Extension(connection): Extension<Connection>,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    if is_get_cursor(&method) {
        return position(&app, &connection).await;
    }
    let Some((collection, method)) = find_method(&method) else {
        return no_such_route();
    };
    let call = Call {
        app,
        connection,
        collection,
        params: Params::parse(query.as_deref().unwrap_or_default()),
        request,
    };
    let answered = match method {
        "watchRecords" if call.app.world.contrail() == Contrail::V0_12 => call.watch().await,
        "listRecords" => call.list().await,
        _ => return no_such_route(),
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

/// `com.example.message.watchRecords` → message, `watchRecords`.
fn find_method(path: &str) -> Option<(&'static Collection, &str)> {
    let (short, method) = path
        .strip_prefix(NAMESPACE)?
        .strip_prefix('.')?
        .split_once('.')?;
    Some((by_short_name(short)?, method))
}

/// One XRPC call.
struct Call {
    app: Arc<App>,
    connection: Connection,
    collection: &'static Collection,
    params: Params,
    request: Request,
}

impl Call {
    fn query(&self) -> Query {
        Query::parse(self.collection, &self.params, self.app.max_limit)
    }

    fn authorise(&self) -> Result<(Query, Caller), Refusal> {
        let query = self.query();
        let headers = self.request.headers();
        let caller = watcher(&self.app, &query, &self.params, headers)?;
        Ok((query, caller))
    }

    async fn watch(self) -> Result<Response, Refusal> {
        let upgrade = self.request.headers().get(UPGRADE);
        let upgrade = upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let counters = &self.app.counters;
        let (on, counter) = match (upgrade, self.params.get("mode")) {
            (true, _) => (On::Upgrade, &counters.upgrades),
            (false, Some("ws")) => (On::Handshake, &counters.handshakes),
            (false, _) => (On::Sse, &counters.sse),
        };
        count(counter);
        let fault = self.app.faults.strike(on);
        if let Some(response) = misbehave(&fault, &self.connection).await {
            return Ok(response);
        }
        match on {
            On::Upgrade => self.upgrade(fault),
            On::Handshake => self.handshake(&fault).await,
            _ => self.stream(fault),
        }
    }

    fn stream(self, fault: Fault) -> Result<Response, Refusal> {
        let (query, caller) = self.authorise()?;
        let watch = Watch::open(self.app.world.clone(), query, caller);
        let open = WatchGuard::new(&self.app);
        Ok(event_stream(crate::sse::watch_body(
            watch,
            fault,
            self.app.keepalive,
            open,
        )))
    }

    fn upgrade(self, fault: Fault) -> Result<Response, Refusal> {
        let (query, caller) = self.authorise()?;
        let since_ms = self.params.number("sinceTs").filter(|since| *since > 0);
        let Self {
            app,
            connection,
            request,
            ..
        } = self;
        crate::ws::accept(&app, connection, request, query, caller, since_ms, fault)
    }

    async fn handshake(self, fault: &Fault) -> Result<Response, Refusal> {
        let (query, caller) = self.authorise()?;
        let since_ts = self.app.world.mark();
        let read = read_snapshot(&self.app.world, &query, &caller.reach, fault).await;
        let read = read.map_err(|message| Refusal::snapshot_failed(&message))?;
        let ttl_ms = self.app.ticket_ttl_ms;
        let topics = caller.reach.topics();
        let mint = |did: &String| mint(&self.app.world, caller.spec.clone(), topics, did, ttl_ms);
        let ticket = caller.did.as_ref().and_then(mint);
        let since = since_ts.to_string();
        let mut with: Vec<(&str, &str)> = Vec::new();
        with.extend(ticket.as_deref().map(|ticket| ("ticket", ticket)));
        with.push(("sinceTs", &since));
        let rewritten = self.params.rewrite("mode", &with);
        let handshake = Handshake {
            transport: "ws",
            snapshot: List {
                records: read.records,
                cursor: read.cursor,
                profiles: None,
            },
            ws_url: format!("{}?{rewritten}", self.request.uri().path()),
            query_spec: caller.spec,
            ticket,
            ticket_ttl_ms: ttl_ms,
            since_ts,
        };
        let body = serde_json::to_string(&handshake).unwrap_or_default();
        let len = body.len();
        let body = crate::sse::cut_body(body.into(), fault);
        let mut response = plain(StatusCode::OK, "application/json", body);
        response.headers_mut().insert("content-length", len.into());
        Ok(response)
    }

    async fn list(self) -> Result<Response, Refusal> {
        count(&self.app.counters.lists);
        let fault = self.app.faults.strike(On::List);
        if let Some(response) = misbehave(&fault, &self.connection).await {
            return Ok(response);
        }
        let contrail = self.app.world.contrail();
        let (query, reach) = match contrail {
            Contrail::V0_12 => {
                let query = self.query();
                let reach = lister(&self.app, &query, &self.params, self.request.headers())?;
                (query, reach)
            }
            Contrail::V0_19 => {
                let query = self.query().of_lists();
                if query
                    .author
                    .as_ref()
                    .is_some_and(|it| check_did(it).is_err())
                {
                    let error = serde_json::json!({ "error": "Could not resolve actor" });
                    return Ok(json(StatusCode::BAD_REQUEST, &error));
                }
                (query, Reach::Public { spaces: Vec::new() })
            }
        };
        let read = read_snapshot(&self.app.world, &query, &reach, &fault).await;
        let read = read.map_err(|message| Refusal::snapshot_failed(&message))?;
        let wants_profiles =
            contrail == Contrail::V0_19 && self.params.get("profiles") == Some("true");
        let authors = read.records.iter().map(|it| &*it.record.did);
        let profiles = wants_profiles.then(|| profiles(authors));
        let list = List {
            records: read.records,
            cursor: read.cursor,
            profiles,
        };
        let body = serde_json::to_string(&list).unwrap_or_default();
        let body = crate::sse::cut_body(body.into(), &fault);
        Ok(plain(StatusCode::OK, "application/json", body))
    }
}

#[derive(Serialize)]
struct List {
    records: Vec<Snapshot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profiles: Option<Vec<serde_json::Value>>,
}

/// `getCursor`: how far the appview has come.
async fn position(app: &App, connection: &Connection) -> Response {
    count(&app.counters.positions);
    let fault = app.faults.strike(On::Position);
    if let Some(response) = misbehave(&fault, connection).await {
        return response;
    }
    let answer = app.world.lock().ingest.answer();
    answer.map_or_else(no_such_route, |it| json(StatusCode::OK, &it))
}

/// `notifyOfUpdate`: takes a record in now.
async fn notify(State(app): Shared, body: Bytes) -> Response {
    #[derive(Deserialize)]
    struct Ask {
        uri: Option<String>,
        #[serde(default)]
        uris: Vec<String>,
    }
    if app.world.contrail() == Contrail::V0_12 {
        return no_such_route();
    }
    let answer = || {
        let ask: Ask =
            serde_json::from_slice(&body).map_err(|error| Refusal::invalid(error.to_string()))?;
        let uris: Vec<String> = ask.uri.into_iter().chain(ask.uris).collect();
        Ok::<_, Refusal>(app.world.notify(&uris)?)
    };
    match answer() {
        Ok(answer) => json(StatusCode::OK, &answer),
        Err(refusal) => refusal.into_response(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Handshake {
    transport: &'static str,
    snapshot: List,
    query_spec: QuerySpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    ticket_ttl_ms: i64,
    since_ts: i64,
    ws_url: String,
}

/// `com.example.realtime.ticket`: a ticket for a topic, which `watchRecords` refuses as the real server does.
async fn topic_ticket(
    State(app): Shared,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    #[derive(Deserialize)]
    struct Ask {
        topic: String,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        ticket: String,
        topics: Vec<String>,
        expires_at: i64,
    }
    if app.world.contrail() != Contrail::V0_12 {
        return no_such_route();
    }
    count(&app.counters.tickets);
    if let Some(response) = misbehave(&app.faults.strike(On::Ticket), &connection).await {
        return response;
    }
    let answer = || {
        let did = bearer(&headers).ok_or(Refusal::AUTH_REQUIRED)?;
        let ask: Ask =
            serde_json::from_slice(&body).map_err(|error| Refusal::invalid(error.to_string()))?;
        let topics = topics(&app, &ask.topic, did)?;
        let iat = now_ms();
        let expires_at = iat.saturating_add(app.ticket_ttl_ms);
        let claims = Claims {
            topics: topics.clone(),
            did: did.into(),
            exp: expires_at,
            iat,
            query_spec: None,
        };
        let ticket = sign(app.world.secret(), &claims)
            .map_err(|error| Refusal::invalid(error.to_string()))?;
        Ok::<_, Refusal>(Answer {
            ticket,
            topics,
            expires_at,
        })
    };
    match answer() {
        Ok(answer) => json(StatusCode::OK, &answer),
        Err(refusal) => refusal.into_response(),
    }
}

/// `/api/ticket?collection=…&spaceUri=…[&hydrate…=…]`: what apps put in front. The bare ticket as text, or
/// `{"ticket"}` for a caller who asks for JSON.
async fn app_ticket(
    State(app): Shared,
    Extension(connection): Extension<Connection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    count(&app.counters.tickets);
    if let Some(response) = misbehave(&app.faults.strike(On::Ticket), &connection).await {
        return response;
    }
    let params = Params::parse(query.as_deref().unwrap_or_default());
    let ticket = match mint_for(&app, &params, &headers) {
        Ok(ticket) => ticket,
        Err(refusal) => return refusal.into_response(),
    };
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if accepted.is_some_and(|accept| accept.contains("application/json")) {
        return json(StatusCode::OK, &serde_json::json!({ "ticket": ticket }));
    }
    plain(StatusCode::OK, "text/plain; charset=UTF-8", ticket.into())
}

fn mint_for(app: &App, params: &Params, headers: &HeaderMap) -> Result<String, Refusal> {
    let did = bearer(headers).ok_or(Refusal::AUTH_REQUIRED)?;
    let named = params.get("collection").unwrap_or("message");
    let unknown = || Refusal::invalid(format!("unknown collection {named:?}"));
    let collection = by_short_name(named).ok_or_else(unknown)?;
    let query = Query::parse(collection, params, app.max_limit);
    let topics = match query.scope.as_ref().ok_or(Refusal::NO_SCOPE)? {
        Scope::Space(space) => topics(app, &format!("space:{space}"), did)?,
        Scope::Actor(actor) => actor_reach(app, actor, Some(did))?.topics(),
    };
    mint(&app.world, query.spec(), topics, did, app.ticket_ttl_ms)
        .ok_or_else(|| Refusal::invalid("no ticket"))
}
