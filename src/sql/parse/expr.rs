//! Expressions: how tightly each operator binds, what each is made of, and the forms that begin one. The order and the
//! operands are those of the servers' `sql_yacc.yy`
//! (<https://dev.mysql.com/doc/refman/9.7/en/operator-precedence.html>), which the manual gives only in part.

use crate::sql::ast::{BinaryOp, Expr, Function, Keyword, LiteralKind, UnaryOp};
use crate::sql::cursor::Cursor;
use crate::sql::lex::{Punct, Token, TokenKind};
use crate::sql::parse::{DEPTH_MAX, Done, Read, Reader, query};
use crate::sql::words::is_reserved;
use crate::sql::{Flavour, SqlMode};

// Higher binds tighter. An operand is read above its operator's number, so operators of a level group to the left.
const OR: u8 = 10;
const XOR: u8 = 20;
const AND: u8 = 30;
const NOT: u8 = 40;
const COMPARISON: u8 = 50;
/// IN, BETWEEN, LIKE, REGEXP, MEMBER OF, SOUNDS LIKE.
const PREDICATE: u8 = 60;
const BIT_OR: u8 = 70;
const BIT_AND: u8 = 80;
const SHIFT: u8 = 90;
const SUM: u8 = 100;
const PRODUCT: u8 = 110;
const BIT_XOR: u8 = 120;
/// `||` under PIPES_AS_CONCAT.
const CONCAT: u8 = 130;
/// `-`, `+`, `~`, `!`, BINARY in front.
const SIGN: u8 = 140;

/// How tightly the next token binds what stands before it, 0 if it is no operator.
pub(super) fn precedence(cursor: &Cursor<'_>) -> u8 {
    let Some(token) = cursor.peek(0) else { return 0 };
    match token.kind {
        TokenKind::Punct(punct) => match punct {
            Punct::PipePipe if cursor.facts.mode.has(SqlMode::PIPES_AS_CONCAT) => CONCAT,
            Punct::PipePipe => OR,
            Punct::AmpAmp => AND,
            Punct::Eq | Punct::NullSafeEq | Punct::Ne | Punct::Lt | Punct::Le | Punct::Gt | Punct::Ge => COMPARISON,
            Punct::Pipe => BIT_OR,
            Punct::Amp => BIT_AND,
            Punct::ShiftLeft | Punct::ShiftRight => SHIFT,
            Punct::Plus | Punct::Minus => SUM,
            Punct::Star | Punct::Slash | Punct::Percent => PRODUCT,
            Punct::Caret => BIT_XOR,
            _ => 0,
        },
        TokenKind::Word => word_precedence(cursor),
        _ => 0,
    }
}

fn word_precedence(cursor: &Cursor<'_>) -> u8 {
    let predicate =
        |ahead| ["IN", "BETWEEN", "LIKE", "REGEXP", "RLIKE"].iter().any(|word| cursor.is_word_at(ahead, word));
    if cursor.is_word("OR") {
        OR
    } else if cursor.is_word("XOR") {
        XOR
    } else if cursor.is_word("AND") {
        AND
    } else if cursor.is_word("IS") {
        COMPARISON
    } else if predicate(0)
        || (cursor.is_word("NOT") && predicate(1))
        || cursor.are_words(&["SOUNDS", "LIKE"])
        || (cursor.are_words(&["MEMBER", "OF"]) && cursor.facts.flavour == Flavour::MySql)
    {
        PREDICATE
    } else if cursor.is_any(&["DIV", "MOD"]) {
        PRODUCT
    } else {
        0
    }
}

/// The operator that comes next, and its right operand, behind `left`.
pub(super) fn infix(reader: &mut Reader<'_, '_, '_>, left: Done, precedence: u8) -> Read<Done> {
    let op = match precedence {
        OR => BinaryOp::Or,
        AND => BinaryOp::And,
        _ => {
            let (left, left_depth) = left.settled();
            let (expr, depth) = reader.measured(|reader| {
                let tallest = &reader.grammar.tallest;
                tallest.set(left_depth);
                operation(reader, left, precedence)
            })?;
            return Ok(Done::Expr(expr, depth));
        }
    };
    reader.step(Cursor::next);
    let right = reader.measured(|reader| reader.expr_above(precedence))?;
    let mut operands = match left {
        Done::Chain(chained, operands) if chained == op => operands,
        left => vec![left.settled()],
    };
    operands.push(right);
    Ok(Done::Chain(op, operands))
}

