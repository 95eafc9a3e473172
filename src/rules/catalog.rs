//! What the servers say of the tables: columns, types, keys. Filled by whoever asks them; pure data here.
//! It also tells in words how a table on one target differs from the same table on another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::sql::define::Action;
use crate::value::KeyKind;
use crate::value::collation::{Collation, Rule};

/// Tables by their logical schema and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// By lower-case names, as the rules look names up.
    schemas: HashMap<String, HashMap<String, Arc<TableInfo>>>,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableInfo {
    /// Its columns in their order, invisible ones included.
    pub columns: Vec<ColumnInfo>,
    /// The columns of the primary key, empty if there is none.
    pub primary_key: Vec<String>,
    /// The columns of every other unique key, by its name.
    pub unique_keys: BTreeMap<String, Vec<String>>,
    /// The columns of every other key, by its name.
    pub other_keys: BTreeMap<String, Vec<String>>,
    /// The names of the keys (`PRIMARY` too) over the beginnings of columns, or over expressions.
    pub partial_keys: BTreeSet<String>,
    /// Those of its foreign keys that do more than refuse.
    pub foreign_keys: Vec<ForeignKey>,
    /// It is a view.
    pub view: bool,
    /// It is a temporary table of the session at hand, which one connection sees.
    pub temporary: bool,
}

/// A foreign key, as far as a server changes rows by it that no statement names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// The columns that refer.
    pub columns: Vec<String>,
    /// The table that they refer to, by the name that the server knows.
    pub parent: String,
    /// What becomes of rows whose parent goes.
    pub on_delete: Action,
    /// What becomes of rows whose parent gets another key.
    pub on_update: Action,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: ColumnType,
    /// It may be NULL.
    pub nullable: bool,
    /// The collation of its texts, such as `utf8mb4_0900_ai_ci`.
    pub collation: Option<String>,
    /// Its default as information_schema shows it; none if there is none.
    pub default: Option<String>,
    /// AUTO_INCREMENT.
    pub auto_increment: bool,
    /// It is computed from others.
    pub generated: bool,
    /// ON UPDATE CURRENT_TIMESTAMP: it changes with any other column.
    pub touched: bool,
    /// `SELECT *` leaves it out.
    pub invisible: bool,
}

/// A column's type, as far as its values go: an integer's display width is no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// TINYINT to BIGINT.
    Int {
        /// 8, 16, 24, 32 or 64.
        bits: u8,
        /// UNSIGNED.
        unsigned: bool,
        /// ZEROFILL, with the width it fills to.
        zerofill: Option<u16>,
    },
    /// DECIMAL.
    Decimal {
        /// Digits.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
        /// UNSIGNED.
        unsigned: bool,
    },
    /// FLOAT, or DOUBLE with 64 bits.
    Float {
        /// 32 or 64.
        bits: u8,
        /// UNSIGNED.
        unsigned: bool,
    },
    /// BIT, of so many bits.
    Bit(u8),
    /// YEAR.
    Year,
    /// DATE.
    Date,
    /// TIME with so many digits behind the second.
    Time(u8),
    /// DATETIME, likewise.
    DateTime(u8),
    /// TIMESTAMP, likewise.
    Timestamp(u8),
    /// CHAR of so many characters.
    Char(u32),
    /// VARCHAR of at most so many characters.
    Varchar(u32),
    /// TINYTEXT to LONGTEXT, of at most so many bytes.
    Text(u32),
    /// BINARY of so many bytes.
    Binary(u32),
    /// VARBINARY of at most so many bytes.
    Varbinary(u32),
    /// TINYBLOB to LONGBLOB, of at most so many bytes.
    Blob(u32),
    /// ENUM with its texts.
    Enum(Vec<String>),
    /// SET with its texts.
    Set(Vec<String>),
    /// JSON.
    Json,
    /// MariaDB's UUID.
    Uuid,
    /// Any other, as the server writes it.
    Other(String),
}

/// The spatial types.
const SHAPES: &[&str] = &[
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
];

impl ColumnType {
    /// Whether its values are spatial: a server gives them as its own bytes, and takes those.
    pub fn is_spatial(&self) -> bool {
        matches!(self, ColumnType::Other(name) if SHAPES.contains(&name.to_ascii_lowercase().as_str()))
    }
}

