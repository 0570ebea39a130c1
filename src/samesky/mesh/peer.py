"""A peer's brain: what to do with an announcement, given what is here already. It reads nothing and does nothing.

The algorithm is the seed's: is it here, and the same? Then nothing. Else take it, and tell the next. What the
demonstration lacked is an order: of two contents for one path every peer keeps the same one, the newer pubTime, of
equal times the greater checksum; so two who disagree come to agree, and what was removed stays removed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.strict import Reason, Refused
from .announcement import WEAK_METHODS, Announcement, Entry, integrity_of

LATE_AFTER_S = 7200.0
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Selection:
    """The user's ``accept REGEX`` and ``reject REGEX``, in order; the first that is found in ``/`` + path decides.

    Where none is found the opposite of the last rule holds: after rejects the rest is wanted, after accepts it isn't.
    """

    rules: tuple[tuple[bool, re.Pattern[str]], ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> "Selection":
        """Read rules as they stand on the command line; raises `ValueError` with a sentence about the wrong one."""
        rules = []
        for text in texts:
            verb, _, expression = text.strip().partition(" ")
            if verb not in ("accept", "reject") or not expression.strip():
                raise ValueError(f"{text!r} should be 'accept REGEX' or 'reject REGEX'")
            try:
                rules.append((verb == "accept", re.compile(expression.strip())))
            except re.error as error:
                raise ValueError(f"{expression.strip()!r} is no regular expression: {error}") from None
        return cls(tuple(rules))

    def takes(self, path: str) -> bool:
        """Whether the user wants this file."""
        for accepts, expression in self.rules:
            if expression.search("/" + path):
                return accepts
        return not self.rules or not self.rules[-1][0]


@dataclass(frozen=True, slots=True)
class Rules:
    """What this peer takes."""

    selection: Selection = Selection()
    own_urls: frozenset[str] = frozenset()
    """Base URLs of our own web server, without a slash behind: what is announced with one comes from ourselves."""
    allow_weak: bool = False
    """Take files that are announced with an MD5 alone, as the seed's programs did."""
    allow_unchecked: bool = False
    """Take files that are announced without a checksum, as WIS2 allows."""
    late_after_s: float = LATE_AFTER_S
    drop_late: bool = False
    """Whether what is older than ``late_after_s`` is left out rather than fetched last."""
    take_removals: bool = False
    """Whether removals and renames are done here too."""
    most_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Skip:
    """Do nothing; ``reason`` is how it is counted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Touch:
    """The same content is here: note that its time is ``pub_time`` now, and say nothing."""

    pub_time: int


@dataclass(frozen=True, slots=True)
class Take:
    """Store what came along, or fetch it; then announce it. ``late``: after everything that isn't."""

    late: bool


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the file, remember that, and announce it."""


Decision = Skip | Touch | Take | Remove


class Peer:
    """Decides by ``rules``."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def decide(self, announcement: Announcement, entry: Entry | None, *, now_ns: int) -> Decision:
        """What to do with ``announcement`` when ``entry`` is what is known of its path.

        Raises `Refused` for what nobody should take: CHECKSUM (none, or a weak one), SIZE.
        """
        reason = self._unwanted(announcement)
        if reason:
            return Skip(reason)
        if announcement.operation == "remove":
            return self._decide_removal(announcement, entry)
        self._check_worth(announcement)
        age_s = (now_ns - announcement.pub_time) / SECOND_NS
        late = age_s > self.rules.late_after_s
        if entry is None:
            return Skip("late") if late and self.rules.drop_late else Take(late)
        if entry.state != "removed" and is_same(announcement, entry):
            newer = announcement.pub_time > entry.pub_time and entry.state == "here"
            return Touch(announcement.pub_time) if newer else Skip("pruned" if entry.state == "pruned" else "same")
        if announcement.version <= entry.version:
            return Skip("removed" if entry.state == "removed" else "older")
        return Skip("late") if late and self.rules.drop_late else Take(late)

    def would_take(self, announcement: Announcement, *, now_ns: int) -> bool:
        """Whether this is taken where nothing is known of its path."""
        try:
            return isinstance(self.decide(announcement, None, now_ns=now_ns), Take | Remove)
        except Refused:
            return False

    def _unwanted(self, announcement: Announcement) -> str:
        """Why this peer has no use for it, in a word."""
        rules = self.rules
        if announcement.base_url and announcement.base_url.rstrip("/") in rules.own_urls:
            return "own"
        if not rules.selection.takes(announcement.path):
            return "unselected"
        if announcement.operation in ("mkdir", "rmdir", "link"):
            return announcement.operation  # folders come and go with their files; links lead out of the tree
        if announcement.operation == "remove" and not rules.take_removals:
            return "removal"
        return ""

    def _decide_removal(self, announcement: Announcement, entry: Entry | None) -> Decision:
        if entry is not None and (entry.state == "removed" or announcement.version <= entry.version):
            return Skip("removed" if entry.state == "removed" else "older")
        return Remove()

    def _check_worth(self, announcement: Announcement) -> None:
        rules, integrity = self.rules, announcement.integrity
        if integrity is None and not rules.allow_unchecked:
            raise Refused(Reason.CHECKSUM, "a file was announced without a checksum")
        if integrity is not None and integrity.method in WEAK_METHODS and not rules.allow_weak:
            raise Refused(Reason.CHECKSUM, f"a file was announced with the weak checksum {integrity.method} alone")
        if announcement.size is not None and announcement.size > rules.most_bytes:
            raise Refused(Reason.SIZE, f"a file was announced that is larger than {rules.most_bytes} bytes")


def is_same(announcement: Announcement, entry: Entry) -> bool:
    """Whether what is announced is the content that is known here, as far as their checksums tell."""
    integrity = announcement.integrity
    if integrity is None:
        return announcement.pub_time == entry.pub_time
    if integrity == entry.integrity or (integrity.method == "sha512" and integrity.digest == entry.content):
        return True
    return announcement.content is not None and integrity_of(announcement.content).digest == entry.content
