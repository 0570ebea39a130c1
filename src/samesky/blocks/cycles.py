"""Which replica hears which primary, and whether any block follows itself in the end. Pure."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from .links import PrimaryLink, ReplicaLink

Block = tuple[str, str]
"""A service, and the id of one of its blocks."""


def matches(pattern: str, key: str) -> bool:
    """Whether what is sent under ``key`` comes to who is bound with ``pattern`` (AMQP 0.9.1, topic exchanges).

    Words stand between dots; ``*`` is one word, ``#`` any number of them.
    """
    return _match(tuple(pattern.split(".")), tuple(key.split(".")))


@lru_cache(maxsize=4096)
def _match(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_match(rest, words[start:]) for start in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _match(rest, words[1:])


def find_cycle(primaries: Iterable[PrimaryLink], replicas: Sequence[ReplicaLink]) -> list[Block]:
    """Return blocks of which each follows the one before, and the first the last; nothing where there is no cycle."""
    follows: dict[Block, list[Block]] = {}
    for primary in primaries:
        heard = [
            (replica.service, replica.id)
            for replica in replicas
            if replica.carrier == primary.carrier and matches(replica.key, primary.key)
        ]
        follows.setdefault((primary.service, primary.id), []).extend(heard)
    done: set[Block] = set()
    for block in follows:
        cycle = _search(block, follows, [], done)
        if cycle:
            return cycle
    return []


def _search(block: Block, follows: dict[Block, list[Block]], above: list[Block], done: set[Block]) -> list[Block]:
    if block in above:
        return above[above.index(block) :]
    if block in done:
        return []
    for follower in follows.get(block, ()):
        cycle = _search(follower, follows, [*above, block], done)
        if cycle:
            return cycle
    done.add(block)
    return []
