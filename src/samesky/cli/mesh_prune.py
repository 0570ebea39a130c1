"""`samesky mesh prune`: remove directories of past hours."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from .configuration import json_option
from .mesh_options import SEED_SPELLING


@click.command(
    "prune",
    short_help="Remove directories of past hours.",
    context_settings=SEED_SPELLING,
    epilog="Example: samesky mesh prune --hours 13 /srv/data (every hour, by cron)",
)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--hours",
    type=click.IntRange(1, 1_000_000),
    required=True,
    metavar="N",
    help="How old they must be: their hour has ended so many hours ago.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@json_option
def command(folder: Path, hours: int, dry_run: bool, as_json: bool) -> int:
    """Remove the directories in DIR that are named by a UTC hour, such as 2026112117 or 20261121T17, and are old.

    Everything else in DIR stays: other names, links, files, and hours that never were. Peers of this tree know
    afterwards that these files were here, and don't fetch them again. Ends with 4 when one couldn't be removed.
    """
    from ..mesh.prune import Pruned, apply_prune, plan_prune, read_directories

    names = plan_prune(read_directories(folder), hours=hours, now=datetime.now(UTC))

    def say(name: str) -> None:
        if not as_json:
            click.echo(f"{'would remove' if dry_run else 'removed'} {folder / name}")

    if dry_run:
        done = Pruned(tuple(names))
        for name in names:
            say(name)
    else:
        done = apply_prune(folder, names, on_removed=say)
    if as_json:
        click.echo(json.dumps({"removed": done.removed, "failed": done.failed, "dry_run": dry_run}))
    for name, words in done.failed.items():
        click.echo(f"samesky: {folder / name} can't be removed: {words}", err=True)
    return 4 if done.failed else 0
