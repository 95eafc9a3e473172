//! What conditions say about sharding keys: which values the key of a table reference can have, and which references
//! have the same key in every combination of rows that matters.
//!
//! A row *matters* if the statement's answer could change were it not there. Everything here is a claim about rows
//! that matter: a condition restricts them, a tie says that those of one reference (the follower) have the key of a
//! row of another one (the leader). Where outer joins, subqueries or NULL make a claim doubtful, it is not made.

use std::collections::{HashMap, HashSet};

use crate::plan::Place;
use crate::plan::columns::Output;
use crate::plan::parts::strip;
use crate::plan::resolve::{BlockId, BodyNode, Column, Model, QueryId, RefId, Source};
use crate::plan::route::{Condition, KeyColumn};
use crate::plan::slot::Slot;
use crate::rules::FamilyId;
use crate::sql::ast::{BinaryOp, Expr, JoinKind, Keyword, TableRef, UnaryOp};

/// The claims about the keys of a statement's sharded table references.
pub(super) struct Ties<'m, 'a> {
    model: &'m Model<'a>,
    /// The key columns of the sharded references, by reference and level.
    pub(super) keys: Vec<KeyColumn>,
    key_ids: HashMap<(RefId, u8), u8>,
    /// What is known of the key of a reference: all of these hold for its rows that matter.
    pub(super) restricted: HashMap<RefId, Vec<Condition>>,
    /// (follower, leader) -> the levels on which the keys are equal, a bit each.
    followed: HashMap<(RefId, RefId), u8>,
    /// References whose columns an outer join may fill with NULL.
    pub(super) null_side: HashSet<RefId>,
}

impl<'m, 'a> Ties<'m, 'a> {
    /// Collects all claims that the statement's conditions allow.
    pub(super) fn of(model: &'m Model<'a>) -> Ties<'m, 'a> {
        let mut ties = Ties {
            model,
            keys: Vec::new(),
            key_ids: HashMap::new(),
            restricted: HashMap::new(),
            followed: HashMap::new(),
            null_side: HashSet::new(),
        };
        ties.collect_keys();
        for block in (0..model.blocks.len()).map(BlockId) {
            ties.block(block);
        }
        ties
    }

    /// The number of a reference's key column among `keys`, if the column is one.
    pub(super) fn key_named(&self, id: RefId, column: &str) -> Option<u8> {
        let mut own = self.key_ids.iter().filter(|((of, _), _)| *of == id).map(|(_, key)| *key);
        own.find(|key| self.keys[usize::from(*key)].column().eq_ignore_ascii_case(column))
    }

    fn collect_keys(&mut self) {
        for (id, found) in self.model.refs.iter().enumerate() {
            let Source::Table(table, Some(info)) = found.source else { continue };
            for (level, name) in self.model.key_names(table).iter().enumerate() {
                let Some((_, column)) = info.column(name) else { continue };
                let Ok(kind) = column.key_kind() else { continue };
                let label = format!("{}.{}", found.label, name).into();
                self.key_ids.insert((RefId(id), level as u8), self.keys.len() as u8);
                self.keys.push(KeyColumn { label, level: level as u8, kind, nullable: column.nullable });
            }
        }
    }

    /// The family of a reference to a sharded table.
    pub(super) fn family(&self, id: RefId) -> Option<FamilyId> {
        let Source::Table(table, _) = self.model.refs[id.0].source else { return None };
        match self.model.tables[usize::from(table)].place {
            Place::Sharded(family) => Some(family),
            Place::Broadcast | Place::Single(_) | Place::System => None,
        }
    }

    /// The number in `keys` and the level of a column, if it is a sharding key.
    pub(super) fn key_of(&self, column: &Column) -> Option<(u8, u8)> {
        let Source::Table(table, _) = self.model.refs[column.of.0].source else { return None };
        let names = self.model.key_names(table);
        let level = names.iter().position(|name| name.eq_ignore_ascii_case(&column.name))? as u8;
        Some((*self.key_ids.get(&(column.of, level))?, level))
    }

    /// Whether each row of `follower` that matters has, on all levels, the key of one of `leader` that matters.
    pub(super) fn follows(&self, follower: RefId, leader: RefId) -> bool {
        let Some(family) = self.family(follower) else { return false };
        let levels = self.model.levels(family);
        self.followed.get(&(follower, leader)).is_some_and(|tied| tied.count_ones() as usize == levels)
    }

