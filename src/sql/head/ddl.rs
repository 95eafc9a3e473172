//! Data definitions: CREATE, ALTER, DROP, RENAME, TRUNCATE. Of each, what it defines and every table it concerns;
//! columns and options are not read.

use crate::sql::ast::ObjectName;
use crate::sql::cursor::Cursor;
use crate::sql::head::{Admin, Ddl, Head, admin, last, names};
use crate::sql::lex::Punct;

/// Behind `verb`.
pub(super) fn ddl(verb: &str, cursor: &mut Cursor<'_>) -> Option<Head> {
    match verb {
        "CREATE" => create(cursor),
        "ALTER" => alter(cursor),
        "DROP" => drop(cursor),
        "TRUNCATE" => {
            cursor.eat(&["TABLE"]);
            let table = cursor.object_name()?;
            cursor.eat_any(&["WAIT", "NOWAIT"]);
            Some(head(Ddl::TruncateTable, vec![table]))
        }
        _ => rename(cursor),
    }
}

fn head(verb: Ddl, tables: Vec<ObjectName>) -> Head {
    Head::Ddl { verb, tables, temporary: false }
}

fn create(cursor: &mut Cursor<'_>) -> Option<Head> {
    cursor.eat(&["OR", "REPLACE"]);
    skip_modifiers(cursor)?;
    let temporary = cursor.eat(&["TEMPORARY"]);
    if cursor.eat(&["TABLE"]) {
        if_exists(cursor);
        let mut tables = vec![cursor.object_name()?];
        defined_tables(cursor, &mut tables)?;
        return Some(Head::Ddl { verb: Ddl::CreateTable, tables, temporary });
    }
    if cursor.eat(&["SEQUENCE"]) {
        if_exists(cursor);
        return Some(Head::Ddl { verb: Ddl::Sequence, tables: vec![cursor.object_name()?], temporary });
    }
    if temporary {
        return None;
    }
    if cursor.eat(&["VIEW"]) {
        if_exists(cursor);
        return view(cursor);
    }
    if cursor.eat(&["TRIGGER"]) {
        return trigger(cursor);
    }
    if cursor.eat_any(&["PROCEDURE", "FUNCTION", "EVENT", "PACKAGE", "LIBRARY"]) {
        let mut tables = Vec::new();
        body(cursor, &mut tables);
        return Some(head(Ddl::Routine, tables));
    }
    if cursor.eat_any(&["DATABASE", "SCHEMA"]) {
        return Some(head(Ddl::CreateDatabase, Vec::new()));
    }
    if cursor.eat_any(&["UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR"]) || cursor.is_word("INDEX") {
        cursor.eat(&["INDEX"]).then_some(())?;
        if_exists(cursor);
        return index(cursor, Ddl::CreateIndex);
    }
    if cursor.eat_any(&["USER", "ROLE"]) {
        return Some(Head::Account { tables: Vec::new() });
    }
    server_object(cursor)
}

/// `ALGORITHM = x`, `DEFINER = user`, `SQL SECURITY x`, AGGREGATE, ONLINE, OFFLINE, IGNORE.
fn skip_modifiers(cursor: &mut Cursor<'_>) -> Option<()> {
    loop {
        if cursor.eat(&["SQL", "SECURITY"]) || (cursor.is_any(&["ALGORITHM"]) && cursor.is_punct_at(1, Punct::Eq)) {
            cursor.at += if cursor.is_word("ALGORITHM") { 3 } else { 1 };
        } else if cursor.is_word("DEFINER") {
            cursor.at += 1;
            cursor.eat_punct(Punct::Eq).then_some(())?;
            admin::user(cursor)?;
        } else if !cursor.eat_any(&["AGGREGATE", "ONLINE", "OFFLINE", "IGNORE"]) {
            return Some(());
        }
    }
}

/// `IF EXISTS`, `IF NOT EXISTS`.
fn if_exists(cursor: &mut Cursor<'_>) {
    let _ = cursor.eat(&["IF", "NOT", "EXISTS"]) || cursor.eat(&["IF", "EXISTS"]);
}

/// Names in what a statement is to run later, or selects from: all that may be tables.
fn body(cursor: &mut Cursor<'_>, tables: &mut Vec<ObjectName>) {
    for name in names::all(cursor) {
        names::push(tables, name);
    }
}

