//! `ring`: consistent hashing. Each part has many points on a ring of 2^64; a key belongs to the first point at or
//! after its hash. A new part takes its share from all others, and nothing else moves.

use twox_hash::XxHash3_64;

use crate::value::Key;

/// Points of a part for each unit of its weight. Never changes: it decides where data lies.
pub(super) const POINTS_PER_WEIGHT: u32 = 160;

/// A ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Hash and part of each point, ascending.
    points: Vec<(u64, u32)>,
    weights: Vec<u32>,
}

impl Ring {
    /// A ring on which part n has weight `weights[n]`.
    pub(crate) fn new(weights: Vec<u32>) -> Ring {
        let mut points = Vec::new();
        for (part, weight) in weights.iter().enumerate() {
            for point in 0..weight * POINTS_PER_WEIGHT {
                points.push((XxHash3_64::oneshot(format!("{part}/{point}").as_bytes()), part as u32));
            }
        }
        points.sort_unstable();
        Ring { points, weights }
    }

    /// How many parts there are.
    pub(crate) fn parts(&self) -> u32 {
        self.weights.len() as u32
    }

    /// The part of a key; NULL is in part 0.
    pub(crate) fn route(&self, key: &Key) -> Option<u32> {
        if let Key::Null = key {
            return Some(0);
        }
        let hash = key.with_bytes(XxHash3_64::oneshot);
        let at = self.points.partition_point(|(point, _)| *point < hash);
        self.points.get(at).or(self.points.first()).map(|(_, part)| *part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: i128 = 100_000;

    fn shares(ring: &Ring) -> Vec<f64> {
        let mut counts = vec![0u32; ring.parts() as usize];
        for key in 0..KEYS {
            if let Some(part) = ring.route(&Key::Int(key)) {
                counts[part as usize] += 1;
            }
        }
        counts.iter().map(|count| f64::from(*count) / KEYS as f64).collect()
    }

    /// Frozen: these decide where data lies. Computed with the reference implementation of the hash.
    #[test]
    fn vectors() {
        let ring = Ring::new(vec![1; 8]);
        for (key, part) in [(0, 6), (1, 5), (2, 7), (3, 4), (1_000_000_007, 6), (-1, 3)] {
            assert_eq!(ring.route(&Key::Int(key)), Some(part), "{key}");
        }
        assert_eq!(ring.route(&Key::Null), Some(0));
    }

    #[test]
    fn parts_are_even_within_a_fifth() {
        for (part, share) in shares(&Ring::new(vec![1; 8])).into_iter().enumerate() {
            assert!((0.8..1.2).contains(&(share * 8.0)), "part {part} has {share}");
        }
    }

    #[test]
    fn weights_are_shares() {
        let shares = shares(&Ring::new(vec![1, 1, 2]));
        assert!((0.8..1.2).contains(&(shares[2] / 0.5)), "{shares:?}");
    }

    #[test]
    fn a_new_part_takes_only_its_share() {
        let (before, after) = (Ring::new(vec![1; 8]), Ring::new(vec![1; 9]));
        let mut moved = 0;
        for key in (0..KEYS).map(Key::Int) {
            let (old, new) = (before.route(&key), after.route(&key));
            if old != new {
                assert_eq!(new, Some(8), "nothing moves between old parts");
                moved += 1;
            }
        }
        let share = f64::from(moved) / KEYS as f64;
        assert!((0.8..1.2).contains(&(share * 9.0)), "{share} of the keys moved");
    }
}
