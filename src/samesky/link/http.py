"""The HTTP client of the mesh: thousands of small GETs a second over a few kept-alive connections, and large ones too.

`HttpClient` belongs to one event loop and is used from its thread alone. Requests are pipelined (32 on their way in one
connection, as far as the server takes it), no task or timer is made for one, every byte of an answer is checked before
it is believed (`http1`), and every address before it is connected to (`urls`).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Self

from .. import __version__
from ..core.strict import Refused
from .http1 import encode_get
from .http_connection import Timeouts
from .http_exchange import Exchange, FailureKind, Get, HttpFailure, Reply
from .http_host import Host
from .tls import TlsSettings
from .urls import Origin, Url, UrlRules

__all__ = ["FailureKind", "Get", "HttpClient", "HttpFailure", "Reply", "Timeouts", "UrlRules"]

log = logging.getLogger(__name__)

USER_AGENT = f"samesky/{__version__}"


class HttpClient:
    """Downloads what it is asked for with `get`, under ``rules``; each `Get` ends in one `Reply`, failed or not.

    At most ``connections_per_host`` connections to one server and ``connections`` in all, ``depth`` requests on their
    way in each, ``most_bytes_in_flight`` in memory (by the ``most_bytes`` of what is asked for, so tell the true size);
    the rest waits, in order, without limit: look at ``waiting``. Redirections are followed three times, each checked
    anew. A request that a connection took with it into its end is asked again on another. ``tls`` is for those with a
    certificate authority of their own; raises ``ConfigError`` when its files can't be used. To be made where the loop
    runs.
    """

    def __init__(
        self,
        rules: UrlRules,
        *,
        connections_per_host: int = 4,
        connections: int = 64,
        depth: int = 32,
        most_bytes_in_flight: int = 16 << 20,
        tls: TlsSettings | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.rules = rules
        self.timeouts = timeouts or Timeouts()
        self.connections_per_host = connections_per_host
        self.depth = depth
        self._most_connections = connections
        self._most_bytes = most_bytes_in_flight
        self._context = tls.make_context() if tls else None
        self._loop = asyncio.get_running_loop()
        self._hosts: dict[Origin, Host] = {}
        self._exchanges: dict[Get, Exchange] = {}
        self._ready: dict[Host, None] = {}
        self._starved: dict[Host, None] = {}
        """Hosts that wait for memory."""
        self._unconnected: dict[Host, None] = {}
        """Hosts that wait for a connection."""
        self._connections: dict[Host, int] = {}
        self._bytes_in_flight = 0
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._tick_s = min(1.0, max(0.02, self.timeouts.shortest_s / 4))
        self._closed = False

    @property
    def waiting(self) -> int:
        """Downloads that haven't ended, be they on their way or not."""
        return len(self._exchanges)

    def get(self, request: Get) -> None:
        """Begin a download; returns at once. Raises ``RuntimeError`` after `close`, or for a request that is under way.

        An ``offset`` without a proper ``validator`` is a ``ValueError``.
        """
        if self._closed or request in self._exchanges:
            raise RuntimeError("the client is closed" if self._closed else "this request is under way")
        if request.offset:
            encode_get("/", b"", offset=request.offset, validator=request.validator)
        try:
            exchange = Exchange(request, self.rules.check_url(request.url))
        except Refused as refusal:
            exchange = Exchange(request, _NOWHERE)
            exchange.failure = HttpFailure("url", str(refusal), False)
            self._loop.call_soon(self.finish, exchange)
        else:
            self._queue(exchange)
        self._exchanges[request] = exchange

    def cancel(self, request: Get) -> None:
        """Give ``request`` up: neither of its callbacks is called any more. Harmless when it has ended."""
        exchange = self._exchanges.pop(request, None)
        if exchange is not None:
            exchange.cancel()

    def ask_one_by_one(self, url: str) -> None:
        """Don't pipeline requests to the server of ``url`` for a minute: what it sent didn't fit what was asked for."""
        try:
            host = self._hosts.get(self.rules.check_url(url).origin)
        except Refused:
            return
        if host is not None:
            host.ask_one_by_one()

    async def close(self) -> None:
        """End all connections. Downloads that haven't ended are cancelled."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for request in list(self._exchanges):
            self.cancel(request)
        for host in list(self._hosts.values()):
            await host.close()
        self._hosts.clear()
        for _ in range(3):  # the transports end in the loop's next rounds
            await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def crowded(self) -> bool:
        """See `http_host.Client`."""
        return bool(self._unconnected)

    def wake(self, host: Host) -> None:
        """See `http_host.Client`."""
        self._ready[host] = None
        self._schedule()

    def take_bytes(self, host: Host, exchange: Exchange) -> bool:
        """See `http_host.Client`. One download alone may be larger than the bound."""
        taken = self._bytes_in_flight + exchange.cost_bytes
        if self._bytes_in_flight and taken > self._most_bytes:
            self._starved[host] = None
            return False
        self._bytes_in_flight = taken
        return True

    def release_bytes(self, exchange: Exchange) -> None:
        """See `http_host.Client`."""
        self._bytes_in_flight -= exchange.cost_bytes
        if self._starved:  # few: they have connections
            self._ready.update(self._starved)
            self._starved.clear()
            self._schedule()

    def take_connection(self, host: Host) -> bool:
        """See `http_host.Client`. Where all are taken, one that is idle is closed for it."""
        if sum(self._connections.values()) >= self._most_connections and not any(
            other.close_idle() for other in list(self._connections)
        ):
            self._unconnected[host] = None
            return False
        self._connections[host] = self._connections.get(host, 0) + 1
        return True

    def release_connection(self, host: Host) -> None:
        """See `http_host.Client`."""
        self._connections[host] -= 1
        if not self._connections[host]:
            del self._connections[host]
        self._schedule()

    def make_context(self) -> ssl.SSLContext:
        """See `http_host.Client`. Made late, for it takes some 20 ms to read the system's authorities."""
        if self._context is None:
            self._context = TlsSettings().make_context()
        return self._context

    def finish(self, exchange: Exchange) -> None:
        """See `http_host.Client`."""
        request = exchange.request
        if request is None or self._closed:
            return
        if exchange.redirect(self.rules):
            self._queue(exchange)
            return
        del self._exchanges[request]
        try:
            request.on_done(request, exchange.reply())
        except Exception:
            log.exception("http_done_failed status=%d", exchange.status)

    def _queue(self, exchange: Exchange) -> None:
        host = self._hosts.get(exchange.url.origin)
        if host is None:
            host = self._make_host(exchange.url.origin)
        host.add(exchange)
        self.wake(host)

    def _make_host(self, origin: Origin) -> Host:
        fields = f"Host: {origin.authority}\r\nUser-Agent: {USER_AGENT}\r\nAccept-Encoding: identity\r\n"
        host = self._hosts[origin] = Host(self, origin, fields.encode("ascii"))
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_s, self._check_time)
        return host

    def _schedule(self) -> None:
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._unconnected and sum(self._connections.values()) < self._most_connections:
            host = next(iter(self._unconnected))  # who waited before comes before who had it last
            del self._unconnected[host]
            host.fill()
        ready, self._ready = self._ready, {}
        for host in ready:
            host.fill()

    def _check_time(self) -> None:
        for origin, host in list(self._hosts.items()):
            if not host.check_time():
                del self._hosts[origin]
        self._timer = self._loop.call_later(self._tick_s, self._check_time) if self._hosts else None


_NOWHERE = Url(Origin("http", "", 0), "/")
