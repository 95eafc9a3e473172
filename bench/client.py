"""A client of the MySQL protocol just large enough to measure: it logs in without a password and drains answers.

It reads no rows: only bytes are counted, so that the client costs as little as it can.
"""

import functools
import select
import socket
import ssl
import struct
import time

PROTOCOL_41, SSL, SECURE_CONNECTION, PLUGIN_AUTH = 1 << 9, 1 << 11, 1 << 15, 1 << 19
LONG_PASSWORD, CONNECT_WITH_DB, TRANSACTIONS, DEPRECATE_EOF = 1, 1 << 3, 1 << 13, 1 << 24
CAPABILITIES = (LONG_PASSWORD | CONNECT_WITH_DB | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH
                | DEPRECATE_EOF)
UTF8MB4 = 45
COM_QUERY = 3


class ServerError(Exception):
    """An ERR packet, or a connection that ended."""


@functools.cache
def any_certificate():
    """What encrypts a client's connection; one for all, as it is large."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Client:
    """One connection as `user`, who has no password; `tls` encrypts it, whatever the server's certificate."""

    buffer = memoryview(bytearray(1 << 18))  # shared: what is read into it is only counted

    def __init__(self, port, user, schema, timeout=120, tls=False):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._check(self._packet()[1])
        head = struct.pack("<IIB23x", CAPABILITIES | (SSL if tls else 0), 1 << 24, UTF8MB4)
        if tls:
            self._send(head, 1)
            self.socket = any_certificate().wrap_socket(self.socket)
        answer = head + user.encode() + b"\0" + b"\0" + schema.encode() + b"\0" + b"caching_sha2_password\0"
        self._send(answer, 2 if tls else 1)
        while True:
            sequence, packet = self._packet()
            self._check(packet)
            if packet[0] == 0x00:
                break
            if packet[0] == 0xFE:  # another plugin: an empty password is an empty answer in all of them
                self._send(b"", sequence + 1)

    def close(self):
        self.socket.close()

    def run(self, sql):
        """Runs a statement and reads its answer packet by packet: the number of rows, or what an OK packet says
        was changed. For what is not timed."""
        self._send(bytes([COM_QUERY]) + sql.encode(), 0)
        first = self._packet()[1]
        self._check(first)
        if first[0] == 0x00:
            return first[1]
        for _ in range(first[0]):
            self._packet()
        rows = 0
        while True:
            packet = self._packet()[1]
            self._check(packet)
            if packet[0] == 0xFE and len(packet) < 1 << 24:
                return rows
            rows += 1

    def send(self, command, text):
        """Sends a command whose answer is read later, by `confirm`."""
        self._send(bytes([command]) + text.encode(), 0)

    def confirm(self):
        """Reads the answer to a statement that gives no rows."""
        self._check(self._packet()[1])

    def measure(self, sql):
        """Runs a statement whose answer's size is not known: bytes until nothing more came for a second."""
        self._send(bytes([COM_QUERY]) + sql.encode(), 0)
        size = self.socket.recv_into(self.buffer)
        if self.buffer[4] == 0xFF:
            raise ServerError(bytes(self.buffer[13:size]).decode(errors="replace"))
        while select.select([self.socket], [], [], 1)[0]:
            got = self.socket.recv_into(self.buffer)
            if not got:
                raise ServerError("the connection ended within an answer")
            size += got
        return size

    def time(self, sql, size):
        """Seconds from the statement to the last byte of an answer that has `size` bytes."""
        started = time.perf_counter()
        self._send(bytes([COM_QUERY]) + sql.encode(), 0)
        while size > 0:
            got = self.socket.recv_into(self.buffer)
            if not got:
                raise ServerError("the connection ended within an answer")
            size -= got
        return time.perf_counter() - started

    def _send(self, payload, sequence):
        self.socket.sendall(struct.pack("<I", len(payload))[:3] + bytes([sequence & 255]) + payload)

    def _packet(self):
        header = self._exactly(4)
        return header[3], self._exactly(int.from_bytes(header[:3], "little"))

    def _exactly(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ServerError("the connection ended")
            data += part
        return bytes(data)

    @staticmethod
    def _check(packet):
        if packet[:1] == b"\xff":
            raise ServerError(packet[3:].decode(errors="replace"))
