"""Ranges and conditions get what RFC 9110 says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.mesh.conditional import Part, Representation, plan_part

FILE = Representation(size=1000, mtime_ns=1_700_000_000_123_456_789, inode=77)
WHOLE = Part(200, 0, 1000)
OTHER = '"4d-17979cfe362a0000-3e8"'
SAME_SECOND, EARLIER = "Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:19 GMT"


def plan(**headers: str) -> Part:
    return plan_part({name.replace("_", "-"): text for name, text in headers.items()}, FILE)


def test_a_plain_get_gets_the_whole_file() -> None:
    assert plan() == WHOLE
    assert FILE.last_modified == SAME_SECOND


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes=0-0", Part(206, 0, 1)),
        ("bytes=0-", Part(206, 0, 1000)),
        ("bytes=999-", Part(206, 999, 1000)),
        ("bytes=10-19", Part(206, 10, 20)),
        ("bytes=10-5000", Part(206, 10, 1000)),
        ("bytes=-1", Part(206, 999, 1000)),
        ("bytes=-5000", Part(206, 0, 1000)),
        ("BYTES= 5-9 ", Part(206, 5, 10)),
        ("bytes=1000-", Part(416)),
        ("bytes=5000-6000", Part(416)),
        ("bytes=-0", Part(416)),
        ("bytes=9-5", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=0-1,5-6", WHOLE),
        ("bytes=x-y", WHOLE),
        ("lines=1-2", WHOLE),
        ("bytes=" + "9" * 30 + "-", WHOLE),
        ("bytes=٣-٤", WHOLE),
    ],
)
def test_a_range_gets_that_part_and_what_is_not_understood_the_whole(text: str, part: Part) -> None:
    assert plan(Range=text) == part


def test_of_an_empty_file_no_range_can_be_had() -> None:
    empty = Representation(0, 1, 1)
    assert plan_part({}, empty) == Part(200, 0, 0)
    assert plan_part({"Range": "bytes=0-"}, empty) == Part(416)


def test_a_range_of_another_version_gets_the_whole_file() -> None:
    assert plan(Range="bytes=5-", If_Range=FILE.etag) == Part(206, 5, 1000)
    for other in (OTHER, f"W/{FILE.etag}", SAME_SECOND, ""):
        assert plan(Range="bytes=5-", If_Range=other) == WHOLE


def test_what_the_client_has_is_not_sent_again() -> None:
    assert plan(If_None_Match=FILE.etag) == Part(304)
    assert plan(If_None_Match=f'{OTHER}, W/{FILE.etag}, "x,y"') == Part(304)
    assert plan(If_None_Match="*") == Part(304)
    assert plan(If_None_Match=OTHER, If_Modified_Since=SAME_SECOND) == WHOLE
    assert plan(If_Modified_Since=SAME_SECOND) == Part(304)
    assert plan(If_Modified_Since=EARLIER) == WHOLE
    assert plan(If_Modified_Since="yesterday") == WHOLE


def test_what_the_client_insists_on_is_kept_to() -> None:
    assert plan(If_Match=FILE.etag) == WHOLE
    assert plan(If_Match="*") == WHOLE
    assert plan(If_Match=OTHER) == Part(412)
    assert plan(If_Match=f"W/{FILE.etag}") == Part(412)
    assert plan(If_Unmodified_Since=SAME_SECOND) == WHOLE
    assert plan(If_Unmodified_Since=EARLIER) == Part(412)
    assert plan(If_Unmodified_Since="yesterday") == WHOLE
    assert plan(If_Match=FILE.etag, If_Unmodified_Since=EARLIER) == WHOLE


def test_every_version_has_a_tag_of_its_own() -> None:
    versions = [FILE, Representation(1001, FILE.mtime_ns, 77), Representation(1000, FILE.mtime_ns + 1, 77)]
    versions.append(Representation(1000, FILE.mtime_ns, 78))
    assert len({each.etag for each in versions}) == 4


@given(
    st.dictionaries(
        st.sampled_from(["Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"]),
        st.text(max_size=30) | st.from_regex(r"bytes=[0-9]*-[0-9]*(,[0-9]+-)?", fullmatch=True) | st.just(FILE.etag),
    ),
    st.integers(0, 3000),
)
def test_whatever_is_asked_the_part_is_in_the_file(headers: dict[str, str], size: int) -> None:
    part = plan_part(headers, Representation(size, FILE.mtime_ns, 77))
    assert part.status in (200, 206, 304, 412, 416)
    assert 0 <= part.start <= part.stop <= size
    assert (part.status == 206) <= (part.start < part.stop)
