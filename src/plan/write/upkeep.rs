//! Which writes of a table with lookups can keep these exactly, and what is needed for it. What is not sure to leave
//! the lookups as one server's unique keys would be is refused.

use crate::error::SqlError;
use crate::plan::numbering::Numbering;
use crate::plan::parts::strip;
use crate::plan::resolve::{RefId, Source};
use crate::plan::slot::Slot;
use crate::plan::text::put_name;
use crate::plan::ties::slot;
use crate::plan::upkeep::{Change, Given, Kept, Reach, UniqueKey, Upkeep, Upsert, UpsertKind};
use crate::plan::write::limited::Clauses;
use crate::plan::write::{Scope, Writing, rows_of};
use crate::rules::ShardedTable;
use crate::rules::catalog::{ColumnInfo, TableInfo};
use crate::rules::id::IdKind;
use crate::rules::lookup::Lookup;
use crate::sql::Flavour;
use crate::sql::ast::{Assignment, Expr, Insert, Keyword, Span, TableRef};

/// A table whose rows a statement changes, and the lookups that this concerns.
struct Concerned<'c, 'a> {
    id: RefId,
    owner: &'a ShardedTable,
    schema: &'a str,
    info: &'c TableInfo,
    lookups: Vec<&'a Lookup>,
}

impl<'a> Writing<'_, '_, 'a> {
    /// The lookups of a table of the statement.
    fn lookups_of(&self, table: u16) -> Option<(&'a ShardedTable, &'a str)> {
        let found = &self.model.tables[usize::from(table)];
        let schema = self.model.rules.schema(&found.schema)?;
        schema.sharded(&found.name).filter(|table| !table.lookups.is_empty()).map(|table| (table, &*schema.name))
    }

    /// Whether a table is a lookup.
    pub(in crate::plan) fn is_lookup(&self, table: u16) -> bool {
        let found = &self.model.tables[usize::from(table)];
        let schema = self.model.rules.schema(&found.schema);
        schema.and_then(|schema| schema.sharded(&found.name)).is_some_and(|table| table.owner.is_some())
    }

    /// The first lookup among the tables that an UPDATE or DELETE changes.
    pub(in crate::plan) fn lookup_in(&self, scope: &Scope) -> Option<u16> {
        scope.targets.iter().find_map(|id| match self.model.refs[id.0].source {
            Source::Table(table, _) if self.is_lookup(table) => Some(table),
            _ => None,
        })
    }

    /// Whether the rows of a table have to be looked after.
    pub(super) fn has_lookups(&self, table: u16) -> bool {
        self.lookups_of(table).is_some()
    }

    /// The upkeep of an INSERT; none if its table has no lookups.
    ///
    /// # Errors
    /// 1235 with the reason and the place.
    pub(in crate::plan) fn kept_by_insert(
        &self,
        insert: &'a Insert,
        table: u16,
        numbers: Option<&Numbering>,
    ) -> Result<Option<Upkeep>, SqlError> {
        let Some((owner, schema)) = self.lookups_of(table) else { return Ok(None) };
        let Some(info) = self.model.catalog.table(schema, &owner.name) else { return Ok(None) };
        if insert.returning {
            let why = format!("RETURNING in a write of {}, which has a lookup:", owner.name);
            return Err(SqlError::refuse_at(&why, self.model.sql, insert.span.start as usize));
        }
        self.no_side_effects(owner, insert.span)?;
        if let Some(kind) = self.upsert_kind(insert, owner)? {
            let kept: Result<Vec<Kept>, SqlError> =
                owner.lookups.iter().map(|lookup| self.kept(lookup, owner, schema, info)).collect();
            let upsert = self.upsert(kind, insert, owner, info, numbers)?;
            return Ok(Some(self.upkeep(owner, schema, kept?, Change::Upsert(upsert))));
        }
        let (mut kept, mut given) = (Vec::new(), Vec::new());
        for lookup in &owner.lookups {
            let one = self.kept(lookup, owner, schema, info)?;
            let mut values = Vec::new();
            for (number, row) in rows_of(insert).iter().enumerate() {
                for column in &one.columns {
                    values.push(self.given(insert, info, numbers, column, number as u32, row)?);
                }
            }
            kept.push(one);
            given.push(values.into());
        }
        Ok(Some(self.upkeep(owner, schema, kept, Change::Insert(given.into()))))
    }

