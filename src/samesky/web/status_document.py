"""All that is known, as one JSON document: ``/status.json`` and ``samesky status --json``."""

from collections.abc import Sequence
from typing import Final

from .. import __version__
from ..core.status import Level
from .noticeboard import Heard

WORST_FIRST: Final[tuple[Level, ...]] = ("bad", "attention", "working", "good")


def describe_status(
    heard: Sequence[Heard], now: float, max_lag_s: float | None = None, *, troubles: Sequence[str] = ()
) -> dict[str, object]:
    """Return a new document that ``json.dumps`` takes; times are Unix seconds.

    ``level`` is the worst of all streams, None where nothing is known; ``counts`` has the streams of each level.
    ``troubles`` say what couldn't be read: with them the level is "attention" at best.
    """
    streams = [describe_heard(each, now, max_lag_s) for each in heard]
    levels = [each.judge(now, max_lag_s=max_lag_s).level for each in heard]
    return {
        "version": __version__,
        "at": round(now, 3),
        "max_lag_s": max_lag_s,
        "level": worst_of(levels, troubles),
        "counts": {level: levels.count(level) for level in WORST_FIRST},
        "streams": streams,
        "troubles": list(troubles),
    }


def worst_of(levels: Sequence[Level], troubles: Sequence[str]) -> Level | None:
    """Return the worst of ``levels``; what couldn't be read can't be called right, so with ``troubles`` it isn't."""
    told = [*levels, *(["attention"] if troubles else [])]
    return next((level for level in WORST_FIRST if level in told), None)


def describe_heard(heard: Heard, now: float, max_lag_s: float | None = None) -> dict[str, object]:
    """Return one stream: its snapshot, when and where it was heard of, and what to think of it."""
    verdict = heard.judge(now, max_lag_s=max_lag_s)
    return {
        **heard.snapshot.as_dict(),
        "same": heard.snapshot.same,
        "place": heard.place,
        "owner": heard.owner,
        "heard_at": round(heard.heard_at, 3),
        "age_s": round(heard.age_s(now), 3),
        "level": verdict.level,
        "words": verdict.words,
        "todo": verdict.todo,
    }
