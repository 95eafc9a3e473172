//! Where a statement's rows have to be together: which references follow which, what is left to be placed, and
//! whether every shard can do its part alone. It knows nothing of aggregates, ORDER BY or LIMIT of the whole.

use std::collections::{BTreeMap, HashSet};

use crate::error::SqlError;
use crate::plan::Place;
use crate::plan::resolve::{BlockId, BodyNode, Column, Model, QueryId, RefId, Source, several};
use crate::plan::route::{By, Condition, Routing};
use crate::plan::ties::Ties;
use crate::rules::{FamilyId, GroupId};
use crate::sql::ast::Span;

/// References that have the same key in every combination of rows: where they are, everything is that follows them.
pub(super) struct Root {
    /// The references.
    pub(super) members: HashSet<RefId>,
    /// Their family.
    pub(super) family: FamilyId,
    /// What is known of their key.
    pub(super) condition: Condition,
}

/// Where the tables of a statement are, as far as its text tells.
pub(super) struct Locality<'t, 'm, 'a> {
    model: &'m Model<'a>,
    ties: &'t Ties<'m, 'a>,
    /// What has to be placed; empty if no table is sharded.
    pub(super) roots: Vec<Root>,
    /// The groups of single tables, each with a reference to one.
    pub(super) singles: BTreeMap<GroupId, Option<RefId>>,
}

