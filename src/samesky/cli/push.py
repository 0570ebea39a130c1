"""`samesky push`: field databases gathered at a central one. Each subcommand is the file ``push_<name>.py``."""

import click

from .command_files import CommandFiles


@click.command(
    "push",
    cls=CommandFiles,
    names=("run", "daemon", "plan", "verify", "status", "serve", "key", "site"),
    prefix="push_",
    epilog="Example: samesky push plan --config samesky.toml, then the same with run in place of plan",
)
def command() -> None:
    """Gather the databases of many field sites at a central server.

    At a site: plan, run, daemon, verify and status. At the centre: site, key and serve.
    """
