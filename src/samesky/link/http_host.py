"""One web server: the requests that wait for it, its connections, and what was learnt of how it takes requests."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import ssl
import time
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from ..core.strict import Refused
from .http1 import encode_get
from .http_connection import Connection, Timeouts
from .http_exchange import Exchange, FailureKind, HttpFailure
from .resolving import resolve
from .urls import Origin, UrlRules

log = logging.getLogger(__name__)

MOST_LINE_BYTES = 1 << 20
"""Nothing waits in a connection behind more than this: a large file gets one to itself."""
MOST_TRIES = 3
MOST_ADDRESSES = 4
SHY_S = 60.0
"""A server that lost pipelined requests is asked one by one for so long."""
NO_MORE_S = 5.0
"""After a connection failed beside others that live: how long those are enough."""
FORGET_S = 60.0
TURN = 256
"""Answers that a host gets in a connection while others wait for one."""


class Client(Protocol):
    """What a host needs of the `HttpClient` it belongs to."""

    rules: UrlRules
    timeouts: Timeouts
    depth: int
    connections_per_host: int

    @property
    def crowded(self) -> bool:
        """Whether another host waits for a connection."""

    def wake(self, host: Host) -> None:
        """Have ``host.fill`` called soon."""

    def take_bytes(self, host: Host, exchange: Exchange) -> bool:
        """Reserve what ``exchange`` may take of memory; when there is no room, ``host`` is woken once there is."""

    def release_bytes(self, exchange: Exchange) -> None:
        """The opposite."""

    def take_connection(self, host: Host) -> bool:
        """Reserve one connection, likewise."""

    def release_connection(self, host: Host) -> None:
        """The opposite."""

    def make_context(self) -> ssl.SSLContext:
        """TLS for a connection."""

    def finish(self, exchange: Exchange) -> None:
        """``exchange`` is over: redirect it, or tell whoever asked."""


class Host:
    """Spreads its queue over its connections."""

    def __init__(self, client: Client, origin: Origin, fields: bytes) -> None:
        self.timeouts = client.timeouts
        self._client = client
        self._origin = origin
        self._fields = fields
        self._queue: deque[Exchange] = deque()
        self._connections: list[Connection] = []
        self._connecting: asyncio.Task[None] | None = None
        self._depth = 1
        self._shy_until = self._no_more_until = 0.0
        self._used = time.monotonic()
        self._address = ""
        """The one that answered last: tried first, if it is still the host's."""

    def add(self, exchange: Exchange) -> None:
        """Take ``exchange`` to the end of the queue."""
        self._queue.append(exchange)

    def fill(self) -> None:
        """Send what can be sent, and connect once more when that isn't all."""
        for connection in self._connections:
            if not self._queue:
                return
            if connection.usable and not self._fill(connection):
                return
        self._drop_cancelled()
        if self._queue and self._connecting is None and len(self._connections) < self._client.connections_per_host:
            if time.monotonic() < self._no_more_until and self._connections:
                return
            if self._client.take_connection(self):
                name = f"samesky-http-{self._origin.host}"
                self._connecting = asyncio.get_running_loop().create_task(self._connect(), name=name)

    def ask_one_by_one(self) -> None:
        """Don't pipeline for a while: the server seems to lose or to mix answers."""
        self._depth = 1
        self._shy_until = time.monotonic() + SHY_S

    def close_idle(self) -> bool:
        """Close one connection that has nothing to do, for others; whether there was one."""
        for connection in self._connections:
            if connection.usable and not connection.line:
                connection.close()
                return True
        return False

    def check_time(self) -> bool:
        """Look at all time-outs; whether this host is still of use."""
        for connection in self._connections.copy():
            connection.check_time()
        if self._queue or self._connections or self._connecting:
            self._used = time.monotonic()
        return time.monotonic() - self._used < FORGET_S

    async def close(self) -> None:
        """End everything, tell nobody."""
        self._queue.clear()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        for connection in self._connections.copy():
            connection.close()
        self._queue.clear()

    def on_answer(self, connection: Connection, exchange: Exchange) -> None:
        """See `http_connection.Owner`."""
        self._client.release_bytes(exchange)
        if self._depth == 1 and connection.usable and time.monotonic() >= self._shy_until:
            self._depth = self._client.depth
        self._client.finish(exchange)

    def on_room(self, connection: Connection) -> None:
        """See `http_connection.Owner`. Where hosts wait for each other, each has its turn."""
        if self._queue and connection.usable:
            self._fill(connection)
        if not connection.line and self._client.crowded:
            connection.close()

    def on_lost(self, connection: Connection, unanswered: list[Exchange], *, ours: bool) -> None:
        """See `http_connection.Owner`: what is unanswered goes back to the front of the queue."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        self._client.release_connection(self)
        if unanswered and not ours and connection.answered < 2 * self._client.depth:
            self.ask_one_by_one()
        if unanswered and not ours and not connection.answered:
            unanswered[0].tries += 1
        for exchange in reversed(unanswered):
            self._client.release_bytes(exchange)
            if exchange.tries < MOST_TRIES:
                self._queue.appendleft(exchange)
            else:
                self._fail(exchange, "closed", "the server closed the connection without an answer")
        self._client.wake(self)

    def _fill(self, connection: Connection) -> bool:
        """Send what ``connection`` takes; whether memory isn't what stops it."""
        if connection.answered >= TURN and self._client.crowded:
            return True
        batch: list[Exchange] = []
        room, room_bytes = self._depth - len(connection.line), MOST_LINE_BYTES - connection.line_bytes
        affordable = True
        while self._queue and len(batch) < room:
            exchange = self._queue[0]
            if exchange.request is not None:
                if exchange.most_bytes > room_bytes and (batch or connection.line):
                    break
                affordable = self._client.take_bytes(self, exchange)
                if not affordable:
                    break
                room_bytes -= exchange.most_bytes
                batch.append(exchange)
            self._queue.popleft()
        if batch:
            connection.send(batch, b"".join(self._encode(batch)))
        return affordable

    def _encode(self, batch: list[Exchange]) -> Iterator[bytes]:
        for exchange in batch:
            request = exchange.request
            if request is not None:
                target = exchange.url.target
                yield encode_get(target, self._fields, offset=request.offset, validator=request.validator)

    def _drop_cancelled(self) -> None:
        while self._queue and self._queue[0].request is None:
            self._queue.popleft()

    async def _connect(self) -> None:
        connection = None
        try:
            connection = await self._open()
        except Refused as refusal:
            self._fail_all("url", str(refusal), retry=False)
        except ssl.SSLError as error:
            self._fail_all("tls", getattr(error, "verify_message", "") or error.reason or "TLS failed")
        except OSError as error:
            self._fail_all("connect", _words(error) or f"no connection within {self.timeouts.connect_s:g} s")
        except Exception as error:  # or this would be tried again at once, for ever
            log.exception("http_connect_failed origin=%s", self._origin)
            self._fail_all("connect", f"{type(error).__name__}: {error}")
        finally:
            self._connecting = None
            if connection is not None and connection.usable:
                self._connections.append(connection)
            else:
                self._client.release_connection(self)
            self._client.wake(self)

    async def _open(self) -> Connection:
        """Return a connection to the first address that is allowed and answers."""
        host, port, tls = self._origin.host, self._origin.port, self._origin.scheme == "https"
        context = self._client.make_context() if tls else None
        loop = asyncio.get_running_loop()
        failure: OSError = OSError("no address")
        for address in await self._read_addresses():
            try:
                async with asyncio.timeout(self.timeouts.connect_s):
                    _, connection = await loop.create_connection(
                        lambda: Connection(self), address, port, ssl=context, server_hostname=host if tls else None
                    )
                self._address = address
                return connection
            except OSError as error:  # TimeoutError is one
                failure = error
        raise failure

    async def _read_addresses(self) -> list[str]:
        """The addresses that may be connected to; raises ``Refused`` when there is none of those."""
        host = self._origin.host
        try:
            addresses = [str(ipaddress.ip_address(host))]
        except ValueError:
            async with asyncio.timeout(self.timeouts.connect_s):
                addresses = await resolve(host, self._origin.port)
        allowed, refusal = [], None
        for address in addresses:
            try:
                self._client.rules.check_address(host, address)
                allowed.append(address)
            except Refused as error:
                refusal = error
        if refusal is not None and not allowed:
            raise refusal
        allowed.sort(key=lambda address: address != self._address)
        return allowed[:MOST_ADDRESSES]

    def _fail_all(self, kind: FailureKind, words: str, *, retry: bool = True) -> None:
        """No connection: nothing that waits will be answered, unless by connections that are there."""
        log.debug("http_not_connected origin=%s kind=%s words=%r", self._origin, kind, words)
        if self._connections:
            self._no_more_until = time.monotonic() + NO_MORE_S
            return
        queue, self._queue = self._queue, deque()
        for exchange in queue:
            self._fail(exchange, kind, words, retry=retry)

    def _fail(self, exchange: Exchange, kind: FailureKind, words: str, *, retry: bool = True) -> None:
        exchange.failure = HttpFailure(kind, words, retry)
        self._client.finish(exchange)


def _words(error: OSError) -> str:
    """What the system calls it; asyncio has words of its own, with the address in them."""
    if error.errno is not None and error.errno > 0:  # those of getaddrinfo are negative
        return os.strerror(error.errno)
    return error.strerror or str(error)
