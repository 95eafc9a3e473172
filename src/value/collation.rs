//! Collations: which texts a column takes for equal, folded into one form, never finer than the server's own.
//! It does not order texts that it folds; that is left to the servers (WEIGHT_STRING).

use crate::value::charset::Charset;

/// What a string column takes for equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Collation {
    /// The character set of the column.
    pub charset: Charset,
    /// How its texts are compared.
    pub rule: Rule,
}

/// How texts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// By their bytes.
    Bytes,
    /// By their bytes, as if spaces without end followed.
    PaddedBytes,
    /// By weights that take letters of ASCII for the same in both cases at most; known for ASCII only.
    Folded,
    /// In a way that is not known here.
    Unknown,
}

impl Collation {
    /// By MySQL's or MariaDB's name, such as `utf8mb4_0900_ai_ci`; without case.
    pub fn by_name(name: &str) -> Collation {
        let name = name.to_ascii_lowercase();
        // MariaDB: `uca1400_ai_ci` without a character set is that of the column, which is some kind of Unicode.
        let charset = match name.split_once('_') {
            Some(("uca1400", _)) => Charset::Utf8,
            Some((charset, _)) => Charset::by_name(charset),
            None => Charset::by_name(&name),
        };
        Collation { charset, rule: Rule::by_name(&name, charset) }
    }
}

impl Rule {
    fn by_name(name: &str, charset: Charset) -> Rule {
        if charset == Charset::Unknown {
            return Rule::Unknown;
        }
        if matches!(name, "binary" | "utf8mb4_0900_bin") || name.ends_with("_nopad_bin") {
            return Rule::Bytes;
        }
        if name.ends_with("_bin") {
            return Rule::PaddedBytes;
        }
        let folded = [
            "_general_ci",
            "_general_nopad_ci",
            "_unicode_ci",
            "_unicode_520_ci",
            "_unicode_nopad_ci",
            "_unicode_520_nopad_ci",
            "_0900_ai_ci",
            "_0900_as_ci",
            "_0900_as_cs",
            "latin1_swedish_ci",
            "latin1_swedish_nopad_ci",
        ];
        if folded.iter().any(|suffix| name.ends_with(suffix)) || is_root_uca1400(name) {
            Rule::Folded
        } else {
            Rule::Unknown
        }
    }
}

/// MariaDB's `[utf8mb4_]uca1400_[nopad_]{ai,as}_{ci,cs}`, without a language.
fn is_root_uca1400(name: &str) -> bool {
    let Some((_, tail)) = name.split_once("uca1400_") else { return false };
    matches!(tail.strip_prefix("nopad_").unwrap_or(tail), "ai_ci" | "ai_cs" | "as_ci" | "as_cs")
}

/// The form that all ASCII texts share which any collation takes for equal: lower case, without control characters
/// that weigh nothing in Unicode's order, without spaces at the end. None for a text with other characters.
pub fn fold(text: &[u8]) -> Option<Vec<u8>> {
    if !text.is_ascii() {
        return None;
    }
    let ignored = |byte: &u8| matches!(byte, 0..=8 | 14..=31 | 127);
    let mut folded: Vec<u8> = text.iter().filter(|byte| !ignored(byte)).map(u8::to_ascii_lowercase).collect();
    folded.truncate(trimmed(&folded).len());
    Some(folded)
}

/// A text without the spaces at its end.
pub fn trimmed(text: &[u8]) -> &[u8] {
    &text[..text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1)]
}
