//! One framed connection, either end: cuts the inbound bytes into packets and frames the outbound ones.
//! It knows frames, buffers and sequence numbers, and nothing of what a packet says.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::wire::compress::Compression;
use crate::wire::error::WireError;
use crate::wire::frame::{Found, HEADER, MAX_FRAME, header};
use crate::wire::stream::Stream;

/// What a link takes to read into, at first.
const FIRST_BUFFER: usize = 4 << 10;
/// What a link may hold from one command to the next, so that middling answers don't grow it anew each time.
const COMMAND_BUFFER: usize = 16 << 10;
/// How far the inbound buffer grows for a stream of frames; only a single longer packet makes it larger.
const STREAM_BUFFER: usize = 256 << 10;
/// Raw bytes up to this length are copied behind the queued ones rather than written beside them.
const COALESCE: usize = 16 << 10;
/// How many bytes of pipelined commands [`Link::closed`] takes in while it watches for the end.
const LOOKAHEAD: usize = 64 << 10;

/// A packet that was read whole; [`Link::payload`] gives its bytes until the next one is read.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Where the payload begins, counted from the first byte ever received.
    at: u64,
    len: usize,
}

impl Packet {
    /// The length of the payload in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the payload has no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A framed connection.
#[derive(Debug)]
pub struct Link {
    stream: Stream,
    /// Bytes received: held ones, then unread ones from `start` on.
    inbound: Vec<u8>,
    /// From here on bytes stay: the payload of the packet that was read last.
    held: usize,
    start: usize,
    /// How many bytes were received and dropped before `inbound[0]`.
    base: u64,
    /// The last read filled the buffer to its end, so there is probably more.
    more: bool,
    /// The last read found nothing, or less than it had room for: probably there is nothing more yet.
    dry: bool,
    /// A write of borrowed bytes was given up half-way: nothing sensible can follow.
    torn: bool,
    /// The number of the next packet, whichever side sends it.
    sequence: u8,
    outbound: Vec<u8>,
    /// How much of `outbound` is written.
    sent: usize,
    max_packet: usize,
    /// Present once compression is in force.
    compression: Option<Box<Compression>>,
}

impl Link {
    /// Frames `stream`; a packet whose payload is longer than `max_packet` bytes is refused when it is read.
    pub fn new(stream: Stream, max_packet: usize) -> Link {
        Link {
            stream,
            inbound: Vec::new(),
            held: 0,
            start: 0,
            base: 0,
            more: false,
            dry: false,
            torn: false,
            sequence: 0,
            outbound: Vec::new(),
            sent: 0,
            max_packet,
            compression: None,
        }
    }

    /// The stream below.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Changes the limit for packets read from now on.
    pub fn set_max_packet(&mut self, bytes: usize) {
        self.max_packet = bytes;
    }

    /// A command begins: its first packet has number 0. Buffers that a long answer has grown are given back.
    pub fn start_command(&mut self) {
        self.sequence = 0;
        self.held = self.start;
        self.shrink(COMMAND_BUFFER);
    }

    /// Gives back all buffers, as far as nothing is in them; to be called when nothing is expected for a while.
    pub fn rest(&mut self) {
        self.held = self.start;
        self.shrink(0);
    }

    fn shrink(&mut self, keep: usize) {
        if self.held == self.inbound.len() && self.inbound.capacity() > keep {
            self.base += self.inbound.len() as u64;
            (self.held, self.start, self.more) = (0, 0, false);
            self.inbound = Vec::new();
        }
        if self.outbound.is_empty() && self.outbound.capacity() > keep {
            self.outbound = Vec::new();
        }
    }

    /// The number of the next packet, whichever side sends it.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Sets the number of the next packet, after frames went by without the link's counting them.
    pub fn set_sequence(&mut self, next: u8) {
        self.sequence = next;
    }

    // Reading.

