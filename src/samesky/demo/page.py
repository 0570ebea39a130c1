"""The page of a demo: `samesky web` over what the demo runs, started before all else."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from typing import Self

from .program import HOST, STOP_TIMEOUT_S, Program, find_ports
from .screen import Screen

LIBRARIES = ("starlette", "uvicorn", "prometheus_client")
START_TIMEOUT_S = 60.0


class Page:
    """`samesky web` in a process of its own; a context manager that says its address, once it answers, and ends it.

    ``configs`` are those of what the demo runs; they must be there, what they speak of needn't. ``port`` 0 takes a free
    one. Without the libraries that it needs there is no page, which is said, and the demo goes on without.
    """

    def __init__(self, directory: Path, screen: Screen, *, configs: Sequence[Path] = (), port: int = 0) -> None:
        self._directory = directory
        self._screen = screen
        self._configs = list(configs)
        self._port = port or find_ports(1)[0]
        self._program = Program("the page", log_path=directory / "web.log", system="web", environment=self.environment)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self._port}/"

    @property
    def environment(self) -> dict[str, str]:
        """What every process of the demo needs, so that its streams are on this page and on no other."""
        return {"SAMESKY_STATUS_DIR": str(self._directory / "status")}

    def __enter__(self) -> Self:
        missing = [name for name in LIBRARIES if not importlib.util.find_spec(name)]
        if missing:
            self._screen.say(
                f"Page: none, without {', '.join(missing)} (pip install 'samesky[demo]', for {sys.executable})"
            )
            return self
        self._start()
        self._screen.say(f"Page: {self.url} shows what follows as it happens; open it in a browser.")
        return self

    def __exit__(self, *_: object) -> None:
        self._program.end(STOP_TIMEOUT_S)

    def check(self) -> None:
        """Raise `Unreachable` when its process has ended by itself."""
        self._program.check()

    def _start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        rmtree(self.environment["SAMESKY_STATUS_DIR"], ignore_errors=True)  # what an earlier run's processes have left
        configs = self._configs or [self._write_config()]
        named = [word for path in configs for word in ("--config", path)]
        try:
            self._program.start("--listen", f"{HOST}:{self._port}", *named)
            self._program.wait_until_answering(f"{self.url}health/live", START_TIMEOUT_S)
        except BaseException:
            self._program.end(STOP_TIMEOUT_S)  # nobody calls __exit__
            raise

    def _write_config(self) -> Path:
        """A configuration that names nothing, so that the page doesn't take the user's own."""
        path = self._directory / "web.toml"
        path.write_text(f'[web]\nlisten = "{HOST}:{self._port}"\n', encoding="utf-8")
        return path
