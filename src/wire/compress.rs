//! The layer between frames and socket when zlib compression is agreed on: packets of compressed bytes.
//! It knows no frame; what it holds may begin and end anywhere in one.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_compression_packet.html>

use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};

use crate::wire::error::WireError;
use crate::wire::frame::{HEADER as FRAME_HEADER, MAX_FRAME, frame_len, header};

/// Length of what follows, number, and length before compression (0: it is not compressed).
const HEADER: usize = 7;
/// Less than this is not worth compressing; MySQL's bound.
const WORTH: usize = 50;
/// How many bytes of frames are compressed into one packet, unless one frame alone is longer.
const CHUNK: usize = 128 << 10;

/// The compressed side of a link.
#[derive(Debug, Default)]
pub(crate) struct Compression {
    /// Compressed packets as received; the unread ones begin at `start`.
    pub(crate) received: Vec<u8>,
    start: usize,
    /// Compressed packets to be written.
    pub(crate) outbound: Vec<u8>,
    /// The number of the next packet, whichever side sends it.
    sequence: u8,
}

impl Compression {
    /// Whether part of a packet is there.
    pub(crate) fn is_inside_packet(&self) -> bool {
        self.start < self.received.len()
    }

    /// The number of the next packet, whichever side sends it.
    pub(crate) fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Decompresses the first packet received behind `plain`; false if it is not there as a whole.
    ///
    /// One packet at a time, so that the number to answer by is that of the command which is read.
    pub(crate) fn unpack(&mut self, plain: &mut Vec<u8>) -> Result<bool, WireError> {
        let bytes = &self.received[self.start..];
        let Some(&head) = bytes.first_chunk::<HEADER>() else {
            return Ok(self.tidy());
        };
        let [a, b, c, number, x, y, z] = head;
        let (len, plain_len) = (frame_len([a, b, c, 0]), frame_len([x, y, z, 0]));
        let Some(body) = bytes.get(HEADER..HEADER + len) else {
            return Ok(self.tidy());
        };
        if plain_len == 0 {
            plain.extend_from_slice(body);
        } else {
            inflate(body, plain_len, plain)?;
        }
        self.sequence = number.wrapping_add(1);
        self.start += HEADER + len;
        Ok(true)
    }

    /// Moves the part of a packet that is there to the front, before more is read.
    fn tidy(&mut self) -> bool {
        self.received.drain(..self.start);
        self.start = 0;
        false
    }

    /// Compresses the whole frames at the beginning of `plain`, which begins with a frame, and tells how many bytes
    /// those are.
    ///
    /// Clients exist that cannot read a frame cut into three, or in its header: like MySQL, cut none that fits.
    pub(crate) fn pack(&mut self, plain: &[u8]) -> usize {
        let (mut from, mut to) = (0, 0);
        while let Some(&head) = plain[to..].first_chunk::<FRAME_HEADER>() {
            let end = to + FRAME_HEADER + frame_len(head);
            if end > plain.len() {
                break;
            }
            if end - from > CHUNK && to > from {
                self.pack_all(&plain[from..to]);
                from = to;
            }
            to = end;
        }
        self.pack_all(&plain[from..to]);
        to
    }

    fn pack_all(&mut self, frames: &[u8]) {
        // The longest frame and its header are longer than a packet can say: cut, but only then.
        for chunk in frames.chunks(MAX_FRAME) {
            let packed = if chunk.len() < WORTH { None } else { deflate(chunk) };
            let (body, plain_len) = match &packed {
                Some(packed) if packed.len() < chunk.len() => (packed.as_slice(), chunk.len()),
                _ => (chunk, 0),
            };
            self.outbound.extend_from_slice(&header(body.len(), self.sequence));
            self.outbound.extend_from_slice(&header(plain_len, 0)[..3]);
            self.outbound.extend_from_slice(body);
            self.sequence = self.sequence.wrapping_add(1);
        }
    }
}

/// Decompresses into exactly `len` bytes.
// Apart, for it takes tens of kilobytes of stack, which must not be part of every read's frame.
#[inline(never)]
fn inflate(body: &[u8], len: usize, plain: &mut Vec<u8>) -> Result<(), WireError> {
    let before = plain.len();
    plain.resize(before + len, 0);
    let mut zlib = Decompress::new(true);
    let status = zlib.decompress(body, &mut plain[before..], FlushDecompress::Finish);
    let all = zlib.total_in() as usize == body.len() && zlib.total_out() as usize == len;
    if !all || !matches!(status, Ok(Status::StreamEnd)) {
        plain.truncate(before);
        return Err(WireError::Compression);
    }
    Ok(())
}

