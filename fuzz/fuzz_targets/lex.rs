//! Any bytes through the lexer and the scan: they agree on literals, and splicing no edits changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardloom::sql::lex::{Lexer, TokenKind};
use shardloom::sql::scan::scan;
use shardloom::sql::splice::splice;
use shardloom::sql::{Facts, Flavour, Scan, SqlMode, TextCharset};

fuzz_target!(|input: (u8, &[u8])| {
    let (how, sql) = input;
    let facts = facts(how);
    let mut scanned = Scan::default();
    if scan(sql, facts, 0, &mut scanned).is_err() {
        return;
    }
    let literals = Lexer::new(sql, facts)
        .map_while(Result::ok)
        .take_while(|token| token.span.end <= scanned.end)
        .filter(|token| matches!(token.kind, TokenKind::Literal(_)))
        .map(|token| token.span);
    assert!(literals.eq(scanned.literals.iter().map(|literal| literal.span)));
    let mut out = Vec::new();
    splice::<()>(sql, &scanned, &[], &mut out, |(), _| {});
    assert_eq!(out, &sql[..scanned.end as usize]);
});

/// One byte says whose grammar, which mode and which character set.
fn facts(how: u8) -> Facts {
    let charsets = [TextCharset::Utf8, TextCharset::EightBit, TextCharset::Gbk, TextCharset::Big5, TextCharset::Sjis];
    let modes = ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI,HIGH_NOT_PRECEDENCE"];
    let (flavour, version) = if how & 1 == 0 { (Flavour::MySql, 90_704) } else { (Flavour::MariaDb, 101_119) };
    Facts {
        mode: SqlMode::parse(modes[usize::from(how >> 1) % modes.len()]),
        charset: charsets[usize::from(how >> 3) % charsets.len()],
        flavour,
        version,
    }
}
