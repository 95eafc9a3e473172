//! The commit protocol, all of its states: a coordinator, a commit point, two branches, two recoverers and a collector,
//! in every order, with crashes, lost connections, commands that take effect after their sender is gone, a deadline
//! that passes, and primaries that fail over. The rules are those that run (`commit::protocol`); the variants leave one
//! condition out, and the search must find how that loses a transaction.

use std::collections::HashMap;
use std::fmt::Write as _;

use shardloom::commit::protocol::{
    Decision, Fate, Fenced, Step, Traces, after_fence, after_silence, decide, fate, may_forget, may_unmark, resolve,
};

/// What of the design is in force.
#[derive(Clone, Copy)]
struct Variant {
    /// A recoverer commits an abort before it rolls back.
    fence: bool,
    /// The commit point refuses a decision to commit after the deadline.
    deadline: bool,
    /// A decision is forgotten when all branches are seen committed; else when it is old.
    evidence: bool,
    /// COMMIT is sent after all branches are acknowledged as prepared.
    wait_for_all: bool,
    /// What is acknowledged is on a replica.
    strict: bool,
    /// A coordinator without an answer to COMMIT says that it was refused only if it could roll a branch back.
    proof: bool,
    /// A prepared branch belongs to its connection until that ends (MariaDB).
    attached: bool,
}

const DESIGN: Variant = Variant {
    fence: true,
    deadline: true,
    evidence: true,
    wait_for_all: true,
    strict: true,
    proof: true,
    attached: false,
};

/// A command of the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Command {
    /// INSERT of the decision, or marker, XA END and XA PREPARE.
    First,
    /// COMMIT or XA COMMIT.
    Commit,
    /// ROLLBACK or XA ROLLBACK.
    RollBack,
}

/// One of the coordinator's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Line {
    Idle,
    /// A command is on its way or runs.
    Sent(Command),
    /// Its answer is on the way back.
    Answered {
        ok: bool,
    },
    /// The connection is gone for the coordinator; the server may still run a command that came by it.
    Cut(Option<Command>),
}

/// The coordinator's transaction on the commit point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Local {
    Open,
    /// With the decision in it, whose row is locked.
    Recorded,
    Committed,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Branch {
    Active,
    /// `safe`: on the replica too.
    Prepared {
        safe: bool,
    },
    Committed {
        safe: bool,
    },
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Coordinator {
    Open,
    First,
    Second,
    /// COMMIT was not answered, and there is a decision to abort, or none was: it rolls back what it can.
    Fenced,
    Over,
    Dead,
}

/// What a recoverer is about to do; the number is that of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Recoverer {
    Idle,
    /// It saw the branch prepared and will read the decision.
    Ask(usize),
    Fence(usize),
    Finish(usize, Decision),
    /// XA COMMIT found nothing: it will look for the marker.
    Unknown(usize),
    /// No marker either: it will read the decision again.
    Missing(usize),
}

impl Recoverer {
    fn of_the_other_branch(self) -> Recoverer {
        match self {
            Recoverer::Idle => Recoverer::Idle,
            Recoverer::Ask(i) => Recoverer::Ask(1 - i),
            Recoverer::Fence(i) => Recoverer::Fence(1 - i),
            Recoverer::Finish(i, decision) => Recoverer::Finish(1 - i, decision),
            Recoverer::Unknown(i) => Recoverer::Unknown(1 - i),
            Recoverer::Missing(i) => Recoverer::Missing(1 - i),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    late: bool,
    failovers: u8,
    row: Option<Decision>,
    row_safe: bool,
    local: Local,
    line: Line,
    branches: [Branch; 2],
    markers: [bool; 2],
    lines: [Line; 2],
    coordinator: Coordinator,
    recoverers: [Recoverer; 2],
    /// What the client was told.
    told: Option<Decision>,
    alarm: bool,
}

const START: State = State {
    late: false,
    failovers: 2,
    row: None,
    row_safe: true,
    local: Local::Open,
    line: Line::Idle,
    branches: [Branch::Active; 2],
    markers: [false; 2],
    lines: [Line::Idle; 2],
    coordinator: Coordinator::Open,
    recoverers: [Recoverer::Idle; 2],
    told: None,
    alarm: false,
};

impl State {
    /// What must never be.
    fn violation(&self) -> Option<&'static str> {
        let committed = self.local == Local::Committed;
        let is_committed = |branch: &Branch| matches!(branch, Branch::Committed { .. });
        if committed && self.branches.contains(&Branch::Gone) {
            return Some("the commit point is committed, a branch is rolled back");
        }
        if !committed && self.branches.iter().any(is_committed) {
            return Some("a branch is committed, the commit point is not");
        }
        match self.told {
            Some(Decision::Commit) if !committed => Some("an acknowledged commit is lost"),
            Some(Decision::Abort) if committed => Some("a refused commit took place"),
            _ if self.alarm => Some("a branch was taken for lost"),
            _ => None,
        }
    }

    /// Nothing is left to do, and nothing is left behind.
    fn is_final(&self) -> bool {
        let ended = |branch: &Branch| matches!(branch, Branch::Committed { .. } | Branch::Gone);
        matches!(self.local, Local::Committed | Local::Gone)
            && self.branches.iter().all(ended)
            && self.row.is_none()
            && self.markers == [false; 2]
    }

    fn branch_key(&self, i: usize) -> (Branch, bool, Line) {
        (self.branches[i], self.markers[i], self.lines[i])
    }

    /// Two states that differ only in which recoverer or which branch is called first are one.
    fn canonical(mut self) -> State {
        if self.branch_key(1) < self.branch_key(0) {
            self.branches.swap(0, 1);
            self.markers.swap(0, 1);
            self.lines.swap(0, 1);
            self.recoverers = self.recoverers.map(Recoverer::of_the_other_branch);
        }
        self.recoverers.sort_unstable();
        self
    }
}

/// All that can happen next; `true` behind a step that is a fault, which nobody may need to wait for.
struct Next<'a> {
    variant: Variant,
    out: &'a mut Vec<(&'static str, State, bool)>,
}

