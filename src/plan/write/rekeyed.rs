//! Which values that an UPDATE gives to a sharding key can be computed before it: those that hang on no row, and those
//! that hang on the row, of which only running it shows whether all rows get the same one.

use crate::error::SqlError;
use crate::plan::Plan;
use crate::plan::computed::{Computed, Item, With};
use crate::plan::functions::{Nature, nature};
use crate::plan::parts::{columns_of, is_random, parts, strip};
use crate::plan::resolve::{Column, Source};
use crate::plan::ties::slot;
use crate::plan::write::computed::{divides, is_free, literal, reads_tables, reads_target};
use crate::plan::write::limited::Clauses;
use crate::plan::write::{Scope, Writing};
use crate::rules::catalog::ColumnInfo;
use crate::sql::ast::{Assignment, Expr, Keyword, TableRef};

impl<'a> Writing<'_, '_, 'a> {
    /// The plan of an UPDATE that would be refused: the values of sharding keys are computed first if they can be.
    pub(in crate::plan) fn rekeyed(
        &self,
        plan: Result<Plan, SqlError>,
        scope: &Scope,
        set: &'a [Assignment],
        clauses: &Clauses<'a>,
    ) -> Result<Plan, SqlError> {
        let refusal = match plan {
            Err(refusal) if refusal.errno == 1235 => refusal,
            plan => return plan,
        };
        match self.compute_keys(scope, set, clauses) {
            Some(computed) => Ok(Plan::Computed(Box::new(computed))),
            None => Err(refusal),
        }
    }

    fn compute_keys(&self, scope: &Scope, set: &'a [Assignment], clauses: &Clauses<'a>) -> Option<Computed> {
        let [TableRef::Table { span, partitions: false, .. }] = clauses.tables() else { return None };
        let [target] = *scope.targets.as_slice() else { return None };
        let Source::Table(table, Some(info)) = self.model.refs[target.0].source else { return None };
        let refused = !self.only_computes()
            || info.view
            || self.has_lookups(table)
            || clauses.ignores()
            || clauses.has_ctes()
            || clauses.limit().is_some();
        if refused {
            return None;
        }
        let (mut items, mut columns, mut reads) = (Vec::new(), Vec::<ColumnInfo>::new(), false);
        let composer = self.composer();
        for assignment in set {
            let Expr::Column { name, span: named, .. } = &assignment.column else { return None };
            let column = Column { of: target, name: name.name.to_ascii_lowercase() };
            let same = self.model.column(scope.block, &assignment.value).as_ref() == Some(&column);
            if !self.model.is_key(&column) || same || slot(&assignment.value).is_some() {
                continue;
            }
            let value = &assignment.value;
            if is_random(value) || reads_target(self.model, table, value) {
                return None;
            }
            let number = u16::try_from(columns.len()).ok()?;
            columns.push(info.column(&column.name)?.1.clone());
            let with = if let Expr::Keyword(Keyword::Default, _) = strip(value) {
                With::Text(literal(self.model.session.facts.flavour, columns.last()?)?.into())
            } else if is_free(self.model, value) {
                self.value_of(value, number, false, &mut reads)?
            } else {
                self.hangs_on_its_row(scope, set, assignment)?;
                reads = true;
                With::Rows {
                    column: number,
                    divides: divides(value),
                    from: composer.anchors(*span).ok()?,
                    filter: match clauses.filter() {
                        Some(filter) => Some(composer.anchors(filter.span()).ok()?),
                        None => None,
                    },
                    own: composer.anchors(*named).ok()?,
                }
            };
            items.push(Item { place: composer.anchors(value.span()).ok()?, with });
        }
        (!items.is_empty()).then(|| Computed { items: items.into(), columns: columns.into(), reads, ignores: false })
    }

    /// That a value is computed from columns of the row as they are before the statement.
    fn hangs_on_its_row(&self, scope: &Scope, set: &'a [Assignment], assignment: &'a Assignment) -> Option<()> {
        if self.model.refs.len() != 1 || reads_tables(&assignment.value) || !is_of_row(&assignment.value) {
            return None;
        }
        let mut columns = Vec::new();
        columns_of(&assignment.value, &mut columns);
        let names: Vec<Column> =
            columns.into_iter().map(|column| self.model.column(scope.block, column)).collect::<Option<_>>()?;
        let others = set.iter().filter(|other| !std::ptr::eq(*other, assignment));
        // Of a column that is set before it, a value is the new one.
        let mut others = others.map(|other| self.model.column(scope.block, &other.column));
        others.all(|other| other.is_some_and(|other| !names.contains(&other))).then_some(())
    }
}

/// Whether an expression means the same in a SELECT from the table: an aggregate is an error to an UPDATE.
fn is_of_row(value: &Expr) -> bool {
    let own = match value {
        Expr::Keyword(Keyword::Default, _) => false,
        Expr::Function(function) => {
            !function.over && matches!(nature(&function.name), Nature::Pure | Nature::Clock | Nature::Schema)
        }
        _ => true,
    };
    own && parts(value).into_iter().all(is_of_row)
}
