//! Rendering: the text of a bound statement for one of its targets, and the logical names behind its physical ones.
//! It decides nothing.

use crate::plan::gather::{Extent, Gather, Source};
use crate::plan::limited::{Limited, Stage};
use crate::plan::numbering::{Id, Ids, Numbering, RowId, SHOWN};
use crate::plan::route::Routing;
use crate::plan::semijoin::{Among, Reduction};
use crate::plan::slot::Slot;
use crate::plan::text::{Part, Text, put_name, quote};
use crate::plan::values::Values;
use crate::plan::{Answer, Bound, Duplicates, Many, Params, Pick, Place, Plan, Target};
use crate::rules::shards::Shards;
use crate::rules::{PhysicalName, Placement, Schema, ShardedTable};
use crate::sql::ast::Span;
use crate::sql::scan::Scan;
use crate::sql::splice::{Anchor, splice};
use crate::value::{Datum, Key, KeyKind};

/// How many bytes MySQL gives to the name of a column that has no alias.
const COLUMN_NAME_BYTES: usize = 256;

/// A physical table on one target, and the logical one that it is to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// The schema on the servers.
    pub physical_schema: &'a str,
    /// The table on the servers.
    pub physical: &'a str,
    /// The schema that the client knows.
    pub schema: &'a str,
    /// The table that the client knows.
    pub table: &'a str,
}

impl<'a> Bound<'a> {
    /// Which of an INSERT's rows are called duplicates.
    pub fn duplicates(&self) -> Duplicates {
        match &self.planned.plan {
            Plan::Sharded(sharded) => match sharded.many {
                Many::Rows { duplicates, .. } => duplicates,
                _ => Duplicates::All,
            },
            _ => Duplicates::All,
        }
    }

    /// Whether targets get the rows of an INSERT one by one.
    pub fn is_singly(&self) -> bool {
        let Plan::Sharded(sharded) = &self.planned.plan else { return false };
        matches!((&sharded.many, self.answer), (Many::Rows { singly: true, .. }, Answer::Sum))
    }

    /// The first id that was made for a row, as a number: what LAST_INSERT_ID() tells if all rows come to be.
    pub fn made_id(&self) -> Option<u64> {
        self.ids.first()
    }

    /// Whether ids were made for several rows of which some may not come to be: then [`Bound::put_first_id`] asks for
    /// the first that did.
    pub fn is_unsure(&self) -> bool {
        let several = |numbering: &Numbering| numbering.unsure && numbering.rows.len() > 1;
        self.made_id().is_some() && self.planned.numbering.as_deref().is_some_and(several)
    }

    /// Whether all rows that ids were made for come to be, unless the statement fails.
    pub fn is_certain(&self) -> bool {
        self.planned.numbering.as_deref().is_none_or(|numbering| !numbering.unsure)
    }

    /// Appends the statement that tells the least id that was made for a row on a target; `false` if none was.
    pub fn put_first_id(&self, target: Target, out: &mut Vec<u8>) -> bool {
        let Some(numbering) = self.planned.numbering.as_deref() else { return false };
        let Some(name) = self.name(numbering.table, target) else { return false };
        out.extend_from_slice(b"SELECT MIN(");
        quote(numbering.column.as_bytes(), out);
        out.extend_from_slice(b") FROM ");
        put_name(name.physical_schema, name.physical, out);
        out.extend_from_slice(b" WHERE ");
        quote(numbering.column.as_bytes(), out);
        let mut before: &[u8] = b" IN (";
        for row in 0..numbering.rows.len() {
            let here = self.rows.is_empty() || self.owns(target, row);
            if let (true, Some(Id::Number(number))) = (here, self.ids.of(row as u32)) {
                out.extend_from_slice(before);
                out.extend_from_slice(number.to_string().as_bytes());
                before = b",";
            }
        }
        out.push(b')');
        before == b","
    }

