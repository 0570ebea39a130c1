"""What ``[blocks]`` in samesky.toml says (blocks/blocks_settings.py)."""

from pathlib import Path
from typing import Any

import pytest

from samesky.blocks.blocks_settings import BlocksSettings, is_local, read_blocks
from samesky.config import Findings

BROKER = "amqp://guest:guest@localhost/"
LEAST: dict[str, Any] = {"amqp": BROKER, "services": {"spark": {"store": "spark.json"}}}


def read(section: object, **given: Any) -> tuple[BlocksSettings, list[str]]:
    findings = Findings()
    settings = read_blocks({"blocks": section}, findings, given=given)
    return settings, [str(finding) for finding in findings.found]


def find_mistake(**changed: Any) -> str:
    """The only thing found about the least configuration with these changes."""
    (found,) = read({**LEAST, **changed})[1]
    return found


def test_a_broker_and_a_service_are_enough() -> None:
    settings, found = read(LEAST)
    assert found == []
    assert (settings.listen, settings.state, settings.token) == ("127.0.0.1:5000", Path("blocks.sdb"), "")
    assert settings.amqp is not None
    assert settings.amqp.exchange == "syncast"
    assert [(each.name, each.kind, each.place) for each in settings.services] == [("spark", "store", "spark.json")]
    assert settings.may_write("spark", "anything")
    assert not settings.may_write("others", "anything")


def test_everything_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a token of some length\n")
    (tmp_path / "token").chmod(0o600)
    settings, found = read(
        {
            "listen": "0.0.0.0:80",
            "state": str(tmp_path / "links.sdb"),
            "amqp": ["amqp://one/", "amqps://two/brewery"],
            "exchange": "other",
            "heartbeat_s": 30,
            "dead_letter_exchange": "dead",
            "mqtt": "mqtts://me@three",
            "ca_file": str(tmp_path / "token"),
            "token_file": str(tmp_path / "token"),
            "services": {
                "old": {"controller": "http://localhost:5001/", "generation": "2018", "writable": ["dummy-*", "led"]},
                "new": {"controller": "https://spark:5000/spark"},
            },
        }
    )
    assert found == []
    assert settings.token == "a token of some length"
    assert settings.amqp is not None
    assert (len(settings.amqp.urls), settings.amqp.exchange, settings.amqp.heartbeat_s) == (2, "other", 30)
    assert [(each.name, each.kind, each.place) for each in settings.services] == [
        ("old", "2018", "http://localhost:5001"),
        ("new", "today", "https://spark:5000/spark"),
    ]
    assert [settings.may_write("old", id) for id in ("dummy-sensor", "led", "heater")] == [True, True, False]
    assert settings.mqtt is not None
    assert (settings.mqtt.host, settings.exchange) == ("three", "other")
    assert settings.tls is settings.amqp.tls is not None
    assert settings.amqp.dead_letter_exchange == "dead"
    assert "a token" not in repr(settings)


