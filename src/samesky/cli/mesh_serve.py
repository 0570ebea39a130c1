"""`samesky mesh serve`: a plain web server over a tree."""

import json
from pathlib import Path

import click

from .configuration import json_option
from .event_loop import run_on_a_loop, turn_for_ever
from .mesh_options import Listen, ListenType, needing
from .systemd import Systemd


@click.command(
    "serve", short_help="Serve a tree over HTTP.", epilog="Example: samesky mesh serve data --listen 127.0.0.1:8000"
)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-l",
    "--listen",
    type=ListenType(),
    default=Listen("", 8000),
    show_default="8000, on all addresses",
    help="Where to listen; port 0 takes a free one.",
)
@json_option
def command(folder: Path, listen: Listen, as_json: bool) -> None:
    """Serve the files below DIR by HTTP, to peers and to whoever else asks, until Ctrl-C.

    Requests for parts of files and conditional requests are answered, directories as lists. What begins with a dot
    isn't served, and no symbolic link. In front of a node that the whole world asks, nginx does the same with less
    effort; and it speaks HTTPS.
    """
    run_on_a_loop(_serve(folder, listen, as_json))


async def _serve(folder: Path, listen: Listen, as_json: bool) -> None:
    with needing("aiohttp"):
        from ..mesh.serve import WebServer
    async with WebServer(folder, host=listen.host, port=listen.port) as server:
        url = Listen(listen.host, server.port).url
        told = json.dumps({"url": url, "port": server.port, "folder": str(folder)})
        words = f"serving {folder} at {url}"
        click.echo(told if as_json else words)
        with Systemd.from_environment() as systemd:
            systemd.tell_ready(words)
            await turn_for_ever(systemd.watch("mesh-serve"), systemd.longest_wait_s)
