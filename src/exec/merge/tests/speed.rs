//! What a merge costs: bytes held, and nanoseconds a row.

use std::time::Instant;

use super::*;
use crate::wire::cursor::put_lenenc_bytes;

const SOURCES: usize = 8;

/// Feeds `SOURCES` sources of `rows` rows each, as they are wanted; gives the rows that came out and the most that was held.
fn drain(merger: &mut Merger, rows: usize, encode: impl Fn(usize, &mut Vec<u8>)) -> (usize, usize) {
    let mut sent = [0; SOURCES];
    let (mut row, mut out) = (Vec::new(), Vec::new());
    let (mut given, mut held) = (0, 0);
    loop {
        out.clear();
        match merger.next(&mut out).unwrap() {
            Step::Row => given += 1,
            Step::Finished => return (given, held),
            Step::NeedInput => {
                let Want::One(source) = merger.want() else { panic!("an order wants one source") };
                if sent[source] == rows {
                    merger.end(source);
                    continue;
                }
                row.clear();
                encode(sent[source] * SOURCES + source, &mut row);
                sent[source] += 1;
                merger.row(source, &row).unwrap();
                held = held.max(merger.held());
            }
        }
    }
}

fn ints() -> Case {
    Case::new("id:int payload:bytes", by(&[asc(0)]))
}

fn int_row(n: usize, row: &mut Vec<u8>) {
    put_lenenc_bytes(row, n.to_string().as_bytes());
    put_lenenc_bytes(row, &[b'x'; 60]);
}

#[test]
fn many_rows_are_merged_in_a_few_bytes() {
    for (rows, window) in [(1_000_000, None), (100_000, Some(Window { skip: 90_000, take: 1_000 }))] {
        let case = Case { window, ..ints() };
        let mut merger = case.merger(SOURCES, RowForm::Text).unwrap();
        let (given, held) = drain(&mut merger, rows / SOURCES, int_row);
        assert_eq!(given, if window.is_some() { 1_000 } else { rows });
        assert!(held < 1024, "{held} bytes were held");
    }
}

#[test]
#[ignore = "a measurement"]
fn nanoseconds_a_row() {
    let weights = Case::new("name:text payload:bytes w:bytes", Merge { hidden: 1, ..by(&[weighed(0, 0)]) });
    let weight_row = |n: usize, row: &mut Vec<u8>| {
        let name = format!("customer {n:012}");
        put_lenenc_bytes(row, name.as_bytes());
        put_lenenc_bytes(row, &[b'x'; 60]);
        let weight: Vec<u8> = name.bytes().flat_map(|byte| [0x1C, byte]).collect();
        put_lenenc_bytes(row, &weight);
    };
    let per_source = 250_000;
    let measure = |name: &str, case: &Case, encode: &dyn Fn(usize, &mut Vec<u8>)| {
        let mut row = Vec::new();
        let start = Instant::now();
        for n in 0..SOURCES * per_source {
            row.clear();
            encode(n, &mut row);
            std::hint::black_box(&row);
        }
        let making = start.elapsed();
        let mut merger = case.merger(SOURCES, RowForm::Text).unwrap();
        let start = Instant::now();
        let (given, held) = drain(&mut merger, per_source, encode);
        let merging = start.elapsed().saturating_sub(making);
        println!("{name}: {} ns a row, {held} bytes held", merging.as_nanos() / given as u128);
    };
    measure("8 sources by int", &ints(), &int_row);
    measure("8 sources by weight", &weights, &weight_row);
}
