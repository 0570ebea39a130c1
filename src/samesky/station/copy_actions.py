"""What a requester's brain has decided, carried out on the copy: `CopyActions`. It decides nothing itself.

Whatever goes wrong with a copy is told, and the brain asks again from what is stored.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from ..core.status import Counters
from ..core.strict import Refused
from ..errors import ConfigError, DataError, SameskyError
from ..link.message import Message
from .followed_stream import FollowedStream
from .holds import Holds
from .messages import PageAnswer, RecordMessage, SummaryMessage
from .requester import Action, Ask, Insert, Prepare, PutSummary, Store
from .trouble import Trouble

_log = logging.getLogger(__name__)


class CopyActions:
    """Belongs to the requester's thread. ``ask`` publishes a question, ``refuse`` is told of a message that is bad.

    ``refused`` counts rows that aren't taken; ``clock`` tells the time of day, ``timer`` never jumps.
    """

    def __init__(
        self,
        *,
        ask: Callable[[Message], None],
        refuse: Callable[[Message, Refused], None],
        holds: Holds,
        trouble: Trouble,
        refused: Counters,
        clock: Callable[[], float],
        timer: Callable[[], float],
    ) -> None:
        self._ask, self._refuse = ask, refuse
        self._holds, self._trouble, self._refused = holds, trouble, refused
        self._clock, self._timer = clock, timer
        self._inserts: dict[str, tuple[FollowedStream, list[RecordMessage]]] = {}

    def do(self, stream: FollowedStream, actions: Sequence[Action], message: Message | None = None) -> None:
        """Carry out ``actions``, which ``message`` has led to; records to be inserted are gathered until `flush`."""
        for action in actions:
            match action:
                case Ask(request):
                    self._ask(request)
                case Insert(record):
                    self._inserts.setdefault(record.stream, (stream, []))[1].append(record)
                case Prepare():
                    self._prepare(stream, action)
                case Store(page):
                    self.flush()
                    self.attempt(stream, partial(self._store, stream, page), message)
                case PutSummary(summary):
                    self.flush()
                    self.attempt(stream, partial(self._put_summary, stream, summary, message))

    def flush(self) -> None:
        """Insert what has been gathered, one transaction a stream."""
        gathered, self._inserts = self._inserts, {}
        for stream, records in gathered.values():
            self.attempt(stream, partial(self._insert, stream, records))

    def hold(self, stream: FollowedStream, reason: str) -> None:
        """Stop a stream until a person has decided."""
        self._holds.hold(stream.brain.stream, reason)
        self._stop(stream, reason)

    def look_for_hold(self, stream: FollowedStream) -> bool:
        """Whether another program has had a stream stop, as an undone repair does; it stops then."""
        reason = self._holds.look(stream.brain.stream)
        if reason:
            self._stop(stream, reason)
        return bool(reason)

    def _stop(self, stream: FollowedStream, reason: str) -> None:
        stream.brain.stop(reason)
        self._trouble.report(stream.brain.stream, reason)

    def attempt(self, stream: FollowedStream, work: Callable[[], None], message: Message | None = None) -> None:
        """Do ``work`` on a copy; when it fails, the brain asks again from what is stored."""
        try:
            work()
        except Refused as refusal:
            if message is not None:
                self._refuse(message, refusal)
            self._fail(stream, refusal)
        except ConfigError as error:
            stream.brain.stop(f"{error} {error.hint}".strip())
            self._trouble.report(stream.brain.stream, error)
        except SameskyError as error:
            self._trouble.report(stream.brain.stream, error)
            stream.copy.recover()
            self._fail(stream, error)
        except Exception as error:
            # A fault of ours. The brain counts the data as taken already: unless it asks again, there is a hole.
            _log.exception("requester_fault stream=%s", stream.brain.stream)
            stream.copy.recover()
            self._fail(stream, DataError(f"a fault of samesky: {type(error).__name__}: {error}"))

    def _store(self, stream: FollowedStream, page: PageAnswer) -> None:
        stream.count(stream.copy.store_page(page, self._clock()), self._refused)

    def _put_summary(self, stream: FollowedStream, summary: SummaryMessage, message: Message | None) -> None:
        try:
            stream.copy.put_summary(summary, self._clock())
        except Refused as refusal:
            if message is not None:
                self._refuse(message, refusal)  # the records are none the worse for it

    def _insert(self, stream: FollowedStream, records: list[RecordMessage]) -> None:
        stream.count(stream.copy.insert(records, self._clock()), self._refused)

    def _prepare(self, stream: FollowedStream, action: Prepare) -> None:
        description, name = action.description, stream.brain.stream
        reason = self._holds.find_reason(name, description, from_copy=action.from_copy)
        if reason:
            self.hold(stream, reason)
            return
        self.attempt(stream, partial(self._prepare_copy, stream, action))
        if stream.brain.phase != "stopped":
            self._holds.note(name, description, from_copy=action.from_copy)

    def _prepare_copy(self, stream: FollowedStream, action: Prepare) -> None:
        agreement = stream.copy.prepare(action.description)
        stream.described = action.description
        stream.checks.on_prepared(action.description)
        actions = stream.brain.on_prepared(
            action.description,
            position=stream.copy.read_position(self._clock()),
            accepts=agreement.accepts,
            summaries=agreement.summaries == "copied",
            now=self._timer(),
        )
        self._trouble.clear(stream.brain.stream)
        self.do(stream, actions)

    def _fail(self, stream: FollowedStream, error: SameskyError) -> None:
        try:
            position = stream.copy.read_position(self._clock())
        except SameskyError:
            position = 0  # nothing is asked before a description has come and `prepare` has read the position anew
        stream.brain.on_failed(position, f"{error} {error.hint}".strip(), self._timer())
