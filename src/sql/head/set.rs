//! SET in all its forms. Which variables exist, and what the values mean, is not known here.

use crate::error::SqlError;
use crate::sql::ast::{LiteralKind, ObjectName, Span};
use crate::sql::cursor::{Cursor, tokens, unquote};
use crate::sql::head::{Admin, Head, names, remainder, txn};
use crate::sql::lex::{Punct, Token, TokenKind};
use crate::sql::{Facts, syntax_error};

/// For whom a variable is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// SESSION, LOCAL, or nothing written.
    Session,
    /// GLOBAL.
    Global,
    /// PERSIST.
    Persist,
    /// PERSIST_ONLY.
    PersistOnly,
    /// The next transaction only: SET TRANSACTION without a scope, `@@transaction_isolation`.
    Next,
}

/// One assignment of a SET.
#[derive(Clone, Debug, PartialEq)]
pub struct SetItem {
    /// What is set.
    pub target: SetTarget,
    /// The value, where its form says it.
    pub value: SetValue,
    /// The value's text.
    pub span: Span,
    /// Names in the value that may be tables; empty unless it holds a subquery.
    pub tables: Vec<ObjectName>,
}

/// What is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetTarget {
    /// A system variable; a local variable of a routine looks the same.
    System {
        /// For whom. `@@x` without a scope is [`Scope::Next`] for the characteristics of a transaction and
        /// [`Scope::Session`] for everything else.
        scope: Scope,
        /// Lower-case name, `structure.name` for structured variables.
        name: String,
    },
    /// A user variable: its lower-case name without the `@`.
    User(String),
    /// NAMES: the value is the character set or DEFAULT.
    Names {
        /// COLLATE, lower-case.
        collation: Option<String>,
    },
    /// CHARACTER SET or CHARSET: the value is the character set or DEFAULT.
    Charset,
    /// PASSWORD, for whomever: the value is not looked at.
    Password,
}

/// A value, as far as its form says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    /// DEFAULT.
    Default,
    /// A bare word such as ON, UTF8MB4 or NULL, as written.
    Word(String),
    /// A string literal's value.
    Text(Vec<u8>),
    /// A number, with its sign.
    Number(String),
    /// An expression.
    Expr,
}

impl SetItem {
    /// The value as text, if its form says it: a word, a string in UTF-8 or a number; not DEFAULT.
    pub fn literal(&self) -> Option<&str> {
        match &self.value {
            SetValue::Word(text) | SetValue::Number(text) => Some(text),
            SetValue::Text(bytes) => std::str::from_utf8(bytes).ok(),
            SetValue::Default | SetValue::Expr => None,
        }
    }
}

/// Behind SET.
pub(super) fn set(cursor: &mut Cursor<'_>) -> Option<Head> {
    if cursor.is_word("STATEMENT") && !is_assignment_at(cursor, 1) {
        return set_statement(cursor);
    }
    if cursor.are_words(&["DEFAULT", "ROLE"]) || (cursor.is_word("ROLE") && !is_assignment_at(cursor, 1)) {
        return Some(Head::SetRole);
    }
    if cursor.are_words(&["RESOURCE", "GROUP"]) {
        return Some(Head::Admin { verb: Admin::Server, tables: Vec::new() });
    }
    if let Some(head) = set_transaction(cursor) {
        return Some(head);
    }
    let items = items(cursor)?;
    cursor.at_end().then_some(Head::Set(items))
}

fn is_assignment_at(cursor: &Cursor<'_>, ahead: usize) -> bool {
    cursor.is_punct_at(ahead, Punct::Eq)
        || cursor.is_punct_at(ahead, Punct::Assign)
        || cursor.is_punct_at(ahead, Punct::Dot)
}

/// `STATEMENT a=1, b=2 FOR statement`.
fn set_statement(cursor: &mut Cursor<'_>) -> Option<Head> {
    cursor.at += 1;
    let items = items(cursor)?;
    cursor.eat(&["FOR"]).then_some(())?;
    Some(Head::SetStatement { items, inner: remainder(cursor)? })
}

