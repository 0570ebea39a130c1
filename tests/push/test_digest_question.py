"""A question for digests and its answer come through JSON as they were, and nothing else is taken for one."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.columns import Table
from samesky.core.strict import Reason, Refused
from samesky.push.building import BUILDING
from samesky.push.digest_question import By, DigestQuestion, decode_digests, encode_digests, months_between
from samesky.push.digests import DAY_S, GroupDigest, combine, combine_days, combine_months, digest_groups

DAY = DigestQuestion(from_s=19_700 * DAY_S, to_s=19_900 * DAY_S, by=By.DAY, within=(202401,))
GROUP = DigestQuestion(from_s=19_700 * DAY_S, to_s=19_900 * DAY_S, by=By.GROUP)
DIGEST = "00112233445566778899aabbccddeeff"


@given(
    st.integers(-(1 << 33), 1 << 33),
    st.integers(-(1 << 33), 1 << 33),
    st.sampled_from(
        [(By.ALL, ()), (By.MONTH, (202312, 202401)), (By.DAY, (202312,)), (By.GROUP, (1, -5)), (By.DAY, ())]
    ),
    st.booleans(),
)
def test_a_question_arrives_as_it_was_asked(from_s: int, to_s: int, by: tuple[By, tuple[int, ...]], deep: bool) -> None:
    question = DigestQuestion(from_s=from_s, to_s=to_s, by=by[0], within=by[1], deep=deep)
    assert DigestQuestion.from_dict(json.loads(json.dumps(question.as_dict()))) == question


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], Reason.SHAPE),
        ({}, Reason.SHAPE),
        ({"from": 0, "to": 1, "by": "year"}, Reason.SHAPE),
        ({"from": 0, "to": 1, "by": ["all"]}, Reason.SHAPE),
        ({"from": 0, "to": 1, "by": "all", "select": "*"}, Reason.SHAPE),
        ({"from": 0, "by": "all"}, Reason.TYPE),
        ({"from": True, "to": 1, "by": "all"}, Reason.TYPE),
        ({"from": 0.5, "to": 1, "by": "all"}, Reason.TYPE),
        ({"from": 0, "to": 1 << 34, "by": "all"}, Reason.RANGE),
        ({"from": 0, "to": 1, "by": "all", "deep": 1}, Reason.TYPE),
        ({"from": 0, "to": 1, "by": "all", "days": []}, Reason.SHAPE),
        ({"from": 0, "to": 1, "by": "day", "days": [1]}, Reason.SHAPE),
        ({"from": 0, "to": 1, "by": "group", "months": [202401]}, Reason.SHAPE),
        ({"from": 0, "to": 1, "by": "day", "months": [202413]}, Reason.RANGE),
        ({"from": 0, "to": 1, "by": "day", "months": [202400]}, Reason.RANGE),
        ({"from": 0, "to": 1, "by": "day", "months": ["202401"]}, Reason.TYPE),
        ({"from": 0, "to": 1, "by": "day", "months": 202401}, Reason.SHAPE),
        ({"from": 0, "to": 1, "by": "group", "days": [1] * 1001}, Reason.SHAPE),
        ({"from": 0, "to": 1, "by": "group", "days": [10**9]}, Reason.RANGE),
    ],
)
def test_what_is_no_question_is_refused(document: Any, reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        DigestQuestion.from_dict(document)
    assert refused.value.reason is reason


def test_an_answer_arrives_as_it_was_given() -> None:
    groups = {(19_725, 69): GroupDigest(5, bytes(range(16))), (19_725, -1): GroupDigest(1 << 40, bytes(16))}
    assert decode_digests(json.loads(json.dumps(encode_digests(groups))), GROUP) == groups
    days = {19_725: GroupDigest(5, bytes(range(16))), 19_726: GroupDigest(0, bytes(16))}
    assert decode_digests(encode_digests(days), DAY) == {19_725: days[19_725]}, "what has no rows isn't told"


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (None, Reason.SHAPE),
        ([5], Reason.SHAPE),
        ([[19_725, 5]], Reason.SHAPE),
        ([[19_725, 5, DIGEST], [19_725, 5, DIGEST]], Reason.DUPKEY),
        ([[19_999, 5, DIGEST]], Reason.UNINVITED),
        ([[19_710, 5, DIGEST]], Reason.UNINVITED),
        ([[[19_725, 1], 5, DIGEST]], Reason.UNINVITED),
        ([[True, 5, DIGEST]], Reason.TYPE),
        ([["19725", 5, DIGEST]], Reason.TYPE),
        ([[[19_725, 1, 1], 5, DIGEST]], Reason.TYPE),
        ([[[19_725, None], 5, DIGEST]], Reason.TYPE),
        ([[19_725, 0, DIGEST]], Reason.RANGE),
        ([[19_725, 5.0, DIGEST]], Reason.TYPE),
        ([[19_725, 5, DIGEST[:-2]]], Reason.DIGEST),
        ([[19_725, 5, "zz" * 16]], Reason.DIGEST),
        ([[19_725, 5, None]], Reason.DIGEST),
    ],
)
def test_what_is_no_answer_is_refused(entries: Any, reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        decode_digests({"groups": entries}, DAY)
    assert refused.value.reason is reason


def test_the_worked_example_of_the_page_is_right() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-it-proves.md").read_text(encoding="utf-8")
    reading = BUILDING.table("Reading")
    rows = [(1_700_000_000, 69, 1, None, 21.5), (1_700_000_300, 69, 1, None, -0.0)]
    groups = digest_groups(reading, Table.from_rows("Reading", reading.wire, rows))
    days = combine_days(groups)
    months = combine_months(days)
    for digest in (*groups.values(), *days.values(), *months.values(), combine(months)):
        assert f"`{digest.digest.hex()}`" in page
    question, answer = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)[-2:])
    assert decode_digests(answer, DigestQuestion.from_dict(question)) == groups


def test_months_are_those_that_have_a_second_in_between() -> None:
    new_year = 19_723 * DAY_S
    assert months_between(new_year - 1, new_year) == [202312]
    assert months_between(new_year - 1, new_year + 1) == [202312, 202401]
    assert months_between(new_year, new_year) == []
