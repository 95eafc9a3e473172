//! Predicates over rows, evaluated as MySQL's manual says, in three-valued logic. It shares nothing with the router: no
//! keys, no canonical forms, no decimals.

use std::cmp::Ordering;

use shardloom::value::Datum;
use shardloom::value::decimal::Decimal;
use shardloom::value::moment::Moment;

use super::worlds::World;

/// A value of a row or of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    /// In thousandths.
    Number(i128),
    /// The same, written with an exponent.
    Double(i128),
    Text(String),
    /// Seconds since 1970.
    Time(i64),
}

/// How a column compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text(Collation),
    /// DATE or DATETIME.
    Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Collation {
    pub(super) folds: bool,
    pub(super) pads: bool,
}

/// A column of `t` or `u`: the key of a level, or else `v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) table: &'static str,
    pub(super) level: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) table: &'static str,
    pub(super) keys: Vec<Value>,
    pub(super) value: Value,
}

/// How a number is compared with a text: servers differ, and between versions; a router has to be right for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Exact,
    Double,
}

#[derive(Clone, Debug)]
pub(super) enum Predicate {
    Compare(Column, &'static str, Value),
    In(Column, Vec<Value>, bool),
    Between(Column, Value, Value, bool),
    IsNull(Column, bool),
    Tuple([Column; 2], Vec<[Value; 2]>),
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Not(Box<Predicate>),
}

impl Predicate {
    /// Whether it is true for a row, joined with another one perhaps.
    pub(super) fn holds(&self, world: &World, row: &Row, other: Option<&Row>, reading: Reading) -> bool {
        self.truth(world, row, other, reading) == Some(true)
    }

    fn truth(&self, world: &World, row: &Row, other: Option<&Row>, reading: Reading) -> Option<bool> {
        let cell = |column: &Column| {
            let row = if column.table == row.table { Some(row) } else { other };
            match (row, column.level) {
                (None, _) => &Value::Null,
                (Some(row), Some(level)) => &row.keys[level],
                (Some(row), None) => &row.value,
            }
        };
        let order = |column: &Column, value: &Value| compare(world.kind(*column), cell(column), value, reading);
        let not = |truth: Option<bool>, not: &bool| truth.map(|truth| truth != *not);
        match self {
            Predicate::Compare(column, "<=>", Value::Null) => Some(*cell(column) == Value::Null),
            Predicate::Compare(column, "<=>", value) => Some(order(column, value) == Some(Ordering::Equal)),
            Predicate::Compare(column, op, value) => order(column, value).map(|order| match *op {
                "=" => order.is_eq(),
                "<>" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            }),
            Predicate::In(column, values, negated) => {
                not(or(values.iter().map(|value| order(column, value).map(Ordering::is_eq))), negated)
            }
            Predicate::Between(column, low, high, negated) => {
                let sides = [order(column, low).map(Ordering::is_ge), order(column, high).map(Ordering::is_le)];
                not(and(sides.into_iter()), negated)
            }
            Predicate::IsNull(column, negated) => Some((*cell(column) == Value::Null) != *negated),
            Predicate::Tuple(columns, rows) => or(rows.iter().map(|values| {
                and(columns.iter().zip(values).map(|(column, value)| order(column, value).map(Ordering::is_eq)))
            })),
            Predicate::And(parts) => and(parts.iter().map(|part| part.truth(world, row, other, reading))),
            Predicate::Or(parts) => or(parts.iter().map(|part| part.truth(world, row, other, reading))),
            Predicate::Not(part) => part.truth(world, row, other, reading).map(|truth| !truth),
        }
    }

    /// Its text; literals whose bit is set in `params`, in their order, become parameters.
    pub(super) fn render(&self, world: &World, qualified: bool, params: u64, args: &mut Vec<Datum<'static>>) -> String {
        let mut text = String::new();
        self.write(world, qualified, &mut params.clone(), args, &mut text);
        text
    }

    fn write(
        &self,
        world: &World,
        qualified: bool,
        params: &mut u64,
        args: &mut Vec<Datum<'static>>,
        out: &mut String,
    ) {
        let name = |column: &Column| {
            let name = column.level.map_or("v", |level| world.levels[level].column);
            if qualified { format!("{}.{name}", column.table) } else { name.to_owned() }
        };
        let mut value = |value: &Value| {
            *params = params.rotate_right(1);
            // A quarter of them.
            if *params & 0b1001 == 0b1001 {
                args.push(value.datum());
                "?".to_owned()
            } else {
                value.literal()
            }
        };
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Predicate::Compare(column, op, literal) => *out += &format!("{} {op} {}", name(column), value(literal)),
            Predicate::In(column, values, negated) => {
                let values: Vec<String> = values.iter().map(value).collect();
                *out += &format!("{} {}IN ({})", name(column), not(negated), values.join(", "));
            }
            Predicate::Between(column, low, high, negated) => {
                let (low, high) = (value(low), value(high));
                *out += &format!("{} {}BETWEEN {low} AND {high}", name(column), not(negated));
            }
            Predicate::IsNull(column, negated) => *out += &format!("{} IS {}NULL", name(column), not(negated)),
            Predicate::Tuple([one, other], rows) => {
                let rows: Vec<String> = rows.iter().map(|[a, b]| format!("({}, {})", value(a), value(b))).collect();
                let columns = format!("({}, {})", name(one), name(other));
                *out += &match &rows[..] {
                    [row] => format!("{columns} = {row}"),
                    _ => format!("{columns} IN ({})", rows.join(", ")),
                };
            }
            Predicate::And(parts) | Predicate::Or(parts) => {
                let word = if matches!(self, Predicate::And(_)) { " AND " } else { " OR " };
                for (at, part) in parts.iter().enumerate() {
                    *out += if at == 0 { "(" } else { word };
                    part.write(world, qualified, params, args, out);
                }
                *out += ")";
            }
            Predicate::Not(part) => {
                *out += "NOT (";
                part.write(world, qualified, params, args, out);
                *out += ")";
            }
        }
    }
}

