//! Reads from the servers what their tables look like, and what a fresh session there is like. It decides
//! nothing; whether shards agree is for `check` and for scatter to find out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::cluster::Group;
use crate::backend::conn::{Answer, BackendError, Class, Conn, ServerInfo};
use crate::error::{Code, SqlError};
use crate::rules::catalog::{Catalog, ColumnInfo, ColumnType, ForeignKey, TableInfo};
use crate::rules::{GroupId, Placement, RuleSet};
use crate::sql::define::Action;

/// What a fresh session on a server is like.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// Collations by number: character set and name.
    pub collations: Vec<(u16, Box<str>, Box<str>)>,
    /// The server.
    pub server: Option<Arc<ServerInfo>>,
    /// Its default sql_mode.
    pub sql_mode: String,
}

const CLASS: Class = Class { deprecate_eof: true, found_rows: false };

/// Reads the defaults from the first group whose primary answers.
///
/// # Errors
/// That of the last group asked, if none answers.
pub async fn defaults(groups: &[Arc<Group>]) -> Result<Defaults, SqlError> {
    let mut failed = None;
    for group in groups {
        match defaults_of(group).await {
            Ok(defaults) => return Ok(defaults),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or_else(|| Ok(Defaults::default()), Err)
}

async fn defaults_of(group: &Group) -> Result<Defaults, SqlError> {
    let server = group.primary().await?;
    let mut conn = server.connect(CLASS).await?;
    let told = |error: BackendError| error.to_client(&server.name);
    let modes = conn.query("SELECT @@global.sql_mode").await.map_err(told)?;
    let list = "SELECT ID, CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLLATIONS \
                WHERE ID IS NOT NULL ORDER BY ID";
    let list = conn.query(list).await.map_err(told)?;
    let collations = (0..list.rows.len())
        .filter_map(|row| {
            let number = list.text(row, 0)?.parse().ok()?;
            Some((number, list.text(row, 1)?.into(), list.text(row, 2)?.into()))
        })
        .collect();
    Ok(Defaults { collations, server: Some(conn.info.clone()), sql_mode: modes.text(0, 0).unwrap_or_default() })
}

/// Reads all tables that rules name: a sharded one from its first shard, a broadcast one from the first
/// group, all other tables of a schema from its home. Tables that are missing there are left out.
pub async fn catalog(rules: &RuleSet, groups: &[Arc<Group>]) -> Result<Catalog, SqlError> {
    let mut catalog = Catalog::default();
    let mut places: BTreeMap<(GroupId, String), Vec<Wanted<'_>>> = BTreeMap::new();
    for schema in rules.schemas() {
        // Every table of the home: unqualified columns of joins with single tables must be found, too.
        places.entry((schema.home, schema.physical(schema.home).to_owned())).or_default().push(Wanted {
            schema: &schema.name,
            logical: None,
            physical: String::new(),
        });
        for (name, placement) in schema.tables() {
            let (group, physical_schema, physical) = match placement {
                Placement::Sharded(table) => {
                    let Some(family) = rules.family(table.family) else { continue };
                    let first = table.physical(0);
                    (family.home(0), first.schema.clone(), first.table.clone())
                }
                Placement::Broadcast => (GroupId(0), schema.physical(GroupId(0)).to_owned(), name.to_owned()),
                Placement::Single(group) => (group, schema.physical(group).to_owned(), name.to_owned()),
            };
            places.entry((group, physical_schema)).or_default().push(Wanted {
                schema: &schema.name,
                logical: Some(name),
                physical,
            });
        }
    }
    for ((group, physical_schema), wanted) in places {
        let Some(group) = groups.get(usize::from(group.0)) else { continue };
        let server = group.primary().await?;
        let mut conn = server.connect(CLASS).await?;
        let found = tables(&mut conn, &physical_schema).await.map_err(|error| error.to_client(&server.name))?;
        for wanted in wanted {
            match wanted.logical {
                Some(logical) => {
                    if let Some((_, info)) = found.iter().find(|(name, _)| name.eq_ignore_ascii_case(&wanted.physical))
                    {
                        catalog.insert(wanted.schema, logical, info.clone());
                    }
                }
                None => {
                    let rule = rules.schema(wanted.schema);
                    for (name, info) in &found {
                        let is_single = rule.is_some_and(|schema| matches!(schema.table(name), Placement::Single(_)));
                        if is_single && catalog.table(wanted.schema, name).is_none() {
                            catalog.insert(wanted.schema, name, info.clone());
                        }
                    }
                }
            }
        }
    }
    Ok(catalog)
}

/// A table to be looked for in a physical schema; without a logical name: all that rules do not name.
struct Wanted<'a> {
    schema: &'a str,
    logical: Option<&'a str>,
    physical: String,
}

/// All tables of a physical schema.
pub async fn tables(conn: &mut Conn, schema: &str) -> Result<Vec<(String, Arc<TableInfo>)>, BackendError> {
    let schema = format!("'{}'", schema.replace('\\', "\\\\").replace('\'', "''"));
    let kinds = conn
        .query(&format!(
            "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema} ORDER BY TABLE_NAME"
        ))
        .await?;
    let columns = conn
        .query(&format!(
            "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLLATION_NAME, COLUMN_DEFAULT, EXTRA \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {schema} ORDER BY TABLE_NAME, ORDINAL_POSITION"
        ))
        .await?;
    let keys = conn
        .query(&format!(
            "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = {schema} ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
        ))
        .await?;
    let foreign_keys = foreign_keys(conn, &schema).await?;
    let mut found: BTreeMap<String, TableInfo> = BTreeMap::new();
    for row in 0..kinds.rows.len() {
        let (Some(name), Some(kind)) = (kinds.text(row, 0), kinds.text(row, 1)) else { continue };
        found.insert(name, TableInfo { view: kind.contains("VIEW"), ..TableInfo::default() });
    }
    for row in 0..columns.rows.len() {
        if let Some((name, column)) = column(&columns, row)
            && let Some(table) = found.get_mut(&name)
        {
            table.columns.push(column);
        }
    }
    for row in 0..keys.rows.len() {
        let (Some(table), Some(index), Some(non_unique)) = (keys.text(row, 0), keys.text(row, 1), keys.text(row, 2))
        else {
            continue;
        };
        let Some(table) = found.get_mut(&table) else { continue };
        add_key(table, index, non_unique == "0", keys.text(row, 3), keys.text(row, 4).is_some());
    }
    for (table, key) in foreign_keys {
        if let Some(table) = found.get_mut(&table) {
            table.foreign_keys.push(key);
        }
    }
    Ok(found.into_iter().map(|(name, info)| (name, Arc::new(info))).collect())
}

/// Adds a part of a key: a column, or the beginning of one.
fn add_key(table: &mut TableInfo, index: String, unique: bool, column: Option<String>, begins: bool) {
    // A key over an expression has no column: it can serve nothing that planning asks.
    let column = column.unwrap_or_default();
    if column.is_empty() || begins {
        table.partial_keys.insert(index.clone());
    }
    match (index.as_str(), unique) {
        ("PRIMARY", _) => table.primary_key.push(column),
        (_, true) => table.unique_keys.entry(index).or_default().push(column),
        (_, false) => table.other_keys.entry(index).or_default().push(column),
    }
}

/// The foreign keys of a schema, a quoted name, that do more than refuse, each with its table.
async fn foreign_keys(conn: &mut Conn, schema: &str) -> Result<Vec<(String, ForeignKey)>, BackendError> {
    let rules = conn
        .query(&format!(
            "SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_NAME, DELETE_RULE, UPDATE_RULE \
             FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = {schema} \
             AND NOT (DELETE_RULE IN ('RESTRICT', 'NO ACTION') AND UPDATE_RULE IN ('RESTRICT', 'NO ACTION')) \
             ORDER BY TABLE_NAME, CONSTRAINT_NAME"
        ))
        .await?;
    if rules.rows.is_empty() {
        return Ok(Vec::new());
    }
    let columns = conn
        .query(&format!(
            "SELECT CONSTRAINT_NAME, TABLE_NAME, COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE \
             WHERE CONSTRAINT_SCHEMA = {schema} AND REFERENCED_TABLE_NAME IS NOT NULL \
             ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION"
        ))
        .await?;
    let action = |rule: Option<String>| match rule.as_deref() {
        Some("CASCADE") => Action::Cascade,
        Some("SET NULL" | "SET DEFAULT") => Action::SetNull,
        _ => Action::Restrict,
    };
    let found = (0..rules.rows.len()).filter_map(|row| {
        let (name, table) = (rules.text(row, 0), rules.text(row, 1));
        let of = |row: &usize| columns.text(*row, 0) == name && columns.text(*row, 1) == table;
        let key = ForeignKey {
            columns: (0..columns.rows.len()).filter(of).filter_map(|row| columns.text(row, 2)).collect(),
            parent: rules.text(row, 2)?,
            on_delete: action(rules.text(row, 3)),
            on_update: action(rules.text(row, 4)),
        };
        Some((table?, key))
    });
    Ok(found.collect())
}

/// The columns and keys of a temporary table, which only SHOW knows, as `schema`.`table`.
///
/// # Errors
/// The server's; 1105 if it tells of a column what cannot be read.
pub async fn temporary(conn: &mut Conn, name: &str) -> Result<TableInfo, BackendError> {
    let told = conn.query(&format!("SHOW FULL COLUMNS FROM {name}")).await?;
    let column = |row: usize| {
        let extra = told.text(row, 6).unwrap_or_default().to_ascii_uppercase();
        Some(ColumnInfo {
            name: told.text(row, 0)?,
            ty: ColumnType::parse(&told.text(row, 1)?),
            collation: told.text(row, 2),
            nullable: told.text(row, 3).as_deref() == Some("YES"),
            default: told.text(row, 5),
            ..described(&extra)
        })
    };
    let columns: Option<Vec<ColumnInfo>> = (0..told.rows.len()).map(column).collect();
    let unread = || BackendError::Server(SqlError::new(Code::Unknown, "a column of a temporary table is not known"));
    let mut table = TableInfo { columns: columns.ok_or_else(unread)?, temporary: true, ..TableInfo::default() };
    let keys = conn.query(&format!("SHOW INDEX FROM {name}")).await?;
    for row in 0..keys.rows.len() {
        let (Some(index), Some(non_unique)) = (keys.text(row, 2), keys.text(row, 1)) else { continue };
        add_key(&mut table, index, non_unique == "0", keys.text(row, 4), keys.text(row, 7).is_some());
    }
    Ok(table)
}

/// What EXTRA says of a column, in upper case.
fn described(extra: &str) -> ColumnInfo {
    ColumnInfo {
        name: String::new(),
        ty: ColumnType::Json,
        nullable: true,
        collation: None,
        default: None,
        auto_increment: extra.contains("AUTO_INCREMENT"),
        // DEFAULT_GENERATED only says that the default is an expression.
        generated: extra.contains("VIRTUAL") || extra.contains("STORED") || extra.contains("PERSISTENT"),
        touched: extra.contains("ON UPDATE"),
        invisible: extra.contains("INVISIBLE"),
    }
}

fn column(columns: &Answer, row: usize) -> Option<(String, ColumnInfo)> {
    let extra = columns.text(row, 6).unwrap_or_default().to_ascii_uppercase();
    let info = ColumnInfo {
        name: columns.text(row, 1)?,
        ty: ColumnType::parse(&columns.text(row, 2)?),
        nullable: columns.text(row, 3).as_deref() == Some("YES"),
        collation: columns.text(row, 4),
        default: columns.text(row, 5),
        ..described(&extra)
    };
    Some((columns.text(row, 0)?, info))
}
