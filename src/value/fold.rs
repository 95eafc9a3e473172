//! Texts folded into the form that all texts share which a collation takes for equal at its first level.
//!
//! Each table maps a character to the least characters that weigh the same, weight by weight: `É` to `e`, `ß` to
//! `ss`, a combining accent to nothing. The tables are made from the servers' own WEIGHT_STRING over all of Unicode
//! by the test `servers::collations`, which compares them with it every time. They decide where data lies: they
//! never change. It knows no collation whose weights depend on neighbouring characters.

/// What a text is folded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    /// Known for ASCII only.
    Ascii,
    /// `utf8mb4_general_ci`: one weight a character.
    General,
    /// `utf8mb4_unicode_ci`: the Unicode Collation Algorithm 4.0.0.
    Unicode400,
    /// `utf8mb4_unicode_520_ci`: 5.2.0.
    Unicode520,
    /// `utf8mb4_0900_ai_ci` and those that tell more apart: 9.0.0.
    Unicode900,
    /// `latin1_swedish_ci`.
    Swedish,
}

/// What becomes of the characters from `START` on, up to the next record: three bytes of a code point, a byte that
/// says what, three bytes of argument; most significant first, ascending.
const RECORD: usize = 7;
/// They stand for themselves.
const ITSELF: u8 = 0;
/// The first becomes the character `argument`, the next one the next, and so on.
const SHIFTED: u8 = 1;
/// All become the character `argument`.
const SAME: u8 = 2;
/// All become the characters at byte `argument` behind the records: a byte with their number, three bytes for each.
const SEVERAL: u8 = 3;
/// Syllables of Hangul: they become their letters, which are folded.
const HANGUL: u8 = 4;

