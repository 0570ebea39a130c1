"""Sending groups again: whole, in full pages, and counted."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from tests.stands.push_brain import READING, as_table, reading

from samesky.core.columns import Table
from samesky.push.comparing import Resending, cut, join
from samesky.push.comparison import Window
from samesky.push.delivery import Delivered
from samesky.push.digests import DAY_S
from samesky.push.model import TableModel

DAY = 19_000


class Source:
    """Rows of some groups, as a snapshot has them."""

    def __init__(self, counts: Mapping[tuple[int, int], int]) -> None:
        self.counts = counts

    def read_checksums(self, from_s: int, to_s: int) -> Mapping[tuple[int, int], tuple[int, int]]:
        return {}

    def read_rows(self, from_s: int, to_s: int, second: int | None) -> Table:
        day = from_s // DAY_S
        count = self.counts[day, second or 0]
        rows = [reading(day * DAY_S + place, node=second or 0) for place in range(count)]
        return as_table(READING, [row for row in rows if from_s <= row[0] < to_s])


class Centre:
    """Takes pages; refuses the first row of each."""

    def __init__(self) -> None:
        self.pages: list[Table] = []

    def __call__(self, table: TableModel, page: Table) -> Delivered:
        self.pages.append(page)
        first = next(iter(zip(*(page.column(name) for name in table.key), strict=True)))
        return Delivered(rows=page.count - 1, written=2, refused=[first])


def resend(counts: Mapping[tuple[int, int], int], centre: Centre, *, page_rows: int, window: Window | None = None):  # type: ignore[no-untyped-def]
    chosen = window or Window(0, 1 << 33)
    return Resending(READING, Source(counts), chosen, centre, page_rows)(list(counts))


def test_small_groups_share_pages_and_large_ones_are_cut() -> None:
    counts = {(DAY, 1): 3, (DAY, 2): 4, (DAY + 1, 1): 25, (DAY + 2, 1): 0, (DAY + 3, 1): 2}
    centre = Centre()
    resent = resend(counts, centre, page_rows=10)
    assert [page.count for page in centre.pages] == [10, 10, 10, 4]
    assert (resent.rows, resent.written) == (34, 8)
    assert resent.refused == {(DAY, 1): 1, (DAY + 1, 1): 3}


def test_only_rows_of_the_window_are_sent() -> None:
    centre = Centre()
    window = Window(DAY * DAY_S + 5, (DAY + 1) * DAY_S + 3)
    resend({(DAY, 1): 9, (DAY + 1, 1): 9}, centre, page_rows=100, window=window)
    assert [time - DAY * DAY_S for time in centre.pages[0].column("time")] == [5, 6, 7, 8, DAY_S, DAY_S + 1, DAY_S + 2]


def test_nothing_is_sent_of_groups_without_rows() -> None:
    centre = Centre()
    assert resend({(DAY, 1): 0}, centre, page_rows=10).rows == 0
    assert not centre.pages


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 7))
def test_what_is_joined_and_cut_is_the_same_rows(counts: list[int], most: int) -> None:
    tables = [as_table(READING, [reading(place * 100 + row) for row in range(n)]) for place, n in enumerate(counts)]
    pieces = list(cut(join(tables), most))
    assert [row for piece in pieces for row in piece.rows()] == [row for table in tables for row in table.rows()]
    assert all(piece.count == most for piece in pieces[:-1])
    assert pieces[-1].count <= most
