//! How two answers to one statement compare. What a client could act on wrongly is WRONG; what only describes the
//! columns, warns, or words an error, is metadata.

use std::collections::BTreeSet;

use shardloom::wire::capabilities::Status;
use shardloom::wire::column::{ColumnType, flags};

use crate::servers::score::client::{Cell, Column, Outcome, Reply, show_cell};

/// What becomes of a case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// All that is compared is equal.
    Identical,
    /// Only this differs.
    Differs(BTreeSet<&'static str>),
    /// Error 1235, with its reason; the place in the statement is left out.
    Refused(String),
    /// Something else than the one server's answer.
    Wrong(String),
}

impl Verdict {
    /// As if these had not been compared.
    pub(super) fn without(self, what: &[&'static str]) -> Verdict {
        let Verdict::Differs(mut differs) = self else { return self };
        differs.retain(|difference| !what.contains(difference));
        if differs.is_empty() { Verdict::Identical } else { Verdict::Differs(differs) }
    }
}

/// How far a statement fixes its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// In this order.
    Ordered,
    /// In any order.
    Any,
    /// Other values each time: only their number is compared.
    Volatile,
}

const STATUS: &[Status] = &[
    Status::IN_TRANS,
    Status::AUTOCOMMIT,
    Status::MORE_RESULTS_EXISTS,
    Status::NO_BACKSLASH_ESCAPES,
    Status::IN_TRANS_READONLY,
    Status::DB_DROPPED,
];

/// Why the proxy refused a statement, if it did. The servers' own 1235 begins with other words.
pub(super) fn refusal(reply: &Reply) -> Option<String> {
    let error = reply.error.as_ref().filter(|error| error.errno == 1235)?;
    if error.message.starts_with("This version of M") {
        return None;
    }
    let reason = error.message.split(" near '").next().unwrap_or_default().trim_end_matches(':');
    Some(reason.replace('\n', " "))
}

/// Compares the proxy's answer with the reference's.
pub(super) fn compare(proxy: &Reply, one: &Reply, order: Rows) -> Verdict {
    if let Some(reason) = refusal(proxy) {
        return Verdict::Refused(reason);
    }
    let mut differs = BTreeSet::new();
    match judge(proxy, one, order, &mut differs) {
        Err(what) => Verdict::Wrong(what),
        Ok(()) if differs.is_empty() => Verdict::Identical,
        Ok(()) => Verdict::Differs(differs),
    }
}

fn judge(proxy: &Reply, one: &Reply, order: Rows, differs: &mut BTreeSet<&'static str>) -> Result<(), String> {
    match (&proxy.error, &one.error) {
        (None, None) => {}
        (Some(a), Some(b)) => {
            same("errno", &(a.errno, a.state), &(b.errno, b.state))?;
            if a.message != b.message && order != Rows::Volatile {
                differs.insert("message");
            }
        }
        (a, _) => return Err(if a.is_some() { "an error" } else { "no error" }.into()),
    }
    same("number of results", &proxy.outcomes.len(), &one.outcomes.len())?;
    for (a, b) in proxy.outcomes.iter().zip(&one.outcomes) {
        outcome(a, b, proxy.prepared.is_some(), order, differs)?;
    }
    if let (Some(a), Some(b)) = (&proxy.prepared, &one.prepared) {
        same("number of prepared columns", &a.len(), &b.len())?;
        if a != b {
            differs.insert("prepared columns");
        }
    }
    Ok(())
}

