"""Which replica hears which primary, and whether any block follows itself in the end. Pure."""

from collections.abc import Iterable, Sequence

from ..link.amqp_message import matches
from .links import PrimaryLink, ReplicaLink

Block = tuple[str, str]
"""A service, and the id of one of its blocks."""


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
