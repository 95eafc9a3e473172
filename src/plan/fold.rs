//! Aggregates over several shards: each folds its own rows, the merge folds the folds, group by group in the order of
//! the group keys. What is not exactly computable from the parts is refused.

use crate::error::SqlError;
use crate::plan::functions::{Nature, nature};
use crate::plan::keys::{Hidden, Source, Subject};
use crate::plan::merge::{Aggregate, Cell, Combine, Comparison, Merge, Scalar, SortKey, Test};
use crate::plan::parts::{columns_of, has_aggregate, is_random, parts, strip};
use crate::plan::resolve::{self, Column, several};
use crate::plan::same::same;
use crate::plan::select::{Meaning, Merging, Reading, has_subquery, is_constant};
use crate::plan::text::{Composer, Part, quote};
use crate::plan::ties::slot;
use crate::plan::types::Class;
use crate::sql::Flavour;
use crate::sql::ast::{BinaryOp, Expr, Function, Keyword, LiteralKind, SelectItem, Span, UnaryOp};

/// The folding of one SELECT, as it is put together.
pub(super) struct Folding<'f, 'r, 'm, 'a, 'c, 's> {
    read: &'f Reading<'r, 'm, 'a>,
    composer: &'c Composer<'s>,
    hidden: Hidden<'c, 's>,
    /// The select items, none of them a star.
    items: Vec<&'a Expr>,
    /// What the items of GROUP BY mean, constants left out, and their text.
    groups: Vec<(&'a Expr, Span)>,
    pins: Vec<u32>,
}

impl<'f, 'r, 'm, 'a, 'c, 's> Folding<'f, 'r, 'm, 'a, 'c, 's> {
    /// Starts with the select list and GROUP BY.
    ///
    /// # Errors
    /// 1235 for a star, whose columns are neither grouped by nor aggregated.
    pub(super) fn of(read: &'f Reading<'r, 'm, 'a>, composer: &'c Composer<'s>) -> Result<Self, SqlError> {
        let mut items = Vec::new();
        for item in &read.select.items {
            match item {
                SelectItem::Expr { expr, .. } => items.push(expr),
                SelectItem::Wildcard(span) | SelectItem::QualifiedWildcard(_, span) => {
                    return Err(several(read.model.sql, "a column that is neither grouped by nor aggregated", *span));
                }
            }
        }
        let groups = read.select.group_by.iter().map(|key| (read.model.group_expr(read.block, key), key.span()));
        let groups = groups.filter(|(meaning, _)| !is_constant(meaning)).collect();
        Ok(Folding { read, composer, hidden: Hidden::new(composer), items, groups, pins: Vec::new() })
    }

    /// The whole merge.
    ///
    /// # Errors
    /// 1235 for what is not exactly computable from the parts.
    pub(super) fn merge(mut self) -> Result<Merging, SqlError> {
        self.check_groups()?;
        let columns = (0..self.items.len()).map(|index| self.item(index)).collect::<Result<Vec<_>, _>>()?;
        let keys = (0..self.groups.len()).map(|index| self.group_key(index, false)).collect::<Result<Vec<_>, _>>()?;
        self.check_distinct()?;
        let (order, sort) = self.order(&keys)?;
        let (having, kept) = self.having()?;
        let in_order = order.kept;
        let mut edits = Vec::new();
        edits.extend(having_edit(self.read, self.composer, kept)?);
        edits.extend(self.order_text(&order)?);
        let limit = self.read.limit(in_order && having.is_none())?;
        edits.extend(limit.edit);
        let mut all = columns;
        all.append(&mut self.hidden.aggregates);
        let merge = Merge {
            hidden: self.hidden.len(),
            order: order.keys.into_iter().map(|(_, key)| key).collect(),
            combine: Combine::Fold { keys: keys.into(), columns: all.into() },
            having,
            sort: sort.into(),
            windowed: limit.slots.is_some(),
        };
        let text = self.read.text(self.composer, self.hidden, edits)?;
        Ok(Merging { merge, text, limit: limit.slots, pins: self.pins })
    }

    fn refuse<T>(&self, what: &str, expr: &Expr) -> Result<T, SqlError> {
        Err(several(self.read.model.sql, what, expr.span()))
    }

    fn check_groups(&self) -> Result<(), SqlError> {
        for (key, _) in &self.groups {
            if has_subquery(key) || is_random(key) {
                return self.refuse("GROUP BY a subquery or a random value", key);
            }
        }
        Ok(())
    }

