//! Live queries for Tauri apps.
