"""Every page in a real browser: what it shows, live and without scripts, on phones and desks, for everybody."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.stands import web_streams as streams
from tests.stands.browser import DESKTOP, NARROWEST, PHONE, Browser
from tests.stands.ports import free_port
from tests.stands.waiting import wait_for
from tests.stands.web_page import TOKEN, ServedPage
from tests.stands.web_station import WebStation, write_station

from samesky.core.spans import describe_span
from samesky.core.status import Snapshot
from samesky.web.layout import split_parts
from samesky.web.pieces import describe_ago

pytestmark = pytest.mark.slow

STATION_PAGE = "/stream/station/home/wx_binding"
PAGES = (
    "/",
    "/streams/mesh",
    STATION_PAGE,
    f"{STATION_PAGE}/day/LOST",
    f"{STATION_PAGE}/day/DIFFERENT",
    "/stream/mesh/data/mqtt%3A/%2Fblacklab",
    "/stream/push/valley",
    "/stream/blocks/spark-slave.dummy-1",
)
CHOSEN = f"{STATION_PAGE}?of=primary&observation=barometer&days=30"
"""The station's page by another choice: the same to axe, which takes its time for a year of days."""


@dataclass(frozen=True, slots=True)
class World:
    """A page over all four systems, of which the station has databases."""

    page: ServedPage
    station: WebStation

    def path(self, path: str) -> str:
        """``path`` with the days that went wrong."""
        return path.replace("LOST", self.station.day(20)).replace("DIFFERENT", self.station.day(3))

    def url(self, path: str) -> str:
        """Its whole address."""
        return self.page.url.rstrip("/") + self.path(path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("station")
    station = write_station(folder, days=60, port=free_port())
    station.lose(20.5, 1.2)
    station.find_different(3)
    station.tell_well()
    with ServedPage(folder / "board", configs=[station.config]) as page:
        # However long the tests take, nobody is taken for silent.
        page.post(*(replace(each, silent_after_s=None) for each in streams.some_trouble(time.time())[2:]))
        yield World(page, station)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[ServedPage]:
    with ServedPage(tmp_path / "board") as served:
        yield served


@pytest.mark.parametrize("path", PAGES)
def test_it_can_be_used_by_everybody(browser: Browser, world: World, path: str) -> None:
    with browser.open(world.url(path), width=PHONE) as shown:
        assert shown.text("h1")
        assert shown.violations() == []
        assert not shown.is_wider_than_window()
        shown.page.set_viewport_size({"width": NARROWEST, "height": 640})
        assert not shown.is_wider_than_window()
        shown.page.set_viewport_size({"width": DESKTOP, "height": 900})
        assert not shown.is_wider_than_window()
        shown.page.emulate_media(color_scheme="dark")
        assert shown.violations("color-contrast") == []
        assert shown.complaints == []


@pytest.mark.parametrize("path", [*PAGES, CHOSEN])
def test_without_scripts_it_says_the_same(browser: Browser, world: World, path: str) -> None:
    with browser.open(world.url(path), scripts=False) as shown:
        html = world.page.ask(world.path(path)).text
        assert shown.complaints == []
        assert shown.text("h1")
        assert shown.page.locator("[data-part]").count() == len(split_parts(html)) > 0 or "/day/" in path
        assert shown.page.locator("code.command").count() == html.count('class="command"')
        assert shown.page.locator("button.copy").count() == 0


@pytest.mark.parametrize("path", [*PAGES, CHOSEN])
def test_programs_get_it_as_json(world: World, path: str) -> None:
    path = world.path(path)
    answer = world.page.ask(f"{path}{'&' if '?' in path else '?'}format=json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.json()) >= 2


def test_it_needs_nothing_from_elsewhere(browser: Browser, world: World) -> None:
    asked: list[str] = []
    with browser.open(world.url(STATION_PAGE), before=lambda page: page.on("request", lambda it: asked.append(it.url))):
        assert len(asked) >= 4
        assert [url for url in asked if not url.startswith(world.page.url)] == []


@pytest.mark.parametrize(
    ("path", "make", "words"),
    [
        ("/", lambda now: streams.copy_of("a/b", now, state="stopped", last_error="another origin"), "Another origin"),
        ("/streams/mesh", lambda now: streams.neighbour("x", now, details={"lacking": 4321}), "4,321"),
        ("/stream/station/a/b", lambda now: streams.copy_of("a/b", now, behind=5678), "5,678 records"),
        ("/stream/mesh/data/x", lambda now: streams.neighbour("x", now, details={"queue": 777}), "777"),
        ("/stream/push/hill", lambda now: streams.push_site("hill", now, details={"row: to push": 99}), "99"),
        ("/stream/blocks/s.b", lambda now: streams.replica_of("s.b", now, details={"value": "21.5 degC"}), "21.5 degC"),
    ],
    ids=["overview", "system", "station", "mesh", "push", "blocks"],
)
def test_it_follows_what_happens_without_being_loaded_again(
    browser: Browser, page: ServedPage, path: str, make: object, words: str
) -> None:
    before: Sequence[Snapshot] = [
        streams.copy_of("a/b", time.time()),
        streams.neighbour("x", time.time()),
        streams.push_site("hill", time.time()),
        streams.replica_of("s.b", time.time()),
    ]
    page.post(*before)
    with browser.open(page.url.rstrip("/") + path) as shown:
        shown.wait_for("Live", selector=".pulse")
        shown.page.evaluate("window.sameDocument = true")
        changed = make(time.time())  # type: ignore[operator]
        page.post(*(changed if each.stream == changed.stream else each for each in before))
        shown.wait_for(words)
        assert shown.page.evaluate("window.sameDocument")
        assert shown.complaints == []


def test_a_stream_that_comes_and_goes_is_shown_and_is_not(browser: Browser, page: ServedPage) -> None:
    with browser.open(page.url) as shown:
        shown.wait_for("Nothing to show yet")
        page.post(streams.copy_of("a/b", time.time()))
        shown.wait_for("The copy is the same")
        assert shown.page.title() == "✓ The copy is the same · samesky"
        page.post(streams.copy_of("a/b", time.time()), streams.copy_of("a/c", time.time(), state="stopped"))
        shown.wait_for("1 of 2 needs you")
        assert shown.page.locator("tr.stream").count() == 2
        page.post()
        shown.wait_for("Nothing to show yet")
        assert shown.complaints == []


def test_who_reads_with_the_keyboard_keeps_the_place_when_something_moves(browser: Browser, page: ServedPage) -> None:
    page.post(streams.copy_of("a/b", time.time()), streams.copy_of("a/c", time.time()))
    with browser.open(page.url) as shown:
        shown.wait_for("Live", selector=".pulse")
        shown.page.locator("tr.stream a").nth(1).focus()
        page.post(streams.copy_of("a/b", time.time()), streams.copy_of("a/c", time.time(), behind=4711))
        shown.wait_for("4,711")
        assert shown.page.evaluate("document.activeElement.textContent") == "a/c"
        page.post(*(streams.copy_of(f"a/{each}", time.time()) for each in "bcd"))
        shown.wait_for("a/d")
        assert shown.page.evaluate("document.activeElement.tagName") == "A"


def test_who_marks_words_to_copy_them_keeps_them_until_done(browser: Browser, page: ServedPage) -> None:
    page.post(streams.copy_of("a/b", time.time(), state="stopped", last_error="first trouble"))
    with browser.open(page.url) as shown:
        shown.wait_for("Live", selector=".pulse")
        shown.page.evaluate("getSelection().selectAllChildren(document.querySelector('.words'))")
        page.post(streams.copy_of("a/b", time.time(), state="stopped", last_error="second trouble"))
        wait_for(lambda: "Second trouble" in page.ask("/").text, 60, what="the change at the server")
        shown.page.wait_for_timeout(1500)
        assert "First trouble" in shown.text()
        shown.page.evaluate("getSelection().removeAllRanges()")
        shown.wait_for("Second trouble")


def test_the_sentence_is_announced_when_it_changes_and_only_then(browser: Browser, page: ServedPage) -> None:
    page.post(streams.copy_of("a/b", time.time()), streams.copy_of("a/c", time.time()))
    with browser.open(page.url) as shown:
        shown.wait_for("Live", selector=".pulse")
        shown.page.evaluate(
            """() => {
                window.announced = [];
                const region = document.querySelector('p[role=status][data-part=said]');
                const note = () => window.announced.push(region.textContent);
                new MutationObserver(note).observe(region, {childList: true, characterData: true, subtree: true});
            }"""
        )
        page.post(streams.copy_of("a/b", time.time()), streams.copy_of("a/c", time.time(), behind=4711))
        shown.wait_for("4,711")
        page.post(streams.copy_of("a/b", time.time()), streams.copy_of("a/c", time.time(), state="stopped"))
        shown.wait_for("1 of 2 needs you")
        assert shown.page.evaluate("window.announced") == ["1 of 2 needs you"]


def test_a_command_is_copied_by_a_button(browser: Browser, world: World) -> None:
    with browser.open(world.url("/")) as shown:
        shown.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        button = shown.page.locator("button.copy").first
        command = shown.page.locator("code.command").first.inner_text()
        assert button.get_attribute("aria-label") == f"Copy {command}"
        # It says so for two seconds, which a busy machine may take to look.
        button.evaluate(
            """button => new MutationObserver(() => { window.said ??= button.textContent; })
                .observe(button, {childList: true})"""
        )
        button.click()
        shown.page.wait_for_function("window.said")
        assert shown.page.evaluate("window.said") == "Copied"
        assert shown.page.evaluate("navigator.clipboard.readText()") == command


def test_it_says_that_what_it_shows_is_old_and_comes_back_by_itself(browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    with ServedPage(tmp_path, port=port) as first:
        first.post(streams.copy_of("a/b", time.time()))
        opened = browser.open(first.url)
        shown = opened.__enter__()
        shown.wait_for("Live", selector=".pulse")
    try:
        shown.wait_for("No connection to samesky since", selector="#connection")
        with ServedPage(tmp_path, port=port) as second:
            second.post(streams.copy_of("a/b", time.time(), state="stopped", last_error="another origin"))
            shown.wait_for("Another origin")
            assert shown.text("#connection") == ""
            assert shown.violations() == []
    finally:
        opened.__exit__(None, None, None)


def test_a_tab_that_nobody_sees_takes_no_connection_and_is_right_when_it_is_seen(
    browser: Browser, page: ServedPage
) -> None:
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.post(streams.copy_of("a/b", time.time()))
    with browser.open(page.url) as shown:
        shown.wait_for("Live", selector=".pulse")
        shown.page.evaluate(hide, True)
        page.post(streams.copy_of("a/b", time.time(), state="stopped", last_error="another origin"))
        wait_for(lambda: "Another origin" in page.ask("/").text, 60, what="the change at the server")
        shown.page.wait_for_timeout(1500)
        assert "The copy is the same" in shown.text()
        shown.page.evaluate(hide, False)
        shown.wait_for("Another origin")
        assert shown.complaints == []


def test_ages_are_kept_up_to_date_in_the_words_of_the_server(browser: Browser, page: ServedPage) -> None:
    seconds = [0, 9.4, 59, 99, 100, 119, 3599, 7199, 7200, 172_799, 172_800, 9e8]
    with browser.open(page.url) as shown:
        assert [shown.page.evaluate(f"describeSpan({each})") for each in seconds] == list(map(describe_span, seconds))
        assert shown.page.evaluate("describeAgo(-600)") == describe_ago(-600)
        page.post(streams.copy_of("a/b", time.time(), proven_at=time.time() - 40))
        shown.wait_for("The copy is the same")
        first = shown.text(".hero time")
        wait_for(lambda: shown.text(".hero time") != first, 60, what="a later age")


def test_a_page_in_a_browser_asks_for_its_token_once(browser: Browser, tmp_path: Path) -> None:
    with ServedPage(tmp_path, token=TOKEN) as guarded:
        guarded.post(streams.copy_of("a/b", time.time()))
        with browser.open(f"{guarded.url}stream/station/a/b") as shown:
            assert shown.text("h1") == "This page needs a token"
            assert shown.violations() == []
            shown.page.fill("#token", "not-the-token-at-all")
            shown.page.press("#token", "Enter")
            shown.wait_for("That isn't the token")
            shown.page.fill("#token", TOKEN)
            shown.page.press("#token", "Enter")
            shown.wait_for("a/b")
            shown.wait_for("Live", selector=".pulse")
            shown.page.goto(guarded.url)
            assert shown.text("h1") == "The copy is the same"


def test_an_address_that_leads_nowhere_leads_on(browser: Browser, page: ServedPage) -> None:
    with browser.open(f"{page.url}stream/mesh/nothing", width=PHONE) as shown:
        assert shown.violations() == []
        shown.page.click("text=See what there is")
        shown.wait_for("Nothing to show yet")


def test_the_calendar_leads_to_a_day_and_the_day_back(browser: Browser, world: World) -> None:
    with browser.open(world.url(STATION_PAGE)) as shown:
        shown.page.locator(f"a[href*='/day/{world.station.day(3)}']").first.click()
        shown.page.wait_for_url(f"**/day/{world.station.day(3)}")
        shown.wait_for("Records")
        shown.page.locator("a", has_text="Calendar").first.click()
        shown.wait_for("Chart")
        assert shown.complaints == []


def test_the_calendar_fills_while_it_is_looked_at(browser: Browser, world: World) -> None:
    with browser.open(world.url(f"{STATION_PAGE}?of=primary")) as shown:
        shown.wait_for("Live", selector=".pulse")
        before = len(world.station.times(world.station.primary, 0, time.time()))
        assert f"{before:,} records" in shown.text("#calendar")
        world.station.change(
            world.station.primary,
            'INSERT INTO archive (dateTime, usUnits, "interval") SELECT MAX(dateTime) + 1, 1, 60 FROM archive',
        )
        shown.wait_for(f"{before + 1:,} records", selector="#calendar")
        assert shown.complaints == []
