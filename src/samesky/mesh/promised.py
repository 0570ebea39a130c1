"""What a comparison found lacking, until it is here: then the comparison's moment is proven, without a question."""

from collections.abc import Iterable
from itertools import islice

from .announcement import Announcement, Version
from .tree_view import TreeView

MOST_REMEMBERED = 10_000
LOOKED_AT = 500
"""Paths that are looked at in one go: each is a query."""


class Promised:
    """Files that were found lacking in ``tree``; of what is more than `MOST_REMEMBERED`, only how many."""

    def __init__(self, tree: TreeView) -> None:
        self._tree = tree
        self._versions: dict[str, Version] = {}
        self.forgotten = 0
        """Found lacking, and not remembered."""

    def __len__(self) -> int:
        return len(self._versions) + self.forgotten

    @property
    def all_here(self) -> bool:
        """Whether everything that is remembered has come."""
        return not self._versions

    def add(self, announcements: Iterable[Announcement]) -> None:
        """These were found lacking."""
        for each in announcements:
            if len(self._versions) < MOST_REMEMBERED:
                self._versions[each.path] = each.version
            else:
                self.forgotten += 1

    def look(self) -> bool:
        """Look whether some of it is here; returns whether to look again at once. Raises what the tree does."""
        looked_at = dict(islice(self._versions.items(), LOOKED_AT))
        missing = {path: version for path, version in looked_at.items() if not self._has(path, version)}
        for path in looked_at:
            del self._versions[path]
        self._versions |= missing  # behind the others
        return not missing and bool(self._versions)

    def _has(self, path: str, version: Version) -> bool:
        entry = self._tree.read(path)
        return entry is not None and entry.version >= version
