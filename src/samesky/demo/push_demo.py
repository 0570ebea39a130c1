"""`samesky demo push`: two field sites and a centre; pushed with the commands that a user types, and compared."""

import json
import shlex
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..errors import ConfigError, DifferenceFound, Unreachable
from .page import Page
from .program import HOST, Program, check_libraries, find_ports, open_place, run_samesky
from .push_sites import (
    DAY_S,
    PLACES,
    Place,
    Readings,
    add_readings,
    read_centre,
    read_site,
    remove_readings,
    write_site,
)
from .screen import Screen

LIBRARIES = ("sqlalchemy", "httpx2", "fastapi", "uvicorn")
DAYS = 30
LATE_NODE, LATE_DAYS = 70, 5
"""The node whose readings of some days come only when everything else has been pushed."""
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.05


def run(*, seconds: float | None, directory: Path | None, as_json: bool, web_port: int | None = None) -> None:
    """Show it all; then the server goes on until ``seconds`` after the start, or until Ctrl-C.

    ``directory`` keeps the databases, else they are removed. With ``as_json`` the outcome goes to standard output as
    one object, and the story to standard error. ``web_port`` is the page's. Raises `DifferenceFound`, `SetupError`
    without a library, `ConfigError` when ``directory`` isn't new, `Unreachable` when a command fails.
    """
    started = time.monotonic()
    check_libraries(LIBRARIES, script="scripts/demo push")
    with ExitStack() as stack:
        place = open_place(stack, directory)
        file, kept = sys.stderr if as_json else sys.stdout, directory is not None
        demo = PushDemo(stack, file, place, kept=kept, web_port=web_port or 0)
        demo.write_configs()
        demo.show_page()
        demo.announce()
        demo.write_sites()
        demo.start_centre()
        demo.push()
        before = demo.compare("After the first push")
        added = demo.add_late_readings()
        demo.push_again()
        after = demo.compare("After the late readings")
        outcome = demo.describe(before, after, late=added)
        if as_json:
            print(json.dumps(outcome, indent=2), flush=True)
        if not outcome["same"]:
            raise DifferenceFound(
                "the centre differs from the sites",
                hint="run it again with --directory to keep the databases and the logs, and please report this",
            )
        demo.stay(until=None if seconds is None else started + seconds)


Compared = Mapping[str, tuple[Readings, Readings]]
"""Name of the site -> its readings, and those that the centre has of it."""


