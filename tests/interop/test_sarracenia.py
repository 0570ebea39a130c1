"""Sarracenia (metpx-sr3, as it is on PyPI) and our peers take files from each other, over one broker and MQTT v5."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stands.mesh_others import PUBLISHING, CannotInstall, Sarracenia, ensure_environment, without_password
from stands.mesh_seed_node import Node, read_tree, wait_until_same
from stands.waiting import wait_for

pytestmark = pytest.mark.slow

FILES = {
    "20261121/WIS/CA/CMC/hello.txt": b"hello\n",
    "20261121/WIS/empty.txt": b"",
    "20261121/large.bin": bytes(range(256)) * 3000,
    "a+b/c#d/50% e+f.txt": b"names that topics and URLs can't have as they are",
    "Zürich/été.txt": b"names that aren't English",
    "at-the-root.txt": b"no directory",
}


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    try:
        ensure_environment("metpx-sr3")
    except CannotInstall as error:
        if "CI" in os.environ:
            raise
        pytest.skip(f"pip can't install Sarracenia: {error}")


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Node]:
    with Node(tmp_path / "ours") as node:
        yield node


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Node]:
    """A broker and a web server; whoever else works there is Sarracenia."""
    with Node(tmp_path / "theirs") as node:
        yield node


@pytest.fixture
def sarracenia(tmp_path: Path, ours: Node, theirs: Node) -> Iterator[Sarracenia]:
    urls = (ours.guest_url, ours.owner_url, theirs.guest_url, theirs.owner_url)
    with Sarracenia(tmp_path / "sarracenia", *urls) as user:
        yield user


def posting(node: Node) -> list[str]:
    """What a configuration of Sarracenia says in order to announce the files of ``node``."""
    return [
        f"post_broker {without_password(node.owner_url)}",
        "post_exchange xpublic",
        "post_topicPrefix v03.post",
        f"post_baseUrl {node.base_url}",
        f"post_baseDir {node.data}",
        PUBLISHING,
    ]


def write_files(node: Node) -> list[Path]:
    return [node.write(path, content) for path, content in FILES.items()]


def post(sarracenia: Sarracenia, node: Node, files: list[Path], *more: str) -> None:
    said = sarracenia.post("out", files, *posting(node), *more)
    assert said.count("publish complete") == len(files), said[-3000:]


# ---------------------------------------------------------------------- among themselves


def test_two_users_of_sarracenia_understand_each_other(theirs: Node, sarracenia: Sarracenia, tmp_path: Path) -> None:
    """So what they find of ours is ours."""
    sarracenia.subscribe("theirs", theirs.guest_url, tmp_path / "there")
    post(sarracenia, theirs, write_files(theirs))
    assert len(wait_until_same(theirs.data, tmp_path / "there")) == len(FILES)


def test_sarracenia_as_it_comes_cannot_publish_over_mqtt(theirs: Node, sarracenia: Sarracenia) -> None:
    """When this fails, a newer Sarracenia can, and users need no plugin any more."""
    lines = [line for line in posting(theirs) if line != PUBLISHING]
    said = sarracenia.post("out", [theirs.write("hello.txt", "hello\n")], *lines)
    assert "name 'copy' is not defined" in said
    assert "publish complete" not in said


# ---------------------------------------------------------------------- from us to them


@pytest.mark.parametrize("inline", [False, True], ids=["by-http", "inline"])
def test_sarracenia_downloads_what_we_announce(
    ours: Node, sarracenia: Sarracenia, tmp_path: Path, inline: bool
) -> None:
    there = tmp_path / "there"
    sarracenia.subscribe("ours", ours.guest_url, there)
    ours.publish(*write_files(ours), inline=inline)
    held = wait_until_same(ours.data, there)
    assert len(held) == len(FILES)
    log = sarracenia.read_log("subscribe", "ours")
    assert "malformed" not in log
    assert "Traceback" not in log


def test_sarracenia_downloads_what_our_peer_passes_on(ours: Node, theirs: Node, sarracenia: Sarracenia) -> None:
    sarracenia.subscribe("ours", ours.guest_url, ours.folder / "there")
    peer = ours.start_peer(theirs)
    theirs.publish(*write_files(theirs))
    wait_until_same(theirs.data, ours.data, ours.folder / "there", explain=peer)


def test_sarracenia_removes_what_we_announce_as_removed(ours: Node, sarracenia: Sarracenia, tmp_path: Path) -> None:
    there = tmp_path / "there"
    sarracenia.subscribe("ours", ours.guest_url, there)
    watch = ours.start_watch("--removals")
    ours.write("hour/a.txt", "a\n")
    ours.write("hour/b.txt", "b\n")
    wait_until_same(ours.data, there, explain=watch)
    (ours.data / "hour/a.txt").unlink()
    wait_for(lambda: set(read_tree(there)) == {"hour/b.txt"}, 60, what="the removal", explain=lambda: watch.text)


# ---------------------------------------------------------------------- from them to us


def test_our_peer_takes_what_sr3_post_announces(ours: Node, theirs: Node, sarracenia: Sarracenia) -> None:
    with ours.listen() as at_ours, theirs.listen() as at_theirs:
        peer = ours.start_peer(theirs)
        post(sarracenia, theirs, write_files(theirs))
        held = wait_until_same(theirs.data, ours.data, explain=peer)
        assert len(held) == len(FILES)
        heard = (at_theirs, at_ours)
        wait_for(lambda: all(each.announced(path) for each in heard for path in FILES), 60, what="every announcement")
        for path in FILES:
            (told,), (again,) = at_theirs.announced(path), at_ours.announced(path)
            # What Sarracenia says of a file travels along, to the last digit of its times.
            assert {**told, "baseUrl": ""}.items() <= {**again, "baseUrl": ""}.items()
            assert again["integrity"] == told["identity"]
            assert again["baseUrl"].rstrip("/") == ours.base_url


def test_our_peer_takes_what_sr3_posts_within_the_announcement(
    ours: Node, theirs: Node, sarracenia: Sarracenia
) -> None:
    peer = ours.start_peer(theirs)
    files = [file for file in write_files(theirs) if file.name != "large.bin"]
    post(sarracenia, theirs, files, "post_baseUrl http://127.0.0.1:9/", "inline on", "inlineByteMax 1024")
    (theirs.data / "20261121/large.bin").unlink()
    wait_until_same(theirs.data, ours.data, explain=peer)


def test_our_peer_follows_sr3_watch_and_keeps_what_is_removed_there(
    ours: Node, theirs: Node, sarracenia: Sarracenia
) -> None:
    peer = ours.start_peer(theirs)
    act_before_a_watch(theirs, sarracenia, peer_tree=ours.data)
    held = read_tree(ours.data)
    assert "sub/removed.txt" in held
    assert not (ours.data / "link.txt").is_symlink()
    assert peer.running


def test_our_peer_removes_what_is_removed_before_sr3_watch_when_asked(
    ours: Node, theirs: Node, sarracenia: Sarracenia
) -> None:
    peer = ours.start_peer(theirs, removals=True)
    act_before_a_watch(theirs, sarracenia, peer_tree=ours.data)
    peer.wait_for(lambda: not (ours.data / "sub/removed.txt").exists(), what="the removal")
    assert not (ours.data / "link.txt").is_symlink()


def act_before_a_watch(node: Node, sarracenia: Sarracenia, *, peer_tree: Path) -> None:
    """Make a file, change, rename, link and remove it, a directory too; each when what was done before is announced.

    The last file is there when our peer has seen all announcements before it.
    """
    log = lambda: sarracenia.read_log("watch", "tree")  # noqa: E731
    with node.listen() as listener:

        def step(path: str, *operation: str, size: int | None = None) -> None:
            """Until this is announced: how often can't be told, for a file may be seen before it is written, too."""

            def announced() -> bool:
                found = listener.announced(path)
                return any((tuple(each.get("fileOp", ())), each.get("size")) == (operation, size) for each in found)

            wait_for(announced, 60, what=f"{path} by sr3_watch", explain=log)

        sarracenia.watch("tree", node.data, *posting(node), "fileEvents create|delete|link|modify|mkdir|rmdir")
        (node.data / "sub").mkdir()
        step("sub", "directory")
        node.write("sub/removed.txt", "removed\n")
        step("sub/removed.txt", size=8)
        node.write("changed.txt", "first\n")
        step("changed.txt", size=6)
        node.write("changed.txt", "second\n")
        step("changed.txt", size=7)
        (node.data / "changed.txt").rename(node.data / "renamed.txt")
        step("renamed.txt", "rename", size=7)
        (node.data / "link.txt").symlink_to("renamed.txt")
        step("link.txt", "link")
        wait_for(lambda: "sub/removed.txt" in read_tree(peer_tree), 60, what="the file to be removed", explain=log)
        (node.data / "sub/removed.txt").unlink()
        step("sub/removed.txt", "remove")
        (node.data / "sub").rmdir()
        step("sub", "remove", "directory")
    node.write("the-last.txt", "last\n")
    wanted = {"renamed.txt", "the-last.txt"}
    wait_for(lambda: wanted <= set(read_tree(peer_tree)), 60, what="what was made", explain=log)
    assert (peer_tree / "renamed.txt").read_bytes() == b"second\n"


