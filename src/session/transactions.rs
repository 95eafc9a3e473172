//! SHOW SHARDLOOM TRANSACTIONS: the open transactions of this process, and what those over several groups, of any proxy,
//! have left on the servers.

use crate::commit::id::GlobalId;
use crate::commit::protocol::Decision;
use crate::session::Session;
use crate::session::registry::Entry;
use crate::session::reply::{CellKind, Table};
use crate::session::topology::Topology;
use crate::txn::active::Open;
use crate::txn::recovery::{self, Left, Said, Unasked};

const COLUMNS: [&str; 9] =
    ["transaction", "commit point", "decision", "prepared on", "committed on", "state", "age", "client", "groups"];

impl Session {
    /// All of them, the open ones first; a group that cannot be asked has a row of its own at the end, so that nobody takes
    /// what is shown for all there is.
    pub(super) async fn transactions(&self, topology: &Topology) -> Table {
        let (mut left, unasked) = recovery::left(&topology.groups).await;
        let mut table = Table::of(&COLUMNS);
        table.columns[6].1 = CellKind::Unsigned;
        for entry in self.proxy.sessions.list() {
            let Some(open) = entry.transaction.open() else { continue };
            let traces = open.global.and_then(|global| left.remove(&global)).unwrap_or_default();
            table.rows.push(self.open_row(&entry, &open, traces));
        }
        for (global, left) in left {
            let age = self.needs.ledger.age(global).map(|age| age.as_secs().to_string());
            let state = match left.said {
                Said::Nothing | Said::Unasked => "in doubt",
                Said::Decided(Decision::Commit) => "committing",
                Said::Decided(Decision::Abort) if left.prepared.is_empty() => "rolled back",
                Said::Decided(Decision::Abort) => "rolling back",
            };
            table.rows.push([traces(Some(global), left), vec![Some(state.to_owned()), age, None, None]].concat());
        }
        for Unasked { group, why } in unasked {
            let mut row = vec![None; COLUMNS.len()];
            row[5] = Some("cannot be asked".to_owned());
            row[8] = Some(format!("{group}: {why}"));
            table.rows.push(row);
        }
        table
    }

    fn open_row(&self, entry: &Entry, open: &Open, mut left: Left) -> Vec<Option<String>> {
        if open.global.is_some() && left.commit_point.is_none() {
            left.commit_point = open.parts.first().map(|part| part.server.name.clone());
        }
        let undecided = left.said == Said::Nothing;
        let mut row = traces(open.global, left);
        if undecided {
            row[2] = None;
        }
        let state = if open.running.is_some() { "running" } else { "open" };
        let groups: Vec<&str> = open.parts.iter().map(|part| part.server.name.as_str()).collect();
        // As in SHOW PROCESSLIST, users do not see each other; the number is enough to find the session by.
        let client = match *entry.user() == *self.login.user {
            true => format!("{}@{} #{}", entry.user(), entry.peer, entry.id),
            false => format!("#{}", entry.id),
        };
        let age = open.since.elapsed().as_secs().to_string();
        row.extend([Some(state.to_owned()), Some(age), Some(client), Some(groups.join(", "))]);
        row
    }
}

/// The columns that tell what is on the servers.
fn traces(global: Option<GlobalId>, left: Left) -> Vec<Option<String>> {
    vec![
        global.map(|global| global.to_string()),
        left.commit_point,
        Some(left.said.to_string()),
        Some(left.prepared.join(", ")),
        Some(left.committed.join(", ")),
    ]
}
