//! PREPARE, EXECUTE and DEALLOCATE in SQL text: statements that have names, with values of user variables as their
//! parameters. They are kept with those of the binary protocol; how a server types a parameter is left to the server.

use crate::error::{Code, SqlError};
use crate::exec::ask::{Ask, Using};
use crate::exec::interrupt::Stop;
use crate::exec::variables::{digits_of, doubt_variables, quoted_variable};
use crate::session::Session;
use crate::session::prepared::Statement;
use crate::session::query::Understood;
use crate::session::run::Execution;
use crate::session::typing::Given;
use crate::sql::ast::{Ident, LiteralKind, Span};
use crate::sql::head::{Head, PrepareSource, has_word, head, sole_variable};
use crate::sql::scan::{Scan, scan};
use crate::sql::{Flavour, SqlMode, TextCharset, literal, syntax_error};
use crate::txn::Access;
use crate::value::Datum;
use crate::wire::capabilities::Status;
use crate::wire::column::ColumnType;
use crate::wire::reply::{ERR, ErrPacket, OkPacket};
use crate::wire::stream::{Plain, Stream};

/// What the description of a statement may take, of which only an error is read.
const DESCRIPTION: usize = 1 << 24;

/// The variables that hold values of expressions while a statement runs; no client names one so by chance.
const HELD: &str = "shardloom parameter ";

impl Session {
    /// PREPARE name FROM text.
    pub(super) async fn prepare_by_name(
        &mut self,
        sql: &[u8],
        name: &Ident,
        source: &PrepareSource,
        add: Status,
    ) -> Result<(), Stop> {
        let name = name.name.to_lowercase();
        // One of this name is gone, whatever becomes of the new one.
        self.forget(&name);
        let text = self.prepared_text(sql, source).await?;
        let id = self.prepare_unheard(&text).await?;
        self.prepared.names.insert(name, id);
        self.diagnostics.clear();
        self.row_count = 0;
        let ok = OkPacket { status: self.status().with(add), info: b"Statement prepared", ..OkPacket::default() };
        super::reply::ok(&mut self.client, self.capabilities, &ok);
        Ok(())
    }

    /// EXECUTE name.
    pub(super) async fn execute_by_name(
        &mut self,
        sql: &[u8],
        name: &Ident,
        using: &[Span],
        add: Status,
    ) -> Result<(), Stop> {
        self.check_using(sql, using)?;
        let known = self.prepared.names.get(&name.name.to_lowercase()).copied();
        let found = known.and_then(|id| Some((id, self.prepared.take(id)?)));
        let Some((id, mut statement)) = found else { return Err(unknown(name, "EXECUTE").into()) };
        let outcome = self.execute_prepared(&mut statement, sql, using, add).await;
        self.prepared.put_back(id, statement);
        outcome
    }

    /// MariaDB's EXECUTE IMMEDIATE.
    pub(super) async fn execute_text(
        &mut self,
        sql: &[u8],
        source: &PrepareSource,
        using: &[Span],
        add: Status,
    ) -> Result<(), Stop> {
        if self.facts.flavour == Flavour::MySql {
            return Err(syntax_error(sql, source_start(sql, source)).into());
        }
        self.check_using(sql, using)?;
        let text = self.prepared_text(sql, source).await?;
        let id = self.prepare_unheard(&text).await?;
        let Some(mut statement) = self.prepared.remove(id) else { return Ok(()) };
        self.execute_prepared(&mut statement, sql, using, add).await
    }

    /// DEALLOCATE PREPARE name.
    pub(super) fn deallocate(&mut self, name: &Ident) -> Result<(), SqlError> {
        if self.forget(&name.name.to_lowercase()) { Ok(()) } else { Err(unknown(name, "DEALLOCATE PREPARE")) }
    }

    fn forget(&mut self, name: &str) -> bool {
        let known = self.prepared.names.remove(name);
        known.is_some_and(|id| self.prepared.remove(id).is_some())
    }

    /// Prepares a statement as COM_STMT_PREPARE does, without telling the client.
    async fn prepare_unheard(&mut self, text: &[u8]) -> Result<u32, Stop> {
        let prepare = self.unheard(DESCRIPTION, async |session| session.prepare_statement(text).await);
        let (prepared, told) = Box::pin(prepare).await?;
        if let Some(id) = prepared {
            return Ok(id);
        }
        let bytes = match told.stream() {
            Stream::Plain(Plain::Kept(kept)) => kept.bytes().and_then(|bytes| bytes.get(4..)).unwrap_or_default(),
            _ => &[],
        };
        match bytes.first() {
            Some(&ERR) => Err(ErrPacket::decode(bytes).map_err(SqlError::from)?.to_sql_error().into()),
            _ => Err(SqlError::new(Code::Unknown, "a statement was not prepared, and nobody said why").into()),
        }
    }

