"""`samesky demo push` as a user runs it: what it says, how it ends, and that it leaves nothing behind."""

import json
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from samesky.demo.push_sites import DAY_S, PLACES, read_site, remove_readings, write_site
from stands.demo_run import DemoRun, find_processes
from stands.waiting import wait_for

pytestmark = pytest.mark.slow


class Run(DemoRun):
    """A run of this demo."""

    def __init__(self, folder: Path, *options: str, code: str = "") -> None:
        super().__init__(folder, "demo", "push", *options, code=code, columns=100)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demo's temporary directory will be; after the test, no process may know it any more."""
    yield tmp_path
    wait_for(lambda: find_processes(tmp_path) == [], 60, what="the end of every process")


def test_two_sites_are_gathered_late_readings_found_and_ctrl_c_ends_it(folder: Path) -> None:
    with Run(folder, "--json") as run:
        run.wait_for_text("Ctrl-C ends the demo.")
        (url,) = re.findall(r"curl (http://\S+/rest/sensortype/)", run.text)
        wait_for(lambda: run.read_page()["level"] == "good", 60, what="good news on the page")
        assert {each["role"] for each in run.read_page()["streams"]} == {"pusher", "site"}
        told = json.loads(subprocess.run(["curl", "-sf", url], capture_output=True, check=True).stdout)
        assert {kind["name"] for kind in told} == {"Temperature", "Humidity", "CO2"}
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 0, run.text
        outcome, text = json.loads(run.outcome_path.read_text()), run.text
    page, first, *_ = text.splitlines()
    assert page.startswith("Page: http://127.0.0.1:")
    assert first.startswith("Two field sites with a database each, and a centre")
    for command in ("site add hillside", "key add harbour", "serve", "plan", "run", "verify"):
        assert f"$ samesky push {command}" in text
    assert re.search(r"^Late readings: node 70 of harbour .* delivers 4,320 readings\.", text, re.MULTILINE)
    tables = re.findall(r"^ *(hillside|harbour) +([\d,]+) +([\d,]+) +([0-9a-f]{16}) +the same *$", text, re.MULTILINE)
    assert [name for name, *_ in tables] == ["hillside", "harbour"] * 2
    assert re.search(r"^The same: 155,520 readings of 2 sites", text, re.MULTILINE)
    assert text.splitlines()[-1] == "Ended."
    assert "Traceback" not in text
    assert not list(folder.glob("samesky-demo-*"))

    assert (outcome["same"], outcome["late"]) == (True, 4320)
    for place in PLACES:
        site, centre = outcome["sites"][place.name]["site"], outcome["sites"][place.name]["centre"]
        assert site == centre
        assert site["count"] == 30 * DAY_S // 300 * 9


def test_the_centre_of_an_earlier_demo_is_left_alone(folder: Path) -> None:
    (folder / "kept").mkdir()
    (folder / "kept" / "central.db").write_text("precious")
    with Run(folder, "--directory", str(folder / "kept")) as run:
        assert run.wait() == 2, run.text
    assert f"{folder}/kept has the centre of an earlier demo" in run.text
    assert [path.name for path in (folder / "kept").iterdir()] == ["central.db"]


def test_a_kill_takes_the_centre_along(folder: Path) -> None:
    with Run(folder) as run:
        run.wait_for_text("It serves at")
        run.process.kill()
        run.wait()


def test_without_a_library_it_says_how_to_get_it(folder: Path) -> None:
    code = (
        "import importlib.util as util, sys; find = util.find_spec; "
        "util.find_spec = lambda name, *more: None if name == 'sqlalchemy' else find(name, *more); "
        "from samesky.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    with Run(folder, code=code) as run:
        assert run.wait() == 2
    assert run.text.startswith("samesky: sqlalchemy: not installed for ")
    assert "pip install 'samesky[demo]'" in run.text


def test_a_site_can_be_written_again_and_its_readings_have_a_digest(tmp_path: Path) -> None:
    path, place = tmp_path / "site.db", PLACES[0]
    count = write_site(path, place, days=2, until_s=1_790_035_200)
    first = read_site(path)
    assert (first.count, count) == (2 * DAY_S // 300 * 9,) * 2
    with closing(sqlite3.connect(path)) as connection, connection:
        assert remove_readings(connection, 69, from_s=1_790_035_200 - DAY_S, until_s=1_790_035_200) == 864
    assert read_site(path) != first
    write_site(path, place, days=2, until_s=1_790_035_200)
    assert read_site(path) == first
