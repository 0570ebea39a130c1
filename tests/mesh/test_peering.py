"""Whole peers: two or three nodes with real brokers, in one process."""

import json
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.link.broker import MosquittoBroker
from samesky.link.message import Subscription
from samesky.mesh.announcement import Announcement, integrity_of
from samesky.mesh.index import Index
from samesky.mesh.peer import Rules, Selection
from samesky.mesh.peer_settings import Neighbour
from samesky.mesh.publish import enter_files, read_file
from samesky.mesh.wis2 import encode_wis2
from stands.mesh_listener import Listener
from stands.mesh_node import Announcer, MeshNode, read_tree, wait_until_connected
from stands.mesh_web import ScriptedWeb, answering, target_of, whole
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

PATH = "2026112117/CWAO/IU/a.bufr"
# Deadlines below CHECK_AFTER_S of `peering`: what announcements are to do, no comparison has done.


def has(node: MeshNode, path: str, content: bytes) -> bool:
    file = node.folder / path
    return file.exists() and file.read_bytes() == content


def wait_until_has(node: MeshNode, path: str, content: bytes, deadline_s: float = 25.0) -> None:
    wait_for(lambda: has(node, path, content), deadline_s, what=f"{path} at {node.name}", explain=node.describe)


def publish(announcer: Announcer, node: MeshNode, content: bytes) -> None:
    """Do with a new content of the file what `samesky mesh pub` does; nothing is stored over it meanwhile.

    Of a file that isn't in the index a peer knows only when it was written, to 4 ms on older Linux: what somebody else
    has announced a moment before may be stored over it.
    """
    place = node.folder / PATH
    place.parent.mkdir(parents=True, exist_ok=True)
    with Index(node.folder) as index, index.file.writing():
        place.write_bytes(content)
        (told,) = enter_files(index, [read_file(place, PATH)], base_url=node.url)
    announcer.announce(told)


def test_a_file_that_one_announces_goes_on_to_all_with_the_checksum_and_the_time_it_had(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    ports = [broker.port for broker in brokers]
    first = stack.enter_context(MeshNode(tmp_path / "1", ports[0]))
    second = stack.enter_context(MeshNode(tmp_path / "2", ports[1], follows=[ports[0]]))
    third = stack.enter_context(MeshNode(tmp_path / "3", ports[2], follows=[ports[1]]))
    wait_until_connected(first, second, third)
    announcer = stack.enter_context(Announcer(ports[0]))
    told = announcer.put(first, PATH, b"content")
    wait_until_has(third, PATH, b"content")
    wait_for(lambda: third.status().announced == 1, 25)
    entries = [node.call(lambda peering: peering.index.read(PATH)) for node in (second, third)]
    assert [(entry.pub_time, entry.integrity) for entry in entries] == [(told.pub_time, told.integrity)] * 2
    assert third.status().neighbours[0].lag.count == 1


def test_a_top_level_file_and_an_odd_name_go_the_same_way(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    second = stack.enter_context(MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port]))
    wait_until_connected(first, second)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    for path in ("top.txt", "c++/100% #1 ö.txt", "a b/ü?&=;.txt"):
        announcer.put(first, path, path.encode())
        wait_until_has(second, path, path.encode())


def test_an_empty_file_is_a_file(tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack) -> None:
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    second = stack.enter_context(MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port]))
    wait_until_connected(first, second)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    announcer.put(first, PATH, b"")
    wait_until_has(second, PATH, b"")
    wait_for(lambda: second.status().announced == 1, 25, explain=second.describe)  # until then it is still pending
    announcer.put(first, PATH, b"")
    wait_for(lambda: second.status().neighbours[0].skipped.get("same"), 25, explain=second.describe)
    assert second.status().neighbours[0].fetched == 1


