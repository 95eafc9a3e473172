//! Binding: from the values of one statement to the targets that must answer.
//! It makes no plan, writes no text and sends nothing.

use std::ops::Bound as Edge;

use crate::error::{Code, SqlError};
use crate::plan::define::Define;
use crate::plan::gather::{Gather, Source};
use crate::plan::limited::Stage;
use crate::plan::load::{Destination, Load};
use crate::plan::merge::{Aggregate, Combine, Merge, Scalar, Test};
use crate::plan::moved::{Move, Moved};
use crate::plan::numbering::Ids;
use crate::plan::route::{By, Condition, KeyColumn, OnNull, Routing};
use crate::plan::slot::Slot;
use crate::plan::text::put_hex;
use crate::plan::values::Values;
use crate::plan::{Answer, Bound, Gathered, LimitSlots, Many, Place, Plan, Planned, Route, Sharded, Target, Window};
use crate::rules::shards::Shards;
use crate::rules::{Family, FamilyId, GroupId, RuleSet};
use crate::sql::SqlMode;
use crate::sql::scan::Scan;
use crate::value::{Canon, CanonRange, Datum, Key, KeyKind, canonical, canonical_range, stored};

/// A plan, and the statement at hand that it is bound to, which must have the key and pinned literals that the plan was
/// made for.
#[derive(Clone, Copy)]
pub struct Binding<'a> {
    planned: &'a Planned,
    rules: &'a RuleSet,
    sql: &'a [u8],
    scan: &'a Scan,
    args: &'a [Datum<'a>],
    ids: Ids<'a>,
    /// The shards that a lookup has told.
    only: Option<&'a Shards>,
    /// It is the proxy's own.
    own: bool,
}

/// Binds a client's statement to its values.
///
/// # Errors
/// As [`Binding::bind`].
pub fn bind<'a>(
    planned: &'a Planned,
    rules: &'a RuleSet,
    sql: &'a [u8],
    scan: &'a Scan,
    args: &'a [Datum<'a>],
) -> Result<Bound<'a>, SqlError> {
    Binding::new(planned, rules, sql, scan, args).bind()
}