    /// DISTINCT changes nothing if the group keys are all shown, or if there is one group only.
    fn check_distinct(&mut self) -> Result<(), SqlError> {
        let Some(span) = self.read.select.distinct else { return Ok(()) };
        let (model, block) = (self.read.model, self.read.block);
        let (items, pins) = (&self.items, &mut self.pins);
        let mut shown = self.groups.iter().map(|(key, _)| items.iter().any(|item| same(model, block, item, key, pins)));
        match shown.all(|shown| shown) {
            true => Ok(()),
            false => Err(several(model.sql, "DISTINCT over groups", span)),
        }
    }

    /// How the cells of a select item are folded.
    fn item(&mut self, index: usize) -> Result<Aggregate, SqlError> {
        let expr = self.items[index];
        match strip(expr) {
            Expr::Function(function) if is_aggregate(function) => self.aggregate(function, Some(index as u16)),
            _ if !has_aggregate(expr) => self.of_group(expr).map(|()| Aggregate::Any),
            _ => match self.scalar_or_default(expr)? {
                Some(scalar) => Ok(Aggregate::Compute(scalar)),
                None => self.refuse("an expression over aggregates that Shardloom does not compute", expr),
            },
        }
    }

    /// Whether an expression is a group key.
    fn repeats(&mut self, expr: &Expr) -> bool {
        let (model, block) = (self.read.model, self.read.block);
        self.groups.iter().any(|(key, _)| same(model, block, expr, key, &mut self.pins))
    }

    /// That an expression without aggregates has one value in a group.
    fn of_group(&mut self, expr: &Expr) -> Result<(), SqlError> {
        if self.repeats(expr) {
            return Ok(());
        }
        if has_subquery(expr) || is_random(expr) {
            return self.refuse("a subquery or random value beside aggregates", expr);
        }
        if let Expr::Function(_) | Expr::Binary { .. } | Expr::Other { .. } | Expr::Cast { .. } = strip(expr)
            && !matches!(strip(expr), Expr::Column { .. })
        {
            return parts(strip(expr)).into_iter().try_for_each(|part| self.of_group(part));
        }
        let mut columns = Vec::new();
        columns_of(expr, &mut columns);
        match columns.into_iter().find(|column| !self.is_determined(column)) {
            Some(column) => self.refuse("a column that is neither grouped by nor aggregated", column),
            None => Ok(()),
        }
    }

    /// Whether the group keys determine a column: it is one of them, or a whole unique key of its table is.
    fn is_determined(&self, expr: &Expr) -> bool {
        let (model, block) = (self.read.model, self.read.block);
        let Some(column) = model.column(block, expr) else { return false };
        let keys: Vec<Column> = self.groups.iter().filter_map(|(key, _)| model.column(block, key)).collect();
        if keys.contains(&column) {
            return true;
        }
        let resolve::Source::Table(_, Some(info)) = model.refs[column.of.0].source else { return false };
        let has = |name: &String| {
            let stored = info.column(name).is_some_and(|(_, column)| !column.nullable);
            stored && keys.iter().any(|key| key.of == column.of && key.name.eq_ignore_ascii_case(name))
        };
        info.unique().any(|key| !key.is_empty() && key.iter().all(has))
    }

    /// How the cells of an aggregate are folded; `item` is the client's column that shows it.
    fn aggregate(&mut self, function: &Function, item: Option<u16>) -> Result<Aggregate, SqlError> {
        let place = Expr::Other { parts: Vec::new(), span: function.span };
        if function.ordered {
            return self.refuse(&format!("the order inside of {}", function.name), &place);
        }
        if function.args.iter().any(has_subquery) || function.args.iter().any(is_random) {
            return self.refuse("an aggregate of a subquery or random value", &place);
        }
        let distinct = function.distinct && !matches!(function.name.as_str(), "MIN" | "MAX");
        if distinct && !self.is_of_key(function) {
            return self.refuse(&format!("{}(DISTINCT ...)", function.name), &place);
        }
        if self.loses_digits(function) {
            return self.refuse(
                &format!("{} of a quotient, which has more digits than MariaDB shows,", function.name),
                &place,
            );
        }
        match (function.name.as_str(), function.args.as_slice()) {
            ("COUNT", _) | ("SUM", [_]) => Ok(Aggregate::Sum),
            ("MIN", [arg]) => Ok(Aggregate::Min(self.extreme(function, arg, item)?)),
            ("MAX", [arg]) => Ok(Aggregate::Max(self.extreme(function, arg, item)?)),
            ("BIT_AND", [_]) => Ok(Aggregate::BitAnd),
            ("BIT_OR", [_]) => Ok(Aggregate::BitOr),
            ("BIT_XOR", [_]) => Ok(Aggregate::BitXor),
            ("ANY_VALUE", [_]) => Ok(Aggregate::Any),
            ("AVG", [arg]) => {
                let of = Source::Span(arg.span());
                let distinct = if function.distinct { "DISTINCT " } else { "" };
                let sum = self.hidden.add(&format!("SUM({distinct}{{}})"), &of, Aggregate::Sum)?;
                let count = self.hidden.add(&format!("COUNT({distinct}{{}})"), &of, Aggregate::Sum)?;
                Ok(Aggregate::Average { sum, count })
            }
            (name, _) => self.refuse(&format!("the aggregate {name}"), &place),
        }
    }

