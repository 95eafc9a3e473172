//! What kind of value an expression has, as far as merging needs it: how its values are compared, and by what.
//! It knows no rows; where it is not sure it says so, and the servers' column definitions decide at run time.

use crate::plan::parts::strip;
use crate::plan::resolve::{BlockId, BodyNode, Column, Model, QueryId, Source};
use crate::rules::catalog::{ColumnInfo, ColumnType};
use crate::sql::ast::{BinaryOp, Expr, Keyword, LiteralKind, UnaryOp};

/// How values of an expression are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Integers, DECIMAL, DOUBLE: by value, and fit for arithmetic.
    Number,
    /// DATE, TIME, DATETIME, YEAR: by value.
    Moment,
    /// Strings of a NO PAD collation: by collation weights.
    Text,
    /// Strings of a PAD SPACE collation: by weights, as if spaces without end followed.
    Padded,
    /// Binary strings: by their bytes.
    Bytes,
    /// ENUM and SET: by number.
    Numbered,
    /// BIT: by value, but sent as bytes.
    Bits,
    /// FLOAT: by value, but printed with six digits.
    Float,
    /// TIMESTAMP: by the moment, of which two may be printed alike when clocks are set back.
    Stamp,
    /// Not known here.
    Unknown,
    /// Not comparable outside of a server: JSON, GEOMETRY and others.
    Opaque,
}

/// The class of a column by its type.
pub(super) fn class_of_column(column: &ColumnInfo) -> Class {
    match column.ty {
        ColumnType::Int { .. } | ColumnType::Decimal { .. } | ColumnType::Float { bits: 64, .. } => Class::Number,
        ColumnType::Float { .. } => Class::Float,
        ColumnType::Date | ColumnType::Time(_) | ColumnType::DateTime(_) | ColumnType::Year => Class::Moment,
        ColumnType::Timestamp(_) => Class::Stamp,
        // Weights of longer texts may not fit into a packet, and are then NULL: the text itself has to come, too.
        ColumnType::Text(bytes) if bytes > 65_535 && class_of_text(column) == Class::Text => Class::Unknown,
        ColumnType::Char(_) | ColumnType::Varchar(_) | ColumnType::Text(_) => class_of_text(column),
        ColumnType::Binary(_) | ColumnType::Varbinary(_) | ColumnType::Blob(_) => Class::Bytes,
        ColumnType::Enum(_) | ColumnType::Set(_) => Class::Numbered,
        ColumnType::Bit(_) => Class::Bits,
        ColumnType::Json | ColumnType::Uuid | ColumnType::Other(_) => Class::Opaque,
    }
}

/// The class of a string by its collation. Weights of other character sets than these may be of several lengths, and
/// those of several levels have no place for the spaces of PAD SPACE: these are not compared here.
fn class_of_text(column: &ColumnInfo) -> Class {
    let name = column.collation.as_deref().unwrap_or_default().to_ascii_lowercase();
    let unpadded = name.contains("_0900_") || name.contains("nopad");
    let levels = name.contains("_as_") || name.contains("_cs");
    let known =
        ["utf8mb4_", "utf8mb3_", "utf8_", "latin1_", "latin2_", "latin5_", "latin7_", "ascii_", "cp125", "koi8"]
            .iter()
            .chain(&["uca1400_"])
            .any(|charset| name.starts_with(charset));
    match (known, unpadded, levels) {
        (false, ..) => Class::Opaque,
        (true, true, _) => Class::Text,
        (true, false, false) => Class::Padded,
        (true, false, true) if name == "latin1_general_cs" => Class::Padded,
        (true, false, true) => Class::Opaque,
    }
}

