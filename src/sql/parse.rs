//! From text to syntax tree: the statements that planning looks into. This is the only file that names the parser
//! crate; it reads statements with the crate's parser over our own tokens, and refuses to give a tree it is not sure
//! of.
//!
//! The crate's MySQL grammar fails on a quarter of real statements, regroups some operators (`XOR`, `^`, `BINARY a=b`)
//! and gives spans that end too early. So its parser is driven as follows: token number i of ours is token number i of
//! its; the clauses of statements are read by [`query`], [`table`] and [`dml`] with the steps of [`Reader`];
//! expressions are read by its precedence climbing and its grammar of calls, CASE and windows, where [`Grammar`], our
//! dialect of it, mends precedence and takes over what it gets wrong. Each expression, as soon as it is read, goes into
//! [`Grammar::done`] as a node of our tree, with its exact span, and the crate's tree carries only a mark in its place.

mod dml;
mod expr;
mod query;
mod table;

use std::cell::{Cell, RefCell};

use sqlparser::ast as theirs;
use sqlparser::dialect::{Dialect, MySqlDialect};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer as tok;

use crate::error::{Code, SqlError};
use crate::sql::ast::{BinaryOp, Expr, Function, Ident, LiteralKind, ObjectName, Span, Statement};
use crate::sql::cursor::{Cursor, tokens};
use crate::sql::lex::{Punct, Token, TokenKind};
use crate::sql::{Facts, SqlMode};

/// Why and where a statement could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseFailure {
    /// The byte where reading stopped.
    pub at: u32,
    /// What was expected, or what is not read, as half a sentence.
    pub message: String,
}

impl ParseFailure {
    /// Error 1235 that shows the place.
    pub fn refusal(&self, sql: &[u8]) -> SqlError {
        SqlError::refuse_at(
            &format!("Shardloom does not understand this statement: {}", self.message),
            sql,
            self.at as usize,
        )
    }

    /// Error 1064 that shows the place.
    pub fn syntax(&self, sql: &[u8]) -> SqlError {
        let near = crate::error::excerpt(sql, self.at as usize);
        SqlError::new(Code::Syntax, format!("You have an error in your SQL syntax: {} near '{near}'", self.message))
    }
}

/// How deep a tree may be. Chains of AND and OR are balanced, those of other operators and parentheses are as deep as
/// they are long.
const DEPTH_MAX: usize = 160;

/// How often reading may call itself. A call of a function takes 16 KB of stack in the crate's parser, anything else
/// half of that, so this stays below 700 KB: half of what the threads that read statements have.
const READS_MAX: usize = 80;

/// Reads the first statement of `sql`, which must be one that [`Statement`] has a form for.
///
/// # Errors
/// A statement of another kind, one that no server would take, one that goes deeper than [`DEPTH_MAX`], and one with a
/// part that the tree has no place for.
pub fn parse(sql: &[u8], facts: Facts) -> Result<Statement, ParseFailure> {
    let failure = |at: usize, message: &str| ParseFailure { at: at as u32, message: message.to_owned() };
    if facts.mode.has(SqlMode::ORACLE) {
        return Err(failure(0, "the grammar of sql_mode=ORACLE is not known"));
    }
    let tokens = tokens(sql, facts).map_err(|error| failure(0, &error.message))?;
    let crate_tokens = tokens.iter().map(|token| translated(sql, *token)).collect();
    let grammar = Grammar::new(sql, facts, tokens);
    let mut parser = Parser::new(&grammar).with_recursion_limit(READS_MAX * 4).with_tokens_with_locations(crate_tokens);
    let mut reader = Reader { grammar: &grammar, parser: &mut parser };
    let statement = dml::statement(&mut reader);
    let (end, at) = (reader.cursor().at_end(), reader.cursor().start());
    match statement {
        Ok(statement) if end => Ok(statement),
        Ok(_) => Err(failure(at, "the statement goes on where an end was expected")),
        Err(Stop(why)) => Err(grammar.failure.take().unwrap_or_else(|| failure(at, &why))),
    }
}