/// `[GLOBAL | SESSION | LOCAL] TRANSACTION characteristics`; the place does not move if it is not that.
fn set_transaction(cursor: &mut Cursor<'_>) -> Option<Head> {
    let mut ahead = cursor.clone();
    let scope = scope_word(&mut ahead).unwrap_or(Scope::Next);
    let starts = ahead.is_word_at(1, "ISOLATION") || ahead.is_word_at(1, "READ");
    (ahead.is_word("TRANSACTION") && starts).then_some(())?;
    ahead.at += 1;
    let (mut isolation, mut read_only) = (None, None);
    loop {
        if ahead.eat(&["ISOLATION", "LEVEL"]) {
            isolation = Some(txn::isolation(&mut ahead)?);
        } else {
            read_only = Some(txn::access_mode(&mut ahead)?);
        }
        if !ahead.eat_punct(Punct::Comma) {
            break;
        }
    }
    ahead.at_end().then_some(())?;
    *cursor = ahead;
    Some(Head::SetTransaction { scope, isolation, read_only })
}

/// A scope's word, unless it is the name of what is set.
fn scope_word(cursor: &mut Cursor<'_>) -> Option<Scope> {
    let scope = [
        ("GLOBAL", Scope::Global),
        ("SESSION", Scope::Session),
        ("LOCAL", Scope::Session),
        ("PERSIST", Scope::Persist),
        ("PERSIST_ONLY", Scope::PersistOnly),
    ]
    .into_iter()
    .find_map(|(word, scope)| (cursor.is_word(word) && !is_assignment_at(cursor, 1)).then_some(scope))?;
    cursor.at += 1;
    Some(scope)
}

fn items(cursor: &mut Cursor<'_>) -> Option<Vec<SetItem>> {
    let mut items = Vec::new();
    // A scope's word holds for the assignments behind it, too.
    let mut scope = Scope::Session;
    loop {
        if let Some(word) = scope_word(cursor) {
            scope = word;
        }
        items.push(item(cursor, scope)?);
        if !cursor.eat_punct(Punct::Comma) {
            return Some(items);
        }
    }
}

fn item(cursor: &mut Cursor<'_>, scope: Scope) -> Option<SetItem> {
    let token = cursor.peek(0)?;
    match token.kind {
        TokenKind::UserVariable => {
            let name = user_variable(cursor.text(token), cursor)?;
            cursor.at += 1;
            return assignment(cursor, SetTarget::User(name));
        }
        TokenKind::SystemVariable => {
            let (scope, name) = system_variable(cursor.text(token))?;
            cursor.at += 1;
            return assignment(cursor, SetTarget::System { scope, name });
        }
        _ => {}
    }
    if cursor.is_word("NAMES") && !is_assignment_at(cursor, 1) {
        cursor.at += 1;
        return set_names(cursor);
    }
    if cursor.eat(&["CHARACTER", "SET"]) || cursor.eat(&["CHAR", "SET"]) {
        return charset(cursor, SetTarget::Charset);
    }
    if cursor.is_word("CHARSET") && !is_assignment_at(cursor, 1) {
        cursor.at += 1;
        return charset(cursor, SetTarget::Charset);
    }
    if cursor.is_word("PASSWORD") {
        return Some(password(cursor));
    }
    let name = cursor.object_name()?;
    let schema = name.schema.map_or(String::new(), |schema| schema.name.to_lowercase() + ".");
    let name = schema + &name.name.name.to_lowercase();
    assignment(cursor, SetTarget::System { scope, name })
}

