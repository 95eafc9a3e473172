//! Which UPDATE and DELETE can be done by reading the keys of their rows first, where no server has all that says which
//! rows they are: those whose result hangs neither on the order in which rows are written nor on which of several
//! matches of a row comes first. What else there is, is refused.

use crate::error::SqlError;
use crate::plan::joined::{Given, Joined, Written};
use crate::plan::parts::{columns_of, is_quotient, parts, strip};
use crate::plan::resolve::{Column, RefId, Source};
use crate::plan::text::{put_name, quote};
use crate::plan::write::limited::Clauses;
use crate::plan::write::{Scope, Writing};
use crate::plan::{Many, Place, Plan};
use crate::rules::catalog::{ColumnInfo, TableInfo};
use crate::sql::Flavour;
use crate::sql::ast::{Assignment, Expr, TableRef};
use crate::sql::walk::{self, Node};

impl<'a> Writing<'_, '_, 'a> {
    /// The plan of an UPDATE or DELETE; where it would be refused, it is done by the keys of its rows if it can be.
    /// `sound`: whether its parts can be.
    pub(in crate::plan) fn joined(
        &self,
        plan: Result<Plan, SqlError>,
        scope: &Scope,
        set: &'a [Assignment],
        clauses: &Clauses<'a>,
        sound: impl Fn(&Joined) -> bool,
    ) -> Result<Plan, SqlError> {
        let joined = || self.by_keys(scope, set, clauses).filter(&sound).map(Box::new);
        match plan {
            Err(refusal) if refusal.errno == 1235 => joined().map(Plan::Joined).ok_or(refusal),
            Ok(Plan::Sharded(mut sharded)) => {
                if matches!(sharded.many, Many::Refuse(_))
                    && let Some(joined) = joined()
                {
                    sharded.many = Many::Joined(joined);
                }
                Ok(Plan::Sharded(sharded))
            }
            plan => plan,
        }
    }

    fn by_keys(&self, scope: &Scope, set: &'a [Assignment], clauses: &Clauses<'a>) -> Option<Joined> {
        let model = self.model;
        let effects = &model.effects;
        // It runs in several parts, some of them once for many rows and others for each.
        let refused = effects.random
            || effects.sets_variables
            || effects.sets_last_insert_id
            || effects.user_locks
            || effects.stored_function
            || effects.locking
            || clauses.has_ctes()
            || clauses.ignores()
            || clauses.end().is_some()
            || !model.relations.is_empty()
            || !model.obstacles.is_empty()
            // What one table says of its own rows is refused for other reasons.
            || model.refs.len() < 2;
        if refused || !self.targets_stand_apart(scope) {
            return None;
        }
        // A row that goes with another one is not there any more when its own turn comes.
        if set.is_empty() && scope.targets.len() > 1 && scope.targets.iter().any(|id| self.goes_with_others(*id)) {
            return None;
        }
        // MariaDB looks at the condition again when it comes to the second table, and at what the first has by then.
        if scope.targets.len() > 1 && changes_condition(set, clauses) {
            return None;
        }
        let mut written = scope.targets.iter().map(|id| self.written(*id)).collect::<Option<Vec<_>>>()?;
        for assignment in set {
            let column = self.assigned_column(scope, assignment)?;
            let at = scope.targets.iter().position(|id| *id == column.of)?;
            let given = self.given_to(scope, set, assignment, &column)?;
            let mut all = std::mem::take(&mut written[at].set).into_vec();
            if all.iter().any(|known| known.column.is_named(&given.column.name)) {
                return None;
            }
            all.push(given);
            written[at].set = all.into();
        }
        let composer = self.composer();
        let filter = clauses.filter().map(|filter| composer.anchors(filter.span())).transpose().ok()?;
        Some(Joined {
            tables: composer.anchors(clauses.tables_span()).ok()?,
            filter,
            locks: self.locks_for(scope)?.into(),
            written: written.into(),
            divides: divides(set, clauses),
        })
    }