fn operation(reader: &mut Reader<'_, '_, '_>, left: Expr, precedence: u8) -> Read<Expr> {
    if reader.is_word("IS") {
        return is(reader, left);
    }
    if precedence == PREDICATE {
        return predicate(reader, left);
    }
    let start = left.span().start as usize;
    let Some(token) = reader.step(Cursor::next) else { return reader.fail("an operator was expected") };
    if precedence == COMPARISON
        && reader.is_any(&["ANY", "SOME", "ALL"])
        && reader.cursor().is_punct_at(1, Punct::LParen)
    {
        reader.step(Cursor::next);
        let right = subquery(reader)?;
        return Ok(Expr::Other { parts: vec![left, right], span: reader.since(start) });
    }
    let right = reader.expr_above(precedence)?;
    let op = match token.kind {
        TokenKind::Punct(Punct::Eq) => BinaryOp::Eq,
        TokenKind::Punct(Punct::NullSafeEq) => BinaryOp::NullSafeEq,
        TokenKind::Punct(Punct::Ne) => BinaryOp::Ne,
        TokenKind::Punct(Punct::Lt) => BinaryOp::Lt,
        TokenKind::Punct(Punct::Le) => BinaryOp::Le,
        TokenKind::Punct(Punct::Gt) => BinaryOp::Gt,
        TokenKind::Punct(Punct::Ge) => BinaryOp::Ge,
        TokenKind::Punct(Punct::Plus) => BinaryOp::Add,
        TokenKind::Punct(Punct::Minus) => BinaryOp::Sub,
        TokenKind::Punct(Punct::Star) => BinaryOp::Mul,
        TokenKind::Punct(Punct::Slash) => BinaryOp::Div,
        TokenKind::Punct(Punct::Percent) => BinaryOp::Mod,
        TokenKind::Word if precedence == XOR => BinaryOp::Xor,
        TokenKind::Word if reader.cursor().text(token).eq_ignore_ascii_case(b"DIV") => BinaryOp::IntDiv,
        TokenKind::Word => BinaryOp::Mod,
        _ => BinaryOp::Other,
    };
    let span = reader.since(start);
    Ok(Expr::Binary { op, left: Box::new(left), right: Box::new(right), span })
}

/// `IS [NOT] NULL | TRUE | FALSE | UNKNOWN`.
fn is(reader: &mut Reader<'_, '_, '_>, left: Expr) -> Read<Expr> {
    let start = left.span().start as usize;
    reader.expect(&["IS"])?;
    let negated = reader.eat(&["NOT"]);
    let words =
        [("NULL", Keyword::Null), ("TRUE", Keyword::True), ("FALSE", Keyword::False), ("UNKNOWN", Keyword::Unknown)];
    for (word, what) in words {
        if reader.eat(&[word]) {
            return Ok(Expr::Is { negated, expr: Box::new(left), what, span: reader.since(start) });
        }
    }
    reader.fail("NULL, TRUE, FALSE or UNKNOWN was expected")
}

/// A predicate cannot be an operand of another, nor of an operator that binds tighter, without parentheses: MySQL has
/// no such grammar, and MariaDB groups it to the right or to the left as its parser generator happens to.
fn predicate(reader: &mut Reader<'_, '_, '_>, left: Expr) -> Read<Expr> {
    let expr = predicate_alone(reader, left)?;
    if precedence(&reader.cursor()) >= PREDICATE {
        return reader.fail("parentheses were expected around what stands before");
    }
    Ok(expr)
}

