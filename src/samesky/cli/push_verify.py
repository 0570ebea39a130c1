"""`samesky push verify`: is a centre what this site is?"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.counts import count_of
from ..errors import DifferenceFound, SameskyError
from .configuration import json_option
from .mesh_options import needing
from .push_progress import Tell, showing_progress
from .push_site_options import Site, describe_failure, read_site, site_config_option, target_option, tell_failure

if TYPE_CHECKING:
    from ..push.proof import Proof
    from ..push.push_settings import TargetSettings
    from ..push.site_cache import SiteCache


@click.command(
    "verify",
    short_help="Say whether a centre is what this site is, and where it isn't.",
    epilog="Example: samesky push verify --config samesky.toml --deep",
)
@site_config_option
@target_option
@click.option("--deep", is_flag=True, help="Believe no sums: read every row at both ends.")
@click.option("--repair", is_flag=True, help="Send again what differs, and what was refused before.")
@json_option
def command(config: Path | None, target: str | None, deep: bool, repair: bool, as_json: bool) -> int:
    """Compare all readings of this site, up to the last one that was pushed, with those at the centre.

    Costs some hundred bytes where nothing differs. Rows that only the centre has are told and never deleted. Without
    --repair nothing is sent, and a push that is under way isn't disturbed; with it, a run of its own is begun.

    Ends with 0 when all is the same, 1 when something differs, 2 when the configuration or the key is wrong, 3 when
    a centre or the database can't be reached, 4 when one of them is damaged, 5 when another run has begun.
    """
    site = read_site(config)
    with needing("sqlalchemy", "push"), needing("httpx2", "push"):
        from ..push import verification as verification
    with site.open_cache() as cache, showing_progress() as tell:
        outcomes = {
            each.name: _verify(site, each, cache, tell, deep=deep, repair=repair) for each in site.targets(target)
        }
    if as_json:
        told = [{"target": name} | _as_dict(outcome) for name, outcome in outcomes.items()]
        click.echo(json.dumps({"targets": told}, indent=2))
    else:
        for name, outcome in outcomes.items():
            _show(site, name, outcome, repair=repair)
    return max(map(_exit_status, outcomes.values()), default=0)


def _verify(
    site: Site, target: "TargetSettings", cache: "SiteCache", tell: Tell, *, deep: bool, repair: bool
) -> "Sequence[Proof] | SameskyError":
    from ..push.pushing import Progress, open_pushing
    from ..push.verification import verify

    try:
        if not repair:
            say = lambda words: tell(Progress(target.name, words))  # noqa: E731
            return verify(site.settings, target, cache, deep=deep, say=say)
        with open_pushing(site.settings, target, cache, on_progress=tell) as pushing:
            report = pushing.repair(deep=deep, retry=True)
        return [table.proof for table in report.tables.values() if table.proof is not None]
    except SameskyError as error:
        return error


def _exit_status(outcome: "Sequence[Proof] | SameskyError") -> int:
    if isinstance(outcome, SameskyError):
        return outcome.exit_status
    return 0 if all(proof.same for proof in outcome) else DifferenceFound.exit_status


def _as_dict(outcome: "Sequence[Proof] | SameskyError") -> dict[str, object]:
    if isinstance(outcome, SameskyError):
        return describe_failure(outcome)
    return {"same": all(proof.same for proof in outcome), "tables": [proof.as_dict() for proof in outcome]}


def _show(site: Site, target: str, outcome: "Sequence[Proof] | SameskyError", *, repair: bool) -> None:
    if isinstance(outcome, SameskyError):
        tell_failure(target, outcome)
        return
    for proof in outcome:
        click.echo("\n".join(_lines(site, target, proof, repair=repair)))


def _lines(site: Site, target: str, proof: "Proof", *, repair: bool) -> Iterator[str]:
    """The proof for people, and what to type when something is wrong."""
    from ..push.proof import moment

    yield f"{target}: {proof.table}: {proof.describe()}"
    if proof.from_s is not None and proof.to_s is not None:
        asked = f"{count_of(proof.questions, 'question')}, {proof.seconds:.1f} s"
        yield f"  from {moment(proof.from_s)} to {moment(proof.to_s - 1)}; {asked}"
    if proof.refused:
        yield f"  to see what is refused: {site.command('status', target)} --quarantine"
    if proof.same:
        return
    if not repair:
        yield f"  to send it again: {site.command('verify', target)} --repair"
    elif proof.altered_groups:
        yield "  the centre doesn't keep these as they are sent: its log, or its database's types, may say why"
