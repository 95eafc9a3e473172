//! `shardloom check`: are the rules right, and are the servers as the rules say?

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueHint};

use crate::admin::check::{Finding, check};
use crate::admin::create::{Creation, creations, statements};
use crate::backend::cluster::Group;
use crate::backend::conn::{BackendError, Class};
use crate::backend::metadata::{self, Metadata};
use crate::backend::schema;
use crate::cli::live;
use crate::diagnostic::{self, Source};
use crate::error::SqlError;
use crate::ids::{counter, worker};
use crate::rules::catalog::Catalog;
use crate::rules::id::IdKind;
use crate::rules::{RuleSet, Schema};
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
        let sources = topology::sources(&self.rules).map_err(|error| error.to_string())?;
        let rules =
            RuleSet::parse(&sources).map_err(|mistakes| diagnostic::render(&mistakes, &sources, super::color()))?;
        let tables: usize = rules.schemas().map(|schema| schema.tables().count()).sum();
        println!("rules: fine ({} groups, {tables} tables)", rules.groups().len());
        if self.offline {
            return Ok(());
        }
        live::runtime()?.block_on(async {
            let groups = live::groups(&rules).await?;
            if let Some(file) = &self.create {
                make(&rules, &groups, file, self.schema.as_deref()).await?;
                make_metadata(&rules, &groups).await?;
            }
            let found = check(&rules, &groups).await.map_err(|error| error.to_string())?;
            for warning in &found.warnings {
                println!("warning: {}", told(warning, &sources));
            }
            for error in &found.errors {
                println!("error: {}", told(error, &sources));
            }
            if let Some(guarantee) = found.guarantee {
                println!("transactions over several groups: {guarantee}");
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

/// Makes the tables that ids are taken through, on the home of each schema whose rules ask for ids.
async fn make_metadata(rules: &RuleSet, groups: &[Arc<Group>]) -> Result<(), String> {
    for schema in rules.schemas() {
        let kinds: Vec<IdKind> =
            schema.tables().filter_map(|(name, _)| schema.id(name)).map(|rule| rule.kind).collect();
        let tables = [(IdKind::Snowflake, worker::WORKER), (IdKind::Segment, counter::SEGMENT)];
        for (_, table) in tables.into_iter().filter(|(kind, _)| kinds.contains(kind)) {
            let home = &groups[usize::from(schema.home.0)];
            let told = |error: SqlError| error.to_string();
            let server = home.primary().await.map_err(told)?;
            Metadata::open(server).await.map_err(told)?.create(table).await.map_err(told)?;
            println!("made {}: {}.{}, if it was not there", home.name, metadata::SCHEMA, table.name);
        }
    }
    Ok(())
}

/// A finding behind the line of the rule that it is about.
fn told(finding: &Finding, sources: &[Source]) -> String {
    let line = finding.rule.as_ref().and_then(|place| diagnostic::line(place, sources));
    line.map_or_else(|| finding.text.clone(), |line| format!("{line}: {}", finding.text))
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
            make_one(groups, &creation).await?;
        }
    }
    // Of a lookup that the file did not make, the table that it is for tells the columns.
    let catalog = schema::catalog(rules, groups).await.map_err(|error| error.to_string())?;
    for definition in lookup_definitions(found, &catalog) {
        for creation in creations(rules, found, &definition, facts).map_err(|error| error.to_string())? {
            make_one(groups, &creation).await?;
        }
    }
    Ok(())
}

/// CREATE TABLE for the lookups of a schema that no server has.
fn lookup_definitions(schema: &Schema, catalog: &Catalog) -> Vec<String> {
    let owners = schema.tables().filter_map(|(name, _)| schema.sharded(name));
    let lookups = owners.flat_map(|owner| owner.lookups.iter().map(move |lookup| (owner, lookup)));
    let missing = lookups.filter(|(_, lookup)| catalog.table(&schema.name, &lookup.table).is_none());
    missing.filter_map(|(owner, lookup)| lookup.definition(owner, catalog.table(&schema.name, &owner.name)?)).collect()
}

async fn make_one(groups: &[Arc<Group>], creation: &Creation) -> Result<(), String> {
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
    Ok(())
}
