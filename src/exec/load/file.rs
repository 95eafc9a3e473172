//! The client's file as far as it has come, and up to where it was cut into rows. It knows no target.

use crate::plan::load::{Encoding, Load};
use crate::value::delimited::{Field, Found};

/// A place in the file.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    pub(super) rows: u64,
    /// None: rows are not what IGNORE takes for lines.
    pub(super) lines: Option<u64>,
}

/// The file as far as it has come.
#[derive(Default)]
pub(super) struct File {
    bytes: Vec<u8>,
    /// Up to here it was cut.
    at: usize,
    /// So many bytes are needed before it is worth while to look for a line again.
    enough: usize,
    pub(super) asked: bool,
    /// The client has sent all of it.
    pub(super) ended: bool,
    /// No more of it is wanted.
    pub(super) stopped: bool,
    /// Lines that are still to be ignored.
    ignored: u64,
    /// Up to where it was cut.
    pub(super) cut: Mark,
}

/// What is next in it.
pub(super) enum Next {
    /// A row of so many bytes.
    Line(usize),
    /// A row, or a line to be ignored, that is no text.
    Unsound,
    /// Nothing, or nothing yet.
    Nothing,
}

impl File {
    /// A file whose first lines are ignored.
    pub(super) fn new(ignored: u64) -> File {
        File { ignored, cut: Mark { rows: 0, lines: Some(ignored) }, ..File::default() }
    }

    /// Bytes that were not cut.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Whether nothing comes any more.
    pub(super) fn is_over(&self) -> bool {
        self.ended && self.at == self.bytes.len()
    }

    /// Takes a packet in; an empty one ends it.
    pub(super) fn receive(&mut self, packet: &[u8]) {
        self.ended = packet.is_empty();
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(packet);
    }

    /// Looks for the next row behind the lines that are ignored.
    pub(super) fn next(&mut self, load: &Load, encoding: Encoding, fields: &mut Vec<Field>) -> Next {
        while !self.is_over() && (self.ended || self.rest().len() >= self.enough) {
            let found = match self.ignored {
                0 => load.format.line(self.rest(), self.ended, load.width, &load.wanted, fields),
                _ => load.format.ignored(self.rest(), self.ended),
            };
            match found {
                Found::Line(bytes) if !encoding.is_sound(&self.rest()[..bytes]) => return Next::Unsound,
                Found::Line(bytes) if self.ignored == 0 => return Next::Line(bytes),
                Found::Line(bytes) => {
                    self.ignored -= 1;
                    self.take(bytes);
                }
                Found::End => self.take(self.rest().len()),
                // Looked at again when it has grown by half, so that a long row is not looked at for ever.
                Found::More => self.enough = self.rest().len() + self.rest().len() / 2 + 1,
            }
        }
        Next::Nothing
    }

    /// Steps over the row that was found.
    pub(super) fn pass(&mut self, bytes: usize, load: &Load) {
        if load.commit.is_some() {
            self.cut.lines = self.cut.lines.and_then(|lines| Some(lines + self.lines_in(bytes, load)?));
        }
        self.cut.rows += 1;
        self.take(bytes);
    }

    /// How many lines the next row is to IGNORE n LINES, which knows no quotes; none if they do not end where it does.
    fn lines_in(&self, bytes: usize, load: &Load) -> Option<u64> {
        let (row, behind) = self.rest().split_at(bytes);
        let (mut at, mut lines) = (0, 0);
        while at < row.len() {
            lines += 1;
            match load.format.ignored(&row[at..], true) {
                Found::Line(bytes) => at += bytes,
                Found::End if self.ended && behind.is_empty() => return Some(lines),
                _ => return None,
            }
        }
        Some(lines)
    }

    fn take(&mut self, bytes: usize) {
        self.at += bytes;
        self.enough = 0;
    }
}
