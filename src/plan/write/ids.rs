//! The ids of an INSERT that the proxy makes: where they are spliced into its text, and what is refused because nobody
//! could tell LAST_INSERT_ID() afterwards.

use crate::error::SqlError;
use crate::plan::functions::{Nature, nature};
use crate::plan::numbering::{Numbering, RowId};
use crate::plan::parts::{parts, strip};
use crate::plan::slot::Slot;
use crate::plan::text::{Rewrite, quote};
use crate::plan::ties::slot;
use crate::plan::write::{Writing, rows_of};
use crate::rules::catalog::TableInfo;
use crate::rules::id::IdKind;
use crate::sql::ast::{Assignment, Expr, Insert, InsertSource, Keyword, Span};

/// The ids of an INSERT that the proxy makes.
pub(super) struct Numbers<'n, 'w, 'm, 'a> {
    pub(super) writing: &'n Writing<'w, 'm, 'a>,
    pub(super) insert: &'a Insert,
    pub(super) table: u16,
}

/// Where ids are spliced in.
pub(super) type IdEdits = Vec<(Span, Rewrite)>;

impl<'a> Numbers<'_, '_, '_, 'a> {
    /// How the rows are numbered, and where the ids are spliced in; none if no rule says that the proxy does it.
    pub(super) fn read(&self, info: &TableInfo) -> Result<(Option<Numbering>, IdEdits), SqlError> {
        let model = self.writing.model;
        let found = &model.tables[usize::from(self.table)];
        let Some(rule) = model.rules.schema(&found.schema).and_then(|schema| schema.id(&found.name)) else {
            return Ok((None, Vec::new()));
        };
        let column = rule.column(info).map_err(|why| SqlError::refuse(format!("{}: {why}", found.name)))?;
        let unsure = self.insert.ignore || !self.insert.on_duplicate.is_empty();
        self.check_effects(rule.kind, unsure)?;
        let rows = rows_of(self.insert);
        let listed = self.insert.columns.is_some() || rows.iter().any(|row| !row.is_empty());
        let position = self.writing.position(self.insert, Some(info), column.0).filter(|_| listed);
        let (mut ids, mut edits) = (Vec::with_capacity(rows.len()), Vec::new());
        match position {
            Some(position) => {
                for row in &rows {
                    let Some(value) = row.get(position) else { return Ok((None, Vec::new())) };
                    ids.push(self.given(rule.kind, column.0, ids.len() as u32, value, &mut edits)?);
                }
            }
            None => {
                ids.resize(rows.len(), RowId::Made);
                self.add(column.0, &mut edits)?;
            }
        }
        let (kind, max) = (rule.kind, column.1);
        let sets = |assignment: &Assignment| match &assignment.column {
            Expr::Column { name, .. } => {
                name.name.eq_ignore_ascii_case(column.0) && !stays(&assignment.value, column.0)
            }
            _ => true,
        };
        let renumbers = self.insert.on_duplicate.iter().any(sets);
        let (table, column, rows) = (self.table, column.0.into(), ids.into());
        let numbering = Numbering { kind, table, column, max, rows, unsure, renumbers };
        Ok((Some(numbering), edits))
    }

    /// That LAST_INSERT_ID() can be known after the statement.
    fn check_effects(&self, kind: IdKind, unsure: bool) -> Result<(), SqlError> {
        let (insert, sql) = (self.insert, self.writing.model.sql);
        if kind == IdKind::Uuid {
            return Ok(());
        }
        if let Some(at) = rows_of(insert).into_iter().flatten().find_map(sets_last_insert_id) {
            let why = "LAST_INSERT_ID(expr) among the values of a row whose id is made:";
            return Err(SqlError::refuse_at(why, sql, at as usize));
        }
        if unsure && insert.returning {
            let why = "RETURNING behind IGNORE or ON DUPLICATE KEY UPDATE, where ids are made:";
            return Err(SqlError::refuse_at(why, sql, insert.span.start as usize));
        }
        let duplicate = insert.on_duplicate.iter().find_map(|assignment| sets_last_insert_id(&assignment.value));
        match duplicate.filter(|_| rows_of(insert).len() > 1) {
            Some(at) => {
                let why = "LAST_INSERT_ID(expr) behind several rows whose ids are made:";
                Err(SqlError::refuse_at(why, sql, at as usize))
            }
            None => Ok(()),
        }
    }

    /// A row that names the column.
    fn given(
        &self,
        kind: IdKind,
        column: &str,
        row: u32,
        value: &'a Expr,
        edits: &mut IdEdits,
    ) -> Result<RowId, SqlError> {
        let made = matches!(strip(value), Expr::Keyword(Keyword::Default, _));
        let span = value.span();
        if kind == IdKind::Uuid && !made {
            return Ok(RowId::Given(Slot::Null));
        }
        edits.push((span, Rewrite::Id(row, "", Some(span))));
        match slot(value) {
            _ if made => Ok(RowId::Made),
            Some(Slot::Null) => Ok(RowId::Made),
            Some(slot) => Ok(RowId::Given(slot)),
            None => {
                let why = format!("the value for {column}, whose ids Shardloom makes, needs a literal or parameter:");
                Err(SqlError::refuse_at(&why, self.writing.model.sql, span.start as usize))
            }
        }
    }

    /// Adds the column, and a value for it in each row.
    fn add(&self, column: &str, edits: &mut IdEdits) -> Result<(), SqlError> {
        let (insert, sql) = (self.insert, self.writing.model.sql);
        let mut name = Vec::new();
        quote(column.as_bytes(), &mut name);
        let name = String::from_utf8_lossy(&name).into_owned();
        let gap = |at: u32| Span { start: at, end: at };
        let refuse = || {
            let why = format!("the ids for {column} cannot be added to this statement: name its columns;");
            Err(SqlError::refuse_at(&why, sql, insert.table.span.start as usize))
        };
        let columns = insert.columns.as_deref();
        let rows = match (&insert.source, columns) {
            (InsertSource::Values(rows), _) => rows,
            (InsertSource::Set(_), Some([first, ..])) => {
                self.writing.no_qualified_column(insert)?;
                let at = gap(first.span.start);
                edits.push((at, Rewrite::IdColumn(format!("{name}="))));
                edits.push((at, Rewrite::Id(0, "", None)));
                edits.push((at, Rewrite::IdColumn(",".to_owned())));
                return Ok(());
            }
            _ => return refuse(),
        };
        match columns {
            Some([.., last]) => edits.push((gap(last.span.end), Rewrite::IdColumn(format!(",{name}")))),
            Some([]) => {
                let behind = &sql[insert.table.span.end as usize..];
                let spaces = behind.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                if behind.get(spaces) != Some(&b'(') {
                    return refuse();
                }
                edits.push((gap(insert.table.span.end + spaces as u32 + 1), Rewrite::IdColumn(name)));
            }
            None if rows.iter().all(|(row, _)| row.is_empty()) => {
                edits.push((gap(insert.table.span.end), Rewrite::IdColumn(format!(" ({name})"))));
            }
            None => return refuse(),
        }
        for (number, (row, span)) in rows.iter().enumerate() {
            let before = if row.is_empty() { "" } else { "," };
            edits.push((gap(span.end - 1), Rewrite::Id(number as u32, before, None)));
        }
        Ok(())
    }
}

/// Whether ON DUPLICATE KEY UPDATE leaves an id as it is: `id = id`, `id = LAST_INSERT_ID(id)`.
fn stays(value: &Expr, column: &str) -> bool {
    match strip(value) {
        Expr::Column { name, table: None, .. } => name.name.eq_ignore_ascii_case(column),
        Expr::Function(function) if nature(&function.name) == Nature::LastInsertId => {
            matches!(function.args.as_slice(), [only] if stays(only, column))
        }
        _ => false,
    }
}

/// Where an expression calls LAST_INSERT_ID(expr).
fn sets_last_insert_id(expr: &Expr) -> Option<u32> {
    match expr {
        Expr::Function(function) if nature(&function.name) == Nature::LastInsertId && !function.args.is_empty() => {
            Some(function.span.start)
        }
        _ => parts(expr).into_iter().find_map(sets_last_insert_id),
    }
}
