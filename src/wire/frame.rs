//! The four bytes before each frame: three of length, one of sequence number. It knows no packet.

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
