//! From a statement to its plan: reads its tree, asks what its conditions say, and chooses between relay, merge,
//! write and refusal. Made once for a text; values come later.

use crate::error::{Code, SqlError};
use crate::plan::catalogue::is_system_schema;
use crate::plan::catalogue::list::ListKind;
use crate::plan::catalogue::reading::{self, Listed};
use crate::plan::catalogue::relation::{Found, find};
use crate::plan::convert::Converting;
use crate::plan::define::World;
use crate::plan::into::Into;
use crate::plan::joined::Joined;
use crate::plan::like::like;
use crate::plan::load::Loading;
use crate::plan::locality::{Locality, routing, single_group};
use crate::plan::locks::shared;
use crate::plan::maintain::Maintaining;
use crate::plan::numbering::Numbering;
use crate::plan::read::merge;
use crate::plan::reopened::opened_twice;
use crate::plan::resolve::{Model, QueryId, several};
use crate::plan::route::By;
use crate::plan::seek::{Locks, Seek, seek};
use crate::plan::selected::Selecting;
use crate::plan::sources::gather;
use crate::plan::text::{Composer, Rewrite};
use crate::plan::ties::Ties;
use crate::plan::upkeep::Upkeep;
use crate::plan::write::limited::Clauses;
use crate::plan::write::{Writing, read_delete, read_insert, read_update};
use crate::plan::{Effects, Many, Place, Plan, Planned, Role, Session, Sharded, Wishes};
use crate::rules::catalog::Catalog;
use crate::rules::{GroupId, Placement, RuleSet, ShardedTable};
use crate::sql::ast::{Delete, Insert, ObjectName, Query, Span, Statement, Update};
use crate::sql::define::{Part, define};
use crate::sql::head::{Admin, Ddl, Head, Show, ShowKind, names_in};
use crate::sql::hint::{HintItem, hints};
use crate::sql::mentions::{Mentions, mentions};
use crate::sql::parse::parse;
use crate::sql::scan::{Scan, scan};

/// Plans the first statement of `sql`, as scanned and headed.
///
/// A statement that cannot be answered has a plan, too: [`Plan::Refuse`], so that it is found in the cache.
pub fn plan(sql: &[u8], scan: &Scan, head: &Head, session: Session<'_>, rules: &RuleSet, catalog: &Catalog) -> Planned {
    let build = Build { sql, scan, session, rules, catalog };
    let mut planned = match head {
        Head::Dml => match parse(sql, session.facts) {
            Ok(statement) => build.statement(&statement),
            Err(failure) => build.unread(failure.refusal(sql)),
        },
        other => build.other(other),
    };
    if let Err(refusal) = build.hints(&mut planned).and_then(|()| build.user_locks(&mut planned)) {
        planned.plan = Plan::Refuse(refusal);
    }
    planned.judged()
}

/// Plans a SELECT whose rows one server is to convert: see [`Converting`].
///
/// # Errors
/// 1235 where its rows cannot be gathered on one server.
pub fn plan_converting(
    sql: &[u8],
    scan: &Scan,
    session: Session<'_>,
    rules: &RuleSet,
    catalog: &Catalog,
    converting: &Converting<'_>,
) -> Result<Planned, SqlError> {
    let ((gather, tables), mut effects) = Selecting { sql, scan, session, rules, catalog }.convert(converting)?;
    let build = Build { sql, scan, session, rules, catalog };
    build.mention(&mut effects);
    Ok(Planned { tables, effects, ..build.planned(Plan::Gather(Box::new(gather))) }.judged())
}

/// What a plan says beside the way of its statement.
#[derive(Default)]
struct Beside {
    numbering: Option<Box<Numbering>>,
    upkeep: Option<Upkeep>,
    lookup: Option<u16>,
    seek: Option<Seek>,
    into: Option<(Span, Into)>,
}

/// What a statement is planned from.
#[derive(Clone, Copy)]
struct Build<'a> {
    sql: &'a [u8],
    scan: &'a Scan,
    session: Session<'a>,
    rules: &'a RuleSet,
    catalog: &'a Catalog,
}

impl<'a> Build<'a> {
    /// A statement whose tree is known.
    fn statement(self, statement: &'a Statement) -> Planned {
        let mut model = Model::new(self.sql, self.session, self.rules, self.catalog);
        let mut beside = Beside::default();
        let (plan, pins) = match statement {
            Statement::Query(query) => self.query(&mut model, query, &mut beside),
            Statement::Insert(insert) => (self.insert(&mut model, insert, &mut beside), Vec::new()),
            Statement::Update(update) => (self.update(&mut model, update, &mut beside), Vec::new()),
            Statement::Delete(delete) => (self.delete(&mut model, delete, &mut beside), Vec::new()),
        };
        let mut plan = plan.unwrap_or_else(Plan::Refuse);
        if let (Some(read), false) = (model.relations.first(), matches!(plan, Plan::Catalogue(_) | Plan::Refuse(_))) {
            let why = "information_schema beside a sharded table or in a write:";
            plan = Plan::Refuse(SqlError::refuse_at(why, self.sql, read.span.start as usize));
        }
        let target = match statement {
            Statement::Insert(insert) => Some((0, insert.table.name.name.as_str())),
            Statement::Query(_) | Statement::Update(_) | Statement::Delete(_) => None,
        };
        if let Some(refusal) = opened_twice(&model, target) {
            forbid_steps(&mut plan, refusal);
        }
        let mut effects = model.effects;
        self.mention(&mut effects);
        effects.sets_variables |= matches!(statement, Statement::Query(query) if query.into.is_some());
        effects.replica_ok = matches!(statement, Statement::Query(_)) && reads_only(&effects);
        let mut all = model.pins;
        all.extend(pins);
        let literals = &self.scan.literals;
        all.extend(model.quoted_aliases.iter().filter_map(|start| {
            literals.iter().position(|literal| literal.span.start == *start).map(|index| index as u32)
        }));
        all.sort_unstable();
        all.dedup();
        let Beside { numbering, upkeep, lookup, seek, into } = beside;
        let into = into.map(|(_, into)| Box::new(into));
        // Of an INSERT ... SELECT only the rows that are stored are looked after.
        let upkeep = upkeep.filter(|_| matches!(plan, Plan::Sharded(_))).map(Box::new);
        let (pins, tables) = (all.into(), model.tables.into());
        let seek = seek.filter(|_| matches!(plan, Plan::Sharded(_))).map(Box::new);
        Planned { pins, effects, numbering, upkeep, seek, lookup, into, tables, ..self.planned(plan) }
    }

