//! Rows about physical tables become rows about logical ones: told by their logical names, shards folded into one.
//! It asks nobody, and it does not know what becomes of the rows.

use std::collections::HashMap;

use crate::plan::catalogue::inventory::{Inventory, Owned};
use crate::plan::catalogue::relation::{Fold, Owner, Relation, Told};
use crate::rules::{GroupId, constraint};

/// A row: cells as the text protocol has them, in UTF-8.
pub type Row = Vec<Option<Vec<u8>>>;

/// What one server tells. In front of the relation's columns stand two more: the physical schema and the physical table
/// that a row belongs to, NULL where it is of a schema.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// The server's group.
    pub group: GroupId,
    /// The names of the columns.
    pub columns: &'a [String],
    /// The rows.
    pub rows: Vec<Row>,
}

/// The rows that a client sees, without the two columns in front, ordered by schema and table; rows of one table in the
/// order in which its server told them.
pub fn logical(relation: &Relation, inventory: &Inventory<'_>, answers: Vec<Answer<'_>>) -> Vec<Row> {
    let mut found: Vec<(Owned<'_>, Vec<u8>, Row)> = Vec::new();
    let mut others: Vec<(Owned<'_>, Row)> = Vec::new();
    let mut numbers = Numbers::default();
    for answer in answers {
        let names = Names { relation, inventory, group: answer.group, columns: answer.columns };
        if numbers.columns.is_empty() {
            numbers = Numbers::of(relation, answer.columns);
        }
        for row in answer.rows {
            for owned in names.owners(&row) {
                let told = names.told(&row, owned);
                if owned.shard > 0 {
                    others.push((owned, told));
                } else {
                    let table = owned.table.map_or_else(|| row[1].clone().unwrap_or_default(), |name| name.into());
                    found.push((owned, table, told));
                }
            }
        }
    }
    if !relation.numbers.is_empty() {
        numbers.fold(&mut found, others);
    }
    found.sort_by(|(a, a_table, _), (b, b_table, _)| (a.schema, a_table).cmp(&(b.schema, b_table)));
    found.into_iter().map(|(_, _, row)| row).collect()
}

/// How the rows of one server are told.
struct Names<'r, 'a> {
    relation: &'r Relation,
    inventory: &'r Inventory<'a>,
    group: GroupId,
    columns: &'r [String],
}

impl<'a> Names<'_, 'a> {
    fn owners(&self, row: &Row) -> Vec<Owned<'a>> {
        let Some(schema) = text(row.first()) else { return Vec::new() };
        match (self.relation.owner, text(row.get(1))) {
            (Owner::Table(..), Some(table)) => self.inventory.tables(self.group, schema, table),
            (Owner::Schema(_), _) => self.inventory.homes(self.group, schema),
            (Owner::Table(..) | Owner::Server | Owner::Client(_), _) => Vec::new(),
        }
    }

    /// A row's own columns with logical names.
    fn told(&self, row: &Row, owned: Owned<'_>) -> Row {
        let mut told: Row = row[2..].to_vec();
        for column in self.relation.told {
            match *column {
                Told::Schema(schema) => {
                    if let Some(cell) = self.cell(&mut told, schema)
                        && *cell == row[0]
                    {
                        *cell = Some(owned.schema.into());
                    }
                }
                Told::Table(schema, table) => self.table(&mut told, row, owned, schema, table),
                Told::Beside(table) => {
                    if let (Some(cell), Some(name)) = (self.cell(&mut told, table), owned.table) {
                        *cell = Some(name.into());
                    }
                }
                Told::Constraint(constraint) => {
                    if self.is_key(row) {
                        continue;
                    }
                    let Some(Some(name)) = self.cell(&mut told, constraint) else { continue };
                    if let (Some(logical), Some(physical)) = (owned.table, text(row.get(1))) {
                        *name = constraint_name(name, physical, logical);
                    }
                }
                Told::Create(create) => {
                    if let (Some(Some(sql)), Some(logical)) = (self.cell(&mut told, create), owned.table) {
                        *sql = self.create(sql, row, logical);
                    }
                }
                Told::CreateSchema(create) => {
                    if let (Some(Some(sql)), Some(physical)) = (self.cell(&mut told, create), text(row.first())) {
                        let text = String::from_utf8_lossy(sql).replacen(physical, owned.schema, 1);
                        *sql = text.into_bytes();
                    }
                }
                Told::Sql(sql) => {
                    if let (Some(Some(sql)), Some(physical)) = (self.cell(&mut told, sql), text(row.first())) {
                        *sql = self.sql(sql, physical, owned, text(row.get(1)));
                    }
                }
            }
        }
        told
    }

    /// The cells of a schema and a table: those of the row's own table, or of one that it refers to.
    fn table(&self, told: &mut Row, row: &Row, owned: Owned<'_>, schema: &str, table: &str) {
        let at = |name: &str| self.columns[2..].iter().position(|column| column.eq_ignore_ascii_case(name));
        let Some(table_at) = at(table) else { return };
        let schema_at = at(schema);
        let physical_schema = schema_at.and_then(|at| told[at].clone()).or_else(|| row[0].clone());
        let (Some(physical_schema), Some(physical)) = (physical_schema, told[table_at].clone()) else { return };
        let (physical_schema, physical) =
            (String::from_utf8_lossy(&physical_schema), String::from_utf8_lossy(&physical));
        let meant = self.inventory.tables(self.group, &physical_schema, &physical);
        let meant = meant.iter().find(|found| found.schema == owned.schema).or(meant.first());
        let Some(meant) = meant else { return };
        if let Some(name) = meant.table {
            told[table_at] = Some(name.into());
        }
        if let Some(at) = schema_at {
            told[at] = Some(meant.schema.into());
        }
    }

    /// Whether the constraint of a row is a key, whose name is the same at every shard.
    fn is_key(&self, row: &Row) -> bool {
        let cell = |name: &str| {
            let at = self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))?;
            row.get(at)
        };
        let refers = cell("REFERENCED_TABLE_NAME").is_none_or(Option::is_some);
        let kind = cell("CONSTRAINT_TYPE").and_then(|kind| text(Some(kind)));
        !refers || kind.is_some_and(|kind| !matches!(kind, "FOREIGN KEY" | "CHECK"))
    }

    fn cell<'t>(&self, told: &'t mut Row, name: &str) -> Option<&'t mut Option<Vec<u8>>> {
        let at = self.columns[2..].iter().position(|column| column.eq_ignore_ascii_case(name))?;
        told.get_mut(at)
    }

    /// A CREATE TABLE with logical names. What AUTO_INCREMENT= says is about one shard, so it is left out.
    fn create(&self, sql: &[u8], row: &Row, logical: &str) -> Vec<u8> {
        let (schema, physical) = (text(row.first()).unwrap_or_default(), text(row.get(1)).unwrap_or_default());
        let sql = String::from_utf8_lossy(sql);
        let mut lines: Vec<String> = Vec::new();
        let mut in_options = false;
        for line in sql.split('\n') {
            let mut line = line.to_owned();
            if lines.is_empty() {
                line = line.replacen(physical, logical, 1);
            } else if line.starts_with("  CONSTRAINT ") {
                line = self.constraint(&line, schema, physical, logical);
            } else if line.starts_with(')') && !in_options {
                in_options = true;
                line = without_auto_increment(&line);
            }
            lines.push(line);
        }
        sort_foreign_keys(&mut lines);
        lines.join("\n").into_bytes()
    }

    /// The line of a constraint: its own name, and the table that it refers to.
    fn constraint(&self, line: &str, schema: &str, physical: &str, logical: &str) -> String {
        let Some(quote) = line.chars().nth("  CONSTRAINT ".len()) else { return line.to_owned() };
        let mut pieces: Vec<String> = line.split(quote).map(str::to_owned).collect();
        if let Some(name) = pieces.get_mut(1) {
            *name = String::from_utf8_lossy(&constraint_name(name.as_bytes(), physical, logical)).into_owned();
        }
        if let Some(at) = pieces.iter().position(|piece| piece.ends_with(" REFERENCES ")) {
            let qualified = pieces.get(at + 2).is_some_and(|piece| piece == ".");
            let (in_schema, at) =
                if qualified { (pieces[at + 1].clone(), at + 3) } else { (schema.to_owned(), at + 1) };
            if let Some(table) = pieces.get_mut(at)
                && let Some(name) =
                    self.inventory.tables(self.group, &in_schema, table).iter().find_map(|one| one.table)
            {
                *table = name.to_owned();
            }
        }
        pieces.join(&quote.to_string())
    }

    /// SQL with logical names where it has physical ones in backquotes.
    fn sql(&self, sql: &[u8], schema: &str, owned: Owned<'_>, table: Option<&str>) -> Vec<u8> {
        let mut sql = String::from_utf8_lossy(sql).into_owned();
        if schema != owned.schema {
            sql = sql.replace(&format!("`{schema}`."), &format!("`{}`.", owned.schema));
        }
        if let (Some(physical), Some(logical)) = (table, owned.table) {
            sql = sql.replace(&format!("`{physical}`"), &format!("`{logical}`"));
        }
        sql.into_bytes()
    }
}

