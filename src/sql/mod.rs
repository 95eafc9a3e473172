//! Reading SQL text: what each byte means to the server that will get it.
//! It knows no rules, no tables that exist, and no connection: text in, spans and trees out.

use crate::error::{Code, SqlError, excerpt};

pub mod ast;
mod cursor;
pub mod define;
pub mod digest;
pub mod head;
pub mod hint;
pub mod lex;
pub mod literal;
pub mod load;
pub mod maintenance;
pub mod mentions;
pub mod parse;
pub mod scan;
pub mod splice;
pub mod walk;
mod words;

pub use scan::Scan;

/// What changes the meaning of a statement's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    /// The parts of the session's `sql_mode` that the lexer and the grammar heed.
    pub mode: SqlMode,
    /// The session's `character_set_client`.
    pub charset: TextCharset,
    /// Whose grammar it is.
    pub flavour: Flavour,
    /// The servers' version, as `/*!NNNNN */` writes it: 90704 is 9.7.4, 101119 is 10.11.19.
    pub version: u32,
}

/// The family of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flavour {
    /// Oracle MySQL, Percona Server.
    MySql,
    /// MariaDB.
    MariaDb,
}

impl std::fmt::Display for Flavour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Flavour::MySql => "MySQL",
            Flavour::MariaDb => "MariaDB",
        })
    }
}

/// How the bytes of a client's text make characters, as far as finding quotes and words goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextCharset {
    /// utf8mb4, utf8mb3, ascii, binary: names are UTF-8.
    Utf8,
    /// Any other in which no byte of a character but ASCII is below 0x80: latin1 and its like, ujis, eucjpms,
    /// euckr, gb2312. Byte 0xA0 is a space in some of them and a letter in others, so the lexer refuses it outside
    /// of quotes; names beyond ASCII are refused where they count.
    EightBit,
    /// gbk: the second byte may be `\`, a backquote or a letter.
    Gbk,
    /// big5: likewise.
    Big5,
    /// sjis and cp932: likewise.
    Sjis,
    /// gb18030: likewise, and characters of four bytes hold digits.
    Gb18030,
}

/// The parts of `sql_mode` that change how text is read, or what it asks of the proxy, as a set.
///
/// <https://dev.mysql.com/doc/refman/9.7/en/sql-mode.html>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SqlMode(u16);

impl SqlMode {
    /// None of them.
    pub const NONE: SqlMode = SqlMode(0);
    /// `"x"` is a name.
    pub const ANSI_QUOTES: SqlMode = SqlMode(1);
    /// A backslash in a string is a backslash.
    pub const NO_BACKSLASH_ESCAPES: SqlMode = SqlMode(2);
    /// `||` concatenates.
    pub const PIPES_AS_CONCAT: SqlMode = SqlMode(4);
    /// NOT binds like `!`.
    pub const HIGH_NOT_PRECEDENCE: SqlMode = SqlMode(8);
    /// White space may stand between the name of a built-in function and its parenthesis.
    pub const IGNORE_SPACE: SqlMode = SqlMode(16);
    /// MariaDB's Oracle mode: another grammar, which planning refuses to read.
    pub const ORACLE: SqlMode = SqlMode(32);
    /// MariaDB: `''` is NULL.
    pub const EMPTY_STRING_IS_NULL: SqlMode = SqlMode(64);
    /// 0 is a value for an AUTO_INCREMENT column, not "the next number".
    pub const NO_AUTO_VALUE_ON_ZERO: SqlMode = SqlMode(128);
    /// What does not fit its column is an error: STRICT_TRANS_TABLES or STRICT_ALL_TABLES.
    pub const STRICT: SqlMode = SqlMode(256);

