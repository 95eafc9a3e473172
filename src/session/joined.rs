//! UPDATE and DELETE of rows that hang on rows of other servers: their keys are read first, with locks, and they are
//! then written by these; all in one transaction. A row that several matches give several values is refused, as one
//! server takes that of the match which its plan finds first.

use std::collections::HashMap;

use crate::error::SqlError;
use crate::exec::carry::{Cells, Into, cells};
use crate::exec::interrupt::Stop;
use crate::exec::lookup::{ROWS_AT_ONCE, ROWS_MOST, put_columns, put_rows};
use crate::exec::outcome::Outcome;
use crate::plan::joined::{Joined, Written};
use crate::plan::locks::shared;
use crate::session::Session;
use crate::session::carry::{lost, may_read_first};
use crate::session::run::Execution;
use crate::session::topology::Topology;
use crate::sql::Flavour;
use crate::sql::scan::Scan;

/// What the statement is called in refusals.
const WHAT: &str = "a write whose rows hang on rows of other servers";

/// The savepoint of the statement, inside of a transaction.
const SAVEPOINT: &str = "shardloom_joined";

/// The statement, its parameters written out.
#[derive(Clone, Copy)]
struct Whole<'a> {
    sql: &'a [u8],
    scan: &'a Scan,
    joined: &'a Joined,
    topology: &'a Topology,
}

/// The rows of one table, by the values that they are given.
#[derive(Default)]
struct Groups {
    /// In the order in which they were found.
    values: Vec<Cells>,
    keys: Vec<Vec<Cells>>,
}

impl Session {
    /// Reads, writes, and tells the client what one server would have told.
    pub(super) async fn run_joined(&mut self, of: &Execution<'_>, joined: &Joined) -> Result<(), Stop> {
        may_read_first(of.planned, WHAT)?;
        let set = |name: &str| self.needs.settings.variable(name).is_some();
        if let Some(name) = ["sql_safe_updates", "sql_select_limit"].into_iter().find(|name| set(name)) {
            return Err(SqlError::refuse(format!("Shardloom does not support {WHAT} while {name} is set")).into());
        }
        if self.is_read_only() {
            // Of temporary tables, which a server lets be written.
            return Err(
                SqlError::refuse(format!("Shardloom does not support {WHAT} in a READ ONLY transaction")).into()
            );
        }
        // Columns with ON UPDATE CURRENT_TIMESTAMP get one time in all rows.
        let parts = self.begin_parts_at(of.planned.effects.clock || joined.updates());
        let written = self.as_one(parts.own, SAVEPOINT, async |session: &mut Session| {
            session.read_and_write_joined(of, joined).await
        });
        let outcome = written.await;
        let outcome = self.end_parts(parts, outcome).await?;
        self.diagnostics.clear();
        self.row_count = outcome.affected_rows as i64;
        self.wrote(&outcome, of.add);
        Ok(())
    }

    async fn read_and_write_joined(&mut self, of: &Execution<'_>, joined: &Joined) -> Result<Outcome, Stop> {
        let (sql, anew) = self.written_out(of, WHAT)?;
        let sql = &*sql;
        let (scan, joined) = match &anew {
            None => (of.scan, joined),
            Some((scan, planned)) => (scan, planned.joined().ok_or_else(|| lost(WHAT))?),
        };
        let whole = Whole { sql, scan, joined, topology: of.topology };
        let rows = self.joined_rows(of, &whole).await?;
        let (mut key_at, mut value_at) = (0, joined.written.iter().map(|written| written.key.len()).sum());
        let mut groups = Vec::new();
        for written in &joined.written {
            let read = written.set.iter().filter(|given| given.read).count();
            groups.push(grouped(&rows, key_at..key_at + written.key.len(), value_at..value_at + read, written)?);
            key_at += written.key.len();
            value_at += read;
        }
        let mut sum = Sum::default();
        for (written, groups) in joined.written.iter().zip(&groups) {
            for (values, keys) in groups.values.iter().zip(&groups.keys) {
                self.write_keys(&whole, written, values, keys, &mut sum).await?;
            }
        }
        let info = match joined.updates() {
            true => format!("Rows matched: {}  Changed: {}  Warnings: 0", sum.matched, sum.changed),
            false => String::new(),
        };
        Ok(Outcome { affected_rows: sum.affected, info, ..Outcome::default() })
    }

