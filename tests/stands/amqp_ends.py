"""AMQP links for tests: each with a record of its events, and an asyncio twin of `wait_for`."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, TypeVar

from samesky.link.amqp import AmqpLink, AmqpSettings
from samesky.link.amqp_message import AmqpArrived, AmqpEvent
from samesky.link.amqp_url import read_amqp_url

Answer = TypeVar("Answer")
Kind = TypeVar("Kind", bound=AmqpEvent)


class RecordedLink(AmqpLink):
    """A link that keeps its events, and acknowledges what arrives unless ``acknowledging`` is false."""

    def __init__(self, settings: AmqpSettings) -> None:
        super().__init__(settings, self._record)
        self.events: list[AmqpEvent] = []
        self.acknowledging = True
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, kind: type[Kind]) -> list[Kind]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def bodies(self) -> list[bytes]:
        """The bodies that arrived so far."""
        return [event.body for event in self.of(AmqpArrived)]

    async def wait_for(self, kind: type[Kind], *, count: int = 1, deadline_s: float = 60.0) -> Kind:
        """Wait for the ``count``-th event of ``kind``, and return it."""
        await wait_until(
            lambda: len(self.of(kind)) >= count,
            deadline_s,
            what=f"{kind.__name__} number {count}",
            explain=lambda: str(self.events),
        )
        return self.of(kind)[count - 1]

    def _record(self, event: AmqpEvent) -> None:
        self.events.append(event)
        if isinstance(event, AmqpArrived) and self.acknowledging:
            task = asyncio.ensure_future(self.acknowledge(event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def open_links(count: int, *urls: str, **settings: object) -> AsyncIterator[list[RecordedLink]]:
    """``count`` links to the broker at ``urls``, started, and closed at the end; ``settings`` are of `AmqpSettings`.

    Heartbeats are far apart: the loop of a test stands still while the broker is asked what it holds.
    """
    settings = {"heartbeat_s": 60, **settings}
    made = AmqpSettings(urls=tuple(read_amqp_url(url, environment={}) for url in urls), **settings)  # type: ignore[arg-type]
    links = [RecordedLink(made) for _ in range(count)]
    try:
        for link in links:
            link.start()
        yield links
    finally:
        await asyncio.gather(*(link.close() for link in links))


async def wait_until(
    condition: Callable[[], Answer],
    deadline_s: float,
    *,
    what: str = "the condition",
    every_s: float = 0.02,
    explain: Callable[[], str] | None = None,
) -> Answer:
    """Call ``condition`` until its answer is true, then return that answer; as `wait_for`, on the loop."""
    end = time.monotonic() + deadline_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what} didn't come within {deadline_s} s. {explain() if explain else ''}")
        await asyncio.sleep(every_s)


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine."""

    @wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run
