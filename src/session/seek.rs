//! Finding the shards of a statement's rows by a lookup. What the lookup says is believed only when the rows have been
//! seen there: else, as another transaction may have written one of the two and not yet the other, or this one sees an
//! older state of one of them, all shards are asked as if there were no lookup.

use std::pin::pin;

use crate::backend::conn::Answer as Told;
use crate::error::SqlError;
use crate::exec::interrupt::Stop;
use crate::exec::lookup::{Row, cell, literal, put_columns, put_rows};
use crate::exec::names::Naming;
use crate::exec::write::answered;
use crate::plan::bind::Binding;
use crate::plan::seek::{Locks, Seek};
use crate::plan::{Bound, Route, Target};
use crate::rules::catalog::ColumnInfo;
use crate::rules::shards::Shards;
use crate::session::Session;
use crate::session::run::Execution;
use crate::sql::ast::Span;
use crate::txn::Access;
use crate::wire::command::com;

impl Session {
    /// The shards that have the rows; none if they are not known, as of a key that the lookup does not have.
    ///
    /// # Errors
    /// Those of the shard itself, which the statement would have met there: a lock that is waited for in vain, a
    /// deadlock, a lost connection.
    pub(super) async fn sought(&mut self, of: &Execution<'_>, seek: &Seek) -> Result<Option<Shards>, Stop> {
        if self.facts != self.facts_of_now() {
            // Prepared under another sql_mode: a text of our own would be read otherwise.
            return Ok(None);
        }
        let reading = self.reading();
        let Some(keys) = of.planned.sought(of.sql, of.scan, of.args) else { return Ok(None) };
        let row = |key: &Vec<_>| key.iter().map(|value| literal(value, reading)).collect::<Result<Row, SqlError>>();
        let Ok(keys) = keys.iter().map(row).collect::<Result<Vec<Row>, SqlError>>() else { return Ok(None) };
        let Some(rows) = self.looked_up(of, seek, &keys).await? else { return Ok(None) };
        let mut text = b"SELECT 1 FROM ".to_vec();
        text.extend_from_slice(seek.owner.as_bytes());
        text.extend_from_slice(b" WHERE ");
        put_rows(&seek.columns, &rows, &mut text);
        match seek.locks {
            Locks::None => {}
            Locks::Write => text.extend_from_slice(b" FOR UPDATE"),
            Locks::Clause(from, to) => {
                let (Some(start), Some(end)) = (from.resolve(of.scan), to.resolve(of.scan)) else { return Ok(None) };
                text.push(b' ');
                text.extend_from_slice(Span { start, end }.of(of.sql));
            }
        }
        let access = self.access(of.planned);
        let Some(seen) = self.ask_all(of, &text, access, false).await? else { return Ok(None) };
        if seen.iter().map(|(_, told)| told.rows.len()).sum::<usize>() != rows.len() {
            return Ok(None);
        }
        let shards = seen.iter().filter(|(_, told)| !told.rows.is_empty()).map(|(target, _)| target.shard);
        Ok(shards.collect::<Option<Vec<u32>>>().map(|shards| shards.into_iter().collect()))
    }

    /// The keys and their sharding keys as the lookup has them, if it has all of them.
    async fn looked_up(&mut self, of: &Execution<'_>, seek: &Seek, keys: &[Row]) -> Result<Option<Vec<Row>>, Stop> {
        let columns = &seek.columns;
        let mut text = b"SELECT ".to_vec();
        put_columns(columns, &mut text);
        text.extend_from_slice(b" FROM ");
        text.extend_from_slice(seek.lookup.as_bytes());
        text.extend_from_slice(b" WHERE ");
        put_rows(&columns[..seek.key.len()], keys, &mut text);
        let access = if self.access(of.planned) == Access::Replica { Access::Replica } else { Access::Primary };
        let Some(told) = self.ask_all(of, &text, access, true).await? else { return Ok(None) };
        let reading = self.reading();
        let mut rows = Vec::new();
        for found in told.iter().flat_map(|(_, told)| &told.rows) {
            let literal = |(text, column): (&Option<Vec<u8>>, &ColumnInfo)| {
                let literal = cell(text.as_ref()?, column, reading).ok()?;
                Some(Some(literal))
            };
            let row: Option<Row> = found.iter().zip(columns).map(literal).collect();
            let Some(row) = row else { return Ok(None) };
            rows.push(row);
        }
        // No two keys are equal, so each has its own row.
        Ok((rows.len() == keys.len()).then_some(rows))
    }

    /// The answers to a SELECT of our own. `hint`: it has no part in the open transaction, unless that is on the group
    /// already, and its errors do not matter.
    async fn ask_all(
        &mut self,
        of: &Execution<'_>,
        text: &[u8],
        access: Access,
        hint: bool,
    ) -> Result<Option<Vec<(Target, Told)>>, Stop> {
        let Ok((found, planned)) = self.own_text(of.topology, text) else { return Ok(None) };
        let Ok(bound) = Binding::new(&planned, &of.topology.rules, text, &found, &[]).own().bind() else {
            return Ok(None);
        };
        let targets = match &bound.route {
            Route::One(target) => std::slice::from_ref(target),
            Route::Many(targets) => targets,
            Route::Any => return Ok(None),
        };
        let mut all = Vec::new();
        for target in targets {
            let Some(told) = self.ask_one(of, &bound, *target, access, hint).await? else { return Ok(None) };
            all.push((*target, told));
        }
        Ok(Some(all))
    }

    /// The answer of one target of it.
    async fn ask_one(
        &mut self,
        of: &Execution<'_>,
        bound: &Bound<'_>,
        target: Target,
        access: Access,
        hint: bool,
    ) -> Result<Option<Told>, Stop> {
        let mut sql = Vec::new();
        bound.render(target, &mut sql);
        let group = of.topology.group(target.group);
        let aside = match hint {
            true => !self.txn.holds(target.group),
            false => !self.txn.is_open() && self.autocommit(),
        };
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let wanted = self.needs.wanted(of.topology, target.group);
        let (client, holds) = (&mut self.client, self.txn.holds(target.group));
        let leased = match aside {
            true => {
                let lease = pin!(self.txn.side_lease(target.group, group, access, &wanted));
                patience.reach(client, false, lease).await?
            }
            false => {
                let lease = pin!(self.txn.lease(target.group, group, access, &wanted));
                patience.reach(client, holds, lease).await?
            }
        };
        let mut lease = match leased {
            Ok(lease) => lease,
            Err(_) if hint && aside => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        lease.send(com::QUERY, &sql);
        let told = answered(&mut self.client, &mut lease, &mut patience, Naming::Of(bound, target)).await;
        match &told {
            Ok(_) => self.give_back(target.group, lease, aside),
            Err(stop) => self.give_up(target.group, lease, aside, stop),
        }
        match told {
            Ok(told) => Ok(Some(told)),
            // Who was told to end has been told for the whole statement.
            Err(Stop::Error(_) | Stop::Lost(_)) if hint && aside && !patience.is_ended() => Ok(None),
            Err(stop) => Err(stop),
        }
    }
}
