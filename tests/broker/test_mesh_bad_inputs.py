"""The table of bad inputs, column F: what a running peer does about each, over a real broker.

Nothing is written, the announcement is counted under the reason named and kept, no thread ends, and the next good file
is in its place at once.
"""

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from samesky.link.broker import MosquittoBroker
from samesky.mesh.announcement import integrity_of
from stands.mesh_node import Announcer, MeshNode, read_tree, wait_until_connected
from stands.mesh_web_server import RunningWebServer
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

TOPIC = "xpublic/v03/post/20261121"
CONTENT = b"good content"
AT_ONCE_S = 25.0
"""A second or less, unless the machine is busy; and before a comparison could bring it (CHECK_AFTER_S of `peering`)."""
GOOD = "20261121/good.txt"


def pub_time(after_s: float = 0.0) -> str:
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() + after_s)) + ".5"


def localized(payload: bytes, server: RunningWebServer) -> bytes:
    """With what isn't known when the table is made: it may be an hour until a row's turn comes."""
    payload = payload.replace(b"@SERVER@", server.url.encode())
    return payload.replace(b"@IN-TWO-HOURS@", pub_time(7200).encode())


def fields(**changes: object) -> dict[str, object]:
    """A sound announcement of the good file; ``...`` takes a field away."""
    integrity = integrity_of(CONTENT)
    sound: dict[str, object] = {
        "pubTime": pub_time(),
        "baseUrl": "@SERVER@",
        "relPath": GOOD,
        "size": len(CONTENT),
        "integrity": {"method": integrity.method, "value": integrity.value},
    }
    return {name: value for name, value in (sound | changes).items() if value is not ...}


def announce(**changes: object) -> bytes:
    return json.dumps(fields(**changes)).encode()


def inline(value: str, encoding: str = "base64", **changes: object) -> bytes:
    return announce(content={"encoding": encoding, "value": value}, **changes)


@dataclass(frozen=True)
class Row:
    number: int
    name: str
    payload: bytes
    reason: str

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


