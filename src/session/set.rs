//! SET: what it changes in the session, so that every connection leased later is in the same state.
//! Values are not computed here: what is not a plain literal is run on a server and read back from it.

use std::sync::Arc;

use crate::backend::conn::BackendError;
use crate::backend::lease::Lease;
use crate::backend::settings::{Settings, is_charset};
use crate::error::{Code, SqlError};
use crate::exec::interrupt::Stop;
use crate::exec::variables::{quoted_variable, user_value};
use crate::session::Session;
use crate::session::own::{self, Form};
use crate::session::proxy::SetKey;
use crate::session::topology::Topology;
use crate::sql::ast::Span;
use crate::sql::head::{Head, Isolation, Scope, SetItem, SetTarget, SetValue, head, user_variables};
use crate::sql::mentions::{Mentions, mentions};
use crate::sql::{Facts, Flavour, SqlMode, TextCharset};
use crate::txn::Access;
use crate::wire::command::com;

/// What no client may set through the proxy, because pooled connections would carry it to others, or
/// because it makes answers mean something else than the proxy believes.
const REFUSED: &[(&str, &str)] = &[
    ("gtid_next", "transactions of pooled connections must number themselves"),
    ("pseudo_thread_id", "connection ids are the proxy's"),
    ("pseudo_replica_mode", "it belongs to replication"),
    ("pseudo_slave_mode", "it belongs to replication"),
    ("session_track_gtids", "the proxy itself relies on it to read a session's own writes"),
    ("session_track_state_change", "the proxy does not follow it"),
    ("session_track_transaction_info", "the proxy does not follow it"),
    ("character_set_database", "it follows the default schema"),
    ("insert_id", "it holds for one statement on one connection"),
];

/// What a server tells of its connection, and not of the session.
const OF_CONNECTION: Mentions =
    Mentions::ROW_COUNT.with(Mentions::FOUND_ROWS).with(Mentions::CONNECTION_ID).with(Mentions::USER);

/// The variable that says which variables are told when they change.
const TRACKED: &str = "session_track_system_variables";

impl Session {
    /// SET of variables.
    pub(super) async fn set(&mut self, sql: &[u8], items: &[SetItem]) -> Result<(), Stop> {
        for item in items {
            check(item)?;
        }
        let key = SetKey { settings: self.needs.settings.hash(), text: sql.into() };
        let known = self.proxy.sets.get(&key);
        let settings = match known {
            Some(settings) => settings,
            None => match self.plain(items) {
                Some(settings) => Arc::new(settings),
                None => {
                    let settings = Arc::new(self.ask_server(sql, items).await?);
                    // An expression may give another value next time; a literal cannot.
                    if items.iter().all(|item| item.value != SetValue::Expr) {
                        self.proxy.sets.insert(key, settings.clone());
                    }
                    settings
                }
            },
        };
        self.adopt(settings).await?;
        self.tell_settings(items);
        Ok(())
    }

    /// SET TRANSACTION.
    pub(super) async fn set_transaction(
        &mut self,
        sql: &[u8],
        scope: Scope,
        isolation: Option<Isolation>,
        read_only: Option<bool>,
    ) -> Result<(), Stop> {
        let level = isolation.map(level);
        match scope {
            Scope::Next => {
                if self.txn.is_open() {
                    let (errno, state) = (1568, *b"25001");
                    let message = "Transaction characteristics can't be changed while a transaction is in progress";
                    return Err(SqlError { errno, state, message: message.to_owned() }.into());
                }
                if let Some(level) = level {
                    self.next.isolation = Some(level.into());
                }
                self.next.read_only = read_only.or(self.next.read_only);
                Ok(())
            }
            Scope::Session => {
                let mut settings = (*self.needs.settings).clone();
                if let Some(level) = level {
                    let value = format!("'{}'", level.replace(' ', "-"));
                    settings = settings.with("transaction_isolation", Some(value.as_bytes()));
                }
                if let Some(read_only) = read_only {
                    settings = settings.with("transaction_read_only", Some(if read_only { b"1" } else { b"0" }));
                }
                self.adopt(Arc::new(settings)).await?;
                for name in ["transaction_isolation", "transaction_read_only"] {
                    self.tell_variable(name);
                }
                Ok(())
            }
            Scope::Global | Scope::Persist | Scope::PersistOnly => Err(global(sql, Span::new(0, sql.len())).into()),
        }
    }

