//! The lexer: a statement's bytes as tokens, cut where the server would cut them.
//! It allocates nothing and knows no keyword beyond those that make a literal; no grammar, no meaning.
//!
//! The rules are those of the servers' `sql_lex.cc`
//! (<https://dev.mysql.com/doc/refman/9.7/en/language-structure.html>), its oddities included:
//! `1a` and the `1a` of `t.1a` are names, `1e5` is a number; `--` opens a comment only before white space;
//! a word right beside a dot is never a keyword; the text of `/*! */` is code.

use crate::error::SqlError;
use crate::sql::ast::{LiteralKind, Span};
use crate::sql::{Facts, Flavour, SqlMode, TextCharset, syntax_error};

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands, quotes, prefixes and at-signs included.
    pub span: Span,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An unquoted word that may be a keyword.
    Word,
    /// An unquoted word that can only be a name: it stands right beside a dot or begins with a digit.
    Name,
    /// A name in backquotes, or in double quotes under ANSI_QUOTES.
    Quoted,
    /// A literal, without a sign.
    Literal(LiteralKind),
    /// `?`.
    Param,
    /// `@x`, `@'x'`, `` @`x` ``.
    UserVariable,
    /// `@@x`, `@@global.x`, `` @@`x` ``.
    SystemVariable,
    /// `\N`, MariaDB's other NULL.
    Null,
    /// `$$text$$` or `$tag$text$tag$`: the body of a routine in another language (MySQL 9).
    DollarQuoted,
    /// Anything else.
    Punct(Punct),
}

/// Operators and punctuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the text of each is the comment behind it")]
pub enum Punct {
    LParen,     // (
    RParen,     // )
    LBrace,     // {
    RBrace,     // }
    Comma,      // ,
    Dot,        // .
    Semicolon,  // ;
    Colon,      // :
    Assign,     // :=
    Eq,         // =
    NullSafeEq, // <=>
    Ne,         // <> !=
    Lt,         // <
    Le,         // <=
    Gt,         // >
    Ge,         // >=
    Bang,       // !
    Plus,       // +
    Minus,      // -
    Star,       // *
    Slash,      // /
    Percent,    // %
    Amp,        // &
    AmpAmp,     // &&
    Pipe,       // |
    PipePipe,   // ||
    Caret,      // ^
    Tilde,      // ~
    ShiftLeft,  // <<
    ShiftRight, // >>
    Arrow,      // ->
    LongArrow,  // ->>
}

/// What a byte may begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Word,
    Digit,
    Quote,
    DoubleQuote,
    Backquote,
    Single(Punct),
    Comparison,
    Dot,
    Minus,
    Slash,
    Star,
    Hash,
    At,
    Param,
    Amp,
    Pipe,
    Colon,
    Backslash,
    Dollar,
    Stray,
}

const CLASS: [Class; 256] = {
    let mut class = [Class::Stray; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'\t'..=b'\r' | b' ' => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Word,
            b'0'..=b'9' => Class::Digit,
            b'\'' => Class::Quote,
            b'"' => Class::DoubleQuote,
            b'`' => Class::Backquote,
            b'(' => Class::Single(Punct::LParen),
            b')' => Class::Single(Punct::RParen),
            b'{' => Class::Single(Punct::LBrace),
            b'}' => Class::Single(Punct::RBrace),
            b',' => Class::Single(Punct::Comma),
            b';' => Class::Single(Punct::Semicolon),
            b'+' => Class::Single(Punct::Plus),
            b'%' => Class::Single(Punct::Percent),
            b'^' => Class::Single(Punct::Caret),
            b'~' => Class::Single(Punct::Tilde),
            b'=' | b'<' | b'>' | b'!' => Class::Comparison,
            b'.' => Class::Dot,
            b'-' => Class::Minus,
            b'/' => Class::Slash,
            b'*' => Class::Star,
            b'#' => Class::Hash,
            b'@' => Class::At,
            b'?' => Class::Param,
            b'&' => Class::Amp,
            b'|' => Class::Pipe,
            b':' => Class::Colon,
            b'\\' => Class::Backslash,
            b'$' => Class::Dollar,
            _ => Class::Stray,
        };
        byte += 1;
    }
    class
};

/// Bytes that go on with an unquoted word.
const IN_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..);
        byte += 1;
    }
    table
};

/// White space, commas and parentheses: they stand for themselves wherever no quote or comment is open.
const GAP: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8, b'\t'..=b'\r' | b' ' | b',' | b'(' | b')');
        byte += 1;
    }
    table
};

