"""`samesky mesh pub` announces files, and its exit status says whether the broker has the announcements."""

import hashlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.link.broker import MosquittoBroker
from samesky.mesh.announcement import integrity_of
from samesky.mesh.index import Index
from samesky.mesh.wis2 import decode_wis2
from stands.mesh_listener import Listener
from stands.ports import free_port
from stands.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MosquittoBroker]:
    """A folder with a tree `data`, entered, and a broker with the two users of the seed's README."""
    (tmp_path / "data" / "GTS").mkdir(parents=True)
    (tmp_path / "data" / "hello.txt").write_bytes(b"hello\n")
    (tmp_path / "data" / "GTS" / "large.bufr").write_bytes(b"\xff" * 5000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SAMESKY_BROKER_PASSWORD", raising=False)
    with MosquittoBroker(dir=tmp_path / "broker", users={"owner": "ownerpw", "guest": "guestpw"}) as broker:
        yield broker


def owner(node: MosquittoBroker) -> str:
    return f"mqtt://owner:ownerpw@127.0.0.1:{node.port}"


def pub(*arguments: object) -> int:
    return main(["mesh", "pub", *map(str, arguments)])


def test_the_command_of_the_readme_announces_the_file(
    node: MosquittoBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    with Listener(f"mqtt://guest:guestpw@127.0.0.1:{node.port}", ["xpublic/#"]) as listener:
        assert pub("--post_broker", owner(node), "--inline", "data/hello.txt") == 0
        (heard,) = wait_for(lambda: listener.heard, 60)
    told = heard.json
    assert (heard.topic, told["relPath"], told["size"]) == ("xpublic/v03/post", "hello.txt", 6)
    assert told["baseUrl"] == f"http://{socket.gethostname()}:8000/data"
    assert told["content"] == {"encoding": "utf-8", "value": "hello\n"}
    said = capsys.readouterr().out
    assert said.startswith(f"announced 1 file at mqtt://owner@127.0.0.1:{node.port}")
    assert "ownerpw" not in said


def test_a_folder_is_announced_with_all_that_is_in_it(
    node: MosquittoBroker, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Index(tmp_path / "data").close()
    with Listener(f"mqtt://guest:guestpw@127.0.0.1:{node.port}", ["other/#"]) as listener:
        options = ["--post-broker", owner(node), "--exchange", "other", "--post-base-url", "https://n.example/"]
        assert pub(*options, "--header", "source=CWAO", "--inline", "--encoding", "binary", "--json", "data") == 0
        wait_for(lambda: len(listener.heard) == 2, 60)
    assert [each["relPath"] for each in json.loads(capsys.readouterr().out)["announced"]] == [
        "GTS/large.bufr",
        "hello.txt",
    ]
    large, hello = (each.json for each in listener.heard)
    assert large["source"] == hello["source"] == "CWAO"
    assert large["baseUrl"] == "https://n.example/"
    assert "content" not in large
    assert hello["content"]["encoding"] == "base64"
    with Index(tmp_path / "data") as index:
        entry = index.read("hello.txt")
        assert entry is not None
        assert entry.content == hashlib.sha512(b"hello\n").digest()
        assert index.count == 2


def test_files_in_the_places_of_wis2_are_announced_as_its_messages(
    node: MosquittoBroker, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = tmp_path / "data" / "wis2" / "ca-eccc-msc" / "data" / "core" / "weather"
    place.mkdir(parents=True)
    (place / "a.bufr").write_bytes(b"BUFR")
    options = ["--post-broker", owner(node), "--post-base-url", "https://n.example/", "--inline"]
    with Listener(f"mqtt://guest:guestpw@127.0.0.1:{node.port}", ["origin/#"]) as listener:
        assert pub(*options, "--format", "wis2", "--centre-id", "ca-eccc-msc", "data/hello.txt", place) == 4
        (heard,) = wait_for(lambda: listener.heard, 60)
    assert heard.topic == "origin/a/wis2/ca-eccc-msc/data/core/weather"
    told = decode_wis2(heard.payload, heard.topic, now_ns=time.time_ns())
    assert (told.path, told.content) == ("wis2/ca-eccc-msc/data/core/weather/a.bufr", b"BUFR")
    assert told.integrity == integrity_of(b"BUFR")
    assert told.url == "https://n.example/wis2/ca-eccc-msc/data/core/weather/a.bufr"
    assert "hello.txt isn't announced: its place is no topic of WIS2" in capsys.readouterr().err


def test_the_password_may_be_in_the_environment(node: MosquittoBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMESKY_BROKER_PASSWORD", "ownerpw")
    assert pub("--post-broker", f"mqtt://owner@127.0.0.1:{node.port}", "data/hello.txt") == 0


def test_a_broker_that_does_not_let_us_in_or_is_not_there_is_status_3(
    node: MosquittoBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pub("--post-broker", owner(node).replace("ownerpw", "s3cret"), "--timeout", 1, "data/hello.txt") == 3
    assert pub("--post-broker", f"mqtt://127.0.0.1:{free_port()}", "--timeout", 1, "data/hello.txt") == 3
    said = capsys.readouterr().err
    assert "can't be reached" in said
    assert "s3cret" not in said


def test_files_that_cannot_be_announced_are_named_and_the_others_announced(
    node: MosquittoBroker, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "data" / "GTS" / "CON").write_bytes(b"x")
    assert pub("--post-broker", owner(node), "data") == 4
    said = capsys.readouterr()
    assert "announced 2 files" in said.out
    assert "CON isn't announced: a part of the path is the name of a device" in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data/absent.txt"], "does not exist"),
        (["elsewhere"], "elsewhere can't be announced: it isn't below data"),
        (["--post-base-dir", "data/GTS", "data/hello.txt"], "isn't below data/GTS"),
        (["--post-base-url", "file:///etc", "data/hello.txt"], "must be http://"),
        (["--post-base-url", "http://u:p@h/", "data/hello.txt"], "without a user"),
        (["--header", "relPath=x", "data/hello.txt"], "told of every file"),
        (["--header", "x", "data/hello.txt"], "name=value"),
        (["--exchange", "a/b", "data/hello.txt"], "without /"),
        (["--format", "wis2", "data/hello.txt"], "needs --centre-id"),
        (["--inline-max", "5000", "data/hello.txt"], "4096"),
    ],
)
def test_what_the_user_cannot_have_meant_is_status_2_and_nothing_is_done(
    node: MosquittoBroker, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "elsewhere").write_bytes(b"x")
    assert pub("--post-broker", owner(node), *arguments) == 2
    assert words in capsys.readouterr().err
