//! UPDATE and DELETE of one table with LIMIT, where several shards have rows of it: the SELECT that tells which rows
//! are the first, made of the clauses that the statement has anyway.

use crate::error::SqlError;
use crate::plan::limited::{First, Limited};
use crate::plan::locality::Locality;
use crate::plan::parts::strip;
use crate::plan::read::merge;
use crate::plan::resolve::{Model, several};
use crate::plan::select::{Merging, is_constant};
use crate::plan::text::{Composer, Part, Rewrite};
use crate::plan::ties::{Ties, slot};
use crate::plan::write::Writing;
use crate::sql::ast::{
    Body, Cte, Delete, Expr, Keyword, Limit, LiteralKind, OrderItem, Query, Select, SelectItem, Span, TableRef, Update,
};

/// The clauses of an UPDATE or DELETE that say which rows it writes.
#[derive(Clone, Copy)]
pub(crate) struct Clauses<'a> {
    with: &'a [Cte],
    ignore: bool,
    tables: &'a [TableRef],
    tables_span: Span,
    /// It has a list of tables of its own, and tables to look rows up in.
    listed: bool,
    filter: Option<&'a Expr>,
    order_by: &'a [OrderItem],
    limit: Option<&'a Limit>,
    returning: bool,
    span: Span,
}

impl<'a> Clauses<'a> {
    pub(crate) fn of_update(update: &'a Update) -> Clauses<'a> {
        Clauses {
            with: &update.with,
            ignore: update.ignore,
            tables: &update.tables,
            tables_span: update.tables_span,
            listed: false,
            filter: update.filter.as_ref(),
            order_by: &update.order_by,
            limit: update.limit.as_ref(),
            returning: false,
            span: update.span,
        }
    }

    pub(crate) fn of_delete(delete: &'a Delete) -> Clauses<'a> {
        Clauses {
            with: &delete.with,
            ignore: delete.ignore,
            tables: &delete.tables,
            tables_span: delete.tables_span,
            listed: !delete.targets.is_empty(),
            filter: delete.filter.as_ref(),
            order_by: &delete.order_by,
            limit: delete.limit.as_ref(),
            returning: delete.returning,
            span: delete.span,
        }
    }

    /// Whether it is of one table, the only form that ORDER BY and LIMIT are for (but on MariaDB).
    pub(crate) fn is_of_one_table(&self) -> bool {
        !self.listed && matches!(self.tables, [TableRef::Table { .. }])
    }

    /// Whether common table expressions stand in front of it.
    pub(super) fn has_ctes(&self) -> bool {
        !self.with.is_empty()
    }

    /// Whether IGNORE was written.
    pub(super) fn ignores(&self) -> bool {
        self.ignore
    }

    /// Its tables.
    pub(super) fn tables(&self) -> &'a [TableRef] {
        self.tables
    }

    /// Where they stand.
    pub(super) fn tables_span(&self) -> Span {
        self.tables_span
    }

    /// Its condition.
    pub(super) fn filter(&self) -> Option<&'a Expr> {
        self.filter
    }

    /// LIMIT, if it is there.
    pub(crate) fn limit(&self) -> Option<&'a Limit> {
        self.limit
    }

    /// Where ORDER BY or LIMIT stands, the first of both.
    pub(crate) fn end(&self) -> Option<Span> {
        self.order_by.first().map(|item| item.span).or(self.limit.map(|limit| limit.span))
    }

    /// What rows are sorted by; none if their order is not fixed at all.
    pub(super) fn order(&self) -> impl Iterator<Item = &'a Expr> {
        self.order_by.iter().map(|item| &item.expr)
    }

    /// The SELECT of the same rows, as a tree over the statement's own text: `SELECT 1 FROM table WHERE ... ORDER BY
    /// ... LIMIT ...`. What is to stand before the table takes the place of the statement's first word.
    fn select(&self) -> Query {
        let word = Span { start: self.span.start, end: self.span.start + 1 };
        let ends = [self.filter.map(|filter| filter.span().end), self.tables.first().map(|table| span_of(table).end)];
        let select = Select {
            distinct: None,
            calc_found_rows: false,
            items: vec![SelectItem::Expr { expr: Expr::Keyword(Keyword::True, word), alias: None, span: word }],
            items_span: word,
            from: self.tables.to_vec(),
            filter: self.filter.cloned(),
            group_by: Vec::new(),
            group_span: None,
            rollup: false,
            having: None,
            having_span: None,
            named_windows: false,
            windows: Vec::new(),
            span: Span { start: self.span.start, end: ends.into_iter().flatten().next().unwrap_or(self.span.end) },
        };
        let order_span = match (self.order_by.first(), self.order_by.last()) {
            (Some(first), Some(last)) => Some(Span { start: first.span.start, end: last.span.end }),
            _ => None,
        };
        Query {
            with: Vec::new(),
            recursive: false,
            body: Body::Select(Box::new(select)),
            order_by: self.order_by.to_vec(),
            order_span,
            limit: self.limit.cloned(),
            locking: None,
            locks: Vec::new(),
            into: None,
            span: self.span,
        }
    }

    /// What makes the statement's text that of [`Clauses::select`], with locks on the rows.
    fn edits(&self) -> Vec<(Span, Rewrite)> {
        let (start, end) = (self.span.start, self.span.end);
        // Behind LIMIT stands what a DELETE returns.
        let rest = self.limit.map_or(end, |limit| limit.span.end);
        let table = self.tables.first().map_or(self.span, span_of);
        let fixed = |text: &str| Rewrite::Fixed(text.to_owned());
        let mut edits = vec![
            (Span { start, end: start + 1 }, fixed("SELECT 1")),
            (Span { start: start + 1, end: table.start }, fixed(" FROM ")),
            (Span { start: rest, end }, fixed(" FOR UPDATE")),
        ];
        let rest = match (self.filter, self.order_by) {
            (Some(filter), _) => Some((filter.span().start, " WHERE ")),
            (None, [first, ..]) => Some((first.span.start, " ORDER BY ")),
            (None, []) => None,
        };
        edits.extend(rest.map(|(start, clause)| (Span { start: table.end, end: start }, fixed(clause))));
        edits
    }
}

