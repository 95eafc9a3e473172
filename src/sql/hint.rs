//! What a client asks for in `/*+ shardloom(...) */`. Other optimizer hints are the server's business; a
//! misspelt one of ours is an error, because it would silently run somewhere else.

use crate::error::SqlError;
use crate::sql::scan::Scan;

/// One wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HintItem {
    /// `shard=3`: this shard, whatever the conditions say.
    Shard(u32),
    /// `group=g1`: this group.
    Group(String),
    /// `primary`: not on a replica.
    Primary,
    /// `replica`: on a replica, if the statement can.
    Replica,
    /// `timeout=200ms` or `timeout=2s`, in milliseconds.
    TimeoutMs(u64),
}

/// The wishes in the hint of a scanned statement, in order; none if it has no hint of ours.
///
/// # Errors
/// 1235 for what is not understood, with the place.
pub fn hints(sql: &[u8], scan: &Scan) -> Result<Vec<HintItem>, SqlError> {
    let Some(span) = scan.hint else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(span.of(sql)).into_owned();
    let lower = text.to_ascii_lowercase();
    let mut items = Vec::new();
    for (at, word) in lower.match_indices("shardloom") {
        let behind = lower[at + word.len()..].trim_start();
        let list = behind.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let wrong = |what: &str| SqlError::refuse_at(what, sql, span.start as usize + at);
        let Some((list, _)) = list else {
            return Err(wrong("the hint shardloom has no list in parentheses, as in shardloom(shard=3):"));
        };
        // Names keep their case: the list is cut out of the original at the same place.
        let from = lower.len() - behind.len() + 1;
        for item in text[from..from + list.len()].split(',') {
            items.push(read(item.trim()).ok_or_else(|| {
                wrong(&format!(
                    "the hint shardloom({}) is not known; known are shard=N, group=NAME, primary, replica, timeout=200ms:",
                    item.trim()
                ))
            })?);
        }
    }
    Ok(items)
}

fn read(item: &str) -> Option<HintItem> {
    match item.split_once('=') {
        None if item.eq_ignore_ascii_case("primary") => Some(HintItem::Primary),
        None if item.eq_ignore_ascii_case("replica") => Some(HintItem::Replica),
        None => None,
        Some((name, value)) => {
            let value = value.trim().trim_matches(['\'', '"', '`']);
            match name.trim().to_ascii_lowercase().as_str() {
                "shard" => value.parse().ok().map(HintItem::Shard),
                "group" if !value.is_empty() => Some(HintItem::Group(value.to_owned())),
                "timeout" => timeout(value).map(HintItem::TimeoutMs),
                _ => None,
            }
        }
    }
}

/// `200ms` or `2s`; 0 would mean no limit to some and none at all to others, so it is refused.
fn timeout(value: &str) -> Option<u64> {
    let ms = match value.strip_suffix("ms") {
        Some(ms) => ms.trim().parse::<u64>().ok()?,
        None => value.strip_suffix('s')?.trim().parse::<u64>().ok()?.checked_mul(1000)?,
    };
    (ms > 0).then_some(ms)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sql::scan::scan;
    use crate::sql::{Facts, Flavour, SqlMode, TextCharset};

    fn check(sql: &str) -> Result<Vec<HintItem>, SqlError> {
        let facts =
            Facts { mode: SqlMode::default(), charset: TextCharset::Utf8, flavour: Flavour::MySql, version: 90_700 };
        let mut found = Scan::default();
        scan(sql.as_bytes(), facts, 0, &mut found).unwrap();
        hints(sql.as_bytes(), &found)
    }

    #[test]
    fn wishes_are_read_and_misspelt_ones_are_refused() {
        use HintItem::*;
        for (sql, expected) in [
            ("SELECT 1", vec![]),
            ("SELECT /*+ NO_INDEX_MERGE(t) */ 1", vec![]),
            ("SELECT /*+ shardloom(shard=3) */ 1", vec![Shard(3)]),
            ("SELECT /*+ SHARDLOOM( primary , timeout=200ms ) */ 1", vec![Primary, TimeoutMs(200)]),
            ("SELECT /*+ shardloom(replica) shardloom(timeout=2s) */ 1", vec![Replica, TimeoutMs(2_000)]),
            ("UPDATE /*+ shardloom(group=G1) */ t SET a = 1", vec![Group("G1".to_owned())]),
        ] {
            assert_eq!(check(sql).unwrap(), expected, "{sql}");
        }
        for sql in [
            "SELECT /*+ shardloom */ 1",
            "SELECT /*+ shardloom(shard=x) */ 1",
            "SELECT /*+ shardloom(primry) */ 1",
            "SELECT /*+ shardloom(timeout=0ms) */ 1",
        ] {
            assert_eq!(check(sql).unwrap_err().errno, 1235, "{sql}");
        }
    }
}
