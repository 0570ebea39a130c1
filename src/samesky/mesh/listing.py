"""The list of a directory as an HTML page, made for people and for programs that follow its links."""

import html
import os
import stat
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

_STYLE = "body{font:14px/1.5 monospace;margin:2em}table{border-spacing:0}td{padding-right:2em;white-space:nowrap}"
_STYLE += "td:last-child{text-align:right}:root{color-scheme:light dark}"
_STYLE += "@media(max-width:40em){body{margin:1em}td{white-space:normal;padding-right:1em}a{overflow-wrap:anywhere}}"


class Listed(NamedTuple):
    """One name in a directory, as the file system has it."""

    name: bytes
    is_directory: bool
    size: int
    mtime: float


def read_listing(descriptor: int) -> list[Listed]:
    """Return what may be seen of an open directory, directories first, then by name.

    That is files and directories whose names don't begin with a dot: no links, no devices, nothing of ours.
    """
    return sorted(_read(descriptor), key=lambda each: (not each.is_directory, each.name))


def _read(descriptor: int) -> Iterator[Listed]:
    for text in os.listdir(descriptor):
        name = os.fsencode(text)
        if name.startswith(b"."):
            continue
        try:
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except OSError:
            continue  # removed since
        if stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode):
            yield Listed(name, stat.S_ISDIR(found.st_mode), found.st_size, found.st_mtime)


def render_listing(path: bytes, listed: Iterable[Listed]) -> bytes:
    """Return the page for the directory ``path`` (without slashes around it). Links are relative and quoted."""
    title = html.escape(f"/{path.decode(errors='replace')}")
    rows = ['<tr><td><a href="../">../</a></td><td></td><td></td></tr>'] if path else []
    rows += [_render_row(each) for each in listed]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"</head>\n<body><h1>{title}</h1>\n<table>\n" + "\n".join(rows) + "\n</table></body></html>\n"
    ).encode()


def _render_row(each: Listed) -> str:
    slash = "/" if each.is_directory else ""
    href = f"./{quote(each.name)}{slash}"  # with ./ in front a colon in the name makes no scheme
    name = html.escape(each.name.decode(errors="replace")) + slash
    when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(each.mtime))
    size = "" if each.is_directory else f"{each.size}"
    return f'<tr><td><a href="{html.escape(href)}">{name}</a></td><td>{when}</td><td>{size}</td></tr>'
