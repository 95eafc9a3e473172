//! The SELECT of an INSERT ... SELECT, gathered where a server can store its rows in a table of the columns that they are
//! for and thereby converts them, as it would have among its own tables. It knows no row.

use crate::error::SqlError;
use crate::plan::Effects;
use crate::plan::gather::Home;
use crate::plan::resolve::Model;
use crate::plan::selected::{Selected, Selecting};
use crate::plan::sources::gather;
use crate::rules::Placement;
use crate::sql::ast::{Ident, ObjectName, Span, Statement};
use crate::sql::parse::parse;

/// The number among the plan's tables of the one whose columns the rows are for.
pub const LIKE: u16 = 0;

/// What the rows are for.
#[derive(Clone, Copy, Debug)]
pub struct Converting<'a> {
    /// The schema of the table, as the client knows it.
    pub schema: &'a str,
    /// The table.
    pub table: &'a str,
}

impl Selecting<'_> {
    /// How the rows are gathered for the query; the first table is the one they are for.
    ///
    /// # Errors
    /// 1235 where they cannot be gathered.
    pub(super) fn convert(&self, converting: &Converting<'_>) -> Result<(Selected, Effects), SqlError> {
        let unread = || SqlError::refuse("Shardloom does not understand the SELECT by itself");
        let Ok(Statement::Query(query)) = parse(self.sql, self.session.facts) else { return Err(unread()) };
        let Converting { schema, table } = *converting;
        let home = self.home(schema, table).ok_or_else(unread)?;
        let nowhere = Span { start: 0, end: 0 };
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
