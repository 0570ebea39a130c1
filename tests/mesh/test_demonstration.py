"""What the seed's demonstration gets wrong, run and read: each is a test, here or where it is named.

* The topic of a re-announcement lacks a slash; paths aren't quoted: here, and `test_peering`.
* Paths and links that lead out of the tree, ``file://``: `broker/test_mesh_bad_inputs`.
* Two contents for one path make a storm: `test_peering`; removals don't last: `test_peering`.
* Nine kinds of message kill it, at every start again: here.
* An open that truncates: here. No retry, no time-out, a broker that was restarted: here.
* 78 % lost through default queues: `faults/test_mesh_queue`, `test_peering`.
* An old version and a failed download: here. Empty files come twice: `test_peering`. Another file's content inline:
  `test_publish`.
* Cleaning removes today's directory: `test_prune`. Dispatcher and workers: `test_workers`, `interop/test_wmo_mesh`.
"""

import json
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.link.broker import MosquittoBroker
from samesky.mesh.announcement import Announcement, integrity_of
from stands.mesh_node import Announcer, MeshNode, wait_until_connected
from stands.mesh_web import ScriptedWeb, Visitor, answering, whole
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

PATH = "2026112117/CWAO/IU/a.bufr"


def test_the_third_node_of_a_chain_gets_everything(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    ports = [broker.port for broker in brokers]
    first = stack.enter_context(MeshNode(tmp_path / "1", ports[0]))
    second = stack.enter_context(MeshNode(tmp_path / "2", ports[1], follows=[ports[0]]))
    without_comparing = stack.enter_context(
        MeshNode(tmp_path / "3", ports[2], follows=[ports[1]], neighbour=lambda each: replace(each, compares=False))
    )
    wait_until_connected(first, second, without_comparing)
    announcer = stack.enter_context(Announcer(ports[0]))
    expected = {}
    for number in range(500):
        path = f"20261121{number % 24:02d}/a+b #{number % 7}/{number}.txt"
        expected[path] = b"%d" % number
        announcer.put(first, path, expected[path])
    wait_for(
        lambda: without_comparing.read_files() == expected, 60, what="the files", explain=without_comparing.describe
    )


def test_nine_kinds_of_message_neither_stop_a_peer_nor_come_again_at_its_next_start(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))

    def second() -> MeshNode:
        return MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port], name="second")

    with second() as node:
        wait_until_connected(first, node)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    (tmp_path / "2" / "in the way").write_bytes(b"a file")
    content = b"content"
    sound = {"baseUrl": first.url, "size": len(content), "pubTime": time.strftime("%Y%m%dT%H%M%S.5", time.gmtime())}
    integrity = {"method": "sha512", "value": integrity_of(content).value}
    by_sha256 = {"method": "sha256", "value": integrity_of(content, "sha256").value}
    taken = {
        "z.txt": {"pubTime": str(sound["pubTime"]) + "Z"},
        "c++/plus.txt": {},
        "sha256.txt": {"integrity": by_sha256},
    }
    for path, changes in taken.items():
        (first.folder / path).parent.mkdir(exist_ok=True)
        (first.folder / path).write_bytes(content)
        announcer.send(
            "xpublic/v03/post", json.dumps(sound | {"relPath": path, "integrity": integrity} | changes).encode()
        )
    for payload in (b"{", b"\xff", b"[]", b'"text"'):
        announcer.send("xpublic/v03/post", payload)
    announcer.send("xpublic/v03/post", json.dumps(sound | {"relPath": "none.txt"}).encode())
    in_the_way = Announcement("in the way/a.txt", time.time_ns(), integrity_of(content), len(content), content=content)
    announcer.announce(in_the_way)
    with second() as node:
        wait_for(lambda: node.status().neighbours[0].fetched == 3, 25, what="the good ones", explain=node.describe)
        wait_for(lambda: sum(node.status().neighbours[0].refused.values()) == 6, 25, explain=node.describe)
        assert taken.keys() <= node.read_files().keys()
        assert (tmp_path / "2" / "in the way").read_bytes() == b"a file"
    with second() as node:
        wait_until_connected(node)
        announcer.put(first, PATH, b"after all that")
        wait_for(lambda: PATH in node.read_files(), 25, explain=node.describe)
        assert node.status().neighbours[0].received == 1
        assert not node.status().neighbours[0].refused


