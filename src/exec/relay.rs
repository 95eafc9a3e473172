//! One target's answer, passed on to the client. Bytes of rows are never looked into: only headers,
//! column definitions (to put logical names back) and the last packet (to patch flags) are.

use std::io;
use std::pin::pin;

use crate::backend::conn::BackendError;
use crate::backend::lease::Lease;
use crate::backend::statements::Prepared;
use crate::error::SqlError;
use crate::exec::infile;
use crate::exec::interrupt::{Patience, Stop};
use crate::exec::names::Naming;
use crate::exec::outcome::Outcome;
use crate::rare::boxed;
use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::column::{ColumnDef, Origin};
use crate::wire::error::WireError;
use crate::wire::frame::{HEADER, frame_len};
use crate::wire::link::Link;
use crate::wire::reply::{ErrPacket, LOCAL_INFILE, OkPacket, PrepareOk, put_error};
use crate::wire::response::{Event, Kind, Response, Terminator};

/// Queued bytes beyond which the client is written to before more of the answer is read. MySQL's own
/// `net_buffer_length` is as large, so rows reach a client no later than from a server.
const FLUSH_AT: usize = 16 << 10;

/// How an answer is changed on its way.
#[derive(Clone, Copy)]
pub struct Style<'a> {
    /// What the client can read.
    pub capabilities: Capabilities,
    /// Flags to add to each status: more results of a multi-statement, a transaction that no server knows yet.
    pub add: Status,
    /// The client's names.
    pub naming: Naming<'a>,
    /// The definitions of the columns, where the server's are not those of the client's statement; else empty.
    pub definitions: &'a [Box<[u8]>],
    /// The number that the client knows a statement by that is being prepared.
    pub statement: Option<u32>,
    /// The insert id of an OK, where it is not the one that the server tells.
    pub insert_id: Option<u64>,
}

/// Passes the answer to the command queued on `lease` on to the client, and leaves its end queued.
///
/// The first packet gets the client's current sequence number. On `Ok` the whole answer was read, an ERR
/// packet included. On `Err` the lease must be given up.
pub async fn relay(
    client: &mut Link,
    lease: &mut Lease,
    kind: Kind,
    patience: &mut Patience<'_>,
    style: &Style<'_>,
) -> Result<Outcome, Stop> {
    lease.link.flush().await.map_err(|error| lost(lease, patience, error.into()))?;
    if lease.has_preludes() {
        boxed(preludes(client, lease, patience)).await?;
    }
    let first = lease.expect_answer();
    let mut response = Response::new(kind, lease.capabilities);
    response.set_sequence(first);
    let mut relay = Relay {
        response,
        shift: client.sequence().wrapping_sub(first),
        at: 0,
        sound: 0,
        passed: 0,
        row_left: 0,
        columns: 0,
        binary: kind == Kind::Execute,
        outcome: Outcome::default(),
    };
    loop {
        match relay.step(client, lease, patience, style) {
            Ok(Step::Done) => return Ok(relay.outcome),
            Ok(Step::NeedMore) => {
                if relay.at > 0 {
                    relay.pass(client, lease, patience).await?;
                }
                if let Err(stop) = patience.fill(client, lease).await {
                    return Err(relay.cut_off(client, stop));
                }
            }
            Ok(Step::LocalInfile) => {
                relay.pass(client, lease, patience).await?;
                let pump = infile::pump(client, lease, style.capabilities, relay.response.sequence());
                relay.response.set_sequence(boxed(pump).await?);
            }
            Err(error) => {
                // The client may have the beginning of a row whose end was only looked at: it has to come before the error.
                client.push_raw(&lease.link.buffered()[relay.passed..relay.sound.max(relay.passed)]);
                let stop = lost(lease, patience, error);
                return Err(relay.cut_off(client, stop));
            }
        }
    }
}

/// One answer on its way.
struct Relay {
    response: Response,
    /// What is added to the server's sequence numbers: not 0 for the second answer to a multi-statement, and where
    /// the command took the client more frames or fewer than it took us.
    shift: u8,
    /// Up to here, counted from the first buffered byte, the answer was looked at.
    at: usize,
    /// Up to here, it was right: where the packet that is looked at begins.
    sound: usize,
    /// Up to here it was passed on.
    passed: usize,
    /// Bytes of the frame that was begun, for shifting the numbers of row frames.
    row_left: usize,
    /// Columns whose definitions were replaced.
    columns: usize,
    /// Rows come in the binary protocol.
    binary: bool,
    outcome: Outcome,
}

/// Where a relay cannot go on by itself.
enum Step {
    NeedMore,
    LocalInfile,
    Done,
}