    /// The client's statement.
    pub fn sql(&self) -> &'a [u8] {
        self.sql
    }

    /// Whether the client's own text can be sent as it is; `render` then gives back the same bytes.
    pub fn verbatim(&self) -> bool {
        self.text().is_none_or(|text| text.edits.is_empty())
    }

    /// Appends the text for one target of the route; for [`crate::plan::Route::Any`], of the group picked.
    pub fn render(&self, target: Target, out: &mut Vec<u8>) -> Params {
        if let Answer::Define(define) = self.answer {
            let step = define.steps.iter().find(|step| step.target == target);
            out.extend_from_slice(step.map_or(self.sql, |step| &*step.sql));
            return Params::Same;
        }
        if let Answer::Maintain(maintain) = self.answer {
            let mut visits = maintain.tables.iter().flat_map(|table| &table.visits);
            let visit = visits.find(|visit| visit.target == target);
            out.extend_from_slice(visit.map_or(self.sql, |visit| &*visit.sql));
            return Params::Same;
        }
        let Some(text) = self.text() else {
            out.extend_from_slice(&self.sql[..self.scan.end as usize]);
            return Params::Same;
        };
        splice(self.sql, self.scan, &text.edits, out, |part, out| self.write(part, target, out));
        let numbered = matches!(self.ids, Ids::Written(_));
        let moves = (text.moves_params || numbered) && !self.scan.params.is_empty();
        if moves || matches!(self.ids, Ids::Params(_)) {
            Params::Picked(self.params(text, target))
        } else {
            Params::Same
        }
    }

    /// The same statement at another stage: with another text.
    #[must_use]
    pub fn at(&self, stage: Stage) -> Bound<'a> {
        Bound { stage, ..self.clone() }
    }

    /// The value in a slot, for the numbers that a merge computes with.
    pub fn datum(&self, slot: Slot) -> Option<Datum<'a>> {
        self.values().datum(slot).ok().flatten()
    }

    pub(super) fn values(&self) -> Values<'a> {
        let (sql, scan, args, facts) = (self.sql, self.scan, self.args, self.planned.facts);
        Values { sql, scan, args, facts, ids: self.ids, numbering: self.planned.numbering.as_deref() }
    }

    /// The physical and logical names of all tables of the statement on a target.
    pub fn names(&self, target: Target) -> impl Iterator<Item = Name<'a>> + use<'a, '_> {
        let shared = self.planned.tables.iter().filter(|_| self.gathered.is_none());
        let shared = shared.enumerate().filter_map(move |(number, _)| self.name(number as u16, target));
        shared.chain(self.copies())
    }

    /// Those of all tables of the families of the statement's tables: foreign keys lead to them.
    pub fn relatives(&self, target: Target) -> Vec<Name<'a>> {
        let Some(shard) = target.shard else { return Vec::new() };
        let mine = |family| self.planned.tables.iter().any(|table| table.place == Place::Sharded(family));
        let name = |schema: &'a Schema, table: &'a ShardedTable| {
            let PhysicalName { schema: physical_schema, table: physical, .. } = table.physical(shard);
            Name { physical_schema, physical, schema: &schema.name, table: &table.name }
        };
        let mut found = Vec::new();
        for schema in self.rules.schemas() {
            found.extend(schema.tables().filter_map(|(_, placement)| match placement {
                Placement::Sharded(table) if mine(table.family) => Some(name(schema, table)),
                _ => None,
            }));
        }
        found
    }

    /// The copies of a gather, and the tables that they are to the client.
    fn copies(&self) -> impl Iterator<Item = Name<'a>> + use<'a, '_> {
        let gather = match self.answer {
            Answer::Gather(gather) => Some(gather),
            _ => None,
        };
        let copied = self.gathered.as_ref().map(|gathered| gathered.schema);
        gather.into_iter().flat_map(Gather::copies).filter_map(move |(source, copy)| {
            let table = self.planned.tables.get(usize::from(source.table))?;
            let (schema, name) = (&table.schema, &table.name);
            Some(Name { physical_schema: copied?, physical: copy, schema, table: name })
        })
    }

    /// The name of a table of the plan on a target.
    pub fn name(&self, table: u16, target: Target) -> Option<Name<'a>> {
        let table = self.planned.tables.get(usize::from(table))?;
        let (physical_schema, physical) = match (&table.place, target.shard) {
            (Place::Sharded(_), shard) => {
                let PhysicalName { schema, table, .. } = table.physical.get(shard? as usize)?;
                (schema.as_str(), table.as_str())
            }
            (Place::System, _) => return None,
            (Place::Broadcast | Place::Single(_), _) => {
                (self.rules.schema(&table.schema)?.physical(target.group), &*table.name)
            }
        };
        Some(Name { physical_schema, physical, schema: &table.schema, table: &table.name })
    }

    /// Appends the statement that reads a source of a gather from targets of one group, all at once; nothing if none of
    /// them can have rows that matter.
    pub fn render_pull(&self, number: usize, targets: &[Target], reduction: &Reduction<'_>, out: &mut Vec<u8>) {
        let Some(source) = reduction.source(number) else { return };
        let lists = reduction.conditions(number, |routing, key, value| self.shards_of(routing, key, value));
        // A lock is one of the SELECT that it stands behind.
        let (open, close): (&[u8], &[u8]) = match (&source.locks, targets) {
            (Some(_), [_, _, ..]) => (b"(", b")"),
            _ => (b"", b""),
        };
        let mut between: &[u8] = b"";
        for target in targets {
            let start = out.len();
            [between, open].iter().for_each(|piece| out.extend_from_slice(piece));
            if self.put_pull(source, *target, reduction.extent(), &lists, out) {
                out.extend_from_slice(close);
                between = b" UNION ALL ";
            } else {
                out.truncate(start);
            }
        }
    }

    /// Appends the SELECT for one target; `false` if it can have no row that matters.
    fn put_pull(
        &self,
        source: &Source,
        target: Target,
        extent: Extent,
        lists: &[Among<'_>],
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(name) = self.name(source.table, target) else { return false };
        for (index, column) in source.pulled(extent).enumerate() {
            out.extend_from_slice(if index == 0 { b"SELECT " } else { b"," });
            column.form.put_expression(&column.name, out);
        }
        out.extend_from_slice(b" FROM ");
        put_name(name.physical_schema, name.physical, out);
        out.extend_from_slice(b" AS ");
        quote(source.label.as_bytes(), out);
        let mut before: &[u8] = b" WHERE ";
        for (from, to) in source.filter.iter().filter(|_| extent == Extent::Needed) {
            let start = out.len();
            out.extend_from_slice(before);
            out.push(b'(');
            if self.put_filter(*from, *to, out) {
                out.push(b')');
                before = b" AND ";
            } else {
                out.truncate(start);
            }
        }
        for among in lists {
            out.extend_from_slice(before);
            before = b" AND ";
            if !among.put(target.shard, out) {
                return false;
            }
        }
        if let Some(locks) = &source.locks {
            out.push(b' ');
            out.extend_from_slice(locks.as_bytes());
        }
        true
    }

    /// The shards that can have rows with a value of a key, which is a whole number or of no known place.
    fn shards_of(&self, routing: &Routing, key: u8, value: &[u8]) -> Option<Shards> {
        let number = std::str::from_utf8(value).ok()?.parse::<i128>().ok()?;
        let key = routing.keys.get(usize::from(key))?;
        let KeyKind::Int { .. } = key.kind else { return None };
        Some(self.rules.family(routing.family)?.route_set(usize::from(key.level), &Key::Int(number)))
    }

    /// Appends a piece of the client's text with its parameters as literals; `false` if one of them is no whole number.
    fn put_filter(&self, from: Anchor, to: Anchor, out: &mut Vec<u8>) -> bool {
        let (Some(start), Some(end)) = (from.resolve(self.scan), to.resolve(self.scan)) else { return false };
        let mut copied = start;
        let mut inside = Vec::new();
        within(self.scan, start, end, &mut inside);
        for param in inside {
            let Pick::Client(param) = param else { continue };
            let Some(at) = self.scan.params.get(usize::from(param)).copied() else { return false };
            out.extend_from_slice(Span { start: copied, end: at }.of(self.sql));
            match self.args.get(usize::from(param)) {
                Some(Datum::Int(value)) => out.extend_from_slice(value.to_string().as_bytes()),
                Some(Datum::UInt(value)) => out.extend_from_slice(value.to_string().as_bytes()),
                _ => return false,
            }
            copied = at + 1;
        }
        out.extend_from_slice(Span { start: copied, end }.of(self.sql));
        true
    }

    /// Appends the name of the copy of a source.
    pub fn put_copy(&self, copy: &str, out: &mut Vec<u8>) {
        put_name(self.gathered.as_ref().map_or("", |gathered| gathered.schema), copy, out);
    }

    /// The logical schema and table behind physical ones on a target, for column definitions; none if they stay.
    pub fn logical(&self, target: Target, schema: &[u8], table: &[u8]) -> Option<(&'a str, &'a str)> {
        let is_meant = |name: &Name<'_>| {
            // MariaDB tells a column of a derived table without its schema.
            name.physical.as_bytes() == table && (schema.is_empty() || name.physical_schema.as_bytes() == schema)
        };
        let found = match self.gathered {
            None => (0..self.planned.tables.len()).filter_map(|table| self.name(table as u16, target)).find(is_meant),
            Some(_) => self.copies().find(is_meant),
        };
        found
            .filter(|name| (name.schema, name.table) != (name.physical_schema, name.physical))
            .map(|name| (name.schema, name.table))
    }

    /// For an INSERT split by shard: whether a target has got one of its rows alone.
    pub fn is_alone(&self, target: Target) -> bool {
        self.rows.len() > 1 && self.rows_of(target).nth(1).is_none()
    }

    /// What a server refuses of one row alone: see [`Effects::strict_alone`](crate::plan::Effects::strict_alone).
    pub fn strict_alone(&self) -> Option<u16> {
        self.planned.effects.strict_alone
    }

    /// For an INSERT split by shard: the number in the statement, from 1, of a row that is the `number`th of its target.
    pub fn row_of(&self, target: Target, number: usize) -> Option<usize> {
        self.rows_of(target).nth(number.checked_sub(1)?)
    }

    /// For an INSERT split by shard: the numbers in the statement, from 1, of a target's rows.
    pub fn rows_of(&self, target: Target) -> impl Iterator<Item = usize> + '_ {
        (0..self.rows.len()).filter(move |row| self.owns(target, *row)).map(|row| row + 1)
    }

    /// For an INSERT split by shard: the target that has the last row of the statement, whose id MySQL tells if it made
    /// none.
    pub fn last(&self) -> Option<Target> {
        let shard = *self.rows.last()?;
        let Plan::Sharded(sharded) = &self.planned.plan else { return None };
        let family = self.rules.family(sharded.routing.family)?;
        Some(Target { group: family.home(shard), shard: Some(shard) })
    }

    /// Gives what the relations of a statement about the catalogue are replaced by; until then `render` writes the text
    /// that defines the statement's columns.
    pub fn fill(&mut self, relations: Vec<String>) {
        self.relations = relations;
    }

    fn text(&self) -> Option<&'a Text> {
        match &self.planned.plan {
            Plan::Relay { text, .. } | Plan::Everywhere { text, .. } => Some(text),
            Plan::Describe { text, .. } | Plan::Like { text, .. } => Some(text),
            Plan::Catalogue(catalogue) if self.relations.is_empty() => Some(&catalogue.original),
            Plan::Catalogue(catalogue) => Some(&catalogue.text),
            Plan::Sharded(sharded) => match (&sharded.many, self.answer) {
                (_, Answer::Gather(gather)) => Some(&gather.text),
                (Many::Merge { text, .. }, Answer::Merge(_)) => Some(text),
                (Many::Rows { text, .. }, Answer::Sum) => Some(text),
                (_, Answer::Limited(Limited { first: Some(first), .. })) if self.stage == Stage::First => {
                    Some(&first.text)
                }
                (_, Answer::Limited(limited)) => Some(&limited.text),
                _ => Some(&sharded.text),
            },
            Plan::Gather(gather) => Some(&gather.text),
            Plan::Load(load) => Some(&load.text),
            Plan::Define(_)
            | Plan::Maintain(_)
            | Plan::Carry(_)
            | Plan::Ahead(_)
            | Plan::Computed(_)
            | Plan::Joined(_)
            | Plan::Singly(_)
            | Plan::Refuse(_) => None,
        }
    }

    /// Writes one part.
    fn write(&self, part: &Part, target: Target, out: &mut Vec<u8>) {
        match part {
            Part::Table(table) => self.write_table(*table, target, out),
            Part::Schema(table) => self.write_schema(*table, target, out),
            Part::Relation(relation) => {
                let text = self.relations.get(usize::from(*relation)).map_or("", String::as_str);
                out.extend_from_slice(text.as_bytes());
            }
            Part::Fixed(text) => out.extend_from_slice(text.as_bytes()),
            Part::Copy(from, to) => out.extend_from_slice(self.piece(*from, *to)),
            Part::Quoted(from, to) => quote(column_name(self.piece(*from, *to)), out),
            Part::Take => out.extend_from_slice(self.take().to_string().as_bytes()),
            // Prepared statements keep their texts if the number is a parameter of ours.
            Part::Share if !self.scan.params.is_empty() => out.push(b'?'),
            Part::Share => out.extend_from_slice(self.share().to_string().as_bytes()),
            Part::Rows(rows) => {
                let mut first = true;
                for (_, part) in rows.iter().enumerate().filter(|(row, _)| self.owns(target, *row)) {
                    if !std::mem::take(&mut first) {
                        out.push(b',');
                    }
                    self.write(part, target, out);
                }
            }
            Part::IdColumn(text) if self.ids == Ids::None => {}
            Part::IdColumn(text) => out.extend_from_slice(text.as_bytes()),
            Part::Id { row, before, given } => self.write_id(*row, before, *given, out),
            Part::All(parts) => parts.iter().for_each(|part| self.write(part, target, out)),
        }
    }

    fn write_id(&self, row: u32, before: &str, given: Option<(Anchor, Anchor)>, out: &mut Vec<u8>) {
        let rows = self.planned.numbering.as_deref().map_or(&[][..], |numbering| &numbering.rows);
        if self.ids == Ids::Shown && rows.get(row as usize) == Some(&RowId::Made) {
            out.extend_from_slice(before.as_bytes());
            return out.extend_from_slice(SHOWN.as_bytes());
        }
        let Some(id) = self.ids.of(row) else {
            return given.into_iter().for_each(|(from, to)| out.extend_from_slice(self.piece(from, to)));
        };
        out.extend_from_slice(before.as_bytes());
        match (self.ids, id) {
            (Ids::Params(_), _) => out.push(b'?'),
            (_, Id::Number(number)) => out.extend_from_slice(number.to_string().as_bytes()),
            (_, Id::Uuid(text)) => {
                out.push(b'\'');
                out.extend_from_slice(&text);
                out.push(b'\'');
            }
            (_, Id::Given) => {}
        }
    }

    fn write_table(&self, table: u16, target: Target, out: &mut Vec<u8>) {
        if let Answer::Gather(gather) = self.answer {
            return gather.copy(table).into_iter().for_each(|copy| self.put_copy(copy, out));
        }
        let Some(table) = self.planned.tables.get(usize::from(table)) else { return };
        if let Some(name) = target.shard.and_then(|shard| table.physical.get(shard as usize)) {
            out.extend_from_slice(name.quoted.as_bytes());
        }
    }

    fn write_schema(&self, table: u16, target: Target, out: &mut Vec<u8>) {
        if let Some(gathered) = &self.gathered {
            return quote(gathered.schema.as_bytes(), out);
        }
        let Some(table) = self.planned.tables.get(usize::from(table)) else { return };
        let sharded = target.shard.and_then(|shard| table.physical.get(shard as usize));
        let name = match (sharded, self.rules.schema(&table.schema)) {
            (Some(name), _) => &name.schema,
            (None, Some(schema)) => schema.physical(target.group),
            (None, None) => &table.schema,
        };
        quote(name.as_bytes(), out);
    }

    /// The client's text between two anchors; empty if the statement has another key.
    fn piece(&self, from: Anchor, to: Anchor) -> &'a [u8] {
        match (from.resolve(self.scan), to.resolve(self.scan)) {
            (Some(start), Some(end)) => Span { start, end }.of(self.sql),
            _ => &[],
        }
    }

    /// How many rows each target has to give.
    fn take(&self) -> u64 {
        self.window.map_or(u64::MAX, |window| window.skip.saturating_add(window.take))
    }

    /// How many rows the target may write.
    fn share(&self) -> u64 {
        match self.stage {
            Stage::Share(share) => share,
            Stage::Whole | Stage::First | Stage::Row(_) => self.take(),
        }
    }

    /// Whether the VALUES row of this number belongs to the target, and to this stage of the statement.
    fn owns(&self, target: Target, row: usize) -> bool {
        let meant = !matches!(self.stage, Stage::Row(only) if only != row);
        meant && self.rows.get(row).copied() == target.shard
    }

    /// The parameters in the order in which the rendered text has them.
    fn params(&self, text: &Text, target: Target) -> Vec<Pick> {
        let mut found = Vec::with_capacity(self.scan.params.len());
        let mut copied = 0;
        for edit in &text.edits {
            let (Some(from), Some(to)) = (edit.from.resolve(self.scan), edit.to.resolve(self.scan)) else { continue };
            within(self.scan, copied, from, &mut found);
            self.part_params(&edit.with, target, &mut found);
            copied = to;
        }
        within(self.scan, copied, self.scan.end, &mut found);
        found
    }

    /// Adds the parameters of one part.
    fn part_params(&self, part: &Part, target: Target, found: &mut Vec<Pick>) {
        let piece = |from: Anchor, to: Anchor, found: &mut Vec<Pick>| {
            if let (Some(from), Some(to)) = (from.resolve(self.scan), to.resolve(self.scan)) {
                within(self.scan, from, to, found);
            }
        };
        match part {
            Part::Table(_) | Part::Schema(_) | Part::Relation(_) | Part::Fixed(_) | Part::Take | Part::Quoted(..) => {}
            Part::IdColumn(_) => {}
            Part::Share => found.push(Pick::Id(Id::Number(self.share()))),
            Part::Id { row, given, .. } => match (self.ids.of(*row), given) {
                (Some(id), _) if matches!(self.ids, Ids::Params(_)) => found.push(Pick::Id(id)),
                (None, Some((from, to))) => piece(*from, *to, found),
                _ => {}
            },
            Part::Copy(from, to) => piece(*from, *to, found),
            Part::Rows(rows) => {
                let owned = rows.iter().enumerate().filter(|(row, _)| self.owns(target, *row));
                owned.for_each(|(_, part)| self.part_params(part, target, found));
            }
            Part::All(parts) => parts.iter().for_each(|part| self.part_params(part, target, found)),
        }
    }
}

/// Adds the parameters that stand in `from..to`.
fn within(scan: &Scan, from: u32, to: u32, found: &mut Vec<Pick>) {
    let first = scan.params.partition_point(|at| *at < from);
    let last = scan.params.partition_point(|at| *at < to);
    found.extend((first..last).map(|index| Pick::Client(index as u16)));
}

/// The name that MySQL gives to a column from this text: cut between two characters.
pub fn column_name(text: &[u8]) -> &[u8] {
    let mut end = text.len().min(COLUMN_NAME_BYTES);
    while end > 0 && end < text.len() && text[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}
