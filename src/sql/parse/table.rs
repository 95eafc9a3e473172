//! Table references: tables, derived tables, joins.

use crate::sql::Flavour;
use crate::sql::ast::{Expr, Ident, JoinKind, TableRef};
use crate::sql::cursor::Cursor;
use crate::sql::lex::Punct;
use crate::sql::parse::{DEPTH_MAX, Read, Reader, query};

/// `a, b JOIN c, ...`.
pub(super) fn references(reader: &mut Reader<'_, '_, '_>) -> Read<Vec<TableRef>> {
    reader.separated(joined)
}

/// One reference with all that is joined to it.
fn joined(reader: &mut Reader<'_, '_, '_>) -> Read<TableRef> {
    let mut left = factor(reader)?;
    for _ in 0..DEPTH_MAX {
        match joined_once(reader, left)? {
            (longer, true) => left = longer,
            (same, false) => return Ok(same),
        }
    }
    reader.fail("too many tables are joined")
}

/// `left`, with the join that comes next, if one does.
fn joined_once(reader: &mut Reader<'_, '_, '_>, left: TableRef) -> Read<(TableRef, bool)> {
    let natural = reader.eat(&["NATURAL"]);
    let kind = if reader.eat(&["STRAIGHT_JOIN"]) {
        JoinKind::Straight
    } else if reader.eat(&["LEFT"]) || reader.is_word("RIGHT") {
        let kind = if reader.eat(&["RIGHT"]) { JoinKind::Right } else { JoinKind::Left };
        reader.eat(&["OUTER"]);
        reader.expect(&["JOIN"])?;
        kind
    } else if reader.eat_any(&["INNER", "CROSS"]) || reader.is_word("JOIN") {
        reader.expect(&["JOIN"])?;
        JoinKind::Inner
    } else if natural {
        return reader.fail("JOIN was expected");
    } else {
        return Ok((left, false));
    };
    let outer = matches!(kind, JoinKind::Left | JoinKind::Right) && !natural;
    let mut right = factor(reader)?;
    if !natural {
        right = nested_joins(reader, right, outer)?;
    }
    let (mut on, mut using) = (None, Vec::new());
    if natural {
        // Takes no condition.
    } else if is_on(reader) {
        reader.expect(&["ON"])?;
        on = Some(Box::new(reader.expr()?));
    } else if reader.eat(&["USING"]) {
        using = reader.names()?;
    } else if outer {
        return reader.fail("ON or USING was expected");
    }
    let (left, right) = (Box::new(left), Box::new(right));
    Ok((TableRef::Join { left, right, kind, natural, on, using }, true))
}

/// The right side of a join, which goes on with joins of its own where a condition for this join follows them:
/// `a LEFT JOIN b JOIN c ON x ON y`.
fn nested_joins(reader: &mut Reader<'_, '_, '_>, mut right: TableRef, outer: bool) -> Read<TableRef> {
    for _ in 0..DEPTH_MAX {
        if is_condition(reader) || !(outer || condition_follows(reader)) {
            return Ok(right);
        }
        match reader.nested(|reader| joined_once(reader, right))? {
            (longer, true) => right = longer,
            (same, false) => return Ok(same),
        }
    }
    reader.fail("too many tables are joined")
}

/// ON, but not ON DUPLICATE KEY.
fn is_on(reader: &Reader<'_, '_, '_>) -> bool {
    reader.is_word("ON") && !reader.cursor().are_words(&["ON", "DUPLICATE", "KEY"])
}

fn is_condition(reader: &Reader<'_, '_, '_>) -> bool {
    is_on(reader) || reader.is_word("USING")
}

/// Whether, of the conditions that follow in these joins, one is left over when each join behind the place has taken
/// one.
fn condition_follows(reader: &Reader<'_, '_, '_>) -> bool {
    const ENDS: &[&str] = &[
        "WHERE",
        "GROUP",
        "HAVING",
        "ORDER",
        "LIMIT",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "SET",
        "FOR",
        "LOCK",
        "INTO",
        "WINDOW",
    ];
    let mut cursor = reader.cursor();
    let mut open = 0_usize;
    while !cursor.at_end() && !cursor.is_any(ENDS) && !cursor.is_punct(Punct::Comma) && !cursor.is_punct(Punct::RParen)
    {
        if cursor.is_punct(Punct::LParen) {
            if !cursor.skip_parens() {
                return false;
            }
            continue;
        }
        if cursor.eat(&["NATURAL"]) {
            cursor.eat_any(&["INNER", "LEFT", "RIGHT"]);
            cursor.eat(&["OUTER"]);
            cursor.eat(&["JOIN"]);
            continue;
        }
        if cursor.are_words(&["ON", "DUPLICATE", "KEY"]) {
            return false;
        }
        if cursor.is_any(&["USE", "FORCE", "IGNORE"]) {
            cursor.at += 1;
            cursor.eat_any(&["INDEX", "KEY"]);
            let _ = cursor.eat(&["FOR", "JOIN"])
                || cursor.eat(&["FOR", "ORDER", "BY"])
                || cursor.eat(&["FOR", "GROUP", "BY"]);
            continue;
        }
        if cursor.is_any(&["JOIN", "STRAIGHT_JOIN"]) {
            open += 1;
        } else if cursor.is_any(&["ON", "USING"]) {
            if open == 0 {
                return true;
            }
            open -= 1;
        }
        cursor.at += 1;
    }
    false
}

