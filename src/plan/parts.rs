//! The parts of expressions: what stands directly in one, and what kind of thing stands in it anywhere. It knows no
//! tables.

use crate::plan::functions::{Nature, nature};
use crate::sql::ast::{BinaryOp, Expr, Function, Keyword, LiteralKind, UnaryOp};
use crate::sql::walk::Node;

/// Whether an aggregate of this block stands in an expression; subqueries are not entered.
pub(super) fn has_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) if !function.over && nature(&function.name) == Nature::Aggregate => true,
        _ => parts(expr).into_iter().any(has_aggregate),
    }
}

/// Whether an expression may have another value each time it is computed from the same row.
pub(super) fn is_random(expr: &Expr) -> bool {
    let random = match expr {
        Expr::Function(function) => matches!(
            nature(&function.name),
            Nature::Random | Nature::Stored | Nature::Server | Nature::UserLock | Nature::LastInsertId
        ),
        _ => false,
    };
    random || parts(expr).into_iter().any(is_random)
}

/// The number of the literal that an item of GROUP BY or ORDER BY is, if it means a position.
pub(super) fn position(expr: &Expr) -> Option<u32> {
    match strip(expr) {
        Expr::Literal { index, kind: LiteralKind::Integer, .. } => Some(*index),
        _ => None,
    }
}

/// An expression without the parentheses and plus signs around it, which MySQL's parser drops too.
pub(super) fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner, _) | Expr::Unary { op: UnaryOp::Plus, expr: inner, .. } => strip(inner),
        _ => expr,
    }
}

/// The direct sub-expressions of an expression, subqueries not entered.
pub(super) fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Column { .. }
        | Expr::Literal { .. }
        | Expr::Param { .. }
        | Expr::Keyword(..)
        | Expr::Variable { .. }
        | Expr::Subquery(..)
        | Expr::Exists(..) => Vec::new(),
        Expr::Unary { expr, .. }
        | Expr::Is { expr, .. }
        | Expr::Paren(expr, _)
        | Expr::Cast { expr, .. }
        | Expr::InSubquery { expr, .. } => vec![expr],
        Expr::Binary { left, right, .. } => vec![left, right],
        Expr::Between { expr, low, high, .. } => vec![expr, low, high],
        Expr::InList { expr, list, .. } => std::iter::once(&**expr).chain(list).collect(),
        Expr::Tuple(list, _) => list.iter().collect(),
        Expr::Function(function) => function.args.iter().collect(),
        Expr::Other { parts, .. } => parts.iter().collect(),
    }
}

/// The column expressions in an expression, subqueries not entered.
pub(super) fn columns_of<'e>(expr: &'e Expr, found: &mut Vec<&'e Expr>) {
    match expr {
        Expr::Column { .. } => found.push(expr),
        _ => parts(expr).into_iter().for_each(|part| columns_of(part, found)),
    }
}

/// Whether this is a quotient, which AVG is, too: a server shows fewer of its digits than it has.
pub(super) fn is_quotient(node: &Node<'_>) -> bool {
    match node {
        Node::Expr(Expr::Function(function)) => function.name == "AVG",
        Node::Expr(Expr::Binary { op, .. }) => *op == BinaryOp::Div,
        _ => false,
    }
}

/// The value of `IF(FALSE, f(), value)`, where a function of the session gives its type alone.
pub(super) fn never_called(function: &Function) -> Option<&Expr> {
    let [Expr::Keyword(Keyword::False, _), of, value] = function.args.as_slice() else { return None };
    let is_sessions = match of {
        Expr::Function(of) if of.args.is_empty() => {
            matches!(nature(&of.name), Nature::FoundRows | Nature::RowCount | Nature::ConnectionId | Nature::Account)
        }
        Expr::Variable { text, .. } => text.ends_with("warning_count") || text.ends_with("error_count"),
        _ => false,
    };
    (function.name == "IF" && is_sessions).then_some(value)
}
