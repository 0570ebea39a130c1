"""`samesky push run`, `plan` and `daemon` as they are typed: what they say, and with which status they end."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.cli.main import main
from stands.ports import free_port
from stands.push_pair import PushPair, make_pair
from stands.push_runs import RunningPush
from stands.push_server import PushServer
from stands.push_site import DAY
from stands.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushServer]:
    with PushServer(f"sqlite:///{tmp_path_factory.mktemp('centre') / 'central.db'}") as running:
        yield running


@pytest.fixture
def pair(server: PushServer, tmp_path: Path) -> Iterator[PushPair]:
    with make_pair(server, tmp_path / "site") as made:
        made.site.fill(90)
        yield made


def push(pair: PushPair, command: str, *arguments: str) -> int:
    return main(["push", command, "--config", str(pair.write_config()), *arguments])


def test_a_run_says_what_was_sent_and_proven(pair: PushPair, capsys: pytest.CaptureFixture[str]) -> None:
    assert push(pair, "run") == 0
    said = capsys.readouterr()
    assert re.search(r"Reading: 90 new rows; the same: 90 rows, digest [0-9a-f]{32}", said.out)
    assert "Node: 3 created" in said.out
    assert pair.key not in said.out + said.err
    assert push(pair, "run", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["targets"]
    assert (told["target"], told["status"]) == ("centre", 0)
    assert told["tables"][0]["proof"]["same"]


def test_a_plan_says_what_would_be_done_and_does_nothing(pair: PushPair, capsys: pytest.CaptureFixture[str]) -> None:
    assert push(pair, "plan") == 0
    said = capsys.readouterr().out
    assert "Node: 3 to create" in said
    assert "Reading: 90 rows to send" in said
    assert pair.count_at_centre() == 0
    assert push(pair, "plan", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["targets"]
    assert told["rows"] == {"Reading": 90, "NodeState": 0}


def test_the_configuration_of_the_original_is_enough(pair: PushPair, capsys: pytest.CaptureFixture[str]) -> None:
    config = pair.folder / "synchronise.conf"
    config.write_text(
        f"[general]\nlocalurl = {pair.settings.database}\npushlimit = 5000\nsynctime = 600\n\n"
        f"[locations]\ncentral = 1\n\n[central]\nresturl = {pair.server.url}/rest/\nkey = {pair.key}\n"
    )
    config.chmod(0o600)
    assert main(["push", "run", "--config", str(config)]) == 0
    assert pair.count_at_centre() == 90


def test_a_refused_row_ends_a_run_with_1(pair: PushPair, capsys: pytest.CaptureFixture[str]) -> None:
    pair.site.insert("Reading", {"time": DAY + 1, "nodeId": 69, "type": 0, "locationId": 1, "value": float("inf")})
    assert push(pair, "run") == 1
    assert "1 refused (nonfinite)" in capsys.readouterr().out
    assert push(pair, "status", "--quarantine") == 1
    assert "nonfinite" in capsys.readouterr().out


def test_a_wrong_key_ends_with_2_and_a_hint(pair: PushPair, capsys: pytest.CaptureFixture[str]) -> None:
    pair.key = "nobody.secret"
    assert push(pair, "run") == 2
    said = capsys.readouterr().err
    assert "doesn't take the key" in said
    assert "what to do: `samesky push key list`" in said
    assert "nobody.secret" not in said
    assert push(pair, "plan") == 2


def test_a_target_that_isnt_there_ends_with_3_and_the_others_are_pushed(
    pair: PushPair, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samesky.push.pushing.MOST_TRIES", 2)
    config = pair.write_config()
    with config.open("a") as file:
        file.write(f"[push.targets.gone]\nurl = 'http://127.0.0.1:{free_port()}'\nkey = 'a.b'\n")
    assert main(["push", "run", "--config", str(config)]) == 3
    assert pair.count_at_centre() == 90
    assert "gone: http://127.0.0.1" in capsys.readouterr().err
    assert main(["push", "run", "--config", str(config), "--target", "centre"]) == 0
    assert main(["push", "run", "--config", str(config), "--target", "nowhere"]) == 2


def test_a_configuration_without_a_target_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "samesky.toml"
    config.write_text("[push]\ndatabase = 'sqlite:///nowhere.db'\n")
    assert main(["push", "run", "--config", str(config)]) == 2
    assert "there is no target" in capsys.readouterr().err


def test_a_daemon_ends_in_order_when_it_is_told_to(pair: PushPair) -> None:
    config = pair.write_config()
    daemon = RunningPush(["daemon", "--config", str(config)], pair.folder)
    try:
        wait_for(lambda: "90 new rows" in daemon.text, 60, what="the first run", explain=lambda: daemon.text)
        daemon.process.send_signal(signal.SIGTERM)
        finished = daemon.wait(60)
    finally:
        daemon.process.kill()
        daemon.process.wait()
    assert finished.status == 143
    assert pair.count_at_centre() == 90
