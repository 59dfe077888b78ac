//! One page of records, as `listRecords` and snapshots beside the stream have it.

use super::record::{AtUri, Record};

/// One page of records.
#[derive(Debug)]
pub struct Listed {
    /// The records that could be read, in the server's order.
    pub records: Vec<Record>,
    /// Whether the server had none.
    pub is_empty: bool,
    /// Those that could not be read, as far as they can be named.
    pub unreadable: Vec<AtUri>,
    /// Where the next page begins, if there is one.
    pub cursor: Option<String>,
}
