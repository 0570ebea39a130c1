"""What the commands at a site have in common: its configuration, which targets, and the pusher's own file."""

import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from .configuration import tell_warnings

if TYPE_CHECKING:
    from ..core.status import Snapshot
    from ..errors import SameskyError
    from ..push.push_settings import PushSettings, TargetSettings
    from ..push.site_cache import SiteCache

USUAL_PLACES = ("samesky.toml", "synchronise.conf")

site_config_option = click.option(
    "-c",
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="SAMESKY_CONFIG",
    help="A samesky.toml with [push], or the seed's synchronise.conf (default: the first there is of "
    f"{' and '.join(USUAL_PLACES)}).",
)
target_option = click.option("--target", metavar="NAME", help="One target (default: all that are enabled).")


class Site(NamedTuple):
    """A site's configuration, and where it is."""

    path: Path
    settings: "PushSettings"

    def targets(self, chosen: str | None) -> "tuple[TargetSettings, ...]":
        """The target chosen, or all that are enabled; raises `ConfigError` when there is none."""
        return self.settings.choose(chosen)

    @property
    def cache_path(self) -> Path:
        """Where the pusher's own file is."""
        from ..push.cache_file import FILE_NAME

        return self.settings.state_dir / FILE_NAME

    def open_cache(self) -> "SiteCache":
        """The pusher's own file, made if it isn't there; a context manager."""
        from ..push.site_cache import SiteCache

        return SiteCache(self.cache_path)

    def command(self, name: str, target: str | None = None) -> str:
        """What to type for the command ``name`` about this site."""
        chosen = "" if target is None else f" --target {shlex.quote(target)}"
        return f"samesky push {name} --config {shlex.quote(str(self.path))}{chosen}"


def posting_pushes(
    name: str,
    site: Site,
    targets: "Sequence[TargetSettings]",
    cache: "SiteCache",
    *,
    status_dir: Path | None = None,
    stays: bool = False,
) -> AbstractContextManager[None]:
    """Have the commands and the page beside this process know how the pushes to ``targets`` are going."""
    import time

    from ..push.target_snapshot import snapshot_target
    from ..web.posting import posting

    names = {each.name for each in targets}

    def own() -> "list[Snapshot]":
        statuses = [each for each in cache.read_statuses() if each.target in names]
        return [
            snapshot_target(each, time.time(), command=lambda name: site.command(name, each.target))  # noqa: B023
            for each in statuses
        ]

    return posting(f"push {name} {site.path.absolute()}", own, status_dir=status_dir, stays=stays)


def describe_failure(error: "SameskyError") -> dict[str, object]:
    """What --json says of a target where something failed."""
    return {"error": str(error), "code": error.code, "hint": error.hint}


def tell_failure(target: str, error: "SameskyError") -> None:
    """Say on standard error what failed with one target, and what to do."""
    click.echo(f"{target}: {error}", err=True)
    if error.hint:
        click.echo(f"  what to do: {error.hint}", err=True)


def read_site(given: Path | None) -> Site:
    """The configuration of a site; warnings are told on standard error. Raises `ConfigError` with every mistake."""
    from ..errors import ConfigError
    from ..push.push_settings import read_push_settings

    path = given or next((Path(place) for place in USUAL_PLACES if Path(place).is_file()), None)
    if path is None:
        raise ConfigError(f"there is no {' and no '.join(USUAL_PLACES)} here", hint="Name one with --config.")
    settings, findings = read_push_settings(path)
    tell_warnings(findings, str(path))
    return Site(path, settings)
