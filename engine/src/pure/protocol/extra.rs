//! The fields of a record besides the named ones: what the query hydrated, counts, labels, profiles.

use std::{borrow::Cow, sync::Arc};

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    bound::{Bound, MAX_FIELDS},
    children::{Apart, Children, without_deep},
    wire::nests_deeper,
};

/// The value of a field.
#[derive(Debug, Clone)]
pub enum Extra {
    /// A text, number, truth value or `null`, as the server sent it.
    Scalar(Box<RawValue>),
    /// An object or array, as the server sent it.
    Raw(Arc<RawValue>),
    /// The children of a relation, taken apart because one of them has changed.
    Children(Arc<Children>),
}

/// A field.
type Field = (Arc<str>, Extra);

impl Extra {
    /// A value as the server sent it.
    pub fn new(raw: Box<RawValue>) -> Self {
        match raw.get().starts_with(['[', '{']) {
            true => Self::Raw(raw.into()),
            false => Self::Scalar(raw),
        }
    }

    /// Its JSON.
    pub fn raw(&self) -> Cow<'_, RawValue> {
        match self {
            Self::Scalar(raw) => Cow::Borrowed(raw),
            Self::Raw(raw) => Cow::Borrowed(raw),
            Self::Children(children) => Cow::Owned(to_raw_value(&**children).unwrap_or_default()),
        }
    }

    /// About how many bytes of JSON it is.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Scalar(raw) => raw.get().len(),
            Self::Raw(raw) => raw.get().len(),
            Self::Children(children) => children.bytes(),
        }
    }

    /// Whether it may be a relation.
    pub fn may_be_relation(&self) -> bool {
        !matches!(self, Self::Scalar(_))
    }

    /// Its children, if it is a relation.
    pub fn children(&self) -> Result<Arc<Children>, Apart> {
        match self {
            Self::Scalar(_) => Err(Apart::NoChildren),
            Self::Raw(raw) => Children::read(raw).map(Arc::new),
            Self::Children(children) => Ok(children.clone()),
        }
    }

    /// Whether both are the very same value, without looking into it.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Raw(a), Self::Raw(b)) => Arc::ptr_eq(a, b),
            (Self::Children(a), Self::Children(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Whether both are the same JSON, byte for byte.
    fn same(&self, other: &Self) -> bool {
        self.is_shared_with(other)
            || match (self, other) {
                (Self::Children(a), Self::Children(b)) => a.same(b),
                (Self::Scalar(a), Self::Scalar(b)) => a.get() == b.get(),
                (Self::Raw(a), Self::Raw(b)) => a.get() == b.get(),
                _ => {
                    self.bytes().abs_diff(other.bytes()) < 8
                        && self.raw().get() == other.raw().get()
                }
            }
    }
}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(raw) => raw.serialize(serializer),
            Self::Raw(raw) => raw.serialize(serializer),
            Self::Children(children) => children.serialize(serializer),
        }
    }
}

/// Fields by name, in its order: many are found and compared as fast as few.
#[derive(Debug, Clone, Default)]
pub struct Extras(Vec<Field>);

impl Extras {
    /// Of fields as they were sent: of a name that stands there twice, the last one counts, as in `JSON.parse`.
    pub(super) fn new(mut fields: Vec<Field>) -> Self {
        // Most records have none.
        if fields.len() < 2 {
            return Self(fields);
        }
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        fields.dedup_by(|later, earlier| {
            let again = later.0 == earlier.0;
            if again {
                std::mem::swap(later, earlier);
            }
            again
        });
        Self(fields)
    }

    /// The field of this name.
    pub fn get(&self, name: &str) -> Option<&Extra> {
        let at = self.find(name).ok()?;
        self.0.get(at).map(|(_, extra)| extra)
    }

    /// Sets a field, or takes it away.
    pub fn set(&mut self, name: &str, extra: Option<Extra>) {
        match (self.find(name), extra) {
            (Ok(at), Some(extra)) => self.0[at].1 = extra,
            (Ok(at), None) => drop(self.0.remove(at)),
            (Err(at), Some(extra)) => self.0.insert(at, (name.into(), extra)),
            (Err(_), None) => {}
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Extra)> {
        self.0.iter().map(|(name, extra)| (name, extra))
    }

    /// Those whose names begin with this.
    pub fn starting_with<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Extra)> {
        let from = self.find(prefix).unwrap_or_else(|at| at);
        let rest = self.0.iter().skip(from);
        rest.take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, extra)| (name, extra))
    }

    /// About how many bytes of JSON they are.
    pub fn bytes(&self) -> usize {
        let bytes = |(name, extra): &Field| name.len() + extra.bytes();
        self.0.iter().map(bytes).sum()
    }

    /// Whether both say the same, byte for byte.
    pub fn same(&self, other: &Self) -> bool {
        let mut pairs = std::iter::zip(&self.0, &other.0);
        self.0.len() == other.0.len() && pairs.all(|(a, b)| a.0 == b.0 && a.1.same(&b.1))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the fields of `known` that these do not mention, or none of them if they are more than a record may have, or
    /// more than `room` bytes.
    pub(super) fn add_unmentioned(&mut self, known: &Self, room: usize) -> Result<(), Bound> {
        let unmentioned = self.unmentioned(known);
        if unmentioned.is_empty() {
            return Ok(());
        }
        if self.0.len() + unmentioned.len() > MAX_FIELDS {
            return Err(Bound::Fields);
        }
        let unmentioned = unmentioned.into_iter().map(|at| &known.0[at]);
        let bytes = unmentioned
            .clone()
            .map(|(name, it)| name.len() + it.bytes());
        if bytes.sum::<usize>() > room {
            return Err(Bound::RecordBytes);
        }
        self.0.extend(unmentioned.cloned());
        self.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(())
    }

    /// Where in `known` the fields are that these do not mention. Both are in order: one walk along them.
    fn unmentioned(&self, known: &Self) -> Vec<usize> {
        let mut mine = self.0.iter().peekable();
        let mut unmentioned = Vec::new();
        for (at, (name, _)) in known.0.iter().enumerate() {
            while mine.next_if(|(mine, _)| mine < name).is_some() {}
            if mine.peek().is_none_or(|(mine, _)| mine != name) {
                unmentioned.push(at);
            }
        }
        unmentioned
    }

    /// Takes away what nests deeper than `levels`: a child, or else a whole field.
    pub(super) fn prune(&mut self, levels: usize) {
        self.0.retain_mut(|(_, extra)| {
            let Extra::Raw(raw) = &*extra else {
                return true;
            };
            if !nests_deeper(raw.get(), levels) {
                return true;
            }
            let pruned = without_deep(raw, levels - 2);
            pruned.filter(|it| !it.is_empty()).is_some_and(|it| {
                *extra = Extra::Children(Arc::new(it));
                true
            })
        });
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_that_were_taken_apart_are_the_same_as_what_was_sent() {
        for text in ["[]", r#"[{"did":"a","rkey":"1"}]"#, r#"{"x":[1],"y":[2]}"#] {
            let sent = Extra::new(RawValue::from_string(text.to_owned()).unwrap());
            let apart = Extra::Children(sent.children().unwrap());
            assert!(sent.same(&apart) && apart.same(&sent), "{text}");
            assert!(apart.is_shared_with(&apart.clone()));
        }
        let one = Extra::new(RawValue::from_string("[1]".to_owned()).unwrap());
        let two = Extra::new(RawValue::from_string("[2]".to_owned()).unwrap());
        assert!(!one.same(&Extra::Children(two.children().unwrap())));
    }
}
