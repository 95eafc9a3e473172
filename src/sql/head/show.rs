//! SHOW in all its forms (<https://dev.mysql.com/doc/refman/9.7/en/show.html>): what is asked for, and of which table
//! or schema. What the answer is, is not known here.

use crate::sql::ast::{Ident, ObjectName, Span};
use crate::sql::cursor::Cursor;
use crate::sql::head::set::Scope;
use crate::sql::lex::Punct;

/// A SHOW statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Show {
    /// What is shown.
    pub kind: ShowKind,
    /// FULL or EXTENDED (or both) was written.
    pub full: bool,
    /// GLOBAL, SESSION or LOCAL, of variables and status.
    pub scope: Option<Scope>,
    /// The table, where one is named; its schema may also be written behind a second FROM or IN.
    pub table: Option<ObjectName>,
    /// The schema, where one is named and no table: FROM or IN of TABLES and the like, CREATE DATABASE.
    pub schema: Option<Ident>,
    /// The pattern of LIKE, quotes included.
    pub like: Option<Span>,
    /// The condition of WHERE.
    pub filter: Option<Span>,
    /// Everything behind the words that say the kind, empty if there is nothing: for [`ShowKind::Shardloom`], its words.
    pub arguments: Span,
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named as it is written")]
pub enum ShowKind {
    Databases,
    Tables,
    TableStatus,
    OpenTables,
    Triggers,
    Events,
    Columns,
    Index,
    CreateTable,
    CreateView,
    CreateSequence,
    CreateDatabase,
    /// CREATE PROCEDURE, FUNCTION, TRIGGER, EVENT, PACKAGE, LIBRARY.
    CreateRoutine,
    CreateUser,
    ProcedureStatus,
    FunctionStatus,
    /// PACKAGE STATUS, LIBRARY STATUS, PROCEDURE CODE and the like.
    Routines,
    Variables,
    Status,
    Warnings,
    Errors,
    /// COUNT(*) WARNINGS.
    WarningCount,
    /// COUNT(*) ERRORS.
    ErrorCount,
    Processlist,
    Grants,
    Privileges,
    Engines,
    /// ENGINE x STATUS, MUTEX or LOGS.
    Engine,
    Plugins,
    CharacterSet,
    Collation,
    Profile,
    Profiles,
    /// BINARY LOGS, MASTER LOGS.
    BinaryLogs,
    /// MASTER STATUS, BINARY LOG STATUS, BINLOG STATUS.
    BinaryLogStatus,
    /// BINLOG EVENTS, RELAYLOG EVENTS.
    LogEvents,
    /// REPLICA STATUS, SLAVE STATUS, ALL SLAVES STATUS.
    ReplicaStatus,
    /// REPLICAS, SLAVE HOSTS.
    Replicas,
    /// SHOW SHARDLOOM: the proxy's own.
    Shardloom,
    /// Others that name no table: AUTHORS, CONTRIBUTORS, LOCALES, EXPLAIN FOR, ..._STATISTICS, PARSE_TREE.
    Other,
}

/// What may stand behind the words of a kind.
#[derive(Clone, Copy)]
enum Rest {
    /// `[FROM schema] [LIKE | WHERE]`.
    Schema,
    /// `FROM table [FROM schema] [LIKE | WHERE]`.
    OfTable,
    /// The name of a table.
    Table,
    /// The name of a schema.
    Name,
    /// `[LIKE | WHERE]`.
    Filter,
    /// Anything.
    Any,
}