    fn block(&mut self, block: BlockId) {
        let model = self.model;
        let found = &model.blocks[block.0];
        let all: HashSet<RefId> = found.from.iter().copied().collect();
        let mut rejected = HashSet::new();
        if let Some(filter) = found.filter {
            self.rejects(filter, block, &mut rejected);
            self.condition(filter, block, &all);
        }
        for tree in &found.trees {
            self.tree(tree, block, &rejected);
        }
    }

    /// Walks a join tree; `rejected` are references of which a row filled with NULL cannot survive.
    fn tree(&mut self, tree: &'a TableRef, block: BlockId, rejected: &HashSet<RefId>) {
        let (left, right, kind, natural, on, using) = match tree {
            TableRef::Join { left, right, kind, natural, on, using } => (left, right, kind, natural, on, using),
            TableRef::Nested(trees) => return trees.iter().for_each(|tree| self.tree(tree, block, rejected)),
            TableRef::Table { .. } | TableRef::Derived { .. } | TableRef::Function { .. } => return,
        };
        let (on_left, on_right) = (self.leaves(left), self.leaves(right));
        let kind = match kind {
            JoinKind::Left if !on_right.is_disjoint(rejected) => JoinKind::Inner,
            JoinKind::Right if !on_left.is_disjoint(rejected) => JoinKind::Inner,
            other => *other,
        };
        let domain: HashSet<RefId> = match kind {
            JoinKind::Inner | JoinKind::Straight => on_left.union(&on_right).copied().collect(),
            JoinKind::Left => on_right.clone(),
            JoinKind::Right => on_left.clone(),
        };
        match kind {
            JoinKind::Left => self.null_side.extend(&on_right),
            JoinKind::Right => self.null_side.extend(&on_left),
            JoinKind::Inner | JoinKind::Straight => {}
        }
        let mut below = rejected.clone();
        if let Some(on) = on {
            self.condition(on, block, &domain);
            self.rejects(on, block, &mut below);
        }
        if !has_right_join(left) && !has_right_join(right) {
            self.shared_columns(&on_left, &on_right, *natural, using, &domain);
        }
        let preserved_left = kind == JoinKind::Left;
        let preserved_right = kind == JoinKind::Right;
        self.tree(left, block, if preserved_left { rejected } else { &below });
        self.tree(right, block, if preserved_right { rejected } else { &below });
    }

    /// The references below a tree.
    fn leaves(&self, tree: &TableRef) -> HashSet<RefId> {
        match tree {
            TableRef::Join { left, right, .. } => self.leaves(left).union(&self.leaves(right)).copied().collect(),
            TableRef::Nested(trees) => trees.iter().flat_map(|tree| self.leaves(tree)).collect(),
            TableRef::Table { .. } | TableRef::Derived { .. } | TableRef::Function { .. } => {
                self.model.ref_of(tree).into_iter().collect()
            }
        }
    }

    /// Ties by USING and NATURAL, where one reference on each side has the column.
    fn shared_columns(
        &mut self,
        left: &HashSet<RefId>,
        right: &HashSet<RefId>,
        natural: bool,
        using: &[crate::sql::ast::Ident],
        domain: &HashSet<RefId>,
    ) {
        let mut names: Vec<String> = using.iter().map(|name| name.name.to_ascii_lowercase()).collect();
        if natural {
            let mut all = left.iter().chain(right);
            if all.any(|id| self.model.has_column(*id, "").is_none()) {
                return;
            }
            names.extend(self.keys.iter().map(|key| key.column().to_ascii_lowercase()));
            names.sort();
            names.dedup();
        }
        for name in names {
            // Of several that were joined by the same name, the leftmost gives the column, unless a RIGHT JOIN does.
            let having = |side: &HashSet<RefId>| -> Option<RefId> {
                let known = side.iter().all(|id| self.model.has_column(*id, &name).is_some());
                let with = side.iter().filter(|id| self.model.has_column(**id, &name) == Some(true));
                if known { with.min().copied() } else { None }
            };
            if let (Some(left), Some(right)) = (having(left), having(right)) {
                let left = Column { of: left, name: name.clone() };
                self.tie(&left, &Column { of: right, name }, domain);
            }
        }
    }

