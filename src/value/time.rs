//! TIME as servers print it: a signed span of up to 838 hours. It knows none of the other forms that MySQL reads.

/// `[-]hh:mm:ss[.ffffff]`, with up to four digits of hours, in microseconds; none if it is anything else.
pub fn parse(text: &[u8]) -> Option<i64> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let colon = text.iter().position(|&byte| byte == b':').filter(|colon| (2..=4).contains(colon))?;
    let (hours, rest) = text.split_at(colon);
    let [b':', m1, m2, b':', s1, s2, fraction @ ..] = rest else { return None };
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => number(digits)? * 10_i64.pow(6 - digits.len() as u32),
        _ => return None,
    };
    Some(span(negative, number(hours)?, number(&[*m1, *m2])?, number(&[*s1, *s2])?, micros))
}

/// The microseconds of a signed span.
pub fn span(negative: bool, hours: i64, minutes: i64, seconds: i64, micros: i64) -> i64 {
    let span = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
    if negative { -span } else { span }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_and_longer_than_a_day() {
        let rising = [
            "-838:59:59",
            "-100:00:00",
            "-99:00:00",
            "-00:00:00.1",
            "00:00:00",
            "00:00:00.01",
            "09:00:00",
            "10:00:00",
            "100:00:00",
        ];
        assert!(rising.iter().all(|text| parse(text.as_bytes()).is_some()));
        assert!(rising.is_sorted_by(|a, b| parse(a.as_bytes()) < parse(b.as_bytes())));
        assert_eq!(parse(b"838:59:59.5"), Some(3_020_399_500_000));
        assert_eq!(parse(b"-00:00:01"), Some(-1_000_000));
    }

    #[test]
    fn no_other_form() {
        for text in
            ["", "-", "12", "12:00", "12:00:00.", "12:00:00.1234567", "1:00:00", "12:00:00 ", "1 12:00:00", "+12:00:00"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