/// Whether a word of this first byte and length may be the prefix of a literal: most words are told apart by that.
#[inline]
fn may_prefix(first: u8, length: usize) -> bool {
    match first | 0x20 {
        b'n' | b'x' | b'b' => length == 1,
        b'd' => length == 4,
        b't' => matches!(length, 4 | 9),
        _ => first == b'_',
    }
}

/// Yields the tokens of a text, to its very end: what stands behind a `;` too. After an error it ends.
#[derive(Clone)]
pub struct Lexer<'a> {
    sql: &'a [u8],
    facts: Facts,
    at: usize,
    /// Inside `/*! ... */` whose text is code.
    in_code_comment: bool,
    /// A name begins exactly here, because a dot stands right before it.
    name_at: usize,
    /// A dot stands exactly here that belongs to the word before it.
    dot_at: usize,
    hint: Option<Span>,
    double_hint: bool,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `sql`.
    pub fn new(sql: &'a [u8], facts: Facts) -> Lexer<'a> {
        let nowhere = usize::MAX;
        Lexer {
            sql,
            facts,
            at: 0,
            in_code_comment: false,
            name_at: nowhere,
            dot_at: nowhere,
            hint: None,
            double_hint: false,
        }
    }

    /// The first comment `/*+ ... */` passed so far that mentions `shardloom`, comment marks included.
    pub fn hint(&self) -> Option<Span> {
        self.hint
    }

    /// The next token, `None` at the end.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<Option<Token>, SqlError> {
        loop {
            let Some(&byte) = self.sql.get(self.at) else {
                return if self.in_code_comment { Err(self.fail(self.at)) } else { Ok(None) };
            };
            let start = self.at;
            let kind = match CLASS[byte as usize] {
                Class::Space => {
                    self.at += 1;
                    continue;
                }
                Class::Word => self.word(start)?,
                Class::Digit => self.digits(start)?,
                Class::Single(punct) => self.punct(1, punct),
                Class::Quote => self.string(start, LiteralKind::String)?,
                Class::DoubleQuote if !self.facts.mode.has(SqlMode::ANSI_QUOTES) => {
                    self.string(start, LiteralKind::String)?
                }
                Class::DoubleQuote | Class::Backquote => {
                    self.at = self.quoted_end(start)?;
                    TokenKind::Quoted
                }
                Class::Comparison => self.comparison(byte)?,
                Class::Dot => self.dot(start)?,
                Class::Minus => match self.byte(start + 1) {
                    b'-' if self.blank_or_control(start + 2) => {
                        self.line_comment();
                        continue;
                    }
                    b'>' if self.byte(start + 2) == b'>' => self.punct(3, Punct::LongArrow),
                    b'>' => self.punct(2, Punct::Arrow),
                    _ => self.punct(1, Punct::Minus),
                },
                Class::Hash => {
                    self.line_comment();
                    continue;
                }
                Class::Slash if self.byte(start + 1) == b'*' => {
                    self.comment(start)?;
                    continue;
                }
                Class::Slash => self.punct(1, Punct::Slash),
                Class::Star if self.in_code_comment && self.byte(start + 1) == b'/' => {
                    self.in_code_comment = false;
                    self.at += 2;
                    continue;
                }
                Class::Star => self.punct(1, Punct::Star),
                Class::At => self.variable(start)?,
                Class::Param => {
                    self.at += 1;
                    TokenKind::Param
                }
                Class::Amp if self.byte(start + 1) == b'&' => self.punct(2, Punct::AmpAmp),
                Class::Amp => self.punct(1, Punct::Amp),
                Class::Pipe if self.byte(start + 1) == b'|' => self.punct(2, Punct::PipePipe),
                Class::Pipe => self.punct(1, Punct::Pipe),
                Class::Colon if self.byte(start + 1) == b'=' => self.punct(2, Punct::Assign),
                Class::Colon => self.punct(1, Punct::Colon),
                Class::Backslash if self.facts.flavour == Flavour::MariaDb && self.byte(start + 1) == b'N' => {
                    self.at += 2;
                    TokenKind::Null
                }
                Class::Dollar => self.dollar(start)?,
                Class::Backslash | Class::Stray => return Err(self.fail(start)),
            };
            return Ok(Some(Token { kind, span: Span::new(start, self.at) }));
        }
    }

    /// Steps over what surely is no literal, parameter, `;` or comment: white space, commas and parentheses, `=`, and
    /// words that can neither begin a literal nor stand beside a dot. Most of a statement is that.
    #[inline]
    pub(crate) fn skip_plain(&mut self) {
        if self.facts.charset != TextCharset::Utf8 {
            return;
        }
        let mut at = self.at;
        while let Some(&byte) = self.sql.get(at) {
            if GAP[byte as usize] {
                at += 1;
            } else if CLASS[byte as usize] == Class::Word {
                let word = &self.sql[at..];
                let length = word.iter().position(|&byte| !IN_WORD[byte as usize]).unwrap_or(word.len());
                if at == self.name_at || word.get(length) == Some(&b'.') || may_prefix(byte, length) {
                    break;
                }
                at += length;
            } else if byte == b'=' && CLASS[self.byte(at + 1) as usize] != Class::Comparison {
                at += 1;
            } else {
                break;
            }
        }
        self.at = at;
    }

    #[cold]
    fn fail(&self, at: usize) -> SqlError {
        syntax_error(self.sql, at)
    }

    /// The byte at `at`; 0 behind the end, as the servers' lexer sees it.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.sql.get(at).copied().unwrap_or(0)
    }

    #[inline]
    fn in_word(&self, at: usize) -> bool {
        self.sql.get(at).is_some_and(|&byte| IN_WORD[byte as usize])
    }

    fn blank_or_control(&self, at: usize) -> bool {
        matches!(self.byte(at), 0..=b' ' | 0x7f)
    }

    #[inline]
    fn punct(&mut self, length: usize, punct: Punct) -> TokenKind {
        self.at += length;
        TokenKind::Punct(punct)
    }

    /// The end of the unquoted word that begins (or goes on) at `at`.
    #[inline]
    fn word_end(&self, mut at: usize) -> Result<usize, SqlError> {
        if self.facts.charset == TextCharset::Utf8 {
            while self.in_word(at) {
                at += 1;
            }
            return Ok(at);
        }
        while self.in_word(at) {
            let length = multi_byte(self.facts.charset, &self.sql[at..]);
            if length == 1 && self.facts.charset == TextCharset::EightBit && self.sql[at] == 0xa0 {
                return Err(self.fail(at));
            }
            at += length;
        }
        Ok(at)
    }

    #[inline]
    fn word(&mut self, start: usize) -> Result<TokenKind, SqlError> {
        let end = self.word_end(start)?;
        if start != self.name_at
            && may_prefix(self.sql[start], end - start)
            && let Some(kind) = self.prefixed_literal(start, end)?
        {
            return Ok(kind);
        }
        Ok(self.end_word(start, end, TokenKind::Word))
    }

    /// Ends a word at `end`: a dot behind it, with more of a name behind that, makes it a name.
    #[inline]
    fn end_word(&mut self, start: usize, end: usize, kind: TokenKind) -> TokenKind {
        self.at = end;
        let dotted = self.byte(end) == b'.' && self.in_word(end + 1);
        if dotted {
            self.dot_at = end;
        }
        if dotted || start == self.name_at { TokenKind::Name } else { kind }
    }

    /// `N'..'`, `x'..'`, `b'..'`, `_charset'..'`, `DATE'..'`: literals that begin like a word.
    fn prefixed_literal(&mut self, start: usize, end: usize) -> Result<Option<TokenKind>, SqlError> {
        let first = self.sql[start] | 0x20;
        if end - start == 1 && self.byte(end) == b'\'' {
            match first {
                b'n' => return self.string(end, LiteralKind::National).map(Some),
                b'x' | b'b' => return self.quoted_number(end, first).map(Some),
                _ => {}
            }
        }
        if self.sql[start] == b'_' && is_charset(&self.sql[start + 1..end]) {
            return self.introduced(end);
        }
        if matches!((first, end - start), (b'd', 4) | (b't', 4 | 9))
            && [&b"date"[..], b"time", b"timestamp"].iter().any(|name| self.sql[start..end].eq_ignore_ascii_case(name))
        {
            return self.temporal(end);
        }
        Ok(None)
    }

    /// `x'1F'` or `b'01'`, whose quote stands at `quote`.
    fn quoted_number(&mut self, quote: usize, prefix: u8) -> Result<TokenKind, SqlError> {
        let hex = prefix == b'x';
        let mut end = quote + 1;
        while if hex { self.byte(end).is_ascii_hexdigit() } else { matches!(self.byte(end), b'0' | b'1') } {
            end += 1;
        }
        if self.byte(end) != b'\'' || (hex && (end - quote).is_multiple_of(2)) {
            return Err(self.fail(quote - 1));
        }
        self.at = end + 1;
        Ok(TokenKind::Literal(if hex { LiteralKind::Hex } else { LiteralKind::Bit }))
    }

    /// What stands behind `_charset`, which ends at `end`: a string, a hexadecimal or a bit literal makes
    /// one literal of both.
    fn introduced(&mut self, end: usize) -> Result<Option<TokenKind>, SqlError> {
        let mut ahead = self.clone();
        ahead.at = end;
        Ok(match ahead.advance()? {
            Some(Token {
                kind: TokenKind::Literal(LiteralKind::String | LiteralKind::Hex | LiteralKind::Bit), ..
            }) => {
                *self = ahead;
                Some(TokenKind::Literal(LiteralKind::Introduced))
            }
            _ => None,
        })
    }

    /// What stands behind DATE, TIME or TIMESTAMP, which ends at `end`: a string makes one literal of both.
    fn temporal(&mut self, end: usize) -> Result<Option<TokenKind>, SqlError> {
        if self.in_word(end) || matches!(self.byte(end), b'.' | b'(' | b',' | b')' | b'=') {
            return Ok(None);
        }
        let mut ahead = self.clone();
        ahead.at = end;
        // What cannot be read ahead is reported where it is read in earnest.
        Ok(match ahead.advance() {
            Ok(Some(Token { kind: TokenKind::Literal(LiteralKind::String), .. })) => {
                *self = ahead;
                Some(TokenKind::Literal(LiteralKind::Temporal))
            }
            _ => None,
        })
    }

    /// A string whose opening quote stands at `quote`.
    #[inline]
    fn string(&mut self, quote: usize, kind: LiteralKind) -> Result<TokenKind, SqlError> {
        let escapes = !self.facts.mode.has(SqlMode::NO_BACKSLASH_ESCAPES);
        let mark = self.sql[quote];
        let mut at = quote + 1;
        while let Some(&byte) = self.sql.get(at) {
            if byte == mark {
                if self.byte(at + 1) != mark {
                    self.at = at + 1;
                    return Ok(TokenKind::Literal(kind));
                }
                at += 2;
            } else if byte == b'\\' && escapes {
                at += 2;
            } else if byte < 0x80 {
                at += 1;
            } else {
                at += multi_byte(self.facts.charset, &self.sql[at..]);
            }
        }
        Err(self.fail(quote))
    }

    /// The end of the quoted name whose opening quote stands at `start`.
    fn quoted_end(&self, start: usize) -> Result<usize, SqlError> {
        let mark = self.sql[start];
        let mut at = start + 1;
        while let Some(&byte) = self.sql.get(at) {
            if byte == mark {
                if self.byte(at + 1) != mark {
                    return Ok(at + 1);
                }
                at += 2;
            } else if byte == 0 {
                break;
            } else {
                at += multi_byte(self.facts.charset, &self.sql[at..]);
            }
        }
        Err(self.fail(start))
    }

    /// A number, or a name that begins with a digit.
    #[inline]
    fn digits(&mut self, start: usize) -> Result<TokenKind, SqlError> {
        if start == self.name_at {
            let end = self.word_end(start)?;
            return Ok(self.end_word(start, end, TokenKind::Name));
        }
        if self.sql[start] == b'0' {
            let (kind, digit): (_, fn(&u8) -> bool) = match self.byte(start + 1) {
                b'x' => (LiteralKind::Hex, u8::is_ascii_hexdigit),
                b'b' => (LiteralKind::Bit, |byte| matches!(byte, b'0' | b'1')),
                _ => return self.decimal(start),
            };
            let mut end = start + 2;
            while digit(&self.byte(end)) {
                end += 1;
            }
            if end > start + 2 && !self.in_word(end) {
                self.at = end;
                return Ok(TokenKind::Literal(kind));
            }
            let end = self.word_end(start)?;
            return Ok(self.end_word(start, end, TokenKind::Name));
        }
        self.decimal(start)
    }

    /// A number in decimal notation, or a name such as `1a` or `1e`.
    #[inline]
    fn decimal(&mut self, start: usize) -> Result<TokenKind, SqlError> {
        let mut end = self.digits_end(start);
        if self.in_word(end) {
            if self.sql[end] | 0x20 == b'e' {
                let signed = matches!(self.byte(end + 1), b'+' | b'-');
                let exponent = end + 1 + usize::from(signed);
                if self.byte(exponent).is_ascii_digit() {
                    self.at = self.digits_end(exponent);
                    return Ok(TokenKind::Literal(LiteralKind::Float));
                }
            }
            end = self.word_end(end)?;
            return Ok(self.end_word(start, end, TokenKind::Name));
        }
        if self.byte(end) == b'.' {
            return self.fraction(end);
        }
        self.at = end;
        Ok(TokenKind::Literal(LiteralKind::Integer))
    }

    /// What follows the integer part of a number: its point stands at `point`.
    fn fraction(&mut self, point: usize) -> Result<TokenKind, SqlError> {
        let end = self.digits_end(point + 1);
        if self.byte(end) | 0x20 != b'e' {
            self.at = end;
            return Ok(TokenKind::Literal(LiteralKind::Decimal));
        }
        let signed = matches!(self.byte(end + 1), b'+' | b'-');
        let exponent = end + 1 + usize::from(signed);
        if !self.byte(exponent).is_ascii_digit() {
            return Err(self.fail(end));
        }
        self.at = self.digits_end(exponent);
        Ok(TokenKind::Literal(LiteralKind::Float))
    }

    #[inline]
    fn digits_end(&self, mut at: usize) -> usize {
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        at
    }

    /// A dot: part of a name, or the start of a number such as `.5`.
    fn dot(&mut self, start: usize) -> Result<TokenKind, SqlError> {
        if start != self.dot_at && self.byte(start + 1).is_ascii_digit() {
            return self.fraction(start);
        }
        self.at = start + 1;
        if self.in_word(start + 1) {
            self.name_at = start + 1;
        }
        Ok(TokenKind::Punct(Punct::Dot))
    }

    /// An operator made of `=`, `<`, `>` and `!`. The servers take as many of these bytes as they can, and what they get
    /// is an operator or an error: `=!` is one to MySQL; MariaDB lets `!` only begin an operator. MySQL has an oddity
    /// that is kept here: of `!!`, `!<` and `!>` it loses the second byte, so that `!!5` is 0.
    fn comparison(&mut self, first: u8) -> Result<TokenKind, SqlError> {
        let mysql = self.facts.flavour == Flavour::MySql;
        let is_part = |byte| matches!(byte, b'=' | b'<' | b'>') || (byte == b'!' && mysql);
        let start = self.at;
        let mut end = start + 1;
        if first == b'!' && !mysql {
            end += usize::from(self.byte(end) == b'=');
        } else if is_part(self.byte(end)) {
            end += 1;
            if first == b'<' && matches!(self.byte(end), b'=' | b'>' | b'!') && is_part(self.byte(end)) {
                end += 1;
            }
        }
        let punct = match &self.sql[start..end] {
            b"=" => Punct::Eq,
            b"<" => Punct::Lt,
            b">" => Punct::Gt,
            b"!" | b"!!" | b"!<" | b"!>" => Punct::Bang,
            b"<=" => Punct::Le,
            b">=" => Punct::Ge,
            b"<>" | b"!=" => Punct::Ne,
            b"<<" => Punct::ShiftLeft,
            b">>" => Punct::ShiftRight,
            b"<=>" => Punct::NullSafeEq,
            _ => return Err(self.fail(start)),
        };
        Ok(self.punct(end - start, punct))
    }

    /// `@x` or `@@x`, whose first `@` stands at `start`.
    fn variable(&mut self, start: usize) -> Result<TokenKind, SqlError> {
        if self.byte(start + 1) == b'@' {
            self.at = self.system_variable_end(start + 2)?;
            return Ok(TokenKind::SystemVariable);
        }
        self.at = match self.byte(start + 1) {
            b'\'' => {
                self.string(start + 1, LiteralKind::String)?;
                self.at
            }
            b'"' if !self.facts.mode.has(SqlMode::ANSI_QUOTES) => {
                self.string(start + 1, LiteralKind::String)?;
                self.at
            }
            b'"' | b'`' => self.quoted_end(start + 1)?,
            _ => {
                let mut end = start + 1;
                while self.in_word(end) || self.byte(end) == b'.' {
                    end += multi_byte(self.facts.charset, &self.sql[end..]);
                }
                if end == start + 1 {
                    return Err(self.fail(start));
                }
                end
            }
        };
        Ok(TokenKind::UserVariable)
    }

    /// The end of `name`, `scope.name` or `scope.structure.name`, which begins at `at`.
    fn system_variable_end(&self, mut at: usize) -> Result<usize, SqlError> {
        loop {
            let end = if self.byte(at) == b'`' { self.quoted_end(at)? } else { self.word_end(at)? };
            if end == at {
                return Err(self.fail(at));
            }
            if self.byte(end) != b'.' {
                return Ok(end);
            }
            at = end + 1;
        }
    }

    /// A word that begins with `$`, or text between two `$tag$` (MySQL 9).
    fn dollar(&mut self, start: usize) -> Result<TokenKind, SqlError> {
        let quotes = self.facts.flavour == Flavour::MySql && self.facts.version >= 90_000;
        if quotes && start != self.name_at {
            let mut end = start + 1;
            while self.in_word(end) && self.sql[end] != b'$' {
                end += multi_byte(self.facts.charset, &self.sql[end..]);
            }
            if self.byte(end) == b'$' {
                let tag = &self.sql[start..=end];
                let close = self.sql[end + 1..].windows(tag.len()).position(|text| text == tag);
                let close = close.ok_or_else(|| self.fail(start))?;
                self.at = end + 1 + close + tag.len();
                return Ok(TokenKind::DollarQuoted);
            }
        }
        let end = self.word_end(start)?;
        Ok(self.end_word(start, end, TokenKind::Word))
    }

    fn line_comment(&mut self) {
        while !matches!(self.byte(self.at), b'\n' | 0) {
            self.at += 1;
        }
    }

    /// Steps over the comment at `start`, or into it if the servers would run its text.
    fn comment(&mut self, start: usize) -> Result<(), SqlError> {
        let mariadb = self.facts.flavour == Flavour::MariaDb;
        let own = mariadb && self.sql[start + 2..].starts_with(b"M!");
        if own || self.byte(start + 2) == b'!' {
            let code = start + if own { 4 } else { 3 };
            let Some((version, digits)) = self.comment_version(code) else {
                return self.enter_comment(code);
            };
            // MariaDB takes no code that is meant for MySQL 5.7 and later.
            let foreign = mariadb && !own && (50_700..=999_999).contains(&version);
            if version <= self.facts.version && !foreign {
                return self.enter_comment(code + digits);
            }
            self.at = self.comment_end(code, true).ok_or_else(|| self.fail(start))?;
            return Ok(());
        }
        self.at = self.comment_end(start + 2, false).ok_or_else(|| self.fail(start))?;
        if self.byte(start + 2) == b'+' {
            self.note_hint(Span::new(start, self.at));
            if self.double_hint {
                return Err(self.fail(start));
            }
        }
        Ok(())
    }

    fn enter_comment(&mut self, at: usize) -> Result<(), SqlError> {
        self.in_code_comment = true;
        self.at = at;
        Ok(())
    }

    /// The version at the start of `/*!NNNNN` and its length: five digits or six. MySQL takes the sixth
    /// only if white space follows it.
    fn comment_version(&self, at: usize) -> Option<(u32, usize)> {
        let digits = self.sql[at..].iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
        let six = digits == 6
            && (self.facts.flavour == Flavour::MariaDb || matches!(self.byte(at + 6), b'\t'..=b'\r' | b' '));
        let length = if six { 6 } else { 5 };
        let text = self.sql[at..].get(..length.min(digits))?;
        let number = text.iter().fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0'));
        (digits >= 5).then_some((number, length))
    }

    /// The end of the comment whose text begins at `at`; with `nested`, comments inside it count.
    fn comment_end(&self, mut at: usize, nested: bool) -> Option<usize> {
        while at < self.sql.len() {
            match (self.sql[at], self.byte(at + 1)) {
                (b'*', b'/') => return Some(at + 2),
                (b'/', b'*') if nested => at = self.comment_end(at + 2, false)?,
                _ => at += 1,
            }
        }
        None
    }

    #[cold]
    fn note_hint(&mut self, span: Span) {
        let ours = span.of(self.sql).windows(9).any(|text| text.eq_ignore_ascii_case(b"shardloom"));
        if ours {
            self.double_hint = self.hint.is_some();
            self.hint = Some(span);
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Result<Token, SqlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let token = self.advance();
        if token.is_err() {
            self.at = self.sql.len();
            self.in_code_comment = false;
        }
        token.transpose()
    }
}

