//! EXPLAIN of a SELECT over sharded tables: a server explains what it would be sent, the first one if several would.
//! How a statement is split is for EXPLAIN SHARDLOOM to say.

use crate::error::SqlError;
use crate::exec::ask::Ask;
use crate::exec::interrupt::Stop;
use crate::plan::bind::bind;
use crate::plan::{self, Answer, Effects, Route};
use crate::rules::Placement;
use crate::session::Session;
use crate::session::run::Execution;
use crate::session::topology::Topology;
use crate::sql::ast::Span;
use crate::sql::head::{Head, names_in};
use crate::sql::scan::{Scan, scan};
use crate::wire::capabilities::Status;

impl Session {
    /// Whether a statement is an EXPLAIN that names a sharded table.
    pub(super) fn explains_sharded(&self, sql: &[u8], head: &Head, topology: &Topology) -> bool {
        let Head::Explain { shardloom: false, inner, .. } = head else { return false };
        let names = names_in(inner.of(sql), self.facts).unwrap_or_default();
        names.iter().any(|name| {
            let schema = name.schema.as_ref().map(|schema| schema.name.as_str()).or(self.needs.schema.as_deref());
            let schema = schema.and_then(|schema| topology.rules.schema(schema));
            schema.is_some_and(|schema| matches!(schema.table(&name.name.name), Placement::Sharded(_)))
        })
    }

    /// Has the first of the statement's targets explain its part.
    pub(super) async fn explain_part(
        &mut self,
        sql: &[u8],
        inner: Span,
        topology: &Topology,
        ask: Ask<'_>,
        add: Status,
    ) -> Result<(), Stop> {
        let text = inner.of(sql);
        let mut found = Scan::default();
        scan(text, self.facts, self.proxy.seed, &mut found)?;
        let head = crate::sql::head::head(text, self.facts)?;
        let session = plan::Session { schema: self.needs.schema.as_deref(), facts: self.facts };
        let planned = plan::build::plan(text, &found, &head, session, &topology.rules, &topology.catalog);
        self.may_touch(&planned)?;
        let refuse = |why: &str| Stop::Error(SqlError::refuse_at(why, sql, inner.start as usize));
        if planned.effects.writes || !found.params.is_empty() {
            return Err(refuse(
                "EXPLAIN of a write, or of a statement with parameters, over sharded tables; EXPLAIN SHARDLOOM shows \
                 its plan:",
            ));
        }
        // It is explained and does not run.
        let effects = Effects { replica_ok: planned.effects.replica_ok, ..Effects::default() };
        let planned = planned.with_effects(effects);
        let bound = bind(&planned, &topology.rules, text, &found, &[])?;
        let target = match (&bound.route, bound.answer) {
            (Route::One(target), Answer::Relay) => *target,
            (Route::Many(targets), Answer::Merge(_)) => targets[0],
            _ => {
                let why = "no server runs this statement as it is; EXPLAIN SHARDLOOM shows its plan:";
                return Err(refuse(why));
            }
        };
        let mut out = sql[..inner.start as usize].to_vec();
        bound.render(target, &mut out);
        let of = Execution { sql: text, scan: &found, topology, planned: &planned, ask, args: &[], add };
        self.relay_to(&of, &bound, target, Some(&out)).await
    }
}
