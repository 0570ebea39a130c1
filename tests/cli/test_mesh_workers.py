"""`samesky mesh workers` runs peers that share the announcements of a broker, and ends them with itself."""

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.link.broker import MosquittoBroker
from stands.mesh_command import RunningCommand
from stands.mesh_listener import Listener
from stands.mesh_web_server import RunningWebServer
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

COUNT = 60


@pytest.fixture
def source(tmp_path: Path) -> Iterator[RunningWebServer]:
    """A tree with files, and its web server."""
    for number in range(COUNT):
        file = tmp_path / "source" / f"{number % 6}" / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"%d\n" % number * 300)
    with RunningWebServer(tmp_path / "source") as running:
        yield running


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """URLs of a neighbour's broker and of our own."""
    with MosquittoBroker(dir=tmp_path / "there") as there, MosquittoBroker(dir=tmp_path / "here") as here:
        yield f"mqtt://127.0.0.1:{there.port}", f"mqtt://127.0.0.1:{here.port}"


def hashes(folder: Path) -> dict[str, str]:
    files = [each for each in folder.rglob("*.txt") if ".samesky" not in each.parts]
    return {str(each.relative_to(folder)): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(["--share", "g"], id="shared"),
        pytest.param(["--post-exchange-split"], id="split"),
    ],
)
def test_workers_bring_every_file_once(
    tmp_path: Path, source: RunningWebServer, brokers: tuple[str, str], mode: list[str]
) -> None:
    there, here = brokers
    options = ["--broker", there, "--post-broker", here, "--client-id", "cwao", "--dir-prefix", tmp_path / "data"]
    options += ["--allow-host", "127.0.0.1", "--post-base-url", "http://here/", "--not-durable", *mode]
    expected = 3 + ("--post-exchange-split" in mode)
    with (
        Listener(here, ["xpublic/#"]) as listener,
        RunningCommand("mesh", "workers", 3, *options, "--json", "--log-dir", tmp_path / "log") as running,
    ):
        pids = json.loads(running.wait_for_line())["workers"]
        assert len(pids) == expected
        logs = {name: tmp_path / "log" / f"{name}.log" for name in pids}
        # Each has a second connection, to announce, which may come first: then nobody has subscribed yet.
        wait_for(
            lambda: all(f"mqtt_connected client={name}-0 " in log.read_text() for name, log in logs.items()),
            60,
            what="subscriptions",
        )
        tree = str(tmp_path / "source")
        where = ["--post-broker", there, "--post-base-url", source.url, "--post-base-dir", tree]
        assert main(["mesh", "pub", *where, tree]) == 0
        wanted = hashes(tmp_path / "source")
        wait_for(lambda: hashes(tmp_path / "data") == wanted, 60, explain=lambda: logs["cwao-00"].read_text()[-2000:])
        heard = wait_for(lambda: (found := listener.heard) and len(found) >= COUNT and found, 60)
        paths = [each.json["relPath"] for each in heard if "relPath" in each.json]
        assert sorted(paths) == sorted(wanted)
        os.kill(next(iter(pids.values())), signal.SIGKILL)
        assert running.end() == 143
        for pid in pids.values():
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["0"], "0"),
        (["x"], "x"),
        (["2", "--nonsense"], "nonsense"),
        (["2", "--subtopic"], "--subtopic"),
        (["1", "--post-broker", "mqtt://h", "--post-exchange-split"], "two workers"),
        (["2", "--post-exchange-split"], "needs --post-broker"),
        (["2", "--share", "a/b"], "without /"),
    ],
)
def test_what_the_user_cannot_have_meant_is_status_2_and_nothing_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    options = ["--broker", "mqtt://h", "--dir-prefix", str(tmp_path / "data")]
    assert main(["mesh", "workers", *arguments[:1], *options, *arguments[1:]]) == 2
    assert words in capsys.readouterr().err
