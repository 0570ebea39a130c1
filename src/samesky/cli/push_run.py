"""`samesky push run`: push what there is to every target, once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import SameskyError
from .configuration import json_option
from .mesh_options import needing
from .push_progress import showing_progress
from .push_site_options import (
    describe_failure,
    posting_pushes,
    read_site,
    site_config_option,
    target_option,
    tell_failure,
)

if TYPE_CHECKING:
    from ..push.push_settings import TargetSettings
    from ..push.steps import RunReport

accept_renames_option = click.option(
    "--accept-renames",
    is_flag=True,
    help="This is the same database, though most of a table's rows have other names than before.",
)


@click.command(
    "run",
    short_help="Push what there is, once.",
    epilog="Example: samesky push run --config samesky.toml",
)
@site_config_option
@target_option
@accept_renames_option
@json_option
def command(config: Path | None, target: str | None, accept_renames: bool, as_json: bool) -> int:
    """Push everything that the centres don't have yet, compare, and send again what differs.

    Nothing is written to the site's own database. May be stopped at any moment and run again. A target that fails
    doesn't stop the others; what the centre refuses is told by `samesky push status --quarantine`.

    Ends with 0 when everything is at the centre and the same, 1 when something differs or was refused, 2 when the
    configuration or the key is wrong, 3 when a centre or the database can't be reached, 4 when the centre refuses a
    whole table, 5 when another run of this site has begun.
    """
    site = read_site(config)
    outcomes: list[tuple[TargetSettings, RunReport | SameskyError]] = []
    with needing("sqlalchemy", "push"), needing("httpx2", "push"):
        from ..push.pushing import open_pushing
    targets = site.targets(target)
    with (
        site.open_cache() as cache,
        posting_pushes("run", site, targets, cache, stays=True),
        showing_progress() as tell,
    ):
        for each in targets:
            each = replace(each, accept_renames=each.accept_renames or accept_renames)
            try:
                with open_pushing(site.settings, each, cache, on_progress=tell) as pushing:
                    outcomes.append((each, pushing.run()))
            except SameskyError as error:
                outcomes.append((each, error))
    if as_json:
        told = [{"target": each.name, "url": each.url} | describe_outcome(outcome) for each, outcome in outcomes]
        click.echo(json.dumps({"targets": told}, indent=2))
    else:
        for each, outcome in outcomes:
            show_outcome(each, outcome)
    return max((outcome.exit_status for _, outcome in outcomes), default=0)


def describe_outcome(outcome: "RunReport | SameskyError") -> dict[str, object]:
    """What --json says of one target."""
    if isinstance(outcome, SameskyError):
        return {"status": outcome.exit_status, **describe_failure(outcome)}
    return outcome.as_dict()


def show_outcome(target: "TargetSettings", outcome: "RunReport | SameskyError") -> None:
    """Say on standard output how a run went; on standard error why it failed."""
    if isinstance(outcome, SameskyError):
        tell_failure(target.name, outcome)
        return
    click.echo(f"{target.name} ({target.url})")
    for line in outcome.describe():
        click.echo(f"  {line}")
