//! Whatever a backend sends: the events of an answer must be the same however its bytes are cut, and rows must go
//! through both forms.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shardloom::wire::capabilities::Capabilities;
use shardloom::wire::column::{ColumnDef, ColumnType};
use shardloom::wire::handshake::{AuthSwitch, Greeting};
use shardloom::wire::reply::{ErrPacket, OkPacket, SessionChanges};
use shardloom::wire::response::{Event, Kind, Response};
use shardloom::wire::row::{RowForm, convert};
use shardloom::wire::value::Shape;

const KINDS: [Kind; 6] = [Kind::Query, Kind::Prepare, Kind::Execute, Kind::Fetch, Kind::FieldList, Kind::Statistics];

fuzz_target!(|data: &[u8]| {
    let Some((&[choice, cut], bytes)) = data.split_first_chunk::<2>() else { return };
    match choice % 8 {
        6 => packets(bytes),
        7 => rows(bytes, usize::from(cut % 16)),
        kind => answer(bytes, KINDS[usize::from(kind)], choice & 8 != 0, usize::from(cut).min(bytes.len())),
    }
});

fn answer(bytes: &[u8], kind: Kind, deprecate_eof: bool, cut: usize) {
    let capabilities = Capabilities::NONE.when(Capabilities::DEPRECATE_EOF, deprecate_eof);
    let whole = events(bytes, kind, capabilities, &[bytes.len()]);
    let parts = events(bytes, kind, capabilities, &[cut, bytes.len()]);
    assert_eq!(whole, parts);
}

/// The events up to the first error, rows that follow each other as one, and whether there was an error.
fn events(bytes: &[u8], kind: Kind, capabilities: Capabilities, ends: &[usize]) -> (Vec<Event>, bool) {
    let (mut response, mut at, mut events) = (Response::new(kind, capabilities), 0, Vec::new());
    for &end in ends {
        loop {
            match (response.next(&bytes[..end], &mut at), events.last_mut()) {
                (Err(_), _) => return (events, true),
                (Ok(Event::NeedMore), _) => break,
                (Ok(Event::Rows { range, rows }), Some(Event::Rows { range: all, rows: sum })) => {
                    all.end = range.end;
                    *sum += rows;
                }
                (Ok(event), _) => events.push(event),
            }
        }
    }
    (events, false)
}

fn packets(bytes: &[u8]) {
    let _ = (Greeting::decode(bytes), AuthSwitch::decode(bytes), ErrPacket::decode(bytes));
    if let Ok(ok) = OkPacket::decode(bytes, Capabilities::SESSION_TRACK) {
        let _ = SessionChanges::new(ok.session_state).count();
    }
    if let Ok(column) = ColumnDef::decode(bytes) {
        let mut again = Vec::new();
        column.encode(&mut again);
        assert_eq!(ColumnDef::decode(&again).expect("what was written can be read"), column);
    }
}

fn rows(bytes: &[u8], columns: usize) {
    let Some((types, row)) = bytes.split_at_checked(columns) else { return };
    let shapes: Vec<_> = types.iter().map(|&ty| Shape::of_param(ColumnType(ty), ty & 64 != 0)).collect();
    let (mut cells, mut text, mut binary) = (Vec::new(), Vec::new(), Vec::new());
    let _ = convert(row, RowForm::Text, RowForm::Binary, &shapes, &mut cells, &mut text);
    if convert(row, RowForm::Binary, RowForm::Text, &shapes, &mut cells, &mut binary).is_ok() {
        shardloom::wire::row::split(&binary, RowForm::Text, &shapes, &mut cells).expect("what was written can be read");
    }
}
