"""`samesky blocks add`: register a link with a running service."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from .blocks_options import Service, link_options, open_service, read_link, service_options, show_json, take
from .configuration import json_option


@click.command(
    "add",
    short_help="Broadcast a block, or have it follow another.",
    epilog="Example: samesky blocks add spark-slave dummy-sensor --follow spark-master.master-sensor"
    " --translate value=setting",
)
@link_options
@service_options
@json_option
def command(
    service: str,
    id: str,
    interval: float | None,
    follow: str | None,
    pairs: tuple[str, ...],
    others: Any,
    url: str,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Register the block ID of SERVICE: to be broadcast (--interval), or to follow a key (--follow).

    The same once more changes nothing; a link of the same name is replaced.
    """
    role, body = read_link(id, interval, follow, pairs, others)
    where = Service(url, token_file)
    with open_service(where) as client:
        told = take(client.post(f"/{quote(service, safe='')}/remote/{role}", json.dumps(body).encode()), where)
    key = told["key"] if isinstance(told, dict) else follow
    if as_json:
        show_json({"role": role, "service": service, "id": id, "key": key})
    elif role == "master":
        click.echo(f"{service}.{id} is broadcast under the key {key}, every {interval:g} s")
    else:
        click.echo(f"{service}.{id} follows {key}")
