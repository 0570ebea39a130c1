"""The digest tree over time-keyed rows: by it two sides find what differs, and prove what doesn't.

Every row has a hash; every span of 2^k seconds has a sum: how many rows are stamped in it, and their hashes added up
modulo 2^128. A sum depends on nothing but the rows, so an append is an addition and two databases of any kind that hold
the same rows have the same sums. Spans are nodes (k, time >> k), thus need no calendar and no time zone:

    root            everything up to a moment
    k = 22          48.5 days, 32 of which share a k = 27 (4.3 years) in what is sent
    k = 17          36 hours
    k = 12          68 minutes: a leaf; its rows are told one by one

`View` answers for one side, up to a moment; what travels is in `treelists`.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

LEAF = 12
NODE = 17
TOP = 22
STEP = 5
"""A span has 2^5 = 32 children."""
CHILDREN = 1 << STEP
MODULUS = 1 << 128
END_OF_TIME = 1 << 40

_NUMBER, _TEXT = b"\0", b"\1"
_MINUS_ZERO_HEAD = struct.pack(">d", -0.0)[0]


class Sum(NamedTuple):
    """The rows of a span: how many, and their hashes added up modulo 2^128."""

    count: int = 0  # type: ignore[assignment]  # a tuple's count() isn't needed here
    total: int = 0

    def __add__(self, other: "Sum") -> "Sum":  # type: ignore[override]
        return Sum(self.count + other.count, (self.total + other.total) % MODULUS)

    def __sub__(self, other: "Sum") -> "Sum":
        return Sum(self.count - other.count, (self.total - other.total) % MODULUS)

    def digest(self, nonce: bytes, size: int = 8) -> bytes:
        """BLAKE2b-64 of count and total, keyed with ``nonce``; its first ``size`` bytes.

        A new nonce for every check: what two different sums have in common by chance, they don't have twice.
        """
        whole = hashlib.blake2b(
            struct.pack(">Q", self.count) + self.total.to_bytes(16, "big"), digest_size=8, key=nonce
        )
        return whole.digest()[:size]


NOTHING = Sum()

Entry = tuple[int, int]
"""A row as the tree knows it: (time, hash)."""


def add_up(sums: Iterable[Sum]) -> Sum:
    """All these sums together."""
    count = total = 0
    for each in sums:
        count += each[0]
        total += each[1]
    return Sum(count, total % MODULUS)


def sum_of(entries: Iterable[Entry]) -> Sum:
    """The sum of these rows."""
    hashes = [each for _, each in entries]
    return Sum(len(hashes), sum(hashes) % MODULUS)


class RowHasher:
    """Hashes rows of the columns ``names``, which have to be sorted.

    A hash is BLAKE2b-128 over the names of the columns that aren't NULL, each with the kind of its value, and then the
    values: numbers as big-endian IEEE doubles (-0.0 as 0.0), texts as their length and UTF-8. So a column more that is
    NULL changes no hash, and 2 and 2.0 are the same observation.
    """

    def __init__(self, names: Sequence[str]) -> None:
        if list(names) != sorted(set(names)):
            raise ValueError("the columns to hash must be sorted, each named once")
        self._names = [name.encode() for name in names]
        self._full = (False,) * len(names)
        self._shapes: dict[tuple[bool, ...], tuple[Any, struct.Struct]] = {}

    def hash(self, row: Sequence[Any]) -> int:
        """The hash of one row, from 0 to 2^128 - 1."""
        nulls = tuple([value is None for value in row]) if None in row else self._full
        start, pack = self._shapes.get(nulls) or self._shape(nulls)
        values = [value for value in row if value is not None] if nulls is not self._full else row
        try:
            packed = pack.pack(*values)
        except (struct.error, TypeError, OverflowError):
            return self._hash_slowly(row)
        if _MINUS_ZERO_HEAD in packed[::8]:  # no other number but the very smallest begins so
            packed = pack.pack(*[value + 0.0 for value in values])
        digest = start.copy()
        digest.update(packed)
        return int.from_bytes(digest.digest(), "big")

    def _shape(self, nulls: tuple[bool, ...]) -> tuple[Any, struct.Struct]:
        names = [name for name, null in zip(self._names, nulls, strict=True) if not null]
        start = hashlib.blake2b(b"".join(name + _NUMBER for name in names), digest_size=16)
        if len(self._shapes) > 10_000:
            self._shapes.clear()
        self._shapes[nulls] = made = start, struct.Struct(f">{len(names)}d")
        return made

    def _hash_slowly(self, row: Sequence[Any]) -> int:
        """Rows with a text in them."""
        names, values = [], []
        for name, value in zip(self._names, row, strict=True):
            if value is None:
                continue
            if isinstance(value, int | float):
                names.append(name + _NUMBER)
                values.append(struct.pack(">d", float(value) + 0.0))
            else:
                text = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
                names.append(name + _TEXT)
                values.append(struct.pack(">I", len(text)) + text)
        return int.from_bytes(hashlib.blake2b(b"".join(names + values), digest_size=16).digest(), "big")


class Tree(Protocol):
    """One table's sums, as storage keeps them."""

    def nodes(self) -> Mapping[int, Sum]:
        """The sums of all non-empty spans of 2^17 seconds, by index (time >> 17)."""

    def leaves(self, node: int) -> Mapping[int, Sum]:
        """The sums of the non-empty leaves of one such span, by index (time >> 12)."""

    def entries(self, leaf: int) -> Sequence[Entry]:
        """The rows of one leaf in order of time, read from the table itself."""