class PushDemo:
    """The demo's parts, in the order in which they are to be called; ``stack`` ends what they start."""

    def __init__(self, stack: ExitStack, file: TextIO, directory: Path, *, kept: bool, web_port: int) -> None:
        self._stack = stack
        self._file = file
        self._screen = Screen(file)
        self._directory = directory
        self._kept = kept
        (self._port,) = find_ports(1)
        self._until_s = int(time.time()) // DAY_S * DAY_S
        configs = [directory / "central.toml", *(self._folder(place) / "samesky.toml" for place in PLACES)]
        self._page = Page(directory, self._screen, configs=configs, port=web_port)
        self._centre = Program(
            "the centre", log_path=directory / "central.log", system="push", environment=self._page.environment
        )

    @property
    def url(self) -> str:
        """Where the centre is."""
        return f"http://{HOST}:{self._port}"

    def write_configs(self) -> None:
        """Write the centre's samesky.toml, and the sites'. Raises `ConfigError` when there was a demo before."""
        if self._central_database.exists():
            raise ConfigError(f"{self._directory} has the centre of an earlier demo", hint="Name another directory.")
        for place in PLACES:
            self._folder(place).mkdir(parents=True, exist_ok=True)
            self._write_config(place)
        (self._directory / "central.toml").write_text(
            f'[push.central]\ndatabase = "sqlite:///{self._central_database}"\nlisten = "{HOST}:{self._port}"\n'
        )

    def show_page(self) -> None:
        """Start the page over both sites and the centre, and say its address."""
        self._stack.enter_context(self._page)

    def announce(self) -> None:
        """Say what will happen, and where."""
        self._screen.say(
            "Two field sites with a database each, and a centre in which both are gathered. "
            "Each site has its own numbers for the same things, and both have a node 69 and a node 70."
        )
        self._screen.say(f"Directory: {self._directory} ({'kept' if self._kept else 'removed at the end'})")

    def write_sites(self) -> None:
        """Make the sites' databases; one node's readings of some days are held back."""
        for place in PLACES:
            count = write_site(self._database(place), place, days=DAYS, until_s=self._until_s)
            if place is PLACES[-1]:
                with closing(sqlite3.connect(self._database(place))) as connection, connection:
                    count -= remove_readings(connection, LATE_NODE, **self._late)
            nodes = ", ".join(f"{node} in the {name.lower()}" for name, _, node in place.rooms)
            self._screen.say(f"  {place.name:<8}  {count:,} readings of {DAYS} days; nodes {nodes}")

    def start_centre(self) -> None:
        """Make the centre, a site and a key for each, and start the server."""
        self._screen.say("\nAt the centre:")
        for place in PLACES:
            self._call("site", "add", place.name, "--config", "central.toml")
            self._call("key", "add", place.name, "--config", "central.toml", "--output", f"{place.name}/centre.key")
        self._stack.callback(self._stop_centre)
        self._say_command("serve", "--config", "central.toml")
        self._centre.start("serve", "--config", self._directory / "central.toml")
        self._centre.wait_until_answering(f"{self.url}/sync/v1/", START_TIMEOUT_S)
        self._screen.say(f"  It serves at {self.url}/")

    def push(self) -> None:
        """Push the first site; show what a push of the second would do, which finds much of it there; and push that."""
        first, second = PLACES
        self._screen.say(f"\nAt {first.name}:")
        self._call("run", "--config", self._config(first))
        self._screen.say(f"\nAt {second.name}: what would a push do?")
        self._call("plan", "--config", self._config(second))
        self._call("run", "--config", self._config(second))

    def add_late_readings(self) -> int:
        """Let the readings come that were held back; returns how many."""
        place = PLACES[-1]
        with closing(sqlite3.connect(self._database(place))) as connection, connection:
            added = add_readings(connection, place, nodes=[LATE_NODE], **self._late)
        self._screen.say(
            f"\nLate readings: node {LATE_NODE} of {place.name} was out of reach for {LATE_DAYS} days, and now delivers"
            f" {added:,} readings. All of them are older than what was pushed last."
        )
        return added

    def push_again(self) -> None:
        """Push both sites: what came late is found by comparison; and verify, as anybody may at any time."""
        for place in PLACES:
            self._call("run", "--config", self._config(place))
        self._call("verify", "--config", self._config(PLACES[-1]))

    def compare(self, title: str) -> Compared:
        """Read all databases, and print whether they are the same."""
        compared = {
            place.name: (read_site(self._database(place)), read_centre(self._central_database, place.name))
            for place in PLACES
        }
        self._screen.show_table(comparison_table(compared, title))
        return compared

    def describe(self, before: Compared, after: Compared, *, late: int) -> dict[str, Any]:
        """What --json prints."""
        same = all(site == centre for compared in (before, after) for site, centre in compared.values())
        if same:
            count = sum(site.count for site, _ in after.values())
            self._screen.say(f"The same: {count:,} readings of {len(after)} sites, every value and its meaning.")
        sites = {name: {"site": asdict(site), "centre": asdict(centre)} for name, (site, centre) in after.items()}
        return {"same": same, "late": late, "sites": sites}

    def stay(self, *, until: float | None) -> None:
        """Keep the centre running until the moment ``until`` (monotonic), or until Ctrl-C, which is the way to end."""
        try:
            if until is None:
                self._screen.say("The centre goes on. Look at it, in a browser too:")
                self._screen.say(f"  curl {self.url}/rest/sensortype/")
                self._screen.say(f"  {self.url}/docs describes its interface. Ctrl-C ends the demo.")
            while until is None or time.monotonic() < until:
                self._centre.check()
                self._page.check()
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            if until is not None:
                raise
            self._screen.say("Ended.")

    # ------------------------------------------------------------------ commands

    def _write_config(self, place: Place) -> None:
        """Write the site's samesky.toml."""
        folder = self._folder(place)
        (folder / "samesky.toml").write_text(
            f'[push]\ndatabase = "sqlite:///{self._database(place)}"\nstate_dir = "{folder}"\n\n'
            f'[push.targets.centre]\nurl = "{self.url}"\nkey_file = "{folder / "centre.key"}"\n'
        )

    def _call(self, *words: str) -> None:
        """Run `samesky push` as a user does, and show it. Raises `Unreachable` when it doesn't succeed."""
        self._say_command(*words)
        status = run_samesky("push", *words, file=self._file, cwd=self._directory, environment=self._page.environment)
        if status:
            raise Unreachable(
                f"`samesky push {words[0]}` ended with status {status}",
                hint=f"what it said is above; the centre's log is {self._centre.log_path} (--directory keeps it)",
            )

    def _say_command(self, *words: str) -> None:
        self._screen.say(f"$ samesky push {shlex.join(words)}")

    def _stop_centre(self) -> None:
        self._centre.end(STOP_TIMEOUT_S)

    # ------------------------------------------------------------------ places

    @property
    def _late(self) -> dict[str, int]:
        """The days of which the readings come late; readings of the day after them don't."""
        until_s = self._until_s - DAY_S
        return {"from_s": until_s - LATE_DAYS * DAY_S, "until_s": until_s}

    @property
    def _central_database(self) -> Path:
        return self._directory / "central.db"

    def _folder(self, place: Place) -> Path:
        return self._directory / place.name

    def _database(self, place: Place) -> Path:
        return self._folder(place) / "site.db"

    def _config(self, place: Place) -> str:
        return f"{place.name}/samesky.toml"


def comparison_table(compared: Compared, title: str) -> Table:
    """One row for each site."""
    table = Table("site", box=SIMPLE_HEAD, pad_edge=False, title=f"{title}: every reading, its value and its meaning")
    table.title_justify = "left"
    for heading in ("at the site", "at the centre"):
        table.add_column(heading, justify="right")
    table.add_column("digest")
    table.add_column("result")
    for name, (site, centre) in compared.items():
        verdict = "the same" if site == centre else "differs"
        table.add_row(name, f"{site.count:,}", f"{centre.count:,}", centre.digest[:16], verdict)
    return table