fn span_of(table: &TableRef) -> Span {
    match table {
        TableRef::Table { span, .. } => *span,
        _ => Span::default(),
    }
}

impl<'a> Writing<'_, '_, 'a> {
    /// How the first rows of several shards are written.
    ///
    /// # Errors
    /// 1235 with the reason and the place.
    pub(super) fn limited(&self, clauses: &Clauses<'a>, limit: &Limit) -> Result<Limited, SqlError> {
        let refuse = |what: &str, span: Span| Err(several(self.model.sql, what, span));
        let Some(count) = slot(&limit.count) else { return refuse("this LIMIT of a write", limit.span) };
        if !clauses.with.is_empty() {
            return refuse("WITH before a write with LIMIT", clauses.span);
        }
        let text = self.composer().with(vec![(limit.count.span(), Part::Share)], true)?;
        let first = match clauses.order().all(is_constant_order) {
            true => None,
            false => Some(self.first(clauses)?),
        };
        Ok(Limited { count, text, first })
    }

    /// The SELECT that finds the first rows.
    fn first(&self, clauses: &Clauses<'a>) -> Result<First, SqlError> {
        let sql = self.model.sql;
        let refuse = |what: &str| Err(several(sql, what, clauses.end().unwrap_or(clauses.span)));
        let effects = &self.model.effects;
        // The rows are found twice, by two statements.
        if effects.random || effects.stored_function || effects.user_locks || effects.sets_last_insert_id {
            return refuse("ORDER BY and LIMIT in a write with a function that may differ from call to call");
        }
        if clauses.ignore {
            return refuse("ORDER BY and LIMIT in a write with IGNORE");
        }
        if clauses.order().any(|item| matches!(strip(item), Expr::Literal { kind: LiteralKind::Integer, .. })) {
            return refuse("ORDER BY a number in a write");
        }
        let query = clauses.select();
        let mut model = Model::new(sql, self.model.session, self.model.rules, self.model.catalog);
        model.tables.clone_from(&self.model.tables);
        let id = model.query(&query, None)?;
        let ties = Ties::of(&model);
        let locality = Locality::of(&model, &ties);
        let edits = model.edits.iter().cloned().chain(clauses.edits()).collect();
        let Merging { merge, mut text, pins, .. } = merge(&model, &locality, id, &Composer::new(self.scan, edits))?;
        if !pins.is_empty() {
            return refuse("ORDER BY an expression with literals in a write");
        }
        // The parameters of SET are not among those of the SELECT.
        text.moves_params = true;
        Ok(First { merge, text, ordered: clauses.returning })
    }
}

/// Whether LIMIT's number is none, which every server tells before it looks at a row.
pub(super) fn is_mistake(limit: &Limit) -> bool {
    let no_number = matches!(&limit.count, Expr::Literal { kind: LiteralKind::String, .. } | Expr::Unary { .. });
    no_number || limit.offset.is_some()
}

/// Whether an item of ORDER BY is the same for all rows; a number would be a column of a SELECT.
fn is_constant_order(item: &Expr) -> bool {
    is_constant(item) && !matches!(strip(item), Expr::Literal { kind: LiteralKind::Integer, .. })
}
