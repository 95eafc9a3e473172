//! Where a value stands that a plan leaves open: a literal of the statement or a parameter of EXECUTE.
//! It knows no types; what a value means to a column is said by `value`.

/// A value that is read from the statement at hand each time its plan is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// A literal, counted from 0 in the lexer's order.
    Literal {
        /// Its number.
        index: u32,
        /// A minus sign stands before it.
        negative: bool,
    },
    /// A `?`, counted from 0.
    Param {
        /// Its number.
        index: u16,
        /// A minus sign stands before it.
        negative: bool,
    },
    /// The word NULL.
    Null,
    /// The words TRUE and FALSE: 1 and 0.
    Bool(bool),
    /// The id of a row of an INSERT, counted from 0: made for it, or what it gives.
    Id(u32),
}