impl Relay {
    /// Looks at what has come, packet by packet, to its end or to that of the answer.
    fn step(
        &mut self,
        client: &mut Link,
        lease: &mut Lease,
        patience: &Patience<'_>,
        style: &Style<'_>,
    ) -> Result<Step, BackendError> {
        loop {
            let from = self.at;
            self.sound = from;
            let mut wants_file = false;
            // Matched as it is: `?` would copy each event once more.
            match self.response.next(lease.link.buffered(), &mut self.at) {
                Err(wrong) => return Err(wrong.into()),
                Ok(Event::NeedMore) => return Ok(Step::NeedMore),
                Ok(Event::Rows { range, rows }) => {
                    self.outcome.rows += rows;
                    if self.shift != 0 {
                        self.shift_rows(&mut lease.link.buffered_mut()[range]);
                    }
                    continue;
                }
                Ok(Event::ColumnDef { payload }) if !style.definitions.is_empty() => {
                    let sent = &lease.link.buffered()[payload];
                    let packet = defined(style.definitions, self.columns, sent, self.binary)?;
                    self.columns += 1;
                    self.replace(client, lease, from, |out| out.extend_from_slice(&packet));
                    continue;
                }
                Ok(Event::ColumnDef { payload } | Event::ParamDef { payload }) => {
                    if let Naming::Of(..) = style.naming {
                        let sent = lease.link.buffered();
                        let origin = Origin::decode(&sent[payload])?;
                        if let Some(origin) = style.naming.logical_origin(&origin) {
                            client.push_raw(&sent[self.passed..from]);
                            client.set_sequence(self.number().wrapping_sub(1));
                            client.push_with(|out| origin.encode(out));
                            self.passed = self.at;
                            continue;
                        }
                    }
                }
                Ok(Event::Ok(end)) => {
                    self.outcome.affected_rows = end.affected_rows;
                    self.outcome.last_insert_id = style.insert_id.unwrap_or(end.last_insert_id);
                    self.end(client, lease, from, &end, style, false)?;
                }
                Ok(Event::End(end)) => {
                    self.outcome.has_rows = true;
                    self.end(client, lease, from, &end, style, true)?;
                }
                Ok(Event::ColumnsEnd(Some(end)) | Event::ParamsEnd(Some(end))) => {
                    let status = end.status.with(style.add);
                    end.patch_status(lease.link.buffered_mut(), status);
                }
                Ok(Event::ColumnCount { .. }) => self.outcome.has_rows = true,
                Ok(Event::Err { payload }) => {
                    let error = ErrPacket::decode(&lease.link.buffered()[payload])?.to_sql_error();
                    let error = style.naming.error(patience.explain(error));
                    lease.failed();
                    self.replace(client, lease, from, |out| put_error(out, &error));
                    self.outcome.error = Some(error);
                    return self.done(client, lease);
                }
                Ok(Event::LocalInfile { .. }) if style.capabilities.has(Capabilities::LOCAL_FILES) => {
                    wants_file = true;
                }
                Ok(Event::LocalInfile { .. }) => {
                    return Err(WireError::Unexpected {
                        expected: "an answer without a local file",
                        got: LOCAL_INFILE,
                    }
                    .into());
                }
                // No packet: nothing to number. It can be the end of a prepared statement's description.
                Ok(Event::ColumnsEnd(None) | Event::ParamsEnd(None)) => {
                    if self.response.is_done() {
                        return self.done(client, lease);
                    }
                    continue;
                }
                Ok(Event::PrepareOk(ok)) => {
                    self.outcome.prepared = Some(Prepared { id: ok.statement, params: ok.params });
                    let own = PrepareOk { statement: style.statement.unwrap_or(ok.statement), ..ok };
                    self.replace(client, lease, from, |out| own.encode(out));
                }
                Ok(Event::Text { .. }) => {}
            }
            if self.shift != 0 {
                let header = &mut lease.link.buffered_mut()[from..from + HEADER];
                header[HEADER - 1] = header[HEADER - 1].wrapping_add(self.shift);
            }
            if self.response.is_done() {
                return self.done(client, lease);
            }
            if wants_file {
                return Ok(Step::LocalInfile);
            }
        }
    }

    /// The last packet of a result. An OK that tells of session state is written anew; any other is patched where
    /// it lies.
    fn end(
        &mut self,
        client: &mut Link,
        lease: &mut Lease,
        from: usize,
        end: &Terminator,
        style: &Style<'_>,
        of_rows: bool,
    ) -> Result<(), BackendError> {
        let status = end.status.with(style.add);
        self.outcome.warnings = end.warnings;
        self.outcome.status = status;
        if !end.more_results() {
            lease.answered(end.status);
        }
        let is_ok = !of_rows || lease.class.deprecate_eof;
        let tracked = end.status.has(Status::SESSION_STATE_CHANGED);
        let renumbered = style.insert_id.filter(|id| !of_rows && *id != end.last_insert_id);
        if !is_ok || !(tracked || renumbered.is_some()) {
            end.patch_status(lease.link.buffered_mut(), status);
            return Ok(());
        }
        let payload = lease.link.buffered()[end.payload.clone()].to_vec();
        let mut ok = OkPacket::decode(&payload, lease.capabilities)?;
        lease.track(ok.session_state);
        ok.session_state = &[];
        ok.last_insert_id = renumbered.unwrap_or(ok.last_insert_id);
        ok.status = status.without(Status::SESSION_STATE_CHANGED);
        self.outcome.status = ok.status;
        // The packet's own number is set by `replace`: keep `step` from shifting the old one.
        self.replace(client, lease, from, |out| match of_rows {
            true => ok.encode_end(style.capabilities, out),
            false => ok.encode(style.capabilities, out),
        });
        Ok(())
    }

