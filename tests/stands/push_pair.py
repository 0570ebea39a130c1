"""A site in SQLite that pushes to a served centre, all within the test's process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

from samesky.push.cache_file import FILE_NAME
from samesky.push.push_settings import PushSettings, TargetSettings
from samesky.push.pushing import Progress, Pushing, open_pushing
from samesky.push.site_cache import SiteCache
from samesky.push.steps import RunReport, TableReport
from stands.push_server import PushServer
from stands.push_site import PushSite, make_site

_NUMBERS = count(1)


class PushPair:
    """The site ``site``, which the centre of ``server`` knows as ``name``."""

    def __init__(self, site: PushSite, server: PushServer, folder: Path, *, database: str, **options: Any) -> None:
        self.site = site
        self.server = server
        self.folder = folder
        self.name = f"pair-{next(_NUMBERS)}"
        self.site_id = server.central.sites.add(self.name).id
        self.key = server.make_key(self.name)
        target = TargetSettings(name="centre", url=server.url, key=self.key)
        self.settings = PushSettings(database=database, targets=(target,), state_dir=folder, **options)

    @property
    def target(self) -> TargetSettings:
        """The centre, as the site's configuration has it."""
        return self.settings.targets[0]

    def adjust(self, **options: Any) -> None:
        """Change options of the target."""
        self.settings = replace(self.settings, targets=(replace(self.target, **options),))

    def write_config(self) -> Path:
        """The site's samesky.toml."""
        path = self.folder / "samesky.toml"
        path.write_text(
            f"[push]\ndatabase = '{self.settings.database}'\nlag_window_s = {self.settings.lag_window_s}\n"
            f"[push.targets.centre]\nurl = '{self.server.url}'\nkey = '{self.key}'\n"
        )
        path.chmod(0o600)
        return path

    @contextmanager
    def cache(self) -> Iterator[SiteCache]:
        """The pusher's own file."""
        with SiteCache(self.folder / FILE_NAME) as cache:
            yield cache

    @contextmanager
    def open(
        self, *, stop: Event | None = None, on_progress: Callable[[Progress], None] = lambda _: None
    ) -> Iterator[Pushing]:
        """What pushes."""
        with (
            self.cache() as cache,
            open_pushing(self.settings, self.target, cache, stop=stop, on_progress=on_progress) as pushing,
        ):
            yield pushing

    def run(self, *, stop: Event | None = None, on_progress: Callable[[Progress], None] = lambda _: None) -> RunReport:
        """Push once."""
        with self.open(stop=stop, on_progress=on_progress) as pushing:
            return pushing.run()

    def readings(self) -> TableReport:
        """Push once; what became of Reading."""
        return self.run().tables["Reading"]

    def count_at_centre(self, table: str = "Reading") -> int:
        """How many rows of the site the centre has."""
        with self.server.central.database.reading() as connection:
            found = connection.exec_driver_sql(f'SELECT count(*) FROM "{table}" WHERE "siteId" = {int(self.site_id)}')
            return int(found.scalar_one())


@contextmanager
def make_pair(server: PushServer, folder: Path, **options: Any) -> Iterator[PushPair]:
    """A site with the dimensions of `push_site` and no readings; ``options`` are of its `PushSettings`."""
    folder.mkdir(parents=True, exist_ok=True)
    database = f"sqlite:///{folder / 'site.db'}"
    with make_site(database) as site:
        yield PushPair(site, server, folder, database=database, **options)
