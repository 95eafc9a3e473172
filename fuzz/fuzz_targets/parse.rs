//! Any bytes through the head reader, the parser, the digest and the hints: nothing panics, nothing overflows the stack,
//! and every span lies inside of the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardloom::sql::digest::digest;
use shardloom::sql::head::head;
use shardloom::sql::hint::hints;
use shardloom::sql::mentions::mentions;
use shardloom::sql::parse::parse;
use shardloom::sql::scan::scan;
use shardloom::sql::walk::{self, Node};
use shardloom::sql::{Facts, Flavour, Scan, SqlMode, TextCharset};

fuzz_target!(|input: (bool, &[u8])| {
    let (mysql, sql) = input;
    let (flavour, version) = if mysql { (Flavour::MySql, 90_704) } else { (Flavour::MariaDb, 101_119) };
    let facts = Facts { mode: SqlMode::NONE, charset: TextCharset::Utf8, flavour, version };
    let _ = head(sql, facts);
    let _ = digest(sql, facts);
    let _ = mentions(sql, facts);
    let mut scanned = Scan::default();
    if scan(sql, facts, 0, &mut scanned).is_ok() {
        let _ = hints(sql, &scanned);
    }
    let Ok(statement) = parse(sql, facts) else { return };
    walk::statement(&statement, &mut |node| {
        let span = match node {
            Node::Expr(expr) => expr.span(),
            Node::Query(query) => query.span,
            Node::Name(name) => name.span,
            Node::Table(_) => return true,
        };
        assert!(span.start < span.end && span.end as usize <= sql.len());
        true
    });
});
