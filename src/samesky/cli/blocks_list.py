"""`samesky blocks list`: the links of a running service."""

from pathlib import Path
from typing import Any

import click

from .blocks_options import Service, open_service, service_options, show_json, take
from .configuration import json_option


@click.command("list", short_help="Show the links.", epilog="Example: samesky blocks list --url http://brewery:5000")
@service_options
@json_option
def command(url: str, token_file: Path | None, as_json: bool) -> None:
    """Show which blocks are broadcast, which follow which keys, and by what translation."""
    where = Service(url, token_file)
    with open_service(where) as client:
        told = take(client.get("/remote"), where)
    if as_json:
        show_json(told)
        return
    for link in told["masters"]:
        how = "" if link["publish"] == "always" else " when it changes"
        click.echo(f"master {link['service']}.{link['id']}: read every {link['interval']:g} s, broadcast{how}")
    for link in told["slaves"]:
        click.echo(f"slave  {link['service']}.{link['id']}: follows {link['key']}{_describe(link)}")
    if not told["masters"] and not told["slaves"]:
        click.echo("there are no links: samesky blocks add")


def _describe(link: dict[str, Any]) -> str:
    if not link["translations"]:
        return ", all data"
    return ", " + ", ".join(f"{source} → {target}" for source, target in link["translations"].items())
