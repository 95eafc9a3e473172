//! Where a CREATE TABLE by logical names has to run, and with which names. It runs nothing.

use crate::error::SqlError;
use crate::plan::Session;
use crate::plan::define::{Step, World};
use crate::rules::catalog::Catalog;
use crate::rules::{GroupId, PhysicalName, RuleSet, Schema};
use crate::sql::Facts;
use crate::sql::head::{Ddl, Head, head};
use crate::sql::scan::{Scan, scan};

/// A table to be made on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// On the primary of this group.
    pub group: GroupId,
    /// The physical schema and table.
    pub name: PhysicalName,
    /// CREATE TABLE, with the schema written at every table.
    pub sql: String,
}

/// The statements of a text, without what separates them.
///
/// # Errors
/// 1064 for text that is not SQL.
pub fn statements(text: &str, facts: Facts) -> Result<Vec<&str>, SqlError> {
    let (mut found, mut rest) = (Vec::new(), text);
    let mut scanned = Scan::default();
    loop {
        scan(rest.as_bytes(), facts, 0, &mut scanned)?;
        let statement = rest.get(..scanned.end as usize).unwrap_or(rest).trim();
        if head(statement.as_bytes(), facts)? != Head::Empty {
            found.push(statement);
        }
        match scanned.rest.and_then(|start| rest.get(start as usize..)) {
            Some(further) => rest = further,
            None => return Ok(found),
        }
    }
}

/// What a CREATE TABLE by logical names comes to: one statement for a single table, one for each group for a
/// broadcast table, one for each shard for a sharded table.
///
/// # Errors
/// 1064, and 1235 if it is no CREATE TABLE, if it is a temporary one, or if it is not the same on every server as
/// [`crate::plan::define`] has it.
pub fn creations(rules: &RuleSet, schema: &Schema, create: &str, facts: Facts) -> Result<Vec<Creation>, SqlError> {
    let Head::Ddl { verb: Ddl::CreateTable, temporary: false, .. } = head(create.as_bytes(), facts)? else {
        return Err(SqlError::refuse_at("This is not a CREATE TABLE that lasts:", create.as_bytes(), 0));
    };
    let session = Session { schema: Some(&schema.name), facts };
    let world = World { sql: create.as_bytes(), session, rules, catalog: &Catalog::default() };
    let (_, define) = world.define(Ddl::CreateTable)?;
    let creation = |step: Step| {
        let (name, _) = step.tables.into_iter().next()?;
        Some(Creation { group: step.target.group, name, sql: String::from_utf8_lossy(&step.sql).into_owned() })
    };
    Ok(define.steps.into_iter().filter_map(creation).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::diagnostic::Source;
    use crate::sql::{Flavour, SqlMode, TextCharset};

    fn mysql() -> Facts {
        Facts { mode: SqlMode::default(), charset: TextCharset::Utf8, flavour: Flavour::MySql, version: 90_704 }
    }

    const RULES: &str = r#"
        [group.g0]
        primary = "127.0.0.1:1"
        [group.g1]
        primary = "127.0.0.1:2"
        [schema.shop]
        home = "g0"
        [schema.shop.family.by_user]
        column = "user_id"
        method = { hash = 2 }
        groups = ["g0", "g1"]
        table = "{table}_{shard}"
        [schema.shop.family.by_product]
        column = "id"
        method = { hash = 2 }
        groups = ["g0", "g1"]
        table = "{table}_{shard}"
        [schema.shop.table]
        users = { family = "by_user", column = "id" }
        orders = { family = "by_user" }
        products = { family = "by_product" }
        currencies = { broadcast = true }
        log = { group = "g1" }
    "#;

    fn check(create: &str, expected: &[&str]) {
        let rules = RuleSet::parse(&[Source { name: "rules".into(), text: RULES.into() }]).unwrap();
        let found = match creations(&rules, rules.schema("shop").unwrap(), create, mysql()) {
            Ok(found) => found.into_iter().map(|one| format!("g{} {}", one.group.0, one.sql)).collect(),
            Err(error) => vec![error.message],
        };
        assert_eq!(found, expected, "{create}");
    }

    #[test]
    fn one_statement_for_each_place() {
        check(
            "create table Orders (user_id int)",
            &["g0 create table `shop`.`orders_0` (user_id int)", "g1 create table `shop`.`orders_1` (user_id int)"],
        );
        check(
            "CREATE TABLE IF NOT EXISTS `shop`.currencies (c CHAR(3))",
            &[
                "g0 CREATE TABLE IF NOT EXISTS `shop`.`currencies` (c CHAR(3))",
                "g1 CREATE TABLE IF NOT EXISTS `shop`.`currencies` (c CHAR(3))",
            ],
        );
        check("CREATE TABLE log (a INT)", &["g1 CREATE TABLE `shop`.`log` (a INT)"]);
        check("CREATE TABLE other (a INT)", &["g0 CREATE TABLE `shop`.`other` (a INT)"]);
    }

    #[test]
    fn tables_beside_it_may_be_named() {
        check(
            "CREATE TABLE orders (user_id INT REFERENCES users (id), c CHAR(3) REFERENCES currencies (code))",
            &[
                "g0 CREATE TABLE `shop`.`orders_0` (user_id INT REFERENCES `shop`.`users_0` (id), \
                 c CHAR(3) REFERENCES `shop`.`currencies` (code))",
                "g1 CREATE TABLE `shop`.`orders_1` (user_id INT REFERENCES `shop`.`users_1` (id), \
                 c CHAR(3) REFERENCES `shop`.`currencies` (code))",
            ],
        );
        check(
            "CREATE TABLE orders LIKE products",
            &["This table does not lie beside the new one on every server: near 'products'"],
        );
        check(
            "CREATE TABLE currencies LIKE log",
            &["This table does not lie beside the new one on every server: near 'log'"],
        );
        check(
            "CREATE TABLE log LIKE other",
            &["This table does not lie beside the new one on every server: near 'other'"],
        );
        check("CREATE TABLE log LIKE blog.posts", &["Unknown database 'blog'"]);
    }

    #[test]
    fn anything_else_is_refused() {
        for sql in ["DROP TABLE log", "CREATE TEMPORARY TABLE log (a INT)", "SELECT 1"] {
            check(sql, &[&format!("This is not a CREATE TABLE that lasts: near '{sql}'")]);
        }
    }

    #[test]
    fn statements_are_found_in_a_text() {
        let text = "-- first;\nCREATE TABLE a (b CHAR(1) DEFAULT ';'); /* nothing */ ;\nDROP TABLE c\n";
        let found = statements(text, mysql()).unwrap();
        assert_eq!(found, ["-- first;\nCREATE TABLE a (b CHAR(1) DEFAULT ';')", "DROP TABLE c"]);
    }
}