    /// Whether each written table is written once, and read nowhere but beside itself: what it is compared with is then
    /// as it was before the statement.
    fn targets_stand_apart(&self, scope: &Scope) -> bool {
        let model = self.model;
        let table = |id: RefId| match model.refs[id.0].source {
            Source::Table(table, _) => Some(table),
            _ => None,
        };
        let targets: Vec<Option<u16>> = scope.targets.iter().map(|id| table(*id)).collect();
        let once = targets.iter().enumerate().all(|(at, target)| target.is_some() && !targets[..at].contains(target));
        let beside = (0..model.refs.len()).map(RefId).all(|id| {
            let inside = model.refs[id.0].block != scope.block;
            !(inside && table(id).is_some() && targets.contains(&table(id)))
        });
        let from = &model.blocks[scope.block.0].from;
        let label = |id: &RefId| model.refs[id.0].label;
        let told_apart = from
            .iter()
            .enumerate()
            .all(|(at, id)| !from[..at].iter().any(|other| label(other).eq_ignore_ascii_case(label(id))));
        let known = (0..model.refs.len()).map(RefId).all(|id| match model.refs[id.0].source {
            Source::Table(_, info) => info.is_some_and(|info| !info.view) && model.place(id) != Some(Place::System),
            Source::Query(_) => true,
            Source::Opaque => false,
        });
        once && beside && told_apart && known
    }

    /// Whether rows of a table change with those that they refer to.
    fn goes_with_others(&self, id: RefId) -> bool {
        match self.model.refs[id.0].source {
            Source::Table(_, info) => info.is_none_or(|info| !info.foreign_keys.is_empty()),
            Source::Query(_) | Source::Opaque => true,
        }
    }

    /// A table to be written by its key.
    fn written(&self, id: RefId) -> Option<Written> {
        let found = &self.model.refs[id.0];
        let Source::Table(number, Some(info)) = found.source else { return None };
        let table = &self.model.tables[usize::from(number)];
        let key = match info.primary_key.is_empty() || info.is_partial(&info.primary_key) {
            false => &info.primary_key,
            true => info.unique_keys.values().find(|key| !info.is_partial(key) && is_filled(info, key))?,
        };
        let mut columns: Vec<ColumnInfo> = Vec::new();
        for name in key.iter().chain(self.model.key_names(number)) {
            let (_, column) = info.column(name)?;
            if !columns.iter().any(|known| known.is_named(name)) {
                columns.push(column.clone());
            }
        }
        let mut quoted = Vec::new();
        put_name(&table.schema, &table.name, &mut quoted);
        Some(Written {
            table: String::from_utf8_lossy(&quoted).into(),
            label: found.label.into(),
            aliased: found.schema.is_none(),
            key: columns.into(),
            set: Box::default(),
        })
    }

    fn assigned_column(&self, scope: &Scope, assignment: &Assignment) -> Option<Column> {
        let Expr::Column { name, .. } = &assignment.column else { return None };
        match self.model.blocks[scope.block.0].from.as_slice() {
            [only] => Some(Column { of: *only, name: name.name.to_ascii_lowercase() }),
            _ => self.model.column(scope.block, &assignment.column),
        }
    }

    /// What a column is given. In which order rows and columns are written must make no difference: it is part of no
    /// unique key, and its value hangs on no other column that is given one.
    fn given_to(&self, scope: &Scope, set: &'a [Assignment], own: &'a Assignment, column: &Column) -> Option<Given> {
        let Source::Table(_, Some(info)) = self.model.refs[column.of.0].source else { return None };
        let (_, found) = info.column(&column.name)?;
        let unique = info.unique().flatten().any(|name| name.is_empty() || name.eq_ignore_ascii_case(&column.name));
        let partial = info.partial_keys.iter().any(|key| !info.other_keys.contains_key(key));
        if found.generated || unique || partial || self.model.is_key(column) {
            return None;
        }
        let mut columns = Vec::new();
        columns_of(&own.value, &mut columns);
        let mut read = has_subquery(&own.value);
        for used in columns {
            let used = self.model.column(scope.block, used)?;
            read |= used.of != column.of;
            let given = |other: &Assignment| self.assigned_column(scope, other).is_none_or(|other| other == used);
            if used != *column && set.iter().any(given) {
                return None;
            }
        }
        // What a subquery sees of the row is in it by names that are looked up from inside.
        if has_subquery(&own.value) && set.len() > 1 && self.sees_given(scope, set, &own.value, column) {
            return None;
        }
        // A default is no value of a SELECT.
        if read && matches!(strip(&own.value), Expr::Keyword(..)) {
            return None;
        }
        let value = self.composer().anchors(own.value.span()).ok()?;
        Some(Given { column: found.clone(), value, read })
    }

