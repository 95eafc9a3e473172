//! Properties that hold for any bytes, and for any soup of SQL's words.

use proptest::prelude::{Strategy, prop_oneof, proptest};
use proptest::{collection, prop_assert, prop_assert_eq};

use shardloom::sql::ast::Span;
use shardloom::sql::digest::digest;
use shardloom::sql::head::head;
use shardloom::sql::hint::hints;
use shardloom::sql::lex::{Lexer, Token, TokenKind};
use shardloom::sql::mentions::mentions;
use shardloom::sql::parse::parse;
use shardloom::sql::scan::scan;
use shardloom::sql::splice::{Anchor, splice};
use shardloom::sql::{Facts, Scan, SqlMode, TextCharset};

use super::outline::{check_spans, rendered};
use super::{MARIADB, MYSQL};

/// Every way of reading that changes the lexer.
fn facts() -> impl Strategy<Value = Facts> {
    let modes = ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI", "PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE"];
    let charsets = [
        TextCharset::Utf8,
        TextCharset::EightBit,
        TextCharset::Gbk,
        TextCharset::Big5,
        TextCharset::Sjis,
        TextCharset::Gb18030,
    ];
    (0..modes.len(), 0..charsets.len(), proptest::bool::ANY).prop_map(move |(mode, charset, mysql)| Facts {
        mode: SqlMode::parse(modes[mode]),
        charset: charsets[charset],
        ..if mysql { MYSQL } else { MARIADB }
    })
}

/// Words, marks and fragments in any order.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = include_str!("words.txt").lines().map(str::as_bytes).collect();
    let word = proptest::sample::select(words).prop_map(<[u8]>::to_vec);
    let piece = prop_oneof![8 => word, 1 => collection::vec(proptest::num::u8::ANY, 1..4)];
    collection::vec(piece, 0..40).prop_map(|pieces| pieces.join(&b' '))
}

/// Something that is nearly a statement.
fn nearly_a_statement() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<String> = include_str!("../../fixtures/sql/queries.txt")
        .lines()
        .filter_map(|line| line.strip_prefix("> "))
        .map(str::to_owned)
        .collect();
    let pick = proptest::sample::select(all);
    (pick, soup(), proptest::num::usize::ANY, proptest::num::usize::ANY).prop_map(|(statement, soup, from, length)| {
        let mut bytes = statement.into_bytes();
        let from = from % (bytes.len() + 1);
        let to = (from + length % 12).min(bytes.len());
        bytes.splice(from..to, soup.into_iter().take(length % 20));
        bytes
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![collection::vec(proptest::num::u8::ANY, 0..120), soup(), nearly_a_statement()]
}

/// The tokens of the first statement, `None` if the text cannot be read.
fn tokens(sql: &[u8], facts: Facts, end: u32) -> Option<Vec<Token>> {
    let tokens: Result<Vec<_>, _> =
        Lexer::new(sql, facts).take_while(|token| token.as_ref().is_ok_and(|token| token.span.end <= end)).collect();
    tokens.ok()
}

proptest! {
    #[test]
    fn nothing_panics_and_everything_agrees(sql in bytes(), facts in facts()) {
        let _ = digest(&sql, facts);
        let _ = mentions(&sql, facts);
        let _ = head(&sql, facts);
        if let Ok(statement) = parse(&sql, facts) {
            check_spans(&statement, &sql, facts);
            rendered(&statement, &sql);
        }
        let mut scanned = Scan::default();
        if scan(&sql, facts, 1, &mut scanned).is_err() {
            prop_assert!(Lexer::new(&sql, facts).any(|token| token.is_err()) || scanned.rest.is_some());
            return Ok(());
        }
        let _ = hints(&sql, &scanned);

        // The lexer finds the same literals and parameters.
        let tokens = tokens(&sql, facts, scanned.end).unwrap_or_default();
        let literals: Vec<_> = tokens.iter().filter_map(|token| match token.kind {
            TokenKind::Literal(kind) => Some((token.span, kind)),
            _ => None,
        }).collect();
        let found: Vec<_> = scanned.literals.iter().map(|literal| (literal.span, literal.kind)).collect();
        prop_assert_eq!(&found, &literals);
        let params: Vec<_> = tokens.iter().filter(|token| token.kind == TokenKind::Param).map(|token| token.span.start).collect();
        prop_assert_eq!(&scanned.params, &params);

        // Splicing nothing changes nothing, and every place outside of literals has an anchor that finds it again.
        let mut out = Vec::new();
        splice::<()>(&sql, &scanned, &[], &mut out, |(), _| {});
        prop_assert_eq!(&out, &sql[..scanned.end as usize]);
        for at in 0..=scanned.end {
            let inside = found.iter().any(|(span, _)| span.start < at && at < span.end);
            match Anchor::at(&scanned, at) {
                Some(anchor) => prop_assert_eq!(anchor.resolve(&scanned), Some(at)),
                None => prop_assert!(inside),
            }
        }
    }

    #[test]
    fn equal_keys_mean_equal_text_between_literals(sql in bytes(), facts in facts(), other in "[0-9]{1,4}") {
        let (mut first, mut second) = (Scan::default(), Scan::default());
        if scan(&sql, facts, 1, &mut first).is_err() {
            return Ok(());
        }
        // Put another number in place of each number: the key stays, and so do all the pieces between. (Not one of
        // five digits, which behind `/*!` is a version.)
        let mut changed = Vec::new();
        let mut copied = 0;
        for literal in &first.literals {
            if literal.kind == shardloom::sql::ast::LiteralKind::Integer {
                changed.extend_from_slice(&sql[copied..literal.span.start as usize]);
                changed.extend_from_slice(other.as_bytes());
                copied = literal.span.end as usize;
            }
        }
        changed.extend_from_slice(&sql[copied..]);
        prop_assert!(scan(&changed, facts, 1, &mut second).is_ok());
        prop_assert_eq!(first.key, second.key);
        prop_assert_eq!(between(&sql, &first), between(&changed, &second));

        // Any change of a byte between the literals changes the key.
        if let Some(at) = (0..first.end).find(|&at| first.literals.iter().all(|literal| at < literal.span.start || at >= literal.span.end)) {
            let mut touched = sql.clone();
            touched[at as usize] ^= 1;
            if scan(&touched, facts, 1, &mut second).is_ok() && first.key == second.key {
                prop_assert_eq!(between(&sql, &first), between(&touched, &second));
            }
        }
    }
}

/// The text between the literals of the first statement.
fn between<'a>(sql: &'a [u8], scan: &Scan) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for literal in &scan.literals {
        pieces.push(Span { start: from, end: literal.span.start }.of(sql));
        from = literal.span.end;
    }
    pieces.push(Span { start: from, end: scan.end }.of(sql));
    pieces
}
