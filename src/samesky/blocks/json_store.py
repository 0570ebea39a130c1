"""Blocks in a JSON file: `JsonStore`, for a first try without a controller, and for programs that speak files.

    {"dummy-sensor": {"type": "TempSensorMock", "profiles": [0], "data": {"value": 20.0}}}

The file is read anew each time, so whoever edits it is heard; it is replaced as a whole, so nobody reads half of it.
Two processes may write to one file.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.strict import Refused, decode_json_object
from ..errors import DataError, Unreachable
from .objects import Block, NoSuchBlock
from .paths import Value

MAX_BYTES = 64 << 20
_OWN = ("type", "profiles", "data")


class JsonStore:
    """The blocks in the file at ``path``; without a file there are none, and one is made at the first `put`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def read(self, id: str) -> Block:
        """As of `Objects`."""
        return self._find(await asyncio.to_thread(self._read), id)

    async def write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value] | None:
        """As of `Objects`."""
        return await asyncio.to_thread(self._write, block, data)

    async def list(self) -> list[str]:
        """As of `Objects`."""
        return sorted(await asyncio.to_thread(self._read))

    async def close(self) -> None:
        """As of `Objects`; nothing is kept open."""

    def put(self, block: Block) -> None:
        """Make ``block``, or put it in the place of the one that is there."""
        with self._changing() as blocks:
            blocks[block.id] = _encode(block, block.data)

    def _write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value]:
        with self._changing() as blocks:
            now = self._find(blocks, block.id)  # another process may have changed the rest of it
            blocks[block.id] = _encode(now, data)
        return data

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """All blocks, which are written when they were changed without an exception."""
        with self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_name(f".{self.path.name}.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                blocks = self._read()
                yield blocks
                self._replace(json.dumps(blocks, indent=2, ensure_ascii=False).encode())

    def _replace(self, content: bytes) -> None:
        """The new file is on the disk before it has the name of the old one."""
        beside = self.path.with_name(f".{self.path.name}.new")
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _read(self) -> dict[str, Any]:
        with self._errors():
            try:
                content = self.path.read_bytes()
            except FileNotFoundError:
                return {}
        try:
            blocks = decode_json_object(content, max_bytes=MAX_BYTES)
        except Refused as refusal:
            raise self._damaged(str(refusal)) from refusal
        for id, block in blocks.items():
            if not isinstance(block, dict) or not isinstance(block.get("data"), dict):
                raise self._damaged(f"{id} isn't an object with data, an object too")
            if not isinstance(block.get("profiles", []), list):
                raise self._damaged(f"the profiles of {id} aren't a list")
        return blocks

    def _find(self, blocks: Mapping[str, Any], id: str) -> Block:
        if id not in blocks:
            raise NoSuchBlock(f"there is no block {id} in {self.path}", hint="add it to the file, or remove the link")
        told = blocks[id]
        others = {name: value for name, value in told.items() if name not in _OWN}
        return Block(id, told["data"], str(told.get("type", "")), tuple(told.get("profiles", ())), others)

    def _damaged(self, words: str) -> DataError:
        return DataError(f"{self.path} isn't a file of blocks: {words}", hint="mend it, or move it away")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unreachable(f"the blocks in {self.path} can't be used: {error.strerror}") from error


def _encode(block: Block, data: Mapping[str, Value]) -> dict[str, object]:
    told: dict[str, object] = {**block.others}
    if block.type:
        told["type"] = block.type
    if block.profiles:
        told["profiles"] = list(block.profiles)
    return {**told, "data": dict(data)}
