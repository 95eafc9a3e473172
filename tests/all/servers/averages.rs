//! Averages of DECIMALs, made of sums and counts, are digit for digit those of the servers: for every scale, and for
//! every kind of `div_precision_increment`.

use shardloom::demo::cluster::Layout;
use shardloom::value::decimal::{Decimal, MAX_SCALE};

use super::testbed::{TestCluster, installations};

const GROUPS: u64 = 24;

/// Rows with a group of its own size each, and a column for each scale, `d0` to `d30`.
fn table() -> String {
    let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
    let mut digits = |count: usize| {
        let mut text = String::new();
        while text.len() < count {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            text += &(bits >> 4).to_string();
        }
        text[text.len() - count..].to_owned()
    };
    let columns: Vec<String> = (0..=30).map(|scale| format!("d{scale} DECIMAL({}, {scale})", scale + 12)).collect();
    let mut rows = Vec::new();
    for group in 0..GROUPS {
        for row in 0..1 + group * group % 29 {
            let sign = if (group + row) % 3 == 0 { "-" } else { "" };
            let cell = |scale| format!("{sign}{}.{}", digits(1 + group as usize % 9), digits(scale));
            let cells: Vec<String> = (0..=30).map(cell).collect();
            rows.push(format!("({group}, {})", cells.join(", ")));
        }
    }
    let columns = columns.join(", ");
    format!("CREATE DATABASE a; USE a; CREATE TABLE t (g INT, {columns}); INSERT INTO t VALUES {}", rows.join(", "))
}

#[test]
fn averages_are_those_of_the_servers() {
    for installation in installations() {
        let test = TestCluster::start(&installation, &Layout::new(1, 0));
        let server = &test.cluster.groups[0].primary;
        server.sql(&table()).unwrap();
        let (mut compared, mut refused, mut different) = (0, 0, Vec::new());
        for increment in [0, 1, 2, 4, 5, 9, 10, 14, 18, 30] {
            let selects: Vec<String> = (0..=30)
                .map(|scale| {
                    format!("SELECT {scale} AS scale, SUM(d{scale}), COUNT(*), AVG(d{scale}) FROM a.t GROUP BY g")
                })
                .collect();
            // Each by itself: a UNION would give them all one scale.
            let sql = format!("SET div_precision_increment = {increment}; {}", selects.join("; "));
            for line in server.sql(&sql).unwrap().lines() {
                let cells: Vec<&str> = line.split('\t').collect();
                let [scale, sum, count, average] = cells[..] else { panic!("{line}") };
                let decimals = average.split_once('.').map_or(0, |(_, fraction)| fraction.len() as u8);
                let sum = Decimal::parse(sum.as_bytes()).unwrap();
                compared += 1;
                match sum.average(count.parse().unwrap(), decimals) {
                    // MariaDB's DECIMAL has up to 38 digits behind the point; that many are not computed here.
                    Err(_) if decimals > MAX_SCALE => refused += 1,
                    Err(why) => different.push(format!("scale {scale}, increment {increment}: {why:?}")),
                    Ok(ours) if ours.to_string() == average => {}
                    Ok(ours) => different.push(format!(
                        "scale {scale}, increment {increment}: {sum} / {count} is {average} there, {ours} here"
                    )),
                }
            }
        }
        println!("{}: {compared} averages, {refused} refused, {} different", installation.version, different.len());
        assert_eq!(compared, 10 * 31 * GROUPS);
        assert!(different.is_empty(), "{}:\n{}", installation.version, different[..different.len().min(20)].join("\n"));
    }
}
