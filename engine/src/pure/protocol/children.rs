//! The children of a hydrated relation, as a record holds them. Each stays the JSON that the server sent, and is held once,
//! however many records show it.
//!
//! A relation is an array of children or, where they are grouped, an object `{group: [children]}`. Children are told apart
//! by (did, rkey): rkeys alone collide.

use std::{fmt, iter, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{
    bound::{Bound, MAX_CHILDREN},
    json::{each_field, each_item, plain, text},
    wire::nests_deeper,
};

/// What is read of a child.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head<'a> {
    /// DID of its author.
    pub did: Option<&'a str>,
    /// Its record key.
    pub rkey: Option<&'a str>,
    /// The space that holds it, where it says so.
    pub space: Option<&'a str>,
    /// NSID of its collection.
    pub collection: Option<&'a str>,
    /// Its body.
    pub value: Option<&'a RawValue>,
}

impl<'a> Head<'a> {
    /// Reads it. What is unreadable, or no child at all, has nothing.
    pub fn read(child: &'a RawValue) -> Self {
        let (mut head, mut do_body) = (Self::default(), None);
        each_field(child, |name, value| {
            match name {
                r#""did""# => head.did = plain(value.get()),
                r#""rkey""# => head.rkey = plain(value.get()),
                r#""space""# => head.space = plain(value.get()),
                r#""collection""# => head.collection = plain(value.get()),
                r#""value""# => head.value = Some(value),
                // A socket ended in a Durable Object carries the body under `record`.
                r#""record""# => do_body = Some(value),
                _ => {}
            }
            true
        });
        head.value = head.value.or(do_body);
        head
    }

    /// What tells it from other children; `None` if it cannot be told from them.
    pub fn key(&self) -> Option<(&'a str, &'a str)> {
        self.did.zip(self.rkey)
    }
}

/// One child: its JSON, and where in it stands what tells it from others.
pub struct Child {
    raw: Box<RawValue>,
    did: Span,
    rkey: Span,
    space: Span,
}

/// From here to there, in bytes; nothing where both are the same.
#[derive(Clone, Copy)]
struct Span(u32, u32);

impl Span {
    /// Of a part of `whole`.
    fn of(part: Option<&str>, whole: &str) -> Self {
        let span = part.and_then(|part| {
            let from = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
            let to = from + part.len();
            Some(Self(from.try_into().ok()?, to.try_into().ok()?))
        });
        span.unwrap_or(Self(0, 0))
    }

    fn part(self, whole: &str) -> Option<&str> {
        whole
            .get(self.0 as usize..self.1 as usize)
            .filter(|it| !it.is_empty())
    }
}

impl Child {
    /// A child as the server sent it. Its body is under `value` from now on.
    pub fn new(raw: &RawValue) -> Self {
        let raw = body_under_value(raw).unwrap_or_else(|| raw.to_owned());
        let Head {
            did, rkey, space, ..
        } = Head::read(&raw);
        let span = |part| Span::of(part, raw.get());
        let (did, rkey, space) = (span(did), span(rkey), span(space));
        Self {
            raw,
            did,
            rkey,
            space,
        }
    }

    /// What tells it from other children: (did, rkey).
    pub fn key(&self) -> Option<(&str, &str)> {
        let raw = self.raw.get();
        self.did.part(raw).zip(self.rkey.part(raw))
    }

    /// The space that holds it, where it says so: its parent's too.
    pub fn space(&self) -> Option<&str> {
        self.space.part(self.raw.get())
    }

