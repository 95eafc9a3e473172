//! Finding the one shard of a statement's rows by a lookup. What the lookup says is believed only when the row has been
//! seen there: else, as another transaction may have written one of the two and not yet the other, or this one sees an
//! older state of one of them, all shards are asked as if there were no lookup.

use crate::backend::conn::Answer as Told;
use crate::error::SqlError;
use crate::exec::interrupt::Stop;
use crate::exec::lookup::{Row, cell, literal, put_columns, put_rows};
use crate::exec::names::Naming;
use crate::exec::write::answered;
use crate::plan::bind::Binding;
use crate::plan::seek::{Locks, Seek};
use crate::plan::{Planned, Route, Target};
use crate::session::Session;
use crate::session::topology::Topology;
use crate::sql::ast::Span;
use crate::sql::scan::Scan;
use crate::txn::Access;
use crate::value::Datum;
use crate::wire::command::com;

/// A statement whose shard is sought.
#[derive(Clone, Copy)]
pub(super) struct Seeking<'a> {
    pub(super) sql: &'a [u8],
    pub(super) scan: &'a Scan,
    pub(super) topology: &'a Topology,
    pub(super) planned: &'a Planned,
    pub(super) seek: &'a Seek,
    pub(super) args: &'a [Datum<'a>],
}

impl Session {
    /// The shard that has the row; none if that is not known.
    ///
    /// # Errors
    /// Those of the shard itself, which the statement would have met there: a lock that is waited for in vain, a
    /// deadlock, a lost connection.
    pub(super) async fn sought(&mut self, of: &Seeking<'_>) -> Result<Option<u32>, Stop> {
        if self.facts != self.facts_of_now() {
            // Prepared under another sql_mode: a text of our own would be read otherwise.
            return Ok(None);
        }
        let reading = self.reading();
        let Some(values) = of.planned.sought(of.sql, of.scan, of.args) else { return Ok(None) };
        let Ok(key) = values.iter().map(|value| literal(value, reading)).collect::<Result<Row, SqlError>>() else {
            return Ok(None);
        };
        let Some(row) = self.looked_up(of, &key).await? else { return Ok(None) };
        let mut text = b"SELECT 1 FROM ".to_vec();
        text.extend_from_slice(of.seek.owner.as_bytes());
        text.extend_from_slice(b" WHERE ");
        put_rows(&of.seek.columns, &[row], &mut text);
        match of.seek.locks {
            Locks::None => {}
            Locks::Write => text.extend_from_slice(b" FOR UPDATE"),
            Locks::Clause(from, to) => {
                let (Some(start), Some(end)) = (from.resolve(of.scan), to.resolve(of.scan)) else { return Ok(None) };
                text.push(b' ');
                text.extend_from_slice(Span { start, end }.of(of.sql));
            }
        }
        let access = self.access(of.planned);
        let seen = self.ask_one(of, &text, access, false).await?;
        Ok(seen.filter(|(_, told)| told.rows.len() == 1).and_then(|(target, _)| target.shard))
    }

    /// The key and the sharding key as the lookup has them, if it has the key.
    async fn looked_up(&mut self, of: &Seeking<'_>, key: &Row) -> Result<Option<Row>, Stop> {
        let (unique, further) = of.seek.columns.split_at(key.len());
        let mut text = b"SELECT ".to_vec();
        put_columns(further, &mut text);
        text.extend_from_slice(b" FROM ");
        text.extend_from_slice(of.seek.lookup.as_bytes());
        text.extend_from_slice(b" WHERE ");
        put_rows(unique, std::slice::from_ref(key), &mut text);
        let access = if self.access(of.planned) == Access::Replica { Access::Replica } else { Access::Primary };
        let Some((_, told)) = self.ask_one(of, &text, access, true).await? else { return Ok(None) };
        let [found] = told.rows.as_slice() else { return Ok(None) };
        let mut row = key.clone();
        for (text, column) in found.iter().zip(further) {
            let Some(Ok(literal)) = text.as_ref().map(|text| cell(text, column, self.reading())) else {
                return Ok(None);
            };
            row.push(Some(literal));
        }
        Ok(Some(row))
    }

    /// The answer of the one target of a SELECT of our own; none if it has several. `hint`: it has no part in the open
    /// transaction, unless that is on the group already, and its errors do not matter.
    async fn ask_one(
        &mut self,
        of: &Seeking<'_>,
        text: &[u8],
        access: Access,
        hint: bool,
    ) -> Result<Option<(Target, Told)>, Stop> {
        let Ok((found, planned)) = self.own_text(of.topology, text) else { return Ok(None) };
        let Ok(bound) = Binding::new(&planned, &of.topology.rules, text, &found, &[]).own().bind() else {
            return Ok(None);
        };
        let Route::One(target) = bound.route else { return Ok(None) };
        let mut sql = Vec::new();
        bound.render(target, &mut sql);
        let group = of.topology.group(target.group);
        let aside = match hint {
            true => !self.txn.groups().any(|held| held == target.group),
            false => !self.txn.is_open() && self.autocommit(),
        };
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat, self.time_limit(of.planned));
        let wanted = self.needs.wanted(of.topology, target.group);
        let leased = match aside {
            true => self.txn.side_lease(target.group, group, access, &wanted).await,
            false => self.txn.lease(target.group, group, access, &wanted).await,
        };
        let mut lease = match leased {
            Ok(lease) => lease,
            Err(_) if hint && aside => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        lease.send(com::QUERY, &sql);
        let told = answered(&mut self.client, &mut lease, &mut patience, Naming::Of(&bound, target)).await;
        match &told {
            Ok(_) => self.give_back(target.group, lease, aside),
            Err(stop) => self.give_up(target.group, lease, aside, stop),
        }
        match told {
            Ok(told) => Ok(Some((target, told))),
            // Who was told to end has been told for the whole statement.
            Err(Stop::Error(_) | Stop::Lost(_)) if hint && aside && !patience.is_ended() => Ok(None),
            Err(stop) => Err(stop),
        }
    }
}
