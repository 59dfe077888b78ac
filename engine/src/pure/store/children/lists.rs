//! Children of hydrated relations inside a parent record.
//!
//! A relation is an array of children or, for grouped relations, an object `{group: [children]}`; a parent
//! without children has no key for it. Children are told apart by (did, rkey): rkeys alone collide.

use serde_json::{Map, Value, value::to_raw_value};

use crate::pure::{
    protocol::{
        record::{Record, split_at_uri},
        wire::{ChildAdded, ChildRemoved},
    },
    store::change::Unknowable,
};

/// A child as `hydration.added` tells it.
pub(super) struct Child<'a> {
    relation: &'a str,
    value: Value,
}

/// A parent with a child more, or with another version of it.
pub(super) struct Added {
    /// The parent as it is now.
    pub parent: Record,
    /// Whether that is certain: a child that is not in sight may be one of those that the query left out.
    pub certain: bool,
}

impl<'a> Child<'a> {
    /// Reads the event.
    pub(super) fn read(added: &'a ChildAdded) -> Result<Self, Unknowable> {
        let mut value: Value = parse(added.child.get())?;
        if let Some(child) = value.as_object_mut() {
            body_under_value(child);
        }
        Ok(Self {
            relation: &added.relation,
            value,
        })
    }

    /// The space it lives in, where it says so: its parent's too.
    pub(super) fn space(&self) -> Option<&str> {
        self.value["space"].as_str()
    }

    /// What takes it away from another parent; `None` for a child that cannot be told from others.
    pub(super) fn removal(&self) -> Option<ChildRemoved> {
        let (did, rkey) = identity(&self.value);
        Some(ChildRemoved {
            parent_uri: String::new(),
            relation: self.relation.to_owned(),
            child_rkey: rkey?.to_owned(),
            child_did: Some(did?.to_owned()),
        })
    }
}

/// Whether a parent URI stands for every record of its DID.
pub(super) fn stands_for_all(uri: &str) -> bool {
    split_at_uri(uri).is_some_and(|(_, _, rkey)| rkey == "_")
}

/// The parent with the child added or changed.
pub(super) fn add(parent: &Record, child: &Child) -> Result<Added, Unknowable> {
    let relation = child.relation;
    let mut children = match parent.extra(relation) {
        Some(raw) => parse(raw.get())?,
        None => Value::Array(Vec::new()),
    };
    let in_sight = count(&children);
    let is_new = match &mut children {
        Value::Array(list) => put(list, child.value.clone()),
        Value::Object(groups) => put_grouped(groups, child.value.clone())?,
        _ => return Err(Unknowable::Ambiguous),
    };
    let hidden = counted(parent, relation).is_some_and(|all| all > in_sight);
    let step = if is_new { 1 } else { 0 };
    Ok(Added {
        parent: changed(parent, relation, children, step)?,
        certain: !(is_new && hidden),
    })
}

/// The parent without the child; `None` if it was not there.
pub(super) fn remove(
    parent: &Record,
    removed: &ChildRemoved,
) -> Result<Option<Record>, Unknowable> {
    let Some(raw) = parent.extra(&removed.relation) else {
        return Ok(None);
    };
    let mut children: Value = parse(raw.get())?;
    let is_it = |child: &Value| {
        let (did, rkey) = identity(child);
        rkey == Some(&removed.child_rkey)
            && (removed.child_did.is_none() || did == removed.child_did.as_deref())
    };
    let before = count(&children);
    match &mut children {
        Value::Array(list) => list.retain(|child| !is_it(child)),
        Value::Object(groups) => {
            for list in groups.values_mut().filter_map(Value::as_array_mut) {
                list.retain(|child| !is_it(child));
            }
        }
        _ => return Err(Unknowable::Ambiguous),
    }
    match before - count(&children) {
        0 => Ok(None),
        // Without a DID the event fits several: which one went?
        gone if gone > 1 => Err(Unknowable::Ambiguous),
        gone => changed(parent, &removed.relation, children, -gone).map(Some),
    }
}

fn parse(raw: &str) -> Result<Value, Unknowable> {
    serde_json::from_str(raw).map_err(|_| Unknowable::Ambiguous)
}

fn identity(child: &Value) -> (Option<&str>, Option<&str>) {
    (child["did"].as_str(), child["rkey"].as_str())
}

fn count(children: &Value) -> i64 {
    let lists: Vec<&Vec<Value>> = match children {
        Value::Array(list) => vec![list],
        Value::Object(groups) => groups.values().filter_map(Value::as_array).collect(),
        _ => Vec::new(),
    };
    lists.iter().map(|list| list.len() as i64).sum()
}

/// A socket ended in a Durable Object carries a child's body under `record`.
fn body_under_value(child: &mut Map<String, Value>) {
    if !child.contains_key("value")
        && let Some(body) = child.remove("record")
    {
        child.insert("value".to_owned(), body);
    }
}

