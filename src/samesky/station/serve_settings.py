"""How a primary answers, and on which topics."""

from dataclasses import dataclass, field

from ..link.message import Subscription
from .location import Location
from .responder import Throttle
from .signing_keys import SecretKey


@dataclass(frozen=True, slots=True)
class ServedBinding:
    """One binding of the primary: its name, database, and whether the station archives into it."""

    name: str
    location: Location
    main: bool = True
    delta_s: int = 60


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How a primary answers; the topics are version 1's unless told otherwise."""

    instance: str
    bindings: tuple[ServedBinding, ...]
    request_topics: tuple[str, ...]
    archive_topic: str = "replicate/archive"
    loop_topic: str = "replicate/loop"
    loop_packets: bool = True
    response_topics: tuple[str, ...] = ()
    publish_qos: int = 1
    subscribe_qos: int = 1
    throttle: Throttle = field(default_factory=Throttle)
    max_page_bytes: int = 1 << 20
    shared: bool = False
    """Whether to share the requests with copies that answer too (MQTT shared subscription)."""
    track_changes: bool = False
    """Whether to note changes by hand as they are made, with triggers in the primary's databases."""
    sign_key: SecretKey | None = None
    """What the answers and live messages are signed with; None: they aren't."""
    tail: bool = False
    """Watch the databases for new records oneself, where no WeeWX service reports them."""

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """What the link has to subscribe to."""
        group = f"$share/samesky-{self.instance}/" if self.shared else ""
        return tuple(Subscription(group + topic, self.subscribe_qos) for topic in self.request_topics)
