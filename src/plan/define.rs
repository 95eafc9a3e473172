//! Data definitions on tables that lie in several places: one statement for each place, with the names that the tables
//! have there, or the reason why that would not be what one server does. It sends nothing, and remembers nothing.

use crate::error::{Code, SqlError};
use crate::plan::text::{put_name, quote};
use crate::plan::{Place, Session, Table, Target};
use crate::rules::catalog::{Catalog, ForeignKey, TableInfo};
use crate::rules::constraint;
use crate::rules::lookup::{Lookup, LookupState};
use crate::rules::{GroupId, PhysicalName, Placement, RuleSet, Schema, ShardedTable};
use crate::sql::Flavour;
use crate::sql::ast::{Ident, ObjectName, Span};
use crate::sql::define::{Action, Constraint, Definition, NewKey, Part, Reference, define};
use crate::sql::head::Ddl;
use crate::value::KeyKind;

/// A data definition for all places of its tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Define {
    /// What it does.
    pub verb: Ddl,
    /// The schema that all its tables are of.
    pub schema: Box<str>,
    /// The group that keeps the record of it: the schema's home.
    pub home: GroupId,
    /// The logical names of the tables it defines: those that no other definition may concern meanwhile.
    pub tables: Box<[Box<str>]>,
    /// Of DROP: it has no IF EXISTS.
    pub must_exist: bool,
    /// What is done, in this order.
    pub steps: Box<[Step]>,
    /// What a DBA should know about it.
    pub warnings: Box<[String]>,
    /// RENAME that gives one table the name of another, which is named anew, too: each may look as the other did.
    pub swaps: bool,
    /// Every place has the same rows, so that counts are those of one place.
    pub copies: bool,
}

/// What is done at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Where.
    pub target: Target,
    /// The physical schema that the statement runs in.
    pub database: Box<str>,
    /// The tables it defines there, each with its logical name.
    pub tables: Box<[(PhysicalName, Box<str>)]>,
    /// The statement, in the client's character set.
    pub sql: Box<[u8]>,
}

/// What a data definition is read with.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The client's statement, no further one behind it.
    pub sql: &'a [u8],
    /// What the session adds.
    pub session: Session<'a>,
    /// The rules.
    pub rules: &'a RuleSet,
    /// The tables, as far as they are known.
    pub catalog: &'a Catalog,
}

/// The tables of a definition as a plan lists them, and what is done.
pub type Defined = (Box<[Table]>, Define);

impl<'a> World<'a> {
    /// The places of CREATE, ALTER, DROP, RENAME and TRUNCATE TABLE, CREATE and DROP INDEX, and DROP VIEW.
    ///
    /// # Errors
    /// 1046, 1049 for schemas; 1235 for what is not the same on several servers as on one, with the reason.
    pub fn define(self, verb: Ddl) -> Result<Defined, SqlError> {
        let Some(found) = define(self.sql, self.session.facts)? else {
            return Err(self.refuse("this definition of a sharded table, or of one with copies, cannot be read:", 0));
        };
        if let Some((span, why)) = found.unread {
            return Err(self.refuse(why, span.start));
        }
        let names = self.names(&found)?;
        if let Some(replaces) = found.replaces {
            return Err(
                self.refuse("OR REPLACE of a table in several places: drop it, then create it:", replaces.start)
            );
        }
        if let Some(query) = found.query {
            let why = "this CREATE TABLE ... AS SELECT of a sharded table, or of one with copies: create it, then INSERT \
                       ... SELECT:";
            return Err(self.refuse(why, query));
        }
        let parts = self.parts(&names, verb)?;
        names.subjects().try_for_each(|subject| self.key_columns(subject, verb, &found, &names))?;
        self.with_lookups(&names, verb)?;
        self.constraints(&names, &found)?;
        let steps = parts.iter().flat_map(|part| self.steps(&names, &found, part)).collect();
        let warnings =
            names.subjects().flat_map(|subject| warnings(names.schema, subject, verb, &found, names.like())).collect();
        let mut tables: Vec<Box<str>> = names.subjects().map(|named| named.logical.as_str().into()).collect();
        tables.sort();
        tables.dedup();
        let define = Define {
            verb,
            schema: names.schema.name.as_str().into(),
            home: names.schema.home,
            tables: tables.into(),
            must_exist: matches!(verb, Ddl::DropTable | Ddl::DropView) && !found.guarded,
            steps,
            warnings,
            swaps: names.swap(),
            copies: names.subjects().all(|named| named.place() == Place::Broadcast),
        };
        Ok((names.tables(), define))
    }

