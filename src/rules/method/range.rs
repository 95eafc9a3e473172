//! `range`: ascending bounds, each the first key of its part. Below the first and from the last on there is a part
//! only if the rule says so.

use std::cmp::Ordering;
use std::ops::Bound;

use crate::rules::shards::Shards;
use crate::value::Key;

/// Ascending bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges {
    /// Each the first key of a part; the last one, unless `open_above`, is the first key behind them all.
    pub(crate) bounds: Vec<Key>,
    /// There is a part for what is below the first bound (NULL, too).
    pub(crate) open_below: bool,
    /// There is a part for what is from the last bound on.
    pub(crate) open_above: bool,
}

impl Ranges {
    /// How many parts there are.
    pub(crate) fn parts(&self) -> u32 {
        (self.bounds.len() as u32 + u32::from(self.open_below) + u32::from(self.open_above)).saturating_sub(1)
    }

    /// The part of a key; none if it lies outside or is of another type than the bounds.
    pub(crate) fn route(&self, key: &Key) -> Option<u32> {
        self.part(self.position(key)?)
    }

    /// The parts that keys in a range can be in.
    pub(crate) fn route_range(&self, low: Bound<&Key>, high: Bound<&Key>) -> Shards {
        let start = match low {
            Bound::Unbounded => Some(0),
            Bound::Included(key) | Bound::Excluded(key) => self.position(key),
        };
        let end = match high {
            Bound::Unbounded => Some(self.bounds.len()),
            Bound::Included(key) => self.position(key),
            Bound::Excluded(key) => self.position_before(key),
        };
        let (Some(start), Some(end)) = (start, end) else { return Shards::all(self.parts()) };
        (start..=end).filter_map(|position| self.part(position)).collect()
    }

    /// How many bounds are at or below the key: 0 is below all of them.
    fn position(&self, key: &Key) -> Option<usize> {
        self.comparable(key)?;
        Some(self.bounds.partition_point(|bound| bound.compare(key) != Some(Ordering::Greater)))
    }

    /// How many bounds are below the key: the position of what comes just before it.
    fn position_before(&self, key: &Key) -> Option<usize> {
        self.comparable(key)?;
        Some(self.bounds.partition_point(|bound| bound.compare(key) == Some(Ordering::Less)))
    }

    fn comparable(&self, key: &Key) -> Option<()> {
        // The bounds are of one type, which has been checked when they were read.
        self.bounds.first()?.compare(key).map(|_| ())
    }

    fn part(&self, position: usize) -> Option<u32> {
        let part = (position as u32 + u32::from(self.open_below)).checked_sub(1)?;
        (part < self.parts()).then_some(part)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(bounds: &[i128], open_below: bool, open_above: bool) -> Ranges {
        Ranges { bounds: bounds.iter().map(|bound| Key::Int(*bound)).collect(), open_below, open_above }
    }

    /// Frozen: these decide where data lies.
    #[test]
    fn vectors() {
        let open = ranges(&[100, 200], true, true);
        assert_eq!(open.parts(), 3);
        for (key, part) in [(i128::MIN, 0), (99, 0), (100, 1), (199, 1), (200, 2), (i128::MAX, 2)] {
            assert_eq!(open.route(&Key::Int(key)), Some(part), "{key}");
        }
        let closed = ranges(&[0, 100, 200], false, false);
        assert_eq!(closed.parts(), 2);
        for (key, part) in [(-1, None), (0, Some(0)), (99, Some(0)), (100, Some(1)), (199, Some(1)), (200, None)] {
            assert_eq!(closed.route(&Key::Int(key)), part, "{key}");
        }
        assert_eq!(open.route(&Key::Null), Some(0));
        assert_eq!(closed.route(&Key::Null), None);
        let text = Key::Bytes(b"m".to_vec());
        let texts = Ranges { bounds: vec![text.clone()], open_below: true, open_above: true };
        assert_eq!(texts.route(&text), Some(1));
        assert_eq!(texts.route(&Key::Bytes(b"lzz".to_vec())), Some(0));
        assert_eq!(texts.route(&Key::Int(5)), None);
        assert_eq!(texts.route_range(Bound::Included(&Key::Int(5)), Bound::Unbounded), Shards::all(2));
    }

    proptest! {
        #[test]
        fn a_range_has_the_parts_of_its_keys(
            mut bounds in proptest::collection::btree_set(-20i128..20, 2..6),
            open: (bool, bool), low in -25i128..25, high in -25i128..25, exclude: (bool, bool),
        ) {
            let bounds: Vec<i128> = std::mem::take(&mut bounds).into_iter().collect();
            let ranges = ranges(&bounds, open.0, open.1);
            let (low_key, high_key) = (Key::Int(low), Key::Int(high));
            let low_bound = if exclude.0 { Bound::Excluded(&low_key) } else { Bound::Included(&low_key) };
            let high_bound = if exclude.1 { Bound::Excluded(&high_key) } else { Bound::Included(&high_key) };
            let found = ranges.route_range(low_bound, high_bound);
            let first = low + i128::from(exclude.0);
            let last = high - i128::from(exclude.1);
            let needed: Shards = (first..=last).filter_map(|key| ranges.route(&Key::Int(key))).collect();
            prop_assert_eq!(found.union(&needed), found.clone(), "nothing may be missing");
            if !exclude.0 && first <= last {
                prop_assert_eq!(found, needed, "nothing may be too much");
            }
        }
    }
}