fn factor(reader: &mut Reader<'_, '_, '_>) -> Read<TableRef> {
    reader.nested(|reader| {
        let start = reader.start();
        let lateral =
            reader.is_word("LATERAL") && reader.cursor().is_punct_at(1, Punct::LParen) && reader.eat(&["LATERAL"]);
        if reader.is_punct(Punct::LParen) {
            return if query::is_ahead(reader, 1) { derived(reader, start, lateral) } else { in_parens(reader) };
        }
        if reader.is_punct(Punct::LBrace) {
            return odbc(reader);
        }
        if reader.is_word("JSON_TABLE") && reader.cursor().is_punct_at(1, Punct::LParen) {
            return json_table(reader, start);
        }
        plain(reader, start)
    })
}

/// `(query) [AS] alias [(columns)]`; MariaDB has no columns here.
fn derived(reader: &mut Reader<'_, '_, '_>, start: usize, lateral: bool) -> Read<TableRef> {
    reader.expect_punct(Punct::LParen, "(")?;
    let query = Box::new(query::query(reader)?);
    reader.expect_punct(Punct::RParen, ")")?;
    let alias = alias(reader)?;
    let listed = alias.is_some() && reader.is_punct(Punct::LParen);
    if listed && reader.grammar.facts.flavour == Flavour::MariaDb {
        return reader.fail("names for the columns of a derived table are not read");
    }
    let columns = if listed { reader.names()? } else { Vec::new() };
    Ok(TableRef::Derived { query, lateral, alias, columns, span: reader.since(start) })
}

/// `(a, b JOIN c)`.
fn in_parens(reader: &mut Reader<'_, '_, '_>) -> Read<TableRef> {
    reader.expect_punct(Punct::LParen, "(")?;
    let inside = references(reader)?;
    reader.expect_punct(Punct::RParen, ")")?;
    Ok(TableRef::Nested(inside))
}

/// `{OJ a LEFT JOIN b ON x}`.
fn odbc(reader: &mut Reader<'_, '_, '_>) -> Read<TableRef> {
    reader.expect_punct(Punct::LBrace, "{")?;
    reader.name()?;
    let inside = joined(reader)?;
    reader.expect_punct(Punct::RBrace, "}")?;
    Ok(TableRef::Nested(vec![inside]))
}

/// `JSON_TABLE(document, path COLUMNS (...)) [AS] alias`. Only the document may name columns of other tables.
fn json_table(reader: &mut Reader<'_, '_, '_>, start: usize) -> Read<TableRef> {
    reader.step(Cursor::next);
    let mut past = reader.cursor();
    if !past.skip_parens() {
        return reader.fail("a closing parenthesis was expected");
    }
    reader.expect_punct(Punct::LParen, "(")?;
    let args: Vec<Expr> = vec![reader.expr()?];
    reader.expect_punct(Punct::Comma, ",")?;
    reader.step(|cursor| cursor.at = past.at);
    let alias = alias(reader)?;
    Ok(TableRef::Function { alias, args, span: reader.since(start) })
}

/// `table [PARTITION (...)] [AS alias] [index hints]`.
fn plain(reader: &mut Reader<'_, '_, '_>, start: usize) -> Read<TableRef> {
    let name = reader.object_name()?;
    if reader.is_punct(Punct::LParen) {
        return reader.fail("a table function is not read");
    }
    let partitions = partitions(reader)?;
    if reader.cursor().are_words(&["FOR", "SYSTEM_TIME"]) || reader.cursor().are_words(&["FOR", "PORTION"]) {
        return reader.fail("FOR SYSTEM_TIME and FOR PORTION are not read");
    }
    let alias = alias(reader)?;
    if reader.is_word("TABLESAMPLE") {
        return reader.fail("TABLESAMPLE is not read");
    }
    index_hints(reader)?;
    Ok(TableRef::Table { name, alias, partitions, span: reader.since(start) })
}

/// `PARTITION (a, b)`, if it comes next.
pub(super) fn partitions(reader: &mut Reader<'_, '_, '_>) -> Read<bool> {
    let written = reader.is_word("PARTITION") && reader.cursor().is_punct_at(1, Punct::LParen);
    if written {
        reader.step(Cursor::next);
        reader.names()?;
    }
    Ok(written)
}

/// `[AS] alias`.
pub(super) fn alias(reader: &mut Reader<'_, '_, '_>) -> Read<Option<Ident>> {
    if reader.eat(&["AS"]) {
        return reader.name().map(Some);
    }
    // MariaDB reserves it here only.
    let window = reader.grammar.facts.flavour == Flavour::MariaDb && reader.is_word("WINDOW");
    if reader.cursor().is_name_at(0) && !window { reader.name().map(Some) } else { Ok(None) }
}

/// `USE | FORCE | IGNORE INDEX | KEY [FOR JOIN | ORDER BY | GROUP BY] (names)`, as often as written.
fn index_hints(reader: &mut Reader<'_, '_, '_>) -> Read<()> {
    loop {
        let mut ahead = reader.cursor();
        let hint = ahead.eat_any(&["USE", "FORCE", "IGNORE"]) && ahead.eat_any(&["INDEX", "KEY"]);
        if !hint {
            return Ok(());
        }
        let _ = ahead.eat(&["FOR", "JOIN"]) || ahead.eat(&["FOR", "ORDER", "BY"]) || ahead.eat(&["FOR", "GROUP", "BY"]);
        reader.step(|cursor| cursor.at = ahead.at);
        reader.skip_parens()?;
    }
}
