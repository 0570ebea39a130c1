"""A running service of blocks: carriers, objects, and a task for each link. `Synchronising` does, and decides nothing.

What is decided is decided in `primary` and `replica`. Each link has a task of its own, so a controller that is slow, or
away, keeps nobody else waiting; and a message is given back to its broker as soon as it is written or superseded.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Self

from ..core.status import Snapshot
from ..core.strict import Reason, Refused
from ..errors import Unreachable
from ..link.amqp_message import matches
from ..link.tasks import end_tasks
from .broadcasting import Broadcasting
from .carriers import Arrival, CarrierLink
from .envelope import BlockMessage, decode_message
from .following import CONTROLLER_TIMEOUT_S, Following
from .link_snapshot import LinkSnapshots
from .links import Carrier, PrimaryLink, ReplicaLink
from .objects import Block, Objects
from .registry import Registry
from .status import PrimaryStatus, ReplicaStatus
from .translate import HeldBack, translate

_log = logging.getLogger(__name__)

MOST_KEYS = 10_000
"""Of so many keys it is remembered which replicas hear them; a binding with wildcards brings any number of them."""
HEARD_WITHIN_S = 2.0
"""So long a new replica waits for the first connection: who adds its primary next has it hear the first broadcast."""


class Synchronising:
    """Runs the links of ``registry`` on the loop where it is entered, for the services that ``objects`` has.

    Use it with ``async with``. All methods belong to that loop.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        objects: Mapping[str, Objects],
        carriers: Mapping[Carrier, CarrierLink],
        may_write: Callable[[str, str], bool] = lambda service, id: True,
    ) -> None:
        self._registry = registry
        self._objects = objects
        self._carriers = carriers
        self._may_write = may_write
        self._primaries: dict[tuple[str, str], Broadcasting] = {}
        self._replicas: dict[tuple[str, str, str], Following] = {}
        self._takers: dict[tuple[Carrier, str], list[Following]] = {}
        self._writers: dict[tuple[str, str], list[Following]] = {}
        self._snapshots = LinkSnapshots()
        self._epoch = 0
        self._changing = asyncio.Lock()
        self._awaited: list[tuple[ReplicaLink, asyncio.Future[BlockMessage]]] = []

    async def __aenter__(self) -> Self:
        self._begin_epoch()
        for name, carrier in self._carriers.items():
            carrier.start(partial(self._on_arrival, name))
        for primary in self._registry.primaries():
            await self._try_to_run(primary)
        for replica in self._registry.replicas():
            await self._try_to_run(replica)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await asyncio.gather(*(each.say_goodbye() for each in self._primaries.values()), return_exceptions=True)
        for each in self._replicas.values():
            each.cancel()
        await end_tasks(
            *[each.task for each in self._primaries.values()], *[each.task for each in self._replicas.values()]
        )
        for carrier in self._carriers.values():
            await carrier.close()
        for objects in self._objects.values():
            await objects.close()

    # ------------------------------------------------------------------ links

    async def add(self, link: PrimaryLink | ReplicaLink) -> bool:
        """Keep ``link`` and run it, in place of another of its name; whether anything changed.

        Raises ``Refused``: NOT_FOUND (a service that there isn't, a carrier that isn't configured), SCOPE (a block
        that mustn't be written), CONFLICT (a block would follow itself).
        """
        self.check(link)
        async with self._changing:  # of two at once one would go on for ever
            if not self._registry.add(link):
                return False
            await self._stop(link, successor=link)
            if isinstance(link, PrimaryLink):
                self._begin_epoch()  # its messages are counted from 1 again
            await self._run(link, wait_s=HEARD_WITHIN_S)
        return True

    def check(self, link: PrimaryLink | ReplicaLink) -> None:
        """Raise what `add` would."""
        self._check(link)
        self._registry.check(link)

    async def remove(self, link: PrimaryLink | ReplicaLink) -> bool:
        """End ``link`` and forget it; whether it was there."""
        async with self._changing:
            there = self._registry.remove(link)
            await self._stop(link)
        return there

    def primaries(self) -> list[PrimaryLink]:
        """The links that are registered, running or not."""
        return self._registry.primaries()

    def replicas(self) -> list[ReplicaLink]:
        """The links that are registered, running or not."""
        return self._registry.replicas()

    def status(self) -> tuple[list[PrimaryStatus], list[ReplicaStatus]]:
        """How every link is doing."""
        now = time.monotonic()
        return (
            [each.brain.status(now) for each in self._primaries.values()],
            [each.brain.status(now) for each in self._replicas.values()],
        )

    def snapshots(self) -> list[Snapshot]:
        """How every link is doing, for the page and all else that is made of snapshots."""
        now, wall_s, troubles = time.monotonic(), time.time(), self.troubles()
        primaries = [
            self._snapshots.snapshot_primary(
                each.brain.status(now),
                each.brain.data,
                wall_s,
                carrier=each.link.carrier,
                trouble=troubles.get(each.link.carrier, ""),
            )
            for each in self._primaries.values()
        ]
        replicas = [
            self._snapshots.snapshot_replica(
                each.brain.status(now),
                each.last_message.data if each.last_message is not None else None,
                wall_s,
                carrier=each.link.carrier,
                trouble=troubles.get(each.link.carrier, ""),
                shares_block=len(self._writers.get((each.link.service, each.link.id), ())) > 1,
            )
            for each in self._replicas.values()
        ]
        return primaries + replicas

    @property
    def carriers(self) -> tuple[Carrier, ...]:
        """What links may travel by."""
        return tuple(self._carriers)

    def troubles(self) -> dict[Carrier, str]:
        """Why a carrier carries nothing now, for those that don't."""
        return {name: carrier.trouble for name, carrier in self._carriers.items() if carrier.trouble}

    async def read(self, link: PrimaryLink | ReplicaLink) -> Block:
        """The link's block as it is; raises `NoSuchBlock`, `Unreachable`, and ``Refused`` as `add` does."""
        self._check(link)
        try:
            async with asyncio.timeout(CONTROLLER_TIMEOUT_S):
                return await self._objects[link.service].read(link.id)
        except TimeoutError:
            raise Unreachable(f"the controller didn't answer within {CONTROLLER_TIMEOUT_S:.0f} s") from None

    async def preview(
        self, link: ReplicaLink, *, wait_s: float = 0.0
    ) -> tuple[Block, Mapping[str, object] | HeldBack | None]:
        """The replica's block as it is, and what its data would become by the last message under the key.

        When none came yet one is waited for, for ``wait_s``; then it is None. Raises as `read` does.
        """
        block = await self.read(link)
        message = self._find_message(link)
        if message is None and wait_s > 0:
            message = await self._wait_for_message(link, wait_s)
        return block, None if message is None else translate(link.translation, message.data, block.data)

    # ------------------------------------------------------------------ inside

    def _begin_epoch(self) -> None:
        self._epoch = self._registry.begin_epoch(int(time.time() * 1000))

    def _check(self, link: PrimaryLink | ReplicaLink) -> None:
        if link.service not in self._objects:
            names = ", ".join(self._objects)
            raise Refused(Reason.NOT_FOUND, f"there is no service of this name; there are {names}")
        if link.carrier not in self._carriers:
            raise Refused(Reason.NOT_FOUND, f"this service has no link over {link.carrier}: name a broker for it")
        if isinstance(link, ReplicaLink) and not self._may_write(link.service, link.id):
            raise Refused(Reason.SCOPE, "this block isn't among those that may be written")

    async def _try_to_run(self, link: PrimaryLink | ReplicaLink) -> None:
        """Run what was registered before; the configuration may have changed since."""
        try:
            self._check(link)
        except Refused as refusal:
            _log.warning("block_link_left_out service=%s id=%s reason=%r", link.service, link.id, str(refusal))
            return
        await self._run(link)

    async def _run(self, link: PrimaryLink | ReplicaLink, *, wait_s: float = 0.0) -> None:
        carrier = self._carriers[link.carrier]
        if isinstance(link, PrimaryLink):
            self._primaries[link.service, link.id] = Broadcasting(
                link,
                self._objects[link.service],
                carrier,
                epoch=self._epoch,
                find_followings=self._find_followings,
            )
            for each in self._find_followings(link):
                each.brain.echo_interval_s = link.interval_s
            return
        own = self._primaries.get((link.service, link.id))
        interval_s = own.link.interval_s if own is not None else None
        following = Following(link, self._objects[link.service], echo_interval_s=interval_s)
        self._replicas[link.name] = following
        self._writers.setdefault((link.service, link.id), []).append(following)
        self._takers.clear()
        await carrier.subscribe(link.key, wait_s=wait_s)

    async def _stop(
        self, link: PrimaryLink | ReplicaLink, *, successor: PrimaryLink | ReplicaLink | None = None
    ) -> None:
        """End what runs under the link's name. Whoever hears a ``successor`` on the same way needs no goodbye."""
        if isinstance(link, PrimaryLink):
            primary = self._primaries.pop((link.service, link.id), None)
            if primary is None:
                return
            if successor is not None and successor.carrier == primary.link.carrier:
                primary.cancel()
            else:
                await primary.say_goodbye()
            return
        following = self._replicas.pop(link.name, None)
        if following is not None:
            self._writers[link.service, link.id].remove(following)
            self._takers.clear()
            following.cancel()
            await self._unsubscribe_unless_heard(following.link)

    async def _unsubscribe_unless_heard(self, link: ReplicaLink) -> None:
        listening = [each.link for each in self._replicas.values()] + [each for each, _ in self._awaited]
        if not any((each.key, each.carrier) == (link.key, link.carrier) for each in listening):
            await self._carriers[link.carrier].unsubscribe(link.key)

    async def _wait_for_message(self, link: ReplicaLink, wait_s: float) -> BlockMessage | None:
        """The next message under the link's key, for which nobody listens yet perhaps."""
        future: asyncio.Future[BlockMessage] = asyncio.get_running_loop().create_future()
        awaited = (link, future)
        self._awaited.append(awaited)
        try:
            await self._carriers[link.carrier].subscribe(link.key)
            async with asyncio.timeout(wait_s):
                return await future
        except TimeoutError:
            return None
        finally:
            self._awaited.remove(awaited)
            await self._unsubscribe_unless_heard(link)

    def _find_followings(self, link: PrimaryLink) -> list[Following]:
        """The replicas that write to the block of a primary, which asks at each reading."""
        return list(self._writers.get((link.service, link.id), ()))

    def _find_takers(self, carrier: Carrier, key: str) -> list[Following]:
        """The replicas that hear ``key`` over ``carrier``: asked for each message, so it is remembered."""
        takers = self._takers.get((carrier, key))
        if takers is None:
            if len(self._takers) >= MOST_KEYS:
                self._takers.clear()
            names = [each.name for each in self._registry.find_hearing(carrier, key)]
            takers = [self._replicas[name] for name in names if name in self._replicas]
            self._takers[carrier, key] = takers
        return takers

    def _find_awaiting(self, carrier: Carrier, key: str) -> list["asyncio.Future[BlockMessage]"]:
        """Who waits for a message with ``key``, for a preview."""
        return [
            future
            for link, future in self._awaited
            if link.carrier == carrier and matches(link.key, key) and not future.done()
        ]

    def _on_arrival(self, carrier: Carrier, arrival: Arrival) -> None:
        takers, awaiting = self._find_takers(carrier, arrival.key), self._find_awaiting(carrier, arrival.key)
        if arrival.gone:
            for each in takers:
                each.note_gone(arrival.key)
        if arrival.gone or not (takers or awaiting):
            arrival.settle(True)
            return
        try:
            message = decode_message(
                arrival.key, arrival.body, arrival.headers, now=time.time(), retained=arrival.retained
            )
        except Refused as refusal:
            for each in takers:
                each.brain.on_refused(str(refusal.reason), str(refusal))
            arrival.settle(False)
            return
        for future in awaiting:
            future.set_result(message)
        if not takers:
            arrival.settle(True)
            return
        delivery = _Delivery(arrival, len(takers))
        for each in takers:
            each.take(message, delivery.settle)

    def _find_message(self, link: ReplicaLink) -> BlockMessage | None:
        """The last message under the link's key that any replica here has taken."""
        heard = [each.last_message for each in self._replicas.values() if each.link.carrier == link.carrier]
        return next((message for message in heard if message is not None and matches(link.key, message.key)), None)


class _Delivery:
    """A message that several replicas take: it is settled when the last of them has done with it."""

    def __init__(self, arrival: Arrival, takers: int) -> None:
        self._arrival, self._left = arrival, takers

    def settle(self) -> None:
        """One of them has."""
        self._left -= 1
        if not self._left:
            self._arrival.settle(True)
