//! How the rows of several targets become one answer: a description, read by `exec` and printed by EXPLAIN.
//! It knows no SQL text and no bytes of rows; which column is meant is said by position only.

use crate::plan::slot::Slot;

/// A column of the rows that every target returns.
///
/// The rewritten SELECT answers the client's columns first, then the hidden ones that merging needs; as `*` may stand
/// for any number of columns, hidden ones are counted from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// The client's column of this number, from 0.
    Item(u16),
    /// The hidden column of this number, from 0: column `columns - Merge::hidden + n` of the row.
    Hidden(u16),
}

/// What rows are compared by.
///
/// How, is decided by the definition of column `value` when it arrives:
/// numbers (BIT and YEAR included) and temporal types by value, and the type of the cell is then enough;
/// strings of the binary character set (63) by the bytes of `value`; other strings by the bytes of `weight`,
/// a hidden `WEIGHT_STRING(...)`. NULL comes before everything (behind, if descending).
/// A string without `weight`, an ENUM or SET (told by their flags), JSON, GEOMETRY, and in the text protocol FLOAT
/// (printed with six digits) and DOUBLE(M,D) cannot be compared exactly: that is a refusal (1235) at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The column that is compared, and whose definition tells how.
    pub value: Cell,
    /// Its collation weights.
    pub weight: Option<Cell>,
    /// The weight of a space, if the collation compares as if spaces without end followed each string (PAD SPACE);
    /// NULL in this cell: it does not. `WEIGHT_STRING` leaves that out.
    pub pad: Option<Cell>,
    /// Descending.
    pub desc: bool,
}

/// The operators that combine the rows of several targets, in the order in which they are applied.
///
/// `sources by order -> fold or distinct -> having -> sort -> window -> the client's columns`
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Merge {
    /// How many columns at the end of each row are hidden from the client.
    pub hidden: u16,
    /// Every target returns its rows in this order, and they are merged by it; empty: any order will do.
    /// With `fold` and `distinct` it is a promise that has to be checked (an input that goes back is an error,
    /// because groups would be split): `max_sort_length` can make a server sort by less than the whole key.
    pub order: Box<[SortKey]>,
    /// What becomes of rows that agree.
    pub combine: Combine,
    /// Which combined rows stay; a test that is NULL drops the row.
    pub having: Option<Test>,
    /// The order of the answer where it is not `order`: rows have to be held, within the bound on memory.
    pub sort: Box<[SortKey]>,
    /// Whether `Bound::window` has to be applied to the merged rows.
    pub windowed: bool,
}

/// What becomes of rows of different targets that agree.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Combine {
    /// Every row stands for itself.
    #[default]
    None,
    /// DISTINCT: of rows equal by all these keys one stays. The keys begin with those of `Merge::order`, which covers
    /// them all, so that equal rows follow each other.
    Distinct(Box<[SortKey]>),
    /// Aggregates. Rows equal by all `keys` become one; `Merge::order` covers them, so that they follow each other.
    /// Without keys all rows become one (each target returns one, or none where its HAVING says so, and no rows at all
    /// become none). First the cells are folded row by row; a key is compared with the row folded so far before any of
    /// its cells changes. When a group is whole, `Average` and `Compute` are worked out.
    Fold {
        /// What makes a group.
        keys: Box<[SortKey]>,
        /// For each column of the row, the client's first, then the hidden ones.
        columns: Box<[Aggregate]>,
    },
}

/// How the cells of one column become one.
#[derive(Clone, Debug, PartialEq)]
pub enum Aggregate {
    /// Any that is not NULL, NULL if there are none: they are equal, or MySQL itself would pick one.
    Any,
    /// The sum of those that are not NULL, exact for integers and DECIMAL, NULL if there are none: SUM and COUNT.
    /// DOUBLE(M,D) is refused (1235) in the text protocol, where each part is printed rounded.
    Sum,
    /// The least that is not NULL. The keys say what is compared.
    Min(SortKey),
    /// The greatest that is not NULL.
    Max(SortKey),
    /// BIT_AND of BIGINT UNSIGNED; a string type is refused at run time.
    BitAnd,
    /// BIT_OR, likewise.
    BitOr,
    /// BIT_XOR, likewise.
    BitXor,
    /// `sum / count`, NULL if `count` is 0, with as many decimals as the column's definition says (DECIMAL, rounded
    /// half away from zero, as MySQL does) or in DOUBLE; taken from the folded cells of two other columns.
    Average {
        /// SUM(x).
        sum: Cell,
        /// COUNT(x).
        count: Cell,
    },
    /// An expression over folded cells of other columns, written in the type of this column's definition.
    /// Where it is NULL, the cell of any target stands (so `IFNULL(SUM(x), 0)` is as the server prints it).
    Compute(Scalar),
}

/// A number computed from folded cells: integers and DECIMAL exactly, DOUBLE in DOUBLE; NULL if any operand is NULL.
/// A result that leaves BIGINT or DECIMAL(65,30) is an error (1690), as in MySQL.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A folded cell.
    Cell(Cell),
    /// A literal or parameter; an exact number, which `bind` has checked.
    Slot(Slot),
    /// `-a`.
    Negate(Box<Scalar>),
    /// `a + b`.
    Add(Box<[Scalar; 2]>),
    /// `a - b`.
    Subtract(Box<[Scalar; 2]>),
    /// `a * b`.
    Multiply(Box<[Scalar; 2]>),
}

/// A condition over folded cells, in MySQL's three-valued logic.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// All are true.
    And(Box<[Test]>),
    /// One is true.
    Or(Box<[Test]>),
    /// Not true (NULL stays NULL).
    Not(Box<Test>),
    /// A comparison of numbers.
    Compare(Comparison, Scalar, Scalar),
    /// `IS NULL`.
    IsNull(Scalar),
    /// A condition that the targets computed: 0, 1 or NULL in this cell.
    Cell(Cell),
}

/// A comparison of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`.
    Eq,
    /// `<>`.
    Ne,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
}
