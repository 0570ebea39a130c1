"""The wire: in order and complete, however slowly the other side reads."""

import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.link.wire import Wire


def make_pair() -> tuple[Wire, socket.socket]:
    """A wire with a small socket buffer, and the socket at its other end."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 50_000)
    near.setblocking(False)
    wire = Wire()
    wire.open(near)
    return wire, far


@pytest.fixture
def pair() -> Iterator[tuple[Wire, socket.socket]]:
    wire, far = make_pair()
    with far:
        yield wire, far
        wire.end()


def receive(far: socket.socket, size_bytes: int) -> bytes:
    far.settimeout(10)
    octets = b""
    while len(octets) < size_bytes:
        octets += far.recv(5000)
    return octets


def wait_to_read(wire: Wire) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(wire, selectors.EVENT_READ)
        assert selector.select(10)


def flush_all(wire: Wire) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(wire, selectors.EVENT_WRITE)
        while wire.waiting_bytes:
            assert selector.select(10)
            wire.flush()


def test_a_slow_reader_neither_loses_nor_reorders_nor_gets_packets_into_each_other(pair) -> None:
    wire, far = pair
    sent = b""
    for number in range(200):
        wire.send(packet := b"%06d" % number * 5000)
        wire.flush()
        wire.send(ping := b"\xc0\x00")  # as paho does, which doesn't know how far we are
        sent += packet + ping
    assert wire.blocked
    assert wire.wanted == selectors.EVENT_READ | selectors.EVENT_WRITE
    writing = threading.Thread(target=flush_all, args=(wire,))
    writing.start()
    assert receive(far, len(sent)) == sent
    writing.join(30)
    assert not wire.blocked
    assert wire.wanted == selectors.EVENT_READ


def test_all_that_waits_goes_in_one_piece(pair) -> None:
    wire, far = pair
    for _ in range(10):
        wire.send(b"\x40\x02\x00\x01")
    assert wire.flush()
    assert not wire.flush()
    assert far.recv(100) == b"\x40\x02\x00\x01" * 10


def test_paho_reads_what_it_is_shown_and_nothing_else(pair) -> None:
    wire, far = pair
    far.sendall(b"for us")
    wait_to_read(wire)
    wire.show_paho(b"\x20\x01\x02")
    assert [wire.recv(1), wire.recv(100)] == [b"\x20", b"\x01\x02"]
    with pytest.raises(BlockingIOError):
        wire.recv(1)
    room = memoryview(bytearray(100))
    assert wire.read(room) == 6
    assert wire.read(room) is None


def test_the_end_of_the_stream_is_none_left_to_read_and_paho_closes_nothing(pair) -> None:
    wire, far = pair
    wire.send(b"\xe0\x00")
    wire.close()
    assert wire.closed
    assert wire.flush()
    assert far.recv(10) == b"\xe0\x00"
    far.close()
    wait_to_read(wire)
    assert wire.read(memoryview(bytearray(10))) == 0


def test_tls_records_are_read_as_many_as_there_are_and_written_again_where_they_stopped(certificates: Path) -> None:
    wire, far = make_pair()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    client = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    near = wire._sock
    near.settimeout(10)
    shaken: list[ssl.SSLSocket] = []
    accepting = threading.Thread(target=lambda: shaken.append(server.wrap_socket(far, server_side=True)))
    accepting.start()
    wire.open(client.wrap_socket(near, server_hostname="localhost"))
    wire._sock.setblocking(False)
    accepting.join(30)
    [peer] = shaken
    with peer:
        sent = b""
        for number in range(100):
            wire.send(piece := b"%06d" % number * 7000)
            wire.flush()
            sent += piece
        assert wire.blocked
        writing = threading.Thread(target=flush_all, args=(wire,))
        writing.start()
        assert receive(peer, len(sent)) == sent
        writing.join(30)
        for _ in range(20):
            peer.sendall(b"one record")
        peer.sendall(b"!")
        came, room = b"", memoryview(bytearray(1000))
        with selectors.DefaultSelector() as selector:
            selector.register(wire, selectors.EVENT_READ)
            turns = 0
            while not came.endswith(b"!"):
                assert wire.pending or selector.select(10)
                came += bytes(room[: wire.read(room) or 0])
                turns += 1
        assert came == b"one record" * 20 + b"!"
        assert turns < 21
        wire.end()