/// `NAMES charset [COLLATE collation]`, `NAMES DEFAULT`.
fn set_names(cursor: &mut Cursor<'_>) -> Option<SetItem> {
    let mut item = charset(cursor, SetTarget::Names { collation: None })?;
    if cursor.eat(&["COLLATE"]) {
        let (value, span) = charset_name(cursor)?;
        let collation = match value {
            SetValue::Word(name) => Some(name.to_lowercase()),
            SetValue::Text(name) => Some(String::from_utf8(name).ok()?.to_lowercase()),
            _ => None,
        };
        item.span.end = span.end;
        item.target = SetTarget::Names { collation };
    }
    Some(item)
}

fn charset(cursor: &mut Cursor<'_>, target: SetTarget) -> Option<SetItem> {
    let (value, span) = charset_name(cursor)?;
    Some(SetItem { target, value, span, tables: Vec::new() })
}

/// A character set's or collation's name: a word, a string, BINARY or DEFAULT.
fn charset_name(cursor: &mut Cursor<'_>) -> Option<(SetValue, Span)> {
    let token = cursor.next()?;
    let value = match token.kind {
        TokenKind::Literal(LiteralKind::String) => SetValue::Text(unquote(cursor.text(token), cursor.facts)),
        TokenKind::Word if cursor.text(token).eq_ignore_ascii_case(b"DEFAULT") => SetValue::Default,
        TokenKind::Word | TokenKind::Quoted => SetValue::Word(cursor.ident(token)?.name),
        _ => return None,
    };
    Some((value, token.span))
}

/// `PASSWORD [FOR user] = ...` or `PASSWORD [FOR user] TO RANDOM ...`: to the end of the statement.
fn password(cursor: &mut Cursor<'_>) -> SetItem {
    let start = cursor.start();
    cursor.at = cursor.tokens.len();
    SetItem { target: SetTarget::Password, value: SetValue::Expr, span: cursor.since(start), tables: Vec::new() }
}

/// `= value` or `:= value`.
fn assignment(cursor: &mut Cursor<'_>, target: SetTarget) -> Option<SetItem> {
    (cursor.eat_punct(Punct::Eq) || cursor.eat_punct(Punct::Assign)).then_some(())?;
    let (start, first) = (cursor.start(), cursor.at);
    while !cursor.at_end() && !cursor.is_punct(Punct::Comma) && !cursor.is_word("FOR") {
        if !cursor.is_punct(Punct::LParen) || !cursor.skip_parens() {
            cursor.at = (cursor.at + 1).min(cursor.tokens.len());
        }
    }
    let span = cursor.since(start);
    let mut inside = Cursor { tokens: &cursor.tokens[..cursor.at], at: first, ..cursor.clone() };
    let value = value(&inside)?;
    let tables = names::in_expressions(&mut inside);
    Some(SetItem { target, value, span, tables })
}

/// The form of a value that is all of what is left; `None` if nothing is.
fn value(cursor: &Cursor<'_>) -> Option<SetValue> {
    let mut cursor = cursor.clone();
    let token = cursor.peek(0)?;
    if let Some(text) = cursor.string() {
        return Some(if cursor.at_end() { SetValue::Text(text) } else { SetValue::Expr });
    }
    let sign = match token.kind {
        TokenKind::Punct(Punct::Minus) => "-",
        _ => "",
    };
    cursor.at += sign.len();
    let Some(token) = cursor.next().filter(|_| cursor.at_end()) else { return Some(SetValue::Expr) };
    let text = || String::from_utf8_lossy(cursor.text(token)).into_owned();
    Some(match token.kind {
        TokenKind::Literal(LiteralKind::Integer | LiteralKind::Decimal | LiteralKind::Float) => {
            SetValue::Number(format!("{sign}{}", text()))
        }
        TokenKind::Word if sign.is_empty() && text().eq_ignore_ascii_case("DEFAULT") => SetValue::Default,
        TokenKind::Word | TokenKind::Quoted | TokenKind::Name if sign.is_empty() => {
            SetValue::Word(cursor.ident(token)?.name)
        }
        _ => SetValue::Expr,
    })
}

