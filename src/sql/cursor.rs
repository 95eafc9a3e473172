//! A place in the tokens of one statement, with the steps that every reader of statements takes: a word, a
//! mark, a name. It knows what may be a name, and no statement.

use crate::error::SqlError;
use crate::sql::ast::{Ident, LiteralKind, ObjectName, Span};
use crate::sql::lex::{Lexer, Punct, Token, TokenKind};
use crate::sql::words::is_reserved;
use crate::sql::{Facts, SqlMode, TextCharset};

/// The tokens of one statement and a place among them.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    pub(crate) sql: &'a [u8],
    pub(crate) facts: Facts,
    pub(crate) tokens: &'a [Token],
    /// The number of the next token.
    pub(crate) at: usize,
}

/// The tokens of the first statement of `sql`: up to its `;`, unless it is one that holds `;` inside.
///
/// # Errors
/// 1064 where the lexer fails.
pub(crate) fn tokens(sql: &[u8], facts: Facts) -> Result<Vec<Token>, SqlError> {
    let mut tokens = Vec::with_capacity(sql.len() / 6);
    for token in Lexer::new(sql, facts) {
        let token = token?;
        if token.kind == TokenKind::Punct(Punct::Semicolon)
            && !crate::sql::scan::is_compound(&sql[..token.span.start as usize], facts)
        {
            break;
        }
        tokens.push(token);
    }
    Ok(tokens)
}

