//! Generates the permissions of the commands, and checks the scope that they share. Names the script for apps with
//! `withGlobalTauri`, which `npm run iife` in guest-js makes.

#[path = "src/scope.rs"]
#[allow(dead_code)]
mod scope;

const COMMANDS: &[&str] = &[
    "open_watch",
    "close_watch",
    "watch_state",
    "ack_watch",
    "edit_watch",
    "load_more",
    "refresh_watch",
    "renew_session",
    "wake_watches",
    "answer_mint",
    "put_record",
    "delete_record",
    "retry_write",
    "discard_write",
    "watch_writes",
    "pending_writes",
    "discard_writes",
    "next_tid",
    "answer_send",
    "set_secret",
    "delete_secret",
    "clear_tickets",
    "clear_cache",
    "cache_info",
    "cache_warnings",
    "inspect_watches",
    "inspect_act",
];

/// Scope entry of contrail-sync.
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum ScopeEntry {
    /// A URL that the webview may watch, as a pattern of the URL Pattern standard.
    ///
    /// - "https://appview.example": every path of that origin, on port 443
    ///
    /// - "https://*.example/xrpc/*": the xrpc routes of every subdomain
    ///
    /// - "http://127.0.0.1:*": every port of the loopback address
    ///
    /// - "https://appview.example/*\\?actor=did\\:plc\\:alice": one query; colons are escaped
    Value(String),
    /// The same, under a name.
    Object {
        /// A URL that the webview may watch, as a pattern of the URL Pattern standard.
        url: String,
    },
}

// The schema above and what `scope.rs` reads must not drift apart.
fn _same_shape(entry: scope::EntryRaw) -> ScopeEntry {
    match entry {
        scope::EntryRaw::Value(url) => ScopeEntry::Value(url),
        scope::EntryRaw::Object { url } => ScopeEntry::Object { url },
    }
}

fn main() {
    tauri_plugin::Builder::new(COMMANDS)
        .global_api_script_path("./api-iife.js")
        .global_scope_schema(schemars::schema_for!(ScopeEntry))
        .build();
}
