//! Queries: SELECT, VALUES, TABLE, set operations, WITH, and what stands behind them.

use crate::sql::Flavour;
use crate::sql::ast::{
    Body, Cte, Expr, Ident, Limit, LockClause, ObjectName, OrderItem, Query, Select, SelectItem, SetOp, Span,
};
use crate::sql::cursor::{Cursor, unquote};
use crate::sql::lex::{Punct, TokenKind};
use crate::sql::parse::{DEPTH_MAX, Read, Reader, table};

/// Whether a query begins at the token `ahead`, perhaps in parentheses of its own; it stands behind an opening one.
pub(super) fn is_ahead(reader: &Reader<'_, '_, '_>, ahead: usize) -> bool {
    let mut cursor = reader.cursor();
    cursor.at += ahead;
    let outer = cursor.at;
    while cursor.is_punct(Punct::LParen) && cursor.at - outer <= DEPTH_MAX {
        cursor.at += 1;
    }
    let table_function = cursor.is_word("VALUES") && reader.grammar.in_duplicate.get() && !cursor.is_word_at(1, "ROW");
    if !cursor.is_any(&["SELECT", "WITH", "VALUES", "TABLE"]) || table_function {
        return false;
    }
    // Behind each parenthesis that closes, only what goes on with a query may follow: not so in `((SELECT 1) + 1)`.
    (outer..cursor.at).all(|open| {
        let Some(behind) = reader.grammar.closed[open] else { return false };
        let behind = Cursor { at: behind, ..reader.cursor() };
        behind.at_end() || behind.is_punct(Punct::RParen) || behind.is_any(GOING_ON)
    })
}

/// What may follow a query in parentheses that is a part of another.
const GOING_ON: &[&str] = &["UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT", "FOR", "LOCK", "INTO", "OFFSET", "FETCH"];

/// Whether a comma stands in the parentheses that come next, outside of inner ones.
pub(super) fn has_comma(reader: &Reader<'_, '_, '_>) -> bool {
    let mut cursor = reader.cursor();
    cursor.at += 1;
    while !cursor.at_end() && !cursor.is_punct(Punct::RParen) {
        if cursor.is_punct(Punct::Comma) {
            return true;
        }
        if !cursor.is_punct(Punct::LParen) || !cursor.skip_parens() {
            cursor.at = (cursor.at + 1).min(cursor.tokens.len());
        }
    }
    false
}

/// A whole query, with WITH in front and ORDER BY, LIMIT, INTO and locks behind.
pub(super) fn query(reader: &mut Reader<'_, '_, '_>) -> Read<Query> {
    reader.nested(|reader| {
        let start = reader.start();
        let (recursive, with) = with(reader)?;
        behind_with(reader, start, recursive, with)
    })
}

/// What follows WITH, which has been read.
pub(super) fn behind_with(
    reader: &mut Reader<'_, '_, '_>,
    start: usize,
    recursive: bool,
    with: Vec<Cte>,
) -> Read<Query> {
    let mut into = None;
    let body = body(reader, 0, &mut into)?;
    let (order_by, order_span) = order_by(reader)?;
    let limit = limit(reader)?;
    take_into(reader, &mut into)?;
    let start_of_locks = reader.start();
    let locks = locking(reader)?;
    let locking = (!locks.is_empty()).then(|| reader.since(start_of_locks));
    take_into(reader, &mut into)?;
    Ok(Query { with, recursive, body, order_by, order_span, limit, locking, locks, into, span: reader.since(start) })
}

/// `WITH [RECURSIVE] a (columns) AS (query), ...`, if it comes next.
pub(super) fn with(reader: &mut Reader<'_, '_, '_>) -> Read<(bool, Vec<Cte>)> {
    if !reader.eat(&["WITH"]) {
        return Ok((false, Vec::new()));
    }
    let recursive = reader.eat(&["RECURSIVE"]);
    let with = reader.separated(|reader| {
        let name = reader.name()?;
        let columns = if reader.is_punct(Punct::LParen) { reader.names()? } else { Vec::new() };
        reader.expect(&["AS"])?;
        reader.expect_punct(Punct::LParen, "(")?;
        let query = query(reader)?;
        reader.expect_punct(Punct::RParen, ")")?;
        if reader.is_word("CYCLE") {
            return reader.fail("CYCLE is not read");
        }
        Ok(Cte { name, columns, query })
    })?;
    Ok((recursive, with))
}

