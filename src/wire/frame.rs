//! Frames, the units that packets are cut into: their headers, and where a packet ends.
//! It holds no bytes and reads none of a payload.
//!
//! A packet is one or more frames of at most 16 MB - 1: three bytes of length, one of sequence number, the payload
//! (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>).

use crate::wire::error::WireError;

/// The bytes of a frame's header.
pub const HEADER: usize = 4;
/// The longest payload of one frame; a packet of exactly this length is followed by an empty frame.
pub const MAX_FRAME: usize = 0xFF_FFFF;

/// A frame's header.
pub fn header(len: usize, sequence: u8) -> [u8; HEADER] {
    debug_assert!(len <= MAX_FRAME);
    [len as u8, (len >> 8) as u8, (len >> 16) as u8, sequence]
}

/// The length in a frame's header.
pub fn frame_len(header: [u8; HEADER]) -> usize {
    u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize
}

/// What stands at the beginning of received bytes.
pub(crate) enum Found {
    /// So many bytes in all, at least, are needed to know more.
    Need(usize),
    /// A whole packet: the length of its payload, and its number of frames.
    Packet { len: usize, frames: usize },
}

impl Found {
    /// Looks at the beginning of `bytes`, whose first frame must have number `sequence`. Without a `sequence` all
    /// numbers will do: under compression clients number frames as they like.
    pub(crate) fn first(bytes: &[u8], sequence: Option<u8>, limit: usize) -> Result<Found, WireError> {
        let (mut at, mut len, mut frames) = (0, 0, 0);
        loop {
            let Some(&head) = bytes.get(at..).and_then(<[u8]>::first_chunk::<HEADER>) else {
                return Ok(Found::Need(at + HEADER));
            };
            if let Some(expected) = sequence.map(|first| first.wrapping_add(frames as u8))
                && head[3] != expected
            {
                return Err(WireError::OutOfOrder { expected, got: head[3] });
            }
            let frame = frame_len(head);
            len += frame;
            if len > limit {
                return Err(WireError::TooLarge { limit });
            }
            at += HEADER + frame;
            if bytes.len() < at {
                return Ok(Found::Need(at));
            }
            frames += 1;
            if frame < MAX_FRAME {
                return Ok(Found::Packet { len, frames });
            }
        }
    }
}
