"""What is wrong with a station's stream, apart from what to do about it, so that both can be shown where they belong.

Where a person has to decide, the sentence that says what is wrong brings the command with it. Elsewhere the command
follows from what is wrong. The configuration in it is filled in by whoever knows it (`source.with_config`).
"""

import re

from ..link.reasons import find_remedy

CHECK = "`samesky check --online`"
_COMMAND = "samesky "
_SENTENCE_ENDS = (". ", "? ", "; ")
_SILENT = re.compile(r"nobody answers|the primary answers")
_PRIMARY = f"See whether weewxd, or samesky station serve, runs at the primary. To see what is wrong: {CHECK}"
_TOLD_BEFORE = re.compile(
    r"\s*(Make room on the disk; it is tried again\.|Another program holds the database; it is tried again\.|"
    r"Check that .*|They are tried again\.|They are made anew\.|It is tried again\.)$"
)


def advise(text: str, *, stream: str = "") -> tuple[str, str]:
    """Return ``text`` as words that say what is wrong, without ``stream`` before them, and as what to do.

    What to do is empty where nothing has to be done.
    """
    words = text.strip().removeprefix(f"{stream}: ") if stream else text.strip()
    if _COMMAND in words:
        return _split_command(words)
    told = _TOLD_BEFORE.search(words)
    if told is not None:
        words = words[: told.start()]
    return words, _find_hint(words) or (told.group(1) if told else "")


def _find_hint(words: str) -> str:
    if _SILENT.search(words):
        return _PRIMARY
    remedy = find_remedy(words)
    return f"{remedy} To see what is wrong: {CHECK}" if "broker" in remedy else remedy


def _split_command(text: str) -> tuple[str, str]:
    """The sentence with the command begins where the one before it ends; a question before it belongs to it."""
    at = text.find(_COMMAND)
    start = max((text.rfind(end, 0, at) + len(end) for end in _SENTENCE_ENDS if end in text[:at]), default=0)
    before = text[:start].rstrip(" ;")
    if before.endswith("?"):
        start = max(
            (text.rfind(end, 0, len(before) - 1) + len(end) for end in (". ", "; ") if end in before), default=0
        )
        before = text[:start].rstrip(" ;")
    return before.removesuffix(".") or text, text[start:].strip()
