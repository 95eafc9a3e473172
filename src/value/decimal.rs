//! DECIMAL: exact numbers of up to 65 digits, 30 of them behind the point, computed as MySQL computes them.
//! What MySQL itself would cut off without saying so is refused here.
//! <https://dev.mysql.com/doc/refman/8.4/en/precision-math.html>

use std::cmp::Ordering;
use std::fmt;

use crate::value::wide::{self, Wide};

/// The most digits a DECIMAL has.
pub const MAX_DIGITS: u32 = 65;
/// The most digits behind the point.
pub const MAX_SCALE: u8 = 30;
/// MySQL computes in words of nine digits.
const WORD: u8 = 9;
/// The most digits of a quotient's fraction before it is rounded.
const MAX_KEPT: u8 = MAX_SCALE.div_ceil(WORD) * WORD;

/// An exact number. Equal if the values are: `1.0 == 1.00`.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    negative: bool,
    digits: Wide,
    scale: u8,
}

/// Why there is no exact result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inexact {
    /// More digits before the point than a DECIMAL has: MySQL's error 1690.
    Overflow,
    /// More digits behind the point than a DECIMAL has: MySQL would cut some off.
    Scale,
}

impl Decimal {
    /// Zero, without digits behind the point.
    pub const ZERO: Decimal = Decimal { negative: false, digits: Wide::ZERO, scale: 0 };

    /// `[+-]digits[.digits]`, as MySQL prints it and as a literal is written; none with an exponent or too many digits.
    pub fn parse(text: &[u8]) -> Option<Decimal> {
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let point = unsigned.iter().position(|byte| *byte == b'.').unwrap_or(unsigned.len());
        let fraction = unsigned.get(point + 1..).unwrap_or(&[]);
        if point + fraction.len() == 0 || fraction.len() > usize::from(MAX_SCALE) {
            return None;
        }
        let mut digits = Wide::ZERO;
        let chunks = [&unsigned[..point], fraction].into_iter().flat_map(|part| part.chunks(wide::CHUNK_DIGITS));
        for chunk in chunks {
            let mut number = 0;
            for byte in chunk {
                number = number * 10 + char::from(*byte).to_digit(10).map(u64::from)?;
            }
            digits = digits.checked_shift(chunk.len() as u32)?.checked_add(Wide::new(u128::from(number)))?;
        }
        Decimal::checked(negative, digits, fraction.len() as u8).ok()
    }

    /// How many digits stand behind the point.
    pub fn scale(self) -> u8 {
        self.scale
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.negative
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.digits.is_zero()
    }

    /// The number as an integer, if it is one.
    pub fn to_integer(self) -> Option<i128> {
        let (whole, fraction) = self.digits.unshift(u32::from(self.scale));
        let whole = i128::try_from(whole.narrow()?).ok()?;
        fraction.is_zero().then_some(if self.negative { -whole } else { whole })
    }

    /// The next integer towards minus infinity.
    pub fn floor(self) -> Option<i128> {
        let (whole, fraction) = self.digits.unshift(u32::from(self.scale));
        let whole = i128::try_from(whole.narrow()?).ok()?;
        Some(if self.negative { -whole - i128::from(!fraction.is_zero()) } else { whole })
    }

    /// MySQL's order of this number and an integer.
    pub fn compare_integer(self, other: i128) -> Ordering {
        let digits = Wide::new(other.unsigned_abs());
        self.cmp(&Decimal { negative: other < 0, digits, scale: 0 })
    }

    /// `10^digits`; at most 65 digits count.
    pub fn power_of_ten(digits: u8) -> Decimal {
        let digits = Wide::new(1).checked_shift(u32::from(digits).min(MAX_DIGITS)).unwrap_or(Wide::ZERO);
        Decimal { negative: false, digits, scale: 0 }
    }

    /// Without zeros at the end of the fraction: equal numbers become identical.
    pub fn normalized(self) -> Decimal {
        let mut out = self;
        while out.scale > 0 {
            let (shorter, last) = out.digits.div_rem_small(10);
            if last != 0 {
                break;
            }
            out.digits = shorter;
            out.scale -= 1;
        }
        out
    }

    /// `-self`.
    pub fn negate(self) -> Decimal {
        Decimal { negative: !self.negative && !self.is_zero(), ..self }
    }

    /// `self + other`, with the larger of both scales.
    #[expect(clippy::should_implement_trait, reason = "it can fail, which an operator cannot say")]
    pub fn add(self, other: Decimal) -> Result<Decimal, Inexact> {
        let scale = self.scale.max(other.scale);
        let (a, b) = (self.scaled(scale)?, other.scaled(scale)?);
        if self.negative == other.negative {
            return Decimal::checked(self.negative, a.checked_add(b).ok_or(Inexact::Overflow)?, scale);
        }
        match a.checked_sub(b) {
            Some(rest) => Decimal::checked(self.negative, rest, scale),
            None => Decimal::checked(other.negative, b.checked_sub(a).ok_or(Inexact::Overflow)?, scale),
        }
    }