/// Replaces the child where it stands, or puts it first: snapshots list the newest first. Says if it is new.
fn put(list: &mut Vec<Value>, child: Value) -> bool {
    let known = list
        .iter_mut()
        .find(|other| identity(other) == identity(&child));
    match known {
        Some(known) => {
            *known = child;
            false
        }
        None => {
            list.insert(0, child);
            true
        }
    }
}

/// The event names no group: the one whose children share a body value with the new child that children of
/// no other group have; else the group of the child's earlier copy.
fn put_grouped(groups: &mut Map<String, Value>, child: Value) -> Result<bool, Unknowable> {
    let own = groups.iter().find_map(|(name, list)| {
        let list = list.as_array()?;
        list.iter()
            .any(|other| identity(other) == identity(&child))
            .then(|| name.clone())
    });
    let target = infer_group(groups, &child)
        .or_else(|| own.clone())
        .ok_or(Unknowable::Ambiguous)?;
    if let Some(own) = own.as_ref().filter(|own| **own != target)
        && let Some(list) = groups.get_mut(own).and_then(Value::as_array_mut)
    {
        list.retain(|other| identity(other) != identity(&child));
    }
    let list = groups
        .get_mut(&target)
        .and_then(Value::as_array_mut)
        .ok_or(Unknowable::Ambiguous)?;
    put(list, child);
    Ok(own.is_none())
}

/// The group whose name is a value of the child's body, as a relation grouped by a field has it, or whose
/// children all agree with the new one on a field that tells the groups apart.
fn infer_group(groups: &Map<String, Value>, child: &Value) -> Option<String> {
    let fields = child["value"].as_object()?;
    let mut candidates = groups.iter().filter(|(_, list)| {
        let Some([first, ..]) = list.as_array().map(Vec::as_slice) else {
            return false;
        };
        fields.iter().any(|(name, value)| {
            value.is_string()
                && first["value"].get(name) == Some(value)
                && only_here(groups, list, name, value)
        })
    });
    let (name, _) = candidates.next()?;
    candidates.next().is_none().then(|| name.clone())
}

/// Whether all children of `list` have this value in this field, and no child of another group has.
fn only_here(groups: &Map<String, Value>, list: &Value, field: &str, value: &Value) -> bool {
    let has = |child: &Value| child["value"].get(field) == Some(value);
    groups.values().all(|other| {
        let children = other.as_array().map(Vec::as_slice).unwrap_or_default();
        if std::ptr::eq(other, list) {
            children.iter().all(has)
        } else {
            !children.iter().any(has)
        }
    })
}

fn changed(
    parent: &Record,
    relation: &str,
    children: Value,
    step: i64,
) -> Result<Record, Unknowable> {
    let mut record = parent.clone();
    let empty = count(&children) == 0;
    set(&mut record, relation, (!empty).then_some(children))?;
    let counter = counter(relation);
    if let Some(now) = counted(parent, relation) {
        set(
            &mut record,
            &counter,
            Some(now.saturating_add(step).max(0).into()),
        )?;
    } else if step > 0 && parent.extra(relation).is_none() {
        set(&mut record, &counter, Some(step.into()))?;
    }
    Ok(record)
}

fn counter(relation: &str) -> String {
    format!("{relation}Count")
}

/// How many children the server says there are, those included that the query left out.
fn counted(parent: &Record, relation: &str) -> Option<i64> {
    parent.extra(&counter(relation))?.get().parse().ok()
}

