//! The one pass that every statement pays: where it ends, its literals, its parameters, and the key under
//! which its plan is cached. It allocates only when the caller's buffers grow, and understands no grammar.

use twox_hash::XxHash3_128;

use crate::error::SqlError;
use crate::sql::Facts;
use crate::sql::ast::{LiteralKind, Span};
use crate::sql::lex::{Lexer, Punct, TokenKind};

/// What one pass over a text finds in its first statement. Reused from statement to statement.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// 128-bit xxh3 over the exact bytes between the literals, with one byte in place of each literal that
    /// says its kind. Statements with equal keys differ in their literals only: not in case, white space
    /// or comments, since a client sees those in column names. Seeded, so that nobody can make two
    /// statements collide on purpose.
    pub key: u128,
    /// The literals in order.
    pub literals: Vec<Literal>,
    /// The offset of each `?`.
    pub params: Vec<u32>,
    /// The comment `/*+ ... */` that mentions shardloom, if there is one; [`crate::sql::hint`] reads it.
    pub hint: Option<Span>,
    /// The first word, such as SELECT; empty if there is none.
    pub verb: Span,
    /// The end of the first statement: its `;`, or the end of the text.
    pub end: u32,
    /// Where a further statement begins, right behind the `;`.
    pub rest: Option<u32>,
    /// The text that is hashed.
    keyed: Vec<u8>,
}

/// A literal of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Where it stands, with prefix or introducer, without a sign.
    pub span: Span,
    /// What it is.
    pub kind: LiteralKind,
}

/// Scans the first statement of `sql` into `out`.
///
/// # Errors
/// 1064 where the server's own lexer would fail: an unclosed string or comment, a stray byte. `out` is
/// then of no use.
pub fn scan(sql: &[u8], facts: Facts, seed: u64, out: &mut Scan) -> Result<(), SqlError> {
    out.literals.clear();
    out.params.clear();
    out.keyed.clear();
    out.verb = Span::default();
    out.rest = None;
    out.end = sql.len() as u32;

    let mut lexer = Lexer::new(sql, facts);
    let mut copied = 0;
    while let Some(token) = lexer.advance()? {
        match token.kind {
            TokenKind::Literal(kind) => {
                out.keyed.extend_from_slice(&sql[copied..token.span.start as usize]);
                out.keyed.push(placeholder(kind));
                copied = token.span.end as usize;
                out.literals.push(Literal { span: token.span, kind });
            }
            TokenKind::Param => out.params.push(token.span.start),
            TokenKind::Word if out.verb.end == 0 => out.verb = token.span,
            TokenKind::Punct(Punct::Semicolon) if !is_compound(&sql[..token.span.start as usize], facts) => {
                out.end = token.span.start;
                out.rest = further(lexer.clone(), token.span.end);
                break;
            }
            _ => {}
        }
        if out.verb.end > 0 {
            lexer.skip_plain();
        }
    }
    out.hint = lexer.hint();
    out.keyed.extend_from_slice(&sql[copied..out.end as usize]);
    out.key = XxHash3_128::oneshot_with_seed(seed, &out.keyed);
    Ok(())
}

/// A control byte that the lexer accepts nowhere outside of quotes and comments.
fn placeholder(kind: LiteralKind) -> u8 {
    match kind {
        LiteralKind::String => 0x0e,
        LiteralKind::National => 0x0f,
        LiteralKind::Introduced => 0x10,
        LiteralKind::Integer => 0x11,
        LiteralKind::Decimal => 0x12,
        LiteralKind::Float => 0x13,
        LiteralKind::Hex => 0x14,
        LiteralKind::Bit => 0x15,
        LiteralKind::Temporal => 0x16,
    }
}

/// `from`, if anything but `;`, blanks and comments follows. What cannot be read counts as something: it is
/// the next statement's error, not this one's.
fn further(lexer: Lexer<'_>, from: u32) -> Option<u32> {
    let is_blank = |kind| kind == TokenKind::Punct(Punct::Semicolon);
    let mut tokens = lexer.skip_while(|token| token.as_ref().is_ok_and(|token| is_blank(token.kind)));
    tokens.next().map(|_| from)
}