fn predicate_alone(reader: &mut Reader<'_, '_, '_>, left: Expr) -> Read<Expr> {
    let start = left.span().start as usize;
    let negated = reader.eat(&["NOT"]);
    if reader.eat(&["IN"]) {
        return in_list(reader, left, negated);
    }
    if reader.eat(&["BETWEEN"]) {
        let low = Box::new(reader.expr_above(PREDICATE)?);
        reader.expect(&["AND"])?;
        let mysql = reader.grammar.facts.flavour == Flavour::MySql;
        let high = Box::new(reader.expr_above(if mysql { PREDICATE - 1 } else { PREDICATE })?);
        return Ok(Expr::Between { negated, expr: Box::new(left), low, high, span: reader.since(start) });
    }
    let mut parts = vec![left];
    if reader.eat(&["LIKE"]) {
        parts.push(reader.expr_above(BIT_XOR)?);
        if reader.eat(&["ESCAPE"]) {
            parts.push(reader.expr_above(BIT_XOR)?);
        }
    } else if reader.eat_any(&["REGEXP", "RLIKE"]) || reader.eat(&["SOUNDS", "LIKE"]) {
        parts.push(reader.expr_above(PREDICATE)?);
    } else {
        reader.expect(&["MEMBER", "OF"])?;
        reader.expect_punct(Punct::LParen, "(")?;
        parts.push(reader.expr()?);
        reader.expect_punct(Punct::RParen, ")")?;
    }
    Ok(Expr::Other { parts, span: reader.since(start) })
}

fn in_list(reader: &mut Reader<'_, '_, '_>, left: Expr, negated: bool) -> Read<Expr> {
    let start = left.span().start as usize;
    let expr = Box::new(left);
    if query::is_ahead(reader, 1) {
        reader.expect_punct(Punct::LParen, "(")?;
        let query = Box::new(query::query(reader)?);
        reader.expect_punct(Punct::RParen, ")")?;
        return Ok(Expr::InSubquery { negated, expr, query, span: reader.since(start) });
    }
    reader.expect_punct(Punct::LParen, "(")?;
    let list = reader.separated(Reader::expr)?;
    reader.expect_punct(Punct::RParen, ")")?;
    Ok(Expr::InList { negated, expr, list, span: reader.since(start) })
}

/// `(query)` as a value.
fn subquery(reader: &mut Reader<'_, '_, '_>) -> Read<Expr> {
    let start = reader.start();
    reader.expect_punct(Punct::LParen, "(")?;
    let query = Box::new(query::query(reader)?);
    reader.expect_punct(Punct::RParen, ")")?;
    Ok(Expr::Subquery(query, reader.since(start)))
}

/// What an expression begins with, up to where an operator may follow. Parentheses are read without recursion: some
/// clients write `((((a) AND b) AND c) ...`.
pub(super) fn prefix(reader: &mut Reader<'_, '_, '_>) -> Read<Expr> {
    let mut open = Vec::new();
    while reader.is_punct(Punct::LParen) && !query::is_ahead(reader, 1) {
        open.push(reader.start());
        reader.step(Cursor::next);
        if open.len() > DEPTH_MAX {
            return reader.fail("the expression is nested too deeply");
        }
    }
    let start = reader.start();
    let (expr, mut depth) = reader.measured(primary)?;
    let mut expr = collated(reader, expr, start)?;
    while let Some(start) = open.pop() {
        (expr, depth) = reader.measured(|reader| {
            let inside = operators(reader, Done::Expr(expr, depth))?;
            closed(reader, inside, start)
        })?;
        expr = collated(reader, expr, start)?;
    }
    reader.grammar.tallest.set(depth);
    Ok(expr)
}

/// What is in parentheses, behind its first operand.
fn operators(reader: &mut Reader<'_, '_, '_>, mut inside: Done) -> Read<Expr> {
    loop {
        match precedence(&reader.cursor()) {
            0 => break,
            precedence => inside = infix(reader, inside, precedence)?,
        }
    }
    let (expr, depth) = inside.settled();
    let tallest = &reader.grammar.tallest;
    tallest.set(tallest.get().max(depth));
    Ok(expr)
}

/// The rest of `(a)` or `(a, b)` behind the first member.
fn closed(reader: &mut Reader<'_, '_, '_>, first: Expr, start: usize) -> Read<Expr> {
    let mut members = vec![first];
    while reader.eat_punct(Punct::Comma) {
        members.push(reader.expr()?);
    }
    reader.expect_punct(Punct::RParen, ")")?;
    let span = reader.since(start);
    match members.pop() {
        Some(only) if members.is_empty() => Ok(Expr::Paren(Box::new(only), span)),
        last => {
            members.extend(last);
            Ok(Expr::Tuple(members, span))
        }
    }
}