/// Queries joined by set operations; INTERSECT binds tighter (level 1) than UNION and EXCEPT (level 0).
fn body(reader: &mut Reader<'_, '_, '_>, level: u8, into: &mut Option<Span>) -> Read<Body> {
    let mut left = if level == 0 { body(reader, 1, into)? } else { primary(reader, into)? };
    for _ in 0..DEPTH_MAX {
        let op = if level == 1 {
            reader.eat(&["INTERSECT"]).then_some(SetOp::Intersect)
        } else if reader.eat(&["UNION"]) {
            Some(SetOp::Union)
        } else {
            reader.eat(&["EXCEPT"]).then_some(SetOp::Except)
        };
        let Some(op) = op else { return Ok(left) };
        let all = reader.eat(&["ALL"]);
        if !all {
            reader.eat(&["DISTINCT"]);
        }
        let right = if level == 0 { body(reader, 1, into)? } else { primary(reader, into)? };
        left = Body::SetOperation { op, all, left: Box::new(left), right: Box::new(right) };
    }
    reader.fail("too many queries are joined by set operations")
}

fn primary(reader: &mut Reader<'_, '_, '_>, into: &mut Option<Span>) -> Read<Body> {
    if reader.eat_punct(Punct::LParen) {
        let query = query(reader)?;
        reader.expect_punct(Punct::RParen, ")")?;
        return Ok(Body::Nested(Box::new(query)));
    }
    if reader.eat(&["TABLE"]) {
        return Ok(Body::Table(reader.object_name()?));
    }
    if reader.eat(&["VALUES"]) {
        return Ok(Body::Values(reader.separated(|reader| {
            reader.eat(&["ROW"]);
            row(reader)
        })?));
    }
    Ok(Body::Select(Box::new(select(reader, into)?)))
}

/// `(a, b, c)`, or `()`.
pub(super) fn row(reader: &mut Reader<'_, '_, '_>) -> Read<Vec<Expr>> {
    reader.expect_punct(Punct::LParen, "(")?;
    let row = if reader.is_punct(Punct::RParen) { Vec::new() } else { reader.separated(Reader::expr)? };
    reader.expect_punct(Punct::RParen, ")")?;
    Ok(row)
}

fn select(reader: &mut Reader<'_, '_, '_>, into: &mut Option<Span>) -> Read<Select> {
    let start = reader.start();
    reader.expect(&["SELECT"])?;
    let (mut distinct, mut calc_found_rows) = (None, false);
    loop {
        let word = reader.start();
        if reader.eat_any(&["DISTINCT", "DISTINCTROW"]) {
            distinct = Some(reader.since(word));
        } else if reader.eat(&["SQL_CALC_FOUND_ROWS"]) {
            calc_found_rows = true;
        } else {
            let cache = reader.grammar.facts.flavour == Flavour::MariaDb && reader.eat(&["SQL_CACHE"]);
            if !cache && !reader.eat_any(PLAIN_MODIFIERS) {
                break;
            }
        }
    }
    let items_start = reader.start();
    let items = reader.separated(select_item)?;
    let items_span = reader.since(items_start);
    take_into(reader, into)?;
    let from = from(reader)?;
    let filter = filter(reader)?;
    let (group_by, group_span, rollup) = group_by(reader)?;
    let having_start = reader.start();
    let having = if reader.eat(&["HAVING"]) { Some(reader.expr()?) } else { None };
    let having_span = having.is_some().then(|| reader.since(having_start));
    let (named_windows, windows) = windows(reader)?;
    let span = reader.since(start);
    Ok(Select {
        distinct,
        calc_found_rows,
        items,
        items_span,
        from,
        filter,
        group_by,
        group_span,
        rollup,
        having,
        having_span,
        named_windows,
        windows,
        span,
    })
}

