"""Which row of the centre each row of one table of one site stands for: the rules, apart from what then changes. Pure.

A row is known by the id it came with before. When its natural key isn't what it was, it was either renamed, or its id
was given to something else; the two are told apart by looking for the old and the new key among the rows of both ends:

* the centre has the new key in a row that is free, or whose own site id has another key now: it is this row from now on
* the centre hasn't, and nobody took over the old row: it was renamed
* the centre hasn't, and another row of the site has the old key: the id stands for something new

What can be read in two ways is refused, and stays mapped as it was.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from ..core.strict import Reason
from .model import TableModel

NaturalKey = tuple[object, ...]
"""The values of the natural key; NULL is a value like any other."""
Doubt = tuple[Reason, str]
"""Why a row is refused, in a word and in words."""

FEWEST_RENAMES = 3
"""So many rows may change their natural key at once, whatever share of the table they are."""

_MOST_NAMED = 3  # ids in a sentence


@dataclass(slots=True)
class Matches:
    """Site ids and what they stand for; a site id that is in neither is new."""

    matched: dict[int, int] = field(default_factory=dict)
    doubts: dict[int, Doubt] = field(default_factory=dict)


def natural_key(table: TableModel, row: Mapping[str, object]) -> NaturalKey:
    """Return the values of the natural key of ``row``."""
    return tuple([row[name] for name in table.natural_key])


def match_rows(
    table: TableModel,
    rows: Sequence[Mapping[str, object]],
    *,
    known: Mapping[int, int],
    candidates: Iterable[Mapping[str, object]],
    absent: Collection[int] = (),
    accept_renames: bool = False,
) -> Matches:
    """Return what ``rows`` stand for; the parameters are those of `mapping.plan_table`."""
    matching = _Matching(table, rows, known, candidates, absent, accept_renames)
    if not accept_renames and (words := matching.explain_other_database()):
        return Matches(doubts=dict.fromkeys(matching.keys, (Reason.ORIGIN, words)))
    matching.match_unchanged()
    matching.match_by_key()
    matching.match_renamed()
    return matching.matches


class _Matching:
    """One table's rows while they are being matched."""

    def __init__(
        self,
        table: TableModel,
        rows: Sequence[Mapping[str, object]],
        known: Mapping[int, int],
        candidates: Iterable[Mapping[str, object]],
        absent: Collection[int],
        accept_renames: bool,
    ) -> None:
        self.matches = Matches()
        self.keys = {cast(int, row["id"]): natural_key(table, row) for row in rows}
        self._table = table
        self._absent = absent
        self._accept_renames = accept_renames
        self._centre_keys = {cast(int, row["id"]): natural_key(table, row) for row in candidates}
        self._known = {
            site_id: known[site_id] for site_id in self.keys if known.get(site_id, None) in self._centre_keys
        }
        self._owners = {centre_id: site_id for site_id, centre_id in known.items()}
        self._taken: set[int] = set()

    def explain_other_database(self) -> str:
        """Words for so many changed keys that the rows seem to be of another database; none when they don't.

        Only the row's own part of the key counts: the ids of parents change with these.
        """
        own = [place for place, name in enumerate(self._table.natural_key) if name not in self._table.references]
        changed = sum(
            any(self.keys[site_id][place] != self._centre_keys[centre_id][place] for place in own)
            for site_id, centre_id in self._known.items()
        )
        if changed < FEWEST_RENAMES or changed * 2 <= len(self._known):
            return ""
        return (
            f"{changed} of the {len(self._known)} rows that the centre knows have another "
            f"{_listed(self._table.natural_key)} than before, as if this were another database"
        )

    def match_unchanged(self) -> None:
        """Match the rows whose natural key is what it was."""
        for site_id, centre_id in self._known.items():
            if self.keys[site_id] == self._centre_keys[centre_id]:
                self._match(site_id, centre_id)

    def match_by_key(self) -> None:
        """Match the others to rows of the centre that have their key already."""
        found: dict[NaturalKey, list[int]] = {}
        for centre_id, key in self._centre_keys.items():
            if centre_id not in self._taken:
                found.setdefault(key, []).append(centre_id)
        for key, site_ids in self._by_key().items():
            of_key = self._prefer_own(found.get(key, []))
            for site_id in site_ids:
                if site_id not in self.matches.matched:
                    self._match_one(site_id, of_key, site_ids)

    def match_renamed(self) -> None:
        """Leave the rest that is known where it was, unless somebody took its place: it was renamed."""
        decided = self.matches.matched.keys() | self.matches.doubts.keys()
        for site_id, centre_id in self._known.items():
            if site_id not in decided and centre_id not in self._taken:
                self._match(site_id, centre_id)

    def _by_key(self) -> dict[NaturalKey, list[int]]:
        groups: dict[NaturalKey, list[int]] = {}
        for site_id, key in self.keys.items():
            groups.setdefault(key, []).append(site_id)
        return groups

    def _prefer_own(self, found: list[int]) -> list[int]:
        """Of several rows with one key the site goes on to mean the one that it has meant by this key before."""
        if len(found) < 2:
            return found
        return [centre_id for centre_id in found if centre_id in self._owners] or found

    def _match_one(self, site_id: int, found: list[int], of_key: list[int]) -> None:
        """Match a row to the one in ``found``; ``of_key`` are the ids of all rows of the site with its key."""
        some = of_key[: _MOST_NAMED + 2]  # of very many, enough to name a few
        twins = [each for each in some if each != site_id]
        doubt = self._find_doubt(found, twins)
        if doubt:
            self.matches.doubts[site_id] = Reason.AMBIGUOUS, doubt
        elif found:
            self._match(site_id, found[0])

    def _find_doubt(self, found: list[int], twins: list[int]) -> str:
        """Words for why a row can't be matched, nor created; none when it can."""
        columns = _listed(self._table.natural_key)
        if twins:
            return f"the site's {_rows(twins)} the same {columns}: make them differ, or remove one"
        if len(found) > 1:
            return f"the centre's {_rows(found)} this {columns}: make them differ there"
        owner = self._owners.get(found[0]) if found else None
        if owner is None or owner in self.keys or owner in self._absent or self._accept_renames:
            return ""
        return (
            f"the site's row {owner}, which wasn't sent, had the same {columns} before: if it is gone, "
            "push once with --accept-renames"
        )

    def _match(self, site_id: int, centre_id: int) -> None:
        self.matches.matched[site_id] = centre_id
        self._taken.add(centre_id)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _rows(ids: list[int]) -> str:
    """``row 3 has``, ``rows 3 and 5 have``, ``rows 3, 5, 7 … have``."""
    if len(ids) == 1:
        return f"row {ids[0]} has"
    return f"rows {_listed(list(map(str, ids[:_MOST_NAMED])))}{' …' if len(ids) > _MOST_NAMED else ''} have"
