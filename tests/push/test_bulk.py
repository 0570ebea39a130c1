"""Upserts of whole pages: every value as it was, every count exact, whatever the columns are; on three databases."""

import traceback
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from samesky.errors import DataError
from samesky.push.bulk import Upsert
from samesky.push.central_database import CentralDatabase
from samesky.push.central_tables import CentralTables
from samesky.push.model import ColumnModel, Model, TableModel, ValueKind
from samesky.push.values import HIGHEST_DATE, LOWEST_DATE
from stands.push_centre import DIALECTS, PushedSite, make_empty, open_centre

pytestmark = pytest.mark.slow

LOG = TableModel(
    name="Log",
    columns=(
        ColumnModel("time", ValueKind.TIME, required=True),
        ColumnModel("station", ValueKind.INTEGER, required=True),
        ColumnModel("order", ValueKind.TEXT, 40, required=True),  # a word of SQL
        ColumnModel("words", ValueKind.TEXT),
        ColumnModel("value", ValueKind.DOUBLE),
        ColumnModel("since", ValueKind.TIME),
        ColumnModel("good", ValueKind.FLAG),
        ColumnModel("count", ValueKind.INTEGER),
    ),
    key=("time", "station", "order"),
    append_only=True,
    of_site=True,
)
SHARED = TableModel(
    name="Shared",
    columns=(ColumnModel("time", ValueKind.TIME), ColumnModel("station", ValueKind.INTEGER)),
    key=("time", "station"),
    append_only=True,
    references=MappingProxyType({}),
)
MODEL = Model("log", (LOG, SHARED))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)  # SQLite has no -0.0
ROWS = st.lists(
    st.tuples(
        st.integers(31_536_000, 1 << 32),
        st.integers(-(1 << 63), (1 << 63) - 1),
        TEXTS,
        st.none() | TEXTS,
        st.none() | DOUBLES,
        st.none() | st.integers(LOWEST_DATE, HIGHEST_DATE),
        st.none() | st.integers(0, 1),
        st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row[:3],
)


@pytest.fixture(scope="module", params=DIALECTS)
def central(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentralDatabase]:
    with open_centre(make_empty(request, request.param, tmp_path_factory.mktemp("centre")), MODEL) as opened:
        yield opened


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=ROWS, other=ROWS)
def test_what_was_stored_is_read_back_to_the_bit(
    central: CentralDatabase, rows: list[tuple], other: list[tuple]
) -> None:
    site = PushedSite(central, rows={})
    stored = site.push(rows, table="Log")
    assert (stored.accepted, stored.duplicate, stored.changed) == (len(rows), 0, 0)
    assert read(site) == sorted(rows, key=repr)
    assert site.push(rows, table="Log").duplicate == len(rows)

    keys = {row[:3]: row[3:] for row in rows}
    stored = site.push(other, table="Log")
    there = [row for row in other if row[:3] in keys]
    same = sum(keys[row[:3]] == row[3:] for row in there)
    assert (stored.accepted, stored.duplicate, stored.changed) == (len(other) - len(there), same, len(there) - same)


def read(site: PushedSite) -> list[tuple]:
    return sorted(site.central.read_rows(site.id, LOG, 0, 1 << 33).rows(), key=repr)


@pytest.mark.parametrize(
    "text", ["'", '"', "\\", "%s %", "%(a)s", ":a", "{}", "NULL", "None", "a,b", "\n\t\r", "?1", " "]
)
def test_texts_that_mean_something_in_sql_stay_texts(central: CentralDatabase, text: str) -> None:
    site = PushedSite(central, rows={})
    rows = [
        (1_700_000_000, 1, text, text, None, None, None, None),
        (1_700_000_000, 1, "x", None, None, None, None, None),
    ]
    assert site.push(rows, table="Log").accepted == 2
    assert read(site) == sorted(rows, key=repr)
    assert site.push(rows, table="Log").duplicate == 2


def test_keys_that_differ_in_the_size_of_letters_or_in_blanks_are_different(central: CentralDatabase) -> None:
    site = PushedSite(central, rows={})
    rows = [(1_700_000_000, 1, key, None, None, None, None, None) for key in ("a", "A", "a ", "á", "ａ")]
    assert site.push(rows, table="Log").accepted == 5
    assert site.push(rows, table="Log").duplicate == 5


def test_a_table_of_nothing_but_a_key_that_sites_share_is_stored_too(central: CentralDatabase) -> None:
    one, other = PushedSite(central, rows={}), PushedSite(central, rows={})
    assert one.push([(1_700_000_000, 1), (1_700_000_000, 2)], table="Shared").accepted == 2
    stored = other.push([(1_700_000_000, 2), (1_700_000_000, 3)], table="Shared")
    assert (stored.accepted, stored.duplicate, stored.changed) == (1, 1, 0)


def test_pages_that_meet_within_a_second_or_lie_over_others_are_counted_exactly(central: CentralDatabase) -> None:
    site, start = PushedSite(central, rows={}), 1_700_000_000

    def push(*keys: tuple[int, int]) -> tuple[int, int, int]:
        rows = [(start + second, station, "x", None, float(second), None, None, None) for second, station in keys]
        stored = site.push(rows, table="Log")
        return stored.accepted, stored.duplicate, stored.changed

    assert push((0, 1), (0, 2), (1, 1)) == (3, 0, 0)
    assert push((1, 1), (1, 2), (1, 3), (9, 1)) == (3, 1, 0)  # goes on within the second, and meets one row again
    assert push((5, 1), (4, 1), (6, 2), (5, 2)) == (4, 0, 0)  # in a hole, in disorder
    assert push((9, 2), (9, 1)) == (1, 1, 0)
    assert push((0, 3), (5, 1), (12, 1)) == (2, 1, 0)  # over all of it
    assert len(read(site)) == 13


def test_a_page_of_long_texts_is_stored_though_it_is_larger_than_a_statement(central: CentralDatabase) -> None:
    site = PushedSite(central, rows={})
    rows = [(1_700_000_000, i, "x", "浴室🛁" * 2000, None, None, None, None) for i in range(200)]
    assert site.push(rows[:150], table="Log").accepted == 150
    changed = [(*row[:3], "short", *row[4:]) for row in rows[:10]]
    stored = site.push([*changed, *rows[10:]], table="Log")
    assert (stored.accepted, stored.duplicate, stored.changed) == (50, 140, 10)
    assert read(site) == sorted([*changed, *rows[10:]], key=repr)


def test_what_fails_tells_no_values(central: CentralDatabase) -> None:
    """Neither the error nor the traceback, which some log or other gets to see."""
    nowhere = replace(LOG, name="Nowhere")
    upsert = Upsert(central.database.dialect, nowhere, CentralTables(Model("log", (nowhere,))).of(nowhere))
    columns = [[1_700_000_000], [1], ["precious"], ["precious"], [None], [None], [None], [None]]
    with pytest.raises(DataError) as caught:
        central.transactions.write(lambda connection: upsert.apply(connection, columns, site=1))
    assert "precious" not in "".join(traceback.format_exception(caught.value))


def test_no_rows_are_no_statement(central: CentralDatabase) -> None:
    upsert = Upsert(central.database.dialect, LOG, central.tables.of(LOG))

    def store(connection: Connection) -> None:
        assert upsert.apply(connection, [[] for _ in LOG.columns], site=1) == (0, 0, 0)

    central.transactions.write(store)