/// Modifiers that do not change the answer.
const PLAIN_MODIFIERS: &[&str] = &[
    "ALL",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_NO_CACHE",
];

pub(super) fn select_item(reader: &mut Reader<'_, '_, '_>) -> Read<SelectItem> {
    let start = reader.start();
    if reader.eat_punct(Punct::Star) {
        return Ok(SelectItem::Wildcard(reader.since(start)));
    }
    if let Some(table) = qualified_star(reader) {
        return Ok(SelectItem::QualifiedWildcard(table, reader.since(start)));
    }
    let expr = reader.expr()?;
    let alias = item_alias(reader)?;
    Ok(SelectItem::Expr { expr, alias, span: reader.since(start) })
}

/// `t.*` or `s.t.*`, if it comes next.
fn qualified_star(reader: &mut Reader<'_, '_, '_>) -> Option<ObjectName> {
    reader.step(|cursor| {
        let mut ahead = cursor.clone();
        let name = ahead.object_name()?;
        let star = ahead.eat_punct(Punct::Dot) && ahead.eat_punct(Punct::Star);
        star.then(|| {
            *cursor = ahead;
            name
        })
    })
}

/// `[AS] name` or `[AS] 'text'`.
fn item_alias(reader: &mut Reader<'_, '_, '_>) -> Read<Option<Ident>> {
    let written = reader.eat(&["AS"]);
    let cursor = reader.cursor();
    match cursor.peek(0) {
        Some(token) if matches!(token.kind, TokenKind::Literal(crate::sql::ast::LiteralKind::String)) => {
            let name = String::from_utf8_lossy(&unquote(cursor.text(token), cursor.facts)).into_owned();
            reader.step(Cursor::next);
            Ok(Some(Ident { name, span: token.span }))
        }
        Some(token) if written || cursor.can_be_name(token) => reader.name().map(Some),
        _ if written => reader.fail("an alias was expected"),
        _ => Ok(None),
    }
}

fn from(reader: &mut Reader<'_, '_, '_>) -> Read<Vec<crate::sql::ast::TableRef>> {
    if !reader.eat(&["FROM"]) || reader.eat(&["DUAL"]) {
        return Ok(Vec::new());
    }
    table::references(reader)
}

/// `WHERE condition`, if it comes next.
pub(super) fn filter(reader: &mut Reader<'_, '_, '_>) -> Read<Option<Expr>> {
    if reader.eat(&["WHERE"]) { reader.expr().map(Some) } else { Ok(None) }
}

/// `GROUP BY ... [WITH ROLLUP]` or `GROUP BY ROLLUP (...)`: the expressions, the clause, and whether ROLLUP.
fn group_by(reader: &mut Reader<'_, '_, '_>) -> Read<(Vec<Expr>, Option<Span>, bool)> {
    let start = reader.start();
    if !reader.eat(&["GROUP", "BY"]) {
        return Ok((Vec::new(), None, false));
    }
    let called = |word| reader.is_word(word) && reader.cursor().is_punct_at(1, Punct::LParen);
    if called("CUBE") || reader.cursor().are_words(&["GROUPING", "SETS"]) {
        return reader.fail("CUBE and GROUPING SETS are not read");
    }
    if called("ROLLUP") && reader.grammar.facts.flavour == Flavour::MySql {
        reader.step(Cursor::next);
        let items = row(reader)?;
        return Ok((items, Some(reader.since(start)), true));
    }
    let items = reader.separated(Reader::expr)?;
    if reader.is_any(&["ASC", "DESC"]) {
        return reader.fail("a direction in GROUP BY is not read");
    }
    let rollup = reader.eat(&["WITH", "ROLLUP"]);
    Ok((items, Some(reader.since(start)), rollup))
}

