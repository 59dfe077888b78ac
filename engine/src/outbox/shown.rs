//! What watches show of the queue, and what another process did to it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    pure::{
        outbox::{
            queue::Queue,
            row::{RecordKey, Row},
            write::{WriteId, WriteState},
        },
        protocol::record::AtUri,
    },
    watch::writes::News,
};

/// What a watch is told of a record: it shows what its last write makes of it, and as failed if one of them has.
pub(super) fn news(queue: &Queue, record: &RecordKey, now: Duration, confirmed: bool) -> News {
    let space = record.1.as_deref().map(Arc::from);
    let Some(overlay) = queue.overlay(now, record) else {
        return match AtUri::parse(record.2.clone()) {
            Some(uri) => News::Over {
                uri,
                space,
                confirmed,
            },
            // Only parsed URIs are queued.
            None => News::Nothing,
        };
    };
    let views: HashSet<String> = queue.of_record(record).map(|it| it.view.clone()).collect();
    News::Shown {
        views: Arc::new(views),
        overlay: Box::new(overlay),
    }
}

/// Brings the queue to what another process has made of the file. `sends`: whether this process is the one that sends.
pub(super) fn reconcile(
    queue: &mut Queue,
    rows: Vec<Row>,
    sends: bool,
    now: Duration,
    now_ms: i64,
) {
    let mut on_disk: HashMap<WriteId, Row> =
        rows.into_iter().map(|row| (row.write.id, row)).collect();
    let here: Vec<(WriteId, WriteState)> =
        queue.rows().map(|row| (row.write.id, row.state)).collect();
    for (id, state) in here {
        match on_disk.remove(&id) {
            None if state.is_sent() => queue.confirm(id),
            // The process that sends forgets what was sent.
            None if !sends && state != WriteState::Failed => queue.forget(id),
            None => queue.discard(id),
            Some(row) if !sends => queue.refresh(now, row),
            // It was changed there before it was tried here.
            Some(row) if queue.is_stale(&row) => queue.refresh(now, row),
            Some(row) => {
                if state == WriteState::Failed && row.state == WriteState::Queued {
                    queue.retry(now_ms, id);
                }
            }
        }
    }
    let mut new: Vec<Row> = on_disk.into_values().collect();
    new.sort_by_key(|it| it.write.id);
    for row in new {
        queue.insert(now, row);
    }
}