def test_two_who_announce_other_contents_of_one_path_agree_and_go_quiet(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    ports = [broker.port for broker in brokers[:2]]
    one = stack.enter_context(MeshNode(tmp_path / "1", ports[0], follows=[ports[1]]))
    two = stack.enter_context(MeshNode(tmp_path / "2", ports[1], follows=[ports[0]]))
    wait_until_connected(one, two)
    announcers = [stack.enter_context(Announcer(port)) for port in ports]
    for round_ in range(5):
        publish(announcers[0], one, b"one %d" % round_)
        publish(announcers[1], two, b"two %d" % round_)
    latest = b"two 4"
    wait_until_has(one, PATH, latest)
    wait_until_has(two, PATH, latest)
    calm = [0.0, (0, 0)]

    def quiet() -> bool:
        received = tuple(sum(each.received for each in node.status().neighbours) for node in (one, two))
        if received != calm[1]:
            calm[:] = [time.monotonic(), received]
        return time.monotonic() - calm[0] > 1

    wait_for(quiet, 60, what="silence", explain=one.describe)
    assert read_tree(one.folder) == read_tree(two.folder)
    assert sum(calm[1]) < 40


def test_what_was_never_announced_is_found_by_comparing(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    files = {f"20261121{hour:02d}/CWAO/{number}.txt": b"%d" % number for hour in range(4) for number in range(25)}
    for path, content in files.items():
        (tmp_path / "1" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "1" / path).write_bytes(content)
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    second = stack.enter_context(
        MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port], compare_interval_s=1.0)
    )
    wait_for(lambda: second.read_files() == files, 60, what="the files", explain=second.describe)
    wait_for(lambda: second.status().same, 60, what="the proof", explain=second.describe)
    assert first.read_files() == files


