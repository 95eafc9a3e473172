//! GET DIAGNOSTICS: what is asked of the diagnostics area. What is in it is not known here.
//!
//! <https://dev.mysql.com/doc/refman/9.7/en/get-diagnostics.html>

use crate::sql::cursor::Cursor;
use crate::sql::head::Head;
use crate::sql::head::set::user_variable;
use crate::sql::lex::{Punct, TokenKind};

/// What GET DIAGNOSTICS asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetDiagnostics {
    /// Of what.
    pub area: Area,
    /// Lower-case names of user variables, each with the item in upper case that it gets.
    pub items: Vec<(String, String)>,
}

/// What the items are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Area {
    /// The statement as a whole.
    Statement,
    /// A condition: its number as a literal.
    Condition(u64),
    /// A condition: the lower-case name of the user variable that has its number.
    Variable(String),
}

/// Behind GET.
pub(super) fn get(cursor: &mut Cursor<'_>) -> Option<Head> {
    if cursor.eat(&["STACKED"]) {
        return Some(Head::Diagnostics);
    }
    cursor.eat(&["CURRENT"]);
    cursor.eat(&["DIAGNOSTICS"]).then_some(())?;
    let area = match cursor.eat(&["CONDITION"]) {
        false => Area::Statement,
        true => match cursor.integer() {
            Some(number) => Area::Condition(number),
            None => Area::Variable(variable(cursor)?),
        },
    };
    let mut items = Vec::new();
    loop {
        let name = variable(cursor)?;
        cursor.eat_punct(Punct::Eq).then_some(())?;
        items.push((name, cursor.name()?.name.to_ascii_uppercase()));
        if !cursor.eat_punct(Punct::Comma) {
            break;
        }
    }
    cursor.at_end().then_some(Head::GetDiagnostics(GetDiagnostics { area, items }))
}

fn variable(cursor: &mut Cursor<'_>) -> Option<String> {
    let token = cursor.next().filter(|token| token.kind == TokenKind::UserVariable)?;
    user_variable(cursor.text(token), cursor)
}
