"""The README of the seed (MetPX wmo_mesh), followed with our commands, section by section."""

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stands.mesh_counting_web import CountingWeb
from stands.mesh_listener import Listener
from stands.mesh_programs import Running
from stands.mesh_seed_node import README_ACL, Node, read_tree, wait_until_same
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

HOUR = "2019013003"


@pytest.fixture
def blacklab(tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path / "blacklab") as node:
        yield node


@pytest.fixture
def awzz(tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path / "awzz") as node:
        yield node


def write_bulletins(node: Node, count: int, hour: str = HOUR) -> list[Path]:
    """Files named as in the README's sample output, in directories of four origins and three kinds."""
    files = []
    for number in range(count):
        origin, kind = ("CWAO", "KWNB", "EGRR", "AMMC")[number % 4], ("SX", "IU", "FT")[number % 3]
        name = f"{kind}CN{number:02}_{origin}_300300.txt"
        files.append(node.write(f"{hour}/GTS/{origin}/{kind}/{name}", f"bulletin {number}\n" * (1 + number % 100)))
    return files


def wait_for_file(node: Node, path: str, content: str, peer: Running) -> None:
    file = node.data / path
    peer.wait_for(lambda: file.exists() and file.read_text() == content, what=path)


# ---------------------------------------------------------------------- "Start Each Peer" and "Test"


def test_a_file_that_is_published_is_at_the_peer_and_announced_there(blacklab: Node, awzz: Node) -> None:
    with blacklab.listen() as at_blacklab, awzz.listen() as at_awzz:
        peer = awzz.start_peer(blacklab)
        hello = blacklab.write("hello.txt", "hello\n")
        blacklab.publish(hello)
        wait_for_file(awzz, "hello.txt", "hello\n", peer)
        both = (at_blacklab, at_awzz)
        wait_for(lambda: all(each.announced("hello.txt") for each in both), 60, what="both announcements")
        (first,), (second,) = at_blacklab.announced("hello.txt"), at_awzz.announced("hello.txt")
        assert second["pubTime"] == first["pubTime"]
        assert (first["baseUrl"].rstrip("/"), second["baseUrl"].rstrip("/")) == (blacklab.base_url, awzz.base_url)
        value = base64.b64encode(hashlib.sha512(b"hello\n").digest()).decode()
        assert first["integrity"] == second["integrity"] == {"method": "sha512", "value": value}
        assert int(first["size"]) == int(second["size"]) == 6
        assert "content" not in first
        assert {heard.topic for heard in at_awzz.heard if b"relPath" in heard.payload} == {"xpublic/v03/post"}
        blacklab.publish(hello)  # "same content": it is neither downloaded nor announced again
        blacklab.publish(blacklab.write("next.txt", "next\n"))
        wait_for_file(awzz, "next.txt", "next\n", peer)
        assert len(at_awzz.announced("hello.txt")) == 1


def test_files_are_announced_as_the_readme_spells_it(blacklab: Node) -> None:
    """``mesh_pub.py --post_broker mqtt://owner:ownerpw@this_host data/hello.txt``, with a web server on port 8000."""
    blacklab.write("20190120/hello.txt", "hello\n")
    with blacklab.listen() as at_blacklab:
        blacklab.run("pub", "--post_broker", blacklab.owner_url, "data/20190120/hello.txt")
        (heard,) = at_blacklab.wait_for(1)
    assert heard.topic == "xpublic/v03/post/20190120"
    assert heard.content_type == "application/json"
    assert heard.json["relPath"].lstrip("/") == "20190120/hello.txt"
    assert heard.json["baseUrl"].rstrip("/").endswith(":8000/data")


