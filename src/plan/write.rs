//! INSERT, REPLACE, UPDATE and DELETE: which rows they touch where, and what must not differ from copy to copy.
//! A row is stored on the one shard of its key; a write that could put it elsewhere is refused.

mod ahead;
mod carried;
mod computed;
mod ids;
mod joined;
pub(super) mod limited;
mod moved;
mod rekeyed;
mod singly;
pub(super) mod upkeep;

use crate::error::SqlError;
use crate::plan::functions::{Nature, nature};
use crate::plan::locality::{Locality, routing, single_group};
use crate::plan::numbering::{Numbering, RowId};
use crate::plan::parts::{parts, strip};
use crate::plan::resolve::{BlockId, Column, Model, QueryId, RefId, Source, several};
use crate::plan::route::{By, KeyColumn, OnNull, Routing};
use crate::plan::slot::Slot;
use crate::plan::text::{Composer, Part, Rewrite, Text};
use crate::plan::ties::{Ties, slot};
use crate::plan::write::ids::Numbers;
use crate::plan::write::limited::{Clauses, is_mistake};
use crate::plan::{Duplicates, Many, Place, Plan, Sharded};
use crate::rules::catalog::TableInfo;
use crate::rules::id::IdKind;
use crate::rules::{FamilyId, GroupId};
use crate::sql::ast::{
    Assignment, Delete, Expr, Insert, InsertSource, Keyword, ObjectName, Query, SelectItem, Span, Update,
};
use crate::sql::scan::Scan;
use crate::sql::{Facts, Flavour, SqlMode};
use crate::value::key::KeyKind;

/// A write with its names resolved.
pub(super) struct Writing<'w, 'm, 'a> {
    /// Its names.
    pub(super) model: &'m Model<'a>,
    /// What its conditions say of keys.
    pub(super) ties: &'w Ties<'m, 'a>,
    /// Where its tables are.
    pub(super) locality: &'w Locality<'w, 'm, 'a>,
    /// For its texts.
    pub(super) scan: &'w Scan,
}

/// What an UPDATE or DELETE was read into.
pub(super) struct Scope {
    /// The block of its tables.
    pub(super) block: BlockId,
    /// The references whose rows it changes.
    pub(super) targets: Vec<RefId>,
}

/// Reads an UPDATE.
///
/// # Errors
/// 1046, 1049, 1146 for its tables; 1235 for a column whose table is not certain.
pub(super) fn read_update<'a>(model: &mut Model<'a>, update: &'a Update) -> Result<Scope, SqlError> {
    model.effects.writes = true;
    model.ctes(&update.with, false, None)?;
    let block = model.block(None, None);
    model.blocks[block.0].filter = update.filter.as_ref();
    model.from(&update.tables, block, true)?;
    for assignment in &update.set {
        model.expr(&assignment.column, Some(block))?;
        model.expr(&assignment.value, Some(block))?;
    }
    read_rest(model, block, update.filter.as_ref(), &update.order_by, update.limit.as_ref())?;
    let mut targets = Vec::new();
    for assignment in &update.set {
        let only = match model.blocks[block.0].from.as_slice() {
            [only] => Some(*only),
            _ => model.column(block, &assignment.column).map(|column| column.of),
        };
        let Some(target) = only else {
            let why = "the table of this column is not certain; write table.column";
            return Err(SqlError::refuse_at(why, model.sql, assignment.column.span().start as usize));
        };
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Ok(Scope { block, targets })
}

/// Reads a DELETE.
///
/// # Errors
/// 1046, 1049, 1146 for its tables; 1235 for a target that is not among them.
pub(super) fn read_delete<'a>(model: &mut Model<'a>, delete: &'a Delete) -> Result<Scope, SqlError> {
    model.effects.writes = true;
    model.ctes(&delete.with, false, None)?;
    let block = model.block(None, None);
    model.blocks[block.0].filter = delete.filter.as_ref();
    // DELETE of one table has no room for an alias on MariaDB 10.11.
    model.from(&delete.tables, block, !delete.targets.is_empty())?;
    read_rest(model, block, delete.filter.as_ref(), &delete.order_by, delete.limit.as_ref())?;
    delete.returning_items.iter().try_for_each(|item| model.item(item, block))?;
    let mut targets = Vec::new();
    for name in &delete.targets {
        let found = model.target(block, name);
        let Some(id) = found else {
            let why = "this is not one of the tables of the DELETE";
            return Err(SqlError::refuse_at(why, model.sql, name.span.start as usize));
        };
        // The table is under an alias now, which is referred to without a schema.
        if let (Some(schema), Some(Place::Sharded(_))) = (&name.schema, model.place(id)) {
            model
                .edits
                .push((Span { start: schema.span.start, end: name.name.span.start }, Rewrite::Fixed(String::new())));
        } else if let (Some(schema), Source::Table(table, _)) = (&name.schema, model.refs[id.0].source) {
            model.rename_schema(table, Some(schema));
        }
        targets.push(id);
    }
    if delete.targets.is_empty() {
        targets.extend(&model.blocks[block.0].from);
    }
    Ok(Scope { block, targets })
}