impl Model<'_> {
    /// The class of an expression that stands in a block.
    pub(super) fn class(&self, block: BlockId, expr: &Expr) -> Class {
        match strip(expr) {
            Expr::Column { .. } => self.column(block, expr).map_or(Class::Unknown, |column| self.column_class(&column)),
            Expr::Literal { kind: LiteralKind::Integer | LiteralKind::Decimal | LiteralKind::Float, .. }
            | Expr::Keyword(Keyword::True | Keyword::False, _)
            | Expr::Between { .. }
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Is { .. }
            | Expr::Exists(..) => Class::Number,
            Expr::Unary { op: UnaryOp::Not | UnaryOp::Minus | UnaryOp::BitNot, .. } => Class::Number,
            Expr::Binary { op, left, right, .. } => arithmetic(*op, left, right),
            Expr::Function(function) => match function.name.as_str() {
                "COUNT" | "SUM" | "AVG" => Class::Number,
                "MIN" | "MAX" if function.args.len() == 1 => match self.class(block, &function.args[0]) {
                    Class::Numbered | Class::Bits => Class::Opaque,
                    class => class,
                },
                name if NUMERIC.binary_search(&name).is_ok() => Class::Number,
                "ABS" | "COALESCE" | "GREATEST" | "IFNULL" | "LEAST" | "MOD" | "ROUND" | "TRUNCATE"
                    if function.args.iter().all(|arg| self.class(block, arg) == Class::Number) =>
                {
                    Class::Number
                }
                "CURDATE" | "CURRENT_DATE" | "CURRENT_TIMESTAMP" | "LAST_DAY" | "MAKEDATE" | "NOW" => Class::Moment,
                "DATE" if function.args.len() == 1 => Class::Moment,
                _ => Class::Unknown,
            },
            Expr::Subquery(query, _) => {
                self.query_of(query).map_or(Class::Unknown, |query| self.output_class(query, 0))
            }
            _ => Class::Unknown,
        }
    }

    /// The class of a column of a table reference.
    pub(super) fn column_class(&self, column: &Column) -> Class {
        match self.refs[column.of.0].source {
            Source::Table(_, Some(info)) => {
                info.column(&column.name).map_or(Class::Unknown, |(_, found)| class_of_column(found))
            }
            Source::Table(_, None) | Source::Opaque => Class::Unknown,
            Source::Query(query) => {
                let outputs = self.outputs(query).unwrap_or_default();
                let position = outputs.iter().position(|output| output.name == column.name);
                position.map_or(Class::Unknown, |position| self.output_class(query, position))
            }
        }
    }

    /// The class of an output column of a query of one SELECT; a set operation may mix types into another one.
    fn output_class(&self, query: QueryId, position: usize) -> Class {
        match self.queries[query.0].body {
            BodyNode::Block(block) => {
                let outputs = self.block_outputs(block).unwrap_or_default();
                match outputs.get(position) {
                    Some(output) => match (&output.column, output.expr) {
                        (Some(column), _) => self.column_class(column),
                        (None, Some(expr)) => self.class(block, expr),
                        (None, None) => Class::Unknown,
                    },
                    None => Class::Unknown,
                }
            }
            BodyNode::Nested(inner) => self.output_class(inner, position),
            BodyNode::Set(..) | BodyNode::Values | BodyNode::Pending => Class::Unknown,
        }
    }
}

/// The class of an infix expression. `moment + INTERVAL ...` is not arithmetic.
fn arithmetic(op: BinaryOp, left: &Expr, right: &Expr) -> Class {
    let interval = |expr: &Expr| matches!(strip(expr), Expr::Other { .. });
    match op {
        BinaryOp::Other => Class::Unknown,
        BinaryOp::Add | BinaryOp::Sub if interval(left) || interval(right) => Class::Unknown,
        _ => Class::Number,
    }
}

/// Functions whose value is a number, and never a FLOAT; sorted.
const NUMERIC: &[&str] = &[
    "ACOS",
    "ASCII",
    "ASIN",
    "ATAN",
    "ATAN2",
    "BIT_AND",
    "BIT_COUNT",
    "BIT_LENGTH",
    "BIT_OR",
    "BIT_XOR",
    "CEIL",
    "CEILING",
    "CHARACTER_LENGTH",
    "CHAR_LENGTH",
    "COS",
    "COT",
    "CRC32",
    "DATEDIFF",
    "DAY",
    "DAYOFMONTH",
    "DAYOFWEEK",
    "DAYOFYEAR",
    "DEGREES",
    "EXP",
    "FIELD",
    "FIND_IN_SET",
    "FLOOR",
    "HOUR",
    "INSTR",
    "ISNULL",
    "JSON_LENGTH",
    "LENGTH",
    "LN",
    "LOCATE",
    "LOG",
    "LOG10",
    "LOG2",
    "MICROSECOND",
    "MINUTE",
    "MONTH",
    "OCTET_LENGTH",
    "ORD",
    "PERIOD_ADD",
    "PERIOD_DIFF",
    "PI",
    "POSITION",
    "POW",
    "POWER",
    "QUARTER",
    "RADIANS",
    "SECOND",
    "SIGN",
    "SIN",
    "SQRT",
    "STRCMP",
    "TAN",
    "TIMESTAMPDIFF",
    "TIME_TO_SEC",
    "TO_DAYS",
    "TO_SECONDS",
    "UNIX_TIMESTAMP",
    "WEEK",
    "WEEKDAY",
    "WEEKOFYEAR",
    "YEAR",
    "YEARWEEK",
];

#[cfg(test)]
mod tests {
    use super::NUMERIC;

    #[test]
    fn names_are_sorted_so_that_binary_search_finds_them() {
        assert!(NUMERIC.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