    /// Whether a shard would show fewer digits of it than the sum or the expression needs that it goes into. MySQL rounds a
    /// quotient before it computes with it.
    fn loses_digits(&self, function: &Function) -> bool {
        let (model, block) = (self.read.model, self.read.block);
        model.session.facts.flavour == Flavour::MariaDb
            && matches!(function.name.as_str(), "SUM" | "AVG" | "MIN" | "MAX")
            && function.args.iter().any(|arg| model.may_divide(block, arg))
    }

    /// Whether the arguments hold the whole sharding key, so that no two shards have a value in common.
    fn is_of_key(&self, function: &Function) -> bool {
        let (locality, model) = (self.read.locality, self.read.model);
        let columns = function.args.iter().filter_map(|arg| model.column(self.read.block, arg));
        let [root] = locality.roots.as_slice() else { return false };
        locality.holds_key(columns, root)
    }

    /// What MIN and MAX compare.
    fn extreme(&mut self, function: &Function, arg: &Expr, item: Option<u16>) -> Result<SortKey, SqlError> {
        let class = match self.read.model.class(self.read.block, arg) {
            // MIN and MAX take ENUM and SET as strings and BIT as what it is on the wire; both are left to gather.
            Class::Numbered | Class::Bits => Class::Opaque,
            class => class,
        };
        let (text, in_group) = (Source::Span(function.span), false);
        let first = self.hidden.aggregates.len();
        let subject = Subject { class, item, text, in_group };
        let key = self.hidden.key(&subject, false, self.read.model.sql, function.span.start)?;
        // Whatever the comparison needs beside the item goes the way of the winner.
        let fold = if function.name == "MIN" { Aggregate::Min(key) } else { Aggregate::Max(key) };
        self.hidden.aggregates[first..].fill(fold);
        Ok(key)
    }

    /// The folded cell of an aggregate, hidden if no item shows it.
    fn aggregate_cell(&mut self, function: &'a Function, expr: &'a Expr) -> Result<Cell, SqlError> {
        let (model, block) = (self.read.model, self.read.block);
        let shown = self.items.iter().position(|item| same(model, block, item, expr, &mut self.pins));
        if let Some(item) = shown {
            return Ok(Cell::Item(item as u16));
        }
        let cell = self.hidden.add("{}", &Source::Span(function.span), Aggregate::Any)?;
        let Cell::Hidden(index) = cell else { return Ok(cell) };
        if self.hidden.aggregates[usize::from(index)] == Aggregate::Any {
            self.hidden.aggregates[usize::from(index)] = self.aggregate(function, None)?;
        }
        Ok(cell)
    }

