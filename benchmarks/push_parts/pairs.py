"""A site and its centre, for one measurement: each command is a process of its own, as its user runs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stands.push_meaning import read_meaning
from tests.stands.push_runs import SiteCommands
from tests.stands.push_serving import ServedCentre

from ..claims import Claim

NAME = "bench"
NO_COMPARISON = "compare = false"


@contextmanager
def served(folder: Path, database_url: str) -> Iterator[tuple[ServedCentre, str]]:
    """A centre that runs, and the key of the site NAME."""
    with ServedCentre(folder, database_url) as centre:
        yield centre, centre.add_site(NAME)


def make_site(folder: Path, database_url: str, *, url: str, key: str, options: str = "") -> SiteCommands:
    """The site, which pushes to ``url``."""
    return SiteCommands(folder, database_url, centre_url=url, key=key, options=options)


def differences(what: str, site_url: str, centre: ServedCentre) -> Claim:
    """The claim that every reading means the same at both ends: both databases are read whole, with plain joins."""
    ours, theirs = read_meaning(site_url), read_meaning(centre.database_url, site=NAME)
    differing = 0 if ours == theirs else max(1, abs(ours.count - theirs.count))
    return Claim(f"{what}: readings that differ, every one read at both ends", differing, "readings", at_most=0)
