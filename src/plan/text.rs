//! The text of a statement for one target, as edits to the client's text that fit every statement with the same key.
//! It knows no names: which physical name is meant is said when the text is rendered.

use crate::error::SqlError;
use crate::sql::ast::Span;
use crate::sql::scan::Scan;
use crate::sql::splice::{Anchor, Edit};

/// What is spliced into a statement, in the order of its text.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Text {
    /// The edits: ascending, none overlapping another.
    pub edits: Box<[Edit<Part>]>,
    /// Whether some edit drops, repeats or moves a `?`.
    pub moves_params: bool,
}

/// What takes the place of a piece of text.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// The physical name of a table: `` `schema`.`table` ``.
    Table(u16),
    /// The physical name of the schema of a table: `` `schema` ``.
    Schema(u16),
    /// The rows of a relation of the catalogue, which are asked for before the statement runs.
    Relation(u16),
    /// These very bytes.
    Fixed(Box<str>),
    /// A piece of the client's text.
    Copy(Anchor, Anchor),
    /// The same in backquotes, as a name, cut to the 256 bytes that MySQL gives to the name of a column.
    Quoted(Anchor, Anchor),
    /// How many rows each target has to give: OFFSET + LIMIT.
    Take,
    /// How many rows the target may write: its share of LIMIT.
    Share,
    /// Of the rows of VALUES those that belong to the target.
    Rows(Box<[Part]>),
    /// The column of the ids that are made, as a further one of the column list; nothing if none are made.
    IdColumn(Box<str>),
    /// The id that is made for a row.
    Id {
        /// The row's number.
        row: u32,
        /// What stands in front of it.
        before: &'static str,
        /// What stands there in the client's text, which stays if no id is made.
        given: Option<(Anchor, Anchor)>,
    },
    /// One after the other.
    All(Box<[Part]>),
}

/// An edit that names ask for, whatever becomes of the statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Rewrite {
    /// The physical name of a table.
    Table(u16),
    /// The physical name of a table, under the name that stands in this span.
    TableAs(u16, Span),
    /// The physical name of a table's schema.
    Schema(u16),
    /// `` AS `...` `` with the text of this span: the name that the column had before it was edited.
    NameOf(Span),
    /// The rows of a relation of the catalogue, under the name that stands in this span if there is one.
    Relation(u16, Option<Span>),
    /// These bytes.
    Fixed(String),
    /// These bytes, if ids are made.
    IdColumn(String),
    /// The id that is made for a row, behind some text, instead of what stands there if it says so.
    Id(u32, &'static str, Option<Span>),
}

/// Puts texts together from the edits that names ask for and those that a merge adds.
pub struct Composer<'a> {
    scan: &'a Scan,
    edits: Vec<(Span, Rewrite)>,
}

