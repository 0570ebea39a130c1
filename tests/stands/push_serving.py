"""A centre as its owner serves it: `samesky push serve` in a process apart, which can be killed."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from samesky.push.building import BUILDING
from samesky.push.central_database import CentralDatabase
from samesky.push.databases import Database
from samesky.push.keys import Scope

from .children import die_with_parent
from .ports import free_port
from .waiting import wait_for

HOST = "127.0.0.1"
START_DEADLINE_S = 180
END_DEADLINE_S = 60
SOURCE = Path(__file__).resolve().parents[2] / "src"


def make_environment(*more: Path) -> dict[str, str]:
    """The environment in which a child finds the package that the tests have, and what is in the folders ``more``."""
    folders = [str(SOURCE), *map(str, more), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(folders)}


class ServedCentre:
    """A centre with its database at ``database_url``, on a loopback port that stays the same. A context manager.

    ``options`` are more lines for ``[push.central]``.
    """

    def __init__(self, folder: Path, database_url: str, *, options: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.database_url = database_url
        self.port = free_port()
        self.config = folder / "central.toml"
        self.config.write_text(
            f"[push.central]\ndatabase = {json.dumps(database_url)}\nlisten = '{HOST}:{self.port}'\n{options}\n"
        )
        self.config.chmod(0o600)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where sites find it."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def log_text(self) -> str:
        """What the server has said so far."""
        log = self.folder / "serve.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def add_site(self, name: str) -> str:
        """Make a site and a key for it; returns the key."""
        return self.add_sites([name])[name]

    def add_sites(self, names: Sequence[str]) -> dict[str, str]:
        """Make sites and a key for each; returns the keys by name."""
        with self._open() as central:
            return {name: central.keys.add(central.sites.add(name), scopes=[Scope.APPEND]).text for name in names}

    def add_key(self, name: str, scope: Scope) -> str:
        """Make one more key for a site; returns the key."""
        with self._open() as central:
            return central.keys.add(central.sites.find(name), scopes=[scope]).text

    def start(self) -> None:
        """Start the server; returns when it answers."""
        self.launch()
        wait_for(self.answers, START_DEADLINE_S, what="the centre's first answer", explain=lambda: self.log_text)

    def launch(self) -> None:
        """Start the server; returns at once."""
        with (self.folder / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "samesky", "-v", "push", "serve", "--config", str(self.config)],
                env=make_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=die_with_parent(),
            )

    def answers(self) -> bool:
        """Whether the server answers; fails when it has ended by itself."""
        assert self.pid, f"the centre has ended: {self.log_text[-3000:]}"
        try:
            self.get("/sync/v1/")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def get(self, path: str, *, key: str = "") -> Any:
        """The JSON at ``path``."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=20) as answer:
            return json.load(answer)

    def stop(self) -> None:
        """End the server in order; harmless when it doesn't run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server with `kill -9`."""
        self._end(signal.SIGKILL)

    @contextmanager
    def _open(self) -> Iterator[CentralDatabase]:
        with Database(self.database_url) as database:
            central = CentralDatabase(database, BUILDING)
            central.ensure_schema()
            yield central

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(END_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
