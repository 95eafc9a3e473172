//! Statements about the catalogue: every group is asked for what it has of the relations that the statement reads, then
//! one server runs it over those rows. What a physical table is called is for `plan` to know.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use crate::backend::lease::Lease;
use crate::backend::settings::Settings;
use crate::error::{Code, SqlError};
use crate::exec::ask;
use crate::exec::catalogue::{ask as ask_group, definitions, no_rows, prepared_definitions, renamed};
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::Naming;
use crate::exec::relay::{Style, relay};
use crate::plan::catalogue::ask::questions;
use crate::plan::catalogue::inline::{self, Column};
use crate::plan::catalogue::inventory::Inventory;
use crate::plan::catalogue::list::{List, ListKind};
use crate::plan::catalogue::relation::{Owner, Relation};
use crate::plan::catalogue::rows::{Answer, Row, logical};
use crate::plan::catalogue::{Catalogue, Source, Value, Wanted, may_equal, system_schemas};
use crate::plan::{Bound, Target};
use crate::rules::GroupId;
use crate::session::Session;
use crate::session::run::Execution;
use crate::session::topology::Topology;
use crate::txn::{self, Access, State};
use crate::value::Datum;
use crate::wire::capabilities::Status;

impl Session {
    /// Runs a statement over the logical tables of all groups.
    pub(super) async fn run_catalogue(
        &mut self,
        of: &Execution<'_>,
        mut bound: Bound<'_>,
        catalogue: &Catalogue,
        target: Target,
    ) -> Result<(), Stop> {
        let Execution { topology, planned, ask, add, .. } = *of;
        // The whole answer at once, as from a server that opens no cursor: nobody keeps the connection for it.
        let ask = ask.without_cursor();
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        // What tables there are is no part of a transaction.
        let wanted = self.needs.wanted(topology, target.group);
        let lease = self.txn.side_lease(target.group, topology.group(target.group), Access::Primary, &wanted);
        let mut lease = patience.reach(&mut self.client, false, pin!(lease)).await??;
        let mut text = Vec::new();
        let params = bound.render(target, &mut text);
        let is_list = catalogue.relations.iter().all(|wanted| matches!(wanted.source, Source::List(_)));
        let naming = Naming::Of(&bound, target);
        // To run it over a server's own connections may fail for what one of these says, on MySQL.
        let of_clients =
            catalogue.relations.iter().any(|wanted| matches!(wanted.source.relation().owner, Owner::Client(_)));
        let found = match (planned.effects.replica_ok && !of_clients) || is_list {
            true => definitions(&mut self.client, &mut lease, ask, &text, &params, &mut patience, naming).await?,
            false => prepared_definitions(&mut self.client, &mut lease, &text, &mut patience, naming).await?,
        };
        let found = self.listed_definitions(topology, catalogue, found)?;
        let mut budget = self.proxy.config.limits.merge_memory_per_query;
        let mut relations = Vec::new();
        for wanted in &*catalogue.relations {
            relations.push(self.relation(topology, &bound, wanted, &patience, &mut budget).await?);
        }
        bound.fill(relations);
        text.clear();
        let params = bound.render(target, &mut text);
        let naming = Naming::Of(&bound, target);
        let in_trans = matches!(self.txn.state(), State::Open(_));
        let style = Style {
            capabilities: self.capabilities,
            add: add.when(Status::IN_TRANS, in_trans || add.has(Status::IN_TRANS)),
            naming,
            definitions: &found,
            statement: None,
            insert_id: None,
        };
        ask::send(&mut self.client, &mut lease, ask, &text, &params, &mut patience, naming).await?;
        let outcome = relay(&mut self.client, &mut lease, ask.kind(), &mut patience, &style).await?;
        // With its rows in it no text comes a second time.
        if let Some(statement) = lease.prepared.forget(&text) {
            lease.close_statement(statement);
        }
        self.remember(&mut lease, planned, &outcome, naming, None).await;
        if planned.effects.sets_variables {
            self.carry_variables(&mut lease, bound.sql()).await;
        }
        Ok(())
    }

    /// The definitions of a SHOW TABLES, whose first column is named after the schema.
    fn listed_definitions(
        &self,
        topology: &Topology,
        catalogue: &Catalogue,
        found: Vec<Box<[u8]>>,
    ) -> Result<Vec<Box<[u8]>>, SqlError> {
        match catalogue.relations.first().map(|wanted| &wanted.source) {
            Some(Source::List(list @ List { kind: ListKind::Tables, schema: Some(schema), .. })) => {
                let physical = topology.rules.schema(schema).map_or("", |schema| schema.physical(catalogue.group));
                renamed(found, &format!("Tables_in_{physical}"), &list.name_column())
            }
            _ => Ok(found),
        }
    }

