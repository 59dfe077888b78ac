//! Which records a watch shows: equality on fields of the body.

use serde_json::Value;

use super::path::Path;
use crate::pure::protocol::record::Record;

/// Conditions that all have to hold. Without one, every record matches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter(Vec<(Path, Value)>);

impl Filter {
    /// Matches records whose bodies have, at each path, this text, number, boolean or `null`.
    pub fn new(conditions: Vec<(Path, Value)>) -> Self {
        Self(conditions)
    }

    /// Whether a record belongs to the watch. A field that is not there equals nothing, `null` included.
    pub fn matches(&self, record: &Record) -> bool {
        self.0.iter().all(|(path, wanted)| {
            let found = path.scalar(&record.value);
            found.is_some_and(|found| same(&found, wanted))
        })
    }
}

/// 1 and 1.0 are the same number, as they are to a page.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conditions_have_to_hold() {
        let record = |value: &str| -> Record {
            let json = format!(r#"{{"uri":"at://d/c/r","time_us":1,"value":{value}}}"#);
            serde_json::from_str(&json).unwrap()
        };
        let filter = Filter::new(vec![
            (Path::parse("value.room").unwrap(), "A".into()),
            (Path::parse("value.n").unwrap(), 1.into()),
        ]);
        assert!(filter.matches(&record(r#"{"room":"A","n":1.0}"#)));
        for other in [
            r#"{"room":"B","n":1}"#,
            r#"{"room":"A"}"#,
            r#"{"room":["A"],"n":1}"#,
            "7",
        ] {
            assert!(!filter.matches(&record(other)), "{other}");
        }
        assert!(Filter::default().matches(&record("7")));
    }
}
