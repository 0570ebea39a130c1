"""Whatever comes from outside is proven or refused for the reason that the table of bad inputs names."""

import json
import math
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core import strict
from samesky.core.strict import Reason, Refused
from samesky.errors import DataError

NOW = 1_700_000_000.0

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(strict.LOWEST_INTEGER, strict.HIGHEST_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def reason_of(decode, *arguments, **options):
    with pytest.raises(Refused) as caught:
        decode(*arguments, **options)
    return caught.value.reason


def nested(depth, opening=b"[", closing=b"]"):
    return opening * depth + closing * depth


BAD_DOCUMENTS = {
    "row 1: nothing": (b"", Reason.EMPTY),
    "row 2: Latin-1": ('{"station": "Zürich"}'.encode("latin-1"), Reason.ENCODING),
    "row 2: UTF-16 with byte order mark": ('{"a": 1}'.encode("utf-16"), Reason.ENCODING),
    "row 2: UTF-16 without byte order mark": ('{"a": 1}'.encode("utf-16-le"), Reason.ENCODING),
    "row 2: UTF-32": ('{"a": 1}'.encode("utf-32-be"), Reason.ENCODING),
    "row 2: an overlong encoding": (b'{"a": "\xc0\xaf"}', Reason.ENCODING),
    "row 2: a surrogate in UTF-8": (b'{"a": "\xed\xa0\x80"}', Reason.ENCODING),
    "row 2: an escaped lone surrogate": (rb'{"a": "\ud800"}', Reason.ENCODING),
    "row 2: a lone surrogate in a key": (rb'{"\udfff": 1}', Reason.ENCODING),
    "row 2: surrogates in the wrong order": (rb'["\udc00\ud800"]', Reason.ENCODING),
    "row 3: cut short": (b'{"dateTime": 1700000000, "outTe', Reason.JSON),
    "row 3: only spaces": (b"  \n", Reason.JSON),
    "row 3: a byte order mark": (b'\xef\xbb\xbf{"a": 1}', Reason.JSON),
    "row 3: two documents": (b'{"a": 1}{"a": 1}', Reason.JSON),
    "row 3: a trailing comma": (b'{"a": 1,}', Reason.JSON),
    "row 3: a number as nobody writes it": (b'{"a": 01}', Reason.JSON),
    "row 3: a control character in a string": (b'{"a": "\x01"}', Reason.JSON),
    "row 4: a list": (b"[1, 2]", Reason.SHAPE),
    "row 4: a number": (b"1700000000", Reason.SHAPE),
    "row 4: null": (b"null", Reason.SHAPE),
    "row 4: a string": (b'"abc"', Reason.SHAPE),
    "row 5: 100,000 lists": (nested(100_000), Reason.DEPTH),
    "row 5: 100,000 lists never closed": (b"[" * 100_000, Reason.DEPTH),
    "row 5: 100,000 objects": (nested(100_000, b'{"a":', b"}"), Reason.DEPTH),
    "row 5: an object with one list too many": (b'{"a": %s}' % nested(16), Reason.DEPTH),
    "row 6: NaN": (b'{"outTemp": NaN}', Reason.NONFINITE),
    "row 6: Infinity": (b'{"outTemp": Infinity}', Reason.NONFINITE),
    "row 6: -Infinity": (b'{"outTemp": -Infinity}', Reason.NONFINITE),
    "row 6: 1e999": (b'{"outTemp": 1e999, "name": "a"}', Reason.NONFINITE),
    "row 6: -1e999 among others": (b'{"a": 1.5, "b": 3, "c": null, "outTemp": -1e999}', Reason.NONFINITE),
    "row 6: 1e999 far inside": (b'{"a": [[{"b": [null, 1e999]}]]}', Reason.NONFINITE),
    "row 6: infinities that cancel out": (b'{"a": [1e999, -1e999]}', Reason.NONFINITE),
    "row 7: a key twice": (b'{"a": 1, "a": 1}', Reason.DUPKEY),
    "row 7: a key twice far inside": (b'{"a": [{"b": {"c": 1, "d": 2, "c": 3}}]}', Reason.DUPKEY),
    "row 7: a key twice, once escaped": (rb'{"a": 1, "\u0061": 2}', Reason.DUPKEY),
    "row 8: 5,000 digits": (b'{"a": %s}' % (b"9" * 5000), Reason.RANGE),
    "row 8: 2^63": (b'{"dateTime": 9223372036854775808}', Reason.RANGE),
    "row 8: -2^63 - 1": (b'{"a": [-9223372036854775809]}', Reason.RANGE),
    "row 9: more than the cap": (b'{"a": "%s"}' % (b"x" * strict.MAX_PAYLOAD_BYTES), Reason.SIZE),
}


@pytest.mark.parametrize(("payload", "reason"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
def test_a_bad_document_is_refused_for_the_reason_the_table_names(payload, reason):
    assert reason_of(strict.decode_json_object, payload) is reason


@pytest.mark.parametrize(("payload", "reason"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
def test_a_refusal_is_one_short_line_without_the_payload(payload, reason):
    with pytest.raises(DataError) as caught:
        strict.decode_json_object(payload)
    said = str(caught.value)
    assert 10 < len(said) < 120
    assert "\n" not in said
    assert "outTemp" not in said
    assert "Zürich" not in said


@given(json_values)
def test_a_good_document_comes_out_as_it_went_in(value):
    payload = json.dumps(value).encode()
    assert repr(strict.decode_json(payload, max_depth=30)) == repr(value)


@given(json_values, st.data())
def test_a_document_cut_anywhere_is_refused_or_still_a_document(value, data):
    payload = json.dumps([value]).encode()
    cut = data.draw(st.integers(0, len(payload) - 1))
    assert reason_of(strict.decode_json, payload[:cut], max_depth=30) in {Reason.JSON, Reason.EMPTY}


def test_a_document_may_be_as_deep_and_as_large_as_the_cap_and_no_more():
    assert strict.decode_json(nested(16)) is not None
    assert reason_of(strict.decode_json, nested(17)) is Reason.DEPTH
    assert strict.decode_json(b"1", max_depth=0) == 1
    assert reason_of(strict.decode_json, b"[]", max_depth=0) is Reason.DEPTH
    assert strict.decode_json(b"[1]", max_bytes=3) == [1]
    assert reason_of(strict.decode_json, b"[1] ", max_bytes=3) is Reason.SIZE


def test_numbers_at_the_edge_of_what_a_database_holds_are_kept_exactly():
    numbers = [-(2**63), 2**63 - 1, 5e-324, -0.0, 1.7976931348623157e308, 1e22, 0]
    assert repr(strict.decode_json(json.dumps(numbers).encode())) == repr(numbers)


def test_huge_floats_whose_sum_overflows_are_still_good():
    assert strict.decode_json(b"[1e308, 1e308, 1]") == [1e308, 1e308, 1]


def test_a_pair_of_surrogate_escapes_is_one_character():
    assert strict.decode_json(rb'"\ud83c\udf26"') == "🌦"


def test_a_live_record_is_decoded():
    payload = b'{"dateTime": 1700000000, "usUnits": 1, "interval": 5, "outTemp": 71.3, "hail": null}'
    assert strict.decode_json_object(payload)["outTemp"] == 71.3


@pytest.mark.parametrize("payload", [b"0", b"7", b"1700000000", b"0000000000000000042"])
def test_a_decimal_is_read(payload):
    assert strict.decode_decimal(payload, low=0, high=2**33) == int(payload)


@pytest.mark.parametrize(
    "payload",
    [b"", b"abc", b"-1", b"+1", b" 1", b"1\n", b"1_000", b"1.0", b"1e3", b"0x10", b"1\0", "١٢".encode(), "２".encode()],
)
def test_what_int_takes_and_the_protocol_does_not_is_a_bad_request(payload):
    assert reason_of(strict.decode_decimal, payload, low=0, high=2**33) is Reason.BAD_REQUEST


def test_a_decimal_out_of_range_or_of_endless_digits_is_refused_under_the_reason_given():
    for payload in (b"11", b"4", b"1" + b"0" * 30, b"9" * 1_000_000):
        assert reason_of(strict.decode_decimal, payload, low=5, high=10, reason=Reason.PAST) is Reason.PAST


@pytest.mark.parametrize("name", ["outTemp", "_a", "archive_day_outTemp", "x" * 64, "pm2_5"])
def test_an_identifier_passes(name):
    assert strict.check_identifier(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "2a", "a b", "a-b", 'a"; DROP TABLE archive; --', "a\n", "a\0", "température", "x" * 65, None, 7, ["a"], b"a"],
)
def test_what_is_no_plain_sql_name_is_refused(name):
    assert reason_of(strict.check_identifier, name) is Reason.NAME


@pytest.mark.parametrize("name", ["Home", "wx_binding", "a b", "Zürich", "a$b", "🌦", "x" * 128])
def test_a_topic_level_passes(name):
    assert strict.check_topic_level(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "+", "a+", "#", "$SYS", "a\0", "a\n", "a\r", "\x7f", "\x85", "\ud800", "x" * 129, None, 1],
)
def test_what_is_not_one_topic_level_is_refused(name):
    assert reason_of(strict.check_topic_level, name) is Reason.NAME


def test_properties_become_a_dict_in_which_the_first_of_a_name_wins():
    pairs = [("data_binding", "home/wx_binding"), ("samesky", "2"), ("data_binding", "other/wx_binding")]
    assert strict.check_properties(pairs) == {"data_binding": "home/wx_binding", "samesky": "2"}
    assert strict.check_properties(()) == {}


@pytest.mark.parametrize("pairs", [[("a", "b")] * 10_000, [("a", "b")] * 33, [("a", "x" * 4097)], [("x" * 4097, "a")]])
def test_too_many_or_too_long_properties_are_refused(pairs):
    assert reason_of(strict.check_properties, pairs) is Reason.PROPS


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63), 1.5, -0.0, 5e-324, 1e308])
def test_a_number_passes_as_it_is(value):
    checked = strict.check_number(value)
    assert repr(checked) == repr(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        *((value, Reason.TYPE) for value in (None, True, False, "1", "abc", [1], {"a": 1}, b"1")),
        *((value, Reason.NONFINITE) for value in (math.nan, math.inf, -math.inf)),
        *((value, Reason.RANGE) for value in (2**63, -(2**63) - 1, 10**400)),
    ],
)
def test_what_is_no_storable_number_is_refused(value, reason):
    assert reason_of(strict.check_number, value) is reason


