//! The MySQL client/server protocol 4.1, written once for both ends: framing, login, commands, replies and rows.
//! It knows no SQL, no rule and no session; it turns bytes into packets and back, and refuses what is malformed.

pub mod auth;
pub mod capabilities;
pub mod column;
pub mod command;
mod compress;
pub mod cursor;
pub mod error;
pub mod frame;
pub mod handshake;
pub mod link;
pub mod login_client;
pub mod login_server;
pub mod reply;
pub mod response;
pub mod row;
pub mod statement;
pub mod stream;
pub mod tls;
pub mod value;
