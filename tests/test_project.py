"""What the project says of itself is so: its pages, its dependencies, its scripts, its imports."""

import ast
import os
import re
import tomllib
from pathlib import Path

import click
import pytest

from samesky.cli.main import samesky

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = sorted((ROOT / "src" / "samesky").rglob("*.py"))


def read_project() -> dict[str, object]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert isinstance(project, dict)
    return project


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)[^)]*\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_part_of_a_page_leads_to_its_heading(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)", page.read_text())
    assert [link for link in links if link[1] not in read_anchors(page.parent / link[0] if link[0] else page)] == []


def read_anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL) if page.exists() else ""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_samesky_command_in_a_page_exists(page: Path) -> None:
    for words in re.findall(r"(?:`|^)samesky ((?:[a-z]+ ?)+)", page.read_text(), re.MULTILINE):
        command: click.Command | None = samesky
        for word in words.split():
            if not isinstance(command, click.Group):
                break
            command = command.get_command(click.Context(command), word)
            assert command is not None, f"{page.name}: samesky {words}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_script_in_a_page_can_be_run(page: Path) -> None:
    for script in set(re.findall(r"scripts/[a-z-]+", page.read_text())):
        assert os.access(ROOT / script, os.X_OK), script


def test_every_dependency_has_its_line() -> None:
    project = read_project()
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    asked = [name for names in (project["dependencies"], *extras.values()) for name in names]
    names = {re.split(r"[^\w-]", name)[0] for name in asked} - {"samesky"}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert [name for name in sorted(names) if f"| {name} |" not in page] == []


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
def test_no_address_of_a_registry_is_written_down(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT / "src")))
def test_the_package_imports_itself_relatively_so_that_a_copy_of_it_works(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            assert not [name.name for name in node.names if name.name.split(".")[0] == "samesky"]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert (node.module or "").split(".")[0] != "samesky"
