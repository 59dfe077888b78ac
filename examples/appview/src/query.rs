//! One query: its parameters, and the page of records it answers.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::Record;
use crate::schema::{Collection, Match, Reference, Relation, at_path, hydrate_param};
use crate::ticket::{HydrateSpec, QuerySpec};
use crate::world::World;

const DEFAULT_LIMIT: i64 = 50;
/// Most records of one page, on the real server.
pub(crate) const MAX_LIMIT: usize = 200;
/// Most children a relation is hydrated with, per group.
const MAX_CHILDREN: usize = 50;

/// What a query ranges over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One space.
    Space(String),
    /// What one author wrote, in every space and outside.
    Actor(String),
}

impl Scope {
    /// The feed that carries this scope's changes, as tickets name it.
    pub(crate) fn topic(&self) -> String {
        match self {
            Self::Space(uri) => format!("space:{uri}"),
            Self::Actor(did) => format!("actor:{did}"),
        }
    }
}

/// A parsed query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) collection: &'static Collection,
    pub(crate) scope: Scope,
    pub(crate) relations: Vec<(&'static Relation, usize)>,
    pub(crate) references: Vec<&'static Reference>,
    limit: usize,
    cursor: Option<Position<'static>>,
    sort: Option<String>,
    ascending: bool,
    filters: Vec<(&'static str, String)>,
}

/// The records of one page, and where the next one begins.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) records: Vec<Arc<Record>>,
    pub(crate) cursor: Option<String>,
}

/// Where a record stands in a query's order; a cursor is the position of the page's last record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Position<'a> {
    field: Option<Cow<'a, Value>>,
    created_ms: i64,
    rkey: Cow<'a, str>,
    did: Cow<'a, str>,
    space: Option<Cow<'a, str>>,
}

/// The parameters of a request, in order.
#[derive(Debug, Clone)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(query: &str) -> Self {
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The same query, without the parameters named and with the others appended.
    pub(crate) fn rewrite(&self, without: &[&str], with: &[(&str, &str)]) -> String {
        let kept = self
            .0
            .iter()
            .filter(|(key, _)| !without.contains(&key.as_str()));
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept)
            .extend_pairs(with)
            .finish()
    }
}