def test_what_its_broker_lost_while_a_peer_was_away_is_there_when_it_comes_back(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    ports = [broker.port for broker in brokers[:2]]
    first = stack.enter_context(MeshNode(tmp_path / "1", ports[0], scan_interval_s=1.0))
    with MeshNode(tmp_path / "2", ports[1], follows=[ports[0]], name="second") as second:
        wait_until_connected(second)
    announcer = stack.enter_context(Announcer(ports[0]))
    expected = {}
    for number in range(1500):  # mosquitto keeps 1,000
        expected[f"away/{number}.txt"] = b"%d" % number
        announcer.put(first, f"away/{number}.txt", b"%d" % number)
    second = stack.enter_context(
        MeshNode(tmp_path / "2", ports[1], follows=[ports[0]], name="second", compare_interval_s=1.0)
    )
    wait_for(lambda: second.read_files() == expected, 60, what="the files", explain=second.describe)
    wait_for(lambda: second.status().neighbours[0].queue == 0, 60, what="the end of it", explain=second.describe)
    assert second.status().neighbours[0].fetched == 1500


def test_only_what_is_selected_is_taken_and_comparing_brings_no_more(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    for path in ("a/x.txt", "a/x.bin", "b/x.txt"):
        (tmp_path / "1" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "1" / path).write_bytes(path.encode())
    stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    second = stack.enter_context(
        MeshNode(
            tmp_path / "2",
            brokers[1].port,
            follows=[brokers[0].port],
            rules=Rules(Selection.parse([r"accept \.txt$"])),
            neighbour=lambda each: replace(each, subtopics=("a/#",)),
            compare_interval_s=1.0,
        )
    )
    wait_until_has(second, "a/x.txt", b"a/x.txt", 60)
    wait_for(lambda: second.status().same, 60, what="the proof", explain=second.describe)
    assert list(second.read_files()) == ["a/x.txt"]


def test_small_files_travel_inside_when_asked_and_no_server_is_needed(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    second = stack.enter_context(
        MeshNode(
            tmp_path / "2",
            brokers[1].port,
            follows=[brokers[0].port],
            posting=lambda each: replace(each, inline_most_bytes=1024),
        )
    )
    third = stack.enter_context(
        MeshNode(  # a comparison, which would fetch them, may come before the announcements
            tmp_path / "3",
            brokers[2].port,
            follows=[brokers[1].port],
            neighbour=lambda each: replace(each, compares=False),
        )
    )
    wait_until_connected(second, third)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    for path, content in (("text.txt", "grüße".encode()), ("binary.bin", bytes(range(256)))):
        announcer.announce(Announcement(path, time.time_ns(), integrity_of(content), len(content), content=content))
        wait_until_has(third, path, content)
    for node in (second, third):
        wait_for(lambda node=node: node.status().neighbours[0].inlined == 2, 25, explain=node.describe)


def test_content_that_is_not_what_was_announced_is_neither_stored_nor_passed_on(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    second = stack.enter_context(MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port]))
    wait_until_connected(second)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    web = stack.enter_context(ScriptedWeb(answering(lambda _: whole(b"content"))))
    told = Announcement("nowhere", time.time_ns(), integrity_of(b"content"), 7, content=b"another")
    announcer.announce(told)
    announcer.announce(replace(told, path="elsewhere", base_url=web.url))
    wait_until_has(second, "elsewhere", b"content")
    wait_for(lambda: second.status().announced == 1, 25, explain=second.describe)
    assert list(second.read_files()) == ["elsewhere"]
    assert second.status().neighbours[0].refused == {"nowhere": 1}


def test_a_cache_of_wis2_keeps_what_may_be_kept_and_passes_on_the_rest_as_it_came(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    cache = stack.enter_context(
        MeshNode(
            tmp_path / "2",
            brokers[1].port,
            follows=[brokers[0].port],
            neighbour=lambda each: replace(each, subscriptions=(Subscription("origin/a/wis2/#"),), compares=False),
            posting=lambda each: replace(each, format="wis2", centre_id="de-dwd-global-cache"),
        )
    )
    wait_until_connected(cache)
    listener = stack.enter_context(Listener(f"mqtt://127.0.0.1:{brokers[1].port}", ["#"]))
    announcer = stack.enter_context(Announcer(brokers[0].port))
    web = stack.enter_context(ScriptedWeb(answering(lambda _: whole(b"content"))))
    folder = "wis2/ca-eccc-msc/data/core/weather"
    for name in ("passed.bufr", "kept.bufr"):
        told = Announcement(f"{folder}/{name}", time.time_ns(), integrity_of(b"content"), 7, web.url)
        document = json.loads(encode_wis2(told, centre_id="ca-eccc-msc"))
        document["properties"]["cache"] = name == "kept.bufr"
        announcer.send("origin/a/wis2/ca-eccc-msc/data/core/weather", json.dumps(document).encode())
    passed, kept = sorted(listener.wait_for(2), key=lambda heard: heard.json["properties"]["cache"])
    assert passed.topic == kept.topic == "cache/a/wis2/ca-eccc-msc/data/core/weather"
    assert passed.json["links"][0]["href"] == f"{web.url}/{folder}/passed.bufr"
    assert kept.json["links"][0]["href"] == f"{cache.url}{folder}/kept.bufr"
    assert cache.read_files() == {f"{folder}/kept.bufr": b"content"}


def test_what_is_more_than_every_peer_takes_travels_inside_between_those_who_say_so(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    ports = [broker.port for broker in brokers]
    second = stack.enter_context(
        MeshNode(
            tmp_path / "2",
            ports[1],
            follows=[ports[0]],
            posting=lambda each: replace(each, inline_most_bytes=20_000),
            inline_max_bytes=20_000,
        )
    )
    third = stack.enter_context(
        MeshNode(  # a comparison, which would fetch them, may come before the announcements
            tmp_path / "3",
            ports[2],
            follows=[ports[1]],
            neighbour=lambda each: replace(each, compares=False),
            inline_max_bytes=20_000,
        )
    )
    usual = stack.enter_context(MeshNode(tmp_path / "4", ports[2], follows=[ports[1]]))
    wait_until_connected(second, third, usual)
    announcer = stack.enter_context(Announcer(ports[0]))
    for path, content in (("text.txt", b'"\n\0' * 4000), ("binary.bin", bytes(range(256)) * 40)):
        announcer.announce(Announcement(path, time.time_ns(), integrity_of(content), len(content), content=content))
        wait_until_has(third, path, content)
    wait_for(lambda: third.status().neighbours[0].inlined == 2, 25, explain=third.describe)
    wait_for(lambda: sum(usual.status().neighbours[0].refused.values()) == 2, 25, explain=usual.describe)
    assert usual.status().neighbours[0].inlined == 0


def test_removals_and_renames_are_done_where_they_are_wanted_and_stay_done(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    taking = stack.enter_context(
        MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port], rules=Rules(take_removals=True))
    )
    keeping = stack.enter_context(MeshNode(tmp_path / "3", brokers[2].port, follows=[brokers[0].port]))
    wait_until_connected(first, taking, keeping)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    old, renamed = announcer.put(first, "a/old.txt", b"1"), announcer.put(first, "a/before.txt", b"2")
    for node in (taking, keeping):
        wait_until_has(node, "a/before.txt", b"2")
        wait_until_has(node, "a/old.txt", b"1")
    announcer.announce(Announcement("a/old.txt", time.time_ns(), operation="remove"))
    (first.folder / "a/before.txt").rename(first.folder / "a/after.txt")
    announcer.announce(
        replace(renamed, path="a/after.txt", pub_time=time.time_ns(), operation="rename", target="a/before.txt")
    )
    wait_for(lambda: taking.status().neighbours[0].removed == 2, 25, explain=taking.describe)
    assert taking.read_files() == {"a/after.txt": b"2"}
    wait_for(lambda: len(keeping.read_files()) == 3, 25, explain=keeping.describe)
    announcer.announce(old)
    wait_for(lambda: taking.status().neighbours[0].skipped.get("removed"), 25)
    assert list(taking.read_files()) == ["a/after.txt"]


def test_what_could_not_be_announced_is_announced_when_the_broker_is_back(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    announcer = stack.enter_context(Announcer(brokers[0].port))
    with MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port], name="second") as second:
        wait_until_connected(first, second)
        brokers[1].stop()
        for number in range(20):
            announcer.put(first, f"a/{number}.txt", b"x")
        wait_for(lambda: second.status().to_announce == 20, 25, explain=second.describe)
        assert second.status().files == 20
    brokers[1].start()
    second = stack.enter_context(MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port], name="second"))
    wait_for(lambda: second.status().announced == 20, 25, what="the announcements", explain=second.describe)


