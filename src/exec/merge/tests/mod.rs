//! Merging seen from outside: literal rows in, literal rows out, in both formats and however the rows arrive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod literal;
mod property;
mod speed;

use crate::error::SqlError;
use crate::exec::merge::{Merger, Step, Want};
use crate::plan::Window;
use crate::plan::merge::{Aggregate, Cell, Combine, Merge, SortKey};
use crate::plan::slot::Slot;
use crate::value::Datum;
use crate::value::decimal::Decimal;
use crate::wire::column::{BINARY_CHARSET, ColumnDef, ColumnType, flags};
use crate::wire::row::{self, RowForm, RowWriter, convert, split};
use crate::wire::value::Shape;

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

    fn shapes(&self) -> Vec<Shape> {
        self.defs().iter().map(Shape::of).collect()
    }

    /// A row written as `1|a|null`.
    fn encode(&self, row: &str, form: RowForm) -> Vec<u8> {
        let cells: Vec<&str> = row.split('|').collect();
        assert_eq!(cells.len(), self.0.len(), "{row}");
        let (mut text, mut out) = (Vec::new(), Vec::new());
        let mut writer = RowWriter::new(&mut text, RowForm::Text, cells.len());
        for cell in cells {
            if cell == "null" { writer.null() } else { writer.bytes(cell.as_bytes()) }
        }
        convert(&text, RowForm::Text, form, &self.shapes(), &mut Vec::new(), &mut out).unwrap();
        out
    }

    /// The first `count` columns of a row.
    fn decode(&self, row: &[u8], count: usize, form: RowForm) -> String {
        let shapes = &self.shapes()[..count];
        let (mut text, mut cells) = (Vec::new(), Vec::new());
        convert(row, form, RowForm::Text, shapes, &mut cells, &mut text).unwrap();
        split(&text, RowForm::Text, shapes, &mut cells).unwrap();
        let show = |cell: &row::Cell| cell.content(&text).map_or("null".into(), String::from_utf8_lossy).into_owned();
        cells.iter().map(show).collect::<Vec<_>>().join("|")
    }
}

fn own((name, ty): (&str, &str)) -> (String, String) {
    (name.to_owned(), ty.to_owned())
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
        "datetime" => number(ColumnType::DATETIME, false, 31),
        "time" => number(ColumnType::TIME, false, 31),
        "bit" => number(ColumnType::BIT, true, 0),
        "bytes" => string(ColumnType::VAR_STRING, BINARY_CHARSET, flags::BINARY),
        "text" => string(ColumnType::VAR_STRING, 45, 0),
        "enum" => string(ColumnType::STRING, 45, flags::ENUM),
        "json" => string(ColumnType::JSON, BINARY_CHARSET, 0),
        "null" => string(ColumnType::NULL, BINARY_CHARSET, 0),
        _ => panic!("no such type: {ty}"),
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

    fn merger(&self, sources: usize, form: RowForm) -> Result<Merger, SqlError> {
        Merger::new(&self.merge, self.window, &self.columns.defs(), form, sources, self.budget, &literal_value)
    }

    /// The rows of the answer, given those of each source.
    fn run(&self, sources: &[Vec<String>], form: RowForm, arrival: &Arrival) -> Result<Vec<String>, SqlError> {
        let mut merger = self.merger(sources.len(), form)?;
        let mut feeds: Vec<_> = sources.iter().map(|rows| rows.iter()).collect();
        let mut ended = vec![false; sources.len()];
        let mut feed = |merger: &mut Merger, source: usize| match feeds[source].next() {
            Some(row) => merger.row(source, &self.columns.encode(row, form)),
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
                Step::Row => answer.push(self.columns.decode(&out[4..], merger.visible(), form)),
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
        let first = self.run(&sources, RowForm::Text, &Arrival::Wanted);
        for form in [RowForm::Text, RowForm::Binary] {
            for arrival in [Arrival::Wanted, Arrival::Early, Arrival::Random(vec![0, 3, 1, 6, 9, 2, 4, 12])] {
                assert_eq!(self.run(&sources, form, &arrival), first, "{form:?} {arrival:?}");
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
        Slot::Null | Slot::Id(_) => Datum::Null,
        Slot::Bool(truth) => Datum::Int(truth.into()),
    })
}

fn asc(item: u16) -> SortKey {
    SortKey { value: Cell::Item(item), weight: None, pad: None, desc: false }
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
