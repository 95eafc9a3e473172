//! Temporary tables that a statement reads more than once, which MySQL refuses to do, and so it is here where the parts
//! of a statement are statements of their own. Where one server has all of it, that says so itself.
//! <https://dev.mysql.com/doc/refman/9.7/en/temporary-table-problems.html>

use crate::error::SqlError;
use crate::plan::Table;
use crate::plan::resolve::{Model, RefId, Source};
use crate::sql::Flavour;

/// Error 1137 for the first temporary table that is opened twice; `target`: the table that an INSERT opens first, by its
/// number and what it is called.
pub(super) fn opened_twice(model: &Model<'_>, target: Option<(u16, &str)>) -> Option<SqlError> {
    if model.session.facts.flavour != Flavour::MySql {
        return None;
    }
    let is_temporary =
        |table: &Table| model.catalog.table(&table.schema, &table.name).is_some_and(|info| info.temporary);
    let written = target.map(|(number, label)| (number, label, 1));
    let read = model.refs.iter().enumerate().filter_map(|(id, found)| match found.source {
        Source::Table(number, _) => Some((number, found.label, readings(model, RefId(id)))),
        Source::Query(_) | Source::Opaque => None,
    });
    let mut seen: Vec<(&Table, &str)> = Vec::new();
    for (number, label, times) in written.into_iter().chain(read) {
        let table = model.tables.get(usize::from(number)).filter(|table| times > 0 && is_temporary(table));
        let Some(table) = table else { continue };
        let same = |known: &Table| {
            known.schema.eq_ignore_ascii_case(&table.schema) && known.name.eq_ignore_ascii_case(&table.name)
        };
        let before = seen.iter().find(|(known, _)| same(known)).map(|(_, label)| *label);
        if let Some(label) = before.or((times > 1).then_some(label)) {
            let message = format!("Can't reopen table: '{label}'");
            return Some(SqlError { errno: 1137, state: *b"HY000", message });
        }
        seen.push((table, label));
    }
    None
}

/// How often a reference is read: as often as the common table expressions that it stands in.
fn readings(model: &Model<'_>, id: RefId) -> usize {
    let around = model.ctes.iter().filter_map(|cte| cte.query).map(|query| &model.queries[query.0]);
    around.filter(|query| query.refs.contains(&id.0)).map(|query| query.uses).product()
}
