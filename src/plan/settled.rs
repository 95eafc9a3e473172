//! Whether a query has the same rows however it is run: nothing in it hangs on chance, or on the order in which rows
//! are read. Where that is not certain it says no.

use crate::plan::functions::{Nature, nature};
use crate::plan::parts::{parts, strip};
use crate::plan::resolve::{BlockId, BodyNode, Column, Model, QueryId, RefId, Source};
use crate::rules::catalog::ColumnType;
use crate::sql::ast::{BinaryOp, Body, Expr, Function, LiteralKind, Query, Select, SelectItem, Span, UnaryOp};
use crate::sql::walk::{self, Node};

/// Whether a query has the same rows each time that it is run over the same tables.
pub(super) fn is_settled(model: &Model<'_>, query: QueryId) -> bool {
    let node = &model.queries[query.0];
    let mut settled = true;
    walk::query(node.ast, &mut |found| {
        settled &= match found {
            Node::Query(query) => is_cut_settled(model, query),
            Node::Expr(Expr::Function(function)) => is_steady(function),
            _ => true,
        };
        settled
    });
    settled
        && node.blocks.clone().map(BlockId).all(|block| is_block_settled(model, block))
        && node.refs.clone().all(|id| match model.refs[id].source {
            Source::Query(inner) => is_settled(model, inner),
            Source::Table(..) | Source::Opaque => true,
        })
}

/// Whether a function gives the same for the same rows, whatever their order.
fn is_steady(function: &Function) -> bool {
    match nature(&function.name) {
        Nature::Aggregate => {
            matches!(&*function.name, "COUNT" | "SUM" | "AVG" | "MIN" | "MAX" | "BIT_AND" | "BIT_OR" | "BIT_XOR")
        }
        Nature::Pure | Nature::Clock | Nature::Schema | Nature::ConnectionId | Nature::Account => true,
        Nature::Random
        | Nature::LastInsertId
        | Nature::FoundRows
        | Nature::RowCount
        | Nature::UserLock
        | Nature::Server
        | Nature::Stored => false,
    }
}

/// Whether LIMIT, if there is one, always leaves the same rows: ORDER BY tells all of them apart.
fn is_cut_settled<'a>(model: &Model<'a>, query: &'a Query) -> bool {
    if query.limit.is_none() {
        return true;
    }
    let Body::Select(select) = &query.body else { return false };
    let Some(block) =
        model.blocks.iter().position(|block| block.select.is_some_and(|own| std::ptr::eq(own, &**select)))
    else {
        return false;
    };
    let block = BlockId(block);
    let sorted: Vec<&Expr> = query.order_by.iter().filter_map(|item| sorted_by(model, select, &item.expr)).collect();
    let grouped = model.blocks[block.0].aggregated || !select.group_by.is_empty();
    match (grouped, select.distinct.is_some()) {
        (false, false) => tells_apart(model, block, &sorted),
        // One row has nothing to be told apart from.
        (true, false) => {
            !select.rollup
                && select.group_by.iter().all(|key| {
                    let key = model.group_column(block, key);
                    key.is_some() && sorted.iter().any(|expr| model.column(block, expr) == key)
                })
        }
        (_, true) => false,
    }
}

/// What an item of ORDER BY means: a select item by position or by name, before a column; none if that is not certain.
fn sorted_by<'a>(model: &Model<'a>, select: &'a Select, expr: &'a Expr) -> Option<&'a Expr> {
    let items = match strip(expr) {
        Expr::Column { table: None, name, .. } => model.items_named(select, &name.name),
        _ => model.item_at(select, expr).into_iter().collect(),
    };
    match items.as_slice() {
        [] => Some(expr),
        [only] => match &select.items[*only] {
            SelectItem::Expr { expr, .. } => Some(expr),
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => None,
        },
        _ => None,
    }
}

/// Whether windows of a block, and columns beside its groups, hang on no order.
fn is_block_settled(model: &Model<'_>, block: BlockId) -> bool {
    let found = &model.blocks[block.0];
    let Some(select) = found.select else { return true };
    let mut exprs: Vec<&Expr> = select.having.iter().collect();
    for item in &select.items {
        match item {
            SelectItem::Expr { expr, .. } => exprs.push(expr),
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) if select.group_by.is_empty() => {}
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => return false,
        }
    }
    let windows = |expr: &&Expr| !has_windows(expr) || are_windows_settled(model, block, expr);
    let grouped = found.aggregated || !select.group_by.is_empty();
    exprs.iter().all(windows)
        && exprs.iter().all(|expr| sums_exactly(model, block, expr))
        && (!grouped || exprs.iter().all(|expr| is_of_group(model, block, expr)))
}

/// Whether all sums and averages in an expression are of exact numbers: those of DOUBLE hang on the order of their rows.
fn sums_exactly(model: &Model<'_>, block: BlockId, expr: &Expr) -> bool {
    let own = match strip(expr) {
        Expr::Function(function) if matches!(&*function.name, "SUM" | "AVG") => {
            function.args.first().is_none_or(|of| is_exact(model, block, of))
        }
        _ => true,
    };
    own && parts(strip(expr)).into_iter().all(|part| sums_exactly(model, block, part))
}