    /// A number computed from aggregates; none if it is not one that is computed exactly. In HAVING, a bare
    /// name may mean a select item.
    fn scalar(&mut self, expr: &'a Expr, in_having: bool) -> Result<Option<Scalar>, SqlError> {
        let two = |this: &mut Self, left: &'a Expr, right: &'a Expr| -> Result<Option<Box<[Scalar; 2]>>, SqlError> {
            let (left, right) = (this.scalar(left, in_having)?, this.scalar(right, in_having)?);
            let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
            Ok(Some(Box::new([left, right])))
        };
        Ok(match strip(expr) {
            Expr::Literal { kind: LiteralKind::Integer | LiteralKind::Decimal, .. } => slot(expr).map(Scalar::Slot),
            // What type a server gives to a column computed from a parameter is not known here.
            Expr::Param { .. } if in_having => slot(expr).map(Scalar::Slot),
            Expr::Unary { op: UnaryOp::Minus, expr, .. } => {
                self.scalar(expr, in_having)?.map(|inner| Scalar::Negate(Box::new(inner)))
            }
            Expr::Binary { op: BinaryOp::Add, left, right, .. } => two(self, left, right)?.map(Scalar::Add),
            Expr::Binary { op: BinaryOp::Sub, left, right, .. } => two(self, left, right)?.map(Scalar::Subtract),
            Expr::Binary { op: BinaryOp::Mul, left, right, .. } => two(self, left, right)?.map(Scalar::Multiply),
            Expr::Function(function) if is_aggregate(function) => {
                let exact = match function.name.as_str() {
                    "COUNT" | "SUM" => true,
                    // Shown rounded, so it is compared only: the merge sees to the digits that are not shown.
                    "AVG" => in_having,
                    "MIN" | "MAX" => self.read.model.class(self.read.block, strip(expr)) == Class::Number,
                    _ => false,
                };
                if exact { Some(Scalar::Cell(self.aggregate_cell(function, strip(expr))?)) } else { None }
            }
            Expr::Column { table: None, .. } if in_having => match self.alias(expr) {
                Some(meaning) => self.scalar(meaning, false)?,
                None => None,
            },
            _ => None,
        })
    }

    /// The same, or `IFNULL(aggregate, n)` and `COALESCE(aggregate, n)` with an integer: where the aggregate is NULL
    /// on all targets, each of them shows the default as a single server would.
    fn scalar_or_default(&mut self, expr: &'a Expr) -> Result<Option<Scalar>, SqlError> {
        if let Expr::Function(function) = strip(expr)
            && let ("IFNULL" | "COALESCE", [value, default]) = (function.name.as_str(), function.args.as_slice())
            && matches!(strip(default), Expr::Literal { kind: LiteralKind::Integer, .. })
            && let Expr::Function(inner) = strip(value)
            && is_aggregate(inner)
        {
            return self.scalar(value, false);
        }
        self.scalar(expr, false)
    }

    /// The select item that a bare name in HAVING means: a column that is grouped by comes first.
    fn alias(&self, expr: &Expr) -> Option<&'a Expr> {
        let Expr::Column { table: None, name, .. } = strip(expr) else { return None };
        let grouped = |key: &Expr| {
            matches!(strip(key), Expr::Column { name: key, .. }
            if key.name.eq_ignore_ascii_case(&name.name))
        };
        if self.groups.iter().any(|(key, _)| grouped(key)) {
            return None;
        }
        match self.read.model.items_named(self.read.select, &name.name).as_slice() {
            [only] => Some(self.items[*only]),
            _ => None,
        }
    }

    /// Whether an aggregate stands in a condition of HAVING, behind an alias or not.
    fn reads_aggregate(&self, expr: &Expr) -> bool {
        has_aggregate(expr)
            || self.alias(expr).is_some_and(has_aggregate)
            || parts(expr).into_iter().any(|part| self.reads_aggregate(part))
    }

    /// HAVING: what the merge tests, and what each target can test by itself because it is about the group keys.
    fn having(&mut self) -> Result<(Option<Test>, Vec<Span>), SqlError> {
        let Some(having) = &self.read.select.having else { return Ok((None, Vec::new())) };
        let mut conjuncts = Vec::new();
        conjuncts_of(having, &mut conjuncts);
        let (mut tests, mut kept) = (Vec::new(), Vec::new());
        for conjunct in conjuncts {
            if self.reads_aggregate(conjunct) {
                tests.push(self.test(conjunct)?);
            } else {
                self.of_group_or_alias(conjunct)?;
                self.judged_alike(conjunct)?;
                kept.push(conjunct.span());
            }
        }
        let test = match tests.len() {
            0 => None,
            1 => tests.pop(),
            _ => Some(Test::And(tests.into())),
        };
        Ok((test, kept))
    }

    /// That a condition is about group keys only, by their own names or by those of select items.
    fn of_group_or_alias(&mut self, expr: &Expr) -> Result<(), SqlError> {
        if has_subquery(expr) {
            return self.refuse("a subquery in HAVING", expr);
        }
        if let Some(meaning) = self.alias(expr) {
            return self.of_group(meaning);
        }
        if self.repeats(expr) {
            return Ok(());
        }
        match parts(expr).as_slice() {
            [] => self.of_group(expr),
            parts => parts.iter().try_for_each(|part| self.of_group_or_alias(part)),
        }
    }

