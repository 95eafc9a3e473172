//! What only the session knows: ROW_COUNT(), FOUND_ROWS(), CONNECTION_ID(), USER() and their like. A pooled connection
//! would answer for somebody else, so the session answers where nothing else is asked, and writes the value into the
//! statement elsewhere. What the statement then does with it is for others.

use crate::error::SqlError;
use crate::exec::interrupt::Stop;
use crate::plan::render::column_name;
use crate::plan::text::{put_hex, quote};
use crate::rare::boxed;
use crate::session::Session;
use crate::session::query::Understood;
use crate::session::reply::{CellKind, Null, Table};
use crate::session::run::Execution;
use crate::sql::Flavour;
use crate::sql::ast::{Body, Expr, Query, SelectItem, Span, Statement};
use crate::sql::parse::parse;
use crate::sql::scan::{Scan, scan};
use crate::sql::walk::{self, Node};

/// How a value is written, and for whom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// In a statement: with the type of the function in every respect that a column's definition shows, as
    /// `IF(FALSE, f(), value)`. Items of select lists keep their names.
    Typed,
    /// In SET: as a value alone, of the same type to whoever computes with it.
    Plain,
}

impl Session {
    /// Answers a statement that asks for some of these.
    pub(super) async fn session_function(&mut self, of: &Execution<'_>) -> Result<(), Stop> {
        let Execution { sql, scan: scanned, topology, ask, add, .. } = *of;
        let sql = &sql[..scanned.end as usize];
        if let Some(table) = self.bare_answer(sql) {
            // It was a statement itself, of one row.
            (self.row_count, self.found_rows) = (-1, Some(1));
            return self.answer(table, ask, add);
        }
        let text = self.with_own_values(sql, Form::Typed)?.ok_or_else(|| refused("a statement that it cannot read"))?;
        let mut scanned = Scan::default();
        scan(&text, self.facts, self.proxy.seed, &mut scanned)?;
        let Understood::Plan(planned) = self.understand(&text, &scanned, topology)? else {
            return Err(refused("this statement").into());
        };
        let effects = planned.effects;
        if effects.asks_session() {
            return Err(refused("a part of the statement that it cannot read").into());
        }
        boxed(self.run(&Execution { sql: &text, scan: &scanned, planned: &planned, ..*of })).await
    }

    /// The answer to a SELECT of such functions alone.
    fn bare_answer(&self, sql: &[u8]) -> Option<Table> {
        let items = bare_select(sql).filter(|items| !items.is_empty())?;
        let mut table = Table { rows: vec![Vec::new()], ..Table::default() };
        for (item, name) in items {
            let (kind, value) = self.own_value(&item.to_ascii_uppercase())?;
            table.columns.push((name, kind));
            table.rows[0].push(value);
        }
        Some(table)
    }

    /// A statement with the values of these functions written into it; `None` if it cannot be read.
    ///
    /// # Errors
    /// 1235 for one whose value is not known.
    pub(super) fn with_own_values(&self, sql: &[u8], form: Form) -> Result<Option<Vec<u8>>, SqlError> {
        let Ok(statement) = parse(sql, self.facts) else { return Ok(None) };
        let found = Found::of(&statement);
        let mut edits = Vec::new();
        for (span, function) in &found.functions {
            if function.starts_with("@@") && form == Form::Typed && self.facts.flavour == Flavour::MariaDb {
                // MariaDB counts from 0 again before it runs a statement that reads tables, and not before others.
                return Err(refused(&format!("a statement with {function}")));
            }
            let value = self.own_value(function).ok_or_else(|| refused(&format!("{function} that is not known")))?;
            edits.push((*span, self.written(function, value, form)));
        }
        let named = if form == Form::Typed { found.named } else { Vec::new() };
        for item in named {
            if found.functions.iter().any(|(span, _)| item.start <= span.start && span.end <= item.end) {
                let mut alias = b" AS ".to_vec();
                quote(column_name(item.of(sql)), &mut alias);
                edits.push((Span { start: item.end, end: item.end }, alias));
            }
        }
        // Where a function ends with its item, its value comes first.
        edits.sort_by_key(|(span, _)| (span.start, span.end));
        let (mut text, mut copied) = (Vec::with_capacity(sql.len() + 64), 0);
        for (span, with) in edits {
            text.extend_from_slice(&sql[copied..span.start as usize]);
            text.extend_from_slice(&with);
            copied = span.end as usize;
        }
        text.extend_from_slice(&sql[copied..]);
        Ok(Some(text))
    }

    /// The expression that stands in place of a function.
    fn written(&self, function: &str, (kind, value): (CellKind, Option<String>), form: Form) -> Vec<u8> {
        let value = match (kind, value) {
            (_, None) => b"NULL".to_vec(),
            // In MySQL the name of this character set is deprecated, which costs a warning; a literal of plain letters
            // takes it over from the function.
            (CellKind::Varchar(..) | CellKind::Text, Some(text)) if form == Form::Typed && is_plain(&text) => {
                format!("'{text}'").into_bytes()
            }
            (CellKind::Varchar(..) | CellKind::Text, Some(text)) => {
                let mut out = Vec::new();
                put_hex(b"_utf8mb3 x'", text.as_bytes(), &mut out);
                out
            }
            (CellKind::Int, Some(number)) if form == Form::Typed => number.into_bytes(),
            (CellKind::Int, Some(number)) => format!("CAST({number} AS SIGNED)").into_bytes(),
            (_, Some(number)) => format!("CAST({number} AS UNSIGNED)").into_bytes(),
        };
        match form {
            Form::Typed => [b"IF(FALSE, ", function.as_bytes(), b", ", &value, b")"].concat(),
            Form::Plain => value,
        }
    }

