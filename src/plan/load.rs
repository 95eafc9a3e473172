//! LOAD DATA LOCAL INFILE into a table that lies in several places: how the file is cut into lines, which fields of a
//! line say where it goes, and the statement by which each place loads its own. It reads no file.

use crate::error::{Code, SqlError};
use crate::plan::functions::{Nature, nature};
use crate::plan::made::{Made, can_hold_ids};
use crate::plan::parts::parts;
use crate::plan::resolve::Model;
use crate::plan::route::KeyColumn;
use crate::plan::text::{Composer, Rewrite, Text};
use crate::plan::write::key_columns;
use crate::plan::{Place, Session};
use crate::rules::catalog::{Catalog, TableInfo};
use crate::rules::id::{IdKind, IdRule};
use crate::rules::{Family, FamilyId, RuleSet};
use crate::sql::ast::{Expr, Span, Statement};
use crate::sql::load::{LoadColumn, LoadData, load_data};
use crate::sql::parse::parse;
use crate::sql::scan::Scan;
use crate::value::charset::Charset;
use crate::value::decimal::Decimal;
use crate::value::delimited::{Field, Format};
use crate::value::{Canon, Datum, Key, KeyKind, stored};

/// A load of a file whose lines go to several places.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Which lines go where.
    pub to: Destination,
    /// How lines and fields end.
    pub format: Format,
    /// How many fields of a line are read.
    pub width: usize,
    /// The numbers of those that are looked at, ascending, counted from 0.
    pub wanted: Box<[usize]>,
    /// A column whose values have to be given, as servers, or Shardloom for an INSERT, would number it.
    pub numbered: Option<Numbered>,
    /// A column whose ids are made. If the file has no field for it, one is made for each row, as a further field in front
    /// of the others and as a further one of those that are wanted, behind the others; else for each row that has NULL
    /// or 0 there.
    pub made: Option<Made>,
    /// IGNORE n LINES, which no server is told of.
    pub ignored: u64,
    /// CHARACTER SET, if it is written: else `character_set_database` of the servers.
    pub charset: Option<Box<str>>,
    /// Fields are read into user variables.
    pub variables: bool,
    /// What is spliced into the statement.
    pub text: Text,
    /// `commit=`: so many rows at a time are committed for themselves.
    pub commit: Option<u64>,
}

/// Where the id of a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowId {
    /// It is to be made.
    Made,
    /// The row has one, or the table has no ids; the number, if those that are made have to keep clear of it.
    Given(Option<u64>),
}

/// A column of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// Its number in [`Load::wanted`].
    pub field: usize,
    /// Its name.
    pub column: Box<str>,
    /// The greatest id that it holds, if a rule makes ids for it.
    pub most: Option<u64>,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// Each to the shard of its key.
    Shards {
        /// The table's family.
        family: FamilyId,
        /// Its key columns, with their numbers in [`Load::wanted`].
        keys: Box<[(KeyColumn, usize)]>,
    },
    /// All of them to every group.
    Copies,
}

/// What the bytes of a file mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// utf8mb4.
    Utf8,
    /// utf8mb3: no character takes four bytes.
    Utf8Mb3,
    /// A character a byte. Only those of ASCII are known.
    Bytes,
}

impl Encoding {
    /// That of a character set; none if bytes of its longer characters look like ASCII, or are not known here.
    pub fn of(charset: &str) -> Option<Encoding> {
        match Charset::by_name(charset) {
            Charset::Utf8 => Some(Encoding::Utf8),
            Charset::Utf8Mb3 => Some(Encoding::Utf8Mb3),
            Charset::Latin1 | Charset::Ascii | Charset::Binary | Charset::Other => Some(Encoding::Bytes),
            Charset::Unknown => None,
        }
    }

    /// Whether a line is cut at the same places whoever reads it: servers differ in how far a character goes that is
    /// none.
    pub fn is_sound(self, line: &[u8]) -> bool {
        match self {
            Encoding::Bytes => true,
            Encoding::Utf8 => std::str::from_utf8(line).is_ok(),
            Encoding::Utf8Mb3 => std::str::from_utf8(line).is_ok() && line.iter().all(|byte| *byte < 0xF0),
        }
    }
}