    /// CREATE or ALTER of a view whose name the rules give copies to: the same on every group.
    ///
    /// # Errors
    /// 1235 if it reads what is not on every group.
    pub fn define_view(self, tables: &[ObjectName]) -> Result<Defined, SqlError> {
        let all = tables.iter().map(|name| (name.clone(), Part::Subject)).collect();
        let names = self.names(&Definition { mentions: all, ..Definition::default() })?;
        if let Some(other) = names.all.iter().find(|named| named.place() != Place::Broadcast) {
            let why = "a view that every group has reads only tables that every group has; this is none:";
            return Err(self.refuse(why, other.written.span.start));
        }
        let renamed = (0..self.rules.groups().len())
            .any(|group| names.schema.physical(GroupId(group as u16)) != names.schema.name);
        if renamed && names.all.iter().any(|named| named.written.schema.is_some()) {
            return Err(self.refuse("a view that names its schema, which has another name on the servers:", 0));
        }
        let Some(view) = names.all.first() else { return Err(self.refuse("a view without a name:", 0)) };
        let step = |target: Target| Step {
            target,
            database: names.schema.physical(target.group).into(),
            tables: [(view.physical(names.schema, target), view.logical.as_str().into())].into(),
            sql: self.sql.into(),
        };
        let define = Define {
            verb: Ddl::CreateView,
            schema: names.schema.name.as_str().into(),
            home: names.schema.home,
            tables: [view.logical.as_str().into()].into(),
            must_exist: false,
            steps: view.targets(self.rules).into_iter().map(step).collect(),
            warnings: Box::default(),
            swaps: false,
            copies: true,
        };
        Ok((names.tables(), define))
    }

    fn refuse(self, why: &str, at: u32) -> SqlError {
        SqlError::refuse_at(why, self.sql, at as usize)
    }

