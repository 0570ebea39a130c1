"""The responder's brain: what it does with requests, without a database."""

from dataclasses import replace

import pytest

from samesky.link.message import Message
from samesky.station.messages import decode_answer
from samesky.station.requests import Request, encode_request
from samesky.station.responder import MAX_JOBS, STREAM_CHUNK, STREAM_RECORDS_A_SECOND, Responder, Throttle

STREAM = "home/wx_binding"
TOPIC = "replicate/request/home"
ASK = Request(STREAM, 0, "replicate/response/copy", b"1", 2, "page")


@pytest.fixture
def brain() -> Responder:
    return Responder([STREAM, "home/aq_binding"], throttle=Throttle(1000, 1.0))


def message(request: Request = ASK, **changes: object) -> Message:
    return encode_request(replace(request, **changes), TOPIC, qos=1)  # type: ignore[arg-type]


def code_of(answer: Message | None) -> str:
    assert answer is not None
    decoded = decode_answer(answer, {}, now=0.0)
    return decoded.code  # type: ignore[union-attr]


def test_a_request_becomes_a_job_and_is_done(brain: Responder) -> None:
    assert brain.next_time() is None
    assert brain.on_request(message(), 5.0) is None
    assert brain.next_time() == 5.0
    job = brain.next_job(5.0)
    assert job is not None
    assert (job.request.stream, job.request.after, job.request.version) == (STREAM, 0, 2)
    assert brain.next_job(5.0) is None
    brain.on_done(job)
    assert brain.on_request(message(), 6.0) is None


def test_one_job_a_requester_and_stream(brain: Responder) -> None:
    brain.on_request(message(), 0.0)
    assert code_of(brain.on_request(message(correlation=b"2"), 0.0)) == "busy"
    assert brain.on_request(message(stream="home/aq_binding"), 0.0) is None
    assert brain.on_request(message(reply_to="replicate/response/other"), 0.0) is None
    assert brain.refused["busy"] == 1


def test_a_crowd_is_told_to_come_back(brain: Responder) -> None:
    answers = [brain.on_request(message(reply_to=f"replicate/response/c{n}"), 0.0) for n in range(MAX_JOBS + 10)]
    assert [answer is None for answer in answers] == [True] * MAX_JOBS + [False] * 10
    assert {code_of(answer) for answer in answers[MAX_JOBS:]} == {"busy"}


def test_a_version_1_request_again_begins_its_stream_anew(brain: Responder) -> None:
    version_1 = replace(ASK, version=1, op="stream", correlation=None, after=700)
    assert brain.on_request(message(version_1), 0.0) is None
    assert brain.on_request(message(version_1, after=300), 1.0) is None
    job = brain.next_job(1.0)
    assert job is not None
    assert job.request.after == 300
    assert brain.next_job(1.0) is None


def test_a_version_1_stream_goes_on_in_chunks_behind_pages_and_with_rests(brain: Responder) -> None:
    brain.on_request(message(replace(ASK, version=1, op="stream", correlation=None)), 0.0)
    chunk = brain.next_job(0.0)
    assert chunk is not None
    brain.on_request(message(reply_to="replicate/response/other"), 0.0)
    brain.on_chunk(chunk, 900, STREAM_CHUNK, 0.0)
    first, second = brain.next_job(60.0), brain.next_job(60.0)
    assert first is not None
    assert second is not None
    assert (first.request.version, second.request.version, second.request.after) == (2, 1, 900)
    assert second.not_before == pytest.approx(STREAM_CHUNK / STREAM_RECORDS_A_SECOND)
    brain.on_chunk(second, 1200, STREAM_CHUNK - 1, 60.0)
    assert brain.next_time() is None


def test_a_lost_connection_ends_the_jobs_of_those_who_ask_again_and_of_nobody_else(brain: Responder) -> None:
    brain.on_request(message(), 0.0)
    brain.on_request(
        message(replace(ASK, version=1, op="stream", correlation=None), reply_to="replicate/response/v1"), 0.0
    )
    brain.forget()
    job = brain.next_job(0.0)
    assert job is not None
    assert job.request.version == 1
    assert brain.next_job(0.0) is None
    assert brain.on_request(message(), 1.0) is None
    brain.on_unsent(job, 1.0)
    assert brain.next_job(1.5) is not None  # the page
    assert brain.next_job(2.0) == replace(job, not_before=2.0)


def test_a_chunk_that_could_not_be_sent_is_tried_again(brain: Responder) -> None:
    brain.on_request(message(), 0.0)
    job = brain.next_job(0.0)
    assert job is not None
    brain.on_unsent(job, 0.0)
    assert brain.next_job(0.5) is None
    assert brain.next_job(1.0) is not None


def test_a_request_on_the_shared_topic_for_another_instance_is_left_to_others(brain: Responder) -> None:
    other = encode_request(replace(ASK, stream="away/wx_binding"), "replicate/request", qos=1)
    assert brain.on_request(other, 0.0) is None
    assert brain.refused.total == 0
    assert code_of(brain.on_request(message(stream="home/none"), 0.0)) == "not_found"


def test_refusals_are_told_and_a_version_1_peer_is_never_answered() -> None:
    told: list[str] = []
    brain = Responder([STREAM], throttle=Throttle(), on_refused=lambda _, refusal: told.append(refusal.reason))
    bad = Message(TOPIC, b"abc", response_topic="replicate/response/x", properties=(("data_binding", STREAM),))
    assert brain.on_request(bad, 0.0) is None
    assert brain.on_request(Message(TOPIC, b"", retain=True), 0.0) is None
    assert told == ["bad_request"]


def test_nothing_is_ever_sent_to_our_own_request_topic(brain: Responder) -> None:
    assert brain.on_request(message(reply_to=TOPIC), 0.0) is None
    assert brain.refused["replyto"] == 1


def test_a_response_topic_elsewhere_is_taken_only_when_configured() -> None:
    request = message(reply_to="weather/answers")
    assert Responder([STREAM], throttle=Throttle()).on_request(request, 0.0) is None
    brain = Responder([STREAM], throttle=Throttle(), response_topics=["weather/answers"])
    brain.on_request(request, 0.0)
    assert brain.next_time() == 0.0