    /// Notes what the words of the statement tell, whether the tree did or not: `CURRENT_TIMESTAMP` is no function to it.
    fn mention(self, effects: &mut Effects) {
        let Ok(found) = mentions(self.sql, self.session.facts) else { return };
        effects.clock |= found.any(Mentions::TIME);
        effects.random |= found.any(Mentions::VOLATILE);
        effects.reads_variables |= found.any(Mentions::USER_VARIABLE);
        effects.sets_variables |= found.any(Mentions::USER_VARIABLE_SET);
        effects.user_locks |= found.any(Mentions::LOCK);
    }

    /// The same of a statement without a tree, which would have told what only the session knows.
    fn mention_all(self, effects: &mut Effects) {
        self.mention(effects);
        let Ok(found) = mentions(self.sql, self.session.facts) else { return };
        effects.account |= found.any(Mentions::USER);
        effects.row_count |= found.any(Mentions::ROW_COUNT);
        effects.found_rows |= found.any(Mentions::FOUND_ROWS);
        effects.connection_id |= found.any(Mentions::CONNECTION_ID);
    }

    fn mentions_locks(self) -> bool {
        mentions(self.sql, self.session.facts).is_ok_and(|found| found.any(Mentions::LOCK))
    }

    /// A plan without anything around it.
    fn planned(self, plan: Plan) -> Planned {
        Planned {
            plan,
            pins: Box::default(),
            effects: Effects::default(),
            wishes: Wishes::default(),
            plain: false,
            numbering: None,
            upkeep: None,
            seek: None,
            lookup: None,
            into: None,
            tables: Box::default(),
            rules_version: self.rules.version,
            facts: self.session.facts,
        }
    }

    fn query(self, model: &mut Model<'a>, query: &'a Query, beside: &mut Beside) -> (Result<Plan, SqlError>, Vec<u32>) {
        let mut pins = Vec::new();
        let plan = model.query(query, None).and_then(|id| {
            beside.into = model.takes_into(query);
            self.select(model, query, id, &mut pins, beside)
        });
        (plan, pins)
    }

    fn select(
        self,
        model: &Model<'a>,
        tree: &'a Query,
        query: QueryId,
        pins: &mut Vec<u32>,
        beside: &mut Beside,
    ) -> Result<Plan, SqlError> {
        let ties = Ties::of(model);
        let locality = Locality::of(model, &ties);
        let composer = Composer::new(self.scan, model.edits.clone());
        let text = composer.plain()?;
        let gather = || {
            let world = (self.rules, self.catalog);
            gather((self.sql, self.scan), self.session, world, tree, &model.tables, None).map(Box::new)
        };
        let routing = match routing(model, &ties, &locality) {
            Ok(routing) => routing,
            Err(_) => return gather().map(Plan::Gather),
        };
        let Some(routing) = routing else {
            let Ok(group) = single_group(model, &locality) else { return gather().map(Plan::Gather) };
            if !model.relations.is_empty() {
                return Ok(Plan::Catalogue(Box::new(reading::query(model, self.scan, group)?)));
            }
            // Locks on a broadcast table keep others out only if all take them on the same copy.
            let home = model
                .tables
                .first()
                .filter(|_| model.effects.locking)
                .and_then(|table| self.rules.schema(&table.schema));
            return Ok(Plan::Relay { group: group.or(home.map(|schema| schema.home)), text });
        };
        beside.seek = match tree.locking {
            None if model.effects.locking => None,
            None => seek(model, &locality, Locks::None),
            Some(clause) if names_tables(clause.of(self.sql)) => None,
            Some(clause) => {
                composer.anchors(clause).ok().and_then(|(from, to)| seek(model, &locality, Locks::Clause(from, to)))
            }
        };
        let merged = match &beside.into {
            None => merge(model, &locality, query, &composer),
            Some((_, _)) if model.queries[query.0].divides(model) => {
                let why = "INTO of decimals that may have more digits than are shown";
                Err(several(self.sql, why, tree.span))
            }
            Some((clause, _)) => {
                // The proxy gives the row to the variables.
                let mut edits = model.edits.clone();
                edits.push((*clause, Rewrite::Fixed(String::new())));
                merge(model, &locality, query, &Composer::new(self.scan, edits))
            }
        };
        let many = match merged {
            Ok(merging) => {
                pins.extend(merging.pins);
                Many::Merge { merge: Box::new(merging.merge), text: merging.text, limit: merging.limit }
            }
            Err(_) => gather().map_or_else(Many::Refuse, Many::Gather),
        };
        Ok(Plan::Sharded(Box::new(Sharded { routing, text, many, moves: None })))
    }

