"""A server in the foreground: uvicorn, over HTTP or HTTPS, until it is asked to end.

What is under way is finished when it ends, up to `END_S`; a page is stored wholly or not at all, whatever happens.
"""

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import closing

import h11
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import ConfigError
from .seldom import Seldom

END_S = 30
IDLE_S = 75
"""How long a connection is kept after its latest request."""
HEAD_S = 20
"""How long a new connection may take to send the headers of a request."""
LINGER_S = 30
"""How long a body that was refused is still read, so that its sender sees the answer, and not that it was cut off."""
MOST_HEAD_BYTES = 64 << 10
BACKLOG = 1024
MOST_CONNECTIONS = 900
"""Less than the descriptors that a process may have, 1024 usually."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on ``host`` ("" for all addresses) and ``port`` (0 for a free one).

    Raises `ConfigError` when that can't be.
    """
    listening = None
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = sorted(found, key=lambda each: each[0] != socket.AF_INET)[0]
        # The protocol is told: asyncio sends answers without delay only on sockets that surely are TCP's.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        return listening
    except OSError as error:
        if listening is not None:
            listening.close()
        raise ConfigError(
            f"nothing can be served on {host or '*'}:{port}: {error.strerror or error}",
            hint="choose another address or port, or end the program that uses this one",
        ) from error


def serve(
    app: ASGIApp,
    listening: socket.socket,
    *,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    started: Callable[[], None] = lambda: None,
    on_turn: Callable[[], None] = lambda: None,
    ending: Callable[[], None] = lambda: None,
) -> None:
    """Serve ``app`` until SIGINT or SIGTERM, which then go on their usual way.

    ``started`` is called when it answers, ``on_turn`` by the loop that answers, some ten times a second. ``ending`` is
    called when it is asked to end, before it waits for what is under way: it ends answers that would go on for ever.

    Raises `ConfigError` when the certificate can't be used.
    """
    with closing(listening):
        server = make_server(app, tls_cert=tls_cert, tls_key=tls_key, started=started, on_turn=on_turn, ending=ending)
        server.run(sockets=[listening])


def make_server(
    app: ASGIApp,
    *,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    started: Callable[[], None] = lambda: None,
    on_turn: Callable[[], None] = lambda: None,
    ending: Callable[[], None] = lambda: None,
) -> uvicorn.Server:
    """Return the server that `serve` runs; ``should_exit`` ends it. Raises as that does."""
    logging.getLogger("uvicorn.error").addFilter(_SELDOM)
    config = uvicorn.Config(
        _answer_head(app),
        http=_BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("server", "samesky"), ("x-content-type-options", "nosniff")],
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=END_S,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
    )
    if tls_cert is not None:
        _load(config, tls_cert)
    return _Server(config, started, on_turn, ending)


_SELDOM = Seldom()


def _answer_head(app: ASGIApp) -> ASGIApp:
    """Have ``app`` answer HEAD as it answers GET, without the body (RFC 9110, 9.3.2), also where that has no end."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await app({**scope, "method": "GET"}, receive, send_head)

    return answer


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        started: Callable[[], None],
        on_turn: Callable[[], None],
        ending: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._tell = started
        self._on_turn = on_turn
        self._tell_end = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._tell_end()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        self._on_turn()
        return await super().on_tick(counter)


class _BoundedProtocol(H11Protocol):
    """uvicorn's HTTP, with an end to waiting for headers, and the right status for too many of them."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._lingers:
            return  # a refused body that drips is read no longer than another
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._head_timer is None:  # the next request of this connection has begun
            self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._lingers and not self.transport.is_closing():
            self._stop_timer()
            self._head_timer = self.loop.call_later(LINGER_S, self._give_up)

    @property
    def _lingers(self) -> bool:
        """Whether a request was answered of which the body still comes."""
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or has no end of headers."""
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer is under way already
            self.transport.close()
            return
        headers = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=b""),
            h11.Data(data=b"the request isn't HTTP/1.1, or its headers are too long\n"),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _load(config: uvicorn.Config, tls_cert: str) -> None:
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the certificate {tls_cert} can't be used: {getattr(error, 'reason', None) or error}",
            hint="give PEM files that belong together, with --tls-cert and --tls-key",
        ) from error
    assert config.ssl is not None
    config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
