"""A block's data on their way (blocks/envelope.py): rows of the design's table of bad inputs, column O."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.blocks.envelope import Metadata, decode_message, encode_body, encode_headers
from samesky.blocks.freshness import Freshness, Lateness
from samesky.core.strict import Reason, Refused

NOW = 1_700_000_000.0
GOOD = {"samesky-origin": "a.b", "samesky-epoch": "1", "samesky-sequence": "2"}
METADATA = st.builds(
    Metadata,
    origin=st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20),
    epoch=st.integers(0, (1 << 63) - 1),
    sequence=st.integers(0, (1 << 63) - 1),
    hops=st.integers(0, 100),
    interval_s=st.none() | st.floats(0, 1000),
    sent_s=st.none() | st.floats(NOW - 1000, NOW + 1000),
    state=st.sampled_from(["live", "goodbye"]),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=10,
)


def decode(body: bytes = b"{}", headers: dict[str, object] | None = None, key: str = "a.b") -> Any:
    return decode_message(key, body, list((headers or {}).items()), now=NOW)


def reason_of(*arguments: Any, **named: Any) -> Reason:
    with pytest.raises(Refused) as refusal:
        decode(*arguments, **named)
    return refusal.value.reason


def test_the_seeds_body_alone_is_a_message_of_an_old_peer() -> None:
    message = decode(b'{"value": 123, "nested": {"value": 456}}')
    assert message.data == {"value": 123, "nested": {"value": 456}}
    assert message.metadata is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"\xff\xfe", Reason.ENCODING),
        ('{"a": 1}'.encode("utf-16"), Reason.ENCODING),
        (b'{"a": ', Reason.JSON),
        (b"[1]", Reason.SHAPE),
        (b"5", Reason.SHAPE),
        (b"null", Reason.SHAPE),
        (b"[" * 100_000, Reason.DEPTH),
        (b'{"a": NaN}', Reason.NONFINITE),
        (b'{"a": 1e999}', Reason.NONFINITE),
        (b'{"a": 1, "a": 2}', Reason.DUPKEY),
        (b'{"a": ' + b"9" * 5000 + b"}", Reason.RANGE),
        (b'{"a": 9223372036854775808}', Reason.RANGE),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', Reason.SIZE),
        (b"!!python/object:os.system", Reason.JSON),
        (b"\x80\x04\x95", Reason.ENCODING),
    ],
)
def test_a_body_that_is_none_is_refused(body: bytes, reason: Reason) -> None:
    assert reason_of(body) is reason


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"samesky-epoch": "1", "samesky-sequence": "2"}, Reason.REQUIRED),
        ({"samesky-origin": "a", "samesky-sequence": "2"}, Reason.REQUIRED),
        ({"samesky-origin": "a", "samesky-epoch": "1"}, Reason.REQUIRED),
        ({**GOOD, "samesky-origin": "x" * 256}, Reason.NAME),
        ({**GOOD, "samesky-epoch": "-1"}, Reason.RANGE),
        ({**GOOD, "samesky-epoch": "1.5"}, Reason.RANGE),
        ({**GOOD, "samesky-epoch": str(1 << 63)}, Reason.RANGE),
        ({**GOOD, "samesky-sequence": "٣"}, Reason.RANGE),
        ({**GOOD, "samesky-sequence": "9" * 5000}, Reason.PROPS),
        ({**GOOD, "samesky-hops": "1001"}, Reason.RANGE),
        ({**GOOD, "samesky-interval": "nan"}, Reason.RANGE),
        ({**GOOD, "samesky-interval": "-1"}, Reason.RANGE),
        ({**GOOD, "samesky-interval": "soon"}, Reason.RANGE),
        ({**GOOD, "samesky-sent": str(NOW + 3700)}, Reason.FUTURE),
        ({**GOOD, "samesky-sent": "0"}, Reason.PAST),
        ({**GOOD, "samesky-sent": str(NOW * 1000)}, Reason.FUTURE),
        ({**GOOD, "samesky-state": "dead"}, Reason.VERSION),
        ({f"header-{number}": "x" for number in range(10_000)}, Reason.PROPS),
    ],
)
def test_headers_that_are_wrong_are_refused(headers: dict[str, object], reason: Reason) -> None:
    assert reason_of(b"{}", headers) is reason


@pytest.mark.parametrize("headers", [{}, {"x-mqtt-dup": False}, {"anything": {"nested": 1}}])
def test_headers_of_others_mean_nothing(headers: dict[str, object]) -> None:
    assert decode(b"{}", headers).metadata is None


def test_a_key_that_is_none_is_refused() -> None:
    assert reason_of(b"{}", key="a\x00b") is Reason.NAME


@given(METADATA, st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=4))
def test_a_message_comes_as_it_went(metadata: Metadata, data: dict[str, Any]) -> None:
    message = decode_message("a.b", encode_body(data), list(encode_headers(metadata).items()), now=NOW)
    assert message.metadata == metadata
    assert json.dumps(message.data) == json.dumps(data)


def test_what_json_has_no_word_for_is_not_sent() -> None:
    with pytest.raises(Refused):
        encode_body({"value": float("nan")})


def test_mutated_messages_are_taken_or_refused_and_nothing_else() -> None:
    chance = random.Random(6)
    body = encode_body({"value[degC]": 21.5, "nested": {"list": [1, None, "text é"], "flag": True}})
    for _ in range(50_000):
        mutated = bytearray(body)
        for _ in range(chance.randint(1, 4)):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        try:
            decode_message("a.b", bytes(mutated), [], now=NOW)
        except Refused:
            pass


def test_a_value_is_fresh_for_three_messages_and_a_little() -> None:
    freshness = Freshness(None)
    assert freshness.state(0) == "never"
    freshness.note_heard(0, 5.0)
    freshness.note_value(0)
    assert [freshness.state(now) for now in (0, 20, 20.1)] == ["fresh", "fresh", "stale"]


def test_the_pace_of_old_peers_is_that_of_their_messages() -> None:
    freshness = Freshness(None)
    for now in (0, 30, 60):
        freshness.note_heard(now, None)
        freshness.note_value(now)
    assert freshness.lasts_s == 95
    assert freshness.stale_at() == 155


def test_a_link_may_say_how_long_a_value_lasts() -> None:
    freshness = Freshness(10)
    freshness.note_heard(0, 500.0)
    freshness.note_value(0)
    assert freshness.stale_at() == 10


def test_lateness_is_what_a_message_took_longer_than_the_quickest() -> None:
    lateness = Lateness()
    assert [lateness.add(*times) for times in ((0, 100), (1, 101.5), (2, 101), (3, 110))] == [0, 0.5, 0, 8]
