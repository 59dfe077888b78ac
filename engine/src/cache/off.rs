//! In the place of the cache, in a program that was built without the feature `cache`: its words, and no way to get one.
//! Nobody can call what is below.

mod clears;
mod damage;
mod row;
mod terms;

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::sync::broadcast;

/// What the outbox needs of it.
pub(crate) mod files {
    pub(crate) use super::damage::{Remedy, Trouble, remove_aside};
}

pub(crate) use clears::Clear;
pub use clears::{Lease, Standing};
pub use damage::{CacheWarning, WarningKind};
pub use row::{Cacheable, Row};
pub use terms::{CacheConfig, CacheError, CacheInfo, CacheKey, Changes, Loaded};

/// The cache, which this program was built without: the feature `cache` has it.
#[derive(Debug, Clone)]
pub struct Cache {
    never: Infallible,
}

/// The records after the first page: there are none.
#[doc(hidden)]
pub struct Rest {
    never: Infallible,
}

impl Rest {
    pub async fn next(&mut self) -> Option<Vec<Row>> {
        match self.never {}
    }
}

impl Cache {
    /// What goes wrong from now on.
    pub fn warnings(&self) -> broadcast::Receiver<CacheWarning> {
        match self.never {}
    }

    #[doc(hidden)]
    pub async fn load(&self, _: &CacheKey, _: usize) -> Result<Option<Loaded>, CacheError> {
        match self.never {}
    }

    #[doc(hidden)]
    pub fn lease(&self, _: CacheKey) -> Arc<Lease> {
        match self.never {}
    }

    #[doc(hidden)]
    pub async fn write(&self, _: &Arc<Lease>, _: Changes) -> Result<(), CacheError> {
        match self.never {}
    }

    /// Waits until all that was asked before is written, no longer than the deadline.
    pub async fn flush(&self, _: Duration) -> Result<(), CacheError> {
        match self.never {}
    }

    /// Removes the rows of a key, of an account, of both at once, or all there are.
    pub async fn clear(&self, _: Option<String>, _: Option<String>) -> Result<(), CacheError> {
        match self.never {}
    }

    #[doc(hidden)]
    pub fn purge(&self, _: &CacheKey) -> std::future::Ready<Result<(), CacheError>> {
        match self.never {}
    }

    #[doc(hidden)]
    pub fn purge_space(
        &self,
        _: Option<String>,
        _: String,
    ) -> std::future::Ready<Result<(), CacheError>> {
        match self.never {}
    }

    pub(crate) fn clear_all(&self, _: Clear) -> std::future::Ready<Result<(), CacheError>> {
        match self.never {}
    }

    /// What the cache holds.
    pub async fn info(&self) -> Result<CacheInfo, CacheError> {
        match self.never {}
    }

    pub(crate) async fn rows_of(&self, _: &str) -> Option<(u64, i64)> {
        match self.never {}
    }

    /// Lets go of the file.
    pub async fn close(&self) -> Result<(), CacheError> {
        match self.never {}
    }
}
