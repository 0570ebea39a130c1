"""Signatures: a message that was changed, or is said of something else, or was here before, is refused."""

import base64
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.core.strict import Reason, Refused
from samesky.link.message import Message
from samesky.station.messages import (
    PageAnswer,
    SummaryMessage,
    encode_error,
    encode_loop,
    encode_page,
    encode_record,
    encode_summary,
)
from samesky.station.requests import Request, decode_request, encode_request
from samesky.station.signatures import MOST_SEEN, Signing, Trust, TrustSettings, digest_question
from samesky.station.signing_keys import SecretKey, make_key

STREAM = "home/wx_binding"
RECORD = {"dateTime": 1_700_000_000, "usUnits": 1, "interval": 5, "outTemp": 71.3}
HOME, AWAY, COPY = make_key("home"), make_key("away"), make_key("home+copy")


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trust(tmp_path: Path, clock: Clock) -> Trust:
    return make_trust(tmp_path, HOME, AWAY, COPY, timer=clock)


def make_trust(
    folder: Path, *keys: SecretKey, required: bool = True, timer: Callable[[], float] = time.monotonic
) -> Trust:
    path = folder / "trusted"
    path.write_text("".join(f"{key.public.line}\n" for key in keys))
    return Trust(TrustSettings(path, required), timer=timer)


def record(**changes: object) -> Message:
    return encode_record("archive", STREAM, {**RECORD, **changes}, qos=1, previous=1_699_999_700, origin="o1")


def question(correlation: bytes = b"q1", *, after: int = 0, stream: str = STREAM) -> Message:
    request = Request(stream, after, "replicate/response/copy", correlation, 2, "page", ("x",))
    return encode_request(request, "replicate/request/home", qos=1)


def page(asked: Message, *, origin: str = "o1", said: tuple[tuple[str, str], ...] = ()) -> Message:
    request = replace(decode_request(asked), said=said)
    return encode_page(request, PageAnswer(STREAM, b"", 0, 1, 9, 9, origin, "x", b"body"), qos=1)


def answer(asked: Message, key: SecretKey = HOME, **options: object) -> Message:
    return Signing(key).sign(page(asked, **options), "answer", digest_question(asked))  # type: ignore[arg-type]


def refused(trust: Trust, message: Message, purpose: str = "record") -> Reason:
    with pytest.raises(Refused) as raised:
        trust.check(message, purpose)  # type: ignore[arg-type]
    return raised.value.reason


def with_property(message: Message, name: str, value: str) -> Message:
    said = tuple((each, value if each == name else old) for each, old in message.properties)
    return replace(message, properties=said)


def without(message: Message, *names: str) -> Message:
    return replace(message, properties=tuple(each for each in message.properties if each[0] not in names))


# ---------------------------------------------------------------------- what is signed


def test_what_the_primary_signed_is_believed(trust: Trust) -> None:
    signing = Signing(HOME)
    summary = SummaryMessage(STREAM, 5, "o1", b"rows")
    trust.check(signing.sign(record(), "record"), "record")
    trust.check(signing.sign(encode_summary("s", summary, qos=1), "summary"), "summary")
    trust.check(signing.sign(encode_loop("l", STREAM, RECORD), "loop"), "loop")
    trust.note_question(question())
    trust.check(answer(question()), "answer")


def test_a_message_without_a_signature_is_refused_and_told_what_to_do(trust: Trust) -> None:
    with pytest.raises(Refused, match="isn't signed") as raised:
        trust.check(record(), "record")
    assert raised.value.reason is Reason.SIG
    assert "sign_key_file" in raised.value.hint


def test_a_record_of_version_1_is_refused(trust: Trust) -> None:
    assert refused(trust, encode_record("archive", STREAM, RECORD, qos=1)) is Reason.SIG


def test_the_signature_of_a_key_that_isnt_trusted_is_refused(trust: Trust) -> None:
    stranger = make_key("home")
    assert refused(trust, Signing(stranger).sign(record(), "record")) is Reason.SIG