    /// That every target judges a group alike: strings that are equal to GROUP BY may differ in their bytes, and each
    /// target has one of them. A comparison under the column's own collation takes them for equal, too.
    fn judged_alike(&self, expr: &Expr) -> Result<(), SqlError> {
        let stripped = strip(expr);
        if !self.reads_text(stripped) {
            return Ok(());
        }
        let alike = match stripped {
            Expr::Binary { op: BinaryOp::And | BinaryOp::Or | BinaryOp::Xor, left, right, .. } => {
                self.judged_alike(left)?;
                return self.judged_alike(right);
            }
            Expr::Unary { op: UnaryOp::Not, expr, .. } => return self.judged_alike(expr),
            Expr::Binary { op, left, right, .. } if comparison(*op).is_some() => {
                (self.is_text_key(left) && is_plain_string(right)) || (is_plain_string(left) && self.is_text_key(right))
            }
            Expr::InList { expr, list, .. } => self.is_text_key(expr) && list.iter().all(is_plain_string),
            Expr::Between { expr, low, high, .. } => {
                self.is_text_key(expr) && is_plain_string(low) && is_plain_string(high)
            }
            Expr::Is { expr, what: Keyword::Null, .. } => self.is_text_key(expr),
            _ => false,
        };
        if alike { Ok(()) } else { self.refuse("a condition on the letters of a string that is grouped by", expr) }
    }

    /// Whether a string that is grouped by, or a value of unknown type, is read in an expression.
    fn reads_text(&self, expr: &Expr) -> bool {
        let mut columns = Vec::new();
        columns_of(expr, &mut columns);
        columns.into_iter().any(|column| {
            let meaning = self.alias(column).unwrap_or(column);
            let class = self.read.model.class(self.read.block, meaning);
            !matches!(
                class,
                Class::Number | Class::Moment | Class::Numbered | Class::Bits | Class::Float | Class::Stamp
            )
        })
    }

    /// Whether an expression is a group key as it is, or the alias of one.
    fn is_text_key(&self, expr: &Expr) -> bool {
        let (model, block) = (self.read.model, self.read.block);
        let meaning = self.alias(expr).unwrap_or(expr);
        self.groups.iter().any(|(key, _)| same(model, block, key, meaning, &mut Vec::new()))
    }

    /// A condition over folded cells.
    fn test(&mut self, expr: &'a Expr) -> Result<Test, SqlError> {
        if !self.reads_aggregate(expr) {
            return self.shard_test(expr);
        }
        Ok(match strip(expr) {
            Expr::Binary { op: BinaryOp::And, left, right, .. } => {
                Test::And([self.test(left)?, self.test(right)?].into())
            }
            Expr::Binary { op: BinaryOp::Or, left, right, .. } => {
                Test::Or([self.test(left)?, self.test(right)?].into())
            }
            Expr::Unary { op: UnaryOp::Not, expr, .. } => Test::Not(Box::new(self.test(expr)?)),
            Expr::Binary { op, left, right, .. } => match comparison(*op) {
                Some(op) => Test::Compare(op, self.number(left)?, self.number(right)?),
                None => return self.refuse("a condition on aggregates that Shardloom does not compute", expr),
            },
            Expr::Between { negated, expr, low, high, .. } => {
                let (value, low, high) = (self.number(expr)?, self.number(low)?, self.number(high)?);
                let above = Test::Compare(Comparison::Ge, value.clone(), low);
                let both = Test::And([above, Test::Compare(Comparison::Le, value, high)].into());
                if *negated { Test::Not(Box::new(both)) } else { both }
            }
            Expr::InList { negated, expr, list, .. } => {
                let value = self.number(expr)?;
                let mut any = Vec::new();
                for member in list {
                    any.push(Test::Compare(Comparison::Eq, value.clone(), self.number(member)?));
                }
                let any = Test::Or(any.into());
                if *negated { Test::Not(Box::new(any)) } else { any }
            }
            Expr::Is { negated, expr, what: Keyword::Null, .. } => {
                let null = Test::IsNull(self.number(expr)?);
                if *negated { Test::Not(Box::new(null)) } else { null }
            }
            _ => return self.refuse("a condition on aggregates that Shardloom does not compute", expr),
        })
    }

