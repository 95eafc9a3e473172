//! LOAD DATA: its clauses, and where they stand. It knows no table, and looks into no expression.
//! <https://dev.mysql.com/doc/refman/8.4/en/load-data.html>

use crate::error::SqlError;
use crate::sql::ast::{Ident, ObjectName, Span};
use crate::sql::cursor::{Cursor, tokens};
use crate::sql::lex::{Punct, TokenKind};
use crate::sql::{Facts, SqlMode};

/// A LOAD DATA statement.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadData {
    /// LOCAL: the file is the client's.
    pub local: bool,
    /// REPLACE: rows take the place of those with their keys.
    pub replace: bool,
    /// The table that is filled.
    pub table: ObjectName,
    /// PARTITION (...).
    pub partition: Option<Span>,
    /// CHARACTER SET, in lower case.
    pub charset: Option<String>,
    /// FIELDS TERMINATED BY, if written, as all of these.
    pub field_end: Option<Vec<u8>>,
    /// ENCLOSED BY.
    pub enclosed: Option<Vec<u8>>,
    /// ESCAPED BY; none under NO_BACKSLASH_ESCAPES if it is not written.
    pub escape: Option<Vec<u8>>,
    /// LINES STARTING BY.
    pub line_start: Option<Vec<u8>>,
    /// LINES TERMINATED BY.
    pub line_end: Option<Vec<u8>>,
    /// IGNORE n LINES: the clause and its number.
    pub ignored: Option<(Span, u64)>,
    /// Where the fields of a line go, if that is written.
    pub columns: Option<Vec<LoadColumn>>,
    /// What stands behind SET.
    pub set: Option<Span>,
}

/// Where a field goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadColumn {
    /// To a column.
    Column(Ident),
    /// To a user variable.
    Variable(Span),
}

impl LoadColumn {
    /// Where it is written.
    pub fn span(&self) -> Span {
        match self {
            LoadColumn::Column(name) => name.span,
            LoadColumn::Variable(span) => *span,
        }
    }
}

/// Reads LOAD DATA; none if it is not written as its manual page says, with strings as quoted text, or is LOAD XML.
///
/// # Errors
/// 1064 where the lexer fails.
pub fn load_data(sql: &[u8], facts: Facts) -> Result<Option<LoadData>, SqlError> {
    let tokens = tokens(sql, facts)?;
    Ok(read(&mut Cursor::new(sql, &tokens, facts)))
}

fn read(cursor: &mut Cursor<'_>) -> Option<LoadData> {
    cursor.eat(&["LOAD", "DATA"]).then_some(())?;
    cursor.eat_any(&["LOW_PRIORITY", "CONCURRENT"]);
    let local = cursor.eat(&["LOCAL"]);
    cursor.eat(&["INFILE"]).then_some(())?;
    cursor.string()?;
    let replace = cursor.eat(&["REPLACE"]);
    if !replace {
        cursor.eat(&["IGNORE"]);
    }
    cursor.eat(&["INTO", "TABLE"]).then_some(())?;
    let table = cursor.object_name()?;
    let mut read = LoadData {
        local,
        replace,
        table,
        partition: None,
        charset: None,
        field_end: None,
        enclosed: None,
        escape: cursor.facts.mode.has(SqlMode::NO_BACKSLASH_ESCAPES).then(Vec::new),
        line_start: None,
        line_end: None,
        ignored: None,
        columns: None,
        set: None,
    };
    let start = cursor.start();
    if cursor.eat(&["PARTITION"]) {
        cursor.skip_parens().then_some(())?;
        read.partition = Some(cursor.since(start));
    }
    if cursor.eat(&["CHARACTER", "SET"]) || cursor.eat(&["CHARSET"]) {
        let name = match cursor.string() {
            Some(name) => String::from_utf8(name).ok()?,
            None => word(cursor)?,
        };
        read.charset = Some(name.to_ascii_lowercase());
    }
    if cursor.eat_any(&["FIELDS", "COLUMNS"]) {
        fields(cursor, &mut read)?;
    }
    if cursor.eat(&["LINES"]) {
        lines(cursor, &mut read)?;
    }
    let start = cursor.start();
    if cursor.eat(&["IGNORE"]) {
        let count = cursor.integer()?;
        cursor.eat_any(&["LINES", "ROWS"]).then_some(())?;
        read.ignored = Some((cursor.since(start), count));
    }
    if cursor.eat_punct(Punct::LParen) {
        read.columns = Some(columns(cursor)?);
    }
    if cursor.eat(&["SET"]) {
        let start = cursor.start();
        (!cursor.at_end()).then_some(())?;
        cursor.at = cursor.tokens.len();
        read.set = Some(cursor.since(start));
    }
    cursor.at_end().then_some(read)
}

