//! What a literal of a statement, or a text parameter, is as a value. What cannot be told for sure is none.

use std::borrow::Cow;

use crate::sql::ast::LiteralKind;
use crate::sql::{Facts, SqlMode, TextCharset};
use crate::value::Datum;
use crate::value::decimal::Decimal;
use crate::value::moment::Moment;

/// The value of a literal token, by its text as the client wrote it; `negative` if a minus sign stands before it.
pub fn decode(text: &[u8], kind: LiteralKind, negative: bool, facts: Facts) -> Option<Datum<'_>> {
    let datum = match kind {
        LiteralKind::Integer | LiteralKind::Decimal => number(text, negative)?,
        LiteralKind::Float => {
            let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            Datum::Double(if negative { -value } else { value })
        }
        // MySQL reads the text as a number and negates that.
        _ if negative => return None,
        LiteralKind::String => self::text(unquote(text, facts)?, facts.charset)?,
        LiteralKind::National => self::text(unquote(text.get(1..)?, facts)?, facts.charset)?,
        LiteralKind::Introduced => introduced(text, facts)?,
        LiteralKind::Hex => Datum::Bytes(Cow::Owned(hex(text)?)),
        LiteralKind::Bit => Datum::Bytes(Cow::Owned(bits(text)?)),
        LiteralKind::Temporal => temporal(text, facts)?,
    };
    Some(datum)
}

/// The value of a text in the client's character set, such as a string parameter of a prepared statement.
pub fn text(text: Cow<'_, [u8]>, charset: TextCharset) -> Option<Datum<'_>> {
    let sure = match charset {
        TextCharset::Utf8 => std::str::from_utf8(&text).is_ok(),
        _ => text.is_ascii(),
    };
    sure.then_some(Datum::Text(text))
}

fn number(text: &[u8], negative: bool) -> Option<Datum<'static>> {
    if let Some(value) = short_integer(text) {
        return Some(Datum::Int(if negative { -value } else { value }));
    }
    let value = Decimal::parse(text)?;
    let value = if negative { value.negate() } else { value };
    // A number with a point is a DECIMAL even if nothing stands behind it.
    let integer = if text.contains(&b'.') { None } else { value.to_integer() };
    Some(match integer.map(|value| (i64::try_from(value), u64::try_from(value))) {
        Some((Ok(value), _)) => Datum::Int(value),
        Some((_, Ok(value))) => Datum::UInt(value),
        _ => Datum::Decimal(value),
    })
}

/// The value of up to 18 digits, which is what nearly all numbers in statements are.
fn short_integer(text: &[u8]) -> Option<i64> {
    if !(1..=18).contains(&text.len()) {
        return None;
    }
    text.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// The content of a quoted string; of several, with white space between them, one behind the other.
fn unquote(text: &[u8], facts: Facts) -> Option<Cow<'_, [u8]>> {
    let escapes = !facts.mode.has(SqlMode::NO_BACKSLASH_ESCAPES);
    let (&mark, body) = text.split_first()?;
    let (last, inside) = body.split_last()?;
    if !matches!(mark, b'\'' | b'"') {
        return None;
    }
    if *last == mark && !inside.contains(&mark) && !(escapes && inside.contains(&b'\\')) {
        return Some(Cow::Borrowed(inside));
    }
    // The second byte of a character may be a backslash there.
    if facts.charset != TextCharset::Utf8 && !text.is_ascii() {
        return None;
    }
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = text;
    while let Some((&mark, body)) = rest.split_first() {
        rest = unquote_one(body, mark, escapes, &mut out)?.trim_ascii_start();
    }
    Some(Cow::Owned(out))
}

