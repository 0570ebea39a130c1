"""`samesky demo`: a primary and a copy on this machine, kept the same before your eyes; and demos of the others."""

from pathlib import Path

import click

_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_BROKERS = click.Choice(["mosquitto", "iotcore"])
_web_port = click.option(
    "--web-port", type=click.IntRange(1, 65535), help="The page's port on 127.0.0.1 (default: a free one)."
)


@click.group(
    "demo",
    short_help="Replicate a live WeeWX station on this machine; or, with mesh, files; push, databases; blocks, blocks.",
    epilog="Example: samesky demo --seconds 60",
    invoke_without_command=True,
)
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds (default: at Ctrl-C).")
@click.option(
    "--directory",
    type=_DIRECTORY,
    help="Keep the two stations here (default: a temporary directory, removed at the end).",
)
@click.option("--port", type=click.IntRange(1, 65535), help="The broker's port on 127.0.0.1 (default: a free one).")
@click.option("--broker", type=_BROKERS, help="Which broker (default: the one there is).")
@_web_port
@click.pass_context
def command(
    context: click.Context,
    seconds: float | None,
    directory: Path | None,
    port: int | None,
    broker: str | None,
    web_port: int | None,
) -> None:
    """Replicate a live WeeWX station on this machine: no hardware, nothing to configure.

    Makes a primary with a year of records, starts a real weewxd for it and another for an empty copy with an MQTT
    broker between them, lets the copy catch up, shows live records arriving, and compares the two row by row. What
    it prints first is the address of a page that shows it all.
    """
    given = [f"--{name.replace('_', '-')}" for name, value in context.params.items() if value is not None]
    if context.invoked_subcommand is None:
        from ..demo import station_demo

        station_demo.run(seconds=seconds, directory=directory, port=port, broker=broker, web_port=web_port)
    elif given:
        name = context.invoked_subcommand
        raise click.UsageError(f"{', '.join(given)} in front of {name} is for the station's demo: see {name} --help")


@command.command("mesh", short_help="Keep a tree of files the same.", epilog="Example: samesky demo mesh --seconds 60")
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds (default: at Ctrl-C).")
@click.option(
    "--directory", type=_DIRECTORY, help="Keep the trees here (default: a temporary directory, removed at the end)."
)
@click.option("--broker", type=_BROKERS, help="Which brokers (default: those there are).")
@_web_port
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object; the story goes to stderr.")
def mesh(
    seconds: float | None, directory: Path | None, broker: str | None, web_port: int | None, as_json: bool
) -> None:
    """Keep a tree of files the same at four peers on this machine: nothing to configure.

    Joins four peers in a ring, each with a broker, a tree and a web server of its own; publishes files at each and
    shows how soon all have them; kills one peer and its broker, publishes a thousand files meanwhile, lets it come
    back and catch up; and compares the four trees, every byte of every file.
    """
    from ..demo import mesh_demo

    mesh_demo.run(seconds=seconds, directory=directory, broker=broker, as_json=as_json, web_port=web_port)


@command.command(
    "push", short_help="Gather two sites' databases at a centre.", epilog="Example: samesky demo push --seconds 0"
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), help="End the centre so many seconds after the start (default: Ctrl-C)."
)
@click.option(
    "--directory", type=_DIRECTORY, help="Keep the databases here (default: a temporary directory, removed at the end)."
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object; the story goes to stderr.")
@_web_port
def push(seconds: float | None, directory: Path | None, as_json: bool, web_port: int | None) -> None:
    """Gather the databases of two field sites at a centre on this machine: nothing to configure.

    Makes two sites whose numbers for the same things differ, and a central server; shows what a push would do, and
    pushes; lets readings come late, which a comparison finds; and compares all databases, every reading with its
    meaning.
    """
    from ..demo import push_demo

    push_demo.run(seconds=seconds, directory=directory, as_json=as_json, web_port=web_port)


@command.command("blocks", short_help="Have a block follow another.", epilog="Example: samesky demo blocks --seconds 0")
@click.option(
    "--seconds", type=click.FloatRange(min=0), help="End so many seconds after the start (default: at Ctrl-C)."
)
@click.option(
    "--directory", type=_DIRECTORY, help="Keep blocks and logs here (default: a temporary directory, removed then)."
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object; the story goes to stderr.")
@_web_port
def blocks(seconds: float | None, directory: Path | None, as_json: bool, web_port: int | None) -> None:
    """Have a block of one service follow a block of another over RabbitMQ, on this machine: nothing to configure.

    Makes the two calls of the document that blocks come from, word for word, and its translation; moves the sensor, has
    it fail, and kills its service; and shows each time what becomes of the block that follows.
    """
    from ..demo import blocks_demo

    blocks_demo.run(seconds=seconds, directory=directory, as_json=as_json, web_port=web_port)
