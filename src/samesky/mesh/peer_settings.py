"""What a peer is told to do: `PeerSettings`, with its neighbours and where it announces."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..link.message import Subscription
from ..link.mqtt import MqttSettings
from ..link.urls import UrlRules
from .fields import MAX_INLINE_BYTES
from .peer import Rules

EXCHANGE = "xpublic"
COMPARE_INTERVAL_S = 600.0
SCAN_INTERVAL_S = 3600.0
SESSION_EXPIRY_S = 86_400
RECEIVE_MAXIMUM = 1000

Format = Literal["v03", "wis2"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A broker whose announcements are followed."""

    name: str
    """Its URL without a password: what it is called in logs and in the status."""
    mqtt: MqttSettings
    subscriptions: tuple[Subscription, ...]
    priority: int = 0
    """Higher first."""
    exchange: str = EXCHANGE
    subtopics: tuple[str, ...] = ()
    """What of its tree is followed, and compared; none: all."""
    compares: bool = True
    """Whether trees are compared with the node there; a WIS2 global broker answers no such question."""


@dataclass(frozen=True, slots=True)
class Posting:
    """Where and how this peer announces what it has."""

    name: str
    mqtt: MqttSettings
    base_url: str
    exchange: str = EXCHANGE
    split: int = 0
    """Announce in so many topic trees in turn, for workers of the seed's kind: ``<exchange>00``, ``<exchange>01`` …"""
    inline_most_bytes: int = 0
    """Files up to this size travel in their announcements; 0: none does."""
    encoding: Literal["text", "binary", "guess"] = "guess"
    format: Format = "v03"
    centre_id: str = ""
    """Who we are in the WIS2 topic hierarchy."""


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """A peer of the tree at ``folder``."""

    folder: Path
    neighbours: tuple[Neighbour, ...]
    posting: Posting | None = None
    rules: Rules = field(default_factory=Rules)
    urls: UrlRules = field(default_factory=UrlRules)
    consumer: str = "peer"
    """Whose rows in the tree's queue are ours: the client id."""
    inline_max_bytes: int = MAX_INLINE_BYTES
    """The largest file that is taken from an announcement itself."""
    download: bool = True
    """False: files are neither fetched nor stored, their announcements are passed on as they are."""
    durable: bool = True
    """Whether a file is on the disk before it is announced, or in the system's hands."""
    lag_warn_s: float = 120.0
    compare_interval_s: float = COMPARE_INTERVAL_S
    accept_removals: int = 0
    """How many removals each neighbour's comparison may bring once, where it would be held otherwise."""
    scan_interval_s: float = SCAN_INTERVAL_S
