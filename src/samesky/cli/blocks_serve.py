"""`samesky blocks serve`: links of blocks that run, and the REST interface to them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .configuration import json_option, tell_warnings
from .mesh_options import ON_THIS_MACHINE, Listen, needing
from .systemd import Systemd
from .web_options import beside_options, page_beside

if TYPE_CHECKING:
    from ..blocks.blocks_settings import BlocksSettings

USUAL_CONFIG = Path("samesky.toml")


@click.command(
    "serve",
    short_help="Run links, and serve the REST interface.",
    epilog="Example: samesky blocks serve --service spark-master=master.json --service spark-slave=slave.json"
    " --amqp amqp://guest:guest@localhost/",
)
@click.option(
    "-c",
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="SAMESKY_CONFIG",
    help="A samesky.toml with [blocks] (default: samesky.toml, if it's there).",
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME=FILE",
    help="A service with its blocks in a JSON file, in place of those of the configuration; may be repeated.",
)
@click.option("--amqp", multiple=True, metavar="URL", help="RabbitMQ; may be repeated for the nodes of one cluster.")
@click.option("--mqtt", metavar="URL", help="The broker of the second link: mqtt[s]://user@host.")
@click.option(
    "-l",
    "--listen",
    type=ON_THIS_MACHINE,
    help="Where to listen; 0.0.0.0:5000 is all addresses, port 0 a free one (default: this machine alone, 5000).",
)
@click.option("--state", metavar="FILE", help="Where the links are kept (default: blocks.sdb in this folder).")
@click.option("--token-file", metavar="FILE", help="Holds what users must send (or set SAMESKY_BLOCKS_TOKEN).")
@beside_options
@json_option
def command(
    config: Path | None,
    services: Sequence[str],
    amqp: Sequence[str],
    mqtt: str | None,
    listen: Listen | None,
    state: str | None,
    token_file: str | None,
    web: Listen | None,
    web_token_file: Path | None,
    status_dir: Path | None,
    as_json: bool,
) -> None:
    """Run the links that are registered, and take new ones at /SERVICE/remote/master and /SERVICE/remote/slave.

    Links are kept through restarts. Beyond this machine a token is needed: who registers links decides what is written
    to controllers.
    """
    options = {
        "state": state,
        "mqtt": mqtt,
        "listen": None if listen is None else str(listen),
        "token_file": token_file,
    }
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if amqp:
        given["amqp"] = list(amqp)
    if services:
        given["services"] = dict(map(_read_service, services))
    settings = _read_settings(config, given)
    configs = [config] if config else []
    with page_beside(web, web_token_file, configs=configs, status_dir=status_dir, quiet=as_json):
        _serve(settings, status_dir, as_json)


def _read_service(text: str) -> tuple[str, dict[str, str]]:
    name, _, file = text.partition("=")
    if not name or not file:
        raise click.BadParameter(f"{text!r} should be NAME=FILE, such as spark=spark.json", param_hint="--service")
    return name, {"store": file}


def _read_settings(config: Path | None, given: dict[str, Any]) -> "BlocksSettings":
    from ..blocks.blocks_settings import read_blocks
    from ..config import Findings, read_toml

    if config is None and USUAL_CONFIG.is_file():
        config = USUAL_CONFIG
    findings = Findings()
    settings = read_blocks(read_toml(config) if config is not None else {}, findings, given=given)
    tell_warnings(findings, "samesky")
    findings.raise_errors(str(config or "command line"))
    return settings


def _serve(settings: "BlocksSettings", status_dir: Path | None, as_json: bool) -> None:
    with needing("fastapi", "blocks"), needing("uvicorn", "blocks"), needing("aio_pika", "blocks"):
        from ..blocks.serving import serve_blocks
        from ..link.web_server import listen
    from ..web.posting import Latest, posting

    where = ON_THIS_MACHINE.convert(settings.listen, None, None)
    listening = listen(where.host, where.port)
    port = listening.getsockname()[1]
    names = [each.name for each in settings.services]
    for each in settings.services:
        if each.kind == "store" and not Path(each.place).exists():
            click.echo(f"samesky: {each.place} isn't there yet: {each.name} has no blocks until it is", err=True)
    told = json.dumps({"url": Listen(where.host, port).url, "port": port, "services": names})
    words = f"serving {', '.join(names)} at {Listen(where.host, port).url}"
    latest = Latest()
    owner = f"blocks serve {settings.state.absolute()}"
    with Systemd.from_environment() as systemd, posting(owner, latest, status_dir=status_dir):

        def tell_started() -> None:
            click.echo(told if as_json else words)
            systemd.tell_ready(words)

        serve_blocks(settings, listening, started=tell_started, on_turn=systemd.watch("blocks-serve"), tell=latest.put)
