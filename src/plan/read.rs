//! A SELECT that needs several shards: whether their rows can be merged into what one server would answer, and how.
//! It is given that every shard can do its part alone, and decides about ORDER BY, DISTINCT and LIMIT.

use crate::error::SqlError;
use crate::plan::fold::Folding;
use crate::plan::keys::{Hidden, Source, Subject};
use crate::plan::locality::{Locality, Root};
use crate::plan::merge::{Combine, Merge, SortKey};
use crate::plan::resolve::{BodyNode, Model, QueryId, several};
use crate::plan::select::{Meaning, Merging, Reading};
use crate::plan::text::{Composer, Part, quote};
use crate::plan::types::Class;
use crate::sql::ast::{Expr, Span};

/// Plans the merge of a query.
///
/// # Errors
/// 1235 with the reason and the place where the answer could differ from one server's.
pub(super) fn merge(
    model: &Model<'_>,
    locality: &Locality<'_, '_, '_>,
    query: QueryId,
    composer: &Composer<'_>,
) -> Result<Merging, SqlError> {
    let node = &model.queries[query.0];
    let refuse = |what: &str, span: Span| Err(several(model.sql, what, span));
    if let Some(obstacle) = model.obstacles.first() {
        return refuse(obstacle.what, Span { start: obstacle.at, end: obstacle.at });
    }
    // MySQL takes a name in ORDER BY for the select item over a column of that name, even where WITH gave the column
    // another name and its name to another column.
    if model.queries.iter().any(|named| !named.names.is_empty())
        && let Some(first) = node.ast.order_by.first()
    {
        return refuse("ORDER BY where WITH lists names of columns", first.span);
    }
    let block = match &node.body {
        BodyNode::Block(block) => *block,
        BodyNode::Nested(inner) => {
            let bare = node.ast.order_by.is_empty() && node.ast.limit.is_none() && node.ast.locking.is_none();
            return if bare {
                merge(model, locality, *inner, composer)
            } else {
                refuse("a nested query", node.ast.span)
            };
        }
        BodyNode::Set(..) => return refuse("a set operation", node.ast.span),
        BodyNode::Values | BodyNode::Pending => return refuse("VALUES", node.ast.span),
    };
    let Some(select) = model.blocks[block.0].select else { return refuse("TABLE", node.ast.span) };
    if model.blocks[block.0].windows {
        return refuse("a window function", select.span);
    }
    if select.rollup {
        return refuse("WITH ROLLUP", select.group_span.unwrap_or(select.span));
    }
    locality.partition(block)?;
    Reading { model, locality, block, select, query: node.ast }.merge(composer)
}

impl Reading<'_, '_, '_> {
    fn merge(&self, composer: &Composer<'_>) -> Result<Merging, SqlError> {
        let grouped = self.model.blocks[self.block.0].aggregated || !self.select.group_by.is_empty();
        let root = self.locality.roots.first();
        if grouped && !root.is_some_and(|root| self.locality.groups_by_key(self.block, root)) {
            return Folding::of(self, composer)?.merge();
        }
        self.rows(composer, root)
    }

    /// Rows (or groups that are whole on one shard) that only have to be put together.
    fn rows(&self, composer: &Composer<'_>, root: Option<&Root>) -> Result<Merging, SqlError> {
        let mut pins = Vec::new();
        let mut hidden = Hidden::new(composer);
        let mut edits = Vec::new();
        let mut order = Vec::new();
        let mut covered = Vec::new();
        let mut outside = false;
        for item in &self.query.order_by {
            let Some(meaning) = self.order_item(&item.expr, &mut pins)? else { continue };
            let subject = self.subject(meaning);
            outside |= subject.item.is_none() && !self.shows(meaning.expr);
            order.push(hidden.key(&subject, item.desc, self.model.sql, item.span.start)?);
            covered.extend(subject.item);
        }
        if let (Some(span), true) = (self.select.distinct, outside) {
            return Err(several(self.model.sql, "DISTINCT with ORDER BY of something else", span));
        }
        // To DISTINCT, `'a'` and `'a '` are one under PAD SPACE; beside their weights, which differ, a target gives both.
        let doubled = |order: &[SortKey]| self.select.distinct.is_some() && order.iter().any(|key| key.pad.is_some());
        let apart = root.is_some_and(|root| self.shows_key(root)) && !doubled(&order);
        let combine = match self.select.distinct.filter(|_| !apart) {
            None => Combine::None,
            Some(_) => {
                let rest = self.distinct_keys(&covered, &mut hidden)?;
                edits.extend(self.order_edit(rest.iter().map(|(position, _)| Part::Fixed(position.as_str().into()))));
                order.extend(rest.into_iter().map(|(_, key)| key));
                Combine::Distinct(order.clone().into())
            }
        };
        let limit = self.limit(!doubled(&order))?;
        edits.extend(limit.edit);
        let merge = Merge {
            hidden: hidden.len(),
            order: order.into(),
            combine,
            having: None,
            sort: Box::default(),
            windowed: limit.slots.is_some(),
        };
        let text = self.text(composer, hidden, edits)?;
        Ok(Merging { merge, text, limit: limit.slots, pins })
    }

    /// Whether the key of the root is among the columns shown.
    fn shows_key(&self, root: &Root) -> bool {
        self.locality.shows_key(self.block, root)
    }

    /// Whether a column is among the columns shown, behind a star perhaps.
    fn shows(&self, expr: &Expr) -> bool {
        let Some(column) = self.model.column(self.block, expr) else { return false };
        let outputs = self.model.block_outputs(self.block).unwrap_or_default();
        outputs.iter().any(|output| output.column.as_ref() == Some(&column))
    }

    /// The keys of all columns shown but those of the items in `covered`, each with its position.
    fn distinct_keys(&self, covered: &[u16], hidden: &mut Hidden<'_, '_>) -> Result<Vec<(String, SortKey)>, SqlError> {
        let Some(outputs) = self.model.block_outputs(self.block) else {
            return Err(several(self.model.sql, "DISTINCT *", self.select.items_span));
        };
        let mut keys = Vec::new();
        for (index, output) in outputs.iter().enumerate() {
            if covered.contains(&(index as u16)) {
                continue;
            }
            let item = Some(index as u16);
            let subject = match (output.expr, &output.column) {
                (Some(expr), _) => self.subject(Meaning { item, expr }),
                (None, Some(column)) => {
                    let label = self.model.refs[column.of.0].label;
                    let mut name = Vec::new();
                    quote(label.as_bytes(), &mut name);
                    name.push(b'.');
                    quote(column.name.as_bytes(), &mut name);
                    let text = Source::Name(String::from_utf8_lossy(&name).into_owned());
                    Subject { class: self.model.column_class(column), item, text, in_group: false }
                }
                (None, None) => return Err(several(self.model.sql, "DISTINCT", self.select.items_span)),
            };
            // MariaDB sends BIT as bytes or, through the temporary table of a sort, as a number.
            if subject.class == Class::Bits {
                return Err(several(self.model.sql, "DISTINCT of BIT", self.select.items_span));
            }
            let key = hidden.key(&subject, false, self.model.sql, self.select.items_span.start)?;
            keys.push(((index + 1).to_string(), key));
        }
        Ok(keys)
    }
}