impl<'a> Binding<'a> {
    /// A client's statement with the parameters of EXECUTE.
    pub fn new(
        planned: &'a Planned,
        rules: &'a RuleSet,
        sql: &'a [u8],
        scan: &'a Scan,
        args: &'a [Datum<'a>],
    ) -> Binding<'a> {
        Binding { planned, rules, sql, scan, args, ids: Ids::None, only: None, own: false }
    }

    /// With the ids that were made for its rows.
    pub fn with(self, ids: Ids<'a>) -> Binding<'a> {
        Binding { ids, ..self }
    }

    /// As one whose rows are on these shards, one at least, as a lookup has told.
    pub fn on(self, shards: &'a Shards) -> Binding<'a> {
        Binding { only: Some(shards), ..self }
    }

    /// As a statement of the proxy's own, which may write to lookups.
    pub fn own(self) -> Binding<'a> {
        Binding { own: true, ..self }
    }

    /// Finds the targets for the values.
    ///
    /// # Errors
    /// The plan's own refusal; 1235 for values that cannot be placed, or need more targets than the plan can merge;
    /// 1210 for missing parameters.
    pub fn bind(self) -> Result<Bound<'a>, SqlError> {
        let Binding { planned, rules, only, .. } = self;
        if !self.own {
            planned.check_lookups(rules)?;
        }
        let (values, mut bound) = (self.values(), self.unbound());
        match &planned.plan {
            Plan::Everywhere { numbered, .. } => {
                values.check_numbered(numbered)?;
                bound.route = everywhere(rules);
                bound.answer = Answer::Same;
            }
            Plan::Sharded(sharded) => {
                let Sharded { routing, many, moves, .. } = &**sharded;
                Placing { routing, many, moves: moves.as_ref(), values, rules, only }.place(&mut bound)?;
            }
            Plan::Gather(gather) => Gathering { gather, planned, values, rules }.gather(&mut bound)?,
            plan => fixed(plan, rules, &mut bound)?,
        }
        Ok(bound)
    }

    /// Any one target that knows the statement's columns, whatever its values are: for COM_STMT_PREPARE.
    ///
    /// # Errors
    /// The plan's own refusal.
    pub fn sample(self) -> Result<Bound<'a>, SqlError> {
        let Binding { planned, rules, .. } = self;
        let (values, mut bound) = (self.values(), self.unbound());
        match &planned.plan {
            Plan::Everywhere { .. } => bound.route = Route::One(Target { group: GroupId(0), shard: None }),
            Plan::Sharded(sharded) => {
                let family = family(rules, &sharded.routing)?;
                let shards = 0..family.shards;
                let fits = |shard: &u32| sharded.routing.group.is_none_or(|group| family.home(*shard) == group);
                let shard = sharded.routing.shard.or_else(|| shards.clone().find(fits));
                match (&sharded.many, shard) {
                    (_, Some(shard)) => bound.route = Route::One(target(family, shard)),
                    // No server has all tables of the statement, whatever its values are.
                    (Many::Gather(gather), None) => Gathering { gather, planned, values, rules }.place(&mut bound)?,
                    (Many::Ahead(ahead), None) => bound.answer = Answer::Ahead(ahead),
                    (Many::Joined(joined), None) => bound.answer = Answer::Joined(joined),
                    (Many::Refuse(refusal), None) => return Err(refusal.clone()),
                    (_, None) => return Err(SqlError::refuse("the statement needs rows of several groups at once")),
                }
            }
            Plan::Gather(gather) => Gathering { gather, planned, values, rules }.place(&mut bound)?,
            plan => fixed(plan, rules, &mut bound)?,
        }
        Ok(bound)
    }

    fn values(&self) -> Values<'a> {
        let Binding { planned, sql, scan, args, ids, .. } = *self;
        Values { sql, scan, args, facts: planned.facts, ids, numbering: planned.numbering.as_deref() }
    }

    fn unbound(&self) -> Bound<'a> {
        let Binding { planned, rules, sql, scan, args, ids, .. } = *self;
        debug_assert_eq!(planned.rules_version, rules.version, "a plan is bound by the rules it was made for");
        Bound {
            route: Route::Any,
            answer: Answer::Relay,
            window: None,
            gathered: None,
            moved: None,
            rows: Vec::new(),
            relations: Vec::new(),
            stage: Stage::Whole,
            planned,
            rules,
            sql,
            scan,
            args,
            ids,
        }
    }
}

/// Binds a plan that no value concerns.
fn fixed<'a>(plan: &'a Plan, rules: &RuleSet, bound: &mut Bound<'a>) -> Result<(), SqlError> {
    match plan {
        Plan::Relay { group: None, .. } => {}
        Plan::Relay { group: Some(group), .. } => bound.route = Route::One(Target { group: *group, shard: None }),
        Plan::Describe { family, .. } => {
            bound.route = Route::One(target(found(rules, *family)?, 0));
            bound.answer = Answer::Describe;
        }
        Plan::Like { family, shard, .. } => bound.route = Route::One(target(found(rules, *family)?, *shard)),
        Plan::Catalogue(catalogue) => {
            bound.route = Route::One(Target { group: catalogue.group, shard: catalogue.shard });
            bound.answer = Answer::Catalogue(catalogue);
        }
        Plan::Define(define) => define_everywhere(define, bound),
        Plan::Carry(carry) => bound.answer = Answer::Carry(carry),
        Plan::Ahead(ahead) => bound.answer = Answer::Ahead(ahead),
        Plan::Singly(singly) => bound.answer = Answer::Singly(singly),
        Plan::Computed(computed) => bound.answer = Answer::Computed(computed),
        Plan::Joined(joined) => bound.answer = Answer::Joined(joined),
        Plan::Load(load) => load_everywhere(load, rules, bound)?,
        Plan::Maintain(maintain) => {
            bound.route = of_targets(maintain.targets());
            bound.answer = Answer::Maintain(maintain);
        }
        Plan::Refuse(refusal) => return Err(refusal.clone()),
        Plan::Everywhere { .. } | Plan::Sharded(_) | Plan::Gather(_) => {
            return Err(SqlError::new(Code::Unknown, "a plan whose values say where it goes"));
        }
    }
    Ok(())
}

