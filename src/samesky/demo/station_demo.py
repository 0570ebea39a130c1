"""`samesky demo`: a real WeeWX primary with a year of records, and a copy that becomes and stays the same as it."""

import time
from bisect import bisect_right
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DifferenceFound, Unreachable
from ..link.broker import IotcoreBroker, MosquittoBroker, choose_broker
from .page import Page
from .pair import POLL_S, Arrival, Pair, compare_pairs
from .program import find_program, open_place
from .screen import Screen, Update
from .stations import Station, check_weewx, stop_stations
from .weewx_conf import AIR_BINDING, AIR_COLUMNS, ARCHIVE_INTERVAL_S, MAIN_BINDING, copy_conf, primary_conf
from .year import write_year

RECORDS = 105_120
LABELS = {MAIN_BINDING: "weather", AIR_BINDING: "air quality"}
# (column, digits, unit) to show of a live record: what fits into 80 columns.
SHOWN = {
    "weather": (("outTemp", 1, "°F"), ("barometer", 3, "inHg")),
    "air quality": (("pm2_5", 1, "µg/m³"), ("co2", 0, "ppm")),
}
START_TIMEOUT_S = 60.0
STALL_TIMEOUT_S = 60.0
LEVEL_TIMEOUT_S = 30.0
# What comparing and ending take: with --seconds, the last comparison begins so long before.
ENDING_S = 8.0
LIVE_RECORDS = 2
DELETE_A_MONTH = (
    "DELETE FROM archive WHERE dateTime BETWEEN strftime('%s', 'now', '-40 days') AND strftime('%s', 'now', '-10 days')"
)
EDIT_A_RECORD = (
    "UPDATE archive SET outTemp = outTemp + 10 WHERE dateTime = "
    "(SELECT MAX(dateTime) FROM archive WHERE dateTime < strftime('%s', 'now', '-1 day') AND outTemp IS NOT NULL)"
)
BROKERS = {"mosquitto": MosquittoBroker, "iotcore": IotcoreBroker}


def run(
    *,
    seconds: float | None,
    directory: Path | None,
    port: int | None,
    broker: str | None = None,
    web_port: int | None = None,
) -> None:
    """Show it all; returns when ``seconds`` are over, or at Ctrl-C once the copy has been shown to be the same.

    ``directory`` keeps the stations (those of an earlier run go on), else they are removed; ``port`` is the broker's,
    ``broker`` one of BROKERS, ``web_port`` the page's. Raises `DifferenceFound`, `SetupError` without WeeWX or
    a broker, `Unreachable` when a station dies or doesn't get on.
    """
    started = time.monotonic()
    check_weewx()
    with ExitStack() as stack:
        place = open_place(stack, directory)
        kept = directory is not None
        demo = Demo(stack, place, kept=kept, port=port or 0, broker=broker, web_port=web_port or 0)
        demo.show_page()
        demo.announce(seconds)
        demo.make_year()
        demo.start_primary()
        demo.catch_up()
        if seconds is None:
            demo.follow(count=LIVE_RECORDS)
            demo.compare()
            demo.follow_until_interrupted()
        else:
            demo.follow(until=started + seconds - ENDING_S)
            demo.compare()