fn and(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let parts: Vec<Option<bool>> = parts.collect();
    let unknown = parts.contains(&None);
    if parts.contains(&Some(false)) { Some(false) } else { (!unknown).then_some(true) }
}

fn or(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    and(parts.map(|part| part.map(|truth| !truth))).map(|truth| !truth)
}

/// A column's value against another one; none if either is NULL.
pub(super) fn compare(kind: Kind, cell: &Value, value: &Value, reading: Reading) -> Option<Ordering> {
    use Value::{Double, Null, Number, Text, Time};
    Some(match (cell, value) {
        (Null, _) | (_, Null) => return None,
        (Number(a), Number(b) | Double(b)) => a.cmp(b),
        (Number(a), Text(text)) => match (reading, thousandths(text)) {
            (Reading::Exact, Some(b)) => a.cmp(&b),
            _ => (*a as f64 / 1000.0).total_cmp(&leading_number(text)),
        },
        (Text(text), Number(b) | Double(b)) => {
            let number = leading_number(text);
            (if number == 0.0 { 0.0 } else { number }).total_cmp(&(*b as f64 / 1000.0))
        }
        (Text(a), Text(b)) => {
            let Kind::Text(collation) = kind else { panic!("{a} is no text") };
            collation.compare(a, b)
        }
        (Time(a), Time(b)) => a.cmp(b),
        (Time(a), Text(text)) => a.cmp(&seconds(text)),
        _ => panic!("{cell:?} is not compared with {value:?}"),
    })
}

impl Collation {
    /// For letters of Latin, digits, spaces and tabs.
    pub(super) fn compare(self, a: &str, b: &str) -> Ordering {
        let fold = |c: char| match c {
            'é' | 'É' if self.folds => 'e',
            c if self.folds => c.to_ascii_lowercase(),
            c => c,
        };
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().map(fold).collect(), b.chars().map(fold).collect());
        if !self.pads {
            return a.cmp(&b);
        }
        let padded = |text: &[char]| text.iter().copied().chain(std::iter::repeat(' ')).take(20).collect::<Vec<_>>();
        padded(&a).cmp(&padded(&b))
    }
}

/// `12.5` in thousandths, if that is all there is.
fn thousandths(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = format!("{fraction:0<3}");
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    (fraction.len() == 3).then_some(whole.parse::<i128>().ok()? * 1000 + sign * fraction.parse::<i128>().ok()?)
}

/// What MySQL takes of a text as a number: its beginning, spaces before it aside.
fn leading_number(text: &str) -> f64 {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '.')).unwrap_or(text.len());
    text[..end].parse().unwrap_or(0.0)
}

/// `YYYY-MM-DD[ hh:mm:ss]` since 1970.
fn seconds(text: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| text.get(range).map_or(0, |digits| digits.parse::<i64>().unwrap());
    let days = days(number(0..4), number(5..7), number(8..10));
    days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19)
}

/// Days from 1970-01-01 to a day, counted one month after the other.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let years: i64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    years + (1..month).map(|month| month_days(year, month)).sum::<i64>() + day - 1
}

/// Year, month and day of so many days after 1970-01-01.
pub(super) fn civil(mut days: i64) -> (i64, i64, i64) {
    let (mut year, mut month) = (1970, 1);
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
    (year, month, days + 1)
}

fn leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn month_days(year: i64, month: i64) -> i64 {
    [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1]
}

impl Value {
    /// As it stands in SQL.
    pub(super) fn literal(&self) -> String {
        match self {
            Value::Null => "NULL".into(),
            Value::Number(_) => self.digits(),
            Value::Double(_) => format!("{}e0", self.digits()),
            Value::Text(text) => format!("'{text}'"),
            Value::Time(_) => {
                let text = self.digits();
                format!("{}'{text}'", if text.len() == 10 { "DATE" } else { "TIMESTAMP" })
            }
        }
    }

    /// As a parameter.
    fn datum(&self) -> Datum<'static> {
        let text = self.digits();
        match self {
            Value::Null => Datum::Null,
            Value::Number(_) => match (text.parse::<i64>(), text.parse::<u64>()) {
                (Ok(value), _) => Datum::Int(value),
                (_, Ok(value)) => Datum::UInt(value),
                _ => Datum::Decimal(Decimal::parse(text.as_bytes()).unwrap()),
            },
            Value::Double(_) => Datum::Double(text.parse().unwrap()),
            Value::Text(text) => Datum::Text(text.clone().into_bytes().into()),
            Value::Time(_) => Datum::Moment(Moment::parse(text.as_bytes()).unwrap()),
        }
    }

    fn digits(&self) -> String {
        match self {
            Value::Null => "NULL".into(),
            Value::Number(value) | Value::Double(value) => {
                let (sign, size) = (if *value < 0 { "-" } else { "" }, value.unsigned_abs());
                match size % 1000 {
                    0 => format!("{sign}{}", size / 1000),
                    fraction => format!("{sign}{}.{}", size / 1000, format!("{fraction:03}").trim_end_matches('0')),
                }
            }
            Value::Text(text) => text.clone(),
            Value::Time(seconds) => {
                let (year, month, day) = civil(seconds.div_euclid(86_400));
                let date = format!("{year:04}-{month:02}-{day:02}");
                match seconds.rem_euclid(86_400) {
                    0 => date,
                    rest => format!("{date} {:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60),
                }
            }
        }
    }
}
