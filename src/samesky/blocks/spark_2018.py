"""Blocks of a Brewblox controller of 2018, the generation of the seed: `Spark2018`.

GET /spark-slave/objects                 [{"id": …, "profiles": […], "type": …, "data": {…}}, …]
GET /spark-slave/objects/dummy-sensor    {"id": …, "profiles": […], "type": …, "data": {…}}
PUT /spark-slave/objects/dummy-sensor    the same: a block is always written whole
"""

from collections.abc import Mapping
from urllib.parse import quote

from ..errors import DataError
from ..link.rest import RestTimeouts
from .controller import TIMEOUTS, Controller
from .objects import Block, NoSuchBlock
from .paths import Value
from .told_blocks import decode_block, decode_ids, encode_block, find_data


class Spark2018:
    """The blocks of the service at ``url``; see `Controller` for what a URL without a path means."""

    def __init__(self, url: str, name: str, *, timeouts: RestTimeouts = TIMEOUTS) -> None:
        self._controller = Controller(url, name, timeouts=timeouts)

    async def read(self, id: str) -> Block:
        """As of `Objects`."""
        return decode_block(await self._controller.read(_spell(id), id), id, self._controller)

    async def write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value] | None:
        """As of `Objects`."""
        told = {**encode_block(block, data), "profiles": list(block.profiles)}
        try:
            return find_data(await self._controller.put(_spell(block.id), told, block.id))
        except DataError:
            await self.read(block.id)  # tells whether it's the block that isn't there any more
            raise

    async def list(self) -> list[str]:
        """As of `Objects`."""
        return decode_ids(await self._controller.read("/objects", ""), self._controller)

    async def close(self) -> None:
        """As of `Objects`."""
        await self._controller.close()


def _spell(id: str) -> str:
    if id in (".", ".."):
        raise NoSuchBlock(f"there is no block {id}: it would mean another address")
    return f"/objects/{quote(id, safe='')}"