    /// Reads the value of `@@sql_mode`: names separated by commas, without case. Combination modes of
    /// both vendors count as what they stand for; names without influence on reading are passed over.
    pub fn parse(value: &str) -> SqlMode {
        let ansi = SqlMode::ANSI_QUOTES.with(SqlMode::PIPES_AS_CONCAT).with(SqlMode::IGNORE_SPACE);
        value.split(',').fold(SqlMode::default(), |mode, name| {
            mode.with(match name.trim().to_ascii_uppercase().as_str() {
                "ANSI_QUOTES" => SqlMode::ANSI_QUOTES,
                "NO_BACKSLASH_ESCAPES" => SqlMode::NO_BACKSLASH_ESCAPES,
                "PIPES_AS_CONCAT" => SqlMode::PIPES_AS_CONCAT,
                "HIGH_NOT_PRECEDENCE" => SqlMode::HIGH_NOT_PRECEDENCE,
                "IGNORE_SPACE" => SqlMode::IGNORE_SPACE,
                "EMPTY_STRING_IS_NULL" => SqlMode::EMPTY_STRING_IS_NULL,
                "NO_AUTO_VALUE_ON_ZERO" => SqlMode::NO_AUTO_VALUE_ON_ZERO,
                "STRICT_TRANS_TABLES" | "STRICT_ALL_TABLES" | "TRADITIONAL" => SqlMode::STRICT,
                "ANSI" | "DB2" | "MAXDB" | "MSSQL" | "POSTGRESQL" => ansi,
                "ORACLE" => ansi.with(SqlMode::ORACLE),
                "MYSQL323" | "MYSQL40" => SqlMode::HIGH_NOT_PRECEDENCE,
                _ => SqlMode::default(),
            })
        })
    }

    /// The union of both sets.
    pub const fn with(self, other: SqlMode) -> SqlMode {
        SqlMode(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn has(self, other: SqlMode) -> bool {
        self.0 & other.0 == other.0
    }
}

impl TextCharset {
    /// The class of a character set by MySQL's name for it; `None` for one that no server accepts as
    /// `character_set_client` (utf16, ucs2, utf32) or that is unknown.
    pub fn of(name: &str) -> Option<TextCharset> {
        Some(match name.to_ascii_lowercase().as_str() {
            "utf8" | "utf8mb3" | "utf8mb4" | "ascii" | "binary" => TextCharset::Utf8,
            "armscii8" | "euckr" | "eucjpms" | "gb2312" | "ujis" | "cp1250" | "cp1251" | "cp1256" | "cp1257"
            | "cp850" | "cp852" | "cp866" | "dec8" | "geostd8" | "greek" | "hebrew" | "hp8" | "keybcs2" | "koi8r"
            | "koi8u" | "latin1" | "latin2" | "latin5" | "latin7" | "macce" | "macroman" | "swe7" | "tis620" => {
                TextCharset::EightBit
            }
            "gbk" => TextCharset::Gbk,
            "big5" => TextCharset::Big5,
            "sjis" | "cp932" => TextCharset::Sjis,
            "gb18030" => TextCharset::Gb18030,
            _ => return None,
        })
    }
}

/// Error 1064 at byte `at`, in MySQL's own words.
pub fn syntax_error(sql: &[u8], at: usize) -> SqlError {
    let line = 1 + sql[..at.min(sql.len())].iter().filter(|&&byte| byte == b'\n').count();
    SqlError::new(
        Code::Syntax,
        format!(
            "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server \
             version for the right syntax to use near '{}' at line {line}",
            excerpt(sql, at)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{Facts, Flavour, SqlMode, TextCharset};

    /// MySQL 9.7.4 with utf8mb4 and no special mode.
    pub(super) const MYSQL: Facts =
        Facts { mode: SqlMode(0), charset: TextCharset::Utf8, flavour: Flavour::MySql, version: 90_704 };

    /// MariaDB 10.11.19 likewise.
    pub(super) const MARIADB: Facts = Facts { flavour: Flavour::MariaDb, version: 101_119, ..MYSQL };

    #[test]
    fn combination_modes_count_as_their_parts() {
        let ansi = SqlMode::parse("REAL_AS_FLOAT, ANSI ,STRICT_TRANS_TABLES");
        assert!(ansi.has(SqlMode::ANSI_QUOTES) && ansi.has(SqlMode::PIPES_AS_CONCAT));
        assert!(!ansi.has(SqlMode::NO_BACKSLASH_ESCAPES));
        assert_eq!(SqlMode::parse("TRADITIONAL"), SqlMode::STRICT);
        assert_eq!(SqlMode::parse("NO_ENGINE_SUBSTITUTION"), SqlMode::default());
        assert!(SqlMode::parse("oracle").has(SqlMode::ORACLE.with(SqlMode::ANSI_QUOTES)));
        assert_eq!(SqlMode::parse(""), SqlMode::default());
    }
}
