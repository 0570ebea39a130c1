"""`samesky push key`: the API keys of a centre."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .configuration import json_option
from .console import open_console
from .push_options import centre_options, open_central, read_centre

if TYPE_CHECKING:
    from ..push.keys import KeyStatus

_DAY_S = 86_400


@click.group("key", short_help="Make, list and revoke keys.", epilog="Example: samesky push key add hill-farm")
def command() -> None:
    """The keys with which sites push, and people read.

    A key is told once, when it is made; the centre keeps only its SHA-256.
    """


@command.command(
    "add", short_help="Make a key.", epilog="Example: samesky push key add hill-farm --output hill-farm.key"
)
@click.argument("site", metavar="[SITE]", required=False)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["append", "read", "admin"]),
    multiple=True,
    help="append: push this site's rows; read: see the rows and how all sites are doing; admin: everything, at every"
    " site. May be repeated (default: append with a SITE, read without one).",
)
@click.option("--label", default="", metavar="TEXT", help="Whose it is, or where it's used.")
@click.option("--days", type=click.IntRange(1, 36_500), metavar="DAYS", help="How long it's good (default: for ever).")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the key to this new file, which only you may read, in place of the screen.",
)
@centre_options
@json_option
def add(
    site: str | None,
    scopes: Sequence[str],
    label: str,
    days: int | None,
    output: Path | None,
    config: Path | None,
    database: str | None,
    database_password_file: Path | None,
    as_json: bool,
) -> None:
    """Make a key of SITE, or without one of the whole centre. What is printed is the key, and never seen again."""
    with open_central(read_centre(config, database, database_password_file)) as central:
        from ..push.keys import Scope

        of_site = central.sites.find(site) if site else None
        wanted = [Scope(scope) for scope in scopes] or [Scope.APPEND if site else Scope.READ]
        lifetime_s = None if days is None else days * _DAY_S
        with _new_file(output) as write:
            made = central.keys.add(of_site, scopes=wanted, label=label, lifetime_s=lifetime_s)
            write(f"{made.text}\n")
    told = {"prefix": made.prefix, "site": site, "scopes": sorted(wanted)}
    where: dict[str, object] = {"key": made.text} if output is None else {"file": str(output)}
    if as_json:
        click.echo(json.dumps(told | where))
    elif output is None:
        click.echo(made.text)
        click.echo("keep it: it is told this once", err=True)
    else:
        click.echo(f"key {made.prefix} written to {output}")


@command.command(
    "list", short_help="List the keys.", epilog="Example: samesky push key list --database sqlite:///central.db"
)
@centre_options
@json_option
def show(config: Path | None, database: str | None, database_password_file: Path | None, as_json: bool) -> None:
    """List the keys by the first part of each, which is no secret."""
    with open_central(read_centre(config, database, database_password_file)) as central:
        keys = central.keys.list()
    if as_json:
        click.echo(json.dumps([key.as_dict() for key in keys]))
    elif keys:
        _print(keys, now=time.time())
    else:
        click.echo("no keys yet: samesky push key add SITE")


@command.command("revoke", short_help="Revoke a key.", epilog="Example: samesky push key revoke 6f0c2a9d1b3e")
@click.argument("prefix", metavar="PREFIX")
@centre_options
@json_option
def revoke(
    prefix: str, config: Path | None, database: str | None, database_password_file: Path | None, as_json: bool
) -> None:
    """End the key that begins with PREFIX, for good. Servers refuse it within seconds."""
    with open_central(read_centre(config, database, database_password_file)) as central:
        central.keys.revoke(prefix)
    prefix = prefix.partition(".")[0]
    click.echo(json.dumps({"revoked": prefix}) if as_json else f"key {prefix} revoked")


@contextmanager
def _new_file(path: Path | None) -> Iterator[Callable[[str], object]]:
    """Writes to a file that wasn't there, for its owner alone; without a ``path`` writes nothing.

    The file is made before the key, which would be lost if it couldn't be, and removed if there is no key in the end.
    """
    if path is None:
        yield lambda _text: None
        return
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.BadParameter(f"{path} is there already", param_hint="--output") from None
    try:
        with os.fdopen(file, "w", encoding="ascii") as opened:
            yield opened.write
    except BaseException:
        path.unlink()
        raise


def _print(keys: "Sequence[KeyStatus]", *, now: float) -> None:
    from rich.table import Table

    table = Table("key", "site", "allows", "label", "made", "last used", "state", box=None, pad_edge=False)
    for key in keys:
        scopes = ", ".join(key.scopes)
        used = "never" if key.used_s is None else _day(key.used_s)
        table.add_row(key.prefix, key.site or "(all)", scopes, key.label, _day(key.created_s), used, _state(key, now))
    open_console().print(table)


def _state(key: "KeyStatus", now: float) -> str:
    if key.revoked_s is not None:
        return f"revoked {_day(key.revoked_s)}"
    if key.expires_s is None:
        return "good"
    return f"{'good until' if key.is_good(now) else 'expired'} {_day(key.expires_s)}"


def _day(time_s: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time_s))
