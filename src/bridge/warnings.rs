//! Trouble with the cache, told to every page: as it happens, and once more to pages that come later.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use contrail_sync_engine::CacheWarning;
use tauri::{AppHandle, Emitter, Runtime};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::payload::WarningPayload;
use crate::error::Result;

/// The name of the event. What it says is no secret.
const EVENT: &str = "contrail-sync://cache-warning";
/// Warnings that are kept for later pages: most come while the app starts, before any page listens.
const KEPT: usize = 16;

/// The warnings of this process, the last ones of them.
#[derive(Default)]
pub(crate) struct Warnings {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    last: u32,
    recent: VecDeque<WarningPayload>,
}

impl Warnings {
    /// The last ones, oldest first.
    pub(crate) fn recent(&self) -> Vec<WarningPayload> {
        self.lock().recent.iter().cloned().collect()
    }

    /// Tells every page what happens from now on.
    pub(crate) async fn pass_on<R: Runtime>(
        self: Arc<Self>,
        mut warnings: Receiver<CacheWarning>,
        app: AppHandle<R>,
    ) {
        loop {
            match warnings.recv().await {
                Ok(warning) => {
                    if let Err(error) = tell(&app, &self.keep(&warning)) {
                        tracing::error!(%error, "a warning was not sent");
                    }
                }
                // Pages want to know that something is wrong, not how often.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn keep(&self, warning: &CacheWarning) -> WarningPayload {
        let mut kept = self.lock();
        kept.last = kept.last.wrapping_add(1);
        let payload = WarningPayload::new(kept.last, warning);
        kept.recent.push_back(payload.clone());
        if kept.recent.len() > KEPT {
            kept.recent.pop_front();
        }
        payload
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell<R: Runtime>(app: &AppHandle<R>, warning: &WarningPayload) -> Result<()> {
    Ok(app.emit(EVENT, serde_json::to_string(warning)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contrail_sync_engine::WarningKind;

    #[test]
    fn the_last_warnings_are_kept_in_order_with_numbers_and_without_paths() {
        let warnings = Warnings::default();
        for n in 0..40 {
            let mut warning = CacheWarning::new(WarningKind::DiskFull, format!("warning {n}"));
            warning.moved_to = Some("/somewhere/secret".into());
            warnings.keep(&warning);
        }
        let json = serde_json::to_string(&warnings.recent()).unwrap();
        assert_eq!(warnings.recent().len(), KEPT);
        assert!(json.contains("\"seq\":40") && json.contains("warning 39"));
        assert!(!json.contains("warning 23\"") && !json.contains("somewhere"));
    }
}
