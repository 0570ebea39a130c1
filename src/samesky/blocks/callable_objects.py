"""Blocks of anything that Python can speak to: `CallableObjects`, for the seed's section "DIY".

A controller of another make takes two functions:

    def read(id):                       # the data of the block, a dict; KeyError when there is none
        return {"value": bus.read_register(id)}

    def write(id, data):                # may return the data as they are now
        bus.write_register(id, data["value"])

    objects = CallableObjects(read, write, list=lambda: ["boiler", "mash-tun"])

Plain functions run in a thread of their own, one call at a time, so they needn't be made for threads; coroutine
functions run on the event loop.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from ..errors import DataError, SameskyError, Unreachable
from .objects import Block, NoSuchBlock
from .paths import Value
from .translate import copy

Data = Mapping[str, Value]
Read = Callable[[str], Data | Awaitable[Data]]
Write = Callable[[str, Data], Data | Awaitable[Data | None] | None]
List = Callable[[], Iterable[str] | Awaitable[Iterable[str]]]


class CallableObjects:
    """The blocks that ``read`` reads and ``write`` writes; without ``write`` none can be written.

    A function raises `KeyError` when there is no such block, `OSError` (thus `TimeoutError`) when the device can't be
    reached now, and anything else when it has failed.
    """

    def __init__(self, read: Read, write: Write | None = None, *, list: List | None = None) -> None:
        self._read_data, self._write_data, self._list_ids = read, write, list
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="samesky-callable")
        self._turn = asyncio.Lock()

    async def read(self, id: str) -> Block:
        """As of `Objects`."""
        return Block(id, _take(await self._call(self._read_data, id), "read"))

    async def write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value] | None:
        """As of `Objects`."""
        if self._write_data is None:
            raise DataError(f"the block {block.id} can't be written: no function was given for that")
        stored = await self._call(self._write_data, block.id, cast(dict[str, Value], copy(dict(data))))
        return None if stored is None else _take(stored, "write")

    async def list(self) -> list[str]:
        """As of `Objects`; nothing when no function was given for it."""
        return sorted(await self._call(self._list_ids)) if self._list_ids is not None else []

    async def close(self) -> None:
        """As of `Objects`, when a call that is under way has ended."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        try:
            if inspect.iscoroutinefunction(function):
                async with self._turn:
                    return await function(*arguments)
            told = await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
            return await told if inspect.isawaitable(told) else told
        except SameskyError:
            raise
        except KeyError as error:
            raise NoSuchBlock(f"there is no block {arguments[0] if arguments else ''}".rstrip()) from error
        except OSError as error:
            raise Unreachable(f"the device can't be reached: {error.strerror or error!r}") from error
        except Exception as error:
            raise DataError(f"the function {_name(function)} failed: {error!r}") from error


def _take(data: object, what: str) -> dict[str, Value]:
    """A copy of ``data``: the function may go on changing its own."""
    if not isinstance(data, Mapping):
        raise DataError(f"the function to {what} blocks should return their data, a dict, not {type(data).__name__}")
    return cast(dict[str, Value], copy(dict(data)))


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