/// Whether a statement that begins like `head` may hold `;` inside: the definition of a routine, trigger or
/// event, or a compound statement of MariaDB. Such a statement is taken to the end of the text: the server
/// finds its end, and what it consists of goes to one place.
#[cold]
pub(crate) fn is_compound(head: &[u8], facts: Facts) -> bool {
    let mut words = Lexer::new(head, facts)
        .map_while(Result::ok)
        .filter(|token| token.kind == TokenKind::Word)
        .map(|token| token.span.of(head));
    let is = |word: &[u8], names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
    match words.next() {
        Some(word) if is(word, &["CREATE", "ALTER"]) => words
            .find_map(|word| {
                let routine = is(word, &["PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"]);
                let other =
                    is(word, &["TABLE", "VIEW", "INDEX", "DATABASE", "SCHEMA", "USER", "ROLE", "SERVER", "SEQUENCE"]);
                (routine || other).then_some(routine)
            })
            .unwrap_or(false),
        Some(word) if is(word, &["BEGIN"]) => words.next().is_some_and(|word| is(word, &["NOT"])),
        Some(word) => is(word, &["IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR", "DECLARE"]),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::{Scan, scan};
    use crate::sql::tests::{MARIADB, MYSQL};

    fn scanned(sql: &str) -> Scan {
        let mut out = Scan::default();
        scan(sql.as_bytes(), MYSQL, 7, &mut out).unwrap();
        out
    }

    #[test]
    fn the_key_hides_literals_and_nothing_else() {
        let key = |sql| scanned(sql).key;
        assert_eq!(key("SELECT a FROM t WHERE id=1"), key("SELECT a FROM t WHERE id=22"));
        assert_ne!(key("SELECT a FROM t WHERE id=1"), key("SELECT a FROM t WHERE id='1'"));
        assert_ne!(key("SELECT a FROM t WHERE id=1"), key("SELECT a FROM t WHERE id=-1"));
        assert_ne!(key("SELECT a"), key("select a"));
        assert_ne!(key("SELECT a"), key("SELECT  a"));
        assert_ne!(key("SELECT a /* 1 */"), key("SELECT a /* 2 */"));
        assert_eq!(key("SELECT 1; SELECT 2"), key("SELECT 3;"));
        assert_ne!(scanned("SELECT 1").key, {
            let mut other = Scan::default();
            scan(b"SELECT 1", MYSQL, 8, &mut other).unwrap();
            other.key
        });
    }

    #[test]
    fn a_text_ends_where_its_first_statement_does() {
        for (sql, end, rest) in [
            ("SELECT 1", 8, None),
            ("SELECT 1;", 8, None),
            ("SELECT 1; ; -- c", 8, None),
            ("SELECT 1; SELECT 2", 8, Some(9)),
            ("SELECT ';'; '", 10, Some(11)),
            ("BEGIN; SELECT 1", 5, Some(6)),
            ("CREATE PROCEDURE p() BEGIN SELECT 1; END", 40, None),
            ("CREATE DEFINER=`a`@`b` TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN SET @a=1; END", 84, None),
            ("CREATE TABLE event (a INT); SELECT 1", 26, Some(27)),
        ] {
            let found = scanned(sql);
            assert_eq!((found.end, found.rest), (end, rest), "{sql}");
        }
        let mut out = Scan::default();
        scan(b"BEGIN NOT ATOMIC SELECT 1; END; SELECT 2", MARIADB, 0, &mut out).unwrap();
        assert_eq!((out.end, out.rest), (40, None));
    }

    #[test]
    fn params_verb_and_hint_are_found() {
        let sql = "(SELECT /*+ shardloom(primary) */ ? FROM t WHERE a IN (?, 'x', ?))";
        let found = scanned(sql);
        assert_eq!(found.params.len(), 3);
        assert_eq!(found.verb.of(sql.as_bytes()), b"SELECT");
        assert_eq!(found.hint.unwrap().of(sql.as_bytes()), b"/*+ shardloom(primary) */");
        assert_eq!(scanned("SELECT /*+ BKA(t) */ 1").hint, None);
        let mut out = Scan::default();
        let twice = b"SELECT /*+ shardloom(primary) */ /*+ shardloom(shard=1) */ 1";
        assert!(scan(twice, MYSQL, 0, &mut out).is_err());
    }

    /// `cargo test --release --lib sql::scan -- --ignored --nocapture`
    #[test]
    #[ignore = "a timing, to be read by eye"]
    fn timing() {
        for sql in [
            "SELECT c FROM sbtest1 WHERE id=501234",
            "SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN 500000 AND 500099 ORDER BY c",
            "INSERT INTO sbtest1 (id, k, c, pad) VALUES (0, 499284, '31451373586-15688153734-79729593694-96509299839-83724898275-86711833539-78981337422-35049690573-51724173961-87474696253', '21472970079-70972780322-70018558993-71769650003-09270326047')",
        ] {
            let mut out = Scan::default();
            let rounds = 2_000_000;
            let start = std::time::Instant::now();
            for _ in 0..rounds {
                scan(std::hint::black_box(sql.as_bytes()), MYSQL, 7, &mut out).unwrap();
                std::hint::black_box(out.key);
            }
            let each = start.elapsed().as_nanos() as f64 / f64::from(rounds);
            println!("{each:7.1} ns  {:3} bytes  {sql:.60}", sql.len());
        }
    }
}
