//! The options behind the tables of ANALYZE, CHECK, CHECKSUM, OPTIMIZE and REPAIR TABLE, as far as each table can get a
//! statement of its own with them. It knows no rules.

use crate::error::SqlError;
use crate::sql::Facts;
use crate::sql::cursor::{Cursor, tokens};
use crate::sql::head::Admin;
use crate::sql::lex::Punct;

/// What stands behind the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Options {
    /// What means the same for each table alone: nothing, most of the time.
    OfEach,
    /// What MySQL takes of one table only: UPDATE HISTOGRAM, DROP HISTOGRAM.
    Histogram,
    /// Something else, from this byte on.
    Unread(u32),
}

/// Reads what stands behind `from`, where the list of tables ends.
///
/// # Errors
/// 1064 where the lexer fails.
pub fn options(sql: &[u8], from: u32, verb: Admin, facts: Facts) -> Result<Options, SqlError> {
    let tokens = tokens(sql, facts)?;
    let mut cursor = Cursor::new(sql, &tokens, facts);
    cursor.at = tokens.partition_point(|token| token.span.start < from);
    let histogram = cursor.is_any(&["UPDATE", "DROP"]);
    let read = match verb {
        Admin::Analyze => cursor.at_end() || analyze(&mut cursor).is_some(),
        Admin::Check => {
            while cursor.eat(&["FOR", "UPGRADE"]) || cursor.eat_any(&["QUICK", "FAST", "MEDIUM", "EXTENDED", "CHANGED"])
            {
            }
            true
        }
        Admin::Checksum => {
            cursor.eat_any(&["QUICK", "EXTENDED"]);
            true
        }
        Admin::Repair => {
            while cursor.eat_any(&["QUICK", "EXTENDED", "USE_FRM", "FORCE"]) {}
            cursor.eat(&["FROM", "MYSQL"]);
            true
        }
        // How long its lock is waited for (MariaDB).
        Admin::Optimize => cursor.eat(&["NOWAIT"]) || !cursor.eat(&["WAIT"]) || cursor.integer().is_some(),
        _ => false,
    };
    Ok(match read && cursor.at_end() {
        true if histogram => Options::Histogram,
        true => Options::OfEach,
        false => Options::Unread(cursor.start() as u32),
    })
}

fn analyze(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.eat(&["PERSISTENT", "FOR"]) {
        return persistent(cursor);
    }
    let update = cursor.eat(&["UPDATE"]);
    (update || cursor.eat(&["DROP"])).then_some(())?;
    cursor.eat(&["HISTOGRAM", "ON"]).then_some(())?;
    cursor.name()?;
    while cursor.eat_punct(Punct::Comma) {
        cursor.name()?;
    }
    if !update {
        return Some(());
    }
    if cursor.eat(&["WITH"]) {
        cursor.integer()?;
        cursor.eat(&["BUCKETS"]).then_some(())?;
    }
    if cursor.eat(&["USING", "DATA"]) {
        cursor.string()?;
    }
    let _ = cursor.eat(&["MANUAL", "UPDATE"]) || cursor.eat(&["AUTO", "UPDATE"]);
    Some(())
}

/// `ALL`, or `COLUMNS ALL | (a, b) INDEXES ALL | (c, d)` (MariaDB).
/// <https://mariadb.com/kb/en/analyze-table/>
fn persistent(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.eat(&["ALL"]) {
        return Some(());
    }
    for word in ["COLUMNS", "INDEXES"] {
        cursor.eat(&[word]).then_some(())?;
        (cursor.eat(&["ALL"]) || cursor.skip_parens()).then_some(())?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Options, options};
    use crate::sql::head::{Admin, Head, head};
    use crate::sql::tests::MARIADB;

    #[test]
    fn what_is_behind_the_tables() {
        use Options::{Histogram, OfEach};
        for (sql, expected) in [
            ("ANALYZE TABLE a", OfEach),
            ("ANALYZE LOCAL TABLE a, b PERSISTENT FOR ALL", OfEach),
            ("ANALYZE TABLE a PERSISTENT FOR COLUMNS (x, y) INDEXES ALL", OfEach),
            ("ANALYZE TABLE a UPDATE HISTOGRAM ON x, `y` WITH 10 BUCKETS AUTO UPDATE", Histogram),
            ("ANALYZE TABLE a UPDATE HISTOGRAM ON x USING DATA '{}'", Histogram),
            ("ANALYZE TABLE a DROP HISTOGRAM ON x", Histogram),
            ("ANALYZE TABLE a UPDATE HISTOGRAM x", Options::Unread(23)),
            ("CHECK TABLE a, s.b FOR UPGRADE QUICK EXTENDED", OfEach),
            ("CHECK TABLE a QUICK b", Options::Unread(20)),
            ("CHECKSUM TABLES a, b EXTENDED", OfEach),
            ("OPTIMIZE NO_WRITE_TO_BINLOG TABLE a WAIT 3", OfEach),
            ("REPAIR TABLE a QUICK USE_FRM", OfEach),
            ("REPAIR VIEW a FROM MYSQL", OfEach),
        ] {
            let Head::Admin { verb, tables } = head(sql.as_bytes(), MARIADB).unwrap() else { unreachable!("{sql}") };
            let behind = tables.last().unwrap().span.end;
            assert_eq!(options(sql.as_bytes(), behind, verb, MARIADB), Ok(expected), "{sql}");
        }
    }

    /// An option of MariaDB that may stand between tables hides none of them.
    #[test]
    fn options_between_tables() {
        let sql = b"ANALYZE TABLE a PERSISTENT FOR COLUMNS (x, y) INDEXES (), b PERSISTENT FOR ALL, c";
        let Head::Admin { tables, .. } = head(sql, MARIADB).unwrap() else { unreachable!() };
        assert_eq!(tables.iter().map(|table| &*table.name.name).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(options(sql, tables[0].span.end, Admin::Analyze, MARIADB), Ok(Options::Unread(56)));
    }
}
