//! The collections this appview knows (namespace `com.example`) and how they relate.

use serde_json::Value;

/// Namespace of the XRPC methods.
pub const NAMESPACE: &str = "com.example";

/// One collection: its short name in method names, its NSID in record URIs.
#[derive(Debug)]
pub struct Collection {
    /// `message` in `com.example.message.watchRecords`.
    pub short: &'static str,
    /// `com.example.chat.message` in `at://…/com.example.chat.message/…`.
    pub nsid: &'static str,
    /// Children that `hydrate<Relation>=<n>` adds.
    pub relations: &'static [Relation],
    /// Targets that `hydrate<Reference>=true` adds.
    pub references: &'static [Reference],
    /// Query parameters that filter by a field of the body: (parameter, path).
    pub filters: &'static [(&'static str, &'static str)],
}

/// Children that name their parent in their body.
#[derive(Debug)]
pub struct Relation {
    /// Field of the hydrated parent.
    pub name: &'static str,
    /// NSID of the children.
    pub child: &'static str,
    /// Path in the child's body that names the parent.
    pub field: &'static str,
    /// What the path holds.
    pub matches: Match,
    /// Path in the child's body by which children are grouped.
    pub group_by: Option<&'static str>,
}

/// What a child's matching field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// The parent's URI.
    Uri,
    /// The did of the parent's author: every record of theirs is a parent.
    Did,
}

/// A record that a body points to.
#[derive(Debug)]
pub struct Reference {
    /// Field of the hydrated record.
    pub name: &'static str,
    /// NSID of the target.
    pub target: &'static str,
    /// Path in the body that holds the target's URI.
    pub field: &'static str,
}

const MESSAGE: &str = "com.example.chat.message";
const REACTION: &str = "com.example.chat.reaction";
const EVENT: &str = "com.example.event";
const RSVP: &str = "com.example.rsvp";
const BADGE: &str = "com.example.badge";

/// Every collection.
pub static COLLECTIONS: &[Collection] = &[
    Collection {
        short: "message",
        nsid: MESSAGE,
        relations: &[Relation {
            name: "reactions",
            child: REACTION,
            field: "subject.uri",
            matches: Match::Uri,
            group_by: None,
        }],
        references: &[Reference {
            name: "parent",
            target: MESSAGE,
            field: "reply.uri",
        }],
        filters: &[
            ("room", "room"),
            ("text", "text"),
            ("replyUri", "reply.uri"),
        ],
    },
    Collection {
        short: "event",
        nsid: EVENT,
        relations: &[
            Relation {
                name: "rsvps",
                child: RSVP,
                field: "subject.uri",
                matches: Match::Uri,
                group_by: Some("status"),
            },
            Relation {
                name: "badges",
                child: BADGE,
                field: "subject.did",
                matches: Match::Did,
                group_by: None,
            },
        ],
        references: &[],
        filters: &[("name", "name"), ("status", "status")],
    },
    Collection {
        short: "reaction",
        nsid: REACTION,
        relations: &[],
        references: &[],
        filters: &[("emoji", "emoji"), ("subjectUri", "subject.uri")],
    },
    Collection {
        short: "rsvp",
        nsid: RSVP,
        relations: &[],
        references: &[],
        filters: &[("status", "status"), ("subjectUri", "subject.uri")],
    },
    Collection {
        short: "badge",
        nsid: BADGE,
        relations: &[],
        references: &[],
        filters: &[("subjectDid", "subject.did")],
    },
];

/// The collection with this short name.
pub fn by_short_name(short: &str) -> Option<&'static Collection> {
    COLLECTIONS.iter().find(|known| known.short == short)
}

/// `reactions` → `hydrateReactions`.
pub fn hydrate_param(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    format!(
        "hydrate{}{}",
        first.map(String::from).unwrap_or_default(),
        chars.as_str()
    )
}

/// The value at a dotted path.
pub fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

/// The string at a dotted path.
pub fn text_at<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    at_path(value, path)?.as_str()
}
