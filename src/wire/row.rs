//! Rows of both protocols: found cell by cell without decoding, put together from cells, turned into each other.
//! It knows no answer around them.

use crate::wire::cursor::{Cursor, put_lenenc_bytes};
use crate::wire::error::WireError;
use crate::wire::value::{Coding, Shape, Value};

/// The two forms of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowForm {
    /// Cells are length-encoded strings; 0xFB is NULL.
    Text,
    /// A zero byte, a bitmap of NULLs, and cells encoded by their types.
    Binary,
}

/// Where a cell stands in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Where the encoded cell begins.
    at: u32,
    /// The bytes of the length before the content.
    prefix: u8,
    /// The cell is NULL.
    null: bool,
    /// The bytes of the content.
    len: u32,
}

impl Cell {
    /// Whether the cell is NULL.
    pub fn is_null(&self) -> bool {
        self.null
    }

    /// Where the cell begins in its row.
    pub fn start(&self) -> usize {
        self.at as usize
    }

    /// The cell as it stands in the row, to be put into another row of the same form; for NULL see [`RowWriter`].
    pub fn raw<'a>(&self, row: &'a [u8]) -> &'a [u8] {
        &row[self.at as usize..][..usize::from(self.prefix) + self.len as usize]
    }

    /// The content without its length; `None` for NULL. In the binary form, what it means depends on the type.
    pub fn content<'a>(&self, row: &'a [u8]) -> Option<&'a [u8]> {
        (!self.null).then(|| &row[self.at as usize + usize::from(self.prefix)..][..self.len as usize])
    }

    /// The value.
    pub fn value<'a>(&self, row: &'a [u8], form: RowForm, shape: Shape) -> Result<Value<'a>, WireError> {
        match (form, self.content(row)) {
            (_, None) => Ok(Value::Null),
            (RowForm::Text, Some(text)) => Value::of_text(text, shape),
            (RowForm::Binary, Some(_)) => Value::decode(&mut Cursor::new("binary row", self.raw(row)), shape),
        }
    }
}

/// The length of the NULL bitmap of a binary row; its first two bits are not used.
fn bitmap_len(columns: usize) -> usize {
    (columns + 9) / 8
}

/// The cells of a row of the text protocol, however many there are; `None` is NULL.
///
/// # Errors
/// If it is cut short.
pub fn text_cells(row: &[u8]) -> Result<Vec<Option<&[u8]>>, WireError> {
    let mut cursor = Cursor::new("text row", row);
    let mut cells = Vec::new();
    while !cursor.is_empty() {
        cells.push(cursor.lenenc_or_null()?);
    }
    Ok(cells)
}

/// Finds the cells of a row; `cells` is filled anew.
///
/// # Errors
/// [`WireError::Malformed`] if the row does not have exactly these columns.
pub fn split(row: &[u8], form: RowForm, shapes: &[Shape], cells: &mut Vec<Cell>) -> Result<(), WireError> {
    split_first(row, form, shapes, shapes.len(), cells)
}

/// Finds the first `count` cells of a row; what is behind them is looked at only if these are all.
///
/// # Errors
/// [`WireError::Malformed`] if the row does not have these columns.
pub fn split_first(
    row: &[u8],
    form: RowForm,
    shapes: &[Shape],
    count: usize,
    cells: &mut Vec<Cell>,
) -> Result<(), WireError> {
    cells.clear();
    let end = match form {
        RowForm::Text => split_text(row, count, cells)?,
        RowForm::Binary => split_binary(row, shapes, count, cells)?,
    };
    if count < shapes.len() { Ok(()) } else { end.end() }
}

/// Appends the first `keep` cells of a row as a row of their own, given where the next one begins (or the row's end).
pub fn put_first(row: &[u8], form: RowForm, columns: usize, keep: usize, end: usize, out: &mut Vec<u8>) {
    if form == RowForm::Text || keep == columns {
        out.extend_from_slice(&row[..end]);
        return;
    }
    let start = out.len();
    out.extend_from_slice(&row[..1 + bitmap_len(keep)]);
    let used = (keep + 2) % 8;
    if used != 0 {
        out[start + bitmap_len(keep)] &= (1 << used) - 1;
    }
    out.extend_from_slice(&row[1 + bitmap_len(columns)..end]);
}