impl Catalog {
    /// The table of this logical name, without case.
    pub fn table(&self, schema: &str, table: &str) -> Option<&Arc<TableInfo>> {
        self.schemas.get(&schema.to_lowercase())?.get(&table.to_lowercase())
    }

    /// Adds a table, or replaces it.
    pub fn insert(&mut self, schema: &str, table: &str, info: Arc<TableInfo>) {
        self.schemas.entry(schema.to_lowercase()).or_default().insert(table.to_lowercase(), info);
    }

    /// Takes a table out, when it has been dropped.
    pub fn remove(&mut self, schema: &str, table: &str) {
        if let Some(tables) = self.schemas.get_mut(&schema.to_lowercase()) {
            tables.remove(&table.to_lowercase());
        }
    }
}

impl TableInfo {
    /// Place and description of a column; names of columns are never told apart by case.
    pub fn column(&self, name: &str) -> Option<(usize, &ColumnInfo)> {
        self.columns.iter().enumerate().find(|(_, column)| same_name(&column.name, name))
    }

    /// The columns that `SELECT *` shows, and INSERT without a list fills.
    pub fn visible(&self) -> impl Iterator<Item = &ColumnInfo> {
        self.columns.iter().filter(|column| !column.invisible)
    }

    /// The AUTO_INCREMENT column.
    pub fn auto_increment(&self) -> Option<&ColumnInfo> {
        self.columns.iter().find(|column| column.auto_increment)
    }

    /// Every unique key, the primary one first.
    pub fn unique(&self) -> impl Iterator<Item = &[String]> {
        let primary = (!self.primary_key.is_empty()).then_some(&self.primary_key);
        primary.into_iter().chain(self.unique_keys.values()).map(Vec::as_slice)
    }

    /// Whether a unique key with these columns is over the beginnings of some.
    pub fn is_partial(&self, columns: &[String]) -> bool {
        let partial = |name: &String| match name.as_str() {
            "PRIMARY" => self.primary_key == columns,
            name => self.unique_keys.get(name).is_some_and(|key| key == columns),
        };
        self.partial_keys.iter().any(partial)
    }

    /// How `other` differs in what a row is: names, order, types and collations of the columns. Rows of two tables
    /// that differ so cannot be merged.
    pub fn row_differences(&self, other: &TableInfo) -> Vec<String> {
        let mut found = Vec::new();
        for column in &self.columns {
            match other.column(&column.name) {
                None => found.push(format!("column `{}` is missing", column.name)),
                Some((_, theirs)) => found.extend(column.row_differences(theirs)),
            }
        }
        for theirs in &other.columns {
            if self.column(&theirs.name).is_none() {
                found.push(format!("column `{}` is too many", theirs.name));
            }
        }
        if found.is_empty() {
            let pairs = self.columns.iter().zip(&other.columns);
            if let Some((ours, theirs)) = pairs.into_iter().find(|(a, b)| !same_name(&a.name, &b.name)) {
                found.push(format!("column `{}` stands where `{}` should be", theirs.name, ours.name));
            }
        }
        found
    }

    /// How `other` differs in any way that statements may notice, in words that speak of `other`.
    pub fn differences(&self, other: &TableInfo) -> Vec<String> {
        if self.view != other.view {
            return vec![if other.view { "it is a view" } else { "it is no view" }.to_owned()];
        }
        let mut found = self.row_differences(other);
        for column in &self.columns {
            if let Some((_, theirs)) = other.column(&column.name) {
                found.extend(column.other_differences(theirs));
            }
        }
        if !same_names(&self.primary_key, &other.primary_key) {
            let (theirs, ours) = (names(&other.primary_key), names(&self.primary_key));
            found.push(format!("the primary key is {theirs}, not {ours}"));
        }
        key_differences("unique key", &self.unique_keys, &other.unique_keys, &mut found);
        for name in self.partial_keys.symmetric_difference(&other.partial_keys) {
            found.push(format!("key `{name}` is over other parts of its columns"));
        }
        key_differences("key", &self.other_keys, &other.other_keys, &mut found);
        found
    }
}

fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!a.is_ascii() && a.to_lowercase() == b.to_lowercase())
}

fn same_names(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_name(a, b))
}

fn names(columns: &[String]) -> String {
    if columns.is_empty() { "none".to_owned() } else { format!("({})", columns.join(", ")) }
}

