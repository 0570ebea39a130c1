"""The responder inside WeeWX: a service beside the primary database.

    [Engine]
        [[Services]]
            restful_services = …, user.samesky.station.weewx_service.MQTTReplicateResponder

The primary is a weather station first: the service hands records to a thread of its own and never waits, and whatever
goes wrong in here is a line in the log.
"""

import logging
from collections.abc import Mapping
from typing import Any

from weewx.engine import StdEngine, StdService

import weewx

from ..config import Findings
from ..errors import SameskyError
from .databases import read_weewx_location, state_directory
from .serving import Serving
from .stanza import read_responder, read_stanza
from .state import State
from .status_publishing import StatusPublishing
from .tree_store import TreeStore

_log = logging.getLogger(__name__)


class MQTTReplicateResponder(StdService):
    """Publishes each new archive record and answers the copies' requests."""

    def __init__(self, engine: StdEngine, config_dict: Mapping[str, Any]) -> None:
        super().__init__(engine, config_dict)
        self._serving: Serving | None = None
        if getattr(engine, "samesky_responder", None) is not None:
            _log.warning("responder_twice hint='[Engine] [[Services]] lists the responder twice: remove one'")
            return
        engine.samesky_responder = self
        try:
            self._serving = _make_serving(config_dict)
            if self._serving is not None:
                self._serving.start()
                self.bind(weewx.NEW_ARCHIVE_RECORD, self.new_archive_record)
                self.bind(weewx.NEW_LOOP_PACKET, self.new_loop_packet)
        except SameskyError as error:
            _log.error("responder_off error=%r hint=%r", str(error), error.hint)
        except Exception:
            _log.exception("responder_off: the station records, but answers no copies")

    def new_archive_record(self, event: Any) -> None:
        """Have the record published."""
        try:
            if self._serving is not None:
                self._serving.publish_record(event.record)
        except Exception:
            _log.exception("record_not_published")

    def new_loop_packet(self, event: Any) -> None:
        """Have the LOOP packet published."""
        try:
            if self._serving is not None:
                self._serving.publish_loop(event.packet)
        except Exception:
            _log.exception("loop_packet_not_published")

    def shutDown(self) -> None:
        """Stop answering."""
        if self._serving is not None:
            self._serving.close()


def _make_serving(config: Mapping[str, Any]) -> Serving | None:
    findings = Findings()
    stanza = read_stanza(config, findings)
    section = stanza.section("Responder")
    if section is None:
        _log.info("responder_off: there is no [MQTTReplicate] [[Responder]]")
        return None
    settings = read_responder(section, lambda binding, _: read_weewx_location(config, binding, findings))
    findings.raise_errors("weewx.conf")
    for finding in findings.found:
        _log.warning("configuration %s", finding)
    if settings is None or not settings.enabled:
        _log.info("responder_off: enable = false")
        return None
    directory = settings.state_dir or state_directory(config)
    state = State(directory)
    status = StatusPublishing(settings.status, settings.mqtt.client_id, state=state)
    return Serving(
        settings.serve,
        status.link_to(settings.mqtt),
        state=state,
        sums=TreeStore(directory),
        status=status,
    )