    fn number(&mut self, expr: &'a Expr) -> Result<Scalar, SqlError> {
        match self.scalar(expr, true)? {
            Some(scalar) => Ok(scalar),
            None => self.refuse("a value in HAVING that Shardloom does not compute", expr),
        }
    }

    /// A condition on group keys amid others on aggregates: the targets compute it.
    fn shard_test(&mut self, expr: &'a Expr) -> Result<Test, SqlError> {
        let mut columns = Vec::new();
        columns_of(expr, &mut columns);
        if columns.iter().any(|column| self.alias(column).is_some()) {
            return self.refuse("an alias in a condition beside aggregates", expr);
        }
        self.of_group_or_alias(expr)?;
        self.judged_alike(expr)?;
        let cell = self.hidden.add("MIN({})", &Source::Span(expr.span()), Aggregate::Any)?;
        Ok(Test::Cell(cell))
    }

    /// The sort key of a group key.
    fn group_key(&mut self, index: usize, desc: bool) -> Result<SortKey, SqlError> {
        let (key, _) = self.groups[index];
        let (model, block) = (self.read.model, self.read.block);
        let item = self.items.iter().position(|item| same(model, block, item, key, &mut self.pins));
        let meaning = Meaning { item: item.map(|item| item as u16), expr: key };
        let subject = self.read.subject(meaning);
        self.hidden.key(&subject, desc, model.sql, key.span().start)
    }

    /// The order in which the targets give their groups, and the order of the answer if it is another one.
    fn order(&mut self, keys: &[SortKey]) -> Result<(Ordering, Vec<SortKey>), SqlError> {
        let ascending: Vec<(usize, SortKey)> = keys.iter().copied().enumerate().collect();
        if self.groups.is_empty() {
            return Ok((Ordering { keys: Vec::new(), given: 0, kept: true }, Vec::new()));
        }
        let (mut along, mut sort, mut by_groups) = (Vec::new(), Vec::new(), true);
        for item in &self.read.query.order_by {
            let Some(meaning) = self.read.order_item(&item.expr, &mut self.pins)? else { continue };
            let (model, block) = (self.read.model, self.read.block);
            let group = self.groups.iter().position(|(key, _)| same(model, block, key, meaning.expr, &mut self.pins));
            match group {
                Some(index) => {
                    let key = SortKey { desc: item.desc, ..keys[index] };
                    along.push((index, key));
                    sort.push(key);
                }
                None => {
                    by_groups = false;
                    sort.push(self.sort_key(meaning, item.desc)?);
                }
            }
        }
        if !by_groups {
            return Ok((Ordering { keys: ascending, given: 0, kept: false }, sort));
        }
        let given = along.len();
        let missing = ascending.into_iter().filter(|(index, _)| !along.iter().any(|(seen, _)| seen == index));
        let missing: Vec<_> = missing.collect();
        along.extend(missing);
        Ok((Ordering { keys: along, given, kept: true }, Vec::new()))
    }

    /// The key of an item of ORDER BY that is not a group key, after folding.
    fn sort_key(&mut self, meaning: Meaning<'a>, desc: bool) -> Result<SortKey, SqlError> {
        let expr = strip(meaning.expr);
        if !has_aggregate(expr) {
            self.of_group(expr)?;
            let subject = self.read.subject(meaning);
            return self.hidden.key(&subject, desc, self.read.model.sql, expr.span().start);
        }
        if let Some(cell) = meaning.cell() {
            let Expr::Function(function) = expr else {
                return Ok(SortKey { value: cell, weight: None, pad: None, desc });
            };
            return match function.name.as_str() {
                "MIN" | "MAX" => Ok(SortKey { desc, ..self.extreme(function, &function.args[0], meaning.item)? }),
                "ANY_VALUE" => self.refuse("ORDER BY ANY_VALUE", expr),
                _ => Ok(SortKey { value: cell, weight: None, pad: None, desc }),
            };
        }
        match expr {
            Expr::Function(function) if matches!(function.name.as_str(), "MIN" | "MAX") && function.args.len() == 1 => {
                Ok(SortKey { desc, ..self.extreme(function, &function.args[0], None)? })
            }
            Expr::Function(function) if is_aggregate(function) && function.name != "ANY_VALUE" => {
                Ok(SortKey { value: self.aggregate_cell(function, expr)?, weight: None, pad: None, desc })
            }
            _ => match self.scalar(expr, false)? {
                Some(scalar) => {
                    let source = Source::Span(expr.span());
                    let value = self.hidden.add("{}", &source, Aggregate::Compute(scalar))?;
                    Ok(SortKey { value, weight: None, pad: None, desc })
                }
                None => self.refuse("ORDER BY an expression over aggregates that Shardloom does not compute", expr),
            },
        }
    }

