"""Version 1 in both directions: somebody else's program at one end, a real weewxd with our half at the other.

The broker is Debian's mosquitto with its default limits (1,000 queued messages), which drops what comes too fast.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from samesky.demo.year import write_year
from samesky.link.broker import MosquittoBroker
from stands.databases import SqliteDatabase
from stands.pairs import INSTANCE, main_binding, make_copy, make_primary
from stands.peers import Peer
from stands.rows import read_count, read_newest, wait_until_same

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
COUNT = 5_000
"""Five times what the broker keeps for who is slow."""
DEADLINE_S = 240
LIVE_DEADLINE_S = 120


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> SqliteDatabase:
    database = SqliteDatabase(tmp_path_factory.mktemp("version1") / "year.sdb")
    write_year(database.path, count=COUNT, end_time=int(time.time()) - 2 * 86_400)
    return database


@pytest.fixture
def stations() -> Iterator[ExitStack]:
    """Where a test registers what must end with it."""
    with ExitStack() as stack:
        yield stack


def copy_of(year: SqliteDatabase, path: Path) -> SqliteDatabase:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(year.path.read_bytes())
    return SqliteDatabase(path)


def empty(path: Path) -> SqliteDatabase:
    write_year(path, count=0, end_time=0)
    return SqliteDatabase(path)


def start_peer(
    stations: ExitStack, broker: MosquittoBroker, role: str, database: SqliteDatabase, *more: object
) -> Peer:
    arguments = ["--port", broker.port, "--client-id", f"v1-{role}", "--instance", INSTANCE]
    arguments += [f"--binding=wx_binding={database.path}", *more]
    return stations.enter_context(Peer(HERE / f"v1_{role}.py", arguments, folder=database.path.parent / "peer"))


def add_record(database: SqliteDatabase, timestamp: int) -> None:
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO archive (dateTime, usUnits, interval, outTemp, windSpeed) VALUES (?, 1, 5, 41.25, 3)",
            (timestamp,),
        )


@pytest.mark.parametrize(
    ("plain", "count", "throttle_count"),
    [
        pytest.param(False, COUNT, 1000, id="5,000 records, asked on the instance's topic"),
        pytest.param(True, 2_000, 1000, id="2,000 records, asked on the plain topic"),
        pytest.param(False, COUNT, 0, id="5,000 records, no throttle"),
    ],
)
def test_a_version_1_copy_gets_every_record_from_our_primary(
    tmp_path: Path, broker: MosquittoBroker, stations: ExitStack, plain: bool, count: int, throttle_count: int
) -> None:
    here = SqliteDatabase(tmp_path / "year.sdb")
    write_year(here.path, count=count, end_time=int(time.time()) - 2 * 86_400)
    there = empty(tmp_path / "copy.sdb")
    primary = make_primary(
        tmp_path / "primary",
        [main_binding(here)],
        port=broker.port,
        options={"throttle_count": str(throttle_count)},
        archive_interval_s=60,
        loop_interval_s=15,
        speed=20,
    )
    stations.enter_context(primary)
    primary.start()
    primary.wait_for(lambda: read_count(here) > count, LIVE_DEADLINE_S, what="the first live record")
    requester = start_peer(stations, broker, "requester", there, *(["--plain"] if plain else []))
    requester.wait_for_event("asked")
    wait_until_same(here, there, DEADLINE_S, summaries=False, explain=primary.tail)
    newest = read_newest(here)
    primary.wait_for(lambda: read_newest(here) != newest, LIVE_DEADLINE_S, what="another live record")
    wait_until_same(here, there, LIVE_DEADLINE_S, summaries=False, explain=primary.tail)
    counts = requester.stop()
    assert counts["live"] >= 1
    assert counts["stored"] == read_count(there)
    assert primary.running


@pytest.mark.parametrize(
    ("main", "plain"),
    [
        pytest.param("engine", False, id="through the engine, on the instance's topic"),
        pytest.param("direct", True, id="directly, on the plain topic"),
    ],
)
def test_our_copy_gets_every_record_from_a_version_1_primary(
    tmp_path: Path, broker: MosquittoBroker, year: SqliteDatabase, stations: ExitStack, main: str, plain: bool
) -> None:
    """The primary is throttled as the family's is by default.

    Nothing tells a hole in its year from records that the broker dropped, so it is asked until that is proven.
    """
    here = copy_of(year, tmp_path / "primary-data" / "weewx.sdb")
    there = SqliteDatabase(tmp_path / "copy-data" / "weewx.sdb")
    pace = ["--throttle-count", 1000, "--throttle-sleep", 1]
    responder = start_peer(stations, broker, "responder", here, *pace, *(["--plain"] if plain else []))
    responder.wait_for_event("listening")
    copy = make_copy(tmp_path / "copy", [main_binding(there)], port=broker.port, options={"main": main})
    stations.enter_context(copy)
    copy.start()
    wait_until_same(here, there, DEADLINE_S, summaries=False, explain=copy.tail)
    for _ in range(3):
        newest = read_newest(here) or 0
        add_record(here, newest + 300)
        wait_until_same(here, there, LIVE_DEADLINE_S, summaries=False, explain=copy.tail)
    assert copy.running
    assert responder.stop()["live"] == 3


def test_our_copy_asks_again_for_what_a_broker_dropped_of_a_version_1_stream(
    tmp_path: Path, broker: MosquittoBroker, stations: ExitStack
) -> None:
    """Without a throttle the primary streams faster than a copy can store: the broker's queue overflows, silently."""
    here = SqliteDatabase(tmp_path / "year.sdb")
    write_year(here.path, count=COUNT, end_time=int(time.time()) - 2 * 86_400)
    there = SqliteDatabase(tmp_path / "copy-data" / "weewx.sdb")
    start_peer(stations, broker, "responder", here).wait_for_event("listening")
    copy = stations.enter_context(make_copy(tmp_path / "copy", [main_binding(there)], port=broker.port))
    copy.start()
    wait_until_same(here, there, DEADLINE_S, summaries=False, explain=copy.tail)


