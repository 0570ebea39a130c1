"""Downloads: from whoever has the file as it was announced, resumed, and nothing else is handed on."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.core.strict import Reason
from samesky.link.http import HttpClient
from samesky.link.urls import UrlRules
from samesky.mesh.announcement import Announcement, integrity_of
from samesky.mesh.fetching import MOST_WHOLE_BYTES, WHOLE_BYTES, Fetched, Fetching, NotFetched
from samesky.mesh.tree import INCOMING, Tree
from stands.mesh_web import ScriptedWeb, Visitor, answering, field_of, whole

SMALL, LARGE = b"small", os.urandom(WHOLE_BYTES * 3)
Ask = Callable[[Fetching], None]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    with Tree(tmp_path / "tree") as tree:
        yield tree


def announce(content: bytes, *webs: ScriptedWeb, **more: object) -> Announcement:
    base_url = webs[0].url if webs else ""
    return Announcement("a/b.bin", time.time_ns(), integrity_of(content), len(content), base_url, **more)


def fetch(tree: Tree, announcement: Announcement, *others: ScriptedWeb) -> Fetched | NotFetched:
    """What comes of one download; ``others`` have the file too."""
    return fetch_all(tree, [announcement], *others)[0]


def fetch_all(
    tree: Tree, announcements: Sequence[Announcement], *others: ScriptedWeb, most_bytes: int = 1 << 30
) -> list[Fetched | NotFetched]:
    async def run() -> list[Fetched | NotFetched]:
        async with HttpClient(UrlRules(hosts=("127.0.0.1",))) as client:
            fetching = Fetching(client, tree, most_bytes=most_bytes, clock=time.monotonic)
            futures = [asyncio.get_running_loop().create_future() for _ in announcements]
            for announcement, future in zip(announcements, futures, strict=True):
                job = fetching.add(announcement, 0, lambda _, outcome, future=future: future.set_result(outcome))
                for web in others:
                    job.add_source(f"{web.url}/{announcement.path}")
            outcomes = []
            for future in futures:
                outcomes.append(await asyncio.wait_for(future, 60))
                if isinstance(outcomes[-1], Fetched):
                    fetching.release(outcomes[-1])
            assert len(fetching) == 0
            fetching.close()
            return outcomes

    return asyncio.run(run())


def content_of(tree: Tree, fetched: Fetched) -> bytes:
    return fetched.content if fetched.content is not None else (tree.folder / INCOMING / fetched.name).read_bytes()


def serving(content: bytes, *fields: str) -> ScriptedWeb:
    return ScriptedWeb(answering(lambda request: whole(content, *fields)))


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_a_file_is_handed_on_with_its_sha512(tree: Tree, content: bytes) -> None:
    with serving(content) as web:
        fetched = fetch(tree, announce(content, web))
    assert isinstance(fetched, Fetched)
    assert content_of(tree, fetched) == content
    assert fetched.sha512 == integrity_of(content).digest
    assert (fetched.content is None) == (content == LARGE)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("wrong", ["another", "short"])
def test_what_is_not_what_was_announced_is_not_handed_on_and_the_next_source_is_asked(
    tree: Tree, content: bytes, wrong: str
) -> None:
    bad = bytes(len(content)) if wrong == "another" else content[:-1]
    with serving(bad) as liar, serving(content) as honest:
        failed = fetch(tree, announce(content, liar))
        assert isinstance(failed, NotFetched)
        assert failed.reason == (Reason.CHECKSUM if wrong == "another" else Reason.SIZE)
        assert not failed.hopeful
        assert os.listdir(tree.folder / INCOMING) == []
        fetched = fetch(tree, announce(content, liar), honest)
        assert isinstance(fetched, Fetched)
        assert content_of(tree, fetched) == content
        assert fetched.source.startswith(honest.url)


def test_of_several_who_have_a_file_the_quickest_is_asked_next(tree: Tree) -> None:
    asked: list[str] = []
    now_s = 0.0

    def answer_as(name: str, takes_s: float, *, gone: bool = False) -> Callable[[str], bytes]:
        def answer(request: str) -> bytes:
            nonlocal now_s
            asked.append(name)
            now_s += takes_s
            return whole(b"", status="404 Not Found") if gone else whole(SMALL)

        return answer

    async def run(slow: ScriptedWeb, quick: ScriptedWeb, broken: ScriptedWeb) -> None:
        async with HttpClient(UrlRules(hosts=("127.0.0.1",))) as client:
            fetching = Fetching(client, tree, most_bytes=1 << 30, clock=lambda: now_s)
            for webs in ([slow], [quick], [broken, slow, quick]):
                future = asyncio.get_running_loop().create_future()
                job = fetching.add(announce(SMALL, *webs), 0, lambda _, outcome, done=future: done.set_result(outcome))
                for web in webs[1:]:
                    job.add_source(f"{web.url}/a/b.bin")
                assert isinstance(await asyncio.wait_for(future, 20), Fetched)

    with (
        ScriptedWeb(answering(answer_as("slow", 5.0))) as slow,
        ScriptedWeb(answering(answer_as("quick", 0.0))) as quick,
        ScriptedWeb(answering(answer_as("broken", 0.0, gone=True))) as broken,
    ):
        asyncio.run(run(slow, quick, broken))
    assert asked == ["slow", "quick", "broken", "quick"]


def test_a_file_longer_than_announced_is_cut_and_not_taken(tree: Tree) -> None:
    with serving(SMALL + b"!") as web:
        failed = fetch(tree, announce(SMALL, web))
    assert isinstance(failed, NotFetched)
    assert failed.reason == Reason.SIZE


@pytest.mark.parametrize("most_bytes", [100, WHOLE_BYTES * 2], ids=["in memory", "in a file"])
def test_a_file_of_unknown_size_may_have_no_more_than_any_file(tree: Tree, most_bytes: int) -> None:
    for size_bytes in (most_bytes, most_bytes + 1):
        content = os.urandom(size_bytes)
        with serving(content) as web:
            announcement = replace(announce(content, web), size=None)
            (outcome,) = fetch_all(tree, [announcement], most_bytes=most_bytes)
        if size_bytes == most_bytes:
            assert isinstance(outcome, Fetched)
        else:
            assert isinstance(outcome, NotFetched)
            assert outcome.reason == "size"


def test_a_file_that_is_gone_leaves_little_hope_and_a_server_in_trouble_leaves_some(tree: Tree) -> None:
    with ScriptedWeb(answering(lambda _: whole(b"", status="404 Not Found"))) as web:
        gone = fetch(tree, announce(SMALL, web))
        with ScriptedWeb(answering(lambda _: whole(b"", status="503 Busy"))) as busy:
            troubled = fetch(tree, announce(SMALL, web), busy)
    assert isinstance(gone, NotFetched)
    assert isinstance(troubled, NotFetched)
    assert (gone.hopeful, troubled.hopeful) == (False, True)


def cut_then_range(content: bytes, etags: Sequence[str], requests: list[str]) -> Callable[[Visitor], None]:
    """Sends half of the file and ends the connection; later requests get what they ask for."""

    def script(visitor: Visitor) -> None:
        while request := visitor.read_request():
            requests.append(request)
            etag = etags[min(len(requests), len(etags)) - 1]
            head = f"HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            asked = field_of(request, "Range")
            if len(requests) == 1:
                visitor.send(head + content[: len(content) // 2])
                return
            if asked and field_of(request, "If-Range") == etag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                span = f"Content-Range: bytes {start}-{len(content) - 1}/{len(content)}"
                visitor.send(whole(content[start:], span, f"ETag: {etag}", status="206 Partial Content"))
            else:
                visitor.send(head + content)

    return script


def test_a_download_that_breaks_off_goes_on_where_it_was(tree: Tree) -> None:
    requests: list[str] = []
    with ScriptedWeb(cut_then_range(LARGE, ['"1"'], requests)) as web:
        announcement = announce(LARGE, web)
        broken = fetch(tree, announcement)
        assert isinstance(broken, NotFetched)
        fetched = fetch(tree, announcement)  # as after a restart: what is there is in a file
    assert isinstance(fetched, Fetched)
    assert content_of(tree, fetched) == LARGE
    ranges = [asked for request in requests if (asked := field_of(request, "Range"))]
    assert ranges
    assert 0 < int(ranges[-1].removeprefix("bytes=").removesuffix("-")) <= len(LARGE) // 2
    assert os.listxattr(tree.folder / INCOMING / fetched.name) == []


def test_when_the_file_was_changed_meanwhile_it_comes_from_its_beginning(tree: Tree) -> None:
    requests: list[str] = []
    with ScriptedWeb(cut_then_range(LARGE, ['"1"', '"2"'], requests)) as web:
        announcement = announce(LARGE, web)
        fetch(tree, announcement)
        fetched = fetch(tree, announcement)
    assert isinstance(fetched, Fetched)
    assert content_of(tree, fetched) == LARGE


def test_what_one_server_has_begun_is_not_gone_on_with_at_another(tree: Tree) -> None:
    """Equal tags of two servers say nothing of their files."""
    begun, asked = list[str](), list[str]()
    with (
        ScriptedWeb(cut_then_range(LARGE, ['"1"'], begun)) as web,
        ScriptedWeb(cut_then_range(LARGE, ['"1"'], asked)) as other,
    ):
        announcement = announce(LARGE, web)
        assert isinstance(fetch(tree, announcement), NotFetched)
        assert len(os.listdir(tree.folder / INCOMING)) == 1
        fetch(tree, replace(announcement, base_url=other.url))
    assert field_of(asked[0], "Range") is None


def test_pieces_of_two_files_are_noticed_by_the_checksum_and_all_is_fetched_anew(tree: Tree) -> None:
    requests: list[str] = []
    with ScriptedWeb(cut_then_range(LARGE, ['"1"'], requests)) as web:
        announcement = announce(LARGE, web)
        fetch(tree, announcement)
        (partial,) = (tree.folder / INCOMING).iterdir()
        with partial.open("r+b") as file:
            file.write(b"damaged")
        fetched = fetch(tree, announcement)
    assert isinstance(fetched, Fetched)
    assert content_of(tree, fetched) == LARGE


def test_a_file_that_came_whole_but_was_not_stored_is_fetched_again(tree: Tree) -> None:
    with serving(LARGE, 'ETag: "1"') as web:
        announcement = announce(LARGE, web)
        for _ in range(2):
            fetched = fetch(tree, announcement)
            assert isinstance(fetched, Fetched)
            assert content_of(tree, fetched) == LARGE


def test_thousands_at_once_stay_within_their_bounds_and_all_come(tree: Tree) -> None:
    content = os.urandom(WHOLE_BYTES // 2)
    assert len(content) * 300 > 2 * MOST_WHOLE_BYTES
    with serving(content) as web:
        announcements = [
            Announcement(f"a/{number}", number, integrity_of(content), len(content), web.url) for number in range(300)
        ]
        outcomes = fetch_all(tree, announcements)
    assert all(isinstance(each, Fetched) and each.content == content for each in outcomes)


def test_without_a_size_or_a_checksum_the_file_is_taken_as_it_comes(tree: Tree) -> None:
    with serving(SMALL) as web:
        fetched = fetch(tree, Announcement("a/b.bin", 1, base_url=web.url))
    assert isinstance(fetched, Fetched)
    assert content_of(tree, fetched) == SMALL
    assert fetched.sha512 == integrity_of(SMALL).digest
