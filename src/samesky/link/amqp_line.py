"""A connection to an AMQP broker that mends itself, for one of the two things that a link does."""

import asyncio
import itertools
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from ..core.backoff import Backoff
from .amqp_connection import AmqpConnection, Lost, NotAllowed, open_connection
from .amqp_message import AmqpConnected, AmqpDisconnected, AmqpEvent, Role
from .amqp_settings import AmqpSettings
from .tasks import end_tasks
from .tls import TlsSettings

log = logging.getLogger(__name__)

FIRST_DELAY_S, MOST_DELAY_S = 0.2, 2.0
"""Between attempts to connect: replicas are to be right a few seconds after their broker is back."""
STEADY_AFTER_S = 5.0
STALL_AFTER_S = 1.0
"""A broker that confirms nothing for so long is said to be stalled."""
REPEAT_AFTER_S = 60.0
_REASON_WITHIN_S = 0.2

STALLED = "the broker takes no messages at the moment: it is short of memory or disk space, or doesn't answer"


class Line:
    """Connects, has ``serve`` work on the connection until one of them ends, and connects again.

    ``serve`` calls `note_up` when all is as it should be. ``emit`` gets `AmqpConnected` and `AmqpDisconnected`. Raises
    ``ConfigError`` when a TLS file can't be used.
    """

    def __init__(
        self,
        role: Role,
        settings: AmqpSettings,
        *,
        serve: Callable[[AmqpConnection], Awaitable[NoReturn]],
        emit: Callable[[AmqpEvent], None],
    ) -> None:
        self.up = False
        """Whether the connection stands and is in use."""
        self.trouble = ""
        """Why it isn't, or why nothing moves on it; a sentence."""
        self._tried = asyncio.Event()
        self.denied = asyncio.Event()
        """Set while the broker refuses us, rather than being away."""
        self._role = role
        self._settings = settings
        self._serve = serve
        self._emit = emit
        self._context = _make_context(settings)
        self._backoff = Backoff(FIRST_DELAY_S, MOST_DELAY_S, random=random.random)
        self._task: asyncio.Task[None] | None = None
        self._logged: tuple[str, float] = ("", float("-inf"))

    @property
    def well(self) -> bool:
        """Whether it is up, or isn't needed."""
        return self.up or self._task is None

    def start(self) -> None:
        """Begin connecting; nothing when that was begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"samesky-amqp-{self._role}")

    async def wait_tried(self, timeout_s: float) -> None:
        """Wait until the first attempt to connect has succeeded or failed; for ``timeout_s`` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._tried.wait()

    async def close(self) -> None:
        """End the connection for good."""
        if self._task is None:
            return
        await end_tasks(self._task)
        self.up = False
        self.trouble = "closed"
        self._emit(AmqpDisconnected(self._role, "closed", final=True))

    def note_up(self, address: str) -> None:
        """All is as it should be, on a connection to ``address``."""
        self.up = True
        self._tried.set()
        self.trouble = ""
        self.denied.clear()
        self._logged = ("", float("-inf"))
        log.info("amqp_connected role=%s broker=%s", self._role, address)
        self._emit(AmqpConnected(self._role, address))

    @contextmanager
    def watch_stall(self) -> Iterator[None]:
        """Have `trouble` say that the broker is stalled while what is inside takes too long."""
        timer = asyncio.get_running_loop().call_later(STALL_AFTER_S, self._note_stall)
        try:
            yield
        finally:
            timer.cancel()
        if self.trouble == STALLED:
            self.trouble = ""
            log.info("amqp_moving role=%s", self._role)

    def _note_stall(self) -> None:
        self.trouble = STALLED
        log.warning("amqp_stalled role=%s reason=%r", self._role, STALLED)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for url in itertools.cycle(self._settings.urls):
            began = loop.time()
            why: Lost | NotAllowed
            try:
                context = self._context if url.broker.scheme == "amqps" else None
                connection = await open_connection(url, self._settings, role=self._role, context=context)
                await self._use(connection)
            except (Lost, NotAllowed) as error:
                why = error
            except Exception as error:  # nobody would notice if this task ended
                log.exception("amqp_failed role=%s", self._role)
                why = Lost(f"the link failed: {type(error).__name__}")
            if loop.time() - began >= STEADY_AFTER_S:
                self._backoff.reset()
            await self._wait(why)

    async def _use(self, connection: AmqpConnection) -> None:
        """Have ``connection`` served until that ends; raises `Lost` or `NotAllowed`."""
        losing = asyncio.create_task(connection.wait_lost())
        serving = asyncio.ensure_future(self._serve(connection))
        try:
            await self._wait_for_end(connection, losing, serving)
        except (Lost, NotAllowed) as why:
            self.trouble = str(why)  # at once: to close the connection may take seconds
            raise
        finally:
            self.up = False
            await end_tasks(losing, serving)
            await connection.close()

    async def _wait_for_end(
        self, connection: AmqpConnection, losing: "asyncio.Task[NoReturn]", serving: "asyncio.Future[NoReturn]"
    ) -> NoReturn:
        """Raise why ``connection`` ended, or why it can't be served any more."""
        await asyncio.wait({losing, serving}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({losing}, timeout=_REASON_WITHIN_S)  # which knows better why
        if serving.cancelled() and not losing.done():  # aiormq cancels what waits on a channel that ends
            raise Lost(f"a channel of the connection to {connection.address} was cut")
        try:
            await (losing if losing.done() else serving)
        except TimeoutError:
            raise Lost(f"{connection.address} confirms nothing") from None

    async def _wait(self, why: Lost | NotAllowed) -> None:
        """Tell ``why`` there is no connection, and let some time pass."""
        delay_s = self._backoff.next_s()
        self.trouble = str(why)
        self._tried.set()
        if isinstance(why, NotAllowed):
            self.denied.set()
        else:
            self.denied.clear()
        now_s = asyncio.get_running_loop().time()
        reason, at_s = self._logged
        if reason != self.trouble or now_s - at_s >= REPEAT_AFTER_S:
            self._logged = (self.trouble, now_s)
            log.warning("amqp_disconnected role=%s retry_s=%.1f reason=%r", self._role, delay_s, self.trouble)
        self._emit(AmqpDisconnected(self._role, self.trouble))
        await asyncio.sleep(delay_s)


def _make_context(settings: AmqpSettings) -> ssl.SSLContext | None:
    if all(url.broker.scheme != "amqps" for url in settings.urls):
        return None
    return (settings.tls or TlsSettings()).make_context()
