//! Statements: queries, INSERT, REPLACE, UPDATE, DELETE.

use crate::sql::ast::{
    Assignment, Cte, Delete, Expr, Ident, Insert, InsertSource, ObjectName, SelectItem, Span, Statement, Update,
};
use crate::sql::cursor::Cursor;
use crate::sql::lex::Punct;
use crate::sql::parse::{Read, Reader, query, table};

pub(super) fn statement(reader: &mut Reader<'_, '_, '_>) -> Read<Statement> {
    if reader.is_any(&["INSERT", "REPLACE"]) {
        return Ok(Statement::Insert(Box::new(insert(reader)?)));
    }
    let start = reader.start();
    let (recursive, with) = query::with(reader)?;
    if reader.is_word("UPDATE") {
        return Ok(Statement::Update(Box::new(update(reader, start, with)?)));
    }
    if reader.is_word("DELETE") {
        return Ok(Statement::Delete(Box::new(delete(reader, start, with)?)));
    }
    Ok(Statement::Query(Box::new(query::behind_with(reader, start, recursive, with)?)))
}

fn insert(reader: &mut Reader<'_, '_, '_>) -> Read<Insert> {
    let start = reader.start();
    let replace = reader.is_word("REPLACE");
    reader.step(Cursor::next);
    let priority = reader.eat_any(&["LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED"]);
    let ignore = reader.eat(&["IGNORE"]);
    reader.eat(&["INTO"]);
    let table = reader.object_name()?;
    let partitions = table::partitions(reader)?;
    let (mut columns, mut qualifiers) = (None, Vec::new());
    if reader.is_punct(Punct::LParen) && !is_source(reader) {
        columns = Some(insert_columns(reader, &mut qualifiers)?);
    }
    let source = if reader.eat(&["SET"]) {
        let set = assignments(reader)?;
        columns = Some(set.iter().filter_map(|assignment| column_name(&assignment.column, &mut qualifiers)).collect());
        InsertSource::Set(set.into_iter().map(|assignment| assignment.value).collect())
    } else if reader.eat_any(&["VALUES", "VALUE"]) {
        InsertSource::Values(reader.separated(|reader| {
            let start = reader.start();
            reader.eat(&["ROW"]);
            let row = query::row(reader)?;
            Ok((row, reader.since(start)))
        })?)
    } else {
        InsertSource::Query(Box::new(query::query(reader)?))
    };
    let mut row_alias = None;
    let mut row_alias_columns = Vec::new();
    if reader.eat(&["AS"]) {
        row_alias = Some(reader.name()?);
        if reader.is_punct(Punct::LParen) {
            row_alias_columns = reader.names()?;
        }
    }
    let mut on_duplicate = Vec::new();
    if reader.eat(&["ON", "DUPLICATE", "KEY", "UPDATE"]) {
        reader.grammar.in_duplicate.set(true);
        on_duplicate = assignments(reader)?;
        reader.grammar.in_duplicate.set(false);
    }
    let (returning, returning_items) = returning(reader)?;
    let span = reader.since(start);
    Ok(Insert {
        replace,
        ignore,
        priority,
        partitions,
        table,
        columns,
        qualifiers,
        source,
        row_alias,
        row_alias_columns,
        on_duplicate,
        returning,
        returning_items,
        span,
    })
}

/// Whether the parenthesis that comes next opens a query rather than a list of columns.
fn is_source(reader: &Reader<'_, '_, '_>) -> bool {
    let cursor = reader.cursor();
    cursor.is_punct_at(1, Punct::LParen)
        || ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| cursor.is_word_at(1, word))
}

/// `(a, t.b, s.t.c)`, or `()`.
fn insert_columns(reader: &mut Reader<'_, '_, '_>, qualifiers: &mut Vec<ObjectName>) -> Read<Vec<Ident>> {
    reader.expect_punct(Punct::LParen, "(")?;
    let mut columns = Vec::new();
    while !reader.is_punct(Punct::RParen) {
        if !columns.is_empty() {
            reader.expect_punct(Punct::Comma, ",")?;
        }
        let mut names = vec![reader.name()?];
        while reader.eat_punct(Punct::Dot) {
            names.push(reader.name()?);
        }
        let Some(name) = names.pop() else { return reader.fail("a column was expected") };
        if let Some(table) = names.pop() {
            qualifiers.push(qualifier(names.pop(), table, &name));
        }
        columns.push(name);
    }
    reader.expect_punct(Punct::RParen, ")")?;
    Ok(columns)
}

