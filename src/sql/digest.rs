//! The digest of a statement, for statistics: its text with `?` for every literal and lists folded, so that statements
//! of one kind are counted together. Plans never depend on it.

use twox_hash::XxHash3_128;

use crate::error::SqlError;
use crate::sql::cursor::{Cursor, tokens};
use crate::sql::lex::{Punct, TokenKind};
use crate::sql::words::is_reserved;
use crate::sql::{Facts, ast::Span};

/// The digest's text is cut behind so many bytes; the hash counts all of it.
const TEXT_MAX: usize = 4096;

/// The digest of the first statement of `sql` and its text. Reserved words are in capitals, names as written without
/// needless quotes, literals and parameters `?`, two or more of them in a list `...`, repeated rows
/// `(...) /* , ... */`, comments gone.
///
/// # Errors
/// 1064 where the lexer fails.
pub fn digest(sql: &[u8], facts: Facts) -> Result<(u128, String), SqlError> {
    let tokens = tokens(sql, facts)?;
    let mut words = Words { words: Vec::with_capacity(tokens.len()) };
    let mut cursor = Cursor::new(sql, &tokens, facts);
    while let Some(token) = cursor.next() {
        words.push(match token.kind {
            TokenKind::Literal(_) | TokenKind::Param | TokenKind::Null => Word::Value,
            TokenKind::Punct(Punct::LParen) => Word::Open,
            TokenKind::Punct(Punct::RParen) => Word::Close,
            TokenKind::Punct(Punct::Comma) => Word::Comma,
            TokenKind::Punct(Punct::Dot) => Word::Dot,
            TokenKind::Punct(_) => Word::Mark(token.span),
            TokenKind::Word if is_reserved(cursor.text(token), facts.flavour) => Word::Reserved(token.span),
            TokenKind::Quoted if is_plain(&cursor, token.span) => {
                Word::Name(Span { start: token.span.start + 1, end: token.span.end - 1 })
            }
            _ => Word::Name(token.span),
        });
    }
    let text = words.text(sql);
    let hash = XxHash3_128::oneshot(text.as_bytes());
    let mut cut = text;
    if cut.len() > TEXT_MAX {
        let end = (0..=TEXT_MAX).rev().find(|&end| cut.is_char_boundary(end)).unwrap_or(0);
        cut.truncate(end);
    }
    Ok((hash, cut))
}

/// Whether a quoted name needs no quotes.
fn is_plain(cursor: &Cursor<'_>, span: Span) -> bool {
    let inside = &span.of(cursor.sql)[1..span.len() - 1];
    let letters = inside.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    letters && inside.first().is_some_and(|byte| !byte.is_ascii_digit()) && !is_reserved(inside, cursor.facts.flavour)
}

/// A word of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Value,
    /// Two or more values with commas between.
    Values,
    /// `(...)`, as a row of values.
    Row,
    /// Two or more such rows with commas between.
    Rows,
    Open,
    Close,
    Comma,
    Dot,
    Mark(Span),
    Reserved(Span),
    Name(Span),
}

/// The words so far, folded as far as can be.
struct Words {
    words: Vec<Word>,
}

impl Words {
    fn push(&mut self, word: Word) {
        self.words.push(word);
        while self.fold() {}
    }

    /// Folds what stands at the end, once; false if there is nothing to fold.
    fn fold(&mut self) -> bool {
        let (drop, with) = match self.words.as_slice() {
            [.., Word::Value | Word::Values, Word::Comma, Word::Value] => (3, Word::Values),
            [.., Word::Row | Word::Rows, Word::Comma, Word::Row] => (3, Word::Rows),
            // Not `f(1)` or `f(1, 2)`: a call is not a row.
            [.., Word::Name(_), Word::Open, Word::Value | Word::Values, Word::Close] => return false,
            [.., Word::Open, Word::Value | Word::Values, Word::Close] => (3, Word::Row),
            _ => return false,
        };
        self.words.truncate(self.words.len() - drop);
        self.words.push(with);
        true
    }

    fn text(&self, sql: &[u8]) -> String {
        let mut text = String::new();
        let mut before = None;
        for &word in &self.words {
            let glued = matches!(word, Word::Comma | Word::Dot | Word::Close)
                || matches!(before, None | Some(Word::Open | Word::Dot))
                || (matches!(word, Word::Open) && matches!(before, Some(Word::Name(_))));
            if !glued {
                text.push(' ');
            }
            let written = |span: Span| String::from_utf8_lossy(span.of(sql));
            match word {
                Word::Value => text.push('?'),
                Word::Values => text.push_str("..."),
                Word::Row => text.push_str("(...)"),
                Word::Rows => text.push_str("(...) /* , ... */"),
                Word::Open => text.push('('),
                Word::Close => text.push(')'),
                Word::Comma => text.push(','),
                Word::Dot => text.push('.'),
                Word::Mark(span) | Word::Name(span) => text.push_str(&written(span)),
                Word::Reserved(span) => text.push_str(&written(span).to_ascii_uppercase()),
            }
            before = Some(word);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::digest;
    use crate::sql::tests::MYSQL;

    #[test]
    fn statements_of_a_kind_have_one_digest() {
        for (sql, expected) in [
            ("select  A from `t` where id=1 -- c", "SELECT A FROM t WHERE id = ?"),
            ("SELECT a FROM t WHERE b IN (1,2,'x',?)", "SELECT a FROM t WHERE b IN (...)"),
            ("SELECT a FROM t WHERE b IN (1)", "SELECT a FROM t WHERE b IN (...)"),
            ("INSERT INTO t VALUES (1,2),(3,4), (5,6)", "INSERT INTO t VALUES (...) /* , ... */"),
            ("INSERT INTO t VALUES (1,2)", "INSERT INTO t VALUES (...)"),
            ("INSERT INTO t(a) VALUES (now(), 1)", "INSERT INTO t(a) VALUES (now(), ?)"),
            ("SELECT f(1), g(1,2), t.`a b`, `select`", "SELECT f(?), g(...), t.`a b`, `select`"),
            ("SELECT /*! a */ @x, @@y LIMIT 5,10", "SELECT a, @x, @@y LIMIT ..."),
            ("", ""),
        ] {
            let expected = expected.replace("a, @x", "a @x");
            assert_eq!(digest(sql.as_bytes(), MYSQL).unwrap().1, expected, "{sql}");
        }
        let hash = |sql: &str| digest(sql.as_bytes(), MYSQL).unwrap().0;
        assert_eq!(hash("SELECT 1"), hash("select/**/2;"));
        assert_ne!(hash("SELECT a"), hash("SELECT b"));
    }

    #[test]
    fn the_text_is_bounded() {
        let sql = format!("SELECT {}", vec!["é"; 10_000].join(","));
        assert!(digest(sql.as_bytes(), MYSQL).unwrap().1.len() <= super::TEXT_MAX);
        assert!(digest(b"SELECT 'a", MYSQL).is_err());
    }
}
