"""docs/reference.md says what the code has: nothing is missing, and nothing is there that there isn't."""

import re
from pathlib import Path

import pytest
from docs.generator.commands import read_statuses
from docs.generator.metrics import read_metrics
from docs.generator.options import TABLES, Table, read_everything, read_options
from docs.generator.page import PAGES

from samesky.cli import main
from samesky.errors import SameskyError


def subclasses(parent: type[SameskyError]) -> set[type[SameskyError]]:
    below = set(parent.__subclasses__())
    return below.union(*map(subclasses, below)) if below else below


@pytest.mark.parametrize("page", PAGES, ids=[each.name for each in PAGES])
def test_what_is_made_of_the_code_is_what_the_code_says(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == PAGES[page](), "run scripts/reference, which writes it anew"


def test_every_exit_status_is_in_the_reference() -> None:
    named = {value for name, value in vars(main).items() if name.startswith("STATUS_")}
    raised = {error.exit_status for error in subclasses(SameskyError)}
    assert named | raised | {0} == read_statuses().keys()


@pytest.mark.parametrize("table", TABLES, ids=[each.where for each in TABLES])
def test_a_guide_says_what_every_option_means(table: Table) -> None:
    options = read_options(table, read_everything())
    assert options
    assert [each.name for each in options if not each.words] == [], f"say them in a table of {table.guides}"


@pytest.mark.parametrize("place", ["web", "mesh", "blocks"])
def test_every_metric_says_what_it_tells(place: str) -> None:
    metrics = read_metrics()[place]
    assert metrics
    assert [name for name, _, _, words in metrics if not re.fullmatch(r"[A-Z1].{5,}\.?", words)] == []