    /// That a table and its lookups keep the same rows: they go together, and nobody takes the place of either.
    fn with_lookups(self, names: &Names<'a>, verb: Ddl) -> Result<(), SqlError> {
        let renamed = names.all.iter().any(|named| named.part == Part::NewName);
        for named in names.all.iter().filter(|named| matches!(named.part, Part::Subject | Part::NewName)) {
            let Placement::Sharded(table) = named.placement else { continue };
            if table.lookups.is_empty() && table.owner.is_none() {
                continue;
            }
            let refuse = |why: &str| Err(self.refuse(why, named.written.span.start));
            match verb {
                Ddl::TruncateTable => {
                    return refuse(
                        "TRUNCATE of a table with a lookup, or of a lookup, would empty one of them: DELETE empties both;",
                    );
                }
                Ddl::DropTable => {
                    if let Some(stays) = self.bereaved(names, table) {
                        return refuse(&format!(
                            "a table and its lookups go together, and {stays} would stay: name it in the same DROP;"
                        ));
                    }
                }
                _ if renamed => {
                    return refuse("a table with a lookup, or a lookup, keeps its name, and gets no other's rows;");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The table that would be left without its lookup, or the other way round, where a statement drops one of them. A
    /// lookup that is still being filled may be made anew.
    fn bereaved(self, names: &Names<'a>, dropped: &'a ShardedTable) -> Option<&'a str> {
        let stays = |table: &str| {
            let named = names.subjects().any(|named| named.logical.eq_ignore_ascii_case(table));
            !named && self.catalog.table(&names.schema.name, table).is_some()
        };
        let is_filled =
            |lookup: &Lookup| lookup.table.eq_ignore_ascii_case(&dropped.name) && lookup.state == LookupState::Reading;
        let owner = dropped.owner.as_deref().and_then(|owner| names.schema.sharded(owner));
        let owner = owner.filter(|owner| owner.lookups.iter().any(is_filled)).map(|owner| owner.name.as_str());
        let lookups = dropped.lookups.iter().map(|lookup| lookup.table.as_str());
        owner.into_iter().chain(lookups).find(|table| stays(table))
    }

    fn names(self, found: &Definition) -> Result<Names<'a>, SqlError> {
        let mut schema: Option<&'a Schema> = None;
        let mut all = Vec::new();
        for (name, part) in &found.mentions {
            let written = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema);
            let Some(written) = written else { return Err(SqlError::new(Code::NoSchema, "No database selected")) };
            let Some(of) = self.rules.schema(written) else {
                return Err(SqlError::new(Code::UnknownSchema, format!("Unknown database '{written}'")));
            };
            if schema.is_some_and(|first| first.name != of.name) {
                let why = "tables of several schemas in one definition, where one is sharded or has copies:";
                return Err(self.refuse(why, name.span.start));
            }
            schema = Some(of);
            let placement = of.table(&name.name.name);
            if let Placement::Single(group) = placement
                && let Some(whole) = self.rules.shard_of(group, of.physical(group), &name.name.name)
            {
                let why = format!("this is a shard of {}, which is asked for as a whole:", whole.name);
                return Err(self.refuse(&why, name.span.start));
            }
            let logical = match placement {
                Placement::Sharded(table) => table.name.clone(),
                Placement::Broadcast | Placement::Single(_) => name.name.name.clone(),
            };
            let info = self.catalog.table(&of.name, &logical).map(|info| &**info);
            all.push(Named { written: name.clone(), part: *part, placement, logical, info });
        }
        let schema = schema.ok_or_else(|| self.refuse("a definition that names no table:", 0))?;
        Ok(Names { schema, all })
    }

    /// Subjects that lie alike, in the order in which they are seen to: what may refer to others before those.
    fn parts<'n>(self, names: &'n Names<'a>, verb: Ddl) -> Result<Vec<Vec<&'n Named<'a>>>, SqlError> {
        let mut parts: Vec<Vec<&Named<'a>>> = Vec::new();
        for subject in names.subjects() {
            match parts.iter_mut().find(|part| part[0].place() == subject.place()) {
                Some(part) => part.push(subject),
                None => parts.push(vec![subject]),
            }
        }
        let of_several = matches!(verb, Ddl::DropTable | Ddl::DropView);
        if let (Some(other), false) = (parts.get(1), of_several) {
            let why = "tables that do not lie side by side, in one definition:";
            return Err(self.refuse(why, other[0].written.span.start));
        }
        let first = parts.first().map(|part| part[0].place());
        for named in names.all.iter().filter(|named| named.part != Part::Subject) {
            let alike = names.subjects().all(|subject| self.marked_alike(names.schema, subject, named));
            let beside = match (first, named.place(), named.part) {
                _ if matches!(named.part, Part::NewName | Part::Like) && !alike => false,
                (Some(first), place, _) if first == place => {
                    named.part != Part::NewName || names.subjects().all(|subject| subject.keys() == named.keys())
                }
                (_, Place::Broadcast, Part::Like | Part::Parent) => true,
                _ => false,
            };
            if !beside {
                let why = match named.part {
                    Part::NewName => "the rules do not place a table of this name as the renamed one lies:",
                    _ => "This table does not lie beside the new one on every server:",
                };
                return Err(self.refuse(why, named.written.span.start));
            }
        }
        let rank = |place: Place| match place {
            Place::Sharded(_) => 0,
            Place::Single(_) => 1,
            Place::Broadcast => 2,
            Place::System => 3,
        };
        parts.sort_by_key(|part| rank(part[0].place()));
        Ok(parts)
    }

    /// Whether the constraints of one table are told by the same names as those of another: it gets those of the other.
    fn marked_alike(self, schema: &Schema, one: &Named<'_>, other: &Named<'_>) -> bool {
        let mark =
            |named: &Named<'_>, target: Target| constraint::mark(&named.physical(schema, target).table, &named.logical);
        match (one.placement, other.placement) {
            (Placement::Sharded(_), Placement::Sharded(_)) => {
                one.targets(self.rules).into_iter().all(|target| mark(one, target) == mark(other, target))
            }
            _ => true,
        }
    }

