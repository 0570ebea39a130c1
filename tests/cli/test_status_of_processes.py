"""Whatever runs on a machine tells `samesky status` how it does, without being named."""

import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from samesky.cli.main import main
from samesky.link.broker import MosquittoBroker
from samesky.web.noticeboard import open_noticeboard
from stands.blocks_rest import ServedBlocks
from stands.mesh_command import RunningCommand
from stands.ports import free_port
from stands.push_runs import SiteCommands
from stands.push_serving import ServedCentre
from stands.push_site import make_site
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

Streams = Mapping[tuple[str, str], dict[str, Any]]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No configuration is found by chance."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path / "empty")
        yield


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    def read() -> Streams:
        main(["status", "--json"])
        streams = json.loads(capsys.readouterr().out)["streams"]
        return {(each["stream"], each["role"]): each for each in streams}

    return read


def has(streams: Streams, stream: str, role: str, **values: object) -> bool:
    found = streams.get((stream, role), {})
    return bool(found) and values.items() <= found.items()


def test_a_peer_and_a_watched_folder_are_told_of_and_withdrawn(
    tmp_path: Path, broker: MosquittoBroker, told: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"mqtt://127.0.0.1:{broker.port}"
    neighbour, folder = f"peer/{url}", f"out/127.0.0.1:{broker.port}"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_bytes(b"x")
    with RunningCommand("mesh", "watch", "--post-broker", url, "--inline", tmp_path / "out") as watch:
        wait_for(lambda: has(told(), folder, "primary", state="live", behind=0), 60, explain=lambda: str(watch.errors))
        wait_for(lambda: told()[folder, "primary"]["details"]["announced"] == 1, 60)
    assert (folder, "primary") not in told()
    options = ("--broker", url, "--dir-prefix", tmp_path / "peer", "--no-compare")
    with RunningCommand("mesh", "peer", *options) as peer:
        wait_for(lambda: has(told(), neighbour, "peer", state="live"), 60, explain=lambda: str(peer.errors))
        assert told()[neighbour, "peer"]["words"] == "live, without comparisons"
        broker.stop()
        away = wait_for(lambda: has(told(), neighbour, "peer", state="disconnected", level="bad"), 60)
        assert away
        assert "restart mosquitto" in told()[neighbour, "peer"]["todo"]
        assert main(["status", "--system", "mesh"]) == 3
        capsys.readouterr()
        assert peer.end(signal.SIGTERM) == 143
    assert told() == {}


def test_links_of_blocks_are_told_of_with_their_values(tmp_path: Path, broker: MosquittoBroker, told: Any) -> None:
    options = f'mqtt = "mqtt://127.0.0.1:{broker.port}"'
    blocks = ServedBlocks(tmp_path, options=options, a="", b="")
    blocks.put("a", sensor={"value": 20.5})
    blocks.put("b", dummy={"value": 0.0})
    with blocks:
        for path, link in (
            ("/a/remote/master", {"id": "sensor", "interval": 1, "link": "mqtt"}),
            ("/b/remote/slave", {"id": "dummy", "key": "a.sensor", "translations": {}, "link": "mqtt"}),
        ):
            answer = blocks.ask("POST", path, json.dumps(link).encode(), {"Content-Type": "application/json"})
            assert answer.status < 300, answer.text
        wait_for(lambda: has(told(), "b.dummy", "replica", level="good"), 60, explain=lambda: str(told()))
        shown = told()["b.dummy", "replica"]
        assert (shown["details"]["value"], shown["details"]["key"]) == ("value = 20.5", "a.sensor")
        # The broker's word for the sender may come after the message at the receiver.
        wait_for(lambda: has(told(), "a.sensor", "primary", level="good"), 60, explain=lambda: str(told()))
    assert told() == {}


def test_a_centre_its_sites_and_their_pushes_are_told_of(tmp_path: Path, told: Any) -> None:
    with make_site(f"sqlite:///{tmp_path / 'site.db'}") as site:
        site.fill(90)
    centre = ServedCentre(tmp_path / "centre", f"sqlite:///{tmp_path / 'central.db'}")
    with centre:
        key = centre.add_site("north")
        pushes = SiteCommands(tmp_path / "site", f"sqlite:///{tmp_path / 'site.db'}", centre_url=centre.url, key=key)
        assert pushes.run().status == 0
        assert has(told(), "centre", "pusher", level="good", proven_count=90, silent_after_s=None)
        wait_for(lambda: has(told(), "north", "site", level="good"), 60, what="the site", explain=lambda: str(told()))
        assert told()["north", "site"]["stored"] == 90
        daemon = pushes.launch("daemon")
        wait_for(lambda: told()["centre", "pusher"]["owner"].startswith("push daemon"), 60)
        centre.stop()
        assert ("north", "site") not in told()
        assert has(told(), "centre", "pusher")
        daemon.process.terminate()
        daemon.process.wait(60)


def test_a_station_without_weewx_posts_and_one_that_was_killed_stays(
    tmp_path: Path, told: Any, noticeboard_directory: Path
) -> None:
    config = tmp_path / "samesky.toml"
    config.write_text(
        f'[broker]\nhost = "127.0.0.1"\nport = {free_port()}\n'
        f'[station.follow.home.wx_binding]\ntype = "main"\nsqlite = "{tmp_path}/copy.sdb"\n'
    )
    stream = "home/wx_binding", "requester"
    with RunningCommand("station", "follow", "--config", config) as follow:
        wait_for(
            lambda: has(told(), *stream, state="disconnected", level="bad"),
            60,
            explain=lambda: f"{told()} {follow.errors}",
        )
        shown = told()[stream]
        assert "refused the connection" in shown["words"]
        assert f"samesky check --online {config}" in shown["todo"]
        follow.end(signal.SIGKILL)
    (heard,) = open_noticeboard(noticeboard_directory).read(told()[stream]["heard_at"] + 61)
    verdict = heard.judge(told()[stream]["heard_at"] + 61)
    assert verdict.todo == f"Start it again: `samesky station follow --config {config}`. Its log says why it ended."
