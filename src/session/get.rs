//! GET DIAGNOSTICS: from the session's diagnostics area into its user variables.

use crate::error::SqlError;
use crate::exec::interrupt::Stop;
use crate::exec::variables::{digits_of, quoted_variable};
use crate::plan::text::put_hex;
use crate::session::Session;
use crate::session::diagnostics::Condition;
use crate::session::set::unquoted;
use crate::sql::Flavour;
use crate::sql::head::{Area, GetDiagnostics};
use crate::wire::capabilities::Status;
use crate::wire::reply::OkPacket;

/// Lower-case names of user variables, with their values as SQL text.
type Values = Vec<(String, Vec<u8>)>;

impl Session {
    /// Sets the variables, and leaves the area as it is.
    pub(super) fn get_diagnostics(&mut self, wanted: &GetDiagnostics, add: Status) -> Result<(), Stop> {
        match self.diagnosed(wanted)? {
            Some(values) => {
                for (name, value) in values {
                    self.needs.settings = self.needs.settings.with(&quoted_variable(&name), Some(&value)).into();
                }
            }
            None => self.diagnostics.add_error(&SqlError {
                errno: 1758,
                state: *b"35000",
                message: "Invalid condition number".to_owned(),
            }),
        }
        let warnings = u16::try_from(self.diagnostics.len(false)).unwrap_or(u16::MAX);
        let ok = OkPacket { status: self.status().with(add), warnings, ..OkPacket::default() };
        super::reply::ok(&mut self.client, self.capabilities, &ok);
        Ok(())
    }

    /// The values of the variables, as SQL text; none if there is no such condition.
    fn diagnosed(&self, wanted: &GetDiagnostics) -> Result<Option<Values>, SqlError> {
        let number = match &wanted.area {
            Area::Statement => None,
            Area::Condition(number) => Some(*number),
            Area::Variable(name) => {
                let value = self.needs.settings.variable(&quoted_variable(name)).map(|text| unquoted(digits_of(text)));
                Some(value.and_then(|value| value.parse().ok()).unwrap_or(0))
            }
        };
        let condition = match number {
            None => None,
            Some(number) => {
                let kept = usize::try_from(number).ok().filter(|number| *number <= self.max_error_count());
                let Some(found) = kept.and_then(|number| self.diagnostics.condition(number)) else { return Ok(None) };
                Some(found)
            }
        };
        let value = |(name, item): &(String, String)| {
            let value = match condition {
                None => self.of_statement(item),
                Some(condition) => of_condition(condition, item),
            };
            let refusal = || SqlError::refuse(format!("Shardloom does not support {item} in GET DIAGNOSTICS"));
            Ok((name.clone(), value.ok_or_else(refusal)?))
        };
        wanted.items.iter().map(value).collect::<Result<_, _>>().map(Some)
    }

    fn of_statement(&self, item: &str) -> Option<Vec<u8>> {
        match item {
            "NUMBER" => Some(self.diagnostics.len(false).min(self.max_error_count()).to_string().into_bytes()),
            "ROW_COUNT" => Some(self.row_count.to_string().into_bytes()),
            _ => None,
        }
    }

    /// How many conditions the session wants to be kept.
    pub(super) fn max_error_count(&self) -> usize {
        let set = self.needs.settings.variable("max_error_count").map(unquoted);
        let default = if self.facts.flavour == Flavour::MariaDb { 64 } else { 1024 };
        set.and_then(|count| count.parse().ok()).unwrap_or(default)
    }
}

fn of_condition(condition: &Condition, item: &str) -> Option<Vec<u8>> {
    match item {
        "MYSQL_ERRNO" => Some(condition.code.to_string().into_bytes()),
        "MESSAGE_TEXT" => Some(text(condition.message.as_bytes())),
        "RETURNED_SQLSTATE" => condition.state.map(|state| text(&state)),
        _ => None,
    }
}

/// A text in the character set of the servers' own messages.
fn text(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_hex(b"_utf8mb3 x'", text, &mut out);
    out.extend_from_slice(b" COLLATE utf8mb3_general_ci");
    out
}