/// Gives what is left behind the cells.
fn split_text<'a>(row: &'a [u8], count: usize, cells: &mut Vec<Cell>) -> Result<Cursor<'a>, WireError> {
    let mut cursor = Cursor::new("text row", row);
    for _ in 0..count {
        let at = row.len() - cursor.remaining().len();
        let content = cursor.lenenc_or_null()?;
        let len = content.map_or(0, <[u8]>::len);
        let whole = row.len() - cursor.remaining().len() - at;
        cells.push(cell(at, whole - len, len, content.is_none()));
    }
    Ok(cursor)
}

/// Gives what is left behind the cells.
fn split_binary<'a>(
    row: &'a [u8],
    shapes: &[Shape],
    count: usize,
    cells: &mut Vec<Cell>,
) -> Result<Cursor<'a>, WireError> {
    let mut cursor = Cursor::new("binary row", row);
    if cursor.u8()? != 0 {
        return Err(cursor.malformed());
    }
    let bitmap = cursor.bytes(bitmap_len(shapes.len()))?;
    for (i, shape) in shapes.iter().enumerate().take(count) {
        let null = bitmap[(i + 2) / 8] & 1 << ((i + 2) % 8) != 0;
        let at = row.len() - cursor.remaining().len();
        let (prefix, len) = if null { (0, 0) } else { skip(&mut cursor, *shape)? };
        cells.push(cell(at, prefix, len, null));
    }
    Ok(cursor)
}

/// Steps over a binary value, and tells the bytes of its length and of its content.
fn skip(cursor: &mut Cursor<'_>, shape: Shape) -> Result<(usize, usize), WireError> {
    let before = cursor.remaining().len();
    Ok(match shape.coding().ok_or_else(|| cursor.malformed())? {
        Coding::Nothing => return Err(cursor.malformed()),
        Coding::Integer(len) => (0, cursor.bytes(usize::from(len))?.len()),
        Coding::Float => (0, cursor.bytes(4)?.len()),
        Coding::Double => (0, cursor.bytes(8)?.len()),
        Coding::Date | Coding::DateTime | Coding::Time => {
            let len = usize::from(cursor.u8()?);
            (1, cursor.bytes(len)?.len())
        }
        Coding::Bytes => {
            let len = cursor.lenenc_bytes()?.len();
            (before - cursor.remaining().len() - len, len)
        }
    })
}

fn cell(at: usize, prefix: usize, len: usize, null: bool) -> Cell {
    // A packet is shorter than 4 GB: the limit of a link is an option of 1 GB at most.
    Cell { at: at as u32, prefix: prefix as u8, len: len as u32, null }
}

/// Puts a row together, cell by cell, behind what `out` holds.
#[derive(Debug)]
pub struct RowWriter<'a> {
    out: &'a mut Vec<u8>,
    form: RowForm,
    bitmap: usize,
    column: usize,
}

impl<'a> RowWriter<'a> {
    /// Begins a row of so many columns.
    pub fn new(out: &'a mut Vec<u8>, form: RowForm, columns: usize) -> RowWriter<'a> {
        let bitmap = out.len() + 1;
        if form == RowForm::Binary {
            out.resize(bitmap + bitmap_len(columns), 0);
        }
        RowWriter { out, form, bitmap, column: 0 }
    }

    /// A NULL.
    pub fn null(&mut self) {
        match self.form {
            RowForm::Text => self.out.push(0xFB),
            RowForm::Binary => self.out[self.bitmap + (self.column + 2) / 8] |= 1 << ((self.column + 2) % 8),
        }
        self.column += 1;
    }

    /// A cell of another row of the same form and type.
    pub fn cell(&mut self, row: &[u8], cell: &Cell) {
        if cell.is_null() {
            return self.null();
        }
        self.raw(cell.raw(row));
    }

    /// A cell that is not NULL, as [`Cell::raw`] gave it, of a row of the same form and type.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
        self.column += 1;
    }

    /// A string, in either form.
    pub fn bytes(&mut self, bytes: &[u8]) {
        put_lenenc_bytes(self.out, bytes);
        self.column += 1;
    }

    /// Any value.
    ///
    /// # Errors
    /// [`WireError::Malformed`] if the value is not of this shape; the row is then of no use.
    pub fn value(&mut self, value: &Value<'_>, shape: Shape) -> Result<(), WireError> {
        match (value, self.form) {
            (Value::Null, _) => self.null(),
            (Value::Bytes(bytes), RowForm::Text) => self.bytes(bytes),
            (value, RowForm::Text) => {
                // No number or time is longer than 250 characters but a DOUBLE with 30 decimals.
                let head = self.out.len();
                self.out.push(0);
                value.put_text(shape, self.out);
                let len = self.out.len() - head - 1;
                if len <= 250 {
                    self.out[head] = len as u8;
                } else {
                    let text = self.out.split_off(head + 1);
                    self.out.truncate(head);
                    put_lenenc_bytes(self.out, &text);
                }
                self.column += 1;
            }
            (value, RowForm::Binary) => {
                value.encode(shape, self.out)?;
                self.column += 1;
            }
        }
        Ok(())
    }
}

