//! Apps that are killed at any moment, on one cache file, under traffic: each start opens, and shows nothing that was not
//! said, and nothing of another account. And what was to be written arrives.

#[cfg(unix)]
mod app;
#[path = "../common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(unix)]
mod moments;
#[cfg(unix)]
mod traffic;
#[cfg(unix)]
mod writes;