const KINDS: &[(&[&str], ShowKind, Rest)] = &[
    (&["SHARDLOOM"], ShowKind::Shardloom, Rest::Any),
    (&["DATABASES"], ShowKind::Databases, Rest::Filter),
    (&["SCHEMAS"], ShowKind::Databases, Rest::Filter),
    (&["TABLES"], ShowKind::Tables, Rest::Schema),
    (&["TABLE", "STATUS"], ShowKind::TableStatus, Rest::Schema),
    (&["OPEN", "TABLES"], ShowKind::OpenTables, Rest::Schema),
    (&["TRIGGERS"], ShowKind::Triggers, Rest::Schema),
    (&["EVENTS"], ShowKind::Events, Rest::Schema),
    (&["COLUMNS"], ShowKind::Columns, Rest::OfTable),
    (&["FIELDS"], ShowKind::Columns, Rest::OfTable),
    (&["INDEX"], ShowKind::Index, Rest::OfTable),
    (&["INDEXES"], ShowKind::Index, Rest::OfTable),
    (&["KEYS"], ShowKind::Index, Rest::OfTable),
    (&["CREATE", "TABLE"], ShowKind::CreateTable, Rest::Table),
    (&["CREATE", "VIEW"], ShowKind::CreateView, Rest::Table),
    (&["CREATE", "SEQUENCE"], ShowKind::CreateSequence, Rest::Table),
    (&["CREATE", "DATABASE"], ShowKind::CreateDatabase, Rest::Name),
    (&["CREATE", "SCHEMA"], ShowKind::CreateDatabase, Rest::Name),
    (&["CREATE", "PROCEDURE"], ShowKind::CreateRoutine, Rest::Any),
    (&["CREATE", "FUNCTION"], ShowKind::CreateRoutine, Rest::Any),
    (&["CREATE", "TRIGGER"], ShowKind::CreateRoutine, Rest::Any),
    (&["CREATE", "EVENT"], ShowKind::CreateRoutine, Rest::Any),
    (&["CREATE", "PACKAGE"], ShowKind::CreateRoutine, Rest::Any),
    (&["CREATE", "LIBRARY"], ShowKind::CreateRoutine, Rest::Any),
    (&["CREATE", "USER"], ShowKind::CreateUser, Rest::Any),
    (&["PROCEDURE", "STATUS"], ShowKind::ProcedureStatus, Rest::Filter),
    (&["FUNCTION", "STATUS"], ShowKind::FunctionStatus, Rest::Filter),
    (&["PROCEDURE"], ShowKind::Routines, Rest::Any),
    (&["FUNCTION"], ShowKind::Routines, Rest::Any),
    (&["PACKAGE"], ShowKind::Routines, Rest::Any),
    (&["LIBRARY"], ShowKind::Routines, Rest::Any),
    (&["VARIABLES"], ShowKind::Variables, Rest::Filter),
    (&["STATUS"], ShowKind::Status, Rest::Filter),
    (&["WARNINGS"], ShowKind::Warnings, Rest::Any),
    (&["ERRORS"], ShowKind::Errors, Rest::Any),
    (&["PROCESSLIST"], ShowKind::Processlist, Rest::Any),
    (&["GRANTS"], ShowKind::Grants, Rest::Any),
    (&["PRIVILEGES"], ShowKind::Privileges, Rest::Any),
    (&["ENGINES"], ShowKind::Engines, Rest::Any),
    (&["STORAGE", "ENGINES"], ShowKind::Engines, Rest::Any),
    (&["ENGINE"], ShowKind::Engine, Rest::Any),
    (&["PLUGINS"], ShowKind::Plugins, Rest::Any),
    (&["CHARACTER", "SET"], ShowKind::CharacterSet, Rest::Filter),
    (&["CHARSET"], ShowKind::CharacterSet, Rest::Filter),
    (&["COLLATION"], ShowKind::Collation, Rest::Filter),
    (&["PROFILES"], ShowKind::Profiles, Rest::Any),
    (&["PROFILE"], ShowKind::Profile, Rest::Any),
    (&["BINARY", "LOGS"], ShowKind::BinaryLogs, Rest::Any),
    (&["MASTER", "LOGS"], ShowKind::BinaryLogs, Rest::Any),
    (&["BINARY", "LOG", "STATUS"], ShowKind::BinaryLogStatus, Rest::Any),
    (&["MASTER", "STATUS"], ShowKind::BinaryLogStatus, Rest::Any),
    (&["BINLOG", "STATUS"], ShowKind::BinaryLogStatus, Rest::Any),
    (&["BINLOG", "EVENTS"], ShowKind::LogEvents, Rest::Any),
    (&["RELAYLOG"], ShowKind::LogEvents, Rest::Any),
    (&["REPLICA"], ShowKind::ReplicaStatus, Rest::Any),
    (&["REPLICAS"], ShowKind::Replicas, Rest::Any),
    (&["SLAVE", "HOSTS"], ShowKind::Replicas, Rest::Any),
    (&["REPLICA", "HOSTS"], ShowKind::Replicas, Rest::Any),
    (&["SLAVE"], ShowKind::ReplicaStatus, Rest::Any),
    (&["ALL", "SLAVES", "STATUS"], ShowKind::ReplicaStatus, Rest::Any),
    (&["ALL", "REPLICAS", "STATUS"], ShowKind::ReplicaStatus, Rest::Any),
    (&["AUTHORS"], ShowKind::Other, Rest::Any),
    (&["CONTRIBUTORS"], ShowKind::Other, Rest::Any),
    (&["LOCALES"], ShowKind::Other, Rest::Any),
    (&["EXPLAIN"], ShowKind::Other, Rest::Any),
    (&["ANALYZE"], ShowKind::Other, Rest::Any),
    (&["USER_STATISTICS"], ShowKind::Other, Rest::Any),
    (&["CLIENT_STATISTICS"], ShowKind::Other, Rest::Any),
    (&["INDEX_STATISTICS"], ShowKind::Other, Rest::Any),
    (&["TABLE_STATISTICS"], ShowKind::Other, Rest::Any),
    (&["USER_VARIABLES"], ShowKind::Other, Rest::Any),
    (&["QUERY_RESPONSE_TIME"], ShowKind::Other, Rest::Any),
    (&["WSREP_STATUS"], ShowKind::Other, Rest::Any),
    (&["WSREP_MEMBERSHIP"], ShowKind::Other, Rest::Any),
];