fn key_differences(
    what: &str,
    ours: &BTreeMap<String, Vec<String>>,
    theirs: &BTreeMap<String, Vec<String>>,
    found: &mut Vec<String>,
) {
    for (name, columns) in ours {
        match theirs.get(name) {
            None => found.push(format!("{what} `{name}` is missing")),
            Some(others) if !same_names(columns, others) => {
                found.push(format!("{what} `{name}` is {}, not {}", names(others), names(columns)));
            }
            Some(_) => {}
        }
    }
    found.extend(
        theirs.keys().filter(|name| !ours.contains_key(*name)).map(|name| format!("{what} `{name}` is too many")),
    );
}

impl ForeignKey {
    /// The clause by which rows go, or get other values for these columns, unseen by whoever reads statements.
    pub fn unseen(&self, columns: &[String]) -> Option<&'static str> {
        match self.on_delete {
            Action::Cascade => Some("ON DELETE CASCADE"),
            _ => self.changes(columns),
        }
    }

    /// The clause by which rows that stay get other values for these columns.
    pub fn changes(&self, columns: &[String]) -> Option<&'static str> {
        let concerned = self.columns.iter().any(|name| columns.iter().any(|column| same_name(name, column)));
        match (self.on_delete, self.on_update) {
            _ if !concerned => None,
            (Action::SetNull, _) => Some("ON DELETE SET NULL"),
            (_, Action::SetNull) => Some("ON UPDATE SET NULL"),
            (_, Action::Cascade) => Some("ON UPDATE CASCADE"),
            (_, Action::Restrict) => None,
        }
    }
}

impl ColumnInfo {
    /// A column that may be NULL and has nothing but its type, such as `decimal(10,2)`.
    pub fn of_type(name: &str, ty: &str) -> ColumnInfo {
        ColumnInfo {
            name: name.to_owned(),
            ty: ColumnType::parse(ty),
            nullable: true,
            collation: None,
            default: None,
            auto_increment: false,
            generated: false,
            touched: false,
            invisible: false,
        }
    }

    /// Whether it has this name.
    pub fn is_named(&self, name: &str) -> bool {
        same_name(&self.name, name)
    }

    /// How the values of another column differ: its type or its collation.
    pub fn value_difference(&self, other: &ColumnInfo) -> Option<String> {
        self.row_differences(other)
            .into_iter()
            .next()
            .filter(|_| self.ty != other.ty || self.collation != other.collation)
    }

    fn row_differences(&self, other: &ColumnInfo) -> Vec<String> {
        let mut found = Vec::new();
        let name = &self.name;
        if self.ty != other.ty {
            found.push(format!("column `{name}` is {}, not {}", other.ty, self.ty));
        } else if self.collation != other.collation {
            let show = |collation: &Option<String>| collation.clone().unwrap_or_else(|| "none".to_owned());
            found.push(format!(
                "column `{name}` has the collation {}, not {}",
                show(&other.collation),
                show(&self.collation)
            ));
        }
        if self.invisible != other.invisible {
            found.push(format!("column `{name}` is {}", if other.invisible { "invisible" } else { "visible" }));
        }
        found
    }

