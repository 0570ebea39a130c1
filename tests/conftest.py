"""What holds for every test, and the servers that tests share."""

import itertools
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

# The stands are a package beside the tests: `from stands.weewx_station import WeewxStation`.
sys.path.append(str(Path(__file__).parent))

# A shell that starts us in the background has us ignore Ctrl-C, and so would all that the tests start and end by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if TYPE_CHECKING:
    from samesky.link.broker import MosquittoBroker
    from stands.mariadb import MariadbServer
    from stands.postgresql import PostgresqlServer
    from stands.rabbitmq import RabbitmqNode

# Three tests run at a time on two cores, beside databases and brokers, so a slow draw says nothing about a strategy.
# CI tries the same inputs every time: what it finds, everybody finds.
settings.register_profile(
    "samesky",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    print_blob=True,
)
# For `scripts/test quick`; everything else tries as many as Hypothesis does by itself, or as the test says.
settings.register_profile("quick", settings.get_profile("samesky"), max_examples=25)
settings.load_profile("samesky")

_numbers = itertools.count()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have each of xdist's processes begin with its share of the slow tests, a file at a time.

    xdist cuts the list into as many equal parts as there are processes, and who is done takes over the end of another's
    part. Those are quick tests then, so that nobody is left alone with a minute's test when all others are done.
    """
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    if processes == 1:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    numbers = {path: number for number, path in enumerate(dict.fromkeys(item.path for item in slow))}
    quick = iter([item for item in items if not item.get_closest_marker("slow")])
    dealt: list[pytest.Item] = []
    for process in range(processes):
        room = (len(items) - len(dealt)) // (processes - process)
        share = [item for item in slow if numbers[item.path] % processes == process]
        dealt += [*share, *itertools.islice(quick, max(0, room - len(share)))]
    items[:] = [*dealt, *quick]


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """Commands set how much is logged for their whole process, which is that of all tests here."""
    loggers = [logging.getLogger(name) for name in (None, "samesky", "samesky.link")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def noticeboards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What processes of the tests post is kept off this machine's noticeboard, and off those of other tests."""
    folder = tmp_path_factory.getbasetemp() / "noticeboards"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMESKY_STATUS_DIR", str(folder / "session"))
        yield folder


@pytest.fixture(autouse=True)
def noticeboard_directory(noticeboards: Path) -> Iterator[Path]:
    """The noticeboard of this test's processes."""
    folder = noticeboards / f"{next(_numbers)}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMESKY_STATUS_DIR", str(folder))
        yield folder


@pytest.fixture
def broker(tmp_path: Path) -> "Iterator[MosquittoBroker]":
    """A mosquitto with Debian's defaults, fresh for each test; `stop`, `start` and `kill` keep its port."""
    from samesky.link.broker import MosquittoBroker

    with MosquittoBroker(dir=tmp_path / "broker") as running:
        yield running


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[MariadbServer]":
    """One MariaDB server for the session; take a database of your own with `create_database`."""
    from stands.mariadb import MariadbServer

    with MariadbServer(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[PostgresqlServer]":
    """One PostgreSQL server for the session; take a database of your own with `create_database`."""
    from stands.postgresql import PostgresqlServer

    with PostgresqlServer(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_node(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[RabbitmqNode]":
    """One RabbitMQ node for the session; a test takes `rabbitmq`, which mends what the test before did to it."""
    from stands.rabbitmq import RabbitmqNode

    with RabbitmqNode(dir=tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture
def rabbitmq(rabbitmq_node: "RabbitmqNode") -> "Iterator[RabbitmqNode]":
    """The session's RabbitMQ node, in health and without connections; the test may stop, kill, freeze or starve it."""
    from stands.rabbitmq import healed

    with healed(rabbitmq_node) as node:
        yield node
