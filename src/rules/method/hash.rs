//! `hash`: a hash of the key's bytes, modulo the number of parts: so 8 parts become 16 by splitting each in two.

use twox_hash::XxHash3_64;

use crate::value::Key;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum HashFunction {
    /// XXH3 with 64 bits and seed 0.
    #[default]
    Xxh3,
    /// CRC-32 as MySQL's own CRC32() computes it.
    Crc32,
}

impl HashFunction {
    /// The hash of some bytes.
    pub fn hash(self, bytes: &[u8]) -> u64 {
        match self {
            HashFunction::Xxh3 => XxHash3_64::oneshot(bytes),
            HashFunction::Crc32 => u64::from(crc32fast::hash(bytes)),
        }
    }
}

/// The part of a key among `parts`; NULL is in part 0.
pub(super) fn route(parts: u32, function: HashFunction, key: &Key) -> u32 {
    match key {
        Key::Null => 0,
        key => (key.with_bytes(|bytes| function.hash(bytes)) % u64::from(parts)) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: these decide where data lies. Computed with the reference implementations of both hashes.
    #[test]
    fn vectors() {
        let text = |text: &str| Key::Folded(text.as_bytes().to_vec());
        for (key, xxh3, crc32) in [
            (Key::Int(0), 85, 801),
            (Key::Int(1), 344, 951),
            (Key::Int(7), 506, 642),
            (Key::Int(-1), 543, 42),
            (Key::Int(1_234_567_890_123), 276, 1),
            (text("ab"), 860, 109),
            (text(""), 194, 0),
            (text("a longer text, of more than sixteen bytes"), 885, 224),
        ] {
            assert_eq!(route(1024, HashFunction::Xxh3, &key), xxh3, "{key:?}");
            assert_eq!(route(1024, HashFunction::Crc32, &key), crc32, "{key:?}");
        }
        assert_eq!(route(8, HashFunction::Xxh3, &Key::Null), 0);
    }
}
