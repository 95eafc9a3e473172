//! Where the cells of an encoded row lie, in the text format and in the binary one; it knows no value.

use crate::error::SqlError;
use crate::wire::column::{ColumnDef, ColumnType};
use crate::wire::cursor::Cursor;
use crate::wire::error::WireError;

/// How the rows of an answer are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// The answer to COM_QUERY: every value as text.
    Text,
    /// The answer to COM_STMT_EXECUTE and COM_STMT_FETCH: NULL bits, then values by type.
    Binary,
}

/// Where one cell lies in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The first byte of the cell, its length prefix included.
    raw: u32,
    /// The first byte of its value; [`Span::NULL`] where there is none.
    value: u32,
    /// The byte behind it.
    end: u32,
}

impl Span {
    const NULL: u32 = u32::MAX;

    /// The value, without its length prefix; none if NULL.
    pub(super) fn value<'a>(&self, row: &'a [u8]) -> Option<&'a [u8]> {
        (self.value != Span::NULL).then(|| &row[self.value as usize..self.end as usize])
    }

    /// The whole cell as it stands in the row; empty for a NULL of the binary format.
    pub(super) fn raw<'a>(&self, row: &'a [u8]) -> &'a [u8] {
        &row[self.raw as usize..self.end as usize]
    }

    /// Where the cell begins in the row.
    pub(super) fn start(&self) -> usize {
        self.raw as usize
    }
}

/// How the length of a cell is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// By a length-encoded integer, or 0xFB for NULL.
    Lenenc,
    /// By its type.
    Fixed(u8),
    /// By one byte: temporal values of the binary format.
    Byte,
}

/// The layout of all rows of one answer.
#[derive(Debug)]
pub(super) struct Layout {
    format: RowFormat,
    extents: Box<[Extent]>,
    visible: usize,
}

impl Layout {
    /// `visible` of the columns are the client's, the others stand behind them.
    pub(super) fn new(format: RowFormat, columns: &[ColumnDef], visible: usize) -> Layout {
        let extent = |column: &ColumnDef| match format {
            RowFormat::Text => Extent::Lenenc,
            RowFormat::Binary => binary_extent(column.ty),
        };
        Layout { format, extents: columns.iter().map(extent).collect(), visible }
    }

    pub(super) fn format(&self) -> RowFormat {
        self.format
    }

    /// The number of columns, hidden ones included.
    pub(super) fn columns(&self) -> usize {
        self.extents.len()
    }

    /// The number of columns that the client gets.
    pub(super) fn visible(&self) -> usize {
        self.visible
    }

    /// How many cells have to be located so that [`Layout::cut`] knows where the client's end.
    pub(super) fn needed_to_cut(&self) -> usize {
        if self.visible < self.extents.len() { self.visible + 1 } else { 0 }
    }

    /// Finds the first `count` cells of a row; what `spans` held is replaced.
    pub(super) fn locate(&self, row: &[u8], count: usize, spans: &mut Vec<Span>) -> Result<(), SqlError> {
        spans.clear();
        let located = match self.format {
            RowFormat::Text => self.locate_text(row, count, spans),
            RowFormat::Binary => self.locate_binary(row, count, spans),
        };
        match located {
            Some(end) if u32::try_from(row.len()).is_ok() && (count < self.columns() || end == row.len()) => Ok(()),
            _ => Err(malformed()),
        }
    }

    fn locate_text(&self, row: &[u8], count: usize, spans: &mut Vec<Span>) -> Option<usize> {
        let mut at = 0;
        for _ in 0..count {
            let span = if *row.get(at)? == NULL_CELL {
                Span { raw: at as u32, value: Span::NULL, end: at as u32 + 1 }
            } else {
                prefixed(row, at)?
            };
            at = span.end as usize;
            spans.push(span);
        }
        Some(at)
    }

    fn locate_binary(&self, row: &[u8], count: usize, spans: &mut Vec<Span>) -> Option<usize> {
        let header = binary_header(self.columns());
        let nulls = row.get(1..header)?;
        let mut at = header;
        for (index, extent) in self.extents[..count].iter().enumerate() {
            let bit = index + NULL_BITS_OFFSET;
            let span = if nulls[bit / 8] & 1 << (bit % 8) != 0 {
                Span { raw: at as u32, value: Span::NULL, end: at as u32 }
            } else {
                match *extent {
                    Extent::Lenenc => prefixed(row, at)?,
                    Extent::Fixed(width) => span(row, at, at, usize::from(width))?,
                    Extent::Byte => span(row, at, at + 1, usize::from(*row.get(at)?))?,
                }
            };
            at = span.end as usize;
            spans.push(span);
        }
        Some(at)
    }

