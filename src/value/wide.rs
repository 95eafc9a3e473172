//! Unsigned integers of 256 bits, enough for the 65 digits of a DECIMAL. It knows no scale and no sign.

use std::cmp::Ordering;

/// 10^19, the greatest power of ten in a `u64`.
const CHUNK: u64 = 10_000_000_000_000_000_000;
/// Digits in a chunk.
pub(crate) const CHUNK_DIGITS: usize = 19;
const DIGITS: u32 = CHUNK_DIGITS as u32;

/// A number below 2^256, least significant word first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wide([u64; 4]);

impl Wide {
    pub(crate) const ZERO: Wide = Wide([0; 4]);

    pub(crate) fn new(value: u128) -> Wide {
        Wide([value as u64, (value >> 64) as u64, 0, 0])
    }

    pub(crate) fn is_zero(self) -> bool {
        self.0 == [0; 4]
    }

    /// The number, if it is below 2^128.
    pub(crate) fn narrow(self) -> Option<u128> {
        let [a, b, c, d] = self.0;
        (c == 0 && d == 0).then_some(u128::from(b) << 64 | u128::from(a))
    }

    pub(crate) fn checked_add(self, other: Wide) -> Option<Wide> {
        let mut out = [0; 4];
        let mut carry = 0;
        for ((out, a), b) in out.iter_mut().zip(self.0).zip(other.0) {
            let sum = u128::from(a) + u128::from(b) + carry;
            *out = sum as u64;
            carry = sum >> 64;
        }
        (carry == 0).then_some(Wide(out))
    }

    /// `self - other`; `None` if that is below zero.
    pub(crate) fn checked_sub(self, other: Wide) -> Option<Wide> {
        let mut out = [0; 4];
        let mut borrow = false;
        for ((out, a), b) in out.iter_mut().zip(self.0).zip(other.0) {
            let (rest, under) = a.overflowing_sub(b);
            let (rest, again) = rest.overflowing_sub(u64::from(borrow));
            *out = rest;
            borrow = under || again;
        }
        (!borrow).then_some(Wide(out))
    }

    pub(crate) fn checked_mul_small(self, factor: u64) -> Option<Wide> {
        let mut out = [0; 4];
        let mut carry = 0;
        for (out, a) in out.iter_mut().zip(self.0) {
            let product = u128::from(a) * u128::from(factor) + carry;
            *out = product as u64;
            carry = product >> 64;
        }
        (carry == 0).then_some(Wide(out))
    }

    pub(crate) fn checked_mul(self, other: Wide) -> Option<Wide> {
        let mut sum = Wide::ZERO;
        for word in other.0.into_iter().rev() {
            let shifted = if sum.0[3] == 0 { Wide([0, sum.0[0], sum.0[1], sum.0[2]]) } else { return None };
            sum = shifted.checked_add(self.checked_mul_small(word)?)?;
        }
        Some(sum)
    }

    /// Quotient and remainder; the divisor must not be 0.
    pub(crate) fn div_rem_small(self, divisor: u64) -> (Wide, u64) {
        let mut out = [0; 4];
        let mut rest = 0u128;
        for (out, word) in out.iter_mut().zip(self.0).rev() {
            let dividend = rest << 64 | u128::from(word);
            *out = (dividend / u128::from(divisor)) as u64;
            rest = dividend % u128::from(divisor);
        }
        (Wide(out), rest as u64)
    }

    /// `self * 10^digits`.
    pub(crate) fn checked_shift(self, digits: u32) -> Option<Wide> {
        let mut out = self;
        for _ in 0..digits / DIGITS {
            out = out.checked_mul_small(CHUNK)?;
        }
        out.checked_mul_small(10u64.pow(digits % DIGITS))
    }

