//! In the place of the outbox's file, in a program that was built without the feature `cache`: writes are in memory, where
//! the queue has them anyway, and end with the process. All that is left to do here is to number them.

use std::path::Path;

use super::terms::WriteError;
use crate::{
    cache::{
        WarningKind,
        files::{Remedy, Trouble},
    },
    pure::outbox::{
        row::{NewWrite, RecordKey, Row},
        write::WriteId,
    },
};

/// Whether this program can keep a file.
pub(super) const HAS_FILES: bool = false;

/// Numbers writes.
#[derive(Debug, Default)]
pub(super) struct Db {
    last: WriteId,
}

/// What was opened. Memory is never damaged.
pub(super) struct Opened {
    pub db: Db,
    pub mended: Option<(Trouble, usize)>,
}

impl Db {
    /// Begins with nothing.
    ///
    /// # Errors
    /// A file is asked for: what an app wants to outlive it must not be kept in memory.
    pub(super) async fn open(path: Option<&Path>) -> Result<Opened, Trouble> {
        match path {
            None => Ok(Opened {
                db: Self::default(),
                mended: None,
            }),
            Some(_) => Err(Trouble {
                kind: WarningKind::Unavailable,
                remedy: Remedy::Memory,
                message: WriteError::NoFiles.to_string(),
            }),
        }
    }

    pub(super) async fn load(&mut self) -> Result<(Vec<Row>, usize), Trouble> {
        Ok((Vec::new(), 0))
    }

    /// Gives a new write its number. The queue knows those that come twice.
    pub(super) async fn insert(&mut self, _: &NewWrite, _: bool) -> Result<WriteId, Trouble> {
        self.last += 1;
        Ok(self.last)
    }

    /// No other process could have sent it meanwhile.
    pub(super) async fn replace(&mut self, _: &Row) -> Result<bool, Trouble> {
        Ok(true)
    }

    /// No other process has changed one.
    pub(super) async fn keep<'a>(
        &mut self,
        _: impl Iterator<Item = (WriteId, Option<&'a Row>)>,
    ) -> Result<Vec<WriteId>, Trouble> {
        Ok(Vec::new())
    }

    pub(super) async fn keep_made(
        &mut self,
        _: &[(RecordKey, Vec<String>)],
    ) -> Result<(), Trouble> {
        Ok(())
    }

    pub(super) async fn made(&mut self) -> Result<Vec<(RecordKey, Vec<String>)>, Trouble> {
        Ok(Vec::new())
    }

    pub(super) async fn forget_made(&mut self, _: Option<&str>) -> Result<(), Trouble> {
        Ok(())
    }

    /// No other process changes it.
    pub(super) async fn version(&mut self) -> Result<i64, Trouble> {
        Ok(0)
    }

    pub(super) async fn close(self) {}
}
