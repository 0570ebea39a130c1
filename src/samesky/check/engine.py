"""weewx.conf: whether the engine loads our service and our driver, and in the right place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import Findings
from ..station.databases import weewx_root
from ..station.stanza import has_copys_driver

SERVICES, STATION = "[Engine] [[Services]]", "[Station]"
DRIVER, SERVICE = "station.weewx_driver", "station.weewx_service.MQTTReplicateResponder"
_PREFIXES = ("samesky.", "user.samesky.")
_GROUPS = (
    "prep_services",
    "data_services",
    "process_services",
    "xtype_services",
    "archive_services",
    "restful_services",
    "report_services",
)
"""In the order in which WeeWX loads them, which is the order in which they are given an event."""


class Engine:
    """What a weewx.conf makes the engine load."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._user_folder = weewx_root(config) / str(config.get("USER_ROOT", "bin/user"))
        self.prefix = "user.samesky." if (self._user_folder / "samesky").is_dir() else "samesky."
        """What our modules are called here: vendored by the extension, or installed by pip."""
        self.services = _services(config)
        station = config.get("Station", {})
        self.station_type = str(station.get("station_type", "")) if isinstance(station, Mapping) else ""
        section = config.get(self.station_type, {})
        self.driver = str(section.get("driver", "")) if isinstance(section, Mapping) else ""
        self.wants_driver = has_copys_driver(config)
        """Whether the station is meant to be a copy: ours, or another program's of the family."""

    @property
    def loads_service(self) -> bool:
        """Whether our service is in a list."""
        return any(is_ours(name, SERVICE) for name in self.services)

    @property
    def loads_driver(self) -> bool:
        """Whether our driver is the station's."""
        return is_ours(self.driver, DRIVER)

    def loads(self, service: str) -> bool:
        """Whether a service of WeeWX's own, such as ``StdCalibrate``, is loaded."""
        return any(name.rpartition(".")[2] == service for name in self.services)

    def check_service(self, findings: Findings) -> None:
        """Note what is wrong with the lists of services, for a station that is to be a primary."""
        ours = [name for name in self.services if is_ours(name, SERVICE)]
        others = [name for name in self.services if name.endswith(".MQTTReplicateResponder") and name not in ours]
        write = f"{self.prefix}{SERVICE}"
        if not ours:
            instead = f" in place of {others[0]}" if others else ""
            findings.error(SERVICES, f"the responder isn't in a list: append {write} to restful_services{instead}")
        elif others:
            findings.error(SERVICES, f"{others[0]} would answer beside {ours[0]}: keep the second alone")
        elif len(ours) > 1:
            findings.error(SERVICES, f"the responder is listed {len(ours)} times: keep {ours[0]} once")
        else:
            self._check_place(ours[0], findings)

    def check_driver(self, findings: Findings) -> None:
        """Note what is wrong with station_type and driver, for a station that is to be a copy."""
        write = f"driver = {self.prefix}{DRIVER}"
        if self.loads_driver:
            self._check_vendored(f"[{self.station_type}]", self.driver, findings)
            findings.tell(STATION, f"station_type = {self.station_type}, driver = {self.driver}")
        elif not self.wants_driver:
            findings.error(
                STATION,
                f"station_type = {self.station_type}: this station follows nobody; for a copy write station_type = "
                f"MQTTReplicate, and {write} in [MQTTReplicate]; for a primary write enable = true in [[Responder]]",
            )
        elif not self.driver:
            findings.error(f"[{self.station_type}]", f"driver is missing: write {write}")
        else:
            findings.error(
                f"[{self.station_type}]", f"driver = {self.driver} is another program's: for samesky write {write}"
            )

    def _check_place(self, service: str, findings: Findings) -> None:
        archive = next((i for i, name in enumerate(self.services) if name.rpartition(".")[2] == "StdArchive"), None)
        if archive is not None and self.services.index(service) < archive:
            findings.error(
                SERVICES,
                f"{service} comes before StdArchive, so it would publish records that aren't stored yet: move it to "
                "the end of restful_services",
            )
        else:
            findings.tell(SERVICES, f"{service} is listed, after StdArchive")
        self._check_vendored(SERVICES, service, findings)

    def _check_vendored(self, where: str, name: str, findings: Findings) -> None:
        """A name below ``user.`` is a file of the extension."""
        if not name.startswith("user."):
            return
        module = name.removesuffix(".MQTTReplicateResponder").removeprefix("user.").replace(".", "/")
        file: Path = self._user_folder / f"{module}.py"
        if not file.exists():
            findings.error(
                where,
                f"{name} isn't installed, there is no {file}: samesky station extension, then weectl extension install "
                "samesky-extension.zip",
            )


def is_ours(name: str, module: str) -> bool:
    """Whether ``name`` is our ``module`` (DRIVER or SERVICE), installed by pip or by the extension."""
    return name in {f"{prefix}{module}" for prefix in _PREFIXES}


def _services(config: Mapping[str, Any]) -> list[str]:
    engine = config.get("Engine", {})
    groups = engine.get("Services", {}) if isinstance(engine, Mapping) else {}
    names: list[str] = []
    for group in _GROUPS:
        listed = groups.get(group, []) if isinstance(groups, Mapping) else []
        names += [str(name).strip() for name in (listed if isinstance(listed, list) else [listed])]
    return [name for name in names if name]