    /// The statements of the subjects of one part.
    fn steps(self, names: &Names<'a>, found: &Definition, part: &[&Named<'a>]) -> Vec<Step> {
        let whole = names.subjects().count() == part.len();
        let step = |target: Target| {
            let sql = if whole { self.spliced(names, found, target) } else { self.list_of(names, part, target) };
            let defined = names.all.iter().filter(|named| match named.part {
                Part::Subject => part.iter().any(|subject| subject.written.span == named.written.span),
                Part::NewName => whole,
                Part::Like | Part::Parent => false,
            });
            let physical = |named: &Named<'a>| (named.physical(names.schema, target), named.logical.as_str().into());
            let database = match part[0].placement {
                Placement::Sharded(_) => part[0].physical(names.schema, target).schema,
                Placement::Broadcast | Placement::Single(_) => names.schema.physical(target.group).to_owned(),
            };
            Step { target, database: database.into(), tables: defined.map(physical).collect(), sql: sql.into() }
        };
        part[0].targets(self.rules).into_iter().map(step).collect()
    }

    /// The client's text with the names of a place.
    fn spliced(self, names: &Names<'a>, found: &Definition, target: Target) -> Vec<u8> {
        let mut edits: Vec<(Span, Vec<u8>)> = Vec::new();
        for named in &names.all {
            let PhysicalName { schema, table, .. } = named.physical(names.schema, target);
            let mut name = Vec::new();
            put_name(&schema, &table, &mut name);
            edits.push((named.written.span, name));
        }
        if let Some(subject) = names.subjects().next() {
            let shard = subject.physical(names.schema, target);
            for (name, kind) in &found.constraints {
                // That there is such a name was asked for all places.
                if let (true, Ok(named)) =
                    (self.is_marked(subject, name, *kind), constraint::physical(&name.name, &shard, &subject.logical))
                    && named != name.name
                {
                    let mut quoted = Vec::new();
                    quote(named.as_bytes(), &mut quoted);
                    edits.push((name.span, quoted));
                }
            }
            if constraint::mark(&shard.table, &subject.logical).is_some() {
                edits.extend(self.keys_beside(subject, found));
            }
        }
        edits.sort_by_key(|(span, _)| *span);
        let (mut out, mut copied) = (Vec::new(), 0);
        for (span, with) in edits {
            out.extend_from_slice(&self.sql[copied..span.start as usize]);
            out.extend_from_slice(&with);
            copied = span.end as usize;
        }
        out.extend_from_slice(&self.sql[copied..]);
        out
    }

    /// A server gives the key that it makes for a foreign key the name of that, which is another one at every shard:
    /// the same key under the client's name, in front of each foreign key for which it would make one.
    fn keys_beside(self, subject: &Named<'_>, found: &Definition) -> Vec<(Span, Vec<u8>)> {
        let made = made_keys(subject.info, found);
        let beside = |(number, reference): (usize, &Reference)| {
            let (name, start) = (reference.name.as_ref()?, reference.start?);
            if !made.contains(&number) {
                return None;
            }
            let mut key = b"KEY ".to_vec();
            quote(name.name.as_bytes(), &mut key);
            let mut before: &[u8] = b" (";
            for column in &reference.columns {
                key.extend_from_slice(before);
                quote(column.name.as_bytes(), &mut key);
                before = b", ";
            }
            key.extend_from_slice(if reference.added { b"), ADD " } else { b"), " });
            Some((Span { start, end: start }, key))
        };
        found.references.iter().enumerate().filter_map(beside).collect()
    }

    /// The client's DROP with those of its tables only that lie in one part.
    fn list_of(self, names: &Names<'a>, part: &[&Named<'a>], target: Target) -> Vec<u8> {
        let spans = || names.subjects().map(|named| named.written.span);
        let start = spans().map(|span| span.start).min().unwrap_or(0) as usize;
        let end = spans().map(|span| span.end).max().unwrap_or(0) as usize;
        let mut out = self.sql[..start].to_vec();
        for (index, named) in part.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b", ");
            }
            let PhysicalName { schema, table, .. } = named.physical(names.schema, target);
            put_name(&schema, &table, &mut out);
        }
        out.extend_from_slice(&self.sql[end..]);
        out
    }

    /// That rows can still be placed: a new table has its sharding columns, an old one keeps them as they are, and a
    /// foreign key leads to the same shard.
    fn key_columns(
        self,
        subject: &Named<'a>,
        verb: Ddl,
        found: &Definition,
        names: &Names<'a>,
    ) -> Result<(), SqlError> {
        let Placement::Sharded(table) = subject.placement else { return Ok(()) };
        let at = subject.written.span.start;
        if verb == Ddl::CreateTable {
            let has = |key: &String| match names.template() {
                Some(Named { info: Some(info), .. }) => info.column(key).is_some(),
                // If it is there, it has the columns by which it is split itself.
                Some(template) => template.keys().iter().any(|own| own.eq_ignore_ascii_case(key)),
                None => found.columns.iter().any(|column| column.name.name.eq_ignore_ascii_case(key)),
            };
            if let Some(key) = table.columns.iter().find(|key| !has(key)) {
                let why = format!("the rules split {} by {key}, which is none of the columns:", table.name);
                return Err(self.refuse(&why, at));
            }
        }
        let is_key = |name: &&Ident| table.columns.iter().any(|key| key.eq_ignore_ascii_case(&name.name));
        if let Some(changed) = found.changed.iter().find(is_key) {
            let why = format!("the rules split {} by this column, which therefore stays as it is:", table.name);
            return Err(self.refuse(&why, changed.span.start));
        }
        if let Some(converts) = found.converts {
            let is_text = |key: &String| {
                let kind = subject.info.and_then(|info| info.column(key)).map(|(_, column)| column.key_kind());
                !matches!(kind, Some(Ok(kind)) if !matches!(kind, KeyKind::Str { .. }))
            };
            if table.columns.iter().any(is_text) {
                let why = "another collation of the column by which the table is split would place its rows elsewhere:";
                return Err(self.refuse(why, converts.start));
            }
        }
        found.references.iter().try_for_each(|reference| self.reference(table, reference))
    }

    /// That the constraints of a sharded table have names at every place which are told as the client's.
    fn constraints(self, names: &Names<'a>, found: &Definition) -> Result<(), SqlError> {
        let Some(subject) = names.subjects().next() else { return Ok(()) };
        let shards = || subject.targets(self.rules).into_iter().map(|target| subject.physical(names.schema, target));
        for (name, kind) in &found.constraints {
            if !self.is_marked(subject, name, *kind) {
                continue;
            }
            for shard in shards() {
                if let Err(why) = constraint::physical(&name.name, &shard, &subject.logical) {
                    let why = format!("the name of a constraint is unique in a schema, and {why}:");
                    return Err(self.refuse(&why, name.span.start));
                }
                let beside =
                    |reference: &&Reference| reference.start.is_none() && reference.name.as_ref() == Some(name);
                if found.references.iter().any(|reference| beside(&reference))
                    && constraint::mark(&shard.table, &subject.logical).is_some()
                {
                    let why = "a foreign key with a name beside its column: write CONSTRAINT ... FOREIGN KEY:";
                    return Err(self.refuse(why, name.span.start));
                }
            }
        }
        Ok(())
    }

    /// Whether the name of a constraint differs from shard to shard: not that of a unique key, nor the one that MariaDB
    /// gives to a check without a name, which is known in its table only.
    fn is_marked(self, subject: &Named<'_>, name: &Ident, kind: Constraint) -> bool {
        let is_key = || {
            let keys = subject.info.into_iter().flat_map(|info| info.unique_keys.keys());
            keys.map(String::as_str).chain(["PRIMARY"]).any(|key| key.eq_ignore_ascii_case(&name.name))
        };
        let number = name.name.strip_prefix("CONSTRAINT_").filter(|_| self.session.facts.flavour == Flavour::MariaDb);
        let is_numbered = number.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        matches!(subject.placement, Placement::Sharded(_))
            && !(kind == Constraint::Any && is_key())
            && !(kind != Constraint::ForeignKey && is_numbered)
    }

    /// A foreign key to a sharded table refers to rows of the same shard, or one server could not see them; and no
    /// server changes rows by it that belong elsewhere afterwards, or that have a row in a lookup.
    fn reference(self, child: &ShardedTable, reference: &Reference) -> Result<(), SqlError> {
        let schema = reference.parent.schema.as_ref().map(|schema| schema.name.as_str()).or(self.session.schema);
        let parent = schema.and_then(|schema| self.rules.schema(schema));
        let parent = match parent.map(|schema| schema.table(&reference.parent.name.name)) {
            Some(Placement::Sharded(parent)) if parent.family == child.family => Some(parent),
            // Whether it lies beside is asked elsewhere.
            _ => None,
        };
        let key = ForeignKey {
            columns: reference.columns.iter().map(|column| column.name.clone()).collect(),
            parent: reference.parent.name.name.clone(),
            on_delete: reference.on_delete,
            on_update: reference.on_update,
        };
        if let Some(why) = misplaces(child, &key, parent.is_some()).or_else(|| unseen(child, &key)) {
            return Err(self.refuse(&format!("{why}:"), reference.parent.span.start));
        }
        let Some(parent) = parent else { return Ok(()) };
        let pairs = || reference.columns.iter().zip(&reference.parent_columns);
        let same_shard = !child.columns.is_empty()
            && child.columns.iter().zip(&parent.columns).all(|(ours, theirs)| {
                pairs().any(|(a, b)| a.name.eq_ignore_ascii_case(ours) && b.name.eq_ignore_ascii_case(theirs))
            });
        if same_shard {
            return Ok(());
        }
        let keys = |table: &ShardedTable| table.columns.join(", ");
        let why = format!(
            "a foreign key that may lead to another shard; one of which ({}) refers to ({}) stays in it:",
            keys(child),
            keys(parent)
        );
        Err(self.refuse(&why, reference.parent.span.start))
    }
}

