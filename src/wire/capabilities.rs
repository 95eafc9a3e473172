//! The capability flags two ends agree on at login, and the status flags of OK and EOF packets.
//! Bits and their names only; what follows from a bit is decided where the packet is read or written.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

macro_rules! flags {
    ($(#[$doc:meta])* $name:ident($int:ty) { $($(#[$flag_doc:meta])* $flag:ident = $bit:expr;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub $int);

        impl $name {
            $($(#[$flag_doc])* pub const $flag: $name = $name(1 << $bit);)*
            /// No flag at all.
            pub const NONE: $name = $name(0);

            /// Whether every flag of `other` is set.
            pub const fn has(self, other: $name) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any flag of `other` is set.
            pub const fn any(self, other: $name) -> bool {
                self.0 & other.0 != 0
            }

            /// These flags and those of `other`.
            pub const fn with(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }

            /// These flags less those of `other`.
            pub const fn without(self, other: $name) -> $name {
                $name(self.0 & !other.0)
            }

            /// These flags, with those of `other` set or cleared.
            pub const fn when(self, other: $name, on: bool) -> $name {
                if on { self.with(other) } else { self.without(other) }
            }
        }

        impl BitOr for $name {
            type Output = $name;
            fn bitor(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }
        }

        impl BitOrAssign for $name {
            fn bitor_assign(&mut self, other: $name) {
                self.0 |= other.0;
            }
        }

        impl BitAnd for $name {
            type Output = $name;
            fn bitand(self, other: $name) -> $name {
                $name(self.0 & other.0)
            }
        }

        impl Not for $name {
            type Output = $name;
            fn not(self) -> $name {
                $name(!self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut rest = self.0;
                let mut list = f.debug_set();
                $(if self.has($name::$flag) {
                    list.entry(&format_args!(stringify!($flag)));
                    rest &= !$name::$flag.0;
                })*
                if rest != 0 {
                    list.entry(&format_args!("{rest:#x}"));
                }
                list.finish()
            }
        }
    };
}

flags! {
    /// Capability flags, `CLIENT_...` in MySQL
    /// (<https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html>).
    Capabilities(u32) {
        /// Set by every MySQL server and client; clear in a MariaDB server's greeting.
        LONG_PASSWORD = 0;
        /// UPDATE counts the rows found, not the rows changed.
        FOUND_ROWS = 1;
        /// Column flags have two bytes.
        LONG_FLAG = 2;
        /// The login names a schema.
        CONNECT_WITH_DB = 3;
        /// `schema.table.column` is refused.
        NO_SCHEMA = 4;
        /// zlib compression of everything after the login.
        COMPRESS = 5;
        /// Nothing today.
        ODBC = 6;
        /// The client may be asked for a local file.
        LOCAL_FILES = 7;
        /// Function names may be followed by white space.
        IGNORE_SPACE = 8;
        /// Protocol 4.1; Shardloom speaks no other.
        PROTOCOL_41 = 9;
        /// The idle timeout is that of interactive clients.
        INTERACTIVE = 10;
        /// TLS.
        SSL = 11;
        /// Nothing today.
        IGNORE_SIGPIPE = 12;
        /// Status flags are wanted.
        TRANSACTIONS = 13;
        /// Set by old clients.
        RESERVED = 14;
        /// The login's answer to the scramble has a length.
        SECURE_CONNECTION = 15;
        /// COM_QUERY may hold several statements.
        MULTI_STATEMENTS = 16;
        /// COM_QUERY may answer with several results.
        MULTI_RESULTS = 17;
        /// COM_STMT_EXECUTE may answer with several results.
        PS_MULTI_RESULTS = 18;
        /// Authentication plugins are named.
        PLUGIN_AUTH = 19;
        /// The login carries connection attributes.
        CONNECT_ATTRS = 20;
        /// The login's answer to the scramble may be longer than 255 bytes.
        PLUGIN_AUTH_LENENC = 21;
        /// An expired password may be changed.
        CAN_HANDLE_EXPIRED_PASSWORDS = 22;
        /// OK packets tell changes of the session's state.
        SESSION_TRACK = 23;
        /// OK packets end a result; there is no EOF packet.
        DEPRECATE_EOF = 24;
        /// Column definitions may be left out.
        OPTIONAL_RESULTSET_METADATA = 25;
        /// zstd compression.
        ZSTD_COMPRESSION = 26;
        /// COM_QUERY and COM_STMT_EXECUTE carry query attributes.
        QUERY_ATTRIBUTES = 27;
        /// Several factors of authentication.
        MULTI_FACTOR_AUTHENTICATION = 28;
        /// Used inside client libraries only.
        CAPABILITY_EXTENSION = 29;
        /// Used inside client libraries only.
        SSL_VERIFY_SERVER_CERT = 30;
        /// Used inside client libraries only.
        REMEMBER_OPTIONS = 31;
    }
}

flags! {
    /// Status flags, `SERVER_...` in MySQL
    /// (<https://dev.mysql.com/doc/dev/mysql-server/latest/mysql__com_8h.html#a1d854e841086925be1883e4d7b4e8cad>).
    Status(u16) {
        /// A transaction is open.
        IN_TRANS = 0;
        /// Statements commit themselves.
        AUTOCOMMIT = 1;
        /// Another result follows.
        MORE_RESULTS_EXISTS = 3;
        /// The statement found no good index.
        QUERY_NO_GOOD_INDEX_USED = 4;
        /// The statement used no index.
        QUERY_NO_INDEX_USED = 5;
        /// A cursor is open; rows come by COM_STMT_FETCH.
        CURSOR_EXISTS = 6;
        /// The cursor has no more rows.
        LAST_ROW_SENT = 7;
        /// A schema was dropped.
        DB_DROPPED = 8;
        /// The session's sql_mode has NO_BACKSLASH_ESCAPES.
        NO_BACKSLASH_ESCAPES = 9;
        /// Column definitions of a prepared statement changed.
        METADATA_CHANGED = 10;
        /// The statement was slow.
        QUERY_WAS_SLOW = 11;
        /// This result holds the OUT parameters of a procedure.
        PS_OUT_PARAMS = 12;
        /// The open transaction is READ ONLY.
        IN_TRANS_READONLY = 13;
        /// The OK packet tells changes of the session's state.
        SESSION_STATE_CHANGED = 14;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_named_by_bit() {
        assert_eq!(Capabilities::DEPRECATE_EOF.0, 0x0100_0000);
        assert_eq!(Status::SESSION_STATE_CHANGED.0, 0x4000);
        let both = Status::AUTOCOMMIT | Status::IN_TRANS;
        assert!(both.has(Status::IN_TRANS) && both.any(Status::IN_TRANS | Status::DB_DROPPED));
        assert_eq!(both.when(Status::IN_TRANS, false), Status::AUTOCOMMIT);
        assert_eq!(format!("{:?}", Status(0x8003)), "{IN_TRANS, AUTOCOMMIT, 0x8000}");
    }
}