impl Load {
    /// The id that a row brings along by its `wanted` fields. `zero`: 0 is one, too.
    ///
    /// # Errors
    /// That the row has no id and gets none, or one that the column does not hold, as a sentence without the row's number.
    pub fn id(&self, fields: &[Field], zero: bool) -> Result<RowId, String> {
        let Some(Numbered { field, column, most }) = &self.numbered else { return Ok(RowId::Given(None)) };
        let id = match fields.get(*field) {
            Some(Field::Null) if self.made.is_some() => return Ok(RowId::Made),
            Some(field) => given_id(field),
            None => None,
        };
        match id {
            Some(0) if zero => Ok(RowId::Given(None)),
            Some(0) if self.made.is_some() => Ok(RowId::Made),
            Some(id) if id != 0 => match most {
                Some(most) if id > i128::from(*most) => Err(format!("{id} is beyond what column {column} holds")),
                Some(_) => Ok(RowId::Given(u64::try_from(id).ok())),
                None => Ok(RowId::Given(None)),
            },
            _ if self.made.is_some() => Err(format!("the id in the field for {column} is no whole number")),
            _ => {
                Err(format!("each server would number {column} by itself: the field needs a whole number other than 0"))
            }
        }
    }

    /// The shard that a row goes to by its `wanted` fields; none: to all copies. `family` is that of the table.
    ///
    /// # Errors
    /// Why the row cannot be placed, as a sentence without the row's number.
    pub fn place(&self, family: Option<&Family>, fields: &[Field], encoding: Encoding) -> Result<Option<u32>, String> {
        let (Destination::Shards { keys, .. }, Some(family)) = (&self.to, family) else { return Ok(None) };
        let mut found = Vec::with_capacity(keys.len());
        for (key, number) in keys {
            let field = fields.get(*number).unwrap_or(&Field::Missing);
            found.push(key_of(field, key, encoding).map_err(|why| format!("{}: {why}", key.label))?);
        }
        let shard = family.shard(&found).ok_or_else(|| {
            let shown: Vec<String> = keys.iter().zip(&found).map(|((key, _), found)| labelled(key, found)).collect();
            format!("no shard of {} has {}", family.name, shown.join(", "))
        })?;
        Ok(Some(shard))
    }
}

fn labelled(key: &KeyColumn, value: &Key) -> String {
    match value {
        Key::Null => format!("{} = NULL", key.label),
        value => value.with_bytes(|bytes| format!("{} = {}", key.label, String::from_utf8_lossy(bytes))),
    }
}

/// A whole number.
fn given_id(field: &Field) -> Option<i128> {
    let Field::Text(text) = field else { return None };
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.len() > 30 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The key that a column has when the field is stored in it.
fn key_of(field: &Field, key: &KeyColumn, encoding: Encoding) -> Result<Key, String> {
    let text = match field {
        Field::Missing => return Err("the row ends before this field, which says where it goes".to_owned()),
        Field::Null if key.nullable => return Ok(Key::Null),
        Field::Null => return Err("NULL for a sharding key that has none".to_owned()),
        Field::Text(text) => text,
    };
    let Some(datum) = datum(text, &key.kind, encoding) else {
        return Err(format!("its characters outside ASCII are known here only in a file in UTF-8: {}", quoted(text)));
    };
    match stored(&datum, &key.kind) {
        Canon::Key(key) => Ok(key),
        Canon::Refused(why) => Err(format!("{why}: {}", quoted(text))),
        Canon::Never | Canon::Unknown => {
            Err(format!("the value of the sharding key does not fit its column: {}", quoted(text)))
        }
    }
}

/// A field as a column of this type takes it; none if its characters are not known. Texts of digits only are read
/// exactly into numbers, however long.
fn datum<'t>(text: &'t [u8], kind: &KeyKind, encoding: Encoding) -> Option<Datum<'t>> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_plain = !digits.is_empty() && digits.len() <= 60 && digits.iter().all(u8::is_ascii_digit);
    match kind {
        KeyKind::Int { .. } | KeyKind::Decimal { .. } if is_plain => {
            Some(Decimal::parse(text).map_or(Datum::Text(text.into()), Datum::Decimal))
        }
        // To a binary column bytes are what they are.
        KeyKind::Bytes { .. } => Some(Datum::Bytes(text.into())),
        _ if text.is_ascii() || encoding != Encoding::Bytes => Some(Datum::Text(text.into())),
        _ => None,
    }
}

