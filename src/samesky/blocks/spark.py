"""Blocks of today's Brewblox controllers: `Spark`.

    POST /spark-one/blocks/read     {"id": …, "serviceId": …}    one block
    POST /spark-one/blocks/patch    a block with some of its data, the rest stays
    POST /spark-one/blocks/write    a block; what is missing in its data becomes the default, which is often 0
    POST /spark-one/blocks/all/read

From Brewblox's reference of its blocks API. Older firmware replaces what a patch names, newer firmware merges objects
member by member (its decision "Deep Block Patching"); both replace lists. What `plan_patch` plans means
the same to both.
"""

from collections.abc import Mapping

from ..errors import DataError
from ..link.rest import RestTimeouts
from .controller import TIMEOUTS, Controller
from .objects import Block
from .paths import Value
from .told_blocks import decode_block, decode_ids, encode_block, find_data


class Spark:
    """The blocks of the service at ``url``; see `Controller` for what a URL without a path means.

    Only what changes is written, so others may change the rest of a block meanwhile.
    """

    def __init__(self, url: str, name: str, *, timeouts: RestTimeouts = TIMEOUTS) -> None:
        self._controller = Controller(url, name, timeouts=timeouts)

    async def read(self, id: str) -> Block:
        """As of `Objects`."""
        question = {"id": id, "serviceId": self._controller.service}
        told = await self._controller.ask("/blocks/read", question, id, is_read=True)
        return decode_block(told, id, self._controller)

    async def write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value] | None:
        """As of `Objects`."""
        patch = plan_patch(block.data, data)
        path, given = ("/blocks/write", data) if patch is None else ("/blocks/patch", patch)
        told = {"serviceId": self._controller.service, **encode_block(block, given)}
        try:
            return find_data(await self._controller.ask(path, told, block.id, is_read=False))
        except DataError:
            await self.read(block.id)  # tells whether it's the block that isn't there any more
            raise

    async def list(self) -> list[str]:
        """As of `Objects`."""
        return decode_ids(await self._controller.ask("/blocks/all/read", {}, "", is_read=True), self._controller)

    async def close(self) -> None:
        """As of `Objects`."""
        await self._controller.close()


def plan_patch(old: Mapping[str, Value], new: Mapping[str, Value]) -> dict[str, Value] | None:
    """Return the members of ``new`` that make it of ``old``, each one whole.

    None when a member of ``old`` is to vanish, however deep: a patch takes nothing away.
    """
    if _loses(old, new):
        return None
    return {name: value for name, value in new.items() if name not in old or old[name] != value}


def _loses(old: Value, new: Value) -> bool:
    """Whether objects in ``new`` lack members that those in their places in ``old`` have; lists are never merged."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return False
    return any(name not in new or _loses(value, new[name]) for name, value in old.items())
