"""`samesky mesh`: a tree of files, the same on every peer. Each subcommand is the file ``mesh_<name>.py``."""

import importlib

import click

COMMANDS = ("peer", "pub", "watch", "serve", "workers", "prune", "lag")


class MeshCommands(click.Group):
    """Imports a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f".mesh_{cmd_name}", __package__).command
        assert isinstance(command, click.Command)
        return command


@click.command(
    "mesh",
    cls=MeshCommands,
    epilog="Example: samesky mesh peer --broker mqtt://guest@peer.example --post-broker mqtt://owner@localhost",
)
def command() -> None:
    """Keep a tree of files the same on many peers."""
