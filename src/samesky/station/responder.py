"""The responder's brain: what to do with a request. It reads no database and sends nothing.

`Responder.on_request` takes a message and the time; `Responder.next_job` gives out the work, one piece at a time. The
oldest goes first. Version 1 streams are cut into chunks and wait at the back of the queue between them, so that no
page is ever behind a stream. The thread around it is `serving`.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..core.status import Counters
from ..core.strict import Reason, Refused
from ..link.message import Message
from .messages import encode_error
from .requests import Request, decode_request, reply_address

MAX_JOBS = 1000
BUSY_RETRY_S = 2
STREAM_CHUNK = 100
# What a version 1 copy bears that stores each record as it comes, on a small machine that has other things to do too.
STREAM_RECORDS_A_SECOND = 400


@dataclass(frozen=True, slots=True)
class Job:
    """A request to answer; for version 1, its next chunk."""

    request: Request
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Throttle:
    """Version 1's flow control: after ``count`` records, ``sleep_s`` seconds of rest."""

    count: int = 1000
    sleep_s: float = 1.0


class Responder:
    """Decides for one instance; ``streams`` are the bindings it answers for."""

    def __init__(
        self,
        streams: Iterable[str],
        *,
        throttle: Throttle,
        response_topics: Iterable[str] = (),
        on_refused: Callable[[Message, Refused], None] = lambda message, refusal: None,
        qos: int = 1,
    ) -> None:
        """``on_refused`` is told of each refusal; ``response_topics`` are allowed besides those of version 1 and 2."""
        self.streams = frozenset(streams)
        self.refused = Counters()
        self._instances = {stream.partition("/")[0] for stream in self.streams}
        self._throttle = throttle
        self._response_topics = frozenset(response_topics)
        self._on_refused = on_refused
        self._qos = qos
        self._jobs: deque[Job] = deque()
        self._open: set[tuple[str, str]] = set()

    def on_request(self, message: Message, now: float) -> Message | None:
        """Take a request in; returns the error answer to send at once, if any.

        A bad request of a version 1 peer is refused in silence (it would fall over an answer), counted either way.
        One job a requester and stream: what comes meanwhile is told to come back, so a storm costs one page. A
        version 1 requester asks once, when it starts: its stream begins anew from what it says.
        """
        if not message.payload and message.retain:
            return None
        try:
            request = decode_request(message, response_topics=self._response_topics)
            self._check_scope(request)
        except Refused as refusal:
            if refusal.reason is Reason.NOT_FOUND and message.topic.rpartition("/")[2] not in self._instances:
                return None  # on the topic that all instances share, another responder answers for its own
            self.refused.add(refusal.reason)
            self._on_refused(message, refusal)
            return self._error(message, _code_of(refusal.reason))
        key = (request.reply_to, request.stream)
        if request.version == 1:
            self._drop(key)
        if key in self._open or len(self._jobs) >= MAX_JOBS:
            self.refused.add("busy")
            return self._error(message, "busy") if request.version >= 2 else None
        self._open.add(key)
        self._jobs.append(Job(request, now))
        return None

    def next_job(self, now: float) -> Job | None:
        """The oldest job whose time has come, taken from the queue; finish it with `on_done` or `on_chunk`."""
        for job in self._jobs:
            if job.not_before <= now:
                self._jobs.remove(job)
                return job
        return None

    def next_time(self) -> float | None:
        """When the next job is due; None when there is none."""
        return min((job.not_before for job in self._jobs), default=None)

    def on_done(self, job: Job) -> None:
        """The job is answered, or given up: its requester may ask again."""
        self._open.discard((job.request.reply_to, job.request.stream))

    def on_chunk(self, job: Job, last: int, count: int, now: float) -> None:
        """A version 1 stream has sent ``count`` records up to ``last``; fewer than a chunk ends it.

        The throttle's rest is spread over the chunks: bursts of a thousand are what overflows a broker's queue. For the
        same reason the pace has an upper limit: a version 1 copy has no way to say that it is too fast.
        """
        if count < STREAM_CHUNK:
            self.on_done(job)
            return
        configured_s = self._throttle.sleep_s * count / self._throttle.count if self._throttle.count else 0.0
        rest_s = max(configured_s, count / STREAM_RECORDS_A_SECOND)
        self._jobs.append(Job(replace(job.request, after=last), now + rest_s))

    def on_unsent(self, job: Job, now: float) -> None:
        """A chunk could not be sent (no connection, window full): try it again a little later."""
        self._jobs.append(replace(job, not_before=now + 1.0))

    def forget(self) -> None:
        """The connection is gone: drop the jobs of requesters that ask again, thus not those of version 1."""
        for job in [job for job in self._jobs if job.request.version >= 2]:
            self._drop((job.request.reply_to, job.request.stream))

    def _drop(self, key: tuple[str, str]) -> None:
        for job in [job for job in self._jobs if (job.request.reply_to, job.request.stream) == key]:
            self._jobs.remove(job)
        self._open.discard(key)

    def error(self, request: Request, code: str) -> Message | None:
        """The answer that a job failed; None for a version 1 requester."""
        if request.version < 2 or not request.correlation:
            return None
        return encode_error(
            request.reply_to, request.correlation, request.stream, code=code, retry_after_s=BUSY_RETRY_S, qos=self._qos
        )

    def _check_scope(self, request: Request) -> None:
        if self._is_request_topic(request.reply_to):
            raise Refused(Reason.REPLYTO, "the ResponseTopic is our own request topic")
        if request.stream not in self.streams:
            raise Refused(Reason.NOT_FOUND, "the request is for a stream that isn't served here")

    def _is_request_topic(self, topic: str) -> bool:
        prefix, _, instance = topic.rpartition("/")
        return prefix == "replicate/request" and instance in self._instances

    def _error(self, message: Message, code: str) -> Message | None:
        address = reply_address(message, response_topics=self._response_topics)
        if address is None:
            return None
        topic, correlation, stream = address
        if self._is_request_topic(topic):
            return None
        return encode_error(topic, correlation, stream, code=code, retry_after_s=BUSY_RETRY_S, qos=self._qos)


def _code_of(reason: Reason) -> str:
    return reason if reason in (Reason.NOT_FOUND, Reason.VERSION) else Reason.BAD_REQUEST
