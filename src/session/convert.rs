//! INSERT ... SELECT between servers whose values have to be converted on the way: one server stores them in a table of
//! the columns that they are for, and they are carried on from there, with the warnings which that gave.

use crate::error::SqlError;
use crate::exec::carry::{Into, Rows, converted, read_back};
use crate::exec::convert::{self, CONVERTED, Conversion};
use crate::exec::gather;
use crate::exec::interrupt::Stop;
use crate::exec::names::{logical, row_in};
use crate::exec::outcome::Outcome;
use crate::plan::bind::bind;
use crate::plan::build::plan_converting;
use crate::plan::carry::Carry;
use crate::plan::convert::{Converting, LIKE};
use crate::plan::locks::shared;
use crate::plan::render::Name;
use crate::plan::{self, Place, Plan, Target};
use crate::session::Session;
use crate::session::carry::Reads;
use crate::session::diagnostics::Diagnostics;
use crate::session::run::Execution;
use crate::sql::scan::{Scan, scan};

/// What converting told.
pub(super) struct Told {
    warnings: u16,
    conditions: Diagnostics,
}

impl Told {
    /// Adds what was told to what storing the rows did.
    pub(super) fn add_to(self, outcome: &mut Outcome, diagnostics: &mut Diagnostics) {
        outcome.warnings = outcome.warnings.saturating_add(self.warnings);
        diagnostics.lead_with(self.conditions, outcome.warnings.into());
        if let Some(rest) = outcome.info.rfind("Warnings: ") {
            outcome.info.truncate(rest);
            outcome.info += &format!("Warnings: {}", outcome.warnings);
        }
    }
}

impl Session {
    /// The rows of the SELECT as the columns have them; `refusal` if they cannot be had this way either.
    pub(super) async fn converted_rows(
        &mut self,
        of: &Execution<'_>,
        carry: &Carry,
        query: &[u8],
        (into, reads): (&Into<'_>, Reads),
        refusal: SqlError,
    ) -> Result<(Rows, Option<Told>), Stop> {
        let topology = of.topology;
        let Some(table) = of.planned.tables.get(usize::from(carry.table)) else { return Err(refusal.into()) };
        let Some(read) = read_back(&into.columns).filter(|_| into.reading.utf8) else { return Err(refusal.into()) };
        let locked = shared(query, self.facts);
        let text = match &locked {
            Some(text) => text,
            None if reads.own || !reads.reads_tables => query,
            None => return Err(refusal.into()),
        };
        let mut scanned = Scan::default();
        scan(text, self.facts, self.proxy.seed, &mut scanned)?;
        let converting = Converting { schema: &table.schema, table: &table.name };
        let session = plan::Session { schema: self.needs.schema.as_deref(), facts: self.facts };
        let rules = &topology.rules;
        let planned = plan_converting(text, &scanned, session, rules, &topology.catalog, &converting);
        let Ok(planned) = planned.map(|planned| planned.with_wishes(reads.wishes)) else { return Err(refusal.into()) };
        let Plan::Gather(gather) = &planned.plan else { return Err(refusal.into()) };
        let bound = bind(&planned, rules, text, &scanned, &[])?;
        let mut gathering = self.gathering(&planned, &bound, gather)?;
        let target = Target { group: gathering.gathered.group, shard: None };
        let shard = matches!(table.place, Place::Sharded(_)).then_some(0);
        let Some(like) = bound.name(LIKE, Target { shard, ..target }) else { return Err(refusal.into()) };
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let part = Execution::own(text, &scanned, topology, &planned);
        let mut lease = self.gathered_on(&part, &mut gathering, &mut patience).await?;
        let mut select = Vec::new();
        bound.render(target, &mut select);
        let conversion = Conversion {
            like,
            columns: &into.columns,
            select: &select,
            ignores: carry.ignores,
            of_tables: carry.of_tables,
            members: carry.members,
            read: &read.list,
            room: into.limit,
        };
        let outcome = convert::run(&mut self.client, &mut lease, &conversion, &mut patience).await?;
        gather::clear(&mut lease, &gathering).await;
        let own = Name { physical: CONVERTED, ..like };
        let told = |message: &str| logical(message, [own].into_iter().chain(bound.names(target)));
        let rows = outcome.map_err(|error| not_right(into, SqlError { message: told(&error.message), ..error }))?;
        let mut conditions = Diagnostics::default();
        rows.conditions.iter().for_each(|answer| conditions.add_part(answer, told, Some, None));
        if carry.ignores && !conditions.tell_rows() {
            // Behind which of those that storing the rows gives?
            return Err(refused(into, "a warning does not say of which row it is").into());
        }
        let told = (rows.warnings > 0).then_some(Told { warnings: rows.warnings, conditions });
        Ok((converted(&rows.rows, &read, into)?, told))
    }
}

/// Nothing comes before the first row. Of a later one it is not known whether it is the first that one server refuses:
/// earlier ones may be in the way of others.
fn not_right(into: &Into<'_>, error: SqlError) -> SqlError {
    match row_in(&error.message) {
        Some((_, 1)) => error,
        _ => refused(into, &error.message),
    }
}

fn refused(into: &Into<'_>, message: &str) -> SqlError {
    SqlError::refuse(format!(
        "Shardloom does not support {} whose values are not all right for its columns: {message}",
        into.what
    ))
}