# ---------------------------------------------------------------------- in one mesh


def test_sarracenia_is_a_hop_between_two_of_our_nodes(
    ours: Node, theirs: Node, sarracenia: Sarracenia, tmp_path: Path
) -> None:
    """ours -> sr3 sarra -> a peer at a third node, which is followed by ours: a ring, which goes quiet."""
    with Node(tmp_path / "third") as third, ours.listen() as at_ours, third.listen() as at_third:
        sarracenia.subscribe("hop", ours.guest_url, theirs.data, *posting(theirs), component="sarra")
        peer = third.start_peer(theirs)
        ours.start_peer(third, name="back")
        ours.publish(*write_files(ours))
        wait_until_same(ours.data, theirs.data, third.data, explain=peer)
        heard = (at_ours, at_third)
        wait_for(lambda: all(each.announced(path) for each in heard for path in FILES), 60, what="every announcement")
        for path in FILES:
            assert at_third.announced(path)[0]["pubTime"] == at_ours.announced(path)[0]["pubTime"]
        # A second round would be of the same files; one more file goes all the way round, and behind it is nothing.
        ours.publish(ours.write("behind.txt", "behind\n"))
        wait_for(lambda: at_third.announced("behind.txt"), 60, what="the last file")
        assert {path for path in FILES if len(at_ours.announced(path)) != 1} == set()