/// Our token as one of theirs. Only words and marks count; of literals the parser needs to know no more than that
/// they are some.
fn translated(sql: &[u8], token: Token) -> tok::TokenWithSpan {
    let text = || String::from_utf8_lossy(token.span.of(sql));
    let word = |quote| {
        tok::Token::Word(tok::Word {
            value: String::new(),
            quote_style: quote,
            keyword: sqlparser::keywords::Keyword::NoKeyword,
        })
    };
    let their_token = match token.kind {
        TokenKind::Word => tok::Token::make_word(&text(), None),
        TokenKind::Name | TokenKind::Quoted | TokenKind::UserVariable | TokenKind::SystemVariable => word(Some('`')),
        TokenKind::Literal(LiteralKind::Integer | LiteralKind::Decimal | LiteralKind::Float) => {
            tok::Token::Number(String::new(), false)
        }
        TokenKind::Literal(_) | TokenKind::DollarQuoted => tok::Token::SingleQuotedString(String::new()),
        TokenKind::Param | TokenKind::Null => tok::Token::Placeholder(String::new()),
        TokenKind::Punct(punct) => translated_punct(punct),
    };
    let place = |offset| tok::Location { line: 1, column: u64::from(offset) };
    tok::TokenWithSpan::new(their_token, tok::Span { start: place(token.span.start), end: place(token.span.end) })
}

fn translated_punct(punct: Punct) -> tok::Token {
    match punct {
        Punct::LParen => tok::Token::LParen,
        Punct::RParen => tok::Token::RParen,
        Punct::LBrace => tok::Token::LBrace,
        Punct::RBrace => tok::Token::RBrace,
        Punct::Comma => tok::Token::Comma,
        Punct::Dot => tok::Token::Period,
        Punct::Semicolon => tok::Token::SemiColon,
        Punct::Colon => tok::Token::Colon,
        Punct::Assign => tok::Token::Assignment,
        Punct::Eq => tok::Token::Eq,
        Punct::NullSafeEq => tok::Token::Spaceship,
        Punct::Ne => tok::Token::Neq,
        Punct::Lt => tok::Token::Lt,
        Punct::Le => tok::Token::LtEq,
        Punct::Gt => tok::Token::Gt,
        Punct::Ge => tok::Token::GtEq,
        Punct::Bang => tok::Token::ExclamationMark,
        Punct::Plus => tok::Token::Plus,
        Punct::Minus => tok::Token::Minus,
        Punct::Star => tok::Token::Mul,
        Punct::Slash => tok::Token::Div,
        Punct::Percent => tok::Token::Mod,
        Punct::Amp => tok::Token::Ampersand,
        Punct::AmpAmp => tok::Token::Overlap,
        Punct::Pipe => tok::Token::Pipe,
        Punct::PipePipe => tok::Token::StringConcat,
        Punct::Caret => tok::Token::Caret,
        Punct::Tilde => tok::Token::Tilde,
        Punct::ShiftLeft => tok::Token::ShiftLeft,
        Punct::ShiftRight => tok::Token::ShiftRight,
        Punct::Arrow => tok::Token::Arrow,
        Punct::LongArrow => tok::Token::LongArrow,
    }
}

/// Reading stopped; why, unless [`Grammar::failure`] says it with the place.
#[derive(Debug)]
struct Stop(String);

type Read<T> = Result<T, Stop>;

/// What is known of one statement while it is read, and the dialect that the crate's parser asks.
#[derive(Debug)]
struct Grammar {
    sql: Vec<u8>,
    facts: Facts,
    tokens: Vec<Token>,
    /// For each token, how many literals and how many parameters stand before it.
    counts: Vec<(u32, u16)>,
    /// For each opening parenthesis, the token behind the one that closes it; none if it stays open.
    closed: Vec<Option<usize>>,
    /// Expressions that have been read and wait for the one they are part of.
    done: RefCell<Vec<Option<Done>>>,
    /// The first failure of ours, with its place.
    failure: RefCell<Option<ParseFailure>>,
    /// How often reading has called itself.
    reads: Cell<usize>,
    /// The depth of the tallest expression taken since somebody began to measure.
    tallest: Cell<usize>,
    /// VALUES(column) is a function here: behind ON DUPLICATE KEY UPDATE.
    in_duplicate: Cell<bool>,
}

