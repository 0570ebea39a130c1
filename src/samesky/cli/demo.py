"""`samesky demo`: a primary and a copy on this machine, kept the same before your eyes."""

from pathlib import Path

import click


@click.command(
    "demo", short_help="Replicate a live WeeWX station on this machine.", epilog="Example: samesky demo --seconds 60"
)
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds (default: at Ctrl-C).")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the two stations here (default: a temporary directory, removed at the end).",
)
@click.option("--port", type=click.IntRange(1, 65535), help="The broker's port on 127.0.0.1 (default: a free one).")
@click.option("--broker", type=click.Choice(["mosquitto", "iotcore"]), help="Which broker (default: the one there is).")
def command(seconds: float | None, directory: Path | None, port: int | None, broker: str | None) -> None:
    """Replicate a live WeeWX station on this machine: no hardware, nothing to configure.

    Makes a primary with a year of records, starts a real weewxd for it and another for an empty copy with an MQTT
    broker between them, lets the copy catch up, shows live records arriving, and compares the two row by row.
    """
    from ..demo import station_demo

    station_demo.run(seconds=seconds, directory=directory, port=port, broker=broker)
