//! Who is calling: a valid ticket, else an invite token, else `Authorization: Bearer <did>`.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::answer::Refusal;
use crate::query::{Params, Query, Scope};
use crate::record::check_did;
use crate::ticket::{self, Claims, QuerySpec};
use crate::world::{Denied, World, now_ms};

/// A caller who may watch.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Who it is; invite tokens and public watches name nobody.
    pub(crate) did: Option<String>,
    /// What live events follow: the ticket's query, else the URL's.
    pub(crate) spec: QuerySpec,
}

/// The did that stands in for a service JWT.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let did = value.strip_prefix("Bearer ")?.trim();
    check_did(did).is_ok().then_some(did)
}

/// Decides whether the request may see the query's records. A bad ticket falls through silently.
pub(crate) fn authorise(
    world: &World,
    query: &Query,
    params: &Params,
    headers: &HeaderMap,
) -> Result<Caller, Refusal> {
    if let Some(claims) = valid_ticket(world, query, params) {
        let spec = claims.query_spec.unwrap_or_else(|| query.spec());
        return Ok(Caller {
            did: Some(claims.did),
            spec,
        });
    }
    let spec = query.spec();
    let did = bearer(headers).map(str::to_owned);
    let Scope::Space(space_uri) = &query.scope else {
        return Ok(Caller { did, spec });
    };
    if let Some(token) = params.get("inviteToken") {
        world.may_read_by_invite(space_uri, token).map_err(refuse)?;
        return Ok(Caller { did: None, spec });
    }
    let did = did.ok_or(Refusal::AUTH_REQUIRED)?;
    world.may_read(space_uri, &did).map_err(refuse)?;
    Ok(Caller {
        did: Some(did),
        spec,
    })
}

/// The ticket, if it was minted for this collection and space or actor. Membership is not asked again.
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

/// A fresh ticket for a query.
pub(crate) fn mint(
    world: &World,
    spec: QuerySpec,
    topic: String,
    did: &str,
    ttl_ms: i64,
) -> Option<String> {
    let iat = now_ms();
    let claims = Claims {
        topics: vec![topic],
        did: did.to_owned(),
        exp: iat.saturating_add(ttl_ms),
        iat,
        query_spec: Some(spec),
    };
    ticket::sign(world.secret(), &claims).ok()
}
