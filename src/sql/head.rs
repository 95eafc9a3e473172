//! The head reader: what every statement is and which tables it concerns, without a grammar of all of SQL.
//! Single tables and the refusal of sharded ones rest on it, so it never misses a table in a statement that it
//! claims to know; where it cannot tell a table from another name it lists both. It knows no rules.

mod admin;
mod ddl;
mod diagnostics;
mod names;
mod set;
mod show;
mod txn;

pub use crate::sql::head::diagnostics::{Area, GetDiagnostics};
pub use crate::sql::head::set::{
    Scope, SetItem, SetTarget, SetValue, has_word, sole_variable, user_variables, variables_of_into,
};
pub use crate::sql::head::show::{Show, ShowKind};
pub use crate::sql::head::txn::{Isolation, Xa, Xid};

use crate::error::SqlError;
use crate::sql::Facts;
use crate::sql::ast::{Ident, ObjectName, Span};
use crate::sql::cursor::{Cursor, tokens};
use crate::sql::lex::{Punct, TokenKind};

/// What a statement is. Wherever `tables` is listed, a table that the statement concerns is in it; so are names that
/// might be one, where only the whole grammar could tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Head {
    /// Nothing but blanks and comments.
    Empty,
    /// SELECT, WITH, VALUES, TABLE, a parenthesised query, INSERT, REPLACE, UPDATE, DELETE: [`crate::sql::parse`]
    /// reads it.
    Dml,
    /// BEGIN, START TRANSACTION.
    Begin {
        /// READ ONLY or READ WRITE, if written.
        read_only: Option<bool>,
        /// WITH CONSISTENT SNAPSHOT.
        snapshot: bool,
    },
    /// COMMIT.
    Commit {
        /// AND CHAIN.
        chain: bool,
        /// RELEASE.
        release: bool,
    },
    /// ROLLBACK.
    Rollback {
        /// AND CHAIN.
        chain: bool,
        /// RELEASE.
        release: bool,
    },
    /// SAVEPOINT.
    Savepoint(Ident),
    /// ROLLBACK TO.
    RollbackTo(Ident),
    /// RELEASE SAVEPOINT.
    Release(Ident),
    /// XA.
    Xa(Xa),
    /// SET of variables, NAMES and CHARACTER SET included, in order.
    Set(Vec<SetItem>),
    /// SET TRANSACTION.
    SetTransaction {
        /// For whom.
        scope: Scope,
        /// ISOLATION LEVEL.
        isolation: Option<Isolation>,
        /// READ ONLY or READ WRITE.
        read_only: Option<bool>,
    },
    /// MariaDB's `SET STATEMENT a=1, ... FOR statement`.
    SetStatement {
        /// The variables.
        items: Vec<SetItem>,
        /// The statement that they are set for.
        inner: Span,
    },
    /// SET ROLE, SET DEFAULT ROLE.
    SetRole,
    /// USE.
    Use(Ident),
    /// KILL of a connection, or of its running statement.
    Kill {
        /// KILL QUERY.
        query: bool,
        /// The connection's number; none for CONNECTION_ID().
        id: Option<u64>,
    },
    /// EXPLAIN or DESCRIBE of a statement, MariaDB's ANALYZE statement, EXPLAIN SHARDLOOM.
    Explain {
        /// EXPLAIN SHARDLOOM: the proxy's own plan is asked for.
        shardloom: bool,
        /// EXPLAIN ANALYZE or ANALYZE: the statement really runs.
        analyze: bool,
        /// The explained statement.
        inner: Span,
    },
    /// SHARDLOOM DDL RESUME and SHARDLOOM DDL DROP, of a definition that was left half done.
    ShardloomDdl {
        /// RESUME.
        resume: bool,
        /// Its number.
        id: u64,
        /// ON: the group that keeps its record.
        group: Option<Ident>,
    },
    /// EXPLAIN FOR CONNECTION.
    ExplainConnection(u64),
    /// DESCRIBE of a table.
    Describe {
        /// The table.
        table: ObjectName,
        /// The column or the pattern, if written.
        column: Option<Span>,
    },
    /// SHOW.
    Show(Show),
    /// A data definition: it commits the open transaction, unless `temporary` says otherwise.
    Ddl {
        /// Which.
        verb: Ddl,
        /// All tables it concerns.
        tables: Vec<ObjectName>,
        /// CREATE or DROP of a TEMPORARY table.
        temporary: bool,
    },
    /// Maintenance of tables or servers.
    Admin {
        /// Which.
        verb: Admin,
        /// The tables it names.
        tables: Vec<ObjectName>,
    },
    /// Accounts, roles, privileges, passwords.
    Account {
        /// The tables it names: those of GRANT and REVOKE.
        tables: Vec<ObjectName>,
    },
    /// LOCK TABLES.
    Lock {
        /// Each table and whether it is locked for WRITE.
        tables: Vec<(ObjectName, bool)>,
    },
    /// UNLOCK TABLES.
    Unlock,
    /// FLUSH.
    Flush {
        /// The tables it names.
        tables: Vec<ObjectName>,
        /// WITH READ LOCK or FOR EXPORT: locks are held when it is done.
        locks: bool,
    },
    /// CALL of a procedure.
    Call {
        /// The procedure.
        name: ObjectName,
        /// Tables that its arguments may read.
        tables: Vec<ObjectName>,
    },
    /// DO.
    Do {
        /// Tables that its expressions may read.
        tables: Vec<ObjectName>,
    },
    /// HANDLER.
    Handler {
        /// The table, or the alias it was opened under.
        table: ObjectName,
    },
    /// LOAD DATA, LOAD XML.
    Load {
        /// LOCAL: the file is the client's.
        local: bool,
        /// The table that is filled, then others that its expressions may read.
        tables: Vec<ObjectName>,
    },
    /// PREPARE name FROM.
    Prepare {
        /// The statement's name.
        name: Ident,
        /// Its text.
        source: PrepareSource,
    },
    /// EXECUTE name.
    Execute {
        /// The statement's name.
        name: Ident,
        /// USING: the user variables, as written; in MariaDB any expressions.
        using: Vec<Span>,
    },
    /// MariaDB's EXECUTE IMMEDIATE.
    ExecuteImmediate {
        /// The statement's text.
        source: PrepareSource,
        /// USING: expressions, as written.
        using: Vec<Span>,
    },
    /// DEALLOCATE PREPARE, DROP PREPARE.
    Deallocate(Ident),
    /// GET DIAGNOSTICS.
    GetDiagnostics(GetDiagnostics),
    /// SIGNAL, RESIGNAL, GET STACKED DIAGNOSTICS.
    Diagnostics,
    /// A compound statement of MariaDB outside a routine: BEGIN NOT ATOMIC, IF, LOOP, ....
    Compound {
        /// Names in it that may be tables.
        tables: Vec<ObjectName>,
    },
    /// Anything else, and what was not written as its manual page says.
    Unknown {
        /// Names in it that may be tables.
        tables: Vec<ObjectName>,
    },
}

