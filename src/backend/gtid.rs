//! Positions in a group's history: one transaction's id and the set of those a server has applied.
//! Pure text handling of both vendors' forms; it asks no server.

use std::collections::BTreeMap;

/// The id of one transaction, as a server reports it for a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gtid {
    /// MySQL: `source_uuid[:tag]:number`.
    MySql {
        /// UUID and tag, lower case.
        source: Box<str>,
        /// Number within the source.
        number: u64,
    },
    /// MariaDB: `domain-server-sequence`.
    MariaDb {
        /// Replication domain.
        domain: u32,
        /// Sequence number, growing within the domain.
        sequence: u64,
    },
}

/// What a server has applied.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Applied {
    /// MySQL: closed intervals by source, sorted.
    sources: BTreeMap<Box<str>, Vec<(u64, u64)>>,
    /// MariaDB: last sequence number by domain.
    domains: BTreeMap<u32, u64>,
}

impl Gtid {
    /// Reads the last id of a list such as `uuid:5`, `uuid:1-5`, `uuid:tag:7` or `0-1-42`; `None` if it is none.
    pub fn parse(text: &str) -> Option<Gtid> {
        let last = text.trim().rsplit(',').next()?.trim();
        if let Some((source, number)) = last.rsplit_once(':') {
            let number = number.rsplit('-').next()?.parse().ok()?;
            return Some(Gtid::MySql { source: source.to_ascii_lowercase().into(), number });
        }
        let mut parts = last.split('-');
        let (domain, _server, sequence) = (parts.next()?, parts.next()?, parts.next()?);
        let (domain, sequence) = (domain.parse().ok()?, sequence.parse().ok()?);
        parts.next().is_none().then_some(Gtid::MariaDb { domain, sequence })
    }
}

impl Applied {
    /// Reads `@@global.gtid_executed`, such as `uuid:1-5:8,uuid2:1-3, uuid2:tag:1`.
    pub fn mysql(text: &str) -> Applied {
        let mut sources: BTreeMap<Box<str>, Vec<(u64, u64)>> = BTreeMap::new();
        for entry in text.split(',') {
            let mut source = String::new();
            for (i, part) in entry.trim().split(':').enumerate() {
                let part = part.trim();
                // A part that is not an interval is the UUID or a tag: the intervals behind it are of that tag.
                match interval(part) {
                    Some(interval) if i > 0 => sources.entry(source.as_str().into()).or_default().push(interval),
                    _ if i == 0 => source = part.to_ascii_lowercase(),
                    _ => source = format!("{}:{}", uuid_of(&source), part.to_ascii_lowercase()),
                }
            }
        }
        Applied { sources, domains: BTreeMap::new() }
    }

    /// Reads `@@global.gtid_slave_pos` or `@@global.gtid_current_pos`, such as `0-1-42,1-2-7`.
    pub fn mariadb(text: &str) -> Applied {
        let domains = text
            .split(',')
            .filter_map(|id| match Gtid::parse(id) {
                Some(Gtid::MariaDb { domain, sequence }) => Some((domain, sequence)),
                _ => None,
            })
            .collect();
        Applied { sources: BTreeMap::new(), domains }
    }

    /// Whether the transaction is among what was applied.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        match gtid {
            Gtid::MySql { source, number } => self
                .sources
                .get(source)
                .is_some_and(|intervals| intervals.iter().any(|(low, high)| low <= number && number <= high)),
            Gtid::MariaDb { domain, sequence } => self.domains.get(domain).is_some_and(|last| last >= sequence),
        }
    }
}

fn uuid_of(source: &str) -> &str {
    source.split(':').next().unwrap_or(source)
}

fn interval(text: &str) -> Option<(u64, u64)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some((low.parse().ok()?, high.parse().ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn mysql_sets_with_holes_and_tags() {
        let applied = Applied::mysql("AAAA-1:1-5:8,\nbbbb-2:3:tag:1-2:7");
        let has = |text: &str| applied.contains(&Gtid::parse(text).unwrap());
        for (id, expected) in [
            ("aaaa-1:5", true),
            ("aaaa-1:6", false),
            ("aaaa-1:8", true),
            ("bbbb-2:3", true),
            ("bbbb-2:2", false),
            ("bbbb-2:tag:2", true),
            ("bbbb-2:tag:3", false),
            ("bbbb-2:tag:7", true),
            ("cccc-3:1", false),
        ] {
            assert_eq!(has(id), expected, "{id}");
        }
    }

    #[test]
    fn mariadb_positions_count_by_domain() {
        let applied = Applied::mariadb("0-1-42,1-2-7");
        assert!(applied.contains(&Gtid::parse("0-9-42").unwrap()));
        assert!(!applied.contains(&Gtid::parse("0-1-43").unwrap()));
        assert!(!applied.contains(&Gtid::parse("2-1-1").unwrap()));
    }

    #[test]
    fn what_is_no_id_is_none() {
        for text in ["", "ON", "uuid:", "1-2", "1-2-3-4"] {
            assert_eq!(Gtid::parse(text), None, "{text}");
        }
    }
}
