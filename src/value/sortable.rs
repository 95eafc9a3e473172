//! Values as bytes that compare, byte by byte, as MySQL compares the values: keys for sorting, grouping and merging.
//! It knows no column; the caller says what a value is, and that only values of one type meet.
//!
//! A key of several values is their bytes one after the other: no value's bytes are the beginning of another's.

use crate::value::moment::Moment;

/// The mark of a NULL, which comes before every value.
pub fn put_null(out: &mut Vec<u8>) {
    out.push(0);
}

/// The mark before every value that is not NULL.
pub fn put_some(out: &mut Vec<u8>) {
    out.push(1);
}

/// Turns the order of everything from byte `start` on around: a descending key.
pub fn invert(out: &mut [u8], start: usize) {
    for byte in &mut out[start..] {
        *byte = !*byte;
    }
}

/// An unsigned number.
pub fn put_unsigned(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// A signed number.
pub fn put_signed(number: i64, out: &mut Vec<u8>) {
    put_unsigned(number as u64 ^ 1 << 63, out);
}

/// A floating number; -0 equals 0, and MySQL has no NaN.
pub fn put_double(number: f64, out: &mut Vec<u8>) {
    let bits = if number == 0.0 { 0 } else { number.to_bits() };
    put_unsigned(if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }, out);
}

/// A DATE, DATETIME or TIMESTAMP, zero dates included.
pub fn put_moment(moment: Moment, out: &mut Vec<u8>) {
    let day = u64::from(moment.year) << 9 | u64::from(moment.month) << 5 | u64::from(moment.day);
    let second = u64::from(moment.hour) << 12 | u64::from(moment.minute) << 6 | u64::from(moment.second);
    put_unsigned((day << 17 | second) << 20 | u64::from(moment.micros), out);
}

/// A DECIMAL from its text `[-]digits[.digits]` of up to 100 digits before the point; false if it is not one.
///
/// Zeros in front and at the end do not count, so that `1`, `01.0` and `1.00` are one key.
pub fn put_decimal(text: &[u8], out: &mut Vec<u8>) -> bool {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let point = digits.iter().position(|&byte| byte == b'.');
    let whole = &digits[..point.unwrap_or(digits.len())];
    let fraction = point.map_or(&[][..], |point| &digits[point + 1..]);
    if digits.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return false;
    }
    let whole = &whole[whole.iter().take_while(|&&digit| digit == b'0').count()..];
    let fraction = &fraction[..fraction.len() - fraction.iter().rev().take_while(|&&digit| digit == b'0').count()];
    if whole.len() > 100 {
        return false;
    }
    let start = out.len();
    out.push(0x80 + whole.len() as u8);
    out.extend_from_slice(whole);
    out.extend_from_slice(fraction);
    // Less than any digit, so that 1.2 comes before 1.23.
    out.push(0);
    if negative && !(whole.is_empty() && fraction.is_empty()) {
        invert(out, start);
    }
    true
}

/// A string that is compared by its bytes, in the middle of a key: zeros are escaped, and the end is marked.
pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    for part in bytes.split_inclusive(|&byte| byte == 0) {
        out.extend_from_slice(part);
        if part.last() == Some(&0) {
            out.push(0xFF);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// The same at the end of an ascending key, where nothing can follow.
pub fn put_last_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes);
}

