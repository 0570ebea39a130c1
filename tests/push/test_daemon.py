"""The daemon: again and again, each target for itself, and in order when it is stopped."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from samesky.core.backoff import Backoff
from samesky.errors import Unreachable
from samesky.push.centre_errors import NotNow
from samesky.push.daemon import TOLD_EVERY, Daemon, _Failures
from samesky.push.push_settings import TargetSettings
from samesky.push.pushing import Progress
from samesky.push.steps import RunReport
from stands.ports import free_port
from stands.push_pair import PushPair, make_pair
from stands.push_server import PushServer
from stands.push_site import DAY
from stands.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushServer]:
    with PushServer(f"sqlite:///{tmp_path_factory.mktemp('centre') / 'central.db'}") as running:
        yield running


@pytest.fixture
def pair(server: PushServer, tmp_path: Path) -> Iterator[PushPair]:
    with make_pair(server, tmp_path / "site", period_s=1) as made:
        made.site.fill(90)
        yield made


class Told:
    """What a daemon told."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, RunReport]] = []
        self.progress: list[Progress] = []
        self.on_progress: Callable[[Progress], None] = lambda _: None

    def note(self, progress: Progress) -> None:
        self.progress.append(progress)
        self.on_progress(progress)

    def add(self, target: TargetSettings, report: RunReport) -> None:
        self.reports.append((target.name, report))


@contextmanager
def running(pair: PushPair, stop: threading.Event | None = None) -> Iterator[Told]:
    """The daemon of a site, which is stopped by ``stop``, at the end at the latest."""
    told, stop = Told(), stop or threading.Event()
    with pair.cache() as cache:
        targets = pair.settings.targets
        daemon = Daemon(pair.settings, targets, cache, stop=stop, on_report=told.add, on_progress=told.note)
        thread = threading.Thread(target=daemon.run, name="daemon")
        thread.start()
        try:
            yield told
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive(), "the daemon doesn't end"


def test_what_comes_later_is_pushed_in_the_next_run(pair: PushPair) -> None:
    with running(pair) as told:
        wait_for(lambda: told.reports, 60, what="the first run")
        pair.site.insert("Reading", {"time": DAY + 900_000, "nodeId": 69, "type": 0, "locationId": 1, "value": 1.0})
        wait_for(lambda: pair.count_at_centre() == 91, 60, what="the new row")


def test_a_target_that_is_down_stops_no_other(pair: PushPair) -> None:
    down = replace(pair.target, name="down", url=f"http://127.0.0.1:{free_port()}")
    pair.settings = replace(pair.settings, targets=(down, pair.target))
    with running(pair) as told:
        wait_for(lambda: len(told.reports) >= 2, 60, what="two runs of the target that works")
        wait_for(
            lambda: [each for each in told.progress if each.target == "down" and "waiting" in each.doing],
            60,
            what="a try of the one that is down",
        )
    assert {name for name, _ in told.reports} == {"centre"}
    with pair.cache() as cache:
        waiting, well = cache.read_status("down"), cache.read_status("centre")
    assert waiting is not None
    assert well is not None
    assert "doesn't answer" in waiting.last_error
    assert (well.last_error, well.state) == ("", "idle")
    assert well.next_run_at is not None


def test_it_compares_as_often_as_it_was_told_to(pair: PushPair) -> None:
    with running(pair) as told:
        wait_for(lambda: len(told.reports) >= 2, 60, what="two runs")
    proofs = [report.tables["Reading"].proof for _, report in told.reports]
    assert proofs[0] is not None
    assert proofs[1] is None
    pair.settings = replace(pair.settings, compare_period_s=0)
    with running(pair) as told:
        wait_for(lambda: len(told.reports) >= 2, 60, what="two more runs")
    assert all(report.tables["Reading"].proof for _, report in told.reports)


def test_a_stopped_daemon_has_stored_whole_pages(pair: PushPair) -> None:
    pair.site.fill(9000, start_s=DAY + 900_000)
    pair.adjust(page_rows=100)
    stop = threading.Event()
    with running(pair, stop) as told:
        told.on_progress = lambda progress: stop.set() if progress.done >= 200 else None
        assert stop.wait(60)
    assert pair.count_at_centre() == 200


def test_failures_are_logged_at_first_then_now_and_then_and_when_they_end(caplog: pytest.LogCaptureFixture) -> None:
    failures = _Failures("centre", Backoff(5, 900, random=lambda: 1.0))
    with caplog.at_level(logging.WARNING):
        waits = [failures.add(Unreachable("no route"), 600) for _ in range(TOLD_EVERY + 1)]
        failures.clear()
        failures.clear()
    assert waits[:4] == [5, 10, 20, 40]
    assert waits[-1] == 600, "never longer than the period"
    assert [record.getMessage().split()[0] for record in caplog.records] == ["push_failed"] * 2 + ["push_works_again"]
    assert failures.add(NotNow("busy", wait_s=3600), 600) == 3600, "but as long as the centre asks for"


def test_each_target_s_loop_turns_while_it_waits_for_the_next_run(pair: PushPair) -> None:
    turns: dict[str, int] = {}

    def watch(loop: str) -> Callable[[], None]:
        def turn() -> None:
            turns[loop] = turns.get(loop, 0) + 1

        return turn

    pair.settings = replace(pair.settings, period_s=3600)
    stop = threading.Event()
    with pair.cache() as cache:
        daemon = Daemon(pair.settings, pair.settings.targets, cache, stop=stop, watch=watch, longest_wait_s=0.01)
        thread = threading.Thread(target=daemon.run, name="daemon")
        thread.start()
        try:
            wait_for(lambda: pair.count_at_centre() == 90, 60, what="the first run")
            wait_for(lambda: turns["push-centre"] > 100, 60, what="turns between two runs")
        finally:
            stop.set()
            thread.join(60)
    assert not thread.is_alive()
    assert turns.keys() == {"push-centre"}


def test_sites_that_were_switched_on_together_do_not_come_together(pair: PushPair) -> None:
    settings = replace(pair.settings, period_s=600)
    with pair.cache() as cache:
        daemon = Daemon(settings, settings.targets, cache, stop=threading.Event())
        periods = [daemon._period_s() for _ in range(100)]
    assert all(540 <= period <= 660 for period in periods)
    assert max(periods) - min(periods) > 60
