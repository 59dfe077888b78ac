//! Records with bodies of the app's own types.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::delta::State;
use crate::pure::{
    protocol::{record::Record, wire},
    store::entry::Entry,
};

/// A record and its body.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TypedRecord<'a, T> {
    /// Everything but the body, and whether it is optimistic.
    pub entry: &'a Arc<Entry>,
    /// The body.
    pub value: T,
}

/// A record's body is not of the type that was asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the body of {uri} is of another type: {message}")]
#[non_exhaustive]
pub struct NotOfType {
    /// `at://` URI of the record.
    pub uri: Arc<str>,
    /// What is wrong, without the body.
    pub message: String,
}

impl Record {
    /// The body as a type of the app.
    pub fn value_as<T: DeserializeOwned>(&self) -> Result<T, NotOfType> {
        serde_json::from_str(self.value.get()).map_err(|error| NotOfType {
            uri: self.uri.shared().clone(),
            message: wire::describe(&error),
        })
    }
}

impl State {
    /// The records in order, with their bodies as a type of the app. One of another type is an error of its own: skip
    /// it with `flatten`, or stop at it with `collect::<Result<Vec<_>, _>>`.
    pub fn records_as<T: DeserializeOwned>(
        &self,
    ) -> impl Iterator<Item = Result<TypedRecord<'_, T>, NotOfType>> {
        self.entries.iter().map(|entry| {
            let value = entry.record.value_as()?;
            Ok(TypedRecord { entry, value })
        })
    }
}