    /// The new settings, if all values are of the few kinds that drivers send at connect and that need no server.
    fn plain(&self, items: &[SetItem]) -> Option<Settings> {
        let mut settings = (*self.needs.settings).clone();
        for item in items {
            settings = match &item.target {
                SetTarget::System { scope: Scope::Session, name } if name == "autocommit" => {
                    settings.with(name, if boolean(item)? { None } else { Some(b"0") })
                }
                _ => return None,
            };
        }
        Some(settings)
    }

    /// Runs the statement on a connection that is in the session's state, and reads back what it changed.
    async fn ask_server(&mut self, sql: &[u8], items: &[SetItem]) -> Result<Settings, SqlError> {
        let mentioned = mentions(sql, self.facts)?;
        if mentioned.any(Mentions::LOCK) {
            let why = "Shardloom does not support a user lock in SET: SELECT it, INTO the variable";
            return Err(SqlError::refuse(why));
        }
        let counts = |name: &[u8]| sql.windows(name.len()).any(|word| word.eq_ignore_ascii_case(name));
        let anew = match mentioned.any(OF_CONNECTION) || counts(b"warning_count") || counts(b"error_count") {
            true => Some(self.set_of_own_values(sql, items)?),
            false => None,
        };
        let (sql, items) = anew.as_ref().map_or((sql, items), |(sql, items)| (sql, items));
        let topology = self.topology();
        let group = self.any_group(&topology);
        let wanted = self.needs.wanted(&topology, group);
        let mut lease = self.txn.lease(group, topology.group(group), Access::Primary, &wanted).await?;
        let knows_id = [&b"last_insert_id"[..], b"identity"]
            .iter()
            .any(|name| sql.windows(name.len()).any(|word| word.eq_ignore_ascii_case(name)));
        if knows_id {
            lease.set_insert_id(self.last_insert_id);
        }
        let outcome = run_and_read_back(&mut lease, &self.needs.settings, sql, items).await;
        if knows_id {
            // LAST_INSERT_ID(expr) may have set another one.
            lease.insert_id = None;
            if let Ok(answer) = lease.query("SELECT LAST_INSERT_ID()").await {
                lease.insert_id = answer.text(0, 0).and_then(|id| id.parse().ok());
                self.last_insert_id = lease.insert_id.unwrap_or(self.last_insert_id);
            }
        }
        match &outcome {
            // Its own state is now that of the new settings.
            Ok(settings) => {
                lease.settings = Arc::new(settings.clone());
                let tracks = |item: &SetItem| matches!(&item.target, SetTarget::System { name, .. } if name == TRACKED);
                if items.iter().any(tracks) && lease.track_writes().await.is_err() {
                    lease.taint();
                }
            }
            // A SET of several variables may have got half-way.
            Err(_) => lease.taint(),
        }
        self.txn.settle(group, lease);
        outcome
    }

    /// The statement with what only the session knows written into its values, since the server's connection has others
    /// than the session.
    fn set_of_own_values(&self, sql: &[u8], items: &[SetItem]) -> Result<(Vec<u8>, Vec<SetItem>), SqlError> {
        const SELECT: &[u8] = b"SELECT ";
        let (mut text, mut copied) = (Vec::with_capacity(sql.len() + 64), 0);
        for item in items {
            let select = [SELECT, item.span.of(sql)].concat();
            text.extend_from_slice(&sql[copied..item.span.start as usize]);
            match self.with_own_values(&select, Form::Plain)? {
                Some(value) => text.extend_from_slice(value.get(SELECT.len()..).unwrap_or_default()),
                None => text.extend_from_slice(item.span.of(sql)),
            }
            copied = item.span.end as usize;
        }
        text.extend_from_slice(&sql[copied..]);
        match head(&text, self.facts)? {
            Head::Set(items) if !mentions(&text, self.facts)?.any(OF_CONNECTION) => Ok((text, items)),
            _ => Err(own::refused("this SET")),
        }
    }

    /// Reads back the user variables that a statement names which set some, while its connection is still here.
    /// If that fails, nobody gets the connection: the session's own variables stay as they were.
    pub(super) async fn carry_variables(&mut self, lease: &mut Lease, sql: &[u8]) {
        let Ok(names) = user_variables(sql, self.facts) else { return lease.taint() };
        let mut settings = (*self.needs.settings).clone();
        for name in names {
            let Ok(value) = user_value(lease, &name).await else { return lease.taint() };
            settings = settings.with(&quoted_variable(&name), value.as_deref());
        }
        self.needs.settings = Arc::new(settings);
        lease.settings = self.needs.settings.clone();
    }

