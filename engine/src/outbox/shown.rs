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
            write::{Action, CONFLICT, WriteId, WriteState},
        },
        protocol::record::AtUri,
        store::{
            edit::EditError,
            entry,
            written::{Overlay, Written},
        },
    },
    watch::writes::News,
};

/// What a watch is told of a record: it shows what its last write makes of it, and as failed if one of them has.
pub(super) fn news(queue: &Queue, record: &RecordKey, now: Duration, confirmed: bool) -> News {
    let space = record.1.as_deref().map(Arc::from);
    let Some(last) = queue.of_record(record).last() else {
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
    let failed = queue
        .of_record(record)
        .find(|it| it.state == WriteState::Failed);
    let views: HashSet<String> = queue.of_record(record).map(|it| it.view.clone()).collect();
    let error = failed.and_then(|it| it.error.as_ref());
    let overlay = Overlay {
        written: Written {
            id: failed.unwrap_or(last).write.id,
            deletes: matches!(last.write.action, Action::Delete),
            sent: last.state.is_sent(),
            cid: last.cid.clone(),
            over: last.write.swap.clone(),
            past: queue.past(now, record),
        },
        uri: last.write.uri.clone(),
        space,
        value: match &last.write.action {
            Action::Put(value) => Some(value.clone()),
            Action::Delete => None,
        },
        time_us: last.time_us,
        failed: error.map(|it| EditError::new(name(&it.kind), &*it.message)),
        adds: false,
    };
    News::Shown {
        views: Arc::new(views),
        overlay: Box::new(overlay),
    }
}

fn name(kind: &str) -> &str {
    match kind {
        CONFLICT => entry::CONFLICT,
        kind => kind,
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
