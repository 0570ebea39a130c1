"""Everything that is known on this machine of streams, from wherever it was written down: `Sources`."""

import shlex
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config import Findings
from ..errors import SameskyError
from ..station.source import find_state_directories, read_tables, with_hint
from ..station.written_state import read_written as read_stations
from .full_disks import find_full_disk
from .noticeboard import Heard, Noticeboard, keep_newest

_SEED_SUFFIX = ".conf"


@dataclass(frozen=True, slots=True)
class _Read:
    """A configuration as it was when it was last looked at."""

    mark: tuple[int, int]
    """When it was written, and its size: two changes may come within one tick of the file system's clock."""
    station_directories: tuple[Path, ...] = ()
    push_directory: Path | None = None
    targets: frozenset[str] = frozenset()
    trouble: str = ""


class Sources:
    """What the stations and pushes of ``configs`` have written down, and what is on ``noticeboard``.

    What can't be read is told in `troubles`, and the rest is shown. ``more`` are other places, each of which gives what
    it has heard (the messages over MQTT, say).
    """

    def __init__(
        self,
        configs: Sequence[Path],
        noticeboard: Noticeboard,
        *,
        more: Sequence[Callable[[], Sequence[Heard]]] = (),
    ) -> None:
        self.configs = tuple(configs)
        self.troubles: tuple[str, ...] = ()
        """What couldn't be read the last time, in sentences."""
        self._noticeboard = noticeboard
        self._more = tuple(more)
        self._known: dict[Path, _Read] = {}
        self._held: dict[tuple[object, str], Heard] = {}

    def read(self, now: float) -> list[Heard]:
        """What is known now; of each stream what was heard last, by system and stream."""
        troubles: list[str] = []
        self._held.clear()
        found = [heard for config in self.configs for heard in self._read_config(config, now, troubles)]
        found += self._noticeboard.read(now)
        troubles += self._noticeboard.troubles
        for each in self._more:
            found += each()
        self.troubles = tuple(troubles)
        # Who decides about a stream may do so beside the process that runs it, which posts what it knows itself.
        return keep_newest([self._held.get((each.key, each.origin), each) for each in _drop_twins(found)])

    def describe_places(self) -> str:
        """Where is looked, in words: for somebody who finds nothing there."""
        directories = [path for config in self.configs for path in self._look_at(config).station_directories]
        return " and ".join(map(str, [*directories, self._noticeboard.directory]))

    def _read_config(self, config: Path, now: float, troubles: list[str]) -> Iterator[Heard]:
        known = self._look_at(config)
        if known.trouble:
            troubles.append(known.trouble)
        try:
            for directory in known.station_directories:
                yield from self._read_stations(config, directory)
            if known.push_directory is not None:
                yield from _read_pushes(config, known.push_directory, known.targets, now)
        except (OSError, sqlite3.Error) as error:
            troubles.append(f"what was written down for {config} can't be read: {error}")

    def _read_stations(self, config: Path, directory: Path) -> Iterator[Heard]:
        full = find_full_disk(directory)
        for written in read_stations(directory):
            snapshot = with_hint(written.snapshot, config)
            if full and not written.is_held:
                snapshot = full.apply(snapshot)
            heard = Heard(snapshot, written.at, str(config.absolute()))
            if written.is_held:
                self._held[heard.key, heard.origin] = heard
            yield heard

    def _look_at(self, config: Path) -> _Read:
        """The configuration, read again when it was changed."""
        try:
            stat = config.stat()
        except OSError as error:
            return _Read((0, 0), trouble=f"{config} can't be read: {error.strerror or error}")
        mark = stat.st_mtime_ns, stat.st_size
        known = self._known.get(config)
        if known is None or known.mark != mark:
            known = self._known[config] = _read_config(config, mark)
        return known


def _read_config(config: Path, mark: tuple[int, int]) -> _Read:
    try:
        if config.suffix == _SEED_SUFFIX and (seed := _read_seed_targets(config)) is not None:
            return _Read(mark, push_directory=config.absolute().parent, targets=seed)
        tables, is_weewx = read_tables(config, Findings())
        stations = tuple(find_state_directories(config, tables, is_weewx=is_weewx))
    except (SameskyError, OSError) as error:
        return _Read(mark, trouble=str(error))
    push = {} if is_weewx else tables.get("push", {})
    targets = push.get("targets", {}) if isinstance(push, Mapping) else {}
    if not isinstance(targets, Mapping) or not targets:
        return _Read(mark, stations)
    folder = config.absolute().parent / Path(str(push.get("state_dir", ""))).expanduser()
    return _Read(mark, stations, folder, frozenset(targets))


def _read_seed_targets(config: Path) -> frozenset[str] | None:
    """The targets of a synchronise.conf; None when it is something else."""
    import configparser

    parser = configparser.ConfigParser(interpolation=None, default_section="", strict=False)
    try:
        parser.read_string(config.read_text(encoding="utf-8"))
    except (configparser.Error, UnicodeDecodeError):
        return None
    return frozenset(parser["locations"]) if parser.has_section("locations") else None


def _read_pushes(config: Path, directory: Path, targets: frozenset[str], now: float) -> Iterator[Heard]:
    from ..push.target_snapshot import snapshot_target
    from ..push.written_status import read_written

    for status in read_written(directory):
        if status.target in targets:
            chosen = f"--config {shlex.quote(str(config))} --target {shlex.quote(status.target)}"
            snapshot = snapshot_target(status, now, command=lambda name: f"samesky push {name} {chosen}")  # noqa: B023
            yield Heard(snapshot, status.at, str(config.absolute()))


def _drop_twins(heard: Sequence[Heard]) -> list[Heard]:
    """Without what a process on this machine has told over MQTT as well: it came into its state at the same moment."""

    def mark(each: Heard) -> tuple[str, str, str, float]:
        return each.snapshot.system, each.snapshot.stream, each.snapshot.role, each.snapshot.since

    here = {mark(each) for each in heard if not each.place}
    return [each for each in heard if not each.place or mark(each) not in here]
