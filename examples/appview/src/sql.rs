//! Values as the real server's database compares them.

use std::cmp::Ordering;

use serde_json::Value;

use crate::schema::at_path;

/// What a path of a JSON body is to SQLite. Everything of one kind sorts before everything of the next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sql {
    Null,
    Number(f64),
    Text(String),
}

impl Sql {
    /// As `json_extract` gives it.
    pub(crate) fn extract(body: &Value, path: &str) -> Self {
        match at_path(body, path) {
            None | Some(Value::Null) => Self::Null,
            Some(Value::Bool(yes)) => Self::Number(f64::from(u8::from(*yes))),
            Some(Value::Number(number)) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            Some(Value::String(text)) => Self::Text(text.clone()),
            Some(json) => Self::Text(json.to_string()),
        }
    }

    /// For `ORDER BY`.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    /// For `WHERE`: nothing compares with NULL.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        let is_known = !matches!((self, other), (Self::Null, _) | (_, Self::Null));
        is_known.then(|| self.order(other))
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_never_equals_text_and_sorts_before_it() {
        let body = json!({ "n": 5, "yes": true, "none": null, "text": "5", "list": [1] });
        let [n, yes, none, text, list] =
            ["n", "yes", "none", "text", "list"].map(|path| Sql::extract(&body, path));
        assert_eq!(n.compare(&text), Some(Ordering::Less));
        assert_eq!(yes, Sql::Number(1.0));
        assert_eq!(
            (none.compare(&none), none.order(&n)),
            (None, Ordering::Less)
        );
        assert_eq!(list, Sql::Text("[1]".into()));
    }
}
