//! The texts of the statements that keep a lookup: rows of its table as VALUES and as conditions, each value as a
//! literal that a column takes for what it is. It sends nothing.

use crate::error::SqlError;
use crate::exec::carry::Reading;
use crate::plan::text::{put_hex, quote};
use crate::plan::upkeep::{Kept, Value};
use crate::rules::catalog::{ColumnInfo, ColumnType};
use crate::value::Datum;

/// How many rows a statement of our own names at most: a server reads conditions joined by OR one inside the other.
pub const ROWS_AT_ONCE: usize = 200;

/// How many rows one statement may take out of lookups, or change there.
pub const ROWS_MOST: usize = 20_000;

/// The literals of one row; none for NULL.
pub type Row = Vec<Option<Vec<u8>>>;

/// A value of a client's as a literal; none if it is NULL.
///
/// # Errors
/// 1235 for what is not known here, or cannot be written in the session's character set.
pub fn literal(value: &Value<'_>, reading: Reading) -> Result<Option<Vec<u8>>, SqlError> {
    let mut out = Vec::new();
    match value {
        Value::Null => return Ok(None),
        Value::Unknown => {
            let why = "a default or other value that only the server knows, in a lookup: write the value out";
            return Err(SqlError::refuse(format!("Shardloom does not support {why}")));
        }
        Value::Written(negative, text) => {
            out.extend_from_slice(if *negative { b"-" } else { b"" });
            out.extend_from_slice(text);
        }
        Value::Datum(datum) => put_datum(datum, reading, &mut out)?,
    }
    Ok(Some(out))
}