/// Whether an expression is known to be a whole number or a DECIMAL.
fn is_exact(model: &Model<'_>, block: BlockId, expr: &Expr) -> bool {
    match strip(expr) {
        Expr::Literal { kind, .. } => matches!(kind, LiteralKind::Integer | LiteralKind::Decimal),
        Expr::Unary { op: UnaryOp::Minus | UnaryOp::Plus, expr, .. } => is_exact(model, block, expr),
        Expr::Binary { op, left, right, .. } => match op {
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::IntDiv | BinaryOp::Mod => {
                is_exact(model, block, left) && is_exact(model, block, right)
            }
            BinaryOp::Other => false,
            _ => true,
        },
        Expr::Function(function) => match &*function.name {
            "COUNT" => true,
            "SUM" | "AVG" | "MIN" | "MAX" => function.args.first().is_some_and(|of| is_exact(model, block, of)),
            _ => false,
        },
        column @ Expr::Column { .. } => {
            model.column(block, column).is_some_and(|column| is_exact_column(model, &column))
        }
        _ => false,
    }
}

fn is_exact_column(model: &Model<'_>, column: &Column) -> bool {
    match model.refs[column.of.0].source {
        Source::Table(_, Some(info)) => info
            .column(&column.name)
            .is_some_and(|(_, column)| matches!(column.ty, ColumnType::Int { .. } | ColumnType::Decimal { .. })),
        Source::Query(query) => {
            let BodyNode::Block(block) = model.queries[query.0].body else { return false };
            // Names that WITH lists stand for columns by their places.
            let Some(outputs) = model.block_outputs(block).filter(|_| model.queries[query.0].names.is_empty()) else {
                return false;
            };
            outputs.iter().find(|output| output.name == column.name).is_some_and(|output| {
                match (&output.column, output.expr) {
                    (Some(of), _) => is_exact_column(model, of),
                    (None, Some(expr)) => is_exact(model, block, expr),
                    (None, None) => false,
                }
            })
        }
        Source::Table(..) | Source::Opaque => false,
    }
}

/// Whether the columns of an expression that stand outside of aggregates are the same in all rows of a group.
fn is_of_group(model: &Model<'_>, block: BlockId, expr: &Expr) -> bool {
    let Some(select) = model.blocks[block.0].select else { return false };
    match strip(expr) {
        Expr::Function(function) if nature(&function.name) == Nature::Aggregate && !function.over => true,
        Expr::Column { table, name, .. } => {
            let keys: Vec<&Expr> = select.group_by.iter().map(|key| model.group_expr(block, key)).collect();
            let own = model.column(block, expr);
            // In HAVING a name may be that of an item, which is looked at by itself.
            let item = table.is_none() && !model.items_named(select, &name.name).is_empty() && own.is_none();
            let outer = own.as_ref().is_some_and(|own| model.refs[own.of.0].block != block);
            let key = own.is_some() && keys.iter().any(|key| model.column(block, key) == own);
            item || outer || key || own.is_some_and(|own| is_told_apart(model, block, own.of, &keys))
        }
        other => parts(other).into_iter().all(|part| is_of_group(model, block, part)),
    }
}

fn has_windows(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if function.over) || parts(expr).into_iter().any(has_windows)
}

/// Whether rows that a window does not tell apart get the same from it.
fn are_windows_settled(model: &Model<'_>, block: BlockId, expr: &Expr) -> bool {
    let own = match expr {
        Expr::Function(function) if function.over => is_window_settled(model, block, function),
        _ => true,
    };
    own && parts(expr).into_iter().all(|part| are_windows_settled(model, block, part))
}

fn is_window_settled(model: &Model<'_>, block: BlockId, function: &Function) -> bool {
    let text = function.span.of(model.sql).to_ascii_uppercase();
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    match &*function.name {
        // Rows that are alike get the same number.
        "RANK" | "DENSE_RANK" | "PERCENT_RANK" | "CUME_DIST" => return true,
        // Without a frame that counts rows, those that are alike are in a frame together.
        "COUNT" | "SUM" | "AVG" | "MIN" | "MAX" if !has(b"ROWS") => return true,
        _ => {}
    }
    // The window's own expressions stand behind OVER; those of a named one elsewhere.
    let from = function
        .args
        .first()
        .filter(|_| function.name != "ROW_NUMBER")
        .map_or(function.span.start, |arg| arg.span().end);
    let behind = Span { start: from, end: function.span.end }.of(model.sql).to_ascii_uppercase();
    let Some(over) = behind.windows(4).position(|part| part == b"OVER") else { return false };
    let over = from + over as u32;
    let sorted: Vec<&Expr> = function.args.iter().filter(|arg| arg.span().start > over).collect();
    let select = model.blocks[block.0].select;
    let grouped = select.is_none_or(|select| !select.group_by.is_empty()) || model.blocks[block.0].aggregated;
    !grouped && tells_apart(model, block, &sorted)
}

/// Whether some of the expressions are columns that tell all rows of a block apart.
fn tells_apart(model: &Model<'_>, block: BlockId, exprs: &[&Expr]) -> bool {
    model.blocks[block.0].from.iter().all(|id| is_told_apart(model, block, *id, exprs))
}

/// Whether some of the expressions are all columns of a unique key, without NULL, of a table.
fn is_told_apart(model: &Model<'_>, block: BlockId, id: RefId, exprs: &[&Expr]) -> bool {
    let Source::Table(_, Some(info)) = model.refs[id.0].source else { return false };
    let known: Vec<String> = exprs
        .iter()
        .filter_map(|expr| model.column(block, expr))
        .filter(|column| column.of == id)
        .map(|column| column.name)
        .collect();
    // Behind an outer join all of them may be NULL, in one row for each of the other side's.
    info.unique().any(|key| {
        !key.is_empty()
            && key.iter().all(|name| {
                let found = info.column(name);
                found.is_some_and(|(_, column)| !column.nullable) && known.contains(&name.to_ascii_lowercase())
            })
    })
}