fn read_rest<'a>(
    model: &mut Model<'a>,
    block: BlockId,
    filter: Option<&'a Expr>,
    order: &'a [crate::sql::ast::OrderItem],
    limit: Option<&'a crate::sql::ast::Limit>,
) -> Result<(), SqlError> {
    filter.iter().try_for_each(|filter| model.expr(filter, Some(block)))?;
    model.order(order, Some(block))?;
    limit.iter().try_for_each(|limit| model.expr(&limit.count, Some(block)))
}

/// Reads an INSERT or REPLACE; gives its table and, if its rows come from one, its query.
///
/// # Errors
/// 1046, 1049, 1146 for its tables.
pub(super) fn read_insert<'a>(model: &mut Model<'a>, insert: &'a Insert) -> Result<(u16, Option<QueryId>), SqlError> {
    model.effects.writes = true;
    model.effects.numbers = true;
    model.effects.strict_alone = strict_alone(insert, model.session.facts);
    let table = model.table(&insert.table)?;
    model.rename(table, &insert.table, false);
    if matches!(model.tables[usize::from(table)].place, Place::Sharded(_)) {
        // The physical table has another name, and there is no room for an alias.
        let qualifiers = insert.qualifiers.iter();
        let own = qualifiers.filter(|name| is_of(name, &insert.table, model.session.schema));
        let edits: Vec<_> = own.map(|name| (name.span, Rewrite::Fixed(String::new()))).collect();
        model.edits.extend(edits);
    }
    let query = match &insert.source {
        InsertSource::Values(rows) => {
            for (row, _) in rows {
                row.iter().try_for_each(|value| model.expr(value, None))?;
            }
            None
        }
        InsertSource::Set(values) => {
            values.iter().try_for_each(|value| model.expr(value, None))?;
            None
        }
        InsertSource::Query(query) => Some(model.query(query, None)?),
    };
    for item in &insert.returning_items {
        if let SelectItem::Expr { expr, .. } = item {
            model.expr(expr, None)?;
            model.qualified_by(expr, table, &insert.table);
        }
    }
    for assignment in &insert.on_duplicate {
        model.expr(&assignment.value, None)?;
        for expr in [&assignment.column, &assignment.value] {
            model.qualified_by(expr, table, &insert.table);
        }
    }
    Ok((table, query))
}

impl<'a> Writing<'_, '_, 'a> {
    /// Plans an UPDATE or DELETE.
    ///
    /// # Errors
    /// 1235 with the reason and the place.
    pub(super) fn change(&self, scope: &Scope, set: &'a [Assignment], clauses: &Clauses<'a>) -> Result<Plan, SqlError> {
        let places: Vec<Option<Place>> = scope.targets.iter().map(|id| self.model.place(*id)).collect();
        let sharded = places.iter().any(|place| matches!(place, Some(Place::Sharded(_))));
        let broadcast = places.iter().any(|place| matches!(place, Some(Place::Broadcast)));
        let composer = self.composer();
        if broadcast && self.model.rules.groups().len() > 1 {
            let values: Vec<&Expr> = set.iter().map(|assignment| &assignment.value).collect();
            self.same_everywhere(&values, self.unfixed(scope, clauses))?;
            if places.iter().any(|place| *place != Some(Place::Broadcast)) {
                return self
                    .refuse("a write of broadcast and other tables together is not supported", scope.targets[0]);
            }
            return Ok(Plan::Everywhere { text: composer.plain()?, numbered: Box::default() });
        }
        if !sharded {
            return self.on_one_group(&composer);
        }
        let assigned = self.assigned(scope, set)?;
        let moves = self.moves(scope, set, clauses, &assigned);
        let Some(routing) = self.routing(assigned)? else {
            return self.refuse("the tables are in no common family", scope.targets[0]);
        };
        let many = match self.many(scope, &places, clauses) {
            Ok(()) => match clauses.limit().filter(|limit| !is_mistake(limit)) {
                None => Many::Sum,
                Some(limit) => {
                    self.limited(clauses, limit).map_or_else(Many::Refuse, |limited| Many::Limited(Box::new(limited)))
                }
            },
            Err(refusal) => Many::Refuse(refusal),
        };
        Ok(Plan::Sharded(Box::new(Sharded { routing, text: composer.plain()?, many, moves })))
    }

