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

/// The statements prepared on one connection, by their text.
#[derive(Debug, Default)]
pub struct Statements {
    /// By the hash of their text, which is looked at again when one is found.
    by_hash: BTreeMap<u64, Entry>,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    text: Box<[u8]>,
    prepared: Prepared,
    setting: Setting,
    used: u64,
}

impl Statements {
    /// The statement with this text, if it is prepared here and means the same with this default database and settings.
    pub fn find(&mut self, text: &[u8], database: Option<&Arc<str>>, settings: u64) -> Option<Prepared> {
        self.clock += 1;
        let entry = self.by_hash.get_mut(&XxHash3_64::oneshot(text)).filter(|entry| {
            *entry.text == *text && entry.setting.settings == settings && entry.setting.database.as_ref() == database
        })?;
        entry.used = self.clock;
        Some(entry.prepared)
    }

    /// Remembers a statement that was prepared under `setting`; returns the id of one to be closed: what had the same
    /// text (or hash), or the least recently used if there are now too many.
    #[must_use = "the returned statement must be closed on the server"]
    pub fn remember(&mut self, text: &[u8], setting: Setting, prepared: Prepared) -> Option<u32> {
        self.clock += 1;
        let entry = Entry { text: text.into(), prepared, setting, used: self.clock };
        let replaced = self.by_hash.insert(XxHash3_64::oneshot(text), entry).map(|old| old.prepared.id);
        if replaced.is_some() || self.by_hash.len() <= KEPT {
            return replaced;
        }
        let oldest = self.by_hash.iter().min_by_key(|(_, entry)| entry.used).map(|(hash, _)| *hash)?;
        self.by_hash.remove(&oldest).map(|old| old.prepared.id)
    }

    /// Forgets a statement that the server no longer accepts; returns its id.
    pub fn forget(&mut self, text: &[u8]) -> Option<u32> {
        let hash = XxHash3_64::oneshot(text);
        self.by_hash.get(&hash).filter(|entry| *entry.text == *text)?;
        self.by_hash.remove(&hash).map(|old| old.prepared.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(statements: &mut Statements, text: &[u8], setting: &Setting) -> Option<Prepared> {
        statements.find(text, setting.database.as_ref(), setting.settings)
    }

    #[test]
    fn the_least_recently_used_statement_falls_out() {
        let (mut statements, here) = (Statements::default(), Setting::default());
        for id in 0..KEPT as u32 {
            let prepared = Prepared { id, params: 0 };
            assert_eq!(statements.remember(format!("SELECT {id}").as_bytes(), here.clone(), prepared), None);
        }
        assert!(find(&mut statements, b"SELECT 0", &here).is_some());
        assert_eq!(statements.remember(b"SELECT new", here.clone(), Prepared { id: 9_999, params: 0 }), Some(1));
        assert_eq!(find(&mut statements, b"SELECT 1", &here), None);
        assert_eq!(find(&mut statements, b"SELECT 0", &here), Some(Prepared { id: 0, params: 0 }));
    }

    #[test]
    fn a_statement_prepared_again_replaces_itself() {
        let (mut statements, here) = (Statements::default(), Setting::default());
        assert_eq!(statements.remember(b"SELECT 1", here.clone(), Prepared { id: 1, params: 0 }), None);
        assert_eq!(statements.remember(b"SELECT 1", here, Prepared { id: 2, params: 0 }), Some(1));
        assert_eq!(statements.forget(b"SELECT 1"), Some(2));
    }

    #[test]
    fn in_another_database_or_with_other_settings_it_is_another_statement() {
        let mut statements = Statements::default();
        let a = Setting { database: Some("a".into()), settings: 1 };
        let b = Setting { database: Some("b".into()), settings: 1 };
        assert_eq!(statements.remember(b"SELECT DATABASE()", a.clone(), Prepared { id: 1, params: 0 }), None);
        assert_eq!(find(&mut statements, b"SELECT DATABASE()", &b), None);
        assert_eq!(find(&mut statements, b"SELECT DATABASE()", &Setting { settings: 2, ..a.clone() }), None);
        assert_eq!(statements.remember(b"SELECT DATABASE()", b, Prepared { id: 2, params: 0 }), Some(1));
        assert_eq!(find(&mut statements, b"SELECT DATABASE()", &a), None);
    }
}
