"""`samesky mesh lag`: which peer lacks what."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.spans import describe_span
from .configuration import json_option
from .console import open_console
from .mesh_options import (
    SEED_SPELLING,
    ca_file_option,
    check_exchange,
    credentials_option,
    exchange_option,
    make_client_id,
    read_broker,
    read_tls,
)

if TYPE_CHECKING:
    from rich.table import Table

    from ..mesh.lag import Lag


@click.command(
    "lag",
    short_help="Say which peer lacks what.",
    context_settings=SEED_SPELLING,
    epilog="Example: samesky mesh lag mqtt://guest@blacklab mqtt://guest@awzz mqtt://guest@bwqd",
)
@click.argument("brokers", metavar="BROKER...", nargs=-1, required=True)
@exchange_option
@click.option(
    "--directories",
    "most_directories",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Show so many of the directories that differ.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a broker, and for a peer.",
)
@credentials_option
@ca_file_option
@json_option
def command(
    brokers: tuple[str, ...],
    exchange: str,
    most_directories: int,
    timeout: float,
    credentials: Path | None,
    ca_file: Path | None,
    as_json: bool,
) -> int:
    """Compare the trees of the peers that post at each BROKER (mqtt[s]://user[:password]@host[:port]) by their digests.

    Peers go on meanwhile. A file that one has pruned for its age counts as lacking there. Ends with 0 when all trees
    are the same, 1 when they differ, 3 when a broker or its peer can't be reached.
    """
    from ..mesh.lag import Broker, read_lag

    tls = read_tls(ca_file)
    urls = [read_broker(each, credentials) for each in dict.fromkeys(brokers)]
    asked = [
        Broker(
            str(url),
            url.make_settings(make_client_id("lag"), tls=tls, session_expiry_s=0),
            exchange=check_exchange(exchange),
            timeout_s=timeout,
        )
        for url in urls
    ]
    lag = read_lag(asked)
    if as_json:
        click.echo(json.dumps(as_dict(lag)))
    else:
        _show(lag, most_directories)
    if lag.unanswered:
        return 3
    return 0 if lag.survey.same else 1


def as_dict(lag: "Lag") -> dict[str, Any]:
    """What ``--json`` prints."""
    survey = lag.survey
    return {
        "same": survey.same and not lag.unanswered,
        "complete": survey.complete,
        "peers": [
            {
                "name": each.name,
                "node": each.node,
                "base_url": each.base_url,
                "files": each.whole.count,
                "digest": each.digest,
                "newest": each.newest / 1e9 or None,
                "behind_s": round(survey.behind_s(each), 3),
                "lacking": each.lacking,
                "removed_elsewhere": each.removed_elsewhere,
                "examples": each.examples,
            }
            for each in survey.peers
        ],
        "unanswered": [{"name": each.name, "reason": each.reason} for each in lag.unanswered],
        "directories": [
            {"path": each.path, "files": each.files, "lacking": each.lacking, "listed": each.listed}
            for each in survey.directories
        ],
        "messages": lag.messages,
        "size_bytes": lag.size_bytes,
    }


def _show(lag: "Lag", most_directories: int) -> None:
    console = open_console()
    console.print(_peers_table(lag))
    if lag.survey.directories and most_directories:
        console.print(_directories_table(lag, most_directories))
    for line in _lines(lag, most_directories):
        console.print(line, soft_wrap=True)


def _peers_table(lag: "Lag") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    survey = lag.survey
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("peer", no_wrap=True)
    for heading in ("files", "newest", "behind", "lacks"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("digest", no_wrap=True)
    for each in survey.peers:
        at_least = "" if survey.complete or not each.lacking else "≥ "
        table.add_row(
            each.name,
            f"{each.whole.count:,}",
            _moment(each.newest),
            describe_span(survey.behind_s(each)) if each.newest else "-",
            f"{at_least}{each.lacking:,}",
            each.digest,
        )
    for silent in lag.unanswered:
        table.add_row(silent.name, "-", "-", "-", "-", "-")
    return table


def _directories_table(lag: "Lag", most: int) -> "Table":
    """How many files each peer lacks in the directories where most are lacking."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("directory", overflow="fold")
    for each in lag.survey.peers:
        table.add_column(f"{each.name.partition('@')[2] or each.name.partition('//')[2]} lacks", justify="right")
    worst = sorted(lag.survey.directories, key=lambda each: (-sum(each.lacking), each.path))[:most]
    for directory in sorted(worst, key=lambda each: each.path):
        table.add_row(_printable(directory.path) or ".", *(f"{count:,}" for count in directory.lacking))
    return table


def _lines(lag: "Lag", most_directories: int) -> Iterator[str]:
    survey = lag.survey
    for each in survey.peers:
        if each.examples:
            more = ", …" if each.lacking > len(each.examples) else ""
            yield f"{each.name} lacks {', '.join(map(_printable, each.examples))}{more}"
        if each.removed_elsewhere:
            yield f"{each.name} has {each.removed_elsewhere:,} files that were removed elsewhere"
    for silent in lag.unanswered:
        yield f"{silent.name}: {silent.reason}"
    hidden = len(survey.directories) - most_directories
    if hidden > 0:
        yield f"{hidden:,} more directories differ: --directories {len(survey.directories)} shows all"
    if survey.same:
        asked = f"{lag.messages} messages, {lag.size_bytes:,} bytes"
        yield f"the same: {len(survey.peers)} peers, {survey.peers[0].whole.count:,} files ({asked})"


def _printable(path: str) -> str:
    """Names come from peers: what a terminal would take for more than text is escaped."""
    return path if path.isprintable() else ascii(path)


def _moment(pub_time: int) -> str:
    from datetime import UTC, datetime

    if not pub_time:
        return "-"
    return datetime.fromtimestamp(pub_time // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