    /// Whether it was told live: in snapshots children have a time.
    pub fn is_live(&self) -> bool {
        !self.raw.get().contains(r#""time_us""#)
    }

    /// All of it.
    pub fn raw(&self) -> &RawValue {
        &self.raw
    }

    /// Whether both are versions of one child.
    pub fn is(&self, other: &Self) -> bool {
        let spaces = self.space().zip(other.space());
        self.key().is_some_and(|key| other.key() == Some(key)) && spaces.is_none_or(|(a, b)| a == b)
    }
}

/// A copy of the object in which `record` is called `value`, if it has that alone.
fn body_under_value(child: &RawValue) -> Option<Box<RawValue>> {
    let mut copy = String::with_capacity(child.get().len() + 1);
    let (mut has_value, mut has_record) = (false, false);
    each_field(child, |name, value| {
        has_value |= name == r#""value""#;
        has_record |= name == r#""record""#;
        copy.push(if copy.is_empty() { '{' } else { ',' });
        copy.push_str(match name {
            r#""record""# => r#""value""#,
            name => name,
        });
        copy.push(':');
        copy.push_str(value.get());
        true
    });
    copy.push('}');
    let copy = (has_record && !has_value).then_some(copy)?;
    RawValue::from_string(copy).ok()
}

impl fmt::Debug for Child {
    // Bodies are the users' own words: they do not belong in debug output.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Child").field(&self.key()).finish()
    }
}

/// Children that belong together.
#[derive(Debug, Clone)]
pub struct Group {
    /// The group's name as a JSON string; empty in a relation that is not grouped.
    pub name: Arc<str>,
    /// The newest first.
    pub children: Vec<Arc<Child>>,
}

/// The children of one relation of a record. Immutable: a change makes another one, which shares the children.
#[derive(Debug)]
pub struct Children {
    groups: Vec<Group>,
    is_grouped: bool,
    bytes: usize,
}

/// Why a field's children cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apart {
    /// It is neither an array nor an object of arrays.
    NoChildren,
    /// They are too many.
    Bound(Bound),
}

impl Children {
    /// Takes a relation apart.
    pub fn read(raw: &RawValue) -> Result<Self, Apart> {
        let (mut groups, mut seen) = (Vec::<Group>::new(), 0);
        let is_grouped = each_child(raw, |name, child| {
            seen += 1;
            if seen > MAX_CHILDREN {
                return false;
            }
            let child = Arc::new(Child::new(child));
            match groups.last_mut().filter(|it| &*it.name == name) {
                Some(group) => group.children.push(child),
                None => groups.push(Group {
                    name: name.into(),
                    children: vec![child],
                }),
            }
            true
        });
        match is_grouped {
            _ if seen > MAX_CHILDREN => Err(Apart::Bound(Bound::Children)),
            Some(is_grouped) => Ok(Self::of(groups, is_grouped)),
            None => Err(Apart::NoChildren),
        }
    }

    /// None at all.
    pub fn none(is_grouped: bool) -> Self {
        Self::of(Vec::new(), is_grouped)
    }

    fn of(groups: Vec<Group>, is_grouped: bool) -> Self {
        let list = |it: &Group| {
            let children = it.children.iter().map(|it| it.raw.get().len() + 1);
            it.name.len() + usize::from(is_grouped) + 2 + children.sum::<usize>()
        };
        let bytes = 2 + groups.iter().map(list).sum::<usize>();
        Self {
            groups,
            is_grouped,
            bytes,
        }
    }

    /// Whether they stand in groups.
    pub fn is_grouped(&self) -> bool {
        self.is_grouped
    }