impl Next<'_> {
    fn step(&mut self, what: &'static str, state: State) {
        self.out.push((what, state.canonical(), false));
    }

    fn fault(&mut self, what: &'static str, state: State) {
        self.out.push((what, state.canonical(), true));
    }

    fn all(&mut self, s: State) {
        if !s.late {
            self.step("the deadline passes", State { late: true, ..s });
        }
        self.coordinator(s);
        self.commit_point(s);
        for i in 0..2 {
            self.branch(s, i);
            self.recoverer(s, i);
        }
        self.collector(s);
        self.faults(s);
    }

    fn coordinator(&mut self, s: State) {
        let is_over = |line: Line| matches!(line, Line::Answered { .. } | Line::Cut(_));
        let ok = |line: Line| line == Line::Answered { ok: true };
        match s.coordinator {
            Coordinator::Open => {
                let lines = s.lines.map(|line| send(line, Command::First));
                let line = send(s.line, Command::First);
                self.step("round 1", State { line, lines, coordinator: Coordinator::First, ..s });
            }
            Coordinator::First => {
                let waits = self.variant.wait_for_all && !s.lines.iter().all(|line| is_over(*line));
                if waits || !is_over(s.line) {
                    return;
                }
                let prepared = s.lines.map(|line| ok(line) || !self.variant.wait_for_all);
                if decide(ok(s.line), prepared) == Decision::Commit {
                    let line = Line::Sent(Command::Commit);
                    return self.step("round 2", State { line, coordinator: Coordinator::Second, ..s });
                }
                let lines = s.lines.map(|line| send(line, Command::RollBack));
                let line = send(s.line, Command::RollBack);
                let told = Some(Decision::Abort);
                self.step("round 1 failed", State { line, lines, told, coordinator: Coordinator::Over, ..s });
            }
            Coordinator::Second if s.line == (Line::Answered { ok: true }) => {
                let lines = s.lines.map(|line| send(line, Command::Commit));
                let told = Some(Decision::Commit);
                self.step("round 3", State { lines, told, coordinator: Coordinator::Over, ..s });
            }
            Coordinator::Second if matches!(s.line, Line::Cut(_)) => self.asking(s),
            Coordinator::Fenced => {
                let told = after_silence(Some(Decision::Abort), !self.variant.proof);
                self.step("can roll nothing back", State { told, coordinator: Coordinator::Over, ..s });
                let told = after_silence(Some(Decision::Abort), true);
                for i in 0..2 {
                    let is_there = matches!(s.branches[i], Branch::Prepared { .. });
                    if is_there && !matches!(s.lines[i], Line::Cut(_)) {
                        let mut next = State { told, coordinator: Coordinator::Over, ..s };
                        next.branches[i] = Branch::Gone;
                        self.step("rolls a branch back", next);
                    }
                }
            }
            Coordinator::Second | Coordinator::Over | Coordinator::Dead => {}
        }
    }

    /// COMMIT was not answered: it reads the decision, and writes one to abort if there is none. That it may find out
    /// nothing, and say so, is as if it died.
    fn asking(&mut self, s: State) {
        let over = State { coordinator: Coordinator::Over, ..s };
        match (s.row, s.local) {
            (Some(Decision::Commit), _) => {
                let lines = s.lines.map(|line| send(line, Command::Commit));
                let told = after_silence(s.row, false);
                self.step("reads its own decision", State { lines, told, ..over });
            }
            (Some(Decision::Abort), _) => {
                self.step("reads another's decision", State { coordinator: Coordinator::Fenced, ..s });
            }
            // Its decision is locked still.
            (None, Local::Recorded) => {}
            (None, _) => {
                let (row, row_safe) = (Some(Decision::Abort), self.variant.strict);
                self.step("fences itself", State { row, row_safe, coordinator: Coordinator::Fenced, ..s });
            }
        }
    }

    fn commit_point(&mut self, s: State) {
        let (command, answer): (Command, fn(bool) -> Line) = match s.line {
            Line::Sent(command) => (command, |ok| Line::Answered { ok }),
            Line::Cut(Some(command)) => (command, |_| Line::Cut(None)),
            Line::Cut(None) if matches!(s.local, Local::Open | Local::Recorded) => {
                return self.step("the commit point rolls back", State { local: Local::Gone, ..s });
            }
            _ => return,
        };
        let row_safe = self.variant.strict;
        match (command, s.local) {
            (Command::First, Local::Open) => {
                let taken = s.row.is_none() && !(self.variant.deadline && s.late);
                let local = if taken { Local::Recorded } else { s.local };
                self.step("the decision is written", State { local, line: answer(taken), ..s });
            }
            (Command::Commit, Local::Recorded) => {
                let (local, row) = (Local::Committed, Some(Decision::Commit));
                self.step("COMMIT", State { local, row, row_safe, line: answer(true), ..s });
            }
            (Command::RollBack, Local::Open | Local::Recorded) => {
                self.step("ROLLBACK", State { local: Local::Gone, line: answer(true), ..s });
            }
            _ => self.step("refused", State { line: answer(false), ..s }),
        }
    }

    fn branch(&mut self, s: State, i: usize) {
        let set = |branch: Branch, line: Line| {
            let mut next = s;
            next.branches[i] = branch;
            next.lines[i] = line;
            next.markers[i] |= matches!(branch, Branch::Committed { .. });
            next
        };
        let strict = self.variant.strict;
        if s.branches[i] == (Branch::Prepared { safe: false }) {
            self.step("the replica has XA PREPARE", set(Branch::Prepared { safe: true }, s.lines[i]));
        }
        if s.branches[i] == (Branch::Committed { safe: false }) {
            self.step("the replica has XA COMMIT", set(Branch::Committed { safe: true }, s.lines[i]));
        }
        let (command, answer): (Command, fn(bool) -> Line) = match s.lines[i] {
            Line::Sent(command) => (command, |ok| Line::Answered { ok }),
            Line::Cut(Some(command)) => (command, |_| Line::Cut(None)),
            Line::Cut(None) if s.branches[i] == Branch::Active => {
                return self.step("a branch is given up", set(Branch::Gone, s.lines[i]));
            }
            _ => return,
        };
        match (command, s.branches[i]) {
            (Command::First, Branch::Active) => {
                self.step("XA PREPARE", set(Branch::Prepared { safe: false }, s.lines[i]));
                self.step("XA PREPARE is refused", set(Branch::Active, answer(false)));
            }
            (Command::First, Branch::Prepared { safe }) if safe || !strict => {
                self.step("XA PREPARE is acknowledged", set(s.branches[i], answer(true)));
            }
            (Command::First, Branch::Prepared { .. }) => {}
            (Command::Commit, Branch::Prepared { .. }) => {
                self.step("XA COMMIT", set(Branch::Committed { safe: strict }, answer(true)));
            }
            (Command::RollBack, Branch::Active | Branch::Prepared { .. }) => {
                self.step("XA ROLLBACK", set(Branch::Gone, answer(true)));
            }
            _ => self.step("XAER_NOTA", set(s.branches[i], answer(false))),
        }
    }

    fn recoverer(&mut self, s: State, r: usize) {
        let to = |recoverer: Recoverer| {
            let mut next = s;
            next.recoverers[r] = recoverer;
            next
        };
        if s.recoverers[r] != Recoverer::Idle {
            self.fault("a recoverer dies", to(Recoverer::Idle));
        }
        match s.recoverers[r] {
            Recoverer::Idle => {
                for i in 0..2 {
                    if matches!(s.branches[i], Branch::Prepared { .. }) {
                        self.step("XA RECOVER", to(Recoverer::Ask(i)));
                    }
                }
            }
            Recoverer::Ask(i) => match resolve(s.row, true) {
                Step::Commit => self.step("reads C", to(Recoverer::Finish(i, Decision::Commit))),
                Step::RollBack => self.step("reads A", to(Recoverer::Finish(i, Decision::Abort))),
                Step::Fence if self.variant.fence => self.step("reads nothing", to(Recoverer::Fence(i))),
                Step::Fence => self.step("presumes abort", to(Recoverer::Finish(i, Decision::Abort))),
                Step::Wait => {}
            },
            Recoverer::Fence(i) => {
                let fenced = match (s.local, s.row) {
                    (Local::Recorded, _) => Fenced::Locked,
                    (_, Some(_)) => Fenced::Present,
                    (_, None) => Fenced::Written,
                };
                let next = match after_fence(fenced) {
                    Some(decision) => {
                        let row_safe = self.variant.strict;
                        State { row: Some(decision), row_safe, ..to(Recoverer::Finish(i, decision)) }
                    }
                    None => to(Recoverer::Ask(i)),
                };
                self.step("fences", next);
                if fenced == Fenced::Locked {
                    self.step("kills the coordinator's connection", State { line: cut(s.line), ..s });
                }
            }
            Recoverer::Finish(i, decision) => {
                let prepared = matches!(s.branches[i], Branch::Prepared { .. });
                let mut next = to(Recoverer::Idle);
                if prepared && self.variant.attached && !matches!(s.lines[i], Line::Cut(_)) {
                    next.recoverers[r] = Recoverer::Finish(i, decision);
                    next.lines[i] = cut(s.lines[i]);
                    return self.step("kills the branch's connection", next);
                }
                match decision {
                    Decision::Commit if prepared => {
                        next.branches[i] = Branch::Committed { safe: self.variant.strict };
                        next.markers[i] = true;
                    }
                    Decision::Commit => next.recoverers[r] = Recoverer::Unknown(i),
                    Decision::Abort if prepared => next.branches[i] = Branch::Gone,
                    Decision::Abort => {}
                }
                self.step("finishes", next);
            }
            Recoverer::Unknown(i) if s.markers[i] => self.step("finds the marker", to(Recoverer::Idle)),
            Recoverer::Unknown(i) => self.step("finds no marker", to(Recoverer::Missing(i))),
            Recoverer::Missing(i) => {
                let listed = matches!(s.branches[i], Branch::Prepared { .. });
                let fate = fate(Traces { listed, marker: false, decision: s.row });
                self.step("judges", State { alarm: fate == Fate::Lost, ..to(Recoverer::Idle) });
            }
        }
    }

    fn collector(&mut self, s: State) {
        let forget = match s.row {
            Some(Decision::Commit) if self.variant.evidence => {
                may_forget(Decision::Commit, s.markers == [true; 2], s.late)
            }
            Some(Decision::Commit) => s.late,
            Some(Decision::Abort) => may_forget(Decision::Abort, false, s.late || !self.variant.deadline),
            None => false,
        };
        if forget {
            self.step("forgets the decision", State { row: None, ..s });
        }
        for i in 0..2 {
            if s.markers[i] && may_unmark(s.row) {
                let mut next = s;
                next.markers[i] = false;
                self.step("deletes a marker", next);
            }
        }
    }

    fn faults(&mut self, s: State) {
        if s.coordinator != Coordinator::Dead {
            let lines = s.lines.map(cut);
            self.fault("the proxy dies", State { coordinator: Coordinator::Dead, line: cut(s.line), lines, ..s });
        }
        self.fault("a connection is lost", State { line: cut(s.line), ..s });
        self.fault("a command is lost", State { line: lose(s.line), ..s });
        for i in 0..2 {
            for (what, line) in [("a connection is lost", cut(s.lines[i])), ("a command is lost", lose(s.lines[i]))] {
                let mut next = s;
                next.lines[i] = line;
                self.fault(what, next);
            }
        }
        if s.failovers == 0 {
            return;
        }
        let s = State { failovers: s.failovers - 1, ..s };
        self.fail_over(s);
        for i in 0..2 {
            let mut next = s;
            next.lines[i] = Line::Cut(None);
            let outcomes: &[Branch] = match s.branches[i] {
                Branch::Active => &[Branch::Gone],
                Branch::Prepared { safe: false } => &[Branch::Gone, Branch::Prepared { safe: true }],
                Branch::Committed { safe: false } => &[Branch::Prepared { safe: true }],
                _ => &[s.branches[i]],
            };
            for outcome in outcomes {
                next.branches[i] = *outcome;
                self.fault("a branch's primary fails over", next);
            }
        }
    }

    /// The commit point's primary. A COMMIT that runs is either on the replica, which is as if it had been answered
    /// before, or not.
    fn fail_over(&mut self, s: State) {
        let mut next = State { line: Line::Cut(None), ..s };
        if matches!(s.local, Local::Open | Local::Recorded) {
            next.local = Local::Gone;
        }
        if !s.row_safe {
            if s.row == Some(Decision::Commit) {
                next.local = Local::Gone;
            }
            (next.row, next.row_safe) = (None, true);
        }
        self.fault("the commit point's primary fails over", next);
    }
}