def test_what_is_announced_again_while_it_is_fetched_is_fetched_once_and_has_the_later_time(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    asked: list[str] = []
    going_on = threading.Event()

    def answer(request: str) -> bytes:
        asked.append(request)
        assert going_on.wait(60)
        return whole(b"content")

    second = stack.enter_context(MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port]))
    wait_until_connected(second)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    web = stack.enter_context(ScriptedWeb(answering(answer)))
    told = Announcement(PATH, time.time_ns(), integrity_of(b"content"), 7, web.url)
    later = replace(told, pub_time=told.pub_time + 1000)
    announcer.announce(told)
    wait_for(lambda: asked, 25, what="the question")
    announcer.announce(later)
    wait_for(lambda: second.status().neighbours[0].skipped.get("pending"), 25, explain=second.describe)
    going_on.set()
    wait_until_has(second, PATH, b"content")
    wait_for(lambda: second.status().announced == 1, 25, explain=second.describe)
    assert second.call(lambda peering: peering.index.read(PATH)).pub_time == later.pub_time
    assert len(asked) == 1


def test_who_announces_a_file_while_it_is_fetched_is_another_place_to_fetch_it_from(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    asked: list[str] = []
    going_on = threading.Event()

    def refuse(request: str) -> bytes:
        asked.append(request)
        assert going_on.wait(60)
        return whole(b"", status="404 Not Found")

    ports = [broker.port for broker in brokers]
    second = stack.enter_context(
        MeshNode(tmp_path / "2", ports[2], follows=ports[:2], neighbour=lambda each: replace(each, compares=False))
    )
    wait_until_connected(second)
    announcers = [stack.enter_context(Announcer(port)) for port in ports[:2]]
    gone = stack.enter_context(ScriptedWeb(answering(refuse)))
    there = stack.enter_context(ScriptedWeb(answering(lambda _: whole(b"content"))))
    told = Announcement(PATH, time.time_ns(), integrity_of(b"content"), 7, gone.url)
    announcers[0].announce(told)
    wait_for(lambda: asked, 25, what="the first question")
    announcers[1].announce(replace(told, base_url=there.url))
    wait_for(lambda: second.status().neighbours[1].skipped.get("pending"), 25, explain=second.describe)
    going_on.set()
    wait_until_has(second, PATH, b"content")
    assert len(asked) == 1


@pytest.mark.parametrize("first", ["high", "late"], ids=["what is urgent", "what is not late"])
def test_what_matters_more_is_fetched_before_what_came_first(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack, first: str
) -> None:
    asked: list[str] = []
    going_on = threading.Event()

    def answer(request: str) -> bytes:
        asked.append(target_of(request))
        assert going_on.wait(60)
        return whole(b"x")

    def with_priority(each: Neighbour) -> Neighbour:
        urgent = first == "high" and each.mqtt.port == brokers[1].port
        return replace(each, compares=False, priority=1 if urgent else 0)

    ports = [broker.port for broker in brokers]
    node = stack.enter_context(MeshNode(tmp_path / "2", ports[2], follows=ports[:2], neighbour=with_priority))
    wait_until_connected(node)
    announcers = [stack.enter_context(Announcer(port)) for port in ports[:2]]
    web = stack.enter_context(ScriptedWeb(answering(answer)))
    past = time.time_ns() - (3 * 3600 * 10**9 if first == "late" else 0)
    for number in range(400):  # far more than are asked for at once
        announcers[0].announce(Announcement(f"bulk/{number}", past, integrity_of(b"x"), 1, web.url))
    wait_for(lambda: node.status().neighbours[0].queue == 400, 25, explain=node.describe)
    announcers[1].announce(Announcement("first", time.time_ns(), integrity_of(b"x"), 1, web.url))
    wait_for(lambda: node.status().neighbours[1].queue == 1, 25, explain=node.describe)
    before = len(asked)
    going_on.set()
    wait_until_has(node, "first", b"x")
    wait_for(lambda: node.status().files == 401, 60, explain=node.describe)
    assert before < 200
    assert asked.index("/first") < 300


def test_what_the_own_broker_refuses_is_kept_here_and_not_in_memory(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    acl = "topic readwrite xpublic/v03/post/open/#\ntopic read xpublic/samesky/#\n"
    strict = stack.enter_context(MosquittoBroker(dir=tmp_path / "strict", acl=acl))
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    second = stack.enter_context(MeshNode(tmp_path / "2", strict.port, follows=[brokers[0].port]))
    wait_until_connected(first, second)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    for number in range(20):
        announcer.put(first, f"{'open' if number % 2 else 'closed'}/{number}", b"x")
    wait_for(lambda: second.status().files == 20, 25, explain=second.describe)  # in whichever order they were fetched
    wait_for(lambda: second.status().announced == 10, 25, explain=second.describe)
    wait_for(lambda: second.status().to_announce == 0, 25, explain=second.describe)
    assert second.status().announced == 10


def test_a_thousand_announcements_of_what_is_here_are_neither_fetched_nor_said_again(
    tmp_path: Path, brokers: list[MosquittoBroker], stack: ExitStack
) -> None:
    first = stack.enter_context(MeshNode(tmp_path / "1", brokers[0].port))
    second = stack.enter_context(MeshNode(tmp_path / "2", brokers[1].port, follows=[brokers[0].port]))
    wait_until_connected(first, second)
    announcer = stack.enter_context(Announcer(brokers[0].port))
    told = announcer.put(first, PATH, b"content")
    wait_for(lambda: second.status().announced == 1, 25, explain=second.describe)
    for base_url in (first.url, second.url):
        for _ in range(500):
            announcer.announce(replace(told, base_url=base_url))

    def dropped() -> bool:
        skipped = second.status().neighbours[0].skipped
        return skipped.get("same", 0) == skipped.get("own", 0) == 500

    wait_for(dropped, 25, what="all of them", explain=second.describe)
    assert (second.status().neighbours[0].fetched, second.status().announced) == (1, 1)
