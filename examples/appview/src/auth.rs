//! Who is calling: a valid ticket, else an invite token, else `Authorization: Bearer <did>`; and what they see.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::answer::Refusal;
use crate::query::{Params, Query, Scope};
use crate::reach::Reach;
use crate::record::check_did;
use crate::state::App;
use crate::ticket::{self, Claims, QuerySpec};
use crate::world::{Denied, World, now_ms};

/// A caller who may watch.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Who it is; an invite token names nobody.
    pub(crate) did: Option<String>,
    /// What the next ticket says, and what a Durable Object follows: the ticket's query, else the URL's.
    pub(crate) spec: QuerySpec,
    /// What they see.
    pub(crate) reach: Reach,
}

/// The did that stands in for a service JWT.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let did = authorization(headers)?.strip_prefix("Bearer ")?.trim();
    check_did(did).is_ok().then_some(did)
}

pub(crate) fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()
}

fn invite_token<'a>(params: &'a Params, headers: &'a HeaderMap) -> Option<&'a str> {
    let header = || authorization(headers)?.strip_prefix("Bearer atmo-invite:");
    params.given("inviteToken").or_else(header).map(str::trim)
}

/// Decides whether the request may watch. A bad ticket falls through silently. With a good one the members of a space
/// are not looked at, those of a community's spaces are.
pub(crate) fn watcher(
    app: &App,
    query: &Query,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Caller, Refusal> {
    let scope = query.scope.as_ref().ok_or(Refusal::NO_SCOPE)?;
    let claims = valid_ticket(&app.world, query, params);
    let spec = claims.as_ref().and_then(|it| it.query_spec.clone());
    let did = claims.map(|claims| claims.did);
    let (did, reach) = match (scope, did) {
        (Scope::Space(uri), Some(did)) => (Some(did), Reach::Space(uri.as_str().into())),
        (Scope::Space(uri), None) => {
            let did = reader(&app.world, uri, params, headers)?;
            (did, Reach::Space(uri.as_str().into()))
        }
        (Scope::Actor(actor), did) => {
            let did = did.or_else(|| bearer(headers).map(str::to_owned));
            let reach = actor_reach(app, actor, did.as_deref())?;
            (did, reach)
        }
    };
    let spec = spec.unwrap_or_else(|| query.spec());
    Ok(Caller { did, spec, reach })
}

/// Decides what a list shows. Tickets count for nothing, unless that is allowed.
pub(crate) fn lister(
    app: &App,
    query: &Query,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Reach, Refusal> {
    let world = &app.world;
    let lenient = world.lenient();
    match &query.scope {
        Some(Scope::Space(uri)) => {
            if !lenient.tickets_list || valid_ticket(world, query, params).is_none() {
                reader(world, uri, params, headers)?;
            }
            Ok(Reach::Space(uri.as_str().into()))
        }
        Some(Scope::Actor(did)) if lenient.public_actor_watch => Ok(Reach::Author(did.clone())),
        Some(Scope::Actor(did)) if check_did(did).is_err() => Err(Refusal::UNKNOWN_ACTOR),
        _ => {
            let spaces = match (bearer(headers), authorization(headers)) {
                (Some(did), _) => world.reach(did, None),
                (None, Some(_)) => return Err(Refusal::BAD_JWT),
                (None, None) => Vec::new(),
            };
            Ok(Reach::Public { spaces })
        }
    }
}

/// Who reads the space, by invite token (which names nobody) or JWT.
fn reader(
    world: &World,
    space_uri: &str,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Option<String>, Refusal> {
    if let Some(token) = invite_token(params, headers) {
        world.may_read_by_invite(space_uri, token).map_err(refuse)?;
        return Ok(None);
    }
    let did = bearer(headers).ok_or(Refusal::AUTH_REQUIRED)?;
    world.may_read(space_uri, did).map_err(refuse)?;
    Ok(Some(did.to_owned()))
}

/// What `did` sees of an actor: of a community's, as far as they reach; of anybody else's nothing, unless that is allowed.
pub(crate) fn actor_reach(app: &App, actor: &str, did: Option<&str>) -> Result<Reach, Refusal> {
    let world = &app.world;
    if world.lenient().public_actor_watch {
        return Ok(Reach::Author(actor.to_owned()));
    }
    if !app.has_communities {
        return Err(Refusal::NO_COMMUNITIES);
    }
    if !world.is_community(actor) {
        return Err(Refusal::NOT_A_COMMUNITY);
    }
    let spaces = world.reach(did.ok_or(Refusal::JWT_REQUIRED)?, Some(actor));
    if spaces.is_empty() {
        return Err(Refusal::NO_REACHABLE_SPACES);
    }
    Ok(Reach::Community {
        did: actor.to_owned(),
        spaces,
    })
}

/// The ticket, if it was minted for this collection and space or actor.
fn valid_ticket(world: &World, query: &Query, params: &Params) -> Option<Claims> {
    let claims = ticket::verify(world.secret(), params.get("ticket")?, now_ms())?;
    let (minted, wanted) = (claims.query_spec.as_ref()?, query.spec());
    let same = minted.collection == wanted.collection
        && minted.space_uri == wanted.space_uri
        && minted.actor == wanted.actor;
    same.then_some(claims)
}

pub(crate) fn refuse(denied: Denied) -> Refusal {
    match denied {
        Denied::NoSpace => Refusal::NOT_FOUND,
        Denied::NotMember => Refusal::NOT_MEMBER,
        Denied::BadInvite => Refusal::BAD_INVITE,
    }
}

/// The topics that one stands for to `did`: a community's for those of the spaces that they reach.
pub(crate) fn topics(app: &App, topic: &str, did: &str) -> Result<Vec<String>, Refusal> {
    let (kind, name) = topic.split_once(':').ok_or(Refusal::UNKNOWN_TOPIC)?;
    match kind {
        "space" => {
            app.world.may_read(name, did).map_err(refuse)?;
            Ok(vec![topic.to_owned()])
        }
        "community" => Ok(actor_reach(app, name, Some(did))?.topics()),
        "actor" | "collection" => Ok(vec![topic.to_owned()]),
        _ => Err(Refusal::UNKNOWN_TOPIC),
    }
}

/// A fresh ticket for a query.
pub(crate) fn mint(
    world: &World,
    spec: QuerySpec,
    topics: Vec<String>,
    did: &str,
    ttl_ms: i64,
) -> Option<String> {
    let iat = now_ms();
    let claims = Claims {
        topics,
        did: did.to_owned(),
        exp: iat.saturating_add(ttl_ms),
        iat,
        query_spec: Some(spec),
    };
    ticket::sign(world.secret(), &claims).ok()
}

/// What a ticket for the query opens to `did`, asking nobody whether they may.
pub(crate) fn unchecked_topics(app: &App, query: &Query, did: &str) -> Vec<String> {
    match &query.scope {
        Some(Scope::Space(uri)) => Reach::Space(Arc::from(uri.as_str())).topics(),
        Some(Scope::Actor(actor)) => actor_reach(app, actor, Some(did))
            .map(|reach| reach.topics())
            .unwrap_or_default(),
        None => Vec::new(),
    }
}
