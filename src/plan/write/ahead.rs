//! Which subqueries of an UPDATE or DELETE can be read before it, where no server has both: those that do not hang on
//! its rows, and whose values mean the same when they are written out, by the types of the columns that they meet.

use crate::error::SqlError;
use crate::plan::ahead::{Ahead, Prior, Purpose};
use crate::plan::parts::{parts, strip};
use crate::plan::resolve::{BlockId, BodyNode, Model, QueryId, RefId, Source};
use crate::plan::ties::is_comparison;
use crate::plan::write::limited::Clauses;
use crate::plan::write::{Scope, Writing};
use crate::plan::{Many, Place, Plan};
use crate::rules::catalog::{ColumnInfo, ColumnType};
use crate::sql::Flavour;
use crate::sql::ast::{Assignment, BinaryOp, Expr, Query, Span};

impl<'a> Writing<'_, '_, 'a> {
    /// The plan of an UPDATE or DELETE; where it would be refused, its subqueries are read first if they can be.
    pub(in crate::plan) fn ahead(
        &self,
        plan: Result<Plan, SqlError>,
        scope: &Scope,
        set: &'a [Assignment],
        clauses: &Clauses<'a>,
    ) -> Result<Plan, SqlError> {
        match plan {
            Err(refusal) if refusal.errno == 1235 => match self.read_first(scope, set, clauses) {
                Some(ahead) => Ok(Plan::Ahead(Box::new(ahead))),
                None => Err(refusal),
            },
            Ok(Plan::Sharded(mut sharded)) => {
                if matches!(sharded.many, Many::Refuse(_))
                    && let Some(ahead) = self.read_first(scope, set, clauses)
                {
                    sharded.many = Many::Ahead(Box::new(ahead));
                }
                Ok(Plan::Sharded(sharded))
            }
            plan => plan,
        }
    }

    fn read_first(&self, scope: &Scope, set: &'a [Assignment], clauses: &Clauses<'a>) -> Option<Ahead> {
        let effects = &self.model.effects;
        // A query with these is no constant, or does more than to read; one that knows WITH is none by itself. LIMIT
        // takes steps of its own.
        let refused = effects.random
            || effects.sets_variables
            || effects.sets_last_insert_id
            || effects.user_locks
            || effects.stored_function
            || clauses.has_ctes()
            || clauses.limit().is_some()
            || !self.model.relations.is_empty();
        if refused {
            return None;
        }
        let mut finder = Finder { writing: self, scope, alone: clauses.is_of_one_table(), found: Vec::new() };
        for assignment in set {
            finder.assignment(assignment)?;
        }
        clauses.filter().map_or(Some(()), |filter| finder.condition(filter))?;
        (!finder.found.is_empty()).then(|| Ahead { queries: finder.found.into(), updates: !set.is_empty() })
    }
}

/// Looks for the subqueries; each of its steps gives none if one of them cannot be read first.
struct Finder<'f, 'w, 'm, 'a> {
    writing: &'f Writing<'w, 'm, 'a>,
    scope: &'f Scope,
    /// The statement is of one table.
    alone: bool,
    found: Vec<Prior>,
}