/// `COLLATE name`, once or twice.
fn collated(reader: &mut Reader<'_, '_, '_>, mut expr: Expr, start: usize) -> Read<Expr> {
    for _ in 0..2 {
        if !reader.eat(&["COLLATE"]) {
            break;
        }
        match reader.step(Cursor::next).map(|token| token.kind) {
            Some(TokenKind::Word | TokenKind::Quoted | TokenKind::Literal(LiteralKind::String)) => {}
            _ => return reader.fail("a collation was expected"),
        }
        expr = Expr::Cast { expr: Box::new(expr), span: reader.since(start) };
    }
    Ok(expr)
}

fn primary(reader: &mut Reader<'_, '_, '_>) -> Read<Expr> {
    let cursor = reader.cursor();
    let Some(token) = cursor.peek(0) else { return reader.fail("an expression was expected") };
    let start = reader.start();
    match token.kind {
        TokenKind::Literal(_) => literal(reader),
        TokenKind::Param => {
            let (_, index) = reader.grammar.counts[cursor.at];
            reader.step(Cursor::next);
            Ok(Expr::Param { index, span: token.span })
        }
        TokenKind::Null => {
            reader.step(Cursor::next);
            Ok(Expr::Keyword(Keyword::Null, token.span))
        }
        TokenKind::UserVariable | TokenKind::SystemVariable => variable(reader, token),
        TokenKind::Word => word(reader, token),
        TokenKind::Name | TokenKind::Quoted => named(reader),
        TokenKind::Punct(Punct::LParen) => subquery(reader),
        TokenKind::Punct(Punct::LBrace) => odbc(reader),
        TokenKind::Punct(Punct::Minus) => unary(reader, UnaryOp::Minus, SIGN, start),
        TokenKind::Punct(Punct::Plus) => unary(reader, UnaryOp::Plus, SIGN, start),
        TokenKind::Punct(Punct::Tilde) => unary(reader, UnaryOp::BitNot, SIGN, start),
        TokenKind::Punct(Punct::Bang) => unary(reader, UnaryOp::Not, SIGN, start),
        TokenKind::DollarQuoted | TokenKind::Punct(_) => reader.fail("an expression was expected"),
    }
}

/// Operands of a prefix operator are read above the level just below its own, so that prefixes may follow another.
fn unary(reader: &mut Reader<'_, '_, '_>, op: UnaryOp, precedence: u8, start: usize) -> Read<Expr> {
    reader.step(Cursor::next);
    let expr = Box::new(reader.expr_above(precedence)?);
    Ok(Expr::Unary { op, expr, span: reader.since(start) })
}

/// One literal, or strings side by side.
fn literal(reader: &mut Reader<'_, '_, '_>) -> Read<Expr> {
    let start = reader.start();
    let mut parts = Vec::new();
    while let Some(token) = reader.cursor().peek(0) {
        let TokenKind::Literal(kind) = token.kind else { break };
        if !parts.is_empty() && kind != LiteralKind::String {
            break;
        }
        let (index, _) = reader.grammar.counts[reader.cursor().at];
        reader.step(Cursor::next);
        parts.push(Expr::Literal { index, kind, span: token.span });
        if !matches!(kind, LiteralKind::String | LiteralKind::National | LiteralKind::Introduced) {
            break;
        }
    }
    match parts.pop() {
        None => reader.fail("a literal was expected"),
        Some(only) if parts.is_empty() => Ok(only),
        Some(last) => {
            parts.push(last);
            Ok(Expr::Other { parts, span: reader.since(start) })
        }
    }
}

/// A variable, or the assignment of an expression to a user variable.
fn variable(reader: &mut Reader<'_, '_, '_>, token: Token) -> Read<Expr> {
    reader.step(Cursor::next);
    let text = String::from_utf8_lossy(reader.cursor().text(token)).to_lowercase();
    let variable = Expr::Variable { text, span: token.span };
    if token.kind == TokenKind::SystemVariable || !reader.eat_punct(Punct::Assign) {
        return Ok(variable);
    }
    let right = Box::new(reader.expr()?);
    let span = reader.since(token.span.start as usize);
    Ok(Expr::Binary { op: BinaryOp::Other, left: Box::new(variable), right, span })
}