    /// `self - other`, with the larger of both scales.
    pub fn subtract(self, other: Decimal) -> Result<Decimal, Inexact> {
        self.add(other.negate())
    }

    /// `self * other`, with the sum of both scales.
    pub fn multiply(self, other: Decimal) -> Result<Decimal, Inexact> {
        let scale = self.scale + other.scale;
        if scale > MAX_SCALE {
            return Err(Inexact::Scale);
        }
        let digits = self.digits.checked_mul(other.digits).ok_or(Inexact::Overflow)?;
        Decimal::checked(self.negative != other.negative, digits, scale)
    }

    /// Rounded to `scale` digits behind the point, half away from zero; zeros are put behind if it has fewer.
    pub fn round(self, scale: u8) -> Result<Decimal, Inexact> {
        if scale >= self.scale {
            return Decimal::checked(self.negative, self.scaled(scale)?, scale);
        }
        let (digits, rest) = self.digits.unshift(u32::from(self.scale - scale));
        let half = Wide::new(5).checked_shift(u32::from(self.scale - scale) - 1).ok_or(Inexact::Overflow)?;
        let up = Wide::new(u128::from(rest >= half));
        Decimal::checked(self.negative, digits.checked_add(up).ok_or(Inexact::Overflow)?, scale)
    }

    /// AVG: `self / count` with `scale` digits, where `self` is SUM(x) as the server printed it; `count` is not 0.
    ///
    /// The server divides to whole words of nine digits, cuts the rest off, and rounds what it has to `scale`: so a
    /// sum with 5, 14 or 23 digits behind the point has an average that is cut and not rounded.
    pub fn average(self, count: u64, scale: u8) -> Result<Decimal, Inexact> {
        self.quotient(count, scale)?.round(scale)
    }

    /// What [`Decimal::average`] is before it is rounded.
    pub fn quotient(self, count: u64, scale: u8) -> Result<Decimal, Inexact> {
        let words = |digits: u8| digits.div_ceil(WORD);
        let sum_digits = words(self.scale) * WORD;
        // `div_precision_increment`, or less where MAX_SCALE bounds it: then more digits are kept anyway.
        let increment = scale.saturating_sub(self.scale).saturating_sub(sum_digits - self.scale);
        let kept = words(sum_digits + increment) * WORD;
        let dividend = self.digits.checked_shift(u32::from(kept - self.scale)).ok_or(Inexact::Scale)?;
        let (quotient, _) = dividend.div_rem_small(count);
        Ok(Decimal { negative: self.negative && !quotient.is_zero(), digits: quotient, scale: kept })
    }

    /// Appends it as MySQL prints it: `-0.50`.
    pub fn write(self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let start = out.len();
        self.digits.write(usize::from(self.scale) + 1, out);
        if self.scale > 0 {
            let point = out.len() - usize::from(self.scale);
            debug_assert!(point > start);
            out.insert(point, b'.');
        }
    }

    fn checked(negative: bool, digits: Wide, scale: u8) -> Result<Decimal, Inexact> {
        let found = digits.digits();
        if found > MAX_DIGITS {
            return Err(if found > MAX_DIGITS + u32::from(scale) { Inexact::Overflow } else { Inexact::Scale });
        }
        if scale > MAX_SCALE {
            return Err(Inexact::Scale);
        }
        Ok(Decimal { negative: negative && !digits.is_zero(), digits, scale })
    }

    fn scaled(self, scale: u8) -> Result<Wide, Inexact> {
        if scale == self.scale {
            return Ok(self.digits);
        }
        self.digits.checked_shift(u32::from(scale - self.scale)).ok_or(Inexact::Overflow)
    }