    /// What an INSERT does about rows in its way; none if they are an error.
    fn upsert_kind(&self, insert: &Insert, owner: &ShardedTable) -> Result<Option<UpsertKind>, SqlError> {
        let (form, kind) = match (insert.replace, insert.ignore, !insert.on_duplicate.is_empty()) {
            (false, false, false) => return Ok(None),
            (true, _, _) => ("REPLACE", UpsertKind::Replace),
            (false, true, false) => ("IGNORE", UpsertKind::Ignore),
            (false, false, true) => ("ON DUPLICATE KEY UPDATE", UpsertKind::Update),
            (false, true, true) => return self.no_upsert("IGNORE with ON DUPLICATE KEY UPDATE", insert, owner),
        };
        match rows_of(insert).len() {
            1 => Ok(Some(kind)),
            _ => self.no_upsert(&format!("{form} of several rows"), insert, owner),
        }
    }

    fn no_upsert<T>(&self, what: &str, insert: &Insert, owner: &ShardedTable) -> Result<T, SqlError> {
        let why = format!("{what} in a write of {}, which has a lookup: write the rows one by one;", owner.name);
        Err(SqlError::refuse_at(&why, self.model.sql, insert.span.start as usize))
    }

    /// A row that others may be in the way of: by which keys they are found.
    fn upsert(
        &self,
        kind: UpsertKind,
        insert: &Insert,
        owner: &ShardedTable,
        info: &TableInfo,
        numbers: Option<&Numbering>,
    ) -> Result<Upsert, SqlError> {
        let identity = identity(owner, info);
        let odd = |key: &[String]| {
            info.is_partial(key)
                || key.iter().any(|name| info.column(name).is_none_or(|(_, column)| column.key_kind().is_err()))
        };
        let known = |key: &[String]| {
            let is = |lookup: &&Lookup| {
                lookup.columns.len() == key.len()
                    && lookup.columns.iter().zip(key).all(|(own, name)| own.eq_ignore_ascii_case(name))
            };
            let lookup = owner.lookups.iter().position(|lookup| is(&lookup));
            let placed = owner.columns.iter().all(|name| key.iter().any(|own| own.eq_ignore_ascii_case(name)));
            (lookup.is_some() || placed).then_some(lookup.filter(|_| !placed))
        };
        let unfit = info.unique().find(|key| odd(key) || known(key).is_none());
        if unfit.is_some() || info.primary_key.is_empty() || identity.iter().any(|column| column.key_kind().is_err()) {
            let why = format!(
                "IGNORE, REPLACE or ON DUPLICATE KEY UPDATE in a write of {}, which has a lookup, and a unique key over \
                 which rows in the way cannot be found: none, or one without a lookup, over expressions or parts of \
                 columns, or of a type that is no sharding key;",
                owner.name
            );
            return Err(SqlError::refuse_at(&why, self.model.sql, insert.span.start as usize));
        }
        let rows = rows_of(insert);
        let row = rows.first().copied().unwrap_or_default();
        let given = |column: &ColumnInfo| self.given(insert, info, numbers, column, 0, row);
        let mut keys = Vec::new();
        for key in info.unique() {
            let columns: Vec<ColumnInfo> =
                key.iter().filter_map(|name| info.column(name)).map(|(_, column)| column.clone()).collect();
            let values = columns.iter().map(given).collect::<Result<Vec<Given>, SqlError>>()?;
            keys.push(UniqueKey { columns: columns.into(), values: values.into(), lookup: known(key).flatten() });
        }
        let row = identity.iter().map(given).collect::<Result<Vec<Given>, SqlError>>()?;
        Ok(Upsert { kind, identity: identity.into(), row: row.into(), keys: keys.into() })
    }

    fn upkeep(&self, owner: &ShardedTable, schema: &str, kept: Vec<Kept>, change: Change) -> Upkeep {
        Upkeep { table: owner.name.as_str().into(), quoted: quoted(schema, &owner.name), lookups: kept.into(), change }
    }

