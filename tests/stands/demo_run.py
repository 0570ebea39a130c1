"""A demo as a user runs it: a process of its own, what it says in a file, and who it leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

from .waiting import wait_for

SOURCE = Path(__file__).resolve().parents[2] / "src"
DEADLINE_S = 300


class DemoRun:
    """One run of `samesky` with ``arguments``, or of the Python ``code``; a context manager that ends it.

    Its temporary directory is in ``folder``. What it prints is its story; with --json its outcome is apart.
    """

    def __init__(
        self, folder: Path, *arguments: str, code: str = "", path: str | None = None, columns: int = 80
    ) -> None:
        self.story_path, self.outcome_path = folder / "story", folder / "outcome"
        command = ["-c", code] if code else ["-m", "samesky"]
        environment = os.environ | {"PYTHONPATH": str(SOURCE), "TMPDIR": str(folder), "COLUMNS": str(columns)}
        if path is not None:
            environment["PATH"] = path
        with self.story_path.open("wb") as story, self.outcome_path.open("wb") as outcome:
            self.process = subprocess.Popen(
                [sys.executable, *command, *arguments],
                stdout=outcome if "--json" in arguments else story,
                stderr=story,
                env=environment,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def text(self) -> str:
        """What it has said so far."""
        return self.story_path.read_text()

    def wait_for_text(self, text: str) -> None:
        """Return when it has said ``text``; fails when it ends before."""

        def seen() -> bool:
            assert self.process.poll() is None or text in self.text, f"ended before {text!r}:\n{self.text}"
            return text in self.text

        wait_for(seen, DEADLINE_S, what=repr(text), explain=lambda: self.text)

    def page_url(self) -> str:
        """The address of its page, which it says first of all."""
        self.wait_for_text(" open it in a browser.\n")
        words = self.text.split()
        assert words[0] == "Page:", self.text
        return words[1]

    def read_page(self) -> dict[str, Any]:
        """What its page tells programs."""
        with urlopen(f"{self.page_url()}?format=json", timeout=DEADLINE_S) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def wait(self) -> int:
        """Its exit status, when it has ended."""
        return self.process.wait(DEADLINE_S)


def find_processes(folder: Path) -> list[int]:
    """Processes that were started with a file in ``folder``."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if f"\0{folder}" in read_command(pid)]


def read_command(pid: int) -> str:
    """The words of its command line, with a NUL between them; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
