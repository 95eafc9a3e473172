//! Transaction statements: how one begins, ends, is marked, and is characterised. What they do is not known here.

use crate::sql::ast::LiteralKind;
use crate::sql::cursor::{Cursor, unquote};
use crate::sql::head::{Head, last, names};
use crate::sql::lex::{Punct, TokenKind};

/// An isolation level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// READ UNCOMMITTED.
    ReadUncommitted,
    /// READ COMMITTED.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

/// An XA statement (<https://dev.mysql.com/doc/refman/9.7/en/xa-statements.html>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Xa {
    /// XA START or BEGIN, with JOIN or RESUME or without.
    Start(Xid),
    /// XA END, with SUSPEND or without.
    End(Xid),
    /// XA PREPARE.
    Prepare(Xid),
    /// XA COMMIT.
    Commit {
        /// Which.
        xid: Xid,
        /// ONE PHASE.
        one_phase: bool,
    },
    /// XA ROLLBACK.
    Rollback(Xid),
    /// XA RECOVER.
    Recover,
}

/// The name of an XA transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xid {
    /// Global transaction id.
    pub gtrid: Vec<u8>,
    /// Branch qualifier.
    pub bqual: Vec<u8>,
    /// Format.
    pub format: u64,
}

/// Behind BEGIN.
pub(super) fn begin(cursor: &mut Cursor<'_>) -> Option<Head> {
    if cursor.are_words(&["NOT", "ATOMIC"]) {
        return Some(Head::Compound { tables: names::all(cursor) });
    }
    cursor.eat(&["WORK"]);
    last(Head::Begin { read_only: None, snapshot: false }, cursor)
}

/// Behind START: TRANSACTION and its characteristics.
pub(super) fn start(cursor: &mut Cursor<'_>) -> Option<Head> {
    let before = cursor.at;
    let head = start_transaction(cursor);
    if head.is_none() {
        cursor.at = before;
    }
    head
}

fn start_transaction(cursor: &mut Cursor<'_>) -> Option<Head> {
    cursor.eat(&["TRANSACTION"]).then_some(())?;
    let (mut read_only, mut snapshot) = (None, false);
    while !cursor.at_end() {
        if cursor.eat(&["WITH", "CONSISTENT", "SNAPSHOT"]) {
            snapshot = true;
        } else {
            read_only = Some(access_mode(cursor)?);
        }
        if !cursor.at_end() && (!cursor.eat_punct(Punct::Comma) || cursor.at_end()) {
            return None;
        }
    }
    Some(Head::Begin { read_only, snapshot })
}

/// READ ONLY: true; READ WRITE: false.
pub(super) fn access_mode(cursor: &mut Cursor<'_>) -> Option<bool> {
    if cursor.eat(&["READ", "ONLY"]) {
        return Some(true);
    }
    cursor.eat(&["READ", "WRITE"]).then_some(false)
}

/// Behind ISOLATION LEVEL.
pub(super) fn isolation(cursor: &mut Cursor<'_>) -> Option<Isolation> {
    [
        (&["READ", "UNCOMMITTED"][..], Isolation::ReadUncommitted),
        (&["READ", "COMMITTED"], Isolation::ReadCommitted),
        (&["REPEATABLE", "READ"], Isolation::RepeatableRead),
        (&["SERIALIZABLE"], Isolation::Serializable),
    ]
    .into_iter()
    .find_map(|(words, level)| cursor.eat(words).then_some(level))
}

/// `[WORK] [AND [NO] CHAIN] [[NO] RELEASE]`, to the end: whether to chain and to release.
pub(super) fn completion(cursor: &mut Cursor<'_>) -> Option<(bool, bool)> {
    cursor.eat(&["WORK"]);
    let chain = cursor.eat(&["AND", "CHAIN"]);
    if !chain {
        cursor.eat(&["AND", "NO", "CHAIN"]);
    }
    let release = cursor.eat(&["RELEASE"]);
    if !release {
        cursor.eat(&["NO", "RELEASE"]);
    }
    (cursor.at_end() && !(chain && release)).then_some((chain, release))
}

/// Behind ROLLBACK.
pub(super) fn rollback(cursor: &mut Cursor<'_>) -> Option<Head> {
    let to = cursor.is_word("TO") || cursor.are_words(&["WORK", "TO"]);
    if !to {
        return completion(cursor).map(|(chain, release)| Head::Rollback { chain, release });
    }
    cursor.eat(&["WORK"]);
    cursor.eat(&["TO"]);
    if cursor.is_name_at(1) {
        cursor.eat(&["SAVEPOINT"]);
    }
    last(Head::RollbackTo(cursor.name()?), cursor)
}

/// Behind XA.
pub(super) fn xa(cursor: &mut Cursor<'_>) -> Option<Xa> {
    let statement = if cursor.eat_any(&["START", "BEGIN"]) {
        let xid = xid(cursor)?;
        cursor.eat_any(&["JOIN", "RESUME"]);
        Xa::Start(xid)
    } else if cursor.eat(&["END"]) {
        let xid = xid(cursor)?;
        if cursor.eat(&["SUSPEND"]) {
            cursor.eat(&["FOR", "MIGRATE"]);
        }
        Xa::End(xid)
    } else if cursor.eat(&["PREPARE"]) {
        Xa::Prepare(xid(cursor)?)
    } else if cursor.eat(&["COMMIT"]) {
        Xa::Commit { xid: xid(cursor)?, one_phase: cursor.eat(&["ONE", "PHASE"]) }
    } else if cursor.eat(&["ROLLBACK"]) {
        Xa::Rollback(xid(cursor)?)
    } else if cursor.eat(&["RECOVER"]) {
        let _ = cursor.eat(&["CONVERT", "XID"])
            || cursor.eat(&["FORMAT"]) && cursor.eat_punct(Punct::Eq) && {
                cursor.at += 1;
                true
            };
        Xa::Recover
    } else {
        return None;
    };
    cursor.at_end().then_some(statement)
}

/// `gtrid [, bqual [, formatID]]`.
fn xid(cursor: &mut Cursor<'_>) -> Option<Xid> {
    let gtrid = id_part(cursor)?;
    let bqual = if cursor.eat_punct(Punct::Comma) { id_part(cursor)? } else { Vec::new() };
    let format = if cursor.eat_punct(Punct::Comma) { cursor.integer()? } else { 1 };
    Some(Xid { gtrid, bqual, format })
}

/// A string, or its bytes as a hexadecimal or bit literal.
fn id_part(cursor: &mut Cursor<'_>) -> Option<Vec<u8>> {
    let token = cursor.next()?;
    let text = cursor.text(token);
    match token.kind {
        TokenKind::Literal(LiteralKind::String) => Some(unquote(text, cursor.facts)),
        TokenKind::Literal(LiteralKind::Hex) => {
            let digits = text.get(2..)?;
            let digits = digits.strip_suffix(b"'").unwrap_or(digits);
            let padded: Vec<u8> = [&b"0"[..digits.len() % 2], digits].concat();
            padded.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
        }
        _ => None,
    }
}
