//! User variables as a server has them, read back as literals that make them again on another one.

use std::sync::Arc;

use crate::backend::conn::BackendError;
use crate::backend::lease::Lease;
use crate::backend::settings::Settings;
use crate::wire::column::ColumnType;

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
    match answer.types.get(4) {
        Some(&(ColumnType::LONGLONG | ColumnType::NEWDECIMAL)) => return Ok(Some(raw)),
        Some(&(ColumnType::DOUBLE | ColumnType::FLOAT)) => {
            // A bare 1.5 would be DECIMAL.
            let exponent: &[u8] = if raw.contains(&b'e') { b"" } else { b"e0" };
            return Ok(Some([&raw, exponent].concat()));
        }
        _ => {}
    }
    let hex = cell(1).unwrap_or_default();
    Ok(Some(match charset.as_str() {
        "binary" => format!("x'{hex}'").into_bytes(),
        _ => format!("_{charset} x'{hex}' COLLATE {collation}").into_bytes(),
    }))
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