    fn other_differences(&self, other: &ColumnInfo) -> Vec<String> {
        let name = &self.name;
        let flag = |ours: bool, theirs: bool, yes: &str, no: &str| {
            (ours != theirs).then(|| format!("column `{name}` is {}", if theirs { yes } else { no }))
        };
        let default = (self.default != other.default && !self.generated).then(|| {
            let show =
                |default: &Option<String>| default.as_ref().map_or("none".to_owned(), |text| format!("{text:?}"));
            format!("column `{name}` has the default {}, not {}", show(&other.default), show(&self.default))
        });
        [
            flag(self.nullable, other.nullable, "nullable", "NOT NULL"),
            flag(self.auto_increment, other.auto_increment, "AUTO_INCREMENT", "not AUTO_INCREMENT"),
            flag(self.generated, other.generated, "generated", "not generated"),
            default,
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What kind of sharding key the column can be; else why it cannot be one, as the end of a sentence.
    pub fn key_kind(&self) -> Result<KeyKind, String> {
        let collation = || Collation::by_name(self.collation.as_deref().unwrap_or_default());
        let text = |chars: u32, fixed: bool| match collation() {
            Collation { rule: Rule::Unknown, .. } => Err(format!(
                "has the collation {}, whose equality is not known here; give it a _bin collation",
                self.collation.as_deref().unwrap_or("?")
            )),
            collation => Ok(KeyKind::Str { collation, chars, fixed }),
        };
        if self.generated {
            return Err("is generated: an INSERT does not say its value".to_owned());
        }
        if self.touched {
            return Err("has ON UPDATE CURRENT_TIMESTAMP: an UPDATE of other columns changes it, too".to_owned());
        }
        match &self.ty {
            ColumnType::Int { bits, unsigned, .. } => Ok(KeyKind::Int { unsigned: *unsigned, bits: *bits }),
            ColumnType::Decimal { precision, scale, unsigned } => {
                Ok(KeyKind::Decimal { precision: *precision, scale: *scale, unsigned: *unsigned })
            }
            ColumnType::Char(chars) => text(*chars, true),
            ColumnType::Varchar(chars) => text(*chars, false),
            // A character has at most four bytes.
            ColumnType::Text(bytes) => text(bytes / 4, false),
            ColumnType::Binary(length) => Ok(KeyKind::Bytes { length: *length, fixed: true }),
            ColumnType::Varbinary(length) | ColumnType::Blob(length) => {
                Ok(KeyKind::Bytes { length: *length, fixed: false })
            }
            ColumnType::Date => Ok(KeyKind::Date),
            ColumnType::DateTime(fsp) => Ok(KeyKind::DateTime { fsp: *fsp }),
            ColumnType::Year => Ok(KeyKind::Year),
            ColumnType::Uuid => Ok(KeyKind::Uuid),
            ColumnType::Timestamp(_) => {
                Err("is a TIMESTAMP, whose text depends on the session's time zone; use DATETIME".to_owned())
            }
            ColumnType::Float { .. } => Err("is not exact; use DECIMAL or an integer".to_owned()),
            other => Err(format!("is {other}, which cannot be a sharding key")),
        }
    }
}

impl ColumnType {
    /// From `information_schema.COLUMNS.COLUMN_TYPE`, such as `int(11) unsigned` or `enum('a','b')`.
    pub fn parse(text: &str) -> ColumnType {
        let lower = text.to_ascii_lowercase();
        let end = lower.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(lower.len());
        let (name, rest) = lower.split_at(end);
        let (arguments, attributes) = arguments(rest);
        let number = |at: usize| arguments.get(at).and_then(|argument| argument.parse::<u32>().ok());
        let fsp = || number(0).unwrap_or(0) as u8;
        let unsigned = attributes.contains("unsigned");
        let int = |bits: u8| ColumnType::Int {
            bits,
            unsigned,
            zerofill: attributes.contains("zerofill").then(|| number(0).unwrap_or(0) as u16),
        };
        match name {
            "tinyint" | "bool" | "boolean" => int(8),
            "smallint" => int(16),
            "mediumint" => int(24),
            "int" | "integer" => int(32),
            "bigint" => int(64),
            "decimal" | "numeric" => ColumnType::Decimal {
                precision: number(0).unwrap_or(10) as u8,
                scale: number(1).unwrap_or(0) as u8,
                unsigned,
            },
            "float" => ColumnType::Float { bits: 32, unsigned },
            "double" | "real" => ColumnType::Float { bits: 64, unsigned },
            "bit" => ColumnType::Bit(number(0).unwrap_or(1) as u8),
            "year" => ColumnType::Year,
            "date" => ColumnType::Date,
            "time" => ColumnType::Time(fsp()),
            "datetime" => ColumnType::DateTime(fsp()),
            "timestamp" => ColumnType::Timestamp(fsp()),
            "char" => ColumnType::Char(number(0).unwrap_or(1)),
            "varchar" => ColumnType::Varchar(number(0).unwrap_or(0)),
            "tinytext" => ColumnType::Text(0xFF),
            "text" => ColumnType::Text(0xFFFF),
            "mediumtext" => ColumnType::Text(0xFF_FFFF),
            "longtext" => ColumnType::Text(u32::MAX),
            "binary" => ColumnType::Binary(number(0).unwrap_or(1)),
            "varbinary" => ColumnType::Varbinary(number(0).unwrap_or(0)),
            "tinyblob" => ColumnType::Blob(0xFF),
            "blob" => ColumnType::Blob(0xFFFF),
            "mediumblob" => ColumnType::Blob(0xFF_FFFF),
            "longblob" => ColumnType::Blob(u32::MAX),
            // Their texts keep their case.
            "enum" => ColumnType::Enum(texts(&text[end..])),
            "set" => ColumnType::Set(texts(&text[end..])),
            "json" => ColumnType::Json,
            "uuid" => ColumnType::Uuid,
            _ => ColumnType::Other(text.to_owned()),
        }
    }
}

/// `(10,2) unsigned` as arguments and what stands behind them.
fn arguments(text: &str) -> (Vec<&str>, &str) {
    match text.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((inside, behind)) => (inside.split(',').map(str::trim).collect(), behind),
        None => (Vec::new(), text),
    }
}

/// The texts of `('a','it''s')`.
fn texts(list: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = list;
    while let Some((_, body)) = rest.split_once('\'') {
        let mut text = String::new();
        rest = body;
        while let Some((before, behind)) = rest.split_once('\'') {
            text.push_str(before);
            match behind.strip_prefix('\'') {
                Some(more) => {
                    text.push('\'');
                    rest = more;
                }
                None => {
                    rest = behind;
                    break;
                }
            }
        }
        out.push(text);
    }
    out
}

/// As MySQL 8.4 writes it.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |unsigned: bool| if unsigned { " unsigned" } else { "" };
        let fsp = |name: &str, digits: u8| if digits == 0 { name.to_owned() } else { format!("{name}({digits})") };
        let sized = |names: [&'static str; 4], size: u32| match size {
            0xFF => names[0],
            0xFFFF => names[1],
            0xFF_FFFF => names[2],
            _ => names[3],
        };
        let list = |texts: &[String]| {
            texts.iter().map(|text| format!("'{}'", text.replace('\'', "''"))).collect::<Vec<_>>().join(",")
        };
        match self {
            ColumnType::Int { bits, unsigned, zerofill } => {
                f.write_str(match bits {
                    8 => "tinyint",
                    16 => "smallint",
                    24 => "mediumint",
                    32 => "int",
                    _ => "bigint",
                })?;
                match zerofill {
                    Some(width) => write!(f, "({width}) unsigned zerofill"),
                    None => f.write_str(sign(*unsigned)),
                }
            }
            ColumnType::Decimal { precision, scale, unsigned } => {
                write!(f, "decimal({precision},{scale}){}", sign(*unsigned))
            }
            ColumnType::Float { bits, unsigned } => {
                write!(f, "{}{}", if *bits == 32 { "float" } else { "double" }, sign(*unsigned))
            }
            ColumnType::Bit(bits) => write!(f, "bit({bits})"),
            ColumnType::Year => f.write_str("year"),
            ColumnType::Date => f.write_str("date"),
            ColumnType::Time(digits) => f.write_str(&fsp("time", *digits)),
            ColumnType::DateTime(digits) => f.write_str(&fsp("datetime", *digits)),
            ColumnType::Timestamp(digits) => f.write_str(&fsp("timestamp", *digits)),
            ColumnType::Char(chars) => write!(f, "char({chars})"),
            ColumnType::Varchar(chars) => write!(f, "varchar({chars})"),
            ColumnType::Binary(length) => write!(f, "binary({length})"),
            ColumnType::Varbinary(length) => write!(f, "varbinary({length})"),
            ColumnType::Text(size) => f.write_str(sized(["tinytext", "text", "mediumtext", "longtext"], *size)),
            ColumnType::Blob(size) => f.write_str(sized(["tinyblob", "blob", "mediumblob", "longblob"], *size)),
            ColumnType::Enum(texts) => write!(f, "enum({})", list(texts)),
            ColumnType::Set(texts) => write!(f, "set({})", list(texts)),
            ColumnType::Json => f.write_str("json"),
            ColumnType::Uuid => f.write_str("uuid"),
            ColumnType::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, ty: &str) -> ColumnInfo {
        let collation = ty.contains("char").then(|| "utf8mb4_bin".to_owned());
        ColumnInfo { nullable: false, collation, ..ColumnInfo::of_type(name, ty) }
    }