def test_a_file_within_an_announcement_needs_no_web_server(blacklab: Node, awzz: Node) -> None:
    peer = awzz.start_peer(blacklab, inline=True)
    with blacklab.listen() as at_blacklab, awzz.listen() as at_awzz:
        small, large = blacklab.write("small.txt", "é\n"), blacklab.write("large.txt", "x" * 5000)
        binary = blacklab.write("binary.bufr", b"BUFR\xff\x00")
        for file in (large, small, binary):  # the demonstration put one file's content into the next's announcement
            file.with_suffix(".copy").write_bytes(file.read_bytes())
        blacklab.publish(large, small, binary, inline=True, post_base_url="http://127.0.0.1:9")
        wait_for_file(awzz, "small.txt", "é\n", peer)
        peer.wait_for(lambda: (awzz.data / "binary.bufr").exists(), what="the binary file")
        assert (awzz.data / "binary.bufr").read_bytes() == b"BUFR\xff\x00"
        names = ("small.txt", "binary.bufr", "large.txt")
        wait_for(lambda: all(at_blacklab.announced(name) for name in names), 60, what="what was announced")
        (text,), (octets,) = at_blacklab.announced("small.txt"), at_blacklab.announced("binary.bufr")
        assert text["content"] == {"encoding": "utf-8", "value": "é\n"}
        assert octets["content"] == {"encoding": "base64", "value": base64.b64encode(b"BUFR\xff\x00").decode()}
        assert "content" not in at_blacklab.announced("large.txt")[0]
        wait_for(lambda: at_awzz.announced("small.txt"), 60, what="the announcement")
        assert at_awzz.announced("small.txt")[0]["content"] == text["content"]
        assert not (awzz.data / "large.txt").exists()


def test_the_four_nodes_come_to_hold_the_same(tmp_path: Path) -> None:
    with ExitStack() as stack:
        blacklab, awzz, bwqd, cwnp = (
            stack.enter_context(Node(tmp_path / name)) for name in ("blacklab", "awzz", "bwqd", "cwnp")
        )
        # As in the README: awzz hears of everything twice, by two peers that write to one tree.
        awzz.start_peer(blacklab, name="by-blacklab", inline=True)
        bwqd.start_peer(blacklab, inline=True)
        cwnp.start_peer(bwqd, inline=True)
        awzz.start_peer(cwnp, name="by-cwnp")
        with awzz.listen() as at_awzz, cwnp.listen() as at_cwnp:
            files = write_bulletins(blacklab, 200)
            blacklab.publish(*files, inline=True)
            held = wait_until_same(blacklab.data, awzz.data, bwqd.data, cwnp.data)
            assert len(held) == 200
            heard = (at_awzz, at_cwnp)  # what is announced is in the index, too, by which trees are compared below
            wait_for(lambda: all(each.announced(path) for each in heard for path in held), 60, what="all announcements")
            twice = [told for path in held if len(told := at_awzz.announced(path)) != 1]
            assert twice == []
        awzz.run("lag", awzz.owner_url, bwqd.owner_url, cwnp.owner_url)


# ---------------------------------------------------------------------- "Message Format" and "Sample Outputs"


def test_the_samples_of_the_readme_are_taken(blacklab: Node, awzz: Node) -> None:
    path, bulletin = f"{HOUR}/GTS/AMMC/FT/FTAU31_AMMC_292300_AAC.txt", b"FTAU31 AMMC 292300\n"
    blacklab.write(path, bulletin)
    blacklab.write("20190120/WIS/CA/CMC/UpperAir/04/UANT01_CWAO_200445___15103.txt", "")
    md5 = hashlib.md5(bulletin).hexdigest()
    peer = awzz.start_peer(blacklab, allow_md5=True)
    awzz_says = awzz.listen()
    with awzz_says, Listener(blacklab.owner_url, version_5=False) as feed:
        feed.publish(
            f"xpublic/v03/post/{HOUR}/GTS/AMMC/FT",
            ["20190130033822.951880", blacklab.base_url, f"/{path}", {"sum": f"d,{md5}", "source": "UCAR-UNIDATA"}],
        )
        feed.publish(
            "xpublic/v03/post/20190120/WIS/CA/CMC/UpperAir/04",
            {
                "pubTime": "20190120T045018.314854383",
                "baseUrl": blacklab.base_url,
                "relPath": "20190120/WIS/CA/CMC/UpperAir/04/UANT01_CWAO_200445___15103.txt",
                "size": "TBD",
                "integrity": {"method": "MD5", "value": "d41d8cd98f00b204e9800998ecf8427e"},
            },
        )
        wait_until_same(blacklab.data, awzz.data, explain=peer)
        wait_for(lambda: awzz_says.announced(path), 60, what="the announcement")
        (told,) = awzz_says.announced(path)
        assert told["pubTime"].startswith("20190130T033822.95188")
        assert told["integrity"] == {"method": "md5", "value": base64.b64encode(bytes.fromhex(md5)).decode()}
        assert told["source"] == "UCAR-UNIDATA"


