//! The session state that a pooled connection must carry for whoever leases it, and the SET
//! statement that turns one state into another. It knows names and texts, not what they mean.

use std::collections::BTreeMap;
use std::hash::Hasher;

/// Variables that `SET NAMES` overwrites; each may also be set alone afterwards.
const CHARSET_VARIABLES: [&str; 4] =
    ["character_set_client", "character_set_connection", "character_set_results", "collation_connection"];

/// Whether this is one of the variables that SET NAMES sets.
pub fn is_charset(variable: &str) -> bool {
    CHARSET_VARIABLES.contains(&variable)
}

/// What a session has set, as differences from a connection just opened.
///
/// Immutable: a changed session gets a new one, so that equal `Arc`s prove equal state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The text behind `SET NAMES`.
    names: Option<Box<str>>,
    /// Lower-case variable name (user variables with their `@`) to the SQL text of its value.
    variables: BTreeMap<Box<str>, Box<[u8]>>,
    hash: u64,
}

impl Settings {
    /// A number that is equal for equal settings, to find a fitting connection without comparing texts.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// These settings after `SET NAMES <names>`.
    pub fn with_names(&self, names: &str) -> Settings {
        let mut new = self.clone();
        new.names = Some(names.into());
        for name in CHARSET_VARIABLES {
            new.variables.remove(name);
        }
        new.hashed()
    }

    /// These settings after `SET <name> = <value>`; a `value` of `None` means DEFAULT.
    ///
    /// `name` is the lower-case name of a system variable without scope, or `@name`.
    pub fn with(&self, name: &str, value: Option<&[u8]>) -> Settings {
        let mut new = self.clone();
        match value {
            Some(value) => new.variables.insert(name.into(), value.into()),
            None => new.variables.remove(name),
        };
        new.hashed()
    }

    /// The SQL text of what a variable was set to.
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        self.variables.get(name).map(|value| &**value)
    }

    /// The text behind the last `SET NAMES`.
    pub fn names(&self) -> Option<&str> {
        self.names.as_deref()
    }

    /// What is set, as one would write it.
    pub fn difference_text(&self) -> String {
        let set = Settings::default().difference(self, false).unwrap_or_default();
        String::from_utf8_lossy(&set).into_owned()
    }

    /// The statement that turns a connection in the state `self` into one in the state `wanted`;
    /// `None` if nothing differs.
    ///
    /// All values were read back from a server or are literals that the proxy checked, so the
    /// statement can fail only where a server lacks a variable that another one has.
    pub fn difference(&self, wanted: &Settings, mariadb: bool) -> Option<Vec<u8>> {
        if self.hash == wanted.hash && self == wanted {
            return None;
        }
        let mut set = Assignments { text: b"SET ".to_vec(), first: true };
        let lost_charset =
            CHARSET_VARIABLES.iter().any(|v| self.variables.contains_key(*v) && !wanted.variables.contains_key(*v));
        let rename = self.names != wanted.names || lost_charset;
        if rename {
            let names = wanted.names.as_deref().unwrap_or("DEFAULT");
            set.item(&[b"NAMES ", names.as_bytes()]);
        }
        for name in self.variables.keys().filter(|name| !wanted.variables.contains_key(*name)) {
            if name.starts_with('@') {
                set.item(&[name.as_bytes(), b"=NULL"]);
            } else if !CHARSET_VARIABLES.contains(&&**name) {
                let default: &[u8] = match &**name {
                    name if is_tracking(name, mariadb) => TRACK_DEFAULT,
                    "foreign_key_checks" => b"@@GLOBAL.foreign_key_checks",
                    "unique_checks" => b"@@GLOBAL.unique_checks",
                    _ => b"DEFAULT",
                };
                set.item(&[session_variable(name, mariadb), b"=", default]);
            }
        }
        for (name, value) in &wanted.variables {
            let again = rename && CHARSET_VARIABLES.contains(&&**name);
            if !again && self.variables.get(name) == Some(value) {
                continue;
            }
            if is_tracking(name, mariadb) {
                set.item(&[name.as_bytes(), b"=CONCAT_WS(',', NULLIF(", value, b", ''), 'last_gtid')"]);
            } else {
                set.item(&[session_variable(name, mariadb), b"=", value]);
            }
        }
        (!set.first).then_some(set.text)
    }

    fn hashed(mut self) -> Settings {
        let mut hasher = twox_hash::XxHash3_64::with_seed(0);
        if let Some(names) = &self.names {
            hasher.write(names.as_bytes());
        }
        for (name, value) in &self.variables {
            hasher.write(&[0]);
            hasher.write(name.as_bytes());
            hasher.write(&[1]);
            hasher.write(value);
        }
        self.hash = if self.names.is_none() && self.variables.is_empty() { 0 } else { hasher.finish() };
        self
    }
}

