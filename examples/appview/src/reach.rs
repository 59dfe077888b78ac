//! What a caller sees: which records a snapshot ranges over, and which changes are told live.

use std::sync::Arc;

use crate::query::Query;
use crate::record::{Change, Record, What};
use crate::world::World;

/// What a caller sees.
#[derive(Debug, Clone)]
pub(crate) enum Reach {
    /// One space.
    Space(Arc<str>),
    /// What a community wrote, in those of its spaces that the caller reaches, and, in snapshots only, outside.
    Community { did: String, spaces: Vec<Arc<str>> },
    /// A list of what is public, and of what is in the caller's spaces.
    Public { spaces: Vec<Arc<str>> },
    /// What one author wrote, wherever: [`crate::Lenient::public_actor_watch`].
    Author(String),
}

impl Reach {
    /// The feeds that carry its changes, as tickets name them.
    pub(crate) fn topics(&self) -> Vec<String> {
        match self {
            Self::Space(uri) => vec![format!("space:{uri}")],
            Self::Community { spaces, .. } | Self::Public { spaces } => {
                spaces.iter().map(|uri| format!("space:{uri}")).collect()
            }
            Self::Author(did) => vec![format!("actor:{did}")],
        }
    }

    /// Every record that the query may pick from.
    pub(crate) fn records(&self, world: &World, query: &Query) -> Vec<Arc<Record>> {
        let nsid = query.collection.nsid;
        let mut records = match self {
            Self::Space(uri) => world.records(Some(uri), nsid),
            Self::Community { .. } | Self::Public { .. } => world.records(None, nsid),
            Self::Author(did) => world.everywhere(nsid, did),
        };
        if let Self::Community { spaces, .. } | Self::Public { spaces } = self {
            for space in spaces {
                records.extend(world.records(Some(space), nsid));
            }
        }
        records
    }

    /// The time that snapshots tell: milliseconds in a space, microseconds outside.
    pub(crate) fn time(&self, record: &Record) -> i64 {
        match (self, &record.space) {
            (Self::Author(_), Some(_)) => record.time.saturating_mul(1000),
            _ => record.time,
        }
    }

    /// Does the change belong to a watch of this? A kick does if it is from a space that is watched.
    pub(crate) fn includes(&self, change: &Change) -> bool {
        let author = match &change.what {
            What::Put(record) => Some(record.did.as_str()),
            What::Deleted { did, .. } => Some(did.as_str()),
            What::Kicked { .. } => None,
        };
        match self {
            Self::Space(uri) => change.space.as_ref() == Some(uri),
            Self::Community { did, spaces } => {
                let space = change.space.as_ref();
                let is_here = space.is_some_and(|space| spaces.contains(space));
                is_here && author.is_none_or(|author| author == did)
            }
            Self::Public { .. } => false,
            Self::Author(did) => author == Some(did),
        }
    }
}