/// The weights of a text that is compared as if spaces without end followed it, the weight of a space being `space`;
/// false if they are not a number of weights of its length.
///
/// Spaces at the end do not count, and what ends is followed by a space. A space that is followed, perhaps behind other
/// spaces, by something less than a space must come before that: it is put between the weights below a space and it.
pub fn put_padded(weights: &[u8], space: &[u8], out: &mut Vec<u8>) -> bool {
    if space.is_empty() || !weights.len().is_multiple_of(space.len()) {
        return false;
    }
    let mut below = space.to_vec();
    for byte in below.iter_mut().rev() {
        let (less, borrow) = byte.overflowing_sub(1);
        *byte = less;
        if !borrow {
            break;
        }
    }
    let mut keyed = Vec::with_capacity(weights.len() + space.len());
    let mut spaces = 0;
    for weight in weights.chunks(space.len()) {
        if weight == space {
            spaces += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut spaces) {
            if weight < space {
                keyed.extend_from_slice(&below);
                keyed.push(1);
            } else {
                keyed.extend_from_slice(space);
            }
        }
        keyed.extend_from_slice(weight);
        if weight == below {
            keyed.push(0);
        }
    }
    keyed.extend_from_slice(space);
    put_bytes(&keyed, out);
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cmp::Ordering;

    use super::*;

    fn bytes<T>(put: impl Fn(T, &mut Vec<u8>), value: T) -> Vec<u8> {
        let mut out = Vec::new();
        put(value, &mut out);
        out
    }

    #[test]
    fn numbers_sort_by_value() {
        let signed = [i64::MIN, -256, -1, 0, 1, 255, 256, i64::MAX];
        assert!(signed.is_sorted_by(|a, b| bytes(put_signed, *a) < bytes(put_signed, *b)));
        let doubles = [f64::MIN, -1.5, -1.0, -f64::MIN_POSITIVE, 0.0, f64::MIN_POSITIVE, 1.0, 1.5, f64::MAX];
        assert!(doubles.is_sorted_by(|a, b| bytes(put_double, *a) < bytes(put_double, *b)));
        assert_eq!(bytes(put_double, -0.0), bytes(put_double, 0.0));
    }

    #[test]
    fn moments_sort_as_mysql_sorts_them() {
        let rising = [
            "0000-00-00",
            "0000-00-00 00:00:01",
            "1999-00-31",
            "1999-12-31",
            "1999-12-31 23:59:59.999999",
            "2000-01-01 00:00:00",
            "2000-01-01 00:00:00.01",
            "2000-01-01 00:00:00.1",
            "2000-01-01 00:01:00",
            "2000-01-01 01:00:00",
            "9999-12-31 23:59:59",
        ];
        let key = |text: &str| bytes(put_moment, Moment::parse(text.as_bytes()).unwrap());
        assert!(rising.is_sorted_by(|a, b| key(a) < key(b)));
    }

    #[test]
    fn decimals_sort_by_value_to_the_last_digit() {
        let key = |text: &str| {
            let mut out = Vec::new();
            assert!(put_decimal(text.as_bytes(), &mut out), "{text}");
            out
        };
        let long = "12345678901234567890123456789012345.678901234567890123456789012345";
        let longer = "12345678901234567890123456789012345.678901234567890123456789012346";
        let rising = [
            "-100", "-99.5", "-10.01", "-10", "-9.99", "-0.5", "-0.05", "0", "0.05", "0.5", "9.99", "10", "10.01",
            long, longer,
        ];
        assert!(rising.is_sorted_by(|a, b| key(a) < key(b)));
        for (one, other) in [("-0.00", "0"), ("1", "001.000"), (".5", "0.50"), ("-7.", "-7")] {
            assert_eq!(key(one), key(other));
        }
        for text in ["", "-", "1e5", "1.2.3", "+1", " 1"] {
            assert!(!put_decimal(text.as_bytes(), &mut Vec::new()), "{text}");
        }
    }

    #[test]
    fn strings_sort_by_bytes_whatever_follows() {
        let rising: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"\0a", b"a", b"a\0", b"ab"];
        for put in [put_bytes, put_last_bytes] {
            assert!(rising.is_sorted_by(|a, b| bytes(put, a) < bytes(put, b)));
        }
        for (one, other) in rising.iter().zip(&rising[1..]) {
            let followed = |string: &[u8], next: u8| [bytes(put_bytes, string), vec![next]].concat();
            assert!(followed(one, 0xFF) < followed(other, 0));
        }
    }

    #[test]
    fn inverting_turns_the_order_around() {
        let falling = |string: &[u8]| {
            let mut out = bytes(put_bytes, string);
            invert(&mut out, 0);
            out
        };
        assert!([&b"b"[..], b"ab", b"a", b""].is_sorted_by(|a, b| falling(a) < falling(b)));
    }

    #[test]
    fn texts_compare_as_if_spaces_without_end_followed() {
        let by_definition = |a: &[u8], b: &[u8]| {
            let padded = |text: &[u8], at: usize| text.get(at).copied().unwrap_or(b' ');
            (0..a.len().max(b.len()))
                .map(|at| padded(a, at).cmp(&padded(b, at)))
                .find(|o| o.is_ne())
                .unwrap_or(Ordering::Equal)
        };
        let letters = [0x1E, 0x1F, b' ', b'!', 0xFF];
        let mut texts: Vec<Vec<u8>> = vec![Vec::new()];
        for length in 0..4 {
            let longest: Vec<Vec<u8>> = texts.iter().filter(|text| text.len() == length).cloned().collect();
            texts.extend(longest.iter().flat_map(|text| letters.map(|letter| [&text[..], &[letter]].concat())));
        }
        let key = |text: &[u8]| {
            let mut out = Vec::new();
            assert!(put_padded(text, b" ", &mut out));
            out
        };
        let keys: Vec<Vec<u8>> = texts.iter().map(|text| key(text)).collect();
        for (a, key_a) in texts.iter().zip(&keys) {
            for (b, key_b) in texts.iter().zip(&keys) {
                assert_eq!(key_a.cmp(key_b), by_definition(a, b), "{a:?} {b:?}");
            }
        }
        let mut wide = Vec::new();
        assert!(put_padded(&[0, 65, 0, 32, 0, 32], &[0, 32], &mut wide));
        assert!(!put_padded(&[0, 65, 0], &[0, 32], &mut Vec::new()));
        assert!(!put_padded(b"a", b"", &mut Vec::new()));
        let mut short = Vec::new();
        assert!(put_padded(&[0, 65], &[0, 32], &mut short));
        assert_eq!(wide, short);
    }
}
