//! Which URLs a webview may watch: the allow and deny lists of its capabilities.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer};
use url::Url;
use urlpattern::{
    UrlPattern, UrlPatternInit, UrlPatternMatchInput, parser::RegexSyntax, regexp::RegExp,
};

/// An entry as it stands in a capability: `"https://…"` or `{ "url": "https://…" }`.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an entry of a contrail-sync permission's scope must be \"https://…\" or { \"url\": \"https://…\" }"
)]
pub(crate) enum EntryRaw {
    /// The pattern itself.
    Value(String),
    /// The pattern under a name.
    Object {
        /// The pattern.
        url: String,
    },
}

/// Why a text is no entry of a scope. The build script reads this file too, and has no `thiserror`.
#[derive(Debug)]
pub(crate) enum PatternError {
    /// It is no pattern of the standard.
    Syntax(urlpattern::Error),
    /// A `]` without a `[`, which the parser of patterns does not survive.
    Bracket,
    /// A `(` that opens no group. The parser goes on in the middle of it, where nothing is what it seems.
    Group,
    /// A colon before a word, as in `did:plc:alice`: the standard reads a group there that any text fits.
    NamedGroup(String),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => error.fmt(f),
            Self::Bracket => f.write_str("a `]` in it has no `[` before"),
            Self::Group => f.write_str(
                "a `(` in it opens no group: one is not empty, is closed, and has plain ASCII inside",
            ),
            Self::NamedGroup(name) => write!(
                f,
                "`:{name}` in it is a named group, which allows any text: write `\\:{name}` for a colon, `\\\\:{name}` in JSON, and `*` for any text"
            ),
        }
    }
}

impl From<urlpattern::Error> for PatternError {
    fn from(error: urlpattern::Error) -> Self {
        Self::Syntax(error)
    }
}

/// What needs no encoding in a path besides letters, digits and `-._~`.
const IN_PATH: &str = "!$'()*,;:@&=+";
/// The same in a query, where `&`, `=` and `+` mean something.
const IN_QUERY: &str = "!$'()*,;:@/?";

/// A regular expression of a pattern. What it is matched with is ASCII, as all of a URL.
#[derive(Debug)]
struct Expression(regex_lite::Regex);

impl RegExp for Expression {
    fn syntax() -> RegexSyntax {
        RegexSyntax::Rust
    }

    fn parse(pattern: &str, _flags: &str, _force_eval: bool) -> Result<Self, ()> {
        regex_lite::Regex::new(pattern).map(Self).map_err(drop)
    }

    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        let groups = self.0.captures(text)?;
        let groups = groups.iter().skip(1);
        Some(groups.map(|it| it.map(|it| it.as_str())).collect())
    }

    fn pattern_string(&self) -> &str {
        self.0.as_str()
    }
}

/// One URL pattern of a scope.
#[derive(Debug)]
pub(crate) struct Entry {
    text: String,
    pattern: UrlPattern<Expression>,
}

impl Entry {
    fn matches(&self, url: &Url) -> bool {
        let input = UrlPatternMatchInput::Url(url.clone());
        self.pattern.test(input).unwrap_or(false)
    }
}

impl std::str::FromStr for Entry {
    type Err = PatternError;

    /// Parses a pattern of the URL Pattern standard. A pattern without a path allows every path, one
    /// without a query every query, as in Tauri's HTTP plugin.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !has_whole_groups(text) {
            return Err(PatternError::Group);
        }
        if closes_what_is_not_open(text) {
            return Err(PatternError::Bracket);
        }
        let mut init = UrlPatternInit::parse_constructor_string::<Expression>(text, None)?;
        let parts = [&init.hostname, &init.pathname, &init.search, &init.hash];
        if let Some(name) = parts.into_iter().flatten().find_map(|it| named_group(it)) {
            return Err(PatternError::NamedGroup(name.to_owned()));
        }
        for (part, literal) in [(&mut init.pathname, IN_PATH), (&mut init.search, IN_QUERY)] {
            *part = part.take().map(|it| decoded(&it, literal, "\\"));
        }
        // In an address a colon begins no group.
        if let Some(address) = init.hostname.take_if(|it| it.starts_with('[')) {
            init.hostname = Some(address.replace("\\:", ":").replace(':', "\\:"));
        }
        let anything = || Some("*".to_owned());
        if init
            .pathname
            .as_deref()
            .is_none_or(|path| matches!(path, "" | "/"))
        {
            init.pathname = anything();
        }
        if init.search.as_deref().is_none_or(str::is_empty) {
            init.search = anything();
        }
        if init.hash.as_deref().is_none_or(str::is_empty) {
            init.hash = anything();
        }
        Ok(Self {
            text: text.to_owned(),
            pattern: UrlPattern::parse(init, Default::default())?,
        })
    }
}

/// Whether each `(` opens a group as the standard has them.
fn has_whole_groups(pattern: &str) -> bool {
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            '(' if !ends_a_group(&mut chars) => return false,
            _ => {}
        }
    }
    true
}