/// `WINDOW w AS (...), ...`: whether it is there, and its expressions.
fn windows(reader: &mut Reader<'_, '_, '_>) -> Read<(bool, Vec<Expr>)> {
    let named = reader.is_word("WINDOW") && reader.cursor().is_word_at(2, "AS");
    if !named {
        return Ok((false, Vec::new()));
    }
    reader.step(Cursor::next);
    let windows = reader.separated(|reader| {
        reader.name()?;
        reader.expect(&["AS"])?;
        reader.window()
    })?;
    Ok((true, windows.into_iter().flatten().collect()))
}

/// `ORDER BY ...`, if it comes next: its items and its span.
pub(super) fn order_by(reader: &mut Reader<'_, '_, '_>) -> Read<(Vec<OrderItem>, Option<Span>)> {
    let start = reader.start();
    if !reader.eat(&["ORDER", "BY"]) {
        return Ok((Vec::new(), None));
    }
    let items = reader.separated(|reader| {
        let start = reader.start();
        let expr = reader.expr()?;
        let desc = reader.eat(&["DESC"]);
        if !desc {
            reader.eat(&["ASC"]);
        }
        Ok(OrderItem { expr, desc, span: reader.since(start) })
    })?;
    if reader.is_word("WITH") {
        return reader.fail("ORDER BY ... WITH is not read");
    }
    Ok((items, Some(reader.since(start))))
}

/// `LIMIT count`, `LIMIT offset, count`, `LIMIT count OFFSET offset`, if it comes next.
pub(super) fn limit(reader: &mut Reader<'_, '_, '_>) -> Read<Option<Limit>> {
    let start = reader.start();
    if !reader.eat(&["LIMIT"]) {
        return Ok(None);
    }
    let first = reader.expr()?;
    let (count, offset) = if reader.eat_punct(Punct::Comma) {
        (reader.expr()?, Some(first))
    } else if reader.eat(&["OFFSET"]) {
        (first, Some(reader.expr()?))
    } else {
        (first, None)
    };
    Ok(Some(Limit { count, offset, span: reader.since(start) }))
}

/// INTO OUTFILE, INTO DUMPFILE, INTO variables, if it comes next.
fn take_into(reader: &mut Reader<'_, '_, '_>, into: &mut Option<Span>) -> Read<()> {
    let start = reader.start();
    if !reader.eat(&["INTO"]) {
        return Ok(());
    }
    if into.is_some() {
        return reader.fail("INTO is written twice");
    }
    if reader.eat_any(&["OUTFILE", "DUMPFILE"]) {
        // Its options are words and strings, up to a clause or the end.
        let ends = |reader: &Reader<'_, '_, '_>| {
            reader.cursor().at_end()
                || reader.is_punct(Punct::RParen)
                || reader.is_any(&["FROM", "FOR", "LOCK", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION"])
        };
        while !ends(reader) {
            reader.step(Cursor::next);
        }
    } else {
        reader.separated(|reader| match reader.step(Cursor::next).map(|token| token.kind) {
            Some(TokenKind::UserVariable | TokenKind::Word | TokenKind::Quoted) => Ok(()),
            _ => reader.fail("a variable was expected"),
        })?;
    }
    *into = Some(reader.since(start));
    Ok(())
}

/// FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE, as often as written.
fn locking(reader: &mut Reader<'_, '_, '_>) -> Read<Vec<LockClause>> {
    let mut clauses = Vec::new();
    loop {
        let start = reader.start();
        let is_new = reader.eat(&["FOR", "UPDATE"]) || reader.eat(&["FOR", "SHARE"]);
        if !is_new && !reader.eat(&["LOCK", "IN", "SHARE", "MODE"]) {
            return Ok(clauses);
        }
        let strength = reader.since(start);
        let of = match is_new && reader.eat(&["OF"]) {
            true => reader.separated(Reader::object_name)?,
            false => Vec::new(),
        };
        let start = reader.start();
        let waits = if reader.eat(&["WAIT"]) { reader.expr().map(|_| true)? } else { reader.eat(&["NOWAIT"]) };
        let wait = waits.then(|| reader.since(start));
        let skips = !waits && reader.eat(&["SKIP", "LOCKED"]);
        clauses.push(LockClause { strength, of, wait, skips });
    }
}
