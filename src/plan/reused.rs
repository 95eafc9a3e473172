//! Common table expressions that are read more than once, over copies of tables, which MySQL opens only once in a
//! statement: each further reading gets a definition of its own, over copies of the copies. What would then not be sure
//! to have the same rows each time is refused; how the copies are made, it does not know.

use std::collections::HashMap;

use crate::error::SqlError;
use crate::plan::gather::{COPY, Twin};
use crate::plan::resolve::{CteUse, Label, Model, QueryId, RefId, Source};
use crate::plan::settled::is_settled;
use crate::plan::text::{Composer, Part, Rewrite, Text};
use crate::sql::ast::Span;
use crate::sql::scan::Scan;

/// What a definition of our own is called; its number stands behind it.
const NAME: &str = "_shardloom_again_";
/// Copies of copies in one statement: beyond this MySQL could not join what they are read for.
const MOST_TWINS: usize = 60;

/// The text of a statement over copies, and the copies that are to be copied again. `sources` is the number of those
/// that the statement's own names mean.
///
/// # Errors
/// 1235 with the place, for a common table expression that might have other rows when it is read again.
pub(super) fn opened_once(model: &Model<'_>, scan: &Scan, sources: usize) -> Result<(Text, Box<[Twin]>), SqlError> {
    let composer = Composer::new(scan, model.edits.clone());
    let mut changes: Vec<(Span, Change<'_>)> =
        composer.edits().iter().map(|(span, rewrite)| (*span, Change::Name(rewrite))).collect();
    for (number, cte) in model.ctes.iter().enumerate() {
        let start = cte.ast.name.span.start;
        changes.push((Span { start, end: start }, Change::Define(number)));
    }
    changes.extend(model.cte_uses.iter().map(|found| (found.span, Change::Use(found))));
    changes.sort_by_key(|(span, _)| *span);
    let mut reading = Reading {
        model,
        composer: &composer,
        changes,
        sources,
        twins: Vec::new(),
        names: 0,
        wanted: vec![Wanted::default(); model.ctes.len()],
        own: Vec::new(),
    };
    let whole = Span { start: 0, end: scan.end };
    let edits = reading.within(whole, &mut None)?;
    if reading.twins.is_empty() {
        return Ok((composer.plain()?, Box::default()));
    }
    let twins = reading.twins.into();
    // A definition that is written again repeats its parameters.
    Ok((Composer::new(scan, Vec::new()).with(edits, true)?, twins))
}

/// Something at a place of the text.
enum Change<'m> {
    /// A name that is another one over copies.
    Name(&'m Rewrite),
    /// A common table expression is read.
    Use(&'m CteUse),
    /// One is defined: definitions of our own of the same stand in front of it.
    Define(usize),
}

/// How often a common table expression has been read so far.
#[derive(Clone, Default)]
struct Wanted {
    /// Its own definition has its reader.
    read: bool,
    /// The names of its further definitions, which are still to be written.
    names: Vec<String>,
}

/// Reads the text from its end to its start, so that all readers of a definition are known when it is reached.
struct Reading<'m, 'a> {
    model: &'m Model<'a>,
    composer: &'m Composer<'m>,
    /// In the order of the text.
    changes: Vec<(Span, Change<'m>)>,
    sources: usize,
    twins: Vec<Twin>,
    /// How many names have been given.
    names: usize,
    wanted: Vec<Wanted>,
    /// The definitions that are being written again, with their names: one that is recursive reads itself.
    own: Vec<(usize, String)>,
}

/// The twins of one definition of our own, by the sources that they are copies of.
type Twins = HashMap<u16, u16>;

impl Reading<'_, '_> {
    /// The edits in a part of the text, in its order; over the twins, if it is written again.
    fn within(&mut self, span: Span, twins: &mut Option<Twins>) -> Result<Vec<(Span, Part)>, SqlError> {
        let mut edits = Vec::new();
        for index in (0..self.changes.len()).rev() {
            let at = self.changes[index].0;
            if at.start < span.start || span.end < at.end {
                continue;
            }
            let part = match &self.changes[index].1 {
                Change::Name(rewrite) => {
                    let rewrite = (*rewrite).clone();
                    Some(self.composer.rewrite(&self.twinned(rewrite, twins)?)?)
                }
                Change::Use(found) => self.read((*found).clone())?,
                Change::Define(cte) => self.define(*cte)?,
            };
            if let (Some(_), Change::Use(found)) = (&part, &self.changes[index].1) {
                for item in &found.items {
                    self.named(*item, &mut edits)?;
                }
            }
            edits.extend(part.map(|part| (at, part)));
        }
        edits.sort_by_key(|(span, _)| *span);
        Ok(edits)
    }

    /// A select item in which a name has changed keeps the name that it had by its text.
    fn named(&self, item: Span, edits: &mut Vec<(Span, Part)>) -> Result<(), SqlError> {
        let behind = Span { start: item.end, end: item.end };
        if !edits.iter().any(|(span, _)| *span == behind) {
            edits.push((behind, self.composer.rewrite(&Rewrite::NameOf(item))?));
        }
        Ok(())
    }

    /// A name in a text that is written again means a copy of its own.
    fn twinned(&mut self, rewrite: Rewrite, twins: &mut Option<Twins>) -> Result<Rewrite, SqlError> {
        let Some(twins) = twins else { return Ok(rewrite) };
        Ok(match rewrite {
            Rewrite::Table(table) => Rewrite::Table(self.twin(table, twins)?),
            Rewrite::TableAs(table, name) => Rewrite::TableAs(self.twin(table, twins)?, name),
            other => other,
        })
    }

    fn twin(&mut self, of: u16, twins: &mut Twins) -> Result<u16, SqlError> {
        if let Some(twin) = twins.get(&of) {
            return Ok(*twin);
        }
        if self.twins.len() == MOST_TWINS {
            return Err(SqlError::refuse("a statement that needs more than 60 copies of copies of its tables"));
        }
        let number = self.sources + self.twins.len();
        self.twins.push(Twin { of, copy: format!("{COPY}{number}").into() });
        twins.insert(of, number as u16);
        Ok(number as u16)
    }

    /// A place where a common table expression is read: by a name of its own, if another place has its definition.
    fn read(&mut self, found: CteUse) -> Result<Option<Part>, SqlError> {
        let name = match found.recursive {
            true => self.own.iter().rev().find(|(cte, _)| *cte == found.cte).map(|(_, name)| name.clone()),
            false if !self.reads_copies(found.cte) => None,
            false if !std::mem::replace(&mut self.wanted[found.cte].read, true) => None,
            false => {
                self.names += 1;
                let name = format!("{NAME}{}", self.names);
                self.wanted[found.cte].names.push(name.clone());
                Some(name)
            }
        };
        let Some(name) = name else { return Ok(None) };
        Ok(Some(match found.label {
            Label::Alias => Part::Fixed(name.into()),
            Label::Name => {
                let (from, to) = self.composer.anchors(found.span)?;
                Part::All([Part::Fixed(format!("{name} AS ").into()), Part::Copy(from, to)].into())
            }
            Label::None => {
                let why = "TABLE of a common table expression that is read more than once; write SELECT * FROM:";
                return Err(SqlError::refuse_at(why, self.model.sql, found.span.start as usize));
            }
        }))
    }

    /// The further definitions of a common table expression.
    fn define(&mut self, cte: usize) -> Result<Option<Part>, SqlError> {
        let Wanted { names, .. } = std::mem::take(&mut self.wanted[cte]);
        let mut parts = Vec::new();
        for name in names {
            self.again(cte, name, &mut parts)?;
        }
        Ok((!parts.is_empty()).then(|| Part::All(parts.into())))
    }

    /// Writes a definition once more, under another name.
    fn again(&mut self, cte: usize, name: String, parts: &mut Vec<Part>) -> Result<(), SqlError> {
        let found = &self.model.ctes[cte];
        let (ast, query) = (found.ast, found.query);
        if query.is_none_or(|query| !is_settled(self.model, query)) {
            let why = "a common table expression that is read more than once, and need not have the same rows each \
                       time, needs rows of several shards:";
            return Err(SqlError::refuse_at(why, self.model.sql, ast.name.span.start as usize));
        }
        parts.push(Part::Fixed(name.as_str().into()));
        self.own.push((cte, name));
        let edits = self.within(ast.query.span, &mut Some(Twins::new()))?;
        self.own.pop();
        let mut copied = ast.name.span.end;
        for (span, part) in edits {
            let (from, to) = self.composer.anchors(Span { start: copied, end: span.start })?;
            parts.extend([Part::Copy(from, to), part]);
            copied = span.end;
        }
        let (from, to) = self.composer.anchors(Span { start: copied, end: ast.query.span.end })?;
        parts.extend([Part::Copy(from, to), Part::Fixed("), ".into())]);
        Ok(())
    }

    /// Whether a common table expression reads copies, itself or by another one.
    fn reads_copies(&self, cte: usize) -> bool {
        self.model.ctes[cte].query.is_some_and(|query| self.query_reads_copies(query))
    }

    fn query_reads_copies(&self, query: QueryId) -> bool {
        self.model.queries[query.0].refs.clone().map(RefId).any(|id| match self.model.refs[id.0].source {
            Source::Table(..) => true,
            Source::Query(inner) => self.query_reads_copies(inner),
            Source::Opaque => false,
        })
    }
}
