//! What tells a table before a definition from the same one after it: its own definition, or where definitions do not
//! tell (TRUNCATE, names that change places) the number that the engine gives to the table. It compares nothing.

use twox_hash::XxHash3_64;

use crate::backend::conn::{BackendError, Conn};
use crate::plan::text::put_name;
use crate::rules::PhysicalName;

/// The trace of a table that is not there.
pub(super) const ABSENT: &str = "absent";

/// The traces of the tables, one word each; empty if one of them leaves none that can be read.
///
/// # Errors
/// A lost connection.
pub(super) async fn trace(
    conn: &mut Conn,
    tables: &[(PhysicalName, String)],
    by_number: bool,
) -> Result<String, BackendError> {
    let mut words = Vec::new();
    for (name, _) in tables {
        let word = if by_number { number(conn, name).await? } else { Some(definition(conn, name).await?) };
        let Some(word) = word else { return Ok(String::new()) };
        words.push(word);
    }
    Ok(words.join(" "))
}

/// A number of what SHOW CREATE TABLE tells, but for the next AUTO_INCREMENT, which INSERTs change.
async fn definition(conn: &mut Conn, name: &PhysicalName) -> Result<String, BackendError> {
    let mut sql = b"SHOW CREATE TABLE ".to_vec();
    put_name(&name.schema, &name.table, &mut sql);
    let told = match conn.query(&String::from_utf8_lossy(&sql)).await {
        Ok(answer) => answer.text(0, 1).unwrap_or_default(),
        // 1146: no such table; 1049: no such schema.
        Err(BackendError::Server(error)) if matches!(error.errno, 1146 | 1049) => return Ok(ABSENT.to_owned()),
        // 1356: a view over tables that are gone is there all the same.
        Err(BackendError::Server(error)) if error.errno == 1356 => error.message,
        Err(error) => return Err(error),
    };
    Ok(format!("{:016x}", XxHash3_64::oneshot(without_next_number(&told).as_bytes())))
}

/// The number that InnoDB gives to a table, which TRUNCATE changes and RENAME takes along; none without the right to see
/// it, and for tables that have none or several.
async fn number(conn: &mut Conn, name: &PhysicalName) -> Result<Option<String>, BackendError> {
    // Others are written with numbers for their letters.
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !plain(&name.schema) || !plain(&name.table) {
        return Ok(None);
    }
    let relation = if conn.info.mariadb { "INNODB_SYS_TABLES" } else { "INNODB_TABLES" };
    let sql =
        format!("SELECT TABLE_ID FROM information_schema.{relation} WHERE NAME = '{}/{}'", name.schema, name.table);
    match conn.query(&sql).await {
        Ok(answer) if answer.rows.is_empty() => {
            Ok(Some(definition(conn, name).await?).filter(|definition| definition == ABSENT))
        }
        Ok(answer) => Ok(answer.text(0, 0)),
        Err(BackendError::Server(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Without ` AUTO_INCREMENT=7` among the options.
fn without_next_number(create: &str) -> String {
    const OPTION: &str = " AUTO_INCREMENT=";
    let options = create.rfind("\n)").unwrap_or(create.len());
    let Some(at) = create[options..].find(OPTION).map(|at| options + at) else { return create.to_owned() };
    let rest = create[at + OPTION.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{}{rest}", &create[..at])
}

#[cfg(test)]
mod tests {
    use super::without_next_number;

    #[test]
    fn only_the_option_is_left_out() {
        let create =
            "CREATE TABLE `a` (\n  `b` int COMMENT ' AUTO_INCREMENT=1'\n) ENGINE=InnoDB AUTO_INCREMENT=17 COMMENT='x'";
        let same = "CREATE TABLE `a` (\n  `b` int COMMENT ' AUTO_INCREMENT=1'\n) ENGINE=InnoDB COMMENT='x'";
        assert_eq!(without_next_number(create), same);
        assert_eq!(without_next_number(same), same);
    }
}
