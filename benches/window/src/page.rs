//! The page, read from the disk: a change to it needs no new program.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use tauri::{
    Assets, Runtime,
    utils::assets::{AssetKey, AssetsIter, CspHash},
};

/// The folder of the built page.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl<R: Runtime> Assets<R> for Folder {
    fn get(&self, key: &AssetKey) -> Option<Cow<'_, [u8]>> {
        let path = Path::new(key.as_ref()).strip_prefix("/").ok()?;
        let inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        std::fs::read(self.0.join(path))
            .ok()
            .filter(|_| inside)
            .map(Cow::Owned)
    }

    fn iter(&self) -> Box<AssetsIter<'_>> {
        Box::new(std::iter::empty())
    }

    fn csp_hashes(&self, _: &AssetKey) -> Box<dyn Iterator<Item = CspHash<'_>> + '_> {
        Box::new(std::iter::empty())
    }
}
