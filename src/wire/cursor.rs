//! Reads the protocol's integers and strings out of one packet, and writes them; every read checks its bounds.
//! It knows no packet by its content, only the name to put into an error.
//!
//! The basic types are described at
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_data_types.html>.

use crate::wire::error::WireError;

/// Walks over the payload of one packet.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    packet: &'static str,
}

impl<'a> Cursor<'a> {
    /// Begins at the first byte of `payload`; `packet` is the packet's name for errors.
    pub fn new(packet: &'static str, payload: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: payload, packet }
    }

    /// The error that says this packet is malformed.
    pub fn malformed(&self) -> WireError {
        WireError::Malformed { packet: self.packet }
    }

    /// The bytes not read yet.
    pub fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether every byte was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, without reading it.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(taken)
    }

    /// `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, low byte first.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Three bytes, low byte first.
    pub fn u24(&mut self) -> Result<u32, WireError> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    /// Four bytes, low byte first.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, low byte first.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A length-encoded integer; the NULL mark 0xFB and 0xFF are malformed here.
    pub fn lenenc(&mut self) -> Result<u64, WireError> {
        match self.u8()? {
            n @ 0..=0xFA => Ok(u64::from(n)),
            0xFC => Ok(u64::from(self.u16()?)),
            0xFD => Ok(u64::from(self.u24()?)),
            0xFE => self.u64(),
            0xFB | 0xFF => Err(self.malformed()),
        }
    }

    /// A length-encoded string.
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let n = self.lenenc()?;
        self.bytes(usize::try_from(n).map_err(|_| self.malformed())?)
    }

    /// A length-encoded string or the NULL mark 0xFB.
    pub fn lenenc_or_null(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        if self.peek() == Some(0xFB) {
            self.rest = &self.rest[1..];
            return Ok(None);
        }
        self.lenenc_bytes().map(Some)
    }

    /// A string that ends with a zero byte, which is read but not given.
    pub fn nul_bytes(&mut self) -> Result<&'a [u8], WireError> {
        let end = self.rest.iter().position(|&b| b == 0).ok_or_else(|| self.malformed())?;
        let text = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Ok(text)
    }

    /// A string that ends with a zero byte or with the packet.
    pub fn nul_or_rest(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|&b| b == 0);
        let text = &self.rest[..end.unwrap_or(self.rest.len())];
        self.rest = end.map_or(&[], |end| &self.rest[end + 1..]);
        text
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Refuses bytes behind the last field.
    pub fn end(&self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }
}

/// Appends a length-encoded integer.
pub fn put_lenenc(out: &mut Vec<u8>, n: u64) {
    let b = n.to_le_bytes();
    match n {
        0..=0xFA => out.push(b[0]),
        0xFB..=0xFFFF => out.extend_from_slice(&[0xFC, b[0], b[1]]),
        0x1_0000..=0xFF_FFFF => out.extend_from_slice(&[0xFD, b[0], b[1], b[2]]),
        _ => {
            out.push(0xFE);
            out.extend_from_slice(&b);
        }
    }
}

/// Appends a length-encoded string.
pub fn put_lenenc_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_lenenc(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a string and its zero byte; the string ends at its first zero byte, as it would for the reader.
pub fn put_nul_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    out.extend_from_slice(&bytes[..end]);
    out.push(0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lenenc_integers_take_the_shortest_form() {
        for (n, bytes) in [
            (0, &[0][..]),
            (250, &[250]),
            (251, &[0xFC, 251, 0]),
            (0xFFFF, &[0xFC, 0xFF, 0xFF]),
            (0x1_0000, &[0xFD, 0, 0, 1]),
            (0x100_0000, &[0xFE, 0, 0, 0, 1, 0, 0, 0, 0]),
            (u64::MAX, &[0xFE, 255, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            let mut out = Vec::new();
            put_lenenc(&mut out, n);
            assert_eq!(out, bytes);
            let mut cursor = Cursor::new("test", bytes);
            assert_eq!(cursor.lenenc().unwrap(), n);
            cursor.end().unwrap();
            for cut in 0..bytes.len() {
                assert!(Cursor::new("test", &bytes[..cut]).lenenc().is_err());
            }
        }
    }

    #[test]
    fn null_is_no_integer_and_no_text() {
        assert!(Cursor::new("test", &[0xFB]).lenenc().is_err());
        assert!(Cursor::new("test", &[0xFF]).lenenc().is_err());
        assert_eq!(Cursor::new("test", &[0xFB]).lenenc_or_null().unwrap(), None);
        assert_eq!(Cursor::new("test", &[0]).lenenc_or_null().unwrap(), Some(&b""[..]));
    }

    #[test]
    fn strings_end_where_they_say() {
        let mut cursor = Cursor::new("test", b"ab\0cd\0ef");
        assert_eq!(cursor.nul_bytes().unwrap(), b"ab");
        assert_eq!(cursor.nul_or_rest(), b"cd");
        assert!(cursor.nul_bytes().is_err());
        assert_eq!(cursor.nul_or_rest(), b"ef");
        cursor.end().unwrap();
        assert!(Cursor::new("test", &[0xFE, 255, 255, 255, 255, 255, 255, 255, 255, 1]).lenenc_bytes().is_err());
        assert!(Cursor::new("test", &[1]).end().is_err());
    }
}
