//! The collections this appview knows (namespace `com.example`) and how they relate.

use serde_json::Value;

/// Namespace of the XRPC methods.
pub(crate) const NAMESPACE: &str = "com.example";

/// One collection: its short name in method names, its NSID in record URIs.
#[derive(Debug)]
pub(crate) struct Collection {
    /// `message` in `com.example.message.watchRecords`.
    pub short: &'static str,
    /// `com.example.chat.message` in `at://…/com.example.chat.message/…`.
    pub nsid: &'static str,
    /// Children that `hydrate<Relation>=<n>` adds.
    pub relations: &'static [Relation],
    /// Targets that `hydrate<Reference>=true` adds.
    pub references: &'static [Reference],
    /// Fields of the body to filter and sort by.
    pub queryable: &'static [Field],
}

/// A field of the body that queries may name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// The query parameter: `replyUri` for `reply.uri`.
    pub param: &'static str,
    /// The path in the body.
    pub path: &'static str,
    /// Filtered by `<param>Min` and `<param>Max` instead of `<param>`.
    pub is_range: bool,
}

/// Children that name their parent in their body.
#[derive(Debug)]
pub(crate) struct Relation {
    /// Field of the hydrated parent.
    pub name: &'static str,
    /// NSID of the children.
    pub child: &'static str,
    /// Path in the child's body that names the parent.
    pub field: &'static str,
    /// What the path holds.
    pub matches: Match,
    /// How children are grouped.
    pub groups: Option<Groups>,
}

/// Children in groups.
#[derive(Debug)]
pub(crate) struct Groups {
    /// Path in the child's body that names the group.
    pub by: &'static str,
    /// The groups that have a counter: (its part of the counter's name, the value in the body).
    pub counted: &'static [(&'static str, &'static str)],
}

/// What a child's matching field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// The parent's URI.
    Uri,
    /// The did of the parent's author: every record of theirs is a parent.
    Did,
}

/// A record that a body points to.
#[derive(Debug)]
pub(crate) struct Reference {
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
const POLL: &str = "com.example.poll";
const VOTE: &str = "com.example.vote";

const fn field(param: &'static str, path: &'static str) -> Field {
    Field {
        param,
        path,
        is_range: false,
    }
}

const SUBJECT_URI: Field = field("subjectUri", "subject.uri");

/// A relation by URI, not grouped.
const fn by_uri(name: &'static str, child: &'static str) -> Relation {
    Relation {
        name,
        child,
        field: "subject.uri",
        matches: Match::Uri,
        groups: None,
    }
}

/// Every collection.
pub(crate) static COLLECTIONS: &[Collection] = &[
    Collection {
        short: "message",
        nsid: MESSAGE,
        relations: &[by_uri("reactions", REACTION)],
        references: &[Reference {
            name: "parent",
            target: MESSAGE,
            field: "reply.uri",
        }],
        queryable: &[
            field("room", "room"),
            field("text", "text"),
            field("n", "n"),
            field("replyUri", "reply.uri"),
        ],
    },
    Collection {
        short: "event",
        nsid: EVENT,
        relations: &[
            Relation {
                groups: Some(Groups {
                    by: "status",
                    counted: &[
                        ("Going", "com.example.rsvp#going"),
                        ("Interested", "com.example.rsvp#interested"),
                    ],
                }),
                ..by_uri("rsvps", RSVP)
            },
            Relation {
                field: "subject",
                matches: Match::Did,
                ..by_uri("badges", BADGE)
            },
        ],
        references: &[],
        queryable: &[
            field("name", "name"),
            // Named as the handshake's own parameter, which it therefore filters by.
            field("mode", "mode"),
            Field {
                is_range: true,
                ..field("startsAt", "startsAt")
            },
        ],
    },
    Collection {
        short: "reaction",
        nsid: REACTION,
        relations: &[],
        references: &[],
        queryable: &[field("emoji", "emoji"), SUBJECT_URI],
    },
    Collection {
        short: "rsvp",
        nsid: RSVP,
        relations: &[],
        references: &[],
        queryable: &[field("status", "status"), SUBJECT_URI],
    },
    Collection {
        short: "badge",
        nsid: BADGE,
        relations: &[],
        references: &[],
        queryable: &[field("label", "label"), field("subject", "subject")],
    },
    // Two relations on one child collection: only the last of them is told live, and it owns the counter.
    Collection {
        short: "poll",
        nsid: POLL,
        relations: &[
            Relation {
                groups: Some(Groups {
                    by: "choice",
                    counted: &[("Yes", "yes"), ("No", "no")],
                }),
                ..by_uri("votes", VOTE)
            },
            by_uri("ballots", VOTE),
        ],
        references: &[],
        queryable: &[field("text", "text")],
    },
    Collection {
        short: "vote",
        nsid: VOTE,
        relations: &[],
        references: &[],
        queryable: &[field("choice", "choice"), SUBJECT_URI],
    },
];

/// The collection with this short name.
pub(crate) fn by_short_name(short: &str) -> Option<&'static Collection> {
    COLLECTIONS.iter().find(|known| known.short == short)
}

/// What a counter counts: children of a collection, or those of them in one group.
pub(crate) type Counted = (&'static str, Option<&'static str>);

/// A counter that records of a collection carry.
#[derive(Debug)]
pub(crate) struct Counter {
    /// `rsvpsCount`, `rsvpsGoingCount`; also what `sort` calls it.
    pub name: String,
    /// What it counts.
    pub counted: Counted,
}

impl Collection {
    /// Its counters in the order of the wire. Relations on one child collection share theirs, which the last one names.
    pub(crate) fn counters(&self) -> Vec<Counter> {
        let mut counters: Vec<Counter> = Vec::new();
        for counter in self.relations.iter().flat_map(Relation::counters) {
            match counters
                .iter_mut()
                .find(|known| known.counted == counter.counted)
            {
                Some(known) => *known = counter,
                None => counters.push(counter),
            }
        }
        counters
    }
}

impl Relation {
    /// The counter of all its children, then those of its groups.
    pub(crate) fn counters(&self) -> impl Iterator<Item = Counter> {
        let counted = self.groups.iter().flat_map(|groups| groups.counted);
        let groups = counted.map(|(short, value)| (*short, Some(*value)));
        std::iter::once(("", None))
            .chain(groups)
            .map(|(short, group)| Counter {
                name: format!("{}{short}Count", self.name),
                counted: (self.child, group),
            })
    }
}

/// `reactions` → `hydrateReactions`.
pub(crate) fn hydrate_param(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    format!(
        "hydrate{}{}",
        first.map(String::from).unwrap_or_default(),
        chars.as_str()
    )
}

/// The value at a dotted path.
pub(crate) fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

/// The string at a dotted path.
pub(crate) fn text_at<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    at_path(value, path)?.as_str()
}
