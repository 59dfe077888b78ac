//! What a page's options must look like. serde would say that something is wrong, but not which of them.

use std::fmt;

use contrail_sync_engine::internals::Secrets;
use serde_json::Value;

use crate::error::{Error, Result};

/// What an option must be.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    /// What `u32` holds.
    Whole,
    YesOrNo,
    OneOf(&'static [&'static str]),
    Sort,
    Where,
    Sender,
}

/// The options of a watch.
const OPTIONS: [(&str, Shape); 17] = [
    ("url", Shape::Text),
    ("transport", Shape::OneOf(&["sse", "ws", "auto", "poll"])),
    ("ticket", Shape::Text),
    ("mint", Shape::YesOrNo),
    ("minter", Shape::Text),
    ("ticketIn", Shape::OneOf(&["query", "header"])),
    ("reconnect", Shape::YesOrNo),
    ("account", Shape::Text),
    ("idleTimeout", Shape::Whole),
    ("pollInterval", Shape::Whole),
    ("cache", Shape::YesOrNo),
    ("cacheKey", Shape::Text),
    ("cacheMaxRecords", Shape::Whole),
    ("sort", Shape::Sort),
    ("where", Shape::Where),
    ("maxRecords", Shape::Whole),
    ("sender", Shape::Sender),
];

/// The members of `sender`.
const SENDER: [(&str, Shape); 1] = [("sender", Shape::Text)];

/// The members of `sort`.
const SORT: [(&str, Shape); 2] = [
    ("by", Shape::Text),
    ("order", Shape::OneOf(&["asc", "desc"])),
];

/// Checks that every option is known and of the right type. `null` is as good as left out, except where one is needed.
/// The error names the option and quotes no text of it: it may be a ticket.
pub(crate) fn check(options: &Value) -> Result<()> {
    members("", options, &OPTIONS, "url")
}

/// Checks the members of an object, whose names the error puts behind `path`.
fn members(path: &str, object: &Value, known: &[(&str, Shape)], needed: &str) -> Result<()> {
    let given = object.as_object().into_iter().flatten();
    for (name, value) in given {
        let Some((name, shape)) = known.iter().find(|(known, _)| known == name) else {
            let name = Secrets::default().quoted(name);
            return Err(invalid(format!("there is no option {path}{name}")));
        };
        if !value.is_null() || *name == needed {
            shape.check(&format!("{path}{name}"), value)?;
        }
    }
    match object.get(needed) {
        Some(_) => Ok(()),
        None => Err(invalid(format!("{path}{needed} is missing"))),
    }
}

impl Shape {
    fn check(self, name: &str, value: &Value) -> Result<()> {
        let fits = match self {
            Self::Text => value.is_string(),
            Self::Whole => value.as_u64().is_some_and(|it| u32::try_from(it).is_ok()),
            Self::YesOrNo => value.is_boolean(),
            Self::OneOf(words) => value.as_str().is_some_and(|it| words.contains(&it)),
            Self::Sort | Self::Where => value.is_object(),
            Self::Sender => value.is_object() || value == "page",
        };
        match self {
            Self::OneOf(_) if !fits && value.is_string() => {
                Err(invalid(format!("{name} must be {self}")))
            }
            _ if !fits => Err(invalid(format!(
                "{name} is {}, it must be {self}",
                kind(value)
            ))),
            Self::Sort => members("sort.", value, &SORT, "by"),
            Self::Sender if value.is_object() => members("sender.", value, &SENDER, "sender"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a string"),
            Self::Whole => write!(f, "a whole number from 0 to {}", u32::MAX),
            Self::YesOrNo => f.write_str("true or false"),
            Self::OneOf(words) => write!(f, "one of \"{}\"", words.join("\", \"")),
            Self::Sort => f.write_str("an object { by, order? }"),
            Self::Sender => f.write_str("an object { sender } or \"page\""),
            Self::Where => f.write_str("an object such as { \"value.room\": \"a\" }"),
        }
    }
}

/// What kind of value this is, as a page calls it. Only numbers are quoted.
pub(crate) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn invalid(message: String) -> Error {
    Error::InvalidOptions(message)
}
