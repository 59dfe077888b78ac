//! Maps for keys that come from a server: hashed fast, with a seed of this process.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// A map with such keys.
pub(crate) type FastMap<K, V> = HashMap<K, V, RandomState>;
/// A set of such keys.
pub(crate) type FastSet<K> = HashSet<K, RandomState>;
/// How they are hashed.
pub(crate) type FastHasher = RandomState;
