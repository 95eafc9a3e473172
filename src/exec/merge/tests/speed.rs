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

/// Optimised: `CARGO_PROFILE_TEST_OPT_LEVEL=3 cargo test --lib merge::tests::speed -- --ignored --nocapture`.
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
    let groups =
        Case::new("id:int n:big total:dec2", fold(&[asc(0)], &[Aggregate::Any, Aggregate::Sum, Aggregate::Sum]));
    let group_row = |n: usize, row: &mut Vec<u8>| {
        put_lenenc_bytes(row, (n / SOURCES).to_string().as_bytes());
        put_lenenc_bytes(row, b"17");
        put_lenenc_bytes(row, format!("{n}.25").as_bytes());
    };
    measure("by int", &ints(), int_row);
    measure("by weight", &weights, weight_row);
    measure("folded by int", &groups, group_row);
}

/// Merges rows that lie ready, several times, and prints the fastest.
fn measure(name: &str, case: &Case, encode: impl Fn(usize, &mut Vec<u8>)) {
    const ROWS: usize = 40_000;
    let (mut flat, mut ends) = (Vec::new(), vec![0]);
    for n in 0..SOURCES * ROWS {
        encode(n, &mut flat);
        ends.push(flat.len());
    }
    let ready = |n: usize, row: &mut Vec<u8>| row.extend_from_slice(&flat[ends[n]..ends[n + 1]]);
    let run = |_| {
        let mut merger = case.merger(SOURCES, RowForm::Text).unwrap();
        let start = Instant::now();
        drain(&mut merger, ROWS, ready);
        start.elapsed()
    };
    let fastest = (0..7).map(run).min().unwrap();
    println!("{SOURCES} sources {name}: {} ns a row", fastest.as_nanos() / (SOURCES * ROWS) as u128);
}
