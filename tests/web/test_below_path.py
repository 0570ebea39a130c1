"""Below a path of another site: every link leads there, whether the proxy takes the path off or leaves it."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from tests.stands import web_streams as streams
from tests.stands.ports import free_port
from tests.stands.waiting import wait_for
from tests.stands.web_page import TOKEN, ServedPage
from tests.stands.web_station import write_station

from samesky.web.below_path import place_links

BELOW = "/weather/samesky"
STATION = "/stream/station/home/wx_binding"
LOCAL = re.compile(r"""(?:href|src|action|data-events)="(/[^"]*)"|url\("?(/[^)"]*)""")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedPage]:
    folder = tmp_path_factory.mktemp("station")
    station = write_station(folder, days=40, port=free_port())
    station.find_different(3)
    station.tell_well()
    with ServedPage(folder / "board", configs=[station.config], path=BELOW) as served:
        served.post(*(replace(each, silent_after_s=None) for each in streams.some_trouble(time.time())[2:]))
        yield served


def list_links(text: str) -> list[str]:
    """The links of a page or a style sheet that begin at the site's root."""
    return [link or url for link, url in LOCAL.findall(text)]


def find_links(page: ServedPage) -> set[str]:
    """Every link of every page that links lead to, from the overview on."""
    seen: set[str] = set()
    to_see = [f"{BELOW}/"]
    while to_see:
        path = to_see.pop().partition("#")[0].replace("&amp;", "&")
        if path in seen or "/events?" in path:
            continue
        seen.add(path)
        answer = page.ask(path)
        assert answer.status == 200, path
        if answer.headers["content-type"].startswith(("text/html", "text/css")) and len(seen) < 60:
            to_see += list_links(answer.text)
    return seen


def test_every_link_of_every_page_leads_below_the_path_and_to_something(page: ServedPage) -> None:
    found = find_links(page)
    assert all(each.startswith(f"{BELOW}/") for each in found)
    pages = {each.partition("?")[0].removeprefix(BELOW) for each in found}
    assert {"/", "/metrics", "/style.css", "/page.js", STATION, "/stream/push/valley"} <= pages
    assert any("/day/" in each for each in pages)


def test_the_proxy_may_take_the_path_off_and_this_machine_needs_none(page: ServedPage) -> None:
    for path in ("/", STATION, "/nowhere"):
        below, at_root = page.ask(f"{BELOW}{path}"), page.ask(path)
        assert below.status == at_root.status
        assert set(list_links(below.text)) >= {f"{BELOW}/"}
        assert {each.split("seen=")[0] for each in list_links(below.text)} == {
            each.split("seen=")[0] for each in list_links(at_root.text)
        }
    assert page.ask(BELOW).status == 200
    assert page.ask(f"{BELOW}x").status == 404


def test_what_changes_on_an_open_page_leads_there_as_well(tmp_path: Path) -> None:
    with ServedPage(tmp_path, path=BELOW) as page:
        stream = streams.some_trouble(time.time())[-1]
        page.post(stream)
        text = wait_for(lambda: stream.stream in (html := page.ask(f"{BELOW}/").text) and html, 20)
        seen = re.search(r"seen=([^\"]*)", str(text))
        assert seen
        with page.listen("/", seen[1]) as events:
            page.post(replace(stream, last_error="the sensor has fallen off"))
            changed = next(event for event in events if event.kind == "parts")
            links = [each for html in changed.data["parts"].values() for each in list_links(html)]
            assert links
            assert all(each.startswith(f"{BELOW}/") for each in links)


def test_who_gives_the_token_is_led_back_and_the_cookie_is_for_this_page_alone(tmp_path: Path) -> None:
    with ServedPage(tmp_path, path=BELOW, token=TOKEN) as page:
        asked = page.ask(f"{BELOW}/streams/mesh", Accept="text/html")
        assert (asked.status, f'action="{BELOW}/login?next=%2Fstreams%2Fmesh"' in asked.text) == (401, True)
        assert page.ask(f"{BELOW}/style.css").status == 200
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        given = urlencode({"token": TOKEN})
        answer = page.ask(f"{BELOW}/login?next=%2Fstreams%2Fmesh", "POST", body=given, **form)
        assert (answer.status, answer.headers["location"]) == (303, f"{BELOW}/streams/mesh")
        assert f"path={BELOW}/" in answer.headers["set-cookie"].lower()


def test_texts_that_look_like_links_stay_as_they_are() -> None:
    html = '<a href="/x">say href=&quot;/y&quot; of /z</a> <a href="#main"><img src="data:x">'
    assert place_links(html, "/p") == html.replace('href="/x"', 'href="/p/x"')
    assert place_links(html, "") == html
