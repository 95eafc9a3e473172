//! Lookup tables: where the rows of a sharded table are, by a unique key without its sharding column. Which tables fit
//! each other is said here; which rows they have is for `session` to keep.

use crate::diagnostic::Place;
use crate::rules::ShardedTable;
use crate::rules::catalog::TableInfo;

/// A unique key of a sharded table that a table of its own keeps unique over all shards: a row for each value of the
/// key, with the sharding key of the row that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The columns of the unique key, in its order.
    pub columns: Vec<String>,
    /// The lookup table's logical name, as its own rule writes it; it is in the same schema.
    pub table: String,
    /// What it is used for.
    pub state: LookupState,
    /// Where the rule stands.
    pub place: Place,
}

/// What a lookup table is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupState {
    /// Writes keep it, and clients may fill it: it need not have all rows yet.
    Writing,
    /// It has all rows: statements go by it, and only the proxy writes to it.
    Reading,
}

/// How a lookup's table is made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The name of the owner's unique key.
    pub key: String,
    /// The lookup table's columns: those of the unique key, and behind them the sharding columns that are not among
    /// those.
    pub columns: Vec<String>,
}

impl Lookup {
    /// Whether the tables that the servers have can be an owner and its lookup.
    ///
    /// # Errors
    /// Why not, as the end of a sentence about the owner.
    pub fn fit(&self, owner: &ShardedTable, info: &TableInfo, lookup: &TableInfo) -> Result<Fit, String> {
        let listed = self.columns.join(", ");
        let Some(key) = named_key(info, &self.columns) else {
            let same_columns = |key: &&[String]| key.len() == self.columns.len() && self.is_within(key);
            return Err(match info.unique().find(same_columns) {
                Some(other) if info.is_partial(other) => {
                    format!("its unique key ({listed}) is over parts of its columns, which no lookup can stand for")
                }
                Some(other) => {
                    format!("its unique key is ({}): `columns` have to be in that order", other.join(", "))
                }
                None => format!("it has no unique key ({listed}) for lookup {}", self.table),
            });
        };
        let columns = self.columns_with(owner);
        for name in &columns {
            let Some((_, ours)) = info.column(name) else { return Err(format!("it has no column {name}")) };
            if let Err(why) = ours.key_kind() {
                return Err(format!("column {name} cannot be in lookup {}: it {why}", self.table));
            }
            let Some((_, theirs)) = lookup.column(name) else {
                return Err(format!("lookup {} has no column {name}", self.table));
            };
            if let Some(difference) = ours.value_difference(theirs) {
                return Err(format!("in lookup {} {difference}", self.table));
            }
        }
        if let Some(other) = lookup.columns.iter().find(|other| !columns.iter().any(|name| other.is_named(name))) {
            return Err(format!("lookup {} has a column {} that nothing fills", self.table, other.name));
        }
        if let Some(column) = lookup.auto_increment() {
            return Err(format!("lookup {} counts its column {} by itself", self.table, column.name));
        }
        if named_key(lookup, &self.columns).is_none() {
            return Err(format!("lookup {} needs the unique key ({listed})", self.table));
        }
        if let Some(other) = lookup.unique().find(|key| !self.is_within(key)) {
            return Err(format!("lookup {} has another unique key, ({})", self.table, other.join(", ")));
        }
        let own = info.foreign_keys.iter().find_map(|key| key.unseen(&columns));
        if let Some(clause) = own.or_else(|| lookup.foreign_keys.iter().find_map(|key| key.unseen(&key.columns))) {
            return Err(format!("{clause} of a foreign key changes rows of it, or of lookup {}, alone", self.table));
        }
        Ok(Fit { key: key.to_owned(), columns })
    }

    /// The columns of the lookup table: those of the unique key, and the sharding columns that are not among those.
    pub fn columns_with(&self, owner: &ShardedTable) -> Vec<String> {
        let new = |name: &&String| !self.columns.iter().any(|known| known.eq_ignore_ascii_case(name));
        self.columns.iter().chain(owner.columns.iter().filter(new)).cloned().collect()
    }

    /// CREATE TABLE of the lookup table, for the owner that the servers have; none if it lacks a column.
    pub fn definition(&self, owner: &ShardedTable, info: &TableInfo) -> Option<String> {
        let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
        let mut items = Vec::new();
        for name in self.columns_with(owner) {
            let (_, column) = info.column(&name)?;
            let collation = column.collation.as_ref().map_or(String::new(), |name| format!(" COLLATE {name}"));
            items.push(format!("{} {}{collation} NOT NULL", quoted(&column.name), column.ty));
        }
        let key: Vec<String> = self.columns.iter().map(|name| quoted(name)).collect();
        items.push(format!("PRIMARY KEY ({})", key.join(", ")));
        Some(format!("CREATE TABLE IF NOT EXISTS {} ({})", quoted(&self.table), items.join(", ")))
    }

    /// Whether a key has all the columns.
    fn is_within(&self, key: &[String]) -> bool {
        self.columns.iter().all(|name| key.iter().any(|part| part.eq_ignore_ascii_case(name)))
    }
}

/// The name of the unique key with just these columns in this order, whole ones.
fn named_key<'i>(info: &'i TableInfo, columns: &[String]) -> Option<&'i str> {
    let is =
        |key: &[String]| key.len() == columns.len() && key.iter().zip(columns).all(|(a, b)| a.eq_ignore_ascii_case(b));
    let whole = |name: &str| !info.partial_keys.contains(name);
    if is(&info.primary_key) && whole("PRIMARY") {
        return Some("PRIMARY");
    }
    info.unique_keys.iter().find(|(name, key)| is(key) && whole(name)).map(|(name, _)| name.as_str())
}
