//! Hidden columns: what a merge asks every target for beside the client's columns, and the sort keys made of them.
//! It knows which text to ask for by the class of a value, not why.

use crate::error::SqlError;
use crate::plan::merge::{Aggregate, Cell, SortKey};
use crate::plan::text::{Composer, Part};
use crate::plan::types::Class;
use crate::sql::ast::Span;

/// The hidden columns of a SELECT, as they come to be needed.
pub(super) struct Hidden<'c, 's> {
    composer: &'c Composer<'s>,
    columns: Vec<Part>,
    /// How each of them is folded, if rows are.
    pub(super) aggregates: Vec<Aggregate>,
}

/// A value that rows are compared by.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// How it is compared.
    pub(super) class: Class,
    /// The client's column that shows it.
    pub(super) item: Option<u16>,
    /// Its text.
    pub(super) text: Source,
    /// It is no aggregate, and stands in a SELECT with groups: a server may want to be told that it is one value only.
    pub(super) in_group: bool,
}

/// Where the text of a hidden column comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The client's text.
    Span(Span),
    /// This.
    Name(String),
}

impl<'c, 's> Hidden<'c, 's> {
    /// No hidden columns yet.
    pub(super) fn new(composer: &'c Composer<'s>) -> Hidden<'c, 's> {
        Hidden { composer, columns: Vec::new(), aggregates: Vec::new() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> u16 {
        self.columns.len() as u16
    }

    /// What is to be inserted behind the select list.
    ///
    /// Each has a name of its own: the text, which would be its name, may hold names that differ from target to target.
    pub(super) fn into_part(self) -> Part {
        let named =
            |(index, column)| [Part::Fixed(", ".into()), column, Part::Fixed(format!(" AS `~{}`", index + 1).into())];
        Part::All(self.columns.into_iter().enumerate().flat_map(named).collect())
    }

    /// The column with this text, `{}` in it standing for the source, added if there is none; `fold` says how its
    /// cells are folded.
    ///
    /// # Errors
    /// 1235 if the text cannot be copied, or if there are more hidden columns than MySQL has room for.
    pub(super) fn add(&mut self, text: &str, source: &Source, fold: Aggregate) -> Result<Cell, SqlError> {
        let mut parts = Vec::new();
        for (index, piece) in text.split("{}").enumerate() {
            if index > 0 {
                parts.push(match source {
                    Source::Span(span) => self.composer.copy(*span)?,
                    Source::Name(name) => Part::Fixed(name.as_str().into()),
                });
            }
            if !piece.is_empty() {
                parts.push(Part::Fixed(piece.into()));
            }
        }
        let part = Part::All(parts.into());
        let index = match self.columns.iter().position(|column| *column == part) {
            Some(index) => index,
            None if self.columns.len() == 1024 => {
                return Err(SqlError::refuse("more than 1,024 columns are needed to merge this statement's rows"));
            }
            None => {
                self.columns.push(part);
                self.aggregates.push(fold);
                self.columns.len() - 1
            }
        };
        Ok(Cell::Hidden(index as u16))
    }

    /// The key by which rows are ordered as a server orders them by `subject`; `at` is the place for a refusal.
    ///
    /// # Errors
    /// 1235 for a value that cannot be compared here.
    pub(super) fn key(&mut self, subject: &Subject, desc: bool, sql: &[u8], at: u32) -> Result<SortKey, SqlError> {
        let mut column = |text: &str| {
            let text = if subject.in_group { format!("MIN({text})") } else { text.to_string() };
            self.add(&text, &subject.text, Aggregate::Any)
        };
        let shown = |column: &mut dyn FnMut(&str) -> Result<Cell, SqlError>| match subject.item {
            Some(item) => Ok(Cell::Item(item)),
            None => column("{}"),
        };
        let key = |value: Cell, weight: Option<Cell>, pad: Option<Cell>| SortKey { value, weight, pad, desc };
        Ok(match subject.class {
            Class::Number | Class::Moment => key(shown(&mut column)?, None, None),
            Class::Bytes => key(shown(&mut column)?, None, None),
            Class::Text => {
                let weight = column(WEIGHT)?;
                match subject.item {
                    Some(item) => key(Cell::Item(item), Some(weight), None),
                    None => key(weight, None, None),
                }
            }
            Class::Padded => {
                let value = shown(&mut column)?;
                let weight = column(WEIGHT)?;
                key(value, Some(weight), Some(column(SPACE)?))
            }
            Class::Numbered | Class::Bits => key(column("({})+0")?, None, None),
            Class::Float => key(column("({})+0e0")?, None, None),
            Class::Stamp => key(column("UNIX_TIMESTAMP({})")?, None, None),
            Class::Unknown => {
                let value = shown(&mut column)?;
                let weight = column(WEIGHT)?;
                key(value, Some(weight), Some(column(SPACE_IF_PADDED)?))
            }
            Class::Opaque => {
                let why =
                    "the order of these values is known to the servers only, and this needs rows of several shards:";
                return Err(SqlError::refuse_at(why, sql, at as usize));
            }
        })
    }
}

/// What a string sorts by, but for the spaces that PAD SPACE thinks behind it.
const WEIGHT: &str = "WEIGHT_STRING({})";
/// The weight of such a space: one in the collation of the string.
const SPACE: &str = "WEIGHT_STRING(CONCAT(LEFT({},0),' '))";
/// The same, or NULL if a string differs from itself with a space behind it.
const SPACE_IF_PADDED: &str = "IF(LEFT({},0)=CONCAT(LEFT({},0),' '),WEIGHT_STRING(CONCAT(LEFT({},0),' ')),NULL)";