/// An expression that has been read.
#[derive(Debug)]
enum Done {
    /// With its depth.
    Expr(Expr, usize),
    /// Operands of AND or of OR, not in parentheses: made a balanced tree when the chain ends, so that a condition of
    /// thousands of alternatives is no deeper than it must be.
    Chain(BinaryOp, Vec<(Expr, usize)>),
}

impl Done {
    fn settled(self) -> (Expr, usize) {
        match self {
            Done::Expr(expr, depth) => (expr, depth),
            Done::Chain(op, operands) => balanced(op, operands),
        }
    }
}

impl Grammar {
    fn new(sql: &[u8], facts: Facts, tokens: Vec<Token>) -> Grammar {
        let mut counts = Vec::with_capacity(tokens.len());
        let mut closed = vec![None; tokens.len()];
        let mut open = Vec::new();
        let (mut literals, mut params) = (0, 0_u16);
        for (at, token) in tokens.iter().enumerate() {
            counts.push((literals, params));
            match token.kind {
                TokenKind::Literal(_) => literals += 1,
                TokenKind::Param => params = params.saturating_add(1),
                TokenKind::Punct(Punct::LParen) => open.push(at),
                TokenKind::Punct(Punct::RParen) => {
                    if let Some(open) = open.pop() {
                        closed[open] = Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        Grammar {
            sql: sql.to_vec(),
            facts,
            tokens,
            counts,
            closed,
            done: RefCell::default(),
            failure: RefCell::default(),
            reads: Cell::new(0),
            tallest: Cell::new(0),
            in_duplicate: Cell::new(false),
        }
    }
}

/// The place in a statement while it is read: the crate's parser, with the steps that our own reading takes.
struct Reader<'g, 'p, 'd> {
    grammar: &'g Grammar,
    parser: &'p mut Parser<'d>,
}

impl<'g> Reader<'g, '_, '_> {
    fn cursor(&self) -> Cursor<'g> {
        let Grammar { sql, facts, tokens, .. } = self.grammar;
        Cursor { sql, facts: *facts, tokens, at: self.parser.index().min(tokens.len()) }
    }

    /// Takes steps with a cursor; the parser follows it. Steps go forward only.
    fn step<T>(&mut self, steps: impl FnOnce(&mut Cursor<'g>) -> T) -> T {
        let mut cursor = self.cursor();
        let result = steps(&mut cursor);
        while self.parser.index() < cursor.at {
            self.parser.advance_token();
        }
        result
    }

    fn eat(&mut self, words: &[&str]) -> bool {
        self.step(|cursor| cursor.eat(words))
    }

    fn eat_any(&mut self, words: &[&str]) -> bool {
        self.step(|cursor| cursor.eat_any(words))
    }

    fn eat_punct(&mut self, punct: Punct) -> bool {
        self.step(|cursor| cursor.eat_punct(punct))
    }

    fn is_word(&self, word: &str) -> bool {
        self.cursor().is_word(word)
    }

    fn is_any(&self, words: &[&str]) -> bool {
        self.cursor().is_any(words)
    }

    fn is_punct(&self, punct: Punct) -> bool {
        self.cursor().is_punct(punct)
    }

    /// Where the next token begins.
    fn start(&self) -> usize {
        self.cursor().start()
    }

    /// From byte `start` to the end of the last token read.
    fn since(&self, start: usize) -> Span {
        self.cursor().since(start)
    }

    fn expect_punct(&mut self, punct: Punct, what: &str) -> Read<()> {
        if self.eat_punct(punct) { Ok(()) } else { self.fail(&format!("{what} was expected")) }
    }

    fn expect(&mut self, words: &[&str]) -> Read<()> {
        if self.eat(words) { Ok(()) } else { self.fail(&format!("{} was expected", words.join(" "))) }
    }

    fn name(&mut self) -> Read<Ident> {
        match self.step(Cursor::name) {
            Some(name) => Ok(name),
            None => self.fail("a name was expected"),
        }
    }

    fn object_name(&mut self) -> Read<ObjectName> {
        match self.step(Cursor::object_name) {
            Some(name) => Ok(name),
            None => self.fail("a table's name was expected"),
        }
    }

    /// `(a, b, c)`.
    fn names(&mut self) -> Read<Vec<Ident>> {
        self.expect_punct(Punct::LParen, "(")?;
        let names = self.separated(Reader::name)?;
        self.expect_punct(Punct::RParen, ")")?;
        Ok(names)
    }

    /// One or more, with commas between.
    fn separated<T>(&mut self, mut one: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let mut all = vec![one(self)?];
        while self.eat_punct(Punct::Comma) {
            all.push(one(self)?);
        }
        Ok(all)
    }

    /// Steps over `( ... )`.
    fn skip_parens(&mut self) -> Read<()> {
        let closed = self.is_punct(Punct::LParen) && self.step(Cursor::skip_parens);
        if closed { Ok(()) } else { self.fail("parentheses were expected") }
    }

    /// A failure at the next token.
    fn fail<T>(&self, message: &str) -> Read<T> {
        self.fail_at(self.start(), message)
    }

    fn fail_at<T>(&self, at: usize, message: &str) -> Read<T> {
        let mut failure = self.grammar.failure.borrow_mut();
        // The crate tries alternatives: what got furthest is what the client meant.
        if failure.as_ref().is_none_or(|known| known.at < at as u32) {
            *failure = Some(ParseFailure { at: at as u32, message: message.to_owned() });
        }
        Err(Stop(String::new()))
    }

    /// Reads something that may hold itself again, as long as that is not too deep.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let reads = self.grammar.reads.get();
        if reads >= READS_MAX {
            return self.fail("the statement is nested too deeply");
        }
        self.grammar.reads.set(reads + 1);
        let result = read(self);
        self.grammar.reads.set(reads);
        result
    }

    /// What `read` reads, and how deep it is if all that it takes are its parts.
    fn measured<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<(T, usize)> {
        let outside = self.grammar.tallest.replace(0);
        let result = read(self);
        let depth = 1 + self.grammar.tallest.replace(outside);
        if depth > DEPTH_MAX {
            return self.fail("the expression is nested too deeply");
        }
        Ok((result?, depth))
    }

    /// An expression, up to where none goes on.
    fn expr(&mut self) -> Read<Expr> {
        self.expr_above(0)
    }

    /// An expression of operators that bind tighter than `precedence`.
    fn expr_above(&mut self, precedence: u8) -> Read<Expr> {
        let read = self.parser.parse_subexpr(precedence).map_err(stop)?;
        self.taken(&read)
    }

    /// Puts an expression by; what the crate's tree carries in its place.
    fn put(&self, done: Done) -> theirs::Expr {
        let mut all = self.grammar.done.borrow_mut();
        all.push(Some(done));
        let mark = tok::Location { line: MARK, column: all.len() as u64 - 1 };
        theirs::Expr::Identifier(theirs::Ident {
            value: String::new(),
            quote_style: None,
            span: tok::Span { start: mark, end: mark },
        })
    }

    /// The expression that the crate's tree has a mark for; anything else it may have read is not ours.
    fn taken(&self, read: &theirs::Expr) -> Read<Expr> {
        let (expr, depth) = self.taken_done(read)?.settled();
        let tallest = &self.grammar.tallest;
        tallest.set(tallest.get().max(depth));
        Ok(expr)
    }

    fn taken_done(&self, read: &theirs::Expr) -> Read<Done> {
        let mark = match read {
            theirs::Expr::Identifier(mark) if mark.span.start.line == MARK => mark.span.start.column as usize,
            _ => return self.fail("the expression is not understood"),
        };
        match self.grammar.done.borrow_mut().get_mut(mark).and_then(Option::take) {
            Some(done) => Ok(done),
            None => self.fail("the expression is not understood"),
        }
    }
}

/// The crate's grammar of calls and of CASE.
impl Reader<'_, '_, '_> {
    /// CASE ... END, whose first word has been read.
    fn case(&mut self, start: usize) -> Read<Expr> {
        let read = self.nested(|reader| reader.parser.parse_case_expr().map_err(stop))?;
        let theirs::Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } = read else {
            return self.fail("CASE is not understood");
        };
        let mut parts = Vec::new();
        for part in operand.iter() {
            parts.push(self.taken(part)?);
        }
        for theirs::CaseWhen { condition, result } in &conditions {
            parts.push(self.taken(condition)?);
            parts.push(self.taken(result)?);
        }
        for part in else_result.iter() {
            parts.push(self.taken(part)?);
        }
        Ok(Expr::Other { parts, span: self.since(start) })
    }

