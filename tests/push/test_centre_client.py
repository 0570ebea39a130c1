"""What a pusher makes of every kind of answer: only 2xx with the right document is success."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stands.push_brain import NOW, READING, as_table, reading

from samesky.core.strict import Reason
from samesky.errors import ConfigError, DataError, Locked, SameskyError, Unreachable
from samesky.push.building import BUILDING
from samesky.push.centre_client import CentreClient
from samesky.push.centre_errors import (
    Denied,
    FaultyRows,
    Fenced,
    MissingRows,
    NotNow,
    NotTheCentre,
    RefusedPage,
    TooLarge,
)
from samesky.push.push_settings import TargetSettings
from samesky.push.steps import Stored
from stands.mesh_web import ScriptedWeb
from stands.push_hostile import Answering, answering, problem

START: Mapping[str, Any] = {
    "run": 7,
    "centre": "abc",
    "site": 1,
    "positions": {"Reading": [NOW, 69, 0], "NodeState": None},
    "catalogue": None,
    "limits": {"page_bytes": 1000, "page_rows": 50},
    "time": NOW,
}
STORED: Mapping[str, Any] = {"accepted": 1, "duplicate": 0, "changed": 0, "rejected": [], "position": None}


def open_client(web: ScriptedWeb) -> CentreClient:
    return CentreClient(TargetSettings(name="centre", url=web.url, key="abc.secret"), BUILDING)


def send_page(script: Answering) -> Stored:
    with ScriptedWeb(script) as web, open_client(web) as client:
        page = as_table(READING, [reading(NOW), reading(NOW + 1)])
        body = client.encode_page(READING, page, now_s=NOW)
        return client.send_page(READING, body, rows=2, run=7, position=(NOW + 1, 1, 0))


def failure(script: Answering) -> SameskyError:
    with pytest.raises(SameskyError) as caught:
        send_page(script)
    assert "abc.secret" not in f"{caught.value} {caught.value.hint}"
    return caught.value


def test_a_good_answer_is_read() -> None:
    assert send_page(answering("200 OK", STORED)) == Stored(accepted=1, duplicate=0, changed=0)


def test_the_beginning_of_a_run_is_read() -> None:
    with ScriptedWeb(answering("201 Created", START)) as web, open_client(web) as client:
        start = client.begin_run()
        assert (start.run, start.centre, start.site, start.page_rows, start.time_s) == (7, "abc", "1", 50, NOW)
        assert start.positions == {"Reading": (NOW, 69, 0), "NodeState": None}
        assert client.page_bytes == 1000
        with pytest.raises(TooLarge):  # it isn't even sent
            client.send_page(READING, b"x" * 1001, rows=1, run=7, position=None)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 Unauthorized", Denied),
        ("403 Forbidden", Denied),
        ("404 Not Found", NotTheCentre),
        ("405 Method Not Allowed", NotTheCentre),
        ("301 Moved Permanently", NotTheCentre),
        ("304 Not Modified", NotTheCentre),
        ("408 Request Timeout", NotNow),
        ("413 Content Too Large", TooLarge),
        ("429 Too Many Requests", NotNow),
        ("500 Internal Server Error", NotNow),
        ("502 Bad Gateway", NotNow),
        ("503 Service Unavailable", NotNow),
        ("504 Gateway Timeout", NotNow),
        ("418 I'm a teapot", NotTheCentre),
    ],
)
def test_no_status_but_2xx_is_success_whoever_says_it(status: str, kind: type) -> None:
    proxy = answering(status, b"<html><h1>nginx</h1></html>", media_type="text/html")
    assert isinstance(failure(proxy), kind)


def test_a_page_for_people_with_status_200_is_no_success() -> None:
    portal = failure(answering("200 OK", b"<html>Please log in</html>", media_type="text/html"))
    assert isinstance(portal, NotTheCentre)
    assert "text/html, not JSON" in str(portal)
    assert "url" in portal.hint


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {**STORED, "accepted": -1},
        {**STORED, "accepted": True},
        {**STORED, "accepted": "1"},
        {**STORED, "accepted": 3},
        {**STORED, "accepted": 1 << 80},
        {**STORED, "changed": None},
    ],
)
def test_an_answer_of_another_shape_is_no_success(document: object) -> None:
    assert isinstance(failure(answering("200 OK", document)), NotTheCentre)


@pytest.mark.parametrize(
    "change",
    [
        {"run": 0},
        {"run": None},
        {"centre": 5},
        {"limits": {}},
        {"limits": {"page_bytes": 0, "page_rows": 1}},
        {"positions": []},
        {"positions": {"Reading": [1]}},
        {"positions": {"Reading": ["x", 1, 2]}},
        {"positions": {"Reading": [1.5, 1, 2]}},
        {"positions": {"Reading": [NOW, {}, 2]}},
        {"time": "now"},
    ],
)
def test_a_beginning_of_another_shape_is_no_success(change: Mapping[str, Any]) -> None:
    with (
        ScriptedWeb(answering("201 Created", {**START, **change})) as web,
        open_client(web) as client,
        pytest.raises(NotTheCentre),
    ):
        client.begin_run()


def test_a_redirection_is_told_and_never_followed() -> None:
    told = failure(answering("308 Permanent Redirect", None, "Location: https://centre.example.org/x"))
    assert "https://centre.example.org/x" in str(told)


def test_another_run_is_told_from_missing_parents() -> None:
    older = failure(problem("409 Conflict", "older"))
    assert isinstance(older, Fenced)
    assert isinstance(older, Locked)
    parents = failure(problem("409 Conflict", "parent", missing={"Node": [69, 70], "Location": [5]}))
    assert isinstance(parents, MissingRows)
    assert parents.missing == {"Node": {69, 70}, "Location": {5}}


@pytest.mark.parametrize("missing", [None, [], {}, {"Node": []}, {"Node": "69"}, {"Node": [True]}, {"Secret": [1]}])
def test_parents_that_make_no_sense_are_a_wrong_answer(missing: object) -> None:
    assert isinstance(failure(problem("409 Conflict", "parent", missing=missing)), NotTheCentre)


def test_rows_that_are_refused_are_named() -> None:
    entry = {"row": 1, "column": "value", "reason": "range", "words": "too large"}
    junk = [entry, 5, {"row": -1, "column": "a", "reason": "b", "words": "c"}, {"row": 1}]
    refused = failure(problem("422 Unprocessable Content", "rows", errors=junk))
    assert isinstance(refused, FaultyRows)
    assert [(fault.row, fault.column, fault.reason) for fault in refused.faults] == [(1, "value", Reason.RANGE)]


def test_a_page_that_is_refused_as_a_whole_says_why() -> None:
    refused = failure(problem("422 Unprocessable Content", "refused", reason="column"))
    assert isinstance(refused, RefusedPage)
    assert (refused.reason, refused.is_of_table) == (Reason.COLUMN, True)
    assert "[push.model]" in refused.hint
    assert "in its own words" in str(refused)
    unknown = failure(problem("422 Unprocessable Content", "refused", reason="whatever"))
    assert isinstance(unknown, RefusedPage)
    assert not unknown.is_of_table


def test_the_pause_that_a_busy_centre_asks_for_is_told() -> None:
    busy = failure(problem("503 Service Unavailable", "busy", "Retry-After: 17"))
    assert isinstance(busy, NotNow)
    assert isinstance(busy, Unreachable)
    assert busy.wait_s == 17.0


def test_rows_that_cant_even_travel_are_named() -> None:
    target = TargetSettings(name="centre", url="http://127.0.0.1:1", key="abc.secret")
    page = as_table(READING, [reading(NOW), (NOW, 1, 0, 5, "abc"), (NOW, 1 << 70, 0, 5, 1.0)])
    with CentreClient(target, BUILDING) as client, pytest.raises(FaultyRows) as caught:
        client.encode_page(READING, page, now_s=NOW)
    assert {fault.row for fault in caught.value.faults} == {1, 2}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"sites": [{"site": "a", "tables": [{"table": "Reading", "position": [NOW, 1, 2]}]}]}, (NOW, 1, 2)),
        ({"site": "b", "sites": [{"site": "a", "tables": []}, {"site": "b", "tables": []}]}, None),
    ],
)
def test_the_positions_of_a_site_are_found_without_a_run(document: object, expected: object) -> None:
    with ScriptedWeb(answering("200 OK", document)) as web, open_client(web) as client:
        assert client.read_positions() == {"Reading": expected, "NodeState": None}


@pytest.mark.parametrize("document", [{}, {"sites": []}, {"sites": [1, 2]}, {"sites": [{}, {}]}, {"sites": {"a": 1}}])
def test_positions_of_no_site_are_a_wrong_answer(document: object) -> None:
    with ScriptedWeb(answering("200 OK", document)) as web, open_client(web) as client, pytest.raises(NotTheCentre):
        client.read_positions()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["older", "parent", "rows"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "missing", "errors", "detail", "reason", "accepted", "Node", "row"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from([200, 201, 302, 400, 401, 404, 409, 413, 422, 429, 503]), JUNK), max_size=8))
def test_no_answer_ends_in_anything_but_our_own_errors(answers: list[tuple[int, object]]) -> None:
    scripts = iter([answering(f"{status} Whatever", document, "Connection: close") for status, document in answers])
    with ScriptedWeb(lambda visitor: next(scripts)(visitor)) as web, open_client(web) as client:
        for _ in answers:
            try:
                client.send_page(READING, b"body", rows=2, run=7, position=None)
            except (ConfigError, DataError, Locked, Unreachable):
                pass
