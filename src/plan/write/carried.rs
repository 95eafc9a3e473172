//! Which INSERT ... SELECT can be done by reading its rows first and storing them afterwards, where no server can do it
//! alone: the query is a statement of its own, and what stands around it means the same around VALUES.

use crate::error::SqlError;
use crate::plan::carry::Carry;
use crate::plan::parts::{parts, strip};
use crate::plan::resolve::{BodyNode, QueryId, Source};
use crate::plan::route::By;
use crate::plan::write::{Writing, duplicates};
use crate::plan::{Many, Plan};
use crate::rules::catalog::TableInfo;
use crate::sql::ast::{Expr, Ident, Insert};

impl<'a> Writing<'_, '_, 'a> {
    /// The plan of an INSERT ... SELECT; where it would be refused, its rows are carried if they can be.
    pub(super) fn carried(
        &self,
        plan: Result<Plan, SqlError>,
        insert: &'a Insert,
        table: u16,
        info: Option<&TableInfo>,
        query: QueryId,
    ) -> Result<Plan, SqlError> {
        match plan {
            Err(refusal) if refusal.errno == 1235 => match self.carry(insert, table, info, query) {
                Some(carry) => Ok(Plan::Carry(Box::new(carry))),
                None => Err(refusal),
            },
            Ok(Plan::Sharded(mut sharded)) => {
                let apart = matches!(sharded.routing.by, By::Rows(..)) && sharded.routing.group.is_some();
                if (apart || matches!(sharded.many, Many::Refuse(_)))
                    && let Some(carry) = self.carry(insert, table, info, query)
                {
                    sharded.many = Many::Carry(Box::new(carry));
                }
                Ok(Plan::Sharded(sharded))
            }
            plan => plan,
        }
    }

    fn carry(&self, insert: &'a Insert, table: u16, info: Option<&TableInfo>, query: QueryId) -> Option<Carry> {
        // Of a table that is not known nobody knows what its columns hold.
        let info = info.filter(|info| !info.view)?;
        let node = &self.model.queries[query.0];
        let refused = insert.returning
            || insert.partitions
            || insert.priority
            || node.ast.into.is_some()
            || !self.model.relations.is_empty()
            || insert.on_duplicate.iter().any(|assignment| !self.is_of_rows(&assignment.value, insert, info, query))
            || self.insert_allowed(insert, table).is_err()
            || self.no_qualified_column(insert).is_err();
        if refused {
            return None;
        }
        let columns =
            insert.columns.as_ref().map(|columns| columns.iter().map(|column| column.name.as_str().into()).collect());
        Some(Carry {
            query: self.composer().anchors(node.ast.span).ok()?,
            table,
            columns,
            reads_tables: !self.model.refs.is_empty(),
            ignores: insert.ignore,
            divides: node.divides(self.model),
            of_tables: node.is_of_tables(self.model),
            members: node.picks_members(self.model),
            duplicates: duplicates(insert),
        })
    }

    /// Whether ON DUPLICATE KEY UPDATE gives a value that is made of literals, of the new row and of the one that it meets:
    /// other names are those of the query's tables, which are not there any more.
    fn is_of_rows(&self, value: &Expr, insert: &Insert, info: &TableInfo, query: QueryId) -> bool {
        match strip(value) {
            Expr::Column { schema: None, table, name, .. } => {
                self.is_of_met_row(table.as_ref(), &name.name, insert, info, query)
            }
            Expr::Column { .. } | Expr::Subquery(..) | Expr::Exists(..) | Expr::InSubquery { .. } => false,
            Expr::Function(function) if matches!(function.name.as_str(), "VALUES" | "VALUE") => true,
            other => parts(other).into_iter().all(|part| self.is_of_rows(part, insert, info, query)),
        }
    }

    /// Whether a column is the INSERT's table's own, and can be none of the query's.
    /// <https://dev.mysql.com/doc/refman/9.7/en/insert-on-duplicate.html>
    fn is_of_met_row(
        &self,
        table: Option<&Ident>,
        name: &str,
        insert: &Insert,
        info: &TableInfo,
        query: QueryId,
    ) -> bool {
        let BodyNode::Block(block) = self.model.queries[query.0].body else { return false };
        let mut read = self.model.blocks[block.0].from.iter().map(|id| &self.model.refs[id.0]);
        let own = info.column(name).is_some();
        match table {
            Some(table) => {
                let other = |label: &str| !label.eq_ignore_ascii_case(&table.name);
                own && table.name == insert.table.name.name && read.all(|read| other(read.label))
            }
            None => {
                own && read.all(|read| matches!(read.source, Source::Table(_, Some(of)) if of.column(name).is_none()))
            }
        }
    }
}
