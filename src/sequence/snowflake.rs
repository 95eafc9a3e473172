//! Snowflake ids: 63 bits of time, worker and sequence, so that ids of all proxies grow with time. It keeps to the span
//! of time that its worker id was leased for; leasing, clocks and waiting are for others.
//!
//! ```text
//!  bit 63   62 ... 22                          21 ... 12   11 ... 0
//!       0   milliseconds since 2024-01-01 UTC  worker      sequence
//! ```
//!
//! Ids of one statement are consecutive, so they share time and worker: at most [`PER_TICK`].

use std::fmt;

/// 2024-01-01T00:00:00Z in Unix milliseconds; the 41 bits of time last until September 2093.
pub const EPOCH_MS: u64 = 1_704_067_200_000;

/// How many worker ids there are.
pub const WORKERS: u16 = 1 << 10;

/// How many ids a worker has for one millisecond.
pub const PER_TICK: u64 = 1 << 12;

/// How far ids may run ahead of the clock, in milliseconds, before one has to wait for it: after a burst, or when the
/// clock was set back.
pub const AHEAD_MS: u64 = 1_000;

/// The greatest time that fits, in Unix milliseconds.
pub const LAST_MS: u64 = EPOCH_MS + (1 << 41) - 1;

/// Gives out the ids of one worker id within its span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snowflake {
    worker: u16,
    /// The millisecond that the last ids belong to.
    tick: u64,
    /// How many of its ids are gone.
    used: u64,
    /// The last millisecond of the span.
    until: u64,
}

/// Why no ids are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// More than [`PER_TICK`] for one statement.
    TooMany,
    /// The ids that would be next belong to a time so many milliseconds ahead of the clock.
    Ahead(u64),
    /// The span is over.
    Ended,
}

impl Snowflake {
    /// Ids of a worker id for the milliseconds behind `after` up to `until`, both in Unix time.
    pub fn new(worker: u16, after: u64, until: u64) -> Snowflake {
        Snowflake { worker: worker % WORKERS, tick: after.max(EPOCH_MS), used: PER_TICK, until: until.min(LAST_MS) }
    }

    /// The span ends later.
    pub fn extend(&mut self, until: u64) {
        self.until = self.until.max(until.min(LAST_MS));
    }

    /// The last millisecond of the span.
    pub fn until(&self) -> u64 {
        self.until
    }

    /// Takes `count` consecutive ids at the Unix time `now` in milliseconds, and gives the first.
    ///
    /// # Errors
    /// Why it cannot; nothing is taken then.
    pub fn take(&mut self, now: u64, count: u64) -> Result<u64, Empty> {
        if count > PER_TICK {
            return Err(Empty::TooMany);
        }
        let (tick, used) = match self.tick {
            last if now > last => (now, 0),
            last if self.used + count <= PER_TICK => (last, self.used),
            last => (last + 1, 0),
        };
        if tick > now.saturating_add(AHEAD_MS) {
            return Err(Empty::Ahead(tick - now));
        }
        if tick > self.until {
            return Err(Empty::Ended);
        }
        (self.tick, self.used) = (tick, used + count);
        Ok((tick - EPOCH_MS) << 22 | u64::from(self.worker) << 12 | used)
    }
}

/// The Unix time in milliseconds that an id was made at, if it was made here.
pub fn time_of(id: u64) -> u64 {
    (id >> 22) + EPOCH_MS
}

