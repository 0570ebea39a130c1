"""The brains of a primary and its copy, paired on a small network, live through thousands of histories of trouble.

Databases are dicts here, so that a history takes five milliseconds; `test_station_pairs` has the same with the real
databases and everything around the brains. ``SAMESKY_HISTORIES`` sets how many, ``SAMESKY_HISTORY_SEED`` where to
begin; a failure names its seed. 100,000 take less than five minutes on two cores::

    SAMESKY_HISTORIES=100000 pytest -n 2 tests/simulation/test_brains.py
"""

import os

import pytest

from stands.brain_history import live_a_life

HISTORIES = int(os.environ.get("SAMESKY_HISTORIES", "6000"))
FIRST_SEED = int(os.environ.get("SAMESKY_HISTORY_SEED", "0"))
HALVES = 2
"""One for each of the processes in which `scripts/test` runs tests."""


@pytest.mark.slow
@pytest.mark.parametrize("half", range(HALVES))
def test_a_copy_is_equal_and_then_quiet_after_any_history_of_trouble(half: int) -> None:
    for seed in range(FIRST_SEED + half, FIRST_SEED + HISTORIES, HALVES):
        live_a_life(seed)


def test_a_few_histories_end_well() -> None:
    """What there is time for in a quick run."""
    for seed in range(200):
        live_a_life(seed)