    fn table(columns: &[(&str, &str)]) -> TableInfo {
        let columns = columns.iter().map(|(name, ty)| column(name, ty)).collect();
        TableInfo { columns, primary_key: vec!["id".into()], ..TableInfo::default() }
    }

    #[test]
    fn types_are_read_as_both_servers_write_them() {
        for (text, expected) in [
            ("int(11)", "int"),
            ("int", "int"),
            ("bigint(20) unsigned", "bigint unsigned"),
            ("int(5) unsigned zerofill", "int(5) unsigned zerofill"),
            ("tinyint(1)", "tinyint"),
            ("decimal(10,2) unsigned", "decimal(10,2) unsigned"),
            ("double(7,3)", "double"),
            ("varchar(255)", "varchar(255)"),
            ("datetime(6)", "datetime(6)"),
            ("timestamp", "timestamp"),
            ("year(4)", "year"),
            ("enum('a','it''s','x,y)','D')", "enum('a','it''s','x,y)','D')"),
            ("set('')", "set('')"),
            ("mediumtext", "mediumtext"),
            ("longblob", "longblob"),
            ("geometry", "geometry"),
            ("inet6", "inet6"),
            ("bit(3)", "bit(3)"),
        ] {
            assert_eq!(ColumnType::parse(text).to_string(), expected);
            assert_eq!(ColumnType::parse(expected), ColumnType::parse(text));
        }
        assert_eq!(ColumnType::parse("enum('a','it''s')"), ColumnType::Enum(vec!["a".into(), "it's".into()]));
    }

