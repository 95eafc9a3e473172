//! The rows of all sources as one sequence: by sort key with a tree of losers, or as they come.
//! It knows keys as bytes only, and holds just the rows that came before they were needed.

use std::cmp::Ordering;

use crate::error::{Code, SqlError};
use crate::exec::merge::layout::Layout;
use crate::exec::merge::order::Order;
use crate::exec::merge::queue::Queue;
use crate::wire::row::Cell;

/// What is known of the next row.
pub(super) enum Head<'a> {
    /// A source has to say more first.
    Unknown,
    /// It is this one.
    Row(Row<'a>),
    /// There is none.
    End,
}

/// A row on its way through the merge.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// As it came, hidden columns included.
    pub(super) bytes: &'a [u8],
    /// Where the hidden columns begin.
    pub(super) cut: usize,
    /// The bytes that tell its group.
    pub(super) group: &'a [u8],
    /// Who sent it, if sources are merged by key.
    pub(super) source: Option<usize>,
}

/// What has to come before the next row is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A row, or the end, of any source that has not ended.
    Any,
    /// A row, or the end, of this source.
    One(usize),
    /// Nothing: the merge can go on, or is over.
    Nothing,
}

/// All sources.
#[derive(Debug)]
pub(super) struct Sources {
    held: usize,
    sequence: Sequence,
}

#[derive(Debug)]
enum Sequence {
    /// As they come.
    Arrival { queue: Queue, ended: Vec<bool>, open: usize, cells: Vec<Cell> },
    /// By key; of equal rows that of the first source comes first.
    Sorted(Sorted),
}

impl Sources {
    /// `count` sources, each sorted by `order` if there is one; with `strict`, one that is not is an error.
    pub(super) fn new(count: usize, order: Option<Order>, strict: bool) -> Sources {
        let sequence = match order {
            None => {
                Sequence::Arrival { queue: Queue::default(), ended: vec![false; count], open: count, cells: Vec::new() }
            }
            Some(order) => Sequence::Sorted(Sorted::new(count, order, strict)),
        };
        Sources { held: 0, sequence }
    }

    pub(super) fn want(&self) -> Want {
        match &self.sequence {
            Sequence::Arrival { queue, open, .. } if queue.front().is_none() && *open > 0 => Want::Any,
            Sequence::Arrival { .. } => Want::Nothing,
            Sequence::Sorted(sorted) => sorted.want(),
        }
    }

    /// How many bytes of rows are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes a row of a source.
    pub(super) fn push(&mut self, source: usize, row: &[u8]) {
        self.held += Queue::cost(row);
        match &mut self.sequence {
            Sequence::Arrival { queue, .. } => queue.push(row),
            Sequence::Sorted(sorted) => sorted.inputs[source].queue.push(row),
        }
    }

    /// A source has no more rows.
    pub(super) fn end(&mut self, source: usize) {
        match &mut self.sequence {
            Sequence::Arrival { ended, open, .. } => {
                if !std::mem::replace(&mut ended[source], true) {
                    *open -= 1;
                }
            }
            Sequence::Sorted(sorted) => sorted.inputs[source].ended = true,
        }
    }

    /// The next row, if it is known.
    pub(super) fn head(&mut self, layout: &Layout) -> Result<Head<'_>, SqlError> {
        match &mut self.sequence {
            Sequence::Arrival { queue, open, cells, .. } => match queue.front() {
                Some(bytes) => {
                    let cut = layout.cut(layout.locate(bytes, layout.needed_to_cut(), cells)?);
                    Ok(Head::Row(Row { bytes, cut, group: &[], source: None }))
                }
                None if *open > 0 => Ok(Head::Unknown),
                None => Ok(Head::End),
            },
            Sequence::Sorted(sorted) => sorted.head(layout),
        }
    }

    /// Takes away the row that [`Sources::head`] gave.
    pub(super) fn pop(&mut self) {
        self.held -= match &mut self.sequence {
            Sequence::Arrival { queue, .. } => queue.pop(),
            Sequence::Sorted(sorted) => sorted.pop(),
        };
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        self.held = 0;
        match &mut self.sequence {
            Sequence::Arrival { queue, .. } => queue.clear(),
            Sequence::Sorted(sorted) => sorted.inputs.iter_mut().for_each(|input| input.queue.clear()),
        }
    }
}

/// Sources that are merged by key.
#[derive(Debug)]
struct Sorted {
    order: Order,
    strict: bool,
    inputs: Vec<Input>,
    tree: Tree,
    state: State,
    cells: Vec<Cell>,
    scratch: Vec<u8>,
}

/// One sorted source.
#[derive(Debug, Default)]
struct Input {
    queue: Queue,
    ended: bool,
    head: Stage,
    /// The key of the first row of the queue (once staged), else of the row before.
    key: Vec<u8>,
    /// How many bytes of the key tell the group.
    group: usize,
    /// Where the hidden columns of the first row begin.
    cut: usize,
}

/// What is known of a source's first row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    #[default]
    Unknown,
    /// Its key.
    Known,
    /// That there is none.
    Past,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The sources before this one have been staged, and no tree is there yet.
    Gathering(usize),
    /// This source has won and its row was taken; the tree waits for its next one.
    Open(usize),
    /// The tree is right, and this source has won.
    Won(usize),
}

