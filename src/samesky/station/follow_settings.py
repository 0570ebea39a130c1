"""What a copy follows, on which topics, and what a message on each of them is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.columns import Kind
from ..core.strict import Reason, Refused
from ..link.message import Message, Subscription
from .agreement import CopySettings
from .messages import Incoming, decode_answer, decode_live, decode_loop, decode_summary
from .requester import Asking
from .signatures import Purpose, Trust, TrustSettings
from .signing_keys import SecretKey


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """What a copy follows, and on which topics; secondary bindings are asked for first, main last (seed)."""

    copies: tuple[CopySettings, ...]
    asking: Mapping[str, Asking]
    """Stream -> where and how to ask."""
    reply_to: str
    archive_topic: str = "replicate/archive"
    loop_topic: str = "replicate/loop"
    loop_packets: bool = True
    subscribe_qos: int = 1
    accept_origin: str = ""
    trust: TrustSettings | None = None
    """Whose signatures are believed; None: what comes is believed without."""
    answer_keys: Mapping[str, SecretKey] = field(default_factory=dict)
    """Instance -> what the answers of a copy that answers for it are signed with."""

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """What the link has to subscribe to."""
        topics = [self.reply_to, self.archive_topic, f"{self.archive_topic}/summary"]
        loop = [Subscription(self.loop_topic, 0)] if self.loop_packets else []
        return (*(Subscription(topic, self.subscribe_qos) for topic in topics), *loop)


def decode_incoming(
    message: Message,
    settings: FollowSettings,
    kinds: Mapping[str, Mapping[str, Kind]],
    *,
    now: float,
    trust: Trust | None = None,
) -> Incoming:
    """What a message says, by the topic it came on; ``kinds`` as in `messages.decode_answer`. Raises `Refused`.

    ``trust`` looks first whether it may be believed, unless it is of a stream that isn't followed here.
    """
    if trust is not None and stream_of(message) in kinds:
        trust.check(message, _purpose_of(message.topic, settings))
    if message.topic == settings.reply_to:
        return decode_answer(message, kinds, now=now)
    if message.topic == settings.archive_topic:
        return decode_live(message, kinds, now=now)
    if message.topic == f"{settings.archive_topic}/summary":
        return decode_summary(message, now=now)
    if message.topic == settings.loop_topic:
        return decode_loop(message, now=now)
    raise Refused(Reason.NAME, "a topic that isn't followed here")


def stream_of(message: Message) -> str:
    """The stream that a message says it belongs to, not checked."""
    return next((value for name, value in message.properties[:32] if name == "data_binding"), "")


def _purpose_of(topic: str, settings: FollowSettings) -> Purpose:
    live: dict[str, Purpose] = {
        settings.archive_topic: "record",
        f"{settings.archive_topic}/summary": "summary",
        settings.loop_topic: "loop",
    }
    return live.get(topic, "answer")
