//! Rewriting by splicing: edits to a statement's text, anchored so that they fit every statement with the
//! same key. It copies bytes and knows no SQL.

use std::ops::Range;

use crate::sql::scan::Scan;

/// A place in the text between two literals (or at the edge of one), independent of the literals' lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Anchor {
    /// How many literals stand before the place.
    pub after: u32,
    /// Bytes behind the end of the last of them, or behind the start of the text.
    pub offset: u32,
}

/// What replaces the text from one place to another; an insertion if both are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<T> {
    /// Where the replaced text begins.
    pub from: Anchor,
    /// Where it ends.
    pub to: Anchor,
    /// What takes its place.
    pub with: T,
}

impl Anchor {
    /// The anchor of byte `at` of the scanned text; `None` inside a literal, where no other statement with
    /// the same key need have that place.
    pub fn at(scan: &Scan, at: u32) -> Option<Anchor> {
        let after = scan.literals.partition_point(|literal| literal.span.end <= at);
        let inside = scan.literals.get(after).is_some_and(|next| next.span.start < at);
        let base = base(scan, after)?;
        (!inside).then(|| Anchor { after: after as u32, offset: at - base })
    }

    /// The byte offset of this place in a text with the same key; `None` if the text has another key.
    pub fn resolve(self, scan: &Scan) -> Option<u32> {
        let at = base(scan, self.after as usize)?.checked_add(self.offset)?;
        (at <= scan.end).then_some(at)
    }
}

/// Where a piece between two places is in a text; `None` if the text has another key.
pub fn range((from, to): (Anchor, Anchor), scan: &Scan) -> Option<Range<usize>> {
    Some(from.resolve(scan)? as usize..to.resolve(scan)? as usize)
}

/// The end of the last of the first `after` literals.
fn base(scan: &Scan, after: usize) -> Option<u32> {
    match after.checked_sub(1) {
        None => Some(0),
        Some(last) => scan.literals.get(last).map(|literal| literal.span.end),
    }
}

/// Appends the first statement of `sql` to `out`, with `edits` made to it; `render` writes what takes the
/// place of each. Edits must be in the order of the text and must not overlap, and must have been made for a
/// statement with the key of `scan`; one that does not fit is left out, in debug builds it panics.
pub fn splice<T>(
    sql: &[u8],
    scan: &Scan,
    edits: &[Edit<T>],
    out: &mut Vec<u8>,
    mut render: impl FnMut(&T, &mut Vec<u8>),
) {
    let mut copied = 0;
    for edit in edits {
        let (Some(from), Some(to)) = (edit.from.resolve(scan), edit.to.resolve(scan)) else {
            debug_assert!(false, "an edit was made for another statement");
            continue;
        };
        let (from, to) = (from as usize, to as usize);
        if from < copied || to < from {
            debug_assert!(false, "edits overlap or are out of order");
            continue;
        }
        out.extend_from_slice(&sql[copied..from]);
        render(&edit.with, out);
        copied = to;
    }
    out.extend_from_slice(&sql[copied..scan.end as usize]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::{Anchor, Edit, splice};
    use crate::sql::scan::{Scan, scan};
    use crate::sql::tests::MYSQL;

    fn scanned(sql: &str) -> Scan {
        let mut out = Scan::default();
        scan(sql.as_bytes(), MYSQL, 0, &mut out).unwrap();
        out
    }

    #[test]
    fn an_edit_fits_every_statement_with_the_same_key() {
        let (short, long) = ("SELECT 'a' FROM t WHERE x=1", "SELECT 'a''long\\'one' FROM t WHERE x=123456");
        let (first, second) = (scanned(short), scanned(long));
        assert_eq!(first.key, second.key);
        let table = short.find(" t ").unwrap() as u32 + 1;
        let edits = [Edit {
            from: Anchor::at(&first, table).unwrap(),
            to: Anchor::at(&first, table + 1).unwrap(),
            with: "`t_03`",
        }];
        let mut out = Vec::new();
        splice(long.as_bytes(), &second, &edits, &mut out, |with, out| out.extend(with.bytes()));
        assert_eq!(String::from_utf8(out).unwrap(), "SELECT 'a''long\\'one' FROM `t_03` WHERE x=123456");
    }

    #[test]
    fn a_literal_is_replaced_by_its_edges() {
        let sql = "SELECT a FROM t LIMIT 10 -- end";
        let scan = scanned(sql);
        let literal = scan.literals[0].span;
        let edits = [Edit {
            from: Anchor::at(&scan, literal.start).unwrap(),
            to: Anchor::at(&scan, literal.end).unwrap(),
            with: (),
        }];
        assert_eq!(edits[0].from, Anchor { after: 0, offset: literal.start });
        assert_eq!(edits[0].to, Anchor { after: 1, offset: 0 });
        assert_eq!(Anchor::at(&scan, literal.start + 1), None);
        let mut out = Vec::new();
        splice(sql.as_bytes(), &scan, &edits, &mut out, |(), out| out.extend(b"30"));
        assert_eq!(out, b"SELECT a FROM t LIMIT 30 -- end");
    }

    #[test]
    fn only_the_first_statement_is_copied() {
        let sql = "SELECT 1 ; SELECT 2";
        let scan = scanned(sql);
        let mut out = Vec::new();
        splice::<()>(sql.as_bytes(), &scan, &[], &mut out, |(), _| {});
        assert_eq!(out, b"SELECT 1 ");
        assert_eq!(scan.rest, Some(10));
    }
}
