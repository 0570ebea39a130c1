"""Which peer lacks what: the trees of several peers compared with each other, from outside.

Each is asked the questions of `questions`, directory by directory where they differ. What is told of a file is what the
newest version of it is, anywhere: a peer that has another content, or none, lacks it; one that has what was removed
elsewhere has it too much. A peer doesn't tell what it has pruned for its age, so such files count as lacking there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..core.strict import Reason, Refused
from ..core.timetree import NOTHING, Sum
from .announcement import Entry
from .index import join_path
from .questions import NO_SUM, Answer, DirectoryAnswer, DirectoryQuestion, FilesQuestion, Question

MOST_LISTED = 20_000
"""Files that are looked at one by one; where there are more, directories are compared by their counts alone."""
MOST_DIRECTORIES = 100_000
EXAMPLES = 5
AT_ONCE = 100
"""Directories in one question."""

Ask = Callable[[Question], Answer]
_Counted = tuple[str, tuple[int, ...]]
"""A directory, and how many files each peer has in it."""


@dataclass(slots=True)
class Surveyed:
    """One peer, and what was found of it."""

    name: str
    """Its broker's URL, without a password."""
    node: str
    """The id of its tree."""
    ask: Ask = field(repr=False)
    base_url: str = ""
    newest: int = 0
    """The latest pub_time that it knows, in nanoseconds since 1970."""
    whole: Sum = NOTHING
    lacking: int = 0
    """Files that another has, or has in a newer version; where `Survey.complete` is false, at least so many."""
    removed_elsewhere: int = 0
    """Files that were removed elsewhere, and are here."""
    examples: list[str] = field(default_factory=list)
    """Some that are lacking."""

    @property
    def digest(self) -> str:
        """The same for equal trees: of all that is in this one."""
        return f"{self.whole.total:032x}"[:16]


@dataclass(frozen=True, slots=True)
class DirectoryDifference:
    """A directory whose own files aren't the same everywhere."""

    path: str
    files: tuple[int, ...]
    """How many each peer has, in the order of the peers; removals that are known count."""
    lacking: tuple[int, ...]
    """How many of all peers' files each lacks; by the counts alone when ``listed`` is false."""
    listed: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """What came of it."""

    peers: tuple[Surveyed, ...]
    directories: tuple[DirectoryDifference, ...]
    """Those that differ, by path."""
    complete: bool
    """Whether every file that differs was looked at."""

    @property
    def same(self) -> bool:
        """Whether all trees are the same."""
        return len({each.whole for each in self.peers}) <= 1

    def behind_s(self, peer: Surveyed) -> float:
        """By how many seconds the newest that ``peer`` knows is older than the newest that anybody does."""
        return (max(each.newest for each in self.peers) - peer.newest) / 1e9


def survey(peers: Sequence[Surveyed]) -> Survey:
    """Compare the trees of ``peers``. Raises what asking raises, and `Refused` for answers that make no sense."""
    for peer in peers:
        answer = peer.ask(_question(peer, directories=(DirectoryQuestion("", NO_SUM),)))
        peer.base_url, peer.newest = answer.base_url, answer.newest
        peer.whole = _checked(answer.directories, [""])[0].whole
    found = list(_differing_directories(peers)) if len({each.whole for each in peers}) > 1 else []
    few: list[_Counted] = []
    many: list[_Counted] = []
    left = MOST_LISTED
    for path, sums in found:
        count = sum(each.count for each in sums)
        counted = (path, tuple(each.count for each in sums))
        if count <= left:
            left -= count
            few.append(counted)
        else:
            many.append(counted)
    differences = [*_by_files(peers, few), *(_by_counts(peers, path, counts) for path, counts in many)]
    return Survey(tuple(peers), tuple(sorted(differences, key=lambda each: each.path)), complete=not many)


def read_whole(ask: Ask, node: str, paths: Sequence[str]) -> dict[str, DirectoryAnswer]:
    """What is in each of the directories ``paths`` of one peer: its own files, and all of its children."""
    found: dict[str, DirectoryAnswer] = {}
    left = [DirectoryQuestion(path, NO_SUM) for path in paths]
    while left:
        asked = left[:AT_ONCE]
        answers = _checked(ask(Question("", node, directories=tuple(asked))).directories, [each.path for each in asked])
        del left[: len(answers)]
        for answer in answers:
            if answer.path in found:
                answer = replace(answer, children=found[answer.path].children + answer.children)
            found[answer.path] = answer
            if answer.more:
                if not answer.children:
                    raise Refused(Reason.SHAPE, "an answer that tells of more and of nothing")
                left.insert(0, DirectoryQuestion(answer.path, NO_SUM, answer.children[-1][0]))
    return found