def test_a_service_may_be_named_by_the_broker_over_which_it_speaks(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("certificates")
    told = {
        "one": {"controller": "mqtt://me:secret@brewery"},
        "two": {"controller": "mqtts://brewery:8884/spark-two/", "writable": ["dummy-*"]},
    }
    settings, found = read({**LEAST, "services": told, "ca_file": str(tmp_path / "ca.pem")})
    assert found == []
    one, two = settings.services
    assert (one.kind, one.place, str(one.broker), two.place, str(two.broker)) == (
        "brewcast",
        "one",
        "mqtt://me@brewery",
        "spark-two",
        "mqtts://brewery:8884",
    )
    assert two.broker is not None
    assert two.tls is not None
    assert two.may_write("dummy-1")
    assert not two.may_write("heater")
    assert "secret" not in repr(settings)


def test_one_of_the_two_links_is_enough() -> None:
    settings, found = read({"mqtt": "mqtt://localhost", "services": {"spark": {"store": "x"}}})
    assert (found, settings.amqp) == ([], None)


def test_what_the_command_line_gives_comes_first() -> None:
    settings, found = read(LEAST, listen="127.0.0.1:0", services={"one": {"store": "one.json"}})
    assert found == []
    assert (settings.listen, [each.name for each in settings.services]) == ("127.0.0.1:0", ["one"])


def test_nothing_at_all_says_what_to_write() -> None:
    _, found = read({})
    assert any("[blocks.services.NAME]" in each for each in found)
    assert any('"amqp://guest:guest@localhost/"' in each for each in found)


def test_every_mistake_is_told_at_once() -> None:
    _, found = read(
        {
            "amqp": "http://localhost/",
            "heartbeat_s": 1,
            "listen": "0.0.0.0:5000",
            "liste": 1,
            "services": {"a": {}, "b/c": {"store": "x"}, "d": 5, "e": {"store": "x", "controller": "http://e"}},
        }
    )
    for words in ("amqp", "heartbeat_s", "0.0.0.0", "liste", "services.a", "services.b/c", "services.d", "services.e"):
        assert any(words in each for each in found), words
    assert len(found) == 8


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"amqp": 5}, "amqp should be a URL"),
        ({"mqtt": "http://a"}, "mqtt: "),
        ({"mqtt": "mqtt://a", "exchange": "a/b"}, "exchange should be a name"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file"),
        ({"amqp": []}, "amqp should be a URL"),
        ({"services": []}, "there is no service"),
        ({"services": {"a": {"controller": "localhost:5000"}}}, "should be a URL, such as http://"),
        ({"services": {"a": {"controller": "http://u:p@a"}}}, "should be a URL, such as http://"),
        ({"services": {"a": {"controller": "http://a", "generation": "2019"}}}, "2018 or today"),
        ({"services": {"a": {"controller": "mqtt://a", "generation": "2018"}}}, "doesn't speak MQTT"),
        ({"services": {"a": {"controller": "mqtt://a/b/c"}}}, "end with one name"),
        ({"services": {"a": {"controller": "mqtt://a:b"}}}, "controller: "),
        ({"services": {"a": {"store": "x", "writable": "dummy"}}}, "writable should be a list"),
        ({"services": {"a": {"store": "x", "stores": "y"}}}, "did you mean store?"),
        ({"services": {"remote": {"store": "x"}}}, "remote"),
        ({"token": "short"}, "16 characters"),
        ({"listen": "127.0.0.1:5000x"}, "should be HOST:PORT"),
        ({"listen": "5000"}, "should be HOST:PORT"),
        ({"listen": "0.0.0.0:5000"}, "set token_file"),
    ],
)
def test_a_mistake_is_told_with_its_place(changed: dict[str, Any], words: str) -> None:
    found = find_mistake(**changed)
    assert found.startswith("blocks")
    assert words in found


def test_a_section_that_is_no_table_is_a_mistake() -> None:
    assert any("it should be a table: [blocks]" in each for each in read(5)[1])


def test_a_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESKY_BLOCKS_TOKEN", "from the environment")
    settings, found = read({**LEAST, "listen": "0.0.0.0:5000"})
    assert (settings.token, found) == ("from the environment", [])


def test_a_port_alone_is_of_this_machine() -> None:
    settings, found = read({**LEAST, "listen": ":5001"})
    assert (settings.listen, found) == ("127.0.0.1:5001", [])


@pytest.mark.parametrize("listen", ["127.0.0.1:5000", "127.8.9.1:0", "localhost:80", "[::1]:5000"])
def test_only_this_machine_reaches_a_loopback_address(listen: str) -> None:
    assert is_local(listen)


@pytest.mark.parametrize("listen", ["0.0.0.0:5000", "[::]:5000", ":5000", "5000", "spark.local:5000", "192.168.1.2:80"])
def test_others_reach_another_address(listen: str) -> None:
    assert not is_local(listen)
