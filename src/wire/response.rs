//! Follows what a server answers to one command, so that its bytes can be passed on as they are.
//! It holds no bytes and does no I/O; it never looks into a row, and it does not know who reads the answer.
//!
//! ```text
//! Query, Execute   OK | ERR | LocalInfile .. OK | ColumnCount ColumnDef* ColumnsEnd Rows* End
//!                  and from the start again while OK or End says that more results exist
//! Prepare          ERR | PrepareOk ParamDef* ParamsEnd ColumnDef* ColumnsEnd
//! Fetch            ERR | Rows* End
//! FieldList        ERR | ColumnDef* End
//! Statistics       ERR | Text
//! ```

use std::ops::Range;

use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::cursor::Cursor;
use crate::wire::error::WireError;
use crate::wire::frame::{HEADER, MAX_FRAME, frame_len};
use crate::wire::reply::{EOF, ERR, LOCAL_INFILE, OK, PrepareOk};

/// The command that is being answered, as far as the form of its answer differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// COM_QUERY, and every command that is answered by OK, EOF or ERR alone.
    Query,
    /// COM_STMT_PREPARE.
    Prepare,
    /// COM_STMT_EXECUTE.
    Execute,
    /// COM_STMT_FETCH.
    Fetch,
    /// COM_FIELD_LIST.
    FieldList,
    /// COM_STATISTICS.
    Statistics,
}

/// What stands next in an answer. Payloads are ranges of the bytes given; a packet's header stands before its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing more can be told before more bytes come.
    NeedMore,
    /// A result without columns.
    Ok(Terminator),
    /// An error; the whole answer ends with it.
    Err {
        /// The ERR packet.
        payload: Range<usize>,
    },
    /// A result with columns begins.
    ColumnCount {
        /// How many.
        columns: usize,
    },
    /// The definition of a column.
    ColumnDef {
        /// The packet.
        payload: Range<usize>,
    },
    /// There are no more column definitions; rows follow. Without DEPRECATE_EOF a packet says so.
    ColumnsEnd(Option<Terminator>),
    /// Bytes of rows with their headers; they may begin and end inside a row.
    Rows {
        /// The bytes.
        range: Range<usize>,
        /// How many rows begin in them.
        rows: u64,
    },
    /// There are no more rows.
    End(Terminator),
    /// A statement is prepared.
    PrepareOk(PrepareOk),
    /// The definition of a parameter.
    ParamDef {
        /// The packet.
        payload: Range<usize>,
    },
    /// There are no more definitions of parameters.
    ParamsEnd(Option<Terminator>),
    /// The server asks for a local file; after the client has sent it, OK or ERR follows.
    LocalInfile {
        /// The file's name.
        name: Range<usize>,
    },
    /// The text that answers COM_STATISTICS.
    Text {
        /// The text.
        payload: Range<usize>,
    },
}

/// An OK or EOF packet, and where its flags stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminator {
    /// The packet.
    pub payload: Range<usize>,
    /// Rows changed; 0 in an EOF packet.
    pub affected_rows: u64,
    /// The first AUTO_INCREMENT value; 0 in an EOF packet.
    pub last_insert_id: u64,
    /// The session's status.
    pub status: Status,
    /// How many warnings there are.
    pub warnings: u16,
    /// Where the two bytes of the status stand.
    pub status_at: usize,
    /// Where the two bytes of the number of warnings stand.
    pub warnings_at: usize,
}

impl Terminator {
    /// Whether another result follows.
    pub fn more_results(&self) -> bool {
        self.status.has(Status::MORE_RESULTS_EXISTS)
    }

    /// Puts another status into the packet.
    pub fn patch_status(&self, bytes: &mut [u8], status: Status) {
        bytes[self.status_at..self.status_at + 2].copy_from_slice(&status.0.to_le_bytes());
    }

    /// Puts another number of warnings into the packet.
    pub fn patch_warnings(&self, bytes: &mut [u8], warnings: u16) {
        bytes[self.warnings_at..self.warnings_at + 2].copy_from_slice(&warnings.to_le_bytes());
    }

