"""How the centre says no, as exceptions: each is one thing that the pusher does something else about.

Locked        Fenced        another run of this site has begun: this one ends
Unreachable   NotNow        not now; ``wait_s`` is the pause that the centre asks for
ConfigError   Denied        the key isn't taken, or may not do this
ConfigError   NotTheCentre  whoever answers there isn't a centre of samesky, or not at this address
DataError     TooLarge      the page has too many bytes: smaller ones may be taken
DataError     MissingRows   rows refer to others that the centre doesn't know of this site
DataError     FaultyRows    rows that no centre takes, named one by one
DataError     RefusedPage   the page as a whole is refused
"""

from collections.abc import Mapping, Sequence

from ..core.strict import Reason
from ..errors import ConfigError, DataError, Locked, Unreachable
from .values import PageFault


class Fenced(Locked):
    """A newer run of the same site has begun; what this one sends isn't taken any more."""

    code = "fenced"


class NotNow(Unreachable):
    """The centre, or a proxy before it, can't do it now."""

    code = "not_now"

    def __init__(self, message: str, *, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Denied(ConfigError):
    """The key isn't known, has expired, was revoked, or doesn't allow this."""

    code = "denied"


class NotTheCentre(ConfigError):
    """The answer isn't that of a centre."""

    code = "not_the_centre"


class TooLarge(DataError):
    """The body is larger than the centre takes."""

    code = "too_large"
    reason = Reason.SIZE


class MissingRows(DataError):
    """``missing`` are ids of the site, by dimension, that rows of a page refer to and the centre has never got."""

    code = "missing_rows"

    def __init__(self, missing: Mapping[str, frozenset[int]]) -> None:
        counts = ", ".join(f"{len(ids)} of {table}" for table, ids in missing.items())
        super().__init__(f"the centre doesn't know rows that others refer to: {counts}")
        self.missing = missing


class FaultyRows(DataError):
    """``faults`` name rows of a page, counted from 0, that can't be stored; nothing of the page was."""

    code = "faulty_rows"

    def __init__(self, faults: Sequence[PageFault]) -> None:
        super().__init__(f"the centre refuses {len(faults)} rows of a page")
        self.faults = tuple(faults)


class RefusedPage(DataError):
    """The page is refused without a word about its rows."""

    code = "refused_page"

    def __init__(self, message: str, reason: Reason, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason

    @property
    def is_of_table(self) -> bool:
        """Whether all pages of this table are refused alike, whatever is in them."""
        return self.reason in _OF_ALL_PAGES


_OF_ALL_PAGES = frozenset({Reason.COLUMN, Reason.SHAPE, Reason.NAME, Reason.VERSION, Reason.NOT_FOUND, Reason.SCOPE})