    /// What the session's settings mean to the bytes of its next statement. A sql_mode that is set back to DEFAULT is the
    /// servers' own.
    pub(super) fn facts_of_now(&self) -> Facts {
        let mode = SqlMode::parse(self.proxy.topology.load().default_sql_mode());
        facts_of(&self.needs.settings, Facts { mode, ..self.facts })
    }

    /// The session now has these settings.
    pub(super) async fn adopt(&mut self, settings: Arc<Settings>) -> Result<(), Stop> {
        let was_off = !self.autocommit();
        self.needs.settings = settings;
        if was_off && self.autocommit() && self.txn.check().is_ok() {
            // Turning autocommit on commits what is open.
            self.txn.end(true, &self.needs.ledger).await?;
        }
        self.facts = self.facts_of_now();
        Ok(())
    }
}

/// The settings of a session that has just logged in with this collation, and what they mean to its text.
pub(super) fn initial(topology: &Topology, collation: Option<u16>) -> (Arc<Settings>, Facts) {
    let known = collation.and_then(|number| topology.collation(number));
    let names = match known {
        Some((charset, collation)) => format!("{charset} COLLATE {collation}"),
        // What a server does with a number it does not know: its own default.
        None => "utf8mb4".to_owned(),
    };
    let settings = Arc::new(Settings::default().with_names(&names));
    let info = topology.server_info();
    let flavour = if info.as_ref().is_some_and(|info| info.mariadb) { Flavour::MariaDb } else { Flavour::MySql };
    let facts = Facts {
        mode: SqlMode::parse(topology.default_sql_mode()),
        charset: TextCharset::Utf8,
        flavour,
        version: info.map_or(80_000, |info| info.number),
    };
    let facts = facts_of(&settings, facts);
    (settings, facts)
}

/// What the settings mean to the bytes of the session's statements.
fn facts_of(settings: &Settings, before: Facts) -> Facts {
    let mode = match settings.variable("sql_mode") {
        Some(value) => SqlMode::parse(&unquoted(value)),
        None => before.mode,
    };
    let client = match settings.variable("character_set_client") {
        Some(value) => unquoted(value),
        None => settings.names().unwrap_or("utf8mb4").split(' ').next().unwrap_or("utf8mb4").to_owned(),
    };
    Facts { mode, charset: TextCharset::of(&client).unwrap_or(TextCharset::Utf8), ..before }
}

pub(super) fn unquoted(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_matches('\'').to_owned()
}

/// Refuses what cannot be carried.
fn check(item: &SetItem) -> Result<(), SqlError> {
    let place = |why: &str| SqlError::refuse(why.to_owned());
    match &item.target {
        SetTarget::System { scope: Scope::Global | Scope::Persist | Scope::PersistOnly, name } => Err(place(&format!(
            "SET GLOBAL {name} would have to change every server of every group; set it on the servers themselves"
        ))),
        SetTarget::System { name, .. } => match REFUSED.iter().find(|(refused, _)| refused == name) {
            Some((_, why)) => Err(place(&format!("SET {name} is not possible through the proxy: {why}"))),
            None => Ok(()),
        },
        SetTarget::Password => {
            Err(place("SET PASSWORD: the proxy's users are in its configuration, not on the servers"))
        }
        SetTarget::User(_) | SetTarget::Names { .. } | SetTarget::Charset if item.tables.is_empty() => Ok(()),
        _ if item.tables.is_empty() => Ok(()),
        _ => Err(place("SET with a subquery: run the SELECT first and set its value")),
    }
}

fn global(sql: &[u8], at: Span) -> SqlError {
    SqlError::refuse_at(
        "SET GLOBAL TRANSACTION would have to change every server of every group; set it on the servers themselves",
        sql,
        at.start as usize,
    )
}

/// A boolean variable's value where it is written plainly.
fn boolean(item: &SetItem) -> Option<bool> {
    if item.value == SetValue::Default {
        return Some(true);
    }
    match item.literal()?.to_ascii_uppercase().as_str() {
        "1" | "ON" | "TRUE" => Some(true),
        "0" | "OFF" | "FALSE" => Some(false),
        _ => None,
    }
}

