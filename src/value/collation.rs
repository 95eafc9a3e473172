//! Collations by their names: how a column compares its texts, as far as that is known for sure.
//! It does not order texts that are folded; that is left to the servers (WEIGHT_STRING).

use crate::value::charset::Charset;
use crate::value::fold::Fold;

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
    /// By weights: texts that are equal are folded to the same.
    Folded(Fold),
    /// In a way that is not known here.
    Unknown,
}

impl Collation {
    /// By MySQL's or MariaDB's name, such as `utf8mb4_0900_ai_ci`; without case.
    pub fn by_name(name: &str) -> Collation {
        let name = name.to_ascii_lowercase();
        // MariaDB's `uca1400_ai_ci` without a character set is that of the column, which is some kind of Unicode.
        let (charset, tail) = name.split_once('_').unwrap_or((&name, ""));
        let (charset, tail) = if charset == "uca1400" { ("utf8mb4", &name[..]) } else { (charset, tail) };
        let charset = Charset::by_name(charset);
        Collation { charset, rule: Rule::by_name(charset, tail) }
    }

    /// Whether its texts in UTF-8 are ordered like those of the column: by code point.
    pub fn is_ordered(self) -> bool {
        matches!(self.rule, Rule::Bytes | Rule::PaddedBytes)
            && matches!(self.charset, Charset::Utf8 | Charset::Utf8Mb3 | Charset::Ascii)
    }
}

impl Rule {
    /// By what stands behind the character set. The languages' own collations are not known: some take `i` for `j`,
    /// some take letters together.
    fn by_name(charset: Charset, tail: &str) -> Rule {
        let unicode = matches!(charset, Charset::Utf8 | Charset::Utf8Mb3);
        match (charset, tail) {
            (Charset::Unknown, _) => Rule::Unknown,
            (Charset::Binary, _) => Rule::Bytes,
            (_, "0900_bin" | "nopad_bin") => Rule::Bytes,
            (_, "bin") => Rule::PaddedBytes,
            (_, "general_ci" | "general_nopad_ci") if unicode => Rule::Folded(Fold::General),
            (_, "unicode_ci" | "unicode_nopad_ci") if unicode => Rule::Folded(Fold::Unicode400),
            (_, "unicode_520_ci" | "unicode_520_nopad_ci") if unicode => Rule::Folded(Fold::Unicode520),
            (_, "0900_ai_ci" | "0900_as_ci" | "0900_as_cs") if unicode => Rule::Folded(Fold::Unicode900),
            (_, tail) if unicode && is_uca1400(tail) => Rule::Folded(Fold::Ascii),
            (Charset::Latin1, "swedish_ci" | "swedish_nopad_ci") => Rule::Folded(Fold::Swedish),
            (Charset::Latin1, "general_ci" | "general_cs" | "german1_ci" | "danish_ci" | "spanish_ci") => {
                Rule::Folded(Fold::Ascii)
            }
            (Charset::Ascii | Charset::Other, "general_ci" | "general_nopad_ci") => Rule::Folded(Fold::Ascii),
            _ => Rule::Unknown,
        }
    }
}

/// MariaDB's `uca1400_[nopad_]{ai,as}_{ci,cs}`, without a language. Its weights depend on neighbouring characters,
/// though not within ASCII.
fn is_uca1400(tail: &str) -> bool {
    let Some(tail) = tail.strip_prefix("uca1400_") else { return false };
    matches!(tail.strip_prefix("nopad_").unwrap_or(tail), "ai_ci" | "ai_cs" | "as_ci" | "as_cs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, rule) in [
            ("utf8mb4_0900_ai_ci", Rule::Folded(Fold::Unicode900)),
            ("utf8mb4_0900_as_cs", Rule::Folded(Fold::Unicode900)),
            ("UTF8MB4_GENERAL_CI", Rule::Folded(Fold::General)),
            ("utf8_unicode_ci", Rule::Folded(Fold::Unicode400)),
            ("utf8mb4_unicode_520_nopad_ci", Rule::Folded(Fold::Unicode520)),
            ("utf8mb4_uca1400_ai_ci", Rule::Folded(Fold::Ascii)),
            ("uca1400_nopad_as_cs", Rule::Folded(Fold::Ascii)),
            ("latin1_swedish_ci", Rule::Folded(Fold::Swedish)),
            ("latin2_general_ci", Rule::Folded(Fold::Ascii)),
            ("utf8mb4_bin", Rule::PaddedBytes),
            ("utf8mb4_0900_bin", Rule::Bytes),
            ("utf8mb4_nopad_bin", Rule::Bytes),
            ("binary", Rule::Bytes),
            // `i` equals `y`; `'` is a letter; several code points are one letter; two bytes a character.
            ("utf8mb4_lithuanian_ci", Rule::Unknown),
            ("utf8mb4_hu_0900_ai_ci", Rule::Unknown),
            ("koi8u_general_ci", Rule::Unknown),
            ("gbk_bin", Rule::Unknown),
            ("utf8mb4_uca1400_roman_ai_ci", Rule::Unknown),
            ("no_such", Rule::Unknown),
            ("", Rule::Unknown),
        ] {
            assert_eq!(Collation::by_name(name).rule, rule, "{name}");
        }
        assert_eq!(Collation::by_name("uca1400_ai_ci").charset, Charset::Utf8);
    }
}
