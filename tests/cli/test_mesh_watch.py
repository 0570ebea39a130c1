"""`samesky mesh watch` announces what appears until it's ended, and goes on from there the next time."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.link.broker import MosquittoBroker
from stands.mesh_command import RunningCommand
from stands.mesh_listener import Listener
from stands.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def listener(broker: MosquittoBroker) -> Iterator[Listener]:
    with Listener(f"mqtt://127.0.0.1:{broker.port}", ["xpublic/#"]) as listening:
        yield listening


def test_it_announces_what_appears_until_it_is_ended(tree: Path, broker: MosquittoBroker, listener: Listener) -> None:
    (tree / "existing").write_bytes(b"x")
    url = f"mqtt://127.0.0.1:{broker.port}"
    with RunningCommand("mesh", "watch", "--post_broker", url, "--inline", "--removals", tree) as watch:
        assert watch.wait_for_line().startswith(f"watching {tree}, to be fetched from http://")
        (tree / "new").write_bytes(b"hello\n")
        wait_for(lambda: listener.announced("existing") and listener.announced("new"), 60)
        assert listener.announced("new")[0]["content"] == {"encoding": "utf-8", "value": "hello\n"}
        (tree / "new").unlink()
        wait_for(lambda: len(listener.announced("new")) == 2, 60)
        assert watch.end(signal.SIGINT) == 130
        assert "Traceback" not in watch.errors
    with RunningCommand("mesh", "watch", "--post-broker", url, "--poll", "--interval", 0.2, "--json", tree) as watch:
        assert json.loads(watch.wait_for_line())["watching"] == str(tree)
        (tree / "later").write_bytes(b"x")
        wait_for(lambda: listener.announced("later"), 60)
        assert watch.end(signal.SIGTERM) == 143
    assert len(listener.heard) == 4


def test_a_second_watch_of_the_same_folder_is_status_5(
    tree: Path, broker: MosquittoBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"mqtt://127.0.0.1:{broker.port}"
    with RunningCommand("mesh", "watch", "--post-broker", url, tree) as watch:
        watch.wait_for_line()
        assert main(["mesh", "watch", "--post-broker", url, str(tree)]) == 5
        assert "another process watches" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["absent"], ["--post-base-url", "ftp://h/", "."], ["--interval", "0", "."]])
def test_what_the_user_cannot_have_meant_is_status_2(arguments: list[str]) -> None:
    assert main(["mesh", "watch", "--post-broker", "mqtt://h", *arguments]) == 2