/// The start of a field, for a message.
fn quoted(text: &[u8]) -> String {
    let shown: String = String::from_utf8_lossy(text).chars().take(40).collect();
    let bom = if text.starts_with(b"\xEF\xBB\xBF") { " (behind a byte order mark, which is no blank)" } else { "" };
    format!("'{}'{bom}", shown.trim_start_matches('\u{FEFF}'))
}

/// What a statement is planned from.
pub(super) struct Loading<'a> {
    /// Its text, to its end.
    pub(super) sql: &'a [u8],
    /// As scanned.
    pub(super) scan: &'a Scan,
    /// Who asks.
    pub(super) session: Session<'a>,
    /// Where tables are.
    pub(super) rules: &'a RuleSet,
    /// What is in them.
    pub(super) catalog: &'a Catalog,
}

impl<'a> Loading<'a> {
    /// Plans the statement, whose table is sharded or has copies; also gives its tables' names.
    ///
    /// # Errors
    /// 1235 with the reason and the place; those of the table; 1083 for separators that no server takes.
    pub(super) fn plan(&self, model: &mut Model<'a>) -> Result<Load, SqlError> {
        let Some(read) = load_data(self.sql, self.session.facts)? else {
            let why =
                "LOAD XML, or a clause of LOAD DATA that is not known here, for a table that lies in several places:";
            return Err(self.refuse(why, 0));
        };
        let at = read.table.span.start;
        if !read.local {
            let why = "LOAD DATA without LOCAL reads a file of one server, and the table lies in several places; write \
                       LOAD DATA LOCAL INFILE, and the client sends the file:";
            return Err(self.refuse(why, at));
        }
        if let Some(partition) = read.partition {
            return Err(
                self.refuse("LOAD DATA of a PARTITION of a table that lies in several places:", partition.start)
            );
        }
        let table = model.table(&read.table)?;
        model.rename(table, &read.table, false);
        let found = &model.tables[usize::from(table)];
        let sharded = self.rules.schema(&found.schema).and_then(|schema| schema.sharded(&found.name));
        if sharded.is_some_and(|table| !table.lookups.is_empty() || table.owner.is_some()) {
            let why = "LOAD DATA into a table with a lookup, or into a lookup, which would come to differ; INSERT keeps \
                       both:";
            return Err(self.refuse(why, at));
        }
        let (place, name) = (found.place, format!("{}.{}", found.schema, found.name));
        let id = self.rules.schema(&found.schema).and_then(|schema| schema.id(&found.name));
        let Some(info) = self.catalog.table(&found.schema, &found.name).cloned().filter(|info| !info.view) else {
            return Err(SqlError::new(Code::NoSuchTable, format!("Table '{name}' doesn't exist")));
        };
        let columns = self.columns(&read, &info)?;
        let assigned = self.assigned(&read)?;
        let format = self.format(&read)?;
        let made = self.made(&read, Made::of(id, table, &info), &columns, &assigned, &format)?;
        let numbered = match &made {
            Some(made) if made.field.is_none() => None,
            _ => self.numbered(&info, id, &columns, &assigned, (at, made.is_some()))?,
        };
        let mut wanted: Vec<usize> = numbered.iter().map(|numbered| numbered.field).collect();
        let keys = match place {
            Place::Sharded(_) => {
                let made = made.as_ref().filter(|made| made.field.is_none()).map(|made| &*made.column);
                self.keys(model, table, &info, (&columns, &assigned, made), at)?
            }
            _ => Vec::new(),
        };
        wanted.extend(keys.iter().filter_map(|(_, position)| *position));
        wanted.sort_unstable();
        wanted.dedup();
        let number = |position: usize| wanted.iter().position(|known| *known == position).unwrap_or(0);
        let behind = wanted.len();
        let to = match place {
            Place::Sharded(family) => {
                let keys = keys.into_iter().map(|(key, position)| (key, position.map_or(behind, number))).collect();
                Destination::Shards { family, keys }
            }
            _ => Destination::Copies,
        };
        if let Some((clause, _)) = read.ignored {
            model.edits.push((clause, Rewrite::Fixed(String::new())));
        }
        let in_front = made.as_ref().filter(|made| made.field.is_none());
        if let (Some(made), Some(first)) = (in_front, read.columns.iter().flatten().next()) {
            let at = Span { end: first.span().start, ..first.span() };
            model.edits.push((at, Rewrite::Fixed(made.column_text())));
        }
        Ok(Load {
            to,
            format,
            made,
            width: columns.len(),
            numbered: numbered.map(|numbered| Numbered { field: number(numbered.field), ..numbered }),
            wanted: wanted.into(),
            ignored: read.ignored.map_or(0, |(_, count)| count),
            charset: read.charset.map(String::into_boxed_str),
            variables: columns.iter().any(Option::is_none),
            text: Composer::new(self.scan, model.edits.clone()).plain()?,
            commit: None,
        })
    }

