//! What a server knows of the values of a SELECT beside what it shows: digits of a quotient; and what hangs on its own plan
//! when it stores them, as it computes a value where it stores it, or takes it from a temporary table of its own. The two
//! differ for some types; it knows none of those.

use crate::plan::parts::{is_quotient, strip};
use crate::plan::resolve::{BlockId, BodyNode, Model, QueryNode, Source};
use crate::plan::types::Class;
use crate::rules::catalog::ColumnType;
use crate::sql::ast::{Expr, SelectItem};
use crate::sql::walk::{self, Node};

impl QueryNode<'_> {
    /// Whether it is one SELECT from tables, so that a column of its answer with the name of a table is that table's
    /// column, whose values are stored in one way only.
    pub(super) fn is_of_tables(&self, model: &Model<'_>) -> bool {
        let BodyNode::Block(block) = self.body else { return false };
        let block = &model.blocks[block.0];
        block.select.is_none_or(|select| !select.rollup)
            && block.from.iter().all(|id| match model.refs[id.0].source {
                Source::Table(_, info) => info.is_some_and(|info| !info.view),
                Source::Query(_) | Source::Opaque => false,
            })
    }

    /// Whether MIN or MAX of what may be an ENUM, a SET or ZEROFILL is among its values: the text of that is stored in a
    /// number, or its number, and a number in a text with zeros in front of it or not.
    pub(super) fn picks_members(&self, model: &Model<'_>) -> bool {
        self.blocks.clone().any(|id| {
            let select = model.blocks[id].select;
            let items = select.iter().flat_map(|select| &select.items);
            items.into_iter().any(|item| match item {
                SelectItem::Expr { expr, .. } => is_member(model, BlockId(id), expr),
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => false,
            })
        })
    }
}

impl Model<'_> {
    /// Whether an expression is computed from a quotient, whose digits a server does not show all.
    pub(super) fn may_divide(&self, block: BlockId, expr: &Expr) -> bool {
        let mut divides = false;
        walk::expr(expr, &mut |node| {
            divides |= is_quotient(&node)
                || match node {
                    Node::Expr(column @ Expr::Column { .. }) => self.is_divided(block, column),
                    _ => false,
                };
            !divides
        });
        divides
    }

    /// Whether a column is, or may be, one of a query that divides.
    fn is_divided(&self, block: BlockId, column: &Expr) -> bool {
        let divides = |source: &Source<'_>| match source {
            // One that is not known is too new for a view.
            Source::Table(_, info) => info.is_some_and(|info| info.view),
            Source::Query(query) => self.queries[query.0].divides(self),
            Source::Opaque => true,
        };
        match self.column(block, column) {
            Some(column) => divides(&self.refs[column.of.0].source),
            None => self.refs.iter().any(|found| divides(&found.source)),
        }
    }
}

fn is_member(model: &Model<'_>, block: BlockId, expr: &Expr) -> bool {
    let Expr::Function(function) = strip(expr) else { return false };
    let [of] = function.args.as_slice() else { return false };
    let is_filled = || {
        let column = model.column(block, of);
        column.is_some_and(|column| match model.refs[column.of.0].source {
            Source::Table(_, Some(info)) => {
                let found = info.column(&column.name);
                found.is_some_and(|(_, column)| matches!(column.ty, ColumnType::Int { zerofill: Some(_), .. }))
            }
            _ => false,
        })
    };
    matches!(function.name.as_str(), "MIN" | "MAX")
        && matches!(strip(of), Expr::Column { .. })
        && (matches!(model.class(block, of), Class::Numbered | Class::Unknown) || is_filled())
}
