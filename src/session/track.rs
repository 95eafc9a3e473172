//! What changed in a session, told to its client in OK packets (CLIENT_SESSION_TRACK): the default schema and the
//! system variables that `session_track_system_variables` lists. It knows texts of values, not what they mean.
//!
//! A variable that is set back to DEFAULT is not told: only a server knows its default.
//!
//! <https://dev.mysql.com/doc/refman/9.0/en/session-state-tracking.html>

use crate::backend::settings::Settings;
use crate::session::Session;
use crate::sql::head::{SetItem, SetTarget};
use crate::wire::capabilities::Capabilities;
use crate::wire::reply::{SessionChange, put_session_change};

/// What servers track unless told otherwise.
const BY_DEFAULT: &str = "time_zone,autocommit,character_set_client,character_set_results,character_set_connection";

/// Told as ON and OFF, read as 1 and 0.
const SWITCHES: &[&str] = &[
    "autocommit",
    "big_tables",
    "foreign_key_checks",
    "sql_auto_is_null",
    "sql_big_selects",
    "sql_buffer_result",
    "sql_log_off",
    "sql_notes",
    "sql_quote_show_create",
    "sql_safe_updates",
    "sql_warnings",
    "transaction_read_only",
    "unique_checks",
];

impl Session {
    /// The default schema is another one, or the same again.
    pub(super) fn tell_schema(&mut self) {
        if self.hears() && self.needs.settings.variable("session_track_schema") != Some(b"0") {
            let schema = self.needs.schema.as_deref().unwrap_or_default();
            put_session_change(&mut self.told, SessionChange::Schema(schema.as_bytes()));
        }
    }

    /// A SET has come into force.
    pub(super) fn tell_settings(&mut self, items: &[SetItem]) {
        if !self.hears() {
            return;
        }
        for item in items {
            match &item.target {
                SetTarget::System { name, .. } => self.tell_variable(name),
                SetTarget::Names { .. } | SetTarget::Charset => {
                    for name in ["character_set_client", "character_set_results", "character_set_connection"] {
                        self.tell_variable(name);
                    }
                }
                SetTarget::User(_) | SetTarget::Password => {}
            }
        }
    }

    /// This variable, by the name that the session's settings have for it, was set.
    pub(super) fn tell_variable(&mut self, name: &str) {
        let settings = &self.needs.settings;
        if !self.hears() || !is_tracked(settings, name) {
            return;
        }
        if let Some(value) = value(settings, name) {
            let change = SessionChange::SystemVariable { name: name.as_bytes(), value: value.as_bytes() };
            put_session_change(&mut self.told, change);
        }
    }

    fn hears(&self) -> bool {
        self.capabilities.has(Capabilities::SESSION_TRACK)
    }
}

fn is_tracked(settings: &Settings, name: &str) -> bool {
    let list = settings.variable("session_track_system_variables").map(super::set::unquoted);
    let list = list.as_deref().unwrap_or(BY_DEFAULT);
    list.split(',').map(str::trim).any(|tracked| tracked == "*" || tracked.eq_ignore_ascii_case(name))
}

/// The text that a server would tell, if the settings know it.
fn value(settings: &Settings, name: &str) -> Option<String> {
    let set = settings.variable(name).map(super::set::unquoted);
    if SWITCHES.contains(&name) {
        return match set.as_deref() {
            Some("1") => Some("ON".to_owned()),
            Some("0") => Some("OFF".to_owned()),
            None if name == "autocommit" => Some("ON".to_owned()),
            _ => None,
        };
    }
    if set.is_some() || !name.starts_with("character_set_") {
        return set.map(|value| if value == "NULL" { String::new() } else { value });
    }
    settings.names().and_then(|names| names.split(' ').next()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_as_servers_tell_them() {
        let settings = Settings::default()
            .with_names("utf8mb4 COLLATE utf8mb4_bin")
            .with("time_zone", Some(b"'+01:00'"))
            .with("character_set_results", Some(b"NULL"))
            .with("autocommit", Some(b"0"));
        for (name, told) in [
            ("time_zone", Some("+01:00")),
            ("autocommit", Some("OFF")),
            ("character_set_client", Some("utf8mb4")),
            ("character_set_results", Some("")),
            ("sql_mode", None),
            ("foreign_key_checks", None),
        ] {
            assert_eq!(value(&settings, name).as_deref(), told, "{name}");
        }
        assert_eq!(value(&Settings::default(), "autocommit").as_deref(), Some("ON"));
        assert!(is_tracked(&settings, "time_zone") && !is_tracked(&settings, "sql_mode"));
        let all = settings.with("session_track_system_variables", Some(b"'*'"));
        assert!(is_tracked(&all, "sql_mode"));
    }
}