    /// The groups; at most one without a name where they are not grouped.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Those of a group.
    pub fn group(&self, name: &str) -> &[Arc<Child>] {
        let group = self.groups.iter().find(|it| &*it.name == name);
        group.map(|it| &*it.children).unwrap_or_default()
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Child>> + Clone {
        self.groups.iter().flat_map(|it| &it.children)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|it| it.children.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// About how many bytes of JSON they are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The group in which a version of the child stands.
    pub fn group_with(&self, child: &Child) -> Option<&Group> {
        let has = |it: &&Group| it.children.iter().any(|it| it.is(child));
        self.groups.iter().find(has)
    }

    /// The same with the child first in the group of this name, and that group first of all: snapshots list the newest
    /// first, and every put makes a record the newest. An earlier version of it is gone.
    pub fn with(&self, name: &str, child: &Arc<Child>) -> Self {
        let mut groups = self.remaining(|it| it.is(child));
        let at = groups.iter().position(|it| &*it.name == name);
        let mut group = match at {
            Some(at) => groups.remove(at),
            None => Group {
                name: name.into(),
                children: Vec::new(),
            },
        };
        group.children.insert(0, child.clone());
        groups.insert(0, group);
        Self::of(groups, self.is_grouped)
    }

    /// The same without some of them; groups that are empty are not there.
    pub fn without(&self, is_gone: impl Fn(&Child) -> bool) -> Self {
        Self::of(self.remaining(is_gone), self.is_grouped)
    }

    fn remaining(&self, is_gone: impl Fn(&Child) -> bool) -> Vec<Group> {
        let rest = |it: &Group| Group {
            name: it.name.clone(),
            children: it
                .children
                .iter()
                .filter(|it| !is_gone(it))
                .cloned()
                .collect(),
        };
        let groups = self.groups.iter().map(rest);
        groups.filter(|it| !it.children.is_empty()).collect()
    }

    /// Whether both are the same JSON, byte for byte.
    pub fn same(&self, other: &Self) -> bool {
        let same_child =
            |(a, b): (&Arc<Child>, &Arc<Child>)| Arc::ptr_eq(a, b) || a.raw.get() == b.raw.get();
        self.bytes == other.bytes
            && self.is_grouped == other.is_grouped
            && self.groups.len() == other.groups.len()
            && iter::zip(&self.groups, &other.groups).all(|(a, b)| {
                a.name == b.name
                    && a.children.len() == b.children.len()
                    && iter::zip(&a.children, &b.children).all(same_child)
            })
    }
}

impl Serialize for Children {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.is_grouped {
            return serializer.collect_seq(self.iter().map(|it| &*it.raw));
        }
        let mut map = serializer.serialize_map(Some(self.groups.len()))?;
        for group in &self.groups {
            match plain(&group.name) {
                Some(name) => map.serialize_key(name)?,
                None => map.serialize_key(&text(&group.name))?,
            }
            map.serialize_value(&Raws(&group.children))?;
        }
        map.end()
    }
}

struct Raws<'a>(&'a [Arc<Child>]);

impl Serialize for Raws<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|it| &*it.raw))
    }
}

/// Calls `each` with the group's name, as JSON, and the JSON of every child of a relation, until it says no. Says whether the
/// relation is grouped; `None` if it is none, or not all were seen.
pub fn each_child<'a>(
    relation: &'a RawValue,
    mut each: impl FnMut(&'a str, &'a RawValue) -> bool,
) -> Option<bool> {
    let is_array = |raw: &RawValue| raw.get().starts_with('[');
    if is_array(relation) {
        return each_item(relation, |child| each("", child)).then_some(false);
    }
    let seen = each_field(relation, |name, group| {
        is_array(group) && each_item(group, |child| each(name, child))
    });
    seen.then_some(true)
}