    /// What a row has for a column.
    fn given(
        &self,
        insert: &Insert,
        info: &TableInfo,
        numbers: Option<&Numbering>,
        column: &ColumnInfo,
        number: u32,
        row: &[Expr],
    ) -> Result<Given, SqlError> {
        let made = numbers.filter(|numbers| column.is_named(&numbers.column));
        let value = self.position(insert, Some(info), &column.name).and_then(|position| row.get(position));
        let value = value.filter(|value| !matches!(strip(value), Expr::Keyword(Keyword::Default, _)));
        if let Some(made) = made
            && (made.kind != IdKind::Uuid || value.is_none())
        {
            return Ok(Given::Value(Slot::Id(number)));
        }
        match value {
            None if column.nullable && self.has_no_default(column) => Ok(Given::Absent),
            None => Ok(Given::Unknown),
            Some(value) => slot(value).map(Given::Value).ok_or_else(|| {
                let why = format!("{}, which is in a lookup, needs a literal or parameter:", column.name);
                SqlError::refuse_at(&why, self.model.sql, value.span().start as usize)
            }),
        }
    }

    fn has_no_default(&self, column: &ColumnInfo) -> bool {
        // MariaDB writes texts with quotes here, and NULL without.
        let mariadb = self.model.session.facts.flavour == Flavour::MariaDb;
        column.default.as_deref().is_none_or(|default| mariadb && default == "NULL")
    }

    /// The upkeep of an UPDATE or DELETE; none if it concerns no lookup.
    ///
    /// # Errors
    /// 1235 with the reason and the place.
    pub(in crate::plan) fn kept_by_change(
        &self,
        scope: &Scope,
        set: &'a [Assignment],
        clauses: &Clauses<'a>,
        returning: Option<Span>,
    ) -> Result<Option<Upkeep>, SqlError> {
        for id in &scope.targets {
            let Source::Table(table, info) = self.model.refs[id.0].source else { continue };
            let (Some((owner, schema)), Some(info)) = (self.lookups_of(table), info) else { continue };
            let concerned = self.concerned(owner, scope, set)?;
            if concerned.is_empty() {
                continue;
            }
            let of = Concerned { id: *id, owner, schema, info, lookups: concerned };
            return self.kept_by_change_of(&of, set, clauses, returning).map(Some);
        }
        Ok(None)
    }

    fn kept_by_change_of(
        &self,
        of: &Concerned<'_, 'a>,
        set: &'a [Assignment],
        clauses: &Clauses<'a>,
        returning: Option<Span>,
    ) -> Result<Upkeep, SqlError> {
        let Concerned { id, owner, schema, info, ref lookups } = *of;
        let whole = self.model.refs[id.0].span;
        let refuse = |what: &str, at: Span| {
            let why = format!("{what} in a write that concerns a lookup of {}:", owner.name);
            Err(SqlError::refuse_at(&why, self.model.sql, at.start as usize))
        };
        let [TableRef::Table { span, partitions: false, .. }] = clauses.tables() else {
            return refuse("several tables", whole);
        };
        if self.model.refs.len() > 1 {
            return refuse("a subquery", whole);
        }
        if clauses.ignores() {
            return refuse("IGNORE", whole);
        }
        if let Some(at) = clauses.end().or(returning) {
            return refuse("ORDER BY, LIMIT or RETURNING", at);
        }
        self.no_side_effects(owner, whole)?;
        let kept: Result<Vec<Kept>, SqlError> =
            lookups.iter().map(|lookup| self.kept(lookup, owner, schema, info)).collect();
        let composer = self.composer();
        let filter = clauses.filter().map(|filter| composer.anchors(filter.span())).transpose()?;
        let reach = Reach { from: composer.anchors(*span)?, filter };
        let change = match set {
            [] => Change::Delete(reach),
            set => self.update(owner, info, set, reach)?,
        };
        Ok(self.upkeep(owner, schema, kept?, change))
    }

    fn update(
        &self,
        owner: &ShardedTable,
        info: &TableInfo,
        set: &'a [Assignment],
        reach: Reach,
    ) -> Result<Change, SqlError> {
        let identity = identity(owner, info);
        let moved = set.iter().find(|assignment| {
            assigned(assignment).is_none_or(|name| identity.iter().any(|column| column.is_named(name)))
        });
        let odd = identity.iter().any(|column| column.key_kind().is_err());
        if let (Some(at), _) | (None, Some(at)) = (moved, set.first().filter(|_| odd || info.primary_key.is_empty())) {
            let why = format!(
                "an UPDATE that concerns a lookup of {} needs a primary key whose values stay, and are exact:",
                owner.name
            );
            return Err(SqlError::refuse_at(&why, self.model.sql, at.column.span().start as usize));
        }
        let in_lookup = |name: &str| {
            owner.lookups.iter().any(|lookup| lookup.columns.iter().any(|column| column.eq_ignore_ascii_case(name)))
        };
        let computed = set
            .iter()
            .find(|assignment| assigned(assignment).is_some_and(in_lookup) && slot(&assignment.value).is_none());
        let composer = self.composer();
        let computed = computed.map(|assignment| composer.anchors(assignment.column.span())).transpose()?;
        Ok(Change::Update { reach, identity: identity.into(), computed: computed.map(|(from, _)| from) })
    }

