//! Merging seen from outside: literal rows in, literal rows out, in both formats and however the rows arrive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod literal;
mod property;
mod speed;

use crate::error::SqlError;
use crate::exec::merge::{Merger, RowFormat, Step, Want};
use crate::plan::Window;
use crate::plan::merge::{Aggregate, Cell, Combine, Merge, SortKey};
use crate::plan::slot::Slot;
use crate::value::decimal::Decimal;
use crate::value::moment::Moment;
use crate::value::{Datum, double, time};
use crate::wire::column::{BINARY_CHARSET, ColumnDef, ColumnType, flags};
use crate::wire::cursor::{Cursor, put_lenenc_bytes};

/// A statement's columns, one word each: `name:type`.
#[derive(Clone)]
struct Columns(Vec<(String, String)>);

impl Columns {
    fn new(words: &str) -> Columns {
        Columns(words.split_whitespace().map(|word| word.split_once(':').unwrap()).map(own).collect())
    }

    fn defs(&self) -> Vec<ColumnDef<'_>> {
        self.0.iter().map(|(name, ty)| definition(name, ty)).collect()
    }

    /// Rows as `1|a|null` in one of the formats.
    fn encode(&self, row: &str, format: RowFormat) -> Vec<u8> {
        let cells: Vec<&str> = if self.0.is_empty() { Vec::new() } else { row.split('|').collect() };
        assert_eq!(cells.len(), self.0.len(), "{row}");
        match format {
            RowFormat::Text => {
                let mut out = Vec::new();
                for cell in cells {
                    if cell == "null" { out.push(0xFB) } else { put_lenenc_bytes(&mut out, cell.as_bytes()) }
                }
                out
            }
            RowFormat::Binary => {
                let mut out = vec![0; 1 + (cells.len() + 9) / 8];
                for (index, (cell, (_, ty))) in cells.iter().zip(&self.0).enumerate() {
                    if *cell == "null" {
                        out[1 + (index + 2) / 8] |= 1 << ((index + 2) % 8);
                    } else {
                        encode_binary(cell, ty, &mut out);
                    }
                }
                out
            }
        }
    }

    /// The first `count` columns of a row.
    fn decode(&self, row: &[u8], count: usize, format: RowFormat) -> String {
        let mut cursor = Cursor::new("row", row);
        let nulls = match format {
            RowFormat::Text => &[][..],
            RowFormat::Binary => &cursor.bytes(1 + (count + 9) / 8).unwrap()[1..],
        };
        let cell = |(index, (_, ty)): (usize, &(String, String))| {
            let bit = index + 2;
            let text = match format {
                RowFormat::Text => cursor.lenenc_or_null().unwrap().map(text),
                RowFormat::Binary if nulls[bit / 8] & 1 << (bit % 8) != 0 => None,
                RowFormat::Binary => Some(decode_binary(&mut cursor, ty)),
            };
            text.unwrap_or_else(|| "null".to_owned())
        };
        let cells: Vec<String> = self.0.iter().take(count).enumerate().map(cell).collect();
        cursor.end().unwrap();
        cells.join("|")
    }
}

fn own((name, ty): (&str, &str)) -> (String, String) {
    (name.to_owned(), ty.to_owned())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn definition<'a>(name: &'a str, ty: &str) -> ColumnDef<'a> {
    let number = |ty, unsigned: bool, decimals| ColumnDef {
        ty,
        charset: BINARY_CHARSET,
        flags: if unsigned { flags::UNSIGNED } else { 0 },
        decimals,
        ..ColumnDef::text(name, 20)
    };
    let string = |ty, charset, flags| ColumnDef { ty, charset, flags, ..ColumnDef::text(name, 20) };
    match ty {
        "tiny" => number(ColumnType::TINY, false, 0),
        "int" => number(ColumnType::LONG, false, 0),
        "big" => number(ColumnType::LONGLONG, false, 0),
        "ubig" => number(ColumnType::LONGLONG, true, 0),
        "year" => number(ColumnType::YEAR, true, 0),
        "dec" => number(ColumnType::NEWDECIMAL, false, 0),
        "dec2" => number(ColumnType::NEWDECIMAL, false, 2),
        "dec6" => number(ColumnType::NEWDECIMAL, false, 6),
        "dec30" => number(ColumnType::NEWDECIMAL, false, 30),
        "float" => number(ColumnType::FLOAT, false, 31),
        "double" => number(ColumnType::DOUBLE, false, 31),
        "double2" => number(ColumnType::DOUBLE, false, 2),
        "date" => number(ColumnType::DATE, false, 0),
        "datetime" => number(ColumnType::DATETIME, false, 6),
        "time" => number(ColumnType::TIME, false, 6),
        "bit" => number(ColumnType::BIT, true, 0),
        "bytes" => string(ColumnType::VAR_STRING, BINARY_CHARSET, flags::BINARY),
        "text" => string(ColumnType::VAR_STRING, 45, 0),
        "enum" => string(ColumnType::STRING, 45, flags::ENUM),
        "json" => string(ColumnType::JSON, BINARY_CHARSET, 0),
        "null" => string(ColumnType::NULL, BINARY_CHARSET, 0),
        _ => panic!("no such type: {ty}"),
    }
}

