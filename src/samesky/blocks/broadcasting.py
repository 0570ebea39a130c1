"""A primary's task: reads its block when its brain says so, and broadcasts it. `Broadcasting`."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from ..core.strict import Refused
from ..errors import SameskyError
from .carriers import CarrierLink
from .envelope import encode_body, encode_headers
from .following import CONTROLLER_TIMEOUT_S, Following
from .links import PrimaryLink
from .objects import Objects
from .primary import Broadcast, PrimaryBrain

_log = logging.getLogger(__name__)

LONGEST_PUBLISH_S = 10.0
"""A broker that takes longer to confirm has failed; what is read next goes in its place."""
GOODBYE_S, FAREWELL_S = 5.0, 1.0
"""So long the last message may take on a busy machine, and so long where the broker is in trouble already."""


class Broadcasting:
    """Runs ``link`` on the loop where it is made, until `cancel`.

    ``find_followings`` finds the replicas that write to the same block: its data are theirs then, and they are told
    what was broadcast.
    """

    def __init__(
        self,
        link: PrimaryLink,
        objects: Objects,
        carrier: CarrierLink,
        *,
        epoch: int,
        find_followings: Callable[[PrimaryLink], Sequence[Following]],
    ) -> None:
        self.link = link
        self.brain = PrimaryBrain(link, epoch=epoch, now=time.monotonic())
        self._objects, self._carrier = objects, carrier
        self._find_followings = find_followings
        self.task = asyncio.create_task(self._run(), name=f"samesky-blocks-{link.key}")

    def cancel(self) -> None:
        """End the task."""
        self.task.cancel()

    async def say_goodbye(self) -> None:
        """End the task, and tell all replicas that nothing more comes."""
        self.task.cancel()
        last = self.brain.goodbye(wall_s=time.time())
        if last is not None:
            try:
                await self._publish(last, FAREWELL_S if self._carrier.trouble else GOODBYE_S)
            except SameskyError as error:
                _log.info("block_goodbye_failed key=%s reason=%r", self.link.key, str(error))

    async def _run(self) -> None:
        while True:
            next_time = self.brain.next_time()
            assert next_time is not None
            await asyncio.sleep(max(0.0, next_time - time.monotonic()))
            try:
                await self._broadcast()
            except Exception as error:  # a fault of ours with one reading mustn't end the link
                _log.exception("block_reading_failed key=%s", self.link.key)
                self.brain.on_read_failed(f"a fault of samesky: {error!r}")

    async def _broadcast(self) -> None:
        brain = self.brain
        now = time.monotonic()
        brain.begin_reading(now)
        followings = self._find_followings(self.link)
        stale = next((each for each in followings if each.brain.is_stale(now)), None)
        if stale is not None:
            brain.on_source_stale(stale.link.key)
            return
        try:
            async with asyncio.timeout(CONTROLLER_TIMEOUT_S):
                block = await self._objects.read(self.link.id)
        except TimeoutError:
            words = f"the controller didn't answer within {CONTROLLER_TIMEOUT_S:.0f} s"
            brain.on_read_failed(words, "look whether it runs, and is reached")
            return
        except SameskyError as error:
            brain.on_read_failed(str(error), error.hint)
            return
        lineage = next((each.brain.lineage for each in followings if each.brain.lineage), None)
        broadcast = brain.on_read(block.data, time.monotonic(), wall_s=time.time(), lineage=lineage)
        if broadcast is not None:
            await self._send(broadcast, followings)

    async def _send(self, broadcast: Broadcast, followings: Sequence[Following]) -> None:
        try:
            await self._publish(broadcast, min(LONGEST_PUBLISH_S, max(1.0, self.link.interval_s)))
        except Refused as refusal:
            self.brain.on_publish_failed(str(refusal), "the controller gives a number that JSON has no word for")
        except SameskyError as error:
            self.brain.on_publish_failed(str(error), error.hint or "look whether the broker runs, and is reached")
        else:
            self.brain.on_published(time.monotonic())
            for each in followings:
                each.brain.echoes.note_published(broadcast.data, time.monotonic())

    async def _publish(self, broadcast: Broadcast, timeout_s: float) -> None:
        body, headers = encode_body(broadcast.data), encode_headers(broadcast.metadata)
        await self._carrier.publish(self.link.key, body, headers, timeout_s=timeout_s)
