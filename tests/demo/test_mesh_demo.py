"""`samesky demo mesh` as a user runs it: what it says, how it ends, and that it leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stands.demo_run import DemoRun, find_processes, read_command
from stands.waiting import wait_for

pytestmark = pytest.mark.slow


class Run(DemoRun):
    """A run of this demo."""

    def __init__(self, folder: Path, *options: str, code: str = "", path: str | None = None) -> None:
        super().__init__(folder, "demo", "mesh", *options, code=code, path=path)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the demo's temporary directory will be; after the test, no process may know it any more."""
    yield tmp_path
    assert find_processes(tmp_path) == []


def test_files_appear_at_all_and_who_was_away_comes_back_complete(folder: Path) -> None:
    with Run(folder, "--seconds", "1", "--directory", str(folder / "kept")) as run:
        assert run.wait() == 0, run.text
        text = run.text
    page, first, directory, *_, last = text.splitlines()
    assert page.startswith("Page: http://127.0.0.1:")
    assert first.startswith("Four peers in a ring")
    assert first.endswith("ends after 1 seconds.")
    assert directory == f"Directory: {folder}/kept (kept)"
    assert re.findall(r"^  (\w+) +mosquitto mqtt://", text, re.M) == ["north", "east", "south", "west"]
    assert re.search(r"^  \d\d:\d\d:\d\d  10 files at north +\d+ ms$", text, re.M)
    assert "Power cut: west's peer, web server and broker are killed." in text
    assert re.search(r"^Power is back: west is complete \d+\.\d s after its start\.$", text, re.M)
    rows = re.findall(r"^ *(north|east|south|west) +([\d,]+) +([\d,]+) +([0-9a-f]{16}) +the same *$", text, re.M)
    assert [name for name, *_ in rows] == ["north", "east", "south", "west"]
    assert len({tuple(figures) for _, *figures in rows}) == 1
    assert re.fullmatch(r"The same: 1,0\d\d files, [\d,]+ bytes, in 4 trees\.", last)

    with Run(folder, "--seconds", "1", "--json", "--directory", str(folder / "kept")) as again:
        assert again.wait() == 0, again.text
        outcome = json.loads(again.outcome_path.read_text())
    assert "The trees of an earlier run are there" in again.text
    assert outcome["same"] is True
    assert set(outcome["trees"]) == {"north", "east", "south", "west"}
    assert outcome["trees"]["west"]["files"] == int(rows[0][1].replace(",", "")) + outcome["published"]


def test_a_broker_that_keeps_nothing_for_who_is_away_is_enough(folder: Path) -> None:
    with Run(folder, "--seconds", "1", "--broker", "iotcore") as run:
        assert run.wait() == 0, run.text
    assert run.text.count("  iotcore mqtt://") == 4
    assert re.search(r"^The same: 1,0\d\d files", run.text, re.M)
    assert not list(folder.glob("samesky-demo-*"))


def test_a_tree_that_differs_is_told(folder: Path) -> None:
    with Run(folder, "--seconds", "1", "--directory", str(folder / "kept")) as run:
        run.wait_for_text("Power cut")  # east has long looked at its tree, and a thousand files are still to come
        (folder / "kept/east/tree/stray.txt").write_text("nobody announced this")
        assert run.wait() == 1, run.text
    assert "samesky: the four trees differ" in run.text
    assert re.search(r"^ *east .* differs *$", run.text, re.M)


@pytest.mark.parametrize(
    ("signal_number", "status"),
    [(signal.SIGINT, 130), (signal.SIGHUP, 143)],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_a_signal_ends_it_and_nothing_is_left(folder: Path, signal_number: signal.Signals, status: int) -> None:
    with Run(folder) as run:
        run.wait_for_text("Files, and how long")
        run.process.send_signal(signal_number)
        assert run.wait() == status, run.text
    assert not list(folder.glob("samesky-demo-*"))
    assert "Traceback" not in run.text


def test_ctrl_c_after_the_comparison_is_the_way_to_end_it(folder: Path) -> None:
    with Run(folder) as run:
        run.wait_for_text("Ctrl-C ends the demo.")
        wait_for(lambda: run.read_page()["words"] == "All 8 copies are the same", 120, what="good news on the page")
        told = run.text.partition("Publish a file of your own")[2]
        for command in re.findall(r"^  (.+)$", told, re.M):
            subprocess.run(command, shell=True, check=True)
        trees = [Path(each).parent for each in folder.glob("samesky-demo-*/*/tree")]
        wait_for(lambda: all((each / "tree/hello.txt").exists() for each in trees), 60, what="the file in every tree")
        run.process.send_signal(signal.SIGINT)
        assert run.wait() == 0, run.text
    assert len(trees) == 4
    assert run.text.splitlines()[-1] == "Ended."


def test_a_kill_takes_the_peers_and_the_brokers_along(folder: Path) -> None:
    with Run(folder) as run:
        run.wait_for_text("All four run")
        run.process.kill()
        run.wait()
    wait_for(lambda: not find_processes(folder), 60, what="the end of every process")


def test_a_peer_that_dies_is_told_with_the_end_of_its_log(folder: Path) -> None:
    with Run(folder) as run:
        run.wait_for_text("Files, and how long")
        pid = next(pid for pid in find_processes(folder) if "samesky-south" in read_command(pid))
        os.kill(pid, signal.SIGKILL)
        assert run.wait() == 3, run.text
    assert "samesky: south's peer has ended with status -9" in run.text
    assert "--- the end of " in run.text


def test_without_a_library_it_says_how_to_get_it(folder: Path) -> None:
    code = (
        "import importlib.util as util, sys; find = util.find_spec; "
        "util.find_spec = lambda name, *more: None if name == 'aiohttp' else find(name, *more); "
        "from samesky.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    with Run(folder, code=code) as run:
        assert run.wait() == 2
    assert run.text.startswith("samesky: aiohttp: not installed for ")
    assert "pip install 'samesky[demo]'" in run.text


def test_options_of_the_other_demo_are_refused_in_front_of_mesh(folder: Path) -> None:
    code = "import sys; from samesky.cli.main import main; sys.exit(main(['demo', '--port', '1883', 'mesh']))"
    with Run(folder, code=code) as run:
        assert run.wait() == 2
    assert "--port in front of mesh is for the station's demo" in run.text
