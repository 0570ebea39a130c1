"""What has changed in a tree since its index was written: found by looking at every file's size and time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .index import Figures, Index, join_path
from .tree import Found, Tree


class DirectoryChanges(NamedTuple):
    """One directory: the paths of its files that are new or may be others, and of those that are gone."""

    changed: list[str]
    gone: list[str]


def read_changes(tree: Tree, index: Index) -> Iterator[DirectoryChanges]:
    """Yield what differs between ``tree`` and ``index``, directory by directory. Raises what `Tree.walk` does."""
    seen = set()
    for directory, files in tree.walk():
        seen.add(directory)
        yield _differ(directory, files, index.read_figures(directory))
    for directory in index.directories():
        if directory not in seen:
            yield _differ(directory, (), index.read_figures(directory))


def _differ(directory: str, files: Sequence[Found], known: Mapping[str, Figures]) -> DirectoryChanges:
    changed = [each.name for each in files if known.get(each.name) != (True, each.size, each.mtime_ns)]
    gone = {name for name, figures in known.items() if figures.here} - {each.name for each in files}
    return DirectoryChanges(
        [join_path(directory, name) for name in sorted(changed)], [join_path(directory, name) for name in sorted(gone)]
    )
