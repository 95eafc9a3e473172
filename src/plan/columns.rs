//! Which reference a column comes from, and what columns a reference or a query has. Where names are not certain it says
//! so; it reads no statement.

use crate::plan::parts::strip;
use crate::plan::resolve::{BlockId, BodyNode, Column, Model, QueryId, RefId, Source};
use crate::sql::ast::{Expr, JoinKind, LiteralKind, Select, SelectItem, TableRef};

/// An output column of a query.
#[derive(Clone, Debug)]
pub(super) struct Output<'a> {
    /// Its name in lower case; empty if it is the text of an expression.
    pub(super) name: String,
    /// Its expression, if it is not from a star.
    pub(super) expr: Option<&'a Expr>,
    /// The column that it is, if it is one.
    pub(super) column: Option<Column>,
}

/// What looking for a name gave.
enum Lookup {
    Found(RefId),
    Absent,
    Unsure,
}

impl<'a> Model<'a> {
    /// The reference that a qualifier means, from the inside out.
    pub(super) fn labelled(&self, schema: Option<&str>, table: &str, block: Option<BlockId>) -> Option<RefId> {
        let mut scope = block;
        while let Some(block) = scope {
            let block = &self.blocks[block.0];
            let of_schema = |id: &&RefId| schema.is_none_or(|schema| self.refs[id.0].schema == Some(schema));
            let mut candidates = block.from.iter().filter(of_schema);
            let same_case = candidates.clone().find(|id| self.refs[id.0].label == table);
            // Servers that tell `t` from `T` give an error where only the other one is there.
            let found = same_case.or_else(|| candidates.find(|id| self.refs[id.0].label.eq_ignore_ascii_case(table)));
            if let Some(found) = found {
                return Some(*found);
            }
            scope = block.parent;
        }
        None
    }

    /// The column that an expression is, if it is one and its reference is certain.
    pub(super) fn column(&self, block: BlockId, expr: &Expr) -> Option<Column> {
        let Expr::Column { schema, table, name, .. } = strip(expr) else { return None };
        let lower = name.name.to_ascii_lowercase();
        if let Some(table) = table {
            let schema = schema.as_ref().map(|schema| schema.name.as_str());
            let of = self.labelled(schema, &table.name, Some(block))?;
            return Some(Column { of, name: lower });
        }
        let mut scope = Some(block);
        while let Some(block) = scope {
            match self.unqualified(block, &lower) {
                Lookup::Found(of) => return Some(Column { of, name: lower }),
                Lookup::Unsure => return None,
                Lookup::Absent => scope = self.blocks[block.0].parent,
            }
        }
        None
    }

    /// Which reference of one block has a column of this name.
    fn unqualified(&self, block: BlockId, name: &str) -> Lookup {
        let from = &self.blocks[block.0].from;
        let mut found = None;
        let mut unsure = false;
        for id in from {
            match self.has_column(*id, name) {
                Some(true) if found.is_some() => return self.common(block, name),
                Some(true) => found = Some(*id),
                Some(false) => {}
                None => unsure = true,
            }
        }
        match found {
            Some(id) => Lookup::Found(id),
            None if unsure => match (from.as_slice(), self.blocks[block.0].parent) {
                ([only], None) => Lookup::Found(*only),
                _ => Lookup::Unsure,
            },
            None => Lookup::Absent,
        }
    }

    /// A column that several references have: joined by USING or NATURAL it is that of the leftmost, as long as no
    /// RIGHT JOIN makes it another.
    fn common(&self, block: BlockId, name: &str) -> Lookup {
        let trees = &self.blocks[block.0].trees;
        let (mut shared, mut right) = (false, false);
        let mut todo: Vec<&TableRef> = trees.clone();
        while let Some(tree) = todo.pop() {
            match tree {
                TableRef::Join { left, right: other, kind, natural, using, .. } => {
                    shared |= *natural || using.iter().any(|column| column.name.eq_ignore_ascii_case(name));
                    right |= *kind == JoinKind::Right;
                    todo.extend([&**left, &**other]);
                }
                TableRef::Nested(inner) => todo.extend(inner),
                TableRef::Table { .. } | TableRef::Derived { .. } | TableRef::Function { .. } => {}
            }
        }
        let known = self.blocks[block.0].from.iter().all(|id| self.has_column(*id, name).is_some());
        let first = self.blocks[block.0].from.iter().find(|id| self.has_column(**id, name) == Some(true));
        match first {
            Some(first) if shared && !right && known && trees.len() == 1 => Lookup::Found(*first),
            _ => Lookup::Unsure,
        }
    }

    /// Whether a reference has a column of this name (in lower case); `None` if that is unknown.
    pub(super) fn has_column(&self, id: RefId, name: &str) -> Option<bool> {
        match self.refs[id.0].source {
            Source::Table(_, info) => info.map(|info| info.column(name).is_some()),
            Source::Query(query) => {
                let outputs = self.outputs(query)?;
                // An expression without an alias is named by its text, which is not looked into.
                let unnamed = outputs.iter().any(|output| output.name.is_empty());
                let found = outputs.iter().any(|output| output.name == name);
                if found || !unnamed { Some(found) } else { None }
            }
            Source::Opaque => None,
        }
    }