    /// Whole part, and the fraction as a number of as many digits as there can be.
    fn split(self) -> (Wide, Wide) {
        let (whole, fraction) = self.digits.unshift(u32::from(self.scale));
        (whole, fraction.checked_shift(u32::from(MAX_KEPT.saturating_sub(self.scale))).unwrap_or(fraction))
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Decimal {
        Decimal { negative: value < 0, digits: Wide::new(u128::from(value.unsigned_abs())), scale: 0 }
    }
}

impl From<u64> for Decimal {
    fn from(value: u64) -> Decimal {
        Decimal { negative: false, digits: Wide::new(u128::from(value)), scale: 0 }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.split().cmp(&other.split()),
            (true, true) => other.split().cmp(&self.split()),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl std::hash::Hash for Decimal {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.negative.hash(state);
        self.split().hash(state);
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn dec(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn printed_as_parsed() {
        for text in ["0", "7", "-7", "0.50", "-0.05", "123456789012345678901234567890.123456789012345678901234567890"] {
            assert_eq!(dec(text).to_string(), text);
        }
        assert_eq!(dec("+07.5").to_string(), "7.5");
        assert_eq!(dec(".5").to_string(), "0.5");
        assert_eq!(dec("5.").to_string(), "5");
        assert_eq!(dec("-0.00").to_string(), "0.00");
        assert_eq!(dec(&"9".repeat(65)).to_string(), "9".repeat(65));
        for text in ["", "-", ".", "1e5", "1.2.3", " 1", "0x1", &"9".repeat(66), &format!("0.{}", "1".repeat(31))] {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn ordered_by_value() {
        let sorted = ["-10", "-9.5", "-0.001", "0", "0.0009", "0.001", "9.5", "10"];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(dec(a).cmp(&dec(b)), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(dec("1.0"), dec("1.000"));
        assert!(dec(&"9".repeat(65)) > dec(&format!("{}.{}", "9".repeat(35), "9".repeat(30))));
    }

    #[test]
    fn sums_and_products() {
        assert_eq!(dec("1.5").add(dec("2.25")).unwrap().to_string(), "3.75");
        assert_eq!(dec("1.50").subtract(dec("1.5")).unwrap().to_string(), "0.00");
        assert_eq!(dec("1").subtract(dec("2.5")).unwrap().to_string(), "-1.5");
        assert_eq!(dec("-1.5").multiply(dec("0.20")).unwrap().to_string(), "-0.300");
        let most = dec(&"9".repeat(65));
        assert_eq!(most.add(dec("1")), Err(Inexact::Overflow));
        assert_eq!(most.multiply(most), Err(Inexact::Overflow));
        assert_eq!(most.add(dec("0.5")), Err(Inexact::Scale));
        assert_eq!(dec("0.1234567890123456").multiply(dec("0.1234567890123456")), Err(Inexact::Scale));
    }

    #[test]
    fn rounded_half_away_from_zero() {
        for (text, scale, expected) in [
            ("2.5", 0, "3"),
            ("-2.5", 0, "-3"),
            ("2.45", 1, "2.5"),
            ("2.4499", 1, "2.4"),
            ("1", 2, "1.00"),
            ("-0.4", 0, "0"),
        ] {
            assert_eq!(dec(text).round(scale).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn averages_as_the_server_prints_them() {
        // (SUM(x), COUNT(x), decimals of AVG(x), AVG(x)), read from MySQL 9.7 and MariaDB 10.11.
        for (sum, count, scale, expected) in [
            ("10", 4, 4, "2.5000"),
            ("2", 3, 4, "0.6667"),
            ("-2", 3, 4, "-0.6667"),
            ("2.00", 3, 6, "0.666667"),
            ("0.00", 3, 6, "0.000000"),
            ("0.00002", 3, 9, "0.000006666"),
            ("0.00000000000002", 3, 18, "0.000000000000006666"),
            ("0.0000000000000000000000000002", 3, 30, "0.000000000000000000000000000067"),
            // With div_precision_increment = 10, 0 and 30.
            ("0.00002", 3, 15, "0.000006666666667"),
            ("2.00", 3, 2, "0.67"),
            ("0.00002", 3, 5, "0.00001"),
            ("2.00", 3, 30, "0.666666666666666666666666666667"),
        ] {
            assert_eq!(dec(sum).average(count, scale).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn an_average_before_rounding_has_whole_words() {
        assert_eq!(dec("2.00").quotient(3, 6).unwrap().to_string(), "0.666666666");
        let long = dec("0.0000000000000000000000000002").quotient(3, 30).unwrap();
        assert_eq!(long.to_string(), "0.000000000000000000000000000066666666");
        assert!(long < dec("0.000000000000000000000000000067"));
        assert!(long > dec("0.000000000000000000000000000066"));
    }

    proptest! {
        #[test]
        fn like_i128(a in -10i128.pow(18)..10i128.pow(18), b in -10i128.pow(18)..10i128.pow(18)) {
            let (x, y) = (dec(&a.to_string()), dec(&b.to_string()));
            prop_assert_eq!(x.add(y).unwrap().to_integer(), Some(a + b));
            prop_assert_eq!(x.subtract(y).unwrap().to_integer(), Some(a - b));
            prop_assert_eq!(x.multiply(y).unwrap().to_integer(), Some(a * b));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }

        #[test]
        fn floors(a in -10i64.pow(12)..10i64.pow(12), scale in 0u8..6) {
            let unit = 10i64.pow(u32::from(scale));
            let decimal = Decimal { scale, ..Decimal::from(a) };
            prop_assert_eq!(decimal.floor(), Some(i128::from(a.div_euclid(unit))));
            prop_assert_eq!(decimal.normalized(), decimal);
            prop_assert_eq!(decimal.normalized().to_integer().is_some(), a % unit == 0);
        }
    }
}
