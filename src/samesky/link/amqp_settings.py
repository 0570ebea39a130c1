"""Where an AMQP broker is, and how we use it."""

from dataclasses import dataclass

from .amqp_url import AmqpUrl
from .tls import TlsSettings

SHORTEST_HEARTBEAT_S = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AmqpSettings:
    """Several ``urls`` are the nodes of one cluster: they are tried in turn, so that one of them may fail.

    Raises ``ValueError`` for numbers that can't work.
    """

    urls: tuple[AmqpUrl, ...]
    name: str = "samesky"
    """What the broker's administrator sees as the name of the connection."""
    exchange: str = "syncast"
    heartbeat_s: int = 10
    """A broker that is silent is given up within twice that."""
    tls: TlsSettings | None = None
    """Which certificates to use with ``amqps`` (default: those the system trusts)."""
    prefetch: int = 200
    """How many messages, over all keys, may be with us without being acknowledged."""
    queue_length: int = 10_000
    """How many the broker keeps for us; the oldest go first."""
    dead_letter_exchange: str | None = None
    """Where the broker puts what we reject; it must be there. Default: nowhere."""
    bind_again_s: float = 4.0
    """How often exchange and bindings are declared again, in case somebody deleted them."""
    connect_timeout_s: float = 5.0
    publish_timeout_s: float = 10.0
    """What the broker was sent, and hasn't confirmed after so long, is sent again on another connection."""

    def __post_init__(self) -> None:
        if not self.urls:
            raise ValueError("an AMQP link needs at least one broker")
        if self.heartbeat_s < SHORTEST_HEARTBEAT_S:
            raise ValueError(f"heartbeat_s is at least {SHORTEST_HEARTBEAT_S}")
        if not 1 <= self.prefetch <= 65_535 or self.queue_length < 1:
            raise ValueError("prefetch is 1 to 65535, and queue_length at least 1")
        if min(self.bind_again_s, self.connect_timeout_s, self.publish_timeout_s) <= 0:
            raise ValueError("times are more than 0 s")
