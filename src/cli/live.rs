//! The servers behind a folder of rules, for subcommands that ask them something and end.

use std::sync::Arc;

use crate::backend::cluster::Group;
use crate::backend::conn::ServerInfo;
use crate::backend::{probe, schema};
use crate::config::Config;
use crate::rules::RuleSet;
use crate::rules::catalog::Catalog;
use crate::server::topology;
use crate::sql::{Facts, Flavour, SqlMode, TextCharset};

/// An event loop for one command.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}

/// The groups of the rules: probed, and again for as long as the command runs, so that it can wait for a primary.
pub(super) async fn groups(rules: &RuleSet) -> Result<Vec<Arc<Group>>, String> {
    let config = Config::default();
    let groups = topology::groups(rules, &config, 1, None).map_err(|error| error.to_string())?;
    for group in &groups {
        probe::once(group, config.timeouts.probe_answer).await;
        tokio::spawn(probe::watch(group.clone(), config.timeouts.probe, config.timeouts.probe_answer));
    }
    Ok(groups)
}

/// Asks the servers what the tables look like and what they are themselves.
pub(super) fn look(rules: &RuleSet) -> Result<(Catalog, Facts), String> {
    runtime()?.block_on(async {
        let groups = groups(rules).await?;
        let defaults = schema::defaults(&groups).await.map_err(|error| error.to_string())?;
        let catalog = schema::catalog(rules, &groups).await.map_err(|error| error.to_string())?;
        Ok((catalog, facts(defaults.server.as_deref(), &defaults.sql_mode)))
    })
}

/// What text means to these servers.
pub(super) fn facts(server: Option<&ServerInfo>, sql_mode: &str) -> Facts {
    Facts {
        mode: SqlMode::parse(sql_mode),
        charset: TextCharset::Utf8,
        flavour: match server.is_some_and(|server| server.mariadb) {
            true => Flavour::MariaDb,
            false => Flavour::MySql,
        },
        version: server.map_or(80_000, |server| server.number),
    }
}