/// Appends the content of the string that ends with `mark`; what stands behind it is left.
fn unquote_one<'a>(body: &'a [u8], mark: u8, escapes: bool, out: &mut Vec<u8>) -> Option<&'a [u8]> {
    if !matches!(mark, b'\'' | b'"') {
        return None;
    }
    let mut at = 0;
    loop {
        let byte = *body.get(at)?;
        at += 1;
        if byte == mark {
            if body.get(at) != Some(&mark) {
                return Some(&body[at..]);
            }
            out.push(mark);
            at += 1;
        } else if byte == b'\\' && escapes {
            let escaped = *body.get(at)?;
            at += 1;
            match escaped {
                b'0' => out.push(0),
                b'b' => out.push(8),
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                b't' => out.push(b'\t'),
                b'Z' => out.push(26),
                // Kept for LIKE, and for `=` too.
                b'%' | b'_' => out.extend_from_slice(&[b'\\', escaped]),
                other => out.push(other),
            }
        } else {
            out.push(byte);
        }
    }
}

/// `_utf8mb4'x'`: the bytes are in that character set, whatever the connection's.
fn introduced(text: &[u8], facts: Facts) -> Option<Datum<'_>> {
    let end = text.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')?;
    let name = text.get(1..end)?.to_ascii_lowercase();
    let literal = text[end..].trim_ascii_start();
    let bytes = match literal.first()? {
        b'\'' | b'"' => unquote(literal, facts)?,
        _ => return None,
    };
    let charset = match &name[..] {
        b"binary" => return Some(Datum::Bytes(bytes)),
        b"utf8mb4" | b"utf8mb3" | b"utf8" => TextCharset::Utf8,
        b"ascii" | b"latin1" => TextCharset::EightBit,
        _ => return None,
    };
    self::text(bytes, charset)
}

/// `0x1F` or `x'1F'`.
fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = prefixed(text, b'x')?;
    let odd = digits.len() % 2;
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let first = if odd == 1 { Some(digit(digits[0])?) } else { None };
    let rest = digits[odd..].chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?));
    first.into_iter().map(Some).chain(rest).collect()
}

/// `0b01` or `b'01'`: as few bytes as hold the bits.
fn bits(text: &[u8]) -> Option<Vec<u8>> {
    let digits = prefixed(text, b'b')?;
    let mut out = Vec::new();
    for chunk in digits.rchunks(8) {
        out.push(chunk.iter().try_fold(0u8, |byte, digit| match digit {
            b'0' | b'1' => Some(byte << 1 | (digit - b'0')),
            _ => None,
        })?);
    }
    out.reverse();
    Some(out)
}

/// The digits of `0x..` or `x'..'`.
fn prefixed(text: &[u8], prefix: u8) -> Option<&[u8]> {
    match text {
        [b'0', mark, digits @ ..] if mark.eq_ignore_ascii_case(&prefix) => Some(digits),
        [mark, b'\'', digits @ .., b'\''] if mark.eq_ignore_ascii_case(&prefix) => Some(digits),
        _ => None,
    }
}