/// The length of the character at the start of `text`, as the servers' `my_ismbchar` finds it; 1 for a
/// single byte, and for a broken one.
pub(crate) fn multi_byte(charset: TextCharset, text: &[u8]) -> usize {
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let two = match charset {
        TextCharset::Utf8 | TextCharset::EightBit => false,
        TextCharset::Gbk => matches!(byte(0), 0x81..=0xfe) && matches!(byte(1), 0x40..=0x7e | 0x80..=0xfe),
        TextCharset::Big5 => matches!(byte(0), 0xa1..=0xf9) && matches!(byte(1), 0x40..=0x7e | 0xa1..=0xfe),
        TextCharset::Sjis => {
            matches!(byte(0), 0x81..=0x9f | 0xe0..=0xfc) && matches!(byte(1), 0x40..=0x7e | 0x80..=0xfc)
        }
        TextCharset::Gb18030 => {
            let lead = matches!(byte(0), 0x81..=0xfe);
            if lead && byte(1).is_ascii_digit() && matches!(byte(2), 0x81..=0xfe) && byte(3).is_ascii_digit() {
                return 4;
            }
            lead && matches!(byte(1), 0x40..=0x7e | 0x80..=0xfe)
        }
    };
    if two { 2 } else { 1 }
}

/// Whether `name` is a character set of either vendor, so that `_name` introduces a literal.
fn is_charset(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else {
        return false;
    };
    TextCharset::of(name).is_some()
        || ["ucs2", "utf16", "utf16le", "utf32"].iter().any(|wide| wide.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::{Lexer, Punct, Token, TokenKind};
    use crate::sql::ast::LiteralKind;
    use crate::sql::tests::{MARIADB, MYSQL};
    use crate::sql::{Facts, SqlMode, TextCharset};

    /// The tokens of `sql` as `letter:text`, or `error` where it cannot be read.
    fn shown(sql: &[u8], facts: Facts) -> String {
        let show = |token: Token| {
            let mark = match token.kind {
                TokenKind::Word => "w",
                TokenKind::Name => "n",
                TokenKind::Quoted => "q",
                TokenKind::Literal(kind) => match kind {
                    LiteralKind::String => "str",
                    LiteralKind::National => "nat",
                    LiteralKind::Introduced => "intro",
                    LiteralKind::Integer => "int",
                    LiteralKind::Decimal => "dec",
                    LiteralKind::Float => "float",
                    LiteralKind::Hex => "hex",
                    LiteralKind::Bit => "bit",
                    LiteralKind::Temporal => "temp",
                },
                TokenKind::Param => "param",
                TokenKind::UserVariable => "uvar",
                TokenKind::SystemVariable => "svar",
                TokenKind::Null => "null",
                TokenKind::DollarQuoted => "dollar",
                TokenKind::Punct(_) => "",
            };
            let text = String::from_utf8_lossy(token.span.of(sql)).into_owned();
            if mark.is_empty() { text } else { format!("{mark}:{text}") }
        };
        let tokens: Vec<String> =
            Lexer::new(sql, facts).map(|token| token.map_or_else(|_| "error".to_owned(), show)).collect();
        tokens.join(" ")
    }

    fn with_mode(mode: SqlMode) -> Facts {
        Facts { mode, ..MYSQL }
    }

    /// A line each: a text, ` => `, its tokens. `\n` stands for a newline, `\1` for byte 1.
    const READINGS: &str = r##"
SELECT a => w:SELECT w:a
a.b => n:a . n:b
t.select => n:t . n:select
t. select => w:t . w:select
t .a => w:t . n:a
t.* => w:t . *
t.`a`.b => w:t . q:`a` . n:b
`a``b` => q:`a``b`
1a => n:1a
t.1a => n:t . n:1a
t.1e5 => n:t . n:1e5
t .5 => w:t dec:.5
1 1. .5 1.5 => int:1 dec:1. dec:.5 dec:1.5
1e5 1.e5 1E-5 .5e+3 => float:1e5 float:1.e5 float:1E-5 float:.5e+3
1e 1ex 1e+ => n:1e n:1ex n:1e +
1e5a => float:1e5 w:a
1.5e => error
0x1F 0xyz 0X1F 0x => hex:0x1F n:0xyz n:0X1F n:0x
0b01 0b2 0b => bit:0b01 n:0b2 n:0b
x'1F' X'' b'01' B'' => hex:x'1F' hex:X'' bit:b'01' bit:B''
x'1' => error
b'2' => error
N'a' n'b' n 'c' => nat:N'a' nat:n'b' w:n str:'c'
'a' "b" 'a''b' 'a\'b' => str:'a' str:"b" str:'a''b' str:'a\'b'
"a""b" 'a"b' => str:"a""b" str:'a"b'
'a\ => error
'a => error
`a => error
_utf8mb4'x' _latin1 x'41' => intro:_utf8mb4'x' intro:_latin1 x'41'
_binary/**/0x41 => intro:_binary/**/0x41
_foo 'x' _utf8 => w:_foo str:'x' w:_utf8
t._utf8 'x' => n:t . n:_utf8 str:'x'
DATE'2020-01-01' time '10:00' => temp:DATE'2020-01-01' temp:time '10:00'
TimeStamp/* c */"x" => temp:TimeStamp/* c */"x"
DATE(a) date t.date 'x' => w:DATE ( w:a ) w:date n:t . n:date str:'x'
{d '2020-01-01'} => { w:d str:'2020-01-01' }
@a @'a b' @`a` @a.b => uvar:@a uvar:@'a b' uvar:@`a` uvar:@a.b
@"x" @_$1 => uvar:@"x" uvar:@_$1
@@a @@global.a @@`a` => svar:@@a svar:@@global.a svar:@@`a`
@@session.`a` @@global.x.y => svar:@@session.`a` svar:@@global.x.y
@ => error
@@ a => error
'u'@'h' u@localhost => str:'u' uvar:@'h' w:u uvar:@localhost
a<=>b<>c!=d<=e>=f => w:a <=> w:b <> w:c != w:d <= w:e >= w:f
f<g>h<<i>>j => w:f < w:g > w:h << w:i >> w:j
a=!b => w:a error
!!a => !! w:a
!a !=b => ! w:a != w:b
a=-b := : || | && & => w:a = - w:b := : || | && &
-> ->> - ^ ~ % ! + => -> ->> - ^ ~ % ! +
1--1 => int:1 - - int:1
1-- 1\n+2 => int:1 + int:2
1-- => int:1
1 # c '\n+2# => int:1 + int:2
1 /* ' */ + /* /* */ 2 => int:1 + int:2
1 /*  => int:1 error
/*/ a */ b => w:b
SELECT /*! a, */ b => w:SELECT w:a , w:b
/*!50701 a */ /*!99999 b /* c */ d */ e => w:a w:e
/*!090704 a */ /*!0907041 */ => w:a int:41
/*!90705 b */ /*!100000 c */ =>
/*M! a */ /*M!100100 b */ c => w:c
/*! a /* c */ b */ c => w:a w:b w:c
/*! a => w:a error
/*+ x */ a => w:a
\N => error
$a a$b => w:$a w:a$b
$$ a ' $$ $x$ $$ $x$ => dollar:$$ a ' $$ dollar:$x$ $$ $x$
é => w:é
a\1b => w:a error
?=? ; => param:? = param:? ;
-- only =>
"##;

    const MARIADB_READINGS: &str = r##"
/*M! a */ /*M!100100 b */ /*M!110100 c */ => w:a w:b
/*!50701 a */ /*!50100 b */ /*!100100 c */ /*! d */ => w:b w:d
/*!1001001*/ a => w:a
\N => null:\N
$a$b$ => w:$a$b$
a=!b<!!c!=d<=!e => w:a = ! w:b < ! ! w:c != w:d <= ! w:e
"##;

    #[test]
    fn texts_are_cut_where_the_servers_cut_them() {
        for (readings, facts) in [(READINGS, MYSQL), (MARIADB_READINGS, MARIADB)] {
            for line in readings.lines().filter(|line| !line.is_empty()) {
                let (sql, expected) = line.split_once(" =>").unwrap();
                let sql = sql.replace("\\n", "\n").replace("\\1", "\u{1}");
                assert_eq!(shown(sql.as_bytes(), facts), expected.trim_start(), "{sql}");
            }
        }
    }

    #[test]
    fn modes_change_quotes_and_backslashes() {
        let ansi = with_mode(SqlMode::ANSI_QUOTES);
        assert_eq!(shown(b"\"a\"\"b\" 'c'", ansi), "q:\"a\"\"b\" str:'c'");
        assert_eq!(shown(b"DATE \"x\" @\"x\"", ansi), "w:DATE q:\"x\" uvar:@\"x\"");
        let plain = with_mode(SqlMode::NO_BACKSLASH_ESCAPES);
        assert_eq!(shown(br"'a\' 'b'", plain), r"str:'a\' str:'b'");
    }

    #[test]
    fn second_bytes_are_no_quotes() {
        for charset in [TextCharset::Gbk, TextCharset::Big5, TextCharset::Sjis, TextCharset::Gb18030] {
            let facts = Facts { charset, ..MYSQL };
            // 0xE0 0x5C is one character whose second byte is a backslash.
            let tokens: Vec<_> = Lexer::new(b"'\xe0\x5c' a", facts).map(Result::unwrap).collect();
            assert_eq!(tokens.len(), 2, "{charset:?}");
            let tokens: Vec<_> = Lexer::new(b"a\xe0\x60b \xe0|", facts).map(Result::unwrap).collect();
            assert_eq!(tokens.len(), 2, "{charset:?}");
            assert!(Lexer::new(b"'\xe0\x5c' a", MYSQL).any(|token| token.is_err()));
        }
        let facts = Facts { charset: TextCharset::Gb18030, ..MYSQL };
        assert_eq!(Lexer::new(b"\x81\x30\x81\x30+1", facts).count(), 3);
        let facts = Facts { charset: TextCharset::EightBit, ..MYSQL };
        assert_eq!(Lexer::new(b"caf\xe9 '\xa0'", facts).filter(Result::is_ok).count(), 2);
        assert!(Lexer::new(b"t\xa0WHERE", facts).any(|token| token.is_err()));
    }

    #[test]
    fn a_punctuation_mark_is_its_text() {
        let token = Lexer::new(b"->>", MYSQL).next().unwrap().unwrap();
        assert_eq!(token.kind, TokenKind::Punct(Punct::LongArrow));
    }
}