    /// Adds the references of which a row filled with NULL makes this condition not true.
    fn rejects(&self, condition: &Expr, block: BlockId, found: &mut HashSet<RefId>) {
        let mut column = |expr: &Expr| {
            let members = match strip(expr) {
                Expr::Tuple(members, _) => members.iter().collect(),
                other => vec![other],
            };
            for member in members {
                found.extend(self.model.column(block, member).map(|column| column.of));
            }
        };
        match strip(condition) {
            Expr::Binary { op: BinaryOp::And, left, right, .. } => {
                self.rejects(left, block, found);
                self.rejects(right, block, found);
            }
            Expr::Binary { op, left, right, .. } if is_comparison(*op) => {
                // A tuple comparison can be decided by its other members, `=` alone needs them all.
                let tuples = matches!(strip(left), Expr::Tuple(..)) || matches!(strip(right), Expr::Tuple(..));
                if *op == BinaryOp::Eq || !tuples {
                    column(left);
                    column(right);
                }
            }
            Expr::Between { expr, negated: false, .. }
            | Expr::InList { expr, negated: false, .. }
            | Expr::InSubquery { expr, negated: false, .. }
            | Expr::Is { expr, what: Keyword::Null, negated: true, .. } => column(expr),
            _ => {}
        }
    }

    /// Takes a condition that every combination of rows of `domain` must meet.
    fn condition(&mut self, condition: &'a Expr, block: BlockId, domain: &HashSet<RefId>) {
        match strip(condition) {
            Expr::Binary { op: BinaryOp::And, left, right, .. } => {
                self.condition(left, block, domain);
                self.condition(right, block, domain);
                return;
            }
            Expr::Binary { op: BinaryOp::Eq, left, right, .. } => self.equal(left, right, block, domain),
            Expr::InSubquery { negated: false, expr, query, .. } => self.semi_join(expr, query, block, domain),
            _ => {}
        }
        let sharded: Vec<RefId> =
            (0..self.model.refs.len()).map(RefId).filter(|id| self.family(*id).is_some()).collect();
        for id in sharded {
            let view = View { ties: self, block, domain, of: id };
            let restriction = view.restrict(condition, false);
            if restriction != Condition::All {
                self.restricted.entry(id).or_default().push(restriction);
            }
        }
    }

    fn equal(&mut self, left: &'a Expr, right: &'a Expr, block: BlockId, domain: &HashSet<RefId>) {
        match (strip(left), strip(right)) {
            (Expr::Tuple(left, _), Expr::Tuple(right, _)) if left.len() == right.len() => {
                left.iter().zip(right).for_each(|(left, right)| self.equal(left, right, block, domain));
            }
            (left, right) => {
                if let (Some(left), Some(right)) = (self.model.column(block, left), self.model.column(block, right)) {
                    self.tie(&left, &right, domain);
                }
            }
        }
    }

    /// `a.key IN (SELECT b.key ...)` as a condition: true only if the keys are equal.
    fn semi_join(&mut self, expr: &'a Expr, query: &crate::sql::ast::Query, block: BlockId, domain: &HashSet<RefId>) {
        let Some(query) = self.model.query_of(query) else { return };
        let members: Vec<&Expr> = match strip(expr) {
            Expr::Tuple(members, _) => members.iter().collect(),
            other => vec![other],
        };
        for (index, member) in members.iter().enumerate() {
            let Some(outer) = self.model.column(block, member) else { continue };
            let inner = self.trace_output(query, index);
            self.tie_bases(&self.trace(&outer), domain.contains(&outer.of), &inner, true);
        }
    }

    /// Notes that two columns are equal wherever rows of `domain` matter.
    fn tie(&mut self, left: &Column, right: &Column, domain: &HashSet<RefId>) {
        let (bases_left, bases_right) = (self.trace(left), self.trace(right));
        self.tie_bases(&bases_left, domain.contains(&left.of), &bases_right, domain.contains(&right.of));
    }

    fn tie_bases(&mut self, left: &[Column], left_follows: bool, right: &[Column], right_follows: bool) {
        for a in left {
            for b in right {
                let (Some((key_a, level_a)), Some((key_b, level_b))) = (self.key_of(a), self.key_of(b)) else {
                    continue;
                };
                let comparable = self.keys[usize::from(key_a)].kind.joins(&self.keys[usize::from(key_b)].kind);
                if level_a != level_b || a.of == b.of || self.family(a.of) != self.family(b.of) || !comparable {
                    continue;
                }
                // A column that several branches of a UNION give is equal to that of one of them only.
                if left_follows && right.len() == 1 {
                    *self.followed.entry((a.of, b.of)).or_default() |= 1 << level_a;
                }
                if right_follows && left.len() == 1 {
                    *self.followed.entry((b.of, a.of)).or_default() |= 1 << level_a;
                }
            }
        }
    }

