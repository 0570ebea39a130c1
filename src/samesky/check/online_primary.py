"""A primary's rights. The copies' topics are tried with messages that are nobody's.

The archive topic itself isn't tried: a version 1 copy takes whatever comes there for a record of its own, and ends over
one that isn't. The summary topic beside it, to which no version 1 copy listens, has to do.
"""

import time
import zlib
from collections.abc import Iterator

from ..config import Findings
from ..core.columns import encode_tables
from ..errors import SameskyError
from ..link.message import Message
from ..station.messages import SummaryMessage, encode_error, encode_loop, encode_summary
from ..station.requests import RESPONSE_PREFIX, Request, encode_request
from ..station.serve_settings import ServeSettings
from .online_copy import AFTER_EVERYTHING
from .probe import Probe, check_connection, check_properties_arrive, check_status_rights
from .raised import describe_raised
from .roles import ResponderRole

STALE_S = 7200
"""A LOOP packet so old is thrown away by every copy."""


def check_primary_online(role: ResponderRole, findings: Findings, unreachable: Findings, patience_s: float) -> None:
    """Note what the broker denies this primary."""
    assert role.config is not None
    try:
        with Probe(role.config.mqtt, role.config.serve.request_topics) as probe:
            if not check_connection(probe, role.where, findings, unreachable):
                return
            _check_publishing(role.where, role.config.serve, probe, findings, patience_s)
            _check_requests(role.where, role.config.serve, probe, findings, patience_s)
            told = [f"{role.config.serve.instance}/+/primary"]
            check_status_rights(probe, role.config.status, told, role.where, findings, patience_s)
            check_properties_arrive(probe, role.where, findings)
    except SameskyError as error:
        findings.error(role.where, describe_raised(error))


def _check_publishing(where: str, serve: ServeSettings, probe: Probe, findings: Findings, patience_s: float) -> None:
    for message, allow, needed in _trials(serve, probe):
        if reason := probe.publish(message, patience_s):
            note = findings.error if needed else findings.warn
            note(
                where,
                f"the broker denies publishing to {message.topic} ({reason}): in its ACL write topic write {allow}",
            )
        else:
            findings.tell(where, f"may publish to {message.topic}")
    findings.tell(
        where,
        f"the right to publish to {serve.archive_topic} wasn't tried: a version 1 copy doesn't survive a record that "
        "isn't one",
    )


def _trials(serve: ServeSettings, probe: Probe) -> Iterator[tuple[Message, str, bool]]:
    """(a message that hurts nobody, what to allow, whether a primary is none without that right)"""
    nobody = f"{serve.instance}/samesky-check"
    answer = encode_error(probe.reply_to, b"check-echo", nobody, code="check", retry_after_s=0, qos=1)
    yield answer, f"{RESPONSE_PREFIX}#", True
    summary = SummaryMessage(nobody, 0, "", zlib.compress(encode_tables([])))
    yield encode_summary(f"{serve.archive_topic}/summary", summary, qos=1), f"{serve.archive_topic}/#", True
    if serve.loop_packets:
        packet = {"dateTime": int(time.time()) - STALE_S, "usUnits": 1}
        yield encode_loop(serve.loop_topic, nobody, packet), serve.loop_topic, False


def _check_requests(where: str, serve: ServeSettings, probe: Probe, findings: Findings, patience_s: float) -> None:
    """Ask as a copy would, where this user may: the echo proves the right to read requests."""
    stream = f"{serve.instance}/{serve.bindings[0].name}" if serve.bindings else f"{serve.instance}/samesky-check"
    asked: list[bytes] = []
    for number, topic in enumerate(serve.request_topics):
        # Copies of today use the instance's topic, which comes first; the plain one is for some of version 1.
        note = findings.warn if number else findings.error
        if reason := probe.denied(topic, "subscribe"):
            note(where, f"the broker denies subscribing to {topic} ({reason}): in its ACL write topic read {topic}")
            continue
        asked.append(f"check#{number}".encode())
        request = Request(stream, AFTER_EVERYTHING, probe.reply_to, asked[-1], 2, "describe")
        if probe.publish(encode_request(request, topic, qos=1), patience_s):
            asked.pop()
            findings.tell(where, f"the right to read {topic} isn't proven: this user may not publish there itself")
        elif probe.find(lambda each, topic=topic: each.topic == topic, patience_s):  # type: ignore[misc]
            findings.tell(where, f"may read {topic}: a request came")
        else:
            note(where, f"requests on {topic} don't come: in the broker's ACL write topic read {topic}")
    if probe.find(lambda each: each.correlation in asked and each.topic == probe.reply_to, patience_s if asked else 0):
        findings.tell(where, f"a primary answers for {stream} already: this one, if it runs")