def test_a_float_is_no_integer():
    assert strict.check_number(3, integer=True) == 3
    assert reason_of(strict.check_number, 3.0, integer=True) is Reason.TYPE


def test_numbers_are_checked_together_and_other_values_passed_over():
    values = [None, "abc", True, 1, 2.5, 2**63 - 1, 1e300, [2**70]]
    strict.check_numbers(values, set(map(type, values)))
    for bad, reason in ((2**63, Reason.RANGE), (math.inf, Reason.NONFINITE), (math.nan, Reason.NONFINITE)):
        for others in ([1.5], [None, 0.0], ["a", -math.inf], [1, None], []):
            mixed = [*others, bad]
            assert reason_of(strict.check_numbers, mixed, set(map(type, mixed))) in {reason, Reason.NONFINITE}


@pytest.mark.parametrize("value", [1_700_000_000, 1_700_003_600, strict.EARLIEST_TIME, 1_700_000_000.0])
def test_a_time_passes_as_an_integer(value):
    checked = strict.check_time(value, now=NOW)
    assert type(checked) is int
    assert checked == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.REQUIRED),
        ("1700000000", Reason.TYPE),
        (True, Reason.TYPE),
        ([1_700_000_000], Reason.TYPE),
        (1_700_000_000.5, Reason.TYPE),
        (math.inf, Reason.NONFINITE),
        (2**63, Reason.RANGE),
        (1_700_003_601, Reason.FUTURE),
        (1_700_000_000_000, Reason.FUTURE),
        (1e300, Reason.FUTURE),
        (0, Reason.PAST),
        (-5, Reason.PAST),
        (86_400, Reason.PAST),
        (strict.EARLIEST_TIME - 1, Reason.PAST),
    ],
)
def test_a_time_that_cannot_be_one_is_refused(value, reason):
    assert reason_of(strict.check_time, value, now=NOW) is reason


