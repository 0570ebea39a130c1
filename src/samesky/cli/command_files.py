"""A group of commands, each of which is a file of this folder: `CommandFiles`."""

import importlib
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import click


class CommandFiles(click.Group):
    """A group whose subcommands are the files ``<prefix><name>.py``, each with a click command named `command`.

    A file is imported when its command is asked for. That must stay cheap: what a command needs is imported when it
    runs, so that `samesky --help` answers at once.
    """

    def __init__(self, *arguments: Any, names: Sequence[str], prefix: str = "", **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._names = tuple(names)
        self._prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._names)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        near = [] if name in self._names or name.startswith("-") else get_close_matches(name, self._names, 1)
        if near and not ctx.resilient_parsing:
            ctx.fail(f"No such command {name!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._names:
            return None
        command = importlib.import_module(f".{self._prefix}{cmd_name}", __package__).command
        assert isinstance(command, click.Command)
        return command
