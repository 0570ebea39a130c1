import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.stands import web_streams as streams
from tests.stands.waiting import wait_for
from tests.stands.web_page import Event, ServedPage

from samesky.web.layout import Page, render_part
from samesky.web.live import MOST_LISTENERS, Live

pytestmark = pytest.mark.slow


@pytest.fixture
def page(tmp_path: Path) -> Iterator[ServedPage]:
    with ServedPage(tmp_path / "board") as served:
        yield served


def seen_by(page: ServedPage, path: str = "/") -> str:
    """What the page at ``path`` says that it looks like."""
    return page.ask(path).text.partition("seen=")[2].partition('"')[0]


def news(events: Iterator[Event]) -> Iterator[Event]:
    """The events without the beats, of which there are some before the news where the machine is busy."""
    return (event for event in events if event.kind != "beat")


def test_what_changes_is_sent_and_nothing_else(page: ServedPage) -> None:
    now = time.time()
    page.post(*streams.all_well(now), at=now)
    with page.listen("/", seen_by(page)) as events:
        assert next(events).kind == "beat"
        page.post(*streams.all_well(now)[:-1], streams.replica_of("spark-slave.dummy-1", now, lag_s=77.0), at=now)
        event = next(news(events))
    assert event.kind == "parts"
    assert len(event.data["parts"]) == 1
    assert "77 s" in next(iter(event.data["parts"].values()))
    assert event.size < 2000
    assert event.data["title"] == "✓ All 6 copies are the same · samesky"


def test_what_stays_as_it_is_costs_a_few_octets_now_and_then() -> None:
    made = Page("title", render_part("x", "words"))

    async def listen() -> list[bytes]:
        events = await Live(lambda path: made, interval_s=0.01, beat_s=0.05).listen("/", "")
        return [await anext(events) for _ in range(4)]

    told = asyncio.run(listen())
    assert [each.split(b"\n")[0] for each in told] == [b"event: page", *[b"event: beat"] * 3]
    assert max(map(len, told)) < 100


def test_a_page_that_cannot_be_made_for_a_while_is_told_of_when_it_can_again(caplog: pytest.LogCaptureFixture) -> None:
    pages = [Page("title", render_part("x", "one")), None, None, Page("title", render_part("x", "two"))]

    def make(path: str) -> Page | None:
        page = pages.pop(0) if len(pages) > 1 else pages[0]
        if page is None:
            raise OSError("the disk is gone")
        return page

    async def listen() -> bytes:
        events = await Live(make, interval_s=0.01, beat_s=60.0).listen("/", "")
        await anext(events)
        return await anext(events)

    assert b"two" in asyncio.run(listen())
    assert caplog.text.count("page_not_made") == 1


def test_who_comes_as_the_last_one_goes_is_told_what_changes() -> None:
    words = ["one"]

    async def listen() -> bytes:
        live = Live(lambda path: Page("title", render_part("x", words[0])), interval_s=0.01, beat_s=60.0)
        first = await live.listen("/", "")
        await anext(first)
        second = await live.listen("/", "")
        await first.aclose()  # type: ignore[attr-defined]
        await anext(second)
        words[0] = "two"
        return await asyncio.wait_for(anext(second), 30)

    assert b"two" in asyncio.run(listen())


def test_who_comes_late_is_told_to_load_the_page_again(page: ServedPage) -> None:
    page.post(streams.copy_of("a/b", time.time()))
    seen = seen_by(page)
    page.post(streams.copy_of("a/b", time.time(), state="stopped"))
    wait_for(lambda: seen_by(page) != seen, 20.0, what="another look of the page")
    with page.listen("/", seen) as events:
        assert next(events).kind == "page"
    with page.listen("/", "", Last_Event_ID=seen_by(page)) as events:
        assert next(events).kind == "beat"


def test_a_stream_that_comes_or_goes_has_the_page_loaded_again(page: ServedPage) -> None:
    page.post(streams.copy_of("a/b", time.time()))
    with page.listen("/", seen_by(page)) as events:
        next(events)
        page.post(streams.copy_of("a/b", time.time()), streams.copy_of("a/c", time.time()))
        assert next(news(events)).kind == "page"


def test_all_who_look_at_a_page_get_the_same(page: ServedPage) -> None:
    page.post(streams.copy_of("a/b", time.time()))
    with ExitStack() as stack:
        listeners = [stack.enter_context(page.listen("/", seen_by(page))) for _ in range(3)]
        assert [next(each).kind for each in listeners] == ["beat"] * 3
        page.post(streams.copy_of("a/b", time.time(), behind=55))
        assert len({next(news(each)).id for each in listeners}) == 1


def test_too_many_who_listen_are_refused_and_told_when_to_come_back(page: ServedPage) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_LISTENERS):
            next(stack.enter_context(page.listen()))
        answer = page.ask("/events?page=/")
        assert (answer.status, answer.json()["type"]) == (503, "listeners")
        assert int(answer.headers["retry-after"]) >= 1
    wait_for(lambda: _may_listen(page), 20.0, what="room for another listener")


def _may_listen(page: ServedPage) -> bool:
    try:
        with page.listen() as events:
            return next(events).kind == "page"
    except AssertionError:
        return False


@pytest.mark.parametrize("path", ["/nothing", "/stream/mesh/none", "//evil", "x" * 5000])
def test_there_are_no_events_of_what_is_no_page(page: ServedPage, path: str) -> None:
    assert page.ask(f"/events?page={path}").status == 404


def test_a_page_that_is_no_more_ends_its_events(page: ServedPage) -> None:
    page.post(streams.neighbour("x", time.time()))
    with page.listen("/stream/mesh/data/x") as events:
        next(events)
        page.post()
        assert list(news(events)) == []


def test_who_listens_does_not_keep_the_page_from_ending(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with ServedPage(tmp_path) as page:
        parts = urlsplit(page.url)
        connection = HTTPConnection(parts.hostname or "", parts.port or 0, timeout=20)
        connection.request("GET", "/events?page=/")
        response = connection.getresponse()
        response.readline()
    assert "page" not in {thread.name for thread in set(threading.enumerate()) - before}
    response.read()  # an answer that was cut off rather than ended would be an error
    connection.close()
