"""Pages by columns come back exact to the bit, and nothing but a good page comes in."""

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from samesky.core.columns import Column, Kind, Table, decode_tables, encode_tables
from samesky.core.strict import Reason, Refused

INTEGERS = st.integers(-(2**63), 2**63 - 1)
NUMBERS = INTEGERS | st.floats(allow_nan=False)
VALUES = {Kind.INTEGER: NUMBERS, Kind.REAL: NUMBERS, Kind.TEXT: st.text()}
NAMES = st.text("abcXYZ_059", min_size=1, max_size=63).map("_{}".format)

ARCHIVE = (Column("dateTime", Kind.INTEGER), Column("outTemp", Kind.REAL), Column("note", Kind.TEXT))
ROWS = [(1_700_000_000, 21.3, "fair"), (1_700_000_300, None, None), (1_700_000_600, -0.0, "Föhn 🌬")]


@st.composite
def tables(draw):
    names = draw(st.lists(NAMES, max_size=5, unique_by=str.lower))
    columns = tuple(Column(name, draw(st.sampled_from(Kind))) for name in names)
    count = draw(st.integers(0, 8))
    values = tuple(
        draw(st.lists(st.none() | VALUES[column.kind], min_size=count, max_size=count)) for column in columns
    )
    return Table(draw(NAMES), columns, values)


def decode(document, **caps):
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decode_tables(payload, **{"max_rows": 1000} | caps)


def page(**changes):
    entry = {"name": "archive", "count": 2, "columns": [["a", "real"], ["b", "text"]], "values": [[1.5, None], None]}
    return {"tables": [entry | changes]}


def reason_of(document, **caps):
    with pytest.raises(Refused) as caught:
        decode(document, **caps)
    return caught.value.reason


@given(st.lists(tables(), max_size=4, unique_by=lambda table: table.name.lower()))
@example([])
@example([Table("t", (), ())])
@example([Table("t", (Column("a", Kind.REAL), Column("b", Kind.TEXT)), ([None] * 3, [None] * 3))])
def test_tables_come_back_exact_to_the_bit(given_tables):
    decoded = decode(encode_tables(given_tables))
    assert repr(decoded) == repr(given_tables)  # repr tells -0.0 from 0.0, 1 from 1.0 and every double from the next


@pytest.mark.parametrize("kind", [Kind.INTEGER, Kind.REAL])
def test_every_number_that_a_database_keeps_comes_back_exact(kind):
    numbers = [0, 1, -(2**63), 2**63 - 1, 0.0, -0.0, 5e-324, -2.225073858507201e-308, 2.5, 0.1 + 0.2, 1e22, 1e23, None]
    numbers += [1.7976931348623157e308, 1.7976931348623157e308, math.inf, -math.inf, float(2**53), 2**53 + 1]
    table = Table("t", (Column("x", kind),), (numbers,))
    assert repr(decode(encode_tables([table]))) == repr([table])


def test_every_text_that_a_database_keeps_comes_back_exact():
    texts = ["", "inf", "null", "ÿ", "é", "日本", "🌦", "\0\n\t\x1f\x7f\u2028", '"\\', "[{", None]
    table = Table("t", (Column("x", Kind.TEXT),), (texts,))
    assert decode(encode_tables([table])) == [table]


def test_rows_become_columns_and_rows_again():
    table = Table.from_rows("archive", ARCHIVE, ROWS)
    assert table.count == 3
    assert table.values[0] == [1_700_000_000, 1_700_000_300, 1_700_000_600]
    assert list(table.rows()) == ROWS
    empty = Table.from_rows("archive", ARCHIVE, [])
    assert (empty.count, list(empty.rows()), len(empty.values)) == (0, [], 3)


def test_the_bytes_are_the_documented_ones():
    columns = (Column("dateTime", Kind.INTEGER), Column("outTemp", Kind.REAL), Column("hail", Kind.REAL))
    rows = [(1_700_000_000, 21.3, None), (1_700_000_300, -math.inf, None)]
    assert encode_tables([Table.from_rows("archive", columns, rows)]) == (
        b'{"tables":[{"name":"archive","count":2,'
        b'"columns":[["dateTime","integer"],["outTemp","real"],["hail","real"]],'
        b'"values":[[1700000000,1700000300],[21.3,"-inf"],null]}]}'
    )


