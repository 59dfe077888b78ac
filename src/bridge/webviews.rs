//! What Tauri knows of webviews: how one reaches their pages, and when they are gone.

use std::sync::{Arc, Weak};

use contrail_sync_engine::WatchSpec;
use tauri::{Emitter, Listener, Runtime, Webview};

use super::{Bridge, Send};
use crate::error::Result;

/// Nobody sends this event: it is the name of a listener that only lives as long as its webview.
const FAREWELL: &str = "contrail-sync://farewell";

/// Opens a handle for a page of this webview, or finds it open, and gives its state as JSON.
pub(crate) async fn open<R: Runtime>(
    bridge: &Arc<Bridge>,
    webview: Webview<R>,
    session: String,
    handle: u32,
    spec: WatchSpec,
) -> Result<String> {
    let (label, send) = (webview.label().to_owned(), sender(bridge, webview.clone()));
    let opened = bridge.open(&label, session, handle, spec, send).await;
    // Only now: if the webview went meanwhile, the handle goes, too.
    heed(bridge, &webview);
    opened
}

/// Takes the handles of this webview back once it is gone.
///
/// No event tells of that: a window may hold several webviews, each of them can be closed or moved to another window, and a
/// window's label is not always its webview's. But Tauri drops the listeners of a webview with it.
fn heed<R: Runtime>(bridge: &Arc<Bridge>, webview: &Webview<R>) {
    let label = webview.label().to_owned();
    if !bridge.lock().heed(&label) {
        return;
    }
    let farewell = Farewell {
        bridge: Arc::downgrade(bridge),
        label,
    };
    let listener = webview.listen(FAREWELL, move |_| {
        let _ = &farewell;
    });
    // It may have gone before it had the listener, which then would stay.
    if !is_there(webview) {
        webview.unlisten(listener);
    }
}

/// Takes the handles of a webview back as it is dropped.
struct Farewell {
    bridge: Weak<Bridge>,
    label: String,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if let Some(bridge) = self.bridge.upgrade() {
            bridge.forget(&self.label);
        }
    }
}

/// What reaches the pages of a webview.
fn sender<R: Runtime>(bridge: &Arc<Bridge>, webview: Webview<R>) -> Send {
    let bridge = Arc::downgrade(bridge);
    Arc::new(move |event, json| {
        // Tauri takes an event for one that is gone, too; and its listeners go later, if others are just being called.
        if !is_there(&webview) {
            if let Some(bridge) = bridge.upgrade() {
                bridge.forget(webview.label());
            }
            return false;
        }
        let sent = webview.emit_to(webview.label(), event, json);
        sent.inspect_err(|error| tracing::error!(%error, "an event was not sent"))
            .is_ok()
    })
}

/// Whether the webview is one of its window's: else it was closed, by itself or with the window.
fn is_there<R: Runtime>(webview: &Webview<R>) -> bool {
    let all = webview.window().webviews();
    all.iter().any(|it| it.label() == webview.label())
}

#[cfg(test)]
#[path = "webviews_tests.rs"]
mod tests;