    /// Where LIMIT stands, if it can leave each copy of a broadcast table with other rows: unless rows are sorted by
    /// all of a unique key, nothing says which are the first.
    fn unfixed(&self, scope: &Scope, clauses: &Clauses<'a>) -> Option<Span> {
        if !clauses.is_of_one_table() {
            return clauses.end();
        }
        let limit = clauses.limit()?;
        let (target, info) = scope.targets.first().and_then(|id| match self.model.refs[id.0].source {
            Source::Table(_, info) => Some((*id, info?)),
            _ => None,
        })?;
        let columns: Vec<Column> = clauses
            .order()
            .filter_map(|item| self.model.column(scope.block, item))
            .filter(|at| at.of == target)
            .collect();
        let sorted = |name: &String| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        let filled = |name: &String| info.column(name).is_some_and(|(_, column)| !column.nullable);
        let whole = |key: &Vec<String>| !key.is_empty() && key.iter().all(|name| sorted(name) && filled(name));
        let total = whole(&info.primary_key) || info.unique_keys.values().any(whole);
        (!total).then_some(limit.span)
    }

    /// Whether each shard can make its part of the changes alone.
    fn many(&self, scope: &Scope, places: &[Option<Place>], clauses: &Clauses<'a>) -> Result<(), SqlError> {
        if let Some(span) = clauses.end().filter(|_| !clauses.is_of_one_table()) {
            return Err(several(self.model.sql, "ORDER BY or LIMIT in a write of several tables", span));
        }
        if places.iter().any(|place| !matches!(place, Some(Place::Sharded(_)))) {
            return self.refuse("a write of sharded and other tables together is not supported", scope.targets[0]);
        }
        self.no_obstacle()?;
        self.locality.partition(scope.block)
    }

    fn no_obstacle(&self) -> Result<(), SqlError> {
        match self.model.obstacles.first() {
            Some(obstacle) => {
                let span = Span { start: obstacle.at, end: obstacle.at };
                Err(several(self.model.sql, obstacle.what, span))
            }
            None => Ok(()),
        }
    }

    /// The values that a write gives to sharding keys.
    fn assigned(&self, scope: &Scope, set: &'a [Assignment]) -> Result<Vec<(KeyColumn, Slot)>, SqlError> {
        let mut assigned = Vec::new();
        for assignment in set {
            let only = scope.targets.first().filter(|_| scope.targets.len() == 1);
            let column = match (&assignment.column, only) {
                (Expr::Column { name, .. }, Some(of)) => Some(Column { of: *of, name: name.name.to_ascii_lowercase() }),
                (column, _) => self.model.column(scope.block, column),
            };
            let Some(column) = column else { continue };
            let Some((key, _)) = self.ties.key_of(&column) else {
                if self.model.is_key(&column) {
                    return self.refuse_key(assignment);
                }
                continue;
            };
            if self.model.column(scope.block, &assignment.value).as_ref() == Some(&column) {
                continue;
            }
            match slot(&assignment.value) {
                Some(value) => assigned.push((self.ties.keys[usize::from(key)].clone(), value)),
                None => return self.refuse_key(assignment),
            }
        }
        Ok(assigned)
    }

    fn refuse_key<T>(&self, assignment: &Assignment) -> Result<T, SqlError> {
        let why = "an UPDATE that may move rows to another shard is not supported: the sharding key can only be given a \
                   value whose shard is that of the rows;";
        Err(SqlError::refuse_at(why, self.model.sql, assignment.column.span().start as usize))
    }

    /// How conditions choose the shards; none if no table of one family is to be placed.
    fn routing(&self, assigned: Vec<(KeyColumn, Slot)>) -> Result<Option<Routing>, SqlError> {
        let mut routing = match routing(self.model, self.ties, self.locality)? {
            Some(routing) => routing,
            None => return Ok(None),
        };
        let mut keys = routing.keys.into_vec();
        let mut values = Vec::new();
        for (key, value) in assigned {
            values.push((keys.len() as u8, value));
            keys.push(key);
        }
        routing.keys = keys.into();
        routing.assigned = values.into();
        Ok(Some(routing))
    }

