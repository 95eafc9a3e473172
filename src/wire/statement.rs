//! The parameters of COM_STMT_EXECUTE: read from a client's packet, written for a backend's.
//! It knows no statement but by the number of its parameters; whose statement it is, the session knows.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html>

use crate::wire::column::ColumnType;
use crate::wire::command::{Execute, com};
use crate::wire::cursor::{Cursor, put_lenenc_bytes};
use crate::wire::error::WireError;
use crate::wire::value::{Coding, Shape, Value};

/// The cursor flag that asks for a read-only cursor; 0 asks for none.
pub const CURSOR_READ_ONLY: u8 = 1;

/// The type of a parameter. A client sends types once; later executes without types mean the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParamType {
    /// The type.
    pub ty: ColumnType,
    /// Unsigned.
    pub unsigned: bool,
}

impl ParamType {
    fn shape(self) -> Shape {
        Shape::of_param(self.ty, self.unsigned)
    }
}

/// A parameter of one execution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Param<'a> {
    /// Its type.
    pub ty: ParamType,
    /// Its value; bytes sent ahead by COM_STMT_SEND_LONG_DATA included.
    pub value: Value<'a>,
    /// The value as it stands in the packet; empty for NULL and for what was sent ahead.
    raw: &'a [u8],
}

/// Reads the parameters of an execution; `out` is filled anew.
///
/// `types` are those of the last execution, and are replaced if the packet has new ones. `long_data` gives what was
/// sent ahead for a parameter; such a parameter has no value in the packet.
///
/// # Errors
/// [`WireError::Malformed`] if the packet does not have exactly `count` parameters, or has types that no parameter can
/// have, or none and there were none before. MySQL's answer is 1210.
pub fn decode_params<'a>(
    execute: &Execute<'a>,
    count: usize,
    types: &mut Vec<ParamType>,
    long_data: impl Fn(usize) -> Option<&'a [u8]>,
    out: &mut Vec<Param<'a>>,
) -> Result<(), WireError> {
    out.clear();
    let mut cursor = Cursor::new("COM_STMT_EXECUTE", execute.params);
    if count == 0 {
        return cursor.end();
    }
    let nulls = cursor.bytes(count.div_ceil(8))?;
    if cursor.u8()? == 1 {
        types.clear();
        for pair in cursor.bytes(2 * count)?.chunks_exact(2) {
            types.push(ParamType { ty: ColumnType(pair[0]), unsigned: pair[1] & 0x80 != 0 });
        }
    }
    if types.len() != count {
        return Err(cursor.malformed());
    }
    for (i, &ty) in types.iter().enumerate() {
        let before = cursor.remaining();
        let value = if let Some(bytes) = long_data(i) {
            Value::Bytes(bytes)
        } else if nulls[i / 8] & 1 << (i % 8) != 0 {
            Value::Null
        } else {
            Value::decode(&mut cursor, ty.shape())?
        };
        let sent_ahead = long_data(i).is_some();
        let raw = if sent_ahead { &[][..] } else { &before[..before.len() - cursor.remaining().len()] };
        out.push(Param { ty, value, raw });
    }
    cursor.end()
}

