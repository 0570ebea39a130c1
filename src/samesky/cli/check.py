"""`samesky check`: every mistake of a configuration at once, without touching anything."""

import logging
from pathlib import Path

import click


@click.command(
    "check",
    short_help="Report every mistake of a configuration.",
    epilog="Example: samesky check --online /etc/weewx/weewx.conf",
)
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--online",
    is_flag=True,
    help="Also connect to brokers, databases and centres, and prove the rights that are needed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, for programs.")
def command(config: Path, online: bool, as_json: bool) -> int:
    """Read CONFIG (a weewx.conf, a samesky.toml or a synchronise.conf) and report every mistake: file, key and what to
    write. Of a samesky.toml all tables are looked at: stations, [push], [blocks] and [web].

    Ends with 2 when there is a mistake, with 3 when nothing is wrong but somebody who is needed can't be reached.
    """
    from ..check import check_file

    if not logging.getLogger().isEnabledFor(logging.INFO):
        logging.getLogger("samesky.link").setLevel(logging.ERROR)  # what it warns of is among the findings
    report = check_file(config, online=online)
    click.echo(report.as_json() if as_json else "\n".join(report.lines()))
    return report.exit_status