    fn refuse(&self, why: &str, at: u32) -> SqlError {
        SqlError::refuse_at(why, self.sql, at as usize)
    }

    /// The columns that fields go to, in their order; none for a user variable.
    fn columns(&self, read: &LoadData, info: &TableInfo) -> Result<Vec<Option<String>>, SqlError> {
        let listed = read.columns.as_ref().filter(|columns| !columns.is_empty());
        let Some(listed) = listed else {
            if info.columns.iter().any(|column| column.generated || column.invisible) {
                let why = "LOAD DATA without a column list, of a table with columns that are generated or invisible:";
                return Err(self.refuse(why, read.table.span.start));
            }
            return Ok(info.columns.iter().map(|column| Some(column.name.clone())).collect());
        };
        Ok(listed
            .iter()
            .map(|column| match column {
                LoadColumn::Column(name) => Some(name.name.clone()),
                LoadColumn::Variable(_) => None,
            })
            .collect())
    }

    /// The columns that SET gives values to, by expressions that every place computes alike.
    fn assigned(&self, read: &LoadData) -> Result<Vec<String>, SqlError> {
        const BEFORE: &[u8] = b"UPDATE t SET ";
        let Some(set) = read.set else { return Ok(Vec::new()) };
        let update = [BEFORE, set.of(self.sql)].concat();
        let refuse = |why: &str| Err(self.refuse(why, set.start));
        let Ok(Statement::Update(update)) = parse(&update, self.session.facts) else {
            return refuse("a SET of LOAD DATA that is not known here:");
        };
        if update.filter.is_some() || update.limit.is_some() || !update.order_by.is_empty() {
            return refuse("a SET of LOAD DATA that is not known here:");
        }
        let mut names = Vec::new();
        for assignment in &update.set {
            for expr in [&assignment.column, &assignment.value] {
                if let Some((what, span)) = obstacle(expr) {
                    let why = format!("{what} in SET of LOAD DATA into a table that lies in several places:");
                    return Err(self.refuse(&why, set.start + span.start - BEFORE.len() as u32));
                }
            }
            if let Expr::Column { name, .. } = &assignment.column {
                names.push(name.name.clone());
            }
        }
        Ok(names)
    }

    /// The ids that are to be made, of a table whose rule makes some: for all rows if the statement lists other columns only,
    /// for those without one if it has a field for them.
    fn made(
        &self,
        read: &LoadData,
        made: Option<Made>,
        columns: &[Option<String>],
        assigned: &[String],
        format: &Format,
    ) -> Result<Option<Made>, SqlError> {
        let is = |made: &Made, name: &String| made.column.eq_ignore_ascii_case(name);
        let lists = read.columns.as_ref().is_some_and(|columns| !columns.is_empty());
        let named = |made: &Made| columns.iter().flatten().chain(assigned).any(|name| is(made, name));
        let Some(made) = made else { return Ok(None) };
        if let Some(field) = position(columns, assigned, &made.column) {
            let numbers = made.kind != IdKind::Uuid && can_hold_ids(format);
            return Ok(numbers.then_some(Made { field: Some(field), ..made }));
        }
        if !lists || named(&made) {
            return Ok(None);
        }
        if !can_hold_ids(format) {
            let why = "a separator of letters, digits or hyphens in LOAD DATA of rows whose ids are made:";
            return Err(self.refuse(why, read.table.span.start));
        }
        Ok(Some(made))
    }

