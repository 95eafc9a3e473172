//! The names of foreign keys and checks of sharded tables: a server has each name once in a schema, in which several
//! shards of a table may lie, so a shard's constraints carry what the shard's name has more than its table's.
//! It reads and sends nothing.

use crate::rules::PhysicalName;

/// The most characters that a name has.
/// <https://dev.mysql.com/doc/refman/9.7/en/identifier-length.html>
const LONGEST: usize = 64;

/// What servers add to a table's name for its constraints without a name.
const GENERATED: [&str; 2] = ["_ibfk_", "_chk_"];

/// The name that a constraint of a logical table has at one of its shards; the same where that has the table's name.
///
/// # Errors
/// Why there is none, as a clause: it would be too long, or be read back as another one.
pub fn physical(name: &str, shard: &PhysicalName, table: &str) -> Result<String, String> {
    let Some(mark) = mark(&shard.table, table) else { return Ok(name.to_owned()) };
    let named = match generated(name, table) {
        Some(rest) => format!("{}{rest}", shard.table),
        None => format!("{name}{mark}"),
    };
    let long = named.chars().count();
    if long > LONGEST {
        return Err(format!("`{named}` at a shard has {long} characters, and a name has {LONGEST} at most"));
    }
    let back = logical(&named, &shard.table, table);
    // Where servers begin a name with the table's, they do so without case.
    if !back.eq_ignore_ascii_case(name) {
        return Err(format!("`{named}` at a shard would be told as `{back}`"));
    }
    Ok(named)
}

/// The other way round; a name that was not given through [`physical`] stays as it is.
pub fn logical(name: &str, shard: &str, table: &str) -> String {
    if let Some(rest) = generated(name, shard) {
        return format!("{table}{rest}");
    }
    let stripped = mark(shard, table).and_then(|mark| name.strip_suffix(mark.as_str()));
    stripped.filter(|rest| !rest.is_empty()).unwrap_or(name).to_owned()
}

/// What a shard's name has more than its table's: `_00` for `orders_00`; none if they are the same.
pub fn mark(shard: &str, table: &str) -> Option<String> {
    if shard.eq_ignore_ascii_case(table) {
        return None;
    }
    let Some((before, behind)) = shard.split_once(table) else { return Some(format!("_{shard}")) };
    let (before, behind) = (before.trim_matches('_'), behind.trim_matches('_'));
    let between = if before.is_empty() || behind.is_empty() { "" } else { "_" };
    Some(format!("_{before}{between}{behind}"))
}

/// `_ibfk_1` of `orders_ibfk_1`, the name that a server gives to a constraint of `orders` that has none.
fn generated<'n>(name: &'n str, table: &str) -> Option<&'n str> {
    let (start, rest) = name.split_at_checked(table.len())?;
    let is = start.eq_ignore_ascii_case(table) && GENERATED.iter().any(|middle| rest.starts_with(middle));
    is.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_shards_and_back() {
        for (name, shard, table, expected) in [
            ("owner", "orders_00", "orders", "owner_00"),
            ("owner", "orders", "orders", "owner"),
            ("owner", "s3_orders", "orders", "owner_s3"),
            ("owner", "3orders7", "orders", "owner_3_7"),
            ("owner", "archive", "orders", "owner_archive"),
            ("orders_ibfk_1", "orders_00", "orders", "orders_00_ibfk_1"),
            ("orders_chk_12", "o7", "orders", "o7_chk_12"),
            ("orders_by", "orders_00", "orders", "orders_by_00"),
            ("fk_00", "orders_00", "orders", "fk_00_00"),
        ] {
            let shard = PhysicalName::new("shop".into(), shard.into());
            let named = physical(name, &shard, table);
            assert_eq!(named.as_deref(), Ok(expected), "{name} at {}", shard.table);
            assert_eq!(logical(expected, &shard.table, table), name);
        }
    }

    #[test]
    fn a_name_that_cannot_be_told_again_is_none() {
        let shard = PhysicalName::new("shop".into(), "orders_00".into());
        let long = "x".repeat(62);
        assert!(physical(&long, &shard, "orders").is_err_and(|why| why.contains("65 characters")));
        assert!(physical("orders_00_ibfk_1", &shard, "orders").is_err_and(|why| why.contains("`orders_ibfk_1_00`")));
        assert_eq!(logical("by_hand", "orders_00", "orders"), "by_hand");
        assert_eq!(logical("_00", "orders_00", "orders"), "_00");
    }
}
