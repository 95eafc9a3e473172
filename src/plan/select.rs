//! The SELECT that is to be merged, with the questions that every kind of merge asks it: what an item of ORDER BY means,
//! what its values are compared by, and which edits its clauses need.

use crate::error::SqlError;
use crate::plan::LimitSlots;
use crate::plan::keys::{Hidden, Source, Subject};
use crate::plan::locality::Locality;
use crate::plan::merge::{Cell, Merge};
use crate::plan::parts::{columns_of, is_random, parts, strip};
use crate::plan::resolve::{BlockId, Model, several};
use crate::plan::same::same;
use crate::plan::text::{Composer, Part, Text};
use crate::plan::ties::slot;
use crate::sql::ast::{Expr, LiteralKind, Query, Select, SelectItem, Span};

/// How the rows of several shards are merged.
pub(super) struct Merging {
    /// The operators.
    pub(super) merge: Merge,
    /// The text for each target.
    pub(super) text: Text,
    /// OFFSET and LIMIT.
    pub(super) limit: Option<LimitSlots>,
    /// Literals whose value the merge was made for.
    pub(super) pins: Vec<u32>,
}

/// Everything that is known of the SELECT to be merged.
pub(super) struct Reading<'r, 'm, 'a> {
    /// Its names.
    pub(super) model: &'m Model<'a>,
    /// Where its rows are.
    pub(super) locality: &'r Locality<'r, 'm, 'a>,
    /// Its block.
    pub(super) block: BlockId,
    /// Its tree.
    pub(super) select: &'a Select,
    /// The query around it.
    pub(super) query: &'a Query,
}

impl<'a> Reading<'_, '_, 'a> {
    /// What an item of ORDER BY sorts by: a select item or an expression; none if it is the same for all rows.
    ///
    /// # Errors
    /// 1235 for an item whose meaning is not certain.
    pub(super) fn order_item(&self, expr: &'a Expr, pins: &mut Vec<u32>) -> Result<Option<Meaning<'a>>, SqlError> {
        if let Some(position) = self.model.item_at(self.select, expr) {
            return Ok(self.item(position));
        }
        let refuse = |what: &str| Err(several(self.model.sql, what, expr.span()));
        match strip(expr) {
            Expr::Literal { kind: LiteralKind::Integer, .. } => {
                return refuse("ORDER BY the position of a column that `*` stands for");
            }
            Expr::Column { table: None, name, .. } => {
                let mut named = self.model.items_named(self.select, &name.name);
                named.dedup_by(|one, other| self.same_items(*one, *other));
                let starred = self.star_has(&name.name);
                match (named.as_slice(), starred) {
                    ([], _) => {}
                    ([only], false) => return Ok(self.item(*only)),
                    _ => return refuse("ORDER BY a name that two columns have"),
                }
            }
            _ => {}
        }
        if is_constant(expr) {
            return Ok(None);
        }
        let items = (0..self.select.items.len()).filter(|index| match &self.select.items[*index] {
            SelectItem::Expr { expr: shown, .. } => same(self.model, self.block, shown, expr, pins),
            _ => false,
        });
        if let Some(position) = items.into_iter().next() {
            return Ok(self.item(position));
        }
        if self.names_alias(expr) {
            return refuse("an alias inside of an expression in ORDER BY");
        }
        if has_subquery(expr) {
            return refuse("a subquery in ORDER BY");
        }
        if is_random(expr) {
            return refuse("a random order");
        }
        Ok(Some(Meaning { item: None, expr }))
    }

    /// Whether two select items are the same column.
    fn same_items(&self, one: usize, other: usize) -> bool {
        match (&self.select.items[one], &self.select.items[other]) {
            (SelectItem::Expr { expr: one, .. }, SelectItem::Expr { expr: other, .. }) => {
                let column = self.model.column(self.block, one);
                column.is_some() && column == self.model.column(self.block, other)
            }
            _ => false,
        }
    }

    /// Whether a star among the select items has, or may have, a column of this name.
    fn star_has(&self, name: &str) -> bool {
        let starred = self.select.items.iter().any(|item| !matches!(item, SelectItem::Expr { .. }));
        starred
            && self.model.block_outputs(self.block).is_none_or(|outputs| {
                let mut of_stars = outputs.iter().filter(|output| output.expr.is_none());
                of_stars.any(|output| output.name.eq_ignore_ascii_case(name))
            })
    }

    /// A select item as what is sorted by; behind a star its column number is not certain.
    fn item(&self, position: usize) -> Option<Meaning<'a>> {
        let counted = self.select.items[..position].iter().all(|item| matches!(item, SelectItem::Expr { .. }));
        match &self.select.items[position] {
            SelectItem::Expr { expr, .. } => Some(Meaning { item: counted.then_some(position as u16), expr }),
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => None,
        }
    }