    /// The text of a group key for ORDER BY, where aliases come first, while columns do in GROUP BY.
    fn group_text(&self, index: usize) -> Result<Part, SqlError> {
        let (meaning, span) = self.groups[index];
        let copied = self.composer.copy(span);
        let (model, block) = (self.read.model, self.read.block);
        let written = meaning.span() == span;
        if !written || !self.read.names_alias(meaning) {
            return copied;
        }
        match (strip(meaning), model.column(block, meaning)) {
            (Expr::Column { table: None, .. }, Some(column)) => {
                let mut name = Vec::new();
                quote(model.refs[column.of.0].label.as_bytes(), &mut name);
                name.push(b'.');
                quote(column.name.as_bytes(), &mut name);
                Ok(Part::Fixed(String::from_utf8_lossy(&name).into()))
            }
            _ => self.refuse("GROUP BY an expression with a name that is an alias, too,", meaning),
        }
    }

    /// The edit that makes each target give its groups in `order`.
    fn order_text(&self, order: &Ordering) -> Result<Option<(Span, Part)>, SqlError> {
        let appended = &order.keys[order.given..];
        let parts: Result<Vec<Part>, SqlError> = appended.iter().map(|(index, _)| self.group_text(*index)).collect();
        if order.kept {
            return Ok(self.read.order_edit(parts?.into_iter()));
        }
        let mut text = Vec::new();
        for part in parts? {
            text.push(Part::Fixed(if text.is_empty() { "ORDER BY " } else { ", " }.into()));
            text.push(part);
        }
        let end = self.read.end();
        let span = self.read.query.order_span.unwrap_or(Span { start: end, end });
        Ok(Some((span, Part::All(text.into()))))
    }
}

/// The order in which the targets give their groups.
struct Ordering {
    /// The keys, each with the number of the group key it is.
    keys: Vec<(usize, SortKey)>,
    /// How many of them the client's ORDER BY names.
    given: usize,
    /// The client's ORDER BY stays as it is; the other keys follow it.
    kept: bool,
}

/// The edit that leaves in HAVING what each target can test by itself.
fn having_edit(
    read: &Reading<'_, '_, '_>,
    composer: &Composer<'_>,
    kept: Vec<Span>,
) -> Result<Option<(Span, Part)>, SqlError> {
    let Some(span) = read.select.having_span else { return Ok(None) };
    let mut parts = Vec::new();
    for conjunct in kept {
        parts.push(Part::Fixed(if parts.is_empty() { "HAVING (" } else { ") AND (" }.into()));
        parts.push(composer.copy(conjunct)?);
    }
    if !parts.is_empty() {
        parts.push(Part::Fixed(")".into()));
    }
    Ok(Some((span, Part::All(parts.into()))))
}

/// A literal that is compared under the collation of a column.
fn is_plain_string(expr: &Expr) -> bool {
    matches!(strip(expr), Expr::Literal { kind: LiteralKind::String, .. })
}

fn is_aggregate(function: &Function) -> bool {
    !function.over && nature(&function.name) == Nature::Aggregate
}

/// The conditions that AND joins.
fn conjuncts_of<'e>(expr: &'e Expr, found: &mut Vec<&'e Expr>) {
    match strip(expr) {
        Expr::Binary { op: BinaryOp::And, left, right, .. } => {
            conjuncts_of(left, found);
            conjuncts_of(right, found);
        }
        other => found.push(other),
    }
}

fn comparison(op: BinaryOp) -> Option<Comparison> {
    Some(match op {
        BinaryOp::Eq => Comparison::Eq,
        BinaryOp::Ne => Comparison::Ne,
        BinaryOp::Lt => Comparison::Lt,
        BinaryOp::Le => Comparison::Le,
        BinaryOp::Gt => Comparison::Gt,
        BinaryOp::Ge => Comparison::Ge,
        _ => return None,
    })
}