    /// The keys of the rows, and the values that are read with them; the rows are locked.
    async fn joined_rows(&mut self, of: &Execution<'_>, whole: &Whole<'_>) -> Result<Vec<Cells>, Stop> {
        let joined = whole.joined;
        let select = joined.select(whole.sql, whole.scan).ok_or_else(|| lost(WHAT))?;
        let text = shared(&select, self.facts).ok_or_else(|| lost(WHAT))?;
        let (scan, planned) = self.plan_text(whole.topology, &text)?;
        // The hints stand in front of the statement.
        let planned = planned.with_wishes(of.planned.wishes());
        let part = Execution::own(&text, &scan, whole.topology, &planned);
        let limit = self.proxy.config.limits.statement;
        let kept = self.kept_answer(&part, limit).await?;
        let given = || joined.written.iter().flat_map(|written| &written.set).filter(|given| given.read);
        let into = |columns, compared, divides| Into {
            columns,
            compared,
            computed: false,
            divides,
            members: false,
            reading: self.reading(),
            limit,
            what: WHAT,
        };
        let key = into(joined.written.iter().flat_map(|written| &written.key).collect(), true, false);
        let read = into(given().map(|given| &given.column).collect(), false, joined.divides);
        Ok(cells(&kept, self.capabilities, &[&key, &read])?)
    }

    /// NULL for a column that has none is one error or another to MariaDB, by the plan of a join.
    fn null(&self, stop: Stop) -> Stop {
        match stop {
            Stop::Error(error) if error.errno == 1048 && self.facts.flavour == Flavour::MariaDb => {
                SqlError::refuse(format!("Shardloom does not support {WHAT}, where {}", error.message)).into()
            }
            stop => stop,
        }
    }

    /// Writes the rows of a table that get the same values.
    async fn write_keys(
        &mut self,
        whole: &Whole<'_>,
        written: &Written,
        values: &[Option<Vec<u8>>],
        keys: &[Cells],
        sum: &mut Sum,
    ) -> Result<(), Stop> {
        let verb = written.verb(values, whole.sql, whole.scan).ok_or_else(|| lost(WHAT))?;
        for keys in keys.chunks(ROWS_AT_ONCE) {
            let mut text = verb.clone();
            text.extend_from_slice(b" WHERE ");
            match written.key.len() {
                1 => {
                    put_columns(&written.key, &mut text);
                    let mut before: &[u8] = b" IN (";
                    for cell in keys.iter().flatten().flatten() {
                        text.extend_from_slice(before);
                        text.extend_from_slice(cell);
                        before = b",";
                    }
                    text.push(b')');
                }
                _ => put_rows(&written.key, keys, &mut text),
            }
            let outcome = self.store(whole.topology, &text, false, None).await.map_err(|stop| self.null(stop))?;
            if outcome.warnings > 0 {
                // One server counts its rows otherwise.
                return Err(SqlError::refuse(format!("Shardloom does not support {WHAT} that gives warnings")).into());
            }
            let told = sum.add(&outcome, !written.set.is_empty());
            if told != Some(keys.len() as u64) {
                let why = format!("the rows of {} that were read are not those that were written", written.table);
                return Err(SqlError::refuse(why.replace('`', "")).into());
            }
        }
        Ok(())
    }
}

/// What all parts did.
#[derive(Default)]
struct Sum {
    affected: u64,
    matched: u64,
    changed: u64,
}

impl Sum {
    /// Adds a part, and gives the number of its rows.
    fn add(&mut self, part: &Outcome, updates: bool) -> Option<u64> {
        self.affected += part.affected_rows;
        if !updates {
            return Some(part.affected_rows);
        }
        let after = |label: &str| part.info.split(label).nth(1)?.split(' ').next()?.parse::<u64>().ok();
        let (matched, changed) = (after("Rows matched: ")?, after("Changed: ")?);
        self.matched += matched;
        self.changed += changed;
        Some(matched)
    }
}

