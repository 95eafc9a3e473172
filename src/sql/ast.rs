//! The syntax tree of the statements that planning looks into: SELECT, INSERT, REPLACE, UPDATE, DELETE.
//! Every node carries the byte span of its text, because rewriting is splicing by span; the tree is
//! never printed. It knows nothing of rules, and nothing of the parser crate that produced it.

/// A half-open range of byte offsets into the statement's text as the client sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

/// A name as the client wrote it, without its quotes; names are compared without case where MySQL does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    /// The name, unquoted and unescaped.
    pub name: String,
    /// Where it stands, quotes included.
    pub span: Span,
}

/// `table` or `schema.table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The schema, if written.
    pub schema: Option<Ident>,
    /// The table.
    pub name: Ident,
    /// From the first byte of the schema (or name) to the last of the name.
    pub span: Span,
}

/// A statement that planning looks into.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, UNION ..., WITH ... SELECT, or a parenthesised one.
    Query(Box<Query>),
    /// INSERT or REPLACE.
    Insert(Box<Insert>),
    /// UPDATE, of one table or several.
    Update(Box<Update>),
    /// DELETE, of one table or several.
    Delete(Box<Delete>),
}

/// A query expression with what stands behind its body.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// WITH: the common table expressions in order.
    pub with: Vec<Cte>,
    /// WITH RECURSIVE.
    pub recursive: bool,
    /// SELECT, UNION ... .
    pub body: Body,
    /// The items of ORDER BY, empty if there is none.
    pub order_by: Vec<OrderItem>,
    /// The whole clause from `ORDER` to the end of its last item.
    pub order_span: Option<Span>,
    /// LIMIT and OFFSET.
    pub limit: Option<Limit>,
    /// FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE: takes locks, so it runs on the primary.
    pub locking: Option<Span>,
    /// The same, clause by clause.
    pub locks: Vec<LockClause>,
    /// INTO OUTFILE, INTO DUMPFILE, INTO @var, wherever it stands.
    pub into: Option<Span>,
    /// The whole query.
    pub span: Span,
}

/// FOR UPDATE, FOR SHARE or LOCK IN SHARE MODE.
#[derive(Clone, Debug, PartialEq)]
pub struct LockClause {
    /// The words that say which lock is taken.
    pub strength: Span,
    /// `OF`: the tables or aliases that it is for; empty: all of its block.
    pub of: Vec<ObjectName>,
    /// NOWAIT or `WAIT n`.
    pub wait: Option<Span>,
    /// SKIP LOCKED.
    pub skips: bool,
}

/// One common table expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Cte {
    /// Its name.
    pub name: Ident,
    /// Its column names, if listed.
    pub columns: Vec<Ident>,
    /// What it stands for.
    pub query: Query,
}

/// The body of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// One SELECT.
    Select(Box<Select>),
    /// UNION, INTERSECT, EXCEPT.
    SetOperation {
        /// Which, and whether ALL.
        op: SetOp,
        /// ALL was written.
        all: bool,
        /// Left operand.
        left: Box<Body>,
        /// Right operand.
        right: Box<Body>,
    },
    /// A query in parentheses, with an ORDER BY and LIMIT of its own.
    Nested(Box<Query>),
    /// VALUES ROW(...), ....
    Values(Vec<Vec<Expr>>),
    /// TABLE t.
    Table(ObjectName),
}

/// A set operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOp {
    /// UNION.
    Union,
    /// INTERSECT.
    Intersect,
    /// EXCEPT.
    Except,
}

/// One SELECT without ORDER BY and LIMIT.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// DISTINCT (or DISTINCTROW): where the word stands.
    pub distinct: Option<Span>,
    /// SQL_CALC_FOUND_ROWS was written.
    pub calc_found_rows: bool,
    /// The select list.
    pub items: Vec<SelectItem>,
    /// From the first byte of the first item to the last byte of the last.
    pub items_span: Span,
    /// FROM: the comma-separated table references; empty without FROM or with FROM DUAL.
    pub from: Vec<TableRef>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// GROUP BY.
    pub group_by: Vec<Expr>,
    /// From `GROUP` to the end of its last item (WITH ROLLUP included).
    pub group_span: Option<Span>,
    /// WITH ROLLUP.
    pub rollup: bool,
    /// HAVING.
    pub having: Option<Expr>,
    /// From `HAVING` to the end of its condition.
    pub having_span: Option<Span>,
    /// The WINDOW clause was written.
    pub named_windows: bool,
    /// The expressions in the WINDOW clause.
    pub windows: Vec<Expr>,
    /// The whole SELECT.
    pub span: Span,
}