def test_a_trusted_key_id_over_anothers_signature_is_refused(trust: Trust) -> None:
    forged = Signing(make_key("home")).sign(record(), "record")
    assert refused(trust, with_property(forged, "key", HOME.public.key_id)) is Reason.SIG


@pytest.mark.parametrize("signature", ["", "00", "=" * 88, base64.b64encode(bytes(64)).decode(), "\ud800"])
def test_a_signature_that_is_none_is_refused(trust: Trust, signature: str) -> None:
    message = Signing(HOME).sign(record(), "record")
    assert refused(trust, with_property(message, "signature", signature)) is Reason.SIG


def test_whatever_of_a_signed_message_is_changed_the_signature_fits_no_more(trust: Trust) -> None:
    message = Signing(HOME).sign(record(), "record")
    changes = [
        replace(message, payload=record(outTemp=1.0).payload),
        replace(message, content_type="application/json"),
        replace(message, correlation=b"x"),
        replace(message, properties=(*message.properties, ("previous2", "1"))),
        *(with_property(message, name, "7") for name, _ in message.properties if name in ("previous", "origin", "seq")),
        *(without(message, name) for name, _ in message.properties if name in ("previous", "origin", "digest")),
        with_property(message, "data_binding", "home/other"),
    ]
    assert [refused(trust, each) for each in changes] == [Reason.SIG] * len(changes)
    trust.check(message, "record")


def test_a_loop_packet_is_no_record_whoever_publishes_it_as_one(trust: Trust) -> None:
    packet = Signing(HOME).sign(encode_loop("loop", STREAM, RECORD), "loop")
    assert refused(trust, packet, "record") is Reason.SIG
    trust.check(packet, "loop")


# ---------------------------------------------------------------------- whose it is


def test_a_key_speaks_for_its_own_instance_alone(trust: Trust) -> None:
    assert refused(trust, Signing(AWAY).sign(record(), "record")) is Reason.SCOPE


def test_a_copys_key_answers_as_a_copy_and_does_nothing_else(trust: Trust) -> None:
    trust.note_question(question())
    trust.check(answer(question(), COPY, said=(("copy", "replicate/response/b"), ("proven", "9"))), "answer")
    assert refused(trust, answer(question(), COPY), "answer") is Reason.SCOPE
    assert refused(trust, Signing(COPY).sign(record(), "record")) is Reason.SCOPE


def test_a_copy_may_say_that_it_cant_answer(trust: Trust) -> None:
    trust.note_question(question())
    error = encode_error("replicate/response/copy", b"q1", STREAM, code="busy", retry_after_s=2, qos=1)
    trust.check(Signing(COPY).sign(error, "answer", digest_question(question())), "answer")


# ---------------------------------------------------------------------- answers


def test_an_answer_to_another_question_is_refused(trust: Trust) -> None:
    trust.note_question(question(b"q1", after=5))
    assert refused(trust, answer(question(b"q1", after=6)), "answer") is Reason.SIG


def test_an_answer_to_a_question_that_was_never_asked_is_refused(trust: Trust) -> None:
    assert refused(trust, answer(question()), "answer") is Reason.UNCORRELATED


def test_an_answer_is_bound_to_where_it_was_wanted(trust: Trust) -> None:
    trust.note_question(question())
    elsewhere = replace(question(), response_topic="replicate/response/other")
    assert refused(trust, answer(elsewhere), "answer") is Reason.SIG


def test_an_answer_to_another_copy_is_no_answer_to_this_one(trust: Trust) -> None:
    trust.note_question(question(b"mine"))
    theirs = answer(question(b"theirs"))
    assert refused(trust, replace(theirs, correlation=b"mine"), "answer") is Reason.SIG


# ---------------------------------------------------------------------- again


def test_what_came_live_is_taken_once(trust: Trust) -> None:
    message = Signing(HOME).sign(record(), "record")
    trust.check(message, "record")
    assert refused(trust, message) is Reason.REPLAY
    assert not trust.is_outdated(message)