/// The rows of one table, each once, by the values that they are given.
fn grouped(
    rows: &[Cells],
    key: std::ops::Range<usize>,
    read: std::ops::Range<usize>,
    written: &Written,
) -> Result<Groups, SqlError> {
    let (mut known, mut numbers, mut groups) = (HashMap::new(), HashMap::new(), Groups::default());
    for row in rows {
        let (key, values) = (&row[key.clone()], &row[read.clone()]);
        match key.iter().filter(|cell| cell.is_none()).count() {
            0 => {}
            // Behind an outer join that found no row of the table.
            nulls if nulls == key.len() => continue,
            _ => {
                let why = format!("NULL in what tells a row of {} from others, in {WHAT}", written.table);
                return Err(SqlError::refuse(format!("Shardloom does not support {}", why.replace('`', ""))));
            }
        }
        match known.insert(key, values) {
            None => {}
            Some(before) if before == values => continue,
            Some(_) => {
                let why = format!("a row of {} that is matched several times and given other values", written.table);
                return Err(SqlError::refuse(format!("Shardloom does not support {}", why.replace('`', ""))));
            }
        }
        if known.len() > ROWS_MOST {
            let why = format!("more than {ROWS_MOST} rows of {} in {WHAT}: narrow its condition", written.table);
            return Err(SqlError::refuse(why.replace('`', "")));
        }
        let number = *numbers.entry(values).or_insert_with(|| {
            groups.values.push(values.to_vec());
            groups.keys.push(Vec::new());
            groups.keys.len() - 1
        });
        groups.keys[number].push(key.to_vec());
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Cells {
        cells.iter().map(|cell| (*cell != "-").then(|| cell.as_bytes().to_vec())).collect()
    }

    /// The groups as `values: keys`, of rows whose first two cells are the key.
    fn told(rows: &[&[&str]]) -> Result<String, String> {
        let rows: Vec<Cells> = rows.iter().map(|cells| row(cells)).collect();
        let (table, label) = ("`s`.`t`".into(), "t".into());
        let written = Written { table, label, aliased: false, key: Box::default(), set: Box::default() };
        let groups = grouped(&rows, 0..2, 2..3, &written).map_err(|error| error.message)?;
        let text = |cells: &Cells| {
            let shown = cells.iter().map(|cell| cell.as_deref().map_or("-".into(), String::from_utf8_lossy));
            shown.collect::<Vec<_>>().join("/")
        };
        let group = |(values, keys): (&Cells, &Vec<Cells>)| {
            format!("{}: {}", text(values), keys.iter().map(text).collect::<Vec<_>>().join(" "))
        };
        Ok(groups.values.iter().zip(&groups.keys).map(group).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn a_row_is_written_once_with_one_set_of_values() {
        for (rows, expected) in [
            (&[][..], Ok("")),
            (&[&["1", "2", "a"][..], &["3", "2", "b"], &["4", "2", "a"]], Ok("a: 1/2 4/2, b: 3/2")),
            (&[&["1", "2", "a"], &["1", "2", "a"], &["1", "3", "-"]], Ok("a: 1/2, -: 1/3")),
            (&[&["-", "-", "a"], &["1", "2", "a"]], Ok("a: 1/2")),
            (
                &[&["1", "2", "a"], &["1", "2", "-"]],
                Err("Shardloom does not support a row of s.t that is matched several times and given other values"),
            ),
            (
                &[&["1", "-", "a"]],
                Err("Shardloom does not support NULL in what tells a row of s.t from others, in a write whose rows \
                     hang on rows of other servers"),
            ),
        ] {
            assert_eq!(told(rows), expected.map(str::to_owned).map_err(str::to_owned));
        }
    }

    #[test]
    fn counts_add_up() {
        let part = |affected_rows, info: &str| Outcome { affected_rows, info: info.to_owned(), ..Outcome::default() };
        let mut sum = Sum::default();
        assert_eq!(sum.add(&part(2, "Rows matched: 3  Changed: 2  Warnings: 0"), true), Some(3));
        assert_eq!(sum.add(&part(1, "Rows matched: 1  Changed: 1  Warnings: 0"), true), Some(1));
        assert_eq!((sum.affected, sum.matched, sum.changed), (3, 4, 3));
        assert_eq!(sum.add(&part(0, ""), true), None);
        assert_eq!(Sum::default().add(&part(5, ""), false), Some(5));
    }
}