def test_imported_history_of_the_seventies_is_good_and_a_clock_that_was_never_set_is_not():
    assert strict.check_time(63_072_000, now=NOW) == 63_072_000
    assert reason_of(strict.check_time, 31_535_999, now=NOW) is Reason.PAST


def test_no_clock_makes_a_time_after_the_latest_good():
    assert reason_of(strict.check_time, strict.LATEST_TIME + 1, now=1e300) is Reason.FUTURE


@given(st.binary(max_size=5000))
def test_what_was_deflated_is_inflated(content):
    assert strict.inflate(zlib.compress(content), max_bytes=5000) == content


def test_a_bomb_is_stopped_at_the_cap():
    bomb = zlib.compress(bytes(50_000_000))
    assert reason_of(strict.inflate, bomb, max_bytes=1 << 20) is Reason.BOMB
    content = bytes(1000)
    assert strict.inflate(zlib.compress(content), max_bytes=1000) == content
    assert reason_of(strict.inflate, zlib.compress(content), max_bytes=999) is Reason.BOMB
    assert strict.inflate(zlib.compress(b""), max_bytes=0) == b""


def test_a_stream_that_is_damaged_cut_or_followed_by_something_is_refused():
    sound = zlib.compress(b"the same observations" * 50)
    assert reason_of(strict.inflate, b"", max_bytes=5000) is Reason.EMPTY
    for damaged in (
        sound[:-1],
        sound[:10],
        sound + b"x",
        sound + sound,
        b"plain text",
        sound[:20] + b"\xff" + sound[21:],
    ):
        assert reason_of(strict.inflate, damaged, max_bytes=5000) is Reason.ENCODING


def test_a_refusal_is_an_error_of_status_4_with_a_countable_reason():
    refusal = Refused(Reason.REPLYTO, "the answer would go elsewhere", hint="set response_topic")
    assert (refusal.exit_status, refusal.code, refusal.reason, refusal.hint) == (
        4,
        "refused",
        "replyto",
        "set response_topic",
    )
    assert all(reason.value == reason.name.lower() for reason in Reason)