/// A definition goes wherever it has a step.
fn define_everywhere<'a>(define: &'a Define, bound: &mut Bound<'a>) {
    let mut targets: Vec<Target> = define.steps.iter().map(|step| step.target).collect();
    targets.sort();
    targets.dedup();
    bound.route = of_targets(targets);
    bound.answer = Answer::Define(define);
}

/// The route to targets that are sorted, each there once.
fn of_targets(targets: Vec<Target>) -> Route {
    match *targets.as_slice() {
        [target] => Route::One(target),
        _ => Route::Many(targets),
    }
}

/// A load can reach every shard, or every copy.
fn load_everywhere<'a>(load: &'a Load, rules: &RuleSet, bound: &mut Bound<'a>) -> Result<(), SqlError> {
    bound.route = match &load.to {
        Destination::Copies => everywhere(rules),
        Destination::Shards { family, .. } => {
            let family = found(rules, *family)?;
            Route::Many(targets(family, &Shards::all(family.shards)))
        }
    };
    if let Route::Many(targets) = &bound.route
        && let [only] = *targets.as_slice()
    {
        bound.route = Route::One(only);
    }
    bound.answer = Answer::Load(load);
    Ok(())
}

/// The placing of one statement over sharded tables.
struct Placing<'p, 'a> {
    routing: &'p Routing,
    many: &'p Many,
    moves: Option<&'p Result<Box<Move>, SqlError>>,
    values: Values<'a>,
    rules: &'p RuleSet,
    /// The shards that a lookup has told.
    only: Option<&'p Shards>,
}