fn encode_binary(cell: &str, ty: &str, out: &mut Vec<u8>) {
    match ty {
        "tiny" => out.extend(cell.parse::<i8>().unwrap().to_le_bytes()),
        "int" => out.extend(cell.parse::<i32>().unwrap().to_le_bytes()),
        "big" => out.extend(cell.parse::<i64>().unwrap().to_le_bytes()),
        "ubig" => out.extend(cell.parse::<u64>().unwrap().to_le_bytes()),
        "year" => out.extend(cell.parse::<u16>().unwrap().to_le_bytes()),
        "float" => out.extend(cell.parse::<f32>().unwrap().to_le_bytes()),
        "double" | "double2" => out.extend(cell.parse::<f64>().unwrap().to_le_bytes()),
        "date" | "datetime" => {
            let moment = Moment::parse(cell.as_bytes()).unwrap();
            let year = moment.year.to_le_bytes();
            let mut bytes = vec![year[0], year[1], moment.month, moment.day, moment.hour, moment.minute, moment.second];
            bytes.extend(moment.micros.to_le_bytes());
            let length = match (moment == Moment::default(), moment.is_midnight(), moment.micros) {
                (true, ..) => 0,
                (_, true, _) => 4,
                (_, _, 0) => 7,
                _ => 11,
            };
            put_lenenc_bytes(out, &bytes[..length]);
        }
        "time" => {
            let span = time::parse(cell.as_bytes()).unwrap();
            let (seconds, micros) = (span.unsigned_abs() / 1_000_000, (span.unsigned_abs() % 1_000_000) as u32);
            let mut bytes = vec![u8::from(span < 0)];
            bytes.extend(((seconds / 86_400) as u32).to_le_bytes());
            bytes.extend([seconds / 3600 % 24, seconds / 60 % 60, seconds % 60].map(|part| part as u8));
            bytes.extend(micros.to_le_bytes());
            let length = match (span, micros) {
                (0, _) => 0,
                (_, 0) => 8,
                _ => 12,
            };
            put_lenenc_bytes(out, &bytes[..length]);
        }
        _ => put_lenenc_bytes(out, cell.as_bytes()),
    }
}

fn decode_binary(cursor: &mut Cursor, ty: &str) -> String {
    match ty {
        "tiny" => (cursor.u8().unwrap() as i8).to_string(),
        "int" => (cursor.u32().unwrap() as i32).to_string(),
        "big" => (cursor.u64().unwrap() as i64).to_string(),
        "ubig" => cursor.u64().unwrap().to_string(),
        "year" => format!("{:04}", cursor.u16().unwrap()),
        "float" => f32::from_le_bytes(cursor.array().unwrap()).to_string(),
        "double" | "double2" => {
            let mut out = Vec::new();
            double::write(f64::from_le_bytes(cursor.array().unwrap()), &mut out);
            text(&out)
        }
        "date" | "datetime" => {
            let b = cursor.lenenc_bytes().unwrap();
            let at = |index: usize| b.get(index).copied().unwrap_or(0);
            let micros = b.get(7..11).map_or(0, |b| u32::from_le_bytes(b.try_into().unwrap()));
            let date = format!("{:04}-{:02}-{:02}", u16::from_le_bytes([at(0), at(1)]), at(2), at(3));
            match (ty, micros) {
                ("date", _) => date,
                (_, 0) => format!("{date} {:02}:{:02}:{:02}", at(4), at(5), at(6)),
                _ => format!("{date} {:02}:{:02}:{:02}.{micros:06}", at(4), at(5), at(6)),
            }
        }
        "time" => {
            let b = cursor.lenenc_bytes().unwrap();
            let at = |index: usize| u32::from(b.get(index).copied().unwrap_or(0));
            let micros = b.get(8..12).map_or(0, |b| u32::from_le_bytes(b.try_into().unwrap()));
            let sign = if at(0) == 1 { "-" } else { "" };
            let clock = format!("{sign}{:02}:{:02}:{:02}", at(1) * 24 + at(5), at(6), at(7));
            if micros == 0 { clock } else { format!("{clock}.{micros:06}") }
        }
        _ => text(cursor.lenenc_bytes().unwrap()),
    }
}

/// In what order rows arrive.
#[derive(Clone, Debug)]
enum Arrival {
    /// As they are wanted.
    Wanted,
    /// All before the first is asked for.
    Early,
    /// Now and then one of some source, as these numbers say.
    Random(Vec<u8>),
}

/// A merge and what goes into it.
#[derive(Clone)]
struct Case {
    columns: Columns,
    merge: Merge,
    window: Option<Window>,
    budget: usize,
}

impl Case {
    fn new(columns: &str, merge: Merge) -> Case {
        Case { columns: Columns::new(columns), merge, window: None, budget: 1 << 20 }
    }

    fn window(self, skip: u64, take: u64) -> Case {
        Case { window: Some(Window { skip, take }), ..self }
    }

