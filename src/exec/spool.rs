//! Rows that a cursor over several targets holds until they are fetched: the first in memory, the rest in a temporary
//! file without a name. A server's own cursors are materialised in the same way. It does not look into rows.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use crate::error::SqlError;

/// Bytes that are collected before they go to the file.
const CHUNK: usize = 256 << 10;

/// Rows on their way in.
#[derive(Debug)]
pub struct Spool {
    /// Rows not in the file yet, each behind its length.
    last: Vec<u8>,
    file: Option<File>,
    /// Bytes in the file.
    filed: u64,
    limit: usize,
}

/// Rows on their way out, in the order they came in.
#[derive(Debug)]
pub struct Spooled {
    file: Option<io::Take<BufReader<File>>>,
    last: Vec<u8>,
    /// Up to here `last` was given out.
    at: usize,
}

impl Spool {
    /// For at most `limit` bytes.
    pub fn new(limit: usize) -> Spool {
        Spool { last: Vec::new(), file: None, filed: 0, limit }
    }

    /// Takes a row.
    ///
    /// Errors: 1235 above the limit; 1026 if there is no room for the file.
    pub fn push(&mut self, row: &[u8]) -> Result<(), SqlError> {
        self.last.extend_from_slice(&(row.len() as u32).to_le_bytes());
        self.last.extend_from_slice(row);
        let held = self.filed + self.last.len() as u64;
        if held > self.limit as u64 {
            return Err(SqlError::refuse(format!(
                "The cursor's rows need more than {} bytes (limits.cursor): add a LIMIT, or read without a cursor",
                self.limit
            )));
        }
        if self.last.len() >= CHUNK { self.write().map_err(failed) } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        // Into the page cache: too quick to be worth another thread.
        file.write_all(&self.last)?;
        self.filed += self.last.len() as u64;
        self.last.clear();
        Ok(())
    }

    /// No more rows come.
    pub fn finish(self) -> Result<Spooled, SqlError> {
        let file = match self.file {
            None => None,
            Some(mut file) => {
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                Some(BufReader::with_capacity(CHUNK / 4, file).take(self.filed))
            }
        };
        Ok(Spooled { file, last: self.last, at: 0 })
    }
}

impl Spooled {
    /// Appends the next row to `out`; `false` if there is none.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<bool, SqlError> {
        if let Some(file) = &mut self.file {
            if file.limit() > 0 {
                let mut len = [0; 4];
                file.read_exact(&mut len).map_err(failed)?;
                let (from, len) = (out.len(), u32::from_le_bytes(len) as usize);
                out.resize(from + len, 0);
                file.read_exact(&mut out[from..]).map_err(failed)?;
                return Ok(true);
            }
            self.file = None;
        }
        let Some((len, rest)) = self.last[self.at..].split_first_chunk::<4>() else { return Ok(false) };
        let len = u32::from_le_bytes(*len) as usize;
        out.extend_from_slice(&rest[..len]);
        self.at += 4 + len;
        Ok(true)
    }
}

/// Error 1026 of a temporary file.
fn failed(error: io::Error) -> SqlError {
    let message = format!("Error writing the rows of a cursor to a temporary file of the proxy: {error}");
    SqlError { errno: 1026, state: *b"HY000", message }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_come_out_as_they_went_in() {
        for (rows, len) in [(0, 0), (1, 0), (3, 10), (5000, 200), (3, 300_000)] {
            let mut spool = Spool::new(100 << 20);
            let row = |i: usize| vec![i as u8; len + i % 7];
            for i in 0..rows {
                spool.push(&row(i)).unwrap();
            }
            let mut spooled = spool.finish().unwrap();
            let mut out = Vec::new();
            for i in 0..rows {
                out.clear();
                assert!(spooled.next(&mut out).unwrap());
                assert_eq!(out, row(i));
            }
            assert!(!spooled.next(&mut out).unwrap() && !spooled.next(&mut out).unwrap());
        }
    }

    #[test]
    fn a_limit_is_kept() {
        let mut spool = Spool::new(20);
        spool.push(&[1; 10]).unwrap();
        assert_eq!(spool.push(&[1; 10]).unwrap_err().errno, 1235);
    }
}