    fn ok(payload: &[u8], at: usize) -> Result<Terminator, WireError> {
        let mut cursor = Cursor::new("OK packet", payload);
        cursor.u8()?;
        let (affected_rows, last_insert_id) = (cursor.lenenc()?, cursor.lenenc()?);
        let status_at = at + payload.len() - cursor.remaining().len();
        let (status, warnings) = (Status(cursor.u16()?), cursor.u16()?);
        let payload = at..at + payload.len();
        let warnings_at = status_at + 2;
        Ok(Terminator { payload, affected_rows, last_insert_id, status, warnings, status_at, warnings_at })
    }

    fn eof(payload: &[u8], at: usize) -> Result<Terminator, WireError> {
        let mut cursor = Cursor::new("EOF packet", payload);
        if cursor.u8()? != EOF {
            return Err(cursor.malformed());
        }
        let (warnings, status) = (cursor.u16()?, Status(cursor.u16()?));
        cursor.end()?;
        Ok(Terminator {
            payload: at..at + payload.len(),
            affected_rows: 0,
            last_insert_id: 0,
            status,
            warnings,
            status_at: at + 3,
            warnings_at: at + 1,
        })
    }
}

/// More columns than any server gives: a number above it is not one.
const COLUMNS_MAX: u64 = 0xFFFF;

/// The state of one answer.
#[derive(Clone, Debug)]
pub struct Response {
    kind: Kind,
    deprecate_eof: bool,
    expect: Expect,
    /// The number of the next frame.
    sequence: u8,
    /// What is missing of the row's frame that was begun.
    row_left: usize,
    /// The row goes on in another frame.
    row_continues: bool,
}

/// What must come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Head,
    Columns { left: usize },
    ColumnsEnd,
    Rows,
    Params { left: usize, columns: usize },
    ParamsEnd { columns: usize },
    FieldList,
    Text,
    Nothing,
}

impl Response {
    /// Waits for the answer to a command of this kind, over a connection with these capabilities.
    ///
    /// The first frame must have number 1; see [`Response::set_sequence`].
    pub fn new(kind: Kind, capabilities: Capabilities) -> Response {
        let expect = match kind {
            Kind::Query | Kind::Execute | Kind::Prepare => Expect::Head,
            Kind::Fetch => Expect::Rows,
            Kind::FieldList => Expect::FieldList,
            Kind::Statistics => Expect::Text,
        };
        let deprecate_eof = capabilities.has(Capabilities::DEPRECATE_EOF);
        Response { kind, deprecate_eof, expect, sequence: 1, row_left: 0, row_continues: false }
    }

    /// The number that the next frame must have: not 1 if the command took several frames, or after a local file.
    pub fn set_sequence(&mut self, next: u8) {
        self.sequence = next;
    }

    /// The number that the next frame must have.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Whether the answer is complete: nothing more comes before the next command.
    pub fn is_done(&self) -> bool {
        self.expect == Expect::Nothing
    }

    /// Whether a row has begun and not ended: nothing but its rest can be said to who reads the answer.
    pub fn is_inside_row(&self) -> bool {
        self.row_left > 0 || self.row_continues
    }