impl Fold {
    /// The table: four bytes with the number of records, the records, the characters of `SEVERAL`.
    pub fn table(self) -> &'static [u8] {
        match self {
            Fold::Ascii => &[],
            Fold::General => include_bytes!("fold/general.bin"),
            Fold::Unicode400 => include_bytes!("fold/unicode400.bin"),
            Fold::Unicode520 => include_bytes!("fold/unicode520.bin"),
            Fold::Unicode900 => include_bytes!("fold/unicode900.bin"),
            Fold::Swedish => include_bytes!("fold/swedish.bin"),
        }
    }

    /// The folded form of a text: without spaces at its end, without control characters that weigh nothing in
    /// Unicode's order, ASCII in lower case. None if it has characters that are not known.
    pub fn fold(self, text: &str) -> Option<Vec<u8>> {
        let mut folded = Vec::with_capacity(text.len());
        for character in text.chars() {
            match u8::try_from(character).ok().filter(u8::is_ascii) {
                Some(byte) => put_ascii(byte, &mut folded),
                None if self == Fold::Ascii => return None,
                None => self.put(u32::from(character), &mut folded)?,
            }
        }
        folded.truncate(trimmed(&folded).len());
        Some(folded)
    }

    /// Appends what a character beyond ASCII becomes; none if the table is damaged.
    fn put(self, character: u32, out: &mut Vec<u8>) -> Option<()> {
        let table = self.table();
        let (count, rest) = table.split_first_chunk()?;
        let (records, characters) = rest.split_at_checked(u32::from_be_bytes(*count) as usize * RECORD)?;
        let (records, _) = records.as_chunks::<RECORD>();
        let at = records.partition_point(|record| number(&record[..3]) <= character).checked_sub(1)?;
        let record = &records[at];
        let argument = number(&record[4..]);
        match record[3] {
            ITSELF => put_character(character, out),
            SHIFTED => put_character(argument + (character - number(&record[..3])), out),
            SAME => put_character(argument, out),
            SEVERAL => {
                let (length, list) = characters.get(argument as usize..)?.split_first()?;
                let (list, _) = list.as_chunks::<3>();
                list.iter().take(usize::from(*length)).try_for_each(|character| put_character(number(character), out))
            }
            HANGUL => {
                let syllable = character - 0xAC00;
                self.put(0x1100 + syllable / 588, out)?;
                self.put(0x1161 + syllable % 588 / 28, out)?;
                if syllable.is_multiple_of(28) { Some(()) } else { self.put(0x11A7 + syllable % 28, out) }
            }
            _ => None,
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn put_character(character: u32, out: &mut Vec<u8>) -> Option<()> {
    let character = char::from_u32(character)?;
    match u8::try_from(character).ok().filter(u8::is_ascii) {
        Some(byte) => put_ascii(byte, out),
        None => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
    Some(())
}

fn put_ascii(byte: u8, out: &mut Vec<u8>) {
    if !matches!(byte, 0..=8 | 14..=31 | 127) {
        out.push(byte.to_ascii_lowercase());
    }
}

/// A text without the spaces at its end.
pub fn trimmed(text: &[u8]) -> &[u8] {
    &text[..text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use twox_hash::XxHash3_64;

    use super::*;

    fn folded(fold: Fold, text: &str) -> Option<String> {
        fold.fold(text).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    const ALL: [Fold; 6] =
        [Fold::Ascii, Fold::General, Fold::Unicode400, Fold::Unicode520, Fold::Unicode900, Fold::Swedish];

    #[test]
    fn ascii_is_the_same_everywhere() {
        for fold in ALL {
            assert_eq!(folded(fold, "Ab  ").as_deref(), Some("ab"));
            assert_eq!(folded(fold, " a\u{1}\tB\u{7F} ").as_deref(), Some(" a\tb"));
            assert_eq!(folded(fold, "").as_deref(), Some(""));
        }
    }

    /// Frozen: these decide where data lies.
    #[test]
    fn vectors() {
        for (text, general, unicode, nine, swedish) in [
            ("É", "e", "e", "e", Some("e")),
            ("Straße", "strase", "strasse", "strasse", Some("straße")),
            ("Ü", "u", "u", "u", Some("y")),
            ("Å", "a", "a", "a", Some("[")),
            ("ﬁ", "ﬁ", "fi", "fi", None),
            ("e\u{301}", "e\u{301}", "e", "e", None),
            ("ж", "Ж", "Ж", "Ж", None),
            ("漢", "漢", "漢", "漢", None),
            ("😀", "\u{FFFD}", "\u{10000}", "😀", None),
            ("한", "한", "한", "\u{1112}\u{1161}\u{11AB}", None),
            ("a\u{A0}", "a\u{A0}", "a", "a", Some("a\u{A0}")),
        ] {
            assert_eq!(folded(Fold::General, text).as_deref(), Some(general), "{text}");
            assert_eq!(folded(Fold::Unicode400, text).as_deref(), Some(unicode), "{text}");
            assert_eq!(folded(Fold::Unicode900, text).as_deref(), Some(nine), "{text}");
            if let Some(swedish) = swedish {
                assert_eq!(folded(Fold::Swedish, text).as_deref(), Some(swedish), "{text}");
            }
            assert_eq!(folded(Fold::Ascii, text), None);
        }
    }

    /// Frozen: the tables decide where data lies.
    #[test]
    fn tables_do_not_change() {
        for (fold, hash) in [
            (Fold::General, 0x0829_336C_66F6_0765),
            (Fold::Unicode400, 0x0717_7DDA_06A7_893A),
            (Fold::Unicode520, 0x29B6_C4A3_B7C4_3EBD),
            (Fold::Unicode900, 0x580D_5AF2_24CF_85AA),
            (Fold::Swedish, 0x3255_E46A_F862_EC58),
        ] {
            assert_eq!(XxHash3_64::oneshot(fold.table()), hash, "{fold:?}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text: String) {
            for fold in ALL {
                if let Some(once) = folded(fold, &text) {
                    prop_assert_eq!(folded(fold, &once), Some(once));
                }
            }
        }
    }
}
