"""What waits to be published: the newest body of each key, and nothing that a newer one has replaced. Pure."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from .amqp_message import Outcome, Properties, Superseded


@dataclass(eq=False, slots=True)
class Outgoing:
    """A body on its way out. ``outcome`` is done when it is known, and cancelled when nobody waits for it any more."""

    key: str
    body: bytes = field(repr=False)
    properties: Properties
    outcome: "asyncio.Future[Outcome]"
    written: bool = False
    """Whether it was handed to a connection, so that it may arrive whatever we hear of it."""


class Waiting:
    """What waits, in the order in which the keys came. On one loop."""

    def __init__(self) -> None:
        self._newest: dict[str, Outgoing] = {}
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._newest)

    def __iter__(self) -> Iterator[Outgoing]:
        return iter(list(self._newest.values()))

    def put(self, outgoing: Outgoing) -> None:
        """Have ``outgoing`` wait in the place of what waits for its key, which is `Superseded`."""
        older = self._newest.get(outgoing.key)
        self._newest[outgoing.key] = outgoing
        self._some.set()
        if older is not None:
            settle(older, Superseded())

    def put_back(self, outgoing: Outgoing) -> None:
        """Have ``outgoing``, which was taken, wait again, unless a newer one of its key waits or nobody wants it."""
        if outgoing.outcome.done():
            return
        if outgoing.key in self._newest:
            settle(outgoing, Superseded())
        else:
            self.put(outgoing)

    def withdraw(self, outgoing: Outgoing) -> None:
        """Have ``outgoing`` wait no longer; nothing when it doesn't."""
        if self._newest.get(outgoing.key) is outgoing:
            del self._newest[outgoing.key]

    async def wait(self) -> None:
        """Wait until something waits."""
        while not self._newest:
            self._some.clear()
            await self._some.wait()

    def take(self, most: int) -> list[Outgoing]:
        """Return up to ``most`` of what waits, the keys that came first; they wait no longer."""
        return [self._newest.pop(key) for key in list(self._newest)[:most]]


def settle(outgoing: Outgoing, outcome: Outcome) -> None:
    """Tell who waits for ``outgoing`` what became of it; nothing when that was told, or nobody waits."""
    if not outgoing.outcome.done():
        outgoing.outcome.set_result(outcome)
