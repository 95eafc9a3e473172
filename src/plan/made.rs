//! The ids that are made for the rows of a LOAD DATA: of what kind, and how one is put in front of the fields of a line.
//! It makes none.

use crate::rules::catalog::TableInfo;
use crate::rules::id::{IdKind, IdRule};
use crate::value::delimited::Format;

/// A column of ids for rows that bring none along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Who makes the ids.
    pub kind: IdKind,
    /// The table, by its number among the plan's.
    pub table: u16,
    /// The column.
    pub column: Box<str>,
    /// The greatest id that the column holds; of no meaning for UUIDs.
    pub max: u64,
    /// The number of its field, counted from 0; none if the file has none of the kind.
    pub field: Option<usize>,
}

impl Made {
    /// The ids of a table, if its rule makes some.
    pub(super) fn of(rule: Option<&IdRule>, table: u16, info: &TableInfo) -> Option<Made> {
        let rule = rule?;
        let (column, max) = rule.column(info).ok()?;
        Some(Made { kind: rule.kind, table, column: column.into(), max, field: None })
    }

    /// What stands in front of the statement's columns.
    pub(super) fn column_text(&self) -> String {
        format!("`{}`, ", self.column.replace('`', "``"))
    }
}

/// Whether an id is read as it is written: no separator has a character of one.
pub(super) fn can_hold_ids(format: &Format) -> bool {
    let Format { field_end, enclosed, escape, line_start: _, line_end } = format;
    let bytes = field_end.iter().chain(line_end).chain(enclosed).chain(escape);
    !bytes.into_iter().any(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// A line with an id as its first field; none if it does not begin as lines do.
pub fn with_id(line: &[u8], id: &[u8], format: &Format) -> Option<Vec<u8>> {
    let start = match &*format.line_start {
        [] => 0,
        start => line.windows(start.len()).position(|found| found == start)? + start.len(),
    };
    let (before, fields) = line.split_at(start);
    Some([before, id, &format.field_end, fields].concat())
}

/// A line with an id as its field of this number; none if it has no such field.
pub fn with_id_at(line: &[u8], field: usize, id: &[u8], format: &Format) -> Option<Vec<u8>> {
    let place = format.place(line, field)?;
    Some([&line[..place.start], id, &line[place.end..]].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_id_comes_in_front_of_the_fields() {
        let tabs = Format::default();
        assert_eq!(with_id(b"a\tb\n", b"7", &tabs).unwrap(), b"7\ta\tb\n");
        assert_eq!(with_id(b"\n", b"7", &tabs).unwrap(), b"7\t\n");
        let starting = Format { field_end: (*b";").into(), line_start: (*b"x>").into(), ..Format::default() };
        assert_eq!(with_id(b"lost\nx>a;x>b\n", b"7", &starting).unwrap(), b"lost\nx>7;a;x>b\n");
        assert_eq!(with_id(b"a;b\n", b"7", &starting), None);
        assert_eq!(with_id_at(b"a\t\\N\n", 1, b"7", &tabs).unwrap(), b"a\t7\n");
        assert_eq!(with_id_at(b"a\n", 1, b"7", &tabs), None);
        assert!(can_hold_ids(&tabs) && can_hold_ids(&starting));
        assert!(!can_hold_ids(&Format { escape: Some(b'0'), ..Format::default() }));
    }
}