class Demo:
    """The demo's parts, in the order in which they are to be called; ``stack`` ends what they start."""

    def __init__(
        self, stack: ExitStack, directory: Path, *, kept: bool, port: int, broker: str | None, web_port: int
    ) -> None:
        self._stack = stack
        self._screen = Screen()
        self._directory = directory
        self._kept = kept
        folder = directory / "broker"
        self._broker = BROKERS[broker](port=port, dir=folder) if broker else choose_broker(port=port, dir=folder)
        self._primary = Station("primary", directory / "primary", primary_conf(self._broker.port))
        self._copy = Station("copy", directory / "copy", copy_conf(self._broker.port))
        configs = [self._primary.config_path, self._copy.config_path]
        self._page = Page(directory, self._screen, configs=configs, port=web_port)
        self._pairs = [
            Pair(label, self._primary.location(binding), self._copy.location(binding))
            for binding, label in LABELS.items()
        ]

    def show_page(self) -> None:
        """Start the page over both stations, and say its address."""
        self._stack.enter_context(self._page)

    def announce(self, seconds: float | None) -> None:
        """Say what will happen, where, and with which broker; start the broker."""
        end = "Ctrl-C ends it" if seconds is None else f"ends after {seconds:g} seconds"
        self._screen.say(
            "A real WeeWX station with a year of records, and an empty copy of it that becomes the same "
            f"and stays the same; {end}."
        )
        fate = "kept" if self._kept else "removed at the end"
        self._screen.say(f"Directory: {self._directory} ({fate})")
        self._stack.enter_context(self._broker)
        note = "" if self._broker.name == "mosquitto" else ", good for a demo; a station's broker is mosquitto"
        self._screen.say(f"Broker: {self._broker.name} on 127.0.0.1, port {self._broker.port}{note}")

    # ------------------------------------------------------------------ the primary

    def make_year(self) -> None:
        """Make the primary's two databases, where they aren't there already."""
        schemas: dict[str, Any] = {MAIN_BINDING: "wview_extended", AIR_BINDING: AIR_COLUMNS}
        paths = {binding: self._primary.location(binding).path for binding in LABELS}
        if all(path.exists() for path in paths.values()):
            self._screen.say("The stations of an earlier run are there, and go on.")
            return
        end = int(time.time()) - ARCHIVE_INTERVAL_S
        with self._screen.progress("Making a year of weather and air quality", RECORDS * len(paths)) as update:
            for number, (binding, path) in enumerate(paths.items()):
                path.unlink(missing_ok=True)
                write_year(
                    path,
                    count=RECORDS,
                    end_time=end,
                    seed=number + 1,
                    schema=schemas[binding],
                    progress=partial(_add, update, number * RECORDS),
                )
        self._screen.say(
            f"The primary has {RECORDS:,} weather records (115 columns, as WeeWX's wview_extended has them) and "
            f"{RECORDS:,} of air quality in a second binding, with their daily summaries."
        )

    def start_primary(self) -> None:
        """Start the primary's weewxd and wait until it answers copies."""
        self._stack.callback(stop_stations, [self._primary, self._copy])
        for pair in self._pairs:
            self._stack.enter_context(pair)
        self._primary.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._primary.has_logged("connected instance="):
            self._wait(0.05)
            if time.monotonic() > deadline:
                raise Unreachable(f"the primary hasn't started in {START_TIMEOUT_S:.0f} s\n{self._primary.tail()}")
        self._screen.say(
            f"Primary: weewxd runs (process {self._primary.pid}); its Simulator makes an archive record "
            f"every {ARCHIVE_INTERVAL_S} seconds."
        )

    # ------------------------------------------------------------------ the copy

    def catch_up(self) -> None:
        """Start the copy's weewxd and show how it gets what the primary has."""
        books = [(pair, pair.primary.read_times()) for pair in self._pairs]
        total = sum(len(times) for _, times in books)
        self._copy.start()
        started = moved = time.monotonic()
        self._screen.say(f"Copy: weewxd runs (process {self._copy.pid}).")
        done, before = 0, 0
        with self._screen.progress("Catching up", total) as update:
            while done < total:
                self._wait(0.05)
                done = sum(bisect_right(times, pair.copy.read_newest()) for pair, times in books)
                update(done)
                if done != before:
                    moved, before = time.monotonic(), done
                elif time.monotonic() - moved > STALL_TIMEOUT_S:
                    raise Unreachable(f"the copy has stopped at {done:,} of {total:,} records\n{self._copy.tail()}")
        took_s = time.monotonic() - started
        self._screen.say(f"Caught up: {total:,} records in {took_s:.1f} s, the start of weewxd included.")

    def follow(self, *, count: int | None = None, until: float | None = None) -> None:
        """Show live records until ``count`` of the weather have come, or until the moment ``until`` (monotonic)."""
        if until is None or time.monotonic() < until:
            self._screen.say("Live records, and how long after the primary the copy had them:")
        came = 0
        while (count is None or came < count) and (until is None or time.monotonic() < until):
            for pair in self._pairs:
                for arrival in pair.take_arrivals():
                    self._screen.say(describe(arrival))
                    came += arrival.label == LABELS[MAIN_BINDING]
            self._wait(POLL_S)

    def follow_until_interrupted(self) -> None:
        """Show live records until Ctrl-C, which is the way to end this."""
        copy, primary = (self._copy.location(MAIN_BINDING).path, self._primary.location(MAIN_BINDING).path)
        self._screen.say("Break something, in another terminal, and see what the page says of it:")
        self._screen.say(f'  sqlite3 {copy} "{DELETE_A_MONTH}"')
        self._screen.say(f'  sqlite3 {primary} "{EDIT_A_RECORD}"')
        if (program := find_program()) != "samesky":
            self._screen.say(f"The commands that it tells begin with samesky, which is {program} here.")
        try:
            self._screen.say("Both stay live. Ctrl-C ends the demo.")
            self.follow()
        except KeyboardInterrupt:
            self._screen.say("Ended.")

    # ------------------------------------------------------------------ the proof

    def compare(self) -> None:
        """Compare both databases and print the result; raises `DifferenceFound`."""
        total = sum(len(pair.primary.read_times()) for pair in self._pairs)
        with self._screen.progress("Comparing the two, row by row", total) as update:
            found = compare_pairs(self._pairs, deadline_s=LEVEL_TIMEOUT_S, wait=self._wait, progress=update)
            update(total)
        self._screen.show(found)
        tables = [each for comparisons in found.values() for each in comparisons]
        different = sum(not each.is_same for each in tables)
        if different:
            raise DifferenceFound(
                f"{different} of {len(tables)} tables differ between the primary and its copy",
                hint="run it again with --directory to keep the databases, and please report this",
            )
        rows = sum(each.same for each in tables)
        self._screen.say(f"The same: {rows:,} rows in {len(tables)} tables, every value of every row.")

    def _wait(self, seconds: float) -> None:
        """Let time pass; raises `Unreachable` if a station, or the page, has ended."""
        self._page.check()
        self._primary.check()
        self._copy.check()
        time.sleep(seconds)


def describe(arrival: Arrival) -> str:
    """A live record in one line: its time, a few values, how late it was."""
    record = arrival.record
    clock = time.strftime("%H:%M:%S", time.localtime(record["dateTime"]))
    values = ", ".join(
        f"{name} {record[name]:.{digits}f} {unit}"
        for name, digits, unit in SHOWN[arrival.label]
        if record.get(name) is not None
    )
    delay = "" if arrival.delay_s is None else f"  {arrival.delay_s * 1000:.0f} ms"
    return f"  {clock}  {arrival.label:<11}  {values}{delay}"


def _add(update: Update, base: int, done: int, _: int) -> None:
    update(base + done)