/// A command goes out, if there is a connection for it.
fn send(line: Line, command: Command) -> Line {
    if matches!(line, Line::Cut(_)) { line } else { Line::Sent(command) }
}

/// The connection goes; the server may still do what came by it.
fn cut(line: Line) -> Line {
    match line {
        Line::Sent(command) | Line::Cut(Some(command)) => Line::Cut(Some(command)),
        Line::Idle | Line::Answered { .. } | Line::Cut(None) => Line::Cut(None),
    }
}

/// The command never arrives.
fn lose(line: Line) -> Line {
    match line {
        Line::Sent(_) | Line::Cut(Some(_)) => Line::Cut(None),
        line => line,
    }
}

/// What a search has found.
struct Found {
    states: usize,
    /// The steps to the first violation, and what it is.
    violation: Option<String>,
    /// States from which nothing but faults leads to an end.
    stuck: usize,
}

/// Visits every state, breadth first, until one is wrong.
fn search(variant: Variant) -> Found {
    let mut numbers: HashMap<State, u32> = HashMap::from([(START, 0)]);
    let mut states = vec![START];
    let mut came: Vec<(u32, &'static str)> = vec![(0, "")];
    let mut back: Vec<Vec<u32>> = vec![Vec::new()];
    let mut out = Vec::new();
    let mut at = 0;
    while at < states.len() {
        if let Some(what) = states[at].violation() {
            return Found { states: states.len(), violation: Some(path(&came, at, what)), stuck: 0 };
        }
        out.clear();
        Next { variant, out: &mut out }.all(states[at]);
        for (what, state, fault) in &out {
            let fresh = states.len() as u32;
            let number = *numbers.entry(*state).or_insert(fresh);
            if number == fresh {
                states.push(*state);
                came.push((at as u32, what));
                back.push(Vec::new());
            }
            if !fault {
                back[number as usize].push(at as u32);
            }
        }
        at += 1;
    }
    let mut reaches = vec![false; states.len()];
    let mut todo: Vec<usize> = (0..states.len()).filter(|i| states[*i].is_final()).collect();
    while let Some(state) = todo.pop() {
        if !std::mem::replace(&mut reaches[state], true) {
            todo.extend(back[state].iter().map(|from| *from as usize));
        }
    }
    Found { states: states.len(), violation: None, stuck: reaches.iter().filter(|ends| !**ends).count() }
}

fn path(came: &[(u32, &'static str)], mut at: usize, what: &str) -> String {
    let mut steps = Vec::new();
    while at != 0 {
        steps.push(came[at].1);
        at = came[at].0 as usize;
    }
    let mut text = format!("{what}:\n");
    for step in steps.iter().rev() {
        writeln!(text, "  {step}").unwrap();
    }
    text
}

#[test]
fn every_order_of_events_ends_and_ends_right() {
    for (name, variant) in [("detached", DESIGN), ("attached", Variant { attached: true, ..DESIGN })] {
        let found = search(variant);
        eprintln!("{name}: {} states", found.states);
        assert!(found.violation.is_none(), "{name}: {}", found.violation.unwrap_or_default());
        assert_eq!(found.stuck, 0, "{name}: states that cannot end");
        assert!(found.states > 10_000, "{name}: only {} states: the model has lost something", found.states);
    }
}

/// Each condition is needed: without it the search finds how a transaction is torn.
#[test]
fn each_condition_is_needed() {
    for (name, variant) in [
        ("a branch is rolled back without a fence", Variant { fence: false, ..DESIGN }),
        ("fences are forgotten, and no deadline guards the decision", Variant { deadline: false, ..DESIGN }),
        ("decisions are forgotten by age", Variant { evidence: false, ..DESIGN }),
        ("COMMIT does not wait for all branches", Variant { wait_for_all: false, ..DESIGN }),
        ("acknowledged and not replicated", Variant { strict: false, ..DESIGN }),
        ("a decision to abort is taken for proof", Variant { proof: false, ..DESIGN }),
    ] {
        let found = search(variant);
        assert!(found.violation.is_some(), "{name}: nothing found in {} states", found.states);
    }
}
