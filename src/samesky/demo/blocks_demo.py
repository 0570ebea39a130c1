"""`samesky demo blocks`: RabbitMQ and two services; the document's walkthrough word for word, and what goes wrong."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from ..blocks.paths import Value
from ..errors import DifferenceFound
from ..link.rabbitmq_broker import find_rabbitmq
from .blocks_sparks import Sparks, find_configs
from .blocks_steps import Steps, show
from .blocks_walkthrough import (
    DUMMY,
    FIRST_ANSWER,
    FIRST_CALL,
    KEY,
    MASTER_DATA,
    PORT,
    SECOND_ANSWER,
    SECOND_CALL,
    SENSOR,
    SLAVE_AFTER,
    SLAVE_BEFORE,
    TRANSLATIONS,
    run_call,
    use_port,
)
from .gateway import open_gateway
from .page import Page
from .program import check_libraries, find_program, open_place, run_samesky
from .screen import Screen

LIBRARIES = ("aio_pika", "fastapi", "uvicorn", "httpx2", "prometheus_client")
MASTER_BLOCK, SLAVE_BLOCK = "master-block", "slave-block"
SENSOR_TYPE, DUMMY_TYPE = "TempSensorOneWire", "TempSensorMock"
INTERVAL_S = 1.0
"""How often blocks are broadcast once the walkthrough is done: nobody wants to wait 5 s each time."""
TEMPERATURES = (21.0, 21.5, 22.25)
RETURN_TEMPERATURE = 19.0
WAIT_S = 40.0
NULLS = 2
"""A null must have come so often, and changed nothing, before it is believed that none is written."""
MOVE_EVERY_S = 2.0
POLL_S = 0.05


def run(*, seconds: float | None, directory: Path | None, as_json: bool, web_port: int | None = None) -> None:
    """Show it all; then the sensor goes on moving until ``seconds`` after the start, or until Ctrl-C.

    ``directory`` keeps the blocks and logs, else they are removed. With ``as_json`` the outcome goes to standard output
    as one object, and the story to standard error. ``web_port`` is the page's. Raises `DifferenceFound` when anything
    isn't as it should be, `SetupError` without RabbitMQ or a library, `ConfigError` when ``directory`` isn't new,
    `Unreachable` when a service ends by itself.
    """
    started = time.monotonic()
    check_programs()
    with ExitStack() as stack:
        place = open_place(stack, directory)
        file, kept = sys.stderr if as_json else sys.stdout, directory is not None
        demo = BlocksDemo(stack, file, place, kept=kept, web_port=web_port or 0)
        demo.announce()
        demo.start()
        demo.walk_through()
        demo.move_the_sensor()
        demo.translate()
        demo.show_exchange("The exchange is what every service of the old kind declares:")
        demo.fail_the_sensor()
        demo.kill_the_primary()
        demo.bring_the_primary_back()
        demo.show_exchange("And the exchange is still the same:")
        outcome = demo.describe()
        if as_json:
            print(json.dumps(outcome, indent=2, ensure_ascii=False), flush=True)
        if not outcome["same"]:
            raise DifferenceFound(
                "something isn't as it should be",
                hint="run it again with --directory to keep the blocks and the logs, and please report this",
            )
        demo.stay(until=None if seconds is None else started + seconds)


def check_programs() -> None:
    """Raise `SetupError` unless RabbitMQ, and what this Python needs to speak to it, are there."""
    check_libraries(LIBRARIES, script="scripts/demo blocks")
    find_rabbitmq()


class BlocksDemo:
    """The demo's parts, in the order in which they are to be called; ``stack`` ends what they start."""

    def __init__(self, stack: ExitStack, file: TextIO, directory: Path, *, kept: bool, web_port: int) -> None:
        self._stack = stack
        self._file = file
        self._screen = Screen(file)
        self._directory = directory
        self._kept = kept
        self._steps = Steps()
        self._port = PORT
        configs = find_configs(directory)
        self._page = Page(directory, self._screen, configs=configs, port=web_port)
        self._sparks = Sparks(directory, self._page.environment)
        self._master, self._slave = self._sparks.both

    def announce(self) -> None:
        """Start the page, and say what will happen, and where."""
        self._sparks.write_configs()
        self._stack.enter_context(self._page)
        self._screen.say(
            "Two controllers' services with RabbitMQ between them. A sensor of spark-master is broadcast, "
            "and a dummy sensor of spark-slave follows it. Their blocks are in two JSON files."
        )
        self._screen.say(f"Directory: {self._directory} ({'kept' if self._kept else 'removed at the end'})")

    def start(self) -> None:
        """Start RabbitMQ, the two services, and the one port at which both are."""
        self._master.put(SENSOR, {"value": 20.5}, type=SENSOR_TYPE)
        self._slave.put(DUMMY, {"value": 0.0}, type=DUMMY_TYPE)
        self._screen.say("\nStarting RabbitMQ, a private one, and the services …")
        for each in self._sparks.both:
            self._screen.say(f"$ {each.command}")
        self._stack.enter_context(self._sparks)
        gateway = open_gateway({each.name: each.port for each in self._sparks.both}, port=PORT)
        self._stack.enter_context(gateway)
        self._port = gateway.port
        words = "" if self._port == PORT else f" ({PORT}, the document's, is taken on this machine)"
        self._screen.say(f"Both are behind http://localhost:{self._port}/{words}")

    def walk_through(self) -> None:
        """The document's two calls, word for word."""
        self._screen.say("\nBroadcast the sensor every 5 seconds:")
        self._call(FIRST_CALL, FIRST_ANSWER, "the answer to the first call")
        self._screen.say("\nHave the dummy sensor follow it. An empty table: all data are copied.")
        before = self._slave.read(DUMMY)
        self._call(SECOND_CALL, SECOND_ANSWER, "the answer to the second call")
        self._screen.say(f"{DUMMY} before: {show(before)}")
        wanted = self._master.read(SENSOR)
        took_s = self._wait(lambda: self._slave.read(DUMMY) == wanted)
        self._screen.say(f"{DUMMY} after:  {self._dummy}  ({took_s:.1f} s later)")
        self._steps.note("the dummy sensor follows", show(wanted), self._dummy)

    def move_the_sensor(self) -> None:
        """Broadcast it more often, by registering it again, and move it."""
        self._screen.say(f"\nThe same with an interval of {INTERVAL_S:.0f} s, so that we wait less:")
        self._run("blocks", "add", "spark-master", SENSOR, "--interval", f"{INTERVAL_S:.0f}", "--url", self._master.url)
        for temperature in TEMPERATURES:
            self._move_to(temperature)
        self._steps.note("it has moved with the sensor", show({"value": TEMPERATURES[-1]}), self._dummy)

    def translate(self) -> None:
        """The document's example of a translation table, before and after."""
        self._screen.say("\nTwo blocks whose data are different, and the document's translation table between them:")
        self._master.put(MASTER_BLOCK, MASTER_DATA, type="Example")
        self._slave.put(SLAVE_BLOCK, SLAVE_BEFORE, type="Example")
        self._say_data("translation table", TRANSLATIONS)
        self._say_data("master data", self._master.read(MASTER_BLOCK))
        self._say_data("slave data (before write)", self._slave.read(SLAVE_BLOCK))
        self._master.register("master", {"id": MASTER_BLOCK, "interval": INTERVAL_S})
        key = f"spark-master.{MASTER_BLOCK}"
        self._slave.register("slave", {"id": SLAVE_BLOCK, "key": key, "translations": TRANSLATIONS})
        self._wait(lambda: self._slave.read(SLAVE_BLOCK) != SLAVE_BEFORE)
        self._say_data("slave data (after write)", self._slave.read(SLAVE_BLOCK))
        self._steps.note_data("translated as in the document", SLAVE_AFTER, self._slave.read(SLAVE_BLOCK))

    def show_exchange(self, words: str) -> None:
        """What `rabbitmqctl` says of the exchange: type topic, not durable, deleted with its last queue."""
        self._screen.say(f"\n{words}")
        self._screen.say("$ rabbitmqctl list_exchanges name type durable auto_delete | grep syncast")
        line = self._sparks.find_exchange("syncast")
        self._screen.say(line)
        self._steps.note("the exchange", "syncast topic false true", line)

    def fail_the_sensor(self) -> None:
        """A sensor that has failed says null: the replica isn't written, above all not with 0."""
        last = self._dummy
        self._screen.say("\nThe sensor fails: its value is null, which a controller would take for 0.0.")
        self._master.put(SENSOR, {"value": None}, type=SENSOR_TYPE)
        self._wait(lambda: self._count_nulls() >= NULLS)
        self._screen.say(f"{SENSOR} {show(self._master.read(SENSOR))}: {DUMMY} stays at {self._dummy}")
        self._screen.say(f"  its status: {self._slave.find_link(DUMMY).get('last_error') or 'nothing'}")
        self._steps.note("a null isn't written", last, self._dummy)
        self._steps.note("and the status tells of it", "yes", "yes" if self._count_nulls() else "no")
        self._move_to(TEMPERATURES[0])

    def kill_the_primary(self) -> None:
        """Kill spark-master: its replica is shown stale, and isn't written."""
        last = self._dummy
        self._screen.say(f"\n$ kill -9 {self._master.pid}      # spark-master")
        self._master.kill()
        took_s = self._wait(lambda: self._find_freshness() == "stale")
        self._screen.say(f"{took_s:.1f} s later {DUMMY} is stale:")
        self._run("blocks", "status", "--url", self._slave.url)
        self._steps.note("stale when its primary is dead", "stale", self._find_freshness())
        self._steps.note("and not written", last, self._dummy)

    def bring_the_primary_back(self) -> None:
        """Start spark-master, whose sensor has moved meanwhile; its links were kept."""
        wanted = {"value": RETURN_TEMPERATURE}
        self._master.put(SENSOR, wanted, type=SENSOR_TYPE)
        self._screen.say(f"$ {self._master.command}")
        self._master.start()
        took_s = self._wait(lambda: self._slave.read(DUMMY) == wanted and self._find_freshness() == "fresh")
        self._screen.say(f"{took_s:.1f} s later {DUMMY} has what the sensor has now: {self._dummy}")
        self._steps.note("right when the primary is back", show(wanted), self._dummy)
        self._steps.note("and fresh", "fresh", self._find_freshness())

    def describe(self) -> dict[str, Any]:
        """Print the table, and return what --json prints."""
        self._screen.say()
        self._screen.show_table(self._steps.make_table())
        if self._steps.are_right:
            self._screen.say(f"All {len(self._steps)} are as they should be.")
        return {"key": KEY, **self._steps.describe()}

    def stay(self, *, until: float | None) -> None:
        """Move the sensor on until the moment ``until`` (monotonic), or until Ctrl-C, which is the way to end."""
        quarters = 0
        try:
            if until is None:
                self._screen.say("\nThe sensor goes on moving. Look at the services, in a browser too:")
                self._screen.say(f"  {find_program()} blocks status --url {self._slave.url}")
                self._screen.say(f"  {self._slave.url}/docs describes their interface. Ctrl-C ends the demo.")
            while until is None or time.monotonic() < until:
                quarters = (quarters + 1) % 12
                self._master.put(SENSOR, {"value": RETURN_TEMPERATURE + quarters / 4}, type=SENSOR_TYPE)
                self._pause(until)
        except KeyboardInterrupt:
            if until is not None:
                raise
            self._screen.say("Ended.")

    # ------------------------------------------------------------------ inside

    @property
    def _dummy(self) -> str:
        """The data of the dummy sensor, in one line."""
        return show(self._slave.read(DUMMY))

    def _count_nulls(self) -> int:
        """Messages of which the dummy sensor took nothing, as there was a null in them."""
        return int(self._slave.find_link(DUMMY).get("dropped", {}).get("null", 0))

    def _find_freshness(self) -> str:
        return str(self._slave.find_link(DUMMY).get("freshness", "unknown"))

    def _call(self, call: str, wanted: Value, what: str) -> None:
        call = use_port(call, self._port)
        self._screen.say(call.rstrip())
        answer = run_call(call)
        self._screen.say(json.dumps(answer, indent=2))
        self._steps.note(what, json.dumps(wanted), json.dumps(answer))

    def _run(self, *words: str) -> None:
        """Run a command as a user does, and show it."""
        self._screen.say(f"$ samesky {' '.join(words)}")
        run_samesky(*words, file=self._file)

    def _move_to(self, temperature: float) -> None:
        wanted = {"value": temperature}
        self._master.put(SENSOR, wanted, type=SENSOR_TYPE)
        took_s = self._wait(lambda: self._slave.read(DUMMY) == wanted)
        self._screen.say(f"{SENSOR} {show(wanted)}: {DUMMY} {self._dummy}  ({took_s:.1f} s later)")

    def _say_data(self, title: str, data: Mapping[str, Value]) -> None:
        self._screen.say(f"# {title}")
        self._screen.say(json.dumps(data, indent=4))

    def _wait(self, condition: Callable[[], bool]) -> float:
        """Return when it is so, or can't be expected any more, and how long that took: what is then will be noted."""
        began = time.monotonic()
        while not condition() and time.monotonic() - began < WAIT_S:
            self._sparks.check()
            time.sleep(POLL_S)
        return time.monotonic() - began

    def _pause(self, until: float | None) -> None:
        """Wait until the sensor is to move."""
        end = time.monotonic() + MOVE_EVERY_S
        while time.monotonic() < (end if until is None else min(end, until)):
            self._sparks.check()
            time.sleep(POLL_S)
