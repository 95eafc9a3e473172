//! User variables as a server has them, read back as literals that make them again on another one.

use std::sync::Arc;

use crate::backend::conn::BackendError;
use crate::backend::lease::Lease;
use crate::backend::settings::Settings;
use crate::sql::Facts;
use crate::sql::head::user_variables;
use crate::wire::column::{ColumnType, flags};

/// A user variable as it is written, whatever its name is.
pub fn quoted_variable(name: &str) -> String {
    format!("@`{}`", name.replace('`', "``"))
}

/// The value of a user variable as SQL text that gives the same value, type and collation again; none if it is NULL.
///
/// # Errors
/// Those of the connection.
pub async fn user_value(lease: &mut Lease, name: &str) -> Result<Option<Vec<u8>>, BackendError> {
    let variable = quoted_variable(name);
    let answer = lease
        .query(&format!(
            "SELECT {variable} IS NULL, HEX({variable}), CHARSET({variable}), COLLATION({variable}), {variable}"
        ))
        .await?;
    let cell = |i: usize| answer.text(0, i);
    if cell(0).as_deref() == Some("1") {
        return Ok(None);
    }
    let raw = answer.rows.first().and_then(|row| row.get(4)).and_then(Option::as_ref).cloned().unwrap_or_default();
    let (charset, collation) = (cell(2).unwrap_or_default(), cell(3).unwrap_or_default());
    let unsigned = answer.flags.get(4).is_some_and(|flags| flags & flags::UNSIGNED != 0);
    Ok(Some(match answer.types.get(4) {
        Some(&ColumnType::LONGLONG) => integer_text(&raw, unsigned),
        Some(&ColumnType::NEWDECIMAL) => decimal_text(&raw),
        Some(&(ColumnType::DOUBLE | ColumnType::FLOAT)) => double_text(&raw),
        _ => hex_text(&cell(1).unwrap_or_default(), &charset, &collation),
    }))
}

/// A whole number as SQL text; `unsigned` if its type is.
pub fn integer_text(digits: &[u8], unsigned: bool) -> Vec<u8> {
    let zeros = digits.iter().take(digits.len().saturating_sub(1)).take_while(|digit| **digit == b'0').count();
    match unsigned {
        // A literal is signed where it fits.
        true => [UNSIGNED.0, &digits[zeros..], UNSIGNED.1].concat(),
        false => digits[zeros..].to_vec(),
    }
}

/// What stands around an unsigned number.
const UNSIGNED: (&[u8], &[u8]) = (b"CAST(", b" AS UNSIGNED)");

/// The digits of a number that [`integer_text`] has written.
pub fn digits_of(text: &[u8]) -> &[u8] {
    text.strip_prefix(UNSIGNED.0).and_then(|text| text.strip_suffix(UNSIGNED.1)).unwrap_or(text)
}

/// A DECIMAL as SQL text: without a point it would be a whole number.
pub fn decimal_text(digits: &[u8]) -> Vec<u8> {
    let point: &[u8] = if digits.contains(&b'.') { b"" } else { b"." };
    [digits, point].concat()
}

/// A DOUBLE as SQL text: a bare 1.5 would be a DECIMAL.
pub fn double_text(text: &[u8]) -> Vec<u8> {
    let exponent: &[u8] = if text.contains(&b'e') { b"" } else { b"e0" };
    [text, exponent].concat()
}

/// A string of this character set and collation as SQL text.
pub fn string_text(text: &[u8], charset: &str, collation: &str) -> Vec<u8> {
    let hex: String = text.iter().map(|byte| format!("{byte:02X}")).collect();
    hex_text(&hex, charset, collation)
}

fn hex_text(hex: &str, charset: &str, collation: &str) -> Vec<u8> {
    match charset {
        "binary" => format!("x'{hex}'").into_bytes(),
        _ => format!("_{charset} x'{hex}' COLLATE {collation}").into_bytes(),
    }
}

/// A user variable and its value as [`user_value`] gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserVariable {
    /// As it is written: see [`quoted_variable`].
    pub name: String,
    /// SQL text; none: NULL.
    pub value: Option<Vec<u8>>,
}

/// Reads user variables back from a server, and notes that the connection has them.
///
/// # Errors
/// Those of the connection.
pub async fn read_back(lease: &mut Lease, names: &[String]) -> Result<Vec<UserVariable>, BackendError> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let value = user_value(lease, name).await?;
        found.push(UserVariable { name: quoted_variable(name), value });
    }
    if !found.is_empty() {
        lease.settings = Arc::new(with_variables(&lease.settings, &found));
    }
    Ok(found)
}

/// Settings with these values of user variables.
pub fn with_variables(settings: &Settings, variables: &[UserVariable]) -> Settings {
    let start = settings.clone();
    variables.iter().fold(start, |settings, variable| settings.with(&variable.name, variable.value.as_deref()))
}

/// Notes that nobody knows what a connection has in the user variables that a text names: they are set anew before it
/// runs anything else. MariaDB gives a variable the character set of the value that a statement would assign as soon as it
/// has read the statement, whether that is executed or not.
pub fn doubt_variables(lease: &mut Lease, text: &[u8], facts: Facts) {
    const UNKNOWN: &[u8] = b"?";
    let Ok(names) = user_variables(text, facts) else { return lease.taint() };
    if !names.is_empty() {
        let settings = (*lease.settings).clone();
        let doubt = |settings: Settings, name: &String| settings.with(&quoted_variable(name), Some(UNKNOWN));
        lease.settings = Arc::new(names.iter().fold(settings, doubt));
    }
}