    /// The column of ids, if the table has one; its field counted among all.
    fn numbered(
        &self,
        info: &TableInfo,
        id: Option<&IdRule>,
        columns: &[Option<String>],
        assigned: &[String],
        (at, made): (u32, bool),
    ) -> Result<Option<Numbered>, SqlError> {
        if let Some(rule) = id.filter(|rule| rule.kind == IdKind::Segment && !made) {
            let column = rule.column(info).map_or("", |(name, _)| name);
            let why = format!("LOAD DATA into a table with `id = \"segment\"`, whose counter would not know {column};");
            return Err(self.refuse(&why, at));
        }
        let made = id.and_then(|rule| rule.column(info).ok()).map(|(name, _)| name);
        let name = made.or(info.auto_increment().map(|column| column.name.as_str()));
        let Some(name) = name else { return Ok(None) };
        match position(columns, assigned, name) {
            // Nobody numbers texts.
            Some(_) if id.is_some_and(|rule| rule.kind == IdKind::Uuid) => Ok(None),
            Some(field) => {
                let most = id.and_then(|rule| rule.column(info).ok()).map(|(_, most)| most);
                Ok(Some(Numbered { field, column: name.into(), most }))
            }
            None => {
                let why = format!("LOAD DATA makes no ids: {name} has to be a field of the file;");
                Err(self.refuse(&why, at))
            }
        }
    }

    /// The key columns with the numbers of their fields; none for the one whose ids are `made`.
    fn keys(
        &self,
        model: &Model<'_>,
        table: u16,
        info: &TableInfo,
        (columns, assigned, made): (&[Option<String>], &[String], Option<&str>),
        at: u32,
    ) -> Result<Vec<(KeyColumn, Option<usize>)>, SqlError> {
        let keys = key_columns(model, table, info)?;
        if keys.is_empty() {
            return Err(self.refuse("LOAD DATA into a family without a column, whose rows only a hint can place:", at));
        }
        let found = keys.into_iter().map(|key| match position(columns, assigned, key.column()) {
            Some(position) => Ok((key, Some(position))),
            None if made.is_some_and(|made| made.eq_ignore_ascii_case(key.column())) => Ok((key, None)),
            None => {
                let why = format!("the sharding key {} has to be a field of the file, as it stands there;", key.label);
                Err(self.refuse(&why, at))
            }
        });
        found.collect()
    }

    /// How lines and fields end.
    fn format(&self, read: &LoadData) -> Result<Format, SqlError> {
        let standard = Format::default();
        let text = |given: &Option<Vec<u8>>, standard: &[u8]| given.clone().unwrap_or(standard.to_vec());
        let wrong = || SqlError {
            errno: 1083,
            state: *b"42000",
            message: "Field separator argument is not what is expected; check the manual".to_owned(),
        };
        let one = |given: &Option<Vec<u8>>, standard: Option<u8>| match given.as_deref() {
            None => Ok(standard),
            Some([]) => Ok(None),
            Some([byte]) => Ok(Some(*byte)),
            Some(_) => Err(wrong()),
        };
        let format = Format {
            field_end: text(&read.field_end, &standard.field_end).into(),
            enclosed: one(&read.enclosed, standard.enclosed)?,
            escape: one(&read.escape, standard.escape)?,
            line_start: text(&read.line_start, &standard.line_start).into(),
            line_end: text(&read.line_end, &standard.line_end).into(),
        };
        let at = read.table.span.start;
        if format.field_end.is_empty() || format.line_end.is_empty() || format.field_end == format.line_end {
            let why = "fields of fixed width, or lines that end like fields, in LOAD DATA into a table that lies in \
                       several places:";
            return Err(self.refuse(why, at));
        }
        let bytes = [&format.field_end, &format.line_start, &format.line_end].into_iter().flat_map(|text| text.iter());
        if !bytes.chain(&format.enclosed).chain(&format.escape).all(u8::is_ascii) {
            return Err(self.refuse("a separator outside ASCII, for a table that lies in several places:", at));
        }
        Ok(format)
    }
}