/// Turns a row of one form into the other, behind what `out` holds; `cells` is room to work in.
pub fn convert(
    row: &[u8],
    from: RowForm,
    to: RowForm,
    shapes: &[Shape],
    cells: &mut Vec<Cell>,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    if from == to {
        out.extend_from_slice(row);
        return Ok(());
    }
    split(row, from, shapes, cells)?;
    let mut writer = RowWriter::new(out, to, shapes.len());
    for (cell, &shape) in cells.iter().zip(shapes) {
        writer.value(&cell.value(row, from, shape)?, shape)?;
    }
    Ok(())
}

/// Appends a row of the binary protocol whose cells have other shapes, such as whole numbers of another width; `cells` is
/// room to work in.
///
/// # Errors
/// [`WireError::Malformed`] if the row is not of these columns, or a value does not fit into its new shape.
pub fn recast(
    row: &[u8],
    from: &[Shape],
    to: &[Shape],
    cells: &mut Vec<Cell>,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    split(row, RowForm::Binary, from, cells)?;
    let mut writer = RowWriter::new(out, RowForm::Binary, to.len());
    for ((cell, &from), &to) in cells.iter().zip(from).zip(to) {
        match from.coding() == to.coding() {
            true => writer.cell(row, cell),
            false => writer.value(&cell.value(row, RowForm::Binary, from)?, to)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::wire::column::ColumnType;

    fn shapes(types: &[ColumnType]) -> Vec<Shape> {
        types.iter().map(|&ty| Shape::of_param(ty, false)).collect()
    }

    #[test]
    fn whole_numbers_get_another_width() {
        let types = |types: &[ColumnType]| -> Vec<Shape> { shapes(types) };
        let (from, to) = (
            types(&[
                ColumnType::LONG,
                ColumnType::LONGLONG,
                ColumnType::VAR_STRING,
                ColumnType::YEAR,
                ColumnType::SHORT,
            ]),
            types(&[
                ColumnType::LONGLONG,
                ColumnType::TINY,
                ColumnType::VAR_STRING,
                ColumnType::LONG,
                ColumnType::TINY,
            ]),
        );
        let put = |shapes: &[Shape], number: i64| {
            let mut row = Vec::new();
            let mut writer = RowWriter::new(&mut row, RowForm::Binary, shapes.len());
            writer.value(&Value::Int(-2), shapes[0]).unwrap();
            writer.value(&Value::Int(number), shapes[1]).unwrap();
            writer.bytes(b"foobar");
            writer.value(&Value::Int(2001), shapes[3]).unwrap();
            writer.null();
            row
        };
        let (mut cells, mut out) = (Vec::new(), Vec::new());
        recast(&put(&from, -128), &from, &to, &mut cells, &mut out).unwrap();
        assert_eq!(out, put(&to, -128));
        assert!(recast(&put(&from, 128), &from, &to, &mut cells, &mut out).is_err());
    }

    #[test]
    fn a_row_of_the_manual() {
        // https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html
        let row = b"\0\0\x06foobar";
        let shapes = shapes(&[ColumnType::VAR_STRING]);
        let mut cells = Vec::new();
        split(row, RowForm::Binary, &shapes, &mut cells).unwrap();
        assert_eq!(cells[0].content(row), Some(&b"foobar"[..]));
        let mut text = Vec::new();
        convert(row, RowForm::Binary, RowForm::Text, &shapes, &mut cells, &mut text).unwrap();
        assert_eq!(text, b"\x06foobar");
    }

    #[test]
    fn rows_must_have_their_columns_exactly() {
        let three = shapes(&[ColumnType::LONG, ColumnType::VAR_STRING, ColumnType::DATE]);
        let mut cells = Vec::new();
        let text = b"\x0212\xFB\x0A2024-01-31";
        split(text, RowForm::Text, &three, &mut cells).unwrap();
        assert_eq!(cells.iter().map(|cell| cell.raw(text)).collect::<Vec<_>>().concat(), text);
        assert!(cells[1].is_null() && cells[1].content(text).is_none());
        let binary = b"\0\x08\x0C\0\0\0\x04\xE8\x07\x01\x1F";
        let mut out = Vec::new();
        convert(text, RowForm::Text, RowForm::Binary, &three, &mut cells, &mut out).unwrap();
        assert_eq!(out, binary);
        for (row, form) in [(&text[..], RowForm::Text), (binary, RowForm::Binary)] {
            for cut in 0..row.len() {
                assert!(split(&row[..cut], form, &three, &mut cells).is_err());
            }
            assert!(split(&[row, &[0]].concat(), form, &three, &mut cells).is_err());
        }
        assert!(split(b"\x01\0", RowForm::Binary, &shapes(&[ColumnType::TINY]), &mut cells).is_err());
    }

    #[test]
    fn the_first_cells_make_a_row_too() {
        let types = [ColumnType::TINY; 16];
        let all = shapes(&types);
        let numbers: Vec<Value<'_>> = (0..16).map(|n| if n % 3 == 0 { Value::Null } else { Value::Int(n) }).collect();
        let row = |form, keep: usize| {
            let mut row = Vec::new();
            let mut writer = RowWriter::new(&mut row, form, keep);
            numbers[..keep].iter().zip(&all).for_each(|(value, shape)| writer.value(value, *shape).unwrap());
            row
        };
        let mut cells = Vec::new();
        for form in [RowForm::Text, RowForm::Binary] {
            for keep in 0..16 {
                let whole = row(form, 16);
                split_first(&whole, form, &all, keep + 1, &mut cells).unwrap();
                let mut out = b"before".to_vec();
                put_first(&whole, form, 16, keep, cells[keep].start(), &mut out);
                assert_eq!(out[6..], row(form, keep), "{form:?} {keep}");
            }
        }
    }

    #[test]
    fn long_numbers_keep_their_length() {
        // 309 digits before the point: longer than one byte of length can say.
        let shape = Shape { decimals: 2, ..Shape::of_param(ColumnType::DOUBLE, false) };
        let mut row = Vec::new();
        RowWriter::new(&mut row, RowForm::Text, 1).value(&Value::Double(f64::MAX), shape).unwrap();
        assert_eq!(row[..3], [0xFC, 0x38, 0x01]);
        let mut cells = Vec::new();
        split(&row, RowForm::Text, &[shape], &mut cells).unwrap();
        assert_eq!(cells[0].value(&row, RowForm::Text, shape).unwrap(), Value::Double(f64::MAX));
    }

    proptest! {
        #[test]
        fn rows_go_there_and_back(
            numbers in proptest::collection::vec(proptest::option::of(any::<i64>()), 0..20),
            texts in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)), 0..20),
        ) {
            let mut row = Vec::new();
            let mut writer = RowWriter::new(&mut row, RowForm::Binary, numbers.len() + texts.len());
            let mut types = vec![ColumnType::LONGLONG; numbers.len()];
            types.resize(numbers.len() + texts.len(), ColumnType::BLOB);
            let shapes = shapes(&types);
            for number in &numbers {
                writer.value(&number.map_or(Value::Null, Value::Int), shapes[0]).unwrap();
            }
            for text in &texts {
                match text {
                    None => writer.null(),
                    Some(text) => writer.bytes(text),
                }
            }
            let (mut text, mut back, mut cells) = (Vec::new(), Vec::new(), Vec::new());
            convert(&row, RowForm::Binary, RowForm::Text, &shapes, &mut cells, &mut text).unwrap();
            convert(&text, RowForm::Text, RowForm::Binary, &shapes, &mut cells, &mut back).unwrap();
            prop_assert_eq!(&back, &row);

            // The same again, from cells.
            split(&row, RowForm::Binary, &shapes, &mut cells).unwrap();
            let mut copy = Vec::new();
            let mut writer = RowWriter::new(&mut copy, RowForm::Binary, cells.len());
            cells.iter().for_each(|cell| writer.cell(&row, cell));
            prop_assert_eq!(copy, row);
        }

        #[test]
        fn random_bytes_never_panic(
            row in proptest::collection::vec(any::<u8>(), 0..60),
            types in proptest::collection::vec(any::<u8>(), 0..10),
        ) {
            let shapes = shapes(&types.iter().map(|&ty| ColumnType(ty)).collect::<Vec<_>>());
            let (mut cells, mut out) = (Vec::new(), Vec::new());
            for (from, to) in [(RowForm::Text, RowForm::Binary), (RowForm::Binary, RowForm::Text)] {
                let _ = convert(&row, from, to, &shapes, &mut cells, &mut out);
            }
        }
    }
}