def read_files(ask: Ask, node: str, paths: Sequence[str]) -> dict[str, dict[str, Entry]]:
    """What is in each of the directories ``paths`` itself of one peer, by path."""
    found: dict[str, dict[str, Entry]] = {path: {} for path in paths}
    left = [FilesQuestion(path) for path in paths]
    while left:
        asked = left[:AT_ONCE]
        answers = ask(Question("", node, files=tuple(asked))).files
        if not answers or [each.path for each in answers] != [each.path for each in asked[: len(answers)]]:
            raise Refused(Reason.SHAPE, "an answer to something that wasn't asked")
        del left[: len(answers)]
        for page, question in zip(answers, asked, strict=False):
            found[page.path].update((each.path, each) for each in page.entries)
            if page.reached:
                if page.reached <= question.after:
                    raise Refused(Reason.SHAPE, "an answer that doesn't get on")
                left.insert(0, FilesQuestion(page.path, page.reached))
    return found


def _differing_directories(peers: Sequence[Surveyed]) -> list[tuple[str, list[Sum]]]:
    """The directories whose own files differ, by path, with each peer's sum of them."""
    found: list[tuple[str, list[Sum]]] = []
    left = [""]
    while left:
        paths, left = left[:AT_ONCE], left[AT_ONCE:]
        told = [read_whole(peer.ask, peer.node, paths) for peer in peers]
        for path in paths:
            answers = [each[path] for each in told]
            files = [each.files or NOTHING for each in answers]
            if len(set(files)) > 1:
                found.append((path, files))
            left += [join_path(path, name) for name in _differing_children(answers)]
        if len(found) + len(left) > MOST_DIRECTORIES:
            raise Refused(Reason.SIZE, f"more than {MOST_DIRECTORIES} directories differ")
    return sorted(found)


def _differing_children(answers: Iterable[DirectoryAnswer]) -> list[str]:
    children = [dict(each.children) for each in answers]
    names = sorted({name for each in children for name in each})
    return [name for name in names if len({each.get(name, NOTHING) for each in children}) > 1]


def _by_files(peers: Sequence[Surveyed], directories: Sequence[_Counted]) -> Iterator[DirectoryDifference]:
    """Look at every file of these directories."""
    for at in range(0, len(directories), AT_ONCE):
        paths = [path for path, _ in directories[at : at + AT_ONCE]]
        told = [read_files(peer.ask, peer.node, paths) for peer in peers]
        for path, counts in directories[at : at + AT_ONCE]:
            lacking = _compare_files(peers, [each[path] for each in told])
            yield DirectoryDifference(path, counts, lacking, listed=True)


def _by_counts(peers: Sequence[Surveyed], path: str, counts: tuple[int, ...]) -> DirectoryDifference:
    lacking = tuple(max(counts) - count for count in counts)
    for peer, count in zip(peers, lacking, strict=True):
        peer.lacking += count
    return DirectoryDifference(path, counts, lacking, listed=False)


def _compare_files(peers: Sequence[Surveyed], told: Sequence[Mapping[str, Entry]]) -> tuple[int, ...]:
    """How many files of one directory each peer lacks; notes them with the peers."""
    best = _newest(told)
    lacking = []
    for peer, entries in zip(peers, told, strict=True):
        lacks = [each for each in best.values() if each.state == "here" and _differs(each, entries.get(each.path))]
        peer.lacking += len(lacks)
        peer.examples += [each.path for each in lacks[: EXAMPLES - len(peer.examples)]]
        peer.removed_elsewhere += sum(
            best[each.path].state == "removed" and each.state == "here" for each in entries.values()
        )
        lacking.append(len(lacks))
    return tuple(lacking)


def _newest(told: Iterable[Mapping[str, Entry]]) -> dict[str, Entry]:
    """Of each path the version that every peer would keep."""
    best: dict[str, Entry] = {}
    for entries in told:
        for path, entry in sorted(entries.items()):
            if path not in best or entry.version > best[path].version:
                best[path] = entry
    return best


def _differs(best: Entry, entry: Entry | None) -> bool:
    return entry is None or (entry.state, entry.content) != (best.state, best.content)


def _question(peer: Surveyed, *, directories: tuple[DirectoryQuestion, ...]) -> Question:
    return Question("", peer.node, directories=directories)


def _checked(answers: Sequence[DirectoryAnswer], paths: Sequence[str]) -> Sequence[DirectoryAnswer]:
    """``answers`` when they are about the first of ``paths``, in order, and one at least."""
    if not answers or [each.path for each in answers] != list(paths[: len(answers)]):
        raise Refused(Reason.SHAPE, "an answer to something that wasn't asked")
    return answers