fn set(record: &mut Record, name: &str, value: Option<Value>) -> Result<(), Unknowable> {
    record.extra.retain(|(key, _)| &**key != name);
    if let Some(value) = value {
        let raw = to_raw_value(&value).map_err(|_| Unknowable::Ambiguous)?;
        record.extra.push((name.into(), raw));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(extra: &str) -> Record {
        let json = format!(r#"{{"uri":"at://did:plc:a/c/p","time_us":1,"value":{{}}{extra}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn added(relation: &str, did: &str, rkey: &str, body: &str) -> ChildAdded {
        let child = format!(r#"{{"did":"{did}","rkey":"{rkey}","record":{body}}}"#);
        ChildAdded {
            parent_uri: "at://did:plc:a/c/p".into(),
            relation: relation.into(),
            child: serde_json::value::RawValue::from_string(child).unwrap(),
        }
    }

    fn joined(parent: &Record, added: &ChildAdded) -> Result<Record, Unknowable> {
        Ok(add(parent, &Child::read(added)?)?.parent)
    }

    fn removed(rkey: &str, did: Option<&str>) -> ChildRemoved {
        ChildRemoved {
            parent_uri: "at://did:plc:a/c/p".into(),
            relation: "reactions".into(),
            child_rkey: rkey.into(),
            child_did: did.map(Into::into),
        }
    }

    fn field(record: &Record, name: &str) -> Value {
        serde_json::from_str(record.extra(name).unwrap().get()).unwrap()
    }

    const TWO: &str = r#","reactionsCount":2,"reactions":[{"did":"bob","rkey":"self","value":{}},{"did":"alice","rkey":"self","value":{}}]"#;

    #[test]
    fn children_of_one_rkey_under_two_dids_are_two() {
        let one = remove(&parent(TWO), &removed("self", Some("bob")))
            .unwrap()
            .unwrap();
        assert_eq!(field(&one, "reactions")[0]["did"], "alice");
        assert_eq!(field(&one, "reactionsCount"), 1);
        assert_eq!(
            remove(&parent(TWO), &removed("self", None)).unwrap_err(),
            Unknowable::Ambiguous
        );
        assert!(
            remove(&parent(TWO), &removed("self", Some("eve")))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn an_added_child_comes_first_and_an_updated_one_stays_in_place() {
        let three = joined(
            &parent(TWO),
            &added("reactions", "carol", "k", r#"{"e":1}"#),
        )
        .unwrap();
        assert_eq!(field(&three, "reactions")[0]["value"]["e"], 1);
        assert_eq!(field(&three, "reactionsCount"), 3);
        let edited = joined(&three, &added("reactions", "alice", "self", r#"{"e":2}"#)).unwrap();
        assert_eq!(field(&edited, "reactions")[2]["value"]["e"], 2);
        assert_eq!(field(&edited, "reactionsCount"), 3);
    }

    #[test]
    fn a_child_out_of_sight_may_be_counted_already() {
        let more = TWO.replace(":2", ":7");
        let event = added("reactions", "carol", "k", "{}");
        let child = Child::read(&event).unwrap();
        assert!(!add(&parent(&more), &child).unwrap().certain);
        assert!(add(&parent(TWO), &child).unwrap().certain);
        let event = added("reactions", "alice", "self", "{}");
        let known = Child::read(&event).unwrap();
        assert!(add(&parent(&more), &known).unwrap().certain);
    }

    #[test]
    fn the_first_child_starts_the_list_and_the_last_one_ends_it() {
        let one = joined(&parent(""), &added("reactions", "bob", "k", "{}")).unwrap();
        assert_eq!(field(&one, "reactionsCount"), 1);
        let none = remove(&one, &removed("k", Some("bob"))).unwrap().unwrap();
        assert!(none.extra("reactions").is_none());
    }

    #[test]
    fn children_are_edited_and_removed_in_groups_as_in_a_list() {
        let two = r#","reactionsCount":2,"reactions":{"+":[{"did":"bob","rkey":"self","value":{"e":"+"}}],"-":[{"did":"alice","rkey":"self","value":{"e":"-"}}]}"#;
        let edit = added("reactions", "alice", "self", r#"{"e":"-","x":1}"#);
        let edited = joined(&parent(two), &edit).unwrap();
        assert_eq!(field(&edited, "reactions")["-"][0]["value"]["x"], 1);
        assert_eq!(field(&edited, "reactionsCount"), 2);
        let one = remove(&edited, &removed("self", Some("bob")))
            .unwrap()
            .unwrap();
        assert_eq!(field(&one, "reactions")["-"][0]["did"], "alice");
        assert_eq!(field(&one, "reactionsCount"), 1);
        let none = remove(&one, &removed("self", Some("alice")))
            .unwrap()
            .unwrap();
        assert!(none.extra("reactions").is_none());
        assert_eq!(field(&none, "reactionsCount"), 0);
    }

    #[test]
    fn the_group_of_a_child_is_the_one_it_shares_a_value_with_or_its_own_or_unknowable() {
        let groups = r#","rsvps":{"going":[{"did":"bob","rkey":"1","value":{"status":"going","x":"y"}}],"no":[{"did":"eve","rkey":"1","value":{"status":"no","x":"y"}}]}"#;
        let parent = parent(groups);
        let one_more = joined(
            &parent,
            &added("rsvps", "carol", "1", r#"{"status":"no","x":"y"}"#),
        )
        .unwrap();
        assert_eq!(field(&one_more, "rsvps")["no"][0]["did"], "carol");
        let moved = joined(&parent, &added("rsvps", "bob", "1", r#"{"status":"no"}"#)).unwrap();
        assert_eq!(field(&moved, "rsvps")["going"].as_array().unwrap().len(), 0);
        let kept = joined(
            &parent,
            &added("rsvps", "bob", "1", r#"{"status":"maybe"}"#),
        )
        .unwrap();
        assert_eq!(
            field(&kept, "rsvps")["going"][0]["value"]["status"],
            "maybe"
        );
        assert!(
            joined(
                &parent,
                &added("rsvps", "dan", "1", r#"{"status":"maybe"}"#)
            )
            .is_err()
        );
    }
}