    /// Quotient and remainder by `10^digits`.
    pub(crate) fn unshift(self, digits: u32) -> (Wide, Wide) {
        let small = digits % DIGITS;
        let (mut quotient, rest) = self.div_rem_small(10u64.pow(small));
        let mut remainder = Wide::new(u128::from(rest));
        for chunk in 0..digits / DIGITS {
            let (next, rest) = quotient.div_rem_small(CHUNK);
            quotient = next;
            // The parts are disjoint digits of a number that fits, so neither step can overflow.
            let part = Wide::new(u128::from(rest)).checked_shift(small + chunk * DIGITS);
            remainder = part.and_then(|part| remainder.checked_add(part)).unwrap_or(remainder);
        }
        (quotient, remainder)
    }

    /// How many decimal digits it has; 0 has none.
    pub(crate) fn digits(self) -> u32 {
        if let Some(narrow) = self.narrow() {
            return narrow.checked_ilog10().map_or(0, |log| log + 1);
        }
        let (mut rest, mut digits) = (self, 0);
        loop {
            let (next, chunk) = rest.div_rem_small(CHUNK);
            if next.is_zero() {
                return digits + chunk.checked_ilog10().map_or(0, |log| log + 1);
            }
            rest = next;
            digits += DIGITS;
        }
    }

    /// Appends the decimal digits, with zeros in front up to `width`.
    pub(crate) fn write(self, width: usize, out: &mut Vec<u8>) {
        let start = out.len();
        let mut rest = self;
        while !rest.is_zero() {
            let (next, mut chunk) = rest.div_rem_small(CHUNK);
            rest = next;
            for _ in 0..DIGITS {
                if rest.is_zero() && chunk == 0 {
                    break;
                }
                out.push(b'0' + (chunk % 10) as u8);
                chunk /= 10;
            }
        }
        while out.len() - start < width {
            out.push(b'0');
        }
        out[start..].reverse();
    }
}

impl Ord for Wide {
    fn cmp(&self, other: &Wide) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Wide) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn show(wide: Wide) -> String {
        let mut out = Vec::new();
        wide.write(1, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn up_to_77_digits() {
        assert_eq!(show(Wide::ZERO), "0");
        assert_eq!(show(Wide::new(1).checked_shift(76).unwrap()), format!("1{}", "0".repeat(76)));
        assert_eq!(Wide::new(1).checked_shift(78), None);
        assert_eq!(Wide::new(1).checked_shift(76).unwrap().digits(), 77);
        assert_eq!(Wide::ZERO.digits(), 0);
    }

    proptest! {
        #[test]
        fn as_u128_does(a: u128, b: u128, small in 1u64..) {
            let (wide_a, wide_b) = (Wide::new(a), Wide::new(b));
            prop_assert_eq!(show(wide_a), a.to_string());
            prop_assert_eq!(wide_a.cmp(&wide_b), a.cmp(&b));
            prop_assert_eq!(wide_a.checked_sub(wide_b).map(Wide::narrow), a.checked_sub(b).map(Some));
            prop_assert_eq!(wide_a.div_rem_small(small), (Wide::new(a / u128::from(small)), (a % u128::from(small)) as u64));
            prop_assert_eq!(wide_a.digits(), if a == 0 { 0 } else { a.ilog10() + 1 });
        }

        #[test]
        fn a_product_divides_back(a: u128, b: u64, digits in 0u32..38) {
            let product = Wide::new(a).checked_mul(Wide::new(u128::from(b))).unwrap();
            prop_assert_eq!(product, Wide::new(a).checked_mul_small(b).unwrap());
            if b != 0 {
                prop_assert_eq!(product.div_rem_small(b), (Wide::new(a), 0));
            }
            let shifted = Wide::new(a).checked_shift(digits).unwrap();
            prop_assert_eq!(shifted.unshift(digits), (Wide::new(a), Wide::ZERO));
            let (high, low) = product.unshift(digits);
            prop_assert_eq!(high.checked_shift(digits).unwrap().checked_add(low).unwrap(), product);
        }
    }
}
