"""A newcomer breaks things, looks at the page within a minute, and types what it says."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.cli.main import main
from samesky.core.status import Snapshot, take_snapshot
from samesky.demo.program import Program
from samesky.link.broker import MosquittoBroker
from samesky.web.noticeboard import Noticeboard
from stands.browser import Browser, Shown
from stands.household import STREAM, Household, commands, fill
from stands.small_disk import mounted_disk
from stands.waiting import wait_for

pytestmark = pytest.mark.slow
WITHIN_S = 60.0
"""What a newcomer waits for the page to tell of it."""
WELL = "The copy is the same"
ADDRESS = re.compile(r"the page is at (\S+)")
DAY_S = 86_400


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, broker: MosquittoBroker) -> Iterator[Household]:
    with Household(tmp_path, broker) as running:
        running.wait_until_same()
        yield running


def commands_on(page: Shown) -> list[str]:
    """The commands that a person reads on the page."""
    return commands(page.page.locator("main code").all_inner_texts())


def wait_for_command(page: Shown, word: str, deadline_s: float = WITHIN_S) -> str:
    """The command of samesky with ``word`` in it, when the page shows one."""

    def find() -> str:
        return next((each for each in commands_on(page) if word in each), "")

    return wait_for(find, deadline_s, what=f"a command with {word!r} on the page", explain=page.text)


def test_a_broker_that_is_stopped_is_told_and_so_is_its_return(home: Household, browser: Browser) -> None:
    with browser.open(home.url) as page:
        page.wait_for(WELL)
        home.broker.stop()
        page.wait_for("is the broker running there?", WITHIN_S)
        page.wait_for("need you")
        assert "Start the broker" in page.text()
        done = home.type(wait_for_command(page, "samesky check --online"))
        assert done.returncode == 3, done
        assert "is the broker running there?" in done.stdout + done.stderr
        home.broker.start()
        page.wait_for(WELL, WITHIN_S)
        assert page.complaints == []


def test_a_month_deleted_at_the_copy_is_told_and_the_command_shown_mends_it(home: Household, browser: Browser) -> None:
    until = home.newest() - 30 * DAY_S
    with browser.open(home.url) as page:
        # A copy that has noticed it mends itself three seconds later, if the primary answers.
        with home.frozen("primary"):
            deleted = home.change(
                home.copy, f"DELETE FROM archive WHERE dateTime BETWEEN {until - 30 * DAY_S} AND {until}"
            )
            command = wait_for_command(page, "samesky repair")
        done = home.type(command)
        assert done.returncode == 0, done
        assert home.is_same()
        page.wait_for(WELL, WITHIN_S)
        assert page.complaints == []
    with browser.open(f"{home.url}stream/station/{STREAM}") as station:
        station.wait_for(f"{deleted:,} records were missing here")


def test_a_record_edited_at_the_primary_is_told_and_reaches_the_copy(home: Household, browser: Browser) -> None:
    moment = home.newest() - DAY_S
    with browser.open(f"{home.url}stream/station/{STREAM}") as page:
        change = f"UPDATE archive SET outTemp = COALESCE(outTemp, 0) + 10 WHERE dateTime = {moment}"
        assert home.change(home.primary, change) == 1
        page.wait_for("1 record was different", WITHIN_S)
        wait_for(home.is_same, WITHIN_S, what="the edit at the copy", explain=home.tails)
        assert page.complaints == []


def test_a_full_disk_is_told_and_room_is_all_it_needs(
    tmp_path: Path, broker: MosquittoBroker, browser: Browser
) -> None:
    with (
        mounted_disk(tmp_path / "disk", "4m") as disk,
        Household(tmp_path, broker, days=10, copy_folder=disk.folder) as home,
        browser.open(home.url) as page,
    ):
        home.wait_until_same()
        filler = disk.folder / "filler"
        fill(filler)
        home.record()
        page.wait_for("full", WITHIN_S)
        page.wait_for("need", WITHIN_S, selector="h1")
        filler.unlink()
        wait_for(home.is_same, WITHIN_S, what="the record at the copy", explain=home.tails)
        page.wait_for(WELL, WITHIN_S)
        assert page.complaints == []


def test_with_nothing_set_up_the_page_says_what_to_do_and_shows_what_comes(tmp_path: Path, browser: Browser) -> None:
    environment = {"HOME": str(tmp_path), "SAMESKY_STATUS_DIR": str(tmp_path / "status")}
    program = Program("page", log_path=tmp_path / "log", system="web", environment=environment)
    program.start("--listen", "127.0.0.1:0")
    try:
        found = wait_for(lambda: ADDRESS.search((tmp_path / "log").read_text()), WITHIN_S, what="the page's address")
        with browser.open(found[1]) as page:
            page.wait_for("Nothing to show yet")
            assert str(tmp_path / "status") in page.text()
            for command in commands_on(page):
                assert main([*command.split()[1:2], "--help"]) == 0, command
            snapshot = Snapshot(stream="home/wx_binding", role="responder", state="live")
            Noticeboard(tmp_path / "status").post("somebody", [take_snapshot(snapshot, time.time())], time.time())
            page.wait_for("It runs")
            assert page.complaints == []
    finally:
        program.end(20)


def test_a_copy_that_was_killed_is_told_with_the_command_that_starts_it(home: Household, browser: Browser) -> None:
    with browser.open(home.url) as page:
        page.wait_for(WELL)
        home.kill("copy")
        assert wait_for_command(page, "follow") == f"samesky station follow --config {home.config('copy')}"
        home.start("copy")
        page.wait_for(WELL, WITHIN_S)
        assert page.complaints == []