    fn composer(&self) -> Composer<'_> {
        Composer::new(self.scan, self.model.edits.clone())
    }

    fn refuse<T>(&self, why: &str, at: RefId) -> Result<T, SqlError> {
        Err(SqlError::refuse_at(why, self.model.sql, self.model.refs[at.0].span.start as usize))
    }

    /// A write of single tables: everything it reads has to be on their group.
    fn on_one_group(&self, composer: &Composer<'_>) -> Result<Plan, SqlError> {
        let group = one_group(self.model, self.locality)?;
        Ok(Plan::Relay { group: Some(group.unwrap_or_else(|| self.model.home())), text: composer.plain()? })
    }

    /// That a write gives the same on every group: it reads broadcast tables only, and nothing that differs.
    fn same_everywhere(&self, values: &[&Expr], limited: Option<Span>) -> Result<(), SqlError> {
        let sql = self.model.sql;
        let refuse = |what: &str, at: u32| {
            let why = format!("{what} can give each copy of a broadcast table other rows:");
            Err(SqlError::refuse_at(&why, sql, at as usize))
        };
        if let Some(span) = limited {
            return refuse("LIMIT in a write without ORDER BY a whole unique key", span.start);
        }
        for (id, found) in self.model.refs.iter().enumerate() {
            if matches!(self.model.place(RefId(id)), Some(place) if place != Place::Broadcast) {
                return refuse("a table that is not a broadcast table", found.span.start);
            }
        }
        let obstacle = self.model.obstacles.first().copied().or_else(|| self.model.unordered_query(None));
        if let Some(obstacle) = obstacle {
            return refuse(obstacle.what, obstacle.at);
        }
        let effects = &self.model.effects;
        // The clock is stopped, variables and ids are the session's: they are the same for all.
        match effects.random {
            true => {
                let at = values.iter().find_map(|value| varying_at(value)).unwrap_or(0);
                refuse("a value that differs from server to server or from moment to moment", at)
            }
            false => Ok(()),
        }
    }

    /// Plans an INSERT or REPLACE into `table`; also tells which ids are to be made for its rows.
    ///
    /// # Errors
    /// 1235 with the reason and the place; 1136 for a row of another length than the column list.
    pub(super) fn insert(
        &self,
        insert: &'a Insert,
        table: u16,
        query: Option<QueryId>,
    ) -> Result<(Plan, Option<Box<Numbering>>), SqlError> {
        let info = {
            let found = &self.model.tables[usize::from(table)];
            self.model.catalog.table(&found.schema, &found.name).map(|info| &**info)
        };
        let place = self.model.tables[usize::from(table)].place;
        if matches!(place, Place::Sharded(_)) {
            self.no_qualified_column(insert)?;
        }
        let split = match place {
            Place::Sharded(_) => true,
            Place::Broadcast => self.model.rules.groups().len() > 1,
            Place::Single(_) | Place::System => false,
        };
        let numbering = Numbers { writing: self, insert, table };
        let (numbering, edits) = match info.filter(|_| split && query.is_none()) {
            Some(info) => numbering.read(info)?,
            None => (None, Vec::new()),
        };
        let numbers = numbering.as_ref();
        let composer = Composer::new(self.scan, self.model.edits.iter().cloned().chain(edits).collect());
        let plan = match place {
            Place::Single(group) => self.insert_single(insert, group, &composer),
            Place::System => self.on_one_group(&composer),
            Place::Broadcast => self.insert_everywhere(insert, info, query, numbers, &composer),
            Place::Sharded(_) if query.is_some() && self.has_lookups(table) => {
                let why = "an INSERT ... SELECT into a table with a lookup, whose rows cannot be carried";
                Err(SqlError::refuse_at(why, self.model.sql, insert.table.span.start as usize))
            }
            Place::Sharded(family) => match (info, query) {
                (None, _) => Err(self.no_table(table)),
                (Some(info), Some(query)) => self.insert_selected(insert, table, info, query, family, &composer),
                (Some(info), None) => self.insert_rows(insert, table, info, family, numbers, &composer),
            },
        };
        let plan = match query {
            Some(query) => self.carried(plan, insert, table, info, query),
            None => plan,
        };
        Ok((plan?, numbering.map(Box::new)))
    }

    fn no_table(&self, table: u16) -> SqlError {
        let found = &self.model.tables[usize::from(table)];
        let message = format!("Table '{}.{}' doesn't exist", found.schema, found.name);
        SqlError::new(crate::error::Code::NoSuchTable, message)
    }

    fn insert_single(&self, insert: &Insert, group: GroupId, composer: &Composer<'_>) -> Result<Plan, SqlError> {
        match one_group(self.model, self.locality)? {
            Some(other) if other != group => {
                let why = "an INSERT from tables of another group is not supported";
                Err(SqlError::refuse_at(why, self.model.sql, insert.table.span.start as usize))
            }
            _ => Ok(Plan::Relay { group: Some(group), text: composer.plain()? }),
        }
    }

    /// `INSERT INTO t (t.a)`: of this table no other column can be meant, and of another one there is none.
    fn no_qualified_column(&self, insert: &Insert) -> Result<(), SqlError> {
        let other = |name: &&ObjectName| !is_of(name, &insert.table, self.model.session.schema);
        match insert.qualifiers.iter().find(other) {
            None => Ok(()),
            Some(name) => {
                let why = "a column of an INSERT that is named with another table is not supported:";
                Err(SqlError::refuse_at(why, self.model.sql, name.span.start as usize))
            }
        }
    }

    fn insert_everywhere(
        &self,
        insert: &'a Insert,
        info: Option<&TableInfo>,
        query: Option<QueryId>,
        numbers: Option<&Numbering>,
        composer: &Composer<'_>,
    ) -> Result<Plan, SqlError> {
        if self.model.rules.groups().len() == 1 {
            return self.insert_single(insert, GroupId(0), composer);
        }
        let limited = query.and_then(|query| self.model.queries[query.0].ast.limit.as_ref()).map(|limit| limit.span);
        let rows = rows_of(insert);
        let mut values: Vec<&Expr> = rows.iter().copied().flatten().collect();
        values.extend(insert.on_duplicate.iter().map(|assignment| &assignment.value));
        self.same_everywhere(&values, limited)?;
        let numbered = self.numbered(insert, info, numbers)?;
        Ok(Plan::Everywhere { text: composer.plain()?, numbered: numbered.into() })
    }

    /// The values for an AUTO_INCREMENT column, which must be given: servers count each for itself.
    fn numbered(
        &self,
        insert: &'a Insert,
        info: Option<&TableInfo>,
        numbers: Option<&Numbering>,
    ) -> Result<Vec<Slot>, SqlError> {
        let Some(column) = info.and_then(|info| info.auto_increment()) else {
            return Ok(Vec::new());
        };
        if numbers.is_some_and(|numbers| numbers.column.eq_ignore_ascii_case(&column.name)) {
            return Ok(Vec::new());
        }
        let refuse = |at: u32| {
            let why = format!("each server would number {} by itself: give it a value;", column.name);
            Err(SqlError::refuse_at(&why, self.model.sql, at as usize))
        };
        let position = self.position(insert, info, &column.name);
        let (Some(position), rows) = (position, rows_of(insert)) else { return refuse(insert.table.span.start) };
        let mut slots = Vec::new();
        for row in rows {
            let Some(value) = row.get(position) else { return refuse(insert.table.span.start) };
            match (slot(value), strip(value)) {
                (Some(Slot::Null), _) | (None, Expr::Keyword(Keyword::Default, _)) => {
                    return refuse(value.span().start);
                }
                (Some(slot), _) => slots.push(slot),
                (None, _) => return refuse(value.span().start),
            }
        }
        Ok(slots)
    }

    /// The position of a column among the values of a row.
    fn position(&self, insert: &Insert, info: Option<&TableInfo>, name: &str) -> Option<usize> {
        match &insert.columns {
            Some(columns) => columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)),
            None => info?.visible().position(|column| column.name.eq_ignore_ascii_case(name)),
        }
    }

    /// Rows that are written out: each goes to the shard of its key.
    fn insert_rows(
        &self,
        insert: &'a Insert,
        table: u16,
        info: &TableInfo,
        family: FamilyId,
        numbers: Option<&Numbering>,
        composer: &Composer<'_>,
    ) -> Result<Plan, SqlError> {
        let updates = self.insert_allowed(insert, table)?;
        if let Some(found) = self.model.refs.first() {
            let broadcast = (0..self.model.refs.len())
                .all(|id| self.model.place(RefId(id)).is_none_or(|place| place == Place::Broadcast));
            if !broadcast {
                let why = "a subquery over tables that are not broadcast is not supported in VALUES";
                return Err(SqlError::refuse_at(why, self.model.sql, found.span.start as usize));
            }
        }
        let keys = key_columns(self.model, table, info)?;
        let rows = rows_of(insert);
        let empty = rows.iter().all(|row| row.is_empty());
        let width = match &insert.columns {
            Some(columns) => columns.len(),
            // `VALUES ()`: every column has its default.
            None if empty => 0,
            None => info.visible().count(),
        };
        let mut slots = Vec::with_capacity(rows.len() * keys.len());
        for (index, row) in rows.iter().enumerate() {
            if row.len() != width {
                let message = format!("Column count doesn't match value count at row {}", index + 1);
                return Err(SqlError { errno: 1136, state: *b"21S01", message });
            }
            for key in &keys {
                let id = numbers.filter(|numbers| numbers.column.eq_ignore_ascii_case(key.column()));
                let made = id.is_some_and(|id| id.kind != IdKind::Uuid || id.rows[index] == RowId::Made);
                slots.push(if made { Slot::Id(index as u32) } else { self.key_value(insert, info, key, row)? });
            }
        }
        let numbered = self.numbered(insert, Some(info), numbers)?;
        let text = composer.plain()?;
        let many = match &insert.source {
            InsertSource::Values(rows) => {
                let duplicates = duplicates(insert);
                let singly = insert.returning && (insert.ignore || !insert.on_duplicate.is_empty());
                let text = self.split(insert, rows, singly, composer);
                text.map_or_else(Many::Refuse, |text| Many::Rows { text, duplicates, singly })
            }
            _ => Many::Sum,
        };
        let keyed = |(key, value): (String, Slot)| {
            let position = keys.iter().position(|of| of.column().eq_ignore_ascii_case(&key));
            position.map(|position| (position as u8, value))
        };
        let assigned: Vec<(u8, Slot)> = updates.into_iter().filter_map(keyed).collect();
        let routing = Routing {
            family,
            keys: keys.into(),
            by: By::Rows(slots.into(), self.on_null(insert, rows.len() == 1)),
            group: None,
            shard: None,
            assigned: assigned.into(),
            numbered: numbered.into(),
        };
        Ok(Plan::Sharded(Box::new(Sharded { routing, text, many, moves: None })))
    }

    /// What becomes of NULL in a column that has none.
    fn on_null(&self, insert: &Insert, single: bool) -> OnNull {
        let strict = self.model.session.facts.mode.has(SqlMode::STRICT);
        if insert.ignore || !(single || strict) { OnNull::Changes } else { OnNull::Fails }
    }

    /// The text of an INSERT of several rows, of which each target gets its own.
    fn split(
        &self,
        insert: &Insert,
        rows: &[(Vec<Expr>, Span)],
        singly: bool,
        composer: &Composer<'_>,
    ) -> Result<Text, SqlError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return composer.plain() };
        // Of one row alone NULL is an error where of several it is not.
        if singly && !insert.ignore && !self.is_strict(insert) {
            let what = "RETURNING behind ON DUPLICATE KEY UPDATE in a mode that is not strict";
            return Err(several(self.model.sql, what, insert.span));
        }
        self.no_obstacle()?;
        let whole = Span { start: first.1.start, end: last.1.end };
        let parts: Result<Vec<_>, SqlError> = rows.iter().map(|(_, span)| composer.copy(*span)).collect();
        composer.with(vec![(whole, Part::Rows(parts?.into()))], true)
    }

    /// What any INSERT into a sharded table must keep to; gives the literals that ON DUPLICATE KEY UPDATE gives to sharding
    /// keys, whose shard has to be that of the rows.
    fn insert_allowed(&self, insert: &'a Insert, table: u16) -> Result<Vec<(String, Slot)>, SqlError> {
        if insert.partitions {
            let why = "PARTITION (...) of a sharded table is not supported";
            return Err(SqlError::refuse_at(why, self.model.sql, insert.table.span.start as usize));
        }
        let found = &self.model.tables[usize::from(table)];
        let info = self.model.catalog.table(&found.schema, &found.name).map(|info| &**info);
        let keys = self.model.key_names(table);
        let mut given = Vec::new();
        for assignment in &insert.on_duplicate {
            let Expr::Column { name, .. } = &assignment.column else { continue };
            if !keys.iter().any(|key| key.eq_ignore_ascii_case(&name.name)) {
                continue;
            }
            let same = Same { insert, info, key: &name.name, strict: self.is_strict(insert) };
            match slot(&assignment.value) {
                _ if same.keeps(&assignment.value) => {}
                Some(value) => given.push((name.name.clone(), value)),
                None => return self.refuse_key(assignment),
            }
        }
        Ok(given)
    }

    /// A value that a column cannot hold is an error.
    fn is_strict(&self, insert: &Insert) -> bool {
        self.model.session.facts.mode.has(SqlMode::STRICT) && !insert.ignore
    }

    /// The value that a row has for a key.
    fn key_value(&self, insert: &Insert, info: &TableInfo, key: &KeyColumn, row: &[Expr]) -> Result<Slot, SqlError> {
        let position = self.position(insert, Some(info), key.column());
        let Some(value) = position.and_then(|position| row.get(position)) else {
            let why = format!("the sharding key {} needs a value: it is not in the column list;", key.label);
            return Err(SqlError::refuse_at(&why, self.model.sql, insert.table.span.start as usize));
        };
        slot(value).ok_or_else(|| {
            let why = format!("the sharding key {} needs a literal or parameter:", key.label);
            SqlError::refuse_at(&why, self.model.sql, value.span().start as usize)
        })
    }

    /// INSERT ... SELECT into a sharded table: each row must stay on the shard that it is read from, or all go to one.
    fn insert_selected(
        &self,
        insert: &'a Insert,
        table: u16,
        info: &TableInfo,
        query: QueryId,
        family: FamilyId,
        composer: &Composer<'_>,
    ) -> Result<Plan, SqlError> {
        if !self.insert_allowed(insert, table)?.is_empty() {
            let why = "ON DUPLICATE KEY UPDATE with a value for the sharding key";
            return Err(several(self.model.sql, why, insert.span));
        }
        let found = &self.model.tables[usize::from(table)];
        let rule = self.model.rules.schema(&found.schema).and_then(|schema| schema.id(&found.name));
        if rule.is_some_and(|rule| rule.kind == IdKind::Segment) {
            let why =
                "an INSERT ... SELECT into a table with `id = \"segment\"`, whose counter would not know the ids;";
            return Err(SqlError::refuse_at(why, self.model.sql, insert.table.span.start as usize));
        }
        if let Some(column) = info.auto_increment() {
            let given = self.position(insert, Some(info), &column.name).is_some();
            if !given {
                let why = format!("each server would number {} by itself: give it a value;", column.name);
                return Err(SqlError::refuse_at(&why, self.model.sql, insert.table.span.start as usize));
            }
        }
        let keys = key_columns(self.model, table, info)?;
        let node = &self.model.queries[query.0];
        let crate::plan::resolve::BodyNode::Block(block) = node.body else {
            return Err(several(self.model.sql, "an INSERT from this query", node.ast.span));
        };
        let outputs = self.model.block_outputs(block);
        let Some(outputs) = outputs else {
            return Err(several(self.model.sql, "an INSERT from columns that are not known", node.ast.span));
        };
        let (mut values, mut stays) = (Vec::new(), true);
        for key in &keys {
            let position = self.position(insert, Some(info), key.column());
            let Some(output) = position.and_then(|position| outputs.get(position)) else {
                let why = format!("the sharding key {} needs a value: it is not in the column list;", key.label);
                return Err(SqlError::refuse_at(&why, self.model.sql, insert.table.span.start as usize));
            };
            let own = output.column.as_ref().is_some_and(|column| self.is_root_key(column, key));
            stays &= own;
            if let (false, Some(value)) = (own, output.expr.and_then(slot)) {
                values.push((key.clone(), value));
            }
        }
        if !stays && values.len() != keys.len() {
            return Err(several(self.model.sql, "an INSERT whose rows may go to another shard", node.ast.span));
        }
        if self.locality.roots.is_empty() {
            return self.insert_from_copies(insert, values, family, composer);
        }
        let assigned = if stays { Vec::new() } else { values };
        let Some(routing) = self.routing(assigned)? else {
            return Err(several(self.model.sql, "an INSERT from these tables", node.ast.span));
        };
        if routing.family != family {
            return Err(several(self.model.sql, "an INSERT from tables of another family", node.ast.span));
        }
        let many = match self.each_for_itself(insert, block, node.ast, stays) {
            Ok(()) => Many::Sum,
            Err(refusal) => Many::Refuse(refusal),
        };
        Ok(Plan::Sharded(Box::new(Sharded { routing, text: composer.plain()?, many, moves: None })))
    }

    /// Whether a column is the key of the rows that a query is made of, at the level of `key`.
    fn is_root_key(&self, column: &Column, key: &KeyColumn) -> bool {
        let [root] = self.locality.roots.as_slice() else { return false };
        self.ties.trace(column).iter().any(|base| match self.ties.key_of(base) {
            Some((number, level)) => {
                let kind = &self.ties.keys[usize::from(number)].kind;
                level == key.level && kind == &key.kind && root.members.contains(&base.of)
            }
            None => false,
        })
    }

    /// INSERT ... SELECT from broadcast tables only, with the key written out.
    fn insert_from_copies(
        &self,
        insert: &Insert,
        values: Vec<(KeyColumn, Slot)>,
        family: FamilyId,
        composer: &Composer<'_>,
    ) -> Result<Plan, SqlError> {
        let group = one_group(self.model, self.locality)?;
        let (keys, slots): (Vec<KeyColumn>, Vec<Slot>) = values.into_iter().unzip();
        let (keys, by) = (keys.into(), By::Rows(slots.into(), self.on_null(insert, false)));
        let routing =
            Routing { family, keys, by, group, shard: None, assigned: Box::default(), numbered: Box::default() };
        Ok(Plan::Sharded(Box::new(Sharded { routing, text: composer.plain()?, many: Many::Sum, moves: None })))
    }

    /// Whether each shard can do an INSERT ... SELECT with its own rows.
    fn each_for_itself(&self, insert: &Insert, block: BlockId, query: &Query, stays: bool) -> Result<(), SqlError> {
        let refuse = |what: &str| Err(several(self.model.sql, what, query.span));
        if !stays {
            return refuse("an INSERT of rows of several shards into one");
        }
        if query.limit.is_some() {
            return refuse("LIMIT");
        }
        if insert.returning && !query.order_by.is_empty() {
            return refuse("RETURNING of rows that are in an order");
        }
        self.no_obstacle()?;
        self.locality.partition(block)?;
        let [root] = self.locality.roots.as_slice() else { return refuse("this query") };
        match self.locality.keeps_rows(block, root) {
            true => Ok(()),
            false => refuse("an aggregate, DISTINCT or window function"),
        }
    }
}

