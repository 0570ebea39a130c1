"""`judge` says whether a stream is well, and what to do; `take_snapshot` makes what is known fit to be told."""

import math
from dataclasses import replace

import pytest

from samesky.core.pace import Pace
from samesky.core.snapshot_document import decode_snapshot
from samesky.core.status import MOST_REASONS, MOST_WORDS, Snapshot, judge, take_snapshot
from samesky.core.strict import Refused

NOW = 1_700_000_000.0
COPY = Snapshot(stream="home/wx", role="requester", state="live", different=False)


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({}, "good", "the same"),
        ({"different": None}, "working", "live, not compared yet"),
        ({"different": None, "role": "responder"}, "good", "live"),
        ({"different": None, "details": {"compares": False}}, "good", "live, without comparisons"),
        ({"different": True}, "bad", "differs"),
        ({"different": True, "state": "catching-up"}, "working", "differs, and is being mended"),
        ({"different": True, "state": "catching-up", "last_error": "x"}, "bad", "x"),
        ({"last_error": "one message was refused"}, "attention", "one message was refused"),
        ({"state": "catching-up"}, "working", "catching up"),
        ({"state": "waiting"}, "working", "waiting"),
        ({"state": "waiting", "last_error": "the disk is full"}, "bad", "the disk is full"),
        ({"state": "disconnected"}, "working", "connecting"),
        ({"state": "disconnected", "last_error": "refused"}, "bad", "refused"),
        ({"state": "stopped"}, "bad", "stopped"),
        ({"lag_s": 1000.0}, "bad", "1,000 s behind, more than 900"),
        ({"lag_s": 900.0}, "good", "the same"),
    ],
    ids=str,
)
def test_a_stream_is_judged_by_the_worst_that_is_known_of_it(
    changes: dict[str, object], level: str, words: str
) -> None:
    verdict = judge(replace(COPY, **changes), max_lag_s=900)
    assert (verdict.level, verdict.words) == (level, words)


def test_whatever_is_bad_says_what_to_do() -> None:
    for state in ("stopped", "waiting", "disconnected"):
        assert judge(replace(COPY, state=state, last_error="x")).todo
    assert judge(replace(COPY, different=True)).todo
    assert judge(replace(COPY, last_error="x", state="waiting", hint="samesky repair")).todo == "samesky repair"


def test_silence_is_bad_but_for_those_of_whom_nothing_is_to_be_heard() -> None:
    assert judge(COPY, age_s=59).level == "good"
    assert judge(COPY, age_s=61).level == "bad"
    assert judge(replace(COPY, silent_after_s=None), age_s=1e6).level == "good"
    assert judge(replace(COPY, silent_after_s=900.0), age_s=800).level == "good"


def test_a_copy_is_behind_its_primary_while_it_hears_of_it_else_as_long_as_it_doesnt() -> None:
    rough = replace(COPY, position=1_699_999_400, newest=1_699_999_700)
    assert take_snapshot(rough, NOW).lag_s == 300
    assert take_snapshot(replace(rough, state="disconnected"), NOW).lag_s == 600
    assert take_snapshot(replace(rough, newest=None), NOW).lag_s == 600
    assert take_snapshot(replace(rough, lag_s=7.0), NOW).lag_s == 7
    assert take_snapshot(replace(rough, role="responder"), NOW).lag_s is None
    assert take_snapshot(replace(rough, position=1_699_999_999), NOW).lag_s == 0


def test_a_snapshot_is_fit_to_be_told() -> None:
    rough = replace(
        COPY,
        last_error="a\nb\x1b[31m" + "c" * 5000,
        hint=" type\tthis ",
        behind=-3,
        lag_s=math.inf,
        rate_per_s=math.nan,
        since=NOW + 100,
        refused={"json": 0, "shape": 2, **{f"reason {number}": 1 for number in range(500)}},
        details={"value": math.nan, "words": "x\ny", "count": 3},
    )
    made = take_snapshot(rough, NOW)
    assert made.last_error is not None
    assert len(made.last_error) == MOST_WORDS
    assert made.last_error.startswith("a b [31mccc")
    assert (made.hint, made.behind, made.lag_s, made.rate_per_s, made.since) == ("type this", 0, None, None, NOW)
    assert made.refused["shape"] == 2
    assert "json" not in made.refused
    assert len(made.refused) == MOST_REASONS
    assert made.details == {"value": None, "words": "x y", "count": 3}
    assert decode_snapshot(made.as_dict()) == made


def test_a_snapshot_of_a_later_samesky_is_taken_without_what_is_new() -> None:
    assert decode_snapshot({**COPY.as_dict(), "mood": "good"}) == COPY


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": 7},
        {"stream": "x" * 400},
        {"role": "king"},
        {"state": None},
        {"behind": -1},
        {"behind": 1.5},
        {"stored": None},
        {"stored": 1 << 70},
        {"lag_s": "1"},
        {"different": 1},
        {"hint": "a\nb"},
        {"last_error": "x" * 5000},
        {"refused": {"json": "2"}},
        {"refused": [["json", 2]]},
        {"details": {"a": [1]}},
        {"details": {str(number): number for number in range(100)}},
    ],
    ids=lambda changes: next(iter(changes)) + str(next(iter(changes.values())))[:9],
)
def test_what_is_no_snapshot_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Refused):
        decode_snapshot({**COPY.as_dict(), **changes})


def test_a_pace_is_that_of_the_last_seconds() -> None:
    pace = Pace(span_s=20)
    assert pace.read(0) is None
    for second in range(61):
        pace.note(100 * second, float(second))
    assert pace.read(60) == pytest.approx(100)
    assert pace.read(70) == pytest.approx(50, rel=0.1)
    assert pace.read(200) == 0
    pace.note(6000, 300)
    assert pace.read(300) == 0