def test_an_md5_alone_is_not_enough_unless_the_user_says_so(blacklab: Node, awzz: Node) -> None:
    peer = awzz.start_peer(blacklab)
    content = b"anybody's"
    blacklab.write("weak.txt", content)
    with Listener(blacklab.owner_url) as feed:
        integrity = {"method": "md5", "value": base64.b64encode(hashlib.md5(content).digest()).decode()}
        pub_time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        where = {"baseUrl": blacklab.base_url, "relPath": "weak.txt", "size": len(content), "integrity": integrity}
        feed.publish("xpublic/v03/post", {"pubTime": pub_time, **where})
        blacklab.publish(blacklab.write("strong.txt", "checked\n"))
        wait_for_file(awzz, "strong.txt", "checked\n", peer)
        assert not (awzz.data / "weak.txt").exists()


# ---------------------------------------------------------------------- "Determining Subscriptions"


def test_a_subtopic_takes_a_part_of_the_tree(blacklab: Node, awzz: Node) -> None:
    peer = awzz.start_peer(blacklab, subtopic=["+/GTS/+/IU/#", "+/GTS/KWNB/+/#"], clean_session=True)
    blacklab.publish(*write_bulletins(blacklab, 24))
    wanted = {path for path in read_tree(blacklab.data) if "/IU/" in path or "/KWNB/" in path}
    peer.wait_for(lambda: set(read_tree(awzz.data)) >= wanted, what="the bulletins that were subscribed to")
    assert set(read_tree(awzz.data)) == wanted


def test_regular_expressions_select_what_is_taken(blacklab: Node, awzz: Node) -> None:
    peer = awzz.start_peer(blacklab, select=["reject .*/CWAO/.*", "accept .*/(IU|FT)/.*", "reject .*"])
    blacklab.publish(*write_bulletins(blacklab, 24))
    wanted = {path for path in read_tree(blacklab.data) if "/CWAO/" not in path and "/SX/" not in path}
    peer.wait_for(lambda: set(read_tree(awzz.data)) >= wanted, what="the bulletins that were selected")
    assert set(read_tree(awzz.data)) == wanted


# ---------------------------------------------------------------------- "Easy Parallelism"


@pytest.mark.parametrize("split", [False, True], ids=["shared-subscription", "split-topics"])
def test_workers_share_the_work(tmp_path: Path, awzz: Node, split: bool) -> None:
    with Node(tmp_path / "cwao") as cwao, CountingWeb(cwao.data) as web:
        where = ["--broker", cwao.guest_url, "--post-broker", awzz.owner_url, "--post-base-url", awzz.base_url]
        how = ["--post-exchange-split"] if split else []
        workers = awzz.start("workers", "workers", 3, *where, *how, "--client-id", "cwao")
        if split:  # as in the seed: one takes all announcements, and spreads them at our own broker
            cwao.wait_for_subscriptions(workers, "cwao-dispatch-0")
        for number in range(3):  # with its whole id: workers also subscribe, as cwao-00-post, to what others ask them
            (awzz if split else cwao).wait_for_subscriptions(workers, f"cwao-0{number}-0")
        with awzz.listen("xpublic/v03/post/#") as at_awzz:
            cwao.publish(*write_bulletins(cwao, 120), post_base_url=web.url)
            held = wait_until_same(cwao.data, awzz.data, explain=workers)
            wait_for(lambda: all(at_awzz.announced(path) for path in held), 60, what="every announcement")
            assert {path for path in held if len(at_awzz.announced(path)) != 1} == set()
        assert set(web.requests.values()) == {1}
        workers.stop()
        for number in range(3):
            subscribed_at = awzz if split else cwao
            subscribed_at.wait_for_log(f"Client cwao-0{number}-0 ")  # … disconnected, or closed its connection


