"""Which replica hears which primary, and whether a block would follow itself in the end: `LinkGraph`. Pure."""

from collections import deque
from collections.abc import Iterator

from ..link.amqp_message import matches
from .links import Carrier, PrimaryLink, ReplicaLink

Block = tuple[str, str]
"""A service, and the id of one of its blocks."""
Name = tuple[str, str, str]
"""Of a replica: service, id and key."""


class LinkGraph:
    """Links by their names, and by what they hear: most keys have no wildcard, and are looked up."""

    def __init__(self) -> None:
        self._primaries: dict[Block, PrimaryLink] = {}
        self._replicas: dict[Name, ReplicaLink] = {}
        self._by_key: dict[tuple[Carrier, str], dict[Name, ReplicaLink]] = {}
        self._by_pattern: dict[Carrier, dict[Name, ReplicaLink]] = {"amqp": {}, "mqtt": {}}

    def __len__(self) -> int:
        return len(self._primaries) + len(self._replicas)

    def primaries(self) -> list[PrimaryLink]:
        """All primaries, by service and id."""
        return [self._primaries[name] for name in sorted(self._primaries)]

    def replicas(self) -> list[ReplicaLink]:
        """All replicas, by service, id and key."""
        return [self._replicas[name] for name in sorted(self._replicas)]

    def find(self, link: PrimaryLink | ReplicaLink) -> PrimaryLink | ReplicaLink | None:
        """The link that has the name of ``link``."""
        if isinstance(link, PrimaryLink):
            return self._primaries.get((link.service, link.id))
        return self._replicas.get(link.name)

    def put(self, link: PrimaryLink | ReplicaLink) -> None:
        """Add ``link``, in the place of one of its name."""
        self.remove(link)
        if isinstance(link, PrimaryLink):
            self._primaries[link.service, link.id] = link
            return
        self._replicas[link.name] = link
        self._find_neighbours(link)[link.name] = link

    def remove(self, link: PrimaryLink | ReplicaLink) -> None:
        """Forget the link of this name, if there is one."""
        old = self.find(link)
        if isinstance(old, PrimaryLink):
            del self._primaries[old.service, old.id]
        elif old is not None:
            del self._replicas[old.name]
            del self._find_neighbours(old)[old.name]
            if not self._by_key.get((old.carrier, old.key), True):
                del self._by_key[old.carrier, old.key]

    def find_hearing(self, carrier: Carrier, key: str) -> Iterator[ReplicaLink]:
        """The replicas that hear ``key``."""
        yield from self._by_key.get((carrier, key), {}).values()
        for replica in self._by_pattern[carrier].values():
            if matches(replica.key, key):
                yield replica

    def find_cycle(self, link: PrimaryLink | ReplicaLink) -> list[Block]:
        """Return the cycle that there would be with ``link``: blocks of which each follows the one before, and the
        first the last; nothing when there is none. Without ``link`` there is none."""
        old = self.find(link)
        self.put(link)
        try:
            return self._search((link.service, link.id))
        finally:
            self.remove(link)
            if old is not None:
                self.put(old)

    def _search(self, start: Block) -> list[Block]:
        """The shortest way from a block back to itself: any new cycle goes through the block of the new link."""
        before: dict[Block, Block] = {}
        waiting = deque([start])
        while waiting:
            block = waiting.popleft()
            for follower in self._find_followers(block):
                if follower == start:
                    return _trace(block, start, before)
                if follower not in before:
                    before[follower] = block
                    waiting.append(follower)
        return []

    def _find_followers(self, block: Block) -> Iterator[Block]:
        primary = self._primaries.get(block)
        if primary is not None:
            for replica in self.find_hearing(primary.carrier, primary.key):
                yield replica.service, replica.id

    def _find_neighbours(self, link: ReplicaLink) -> dict[Name, ReplicaLink]:
        """Where ``link`` is to be found by what it hears."""
        if _has_wildcard(link.key):
            return self._by_pattern[link.carrier]
        return self._by_key.setdefault((link.carrier, link.key), {})


def _has_wildcard(pattern: str) -> bool:
    return any(word in ("*", "#") for word in pattern.split("."))


def _trace(last: Block, start: Block, before: dict[Block, Block]) -> list[Block]:
    """The way from ``start`` to ``last``."""
    way = [last]
    while way[-1] != start:
        way.append(before[way[-1]])
    return way[::-1]