/// The field of a column, if the column gets it as it is.
fn position(columns: &[Option<String>], assigned: &[String], name: &str) -> Option<usize> {
    let is = |known: &String| known.eq_ignore_ascii_case(name);
    if assigned.iter().any(is) {
        return None;
    }
    columns.iter().position(|column| column.as_ref().is_some_and(is))
}

/// What in an expression does not give the same wherever, and whenever, it is computed.
fn obstacle(expr: &Expr) -> Option<(&'static str, Span)> {
    let here = match expr {
        Expr::Subquery(..) | Expr::Exists(..) | Expr::InSubquery { .. } => Some("a subquery"),
        Expr::Column { table: Some(_), .. } => Some("a column that is named with its table"),
        Expr::Variable { text, .. } if text.starts_with("@@") => Some("a system variable"),
        Expr::Param { .. } => Some("a parameter"),
        Expr::Function(function) => match nature(&function.name) {
            Nature::Pure | Nature::Clock => None,
            _ => Some("a function whose value depends on more than its arguments and the time"),
        },
        _ => None,
    };
    match here {
        Some(what) => Some((what, expr.span())),
        None => parts(expr).into_iter().find_map(obstacle),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn text(text: &str) -> Field {
        Field::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn ids_are_whole_numbers() {
        for (field, id) in [
            (text("7"), Some(7)),
            (text("007"), Some(7)),
            (text("-3"), Some(-3)),
            (text("9223372036854775808"), Some(1 << 63)),
            (text("0"), Some(0)),
            (text("-0"), Some(0)),
            (text(""), None),
            (text("-"), None),
            (text("1.0"), None),
            (text(" 1"), None),
            (text("1e3"), None),
            (Field::Null, None),
            (Field::Missing, None),
        ] {
            assert_eq!(given_id(&field), id, "{field:?}");
        }
    }

    fn key(kind: KeyKind, nullable: bool) -> KeyColumn {
        KeyColumn { label: "t.k".into(), level: 0, kind, nullable }
    }

    #[test]
    fn a_key_is_what_its_column_stores() {
        let whole = || key(KeyKind::Int { unsigned: false, bits: 64 }, true);
        let decimal = || key(KeyKind::Decimal { precision: 30, scale: 2, unsigned: false }, false);
        let bytes = || key(KeyKind::Bytes { length: 4, fixed: false }, false);
        let year = || key(KeyKind::Year, false);
        let many = "12345678901234567890";
        for (field, column, expected) in [
            (text("007"), whole(), Some(Key::Int(7))),
            (text("-9223372036854775808"), whole(), Some(Key::Int(i64::MIN.into()))),
            (text("5.0"), whole(), Some(Key::Int(5))),
            (text("5.5"), whole(), None),
            (text("9223372036854775808"), whole(), None),
            (text("5 "), whole(), None),
            (text("+5"), whole(), None),
            (text(""), whole(), None),
            (Field::Null, whole(), Some(Key::Null)),
            (Field::Null, decimal(), None),
            (Field::Missing, whole(), None),
            (text(many), decimal(), Some(Key::Int(12_345_678_901_234_567_890))),
            (text("2024"), year(), Some(Key::Int(2024))),
            (text("24"), year(), None),
            (text("ab"), bytes(), Some(Key::Bytes(b"ab".to_vec()))),
            (Field::Text(vec![0xFF]), bytes(), Some(Key::Bytes(vec![0xFF]))),
            (text("abcde"), bytes(), None),
        ] {
            assert_eq!(key_of(&field, &column, Encoding::Bytes).ok(), expected, "{field:?} {:?}", column.kind);
        }
    }

    #[test]
    fn a_line_is_sound_if_all_servers_cut_it_alike() {
        assert!(
            Encoding::Utf8.is_sound("a\u{1F600}".as_bytes()) && !Encoding::Utf8Mb3.is_sound("a\u{1F600}".as_bytes())
        );
        assert!(!Encoding::Utf8.is_sound(b"\xE4b") && Encoding::Bytes.is_sound(b"\xE4b"));
        assert_eq!((Encoding::of("sjis"), Encoding::of("latin1")), (None, Some(Encoding::Bytes)));
    }
}
