//! `mod`: the remainder of a whole number. Negative numbers count on: -1 mod 8 is 7.

use crate::value::Key;

/// The part of a key among `parts`; none for what is not a whole number.
pub(super) fn route(parts: u32, key: &Key) -> Option<u32> {
    match key {
        Key::Null => Some(0),
        Key::Int(value) => Some(value.rem_euclid(i128::from(parts)) as u32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: these decide where data lies.
    #[test]
    fn vectors() {
        for (key, part) in [(0, 0), (7, 7), (8, 0), (1_000_000_007, 7), (-1, 7), (-8, 0), (i128::from(u64::MAX), 7)] {
            assert_eq!(route(8, &Key::Int(key)), Some(part), "{key}");
        }
        assert_eq!(route(3, &Key::Int(-7)), Some(2));
        assert_eq!(route(8, &Key::Null), Some(0));
        assert_eq!(route(8, &Key::Bytes(b"7".to_vec())), None);
    }
}