    /// Tells what stands at `bytes[*at..]` and moves `at` behind it.
    ///
    /// All events but [`Event::Rows`] are of whole packets. However the bytes are cut, the events are the same, but
    /// that rows come in other portions.
    ///
    /// # Errors
    /// The bytes are no answer: the connection they came from is of no use any more.
    pub fn next(&mut self, bytes: &[u8], at: &mut usize) -> Result<Event, WireError> {
        match self.expect {
            Expect::Nothing => return Ok(Event::NeedMore),
            // Tells of columns that have ended without a packet.
            Expect::ColumnsEnd if self.deprecate_eof => {
                self.columns_end();
                return Ok(Event::ColumnsEnd(None));
            }
            Expect::ParamsEnd { columns } if self.deprecate_eof => {
                self.expect_params(0, columns);
                return Ok(Event::ParamsEnd(None));
            }
            Expect::Rows => {
                let from = *at;
                let (rows, wrong) = self.step_over_rows(bytes, at);
                if *at > from {
                    // What is wrong behind them is told the next time.
                    return Ok(Event::Rows { range: from..*at, rows });
                }
                wrong?;
                // Only the first byte tells a row from an end: a long row's header alone looks like neither.
                if self.row_left > 0 || self.row_continues || bytes.len() - *at <= HEADER {
                    return Ok(Event::NeedMore);
                }
            }
            _ => {}
        }
        let Some(&head) = bytes[*at..].first_chunk::<HEADER>() else {
            return Ok(Event::NeedMore);
        };
        let len = frame_len(head);
        if len == MAX_FRAME {
            return Err(WireError::Malformed { packet: "answer: neither a row nor short enough" });
        }
        let payload = *at + HEADER;
        let Some(bytes) = bytes.get(payload..payload + len) else {
            // A wrong number is told at once, not after its packet has come.
            return self.check_sequence(head).map(|()| Event::NeedMore);
        };
        self.check_sequence(head)?;
        let before = (self.sequence, *at);
        self.sequence = self.sequence.wrapping_add(1);
        *at = payload + len;
        let event = self.whole(bytes, payload);
        if event.is_err() {
            (self.sequence, *at) = before;
        }
        event
    }

    /// The same for an answer that is read packet by packet, frames joined: tells what one payload is.
    ///
    /// A row is told as [`Event::Rows`] of one row. [`Event::NeedMore`] is never told; [`Event::ColumnsEnd`] and
    /// [`Event::ParamsEnd`] only where there is a packet of that meaning.
    pub fn packet(&mut self, payload: &[u8]) -> Result<Event, WireError> {
        let &first = payload.first().ok_or(WireError::Malformed { packet: "answer: an empty packet" })?;
        if self.expect == Expect::Rows && !self.ends_rows(payload.len(), first) {
            return Ok(Event::Rows { range: 0..payload.len(), rows: 1 });
        }
        let event = self.whole(payload, 0)?;
        if self.deprecate_eof {
            // Now, as no packet follows: the answer to COM_STMT_PREPARE may be complete.
            match self.expect {
                Expect::ColumnsEnd => self.columns_end(),
                Expect::ParamsEnd { columns } => self.expect_params(0, columns),
                _ => {}
            }
        }
        Ok(event)
    }

    /// Steps over frames of rows as far as they are there, counts the rows that begin, and tells what stopped it.
    fn step_over_rows(&mut self, bytes: &[u8], at: &mut usize) -> (u64, Result<(), WireError>) {
        let mut rows = 0;
        loop {
            let here = self.row_left.min(bytes.len() - *at);
            *at += here;
            self.row_left -= here;
            if self.row_left > 0 {
                return (rows, Ok(()));
            }
            match self.begin_row_frame(&bytes[*at..]) {
                Ok(Some(begins)) => {
                    *at += HEADER;
                    rows += u64::from(begins);
                }
                Ok(None) => return (rows, Ok(())),
                Err(wrong) => return (rows, Err(wrong)),
            }
        }
    }

    /// Takes the header of a row's frame and tells whether a row begins there; `None` if no such header is there.
    fn begin_row_frame(&mut self, bytes: &[u8]) -> Result<Option<bool>, WireError> {
        let Some(&head) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
        let len = frame_len(head);
        let begins = !self.row_continues;
        if begins {
            match bytes.get(HEADER) {
                _ if len == 0 => return Err(WireError::Malformed { packet: "row" }),
                Some(&first) if !self.ends_rows(len, first) => {}
                _ => return Ok(None),
            }
        }
        self.check_sequence(head)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.row_left = len;
        self.row_continues = len == MAX_FRAME;
        Ok(Some(begins))
    }

    /// Whether a packet among rows is not one itself, by its length and first byte.
    ///
    /// A row that begins with 0xFE has a first cell of 16 MB or more, and so a first frame of full length.
    fn ends_rows(&self, len: usize, first: u8) -> bool {
        match first {
            ERR => true,
            EOF => len < if self.deprecate_eof { MAX_FRAME } else { 9 },
            _ => false,
        }
    }