def test_a_stanza_of_the_family_works_as_it_is(
    tmp_path: Path, broker: MosquittoBroker, year: SqliteDatabase, stations: ExitStack
) -> None:
    """Only option names that users of this family have, in both roles; a secondary binding's section named anyhow."""
    here = copy_of(year, tmp_path / "primary-data" / "weewx.sdb")
    there = SqliteDatabase(tmp_path / "copy-data" / "weewx.sdb")
    common = {
        "host": "localhost",
        "port": str(broker.port),
        "keepalive": "60",
        "subscribe_qos": "1",
        "publish_qos": "1",
        "archive_topic": "replicate/archive",
        "log_mqtt": "false",
    }
    primary = make_primary(tmp_path / "primary", [main_binding(here)], port=broker.port, archive_interval_s=60)
    copy = make_copy(tmp_path / "copy", [main_binding(there)], port=broker.port)
    responder = {
        **common,
        "request_topic": "replicate/request",
        "delta": "60",
        "throttle_count": "1000",
        "throttle_sleep": "1",
        "max_responder_threads": "1",
        INSTANCE: {"wx_binding": {"type": "main"}},
    }
    requester = {
        **common,
        "request_topic": f"replicate/request/{INSTANCE}",
        "response_topic": "replicate/response/garden",
        "loop_interval": "2.5",
        "archive_interval": "5",
        "startup_max_tries": "2",
        "startup_wait_before_retry": "10",
        "archive_max_tries": "2",
        "archive_wait_before_retry": "10",
        INSTANCE: {
            "garden": {"primary_data_binding": "wx_binding", "secondary_data_binding": "wx_binding", "type": "main"}
        },
    }
    primary.edit(lambda conf: conf["MQTTReplicate"].update({"Responder": responder}))
    copy.edit(lambda conf: conf["MQTTReplicate"].update({"Requester": requester}))
    for station in (primary, copy):
        stations.enter_context(station)
        station.start()
    wait_until_same(here, there, DEADLINE_S, explain=copy.tail)
