//! What a statement mentions of its session, by its words alone: variables, and functions whose answer depends on the
//! connection, the time or chance. It may see more than is there (a column named like a function before a
//! parenthesis), never less. Run once per text, since texts with equal keys have equal words.

use crate::error::SqlError;
use crate::sql::Facts;
use crate::sql::cursor::{Cursor, tokens};
use crate::sql::lex::{Punct, TokenKind};

/// A set of things that a statement mentions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mentions(u16);

impl Mentions {
    /// `@x` is read.
    pub const USER_VARIABLE: Mentions = Mentions(1);
    /// `@x := ...` outside of SET, or `INTO @x`.
    pub const USER_VARIABLE_SET: Mentions = Mentions(2);
    /// `@@x`.
    pub const SYSTEM_VARIABLE: Mentions = Mentions(4);
    /// LAST_INSERT_ID.
    pub const LAST_INSERT_ID: Mentions = Mentions(8);
    /// FOUND_ROWS.
    pub const FOUND_ROWS: Mentions = Mentions(16);
    /// ROW_COUNT.
    pub const ROW_COUNT: Mentions = Mentions(32);
    /// CONNECTION_ID.
    pub const CONNECTION_ID: Mentions = Mentions(64);
    /// DATABASE, SCHEMA.
    pub const DATABASE: Mentions = Mentions(128);
    /// USER, SESSION_USER, SYSTEM_USER, CURRENT_USER, CURRENT_ROLE.
    pub const USER: Mentions = Mentions(256);
    /// GET_LOCK, RELEASE_LOCK, RELEASE_ALL_LOCKS, IS_FREE_LOCK, [`Mentions::LOCK_OWNER`].
    pub const LOCK: Mentions = Mentions(512);
    /// NOW and all that tell the time.
    pub const TIME: Mentions = Mentions(1024);
    /// RAND, UUID, UUID_SHORT, RANDOM_BYTES, SLEEP, BENCHMARK: other each time, or with an effect.
    pub const VOLATILE: Mentions = Mentions(2048);
    /// IS_USED_LOCK.
    pub const LOCK_OWNER: Mentions = Mentions(4096);

    /// The union of both sets.
    pub const fn with(self, other: Mentions) -> Mentions {
        Mentions(self.0 | other.0)
    }

    /// Whether anything of `other` is in this set.
    pub const fn any(self, other: Mentions) -> bool {
        self.0 & other.0 != 0
    }
}

/// Each function with what it is a mention of, and whether it needs no parentheses.
const FUNCTIONS: &[(&str, Mentions, bool)] = &[
    ("LAST_INSERT_ID", Mentions::LAST_INSERT_ID, false),
    ("FOUND_ROWS", Mentions::FOUND_ROWS, false),
    ("ROW_COUNT", Mentions::ROW_COUNT, false),
    ("CONNECTION_ID", Mentions::CONNECTION_ID, false),
    ("DATABASE", Mentions::DATABASE, false),
    ("SCHEMA", Mentions::DATABASE, false),
    ("USER", Mentions::USER, false),
    ("SESSION_USER", Mentions::USER, false),
    ("SYSTEM_USER", Mentions::USER, false),
    ("CURRENT_USER", Mentions::USER, true),
    ("CURRENT_ROLE", Mentions::USER, true),
    ("GET_LOCK", Mentions::LOCK, false),
    ("RELEASE_LOCK", Mentions::LOCK, false),
    ("RELEASE_ALL_LOCKS", Mentions::LOCK, false),
    ("IS_FREE_LOCK", Mentions::LOCK, false),
    ("IS_USED_LOCK", Mentions::LOCK.with(Mentions::LOCK_OWNER), false),
    ("NOW", Mentions::TIME, false),
    ("SYSDATE", Mentions::TIME, false),
    ("CURDATE", Mentions::TIME, false),
    ("CURTIME", Mentions::TIME, false),
    ("UNIX_TIMESTAMP", Mentions::TIME, false),
    ("CURRENT_DATE", Mentions::TIME, true),
    ("CURRENT_TIME", Mentions::TIME, true),
    ("CURRENT_TIMESTAMP", Mentions::TIME, true),
    ("LOCALTIME", Mentions::TIME, true),
    ("LOCALTIMESTAMP", Mentions::TIME, true),
    ("UTC_DATE", Mentions::TIME, true),
    ("UTC_TIME", Mentions::TIME, true),
    ("UTC_TIMESTAMP", Mentions::TIME, true),
    ("RAND", Mentions::VOLATILE, false),
    ("UUID", Mentions::VOLATILE, false),
    ("UUID_SHORT", Mentions::VOLATILE, false),
    ("SYS_GUID", Mentions::VOLATILE, false),
    ("RANDOM_BYTES", Mentions::VOLATILE, false),
    ("SLEEP", Mentions::VOLATILE, false),
    ("BENCHMARK", Mentions::VOLATILE, false),
];

/// What the first statement of `sql` mentions.
///
/// # Errors
/// 1064 where the lexer fails.
pub fn mentions(sql: &[u8], facts: Facts) -> Result<Mentions, SqlError> {
    let tokens = tokens(sql, facts)?;
    let mut cursor = Cursor::new(sql, &tokens, facts);
    let mut found = Mentions::default();
    let mut behind_into = false;
    while let Some(token) = cursor.next() {
        let mention = match token.kind {
            TokenKind::UserVariable if behind_into || cursor.is_punct(Punct::Assign) => Mentions::USER_VARIABLE_SET,
            TokenKind::UserVariable => Mentions::USER_VARIABLE,
            TokenKind::SystemVariable => Mentions::SYSTEM_VARIABLE,
            TokenKind::Word | TokenKind::Quoted => {
                let text = cursor.text(token);
                let name = text.strip_prefix(b"`").and_then(|name| name.strip_suffix(b"`")).unwrap_or(text);
                let called = cursor.is_punct(Punct::LParen);
                let known = FUNCTIONS.iter().find(|(known, _, bare)| {
                    (called || (*bare && token.kind == TokenKind::Word)) && name.eq_ignore_ascii_case(known.as_bytes())
                });
                known.map_or(Mentions::default(), |(_, mention, _)| *mention)
            }
            _ => Mentions::default(),
        };
        found = found.with(mention);
        behind_into = match token.kind {
            TokenKind::Word => cursor.text(token).eq_ignore_ascii_case(b"INTO"),
            TokenKind::UserVariable | TokenKind::Punct(Punct::Comma) => behind_into,
            _ => false,
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::{Mentions, mentions};
    use crate::sql::tests::MYSQL;

    #[test]
    fn words_tell_what_is_mentioned() {
        let none = Mentions::default();
        for (sql, expected) in [
            ("SELECT a, 'now()', `@x` FROM now", none),
            ("SELECT @x, @@y", Mentions::USER_VARIABLE.with(Mentions::SYSTEM_VARIABLE)),
            ("SELECT @x := 1", Mentions::USER_VARIABLE_SET),
            ("SELECT a INTO @x, @y FROM t", Mentions::USER_VARIABLE_SET),
            ("SELECT last_insert_id ( )", Mentions::LAST_INSERT_ID),
            ("SELECT current_user, schema()", Mentions::USER.with(Mentions::DATABASE)),
            ("SELECT `get_lock`('a', 1), rand()", Mentions::LOCK.with(Mentions::VOLATILE)),
            ("SELECT database, user FROM t WHERE d > CURRENT_DATE", Mentions::TIME),
        ] {
            assert_eq!(mentions(sql.as_bytes(), MYSQL).unwrap(), expected, "{sql}");
        }
    }
}
