"""`samesky repair`: make a copy its primary, or bring back what that changed."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .configuration import CopyConfig, config_option, json_option, read_copy, stream_option, telling, with_config
from .verify import lines_of, tell_error

if TYPE_CHECKING:
    from ..station.decisions import Decisions
    from ..station.mending import Mended
    from ..station.repairing import Undone
    from ..station.verdict import Verdict

LAST = "the last one"


@click.command(
    "repair",
    short_help="Make a copy its primary, or undo that.",
    epilog="Example: samesky repair --stream home/wx_binding --dry-run",
)
@config_option
@stream_option
@click.option("--deep", is_flag=True, help="Believe no sums: compare every record.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option(
    "--undo",
    metavar="[SESSION]",
    is_flag=False,
    flag_value=LAST,
    help="Bring back what a repair (default: the last one) overwrote or deleted, and stop the copy.",
)
@click.option(
    "--accept-deletions",
    metavar="COUNT",
    type=click.IntRange(min=0),
    default=0,
    help="Delete so many records that only the copy has; usually no more than 100, or 1 %.",
)
@click.option("--accept-origin", metavar="ORIGIN", default="", help="The primary's new database, ORIGIN, is right.")
@json_option
def command(
    config: Path | None,
    stream: str | None,
    deep: bool,
    dry_run: bool,
    undo: str | None,
    accept_deletions: int,
    accept_origin: str,
    as_json: bool,
) -> int:
    """Write at the copy what differs from its primary, while both go on; a copy that was stopped goes on afterwards.

    What is overwritten or deleted is kept for 30 days. Ends with 0 when the copy is the same now (with --dry-run: is
    the same already), 1 when something has to be decided first, 2, 3 and 4 as verify does.
    """
    from ..station.decisions import Decisions

    copy = read_copy(config)
    streams = copy.streams(stream)
    if len(streams) > 1 and (undo or accept_deletions or accept_origin):
        raise click.UsageError(f"say for which: --stream {' or --stream '.join(streams)}")
    decisions = Decisions(accept_deletions, accept_origin)
    found: list[dict[str, object]] = []
    status = 0
    for name in streams:
        task = _Task(copy, name, decisions, deep, quiet=as_json)
        status = max(status, task.do(found, dry_run=dry_run, undo=undo))
    if as_json:
        click.echo(json.dumps(found, indent=2, default=str))
    return status


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be done with one stream; each way of doing it appends the outcome, and returns the exit status."""

    copy: CopyConfig
    stream: str
    decisions: "Decisions"
    deep: bool
    quiet: bool

    def do(self, found: list[dict[str, object]], *, dry_run: bool, undo: str | None) -> int:
        from ..errors import SameskyError

        try:
            if undo is not None:
                return self._undo(found, None if undo == LAST else undo)
            return self._dry_run(found) if dry_run else self._repair(found)
        except SameskyError as error:
            found.append({"stream": self.stream, "error": str(error), "hint": with_config(error.hint, self.copy.path)})
            if not self.quiet:
                tell_error(self.stream, error, self.copy.path)
            return error.exit_status

    def _repair(self, found: list[dict[str, object]]) -> int:
        from ..station.mending import repair

        with telling() as say:
            mended = repair(
                self.copy.follow,
                self.stream,
                state_dir=self.copy.state_dir,
                weewx_code=self.copy.weewx_code(self.stream),
                decisions=self.decisions,
                deep=self.deep,
                say=say,
            )
        found.append(asdict(mended))
        self._say(_lines_of(mended, self.copy))
        return 0

    def _undo(self, found: list[dict[str, object]], session: str | None) -> int:
        from ..station.mending import undo

        code = self.copy.weewx_code(self.stream)
        undone = undo(self.copy.follow, self.stream, session, state_dir=self.copy.state_dir, weewx_code=code)
        found.append({"stream": self.stream, **asdict(undone)})
        self._say(_undone_lines(undone, self.copy, self.stream))
        return 0

    def _dry_run(self, found: list[dict[str, object]]) -> int:
        from ..station.verification import verify

        share = 1.0 if self.deep else 0.0
        with telling() as say:
            verdict = verify(self.copy.follow, self.stream, state_dir=self.copy.state_dir, share=share, say=say)
        found.append(asdict(verdict))
        self._say(_plan_lines(verdict, self.copy, self.decisions))
        return 0 if verdict.same else 1

    def _say(self, lines: Iterator[str]) -> None:
        if not self.quiet:
            click.echo("\n".join(lines))


def _lines_of(mended: "Mended", copy: CopyConfig) -> Iterator[str]:
    yield f"{mended.stream}: {mended.describe()}"
    if mended.session:
        yield f"  what was there before is kept for 30 days in {mended.quarantine}"
        yield f"  to undo it: {_command(copy, mended.stream)} --undo {mended.session}"
    if mended.released:
        yield "  the copy was stopped, and goes on now"


def _undone_lines(undone: "Undone", copy: CopyConfig, stream: str) -> Iterator[str]:
    from ..core.counts import count_of

    if not undone.session:
        yield f"{stream}: nothing to undo"
        return
    yield (
        f"{stream}: undone {undone.session}: {count_of(undone.overwritten, 'record')} as before, "
        f"{undone.deleted:,} back that were deleted, {count_of(undone.summary_rows, 'row')} of daily summaries"
    )
    yield f"  the copy is stopped now, else it would be repaired again; to let it go on: {_command(copy, stream)}"


def _plan_lines(verdict: "Verdict", copy: CopyConfig, decisions: "Decisions") -> Iterator[str]:
    from ..core.counts import count_of
    from ..station.checker import most_deletions

    first, *rest = lines_of(verdict, copy.path)
    yield first
    if not verdict.same:
        yield (
            f"  a repair would insert {count_of(verdict.missing.count, 'record')}, overwrite "
            f"{verdict.different.count:,}, delete {verdict.extra.count:,}, and write the summaries of "
            f"{count_of(verdict.days.count, 'day')}; nothing was changed"
        )
    if verdict.extra.count > max(most_deletions(verdict.here), decisions.deletions):
        yield f"  so many deletions have to be allowed: --accept-deletions {verdict.extra.count}"
    yield from rest


def _command(copy: CopyConfig, stream: str) -> str:
    return with_config(f"samesky repair --stream {stream}", copy.path)
