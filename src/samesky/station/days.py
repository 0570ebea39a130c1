"""Day boundaries of a WeeWX archive, and how two machines find out that theirs agree.

WeeWX's archive day starts just after local midnight and includes the midnight that ends it: a record stamped 00:00
belongs to the day before, because it archives the interval that has just passed.
"""

import time
from collections.abc import Iterable

DAY_S = 86_400
# The day on which summer time ends. Whatever the time zone, a day that began so long ago is over.
LONGEST_DAY_S = 90_000


def start_of_archive_day(timestamp: int) -> int:
    """Local midnight (epoch seconds) that begins the archive day of a record stamped ``timestamp``."""
    local = time.localtime(timestamp - 1)
    return int(time.mktime((local.tm_year, local.tm_mon, local.tm_mday, 0, 0, 0, 0, 0, -1)))


def next_archive_day(day_start: int) -> int:
    """Local midnight that ends the archive day which begins at ``day_start``; days last 23 to 25 hours."""
    local = time.localtime(day_start)
    return int(time.mktime((local.tm_year, local.tm_mon, local.tm_mday + 1, 0, 0, 0, 0, 0, -1)))


def read_day_offsets(first: int, last: int) -> tuple[tuple[int, int], ...]:
    """This machine's UTC offset at each local midnight from ``first`` to ``last``, run-length encoded.

    Returns pairs (midnight from which it holds, offset in seconds). Two machines whose runs are equal over a span
    put every record of that span into the same day, whatever their zones are called.
    """
    runs: list[tuple[int, int]] = []
    day = start_of_archive_day(first)
    while day <= last:
        offset = time.localtime(day).tm_gmtoff
        if not runs or runs[-1][1] != offset:
            runs.append((day, offset))
        day = next_archive_day(day)
    return tuple(runs)


def days_agree(here: Iterable[tuple[int, int]], there: Iterable[tuple[int, int]]) -> bool:
    """Whether two results of `read_day_offsets` over the same span name the same midnights."""
    return tuple(here) == tuple(there)
