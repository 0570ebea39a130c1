"""`samesky blocks`: controllers' blocks that follow each other. Each subcommand is the file ``blocks_<name>.py``."""

import click

from .command_files import CommandFiles


@click.command(
    "blocks",
    cls=CommandFiles,
    names=("serve", "add", "preview", "list", "status", "remove"),
    prefix="blocks_",
    epilog="Example: samesky blocks serve --service spark-slave=slave.json --amqp amqp://guest:guest@localhost/",
)
def command() -> None:
    """Keep the blocks of controllers the same, over RabbitMQ.

    A block that is broadcast (a master) is followed by others (slaves), here and elsewhere. One process serves; the
    other commands ask it.
    """