impl Sorted {
    fn new(count: usize, order: Order, strict: bool) -> Sorted {
        let inputs: Vec<Input> = (0..count).map(|_| Input::default()).collect();
        let state = State::Gathering(0);
        Sorted { order, strict, inputs, tree: Tree::new(count), state, cells: Vec::new(), scratch: Vec::new() }
    }

    fn want(&self) -> Want {
        let wanted = match self.state {
            State::Gathering(from) => from..self.inputs.len(),
            State::Open(source) => source..source + 1,
            State::Won(_) => return Want::Nothing,
        };
        let unknown = |input: &Input| input.head == Stage::Unknown && !input.ended && input.queue.front().is_none();
        match self.inputs[wanted.clone()].iter().position(unknown) {
            Some(position) => Want::One(wanted.start + position),
            None => Want::Nothing,
        }
    }

    fn head(&mut self, layout: &Layout) -> Result<Head<'_>, SqlError> {
        let winner = loop {
            match self.state {
                State::Won(winner) => break winner,
                State::Open(source) => {
                    if !self.stage(source, layout)? {
                        return Ok(Head::Unknown);
                    }
                    let inputs = &self.inputs;
                    self.state = State::Won(self.tree.replay(source, |a, b| before(inputs, a, b)));
                }
                State::Gathering(source) if source < self.inputs.len() => {
                    if !self.stage(source, layout)? {
                        return Ok(Head::Unknown);
                    }
                    self.state = State::Gathering(source + 1);
                }
                State::Gathering(_) => {
                    let inputs = &self.inputs;
                    match self.tree.build(|a, b| before(inputs, a, b)) {
                        Some(winner) => self.state = State::Won(winner),
                        None => return Ok(Head::End),
                    }
                }
            }
        };
        let input = &self.inputs[winner];
        match (input.head, input.queue.front()) {
            (Stage::Known, Some(bytes)) => {
                let (cut, group) = (input.cut, &input.key[..input.group]);
                Ok(Head::Row(Row { bytes, cut, group, source: Some(winner) }))
            }
            _ => Ok(Head::End),
        }
    }

    fn pop(&mut self) -> usize {
        let State::Won(winner) = self.state else { return 0 };
        let input = &mut self.inputs[winner];
        input.head = Stage::Unknown;
        self.state = State::Open(winner);
        input.queue.pop()
    }

    /// Makes the key of a source's first row; false if that row has not come yet.
    fn stage(&mut self, source: usize, layout: &Layout) -> Result<bool, SqlError> {
        let input = &mut self.inputs[source];
        let Some(row) = input.queue.front() else {
            input.head = if input.ended { Stage::Past } else { Stage::Unknown };
            return Ok(input.ended);
        };
        let located = layout.locate(row, self.order.needs().max(layout.needed_to_cut()), &mut self.cells)?;
        input.cut = layout.cut(located);
        input.group = self.order.put(located, &mut self.scratch)?;
        // The first row comes behind the empty key.
        if self.strict && self.scratch < input.key {
            return Err(unsorted());
        }
        std::mem::swap(&mut input.key, &mut self.scratch);
        input.head = Stage::Known;
        Ok(true)
    }
}

/// Whether the first row of source `a` comes before that of `b`; sources at their end come last.
fn before(inputs: &[Input], a: usize, b: usize) -> bool {
    let past = |source: usize| inputs[source].head == Stage::Past;
    let by_key = || inputs[a].key.cmp(&inputs[b].key);
    past(a).cmp(&past(b)).then_with(by_key).then(a.cmp(&b)) == Ordering::Less
}

fn unsorted() -> SqlError {
    SqlError::new(
        Code::Refused,
        "A server returned rows out of the order it was asked for, so groups over several shards would be split; \
         a key longer than its max_sort_length does this",
    )
}

/// A tree of losers: each inner node holds the source that lost there, and each source plays upwards from its leaf,
/// so that the next winner costs one comparison a level.
///
/// ```text
///          [0] winner              Sources 0 to 3; node n plays node n / 2, source s enters at node (s + 4) / 2.
///          [1]
///      [2]     [3]
///     0   1   2   3
/// ```
#[derive(Debug)]
struct Tree {
    nodes: Box<[usize]>,
}

/// A node at which nobody has played yet.
const VACANT: usize = usize::MAX;

impl Tree {
    fn new(sources: usize) -> Tree {
        Tree { nodes: vec![VACANT; sources].into() }
    }

    /// Plays all sources; none if there are none.
    fn build(&mut self, before: impl Fn(usize, usize) -> bool) -> Option<usize> {
        self.nodes.fill(VACANT);
        for source in 0..self.nodes.len() {
            self.replay(source, &before);
        }
        self.nodes.first().copied()
    }

    /// Plays one source again, which was the winner; says who wins now.
    fn replay(&mut self, source: usize, before: impl Fn(usize, usize) -> bool) -> usize {
        let mut winner = source;
        let mut node = (source + self.nodes.len()) / 2;
        while node > 0 {
            let loser = self.nodes[node];
            if loser == VACANT {
                self.nodes[node] = winner;
                return winner;
            }
            if before(loser, winner) {
                self.nodes[node] = winner;
                winner = loser;
            }
            node /= 2;
        }
        self.nodes[0] = winner;
        winner
    }
}