    /// Reads once into the inbound buffer and tells how many bytes came; 0 means that the peer has closed.
    ///
    /// One system call in clear. Dropping the future loses nothing.
    pub async fn fill(&mut self) -> io::Result<usize> {
        if self.compression.is_some() {
            return self.fill_compressed().await;
        }
        poll_fn(|context| self.poll_fill(context)).await
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Looking is cheaper than reading and takes no room, but whoever was woken finds something to read. (TLS may have
        // bytes that the socket knows nothing of any more.)
        if self.dry || self.inbound.capacity() == 0 && !self.stream.is_tls() {
            self.dry = false;
            ready!(self.stream.poll_readable(context))?;
        }
        self.make_room();
        let read = poll_receive(&mut self.stream, &mut self.inbound, context);
        self.more = self.inbound.len() == self.inbound.capacity();
        self.dry = read.is_pending() || !(self.more || self.stream.is_tls());
        read
    }

    /// Like [`Link::fill`]: takes in the next compressed packet, after as many reads as it needs.
    async fn fill_compressed(&mut self) -> io::Result<usize> {
        self.drop_front(self.held);
        let before = self.inbound.len();
        while self.inbound.len() == before {
            let Some(compression) = &mut self.compression else { return Ok(0) };
            if compression.unpack(&mut self.inbound).map_err(io::Error::other)? {
                continue;
            }
            if self.receive_compressed().await? == 0 {
                return Ok(0);
            }
        }
        Ok(self.inbound.len() - before)
    }

    /// Reads once, without decompressing anything.
    async fn receive_compressed(&mut self) -> io::Result<usize> {
        let Some(compression) = &mut self.compression else { return Ok(0) };
        compression.received.reserve(FIRST_BUFFER);
        let n = poll_fn(|context| poll_receive(&mut self.stream, &mut compression.received, context)).await?;
        if n == 0 && compression.is_inside_packet() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(n)
    }

    /// Like [`Link::fill`], but takes no more than `most` bytes: what follows belongs to another layer.
    async fn fill_at_most(&mut self, most: usize) -> io::Result<usize> {
        self.make_room();
        (&mut self.stream).take(most as u64).read_buf(&mut self.inbound).await
    }

    fn make_room(&mut self) {
        let capacity = self.inbound.capacity();
        let full = capacity - self.inbound.len() < capacity / 2;
        if self.held > 0 && (full || self.held == self.inbound.len()) {
            self.drop_front(self.held);
        }
        let spare = capacity - self.inbound.len();
        if capacity < FIRST_BUFFER {
            self.inbound.reserve_exact(FIRST_BUFFER - self.inbound.len());
        } else if (self.more && capacity < STREAM_BUFFER) || spare == 0 {
            self.inbound.reserve_exact(2 * capacity - self.inbound.len());
        }
    }

    fn drop_front(&mut self, n: usize) {
        if n == self.inbound.len() {
            self.inbound.clear();
        } else {
            self.inbound.drain(..n);
        }
        self.base += n as u64;
        self.held -= n;
        self.start -= n;
    }

    /// The bytes received and not consumed, headers included.
    pub fn buffered(&self) -> &[u8] {
        &self.inbound[self.start..]
    }

    /// The same, to be patched in place.
    pub fn buffered_mut(&mut self) -> &mut [u8] {
        &mut self.inbound[self.start..]
    }

    /// Drops the first `n` buffered bytes, and the payload of the packet read last.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.inbound.len());
        self.held = self.start;
    }

    /// Reads the next whole packet; `None` when the peer has closed between two packets.
    ///
    /// The payload stays where it was received, frames joined, until the next packet is read or a command started.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// Whatever [`WireError`] says of the framing; the link is of no use afterwards.
    pub async fn read_packet(&mut self) -> Result<Option<Packet>, WireError> {
        self.held = self.start;
        loop {
            let number = self.compression.is_none().then_some(self.sequence);
            match Found::first(self.buffered(), number, self.max_packet)? {
                Found::Packet { len, frames } => return Ok(Some(self.take_packet(len, frames))),
                Found::Need(total) => {
                    let have = self.inbound.len() - self.start;
                    if total > self.inbound.capacity() {
                        // The header is only a claim: grow with what really comes.
                        self.inbound.reserve((total - have).min(have.max(COALESCE)));
                    }
                    if self.fill().await? == 0 {
                        return if have == 0 { Ok(None) } else { Err(WireError::Closed) };
                    }
                }
            }
        }
    }

    /// Reads the next packet, which must come.
    pub async fn expect_packet(&mut self) -> Result<Packet, WireError> {
        self.read_packet().await?.ok_or(WireError::Closed)
    }