    /// The call of a function from its opening parenthesis on; its name has been read.
    fn call(&mut self, name: String, start: usize) -> Read<Expr> {
        let read = self.nested(|reader| reader.parser.parse_function(theirs::ObjectName(Vec::new())).map_err(stop))?;
        let theirs::Expr::Function(read) = read else { return self.fail("the call is not understood") };
        let theirs::Function {
            name: _,
            uses_odbc_syntax: _,
            parameters: theirs::FunctionArguments::None,
            args: theirs::FunctionArguments::List(list),
            within_group,
            filter: None,
            null_treatment: _,
            over,
        } = read
        else {
            return self.fail("the call is not understood");
        };
        let mut function = Function {
            name,
            args: Vec::new(),
            star: false,
            distinct: matches!(list.duplicate_treatment, Some(theirs::DuplicateTreatment::Distinct)),
            ordered: !within_group.is_empty(),
            over: over.is_some(),
            span: self.since(start),
        };
        for arg in &list.args {
            match arg {
                theirs::FunctionArg::Unnamed(theirs::FunctionArgExpr::Expr(arg)) => {
                    function.args.push(self.taken(arg)?);
                }
                theirs::FunctionArg::Unnamed(theirs::FunctionArgExpr::Wildcard) => function.star = true,
                _ => return self.fail_at(start, "the arguments are not understood"),
            }
        }
        for clause in &list.clauses {
            function.ordered = true;
            match clause {
                theirs::FunctionArgumentClause::OrderBy(items) => self.take_order(items, &mut function.args)?,
                theirs::FunctionArgumentClause::Limit(count) => function.args.push(self.taken(count)?),
                theirs::FunctionArgumentClause::Separator(_) => {}
                _ => return self.fail("the arguments are not understood"),
            }
        }
        self.take_order(&within_group, &mut function.args)?;
        if let Some(theirs::WindowType::WindowSpec(window)) = &over {
            self.take_window(window, &mut function.args)?;
        }
        Ok(Expr::Function(Box::new(function)))
    }