fn outcome(
    a: &Outcome,
    b: &Outcome,
    binary: bool,
    order: Rows,
    differs: &mut BTreeSet<&'static str>,
) -> Result<(), String> {
    same("number of columns", &a.columns.len(), &b.columns.len())?;
    for (a, b) in a.columns.iter().zip(&b.columns) {
        columns(a, b, differs);
    }
    same("number of rows", &a.rows.len(), &b.rows.len())?;
    let (mut ours, mut theirs) = (a.rows.clone(), b.rows.clone());
    for (at, (a, b)) in a.columns.iter().zip(&b.columns).enumerate() {
        let whole = |column: &Column| ColumnType(column.ty).is_whole();
        if binary && a.ty != b.ty && whole(a) && whole(b) {
            ours.iter_mut().for_each(|row| widen(a, &mut row[at]));
            theirs.iter_mut().for_each(|row| widen(b, &mut row[at]));
        }
    }
    match order {
        Rows::Volatile => {}
        Rows::Ordered if ours != theirs => {
            ours.sort();
            theirs.sort();
            return Err(if ours == theirs { "order of rows" } else { "rows" }.into());
        }
        Rows::Ordered => {}
        Rows::Any => {
            ours.sort();
            theirs.sort();
            let cells = ours.iter().flatten().zip(theirs.iter().flatten()).enumerate();
            if let Some((at, (ours, theirs))) = cells.into_iter().find(|(_, (ours, theirs))| ours != theirs) {
                let column = &b.columns[at % b.columns.len()].name;
                return Err(format!("rows: {column} {:.100} instead of {:.100}", show_cell(ours), show_cell(theirs)));
            }
        }
    }
    same("affected rows", &a.affected_rows, &b.affected_rows)?;
    if order != Rows::Volatile {
        same("last insert id", &a.last_insert_id, &b.last_insert_id)?;
    }
    let (info, warned) = split_info(&a.info);
    let (other_info, other_warned) = split_info(&b.info);
    // MariaDB says nothing where its plan knows beforehand that no row matches.
    if [info, other_info].contains(&"") && [info, other_info].contains(&"Rows matched: 0  Changed: 0") {
        differs.insert("info");
    } else {
        same("info", &info, &other_info)?;
    }
    if a.warnings != b.warnings || warned != other_warned {
        differs.insert("warnings");
    }
    for &flag in STATUS {
        if a.status.has(flag) != b.status.has(flag) {
            return Err(format!("status {flag:?}: {}", a.status.has(flag)));
        }
    }
    Ok(())
}

/// A whole number of the binary protocol in eight bytes: how many it has hangs on a server's plan.
fn widen(column: &Column, cell: &mut Cell) {
    let Some(bytes) = cell else { return };
    let negative = column.flags & flags::UNSIGNED == 0 && bytes.last().is_some_and(|last| *last > 127);
    bytes.resize(8, if negative { 255 } else { 0 });
}

/// What was done, and how often it was warned.
fn split_info(info: &str) -> (&str, &str) {
    info.split_once("  Warnings: ").unwrap_or((info, ""))
}

fn columns(a: &Column, b: &Column, differs: &mut BTreeSet<&'static str>) {
    let tables = |c: &Column| (c.schema.clone(), c.table.clone(), c.org_table.clone(), c.org_name.clone());
    let all = [
        ("name", a.name == b.name),
        ("type", a.ty == b.ty),
        ("flags", a.flags == b.flags),
        ("charset", a.charset == b.charset),
        ("decimals", a.decimals == b.decimals),
        ("length", a.length == b.length),
        ("table", tables(a) == tables(b)),
    ];
    differs.extend(all.iter().filter(|(_, equal)| !equal).map(|(what, _)| what));
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, a: &T, b: &T) -> Result<(), String> {
    if a == b { Ok(()) } else { Err(format!("{what}: {a:?} instead of {b:?}")) }
}

/// Whether the rows of a statement have an order: an ORDER BY outside of all brackets and strings.
pub(super) fn order_of(sql: &str) -> Rows {
    let (mut depth, mut quote, mut outside) = (0, None, String::new());
    let mut characters = sql.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(_), '\\') => _ = characters.next(),
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, c) if depth == 0 => outside.push(c.to_ascii_uppercase()),
            (None, _) => {}
        }
    }
    let words: Vec<&str> = outside.split_whitespace().collect();
    if words.windows(2).any(|pair| pair == ["ORDER", "BY"]) { Rows::Ordered } else { Rows::Any }
}

#[test]
fn only_an_order_by_of_the_whole_statement_orders_its_rows() {
    assert_eq!(order_of("SELECT a FROM t order\n by a"), Rows::Ordered);
    assert_eq!(order_of("SELECT 'ORDER BY' FROM (SELECT 1 ORDER BY 1) t"), Rows::Any);
    assert_eq!(order_of("SELECT RANK() OVER (ORDER BY a) FROM t"), Rows::Any);
}
