//! The page of records that a query answers: filters, order and cursors, with the faults of the real server's.

use std::cmp::Ordering;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::query::{Params, Query};
use crate::record::Record;
use crate::schema::{Collection, Counted, Relation};
use crate::sql::Sql;

/// What a query is ordered by; then, always, by time, the latest first. Nothing decides between equal times.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sort {
    Time,
    Field { path: &'static str, ascending: bool },
    Count { counted: Counted, ascending: bool },
}

impl Sort {
    /// An unknown one is ignored, and so is an `order` alone.
    pub(crate) fn parse(collection: &Collection, params: &Params) -> Self {
        let Some(named) = params.given("sort") else {
            return Self::Time;
        };
        let ascending = |default| match params.get("order") {
            Some("asc") => true,
            Some("desc") => false,
            _ => default,
        };
        let field = collection.queryable.iter().find(|it| it.param == named);
        if let Some(field) = field {
            return Self::Field {
                path: field.path,
                ascending: ascending(!field.is_range),
            };
        }
        let mut counters = collection.relations.iter().flat_map(Relation::counters);
        match counters.find(|counter| counter.name == named) {
            Some(counter) => Self::Count {
                counted: counter.counted,
                ascending: ascending(false),
            },
            None => Self::Time,
        }
    }

    /// How cursors name it: one of another sort is as good as none.
    fn kind(&self) -> String {
        match self {
            Self::Time => "time".to_owned(),
            Self::Field { path, .. } => format!("field:{path}"),
            Self::Count { counted, .. } => format!("count:{}", counted.1.unwrap_or(counted.0)),
        }
    }

    fn key(&self, record: &Record) -> Sql {
        match self {
            Self::Time => Sql::Null,
            Self::Field { path, .. } => Sql::extract(&record.value, path),
            Self::Count { counted, .. } => Sql::Number(count_of(record, *counted)),
        }
    }

    fn directed(&self, ascending: Ordering) -> Ordering {
        match self {
            Self::Field { ascending: up, .. } | Self::Count { ascending: up, .. } if *up => {
                ascending
            }
            _ => ascending.reverse(),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no record has that many children"
)]
fn count_of(record: &Record, counted: Counted) -> f64 {
    record.counts.get(&counted).copied().unwrap_or(0) as f64
}

/// What a record must meet to be in a snapshot.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    /// The body's field in this relation to a text: numbers are never equal to it, and smaller.
    Field(&'static str, Wanted, String),
    /// At least so many children.
    Count(Counted, i64),
}

/// How a field has to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Equal,
    AtLeast,
    AtMost,
}

impl Filter {
    pub(crate) fn parse(collection: &Collection, params: &Params) -> Vec<Self> {
        let mut filters = Vec::new();
        for field in collection.queryable {
            let bounds = if field.is_range {
                &[("Min", Wanted::AtLeast), ("Max", Wanted::AtMost)][..]
            } else {
                &[("", Wanted::Equal)]
            };
            for (suffix, wanted) in bounds {
                let text = params.given(&format!("{}{suffix}", field.param));
                filters.extend(text.map(|text| Self::Field(field.path, *wanted, text.to_owned())));
            }
        }
        for counter in collection.relations.iter().flat_map(Relation::counters) {
            let least = params.number(&format!("{}Min", counter.name));
            filters.extend(least.map(|least| Self::Count(counter.counted, least)));
        }
        filters
    }

    fn keeps(&self, record: &Record) -> bool {
        match self {
            Self::Field(path, wanted, text) => {
                let found = Sql::extract(&record.value, path);
                let compared = found.compare(&Sql::Text(text.clone()));
                compared.is_some_and(|order| match wanted {
                    Wanted::Equal => order.is_eq(),
                    Wanted::AtLeast => order.is_ge(),
                    Wanted::AtMost => order.is_le(),
                })
            }
            Self::Count(counted, least) => {
                let count = record.counts.get(counted).copied().unwrap_or(0);
                i64::try_from(count).unwrap_or(i64::MAX) >= *least
            }
        }
    }
}

/// What decides between records of the very same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ties {
    /// Which was written first; a page ends behind all of them.
    ByAge,
    /// Their URIs, ascending.
    ByUri,
}