impl fmt::Display for Empty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Empty::TooMany => write!(f, "a statement gets at most {PER_TICK} snowflake ids"),
            Empty::Ahead(ms) => write!(f, "the clock of the proxy is {ms} ms behind the ids it has given out"),
            Empty::Ended => write!(f, "the lease of the proxy's worker id has ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = EPOCH_MS + 1_000_000;

    #[test]
    fn the_format_is_frozen() {
        // (milliseconds since the epoch << 22) + (worker << 12) + sequence.
        let mut ids = Snowflake::new(5, 0, LAST_MS);
        assert_eq!(ids.take(EPOCH_MS + 1, 1), Ok(4_194_304 + 20_480));
        assert_eq!(ids.take(EPOCH_MS + 1, 3), Ok(4_194_304 + 20_480 + 1));
        assert_eq!(ids.take(EPOCH_MS + 1, 1), Ok(4_194_304 + 20_480 + 4));
        let last = Snowflake::new(1_023, 0, u64::MAX).take(LAST_MS, PER_TICK);
        assert_eq!(last.map(|first| first + PER_TICK - 1), Ok(i64::MAX as u64));
        assert_eq!(time_of(4_194_304 + 20_480), EPOCH_MS + 1);
    }

    #[test]
    fn ids_of_a_statement_are_consecutive() {
        let mut ids = Snowflake::new(0, 0, LAST_MS);
        ids.take(NOW, 4_000).unwrap();
        // Not enough are left of this millisecond: the next one begins.
        assert_eq!(ids.take(NOW, 97), Ok((NOW + 1 - EPOCH_MS) << 22));
        assert_eq!(ids.take(NOW, 4_097), Err(Empty::TooMany));
    }

    #[test]
    fn a_clock_set_back_is_waited_for() {
        let mut ids = Snowflake::new(0, 0, LAST_MS);
        let first = ids.take(NOW, 1).unwrap();
        // A little: ids go on where they were.
        assert_eq!(ids.take(NOW - AHEAD_MS, 1), Ok(first + 1));
        assert_eq!(ids.take(NOW - AHEAD_MS - 7, 1), Err(Empty::Ahead(AHEAD_MS + 7)));
    }

    #[test]
    fn a_span_is_kept_to() {
        let mut ids = Snowflake::new(0, NOW, NOW + 10);
        assert_eq!(time_of(ids.take(NOW, 1).unwrap()), NOW + 1, "the millisecond before the span is another's");
        assert_eq!(ids.take(NOW + 11, 1), Err(Empty::Ended));
        ids.extend(NOW + 20);
        assert_eq!(time_of(ids.take(NOW + 11, 1).unwrap()), NOW + 11);
    }

    /// What happens to a worker id: ids are asked for with the clock moved, or another process takes it over.
    #[derive(Clone, Debug)]
    enum Step {
        Take { clock: i64, count: u64 },
        Extend,
        TakeOver,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (-3_000i64..3_000, 1u64..2_000).prop_map(|(clock, count)| Step::Take { clock, count }),
            1 => Just(Step::Extend),
            1 => Just(Step::TakeOver),
        ]
    }

    proptest! {
        #[test]
        fn no_id_twice_whatever_clocks_do(steps in proptest::collection::vec((0usize..3, step()), 1..200)) {
            let mut clocks = [NOW; 3];
            // What the servers know of each worker id: how far its spans go.
            let mut leased = [NOW + 5_000; 3];
            let mut workers: Vec<Snowflake> = (0..3).map(|worker| Snowflake::new(worker, NOW, NOW + 5_000)).collect();
            let mut seen = HashSet::new();
            for (at, step) in steps {
                match step {
                    Step::Take { clock, count } => {
                        clocks[at] = clocks[at].saturating_add_signed(clock);
                        if let Ok(first) = workers[at].take(clocks[at], count) {
                            for id in first..first + count {
                                prop_assert!(seen.insert(id), "{id} twice");
                            }
                        }
                    }
                    Step::Extend => {
                        leased[at] = leased[at].max(clocks[at] + 5_000);
                        workers[at].extend(leased[at]);
                    }
                    Step::TakeOver => {
                        let after = leased[at];
                        leased[at] = after.max(clocks[at]) + 5_000;
                        workers[at] = Snowflake::new(at as u16, after, leased[at]);
                    }
                }
            }
        }
    }
}
