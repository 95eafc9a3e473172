//! What can be wrong with a connection or a packet; it knows the fault, not what the session makes of it.

use std::io;

use crate::error::{Code, SqlError};

/// A fault of the peer or of the connection to it.
///
/// After any of these but [`WireError::Malformed`] the connection cannot be used any more: it is not known where the
/// next packet begins.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The operating system or the TLS layer reported an error.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The peer closed the connection inside a packet, or while one was owed.
    #[error("the connection was closed in the middle of an exchange")]
    Closed,
    /// A packet's sequence number does not follow the last one.
    #[error("got packets out of order: expected number {expected}, got {got}")]
    OutOfOrder {
        /// The number that was due.
        expected: u8,
        /// The number in the packet's header.
        got: u8,
    },
    /// A packet is longer than the limit of the connection.
    #[error("got a packet bigger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The content of a packet is not what the protocol has at this place.
    #[error("malformed {packet}")]
    Malformed {
        /// The packet's name in the protocol, such as `COM_STMT_EXECUTE`.
        packet: &'static str,
    },
    /// A packet that cannot come here.
    #[error("expected {expected}, got a packet that begins with {got:#04x}")]
    Unexpected {
        /// What was due.
        expected: &'static str,
        /// The first byte of what came.
        got: u8,
    },
    /// A compressed packet does not decompress to what its header says.
    #[error("a compressed packet is corrupt")]
    Compression,
    /// The cryptographic library gave no random bytes or no key, or could not use the peer's key.
    #[error("cannot {0}")]
    Crypto(&'static str),
}

impl From<WireError> for SqlError {
    /// The error to send to a client whose packets are at fault.
    #[cold]
    fn from(error: WireError) -> SqlError {
        let code = match &error {
            WireError::Io(_) | WireError::Closed => Code::Aborted,
            WireError::OutOfOrder { .. } => Code::PacketsOutOfOrder,
            WireError::TooLarge { .. } => Code::PacketTooLarge,
            WireError::Malformed { .. } => Code::MalformedPacket,
            WireError::Unexpected { .. } | WireError::Compression | WireError::Crypto(_) => Code::Unknown,
        };
        let message = match error {
            WireError::OutOfOrder { .. } => "Got packets out of order".to_owned(),
            WireError::TooLarge { .. } => "Got a packet bigger than 'max_allowed_packet' bytes".to_owned(),
            other => other.to_string(),
        };
        SqlError::new(code, message)
    }
}
