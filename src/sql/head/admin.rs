//! Maintenance statements: of tables, locks, files, replication and servers, and the tables they name.

use crate::sql::cursor::Cursor;
use crate::sql::head::{Admin, Head, last, names};
use crate::sql::lex::{Punct, TokenKind};

/// The verbs that no other file reads.
pub(super) fn admin(verb: &str, cursor: &mut Cursor<'_>) -> Option<Head> {
    let verb = match verb {
        "OPTIMIZE" => return table_list(cursor, Admin::Optimize),
        "CHECK" => return table_list(cursor, Admin::Check),
        "CHECKSUM" => return table_list(cursor, Admin::Checksum),
        "REPAIR" => return table_list(cursor, Admin::Repair),
        "CACHE" if cursor.eat(&["INDEX"]) => return key_cache(cursor),
        "IMPORT" if cursor.is_word("TABLE") => Admin::ImportTable,
        "BACKUP" => {
            // BACKUP LOCK names a table.
            let tables = if cursor.eat(&["LOCK"]) { vec![cursor.object_name()?] } else { Vec::new() };
            return Some(Head::Admin { verb: Admin::Backup, tables });
        }
        "CHANGE" | "STOP" | "RESET" | "PURGE" => return replication(cursor),
        "SHUTDOWN" | "RESTART" | "CLONE" | "INSTALL" | "UNINSTALL" | "BINLOG" => Admin::Server,
        "HELP" => Admin::Help,
        _ => return None,
    };
    Some(Head::Admin { verb, tables: Vec::new() })
}

/// Behind CHANGE, START, STOP, RESET, PURGE.
pub(super) fn replication(cursor: &mut Cursor<'_>) -> Option<Head> {
    let known = ["MASTER", "REPLICATION", "REPLICA", "SLAVE", "ALL", "GROUP_REPLICATION", "BINARY", "PERSIST", "QUERY"];
    cursor.is_any(&known).then_some(Head::Admin { verb: Admin::Replication, tables: Vec::new() })
}

/// `[NO_WRITE_TO_BINLOG | LOCAL] TABLE[S] a, b options`.
pub(super) fn table_list(cursor: &mut Cursor<'_>, verb: Admin) -> Option<Head> {
    let before = cursor.at;
    cursor.eat_any(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
    if !cursor.eat_any(&["TABLE", "TABLES", "VIEW"]) {
        cursor.at = before;
        return None;
    }
    let mut tables = names::list(cursor)?;
    // MariaDB's ANALYZE has options between tables.
    while cursor.is_word("PERSISTENT") {
        while !cursor.at_end() && !cursor.is_punct(Punct::Comma) {
            if !cursor.is_punct(Punct::LParen) || !cursor.skip_parens() {
                cursor.at = (cursor.at + 1).min(cursor.tokens.len());
            }
        }
        if cursor.eat_punct(Punct::Comma) {
            tables.append(&mut names::list(cursor)?);
        }
    }
    Some(Head::Admin { verb, tables })
}

/// `a [PARTITION (...)] [INDEX (...)] [IGNORE LEAVES], b ... [IN cache]`.
fn key_cache(cursor: &mut Cursor<'_>) -> Option<Head> {
    let mut tables = Vec::new();
    loop {
        tables.push(cursor.object_name()?);
        while !cursor.at_end() && !cursor.is_punct(Punct::Comma) {
            if !cursor.is_punct(Punct::LParen) || !cursor.skip_parens() {
                cursor.at = (cursor.at + 1).min(cursor.tokens.len());
            }
        }
        if !cursor.eat_punct(Punct::Comma) {
            return Some(Head::Admin { verb: Admin::KeyCache, tables });
        }
    }
}

/// Behind LOCK or UNLOCK.
pub(super) fn lock(verb: &str, cursor: &mut Cursor<'_>) -> Option<Head> {
    if cursor.eat(&["INSTANCE"]) {
        return Some(Head::Admin { verb: Admin::Backup, tables: Vec::new() });
    }
    cursor.eat_any(&["TABLE", "TABLES"]).then_some(())?;
    if verb == "UNLOCK" {
        return last(Head::Unlock, cursor);
    }
    let mut tables = Vec::new();
    loop {
        let table = cursor.object_name()?;
        let lock = ["READ", "WRITE", "LOW_PRIORITY"];
        if cursor.eat(&["AS"]) || !cursor.is_any(&lock) {
            cursor.name()?;
        }
        let write = if cursor.eat(&["READ"]) {
            cursor.eat(&["LOCAL"]);
            false
        } else {
            cursor.eat(&["LOW_PRIORITY"]);
            cursor.eat(&["WRITE"]).then_some(())?;
            cursor.eat(&["CONCURRENT"]);
            true
        };
        tables.push((table, write));
        if !cursor.eat_punct(Punct::Comma) {
            break;
        }
    }
    let _ = cursor.eat(&["NOWAIT"]) || (cursor.eat(&["WAIT"]) && cursor.integer().is_some());
    last(Head::Lock { tables }, cursor)
}

/// Behind FLUSH.
pub(super) fn flush(cursor: &mut Cursor<'_>) -> Option<Head> {
    cursor.eat_any(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
    let of_tables = cursor.eat_any(&["TABLE", "TABLES"]);
    let mut tables = Vec::new();
    if of_tables && !cursor.at_end() && !cursor.is_word("WITH") && !cursor.is_word("FOR") {
        tables = names::list(cursor)?;
    }
    let locks = of_tables && (cursor.are_words(&["WITH", "READ", "LOCK"]) || cursor.are_words(&["FOR", "EXPORT"]));
    Some(Head::Flush { tables, locks })
}

/// Behind LOAD: DATA, XML or INDEX INTO CACHE.
pub(super) fn load(cursor: &mut Cursor<'_>) -> Option<Head> {
    if cursor.eat(&["INDEX", "INTO", "CACHE"]) {
        return key_cache(cursor);
    }
    cursor.eat_any(&["DATA", "XML"]).then_some(())?;
    cursor.eat_any(&["LOW_PRIORITY", "CONCURRENT"]);
    let local = cursor.eat(&["LOCAL"]);
    cursor.eat(&["INFILE"]).then_some(())?;
    cursor.string()?;
    cursor.eat_any(&["REPLACE", "IGNORE"]);
    cursor.eat(&["INTO", "TABLE"]).then_some(())?;
    let mut tables = vec![cursor.object_name()?];
    names::in_expressions(cursor).into_iter().for_each(|name| names::push(&mut tables, name));
    Some(Head::Load { local, tables })
}

/// `user`, `'user'@'host'`, `CURRENT_USER`, a role: steps over it.
pub(super) fn user(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.eat_any(&["CURRENT_USER", "CURRENT_ROLE"]) {
        if cursor.is_punct(Punct::LParen) {
            cursor.skip_parens();
        }
    } else if cursor.string().is_none() {
        cursor.name()?;
    }
    if cursor.peek(0).is_some_and(|token| token.kind == TokenKind::UserVariable) {
        cursor.at += 1;
    }
    Some(())
}
