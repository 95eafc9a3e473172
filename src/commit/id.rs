//! The names of transactions and branches, as they stand in XA statements and in the decision table. They are text, so
//! that a person can read XA RECOVER.

use std::fmt;

/// The XA format number of our transactions; others on the same servers are left alone.
pub const FORMAT: u32 = 0x534C_0001;

/// A server group as transactions name it: a number that the group itself keeps, whatever the rules call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(pub u64);

/// A transaction over several groups (`gtrid`, 62 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GlobalId {
    /// The group that is its commit point.
    pub commit_point: Identity,
    /// The run of the proxy that coordinates it: 48 random bits.
    pub epoch: u64,
    /// Its number in that run, below 2^40.
    pub number: u64,
    /// Seconds since 1970 after which the commit point takes no decision to commit any more.
    pub deadline: u32,
    /// The server's number for the coordinator's connection to the commit point.
    pub connection: u32,
}

/// A branch of it (`bqual`, 25 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BranchId {
    /// The group it is on.
    pub group: Identity,
    /// The server's number for the connection that made it.
    pub connection: u32,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for GlobalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GlobalId { commit_point, epoch, number, deadline, connection } = self;
        write!(f, "sl1-{commit_point}-{epoch:012x}-{number:010x}-{deadline:08x}-{connection:08x}")
    }
}

impl fmt::Display for BranchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.group, self.connection)
    }
}

impl Identity {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Identity> {
        hex(text, 16).map(Identity)
    }
}

impl GlobalId {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<GlobalId> {
        let mut parts = text.strip_prefix("sl1-")?.split('-');
        let id = GlobalId {
            commit_point: Identity::parse(parts.next()?)?,
            epoch: hex(parts.next()?, 12)?,
            number: hex(parts.next()?, 10)?,
            deadline: u32::try_from(hex(parts.next()?, 8)?).ok()?,
            connection: u32::try_from(hex(parts.next()?, 8)?).ok()?,
        };
        parts.next().is_none().then_some(id)
    }
}

impl BranchId {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<BranchId> {
        let (group, connection) = text.split_once('-')?;
        Some(BranchId { group: Identity::parse(group)?, connection: u32::try_from(hex(connection, 8)?).ok()? })
    }
}

/// Exactly `digits` lower-case hexadecimal digits: one name has one spelling.
fn hex(text: &str, digits: usize) -> Option<u64> {
    let plain = text.len() == digits && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_xa_and_are_read_back() {
        let global = GlobalId {
            commit_point: Identity(u64::MAX),
            epoch: (1 << 48) - 1,
            number: 7,
            deadline: 1_795_248_397,
            connection: u32::MAX,
        };
        let text = global.to_string();
        assert_eq!(text, "sl1-ffffffffffffffff-ffffffffffff-0000000007-6b01510d-ffffffff");
        assert!(text.len() <= 64);
        assert_eq!(GlobalId::parse(&text), Some(global));
        let branch = BranchId { group: Identity(1), connection: 5 };
        assert_eq!(branch.to_string(), "0000000000000001-00000005");
        assert_eq!(BranchId::parse("0000000000000001-00000005"), Some(branch));
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        let good = "sl1-0000000000000001-000000000002-0000000003-00000004-00000005";
        assert!(GlobalId::parse(good).is_some());
        for wrong in [
            "",
            "gb",
            "sl2-0000000000000001-000000000002-0000000003-00000004-00000005",
            "sl1-0000000000000001-000000000002-0000000003-00000004",
            "sl1-0000000000000001-000000000002-0000000003-00000004-00000005-6",
            "sl1-000000000000000A-000000000002-0000000003-00000004-00000005",
            "sl1-+00000000000001-000000000002-0000000003-00000004-00000005",
        ] {
            assert_eq!(GlobalId::parse(wrong), None, "{wrong}");
        }
        assert_eq!(BranchId::parse("0000000000000001"), None);
    }
}