/// Where PREPARE takes its text from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrepareSource {
    /// The value of a string literal.
    Text(Vec<u8>),
    /// A user variable, as written.
    Variable(Span),
    /// Another expression (MariaDB).
    Expr(Span),
}

/// A data definition, by what it defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ddl {
    /// CREATE TABLE.
    CreateTable,
    /// ALTER TABLE.
    AlterTable,
    /// DROP TABLE.
    DropTable,
    /// TRUNCATE.
    TruncateTable,
    /// RENAME TABLE.
    RenameTable,
    /// CREATE INDEX.
    CreateIndex,
    /// DROP INDEX.
    DropIndex,
    /// CREATE or ALTER VIEW.
    CreateView,
    /// DROP VIEW.
    DropView,
    /// CREATE DATABASE.
    CreateDatabase,
    /// ALTER DATABASE.
    AlterDatabase,
    /// DROP DATABASE.
    DropDatabase,
    /// CREATE, ALTER or DROP SEQUENCE (MariaDB).
    Sequence,
    /// CREATE or ALTER of a PROCEDURE, FUNCTION, EVENT, PACKAGE or LIBRARY; the tables are what its body may use.
    Routine,
    /// CREATE TRIGGER; the tables are its own and what its body may use.
    Trigger,
    /// DROP of a PROCEDURE, FUNCTION, EVENT, TRIGGER, PACKAGE or LIBRARY. It names no table.
    DropRoutine,
    /// CREATE, ALTER or DROP of what belongs to a server: SERVER, TABLESPACE, LOGFILE GROUP, UNDO TABLESPACE,
    /// RESOURCE GROUP, SPATIAL REFERENCE SYSTEM.
    Server,
}

/// Maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admin {
    /// ANALYZE TABLE.
    Analyze,
    /// OPTIMIZE TABLE.
    Optimize,
    /// CHECK TABLE.
    Check,
    /// CHECKSUM TABLE.
    Checksum,
    /// REPAIR TABLE.
    Repair,
    /// CACHE INDEX, LOAD INDEX INTO CACHE.
    KeyCache,
    /// IMPORT TABLE: which tables, only the files know.
    ImportTable,
    /// BACKUP STAGE, BACKUP LOCK and the like (MariaDB), LOCK INSTANCE FOR BACKUP.
    Backup,
    /// Replication, binary logs, GROUP_REPLICATION: CHANGE, START, STOP, RESET, PURGE.
    Replication,
    /// SHUTDOWN, RESTART, CLONE, INSTALL, UNINSTALL, ALTER INSTANCE, BINLOG, SET RESOURCE GROUP, SET GLOBAL of none.
    Server,
    /// HELP.
    Help,
}

/// Reads what the first statement of `sql` is.
///
/// # Errors
/// 1064 where the lexer fails; 1235 for KILL of anything but a number, which must not reach a server, where other
/// connections have it. What else is not understood is [`Head::Unknown`], not an error.
pub fn head(sql: &[u8], facts: Facts) -> Result<Head, SqlError> {
    let tokens = tokens(sql, facts)?;
    let mut cursor = Cursor::new(sql, &tokens, facts);
    if cursor.at_end() {
        return Ok(Head::Empty);
    }
    let read = read(&mut cursor);
    if read.is_none() && tokens.first().is_some_and(|first| cursor.text(*first).eq_ignore_ascii_case(b"KILL")) {
        return Err(SqlError::refuse_at("KILL takes the number of a connection", sql, 0));
    }
    Ok(read.unwrap_or_else(|| {
        cursor.at = 0;
        Head::Unknown { tables: names::all(&mut cursor) }
    }))
}

/// Every name in the first statement of `sql` that may be a table, for a statement that nothing else can read.
///
/// # Errors
/// 1064 where the lexer fails.
pub fn names_in(sql: &[u8], facts: Facts) -> Result<Vec<ObjectName>, SqlError> {
    let tokens = tokens(sql, facts)?;
    Ok(names::all(&mut Cursor::new(sql, &tokens, facts)))
}

/// `None`: not as the manual has it.
fn read(cursor: &mut Cursor<'_>) -> Option<Head> {
    if cursor.is_punct(Punct::LParen) {
        return Some(Head::Dml);
    }
    let first = cursor.next()?;
    if first.kind != TokenKind::Word {
        return None;
    }
    let verb = String::from_utf8_lossy(cursor.text(first)).to_ascii_uppercase();
    match verb.as_str() {
        "SELECT" | "WITH" | "VALUES" | "TABLE" | "INSERT" | "REPLACE" | "UPDATE" | "DELETE" => Some(Head::Dml),
        "BEGIN" => txn::begin(cursor),
        "START" => txn::start(cursor).or_else(|| admin::replication(cursor)),
        "COMMIT" => txn::completion(cursor).map(|(chain, release)| Head::Commit { chain, release }),
        "ROLLBACK" => txn::rollback(cursor),
        "SAVEPOINT" => last(Head::Savepoint(cursor.name()?), cursor),
        "RELEASE" if cursor.eat(&["SAVEPOINT"]) => last(Head::Release(cursor.name()?), cursor),
        "XA" => txn::xa(cursor).map(Head::Xa),
        "SET" => set::set(cursor),
        "USE" => last(Head::Use(cursor.name()?), cursor),
        "KILL" => kill(cursor),
        "EXPLAIN" | "DESCRIBE" | "DESC" => explain(cursor),
        "ANALYZE" => admin::table_list(cursor, Admin::Analyze).or_else(|| analyze_statement(cursor)),
        "SHOW" => show::show(cursor).map(Head::Show),
        "CREATE" | "ALTER" | "DROP" | "RENAME" | "TRUNCATE" => ddl::ddl(&verb, cursor),
        "GRANT" | "REVOKE" => Some(Head::Account { tables: names::granted(cursor) }),
        "LOCK" | "UNLOCK" => admin::lock(&verb, cursor),
        "FLUSH" => admin::flush(cursor),
        "CALL" => {
            let name = cursor.object_name()?;
            Some(Head::Call { name, tables: names::in_expressions(cursor) })
        }
        "DO" => Some(Head::Do { tables: names::in_expressions(cursor) }),
        "HANDLER" => Some(Head::Handler { table: cursor.object_name()? }),
        "LOAD" => admin::load(cursor),
        "PREPARE" => {
            let name = cursor.name()?;
            if !cursor.eat(&["FROM"]) {
                return None;
            }
            let source = prepare_source(cursor)?;
            last(Head::Prepare { name, source }, cursor)
        }
        "EXECUTE" => execute(cursor),
        "DEALLOCATE" if cursor.eat(&["PREPARE"]) => last(Head::Deallocate(cursor.name()?), cursor),
        "SHARDLOOM" if cursor.eat(&["DDL"]) => {
            let resume = cursor.eat(&["RESUME"]);
            (resume || cursor.eat(&["DROP"])).then_some(())?;
            let id = cursor.integer()?;
            let group = if cursor.eat(&["ON"]) { Some(cursor.name()?) } else { None };
            last(Head::ShardloomDdl { resume, id, group }, cursor)
        }
        "SIGNAL" | "RESIGNAL" => Some(Head::Diagnostics),
        "GET" => diagnostics::get(cursor),
        "IF" | "CASE" | "LOOP" | "WHILE" | "REPEAT" | "FOR" | "DECLARE" => {
            Some(Head::Compound { tables: names::all(cursor) })
        }
        _ => admin::admin(&verb, cursor),
    }
}

