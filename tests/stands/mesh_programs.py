"""Programs that run beside a test of the mesh: ours as a user would start them, and other people's."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from .children import die_with_parent
from .waiting import wait_for

SOURCE = Path(__file__).parents[2] / "src"


class Running:
    """A program as a child process, with its words kept in a file. A context manager: ended, by its pid, at the end."""

    def __init__(
        self,
        command: Sequence[object],
        log_file: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start ``command`` in ``folder``; stdout goes to ``log_file``, stderr beside it (``.err``)."""
        log_file.parent.mkdir(parents=True, exist_ok=True)
        self.log_file = log_file
        self.error_file = log_file.with_suffix(".err")
        with log_file.open("ab") as out, self.error_file.open("ab") as err:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=None if environment is None else dict(environment),
                cwd=folder,
                preexec_fn=die_with_parent(),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def text(self) -> str:
        """What it has said so far, stdout first."""
        files = (self.log_file, self.error_file)
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def wait_for_text(self, words: str, deadline_s: float = 60, *, times: int = 1) -> None:
        """Return when it has said ``words`` so many ``times``."""
        self.wait_for(lambda: self.text.count(words) >= times, deadline_s, what=repr(words))

    def wait_for(self, condition: Callable[[], object], deadline_s: float = 60, *, what: str) -> None:
        """Return when ``condition`` holds; fails with its last words at the deadline, or as soon as it has ended."""

        def hold() -> bool:
            if condition():
                return True
            assert self.running, f"{self._name} has ended: {self._last_words()}"
            return False

        wait_for(hold, deadline_s, what=f"{what} ({self._name})", explain=self._last_words)

    def ask_to_stop(self) -> None:
        """Send SIGTERM and don't wait; `stop` does."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, deadline_s: float = 20) -> int:
        """Send SIGTERM, after ``deadline_s`` SIGKILL; returns the exit status. Harmless when it has ended."""
        self.ask_to_stop()
        try:
            return self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it as a power cut would."""
        if self.running:
            self._process.kill()
        return self._process.wait()

    @property
    def _name(self) -> str:
        return self.log_file.stem

    def _last_words(self) -> str:
        return self.text[-3000:]


def mesh_command(*arguments: object) -> list[str]:
    """What a user types: ``samesky mesh`` and its ``arguments``."""
    return [sys.executable, "-m", "samesky", "mesh", *map(str, arguments)]


def user_environment(home: Path) -> dict[str, str]:
    """The environment of a user with this ``home``, who can run our commands."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCE),
        "PYTHONUNBUFFERED": "1",
        "USER": "tester",
    }


def run_mesh(*arguments: object, home: Path, folder: Path | None = None, status: int = 0) -> str:
    """Run one of our commands to its end and return what it said; fails unless it exits with ``status``."""
    done = subprocess.run(
        mesh_command(*arguments),
        env=user_environment(home),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = done.stdout + done.stderr
    assert done.returncode == status, f"exit status {done.returncode}\n{said}"
    return said
