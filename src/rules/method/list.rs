//! `list`: each part has its own keys, listed by hand; the rest has a part of its own or none.

use std::collections::BTreeMap;

use crate::value::Key;
use crate::value::fold::Fold;

/// Keys listed for each part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists {
    /// Part of each whole number.
    pub(crate) integers: BTreeMap<i128, u32>,
    /// Part of each text, as written.
    pub(crate) texts: BTreeMap<Vec<u8>, u32>,
    /// Part of each text in the form of columns that fold their texts.
    pub(crate) folded: BTreeMap<Vec<u8>, u32>,
    /// How many parts have a list.
    pub(crate) listed: u32,
    /// Part of every other key, NULL included.
    pub(crate) default: Option<u32>,
}

impl Lists {
    /// How many parts there are: those listed, and the default if it is none of them.
    pub(crate) fn parts(&self) -> u32 {
        self.listed.max(self.default.map_or(0, |part| part + 1))
    }

    /// The part of a key; none if it is not listed and there is no default.
    pub(crate) fn route(&self, key: &Key) -> Option<u32> {
        let part = match key {
            Key::Int(value) => self.integers.get(value),
            Key::Bytes(text) | Key::Padded(text) => self.texts.get(text),
            Key::Folded(text) => self.folded.get(text),
            _ => None,
        };
        part.copied().or(self.default)
    }

    /// Two texts listed for different parts that a folding column takes for equal.
    pub(crate) fn folded_clash(&self) -> Option<(String, String)> {
        let mut seen: BTreeMap<Vec<u8>, (&Vec<u8>, u32)> = BTreeMap::new();
        for (text, part) in &self.texts {
            let Some(folded) = folded(text) else { continue };
            let (first, first_part) = *seen.entry(folded).or_insert((text, *part));
            if first_part != *part {
                let show = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
                return Some((show(first), show(text)));
            }
        }
        None
    }
}

/// A text in the form that every folding column gives it; none if that differs between collations.
pub(crate) fn folded(text: &[u8]) -> Option<Vec<u8>> {
    Fold::Ascii.fold(std::str::from_utf8(text).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn countries(default: Option<u32>) -> Lists {
        let texts: BTreeMap<Vec<u8>, u32> =
            [("DE", 0), ("AT", 0), ("FR", 1)].map(|(text, part)| (text.as_bytes().to_vec(), part)).into();
        let folded = texts.iter().filter_map(|(text, part)| Some((folded(text)?, *part))).collect();
        Lists { integers: BTreeMap::from([(49, 0), (33, 1)]), texts, folded, listed: 2, default }
    }

    /// Frozen: these decide where data lies.
    #[test]
    fn vectors() {
        let lists = countries(None);
        assert_eq!(lists.parts(), 2);
        assert_eq!(lists.route(&Key::Bytes(b"AT".to_vec())), Some(0));
        assert_eq!(lists.route(&Key::Bytes(b"at".to_vec())), None);
        assert_eq!(lists.route(&Key::Folded(b"at".to_vec())), Some(0));
        assert_eq!(lists.route(&Key::Int(33)), Some(1));
        assert_eq!(lists.route(&Key::Null), None);
        assert_eq!(countries(Some(2)).parts(), 3);
        assert_eq!(countries(Some(1)).parts(), 2);
        assert_eq!(countries(Some(2)).route(&Key::Null), Some(2));
        assert_eq!(countries(Some(2)).route(&Key::Int(1)), Some(2));
    }
}
