"""The two ends of a comparison: what is asked of the site, of the centre and of both, about a table in a window."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

from .digest_question import WHOLE, By, DigestQuestion, Digests
from .digests import NO_ROWS, Group, GroupDigest, Key

Answer = TypeVar("Answer")
Parts = dict[int, GroupDigest]
"""Digests of months or days."""


class Window(NamedTuple):
    """The rows that are compared: ``from_s`` <= time < ``to_s``."""

    from_s: int
    to_s: int


class Both(Protocol):
    """Calls a question to the site and one to the centre; perhaps at the same time."""

    def __call__(self, site: Callable[[], Answer], centre: Callable[[], Answer], /) -> tuple[Answer, Answer]:
        """Return both answers."""


def ask_in_turn(site: Callable[[], Answer], centre: Callable[[], Answer], /) -> tuple[Answer, Answer]:
    """Ask the site, then the centre: a `Both`."""
    return site(), centre()


def ask_side_by_side(site: Callable[[], Answer], centre: Callable[[], Answer], /) -> tuple[Answer, Answer]:
    """Ask both at the same time, the centre from a thread of its own: a `Both`. Returns, or raises, when both are done.

    The site's failure comes first.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="push-compare") as pool:
        asked = pool.submit(centre)
        here = site()
        return here, asked.result()


class End:
    """One end."""

    def __init__(self, digests: Digests, window: Window) -> None:
        self._digests = digests
        self._window = window
        self.questions = 0
        """So many were asked."""

    def whole(self) -> GroupDigest:
        """The digest of everything."""
        return self._ask(By.ALL).get(WHOLE, NO_ROWS)

    def parts(self, by: By, within: tuple[int, ...] = (), *, deep: bool = False) -> Parts:
        """The digests of months or days."""
        return {key: each for key, each in self._ask(by, within, deep).items() if isinstance(key, int)}

    def groups(self, days: Sequence[int]) -> dict[Group, GroupDigest]:
        """The digests of all groups of these days."""
        answer = self._ask(By.GROUP, tuple(days)) if days else {}
        return {key: each for key, each in answer.items() if isinstance(key, tuple)}

    def _ask(self, by: By, within: tuple[int, ...] = (), deep: bool = False) -> Mapping[Key, GroupDigest]:
        self.questions += 1
        from_s, to_s = self._window
        return self._digests.read_digests(DigestQuestion(from_s=from_s, to_s=to_s, by=by, within=within, deep=deep))


class Ends:
    """Both ends; each method returns what is at the site, and what is at the centre."""

    def __init__(self, site: Digests, centre: Digests, window: Window, both: Both) -> None:
        self.site = End(site, window)
        self.centre = End(centre, window)
        self._both = both

    def whole(self) -> tuple[GroupDigest, GroupDigest]:
        """The digests of everything."""
        return self._both(self.site.whole, self.centre.whole)

    def parts(self, by: By, within: tuple[int, ...] = (), *, deep: bool = False) -> tuple[Parts, Parts]:
        """The digests of months or days."""
        return self._both(
            lambda: self.site.parts(by, within, deep=deep), lambda: self.centre.parts(by, within, deep=deep)
        )