/// The tables of a definition, as far as the rules know them.
struct Names<'a> {
    schema: &'a Schema,
    all: Vec<Named<'a>>,
}

/// A table as the statement and as the rules name it.
struct Named<'a> {
    written: ObjectName,
    part: Part,
    placement: Placement<'a>,
    logical: String,
    info: Option<&'a TableInfo>,
}

impl<'a> Names<'a> {
    fn subjects(&self) -> impl Iterator<Item = &Named<'a>> {
        self.all.iter().filter(|named| named.part == Part::Subject)
    }

    /// Whether a new name is also that of a table which is named anew.
    fn swap(&self) -> bool {
        let new_names = || self.all.iter().filter(|named| named.part == Part::NewName);
        self.subjects().any(|subject| new_names().any(|new| new.logical.eq_ignore_ascii_case(&subject.logical)))
    }

    /// The table that a new one is made like.
    fn template(&self) -> Option<&Named<'a>> {
        self.all.iter().find(|named| named.part == Part::Like)
    }

    fn like(&self) -> Option<&'a TableInfo> {
        self.template().and_then(|named| named.info)
    }

    fn tables(&self) -> Box<[Table]> {
        let mut tables: Vec<Table> = Vec::new();
        for named in &self.all {
            let physical = match named.placement {
                Placement::Sharded(table) => table.all_physical().clone(),
                Placement::Broadcast | Placement::Single(_) => [].into(),
            };
            let (schema, name) = (self.schema.name.as_str().into(), named.logical.as_str().into());
            let table = Table { schema, name, place: named.place(), physical };
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        tables.into()
    }
}