LONG = "/".join(["d"] * 1500)
MD5 = integrity_of(CONTENT, "md5").value
WHOLE = base64.b64encode(CONTENT).decode()
TABLE = [
    Row(1, "empty", b"", "empty"),
    Row(2, "not UTF-8", b'{"relPath": "\xff"}', "encoding"),
    Row(2, "UTF-16", announce().decode().encode("utf-16"), "encoding"),
    Row(3, "truncated", announce()[:-1], "json"),
    Row(4, "a number", b"17", "shape"),
    Row(4, "an array of numbers", b"[1, 2]", "shape"),
    Row(5, "nested", b'{"a":' * 1000 + b"1" + b"}" * 1000, "depth"),
    Row(6, "NaN", announce(size=float("nan")), "nonfinite"),
    Row(6, "1e999", announce(note=5).replace(b'"note": 5', b'"note": 1e999'), "nonfinite"),
    Row(7, "a key twice", announce().replace(b'"size"', b'"relPath": "x", "size"'), "dupkey"),
    Row(8, "5,000 digits", announce(size=5).replace(b'"size": 5', b'"size": ' + b"9" * 5000), "range"),
    Row(9, "over 8 KiB", announce(note="x" * 8192), "size"),
    Row(14, "a text for the size", announce(size=[]), "type"),
    Row(15, "no path", announce(relPath=...), "required"),
    Row(15, "no time", announce(pubTime=...), "required"),
    Row(16, "two hours in the future", announce(pubTime="@IN-TWO-HOURS@"), "future"),
    Row(17, "1970", announce(pubTime="19700101T000000.0"), "past"),
    Row(35, "upwards", announce(relPath="../outside.txt"), "path"),
    Row(35, "absolute", announce(relPath="//etc/passwd"), "path"),
    Row(35, "upwards inside", announce(relPath="a/../../outside.txt"), "path"),
    Row(35, "backslashes", announce(relPath="..\\outside.txt"), "path"),
    Row(36, "through a symbolic link", inline(WHOLE, relPath="leads-out/outside.txt"), "path"),
    Row(37, "a name of 300 bytes", announce(relPath="x" * 300), "path"),
    Row(37, "1,500 parts", announce(relPath=LONG), "path"),
    Row(37, "NUL", announce(relPath="a\0b"), "path"),
    Row(37, "a newline", announce(relPath="a\nb"), "path"),
    Row(37, "turned around", announce(relPath="a\u202eb"), "path"),
    Row(37, "not NFC", announce(relPath="e\u0301"), "path"),
    Row(37, "a trailing dot", announce(relPath="a."), "path"),
    Row(37, "a device", announce(relPath="a/CON.txt"), "path"),
    Row(38, "our own state", announce(relPath=".samesky/mesh.sdb"), "reserved"),
    Row(38, "git's", announce(relPath="a/.git/config"), "reserved"),
    Row(38, "an option", announce(relPath="-rf"), "reserved"),
    Row(39, "a directory is there", inline(WHOLE, relPath="here/directory"), "conflict"),
    Row(39, "a file is there", inline(WHOLE, relPath="here/file/below"), "conflict"),
    Row(40, "a link out of the tree", announce(fileOp={"link": "../../etc/passwd"}), "path"),
    Row(40, "a rename of what is outside", announce(fileOp={"rename": "../outside/x"}), "path"),
    Row(40, "an operation that nobody knows", announce(fileOp={"chmod": "777"}), "version"),
    Row(41, "a file of this machine", announce(baseUrl="file:///etc", relPath="passwd"), "url"),
    Row(41, "FTP", announce(baseUrl="ftp://127.0.0.1/"), "url"),
    Row(41, "loopback in short", announce(baseUrl="http://127.1:80/"), "url"),
    Row(41, "the cloud's keys", announce(baseUrl="http://169.254.169.254/"), "url"),
    Row(41, "IPv4 in IPv6", announce(baseUrl="http://[::ffff:7f00:1]/"), "url"),
    Row(41, "NAT64", announce(baseUrl="http://[64:ff9b::7f00:1]/"), "url"),
    Row(42, "another content", announce(integrity={"method": "sha512", "value": integrity_of(b"x").value}), "checksum"),
    Row(42, "another size", announce(size=5), "size"),
    Row(42, "no checksum", announce(integrity=...), "checksum"),
    Row(
        42, "MD5 alone", announce(integrity={"method": "md5", "value": integrity_of(CONTENT, "md5").value}), "checksum"
    ),
    Row(44, "bad base64", inline("!!!"), "inline"),
    Row(44, "over 4 KiB", inline(base64.b64encode(bytes(4097)).decode(), size=4097), "inline"),
    Row(44, "another length", inline(WHOLE, size=5), "inline"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mesh")


@pytest.fixture(scope="module")
def module_broker(place: Path) -> Iterator[MosquittoBroker]:
    with MosquittoBroker(dir=place / "broker") as broker:
        yield broker


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[RunningWebServer]:
    """Has the good file, and as many more as there are rows."""
    (place / "served" / "20261121").mkdir(parents=True)
    for name in (GOOD, *(f"20261121/after-{number}.txt" for number in range(len(TABLE)))):
        (place / "served" / name).write_bytes(CONTENT)
    with RunningWebServer(place / "served") as running:
        yield running


@pytest.fixture(scope="module")
def peer(place: Path, module_broker: MosquittoBroker) -> Iterator[MeshNode]:
    folder = place / "tree"
    (folder / "here" / "directory").mkdir(parents=True)
    (folder / "here" / "file").write_bytes(b"a file")
    (place / "outside").mkdir()
    (folder / "leads-out").symlink_to(place / "outside")
    with MeshNode(folder, module_broker.port, follows=[module_broker.port]) as node:
        wait_until_connected(node)
        yield node


@pytest.fixture(scope="module")
def announcer(module_broker: MosquittoBroker) -> Iterator[Announcer]:
    with Announcer(module_broker.port) as announcer:
        yield announcer


@pytest.mark.parametrize(
    ("number", "row"), list(enumerate(TABLE)), ids=lambda each: str(each) if isinstance(each, Row) else ""
)
def test_a_bad_announcement_is_counted_and_the_next_good_one_is_dealt_with(
    number: int, row: Row, place: Path, peer: MeshNode, server: RunningWebServer, announcer: Announcer
) -> None:
    before = read_tree(peer.folder)
    counted = peer.status().neighbours[0].refused.get(row.reason, 0)
    # This peer's alone: those of tests before this one may be about to end.
    own = (peer.name, "samesky-mesh-writing")
    threads = {thread.name for thread in threading.enumerate() if any(name in thread.name for name in own)}
    assert len(threads) >= 3, "its loop's, and one for each of its two connections"
    announcer.send(TOPIC, localized(row.payload, server))

    def refused() -> bool:
        return peer.status().neighbours[0].refused.get(row.reason, 0) > counted

    wait_for(refused, 30, what=f"the count of {row.reason}", explain=lambda: peer.status().neighbours[0].describe())
    assert read_tree(peer.folder) == before
    assert os.listdir(place / "outside") == []
    good = f"20261121/after-{number}.txt"
    announcer.send(TOPIC, announce(baseUrl=server.url, relPath=good))
    wait_for(lambda: (peer.folder / good).exists(), AT_ONCE_S, what="the next good file")
    assert (peer.folder / good).read_bytes() == CONTENT
    assert threads <= {thread.name for thread in threading.enumerate()}


def test_what_was_refused_is_kept_in_part_for_who_wants_to_know(peer: MeshNode, announcer: Announcer) -> None:
    announcer.send(TOPIC, announce(relPath="../kept", note="x" * 5000))
    wait_for(lambda: peer.call(lambda peering: any(b"../kept" in each[3] for each in peering.refused)), 30)
    assert peer.call(lambda peering: max(len(each[3]) for each in peering.refused)) <= 4096
