"""`samesky mesh serve` serves until it's ended, and says where."""

import json
import signal
import urllib.request
from pathlib import Path

import click
import pytest

from samesky.cli.main import main
from samesky.cli.mesh_options import ON_THIS_MACHINE, Listen, ListenType
from stands.mesh_command import RunningCommand


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_bytes(b"hello\n")
    return tmp_path / "data"


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_serves_until_it_is_ended(tree: Path, signum: int, status: int) -> None:
    with RunningCommand("mesh", "serve", tree, "--listen", "127.0.0.1:0", "--json") as serving:
        told = json.loads(serving.wait_for_line())
        with urllib.request.urlopen(told["url"] + "a.txt") as answer:
            assert answer.read() == b"hello\n"
        assert serving.end(signum) == status
        assert "Traceback" not in serving.errors


def test_it_says_where_it_serves(tree: Path) -> None:
    with RunningCommand("mesh", "serve", tree, "-l", "127.0.0.1:0") as serving:
        assert serving.wait_for_line().startswith(f"serving {tree} at http://127.0.0.1:")


def test_a_folder_that_is_not_there_is_an_error_of_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mesh", "serve", str(tmp_path / "absent")]) == 2
    assert "absent" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "host", "port", "url"),
    [
        ("127.0.0.1:8000", "127.0.0.1", 8000, "http://127.0.0.1:8000/"),
        ("[::1]:80", "::1", 80, "http://[::1]:80/"),
        ("node.example:1", "node.example", 1, "http://node.example:1/"),
    ],
)
def test_where_to_listen_is_a_port_with_or_without_a_host(text: str, host: str, port: int, url: str) -> None:
    listen = ListenType().convert(text, None, None)
    assert (listen, listen.url) == (Listen(host, port), url)
    assert ListenType().convert("8000", None, None) == Listen("", 8000)
    assert ON_THIS_MACHINE.convert("8000", None, None) == Listen("127.0.0.1", 8000)


@pytest.mark.parametrize("text", ["", "x", "host", "host:", "1:2:3", "::1:80", "[::1:80", "host:65536", "host:-1"])
def test_anything_else_is_an_error_of_usage(text: str) -> None:
    with pytest.raises(click.UsageError):
        ListenType().convert(text, None, None)