/// The words of SET TRANSACTION.
fn level(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::ReadUncommitted => "READ UNCOMMITTED",
        Isolation::ReadCommitted => "READ COMMITTED",
        Isolation::RepeatableRead => "REPEATABLE READ",
        Isolation::Serializable => "SERIALIZABLE",
    }
}

/// What is read back after a SET.
enum ReadBack<'a> {
    Names,
    System(&'a str),
    User(&'a str),
}

async fn run_and_read_back(
    lease: &mut Lease,
    before: &Settings,
    sql: &[u8],
    items: &[SetItem],
) -> Result<Settings, SqlError> {
    let name = lease.server().name.clone();
    let statement = |sql: &[u8]| String::from_utf8_lossy(sql).into_owned();
    lease.send(com::QUERY, sql);
    let told = |error: BackendError| error.to_client(&name);
    lease.link.flush().await.map_err(|error| told(error.into()))?;
    lease.finish_preludes().await.map_err(told)?;
    lease.read_answer().await.map_err(told)?;
    let mut settings = before.clone();
    for item in items {
        let read = match &item.target {
            SetTarget::Names { .. } | SetTarget::Charset => ReadBack::Names,
            // The collation says both.
            SetTarget::System { name, .. } if name == "character_set_connection" => {
                ReadBack::System("collation_connection")
            }
            SetTarget::System { name, .. } => ReadBack::System(name),
            SetTarget::User(name) => ReadBack::User(name),
            SetTarget::Password => return Err(SqlError::new(Code::Unknown, "SET PASSWORD")),
        };
        settings = match read {
            // The default of a character set is the server's, and not what SET NAMES said.
            ReadBack::System(name) if item.value == SetValue::Default && !is_charset(name) => settings.with(name, None),
            ReadBack::System(name) => {
                let value =
                    system_value(lease, &statement(format!("@@session.{name}").as_bytes())).await.map_err(told)?;
                // The proxy's own wish, if the client's was made from what it found there.
                let own = value.strip_suffix(b",last_gtid'").filter(|_| name == TRACKED);
                settings.with(name, Some(&own.map_or(value.clone(), |own| [own, b"'"].concat())))
            }
            ReadBack::User(name) => {
                let value = user_value(lease, name).await.map_err(told)?;
                settings.with(&quoted_variable(name), value.as_deref())
            }
            ReadBack::Names => {
                let answer = lease
                    .query("SELECT @@character_set_client, @@character_set_results, @@collation_connection")
                    .await
                    .map_err(told)?;
                let cell = |i| answer.text(0, i);
                let (client, results, collation) = (cell(0).unwrap_or_default(), cell(1), cell(2).unwrap_or_default());
                let charset = collation.split('_').next().unwrap_or(&client).to_owned();
                let mut named = settings.with_names(&format!("{charset} COLLATE {collation}"));
                if client != charset {
                    named = named.with("character_set_client", Some(client.as_bytes()));
                }
                match results {
                    Some(results) if results == charset => named,
                    Some(results) => named.with("character_set_results", Some(results.as_bytes())),
                    None => named.with("character_set_results", Some(b"NULL")),
                }
            }
        };
    }
    Ok(settings)
}

/// The value of a system variable as SQL text.
async fn system_value(lease: &mut Lease, variable: &str) -> Result<Vec<u8>, BackendError> {
    // QUOTE() would turn numbers into strings, which numeric variables refuse.
    let answer = lease.query(&format!("SELECT {variable}")).await?;
    Ok(match answer.rows.first().and_then(|row| row.first()).and_then(Option::as_ref) {
        None => b"NULL".to_vec(),
        Some(text) if is_number(text) => text.clone(),
        Some(text) => quoted(text),
    })
}

fn is_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    !digits.is_empty()
        && digits.iter().all(|b| b.is_ascii_digit() || *b == b'.')
        && digits[0].is_ascii_digit()
        && digits.iter().filter(|b| **b == b'.').count() <= 1
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'\'');
    for byte in text {
        // Doubling is understood under every sql_mode; values of variables hold no backslashes that matter.
        if *byte == b'\'' {
            out.push(b'\'');
        }
        out.push(*byte);
    }
    out.push(b'\'');
    out
}