/// Behind SHOW.
pub(super) fn show(cursor: &mut Cursor<'_>) -> Option<Show> {
    let (mut full, mut scope) = (false, None);
    while cursor.is_any(&["FULL", "EXTENDED"]) {
        cursor.at += 1;
        full = true;
    }
    for (word, of) in [("GLOBAL", Scope::Global), ("SESSION", Scope::Session), ("LOCAL", Scope::Session)] {
        if cursor.eat(&[word]) {
            scope = Some(of);
        }
    }
    let (kind, rest) = match counted(cursor) {
        Some(kind) => (kind, Rest::Any),
        None => {
            // The longest of the kinds whose words come next: SLAVE HOSTS rather than SLAVE.
            let (words, kind, rest) =
                KINDS.iter().filter(|(words, ..)| cursor.are_words(words)).max_by_key(|(words, ..)| words.len())?;
            cursor.at += words.len();
            (*kind, *rest)
        }
    };
    let arguments = Span::new(cursor.start(), cursor.tokens.last().map_or(0, |token| token.span.end as usize));
    let mut show = Show { kind, full, scope, table: None, schema: None, like: None, filter: None, arguments };
    match rest {
        Rest::Any => return Some(show),
        Rest::Filter => {}
        Rest::Schema => {
            if cursor.eat_any(&["FROM", "IN"]) {
                show.schema = Some(cursor.name()?);
            }
        }
        Rest::OfTable => show.table = Some(of_table(cursor)?),
        Rest::Table => {
            cursor.eat(&["IF", "NOT", "EXISTS"]);
            show.table = Some(cursor.object_name()?);
        }
        Rest::Name => {
            cursor.eat(&["IF", "NOT", "EXISTS"]);
            show.schema = Some(cursor.name()?);
        }
    }
    filter(cursor, &mut show)?;
    cursor.at_end().then_some(show)
}

/// `COUNT(*) WARNINGS | ERRORS`.
fn counted(cursor: &mut Cursor<'_>) -> Option<ShowKind> {
    cursor.is_word("COUNT").then_some(())?;
    cursor.at += 1;
    (cursor.skip_parens()).then_some(())?;
    if cursor.eat(&["WARNINGS"]) {
        return Some(ShowKind::WarningCount);
    }
    cursor.eat(&["ERRORS"]).then_some(ShowKind::ErrorCount)
}

/// `FROM table [FROM schema]`.
fn of_table(cursor: &mut Cursor<'_>) -> Option<ObjectName> {
    cursor.eat_any(&["FROM", "IN"]).then_some(())?;
    let mut table = cursor.object_name()?;
    if cursor.eat_any(&["FROM", "IN"]) {
        table.schema = Some(cursor.name()?);
    }
    Some(table)
}

/// `[LIKE 'pattern' | WHERE condition]`; a condition with a subquery is not read.
fn filter(cursor: &mut Cursor<'_>, show: &mut Show) -> Option<()> {
    if cursor.eat(&["LIKE"]) {
        let start = cursor.start();
        cursor.string()?;
        show.like = Some(cursor.since(start));
    } else if cursor.eat(&["WHERE"]) {
        let start = cursor.start();
        while !cursor.at_end() {
            if cursor.is_word("SELECT") || cursor.is_punct(Punct::Semicolon) {
                return None;
            }
            cursor.at += 1;
        }
        show.filter = Some(cursor.since(start));
    }
    Some(())
}
