//! Which UPDATE of a sharding key may leave rows that belong to another shard, so that they have to be carried there,
//! and still end as on one server whatever the order in which rows are written.

use crate::error::SqlError;
use crate::plan::moved::Move;
use crate::plan::resolve::{RefId, Source};
use crate::plan::route::KeyColumn;
use crate::plan::slot::Slot;
use crate::plan::sources::stored;
use crate::plan::ties::slot;
use crate::plan::write::limited::Clauses;
use crate::plan::write::{Scope, Writing};
use crate::rules::catalog::TableInfo;
use crate::sql::ast::{Assignment, Expr};

impl<'a> Writing<'_, '_, 'a> {
    /// How rows are carried to the shard of the key that they are given; none if none is given.
    pub(super) fn moves(
        &self,
        scope: &Scope,
        set: &'a [Assignment],
        clauses: &Clauses<'a>,
        assigned: &[(KeyColumn, Slot)],
    ) -> Option<Result<Box<Move>, SqlError>> {
        let key = match assigned {
            [] => return None,
            [(key, _)] => key,
            [_, (second, _), ..] => return Some(self.stays(&second.label, "is given two values", scope.targets[0])),
        };
        Some(self.movable(scope, set, clauses, key))
    }

    fn movable(
        &self,
        scope: &Scope,
        set: &'a [Assignment],
        clauses: &Clauses<'a>,
        key: &KeyColumn,
    ) -> Result<Box<Move>, SqlError> {
        let at = scope.targets[0];
        let stays = |why: &str| self.stays(&key.label, why, at);
        let Source::Table(table, Some(info)) = self.model.refs[at.0].source else {
            return stays("its table is not known");
        };
        if !clauses.is_of_one_table() || info.view {
            return stays("only an UPDATE of one table moves rows");
        }
        if clauses.ignores() {
            return stays("an UPDATE IGNORE moves no rows");
        }
        if self.model.key_names(table).len() != 1 {
            return stays("the table is split by two columns");
        }
        if let Some(column) = self.follows_order(set, info, key.column()) {
            return stays(&format!("the unique key with {column} would follow the order in which rows are written"));
        }
        match stored(info) {
            Ok(columns) => Ok(Box::new(Move { table, key: key.column().into(), columns })),
            Err(column) => stays(&format!("the values of {} cannot be carried", column.name)),
        }
    }

    /// A column that gets other values row by row, in a unique key with the sharding key: whether a row finds its new
    /// place taken then hangs on whether the row that is there has left it already. One value for all rows is found
    /// there in the end or never.
    fn follows_order(&self, set: &'a [Assignment], info: &TableInfo, key: &str) -> Option<&'a str> {
        let named = |columns: &[String], name: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        // What a key over an expression is computed from is not known.
        let computed = |columns: &[String]| columns.iter().any(String::is_empty);
        let varies = |assignment: &'a Assignment| match &assignment.column {
            Expr::Column { name, .. } if slot(&assignment.value).is_none() => Some(name.name.as_str()),
            _ => None,
        };
        let in_key = |name: &&str| {
            info.unique().any(|columns| computed(columns) || (named(columns, key) && named(columns, name)))
        };
        set.iter().filter_map(varies).find(in_key)
    }

    fn stays<T>(&self, label: &str, why: &str, at: RefId) -> Result<T, SqlError> {
        let why = format!("{label} would get a value of another shard, and {why}:");
        self.refuse(&why, at)
    }
}
