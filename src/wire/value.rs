//! One value of the binary protocol: read, written, and turned into the text protocol's form and back.
//! It knows types and no table; what a value means to a statement is decided elsewhere.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>

use std::io::Write as _;

use crate::wire::column::{ColumnDef, ColumnType, flags};
use crate::wire::cursor::{Cursor, put_lenenc_bytes};
use crate::wire::error::WireError;

/// What a column's definition says of the form of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The type.
    pub ty: ColumnType,
    /// Bits as in [`flags`].
    pub flags: u16,
    /// Digits behind the point; 31 or more where there is no fixed number.
    pub decimals: u8,
    /// Display width.
    pub length: u32,
}

impl Shape {
    /// The shape of a column.
    pub fn of(column: &ColumnDef<'_>) -> Shape {
        Shape { ty: column.ty, flags: column.flags, decimals: column.decimals, length: column.length }
    }

    /// The shape of a parameter.
    pub fn of_param(ty: ColumnType, unsigned: bool) -> Shape {
        Shape { ty, flags: if unsigned { flags::UNSIGNED } else { 0 }, decimals: 31, length: 0 }
    }

    /// How values of this shape are encoded; nothing for a type that no server sends and no client may.
    pub fn coding(self) -> Option<Coding> {
        Some(match self.ty {
            ColumnType::NULL => Coding::Nothing,
            ColumnType::TINY => Coding::Integer(1),
            ColumnType::SHORT | ColumnType::YEAR => Coding::Integer(2),
            ColumnType::LONG | ColumnType::INT24 => Coding::Integer(4),
            ColumnType::LONGLONG => Coding::Integer(8),
            ColumnType::FLOAT => Coding::Float,
            ColumnType::DOUBLE => Coding::Double,
            ColumnType::DATE | ColumnType::NEWDATE => Coding::Date,
            ColumnType::DATETIME | ColumnType::TIMESTAMP => Coding::DateTime,
            ColumnType::TIME => Coding::Time,
            ColumnType::DECIMAL | ColumnType::VARCHAR | ColumnType::BIT => Coding::Bytes,
            ColumnType(0xF2 | 0xF5..) => Coding::Bytes,
            ColumnType(_) => return None,
        })
    }

    /// Whether the text protocol shows values exactly: a FLOAT has six digits there, a DOUBLE(9,2) two decimals.
    pub fn text_is_exact(self) -> bool {
        match self.coding() {
            Some(Coding::Float) => false,
            Some(Coding::Double) => self.fixed_decimals().is_none(),
            _ => true,
        }
    }

    /// Whether integers have no sign.
    pub fn is_unsigned(self) -> bool {
        self.flags & flags::UNSIGNED != 0
    }

    /// The digits behind the point, if they are fixed.
    fn fixed_decimals(self) -> Option<usize> {
        (self.decimals < 31).then_some(usize::from(self.decimals))
    }
}

/// How a value is encoded in the binary protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Always NULL.
    Nothing,
    /// So many bytes, low byte first.
    Integer(u8),
    /// Four bytes.
    Float,
    /// Eight bytes.
    Double,
    /// A length and up to 11 bytes, of which the time of day is not shown.
    Date,
    /// A length and up to 11 bytes.
    DateTime,
    /// A length and up to 12 bytes.
    Time,
    /// A length-encoded string, the same as in the text protocol.
    Bytes,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A FLOAT.
    Float(f32),
    /// A DOUBLE.
    Double(f64),
    /// A string, DECIMAL, BIT, JSON, GEOMETRY, ENUM, SET.
    Bytes(&'a [u8]),
    /// A DATE, DATETIME or TIMESTAMP.
    DateTime(DateTime),
    /// A TIME.
    Time(Time),
}

/// A date and a time of day; all zero is MySQL's zero date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DateTime {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    /// Microseconds.
    pub micros: u32,
}

/// A span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Time {
    pub negative: bool,
    /// Up to 838 in MySQL; days are counted in.
    pub hours: u32,
    pub minutes: u8,
    pub seconds: u8,
    /// Microseconds.
    pub micros: u32,
}

