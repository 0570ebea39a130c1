"""`samesky blocks`: the seed's walkthrough as it stands, with curl and RabbitMQ, and commands that ask the service."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.link.broker import MosquittoBroker
from stands.blocks_rest import NO_BROKER, ServedBlocks
from stands.mesh_command import RunningCommand
from stands.rabbitmq import RabbitmqNode
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

# Letter by letter as the seed has them, the backslashes within the quotes too; the port is another one.
FIRST_CALL = r"""curl \
    -X POST \
    --header 'Content-Type: application/json' \
    --header 'Accept: application/json' \
    -d '{ \
            "id": "master-sensor", \
            "interval": 5 \
        }' \
    'http://localhost:5000/spark-master/remote/master'
"""
SECOND_CALL = r"""curl \
    -X POST \
    --header 'Content-Type: application/json' \
    --header 'Accept: application/json' \
    -d '{ \
            "id": "dummy-sensor", \
            "key": "spark-master.master-sensor", \
            "translations": {} \
        }' \
    'http://localhost:5000/spark-slave/remote/slave'
"""
KEY = "spark-master.master-sensor"
PRIMARY_DATA = {"value": 123, "other_value": 567, "nested": {"value": 456, "other_value": 890}}
REPLICA_DATA = {"targetvalue": 0, "value": 0, "nested": {"target": {"thing": 0}, "thang": 0}}
TRANSLATED = {"targetvalue": 123, "value": 0, "nested": {"target": {"value": 456, "thing": 0}, "thang": 0}}
TRANSLATE = ("--translate", "value=targetvalue", "--translate", "nested/value=nested/target/value")


def run_in_shell(call: str, port: int) -> object:
    """What a call of the seed is answered."""
    assert shutil.which("curl"), "curl is needed"
    script = call.replace("curl ", "curl --silent --show-error --fail-with-body --max-time 20 ", 1)
    done = subprocess.run(
        ["bash", "-c", script.replace(":5000", f":{port}")], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def served(rabbitmq_node: RabbitmqNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedBlocks]:
    """The two services of the seed."""
    rabbitmq_node.heal()
    folder = tmp_path_factory.mktemp("blocks")
    services = {"spark-master": "", "spark-slave": ""}
    with ServedBlocks(folder, rabbitmq_node.url, **services) as running:
        yield running
    assert "Traceback" not in running.command.errors


@pytest.fixture
def sparks(served: ServedBlocks, monkeypatch: pytest.MonkeyPatch) -> ServedBlocks:
    """The same without links, their blocks as in the seed; the commands find them."""
    served.clear()
    served.put("spark-master", **{"master-sensor": PRIMARY_DATA})
    served.put("spark-slave", **{"dummy-sensor": REPLICA_DATA})
    monkeypatch.setenv("SAMESKY_BLOCKS_URL", served.url)
    return served


def wait_for_data(sparks: ServedBlocks, data: object) -> None:
    """Wait until the dummy sensor has these data."""
    wait_for(lambda: sparks.data_of("spark-slave", "dummy-sensor") == data, 60, what="the data of the replica")


def test_the_seeds_walkthrough_works_as_it_stands(sparks: ServedBlocks) -> None:
    assert run_in_shell(FIRST_CALL, sparks.port) == {"key": KEY}
    assert run_in_shell(SECOND_CALL, sparks.port) is None
    wait_for_data(sparks, PRIMARY_DATA)
    whole = json.loads((sparks.folder / "spark-slave.json").read_text())["dummy-sensor"]
    assert (whole["type"], whole["profiles"]) == ("Mock", [0])


def test_the_seeds_translation_is_shown_and_then_made(sparks: ServedBlocks, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blocks", "add", "spark-master", "master-sensor", "--interval", "0.5"]) == 0
    assert f"under the key {KEY}, every 0.5 s" in capsys.readouterr().out
    assert main(["blocks", "preview", "spark-slave", "dummy-sensor", "--follow", KEY, *TRANSLATE, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["before"], told["after"], told["held_back"]) == (REPLICA_DATA, TRANSLATED, None)
    assert sparks.data_of("spark-slave", "dummy-sensor") == REPLICA_DATA
    assert main(["blocks", "add", "spark-slave", "dummy-sensor", "--follow", KEY, *TRANSLATE]) == 0
    wait_for_data(sparks, TRANSLATED)
    wait_for(lambda: main(["blocks", "status"]) == 0, 60, what="health")
    capsys.readouterr()
    assert main(["blocks", "preview", "spark-slave", "dummy-sensor", "--follow", KEY, *TRANSLATE]) == 1
    assert "it is as it should be already" in capsys.readouterr().out
    assert main(["blocks", "status"]) == 0
    shown = capsys.readouterr().out
    assert "spark-slave.dummy-sensor" in shown
    assert "ok" in shown


def test_links_are_listed_and_removed(sparks: ServedBlocks, capsys: pytest.CaptureFixture[str]) -> None:
    main(["blocks", "add", "spark-master", "master-sensor", "--interval", "5"])
    main(["blocks", "add", "spark-slave", "dummy-sensor", "--follow", KEY, *TRANSLATE])
    capsys.readouterr()
    assert main(["blocks", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"master {KEY}: read every 5 s, broadcast",
        f"slave  spark-slave.dummy-sensor: follows {KEY}, value → targetvalue, nested/value → nested/target/value",
    ]
    assert main(["blocks", "remove", KEY, "--role", "slave", "--service", "spark-slave", "--id", "dummy-sensor"]) == 0
    assert main(["blocks", "remove", KEY, "--json"]) == 0
    assert '"role": "master"' in capsys.readouterr().out
    assert main(["blocks", "remove", KEY]) == 4
    assert main(["blocks", "list"]) == 0
    assert "samesky blocks add" in capsys.readouterr().out


def test_more_can_be_said_in_a_file(sparks: ServedBlocks, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "more.json").write_text('{"ttl": 60, "transforms": {"value": {"scale": 2}}}')
    options = ["--follow", KEY, "--translate", "value=targetvalue", "--with", str(tmp_path / "more.json")]
    assert main(["blocks", "add", "spark-slave", "dummy-sensor", *options]) == 0
    (slave,) = sparks.get("/remote").json["slaves"]
    assert (slave["ttl"], slave["transforms"]) == (60, {"value": {"scale": 2}})
    (tmp_path / "more.json").write_text('{"tll": 60}')
    assert main(["blocks", "add", "spark-slave", "dummy-sensor", *options]) == 4


def test_a_link_that_fails_is_told_with_what_to_do(sparks: ServedBlocks, capsys: pytest.CaptureFixture[str]) -> None:
    main(["blocks", "add", "spark-master", "nobody", "--interval", "5"])
    wait_for(lambda: sparks.get("/status.json").json["links"][0]["last_error"], 60, what="the error")
    assert main(["blocks", "status"]) == 1
    shown = capsys.readouterr().out
    assert "there is no block nobody" in shown
    assert "what to do: " in shown
    assert main(["blocks", "preview", "spark-master", "nobody", "--interval", "5"]) == 4


def test_a_broker_that_is_away_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ServedBlocks(tmp_path, NO_BROKER, spark="") as alone:
        monkeypatch.setenv("SAMESKY_BLOCKS_URL", alone.url)
        assert main(["blocks", "add", "spark", "dummy", "--follow", "other.sensor"]) == 0
        wait_for(lambda: alone.get("/status.json").json["troubles"], 60, what="the trouble")
        assert main(["blocks", "status"]) == 3
        assert "amqp: " in capsys.readouterr().out
        config = ["blocks", "serve", "--config", str(alone.config)]
        assert main(config) == 5  # its links are run already
        assert "another process" in capsys.readouterr().err
        assert alone.command.end(signal.SIGTERM) == 143
        assert "Traceback" not in alone.command.errors
    assert main(["blocks", "status"]) == 3
    assert "doesn't answer" in capsys.readouterr().err


def test_it_serves_without_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text("{}")
    services = ("--service", f"one={tmp_path}/one.json", "--service", f"two={tmp_path}/two.json")
    where = ("--listen", "127.0.0.1:0", "--state", tmp_path / "links.sdb", "--amqp", NO_BROKER)
    with RunningCommand("blocks", "serve", *services, *where) as command:
        assert command.wait_for_line().startswith("serving one, two at http://127.0.0.1:")
        assert command.end(signal.SIGINT) == 130
        missing = f"samesky: {tmp_path}/two.json isn't there yet: two has no blocks until it is"
        assert command.errors.splitlines() == [missing, "samesky: interrupted"]


def test_a_block_in_the_middle_of_a_chain_hears_over_amqp_and_tells_over_mqtt(
    rabbitmq_node: RabbitmqNode, broker: MosquittoBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mqtt.json").write_text('{"link": "mqtt"}')
    over_mqtt = ("--with", str(tmp_path / "mqtt.json"))
    options = f'mqtt = "mqtt://127.0.0.1:{broker.port}"'
    with ServedBlocks(tmp_path, rabbitmq_node.url, options=options, a="", b="", c="") as served:
        for service, value in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
            served.put(service, block={"value": value})
        monkeypatch.setenv("SAMESKY_BLOCKS_URL", served.url)
        for link in (
            ("a", "block", "--interval", "0.3"),
            ("b", "block", "--follow", "a.block"),
            ("b", "block", "--interval", "0.3", *over_mqtt),
            ("c", "block", "--follow", "b.block", *over_mqtt),
        ):
            assert main(["blocks", "add", *link]) == 0
        wait_for(lambda: served.data_of("c", "block") == {"value": 1.0}, 60, what="the value at the end of the chain")
        wait_for(lambda: main(["blocks", "status"]) == 0, 60, what="health")


def test_a_service_that_is_ended_says_goodbye(
    sparks: ServedBlocks, rabbitmq_node: RabbitmqNode, tmp_path: Path
) -> None:
    def freshness() -> object:
        return sparks.get("/status.json").json["links"][0]["freshness"]

    with ServedBlocks(tmp_path, rabbitmq_node.url, other="") as other:
        other.put("other", sensor={"value": 1.0})
        sparks.post("/spark-slave/remote/slave", {"id": "dummy-sensor", "key": "other.sensor", "ttl": 600})
        other.post("/remote/master", {"id": "sensor", "interval": 1})  # the first may come before its replica listens
        wait_for(lambda: freshness() == "fresh", 60, what="the value")
        assert other.command.end(signal.SIGTERM) == 143
    wait_for(lambda: freshness() == "stale", 60, what="the goodbye")  # without one it lasts ten minutes


def test_a_token_is_asked_for_and_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = tmp_path / "token"
    token.write_text("a token that nobody guesses\n")
    token.chmod(0o600)
    with ServedBlocks(tmp_path, options=f'token_file = "{token}"', spark="") as served:
        assert main(["blocks", "list", "--url", served.url]) == 2
        assert "--token-file" in capsys.readouterr().err
        assert main(["blocks", "list", "--url", served.url, "--token-file", str(token)]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve"], "there is no service"),
        (["serve", "--service", "spark=x.json"], "amqp is missing"),
        (["serve", "--service", "spark", "--amqp", NO_BROKER], "NAME=FILE"),
        (["serve", "--service", "s=x", "--amqp", NO_BROKER, "--listen", "0.0.0.0:0"], "token_file"),
        (["add", "s", "b"], "--interval"),
        (["add", "s", "b", "--interval", "5", "--follow", "k"], "--interval"),
        (["add", "s", "b", "--interval", "5", "-t", "a=b"], "--follow"),
        (["add", "s", "b", "--follow", "k", "-t", "a"], "SOURCE=TARGET"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["blocks", *arguments]) == 2
    assert words in capsys.readouterr().err
