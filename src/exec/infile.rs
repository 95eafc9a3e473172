//! LOAD DATA LOCAL INFILE on one target: the file goes from the client to the server packet by packet.
//! It looks at no byte of the file.

use std::io;

use crate::backend::lease::Lease;
use crate::exec::interrupt::Stop;
use crate::wire::capabilities::Capabilities;
use crate::wire::link::Link;

/// Passes the client's file on to its end; the request for it was queued to the client. `next` is
/// the number that the server waits for; returns the number of its own next packet.
///
/// A client that offered no local files is not asked: the server gets an empty file instead.
pub async fn pump(client: &mut Link, lease: &mut Lease, capabilities: Capabilities, next: u8) -> Result<u8, Stop> {
    debug_assert!(capabilities.has(Capabilities::LOCAL_FILES), "the session refuses LOAD DATA LOCAL otherwise");
    client.flush().await.map_err(Stop::Client)?;
    lease.link.set_sequence(next);
    loop {
        let packet = match client.read_packet().await {
            Ok(Some(packet)) => packet,
            Ok(None) => return Err(Stop::Client(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => return Err(Stop::Client(io::Error::other(error))),
        };
        lease.link.push(client.payload(&packet));
        lease.link.flush().await.map_err(|error| {
            let error = crate::backend::conn::BackendError::Io(error).to_client(&lease.server().name);
            // The rest of the file is still coming: the two ends are out of step.
            Stop::Client(io::Error::other(error))
        })?;
        if packet.is_empty() {
            return Ok(lease.link.sequence());
        }
    }
}
