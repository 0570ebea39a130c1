"""`samesky web`, and `--web` of the commands that serve."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from tests.stands import web_streams as streams
from tests.stands.ports import free_port
from tests.stands.waiting import wait_for
from tests.stands.web_page import TOKEN

from samesky.cli.main import samesky
from samesky.web.noticeboard import Noticeboard

pytestmark = pytest.mark.slow


@contextmanager
def running(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command of samesky, with a noticeboard of its own in ``folder``, until the block ends."""
    environment = os.environ | {"SAMESKY_STATUS_DIR": str(folder / "board")}
    command = [sys.executable, "-m", "samesky", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=folder, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of samesky that ends by itself."""
    command = [sys.executable, "-m", "samesky", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60, check=False)


def ask(url: str, path: str = "", **headers: str) -> tuple[int, str]:
    """The status and the text of what is at ``path``."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 0, timeout=20)
    try:
        connection.request("GET", f"/{path}", headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def read_address(process: subprocess.Popen[str]) -> str:
    """The address of the page, which is the first thing that is told."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("the page is at http://127.0.0.1:"), line
    return line.split()[-1]


def test_it_says_where_the_page_is_and_the_page_shows_what_is_told(tmp_path: Path) -> None:
    with running(tmp_path, "web", "--listen", "127.0.0.1:0") as process:
        url = read_address(process)
        assert "Nothing to show yet" in ask(url)[1]
        Noticeboard(tmp_path / "board").post("x", [streams.copy_of("a/b", time.time())], time.time())
        wait_for(lambda: "The copy is the same" in ask(url)[1], 30, what="the copy on the page")


def test_for_programs_the_address_is_json(tmp_path: Path) -> None:
    with running(tmp_path, "web", "--listen", "127.0.0.1:0", "--json") as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert ask(told["url"], "health/live")[0] == 200
        assert str(told["port"]) in told["url"]


def test_it_ends_soon_when_it_is_asked_to_though_somebody_looks_at_the_page(tmp_path: Path) -> None:
    with running(tmp_path, "web", "--listen", "127.0.0.1:0") as process:
        parts = urlsplit(read_address(process))
        connection = HTTPConnection(parts.hostname or "", parts.port or 0, timeout=20)
        connection.request("GET", "/events?page=/")
        assert connection.getresponse().readline().startswith(b"event")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=25) == 143  # without an end to its answers it goes on for thirty
        connection.close()


def test_beyond_this_machine_it_wants_a_token_and_says_how(tmp_path: Path) -> None:
    ended = run(tmp_path, "web", "--listen", "0.0.0.0:0")
    assert ended.returncode == 2
    assert "a token is needed" in ended.stderr
    assert "--token-file" in ended.stderr


def test_the_token_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN, encoding="utf-8")
    file.chmod(0o600)
    with running(tmp_path, "web", "--listen", "127.0.0.1:0", "--token-file", str(file)) as process:
        url = read_address(process)
        assert ask(url)[0] == 401
        assert ask(url, Authorization=f"Bearer {TOKEN}")[0] == 200


def test_a_port_that_is_taken_is_told_with_what_to_do(tmp_path: Path) -> None:
    with running(tmp_path, "web", "--listen", "127.0.0.1:0") as process:
        port = urlsplit(read_address(process)).port
        ended = run(tmp_path, "web", "--listen", f"127.0.0.1:{port}")
        assert ended.returncode == 2
        assert "choose another address or port" in ended.stderr


def test_the_settings_are_those_of_the_file_and_every_mistake_is_told(tmp_path: Path) -> None:
    config = tmp_path / "samesky.toml"
    config.write_text('[web]\nlisten = "127.0.0.1:0"\nmax_lag = 60\n', encoding="utf-8")
    with running(tmp_path, "web", "--config", str(config)) as process:
        url = read_address(process)
        lagging = streams.copy_of("a/b", time.time(), lag_s=90.0)
        Noticeboard(tmp_path / "board").post("x", [lagging], time.time())
        wait_for(lambda: "more than 60" in ask(url, "health/ready")[1], 30, what="too much lag")
    config.write_text('[web]\nlisten = "nowhere"\nmax_lag = "soon"\n', encoding="utf-8")
    ended = run(tmp_path, "web", "--config", str(config))
    assert ended.returncode == 2
    assert "listen = 'nowhere'" in ended.stderr
    assert "max_lag = 'soon'" in ended.stderr


def test_a_command_that_serves_shows_itself(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    broker = f"mqtt://127.0.0.1:{free_port()}"
    words = ("mesh", "watch", "--post-broker", broker, "--web", "0", "data")
    with running(tmp_path, *words) as process:
        url = read_address(process)
        wait_for(lambda: json.loads(ask(url, "status.json")[1])["streams"], 60, what="the command's own stream")
        streams_told = json.loads(ask(url, "status.json")[1])["streams"]
        assert [each["system"] for each in streams_told] == ["mesh"]


@pytest.mark.parametrize(
    "words",
    [
        "station serve",
        "station follow",
        "mesh peer",
        "mesh workers",
        "mesh watch",
        "push serve",
        "push daemon",
        "blocks serve",
    ],
)
def test_every_command_that_serves_can_show_the_page(words: str) -> None:
    told = CliRunner().invoke(samesky, [*words.split(), "--help"]).stdout
    assert "--web [HOST:]PORT" in told
    assert "--web-token-file" in told
