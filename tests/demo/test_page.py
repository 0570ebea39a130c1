"""The page of a demo: it is there first, is the demo's alone, and its end is told."""

import io
import json
import os
import re
import signal
from pathlib import Path
from urllib.request import urlopen

import pytest

from samesky.demo.page import Page
from samesky.demo.screen import Screen
from samesky.errors import Unreachable
from stands.demo_run import DemoRun, find_processes
from stands.waiting import wait_for


@pytest.mark.slow
def test_a_page_answers_before_it_is_told_shows_nothing_of_the_user_s_and_its_end_is_told(tmp_path: Path) -> None:
    said = io.StringIO()
    with Page(tmp_path, Screen(said)) as page:
        assert re.fullmatch(r"Page: http://127\.0\.0\.1:\d+/ shows .* in a browser\.\n", said.getvalue())
        with urlopen(f"{page.url}?format=json", timeout=20) as answer:
            assert json.load(answer)["streams"] == []
        page.check()
        (pid,) = find_processes(tmp_path)
        os.kill(pid, signal.SIGKILL)

        def is_told() -> bool:
            try:
                page.check()
            except Unreachable as error:
                return "the page has ended with status -9" in str(error) and f"{tmp_path}/web.log" in str(error)
            return False

        wait_for(is_told, 20, what="the end of the page")


def test_without_its_libraries_there_is_no_page_and_the_demo_goes_on(tmp_path: Path) -> None:
    code = (
        "import importlib.util as util, pathlib, sys; find = util.find_spec; "
        "util.find_spec = lambda name, *more: None if name == 'starlette' else find(name, *more)\n"
        "from samesky.demo.page import Page; from samesky.demo.screen import Screen\n"
        "with Page(pathlib.Path(sys.argv[1]), Screen()) as page: page.check()"
    )
    with DemoRun(tmp_path, str(tmp_path), code=code) as run:
        assert run.wait() == 0, run.text
    assert run.text.startswith("Page: none, without starlette (pip install 'samesky[demo]'")
