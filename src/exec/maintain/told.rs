//! What places say of their tables, put together: rows of one logical table as one server would give them. It asks nobody.

use crate::exec::names::logical;
use crate::plan::render::Name;
use crate::sql::head::Admin;
use crate::wire::row::{RowForm, RowWriter};

/// What a server warned of: level, number and sentence with the client's names.
pub type Warning = (String, u16, String);

/// Cells of a row as the text protocol has them, `None` for NULL.
pub(super) type Cells = Vec<Option<Vec<u8>>>;

/// What a place says of a table.
#[derive(Debug)]
pub(super) struct Said {
    /// `g0/3`, as EXPLAIN SHARDLOOM writes it.
    pub(super) place: String,
    /// With the client's names.
    pub(super) rows: Vec<Cells>,
    /// What it warns of.
    pub(super) warnings: Vec<Warning>,
}

/// The row with the client's names: in front the table, at the end a sentence.
pub(super) fn renamed(cells: &[Option<&[u8]>], name: &Name<'_>) -> Cells {
    let mut cells: Cells = cells.iter().map(|cell| cell.map(<[u8]>::to_vec)).collect();
    if let Some(Some(first)) = cells.first_mut()
        && *first == format!("{}.{}", name.physical_schema, name.physical).into_bytes()
    {
        *first = format!("{}.{}", name.schema, name.table).into_bytes();
    }
    if let [_, .., Some(last)] = cells.as_mut_slice()
        && let Ok(message) = std::str::from_utf8(last)
    {
        *last = logical(message, std::iter::once(*name)).into_bytes();
    }
    cells
}

/// The rows of all tables, of each of which its places have said something.
pub(super) fn together(verb: Admin, said: Vec<Vec<Said>>) -> Vec<Cells> {
    let of_table = |said: Vec<Said>| match verb {
        Admin::Checksum => sum(&said).into_iter().collect(),
        _ => messages(said),
    };
    said.into_iter().flat_map(of_table).collect()
}

/// What servers warned of. All places warn of the same: each thing is told once.
pub(super) fn warnings(said: &[Vec<Said>]) -> Vec<Warning> {
    let mut all: Vec<Warning> = Vec::new();
    for warning in said.iter().flatten().flat_map(|said| &said.warnings) {
        if !all.contains(warning) {
            all.push(warning.clone());
        }
    }
    all
}

/// CHECKSUM of a table is the sum of numbers of its rows, cut to 32 bits, whatever the order of rows: that of a table in
/// parts is the sum of theirs. NULL where one of them has none.
/// <https://dev.mysql.com/doc/refman/9.7/en/checksum-table.html>
fn sum(said: &[Said]) -> Option<Cells> {
    let name = said.first()?.rows.first()?.first()?.clone();
    let number = |said: &Said| -> Option<u32> {
        let cell = said.rows.first()?.get(1)?.as_deref()?;
        std::str::from_utf8(cell).ok()?.parse().ok()
    };
    let sum = said.iter().map(number).try_fold(0_u32, |sum, number| Some(sum.wrapping_add(number?)));
    Some(vec![name, sum.map(|sum| sum.to_string().into_bytes())])
}

/// What all places say is told once; what only some say, with their names. The last row of a server is its verdict, so
/// rows are counted from there.
fn messages(said: Vec<Said>) -> Vec<Cells> {
    if said.iter().all(|other| other.rows == said[0].rows) {
        return said.into_iter().next().map_or_else(Vec::new, |first| first.rows);
    }
    let places = said.len();
    let mut all: Vec<(usize, Cells, Vec<String>)> = Vec::new();
    for Said { place, rows, .. } in said {
        let count = rows.len();
        for (at, row) in rows.into_iter().enumerate() {
            match all.iter_mut().find(|(_, known, places)| *known == row && !places.contains(&place)) {
                Some((_, _, places)) => places.push(place.clone()),
                None => all.push((count - at, row, vec![place.clone()])),
            }
        }
    }
    all.sort_by_key(|(behind, ..)| std::cmp::Reverse(*behind));
    let told = |(_, mut row, at): (usize, Cells, Vec<String>)| {
        if let (true, Some(Some(last))) = (at.len() < places, row.last_mut()) {
            last.extend_from_slice(format!(" (at {})", at.join(", ")).as_bytes());
        }
        row
    };
    all.into_iter().map(told).collect()
}

/// A row for the client.
pub(super) fn encoded(row: &Cells, verb: Admin, form: RowForm) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = RowWriter::new(&mut out, form, row.len());
    for (at, cell) in row.iter().enumerate() {
        let number = || std::str::from_utf8(cell.as_deref()?).ok()?.parse::<u64>().ok();
        match cell {
            None => writer.null(),
            Some(_) if (verb, form, at) == (Admin::Checksum, RowForm::Binary, 1) => {
                writer.raw(&number().unwrap_or(0).to_le_bytes());
            }
            Some(cell) => writer.bytes(cell),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Said, together};
    use crate::sql::head::Admin;

    fn said(place: &str, rows: &[&[&str]]) -> Said {
        let cell = |cell: &&str| (*cell != "NULL").then(|| cell.as_bytes().to_vec());
        let rows = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        Said { place: place.to_owned(), rows, warnings: Vec::new() }
    }

    fn told(verb: Admin, all: Vec<Said>) -> Vec<String> {
        let text = |cell: &Option<Vec<u8>>| {
            cell.as_deref().map_or("NULL".to_owned(), |cell| String::from_utf8_lossy(cell).into_owned())
        };
        together(verb, vec![all]).iter().map(|row| row.iter().map(text).collect::<Vec<_>>().join("|")).collect()
    }

    const OK: &[&str] = &["d.t", "check", "status", "OK"];
    const BAD: &[&str] = &["d.t", "check", "error", "Corrupt"];
    const WARNS: &[&str] = &["d.t", "check", "Warning", "Index x is marked as corrupted"];

    #[test]
    fn what_all_say_is_told_once() {
        let all = vec![said("g0/0", &[WARNS, OK]), said("g1/1", &[WARNS, OK])];
        let once = ["d.t|check|Warning|Index x is marked as corrupted", "d.t|check|status|OK"];
        assert_eq!(told(Admin::Check, all), once);
    }

    #[test]
    fn what_some_say_is_told_with_their_names() {
        let all = vec![said("g0/0", &[OK]), said("g0/1", &[OK]), said("g1/2", &[WARNS, BAD])];
        let expected = [
            "d.t|check|Warning|Index x is marked as corrupted (at g1/2)",
            "d.t|check|status|OK (at g0/0, g0/1)",
            "d.t|check|error|Corrupt (at g1/2)",
        ];
        assert_eq!(told(Admin::Check, all), expected);
    }

    #[test]
    fn a_sum_of_rows_is_that_of_their_parts() {
        let part = |number| said("g0/0", &[&["d.t", number]]);
        assert_eq!(told(Admin::Checksum, vec![part("3975651198"), part("2552307421"), part("0")]), ["d.t|2232991323"]);
        assert_eq!(told(Admin::Checksum, vec![part("1"), part("NULL")]), ["d.t|NULL"]);
    }
}