    async fn execute_prepared(
        &mut self,
        statement: &mut Statement,
        sql: &[u8],
        using: &[Span],
        add: Status,
    ) -> Result<(), Stop> {
        if using.len() != usize::from(statement.params) {
            return Err(SqlError::new(Code::WrongArguments, "Incorrect arguments to EXECUTE").into());
        }
        self.reads_alike(statement)?;
        let mut variables = Vec::new();
        let outcome = match self.parameters(sql, using, &mut variables).await {
            Ok(()) => self.execute_using(statement, &variables, add).await,
            Err(stop) => Err(stop),
        };
        variables.iter().for_each(|name| self.let_go(name));
        outcome
    }

    /// That USING has what may stand there: in MySQL variables, in MariaDB no subqueries.
    fn check_using(&self, sql: &[u8], using: &[Span]) -> Result<(), SqlError> {
        for span in using {
            match self.facts.flavour {
                Flavour::MySql if sole_variable(span.of(sql), self.facts).is_none() => {
                    return Err(syntax_error(sql, span.start as usize));
                }
                Flavour::MariaDb if has_word(span.of(sql), "SELECT", self.facts) => return Err(subquery()),
                _ => {}
            }
        }
        Ok(())
    }

    /// The variables whose values are the parameters.
    async fn parameters(&mut self, sql: &[u8], using: &[Span], variables: &mut Vec<String>) -> Result<(), Stop> {
        for (number, span) in using.iter().enumerate() {
            let name = match sole_variable(span.of(sql), self.facts) {
                Some(name) => name,
                None => self.hold(number, span.of(sql)).await?,
            };
            variables.push(name);
        }
        Ok(())
    }

    async fn execute_using(
        &mut self,
        statement: &mut Statement,
        variables: &[String],
        add: Status,
    ) -> Result<(), Stop> {
        let texts: Vec<Option<Vec<u8>>> = variables
            .iter()
            .map(|name| self.needs.settings.variable(&quoted_variable(name)).map(<[u8]>::to_vec))
            .collect();
        let args: Vec<Datum<'_>> = texts.iter().map(|text| self.value_of(text.as_deref())).collect();
        self.keeps_types(statement, args.iter().map(Given::of_variable), &args)?;
        let variables: Vec<String> = variables.iter().map(|name| quoted_variable(name)).collect();
        let before = self.as_prepared(statement);
        let mut topology = self.topology();
        let mut understood = self.understand(&statement.sql, &statement.scan, &topology).map_err(Stop::Error);
        if let Ok(Understood::Plan(planned)) = &understood
            && self.is_behind(planned, &topology)
        {
            understood = self.understand_behind(&statement.sql, &statement.scan, &mut topology).await;
        }
        let outcome = match understood {
            Err(stop) => Err(stop),
            Ok(Understood::Plan(planned)) => {
                let using = Using { variables, reading: self.reading() };
                let (sql, scan, ask) = (&statement.sql, &statement.scan, Ask::Named(&using));
                self.limit.hint(planned.wishes().timeout_ms);
                let of = Execution { sql, scan, topology: &topology, planned: &planned, ask, args: &args, add };
                Box::pin(self.run(&of)).await
            }
            Ok(Understood::Head(_)) => {
                let text = with_variables(&statement.sql, &statement.scan, &variables);
                let mut found = Scan::default();
                let read = scan(&text, self.facts, self.proxy.seed, &mut found).and_then(|()| head(&text, self.facts));
                match read {
                    Ok(head) => Box::pin(self.local(&text, &found, head, &topology, Ask::Query, add)).await,
                    Err(error) => Err(error.into()),
                }
            }
        };
        self.as_now(statement, before);
        outcome
    }

    /// A server prepares the statement under the settings of now, so these must not read it otherwise.
    pub(super) fn reads_alike(&self, statement: &Statement) -> Result<(), SqlError> {
        // As it is with nearly every execution; what the settings mean is not read anew for each.
        if self.facts == statement.facts {
            return Ok(());
        }
        let now = self.facts_of_now();
        let text = now.charset == statement.facts.charset || statement.sql.is_ascii();
        let zero = SqlMode::NO_AUTO_VALUE_ON_ZERO;
        if text && now.mode.with(zero) == statement.facts.mode.with(zero) {
            return Ok(());
        }
        let why = "a prepared statement whose text another sql_mode or character set reads now: prepare it again";
        Err(SqlError::refuse(format!("Shardloom does not support {why}")))
    }