impl<'t, 'm, 'a> Locality<'t, 'm, 'a> {
    /// Finds the roots of a statement.
    pub(super) fn of(model: &'m Model<'a>, ties: &'t Ties<'m, 'a>) -> Locality<'t, 'm, 'a> {
        let mut singles = BTreeMap::new();
        for (id, found) in model.refs.iter().enumerate() {
            let Source::Table(table, _) = found.source else { continue };
            match model.tables[usize::from(table)].place {
                Place::Single(group) => singles.insert(group, Some(RefId(id))),
                // Its rows are written into the statement, wherever that runs.
                Place::System if model.relations.iter().any(|read| read.id == Some(RefId(id))) => None,
                Place::System => singles.insert(model.home(), Some(RefId(id))),
                Place::Sharded(_) | Place::Broadcast => None,
            };
        }
        Locality { model, ties, roots: roots(model, ties), singles }
    }

    /// Whether each shard, doing the block with its own rows, gives a part of the block's combinations of rows, such
    /// that all parts together are all of them and no two have one in common.
    ///
    /// # Errors
    /// 1235 with the reason and the place.
    pub(super) fn partition(&self, block: BlockId) -> Result<(), SqlError> {
        if let Some(obstacle) = self.model.unordered_query(None) {
            let at = Span { start: obstacle.at, end: obstacle.at };
            return Err(several(self.model.sql, obstacle.what, at));
        }
        if let Some(Some(single)) = self.singles.values().next() {
            return Err(self.refusal(*single, "the join of a sharded with a single table"));
        }
        let [root] = self.roots.as_slice() else {
            let [first, second, ..] = self.roots.as_slice() else { return Ok(()) };
            let (first, second) = (self.first(first), self.first(second));
            let (one, other) = (self.model.refs[first.0].label, self.model.refs[second.0].label);
            let why = format!("{other} is not tied to {one} by its sharding key: the statement");
            return Err(self.refusal(second, &why));
        };
        if self.provides(block, root) {
            return Ok(());
        }
        let sharded = self.first(root);
        let why = match self.model.refs[sharded.0].block == block {
            true => "an outer join that keeps rows of a table which is not sharded",
            false => "a subquery or aggregate over a sharded table",
        };
        Err(self.refusal(sharded, why))
    }

    /// The reference of a root that stands first in the text.
    fn first(&self, root: &Root) -> RefId {
        root.members.iter().copied().min().unwrap_or(RefId(0))
    }

    fn refusal(&self, at: RefId, what: &str) -> SqlError {
        let place = self.model.refs[at.0].span.start as usize;
        SqlError::refuse_at(&format!("{what} needs rows of several shards:"), self.model.sql, place)
    }

    /// Whether every combination of rows of the block has exactly one row of the root (not one filled with NULL).
    fn provides(&self, block: BlockId, root: &Root) -> bool {
        self.model.blocks[block.0].from.iter().any(|id| {
            !self.ties.null_side.contains(id)
                && match self.model.refs[id.0].source {
                    Source::Table(..) => root.members.contains(id),
                    Source::Query(query) => self.query_provides(query, root),
                    Source::Opaque => false,
                }
        })
    }

    /// Whether every row of a derived table comes from rows of the root with one key.
    fn query_provides(&self, query: QueryId, root: &Root) -> bool {
        let node = &self.model.queries[query.0];
        if node.uses > 1 || node.recursive || node.ast.limit.is_some() {
            return false;
        }
        match &node.body {
            BodyNode::Block(block) => self.keeps_rows(*block, root) && self.provides(*block, root),
            BodyNode::Nested(inner) => self.query_provides(*inner, root),
            BodyNode::Set(..) | BodyNode::Values | BodyNode::Pending => false,
        }
    }

    /// Whether the block never puts rows with different keys of the root together.
    pub(super) fn keeps_rows(&self, block: BlockId, root: &Root) -> bool {
        let found = &self.model.blocks[block.0];
        let Some(select) = found.select else { return true };
        let grouped = found.aggregated || !select.group_by.is_empty();
        !found.windows
            && !select.rollup
            && (!grouped || self.groups_by_key(block, root))
            && (select.distinct.is_none() || self.shows_key(block, root))
    }

    /// Whether GROUP BY of the block holds the whole key of the root.
    pub(super) fn groups_by_key(&self, block: BlockId, root: &Root) -> bool {
        let Some(select) = self.model.blocks[block.0].select else { return false };
        let columns = select.group_by.iter().filter_map(|key| self.model.group_column(block, key));
        self.holds_key(columns.flat_map(|column| self.ties.trace(&column)), root)
    }

    /// Whether the output of the block holds the whole key of the root.
    pub(super) fn shows_key(&self, block: BlockId, root: &Root) -> bool {
        self.holds_key(self.ties.traced_outputs(block).into_iter().flatten(), root)
    }

    /// Whether some columns make up the whole key of a member of the root.
    pub(super) fn holds_key(&self, columns: impl Iterator<Item = Column>, root: &Root) -> bool {
        let mut levels: BTreeMap<RefId, u8> = BTreeMap::new();
        for column in columns {
            if let (true, Some((_, level))) = (root.members.contains(&column.of), self.ties.key_of(&column)) {
                *levels.entry(column.of).or_default() |= 1 << level;
            }
        }
        levels.values().any(|found| found.count_ones() as usize == self.model.levels(root.family))
    }
}

/// How the conditions of a statement choose shards; none if it has no sharded table.
///
/// # Errors
/// 1235 if tables of several families are to be placed, or single tables of several groups.
pub(super) fn routing(
    model: &Model<'_>,
    ties: &Ties<'_, '_>,
    locality: &Locality<'_, '_, '_>,
) -> Result<Option<Routing>, SqlError> {
    let Some(first) = locality.roots.first() else { return Ok(None) };
    if let Some(other) = locality.roots.iter().find(|root| root.family != first.family) {
        let at = other.members.iter().min().map_or(0, |id| model.refs[id.0].span.start);
        return Err(several(model.sql, "a statement over tables of two families", Span { start: at, end: at }));
    }
    let group = single_group(model, locality)?;
    let conditions: Vec<Condition> = locality.roots.iter().map(|root| root.condition.clone()).collect();
    Ok(Some(Routing {
        family: first.family,
        keys: ties.keys.clone().into(),
        by: By::Conditions(conditions.into()),
        group,
        shard: None,
        assigned: Box::default(),
        numbered: Box::default(),
    }))
}

/// The group of all single tables, if there are any.
///
/// # Errors
/// 1235 if they are on several groups.
pub(super) fn single_group(model: &Model<'_>, locality: &Locality<'_, '_, '_>) -> Result<Option<GroupId>, SqlError> {
    let mut singles = locality.singles.iter();
    let first = singles.next().map(|(group, _)| *group);
    match singles.next() {
        Some((_, at)) => {
            let at = at.map_or(0, |id| model.refs[id.0].span.start as usize);
            Err(SqlError::refuse_at("tables of several groups in one statement are not supported:", model.sql, at))
        }
        None => Ok(first),
    }
}

/// The sets of sharded references that follow nothing but each other.
fn roots(model: &Model<'_>, ties: &Ties<'_, '_>) -> Vec<Root> {
    let sharded: Vec<RefId> = (0..model.refs.len()).map(RefId).filter(|id| ties.family(*id).is_some()).collect();
    let reached: Vec<HashSet<RefId>> = sharded.iter().map(|id| reached(*id, &sharded, ties)).collect();
    let mut placed: HashSet<RefId> = HashSet::new();
    let mut roots = Vec::new();
    for (id, leaders) in sharded.iter().zip(&reached) {
        let mutual = |leader: &RefId| {
            sharded.iter().position(|other| other == leader).is_some_and(|index| reached[index].contains(id))
        };
        if placed.contains(id) || !leaders.iter().all(|leader| leader == id || mutual(leader)) {
            continue;
        }
        let mut members = leaders.clone();
        members.insert(*id);
        placed.extend(&members);
        let mut ordered: Vec<RefId> = members.iter().copied().collect();
        ordered.sort();
        let known = ordered.iter().filter_map(|member| ties.restricted.get(member)).flatten().cloned();
        let condition = Condition::all_of(known);
        if let Some(family) = ties.family(*id) {
            roots.push(Root { members, family, condition });
        }
    }
    roots
}

/// Everything that a reference follows, directly or not.
pub(super) fn reached(from: RefId, sharded: &[RefId], ties: &Ties<'_, '_>) -> HashSet<RefId> {
    let mut found = HashSet::new();
    let mut todo = vec![from];
    while let Some(next) = todo.pop() {
        for leader in sharded {
            if ties.follows(next, *leader) && found.insert(*leader) {
                todo.push(*leader);
            }
        }
    }
    found
}
