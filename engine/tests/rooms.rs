//! The rooms of the engine hold: each imports only what the table allows, and what decides knows no clock and no I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, File, ItemMod, Meta, UseTree, visit::Visit};

/// Each room and what it may import besides itself. `ARCHITECTURE.md` has the same table.
const TABLE: [(&str, &[&str]); 21] = [
    ("failure", &[]),
    ("redact", &[]),
    ("id", &[]),
    ("clock", &[]),
    ("timer", &[]),
    ("maps", &[]),
    ("gauge", &["id", "clock", "redact"]),
    ("pure/protocol", &["redact"]),
    ("pure/view", &["pure/protocol", "maps"]),
    ("pure/lifecycle", &["pure/protocol", "failure"]),
    ("pure/store", &["pure/protocol", "pure/view", "maps"]),
    (
        "pure/ledger",
        &[
            "pure/protocol",
            "pure/store",
            "pure/lifecycle",
            "failure",
            "maps",
        ],
    ),
    (
        "pure/replica",
        &["pure/protocol", "pure/lifecycle", "pure/store"],
    ),
    ("pure/outbox", &["pure/protocol", "pure/store"]),
    (
        "transport",
        &["pure/protocol", "failure", "redact", "id", "gauge"],
    ),
    ("cache", &["pure/protocol", "clock", "timer"]),
    ("vault", &[]),
    (
        "tickets",
        &["pure/protocol", "transport", "vault", "failure", "id"],
    ),
    (
        "watch",
        &[
            "failure",
            "redact",
            "id",
            "clock",
            "gauge",
            "timer",
            "maps",
            "pure/protocol",
            "pure/view",
            "pure/lifecycle",
            "pure/store",
            "pure/ledger",
            "pure/replica",
            "pure/outbox",
            "transport",
            "cache",
            "tickets",
        ],
    ),
    (
        "outbox",
        &[
            "clock",
            "failure",
            "pure/protocol",
            "pure/store",
            "pure/outbox",
            "transport",
            "cache",
            "tickets",
            "vault",
            "watch",
        ],
    ),
    (
        "engine",
        &[
            "failure",
            "redact",
            "id",
            "clock",
            "gauge",
            "timer",
            "maps",
            "pure/protocol",
            "pure/view",
            "pure/lifecycle",
            "pure/store",
            "pure/ledger",
            "pure/replica",
            "pure/outbox",
            "transport",
            "cache",
            "vault",
            "tickets",
            "watch",
            "outbox",
        ],
    ),
];

/// What must not be named in `pure/`, not even in a comment.
const IMPURE: [&str; 6] = [
    "tokio",
    "Instant",
    "SystemTime",
    "reqwest",
    "sqlx",
    "Rng::new",
];

/// The names of a path, from the root of the crate on.
type Names = Vec<String>;

/// The paths into the crate that a file names, those of its tests apart.
struct Imports {
    /// Of the module that is being read.
    module: Names,
    of_tests: bool,
    found: Vec<(Names, bool)>,
}

impl Imports {
    fn of(path: &Path, root: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let file: File = syn::parse_file(&text).unwrap();
        let inside = path.strip_prefix(root).unwrap().with_extension("");
        let mut module: Names = inside
            .iter()
            .map(|it| it.to_str().unwrap().to_owned())
            .collect();
        let name = module.pop().unwrap();
        let of_tests = name.ends_with("tests");
        // A file of tests stands beside its module, and is a module of it.
        let name = name
            .strip_suffix("_tests")
            .map(str::to_owned)
            .unwrap_or(name);
        if name != "mod" && name != "lib" && name != "tests" {
            module.push(name);
        }
        if of_tests {
            module.push("tests".to_owned());
        }
        let mut imports = Self {
            module,
            of_tests,
            found: Vec::new(),
        };
        imports.visit_file(&file);
        imports
    }

    fn note(&mut self, names: Names) {
        let (mut at, mut rest) = (self.module.clone(), names.as_slice());
        match rest.first().map(String::as_str) {
            Some("crate") => at.clear(),
            Some("super") => _ = at.pop(),
            Some("self") => {}
            // Of another crate, or a name that an import brought.
            _ => return,
        }
        rest = &rest[1..];
        while rest.first().is_some_and(|it| it == "super") {
            at.pop();
            rest = &rest[1..];
        }
        at.extend_from_slice(rest);
        self.found.push((at, self.of_tests));
    }

