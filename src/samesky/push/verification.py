"""Is the centre what this site is? Asked from the site, while pushes go on: no run is begun, and nothing is sent."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import random
from time import sleep
from typing import TypeVar

from ..core.backoff import Backoff
from ..errors import SameskyError
from .centre_client import CentreClient
from .comparing import Comparing
from .databases import Database
from .digest_question import DigestQuestion
from .digests import GroupDigest, Key
from .model import TableModel
from .patience import Patience
from .proof import Proof
from .push_settings import PushSettings, TargetSettings
from .site_cache import SiteCache
from .site_database import SiteDatabase

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
MOST_TRIES = 3
"""A person is waiting; while the centre says that it's at work, it's asked more often."""
Say = Callable[[str], None]
Answer = TypeVar("Answer")


def verify(
    settings: PushSettings,
    target: TargetSettings,
    cache: SiteCache,
    *,
    deep: bool = False,
    say: Say = lambda _: None,
) -> list[Proof]:
    """Compare every append-only table with the centre's, up to what was pushed; one proof for each, in their order.

    ``deep``: every row is read anew at both ends. What is found out is kept in ``cache``. Raises `Unreachable` when the
    centre or the database can't be reached, `ConfigError` and `DataError` for what else is wrong with them.
    """
    tables = list(settings.model.append_only())
    with (
        Database(settings.database, password=settings.database_password, read_only=True) as database,
        CentreClient(target, settings.model) as client,
    ):
        centre = _PatientCentre(client, say)
        site = SiteDatabase(database, settings.model)
        comparing = Comparing(site, cache, target.name, ask=centre, say=say)
        positions = centre.read_positions()
        proofs = [comparing.compare(table, positions.get(table.name), deep=deep) for table in tables]
    _write_down(cache, target.name, proofs)
    return proofs


class _PatientCentre:
    """Asks a centre again and again, while it can't answer for a reason that may pass."""

    def __init__(self, client: CentreClient, say: Say) -> None:
        self._client = client
        self._say = say

    def read_positions(self) -> Mapping[str, tuple[object, ...] | None]:
        """Up to where the centre has each table."""
        return self._ask(self._client.read_positions)

    def read_digests(self, table: TableModel, question: DigestQuestion) -> Mapping[Key, GroupDigest]:
        """The centre's digests: a `comparing.CentreDigests`."""
        return self._ask(lambda: self._client.read_digests(table, question))

    def _ask(self, question: Callable[[], Answer]) -> Answer:
        patience = Patience(Backoff(FIRST_WAIT_S, LONGEST_WAIT_S, random=random), most_tries=MOST_TRIES)
        while True:
            try:
                return question()
            except SameskyError as error:
                wait_s = patience.plan_wait_s(error)
                if wait_s is None:
                    raise
                self._say(f"waiting {wait_s:.0f} s: {error}")
            sleep(wait_s)


def _write_down(cache: SiteCache, target: str, proofs: list[Proof]) -> None:
    """Have `samesky push status` tell what was found, if there has been a run."""
    status = cache.read_status(target)
    if status is not None:
        found = {proof.table: proof for proof in proofs}
        tables = tuple(replace(each, proof=found.get(each.table, each.proof)) for each in status.tables)
        cache.write_status(replace(status, tables=tables))
