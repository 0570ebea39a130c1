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


def check_primary(state: State, description: Description, stream: str, decisions: Decisions) -> None:
    """Raise `DifferenceFound`, with what to type, when the primary may be another one, and nobody has said it is right.

    Another first record means another database. Many records fewer than before mean an old backup, or a lost disk.
    """
    known, had = state.read_origin(stream), state.read_count(stream)
    origin, has = description.origin, description.count
    if decisions.origin and origin != decisions.origin:
        raise ConfigError(f"{stream}: the primary's origin is {origin or 'not known'}, not {decisions.origin}")
    if known and origin and origin != known:
        if not decisions.origin:
            raise DifferenceFound(
                f"{stream}: the primary's database is another one (origin {origin}, not {known}); nothing was changed",
                hint=f"If that is right: samesky repair --stream {stream} --accept-origin {origin}",
            )
    elif had - has > max(most_deletions(had), decisions.deletions):
        raise DifferenceFound(
            f"{stream}: the primary has {has:,} records; it had {had:,}. Nothing was changed",
            hint="Was it restored from an old backup? If the primary is right: "
            f"samesky repair --stream {stream} --accept-deletions {had - has}",
        )