    /// The output columns of a query expression; `None` if they are not all known.
    pub(super) fn outputs(&self, query: QueryId) -> Option<Vec<Output<'a>>> {
        let node = &self.queries[query.0];
        if node.recursive {
            return None;
        }
        let mut outputs = self.body_outputs(&node.body)?;
        if !node.names.is_empty() {
            if node.names.len() != outputs.len() {
                return None;
            }
            for (output, name) in outputs.iter_mut().zip(node.names) {
                output.name = name.name.to_ascii_lowercase();
            }
        }
        Some(outputs)
    }

    /// The output columns of a body: those of the leftmost SELECT.
    fn body_outputs(&self, body: &BodyNode) -> Option<Vec<Output<'a>>> {
        match body {
            BodyNode::Block(block) => self.block_outputs(*block),
            BodyNode::Set(sides) => self.body_outputs(&sides[0]),
            BodyNode::Nested(query) => self.outputs(*query),
            BodyNode::Values | BodyNode::Pending => None,
        }
    }

    /// The output columns of a block, stars expanded.
    pub(super) fn block_outputs(&self, block: BlockId) -> Option<Vec<Output<'a>>> {
        let found = &self.blocks[block.0];
        let Some(select) = found.select else {
            return found.from.first().and_then(|id| self.ref_columns(*id));
        };
        let mut outputs = Vec::new();
        for item in &select.items {
            match item {
                SelectItem::Wildcard(_) => {
                    if found.trees.iter().any(|tree| shares_columns(tree)) {
                        return None;
                    }
                    for id in &found.from {
                        outputs.extend(self.ref_columns(*id)?);
                    }
                }
                SelectItem::QualifiedWildcard(name, _) => {
                    let schema = name.schema.as_ref().map(|schema| schema.name.as_str());
                    let id = self.labelled(schema, &name.name.name, Some(block))?;
                    outputs.extend(self.ref_columns(id)?);
                }
                SelectItem::Expr { expr, alias, .. } => {
                    let name = match (alias, strip(expr)) {
                        (Some(alias), _) => &alias.name,
                        (None, Expr::Column { name, .. }) => &name.name,
                        (None, _) => "",
                    };
                    let name = name.to_ascii_lowercase();
                    outputs.push(Output { name, expr: Some(expr), column: self.column(block, expr) });
                }
            }
        }
        Some(outputs)
    }

    /// All columns of a reference.
    fn ref_columns(&self, id: RefId) -> Option<Vec<Output<'a>>> {
        let names: Vec<String> = match self.refs[id.0].source {
            Source::Table(_, info) => info?.visible().map(|column| column.name.to_ascii_lowercase()).collect(),
            Source::Query(query) => self.outputs(query)?.into_iter().map(|output| output.name).collect(),
            Source::Opaque => return None,
        };
        let output = |name: String| Output { column: Some(Column { of: id, name: name.clone() }), name, expr: None };
        Some(names.into_iter().map(output).collect())
    }

    /// The select item that an item of GROUP BY or ORDER BY means by its position.
    pub(super) fn item_at(&self, select: &'a Select, expr: &Expr) -> Option<usize> {
        let Expr::Literal { kind: LiteralKind::Integer, span, .. } = strip(expr) else { return None };
        let number: usize = std::str::from_utf8(span.of(self.sql)).ok()?.parse().ok()?;
        let position = number.checked_sub(1)?;
        let items = select.items.get(..=position)?;
        items.iter().all(|item| matches!(item, SelectItem::Expr { .. })).then_some(position)
    }

    /// The select items of this name: an alias, or the column's own name.
    pub(super) fn items_named(&self, select: &'a Select, name: &str) -> Vec<usize> {
        let is_named = |item: &SelectItem| match item {
            SelectItem::Expr { alias: Some(alias), .. } => alias.name.eq_ignore_ascii_case(name),
            SelectItem::Expr { expr, .. } => {
                matches!(strip(expr), Expr::Column { name: own, .. } if own.name.eq_ignore_ascii_case(name))
            }
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => false,
        };
        (0..select.items.len()).filter(|index| is_named(&select.items[*index])).collect()
    }

    /// The expression that an item of GROUP BY means: a select item by position, a column, or a select item by alias,
    /// in this order of preference, as MySQL has it.
    pub(super) fn group_expr(&self, block: BlockId, expr: &'a Expr) -> &'a Expr {
        let Some(select) = self.blocks[block.0].select else { return expr };
        let item = match strip(expr) {
            Expr::Column { table: None, name, .. } => {
                let own = self.unqualified(block, &name.name.to_ascii_lowercase());
                match (own, self.items_named(select, &name.name).as_slice()) {
                    (Lookup::Absent, [only]) => Some(*only),
                    _ => None,
                }
            }
            _ => self.item_at(select, expr),
        };
        match item.map(|index| &select.items[index]) {
            Some(SelectItem::Expr { expr, .. }) => expr,
            _ => expr,
        }
    }

    /// The column that an item of GROUP BY means.
    pub(super) fn group_column(&self, block: BlockId, expr: &'a Expr) -> Option<Column> {
        self.column(block, self.group_expr(block, expr))
    }
}

/// Whether a join of the tree merges columns of equal names, so that `*` has fewer columns than the tables.
fn shares_columns(tree: &TableRef) -> bool {
    match tree {
        TableRef::Join { left, right, natural, using, .. } => {
            *natural || !using.is_empty() || shares_columns(left) || shares_columns(right)
        }
        TableRef::Nested(trees) => trees.iter().any(shares_columns),
        TableRef::Table { .. } | TableRef::Derived { .. } | TableRef::Function { .. } => false,
    }
}