/// The other tables of CREATE TABLE and ALTER TABLE, to the end: LIKE, REFERENCES, UNION, the new name of RENAME,
/// EXCHANGE PARTITION, sequences of defaults; and of `AS SELECT` all that may be tables.
fn defined_tables(cursor: &mut Cursor<'_>, tables: &mut Vec<ObjectName>) -> Option<()> {
    while !cursor.at_end() {
        if cursor.is_any(&["SELECT", "WITH", "VALUES", "TABLE"]) && selects(cursor) {
            names::of_query(cursor).into_iter().for_each(|name| names::push(tables, name));
        } else if cursor.is_word("LIKE") && !cursor.is_name_at(1) {
            // A pattern.
            cursor.at += 1;
        } else if cursor.eat_any(&["REFERENCES", "LIKE"]) || cursor.eat(&["VALUE", "FOR"]) {
            names::push(tables, cursor.object_name()?);
        } else if cursor.eat(&["UNION"]) {
            cursor.eat_punct(Punct::Eq);
            cursor.eat_punct(Punct::LParen).then_some(())?;
            if !cursor.is_punct(Punct::RParen) {
                names::list(cursor)?.into_iter().for_each(|name| names::push(tables, name));
            }
        } else if cursor.is_any(&["NEXTVAL", "LASTVAL", "SETVAL"]) && cursor.is_punct_at(1, Punct::LParen) {
            cursor.at += 2;
            names::push(tables, cursor.object_name()?);
        } else {
            cursor.at += 1;
        }
    }
    Some(())
}

/// Whether a query begins here, rather than `WITH PARSER`, `VALUES LESS THAN`, `WITH SYSTEM VERSIONING`, ....
fn selects(cursor: &Cursor<'_>) -> bool {
    if cursor.is_word("VALUES") {
        return cursor.is_word_at(1, "ROW") || (cursor.is_punct_at(1, Punct::LParen) && !in_partitions(cursor));
    }
    if cursor.is_word("WITH") {
        let named = cursor.is_name_at(1) && (cursor.is_word_at(2, "AS") || cursor.is_punct_at(2, Punct::LParen));
        return cursor.is_word_at(1, "RECURSIVE") || named;
    }
    cursor.is_word("SELECT") || cursor.is_name_at(1)
}

/// Whether VALUES stands behind a partition's name: `PARTITION p VALUES (1)` is MariaDB's and MySQL's old form.
fn in_partitions(cursor: &Cursor<'_>) -> bool {
    cursor.at >= 2 && {
        let before = Cursor { at: cursor.at - 2, ..cursor.clone() };
        before.is_word("PARTITION") || before.is_word("SUBPARTITION")
    }
}

/// `name [(columns)] AS query`.
fn view(cursor: &mut Cursor<'_>) -> Option<Head> {
    let mut tables = vec![cursor.object_name()?];
    if cursor.is_punct(Punct::LParen) {
        cursor.skip_parens();
    }
    cursor.eat(&["AS"]).then_some(())?;
    names::of_query(cursor).into_iter().for_each(|name| names::push(&mut tables, name));
    Some(head(Ddl::CreateView, tables))
}

fn trigger(cursor: &mut Cursor<'_>) -> Option<Head> {
    if_exists(cursor);
    cursor.object_name()?;
    while !cursor.at_end() && !cursor.is_word("ON") {
        cursor.at += 1;
    }
    cursor.eat(&["ON"]).then_some(())?;
    let mut tables = vec![cursor.object_name()?];
    body(cursor, &mut tables);
    Some(head(Ddl::Trigger, tables))
}

/// `name [USING x] ON table ...`.
fn index(cursor: &mut Cursor<'_>, verb: Ddl) -> Option<Head> {
    cursor.next()?;
    while !cursor.at_end() && !cursor.is_word("ON") {
        cursor.at += 1;
    }
    cursor.eat(&["ON"]).then_some(())?;
    Some(head(verb, vec![cursor.object_name()?]))
}

/// What is kept per server and names no table.
fn server_object(cursor: &mut Cursor<'_>) -> Option<Head> {
    let known = cursor.eat_any(&["SERVER", "TABLESPACE"])
        || cursor.eat(&["UNDO", "TABLESPACE"])
        || cursor.eat(&["LOGFILE", "GROUP"])
        || cursor.eat(&["RESOURCE", "GROUP"])
        || cursor.eat(&["SPATIAL", "REFERENCE"]);
    known.then(|| head(Ddl::Server, Vec::new()))
}

