"""One comparison of our tree with a neighbour's: what to ask next, and what the answers say that we lack.

It goes from the top down into what differs, and keeps little: the directories that are still to be asked about, and the
sums of ours. What differs and is to stay so (not selected, older there, pruned here, not there at all) is *explained*:
remembered as a difference of sums by directory, and expected the next time, so that two trees that differ by nothing
else need one question and one answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from ..core.strict import Reason, Refused
from ..core.timetree import NOTHING, Sum, add_up
from .announcement import Announcement, Entry
from .directory_sums import DirectorySums, TreeSums, hash_of, mark_of
from .explained import Explained
from .index import join_path
from .paths import check_path
from .questions import NO_SUM, Answer, DirectoryAnswer, DirectoryQuestion, FilesAnswer, FilesQuestion, Question
from .tree_view import TreeView
from .wishes import Wishes, check_entry, find_announced_again, is_doubtful

MOST_MARKS = 2000
"""In one question: reading so many entries takes some milliseconds, during which nothing else is done."""
MOST_DIRECTORIES = 100
"""In one question about files: each is a query."""
MOST_QUESTION_BYTES = 32 << 10
MOST_ROUNDS = 100_000
MOST_WAITING = 100_000
MOST_MISFITS = 100


@dataclass(slots=True)
class _Listing:
    """A directory whose files are being compared."""

    path: str
    told: Sum
    """Of its own files, as the neighbour said when it listed the directory."""
    after: str = ""
    difference: Sum = NOTHING
    """Theirs less ours, as far as was listed."""
    explained: Sum = NOTHING
    """The part of it that is to stay."""
    doubtful: bool = False
    """Whether some of that may change without a sum that changes: see `explained`."""


@dataclass(slots=True)
class _Paged:
    """A directory with more children than fit an answer."""

    found: Sum
    after: str


@dataclass(slots=True)
class Walk:
    """One comparison. Ask `next_question` until it is None; give every answer to `on_answer`.

    ``explained`` is changed, and is to be given to the next one.
    """

    node: str
    tree: TreeView
    wishes: Wishes
    sums: TreeSums
    """Of ``tree``."""
    explained: Explained
    now: float
    """Unix seconds."""
    deep: bool = False
    """Whether every file is looked at, whatever the sums say."""
    lacking: int = 0
    """Found so far, to fetch or to note; without ``removals``."""
    again: list[Announcement] = field(default_factory=list)
    """Of files that are here, and that the neighbour knows to have been announced again later: to be noted."""
    removals: list[Announcement] = field(default_factory=list)
    """Of files that are here: to be done, all or none, when the walk is over."""
    refused: dict[Reason, int] = field(default_factory=dict)
    """Files that nobody should take: with a path out of bounds, or from the future."""
    misfits: dict[str, Sum] = field(default_factory=dict)
    """Directories whose sums didn't fit their files, and by how much: changed meanwhile, or the sums are wrong."""
    rounds: int = 0
    base_url: str = ""
    _ours: DirectorySums = field(init=False)
    _directories: list[str] = field(default_factory=lambda: [""])
    _listings: list[_Listing] = field(default_factory=list)
    _paged: dict[str, _Paged] = field(default_factory=dict)
    _asked: Question = field(default_factory=lambda: Question(""))
    _shown: list[list[Entry]] = field(default_factory=list)
    """For each directory of a question about files: our entries there, pruned ones too."""

    def __post_init__(self) -> None:
        self.explained.forget_doubtful(self.now)
        self._ours = self.sums.read()

    @property
    def same(self) -> bool:
        """When the walk is over: whether we have everything that we want of the neighbour's."""
        return not (self.lacking or self.removals)

    # ------------------------------------------------------------------ asking

    def next_question(self, nonce: bytes, *, to: str = "") -> Question | None:
        """The next question, whose marks are keyed with ``nonce``; None when there is nothing more to ask."""
        self._ours = self.sums.read()
        if self._listings:
            files = tuple(self._ask_files(nonce))
            self._asked = Question(self.node, to, files=files)
        elif self._directories:
            self._asked = Question(self.node, to, directories=tuple(self._ask_directories()))
        else:
            return None
        return self._asked

    def _ask_directories(self) -> Iterator[DirectoryQuestion]:
        room = MOST_QUESTION_BYTES
        for path in reversed(self._directories):
            room -= len(path.encode()) + 64
            if room < 0:
                return
            paged = self._paged.get(path)
            expected = NO_SUM if self.deep else self._expected(path)
            yield DirectoryQuestion(path, expected, paged.after if paged else "")

    def _ask_files(self, nonce: bytes) -> Iterator[FilesQuestion]:
        self._shown = []
        room = MOST_MARKS
        for listing in reversed(self._listings[-MOST_DIRECTORIES:]):
            after = join_path(listing.path, listing.after) if listing.after else ""
            entries = self.tree.entries(listing.path, after=after, limit=room)
            self._shown.append(entries)
            marks = [mark_of(each, nonce=nonce) for each in entries if each.state != "pruned"]
            room -= len(entries)
            cut = room <= 0
            yield FilesQuestion(listing.path, listing.after, _name(entries[-1]) if cut else "", tuple(marks))
            if cut:
                return

    # ------------------------------------------------------------------ answers

    def on_answer(self, answer: Answer) -> list[Announcement]:
        """Take the answer to the last question; returns what it has that we lack. Raises `Refused`.

        DIGEST means that the sums of a directory's parts don't add up to its own: who says so isn't to be believed.
        """
        self.rounds += 1
        if self.rounds > MOST_ROUNDS:
            raise Refused(Reason.SIZE, f"a comparison isn't over after {MOST_ROUNDS} answers")
        self.base_url = answer.base_url
        asked: Sequence[DirectoryQuestion | FilesQuestion] = self._asked.files or self._asked.directories
        answered: Sequence[DirectoryAnswer | FilesAnswer] = answer.files if self._asked.files else answer.directories
        if not answered or [each.path for each in answered] != [each.path for each in asked[: len(answered)]]:
            raise Refused(Reason.SHAPE, "an answer to something that wasn't asked")
        return self._on_all_files(answer) if self._asked.files else self._on_directories(answer)

    def _on_all_files(self, answer: Answer) -> list[Announcement]:
        found: list[Announcement] = []
        listings = [self._listings.pop() for _ in answer.files]
        parts = zip(listings, answer.files, self._asked.files, self._shown, strict=False)
        for listing, files, asked, shown in parts:
            found += self._on_files(listing, files, asked, shown)
        return found

    # ------------------------------------------------------------------ directories

    def _on_directories(self, answer: Answer) -> list[Announcement]:
        del self._directories[-len(answer.directories) :]
        for each, asked in zip(answer.directories, self._asked.directories, strict=False):
            self._on_directory(each, asked)
        if len(self._directories) > MOST_WAITING:
            raise Refused(Reason.SIZE, f"more than {MOST_WAITING} directories are told of without an end")
        return []

    def _on_directory(self, answer: DirectoryAnswer, asked: DirectoryQuestion) -> None:
        if answer.files is None:
            if answer.whole != asked.expected or asked.after:
                raise Refused(Reason.SHAPE, "an answer that calls two different sums the same")
            return
        if answer.children and answer.children[0][0] <= asked.after:
            raise Refused(Reason.SHAPE, "an answer that tells what was told already")
        if self._is_whole(answer, asked) and (self.deep or answer.files != self._expected_files(asked.path)):
            self._listings.append(_Listing(asked.path, answer.files))
        self._compare_children(answer, asked)

    def _is_whole(self, answer: DirectoryAnswer, asked: DirectoryQuestion) -> bool:
        """Whether this ends what is told of a directory; checks that all of it adds up."""
        assert answer.files is not None
        found = add_up(each for _, each in answer.children)
        paged = self._paged.pop(asked.path, None)
        if paged is not None:
            found += paged.found
        if answer.more:
            if not answer.children:
                _refuse_sums()
            self._paged[asked.path] = _Paged(found, answer.children[-1][0])
            self._directories.append(asked.path)
            return False
        if paged is None and found + answer.files != answer.whole:  # pages may be of different moments
            _refuse_sums()
        return True

    def _compare_children(self, answer: DirectoryAnswer, asked: DirectoryQuestion) -> None:
        theirs = {join_path(asked.path, name): each for name, each in answer.children}
        last = join_path(asked.path, answer.children[-1][0]) if answer.more else None
        first = join_path(asked.path, asked.after) if asked.after else ""
        known = {*self._ours.children(asked.path), *self.explained.sums.children(asked.path)}
        for child in known - theirs.keys():
            if self._expected(child) != NOTHING and child > first and (last is None or child <= last):
                self._explain_below(child, NOTHING)
        # The last one first: questions are taken from the end.
        for child, each in reversed(theirs.items()):
            if each == self._expected(child) and not self.deep:
                continue
            if self._is_usable(child) and self.wishes.covers(child):
                self._directories.append(child)
            else:
                self._explain_below(child, each)

    def _explain_below(self, directory: str, theirs: Sum) -> None:
        """``directory`` differs in all that is below it, and is to stay so: it isn't wanted, or isn't there."""
        for each in {*self.explained.sums.below(directory), *self._ours.below(directory)}:
            self.explained.note(each, NOTHING - self._ours.files(each), self.now)
        if theirs != NOTHING:
            self.explained.note(directory, theirs - self._ours.files(directory), self.now)

    def _expected(self, directory: str) -> Sum:
        """What should be in and below it there, as far as we know."""
        return self._ours.whole(directory) + self.explained.sums.whole(directory)

    def _expected_files(self, directory: str) -> Sum:
        return self._ours.files(directory) + self.explained.sums.files(directory)

    # ------------------------------------------------------------------ files

    def _on_files(
        self, listing: _Listing, answer: FilesAnswer, asked: FilesQuestion, shown: Sequence[Entry]
    ) -> list[Announcement]:
        last = answer.reached or asked.upto
        if answer.reached and not asked.after < answer.reached <= (asked.upto or answer.reached):
            raise Refused(Reason.SHAPE, "an answer about names that weren't asked for")
        names = [_name(entry) for entry in answer.entries]
        if names and not (asked.after < names[0] and (not last or names[-1] <= last)):
            raise Refused(Reason.SHAPE, "an answer about names that weren't asked for")
        ours = {each.path: each for each in shown}
        found = self._compare_entries(listing, answer, ours)
        replaced = {each.path for each in found}
        marked = (entry for entry in shown if entry.state != "pruned")
        for place, entry in enumerate(marked):
            if place in answer.absent and (not last or _name(entry) <= last):
                self._note_ours(listing, entry, replaced=entry.path in replaced)
        if last:
            listing.after = last
            self._listings.append(listing)
        else:
            self._finish_listing(listing)
        return [each for each in found if each.operation != "remove" or each.path not in ours]

    def _compare_entries(self, listing: _Listing, answer: FilesAnswer, ours: Mapping[str, Entry]) -> list[Announcement]:
        """What of the answer is to be done here, removals among it."""
        found = []
        for theirs in answer.entries:
            known = ours.get(theirs.path)
            announcement = again = None
            if self._is_sound(theirs):
                announcement = self.wishes.find_lacking(theirs, known, self.base_url)
                again = find_announced_again(theirs, known, self.base_url)
            if again is not None:
                self.again.append(again)
            self._note_theirs(listing, theirs, known, lacking=announcement is not None)
            if announcement is not None:
                found.append(announcement)
                if announcement.operation == "remove" and known is not None:
                    self.removals.append(announcement)
                else:
                    self.lacking += 1
        return found

    def _note_theirs(self, listing: _Listing, theirs: Entry, ours: Entry | None, *, lacking: bool) -> None:
        """``theirs`` is there, and not so here."""
        each = Sum(1, hash_of(theirs))
        listing.difference += each
        if not lacking:
            listing.explained += each
            listing.doubtful = listing.doubtful or is_doubtful(theirs, ours)

    def _note_ours(self, listing: _Listing, entry: Entry, *, replaced: bool) -> None:
        """``entry`` is here, and not so there."""
        each = Sum(1, hash_of(entry))
        listing.difference -= each
        if not replaced:
            listing.explained -= each

    def _finish_listing(self, listing: _Listing) -> None:
        """All files of a directory were compared."""
        misfit = listing.told - self._ours.files(listing.path) - listing.difference
        if misfit != NOTHING and len(self.misfits) < MOST_MISFITS:
            self.misfits[listing.path] = misfit
        self.explained.note(listing.path, listing.explained, self.now, doubtful=listing.doubtful)

    def _is_sound(self, theirs: Entry) -> bool:
        try:
            check_entry(theirs, self.now)
        except Refused as refusal:
            self._count(refusal)
            return False
        return True

    def _is_usable(self, directory: str) -> bool:
        """Whether anything in ``directory`` could be taken, as far as its path tells."""
        try:
            check_path(directory)
        except Refused as refusal:
            self._count(refusal)
            return False
        return True

    def _count(self, refusal: Refused) -> None:
        self.refused[refusal.reason] = self.refused.get(refusal.reason, 0) + 1


def _name(entry: Entry) -> str:
    return entry.path.rpartition("/")[2]


def _refuse_sums() -> NoReturn:
    raise Refused(Reason.DIGEST, "the sums of a directory's parts don't add up to its own")
