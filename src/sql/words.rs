//! The reserved words of both vendors: those that an unquoted name can never be.
//! Taken from what MySQL 9.7 and MariaDB 10.11 refuse as `SELECT 1 AS word`. It gives words no meaning.

use crate::sql::Flavour;

/// Whether `word`, in any case, is reserved by the servers of that flavour.
pub(crate) fn is_reserved(word: &[u8], flavour: Flavour) -> bool {
    let mut upper = [0; LONGEST];
    let Some(upper) = upper.get_mut(..word.len()) else { return false };
    upper.copy_from_slice(word);
    upper.make_ascii_uppercase();
    let own = match flavour {
        Flavour::MySql => MYSQL,
        Flavour::MariaDb => MARIADB,
    };
    [BOTH, own].iter().any(|words| words.binary_search_by(|known| known.as_bytes().cmp(upper)).is_ok())
}

/// The length of the longest of the words.
const LONGEST: usize = 29;

/// Reserved by both.
#[rustfmt::skip]
const BOTH: &[&str] = &[
    "ACCESSIBLE", "ADD", "ALL", "ALTER", "ANALYZE", "AND", "AS", "ASC", "ASENSITIVE", "BEFORE", "BETWEEN", "BIGINT",
    "BINARY", "BLOB", "BOTH", "BY", "CALL", "CASCADE", "CASE", "CHANGE", "CHAR", "CHARACTER", "CHECK", "COLLATE",
    "COLUMN", "CONDITION", "CONSTRAINT", "CONTINUE", "CONVERT", "CREATE", "CROSS", "CURRENT_DATE", "CURRENT_TIME",
    "CURRENT_TIMESTAMP", "CURRENT_USER", "CURSOR", "DATABASES", "DAY_HOUR", "DAY_MICROSECOND", "DAY_MINUTE",
    "DAY_SECOND", "DEC", "DECIMAL", "DECLARE", "DEFAULT", "DELAYED", "DELETE", "DESC", "DESCRIBE", "DETERMINISTIC",
    "DISTINCT", "DISTINCTROW", "DIV", "DOUBLE", "DROP", "DUAL", "EACH", "ELSE", "ELSEIF", "ENCLOSED", "ESCAPED",
    "EXCEPT", "EXISTS", "EXIT", "EXPLAIN", "FALSE", "FETCH", "FLOAT", "FLOAT4", "FLOAT8", "FOR", "FORCE", "FOREIGN",
    "FROM", "FULLTEXT", "GRANT", "GROUP", "HAVING", "HIGH_PRIORITY", "HOUR_MICROSECOND", "HOUR_MINUTE", "HOUR_SECOND",
    "IF", "IGNORE", "IN", "INDEX", "INFILE", "INNER", "INOUT", "INSENSITIVE", "INSERT", "INT", "INT1", "INT2", "INT3",
    "INT4", "INT8", "INTEGER", "INTERSECT", "INTERVAL", "INTO", "IS", "ITERATE", "JOIN", "KEY", "KEYS", "KILL",
    "LEADING", "LEAVE", "LEFT", "LIKE", "LIMIT", "LINEAR", "LINES", "LOAD", "LOCALTIME", "LOCALTIMESTAMP", "LOCK",
    "LONG", "LONGBLOB", "LONGTEXT", "LOOP", "LOW_PRIORITY", "MATCH", "MAXVALUE", "MEDIUMBLOB", "MEDIUMINT",
    "MEDIUMTEXT", "MIDDLEINT", "MINUTE_MICROSECOND", "MINUTE_SECOND", "MOD", "MODIFIES", "NATURAL", "NOT",
    "NO_WRITE_TO_BINLOG", "NULL", "NUMERIC", "ON", "OPTIMIZE", "OPTIONALLY", "OR", "ORDER", "OUT", "OUTER", "OUTFILE",
    "OVER", "PARTITION", "PRECISION", "PRIMARY", "PROCEDURE", "PURGE", "RANGE", "READ", "READS", "READ_WRITE", "REAL",
    "RECURSIVE", "REFERENCES", "REGEXP", "RELEASE", "RENAME", "REPEAT", "REPLACE", "REQUIRE", "RESIGNAL", "RESTRICT",
    "RETURN", "REVOKE", "RIGHT", "RLIKE", "ROWS", "ROW_NUMBER", "SCHEMAS", "SECOND_MICROSECOND", "SELECT",
    "SENSITIVE", "SEPARATOR", "SET", "SHOW", "SIGNAL", "SMALLINT", "SPATIAL", "SPECIFIC", "SQL", "SQLEXCEPTION",
    "SQLSTATE", "SQLWARNING", "SQL_BIG_RESULT", "SQL_CALC_FOUND_ROWS", "SQL_SMALL_RESULT", "SSL", "STARTING",
    "STRAIGHT_JOIN", "TABLE", "TERMINATED", "THEN", "TINYBLOB", "TINYINT", "TINYTEXT", "TO", "TRAILING", "TRIGGER",
    "TRUE", "UNDO", "UNION", "UNIQUE", "UNLOCK", "UNSIGNED", "UPDATE", "USAGE", "USE", "USING", "UTC_DATE",
    "UTC_TIME", "UTC_TIMESTAMP", "VALUES", "VARBINARY", "VARCHAR", "VARCHARACTER", "VARYING", "WHEN", "WHERE",
    "WHILE", "WITH", "WRITE", "XOR", "YEAR_MONTH", "ZEROFILL",
];

