//! The hints of a comment `/*+ shardloom(...) */`: what a client asks of the proxy for one statement. Other optimizer
//! hints in the same comment are the servers' business. What a hint does is not known here.

use crate::error::{Code, SqlError};
use crate::sql::scan::Scan;

/// One hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HintItem {
    /// `shard=3`: run on that shard.
    Shard(u32),
    /// `group=g1`: run on that group.
    Group(String),
    /// `primary`: read from the primary.
    Primary,
    /// `replica`: read from a replica.
    Replica,
    /// `timeout=200ms` or `timeout=2s`: give up after that many milliseconds.
    TimeoutMs(u64),
    /// `transaction=atomic`, `single` or `best_effort`: what a transaction over several groups is that this statement
    /// is the first of.
    Transaction(TransactionMode),
    /// `commit=10000`: LOAD DATA commits after so many rows, each time anew.
    Commit(u64),
}

/// What a transaction that writes to several groups is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionMode {
    /// Committed on all of them or on none.
    Atomic,
    /// Refused.
    Single,
    /// Committed on one after the other.
    BestEffort,
}

/// The hints of a scanned statement, in order.
///
/// # Errors
/// 1064 if the hint is misspelt: what is asked for must not be ignored silently.
pub fn hints(sql: &[u8], scan: &Scan) -> Result<Vec<HintItem>, SqlError> {
    let Some(span) = scan.hint else { return Ok(Vec::new()) };
    let comment = String::from_utf8_lossy(span.of(sql));
    let text = comment.strip_prefix("/*+").and_then(|text| text.strip_suffix("*/")).unwrap_or_default();
    let mut items = Vec::new();
    let mut rest = text;
    while let Some((name, arguments, behind)) = next_hint(rest) {
        rest = behind;
        if name.eq_ignore_ascii_case("shardloom") {
            let arguments = arguments.ok_or_else(|| misspelt("shardloom is not followed by (...)"))?;
            let written = arguments.split([',', ' ', '\t', '\r', '\n']).filter(|item| !item.is_empty());
            for item in written {
                items.push(hint_item(item)?);
            }
            if items.is_empty() {
                return Err(misspelt("there is nothing between its parentheses"));
            }
        }
    }
    if items.is_empty() {
        return Err(misspelt("it must be written shardloom(...)"));
    }
    Ok(items)
}

/// The next `name(arguments)` or `name` of a comment's text: name, arguments, and what follows.
fn next_hint(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let in_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$' | '@' | '`');
    let text = text.trim_start_matches(|letter| !in_name(letter));
    if text.is_empty() {
        return None;
    }
    let (name, rest) = text.split_at(text.find(|letter| !in_name(letter)).unwrap_or(text.len()));
    let Some(inside) = rest.trim_start().strip_prefix('(') else { return Some((name, None, rest)) };
    let mut depth = 1_usize;
    for (at, letter) in inside.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((name, Some(&inside[..at]), &inside[at + 1..]));
        }
    }
    Some((name, None, ""))
}

fn hint_item(item: &str) -> Result<HintItem, SqlError> {
    let (name, value) = item.split_once('=').map_or((item, None), |(name, value)| (name, Some(value)));
    let parsed = match (name.to_ascii_lowercase().as_str(), value) {
        ("primary", None) => Some(HintItem::Primary),
        ("replica", None) => Some(HintItem::Replica),
        ("shard", Some(number)) => number.parse().ok().map(HintItem::Shard),
        ("group", Some(name)) if !name.is_empty() => Some(HintItem::Group(name.trim_matches('`').to_owned())),
        ("timeout", Some(time)) => timeout(time).map(HintItem::TimeoutMs),
        ("transaction", Some("atomic")) => Some(HintItem::Transaction(TransactionMode::Atomic)),
        ("transaction", Some("single")) => Some(HintItem::Transaction(TransactionMode::Single)),
        ("transaction", Some("best_effort")) => Some(HintItem::Transaction(TransactionMode::BestEffort)),
        ("commit", Some(rows)) => rows.parse().ok().filter(|rows| *rows > 0).map(HintItem::Commit),
        _ => None,
    };
    parsed.ok_or_else(|| misspelt(&format!("'{item}' is none of shard=N, group=NAME, primary, replica, timeout=200ms, commit=ROWS, transaction=atomic|single|best_effort")))
}

/// Milliseconds of `200ms` or `2s`.
fn timeout(time: &str) -> Option<u64> {
    let (number, factor) = match time.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (time.strip_suffix('s')?, 1000),
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn misspelt(why: &str) -> SqlError {
    SqlError::new(Code::Syntax, format!("Shardloom cannot read the hint in this statement: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::{HintItem, TransactionMode, hints};
    use crate::sql::scan::{Scan, scan};
    use crate::sql::tests::MYSQL;

    fn read(comment: &str) -> Result<Vec<HintItem>, String> {
        let sql = format!("SELECT {comment} 1");
        let mut out = Scan::default();
        scan(sql.as_bytes(), MYSQL, 0, &mut out).unwrap();
        hints(sql.as_bytes(), &out).map_err(|error| error.message)
    }

    #[test]
    fn hints_are_read_wherever_they_stand_in_the_comment() {
        for (comment, expected) in [
            ("", vec![]),
            ("/*+ BKA(t1) */", vec![]),
            ("/* shardloom(shard=3) */", vec![]),
            ("/*+ shardloom(shard=3) */", vec![HintItem::Shard(3)]),
            ("/*+ShardLoom ( group=g1 primary)*/", vec![HintItem::Group("g1".to_owned()), HintItem::Primary]),
            ("/*+ shardloom(replica, timeout=200ms) */", vec![HintItem::Replica, HintItem::TimeoutMs(200)]),
            ("/*+ shardloom(transaction=single) */", vec![HintItem::Transaction(TransactionMode::Single)]),
            ("/*+ shardloom(commit=500) */", vec![HintItem::Commit(500)]),
            ("/*+ INDEX(shardloom i) shardloom(timeout=2s) BKA(t) */", vec![HintItem::TimeoutMs(2000)]),
        ] {
            assert_eq!(read(comment), Ok(expected), "{comment}");
        }
    }

    #[test]
    fn a_misspelt_hint_is_an_error() {
        for comment in [
            "/*+ shardloom */",
            "/*+ shardloom() */",
            "/*+ shardloom(shard) */",
            "/*+ shardloom(shard=x) */",
            "/*+ shardloom(shrad=3) */",
            "/*+ shardloom(timeout=200) */",
            "/*+ shardloom(group=) */",
            "/*+ shardloom(commit=0) */",
            "/*+ shardloom(shard=3 */",
            "/*+ shardlooms(shard=3) */",
            "/*+ x_shardloom(shard=3) */",
        ] {
            assert!(read(comment).is_err(), "{comment}: {:?}", read(comment));
        }
    }
}
