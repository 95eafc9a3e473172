//! UUIDs of version 7: time first, so that they grow, then random bits. The clock and the random bytes are passed in.
//!
//! <https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7>

/// A UUID as its 36 characters, in lower case.
pub type Text = [u8; 36];

/// The UUID of a Unix time in milliseconds and ten random bytes.
pub fn version_7(now: u64, random: [u8; 10]) -> Text {
    let mut bytes = [0u8; 16];
    bytes[..6].copy_from_slice(&now.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    bytes[6] = 0x70 | bytes[6] & 0x0f;
    bytes[8] = 0x80 | bytes[8] & 0x3f;
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            at += 1;
        }
        for digit in [byte >> 4, byte & 0x0f] {
            text[at] = b"0123456789abcdef"[usize::from(digit)];
            at += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_standard_shows_it() {
        // RFC 9562, A.6: 2022-02-22 14:22:22.00 GMT-05:00.
        let random = [0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
        assert_eq!(&version_7(0x017F_22E2_79B0, random), b"017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }
}
