"""The brains of two sites and their centre live through hundreds of histories of trouble, and agree in the end.

Databases are dicts here and requests are calls, so that a history takes some ninety milliseconds. ``SAMESKY_HISTORIES``
sets how many, ``SAMESKY_HISTORY_SEED`` where to begin; a failure names its seed::

    SAMESKY_HISTORIES=20000 pytest -n 2 tests/simulation/test_push.py

Mistakes that are planted in the brains are found, by the rule that each breaks.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from samesky.core.columns import Table
from samesky.push import comparison, digests, mapping, matching, pusher, settling
from samesky.push.explanations import Explaining, Tally
from samesky.push.mapping import TablePlan
from samesky.push.model import TableModel
from samesky.push.settling import Settling
from stands.push_centre import DIALECTS, make_empty
from stands.push_history import SITES, live_a_life
from stands.push_history_database import open_centre
from stands.push_history_ends import HistoryCentre
from stands.push_history_rules import FalseProof, Meddled, Merged, NotEqual, NotQuiet, PassedOver

HISTORIES = int(os.environ.get("SAMESKY_HISTORIES", "40"))
FIRST_SEED = int(os.environ.get("SAMESKY_HISTORY_SEED", "0"))
HALVES = 2
"""One for each of the processes in which `scripts/test` runs tests."""
WITHIN_HISTORIES = 200

Plant = Callable[[pytest.MonkeyPatch], None]


def live(seed: int, centre: HistoryCentre | None = None) -> None:
    try:
        live_a_life(seed, centre)
    except Exception as error:
        error.add_note(f"in the history of seed {seed}")
        raise


@pytest.mark.slow
@pytest.mark.parametrize("half", range(HALVES))
def test_the_centre_has_what_its_sites_have_and_all_are_quiet_after_any_history(half: int) -> None:
    for seed in range(FIRST_SEED + half, FIRST_SEED + HISTORIES, HALVES):
        live(seed)


def test_a_few_histories_end_well() -> None:
    """What there is time for in a quick run."""
    for seed in range(5):
        live(seed)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("seed", range(2))
def test_histories_end_well_with_a_real_database_at_the_centre(
    seed: int, dialect: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with open_centre(make_empty(request, dialect, tmp_path), SITES) as centre:
        live(FIRST_SEED + seed, centre)


# ---------------------------------------------------------------------- planted mistakes


def maps_equal_ids(patch: pytest.MonkeyPatch) -> None:
    """As the original did: {1: Bedroom, 2: Kitchen} was mapped to itself, whatever had these ids at the centre."""

    def match_by_key(each: Any) -> None:
        for site_id in each.keys.keys() & each._centre_keys.keys() - each._taken - each.matches.matched.keys():
            each._match(site_id, site_id)

    patch.setattr(matching._Matching, "match_by_key", match_by_key)


def takes_every_change_of_a_name_for_a_renaming(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(matching._Matching, "match_by_key", lambda each: None)


def takes_two_rows_with_one_name_for_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(matching._Matching, "_find_doubt", lambda each, found, twins: "")


def changes_rows_that_others_use(patch: pytest.MonkeyPatch) -> None:
    real = mapping._Draft.__init__
    patch.setattr(
        mapping._Draft, "__init__", lambda draft, table, known, used_by_others: real(draft, table, known, frozenset())
    )


def keeps_old_mappings(patch: pytest.MonkeyPatch) -> None:
    real = mapping._Draft.finish

    def finish(draft: Any, matches: Any) -> TablePlan:
        made = real(draft, matches)
        anew = {each.site_id for each in (*made.creates, *made.adopts)}
        return mapping.TablePlan(
            made.table,
            tuple(each for each in made.forgets if each in anew),
            made.changes,
            made.creates,
            made.adopts,
            made.same,
            made.refused,
        )

    patch.setattr(mapping._Draft, "finish", finish)


def passes_ids_that_are_not_mapped(patch: pytest.MonkeyPatch) -> None:
    def to_centre(centre: HistoryCentre, site: str, table: TableModel, row: Mapping[str, Any]) -> tuple[Any, ...]:
        maps = {column: centre.map_of(site, parent) for column, parent in table.references.items()}
        return tuple(maps.get(name, {}).get(value, value) for name, value in row.items())

    patch.setattr(HistoryCentre, "_to_centre", to_centre)


def goes_on_after_the_second_in_which_a_page_ended(patch: pytest.MonkeyPatch) -> None:
    """As the original did, with ``time > last`` after a LIMIT."""
    real = pusher.last_key

    def last_key(table: TableModel, rows: Table) -> Any:
        key = real(table, rows)
        return key and key[:1]

    patch.setattr(pusher, "last_key", last_key)


def never_looks_for_late_rows(patch: pytest.MonkeyPatch) -> None:
    real = comparison.window_of
    patch.setattr("stands.push_history_pusher.window_of", lambda earliest_s, position: real(earliest_s, None))


def compares_keys_alone(patch: pytest.MonkeyPatch) -> None:
    real = digests._pack_columns

    def pack(table: TableModel, values: Any) -> Any:
        return [
            packed for packed, name in zip(_by_column(table, values), table.names, strict=True) if name in table.key
        ]

    def _by_column(table: TableModel, values: Any) -> list[bytes]:
        return [
            b"".join(real(TableModel(name=table.name, columns=(column,)), [each]))
            for column, each in zip(table.columns, values, strict=True)
        ]

    patch.setattr(digests, "_pack_columns", pack)


def compares_counts_alone(patch: pytest.MonkeyPatch) -> None:
    real = digests._digest_columns
    patch.setattr(
        digests, "_digest_columns", lambda *given: digests.GroupDigest(real(*given).count, digests.NO_ROWS.digest)
    )


def believes_an_explanation_for_ever(patch: pytest.MonkeyPatch) -> None:
    def explain(each: Explaining, by: Any, key: Any, here: Any, there: Any) -> Tally | None:
        known = each._explained.read(by, key)
        return known.tally if known else real(each, by, key, here, there)

    real = Explaining.explain
    patch.setattr(Explaining, "explain", explain)


def sends_nothing_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Settling, "settle", lambda each, groups, again=False: None)


def takes_what_was_refused_for_sent(patch: pytest.MonkeyPatch) -> None:
    real = settling.Resent
    patch.setattr("stands.push_history_pusher.Resent", lambda rows, written, refused: real(rows, written, {}))


def find(first: int) -> AssertionError:
    """How the first of these histories fails that does."""
    for seed in range(first, first + WITHIN_HISTORIES):
        try:
            live_a_life(seed)
        except AssertionError as failure:
            return failure
    raise LookupError("no history fails")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "kinds"),
    [
        (maps_equal_ids, (Merged, NotEqual, FalseProof)),
        (takes_every_change_of_a_name_for_a_renaming, (Merged,)),
        (takes_two_rows_with_one_name_for_one, (Merged,)),
        (changes_rows_that_others_use, (Meddled,)),
        (keeps_old_mappings, (Merged,)),
        (passes_ids_that_are_not_mapped, (PassedOver, FalseProof)),
        (goes_on_after_the_second_in_which_a_page_ended, (PassedOver,)),
        (never_looks_for_late_rows, (NotEqual,)),
        (compares_keys_alone, (FalseProof,)),
        (compares_counts_alone, (FalseProof,)),
        (believes_an_explanation_for_ever, (FalseProof, NotEqual, NotQuiet)),
        (sends_nothing_again, (NotQuiet,)),
        (takes_what_was_refused_for_sent, (FalseProof,)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_mistake_is_found(plant: Plant, kinds: tuple[type[AssertionError], ...]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        failure = find(0)
    assert isinstance(failure, kinds), repr(failure)
