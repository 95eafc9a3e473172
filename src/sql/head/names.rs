//! Names in statements that are not parsed: exact lists where the manual gives one, and everything that could be a
//! table where it does not.

use crate::sql::ast::{Ident, ObjectName, Span};
use crate::sql::cursor::Cursor;
use crate::sql::lex::{Punct, TokenKind};
use crate::sql::parse::parse;
use crate::sql::walk;

/// Every name from the place to the end that could be a table, each once. A word that is not reserved counts, whatever
/// it is; of `a.b` both `a.b` and `a` do, since it may be a column of `a`.
pub(super) fn all(cursor: &mut Cursor<'_>) -> Vec<ObjectName> {
    let mut names = Vec::new();
    while !cursor.at_end() {
        let Some(token) = cursor.peek(0) else { break };
        if !cursor.can_be_name(token) {
            cursor.at += 1;
            continue;
        }
        let mut chain: Vec<Ident> = Vec::new();
        loop {
            // A name that cannot be read cannot be a sharded table's either: rules are written in UTF-8. It still
            // must not vanish, so it is listed as it stands.
            let token = cursor.tokens[cursor.at];
            let shown = || String::from_utf8_lossy(cursor.text(token)).into_owned();
            chain.push(cursor.ident(token).unwrap_or_else(|| Ident { name: shown(), span: token.span }));
            cursor.at += 1;
            if !(cursor.is_punct(Punct::Dot) && cursor.is_name_at(1)) {
                break;
            }
            cursor.at += 1;
        }
        for pair in chain.windows(2).take(2) {
            push(&mut names, object(Some(&pair[0]), &pair[1]));
        }
        push(&mut names, object(None, &chain[0]));
    }
    names
}

/// The tables of the query that begins at the place and goes to the end: exactly, where it can be parsed, else all that
/// [`all`] finds. Common table expressions are among them.
pub(super) fn of_query(cursor: &mut Cursor<'_>) -> Vec<ObjectName> {
    let behind = cursor.tokens.len();
    let end = (cursor.at..behind).find(|&at| is_check_option(&Cursor { at, ..cursor.clone() })).unwrap_or(behind);
    let offset = cursor.start();
    let text = cursor.tokens.get(end.wrapping_sub(1)).map_or(0, |last| last.span.end as usize);
    let read = cursor.sql.get(offset..text).and_then(|query| parse(query, cursor.facts).ok());
    let Some(statement) = read else { return all(cursor) };
    cursor.at = behind;
    let mut names = Vec::new();
    for name in walk::table_names(&statement) {
        push(&mut names, shifted(name, offset as u32));
    }
    names
}

/// `WITH [CASCADED | LOCAL] CHECK OPTION`, behind the query of a view.
fn is_check_option(cursor: &Cursor<'_>) -> bool {
    cursor.are_words(&["WITH", "CHECK", "OPTION"])
        || cursor.are_words(&["WITH", "CASCADED", "CHECK", "OPTION"])
        || cursor.are_words(&["WITH", "LOCAL", "CHECK", "OPTION"])
}

/// A name read from a part of the text that begins at `offset`.
fn shifted(name: &ObjectName, offset: u32) -> ObjectName {
    let span = |span: Span| Span { start: span.start + offset, end: span.end + offset };
    let ident = |ident: &Ident| Ident { name: ident.name.clone(), span: span(ident.span) };
    ObjectName { schema: name.schema.as_ref().map(ident), name: ident(&name.name), span: span(name.span) }
}

/// What [`all`] finds, if the rest of the statement reads a table at all: only a subquery does.
pub(super) fn in_expressions(cursor: &mut Cursor<'_>) -> Vec<ObjectName> {
    let reads = cursor.tokens[cursor.at..].iter().any(|token| {
        let text = cursor.text(*token);
        token.kind == TokenKind::Word
            && [&b"SELECT"[..], b"TABLE", b"VALUE"].iter().any(|word| text.eq_ignore_ascii_case(word))
    });
    if reads || calls_sequence(cursor) {
        return all(cursor);
    }
    cursor.at = cursor.tokens.len();
    Vec::new()
}

/// MariaDB's functions that read a sequence, which is a table.
fn calls_sequence(cursor: &Cursor<'_>) -> bool {
    cursor.tokens[cursor.at..].iter().any(|token| {
        let text = cursor.text(*token);
        token.kind == TokenKind::Word
            && [&b"NEXTVAL"[..], b"LASTVAL", b"SETVAL"].iter().any(|word| text.eq_ignore_ascii_case(word))
    })
}

/// `a, b.c, d`.
pub(super) fn list(cursor: &mut Cursor<'_>) -> Option<Vec<ObjectName>> {
    let mut names = vec![cursor.object_name()?];
    while cursor.eat_punct(Punct::Comma) {
        names.push(cursor.object_name()?);
    }
    Some(names)
}

/// The tables of GRANT and REVOKE: `ON [TABLE] schema.table`. Privileges on `*`, schemas and routines name none.
pub(super) fn granted(cursor: &mut Cursor<'_>) -> Vec<ObjectName> {
    while !cursor.at_end() && !cursor.is_word("ON") {
        cursor.at += 1;
    }
    if !cursor.eat(&["ON"]) {
        return Vec::new();
    }
    if cursor.is_any(&["PROCEDURE", "FUNCTION", "PACKAGE", "LIBRARY"]) && cursor.is_name_at(1) {
        return Vec::new();
    }
    if cursor.is_word("TABLE") {
        cursor.at += 1;
    }
    let name = cursor.object_name();
    // `s.*` is a schema.
    name.filter(|_| !cursor.is_punct(Punct::Dot)).into_iter().collect()
}

/// The spans between the commas outside of parentheses, from the place to the end.
pub(super) fn comma_separated(cursor: &mut Cursor<'_>) -> Vec<Span> {
    let mut spans = Vec::new();
    while !cursor.at_end() {
        let start = cursor.start();
        while !cursor.at_end() && !cursor.is_punct(Punct::Comma) {
            if !cursor.is_punct(Punct::LParen) || !cursor.skip_parens() {
                cursor.at = (cursor.at + 1).min(cursor.tokens.len());
            }
        }
        spans.push(cursor.since(start));
        cursor.eat_punct(Punct::Comma);
    }
    spans
}

/// Adds a name unless it is there already.
pub(super) fn push(names: &mut Vec<ObjectName>, name: ObjectName) {
    let schema = |name: &ObjectName| name.schema.as_ref().map(|schema| schema.name.clone());
    if !names.iter().any(|known| known.name.name == name.name.name && schema(known) == schema(&name)) {
        names.push(name);
    }
}

fn object(schema: Option<&Ident>, name: &Ident) -> ObjectName {
    let start = schema.map_or(name.span.start, |schema| schema.span.start);
    ObjectName { schema: schema.cloned(), name: name.clone(), span: Span { start, end: name.span.end } }
}