def test_a_table_of_uneven_columns_cannot_be_made():
    with pytest.raises(ValueError, match="same length"):
        Table("t", ARCHIVE, ([1], [2.0], []))
    with pytest.raises(ValueError, match="same length"):
        Table("t", ARCHIVE, ([1], [2.0]))
    with pytest.raises(ValueError, match="zip"):
        Table.from_rows("t", ARCHIVE, [(1, 2.0, "a"), (2, 3.0)])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((Kind.REAL, value) for value in (math.nan, 2**63, -(2**63) - 1, "abc", "inf", True, b"x", [1])),
        *((Kind.INTEGER, value) for value in (math.nan, 2**63, "1", False)),
        *((Kind.TEXT, value) for value in (1, 1.5, b"x", "\ud800")),
    ],
)
def test_what_could_not_be_taken_back_is_not_encoded(kind, value):
    with pytest.raises(ValueError, match="table archive, column x: "):
        encode_tables([Table("archive", (Column("x", kind),), ([None, value],))])


def test_names_that_could_not_be_taken_back_are_not_encoded():
    for columns in ((Column("a b", Kind.REAL),), (Column("a", Kind.REAL), Column("A", Kind.REAL))):
        with pytest.raises(ValueError, match="archive"):
            encode_tables([Table("archive", columns, tuple([] for _ in columns))])
    with pytest.raises(ValueError, match="name"):
        encode_tables([Table("a;b", (), ())])
    with pytest.raises(ValueError, match="twice"):
        encode_tables([Table("a", (), ()), Table("A", (), ())])


