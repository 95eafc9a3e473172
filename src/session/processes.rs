//! SHOW PROCESSLIST: the proxy's own connections, as one server would tell of them. It knows nothing of those to
//! servers.

use std::sync::Arc;

use crate::plan::catalogue::inline::{Column, Shape};
use crate::plan::catalogue::rows::Row;
use crate::session::Session;
use crate::session::registry::Entry;
use crate::session::reply::{CellKind, Null, Table};
use crate::sql::Flavour;

/// Characters of a statement without FULL.
const SHORT: usize = 100;

/// The columns of the relation, as far as SHOW has them, too.
const COLUMNS: [&str; 8] = ["ID", "USER", "HOST", "DB", "COMMAND", "TIME", "STATE", "INFO"];
const STATE: usize = 6;
const INFO: usize = 7;

impl Session {
    /// The connections that the client may see: those of its user, as nobody has PROCESS here. `sql` is the statement
    /// that asks.
    pub(super) fn process_list(&self, full: bool, sql: &[u8]) -> Table {
        let mariadb = self.facts.flavour == Flavour::MariaDb;
        let mut table = Table::with(&columns(mariadb, full));
        for entry in self.proxy.sessions.list().into_iter().filter(|entry| *entry.user() == *self.login.user) {
            table.rows.push(self.process(&entry, full, mariadb, sql));
        }
        table
    }

    /// The same as rows of a relation with these columns. What nobody counts here is 0: stages, memory, rows.
    pub(super) fn process_rows(&self, columns: &[Column], sql: &[u8]) -> Vec<Row> {
        let mariadb = self.facts.flavour == Flavour::MariaDb;
        let entries = self.proxy.sessions.list().into_iter().filter(|entry| *entry.user() == *self.login.user);
        let row = |entry: Arc<Entry>| {
            let mut told = self.process(&entry, true, false, sql);
            if entry.id == self.seat.entry.id {
                told[STATE] = Some(if mariadb { "Filling schema table" } else { "executing" }.to_owned());
            }
            let cell = |column: &Column| {
                let name = column.name.to_ascii_uppercase();
                let at = COLUMNS.iter().position(|known| *known == name);
                match &*name {
                    "TIME_MS" => Some(format!("{}.000", u64::from(entry.idle_seconds()) * 1000)),
                    "INFO_BINARY" => told[INFO].clone(),
                    "EXECUTION_ENGINE" => Some("PRIMARY".to_owned()),
                    _ => match at {
                        Some(at) => told[at].clone(),
                        None => (column.shape != Shape::Text).then(|| "0".to_owned()),
                    },
                }
            };
            columns.iter().map(|column| cell(column).map(in_three_bytes)).collect()
        };
        entries.map(row).collect()
    }

    fn process(&self, entry: &Arc<Entry>, full: bool, mariadb: bool, sql: &[u8]) -> Vec<Option<String>> {
        let activity = entry.activity();
        let mine = entry.id == self.seat.entry.id;
        let text = if mine { sql } else { &activity.text };
        let info: String = String::from_utf8_lossy(text).chars().take(if full { usize::MAX } else { SHORT }).collect();
        let runs = activity.command != "Sleep";
        let state = match (mine, mariadb) {
            _ if !runs => "",
            (true, false) => "init",
            (true, true) => "starting",
            (false, _) => "executing",
        };
        let mut row = vec![
            Some(entry.id.to_string()),
            Some(entry.user().to_string()),
            Some(entry.peer.clone()),
            activity.schema.as_deref().map(str::to_owned),
            Some(activity.command.to_owned()),
            Some(entry.idle_seconds().to_string()),
            Some(state.to_owned()),
            (runs && !info.is_empty()).then_some(info),
        ];
        if mariadb {
            row.push(Some("0.000".to_owned()));
        }
        row
    }
}

/// Text as the relation's columns can have it, whose character set has no longer characters.
fn in_three_bytes(text: String) -> Vec<u8> {
    text.replace(|letter: char| letter.len_utf8() > 3, "?").into_bytes()
}

/// Columns as servers define them.
fn columns(mariadb: bool, full: bool) -> Vec<(&'static str, CellKind)> {
    let info = if full { 65_535 } else { SHORT as u32 };
    let (id, user, host, time) = if mariadb { (11, 128, 64, 7) } else { (22, 32, 255, 8) };
    let mut columns = vec![
        ("Id", CellKind::LongLong(id)),
        ("User", CellKind::Varchar(user, Null::No)),
        ("Host", CellKind::Varchar(host, Null::No)),
        ("db", CellKind::Varchar(64, Null::Yes)),
        ("Command", CellKind::Varchar(16, Null::No)),
        ("Time", CellKind::Long(time)),
        ("State", CellKind::Varchar(30, Null::Yes)),
        ("Info", CellKind::Varchar(info, Null::Yes)),
    ];
    if mariadb {
        columns.push(("Progress", CellKind::Double(7)));
    }
    columns
}
