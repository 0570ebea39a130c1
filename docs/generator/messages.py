"""The messages that say what to do: every error of the code with a hint, read from its source."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import samesky
from samesky import errors
from samesky.errors import SameskyError

PACKAGE = Path(samesky.__file__).parent
LEFT_OUT = ("demo/",)
ROOMS = {
    "station": "Stations",
    "mesh": "Files",
    "push": "Databases",
    "blocks": "Blocks",
    "link": "Brokers and servers",
    "web": "The page",
    "cli": "Commands",
}
GAP = "…"
"""Stands for what a message names: a stream, a file, a number."""


@dataclass(frozen=True, slots=True, order=True)
class Told:
    """One message."""

    room: str
    message: str
    hint: str
    status: str
    """The exit status of a command that ends with it."""


def render_messages() -> Iterator[str]:
    """A table for each room of the code that has such messages."""
    told = sorted(set(read_messages()))
    for room, title in ROOMS.items():
        yield f"### {title}"
        yield ""
        yield "| message | what to do | status |"
        yield "|---|---|---|"
        for each in told:
            if each.room == room:
                yield f"| {_cell(each.message)} | {_cell(each.hint)} | {each.status} |"
        yield ""


def read_messages() -> Iterator[Told]:
    """Every call with a message and a ``hint=``, below `ROOMS`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(LEFT_OUT):
            continue
        room = name.split("/")[0] if "/" in name else "cli"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                yield from _read_call(node, "cli" if room == "check" else room)


def read_texts() -> Iterator[str]:
    """Every text in the code that isn't its documentation, with `GAP` for what is filled in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        yield from (text for node in nodes if id(node) not in documentation and (text := _read_text(node)))


def _read_call(call: ast.Call, room: str) -> Iterator[Told]:
    hint = next((each.value for each in call.keywords if each.arg == "hint"), None)
    message, words = _read_text(call.args[0]), _read_text(hint)
    if message and words:
        kind = getattr(errors, getattr(call.func, "id", ""), None)
        status = str(kind.exit_status) if isinstance(kind, type) and issubclass(kind, SameskyError) else ""
        yield Told(room, message, words, status)


def _read_text(node: ast.AST | None) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_read_text(each) or GAP for each in values)
    return ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
