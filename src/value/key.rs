//! Sharding keys: the one form that all values share which MySQL takes for equal in a column, so that equal values
//! are on the same shard. It knows no rule that maps keys to shards. Where MySQL would compare with another meaning
//! than the column's own, or convert a value on its way into the column, it says so instead of guessing.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Bound;

use crate::value::Datum;
use crate::value::charset::Charset;
use crate::value::collation::{Collation, Rule};
use crate::value::decimal::Decimal;
use crate::value::fold::trimmed;
use crate::value::moment::Moment;

/// Doubles up to this one stand for one integer each.
const EXACT_DOUBLE: i128 = 1 << 53;
/// Numbers of up to so many digits stay different when they become doubles.
const EXACT_DOUBLE_DIGITS: u8 = 15;

/// The type of a sharding column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// TINYINT to BIGINT.
    Int {
        /// UNSIGNED.
        unsigned: bool,
        /// 8, 16, 24, 32 or 64.
        bits: u8,
    },
    /// DECIMAL.
    Decimal {
        /// Digits.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
        /// UNSIGNED.
        unsigned: bool,
    },
    /// CHAR, VARCHAR and the TEXTs.
    Str {
        /// What is equal.
        collation: Collation,
        /// How many characters it holds.
        chars: u32,
        /// CHAR: spaces at the end are not stored.
        fixed: bool,
    },
    /// BINARY, VARBINARY and the BLOBs.
    Bytes {
        /// How many bytes it holds.
        length: u32,
        /// BINARY: shorter values are filled up with zero bytes.
        fixed: bool,
    },
    /// DATE.
    Date,
    /// DATETIME.
    DateTime {
        /// Digits of a second's fraction.
        fsp: u8,
    },
    /// YEAR.
    Year,
    /// MariaDB's UUID.
    Uuid,
}

/// The form that all values share which a column takes for equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// NULL: the key of a row that has none.
    Null,
    /// A whole number, also in a DECIMAL column.
    Int(i128),
    /// A number with a fraction, without zeros at its end.
    Decimal(Decimal),
    /// Bytes, ordered as such.
    Bytes(Vec<u8>),
    /// A text of a PAD SPACE collation ordered by bytes: without spaces at its end.
    Padded(Vec<u8>),
    /// A text of a collation that is not ordered by bytes, folded: good for equality only.
    Folded(Vec<u8>),
    /// A date or a date with a time.
    Moment(Moment),
}

/// What a value is to a sharding column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Canon {
    /// Its key.
    Key(Key),
    /// No value that the column can hold equals it.
    Never,
    /// It has no one key, because MySQL compares it with another meaning: a statement has to go to all shards.
    Unknown,
    /// It cannot be stored, because what the column would then hold is not known for sure: a whole sentence.
    Refused(&'static str),
}

/// What a range of values is to a sharding column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanonRange {
    /// All values in it have keys between these.
    Keys(Bound<Key>, Bound<Key>),
    /// A bound is NULL: nothing is in it.
    Never,
    /// Nothing is known: a statement has to go to all shards.
    Unknown,
}