impl Named<'_> {
    fn place(&self) -> Place {
        match self.placement {
            Placement::Sharded(table) => Place::Sharded(table.family),
            Placement::Broadcast => Place::Broadcast,
            Placement::Single(group) => Place::Single(group),
        }
    }

    /// The columns by which it is split.
    fn keys(&self) -> &[String] {
        match self.placement {
            Placement::Sharded(table) => &table.columns,
            Placement::Broadcast | Placement::Single(_) => &[],
        }
    }

    /// Everywhere it lies, sorted.
    fn targets(&self, rules: &RuleSet) -> Vec<Target> {
        let whole = |group: GroupId| Target { group, shard: None };
        match self.placement {
            Placement::Single(group) => vec![whole(group)],
            Placement::Broadcast => (0..rules.groups().len()).map(|group| whole(GroupId(group as u16))).collect(),
            Placement::Sharded(table) => {
                let Some(family) = rules.family(table.family) else { return Vec::new() };
                let target = |shard: u32| Target { group: family.home(shard), shard: Some(shard) };
                let mut targets: Vec<Target> = (0..family.shards).map(target).collect();
                targets.sort();
                targets
            }
        }
    }

    fn physical(&self, schema: &Schema, target: Target) -> PhysicalName {
        match (self.placement, target.shard) {
            (Placement::Sharded(table), Some(shard)) => table.physical(shard).clone(),
            _ => PhysicalName::new(schema.physical(target.group).to_owned(), self.logical.clone()),
        }
    }
}

