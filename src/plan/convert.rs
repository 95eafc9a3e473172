//! The SELECT of an INSERT ... SELECT, run so that one server stores its rows in a table of the columns that they are for
//! and thereby converts them, as it would have among its own tables. It knows no row.

use crate::error::SqlError;
use crate::plan::Effects;
use crate::plan::gather::Home;
use crate::plan::resolve::Model;
use crate::plan::selected::{Selected, Selecting};
use crate::plan::sources::gather;
use crate::plan::text::{Rewrite, put_name, quote};
use crate::rules::Placement;
use crate::sql::ast::{Ident, ObjectName, Span, Statement};
use crate::sql::parse::parse;

/// The table in which the rows are stored.
pub const CONVERTED: &str = "_shardloom_converted";

/// The number among the plan's tables of the one whose columns the rows are for.
pub const LIKE: u16 = 0;

/// What the rows are for.
#[derive(Clone, Copy, Debug)]
pub struct Converting<'a> {
    /// The schema of the table, as the client knows it.
    pub schema: &'a str,
    /// The table.
    pub table: &'a str,
    /// Its columns that get values.
    pub columns: &'a [&'a str],
    /// What does not fit becomes what does, with a warning.
    pub ignores: bool,
}

impl Selecting<'_> {
    /// How the rows are gathered for the query, which then stands in an INSERT; the first table is the one they are for.
    ///
    /// # Errors
    /// 1235 where they cannot be gathered.
    pub(super) fn convert(&self, converting: &Converting<'_>) -> Result<(Selected, Effects), SqlError> {
        let unread = || SqlError::refuse("Shardloom does not understand the SELECT by itself");
        let Ok(Statement::Query(query)) = parse(self.sql, self.session.facts) else { return Err(unread()) };
        let Converting { schema, table, columns, ignores } = *converting;
        let home = self.home(schema, table).ok_or_else(unread)?;
        let mut before = if ignores { "INSERT IGNORE INTO " } else { "INSERT INTO " }.as_bytes().to_vec();
        put_name(&home.schema, CONVERTED, &mut before);
        for (number, column) in columns.iter().enumerate() {
            before.extend_from_slice(if number == 0 { b" (" } else { b"," });
            quote(column.as_bytes(), &mut before);
        }
        before.extend_from_slice(b") ");
        let before = Rewrite::Fixed(String::from_utf8(before).map_err(|_| unread())?);
        let nowhere = Span { start: 0, end: 0 };
        let home = Home { edits: vec![(nowhere, before)], ..home };
        let name = |name: &str| Ident { name: name.to_owned(), span: nowhere };
        let like = ObjectName { schema: Some(name(schema)), name: name(table), span: nowhere };
        let mut model = Model::new(self.sql, self.session, self.rules, self.catalog);
        model.table(&like)?;
        model.query(&query, None)?;
        if let Some(read) = model.relations.first() {
            let why = "information_schema in a SELECT whose rows are carried:";
            return Err(SqlError::refuse_at(why, self.sql, read.span.start as usize));
        }
        let world = (self.rules, self.catalog);
        let gather = gather((self.sql, self.scan), self.session, world, &query, &model.tables, Some(home))?;
        Ok(((gather, model.tables.into()), model.effects))
    }

    /// A group that has the table, and the physical schema there.
    fn home(&self, schema: &str, table: &str) -> Option<Home> {
        let schema = self.rules.schema(schema)?;
        let (group, physical) = match schema.table(table) {
            Placement::Sharded(table) => {
                let physical = table.all_physical().first()?;
                (self.rules.family(table.family)?.home(0), physical.schema.as_str())
            }
            Placement::Broadcast => (schema.home, schema.physical(schema.home)),
            Placement::Single(group) => (group, schema.physical(group)),
        };
        Some(Home { group, schema: physical.into(), edits: Vec::new(), fills: None })
    }
}