/// Whether this is the list of variables that MariaDB tells changes of: the proxy itself needs `last_gtid` in it.
fn is_tracking(name: &str, mariadb: bool) -> bool {
    mariadb && name == "session_track_system_variables"
}

const TRACK_DEFAULT: &[u8] = b"CONCAT_WS(',', NULLIF(@@global.session_track_system_variables, ''), 'last_gtid')";

/// The name a server knows a variable by: MariaDB before 11.1 says `tx_` where MySQL says `transaction_`.
fn session_variable(name: &str, mariadb: bool) -> &[u8] {
    match name {
        "transaction_isolation" if mariadb => b"tx_isolation",
        "transaction_read_only" if mariadb => b"tx_read_only",
        _ => name.as_bytes(),
    }
}

struct Assignments {
    text: Vec<u8>,
    first: bool,
}

impl Assignments {
    fn item(&mut self, parts: &[&[u8]]) {
        if !std::mem::take(&mut self.first) {
            self.text.extend_from_slice(b", ");
        }
        for part in parts {
            self.text.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(from: &Settings, to: &Settings) -> String {
        from.difference(to, false).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }

    #[test]
    fn only_what_differs_is_sent() {
        let fresh = Settings::default();
        let utf8 = fresh.with_names("utf8mb4");
        let zoned = utf8.with("time_zone", Some(b"'+00:00'"));
        let quiet = zoned.with("@a", Some(b"5"));
        assert_eq!(difference(&utf8, &utf8.clone()), "");
        assert_eq!(difference(&fresh, &zoned), "SET NAMES utf8mb4, time_zone='+00:00'");
        assert_eq!(difference(&utf8, &zoned), "SET time_zone='+00:00'");
        assert_eq!(difference(&zoned, &utf8), "SET time_zone=DEFAULT");
        assert_eq!(difference(&zoned, &quiet), "SET @a=5");
        assert_eq!(difference(&quiet, &fresh), "SET NAMES DEFAULT, @a=NULL, time_zone=DEFAULT");
    }

    #[test]
    fn names_overwrite_single_charset_variables_and_these_are_set_again_behind_them() {
        let utf8 = Settings::default().with_names("utf8mb4");
        let no_conversion = utf8.with("character_set_results", Some(b"NULL"));
        assert_eq!(difference(&utf8, &no_conversion), "SET character_set_results=NULL");
        assert_eq!(difference(&no_conversion, &utf8), "SET NAMES utf8mb4");
        let latin = utf8.with_names("latin1").with("character_set_results", Some(b"NULL"));
        assert_eq!(difference(&no_conversion, &latin), "SET NAMES latin1, character_set_results=NULL");
        assert_eq!(no_conversion.with_names("utf8mb4"), utf8);
    }

    #[test]
    fn equal_settings_hash_equally_whatever_the_order_they_were_made_in() {
        let a = Settings::default().with("a", Some(b"1")).with("b", Some(b"2"));
        let b = Settings::default().with("b", Some(b"2")).with("a", Some(b"1"));
        assert_eq!((a.hash(), &a), (b.hash(), &b));
        assert_eq!(a.with("a", None).with("b", None).hash(), Settings::default().hash());
    }

    #[test]
    fn mariadb_knows_the_isolation_level_by_its_old_name() {
        let wanted = Settings::default().with("transaction_isolation", Some(b"'SERIALIZABLE'"));
        assert_eq!(
            Settings::default().difference(&wanted, true).as_deref(),
            Some(&b"SET tx_isolation='SERIALIZABLE'"[..])
        );
    }
}
