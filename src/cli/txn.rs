//! `shardloom txn`: transactions over several groups that a proxy has left on the servers, and finishing them by hand.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::{RulesFolder, live};
use crate::commit::id::GlobalId;
use crate::metrics::Metrics;
use crate::server::topology;
use crate::txn::ledger::Ledger;
use crate::txn::recovery::{self, Said, Unasked};

/// Arguments of `txn`.
#[derive(Debug, Args)]
pub(super) struct Txn {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what transactions over several groups have left on the servers
    List {
        #[command(flatten)]
        folder: RulesFolder,
    },
    /// Commit or roll back, as their commit points say, all that are prepared; proxies do this by themselves
    ///
    /// A transaction that has no decision yet is aborted, even if its proxy is about to commit it.
    Resolve {
        #[command(flatten)]
        folder: RulesFolder,
        /// Only the one with this name, as `list` shows it
        #[arg(long, value_name = "NAME", value_parser = named)]
        only: Option<GlobalId>,
    },
}

fn named(text: &str) -> Result<GlobalId, String> {
    GlobalId::parse(text).ok_or_else(|| "not the name of a transaction (sl1-...)".to_owned())
}

impl Txn {
    pub(super) fn run(self) -> Result<(), String> {
        let (folder, resolve) = match self.action {
            Action::List { folder } => (folder, None),
            Action::Resolve { folder, only } => (folder, Some(only)),
        };
        let rules = topology::read_rules(&folder.rules, super::color()).map_err(|error| error.to_string())?;
        live::runtime()?.block_on(async {
            let groups = live::groups(&rules).await?;
            if let Some(only) = resolve {
                // It names no transaction: nothing but counters are used of it.
                let ledger = Ledger::new(0, Duration::ZERO, Arc::new(Metrics::new(1)));
                recovery::finish_now(&groups, only, &ledger).await.map_err(|error| error.to_string())?;
            }
            let (left, unasked) = recovery::left(&groups).await;
            for (global, left) in &left {
                let nowhere = match left.said {
                    Said::Unasked => "not among the groups that could be asked",
                    Said::Decided(_) | Said::Nothing => "not among the groups",
                };
                println!("{global}");
                println!("  commit point  {}", left.commit_point.as_deref().unwrap_or(nowhere));
                println!("  decision      {}", left.said);
                for (what, places) in [("prepared on", &left.prepared), ("committed on", &left.committed)] {
                    if !places.is_empty() {
                        println!("  {what:<13} {}", places.join(", "));
                    }
                }
            }
            println!("{} transactions", left.len());
            // What is shown is not all there may be, and a script should notice.
            let unasked: Vec<String> =
                unasked.iter().map(|Unasked { group, why }| format!("group {group} cannot be asked: {why}")).collect();
            if unasked.is_empty() { Ok(()) } else { Err(unasked.join("\n")) }
        })
    }
}