/// Reserved by MySQL only.
#[rustfmt::skip]
const MYSQL: &[&str] = &[
    "CUBE", "CUME_DIST", "DATABASE", "DENSE_RANK", "EMPTY", "EXTERNAL", "FIRST_VALUE", "FUNCTION", "GENERATED", "GET",
    "GROUPING", "GROUPS", "IO_AFTER_GTIDS", "IO_BEFORE_GTIDS", "JSON_TABLE", "LAG", "LAST_VALUE", "LATERAL", "LEAD",
    "LIBRARY", "NTH_VALUE", "NTILE", "OF", "OPTIMIZER_COSTS", "OPTION", "PERCENT_RANK", "QUALIFY", "RANK", "ROW",
    "SCHEMA", "STORED", "SYSTEM", "TABLESAMPLE", "VIRTUAL", "WINDOW",
];

/// Reserved by MariaDB only.
#[rustfmt::skip]
const MARIADB: &[&str] = &[
    "CURRENT_ROLE", "DELETE_DOMAIN_ID", "DO_DOMAIN_IDS", "IGNORE_DOMAIN_IDS", "MASTER_DEMOTE_TO_REPLICA",
    "MASTER_DEMOTE_TO_SLAVE", "MASTER_SSL_VERIFY_SERVER_CERT", "OFFSET", "PAGE_CHECKSUM", "PARSE_VCOL_EXPR",
    "PORTION", "REF_SYSTEM_ID", "RETURNING", "STATS_AUTO_RECALC", "STATS_PERSISTENT", "STATS_SAMPLE_PAGES",
];

#[cfg(test)]
mod tests {
    use super::{BOTH, LONGEST, MARIADB, MYSQL, is_reserved};
    use crate::sql::Flavour;

    #[test]
    fn the_lists_are_sorted_and_no_word_is_longer() {
        for words in [BOTH, MYSQL, MARIADB] {
            assert!(words.is_sorted());
            assert!(words.iter().all(|word| word.len() <= LONGEST));
        }
    }

    #[test]
    fn a_word_may_be_reserved_by_one_vendor() {
        assert!(is_reserved(b"Select", Flavour::MySql) && is_reserved(b"sELECT", Flavour::MariaDb));
        assert!(is_reserved(b"rank", Flavour::MySql) && !is_reserved(b"rank", Flavour::MariaDb));
        assert!(!is_reserved(b"offset", Flavour::MySql) && is_reserved(b"offset", Flavour::MariaDb));
        assert!(!is_reserved(b"a_word_longer_than_any_reserved_one", Flavour::MySql));
    }
}