/// Where a page ends: behind everything that sorts and ties with its last record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Time of the last record.
    t: i64,
    /// What it was sorted by: a field as text, whatever it was in the body, or a count.
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<Value>,
    /// The URI of the last record, where URIs decide between equal times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    u: Option<String>,
    /// Of which sort.
    k: String,
}

impl Cursor {
    fn encode(&self) -> String {
        serde_json::to_vec(self)
            .map(|json| crate::ticket::base64(&json))
            .unwrap_or_default()
    }

    /// A cursor that is none of ours is as good as none.
    pub(crate) fn decode(cursor: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()
    }

    fn after(last: &Row, sort: &Sort, ties: Ties) -> Self {
        let v = match (sort, &last.key) {
            (Sort::Time, _) => None,
            (_, Sql::Null) => Some(Value::from("")),
            (_, Sql::Text(text)) => Some(Value::from(text.as_str())),
            (Sort::Count { .. }, Sql::Number(n)) => Some(whole(*n)),
            (Sort::Field { .. }, Sql::Number(n)) => Some(Value::from(n.to_string())),
        };
        Self {
            t: last.time,
            v,
            u: (ties == Ties::ByUri).then(|| last.record.uri()),
            k: sort.kind(),
        }
    }

    fn value(&self) -> Sql {
        match &self.v {
            Some(Value::Number(number)) => Sql::Number(number.as_f64().unwrap_or(0.0)),
            Some(Value::String(text)) => Sql::Text(text.clone()),
            _ => Sql::Text(String::new()),
        }
    }

    /// Is the row on a later page?
    fn is_before(&self, row: &Row, sort: &Sort) -> bool {
        let tied =
            || row.time == self.t && self.u.as_ref().is_some_and(|it| row.record.uri() > *it);
        let earlier = row.time < self.t || tied();
        if *sort == Sort::Time {
            return earlier;
        }
        let order = row.key.compare(&self.value()).map(|it| sort.directed(it));
        order.is_some_and(|order| order.is_gt() || (order.is_eq() && earlier))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a count")]
fn whole(n: f64) -> Value {
    Value::from(n as i64)
}

/// A record that may be on the page.
struct Row {
    key: Sql,
    time: i64,
    record: Arc<Record>,
}

/// The records of one page with the times that they are told with, and where the next page begins.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) records: Vec<(Arc<Record>, i64)>,
    pub(crate) cursor: Option<String>,
}

impl Query {
    /// The page of these records; `time` is the one that a record is told with. Times are compared as they are, so that
    /// everything public, in microseconds, comes before everything of a space.
    pub(crate) fn page(&self, records: Vec<Arc<Record>>, time: impl Fn(&Record) -> i64) -> Page {
        let sort = &self.sort;
        let cursor = self.cursor.as_ref().filter(|it| it.k == sort.kind());
        let mut rows: Vec<_> = records
            .into_iter()
            .filter(|record| self.keeps(record))
            .map(|record| Row {
                key: sort.key(&record),
                time: time(&record),
                record,
            })
            .filter(|row| cursor.is_none_or(|cursor| cursor.is_before(row, sort)))
            .collect();
        rows.sort_by(|a, b| {
            let by_key = sort.directed(a.key.order(&b.key));
            let by_time = by_key.then_with(|| b.time.cmp(&a.time));
            by_time.then_with(|| match self.ties {
                Ties::ByAge => a.record.row.cmp(&b.record.row),
                Ties::ByUri => a.record.uri().cmp(&b.record.uri()),
            })
        });
        rows.truncate(self.limit);
        let last = rows.last().filter(|_| rows.len() == self.limit);
        Page {
            cursor: last.map(|last| Cursor::after(last, sort, self.ties).encode()),
            records: rows.into_iter().map(|row| (row.record, row.time)).collect(),
        }
    }

    fn keeps(&self, record: &Record) -> bool {
        let by = self.author.as_ref();
        by.is_none_or(|author| record.did == *author)
            && self.filters.iter().all(|filter| filter.keeps(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_written_as_recorded() {
        let recorded = "eyJ0IjoxNzk1NDMyOTE2MTU2LCJrIjoidGltZSJ9";
        let cursor = Cursor::decode(recorded).unwrap();
        assert_eq!((cursor.t, cursor.k.as_str()), (1_795_432_916_156, "time"));
        assert_eq!(cursor.encode(), recorded);
        assert_eq!(Cursor::decode("not one of ours"), None);
    }
}
