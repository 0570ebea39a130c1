"""Putting verified files into the tree: `Storing`, in batches, each file whole or not at all.

    every file written beside the tree -> (durable: all of them on the disk) -> one transaction, which nobody else's
    overlaps: is it still newer than what is here? rename, note the entry, move the waiting row on -> commit

A file gets its pubTime as its modification time: all peers have the same one, and when a process is ended between a
rename and the commit, a scan of the tree finds the file with the version it had, not with a newer one of our making.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from ..core.strict import Refused
from ..errors import SameskyError
from .announcement import Announcement, Entry, Integrity
from .index import Index
from .scan import entry_of_file
from .tree import Tree
from .waiting import Waiting, WaitingRow

FEW = 4
"""Up to so many files are brought to the disk one by one, without whatever else is to be written there."""

State = Literal["stored", "same", "older", "refused", "failed"]


class Item(NamedTuple):
    """A file that was fetched and verified, or (a removal) what to do without one."""

    announcement: Announcement
    content: bytes | None = None
    """The file; None when it is in the incoming file ``name``, or when it is to be removed."""
    name: str = ""
    sha512: bytes = b""
    row_id: int = 0
    """The waiting row that is moved on; 0 when there is none."""
    row: WaitingRow | None = None
    """The row to write when there is none yet, and the file is stored: `Outcome.row_id` tells which it is."""


class Outcome(NamedTuple):
    """What became of an `Item`.

    ``stored``: it is done, and its row is to be announced. Else its row is gone: ``same``, this content was here
    already (and has the later pubTime now); ``older``, something newer was; ``refused``, it can't be done, ``words`` is
    the `Reason`. Only ``failed`` leaves the row for another try; ``words`` says what was wrong (such as a full disk).
    """

    state: State
    words: str = ""
    entry: Entry | None = None
    """What is in the index now; None when ``refused`` or ``failed``."""
    row_id: int = 0
    """The row that is to be announced; 0 when there is none."""
    replaced: bool = False
    """Whether another content was there before."""


class Storing:
    """Stores into ``tree``, whose ``index`` and ``waiting`` (without one, there are no rows) share a connection.

    ``durable``: a file is on the disk before it has its name, so no power cut leaves a part of one, and the index is
    when a batch returns. A name itself may be lost with the power: the next scan misses it, a comparison brings it
    (waiting for each name as well doubled the time). For one thread, the one that `index` is for.
    """

    def __init__(self, tree: Tree, index: Index, waiting: Waiting | None = None, *, durable: bool = False) -> None:
        self._tree, self._index, self._waiting = tree, index, waiting
        self._durable = durable

    def store(self, items: Sequence[Item]) -> list[Outcome]:
        """Store a batch; the outcome of each item, in their order. Incoming files are used up, but of those ``failed``.

        Never raises for a disk that is full, nor for another process that keeps the index locked: all that isn't
        stored has ``failed`` then, and a later try may have more luck.
        """
        batch = _Batch(self._tree, self._index, self._waiting, items)
        try:
            batch.write_files(durable=self._durable and len(items) <= FEW)
            if self._durable and len(items) > FEW:
                self._tree.sync()
            with self._index.file.writing():
                batch.put_in_place()
                batch.note()
        except SameskyError as error:
            batch.fail(error)
        batch.discard_unused()
        return batch.outcomes()


class _Batch:
    """One batch on its way."""

    def __init__(self, tree: Tree, index: Index, waiting: Waiting | None, items: Sequence[Item]) -> None:
        self._tree, self._index, self._waiting = tree, index, waiting
        self._items = items
        self._outcomes: list[Outcome | None] = [None] * len(items)
        self._names = [item.name for item in items]
        self._known: dict[str, Entry | None] = {}
        """What was known of the paths of the batch when its transaction began."""
        self._changed: dict[str, Entry] = {}

    def outcomes(self) -> list[Outcome]:
        return [outcome or Outcome("failed", "it wasn't reached") for outcome in self._outcomes]

    def write_files(self, *, durable: bool) -> None:
        """Write what is in memory beside the tree. What doesn't fit on the disk has failed; smaller ones may fit."""
        for number, item in enumerate(self._items):
            told, incoming = item.announcement, self._tree.incoming
            try:
                if item.content is not None:
                    self._names[number] = incoming.write(
                        item.content, mtime_ns=told.pub_time, integrity=told.integrity, durable=durable
                    )
                elif item.name:
                    incoming.finish(item.name, mtime_ns=told.pub_time, integrity=told.integrity, durable=durable)
            except SameskyError as error:
                self._outcomes[number] = Outcome("failed", str(error))

    def put_in_place(self) -> None:
        """Rename each file to its place, or remove it, unless what is here is newer."""
        paths = {item.announcement.path for item in self._items}
        known = self._index.read_many(paths)
        self._known = {path: known.get(path) for path in paths}
        for number, item in enumerate(self._items):
            if self._outcomes[number] is None:
                try:
                    self._outcomes[number] = self._put(item, number)
                except Refused as refusal:
                    self._outcomes[number] = Outcome("refused", refusal.reason)
                except SameskyError as error:
                    self._outcomes[number] = Outcome("failed", str(error))

    def note(self) -> None:
        """Write the new entries, and move the rows on."""
        self._index.apply(self._changed.values(), known=self._known)
        if self._waiting is None:
            return
        rows: dict[bool, list[int]] = {True: [], False: []}
        new: dict[int, WaitingRow] = {}
        for number, (item, outcome) in enumerate(zip(self._items, self.outcomes(), strict=True)):
            if item.row_id and outcome.state != "failed":
                rows[outcome.state == "stored"].append(item.row_id)
            elif item.row is not None and outcome.state == "stored":
                new[number] = item.row
        self._add_rows(self._waiting, new)
        self._waiting.to_announce(rows[True])
        self._waiting.done(rows[False])

    def _add_rows(self, waiting: Waiting, new: dict[int, WaitingRow]) -> None:
        for number, row_id in zip(new, waiting.add(list(new.values()), take=True, stored=True), strict=True):
            outcome = self._outcomes[number]
            assert outcome is not None
            self._outcomes[number] = outcome._replace(row_id=row_id)

    def fail(self, error: SameskyError) -> None:
        """The transaction came to nothing; files that were renamed are in place all the same, whole and verified."""
        self._outcomes = [
            outcome if outcome and outcome.state == "failed" else Outcome("failed", str(error))
            for outcome in self._outcomes
        ]

    def discard_unused(self) -> None:
        """Remove incoming files that aren't in place; but downloads that failed to be stored are kept to be resumed."""
        for item, name, outcome in zip(self._items, self._names, self.outcomes(), strict=True):
            if name and outcome.state != "stored" and (outcome.state != "failed" or item.content is not None):
                try:
                    self._tree.discard_incoming(name)
                except SameskyError:
                    pass  # the clean-up at the next start finds it

    def _put(self, item: Item, number: int) -> Outcome:
        announcement = item.announcement
        if announcement.integrity is None and announcement.operation != "remove":
            announcement = replace(announcement, integrity=Integrity("sha512", item.sha512))
        known = self._changed.get(announcement.path) or self._known[announcement.path]
        if known is None and announcement.operation != "remove":  # nearly always
            found = self._tree.place_new(self._names[number], announcement.path)
            if found is not None:
                entry = _entry_of(announcement, item.sha512, found)
                self._keep(entry)
                return Outcome("stored", entry=entry)
        known = self._find_newer(item, known) or known
        if known is not None:
            if announcement.operation != "remove" and self._is_here(known, item):
                return self._note_newer(known, announcement)
            if known.version >= announcement.version:
                return Outcome("older", entry=known)
        if announcement.operation == "remove":
            self._tree.remove(announcement.path)
            entry = Entry(announcement.path, announcement.pub_time, None, 0, 0, state="removed")
        else:
            found = self._tree.place(self._names[number], announcement.path)
            entry = _entry_of(announcement, item.sha512, found)
        self._keep(entry)
        return Outcome("stored", entry=entry, replaced=known is not None and known.state == "here")

    def _find_newer(self, item: Item, known: Entry | None) -> Entry | None:
        """What a person or a program has put there since the tree was scanned, if that is newer than the item.

        It mustn't be lost; it is entered, and offered to others, as a scan does it. A file that is the item is what a
        kill left between its rename and its commit, and one that is what we know has only another time.
        """
        path = item.announcement.path
        found = self._tree.read_stat(path)
        if found is None or found.st_mtime_ns <= item.announcement.pub_time:
            return None
        if known is not None and (known.size, known.mtime_ns) == (found.st_size, found.st_mtime_ns):
            return None
        hashed = self._tree.hash_file(path)
        if hashed is None or hashed.sha512 in (item.sha512, known and known.content):
            return None
        entry = entry_of_file(path, hashed, known)
        if entry.version <= item.announcement.version:
            return None
        self._keep(entry)
        return entry

    def _is_here(self, known: Entry, item: Item) -> bool:
        if known.state != "here" or known.content != item.sha512:
            return False
        found = self._tree.read_stat(known.path)
        return found is not None and found.st_size == known.size

    def _note_newer(self, known: Entry, announcement: Announcement) -> Outcome:
        """The same content is here: only its time may be later than we knew."""
        if announcement.version > known.version:
            known = replace(known, pub_time=announcement.pub_time, integrity=announcement.integrity)
            self._keep(known)
        return Outcome("same", entry=known)

    def _keep(self, entry: Entry) -> None:
        self._changed[entry.path] = entry


def _entry_of(told: Announcement, sha512: bytes, found: os.stat_result) -> Entry:
    size, mtime_ns = found.st_size, found.st_mtime_ns
    return Entry(told.path, told.pub_time, told.integrity, size, mtime_ns, sha512, extra=told.extra)