impl<'p, 'a> Placing<'p, 'a> {
    fn place(&self, bound: &mut Bound<'a>) -> Result<(), SqlError>
    where
        'p: 'a,
    {
        let routing = self.routing;
        let family = family(self.rules, routing)?;
        self.values.check_numbered(&routing.numbered)?;
        let shards = match (&routing.by, routing.shard) {
            (_, None) if let Some(told) = self.only => told.clone(),
            (_, Some(shard)) if shard < family.shards => Shards::one(shard),
            (_, Some(shard)) => {
                let why = format!("the hint names shard {shard}, and {} has {}", family.name, family.shards);
                return Err(SqlError::refuse(why));
            }
            (By::Conditions(conditions), None) => match self.conditions(family, conditions)? {
                Found::Shards(shards) => shards,
                Found::Apart => return self.in_steps(bound),
            },
            (By::Rows(slots, on_null), None) => {
                bound.rows = self.rows(family, slots, *on_null)?;
                bound.rows.iter().copied().collect()
            }
        };
        if self.many.has_steps() && routing.shard.is_none() && !self.is_at_one(family, &shards) {
            return self.in_steps(bound);
        }
        bound.route = match shards.single() {
            Some(shard) => Route::One(target(family, shard)),
            None => {
                self.answer_many(bound)?;
                Route::Many(targets(family, &shards))
            }
        };
        self.check_group(family, &shards)?;
        match (self.check_assigned(family, &shards)?, self.moves) {
            (None, _) => Ok(()),
            (Some((_, _)), Some(Err(refusal))) => Err(refusal.clone()),
            (Some((_, moved)), Some(Ok(moves))) if self.routing.shard.is_none() && is_whole(bound.answer) => {
                bound.answer = Answer::Move(moves);
                bound.moved = Some(moved?);
                Ok(())
            }
            (Some((key, _)), _) => {
                let why =
                    format!("{} would get a value of another shard; delete the row and insert it anew", key.label);
                Err(SqlError::refuse(why))
            }
        }
    }

    /// Whether one target has all that the statement needs.
    fn is_at_one(&self, family: &Family, shards: &Shards) -> bool {
        let carries = matches!(self.many, Many::Carry(_));
        shards.single().is_some()
            && self.check_group(family, shards).is_ok()
            && (!carries || matches!(self.check_assigned(family, shards), Ok(None)))
    }

    /// A statement that is done in several steps where no target has all it needs.
    fn in_steps(&self, bound: &mut Bound<'a>) -> Result<(), SqlError>
    where
        'p: 'a,
    {
        match self.many {
            Many::Gather(gather) => return self.gathering(gather, bound).gather(bound),
            Many::Carry(carry) => bound.answer = Answer::Carry(carry),
            Many::Ahead(ahead) => bound.answer = Answer::Ahead(ahead),
            Many::Joined(joined) => bound.answer = Answer::Joined(joined),
            Many::Refuse(refusal) => return Err(refusal.clone()),
            _ => return Err(SqlError::refuse("the statement needs rows of several shards at once")),
        }
        Ok(())
    }

    /// What becomes of the answers of several targets.
    fn answer_many(&self, bound: &mut Bound<'a>) -> Result<(), SqlError>
    where
        'p: 'a,
    {
        match self.many {
            Many::Merge { merge, limit, .. } => {
                bound.answer = Answer::Merge(merge);
                bound.window = limit.map(|limit| self.window(limit)).transpose()?;
                self.check_numbers(merge)
            }
            Many::Gather(_) | Many::Carry(_) | Many::Ahead(_) | Many::Joined(_) => self.in_steps(bound),
            Many::Sum | Many::Rows { .. } => {
                bound.answer = Answer::Sum;
                Ok(())
            }
            Many::Limited(limited) => {
                bound.answer = Answer::Limited(limited);
                let take = self.values.count(limited.count);
                let take = take.map_err(|_| SqlError::refuse("this LIMIT of a write needs rows of several shards"))?;
                bound.window = Some(Window { skip: 0, take });
                Ok(())
            }
            Many::Refuse(refusal) => Err(refusal.clone()),
        }
    }

    fn gathering(&self, gather: &'p Gather, bound: &Bound<'a>) -> Gathering<'p, 'a>
    where
        'p: 'a,
    {
        Gathering { gather, planned: bound.planned, values: self.values, rules: bound.rules }
    }

    fn window(&self, limit: LimitSlots) -> Result<Window, SqlError> {
        let skip = limit.offset.map_or(Ok(0), |offset| self.values.count(offset))?;
        Ok(Window { skip, take: self.values.count(limit.count)? })
    }

    /// The shards on which all sets of references have what matters of them.
    fn conditions(&self, family: &Family, conditions: &[Condition]) -> Result<Found, SqlError> {
        let mut all: Option<Shards> = None;
        for condition in conditions {
            let shards = self.shards(family, condition)?;
            // Of these references no row matters: they may be looked for anywhere.
            if shards.is_empty() {
                continue;
            }
            match &all {
                None => all = Some(shards),
                Some(known) if *known == shards && shards.single().is_some() => {}
                Some(_) => return Ok(Found::Apart),
            }
        }
        let shards = all.unwrap_or_else(|| Shards::one(self.anywhere(family)));
        let apart = conditions.len() > 1 && shards.single().is_none();
        Ok(if apart { Found::Apart } else { Found::Shards(shards) })
    }

    /// A shard for a statement of which no row of a sharded table matters.
    fn anywhere(&self, family: &Family) -> u32 {
        let fits = |shard: &u32| self.routing.group.is_none_or(|group| family.home(*shard) == group);
        (0..family.shards).find(fits).unwrap_or(0)
    }

    /// The shards that can have rows which meet a condition.
    fn shards(&self, family: &Family, condition: &Condition) -> Result<Shards, SqlError> {
        let all = || Ok(Shards::all(family.shards));
        match condition {
            Condition::All => all(),
            Condition::None => Ok(Shards::none()),
            Condition::Eq { key, value } => self.equal(family, *key, *value),
            Condition::NullSafeEq { key, value } => match self.values.datum(*value)? {
                Some(Datum::Null) => all(),
                _ => self.equal(family, *key, *value),
            },
            Condition::In { key, values } => {
                let mut found = Shards::none();
                for value in values {
                    found = found.union(&self.equal(family, *key, *value)?);
                }
                Ok(found)
            }
            Condition::Range { key, low, high } => self.range(family, self.key(*key), *low, *high),
            Condition::And(conditions) => {
                let mut found = self.between(family, conditions)?;
                for condition in conditions {
                    found = found.intersect(&self.shards(family, condition)?);
                }
                Ok(found)
            }
            Condition::Or(conditions) => {
                let mut found = Shards::none();
                for condition in conditions {
                    found = found.union(&self.shards(family, condition)?);
                }
                Ok(found)
            }
        }
    }

    /// The shards of `key >= a AND key < b` as of one range: each side alone may be everywhere where both are not.
    fn between(&self, family: &Family, conditions: &[Condition]) -> Result<Shards, SqlError> {
        let mut found = Shards::all(family.shards);
        for condition in conditions {
            let Condition::Range { key, low: Some(low), high: None } = condition else { continue };
            for other in conditions {
                if let Condition::Range { key: same, low: None, high: Some(high) } = other
                    && same == key
                {
                    found = found.intersect(&self.range(family, self.key(*key), Some(*low), Some(*high))?);
                }
            }
        }
        Ok(found)
    }

    fn key(&self, key: u8) -> &KeyColumn {
        &self.routing.keys[usize::from(key)]
    }

    fn equal(&self, family: &Family, key: u8, value: Slot) -> Result<Shards, SqlError> {
        let key = self.key(key);
        let Some(datum) = self.values.datum(value)? else { return Ok(Shards::all(family.shards)) };
        Ok(match canonical(&datum, &key.kind) {
            Canon::Key(found) => family.route_set(usize::from(key.level), &found),
            Canon::Never => Shards::none(),
            Canon::Unknown | Canon::Refused(_) => Shards::all(family.shards),
        })
    }

    fn range(
        &self,
        family: &Family,
        key: &KeyColumn,
        low: Option<(Slot, bool)>,
        high: Option<(Slot, bool)>,
    ) -> Result<Shards, SqlError> {
        let all = Shards::all(family.shards);
        let value = |bound: Option<(Slot, bool)>| bound.map(|(slot, _)| self.values.datum(slot)).transpose();
        let (low_value, high_value) = (value(low)?, value(high)?);
        // A bound whose value is not known leaves the range open on its side.
        let edge = |value: &'_ Option<Option<Datum<'a>>>, bound: Option<(Slot, bool)>| match (value, bound) {
            (Some(Some(datum)), Some((_, true))) => Edge::Included(datum.clone()),
            (Some(Some(datum)), Some((_, false))) => Edge::Excluded(datum.clone()),
            _ => Edge::Unbounded,
        };
        let (low, high) = (edge(&low_value, low), edge(&high_value, high));
        Ok(match canonical_range(low.as_ref(), high.as_ref(), &key.kind) {
            CanonRange::Keys(low, high) => family.route_range(usize::from(key.level), low.as_ref(), high.as_ref()),
            CanonRange::Never => Shards::none(),
            CanonRange::Unknown => all,
        })
    }

    /// The shard of each row of an INSERT.
    fn rows(&self, family: &Family, slots: &[Slot], on_null: OnNull) -> Result<Vec<u32>, SqlError> {
        let keys = &self.routing.keys;
        if keys.is_empty() {
            let why = format!("{} has no column: say where the rows go by `/*+ shardloom(shard=0) */`", family.name);
            return Err(SqlError::refuse(why));
        }
        if on_null == OnNull::Changes {
            for (key, slot) in keys.iter().cycle().zip(slots) {
                if !key.nullable && matches!(self.values.datum(*slot)?, Some(Datum::Null)) {
                    return Err(SqlError::refuse(format!("{}: NULL may be stored as another value", key.label)));
                }
            }
        }
        slots.chunks(keys.len()).map(|row| self.row(family, row)).collect()
    }

    fn row(&self, family: &Family, row: &[Slot]) -> Result<u32, SqlError> {
        let columns = self.routing.keys.iter();
        let keys: Result<Vec<Key>, SqlError> = columns.zip(row).map(|(key, slot)| self.stored(key, *slot)).collect();
        let keys = keys?;
        family.shard(&keys).ok_or_else(|| {
            let labels: Vec<&str> = self.routing.keys.iter().map(|key| &*key.label).collect();
            let values: Vec<String> = keys.iter().map(shown).collect();
            SqlError::refuse(format!("no shard of {} has {} = {}", family.name, labels.join(", "), values.join(", ")))
        })
    }

    /// The key that a column has when this value is stored in it.
    fn stored(&self, key: &KeyColumn, slot: Slot) -> Result<Key, SqlError> {
        let refuse = |why: &str| SqlError::refuse(format!("{}: {why}", key.label));
        let Some(datum) = self.values.datum(slot)? else {
            return Err(refuse("the meaning of this literal as the value of a sharding key is not known"));
        };
        if matches!(datum, Datum::Null) && !key.nullable {
            let message = format!("Column '{}' cannot be null", key.column());
            return Err(SqlError { errno: 1048, state: *b"23000", message });
        }
        match stored(&datum, &key.kind) {
            Canon::Key(key) => Ok(key),
            Canon::Refused(why) => Err(refuse(why)),
            Canon::Never | Canon::Unknown => Err(refuse("the value of the sharding key does not fit its column")),
        }
    }

    /// That the shards are where the single tables are.
    fn check_group(&self, family: &Family, shards: &Shards) -> Result<(), SqlError> {
        let Some(group) = self.routing.group else { return Ok(()) };
        if shards.iter().all(|shard| family.home(shard) == group) {
            return Ok(());
        }
        // Why it is not done in another way.
        if let Many::Refuse(refusal) = self.many {
            return Err(refusal.clone());
        }
        let name = self.rules.group(group).map_or("another group", |group| group.name.as_str());
        let why = format!("the statement joins rows of a sharded table with a single table that is on {name}");
        Err(SqlError::refuse(why))
    }

    /// Whether an UPDATE of key columns leaves all rows where they are; else the first key that does not, and where the
    /// rows belong then.
    #[allow(clippy::type_complexity, reason = "read once, by the function above")]
    fn check_assigned(
        &self,
        family: &Family,
        shards: &Shards,
    ) -> Result<Option<(&KeyColumn, Result<Moved, SqlError>)>, SqlError> {
        for (key, value) in &self.routing.assigned {
            let key = self.key(*key);
            if self.is_null_for_none(key, *value)? {
                continue;
            }
            let of_rows = matches!(self.routing.by, By::Rows(..));
            if of_rows && !key.nullable && matches!(self.values.datum(*value)?, Some(Datum::Null)) {
                return Err(SqlError::refuse(format!("{}: NULL may be stored as another value", key.label)));
            }
            let stored = self.stored(key, *value)?;
            let goes = family.route_set(usize::from(key.level), &stored);
            let stays = match (shards.single(), family.levels()) {
                (Some(shard), 1) => goes.single() == Some(shard),
                (Some(shard), _) => goes.iter().any(|part| part == shard),
                (None, _) => false,
            };
            if !stays {
                return Ok(Some((key, self.moved(family, key, &stored, *value))));
            }
        }
        Ok(None)
    }

    /// Whether NULL is given to a column that has none: in strict modes a server refuses it as soon as it finds a row.
    fn is_null_for_none(&self, key: &KeyColumn, value: Slot) -> Result<bool, SqlError> {
        let Some(moves) = self.moves else { return Ok(false) };
        let null = !key.nullable && matches!(self.values.datum(value)?, Some(Datum::Null));
        // With IGNORE no rows are moved.
        if null && (!self.values.facts.mode.has(SqlMode::STRICT) || moves.is_err()) {
            return Err(SqlError::refuse(format!("{}: NULL may be stored as another value", key.label)));
        }
        Ok(null)
    }

    /// Where rows belong that got this key, and how they are told from others.
    fn moved(&self, family: &Family, key: &KeyColumn, stored: &Key, value: Slot) -> Result<Moved, SqlError> {
        let Some(shard) = family.shard(std::slice::from_ref(stored)) else {
            let why = format!("no shard of {} has {} = {}", family.name, key.label, shown(stored));
            return Err(SqlError::refuse(why));
        };
        let mut is = b"=".to_vec();
        let text = |text: &[u8], is: &mut Vec<u8>| put_hex(b"_utf8mb4 x'", text, is);
        match (stored, &key.kind, self.values.datum(value)?) {
            (Key::Null, ..) => is = b" IS NULL".to_vec(),
            (Key::Int(number), ..) => is.extend_from_slice(number.to_string().as_bytes()),
            (Key::Decimal(number), ..) => is.extend_from_slice(number.to_string().as_bytes()),
            (Key::Bytes(bytes), KeyKind::Bytes { .. }, _) => put_hex(b"x'", bytes, &mut is),
            // Spaces at the end are not stored, and count to some collations.
            (_, KeyKind::Str { fixed: true, .. }, Some(Datum::Text(value))) => {
                let end = value.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
                text(&value[..end], &mut is);
            }
            (_, KeyKind::Str { .. }, Some(Datum::Int(number))) => text(number.to_string().as_bytes(), &mut is),
            (_, KeyKind::Bytes { .. } | KeyKind::Int { .. } | KeyKind::Decimal { .. } | KeyKind::Year, _) => {
                return Err(SqlError::new(Code::Unknown, "a key of another type than its column"));
            }
            (_, _, Some(Datum::Text(value))) => text(&value, &mut is),
            _ => {
                let why = format!("{} would get a value of another shard; give it as a number or text", key.label);
                return Err(SqlError::refuse(why));
            }
        }
        Ok(Moved { to: target(family, shard), is })
    }

    /// That the literals and parameters which the merge computes with are exact numbers.
    fn check_numbers(&self, merge: &Merge) -> Result<(), SqlError> {
        let mut slots = Vec::new();
        if let Combine::Fold { columns, .. } = &merge.combine {
            for column in columns {
                if let Aggregate::Compute(scalar) = column {
                    scalar_slots(scalar, &mut slots);
                }
            }
        }
        merge.having.iter().for_each(|test| test_slots(test, &mut slots));
        for slot in slots {
            let exact = matches!(
                self.values.datum(slot)?,
                Some(Datum::Null | Datum::Int(_) | Datum::UInt(_) | Datum::Decimal(_))
            );
            if !exact {
                let why = "a value beside aggregates of several shards has to be a whole number or a decimal";
                return Err(SqlError::refuse(why));
            }
        }
        Ok(())
    }
}

/// The binding of a gather.
struct Gathering<'p, 'a> {
    gather: &'p Gather,
    planned: &'a Planned,
    values: Values<'a>,
    rules: &'a RuleSet,
}

impl<'p: 'a, 'a> Gathering<'p, 'a> {
    /// Says where the rows of each source are, and where they go.
    fn gather(&self, bound: &mut Bound<'a>) -> Result<(), SqlError> {
        self.place(bound)?;
        let Some(gathered) = &mut bound.gathered else { return Ok(()) };
        for (source, pulls) in self.gather.sources.iter().zip(&mut gathered.pulls) {
            *pulls = match (&source.routing, self.place_of(source)) {
                (Some(routing), _) => self.shards(routing)?,
                (None, Some(Place::Single(group))) => vec![Target { group, shard: None }],
                // Locks keep others out only if all take them on the same copy.
                (None, _) if source.locks.is_some() => vec![Target { group: self.home_of(source), shard: None }],
                (None, _) => vec![Target { group: gathered.group, shard: None }],
            };
        }
        Ok(())
    }

    /// Chooses the group that has most of the tables, and where each of them is defined.
    fn place(&self, bound: &mut Bound<'a>) -> Result<(), SqlError> {
        let groups = (0..self.rules.groups().len()).map(|group| GroupId(group as u16));
        let has = |group: GroupId| self.gather.sources.iter().filter(|source| self.on(source, group).is_some()).count();
        let most = || groups.rev().max_by_key(|group| has(*group)).unwrap_or(GroupId(0));
        let group = self.gather.home.as_ref().map_or_else(most, |(group, _)| *group);
        let like: Vec<Target> =
            self.gather.sources.iter().map(|source| self.on(source, group).unwrap_or(self.somewhere(source))).collect();
        bound.answer = Answer::Gather(self.gather);
        let first = self.gather.sources.iter().zip(&like).find(|(_, target)| target.group == group);
        let schema = first.and_then(|(source, target)| bound.name(source.table, *target));
        let own = self.gather.home.as_ref().map(|(_, schema)| &**schema);
        let Some(schema) = own.or(schema.map(|name| name.physical_schema)) else {
            return Err(SqlError::refuse("no group has a schema for the rows that the statement needs together"));
        };
        bound.route = Route::Any;
        bound.gathered = Some(Gathered { group, schema, pulls: vec![Vec::new(); like.len()], like });
        Ok(())
    }

    fn place_of(&self, source: &Source) -> Option<Place> {
        self.planned.tables.get(usize::from(source.table)).map(|table| table.place)
    }

    /// The home of the schema that a source's table is in.
    fn home_of(&self, source: &Source) -> GroupId {
        let schema = self.planned.tables.get(usize::from(source.table)).map(|table| &*table.schema);
        schema.and_then(|schema| self.rules.schema(schema)).map_or(GroupId(0), |schema| schema.home)
    }

    /// The table of a source on a group, if it has one.
    fn on(&self, source: &Source, group: GroupId) -> Option<Target> {
        let shard = match self.place_of(source)? {
            Place::Sharded(id) => {
                let family = self.rules.family(id)?;
                Some((0..family.shards).find(|shard| family.home(*shard) == group)?)
            }
            Place::Broadcast => None,
            Place::Single(home) if home == group => None,
            Place::Single(_) | Place::System => return None,
        };
        Some(Target { group, shard })
    }

    /// The table of a source on the first group that has it.
    fn somewhere(&self, source: &Source) -> Target {
        match self.place_of(source) {
            Some(Place::Sharded(id)) => {
                let home = self.rules.family(id).map_or(GroupId(0), |family| family.home(0));
                Target { group: home, shard: Some(0) }
            }
            Some(Place::Single(group)) => Target { group, shard: None },
            _ => Target { group: GroupId(0), shard: None },
        }
    }

    /// The targets that hold rows of a source that matter.
    fn shards(&self, routing: &Routing) -> Result<Vec<Target>, SqlError> {
        let family = family(self.rules, routing)?;
        let (values, rules) = (self.values, self.rules);
        let placing = Placing { routing, many: &Many::Sum, moves: None, values, rules, only: None };
        let By::Conditions(conditions) = &routing.by else { return Ok(targets(family, &Shards::all(family.shards))) };
        let mut shards = Shards::all(family.shards);
        for condition in conditions {
            shards = shards.intersect(&placing.shards(family, condition)?);
        }
        Ok(targets(family, &shards))
    }
}

/// Whether the statement runs as it is: not with a share of LIMIT for each target.
fn is_whole(answer: Answer<'_>) -> bool {
    matches!(answer, Answer::Relay | Answer::Sum)
}

/// What conditions lead to.
enum Found {
    /// These shards.
    Shards(Shards),
    /// Different sets of references need different shards.
    Apart,
}

fn scalar_slots(scalar: &Scalar, found: &mut Vec<Slot>) {
    match scalar {
        Scalar::Cell(_) => {}
        Scalar::Slot(slot) => found.push(*slot),
        Scalar::Negate(inner) => scalar_slots(inner, found),
        Scalar::Add(both) | Scalar::Subtract(both) | Scalar::Multiply(both) => {
            both.iter().for_each(|scalar| scalar_slots(scalar, found));
        }
    }
}

fn test_slots(test: &Test, found: &mut Vec<Slot>) {
    match test {
        Test::And(tests) | Test::Or(tests) => tests.iter().for_each(|test| test_slots(test, found)),
        Test::Not(test) => test_slots(test, found),
        Test::Compare(_, left, right) => [left, right].into_iter().for_each(|scalar| scalar_slots(scalar, found)),
        Test::IsNull(scalar) => scalar_slots(scalar, found),
        Test::Cell(_) => {}
    }
}

fn family<'r>(rules: &'r RuleSet, routing: &Routing) -> Result<&'r Family, SqlError> {
    found(rules, routing.family)
}

fn found(rules: &RuleSet, family: FamilyId) -> Result<&Family, SqlError> {
    rules.family(family).ok_or_else(|| SqlError::new(Code::Unknown, "a plan of another rule set"))
}

fn target(family: &Family, shard: u32) -> Target {
    Target { group: family.home(shard), shard: Some(shard) }
}

fn targets(family: &Family, shards: &Shards) -> Vec<Target> {
    let mut targets: Vec<Target> = shards.iter().map(|shard| target(family, shard)).collect();
    targets.sort();
    targets
}

/// All groups.
fn everywhere(rules: &RuleSet) -> Route {
    let target = |group: usize| Target { group: GroupId(group as u16), shard: None };
    match rules.groups().len() {
        1 => Route::One(target(0)),
        groups => Route::Many((0..groups).map(target).collect()),
    }
}

/// A key for a message.
fn shown(key: &Key) -> String {
    match key {
        Key::Null => "NULL".into(),
        key => key.with_bytes(|bytes| String::from_utf8_lossy(bytes).into_owned()),
    }
}