impl<'a> Finder<'_, '_, '_, 'a> {
    fn assignment(&mut self, assignment: &'a Assignment) -> Option<()> {
        match strip(&assignment.value) {
            Expr::Subquery(query, span) if self.is_elsewhere(query) => {
                let column = self.column(&assignment.column)?;
                self.take(query, *span, vec![column], Purpose::Store)
            }
            value => self.condition(value),
        }
    }

    fn condition(&mut self, condition: &'a Expr) -> Option<()> {
        match strip(condition) {
            Expr::InSubquery { expr, query, negated, span } if self.is_elsewhere(query) => {
                let members = match strip(expr) {
                    Expr::Tuple(members, _) => members.iter().collect(),
                    other => vec![other],
                };
                let columns = members.into_iter().map(|member| self.column(member)).collect::<Option<_>>()?;
                // One server does not take it.
                if query.limit.is_some() {
                    return None;
                }
                self.take(query, *span, columns, Purpose::Among { negated: *negated })
            }
            Expr::Binary { op, left, right, .. } if is_comparison(*op) || *op == BinaryOp::NullSafeEq => {
                for (side, other) in [(left, right), (right, left)] {
                    match strip(side) {
                        Expr::Subquery(query, span) if self.is_elsewhere(query) => {
                            let column = self.column(other)?;
                            self.take(query, *span, vec![column], Purpose::Compare)?;
                        }
                        side => self.condition(side)?,
                    }
                }
                Some(())
            }
            Expr::Binary { op, left, right, .. } if is_arithmetic(*op) => {
                for side in [left, right] {
                    match strip(side) {
                        Expr::Subquery(query, span) if self.is_elsewhere(query) => {
                            let number = number_of(self.writing.model, query)?;
                            self.take(query, *span, vec![number], Purpose::Compute)?;
                        }
                        side => self.condition(side)?,
                    }
                }
                Some(())
            }
            Expr::Exists(query, span) if self.is_elsewhere(query) => {
                self.take(query, *span, vec![number("bigint")], Purpose::Exists)
            }
            Expr::Subquery(query, _) | Expr::Exists(query, _) => (!self.is_elsewhere(query)).then_some(()),
            Expr::InSubquery { expr, .. } => self.condition(expr),
            other => parts(other).into_iter().try_for_each(|part| self.condition(part)),
        }
    }

    /// Whether a query reads what may lie on another server, and hangs on no row of the statement.
    fn is_elsewhere(&self, query: &Query) -> bool {
        let model = self.writing.model;
        let Some(id) = model.query_of(query) else { return false };
        let node = &model.queries[id.0];
        let stands_free = |block: usize| {
            let found = &model.blocks[block];
            !found.correlated || found.parent.is_some_and(|parent| node.blocks.contains(&parent.0))
        };
        node.blocks.clone().all(stands_free)
            && node.refs.clone().any(|of| matches!(model.place(RefId(of)), Some(Place::Sharded(_) | Place::Single(_))))
    }

    /// The column of a table that an expression is.
    fn column(&self, expr: &Expr) -> Option<ColumnInfo> {
        let model = self.writing.model;
        let column = model.column(self.scope.block, expr)?;
        match model.refs[column.of.0].source {
            Source::Table(_, Some(info)) => info.column(&column.name).map(|(_, info)| info.clone()),
            _ => None,
        }
    }

    fn take(&mut self, query: &Query, place: Span, columns: Vec<ColumnInfo>, purpose: Purpose) -> Option<()> {
        let model = self.writing.model;
        let id = model.query_of(query)?;
        let alike = |(index, column): (usize, &ColumnInfo)| self.compares(id, index, column);
        let compared = matches!(purpose, Purpose::Compare | Purpose::Among { .. });
        if self.reads_target(id) || (compared && !columns.iter().enumerate().all(alike)) {
            return None;
        }
        let node = &model.queries[id.0];
        let composer = self.writing.composer();
        self.found.push(Prior {
            query: composer.anchors(query.span).ok()?,
            place: composer.anchors(place).ok()?,
            columns: columns.into(),
            purpose,
            divides: node.divides(model),
        });
        Some(())
    }

    /// Whether a query reads a table that the statement changes, so that one server refuses it: MySQL wherever it is
    /// not inside a derived table, MariaDB in a statement of several tables.
    fn reads_target(&self, query: QueryId) -> bool {
        let model = self.writing.model;
        let table = |id: &RefId| match model.refs[id.0].source {
            Source::Table(table, _) => Some(table),
            _ => None,
        };
        let refs = &model.queries[query.0].refs;
        let derived = |of: usize| {
            refs.clone().any(|around| match model.refs[around].source {
                Source::Query(inner) => model.queries[inner.0].refs.contains(&of),
                _ => false,
            })
        };
        let free = self.alone && model.session.facts.flavour == Flavour::MariaDb;
        let changed =
            |of: usize| self.scope.targets.iter().filter_map(table).any(|target| table(&RefId(of)) == Some(target));
        !free && refs.clone().any(|of| changed(of) && !derived(of))
    }

    /// Whether the values of a query's column are compared with a column as they are when they are written out. A text
    /// has the collation of both only if they have the same.
    fn compares(&self, query: QueryId, index: usize, column: &ColumnInfo) -> bool {
        match column.ty {
            ColumnType::Int { .. } | ColumnType::Decimal { .. } | ColumnType::Float { .. } => true,
            ColumnType::Date | ColumnType::DateTime(_) => true,
            ColumnType::Binary(_) | ColumnType::Varbinary(_) | ColumnType::Blob(_) => true,
            ColumnType::Char(_) | ColumnType::Varchar(_) | ColumnType::Text(_) => {
                let BodyNode::Block(block) = self.writing.model.queries[query.0].body else { return false };
                self.collation(block, index).is_some_and(|collation| Some(collation) == column.collation)
            }
            _ => false,
        }
    }

    /// The collation of a block's output that is a column, or the least or greatest of one.
    fn collation(&self, block: BlockId, index: usize) -> Option<String> {
        let model = self.writing.model;
        let output = model.block_outputs(block)?.into_iter().nth(index)?;
        let column = match (output.column, output.expr.map(strip)) {
            (Some(column), _) => column,
            (None, Some(Expr::Function(function))) if matches!(&*function.name, "MIN" | "MAX") && !function.over => {
                let [of] = function.args.as_slice() else { return None };
                model.column(block, of)?
            }
            _ => return None,
        };
        let Source::Table(_, Some(info)) = model.refs[column.of.0].source else { return None };
        info.column(&column.name)?.1.collation.clone()
    }
}

/// What the one value of a query can be stored in, if it is a number whose literal has the same type, sign and scale:
/// whole numbers with a sign, and decimals with digits behind the point.
pub(super) fn number_of(model: &Model<'_>, query: &Query) -> Option<ColumnInfo> {
    let BodyNode::Block(block) = model.queries[model.query_of(query)?.0].body else { return None };
    let outputs = model.block_outputs(block)?;
    let [output] = outputs.as_slice() else { return None };
    let (of, sum) = match (&output.column, output.expr.map(strip)) {
        (Some(column), _) => (column.clone(), false),
        (None, Some(Expr::Function(function))) if !function.over => match (&*function.name, &*function.args) {
            ("COUNT", _) => return Some(number("bigint")),
            ("MIN" | "MAX", [of]) => (model.column(block, of)?, false),
            ("SUM", [of]) => (model.column(block, of)?, true),
            _ => return None,
        },
        _ => return None,
    };
    let Source::Table(_, Some(info)) = model.refs[of.of.0].source else { return None };
    match info.column(&of.name)?.1.ty {
        ColumnType::Int { unsigned: false, zerofill: None, .. } if !sum => Some(number("bigint")),
        ColumnType::Decimal { scale: 1.., unsigned: false, .. } => Some(number("decimal(65,30)")),
        _ => None,
    }
}

pub(super) fn is_arithmetic(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::IntDiv | BinaryOp::Mod)
}

/// A column that has the values of a query which meets none.
fn number(ty: &str) -> ColumnInfo {
    ColumnInfo::of_type("number", ty)
}