    fn check_sequence(&self, head: [u8; HEADER]) -> Result<(), WireError> {
        if head[3] == self.sequence {
            Ok(())
        } else {
            Err(WireError::OutOfOrder { expected: self.sequence, got: head[3] })
        }
    }

    /// A whole packet that is not a row; `at` is the place of `payload` for the ranges to tell.
    fn whole(&mut self, payload: &[u8], at: usize) -> Result<Event, WireError> {
        let range = at..at + payload.len();
        let &first = payload.first().ok_or(WireError::Malformed { packet: "answer: an empty packet" })?;
        if first == ERR {
            self.expect = Expect::Nothing;
            return Ok(Event::Err { payload: range });
        }
        match self.expect {
            Expect::Head if self.kind == Kind::Prepare => {
                let head = PrepareOk::decode(payload)?;
                self.expect_params(usize::from(head.params), usize::from(head.columns));
                Ok(Event::PrepareOk(head))
            }
            Expect::Head => self.head(payload, at, first),
            Expect::Columns { left } => {
                self.expect_columns(left - 1);
                Ok(Event::ColumnDef { payload: range })
            }
            Expect::ColumnsEnd => {
                let end = Terminator::eof(payload, at)?;
                if self.kind == Kind::Execute && end.status.has(Status::CURSOR_EXISTS) {
                    // Rows come by COM_STMT_FETCH: this packet ends columns and result in one.
                    self.expect = Expect::Nothing;
                    return Ok(Event::End(end));
                }
                self.columns_end();
                Ok(Event::ColumnsEnd(Some(end)))
            }
            Expect::Rows => self.end(payload, at),
            Expect::Params { left, columns } => {
                self.expect = match left - 1 {
                    0 => Expect::ParamsEnd { columns },
                    left => Expect::Params { left, columns },
                };
                Ok(Event::ParamDef { payload: range })
            }
            Expect::ParamsEnd { columns } => {
                let end = Terminator::eof(payload, at)?;
                self.expect_params(0, columns);
                Ok(Event::ParamsEnd(Some(end)))
            }
            // A definition begins with the length of `def`.
            Expect::FieldList if first == EOF => self.end(payload, at),
            Expect::FieldList => Ok(Event::ColumnDef { payload: range }),
            Expect::Text => {
                self.expect = Expect::Nothing;
                Ok(Event::Text { payload: range })
            }
            Expect::Nothing => Err(WireError::Unexpected { expected: "nothing", got: first }),
        }
    }

    /// The first packet of a result.
    fn head(&mut self, payload: &[u8], at: usize, first: u8) -> Result<Event, WireError> {
        match first {
            OK => {
                let ok = Terminator::ok(payload, at)?;
                if !ok.more_results() {
                    self.expect = Expect::Nothing;
                }
                Ok(Event::Ok(ok))
            }
            // COM_DEBUG and COM_SET_OPTION.
            EOF => self.end(payload, at),
            LOCAL_INFILE => Ok(Event::LocalInfile { name: at + 1..at + payload.len() }),
            _ => {
                let mut cursor = Cursor::new("number of columns", payload);
                let columns = cursor.lenenc()?;
                cursor.end()?;
                if columns > COLUMNS_MAX {
                    return Err(cursor.malformed());
                }
                self.expect_columns(columns as usize);
                Ok(Event::ColumnCount { columns: columns as usize })
            }
        }
    }

    /// The packet behind the last row.
    fn end(&mut self, payload: &[u8], at: usize) -> Result<Event, WireError> {
        let end = if self.deprecate_eof { Terminator::ok(payload, at) } else { Terminator::eof(payload, at) }?;
        let more = end.more_results() && matches!(self.kind, Kind::Query | Kind::Execute);
        self.expect = if more { Expect::Head } else { Expect::Nothing };
        Ok(Event::End(end))
    }

    fn expect_columns(&mut self, left: usize) {
        self.expect = if left > 0 { Expect::Columns { left } } else { Expect::ColumnsEnd };
    }

