"""Where a station tells over MQTT how its streams are doing: `StatusSettings`, and the options that make them."""

from dataclasses import dataclass

from ..config import Options
from ..link.packet import check_topic

OPTIONS = frozenset({"status", "status_topic", "home_assistant", "discovery_prefix"})


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """``discovery_prefix`` is where Home Assistant looks for what it may show; empty: it is told nothing."""

    topic: str = "replicate/status"
    discovery_prefix: str = ""
    enabled: bool = True


def read_status_settings(options: Options) -> StatusSettings:
    """The options ``status``, ``status_topic``, ``home_assistant`` and ``discovery_prefix`` of a role's section."""
    enabled = options.flag("status", True)
    wants_discovery = options.flag("home_assistant", False)
    if wants_discovery and not enabled:
        options.findings.error(options.where, "home_assistant = true needs the status messages: remove status = false")
    return StatusSettings(
        topic=_read_topic(options, "status_topic", "replicate/status"),
        discovery_prefix=_read_topic(options, "discovery_prefix", "homeassistant") if wants_discovery else "",
        enabled=enabled,
    )


def _read_topic(options: Options, name: str, default: str) -> str:
    topic = options.text(name, default).rstrip("/")
    try:
        check_topic(topic, name)
    except ValueError as error:
        options.findings.error(options.where, f"{name} = {topic!r} can't be a topic: {error}")
    return topic
