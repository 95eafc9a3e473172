//! Choices that can be drawn from a seed, recorded, and played again with changes: that is how a case is shrunk.

/// A source of choices. Alternatives are to be ordered from simple to complicated, as 0 is what shrinking leads to.
pub(crate) struct Dice {
    /// xorshift; 0 plays back only.
    state: u64,
    /// What was chosen so far, or is to be chosen.
    pub(crate) drawn: Vec<u32>,
    at: usize,
}

impl Dice {
    pub(crate) fn seeded(seed: u64) -> Dice {
        Dice { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, drawn: Vec::new(), at: 0 }
    }

    /// Plays choices again; 0 for all that come behind them.
    pub(crate) fn replay(drawn: Vec<u32>) -> Dice {
        Dice { state: 0, drawn, at: 0 }
    }

    /// Forgets what was drawn: another case begins.
    pub(crate) fn next_case(&mut self) {
        self.drawn.clear();
        self.at = 0;
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        if self.at == self.drawn.len() && self.state != 0 {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            self.drawn.push((self.state >> 33) as u32 % n as u32);
        }
        let choice = self.drawn.get(self.at).map_or(0, |choice| *choice as usize);
        self.at += 1;
        choice.min(n - 1)
    }

    /// True in so many cases of a hundred; false is the simple one.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Smaller choices that `still_fails` holds for: pieces left out, numbers made smaller. At most `trials` are tried.
pub(crate) fn shrink(drawn: Vec<u32>, trials: usize, mut still_fails: impl FnMut(&[u32]) -> bool) -> Vec<u32> {
    let mut best = drawn;
    let mut left = trials;
    let mut attempt = |candidate: Vec<u32>, best: &mut Vec<u32>| {
        if left == 0 || candidate == *best {
            return false;
        }
        left -= 1;
        let fails = still_fails(&candidate);
        if fails {
            *best = candidate;
        }
        fails
    };
    loop {
        let before = best.clone();
        for size in [16, 8, 4, 2, 1] {
            let mut at = 0;
            while at + size <= best.len() {
                let without = [&best[..at], &best[at + size..]].concat();
                if !attempt(without, &mut best) {
                    at += size;
                }
            }
        }
        for at in 0..best.len() {
            for smaller in [0, best[at] / 2, best[at].saturating_sub(1)] {
                if smaller < best[at] {
                    let mut candidate = best.clone();
                    candidate[at] = smaller;
                    if attempt(candidate, &mut best) {
                        break;
                    }
                }
            }
        }
        if best == before {
            return best;
        }
    }
}

#[test]
fn shrinking_finds_the_small_case() {
    // Fails whenever a number above 50 follows one above 10.
    let fails = |drawn: &[u32]| drawn.windows(2).any(|pair| pair[0] > 10 && pair[1] > 50);
    let mut dice = Dice::seeded(7);
    (0..200).for_each(|_| _ = dice.below(100));
    assert!(fails(&dice.drawn));
    assert_eq!(shrink(dice.drawn, 10_000, fails), [11, 51]);
}
