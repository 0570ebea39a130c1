"""`samesky push site`: the sites of a centre."""

import json
from pathlib import Path

import click

from .configuration import json_option
from .push_options import centre_options, open_central, read_centre


@click.group("site", short_help="Add, list and rename sites.", epilog="Example: samesky push site add hill-farm")
def command() -> None:
    """The field sites whose databases are gathered here.

    The rows that a site pushes are its own at the centre, whatever other sites number theirs.
    """


@command.command("add", short_help="Add a site.", epilog="Example: samesky push site add hill-farm")
@click.argument("name", metavar="NAME")
@centre_options
@json_option
def add(
    name: str, config: Path | None, database: str | None, database_password_file: Path | None, as_json: bool
) -> None:
    """Add the site NAME; `samesky push key add NAME` makes its key."""
    with open_central(read_centre(config, database, database_password_file)) as central:
        site = central.sites.add(name)
    click.echo(json.dumps({"site": site.name}) if as_json else f"site {site.name} added")


@command.command("rename", short_help="Rename a site.", epilog="Example: samesky push site rename hill-farm upper-farm")
@click.argument("name", metavar="NAME")
@click.argument("to", metavar="NEW_NAME")
@centre_options
@json_option
def rename(
    name: str, to: str, config: Path | None, database: str | None, database_password_file: Path | None, as_json: bool
) -> None:
    """Give the site NAME another name; its rows, positions and keys stay."""
    with open_central(read_centre(config, database, database_password_file)) as central:
        site = central.sites.rename(name, to)
    click.echo(json.dumps({"site": site.name}) if as_json else f"site {name} is now called {site.name}")


@command.command(
    "list", short_help="List the sites.", epilog="Example: samesky push site list --database sqlite:///central.db"
)
@centre_options
@json_option
def show(config: Path | None, database: str | None, database_password_file: Path | None, as_json: bool) -> None:
    """List the sites, when each was heard of last, and what it has still to push."""
    with open_central(read_centre(config, database, database_password_file)) as central:
        fleet = central.read_fleet()
    if as_json:
        click.echo(json.dumps([site.as_dict() for site in fleet]))
        return
    for site in fleet:
        click.echo(site.describe())
    if not fleet:
        click.echo("no sites yet: samesky push site add NAME")
