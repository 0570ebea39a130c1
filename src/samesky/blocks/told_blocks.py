"""Blocks as controllers tell them, in JSON: strictly read, and written back with all that was read. Pure."""

from collections.abc import Mapping
from typing import Protocol

from ..errors import DataError
from .objects import Block
from .paths import Value

_OWN = frozenset({"id", "type", "profiles", "data"})


class Teller(Protocol):
    """Who told a block."""

    def damaged(self, words: str) -> DataError:
        """The error of an answer that is something else than it should be."""
        ...


def decode_block(told: object, id: str, teller: Teller) -> Block:
    """Return the block that was asked for by ``id``; raises what ``teller`` says for anything else."""
    if not isinstance(told, dict):
        raise teller.damaged("it is no object")
    if told.get("id", id) != id:
        raise teller.damaged("it is another block than the one that was asked for")
    data, type, profiles = told.get("data"), told.get("type", ""), told.get("profiles", [])
    if not isinstance(data, dict):
        raise teller.damaged("there are no data in it")
    if not isinstance(type, str):
        raise teller.damaged("its type isn't a text")
    if not isinstance(profiles, list) or not all(isinstance(each, int) for each in profiles):
        raise teller.damaged("its profiles aren't a list of numbers")
    others = {name: value for name, value in told.items() if name not in _OWN}
    return Block(id, data, type, tuple(profiles), others)


def encode_block(block: Block, data: Mapping[str, Value]) -> dict[str, Value]:
    """Return what `decode_block` takes back to ``block`` with ``data``."""
    told: dict[str, Value] = {**block.others, "id": block.id, "type": block.type, "data": data}
    return {**told, "profiles": list(block.profiles)} if block.profiles else told


def decode_ids(told: object, teller: Teller) -> list[str]:
    """Return the ids of the blocks in a list of them, in order; raises what ``teller`` says for anything else."""
    if not isinstance(told, list):
        raise teller.damaged("it is no list")
    ids = [each.get("id") if isinstance(each, dict) else None for each in told]
    named = [id for id in ids if isinstance(id, str)]
    if len(named) != len(ids):
        raise teller.damaged("a block in its list has no id")
    return sorted(named)


def find_data(told: object) -> Mapping[str, Value] | None:
    """Return the data of the block that was told after it was written; None where a controller tells nothing."""
    data = told.get("data") if isinstance(told, dict) else None
    return data if isinstance(data, dict) else None
