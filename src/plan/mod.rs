//! Plans: what a statement needs from which targets, decided once per text and bound to values each time.
//! Pure: a plan holds no socket, lock, clock or configuration, and can be printed and cached.
//!
//! ```text
//! text + Scan + Head + Session + RuleSet + Catalog --build::plan--> Planned      once, then cached
//! Planned + text + Scan + parameters               --bind::bind---> Bound        every time
//! Bound + Target                                   --render-------> SQL text     for each target
//! ```

pub mod ahead;
pub mod bind;
pub mod build;
pub mod cache;
pub mod carry;
pub mod catalogue;
mod columns;
pub mod computed;
pub mod convert;
pub mod define;
pub mod fill;
mod fold;
mod functions;
pub mod gather;
pub mod into;
pub mod joined;
mod keys;
mod like;
pub mod limited;
pub mod load;
mod locality;
pub mod locks;
pub mod made;
pub mod maintain;
pub mod merge;
pub mod moved;
mod named;
pub mod numbering;
mod parts;
pub mod print;
mod read;
pub mod render;
mod reopened;
mod resolve;
mod reused;
pub mod route;
mod same;
pub mod seek;
mod select;
mod selected;
pub mod semijoin;
mod settled;
pub mod singly;
pub mod slot;
mod sources;
pub mod standing;
mod stored;
pub mod text;
mod ties;
mod types;
pub mod upkeep;
mod values;
pub mod wanted;
mod write;

use std::sync::Arc;

use crate::error::SqlError;
use crate::plan::ahead::Ahead;
use crate::plan::carry::Carry;
use crate::plan::catalogue::Catalogue;
use crate::plan::computed::Computed;
use crate::plan::define::Define;
use crate::plan::gather::Gather;
use crate::plan::into::Into;
use crate::plan::joined::Joined;
use crate::plan::limited::{Limited, Stage};
use crate::plan::load::Load;
use crate::plan::maintain::Maintain;
use crate::plan::merge::Merge;
use crate::plan::moved::{Move, Moved};
use crate::plan::numbering::{Id, Ids, Numbering};
use crate::plan::route::Routing;
use crate::plan::seek::Seek;
use crate::plan::singly::Singly;
use crate::plan::slot::Slot;
use crate::plan::text::Text;
use crate::plan::upkeep::Upkeep;
use crate::rules::{FamilyId, GroupId, PhysicalName, RuleSet};
use crate::sql::Facts;
use crate::sql::hint::TransactionMode;
use crate::sql::scan::Scan;
use crate::value::Datum;

/// What a session adds to a statement's meaning. Everything in it is part of the plan cache's key.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// The default schema, by its logical name.
    pub schema: Option<&'a str>,
    /// sql_mode, character set, flavour and version: what the bytes mean.
    pub facts: Facts,
}

/// One place where a statement can run: a group, and the shard whose physical tables are meant there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The servers.
    pub group: GroupId,
    /// The shard of the statement's family; none if it has no sharded table.
    pub shard: Option<u32>,
}

/// Where a bound statement goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To one target.
    One(Target),
    /// To two or more, sorted, each once.
    Many(Vec<Target>),
    /// To any one group: only broadcast tables or none at all. The caller picks (a group already held by the
    /// transaction; the group that keeps the session's pinned state; else the home of the default schema) and renders
    /// for `Target { group, shard: None }`.
    Any,
}

