//! DOUBLE as text, digit for digit as MySQL prints it. It knows no FLOAT and no fixed number of decimals.

use std::io::Write as _;

/// MySQL writes zeros around the digits up to this many places, and an exponent beyond.
const PLAIN_DIGITS: i32 = 15;

/// Appends a finite number: the fewest digits that give it back, as `123.45`, `0.00001`, `1e15` or `1.5e-20`
/// (`my_gcvt` of the server's `dtoa.cc`).
pub fn write(number: f64, out: &mut Vec<u8>) {
    let mut buffer = [0; 32];
    let mut rest = &mut buffer[..];
    // `-d.ddde-xxx` has 24 characters at most: the buffer does not overflow.
    let _ = write!(rest, "{number:e}");
    let unused = rest.len();
    let text = &buffer[..buffer.len() - unused];
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |text| (true, text));
    let mark = text.iter().position(|&byte| byte == b'e').unwrap_or(text.len());
    let exponent = str::from_utf8(&text[(mark + 1).min(text.len())..]).ok().and_then(|text| text.parse().ok());
    let mut digits = [0; 24];
    let mut count = 0;
    for &digit in text[..mark].iter().filter(|byte| byte.is_ascii_digit()) {
        digits[count] = digit;
        count += 1;
    }
    if negative {
        out.push(b'-');
    }
    put_digits(&digits[..count], exponent.unwrap_or(0) + 1, out);
}

/// The digits with the point behind the first `point` of them, which may be outside.
fn put_digits(digits: &[u8], point: i32, out: &mut Vec<u8>) {
    let count = digits.len() as i32;
    if point < 1 - PLAIN_DIGITS || (point > PLAIN_DIGITS && count <= point) {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        let _ = write!(out, "e{}", point - 1);
    } else if point <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-point) as usize, b'0');
        out.extend_from_slice(digits);
    } else if count <= point {
        out.extend_from_slice(digits);
        out.resize(out.len() + (point - count) as usize, b'0');
    } else {
        let (whole, fraction) = digits.split_at(point as usize);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn printed(number: f64) -> String {
        let mut out = Vec::new();
        write(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_the_server_prints() {
        // Read from MySQL 9.7 and MariaDB 10.11.
        for (number, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e14, "100000000000000"),
            (1e15, "1e15"),
            (123456789012345.0, "123456789012345"),
            (1234567890123456.0, "1.234567890123456e15"),
            (1234567890123456.5, "1234567890123456.5"),
            (12345678901234567.0, "1.2345678901234568e16"),
            (1e-14, "0.00000000000001"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (1.5e-20, "1.5e-20"),
            (-1.7976931348623157e308, "-1.7976931348623157e308"),
            (5e-324, "5e-324"),
            (1e100, "1e100"),
        ] {
            assert_eq!(printed(number), text);
        }
    }

    proptest! {
        #[test]
        fn reads_back(number in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert_eq!(printed(number).parse::<f64>().unwrap(), number);
        }
    }
}
