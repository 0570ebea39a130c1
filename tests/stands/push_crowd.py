"""Many sites that push to one centre at the same time, in a few processes."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from samesky.errors import SameskyError, Unreachable
from samesky.push.cache_file import FILE_NAME
from samesky.push.push_settings import PushSettings, TargetSettings, read_push_settings
from samesky.push.pushing import open_pushing
from samesky.push.site_cache import SiteCache
from samesky.push.steps import RunReport

from .children import die_with_parent
from .push_runs import SiteCommands
from .push_serving import ServedCentre, make_environment

PROCESSES = 4
_TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class CrowdSite:
    """One of the sites."""

    name: str
    path: Path
    """Its database."""
    rows: int
    config: Path


class Crowd:
    """``count`` sites below ``folder``, whose databases ``write`` makes: (path, name of the site) -> readings in it.

    As a context manager all of them push, once, at the same time; `wait` returns when all have ended well.
    """

    def __init__(self, folder: Path, centre: ServedCentre, *, write: Callable[[Path, str], int], count: int) -> None:
        self._folder = folder
        keys = centre.add_sites([f"site-{number:03}" for number in range(count)])
        self.sites = [self._make_site(centre, name, key, write) for name, key in keys.items()]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for number in range(PROCESSES):
            configs = [str(site.config) for site in self.sites[number::PROCESSES]]
            with self._log(number).open("wb") as log:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "stands.push_crowd", *configs],
                        env=make_environment(_TESTS),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        preexec_fn=die_with_parent(),
                    )
                )
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def wait(self, deadline_s: float) -> None:
        """Wait until all have pushed; fails with what they said when one hasn't."""
        for process in self._processes:
            assert process.wait(deadline_s) == 0, self.text

    @property
    def text(self) -> str:
        """What they have said so far."""
        return "".join(self._log(number).read_text() for number in range(len(self._processes)))

    def _make_site(self, centre: ServedCentre, name: str, key: str, write: Callable[[Path, str], int]) -> CrowdSite:
        folder = self._folder / name
        folder.mkdir(parents=True)
        path = folder / "site.db"
        rows = write(path, name)
        config = SiteCommands(folder, f"sqlite:///{path}", centre_url=centre.url, key=key).config
        return CrowdSite(name, path, rows, config)

    def _log(self, number: int) -> Path:
        return self._folder / f"crowd-{number}.log"


def _push(config: str, failures: list[str]) -> None:
    settings, _ = read_push_settings(Path(config))
    (target,) = settings.enabled
    try:
        with SiteCache(settings.state_dir / FILE_NAME) as cache:
            report = _run(settings, target, cache)
        print(json.dumps({"config": config, "report": repr(report)}), flush=True)
    except SameskyError as error:
        failures.append(f"{config}: {error}")


def _run(settings: PushSettings, target: TargetSettings, cache: SiteCache) -> RunReport:
    """Push, and again as a daemon does: on a busy machine a centre is away for longer than a run tries to reach it."""
    while True:
        try:
            with open_pushing(settings, target, cache) as pushing:
                return pushing.run()
        except Unreachable as error:
            print(json.dumps({"target": target.url, "error": str(error)}), flush=True)


def main(configs: list[str]) -> Any:
    """Push the sites of ``configs``, each in a thread; returns what went wrong."""
    failures: list[str] = []
    threads = [threading.Thread(target=_push, args=(config, failures), name=config) for config in configs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return "\n".join(failures) or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
