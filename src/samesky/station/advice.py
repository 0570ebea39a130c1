"""What is wrong with a station's stream, apart from what to do about it, so that both can be shown where they belong.

Where a person has to decide, the sentence that says what is wrong brings the command with it. Elsewhere the command
follows from what is wrong. The configuration in it is filled in by whoever knows it (`source.with_config`).
"""

import re

CHECK = "samesky check --online"
_COMMAND = "samesky "
_SENTENCE_ENDS = (". ", "? ", "; ", ": ")
_BROKER = (
    "Start the broker there, or mend what is in its way (mosquitto: sudo systemctl restart mosquitto). What comes "
    f"meanwhile isn't lost. To see what is wrong: {CHECK}"
)
_PRIMARY = f"See whether weewxd, or samesky station serve, runs at the primary. To see what is wrong: {CHECK}"
_RIGHTS = f"Correct the broker's ACL. To see which rights are needed: {CHECK}"
_DISK = "Make room on that disk (to see what is full: df -h). It goes on by itself."
_KNOWN = (
    (re.compile(r"disk is full|No space left|disk quota|File too large", re.IGNORECASE), _DISK),
    (re.compile(r"nobody answers|the primary answers"), _PRIMARY),
    (re.compile(r"[Nn]ot authorized|doesn't let us|the broker refused it"), _RIGHTS),
    (
        re.compile(r"refused the connection|ended the connection|doesn't answer|no connection to|can't be found"),
        _BROKER,
    ),
)
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
    hint = next((hint for pattern, hint in _KNOWN if pattern.search(words)), told.group(1) if told else "")
    return words, hint


def _split_command(text: str) -> tuple[str, str]:
    """The sentence with the command begins where the one before it ends; a question before it belongs to it."""
    at = text.find(_COMMAND)
    start = max((text.rfind(end, 0, at) + len(end) for end in _SENTENCE_ENDS[:3] if end in text[:at]), default=0)
    before = text[:start].rstrip(" ;")
    if before.endswith("?"):
        start = max(
            (text.rfind(end, 0, len(before) - 1) + len(end) for end in (". ", "; ") if end in before), default=0
        )
        before = text[:start].rstrip(" ;")
    return before.removesuffix(".") or text, text[start:].strip()