    #[test]
    fn what_changes_by_itself_is_no_key() {
        let mut updated = column("updated", "datetime");
        assert!(updated.key_kind().is_ok());
        updated.touched = true;
        assert!(updated.key_kind().is_err_and(|why| why.contains("ON UPDATE CURRENT_TIMESTAMP")));
    }

    #[test]
    fn names_are_found_without_case() {
        let mut catalog = Catalog::default();
        catalog.insert("Shop", "Users", Arc::new(table(&[("Id", "int")])));
        let found = catalog.table("shop", "USERS").and_then(|table| table.column("ID"));
        assert_eq!(found.map(|(at, column)| (at, column.name.as_str())), Some((0, "Id")));
        catalog.remove("SHOP", "users");
        assert_eq!(catalog.table("shop", "users"), None);
    }

    #[test]
    fn differences_in_words() {
        let ours = table(&[("id", "bigint"), ("name", "varchar(10)"), ("at", "datetime")]);
        let mut theirs = table(&[("ID", "bigint(20)"), ("name", "varchar(10)"), ("at", "datetime")]);
        assert_eq!(ours.differences(&theirs), Vec::<String>::new());
        theirs.columns[1].collation = Some("utf8mb4_0900_ai_ci".into());
        theirs.columns[1].nullable = true;
        theirs.columns[2] = column("at", "datetime(3)");
        theirs.columns.push(column("extra", "int"));
        theirs.primary_key = vec!["id".into(), "name".into()];
        theirs.unique_keys.insert("by_name".into(), vec!["name".into()]);
        assert_eq!(
            ours.differences(&theirs),
            [
                "column `name` has the collation utf8mb4_0900_ai_ci, not utf8mb4_bin",
                "column `at` is datetime(3), not datetime",
                "column `extra` is too many",
                "column `name` is nullable",
                "the primary key is (id, name), not (id)",
                "unique key `by_name` is too many",
            ]
        );
        let swapped = table(&[("name", "varchar(10)"), ("id", "bigint"), ("at", "datetime")]);
        assert_eq!(ours.row_differences(&swapped), ["column `name` stands where `id` should be"]);
    }

    #[test]
    fn which_columns_can_be_keys() {
        let why = |ty: &str| column("k", ty).key_kind().err();
        assert_eq!(why("bigint unsigned"), None);
        assert_eq!(why("varchar(20)"), None);
        assert_eq!(why("binary(16)"), None);
        assert_eq!(why("datetime(3)"), None);
        assert!(why("timestamp").is_some_and(|why| why.contains("time zone")));
        assert!(why("double").is_some_and(|why| why.contains("not exact")));
        assert!(why("enum('a')").is_some_and(|why| why.contains("enum('a')")));
        assert!(why("json").is_some());
    }
}