    fn merger(&self, sources: usize, format: RowFormat) -> Result<Merger, SqlError> {
        Merger::new(&self.merge, self.window, &self.columns.defs(), format, sources, self.budget, &literal_value)
    }

    /// The rows of the answer, given those of each source.
    fn run(&self, sources: &[Vec<String>], format: RowFormat, arrival: &Arrival) -> Result<Vec<String>, SqlError> {
        let mut merger = self.merger(sources.len(), format)?;
        let mut feeds: Vec<_> = sources.iter().map(|rows| rows.iter()).collect();
        let mut ended = vec![false; sources.len()];
        let mut feed = |merger: &mut Merger, source: usize| match feeds[source].next() {
            Some(row) => merger.row(source, &self.columns.encode(row, format)),
            None => {
                ended[source] = true;
                merger.end(source);
                Ok(())
            }
        };
        let mut dice = match arrival {
            Arrival::Random(numbers) => numbers.iter().copied().cycle(),
            _ => [].iter().copied().cycle(),
        };
        if let Arrival::Early = arrival {
            for (source, rows) in sources.iter().enumerate() {
                for _ in 0..=rows.len() {
                    feed(&mut merger, source)?;
                }
            }
        }
        let mut answer = Vec::new();
        let mut round = 0;
        loop {
            while let Some(dice) = dice.next().filter(|dice| dice % 3 == 0) {
                feed(&mut merger, usize::from(dice / 3) % sources.len())?;
            }
            let mut out = b"kept".to_vec();
            match merger.next(&mut out)? {
                Step::Row => answer.push(self.columns.decode(&out[4..], merger.visible(), format)),
                Step::Finished => break,
                Step::NeedInput => {
                    let source = match merger.want() {
                        Want::One(source) => source,
                        Want::Any => {
                            round += 1;
                            round % sources.len()
                        }
                        Want::Nothing => panic!("nothing is wanted, and nothing comes"),
                    };
                    feed(&mut merger, source)?;
                }
            }
        }
        assert_eq!((merger.want(), merger.next(&mut Vec::new())), (Want::Nothing, Ok(Step::Finished)));
        Ok(answer)
    }

    /// The answer to literal rows, which has to be the same in both formats and however they arrive.
    fn answer(&self, sources: &str) -> Result<Vec<String>, SqlError> {
        let sources = shards(sources);
        let first = self.run(&sources, RowFormat::Text, &Arrival::Wanted);
        for format in [RowFormat::Text, RowFormat::Binary] {
            for arrival in [Arrival::Wanted, Arrival::Early, Arrival::Random(vec![0, 3, 1, 6, 9, 2, 4, 12])] {
                assert_eq!(self.run(&sources, format, &arrival), first, "{format:?} {arrival:?}");
            }
        }
        first
    }

    #[track_caller]
    fn check(&self, sources: &str, expected: &str) {
        match self.answer(sources) {
            Ok(answer) => assert_eq!(answer, rows(expected)),
            Err(error) => panic!("{error}"),
        }
    }

    /// The error to literal rows: its number, and a part of its message.
    #[track_caller]
    fn check_error(&self, sources: &str, errno: u16, message: &str) {
        match self.answer(sources) {
            Ok(answer) => panic!("an answer: {answer:?}"),
            Err(error) => assert!(error.errno == errno && error.message.contains(message), "{error}"),
        }
    }
}

/// `1|a  2|b  ---  3|c`: words are rows, and `---` stands between sources.
fn shards(sources: &str) -> Vec<Vec<String>> {
    sources.split("---").map(rows).collect()
}

fn rows(rows: &str) -> Vec<String> {
    rows.split("  ").map(str::trim).filter(|row| !row.is_empty()).map(str::to_owned).collect()
}

/// Slots of the tests: literal `n` is the whole number `n`, parameter `n` the exact number `n / 10`.
fn literal_value(slot: Slot) -> Option<Datum<'static>> {
    Some(match slot {
        Slot::Literal { index, negative } => Datum::Int(if negative { -1 } else { 1 } * i64::from(index)),
        Slot::Param { index, .. } => {
            Datum::Decimal(Decimal::parse(format!("{}.{}", index / 10, index % 10).as_bytes()).unwrap())
        }
        Slot::Null => Datum::Null,
        Slot::Bool(truth) => Datum::Int(truth.into()),
    })
}

fn asc(item: u16) -> SortKey {
    SortKey { value: Cell::Item(item), weight: None, desc: false }
}

fn desc(item: u16) -> SortKey {
    SortKey { desc: true, ..asc(item) }
}

/// A string with its weight in a hidden column.
fn weighed(item: u16, hidden: u16) -> SortKey {
    SortKey { weight: Some(Cell::Hidden(hidden)), ..asc(item) }
}

fn by(keys: &[SortKey]) -> Merge {
    Merge { order: keys.into(), ..Merge::default() }
}

fn fold(keys: &[SortKey], columns: &[Aggregate]) -> Merge {
    Merge { combine: Combine::Fold { keys: keys.into(), columns: columns.into() }, ..by(keys) }
}

fn distinct(keys: &[SortKey]) -> Merge {
    Merge { combine: Combine::Distinct(keys.into()), ..by(keys) }
}
