//! Character sets of columns: which characters they can hold for sure. Those it does not know are not guessed at.

/// A character set, as far as the proxy can tell its characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charset {
    /// utf8mb4.
    Utf8,
    /// utf8mb3: UTF-8 without the characters above U+FFFF.
    Utf8Mb3,
    /// latin1, which in MySQL is Windows-1252 with its five gaps filled.
    Latin1,
    /// ascii.
    Ascii,
    /// binary: bytes, not characters.
    Binary,
    /// Any other in which the bytes below 0x80 are ASCII and never part of a longer character.
    Other,
    /// Any other.
    Unknown,
}

impl Charset {
    /// By MySQL's name, such as `utf8mb4`; without case.
    pub fn by_name(name: &str) -> Charset {
        match name.to_ascii_lowercase().as_str() {
            "utf8mb4" => Charset::Utf8,
            "utf8mb3" | "utf8" => Charset::Utf8Mb3,
            "latin1" => Charset::Latin1,
            "ascii" => Charset::Ascii,
            "binary" => Charset::Binary,
            // Of koi8u, geostd8 and macce, the general collations take some letters of ASCII for others.
            "latin2" | "latin5" | "latin7" | "cp1250" | "cp1251" | "cp1256" | "cp1257" | "cp850" | "cp852"
            | "cp866" | "koi8r" | "greek" | "hebrew" | "armscii8" | "macroman" | "keybcs2" | "dec8" | "hp8" => {
                Charset::Other
            }
            _ => Charset::Unknown,
        }
    }

    /// Whether every character of a UTF-8 text is in this character set for sure.
    pub fn has(self, text: &str) -> bool {
        match self {
            Charset::Utf8 => true,
            Charset::Utf8Mb3 => text.chars().all(|c| c <= '\u{FFFF}'),
            Charset::Latin1 => text.chars().all(|c| c.is_ascii() || (0x80..=0xFF).any(|byte| latin1(byte) == c)),
            Charset::Ascii | Charset::Other | Charset::Binary | Charset::Unknown => text.is_ascii(),
        }
    }
}

/// The character of a byte of MySQL's latin1.
fn latin1(byte: u8) -> char {
    const HIGH: [u16; 32] = [
        0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D,
        0x017D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A,
        0x0153, 0x9D, 0x017E, 0x0178,
    ];
    match byte {
        0x80..=0x9F => char::from_u32(u32::from(HIGH[usize::from(byte - 0x80)])).unwrap_or('\u{FFFD}'),
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_column_can_hold() {
        assert!(Charset::Latin1.has("é€"));
        assert!(!Charset::Latin1.has("ł"));
        assert!(!Charset::Ascii.has("é"));
        assert!(Charset::Utf8.has("😀"));
        assert!(!Charset::Utf8Mb3.has("😀"));
    }
}
