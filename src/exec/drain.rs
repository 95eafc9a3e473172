//! Reads the rest of an answer that nobody wants, where that is better than giving the connection up.
//! It keeps nothing of it.

use crate::backend::lease::Lease;
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::relay::{lost, preludes};
use crate::wire::link::Link;
use crate::wire::response::{Event, Response};

/// Reads to the end of the answer, or until more than `most` bytes of it were read; whether it ended.
pub async fn drain(
    client: &mut Link,
    lease: &mut Lease,
    response: &mut Response,
    patience: &mut Patience<'_>,
    most: usize,
) -> Result<bool, Stop> {
    if lease.has_preludes() {
        preludes(client, lease, patience).await?;
        lease.expect_answer();
    }
    let mut read = 0;
    while read < most {
        let (conn, server) = lease.split();
        let packet = patience.watch(client, server, conn.thread_id, conn.link.expect_packet()).await?;
        let packet = packet.map_err(|error| lost(lease, patience, error.into()))?;
        read += packet.len();
        match response.packet(lease.link.payload(&packet)).map_err(|error| lost(lease, patience, error.into()))? {
            Event::End(end) | Event::Ok(end) => lease.answered(end.status),
            Event::Err { .. } => lease.failed(),
            _ => continue,
        }
        return Ok(true);
    }
    Ok(false)
}