/// The compressed bytes, or nothing if zlib fails, which it does not.
// Apart, as `inflate`.
#[inline(never)]
fn deflate(chunk: &[u8]) -> Option<Vec<u8>> {
    let mut packed = Vec::with_capacity(chunk.len() + 64);
    let mut zlib = Compress::new(Level::fast(), true);
    let status = zlib.compress_vec(chunk, &mut packed, FlushCompress::Finish).ok()?;
    (status == Status::StreamEnd).then_some(packed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
        let mut compression = Compression { received: bytes.to_vec(), ..Compression::default() };
        let mut plain = Vec::new();
        while compression.unpack(&mut plain)? {}
        Ok(plain)
    }

    #[test]
    fn the_manual_s_packet_is_understood() {
        // `select "012345678901234567890123456789012345"` as MySQL's client compresses it.
        let bytes =
            b"\x22\x00\x00\x00\x32\x00\x00\x78\x9c\xd3\x63\x60\x60\x60\x2e\x4e\xcd\x49\x4d\x2e\x51\x50\x32\x30\x34\
            \x32\x36\x31\x35\x33\xb7\xb0\xc4\xcd\x52\x02\x00\x0c\xd1\x0a\x6c";
        let sql = b"\x2e\0\0\0\x03select \"012345678901234567890123456789012345\"";
        assert_eq!(unpacked(bytes).unwrap(), sql);
    }

    fn frame(len: usize) -> Vec<u8> {
        [&header(len, 0)[..], &vec![b'a'; len]].concat()
    }

    #[test]
    fn short_frames_are_not_compressed() {
        let mut compression = Compression::default();
        assert_eq!(compression.pack(b"\x01\0\0\0\x0E"), 5);
        assert_eq!(compression.outbound, b"\x05\0\0\0\0\0\0\x01\0\0\0\x0E");
        compression.pack(&frame(1000));
        assert!(compression.outbound.len() < 100);
        assert_eq!(compression.outbound[12 + 3], 1);
    }

    #[test]
    fn frames_are_packed_whole() {
        // Lengths of frames, a part of another one behind them, and the numbers of bytes in each packet.
        for (frames, part, packets) in [
            (&[][..], 3, &[][..]),
            (&[100, 100], 50, &[208]),
            (&[CHUNK, 10, 10], 0, &[CHUNK + 4, 28]),
            (&[10, CHUNK, 10], 4, &[14, CHUNK + 4, 14]),
            (&[3 * CHUNK], 9, &[3 * CHUNK + 4]),
            (&[MAX_FRAME, 0], 0, &[MAX_FRAME, 4, 4]),
        ] {
            let whole: Vec<u8> = frames.iter().flat_map(|&len| frame(len)).collect();
            let mut compression = Compression::default();
            assert_eq!(compression.pack(&[&whole[..], &frame(1000)[..part]].concat()), whole.len());
            let (mut at, mut sizes) = (0, Vec::new());
            while let Some(&[a, b, c, number, x, y, z]) = compression.outbound[at..].first_chunk() {
                assert_eq!(usize::from(number), sizes.len());
                let (len, plain_len) = (frame_len([a, b, c, 0]), frame_len([x, y, z, 0]));
                sizes.push(if plain_len == 0 { len } else { plain_len });
                at += HEADER + len;
            }
            assert_eq!(sizes, packets);
            assert_eq!(unpacked(&compression.outbound).unwrap(), whole);
        }
    }

    #[test]
    fn what_is_not_as_announced_is_refused() {
        let mut compression = Compression::default();
        compression.pack(&frame(996));
        let good = compression.outbound;
        assert_eq!(unpacked(&good).unwrap(), frame(996));
        for (at, to) in [(4, 0xE7), (4, 0xE9), (6, 0xFF), (7, 0), (good.len() - 1, 0)] {
            let mut bad = good.clone();
            bad[at] = to;
            assert!(unpacked(&bad).is_err(), "byte {at} = {to}");
        }
        let mut long = good.clone();
        long.push(0);
        long[0] += 1;
        assert!(unpacked(&long).is_err());
        assert!(unpacked(&good[..good.len() - 1]).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(plain in proptest::collection::vec(0..4u8, 0..3000)) {
            let mut compression = Compression::default();
            let frame = [&header(plain.len(), 0)[..], &plain].concat();
            compression.pack(&frame);
            prop_assert_eq!(unpacked(&compression.outbound).unwrap(), frame);
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), len in 0..100u8) {
            let mut compression = Compression::default();
            compression.pack(&bytes);
            if bytes.len() > HEADER {
                bytes[..HEADER].copy_from_slice(&[len, 0, 0, 0, 200, 0, 0]);
            }
            let _ = unpacked(&bytes);
        }
    }
}
