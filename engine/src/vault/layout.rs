//! How secrets lie in the keyring's items. Nothing in here depends on the platform.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{SECRET_MAX, Secret, items::Items, state::Failure};

/// How a vault lays its secrets out in the keyring's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// One item per secret, and one that lists their names.
    PerName,
    /// All secrets in one item, as JSON: for keyrings that prompt for each item.
    OneItem,
    /// As `PerName`, and what is longer than an item may be is split over several.
    Split {
        /// The most bytes in one item; at least 128.
        max: usize,
    },
}

impl Default for Layout {
    /// What suits this platform's keyring.
    fn default() -> Self {
        if cfg!(target_os = "macos") {
            // Asks the user about every item anew after each build in development.
            Self::OneItem
        } else if cfg!(target_os = "windows") {
            Self::Split { max: 2560 }
        } else {
            Self::PerName
        }
    }
}

/// The item of one secret.
fn secret_item(name: &str) -> String {
    format!("contrail-sync/{name}")
}

/// The item with the names of all secrets; unused by `OneItem`.
const INDEX: &str = "contrail-sync names";
/// The only item of `OneItem`.
const ALL: &str = "contrail-sync secrets";

/// A generation's part of an item that is split. No other item's name begins like this.
fn part_item(item: &str, generation: u8, part: usize) -> String {
    format!("part {generation}.{part} of {item}")
}

/// The most bytes that are written in one piece, be it over several items.
const PIECE_MAX: usize = 512 * 1024;
/// An item of the layout `Split` begins with one of these: the content itself, or a `Head`.
const WHOLE: u8 = b'=';
const PARTS: u8 = b'#';

/// Says where the parts are. Written after them, so that a crash in between leaves the earlier content.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Head {
    /// 0 or 1: the parts of the next content are written beside those of this one.
    generation: u8,
    bytes: usize,
    sum: u64,
}

/// The secrets in a keyring's items.
pub(super) struct Drawer<'a> {
    items: &'a Items,
    layout: Layout,
}

impl<'a> Drawer<'a> {
    pub(super) fn new(items: &'a Items, layout: Layout) -> Self {
        let layout = match layout {
            Layout::Split { max } => Layout::Split { max: max.max(128) },
            layout => layout,
        };
        Self { items, layout }
    }

    pub(super) fn get(&self, name: &str) -> Result<Option<Secret>, Failure> {
        if self.layout == Layout::OneItem {
            return Ok(self.read_all()?.remove(name));
        }
        let Some(bytes) = self.read(&secret_item(name))? else {
            return Ok(None);
        };
        match std::str::from_utf8(&bytes) {
            Ok(text) if text.len() <= SECRET_MAX => Ok(Some(Secret::new(text))),
            _ => Err(Failure::Damaged),
        }
    }

    pub(super) fn set(&self, name: &str, secret: &Secret) -> Result<(), Failure> {
        if self.layout == Layout::OneItem {
            let mut all = heal(self.read_all())?;
            all.insert(name.into(), secret.clone());
            return self.write_all(&all);
        }
        // Listed first: a name without a secret does no harm, a secret without a name is never cleared.
        let mut names = heal(self.read_names())?;
        if names.insert(name.into()) {
            self.write_names(&names)?;
        }
        self.write(&secret_item(name), secret.expose().as_bytes())
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), Failure> {
        if self.layout == Layout::OneItem {
            let mut all = heal(self.read_all())?;
            return match all.remove(name) {
                Some(_) => self.write_all(&all),
                None => Ok(()),
            };
        }
        self.remove(&secret_item(name))?;
        let mut names = heal(self.read_names())?;
        match names.remove(name) {
            true => self.write_names(&names),
            false => Ok(()),
        }
    }

    /// Erases what begins with `prefix`; `known` are such names that the list may lack.
    pub(super) fn clear(&self, prefix: &str, known: &[String]) -> Result<(), Failure> {
        if self.layout == Layout::OneItem {
            let mut all = heal(self.read_all())?;
            all.retain(|name, _| !name.starts_with(prefix));
            return self.write_all(&all);
        }
        let listed = match self.read_names() {
            Err(Failure::Damaged) => None,
            names => Some(names?),
        };
        let damaged = listed.is_none();
        let (mut gone, kept): (BTreeSet<_>, BTreeSet<_>) = listed
            .unwrap_or_default()
            .into_iter()
            .partition(|name| name.starts_with(prefix));
        gone.extend(known.iter().cloned());
        for name in &gone {
            self.remove(&secret_item(name))?;
        }
        self.write_names(&kept)?;
        if damaged {
            Err(Failure::Damaged)
        } else {
            Ok(())
        }
    }

    fn read_names(&self) -> Result<BTreeSet<String>, Failure> {
        self.read_json(INDEX)
    }

    fn read_all(&self) -> Result<BTreeMap<String, Secret>, Failure> {
        let all: BTreeMap<String, String> = self.read_json(ALL)?;
        let secrets = all
            .into_iter()
            .map(|(name, text)| (name, Secret::new(text)));
        Ok(secrets.collect())
    }

