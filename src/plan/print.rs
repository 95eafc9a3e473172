//! Plans as text, for EXPLAIN SHARDLOOM and `shardloom explain`: what is done, why, where, and with which statements.
//! It decides nothing, and shows nothing that a plan does not hold.

use std::fmt::Write;

use crate::error::SqlError;
use crate::plan::computed::With;
use crate::plan::gather::{Extent, Gather};
use crate::plan::joined::Joined;
use crate::plan::limited::{Limited, Stage};
use crate::plan::load::{Destination, Load, Numbered};
use crate::plan::merge::{Aggregate, Cell, Combine, Comparison, Merge, Scalar, SortKey, Test};
use crate::plan::numbering::{BY_ID, Ids, Numbering, RowId, SHOWN};
use crate::plan::route::{By, Condition, Routing};
use crate::plan::semijoin::Reduction;
use crate::plan::slot::Slot;
use crate::plan::upkeep::{Change, Kept, Upkeep};
use crate::plan::{Answer, Bound, Effects, Gathered, Many, Params, Pick, Plan, Planned, Role, Route, Target, Wishes};
use crate::rules::RuleSet;
use crate::rules::id::IdKind;
use crate::sql::hint::TransactionMode;
use crate::sql::scan::Scan;

/// One line of an explanation: what it is about, and what there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// One word.
    pub about: &'static str,
    /// The rest.
    pub text: String,
}

/// Explains a bound plan; `statements`: how many of the rewritten statements are shown at most.
pub fn explain(bound: &Bound<'_>, statements: usize) -> Vec<Line> {
    let bound = &Bound { ids: Ids::Shown, ..bound.clone() };
    let mut out = Out { bound, lines: Vec::new() };
    out.headline();
    out.routing();
    if let Answer::Merge(merge) = bound.answer {
        out.merge(merge);
    }
    if let Answer::Limited(limited) = bound.answer {
        out.limited(limited);
    }
    if let (Answer::Gather(gather), Some(gathered)) = (bound.answer, &bound.gathered) {
        out.gather(gather, gathered);
    }
    if let Answer::Load(load) = bound.answer {
        out.load(load);
    }
    out.lines.extend(ids(bound.planned));
    out.lines.extend(bound.planned.upkeep.as_deref().into_iter().flat_map(upkeep));
    out.effects();
    out.targets(statements);
    out.lines
}

/// Explains why a statement is not answered.
pub fn explain_refusal(planned: &Planned, rules: &RuleSet, sql: &[u8], scan: &Scan, why: &SqlError) -> Vec<Line> {
    let mut lines = vec![match &planned.numbering {
        Some(_) if *why == SqlError::refuse(BY_ID) => Line { about: "write", text: BY_ID.to_owned() },
        _ => Line { about: "refused", text: why.to_string() },
    }];
    if let Plan::Sharded(sharded) = &planned.plan {
        let values = Shown { sql, scan, numbering: planned.numbering.as_deref() };
        lines.push(Line { about: "route", text: values.routing(&sharded.routing, rules) });
    }
    lines.extend(ids(planned));
    lines
}

/// Who makes which ids.
fn ids(planned: &Planned) -> Option<Line> {
    let numbering = planned.numbering.as_deref()?;
    let (kind, rows) = match numbering.kind {
        IdKind::Snowflake => ("snowflake", "is left out, NULL, DEFAULT or 0"),
        IdKind::Segment => ("segment", "is left out, NULL, DEFAULT or 0"),
        IdKind::Uuid => ("uuid", "is left out or DEFAULT"),
    };
    Some(Line { about: "ids", text: format!("{kind}, for each row whose {} {rows}", numbering.column) })
}

/// What becomes of each lookup.
fn upkeep(upkeep: &Upkeep) -> impl Iterator<Item = Line> {
    let what = match &upkeep.change {
        Change::Insert(_) => "each row with the whole key has a row there, in the same transaction",
        Change::Upsert(_) => "rows in the way are looked for by it, and what changes is changed there",
        Change::Delete(_) => "the rows are read and locked first, and what they have there goes with them",
        Change::Update { .. } => "the rows are read and locked first, and what changes is changed there",
    };
    let line = move |kept: &Kept| {
        let columns: Vec<&str> = kept.columns.iter().map(|column| column.name.as_str()).collect();
        let (unique, key) = columns.split_at(kept.unique);
        let text = format!("{} ({}) -> ({}): {what}", kept.quoted.replace('`', ""), unique.join(", "), key.join(", "));
        Line { about: "lookup", text }
    };
    upkeep.lookups.iter().map(line)
}

