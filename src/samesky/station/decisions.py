"""What only a person can decide of a repair, and the question whether a primary is still the one it was."""

from dataclasses import dataclass

from ..errors import ConfigError, DifferenceFound
from .checker import most_deletions
from .description import Description
from .state import State


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a person has decided for one repair."""

    deletions: int = 0
    """So many records, or days of summaries, may be deleted, where the usual bound is lower."""
    origin: str = ""
    """The origin of a primary whose database was replaced on purpose."""


UNDECIDED = Decisions()


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why nothing may be taken from a primary before a person has decided."""

    message: str
    hint: str
    """What to type if the primary is right."""


def find_doubt(
    state: State, description: Description, stream: str, *, accepted_origin: str = "", allowed_deletions: int = 0
) -> Doubt | None:
    """What speaks against a primary of this description; None when nothing does.

    Another first record means another database. Many records fewer than before mean an old backup, or a lost disk.
    """
    known, had = state.read_origin(stream), state.read_count(stream)
    origin, has = description.origin, description.count
    if known and origin and origin != known:
        if origin == accepted_origin:
            return None
        return Doubt(
            f"{stream}: the primary's database is another one (origin {origin}, not {known}); nothing was changed",
            f"If that is right: samesky repair --stream {stream} --accept-origin {origin}",
        )
    if had - has > max(most_deletions(had), allowed_deletions):
        return Doubt(
            f"{stream}: the primary has {has:,} records; it had {had:,}. Nothing was changed",
            "Was it restored from an old backup? If the primary is right: "
            f"samesky repair --stream {stream} --accept-deletions {had - has}",
        )
    return None


def check_primary(state: State, description: Description, stream: str, decisions: Decisions) -> None:
    """Raise `DifferenceFound`, with what to type, when there is a doubt that nobody has decided about.

    Raises `ConfigError` when the origin that was said to be right isn't the primary's.
    """
    if decisions.origin and description.origin != decisions.origin:
        raise ConfigError(
            f"{stream}: the primary's origin is {description.origin or 'not known'}, not {decisions.origin}"
        )
    doubt = find_doubt(
        state,
        description,
        stream,
        accepted_origin=decisions.origin,
        allowed_deletions=decisions.deletions,
    )
    if doubt is not None:
        raise DifferenceFound(doubt.message, hint=doubt.hint)
