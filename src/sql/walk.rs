//! Walking a syntax tree: every query, table and expression of it, each before its parts and in the order of the text
//! but for WITH, which comes first. The matches are exhaustive, so a new node cannot be overlooked.

use crate::sql::ast::{
    Assignment, Body, Cte, Delete, Expr, Insert, InsertSource, Limit, ObjectName, OrderItem, Query, Select, SelectItem,
    Statement, TableRef, Update,
};

/// A node of the tree.
#[derive(Clone, Copy, Debug)]
pub enum Node<'a> {
    /// A query: the statement itself, a subquery, a common table expression.
    Query(&'a Query),
    /// A table reference.
    Table(&'a TableRef),
    /// A table named elsewhere: `TABLE t`, the table of an INSERT, the targets of a DELETE (which may be aliases).
    Name(&'a ObjectName),
    /// An expression.
    Expr(&'a Expr),
}

/// Walks a statement. `visit` says whether to go into the parts of what it is shown.
pub fn statement<'a>(statement: &'a Statement, visit: &mut dyn FnMut(Node<'a>) -> bool) {
    match statement {
        Statement::Query(of) => query(of, visit),
        Statement::Insert(of) => insert(of, visit),
        Statement::Update(of) => update(of, visit),
        Statement::Delete(of) => delete(of, visit),
    }
}

/// Walks a query.
pub fn query<'a>(of: &'a Query, visit: &mut dyn FnMut(Node<'a>) -> bool) {
    if !visit(Node::Query(of)) {
        return;
    }
    ctes(&of.with, visit);
    body(&of.body, visit);
    order(&of.order_by, visit);
    limit(of.limit.as_ref(), visit);
}

/// Walks an expression.
pub fn expr<'a>(of: &'a Expr, visit: &mut dyn FnMut(Node<'a>) -> bool) {
    if !visit(Node::Expr(of)) {
        return;
    }
    match of {
        Expr::Column { .. } | Expr::Literal { .. } | Expr::Param { .. } | Expr::Keyword(..) | Expr::Variable { .. } => {
        }
        Expr::Unary { expr: part, .. }
        | Expr::Is { expr: part, .. }
        | Expr::Paren(part, _)
        | Expr::Cast { expr: part, .. } => expr(part, visit),
        Expr::Binary { left, right, .. } => {
            expr(left, visit);
            expr(right, visit);
        }
        Expr::Between { expr: part, low, high, .. } => {
            for part in [part, low, high] {
                expr(part, visit);
            }
        }
        Expr::InList { expr: part, list, .. } => {
            expr(part, visit);
            exprs(list, visit);
        }
        Expr::InSubquery { expr: part, query: of, .. } => {
            expr(part, visit);
            query(of, visit);
        }
        Expr::Tuple(parts, _) | Expr::Other { parts, .. } => exprs(parts, visit),
        Expr::Function(function) => exprs(&function.args, visit),
        Expr::Subquery(of, _) | Expr::Exists(of, _) => query(of, visit),
    }
}

/// Walks a table reference.
pub fn table<'a>(of: &'a TableRef, visit: &mut dyn FnMut(Node<'a>) -> bool) {
    if !visit(Node::Table(of)) {
        return;
    }
    match of {
        TableRef::Table { .. } => {}
        TableRef::Derived { query: of, .. } => query(of, visit),
        TableRef::Join { left, right, on, .. } => {
            table(left, visit);
            table(right, visit);
            if let Some(on) = on {
                expr(on, visit);
            }
        }
        TableRef::Nested(inside) => tables(inside, visit),
        TableRef::Function { args, .. } => exprs(args, visit),
    }
}

/// Every table that a statement names, those of its subqueries included; common table expressions and the aliases
/// that a DELETE may name are among them.
pub fn table_names(of: &Statement) -> Vec<&ObjectName> {
    let mut names = Vec::new();
    statement(of, &mut |node| {
        match node {
            Node::Table(TableRef::Table { name, .. }) | Node::Name(name) => names.push(name),
            Node::Table(_) | Node::Query(_) | Node::Expr(_) => {}
        }
        true
    });
    names
}

fn ctes<'a>(with: &'a [Cte], visit: &mut dyn FnMut(Node<'a>) -> bool) {
    for cte in with {
        query(&cte.query, visit);
    }
}

fn body<'a>(of: &'a Body, visit: &mut dyn FnMut(Node<'a>) -> bool) {
    match of {
        Body::Select(of) => select(of, visit),
        Body::SetOperation { left, right, .. } => {
            body(left, visit);
            body(right, visit);
        }
        Body::Nested(of) => query(of, visit),
        Body::Values(rows) => rows.iter().for_each(|row| exprs(row, visit)),
        Body::Table(name) => {
            visit(Node::Name(name));
        }
    }
}

fn select<'a>(of: &'a Select, visit: &mut dyn FnMut(Node<'a>) -> bool) {
    items(&of.items, visit);
    tables(&of.from, visit);
    exprs(of.filter.as_slice(), visit);
    exprs(&of.group_by, visit);
    exprs(of.having.as_slice(), visit);
    exprs(&of.windows, visit);
}

fn insert<'a>(of: &'a Insert, visit: &mut dyn FnMut(Node<'a>) -> bool) {
    visit(Node::Name(&of.table));
    match &of.source {
        InsertSource::Values(rows) => rows.iter().for_each(|(row, _)| exprs(row, visit)),
        InsertSource::Set(values) => exprs(values, visit),
        InsertSource::Query(of) => query(of, visit),
    }
    assignments(&of.on_duplicate, visit);
    items(&of.returning_items, visit);
}

fn update<'a>(of: &'a Update, visit: &mut dyn FnMut(Node<'a>) -> bool) {
    ctes(&of.with, visit);
    tables(&of.tables, visit);
    assignments(&of.set, visit);
    exprs(of.filter.as_slice(), visit);
    order(&of.order_by, visit);
    limit(of.limit.as_ref(), visit);
}

fn delete<'a>(of: &'a Delete, visit: &mut dyn FnMut(Node<'a>) -> bool) {
    ctes(&of.with, visit);
    for target in &of.targets {
        visit(Node::Name(target));
    }
    tables(&of.tables, visit);
    exprs(of.filter.as_slice(), visit);
    order(&of.order_by, visit);
    limit(of.limit.as_ref(), visit);
    items(&of.returning_items, visit);
}

fn exprs<'a>(of: &'a [Expr], visit: &mut dyn FnMut(Node<'a>) -> bool) {
    of.iter().for_each(|part| expr(part, visit));
}

fn tables<'a>(of: &'a [TableRef], visit: &mut dyn FnMut(Node<'a>) -> bool) {
    of.iter().for_each(|part| table(part, visit));
}

fn order<'a>(of: &'a [OrderItem], visit: &mut dyn FnMut(Node<'a>) -> bool) {
    of.iter().for_each(|item| expr(&item.expr, visit));
}

fn limit<'a>(of: Option<&'a Limit>, visit: &mut dyn FnMut(Node<'a>) -> bool) {
    if let Some(limit) = of {
        expr(&limit.count, visit);
        exprs(limit.offset.as_slice(), visit);
    }
}

fn assignments<'a>(of: &'a [Assignment], visit: &mut dyn FnMut(Node<'a>) -> bool) {
    for assignment in of {
        expr(&assignment.column, visit);
        expr(&assignment.value, visit);
    }
}

fn items<'a>(of: &'a [SelectItem], visit: &mut dyn FnMut(Node<'a>) -> bool) {
    for item in of {
        match item {
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {}
            SelectItem::Expr { expr: part, .. } => expr(part, visit),
        }
    }
}