/// What becomes of the answers.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// One target answers; its packets go on untouched but for physical names.
    Relay,
    /// Rows of all targets are merged; then `Bound::window` applies.
    Merge(&'a Merge),
    /// The rows that the statement can need are copied to one server ([`Bound::gathered`]), where it then runs.
    Gather(&'a Gather),
    /// Each target did its part of a write: affected rows, matched, changed, duplicates and warnings add up.
    /// The insert id is the first that was made, else that of the statement's last row (`Bound::last`).
    Sum,
    /// The same of the first rows of all targets, as many as [`Bound::window`] says.
    Limited(&'a Limited),
    /// Each target did its part of an UPDATE, and the rows that then belong elsewhere are carried there
    /// ([`Bound::moved`]).
    Move(&'a Move),
    /// Each group did the same to its copy: the answers must agree in affected rows, and the first one is given.
    Same,
    /// As `Relay`, of a sharded table: DESCRIBE, SHOW COLUMNS.
    Describe,
    /// The rows of relations are asked for first, then one target answers with them in the text.
    Catalogue(&'a Catalogue),
    /// A data definition is done at every place in turn, under a record of what is done.
    Define(&'a Define),
    /// The rows of a SELECT are read first, and then stored where they belong.
    Carry(&'a Carry),
    /// Subqueries are read first, and then the statement runs with their values.
    Ahead(&'a Ahead),
    /// Values are computed first, and then the statement runs with them.
    Computed(&'a Computed),
    /// The keys of the rows are read first, and then the rows are written by them.
    Joined(&'a Joined),
    /// Rows are stored one after the other.
    Singly(&'a Singly),
    /// The client's file is cut into lines, of which each target loads its own.
    Load(&'a Load),
    /// Tables are maintained at each of their places, and told of as one server tells.
    Maintain(&'a Maintain),
}

/// Which rows of a merged answer the client gets: `skip` left out, then at most `take`.
/// Every target has been asked for its first `skip + take` rows where that is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// OFFSET.
    pub skip: u64,
    /// LIMIT.
    pub take: u64,
}

/// The parameters that a rendered text has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Params {
    /// Those of the client, in their order.
    Same,
    /// These, in this order.
    Picked(Vec<Pick>),
}

/// One parameter of a rendered text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The client's parameter with this number.
    Client(u16),
    /// An id that was made for a row.
    Id(Id),
}

/// What a statement does to, or wants from, its session. Heeded by `session` and `exec` before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Effects {
    /// A pure read without locks, side effects or unknown functions: outside a transaction a replica will do.
    pub replica_ok: bool,
    /// It writes rows (INSERT, REPLACE, UPDATE, DELETE): not on a replica, not in a READ ONLY transaction.
    pub writes: bool,
    /// Its rows may get ids from an AUTO_INCREMENT column: INSERT, REPLACE, LOAD DATA.
    pub numbers: bool,
    /// It takes row locks (FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE).
    pub locking: bool,
    /// MySQL commits the open transaction before it (DDL and administration).
    pub implicit_commit: bool,
    /// It calls LAST_INSERT_ID() without an argument, or reads @@last_insert_id, @@identity.
    pub last_insert_id: bool,
    /// It calls LAST_INSERT_ID(expr), which sets the session's value.
    pub sets_last_insert_id: bool,
    /// It calls FOUND_ROWS().
    pub found_rows: bool,
    /// SQL_CALC_FOUND_ROWS: the connection that runs it must answer the next FOUND_ROWS().
    pub calc_found_rows: bool,
    /// It calls ROW_COUNT(), or reads @@warning_count, @@error_count.
    pub row_count: bool,
    /// It reads user variables.
    pub reads_variables: bool,
    /// It sets user variables (`:=`, INTO @x).
    pub sets_variables: bool,
    /// It is LOCK TABLES.
    pub table_locks: bool,
    /// Of tables that do not all lie on one group, which is refused, unless the session's user would have it ignored.
    pub locks_apart: bool,
    /// It calls GET_LOCK() or another function of that kind.
    pub user_locks: bool,
    /// It opens a HANDLER, or uses one.
    pub handler: bool,
    /// It calls CONNECTION_ID(): only the session knows the right one.
    pub connection_id: bool,
    /// It calls USER(), CURRENT_USER() or the like: the servers know the proxy's account, not the client's.
    pub account: bool,
    /// It calls RAND(), UUID() or another function with a new value each time.
    pub random: bool,
    /// It defines tables: what is known of them is asked anew afterwards.
    pub defines: bool,
    /// An error that a server gives for an INSERT of one row, and not for the same row among several, where it is a
    /// warning.
    pub strict_alone: Option<u16>,
    /// It asks the client for a file.
    pub local_file: bool,
    /// It creates or drops a temporary table.
    pub temporary_table: bool,
    /// It calls a function that is not MySQL's own and may do anything on the server.
    pub stored_function: bool,
    /// It reads the clock, and runs on several targets if the route says so: these must see one clock
    /// (`SET timestamp = ...` first), or rows get different times.
    pub clock: bool,
}

/// What the client asked for in `/*+ shardloom(...) */`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Wishes {
    /// `primary` or `replica`.
    pub role: Option<Role>,
    /// `timeout=`, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// `transaction=`: for the transaction that the statement is the first of.
    pub transaction: Option<TransactionMode>,
}

/// Which server of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that takes writes.
    Primary,
    /// One that follows it.
    Replica,
}

/// A table that a plan names.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its logical schema.
    pub schema: Box<str>,
    /// Its logical name, as the rules write it.
    pub name: Box<str>,
    /// Where it is.
    pub place: Place,
    /// The physical name of each shard of it; none if it is not sharded.
    pub physical: Arc<[PhysicalName]>,
}

/// Where a table is, as far as a plan knows before it is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Split by the rule of a family.
    Sharded(FamilyId),
    /// A full copy on every group.
    Broadcast,
    /// On one group.
    Single(GroupId),
    /// In a schema of the server's own (information_schema, mysql, ...).
    System,
}

/// What is to be done about a statement, for every statement with the same text between its literals.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// How it is answered.
    pub plan: Plan,
    /// The numbers of the literals whose value the plan was made for: a statement that has another there needs a plan
    /// of its own (`ORDER BY 1`).
    pub pins: Box<[u32]>,
    /// What it does to its session.
    pub effects: Effects,
    /// What its hint says.
    wishes: Wishes,
    /// See [`Planned::is_plain`]; derived from the effects, the wishes and the parts below.
    plain: bool,
    /// The ids that are to be made for its rows, if it is an INSERT that needs some.
    pub numbering: Option<Box<Numbering>>,
    /// What it has to do to lookups, if it writes a table that has some.
    pub upkeep: Option<Box<Upkeep>>,
    /// The lookup that may tell the shard of its rows, where its routing alone leaves several.
    pub seek: Option<Box<Seek>>,
    /// The number of a table that it writes and that is a lookup.
    pub lookup: Option<u16>,
    /// The user variables that its one row is for.
    pub into: Option<Box<Into>>,
    /// The tables it names, each once.
    pub tables: Box<[Table]>,
    /// The version of the rule set that it was made for; only that one may bind it.
    pub rules_version: u64,
    /// What the bytes of its literals mean.
    pub facts: Facts,
}

impl Effects {
    /// Whether the statement reads what only its session knows, and no server's connection.
    pub fn asks_session(&self) -> bool {
        self.connection_id || self.account || self.found_rows || self.row_count
    }
}

impl Planned {
    /// What its hint says.
    pub fn wishes(&self) -> Wishes {
        self.wishes
    }

    /// The same statement, of which a hint says this.
    #[must_use]
    pub fn with_wishes(self, wishes: Wishes) -> Planned {
        Planned { wishes, ..self }.judged()
    }

    /// The same statement, of which the session is to heed other effects.
    #[must_use]
    pub fn with_effects(self, effects: Effects) -> Planned {
        Planned { effects, ..self }.judged()
    }

    /// Whether the statement is to be bound and run, and nothing else: no effect on its session but what its rows and
    /// ids are, no wish, no further part. Judged once, as every execution asks.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    fn judged(mut self) -> Planned {
        let Effects { replica_ok, writes, numbers, locking, reads_variables, random, clock, strict_alone, .. } =
            self.effects;
        let harmless = Effects {
            replica_ok,
            writes,
            numbers,
            locking,
            reads_variables,
            random,
            clock,
            strict_alone,
            ..Effects::default()
        };
        self.plain = self.effects == harmless
            && self.wishes == Wishes::default()
            && self.numbering.is_none()
            && self.upkeep.is_none()
            && self.seek.is_none();
        self
    }
}

/// How a statement is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// By one target that is known before the values are: single and broadcast tables, or none.
    Relay {
        /// The group; none: any will do.
        group: Option<GroupId>,
        /// What is spliced into the text.
        text: Text,
    },
    /// A statement over sharded tables, whose values say how many targets it needs.
    Sharded(Box<Sharded>),
    /// A SELECT over tables that no server has together: their rows are gathered on one.
    Gather(Box<Gather>),
    /// A description of a sharded table (DESCRIBE, SHOW COLUMNS): its first shard gives it.
    Describe {
        /// The family of the table.
        family: FamilyId,
        /// What is spliced into the text.
        text: Text,
    },
    /// CREATE TEMPORARY TABLE ... LIKE of a sharded table: made of one shard, where that is.
    Like {
        /// The family of the table.
        family: FamilyId,
        /// The shard.
        shard: u32,
        /// What is spliced into the text.
        text: Text,
    },
    /// A statement about schemas and tables themselves.
    Catalogue(Box<Catalogue>),
    /// A definition of tables that lie in several places.
    Define(Box<Define>),
    /// INSERT ... SELECT whose rows are read in one place and stored in another.
    Carry(Box<Carry>),
    /// UPDATE or DELETE whose subqueries are read first.
    Ahead(Box<Ahead>),
    /// A write some of whose values are computed first.
    Computed(Box<Computed>),
    /// UPDATE or DELETE whose rows are written by their keys, which are read first.
    Joined(Box<Joined>),
    /// REPLACE, IGNORE or ON DUPLICATE KEY UPDATE of several rows of a table with lookups.
    Singly(Box<Singly>),
    /// LOAD DATA LOCAL INFILE into a table that lies in several places.
    Load(Box<Load>),
    /// Maintenance of tables that do not all lie on one group.
    Maintain(Box<Maintain>),
    /// The same write on every group: broadcast tables.
    Everywhere {
        /// What is spliced into the text.
        text: Text,
        /// The values of an AUTO_INCREMENT column, none of which may be NULL or 0: each server would number its copy
        /// by itself.
        numbered: Box<[Slot]>,
    },
    /// Not answered, for a reason.
    Refuse(SqlError),
}

/// A plan over sharded tables of one family.
#[derive(Clone, Debug, PartialEq)]
pub struct Sharded {
    /// Which shards a statement with given values needs.
    pub routing: Routing,
    /// The text for a single target.
    pub text: Text,
    /// What happens when more than one target is needed.
    pub many: Many,
    /// How the rows of an UPDATE are carried to the shard of the key that they are given, or why they are not; none if
    /// none is given.
    pub moves: Option<Result<Box<Move>, SqlError>>,
}

/// What happens to a statement over sharded tables that needs several targets.
#[derive(Clone, Debug, PartialEq)]
pub enum Many {
    /// A SELECT whose rows can be merged.
    Merge {
        /// How.
        merge: Box<Merge>,
        /// The text for each target, hidden columns included.
        text: Text,
        /// OFFSET and LIMIT.
        limit: Option<LimitSlots>,
    },
    /// A SELECT whose rows are gathered on one server.
    Gather(Box<Gather>),
    /// INSERT ... SELECT: its rows are read first, and then stored where they belong.
    Carry(Box<Carry>),
    /// UPDATE or DELETE: its subqueries are read first.
    Ahead(Box<Ahead>),
    /// UPDATE or DELETE: its rows are written by their keys, which are read first.
    Joined(Box<Joined>),
    /// A write whose parts add up, the same text on each target.
    Sum,
    /// UPDATE or DELETE with LIMIT: each target writes its share of the first rows.
    Limited(Box<Limited>),
    /// INSERT or REPLACE of several rows: each target gets its own by this text.
    Rows {
        /// The text, with a place for the rows.
        text: Text,
        /// Which of them MySQL's sentence calls duplicates.
        duplicates: Duplicates,
        /// A target gets its rows one by one: a server does not tell which of several it has returned.
        singly: bool,
    },
    /// Not answered: the reason, with the place.
    Refuse(SqlError),
}

impl Many {
    /// Whether the statement is done in several steps, even where it needs rows of one shard and others of another.
    fn has_steps(&self) -> bool {
        matches!(self, Many::Gather(_) | Many::Carry(_) | Many::Ahead(_) | Many::Joined(_))
    }
}

/// Which rows of an INSERT or REPLACE MySQL counts as duplicates of rows that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// Those that it leaves out or puts in their place.
    All,
    /// ON DUPLICATE KEY UPDATE: those that change one.
    Changing,
    /// The same with IGNORE: those that change none.
    Unchanging,
}