/// `DATE'2024-01-01'`, `TIMESTAMP'2024-01-01 12:00:00'`.
fn temporal(text: &[u8], facts: Facts) -> Option<Datum<'_>> {
    let word = text.iter().position(|byte| !byte.is_ascii_alphabetic())?;
    let inside = unquote(text[word..].trim_ascii_start(), facts)?;
    let moment = Moment::parse(&inside)?;
    match (text[..word].to_ascii_lowercase().as_slice(), inside.len()) {
        (b"date", 10) | (b"timestamp", 19..) => Some(Datum::Moment(moment)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sql::Flavour;

    fn facts(mode: SqlMode, charset: TextCharset) -> Facts {
        Facts { mode, charset, flavour: Flavour::MySql, version: 90704 }
    }

    fn decoded(text: &str, kind: LiteralKind) -> Option<Datum<'_>> {
        decode(text.as_bytes(), kind, false, facts(SqlMode::default(), TextCharset::Utf8))
    }

    fn string(text: &str) -> Option<Datum<'static>> {
        Some(Datum::Text(Cow::Owned(text.as_bytes().to_vec())))
    }

    fn bytes(bytes: &[u8]) -> Option<Datum<'static>> {
        Some(Datum::Bytes(Cow::Owned(bytes.to_vec())))
    }

    #[test]
    fn strings() {
        let kind = LiteralKind::String;
        for (text, expected) in [
            ("'plain'", "plain"),
            ("''", ""),
            ("'it''s'", "it's"),
            ("\"say \"\"x\"\"\"", "say \"x\""),
            ("'\"'", "\""),
            (r"'a\'b'", "a'b"),
            (r"'\0\b\n\r\t\Z\\\x'", "\0\u{8}\n\r\t\u{1A}\\x"),
            (r"'50\%\_'", r"50\%\_"),
            ("'é😀'", "é😀"),
            ("'a' 'b'\n\"c\"", "abc"),
        ] {
            assert_eq!(decoded(text, kind), string(expected), "{text}");
        }
        let raw = facts(SqlMode::NO_BACKSLASH_ESCAPES, TextCharset::Utf8);
        assert_eq!(decode(br"'a\n''\'", kind, false, raw), string(r"a\n'\"));
        let latin1 = facts(SqlMode::default(), TextCharset::EightBit);
        assert_eq!(decode(b"'caf\xE9'", kind, false, latin1), None);
        assert_eq!(decode(b"'cafe'", kind, false, latin1), string("cafe"));
        assert_eq!(decode(b"'\xFF'", kind, false, raw), None);
        assert_eq!(decoded("N'x'", LiteralKind::National), string("x"));
        assert_eq!(decode(b"'1'", kind, true, raw), None);
    }

    #[test]
    fn numbers() {
        let number = |text: &'static str, negative| {
            let kind = if text.contains('.') { LiteralKind::Decimal } else { LiteralKind::Integer };
            decode(text.as_bytes(), kind, negative, facts(SqlMode::default(), TextCharset::Utf8))
        };
        let decimal = |text: &str| Some(Datum::Decimal(Decimal::parse(text.as_bytes()).unwrap()));
        assert_eq!(number("007", false), Some(Datum::Int(7)));
        assert_eq!(number("9223372036854775808", true), Some(Datum::Int(i64::MIN)));
        assert_eq!(number("18446744073709551615", false), Some(Datum::UInt(u64::MAX)));
        assert_eq!(number("18446744073709551615", true), decimal("-18446744073709551615"));
        assert_eq!(number("7.50", false), decimal("7.5"));
        assert_eq!(number("7.", false), decimal("7"));
        assert_eq!(number(".5", true), decimal("-0.5"));
        assert_eq!(decoded("1e3", LiteralKind::Float), Some(Datum::Double(1000.0)));
    }

    #[test]
    fn bytes_and_moments() {
        assert_eq!(decoded("0x1F0", LiteralKind::Hex), bytes(&[1, 0xF0]));
        assert_eq!(decoded("x'4a4B'", LiteralKind::Hex), bytes(b"JK"));
        assert_eq!(decoded("0b100000001", LiteralKind::Bit), bytes(&[1, 1]));
        assert_eq!(decoded("B''", LiteralKind::Bit), bytes(&[]));
        assert_eq!(decoded("_utf8mb4 'é'", LiteralKind::Introduced), string("é"));
        assert_eq!(decoded("_binary'é'", LiteralKind::Introduced), bytes("é".as_bytes()));
        assert_eq!(decoded("_latin1'é'", LiteralKind::Introduced), None);
        assert_eq!(decoded("_utf16 x'0041'", LiteralKind::Introduced), None);
        let day = Some(Datum::Moment(Moment::date(2024, 2, 29)));
        assert_eq!(decoded("DATE '2024-02-29'", LiteralKind::Temporal), day);
        assert_eq!(decoded("timestamp'2024-02-29 00:00:00'", LiteralKind::Temporal), day);
        assert_eq!(decoded("TIMESTAMP'2024-02-29'", LiteralKind::Temporal), None);
        assert_eq!(decoded("TIME'10:00:00'", LiteralKind::Temporal), None);
    }
}
