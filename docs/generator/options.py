"""The options of samesky.toml and weewx.conf: names, values and defaults from the code, the words from the guides."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samesky.blocks.blocks_settings import read_blocks
from samesky.config import Asked, Findings
from samesky.push.central_settings import read_central
from samesky.push.described import TABLE_OPTIONS
from samesky.push.push_settings import read_push_settings
from samesky.station.stanza import read_toml_requester, read_toml_responder
from samesky.web.web_settings import read_web

DOCS = Path(__file__).parents[1]
EXAMPLE = """
[station.serve.INSTANCE.BINDING]
type = "main"
sqlite = "a.sdb"

[station.follow.INSTANCE.BINDING]
type = "main"

[station.follow.INSTANCE.BINDING.mysql]
database = "weewx"

[push]
database = "sqlite:///a.db"

[push.targets.NAME]
url = "http://127.0.0.1/"
key = "a.b"

[blocks]
amqp = "amqp://localhost/"

[blocks.services.NAME]
store = "a.json"
"""
"""Every table once, with what it can't do without."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the configuration."""

    title: str
    where: str
    guides: tuple[str, ...]
    """The sections whose tables have the words, ``page.md`` or ``page.md#Heading``; the first that has one counts."""


TABLES = (
    Table(
        "[station.serve], and [MQTTReplicate] [[Responder]]",
        "station.serve",
        ("station.md", "status-messages.md", "security.md"),
    ),
    Table(
        "[station.serve.INSTANCE.BINDING]",
        "station.serve.INSTANCE.BINDING",
        ("station.md#Without WeeWX at one end", "station.md"),
    ),
    Table(
        "[station.follow], and [MQTTReplicate] [[Requester]]",
        "station.follow",
        ("station.md", "status-messages.md", "security.md"),
    ),
    Table(
        "[station.follow.INSTANCE.BINDING]",
        "station.follow.INSTANCE.BINDING",
        ("station.md#Without WeeWX at one end", "station.md"),
    ),
    Table(
        "[station.….BINDING.mysql]",
        "station.follow.INSTANCE.BINDING.mysql",
        ("station.md#Without WeeWX at one end",),
    ),
    Table("[push]", "push", ("push.md#The site's options",)),
    Table("[push.targets.NAME]", "push.targets.NAME", ("push.md#The site's options",)),
    Table("[[push.model.table]]", "push.model.table", ("push.md#Another schema",)),
    Table("[push.central]", "push.central", ("push.md#Databases",)),
    Table("[blocks]", "blocks", ("blocks.md",)),
    Table("[blocks.services.NAME]", "blocks.services.NAME", ("blocks.md",)),
    Table("[web]", "web", ("web.md",)),
)


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a table; ``words`` is empty where no guide says what it means."""

    name: str
    kind: str
    default: str
    words: str


def render_options() -> Iterator[str]:
    """A section for each table."""
    findings = read_everything()
    for table in TABLES:
        yield f"### {table.title}"
        yield ""
        yield "| option | what it may be | default | meaning |"
        yield "|---|---|---|---|"
        for each in read_options(table, findings):
            yield f"| `{each.name}` | {each.kind} | {each.default} | {each.words} |"
        yield ""


def read_options(table: Table, findings: Findings) -> list[Option]:
    """The options of ``table``, by name."""
    asked = {each.name: each for each in findings.asked if each.where == table.where and each.kind != "text"}
    asked = {each.name: each for each in findings.asked if each.where == table.where} | asked
    names = findings.known.get(table.where, frozenset()) | asked.keys()
    words = read_words(table)
    return [_make_option(name, asked.get(name), words.get(name, ("", ""))) for name in sorted(names)]


def read_everything() -> Findings:
    """What all readers of configurations look for."""
    findings, tables = Findings(), tomllib.loads(EXAMPLE)
    readers: tuple[Callable[[Mapping[str, Any], Findings], object], ...] = (
        read_toml_responder,
        read_toml_requester,
        lambda tables, findings: read_central(tables, findings, given={}),
        lambda tables, findings: read_blocks(tables, findings, given={}),
        lambda tables, findings: read_web(tables, findings, given={}),
    )
    for read in readers:
        read(tables, findings)
    findings.known["push.model.table"] = frozenset(TABLE_OPTIONS)
    own = _read_push()
    findings.asked += own.asked
    findings.known |= own.known
    return findings


def _read_push() -> Findings:
    """This one reads files, for it knows two kinds of them."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder, "samesky.toml")
        path.write_text(EXAMPLE)
        path.chmod(0o600)
        return read_push_settings(path)[1]


def read_words(table: Table) -> dict[str, tuple[str, str]]:
    """Option -> (default, meaning), as the tables of the guides have them."""
    is_binding = table.where.endswith("BINDING")
    rows = [row for guide in table.guides for row in _read_rows(*guide.split("#"))]
    rows.sort(key=lambda row: is_binding != ("in a binding" in row[0]))
    found: dict[str, tuple[str, str]] = {}
    for names, default, meaning in rows:
        for name in re.findall(r"`(\w+)`", names) or [names]:
            found.setdefault(name, (default, meaning))
    return found


def _read_rows(page: str, heading: str = "") -> Iterator[tuple[str, str, str]]:
    """The rows of the tables below ``heading`` whose first column is headed ``option``; links lead there from here."""
    path, in_table, in_section = DOCS / page, False, not heading
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        if line.startswith("#") and heading:
            in_section = line.lstrip("# ") == heading
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and cells[0] == "option":
            in_table = True
        elif not cells:
            in_table = False
        elif in_table and in_section and len(cells) == 3 and not cells[0].startswith("-"):
            yield cells[0], cells[1], cells[2].replace("](#", f"]({page}#")


def _make_option(name: str, asked: Asked | None, words: tuple[str, str]) -> Option:
    default, meaning = words
    if asked is not None and asked.default:
        # A name that is made of the machine's is another everywhere.
        default = f"`{re.sub('-[0-9a-f]{8}$', '-…', asked.default)}`"
        if asked.default.startswith("the environment's"):
            default = re.sub(r"(SAMESKY_\w+)", r"`\1`", asked.default)
    return Option(name, (asked.kind if asked else "").replace("|", "\\|"), default, meaning)
