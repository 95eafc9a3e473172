//! `shardloom explain` and `shardloom route`: what the rules mean, without running anything on a server.
//! `explain` reads from the servers what the tables look like, because plans depend on it.

use clap::Args;

use crate::cli::{RulesFolder, live};
use crate::plan;
use crate::plan::bind::bind;
use crate::plan::print::{explain, explain_refusal};
use crate::rules::{Placement, RuleSet};
use crate::server::topology;
use crate::sql::ast::LiteralKind;
use crate::sql::head::head;
use crate::sql::scan::{Scan, scan};
use crate::sql::{TextCharset, literal};
use crate::value::key::{Canon, canonical};

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    folder: RulesFolder,
    /// Default schema; the only one, if the rules have one
    #[arg(long, short, value_name = "SCHEMA")]
    schema: Option<String>,
    /// How many of the rewritten statements are shown
    #[arg(long, default_value_t = 8, value_name = "N")]
    statements: usize,
    /// The statement
    sql: String,
}

/// Arguments of `route`.
#[derive(Debug, Args)]
pub(super) struct Route {
    #[command(flatten)]
    folder: RulesFolder,
    /// The table: `orders` or `shop.orders`
    table: String,
    /// The key, one for each level of the family: a number, or text
    #[arg(required = true)]
    keys: Vec<String>,
}

impl Explain {
    pub(super) fn run(self) -> Result<(), String> {
        let rules = topology::read_rules(&self.folder.rules, super::color()).map_err(|error| error.to_string())?;
        let schema = self.schema.or_else(|| only_schema(&rules));
        let (catalog, facts) = live::look(&rules)?;
        let sql = self.sql.as_bytes();
        let mut found = Scan::default();
        let told = |error: crate::error::SqlError| error.to_string();
        scan(sql, facts, 0, &mut found).map_err(told)?;
        let head = head(sql, facts).map_err(told)?;
        let session = plan::Session { schema: schema.as_deref(), facts };
        let planned = plan::build::plan(sql, &found, &head, session, &rules, &catalog);
        let lines = match bind(&planned, &rules, sql, &found, &[]) {
            Ok(bound) => explain(&bound, self.statements),
            Err(why) => explain_refusal(&planned, &rules, sql, &found, &why),
        };
        for line in lines {
            println!("{:<10} {}", line.about, line.text);
        }
        Ok(())
    }
}

impl Route {
    pub(super) fn run(self) -> Result<(), String> {
        let rules = topology::read_rules(&self.folder.rules, super::color()).map_err(|error| error.to_string())?;
        let (schema, table) = match self.table.split_once('.') {
            Some((schema, table)) => (schema.to_owned(), table.to_owned()),
            None => (only_schema(&rules).ok_or("the rules have several schemas: write SCHEMA.TABLE")?, self.table),
        };
        let found = rules.schema(&schema).ok_or_else(|| format!("no rule knows a schema {schema}"))?;
        let sharded = match found.table(&table) {
            Placement::Sharded(sharded) => sharded,
            Placement::Broadcast => {
                println!("{schema}.{table} is a broadcast table: every group has all rows");
                return Ok(());
            }
            Placement::Single(group) => {
                let name = rules.group(group).map_or("", |group| group.name.as_str());
                println!("{schema}.{table} is a single table on group {name}");
                return Ok(());
            }
        };
        let family = rules.family(sharded.family).ok_or("the rules are incomplete")?;
        if self.keys.len() != family.levels() {
            return Err(format!(
                "{schema}.{table} is split by {} column(s) ({}), {} key(s) given",
                family.levels(),
                sharded.columns.join(", "),
                self.keys.len()
            ));
        }
        let (catalog, facts) = live::look(&rules)?;
        let info =
            catalog.table(&schema, &table).ok_or_else(|| format!("the servers have no table {schema}.{table}"))?;
        let mut keys = Vec::new();
        for (text, column) in self.keys.iter().zip(&sharded.columns) {
            let (_, column) = info.column(column).ok_or_else(|| format!("{table} has no column {column}"))?;
            let kind = column.key_kind()?;
            let unsigned = text.strip_prefix('-').unwrap_or(text);
            let is_number = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit());
            let text_kind = matches!(kind, crate::value::KeyKind::Str { .. });
            let datum = match is_number && !text_kind {
                true => literal::decode(unsigned.as_bytes(), LiteralKind::Integer, text.starts_with('-'), facts),
                false => literal::text(text.as_bytes().into(), TextCharset::Utf8),
            };
            let datum = datum.ok_or_else(|| format!("'{text}' is no value"))?;
            match canonical(&datum, &kind) {
                Canon::Key(key) => keys.push(key),
                other => return Err(format!("'{text}' is no key of column {}: {other:?}", column.name)),
            }
        }
        let shard = family.shard(&keys).ok_or("no shard has this key")?;
        let group = rules.group(family.home(shard)).map_or("", |group| group.name.as_str());
        let physical = sharded.physical(shard);
        println!(
            "shard {shard} of family {}: group {group}, table {}.{}",
            family.name, physical.schema, physical.table
        );
        Ok(())
    }
}

/// The name of the schema, if the rules have one only.
pub(super) fn only_schema(rules: &RuleSet) -> Option<String> {
    let mut schemas = rules.schemas();
    match (schemas.next(), schemas.next()) {
        (Some(only), None) => Some(only.name.clone()),
        _ => None,
    }
}
