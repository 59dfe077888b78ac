//! How the children of a relation are grouped: by a field of their bodies, whose value names the group. No event says by
//! which; what the server has shown does.

use serde_json::value::RawValue;

use crate::pure::protocol::json::each_field;

/// The group of children that have no value in the field.
const OTHER: &str = r#""other""#;
/// Fields that may be the one. A body with more of the same value tells nothing.
const MAX_FIELDS: usize = 16;
/// Longest path to such a field, in bytes.
const MAX_PATH: usize = 512;
/// Deepest path to it.
const MAX_LEVELS: usize = 4;

/// How a relation is grouped, as far as the server has shown it.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    /// Whether it is; `None` if no snapshot has shown it yet.
    pub(super) is_grouped: Option<bool>,
    /// Paths of the fields whose values named the groups of all children shown; `None` if there were none.
    fields: Option<Vec<String>>,
}

impl Grouping {
    /// The server showed a child in this group.
    pub(super) fn learn(&mut self, group: &str, body: Option<&RawValue>) {
        let Some(body) = body.filter(|it| it.get().starts_with('{')) else {
            return;
        };
        if let Some(fields) = &mut self.fields {
            fields.retain(|it| group_by(body, it) == group);
            return;
        }
        if group == OTHER {
            return;
        }
        let mut naming = Vec::new();
        each_leaf(body, &mut |path, value| {
            if value == group && path.len() <= MAX_PATH && naming.len() <= MAX_FIELDS {
                naming.push(path.to_owned());
            }
        });
        if naming.len() <= MAX_FIELDS {
            self.fields = Some(naming);
        }
    }

    /// What contradicts itself is learned anew.
    pub(super) fn forget_contradictions(&mut self) {
        self.fields = self.fields.take().filter(|it| !it.is_empty());
    }

    /// The name of a child's group, as JSON; `None` if that cannot be told.
    pub(super) fn group_of(&self, body: Option<&RawValue>) -> Option<String> {
        let body = body.filter(|it| it.get().starts_with('{'))?;
        let mut groups = self.fields.iter().flatten().map(|it| group_by(body, it));
        let group = groups.next()?;
        groups.all(|it| it == group).then_some(group)
    }
}

fn group_by(body: &RawValue, field: &str) -> String {
    let mut group = OTHER.to_owned();
    each_leaf(body, &mut |path, value| {
        if path == field {
            value.clone_into(&mut group);
        }
    });
    group
}

/// Calls `each` with the path and the value of every text, number and truth value of a body; the value as a JSON string,
/// as the name of a group is one.
fn each_leaf(body: &RawValue, each: &mut impl FnMut(&str, &str)) {
    leaves(body, &mut String::new(), MAX_LEVELS, each);
}

fn leaves(object: &RawValue, path: &mut String, levels: usize, each: &mut impl FnMut(&str, &str)) {
    each_field(object, |name, value| {
        let above = path.len();
        path.push_str(name);
        match value.get() {
            text if text.starts_with('"') => each(path, text),
            text if text.starts_with('{') && levels > 1 => leaves(value, path, levels - 1, each),
            text if text.starts_with(['{', '[', 'n']) => {}
            text => each(path, &format!("\"{text}\"")),
        }
        path.truncate(above);
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn learned(children: &[(&str, &str)]) -> Grouping {
        let mut grouping = Grouping::default();
        for (group, json) in children {
            grouping.learn(group, Some(&body(json)));
        }
        grouping
    }

    fn group(grouping: &Grouping, json: &str) -> Option<String> {
        grouping.group_of(Some(&body(json)))
    }

    #[test]
    fn a_group_that_was_never_seen_is_told_by_the_field_that_named_the_others() {
        let grouping = learned(&[(r#""x#a""#, r#"{"status":"x#a","n":1,"by":"bob"}"#)]);
        assert_eq!(
            group(&grouping, r#"{"status":"x#b"}"#).as_deref(),
            Some(r#""x#b""#)
        );
        for none in [r#"{"by":"eve"}"#, r#"{"status":null}"#, r#"{"status":[1]}"#] {
            assert_eq!(group(&grouping, none).as_deref(), Some(OTHER), "{none}");
        }
        assert_eq!(group(&grouping, "7"), None);
        assert_eq!(grouping.group_of(None), None);
    }

    #[test]
    fn numbers_nested_fields_and_half_an_emoji_name_groups_too() {
        let nested = learned(&[(r#""5""#, r#"{"rating":{"stars":5}}"#)]);
        assert_eq!(
            group(&nested, r#"{"rating":{"stars":4}}"#).as_deref(),
            Some(r#""4""#)
        );
        let half = learned(&[(r#""\ud83d""#, r#"{"e":"\ud83d","t":"\ud83d\ud83d"}"#)]);
        assert_eq!(group(&half, r#"{"e":"+"}"#).as_deref(), Some(r#""+""#));
    }

    #[test]
    fn fields_that_agree_by_chance_are_told_apart_by_further_children() {
        let mut grouping = learned(&[(r#""a""#, r#"{"status":"a","name":"a"}"#)]);
        assert_eq!(group(&grouping, r#"{"status":"a","name":"b"}"#), None);
        assert_eq!(
            group(&grouping, r#"{"status":"b","name":"b"}"#).as_deref(),
            Some(r#""b""#)
        );
        grouping.learn(r#""b""#, Some(&body(r#"{"status":"b","name":"x"}"#)));
        assert_eq!(
            group(&grouping, r#"{"status":"a","name":"b"}"#).as_deref(),
            Some(r#""a""#)
        );
    }

    #[test]
    fn where_no_field_names_the_groups_nothing_is_told_until_it_is_learned_anew() {
        let mut grouping = learned(&[(r#""love""#, r#"{"status":"x#love"}"#)]);
        assert_eq!(group(&grouping, r#"{"status":"x#love"}"#), None);
        grouping.learn(r#""a""#, Some(&body(r#"{"status":"a"}"#)));
        assert_eq!(group(&grouping, r#"{"status":"a"}"#), None);
        grouping.forget_contradictions();
        grouping.learn(r#""a""#, Some(&body(r#"{"status":"a"}"#)));
        grouping.learn(OTHER, Some(&body(r#"{"status":"b"}"#)));
        assert_eq!(group(&grouping, r#"{"status":"a"}"#), None);
        assert_eq!(Grouping::default().group_of(Some(&body("{}"))), None);
    }
}
