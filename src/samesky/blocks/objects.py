"""Where blocks live: a controller, or something that stands for one, behind one small interface.

`spark_2018` and `spark` are controllers of the two generations of Brewblox, `brewcast` those that speak MQTT,
`json_store` is a file, `callable_objects` any Python functions. All of them pass tests/blocks/test_objects.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from ..errors import DataError
from .paths import Value


@dataclass(frozen=True, slots=True)
class Block:
    """A controller object: its ``data``, which are synchronised, and what is written back with them as it was read."""

    id: str
    data: Mapping[str, Value]
    type: str = ""
    profiles: tuple[int, ...] = ()
    others: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    """Fields that mean something to the controller alone."""


class NoSuchBlock(DataError):
    """The controller has no block of this id."""

    code = "no_such_block"


class Objects(Protocol):
    """The blocks of one service. Belongs to one event loop.

    Every method raises `Unreachable` when the controller doesn't answer in time, `DataError` when it answers something
    else than it should, or refuses what is written.
    """

    async def read(self, id: str) -> Block:
        """Return the block ``id``; raises `NoSuchBlock`."""
        ...

    async def write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value] | None:
        """Give ``block``, as it was read, the new ``data``; returns what the controller made of them where it tells.

        Data that it leaves as they were needn't be sent. Raises `NoSuchBlock`.
        """
        ...

    async def list(self) -> list[str]:
        """Return the ids of all blocks, in order."""
        ...

    async def close(self) -> None:
        """Let go of the controller."""
        ...