/// One item of a select list.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectItem {
    /// `*`.
    Wildcard(Span),
    /// `t.*` or `s.t.*`; the span covers the star too.
    QualifiedWildcard(ObjectName, Span),
    /// An expression.
    Expr {
        /// The expression.
        expr: Expr,
        /// Its alias.
        alias: Option<Ident>,
        /// Expression and alias.
        span: Span,
    },
}

/// A table reference in FROM, UPDATE or DELETE.
#[derive(Clone, Debug, PartialEq)]
pub enum TableRef {
    /// A table (or a common table expression of that name).
    Table {
        /// Its name.
        name: ObjectName,
        /// Its alias.
        alias: Option<Ident>,
        /// PARTITION (...) was written.
        partitions: bool,
        /// Name, alias and index hints.
        span: Span,
    },
    /// A subquery in FROM.
    Derived {
        /// The subquery.
        query: Box<Query>,
        /// LATERAL.
        lateral: bool,
        /// Its alias.
        alias: Option<Ident>,
        /// Its column names, if listed.
        columns: Vec<Ident>,
        /// With parentheses, alias and columns.
        span: Span,
    },
    /// A join of two table references.
    Join {
        /// Left operand.
        left: Box<TableRef>,
        /// Right operand.
        right: Box<TableRef>,
        /// Its kind.
        kind: JoinKind,
        /// NATURAL was written.
        natural: bool,
        /// ON.
        on: Option<Box<Expr>>,
        /// USING.
        using: Vec<Ident>,
    },
    /// Table references in parentheses, comma-separated ones included.
    Nested(Vec<TableRef>),
    /// JSON_TABLE(...) and other table functions.
    Function {
        /// Alias.
        alias: Option<Ident>,
        /// Expressions in it.
        args: Vec<Expr>,
        /// All of it.
        span: Span,
    },
}

/// A kind of join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// INNER JOIN, JOIN, CROSS JOIN.
    Inner,
    /// STRAIGHT_JOIN.
    Straight,
    /// `LEFT [OUTER] JOIN`.
    Left,
    /// `RIGHT [OUTER] JOIN`.
    Right,
}

/// One item of ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    /// What is sorted by.
    pub expr: Expr,
    /// DESC.
    pub desc: bool,
    /// Expression and direction.
    pub span: Span,
}