/// `{d '2020-01-01'}` and the like, `{fn f(x)}`.
fn odbc(reader: &mut Reader<'_, '_, '_>) -> Read<Expr> {
    let start = reader.start();
    reader.step(Cursor::next);
    reader.name()?;
    let part = reader.expr()?;
    reader.expect_punct(Punct::RBrace, "}")?;
    Ok(Expr::Other { parts: vec![part], span: reader.since(start) })
}

/// Functions that need no parentheses.
const NILADIC: &[&str] = &[
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
];

/// Reserved words that are functions if a parenthesis follows.
const RESERVED_FUNCTIONS: &[&str] = &[
    "CHAR",
    "CUME_DIST",
    "DATABASE",
    "DEFAULT",
    "DENSE_RANK",
    "FIRST_VALUE",
    "GROUPING",
    "IF",
    "INSERT",
    "LAG",
    "LAST_VALUE",
    "LEAD",
    "LEFT",
    "MOD",
    "NTH_VALUE",
    "NTILE",
    "PERCENT_RANK",
    "RANK",
    "REPEAT",
    "REPLACE",
    "RIGHT",
    "ROW_NUMBER",
    "SCHEMA",
    "TRUNCATE",
];

/// An expression that begins with an unquoted word.
fn word(reader: &mut Reader<'_, '_, '_>, token: Token) -> Read<Expr> {
    let cursor = reader.cursor();
    let start = token.span.start as usize;
    let name = String::from_utf8_lossy(cursor.text(token)).to_ascii_uppercase();
    let called = cursor.is_punct_at(1, Punct::LParen);
    let keyword = |what| Ok(Expr::Keyword(what, token.span));
    match name.as_str() {
        "NULL" | "TRUE" | "FALSE" | "DEFAULT" if !called => {
            reader.step(Cursor::next);
            match name.as_str() {
                "NULL" => keyword(Keyword::Null),
                "TRUE" => keyword(Keyword::True),
                "FALSE" => keyword(Keyword::False),
                _ => keyword(Keyword::Default),
            }
        }
        "NOT" if cursor.facts.mode.has(SqlMode::HIGH_NOT_PRECEDENCE) => unary(reader, UnaryOp::Not, SIGN, start),
        "NOT" => unary(reader, UnaryOp::Not, NOT, start),
        "BINARY" => unary(reader, UnaryOp::Binary, SIGN, start),
        "EXISTS" if called => {
            reader.step(Cursor::next);
            reader.expect_punct(Punct::LParen, "(")?;
            let query = Box::new(query::query(reader)?);
            reader.expect_punct(Punct::RParen, ")")?;
            Ok(Expr::Exists(query, reader.since(start)))
        }
        "CASE" => {
            reader.step(Cursor::next);
            reader.case(start)
        }
        "INTERVAL" => interval(reader),
        "MATCH" => match_against(reader),
        "ROW" if called => {
            reader.step(Cursor::next);
            reader.expect_punct(Punct::LParen, "(")?;
            let members = reader.separated(Reader::expr)?;
            reader.expect_punct(Punct::RParen, ")")?;
            Ok(Expr::Tuple(members, reader.since(start)))
        }
        "VALUES" | "VALUE" if called && reader.grammar.in_duplicate.get() => call(reader, name, start),
        "CAST" | "CONVERT" if called => cast(reader),
        "EXTRACT" | "TRIM" | "SUBSTRING" | "SUBSTR" | "MID" | "POSITION" | "CHAR" | "WEIGHT_STRING" | "JSON_VALUE"
        | "TIMESTAMPADD" | "TIMESTAMPDIFF" | "GET_FORMAT"
            if called =>
        {
            worded_call(reader, name)
        }
        "NEXTVAL" | "LASTVAL" | "SETVAL" if called && cursor.facts.flavour == Flavour::MariaDb => {
            reader.fail("sequences are not read")
        }
        "NEXT" | "PREVIOUS" if cursor.is_word_at(1, "VALUE") && cursor.is_word_at(2, "FOR") => {
            reader.fail("sequences are not read")
        }
        _ if NILADIC.contains(&name.as_str()) && is_reserved(cursor.text(token), cursor.facts.flavour) => {
            if called {
                return call(reader, name, start);
            }
            reader.step(Cursor::next);
            let span = token.span;
            let (args, star, distinct, ordered, over) = (Vec::new(), false, false, false, false);
            Ok(Expr::Function(Box::new(Function { name, args, star, distinct, ordered, over, span })))
        }
        _ if called && RESERVED_FUNCTIONS.contains(&name.as_str()) => call(reader, name, start),
        _ => named(reader),
    }
}

