//! Physical names never reach a client: error messages of a server are told with logical ones.
//! It changes whole words only, and never the value in a `Duplicate entry '...'`.

use crate::error::SqlError;
use crate::plan::Bound;
use crate::plan::Target;
use crate::plan::render::Name;
use crate::rules::constraint;
use crate::wire::column::{ColumnDef, Origin};

/// The client's names for what one target answers.
#[derive(Clone, Copy)]
pub enum Naming<'a> {
    /// They are the server's own.
    Same,
    /// Those of a statement on one of its targets.
    Of(&'a Bound<'a>, Target),
}

impl<'a> Naming<'a> {
    /// The definition with the client's names; `None` if it has them already.
    pub fn logical<'c>(self, column: &ColumnDef<'c>) -> Option<ColumnDef<'c>>
    where
        'a: 'c,
    {
        let (schema, table, org_table) = self.names(column.schema, column.table, column.org_table)?;
        Some(ColumnDef { schema, table, org_table, ..*column })
    }

    /// The same for the front of a definition.
    pub fn logical_origin<'c>(self, origin: &Origin<'c>) -> Option<Origin<'c>>
    where
        'a: 'c,
    {
        let (schema, table, org_table) = self.names(origin.schema, origin.table, origin.org_table)?;
        Some(Origin { schema, table, org_table, ..*origin })
    }

    /// Schema, alias and name of a column's table as the client knows them; `None` if they are so already.
    #[inline]
    fn names<'c>(self, schema: &'c [u8], alias: &'c [u8], name: &'c [u8]) -> Option<(&'c [u8], &'c [u8], &'c [u8])>
    where
        'a: 'c,
    {
        let Naming::Of(bound, target) = self else { return None };
        let (logical_schema, table) = bound.logical(target, schema, name)?;
        let alias = if alias == name { table.as_bytes() } else { alias };
        let schema = if schema.is_empty() { schema } else { logical_schema.as_bytes() };
        Some((schema, alias, table.as_bytes()))
    }

    /// A message with the client's names.
    pub fn text(self, message: &str) -> String {
        match self {
            Naming::Same => message.to_owned(),
            Naming::Of(bound, target) if message.contains(FOREIGN_KEY) => {
                logical(message, bound.names(target).chain(bound.relatives(target)))
            }
            Naming::Of(bound, target) => logical(message, bound.names(target)),
        }
    }

    /// The error with the client's names, and its number of a row where an INSERT was split.
    pub fn error(self, error: SqlError) -> SqlError {
        let message = self.text(&error.message);
        let of_statement = match (self, row_in(&message)) {
            (Naming::Of(bound, target), Some((head, row))) => {
                bound.row_of(target, row).map(|row| format!("{head}{row}"))
            }
            _ => None,
        };
        SqlError { message: of_statement.unwrap_or(message), ..error }
    }
}

/// A message that ends with the number of a row: what stands before it, and the number.
pub fn row_in(message: &str) -> Option<(&str, usize)> {
    let at = message.rfind(" at row ")? + " at row ".len();
    let (head, number) = message.split_at(at);
    Some((head, number.parse().ok()?))
}

/// A server's message with the client's names.
pub fn logical<'a>(message: &str, names: impl Iterator<Item = Name<'a>>) -> String {
    let names: Vec<Name<'a>> = names.collect();
    tables(&constraints(message, &names), names.into_iter())
}

/// A server's message with the client's names of tables; those of constraints stay.
pub fn tables<'a>(message: &str, names: impl Iterator<Item = Name<'a>>) -> String {
    let mut message = message.to_owned();
    for name in names {
        if name.physical != name.table {
            message = replace(&message, name.physical, name.table);
        }
        if name.physical_schema != name.schema {
            // Behind the first replacement the table's name is the client's: only a qualifier is left.
            for quote in ["", "`"] {
                let from = format!("{quote}{}{quote}.{quote}{}", name.physical_schema, name.table);
                let to = format!("{quote}{}{quote}.{quote}{}", name.schema, name.table);
                message = replace(&message, &from, &to);
            }
        }
    }
    message
}

/// Part of the messages that tell of a table which the statement does not name (1451, 1452).
const FOREIGN_KEY: &str = "foreign key constraint fails";

/// The words of servers behind which the name of a constraint stands in quotes, in lower case.
const BEFORE_CONSTRAINT: [&str; 4] = ["constraint ", "constraint name ", "foreign key ", "check "];