def test_live_messages_in_another_order_are_all_taken(trust: Trust) -> None:
    signing = Signing(HOME)
    messages = [signing.sign(record(), "record") for _ in range(20)]
    for message in reversed(messages):
        trust.check(message, "record")


def test_old_messages_are_refused_when_many_came_since(trust: Trust) -> None:
    signing = Signing(HOME)
    first = signing.sign(record(), "record")
    for _ in range(MOST_SEEN + 1):
        trust.check(signing.sign(record(), "record"), "record")
    assert refused(trust, first) is Reason.REPLAY
    assert trust.is_outdated(first)


def describe(trust: Trust, signing: Signing, correlation: bytes) -> None:
    asked = question(correlation)
    trust.note_question(asked)
    said = with_property(page(asked), "kind", "description")
    trust.check(signing.sign(said, "answer", digest_question(asked)), "answer")


def test_what_was_live_before_the_primary_described_itself_is_old(trust: Trust) -> None:
    signing = Signing(HOME)
    old = signing.sign(record(), "record")
    describe(trust, signing, b"q1")
    assert refused(trust, old) is Reason.REPLAY
    trust.check(signing.sign(record(), "record"), "record")


def test_a_primary_whose_clock_was_set_back_is_believed_once_it_has_described_itself(
    trust: Trust, clock: Clock
) -> None:
    describe(trust, Signing(HOME, clock=clock), b"q1")
    clock.now -= 30 * 86_400
    restarted = Signing(HOME, clock=clock)
    message = restarted.sign(record(), "record")
    assert refused(trust, message) is Reason.REPLAY
    assert trust.is_outdated(message)
    describe(trust, restarted, b"q2")
    trust.check(restarted.sign(record(), "record"), "record")


def test_sequence_numbers_rise_whatever_the_clock_does(clock: Clock) -> None:
    signing = Signing(HOME, clock=clock)
    numbers = []
    for step in (0, 0, -3600, 1):
        clock.now += step
        numbers.append(int(dict(signing.sign(record(), "record").properties)["seq"]))
    assert numbers == sorted(set(numbers))


# ---------------------------------------------------------------------- where signatures aren't required


def test_without_the_requirement_what_isnt_signed_passes_and_is_counted(tmp_path: Path) -> None:
    trust = make_trust(tmp_path, HOME, required=False)
    trust.check(record(), "record")
    trust.check(Signing(make_key("home")).sign(record(), "record"), "record")
    assert trust.unsigned == 2


def test_a_wrong_signature_of_a_trusted_key_is_refused_even_then(tmp_path: Path) -> None:
    trust = make_trust(tmp_path, HOME, required=False)
    message = Signing(HOME).sign(record(), "record")
    assert refused(trust, replace(message, payload=b"{}")) is Reason.SIG


# ---------------------------------------------------------------------- the list of keys


def test_two_keys_are_valid_at_once_and_a_removed_one_is_revoked(tmp_path: Path, clock: Clock) -> None:
    new = make_key("home")
    trust = make_trust(tmp_path, HOME, new, timer=clock)
    trust.check(Signing(HOME).sign(record(), "record"), "record")
    trust.check(Signing(new).sign(record(), "record"), "record")
    (tmp_path / "trusted").write_text(f"{new.public.line}\n")
    clock.now += 10
    assert refused(trust, Signing(HOME).sign(record(), "record")) is Reason.SIG
    trust.check(Signing(new).sign(record(), "record"), "record")


def test_a_list_that_gets_a_mistake_leaves_the_keys_as_they_were_and_says_so(tmp_path: Path, clock: Clock) -> None:
    trust = make_trust(tmp_path, HOME, timer=clock)
    (tmp_path / "trusted").write_text("home 00")
    clock.now += 10
    trust.check(Signing(HOME).sign(record(), "record"), "record")
    assert "line 1" in trust.keys.trouble