/// A relation without those children that nest deeper than `levels`; `None` if it is none.
pub(super) fn without_deep(relation: &RawValue, levels: usize) -> Option<Children> {
    let children = Children::read(relation).ok()?;
    Some(children.without(|it| nests_deeper(it.raw.get(), levels)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn json(children: &Children) -> String {
        serde_json::to_string(children).unwrap()
    }

    #[test]
    fn what_was_taken_apart_is_written_as_it_was_sent() {
        for text in [
            "[]",
            "{}",
            r#"[{"did":"a","rkey":"1","value":{"text":"\ud83d"}},1e400,null,[[]]]"#,
            r#"{"x#+":[{"did":"a","rkey":"1"},{"did":"a","rkey":"2"}],"-":[7]}"#,
        ] {
            let children = Children::read(&raw(text)).unwrap();
            assert_eq!(json(&children), text);
            assert!(children.bytes().abs_diff(text.len()) < 8, "{text}");
        }
        for text in [
            "7",
            "null",
            r#"{"did":"a","rkey":"1"}"#,
            r#"{"+":[],"x":1}"#,
        ] {
            assert_eq!(
                Children::read(&raw(text)).unwrap_err(),
                Apart::NoChildren,
                "{text}"
            );
        }
    }

    #[test]
    fn the_body_of_a_child_is_called_value_and_nothing_else_is_renamed() {
        let renamed = |json: &str| body_under_value(&raw(json)).map(|it| it.get().to_owned());
        assert_eq!(
            renamed(r#"{"record":{"a":1}}"#).as_deref(),
            Some(r#"{"value":{"a":1}}"#)
        );
        for as_it_is in [
            r#"{"did":"a"}"#,
            r#"{"record":1,"value":2}"#,
            r#"{"value":2}"#,
        ] {
            assert_eq!(renamed(as_it_is), None, "{as_it_is}");
        }
    }

    #[test]
    fn children_are_the_same_if_they_say_the_same_in_the_same_groups() {
        let read = |json: &str| Children::read(&raw(json)).unwrap();
        let some = r#"{"x":[{"did":"a","rkey":"1"}],"y":[]}"#;
        assert!(read(some).same(&read(some)));
        for other in [
            r#"{"z":[{"did":"a","rkey":"1"}],"y":[]}"#,
            r#"{"x":[{"did":"b","rkey":"1"}],"y":[]}"#,
            r#"{"x":[],"y":[{"did":"a","rkey":"1"}]}"#,
            r#"[{"did":"a","rkey":"1"}]"#,
        ] {
            assert!(!read(some).same(&read(other)), "{other}");
        }
    }

    #[test]
    fn a_group_named_by_half_an_emoji_hides_no_other() {
        let children = Children::read(&raw(r#"{"\ud83d":[1],"-":[2]}"#)).unwrap();
        assert_eq!(children.group(r#""\ud83d""#).len(), 1);
        let written: serde_json::Value = serde_json::from_str(&json(&children)).unwrap();
        assert_eq!(written["-"][0], 2);
    }

    #[test]
    fn a_child_that_is_put_is_the_newest_of_its_group_and_stands_nowhere_else() {
        let list = Children::read(&raw(
            r#"[{"did":"a","rkey":"s"},{"did":"b","rkey":"s"},{"rkey":"s"}]"#,
        ));
        let new = Arc::new(Child::new(&raw(r#"{"did":"b","rkey":"s","x":1}"#)));
        let expected = r#"[{"did":"b","rkey":"s","x":1},{"did":"a","rkey":"s"},{"rkey":"s"}]"#;
        assert_eq!(json(&list.unwrap().with("", &new)), expected);
        let groups = r#"{"+":[{"did":"a","rkey":"s"}],"-":[{"did":"b","rkey":"s"}]}"#;
        let groups = Children::read(&raw(groups)).unwrap();
        let moved = groups.with(r#""+""#, &new);
        let expected = r#"{"+":[{"did":"b","rkey":"s","x":1},{"did":"a","rkey":"s"}]}"#;
        assert_eq!(json(&moved), expected);
        let none = moved.without(|it| it.key().is_some());
        assert!(none.is_empty());
        assert_eq!(json(&none), "{}");
    }

    #[test]
    fn the_body_is_found_under_record_too_and_is_a_value_from_then_on() {
        let child = Child::new(&raw(r#"{ "did":"a", "record": {"record":1}, "rkey":"s" }"#));
        assert_eq!(
            child.raw().get(),
            r#"{"did":"a","value":{"record":1},"rkey":"s"}"#
        );
        assert_eq!(child.key(), Some(("a", "s")));
        let both = r#"{"value":1,"record":2}"#;
        assert_eq!(Child::new(&raw(both)).raw().get(), both);
    }

    #[test]
    fn too_many_children_are_not_taken_apart() {
        let many = format!("[{}1]", "1,".repeat(MAX_CHILDREN));
        assert_eq!(
            Children::read(&raw(&many)).unwrap_err(),
            Apart::Bound(Bound::Children)
        );
    }

    #[test]
    fn debug_output_shows_no_body() {
        let child = Child::new(&raw(r#"{"did":"a","rkey":"s","value":"text"}"#));
        assert!(!format!("{child:?}").contains("text"));
    }
}