    /// `(PARTITION BY ... ORDER BY ... frame)`: its expressions.
    fn window(&mut self) -> Read<Vec<Expr>> {
        self.expect_punct(Punct::LParen, "(")?;
        let window = self.parser.parse_window_spec().map_err(stop)?;
        let mut parts = Vec::new();
        self.take_window(&window, &mut parts)?;
        Ok(parts)
    }

    fn take_window(&self, window: &theirs::WindowSpec, parts: &mut Vec<Expr>) -> Read<()> {
        for part in &window.partition_by {
            parts.push(self.taken(part)?);
        }
        self.take_order(&window.order_by, parts)?;
        let bounds = window.window_frame.iter().flat_map(|frame| [Some(&frame.start_bound), frame.end_bound.as_ref()]);
        for bound in bounds.flatten() {
            match bound {
                theirs::WindowFrameBound::Preceding(Some(offset))
                | theirs::WindowFrameBound::Following(Some(offset)) => {
                    parts.push(self.taken(offset)?);
                }
                theirs::WindowFrameBound::CurrentRow
                | theirs::WindowFrameBound::Preceding(None)
                | theirs::WindowFrameBound::Following(None) => {}
            }
        }
        Ok(())
    }

    fn take_order(&self, items: &[theirs::OrderByExpr], parts: &mut Vec<Expr>) -> Read<()> {
        for item in items {
            parts.push(self.taken(&item.expr)?);
        }
        Ok(())
    }
}

fn stop(error: ParserError) -> Stop {
    Stop(match error {
        ParserError::ParserError(why) | ParserError::TokenizerError(why) => why,
        ParserError::RecursionLimitExceeded => "the statement is nested too deeply".to_owned(),
    })
}

/// The line that marks have, and no token.
const MARK: u64 = 2;