BAD_PAGES = {
    "row 1: nothing": (b"", Reason.EMPTY),
    "row 2: not UTF-8": (b'{"tables":["\xff"]}', Reason.ENCODING),
    "row 2: a lone surrogate in a text": (page(columns=[["a", "text"]], values=[["\ud800", "x"]]), Reason.ENCODING),
    "row 3: cut short": (json.dumps(page()).encode()[:-1], Reason.JSON),
    "row 4: a list": ([], Reason.SHAPE),
    "row 4: a number": (7, Reason.SHAPE),
    "row 4: no tables": ({}, Reason.SHAPE),
    "row 4: something beside the tables": (page() | {"more": 1}, Reason.SHAPE),
    "row 4: tables that are no list": ({"tables": {}}, Reason.SHAPE),
    "row 4: a table that is no object": ({"tables": [[]]}, Reason.SHAPE),
    "row 4: a table without count": ({"tables": [{"name": "a", "columns": [], "values": []}]}, Reason.SHAPE),
    "row 4: a table with more fields": (page(more=1), Reason.SHAPE),
    "row 4: columns that are no list": (page(columns="ab"), Reason.SHAPE),
    "row 4: a column without kind": (page(columns=[["a"], ["b", "text"]]), Reason.SHAPE),
    "row 4: a column of an unknown kind": (page(columns=[["a", "blob"], ["b", "text"]]), Reason.SHAPE),
    "row 4: a column whose kind is a list": (page(columns=[["a", []], ["b", "text"]]), Reason.SHAPE),
    "row 4: a column given as a text of two letters": (page(columns=["ab", ["b", "text"]]), Reason.SHAPE),
    "row 4: fewer lists than columns": (page(values=[[1.5, None]]), Reason.SHAPE),
    "row 4: lists shorter than the count": (page(values=[[1.5], None]), Reason.SHAPE),
    "row 4: lists of different lengths": (page(values=[[1.5, 2], ["a"]]), Reason.SHAPE),
    "row 4: a text where a list is due": (page(values=[[1.5, 2], "ab"]), Reason.SHAPE),
    "row 4: rows that no list proves": (page(values=[None, None]), Reason.SHAPE),
    "row 4: rows without columns": (page(columns=[], values=[]), Reason.SHAPE),
    "row 5: 100,000 lists": (b'{"tables":' + b"[" * 100_000, Reason.DEPTH),
    "row 6: NaN": (json.dumps(page(values=[[math.nan, 1], None])).encode(), Reason.NONFINITE),
    "row 6: 1e999": (
        b'{"tables":[{"name":"a","count":1,"columns":[["a","real"]],"values":[[1e999]]}]}',
        Reason.NONFINITE,
    ),
    "row 6: 1e999 among integers": (
        b'{"tables":[{"name":"a","count":2,"columns":[["a","integer"]],"values":[[-1e999,1]]}]}',
        Reason.NONFINITE,
    ),
    "row 7: a field twice": (b'{"tables":[],"tables":[]}', Reason.DUPKEY),
    "row 7: a column twice": (page(columns=[["a", "real"], ["A", "text"]]), Reason.DUPKEY),
    "row 7: a table twice": ({"tables": page()["tables"] * 2}, Reason.DUPKEY),
    "row 8: 2^63": (page(values=[[1, 2**63], None]), Reason.RANGE),
    "row 8: below -2^63 among floats": (page(values=[[1.5, -(2**63) - 1], None]), Reason.RANGE),
    "row 8: 5,000 digits": (b'{"tables":[%s]}' % (b"9" * 5000), Reason.RANGE),
    "row 8: 4,000 digits": (json.dumps(page(values=[[1.5, 10**4000], None])).encode(), Reason.RANGE),
    "row 8: a count of 10^30": (page(count=10**30), Reason.SIZE),
    "row 13: SQL for a column name": (page(columns=[["a", "real"], ["b; DROP TABLE x", "text"]]), Reason.NAME),
    "row 13: SQL for a table name": (page(name='archive"; --'), Reason.NAME),
    "row 14: a table name that is a list": (page(name=["archive"]), Reason.NAME),
    "row 14: a text for a number": (page(values=[[1.5, "abc"], None]), Reason.TYPE),
    "row 14: another word for infinity": (page(values=[["inf", "Infinity"], None]), Reason.TYPE),
    "row 14: a bool for a number": (page(values=[[1.5, True], None]), Reason.TYPE),
    "row 14: an object for a number": (page(values=[[1.5, {}], None]), Reason.TYPE),
    "row 14: a list for a number": (page(values=[[1.5, [[[]]]], None]), Reason.TYPE),
    "row 14: a number for a text": (page(values=[None, ["a", 1]]), Reason.TYPE),
    "row 14: a bool for the count": (page(count=True), Reason.TYPE),
    "row 14: a negative count": (page(count=-1), Reason.TYPE),
    "row 14: no count": (page(count=None), Reason.TYPE),
}


@pytest.mark.parametrize(("document", "reason"), BAD_PAGES.values(), ids=BAD_PAGES.keys())
def test_a_bad_page_is_refused_for_the_reason_the_table_names(document, reason):
    assert reason_of(document) is reason


def test_the_page_that_the_bad_ones_are_made_from_is_good():
    (table,) = decode(page())
    assert list(table.rows()) == [(1.5, None), (None, None)]


def test_a_page_beyond_the_caps_is_refused():
    assert decode(page(), max_rows=2, max_columns=2)
    assert reason_of(page(), max_rows=1) is Reason.SIZE
    assert reason_of(page(), max_columns=1) is Reason.SIZE
    assert reason_of(page(), max_bytes=50) is Reason.SIZE


def test_a_count_takes_no_memory_before_a_list_has_proven_it():
    assert reason_of(page(count=10**12, values=[None, None]), max_rows=10**13) is Reason.SHAPE
    assert reason_of(page(count=10**12), max_rows=10**13) is Reason.SHAPE


@given(st.lists(tables(), min_size=1, max_size=3, unique_by=lambda table: table.name.lower()), st.data())
def test_a_page_cut_anywhere_is_refused(given_tables, data):
    payload = encode_tables(given_tables)
    cut = data.draw(st.integers(0, len(payload) - 1))
    assert reason_of(payload[:cut]) in {Reason.EMPTY, Reason.JSON, Reason.ENCODING}


@given(
    st.recursive(st.none() | st.booleans() | NUMBERS | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_any_other_document_is_refused(document):
    reason_of(json.dumps(document).encode())