    /// What the session itself knows, by the expression that asks for it in upper case.
    fn own_value(&self, expression: &str) -> Option<(CellKind, Option<String>)> {
        let number = |kind, value: i128| Some((kind, Some(value.to_string())));
        let (account, id) = match self.facts.flavour {
            Flavour::MySql => (CellKind::Varchar(288, Null::Yes), CellKind::Unsigned),
            Flavour::MariaDb => (CellKind::Varchar(384, Null::Yes), CellKind::UnsignedLong(10)),
        };
        match expression {
            "CONNECTION_ID()" => number(id, i128::from(self.seat.entry.id)),
            "ROW_COUNT()" => number(CellKind::Int, i128::from(self.row_count)),
            "FOUND_ROWS()" => number(CellKind::Int, i128::from(self.found_rows?)),
            "@@WARNING_COUNT" | "@@SESSION.WARNING_COUNT" => {
                number(CellKind::UnsignedOrNull, self.diagnostics.len(false) as i128)
            }
            "@@ERROR_COUNT" | "@@SESSION.ERROR_COUNT" => {
                number(CellKind::UnsignedOrNull, self.diagnostics.len(true) as i128)
            }
            "USER()" | "SESSION_USER()" | "SYSTEM_USER()" => {
                Some((account, Some(format!("{}@{}", self.login.user, self.host))))
            }
            "CURRENT_USER()" | "CURRENT_USER" => Some((account, Some(format!("{}@%", self.login.user)))),
            "DATABASE()" | "SCHEMA()" => {
                Some((CellKind::Varchar(64, Null::Yes), self.needs.schema.as_deref().map(str::to_owned)))
            }
            _ => None,
        }
    }
}

/// Where a statement asks for what only the session knows.
#[derive(Default)]
struct Found {
    /// The functions, in upper case, as [`Session::own_value`] knows them.
    functions: Vec<(Span, String)>,
    /// Items of select lists that are named by their own text.
    named: Vec<Span>,
}

impl Found {
    fn of(statement: &Statement) -> Found {
        let mut found = Found::default();
        walk::statement(statement, &mut |node| {
            match node {
                Node::Query(query) => found.items_of(query),
                Node::Expr(Expr::Function(function)) if function.args.is_empty() && is_own(&function.name) => {
                    found.functions.push((function.span, format!("{}()", function.name)));
                }
                Node::Expr(Expr::Variable { text, span }) if is_own_variable(text) => {
                    found.functions.push((*span, text.to_ascii_uppercase()));
                }
                Node::Expr(_) | Node::Table(_) | Node::Name(_) => {}
            }
            true
        });
        match statement {
            Statement::Insert(insert) => found.items(&insert.returning_items),
            Statement::Delete(delete) => found.items(&delete.returning_items),
            Statement::Query(_) | Statement::Update(_) => {}
        }
        found
    }

    fn items_of(&mut self, query: &Query) {
        let mut bodies = vec![&query.body];
        while let Some(body) = bodies.pop() {
            match body {
                Body::Select(select) => self.items(&select.items),
                Body::SetOperation { left, right, .. } => bodies.extend([&**left, &**right]),
                // A query of its own.
                Body::Nested(_) | Body::Values(_) | Body::Table(_) => {}
            }
        }
    }

    fn items(&mut self, items: &[SelectItem]) {
        let named = items.iter().filter_map(|item| match item {
            SelectItem::Expr { alias: None, span, .. } => Some(*span),
            _ => None,
        });
        self.named.extend(named);
    }
}

fn is_own(function: &str) -> bool {
    matches!(
        function,
        "CONNECTION_ID" | "ROW_COUNT" | "FOUND_ROWS" | "USER" | "SESSION_USER" | "SYSTEM_USER" | "CURRENT_USER"
    )
}

fn is_own_variable(variable: &str) -> bool {
    matches!(variable, "@@warning_count" | "@@session.warning_count" | "@@error_count" | "@@session.error_count")
}

/// Whether a text reads the same between quotes whatever the session has set.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "@%._-:".contains(c))
}

/// Error 1235; `place`: in what it stands.
pub(super) fn refused(place: &str) -> SqlError {
    SqlError::refuse(format!(
        "Shardloom does not support ROW_COUNT(), FOUND_ROWS(), CONNECTION_ID(), USER() and their like in {place}: select \
         it alone and use its value"
    ))
}

/// `SELECT <items>`, perhaps with the LIMIT 1 that `mysql` adds, and nothing else: the items and the names of their
/// columns.
fn bare_select(sql: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(sql).ok()?.trim();
    let (verb, rest) = text.split_at_checked(6)?;
    let lower = rest.to_ascii_lowercase();
    let list = lower.trim_end().strip_suffix("limit 1").map_or(rest, |head| &rest[..head.len()]);
    let simple =
        |item: &str| !item.is_empty() && item.chars().all(|c| c.is_ascii_alphanumeric() || "_@.()".contains(c));
    let item = |item: &str| {
        let words: Vec<&str> = item.split_ascii_whitespace().collect();
        let (item, name) = match *words.as_slice() {
            [item] => (item, item),
            [item, "as" | "AS" | "As", name] | [item, name] if !name.contains(['@', '.', '(', ')']) => {
                (item, name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or(name))
            }
            _ => return None,
        };
        (simple(item) && simple(name)).then(|| (item.to_owned(), name.to_owned()))
    };
    let items: Option<Vec<_>> = list.split(',').map(item).collect();
    items.filter(|_| verb.eq_ignore_ascii_case("SELECT"))
}
