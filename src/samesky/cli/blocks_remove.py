"""`samesky blocks remove`: end links of a running service."""

from pathlib import Path
from urllib.parse import quote

import click

from .blocks_options import Service, open_service, service_options, show_json, take
from .configuration import json_option


@click.command(
    "remove",
    short_help="Remove links.",
    epilog="Example: samesky blocks remove spark-master.master-sensor --role slave",
)
@click.argument("key")
@click.option("--role", type=click.Choice(["master", "slave"]), help="Only what is broadcast, or what follows.")
@click.option("--service", metavar="NAME", help="Only links of this service.")
@click.option("--id", metavar="ID", help="Only links of this block.")
@service_options
@json_option
def command(
    key: str, role: str | None, service: str | None, id: str | None, url: str, token_file: Path | None, as_json: bool
) -> None:
    """End and forget the links with this KEY, all of them unless you say which."""
    where = Service(url, token_file)
    given = {"role": role, "service": service, "id": id}
    query = {name: value for name, value in given.items() if value is not None}
    with open_service(where) as client:
        told = take(client.delete(f"/remote/{quote(key, safe='')}", query=query), where)
    if as_json:
        show_json(told)
        return
    for link in told["removed"]:
        click.echo(f"removed {link['role']} {link['service']}.{link['id']}")