struct Out<'b, 'a> {
    bound: &'b Bound<'a>,
    lines: Vec<Line>,
}

impl<'a> Out<'_, 'a> {
    fn push(&mut self, about: &'static str, text: impl Into<String>) {
        self.lines.push(Line { about, text: text.into() });
    }

    fn shown(&self) -> Shown<'a> {
        let bound = self.bound;
        Shown { sql: bound.sql, scan: bound.scan, numbering: bound.planned.numbering.as_deref() }
    }

    fn headline(&mut self) {
        let (about, text) = match (&self.bound.answer, &self.bound.route) {
            (Answer::Gather(_), _) => {
                ("gather", "rows are copied to one group, where the statement runs over the copies")
            }
            (Answer::Relay, Route::Any) => ("relay", "any group answers, its packets are passed on"),
            (Answer::Relay, _) => ("relay", "one target answers, its packets are passed on"),
            (Answer::Merge(_), _) => ("merge", "the rows of all targets become one answer"),
            (Answer::Sum, _) => ("write", "each target does its part, the counts add up"),
            (Answer::Limited(Limited { first: Some(_), .. }), _) => {
                ("write", "the first rows of all targets are looked for and locked, then each target writes its own")
            }
            (Answer::Limited(_), _) => ("write", "one target after the other, until there are rows enough"),
            (Answer::Move(_), _) => {
                ("move", "each target updates its rows, and those that get a key of another shard are carried there")
            }
            (Answer::Same, _) => ("write", "every group does the same to its copy"),
            (Answer::Catalogue(_), _) => {
                ("tables", "every group tells of its tables, and one answers with the logical names of all")
            }
            (Answer::Maintain(_), _) => ("maintain", "every place does the same, and what they say is told once"),
            (Answer::Define(_), _) => ("define", "every place in turn, under a record of what is done"),
            (Answer::Carry(_), _) => {
                ("carry", "the rows of the SELECT are read first, and stored by INSERTs split by shard")
            }
            (Answer::Ahead(_), _) => ("ahead", "subqueries are read first, then the statement runs with their values"),
            (Answer::Computed(_), _) => ("computed", "values are computed first, then the statement runs with them"),
            (Answer::Joined(_), _) => {
                ("joined", "the keys of the rows are read first, with locks, then the rows are written by them")
            }
            (Answer::Singly(_), _) => ("singly", "one row after the other, in one transaction"),
            (Answer::Load(_), _) => ("load", "the client's file is cut into lines, of which each target loads its own"),
            (Answer::Describe, _) => ("describe", "the first shard tells, under the logical name"),
        };
        self.push(about, text);
    }

    fn routing(&mut self) {
        if let Plan::Sharded(sharded) = &self.bound.planned.plan {
            let shown = self.shown();
            let text = shown.routing(&sharded.routing, self.bound.rules);
            self.push("route", text);
            if let (Route::One(_), Many::Refuse(why)) = (&self.bound.route, &sharded.many) {
                let text = format!("on several shards it is refused: {}", why.message);
                self.push("else", text);
            }
            if let (Route::One(_), Many::Gather(_)) = (&self.bound.route, &sharded.many) {
                self.push("else", "on several shards it is gathered");
            }
            if let (Route::One(_), Many::Carry(_)) = (&self.bound.route, &sharded.many) {
                self.push("else", "where the rows belong elsewhere, they are read first and then stored");
            }
            if let (Route::One(_), Many::Ahead(_)) = (&self.bound.route, &sharded.many) {
                self.push("else", "on several shards its subqueries are read first");
            }
            if let (Route::One(_), Many::Joined(_)) = (&self.bound.route, &sharded.many) {
                self.push("else", "on several shards the keys of its rows are read first");
            }
            if let (Some(seek), false) = (self.bound.planned.seek.as_deref(), matches!(self.bound.route, Route::One(_)))
            {
                let of = seek.columns.iter().zip(&seek.key);
                let of: Vec<String> = of
                    .map(|(column, slots)| match &**slots {
                        [slot] => format!("{} = {}", column.name, self.shown().slot(*slot)),
                        _ => {
                            let list: Vec<String> = slots.iter().map(|slot| self.shown().slot(*slot)).collect();
                            format!("{} IN ({})", column.name, list.join(", "))
                        }
                    })
                    .collect();
                let lookup = seek.lookup.replace('`', "");
                let told = match seek.key.iter().all(|slots| slots.len() == 1) {
                    true => "if it tells the shard, that one alone",
                    false => "if it tells all shards, those alone",
                };
                self.push("seek", format!("{lookup} by {}: {told}", of.join(", ")));
            }
        }
    }

    fn load(&mut self, load: &Load) {
        let field = |number: &usize| {
            load.wanted.get(*number).map_or("made".to_owned(), |position| format!("field {}", position + 1))
        };
        match &load.to {
            Destination::Copies => self.push("route", "every line to every group"),
            Destination::Shards { family, keys } => {
                let family = self.bound.rules.family(*family).map_or("?", |family| family.name.as_str());
                let keys: Vec<String> =
                    keys.iter().map(|(key, number)| format!("{} ({})", key.label, field(number))).collect();
                self.push("route", format!("{family}: each line by {}", keys.join(", ")));
            }
        }
        let given = load.numbered.as_ref().filter(|_| load.made.is_none());
        if let Some(Numbered { field: number, column, .. }) = given {
            self.push("ids", format!("{column} ({}) has to be given in each line", field(number)));
        }
        if let Some(made) = &load.made {
            let what = match made.field {
                None => "is made for each line, and comes in front of its fields",
                Some(_) => "is made for each line that has NULL or 0 for it",
            };
            self.push("ids", format!("{} {what}", made.column));
        }
        let shown = |bytes: &[u8]| format!("'{}'", bytes.escape_ascii());
        let format = &load.format;
        let mut text = format!("{} fields to {}", load.width, shown(&format.field_end));
        for (what, byte) in [("enclosed by", format.enclosed), ("escaped by", format.escape)] {
            let _ = byte.map_or(Ok(()), |byte| write!(text, ", {what} {}", shown(&[byte])));
        }
        let _ = write!(text, "; lines to {}", shown(&format.line_end));
        if !format.line_start.is_empty() {
            let _ = write!(text, ", from {}", shown(&format.line_start));
        }
        if load.ignored > 0 {
            let _ = write!(text, "; the first {} ignored", load.ignored);
        }
        self.push("cut", text);
        match load.commit {
            None => self.push("commit", "all rows or none"),
            Some(rows) => self.push("commit", format!("after every {rows} rows")),
        }
    }

    fn gather(&mut self, gather: &Gather, gathered: &Gathered<'_>) {
        let group = self.bound.rules.group(gathered.group).map_or("?", |group| group.name.as_str());
        self.push("on", group);
        let reduction = Reduction::new(&gather.sources, Extent::Needed);
        for (number, (source, pulls)) in gather.sources.iter().zip(&gathered.pulls).enumerate() {
            let shown = self.shown();
            let why = source.routing.as_ref().map(|routing| shown.routing(routing, self.bound.rules));
            let places: Vec<String> = pulls.iter().map(|target| self.target(*target)).collect();
            let why = why.or_else(|| source.temporary.then(|| "a temporary table of the session".to_owned()));
            let (places, why) = (places.join(", "), why.map_or(String::new(), |why| format!("  -- {why}")));
            self.push("source", format!("{} as {}: {places}{why}", source.label, source.copy));
            if let Some(target) = pulls.first() {
                let mut text = Vec::new();
                self.bound.render_pull(number, &[*target], &reduction, &mut text);
                self.push("pull", String::from_utf8_lossy(&text).into_owned());
            }
            if !source.spare.is_empty() {
                self.push("without", format!("keys {}, if there are many rows", source.spare.join(", ")));
            }
            for link in &source.links {
                let other = &gather.sources[usize::from(link.source)].label;
                self.push(
                    "keys",
                    format!("{}.{} by {other}.{}, once that is read", source.label, link.column, link.other),
                );
            }
        }
        for twin in &gather.twins {
            let of = gather.copy(twin.of).unwrap_or_default();
            self.push("again", format!("{of} as {}, for what is read once more", twin.copy));
        }
        if let Some(fill) = &gather.fills {
            let places: Vec<String> = fill.places.iter().map(|(target, _)| self.target(*target)).collect();
            self.push("fills", format!("{}.{} at {}", fill.schema, fill.table, places.join(", ")));
        }
    }

    fn merge(&mut self, merge: &Merge) {
        let shown = self.shown();
        if merge.hidden > 0 {
            self.push("hidden", format!("{} columns, not shown to the client", merge.hidden));
        }
        match merge.order.is_empty() {
            true => self.push("rows", "in any order"),
            false => self.push("rows", format!("sorted by {}", keys(&merge.order))),
        }
        match &merge.combine {
            Combine::None => {}
            Combine::Distinct(by) => self.push("distinct", keys(by)),
            Combine::Fold { keys: by, columns } => {
                let by = if by.is_empty() { "all rows".to_string() } else { format!("by {}", keys(by)) };
                self.push("fold", by);
                let shown_columns = columns.len() - usize::from(merge.hidden);
                for (index, column) in columns.iter().enumerate() {
                    let cell = match index.checked_sub(shown_columns) {
                        None => Cell::Item(index as u16),
                        Some(hidden) => Cell::Hidden(hidden as u16),
                    };
                    self.push("column", format!("{} = {}", cell_name(cell), shown.aggregate(column)));
                }
            }
        }
        if let Some(having) = &merge.having {
            self.push("having", shown.test(having));
        }
        if !merge.sort.is_empty() {
            self.push("sort", format!("by {}", keys(&merge.sort)));
        }
        if let Some(window) = self.bound.window {
            self.push("limit", format!("skip {}, take {}", window.skip, window.take));
        }
    }

    fn limited(&mut self, limited: &Limited) {
        let take = self.bound.window.map_or(u64::MAX, |window| window.take);
        if let Some(first) = &limited.first {
            self.push("first", format!("{take} by {}", keys(&first.merge.order)));
            if let Route::Many(targets) = &self.bound.route {
                let line = self.sql(&self.bound.at(Stage::First), targets[0]);
                self.push("look", format!("{}: {line}", self.target(targets[0])));
            }
        }
    }

    fn joined(&mut self, joined: &Joined) {
        let (sql, scan) = (self.bound.sql, self.bound.scan);
        let text = |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
        self.push("select", text(joined.select(sql, scan)));
        for written in &joined.written {
            let read = written.set.iter().filter(|given| given.read);
            let read: Vec<_> = read.map(|_| Some(b"...".to_vec())).collect();
            let key: Vec<&str> = written.key.iter().map(|column| column.name.as_str()).collect();
            self.push("then", format!("{} WHERE ({}) IN (...)", text(written.verb(&read, sql, scan)), key.join(", ")));
        }
    }

    fn effects(&mut self) {
        let text = effects(&self.bound.planned.effects, &self.bound.planned.wishes);
        if !text.is_empty() {
            self.push("session", text);
        }
        if !self.bound.planned.pins.is_empty() {
            let pins = self.bound.planned.pins.iter().map(|pin| {
                let literal = self.bound.scan.literals.get(*pin as usize);
                literal
                    .map_or(String::new(), |found| String::from_utf8_lossy(found.span.of(self.bound.sql)).into_owned())
            });
            let pins: Vec<String> = pins.collect();
            self.push("pinned", format!("a statement with other values than {} is planned anew", pins.join(", ")));
        }
    }

    fn targets(&mut self, statements: usize) {
        let targets = match &self.bound.route {
            Route::One(target) => vec![*target],
            Route::Many(targets) => targets.clone(),
            Route::Any => vec![Target { group: crate::rules::GroupId(0), shard: None }],
        };
        let names: Vec<String> = targets.iter().map(|target| self.target(*target)).collect();
        if !matches!(self.bound.route, Route::Any) {
            self.push("targets", names.join(", "));
        }
        if let Answer::Define(define) = self.bound.answer {
            define.warnings.iter().for_each(|warning| self.push("warning", warning.clone()));
            for step in define.steps.iter().take(statements) {
                let place = self.target(step.target);
                self.push("sql", format!("{place}: {}", String::from_utf8_lossy(&step.sql)));
            }
            return;
        }
        if let Answer::Maintain(maintain) = self.bound.answer {
            for visit in maintain.tables.iter().flat_map(|table| &table.visits).take(statements) {
                let place = self.target(visit.target);
                self.push("sql", format!("{place}: {}", String::from_utf8_lossy(&visit.sql)));
            }
            return;
        }
        if let Answer::Carry(carry) = self.bound.answer {
            let pieces = carry.pieces(self.bound.sql, self.bound.scan).unwrap_or_default();
            self.push("select", String::from_utf8_lossy(pieces[1]).trim());
            return;
        }
        if let Answer::Ahead(ahead) = self.bound.answer {
            for prior in &ahead.queries {
                let pieces = prior.pieces(self.bound.sql, self.bound.scan).unwrap_or_default();
                self.push("select", String::from_utf8_lossy(pieces.query).trim());
            }
            return;
        }
        if let Answer::Singly(singly) = self.bound.answer {
            for row in singly.rows(self.bound.scan).unwrap_or_default().into_iter().take(statements) {
                self.push("row", String::from_utf8_lossy(&self.bound.sql[row]));
            }
            return;
        }
        if let Answer::Computed(computed) = self.bound.answer {
            for item in &computed.items {
                let at = item.at(self.bound.scan).unwrap_or_default();
                let line = match &item.with {
                    With::Text(text) => text.trim_start_matches(',').to_owned(),
                    _ => String::from_utf8_lossy(&self.bound.sql[at]).into_owned(),
                };
                self.push("value", line);
            }
            return;
        }
        if let Answer::Joined(joined) = self.bound.answer {
            self.joined(joined);
            return;
        }
        if let (Answer::Move(_), Some(moved)) = (self.bound.answer, &self.bound.moved) {
            self.push("to", self.target(moved.to));
        }
        for (target, name) in targets.iter().zip(&names).take(statements) {
            let line = self.sql(self.bound, *target);
            let line = if targets.len() > 1 { format!("{name}: {line}") } else { line };
            self.push("sql", line);
        }
    }

    /// The statement for a target.
    fn sql(&self, bound: &Bound<'_>, target: Target) -> String {
        let mut text = Vec::new();
        let params = bound.render(target, &mut text);
        let mut line = String::from_utf8_lossy(&text).into_owned();
        if let Params::Picked(order) = params {
            let order: Vec<String> = order.iter().map(picked).collect();
            let _ = write!(line, "  -- parameters [{}]", order.join(", "));
        }
        line
    }

    fn target(&self, target: Target) -> String {
        let group = self.bound.rules.group(target.group).map_or("?", |group| group.name.as_str());
        match target.shard {
            Some(shard) => format!("{group}/{shard}"),
            None => group.to_string(),
        }
    }
}

