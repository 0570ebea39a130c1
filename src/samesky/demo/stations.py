"""The demo's stations: a folder as WeeWX has it, and the weewxd that runs in it."""

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ..errors import SetupError, Unreachable
from ..station.location import SqliteLocation
from .program import start_module
from .weewx_conf import AIR_EXTENSION, DATABASES

STOP_TIMEOUT_S = 10.0
TAIL_LINES = 15


def check_weewx() -> None:
    """Raise `SetupError` unless this Python has a WeeWX to run."""
    if not all(importlib.util.find_spec(name) for name in ("weewx", "weewxd")):
        raise SetupError(
            f"WeeWX isn't installed for {sys.executable}",
            hint="pip install 'samesky[demo]', which brings WeeWX; from a checkout, scripts/demo does it all",
        )


class Station:
    """A WeeWX station under ``root``, called ``name`` in messages, with ``conf`` as its weewx.conf."""

    def __init__(self, name: str, root: Path, conf: str) -> None:
        """Write the station's files; those that are there already are written anew, the databases are kept."""
        self.name = name
        self.root = root
        self.config_path = root / "weewx.conf"
        self.log_path = root / "weewx.log"
        self._output_path = root / "output.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        user = root / "bin" / "user"
        for folder in (user, root / "archive"):
            folder.mkdir(parents=True, exist_ok=True)
        self.config_path.write_text(conf, encoding="utf-8")
        (user / "air_quality.py").write_text(AIR_EXTENSION, encoding="utf-8")
        for empty in ("__init__.py", "extensions.py"):
            (user / empty).touch()

    def location(self, binding: str) -> SqliteLocation:
        """Where a binding's database is."""
        return SqliteLocation(self.root / "archive" / DATABASES[binding])

    @property
    def pid(self) -> int:
        """weewxd's process id."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Start weewxd; returns at once. On SIGTERM it signals its whole process group, which is its own."""
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        command = ("weewxd", "--exit", "--config", str(self.config_path))
        self._process = start_module(*command, output_path=self._output_path, cwd=self.root)

    def check(self) -> None:
        """Raise `Unreachable`, with the end of weewxd's log, when it has ended."""
        status = None if self._process is None else self._process.poll()
        if status is not None:
            raise Unreachable(
                f"the {self.name}'s weewxd has ended with status {status}\n{self.tail()}",
                hint=f"read {self.log_path} (give --directory to keep it)",
            )

    def has_logged(self, text: str) -> bool:
        """Whether ``text`` is in what weewxd has logged since it was started."""
        if not self.log_path.exists():
            return False
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return text.encode() in log.read()

    def tail(self) -> str:
        """The last lines of weewxd's log; of what it wrote on stdout and stderr when it hasn't logged anything."""
        for path in (self.log_path, self._output_path):
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
            if lines:
                return "\n".join([f"--- the end of {path}", *[line for line in lines if line][-TAIL_LINES:]])
        return "--- it logged nothing"


def stop_stations(stations: Iterable[Station]) -> None:
    """End the weewxd of all stations, at the same time; returns when none is left. Harmless for those not running."""
    processes = [station._process for station in stations if station._process is not None]
    try:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        pass  # ended below
    finally:
        for process in processes:
            process.kill()
            process.wait()