fn call(reader: &mut Reader<'_, '_, '_>, name: String, start: usize) -> Read<Expr> {
    reader.step(Cursor::next);
    reader.call(name, start)
}

/// What begins with a name: a column, a JSON path of a column, or the call of a function.
fn named(reader: &mut Reader<'_, '_, '_>) -> Read<Expr> {
    let start = reader.start();
    let mut names = vec![reader.name()?];
    while names.len() < 3 && reader.eat_punct(Punct::Dot) {
        names.push(reader.name()?);
    }
    if reader.is_punct(Punct::LParen) {
        let name = names.iter().map(|name| name.name.to_uppercase()).collect::<Vec<_>>().join(".");
        return reader.call(name, start);
    }
    let span = reader.since(start);
    let Some(name) = names.pop() else { return reader.fail("a name was expected") };
    let (table, schema) = (names.pop(), names.pop());
    let column = Expr::Column { schema, table, name, span };
    if reader.eat_punct(Punct::Arrow) || reader.eat_punct(Punct::LongArrow) {
        let path = literal(reader)?;
        return Ok(Expr::Other { parts: vec![column, path], span: reader.since(start) });
    }
    Ok(column)
}

/// `CAST(x AS type)`, `CONVERT(x, type)`, `CONVERT(x USING charset)`.
fn cast(reader: &mut Reader<'_, '_, '_>) -> Read<Expr> {
    let start = reader.start();
    reader.step(Cursor::next);
    reader.expect_punct(Punct::LParen, "(")?;
    let expr = Box::new(reader.expr()?);
    let zoned = reader.eat(&["AT", "TIME", "ZONE"]);
    if zoned {
        reader.eat(&["INTERVAL"]);
        literal(reader)?;
    }
    if !reader.eat(&["AS"]) && !reader.eat(&["USING"]) && !reader.eat_punct(Punct::Comma) {
        return reader.fail("a type was expected");
    }
    skip_type(reader)?;
    reader.expect_punct(Punct::RParen, ")")?;
    Ok(Expr::Cast { expr, span: reader.since(start) })
}

/// Words, numbers in parentheses and a character set, up to the closing parenthesis.
fn skip_type(reader: &mut Reader<'_, '_, '_>) -> Read<()> {
    while let Some(token) = reader.cursor().peek(0) {
        match token.kind {
            TokenKind::Punct(Punct::LParen) => reader.skip_parens()?,
            TokenKind::Word | TokenKind::Quoted | TokenKind::Literal(LiteralKind::String) => {
                reader.step(Cursor::next);
            }
            _ => break,
        }
    }
    Ok(())
}

