//! Whether two expressions of a block are the same one, as GROUP BY, ORDER BY and the select list repeat them.
//! It knows no algebra: `a + b` and `b + a` are two expressions.

use crate::plan::parts::{parts, strip};
use crate::plan::resolve::{BlockId, Model};
use crate::sql::ast::{BinaryOp, Expr};

/// Whether two expressions are the same; then `pins` gets the literals whose values made them so.
pub(super) fn same(model: &Model<'_>, block: BlockId, left: &Expr, right: &Expr, pins: &mut Vec<u32>) -> bool {
    let mut found = Vec::new();
    let equal = Comparison { model, block }.equal(left, right, &mut found);
    if equal {
        pins.append(&mut found);
    }
    equal
}

struct Comparison<'m, 'a> {
    model: &'m Model<'a>,
    block: BlockId,
}

impl Comparison<'_, '_> {
    fn equal(&self, left: &Expr, right: &Expr, pins: &mut Vec<u32>) -> bool {
        match (strip(left), strip(right)) {
            (Expr::Column { .. }, Expr::Column { .. }) => self.equal_columns(strip(left), strip(right)),
            (Expr::Literal { index: one, kind, .. }, Expr::Literal { index: other, kind: same, .. }) => {
                pins.extend([*one, *other]);
                kind == same && self.equal_text(left, right)
            }
            (Expr::Keyword(one, _), Expr::Keyword(other, _)) => one == other,
            (Expr::Variable { text, .. }, Expr::Variable { text: other, .. }) => text == other,
            (Expr::Unary { op, expr, .. }, Expr::Unary { op: same, expr: other, .. }) => {
                op == same && self.equal(expr, other, pins)
            }
            (Expr::Binary { op, left, right, .. }, Expr::Binary { op: same, left: l, right: r, .. })
                if *op != BinaryOp::Other =>
            {
                op == same && self.equal(left, l, pins) && self.equal(right, r, pins)
            }
            (Expr::Function(one), Expr::Function(other)) => {
                let plain = !one.over && !other.over && !one.ordered && !other.ordered;
                plain
                    && (&one.name, one.star, one.distinct) == (&other.name, other.star, other.distinct)
                    && one.args.len() == other.args.len()
                    && one.args.iter().zip(&other.args).all(|(one, other)| self.equal(one, other, pins))
            }
            (left, right) => self.equal_text(left, right) && pin_all(left, pins) && pin_all(right, pins),
        }
    }

    fn equal_columns(&self, left: &Expr, right: &Expr) -> bool {
        match (self.model.column(self.block, left), self.model.column(self.block, right)) {
            (Some(left), Some(right)) => left == right,
            (None, None) => self.equal_text(left, right),
            _ => false,
        }
    }

    fn equal_text(&self, left: &Expr, right: &Expr) -> bool {
        strip(left).span().of(self.model.sql) == strip(right).span().of(self.model.sql)
    }
}

/// Pins every literal of an expression; false if it holds a parameter or a subquery, whose values are not known.
fn pin_all(expr: &Expr, pins: &mut Vec<u32>) -> bool {
    match expr {
        Expr::Literal { index, .. } => {
            pins.push(*index);
            true
        }
        Expr::Param { .. } | Expr::Subquery(..) | Expr::Exists(..) | Expr::InSubquery { .. } => false,
        _ => parts(expr).into_iter().all(|part| pin_all(part, pins)),
    }
}