/// A plan's slots shown as what stands in them.
struct Shown<'s> {
    sql: &'s [u8],
    scan: &'s Scan,
    numbering: Option<&'s Numbering>,
}

impl Shown<'_> {
    fn slot(&self, slot: Slot) -> String {
        let sign = |negative: bool| if negative { "-" } else { "" };
        match slot {
            Slot::Null => "NULL".into(),
            Slot::Id(row) => match self.numbering.and_then(|numbering| numbering.rows.get(row as usize)) {
                Some(RowId::Given(slot)) => self.slot(*slot),
                Some(RowId::Made) | None => SHOWN.into(),
            },
            Slot::Bool(value) => if value { "TRUE" } else { "FALSE" }.into(),
            Slot::Param { index, negative } => format!("{}?{index}", sign(negative)),
            Slot::Literal { index, negative } => {
                let literal = self.scan.literals.get(index as usize);
                let text = literal.map_or(&[][..], |literal| literal.span.of(self.sql));
                format!("{}{}", sign(negative), String::from_utf8_lossy(text))
            }
        }
    }

    fn routing(&self, routing: &Routing, rules: &RuleSet) -> String {
        let family = rules.family(routing.family).map_or("?", |family| family.name.as_str());
        if let Some(shard) = routing.shard {
            return format!("{family}: shard {shard}, as the hint says");
        }
        let mut text = match &routing.by {
            By::Rows(..) if routing.keys.is_empty() => format!("{family}: rows that only a hint can place"),
            By::Rows(slots, _) => {
                let width = routing.keys.len();
                let row = |row: &[Slot]| row.iter().map(|slot| self.slot(*slot)).collect::<Vec<_>>().join(", ");
                let rows: Vec<String> = slots.chunks(width).take(8).map(row).collect();
                let labels: Vec<&str> = routing.keys.iter().map(|key| &*key.label).collect();
                let more = if slots.len() > 8 * width { ", ..." } else { "" };
                format!("{family}: rows with {} = {}{more}", labels.join(", "), rows.join("; "))
            }
            By::Conditions(conditions) => {
                let shown: Vec<String> =
                    conditions.iter().map(|condition| self.condition(condition, routing)).collect();
                format!("{family}: {}", shown.join(" / "))
            }
        };
        if let Some(group) = routing.group.and_then(|group| rules.group(group)) {
            let _ = write!(text, "; only on {}", group.name);
        }
        for (key, value) in &routing.assigned {
            let _ = write!(text, "; {} becomes {}", routing.keys[usize::from(*key)].label, self.slot(*value));
        }
        text
    }

    fn condition(&self, condition: &Condition, routing: &Routing) -> String {
        let label = |key: u8| &routing.keys[usize::from(key)].label;
        let join = |inner: &[Condition], word: &str| {
            let parts = inner.iter().map(|condition| match condition {
                Condition::And(_) | Condition::Or(_) => format!("({})", self.condition(condition, routing)),
                _ => self.condition(condition, routing),
            });
            parts.collect::<Vec<_>>().join(word)
        };
        match condition {
            Condition::All => "every shard".into(),
            Condition::None => "no row can match; any shard tells so".into(),
            Condition::Eq { key, value } => format!("{} = {}", label(*key), self.slot(*value)),
            Condition::NullSafeEq { key, value } => format!("{} <=> {}", label(*key), self.slot(*value)),
            Condition::In { key, values } => {
                let values: Vec<String> = values.iter().map(|value| self.slot(*value)).collect();
                format!("{} in ({})", label(*key), values.join(", "))
            }
            Condition::Range { key, low, high } => {
                let bound = |sign: &str, (slot, included): &(Slot, bool)| {
                    format!("{} {sign}{} {}", label(*key), if *included { "=" } else { "" }, self.slot(*slot))
                };
                let low = low.iter().map(|low| bound(">", low));
                low.chain(high.iter().map(|high| bound("<", high))).collect::<Vec<_>>().join(" and ")
            }
            Condition::And(inner) => join(inner, " and "),
            Condition::Or(inner) => join(inner, " or "),
        }
    }

    fn aggregate(&self, aggregate: &Aggregate) -> String {
        match aggregate {
            Aggregate::Any => "any".into(),
            Aggregate::Sum => "sum".into(),
            Aggregate::Min(key) => format!("least by {}", key_name(key)),
            Aggregate::Max(key) => format!("greatest by {}", key_name(key)),
            Aggregate::BitAnd => "and of all bits".into(),
            Aggregate::BitOr => "or of all bits".into(),
            Aggregate::BitXor => "exclusive or of all bits".into(),
            Aggregate::Average { sum, count } => format!("{} / {}", cell_name(*sum), cell_name(*count)),
            Aggregate::Compute(scalar) => self.scalar(scalar),
        }
    }

    fn scalar(&self, scalar: &Scalar) -> String {
        let two =
            |both: &[Scalar; 2], sign: char| format!("({} {sign} {})", self.scalar(&both[0]), self.scalar(&both[1]));
        match scalar {
            Scalar::Cell(cell) => cell_name(*cell),
            Scalar::Slot(slot) => self.slot(*slot),
            Scalar::Negate(inner) => format!("-{}", self.scalar(inner)),
            Scalar::Add(both) => two(both, '+'),
            Scalar::Subtract(both) => two(both, '-'),
            Scalar::Multiply(both) => two(both, '*'),
        }
    }

    fn test(&self, test: &Test) -> String {
        let join = |tests: &[Test], word: &str| {
            let tests: Vec<String> = tests.iter().map(|test| self.test(test)).collect();
            format!("({})", tests.join(word))
        };
        match test {
            Test::And(tests) => join(tests, " and "),
            Test::Or(tests) => join(tests, " or "),
            Test::Not(inner) => format!("not {}", self.test(inner)),
            Test::Compare(op, left, right) => {
                let sign = match op {
                    Comparison::Eq => "=",
                    Comparison::Ne => "<>",
                    Comparison::Lt => "<",
                    Comparison::Le => "<=",
                    Comparison::Gt => ">",
                    Comparison::Ge => ">=",
                };
                format!("{} {sign} {}", self.scalar(left), self.scalar(right))
            }
            Test::IsNull(scalar) => format!("{} is null", self.scalar(scalar)),
            Test::Cell(cell) => cell_name(*cell),
        }
    }
}

