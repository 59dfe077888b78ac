//! What a watch's records are sorted by.

use std::cmp::Ordering;

use serde_json::Value;

use super::{entry::Entry, path::Path, record::Record};

/// The order of a watch's records. It is total: (space, URI) decides where all else agrees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Sort {
    /// What is compared first.
    pub by: SortBy,
    /// Whether the smallest comes first. By creation time or record key, ties are turned around too; by a field of the
    /// body they stay newest first.
    pub ascending: bool,
}

/// What is compared first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum SortBy {
    /// Creation time, then record key.
    #[default]
    TimeUs,
    /// Record key, then creation time.
    Rkey,
    /// A field of the body: numbers before texts (by code points) before booleans. Records without one come last in either
    /// direction. Ties are newest first.
    Value(Path),
}

/// What of a record's body the order needs, read once.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SortValue {
    /// The order does not look into bodies, or there is nothing to compare.
    None,
    Number(f64),
    Text(Box<str>),
    Bool(bool),
}

impl Sort {
    /// What `record` is compared by.
    pub(super) fn value(&self, record: &Record) -> SortValue {
        let SortBy::Value(path) = &self.by else {
            return SortValue::None;
        };
        match path.scalar(&record.value) {
            Some(Value::String(text)) => SortValue::Text(text.into()),
            Some(Value::Bool(it)) => SortValue::Bool(it),
            Some(Value::Number(number)) => {
                number.as_f64().map_or(SortValue::None, SortValue::Number)
            }
            _ => SortValue::None,
        }
    }

    /// The first 64 bits of the comparison: where they differ, they decide.
    pub(super) fn prefix(&self, entry: &Entry) -> u64 {
        let bits = match &self.by {
            SortBy::TimeUs => ordered_int(entry.record.time_us),
            SortBy::Rkey => first_bytes(entry.record.rkey()),
            SortBy::Value(_) => match &entry.sort_value {
                // After all others, whatever the direction.
                SortValue::None => return u64::MAX,
                SortValue::Number(number) => ordered_float(*number) >> 2,
                SortValue::Text(text) => (1 << 62) | (first_bytes(text) >> 2),
                SortValue::Bool(it) => (2 << 62) | u64::from(*it),
            },
        };
        if self.ascending { bits } else { !bits }
    }

    /// Whether two versions of one record stand at one place.
    pub(super) fn is_same_place(&self, a: &Entry, b: &Entry) -> bool {
        self.prefix(a) == self.prefix(b) && self.compare(a, b).is_eq()
    }

    /// The order of two entries.
    pub(super) fn compare(&self, a: &Entry, b: &Entry) -> Ordering {
        let directed = |order: Ordering| {
            if self.ascending {
                order
            } else {
                order.reverse()
            }
        };
        let oldest_first = || {
            let (a, b) = (&a.record, &b.record);
            let time = || a.time_us.cmp(&b.time_us);
            let rkey = || a.rkey().cmp(b.rkey());
            let first = match self.by {
                SortBy::Rkey => rkey().then_with(time),
                _ => time().then_with(rkey),
            };
            let rest = || {
                a.uri
                    .as_str()
                    .cmp(b.uri.as_str())
                    .then_with(|| a.space.cmp(&b.space))
            };
            first.then_with(rest)
        };
        match &self.by {
            SortBy::TimeUs | SortBy::Rkey => directed(oldest_first()),
            SortBy::Value(_) => {
                let missing = |entry: &Entry| entry.sort_value == SortValue::None;
                missing(a)
                    .cmp(&missing(b))
                    .then_with(|| directed(a.sort_value.compare(&b.sort_value)))
                    .then_with(|| oldest_first().reverse())
            }
        }
    }
}

impl SortValue {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            _ => self.class().cmp(&other.class()),
        }
    }

    fn class(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Text(_) => 1,
            Self::Bool(_) => 2,
            Self::None => 3,
        }
    }
}

/// Bits that order as the numbers do.
fn ordered_int(number: i64) -> u64 {
    number.cast_unsigned() ^ (1 << 63)
}

fn ordered_float(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | (1 << 63)
    }
}

fn first_bytes(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let n = text.len().min(8);
    bytes[..n].copy_from_slice(&text.as_bytes()[..n]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sort: &Sort, rkey: &str, time_us: i64, value: &str) -> Entry {
        let json = format!(r#"{{"uri":"at://d/c/{rkey}","time_us":{time_us},"value":{value}}}"#);
        Entry::confirmed_with(0, serde_json::from_str(&json).unwrap(), false, sort)
    }

    fn sorted(sort: &Sort, rows: &[(&str, i64, &str)]) -> Vec<String> {
        let mut entries: Vec<Entry> = rows
            .iter()
            .map(|it| entry(sort, it.0, it.1, it.2))
            .collect();
        entries.sort_by(|a, b| sort.compare(a, b));
        // The shortcut never says otherwise.
        assert!(entries.is_sorted_by_key(|it| sort.prefix(it)));
        entries
            .iter()
            .map(|it| it.record.rkey().to_string())
            .collect()
    }

    const T: i64 = 1_795_432_906_000_000;

    #[test]
    fn records_are_sorted_by_time_or_rkey_in_both_directions() {
        let rows = [
            ("b", T, "0"),
            ("a", T, "0"),
            ("c", T + 1, "0"),
            ("d", -5, "0"),
        ];
        let sort = |by, ascending| Sort { by, ascending };
        assert_eq!(sorted(&Sort::default(), &rows), ["c", "b", "a", "d"]);
        assert_eq!(
            sorted(&sort(SortBy::TimeUs, true), &rows),
            ["d", "a", "b", "c"]
        );
        assert_eq!(
            sorted(&sort(SortBy::Rkey, true), &rows),
            ["a", "b", "c", "d"]
        );
        assert_eq!(
            sorted(&sort(SortBy::Rkey, false), &rows),
            ["d", "c", "b", "a"]
        );
    }

    #[test]
    fn a_field_of_the_body_sorts_numbers_texts_booleans_and_nothing_last() {
        let rows = [
            ("none", T, "{}"),
            ("ten", T, r#"{"x":10}"#),
            ("minus", T, r#"{"x":-1.5}"#),
            ("nine", T, r#"{"x":9}"#),
            ("text", T, r#"{"x":"a long text, alike"}"#),
            ("text2", T, r#"{"x":"a long text, alike!"}"#),
            ("yes", T, r#"{"x":true}"#),
            ("newer", T + 1, r#"{"x":9}"#),
        ];
        let by = || SortBy::Value(Path::parse("value.x").unwrap());
        let up = Sort {
            by: by(),
            ascending: true,
        };
        let down = Sort {
            by: by(),
            ascending: false,
        };
        assert_eq!(
            sorted(&up, &rows),
            [
                "minus", "newer", "nine", "ten", "text", "text2", "yes", "none"
            ]
        );
        assert_eq!(
            sorted(&down, &rows),
            [
                "yes", "text2", "text", "ten", "newer", "nine", "minus", "none"
            ]
        );
    }
}