impl<'a> Composer<'a> {
    /// A composer over the edits that names ask for, in any order.
    pub fn new(scan: &'a Scan, mut edits: Vec<(Span, Rewrite)>) -> Composer<'a> {
        edits.sort_by_key(|(span, _)| *span);
        edits.dedup();
        Composer { scan, edits }
    }

    /// The edits that names ask for, in the order of the text.
    pub fn edits(&self) -> &[(Span, Rewrite)] {
        &self.edits
    }

    /// The text with the edits of names only.
    ///
    /// # Errors
    /// 1235 if an edit has no place of its own, which no statement should bring about.
    pub fn plain(&self) -> Result<Text, SqlError> {
        self.with(Vec::new(), false)
    }

    /// The text with the edits of names, except inside of spans that `more` replaces, and those of `more`.
    ///
    /// # Errors
    /// As [`Composer::plain`].
    pub fn with(&self, more: Vec<(Span, Part)>, moves_params: bool) -> Result<Text, SqlError> {
        let inside = |span: Span| more.iter().any(|(outer, _)| outer.start <= span.start && span.end <= outer.end);
        let is_gap = |span: Span| span.start == span.end;
        let mut all = Vec::with_capacity(self.edits.len() + more.len());
        for (span, rewrite) in &self.edits {
            // An insertion at the same place as another one stays in front of it.
            let replaced = if is_gap(*span) {
                more.iter().any(|(outer, _)| outer.start < span.start && span.end < outer.end)
            } else {
                inside(*span)
            };
            if !replaced {
                all.push((*span, self.rewrite(rewrite)?));
            }
        }
        all.extend(more);
        all.sort_by_key(|(span, _)| *span);
        let edits: Result<Box<[_]>, SqlError> = all
            .into_iter()
            .map(|(span, with)| Ok(Edit { from: self.anchor(span.start)?, to: self.anchor(span.end)?, with }))
            .collect();
        Ok(Text { edits: edits?, moves_params })
    }

    /// A copy of a piece of the text, with the edits that names ask for inside of it; the names of columns left out,
    /// which only select items have.
    ///
    /// # Errors
    /// As [`Composer::plain`].
    pub fn copy(&self, span: Span) -> Result<Part, SqlError> {
        let mut parts = Vec::new();
        let mut copied = span.start;
        for (at, rewrite) in &self.edits {
            if at.start < span.start || span.end < at.end || (at.start == at.end && at.end == span.end) {
                continue;
            }
            parts.push(Part::Copy(self.anchor(copied)?, self.anchor(at.start)?));
            parts.push(self.rewrite(rewrite)?);
            copied = at.end;
        }
        let last = Part::Copy(self.anchor(copied)?, self.anchor(span.end)?);
        if parts.is_empty() {
            return Ok(last);
        }
        parts.push(last);
        Ok(Part::All(parts.into()))
    }

    /// The anchors of a span.
    ///
    /// # Errors
    /// As [`Composer::plain`].
    pub fn anchors(&self, span: Span) -> Result<(Anchor, Anchor), SqlError> {
        Ok((self.anchor(span.start)?, self.anchor(span.end)?))
    }

    /// What takes the place of a name.
    ///
    /// # Errors
    /// As [`Composer::plain`].
    pub fn rewrite(&self, rewrite: &Rewrite) -> Result<Part, SqlError> {
        Ok(match rewrite {
            Rewrite::Table(table) => Part::Table(*table),
            Rewrite::TableAs(table, name) => {
                let (from, to) = self.anchors(*name)?;
                Part::All([Part::Table(*table), Part::Fixed(" AS ".into()), Part::Copy(from, to)].into())
            }
            Rewrite::Schema(table) => Part::Schema(*table),
            Rewrite::Relation(relation, None) => Part::Relation(*relation),
            Rewrite::Relation(relation, Some(name)) => {
                let (from, to) = self.anchors(*name)?;
                Part::All([Part::Relation(*relation), Part::Fixed(" AS ".into()), Part::Copy(from, to)].into())
            }
            Rewrite::NameOf(span) => {
                let (from, to) = self.anchors(*span)?;
                Part::All([Part::Fixed(" AS ".into()), Part::Quoted(from, to)].into())
            }
            Rewrite::Fixed(text) => Part::Fixed(text.as_str().into()),
            Rewrite::IdColumn(text) => Part::IdColumn(text.as_str().into()),
            Rewrite::Id(row, before, given) => {
                Part::Id { row: *row, before, given: given.map(|span| self.anchors(span)).transpose()? }
            }
        })
    }

    fn anchor(&self, at: u32) -> Result<Anchor, SqlError> {
        Anchor::at(self.scan, at)
            .ok_or_else(|| SqlError::refuse("the statement cannot be rewritten: a name is a literal"))
    }
}

/// Appends `` `schema`.`table` ``.
pub fn put_name(schema: &str, table: &str, out: &mut Vec<u8>) {
    quote(schema.as_bytes(), out);
    out.push(b'.');
    quote(table.as_bytes(), out);
}

/// Writes bytes as a hexadecimal literal that begins with `before`, such as `x'`.
pub fn put_hex(before: &[u8], bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(before);
    out.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
    out.push(b'\'');
}

/// Writes a name in backquotes.
pub fn quote(name: &[u8], out: &mut Vec<u8>) {
    out.push(b'`');
    if name.contains(&b'`') {
        out.extend(name.iter().flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b'`' { 2 } else { 1 })));
    } else {
        out.extend_from_slice(name);
    }
    out.push(b'`');
}