    /// Where the client's cells end, given the first [`Layout::needed_to_cut`] cells.
    pub(super) fn cut(&self, row: &[u8], spans: &[Span]) -> usize {
        if self.visible < self.extents.len() { spans[self.visible].start() } else { row.len() }
    }

    /// Appends the row without its hidden columns, given where these begin.
    pub(super) fn project(&self, row: &[u8], cut: usize, out: &mut Vec<u8>) {
        if self.format == RowFormat::Text || self.visible == self.extents.len() {
            out.extend_from_slice(&row[..cut]);
            return;
        }
        let header = binary_header(self.visible);
        let start = out.len();
        out.extend_from_slice(&row[..header]);
        let used = (self.visible + NULL_BITS_OFFSET) % 8;
        if used != 0 {
            out[start + header - 1] &= (1 << used) - 1;
        }
        out.extend_from_slice(&row[binary_header(self.extents.len())..cut]);
    }
}

/// Writes one row cell by cell.
#[derive(Debug)]
pub(super) struct RowWriter<'a> {
    format: RowFormat,
    row: &'a mut Vec<u8>,
    index: usize,
}

impl<'a> RowWriter<'a> {
    /// Begins a row in `row`, which is emptied.
    pub(super) fn new(layout: &Layout, row: &'a mut Vec<u8>) -> RowWriter<'a> {
        row.clear();
        if layout.format == RowFormat::Binary {
            row.resize(binary_header(layout.columns()), 0);
        }
        RowWriter { format: layout.format, row, index: 0 }
    }

    pub(super) fn format(&self) -> RowFormat {
        self.format
    }

    /// The next cell as it stood in another row of the same format; none: NULL.
    pub(super) fn cell(&mut self, raw: Option<&[u8]>) {
        match (raw, self.format) {
            (Some(raw), _) => self.row.extend_from_slice(raw),
            (None, RowFormat::Text) => self.row.push(NULL_CELL),
            (None, RowFormat::Binary) => {
                let bit = self.index + NULL_BITS_OFFSET;
                self.row[1 + bit / 8] |= 1 << (bit % 8);
            }
        }
        self.index += 1;
    }

    /// The next cell: a text of at most 250 bytes behind its length.
    pub(super) fn prefixed(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.row.len();
        self.row.push(0);
        write(self.row);
        debug_assert!(self.row.len() - start <= usize::from(NULL_CELL));
        self.row[start] = (self.row.len() - start - 1) as u8;
        self.index += 1;
    }

    /// The next cell: a number of the binary format.
    pub(super) fn fixed(&mut self, bytes: &[u8]) {
        self.row.extend_from_slice(bytes);
        self.index += 1;
    }
}

/// The byte that stands for a NULL in the text format.
const NULL_CELL: u8 = 0xFB;
/// The first two NULL bits of a binary row are not used.
const NULL_BITS_OFFSET: usize = 2;

/// The bytes before the first value of a binary row: a zero and the NULL bits.
fn binary_header(columns: usize) -> usize {
    1 + (columns + NULL_BITS_OFFSET).div_ceil(8)
}

/// See <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>.
fn binary_extent(ty: ColumnType) -> Extent {
    match ty {
        ColumnType::TINY => Extent::Fixed(1),
        ColumnType::SHORT | ColumnType::YEAR => Extent::Fixed(2),
        ColumnType::LONG | ColumnType::INT24 | ColumnType::FLOAT => Extent::Fixed(4),
        ColumnType::LONGLONG | ColumnType::DOUBLE => Extent::Fixed(8),
        ColumnType::DATE | ColumnType::NEWDATE | ColumnType::DATETIME | ColumnType::TIMESTAMP | ColumnType::TIME => {
            Extent::Byte
        }
        ColumnType::NULL => Extent::Fixed(0),
        _ => Extent::Lenenc,
    }
}

/// A cell with a length-encoded prefix.
fn prefixed(row: &[u8], at: usize) -> Option<Span> {
    let first = *row.get(at)?;
    if first < NULL_CELL {
        return span(row, at, at + 1, usize::from(first));
    }
    let mut cursor = Cursor::new("row", &row[at..]);
    let length = usize::try_from(cursor.lenenc().ok()?).ok()?;
    span(row, at, row.len() - cursor.remaining().len(), length)
}

fn span(row: &[u8], raw: usize, value: usize, length: usize) -> Option<Span> {
    let end = value.checked_add(length).filter(|&end| end <= row.len())?;
    Some(Span { raw: raw as u32, value: value as u32, end: end as u32 })
}

/// The error for a row that is not what its columns say.
pub(super) fn malformed() -> SqlError {
    WireError::Malformed { packet: "row of a server" }.into()
}