/// The user variables that the first statement of `sql` names, each once: lower-case names without the `@`.
///
/// # Errors
/// 1064 where the lexer fails, or for a name that is no text.
pub fn user_variables(sql: &[u8], facts: Facts) -> Result<Vec<String>, SqlError> {
    let tokens = tokens(sql, facts)?;
    let mut cursor = Cursor::new(sql, &tokens, facts);
    let mut names = Vec::new();
    while let Some(token) = cursor.next() {
        if token.kind == TokenKind::UserVariable {
            let name = user_variable(cursor.text(token), &cursor);
            names.push(name.ok_or_else(|| syntax_error(sql, token.span.start as usize))?);
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The variables of an INTO clause, in order: lower-case names without the `@`; none if it names anything else.
pub fn variables_of_into(clause: &[u8], facts: Facts) -> Option<Box<[Box<str>]>> {
    let tokens = tokens(clause, facts).ok()?;
    let mut cursor = Cursor::new(clause, &tokens, facts);
    let into = cursor.next()?;
    if !cursor.text(into).eq_ignore_ascii_case(b"INTO") {
        return None;
    }
    let mut names = Vec::new();
    loop {
        let token = cursor.next().filter(|token| token.kind == TokenKind::UserVariable)?;
        names.push(user_variable(cursor.text(token), &cursor)?.into());
        if cursor.at_end() {
            return Some(names.into());
        }
        if !cursor.eat_punct(Punct::Comma) {
            return None;
        }
    }
}

/// Whether a word stands in `text`, outside of strings and quoted names.
pub fn has_word(text: &[u8], word: &str, facts: Facts) -> bool {
    let is_word =
        |token: &Token| token.kind == TokenKind::Word && token.span.of(text).eq_ignore_ascii_case(word.as_bytes());
    tokens(text, facts).is_ok_and(|tokens| tokens.iter().any(is_word))
}

/// The lower-case name of the user variable that `text` is, if it is that and nothing else.
pub fn sole_variable(text: &[u8], facts: Facts) -> Option<String> {
    let tokens = tokens(text, facts).ok()?;
    let [token] = tokens.as_slice() else { return None };
    let cursor = Cursor::new(text, &tokens, facts);
    (token.kind == TokenKind::UserVariable).then(|| user_variable(cursor.text(*token), &cursor)).flatten()
}

/// The lower-case name of a user variable token.
pub(super) fn user_variable(text: &[u8], cursor: &Cursor<'_>) -> Option<String> {
    let name = match text.get(1)? {
        b'\'' | b'"' | b'`' => unquote_variable(&text[1..], cursor),
        _ => text[1..].to_vec(),
    };
    Some(String::from_utf8(name).ok()?.to_lowercase())
}

/// In backquotes a backslash is none.
fn unquote_variable(text: &[u8], cursor: &Cursor<'_>) -> Vec<u8> {
    let mut facts = cursor.facts;
    if text[0] == b'`' {
        facts.mode = facts.mode.with(crate::sql::SqlMode::NO_BACKSLASH_ESCAPES);
    }
    unquote(text, facts)
}

/// Scope and lower-case name of a system variable token, `@@` included.
pub(super) fn system_variable(text: &[u8]) -> Option<(Scope, String)> {
    let text = std::str::from_utf8(text).ok()?.strip_prefix("@@")?.to_lowercase().replace('`', "");
    let scopes = [
        ("global.", Scope::Global),
        ("session.", Scope::Session),
        ("local.", Scope::Session),
        ("persist.", Scope::Persist),
        ("persist_only.", Scope::PersistOnly),
    ];
    let scoped = scopes.into_iter().find_map(|(word, scope)| Some((scope, text.strip_prefix(word)?.to_owned())));
    Some(scoped.unwrap_or_else(|| {
        let characteristics = ["transaction_isolation", "transaction_read_only", "tx_isolation", "tx_read_only"];
        let next = characteristics.contains(&text.as_str());
        (if next { Scope::Next } else { Scope::Session }, text)
    }))
}