impl Key {
    /// The bytes that are hashed. They decide where data lies and never change: integers and decimals as MySQL prints
    /// them (so `CRC32(id)` on a server tells the same), moments as `YYYY-MM-DD[ hh:mm:ss[.ffffff]]`, texts in UTF-8.
    pub fn with_bytes<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        let mut out = Vec::new();
        match self {
            Key::Null => {}
            Key::Int(value) => match i64::try_from(*value) {
                Ok(short) => return read(digits(short, &mut [0; 20])),
                Err(_) => out = value.to_string().into_bytes(),
            },
            Key::Decimal(value) => value.write(&mut out),
            Key::Moment(moment) => moment.write(&mut out),
            Key::Bytes(bytes) | Key::Padded(bytes) | Key::Folded(bytes) => return read(bytes),
        }
        read(&out)
    }

    /// MySQL's order of two keys of one column; none where it is not known here.
    pub fn compare(&self, other: &Key) -> Option<Ordering> {
        match (self, other) {
            (Key::Null, Key::Null) => Some(Ordering::Equal),
            (Key::Null, _) => Some(Ordering::Less),
            (_, Key::Null) => Some(Ordering::Greater),
            (Key::Int(a), Key::Int(b)) => Some(a.cmp(b)),
            (Key::Int(a), Key::Decimal(b)) => Some(b.compare_integer(*a).reverse()),
            (Key::Decimal(a), Key::Int(b)) => Some(a.compare_integer(*b)),
            (Key::Decimal(a), Key::Decimal(b)) => Some(a.cmp(b)),
            (Key::Bytes(a), Key::Bytes(b)) => Some(a.cmp(b)),
            // The bounds of a rule are bytes; to a padded column they are padded.
            (Key::Padded(a), Key::Padded(b) | Key::Bytes(b)) | (Key::Bytes(a), Key::Padded(b)) => {
                Some(compare_padded(a, b))
            }
            (Key::Folded(a), Key::Folded(b)) if a == b => Some(Ordering::Equal),
            (Key::Moment(a), Key::Moment(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// A whole number as MySQL prints it, at the end of `out`.
fn digits(value: i64, out: &mut [u8; 20]) -> &[u8] {
    let mut rest = value.unsigned_abs();
    let mut at = out.len();
    loop {
        at -= 1;
        out[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        out[at] = b'-';
    }
    &out[at..]
}

fn compare_padded(a: &[u8], b: &[u8]) -> Ordering {
    let length = a.len().max(b.len());
    let pad = |text: &[u8]| text.iter().copied().chain(std::iter::repeat(b' ')).take(length).collect::<Vec<u8>>();
    let shared = a.len().min(b.len());
    a[..shared].cmp(&b[..shared]).then_with(|| pad(&a[shared..]).cmp(&pad(&b[shared..])))
}

impl KeyKind {
    /// Whether a join on columns of these two types pairs rows only where their keys are the same.
    pub fn joins(&self, other: &KeyKind) -> bool {
        use KeyKind::{Bytes, Date, DateTime, Decimal, Int, Str, Uuid, Year};
        match (self, other) {
            (Int { .. } | Decimal { .. }, Int { .. } | Decimal { .. }) => true,
            (Str { collation: a, .. }, Str { collation: b, .. }) => {
                let unicode = |charset| matches!(charset, Charset::Utf8 | Charset::Utf8Mb3);
                let charset = a.charset == b.charset || (unicode(a.charset) && unicode(b.charset));
                charset && a.rule == b.rule && a.rule != Rule::Unknown
            }
            (Bytes { .. }, Bytes { .. }) => true,
            (Date | DateTime { .. }, Date | DateTime { .. }) => true,
            (Year, Year) | (Uuid, Uuid) => true,
            _ => false,
        }
    }

    /// Whether keys of this type are in MySQL's order, so that ranges can be narrowed.
    pub fn is_ordered(&self) -> bool {
        match self {
            KeyKind::Str { collation, .. } => collation.is_ordered(),
            KeyKind::Uuid => false,
            _ => true,
        }
    }
}

/// The key of a value that a column is compared with by `=`.
///
/// A number or moment finer than the column can hold is `Unknown`, not `Never`: MariaDB 10.11 rounds it where it looks
/// into a secondary index, so that `u = 9.5` finds 10.
pub fn canonical(datum: &Datum<'_>, kind: &KeyKind) -> Canon {
    if let Datum::Null = datum {
        return Canon::Never;
    }
    match (datum, kind) {
        (Datum::Int(value), KeyKind::Int { .. }) => return Canon::Key(Key::Int((*value).into())),
        (Datum::UInt(value), KeyKind::Int { .. }) => return Canon::Key(Key::Int((*value).into())),
        _ => {}
    }
    match kind {
        KeyKind::Int { .. } => {
            number(datum, EXACT_DOUBLE_DIGITS).map_or(Canon::Unknown, |value| match value.to_integer() {
                Some(value) => Canon::Key(Key::Int(value)),
                None => Canon::Unknown,
            })
        }
        KeyKind::Decimal { precision, scale, .. } => match number(datum, *precision).map(Decimal::normalized) {
            Some(value) if value.scale() <= *scale => Canon::Key(numeric_key(value)),
            _ => Canon::Unknown,
        },
        KeyKind::Str { collation, .. } => match text_key(datum, collation) {
            Ok(key) => Canon::Key(key),
            Err(_) => Canon::Unknown,
        },
        KeyKind::Bytes { length, fixed } => match datum {
            Datum::Bytes(bytes) | Datum::Text(bytes) if datum_is_bytes(datum) => {
                if *fixed && bytes.len() != *length as usize {
                    return Canon::Never;
                }
                Canon::Key(Key::Bytes(bytes.to_vec()))
            }
            _ => Canon::Unknown,
        },
        KeyKind::Date => match moment(datum) {
            Some(moment) if moment.is_midnight() => Canon::Key(Key::Moment(moment)),
            Some(_) => Canon::Never,
            None => Canon::Unknown,
        },
        KeyKind::DateTime { fsp } => match moment(datum) {
            Some(moment) if moment.fits(*fsp) => Canon::Key(Key::Moment(moment)),
            _ => Canon::Unknown,
        },
        KeyKind::Year => year(datum).map_or(Canon::Unknown, |year| Canon::Key(Key::Int(year))),
        KeyKind::Uuid => uuid(datum).map_or(Canon::Unknown, |bytes| Canon::Key(Key::Bytes(bytes))),
    }
}

/// The keys of the values that lie in a range, for `<`, `<=`, `>`, `>=` and BETWEEN.
pub fn canonical_range(low: Bound<&Datum<'_>>, high: Bound<&Datum<'_>>, kind: &KeyKind) -> CanonRange {
    if [low, high].iter().any(|bound| matches!(bound, Bound::Included(Datum::Null) | Bound::Excluded(Datum::Null))) {
        return CanonRange::Never;
    }
    match (range_bound(low, End::Low, kind), range_bound(high, End::High, kind)) {
        (Some(low), Some(high)) => CanonRange::Keys(low, high),
        _ => CanonRange::Unknown,
    }
}

/// Which end of a range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Low,
    High,
}

fn range_bound(bound: Bound<&Datum<'_>>, end: End, kind: &KeyKind) -> Option<Bound<Key>> {
    let (datum, excluded) = match bound {
        Bound::Unbounded => return Some(Bound::Unbounded),
        Bound::Included(datum) => (datum, false),
        Bound::Excluded(datum) => (datum, true),
    };
    let key = match kind {
        KeyKind::Int { .. } => {
            let value = number(datum, EXACT_DOUBLE_DIGITS)?;
            return Some(match (value.to_integer(), end) {
                (Some(value), _) if excluded => Bound::Excluded(Key::Int(value)),
                (Some(value), _) => Bound::Included(Key::Int(value)),
                (None, End::Low) => Bound::Included(Key::Int(value.floor()? + 1)),
                (None, End::High) => Bound::Included(Key::Int(value.floor()?)),
            });
        }
        // Not an integer's key, because between two of a DECIMAL column there are others.
        KeyKind::Decimal { precision, .. } => Key::Decimal(number(datum, *precision)?),
        KeyKind::Date | KeyKind::DateTime { .. } => Key::Moment(moment(datum)?),
        KeyKind::Bytes { .. } if datum_is_bytes(datum) => match datum {
            Datum::Bytes(bytes) | Datum::Text(bytes) => Key::Bytes(bytes.to_vec()),
            _ => return None,
        },
        // A binary string compares by bytes without padding, which a padded column's order is not.
        KeyKind::Str { .. } if !kind.is_ordered() || matches!(datum, Datum::Bytes(_)) => return None,
        KeyKind::Uuid => return None,
        _ => match canonical(datum, kind) {
            Canon::Key(key) => key,
            _ => return None,
        },
    };
    Some(if excluded { Bound::Excluded(key) } else { Bound::Included(key) })
}

/// The key of a row into which this value is stored.
pub fn stored(datum: &Datum<'_>, kind: &KeyKind) -> Canon {
    let key = match (datum, kind) {
        (Datum::Null, _) => Ok(Key::Null),
        (_, KeyKind::Int { unsigned, bits }) => stored_integer(datum, *unsigned, *bits),
        (_, KeyKind::Decimal { precision, scale, unsigned }) => stored_decimal(datum, *precision, *scale, *unsigned),
        (Datum::Text(_) | Datum::Bytes(_), KeyKind::Str { collation, chars, fixed }) => {
            stored_text(datum, collation, *chars, *fixed)
        }
        // A number becomes the text that it is printed as.
        (Datum::Int(_) | Datum::UInt(_), KeyKind::Str { collation, chars, .. }) => {
            let digits = number(datum, 0).map(|value| value.to_string()).unwrap_or_default();
            stored_text(&Datum::Text(Cow::Owned(digits.into_bytes())), collation, *chars, false)
        }
        (Datum::Text(bytes) | Datum::Bytes(bytes), KeyKind::Bytes { length, fixed }) if datum_is_bytes(datum) => {
            let mut bytes = bytes.to_vec();
            if bytes.len() > *length as usize {
                Err("the value of the sharding key is longer than its column")
            } else {
                if *fixed {
                    bytes.resize(*length as usize, 0);
                }
                Ok(Key::Bytes(bytes))
            }
        }
        (_, KeyKind::Date) => match moment(datum) {
            Some(moment) if moment.is_midnight() && moment.is_calendar_day() => Ok(Key::Moment(moment)),
            _ => Err("the value of the sharding key is not a date of the form 'YYYY-MM-DD'"),
        },
        (_, KeyKind::DateTime { fsp }) => match moment(datum) {
            Some(moment) if moment.is_calendar_day() && moment.fits(*fsp) => Ok(Key::Moment(moment)),
            _ => Err(
                "the value of the sharding key is not a time of the form 'YYYY-MM-DD hh:mm:ss' that fits its column",
            ),
        },
        (_, KeyKind::Year) => {
            year(datum).map(Key::Int).ok_or("the value of the sharding key is not a year of four digits")
        }
        (_, KeyKind::Uuid) => uuid(datum).map(Key::Bytes).ok_or("the value of the sharding key is not a UUID"),
        _ => Err("the value of the sharding key has another type than its column"),
    };
    key.map_or_else(Canon::Refused, Canon::Key)
}

fn stored_integer(datum: &Datum<'_>, unsigned: bool, bits: u8) -> Result<Key, &'static str> {
    let value = number(datum, EXACT_DOUBLE_DIGITS).and_then(Decimal::to_integer);
    let value = value.ok_or("the value of the sharding key is not a whole number")?;
    let (low, high) =
        if unsigned { (0, (1i128 << bits) - 1) } else { (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1) };
    if !(low..=high).contains(&value) {
        return Err("the value of the sharding key is out of the range of its column");
    }
    Ok(Key::Int(value))
}

fn stored_decimal(datum: &Datum<'_>, precision: u8, scale: u8, unsigned: bool) -> Result<Key, &'static str> {
    let value = number(datum, precision).ok_or("the value of the sharding key is not an exact number")?.normalized();
    let limit = Decimal::power_of_ten(precision - scale.min(precision));
    let fits = value.scale() <= scale && value < limit && value > limit.negate() && !(unsigned && value.is_negative());
    if !fits {
        return Err("the value of the sharding key does not fit its DECIMAL column exactly");
    }
    Ok(numeric_key(value))
}

fn stored_text(datum: &Datum<'_>, collation: &Collation, chars: u32, fixed: bool) -> Result<Key, &'static str> {
    if char_count(datum) > chars as usize {
        return Err("the value of the sharding key is longer than its column");
    }
    Ok(match text_key(datum, collation)? {
        Key::Bytes(bytes) if fixed => Key::Bytes(trimmed(&bytes).to_vec()),
        key => key,
    })
}

fn numeric_key(value: Decimal) -> Key {
    value.to_integer().map_or_else(|| Key::Decimal(value.normalized()), Key::Int)
}

/// The number that a value is when compared with a number column of so many digits; none if MySQL would compare in
/// doubles that fall together with others, or would read the text in a lenient way.
fn number(datum: &Datum<'_>, precision: u8) -> Option<Decimal> {
    match datum {
        Datum::Int(value) => Some(Decimal::from(*value)),
        Datum::UInt(value) => Some(Decimal::from(*value)),
        Datum::Decimal(value) => Some(*value),
        Datum::Double(value) => {
            let exact = value.fract() == 0.0 && value.abs() < EXACT_DOUBLE as f64 && precision <= EXACT_DOUBLE_DIGITS;
            exact.then(|| Decimal::from(*value as i64))
        }
        Datum::Text(text) if precision <= EXACT_DOUBLE_DIGITS => clean_number(text),
        _ => None,
    }
}

/// A text that is nothing but a number of at most 15 digits.
fn clean_number(text: &[u8]) -> Option<Decimal> {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    let clean = digits <= usize::from(EXACT_DOUBLE_DIGITS)
        && text.last().is_some_and(u8::is_ascii_digit)
        && text.first().is_some_and(|first| first.is_ascii_digit() || *first == b'-')
        && text
            .iter()
            .enumerate()
            .all(|(at, byte)| byte.is_ascii_digit() || *byte == b'.' || (at == 0 && *byte == b'-'));
    if !clean { None } else { Decimal::parse(text) }
}

fn text_key(datum: &Datum<'_>, collation: &Collation) -> Result<Key, &'static str> {
    let text: &[u8] = match datum {
        Datum::Text(text) => text,
        // Bytes are the column's own encoding, which is that of the key only where both are UTF-8 or ASCII.
        Datum::Bytes(bytes) if bytes.is_ascii() || collation.charset == Charset::Utf8 => bytes,
        _ => return Err("the value of the sharding key is not a text"),
    };
    let text = std::str::from_utf8(text).map_err(|_| "the value of the sharding key is not valid UTF-8")?;
    if !collation.charset.has(text) {
        return Err(
            "the value of the sharding key has characters that its column cannot hold or that are not known here",
        );
    }
    match collation.rule {
        Rule::Bytes => Ok(Key::Bytes(text.as_bytes().to_vec())),
        Rule::PaddedBytes => Ok(Key::Padded(trimmed(text.as_bytes()).to_vec())),
        Rule::Folded(fold) => fold.fold(text).map(Key::Folded).ok_or(
            "the value of the sharding key has characters outside ASCII, whose equality under its collation is not \
             known here; give the column a _bin collation",
        ),
        Rule::Unknown => Err("the collation of the sharding key is not known here; give the column a _bin collation"),
    }
}

fn char_count(datum: &Datum<'_>) -> usize {
    match datum {
        Datum::Text(text) => String::from_utf8_lossy(text).chars().count(),
        Datum::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

/// Whether a value is the same bytes to a binary column: bytes, or a text that has the same bytes in all encodings.
fn datum_is_bytes(datum: &Datum<'_>) -> bool {
    matches!(datum, Datum::Bytes(_)) || matches!(datum, Datum::Text(text) if text.is_ascii())
}

fn moment(datum: &Datum<'_>) -> Option<Moment> {
    match datum {
        Datum::Moment(moment) => Some(*moment),
        Datum::Text(text) => Moment::parse(text),
        _ => None,
    }
}

/// A year of four digits; of two, MySQL guesses the century.
fn year(datum: &Datum<'_>) -> Option<i128> {
    let value = match datum {
        Datum::Text(text) if text.len() == 4 => clean_number(text)?.to_integer()?,
        Datum::Int(value) => i128::from(*value),
        Datum::UInt(value) => i128::from(*value),
        _ => return None,
    };
    (1901..=2155).contains(&value).then_some(value)
}

/// The 16 bytes of a UUID written as `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
fn uuid(datum: &Datum<'_>) -> Option<Vec<u8>> {
    let Datum::Text(text) = datum else { return None };
    let dashes = [8, 13, 18, 23];
    if text.len() != 36 || dashes.iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let digits: Vec<u8> = text
        .iter()
        .filter(|byte| **byte != b'-')
        .map(|byte| char::from(*byte))
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()?;
    (digits.len() == 32).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
