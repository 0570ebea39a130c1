"""`samesky blocks`: controllers' blocks that follow each other. Each subcommand is the file ``blocks_<name>.py``."""

import importlib

import click

COMMANDS = ("serve", "add", "preview", "list", "status", "remove")


class BlocksCommands(click.Group):
    """Imports a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f".blocks_{cmd_name}", __package__).command
        assert isinstance(command, click.Command)
        return command


@click.command(
    "blocks",
    cls=BlocksCommands,
    epilog="Example: samesky blocks serve --service spark-slave=slave.json --amqp amqp://guest:guest@localhost/",
)
def command() -> None:
    """Keep the blocks of controllers the same, over RabbitMQ.

    A block that is broadcast (a master) is followed by others (slaves), here and elsewhere. One process serves; the
    other commands ask it.
    """
