//! An UPDATE of the sharding key whose rows then belong to another shard, as data: each shard updates its own rows where
//! they are, and those that got the new key are carried over, as they are then. It knows no row.

use crate::plan::Target;
use crate::plan::gather::Pulled;
use crate::plan::render::Name;
use crate::plan::text::{put_name, quote};

/// How the rows of a table are carried to another shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The number of the table among the plan's.
    pub table: u16,
    /// Its sharding key.
    pub key: Box<str>,
    /// The columns of a row that are stored, and how their values travel.
    pub columns: Box<[Pulled]>,
}

/// A move bound to the value that the key is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where rows with the new key belong.
    pub to: Target,
    /// The new key, as what stands behind the column in a condition: `=5`, ` IS NULL`. No setting changes its meaning.
    pub is: Vec<u8>,
}

impl Move {
    /// Appends the SELECT of the rows on a target that got the new key.
    pub fn put_select(&self, name: Name<'_>, moved: &Moved, out: &mut Vec<u8>) {
        for (index, column) in self.columns.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"SELECT " } else { b"," });
            column.form.put_expression(&column.name, out);
        }
        self.put_condition(name, moved, out);
        out.extend_from_slice(b" FOR UPDATE");
    }

    /// Appends the DELETE of the same rows.
    pub fn put_delete(&self, name: Name<'_>, moved: &Moved, out: &mut Vec<u8>) {
        out.extend_from_slice(b"DELETE");
        self.put_condition(name, moved, out);
    }

    fn put_condition(&self, name: Name<'_>, moved: &Moved, out: &mut Vec<u8>) {
        out.extend_from_slice(b" FROM ");
        put_name(name.physical_schema, name.physical, out);
        out.extend_from_slice(b" WHERE ");
        quote(self.key.as_bytes(), out);
        out.extend_from_slice(&moved.is);
    }

    /// Appends the INSERT for rows on a target, up to the word VALUES.
    pub fn put_insert(&self, name: Name<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"INSERT INTO ");
        put_name(name.physical_schema, name.physical, out);
        for (index, column) in self.columns.iter().enumerate() {
            out.push(if index == 0 { b'(' } else { b',' });
            quote(column.name.as_bytes(), out);
        }
        out.extend_from_slice(b") VALUES ");
    }

    /// Appends the question whether more hangs on the rows than they themselves: triggers that would fire for the move,
    /// foreign keys that change other rows with the key. Its answer is a row with both numbers.
    pub fn put_question(&self, name: Name<'_>, out: &mut Vec<u8>) {
        let text = |text: &str, out: &mut Vec<u8>| crate::plan::text::put_hex(b"_utf8mb4 x'", text.as_bytes(), out);
        out.extend_from_slice(
            b"SELECT (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_MANIPULATION<>'UPDATE' AND \
              EVENT_OBJECT_SCHEMA=",
        );
        text(name.physical_schema, out);
        out.extend_from_slice(b" AND EVENT_OBJECT_TABLE=");
        text(name.physical, out);
        out.extend_from_slice(
            b"),(SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE UPDATE_RULE NOT IN \
              ('RESTRICT','NO ACTION') AND UNIQUE_CONSTRAINT_SCHEMA=",
        );
        text(name.physical_schema, out);
        out.extend_from_slice(b" AND REFERENCED_TABLE_NAME=");
        text(name.physical, out);
        out.push(b')');
    }
}
