//! Which records changed since someone was told, by their slots.

use crate::pure::store::change::Touch;

/// How the records in some slots changed. Merging and asking cost next to nothing, however many there are.
#[derive(Debug, Default)]
pub struct Touches {
    /// By slot.
    touches: Vec<Option<Touch>>,
    /// A bit for each slot that has a touch: a search skips 64 at a time.
    words: Vec<u64>,
    /// How many there are of each touch.
    counts: [usize; 3],
}

impl Touches {
    /// How many slots are touched.
    pub fn len(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many slots are touched like this.
    pub fn count(&self, touch: Touch) -> usize {
        self.counts[touch as usize]
    }

    /// How the record in a slot changed.
    pub fn get(&self, slot: usize) -> Option<Touch> {
        self.touches.get(slot).copied().flatten()
    }

    /// The touched slots.
    pub fn slots(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let without_lowest = |left: &u64| Some(left & (left - 1)).filter(|it| *it != 0);
            let left = std::iter::successors(Some(*word).filter(|it| *it != 0), without_lowest);
            left.map(move |left| 64 * at + left.trailing_zeros() as usize)
        })
    }

    /// One more change of the record in a slot. Who has not heard of it yet still has to hear that it is new.
    pub fn merge(&mut self, slot: usize, touch: Touch) {
        if slot >= self.touches.len() {
            self.touches.resize(slot + 1, None);
            self.words.resize(slot / 64 + 1, 0);
        }
        let merged = match self.touches[slot] {
            Some(known) if known != Touch::Content && touch != Touch::New => return,
            Some(known) if known == touch => return,
            known => {
                if let Some(known) = known {
                    self.counts[known as usize] -= 1;
                }
                touch
            }
        };
        self.counts[merged as usize] += 1;
        self.touches[slot] = Some(merged);
        self.words[slot / 64] |= 1 << (slot % 64);
    }

    /// Untouches a slot.
    pub fn take(&mut self, slot: usize) -> Option<Touch> {
        let touch = self.touches.get_mut(slot)?.take()?;
        self.counts[touch as usize] -= 1;
        self.words[slot / 64] &= !(1 << (slot % 64));
        Some(touch)
    }

    /// Untouches all slots.
    pub fn clear(&mut self) {
        self.touches.clear();
        self.words.clear();
        self.counts = [0; 3];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_agrees_with_a_map_over_random_changes() {
        let mut rng = fastrand::Rng::with_seed(5);
        let (mut touches, mut naive) = (Touches::default(), BTreeMap::<usize, Touch>::new());
        for round in 0..20_000 {
            let slot = rng.usize(..300);
            match rng.u8(..10) {
                0..6 => {
                    let touch = [Touch::New, Touch::Content, Touch::Moved][rng.usize(..3)];
                    touches.merge(slot, touch);
                    let known = naive.entry(slot).or_insert(touch);
                    if *known == Touch::Content || touch == Touch::New {
                        *known = touch;
                    }
                }
                6..9 => assert_eq!(touches.take(slot), naive.remove(&slot)),
                _ if round % 100 == 0 => {
                    touches.clear();
                    naive.clear();
                }
                _ => assert_eq!(touches.get(slot), naive.get(&slot).copied()),
            }
            assert_eq!(touches.len(), naive.len());
            if round % 50 == 0 {
                assert!(touches.slots().eq(naive.keys().copied()));
                for touch in [Touch::New, Touch::Content, Touch::Moved] {
                    let alike = naive.values().filter(|it| **it == touch);
                    assert_eq!(touches.count(touch), alike.count());
                }
            }
        }
    }

    #[test]
    fn a_slot_costs_no_more_than_its_touch_and_a_bit() {
        let mut touches = Touches::default();
        touches.merge(6399, Touch::New);
        assert_eq!((touches.touches.len(), touches.words.len()), (6400, 100));
    }
}
