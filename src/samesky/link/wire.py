"""The socket of one connection to a broker, with a buffer before it; paho is shown this instead of the socket.

What paho writes is put into the same buffer as what we write, so packets never mix, and what paho reads is what we
give it: it does no I/O of its own. One ``send`` takes all that waits: a ``send`` a PUBACK was 25 µs each.
"""

import selectors
import socket
import ssl


class Wire:
    """Never waits. Not thread-safe: everything is called on the network thread."""

    _sock: socket.socket

    def __init__(self) -> None:
        self.is_open = self._is_tls = False
        self._unsent = bytearray()
        self._sent = 0
        self._for_paho = b""
        self._write_waits_to_read = self._read_waits_to_write = False
        self.blocked = False
        """Whether the socket didn't take all at the latest ``flush``."""
        self.closed = False
        """Whether paho has ended the connection."""

    # What paho calls.

    def recv(self, most_bytes: int) -> bytes:
        """Return what ``show_paho`` left."""
        if not self._for_paho:
            raise BlockingIOError
        octets, self._for_paho = self._for_paho[:most_bytes], self._for_paho[most_bytes:]
        return octets

    def send(self, octets: bytes | bytearray) -> int:
        """Put ``octets`` behind all that waits to be sent; always takes all."""
        self._unsent += octets
        return len(octets)

    def close(self) -> None:
        """Note that paho wants no more; what waits may still be sent."""
        self.closed = True

    # What we call.

    def open(self, sock: socket.socket) -> None:
        """Begin to use ``sock``, which is connected and doesn't wait."""
        # Without it a window of one page stalls 40 ms a page; paho doesn't set it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock, self._is_tls = sock, isinstance(sock, ssl.SSLSocket)
        self.is_open = True

    def fileno(self) -> int:
        """What a selector watches."""
        return self._sock.fileno()

    def show_paho(self, packet: bytes) -> None:
        """Let paho's next ``recv`` find ``packet``."""
        self._for_paho = packet

    @property
    def waiting_bytes(self) -> int:
        """How much is to be sent."""
        return len(self._unsent) - self._sent

    @property
    def pending(self) -> bool:
        """Whether there are octets that a selector can't see, because TLS has deciphered them already."""
        return self._is_tls and self._sock.pending() > 0  # type: ignore[attr-defined]

    @property
    def wanted(self) -> int:
        """The events to wait for. TLS may have to read before it can write, and the other way round."""
        write = (self._unsent and not self._write_waits_to_read) or self._read_waits_to_write
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)

    def read(self, room: memoryview) -> int | None:
        """Fill ``room`` with what came; return how much: 0 at the end of the stream, None when there isn't any now.

        Raises ``OSError``.
        """
        count = self._read_once(room)
        # TLS gives one record a call, which is one packet of most brokers; TCP gives all there is.
        while count and self._is_tls and count < len(room) and (more := self._read_once(room[count:])):
            count += more
        self._acknowledge_at_once()
        return count

    def _read_once(self, room: memoryview) -> int | None:
        self._read_waits_to_write = False
        try:
            return self._sock.recv_into(room)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except ssl.SSLWantWriteError:
            self._read_waits_to_write = True
            return None

    def flush(self) -> bool:
        """Send what the socket takes now; whether it took anything. Raises ``OSError``."""
        if not self._unsent:
            return False
        sent, self._write_waits_to_read = 0, False
        try:
            # TLS wants the same octets again after an attempt that failed: the buffer grows at its end only.
            with memoryview(self._unsent) as octets:
                sent = self._sock.send(octets[self._sent :])
        except ssl.SSLWantReadError:
            self._write_waits_to_read = True
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        self._sent += sent
        self.blocked = self._sent < len(self._unsent)
        if not self.blocked:
            self._unsent, self._sent = bytearray(), 0
        return sent > 0

    def end(self) -> None:
        """Close the socket."""
        if self.is_open:
            self._sock.close()

    def _acknowledge_at_once(self) -> None:
        # mosquitto leaves Nagle's algorithm on: it keeps the end of a message back until TCP has acknowledged what it
        # sent before, which Linux puts off for 40 ms unless told otherwise, anew after every read. (44 ms -> 0.7 ms.)
        if hasattr(socket, "TCP_QUICKACK"):
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