impl<'a> Cursor<'a> {
    /// At the first token.
    pub(crate) fn new(sql: &'a [u8], tokens: &'a [Token], facts: Facts) -> Cursor<'a> {
        Cursor { sql, facts, tokens, at: 0 }
    }

    /// The next token but `ahead`.
    pub(crate) fn peek(&self, ahead: usize) -> Option<Token> {
        self.tokens.get(self.at + ahead).copied()
    }

    /// Steps over one token and returns it.
    pub(crate) fn next(&mut self) -> Option<Token> {
        let token = self.peek(0)?;
        self.at += 1;
        Some(token)
    }

    /// Whether no token is left.
    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// The text of a token.
    pub(crate) fn text(&self, token: Token) -> &'a [u8] {
        token.span.of(self.sql)
    }

    /// Where the next token begins; behind the last one, where that ends.
    pub(crate) fn start(&self) -> usize {
        self.peek(0).map_or_else(|| self.end(), |token| token.span.start as usize)
    }

    /// Where the token before the place ends.
    pub(crate) fn end(&self) -> usize {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        before.map_or(0, |token| token.span.end as usize)
    }

    /// From byte `start` to the end of the token before the place.
    pub(crate) fn since(&self, start: usize) -> Span {
        Span::new(start, self.end().max(start))
    }

    /// Whether the token `ahead` is the unquoted word `word`, given in capitals.
    pub(crate) fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        self.peek(ahead).is_some_and(|token| {
            token.kind == TokenKind::Word && self.text(token).eq_ignore_ascii_case(word.as_bytes())
        })
    }

    /// Whether the next token is the word.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    /// Whether the next token is one of the words.
    pub(crate) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is_word(word))
    }

    /// Whether the next tokens are these words.
    pub(crate) fn are_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| self.is_word_at(ahead, word))
    }

    /// Steps over the words, if all of them come next.
    pub(crate) fn eat(&mut self, words: &[&str]) -> bool {
        let found = self.are_words(words);
        if found {
            self.at += words.len();
        }
        found
    }

    /// Steps over one of the words, if it comes next.
    pub(crate) fn eat_any(&mut self, words: &[&str]) -> bool {
        let found = self.is_any(words);
        self.at += usize::from(found);
        found
    }

    /// Whether the token `ahead` is the mark.
    pub(crate) fn is_punct_at(&self, ahead: usize, punct: Punct) -> bool {
        self.peek(ahead).is_some_and(|token| token.kind == TokenKind::Punct(punct))
    }

    /// Whether the next token is the mark.
    pub(crate) fn is_punct(&self, punct: Punct) -> bool {
        self.is_punct_at(0, punct)
    }

    /// Steps over the mark, if it comes next.
    pub(crate) fn eat_punct(&mut self, punct: Punct) -> bool {
        let found = self.is_punct(punct);
        self.at += usize::from(found);
        found
    }

    /// Whether the token `ahead` can be a name: quoted, beside a dot, or a word that is not reserved.
    pub(crate) fn is_name_at(&self, ahead: usize) -> bool {
        self.peek(ahead).is_some_and(|token| self.can_be_name(token))
    }

    /// Whether a token can be a name.
    pub(crate) fn can_be_name(&self, token: Token) -> bool {
        match token.kind {
            TokenKind::Quoted | TokenKind::Name => true,
            TokenKind::Word => !is_reserved(self.text(token), self.facts.flavour),
            _ => false,
        }
    }

    /// A name, if one comes next that can be read.
    pub(crate) fn name(&mut self) -> Option<Ident> {
        let token = self.peek(0).filter(|token| self.can_be_name(*token))?;
        let name = self.ident(token)?;
        self.at += 1;
        Some(name)
    }

    /// The name a token stands for. `None` if it has letters beyond ASCII in a character set that is not
    /// Unicode: which name that is, is not known here, and a guess could miss a sharded table.
    pub(crate) fn ident(&self, token: Token) -> Option<Ident> {
        let text = self.text(token);
        let known = text.is_ascii() || self.facts.charset == TextCharset::Utf8;
        let text = std::str::from_utf8(text).ok().filter(|_| known)?;
        let name = match text.as_bytes().first() {
            Some(mark @ (b'`' | b'"')) if token.kind == TokenKind::Quoted => {
                let mark = char::from(*mark);
                text[1..text.len() - 1].replace(&format!("{mark}{mark}"), &mark.to_string())
            }
            _ => text.to_owned(),
        };
        Some(Ident { name, span: token.span })
    }

    /// `table` or `schema.table`, if one comes next. A dot that no name follows is left: `t.*`.
    pub(crate) fn object_name(&mut self) -> Option<ObjectName> {
        let first = self.name()?;
        if !self.is_punct(Punct::Dot) || !self.is_name_at(1) {
            return Some(ObjectName { schema: None, span: first.span, name: first });
        }
        self.at += 1;
        let name = self.name()?;
        let span = Span { start: first.span.start, end: name.span.end };
        Some(ObjectName { schema: Some(first), name, span })
    }

    /// Steps from an opening parenthesis over its closing one; false, at the end of the text, without one.
    pub(crate) fn skip_parens(&mut self) -> bool {
        let mut depth = 0_usize;
        while let Some(token) = self.next() {
            match token.kind {
                TokenKind::Punct(Punct::LParen) => depth += 1,
                TokenKind::Punct(Punct::RParen) => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }

    /// The value of a string literal (with `N` or without, not introduced), if it is one and comes next.
    pub(crate) fn string(&mut self) -> Option<Vec<u8>> {
        let token = self.peek(0)?;
        match token.kind {
            TokenKind::Literal(LiteralKind::String) => {}
            _ => return None,
        }
        self.at += 1;
        let mut value = unquote(self.text(token), self.facts);
        // Strings side by side are one.
        while let Some(more) = self.peek(0).filter(|more| more.kind == token.kind) {
            value.extend(unquote(self.text(more), self.facts));
            self.at += 1;
        }
        Some(value)
    }

    /// An integer literal, if it comes next and fits.
    pub(crate) fn integer(&mut self) -> Option<u64> {
        let token = self.peek(0).filter(|token| token.kind == TokenKind::Literal(LiteralKind::Integer))?;
        let value = std::str::from_utf8(self.text(token)).ok()?.parse().ok()?;
        self.at += 1;
        Some(value)
    }
}

/// The value of a string literal, given with its quotes.
///
/// <https://dev.mysql.com/doc/refman/9.7/en/string-literals.html>
pub(crate) fn unquote(text: &[u8], facts: Facts) -> Vec<u8> {
    let Some((&mark, rest)) = text.split_first() else { return Vec::new() };
    let body = rest.strip_suffix(&[mark]).unwrap_or(rest);
    let escapes = !facts.mode.has(SqlMode::NO_BACKSLASH_ESCAPES);
    let mut value = Vec::with_capacity(body.len());
    let mut at = 0;
    while at < body.len() {
        let length = crate::sql::lex::multi_byte(facts.charset, &body[at..]).min(body.len() - at);
        let next = body.get(at + 1).copied();
        match (body[at], next) {
            (b'\\', Some(next)) if escapes && length == 1 => {
                match next {
                    b'0' => value.push(0),
                    b'b' => value.push(8),
                    b'n' => value.push(b'\n'),
                    b'r' => value.push(b'\r'),
                    b't' => value.push(b'\t'),
                    b'Z' => value.push(0x1a),
                    // They keep their backslash, since they are patterns' business.
                    b'%' | b'_' => value.extend([b'\\', next]),
                    _ => value.push(next),
                }
                at += 2;
            }
            (byte, Some(next)) if byte == mark && next == mark && length == 1 => {
                value.push(mark);
                at += 2;
            }
            _ => {
                value.extend_from_slice(&body[at..at + length]);
                at += length;
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::{Cursor, tokens, unquote};
    use crate::sql::tests::MYSQL;
    use crate::sql::{Facts, SqlMode, TextCharset};

    #[test]
    fn a_string_is_what_its_escapes_say() {
        for (text, value) in [
            (&br"'a''b'"[..], &b"a'b"[..]),
            (br#""a""b'""#, br#"a"b'"#),
            (br"'\0\b\n\r\t\Z\\\'\x\%\_'", b"\0\x08\n\r\t\x1a\\'x\\%\\_"),
            (b"''", b""),
        ] {
            assert_eq!(unquote(text, MYSQL), value, "{}", String::from_utf8_lossy(text));
        }
        let plain = Facts { mode: SqlMode::NO_BACKSLASH_ESCAPES, ..MYSQL };
        assert_eq!(unquote(br"'\n'", plain), br"\n");
        let gbk = Facts { charset: TextCharset::Gbk, ..MYSQL };
        assert_eq!(unquote(b"'\xd5\x5cn'", gbk), b"\xd5\x5cn");
    }

    #[test]
    fn names_are_unquoted_and_unknown_letters_refused() {
        let read = |sql: &[u8], facts: Facts| {
            let tokens = tokens(sql, facts).unwrap();
            Cursor::new(sql, &tokens, facts).object_name().map(|name| (name.schema.map(|s| s.name), name.name.name))
        };
        assert_eq!(read(b"`a``b`.`C`", MYSQL), Some((Some("a`b".to_owned()), "C".to_owned())));
        assert_eq!(read(b"a.select", MYSQL), Some((Some("a".to_owned()), "select".to_owned())));
        assert_eq!(read(b"select", MYSQL), None);
        assert_eq!(read("täble".as_bytes(), MYSQL), Some((None, "täble".to_owned())));
        let latin1 = Facts { charset: TextCharset::EightBit, ..MYSQL };
        assert_eq!(read(b"t\xe4ble", latin1), None);
    }
}
