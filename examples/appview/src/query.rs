//! One query: its parameters, as the real server reads them.

use std::collections::BTreeMap;

use crate::page::{Cursor, Filter, Sort, Ties};
use crate::schema::{Collection, Reference, Relation, hydrate_param};
use crate::ticket::{HydrateSpec, QuerySpec};

const DEFAULT_LIMIT: i64 = 50;
/// Most records of one page, on the real server.
pub(crate) const MAX_LIMIT: usize = 200;
/// Most children a relation is hydrated with, per group.
const MAX_CHILDREN: i64 = 50;

/// A parsed query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) collection: &'static Collection,
    /// What it ranges over, if anything is named. An `actor` beside a space only filters.
    pub(crate) scope: Option<Scope>,
    /// Whose records alone.
    pub(crate) author: Option<String>,
    pub(crate) relations: Vec<(&'static Relation, usize)>,
    pub(crate) references: Vec<&'static Reference>,
    pub(crate) limit: usize,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) sort: Sort,
    pub(crate) filters: Vec<Filter>,
    pub(crate) ties: Ties,
}

/// What a query names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One space.
    Space(String),
    /// One author.
    Actor(String),
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

    /// The first of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Unless it is empty.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The number that it begins with.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        leading_number(self.given(name)?)
    }

    /// The same query without one parameter, and with others in the place where they were, or else at the end.
    pub(crate) fn rewrite(&self, without: &str, with: &[(&str, &str)]) -> String {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for (key, value) in self.0.iter().filter(|(key, _)| key != without) {
            match with.iter().find(|(name, _)| name == key) {
                // Of several with the name, one is left.
                Some((name, _)) if pairs.iter().any(|(known, _)| known == name) => {}
                Some(set) => pairs.push(*set),
                None => pairs.push((key, value)),
            }
        }
        for set in with {
            if !pairs.iter().any(|(known, _)| *known == set.0) {
                pairs.push(*set);
            }
        }
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    }
}

/// `2.9` is 2, `7up` is 7, `up` is nothing.
fn leading_number(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit());
    let end = text.len() - digits.len() + end.unwrap_or(digits.len());
    text[..end].parse().ok()
}

impl Query {
    /// Reads the parameters.
    pub(crate) fn parse(
        collection: &'static Collection,
        params: &Params,
        max_limit: usize,
    ) -> Self {
        let actor = params.given("actor");
        let author = actor.or_else(|| params.given("did"));
        let space = params.given("spaceUri");
        let scope = match (space, actor) {
            (Some(uri), _) => Some(Scope::Space(uri.to_owned())),
            (None, Some(did)) => Some(Scope::Actor(did.to_owned())),
            (None, None) => None,
        };
        let children = |relation: &'static Relation| {
            let n = params.number(&hydrate_param(relation.name))?;
            let n = usize::try_from(n.min(MAX_CHILDREN)).ok()?;
            (n > 0).then_some((relation, n))
        };
        let wanted = |reference: &&'static Reference| {
            matches!(
                params.get(&hydrate_param(reference.name)),
                Some("true" | "1")
            )
        };
        let limit = params.number("limit").unwrap_or(DEFAULT_LIMIT);
        let limit = usize::try_from(limit).unwrap_or(0);
        Self {
            collection,
            scope,
            author: author.map(str::to_owned),
            relations: collection.relations.iter().filter_map(children).collect(),
            references: collection.references.iter().filter(wanted).collect(),
            limit: limit.clamp(1, max_limit.max(1)),
            cursor: params.given("cursor").and_then(Cursor::decode),
            sort: Sort::parse(collection, params),
            filters: Filter::parse(collection, params),
            ties: Ties::ByAge,
        }
    }

    /// The same query as today's contrail reads it: spaces and tickets mean nothing to it.
    pub(crate) fn of_lists(self) -> Self {
        Self {
            ties: Ties::ByUri,
            scope: None,
            ..self
        }
    }

    /// What a ticket for this query is bound to.
    pub(crate) fn spec(&self) -> QuerySpec {
        let (space_uri, actor) = match self.scope.clone() {
            Some(Scope::Space(uri)) => (Some(uri), None),
            Some(Scope::Actor(did)) => (None, Some(did)),
            None => (None, None),
        };
        let hydrated = self.relations.iter().map(|(relation, _)| *relation);
        QuerySpec {
            collection: self.collection.nsid.into(),
            space_uri,
            actor,
            hydrate: hydrate_specs(hydrated),
        }
    }
}

/// The live side of these relations, as tickets carry it: without a word on which relations match by did.
fn hydrate_specs(
    relations: impl Iterator<Item = &'static Relation>,
) -> BTreeMap<String, HydrateSpec> {
    let spec = |relation: &Relation| HydrateSpec {
        child_collection: relation.child.into(),
        match_field: relation.field.into(),
    };
    relations
        .map(|relation| (relation.name.to_owned(), spec(relation)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        let read = [
            ("12", Some(12)),
            ("2.9", Some(2)),
            ("-5", Some(-5)),
            ("7up", Some(7)),
            (" 3", Some(3)),
            ("up", None),
            ("-", None),
            ("", None),
        ];
        for (text, number) in read {
            assert_eq!(leading_number(text), number, "{text:?}");
        }
    }

    #[test]
    fn a_parameter_is_rewritten_where_it_stands() {
        let params = Params::parse("a=1&mode=ws&ticket=old&cursor=c");
        let with = [("ticket", "new"), ("sinceTs", "9")];
        assert_eq!(
            params.rewrite("mode", &with),
            "a=1&ticket=new&cursor=c&sinceTs=9"
        );
    }
}