    /// The lookups of a table whose rows an UPDATE or DELETE changes.
    fn concerned(
        &self,
        owner: &'a ShardedTable,
        scope: &Scope,
        set: &'a [Assignment],
    ) -> Result<Vec<&'a Lookup>, SqlError> {
        if set.is_empty() {
            return Ok(owner.lookups.iter().collect());
        }
        let sets = |name: &String| {
            set.iter().find(|assignment| assigned(assignment).is_some_and(|set| set.eq_ignore_ascii_case(name)))
        };
        let same = |assignment: &Assignment| {
            let column = self.model.column(scope.block, &assignment.column);
            column.is_some() && column == self.model.column(scope.block, &assignment.value)
        };
        if let Some(assignment) = owner.columns.iter().filter_map(sets).find(|assignment| !same(assignment)) {
            let why = format!(
                "the sharding key of {}, which its lookup leads to, cannot be changed: delete the row and insert it \
                 anew;",
                owner.name
            );
            return Err(SqlError::refuse_at(&why, self.model.sql, assignment.column.span().start as usize));
        }
        Ok(owner.lookups.iter().filter(|lookup| lookup.columns.iter().any(|name| sets(name).is_some())).collect())
    }

    /// A lookup as the statement keeps it.
    fn kept(&self, lookup: &Lookup, owner: &ShardedTable, schema: &str, info: &TableInfo) -> Result<Kept, SqlError> {
        let refuse = |why: String| Err(SqlError::refuse(format!("{}: {why}", owner.name)));
        let Some(theirs) = self.model.catalog.table(schema, &lookup.table) else {
            return refuse(format!("its lookup {} is missing; `shardloom check --create` makes it", lookup.table));
        };
        match lookup.fit(owner, info, theirs) {
            Err(why) => refuse(why),
            Ok(fit) => Ok(Kept {
                quoted: quoted(schema, &lookup.table),
                columns: fit
                    .columns
                    .iter()
                    .filter_map(|name| info.column(name))
                    .map(|(_, info)| info.clone())
                    .collect(),
                unique: lookup.columns.len(),
                key: fit.key.into(),
            }),
        }
    }

    /// That the statement, which is done in several steps, leaves the session as one would.
    fn no_side_effects(&self, owner: &ShardedTable, at: Span) -> Result<(), SqlError> {
        let effects = &self.model.effects;
        let what = if effects.sets_variables || effects.sets_last_insert_id {
            "an assignment to what the session knows"
        } else if effects.user_locks || effects.stored_function || effects.random {
            "a function that does more than compute"
        } else {
            return Ok(());
        };
        let why = format!("{what} in a write that concerns a lookup of {}:", owner.name);
        Err(SqlError::refuse_at(&why, self.model.sql, at.start as usize))
    }
}

/// The columns that tell a row: those of the primary key, and those that say where it is.
fn identity(owner: &ShardedTable, info: &TableInfo) -> Vec<ColumnInfo> {
    let mut identity: Vec<ColumnInfo> = Vec::new();
    for name in info.primary_key.iter().chain(&owner.columns) {
        let known = identity.iter().any(|column| column.is_named(name));
        if let (Some((_, column)), false) = (info.column(name), known) {
            identity.push(column.clone());
        }
    }
    identity
}

/// The column that is set.
fn assigned(assignment: &Assignment) -> Option<&str> {
    match &assignment.column {
        Expr::Column { name, .. } => Some(&name.name),
        _ => None,
    }
}

fn quoted(schema: &str, table: &str) -> Box<str> {
    let mut out = Vec::new();
    put_name(schema, table, &mut out);
    String::from_utf8_lossy(&out).into()
}