class View:
    """A tree as it is up to the moment ``until``, that second included; what is later isn't there."""

    def __init__(self, tree: Tree, until: int) -> None:
        self._tree = tree
        self.until = until
        self._edge_leaf, self._edge_node = until >> LEAF, until >> NODE
        # What was appended since `until` is in the sums too; only the spans that `until` cuts have to be looked at.
        self._edge_leaves: dict[int, Sum] | None = None
        self._nodes: dict[int, Sum] | None = None

    def root(self) -> Sum:
        """The sum of everything."""
        return add_up(self._all_nodes().values())

    def tops(self) -> dict[int, Sum]:
        """All non-empty spans of 2^22 seconds."""
        tops: dict[int, Sum] = {}
        for node, each in self._all_nodes().items():
            top = node >> (TOP - NODE)
            tops[top] = tops.get(top, NOTHING) + each
        return tops

    def children(self, level: int, parent: int) -> dict[int, Sum]:
        """The non-empty spans of ``level`` (22, 17 or 12) in the span ``parent`` of the level above it."""
        if level == TOP:
            return {top: each for top, each in self.tops().items() if top >> STEP == parent}
        if level == NODE:
            nodes = self._all_nodes()
            indexes = range(parent << STEP, (parent + 1) << STEP)
            return {index: nodes[index] for index in indexes if index in nodes}
        return self._leaves(parent)

    def entries(self, leaf: int) -> list[Entry]:
        """The rows of a leaf."""
        return [entry for entry in self._tree.entries(leaf) if entry[0] <= self.until]

    def _all_nodes(self) -> dict[int, Sum]:
        if self._nodes is None:
            nodes = {index: each for index, each in self._tree.nodes().items() if index < self._edge_node}
            edge = add_up(self._leaves(self._edge_node).values())
            self._nodes = nodes | {self._edge_node: edge} if edge.count else nodes
        return self._nodes

    def _leaves(self, node: int) -> dict[int, Sum]:
        if node > self._edge_node:
            return {}
        if node < self._edge_node:
            return dict(self._tree.leaves(node))
        if self._edge_leaves is None:
            leaves = {index: each for index, each in self._tree.leaves(node).items() if index < self._edge_leaf}
            edge = sum_of(self.entries(self._edge_leaf))
            self._edge_leaves = leaves | {self._edge_leaf: edge} if edge.count else leaves
        return self._edge_leaves


class MemoryTree:
    """A tree over entries in memory: for small tables, and for tests."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._leaves: dict[int, list[Entry]] = {}
        for entry in sorted(entries):
            self._leaves.setdefault(entry[0] >> LEAF, []).append(entry)

    def nodes(self) -> Mapping[int, Sum]:
        """As `Tree.nodes`."""
        nodes: dict[int, Sum] = {}
        for leaf, entries in self._leaves.items():
            index = leaf >> STEP
            nodes[index] = nodes.get(index, NOTHING) + sum_of(entries)
        return nodes

    def leaves(self, node: int) -> Mapping[int, Sum]:
        """As `Tree.leaves`."""
        indexes = range(node << STEP, (node + 1) << STEP)
        return {index: sum_of(self._leaves[index]) for index in indexes if index in self._leaves}

    def entries(self, leaf: int) -> Sequence[Entry]:
        """As `Tree.entries`."""
        return self._leaves.get(leaf, ())