/// LIMIT and OFFSET; each a literal, a parameter, or (in a routine) a variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// How many rows at most.
    pub count: Expr,
    /// How many rows to leave out first.
    pub offset: Option<Expr>,
    /// From `LIMIT` to its end.
    pub span: Span,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A column: `c`, `t.c`, `s.t.c`.
    Column {
        /// Schema qualifier.
        schema: Option<Ident>,
        /// Table (or alias) qualifier.
        table: Option<Ident>,
        /// The column.
        name: Ident,
        /// All of it.
        span: Span,
    },
    /// A literal. `index` counts the literals of the statement from 0 in the lexer's order.
    Literal {
        /// Number among the statement's literals; a bulk INSERT may hold more than 65,535.
        index: u32,
        /// What it is.
        kind: LiteralKind,
        /// Where it stands (with introducer or prefix; without a sign).
        span: Span,
    },
    /// A `?`, counted from 0.
    Param {
        /// Number among the statement's parameters.
        index: u16,
        /// Where it stands.
        span: Span,
    },
    /// NULL, TRUE or FALSE written as a word.
    Keyword(Keyword, Span),
    /// `@x`, `@@x`, `@@session.x`.
    Variable {
        /// Lower-case text as written, with its at-signs.
        text: String,
        /// Where it stands.
        span: Span,
    },
    /// NOT, `!`, `-`, `+`, `~`, BINARY.
    Unary {
        /// Operator.
        op: UnaryOp,
        /// Operand.
        expr: Box<Expr>,
        /// All of it.
        span: Span,
    },
    /// A binary operator.
    Binary {
        /// Operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
        /// All of it.
        span: Span,
    },
    /// `expr [NOT] BETWEEN low AND high`.
    Between {
        /// NOT.
        negated: bool,
        /// What is tested.
        expr: Box<Expr>,
        /// Lower bound, included.
        low: Box<Expr>,
        /// Upper bound, included.
        high: Box<Expr>,
        /// All of it.
        span: Span,
    },
    /// `expr [NOT] IN (a, b, ...)`.
    InList {
        /// NOT.
        negated: bool,
        /// What is tested; may be a `Tuple`.
        expr: Box<Expr>,
        /// The list.
        list: Vec<Expr>,
        /// All of it.
        span: Span,
    },
    /// `expr [NOT] IN (SELECT ...)`.
    InSubquery {
        /// NOT.
        negated: bool,
        /// What is tested.
        expr: Box<Expr>,
        /// The subquery.
        query: Box<Query>,
        /// All of it.
        span: Span,
    },
    /// `expr IS [NOT] NULL | TRUE | FALSE | UNKNOWN`.
    Is {
        /// NOT.
        negated: bool,
        /// What is tested.
        expr: Box<Expr>,
        /// Against what.
        what: Keyword,
        /// All of it.
        span: Span,
    },
    /// `(a, b, ...)` with two or more members, or ROW(...).
    Tuple(Vec<Expr>, Span),
    /// An expression in parentheses; kept because its span counts.
    Paren(Box<Expr>, Span),
    /// A function call, aggregates included.
    Function(Box<Function>),
    /// CAST(x AS type), CONVERT(x, type), CONVERT(x USING charset), `x COLLATE c`, `_charset'x'` of a non-literal.
    Cast {
        /// What is cast.
        expr: Box<Expr>,
        /// All of it.
        span: Span,
    },
    /// `(SELECT ...)` used as a value.
    Subquery(Box<Query>, Span),
    /// EXISTS (SELECT ...).
    Exists(Box<Query>, Span),
    /// Anything else (CASE, LIKE, REGEXP, INTERVAL, MATCH, JSON arrows ...): its parts in order of their text.
    Other {
        /// Sub-expressions.
        parts: Vec<Expr>,
        /// All of it.
        span: Span,
    },
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Upper-case name.
    pub name: String,
    /// Arguments; `COUNT(*)` has none and sets `star`. Behind them, if `ordered` or `over` is set, stand the
    /// expressions of ORDER BY and OVER, so that no column is overlooked.
    pub args: Vec<Expr>,
    /// `*` was the argument.
    pub star: bool,
    /// DISTINCT inside the parentheses.
    pub distinct: bool,
    /// ORDER BY or SEPARATOR inside the parentheses (GROUP_CONCAT).
    pub ordered: bool,
    /// OVER (...) or OVER w.
    pub over: bool,
    /// From the name to the closing parenthesis (or the end of OVER).
    pub span: Span,
}

/// What a literal token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LiteralKind {
    /// `'text'`, or `"text"` without ANSI_QUOTES; adjacent strings are one literal to MySQL, several tokens to the lexer.
    String,
    /// `N'text'`.
    National,
    /// `_utf8mb4'text'`.
    Introduced,
    /// `12`.
    Integer,
    /// `1.5`.
    Decimal,
    /// `1e5`.
    Float,
    /// `0x1F` or `x'1F'`.
    Hex,
    /// `0b01` or `b'01'`.
    Bit,
    /// `DATE'...'`, `TIME'...'`, `TIMESTAMP'...'`.
    Temporal,
}

/// A word that is a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// NULL.
    Null,
    /// TRUE.
    True,
    /// FALSE.
    False,
    /// UNKNOWN (after IS).
    Unknown,
    /// DEFAULT (in VALUES and SET).
    Default,
}

/// A prefix operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// NOT or `!`.
    Not,
    /// `-`.
    Minus,
    /// `+`.
    Plus,
    /// `~`.
    BitNot,
    /// BINARY.
    Binary,
}

/// An infix operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// OR, or `||` without PIPES_AS_CONCAT.
    Or,
    /// XOR.
    Xor,
    /// AND or `&&`.
    And,
    /// `=`.
    Eq,
    /// `<=>`.
    NullSafeEq,
    /// `<>` or `!=`.
    Ne,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
    /// `+`.
    Add,
    /// `-`.
    Sub,
    /// `*`.
    Mul,
    /// `/`.
    Div,
    /// DIV.
    IntDiv,
    /// `%` or MOD.
    Mod,
    /// `&`, `|`, `^`, `<<`, `>>`, `||` as concatenation, `:=`: no rule looks into it.
    Other,
}