/// Where OFFSET and LIMIT stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSlots {
    /// OFFSET; none: 0.
    pub offset: Option<Slot>,
    /// LIMIT.
    pub count: Slot,
}

/// A plan bound to the values of one statement.
#[derive(Clone, Debug)]
pub struct Bound<'a> {
    /// Where it goes.
    pub route: Route,
    /// What becomes of the answers.
    pub answer: Answer<'a>,
    /// Which of the merged rows the client gets; none: all.
    pub window: Option<Window>,
    /// For a gather: where its rows are, and where they go.
    pub gathered: Option<Gathered<'a>>,
    /// For an UPDATE that gives rows the key of another shard: which, and where it is.
    pub moved: Option<Moved>,
    /// For an INSERT split by shard: the shard of each row in the statement's order.
    rows: Vec<u32>,
    /// For a statement about the catalogue: what its relations are replaced by.
    relations: Vec<String>,
    /// Which of the statement's texts is rendered.
    stage: Stage,
    planned: &'a Planned,
    rules: &'a RuleSet,
    sql: &'a [u8],
    scan: &'a Scan,
    args: &'a [Datum<'a>],
    ids: Ids<'a>,
}

/// A gather bound to the values of one statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered<'a> {
    /// The group where the statement runs.
    pub group: GroupId,
    /// The physical schema there that the copies are created in.
    pub schema: &'a str,
    /// For each source the targets that hold rows of it that matter; none if no row does.
    pub pulls: Vec<Vec<Target>>,
    /// For each source a target that has a table of its definition: on the group itself, if there is one.
    pub like: Vec<Target>,
}