    /// Queues what was looked at up to `from`, then another packet instead of the one that stands there.
    fn replace(&mut self, client: &mut Link, lease: &mut Lease, from: usize, encode: impl FnOnce(&mut Vec<u8>)) {
        client.push_raw(&lease.link.buffered()[self.passed..from]);
        client.set_sequence(self.number().wrapping_sub(1));
        client.push_with(encode);
        self.passed = self.at;
    }

    /// The number, for the client, of the packet behind the one that was looked at last.
    fn number(&self) -> u8 {
        self.response.sequence().wrapping_add(self.shift)
    }

    fn done(&mut self, client: &mut Link, lease: &mut Lease) -> Result<Step, BackendError> {
        if self.outcome.prepared.is_some() {
            lease.described();
        }
        client.push_raw(&lease.link.buffered()[self.passed..self.at]);
        client.set_sequence(self.number());
        lease.link.consume(self.at);
        Ok(Step::Done)
    }

    /// Passes on what was looked at; writes to the client only if it is much, so that a small answer
    /// leaves in one write together with its end.
    async fn pass(&mut self, client: &mut Link, lease: &mut Lease, patience: &Patience<'_>) -> Result<(), Stop> {
        let bytes = &lease.link.buffered()[self.passed..self.at];
        if client.queued() + bytes.len() >= FLUSH_AT {
            boxed(patience.write(client.flush_then(bytes))).await?;
        } else {
            client.push_raw(bytes);
        }
        client.set_sequence(self.number());
        lease.link.consume(self.at);
        (self.at, self.sound, self.passed) = (0, 0, 0);
        Ok(())
    }

    /// Inside a row nothing else can be said: the client's connection must end.
    fn cut_off(&self, client: &mut Link, stop: Stop) -> Stop {
        client.set_sequence(self.number());
        match stop {
            Stop::Lost(error) | Stop::Error(error) if self.response.is_inside_row() => {
                Stop::Client(io::Error::new(io::ErrorKind::ConnectionAborted, error))
            }
            stop => stop,
        }
    }

    /// Shifts the numbers of the frames in a portion of row bytes, which may begin and end inside a frame.
    fn shift_rows(&mut self, mut bytes: &mut [u8]) {
        loop {
            let here = self.row_left.min(bytes.len());
            bytes = &mut bytes[here..];
            self.row_left -= here;
            let Some(head) = bytes.first_chunk_mut::<HEADER>() else { return };
            head[HEADER - 1] = head[HEADER - 1].wrapping_add(self.shift);
            self.row_left = HEADER + frame_len(*head);
        }
    }
}

/// The definition of column `number` from `definitions`; with the type in which the server sends its cells, where the
/// bytes of a cell depend on it.
fn defined(definitions: &[Box<[u8]>], number: usize, sent: &[u8], binary: bool) -> Result<Vec<u8>, WireError> {
    let sent = ColumnDef::decode(sent)?;
    let Some(packet) = definitions.get(number) else {
        return Err(WireError::Malformed { packet: "definition of a column that the statement does not have" });
    };
    let column = ColumnDef::decode(packet)?;
    if !binary || column.ty.is_sent_like(sent.ty) {
        return Ok(packet.to_vec());
    }
    let mut out = Vec::new();
    ColumnDef { ty: sent.ty, ..column }.encode(&mut out);
    Ok(out)
}

/// Reads the answers to what was sent in front of a statement. That is not to be killed: the statement behind it would run
/// without it.
///
/// # Errors
/// As [`lost`]; what ends the patience.
pub async fn preludes(client: &mut Link, lease: &mut Lease, patience: &mut Patience<'_>) -> Result<(), Stop> {
    if !lease.has_preludes() {
        return Ok(());
    }
    let finished = patience.reach(client, true, pin!(lease.finish_preludes())).await?;
    finished.map_err(|error| lost(lease, patience, error))
}

/// What a failed backend means to the statement. The server's own error at this place is the answer to a
/// prelude: the statement behind it was sent already, so the connection cannot go on.
pub fn lost(lease: &Lease, patience: &Patience<'_>, error: BackendError) -> Stop {
    let error: SqlError = error.to_client(&lease.server().name);
    Stop::Lost(patience.explain(error))
}
