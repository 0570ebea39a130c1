"""`samesky blocks preview`: what a link would do, before there is one."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from .blocks_options import Service, link_options, open_service, read_link, service_options, show_json, take
from .configuration import json_option


@click.command(
    "preview",
    short_help="Show what a link would write.",
    epilog="Example: samesky blocks preview spark-slave dummy-sensor --follow spark-master.master-sensor"
    " --translate value=setting",
)
@link_options
@click.option(
    "--wait",
    type=click.FloatRange(0, 60),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a message, if none has come yet.",
)
@service_options
@json_option
def command(
    service: str,
    id: str,
    interval: float | None,
    follow: str | None,
    pairs: tuple[str, ...],
    others: Any,
    wait: float,
    url: str,
    token_file: Path | None,
    as_json: bool,
) -> int:
    """Show the block's data as they are, and as the link would make them. Nothing is registered or written.

    Ends with 1 when nothing would be written, whatever the reason.
    """
    role, body = read_link(id, interval, follow, pairs, others)
    where = Service(url, token_file)
    query = {"dry_run": "true"} | ({"wait": f"{wait:g}"} if role == "slave" else {})
    with open_service(where) as client:
        address = f"/{quote(service, safe='')}/remote/{role}"
        told = take(client.post(address, json.dumps(body).encode(), query=query), where)
    if as_json:
        show_json(told)
    elif role == "master":
        click.echo(f"broadcast under the key {told['key']}:\n{_render(told['data'])}")
    else:
        _show(told)
    return 1 if role == "slave" and told["after"] in (None, told["before"]) else 0


def _show(told: dict[str, Any]) -> None:
    click.echo(f"before:\n{_render(told['before'])}")
    if told["held_back"]:
        click.echo(f"nothing would be written ({told['held_back']['reason']}): {told['held_back']['detail']}")
    elif told["after"] == told["before"]:
        click.echo("it is as it should be already")
    else:
        click.echo(f"after:\n{_render(told['after'])}")


def _render(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)