    /// The text that is to be prepared.
    async fn prepared_text(&mut self, sql: &[u8], source: &PrepareSource) -> Result<Vec<u8>, Stop> {
        let name = match source {
            PrepareSource::Text(text) => return Ok(text.clone()),
            PrepareSource::Variable(span) => {
                sole_variable(span.of(sql), self.facts).ok_or_else(|| syntax_error(sql, span.start as usize))?
            }
            PrepareSource::Expr(_) if self.facts.flavour == Flavour::MySql => {
                return Err(syntax_error(sql, source_end(sql, source)).into());
            }
            PrepareSource::Expr(span) => self.hold(0, span.of(sql)).await?,
        };
        let value = self.needs.settings.variable(&quoted_variable(&name)).map(<[u8]>::to_vec);
        self.let_go(&name);
        let text = match self.value_of(value.as_deref()) {
            Datum::Null => b"NULL".to_vec(),
            Datum::Text(text) | Datum::Bytes(text) if self.facts.charset == TextCharset::Utf8 || text.is_ascii() => {
                text.into_owned()
            }
            Datum::Text(_) | Datum::Bytes(_) => {
                let why = "PREPARE of a variable with characters that the session's character set has elsewhere";
                return Err(SqlError::refuse(format!("Shardloom does not support {why}")).into());
            }
            // Numbers are no statements, in whatever form.
            _ => value.unwrap_or_default(),
        };
        Ok(text)
    }

    /// Has a server compute an expression, and keeps the value in a variable.
    async fn hold(&mut self, number: usize, expression: &[u8]) -> Result<String, Stop> {
        if has_word(expression, "SELECT", self.facts) {
            return Err(subquery().into());
        }
        if !self.is_plain(expression).await? {
            let why = "this expression in EXECUTE: set a variable to it, and use that";
            return Err(SqlError::refuse(format!("Shardloom does not support {why}")).into());
        }
        let name = format!("{HELD}{number}");
        let set = [format!("SET {} = ", quoted_variable(&name)).as_bytes(), expression].concat();
        match head(&set, self.facts)? {
            Head::Set(items) => Box::pin(self.set(&set, &items)).await?,
            _ => return Err(syntax_error(expression, 0).into()),
        }
        Ok(name)
    }

    /// Forgets a value that was kept so.
    fn let_go(&mut self, name: &str) {
        if name.starts_with(HELD) {
            self.needs.settings = self.needs.settings.with(&quoted_variable(name), None).into();
        }
    }

    /// Whether a variable can hold a value of the expression's type.
    async fn is_plain(&mut self, expression: &[u8]) -> Result<bool, Stop> {
        let topology = self.topology();
        let group = self.any_group(&topology);
        let wanted = self.needs.wanted(&topology, group);
        let mut lease = self.txn.side_lease(group, topology.group(group), Access::Primary, &wanted).await?;
        // No row: nothing is computed that has effects.
        let sql = [b"SELECT ", expression, b" LIMIT 0"].concat();
        let name = lease.server().name.clone();
        let told = lease.query(&String::from_utf8_lossy(&sql)).await.map_err(|error| error.to_client(&name))?;
        doubt_variables(&mut lease, &sql, self.facts);
        let plain = [
            ColumnType::LONG,
            ColumnType::LONGLONG,
            ColumnType::NEWDECIMAL,
            ColumnType::DOUBLE,
            ColumnType::VAR_STRING,
            ColumnType::NULL,
        ];
        Ok(told.types.len() == 1 && told.types.iter().all(|ty| plain.contains(ty)))
    }

    /// The value of a user variable, by the text that sets it.
    fn value_of(&self, text: Option<&[u8]>) -> Datum<'static> {
        let Some(text) = text.map(digits_of) else { return Datum::Null };
        let owned = |datum: Datum<'_>| match datum {
            Datum::Text(text) => Datum::Text(text.into_owned().into()),
            Datum::Bytes(bytes) => Datum::Bytes(bytes.into_owned().into()),
            Datum::Int(value) => Datum::Int(value),
            Datum::UInt(value) => Datum::UInt(value),
            Datum::Decimal(value) => Datum::Decimal(value),
            Datum::Double(value) => Datum::Double(value),
            Datum::Moment(value) => Datum::Moment(value),
            Datum::Time(value) => Datum::Time(value),
            Datum::Null => Datum::Null,
        };
        if let Some((charset, bytes)) = string(text) {
            let utf8 = ["utf8mb4", "utf8mb3", "utf8"].contains(&charset) && std::str::from_utf8(&bytes).is_ok();
            let text = utf8 || (charset != "binary" && bytes.is_ascii());
            return if text { Datum::Text(bytes.into()) } else { Datum::Bytes(bytes.into()) };
        }
        let (negative, digits) = match text.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let kind = if digits.contains(&b'e') { LiteralKind::Float } else { LiteralKind::Decimal };
        literal::decode(digits, kind, negative, self.facts).map_or(Datum::Bytes(text.to_vec().into()), owned)
    }
}