    /// What takes the place of a relation in the statement's text.
    async fn relation(
        &self,
        topology: &Topology,
        bound: &Bound<'_>,
        wanted: &Wanted,
        patience: &Patience<'_>,
        budget: &mut usize,
    ) -> Result<String, Stop> {
        let values = |values: &Option<Box<[Value]>>| {
            let all: Option<Vec<String>> = values.as_ref()?.iter().map(|value| text_of(bound, value)).collect();
            all
        };
        let (schemas, tables) = (values(&wanted.schemas), values(&wanted.tables));
        let sees = |name: &str| self.guest.may_use(name) && may_equal(schemas.as_deref(), name);
        self.may_list(wanted)?;
        let relation = wanted.source.relation();
        if let Owner::Client(_) = relation.owner {
            return self.processes(topology, bound, relation).await;
        }
        let inventory = Inventory::new(&topology.rules, sees);
        let mut answers: Vec<(GroupId, Vec<Column>, Vec<Row>)> = Vec::new();
        let mut leases: BTreeMap<GroupId, Lease> = BTreeMap::new();
        for question in questions(wanted, &inventory, &topology.rules, tables.as_deref()) {
            let group = question.group;
            let lease = match leases.entry(group) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => entry.insert(self.reader(topology, group).await?),
            };
            let told = ask_group(lease, &question, patience, budget).await?;
            if let Some((_, columns, _)) = answers.first()
                && columns.iter().map(|column| &column.name).ne(told.columns.iter().map(|column| &column.name))
            {
                let name = &topology.group(group).name;
                let message = format!("{} has other columns on group {name} than elsewhere", relation.name);
                return Err(SqlError::new(Code::Unknown, message).into());
            }
            answers.push((group, told.columns, told.rows));
        }
        let flavour = self.facts.flavour;
        let system = system_schemas(|name| self.guest.may_use(name));
        let mut columns: Vec<Column> = answers.first().map(|(_, columns, _)| columns.clone()).unwrap_or_default();
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let own = match (&wanted.source, answers.first()) {
            (Source::List(List { kind: ListKind::Databases, .. }), Some((_, _, rows))) => own_schemas(rows, &system),
            _ => Vec::new(),
        };
        let answers = answers.into_iter().map(|(group, _, rows)| Answer { group, columns: &names, rows }).collect();
        let mut rows = logical(relation, &inventory, answers);
        rows.extend(own);
        columns.drain(..columns.len().min(2));
        Ok(match &wanted.source {
            Source::Relation(_) => {
                let system: Vec<&str> = system.into_iter().filter(|name| may_equal(schemas.as_deref(), name)).collect();
                inline::relation(relation, &columns, &rows, &system, flavour)
            }
            Source::List(list) => {
                if list.kind == ListKind::Databases {
                    rows.sort();
                }
                if let (ListKind::Tables, Some(first)) = (list.kind, columns.first_mut()) {
                    first.name = list.name_column();
                }
                inline::list(list, &columns, &rows, flavour)
            }
        })
    }

    /// The connections of clients, as a relation with the columns that servers give it.
    async fn processes(&self, topology: &Topology, bound: &Bound<'_>, relation: &Relation) -> Result<String, Stop> {
        let group = self.any_group(topology);
        let mut lease = self.reader(topology, group).await?;
        let columns = no_rows(&mut lease, relation).await?;
        let rows = self.process_rows(&columns, bound.sql());
        Ok(inline::relation(relation, &columns, &rows, &[], self.facts.flavour))
    }

    /// That the user may see what a SHOW names.
    fn may_list(&self, wanted: &Wanted) -> Result<(), SqlError> {
        match &wanted.source {
            Source::List(List { schema: Some(schema), .. }) if !self.guest.may_use(schema) => Err(self.denied(schema)),
            _ => Ok(()),
        }
    }

    /// A connection for questions: with the session's settings, as times are told in its time zone, but in UTF-8 and
    /// without a limit on rows.
    async fn reader(&self, topology: &Topology, group: GroupId) -> Result<Lease, SqlError> {
        let settings: Settings = self.needs.settings.with_names("utf8mb4").with("sql_select_limit", None);
        let settings = Arc::new(settings);
        let wanted = txn::Wanted { settings: &settings, ..self.needs.wanted(topology, group) };
        self.txn.side_lease(group, topology.group(group), Access::Primary, &wanted).await
    }
}

/// A name that a statement compares with, if it is a text.
fn text_of(bound: &Bound<'_>, value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        Value::Slot(slot) => match bound.datum(*slot)? {
            Datum::Text(text) => String::from_utf8(text.into_owned()).ok(),
            _ => None,
        },
    }
}

/// The rows of SHOW DATABASES that are the server's own schemas.
fn own_schemas(rows: &[Row], system: &[&str]) -> Vec<Row> {
    let is_own = |row: &&Row| {
        let name = row[0].as_deref().unwrap_or_default();
        system.iter().any(|system| system.as_bytes() == name)
    };
    rows.iter().filter(is_own).map(|row| row[2..].to_vec()).collect()
}
