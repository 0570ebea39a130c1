"""The two services of `samesky demo blocks`: each a `samesky blocks serve` with its blocks in a JSON file."""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.request import Request, urlopen

from ..blocks.json_store import JsonStore
from ..blocks.objects import Block
from ..blocks.paths import Value
from ..errors import ConfigError, Unreachable
from ..link.child_process import accepts, find_free_port
from ..link.rabbitmq_broker import RabbitmqBroker
from .program import HOST, STOP_TIMEOUT_S, Program, find_ports

NAMES = ("spark-master", "spark-slave")
ANSWER_TIMEOUT_S = 30.0
START_TIMEOUT_S = 60.0
POLL_S = 0.05


class Spark:
    """The service ``name`` below ``folder``, at ``port`` of this machine."""

    def __init__(self, name: str, folder: Path, *, port: int, amqp: str, environment: Mapping[str, str]) -> None:
        self.name = name
        self.port = port
        self.config = _find_config(folder, name)
        self.store = JsonStore(folder / f"{name}.json")
        self._amqp = amqp
        self._program = Program(name, log_path=folder / f"{name}.log", system="blocks", environment=environment)

    @property
    def url(self) -> str:
        """Where it answers, without the gateway."""
        return f"http://{HOST}:{self.port}"

    @property
    def command(self) -> str:
        """What starts it, as a user would type it."""
        return f"samesky blocks serve --config {self.config.name}"

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return self._program.pid

    def write_config(self) -> None:
        """Write its samesky.toml."""
        self.config.write_text(
            f'[blocks]\nlisten = "{HOST}:{self.port}"\nstate = "{self.config.with_suffix(".sdb")}"\n'
            f'amqp = "{self._amqp}"\n\n[blocks.services.{self.name}]\nstore = "{self.store.path}"\n',
            encoding="utf-8",
        )

    def start(self) -> None:
        """Start it, if it doesn't run; returns at once."""
        self._program.start("serve", "--config", self.config)

    def check(self) -> None:
        """Raise `Unreachable` when it has ended by itself."""
        self._program.check()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._program.kill()

    def stop(self, timeout_s: float) -> None:
        """End it in good order."""
        self._program.signal(signal.SIGTERM)
        self._program.wait_ended(timeout_s)

    def put(self, id: str, data: Mapping[str, Value], *, type: str) -> None:
        """Make a block, or give it other data, as the controller would."""
        self.store.put(Block(id, data, type, (0,)))

    def read(self, id: str) -> Mapping[str, Value]:
        """The data of a block as they are in the file."""
        return asyncio.run(self.store.read(id)).data

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What it answers to a GET, or to a POST of ``body``; raises `Unreachable` when that is no success."""
        content = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}{path}", content, {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:
                return json.load(answer)
        except (OSError, ValueError) as error:
            raise Unreachable(f"{self.name} doesn't answer: {error}\n{self._program.tail()}") from error

    def register(self, role: str, body: Mapping[str, Any]) -> None:
        """Register a link at it."""
        self.ask(f"/{self.name}/remote/{role}", body)

    def is_serving(self) -> bool:
        """Whether it answers."""
        try:
            return accepts(self.port) and bool(self.ask("/status.json"))
        except Unreachable:
            return False

    def find_link(self, id: str) -> Mapping[str, Any]:
        """How the link of a block is doing, from its status; raises `Unreachable` when it doesn't say."""
        links = self.ask("/status.json")["links"]
        return next((each for each in links if each["id"] == id), {})


class Sparks:
    """RabbitMQ, a private one, and the two services below ``folder``: started and ended with ``with``."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._broker = RabbitmqBroker(port=find_free_port(), dir=folder / "rabbitmq")
        ports = find_ports(len(NAMES))
        self._sparks = [
            Spark(name, folder, port=port, amqp=self._broker.url, environment=environment)
            for name, port in zip(NAMES, ports, strict=True)
        ]

    @property
    def both(self) -> tuple[Spark, Spark]:
        """The one whose blocks are broadcast, and the one whose blocks follow."""
        master, slave = self._sparks
        return master, slave

    def write_configs(self) -> None:
        """Write what they are started with. Raises `ConfigError` when there was a demo before."""
        if any(each.config.exists() or each.store.path.exists() for each in self._sparks):
            raise ConfigError(f"{self._folder} has the blocks of an earlier demo", hint="Name another directory.")
        self._folder.mkdir(parents=True, exist_ok=True)
        for each in self._sparks:
            each.write_config()

    def __enter__(self) -> Self:
        try:
            self._broker.start()
            for each in self._sparks:
                each.start()
            self._wait_until_serving()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        for each in self._sparks:
            each.stop(STOP_TIMEOUT_S)
        self._broker.__exit__()

    def check(self) -> None:
        """Raise `Unreachable` when one has ended by itself."""
        for each in self._sparks:
            each.check()
        if self._broker.pid is None:
            raise Unreachable("RabbitMQ has ended", hint=f"its log is in {self._broker.dir} (--directory keeps it)")

    def find_exchange(self, name: str) -> str:
        """What `rabbitmqctl` says of the exchange: name, type, whether it is durable, whether it deletes itself."""
        program = str(self._broker.programs / "rabbitmqctl")
        command = [program, "-q", "list_exchanges", "name", "type", "durable", "auto_delete"]
        done = subprocess.run(command, env=self._broker.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unreachable(f"rabbitmqctl ended with status {done.returncode}: {done.stderr.strip()}")
        lines = (line.split("\t") for line in done.stdout.splitlines())
        return next((" ".join(words) for words in lines if words[0] == name), "none")

    def _wait_until_serving(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not all(each.is_serving() for each in self._sparks):
            self.check()
            if time.monotonic() > deadline:
                raise Unreachable(f"the services don't answer within {START_TIMEOUT_S:.0f} s")
            time.sleep(POLL_S)


def find_configs(folder: Path) -> list[Path]:
    """Where the samesky.toml of each service is, or will be."""
    return [_find_config(folder, name) for name in NAMES]


def _find_config(folder: Path, name: str) -> Path:
    return folder / f"{name}.toml"
