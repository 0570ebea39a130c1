"""`samesky push`: field databases gathered at a central one. Each subcommand is the file ``push_<name>.py``."""

import importlib

import click

COMMANDS = ("run", "daemon", "plan", "verify", "status", "serve", "key", "site")


class PushCommands(click.Group):
    """Imports a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f".push_{cmd_name}", __package__).command
        assert isinstance(command, click.Command)
        return command


@click.command(
    "push",
    cls=PushCommands,
    epilog="Example: samesky push plan --config samesky.toml, then the same with run in place of plan",
)
def command() -> None:
    """Gather the databases of many field sites at a central server.

    At a site: plan, run, daemon, verify and status. At the centre: site, key and serve.
    """
