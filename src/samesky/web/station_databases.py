"""Which stations' databases there are on this machine, by what the configurations say."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..config import Findings, find_table
from ..errors import SameskyError
from ..station.databases import read_weewx_location, state_directory
from ..station.location import Location
from ..station.source import read_tables
from ..station.stanza import (
    RequesterConfig,
    ResponderConfig,
    read_requester,
    read_responder,
    read_roles_in_use,
    read_stanza,
    read_toml_requester,
    read_toml_responder,
)

StationRole = Literal["responder", "requester"]
ROLE_NAMES: Mapping[StationRole, str] = {"requester": "copy", "responder": "primary"}
"""What people call the two."""
NAMED_ROLES: Mapping[str, StationRole] = {name: role for role, name in ROLE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class StationDatabase:
    """The database of one stream: a primary's, or a copy."""

    stream: str
    role: StationRole
    location: Location
    state_dir: Path
    config: Path
    follow: RequesterConfig | None = field(default=None, compare=False, repr=False)
    """How to reach the primary, for a copy."""


class StationDatabases:
    """Those of ``configs``, which are read again when they were changed. Mistakes in them are other commands' news."""

    def __init__(self, configs: Sequence[Path]) -> None:
        self._configs = tuple(configs)
        self._known: dict[Path, tuple[tuple[int, int], tuple[StationDatabase, ...]]] = {}

    def read(self) -> list[StationDatabase]:
        """All there are now; of each stream and role the first."""
        found: dict[tuple[str, str], StationDatabase] = {}
        for config in self._configs:
            for each in self._read_config(config):
                found.setdefault((each.stream, each.role), each)
        return list(found.values())

    def of(self, stream: str) -> list[StationDatabase]:
        """Those of one stream: its copy first, then its primary."""
        return sorted(
            (each for each in self.read() if each.stream == stream), key=lambda each: each.role != "requester"
        )

    def _read_config(self, config: Path) -> tuple[StationDatabase, ...]:
        try:
            stat = config.stat()
        except OSError:
            return ()
        mark = stat.st_mtime_ns, stat.st_size
        known = self._known.get(config)
        if known is None or known[0] != mark:
            found: tuple[StationDatabase, ...] = ()
            with suppress(SameskyError, OSError):
                found = tuple(read_station_databases(config))
            known = self._known[config] = mark, found
        return known[1]


def read_station_databases(config: Path) -> Iterator[StationDatabase]:
    """The databases that one configuration names; those of a role with mistakes in it are left out."""
    serve, follow, usual = read_roles(config)
    yield from _list_served(serve, usual, config)
    yield from _list_followed(follow, usual, config)


def read_roles(config: Path) -> tuple[ResponderConfig | None, RequesterConfig | None, Path]:
    """What a configuration says of a primary and of copies, and where the state of both usually is.

    A role that isn't there, or has mistakes in it, is None. Raises `SameskyError` for a file that can't be read.
    """
    findings = Findings()
    tables, is_weewx = read_tables(config, findings)
    if is_weewx:
        stanza = read_stanza(tables, findings)
        served, followed = read_roles_in_use(tables, stanza)
        usual = state_directory(tables)

        def locate(name: str, _: object) -> Location | None:
            return read_weewx_location(tables, name, findings)

        serve = read_responder(served, locate) if served is not None else None
        follow = read_requester(followed, locate, own_days=True) if followed is not None else None
    else:
        station, usual = find_table(tables, "station", Findings()), config.absolute().parent
        serve = read_toml_responder(tables, Findings()) if "serve" in station else None
        follow = read_toml_requester(tables, Findings()) if "follow" in station else None
    return serve, follow, usual


def _list_served(serve: ResponderConfig | None, usual: Path, config: Path) -> Iterator[StationDatabase]:
    for each in serve.serve.bindings if serve is not None else ():
        assert serve is not None
        stream = f"{serve.serve.instance}/{each.name}"
        yield StationDatabase(stream, "responder", each.location, serve.state_dir or usual, config)


def _list_followed(follow: RequesterConfig | None, usual: Path, config: Path) -> Iterator[StationDatabase]:
    for each in follow.follow.copies if follow is not None else ():
        assert follow is not None
        yield StationDatabase(each.stream, "requester", each.location, follow.state_dir or usual, config, follow)
