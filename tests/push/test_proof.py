"""A proof says in one line what was found, and comes through JSON as it was, whoever wrote it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import Reason, Refused
from samesky.push.proof import Proof, describe_group, moment

SAME = Proof(
    table="Reading",
    same=True,
    rows=105_120,
    rows_at_centre=105_120,
    digest="3f" * 16,
    at=1_700_000_000.5,
    from_s=1_600_000_000,
    to_s=1_700_000_000,
)
COUNTS = st.integers(0, 1 << 62)


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        (SAME, f"the same: 105,120 rows, digest {'3f' * 16}"),
        (replace(SAME, extra_at_centre=2), f"the same: 105,120 rows, digest {'3f' * 16}; the centre has 2 more"),
        (replace(SAME, resent_rows=7), f"7 rows sent again; the same: 105,120 rows, digest {'3f' * 16}"),
        (
            replace(SAME, same=False, different_groups=2, missing=1, examples=("2023-11-14 69", "2023-11-15 69")),
            "different: 2 groups differ, at least 1 row missing at the centre (2023-11-14 69, 2023-11-15 69), "
            "of 105,120 rows",
        ),
        (
            replace(SAME, same=False, altered_groups=1, refused=3),
            "different: 1 group altered by the centre, 3 rows refused by the centre, of 105,120 rows",
        ),
        (replace(SAME, to_s=None, rows=0), "nothing was pushed yet: there is nothing to compare"),
    ],
)
def test_a_proof_is_told_in_one_line(proof: Proof, words: str) -> None:
    assert proof.describe() == words


@given(
    st.builds(
        Proof,
        table=st.text(max_size=40),
        same=st.booleans(),
        rows=COUNTS,
        rows_at_centre=COUNTS,
        digest=st.text("0123456789abcdef", max_size=32),
        at=st.floats(0, 1e12),
        from_s=st.none() | st.integers(-(1 << 40), 1 << 40),
        to_s=st.none() | st.integers(-(1 << 40), 1 << 40),
        extra_at_centre=COUNTS,
        refused=COUNTS,
        altered_groups=COUNTS,
        different_groups=COUNTS,
        missing=COUNTS,
        examples=st.lists(st.text(max_size=20), max_size=5).map(tuple),
        resent_rows=COUNTS,
        questions=COUNTS,
        seconds=st.floats(0, 1e6),
    )
)
def test_a_proof_arrives_as_it_was_sent(proof: Proof) -> None:
    assert Proof.from_dict(json.loads(json.dumps(proof.as_dict()))) == proof


def test_fields_of_a_later_version_are_passed_over_and_those_of_an_older_one_not_needed() -> None:
    document = SAME.as_dict() | {"proven_by": "somebody"}
    for name in ("seconds", "questions", "examples"):
        del document[name]
    assert Proof.from_dict(document) == SAME


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rows": "5"}, Reason.TYPE),
        ({"rows": True}, Reason.TYPE),
        ({"rows": 5.0}, Reason.TYPE),
        ({"rows": None}, Reason.TYPE),
        ({"rows": 1 << 63}, Reason.RANGE),
        ({"same": 1}, Reason.TYPE),
        ({"at": float("nan")}, Reason.RANGE),
        ({"at": "now"}, Reason.TYPE),
        ({"table": "x" * 1001}, Reason.TYPE),
        ({"examples": "2023"}, Reason.SHAPE),
        ({"examples": ["x"] * 6}, Reason.SHAPE),
        ({"examples": [5]}, Reason.TYPE),
        ({"from_s": "1"}, Reason.TYPE),
    ],
)
def test_what_is_no_proof_is_refused(changes: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        Proof.from_dict(SAME.as_dict() | changes)
    assert refused.value.reason is reason


def test_a_proof_without_what_it_proves_is_refused() -> None:
    for document, reason in (([], Reason.SHAPE), ({}, Reason.REQUIRED), ({"table": "Reading"}, Reason.REQUIRED)):
        with pytest.raises(Refused) as refused:
            Proof.from_dict(document)
        assert refused.value.reason is reason


def test_one_row_is_no_rows() -> None:
    one = replace(SAME, rows=1)
    assert one.describe().startswith("the same: 1 row, digest ")
    assert ", of 1 row" in replace(one, same=False, different_groups=1).describe()


def test_words_of_figures() -> None:
    assert describe_group(19_675, 69) == "2023-11-14 69"
    assert moment(1_700_000_000) == "2023-11-14 22:13 UTC"