/// The character set and the bytes of a string, as `set` writes it: `x'..'` or `_charset x'..' COLLATE collation`.
fn string(text: &[u8]) -> Option<(&str, Vec<u8>)> {
    let text = std::str::from_utf8(text).ok()?;
    let (charset, rest) = match text.strip_prefix('_') {
        Some(introduced) => introduced.split_once(' ')?,
        None => ("binary", text),
    };
    let (hex, _) = rest.strip_prefix("x'")?.split_once('\'')?;
    let digit = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(digit).collect();
    Some((charset, bytes?))
}

/// The statement with variables in the place of its parameters.
fn with_variables(sql: &[u8], scan: &Scan, variables: &[String]) -> Vec<u8> {
    let (mut text, mut copied) = (Vec::with_capacity(sql.len()), 0);
    for (at, variable) in scan.params.iter().zip(variables) {
        text.extend_from_slice(&sql[copied..*at as usize]);
        text.extend_from_slice(variable.as_bytes());
        copied = *at as usize + 1;
    }
    text.extend_from_slice(&sql[copied..]);
    text
}

/// Where the text of a PREPARE or an EXECUTE IMMEDIATE begins.
fn source_start(sql: &[u8], source: &PrepareSource) -> usize {
    match source {
        PrepareSource::Variable(span) | PrepareSource::Expr(span) => span.start as usize,
        PrepareSource::Text(_) => sql.iter().position(|byte| matches!(byte, b'\'' | b'"')).unwrap_or(sql.len()),
    }
}

/// Where MySQL stops to understand an expression as the text of a PREPARE: behind a string or a variable.
fn source_end(sql: &[u8], source: &PrepareSource) -> usize {
    let start = source_start(sql, source);
    let rest = &sql[start..];
    let behind = match rest.first() {
        Some(b'@') => rest.iter().position(|byte| byte.is_ascii_whitespace() || b"+-*/,(".contains(byte)),
        Some(quote @ (b'\'' | b'"')) => rest.iter().skip(1).position(|byte| byte == quote).map(|at| at + 2),
        _ => Some(0),
    };
    let behind = start + behind.unwrap_or(rest.len());
    behind + sql[behind..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// MariaDB's error for a query among the parameters, or as the text.
fn subquery() -> SqlError {
    let message = "EXECUTE..USING does not support subqueries or stored functions".to_owned();
    SqlError { errno: 1970, state: *b"42000", message }
}

fn unknown(name: &Ident, what: &str) -> SqlError {
    SqlError::new(Code::UnknownStatement, format!("Unknown prepared statement handler ({}) given to {what}", name.name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_as_they_are_written() {
        assert_eq!(string(b"x'4142'"), Some(("binary", b"AB".to_vec())));
        assert_eq!(string(b"_utf8mb4 x'C3A9' COLLATE utf8mb4_bin"), Some(("utf8mb4", "é".as_bytes().to_vec())));
        assert_eq!(string(b"_latin1 x'' COLLATE latin1_bin"), Some(("latin1", Vec::new())));
        assert_eq!(string(b"5"), None);
    }

    #[test]
    fn variables_take_the_place_of_parameters() {
        let sql = b"SET @a = ?, @b = ? + 1";
        let mut scan = Scan::default();
        scan.params = vec![9, 17];
        let text = with_variables(sql, &scan, &["@`x`".to_owned(), "@`y`".to_owned()]);
        assert_eq!(String::from_utf8(text).unwrap(), "SET @a = @`x`, @b = @`y` + 1");
    }

    #[test]
    fn an_expression_is_no_source_in_mysql() {
        for (sql, behind) in [("PREPARE s FROM @x + 1", "+ 1"), ("PREPARE s FROM CONCAT('a')", "CONCAT('a')")] {
            let source = PrepareSource::Expr(Span::new(15, sql.len()));
            assert_eq!(&sql[source_end(sql.as_bytes(), &source)..], behind);
        }
    }
}
