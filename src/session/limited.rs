//! UPDATE and DELETE with LIMIT on several shards: how many of the first rows each shard has is looked for, with locks
//! on them, and each then writes as many; both in one transaction. Where no order is asked for, the shards write one
//! after the other.

use crate::exec::interrupt::Stop;
use crate::exec::outcome::Outcome;
use crate::exec::scatter::{self, Drawn, Scatter};
use crate::exec::write::Share;
use crate::plan::limited::{First, Limited, Stage};
use crate::plan::{Answer, Bound, Target};
use crate::rules::GroupId;
use crate::session::Session;
use crate::session::run::Execution;
use crate::txn::Access;

/// A write of the first rows of several targets.
#[derive(Clone, Copy)]
pub(super) struct Limiting<'a> {
    pub(super) of: &'a Execution<'a>,
    pub(super) bound: &'a Bound<'a>,
    pub(super) targets: &'a [Target],
    pub(super) limited: &'a Limited,
}

impl Session {
    /// Finds the rows, writes them, and tells the client what one server would have told.
    pub(super) async fn run_limited(&mut self, run: &Limiting<'_>) -> Result<(), Stop> {
        let outcome = match &run.limited.first {
            Some(first) => {
                let parts = self.begin_parts(run.of.planned);
                let outcome = self.write_first(run, first).await;
                self.end_parts(parts, outcome).await?
            }
            None => {
                let left = Share::Left(run.bound.window.map_or(u64::MAX, |window| window.take));
                self.write_share(run, run.targets, left).await?
            }
        };
        self.wrote(&outcome, run.of.add);
        Ok(())
    }

    async fn write_first(&mut self, run: &Limiting<'_>, first: &First) -> Result<Outcome, Stop> {
        let drawn = self.drawn(run, first).await?;
        let order: Vec<Target> =
            drawn.order.iter().filter_map(|source| run.targets.get(*source as usize).copied()).collect();
        let some = |(_, share): &(Target, u64)| *share > 0;
        let mut wanted: Vec<(Target, u64)> = run.targets.iter().copied().zip(drawn.shares).filter(some).collect();
        if wanted.is_empty() {
            wanted.push((run.targets[0], 0));
        }
        let (targets, shares): (Vec<Target>, Vec<u64>) = wanted.into_iter().unzip();
        self.write_share(run, &targets, Share::Each { shares: &shares, order: &order }).await
    }

    async fn write_share(&mut self, run: &Limiting<'_>, targets: &[Target], share: Share<'_>) -> Result<Outcome, Stop> {
        self.write(run.of, run.bound, targets, Answer::Sum, share, None).await
    }

    /// Which targets have the first rows.
    async fn drawn(&mut self, run: &Limiting<'_>, first: &First) -> Result<Drawn, Stop> {
        if run.bound.window.is_some_and(|window| window.take == 0) {
            return Ok(Drawn::default());
        }
        let of = run.of;
        let seat = self.seat.entry.clone();
        let mut patience = self.patience(&seat)?;
        let looking = run.bound.at(Stage::First);
        let look = Scatter {
            bound: &looking,
            targets: run.targets,
            merge: &first.merge,
            ask: of.ask.without_cursor(),
            cursor: None,
            budget: self.proxy.config.limits.merge_memory_per_query,
            capabilities: self.capabilities,
            status: self.status(),
            clock: self.one_clock(of.planned),
            last_insert_id: of.planned.effects.last_insert_id.then_some(self.last_insert_id),
        };
        let needs = &self.needs;
        let place = |id: GroupId| (of.topology.group(id), needs.wanted(of.topology, id));
        let look = (&look, first.ordered);
        scatter::sources(&mut self.client, &mut self.txn, look, Access::Primary, &place, &mut patience).await
    }
}
