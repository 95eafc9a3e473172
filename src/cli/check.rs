//! `shardloom check`: are the rules right, and are the servers as the rules say?

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueHint};

use crate::admin::check::check;
use crate::admin::create::{creations, statements};
use crate::backend::cluster::Group;
use crate::backend::conn::{BackendError, Class};
use crate::backend::schema;
use crate::cli::live;
use crate::rules::RuleSet;
use crate::server::topology;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Folder of rule files (*.toml)
    #[arg(default_value = "rules", value_name = "DIR", value_hint = ValueHint::DirPath)]
    rules: PathBuf,
    /// Look at the rule files only, not at the servers
    #[arg(long)]
    offline: bool,
    /// Make missing tables: a file of CREATE TABLE statements with logical names
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "offline")]
    create: Option<PathBuf>,
    /// The schema of tables that --create names without one; the only one, if the rules have one
    #[arg(long, value_name = "SCHEMA")]
    schema: Option<String>,
}

impl Check {
    pub(super) fn run(self) -> Result<(), String> {
        let rules = topology::read_rules(&self.rules, super::color()).map_err(|error| error.to_string())?;
        let tables: usize = rules.schemas().map(|schema| schema.tables().count()).sum();
        println!("rules: fine ({} groups, {tables} tables)", rules.groups().len());
        if self.offline {
            return Ok(());
        }
        live::runtime()?.block_on(async {
            let groups = live::groups(&rules).await?;
            if let Some(file) = &self.create {
                make(&rules, &groups, file, self.schema.as_deref()).await?;
            }
            let found = check(&rules, &groups).await.map_err(|error| error.to_string())?;
            for warning in &found.warnings {
                println!("warning: {warning}");
            }
            for error in &found.errors {
                println!("error: {error}");
            }
            match found.errors.len() {
                0 => {
                    println!("servers: fine ({} tables, copies and shards counted each)", found.fine);
                    Ok(())
                }
                count => Err(format!("{count} errors")),
            }
        })
    }
}

/// Makes every table of the file where the rules want it. A table that is there already is left as it is
/// and said; any other error ends the work, and what was made stays.
async fn make(rules: &RuleSet, groups: &[Arc<Group>], file: &Path, schema: Option<&str>) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let defaults = schema::defaults(groups).await.map_err(|error| error.to_string())?;
    let facts = live::facts(defaults.server.as_deref(), &defaults.sql_mode);
    let name = match schema {
        Some(name) => name.to_owned(),
        None => super::ask::only_schema(rules).ok_or("the rules have several schemas: say which by --schema")?,
    };
    let found = rules.schema(&name).ok_or_else(|| format!("no rule knows a schema {name}"))?;
    for statement in statements(&text, facts).map_err(|error| error.to_string())? {
        for creation in creations(rules, found, statement, facts).map_err(|error| error.to_string())? {
            let group = &groups[usize::from(creation.group.0)];
            let place = format!("{}: {}.{}", group.name, creation.name.schema, creation.name.table);
            let server = group.primary().await.map_err(|error| error.to_string())?;
            let class = Class { deprecate_eof: true, found_rows: false };
            let mut conn = server.connect(class).await.map_err(|error| error.to_string())?;
            let told = |error: BackendError| error.to_client(&server.name).to_string();
            let database = format!("CREATE DATABASE IF NOT EXISTS `{}`", creation.name.schema.replace('`', "``"));
            conn.query(&database).await.map_err(told)?;
            match conn.query(&creation.sql).await {
                Ok(_) => println!("made {place}"),
                // 1050: the table exists.
                Err(BackendError::Server(error)) if error.errno == 1050 => println!("kept {place}: it was there"),
                Err(error) => return Err(format!("{place}: {}", told(error))),
            }
        }
    }
    Ok(())
}
