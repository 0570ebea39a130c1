"""What comparisons read of a tree."""

from typing import Protocol

from .announcement import Entry
from .index import Sums


class TreeView(Protocol):
    """A tree as comparisons see it (`index.Index`)."""

    @property
    def count(self) -> int:
        """How many files are here."""

    @property
    def newest(self) -> int:
        """The latest pub_time, in nanoseconds since 1970."""

    def sums_since(self, changes: int) -> Sums:
        """The sums of directories' own entries, here and removed, that have changed since ``changes``; all, for -1."""

    def entries(self, directory: str, *, after: str = "", limit: int = 1000) -> list[Entry]:
        """At most ``limit`` entries of ``directory`` itself, of all states, by path; from behind ``after``."""

    def read(self, path: str) -> Entry | None:
        """What is known of ``path``."""
