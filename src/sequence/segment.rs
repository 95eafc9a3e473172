//! Segments: ids from blocks that were taken from a counter which all proxies share, the next block before the first is
//! used up. It counts; taking blocks is for others. Whoever forgets a block loses its ids, and never gives one twice.

use std::ops::Range;

/// The blocks of one table that a proxy has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// What is given out from.
    current: Range<u64>,
    /// What comes after.
    next: Range<u64>,
    /// How long `current` was when it began.
    size: u64,
}

impl Blocks {
    /// Takes `count` consecutive ids and gives the first; none if the blocks do not have so many together. Ids that are
    /// too few for a statement are lost, as those that servers reserve for a statement.
    pub fn take(&mut self, count: u64) -> Option<u64> {
        if self.current.end == self.next.start && !self.next.is_empty() {
            self.current.end = self.next.end;
            self.next = 0..0;
        }
        if len(&self.current) < count && len(&self.next) >= count {
            self.current = std::mem::take(&mut self.next);
            self.size = len(&self.current);
        }
        if len(&self.current) < count {
            return None;
        }
        let first = self.current.start;
        self.current.start += count;
        Some(first)
    }

    /// Whether `count` consecutive ids can be taken.
    pub fn has(&self, count: u64) -> bool {
        self.clone().take(count).is_some()
    }

    /// Whether it is time for the next block: there is none, and more than half of the current one is gone.
    pub fn wants_more(&self) -> bool {
        self.next.is_empty() && len(&self.current) <= self.size / 2
    }

    /// A further block, which lies behind all that were added before.
    pub fn add(&mut self, block: Range<u64>) {
        if block.is_empty() {
            return;
        }
        if self.current.is_empty() {
            self.current = std::mem::take(&mut self.next);
            self.size = len(&self.current);
        }
        if self.current.is_empty() {
            self.size = len(&block);
            self.current = block;
        } else if self.next.is_empty() || len(&self.next) < len(&block) {
            self.next = block;
        }
    }

    /// Ids up to this one are not given out any more: a client has used it.
    pub fn skip(&mut self, id: u64) {
        for block in [&mut self.current, &mut self.next] {
            if block.contains(&id) {
                block.start = id + 1;
            }
        }
    }
}

fn len(block: &Range<u64>) -> u64 {
    block.end.saturating_sub(block.start)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)]
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_are_used_one_after_the_other() {
        let mut blocks = Blocks::default();
        assert!(blocks.wants_more() && blocks.take(1).is_none());
        blocks.add(1..11);
        assert_eq!((blocks.take(1), blocks.take(4), blocks.wants_more()), (Some(1), Some(2), true));
        blocks.add(21..31);
        assert!(!blocks.wants_more());
        // Five are left of the first block: too few, so they are lost.
        assert_eq!((blocks.take(6), blocks.take(1)), (Some(21), Some(27)));
        assert_eq!(blocks.take(100), None);
    }

    #[test]
    fn blocks_that_follow_each_other_are_one() {
        let mut blocks = Blocks::default();
        blocks.add(1..11);
        blocks.take(8);
        blocks.add(11..21);
        assert_eq!(blocks.take(5), Some(9));
    }

    #[test]
    fn what_a_client_used_is_left_out() {
        let mut blocks = Blocks::default();
        blocks.add(1..11);
        blocks.skip(4);
        assert_eq!(blocks.take(1), Some(5));
        blocks.skip(3);
        blocks.skip(100);
        assert_eq!(blocks.take(1), Some(6));
    }

    proptest! {
        /// Several proxies with several blocks in hand; `crash` makes one forget all of its blocks, and an explicit id
        /// is one that no proxy gives out afterwards.
        #[test]
        fn no_id_twice_whoever_crashes(steps in proptest::collection::vec((0usize..4, 0u8..12, 1u64..40), 1..300)) {
            let mut counter = 1u64;
            let mut proxies = vec![Blocks::default(); 4];
            let mut seen = HashSet::new();
            for (at, what, count) in steps {
                match what {
                    0 => proxies[at] = Blocks::default(),
                    1 => {
                        // Given by a client, beyond the counter: which is raised first.
                        let id = counter + count;
                        counter = id + 1;
                        prop_assert!(seen.insert(id));
                    }
                    2 if proxies[at].wants_more() => {
                        proxies[at].add(counter..counter + 50);
                        counter += 50;
                    }
                    _ => {
                        if let Some(first) = proxies[at].take(count) {
                            for id in first..first + count {
                                prop_assert!(seen.insert(id), "{id} twice");
                            }
                        } else {
                            proxies[at].add(counter..counter + 50);
                            counter += 50;
                            let first = proxies[at].take(count);
                            prop_assert!(first.is_some(), "a block is enough for {count}");
                            for id in first.into_iter().flat_map(|first| first..first + count) {
                                prop_assert!(seen.insert(id), "{id} twice");
                            }
                        }
                    }
                }
            }
        }
    }
}
