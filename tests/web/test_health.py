import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stands import web_streams as streams
from tests.stands.waiting import wait_for
from tests.stands.web_page import ServedPage


@pytest.fixture
def page(tmp_path: Path) -> Iterator[ServedPage]:
    with ServedPage(tmp_path, max_lag_s=600.0) as served:
        yield served


def wait_for_ready(page: ServedPage, status: int) -> str:
    wait_for(lambda: page.ask("/health/ready").status == status, 20.0, what=f"status {status}")
    return page.ask("/health/ready").text


def test_it_is_alive_as_soon_as_it_answers(page: ServedPage) -> None:
    assert page.ask("/health/live").text == "alive\n"


def test_where_nothing_is_known_nothing_is_well(page: ServedPage) -> None:
    assert "nothing is known" in wait_for_ready(page, 503)


def test_it_is_ready_when_no_stream_is_bad(page: ServedPage) -> None:
    page.post(*streams.all_well(time.time()))
    assert wait_for_ready(page, 200) == "ready: 8 known, none is bad\n"


def test_a_stream_that_is_bad_is_told_with_what_to_type(page: ServedPage) -> None:
    page.post(*streams.some_trouble(time.time()))
    told = wait_for_ready(page, 503)
    assert "station home/wx_binding (requester): the primary has 1,204 records" in told
    assert "samesky repair --config" in told


def test_one_that_is_further_behind_than_it_may_be_is_bad(page: ServedPage) -> None:
    page.post(streams.copy_of("a/b", time.time(), lag_s=599.0))
    wait_for_ready(page, 200)
    page.post(streams.copy_of("a/b", time.time(), lag_s=601.0))
    assert "more than 600" in wait_for_ready(page, 503)


def test_one_that_was_not_heard_of_for_a_minute_is_bad(page: ServedPage) -> None:
    page.post(streams.copy_of("a/b", time.time()), at=time.time() - 90)
    assert "nothing was heard of it" in wait_for_ready(page, 503)


def test_what_cannot_be_read_cannot_be_called_well(tmp_path: Path) -> None:
    missing = tmp_path / "samesky.toml"
    with ServedPage(tmp_path / "board", configs=[missing]) as page:
        assert f"{missing} can't be read" in wait_for_ready(page, 503)
        page.post(*streams.all_well(time.time()))
        wait_for(lambda: page.ask("/status.json").json()["counts"]["good"], 20.0)
        assert f"{missing} can't be read" in wait_for_ready(page, 503)
        told = page.ask("/status.json").json()
        assert (told["level"], len(told["troubles"])) == ("attention", 1)
        missing.write_text("")
        wait_for_ready(page, 200)
        assert page.ask("/status.json").json()["level"] == "good"