/// The name of a foreign key or check, as `rules/constraint.rs` has it.
fn constraint_name(name: &[u8], physical: &str, logical: &str) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(name) => constraint::logical(name, physical, logical).into_bytes(),
        Err(_) => name.to_vec(),
    }
}

/// Servers tell foreign keys by their names, whose order at a shard is another one: `f1_00`, `f_00`.
fn sort_foreign_keys(lines: &mut [String]) {
    let is_one = |line: &String| line.starts_with("  CONSTRAINT ") && line.contains(" FOREIGN KEY (");
    let Some(first) = lines.iter().position(is_one) else { return };
    let count = lines[first..].iter().take_while(|line| is_one(line)).count();
    let last_has_comma = lines[first + count - 1].ends_with(',');
    let found = &mut lines[first..first + count];
    // Without the quote behind it, which would have a place in the order.
    let name = |line: &String| {
        let before = line.split(" FOREIGN KEY (").next().unwrap_or_default();
        before["  CONSTRAINT ".len()..].trim_matches(['`', '"']).to_lowercase()
    };
    found.sort_by_cached_key(name);
    for (at, line) in found.iter_mut().enumerate() {
        line.truncate(line.trim_end_matches(',').len());
        if at + 1 < count || last_has_comma {
            line.push(',');
        }
    }
}

