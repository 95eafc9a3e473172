//! Lines that were cut out of a file and belong to one target, with the numbers that their rows have in the file.

/// What a row takes beside its bytes.
pub(super) const ROW: usize = size_of::<Row>();

/// Lines of a target.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) data: Vec<u8>,
    pub(super) rows: Vec<Row>,
}

impl Pending {
    /// Leaves out the rows from this number of the file on.
    pub(super) fn cut_off(&mut self, number: u64) {
        self.rows.truncate(self.rows.partition_point(|row| row.number < number));
        self.data.truncate(self.rows.last().map_or(0, |row| row.end));
    }
}

/// A row of a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its number in the file, from 1 on.
    pub(super) number: u64,
    /// Where it ends among the target's lines.
    pub(super) end: usize,
}

impl Pending {
    /// What it takes in memory.
    pub(super) fn size(&self) -> usize {
        self.data.len() + ROW * self.rows.len()
    }

    /// Adds a row.
    pub(super) fn push(&mut self, number: u64, line: &[u8]) {
        self.data.extend_from_slice(line);
        self.rows.push(Row { number, end: self.data.len() });
    }
}