    fn insert(self, model: &mut Model<'a>, insert: &'a Insert, beside: &mut Beside) -> Result<Plan, SqlError> {
        let (table, query) = read_insert(model, insert)?;
        let ties = Ties::of(model);
        let locality = Locality::of(model, &ties);
        let writing = Writing { model, ties: &ties, locality: &locality, scan: self.scan };
        beside.lookup = writing.is_lookup(table).then_some(table);
        let plan = writing.insert(insert, table, query).and_then(|(plan, numbering)| {
            match writing.kept_by_insert(insert, table, numbering.as_deref()) {
                Ok(upkeep) => beside.upkeep = upkeep,
                Err(refusal) => return writing.singly(insert, table, numbering.as_deref()).unwrap_or(Err(refusal)),
            }
            beside.numbering = numbering;
            Ok(plan)
        });
        plan.or_else(|refusal| writing.computed(refusal, insert, table, query))
    }

    fn update(self, model: &mut Model<'a>, update: &'a Update, beside: &mut Beside) -> Result<Plan, SqlError> {
        let scope = read_update(model, update)?;
        let ties = Ties::of(model);
        let locality = Locality::of(model, &ties);
        let writing = Writing { model, ties: &ties, locality: &locality, scan: self.scan };
        let clauses = Clauses::of_update(update);
        beside.seek = seek(model, &locality, Locks::Write);
        beside.lookup = writing.lookup_in(&scope);
        let plan = writing.kept_by_change(&scope, &update.set, &clauses, None).and_then(|upkeep| {
            beside.upkeep = upkeep;
            writing.change(&scope, &update.set, &clauses)
        });
        let plan = writing.ahead(plan, &scope, &update.set, &clauses);
        let plan = writing.rekeyed(plan, &scope, &update.set, &clauses);
        writing.joined(plan, &scope, &update.set, &clauses, |joined| self.is_sound(joined))
    }

    fn delete(self, model: &mut Model<'a>, delete: &'a Delete, beside: &mut Beside) -> Result<Plan, SqlError> {
        let scope = read_delete(model, delete)?;
        let ties = Ties::of(model);
        let locality = Locality::of(model, &ties);
        let writing = Writing { model, ties: &ties, locality: &locality, scan: self.scan };
        let clauses = Clauses::of_delete(delete);
        beside.seek = seek(model, &locality, Locks::Write);
        beside.lookup = writing.lookup_in(&scope);
        let returning = delete.returning.then_some(delete.span);
        let plan = writing.kept_by_change(&scope, &[], &clauses, returning).and_then(|upkeep| {
            beside.upkeep = upkeep;
            writing.change(&scope, &[], &clauses)
        });
        if !delete.returning {
            let plan = writing.ahead(plan, &scope, &[], &clauses);
            return writing.joined(plan, &scope, &[], &clauses, |joined| self.is_sound(joined));
        }
        let mut plan = plan?;
        // Where it says in which order rows are deleted, they are returned in that order.
        if let Some(at) = clauses.end().filter(|_| clauses.limit().is_none()) {
            forbid_many(&mut plan, several(self.sql, "RETURNING behind ORDER BY without LIMIT", at));
        }
        Ok(plan)
    }

    /// Whether the keys of the rows that are to be written can be read, with locks, and the rows be written by them.
    fn is_sound(self, joined: &Joined) -> bool {
        let select = joined.select(self.sql, self.scan).and_then(|text| shared(&text, self.session.facts));
        let writes = joined.written.iter().map(|written| written.sample(self.sql, self.scan));
        std::iter::once(select).chain(writes).all(|text| text.is_some_and(|text| self.is_answered(&text)))
    }

    /// Whether a statement of our own is answered.
    fn is_answered(self, text: &[u8]) -> bool {
        let mut found = Scan::default();
        if scan(text, self.session.facts, 0, &mut found).is_err() {
            return false;
        }
        let planned = plan(text, &found, &Head::Dml, self.session, self.rules, self.catalog);
        match &planned.plan {
            Plan::Refuse(_) => false,
            Plan::Sharded(sharded) => !matches!(sharded.many, Many::Refuse(_)),
            _ => true,
        }
    }

    /// DML that could not be read: forwarded if it names nothing but single tables of one group.
    fn unread(self, refusal: SqlError) -> Planned {
        let names = names_in(self.sql, self.session.facts).unwrap_or_default();
        let mut planned = self.forward(&names, Some(refusal));
        self.mention_all(&mut planned.effects);
        // Whatever it is, it may do anything.
        planned.effects.writes = true;
        planned.effects.stored_function = true;
        planned
    }

