//! Bounds of the texts that pages give: an error names which one it is and how long it may be, and quotes nothing of it
//! but a key, cut short.

use crate::error::{Error, Result};

/// A watch's URL.
pub(crate) const URL: usize = 8 * 1024;
/// The DID of an account, as the AT Protocol bounds them.
pub(crate) const ACCOUNT: usize = 2048;
/// The name of a minter.
pub(crate) const MINTER: usize = 256;
/// The name of a watch in the cache.
pub(crate) const CACHE_KEY: usize = 4096;
/// A path into records' bodies, for sorting and filtering.
pub(crate) const PATH: usize = 512;
/// A text that a field must be equal to.
pub(crate) const CONDITION: usize = 1024;
/// What a page's function for tickets threw.
pub(crate) const THROWN: usize = 64 * 1024;

/// Checks that a text, or none, is not longer than `most` bytes.
pub(crate) fn check<'a>(what: &str, text: impl Into<Option<&'a str>>, most: usize) -> Result<()> {
    match text.into().map(str::len) {
        Some(len) if len > most => Err(Error::InvalidOptions(too_long(what, len, most))),
        _ => Ok(()),
    }
}

/// How that is said.
pub(crate) fn too_long(what: &str, len: usize, most: usize) -> String {
    format!("{what} has {len} bytes, it may have {most}")
}