    /// Waits for the next packet without taking it, and without receiving a byte behind it, where TLS may begin.
    ///
    /// The next packet to be read is the same one.
    pub(crate) async fn peek_packet_exactly(&mut self) -> Result<Packet, WireError> {
        self.held = self.start;
        loop {
            match Found::first(self.buffered(), Some(self.sequence), self.max_packet)? {
                Found::Packet { len, .. } => return Ok(Packet { at: self.base + (self.start + HEADER) as u64, len }),
                Found::Need(total) => {
                    let have = self.inbound.len() - self.start;
                    if self.fill_at_most(total - have).await? == 0 {
                        return Err(WireError::Closed);
                    }
                }
            }
        }
    }

    /// Steps over the first packet in the buffer, and closes the gaps that its further headers leave.
    fn take_packet(&mut self, len: usize, frames: usize) -> Packet {
        let payload = self.start + HEADER;
        for frame in 1..frames {
            let to = payload + frame * MAX_FRAME;
            let from = to + frame * HEADER;
            let end = (from + MAX_FRAME).min(payload + len + frame * HEADER);
            self.inbound.copy_within(from..end, to);
        }
        self.sequence = match &self.compression {
            None => self.sequence.wrapping_add((frames % 256) as u8),
            // Answers are expected to be numbered like compressed packets.
            Some(compression) => compression.sequence(),
        };
        self.held = payload;
        self.start += len + frames * HEADER;
        Packet { at: self.base + payload as u64, len }
    }

    /// The bytes of a packet, as long as no other was read.
    pub fn payload(&self, packet: &Packet) -> &[u8] {
        let from = packet.at.wrapping_sub(self.base) as usize;
        let bytes = from.checked_add(packet.len).and_then(|to| self.inbound.get(from..to));
        debug_assert!(bytes.is_some() && from >= self.held, "the packet's bytes are gone");
        bytes.unwrap_or(&[])
    }

    /// Waits until the peer closes or the connection fails, while nothing is expected of it.
    ///
    /// Commands that it sends ahead are kept for later, up to a bound; behind that its end is not seen.
    /// Dropping the future loses nothing.
    pub async fn closed(&mut self) {
        loop {
            let ahead = self.compression.as_ref().map_or(self.inbound.len() - self.start, |c| c.received.len());
            let read = match &self.compression {
                _ if ahead >= LOOKAHEAD => pending().await,
                None => self.fill().await,
                // Commands sent ahead stay compressed: their numbers would get into the answer's.
                Some(_) => self.receive_compressed().await,
            };
            if !matches!(read, Ok(1..)) {
                return;
            }
        }
    }

    /// Whether nothing has come from the peer, neither bytes nor its end, while nothing was expected of it.
    ///
    /// A connection that is not quiet is of no further use: a byte that came is thrown away here. Costs no
    /// system call as long as nothing came.
    pub fn is_quiet(&mut self) -> bool {
        self.buffered().is_empty() && self.stream.is_quiet()
    }

    // Writing.

    /// Frames `payload` behind what is queued.
    pub fn push(&mut self, payload: &[u8]) {
        let mut chunks = payload.chunks_exact(MAX_FRAME);
        for chunk in &mut chunks {
            self.push_frame(chunk);
        }
        self.push_frame(chunks.remainder());
    }

    fn push_frame(&mut self, payload: &[u8]) {
        self.outbound.extend_from_slice(&header(payload.len(), self.sequence));
        self.outbound.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Frames what `encode` appends, in place.
    pub fn push_with(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let head = self.outbound.len();
        self.outbound.extend_from_slice(&[0; HEADER]);
        encode(&mut self.outbound);
        let len = self.outbound.len() - head - HEADER;
        if len < MAX_FRAME {
            self.outbound[head..head + HEADER].copy_from_slice(&header(len, self.sequence));
            self.sequence = self.sequence.wrapping_add(1);
        } else {
            let payload = self.outbound.split_off(head + HEADER);
            self.outbound.truncate(head);
            self.push(&payload);
        }
    }

    /// Queues bytes that are frames already; [`Link::set_sequence`] says which number follows them.
    pub fn push_raw(&mut self, frames: &[u8]) {
        self.outbound.extend_from_slice(frames);
    }

    /// How many bytes are queued and not written.
    pub fn queued(&self) -> usize {
        let compressed = self.compression.as_ref().map_or(0, |compression| compression.outbound.len());
        self.outbound.len() + compressed - self.sent
    }

    /// Writes everything queued; dropping the future loses nothing, a later flush goes on.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.whole()?;
        if self.compression.is_some() {
            return self.flush_compressed().await;
        }
        while self.sent < self.outbound.len() {
            self.sent += written(self.stream.write(&self.outbound[self.sent..]).await?)?;
        }
        self.outbound.clear();
        self.sent = 0;
        self.stream.flush().await
    }