/// INSERT or REPLACE.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// REPLACE.
    pub replace: bool,
    /// IGNORE.
    pub ignore: bool,
    /// LOW_PRIORITY, HIGH_PRIORITY or DELAYED was written.
    pub priority: bool,
    /// PARTITION (...) was written.
    pub partitions: bool,
    /// The table.
    pub table: ObjectName,
    /// The columns, if listed (for `SET a=1`: those set).
    pub columns: Option<Vec<Ident>>,
    /// The tables that some of them are named with, each up to its column.
    pub qualifiers: Vec<ObjectName>,
    /// Where the rows come from.
    pub source: InsertSource,
    /// `AS new(a, b)` behind VALUES: the row alias.
    pub row_alias: Option<Ident>,
    /// The columns' aliases behind the row alias.
    pub row_alias_columns: Vec<Ident>,
    /// ON DUPLICATE KEY UPDATE.
    pub on_duplicate: Vec<Assignment>,
    /// RETURNING was written (MariaDB).
    pub returning: bool,
    /// What it returns.
    pub returning_items: Vec<SelectItem>,
    /// The whole statement.
    pub span: Span,
}

/// Where the rows of an INSERT come from.
#[derive(Clone, Debug, PartialEq)]
pub enum InsertSource {
    /// VALUES: each row with its span, parentheses included (and the word ROW, if written).
    Values(Vec<(Vec<Expr>, Span)>),
    /// SET a=1, b=2: one row.
    Set(Vec<Expr>),
    /// SELECT ..., TABLE t, WITH ... .
    Query(Box<Query>),
}

/// `column = expr`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Left side: always an `Expr::Column`.
    pub column: Expr,
    /// Right side.
    pub value: Expr,
}

/// UPDATE.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// WITH.
    pub with: Vec<Cte>,
    /// IGNORE.
    pub ignore: bool,
    /// The table references.
    pub tables: Vec<TableRef>,
    /// All of them.
    pub tables_span: Span,
    /// SET.
    pub set: Vec<Assignment>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// LIMIT.
    pub limit: Option<Limit>,
    /// The whole statement.
    pub span: Span,
}

/// DELETE.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// WITH.
    pub with: Vec<Cte>,
    /// IGNORE.
    pub ignore: bool,
    /// For a delete of several tables: the names rows are deleted from (tables or aliases); else empty.
    pub targets: Vec<ObjectName>,
    /// The table references of FROM (or USING).
    pub tables: Vec<TableRef>,
    /// All of them.
    pub tables_span: Span,
    /// WHERE.
    pub filter: Option<Expr>,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// LIMIT.
    pub limit: Option<Limit>,
    /// RETURNING was written (MariaDB).
    pub returning: bool,
    /// What it returns.
    pub returning_items: Vec<SelectItem>,
    /// The whole statement.
    pub span: Span,
}

impl Span {
    /// The range from `start` to before `end`.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    /// How many bytes it covers.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether it covers nothing.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The bytes of `sql` that this span covers; empty if it lies outside.
    pub fn of(self, sql: &[u8]) -> &[u8] {
        sql.get(self.start as usize..self.end as usize).unwrap_or(&[])
    }
}

impl Expr {
    /// Where the expression stands.
    pub fn span(&self) -> Span {
        match self {
            Expr::Column { span, .. }
            | Expr::Literal { span, .. }
            | Expr::Param { span, .. }
            | Expr::Keyword(_, span)
            | Expr::Variable { span, .. }
            | Expr::Unary { span, .. }
            | Expr::Binary { span, .. }
            | Expr::Between { span, .. }
            | Expr::InList { span, .. }
            | Expr::InSubquery { span, .. }
            | Expr::Is { span, .. }
            | Expr::Tuple(_, span)
            | Expr::Paren(_, span)
            | Expr::Cast { span, .. }
            | Expr::Subquery(_, span)
            | Expr::Exists(_, span)
            | Expr::Other { span, .. } => *span,
            Expr::Function(function) => function.span,
        }
    }
}