/// A tree of AND or OR, both associative, as flat as can be.
fn balanced(op: BinaryOp, mut operands: Vec<(Expr, usize)>) -> (Expr, usize) {
    while operands.len() > 1 {
        let mut pairs = operands.into_iter();
        let mut joined = Vec::new();
        while let Some((left, left_depth)) = pairs.next() {
            joined.push(match pairs.next() {
                Some((right, right_depth)) => {
                    let span = Span { start: left.span().start, end: right.span().end };
                    let (left, right) = (Box::new(left), Box::new(right));
                    (Expr::Binary { op, left, right, span }, 1 + left_depth.max(right_depth))
                }
                None => (left, left_depth),
            });
        }
        operands = joined;
    }
    operands.pop().unwrap_or((Expr::Keyword(crate::sql::ast::Keyword::Null, Span::default()), 0))
}

/// The crate's parser asks it before it reads an expression's beginning, an operator, or an operator's precedence.
impl Dialect for Grammar {
    /// The crate allows SEPARATOR in GROUP_CONCAT for its own MySQL only.
    fn dialect(&self) -> std::any::TypeId {
        std::any::TypeId::of::<MySqlDialect>()
    }

    fn is_identifier_start(&self, letter: char) -> bool {
        MySqlDialect {}.is_identifier_start(letter)
    }

    fn is_identifier_part(&self, letter: char) -> bool {
        MySqlDialect {}.is_identifier_part(letter)
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<theirs::Expr, ParserError>> {
        let mut reader = Reader { grammar: self, parser };
        let read = reader.nested(|reader| {
            let (expr, depth) = reader.measured(expr::prefix)?;
            Ok(reader.put(Done::Expr(expr, depth)))
        });
        Some(read.map_err(|Stop(why)| ParserError::ParserError(why)))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        left: &theirs::Expr,
        precedence: u8,
    ) -> Option<Result<theirs::Expr, ParserError>> {
        let mut reader = Reader { grammar: self, parser };
        let read = reader.nested(|reader| {
            let left = reader.taken_done(left)?;
            expr::infix(reader, left, precedence)
        });
        Some(read.map(|done| reader.put(done)).map_err(|Stop(why)| ParserError::ParserError(why)))
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        let Grammar { sql, facts, tokens, .. } = self;
        let cursor = Cursor { sql, facts: *facts, tokens, at: parser.index().min(tokens.len()) };
        Some(Ok(expr::precedence(&cursor)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::parse;
    use crate::sql::tests::MYSQL;

    /// Within the 2 MB of stack that a thread has.
    #[test]
    fn depth_is_bounded_and_long_chains_are_not_deep() {
        let deep =
            |count: usize, open: &str, close: &str| format!("SELECT {}1{}", open.repeat(count), close.repeat(count));
        for (open, close, fits) in [
            ("(", ")", 120),
            ("-", "", 60),
            ("NOT ", "", 60),
            ("f(", ")", 36),
            ("CASE WHEN ", " THEN 1 END", 36),
            ("(SELECT ", ")", 25),
            ("1=", "", 100),
            ("a BETWEEN 1 AND ", "", 36),
            ("1 IN (", ")", 36),
            ("1+(", ")", 36),
            ("1 OR (1 AND (", "))", 18),
            ("INTERVAL ", " DAY", 60),
            ("(SELECT 1 FROM (SELECT ", ") x)", 12),
        ] {
            assert!(parse(deep(100_000, open, close).as_bytes(), MYSQL).is_err(), "{open}");
            let read = parse(deep(fits, open, close).as_bytes(), MYSQL);
            assert!(read.is_ok(), "{open}: {read:?}");
        }
        for (open, close) in [("(", ")"), ("(SELECT 1 FROM ", ") x"), ("x JOIN (", ")")] {
            let tables = format!("SELECT 1 FROM {}t{}", open.repeat(100_000), close.repeat(100_000));
            assert!(parse(tables.as_bytes(), MYSQL).is_err());
        }
        let chain = |one: &str, op: &str| format!("SELECT 1 WHERE {}", vec![one; 20_000].join(op));
        assert!(parse(chain("a=1 AND b=2", " OR ").as_bytes(), MYSQL).is_ok());
        assert!(parse(chain("1", "+").as_bytes(), MYSQL).is_err());
        assert!(parse(chain("1", " UNION SELECT ").as_bytes(), MYSQL).is_err());
    }
}
