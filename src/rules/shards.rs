//! A set of shards of one family: a bit for each. It knows neither family nor rule.

use std::fmt;

/// The most shards a family has.
pub const MAX_SHARDS: u32 = 4096;
const FEW: u32 = 128;
const WORDS: usize = (MAX_SHARDS / 64) as usize;

/// A set of shard numbers below [`MAX_SHARDS`]. Sets without numbers above 127 allocate nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shards(Bits);

// `Many` is used only if a bit above 127 is set, so that equal sets are equal values.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Bits {
    Few(u128),
    Many(Box<[u64; WORDS]>),
}

impl Shards {
    /// The empty set.
    pub const fn none() -> Shards {
        Shards(Bits::Few(0))
    }

    /// A single shard.
    pub fn one(shard: u32) -> Shards {
        Shards::span(shard, shard + 1)
    }

    /// Shards 0 to `count - 1`.
    pub fn all(count: u32) -> Shards {
        Shards::span(0, count)
    }

    /// Shards `start` to `end - 1`; numbers from [`MAX_SHARDS`] on are left out.
    pub fn span(start: u32, end: u32) -> Shards {
        let end = end.min(MAX_SHARDS);
        if start >= end {
            return Shards::none();
        }
        if end <= FEW {
            return Shards(Bits::Few((u128::MAX >> (FEW - (end - start))) << start));
        }
        let mut words = Box::new([0; WORDS]);
        for shard in start..end {
            words[(shard / 64) as usize] |= 1u64 << (shard % 64);
        }
        Shards(Bits::Many(words))
    }

    /// Adds one shard.
    pub fn insert(&mut self, shard: u32) {
        match &mut self.0 {
            Bits::Few(bits) if shard < FEW => *bits |= 1 << shard,
            Bits::Many(words) if shard < MAX_SHARDS => words[(shard / 64) as usize] |= 1 << (shard % 64),
            _ => *self = self.union(&Shards::one(shard)),
        }
    }

    /// Whether the shard is in the set.
    pub fn contains(&self, shard: u32) -> bool {
        match &self.0 {
            Bits::Few(bits) => shard < FEW && bits >> shard & 1 == 1,
            Bits::Many(words) => shard < MAX_SHARDS && words[(shard / 64) as usize] >> (shard % 64) & 1 == 1,
        }
    }

    /// The shards that are in either set.
    pub fn union(&self, other: &Shards) -> Shards {
        self.combine(other, |a, b| a | b, |a, b| a | b)
    }

    /// The shards that are in both sets.
    pub fn intersect(&self, other: &Shards) -> Shards {
        self.combine(other, |a, b| a & b, |a, b| a & b)
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0 == Bits::Few(0)
    }

    /// How many shards there are in it.
    pub fn len(&self) -> u32 {
        match &self.0 {
            Bits::Few(bits) => bits.count_ones(),
            Bits::Many(words) => words.iter().map(|word| word.count_ones()).sum(),
        }
    }

    /// The shard, if there is exactly one.
    pub fn single(&self) -> Option<u32> {
        if let Bits::Few(bits) = self.0 {
            return bits.is_power_of_two().then(|| bits.trailing_zeros());
        }
        let mut shards = self.iter();
        let first = shards.next()?;
        shards.next().is_none().then_some(first)
    }

    /// The shards in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let (few, many) = match &self.0 {
            Bits::Few(bits) => ([*bits as u64, (*bits >> 64) as u64], &[][..]),
            Bits::Many(words) => ([words[0], words[1]], &words[2..]),
        };
        let words = few.into_iter().chain(many.iter().copied());
        words.zip(0..).flat_map(|(word, number)| Ones(word).map(move |bit| number * 64 + bit))
    }

    fn combine(&self, other: &Shards, few: impl Fn(u128, u128) -> u128, many: impl Fn(u64, u64) -> u64) -> Shards {
        if let (Bits::Few(a), Bits::Few(b)) = (&self.0, &other.0) {
            return Shards(Bits::Few(few(*a, *b)));
        }
        let (mut words, other) = (self.words(), other.words());
        for (word, other) in words.iter_mut().zip(other) {
            *word = many(*word, other);
        }
        if words[2..].iter().all(|word| *word == 0) {
            return Shards(Bits::Few(u128::from(words[1]) << 64 | u128::from(words[0])));
        }
        Shards(Bits::Many(Box::new(words)))
    }

    fn words(&self) -> [u64; WORDS] {
        match &self.0 {
            Bits::Many(words) => **words,
            Bits::Few(bits) => {
                let mut words = [0; WORDS];
                words[0] = *bits as u64;
                words[1] = (*bits >> 64) as u64;
                words
            }
        }
    }
}

/// The numbers of the bits that are set, in ascending order.
struct Ones(u64);

impl Iterator for Ones {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let bit = self.0.trailing_zeros();
        // The lowest one is taken away.
        self.0 &= self.0.wrapping_sub(1);
        (bit < u64::BITS).then_some(bit)
    }
}

impl FromIterator<u32> for Shards {
    fn from_iter<I: IntoIterator<Item = u32>>(shards: I) -> Shards {
        let mut set = Shards::none();
        for shard in shards {
            set.insert(shard);
        }
        set
    }
}

/// `0-3,7`.
impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shards = self.iter().peekable();
        let mut separator = "";
        while let Some(start) = shards.next() {
            let mut end = start;
            while shards.next_if_eq(&(end + 1)).is_some() {
                end += 1;
            }
            match end - start {
                0 => write!(f, "{separator}{start}")?,
                _ => write!(f, "{separator}{start}-{end}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shards({self})")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shown_as_runs() {
        let set: Shards = [0, 1, 2, 3, 7, 200, 201].into_iter().collect();
        assert_eq!(set.to_string(), "0-3,7,200-201");
        assert_eq!(Shards::none().to_string(), "");
        assert_eq!(Shards::all(128).to_string(), "0-127");
        assert_eq!(Shards::all(MAX_SHARDS).len(), MAX_SHARDS);
        assert_eq!(Shards::one(MAX_SHARDS), Shards::none());
    }

    proptest! {
        #[test]
        fn like_a_set(a: BTreeSet<u16>, b: BTreeSet<u16>, small: bool) {
            let limit = if small { 128 } else { MAX_SHARDS };
            let (a, b): (BTreeSet<u32>, BTreeSet<u32>) = (
                a.into_iter().map(|n| u32::from(n) % limit).collect(),
                b.into_iter().map(|n| u32::from(n) % limit).collect(),
            );
            let (x, y): (Shards, Shards) = (a.iter().copied().collect(), b.iter().copied().collect());
            prop_assert_eq!(x.iter().collect::<BTreeSet<_>>(), a.clone());
            prop_assert_eq!(x.len() as usize, a.len());
            prop_assert_eq!(x.is_empty(), a.is_empty());
            prop_assert_eq!(x.single().is_some(), a.len() == 1);
            prop_assert_eq!(x.union(&y), a.union(&b).copied().collect::<Shards>());
            prop_assert_eq!(x.intersect(&y), a.intersection(&b).copied().collect::<Shards>());
        }
    }
}