/// A word as it stands, be it reserved (BINARY).
fn word(cursor: &mut Cursor<'_>) -> Option<String> {
    let token = cursor.next().filter(|token| token.kind == TokenKind::Word)?;
    Some(String::from_utf8_lossy(cursor.text(token)).into_owned())
}

/// Behind FIELDS: at least one clause, in any order.
fn fields(cursor: &mut Cursor<'_>, read: &mut LoadData) -> Option<()> {
    let before = cursor.at;
    loop {
        if cursor.eat(&["TERMINATED", "BY"]) {
            read.field_end = Some(cursor.string()?);
        } else if cursor.eat(&["OPTIONALLY", "ENCLOSED", "BY"]) || cursor.eat(&["ENCLOSED", "BY"]) {
            read.enclosed = Some(cursor.string()?);
        } else if cursor.eat(&["ESCAPED", "BY"]) {
            read.escape = Some(cursor.string()?);
        } else {
            return (cursor.at > before).then_some(());
        }
    }
}

/// Behind LINES, likewise.
fn lines(cursor: &mut Cursor<'_>, read: &mut LoadData) -> Option<()> {
    let before = cursor.at;
    loop {
        if cursor.eat(&["STARTING", "BY"]) {
            read.line_start = Some(cursor.string()?);
        } else if cursor.eat(&["TERMINATED", "BY"]) {
            read.line_end = Some(cursor.string()?);
        } else {
            return (cursor.at > before).then_some(());
        }
    }
}

/// Behind the parenthesis: names and variables, to its end. None may be there.
fn columns(cursor: &mut Cursor<'_>) -> Option<Vec<LoadColumn>> {
    let mut columns = Vec::new();
    while !cursor.eat_punct(Punct::RParen) {
        if !columns.is_empty() {
            cursor.eat_punct(Punct::Comma).then_some(())?;
        }
        let variable = cursor.peek(0).filter(|token| token.kind == TokenKind::UserVariable);
        columns.push(match variable {
            Some(token) => {
                cursor.at += 1;
                LoadColumn::Variable(token.span)
            }
            None => LoadColumn::Column(cursor.name()?),
        });
    }
    Some(columns)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sql::tests::MYSQL;

    #[test]
    fn every_clause_is_read() {
        let sql = br"LOAD DATA LOW_PRIORITY LOCAL INFILE 'x' REPLACE INTO TABLE s.t PARTITION (p0, p1) CHARACTER SET Latin1
            COLUMNS TERMINATED BY '||' OPTIONALLY ENCLOSED BY '''' ESCAPED BY '' LINES STARTING BY '>' TERMINATED BY '\r\n'
            IGNORE 2 ROWS (a, @b, `c d`) SET e = @b + 1, f = DEFAULT";
        let read = load_data(sql, MYSQL).unwrap().unwrap();
        assert!(read.local && read.replace && read.partition.is_some());
        assert_eq!(read.table.name.name, "t");
        assert_eq!(read.charset.as_deref(), Some("latin1"));
        assert_eq!((read.field_end, read.enclosed), (Some(b"||".to_vec()), Some(b"'".to_vec())));
        assert_eq!((read.escape, read.line_start), (Some(Vec::new()), Some(b">".to_vec())));
        assert_eq!(read.line_end, Some(b"\r\n".to_vec()));
        let (clause, count) = read.ignored.unwrap();
        assert_eq!((clause.of(sql), count), (&b"IGNORE 2 ROWS"[..], 2));
        let columns: Vec<String> = read
            .columns
            .unwrap()
            .iter()
            .map(|column| match column {
                LoadColumn::Column(name) => name.name.clone(),
                LoadColumn::Variable(span) => String::from_utf8_lossy(span.of(sql)).into_owned(),
            })
            .collect();
        assert_eq!(columns, ["a", "@b", "c d"]);
        assert_eq!(read.set.unwrap().of(sql), b"e = @b + 1, f = DEFAULT");
    }

    #[test]
    fn little_is_enough_and_nonsense_is_not_read() {
        let short = load_data(b"load data infile 'x' ignore into table t", MYSQL).unwrap().unwrap();
        assert!(!short.local && !short.replace && short.escape.is_none() && short.columns.is_none());
        for sql in [
            &b"LOAD XML LOCAL INFILE 'x' INTO TABLE t"[..],
            b"LOAD DATA LOCAL INFILE 'x' INTO TABLE t FIELDS",
            b"LOAD DATA LOCAL INFILE 'x' INTO TABLE t LINES TERMINATED BY 0x0A",
            b"LOAD DATA LOCAL INFILE 'x' INTO TABLE t (a b)",
            b"LOAD DATA LOCAL INFILE 'x' INTO TABLE t (a) SET",
            b"LOAD DATA LOCAL INFILE 'x' INTO TABLE t COUNT 3",
        ] {
            assert_eq!(load_data(sql, MYSQL), Ok(None), "{}", String::from_utf8_lossy(sql));
        }
    }
}