/// The table that a column is named with, up to the column.
fn qualifier(schema: Option<Ident>, table: Ident, column: &Ident) -> ObjectName {
    let start = schema.as_ref().map_or(table.span.start, |schema| schema.span.start);
    ObjectName { schema, name: table, span: Span { start, end: column.span.start } }
}

fn column_name(column: &Expr, qualifiers: &mut Vec<ObjectName>) -> Option<Ident> {
    match column {
        Expr::Column { schema, table, name, .. } => {
            qualifiers.extend(table.clone().map(|table| qualifier(schema.clone(), table, name)));
            Some(name.clone())
        }
        _ => None,
    }
}

/// `a = x, t.b = y`.
fn assignments(reader: &mut Reader<'_, '_, '_>) -> Read<Vec<Assignment>> {
    reader.separated(|reader| {
        let start = reader.start();
        let mut names = vec![reader.name()?];
        while names.len() < 3 && reader.eat_punct(Punct::Dot) {
            names.push(reader.name()?);
        }
        let span = reader.since(start);
        let Some(name) = names.pop() else { return reader.fail("a column was expected") };
        let (table, schema) = (names.pop(), names.pop());
        if !reader.eat_punct(Punct::Eq) && !reader.eat_punct(Punct::Assign) {
            return reader.fail("= was expected");
        }
        Ok(Assignment { column: Expr::Column { schema, table, name, span }, value: reader.expr()? })
    })
}

/// MariaDB's `RETURNING items`.
fn returning(reader: &mut Reader<'_, '_, '_>) -> Read<(bool, Vec<SelectItem>)> {
    if !reader.eat(&["RETURNING"]) {
        return Ok((false, Vec::new()));
    }
    Ok((true, reader.separated(query::select_item)?))
}

fn update(reader: &mut Reader<'_, '_, '_>, start: usize, with: Vec<Cte>) -> Read<Update> {
    reader.expect(&["UPDATE"])?;
    reader.eat(&["LOW_PRIORITY"]);
    let ignore = reader.eat(&["IGNORE"]);
    let start_of_tables = reader.start();
    let tables = table::references(reader)?;
    let tables_span = reader.since(start_of_tables);
    reader.expect(&["SET"])?;
    let set = assignments(reader)?;
    let filter = query::filter(reader)?;
    let (order_by, _) = query::order_by(reader)?;
    let limit = query::limit(reader)?;
    Ok(Update { with, ignore, tables, tables_span, set, filter, order_by, limit, span: reader.since(start) })
}

fn delete(reader: &mut Reader<'_, '_, '_>, start: usize, with: Vec<Cte>) -> Read<Delete> {
    reader.expect(&["DELETE"])?;
    while reader.eat_any(&["LOW_PRIORITY", "QUICK"]) {}
    let ignore = reader.eat(&["IGNORE"]);
    let mut targets = Vec::new();
    if reader.eat(&["FROM"]) {
        if is_target_list(reader) {
            targets = reader.separated(target)?;
            reader.expect(&["USING"])?;
        }
    } else {
        targets = reader.separated(target)?;
        reader.expect(&["FROM"])?;
    }
    let start_of_tables = reader.start();
    let tables = table::references(reader)?;
    let tables_span = reader.since(start_of_tables);
    if targets.is_empty() && tables.len() != 1 {
        return reader.fail("which table to delete from was expected");
    }
    let filter = query::filter(reader)?;
    let (order_by, _) = query::order_by(reader)?;
    let limit = query::limit(reader)?;
    let (returning, returning_items) = returning(reader)?;
    let span = reader.since(start);
    Ok(Delete { with, ignore, targets, tables, tables_span, filter, order_by, limit, returning, returning_items, span })
}

/// Whether `t1[.*], t2[.*] USING` comes next.
fn is_target_list(reader: &Reader<'_, '_, '_>) -> bool {
    let mut cursor = reader.cursor();
    while cursor.object_name().is_some() {
        if cursor.eat_punct(Punct::Dot) && !cursor.eat_punct(Punct::Star) {
            return false;
        }
        if !cursor.eat_punct(Punct::Comma) {
            return cursor.is_word("USING");
        }
    }
    false
}

/// `t`, `s.t`, `t.*`, `s.t.*`.
fn target(reader: &mut Reader<'_, '_, '_>) -> Read<ObjectName> {
    let name = reader.object_name()?;
    if reader.eat_punct(Punct::Dot) && !reader.eat_punct(Punct::Star) {
        return reader.fail("* was expected");
    }
    Ok(name)
}
