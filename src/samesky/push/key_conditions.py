"""Conditions in SQL for rows of an append-only table in a site's database: between two times, or after a key."""

from collections.abc import Sequence
from typing import cast

from .site_schema import Place
from .sql_words import spell_time
from .values import HIGHEST_DATE, LOWEST_DATE


def after_key(place: Place, after: Sequence[object] | None) -> tuple[str, Sequence[object]]:
    """The condition for keys after ``after`` (None: for all that have a time), and the texts for its parameters.

    ``after`` may be the beginning of a key: then all keys that begin so are before.

    ``after`` may be the beginning of a key: the time alone stands behind all rows of that second.
    It isn't spelled ``(a, b, c) > (x, y, z)``, for which MariaDB reads the table from its beginning.
    """
    if after is None:
        return between(place, LOWEST_DATE, HIGHEST_DATE + 1), ()
    time_s = int(cast(int, after[0]))
    column = place.column(place.model.time_column)
    later = f"{column} >= {_spell(place, time_s + 1)}"
    condition = ""
    values: list[object] = []
    for name, value in reversed(list(zip(place.model.key[1:], after[1:], strict=False))):
        mark, given = mark_of(place, value)
        equal = f" OR {place.column(name)} = {mark} AND ({condition})" if condition else ""
        values = [*given, *(given if condition else ()), *values]
        condition = f"{place.column(name)} > {mark}{equal}"
    within = between(place, time_s, HIGHEST_DATE + 1)
    return f"{within} AND ({later}{f' OR {condition}' if condition else ''})", values


def between(place: Place, from_s: int, to_s: int) -> str:
    """The condition for ``from_s`` <= time < ``to_s``."""
    column = place.column(place.model.time_column)
    return f"{column} >= {_spell(place, from_s)} AND {column} < {_spell(place, to_s)}"


def mark_of(place: Place, value: object) -> tuple[str, Sequence[object]]:
    """How ``value`` stands in SQL: a number as it is, a text as a parameter."""
    if isinstance(value, int):
        return str(int(value)), ()
    return ("?" if place.dialect == "sqlite" else "%s"), (value,)


def _spell(place: Place, time_s: int) -> str:
    return spell_time(place.dialect, place.time_form, time_s)