    /// Like [`Link::flush`], but a frame that is not queued to its end waits for it.
    async fn flush_compressed(&mut self) -> io::Result<()> {
        let Some(compression) = &mut self.compression else { return Ok(()) };
        let packed = compression.pack(&self.outbound);
        self.outbound.drain(..packed);
        while self.sent < compression.outbound.len() {
            self.sent += written(self.stream.write(&compression.outbound[self.sent..]).await?)?;
        }
        compression.outbound.clear();
        compression.outbound.shrink_to(COMMAND_BUFFER);
        self.sent = 0;
        self.stream.flush().await
    }

    /// Writes everything queued and then `raw`, frames that are not copied if they are many.
    ///
    /// If the future is dropped before its end, the link refuses to write anything further.
    pub async fn flush_then(&mut self, raw: &[u8]) -> io::Result<()> {
        self.whole()?;
        let little = !self.outbound.is_empty() && raw.len() <= COALESCE;
        if little || self.compression.is_some() {
            self.push_raw(raw);
            return self.flush().await;
        }
        self.torn = true;
        let mut raw = raw;
        while !raw.is_empty() {
            let queued = &self.outbound[self.sent..];
            let n = if queued.is_empty() {
                self.stream.write(raw).await?
            } else {
                self.stream.write_vectored(&[io::IoSlice::new(queued), io::IoSlice::new(raw)]).await?
            };
            let of_queued = written(n)?.min(queued.len());
            self.sent += of_queued;
            raw = &raw[n - of_queued..];
        }
        self.torn = false;
        self.flush().await
    }

    fn whole(&self) -> io::Result<()> {
        if self.torn { Err(io::Error::from(io::ErrorKind::BrokenPipe)) } else { Ok(()) }
    }

    /// Writes what is queued and says goodbye to the layer below; errors are of no interest any more.
    pub async fn close(mut self) {
        if self.flush().await.is_ok() {
            let _ = self.stream.shutdown().await;
        }
    }

    // Changing the layer below.

    /// Compresses everything from now on, in both directions; the login's last OK was the last packet without.
    pub(crate) fn start_compression(&mut self) {
        // Once is enough: COM_CHANGE_USER ends like a login, too.
        self.compression.get_or_insert_default();
    }

    /// Accepts TLS as a server; the client's SSLRequest was the last packet read.
    pub async fn upgrade_server_tls(mut self, config: Arc<rustls::ServerConfig>) -> Result<Link, WireError> {
        let plain = match self.stream {
            // Bytes behind the SSLRequest came in clear: whoever sent them, they must not count as protected.
            Stream::Plain(plain) if self.start == self.inbound.len() => plain,
            Stream::Plain(_) | Stream::Tls(_) => {
                return Err(WireError::Malformed { packet: "SSLRequest" });
            }
        };
        let tls = TlsAcceptor::from(config).accept(plain).await?;
        self.stream = Stream::Tls(Box::new(TlsStream::Server(tls)));
        self.dry = false;
        Ok(self)
    }