    /// A statement that has no tree.
    fn other(self, head: &Head) -> Planned {
        let nothing: &[ObjectName] = &[];
        match head {
            Head::Ddl { verb, tables, temporary } => self.ddl(*verb, tables, *temporary),
            Head::Admin { verb: Admin::Server | Admin::Replication | Admin::Backup | Admin::ImportTable, .. } => {
                let why = "administration of a server is not passed on, as there are many: do it on the server itself:";
                self.planned(Plan::Refuse(SqlError::refuse_at(why, self.sql, 0)))
            }
            Head::Admin { verb, tables } => {
                let mut planned = match verb {
                    Admin::Analyze | Admin::Check | Admin::Checksum | Admin::Optimize | Admin::Repair
                        if self.lie_apart(tables) =>
                    {
                        self.maintain(*verb, tables)
                    }
                    _ => self.forward(tables, None),
                };
                planned.effects.implicit_commit = !matches!(verb, Admin::Checksum | Admin::Help);
                planned.effects.writes = *verb != Admin::Checksum;
                planned
            }
            Head::Account { tables } => {
                let mut planned = self.forward(tables, None);
                planned.effects.implicit_commit = true;
                planned.effects.writes = true;
                planned
            }
            Head::Lock { tables } => {
                let names: Vec<ObjectName> = tables.iter().map(|(name, _)| name.clone()).collect();
                let at = tables.first().map_or(0, |(name, _)| name.span.start as usize);
                // No XA transaction runs beside it, so writes to several groups would not be atomic.
                let why = "LOCK TABLES of tables that lie in several places: dump with --single-transaction \
                           --skip-add-locks, or load as a user with lock_tables = \"ignore\";";
                let refusal = SqlError::refuse_at(why, self.sql, at);
                let apart = self.lie_apart(&names);
                let mut planned = if apart { self.seen(&names, refusal) } else { self.forward(&names, None) };
                planned.effects.implicit_commit = true;
                planned.effects.table_locks = true;
                planned.effects.locks_apart = apart;
                planned
            }
            Head::Flush { locks: true, .. } => {
                let why = "a read lock on one server of many keeps nobody out; a dump takes --single-transaction \
                           without it:";
                self.planned(Plan::Refuse(SqlError::refuse_at(why, self.sql, 0)))
            }
            Head::Flush { tables, .. } => {
                let mut planned = self.forward(tables, None);
                planned.effects.implicit_commit = true;
                planned
            }
            Head::Load { local, tables } => {
                let mut planned = self.load(tables);
                planned.effects.writes = true;
                planned.effects.numbers = true;
                planned.effects.local_file = *local;
                planned
            }
            Head::Call { tables, .. } | Head::Do { tables } | Head::Compound { tables } | Head::Unknown { tables } => {
                let mut planned = self.forward(tables, None);
                if let (Head::Do { .. }, true) = (head, self.mentions_locks()) {
                    planned.effects.user_locks = true;
                    // It names no table, so it is for any group.
                    if let (Plan::Relay { group, .. }, true) = (&mut planned.plan, planned.tables.is_empty()) {
                        *group = None;
                    }
                }
                self.mention_all(&mut planned.effects);
                planned.effects.writes = true;
                planned.effects.stored_function = true;
                planned.effects.sets_last_insert_id = true;
                planned.effects.sets_variables = true;
                planned
            }
            Head::Handler { table } => {
                let mut planned = self.forward(std::slice::from_ref(table), None);
                planned.effects.handler = true;
                planned
            }
            Head::Describe { table, .. } => self.describe(Some(table)),
            Head::Show(show) => self.show(show),
            Head::Explain { inner, .. } => self.explain(*inner),
            _ => self.forward(nothing, None),
        }
    }