# ---------------------------------------------------------------------- "Configure a Message Broker"


def test_a_guest_who_may_only_read_gets_the_files(tmp_path: Path, awzz: Node) -> None:
    with Node(tmp_path / "blacklab", acl=README_ACL) as blacklab:
        peer = awzz.start_peer(blacklab)
        blacklab.publish(blacklab.write("hello.txt", "hello\n"))
        wait_for_file(awzz, "hello.txt", "hello\n", peer)


def test_a_publisher_who_is_not_let_in_is_told_so_without_his_password(blacklab: Node) -> None:
    hello = blacklab.write("hello.txt", "hello\n")
    stranger = blacklab.owner_url.replace("ownerpw", "s3cret")
    said = blacklab.run("pub", "--post-broker", stranger, "--timeout", 2, hello, status=3)
    assert "s3cret" not in said


# ---------------------------------------------------------------------- "cleanup"


def test_directories_of_past_hours_are_removed_and_nothing_else(blacklab: Node) -> None:
    now = datetime.now(UTC)
    old, new = ((now - timedelta(hours=age)).strftime("%Y%m%d%H") for age in (14, 2))
    today = now.strftime("%Y%m%d")
    for directory in (old, new, today, "2019013099", "archive"):
        blacklab.write(f"{directory}/GTS/a.txt", "a\n")
    blacklab.run("prune", "--hours", 13, "--dry-run", "data")
    assert (blacklab.data / old).exists()
    blacklab.run("prune", "--hours", 13, "data")
    assert {each.name for each in blacklab.data.iterdir() if not each.name.startswith(".")} == {
        new,
        today,
        "2019013099",
        "archive",
    }


def test_what_was_pruned_does_not_come_back(blacklab: Node, awzz: Node) -> None:
    peer = awzz.start_peer(blacklab)
    hour = (datetime.now(UTC) - timedelta(hours=14)).strftime("%Y%m%d%H")
    blacklab.publish(*write_bulletins(blacklab, 8, hour))
    wait_until_same(blacklab.data, awzz.data, explain=peer)
    awzz.run("prune", "--hours", 13, "data")
    blacklab.publish(*sorted((blacklab.data / hour).rglob("*.txt")))
    blacklab.publish(blacklab.write("later.txt", "later\n"))
    wait_for_file(awzz, "later.txt", "later\n", peer)
    peer.stop()
    peer = awzz.start_peer(blacklab)  # which compares the trees when it has connected
    blacklab.publish(blacklab.write("last.txt", "last\n"))
    wait_for_file(awzz, "last.txt", "last\n", peer)
    assert set(read_tree(awzz.data)) == {"later.txt", "last.txt"}


# ---------------------------------------------------------------------- "Does it work?"


def test_what_was_published_while_a_peer_was_away_is_there_when_it_is_back(blacklab: Node, awzz: Node) -> None:
    """ "So, not perfect. Why? Message loss occurs when subscribers fall too far behind publishers." """
    blacklab.start_peer(awzz)  # answers for its tree
    blacklab.publish(*write_bulletins(blacklab, 150))
    peer = awzz.start_peer(blacklab)  # whose session begins only now
    wait_until_same(blacklab.data, awzz.data, explain=peer)


def test_what_was_there_before_anybody_announced_it_comes_to_both(blacklab: Node, awzz: Node) -> None:
    """Folders that were filled by other means: each has what the other lacks, and of one file an older version."""
    write_bulletins(blacklab, 20)
    write_bulletins(awzz, 20, "2019013004")
    older, newer = awzz.write("both.txt", "older\n"), blacklab.write("both.txt", "newer\n")
    os.utime(older, (1548800000, 1548800000))
    os.utime(newer, (1548900000, 1548900000))
    blacklab.start_peer(awzz)
    peer = awzz.start_peer(blacklab)
    held = wait_until_same(blacklab.data, awzz.data, explain=peer)
    assert len(held) == 41
    assert older.read_text() == "newer\n"
