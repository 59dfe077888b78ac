//! One page of records, as `listRecords` and snapshots beside the stream have it.

use super::record::Record;

/// One page of records.
#[derive(Debug)]
pub struct Listed {
    /// The records that could be read, in the server's order.
    pub records: Vec<Record>,
    /// Whether the server had none.
    pub is_empty: bool,
    /// Whether all of them could be read.
    pub is_whole: bool,
    /// Where the next page begins, if there is one.
    pub cursor: Option<String>,
}