/// Appends a value as a literal of the same type.
///
/// # Errors
/// 1235 for text that cannot be written in the session's character set.
pub fn put_datum(datum: &Datum<'_>, reading: Reading, out: &mut Vec<u8>) -> Result<(), SqlError> {
    match datum {
        Datum::Null => out.extend_from_slice(b"NULL"),
        Datum::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::UInt(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Decimal(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Datum::Double(number) => out.extend_from_slice(format!("{number:e}").as_bytes()),
        Datum::Text(text) if reading.utf8 => reading.put_text(text, out),
        Datum::Text(_) => return Err(charset()),
        Datum::Bytes(bytes) => put_hex(b"x'", bytes, out),
        Datum::Moment(at) => {
            let (date, time) = ((at.year, at.month, at.day), (at.hour, at.minute, at.second));
            let text = format!(
                "TIMESTAMP'{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}'",
                date.0, date.1, date.2, time.0, time.1, time.2, at.micros
            );
            out.extend_from_slice(text.as_bytes());
        }
        Datum::Time(micros) => {
            let (sign, rest) = (if *micros < 0 { "-" } else { "" }, micros.unsigned_abs());
            let seconds = rest / 1_000_000;
            let text = format!(
                "TIME'{sign}{:02}:{:02}:{:02}.{:06}'",
                seconds / 3600,
                seconds / 60 % 60,
                seconds % 60,
                rest % 1_000_000
            );
            out.extend_from_slice(text.as_bytes());
        }
    }
    Ok(())
}

/// A cell that a server sent of a column, as a literal.
///
/// # Errors
/// 1235 for text in a session with another character set, and for types that no lookup has.
pub fn cell(text: &[u8], column: &ColumnInfo, reading: Reading) -> Result<Vec<u8>, SqlError> {
    let mut out = Vec::new();
    match column.ty {
        ColumnType::Int { .. } | ColumnType::Decimal { .. } => out.extend_from_slice(text),
        ColumnType::Binary(_) | ColumnType::Varbinary(_) | ColumnType::Blob(_) => put_hex(b"x'", text, &mut out),
        ColumnType::Date | ColumnType::DateTime(_) | ColumnType::Year | ColumnType::Uuid => {
            reading.put_text(text, &mut out)
        }
        ColumnType::Char(_) | ColumnType::Varchar(_) | ColumnType::Text(_) if reading.utf8 => {
            reading.put_text(text, &mut out);
        }
        ColumnType::Char(_) | ColumnType::Varchar(_) | ColumnType::Text(_) => return Err(charset()),
        _ => return Err(SqlError::refuse(format!("column {} is of a type that no lookup has", column.name))),
    }
    Ok(out)
}

fn charset() -> SqlError {
    SqlError::refuse("Shardloom does not support a session without utf8mb4 in a write that concerns a lookup")
}

/// `INSERT INTO lookup (columns) VALUES rows`.
pub fn insert(kept: &Kept, rows: &[Row]) -> Vec<u8> {
    let mut out = b"INSERT INTO ".to_vec();
    out.extend_from_slice(kept.quoted.as_bytes());
    out.extend_from_slice(b" (");
    put_columns(&kept.columns, &mut out);
    out.extend_from_slice(b") VALUES ");
    for (number, row) in rows.iter().enumerate() {
        for (place, value) in row.iter().enumerate() {
            out.extend_from_slice(match (number, place) {
                (0, 0) => b"(",
                (_, 0) => b",(",
                _ => b",",
            });
            out.extend_from_slice(value.as_deref().unwrap_or(b"NULL"));
        }
        out.push(b')');
    }
    out
}

/// `DELETE FROM lookup WHERE rows`.
pub fn delete(kept: &Kept, rows: &[Row]) -> Vec<u8> {
    let mut out = b"DELETE FROM ".to_vec();
    out.extend_from_slice(kept.quoted.as_bytes());
    out.extend_from_slice(b" WHERE ");
    put_rows(&kept.columns, rows, &mut out);
    out
}

/// Appends columns, comma-separated.
pub fn put_columns(columns: &[ColumnInfo], out: &mut Vec<u8>) {
    for (place, column) in columns.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        quote(column.name.as_bytes(), out);
    }
}

/// Appends the condition that a row is one of these, by columns that are not NULL.
pub fn put_rows(columns: &[ColumnInfo], rows: &[Row], out: &mut Vec<u8>) {
    for (number, row) in rows.iter().enumerate() {
        out.extend_from_slice(if number == 0 { b"(" } else { b" OR (" });
        for (place, (column, value)) in columns.iter().zip(row).enumerate() {
            if place > 0 {
                out.extend_from_slice(b" AND ");
            }
            quote(column.name.as_bytes(), out);
            out.push(b'=');
            out.extend_from_slice(value.as_deref().unwrap_or(b"NULL"));
        }
        out.push(b')');
    }
}

/// The error of a lookup's server as one server with all rows would tell it: a duplicate is one of the owner's key.
pub fn told(error: SqlError, table: &str, key: &str) -> SqlError {
    let end = "' for key '";
    let Some(at) = error.message.rfind(end).filter(|_| error.errno == 1062) else { return error };
    let (head, tail) = error.message.split_at(at + end.len());
    // Older servers, and MariaDB, name the key alone.
    let name = if tail.contains('.') { format!("{table}.{key}") } else { key.to_owned() };
    SqlError { message: format!("{head}{name}'"), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, ty: &str) -> ColumnInfo {
        ColumnInfo { nullable: false, ..ColumnInfo::of_type(name, ty) }
    }

    #[test]
    fn texts() {
        let columns = [column("e`mail", "varchar(20)"), column("id", "bigint")];
        let kept = Kept { quoted: "`s`.`l`".into(), columns: columns.into(), unique: 1, key: "e".into() };
        let row = |text: &str, id: &str| vec![Some(text.as_bytes().to_vec()), Some(id.as_bytes().to_vec())];
        let rows = [row("'a'", "1"), row("'b'", "-2")];
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(text(insert(&kept, &rows)), "INSERT INTO `s`.`l` (`e``mail`,`id`) VALUES ('a',1),('b',-2)");
        assert_eq!(
            text(delete(&kept, &rows)),
            "DELETE FROM `s`.`l` WHERE (`e``mail`='a' AND `id`=1) OR (`e``mail`='b' AND `id`=-2)"
        );
    }

    #[test]
    fn a_duplicate_is_the_owners() {
        let error = |message: &str| SqlError { errno: 1062, state: *b"23000", message: message.to_owned() };
        for (server, client) in [
            ("Duplicate entry 'x' for key 'l.PRIMARY'", "Duplicate entry 'x' for key 'users.email'"),
            ("Duplicate entry 'x' for key 'PRIMARY'", "Duplicate entry 'x' for key 'email'"),
            (
                "Duplicate entry '' for key 'a.b' for key 'l.k'",
                "Duplicate entry '' for key 'a.b' for key 'users.email'",
            ),
        ] {
            assert_eq!(told(error(server), "users", "email"), error(client));
        }
        let other = SqlError { errno: 1205, state: *b"HY000", message: "Lock wait".to_owned() };
        assert_eq!(told(other.clone(), "users", "email"), other);
    }

    #[test]
    fn parameters_as_literals() {
        let reading = Reading { utf8: true, plain_backslash: false };
        let text = |datum: Datum<'_>| {
            let mut out = Vec::new();
            put_datum(&datum, reading, &mut out).map(|()| String::from_utf8_lossy(&out).into_owned()).ok()
        };
        assert_eq!(text(Datum::Text(b"it's \\".as_slice().into())).as_deref(), Some(r"'it''s \\'"));
        assert_eq!(text(Datum::Double(0.1)).as_deref(), Some("1e-1"));
        assert_eq!(text(Datum::Time(-3_661_000_001)).as_deref(), Some("TIME'-01:01:01.000001'"));
        assert_eq!(text(Datum::Bytes(b"\x00\xff".as_slice().into())).as_deref(), Some("x'00FF'"));
    }
}
