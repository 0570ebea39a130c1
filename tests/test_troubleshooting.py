"""docs/troubleshooting.md quotes what the programs really say."""

import re
from pathlib import Path

import click
import pytest
from docs.generator.messages import GAP, read_texts

from samesky.cli.main import samesky

PAGE = (Path(__file__).parents[1] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
TEXTS = list(read_texts())
OF_OTHERS = {"Watchdog timeout", "status=243/CREDENTIALS", "database is locked"}
"""What isn't ours to say."""


def read_symptoms() -> list[str]:
    """What is quoted in the first column of each table."""
    rows = re.findall(r"^\| (.+?) \| .+ \| .+ \|$", PAGE, re.MULTILINE)
    return [quoted for row in rows if row != "you see" for quoted in re.findall("`([^`]+)`", row)]


@pytest.mark.parametrize("quoted", sorted(set(read_symptoms()) - OF_OTHERS))
def test_what_the_page_quotes_is_said_somewhere(quoted: str) -> None:
    if quoted.startswith("samesky "):
        return  # a command, not a message: see below
    plain = quoted.replace("…", GAP)
    assert any(plain in text for text in TEXTS), quoted


def test_there_is_something_to_check() -> None:
    assert len(read_symptoms()) > 40


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`(samesky [a-z][^`]*)`", PAGE))))
def test_the_commands_of_the_page_are_there(line: str) -> None:
    command: click.Command = samesky
    words = [word for word in line.split()[1:] if word[0] not in "-…"]
    for word in words:
        if not isinstance(command, click.Group) or word.isupper() or not word.islower():
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, line
        command = found
    told = {name for parameter in command.params for name in parameter.opts}
    for option in re.findall(r"--[a-z-]+", line):
        assert option in told, line