    /// LOAD DATA: passed on for single tables, split where the table lies in several places.
    fn load(self, tables: &[ObjectName]) -> Planned {
        let place = tables.first().and_then(|name| {
            let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema)?;
            Some(self.rules.schema(schema)?.table(&name.name.name))
        });
        if !matches!(place, Some(Placement::Sharded(_) | Placement::Broadcast)) {
            return self.forward(tables, None);
        }
        let mut model = Model::new(self.sql, self.session, self.rules, self.catalog);
        let sql = &self.sql[..self.scan.end as usize];
        let loading = Loading { sql, scan: self.scan, session: self.session, rules: self.rules, catalog: self.catalog };
        let plan = loading.plan(&mut model).map_or_else(Plan::Refuse, |load| Plan::Load(Box::new(load)));
        let mut effects = Effects::default();
        self.mention_all(&mut effects);
        let plan = match plan {
            Plan::Load(_) if effects.sets_variables => {
                let why = "an assignment to a user variable in LOAD DATA into a table that lies in several places:";
                Plan::Refuse(SqlError::refuse_at(why, self.sql, 0))
            }
            plan => plan,
        };
        // A default may be the time, too, which is one for all rows.
        effects.clock = true;
        // The clauses were read, so their texts are part of the plan.
        let pins = (0..self.scan.literals.len() as u32).collect();
        Planned { pins, effects, tables: model.tables.into(), ..self.planned(plan) }
    }

    fn ddl(self, verb: Ddl, tables: &[ObjectName], temporary: bool) -> Planned {
        let mut planned = match verb {
            Ddl::CreateDatabase | Ddl::AlterDatabase | Ddl::DropDatabase => {
                let why = "schemas are declared in the rules; CREATE, ALTER and DROP DATABASE are not passed on:";
                self.planned(Plan::Refuse(SqlError::refuse_at(why, self.sql, 0)))
            }
            _ if temporary => self.temporary(verb, tables),
            _ if self.names_hidden(verb, tables) => {
                let why = "a definition that names a table in front of which the session has a temporary one: drop that \
                           first:";
                self.planned(Plan::Refuse(SqlError::refuse_at(why, self.sql, 0)))
            }
            Ddl::CreateTable if self.lies_in_several(verb, tables) => {
                self.table_of_rows().unwrap_or_else(|| self.define(verb, tables))
            }
            _ if self.lies_in_several(verb, tables) => self.define(verb, tables),
            _ => self.forward(tables, None),
        };
        planned.effects.implicit_commit = !temporary;
        planned.effects.temporary_table = temporary;
        planned.effects.defines = !temporary;
        planned.effects.writes = true;
        planned
    }

    /// A definition of temporary tables: they are on the home of their schema, also those that have the names of tables
    /// in several places.
    fn temporary(self, verb: Ddl, tables: &[ObjectName]) -> Planned {
        let subjects = match verb {
            // What it is like is the table behind it.
            Ddl::CreateTable if self.is_like_itself(tables) => &[],
            Ddl::CreateTable => &tables[..tables.len().min(1)],
            Ddl::DropTable => tables,
            _ => &[],
        };
        let mut hidden = Vec::new();
        for name in subjects {
            let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema);
            let Some(found) = schema.and_then(|schema| self.rules.schema(schema)) else { continue };
            if let (Ddl::CreateTable, Placement::Sharded(ShardedTable { owner: Some(owner), .. })) =
                (verb, found.declared(&name.name.name))
            {
                let why = format!("a temporary table of the name of a lookup, which writes of {owner} look for:");
                return self.planned(Plan::Refuse(SqlError::refuse_at(&why, self.sql, name.span.start as usize)));
            }
            hidden.push((found.name.as_str(), name.name.name.as_str(), None));
        }
        let rules = self.rules.with_temporary(hidden.into_iter());
        let build = Build { rules: &rules, ..self };
        match like(build.world(), self.scan) {
            Some(Ok((plan, tables))) => Planned { tables, ..self.planned(plan) },
            Some(Err(refusal)) => self.planned(Plan::Refuse(refusal)),
            // Of one with the name of a table in several places it is read whether its query means that.
            None if verb == Ddl::CreateTable && (build.lies_apart(tables) || self.lies_in_several(verb, subjects)) => {
                build.table_of_rows().unwrap_or_else(|| build.forward(tables, None))
            }
            None => build.forward(tables, None),
        }
    }

    /// Whether tables do not lie together on one group.
    fn lies_apart(self, tables: &[ObjectName]) -> bool {
        let place = |name: &ObjectName| {
            let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema)?;
            Some(self.rules.schema(schema)?.table(&name.name.name))
        };
        let mut places = tables.iter().filter_map(place);
        let first = places.next();
        first.is_some_and(|first| !matches!(first, Placement::Single(_)) || places.any(|place| place != first))
    }

    /// The definition at hand, no further statement behind it.
    fn world(self) -> World<'a> {
        let sql = &self.sql[..self.scan.end as usize];
        World { sql, session: self.session, rules: self.rules, catalog: self.catalog }
    }

    /// Whether a new table may be made like one of its own name.
    fn is_like_itself(self, tables: &[ObjectName]) -> bool {
        let is_like = |(name, part): &(ObjectName, Part)| {
            let subject = tables.first().map(|subject| &subject.name.name);
            *part == Part::Like && subject.is_none_or(|subject| subject.eq_ignore_ascii_case(&name.name.name))
        };
        match define(&self.sql[..self.scan.end as usize], self.session.facts) {
            Ok(Some(found)) => found.mentions.iter().any(is_like),
            _ => true,
        }
    }

    /// Whether a definition names a table that a temporary one hides, and means another one than that, or may.
    fn names_hidden(self, verb: Ddl, tables: &[ObjectName]) -> bool {
        let meant = match verb {
            Ddl::DropTable | Ddl::TruncateTable | Ddl::CreateIndex | Ddl::DropIndex => tables.len(),
            Ddl::AlterTable => 1,
            _ => 0,
        };
        tables.iter().skip(meant).any(|name| {
            let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema);
            schema.and_then(|schema| self.rules.schema(schema)).is_some_and(|schema| schema.hides(&name.name.name))
        })
    }

    /// Whether a definition concerns tables in several places, and is one that may.
    fn lies_in_several(self, verb: Ddl, tables: &[ObjectName]) -> bool {
        let place = |name: &ObjectName| {
            let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema)?;
            Some(self.rules.schema(schema)?.table(&name.name.name))
        };
        let mut places = tables.iter().filter_map(place);
        let is_single = |place: Placement<'_>| matches!(place, Placement::Single(_));
        match verb {
            // Only those whose own name the rules give several places: else what they read decides.
            Ddl::CreateView => places.next().is_some_and(|view| !is_single(view)),
            Ddl::DropTable | Ddl::DropView => {
                let all: Vec<Placement<'_>> = places.collect();
                all.iter().any(|place| !is_single(*place) || *place != all[0])
            }
            Ddl::CreateTable
            | Ddl::AlterTable
            | Ddl::TruncateTable
            | Ddl::RenameTable
            | Ddl::CreateIndex
            | Ddl::DropIndex => places.any(|place| !is_single(place)),
            _ => false,
        }
    }

    /// Whether tables that are maintained do not all lie on one group.
    fn lie_apart(self, tables: &[ObjectName]) -> bool {
        let mut places = tables.iter().filter_map(|name| {
            let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema)?;
            Some(self.rules.schema(schema)?.table(&name.name.name))
        });
        let first = places.next();
        first.is_some_and(|first| !matches!(first, Placement::Single(_)) || places.any(|place| place != first))
    }

    /// A refusal, with the tables that the statement names.
    fn seen(self, names: &[ObjectName], refusal: SqlError) -> Planned {
        let mut model = Model::new(self.sql, self.session, self.rules, self.catalog);
        match names.iter().try_for_each(|name| model.table(name).map(drop)) {
            Ok(()) => Planned { tables: model.tables.into(), ..self.planned(Plan::Refuse(refusal)) },
            Err(other) => self.planned(Plan::Refuse(other)),
        }
    }

    fn maintain(self, verb: Admin, tables: &[ObjectName]) -> Planned {
        let mut model = Model::new(self.sql, self.session, self.rules, self.catalog);
        let sql = &self.sql[..self.scan.end as usize];
        match (Maintaining { sql, rules: self.rules, tables }).plan(verb, &mut model) {
            // The statements are rendered once, so they fit no other literals.
            Ok(maintain) => Planned {
                tables: model.tables.into(),
                pins: (0..self.scan.literals.len() as u32).collect(),
                ..self.planned(Plan::Maintain(Box::new(maintain)))
            },
            Err(refusal) => self.planned(Plan::Refuse(refusal)),
        }
    }

    /// CREATE TABLE ... AS SELECT of a table on one group.
    fn table_of_rows(self) -> Option<Planned> {
        let sql = &self.sql[..self.scan.end as usize];
        let Build { scan, session, rules, catalog, .. } = self;
        Some(match (Selecting { sql, scan, session, rules, catalog }).plan()? {
            Ok((gather, tables)) => Planned { tables, ..self.planned(Plan::Gather(Box::new(gather))) },
            Err(refusal) => self.planned(Plan::Refuse(refusal)),
        })
    }

    fn define(self, verb: Ddl, tables: &[ObjectName]) -> Planned {
        if let Some(at) = self.scan.params.first() {
            let why = "parameters in a definition of a sharded table, or of one with copies:";
            return self.planned(Plan::Refuse(SqlError::refuse_at(why, self.sql, *at as usize)));
        }
        let defined = match verb {
            Ddl::CreateView => self.world().define_view(tables),
            _ => self.world().define(verb),
        };
        match defined {
            // What is done is rendered once, so it fits no other literals.
            Ok((tables, define)) => Planned {
                tables,
                pins: (0..self.scan.literals.len() as u32).collect(),
                ..self.planned(Plan::Define(Box::new(define)))
            },
            Err(refusal) => self.planned(Plan::Refuse(refusal)),
        }
    }

    fn show(self, show: &Show) -> Planned {
        if let Some(kind) = ListKind::of(show) {
            let plan = if kind.is_of_table() { self.list_of_table(show, kind) } else { self.list(show, kind) };
            if let Some(planned) = plan {
                return planned;
            }
        }
        match show.kind {
            ShowKind::Columns | ShowKind::Index | ShowKind::CreateTable => self.describe(show.table.as_ref()),
            ShowKind::Engine
            | ShowKind::BinaryLogs
            | ShowKind::BinaryLogStatus
            | ShowKind::LogEvents
            | ShowKind::ReplicaStatus
            | ShowKind::Replicas => {
                let why = "this is about one server, and there are many behind the proxy: ask the server itself:";
                self.planned(Plan::Refuse(SqlError::refuse_at(why, self.sql, 0)))
            }
            _ => {
                let tables: Vec<ObjectName> = show.table.iter().cloned().collect();
                self.forward(&tables, None)
            }
        }
    }

    /// SHOW of what is in a schema, or of schemas; none if the schema is a server's own.
    fn list(self, show: &Show, kind: ListKind) -> Option<Planned> {
        let of_all = matches!(kind, ListKind::Databases | ListKind::ProcedureStatus | ListKind::FunctionStatus)
            || (kind == ListKind::OpenTables && show.schema.is_none());
        let name = show.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema);
        let schema = match name.filter(|_| !of_all) {
            None if of_all => None,
            None => return Some(self.planned(Plan::Refuse(SqlError::new(Code::NoSchema, "No database selected")))),
            Some(name) => match self.rules.schema(name) {
                Some(schema) => Some(schema),
                None if is_system_schema(name) => return None,
                None => {
                    let unknown = SqlError::new(Code::UnknownSchema, format!("Unknown database '{name}'"));
                    return Some(self.planned(Plan::Refuse(unknown)));
                }
            },
        };
        let home = Model::new(self.sql, self.session, self.rules, self.catalog).home();
        let group = schema.map_or(home, |schema| schema.home);
        let listed = Listed {
            kind,
            full: show.full || is_guarded(show.arguments.of(self.sql)),
            schema: schema.map(|schema| schema.name.clone()),
            table: None,
            physical: schema.map_or_else(String::new, |schema| schema.physical(group).to_owned()),
            group,
            shard: None,
        };
        Some(self.listed(show, listed))
    }

    /// SHOW of a sharded table; none if it is no sharded one.
    fn list_of_table(self, show: &Show, kind: ListKind) -> Option<Planned> {
        let name = show.table.as_ref()?;
        let mut model = Model::new(self.sql, self.session, self.rules, self.catalog);
        let index = model.table(name).ok()?;
        let table = &model.tables[usize::from(index)];
        let (group, shard) = match table.place {
            Place::Sharded(family) if kind != ListKind::CreateView => (self.rules.family(family)?.home(0), Some(0)),
            Place::Single(group) if kind == ListKind::CreateView && model.is_schema_renamed(&table.schema) => {
                (group, None)
            }
            _ => return None,
        };
        let (schema, table) = (table.schema.to_string(), table.name.to_string());
        self.rename_described(&mut model, index, name);
        let listed = Listed {
            kind,
            full: show.full,
            schema: Some(schema),
            table: Some((table, model.edits)),
            physical: String::new(),
            group,
            shard,
        };
        Some(Planned { tables: model.tables.into(), ..self.listed(show, listed) })
    }

    fn listed(self, show: &Show, listed: Listed) -> Planned {
        let plan = reading::show(show, listed, self.scan);
        self.planned(plan.map_or_else(Plan::Refuse, |catalogue| Plan::Catalogue(Box::new(catalogue))))
    }

    /// DESCRIBE and its like: a sharded table is described by its first shard, under its logical name.
    fn describe(self, table: Option<&ObjectName>) -> Planned {
        let Some(name) = table else { return self.forward(&[], None) };
        let mut model = Model::new(self.sql, self.session, self.rules, self.catalog);
        let index = match model.table(name) {
            Ok(index) => index,
            Err(refusal) => return self.planned(Plan::Refuse(refusal)),
        };
        let place = model.tables[usize::from(index)].place;
        let home = model.home();
        self.rename_described(&mut model, index, name);
        let text = Composer::new(self.scan, model.edits).plain();
        let plan = text.map(|text| match place {
            Place::Sharded(family) => Plan::Describe { family, text },
            Place::Broadcast => Plan::Relay { group: None, text },
            Place::Single(group) => Plan::Relay { group: Some(group), text },
            Place::System => Plan::Relay { group: Some(home), text },
        });
        Planned { tables: model.tables.into(), ..self.planned(plan.unwrap_or_else(Plan::Refuse)) }
    }

    /// Notes the edits of a table's name; in `FROM t FROM s` the schema stands behind the table.
    fn rename_described(self, model: &mut Model<'a>, index: u16, name: &ObjectName) {
        match &name.schema {
            Some(schema) if schema.span.start > name.name.span.start => {
                let bare = ObjectName { schema: None, name: name.name.clone(), span: name.name.span };
                model.rename(index, &bare, false);
                model.rename_schema(index, Some(schema));
            }
            _ => model.rename(index, name, false),
        }
    }

    /// EXPLAIN of a statement: that of one target, the first if there are several.
    fn explain(self, inner: Span) -> Planned {
        let names = names_in(self.sql, self.session.facts).unwrap_or_default();
        let why = "EXPLAIN of a statement over sharded tables is not supported; EXPLAIN SHARDLOOM shows its plan and the \
                   statement for each target:";
        self.forward(&names, Some(SqlError::refuse_at(why, self.sql, inner.start as usize)))
    }

    /// A statement for the group of its tables, passed on as it is but for physical names of schemas. `refusal` is
    /// what is said if a table in it is sharded or broadcast.
    fn forward(self, names: &[ObjectName], refusal: Option<SqlError>) -> Planned {
        let mut model = Model::new(self.sql, self.session, self.rules, self.catalog);
        let mut group: Option<GroupId> = None;
        for name in names {
            let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema);
            if schema.is_some_and(|schema| schema.eq_ignore_ascii_case("information_schema"))
                && !matches!(find(&name.name.name, self.session.facts.flavour), Found::OfAll)
            {
                let why = "information_schema is read by SELECT only:";
                let refusal = SqlError::refuse_at(why, self.sql, name.span.start as usize);
                return self.planned(Plan::Refuse(refusal));
            }
            // Without a schema, or with one that no rule knows, it is no table of ours: perhaps no table at all.
            let Some(schema) = schema.filter(|schema| self.rules.schema(schema).is_some()) else { continue };
            match self.rules.schema(schema).map(|found| found.table(&name.name.name)) {
                Some(Placement::Single(found)) => {
                    if group.is_some_and(|group| group != found) {
                        let why = "tables of several groups in one statement are not supported:";
                        let refusal = SqlError::refuse_at(why, self.sql, name.span.start as usize);
                        return self.planned(Plan::Refuse(refusal));
                    }
                    group = Some(found);
                    match model.table(name) {
                        Ok(table) => model.rename(table, name, false),
                        Err(refusal) => return self.planned(Plan::Refuse(refusal)),
                    }
                }
                Some(place @ (Placement::Sharded(_) | Placement::Broadcast)) => {
                    let refusal = refusal.unwrap_or_else(|| self.not_passed_on(schema, name, place));
                    return self.planned(Plan::Refuse(refusal));
                }
                None => {}
            }
        }
        let group = Some(group.unwrap_or_else(|| model.home()));
        let plan = match Composer::new(self.scan, model.edits).plain() {
            Ok(text) => Plan::Relay { group, text },
            Err(refusal) => Plan::Refuse(refusal),
        };
        Planned { tables: model.tables.into(), ..self.planned(plan) }
    }

    /// Why a statement that is not read is not passed on.
    fn not_passed_on(self, schema: &str, name: &ObjectName, place: Placement<'_>) -> SqlError {
        let kind = if matches!(place, Placement::Sharded(_)) { "sharded" } else { "a broadcast table" };
        let why = format!(
            "{schema}.{} is {kind}, and this kind of statement is only passed on for single tables (new tables: \
             shardloom check --create):",
            name.name.name
        );
        SqlError::refuse_at(&why, self.sql, name.span.start as usize)
    }

    /// Puts the client's hints into the plan.
    fn hints(self, planned: &mut Planned) -> Result<(), SqlError> {
        if self.scan.hint.is_none() {
            return Ok(());
        }
        for item in hints(self.sql, self.scan)? {
            match item {
                HintItem::Primary => planned.wishes.role = Some(Role::Primary),
                HintItem::Replica => planned.wishes.role = Some(Role::Replica),
                HintItem::Transaction(mode) => planned.wishes.transaction = Some(mode),
                HintItem::TimeoutMs(timeout) => planned.wishes.timeout_ms = Some(timeout),
                HintItem::Commit(rows) => match &mut planned.plan {
                    Plan::Load(load) => load.commit = Some(rows),
                    Plan::Refuse(_) => {}
                    _ => {
                        let why = "the hint commit= is for LOAD DATA LOCAL INFILE into sharded and broadcast tables";
                        return Err(SqlError::refuse(why));
                    }
                },
                HintItem::Shard(shard) => self.to_shard(planned, shard)?,
                HintItem::Group(name) => self.to_group(planned, &name)?,
            }
        }
        Ok(())
    }

    fn to_shard(self, planned: &mut Planned, shard: u32) -> Result<(), SqlError> {
        match &mut planned.plan {
            Plan::Sharded(sharded) => match &sharded.routing.by {
                By::Conditions(_) => {
                    sharded.routing.shard = Some(shard);
                    Ok(())
                }
                By::Rows(slots, _) if slots.is_empty() => {
                    sharded.routing.shard = Some(shard);
                    Ok(())
                }
                By::Rows(..) => {
                    Err(SqlError::refuse("the hint shard= is not for an INSERT: its rows say where they go"))
                }
            },
            Plan::Describe { .. } | Plan::Refuse(_) => Ok(()),
            Plan::Gather(_) | Plan::Ahead(_) | Plan::Joined(_) => {
                Err(SqlError::refuse("the hint shard= is not for tables that no shard has together"))
            }
            Plan::Computed(_) => {
                Err(SqlError::refuse("the hint shard= is not for a write whose values are computed first"))
            }
            Plan::Carry(_) | Plan::Singly(_) => {
                Err(SqlError::refuse("the hint shard= is not for an INSERT: its rows say where they go"))
            }
            Plan::Maintain(maintain) => match maintain.on(shard) {
                Some(on) => {
                    **maintain = on;
                    Ok(())
                }
                None => {
                    Err(SqlError::refuse(format!("the hint names shard {shard}, which not all of the tables have")))
                }
            },
            Plan::Load(_) => Err(SqlError::refuse("the hint shard= is not for LOAD DATA: its rows say where they go")),
            Plan::Define(_) | Plan::Like { .. } => {
                let why = "the hint shard= is not for a definition, which would make the shards differ";
                Err(SqlError::refuse(why))
            }
            Plan::Catalogue(_) | Plan::Relay { .. } | Plan::Everywhere { .. } => {
                Err(SqlError::refuse("the hint shard= is for statements over sharded tables"))
            }
        }
    }

    /// User locks keep sessions apart only if all take them on the same server.
    fn user_locks(self, planned: &mut Planned) -> Result<(), SqlError> {
        if !planned.effects.user_locks {
            return Ok(());
        }
        if mentions(self.sql, self.session.facts)?.any(Mentions::LOCK_OWNER) {
            return Err(SqlError::refuse(
                "IS_USED_LOCK(), which tells a server's number of a connection: ask IS_FREE_LOCK()",
            ));
        }
        let locks = self.rules.lock_group();
        match &mut planned.plan {
            Plan::Refuse(_) => Ok(()),
            Plan::Relay { group, .. } if group.is_none_or(|group| group == locks) => {
                *group = Some(locks);
                Ok(())
            }
            _ => {
                let name = self.rules.group(locks).map_or("", |group| &group.name);
                let why =
                    format!("a user lock in a statement over tables elsewhere than on {name}, which has all of them");
                Err(SqlError::refuse(why))
            }
        }
    }

    fn to_group(self, planned: &mut Planned, name: &str) -> Result<(), SqlError> {
        let Some(wanted) = self.rules.group_named(name) else {
            return Err(SqlError::refuse(format!("the hint names group {name}, which no rule knows")));
        };
        match &mut planned.plan {
            Plan::Relay { group, .. } => *group = Some(wanted),
            Plan::Refuse(_) => {}
            Plan::Catalogue(_)
            | Plan::Define(_)
            | Plan::Maintain(_)
            | Plan::Like { .. }
            | Plan::Carry(_)
            | Plan::Ahead(_)
            | Plan::Computed(_)
            | Plan::Joined(_)
            | Plan::Singly(_)
            | Plan::Load(_)
            | Plan::Sharded(_)
            | Plan::Gather(_)
            | Plan::Everywhere { .. }
            | Plan::Describe { .. } => {
                let why =
                    "the hint group= is for statements without sharded tables, and not for writes of broadcast ones";
                return Err(SqlError::refuse(why));
            }
        }
        Ok(())
    }
}