fn alter(cursor: &mut Cursor<'_>) -> Option<Head> {
    skip_modifiers(cursor)?;
    if cursor.eat(&["TABLE"]) {
        if_exists(cursor);
        let mut tables = vec![cursor.object_name()?];
        let _ = cursor.eat(&["WAIT"]) && cursor.integer().is_some();
        altered_tables(cursor.clone(), &mut tables)?;
        defined_tables(cursor, &mut tables)?;
        return Some(head(Ddl::AlterTable, tables));
    }
    if cursor.eat(&["SEQUENCE"]) {
        if_exists(cursor);
        return Some(head(Ddl::Sequence, vec![cursor.object_name()?]));
    }
    if cursor.eat(&["VIEW"]) {
        return view(cursor);
    }
    if cursor.eat_any(&["PROCEDURE", "FUNCTION", "EVENT", "PACKAGE", "LIBRARY"]) {
        let mut tables = Vec::new();
        body(cursor, &mut tables);
        return Some(head(Ddl::Routine, tables));
    }
    if cursor.eat_any(&["DATABASE", "SCHEMA"]) {
        return Some(head(Ddl::AlterDatabase, Vec::new()));
    }
    if cursor.eat_any(&["USER", "ROLE"]) {
        return Some(Head::Account { tables: Vec::new() });
    }
    if cursor.eat(&["INSTANCE"]) {
        return Some(Head::Admin { verb: Admin::Server, tables: Vec::new() });
    }
    server_object(cursor)
}

/// The tables that only ALTER TABLE can name: RENAME TO, EXCHANGE PARTITION ... WITH TABLE, CONVERT.
fn altered_tables(mut cursor: Cursor<'_>, tables: &mut Vec<ObjectName>) -> Option<()> {
    while !cursor.at_end() {
        if cursor.eat(&["RENAME"]) {
            if cursor.is_any(&["COLUMN", "INDEX", "KEY", "CONSTRAINT"]) {
                continue;
            }
            let _ = cursor.eat_any(&["TO", "AS"]) || cursor.eat_punct(Punct::Eq);
            names::push(tables, cursor.object_name()?);
        } else if cursor.eat(&["WITH", "TABLE"])
            || cursor.eat(&["CONVERT", "TABLE"])
            || (cursor.is_word("TO") && cursor.is_word_at(1, "TABLE") && cursor.eat(&["TO", "TABLE"]))
        {
            names::push(tables, cursor.object_name()?);
        } else {
            cursor.at += 1;
        }
    }
    Some(())
}

fn drop(cursor: &mut Cursor<'_>) -> Option<Head> {
    if cursor.eat(&["PREPARE"]) {
        return last(Head::Deallocate(cursor.name()?), cursor);
    }
    let temporary = cursor.eat(&["TEMPORARY"]);
    let verb = if cursor.eat_any(&["TABLE", "TABLES"]) {
        Ddl::DropTable
    } else if cursor.eat(&["SEQUENCE"]) {
        Ddl::Sequence
    } else if temporary {
        return None;
    } else if cursor.eat(&["VIEW"]) {
        Ddl::DropView
    } else if cursor.eat(&["INDEX"]) {
        if_exists(cursor);
        return index(cursor, Ddl::DropIndex);
    } else if cursor.eat_any(&["DATABASE", "SCHEMA"]) {
        return Some(head(Ddl::DropDatabase, Vec::new()));
    } else if cursor.eat_any(&["PROCEDURE", "FUNCTION", "EVENT", "TRIGGER", "PACKAGE", "LIBRARY"]) {
        return Some(head(Ddl::DropRoutine, Vec::new()));
    } else if cursor.eat_any(&["USER", "ROLE"]) {
        return Some(Head::Account { tables: Vec::new() });
    } else {
        return server_object(cursor);
    };
    if_exists(cursor);
    let tables = names::list(cursor)?;
    let _ = cursor.eat_any(&["RESTRICT", "CASCADE"]);
    let _ = cursor.eat(&["NOWAIT"]) || (cursor.eat(&["WAIT"]) && cursor.integer().is_some());
    last(Head::Ddl { verb, tables, temporary }, cursor)
}

fn rename(cursor: &mut Cursor<'_>) -> Option<Head> {
    if cursor.eat(&["USER"]) {
        return Some(Head::Account { tables: Vec::new() });
    }
    cursor.eat_any(&["TABLE", "TABLES"]).then_some(())?;
    if_exists(cursor);
    let mut tables = Vec::new();
    loop {
        names::push(&mut tables, cursor.object_name()?);
        let _ = cursor.eat(&["NOWAIT"]) || (cursor.eat(&["WAIT"]) && cursor.integer().is_some());
        cursor.eat(&["TO"]).then_some(())?;
        names::push(&mut tables, cursor.object_name()?);
        if !cursor.eat_punct(Punct::Comma) {
            break;
        }
        if_exists(cursor);
    }
    last(head(Ddl::RenameTable, tables), cursor)
}