/// Calls with words between their arguments: `EXTRACT(unit FROM x)`, `TRIM(LEADING a FROM b)`,
/// `SUBSTRING(a FROM 1 FOR 2)`, `POSITION(a IN b)`, `CHAR(65 USING utf8mb4)`, `WEIGHT_STRING(a AS CHAR(3))`,
/// `JSON_VALUE(a, '$.x' RETURNING type ...)`, `TIMESTAMPADD(unit, 1, x)`, `GET_FORMAT(DATE, 'USA')`.
fn worded_call(reader: &mut Reader<'_, '_, '_>, name: String) -> Read<Expr> {
    let start = reader.start();
    reader.step(Cursor::next);
    reader.expect_punct(Punct::LParen, "(")?;
    let mut plain = true;
    let mut args = Vec::new();
    match name.as_str() {
        "EXTRACT" | "TIMESTAMPADD" | "TIMESTAMPDIFF" => {
            plain = false;
            unit(reader)?;
            let _ = reader.eat(&["FROM"]) || reader.eat_punct(Punct::Comma);
        }
        "GET_FORMAT" => {
            plain = false;
            if !reader.eat_any(&["DATE", "TIME", "DATETIME", "TIMESTAMP"]) {
                return reader.fail("DATE, TIME or DATETIME was expected");
            }
            reader.expect_punct(Punct::Comma, ",")?;
        }
        "TRIM" if reader.eat_any(&["LEADING", "TRAILING", "BOTH"]) => {
            plain = false;
            reader.eat(&["FROM"]);
        }
        _ => {}
    }
    loop {
        args.push(if name == "POSITION" { reader.expr_above(PREDICATE)? } else { reader.expr()? });
        if reader.eat_punct(Punct::Comma) {
            continue;
        }
        if !reader.eat_any(&["FROM", "FOR", "IN"]) {
            break;
        }
        plain = false;
    }
    if reader.eat_any(&["USING", "AS"]) {
        plain = false;
        skip_type(reader)?;
    } else if name == "JSON_VALUE" {
        while !reader.is_punct(Punct::RParen) && !reader.cursor().at_end() {
            plain = false;
            if reader.is_punct(Punct::LParen) {
                reader.skip_parens()?;
            } else {
                reader.step(Cursor::next);
            }
        }
    }
    if !plain || !reader.is_punct(Punct::RParen) {
        reader.expect_punct(Punct::RParen, ")")?;
        return Ok(Expr::Other { parts: args, span: reader.since(start) });
    }
    reader.expect_punct(Punct::RParen, ")")?;
    if reader.is_word("OVER") {
        return reader.fail("OVER behind a function that is none of a window");
    }
    let (star, distinct, ordered, over, span) = (false, false, false, false, reader.since(start));
    Ok(Expr::Function(Box::new(Function { name, args, star, distinct, ordered, over, span })))
}

const UNITS: &[&str] = &[
    "MICROSECOND",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "WEEK",
    "MONTH",
    "QUARTER",
    "YEAR",
    "SECOND_MICROSECOND",
    "MINUTE_MICROSECOND",
    "MINUTE_SECOND",
    "HOUR_MICROSECOND",
    "HOUR_SECOND",
    "HOUR_MINUTE",
    "DAY_MICROSECOND",
    "DAY_SECOND",
    "DAY_MINUTE",
    "DAY_HOUR",
    "YEAR_MONTH",
    "SQL_TSI_SECOND",
    "SQL_TSI_MINUTE",
    "SQL_TSI_HOUR",
    "SQL_TSI_DAY",
    "SQL_TSI_WEEK",
    "SQL_TSI_MONTH",
    "SQL_TSI_QUARTER",
    "SQL_TSI_YEAR",
];

fn unit(reader: &mut Reader<'_, '_, '_>) -> Read<()> {
    if reader.eat_any(UNITS) { Ok(()) } else { reader.fail("a unit of time was expected") }
}

/// `INTERVAL expr unit`, or the function `INTERVAL(a, b, ...)`.
fn interval(reader: &mut Reader<'_, '_, '_>) -> Read<Expr> {
    let start = reader.start();
    reader.step(Cursor::next);
    if reader.is_punct(Punct::LParen) && query::has_comma(reader) {
        return reader.call("INTERVAL".to_owned(), start);
    }
    let value = reader.expr()?;
    unit(reader)?;
    Ok(Expr::Other { parts: vec![value], span: reader.since(start) })
}

/// `MATCH (a, b) AGAINST (x IN BOOLEAN MODE)`.
fn match_against(reader: &mut Reader<'_, '_, '_>) -> Read<Expr> {
    let start = reader.start();
    reader.step(Cursor::next);
    let parens = reader.eat_punct(Punct::LParen);
    let mut parts = reader.separated(named)?;
    if parens {
        reader.expect_punct(Punct::RParen, ")")?;
    }
    reader.expect(&["AGAINST"])?;
    reader.expect_punct(Punct::LParen, "(")?;
    parts.push(reader.expr_above(PREDICATE)?);
    let _ = reader.eat(&["IN", "BOOLEAN", "MODE"]) || reader.eat(&["IN", "NATURAL", "LANGUAGE", "MODE"]);
    let _ = reader.eat(&["WITH", "QUERY", "EXPANSION"]);
    reader.expect_punct(Punct::RParen, ")")?;
    Ok(Expr::Other { parts, span: reader.since(start) })
}
