"""What a push would do: asked of the centre without beginning a run, so that nobody else's is disturbed."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..core.counts import count_of
from .catalogue_plan import CataloguePlan
from .centre_client import CentreClient
from .databases import Database
from .push_settings import PushSettings, TargetSettings
from .pusher import find_active_since
from .site_database import SiteDatabase


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What would be done at one centre."""

    url: str
    catalogue: CataloguePlan
    rows: Mapping[str, int]
    """How many rows of each append-only table the centre hasn't, by its position."""

    def describe(self) -> list[str]:
        """Lines for a person."""
        rows = [
            f"{table}: {count_of(count, 'row')} to send" if count else f"{table}: nothing to send"
            for table, count in self.rows.items()
        ]
        return [*self.catalogue.describe(), *rows]

    def as_dict(self) -> dict[str, object]:
        """The plan as JSON has it."""
        return {"url": self.url, "catalogue": self.catalogue.as_dict(), "rows": dict(self.rows)}


def read_plan(settings: PushSettings, target: TargetSettings) -> PushPlan:
    """Ask the centre what it would do with this site's rows. Raises what `open_pushing` and `CentreClient` raise."""
    model = settings.model
    with (
        Database(settings.database, password=settings.database_password, read_only=True) as database,
        CentreClient(target, model) as client,
    ):
        positions = client.read_positions()
        since_s = find_active_since(positions.values(), settings.lag_window_s)
        with SiteDatabase(database, model).snapshot() as snapshot:
            tables = snapshot.read_active(since_s)
            rows = {table.name: snapshot.count_from(table, positions[table.name]) for table in model.append_only()}
        catalogue = client.send_catalogue(tables, None, dry_run=True, accept_renames=target.accept_renames)
        return PushPlan(target.url, catalogue, rows)
