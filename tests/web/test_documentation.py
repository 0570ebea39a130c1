"""What docs/web.md says is so."""

import re
from pathlib import Path

import pytest
from tests.stands.web_page import ServedPage

from samesky.web.web_settings import KNOWN

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "web.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[str]:
    """The first cells of the table with this heading."""
    table = TEXT.partition(heading)[2].partition("\n\n")[0]
    return [line.split("|")[1].strip() for line in table.splitlines()[2:]]


def test_every_setting_has_its_line() -> None:
    assert set(rows("| option | default | meaning |")) == KNOWN


def test_every_picture_is_there_at_both_widths() -> None:
    named = set(re.findall(r"pictures/(web-[a-z0-9-]+\.png)", TEXT))
    assert named == {path.name for path in (DOCS / "pictures").glob("web-*.png")}
    assert {name.removesuffix("-390.png") for name in named if name.endswith("-390.png")} == {
        name.removesuffix("-1280.png") for name in named if name.endswith("-1280.png")
    }


def test_every_path_for_programs_answers(tmp_path: Path) -> None:
    paths = [re.sub(r"[`]", "", each) for each in rows("| path | tells |")]
    with ServedPage(tmp_path) as page:
        for path in paths:
            if path.startswith("/events"):
                with page.listen() as events:
                    assert next(events).kind == "page"
            elif path.startswith("/"):
                assert page.ask(path).status == (503 if path == "/health/ready" else 200), path
    assert any("format=json" in path for path in paths)


@pytest.mark.parametrize("words", ["64 pages", "100 streams", "2,000", "thirty days", "30 seconds"])
def test_a_limit_that_is_told_is_the_limit(words: str) -> None:
    from samesky.web.layout import REFRESH_S
    from samesky.web.live import MOST_LISTENERS
    from samesky.web.noticeboard import FORGOTTEN_AFTER_S
    from samesky.web.overview import MOST_OF_ONE, MOST_SHOWN

    limits = (MOST_LISTENERS, MOST_SHOWN, MOST_OF_ONE, FORGOTTEN_AFTER_S, REFRESH_S)
    assert limits == (64, 100, 2000, 30 * 86_400, 30)
    assert words in " ".join(TEXT.split())
