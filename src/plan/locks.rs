//! The locks of reads: which clause locks the rows of which table reference of a query, and the text of a query that
//! locks all that it reads, as the SELECT inside of a write does on one server. It takes none itself.

use crate::error::SqlError;
use crate::plan::resolve::{BodyNode, Model, Source};
use crate::sql::ast::{Body, LockClause, Query, Select, Span, Statement, TableRef};
use crate::sql::parse::parse;
use crate::sql::walk::{self, Node};
use crate::sql::{Facts, Flavour};

/// What stands behind a query that takes the locks of a write's reads.
const SHARED: &str = " LOCK IN SHARE MODE";

/// For each reference of the model the clause that locks its rows, if one does: of its own block, as those inside of a
/// derived table or a subquery are locked by clauses of their own only.
///
/// # Errors
/// 1235 with the place, for a clause that would not mean the same for copies.
pub(super) fn of_refs(model: &Model<'_>) -> Result<Vec<Option<Box<str>>>, SqlError> {
    let mut locks = vec![None; model.refs.len()];
    for node in &model.queries {
        for clause in &node.ast.locks {
            let BodyNode::Block(block) = node.body else {
                return refuse(model, "a lock behind several SELECTs", clause);
            };
            check(model, clause)?;
            let wait = clause.wait.map_or(&b""[..], |wait| wait.of(model.sql));
            let wait = if clause.skips { b"SKIP LOCKED" } else { wait };
            let text = [clause.strength.of(model.sql), wait].map(String::from_utf8_lossy).join(" ");
            for id in &model.blocks[block.0].from {
                let found = &model.refs[id.0];
                let meant = |name: &str| name.eq_ignore_ascii_case(found.label);
                let named = clause.of.is_empty() || clause.of.iter().any(|name| meant(&name.name.name));
                if named && matches!(found.source, Source::Table(..)) {
                    locks[id.0].get_or_insert_with(|| text.trim_end().into());
                }
            }
        }
    }
    Ok(locks)
}

fn check(model: &Model<'_>, clause: &LockClause) -> Result<(), SqlError> {
    let of_mysql = !clause.of.is_empty() || clause.strength.of(model.sql).to_ascii_uppercase().ends_with(b"SHARE");
    // To a server a row that it skips is not there, whatever the table is joined with, and so it is not in the copy. But
    // where it needs a few rows only, all that are copied would be locked, and not be there for others.
    if clause.skips && model.queries.iter().any(|node| node.ast.limit.is_some()) {
        return refuse(model, "SKIP LOCKED with LIMIT", clause);
    }
    if of_mysql && model.session.facts.flavour == Flavour::MariaDb {
        return refuse(model, "a lock that MariaDB does not know", clause);
    }
    if clause.of.iter().any(|name| name.schema.is_some()) {
        return refuse(model, "OF a table with its schema", clause);
    }
    Ok(())
}

fn refuse<T>(model: &Model<'_>, what: &str, clause: &LockClause) -> Result<T, SqlError> {
    let why = format!("{what} in a statement that needs rows of several shards is not supported:");
    Err(SqlError::refuse_at(&why, model.sql, clause.strength.start as usize))
}

/// The text of a query that takes shared locks on all that it reads, subqueries included; where it asks for locks
/// itself, those stay. None if some table is read where no clause has room.
pub fn shared(sql: &[u8], facts: Facts) -> Option<Vec<u8>> {
    let Ok(Statement::Query(query)) = parse(sql, facts) else { return None };
    let mut edits: Vec<(u32, &str)> = Vec::new();
    let mut all = true;
    walk::query(&query, &mut |node| {
        if let Node::Query(query) = node {
            all &= lock(query, sql, &mut edits);
        }
        all
    });
    edits.sort_by_key(|(at, _)| *at);
    let (mut text, mut copied) = (Vec::with_capacity(sql.len() + 32 * edits.len()), 0);
    for (at, piece) in edits {
        text.extend_from_slice(&sql[copied..at as usize]);
        text.extend_from_slice(piece.as_bytes());
        copied = at as usize;
    }
    text.extend_from_slice(&sql[copied..]);
    all.then_some(text)
}

/// Notes where the clauses of one query expression go, those inside of it left out.
fn lock(query: &Query, sql: &[u8], edits: &mut Vec<(u32, &'static str)>) -> bool {
    match &query.body {
        _ if !query.locks.is_empty() => true,
        // No server locks inside of what is recursive.
        _ if query.recursive => false,
        Body::Select(select) if !reads(select) => true,
        Body::Select(_) => {
            let bare = query.into.is_none() && !query.span.of(sql).starts_with(b"(");
            edits.push((query.span.end, SHARED));
            bare
        }
        body => locked_apart(body, edits),
    }
}

/// The operands of a set operation are locked one by one, in parentheses of their own.
fn locked_apart(body: &Body, edits: &mut Vec<(u32, &'static str)>) -> bool {
    match body {
        Body::SetOperation { left, right, .. } => locked_apart(left, edits) && locked_apart(right, edits),
        Body::Select(select) if reads(select) => {
            let Span { start, end } = select.span;
            edits.extend([(start, "("), (end, SHARED), (end, ")")]);
            true
        }
        Body::Table(_) => false,
        Body::Select(_) | Body::Nested(_) | Body::Values(_) => true,
    }
}

/// Whether a SELECT reads tables of its own, and not derived ones only.
fn reads(select: &Select) -> bool {
    let reads = |tree: &TableRef| {
        let mut found = false;
        walk::table(tree, &mut |node| {
            found |= matches!(node, Node::Table(TableRef::Table { .. }));
            !matches!(node, Node::Table(TableRef::Derived { .. }) | Node::Expr(_))
        });
        found
    };
    select.from.iter().any(reads)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{SqlMode, TextCharset};

    fn locked(sql: &str) -> Option<String> {
        let facts =
            Facts { mode: SqlMode::default(), charset: TextCharset::Utf8, flavour: Flavour::MySql, version: 90_704 };
        shared(sql.as_bytes(), facts).map(|text| String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn every_block_that_reads_a_table_is_locked() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT 1"),
            ("SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 1 LOCK IN SHARE MODE"),
            (
                "SELECT a FROM t WHERE b IN (SELECT c FROM u ORDER BY c)",
                "SELECT a FROM t WHERE b IN (SELECT c FROM u ORDER BY c LOCK IN SHARE MODE) LOCK IN SHARE MODE",
            ),
            (
                "SELECT EXISTS (SELECT 1 FROM (SELECT a FROM t) d)",
                "SELECT EXISTS (SELECT 1 FROM (SELECT a FROM t LOCK IN SHARE MODE) d)",
            ),
            (
                "SELECT a FROM t UNION ALL SELECT 2 UNION SELECT b FROM u LIMIT 3",
                "(SELECT a FROM t LOCK IN SHARE MODE) UNION ALL SELECT 2 UNION (SELECT b FROM u LOCK IN SHARE MODE) LIMIT 3",
            ),
            ("SELECT a FROM t FOR UPDATE", "SELECT a FROM t FOR UPDATE"),
        ] {
            assert_eq!(locked(sql).as_deref(), Some(expected), "{sql}");
        }
        assert_eq!(locked("TABLE t UNION SELECT 1"), None);
        assert_eq!(locked("UPDATE t SET a = 1"), None);
    }
}