/// `IF NOT EXISTS` at the start of what follows SHOW CREATE DATABASE.
fn is_guarded(arguments: &[u8]) -> bool {
    arguments.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"IF "))
}

/// Whether a query leaves nothing behind, so that a replica can answer it.
fn reads_only(effects: &Effects) -> bool {
    let leaves = effects.writes
        || effects.locking
        || effects.sets_last_insert_id
        || effects.sets_variables
        || effects.calc_found_rows
        || effects.user_locks
        || effects.table_locks
        || effects.stored_function;
    let asks = effects.found_rows || effects.row_count || effects.last_insert_id;
    !leaves && !asks
}

/// Makes a plan refuse to do in several statements what one server does in one.
fn forbid_steps(plan: &mut Plan, refusal: SqlError) {
    match plan {
        Plan::Carry(_) | Plan::Ahead(_) | Plan::Computed(_) | Plan::Joined(_) | Plan::Singly(_) => {
            *plan = Plan::Refuse(refusal);
        }
        other => forbid_many(other, refusal),
    }
}

/// Makes a plan refuse several targets.
fn forbid_many(plan: &mut Plan, refusal: SqlError) {
    if let Plan::Sharded(sharded) = plan
        && !matches!(sharded.many, Many::Refuse(_))
    {
        sharded.many = Many::Refuse(refusal);
    }
}

/// Whether a clause such as FOR UPDATE is for some tables only.
fn names_tables(clause: &[u8]) -> bool {
    clause.split(u8::is_ascii_whitespace).any(|word| word.eq_ignore_ascii_case(b"OF"))
}