/// Reads a group from behind its `(` to its end, if it is one.
fn ends_a_group(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    if matches!(chars.peek(), Some('?' | ')')) {
        return false;
    }
    let mut depth = 1_usize;
    while let Some(char) = chars.next() {
        match char {
            _ if !char.is_ascii() => return false,
            '\\' if !chars.next().is_some_and(|it| it.is_ascii()) => return false,
            // Groups within are such as name or capture nothing.
            '(' if chars.peek() != Some(&'?') => return false,
            '(' => depth += 1,
            ')' if depth == 1 => return true,
            ')' => depth -= 1,
            _ => {}
        }
    }
    false
}

/// Whether a bracket is closed that was not opened since the host began. Those in groups are no brackets.
fn closes_what_is_not_open(pattern: &str) -> bool {
    let (mut open, mut depth, mut before) = (0_usize, 0_usize, ' ');
    for char in pattern.chars() {
        let is_escaped = before == '\\';
        match char {
            '(' | '{' if !is_escaped => depth += 1,
            ')' | '}' if !is_escaped => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            '@' => open = 0,
            '/' if before == '/' => open = 0,
            '[' => open += 1,
            ']' if open == 0 => return true,
            ']' => open -= 1,
            _ => {}
        }
        before = if is_escaped { ' ' } else { char };
    }
    false
}

/// The first name of a group in a part of a pattern.
fn named_group(part: &str) -> Option<&str> {
    let is_ipv6 = part.starts_with('[');
    let (mut chars, mut depth) = (part.char_indices(), 0_usize);
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && !is_ipv6 => {
                let of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
                let rest = &part[at + 1..];
                let name = &rest[..rest.find(|c| !of_name(c)).unwrap_or(rest.len())];
                if name.starts_with(|c: char| !c.is_numeric()) {
                    return Some(name);
                }
            }
            _ => {}
        }
    }
    None
}

/// A text with what needs no encoding written as it is, behind `escape` where it is no letter, and the rest in capitals.
fn decoded(text: &str, literal: &str, escape: &str) -> String {
    let mut all = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        all += &rest[..at];
        rest = &rest[at..];
        let Some(byte) = rest
            .get(1..3)
            .and_then(|it| u8::from_str_radix(it, 16).ok())
        else {
            all.push('%');
            rest = &rest[1..];
            continue;
        };
        match char::from(byte) {
            char if char.is_ascii_alphanumeric() || "-._~".contains(char) => all.push(char),
            char if literal.contains(char) => {
                all += escape;
                all.push(char);
            }
            _ => all += &rest[..3].to_ascii_uppercase(),
        }
        rest = &rest[3..];
    }
    all + rest
}

/// A URL as it is compared: however much of it is percent-encoded.
fn plain(url: &Url) -> Url {
    let mut plain = url.clone();
    plain.set_path(&decoded(url.path(), IN_PATH, ""));
    plain.set_query(url.query().map(|it| decoded(it, IN_QUERY, "")).as_deref());
    plain
}

/// What servers may take a URL for: the same host without its last dot, the path without doubled or encoded slashes.
fn loosely_read(url: &Url) -> Url {
    let mut read = plain(url);
    let host = url.host_str().unwrap_or_default();
    // One that cannot be set stays as it is.
    let _ = read.set_host(Some(host.trim_end_matches('.')));
    let path = decoded(read.path(), "/\\", "").replace('\\', "/");
    let parts: Vec<&str> = path.split('/').filter(|it| !it.is_empty()).collect();
    let end = if path.ends_with('/') && !parts.is_empty() {
        "/"
    } else {
        ""
    };
    read.set_path(&format!("/{}{end}", parts.join("/")));
    read
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (EntryRaw::Value(url) | EntryRaw::Object { url }) =
            EntryRaw::deserialize(deserializer)?;
        url.parse().map_err(|error| {
            serde::de::Error::custom(format!("`{url}` is not a valid URL pattern: {error}"))
        })
    }
}

/// The lists that apply to one webview. Denials win; what neither list names is not allowed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    allow: Vec<Arc<Entry>>,
    deny: Vec<Arc<Entry>>,
}

impl Scope {
    /// A scope of these lists.
    pub(crate) fn new(allow: Vec<Arc<Entry>>, deny: Vec<Arc<Entry>>) -> Self {
        Self { allow, deny }
    }

    /// Whether the URL may be requested.
    pub(crate) fn allows(&self, url: &Url) -> bool {
        let matches = |list: &[Arc<Entry>], url: &Url| list.iter().any(|entry| entry.matches(url));
        let plain = plain(url);
        let denied = matches(&self.deny, &plain) || matches(&self.deny, &loosely_read(url));
        !denied && matches(&self.allow, &plain)
    }

    /// A name that two scopes share only if they allow the same.
    pub(crate) fn id(&self) -> String {
        let list = |entries: &[Arc<Entry>]| {
            let mut texts: Vec<&str> = entries.iter().map(|entry| &*entry.text).collect();
            texts.sort_unstable();
            texts.dedup();
            texts.join("\n")
        };
        format!("{}\n\n{}", list(&self.allow), list(&self.deny))
    }
}

#[cfg(test)]
#[path = "scope_tests.rs"]
mod tests;
