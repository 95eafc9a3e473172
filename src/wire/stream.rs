//! The bytes below the protocol: TCP or a unix socket, in clear or under TLS, at either end.
//! It knows no packet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

/// A connection without encryption.
#[derive(Debug)]
pub enum Plain {
    /// TCP, with TCP_NODELAY and keepalive on.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// Nobody: what is written is kept, and nothing ever comes.
    Kept(Kept),
    /// A pipe inside the process.
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

/// An answer that is written for the proxy itself, up to a limit.
#[derive(Debug)]
pub struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    /// Bytes behind the limit, which are gone.
    lost: usize,
}

impl Kept {
    /// What was written; `None` if it was more than the limit.
    pub fn bytes(&self) -> Option<&[u8]> {
        (self.lost == 0).then_some(&self.bytes)
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.lost == 0 && self.bytes.len() + bytes.len() <= self.limit {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.lost += bytes.len();
        }
    }
}

/// A connection with or without encryption.
#[derive(Debug)]
pub enum Stream {
    /// Bytes in clear.
    Plain(Plain),
    /// TLS, as server or as client.
    Tls(Box<TlsStream<Plain>>),
}

/// A peer that is silently gone is noticed after this idle time and a few probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

impl Stream {
    /// A TCP connection, set to send small packets at once and to probe a silent peer.
    pub fn tcp(socket: TcpStream) -> io::Result<Stream> {
        socket.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
        SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
        Ok(Stream::Plain(Plain::Tcp(socket)))
    }

    /// A unix socket.
    pub fn unix(socket: UnixStream) -> Stream {
        Stream::Plain(Plain::Unix(socket))
    }

    /// Keeps what is written, up to `limit` bytes; further bytes are counted only.
    pub fn kept(limit: usize) -> Stream {
        Stream::Plain(Plain::Kept(Kept { bytes: Vec::new(), limit, lost: 0 }))
    }

    /// A pipe inside the process, for tests.
    #[cfg(test)]
    pub fn memory(pipe: tokio::io::DuplexStream) -> Stream {
        Stream::Plain(Plain::Memory(pipe))
    }

    /// Whether nobody else can read along: TLS or a unix socket. Passwords may then pass in clear.
    pub fn is_private(&self) -> bool {
        matches!(self, Stream::Tls(_) | Stream::Plain(Plain::Unix(_)))
    }

    /// Whether nothing has come from the peer, neither bytes nor its end; a byte that came is lost. Costs no system
    /// call as long as the event loop has heard nothing.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let nothing = |read: io::Result<usize>| read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        match self {
            Stream::Plain(Plain::Tcp(socket)) => nothing(socket.try_read(&mut byte)),
            Stream::Plain(Plain::Unix(socket)) => nothing(socket.try_read(&mut byte)),
            other => {
                let mut nobody = Context::from_waker(Waker::noop());
                Pin::new(other).poll_read(&mut nobody, &mut ReadBuf::new(&mut byte)).is_pending()
            }
        }
    }

    /// Waits until the socket has something to read, be it the peer's end. Under TLS that says nothing of bytes that
    /// were received before and not decrypted yet.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let plain = match self {
            Stream::Plain(plain) => plain,
            Stream::Tls(tls) => tls.get_ref().0,
        };
        match plain {
            Plain::Tcp(socket) => socket.poll_read_ready(context),
            Plain::Unix(socket) => socket.poll_read_ready(context),
            // Nothing ever comes.
            Plain::Kept(_) => Poll::Pending,
            #[cfg(test)]
            Plain::Memory(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether the bytes are encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(&mut **tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_write_vectored(cx, parts),
            Stream::Tls(tls) => Pin::new(&mut **tls).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Plain {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Plain::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Plain::Kept(_) => Poll::Pending,
            #[cfg(test)]
            Plain::Memory(pipe) => Pin::new(pipe).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Plain::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Plain::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
            Plain::Kept(kept) => {
                kept.write(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            #[cfg(test)]
            Plain::Memory(pipe) => Pin::new(pipe).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Plain::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Plain::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Plain::Kept(kept) => {
                parts.iter().for_each(|part| kept.write(part));
                Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
            }
            #[cfg(test)]
            Plain::Memory(pipe) => Pin::new(pipe).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets hold nothing back in the process.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Plain::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Plain::Kept(_) => Poll::Ready(Ok(())),
            #[cfg(test)]
            Plain::Memory(pipe) => Pin::new(pipe).poll_shutdown(cx),
        }
    }
}