    /// The columns of tables that a column stands for, such that a condition on it is one on each of them.
    pub(super) fn trace(&self, column: &Column) -> Vec<Column> {
        match self.model.refs[column.of.0].source {
            Source::Table(..) => vec![column.clone()],
            Source::Opaque => Vec::new(),
            Source::Query(query) => {
                let Some(outputs) = self.model.outputs(query) else { return Vec::new() };
                let mut positions = (0..outputs.len()).filter(|position| outputs[*position].name == column.name);
                match (positions.next(), positions.next()) {
                    (Some(position), None) => self.trace_output(query, position),
                    _ => Vec::new(),
                }
            }
        }
    }

    /// The same for an output column of a query expression. Empty if restricting it would change what the other rows
    /// of the query are: behind LIMIT, a window function or an aggregate, or if it is referred to twice.
    fn trace_output(&self, query: QueryId, position: usize) -> Vec<Column> {
        let node = &self.model.queries[query.0];
        if node.uses > 1 || node.recursive || node.ast.limit.is_some() {
            return Vec::new();
        }
        self.trace_body(&node.body, position).unwrap_or_default()
    }

    fn trace_body(&self, body: &BodyNode, position: usize) -> Option<Vec<Column>> {
        match body {
            BodyNode::Block(block) => {
                let found = &self.model.blocks[block.0];
                let outputs = self.model.block_outputs(*block)?;
                let column = outputs.get(position)?.column.clone()?;
                let own = self.model.refs[column.of.0].block == *block;
                if found.windows || !own || !self.keeps_groups(*block, &column) {
                    return None;
                }
                let traced = self.trace(&column);
                (!traced.is_empty()).then_some(traced)
            }
            BodyNode::Set(sides) => {
                let mut both = self.trace_body(&sides[0], position)?;
                both.extend(self.trace_body(&sides[1], position)?);
                Some(both)
            }
            BodyNode::Nested(query) => {
                let traced = self.trace_output(*query, position);
                (!traced.is_empty()).then_some(traced)
            }
            BodyNode::Values | BodyNode::Pending => None,
        }
    }

    /// Whether rows with one value of `column` never meet those with another in a group of the block.
    fn keeps_groups(&self, block: BlockId, column: &Column) -> bool {
        let found = &self.model.blocks[block.0];
        let Some(select) = found.select else { return true };
        let grouped = !select.group_by.is_empty();
        let keyed = select.group_by.iter().any(|key| self.model.group_column(block, key).as_ref() == Some(column));
        !select.rollup && (if grouped { keyed } else { !found.aggregated })
    }

    /// The outputs of a block that are, or stand for, columns of tables.
    pub(super) fn traced_outputs(&self, block: BlockId) -> Vec<Vec<Column>> {
        let outputs: Vec<Output<'_>> = self.model.block_outputs(block).unwrap_or_default();
        outputs.iter().map(|output| output.column.as_ref().map_or(Vec::new(), |column| self.trace(column))).collect()
    }
}

/// Whether a RIGHT JOIN stands in a tree.
fn has_right_join(tree: &TableRef) -> bool {
    match tree {
        TableRef::Join { left, right, kind, .. } => {
            *kind == JoinKind::Right || has_right_join(left) || has_right_join(right)
        }
        TableRef::Nested(trees) => trees.iter().any(has_right_join),
        TableRef::Table { .. } | TableRef::Derived { .. } | TableRef::Function { .. } => false,
    }
}

/// One reference, seen from a condition in a block.
struct View<'v, 'm, 'a> {
    ties: &'v Ties<'m, 'a>,
    block: BlockId,
    domain: &'v HashSet<RefId>,
    of: RefId,
}