/// The key columns of a table.
///
/// # Errors
/// 1235 if one is not there, or cannot be split by.
pub(super) fn key_columns(model: &Model<'_>, table: u16, info: &TableInfo) -> Result<Vec<KeyColumn>, SqlError> {
    let found = &model.tables[usize::from(table)];
    let names = model.key_names(table).iter().enumerate();
    names
        .map(|(level, name)| {
            let label = format!("{}.{}", found.name, name);
            let Some((_, column)) = info.column(name) else {
                return Err(SqlError::refuse(format!("the table has no column {label}, by which it is split")));
            };
            let kind = column.key_kind();
            let kind = kind.map_err(|why| SqlError::refuse(format!("the sharding key {label} {why}")))?;
            Ok(KeyColumn { label: label.into(), level: level as u8, kind, nullable: column.nullable })
        })
        .collect()
}

/// The group of all single tables of a statement that can have no sharded table in it.
///
/// # Errors
/// 1235 if it has one, too.
fn one_group(model: &Model<'_>, locality: &Locality<'_, '_, '_>) -> Result<Option<GroupId>, SqlError> {
    if let Some(at) = locality.roots.first().and_then(|root| root.members.iter().min()) {
        let span = model.refs[at.0].span;
        return Err(several(model.sql, "a write of a table that is not sharded from one that is", span));
    }
    single_group(model, locality)
}

