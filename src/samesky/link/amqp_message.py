"""What goes over an AMQP link: messages, what became of them, the events a link reports, and how keys are matched.

AMQP 0.9.1 as RabbitMQ speaks it. A message has a routing key, a body, and properties beside the body; peers that know
nothing of the properties read the body alone (seed 004), so whatever is ours goes into the properties.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

LONGEST_KEY_BYTES = 255
"""A routing key is a short string of the protocol (4.2.5.3)."""

Role = Literal["publishing", "consuming"]
"""Which of a link's two connections: RabbitMQ stops reading from those that publish when it is short of memory."""


@dataclass(frozen=True, slots=True)
class Properties:
    """What a message says beside its body. ``timestamp_s`` is in Unix seconds; the protocol keeps whole ones."""

    content_type: str | None = None
    timestamp_s: float | None = None
    message_id: str | None = None
    headers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AmqpArrived:
    """A message came. ``delivery`` belongs to the link: `AmqpLink.acknowledge` and `reject` need it."""

    key: str
    body: bytes = field(repr=False)
    properties: Properties
    delivery: object = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AmqpUnreadable:
    """A message came whose key or properties can't be read as what they should be; the link has rejected it."""

    key: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AmqpConnected:
    """A connection stands: what is published goes out now, or every subscription holds. ``address`` is host:port."""

    role: Role
    address: str


@dataclass(frozen=True, slots=True)
class AmqpDisconnected:
    """A connection ended, or an attempt failed, for ``reason`` (a sentence). ``final``: there won't be another."""

    role: Role
    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """The broker has it, and at least one queue was bound for its key."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The broker was there, and nobody listens to the key now. No fault: the next one finds who listens then."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """It was never written: a newer body for its key came first."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The broker didn't confirm it in time, for ``reason``. ``in_doubt``: it was written, and may arrive yet."""

    reason: str
    in_doubt: bool


@dataclass(frozen=True, slots=True)
class Denied:
    """The broker won't have it, for ``reason``, until somebody changes something there."""

    reason: str


Outcome = Published | Returned | Superseded | TimedOut | Denied


@dataclass(frozen=True, slots=True)
class AmqpSent:
    """What became of a body that was offered: `Published`, `Returned` or `Superseded`."""

    key: str
    properties: Properties
    outcome: Published | Returned | Superseded


AmqpEvent = AmqpConnected | AmqpDisconnected | AmqpArrived | AmqpUnreadable | AmqpSent


def check_key(key: str) -> str:
    """Return ``key`` when a message can have it; else ``ValueError``: 1 to 255 bytes of UTF-8, no NUL, no wildcard."""
    if any(word in ("*", "#") for word in check_pattern(key).split(".")):
        raise ValueError("a message's key has no word * or #: those stand for words in what is listened to")
    return key


def check_pattern(pattern: str) -> str:
    """Return ``pattern`` when a queue can be bound by it; else ``ValueError``: 1 to 255 bytes of UTF-8, no NUL."""
    try:
        size_bytes = len(pattern.encode())
    except UnicodeEncodeError:
        raise ValueError("a key has half a surrogate pair") from None
    if not 1 <= size_bytes <= LONGEST_KEY_BYTES or "\0" in pattern:
        raise ValueError(f"a key has 1 to {LONGEST_KEY_BYTES} bytes, none of them 0")
    return pattern


def check_properties(properties: Properties) -> Properties:
    """Return ``properties`` when a message can have them; else ``ValueError``.

    Texts and names of up to 255 bytes; headers are texts, booleans, floats, None, and integers of 64 bits.
    """
    for text in (properties.content_type or "", properties.message_id or "", *properties.headers):
        if len(text.encode(errors="replace")) > LONGEST_KEY_BYTES:
            raise ValueError(f"a property or the name of a header has more than {LONGEST_KEY_BYTES} bytes")
    for name, value in properties.headers.items():
        if not isinstance(value, str | bool | float | int | None):
            raise ValueError(f"the header {name} is no text, number or truth value")
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise ValueError(f"the header {name} is an integer of more than 64 bits")
        if isinstance(value, str):
            value.encode()  # UnicodeEncodeError is a ValueError
    return properties


def matches(pattern: str, key: str) -> bool:
    """Whether a topic exchange takes a message with ``key`` to a queue bound by ``pattern``.

    Words are between dots; ``*`` stands for one word, ``#`` for any number of them, none included.
    """
    words = key.split(".")
    # reached[n]: whether the pattern so far can take exactly the first n words.
    reached = [True] + [False] * len(words)
    for part in pattern.split("."):
        if part == "#":
            first = reached.index(True) if True in reached else len(reached)
            reached = [n >= first for n in range(len(reached))]
        else:
            fits = [part in ("*", word) for word in words]
            reached = [False] + [before and fit for before, fit in zip(reached, fits, strict=False)]
    return reached[-1]
