//! The statements prepared on one backend connection, so that a client's prepared statement needs no
//! second round there. Bounded; what falls out is closed on the server with the next command.

use std::collections::HashMap;

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

/// The statements prepared on one connection, by their text.
#[derive(Debug, Default)]
pub struct Statements {
    by_text: HashMap<Box<[u8]>, (Prepared, u64)>,
    clock: u64,
}

impl Statements {
    /// The statement with this text, if it is prepared here.
    pub fn find(&mut self, text: &[u8]) -> Option<Prepared> {
        self.clock += 1;
        let clock = self.clock;
        self.by_text.get_mut(text).map(|(prepared, used)| {
            *used = clock;
            *prepared
        })
    }

    /// Remembers a statement; returns the id of one to be closed, if there are now too many.
    #[must_use = "the returned statement must be closed on the server"]
    pub fn remember(&mut self, text: &[u8], prepared: Prepared) -> Option<u32> {
        self.clock += 1;
        let replaced = self.by_text.insert(text.into(), (prepared, self.clock)).map(|(old, _)| old.id);
        if replaced.is_some() || self.by_text.len() <= KEPT {
            return replaced;
        }
        let oldest = self.by_text.iter().min_by_key(|(_, (_, used))| *used).map(|(text, _)| text.clone())?;
        self.by_text.remove(&oldest).map(|(old, _)| old.id)
    }

    /// Forgets a statement that the server no longer accepts; returns its id.
    pub fn forget(&mut self, text: &[u8]) -> Option<u32> {
        self.by_text.remove(text).map(|(old, _)| old.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_statement_falls_out() {
        let mut statements = Statements::default();
        for id in 0..KEPT as u32 {
            assert_eq!(statements.remember(format!("SELECT {id}").as_bytes(), Prepared { id, params: 0 }), None);
        }
        assert!(statements.find(b"SELECT 0").is_some());
        assert_eq!(statements.remember(b"SELECT new", Prepared { id: 9_999, params: 0 }), Some(1));
        assert_eq!(statements.find(b"SELECT 1"), None);
        assert_eq!(statements.find(b"SELECT 0"), Some(Prepared { id: 0, params: 0 }));
    }

    #[test]
    fn a_statement_prepared_again_replaces_itself() {
        let mut statements = Statements::default();
        assert_eq!(statements.remember(b"SELECT 1", Prepared { id: 1, params: 0 }), None);
        assert_eq!(statements.remember(b"SELECT 1", Prepared { id: 2, params: 0 }), Some(1));
        assert_eq!(statements.forget(b"SELECT 1"), Some(2));
    }
}
