//! Where the parameters of a prepared statement stand, as far as it matters to what MySQL takes their values for: next to
//! a column, or anywhere else. It knows no values.

use crate::plan::parts::strip;
use crate::rules::catalog::{Catalog, ColumnType};
use crate::sql::Facts;
use crate::sql::ast::{Assignment, BinaryOp, Expr, InsertSource, Statement, TableRef};
use crate::sql::parse::parse;
use crate::sql::walk::{self, Node};

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A column takes its value: `VALUES (?)`, `SET c = ?`.
    Stored,
    /// It is compared with a column of whole numbers or decimals.
    Compared,
    /// Elsewhere: what it is taken for hangs on what it was.
    Free,
}

/// Where each of the `count` parameters of a statement stands. `schema` is the default one.
pub fn standing(sql: &[u8], facts: Facts, schema: Option<&str>, catalog: &Catalog, count: usize) -> Vec<Standing> {
    let mut found = vec![Standing::Free; count];
    let Ok(statement) = parse(sql, facts) else { return found };
    let mut put = |expr: &Expr, standing: Standing| {
        if let Expr::Param { index, .. } = strip(expr)
            && let Some(place) = found.get_mut(usize::from(*index))
        {
            *place = standing;
        }
    };
    stored(&statement, &mut |value| put(value, Standing::Stored));
    let columns = Columns { catalog, schema, names: walk::table_names(&statement), whole: has_tables_only(&statement) };
    walk::statement(&statement, &mut |node| {
        match node {
            Node::Expr(Expr::Binary { op, left, right, .. }) if compares(*op) => {
                for (one, other) in [(left, right), (right, left)] {
                    if columns.is_number(one) {
                        put(other, Standing::Compared);
                    }
                }
            }
            Node::Expr(Expr::Between { expr, low, high, .. }) if columns.is_number(expr) => {
                put(low, Standing::Compared);
                put(high, Standing::Compared);
            }
            Node::Expr(Expr::InList { expr, list, .. }) if columns.is_number(expr) => {
                list.iter().for_each(|member| put(member, Standing::Compared));
            }
            _ => {}
        }
        true
    });
    found
}

/// Shows the values that columns take as they are.
fn stored(statement: &Statement, show: &mut dyn FnMut(&Expr)) {
    let set = |assignments: &[Assignment], show: &mut dyn FnMut(&Expr)| {
        assignments.iter().for_each(|assignment| show(&assignment.value));
    };
    match statement {
        Statement::Insert(insert) => {
            match &insert.source {
                InsertSource::Values(rows) => rows.iter().flat_map(|(row, _)| row).for_each(&mut *show),
                InsertSource::Set(values) => values.iter().for_each(&mut *show),
                InsertSource::Query(_) => {}
            }
            set(&insert.on_duplicate, show);
        }
        Statement::Update(update) => set(&update.set, show),
        Statement::Query(_) | Statement::Delete(_) => {}
    }
}

fn compares(op: BinaryOp) -> bool {
    use BinaryOp::{Eq, Ge, Gt, Le, Lt, Ne, NullSafeEq};
    matches!(op, Eq | NullSafeEq | Ne | Lt | Le | Gt | Ge)
}

/// Whether names of columns can only be those of tables.
fn has_tables_only(statement: &Statement) -> bool {
    let mut only = true;
    walk::statement(statement, &mut |node| {
        only &= match node {
            Node::Query(query) => query.with.is_empty(),
            Node::Table(table) => !matches!(table, TableRef::Derived { .. } | TableRef::Function { .. }),
            Node::Name(_) | Node::Expr(_) => true,
        };
        only
    });
    only
}

/// The columns that a statement can name.
struct Columns<'a> {
    catalog: &'a Catalog,
    schema: Option<&'a str>,
    names: Vec<&'a crate::sql::ast::ObjectName>,
    whole: bool,
}

impl Columns<'_> {
    /// Whether an expression is a column that is a whole number or a decimal in whichever table of the statement has it.
    fn is_number(&self, expr: &Expr) -> bool {
        let Expr::Column { name: column, .. } = strip(expr) else { return false };
        let mut found = false;
        for name in &self.names {
            let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.schema);
            let info = schema.and_then(|schema| self.catalog.table(schema, &name.name.name));
            let Some(info) = info.filter(|_| self.whole) else { return false };
            if let Some((_, column)) = info.column(&column.name) {
                if !matches!(column.ty, ColumnType::Int { .. } | ColumnType::Decimal { .. }) {
                    return false;
                }
                found = true;
            }
        }
        found
    }
}