    fn write_names(&self, names: &BTreeSet<String>) -> Result<(), Failure> {
        if names.is_empty() {
            return self.remove(INDEX);
        }
        self.write_json(INDEX, names)
    }

    fn write_all(&self, all: &BTreeMap<String, Secret>) -> Result<(), Failure> {
        if all.is_empty() {
            return self.remove(ALL);
        }
        let texts: BTreeMap<_, _> = all.iter().map(|(name, s)| (name, s.expose())).collect();
        self.write_json(ALL, &texts)
    }

    /// Empty where there is no such item.
    fn read_json<T: DeserializeOwned + Default>(&self, item: &str) -> Result<T, Failure> {
        match self.read(item)? {
            // The parser's error quotes what it read.
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|_| Failure::Damaged),
            None => Ok(T::default()),
        }
    }

    fn write_json(&self, item: &str, value: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_vec(value).map_err(|_| Failure::Damaged)?;
        self.write(item, &Zeroizing::new(json))
    }

    fn read(&self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        match self.layout {
            // Another process may have replaced the parts while we read them.
            Layout::Split { .. } => match self.read_split(item) {
                Err(Failure::Damaged) => self.read_split(item),
                read => read,
            },
            Layout::PerName | Layout::OneItem => self.items.read(item),
        }
    }

    fn write(&self, item: &str, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.len() > PIECE_MAX {
            return Err(Failure::Full);
        }
        match self.layout {
            Layout::Split { max } => self.write_split(item, bytes, max),
            Layout::PerName | Layout::OneItem => self.items.write(item, bytes),
        }
    }

    fn remove(&self, item: &str) -> Result<(), Failure> {
        let Layout::Split { max } = self.layout else {
            return self.items.remove(item);
        };
        let before = self.head(item)?;
        self.items.remove(item)?;
        self.sweep(item, before, None, max)
    }

    /// What an item of the layout `Split` says of its parts, if it has any.
    fn head(&self, item: &str) -> Result<Option<Head>, Failure> {
        Ok(self.items.read(item)?.and_then(|first| Head::parse(&first)))
    }

    fn read_split(&self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let Some(first) = self.items.read(item)? else {
            return Ok(None);
        };
        if let Some((&WHOLE, content)) = first.split_first() {
            return Ok(Some(Zeroizing::new(content.to_vec())));
        }
        let head = Head::parse(&first).ok_or(Failure::Damaged)?;
        let mut content = Zeroizing::new(Vec::with_capacity(head.bytes));
        for part in 0.. {
            if content.len() >= head.bytes {
                break;
            }
            let name = part_item(item, head.generation, part);
            match self.items.read(&name)? {
                Some(bytes) if !bytes.is_empty() => content.extend_from_slice(&bytes),
                _ => return Err(Failure::Damaged),
            }
        }
        if content.len() == head.bytes && checksum(&content) == head.sum {
            Ok(Some(content))
        } else {
            Err(Failure::Damaged)
        }
    }

    fn write_split(&self, item: &str, bytes: &[u8], max: usize) -> Result<(), Failure> {
        let before = self.head(item)?;
        if bytes.len() < max {
            let whole = Zeroizing::new([&[WHOLE], bytes].concat());
            self.items.write(item, &whole)?;
            return self.sweep(item, before, None, max);
        }
        let head = Head {
            generation: before.map_or(0, |head| 1 - head.generation),
            bytes: bytes.len(),
            sum: checksum(bytes),
        };
        for (part, content) in bytes.chunks(max).enumerate() {
            self.items
                .write(&part_item(item, head.generation, part), content)?;
        }
        self.items.write(item, &head.to_bytes()?)?;
        self.sweep(item, before, Some(head), max)
    }

    /// Removes all parts but those of `now`: the ones of `before`, and what a crash left.
    fn sweep(
        &self,
        item: &str,
        before: Option<Head>,
        now: Option<Head>,
        max: usize,
    ) -> Result<(), Failure> {
        for generation in [0, 1] {
            let parts = |head: Option<Head>| match head {
                Some(head) if head.generation == generation => head.bytes.div_ceil(max),
                _ => 0,
            };
            let start = parts(now);
            let mut end = start.max(parts(before));
            while self
                .items
                .read(&part_item(item, generation, end))?
                .is_some()
            {
                end += 1;
            }
            // The last one first: a crash leaves no gap before others.
            for part in (start..end).rev() {
                self.items.remove(&part_item(item, generation, part))?;
            }
        }
        Ok(())
    }
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let json = bytes.strip_prefix(&[PARTS])?;
        let head: Self = serde_json::from_slice(json).ok()?;
        (head.generation <= 1 && head.bytes <= PIECE_MAX).then_some(head)
    }

    fn to_bytes(self) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![PARTS];
        serde_json::to_writer(&mut bytes, &self).map_err(|_| Failure::Damaged)?;
        Ok(bytes)
    }
}

/// What is damaged counts as empty, for who is about to replace it.
fn heal<T: Default>(read: Result<T, Failure>) -> Result<T, Failure> {
    match read {
        Err(Failure::Damaged) => Ok(T::default()),
        read => read,
    }
}

/// FNV-1a: enough to tell that parts do not belong together.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}
