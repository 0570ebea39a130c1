"""For terminals and files that aren't in UTF-8: what their encoding lacks is told in ASCII, and ends no command."""

import codecs
import io
import sys

HANDLER = "samesky-plain"
_PLAIN = {
    "…": "...",
    "–": "-",
    "─": "-",
    "→": "->",
    "×": "x",
    "■": "#",
    "◣": "/",
    "□": ".",
    "◆": "!",
}
"""The marks of our tables and calendars; they stay different from each other."""


def allow_any_encoding() -> None:
    """Have standard output and standard error take every text, whatever they are encoded in."""
    codecs.register_error(HANDLER, _spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spell_character, error.object[error.start : error.end])), error.end


def _spell_character(character: str) -> str:
    """Our own mark for it, or the escape that JSON has for it, too."""
    if character in _PLAIN:
        return _PLAIN[character]
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
