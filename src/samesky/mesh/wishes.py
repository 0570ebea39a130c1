"""What we want of a neighbour's tree, and what is to be done about one file that isn't the same there."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..core.strict import EARLIEST_TIME, FUTURE_LIMIT_S, Reason, Refused
from .announcement import Announcement, Entry
from .directory_sums import hash_of
from .paths import check_path

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """What we want of a neighbour's tree."""

    selects: Callable[[str], bool] = lambda path: True
    """Whether we want the file of this path."""
    covers: Callable[[str], bool] = lambda directory: True
    """Whether we may want anything in or below this directory; if not, it isn't looked into."""
    wants: Callable[[Announcement], bool] = lambda announcement: True
    """Whether we would take what is announced so, if nothing were known of its path."""
    removals: bool = False
    """Whether what was removed there is to be removed here."""

    def find_lacking(self, theirs: Entry, ours: Entry | None, base_url: str) -> Announcement | None:
        """How the neighbour at ``base_url`` would announce what we lack; None when nothing is to be done.

        The version decides as for announcements that come of themselves. What was pruned here is lacking only when it
        has another content there.
        """
        if ours is not None and (hash_of(ours) == hash_of(theirs) or theirs.version <= ours.version):
            return None
        if theirs.state == "removed" and not (self.removals and (ours is None or ours.state == "here")):
            return None
        announcement = announcement_of(theirs, base_url)
        return announcement if self.selects(theirs.path) and self.wants(announcement) else None


def find_announced_again(theirs: Entry, ours: Entry | None, base_url: str) -> Announcement | None:
    """How to learn that a file which is here was announced again later; None when it wasn't.

    Who doesn't learn it keeps another content that comes in between, and others don't.
    """
    if ours is None or ours.state != "here" or hash_of(ours) != hash_of(theirs) or theirs.pub_time <= ours.pub_time:
        return None
    # With the checksum that we know it by, or it would be fetched again.
    return announcement_of(theirs if ours.integrity is None else replace(theirs, integrity=ours.integrity), base_url)


def is_doubtful(theirs: Entry, ours: Entry | None) -> bool:
    """Whether nothing but its time keeps us from taking what the neighbour has."""
    return ours is not None and hash_of(ours) != hash_of(theirs) and theirs.version <= ours.version


def check_entry(theirs: Entry, now: float) -> None:
    """Refuse (PATH, FUTURE, PAST) what nobody should take, whoever has it; ``now`` in Unix seconds."""
    if check_path(theirs.path) != theirs.path:
        raise Refused(Reason.PATH, "a path isn't as it should be written")
    if theirs.pub_time > (now + FUTURE_LIMIT_S) * SECOND_NS:
        raise Refused(Reason.FUTURE, "a file comes from the future")
    if theirs.pub_time < EARLIEST_TIME * SECOND_NS:
        raise Refused(Reason.PAST, "a file comes from before 1971")


def announcement_of(entry: Entry, base_url: str) -> Announcement:
    """How ``entry`` would be announced by the one who has it at ``base_url``."""
    return Announcement(
        path=entry.path,
        pub_time=entry.pub_time,
        integrity=entry.integrity,
        size=None if entry.state == "removed" else entry.size,
        base_url=base_url,
        operation="remove" if entry.state == "removed" else "put",
        extra=entry.extra,
    )
