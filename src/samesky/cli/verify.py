"""`samesky verify`: is a copy its primary?"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .configuration import config_option, json_option, read_copy, stream_option, telling, why_stopped, with_config

if TYPE_CHECKING:
    from ..errors import SameskyError
    from ..station.verdict import Verdict


@click.command(
    "verify",
    short_help="Say whether a copy is its primary, and where it isn't.",
    epilog="Example: samesky verify --deep --config /etc/weewx/weewx.conf",
)
@config_option
@stream_option
@click.option("--deep", is_flag=True, help="Believe no sums: compare every record, and look for damage in the file.")
@click.option("--sample", metavar="PERCENT", help="Compare so much record by record, chosen at random, such as 5%.")
@json_option
def command(config: Path | None, stream: str | None, deep: bool, sample: str | None, as_json: bool) -> int:
    """Ask the primary whether this copy is the same, at the copy, while both go on. Changes nothing.

    Ends with 0 when all is the same, 1 when something differs, 2 when the configuration is wrong or a right is missing
    at the broker, 3 when the primary can't be reached, 4 when a database is damaged.
    """
    from ..errors import DifferenceFound, SameskyError
    from ..station.verification import verify

    share = _read_share(deep, sample)
    copy = read_copy(config)
    found: list[dict[str, object]] = []
    status = 0
    for name in copy.streams(stream):
        try:
            with telling() as say:
                verdict = verify(copy.follow, name, state_dir=copy.state_dir, share=share, say=say)
        except SameskyError as error:
            status = max(status, error.exit_status)
            found.append({"stream": name, "error": str(error), "hint": with_config(error.hint, copy.path)})
            if not as_json:
                tell_error(name, error, copy.path)
            continue
        status = max(status, 0 if verdict.same else DifferenceFound.exit_status)
        found.append(asdict(verdict))
        if not as_json:
            click.echo("\n".join(lines_of(verdict, copy.path)))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    return status


def lines_of(verdict: "Verdict", config: Path) -> Iterator[str]:
    """The verdict for people, and what to type when something is wrong."""
    from ..station.verdict import moment

    yield f"{verdict.stream}: {verdict.describe()}"
    kinds = [(verdict.missing, "missing here"), (verdict.different, "different"), (verdict.extra, "only here")]
    for found, what in kinds:
        if found.examples:
            more = ", …" if found.count > len(found.examples) else ""
            yield f"  {what}: {', '.join(map(moment, found.examples))}{more}"
    if verdict.days.examples:
        more = ", …" if verdict.days.count > len(verdict.days.examples) else ""
        yield f"  summaries: {', '.join(moment(day, '%Y-%m-%d') for day in verdict.days.examples)}{more}"
    for note in verdict.notes:
        yield f"  {note}"
    if verdict.held:
        yield f"  the copy is stopped: {why_stopped(verdict.stream, verdict.held, config)}"
    if verdict.obstacle and not verdict.held:
        yield f"  {why_stopped(verdict.stream, verdict.obstacle, config)}"
    elif not verdict.same and not verdict.held:
        command = f"samesky repair --config {shlex.quote(str(config))} --stream {verdict.stream}"
        # What was found row by row may be what the sums don't show.
        yield f"  to mend it: {command}{' --deep' if verdict.share else ''}"


def tell_error(stream: str, error: "SameskyError", config: Path) -> None:
    """Say on standard error what went wrong with one stream, and what to do."""
    text = str(error)
    click.echo(text if text.startswith(stream) else f"{stream}: {text}", err=True)
    if error.hint:
        click.echo(f"  what to do: {with_config(error.hint, config)}", err=True)


def _read_share(deep: bool, sample: str | None) -> float:
    if deep and sample:
        raise click.UsageError("--deep compares everything already: leave --sample out")
    if sample is None:
        return 1.0 if deep else 0.0
    try:
        percent = float(sample.strip().removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0.0 < percent < 100.0:
        raise click.UsageError(f"--sample {sample}: write a percentage above 0 and below 100, such as 5%")
    return percent / 100
