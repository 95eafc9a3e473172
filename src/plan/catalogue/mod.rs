//! The catalogue as clients see it: what SHOW and information_schema tell of schemas and tables, by logical names.
//! It sends nothing and reads no answer.
//!
//! The client's statement runs on one server, with its own semantics. Every relation in it that would tell physical
//! names is replaced by a derived table: the server's own rows for its own schemas, and in VALUES the rows of the
//! logical tables, which were asked for before on all groups that have them.
//!
//! ```text
//! Catalogue --ask::questions--> SQL for each group --(exec)--> answers
//! answers   --rows::logical---> rows --inline::relation--> derived table --(render)--> the client's statement
//! ```

pub mod ask;
pub mod inline;
pub mod inventory;
pub mod list;
pub(super) mod reading;
pub mod relation;
pub mod rows;

use crate::plan::catalogue::list::List;
use crate::plan::catalogue::relation::Relation;
use crate::plan::slot::Slot;
use crate::plan::text::Text;
use crate::rules::GroupId;

/// A statement about the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    /// Where it runs.
    pub group: GroupId,
    /// The shard whose names the text has, where it names a sharded table.
    pub shard: Option<u32>,
    /// The text that runs.
    pub text: Text,
    /// The text without derived tables: it is never run, but prepared, since a server defines its columns as the client
    /// has to see them.
    pub original: Text,
    /// What [`crate::plan::text::Part::Relation`] stands for.
    pub relations: Box<[Wanted]>,
}

/// A relation that a statement reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Which.
    pub source: Source,
    /// Rows of these schemas suffice.
    pub schemas: Option<Box<[Value]>>,
    /// Rows of these tables suffice.
    pub tables: Option<Box<[Value]>>,
}

/// What rows come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A relation of information_schema.
    Relation(&'static Relation),
    /// A SHOW.
    List(List),
}

/// A name that a statement compares with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A literal or parameter.
    Slot(Slot),
    /// This.
    Text(Box<str>),
}

impl Source {
    /// What its rows are like.
    pub fn relation(&self) -> &'static Relation {
        match self {
            Source::Relation(relation) => relation,
            Source::List(list) => list.kind.relation(),
        }
    }
}

/// Schemas that belong to the server itself.
const SYSTEM: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// Whether a schema belongs to the server itself.
pub fn is_system_schema(name: &str) -> bool {
    SYSTEM.iter().any(|system| name.eq_ignore_ascii_case(system))
}

/// The schemas of the servers themselves that a user sees: without any privilege, two of them.
pub fn system_schemas(sees: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let open = ["information_schema", "performance_schema"];
    SYSTEM.into_iter().filter(|name| open.contains(name) || sees(name)).collect()
}

/// Whether rows of the schema or table `name` can be asked for by comparing with one of `values`. Collations differ
/// from server to server, so what is not plain ASCII may be.
pub fn may_equal(values: Option<&[String]>, name: &str) -> bool {
    let equal = |value: &String| {
        !value.is_ascii() || !name.is_ascii() || value.trim_end().eq_ignore_ascii_case(name.trim_end())
    };
    values.is_none_or(|values| values.iter().any(equal))
}