/// `head`, if nothing follows it.
fn last(head: Head, cursor: &Cursor<'_>) -> Option<Head> {
    cursor.at_end().then_some(head)
}

/// Everything from the place to the end of the statement.
fn remainder(cursor: &mut Cursor<'_>) -> Option<Span> {
    let start = cursor.start();
    if cursor.at_end() {
        return None;
    }
    cursor.at = cursor.tokens.len();
    Some(cursor.since(start))
}

fn kill(cursor: &mut Cursor<'_>) -> Option<Head> {
    cursor.eat_any(&["HARD", "SOFT"]);
    let query = cursor.eat(&["QUERY"]);
    if !query {
        cursor.eat(&["CONNECTION"]);
    }
    let own = cursor.is_word("CONNECTION_ID") && cursor.is_punct_at(1, Punct::LParen);
    let id = match own {
        true => {
            cursor.at += 1;
            cursor.skip_parens().then_some(())?;
            None
        }
        false => Some(cursor.integer()?),
    };
    last(Head::Kill { query, id }, cursor)
}

/// What may begin an explained statement.
const EXPLAINABLE: &[&str] = &["SELECT", "WITH", "VALUES", "TABLE", "INSERT", "REPLACE", "UPDATE", "DELETE"];

fn explain(cursor: &mut Cursor<'_>) -> Option<Head> {
    let shardloom = cursor.eat(&["SHARDLOOM"]);
    if shardloom && cursor.at_end() {
        // A table of that name.
        cursor.at -= 1;
        return describe(cursor);
    }
    if shardloom {
        return Some(Head::Explain { shardloom, analyze: false, inner: remainder(cursor)? });
    }
    let before = cursor.at;
    let mut analyze = false;
    loop {
        if cursor.eat(&["ANALYZE"]) {
            analyze = true;
        } else if cursor.is_any(&["FORMAT"]) && cursor.is_punct_at(1, Punct::Eq) {
            cursor.at += 3;
        } else if cursor.is_word("INTO") && cursor.peek(1).is_some_and(|next| next.kind == TokenKind::UserVariable) {
            // Its result goes to a variable of the server's session.
            return None;
        } else if cursor.are_words(&["FOR", "CONNECTION"]) {
            cursor.at += 2;
            let id = cursor.integer()?;
            return last(Head::ExplainConnection(id), cursor);
        } else if cursor.is_any(&["FOR"]) && (cursor.is_word_at(1, "SCHEMA") || cursor.is_word_at(1, "DATABASE")) {
            return None;
        } else if !(cursor.is_any(&["EXTENDED", "PARTITIONS"]) && explainable_at(cursor, 1)) {
            break;
        } else {
            cursor.at += 1;
        }
    }
    if explainable_at(cursor, 0) {
        return Some(Head::Explain { shardloom, analyze, inner: remainder(cursor)? });
    }
    cursor.at = before;
    describe(cursor)
}

fn explainable_at(cursor: &Cursor<'_>, ahead: usize) -> bool {
    cursor.is_punct_at(ahead, Punct::LParen) || EXPLAINABLE.iter().any(|word| cursor.is_word_at(ahead, word))
}

/// MariaDB's `ANALYZE [FORMAT=JSON] statement`.
fn analyze_statement(cursor: &mut Cursor<'_>) -> Option<Head> {
    cursor.at = 1;
    if cursor.is_word("FORMAT") && cursor.is_punct_at(1, Punct::Eq) {
        cursor.at += 3;
    }
    explainable_at(cursor, 0).then_some(())?;
    Some(Head::Explain { shardloom: false, analyze: true, inner: remainder(cursor)? })
}

fn describe(cursor: &mut Cursor<'_>) -> Option<Head> {
    let table = cursor.object_name()?;
    let column = remainder(cursor);
    Some(Head::Describe { table, column })
}

