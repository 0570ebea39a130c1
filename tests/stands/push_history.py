"""Seeded histories of two sites and their centre: what people and networks do, and the rules that hold all the same.

The pusher, the comparison, the mapping and all that travels are the project's own; databases are dicts, and requests
are calls that may be lost on their way, there or back.
"""

import random
from collections.abc import Mapping
from typing import Any

from samesky.core.strict import Reason
from samesky.push.building import BUILDING
from samesky.push.digests import DAY_S
from samesky.push.model import TableModel
from samesky.push.steps import (
    RunReport,
)

from .push_history_ends import GROWING, HistoryCentre
from .push_history_pusher import CALM, START, Site, Trouble
from .push_history_rules import Merged, NotEqual, NotQuiet

SITES = ("north", "south")
RUNS = 6
MOST_SETTLING = 5


class History:
    """Two sites and a centre, from ``seed``."""

    def __init__(self, seed: int, centre: HistoryCentre | None = None) -> None:
        self.rng = random.Random(seed)
        self.centre = centre or HistoryCentre()
        self.sites = [Site(name, self.centre, random.Random(f"{seed} {name}")) for name in SITES]
        self.now = float(START)
        self._backups = [self.centre.back_up()]

    def live(self) -> None:
        """A few days of trouble, then a calm one; raises what rule was broken."""
        for site in self.sites:
            site.life.begin(self.now)
        for _ in range(RUNS):
            self._advance(self.rng.choice([60, 3600, DAY_S]))
            for site in self.sites:
                for _ in range(self.rng.randint(0, 6)):
                    site.life.change(self.now)
                if self.rng.random() < 0.8:
                    site.run(
                        Trouble(self.rng),
                        busy=self.rng.choice([0, 0.1]),
                        accept_renames=self.rng.random() < 0.1,
                        compares=self.rng.random() < 0.6,
                    )
                site.check_never_invented()
                self.check_not_merged()
            self._keep_or_lose()
        self._settle()

    def _advance(self, seconds: float) -> None:
        self.now = max([self.now + seconds, *(site.now for site in self.sites)])
        for site in self.sites:
            site.now = self.now

    def _keep_or_lose(self) -> None:
        match self.rng.randrange(8):
            case 0 | 1:
                self._backups.append(self.centre.back_up())
            case 2:
                self.centre.restore(self.rng.choice(self._backups))

    def _settle(self) -> None:
        """People mend what they were told of, and then everything is the same and stays so."""
        self._advance(2 * DAY_S)
        for site in self.sites:
            site.life.mend(self.now)
        for _ in range(MOST_SETTLING):
            for site in self.sites:
                site.run(CALM, accept_renames=True)
            self._advance(2 * DAY_S)  # what was refused is tried again after a day
            reports = [site.run(CALM) for site in self.sites]
            if all(report is not None and _is_quiet(report) for report in reports):
                break
        else:
            raise NotQuiet([report and report.describe() for report in reports])
        for site in self.sites:
            self._check_equal(site)
            site.check_never_invented()
        self.check_not_merged()

    def _check_equal(self, site: Site) -> None:
        for table in GROWING:
            site.check_held(table, list(site.database.growing[table.name].values()), NotEqual)
        active = site.database.read_active(int(site.now))
        for table in BUILDING.dimensions():
            for row in active[table.name].records():
                self._check_row(site, table, row)

    def _check_row(self, site: Site, table: TableModel, row: Mapping[str, Any]) -> None:
        """The centre has a row as the site has it, or as another site wants it."""
        centre_id = self.centre.map_of(site.name, table.name).get(row["id"], -1)
        there = self.centre.rows_of(site.name, table).get(centre_id)
        wanted = dict(row)
        for column, parent in table.references.items():
            if row[column] is not None:
                wanted[column] = self.centre.map_of(site.name, parent).get(row[column])
        if there is None or (wanted | {"id": centre_id} != there and not self._is_shared(site, table, centre_id)):
            raise NotEqual(f"{site.name}: {table.name} {row} is {there} at the centre")

    def _is_shared(self, site: Site, table: TableModel, centre_id: int) -> bool:
        return not table.of_site and any(
            centre_id in self.centre.map_of(other.name, table.name).values()
            for other in self.sites
            if other is not site
        )

    def check_not_merged(self) -> None:
        """No two rows of a site are one at the centre, and it has no natural key twice."""
        for (name, table), ids in self.centre.stock.maps.items():
            if len(set(ids.values())) != len(ids):
                raise Merged(f"{name}: {table}: {ids}")
        for table, rows in self.centre.stock.shared.items():
            model = BUILDING.table(table)
            keys = [tuple(row[name] for name in model.natural_key) for row in rows.values()]
            if len(set(keys)) != len(keys):
                raise Merged(f"{table}: {rows}")


def _is_quiet(report: RunReport) -> bool:
    """Whether the run found nothing to do, and proved everything in one question a table."""
    catalogue = report.catalogue.tables if report.catalogue else ()
    refused = report.catalogue.refused if report.catalogue else ()
    return (
        not any(table.created or table.changed or table.adopted for table in catalogue)
        and all(refusal.reason is Reason.SHARED for refusal in refused)
        and all(
            not (table.accepted or table.changed or table.quarantined or table.skipped or table.trouble)
            and table.proof is not None
            and table.proof.same
            and table.proof.questions <= 1
            for table in report.tables.values()
        )
    )


def live_a_life(seed: int, centre: HistoryCentre | None = None) -> None:
    """The history of ``seed``, with an empty ``centre`` or one in memory; raises when a rule is broken."""
    History(seed, centre).live()