    fn expect_params(&mut self, left: usize, columns: usize) {
        match (left, columns) {
            (1.., _) => self.expect = Expect::Params { left, columns },
            (0, 1..) => self.expect_columns(columns),
            (0, 0) => self.expect = Expect::Nothing,
        }
    }

    fn columns_end(&mut self) {
        self.expect = if self.kind == Kind::Prepare { Expect::Nothing } else { Expect::Rows };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::column::ColumnDef;
    use crate::wire::frame::header;
    use crate::wire::reply::{ErrPacket, OkPacket, SessionChanges};

    /// The events of an answer whose bytes come in these portions, ends of packets counted from the first byte;
    /// rows that follow each other are one event.
    fn events(response: &mut Response, bytes: &[u8], portions: &[usize]) -> Result<Vec<Event>, WireError> {
        let (mut events, mut at, mut there) = (Vec::new(), 0, 0);
        for portion in portions.iter().copied().chain([bytes.len()]) {
            there = (there + portion).min(bytes.len());
            loop {
                match (response.next(&bytes[..there], &mut at)?, events.last_mut()) {
                    (Event::NeedMore, _) => break,
                    (Event::Rows { range, rows }, Some(Event::Rows { range: all, rows: sum })) => {
                        assert_eq!(all.end, range.start);
                        all.end = range.end;
                        *sum += rows;
                    }
                    (event, _) => {
                        if let Event::LocalInfile { .. } = event {
                            // In the captures the client sent two packets: a file and its end.
                            response.set_sequence(response.sequence() + 2);
                        }
                        events.push(event);
                    }
                }
            }
        }
        Ok(events)
    }

    /// What an event says, from the codec of its packet; every packet is encoded again and compared.
    fn describe(event: &Event, bytes: &[u8], capabilities: Capabilities) -> String {
        let text = |range: &Range<usize>| String::from_utf8_lossy(&bytes[range.clone()]).into_owned();
        let mut again = Vec::new();
        match event {
            Event::NeedMore => panic!("not an event of an answer"),
            Event::Ok(ok) => {
                let packet = OkPacket::decode(&bytes[ok.payload.clone()], capabilities).unwrap();
                packet.encode(capabilities, &mut again);
                assert_eq!(again, bytes[ok.payload.clone()]);
                assert_eq!((packet.status, packet.warnings), (ok.status, ok.warnings));
                let mut said = format!("ok {} rows", ok.affected_rows);
                let info = String::from_utf8_lossy(packet.info);
                write!(said, ", {} warnings, {:?}, {info:?}", ok.warnings, ok.status).unwrap();
                for change in SessionChanges::new(packet.session_state) {
                    write!(said, ", {}", change_text(change.unwrap())).unwrap();
                }
                said
            }
            Event::End(end) | Event::ColumnsEnd(Some(end)) | Event::ParamsEnd(Some(end)) => {
                let ok = OkPacket { status: end.status, warnings: end.warnings, ..OkPacket::default() };
                ok.encode_end(capabilities, &mut again);
                assert_eq!(again, bytes[end.payload.clone()]);
                let what = match event {
                    Event::End(_) => "end",
                    Event::ColumnsEnd(_) => "columns end",
                    _ => "params end",
                };
                format!("{what}, {} warnings, {:?}", end.warnings, end.status)
            }
            Event::Err { payload } => {
                let err = ErrPacket::decode(&bytes[payload.clone()]).unwrap();
                err.encode(&mut again);
                assert_eq!(again, bytes[payload.clone()]);
                err.to_sql_error().to_string()
            }
            Event::ColumnCount { columns } => format!("{columns} columns"),
            Event::ColumnDef { payload } | Event::ParamDef { payload } => {
                let column = ColumnDef::decode(&bytes[payload.clone()]).unwrap();
                column.encode(&mut again);
                assert_eq!(again, bytes[payload.clone()]);
                let what = if matches!(event, Event::ParamDef { .. }) { "param" } else { "column" };
                let [table, name] = [column.table, column.name].map(String::from_utf8_lossy);
                format!("{what} {table}.{name} type {:#04x}, default {:?}", column.ty.0, column.default)
            }
            Event::ColumnsEnd(None) => "columns end".to_owned(),
            Event::ParamsEnd(None) => "params end".to_owned(),
            Event::Rows { range, rows } => format!("{rows} rows in {} bytes", range.len()),
            Event::PrepareOk(ok) => format!("prepared {}: {} columns, {} params", ok.statement, ok.columns, ok.params),
            Event::LocalInfile { name } => format!("local file {}", text(name)),
            Event::Text { payload } => format!("text {}", text(payload)),
        }
    }

    fn change_text(change: crate::wire::reply::SessionChange<'_>) -> String {
        use crate::wire::reply::SessionChange::{Schema, SystemVariable};
        let text = String::from_utf8_lossy;
        match change {
            SystemVariable { name, value } => format!("{} = {}", text(name), text(value)),
            Schema(name) => format!("schema {}", text(name)),
            other => format!("{other:?}"),
        }
    }

    struct Capture {
        lines: Vec<String>,
        kind: Kind,
        capabilities: Capabilities,
        bytes: Vec<u8>,
    }

    const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wire/answers.txt");

    fn captures() -> Vec<Capture> {
        let text = std::fs::read_to_string(CAPTURES).unwrap();
        let blocks = text.split("\n\n").filter(|block| !block.starts_with('#') && !block.trim().is_empty());
        let capture = |block: &str| {
            let lines: Vec<String> = block.lines().map(str::to_owned).collect();
            let words: Vec<&str> = lines[1].split(' ').collect();
            let kinds = [Kind::Query, Kind::Prepare, Kind::Execute, Kind::Fetch, Kind::FieldList, Kind::Statistics];
            let kind = *kinds.iter().find(|kind| format!("{kind:?}") == words[2]).unwrap();
            let capabilities = Capabilities::SESSION_TRACK.when(Capabilities::DEPRECATE_EOF, words[1] == "ok");
            let hex = |i: usize| u8::from_str_radix(&lines[2][2 * i..2 * i + 2], 16).unwrap();
            let bytes = (0..lines[2].len() / 2).map(hex).collect();
            Capture { kind, capabilities, bytes, lines }
        };
        blocks.map(capture).collect()
    }

    #[test]
    fn answers_of_real_servers_are_understood() {
        let mut updated = String::new();
        let mut wrong = Vec::new();
        for capture in captures() {
            let mut response = Response::new(capture.kind, capture.capabilities);
            let events = events(&mut response, &capture.bytes, &[]).unwrap();
            assert!(response.is_done(), "{}", capture.lines[0]);
            let said: Vec<_> = events.iter().map(|e| describe(e, &capture.bytes, capture.capabilities)).collect();
            if said != capture.lines[3..] {
                wrong.push(capture.lines[..2].join(", "));
            }
            updated += &format!("{}\n{}\n\n", capture.lines[..3].join("\n"), said.join("\n"));
        }
        if std::env::var_os("UPDATE").is_some() {
            let text = std::fs::read_to_string(CAPTURES).unwrap();
            let (head, _) = text.split_once("\n\n").unwrap();
            std::fs::write(CAPTURES, format!("{head}\n\n{}\n", updated.trim_end())).unwrap();
        } else {
            assert!(wrong.is_empty(), "{wrong:#?}");
        }
    }

    #[test]
    fn answers_are_understood_however_they_are_cut() {
        for capture in captures() {
            let whole = events(&mut Response::new(capture.kind, capture.capabilities), &capture.bytes, &[]).unwrap();
            for cut in 0..capture.bytes.len() {
                let mut response = Response::new(capture.kind, capture.capabilities);
                assert_eq!(events(&mut response, &capture.bytes, &[cut]).unwrap(), whole);
                // An answer that breaks off is not complete.
                let mut response = Response::new(capture.kind, capture.capabilities);
                events(&mut response, &capture.bytes[..cut], &[]).unwrap();
                assert!(!response.is_done());
            }
            let mut response = Response::new(capture.kind, capture.capabilities);
            let single_bytes = vec![1; capture.bytes.len()];
            assert_eq!(events(&mut response, &capture.bytes, &single_bytes).unwrap(), whole);
        }
    }

    #[test]
    fn packet_by_packet_the_answer_is_the_same() {
        for capture in captures() {
            let whole = events(&mut Response::new(capture.kind, capture.capabilities), &capture.bytes, &[]).unwrap();
            let (mut response, mut at, mut packets) = (Response::new(capture.kind, capture.capabilities), 0, 0);
            while at < capture.bytes.len() {
                assert!(!response.is_done());
                let len = frame_len(*capture.bytes[at..].first_chunk().unwrap());
                match response.packet(&capture.bytes[at + HEADER..at + HEADER + len]).unwrap() {
                    Event::Rows { rows, .. } => packets += rows,
                    Event::NeedMore => panic!("a whole packet needs no more"),
                    _ => packets += 1,
                }
                at += HEADER + len;
            }
            let implied = |event: &Event| matches!(event, Event::ColumnsEnd(None) | Event::ParamsEnd(None));
            let count = |event: &Event| match event {
                Event::Rows { rows, .. } => *rows,
                event => u64::from(!implied(event)),
            };
            assert_eq!(packets, whole.iter().map(count).sum::<u64>());
            assert!(response.is_done());
        }
    }

    #[test]
    fn flags_are_patched_in_place() {
        for capabilities in [Capabilities::NONE, Capabilities::DEPRECATE_EOF] {
            let mut bytes = vec![1, 0, 0, 1, 0];
            bytes[4] = 1;
            for (number, payload) in [(2, column()), (3, end(capabilities, Status::AUTOCOMMIT))] {
                bytes.extend(header(payload.len(), number));
                bytes.extend(payload);
            }
            if capabilities == Capabilities::NONE {
                let payload = end(capabilities, Status::AUTOCOMMIT);
                bytes.extend(header(payload.len(), 4));
                bytes.extend(payload);
            }
            let mut response = Response::new(Kind::Query, capabilities);
            let events = events(&mut response, &bytes, &[]).unwrap();
            let Some(Event::End(end)) = events.last() else { panic!("{events:?}") };
            end.patch_status(&mut bytes, Status::IN_TRANS);
            end.patch_warnings(&mut bytes, 258);
            let payload = &bytes[end.payload.clone()];
            let patched = if capabilities == Capabilities::NONE {
                let eof = crate::wire::reply::EofPacket::decode(payload).unwrap();
                (eof.status, eof.warnings)
            } else {
                let ok = OkPacket::decode(payload, capabilities).unwrap();
                (ok.status, ok.warnings)
            };
            assert_eq!(patched, (Status::IN_TRANS, 258));
        }
    }

    fn column() -> Vec<u8> {
        let mut payload = Vec::new();
        ColumnDef::text("a", 10).encode(&mut payload);
        payload
    }

    fn end(capabilities: Capabilities, status: Status) -> Vec<u8> {
        let mut payload = Vec::new();
        OkPacket { status, ..OkPacket::default() }.encode_end(capabilities, &mut payload);
        payload
    }

    /// Splits a payload into frames.
    fn frames(out: &mut Vec<u8>, sequence: &mut u8, payload: &[u8]) {
        let chunks = payload.chunks_exact(MAX_FRAME);
        let last = chunks.remainder();
        for chunk in chunks.chain([last]) {
            out.extend(header(chunk.len(), *sequence));
            out.extend_from_slice(chunk);
            *sequence = sequence.wrapping_add(1);
        }
    }

    #[test]
    fn long_rows_are_never_taken_for_ends_or_errors() {
        for capabilities in [Capabilities::NONE, Capabilities::DEPRECATE_EOF] {
            for len in [MAX_FRAME - 9, MAX_FRAME, 2 * MAX_FRAME - 9, 2 * MAX_FRAME] {
                // First cell of 16 MB: the row begins with 0xFE, and each of its frames holds bytes like 0xFE and 0xFF.
                let mut row = vec![0xFE];
                row.extend((len as u64).to_le_bytes());
                row.resize(len + 9, 0xFF);
                let (mut bytes, mut sequence) = (Vec::new(), 1);
                frames(&mut bytes, &mut sequence, &[1]);
                frames(&mut bytes, &mut sequence, &column());
                if capabilities == Capabilities::NONE {
                    frames(&mut bytes, &mut sequence, &end(capabilities, Status::NONE));
                }
                frames(&mut bytes, &mut sequence, &row);
                frames(&mut bytes, &mut sequence, b"\x01a");
                frames(&mut bytes, &mut sequence, &end(capabilities, Status::NONE));
                // Cut near the beginning and the end of the long row's first frame, byte by byte.
                let mut portions = vec![1; 60];
                portions.push(MAX_FRAME - 30);
                portions.extend([1; 60]);
                let mut response = Response::new(Kind::Query, capabilities);
                let events = events(&mut response, &bytes, &portions).unwrap();
                assert!(response.is_done());
                assert!(events.iter().any(|event| matches!(event, Event::Rows { rows: 2, .. })), "{events:?}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let caps = Capabilities::DEPRECATE_EOF;
        for (kind, bytes) in [
            (Kind::Query, &b"\0\0\0\x01"[..]),                  // empty
            (Kind::Query, b"\x01\0\0\x02\x01"),                 // wrong number
            (Kind::Query, b"\x02\0\0\x01\x01\x01"),             // bytes behind the number of columns
            (Kind::Query, b"\x04\0\0\x01\xFD\0\0\x01"),         // 65536 columns
            (Kind::Query, b"\x03\0\0\x01\0\0\0"),               // OK without status
            (Kind::Query, b"\xFF\xFF\xFF\x01\x01"),             // 16 MB for a number of columns
            (Kind::Prepare, b"\x07\0\0\x01\0\0\0\x02\0\0\0"),   // OK instead of a statement
            (Kind::Fetch, b"\x02\0\0\x01\0\0\0\0\0\x02"),       // a row without a byte
            (Kind::Fetch, b"\x02\0\0\x01\0\0\x02\0\0\x03\0\0"), // the second row's number
            (Kind::FieldList, b"\x05\0\0\x01\xFE\0\0\x02\0"),   // EOF where OK was agreed on
        ] {
            assert!(events(&mut Response::new(kind, caps), bytes, &[]).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(
            kind in 0..6,
            deprecate_eof: bool,
            mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
            lens in proptest::collection::vec(0..20usize, 0..20),
        ) {
            // Small lengths and right numbers, to come past the headers.
            let (mut at, mut sequence) = (0, 1);
            for len in lens {
                if at + HEADER < bytes.len() {
                    bytes[at..at + HEADER].copy_from_slice(&header(len, sequence));
                    at += HEADER + len;
                    sequence += 1;
                }
            }
            let kinds = [Kind::Query, Kind::Prepare, Kind::Execute, Kind::Fetch, Kind::FieldList, Kind::Statistics];
            let capabilities = Capabilities::NONE.when(Capabilities::DEPRECATE_EOF, deprecate_eof);
            let told = |portions: &[usize]| {
                let mut response = Response::new(kinds[kind as usize], capabilities);
                events(&mut response, &bytes, portions).map_err(|wrong| wrong.to_string())
            };
            prop_assert_eq!(told(&[]), told(&[3, 10, 1, 1, 1, 30]));
            let mut response = Response::new(kinds[kind as usize], capabilities);
            for payload in bytes.chunks(7) {
                let _ = response.packet(payload);
            }
        }

        #[test]
        fn captures_are_understood_in_any_portions(
            which: prop::sample::Index,
            portions in proptest::collection::vec(0..40usize, 0..40),
        ) {
            let captures = captures();
            let capture = which.get(&captures);
            let whole = events(&mut Response::new(capture.kind, capture.capabilities), &capture.bytes, &[]).unwrap();
            let mut response = Response::new(capture.kind, capture.capabilities);
            prop_assert_eq!(events(&mut response, &capture.bytes, &portions).unwrap(), whole);
        }
    }
}