impl<'a> Value<'a> {
    /// Reads a value that is not NULL.
    pub fn decode(cursor: &mut Cursor<'a>, shape: Shape) -> Result<Value<'a>, WireError> {
        Ok(match shape.coding().ok_or_else(|| cursor.malformed())? {
            Coding::Nothing => Value::Null,
            Coding::Integer(1) if shape.is_unsigned() => Value::UInt(u64::from(cursor.u8()?)),
            Coding::Integer(1) => Value::Int(i64::from(cursor.u8()? as i8)),
            Coding::Integer(2) if shape.is_unsigned() => Value::UInt(u64::from(cursor.u16()?)),
            Coding::Integer(2) => Value::Int(i64::from(cursor.u16()? as i16)),
            Coding::Integer(4) if shape.is_unsigned() => Value::UInt(u64::from(cursor.u32()?)),
            Coding::Integer(4) => Value::Int(i64::from(cursor.u32()? as i32)),
            Coding::Integer(_) if shape.is_unsigned() => Value::UInt(cursor.u64()?),
            Coding::Integer(_) => Value::Int(cursor.u64()? as i64),
            Coding::Float => Value::Float(f32::from_le_bytes(cursor.array()?)),
            Coding::Double => Value::Double(f64::from_le_bytes(cursor.array()?)),
            Coding::Date | Coding::DateTime => Value::DateTime(DateTime::decode(cursor)?),
            Coding::Time => Value::Time(Time::decode(cursor)?),
            Coding::Bytes => Value::Bytes(cursor.lenenc_bytes()?),
        })
    }

    /// Writes a value that is not NULL in the binary protocol.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if the value is not of this shape.
    pub fn encode(&self, shape: Shape, out: &mut Vec<u8>) -> Result<(), WireError> {
        let misfit = WireError::Malformed { packet: "binary value" };
        match (shape.coding(), *self) {
            (Some(Coding::Integer(len)), Value::Int(_) | Value::UInt(_)) => {
                let number = match *self {
                    Value::Int(n) => i128::from(n),
                    Value::UInt(n) => i128::from(n),
                    _ => return Err(misfit),
                };
                let bits = 8 * u32::from(len);
                let (low, high) =
                    if shape.is_unsigned() { (0, 1 << bits) } else { (-1 << (bits - 1), 1 << (bits - 1)) };
                if !(low..high).contains(&number) {
                    return Err(misfit);
                }
                out.extend_from_slice(&number.to_le_bytes()[..usize::from(len)]);
            }
            (Some(Coding::Float), Value::Float(n)) => out.extend_from_slice(&n.to_le_bytes()),
            (Some(Coding::Double), Value::Double(n)) => out.extend_from_slice(&n.to_le_bytes()),
            (Some(Coding::Date | Coding::DateTime), Value::DateTime(value)) => value.encode(out),
            (Some(Coding::Time), Value::Time(value)) => value.encode(out),
            (Some(Coding::Bytes), Value::Bytes(bytes)) => put_lenenc_bytes(out, bytes),
            _ => return Err(misfit),
        }
        Ok(())
    }

    /// Writes the characters that the text protocol has for the value, without a length; nothing for NULL.
    pub fn put_text(&self, shape: Shape, out: &mut Vec<u8>) {
        let from = out.len();
        match *self {
            Value::Null => {}
            Value::Int(n) => put(out, format_args!("{n}")),
            Value::UInt(n) => put(out, format_args!("{n}")),
            Value::Float(n) => put_real(f64::from(n), 6, shape, out),
            Value::Double(n) => put_real(n, 17, shape, out),
            Value::Bytes(bytes) => out.extend_from_slice(bytes),
            Value::DateTime(value) => value.put_text(shape, out),
            Value::Time(value) => value.put_text(shape, out),
        }
        let width = match shape.ty {
            // A YEAR's width is 4 and its flag is ZEROFILL.
            _ if shape.flags & flags::ZEROFILL != 0 => shape.length as usize,
            ColumnType::YEAR => 4,
            _ => 0,
        };
        let number = matches!(self, Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Double(_));
        let missing = width.min(255).saturating_sub(out.len() - from);
        if number && missing > 0 {
            out.splice(from..from, std::iter::repeat_n(b'0', missing));
        }
    }

    /// Reads the characters that the text protocol has for a value of this shape.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if they are not of this shape.
    pub fn of_text(text: &'a [u8], shape: Shape) -> Result<Value<'a>, WireError> {
        let value = match shape.coding() {
            Some(Coding::Bytes) => Some(Value::Bytes(text)),
            Some(Coding::Integer(_)) if shape.is_unsigned() => parse(text).map(Value::UInt),
            Some(Coding::Integer(_)) => parse(text).map(Value::Int),
            Some(Coding::Float) => parse(text).map(Value::Float),
            Some(Coding::Double) => parse(text).map(Value::Double),
            Some(Coding::Date | Coding::DateTime) => DateTime::of_text(text).map(Value::DateTime),
            Some(Coding::Time) => Time::of_text(text).map(Value::Time),
            Some(Coding::Nothing) | None => None,
        };
        value.ok_or(WireError::Malformed { packet: "text value" })
    }
}

impl DateTime {
    fn decode(cursor: &mut Cursor<'_>) -> Result<DateTime, WireError> {
        let mut value = DateTime::default();
        let len = cursor.u8()?;
        if !matches!(len, 0 | 4 | 7 | 11) {
            return Err(cursor.malformed());
        }
        if len >= 4 {
            (value.year, value.month, value.day) = (cursor.u16()?, cursor.u8()?, cursor.u8()?);
        }
        if len >= 7 {
            (value.hour, value.minute, value.second) = (cursor.u8()?, cursor.u8()?, cursor.u8()?);
        }
        if len == 11 {
            value.micros = cursor.u32()?;
        }
        Ok(value)
    }

    fn encode(self, out: &mut Vec<u8>) {
        let [y0, y1] = self.year.to_le_bytes();
        let fields = [y0, y1, self.month, self.day, self.hour, self.minute, self.second];
        let len = match self {
            DateTime { micros: 1.., .. } => 11,
            DateTime { hour: 0, minute: 0, second: 0, year: 0, month: 0, day: 0, .. } => 0,
            DateTime { hour: 0, minute: 0, second: 0, .. } => 4,
            _ => 7,
        };
        out.push(len);
        out.extend_from_slice(&fields[..usize::from(len.min(7))]);
        if len == 11 {
            out.extend_from_slice(&self.micros.to_le_bytes());
        }
    }

    fn put_text(self, shape: Shape, out: &mut Vec<u8>) {
        put(out, format_args!("{:04}-{:02}-{:02}", self.year, self.month, self.day));
        if shape.coding() != Some(Coding::Date) {
            put(out, format_args!(" {:02}:{:02}:{:02}", self.hour, self.minute, self.second));
            put_micros(self.micros, shape, out);
        }
    }

    fn of_text(text: &[u8]) -> Option<DateTime> {
        let text = std::str::from_utf8(text).ok()?;
        let (date, time) = text.split_once(' ').unwrap_or((text, "00:00:00"));
        let (year, rest) = date.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let time = Time::of_text(time.as_bytes())?;
        if time.negative {
            return None;
        }
        Some(DateTime {
            year: digits(year)?,
            month: digits(month)?,
            day: digits(day)?,
            hour: time.hours.try_into().ok()?,
            minute: time.minutes,
            second: time.seconds,
            micros: time.micros,
        })
    }
}

impl Time {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Time, WireError> {
        let len = cursor.u8()?;
        if !matches!(len, 0 | 8 | 12) {
            return Err(cursor.malformed());
        }
        if len == 0 {
            return Ok(Time::default());
        }
        let (negative, days, hours) = (cursor.u8()? != 0, cursor.u32()?, cursor.u8()?);
        let hours = days.checked_mul(24).and_then(|h| h.checked_add(u32::from(hours)));
        let hours = hours.ok_or_else(|| cursor.malformed())?;
        let (minutes, seconds) = (cursor.u8()?, cursor.u8()?);
        let micros = if len == 12 { cursor.u32()? } else { 0 };
        Ok(Time { negative, hours, minutes, seconds, micros })
    }

    fn encode(self, out: &mut Vec<u8>) {
        let len = match self {
            Time { micros: 1.., .. } => 12,
            Time { hours: 0, minutes: 0, seconds: 0, .. } => 0,
            _ => 8,
        };
        out.push(len);
        if len >= 8 {
            out.push(u8::from(self.negative));
            out.extend_from_slice(&(self.hours / 24).to_le_bytes());
            out.extend_from_slice(&[(self.hours % 24) as u8, self.minutes, self.seconds]);
        }
        if len == 12 {
            out.extend_from_slice(&self.micros.to_le_bytes());
        }
    }

    fn put_text(self, shape: Shape, out: &mut Vec<u8>) {
        let sign = if self.negative { "-" } else { "" };
        put(out, format_args!("{sign}{:02}:{:02}:{:02}", self.hours, self.minutes, self.seconds));
        put_micros(self.micros, shape, out);
    }

    fn of_text(text: &[u8]) -> Option<Time> {
        let text = std::str::from_utf8(text).ok()?;
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (text, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let (hours, rest) = text.split_once(':')?;
        let (minutes, seconds) = rest.split_once(':')?;
        let micros = digits::<u32>(fraction)? * 10u32.checked_pow(6u32.checked_sub(fraction.len() as u32)?)?;
        Some(Time { negative, hours: digits(hours)?, minutes: digits(minutes)?, seconds: digits(seconds)?, micros })
    }
}

fn put_micros(micros: u32, shape: Shape, out: &mut Vec<u8>) {
    match usize::from(shape.decimals) {
        0 => {}
        // Not fixed: as many as there are.
        7.. if micros == 0 => {}
        7.. => put(out, format_args!(".{micros:06}")),
        digits => put(out, format_args!(".{:0digits$}", micros / 10u32.pow(6 - digits as u32))),
    }
}

/// Writes a real number as MySQL does (`my_fcvt` and `my_gcvt` in strings/dtoa.cc).
fn put_real(n: f64, significant: usize, shape: Shape, out: &mut Vec<u8>) {
    if n == 0.0 || !n.is_finite() {
        let decimals = shape.fixed_decimals().unwrap_or(0);
        return put(out, format_args!("{n:.decimals$}"));
    }
    let (digits, point) = shortest(n.abs());
    if n < 0.0 {
        out.push(b'-');
    }
    match shape.fixed_decimals() {
        Some(decimals) if digits.len() as i32 - point > decimals as i32 => {
            put(out, format_args!("{:.decimals$}", n.abs()));
        }
        Some(decimals) => {
            put_places(&digits, point, out);
            let fraction = (digits.len() as i32 - point).max(0) as usize;
            if decimals > 0 && fraction == 0 {
                out.push(b'.');
            }
            out.resize(out.len() + decimals - fraction, b'0');
        }
        None => {
            let few = digits.len() <= significant;
            let (digits, point) =
                if few { (digits, point) } else { figures(&format!("{:.*e}", significant - 1, n.abs())) };
            let len = digits.len() as i32;
            // Beyond 15 places the point is not written out.
            if point >= -14 && (point <= 15 || len > point) {
                put_places(&digits, point, out);
            } else {
                let dot = if len > 1 { "." } else { "" };
                put(out, format_args!("{}{dot}{}e{}", &digits[..1], &digits[1..], point - 1));
            }
        }
    }
}

/// The shortest digits that say the same number, and the place of the point in or around them.
fn shortest(n: f64) -> (String, i32) {
    let (digits, point) = figures(&format!("{n:e}"));
    // Where two are equally near, MySQL takes the even one.
    let rounded = format!("{n:.*e}", digits.len() - 1);
    if rounded.parse() == Ok(n) { figures(&rounded) } else { (digits, point) }
}

/// The digits of a number like `1.50e-7` without zeros at the end, and the place of its point.
fn figures(scientific: &str) -> (String, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.truncate(digits.trim_end_matches('0').len().max(1));
    (digits, exponent.parse::<i32>().unwrap_or(0) + 1)
}

/// Writes digits with the point written out.
fn put_places(digits: &str, point: i32, out: &mut Vec<u8>) {
    match point {
        ..=0 => put(out, format_args!("0.{}{digits}", "0".repeat(-point as usize))),
        _ if point as usize >= digits.len() => {
            put(out, format_args!("{digits}{}", "0".repeat(point as usize - digits.len())));
        }
        _ => put(out, format_args!("{}.{}", &digits[..point as usize], &digits[point as usize..])),
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing into a Vec cannot fail.
    let _ = out.write_fmt(text);
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    /// The bytes behind Rust's escapes.
    fn unescape(text: &str) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), text.as_bytes());
        while let Some((&first, tail)) = rest.split_first() {
            (out, rest) = match (first, tail) {
                (b'\\', [b'x', hex @ ..]) => {
                    let hex = std::str::from_utf8(&hex[..2]).unwrap();
                    (push(out, u8::from_str_radix(hex, 16).unwrap()), &tail[3..])
                }
                (b'\\', [byte, ..]) => (
                    push(out, *b"\n\r\t".get(b"nrt".iter().position(|b| b == byte).unwrap_or(9)).unwrap_or(byte)),
                    &tail[1..],
                ),
                (byte, _) => (push(out, byte), tail),
            };
        }
        out
    }

    fn push(mut out: Vec<u8>, byte: u8) -> Vec<u8> {
        out.push(byte);
        out
    }

    #[test]
    fn cells_of_real_servers_are_the_same_in_both_protocols() {
        let cells = include_str!("../../tests/fixtures/wire/cells.txt");
        let mut count = 0;
        for line in cells.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [_, ty, flags, decimals, length, text, hex] = fields[..] else { panic!("{line}") };
            let shape = Shape {
                ty: ColumnType(u8::from_str_radix(&ty[2..], 16).unwrap()),
                flags: flags.parse().unwrap(),
                decimals: decimals.parse().unwrap(),
                length: length.parse().unwrap(),
            };
            let text = unescape(text);
            let binary: Vec<u8> =
                (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();

            let mut cursor = Cursor::new("test", &binary);
            let value = Value::decode(&mut cursor, shape).unwrap();
            cursor.end().unwrap();
            let (mut to_text, mut to_binary) = (Vec::new(), Vec::new());
            value.put_text(shape, &mut to_text);
            assert_eq!(to_text.escape_ascii().to_string(), text.escape_ascii().to_string(), "{line}");
            value.encode(shape, &mut to_binary).unwrap();
            assert_eq!(to_binary, binary, "{line}");
            if shape.text_is_exact() {
                assert_eq!(Value::of_text(&text, shape).unwrap(), value, "{line}");
            }
            count += 1;
        }
        assert!(count > 100);
    }

    #[test]
    fn real_numbers_look_like_mysql_s() {
        let double = Shape { ty: ColumnType::DOUBLE, flags: 0, decimals: 31, length: 22 };
        for (n, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1e15, "1e15"),
            (1e14, "100000000000000"),
            (123456789012345680.0, "1.2345678901234568e17"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (1.5e-14, "0.000000000000015"),
            (0.1 + 0.2, "0.30000000000000004"),
            (-2.353_767_395_019_531_2, "-2.3537673950195312"),
            (f64::MAX, "1.7976931348623157e308"),
            (5e-324, "5e-324"),
        ] {
            let mut out = Vec::new();
            Value::Double(n).put_text(double, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
        for (decimals, n, text) in [
            (2, 2.675, "2.67"),
            (0, 2.5, "2"),
            (3, 1e23, "100000000000000000000000.000"),
            (30, 0.5, "0.500000000000000000000000000000"),
        ] {
            let mut out = Vec::new();
            Value::Double(n).put_text(Shape { decimals, ..double }, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), text);
        }
    }

    #[test]
    fn what_does_not_fit_its_type_is_refused() {
        let shape = |ty, unsigned| Shape::of_param(ty, unsigned);
        for (value, ty, unsigned) in [
            (Value::Int(128), ColumnType::TINY, false),
            (Value::Int(-1), ColumnType::TINY, true),
            (Value::UInt(1 << 63), ColumnType::LONGLONG, false),
            (Value::Int(1), ColumnType::VAR_STRING, false),
            (Value::Bytes(b"1"), ColumnType::LONG, false),
            (Value::Null, ColumnType::LONG, false),
        ] {
            assert!(value.encode(shape(ty, unsigned), &mut Vec::new()).is_err(), "{value:?}");
        }
        for (text, ty) in [
            ("", ColumnType::LONG),
            ("1.5", ColumnType::LONG),
            ("2024-01", ColumnType::DATE),
            ("2024-01-01 -1:00:00", ColumnType::DATETIME),
            ("1:2", ColumnType::TIME),
            ("00:00:00.1234567", ColumnType::TIME),
            ("+1:00:00", ColumnType::TIME),
            ("x", ColumnType::DOUBLE),
        ] {
            assert!(Value::of_text(text.as_bytes(), shape(ty, false)).is_err(), "{text}");
        }
        for (bytes, ty) in [
            (&[5, 0, 0, 0, 0, 0][..], ColumnType::DATE),
            (&[4, 0], ColumnType::DATETIME),
            (&[9], ColumnType::TIME),
            (&[0], ColumnType(0x20)),
        ] {
            assert!(Value::decode(&mut Cursor::new("test", bytes), shape(ty, false)).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn doubles_survive_as_text(bits: u64) {
            let n = f64::from_bits(bits);
            prop_assume!(n.is_finite());
            let shape = Shape::of_param(ColumnType::DOUBLE, false);
            let mut out = Vec::new();
            Value::Double(n).put_text(shape, &mut out);
            prop_assert_eq!(Value::of_text(&out, shape).unwrap(), Value::Double(n));
        }

        #[test]
        fn random_bytes_never_panic(
            ty: u8, flags: u16, decimals: u8, length: u32, bytes in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let shape = Shape { ty: ColumnType(ty), flags, decimals, length };
            let _ = Value::of_text(&bytes, shape);
            let mut cursor = Cursor::new("test", &bytes);
            if let Ok(value) = Value::decode(&mut cursor, shape) {
                let mut out = Vec::new();
                value.put_text(shape, &mut out);
                if value != Value::Null && value == value {
                    out.clear();
                    value.encode(shape, &mut out).unwrap();
                    prop_assert_eq!(Value::decode(&mut Cursor::new("test", &out), shape).unwrap(), value);
                }
            }
        }
    }
}