    fn tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.tree(&with(path.ident.to_string()), &path.tree),
            UseTree::Name(name) => self.note(with(name.ident.to_string())),
            UseTree::Rename(name) => self.note(with(name.ident.to_string())),
            UseTree::Glob(_) => self.note(before.to_vec()),
            UseTree::Group(group) => group.items.iter().for_each(|it| self.tree(before, it)),
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // One that has a single name is no way into the crate: the `crate` of `pub(crate)`, `self`, a local.
        if path.segments.len() > 1 {
            let names = path.segments.iter().map(|it| it.ident.to_string());
            self.note(names.collect());
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let before = self.of_tests;
        self.of_tests |= item.attrs.iter().any(is_for_tests);
        self.module.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.module.pop();
        self.of_tests = before;
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

/// The room that a path leads to.
fn room(names: &[String]) -> Option<&'static str> {
    let first = names.first()?;
    let inside = match names.get(1) {
        Some(second) if first == "pure" => format!("pure/{second}"),
        _ => first.clone(),
    };
    TABLE.iter().map(|it| it.0).find(|it| **it == inside)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|it| it.is_dir());
    let mut all: Vec<PathBuf> = dirs.iter().flat_map(|it| self::files(it)).collect();
    all.extend(
        files
            .into_iter()
            .filter(|it| it.extension().is_some_and(|it| it == "rs")),
    );
    all
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn allowed(room: &str) -> BTreeSet<&'static str> {
    let row = TABLE.iter().find(|it| it.0 == room).unwrap();
    row.1.iter().copied().collect()
}

/// A room's tests may use what lies below it, however far.
fn below(room: &str) -> BTreeSet<&'static str> {
    let mut all = allowed(room);
    for next in allowed(room) {
        all.extend(below(next));
    }
    all
}

#[test]
fn each_room_imports_only_what_the_table_allows() {
    let root = source();
    let mut wrong = Vec::new();
    for path in files(&root) {
        let shown = path.strip_prefix(&root).unwrap().display().to_string();
        // The faces only say what there is.
        if ["lib.rs", "pure/mod.rs"].contains(&&*shown) {
            continue;
        }
        let imports = Imports::of(&path, &root);
        let Some(home) = room(&imports.module) else {
            wrong.push(format!("{shown}: it lies in no room"));
            continue;
        };
        for (names, of_tests) in imports.found {
            let allowed = if of_tests { below(home) } else { allowed(home) };
            match room(&names) {
                Some(other) if other == home || allowed.contains(other) => {}
                Some(other) => wrong.push(format!("{shown}: {home} imports {other}")),
                None => wrong.push(format!("{shown}: {} is no room", names.join("::"))),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_circle() {
    for (room, _) in TABLE {
        assert!(!below_is_endless(room, &mut Vec::new()), "{room}");
    }
}

fn below_is_endless(room: &'static str, way: &mut Vec<&'static str>) -> bool {
    if way.contains(&room) {
        return true;
    }
    way.push(room);
    let endless = allowed(room)
        .into_iter()
        .any(|it| below_is_endless(it, way));
    way.pop();
    endless
}

#[test]
fn what_decides_names_no_clock_no_io_and_no_randomness_of_its_own() {
    for path in files(&source().join("pure")) {
        let text = fs::read_to_string(&path).unwrap();
        for word in IMPURE {
            assert!(!has_word(&text, word), "{word} in {}", path.display());
        }
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let is_of_a_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !is_of_a_word(before.chars().next_back()) && !is_of_a_word(after.chars().next())
    })
}

#[test]
fn the_architecture_has_the_same_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let text = fs::read_to_string(file).unwrap();
    let rows = text.lines().skip_while(|it| *it != "| room | may import |");
    let rows = rows.skip(2).take_while(|it| it.starts_with('|'));
    let told: BTreeMap<String, BTreeSet<String>> = rows
        .map(|row| {
            let mut names = row.split('`').skip(1).step_by(2).map(str::to_owned);
            (names.next().unwrap(), names.collect())
        })
        .collect();
    let held = TABLE.iter().map(|(room, allowed)| {
        let allowed = allowed.iter().map(ToString::to_string).collect();
        (room.to_string(), allowed)
    });
    assert_eq!(told, held.collect());
}
