"""A replica's task: reads and writes its block as its brain says, one step at a time. `Following`."""

import asyncio
import logging
import time
from collections.abc import Callable

from ..errors import SameskyError
from ..link.amqp_message import matches
from .envelope import BlockMessage
from .links import ReplicaLink
from .objects import Block, Objects
from .replica import ReadOwn, ReplicaBrain, Write

_log = logging.getLogger(__name__)

CONTROLLER_TIMEOUT_S = 10.0
"""A controller that takes longer has failed; the message is tried again, unless a newer one comes."""

Settle = Callable[[], None]


class Following:
    """Runs ``link`` on the loop where it is made, until `cancel`. Messages are handed in with `take`."""

    def __init__(self, link: ReplicaLink, objects: Objects, *, echo_interval_s: float | None) -> None:
        self.link = link
        self.brain = ReplicaBrain(link, echo_interval_s=echo_interval_s)
        self.last_message: BlockMessage | None = None
        self._objects = objects
        self._unsettled: list[Settle] = []
        self._woken = asyncio.Event()
        self.task = asyncio.create_task(self._run(), name=f"samesky-blocks-{link.service}.{link.id}")

    def cancel(self) -> None:
        """End the task, and give back all messages."""
        self.task.cancel()
        self._settle_all()

    def hears(self, key: str) -> bool:
        """Whether a message with this key is for this replica."""
        return matches(self.link.key, key)

    def take(self, message: BlockMessage, settle: Settle) -> None:
        """A message came; ``settle`` is called when nothing is left to be done about it."""
        taken = self.brain.on_message(message, time.monotonic(), wall_s=time.time())
        if taken == "dropped":
            settle()
        else:
            self.last_message = message
            # At most the one that is being written stays with us beside the newest.
            for superseded in self._unsettled[1:]:
                superseded()
            self._unsettled[1:] = [settle]
        self._woken.set()

    def note_gone(self, key: str) -> None:
        """Whoever had broadcast ``key`` has died: a value from there is stale, another isn't."""
        if self.last_message is not None and self.last_message.key == key:
            self.brain.on_gone(time.monotonic())
            self._woken.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._work()
            except Exception as error:  # a fault of ours with one message mustn't end the link
                _log.exception("block_step_failed service=%s id=%s", self.link.service, self.link.id)
                self.brain.on_failed(f"a fault of samesky: {error!r}", time.monotonic())
            await self._wait()

    async def _wait(self) -> None:
        """Until a message comes, or it is time to look again."""
        next_time = self.brain.next_time()
        timeout_s = None if next_time is None else max(0.0, next_time - time.monotonic())
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    async def _work(self) -> None:
        """Do all that is to be done now."""
        while isinstance(self.brain.next_step(time.monotonic()), ReadOwn):
            if not await self._do_step() or not self.brain.has_message:
                self._settle_all()
        if not self.brain.has_message:
            self._settle_all()  # what waited has become too old

    async def _do_step(self) -> bool:
        """Read, and write; whether the controller did. If not, the brain tries again, and needs no broker for that."""
        brain = self.brain
        try:
            block = await self._read()
            write = brain.on_own(block.data, time.monotonic())
            if write is not None:
                await self._write(block, write)
        except TimeoutError:
            words = f"the controller didn't answer within {CONTROLLER_TIMEOUT_S:.0f} s"
            brain.on_failed(words, time.monotonic(), "look whether it runs, and is reached")
            return False
        except SameskyError as error:
            brain.on_failed(str(error), time.monotonic(), error.hint)
            return False
        return True

    async def _read(self) -> Block:
        async with asyncio.timeout(CONTROLLER_TIMEOUT_S):
            return await self._objects.read(self.link.id)

    async def _write(self, block: Block, write: Write) -> None:
        async with asyncio.timeout(CONTROLLER_TIMEOUT_S):
            stored = await self._objects.write(block, write.data)
        self.brain.on_written(stored, time.monotonic())

    def _settle_all(self) -> None:
        unsettled, self._unsettled = self._unsettled, []
        for settle in unsettled:
            settle()