impl Query {
    /// Reads the parameters; `None` when neither `spaceUri` nor `actor` is given.
    pub(crate) fn parse(
        collection: &'static Collection,
        params: &Params,
        max_limit: usize,
    ) -> Option<Self> {
        let given = |name: &str| params.get(name).filter(|value| !value.is_empty());
        let scope = match (given("spaceUri"), given("actor")) {
            (Some(uri), _) => Scope::Space(uri.to_owned()),
            (None, Some(did)) => Scope::Actor(did.to_owned()),
            (None, None) => return None,
        };
        let children = |relation: &'static Relation| {
            let n: usize = params.get(&hydrate_param(relation.name))?.parse().ok()?;
            (n > 0).then_some((relation, n.min(MAX_CHILDREN)))
        };
        let wanted = |reference: &&'static Reference| {
            matches!(
                params.get(&hydrate_param(reference.name)),
                Some("true" | "1")
            )
        };
        let limit: Option<i64> = given("limit").and_then(|limit| limit.parse().ok());
        let limit = usize::try_from(limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(0);
        let limit = limit.clamp(1, max_limit.max(1));
        let filters = collection.filters.iter();
        Some(Self {
            collection,
            scope,
            relations: collection.relations.iter().filter_map(children).collect(),
            references: collection.references.iter().filter(wanted).collect(),
            limit,
            cursor: given("cursor").and_then(Position::decode),
            sort: given("sort")
                .filter(|sort| *sort != "time_us")
                .map(str::to_owned),
            ascending: given("order") == Some("asc"),
            filters: filters
                .filter_map(|(name, path)| Some((*path, params.get(name)?.to_owned())))
                .collect(),
        })
    }

    /// What a ticket for this query is bound to.
    pub(crate) fn spec(&self) -> QuerySpec {
        let (space_uri, actor) = match &self.scope {
            Scope::Space(uri) => (Some(uri.clone()), None),
            Scope::Actor(did) => (None, Some(did.clone())),
        };
        QuerySpec {
            collection: self.collection.nsid.into(),
            space_uri,
            actor,
            hydrate: hydrate_specs(self.relations.iter().map(|(relation, _)| *relation)),
        }
    }

    /// Reads the page.
    pub(crate) fn run(&self, world: &World) -> Page {
        let nsid = self.collection.nsid;
        let mut records = match &self.scope {
            Scope::Space(uri) => world.in_space(uri, nsid),
            Scope::Actor(did) => world.everywhere(nsid, |record| record.did == *did),
        };
        records.retain(|record| self.keeps(record));
        let mut ordered: Vec<_> = records
            .iter()
            .map(|record| (self.position(record), record))
            .filter(|(position, _)| {
                let cursor = self.cursor.as_ref();
                cursor.is_none_or(|cursor| self.order(cursor, position).is_lt())
            })
            .collect();
        ordered.sort_by(|(a, _), (b, _)| self.order(a, b));
        let more = ordered.len() > self.limit;
        ordered.truncate(self.limit);
        let last = ordered.last().filter(|_| more);
        Page {
            cursor: last.map(|(position, _)| position.encode()),
            records: ordered
                .into_iter()
                .map(|(_, record)| record.clone())
                .collect(),
        }
    }

    fn keeps(&self, record: &Record) -> bool {
        self.filters.iter().all(|(path, wanted)| {
            at_path(&record.value, path).is_some_and(|value| match value {
                Value::String(text) => text == wanted,
                other => serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| *other == wanted),
            })
        })
    }

    fn position<'a>(&self, record: &'a Record) -> Position<'a> {
        let field = self.sort.as_deref().and_then(|sort| match sort {
            "rkey" => Some(Cow::Owned(Value::String(record.rkey.clone()))),
            path => at_path(&record.value, path.strip_prefix("value.").unwrap_or(path))
                .map(Cow::Borrowed),
        });
        Position {
            field,
            created_ms: record.created_ms,
            rkey: Cow::Borrowed(&record.rkey),
            did: Cow::Borrowed(&record.did),
            space: record.space.as_deref().map(Cow::Borrowed),
        }
    }

    fn order(&self, a: &Position<'_>, b: &Position<'_>) -> Ordering {
        let ascending = a.compare(b);
        if self.ascending {
            ascending
        } else {
            ascending.reverse()
        }
    }
}

/// The live side of these relations, as tickets carry it.
pub(crate) fn hydrate_specs(
    relations: impl Iterator<Item = &'static Relation>,
) -> BTreeMap<String, HydrateSpec> {
    let spec = |relation: &Relation| HydrateSpec {
        child_collection: relation.child.into(),
        match_field: relation.field.into(),
        match_mode: (relation.matches == Match::Did).then(|| "did".into()),
    };
    relations
        .map(|relation| (relation.name.to_owned(), spec(relation)))
        .collect()
}

impl Position<'_> {
    fn compare(&self, other: &Position<'_>) -> Ordering {
        let field = match (self.field.as_deref(), other.field.as_deref()) {
            (Some(Value::Number(a)), Some(Value::Number(b))) => {
                let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
                a.total_cmp(&b)
            }
            (Some(Value::String(a)), Some(Value::String(b))) => a.cmp(b),
            (None, None) => Ordering::Equal,
            (a, b) => a.map(Value::to_string).cmp(&b.map(Value::to_string)),
        };
        field
            .then_with(|| self.created_ms.cmp(&other.created_ms))
            .then_with(|| self.rkey.cmp(&other.rkey))
            .then_with(|| self.did.cmp(&other.did))
            .then_with(|| self.space.cmp(&other.space))
    }

    fn encode(&self) -> String {
        serde_json::to_vec(self)
            .map(|json| crate::ticket::base64(&json))
            .unwrap_or_default()
    }

    /// A cursor that is none of ours is as good as none.
    fn decode(cursor: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
    }
}
