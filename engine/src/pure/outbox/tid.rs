//! Record keys that sort by time, as the AT Protocol makes them.

/// As the AT Protocol writes numbers so that texts sort as they do.
const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";
/// Digits of a TID, five bits each.
const DIGITS: u32 = 13;
/// Bits of the number that tells clocks apart.
const CLOCK_BITS: u32 = 10;
/// Most microseconds since the Unix epoch that a TID can say: 53 bits.
const MAX_MICROS: u64 = (1 << 53) - 1;

/// Makes TIDs: record keys that say when they were made, each later than the one before, whatever the clock does.
#[derive(Debug)]
pub struct Tids {
    /// Tells what this clock makes from what others make in the same microsecond.
    clock: u64,
    last: u64,
}

impl Tids {
    /// `clock`: any number, of which ten bits are used.
    pub fn new(clock: u64) -> Self {
        Self {
            clock: clock % (1 << CLOCK_BITS),
            last: 0,
        }
    }

    /// The next one. `now_us`: microseconds since the Unix epoch.
    pub fn next(&mut self, now_us: i64) -> String {
        let now = u64::try_from(now_us).unwrap_or(0).min(MAX_MICROS);
        self.last = now.max(self.last.saturating_add(1)).min(MAX_MICROS);
        let number = (self.last << CLOCK_BITS) | self.clock;
        (0..DIGITS)
            .rev()
            .map(|digit| {
                let value = (number >> (5 * digit)) & 31;
                char::from(ALPHABET.get(value as usize).copied().unwrap_or(b'2'))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tid_says_its_time_as_others_do() {
        // 2023-11-14T22:13:20Z, as other implementations write it.
        let tid = Tids::new(0).next(1_700_000_000_000_000);
        assert_eq!(tid.len(), 13);
        assert_eq!(decoded(&tid), 1_700_000_000_000_000 << CLOCK_BITS);
        assert_eq!(Tids::new(31).next(1), "222222222232z");
    }

    #[test]
    fn each_is_later_than_the_one_before_whatever_the_clock_does() {
        let mut tids = Tids::new(7);
        let times = [5_000, 5_000, 4_000, -1, i64::MIN, 5_001, i64::MAX >> 12];
        let made: Vec<String> = times.map(|time| tids.next(time)).into();
        assert!(made.is_sorted_by(|a, b| a < b), "{made:?}");
    }

    #[test]
    fn two_clocks_never_make_the_same() {
        assert_ne!(Tids::new(1).next(9), Tids::new(2).next(9));
        assert_eq!(Tids::new(1).next(9), Tids::new(1025).next(9));
    }

    fn decoded(tid: &str) -> u64 {
        let digit = |it: u8| ALPHABET.iter().position(|a| *a == it).unwrap() as u64;
        tid.bytes().fold(0, |number, it| number * 32 + digit(it))
    }
}