    /// Begins TLS as a client; the SSLRequest was flushed.
    pub async fn upgrade_client_tls(
        mut self,
        config: Arc<rustls::ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Link, WireError> {
        let plain = match self.stream {
            Stream::Plain(plain) if self.start == self.inbound.len() => plain,
            Stream::Plain(_) | Stream::Tls(_) => {
                return Err(WireError::Malformed { packet: "Handshake" });
            }
        };
        let tls = TlsConnector::from(config).connect(name, plain).await?;
        self.stream = Stream::Tls(Box::new(TlsStream::Client(tls)));
        self.dry = false;
        Ok(self)
    }
}

/// Reads once.
#[inline]
fn poll_receive(stream: &mut Stream, buffer: &mut Vec<u8>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
    match pin!(stream.read_buf(buffer)).poll(context) {
        // Many clients end TLS without a goodbye. Packets say their own lengths, so nothing can be cut off unnoticed.
        Poll::Ready(Err(error)) if stream.is_tls() && error.kind() == io::ErrorKind::UnexpectedEof => {
            Poll::Ready(Ok(0))
        }
        read => read,
    }
}

fn written(n: usize) -> io::Result<usize> {
    if n == 0 { Err(io::Error::from(io::ErrorKind::WriteZero)) } else { Ok(n) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn pair(max_packet: usize) -> (Link, DuplexStream) {
        let (near, far) = duplex(1 << 20);
        (Link::new(Stream::memory(near), max_packet), far)
    }

    async fn text(link: &mut Link) -> Vec<u8> {
        let packet = link.expect_packet().await.unwrap();
        link.payload(&packet).to_vec()
    }

    #[tokio::test]
    async fn packets_come_out_as_they_went_in() {
        let (near, far) = duplex(64);
        let (mut a, mut b) = (Link::new(Stream::memory(near), 100), Link::new(Stream::memory(far), 100));
        a.push(b"\x03SELECT 1");
        a.push_with(|out| out.extend_from_slice(b"second"));
        a.push(b"");
        assert_eq!(a.queued(), 4 + 9 + 4 + 6 + 4);
        a.flush().await.unwrap();
        assert_eq!(text(&mut b).await, b"\x03SELECT 1");
        assert_eq!(text(&mut b).await, b"second");
        assert_eq!(text(&mut b).await, b"");
        assert_eq!(b.sequence(), 3);
        b.push(b"answer");
        b.flush().await.unwrap();
        assert_eq!(text(&mut a).await, b"answer");
        drop(a);
        assert!(b.read_packet().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_payload_stays_while_more_is_received() {
        let (mut link, mut far) = pair(1 << 20);
        far.write_all(b"\x03\0\0\0one").await.unwrap();
        let one = link.expect_packet().await.unwrap();
        for _ in 0..10 {
            far.write_all(&[b'x'; 5000]).await.unwrap();
            link.fill().await.unwrap();
        }
        assert_eq!(link.payload(&one), b"one");
        assert!(link.buffered().iter().all(|&b| b == b'x'));
    }

    #[tokio::test]
    async fn reading_can_be_given_up_and_taken_up_again() {
        let (mut link, mut far) = pair(100);
        for &byte in b"\x05\0\0\0hello" {
            let gave_up = tokio::select! {
                biased;
                _ = link.read_packet() => false,
                () = std::future::ready(()) => true,
            };
            assert!(gave_up);
            far.write_all(&[byte]).await.unwrap();
        }
        assert_eq!(text(&mut link).await, b"hello");
    }

    #[tokio::test]
    async fn long_packets_are_split_and_joined() {
        for len in [MAX_FRAME - 1, MAX_FRAME, MAX_FRAME + 1, 2 * MAX_FRAME, 2 * MAX_FRAME + 7] {
            let (near, far) = duplex(1 << 16);
            let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let (mut a, mut b) = (Link::new(Stream::memory(near), 1 << 26), Link::new(Stream::memory(far), 1 << 26));
            let sent = payload.clone();
            let sender = tokio::spawn(async move {
                a.push(&sent);
                a.push_with(|out| out.extend_from_slice(&sent));
                a.push(b"behind");
                a.flush().await.unwrap();
                a
            });
            for _ in 0..2 {
                let packet = b.expect_packet().await.unwrap();
                assert_eq!(packet.len(), len);
                assert!(b.payload(&packet) == payload);
            }
            assert_eq!(text(&mut b).await, b"behind");
            assert_eq!(usize::from(b.sequence()), 2 * (len / MAX_FRAME + 1) + 1);
            drop(sender.await.unwrap());
            b.start_command();
            assert!(b.inbound.capacity() == 0, "a long packet's buffer is given back");
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused() {
        let (mut link, mut far) = pair(10);
        far.write_all(b"\x0B\0\0\0").await.unwrap();
        assert!(matches!(link.read_packet().await, Err(WireError::TooLarge { limit: 10 })));

        let (mut link, mut far) = pair(10);
        far.write_all(b"\x01\0\0\x07a").await.unwrap();
        assert!(matches!(link.read_packet().await, Err(WireError::OutOfOrder { expected: 0, got: 7 })));

        let (mut link, mut far) = pair(10);
        far.write_all(b"\x05\0\0\0ab").await.unwrap();
        drop(far);
        assert!(matches!(link.read_packet().await, Err(WireError::Closed)));

        // A claim of 16 MB takes no 16 MB.
        let (mut link, mut far) = pair(1 << 26);
        far.write_all(b"\xFE\xFF\xFF\0ab").await.unwrap();
        drop(far);
        assert!(matches!(link.read_packet().await, Err(WireError::Closed)));
        assert!(link.inbound.capacity() < 1 << 16);
    }

    #[tokio::test]
    async fn raw_bytes_follow_what_is_queued() {
        for (queued, raw) in [(0, 10), (10, 10), (10, 100_000), (0, 100_000), (100_000, 100_000), (10, 0)] {
            let (mut link, mut far) = pair(10);
            link.push_raw(&vec![b'q'; queued]);
            link.flush_then(&vec![b'r'; raw]).await.unwrap();
            drop(link);
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, [vec![b'q'; queued], vec![b'r'; raw]].concat());
        }
    }

    #[tokio::test]
    async fn a_torn_write_ends_the_link() {
        let (near, _far) = duplex(16);
        let mut link = Link::new(Stream::memory(near), 10);
        tokio::select! {
            biased;
            _ = link.flush_then(&[0; 100]) => panic!("nobody reads"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(link.flush().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);

        // A flush of what the link owns can go on.
        let (near, mut far) = duplex(16);
        let mut link = Link::new(Stream::memory(near), 10);
        link.push(&[7; 100]);
        tokio::select! {
            biased;
            _ = link.flush() => panic!("nobody reads"),
            () = std::future::ready(()) => {}
        }
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.unwrap();
            got
        });
        link.flush().await.unwrap();
        drop(link);
        assert_eq!(reader.await.unwrap(), [&[100, 0, 0, 0][..], &[7; 100]].concat());
    }

    #[tokio::test]
    async fn the_end_is_seen_and_pipelined_commands_are_kept() {
        let (mut link, mut far) = pair(1 << 20);
        far.write_all(b"\x01\0\0\0a\x01\0\0\0b").await.unwrap();
        drop(far);
        link.closed().await;
        assert_eq!(text(&mut link).await, b"a");
        link.start_command();
        assert_eq!(text(&mut link).await, b"b");
        link.start_command();
        assert!(link.read_packet().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn compressed_links_understand_each_other() {
        let (near, far) = duplex(300);
        let (mut a, mut b) = (Link::new(Stream::memory(near), 1 << 26), Link::new(Stream::memory(far), 1 << 26));
        a.start_compression();
        b.start_compression();
        let long = vec![b'l'; MAX_FRAME + 5];
        let command = long.clone();
        let client = tokio::spawn(async move {
            for _ in 0..2 {
                a.start_command();
                a.push(&command);
                a.flush().await.unwrap();
                a.push(b"sent ahead");
                a.flush().await.unwrap();
                assert_eq!(a.queued(), 0);
                for expected in [&b"answer"[..], &[b'r'; 100_000]] {
                    assert_eq!(text(&mut a).await, expected);
                }
            }
            a
        });
        for _ in 0..2 {
            b.start_command();
            assert!(text(&mut b).await == long);
            tokio::select! {
                () = b.closed() => panic!("it is not closed"),
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
            }
            b.push(b"answer");
            b.flush_then(&[&header(100_000, 7)[..], &[b'r'; 100_000]].concat()).await.unwrap();
            assert_eq!(text(&mut b).await, b"sent ahead");
        }
        drop(client.await.unwrap());
        assert!(b.read_packet().await.unwrap().is_none());
        assert!(b.inbound.len() < 100, "what was consumed is dropped");
    }

    #[tokio::test]
    async fn an_idle_link_holds_little() {
        let (mut link, mut far) = pair(1 << 20);
        far.write_all(&[0; 300_000]).await.unwrap();
        while link.buffered().len() < 300_000 {
            link.fill().await.unwrap();
        }
        assert!(link.inbound.capacity() >= 300_000);
        link.consume(300_000);
        link.push_raw(&[0; 100_000]);
        link.flush().await.unwrap();
        link.rest();
        assert!(link.inbound.capacity() + link.outbound.capacity() <= 2 * FIRST_BUFFER);
        assert!(size_of::<Link>() <= 192, "{}", size_of::<Link>());
    }
}