    /// Whether a subquery may name another column that the statement gives a value.
    fn sees_given(&self, scope: &Scope, set: &[Assignment], value: &Expr, own: &Column) -> bool {
        let others: Vec<String> = set
            .iter()
            .filter_map(|other| self.assigned_column(scope, other))
            .filter(|other| other != own)
            .map(|other| other.name)
            .collect();
        let mut sees = false;
        walk::expr(value, &mut |node| {
            if let Node::Expr(Expr::Column { name, .. }) = node {
                sees |= others.iter().any(|other| other.eq_ignore_ascii_case(&name.name));
            }
            !sees
        });
        sees
    }

    /// The clauses that lock the rows of the tables as one server does: those to be written, and shared the others.
    fn locks_for(&self, scope: &Scope) -> Option<String> {
        if self.model.session.facts.flavour == Flavour::MariaDb {
            return Some(" FOR UPDATE".to_owned());
        }
        let mut text = String::new();
        for (lock, written) in [("FOR UPDATE", true), ("FOR SHARE", false)] {
            let of = self.model.blocks[scope.block.0].from.iter().filter(|id| {
                let is_table = matches!(self.model.refs[id.0].source, Source::Table(..));
                is_table && scope.targets.contains(id) == written
            });
            let mut names = Vec::new();
            for (number, id) in of.enumerate() {
                names.extend_from_slice(if number == 0 { b" OF " } else { b", " });
                quote(self.model.refs[id.0].label.as_bytes(), &mut names);
            }
            if !names.is_empty() {
                text += &format!(" {lock}{}", String::from_utf8(names).ok()?);
            }
        }
        Some(text)
    }
}

/// Whether no column of a key is ever NULL.
fn is_filled(info: &TableInfo, key: &[String]) -> bool {
    !key.is_empty() && key.iter().all(|name| info.column(name).is_some_and(|(_, column)| !column.nullable))
}

/// Whether a column that is given a value may be one that says which rows match.
fn changes_condition(set: &[Assignment], clauses: &Clauses<'_>) -> bool {
    let given = |name: &str| {
        set.iter().any(|assignment| match &assignment.column {
            Expr::Column { name: column, .. } => column.name.eq_ignore_ascii_case(name),
            _ => true,
        })
    };
    let mut changes = false;
    let mut look = |node: Node<'_>| {
        changes |= match node {
            Node::Expr(Expr::Column { name, .. }) => given(&name.name),
            Node::Table(TableRef::Join { natural: true, .. }) => !set.is_empty(),
            Node::Table(TableRef::Join { using, .. }) => using.iter().any(|column| given(&column.name)),
            _ => false,
        };
        true
    };
    clauses.filter().iter().for_each(|filter| walk::expr(filter, &mut look));
    clauses.tables().iter().for_each(|table| walk::table(table, &mut look));
    changes
}

fn has_subquery(expr: &Expr) -> bool {
    matches!(strip(expr), Expr::Subquery(..) | Expr::Exists(..) | Expr::InSubquery { .. })
        || parts(strip(expr)).into_iter().any(has_subquery)
}

/// Whether a quotient may be among the values, or in what they are computed from.
fn divides(set: &[Assignment], clauses: &Clauses<'_>) -> bool {
    let mut divides = false;
    let mut look = |node: Node<'_>| {
        divides |= is_quotient(&node);
        true
    };
    set.iter().for_each(|assignment| walk::expr(&assignment.value, &mut look));
    clauses.tables().iter().for_each(|table| walk::table(table, &mut look));
    divides
}
