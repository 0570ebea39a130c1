"""A stream says in one line or one dict what it is doing."""

import json
from dataclasses import FrozenInstanceError

import pytest

from samesky.core.status import Counters, Snapshot
from samesky.core.strict import Reason

LIVE = Snapshot(
    stream="home/wx_binding",
    role="requester",
    state="live",
    position=1_700_000_000,
    newest=1_700_000_300,
    behind=1,
    stored=100_000,
    duplicates=3,
    refused={"json": 2, "future": 1},
    proven_through=1_700_000_000,
    proven_count=99_999,
    proven_digest="3f0c",
    proven_at=1_700_000_001.25,
    different=False,
    repaired=2,
    last_error='the database said "locked"',
    since=1_699_999_999.75,
)


def test_counters_count_and_read_like_a_dict():
    counters = Counters()
    counters.add(Reason.JSON)
    counters.add("json")
    counters.add(Reason.FUTURE, 5)
    assert counters == {"json": 2, "future": 5}
    assert counters["json"] == 2
    assert counters[Reason.FUTURE] == 5
    assert counters.total == 7
    assert [type(reason) for reason in counters] == [str, str]


def test_what_never_happened_is_zero_and_is_not_listed():
    counters = Counters({"json": 1})
    assert counters["depth"] == 0
    assert "depth" not in counters
    assert list(counters) == ["json"]


def test_a_copy_stays_as_it_is():
    counters = Counters()
    before = counters.copy()
    counters.add("json")
    assert before == {}


def test_a_snapshot_is_one_log_line():
    assert LIVE.describe() == (
        "stream=home/wx_binding role=requester state=live position=1700000000 newest=1700000300 behind=1 "
        "stored=100000 duplicates=3 refused=json:2,future:1 "
        "proven_through=1700000000 proven_count=99999 proven_digest=3f0c proven_at=1700000001 "
        "different=False repaired=2 "
        'last_error="the database said \\"locked\\"" since=1700000000'
    )


def test_what_is_unknown_is_a_dash():
    line = Snapshot(stream="home/wx_binding", role="responder", state="waiting").describe()
    assert "position=- newest=- behind=- stored=0 duplicates=0 refused=- proven_through=-" in line


def test_no_error_text_can_break_the_line_or_forge_a_pair():
    line = Snapshot(stream="a", role="responder", state="stopped", last_error="x\nstate=live stored=9").describe()
    assert "\n" not in line
    assert line.endswith('last_error="x\\nstate=live stored=9" since=0')


def test_a_snapshot_goes_through_json():
    assert json.loads(json.dumps(LIVE.as_dict()))["refused"] == {"json": 2, "future": 1}
    assert list(LIVE.as_dict())[:3] == ["stream", "role", "state"]


def test_counters_can_be_what_was_refused():
    counters = Counters()
    counters.add(Reason.PROPS)
    snapshot = Snapshot(stream="a", role="responder", state="live", refused=counters)
    assert snapshot.as_dict()["refused"] == {"props": 1}
    assert "refused=props:1" in snapshot.describe()


def test_a_snapshot_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        LIVE.state = "stopped"