/// Whether a column is named with this table. `schema` is the default one.
fn is_of(name: &ObjectName, table: &ObjectName, schema: Option<&str>) -> bool {
    let schema_of = |name: &ObjectName| name.schema.as_ref().map(|ident| ident.name.clone());
    let own = schema_of(table).or(schema.map(str::to_owned));
    name.name.name == table.name.name && (name.schema.is_none() || schema_of(name) == own)
}

/// The error that a row has alone, but not among several: NULL for a column that has none
/// (<https://dev.mysql.com/doc/refman/9.7/en/data-type-defaults.html>), and on MariaDB a CHECK that it does not meet.
fn strict_alone(insert: &Insert, facts: Facts) -> Option<u16> {
    match (insert.ignore, facts.flavour) {
        (false, _) => (!facts.mode.has(SqlMode::STRICT)).then_some(1048),
        (true, flavour) => (flavour == Flavour::MariaDb).then_some(4025),
    }
}

/// Which rows of an INSERT are called duplicates.
fn duplicates(insert: &Insert) -> Duplicates {
    match (insert.on_duplicate.is_empty(), insert.ignore) {
        (true, _) => Duplicates::All,
        (false, false) => Duplicates::Changing,
        (false, true) => Duplicates::Unchanging,
    }
}

/// The rows that an INSERT writes out; none if they come from a query.
fn rows_of(insert: &Insert) -> Vec<&[Expr]> {
    match &insert.source {
        InsertSource::Values(rows) => rows.iter().map(|(row, _)| row.as_slice()).collect(),
        InsertSource::Set(values) => vec![values.as_slice()],
        InsertSource::Query(_) => Vec::new(),
    }
}