/// The foreign keys, by their places, for which a server makes a key: those that no other key serves. Of keys of its own
/// it leaves out what another one begins with.
/// <https://dev.mysql.com/doc/refman/9.7/en/create-table-foreign-keys.html>
fn made_keys(info: Option<&TableInfo>, found: &Definition) -> Vec<usize> {
    let is_there = |key: &str| !found.dropped.iter().any(|dropped| dropped.eq_ignore_ascii_case(key));
    let there = |with: &[Ident]| {
        let Some(info) = info else { return false };
        let primary = ("PRIMARY", &info.primary_key);
        let others = info.unique_keys.iter().chain(&info.other_keys).map(|(name, columns)| (name.as_str(), columns));
        let whole = |name: &str| is_there(name) && !info.partial_keys.contains(name);
        others.chain([primary]).any(|(name, columns)| whole(name) && begins(columns, String::as_str, with))
    };
    let made = |(at, key): (usize, &NewKey)| {
        let serves = |(place, other): (usize, &NewKey)| {
            let preferred = match other.serves {
                None => true,
                // Of two that are the same the later one stays.
                Some(_) => (other.columns.len(), place) > (key.columns.len(), at),
            };
            preferred && begins(&other.columns, |column| &column.name, &key.columns)
        };
        let served = there(&key.columns) || found.keys.iter().enumerate().any(serves);
        key.serves.filter(|_| !served)
    };
    found.keys.iter().enumerate().filter_map(made).collect()
}

/// Whether a key with these columns begins with others.
fn begins<C>(columns: &[C], name: impl Fn(&C) -> &str, with: &[Ident]) -> bool {
    columns.len() >= with.len() && columns.iter().zip(with).all(|(a, b)| name(a).eq_ignore_ascii_case(&b.name))
}

/// What a DBA should know of a sharded table that is defined so.
fn warnings(
    schema: &Schema,
    subject: &Named<'_>,
    verb: Ddl,
    found: &Definition,
    like: Option<&TableInfo>,
) -> Vec<String> {
    let Placement::Sharded(table) = subject.placement else { return Vec::new() };
    let mut warnings = Vec::new();
    let numbered = found.columns.iter().any(|column| column.auto_increment)
        || (verb == Ddl::CreateTable && like.is_some_and(|info| info.auto_increment().is_some()));
    if numbered && schema.id(&table.name).is_none() {
        warnings.push(format!(
            "{}: each shard has an AUTO_INCREMENT of its own, so an INSERT has to say the number, unless the rules give \
             the table an id",
            table.name
        ));
    }
    let written = found.unique.iter().map(|key| key.iter().map(|column| column.name.clone()).collect::<Vec<_>>());
    let copied = like.into_iter().flat_map(TableInfo::unique).map(<[String]>::to_vec);
    warnings.extend(written.chain(copied).filter_map(|key| not_unique(table, &key)));
    warnings
}

/// The sentence about a foreign key by which servers would leave rows of a sharded table where they do not belong any
/// more; none if there is no such. `beside`: the parent is of the same family, so that both keys stay the same.
pub fn misplaces(table: &ShardedTable, key: &ForeignKey, beside: bool) -> Option<String> {
    let follows = beside && key.on_update == Action::Cascade && key.on_delete != Action::SetNull;
    let clause = key.changes(&table.columns).filter(|_| !follows)?;
    Some(format!("{clause} of a foreign key of {} would leave rows on a shard that is not theirs", table.name))
}

/// The sentence about a foreign key by which servers would change rows of a table, or of its lookup, alone; none if
/// there is no such.
fn unseen(table: &ShardedTable, key: &ForeignKey) -> Option<String> {
    let looked_up = table.lookups.iter().find_map(|lookup| key.unseen(&lookup.columns_with(table)));
    let (clause, what) = match (looked_up, &table.owner) {
        (Some(clause), _) => (clause, "which has a lookup"),
        (None, Some(_)) => (key.unseen(&key.columns)?, "which is a lookup"),
        (None, None) => return None,
    };
    Some(format!("{clause} of a foreign key of {}, {what}, would change rows of one of both only", table.name))
}

/// The sentence about a unique key of a sharded table that shards cannot keep unique together; none if they can.
pub fn not_unique(table: &ShardedTable, key: &[String]) -> Option<String> {
    let has = |column: &String| key.iter().any(|part| part.eq_ignore_ascii_case(column));
    // What is unique over all shards is so with further columns, too.
    let looked_up = table.lookups.iter().any(|lookup| lookup.columns.iter().all(has));
    (!looked_up && !table.columns.iter().all(has)).then(|| {
        format!(
            "{}: unique key ({}) does not contain the sharding column: each shard keeps it unique for itself only",
            table.name,
            key.join(", ")
        )
    })
}