def test_who_reads_a_file_that_changes_again_and_again_sees_whole_versions_alone(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    second = stack.enter_context(MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port]))
    wait_until_connected(first, second)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    versions = [bytes([number]) * 50_000 for number in range(60)]
    seen: set[bytes] = set()
    ending = threading.Event()

    def read_again_and_again() -> None:
        while not ending.is_set():
            try:
                seen.add((second.folder / PATH).read_bytes())
            except FileNotFoundError:
                continue

    reader = threading.Thread(target=read_again_and_again, name="reader")
    reader.start()
    try:
        for version in versions:
            staged = first.folder / "staged"
            staged.write_bytes(version)
            (first.folder / PATH).parent.mkdir(parents=True, exist_ok=True)
            staged.rename(first.folder / PATH)
            announcer.announce(Announcement(PATH, time.time_ns(), integrity_of(version), len(version), first.url))
        wait_for(lambda: second.read_files().get(PATH) == versions[-1], 60, what="the last", explain=second.describe)
    finally:
        ending.set()
        reader.join()
    assert seen <= set(versions)


def test_a_server_that_says_nothing_holds_up_nobody_else(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    second = stack.enter_context(MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port]))
    wait_until_connected(first, second)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    silent = stack.enter_context(ScriptedWeb(Visitor.wait_for_end))
    for number in range(300):  # more than are fetched at once from one server
        announcer.announce(Announcement(f"silent/{number}", time.time_ns(), integrity_of(b"x"), 1, silent.url))
    wait_for(lambda: second.status().neighbours[0].received == 300, 25, explain=second.describe)
    announcer.put(first, PATH, b"content")
    wait_for(lambda: PATH in second.read_files(), 25, what="the file of the other", explain=second.describe)


def test_what_could_not_be_fetched_is_fetched_later(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    asked: list[str] = []

    def answer(request: str) -> bytes:
        asked.append(request)
        return whole(b"busy", status="503 Busy") if len(asked) == 1 else whole(b"content")

    second = stack.enter_context(MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port]))
    wait_until_connected(second)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    web = stack.enter_context(ScriptedWeb(answering(answer)))
    announcer.announce(Announcement(PATH, time.time_ns(), integrity_of(b"content"), 7, web.url))
    wait_for(lambda: second.read_files() == {PATH: b"content"}, 60, what="the second try", explain=second.describe)


def test_announcements_go_on_after_the_own_broker_was_restarted(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    second = stack.enter_context(MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port]))
    third = stack.enter_context(MeshNode(tmp_path / "3", brokers[2].port, follows=[brokers[1].port]))
    wait_until_connected(first, second, third)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    brokers[1].kill()
    announcer.put(first, PATH, b"content")
    wait_for(lambda: PATH in second.read_files(), 25, explain=second.describe)
    brokers[1].start()
    wait_for(lambda: PATH in third.read_files(), 60, what="the file at the third", explain=third.describe)


def test_an_old_version_is_not_announced_when_the_new_one_cannot_be_fetched(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    second = stack.enter_context(MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port]))
    wait_until_connected(first, second)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    announcer.put(first, PATH, b"old")
    wait_for(lambda: second.status().announced == 1, 25, explain=second.describe)
    gone = stack.enter_context(ScriptedWeb(answering(lambda _: whole(b"", status="404 Not Found"))))
    announcer.announce(Announcement(PATH, time.time_ns(), integrity_of(b"new"), 3, gone.url))
    wait_for(lambda: second.status().neighbours[0].failed, 25, explain=second.describe)
    announcer.put(first, "marker", b"x")
    wait_for(lambda: second.status().announced == 2, 25, explain=second.describe)
    assert second.read_files()[PATH] == b"old"