/// The options of a table without the first AUTO_INCREMENT= among them.
fn without_auto_increment(options: &str) -> String {
    const OPTION: &str = " AUTO_INCREMENT=";
    let before = options.find(" COMMENT=").unwrap_or(options.len());
    let Some(at) = options[..before].find(OPTION) else { return options.to_owned() };
    let rest = options[at + OPTION.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{}{rest}", &options[..at])
}

/// The columns of a relation that are numbers of one shard, and those that tell rows apart.
#[derive(Default)]
struct Numbers {
    columns: Vec<(usize, Fold)>,
    means: Vec<(usize, usize, usize)>,
    key: Vec<usize>,
}

impl Numbers {
    fn of(relation: &Relation, columns: &[String]) -> Numbers {
        let at = |name: &str| columns[2..].iter().position(|column| column.eq_ignore_ascii_case(name));
        let mut found =
            Numbers { key: relation.key.iter().filter_map(|name| at(name)).collect(), ..Numbers::default() };
        for (name, fold) in relation.numbers {
            match (*fold, at(name)) {
                (Fold::Mean(count, total), Some(mean)) => {
                    found.means.extend(at(count).zip(at(total)).map(|(count, total)| (mean, count, total)));
                }
                (fold, Some(column)) => found.columns.push((column, fold)),
                (_, None) => {}
            }
        }
        found
    }

    /// Adds the numbers of further shards to the rows of the first ones.
    fn fold(&self, found: &mut [(Owned<'_>, Vec<u8>, Row)], others: Vec<(Owned<'_>, Row)>) {
        let key = |row: &Row| self.key.iter().map(|at| row[*at].clone()).collect::<Vec<_>>();
        let identity = |owned: &Owned<'_>, row: &Row| {
            (owned.schema.to_owned(), owned.table.unwrap_or_default().to_owned(), key(row))
        };
        let index: HashMap<_, usize> =
            found.iter().enumerate().map(|(at, (owned, _, row))| (identity(owned, row), at)).collect();
        for (owned, other) in others {
            let Some(at) = index.get(&identity(&owned, &other)) else { continue };
            let row = &mut found[*at].2;
            for (column, fold) in &self.columns {
                let sum = folded(*fold, row[*column].as_deref(), other[*column].as_deref());
                row[*column] = sum;
            }
            for (mean, count, total) in &self.means {
                let (count, total) = (number(row[*count].as_deref()), number(row[*total].as_deref()));
                if let (Some(count), Some(total)) = (count, total) {
                    row[*mean] = Some(total.checked_div(count).unwrap_or(0).to_string().into_bytes());
                }
            }
        }
    }
}

/// NULL counts as nothing.
fn folded(fold: Fold, a: Option<&[u8]>, b: Option<&[u8]>) -> Option<Vec<u8>> {
    let (Some(a), Some(b)) = (a, b) else { return a.or(b).map(<[u8]>::to_vec) };
    let larger = || if a >= b { a.to_vec() } else { b.to_vec() };
    Some(match (fold, number(Some(a)), number(Some(b))) {
        (Fold::Sum, Some(a), Some(b)) => a.saturating_add(b).to_string().into_bytes(),
        (_, Some(a), Some(b)) => a.max(b).to_string().into_bytes(),
        _ => larger(),
    })
}

fn number(cell: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(cell?).ok()?.parse().ok()
}

fn text(cell: Option<&Option<Vec<u8>>>) -> Option<&str> {
    std::str::from_utf8(cell?.as_deref()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::diagnostic::Source;
    use crate::plan::catalogue::list::ListKind;
    use crate::plan::catalogue::relation::{Found, find};
    use crate::rules::RuleSet;
    use crate::sql::Flavour;

    const RULES: &str = r#"
        [group.g0]
        primary = "127.0.0.1:1"
        [group.g1]
        primary = "127.0.0.1:2"
        [schema.shop]
        home = "g0"
        database = "{schema}_{group}"
        [schema.shop.family.by_user]
        column = "user_id"
        method = { hash = 2 }
        groups = ["g0", "g1"]
        table = "{table}_{shard}"
        [schema.shop.table]
        orders = { family = "by_user" }
        users = { family = "by_user", column = "id" }
        currencies = { broadcast = true }
        log = { group = "g1" }
    "#;

    /// Cells by `|`, NULL as it is written.
    fn rows(text: &[&str]) -> Vec<Row> {
        let cell = |cell: &str| (cell != "NULL").then(|| cell.as_bytes().to_vec());
        text.iter().map(|row| row.split('|').map(cell).collect()).collect()
    }

    fn told(relation: &Relation, columns: &str, groups: &[&[&str]]) -> Vec<String> {
        let rules = RuleSet::parse(&[Source { name: "rules".into(), text: RULES.into() }]).unwrap();
        let inventory = Inventory::new(&rules, |_| true);
        let columns: Vec<String> = columns.split('|').map(str::to_owned).collect();
        let answer =
            |(group, text): (u16, &&[&str])| Answer { group: GroupId(group), columns: &columns, rows: rows(text) };
        let cell = |cell: &Option<Vec<u8>>| cell.as_deref().map_or("NULL".into(), String::from_utf8_lossy).into_owned();
        let found = logical(relation, &inventory, (0..).zip(groups).map(answer).collect());
        found.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join("|")).collect()
    }

    fn relation(name: &str) -> &'static Relation {
        match find(name, Flavour::MySql) {
            Found::Names(relation) => Some(relation),
            Found::OfAll | Found::Refused => None,
        }
        .unwrap()
    }

    #[test]
    fn tables_are_those_of_the_rules_and_shards_are_one() {
        let found = told(
            relation("TABLES"),
            "s|t|TABLE_SCHEMA|TABLE_NAME|TABLE_ROWS|AVG_ROW_LENGTH|DATA_LENGTH|UPDATE_TIME",
            &[
                &[
                    "shop_g0|settings|shop_g0|settings|3|10|30|NULL",
                    "shop_g0|orders_0|shop_g0|orders_0|10|100|1000|2026-01-02",
                    "shop_g0|currencies|shop_g0|currencies|5|1|5|NULL",
                    "shop_g0|log|shop_g0|log|5|1|5|NULL",
                    "shop_g0|orders|shop_g0|orders|9|9|9|NULL",
                    "other|orders_0|other|orders_0|9|9|9|NULL",
                ],
                &[
                    "shop_g1|orders_1|shop_g1|orders_1|30|300|9000|2026-01-01",
                    "shop_g1|currencies|shop_g1|currencies|5|1|5|NULL",
                    "shop_g1|log|shop_g1|log|7|1|7|NULL",
                    "shop_g1|settings|shop_g1|settings|9|9|9|NULL",
                ],
            ],
        );
        let expected = [
            "shop|currencies|5|1|5|NULL",
            "shop|log|7|1|7|NULL",
            "shop|orders|40|250|10000|2026-01-02",
            "shop|settings|3|10|30|NULL",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn constraints_name_logical_tables() {
        let found = told(
            relation("REFERENTIAL_CONSTRAINTS"),
            "s|t|CONSTRAINT_SCHEMA|CONSTRAINT_NAME|UNIQUE_CONSTRAINT_SCHEMA|TABLE_NAME|REFERENCED_TABLE_NAME",
            &[&[
                "shop_g0|orders_0|shop_g0|orders_0_ibfk_1|shop_g0|orders_0|users_0",
                "shop_g0|settings|shop_g0|orders_0_ibfk_9|shop_g0|settings|currencies",
            ]],
        );
        assert_eq!(found, ["shop|orders_ibfk_1|shop|orders|users", "shop|orders_0_ibfk_9|shop|settings|currencies"]);
    }

    #[test]
    fn constraints_with_names_are_told_by_the_clients() {
        let found = told(
            relation("TABLE_CONSTRAINTS"),
            "s|t|CONSTRAINT_SCHEMA|CONSTRAINT_NAME|TABLE_SCHEMA|TABLE_NAME|CONSTRAINT_TYPE",
            &[&[
                "shop_g0|orders_0|shop_g0|owner_0|shop_g0|orders_0|FOREIGN KEY",
                "shop_g0|orders_0|shop_g0|positive_0|shop_g0|orders_0|CHECK",
                "shop_g0|orders_0|shop_g0|by_0|shop_g0|orders_0|UNIQUE",
                "shop_g0|settings|shop_g0|owner_0|shop_g0|settings|FOREIGN KEY",
            ]],
        );
        let expected = [
            "shop|owner|shop|orders|FOREIGN KEY",
            "shop|positive|shop|orders|CHECK",
            "shop|by_0|shop|orders|UNIQUE",
            "shop|owner_0|shop|settings|FOREIGN KEY",
        ];
        assert_eq!(found, expected);
        let found = told(
            relation("KEY_COLUMN_USAGE"),
            "s|t|CONSTRAINT_NAME|TABLE_NAME|REFERENCED_TABLE_NAME",
            &[&["shop_g0|orders_0|a_0|orders_0|users_0", "shop_g0|orders_0|a_0|orders_0|NULL"]],
        );
        assert_eq!(found, ["a|orders|users", "a_0|orders|NULL"]);
    }

    #[test]
    fn foreign_keys_are_told_in_the_order_of_their_names() {
        let create = "CREATE TABLE `orders_0` (\n  CONSTRAINT `f1_0` FOREIGN KEY (`b`) REFERENCES `users_0` (`id`),\n  \
                      CONSTRAINT `f_0` FOREIGN KEY (`a`) REFERENCES `users_0` (`id`)\n)";
        let found = told(
            ListKind::CreateTable.relation(),
            "s|t|Table|Create Table",
            &[&[&format!("shop_g0|orders_0|orders_0|{create}")]],
        );
        let expected = "orders|CREATE TABLE `orders` (\n  CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `users` (`id`),\n  \
                        CONSTRAINT `f1` FOREIGN KEY (`b`) REFERENCES `users` (`id`)\n)";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn create_table_is_the_logical_one() {
        let create = "CREATE TABLE `orders_0` (\n  `a` int COMMENT 'CONSTRAINT `orders_0`',\n  \
                      CONSTRAINT `orders_0_ibfk_1` FOREIGN KEY (`a`) REFERENCES `users_0` (`id`)\n) \
                      ENGINE=InnoDB AUTO_INCREMENT=7 COMMENT=' AUTO_INCREMENT=8'";
        let row = format!("shop_g0|orders_0|orders_0|{create}");
        let found = told(ListKind::CreateTable.relation(), "s|t|Table|Create Table", &[&[&row]]);
        let expected = "orders|CREATE TABLE `orders` (\n  `a` int COMMENT 'CONSTRAINT `orders_0`',\n  \
                        CONSTRAINT `orders_ibfk_1` FOREIGN KEY (`a`) REFERENCES `users` (`id`)\n) \
                        ENGINE=InnoDB COMMENT=' AUTO_INCREMENT=8'";
        assert_eq!(found, [expected]);
    }
}