fn prepare_source(cursor: &mut Cursor<'_>) -> Option<PrepareSource> {
    let start = cursor.start();
    let token = cursor.peek(0)?;
    let source = match cursor.string() {
        Some(text) => PrepareSource::Text(text),
        None => {
            cursor.at += 1;
            PrepareSource::Variable(token.span)
        }
    };
    let plain = matches!(source, PrepareSource::Text(_)) || token.kind == TokenKind::UserVariable;
    if plain && (cursor.at_end() || cursor.is_word("USING")) {
        return Some(source);
    }
    while !cursor.at_end() && !cursor.is_word("USING") {
        if !cursor.is_punct(Punct::LParen) || !cursor.skip_parens() {
            cursor.at = (cursor.at + 1).min(cursor.tokens.len());
        }
    }
    Some(PrepareSource::Expr(cursor.since(start)))
}

fn execute(cursor: &mut Cursor<'_>) -> Option<Head> {
    if cursor.is_word("IMMEDIATE") && cursor.peek(1).is_some() && !cursor.is_word_at(1, "USING") {
        cursor.at += 1;
        let source = prepare_source(cursor)?;
        let using = using(cursor);
        return last(Head::ExecuteImmediate { source, using }, cursor);
    }
    let name = cursor.name()?;
    let using = using(cursor);
    last(Head::Execute { name, using }, cursor)
}

fn using(cursor: &mut Cursor<'_>) -> Vec<Span> {
    if cursor.eat(&["USING"]) { names::comma_separated(cursor) } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::{Ddl, Head, head};
    use crate::sql::tests::{MARIADB, MYSQL};

    fn tables(sql: &str) -> Vec<String> {
        let found = match head(sql.as_bytes(), MARIADB).unwrap() {
            Head::Ddl { tables, .. } | Head::Unknown { tables } | Head::Admin { tables, .. } => tables,
            other => panic!("{sql}: {other:?}"),
        };
        let schema = |name: &crate::sql::ast::ObjectName| {
            name.schema.as_ref().map_or(String::new(), |schema| format!("{}.", schema.name))
        };
        found.iter().map(|name| schema(name) + &name.name.name).collect()
    }

    #[test]
    fn no_table_of_a_definition_is_missed() {
        for (sql, expected) in [
            ("CREATE TABLE a (x INT REFERENCES b(y), CHECK (x LIKE 'q'))", "a b"),
            ("CREATE TABLE a LIKE s.b", "a s.b"),
            ("CREATE TABLE a AS SELECT c.x FROM c", "a c"),
            ("CREATE TABLE a (SELECT c.x FROM c)", "a c.x c"),
            ("CREATE TABLE a (x INT) PARTITION BY LIST (x) (PARTITION p VALUES IN (1))", "a"),
            ("CREATE TABLE a (x INT DEFAULT NEXT VALUE FOR sq) UNION=(b, c)", "a sq b c"),
            ("ALTER TABLE a RENAME COLUMN x TO y, RENAME TO b", "a b"),
            ("ALTER TABLE a EXCHANGE PARTITION p WITH TABLE b", "a b"),
            ("CREATE DEFINER=`u`@`h` TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.x = 1", "a ROW NEW.x NEW"),
            ("DROP TABLE IF EXISTS a, s.b CASCADE", "a s.b"),
            ("RENAME TABLE a TO b, c TO d", "a b c d"),
            ("CREATE UNIQUE INDEX i ON a (x)", "a"),
            ("OPTIMIZE LOCAL TABLE a, b", "a b"),
            ("FROBNICATE a WITH b.c", "FROBNICATE a b.c b"),
        ] {
            let mut found = tables(sql);
            let mut expected: Vec<_> = expected.split(' ').map(str::to_owned).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{sql}");
        }
    }

    #[test]
    fn a_temporary_table_is_told_apart() {
        let read = head(b"CREATE TEMPORARY TABLE a (x INT)", MYSQL).unwrap();
        assert!(matches!(read, Head::Ddl { verb: Ddl::CreateTable, temporary: true, .. }));
    }

    #[test]
    fn what_is_not_understood_is_unknown() {
        for sql in ["COMMIT twice", "SET", "SAVEPOINT", "(", "1", "SHOW NOTHING"] {
            let read = head(sql.as_bytes(), MYSQL).unwrap();
            assert!(matches!(read, Head::Unknown { .. } | Head::Dml), "{sql}: {read:?}");
        }
        assert_eq!(head(b" /* c */ -- d", MYSQL), Ok(Head::Empty));
        assert!(head(b"SELECT 'a", MYSQL).is_err());
    }
}