/// The client's names of the constraints in a message: those of tables among `names`.
fn constraints(message: &str, names: &[Name<'_>]) -> String {
    // Behind it 1062 quotes a value of the client's.
    if message.starts_with("Duplicate entry ") {
        return message.to_owned();
    }
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find(['`', '\'']) {
        let (before, quoted) = rest.split_at(at);
        let (quote, inside) = quoted.split_at(1);
        out.push_str(before);
        out.push_str(quote);
        rest = inside;
        // The apostrophe of `Can't` is none.
        let opens = !before.chars().next_back().is_some_and(is_word);
        let Some(length) = inside.find(quote).filter(|_| opens) else { continue };
        let name = &inside[..length];
        let front = before.to_ascii_lowercase();
        out.push_str(&match BEFORE_CONSTRAINT.iter().any(|word| front.ends_with(word)) {
            true => constraint(name, names),
            false => name.to_owned(),
        });
        out.push_str(quote);
        rest = &inside[length + 1..];
    }
    out.push_str(rest);
    out
}

/// The client's name of a constraint of one of these tables.
pub fn constraint(name: &str, names: &[Name<'_>]) -> String {
    let told = names.iter().map(|table| constraint::logical(name, table.physical, table.table));
    told.into_iter().find(|told| told != name).unwrap_or_else(|| name.to_owned())
}

/// What servers add to a table's name for its constraints.
const CONSTRAINTS: [&str; 2] = ["_ibfk_", "_chk_"];

fn replace(message: &str, from: &str, to: &str) -> String {
    // 1062 quotes a value of the client's, which may well look like a table.
    let fixed = match (message.starts_with("Duplicate entry '"), message.rfind("' for key ")) {
        (true, Some(end)) => end,
        _ => 0,
    };
    let (head, mut rest) = message.split_at(fixed);
    let mut out = String::with_capacity(message.len());
    out.push_str(head);
    while let Some(at) = rest.find(from) {
        let end = at + from.len();
        let starts = !rest[..at].chars().next_back().is_some_and(is_word);
        // Constraints without a name of their own are called by their table's.
        let ends = !rest[end..].chars().next().is_some_and(is_word)
            || CONSTRAINTS.iter().any(|constraint| rest[end..].starts_with(constraint));
        out.push_str(&rest[..at]);
        out.push_str(if starts && ends { to } else { from });
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_both_vendors_name_the_clients_tables() {
        let orders = Name { physical_schema: "shop_1", physical: "orders_03", schema: "shop", table: "orders" };
        for (server, client) in [
            ("Table 'shop_1.orders_03' doesn't exist", "Table 'shop.orders' doesn't exist"),
            (
                "Duplicate entry 'orders_03' for key 'orders_03.PRIMARY'",
                "Duplicate entry 'orders_03' for key 'orders.PRIMARY'",
            ),
            (
                "Cannot add or update a child row: a foreign key constraint fails (`shop_1`.`orders_03`, CONSTRAINT `x`)",
                "Cannot add or update a child row: a foreign key constraint fails (`shop`.`orders`, CONSTRAINT `x`)",
            ),
            (
                "a foreign key constraint fails (`shop_1`.`orders_03`, CONSTRAINT `orders_03_ibfk_1` FOREIGN KEY",
                "a foreign key constraint fails (`shop`.`orders`, CONSTRAINT `orders_ibfk_1` FOREIGN KEY",
            ),
            ("Check constraint 'orders_03_chk_2' is violated.", "Check constraint 'orders_chk_2' is violated."),
            ("Check constraint 'positive_03' is violated.", "Check constraint 'positive' is violated."),
            (
                "CONSTRAINT `positive_03` failed for `shop_1`.`orders_03`",
                "CONSTRAINT `positive` failed for `shop`.`orders`",
            ),
            (
                "(`shop_1`.`orders_03`, CONSTRAINT `owner_03` FOREIGN KEY (`u_03`) REFERENCES `users` (`id`))",
                "(`shop`.`orders`, CONSTRAINT `owner` FOREIGN KEY (`u_03`) REFERENCES `users` (`id`))",
            ),
            ("Duplicate foreign key constraint name 'owner_03'", "Duplicate foreign key constraint name 'owner'"),
            (
                "Can't DROP FOREIGN KEY `owner_03`; check that it exists",
                "Can't DROP FOREIGN KEY `owner`; check that it exists",
            ),
            (
                "Duplicate entry 'check 'a_03'' for key 'orders_03.k'",
                "Duplicate entry 'check 'a_03'' for key 'orders.k'",
            ),
            ("Unknown column 'orders_033.a' in 'field list'", "Unknown column 'orders_033.a' in 'field list'"),
            ("Unknown column 'a' in 'field list'", "Unknown column 'a' in 'field list'"),
        ] {
            assert_eq!(logical(server, [orders].into_iter()), client);
        }
    }
}
