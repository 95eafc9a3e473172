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
    pub(super) fn into_part(self) -> Part {
        let comma = || Part::Fixed(", ".into());
        Part::All(self.columns.into_iter().flat_map(|column| [comma(), column]).collect())
    }

    /// The column with this text, added if there is none; `fold` says how its cells are folded.
    ///
    /// # Errors
    /// 1235 if the text cannot be copied, or if there are more hidden columns than MySQL has room for.
    pub(super) fn add(
        &mut self,
        before: &str,
        source: &Source,
        after: &str,
        fold: Aggregate,
    ) -> Result<Cell, SqlError> {
        let middle = match source {
            Source::Span(span) => self.composer.copy(*span)?,
            Source::Name(name) => Part::Fixed(name.as_str().into()),
        };
        let part = Part::All([Part::Fixed(before.into()), middle, Part::Fixed(after.into())].into());
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
        let mut column = |before: &str, after: &str| {
            let (before, after) = match subject.in_group {
                true => (format!("MIN({before}"), format!("{after})")),
                false => (before.to_string(), after.to_string()),
            };
            self.add(&before, &subject.text, &after, Aggregate::Any)
        };
        let (value, weight) = match subject.class {
            Class::Number | Class::Moment => match subject.item {
                Some(item) => (Cell::Item(item), None),
                None => (column("", "")?, None),
            },
            Class::Text => {
                let weight = column("WEIGHT_STRING(", ")")?;
                match subject.item {
                    Some(item) => (Cell::Item(item), Some(weight)),
                    None => (weight, None),
                }
            }
            Class::Numbered | Class::Bits => (column("(", ")+0")?, None),
            Class::Float => (column("(", ")+0e0")?, None),
            Class::Stamp => (column("UNIX_TIMESTAMP(", ")")?, None),
            Class::Unknown => {
                let value = match subject.item {
                    Some(item) => Cell::Item(item),
                    None => column("", "")?,
                };
                (value, Some(column("WEIGHT_STRING(", ")")?))
            }
            Class::Opaque => {
                let why =
                    "the order of these values is known to the servers only, and this needs rows of several shards:";
                return Err(SqlError::refuse_at(why, sql, at as usize));
            }
        };
        Ok(SortKey { value, weight, desc })
    }
}