    /// What a meaning is compared by.
    pub(super) fn subject(&self, meaning: Meaning<'a>) -> Subject {
        let keys = self.select.group_by.iter().map(|key| self.model.group_expr(self.block, key));
        // A server may not see that a group has only one value of an expression by which it is grouped.
        let computed = |key: &Expr| self.model.column(self.block, key).is_none();
        let mut computed_keys = keys.filter(|key| computed(key));
        let in_group = computed_keys.any(|key| same(self.model, self.block, key, meaning.expr, &mut Vec::new()));
        Subject {
            class: self.model.class(self.block, meaning.expr),
            item: meaning.item,
            text: Source::Span(meaning.expr.span()),
            in_group,
        }
    }

    /// Whether an unqualified name in an expression is the alias of a select item that is not that very column.
    pub(super) fn names_alias(&self, expr: &Expr) -> bool {
        let mut columns = Vec::new();
        columns_of(expr, &mut columns);
        columns.into_iter().any(|column| self.is_alias_of_another(column))
    }

    /// Whether a bare name is the alias of a select item, and means something else as a column.
    fn is_alias_of_another(&self, column: &Expr) -> bool {
        let Expr::Column { table: None, name, .. } = strip(column) else { return false };
        self.select.items.iter().any(|item| match item {
            SelectItem::Expr { expr, alias: Some(alias), .. } => {
                alias.name.eq_ignore_ascii_case(&name.name)
                    && !same(self.model, self.block, expr, column, &mut Vec::new())
            }
            _ => false,
        })
    }

    /// LIMIT as the client wrote it, and the edit that makes each target give enough rows; `enough`: whether its first
    /// OFFSET + LIMIT rows are.
    ///
    /// # Errors
    /// 1235 for a limit that is neither a literal nor a parameter.
    pub(super) fn limit(&self, enough: bool) -> Result<Limited, SqlError> {
        let Some(limit) = &self.query.limit else { return Ok(Limited::default()) };
        let number =
            |expr: &Expr| slot(expr).ok_or_else(|| several(self.model.sql, "LIMIT of a variable", expr.span()));
        let slots = LimitSlots { count: number(&limit.count)?, offset: limit.offset.as_ref().map(number).transpose()? };
        let edit = match (enough, &limit.offset) {
            (true, None) => None,
            (true, Some(_)) => Some((limit.span, Part::All([Part::Fixed("LIMIT ".into()), Part::Take].into()))),
            (false, _) => Some((limit.span, Part::Fixed("".into()))),
        };
        Ok(Limited { slots: Some(slots), edit })
    }

    /// The edit that appends items to ORDER BY, or makes one.
    pub(super) fn order_edit(&self, items: impl Iterator<Item = Part>) -> Option<(Span, Part)> {
        let mut parts = Vec::new();
        for item in items {
            let comma = if parts.is_empty() && self.query.order_span.is_none() { " ORDER BY " } else { ", " };
            parts.push(Part::Fixed(comma.into()));
            parts.push(item);
        }
        let at = self.query.order_span.map_or_else(|| self.end(), |span| span.end);
        (!parts.is_empty()).then(|| (Span { start: at, end: at }, Part::All(parts.into())))
    }

    /// Where an ORDER BY would stand: behind the last clause of the SELECT.
    pub(super) fn end(&self) -> u32 {
        self.select.span.end
    }

    /// The text for each target.
    ///
    /// # Errors
    /// 1235 if it cannot be put together.
    pub(super) fn text(
        &self,
        composer: &Composer<'_>,
        hidden: Hidden<'_, '_>,
        mut edits: Vec<(Span, Part)>,
    ) -> Result<Text, SqlError> {
        if hidden.len() > 0 {
            let at = self.select.items_span.end;
            edits.insert(0, (Span { start: at, end: at }, hidden.into_part()));
        }
        let moves_params = !edits.is_empty();
        composer.with(edits, moves_params)
    }
}

/// A LIMIT clause.
#[derive(Default)]
pub(super) struct Limited {
    /// Where its numbers stand; none if there is no LIMIT.
    pub(super) slots: Option<LimitSlots>,
    /// What takes its place for each target.
    pub(super) edit: Option<(Span, Part)>,
}

/// What an item of ORDER BY means.
#[derive(Clone, Copy)]
pub(super) struct Meaning<'a> {
    /// The client's column that shows it, if there is one and its number is known.
    pub(super) item: Option<u16>,
    /// Its expression.
    pub(super) expr: &'a Expr,
}

impl Meaning<'_> {
    /// The cell that shows it.
    pub(super) fn cell(self) -> Option<Cell> {
        self.item.map(Cell::Item)
    }
}

/// Whether an expression has the same value for all rows because nothing of a row is in it.
pub(super) fn is_constant(expr: &Expr) -> bool {
    match strip(expr) {
        Expr::Literal { .. } | Expr::Param { .. } | Expr::Keyword(..) => true,
        Expr::Unary { expr, .. } => is_constant(expr),
        _ => false,
    }
}

/// Whether a subquery stands in an expression.
pub(super) fn has_subquery(expr: &Expr) -> bool {
    match expr {
        Expr::Subquery(..) | Expr::Exists(..) | Expr::InSubquery { .. } => true,
        _ => parts(expr).into_iter().any(has_subquery),
    }
}