/// Writes the payload of a COM_STMT_EXECUTE that says everything: types, and values sent ahead as well.
///
/// Where neither types nor long data have to be added, `Command::StmtExecute` with another number does it by copying.
pub fn put_execute(out: &mut Vec<u8>, statement: u32, flags: u8, params: &[Param<'_>]) {
    out.push(com::STMT_EXECUTE);
    out.extend_from_slice(&statement.to_le_bytes());
    out.push(flags);
    out.extend_from_slice(&1u32.to_le_bytes());
    if params.is_empty() {
        return;
    }
    let nulls = out.len();
    out.resize(nulls + params.len().div_ceil(8), 0);
    out.push(1);
    for (i, param) in params.iter().enumerate() {
        if param.value == Value::Null {
            out[nulls + i / 8] |= 1 << (i % 8);
        }
        out.extend_from_slice(&[param.coded_type().0, if param.ty.unsigned { 0x80 } else { 0 }]);
    }
    for param in params {
        match param.value {
            Value::Bytes(bytes) if param.raw.is_empty() => put_lenenc_bytes(out, bytes),
            _ => out.extend_from_slice(param.raw),
        }
    }
}

impl<'a> Param<'a> {
    /// A parameter of the proxy's own: a BIGINT UNSIGNED, from its eight bytes, the lowest first.
    pub fn unsigned(raw: &'a [u8; 8]) -> Param<'a> {
        let ty = ParamType { ty: ColumnType::LONGLONG, unsigned: true };
        Param { ty, value: Value::UInt(u64::from_le_bytes(*raw)), raw }
    }

    /// A parameter of the proxy's own: a text.
    pub fn text(text: &'a [u8]) -> Param<'a> {
        let ty = ParamType { ty: ColumnType::VAR_STRING, unsigned: false };
        Param { ty, value: Value::Bytes(text), raw: &[] }
    }

    /// The type to send: what was sent ahead for a number is bytes all the same.
    fn coded_type(&self) -> ColumnType {
        match self.value {
            Value::Bytes(_) if self.ty.shape().coding() != Some(Coding::Bytes) => ColumnType::BLOB,
            _ => self.ty.ty,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;
    use crate::wire::command::Command;

    fn execute(payload: &[u8]) -> Execute<'_> {
        let Command::StmtExecute(execute) = Command::decode(payload).unwrap() else { panic!("no execute") };
        execute
    }

    const LONG: ParamType = ParamType { ty: ColumnType::LONG, unsigned: false };
    const TEXT: ParamType = ParamType { ty: ColumnType::VAR_STRING, unsigned: false };

    #[test]
    fn the_manual_s_execute() {
        // CALL of the statement INSERT INTO t (value) VALUES (?) with "foo".
        let payload = b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\x0f\0\x03foo";
        let (mut types, mut params) = (Vec::new(), Vec::new());
        decode_params(&execute(payload), 1, &mut types, |_| None, &mut params).unwrap();
        assert_eq!(types, [ParamType { ty: ColumnType::VARCHAR, unsigned: false }]);
        assert_eq!(params[0].value, Value::Bytes(b"foo"));
        let mut again = Vec::new();
        put_execute(&mut again, 1, 0, &params);
        assert_eq!(again, payload);
    }

    #[test]
    fn types_are_remembered_and_long_data_is_sent_along() {
        let (mut types, mut params) = (Vec::new(), Vec::new());
        let no_types = b"\x17\x01\0\0\0\0\x01\0\0\0\x02\0\x07\0\0\0";
        assert!(decode_params(&execute(no_types), 2, &mut types, |_| None, &mut params).is_err());

        let with_types = b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\x03\0\xFD\0\x07\0\0\0\x02ab";
        decode_params(&execute(with_types), 2, &mut types, |_| None, &mut params).unwrap();
        assert_eq!(types, [LONG, TEXT]);
        decode_params(&execute(no_types), 2, &mut types, |_| None, &mut params).unwrap();
        assert_eq!((params[0].value, params[1].value), (Value::Int(7), Value::Null));
        let mut sent = Vec::new();
        put_execute(&mut sent, 9, CURSOR_READ_ONLY, &params);
        assert_eq!(sent, b"\x17\x09\0\0\0\x01\x01\0\0\0\x02\x01\x03\0\xFD\0\x07\0\0\0");

        // Long data stands for the value, NULL bit or not, and turns a number into bytes.
        let ahead = |i| (i == 0).then_some(&b"long"[..]);
        let nulls = b"\x17\x01\0\0\0\0\x01\0\0\0\x03\0";
        decode_params(&execute(nulls), 2, &mut types, ahead, &mut params).unwrap();
        sent.clear();
        put_execute(&mut sent, 9, 0, &params);
        assert_eq!(sent, b"\x17\x09\0\0\0\0\x01\0\0\0\x02\x01\xFC\0\xFD\0\x04long");
    }

    #[test]
    fn other_numbers_of_parameters_are_refused() {
        let payload = b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\x03\0\xFD\0\x07\0\0\0\x02ab";
        for count in [0, 1, 3, 9, 65535] {
            let result = decode_params(&execute(payload), count, &mut Vec::new(), |_| None, &mut Vec::new());
            assert!(result.is_err(), "{count}");
        }
        for cut in 10..payload.len() {
            let cut = execute(&payload[..cut]);
            assert!(decode_params(&cut, 2, &mut Vec::new(), |_| None, &mut Vec::new()).is_err());
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_what_is_read_is_written(
            count in 0..12usize,
            types in proptest::collection::vec(0..=255u8, 12),
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            for (i, ty) in types.iter().take(count).enumerate() {
                let at = count.div_ceil(8) + 1 + 2 * i;
                if at < bytes.len() {
                    bytes[at - 1] = if i == 0 { 1 } else { bytes[at - 1] };
                    bytes[at] = *ty;
                }
            }
            let read = Execute { statement: 1, flags: 0, params: &bytes };
            let (mut types, mut params, mut out) = (Vec::new(), Vec::new(), Vec::new());
            let ahead = |i| (i == 3).then_some(&b"ahead"[..]);
            if decode_params(&read, count, &mut types, ahead, &mut params).is_ok() {
                put_execute(&mut out, 1, 0, &params);
                let again = execute(&out);
                let (mut types, mut twice) = (Vec::new(), Vec::new());
                decode_params(&again, count, &mut types, |_| None, &mut twice).unwrap();
                for (a, b) in params.iter().zip(&twice) {
                    prop_assert!(a.value == b.value || a.raw == b.raw);
                }
            }
        }
    }
}
