"""`samesky push plan`: what a push would do, without doing it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import SameskyError
from .configuration import json_option
from .mesh_options import needing
from .push_run import accept_renames_option
from .push_site_options import Site, describe_failure, read_site, site_config_option, target_option, tell_failure

if TYPE_CHECKING:
    from ..push.planning import PushPlan
    from ..push.push_settings import TargetSettings


@click.command(
    "plan",
    short_help="Show what a push would do.",
    epilog="Example: samesky push plan --config samesky.toml",
)
@site_config_option
@target_option
@accept_renames_option
@json_option
def command(config: Path | None, target: str | None, accept_renames: bool, as_json: bool) -> int:
    """Show what would be created, changed and refused at each centre, and how many rows would be sent.

    Nothing is changed, neither here nor there; and a push that is under way isn't disturbed.

    Ends with 0, with 1 when rows would be refused, or as `samesky push run` when the plan can't be made.
    """
    site = read_site(config)
    with needing("sqlalchemy", "push"), needing("httpx2", "push"):
        from ..push.planning import PushPlan
    plans = {
        each.name: _plan(site, replace(each, accept_renames=each.accept_renames or accept_renames))
        for each in site.targets(target)
    }
    if as_json:
        click.echo(
            json.dumps({"targets": [{"target": name} | _as_dict(plan) for name, plan in plans.items()]}, indent=2)
        )
    else:
        _show(plans)
    refused = any(isinstance(plan, PushPlan) and not plan.catalogue.taken_wholly for plan in plans.values())
    errors = [plan.exit_status for plan in plans.values() if isinstance(plan, SameskyError)]
    return max(errors, default=int(refused))


def _plan(site: Site, target: "TargetSettings") -> "PushPlan | SameskyError":
    from ..push.planning import read_plan

    try:
        return read_plan(site.settings, target)
    except SameskyError as error:
        return error


def _as_dict(plan: "PushPlan | SameskyError") -> dict[str, object]:
    if isinstance(plan, SameskyError):
        return describe_failure(plan)
    return plan.as_dict()


def _show(plans: "Mapping[str, PushPlan | SameskyError]") -> None:
    for name, plan in plans.items():
        if isinstance(plan, SameskyError):
            tell_failure(name, plan)
            continue
        click.echo(f"{name} ({plan.url})")
        for line in plan.describe():
            click.echo(f"  {line}")
