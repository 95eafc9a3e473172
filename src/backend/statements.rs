//! The statements prepared on one backend connection, so that a client's prepared statement needs no
//! second round there. Bounded; what falls out is closed on the server with the next command.

use std::collections::BTreeMap;
use std::sync::Arc;

use twox_hash::XxHash3_64;

/// Statements kept prepared on one connection. With 100 connections this stays well below MySQL's
/// default `max_prepared_stmt_count` of 16,382.
const KEPT: usize = 100;

/// A statement prepared on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The server's id for it, valid on this connection only.
    pub id: u32,
    /// How many `?` it has.
    pub params: u16,
}

/// What a server took into a statement when it prepared it, and uses whenever it is executed: the default database,
/// which names without one and (on MariaDB) DATABASE() mean, and the settings, as a hash: sql_mode, character set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// The default database.
    pub database: Option<Arc<str>>,
    /// [`Settings::hash`](crate::backend::settings::Settings::hash).
    pub settings: u64,
}

/// The statements prepared on one connection, by their text and the types of the parameters they were executed with.
///
/// MySQL gives a parameter the type that its value had in an execution and takes later values for such ones (after an
/// integer the text 'a' is 0), so an execution must never get a statement that others have executed with other types.
///
/// <https://dev.mysql.com/doc/refman/9.7/en/prepare.html>
#[derive(Debug, Default)]
pub struct Statements {
    /// By a hash of their text and types; the text is looked at again when one is found.
    by_hash: BTreeMap<u64, Entry>,
    clock: u64,
}

/// The types of the parameters of a statement that was never executed, or has no parameters.
pub const UNTYPED: u64 = 0;

#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    prepared: Prepared,
    setting: Setting,
    used: u64,
}

impl Statements {
    /// The statement with this text, if it is prepared here, was executed with parameters of these types only, and
    /// means the same with this default database and settings.
    pub fn find(&mut self, text: &[u8], types: u64, database: Option<&Arc<str>>, settings: u64) -> Option<Prepared> {
        self.clock += 1;
        let here = |entry: &Entry| {
            *entry.text == *text && entry.setting.settings == settings && entry.setting.database.as_ref() == database
        };
        let hash = hash(text, types);
        if let Some(entry) = self.by_hash.get_mut(&hash).filter(|entry| here(entry)) {
            entry.used = self.clock;
            return Some(entry.prepared);
        }
        if types == UNTYPED || self.by_hash.contains_key(&hash) {
            return None;
        }
        // One that was prepared and not executed yet becomes one of these types.
        let untyped = self::hash(text, UNTYPED);
        self.by_hash.get(&untyped).filter(|entry| here(entry))?;
        let mut entry = self.by_hash.remove(&untyped)?;
        entry.used = self.clock;
        let prepared = entry.prepared;
        self.by_hash.insert(hash, entry);
        Some(prepared)
    }

    /// Remembers a statement that was prepared under `setting`, to be executed with parameters of these types; returns
    /// the id of one to be closed: what had the same text and types (or hash), or the least recently used if there are
    /// now too many.
    #[must_use = "the returned statement must be closed on the server"]
    pub fn remember(&mut self, text: &[u8], types: u64, setting: Setting, prepared: Prepared) -> Option<u32> {
        self.clock += 1;
        let entry = Entry { text: text.into(), prepared, setting, used: self.clock };
        let replaced = self.by_hash.insert(hash(text, types), entry).map(|old| old.prepared.id);
        if replaced.is_some() || self.by_hash.len() <= KEPT {
            return replaced;
        }
        let oldest = self.by_hash.iter().min_by_key(|(_, entry)| entry.used).map(|(hash, _)| *hash)?;
        self.by_hash.remove(&oldest).map(|old| old.prepared.id)
    }

    /// Forgets a statement that does not come again, whatever its types are; returns its id.
    pub fn forget(&mut self, text: &[u8]) -> Option<u32> {
        let hash = self.by_hash.iter().find(|(_, entry)| *entry.text == *text).map(|(hash, _)| *hash)?;
        self.by_hash.remove(&hash).map(|old| old.prepared.id)
    }
}

fn hash(text: &[u8], types: u64) -> u64 {
    XxHash3_64::oneshot(text) ^ types
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(statements: &mut Statements, text: &[u8], setting: &Setting) -> Option<Prepared> {
        statements.find(text, UNTYPED, setting.database.as_ref(), setting.settings)
    }

    #[test]
    fn the_least_recently_used_statement_falls_out() {
        let (mut statements, here) = (Statements::default(), Setting::default());
        for id in 0..KEPT as u32 {
            let prepared = Prepared { id, params: 0 };
            assert_eq!(statements.remember(format!("SELECT {id}").as_bytes(), UNTYPED, here.clone(), prepared), None);
        }
        assert!(find(&mut statements, b"SELECT 0", &here).is_some());
        assert_eq!(
            statements.remember(b"SELECT new", UNTYPED, here.clone(), Prepared { id: 9_999, params: 0 }),
            Some(1)
        );
        assert_eq!(find(&mut statements, b"SELECT 1", &here), None);
        assert_eq!(find(&mut statements, b"SELECT 0", &here), Some(Prepared { id: 0, params: 0 }));
    }

    #[test]
    fn a_statement_prepared_again_replaces_itself() {
        let (mut statements, here) = (Statements::default(), Setting::default());
        assert_eq!(statements.remember(b"SELECT 1", UNTYPED, here.clone(), Prepared { id: 1, params: 0 }), None);
        assert_eq!(statements.remember(b"SELECT 1", UNTYPED, here, Prepared { id: 2, params: 0 }), Some(1));
        assert_eq!(statements.forget(b"SELECT 1"), Some(2));
    }

    #[test]
    fn with_other_types_it_is_another_statement() {
        let (mut statements, here) = (Statements::default(), Setting::default());
        assert_eq!(statements.remember(b"SELECT ?", UNTYPED, here.clone(), Prepared { id: 1, params: 1 }), None);
        let mut find = |types| statements.find(b"SELECT ?", types, None, 0).map(|prepared| prepared.id);
        // The first types are its own from then on.
        assert_eq!([find(7), find(8), find(7), find(UNTYPED)], [Some(1), None, Some(1), None]);
        assert_eq!(statements.remember(b"SELECT ?", 8, here, Prepared { id: 2, params: 1 }), None);
        assert_eq!(statements.find(b"SELECT ?", 8, None, 0).map(|prepared| prepared.id), Some(2));
        assert_eq!(statements.forget(b"SELECT ?").into_iter().chain(statements.forget(b"SELECT ?")).sum::<u32>(), 3);
    }

    #[test]
    fn in_another_database_or_with_other_settings_it_is_another_statement() {
        let mut statements = Statements::default();
        let a = Setting { database: Some("a".into()), settings: 1 };
        let b = Setting { database: Some("b".into()), settings: 1 };
        assert_eq!(statements.remember(b"SELECT DATABASE()", UNTYPED, a.clone(), Prepared { id: 1, params: 0 }), None);
        assert_eq!(find(&mut statements, b"SELECT DATABASE()", &b), None);
        assert_eq!(find(&mut statements, b"SELECT DATABASE()", &Setting { settings: 2, ..a.clone() }), None);
        assert_eq!(statements.remember(b"SELECT DATABASE()", UNTYPED, b, Prepared { id: 2, params: 0 }), Some(1));
        assert_eq!(find(&mut statements, b"SELECT DATABASE()", &a), None);
    }
}
