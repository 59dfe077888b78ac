//! Entrances for the fuzzer to what a damaged file may hold.

use super::row::Packed;

/// Reads rows as they come from SQLite's thread. Gives how many are what was written, which only chance can make.
pub fn rows(bytes: &[u8]) -> usize {
    Packed::split(bytes).filter_map(|it| it.decode(0)).count()
}