/// Which values of ON DUPLICATE KEY UPDATE leave a key as it is in the row, or as the new row has it: both are on this
/// shard.
struct Same<'s> {
    insert: &'s Insert,
    info: Option<&'s TableInfo>,
    key: &'s str,
    strict: bool,
}

impl Same<'_> {
    fn keeps(&self, value: &Expr) -> bool {
        match strip(value) {
            Expr::Column { table, name, .. } => match (table, self.of_new_row(&name.name)) {
                (None, Some(column)) => column.eq_ignore_ascii_case(self.key),
                (Some(table), Some(column)) if self.is_alias(&table.name) => column.eq_ignore_ascii_case(self.key),
                (table, _) => {
                    let plain = |name: &str| self.is_alias(name) && self.insert.row_alias_columns.is_empty();
                    let own = |name: &str| name == self.insert.table.name.name || plain(name);
                    table.as_ref().is_none_or(|table| own(&table.name)) && name.name.eq_ignore_ascii_case(self.key)
                }
            },
            Expr::Function(function) => match (function.name.as_str(), function.args.as_slice()) {
                ("VALUES" | "VALUE", [Expr::Column { name, .. }]) => name.name.eq_ignore_ascii_case(self.key),
                // It has no sign: a value below zero is an error, or becomes another one.
                ("LAST_INSERT_ID", [value]) => self.is_whole() && self.keeps(value),
                ("IF", [_, one, other]) => self.keeps(one) && self.keeps(other),
                ("IFNULL", [one, other]) => self.keeps(one) && self.keeps(other),
                ("COALESCE", values @ [_, ..]) => values.iter().all(|value| self.keeps(value)),
                _ => false,
            },
            _ => false,
        }
    }

    fn is_alias(&self, name: &str) -> bool {
        self.insert.row_alias.as_ref().is_some_and(|alias| alias.name == name)
    }

    /// The column of the new row that the row alias calls so.
    fn of_new_row(&self, name: &str) -> Option<String> {
        let position = self.insert.row_alias_columns.iter().position(|alias| alias.name.eq_ignore_ascii_case(name))?;
        match &self.insert.columns {
            Some(columns) => columns.get(position).map(|column| column.name.clone()),
            None => self.info?.visible().nth(position).map(|column| column.name.clone()),
        }
    }

    /// Whether LAST_INSERT_ID(key) is the key.
    fn is_whole(&self) -> bool {
        let column = self.info.and_then(|info| info.column(self.key)).map(|(_, column)| column);
        match column.map(|column| column.key_kind()) {
            Some(Ok(KeyKind::Int { unsigned, .. })) => unsigned || self.strict,
            _ => false,
        }
    }
}

/// Where in an expression something stands that varies from server to server.
fn varying_at(expr: &Expr) -> Option<u32> {
    match expr {
        Expr::Function(function) if !matches!(nature(&function.name), Nature::Pure | Nature::Aggregate) => {
            Some(function.span.start)
        }
        Expr::Variable { span, .. } => Some(span.start),
        _ => parts(expr).into_iter().find_map(varying_at),
    }
}
