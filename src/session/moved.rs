//! An UPDATE of the sharding key whose rows then belong to another shard: the shards update their rows where they are,
//! and those that have the new key are carried over, all in one transaction.

use crate::error::SqlError;
use crate::exec::interrupt::Stop;
use crate::exec::moved::{self, Relocation};
use crate::exec::outcome::Outcome;
use crate::exec::write::Share;
use crate::plan::moved::Move;
use crate::plan::{Answer, Bound, Route, Target};
use crate::rules::GroupId;
use crate::session::Session;
use crate::session::run::Execution;

impl Session {
    /// Updates, moves, and tells the client what one server would have told.
    pub(super) async fn run_moved(&mut self, of: &Execution<'_>, bound: &Bound<'_>, rule: &Move) -> Result<(), Stop> {
        let targets = match &bound.route {
            Route::One(target) => vec![*target],
            Route::Many(targets) => targets.clone(),
            Route::Any => Vec::new(),
        };
        let parts = self.begin_parts(of.planned);
        let outcome = self.update_and_move(of, bound, rule, &targets, parts.own).await;
        let outcome = self.end_parts(parts, outcome).await?;
        self.wrote(&outcome, of.add);
        Ok(())
    }

    /// The same in a transaction that is open; the client is told later.
    pub(super) async fn update_and_move(
        &mut self,
        of: &Execution<'_>,
        bound: &Bound<'_>,
        rule: &Move,
        targets: &[Target],
        own: bool,
    ) -> Result<Outcome, Stop> {
        let Some(moved) = &bound.moved else { return Err(SqlError::refuse("a move without a key").into()) };
        let mut from: Vec<(Target, u64)> = targets.iter().map(|target| (*target, 0)).collect();
        from.retain(|(target, _)| *target != moved.to);
        let limit = self.proxy.config.limits.gather;
        let mut rows = Relocation { bound, rule, moved, from, limit };
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        {
            let needs = &self.needs;
            let place = |id: GroupId| (of.topology.group(id), needs.wanted(of.topology, id));
            moved::check(&mut self.client, &mut self.txn, &rows, &place, &mut patience).await?;
        }
        let outcome = self.write(of, bound, targets, Answer::Sum, Share::Whole, None);
        let outcome = outcome.await.map_err(foreign_key)?;
        // No row there had the new key before: all that were found have it now.
        for (target, found) in &mut rows.from {
            let at = targets.iter().position(|other| other == target);
            *found = at.and_then(|at| outcome.matched.get(at)).copied().unwrap_or_default();
        }
        rows.from.retain(|(_, found)| *found > 0);
        let mut reached: Vec<GroupId> = targets.iter().map(|target| target.group).collect();
        reached.dedup();
        let needs = &self.needs;
        let place = |id: GroupId| (of.topology.group(id), needs.wanted(of.topology, id));
        moved::run(&mut self.client, &mut self.txn, &rows, &place, &mut patience, own, reached).await?;
        Ok(outcome)
    }
}

/// To a foreign key of a shard the row that it refers to is on another shard, where the row is about to go.
fn foreign_key(stop: Stop) -> Stop {
    match stop {
        Stop::Error(error) if matches!(error.errno, 1216 | 1452) => {
            let why = "a foreign key of a row that would move to another shard could not be checked";
            Stop::Error(SqlError::refuse(format!("{why}: {}", error.message)))
        }
        stop => stop,
    }
}