fn picked(pick: &Pick) -> String {
    match pick {
        Pick::Client(number) => number.to_string(),
        Pick::Id(_) => SHOWN.to_owned(),
    }
}

/// `#2` is the client's second column, `h1` the first hidden one.
fn cell_name(cell: Cell) -> String {
    match cell {
        Cell::Item(index) => format!("#{}", index + 1),
        Cell::Hidden(index) => format!("h{}", index + 1),
    }
}

fn key_name(key: &SortKey) -> String {
    let pad = key.pad.map_or(String::new(), |pad| format!(", spaces {}", cell_name(pad)));
    let weight = key.weight.map_or(String::new(), |weight| format!(" (weights {}{pad})", cell_name(weight)));
    format!("{}{weight}{}", cell_name(key.value), if key.desc { " desc" } else { "" })
}

fn keys(keys: &[SortKey]) -> String {
    keys.iter().map(key_name).collect::<Vec<_>>().join(", ")
}

/// What a statement does to its session, in words.
fn effects(effects: &Effects, wishes: &Wishes) -> String {
    let flags = [
        (effects.replica_ok, "a replica will do"),
        (effects.writes, "writes"),
        (effects.locking, "locks rows"),
        (effects.implicit_commit, "commits"),
        (effects.last_insert_id, "reads the last insert id"),
        (effects.sets_last_insert_id, "sets the last insert id"),
        (effects.found_rows, "reads the found rows"),
        (effects.calc_found_rows, "sets the found rows"),
        (effects.row_count, "reads the row count"),
        (effects.reads_variables, "reads user variables"),
        (effects.sets_variables, "sets user variables"),
        (effects.table_locks, "table locks"),
        (effects.user_locks, "user locks"),
        (effects.handler, "a handler"),
        (effects.connection_id, "reads the connection id"),
        (effects.account, "reads the account"),
        (effects.random, "random"),
        (effects.local_file, "asks the client for a file"),
        (effects.temporary_table, "temporary table"),
        (effects.stored_function, "stored function"),
        (effects.clock, "reads the clock"),
        (wishes.role == Some(Role::Primary), "primary wanted"),
        (wishes.role == Some(Role::Replica), "replica wanted"),
    ];
    let mut words: Vec<String> = flags.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_string()).collect();
    words.extend(wishes.transaction.map(|mode| match mode {
        TransactionMode::Atomic => "atomic transaction wanted".to_owned(),
        TransactionMode::Single => "transaction on one group wanted".to_owned(),
        TransactionMode::BestEffort => "best-effort transaction wanted".to_owned(),
    }));
    words.extend(wishes.timeout_ms.map(|timeout| format!("{timeout} ms at most")));
    words.join(", ")
}