impl View<'_, '_, '_> {
    /// What `condition` (or, `negated`, its being false) says of the key of the reference.
    fn restrict(&self, condition: &Expr, negated: bool) -> Condition {
        match strip(condition) {
            Expr::Keyword(Keyword::False | Keyword::Null, _) if !negated && self.domain.contains(&self.of) => {
                Condition::None
            }
            Expr::Unary { op: UnaryOp::Not, expr, .. } => self.restrict(expr, !negated),
            Expr::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), left, right, .. } => {
                let both = [self.restrict(left, negated), self.restrict(right, negated)];
                if (*op == BinaryOp::And) != negated { Condition::all_of(both) } else { Condition::any_of(both) }
            }
            Expr::Binary { op, left, right, .. } => self.compare(*op, left, right, negated),
            Expr::Between { expr, low, high, negated: not, .. } => {
                let (Some(key), Some(low), Some(high)) = (self.key(expr), slot(low), slot(high)) else {
                    return Condition::All;
                };
                if negated == *not {
                    Condition::Range { key, low: Some((low, true)), high: Some((high, true)) }
                } else {
                    let below = Condition::Range { key, low: None, high: Some((low, false)) };
                    let above = Condition::Range { key, low: Some((high, false)), high: None };
                    Condition::any_of([below, above])
                }
            }
            Expr::InList { expr, list, negated: not, .. } if negated == *not => self.in_list(expr, list),
            _ => Condition::All,
        }
    }

    fn compare(&self, op: BinaryOp, left: &Expr, right: &Expr, negated: bool) -> Condition {
        if let (Expr::Tuple(left, _), Expr::Tuple(right, _)) = (strip(left), strip(right)) {
            let equal = op == BinaryOp::Eq && !negated && left.len() == right.len();
            let pairs = left.iter().zip(right).map(|(left, right)| self.compare(op, left, right, false));
            return if equal { Condition::all_of(pairs) } else { Condition::All };
        }
        let (key, value, op) = match (self.key(left), slot(right), self.key(right), slot(left)) {
            (Some(key), Some(value), ..) => (key, value, op),
            (_, _, Some(key), Some(value)) => (key, value, mirrored(op)),
            _ => return Condition::All,
        };
        let op = if negated { opposite(op) } else { op };
        let range = |low, high| Condition::Range { key, low, high };
        match op {
            BinaryOp::Eq => Condition::Eq { key, value },
            // `key <=> NULL` is true of rows that no rule placed.
            BinaryOp::NullSafeEq if !negated && value != Slot::Null => Condition::NullSafeEq { key, value },
            BinaryOp::Lt => range(None, Some((value, false))),
            BinaryOp::Le => range(None, Some((value, true))),
            BinaryOp::Gt => range(Some((value, false)), None),
            BinaryOp::Ge => range(Some((value, true)), None),
            _ => Condition::All,
        }
    }

    fn in_list(&self, expr: &Expr, list: &[Expr]) -> Condition {
        if let Expr::Tuple(members, _) = strip(expr) {
            return Condition::any_of(list.iter().map(|row| match strip(row) {
                Expr::Tuple(values, _) if values.len() == members.len() => {
                    let pairs = members.iter().zip(values);
                    Condition::all_of(pairs.map(|(left, right)| self.compare(BinaryOp::Eq, left, right, false)))
                }
                _ => Condition::All,
            }));
        }
        let values: Option<Vec<Slot>> = list.iter().map(slot).collect();
        match (self.key(expr), values) {
            (Some(key), Some(values)) => Condition::In { key, values: values.into() },
            _ => Condition::All,
        }
    }

    /// The number of the key column that an expression is, if the condition restricts the reference through it.
    fn key(&self, expr: &Expr) -> Option<u8> {
        let column = self.ties.model.column(self.block, expr)?;
        if !self.domain.contains(&column.of) {
            return None;
        }
        let traced = self.ties.trace(&column);
        traced.iter().filter(|base| base.of == self.of).find_map(|base| self.ties.key_of(base)).map(|(key, _)| key)
    }
}

/// The slot of an expression that is a single literal or parameter, with or without a sign.
pub(super) fn slot(expr: &Expr) -> Option<Slot> {
    match strip(expr) {
        Expr::Literal { index, .. } => Some(Slot::Literal { index: *index, negative: false }),
        Expr::Param { index, .. } => Some(Slot::Param { index: *index, negative: false }),
        Expr::Keyword(Keyword::Null, _) => Some(Slot::Null),
        Expr::Keyword(Keyword::True, _) => Some(Slot::Bool(true)),
        Expr::Keyword(Keyword::False, _) => Some(Slot::Bool(false)),
        Expr::Unary { op: UnaryOp::Minus, expr, .. } => match strip(expr) {
            Expr::Literal { index, .. } => Some(Slot::Literal { index: *index, negative: true }),
            Expr::Param { index, .. } => Some(Slot::Param { index: *index, negative: true }),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an operator compares, NULL giving NULL.
pub(super) fn is_comparison(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge)
}

/// The operator that gives the same when its operands change places.
fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::Le => BinaryOp::Ge,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::Ge => BinaryOp::Le,
        other => other,
    }
}

/// The operator that is true where this one is false; for others one that says nothing.
fn opposite(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Ne => BinaryOp::Eq,
        BinaryOp::Lt => BinaryOp::Ge,
        BinaryOp::Le => BinaryOp::Gt,
        BinaryOp::Gt => BinaryOp::Le,
        BinaryOp::Ge => BinaryOp::Lt,
        _ => BinaryOp::Other,
    }
}
